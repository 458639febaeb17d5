"""What one connection does, seen from its other end. RFC 6733 §5, §6.2, §7; RFC 3539 §3.4.1."""

import asyncio
from typing import Any

import msgspec
import pytest

from aiodiameter.connection import Connection
from aiodiameter.context import Context
from aiodiameter.errors import PeerGone
from aiodiameter.header import FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, FLAG_RETRANSMITTED
from aiodiameter.identity import Application
from aiodiameter.message import Answer, ErrorAnswer, ProxyInfo
from aiodiameter.messages.base import (
    CapabilitiesExchangeAnswer,
    DeviceWatchdogAnswer,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerAnswer,
    DisconnectPeerRequest,
    VendorSpecificApplicationId,
)
from aiodiameter.messages.credit_control import (
    CreditControlAnswer,
    CreditControlRequest,
    ReAuthAnswer,
    ReAuthRequest,
)
from aiodiameter.peer import Peer
from aiodiameter.peer_machine import State, Timers
from aiodiameter.result_codes import ResultCode
from aiodiameter.watchdog import State as WatchdogState
from tests.aiodiameter.loopback import (
    CREDIT_CONTROL,
    QUICK,
    Run,
    both_loops,
    ccr,
    cer,
    grant,
    identity,
    octets,
    open_peer,
    raw_message,
    raw_peer,
    serving,
    still_served,
    until,
    without_avp,
)

pytestmark = both_loops

SHORT_WATCHDOG = msgspec.structs.replace(QUICK, watchdog_interval_s=0.05, watchdog_jitter_s=0.0)
GX = Application(id=16777238, vendor_id=10415, messages=())


def dwr() -> DeviceWatchdogRequest:
    return DeviceWatchdogRequest(origin_host="pgw.example.org", origin_realm="example.org")


def dpr(cause: DisconnectCause = DisconnectCause.REBOOTING) -> DisconnectPeerRequest:
    return DisconnectPeerRequest(origin_host="pgw.example.org", origin_realm="example.org", disconnect_cause=cause)


# The capabilities exchange.


def test_a_cer_is_answered_with_what_the_node_is(run: Run[None]) -> None:
    async def main() -> None:
        async with serving(applications=[CREDIT_CONTROL, GX]) as (node, address), raw_peer(address) as raw:
            raw.send(octets(cer(), hop_by_hop=11, end_to_end=22))
            cea = await raw.message(CapabilitiesExchangeAnswer)
            assert (cea.header.hop_by_hop, cea.header.end_to_end, cea.header.flags) == (11, 22, 0)
            assert (cea.result_code, cea.origin_host, cea.origin_realm) == (2001, "ocs.example.org", "example.org")
            assert (cea.host_ip_address, cea.vendor_id, cea.product_name) == (["127.0.0.1"], 0, "test")
            assert (cea.auth_application_id, cea.origin_state_id) == ([4], 7)
            assert cea.vendor_specific_application_id == [
                VendorSpecificApplicationId(vendor_id=[10415], auth_application_id=16777238)
            ]
            (peer,) = node.peers
            assert (peer.origin_host, peer.origin_realm, peer.product_name) == ("pgw.example.org", "example.org", "raw")
            assert (peer.state, peer.watchdog_state, peer.is_usable) == (State.R_OPEN, WatchdogState.OKAY, True)
            assert (peer.applications, peer.remote_address) == (frozenset({4}), raw.address)
            assert (peer.counters.connections, node.counters.accepted) == (1, 1)
            assert repr(peer) == "<Peer pgw.example.org R_OPEN OKAY>"

    run(main)


@pytest.mark.parametrize(
    ("avps", "code", "reason"),
    [
        ({"auth_application_id": [1]}, 5010, "no-common-application"),
        ({"inband_security_id": [1]}, 5017, "no-common-security"),
        ({"host": "ocs.example.org"}, 3010, "unknown-peer"),
        ({"host": "stranger.example.org"}, 3010, "unknown-peer"),
        ({"host": "busy.example.org"}, 3004, "not-admitted"),
        ({"host": "broken.example.org"}, 5012, "admission-failed"),
        ({"host": "odd.example.org"}, 5012, "admission-failed"),
    ],
)
def test_a_peer_that_is_refused_hears_why(run: Run[None], avps: dict[str, Any], code: int, reason: str) -> None:
    def admit(request: Any, address: tuple[str, int]) -> bool | ResultCode:
        if request.origin_host.startswith("broken"):
            raise OSError("no peer table")
        if request.origin_host.startswith("odd"):
            return None  # type: ignore[return-value]
        if request.origin_host.startswith("busy"):
            return ResultCode.TOO_BUSY
        return not request.origin_host.startswith("stranger")

    async def main() -> None:
        async with serving(admit=admit) as (node, address), raw_peer(address) as raw:
            raw.send(octets(cer(**avps)))
            _, answer, _ = await raw.receive()
            assert isinstance(answer, ErrorAnswer if code < 4000 else CapabilitiesExchangeAnswer)
            assert answer.result_code == code
            assert answer.header.is_error == (code < 4000)
            assert await raw.ended()
            assert node.counters.refused == {reason: 1}
            assert node.peers == []

    run(main)


def test_nobody_is_admitted_unless_somebody_says_so(run: Run[None]) -> None:
    async def main() -> None:
        async with serving(admit=None) as (_, address), raw_peer(address) as raw:
            raw.send(octets(cer()))
            assert (await raw.message(ErrorAnswer)).result_code == 3010
            assert await raw.ended()

    run(main)


@pytest.mark.parametrize(
    ("code", "zero"),
    [(264, b""), (296, b""), (257, b"\0\1\0\0\0\0"), (266, b"\0\0\0\0"), (269, b"")],
    ids=["Origin-Host", "Origin-Realm", "Host-IP-Address", "Vendor-Id", "Product-Name"],
)
def test_a_cer_without_a_required_avp(run: Run[None], code: int, zero: bytes) -> None:
    async def main() -> None:
        async with serving() as (node, address), raw_peer(address) as raw:
            raw.send(without_avp(octets(cer()), code))
            cea = await raw.message(CapabilitiesExchangeAnswer)
            assert cea.result_code == 5005
            (failed,) = cea.failed_avp[0].other
            assert (failed.code, failed.data) == (code, zero)
            assert await raw.ended()
            assert node.counters.refused == {"bad-cer": 1}
            assert node.counters.malformed == {"MISSING_AVP": 1}

    run(main)


def test_a_second_connection_of_an_identity_is_refused_and_the_first_asked(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, address), open_peer(address) as first, raw_peer(address) as second:
            second.send(octets(cer("PGW.example.org")))
            cea = await second.message(CapabilitiesExchangeAnswer)
            assert cea.result_code == ResultCode.ELECTION_LOST
            assert await second.ended()
            assert node.counters.refused == {"already-connected": 1}
            question = await first.message(DeviceWatchdogRequest)
            first.send(octets(question.answer(2001, origin_host="pgw.example.org", origin_realm="example.org")))
            await still_served(first)
            assert len(node.peers) == 1

    run(main)


def test_a_second_cer_on_a_connection_changes_nothing(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, address), open_peer(address) as raw:
            raw.send(octets(cer(auth_application_id=[1]), 5, 6))
            cea = await raw.message(CapabilitiesExchangeAnswer)
            assert (cea.result_code, cea.header.hop_by_hop) == (2001, 5)
            raw.send(octets(cer("other.example.org")))
            assert (await raw.message(CapabilitiesExchangeAnswer)).result_code == 5012
            raw.send(without_avp(octets(cer()), 264))
            assert (await raw.message(CapabilitiesExchangeAnswer)).result_code == 5005
            await still_served(raw)
            (peer,) = node.peers
            assert (peer.origin_host, peer.applications) == ("pgw.example.org", frozenset({4}))

    run(main)


# The watchdog.


def test_a_dwr_is_answered(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (_, address), open_peer(address) as raw:
            raw.send(octets(dwr(), 8, 9))
            dwa = await raw.message(DeviceWatchdogAnswer)
            assert (dwa.result_code, dwa.origin_host, dwa.origin_state_id) == (2001, "ocs.example.org", 7)
            assert (dwa.header.hop_by_hop, dwa.header.end_to_end, dwa.header.flags) == (8, 9, 0)
            raw.send(without_avp(octets(dwr()), 264))
            assert (await raw.message(DeviceWatchdogAnswer)).result_code == 5005
            await still_served(raw)

    run(main)


def test_silence_is_questioned_suspected_and_ended(run: Run[None]) -> None:
    async def main() -> None:
        async with serving(settings=SHORT_WATCHDOG) as (node, address), open_peer(address) as raw:
            (peer,) = node.peers
            states: list[str] = []
            refusals: list[str] = []

            def observe(peer: Peer) -> None:
                states.append(peer.watchdog_state.name)
                with pytest.raises(PeerGone) as refused:
                    node.start(ccr(), peer)
                refusals.append(str(refused.value))

            node.observe(observe)
            for _ in range(3):
                question = await raw.message(DeviceWatchdogRequest)
                raw.send(octets(question.answer(2001, origin_host="pgw", origin_realm="r"), question.header.hop_by_hop))
            await raw.message(DeviceWatchdogRequest)
            assert await raw.ended()
            assert "SUSPECT: no new requests" in refusals[0]
            assert states[0] == "SUSPECT"
            assert states[-1] == "DOWN"
            assert peer.counters.disconnections == {"watchdog": 1}
            assert peer.state is State.CLOSED

    run(main)


def test_a_suspect_that_speaks_is_trusted_again(run: Run[None]) -> None:
    async def main() -> None:
        async with serving(settings=SHORT_WATCHDOG) as (node, address), open_peer(address) as raw:
            states: list[str] = []

            def speak_when_suspected(peer: Peer) -> None:
                states.append(peer.watchdog_state.name)
                if states == ["SUSPECT"]:
                    raw.send(octets(ccr(1)))

            node.observe(speak_when_suspected)
            await until(lambda: len(states) >= 2)
            assert states[:2] == ["SUSPECT", "OKAY"]

    run(main)


def test_after_a_failure_a_peer_is_answered_at_once_and_used_after_three_answers(run: Run[None]) -> None:
    async def main() -> None:
        async with serving(settings=SHORT_WATCHDOG) as (node, address):
            async with open_peer(address) as raw:
                raw.reset()
            await until(lambda: node.peers[0].watchdog_state is WatchdogState.DOWN)
            async with open_peer(address) as raw:
                (peer,) = node.peers
                with pytest.raises(PeerGone, match="REOPEN"):
                    node.start(ccr(), peer)
                for _ in range(3):
                    assert not peer.is_usable
                    question = await raw.message(DeviceWatchdogRequest)
                    answer = question.answer(2001, origin_host="pgw", origin_realm="r")
                    raw.send(octets(answer, question.header.hop_by_hop), octets(ccr(1)))
                    assert (await raw.message(CreditControlAnswer)).result_code == 2001
                await until(lambda: peer.is_usable)
                assert peer.counters.connections == 2

    run(main)


# Goodbyes.


def test_a_dpr_is_answered_and_the_peer_closes(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, address), open_peer(address) as raw:
            (peer,) = node.peers
            raw.send(octets(dpr(DisconnectCause.BUSY), 3, 4))
            dpa = await raw.message(DisconnectPeerAnswer)
            assert (dpa.result_code, dpa.header.hop_by_hop, dpa.header.flags) == (2001, 3, 0)
            assert peer.state is State.CLOSING
            with pytest.raises(PeerGone, match="CLOSING"):
                node.start(ccr(), peer)
            await raw.close()
            await until(lambda: peer.state is State.CLOSED)
            assert peer.watchdog_state is WatchdogState.INITIAL
            assert peer.counters.disconnections == {"goodbye": 1}

    run(main)


def test_requests_before_a_dpr_are_answered_before_the_dpa(run: Run[None]) -> None:
    async def main() -> None:
        waiting: list[tuple[CreditControlRequest, asyncio.Future[Answer]]] = []

        def handler(request: CreditControlRequest, peer: Peer) -> asyncio.Future[Answer]:
            waiting.append((request, asyncio.get_running_loop().create_future()))
            return waiting[-1][1]

        async with serving(handler=handler) as (node, address), open_peer(address) as raw:
            raw.send(octets(ccr(1), 1), octets(ccr(2), 2), octets(dpr(), 3))
            await until(lambda: node.peers[0].state is State.LEAVING)
            assert node.in_flight == 2
            for request, future in reversed(waiting):
                future.set_result(grant(request, node.peers[0]))
            assert [(await raw.message(CreditControlAnswer)).cc_request_number for _ in range(2)] == [2, 1]
            await raw.message(DisconnectPeerAnswer)

    run(main)


def test_a_dpa_waits_only_so_long(run: Run[None]) -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(QUICK, timers=Timers(settle_s=0.02, dpa_s=0.02))
        futures: list[asyncio.Future[Answer]] = []

        def handler(request: CreditControlRequest, peer: Peer) -> asyncio.Future[Answer]:
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

        async with serving(handler=handler, settings=settings) as (node, address), open_peer(address) as raw:
            raw.send(octets(ccr(1), 1), octets(dpr(), 3))
            await raw.message(DisconnectPeerAnswer)
            assert await raw.ended(), "the peer did not close, so the node does"
            (peer,) = node.peers
            assert peer.counters.disconnections == {"no-dpa": 1}
            futures[0].set_result(grant(ccr(1), peer))
            await until(lambda: peer.counters.unsent_answers)

    run(main)


def test_crossing_goodbyes(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, address), open_peer(address) as raw:
            closing = asyncio.create_task(node.close(DisconnectCause.BUSY))
            ours = await raw.message(DisconnectPeerRequest)
            assert ours.disconnect_cause is DisconnectCause.BUSY
            raw.send(octets(dpr(), 3), octets(ccr(5), 5), octets(dwr(), 6))
            assert (await raw.message(DisconnectPeerAnswer)).header.hop_by_hop == 3
            assert (await raw.message(CreditControlAnswer)).cc_request_number == 5
            assert (await raw.message(DeviceWatchdogAnswer)).header.hop_by_hop == 6
            answer = ours.answer(2001, origin_host="pgw", origin_realm="r")
            raw.send(octets(answer, ours.header.hop_by_hop))
            assert await raw.ended()
            await closing

    run(main)


# Requests and their answers.


@pytest.mark.parametrize("flags", [FLAG_REQUEST, FLAG_REQUEST | FLAG_PROXIABLE, 0xF0 & ~FLAG_ERROR])
def test_the_header_of_an_answer_is_the_request_s(run: Run[None], flags: int) -> None:
    async def main() -> None:
        seen: list[bool] = []

        def handler(request: CreditControlRequest, peer: Peer) -> Answer:
            seen.append(request.header.is_retransmitted)
            return grant(request, peer)

        async with serving(handler=handler) as (_, address), open_peer(address) as raw:
            request = ccr(
                3,
                proxy_info=[ProxyInfo(proxy_host="b", proxy_state=b"\2"), ProxyInfo(proxy_host="a", proxy_state=b"\1")],
            )
            request.header.flags = flags
            raw.send(octets(request, 0xFFFFFFFF, 0xFFFFFFFE))
            cca = await raw.message(CreditControlAnswer)
            assert (cca.header.command_code, cca.header.application_id) == (272, 4)
            assert (cca.header.hop_by_hop, cca.header.end_to_end) == (0xFFFFFFFF, 0xFFFFFFFE)
            assert cca.header.flags == flags & FLAG_PROXIABLE
            assert cca.proxy_info == request.proxy_info
            assert seen == [bool(flags & FLAG_RETRANSMITTED)]

    run(main)


def test_a_stored_answer_gets_the_identifiers_of_the_request_at_hand(run: Run[None]) -> None:
    async def main() -> None:
        stored: list[Answer] = []

        def handler(request: CreditControlRequest, peer: Peer) -> Answer:
            if not stored:
                stored.append(grant(request, peer))
            return stored[0]

        async with serving(handler=handler) as (_, address), open_peer(address) as raw:
            again = ccr(1)
            again.header.flags = FLAG_REQUEST | FLAG_RETRANSMITTED
            raw.send(octets(ccr(1), 1, 1), octets(again, 2, 1))
            first, second = await raw.message(CreditControlAnswer), await raw.message(CreditControlAnswer)
            assert (first.header.hop_by_hop, first.header.flags) == (1, FLAG_PROXIABLE)
            assert (second.header.hop_by_hop, second.header.flags) == (2, 0)

    run(main)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (raw_message(999), 3001),
        (raw_message(999, application_id=0), 3001),
        (octets(ReAuthRequest(session_id="s", origin_host="a", origin_realm="b", destination_realm="example.org",
            destination_host="ocs.example.org", auth_application_id=4, re_auth_request_type=0), 1), 3001),
        (raw_message(272, application_id=5), 3007),
        (raw_message(272, application_id=0xFFFFFFFF), 3007),
        (octets(ccr(header=CreditControlRequest.new_header()))[:4] + b"\xe0" + octets(ccr())[5:], 3008),
        (octets(ccr(destination_host="other.example.org")), 3002),
        (octets(ccr(destination_realm="other.example")), 3003),
        (octets(ccr(route_record=["ocs.example.org"])), 3005),
        (octets(ccr(auth_application_id=5)), 3007),
    ],
    ids=["command", "base command", "no handler", "application", "relay", "R+E", "host", "realm", "loop", "ids differ"],
)  # fmt: skip
def test_protocol_errors_have_the_e_bit_and_harm_nothing(run: Run[None], frame: bytes, code: int) -> None:
    async def main() -> None:
        async with serving() as (node, address), open_peer(address) as raw:
            raw.send(frame)
            answer = await raw.message(ErrorAnswer)
            assert answer.result_code == code
            assert answer.header.flags == FLAG_ERROR | (frame[4] & FLAG_PROXIABLE)
            assert answer.header.hop_by_hop == 1
            assert (answer.origin_host, answer.origin_realm) == ("ocs.example.org", "example.org")
            await still_served(raw)
            assert node.peers[0].counters.answers_sent == {code: 1, 2001: 1}

    run(main)


def test_answers_nobody_waits_for_are_dropped_and_counted(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (node, address), open_peer(address) as raw:
            origin: dict[str, Any] = {"origin_host": "pgw", "origin_realm": "r"}
            strays = [
                grant(ccr(), node.peers[0]),
                ReAuthAnswer(session_id="s", result_code=2001, header=ccr().header, **origin),
                cer().answer(2001, **origin),
                dwr().answer(2001, **origin),
                dpr().answer(2001, **origin),
                ErrorAnswer(result_code=3004, header=grant(ccr(), node.peers[0]).header, **origin),
            ]
            strays[1].header = msgspec.structs.replace(strays[0].header, command_code=258)
            strays[5].header.flags |= FLAG_ERROR
            raw.send(*(octets(stray, 77) for stray in strays), raw_message(999, flags=0))
            await still_served(raw)
            assert node.peers[0].counters.stray_answers == 7
            assert node.peers[0].counters.answers_sent == {2001: 1}

    run(main)


def _raise(error: Exception) -> Any:
    raise error


def _spoil(request: CreditControlRequest) -> Answer:
    """Leave nothing that an answer could be made of."""
    request.session_id = "\ud800"
    return request.answer(2001, origin_host="a", origin_realm="b")


async def _raise_later(error: Exception) -> Answer:
    await asyncio.sleep(0)
    raise error


async def _return_later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def _future(**outcome: Any) -> asyncio.Future[Answer]:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    if "error" in outcome:
        future.set_exception(outcome["error"])
    elif outcome:
        future.set_result(outcome["result"])
    else:
        future.cancel()
    return future


@pytest.mark.parametrize(
    "handler",
    [
        lambda request, peer: _raise(LookupError("no account")),
        lambda request, peer: None,
        lambda request, peer: _spoil(request),
        lambda request, peer: request,
        lambda request, peer: dwr().answer(2001, origin_host="a", origin_realm="b"),
        lambda request, peer: request.answer(2001, origin_host="a", origin_realm="b", validity_time=-1),
        lambda request, peer: request.answer(2001, origin_host="a", origin_realm="b", no_such_avp=1),
        lambda request, peer: _future(error=LookupError("no account")),
        lambda request, peer: _future(result=None),
        lambda request, peer: _future(),
        lambda request, peer: _raise_later(LookupError("no account")),
        lambda request, peer: _return_later("an answer"),
    ],
    ids=["raises", "none", "spoils the request", "request", "other class", "bad value", "bad avp", "future raises",
         "future of none", "future cancelled", "coroutine raises", "coroutine of text"],
)  # fmt: skip
def test_whatever_a_handler_does_its_request_is_answered(run: Run[None], handler: Any) -> None:
    async def main() -> None:
        def sometimes(request: CreditControlRequest, peer: Peer) -> Any:
            return handler(request, peer) if request.cc_request_number == 1 else grant(request, peer)

        async with serving(handler=sometimes) as (node, address), open_peer(address) as raw:
            raw.send(octets(ccr(1), 41, 42))
            header, answer, _ = await raw.receive()
            assert isinstance(answer, CreditControlAnswer)
            assert answer.result_code == 5012
            assert (header.hop_by_hop, header.end_to_end, header.is_error) == (41, 42, False)
            await still_served(raw)
            assert node.in_flight == 0

    run(main)


def test_answers_leave_when_they_are_ready(run: Run[None]) -> None:
    async def main() -> None:
        later: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        async def slow(request: CreditControlRequest, peer: Peer) -> Answer:
            await later
            return grant(request, peer)

        def handler(request: CreditControlRequest, peer: Peer) -> Any:
            if request.cc_request_number == 1:
                return later
            return slow(request, peer) if request.cc_request_number == 2 else grant(request, peer)

        async with serving(handler=handler) as (node, address), open_peer(address) as raw:
            raw.send(*(octets(ccr(number), number) for number in (1, 2, 3)))
            assert (await raw.message(CreditControlAnswer)).cc_request_number == 3
            assert node.peers[0].in_flight == 2
            later.set_result(grant(ccr(1), node.peers[0]))
            numbers = {(await raw.message(CreditControlAnswer)).cc_request_number for _ in range(2)}
            assert numbers == {1, 2}
            assert node.peers[0].in_flight == 0

    run(main)


@pytest.mark.parametrize("outcome", ["answer", "error"])
def test_an_answer_for_a_peer_that_has_gone_is_counted(run: Run[None], outcome: str) -> None:
    async def main() -> None:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        async with serving(handler=lambda request, peer: future) as (node, address):
            async with open_peer(address) as raw:
                raw.send(octets(ccr(1)))
                await until(lambda: node.in_flight)
            (peer,) = node.peers
            await until(lambda: peer.state is State.CLOSED)
            if outcome == "answer":
                future.set_result(grant(ccr(1), peer))
            else:
                future.set_exception(LookupError())
            await until(lambda: peer.counters.unsent_answers == 1)
            assert not peer.counters.answers_sent

    run(main)


def test_more_requests_than_allowed_at_once_are_turned_away(run: Run[None]) -> None:
    async def main() -> None:
        futures: list[asyncio.Future[Answer]] = []

        def handler(request: CreditControlRequest, peer: Peer) -> asyncio.Future[Answer]:
            futures.append(asyncio.get_running_loop().create_future())
            return futures[-1]

        settings = msgspec.structs.replace(QUICK, max_in_flight=2)
        async with serving(handler=handler, settings=settings) as (node, address), open_peer(address) as raw:
            raw.send(*(octets(ccr(number), number) for number in (1, 2, 3)))
            busy = await raw.message(ErrorAnswer)
            assert (busy.result_code, busy.header.hop_by_hop, busy.session_id) == (3004, 3, "pgw.example.org;1;1")
            assert len(futures) == 2
            futures[0].set_result(grant(ccr(1), node.peers[0]))
            await raw.message(CreditControlAnswer)
            raw.send(octets(ccr(4), 4))
            await until(lambda: len(futures) == 3)
            for future in futures[1:]:
                future.set_result(grant(ccr(1), node.peers[0]))

    run(main)


# Octets.


class RecordingTransport(asyncio.Transport):
    """Takes what a connection writes; its other end is the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("::ffff:192.0.2.2", 3868, 0, 0)})
        self.written = bytearray()

    def write(self, data: Any) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


async def answers_to(chunks: list[bytes]) -> bytes:
    context = Context(identity(), (CREDIT_CONTROL,), QUICK, lambda cer, address: True)
    context.add_route(CreditControlRequest, grant)
    connection, transport = Connection(context), RecordingTransport()
    connection.connection_made(transport)
    for chunk in chunks:
        connection.data_received(chunk)
    connection.connection_lost(None)
    return bytes(transport.written)


def test_octets_may_be_cut_anywhere(run: Run[None]) -> None:
    async def main() -> None:
        stream = octets(cer()) + octets(ccr(1), 2) + octets(dwr(), 3) + octets(ccr(2), 4)
        glued = await answers_to([stream])
        assert glued.count(b"ocs.example.org") == 4
        assert b"\xc0\x00\x02\x02" in glued, "Host-IP-Address is the connection's own address"
        for position in range(1, len(stream)):
            assert await answers_to([stream[:position], stream[position:]]) == glued, position
        assert await answers_to([stream[i : i + 1] for i in range(len(stream))]) == glued

    run(main)


def test_many_requests_in_one_segment_are_all_answered(run: Run[None]) -> None:
    async def main() -> None:
        async with serving() as (_, address), open_peer(address) as raw:
            raw.send(b"".join(octets(ccr(number), number) for number in range(1000)))
            for number in range(1000):
                assert (await raw.message(CreditControlAnswer)).cc_request_number == number

    run(main)


# Limits.


def long_answer(request: CreditControlRequest, peer: Peer) -> Answer:
    """So long that a few hundred fill every buffer between here and a peer that does not read."""
    length = 60_000 if request.cc_request_number < COUNT else 0
    return request.answer(2001, origin_host="ocs.example.org", origin_realm="r", error_message="x" * length)


COUNT = 400


def flood() -> bytes:
    return b"".join(octets(ccr(number), number) for number in range(COUNT))


def test_a_peer_that_does_not_read_is_not_read_from(run: Run[None]) -> None:
    async def main() -> None:
        async with (
            serving(settings=QUICK, handler=long_answer) as (node, address),
            open_peer(address) as raw,
            open_peer(address, "other.example.org") as other,
        ):
            peer = node.peer("pgw.example.org")
            assert peer is not None
            connection = peer.connection
            assert connection is not None
            raw.send(flood())
            await until(lambda: connection.stalled_since is not None)
            raw.send(octets(ccr(COUNT), COUNT))
            await still_served(other, COUNT)
            assert peer.counters.answers_sent[2001] <= COUNT
            for number in range(COUNT + 1):
                assert (await raw.receive()).header.hop_by_hop == number
            assert connection.stalled_since is None
            await still_served(raw, COUNT)

    run(main)


def test_a_peer_that_never_reads_is_disconnected(run: Run[None]) -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(QUICK, write_stall_s=0.02, close_linger_s=0.02)
        async with serving(settings=settings, handler=long_answer) as (node, address), open_peer(address) as raw:
            (peer,) = node.peers
            raw.send(flood())
            connection = peer.connection
            assert connection is not None
            await connection.gone
            assert peer.counters.disconnections == {"not-reading": 1}

    run(main)


def test_connections_are_limited(run: Run[None]) -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(QUICK, max_connections=1)
        async with serving(settings=settings) as (node, address):
            async with open_peer(address) as first, raw_peer(address) as second:
                assert await second.ended()
                await still_served(first)
                assert node.counters.refused == {"too-many-connections": 1}
            await until(lambda: node.peers[0].state is State.CLOSED)
            async with open_peer(address, "third.example.org") as third:
                await still_served(third)

    run(main)
