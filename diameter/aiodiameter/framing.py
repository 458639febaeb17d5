"""Cuts a TCP stream into Diameter messages. Owns the header's version and length; looks at nothing else.

A stream whose length field cannot be trusted cannot be cut any more: the connection has to be closed
(RFC 6733 §3, §7.1.5). Everything that was whole before the fault is still delivered.
"""

from .errors import FramingError
from .header import HEADER_LENGTH, VERSION
from .result_codes import ResultCode

DEFAULT_MAX_LENGTH = 1 << 20
"""Octets. Charging messages are a few hundred to a few thousand octets; the field itself allows 16 MiB."""


class Framer:
    """Collects octets and gives back complete messages, however the stream was split or glued.

    Holds at most one incomplete message of at most `max_length` octets plus what one `feed` added.
    """

    def __init__(self, max_length: int = DEFAULT_MAX_LENGTH) -> None:
        self.max_length = max_length
        self._rest = bytearray()
        self._wanted = 0
        """Octets that `_rest` needs before anything more can be told."""
        self._fault: FramingError | None = None

    @property
    def pending(self) -> int:
        """Octets held of a message that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Takes octets from the stream and returns the messages now complete, in order.

        Raises FramingError when the stream cannot be cut any further. If messages were complete before the
        fault, they are returned and the error is raised by the next call (`fault` tells it at once).
        """
        if self._fault is not None:
            raise self._fault
        rest = self._rest
        if rest:
            if len(rest) + len(data) < self._wanted:
                rest += data  # in place: a message that comes octet by octet is not copied as often
                return []
            data = b"".join((rest, data))
        position, available = 0, len(data)
        wanted = 4
        messages: list[bytes] = []
        while available - position >= 4:
            length = int.from_bytes(data[position + 1 : position + 4], "big")
            if data[position] != VERSION or length < HEADER_LENGTH or length & 3 or length > self.max_length:
                self._fault = self._describe(data[position], length, data[position : position + 64])
                self._rest = bytearray()
                if messages:
                    return messages
                raise self._fault
            if available - position < length:
                wanted = length
                break
            messages.append(data[position : position + length])
            position += length
            wanted = 4
        if rest or position < available:
            self._rest = bytearray(data[position:])
            self._wanted = wanted
        return messages

    @property
    def fault(self) -> FramingError | None:
        """Why the stream is lost, or None while it is not."""
        return self._fault

    def _describe(self, version: int, length: int, head: bytes) -> FramingError:
        if version != VERSION:
            return FramingError(ResultCode.UNSUPPORTED_VERSION, f"version {version}, only {VERSION} exists", head)
        if length < HEADER_LENGTH:
            reason = f"Message Length {length} is shorter than the header of {HEADER_LENGTH} octets"
        elif length & 3:
            reason = f"Message Length {length} is not a multiple of 4"
        else:
            reason = f"Message Length {length} is over the limit of {self.max_length} octets"
        return FramingError(ResultCode.INVALID_MESSAGE_LENGTH, reason, head)
