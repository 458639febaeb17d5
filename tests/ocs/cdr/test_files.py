"""The file set on a real directory: names, rotation, restarts, what a crash or a hand may leave, and failing steps."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ocs.cdr.disk import CdrError, Directory, DirectoryInconsistent, DirectoryLocked, DiskFailed
from ocs.cdr.files import FileSet
from ocs.cdr.record import Record, RecordType
from ocs.cdr.state import Position

from .traffic import IDS, NOW, closed_files, ids_in

BOTH = ("jsonl", "csv")


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What syncing is for is seen in test_crashes; here it only takes its time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def record(number: int) -> Record:
    return Record(record_id=f"a/{number}/1", record_type=RecordType.USAGE, time="t", account="a", request_type="update")


def at(number: int) -> dict[int, Position]:
    return {0: Position(f"{number}-0", number)}


@contextmanager
def file_set(path: Path | Directory, clock: Callable[[], int], **more: Any) -> Iterator[FileSet]:
    """A set that is let go of as by a process that ends: nothing is closed."""
    directory = path if isinstance(path, Directory) else Directory(path)
    options: dict[str, Any] = {"formats": BOTH, "rotate_size": 10**9, "rotate_age_ms": 900_000} | more
    files = FileSet(directory, clock=clock, **options)
    try:
        yield files
    finally:
        files.release()


def write(files: FileSet, *numbers: int) -> None:
    files.settle()
    files.add([record(number) for number in numbers])
    files.checkpoint(at(max(numbers)))


def all_ids(path: Path) -> list[str]:
    """Of the closed files; the formats must agree."""
    assert ids_in(path, "csv") == ids_in(path, "jsonl")
    return ids_in(path, "csv")


def ids(*numbers: int) -> list[str]:
    return [f"a/{number}/1" for number in numbers]


# --- names and rotation


def test_a_file_is_open_until_it_is_closed(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1, 2)
        assert closed_files(tmp_path, "*") == [
            tmp_path / "cdr-20261120T101500Z-000001.csv.open",
            tmp_path / "cdr-20261120T101500Z-000001.jsonl.open",
        ]
        files.close_file()
        assert [path.name for path in closed_files(tmp_path, "*")] == [
            "cdr-20261120T101500Z-000001.csv",
            "cdr-20261120T101500Z-000001.jsonl",
        ]
        assert all_ids(tmp_path) == ids(1, 2)


def test_no_empty_file(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        files.checkpoint(at(1))
        clock.now += 10**9
        files.rotate_if_due()
        files.close_file()
    assert closed_files(tmp_path, "*") == []
    with file_set(tmp_path, clock) as files:
        assert files.positions == at(1)


def test_closed_at_the_size(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock, rotate_size=3000, formats=["jsonl"]) as files:
        for number in range(1, 12):
            files.add([record(number)])
            if files.is_full:
                files.checkpoint(at(number))
        files.checkpoint(at(11))
        files.close_file()
        assert files.closed == len(closed_files(tmp_path, "jsonl")) > 2
    sizes = [path.stat().st_size for path in closed_files(tmp_path, "jsonl")]
    one = len(closed_files(tmp_path, "jsonl")[0].read_bytes().splitlines()[0]) + 1
    assert all(3000 <= size < 3000 + one for size in sizes[:-1])
    assert ids_in(tmp_path, "jsonl") == ids(*range(1, 12))


def test_closed_at_the_age_with_records_and_without(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
        clock.now += 899_999
        files.rotate_if_due()
        assert files.closed == 0
        clock.now += 1
        files.rotate_if_due()
        assert files.closed == 1
        write(files, 2)
        clock.now += 900_000
        write(files, 3)
        assert files.closed == 2
    assert [len(IDS["csv"](path.read_bytes())) for path in closed_files(tmp_path, "csv")] == [1, 2]


def test_names_sort_and_numbers_go_on_though_the_clock_is_set_back(tmp_path: Path, clock: Clock) -> None:
    for number in range(1, 5):
        with file_set(tmp_path, clock) as files:
            write(files, number)
            files.close_file()
        clock.now -= 86_400_000
    names = [path.name for path in closed_files(tmp_path, "csv")]
    assert [re.findall(r"-(\d{6})\.", name)[0] for name in names] == ["000001", "000002", "000003", "000004"]
    assert all_ids(tmp_path) == ids(1, 2, 3, 4)


def test_a_clock_set_back_closes_the_file_instead_of_keeping_it_for_ever(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
        clock.now -= 1
        files.rotate_if_due()
        assert files.closed == 1
        write(files, 2)
        files.rotate_if_due()
        assert files.closed == 1, "the next one has its time"


# --- restarts


def test_a_restart_goes_on_in_the_open_file(tmp_path: Path, clock: Clock) -> None:
    for number in range(1, 4):
        with file_set(tmp_path, clock) as files:
            assert files.positions == ({} if number == 1 else at(number - 1))
            write(files, number)
    clock.now += 900_000
    with file_set(tmp_path, clock) as files:
        files.rotate_if_due()
    assert len(closed_files(tmp_path, "csv")) == 1
    assert all_ids(tmp_path) == ids(1, 2, 3)


def test_a_torn_tail_is_cut_off(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
    for path in closed_files(tmp_path, "*.open"):
        path.write_bytes(path.read_bytes() + b'{"record_id":"a/2/1","rec')
    with file_set(tmp_path, clock) as files:
        write(files, 2)
        files.close_file()
    assert all_ids(tmp_path) == ids(1, 2)


def test_a_torn_tail_is_cut_off_though_nothing_follows(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
    for path in closed_files(tmp_path, "*.open"):
        path.write_bytes(path.read_bytes() + b"torn")
    with file_set(tmp_path, clock) as files:
        files.close_file()
    assert all_ids(tmp_path) == ids(1)


def test_a_file_begun_and_never_recorded_is_removed_and_its_number_used(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock):
        pass
    (tmp_path / "cdr-20261120T101000Z-000001.csv.open").write_bytes(b"torn")
    with file_set(tmp_path, clock) as files:
        assert closed_files(tmp_path, "*") == []
        write(files, 1)
        files.close_file()
    assert [path.name for path in closed_files(tmp_path, "csv")] == ["cdr-20261120T101500Z-000001.csv"]


def test_a_closing_that_was_begun_is_completed(tmp_path: Path, clock: Clock) -> None:
    class Dies(Directory):
        def rename(self, old: str, new: str) -> None:
            if new.endswith(".csv"):
                raise KeyboardInterrupt
            super().rename(old, new)

    with file_set(Dies(tmp_path), clock) as files:
        write(files, 1)
        with pytest.raises(KeyboardInterrupt):
            files.close_file()
    assert len(closed_files(tmp_path, "jsonl")) == 1
    closed_files(tmp_path, "jsonl")[0].unlink()  # downstream was quick
    with file_set(tmp_path, clock) as files:
        assert ids_in(tmp_path, "csv") == ids(1)
        write(files, 2)
        files.close_file()
    assert ids_in(tmp_path, "csv") == ids(1, 2)
    assert ids_in(tmp_path, "jsonl") == ids(2)


def test_closed_files_may_be_taken_away(tmp_path: Path, clock: Clock) -> None:
    for number in range(1, 4):
        with file_set(tmp_path, clock) as files:
            write(files, number)
            files.close_file()
        for path in [*closed_files(tmp_path, "csv"), *closed_files(tmp_path, "jsonl")]:
            assert f"-00000{number}." in path.name
            path.unlink()


def test_other_formats_after_a_restart_begin_a_new_file(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
    with file_set(tmp_path, clock, formats=["csv"]) as files:
        assert len(closed_files(tmp_path, "csv")) == len(closed_files(tmp_path, "jsonl")) == 1
        write(files, 2)
    with file_set(tmp_path, clock) as files:
        write(files, 3)
        files.close_file()
    assert ids_in(tmp_path, "csv") == ids(1, 2, 3)
    assert ids_in(tmp_path, "jsonl") == ids(1, 3)


def test_a_lost_state_does_not_reuse_a_number(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
        files.close_file()
    (tmp_path / "state.json").unlink()
    with file_set(tmp_path, clock) as files:
        assert files.positions == {}
        write(files, 2)
        files.close_file()
    assert all_ids(tmp_path) == ids(1, 2)
    assert "-000002." in closed_files(tmp_path, "csv")[-1].name


def test_an_old_state_does_not_reuse_a_number(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock):
        old = (tmp_path / "state.json").read_bytes()
    with file_set(tmp_path, clock) as files:
        write(files, 1)
        files.close_file()
    (tmp_path / "state.json").write_bytes(old)
    with file_set(tmp_path, clock) as files:
        write(files, 2)
        files.close_file()
    assert all_ids(tmp_path) == ids(1, 2)


# --- what a hand may have done


def test_two_writers(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock), pytest.raises(DirectoryLocked), file_set(tmp_path, clock):
        pass
    with file_set(tmp_path, clock):
        pass


def test_open_files_without_a_state_are_refused(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
    (tmp_path / "state.json").unlink()
    with pytest.raises(DirectoryInconsistent, match=r"state\.json is missing.*000001\.csv\.open"):
        FileSet(Directory(tmp_path), BOTH, 10**9, 10**9, clock)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format":2}', b'{"sequence":"x"}'])
def test_a_state_of_somebody_else_is_refused(tmp_path: Path, clock: Clock, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(DirectoryInconsistent, match=r"state\.json"):
        FileSet(Directory(tmp_path), BOTH, 10**9, 10**9, clock)
    with pytest.raises(DirectoryInconsistent):
        FileSet(Directory(tmp_path), BOTH, 10**9, 10**9, clock)  # and is not locked any more


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")])
def test_a_file_that_lost_records_is_refused(tmp_path: Path, clock: Clock, harm: Callable[[Path], object]) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
    harm(closed_files(tmp_path, "csv.open")[0])
    with pytest.raises(DirectoryInconsistent, match=r"000001\.csv\.open .* octets"):
        FileSet(Directory(tmp_path), BOTH, 10**9, 10**9, clock)
    state = json.loads((tmp_path / "state.json").read_bytes())
    (tmp_path / "state.json").write_text(json.dumps(state | {"open": None}))
    with file_set(tmp_path, clock) as files:
        assert files.positions == at(1), "what the message says helps"


def test_a_file_removed_while_it_is_written(tmp_path: Path, clock: Clock) -> None:
    with file_set(tmp_path, clock) as files:
        write(files, 1)
        (taken,) = closed_files(tmp_path, "csv.open")
        content = taken.read_bytes()
        taken.unlink()
        with pytest.raises(DiskFailed):
            write(files, 2)
        with pytest.raises(DirectoryInconsistent, match="is missing"):
            write(files, 2)
        taken.write_bytes(content)
        write(files, 2)
        files.close_file()
    assert all_ids(tmp_path) == ids(1, 2)


def test_files_of_others_are_left_alone(tmp_path: Path, clock: Clock) -> None:
    others = {"notes.txt", "cdr-x.csv.open", "cdr-20261120T101500Z-000009.parquet"}
    for name in others:
        (tmp_path / name).write_text("mine")
    with file_set(tmp_path, clock) as files:
        write(files, 1)
        files.close_file()
    assert {path.name for path in tmp_path.iterdir() if path.read_text() == "mine"} == others


# --- steps that fail


class Failing(Directory):
    """Refuses the steps whose numbers are in `refused`; of a write it has done half then."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.refused: set[int] = set()
        self.steps = 0

    def _is_refused(self) -> bool:
        self.steps += 1
        return self.steps in self.refused

    def write(self, name: str, offset: int, data: bytes) -> None:
        if self._is_refused():
            super().write(name, offset, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(name, offset, data)

    def rename(self, old: str, new: str) -> None:
        if self._is_refused():
            raise OSError(errno.EACCES, "Permission denied")
        super().rename(old, new)

    def sync(self) -> None:
        if self._is_refused():
            raise OSError(errno.EIO, "Input/output error")
        super().sync()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("step", range(1, 25))
def test_whatever_step_fails_the_next_try_is_right(tmp_path: Path, clock: Clock, step: int, times: int) -> None:
    directory = Failing(tmp_path)
    failures: list[str] = []
    with file_set(directory, clock) as files:
        directory.steps, directory.refused = 0, set(range(step, step + times))
        done = 0
        while done < 4:
            try:
                files.settle()
                done = max((position.count or 0 for position in files.positions.values()), default=0)
                write(files, done + 1)
                if done == 1:
                    files.close_file()
            except DiskFailed as error:
                failures.append(str(error))
        files.close_file()
    assert len(failures) == times
    assert all(re.search(rf"^{tmp_path}: (No space|Permission|Input)", text) for text in failures)
    assert all_ids(tmp_path) == ids(*range(1, done + 2))


def test_a_directory_that_cannot_be_made(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskFailed, match=r"file/cdr: "):
        FileSet(Directory(tmp_path / "file" / "cdr"), BOTH, 1, 1, clock)
    assert issubclass(DiskFailed, CdrError)
