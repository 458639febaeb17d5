"""Matching answers to the requests of one connection."""

import asyncio

import pytest

from aiodiameter.header import Header
from aiodiameter.message import ErrorAnswer
from aiodiameter.messages.credit_control import CreditControlAnswer
from aiodiameter.pending import BadAnswer, PeerBusy, PendingRequests, settle
from tests.aiodiameter.loopback import Run, both_loops


def header(hop_by_hop: int, end_to_end: int = 1, command_code: int = 272) -> Header:
    return Header(command_code, 4, 0x80, hop_by_hop, end_to_end)


def test_identifiers_grow_and_wrap() -> None:
    pending = PendingRequests(0xFFFFFFFE, 10)
    assert [pending.new_id() for _ in range(4)] == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]


@both_loops
def test_an_identifier_in_use_is_passed_over(run: Run[None]) -> None:
    async def main() -> None:
        pending = PendingRequests(5, 10)
        pending.add(header(6), 1.0, asyncio.get_running_loop().create_future())
        assert [pending.new_id(), pending.new_id()] == [5, 7]

    run(main)


@both_loops
def test_an_answer_finds_its_request_once(run: Run[None]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pending = PendingRequests(0, 10)
        futures = {identifier: loop.create_future() for identifier in (1, 2, 3)}
        for identifier, future in futures.items():
            pending.add(header(identifier), 1.0, future)
        assert pending.take(header(2)) is futures[2]
        assert pending.take(header(2)) is None
        assert pending.take(header(9)) is None
        assert pending.take(header(1, end_to_end=2)) is None
        assert pending.take(header(1, command_code=258)) is None
        assert pending.take(header(1)) is futures[1]
        futures[3].cancel()
        assert pending.take(header(3)) is None
        assert len(pending) == 0

    run(main)


@both_loops
def test_requests_expire_and_cancelled_ones_are_forgotten(run: Run[None]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pending = PendingRequests(0, 10)
        early, late, cancelled = (loop.create_future() for _ in range(3))
        for identifier, (future, deadline) in enumerate([(early, 1.0), (late, 2.0), (cancelled, 2.0)]):
            pending.add(header(identifier), deadline, future)
        cancelled.cancel()
        assert pending.expire(1.0) == [early]
        assert len(pending) == 1
        assert pending.drop_all() == [late]
        assert len(pending) == 0

    run(main)


@both_loops
def test_their_number_is_limited(run: Run[None]) -> None:
    async def main() -> None:
        pending = PendingRequests(0, 1)
        pending.add(header(0), 1.0, asyncio.get_running_loop().create_future())
        with pytest.raises(PeerBusy):
            pending.add(header(1), 1.0, asyncio.get_running_loop().create_future())

    run(main)


@both_loops
def test_what_a_caller_gets(run: Run[None]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        good = CreditControlAnswer(
            session_id="s", result_code=2001, origin_host="a", origin_realm="b", auth_application_id=4,
            cc_request_type=1, cc_request_number=0,
        )  # fmt: skip
        error = ErrorAnswer(origin_host="a", origin_realm="b", result_code=3004)
        fine, refused, broken, unknown = (loop.create_future() for _ in range(4))
        settle(fine, good, None)
        settle(refused, error, "an AVP is missing")
        settle(broken, good, "an AVP is missing")
        settle(unknown, None, None)
        assert fine.result() is good
        assert refused.result() is error
        with pytest.raises(BadAnswer, match="missing") as caught:
            broken.result()
        assert caught.value.answer is good
        with pytest.raises(BadAnswer, match="unknown form"):
            unknown.result()

    run(main)
