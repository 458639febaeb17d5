"""Load against a server on a real socket: everything sent is counted, and nothing runs without bound."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from aiodiameter.errors import PeerGone, PeerRefused
from aiodiameter.identity import Identity
from aiodiameter.messages.credit_control import CreditControlRequest
from simulators import load_run
from simulators.figures import Figures
from simulators.load import (
    LoadConnection,
    LoadFailed,
    SessionsFactory,
    close_sessions,
    open_connection,
    open_sessions,
    run_closed_loop,
    run_open_loop,
    sessions_for,
)
from simulators.subscribers import make_subscribers
from tests.aiodiameter.loopback import Run, both_loops, until
from tests.simulators.server import GrantingServer, granting


class Rig:
    """Connections to a server, and sessions for them."""

    def __init__(self, connections: list[LoadConnection], sessions: SessionsFactory) -> None:
        self.connections = connections
        self.sessions = sessions

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close()


async def rig(server: GrantingServer, connections: int = 1, subscribers: int = 6) -> Rig:
    links = [
        await open_connection(*server.address, Identity(host=f"pgw-{n}.example.org", realm="example.org"))
        for n in range(connections)
    ]
    people = make_subscribers(subscribers, "491700000001", "001010000000001")
    return Rig(links, sessions_for(people, links, "example.org", used_octets=1000))


@both_loops
@pytest.mark.parametrize("connections", [1, 2])
def test_closed_loop_by_number(run: Run[None], connections: int) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server, connections)
            result = await run_closed_loop(load.connections, load.sessions, 3, requests=100)
            assert server.requests == {1: 6, 2: 100}
            assert result.requests == result.latency.count == 100
            assert result.answers == {("update", 2001): 100}
            assert (result.without_grant, result.unanswered, result.errors) == (0, 0, {})
            assert result.octets_used == server.reported.total() == 100 * 2 * 1000
            assert result.sessions == len(server.open) == 6
            assert result.lag.count == 0
            assert result.cpu_s >= 0
            closing = await close_sessions(load.connections)
            assert closing.answers == {("termination", 2001): 6}
            assert server.open == set()
            assert all(numbers == list(range(len(numbers))) for numbers in server.numbers.values())
            await load.close()

    run(main)


@both_loops
def test_closed_loop_by_time_and_more_in_flight_than_sessions(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server, subscribers=2)
            most = 0

            def count(request: CreditControlRequest) -> int:
                nonlocal most
                most = max(most, server.node.in_flight)
                return 2001

            server.judge = count
            seen: list[Figures] = []
            result = await run_closed_loop(
                load.connections, load.sessions, 50, seconds=0.2, on_figures=seen.append, interval_s=0.02
            )
            assert result.requests == server.requests[2] > 0
            assert result.per_second == pytest.approx(result.requests / result.seconds)
            assert most <= 2
            assert seen
            assert {figures.phase for figures in seen} <= {"opening sessions", "closed loop, 50 in flight"}
            await load.close()

    run(main)


@both_loops
@pytest.mark.parametrize("connections", [1, 2])
def test_open_loop(run: Run[None], connections: int) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server, connections)
            result = await run_open_loop(load.connections, load.sessions, rate=500, seconds=0.4)
            assert result.requests == 200, "as many as belong into the time, however late they were sent"
            assert result.requests == server.requests[2] == result.latency.count == result.lag.count
            assert result.unanswered == 0
            assert result.latency.max_us >= result.lag.max_us
            await load.close()

    run(main)


@both_loops
def test_open_loop_charges_a_server_that_stops_for_the_queue_it_causes(
    run: Run[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one session, requests whose time comes while an answer is awaited wait for it, and count from their time."""
    monkeypatch.setattr(load_run, "GRACE_S", 0.05)

    async def main() -> None:
        async with granting() as server:
            load = await rig(server, subscribers=1)
            server.judge = lambda request: None if request.cc_request_number == 3 else 2001
            result = await run_open_loop(load.connections, load.sessions, rate=1000, seconds=0.1)
            assert (result.requests, result.unanswered) == (2, 1)
            assert result.errors["due and never sent"] > 0
            await load.close()

    run(main)


@both_loops
def test_refusals_are_counted_and_the_load_goes_on(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            server.judge = lambda request: {0: 2001, 1: 4012, 2: 3004}.get(request.cc_request_number, 2001)
            result = await run_closed_loop(load.connections, load.sessions, 2, requests=18)
            assert result.answers == {("update", 2001): 6, ("update", 4012): 6, ("update", 3004): 6}
            assert result.octets_used == 6 * 2 * 1000
            await load.close()

    run(main)


@both_loops
def test_success_without_a_grant_is_counted(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            await open_sessions(load.connections, load.sessions)
            server._grant = lambda block: type(block)(rating_group=block.rating_group, result_code=4012)  # type: ignore[method-assign]
            result = await run_closed_loop(load.connections, in_flight=2, requests=6)
            assert (result.requests, result.without_grant) == (6, 6)
            await load.close()

    run(main)


@both_loops
def test_sessions_that_are_refused_get_no_updates(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            server.judge = lambda r: 5030 if r.subscription_id[0].subscription_id_data.endswith("1") else 2001
            opening = await open_sessions(load.connections, load.sessions)
            assert opening.answers == {("initial", 2001): 5, ("initial", 5030): 1}
            result = await run_closed_loop(load.connections, in_flight=9, requests=30)
            assert result.answers == {("update", 2001): 30}
            assert result.sessions == 5
            await load.close()

    run(main)


@both_loops
def test_load_without_a_single_session_is_none(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            server.judge = lambda request: 5030
            with pytest.raises(LoadFailed, match="6 x 5030 USER_UNKNOWN"):
                await run_closed_loop(load.connections, load.sessions, 4, seconds=1)
            await load.close()

    run(main)


@both_loops
def test_missing_answers_do_not_hold_a_run_up(run: Run[None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_run, "GRACE_S", 0.05)

    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            await open_sessions(load.connections, load.sessions)
            server.judge = lambda request: None
            result = await run_closed_loop(load.connections, in_flight=4, seconds=0.05)
            assert (result.requests, result.unanswered) == (0, 4)
            server.judge = lambda request: 2001
            again = await run_closed_loop(load.connections, in_flight=4, requests=12)
            assert (again.requests, again.unanswered) == (12, 0)
            await load.close()

    run(main)


@both_loops
def test_a_lost_connection_ends_the_run_and_what_it_had_is_counted(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            await open_sessions(load.connections, load.sessions)

            def reset(request: CreditControlRequest) -> None:
                (peer,) = server.node.peers
                assert peer.connection is not None
                peer.connection.abort_transport()

            server.judge = reset
            result = await run_closed_loop(load.connections, in_flight=4, seconds=20)
            assert (result.requests, result.unanswered, result.errors) == (0, 4, {"connection lost": 1})
            with pytest.raises(PeerGone, match="no connection"):
                await close_sessions(load.connections)
            await load.close()

    run(main)


@both_loops
def test_a_connection_is_a_peer_like_any_other(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            load = await rig(server)
            (peer,) = server.node.peers
            assert (peer.origin_host, peer.applications) == ("pgw-0.example.org", frozenset({4}))
            assert load.connections[0].server == "ocs.example.org"
            # The server says goodbye: it is answered, and the server closes.
            await asyncio.wait_for(server.node.disconnect(peer), 5)
            await asyncio.wait_for(load.connections[0].gone, 5)
            assert not load.connections[0].is_open
            await load.close()
        async with granting() as server:
            load = await rig(server)
            (peer,) = server.node.peers
            await load.close()
            await until(lambda: peer.counters.disconnections)
            assert peer.counters.disconnections == {"goodbye": 1}

    run(main)


@both_loops
def test_nobody_there_or_not_welcome(run: Run[None]) -> None:
    async def main() -> None:
        async with granting(welcome=False) as server:
            with pytest.raises(PeerRefused, match="3010"):
                await rig(server)
        with pytest.raises(PeerGone, match=f"127.0.0.1:{server.address[1]} cannot be reached"):
            await rig(server)

    run(main)


@both_loops
def test_something_that_is_no_diameter_server(run: Run[None]) -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 smtp.example.org ESMTP\r\n")
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            done.set()

        listener = await asyncio.start_server(chatter, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(PeerGone, match="no Diameter"):
            await open_connection("127.0.0.1", port, Identity(host="pgw.example.org", realm="example.org"))
        await done.wait()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0)

    run(main)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: run_closed_loop([], None, 0, seconds=1), "in flight"),
        (lambda: run_closed_loop([], None, 1), "how many"),
        (lambda: run_open_loop([], rate=0, seconds=1), "positive"),
        (lambda: run_open_loop([], rate=1, seconds=0), "positive"),
    ],
)
def test_a_run_without_bounds_is_refused(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        asyncio.run(call())
