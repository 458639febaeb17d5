"""A node as its users see it: listen, connect, send, observe, close."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from aiodiameter.counters import MAX_CODES, OTHER, PeerCounters
from aiodiameter.errors import AnswerTimeout, EncodeError, NodeClosed, PeerGone, PeerRefused
from aiodiameter.message import Answer, ErrorAnswer
from aiodiameter.messages.base import (
    CapabilitiesExchangeRequest,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerAnswer,
    DisconnectPeerRequest,
)
from aiodiameter.messages.credit_control import CreditControlAnswer, CreditControlRequest
from aiodiameter.node import Node
from aiodiameter.peer import Peer
from aiodiameter.peer_machine import State, Timers
from aiodiameter.pending import BadAnswer, PeerBusy
from aiodiameter.settings import NodeSettings
from aiodiameter.watchdog import State as WatchdogState
from tests.aiodiameter.loopback import (
    CREDIT_CONTROL,
    QUICK,
    RawPeer,
    Run,
    both_loops,
    ccr,
    grant,
    identity,
    octets,
    open_peer,
    raw_peer,
    serving,
    still_served,
    until,
)

pytestmark = both_loops

PGW = identity("pgw.example.org")
HASTY = msgspec.structs.replace(QUICK, timers=Timers(settle_s=0.02, dpa_s=0.02), drain_s=0.02)
"""For what will never be answered."""


@asynccontextmanager
async def client(settings: NodeSettings = QUICK) -> AsyncIterator[Node]:
    node = Node(PGW, applications=[CREDIT_CONTROL], settings=settings)
    try:
        yield node
    finally:
        await node.close()


@asynccontextmanager
async def scripted_server(script: Any) -> AsyncIterator[tuple[str, int]]:
    """A listener that runs `script(raw peer)` for each connection."""
    scripts: list[asyncio.Task[None]] = []

    async def serve(raw: RawPeer) -> None:
        try:
            await script(raw)
        finally:
            await raw.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scripts.append(asyncio.create_task(serve(RawPeer(reader, writer))))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port
    finally:
        server.close()
        for task in scripts:
            task.cancel()
        for outcome in await asyncio.gather(*scripts, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        await server.wait_closed()


async def accept(raw: RawPeer, code: int = 2001, **avps: Any) -> CapabilitiesExchangeRequest:
    """The server's part of the capabilities exchange."""
    cer = await raw.message(CapabilitiesExchangeRequest)
    avps = {"auth_application_id": [4], "origin_host": "ocs.example.org", "origin_realm": "example.org", **avps}
    raw.send(octets(cer.answer(code, **avps), cer.header.hop_by_hop, cer.header.end_to_end))
    return cer


async def stay(raw: RawPeer) -> None:
    """Be a peer that says nothing but goodbye."""
    try:
        while True:
            message = (await raw.receive()).message
            if isinstance(message, DisconnectPeerRequest):
                answer = message.answer(2001, origin_host="ocs.example.org", origin_realm="example.org")
                raw.send(octets(answer, message.header.hop_by_hop))
    except asyncio.IncompleteReadError:
        pass


# Sending requests.


def test_two_nodes_talk(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (server, address), client() as pgw:
            peer = await pgw.connect(*address, origin_host="ocs.example.org")
            assert (peer.origin_host, peer.state, peer.is_usable) == ("ocs.example.org", State.I_OPEN, True)
            assert pgw.peers == [peer]
            assert pgw.peer("OCS.example.org") is peer
            answer = await pgw.send(ccr(7), peer)
            assert isinstance(answer, CreditControlAnswer)
            assert (answer.result_code, answer.cc_request_number) == (2001, 7)
            futures = [pgw.start(ccr(number), peer) for number in range(100)]
            assert peer.outstanding == 100
            answers = await asyncio.gather(*futures)
            assert [number.cc_request_number for number in answers] == list(range(100))  # type: ignore[attr-defined]
            assert (peer.outstanding, peer.counters.requests_sent, peer.counters.answers_received) == (
                0,
                {(4, 272): 101},
                {2001: 101},
            )
            seen = server.peers[0].counters
            assert (seen.requests_received, seen.answers_sent) == ({(4, 272): 101}, {2001: 101})

    run(main)


def test_identifiers_are_unique_and_kept_for_a_repetition(run: Run[None]) -> None:
    async def main() -> None:
        seen: list[tuple[int, int]] = []

        def handler(request: CreditControlRequest, peer: Peer) -> Answer:
            seen.append((request.header.hop_by_hop, request.header.end_to_end))
            return grant(request, peer)

        async with serving(handler=handler) as (_, address), client() as pgw:
            peer = await pgw.connect(*address)
            again = ccr(1)
            for request in (ccr(0), again, again):
                await pgw.send(request, peer)
            hop_by_hops, end_to_ends = zip(*seen, strict=True)
            assert len(set(hop_by_hops)) == 3
            assert end_to_ends[1] == end_to_ends[2] != end_to_ends[0]

    run(main)


def test_a_refusal_is_an_answer(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (_, address), client() as pgw:
            peer = await pgw.connect(*address)
            answer = await pgw.send(ccr(1, destination_host="elsewhere"), peer)
            assert isinstance(answer, ErrorAnswer)
            assert answer.result_code == 3002
            assert peer.counters.answers_received == {3002: 1}

    run(main)


def test_no_answer_in_time(run: Run[None]) -> None:
    async def main() -> None:
        requests: list[CreditControlRequest] = []
        futures: list[asyncio.Future[Answer]] = []

        def handler(request: CreditControlRequest, peer: Peer) -> asyncio.Future[Answer]:
            requests.append(request)
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

        async with serving(handler=handler) as (server, address), client() as pgw:
            peer = await pgw.connect(*address)
            with pytest.raises(AnswerTimeout, match=r"ocs\.example\.org"):
                await pgw.send(ccr(1), peer, timeout_s=0.01)
            assert (peer.counters.timeouts, peer.outstanding) == (1, 0)
            futures[0].set_result(grant(requests[0], server.peers[0]))
            await until(lambda: peer.counters.stray_answers == 1)

    run(main)


def test_a_caller_that_gives_up_leaves_nothing_behind(run: Run[None]) -> None:
    async def main() -> None:
        async with (
            serving(handler=lambda request, peer: asyncio.Future(), settings=HASTY) as (server, address),
            client() as pgw,
        ):
            peer = await pgw.connect(*address)
            sending = asyncio.create_task(pgw.send(ccr(1), peer))
            await until(lambda: server.in_flight)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await until(lambda: peer.outstanding == 0)
            assert peer.counters.timeouts == 0

    run(main)


def test_requests_end_with_their_connection(run: Run[None]) -> None:
    async def main() -> None:
        async def script(raw: RawPeer) -> None:
            await accept(raw)
            await raw.receive()
            raw.reset()

        async with scripted_server(script) as address, client() as pgw:
            peer = await pgw.connect(*address)
            with pytest.raises(PeerGone, match=r"ocs\.example\.org ended"):
                await pgw.send(ccr(1), peer)
            with pytest.raises(PeerGone, match="not connected"):
                pgw.start(ccr(1), peer)

    run(main)


def test_a_request_that_cannot_be_sent(run: Run[None]) -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(QUICK, max_outstanding=1)
        async with (
            serving(handler=lambda request, peer: asyncio.Future(), settings=HASTY) as (_, address),
            client(settings) as pgw,
        ):
            peer = await pgw.connect(*address)
            with pytest.raises(EncodeError):
                pgw.start(ccr(-1), peer)
            assert peer.outstanding == 0
            first = pgw.start(ccr(1), peer)
            with pytest.raises(PeerBusy):
                pgw.start(ccr(2), peer)
            assert peer.counters.requests_sent == {(4, 272): 1}
            first.cancel()

    run(main)


def test_an_answer_that_is_broken(run: Run[None]) -> None:
    async def main() -> None:
        async def script(raw: RawPeer) -> None:
            await accept(raw)
            request = await raw.message(CreditControlRequest)
            frame = octets(grant(request, None), request.header.hop_by_hop, request.header.end_to_end)  # type: ignore[arg-type]
            raw.send(frame[:1] + (len(frame) + 8).to_bytes(3, "big") + frame[4:] + b"\0\0\0\1\x40\0\0\x63")
            await stay(raw)

        async with scripted_server(script) as address, client() as pgw:
            peer = await pgw.connect(*address)
            with pytest.raises(BadAnswer, match="past the end") as caught:
                await pgw.send(ccr(1), peer)
            assert isinstance(caught.value.answer, CreditControlAnswer)

    run(main)


# Connecting.


def test_nobody_listens(run: Run[None]) -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            async with client() as pgw:
                with pytest.raises(PeerGone, match="cannot be reached"):
                    await pgw.connect(*taken.getsockname())
                assert pgw.peers == []

    run(main)


@pytest.mark.parametrize(
    ("code", "avps", "text"),
    [
        (5010, {"error_message": "not here"}, r"refused .* 5010 \(not here\)"),
        (2001, {"origin_host": "other"}, "ocs.example.org was expected"),
        (2001, {"auth_application_id": [1]}, "no application in common"),
    ],
)
def test_the_peer_does_not_want_us(run: Run[None], code: int, avps: dict[str, Any], text: str) -> None:
    async def main() -> None:
        async def script(raw: RawPeer) -> None:
            await accept(raw, code, **avps)
            await raw.ended()

        async with scripted_server(script) as address, client() as pgw:
            with pytest.raises(PeerRefused, match=text):
                await pgw.connect(*address, origin_host="ocs.example.org")
            assert pgw.peers == []

    run(main)


def test_a_node_refuses_a_node(run: Run[None]) -> None:
    async def main() -> None:
        async with serving(admit=lambda cer, address: False) as (server, address), client() as pgw:
            with pytest.raises(PeerRefused, match="3010"):
                await pgw.connect(*address)
            await until(lambda: server.counters.refused == {"unknown-peer": 1})

    run(main)


@pytest.mark.parametrize("behaviour", ["silent", "closes", "resets", "says something else", "strange identifiers"])
def test_a_peer_that_does_not_answer_the_cer(run: Run[None], behaviour: str) -> None:
    async def main() -> None:
        async def script(raw: RawPeer) -> None:
            cer = await raw.message(CapabilitiesExchangeRequest)
            if behaviour == "resets":
                raw.reset()
            elif behaviour == "says something else":
                raw.send(octets(DeviceWatchdogRequest(origin_host="ocs", origin_realm="r")))
            elif behaviour == "strange identifiers":
                answer = cer.answer(2001, origin_host="ocs", origin_realm="r", auth_application_id=[4])
                raw.send(octets(answer, cer.header.hop_by_hop ^ 1))
            if behaviour != "closes":
                await raw.ended()

        settings = msgspec.structs.replace(QUICK, timers=Timers(cea_s=0.02))
        async with scripted_server(script) as address, client(settings) as pgw:
            with pytest.raises(PeerGone, match="not connected"):
                await pgw.connect(*address)

    run(main)


def test_connecting_can_be_given_up(run: Run[None]) -> None:
    async def main() -> None:
        connected = asyncio.Event()
        ended = asyncio.Event()

        async def script(raw: RawPeer) -> None:
            connected.set()
            await raw.receive()
            await raw.ended()
            ended.set()

        async with scripted_server(script) as address, client() as pgw:
            connecting = asyncio.create_task(pgw.connect(*address))
            await connected.wait()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await ended.wait()

    run(main)


def test_a_lost_peer_is_dialled_again(run: Run[None]) -> None:
    async def main() -> None:
        attempts = 0

        async def script(raw: RawPeer) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 2:
                return
            await accept(raw)
            if attempts == 1:
                raw.reset()
            else:
                await stay(raw)

        settings = msgspec.structs.replace(QUICK, watchdog_reopen_answers=0)
        async with scripted_server(script) as address, client(settings) as pgw:
            peer = await pgw.connect(*address)
            await until(lambda: peer.counters.connections == 2)
            assert attempts == 3
            assert (peer.state, peer.watchdog_state) == (State.I_OPEN, WatchdogState.OKAY)
            assert pgw.peers == [peer]

    run(main)


@pytest.mark.parametrize("cause", list(DisconnectCause))
def test_who_said_goodbye_is_dialled_again_only_after_a_reboot(run: Run[None], cause: DisconnectCause) -> None:
    async def main() -> None:
        attempts = 0

        async def script(raw: RawPeer) -> None:
            nonlocal attempts
            attempts += 1
            await accept(raw)
            if attempts == 1:
                dpr = DisconnectPeerRequest(origin_host="ocs", origin_realm="r", disconnect_cause=cause)
                raw.send(octets(dpr))
                await raw.message(DisconnectPeerAnswer)
            else:
                await stay(raw)

        with capture_logs() as logs:
            async with scripted_server(script) as address, client() as pgw:
                peer = await pgw.connect(*address)
                if cause is DisconnectCause.REBOOTING:
                    await until(lambda: peer.counters.connections == 2)
                    assert peer.watchdog_state is WatchdogState.OKAY
                else:
                    await until(lambda: any(entry["event"] == "not dialling again" for entry in logs))
                    assert attempts == 1

    run(main)


def test_a_node_that_is_connected_to_a_peer_refuses_to_reach_it_twice(run: Run[None]) -> None:
    async def main() -> None:
        async def script(raw: RawPeer) -> None:
            await accept(raw)
            await stay(raw)

        async with scripted_server(script) as address, client() as pgw:
            await pgw.connect(*address)
            with pytest.raises(PeerRefused, match="connected already"):
                await pgw.connect(*address)
            assert [peer.state for peer in pgw.peers] == [State.I_OPEN]

    run(main)


# Listening and closing.


def test_several_listeners_and_ipv6(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, first):
            second = await node.listen("127.0.0.1", 0)
            try:
                third = await node.listen("::1", 0)
            except OSError:
                third = None  # a machine without IPv6
            assert first != second
            async with open_peer(first) as a, open_peer(second, "b.example.org") as b:
                await still_served(a)
                await still_served(b)
                if third is not None:
                    async with open_peer(third, "c.example.org") as c:
                        await still_served(c)
                        assert node.peers[2].remote_address == c.address

    run(main)


def test_an_address_in_use(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, address):
            with pytest.raises(OSError, match="address"):
                await node.listen(*address)

    run(main)


def test_a_class_of_no_application_has_no_handler(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, _):
            with pytest.raises(ValueError, match="DeviceWatchdogRequest"):
                node.on(
                    DeviceWatchdogRequest, lambda request, peer: request.answer(2001, origin_host="", origin_realm="")
                )
            assert (node.identity.host, node.settings) == ("ocs.example.org", QUICK)

    run(main)


def test_closing_answers_first_what_is_in_flight(run: Run[None]) -> None:
    async def main() -> None:
        futures: list[asyncio.Future[Answer]] = []

        def handler(request: CreditControlRequest, peer: Peer) -> asyncio.Future[Answer]:
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

        async with serving(handler=handler) as (node, address), open_peer(address) as raw:
            raw.send(octets(ccr(1), 1))
            await until(lambda: futures)
            closing = asyncio.create_task(node.close())
            await asyncio.sleep(0)
            futures[0].set_result(grant(ccr(1), node.peers[0]))
            await raw.message(CreditControlAnswer)
            dpr = await raw.message(DisconnectPeerRequest)
            assert dpr.disconnect_cause is DisconnectCause.REBOOTING
            # A request that crossed the DPR is answered as well, even after the DPA.
            raw.send(
                octets(ccr(2), 2), octets(dpr.answer(2001, origin_host="pgw", origin_realm="r"), dpr.header.hop_by_hop)
            )
            await until(lambda: node.peers[0].state is State.SETTLING)
            futures[1].set_result(grant(ccr(2), node.peers[0]))
            await raw.message(CreditControlAnswer)
            assert await raw.ended()
            await closing
            await node.close()
            with pytest.raises(NodeClosed):
                await node.listen("127.0.0.1", 0)
            with pytest.raises(NodeClosed):
                await node.connect(*address)
            with pytest.raises(NodeClosed):
                await node.send(ccr(1), node.peers[0])
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*address)

    run(main)


def test_closing_does_not_wait_for_ever(run: Run[None]) -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def handler(request: CreditControlRequest, peer: Peer) -> Answer:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        async with (
            serving(handler=handler, settings=HASTY) as (node, address),
            open_peer(address) as raw,
            raw_peer(address),
        ):
            raw.send(octets(ccr(1), 1))
            await until(lambda: node.in_flight)
            await node.close()
            assert cancelled.is_set()
            assert node.peers[0].counters.disconnections == {"no-dpa": 1}
            assert node.counters.refused == {"stopped": 1}

    run(main)


def test_closing_while_a_connection_is_being_made(run: Run[None]) -> None:
    async def main() -> None:
        connected = asyncio.Event()

        async def script(raw: RawPeer) -> None:
            await raw.receive()
            connected.set()
            await raw.ended()

        async with scripted_server(script) as address:
            pgw = Node(PGW, applications=[CREDIT_CONTROL], settings=QUICK)
            connecting = asyncio.create_task(pgw.connect(*address))
            await connected.wait()
            await pgw.close()
            with pytest.raises(PeerGone):
                await connecting

    run(main)


def test_closing_while_a_lost_peer_is_dialled(run: Run[None]) -> None:
    async def main() -> None:
        async def script(raw: RawPeer) -> None:
            await accept(raw)

        async with scripted_server(script) as address:
            pgw = Node(PGW, applications=[CREDIT_CONTROL], settings=msgspec.structs.replace(QUICK, reconnect_s=100))
            peer = await pgw.connect(*address)
            await until(lambda: peer.state is State.CLOSED)
            await pgw.close()

    run(main)


def test_one_peer_can_be_disconnected(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (server, address), client() as pgw:
            peer = await pgw.connect(*address)
            async with open_peer(address, "other.example.org") as other:
                await pgw.disconnect(peer, DisconnectCause.BUSY)
                assert (peer.state, peer.watchdog_state) == (State.CLOSED, WatchdogState.INITIAL)
                assert peer.counters.disconnections == {"goodbye": 1}
                with pytest.raises(PeerGone):
                    await pgw.disconnect(peer)
                await still_served(other)
                await until(lambda: server.peers[0].state is State.CLOSED)
                assert server.peers[0].counters.disconnections == {"goodbye": 1}

    run(main)


def test_observers_learn_of_changes_and_cannot_harm(run: Run[None]) -> None:
    async def main() -> None:
        seen: list[tuple[str, str]] = []

        def broken(peer: Peer) -> None:
            raise LookupError

        async with serving() as (node, address):
            node.observe(broken)
            node.observe(lambda peer: seen.append((peer.state.name, peer.watchdog_state.name)))
            async with open_peer(address) as raw:
                await still_served(raw)
            await until(lambda: node.peers[0].state is State.CLOSED)
            assert ("R_OPEN", "OKAY") in seen
            assert seen[-1] == ("CLOSED", "DOWN")

    run(main)


def test_good_messages_leave_no_line_in_the_log(run: Run[None]) -> None:
    async def main() -> None:
        with capture_logs() as logs:
            async with serving() as (_, address), client() as pgw:
                peer = await pgw.connect(*address)
                for number in range(10):
                    await pgw.send(ccr(number), peer)
        assert sorted(entry["event"] for entry in logs) == ["peer connected"] * 2 + ["peer disconnected"] * 2

    run(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("watchdog_interval_s", 5.0),
        ("watchdog_jitter_s", 30.0),
        ("watchdog_jitter_s", -1.0),
        ("max_first_message_octets", 1 << 21),
        ("sweep_s", 0.0),
        ("reconnect_s", 0.0),
    ],
)
def test_settings_that_cannot_work(run: Run[None], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        NodeSettings(**{name: value})  # type: ignore[arg-type]


# Corners.


def test_a_strange_address(run: Run[None]) -> None:
    async def main() -> None:
        async with client() as pgw:
            for host, port in (("x" * 80 + ".example", 3868), ("127.0.0.1", 99_999), ("no such host", 1)):
                with pytest.raises(PeerGone, match="cannot be reached"):
                    await pgw.connect(host, port)

    run(main)


def test_a_peer_that_is_only_dialled_can_be_given_up(run: Run[None]) -> None:
    async def main() -> None:
        attempts: list[RawPeer] = []

        async def script(raw: RawPeer) -> None:
            attempts.append(raw)
            if len(attempts) == 1:
                await accept(raw)

        async with scripted_server(script) as address, client() as pgw:
            peer = await pgw.connect(*address)
            assert (peer.in_flight, peer.outstanding) == (0, 0)
            await until(lambda: len(attempts) > 1 and peer.connection is None)
            assert (peer.in_flight, peer.outstanding) == (0, 0)
            await pgw.disconnect(peer)
            with pytest.raises(PeerGone):
                await pgw.disconnect(peer)

    run(main)


def test_a_peer_cannot_make_counters_grow(run: Run[None]) -> None:
    counters = PeerCounters()
    for code in range(1000):
        counters.count_received(code + 1)
        counters.count_received(1)
    assert len(counters.answers_received) == MAX_CODES + 1
    assert counters.answers_received[OTHER] == 1000 - MAX_CODES
    assert counters.answers_received[1] == 1001
