"""The event streams: reading on, looking back, and trimming behind the slowest reader."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.store.events import START, Event, history, id_order, read_new, report_position, trim

from .scene import EVENT, NOW, PARTITIONS, Play, Scene, ccr


async def all_ids(scene: Scene) -> list[tuple[int, str]]:
    return [(e.partition, e.id) for partition in range(PARTITIONS) async for e in history(scene.store, partition)]


def test_receipts_come_back_as_they_were_written(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.add()
        decision = await scene.ledger.execute("a", ccr(EVENT, 0, 7))
        partition = scene.store.keys.partition_of("a")
        events = [event async for event in history(scene.store, partition)]
        assert [event.receipt.kind for event in events] == ["account", "offer", "event"]
        assert events[-1].receipt == decision.receipt
        assert events[-1].receipt.id == "a/3"
        assert [id_order(event.id) for event in events] == sorted(id_order(event.id) for event in events)

    play(act)


@pytest.mark.parametrize("page", [1, 2, 3, 500])
def test_looking_back_in_pages(play: Play, page: int) -> None:
    async def act(scene: Scene) -> None:
        await scene.add()
        for number in range(4):
            await scene.ledger.execute("a", ccr(EVENT, 0, 1, session=f"e{number}"))
        partition = scene.store.keys.partition_of("a")
        events = [event async for event in history(scene.store, partition, page)]
        assert [event.receipt.version for event in events] == [1, 2, 3, 4, 5, 6]

    play(act)


def test_reading_on_from_positions(play: Play) -> None:
    async def act(scene: Scene) -> None:
        for number in range(8):
            await scene.add(f"a{number}")
        positions = dict.fromkeys(range(PARTITIONS), START)
        seen: list[Event] = []
        while events := await read_new(scene.store, positions, 3, 1):
            for event in events:
                assert id_order(event.id) > id_order(positions[event.partition])
                positions[event.partition] = event.id
            assert max([event.partition for event in events].count(p) for p in range(PARTITIONS)) <= 3
            seen += events
        assert sorted((event.partition, event.id) for event in seen) == sorted(await all_ids(scene))
        assert len(seen) == 16

    play(act)


def test_waiting_for_the_next_event(play: Play) -> None:
    async def act(scene: Scene) -> None:
        positions = dict.fromkeys(range(PARTITIONS), START)
        waiting = asyncio.create_task(read_new(scene.store, positions, 10, 5000))
        await asyncio.sleep(0.01)
        await scene.add()
        events = await waiting
        assert {event.receipt.account for event in events} == {"a"}

    play(act)


@given(st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)), st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)))
def test_the_order_of_ids(first: tuple[int, int], second: tuple[int, int]) -> None:
    ids = [f"{milliseconds}-{number}" for milliseconds, number in (first, second)]
    assert (id_order(ids[0]) < id_order(ids[1])) == (first < second)
    assert id_order(str(first[0])) == (first[0], 0)


class TestTrimming:
    """Nothing is dropped that a consumer has not reported, or that is young and among the newest."""

    FUTURE = 2**62

    async def fill(self, scene: Scene, count: int = 20) -> list[tuple[int, str]]:
        await scene.add()
        for number in range(count - 2):
            await scene.ledger.execute("a", ccr(EVENT, 0, 1, session=f"e{number}"))
        return await all_ids(scene)

    def test_not_before_everybody_has_read_it(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            before = await self.fill(scene)
            partition, position = before[9]
            assert await trim(scene.store, ["cdr", "other"], self.FUTURE, 1) == 0
            await report_position(scene.store, "cdr", {partition: position})
            assert await trim(scene.store, ["cdr", "other"], self.FUTURE, 1) == 0
            await report_position(scene.store, "other", {partition: before[4][1]})
            assert await trim(scene.store, ["cdr", "other"], self.FUTURE, 1) == 5
            assert await all_ids(scene) == before[5:]
            assert await trim(scene.store, ["cdr"], self.FUTURE, 1) == 5
            assert await all_ids(scene) == before[10:]

        play(act)

    def test_everything_when_everybody_has_read_everything_and_it_is_old(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            before = await self.fill(scene)
            await report_position(scene.store, "cdr", {before[-1][0]: before[-1][1]})
            assert await trim(scene.store, ["cdr"], self.FUTURE, 1) == 20
            assert await trim(scene.store, ["cdr"], self.FUTURE, 1) == 0
            await scene.ledger.execute("a", ccr(EVENT, 0, 1, session="next"))
            assert len(await all_ids(scene)) == 1

        play(act)

    @pytest.mark.parametrize("keep", [0, 1, 5, 19, 20, 1000])
    def test_the_newest_stay(self, play: Play, keep: int) -> None:
        async def act(scene: Scene) -> None:
            before = await self.fill(scene)
            await report_position(scene.store, "cdr", {before[-1][0]: before[-1][1]})
            dropped = await trim(scene.store, ["cdr"], 0, keep)
            assert dropped == max(0, 20 - keep)
            assert await all_ids(scene) == before[dropped:]

        play(act)

    def test_what_is_young_stays(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            before = await self.fill(scene)
            await report_position(scene.store, "cdr", {before[-1][0]: before[-1][1]})
            oldest_ms = id_order(before[0][1])[0]
            assert await trim(scene.store, ["cdr"], oldest_ms, 1000) == 0
            assert await trim(scene.store, ["cdr"], oldest_ms - 1, 1000) == 0
            assert await all_ids(scene) == before

        play(act)

    def test_without_consumers_age_and_number_decide(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            before = await self.fill(scene)
            assert await trim(scene.store, [], 0, 6) == 14
            assert await all_ids(scene) == before[14:]

        play(act)

    def test_an_empty_store(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            assert await trim(scene.store, ["cdr"], NOW, 10) == 0
            assert await trim(scene.store, [], NOW, 10) == 0

        play(act)
