"""The writer on a real store: everything once, restarts, gaps, a store or a disk that is away, kills, the process."""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from ocs.cdr import writer as writer_module
from ocs.cdr.disk import DirectoryLocked, DiskFailed
from ocs.cdr.record import Record, records_of
from ocs.cdr.state import Position, decode_state
from ocs.cdr.writer import CdrWriter, run_writer
from ocs.charging.command import CreateAccount, CreditMoney, RequestType
from ocs.charging.command import ServiceRequest as Service
from ocs.charging.receipt import Receipt
from ocs.charging.state import Subscriber
from ocs.config import Config, load_config
from ocs.store import events as streams
from ocs.store.connection import Store, open_store
from ocs.store.embedded import EmbeddedValkey
from ocs.store.events import Event, history, id_order
from ocs.store.ledger import Ledger

from .traffic import CATALOGUE, NOW, SETTINGS, closed_files, ids_in, request

PARTITIONS = 4
PROCESS = Path(__file__).with_name("writer_process.py")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"), "no")
    server.start()
    yield server
    server.stop()


class Scene:
    """An empty store with a ledger to fill it, a directory, and a clock."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store, self.directory = store, directory
        self.now = NOW
        self.ledger = Ledger(store, CATALOGUE, SETTINGS, clock=lambda: self.now)
        self.credits = 0

    def writer(self, directory: Path | None = None, **more: Any) -> CdrWriter:
        options: dict[str, Any] = {"rotate_size": 10**9, "rotate_age_s": 900, "formats": ["jsonl", "csv"], "pause_s": 0}
        options |= more
        return CdrWriter(self.store, directory or self.directory, clock=lambda: self.now, **options)

    async def top_up(self, count: int = 1, accounts: int = 8) -> None:
        """Events with one record each."""
        for _ in range(count):
            self.credits += 1
            account = f"a{self.credits % accounts}"
            if self.credits <= accounts:
                await self.ledger.execute(account, CreateAccount(account, [Subscriber("s", [f"msisdn:{account}"])]))
            await self.ledger.execute(account, CreditMoney(f"c{self.credits}", self.credits))

    async def events(self) -> list[Event]:
        return [event for p in range(PARTITIONS) async for event in history(self.store, p)]

    async def expected(self) -> list[str]:
        return sorted(record.record_id for event in await self.events() for record in records_of(event, "EUR"))

    async def check(self) -> None:
        """Every record of every event stands once in the closed files of each format, and is what it should be."""
        wanted = {record.record_id: record for event in await self.events() for record in records_of(event, "EUR")}
        for form in ("jsonl", "csv"):
            found = ids_in(self.directory, form)
            assert Counter(found) == Counter(wanted.keys())
        for path in closed_files(self.directory, "jsonl"):
            for line in path.read_bytes().splitlines():
                record = msgspec.json.decode(line, type=Record)
                assert record == wanted[record.record_id]


@pytest.fixture
def play(valkey: EmbeddedValkey, tmp_path: Path) -> Callable[[Callable[[Scene], Awaitable[None]]], None]:
    """Runs an async test on an empty store."""

    async def with_scene(act: Callable[[Scene], Awaitable[None]]) -> None:
        async with opened(valkey.url) as store:
            await store.client.flushall()
            await store.client.config_set("hz", 500)  # how soon it notices that a wait for events is over
            await open_and_close(valkey.url)  # says again how the store is laid out
            scene = Scene(store, tmp_path / "cdr")
            scene.ledger.start()
            try:
                await act(scene)
            finally:
                await scene.ledger.close()

    return lambda act: asyncio.run(with_scene(act))


Play = Callable[[Callable[[Scene], Awaitable[None]]], None]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await open_store(url, PARTITIONS)
    try:
        yield store
    finally:
        await store.close()


async def open_and_close(url: str) -> None:
    async with opened(url):
        pass


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not happen")


# --- what is written


def test_drain_writes_everything_once(play: Play) -> None:
    async def act(scene: Scene) -> None:
        writer = scene.writer()
        assert await writer.drain() == 0
        await scene.top_up(50)
        assert await writer.drain() == 50
        assert await writer.drain() == 0
        await scene.top_up(3)
        assert await writer.drain() == 3
        writer.close()
        assert writer.files.closed == 1
        await scene.check()

    play(act)


def test_an_idle_store_makes_no_file(play: Play) -> None:
    async def act(scene: Scene) -> None:
        writer = scene.writer(rotate_age_s=1)
        await writer.drain()
        scene.now += 10**6
        await writer.drain()
        writer.close()
        assert {path.name for path in scene.directory.iterdir()} == {"state.json", "writer.lock"}

    play(act)


def test_more_than_a_batch_comes_in_the_order_of_each_account(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(8)
        await asyncio.gather(*(scene.ledger.execute("a1", CreditMoney(f"x{n}", 1)) for n in range(450)))
        writer = scene.writer(rotate_size=20_000)
        assert await writer.drain() == 458
        writer.close()
        assert writer.files.closed == len(closed_files(scene.directory, "csv")) > 5
        await scene.check()
        versions = [int(i.split("/")[1]) for i in ids_in(scene.directory, "csv") if i.startswith("a1/")]
        assert versions == sorted(versions)

    play(act)


def test_a_restart_goes_on(play: Play) -> None:
    async def act(scene: Scene) -> None:
        for count in (5, 0, 7):
            await scene.top_up(count)
            writer = scene.writer()
            assert await writer.drain() == count
            writer.files.release()  # as if killed: nothing is closed
        scene.writer().close()
        assert len(closed_files(scene.directory, "csv")) == 1
        await scene.check()

    play(act)


def test_one_writer_for_a_directory(play: Play) -> None:
    async def act(scene: Scene) -> None:
        writer = scene.writer()
        with pytest.raises(DirectoryLocked):
            scene.writer()
        writer.close()
        scene.writer().close()

    play(act)


def test_it_runs_until_told_to_stop(play: Play) -> None:
    async def act(scene: Scene) -> None:
        writer, stop = scene.writer(pause_s=0.01), asyncio.Event()
        running = asyncio.create_task(writer.run(stop))
        for _ in range(5):
            await scene.top_up(10)
            await until(lambda: writer.files.recorded == scene.credits, "writing")
        await scene.top_up(10)
        stop.set()
        await running
        assert writer.files.recorded == 60, "what is there at the stop is written"
        writer.close()
        await scene.check()

    play(act)


def test_an_old_file_is_closed_though_nothing_happens(play: Play) -> None:
    async def act(scene: Scene) -> None:
        writer, stop = scene.writer(), asyncio.Event()
        running = asyncio.create_task(writer.run(stop))
        await scene.top_up(3)
        await until(lambda: writer.files.recorded == 3, "writing")
        assert writer.files.closed == 0
        scene.now += 900_000
        await until(lambda: writer.files.closed, "closing")
        stop.set()
        await running
        writer.close()
        await scene.check()

    play(act)


# --- positions, trimming, gaps


def test_the_store_may_forget_what_is_recorded_and_no_more(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(20)
        writer = scene.writer()
        await writer.drain()
        await scene.top_up(10)
        left = [e for e in await scene.events() if id_order(e.id) > id_order(writer.files.positions[e.partition].id)]
        assert await streams.trim(scene.store, ["cdr"], 2**53, 0) == 28
        assert await scene.events() == left
        with capture_logs() as logs:
            writer._check_at = -1
            assert await writer.drain() == 10
        assert writer.follower.missed == 0
        assert logs == []
        writer.close()
        assert len(ids_in(scene.directory, "csv")) == 30

    play(act)


def test_a_new_directory_goes_on_where_the_store_knows_us_to_be(play: Play, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(20)
        writer = scene.writer()
        await writer.drain()
        writer.close()
        await scene.top_up(5)
        with capture_logs() as logs:
            writer = scene.writer(tmp_path / "new")
            assert await writer.drain() == 5
        assert [log["log_level"] for log in logs] == ["warning"]
        assert "going on from there" in logs[0]["event"]
        await scene.top_up(5)
        assert await writer.drain() == 5
        writer._check_at = -1
        assert await writer.drain() == 0
        assert all(position.count is not None for position in writer.files.positions.values())
        writer.close()
        assert len(ids_in(tmp_path / "new", "csv")) == 10

    play(act)


def test_a_store_with_more_partitions_is_read_whole(play: Play) -> None:
    async def act(scene: Scene) -> None:
        writer = scene.writer()
        writer.files.checkpoint({0: Position("5-0", 3), 1: Position("5-0", 3), 99: Position("5-0", 3)})
        await scene.top_up(20)
        with capture_logs() as logs:
            assert await writer.drain() == 20
        assert (logs[0]["log_level"], logs[0]["files"], logs[0]["store"]) == ("error", 3, PARTITIONS)
        assert writer.files.positions.keys() == set(range(PARTITIONS))
        writer.close()
        await scene.check()

    play(act)


async def _forget(scene: Scene, but: int) -> int:
    """Removes all but the newest events of each partition, whoever may need them."""
    keys = [scene.store.keys.events(partition) for partition in range(PARTITIONS)]
    return sum([await scene.store.client.xtrim(key, maxlen=but, approximate=False) for key in keys])


@pytest.mark.parametrize(("before", "but"), [(0, 1), (12, 1), (12, 0)])
def test_events_that_were_removed_unread_are_counted_once(play: Play, before: int, but: int) -> None:
    async def act(scene: Scene) -> None:
        writer = scene.writer()
        await scene.top_up(before)
        await writer.drain()
        read = len(await scene.events())
        await scene.top_up(40)
        lost = await _forget(scene, but) - read
        assert lost > 0
        with capture_logs() as logs:
            writer._check_at = -1
            written = await writer.drain()
            writer.files.release()
            writer = scene.writer()
            await writer.drain()
            await scene.top_up(1)
            assert await writer.drain() == 1
        assert [(log["log_level"], log["events"]) for log in logs] == [("error", lost)]
        assert "removed from the store before their CDRs were written" in logs[0]["event"]
        writer.close()
        assert written == len(await scene.events()) - 1 or but == 0

    play(act)


def test_a_store_that_was_emptied_is_noticed(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(20)
        writer = scene.writer()
        await writer.drain()
        for partition in range(PARTITIONS):
            await scene.store.client.delete(scene.store.keys.events(partition))
        with capture_logs() as logs:
            for _ in range(2):
                writer._check_at = -1
                assert await writer.drain() == 0
        assert [(log["log_level"], log["partitions"]) for log in logs] == [("error", PARTITIONS)]
        await scene.top_up(5)
        assert await writer.drain() == 5
        writer._check_at = -1
        assert await writer.drain() == 0
        writer.close()

    play(act)


def test_an_event_that_cannot_be_read_holds_up_and_loses_nothing(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(8)
        writer, stop = scene.writer(), asyncio.Event()
        await writer.drain()
        key = scene.store.keys.events(0)
        bad = await scene.store.client.xadd(key, {"e": b'{"account":7}'})
        good = msgspec.json.encode(Receipt("a1", 99, NOW, "credit"))
        await scene.store.client.xadd(key, {"e": good})
        with capture_logs() as logs:
            running = asyncio.create_task(writer.run(stop))
            await until(lambda: any("cannot be read" in log["event"] for log in logs), "a log line")
            assert writer.files.recorded == 8
            await scene.store.client.xdel(key, bad)
            await until(lambda: writer.files.recorded == 9, "writing")
            stop.set()
            await running
        writer.close()
        await scene.check()

    play(act)


# --- who pays in which currency


def test_an_account_that_cannot_be_read_has_no_currency(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(2)
        await scene.store.client.set(scene.store.keys.account("a1"), b"garbage")
        with capture_logs() as logs:
            writer = scene.writer(formats=["jsonl"])
            assert await writer.drain() == 2
            writer.close()
        assert [log["account"] for log in logs if log["log_level"] == "warning"] == ["a1"]
        lines = closed_files(scene.directory, "jsonl")[0].read_bytes().splitlines()
        records = [msgspec.json.decode(line, type=Record) for line in lines]
        assert {record.account: record.currency for record in records} == {"a1": None, "a2": "EUR"}

    play(act)


def test_currencies_are_not_kept_without_end(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.cdr.follow._CURRENCIES_KEPT", 2)

    async def act(scene: Scene) -> None:
        writer = scene.writer()
        for _ in range(3):
            await scene.top_up(8)
            assert await writer.drain() == 8
        writer.close()
        await scene.check()

    play(act)


# --- store and disk away


def test_a_store_that_is_away_for_a_while(tmp_path: Path) -> None:
    async def act() -> None:
        server = EmbeddedValkey(tmp_path / "valkey", "no")
        server.start()
        stop = asyncio.Event()
        async with opened(server.url) as store:
            scene = Scene(store, tmp_path / "cdr")
            scene.ledger.start()
            writer = scene.writer()
            with capture_logs() as logs:
                running = asyncio.create_task(writer.run(stop))
                await scene.top_up(10)
                await until(lambda: writer.files.recorded == 10, "writing")
                await scene.ledger.close()
                server.stop()
                await until(lambda: any("the store is away" in log["event"] for log in logs), "a log line")
                server.start()
                scene.ledger = Ledger(store, CATALOGUE, SETTINGS, clock=lambda: scene.now)
                scene.ledger.start()
                await scene.top_up(10)
                await until(lambda: writer.files.recorded == 20, "writing")
            stop.set()
            await running
            writer.close()
            await scene.check()
            await scene.ledger.close()
        server.stop()

    asyncio.run(act())


def test_a_stop_while_the_store_is_away(tmp_path: Path) -> None:
    async def act() -> None:
        server = EmbeddedValkey(tmp_path / "valkey", "no")
        server.start()
        stop = asyncio.Event()
        async with opened(server.url) as store:
            writer = Scene(store, tmp_path / "cdr").writer()
            with capture_logs() as logs:
                running = asyncio.create_task(writer.run(stop))
                await until(lambda: writer.files.positions, "a start")
                server.stop()
                await until(lambda: logs, "a log line")
                stop.set()
                await running
            assert "stopping before all CDRs are written" in logs[-1]["event"]
            writer.close()

    asyncio.run(act())


def test_a_full_disk(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(30)
        writer = scene.writer()
        await writer.drain()
        await scene.top_up(300)
        (size,) = {p.stat().st_size for p in scene.directory.glob("*.jsonl.open")}
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, hard))
        try:
            for _ in range(3):
                with pytest.raises(DiskFailed, match=r"cdr: File too large"):
                    await writer.drain()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert writer.files.recorded == 30
        assert await writer.drain() == 300
        writer.close()
        await scene.check()

    play(act)


def test_a_disk_that_fails_is_tried_again(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(scene: Scene) -> None:
        writer, stop, write = scene.writer(), asyncio.Event(), os.pwrite
        await writer.drain()
        await scene.top_up(5)

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with capture_logs() as logs:
            monkeypatch.setattr(os, "pwrite", full)
            running = asyncio.create_task(writer.run(stop))
            await until(lambda: len(logs) > 1, "two tries")
            monkeypatch.setattr(os, "pwrite", write)
            await until(lambda: writer.files.recorded == 5, "writing")
            stop.set()
            await running
        assert logs[0]["event"] == "cannot write CDRs; nothing is lost, trying again"
        assert logs[0]["error"] == f"{scene.directory}: No space left on device"
        writer.close()
        await scene.check()

    play(act)


def test_a_fault_of_ours_is_logged_and_loses_nothing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(scene: Scene) -> None:
        calls = 0

        def fails_once(event: Event, currency: str | None) -> list[Record]:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise ZeroDivisionError
            return records_of(event, currency)

        monkeypatch.setattr(writer_module, "records_of", fails_once)
        await scene.top_up(5)
        writer, stop = scene.writer(), asyncio.Event()
        with capture_logs() as logs:
            running = asyncio.create_task(writer.run(stop))
            await until(lambda: writer.files.recorded == 5, "writing")
            stop.set()
            await running
        assert logs[0]["event"].startswith("unexpected failure")
        writer.close()
        await scene.check()

    play(act)


# --- kill -9


def test_killed_again_and_again_while_events_come(play: Play, valkey: EmbeddedValkey, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    words = ["kill", valkey.url, str(PARTITIONS), str(tmp_path / "cdr"), "50", str(seed)]

    async def sessions(scene: Scene, name: str, going: Callable[[], bool]) -> None:
        await scene.ledger.execute(name, CreateAccount(name, [Subscriber("s", [f"msisdn:{name}"])]))
        await scene.ledger.execute(name, CreditMoney("c", 10**9))
        number = 0
        while going():
            number += 1
            session = f"{name}-{number}"
            for index, type_ in enumerate([RequestType.INITIAL, RequestType.UPDATE, RequestType.TERMINATION]):
                used = {"octets": number} if index else None
                services = [Service(10, None, {}, used), Service(66, None, {})][: 2 - index // 2]
                await scene.ledger.execute(name, request(type_, session, index, *services))
            await asyncio.sleep(0.02)

    async def act(scene: Scene) -> None:
        killer = await asyncio.create_subprocess_exec(
            sys.executable, str(PROCESS), *words, stderr=subprocess.PIPE, cwd=PROCESS.parents[3]
        )
        accounts = [asyncio.create_task(sessions(scene, f"a{n}", lambda: killer.returncode is None)) for n in range(4)]
        _, said = await killer.communicate()
        assert killer.returncode == 0, said.decode()
        await asyncio.gather(*accounts)
        recorded_before = sum(position.count or 0 for position in positions_on_disk(scene.directory).values())
        writer = scene.writer()
        await writer.drain()
        writer.close()
        assert recorded_before > 100, "the killed writers got something done"
        assert len(await scene.events()) > recorded_before
        await scene.check()

    try:
        play(act)
    except BaseException:
        print(f"seed of the kills: {seed}")
        raise


def positions_on_disk(directory: Path) -> Any:
    return decode_state((directory / "state.json").read_bytes(), directory).positions


# --- the process


def config_file(tmp_path: Path, *store: str) -> Path:
    lines = ["store:", f"  partitions: {PARTITIONS}", *store, "cdr:", f"  directory: {tmp_path / 'cdr'}"]
    path = tmp_path / "ocs.yaml"
    path.write_text("\n".join(lines))
    return path


def test_the_process_ends_on_sigterm_with_everything_closed(play: Play, valkey: EmbeddedValkey, tmp_path: Path) -> None:
    config = config_file(tmp_path, f"  data: {valkey.directory}", "  fsync: 'no'")

    async def act(scene: Scene) -> None:
        await scene.top_up(10)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROCESS), "run", str(config), str(os.getpid()), stderr=subprocess.PIPE
        )
        await until(lambda: list(scene.directory.glob("*.csv.open")), "a file")
        await scene.top_up(10)
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert b"stopped writing CDRs" in said
        await scene.check()
        assert await scene.store.client.ping(), "the store is still there for others"

    play(act)


def test_the_process_ends_when_its_parent_is_gone(play: Play, valkey: EmbeddedValkey, tmp_path: Path) -> None:
    config = config_file(tmp_path, f"  url: {valkey.url}")
    parent = (
        "import subprocess, sys, time, os\n"
        "subprocess.Popen([sys.executable, *sys.argv[1:], str(os.getpid())])\n"
        "time.sleep(600)\n"
    )

    async def act(scene: Scene) -> None:
        await scene.top_up(10)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", parent, str(PROCESS), "run", str(config), stderr=subprocess.PIPE
        )
        await until(lambda: list(scene.directory.glob("*.csv.open")), "a file")
        process.kill()
        _, said = await process.communicate()  # to the end of the orphan, which holds the pipe
        assert b"the server that started this CDR writer is gone" in said
        await scene.check()

    play(act)


@pytest.fixture
def settings(valkey: EmbeddedValkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(writer_module, "_LAST_RETRY_S", 0.05)
    return load_config(config_file(tmp_path, f"  url: {valkey.url}"))


def test_the_process_waits_for_the_directory(play: Play, settings: Config) -> None:
    async def act(scene: Scene) -> None:
        before = scene.writer()
        with capture_logs() as logs:
            running = asyncio.create_task(run_writer(settings))
            await until(lambda: any("another CDR writer" in str(log.get("error")) for log in logs), "a log line")
            await scene.top_up(3)
            before.close()
            await until(lambda: list(scene.directory.glob("*.csv.open")), "a file")
            os.kill(os.getpid(), signal.SIGTERM)
            await running
        await scene.check()

    play(act)


def test_the_process_waits_for_the_store_and_stops_when_told(
    play: Play, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(scene: Scene) -> None:
        async def refused(*_: object) -> Store:
            return await open_store("unix:///nowhere/valkey.sock", PARTITIONS)

        monkeypatch.setattr(writer_module, "open_store", refused)
        with capture_logs() as logs:
            running = asyncio.create_task(run_writer(settings))
            await until(lambda: len(logs) > 1, "two tries")
            os.kill(os.getpid(), signal.SIGTERM)
            await running
        assert {log["event"] for log in logs} == {"the store cannot be opened; trying again"}
        assert not scene.directory.exists()

    play(act)


def test_the_process_trims_what_is_recorded(play: Play, settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_TRIM_EVERY_S", 0.01)
    monkeypatch.setattr(writer_module, "_clock", lambda: 2**45)
    tries = 0
    trim = streams.trim

    async def fails_once(*arguments: Any) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("away")
        return await trim(*arguments)

    monkeypatch.setattr(streams, "trim", fails_once)

    async def act(scene: Scene) -> None:
        await scene.top_up(20)
        running = asyncio.create_task(run_writer(settings))
        for _ in range(3000):
            if not await scene.events():
                break
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        assert await scene.events() == []
        assert len(ids_in(scene.directory, "csv")) == 20

    play(act)


def test_a_file_that_cannot_be_closed_at_the_end_is_left_to_the_next_start(
    play: Play, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(scene: Scene) -> None:
        await scene.top_up(3)
        with capture_logs() as logs:
            running = asyncio.create_task(run_writer(settings))
            await until(lambda: list(scene.directory.glob("*.csv.open")), "a file")

            def full(*_: object) -> int:
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as patch:
                patch.setattr(os, "pwrite", full)
                os.kill(os.getpid(), signal.SIGTERM)
                await running
        assert any("could not close" in log["event"] for log in logs)
        scene.writer().close()
        await scene.check()

    play(act)
