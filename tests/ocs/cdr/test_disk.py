"""The single steps, on a real file system."""

import os
from pathlib import Path

import pytest

from ocs.cdr.disk import LOCK_NAME, Directory, DirectoryLocked


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_write_makes_the_file_its_beginning_and_the_data(directory: Directory) -> None:
    directory.write("f", 0, b"hello world")
    directory.write("f", 6, b"you")
    assert directory.read("f") == b"hello you"
    directory.write("f", 0, b"")
    assert directory.read("f") == b""


def test_write_makes_no_hole(directory: Directory) -> None:
    directory.write("f", 0, b"abc")
    with pytest.raises(OSError, match="has 3 octets where 9"):
        directory.write("f", 9, b"x")
    assert directory.read("f") == b"abc"


def test_write_beyond_the_start_needs_the_file(directory: Directory) -> None:
    with pytest.raises(FileNotFoundError):
        directory.write("gone", 5, b"x")
    assert directory.sizes() == {}


def test_write_goes_on_after_a_short_write(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: whole(file, bytes(data)[:2], offset))
    directory.write("f", 0, b"abcdefg")
    assert directory.read("f") == b"abcdefg"


def test_names_and_sizes(directory: Directory) -> None:
    directory.write("a", 0, b"12345")
    directory.write("b", 0, b"1")
    (directory.path / "folder").mkdir()
    directory.truncate("a", 2)
    directory.rename("b", "c")
    directory.sync()
    assert directory.sizes() == {"a": 2, "c": 1}
    directory.remove("a")
    assert directory.read("a") is None


def test_others_may_not_read(directory: Directory) -> None:
    directory.write("f", 0, b"x")
    assert (directory.path / "f").stat().st_mode & 0o007 == 0


def test_the_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "a" / "b")
    directory.lock()
    assert directory.sizes().keys() == {LOCK_NAME}
    directory.unlock()
    directory.unlock()


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    first, second = Directory(tmp_path), Directory(tmp_path)
    first.lock()
    with pytest.raises(DirectoryLocked, match=rf"another CDR writer \(process {os.getpid()}\).*cdr.directory"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_lock_that_fails_half_way_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", fails)
        with pytest.raises(OSError, match="No space"):
            Directory(tmp_path).lock()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
