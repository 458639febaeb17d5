"""Supervision: silent sessions are closed, others are left alone, and nothing stands in the way of the rest."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ocs.charging.receipt import Verdict
from ocs.charging.state import SessionState
from ocs.store import sweeper as sweeper_module
from ocs.store.keys import deadline_member
from ocs.store.sweeper import sweep, sweep_until
from ocs.store.work import StoreUnavailable

from .scene import INITIAL, NOW, OVERDUE_MS, PARTITIONS, TERMINATION, UPDATE, Play, Scene, ccr


async def deadlines(scene: Scene) -> list[str]:
    return [
        member.decode()
        for partition in range(PARTITIONS)
        for member in await scene.store.client.zrange(scene.store.keys.deadlines(partition), 0, -1)
    ]


def test_a_silent_session_is_closed_and_what_it_held_is_given_back(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        assert await scene.held() == 1000
        for before in (0, 1, OVERDUE_MS - 1):
            scene.now = NOW + before
            assert await sweep(scene.ledger, scene.now) == 0
        scene.now = NOW + OVERDUE_MS
        assert await sweep(scene.ledger, scene.now) == 1
        assert await sweep(scene.ledger, scene.now) == 0
        assert (await scene.held(), await deadlines(scene)) == (0, [])
        session = await scene.session()
        assert session is not None
        assert session.state is SessionState.CLOSED
        receipt = (await scene.receipts("a"))[-1]
        assert (receipt.kind, receipt.verdict, receipt.closes) == ("expiry", Verdict.OVERDUE, True)
        await scene.check()

    play(act)


def test_a_session_that_was_heard_of_meanwhile_goes_on(play: Play) -> None:
    async def act(scene: Scene) -> None:
        server = await scene.another_ledger()
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        scene.now += OVERDUE_MS
        await server.execute("a", ccr(UPDATE, 1, 5))
        # As if the sweeper had read the deadlines before that update.
        key = scene.store.keys.deadlines(scene.store.keys.partition_of("a"))
        later = await scene.store.client.zscore(key, deadline_member("a", "s"))
        await scene.store.client.zadd(key, {deadline_member("a", "s"): NOW})
        assert await sweep(scene.ledger, scene.now) == 0
        session = await scene.session()
        assert session is not None
        assert session.state is SessionState.OPEN
        assert session.deadline == later
        assert await deadlines(scene) == ["a s"]
        await scene.check()

    play(act)


def test_several_sweepers_close_each_session_once(play: Play) -> None:
    async def act(scene: Scene) -> None:
        ledgers = [scene.ledger, await scene.another_ledger(), await scene.another_ledger()]
        for number in range(30):
            name = f"a{number % 7}"
            if number < 7:
                await scene.add(name)
            await scene.ledger.execute(name, ccr(INITIAL, 0, session=f"s{number}"))
        scene.now += OVERDUE_MS
        closed = await asyncio.gather(*(sweep(ledger, scene.now) for ledger in ledgers))
        assert sum(closed) == 30
        assert [r.kind for r in await scene.receipts()].count("expiry") == 30
        assert await deadlines(scene) == []
        await scene.check()

    play(act)


def test_more_than_a_partition_closes_at_once(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(scene: Scene) -> None:
        await scene.add()
        opening = (scene.ledger.execute("a", ccr(INITIAL, 0, session=f"s{n}")) for n in range(450))
        await asyncio.gather(*opening)
        scene.now += 3 * OVERDUE_MS
        assert await sweep(scene.ledger, scene.now) == 450
        assert await deadlines(scene) == []
        assert await scene.held() == 0
        await scene.check()

    play(act)


def test_deadlines_without_a_session_are_removed(play: Play) -> None:
    """By hand, or from a backup: of accounts and sessions that are not there, or closed."""

    async def act(scene: Scene) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        await scene.ledger.execute("a", ccr(TERMINATION, 1))
        keys = scene.store.keys
        for member in ("a s", "a unknown", "nobody s", "nonsense", "a "):
            account = member.partition(" ")[0]
            await scene.store.client.zadd(keys.deadlines(keys.partition_of(account)), {member: 1})
        assert await sweep(scene.ledger, scene.now) == 0
        assert await deadlines(scene) == []
        await scene.check()

    play(act)


@pytest.mark.parametrize("at_once", [3, 200])
def test_sessions_that_cannot_be_closed_do_not_keep_others_from_it(
    play: Play, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """An account that cannot be read, whose sessions stand first in the row."""
    monkeypatch.setattr(sweeper_module, "_AT_ONCE", at_once)

    async def act(scene: Scene) -> None:
        keys = scene.store.keys
        names = [f"a{n}" for n in range(40)]
        for name in names:
            await scene.add(name)
            for number in range(5):
                await scene.ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}-{number}"))
            scene.now += 1
        broken = names[:4]
        right = {name: await scene.store.client.get(keys.account(name)) for name in broken}
        for name in broken:
            await scene.store.client.set(keys.account(name), b"{")
        fresh = await scene.another_ledger()
        scene.now += OVERDUE_MS
        with capture_logs() as logs:
            assert await sweep(fresh, scene.now) == 36 * 5
        assert {line["account"] for line in logs if line["log_level"] == "error"} == set(broken)
        for name in broken:
            await scene.store.client.set(keys.account(name), right[name])
        assert await sweep(fresh, scene.now) == 4 * 5
        assert await deadlines(scene) == []
        await scene.check()

    play(act)


def test_a_session_that_cannot_be_decided_is_logged(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody took from the bucket what the session holds: giving it back fails."""

    async def act(scene: Scene) -> None:
        for name in ("a", "b"):
            await scene.add(name)
            await scene.ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}"))
        key = scene.store.keys.account("a")
        stored = await scene.store.client.get(key)
        await scene.store.client.set(key, stored.replace(b'"reserved":1000', b'"reserved":10'))
        fresh = await scene.another_ledger()
        scene.now += OVERDUE_MS
        with capture_logs() as logs:
            assert await sweep(fresh, scene.now) == 1
        assert "a silent session cannot be closed" in [line["event"] for line in logs]
        assert await deadlines(scene) == ["a sa"]

    play(act)


def test_sweeping_until_told_to_stop(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(scene: Scene) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        stop = asyncio.Event()
        failures = [StoreUnavailable("away"), ConnectionError("away"), ZeroDivisionError(), None]

        async def failing(*arguments: object) -> int:
            failure = failures.pop(0) if failures else None
            if failure is not None:
                raise failure
            return await sweep(scene.ledger, scene.now)

        monkeypatch.setattr(sweeper_module, "sweep", failing)
        with capture_logs() as logs:
            task = asyncio.create_task(sweep_until(stop, scene.ledger, lambda: scene.now, every_s=0.001))
            scene.now += OVERDUE_MS
            await scene.until(scene.held, 0)
            stop.set()
            await task
        assert [line["log_level"] for line in logs][:3] == ["error", "warning", "error"]
        assert {"event": "closed silent sessions", "sessions": 1, "log_level": "info"} in logs

    play(act)
