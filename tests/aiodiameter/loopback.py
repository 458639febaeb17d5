"""Nodes and raw peers over loopback sockets, under both event loops. Helpers of the tests of this folder."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
import uvloop

from aiodiameter.codec import Decoded, Registry, encode
from aiodiameter.header import FLAG_PROXIABLE, FLAG_REQUEST, Header
from aiodiameter.identity import Application, Identity
from aiodiameter.message import Answer, Message
from aiodiameter.messages.base import BASE_MESSAGES, CapabilitiesExchangeAnswer, CapabilitiesExchangeRequest
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
)
from aiodiameter.node import Node
from aiodiameter.peer import Peer
from aiodiameter.peer_machine import Timers
from aiodiameter.settings import NodeSettings

T = TypeVar("T")
Run = Callable[[Callable[[], Coroutine[Any, Any, T]]], T]

CREDIT_CONTROL = Application(id=4, messages=CREDIT_CONTROL_MESSAGES)
LIMIT_S = 20.0
"""For a whole test: reached only when something hangs."""


def _runner(loop_factory: Callable[[], asyncio.AbstractEventLoop], debug: bool) -> Callable[..., Any]:
    def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        unhandled: list[dict[str, Any]] = []

        async def limited() -> T:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
            async with asyncio.timeout(LIMIT_S):
                result = await main()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left behind: {left}"
            return result

        with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
            result = runner.run(limited())
        assert not unhandled, f"exceptions nobody handled: {unhandled}"
        return result

    return run


both_loops = pytest.mark.parametrize(
    "run", [_runner(asyncio.new_event_loop, True), _runner(uvloop.new_event_loop, False)], ids=["asyncio", "uvloop"]
)

QUICK = NodeSettings(
    timers=Timers(connect_s=2, cer_s=5, cea_s=5, settle_s=1, dpa_s=1),
    allow_short_watchdog=True,
    watchdog_interval_s=30,
    sweep_s=0.01,
    reconnect_s=0.02,
    drain_s=0.5,
    close_linger_s=0.5,
)


def identity(host: str = "ocs.example.org") -> Identity:
    return Identity(host=host, realm="example.org", product_name="test", origin_state_id=7)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[Node, tuple[str, int]]]:
    """A node that listens on a free port and answers credit control with 2001."""
    handler = options.pop("handler", grant)
    node = Node(
        options.pop("identity", identity()),
        applications=options.pop("applications", [CREDIT_CONTROL]),
        settings=options.pop("settings", QUICK),
        admit=options.pop("admit", lambda cer, address: True),
    )
    assert not options
    node.on(CreditControlRequest, handler)
    try:
        yield node, await node.listen("127.0.0.1", 0)
    finally:
        await node.close()


def grant(request: CreditControlRequest, peer: Peer) -> Answer:
    return request.answer(2001, origin_host="ocs.example.org", origin_realm="example.org")


def cer(host: str = "pgw.example.org", **avps: Any) -> CapabilitiesExchangeRequest:
    return CapabilitiesExchangeRequest(
        **{
            "origin_host": host,
            "origin_realm": "example.org",
            "host_ip_address": ["192.0.2.1"],
            "vendor_id": 0,
            "product_name": "raw",
            "auth_application_id": [4],
            "header": CapabilitiesExchangeRequest.new_header(),
            **avps,
        }
    )


def ccr(number: int = 0, **avps: Any) -> CreditControlRequest:
    return CreditControlRequest(
        **{
            "session_id": "pgw.example.org;1;1",
            "origin_host": "pgw.example.org",
            "origin_realm": "example.org",
            "destination_realm": "example.org",
            "auth_application_id": 4,
            "service_context_id": "32251@3gpp.org",
            "cc_request_type": CcRequestType.UPDATE_REQUEST if number else CcRequestType.INITIAL_REQUEST,
            "cc_request_number": number,
            **avps,
        }
    )


def octets(message: Message, hop_by_hop: int = 1, end_to_end: int = 1) -> bytes:
    """An encoded message with those identifiers."""
    message.header.hop_by_hop = hop_by_hop
    message.header.end_to_end = end_to_end
    return encode(message)


def raw_message(command_code: int, body: bytes = b"", *, application_id: int = 4, flags: int = -1) -> bytes:
    """A request of any command with any body; identifiers 1 and 1."""
    flags = FLAG_REQUEST | FLAG_PROXIABLE if flags < 0 else flags
    return Header(command_code, application_id, flags, 1, 1).to_bytes(20 + len(body)) + body


def raw_avp(code: int, data: bytes, *, flags: int = 0x40, length: int | None = None) -> bytes:
    """An AVP whose length field may lie."""
    length = len(data) + 8 if length is None else length
    return struct.pack("!II", code, flags << 24 | length) + data + bytes(-len(data) % 4)


class RawPeer:
    """The other end of a connection: sends any octets, reads whole messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._registry = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.writer.get_extra_info("sockname")[:2]
        return host, port

    def send(self, *messages: bytes) -> None:
        self.writer.write(b"".join(messages))

    async def receive_octets(self) -> bytes:
        head = await self.reader.readexactly(4)
        return head + await self.reader.readexactly(int.from_bytes(head[1:], "big") - 4)

    async def receive(self) -> Decoded:
        return self._registry.decode(await self.receive_octets())

    async def message(self, kind: type[T]) -> T:
        """The next message, which has to be of that class and without a fault."""
        _, message, faults = await self.receive()
        assert not faults, faults
        assert isinstance(message, kind), message
        return message

    async def ended(self) -> bool:
        """Waits until the node closes; True if it sent nothing before."""
        try:
            return not await self.reader.read()
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """End without FIN."""
        self.writer.transport.abort()


@asynccontextmanager
async def raw_peer(address: tuple[str, int]) -> AsyncIterator[RawPeer]:
    """A TCP connection to a node, and nothing said yet."""
    peer = RawPeer(*await asyncio.open_connection(*address))
    try:
        yield peer
    finally:
        await peer.close()


@asynccontextmanager
async def open_peer(address: tuple[str, int], host: str = "pgw.example.org", **avps: Any) -> AsyncIterator[RawPeer]:
    """A connection with capabilities exchanged."""
    async with raw_peer(address) as peer:
        peer.send(octets(cer(host, **avps)))
        cea = await peer.message(CapabilitiesExchangeAnswer)
        assert cea.result_code == 2001
        yield peer


async def still_served(peer: RawPeer, number: int = 99) -> None:
    """The peer gets an answer to a request, as if nothing had happened anywhere."""
    peer.send(octets(ccr(number), hop_by_hop=number))
    answer = await peer.message(CreditControlAnswer)
    assert (answer.result_code, answer.cc_request_number, answer.header.hop_by_hop) == (2001, number, number)


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that nobody announces; a test that hangs here fails at its limit."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event, and needs none outside of tests
        await asyncio.sleep(0.001)


def without_avp(frame: bytes, code: int) -> bytes:
    """The message without the AVPs of that code at its top level."""
    position, kept = 20, b""
    while position < len(frame):
        length = int.from_bytes(frame[position + 5 : position + 8], "big")
        stop = position + length + (-length & 3)
        if int.from_bytes(frame[position : position + 4], "big") != code:
            kept += frame[position:stop]
        position = stop
    return frame[:1] + (20 + len(kept)).to_bytes(3, "big") + frame[4:20] + kept
