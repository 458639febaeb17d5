"""The octets of one TCP connection: cut into messages on the way in, gathered on the way out.

Owns the transport: framing, writing once for all answers that are ready at once, stopping to read from a peer that does
not read, and the end of the transport with its last octets delivered. Refuses to know what a message says; what that
means is decided by the class above (`connection`).
"""

import asyncio
from typing import cast

from .errors import FramingError
from .framing import Framer
from .settings import NodeSettings


class Wire(asyncio.Protocol):
    """An asyncio protocol with four events of its own: `on_connected`, `on_frames`, `on_fault`, `on_lost`."""

    def __init__(self, settings: NodeSettings) -> None:
        self.loop = asyncio.get_running_loop()
        self.remote_address = ("", 0)
        self.local_address = ""
        """The own address of this connection; an IPv4 peer on an IPv6 socket is shown as the IPv4 that it is."""
        self.gone: asyncio.Future[None] = self.loop.create_future()
        """Done when the transport has ended."""
        self.stalled_since: float | None = None
        """Since when the peer leaves its answers unread; None while it reads."""
        self._high_water_octets = settings.write_high_water_octets
        self._linger_s = settings.close_linger_s
        self._max_message_octets = settings.max_message_octets
        self._framer = Framer(settings.max_first_message_octets)
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._linger: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self._flush_is_due = False

    def on_connected(self) -> None:
        """The transport is there."""
        raise NotImplementedError

    def on_frames(self, frames: list[bytes]) -> None:
        """Complete messages, in order."""
        raise NotImplementedError

    def on_fault(self, fault: FramingError) -> None:
        """The stream cannot be cut into messages any more."""
        raise NotImplementedError

    def on_lost(self, exc: Exception | None, unfinished_octets: int) -> None:
        """The transport has ended, `unfinished_octets` into a message. Called also after `close_transport`."""
        raise NotImplementedError

    def on_stalled(self) -> None:
        """The peer has stopped reading."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._high_water_octets)
        peername = transport.get_extra_info("peername")
        sockname = transport.get_extra_info("sockname")
        if peername and sockname:  # none if the peer has gone in the meantime
            self.remote_address = (_plain(peername[0]), peername[1])
            self.local_address = _plain(sockname[0])
        if self._closing:
            transport.close()
        else:
            self.on_connected()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            frames = self._framer.feed(data)
        except FramingError as fault:
            self.on_fault(fault)
            return
        if not frames:
            return
        self._flush_is_due = True  # at the end of this method, once for all answers that are ready at once
        self.on_frames(frames)
        self._flush()
        if self._framer.fault is not None and not self._closing:
            self.on_fault(self._framer.fault)

    def allow_long_messages(self) -> None:
        """The peer is known: from now on it may send messages of full length."""
        self._framer.max_length = self._max_message_octets

    def write(self, data: bytes) -> None:
        """Send octets; what is written in one turn of the loop leaves together."""
        self._out.append(data)
        if not self._flush_is_due:
            self._flush_is_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        out = self._out
        if out:
            if self._transport is not None and not self._closing:
                self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def pause_writing(self) -> None:
        """The peer does not read: nothing more is read from it, so that answers cannot pile up here."""
        if self._transport is not None and not self._transport.is_closing():
            self.stalled_since = self.loop.time()
            self._transport.pause_reading()
            self.on_stalled()

    def resume_writing(self) -> None:
        self.stalled_since = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        unfinished = self._framer.pending
        self._closing = True
        self._transport = None
        if self._linger is not None:
            self._linger.cancel()
        self.on_lost(exc, unfinished)
        self.end()

    def close_transport(self) -> None:
        """Deliver what has been written, then end; end anyway when the peer does not take it in time."""
        if self._transport is not None and not self._closing:
            self._flush()
            self._transport.close()
            self._linger = self.loop.call_later(self._linger_s, self.abort_transport)
        self._closing = True

    def abort_transport(self) -> None:
        """End now; what has not been delivered is lost."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """There is no transport, or none any more."""
        if not self.gone.done():
            self.gone.set_result(None)


def _plain(address: str) -> str:
    """Without the zone of a link-local address, and IPv4 as IPv4."""
    return address.partition("%")[0].removeprefix("::ffff:")
