"""Events in virtual time."""

import pytest

from simulators.schedule import BATCH, Schedule
from tests.aiodiameter.loopback import Run, both_loops


@both_loops
def test_events_happen_in_order_and_never_early(run: Run[None]) -> None:
    async def main() -> None:
        schedule = Schedule(1000)
        schedule.begin()
        happened: list[tuple[int, float]] = []
        times = [30.0, 10.0, 10.0, 20.0]
        for number, at in enumerate(times):
            schedule.at(schedule.epoch + at, lambda now, number=number: happened.append((number, now)))  # type: ignore[misc]
        schedule.at(schedule.epoch + 40, lambda _: schedule.finish())
        await schedule.play(10)
        assert [number for number, _ in happened] == [1, 2, 3, 0]
        assert all(now - schedule.epoch >= times[number] for number, now in happened)

    run(main)


@both_loops
def test_an_event_may_plan_another(run: Run[None]) -> None:
    async def main() -> None:
        schedule = Schedule(1000)
        schedule.begin()
        left = [2 * BATCH]

        def event(now: float) -> None:
            left[0] -= 1
            if left[0]:
                schedule.at(now, event)
            else:
                schedule.finish()

        schedule.at(schedule.epoch, event)
        await schedule.play(10)
        assert left == [0]

    run(main)


@both_loops
def test_an_error_in_an_event_ends_the_run_with_it(run: Run[None]) -> None:
    async def main() -> None:
        schedule = Schedule(1000)
        schedule.begin()

        def event(now: float) -> None:
            raise RuntimeError("broken")

        schedule.at(schedule.epoch, event)
        with pytest.raises(RuntimeError, match="broken"):
            await schedule.play(10)

    run(main)


@both_loops
def test_what_is_cleared_or_after_the_end_does_not_happen(run: Run[None]) -> None:
    async def main() -> None:
        schedule = Schedule(1000)
        schedule.begin()
        happened: list[float] = []
        schedule.at(schedule.epoch + 1, happened.append)
        schedule.clear()
        schedule.at(schedule.epoch + 100_000, happened.append)
        await schedule.play(0.02)
        assert happened == []
        schedule.fail(RuntimeError("after the end"))
        schedule.finish()

    run(main)


@pytest.mark.parametrize("factor", [0, -1])
def test_time_passes(factor: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Schedule(factor)
