"""With `appendfsync always`, what was answered is on disk: whoever is killed, and whenever the power goes."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from ocs.charging.command import CreditMoney
from ocs.charging.decide import Decision
from ocs.store.connection import open_store
from ocs.store.embedded import EmbeddedValkey
from ocs.store.pipe import Pipe

from .scene import INITIAL, PARTITIONS, UPDATE, Scene, ccr, opened_scene


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "store")
    server.start()
    yield server
    server.stop()


async def numbers(url: str) -> set[int]:
    """CC-Request-Numbers that the store has receipts of."""
    scene = Scene(url)
    await scene.open()
    try:
        await scene.check()
        return {receipt.number for receipt in await scene.receipts("a") if receipt.number is not None}
    finally:
        await scene.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_store_is_killed_right_after_an_answer(durable: EmbeddedValkey, seed: int) -> None:
    async def act() -> list[int]:
        answered: list[int] = []
        async with opened_scene(durable.url) as scene:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            process = durable._process
            assert process is not None
            fatal = random.Random(seed).randint(1, 200)

            def done(number: int, result: Decision | Exception) -> None:
                if isinstance(result, Decision):
                    answered.append(number)
                    if number == fatal:
                        os.kill(process.pid, signal.SIGKILL)

            for number in range(1, 201):
                scene.ledger.submit("a", ccr(UPDATE, number, 1), partial(done, number))
                if number % 7 == 0:
                    await asyncio.sleep(0.0003)
            await scene.ledger.close()
            await asyncio.to_thread(process.wait)
            assert fatal in answered
        return answered

    answered = asyncio.run(act())
    durable.start()
    kept = asyncio.run(numbers(durable.url))
    assert set(answered) <= kept


def test_the_power_goes_at_the_moment_of_an_answer(durable: EmbeddedValkey, tmp_path: Path) -> None:
    """The disk as it is then is what a new machine starts from. A write may be on it that was not answered yet."""
    moments: dict[int, Path] = {}

    async def act() -> None:
        async with opened_scene(durable.url) as scene:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            for number in range(1, 31):
                await scene.ledger.execute("a", ccr(UPDATE, number, 1))
                if number % 10 == 0:
                    moments[number] = tmp_path / f"copy-{number}"
                    shutil.copytree(tmp_path / "store" / "appendonlydir", moments[number] / "appendonlydir")

    asyncio.run(act())
    for number, copy in moments.items():
        server = EmbeddedValkey(copy)
        server.start()
        try:
            assert set(range(number + 1)) <= asyncio.run(numbers(server.url))
        finally:
            server.stop()


def test_the_store_has_synced_what_it_confirms(durable: EmbeddedValkey) -> None:
    """WAITAOF tells whether the last write of its connection is on disk; it is not given the time to wait for that."""

    async def act() -> None:
        async with opened_scene(durable.url) as scene:
            await scene.add()
            store = await open_store(durable.url, PARTITIONS)
            pipe = Pipe(store.client)
            key = store.keys.account("b")
            names = [key, store.keys.deadlines(0), store.keys.events(0)]
            for version in range(50):
                account = b'{"version":%d,"id":"b"}' % (version + 1)
                assert await pipe.execute([("FCALL", "octroi_commit", 3, *names, version, account, 0, b"{}")]) == [1]
                assert await pipe.execute([("WAITAOF", 1, 0, 1)]) == [[1, 0]]
            await pipe.close()
            await store.close()

    asyncio.run(act())


def test_the_file_is_rewritten_under_load(durable: EmbeddedValkey) -> None:
    """The store replaces its file by a shorter one now and then; killed in the middle of that, it has everything."""

    async def act() -> int:
        async with opened_scene(durable.url) as scene:
            await scene.add()
            credited = 0
            for turn in range(6):
                with contextlib.suppress(ResponseError):  # one at a time
                    await scene.store.client.bgrewriteaof()
                for number in range(60):
                    await scene.ledger.execute("a", CreditMoney(f"{turn}-{number}", 1))
                    credited += 1
            process = durable._process
            assert process is not None
            with contextlib.suppress(ResponseError):
                await scene.store.client.bgrewriteaof()
            process.kill()
            await asyncio.to_thread(process.wait)
            return credited

    credited = asyncio.run(act())
    durable.start()

    async def look() -> int:
        scene = Scene(durable.url)
        await scene.open()
        try:
            await scene.check()
            return sum(bucket.credited for bucket in (await scene.account()).buckets if bucket.id == "main")
        finally:
            await scene.close()

    assert asyncio.run(look()) == credited
