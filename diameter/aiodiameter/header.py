"""The Diameter message header (RFC 6733 §3): five words, no meaning beyond them."""

import struct

import msgspec

HEADER_LENGTH = 20
VERSION = 1

FLAG_REQUEST = 0x80
FLAG_PROXIABLE = 0x40
FLAG_ERROR = 0x20
FLAG_RETRANSMITTED = 0x10

_WORDS = struct.Struct("!IIIII")
_24_BITS = 0xFFFFFF


class Header(msgspec.Struct, gc=False):
    """A message's header without version and length, which belong to framing.

    `hop_by_hop` identifies a request on one connection, `end_to_end` a request from its originator (§3).
    """

    command_code: int
    application_id: int = 0
    flags: int = 0
    hop_by_hop: int = 0
    end_to_end: int = 0

    @property
    def is_request(self) -> bool:
        return self.flags & FLAG_REQUEST != 0

    @property
    def is_proxiable(self) -> bool:
        return self.flags & FLAG_PROXIABLE != 0

    @property
    def is_error(self) -> bool:
        return self.flags & FLAG_ERROR != 0

    @property
    def is_retransmitted(self) -> bool:
        """The T flag: this request may be a duplicate of one sent before a link failed."""
        return self.flags & FLAG_RETRANSMITTED != 0

    def to_bytes(self, length: int) -> bytes:
        """The 20 octets of the header of a message of `length` octets, header included."""
        return _WORDS.pack(
            VERSION << 24 | length,
            self.flags << 24 | self.command_code,
            self.application_id,
            self.hop_by_hop,
            self.end_to_end,
        )


def read_header(frame: bytes) -> Header:
    """The header of a complete message (at least 20 octets; the framer sees to that)."""
    _, flags_code, application_id, hop_by_hop, end_to_end = _WORDS.unpack_from(frame)
    return Header(flags_code & _24_BITS, application_id, flags_code >> 24, hop_by_hop, end_to_end)
