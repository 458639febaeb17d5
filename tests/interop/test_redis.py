"""The store's main paths against a real Redis 7, as an operator runs one: with a password, over TCP, in a database."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from ocs.store.connection import StoreError, open_store
from ocs.store.sweeper import sweep
from ocs.store.work import StoreUnavailable
from tests.ocs.store.scene import (
    EVENT,
    INITIAL,
    OVERDUE_MS,
    PARTITIONS,
    TERMINATION,
    UPDATE,
    Act,
    Asked,
    ccr,
    opened_scene,
)

pytestmark = pytest.mark.needs("redis-server")

PASSWORD = "p@ss:w/ord?#"
QUOTED = "p%40ss%3Aw%2Ford%3F%23"


class Redis:
    """A `redis-server` with its files in `directory`."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.socket = directory / "redis.sock"
        self.url = f"redis://:{QUOTED}@127.0.0.1:{self.port}/2"
        self._words = [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
            "--dir", str(directory), "--save", "", "--appendonly", "yes", "--appendfsync", "always",
            "--requirepass", PASSWORD,
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        self.process = subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                    return
            except redis.exceptions.ConnectionError:
                assert self.process.poll() is None, "redis-server ended at once"
                time.sleep(0.02)
        pytest.fail("redis-server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def set(self, **settings: str) -> None:
        with redis.Redis.from_url(self.url) as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), value)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def play(server: Redis) -> Callable[[Act], None]:
    async def run(act: Act) -> None:
        async with opened_scene(server.url) as scene:
            await act(scene)

    return lambda act: asyncio.run(run(act))


def test_what_it_is_and_how_durable(server: Redis) -> None:
    async def said() -> str:
        store = await open_store(server.url, PARTITIONS)
        await store.close()
        assert store.server.startswith("Redis 7.")
        return store.durability

    assert asyncio.run(said()) == "every answer is on disk before it is given (appendfsync always)"
    server.set(appendfsync="everysec")
    assert "the last second or two" in asyncio.run(said())
    server.set(appendonly="no")
    try:
        assert asyncio.run(said()).startswith("NONE: no append-only file; a restart of the store loses every balance")
    finally:
        server.set(appendonly="yes", appendfsync="always")


@pytest.mark.parametrize("credentials", ["", ":wrong@", f"nobody:{QUOTED}@"])
def test_a_wrong_password(server: Redis, credentials: str) -> None:
    async def act() -> str:
        with pytest.raises(StoreError) as caught:
            await open_store(f"redis://{credentials}127.0.0.1:{server.port}/2", PARTITIONS)
        return str(caught.value)

    text = asyncio.run(act())
    assert "asks for a password, or refuses the one in the URL" in text
    assert QUOTED not in text
    assert PASSWORD not in text


def test_a_unix_socket(server: Redis) -> None:
    async def act() -> None:
        store = await open_store(f"unix://:{QUOTED}@{server.socket}?db=2", PARTITIONS)
        assert await store.client.ping()
        await store.close()

    asyncio.run(act())


def test_a_session_from_first_to_last(play: Callable[[Act], None]) -> None:
    async def act(scene: Any) -> None:
        await scene.add("a", "msisdn:49")
        for number, (kind, used) in enumerate([(INITIAL, None), (UPDATE, 100), (UPDATE, 50), (TERMINATION, 7)]):
            decision = await Asked(scene.ledger, ccr(kind, number, used), None, "msisdn:49").decision()
            assert decision.answer is not None
            assert decision.answer.result_code == 2001
        assert (await scene.ledger.execute("a", ccr(TERMINATION, 3, 7))).repeated
        await scene.ledger.execute("a", ccr(EVENT, 0, 3, session="e"))
        assert (await scene.spent(), await scene.held()) == (160, 0)
        assert [r.kind for r in await scene.receipts("a")][2:] == [
            "initial",
            "update",
            "update",
            "termination",
            "event",
        ]
        await scene.check()

    play(act)


def test_two_servers(play: Callable[[Act], None]) -> None:
    async def act(scene: Any) -> None:
        ledgers = [scene.ledger, await scene.another_ledger()]
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        for number in range(1, 21):
            command = ccr(UPDATE, number, number)
            decisions = await asyncio.gather(*(ledger.execute("a", command) for ledger in ledgers))
            assert decisions[0].answer == decisions[1].answer
        assert await scene.spent() == sum(range(1, 21))
        assert sum(ledger.counters.conflicts for ledger in ledgers) > 0
        await scene.check()

    play(act)


def test_supervision(play: Callable[[Act], None]) -> None:
    async def act(scene: Any) -> None:
        await scene.add()
        for number in range(5):
            await scene.ledger.execute("a", ccr(INITIAL, 0, session=f"s{number}"))
        scene.now += OVERDUE_MS
        assert await sweep(scene.ledger, scene.now) == 5
        assert await scene.held() == 0
        await scene.check()

    play(act)


def test_its_function_and_its_clients_are_taken_away(play: Callable[[Act], None]) -> None:
    async def act(scene: Any) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        admin = await scene.another_ledger()
        for number in range(1, 9):
            if number % 2:
                await admin.store.client.function_flush()
            asked = Asked(scene.ledger, ccr(UPDATE, number, 5), "a")
            await asyncio.sleep(0)
            await admin.store.client.client_kill_filter(_type="normal", skipme=True)
            decision = await asked.decision()
            assert decision.answer is not None
            assert decision.answer.services[0].granted == 1000
        assert await scene.spent() == 40
        await scene.check()

    play(act)


def test_memory_is_full(play: Callable[[Act], None], server: Redis) -> None:
    async def act(scene: Any) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        server.set(maxmemory="1")
        try:
            with pytest.raises(StoreUnavailable):
                await scene.ledger.execute("a", ccr(UPDATE, 1, 5))
        finally:
            server.set(maxmemory="0")
        assert not (await scene.ledger.execute("a", ccr(UPDATE, 1, 5))).repeated
        assert await scene.spent() == 5
        await scene.check()

    play(act)


def test_killed_and_started_again(play: Callable[[Act], None], server: Redis) -> None:
    async def act(scene: Any) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        await scene.ledger.execute("a", ccr(UPDATE, 1, 5))
        server.kill()
        with pytest.raises(StoreUnavailable):
            await scene.ledger.execute("a", ccr(UPDATE, 2, 6))
        await asyncio.to_thread(server.start)
        assert not (await scene.ledger.execute("a", ccr(UPDATE, 2, 6))).repeated
        assert (await scene.ledger.execute("a", ccr(UPDATE, 1, 5))).repeated
        assert await scene.spent() == 11
        await scene.check()

    play(act)


def test_the_commands(server: Redis, tmp_path: Path) -> None:
    """The URL by option and by environment; neither shows the password."""

    def ocs(*words: str, **environment: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "ocs", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
            env={"PATH": "", "OCS_STORE__PARTITIONS": str(PARTITIONS), **environment},
        )  # fmt: skip
        assert QUOTED not in result.stdout + result.stderr
        return result.stdout

    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    out = ocs("subscriber", "add", "491701234567", "--offer", "data-1gb", "--money", "10.00", "--store", server.url)
    assert "credited 10.00 EUR = left 10.00 EUR + held 0.00 EUR + spent 0.00 EUR" in out
    assert "account 491701234567" in ocs("show", "account", "491701234567", OCS_STORE__URL=server.url)
    assert "1 accounts" in ocs("audit", OCS_STORE__URL=server.url)
    assert "redis://***@127.0.0.1" in ocs("check", OCS_STORE__URL=server.url)
