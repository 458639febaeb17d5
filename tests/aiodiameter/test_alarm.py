"""One timer for many deadlines."""

import asyncio

from aiodiameter.alarm import Alarm
from tests.aiodiameter.loopback import Run, both_loops, until


@both_loops
def test_a_deadline_that_moves_away_costs_no_timer(run: Run[None]) -> None:
    async def main() -> None:
        rung: list[int] = []
        loop = asyncio.get_running_loop()
        alarm = Alarm(loop, lambda: rung.append(1))
        now = loop.time()

        def timer() -> asyncio.Handle | None:
            return alarm.timer

        alarm.set([now + 100, None])
        first = timer()
        alarm.set([now + 200])
        alarm.set([None])
        assert timer() is first
        alarm.set([now + 50, now + 300])
        assert first is not None
        assert first.cancelled()
        alarm.set([now])
        alarm.set([now, now + 1])  # a timer that is due at once is of another kind under uvloop
        await until(lambda: rung)
        assert timer() is None
        alarm.set([now + 100])
        alarm.cancel()
        alarm.cancel()
        assert timer() is None
        assert rung == [1]

    run(main)
