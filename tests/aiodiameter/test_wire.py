"""The transport's part of a connection, without a network."""

import asyncio
from typing import Any

from aiodiameter.errors import FramingError
from aiodiameter.wire import Wire
from tests.aiodiameter.loopback import QUICK, Run, both_loops, ccr, octets, until

pytestmark = both_loops


class Transport(asyncio.Transport):
    """Takes octets, and keeps those that the peer does not read."""

    def __init__(self, **addresses: Any) -> None:
        super().__init__(addresses)
        self.log: list[str] = []
        self.written = b""
        self.ending = False

    def write(self, data: Any) -> None:
        self.log.append("write")
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.log.append(f"limit {high}")

    def pause_reading(self) -> None:
        self.log.append("pause")

    def resume_reading(self) -> None:
        self.log.append("resume")

    def is_closing(self) -> bool:
        return self.ending

    def close(self) -> None:
        self.log.append("close")
        self.ending = True

    def abort(self) -> None:
        self.log.append("abort")
        self.ending = True


class Recorder(Wire):
    def __init__(self) -> None:
        super().__init__(QUICK)
        self.events: list[Any] = []

    def on_connected(self) -> None:
        self.events.append("connected")

    def on_frames(self, frames: list[bytes]) -> None:
        self.events.append(len(frames))
        for frame in frames:
            self.write(frame)

    def on_fault(self, fault: FramingError) -> None:
        self.events.append(fault.reason)

    def on_lost(self, exc: Exception | None, unfinished_octets: int) -> None:
        self.events.append((exc, unfinished_octets))

    def on_stalled(self) -> None:
        self.events.append("stalled")


def connected(**addresses: Any) -> tuple[Recorder, Transport]:
    wire, transport = Recorder(), Transport(**addresses)
    wire.connection_made(transport)
    return wire, transport


def test_what_is_ready_at_once_is_written_at_once(run: Run[None]) -> None:
    async def main() -> None:
        wire, transport = connected()
        message = octets(ccr(1))
        wire.data_received(message * 3)
        assert wire.events == ["connected", 3]
        assert transport.log == [f"limit {QUICK.write_high_water_octets}", "write"]
        wire.write(b"a")
        wire.write(b"b")
        assert transport.written == message * 3
        await until(lambda: transport.written == message * 3 + b"ab")
        assert transport.log.count("write") == 2

    run(main)


def test_addresses_are_shown_plainly(run: Run[None]) -> None:
    async def main() -> None:
        wire, _ = connected(peername=("::ffff:192.0.2.1", 9, 0, 0), sockname=("fe80::1%eth0", 3868, 0, 2))
        assert (wire.remote_address, wire.local_address) == (("192.0.2.1", 9), "fe80::1")
        wire, _ = connected(peername=None, sockname=("192.0.2.1", 3868))
        assert (wire.remote_address, wire.local_address) == (("", 0), "")

    run(main)


def test_reading_stops_while_the_peer_does_not_read(run: Run[None]) -> None:
    async def main() -> None:
        wire, transport = connected()
        stalled: list[bool] = []
        wire.pause_writing()
        stalled.append(wire.stalled_since is not None)
        wire.resume_writing()
        stalled.append(wire.stalled_since is not None)
        assert stalled == [True, False]
        assert transport.log[1:] == ["pause", "resume"]
        transport.ending = True
        wire.pause_writing()
        wire.resume_writing()
        assert transport.log[1:] == ["pause", "resume"], "a transport that is closing takes no orders"
        assert wire.events == ["connected", "stalled"]

    run(main)


def test_closing_delivers_what_was_written_and_nothing_after(run: Run[None]) -> None:
    async def main() -> None:
        wire, transport = connected()
        wire.write(b"last words")
        wire.close_transport()
        wire.close_transport()
        wire.write(b"too late")
        wire.data_received(octets(ccr(1)))
        assert transport.log[1:] == ["write", "close"]
        wire.connection_lost(None)
        await wire.gone
        assert wire.events == ["connected", (None, 0)]
        assert transport.written == b"last words"

    run(main)


def test_a_peer_that_does_not_take_the_last_octets_is_cut_off(run: Run[None]) -> None:
    async def main() -> None:
        wire, transport = connected()
        wire._linger_s = 0.001
        wire.close_transport()
        await until(lambda: "abort" in transport.log)
        wire.connection_lost(None)
        wire.abort_transport()
        assert transport.log.count("abort") == 1

    run(main)


def test_a_connection_that_comes_too_late_is_closed(run: Run[None]) -> None:
    async def main() -> None:
        wire, transport = Recorder(), Transport()
        wire.close_transport()
        wire.connection_made(transport)
        assert "close" in transport.log
        wire.connection_lost(None)
        assert wire.events == [(None, 0)]

    run(main)


def test_a_fault_is_told_after_the_messages_before_it(run: Run[None]) -> None:
    async def main() -> None:
        wire, transport = connected()
        wire.data_received(octets(ccr(1)) + b"\x02\0\0\x14")
        assert wire.events[1] == 1
        assert "version 2" in wire.events[2]
        assert transport.written == octets(ccr(1))
        wire.data_received(b"more")
        assert "version 2" in wire.events[3]
        wire.connection_lost(ConnectionResetError())
        assert isinstance(wire.events[4][0], ConnectionResetError)

    run(main)


def test_an_unfinished_message_is_measured(run: Run[None]) -> None:
    async def main() -> None:
        wire, _ = connected()
        wire.data_received(octets(ccr(1))[:30])
        wire.connection_lost(None)
        assert wire.events == ["connected", (None, 30)]

    run(main)
