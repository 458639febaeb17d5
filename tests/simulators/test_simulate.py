"""The one call for a whole simulation, as `ocs simulate` makes it."""

from typing import Any

import pytest

from simulators.figures import Figures
from simulators.simulate import SimulateOptions, SimulationFailed, simulate
from tests.aiodiameter.loopback import Run, both_loops
from tests.simulators.server import GrantingServer, granting


def options(server: GrantingServer, **given: Any) -> SimulateOptions:
    return SimulateOptions(
        **{"port": server.address[1], "duration_s": 0.3, "time_factor": 7200.0, "subscribers": 6, **given}
    )


@both_loops
@pytest.mark.parametrize("connections", [1, 2])
def test_subscribers(run: Run[None], connections: int) -> None:
    async def main() -> None:
        async with granting() as server:
            seen: list[Figures] = []
            result = await simulate(options(server, connections=connections), seen.append, 0.05)
            assert result.mode == "subscribers"
            assert result.requests == sum(server.requests.values()) > 0
            assert result.sessions == server.requests[1] == sum(result.endings.values())
            assert result.octets_reported == result.octets_passed == server.reported.total()
            by_msisdn = {msisdn: books.total("reported") for msisdn, books in result.books.items()}
            assert sum(by_msisdn.values()) == result.octets_reported
            assert {rating_group for _, rating_group in server.reported} <= {10, 30}
            assert seen
            assert {figures.phase for figures in seen} <= {"subscribers", "closing sessions"}
            hosts = {peer.origin_host for peer in server.node.peers}
            assert hosts == {"pgw.example.org", "pgw-2.example.org"} if connections == 2 else {"pgw.example.org"}

    run(main)


@both_loops
def test_dropped_answers(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            result = await simulate(options(server, drop_answers=0.3, tx_s=0.02))
            assert result.retransmissions >= server.repetitions > 0
            assert result.answers_dropped > 0
            assert result.octets_reported == server.reported.total()

    run(main)


@both_loops
def test_open5gs(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            result = await simulate(options(server, style="open5gs"))
            assert result.octets_reported == server.reported.total() > 0

    run(main)


@both_loops
@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({"in_flight": 4}, "closed loop"),
        ({"rate": 400.0}, "open loop"),
        ({"rate": 400.0, "connections": 3}, "open loop"),
    ],
)
def test_load(run: Run[None], given: dict[str, Any], mode: str) -> None:
    async def main() -> None:
        async with granting() as server:
            seen: list[Figures] = []
            result = await simulate(options(server, **given), seen.append, 0.05)
            assert result.mode == mode
            assert result.load is not None
            assert result.requests == server.requests[2] > 0
            assert result.answers == {
                ("initial", 2001): 6, ("update", 2001): result.requests, ("termination", 2001): 6,
            }  # fmt: skip
            assert result.octets_reported == server.reported.total()
            assert server.open == set()
            assert not result.errors
            assert seen

    run(main)


@both_loops
@pytest.mark.parametrize("given", [{}, {"in_flight": 4}])
def test_nobody_listens(run: Run[None], given: dict[str, Any]) -> None:
    async def main() -> None:
        async with granting() as server:
            chosen = options(server, **given)
        with pytest.raises(SimulationFailed) as caught:
            await simulate(chosen)
        assert f"127.0.0.1:{chosen.port}" in str(caught.value)
        assert "ocs serve" in str(caught.value)

    run(main)


@both_loops
@pytest.mark.parametrize("given", [{}, {"in_flight": 4}])
def test_the_server_does_not_know_us(run: Run[None], given: dict[str, Any]) -> None:
    async def main() -> None:
        async with granting(welcome=False) as server:
            with pytest.raises(SimulationFailed) as caught:
                await simulate(options(server, **given))
        for part in ("pgw.example.org", "3010", "not a known peer"):
            assert part in str(caught.value)

    run(main)


@both_loops
def test_load_needs_subscribers_that_the_server_knows(run: Run[None]) -> None:
    async def main() -> None:
        async with granting() as server:
            server.judge = lambda request: 5030
            with pytest.raises(SimulationFailed, match=r"5030 USER_UNKNOWN.*491700000001 to 491700000006"):
                await simulate(options(server, in_flight=4))

    run(main)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"rate": 5, "in_flight": 5}, "not both"),
        ({"rate": 5, "drop_answers": 0.1}, "drops no answers"),
        ({"in_flight": 5, "style": "open5gs"}, "no style"),
        ({"style": "huawei"}, "the styles are 3gpp, open5gs"),
        ({"drop_answers": 1.0}, "one in twenty"),
        ({"subscribers": 0}, "subscribers is 0"),
        ({"duration_s": -1}, "positive"),
        ({"in_flight": 0}, "positive"),
        ({"rate": 0.0}, "positive"),
        ({"connections": 5, "subscribers": 2}, "at least as many"),
        ({"rating_groups": ()}, "at least one rating group"),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SimulateOptions(**given)
