"""A whole gateway against a server on a real socket: the server's account and the gateway's books agree."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from aiodiameter.errors import PeerGone, PeerRefused
from aiodiameter.identity import Identity
from aiodiameter.messages.credit_control import CreditControlRequest, ReAuthRequest
from simulators.behaviour import Behaviour
from simulators.books import Unit
from simulators.figures import Figures
from simulators.fleet import Fleet
from simulators.gateway import Pgw
from simulators.subscribers import UsageModel, make_subscribers
from tests.aiodiameter.loopback import Run, both_loops, until
from tests.simulators.server import QUICK, GrantingServer, granting

BUSY = UsageModel(sessions_per_hour=30, session_minutes=5, volume_octets=4_000_000, burst_octets=500_000)
"""In an hour each subscriber has about ten sessions."""


def gateway(count: int = 5, **options: Any) -> Pgw:
    options = {"model": BUSY, "time_factor": 3600.0, "settings": QUICK, **options}
    identity = Identity(host="pgw.example.org", realm="example.org", origin_state_id=7)
    return Pgw(identity, "example.org", make_subscribers(count, "491700000001", "001010000000001"), **options)


async def live(server: GrantingServer, pgw: Pgw, seconds: float = 0.4) -> None:
    try:
        await pgw.connect(*server.address)
        await pgw.run(seconds)
    finally:
        await pgw.close()


def reported(pgw: Pgw) -> Counter[tuple[str, int | None]]:
    return Counter(
        {
            (msisdn, rating_group): service.reported[Unit.OCTETS]
            for msisdn, books in pgw.books.items()
            for rating_group, service in books.services.items()
        }
    )


@both_loops
def test_subscribers_live_and_the_books_agree_with_the_server(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            pgw = gateway()
            await live(server, pgw)
            assert pgw.sessions == server.requests[1] == server.requests[3] > 0
            assert pgw.endings == {"released": pgw.sessions}
            assert server.open == set()
            assert +server.reported == +reported(pgw)
            assert pgw.total("passed") == pgw.total("reported") == pgw.total("confirmed") > 0
            assert pgw.sessions_open == 0
            assert sum(pgw.answers.values()) == pgw.latencies.summary().count == sum(server.requests.values())
            assert all(numbers == list(range(len(numbers))) for numbers in server.numbers.values())
            assert not pgw.errors
            assert pgw.retransmissions == server.repetitions == 0

    run(main)


@both_loops
def test_dropped_answers_are_asked_for_again_and_nothing_counts_twice(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            pgw = gateway(drop_answers=0.2, behaviour=Behaviour(tx_s=0.05, tries=8))
            await live(server, pgw)
            assert pgw.answers_dropped > 0
            assert server.repetitions == pgw.retransmissions > 0
            assert +server.reported == +reported(pgw)
            assert server.open == set()

    run(main)


@both_loops
def test_open5gs_against_the_same_server(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            pgw = gateway(style="open5gs")
            await live(server, pgw)
            assert pgw.sessions == server.requests[1] > 0
            # At this speed a subscriber may leave while the first answer is on its way: then there is no CCR-T.
            assert pgw.endings["released"] == server.requests[3] > 0
            assert +server.reported == +reported(pgw)
            assert {rating_group for _, rating_group in server.reported} == {None}

    run(main)


@both_loops
def test_refused_subscribers_use_nothing(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            server.judge = lambda request: 5030
            pgw = gateway()
            await live(server, pgw, 0.2)
            assert pgw.sessions > 0
            assert pgw.endings == {"refused 5030": pgw.sessions}
            assert server.requests.keys() == {1}
            assert pgw.total("passed") == 0

    run(main)


@both_loops
def test_a_server_that_does_not_answer_is_given_up(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            server.judge = lambda request: None
            pgw = gateway(1, behaviour=Behaviour(tx_s=0.02, tries=2))
            await live(server, pgw, 0.3)
            assert pgw.sessions > 0
            assert pgw.endings == {"no answer": pgw.sessions}
            assert pgw.retransmissions == pgw.sessions

    run(main)


@both_loops
def test_a_lost_connection_ends_in_order(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:

            def reset(request: CreditControlRequest) -> int:
                for peer in server.node.peers:
                    assert peer.connection is not None
                    peer.connection.abort_transport()
                return 2001

            server.judge = reset
            pgw = gateway(1, behaviour=Behaviour(tx_s=0.02, tries=2))
            await live(server, pgw, 0.2)
            assert pgw.errors["connection lost"] > 0
            assert sum(pgw.endings.values()) == pgw.sessions

    run(main)


@both_loops
@pytest.mark.parametrize("failover", [0, 1])
def test_sessions_are_shared_among_servers_and_move_where_they_may(run: Run[None], failover: int) -> None:
    async def main() -> None:
        backup = Identity(host="ocs-2.example.org", realm="example.org", product_name="test")
        async with granting() as one, granting(identity=backup) as other:
            one.failover = other.failover = failover
            pgw = gateway(4, behaviour=Behaviour(tx_s=0.05, tries=2))
            await pgw.connect(*one.address)
            await pgw.connect(*other.address)
            task = asyncio.create_task(pgw.run(0.6))
            await until(lambda: one.open and other.open)
            moved = set(one.open)
            await one.node.close()
            await until(lambda: task.done() or other.open & moved)
            await task
            await pgw.close()
            seen = {session for session, numbers in other.numbers.items() if numbers[0] > 0}
            assert bool(seen) is bool(failover)
            assert seen <= set(one.numbers)
            assert sum(pgw.endings.values()) == pgw.sessions

    run(main)


@both_loops
def test_the_server_asks_for_a_report(run: Run[None]) -> None:
    async def main() -> None:
        async with granting(10**9) as server:
            # One session, about an hour long, with traffic every twenty seconds: at this factor every 30 ms.
            model = UsageModel(sessions_per_hour=10**6, session_minutes=60, volume_octets=500_000_000, volume_sigma=0.1)
            pgw = gateway(1, model=model, time_factor=600.0)
            await pgw.connect(*server.address)
            (peer,) = server.node.peers
            task = asyncio.create_task(pgw.run(20))
            codes = []
            await until(lambda: server.requests[2])
            for session_id in (*server.open, "pgw.example.org;0;0;gone"):
                request = ReAuthRequest(
                    session_id=session_id,
                    origin_host="ocs.example.org",
                    origin_realm="example.org",
                    destination_realm="example.org",
                    destination_host="pgw.example.org",
                    auth_application_id=4,
                    re_auth_request_type=0,
                )
                before = server.requests[2]
                answer: Any = await server.node.send(request, peer)
                codes.append(answer.result_code)
                if answer.result_code == 2002:
                    await until(lambda before=before: server.requests[2] > before)  # type: ignore[misc]
            pgw.stop()
            await task
            await pgw.close()
            assert codes == [2002, 5002]
            assert +server.reported == +reported(pgw)

    run(main)


@both_loops
def test_who_is_not_welcome_or_finds_nobody_is_told(run: Run[None]) -> None:
    async def main() -> None:
        async with granting(welcome=False) as server:
            pgw = gateway(1)
            with pytest.raises(PeerRefused, match="3010"):
                await pgw.connect(*server.address)
            await pgw.close()
            address = server.address
        pgw = gateway(1)
        with pytest.raises(PeerGone):
            await pgw.connect(*address)
        await pgw.close()

    run(main)


@both_loops
def test_a_fleet_adds_up(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            people = make_subscribers(4, "491700000001", "001010000000001")
            fleet = Fleet(
                [
                    Pgw(
                        Identity(host=host, realm="example.org"),
                        "example.org",
                        people[place::2],
                        model=BUSY,
                        time_factor=3600.0,
                        settings=QUICK,
                    )
                    for place, host in enumerate(["pgw.example.org", "pgw-2.example.org"])
                ]
            )
            seen: list[Figures] = []
            try:
                await fleet.connect(*server.address)
                result = await fleet.run(0.3, seen.append, 0.05)
            finally:
                await fleet.close()
            assert result.sessions == server.requests[1]
            assert result.requests == result.latency.count == sum(server.requests.values())
            assert result.octets_reported == server.reported.total()
            assert set(result.books) == {person.msisdn for person in people}
            assert seen
            assert [figures.requests for figures in seen] == sorted(figures.requests for figures in seen)

    run(main)


@both_loops
def test_an_error_in_the_simulation_is_not_swallowed(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            pgw = gateway()
            await pgw.connect(*server.address)

            def broken(*_: object) -> None:
                raise RuntimeError("broken")

            pgw._take_answer = broken  # type: ignore[assignment]
            with pytest.raises(RuntimeError, match="broken"):
                await pgw.run(2)
            await pgw.close()

    run(main)
