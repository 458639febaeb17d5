"""A Diameter connection for load: capabilities are exchanged as by any peer, then as little as possible is done.

Owns the connection's identifiers, its requests under way and its octets. Refuses to know what is sent when (`load`) and
what stands in a request (`load_session`). Watchdog and disconnection of the other side are answered.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol, cast

from aiodiameter.capabilities import judge_cea, make_cer
from aiodiameter.codec import Registry, encode
from aiodiameter.errors import FramingError, PeerError, PeerGone, PeerRefused
from aiodiameter.framing import Framer
from aiodiameter.identity import Application, Identity
from aiodiameter.message import ErrorAnswer, Message
from aiodiameter.messages.base import (
    BASE_MESSAGES,
    CapabilitiesExchangeAnswer,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerAnswer,
    DisconnectPeerRequest,
)
from aiodiameter.messages.credit_control import CREDIT_CONTROL_MESSAGES

from .load_session import LoadSession

_APPLICATIONS = (Application(id=4, messages=CREDIT_CONTROL_MESSAGES),)
_CREDIT_CONTROL = (272).to_bytes(3, "big")
_32_BITS = 0xFFFFFFFF
OPEN_TIMEOUT_S = 10.0
"""For connecting and for the CEA."""
CLOSE_TIMEOUT_S = 2.0
"""For the DPA."""


MakeFrame = Callable[[LoadSession, int, int], bytes]
"""A session's request with those Hop-by-Hop and End-to-End Identifiers."""


class Driver(Protocol):
    """Who decides what a connection sends."""

    def answered(self, connection: "LoadConnection", session: LoadSession, answer: bytes, now_ns: int) -> None:
        """An answer has come."""

    def lost(self, connection: "LoadConnection", sessions: list[LoadSession]) -> None:
        """The connection has ended, and with it what was under way."""


class LoadConnection(asyncio.Protocol):
    """One connection, of one Diameter identity."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.server: str | None = None
        """Origin-Host of the other side."""
        self.sessions: list[LoadSession] = []
        """All that were given to this connection."""
        self.driver: Driver | None = None
        self.stray_answers = 0
        self.is_open = False
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._registry = Registry(*BASE_MESSAGES)
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._pending: dict[int, LoadSession] = {}
        self._hop_by_hop = random.getrandbits(32)
        self._end_to_end = (int(time.time()) & 0xFFF) << 20 | random.getrandbits(20)
        self._out: list[bytes] = []
        self._flush_is_due = False

    @property
    def under_way(self) -> int:
        """Requests without an answer."""
        return len(self._pending)

    def send(self, session: LoadSession, make: MakeFrame, sent_ns: int) -> None:
        """Sends what `make` gives. What is sent in one turn of the loop leaves together."""
        self._hop_by_hop = hop_by_hop = (self._hop_by_hop + 1) & _32_BITS
        self._end_to_end = end_to_end = (self._end_to_end + 1) & _32_BITS
        session.sent_ns = sent_ns
        self._pending[hop_by_hop] = session
        self._out.append(make(session, hop_by_hop, end_to_end))
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def forget(self) -> int:
        """No answer is waited for any longer; one that comes yet is stray. Returns how many were missing."""
        missing = len(self._pending)
        self._pending.clear()
        return missing

    async def connect(self, host: str, port: int) -> None:
        """As `open_connection`, which makes one and connects it."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._loop.create_connection(lambda: self, host, port)
                await asyncio.shield(self.opened)
        except BaseException as error:
            self.opened.cancel()
            if self._transport is not None:
                self._transport.abort()
                await self.gone
            if isinstance(error, OSError | TimeoutError):
                raise PeerGone(f"{host}:{port} cannot be reached: {error or 'no answer'}") from error
            raise

    async def close(self) -> None:
        """DPR, DPA, end (RFC 6733 §5.4)."""
        if self._transport is None:
            return
        self.is_open = False
        request = DisconnectPeerRequest(
            origin_host=self.identity.host,
            origin_realm=self.identity.realm,
            disconnect_cause=DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU,
        )
        self._write(request)
        await asyncio.wait([self.gone], timeout=CLOSE_TIMEOUT_S)
        if self._transport is not None:
            self._transport.abort()
            await self.gone

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write(make_cer(self.identity, _APPLICATIONS, transport.get_extra_info("sockname")[0]))

    def data_received(self, data: bytes) -> None:
        now_ns = time.perf_counter_ns()
        try:
            frames = self._framer.feed(data)
        except FramingError as error:
            self._abort(PeerGone(f"what answers is no Diameter: {error.reason}"))
            return
        self._flush_is_due = True  # below, once for all that these answers lead to
        pending, driver = self._pending, self.driver
        for frame in frames:
            if frame[4] & 0x80 or frame[5:8] != _CREDIT_CONTROL:
                self._receive_base(frame)
                continue
            session = pending.pop(int.from_bytes(frame[12:16], "big"), None)
            if session is None or driver is None:
                self.stray_answers += 1
            else:
                driver.answered(self, session, frame, now_ns)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.is_open = False
        if not self.opened.done():
            self.opened.set_exception(PeerGone("the connection ended before the capabilities were exchanged"))
        lost = list(self._pending.values())
        self._pending.clear()
        if self.driver is not None:
            self.driver.lost(self, lost)
        self.gone.set_result(None)

    def _abort(self, reason: PeerError) -> None:
        if not self.opened.done():
            self.opened.set_exception(reason)
        if self._transport is not None:
            self._transport.abort()

    # The base protocol.

    def _write(self, message: Message) -> None:
        if message.is_request:
            self._hop_by_hop = message.header.hop_by_hop = (self._hop_by_hop + 1) & _32_BITS
            self._end_to_end = message.header.end_to_end = (self._end_to_end + 1) & _32_BITS
        self._out.append(encode(message))
        self._flush()

    def _receive_base(self, frame: bytes) -> None:
        message, faults = self._registry.decode(frame)[1:]
        if isinstance(message, CapabilitiesExchangeAnswer | ErrorAnswer) and not self.opened.done():
            verdict = judge_cea(message, faults, _APPLICATIONS, None)
            if verdict.is_success:
                self.server, self.is_open = message.origin_host, True
                self.opened.set_result(None)
            else:
                self._abort(PeerRefused(verdict.text))
        elif isinstance(message, DeviceWatchdogRequest | DisconnectPeerRequest):
            self._write(message.answer(2001, origin_host=self.identity.host, origin_realm=self.identity.realm))
            if isinstance(message, DisconnectPeerRequest):
                self.is_open = False  # whoever receives the DPA closes
        elif isinstance(message, DisconnectPeerAnswer) and self._transport is not None:
            self._transport.close()


async def open_connection(host: str, port: int, identity: Identity) -> LoadConnection:
    """Connects and exchanges capabilities. Raises PeerGone when nothing answers there, PeerRefused when the CEA says
    no.
    """
    connection = LoadConnection(identity)
    await connection.connect(host, port)
    return connection
