"""What hostile or broken peers send: each is answered or disconnected, counted and logged, and nobody else notices."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from aiodiameter.log_budget import LINES
from aiodiameter.messages.base import (
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerRequest,
)
from aiodiameter.messages.credit_control import CreditControlAnswer
from aiodiameter.node import Node
from aiodiameter.peer_machine import State, Timers
from tests.aiodiameter.loopback import (
    QUICK,
    RawPeer,
    Run,
    both_loops,
    ccr,
    cer,
    grant,
    octets,
    open_peer,
    raw_avp,
    raw_message,
    raw_peer,
    serving,
    still_served,
    until,
    without_avp,
)

pytestmark = both_loops

Logs = list[Any]


@asynccontextmanager
async def beside_a_good_peer(**options: Any) -> AsyncIterator[tuple[Node, tuple[str, int], Logs]]:
    """A node with a well-behaved peer, who is served before and after."""
    with capture_logs() as logs:
        async with serving(**options) as (node, address), open_peer(address, "good.example.org") as good:
            await still_served(good)
            yield node, address, logs
            await still_served(good)


def line(logs: Logs, event: str) -> dict[str, Any]:
    (entry,) = [entry for entry in logs if entry["event"] == event]
    return dict(entry)


GOOD = octets(ccr(1))
LOST_STREAMS = [
    pytest.param(b"\x02" + GOOD[1:], "UNSUPPORTED_VERSION", id="version 2"),
    pytest.param(b"\x00" + GOOD[1:], "UNSUPPORTED_VERSION", id="version 0"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: ocs\r\n\r\n", "UNSUPPORTED_VERSION", id="HTTP"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "UNSUPPORTED_VERSION", id="TLS"),
    pytest.param(b"\x01\x00\x00\x10" + GOOD[4:], "INVALID_MESSAGE_LENGTH", id="length 16"),
    pytest.param(b"\x01\x00\x00\x00" + GOOD[4:], "INVALID_MESSAGE_LENGTH", id="length 0"),
    pytest.param(b"\x01\x00\x00\x16" + GOOD[4:], "INVALID_MESSAGE_LENGTH", id="length 22"),
    pytest.param(b"\x01\xff\xff\xfc" + GOOD[4:], "INVALID_MESSAGE_LENGTH", id="16 MB"),
]


@pytest.mark.parametrize(("octets_sent", "reason"), LOST_STREAMS)
def test_a_lost_stream_closes_its_connection(run: Run[None], octets_sent: bytes, reason: str) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, logs), open_peer(address) as bad:
            bad.send(octets_sent)
            assert await bad.ended()
            peer = node.peer("pgw.example.org")
            assert peer is not None
            assert peer.counters.malformed == {reason: 1}
            assert peer.counters.disconnections == {"framing": 1}
            entry = line(logs, "malformed message")
            assert (entry["peer"], entry["reason"]) == ("pgw.example.org", reason)
            assert entry["address"] == "{}:{}".format(*bad.address)
            assert octets_sent.startswith(bytes.fromhex(entry["head"]))
            assert entry["head"]

    run(main)


@pytest.mark.parametrize(("octets_sent", "reason"), LOST_STREAMS)
def test_a_lost_stream_before_the_cer(run: Run[None], octets_sent: bytes, reason: str) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, logs), raw_peer(address) as bad:
            bad.send(octets_sent)
            assert await bad.ended()
            assert node.counters.malformed == {reason: 1}
            assert node.counters.refused == {"framing": 1}
            assert line(logs, "malformed message")["peer"] is None
            assert line(logs, "connection refused")["reason"] == "framing"

    run(main)


def test_messages_before_the_fault_are_answered(run: Run[None]) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (_, address, _), open_peer(address) as bad:
            bad.send(octets(ccr(1), 1), octets(ccr(2), 2), b"\x02garbage that is no message")
            assert [(await bad.message(CreditControlAnswer)).cc_request_number for _ in range(2)] == [1, 2]
            assert await bad.ended()

    run(main)


def test_a_message_that_never_ends(run: Run[None]) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, logs):
            async with open_peer(address) as bad:
                bad.send(GOOD[:50])
                await still_served_by_others(address)
            peer = node.peer("pgw.example.org")
            assert peer is not None
            await until(lambda: peer.state is State.CLOSED)
            assert peer.counters.malformed == {"truncated": 1}
            assert peer.counters.requests_received == {}
            assert "50 octets" in line(logs, "malformed message")["text"]

    async def still_served_by_others(address: tuple[str, int]) -> None:
        async with open_peer(address, "third.example.org") as third:
            await still_served(third)
            dpr = DisconnectPeerRequest(
                origin_host="third", origin_realm="r", disconnect_cause=DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU
            )
            third.send(octets(dpr))
            await third.receive()

    run(main)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (octets(ccr(1)), "not-a-cer"),
        (octets(DeviceWatchdogRequest(origin_host="a", origin_realm="b")), "not-a-cer"),
        (octets(cer().answer(2001, origin_host="a", origin_realm="b")), "not-a-cer"),
        (raw_message(999, application_id=0), "not-a-cer"),
        (raw_message(257, application_id=4), "not-a-cer"),
        (octets(grant(ccr(1), None)), "not-a-cer"),  # type: ignore[arg-type]
    ],
    ids=["CCR", "DWR", "CEA", "unknown", "CER of another application", "CCA"],
)
def test_whoever_does_not_begin_with_a_cer_hears_nothing(run: Run[None], first: bytes, reason: str) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, logs), raw_peer(address) as bad:
            bad.send(first, octets(cer()))
            assert await bad.ended()
            assert node.counters.refused == {reason: 1}
            assert line(logs, "connection refused")["reason"] == reason
            assert [peer.origin_host for peer in node.peers] == ["good.example.org"]

    run(main)


@pytest.mark.parametrize("said", [b"", octets(cer())[:30]], ids=["nothing", "half a CER"])
def test_whoever_never_sends_a_cer_is_disconnected(run: Run[None], said: bytes) -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(QUICK, timers=Timers(cer_s=0.02))
        async with beside_a_good_peer(settings=settings) as (node, address, logs), raw_peer(address) as bad:
            bad.send(said)
            assert await bad.ended()
            assert node.counters.refused == {"no-cer": 1}
            assert line(logs, "connection refused")["reason"] == "no-cer"

    run(main)


def test_a_stranger_may_not_send_long_messages(run: Run[None]) -> None:
    async def main() -> None:
        settings = msgspec.structs.replace(QUICK, max_first_message_octets=1024, max_message_octets=4096)
        async with beside_a_good_peer(settings=settings) as (node, address, _):
            async with raw_peer(address) as bad:
                bad.send(b"\x01" + (1028).to_bytes(3, "big"))
                assert await bad.ended()
                assert node.counters.malformed == {"INVALID_MESSAGE_LENGTH": 1}
            async with open_peer(address) as known:
                known.send(octets(ccr(1, user_name="x" * 3000)))
                assert (await known.message(CreditControlAnswer)).result_code == 2001
                known.send(octets(ccr(1, user_name="x" * 4096)))
                assert await known.ended()

    run(main)


def with_avp(avp: bytes) -> bytes:
    """A good CCR with one more AVP."""
    return GOOD[:1] + (len(GOOD) + len(avp)).to_bytes(3, "big") + GOOD[4:] + avp


@pytest.mark.parametrize(
    ("frame", "code", "failed_code"),
    [
        (with_avp(raw_avp(263, b"", length=999)), 5014, 263),
        (with_avp(raw_avp(263, b"", length=7)), 5014, 263),
        (with_avp(raw_avp(263, b"", length=0)), 5014, 263),
        (with_avp(raw_avp(1, b"", flags=0xC0, length=8)), 5014, 1),
        (with_avp(raw_avp(55, b"\0\0\0")), 5014, 55),
        (with_avp(raw_avp(999_999, b"?")), 5001, 999_999),
        (with_avp(raw_avp(415, b"\0\0\0\1")), 5009, 415),
        (with_avp(raw_avp(456, raw_avp(999_999, b"?"))), 5001, 456),
        (with_avp(raw_avp(456, raw_avp(432, b"\0\0\0\1", length=64))), 5014, 456),
        (with_avp(raw_avp(1, b"\xff\xfe")), 5004, 1),
        (raw_message(272), 5005, 263),
        (octets(ccr(1)).replace(b"\0\0\1\xa0\x40\0\0\x0c\0\0\0\2", b"\0\0\1\xa0\x40\0\0\x0c\0\0\0\x09"), 5004, 416),
    ],
    ids=["past the end", "length 7", "length 0", "vendor of 8", "3 octets", "unknown M", "twice", "unknown M in group",
         "past the group's end", "not UTF-8", "empty", "enumeration"],
)  # fmt: skip
def test_a_faulty_request_is_answered_and_the_connection_lives(
    run: Run[None], frame: bytes, code: int, failed_code: int
) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, logs), open_peer(address) as bad:
            bad.send(frame)
            _, answer, _ = await bad.receive()
            assert isinstance(answer, CreditControlAnswer)
            assert (answer.result_code, answer.header.is_error, answer.header.hop_by_hop) == (code, False, 1)
            assert [avp.code for avp in answer.failed_avp[0].other] == [failed_code]
            entry = line(logs, "malformed message")
            peer = node.peer("pgw.example.org")
            assert peer is not None
            assert peer.counters.malformed == {entry["reason"]: 1}
            assert (entry["peer"], entry["head"]) == ("pgw.example.org", frame[:64].hex())
            await still_served(bad)

    run(main)


def test_a_faulty_message_cannot_fill_the_log(run: Run[None]) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, logs), open_peer(address) as bad:
            bad.send(*[without_avp(GOOD, 461)] * 100)
            for _ in range(100):
                assert (await bad.message(CreditControlAnswer)).result_code == 5005
            assert len([entry for entry in logs if entry["event"] == "malformed message"]) == LINES
            peer = node.peer("pgw.example.org")
            assert peer is not None
            assert peer.counters.malformed == {"MISSING_AVP": 100}

    run(main)


@pytest.mark.parametrize("seed", range(5))
def test_noise_in_every_message_of_a_session(run: Run[None], seed: int) -> None:
    """Random octets changed in a good message: answered or disconnected, and the good peer is served throughout."""
    chance = random.Random(seed)

    async def speak(raw: RawPeer, change: Callable[[bytes], bytes]) -> None:
        raw.send(*(change(octets(ccr(number), number)) for number in range(20)))
        raw.writer.write_eof()
        await raw.reader.read()

    def spoil(frame: bytes) -> bytes:
        spoilt = bytearray(frame)
        for _ in range(chance.randint(1, 6)):
            spoilt[chance.randrange(20 if chance.random() < 0.1 else 4, len(frame))] = chance.randrange(256)
        return bytes(spoilt)

    async def main() -> None:
        async with beside_a_good_peer() as (node, address, _):
            for _ in range(10):
                async with open_peer(address) as bad:
                    await speak(bad, spoil)
                await until(lambda: node.peers[-1].state is State.CLOSED)

    run(main)


def test_a_peer_that_vanishes_between_octets(run: Run[None]) -> None:
    async def main() -> None:
        async with beside_a_good_peer() as (node, address, _):
            for stop in range(0, len(GOOD), 7):
                async with open_peer(address) as bad:
                    bad.send(GOOD[:stop])
                    await asyncio.sleep(0)
                    bad.reset()
                peer = node.peer("pgw.example.org")
                assert peer is not None
                await until(lambda: peer.state is State.CLOSED)  # noqa: B023 - awaited before the next round

    run(main)
