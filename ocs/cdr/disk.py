"""The single steps on a directory that the file set is made of. Each may fail, and each may be the last before a crash.

Owns system calls and what makes them durable. Refuses to know what the files hold and in which order steps are safe:
that is `files`, whose tests replace this class by one that crashes wherever it hurts.
"""

import errno
import fcntl
import os
from pathlib import Path

LOCK_NAME = "writer.lock"
_FILE_MODE = 0o640
"""CDRs are personal data: nobody but the owner and the group that takes the files may read them."""


class CdrError(RuntimeError):
    """CDRs cannot be written. The text names the place and what would help.

    CdrError
     ├── DirectoryLocked        another writer works on the directory
     ├── DirectoryInconsistent  files and state do not fit each other: somebody changed them by hand
     └── DiskFailed             the system refused a step (disk full, no permission); nothing is lost, try again
    """


class DirectoryLocked(CdrError):
    """Another writer works on the directory."""


class DirectoryInconsistent(CdrError):
    """What is in the directory does not fit what its state says."""


class DiskFailed(CdrError):
    """A step was refused by the system. To be tried again; until then nothing counts as written."""


class Directory:
    """Steps on the files of one directory. All but `lock` raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def __str__(self) -> str:
        return str(self.path)

    def lock(self) -> None:
        """Makes the directory if need be, and keeps other writers off it until `unlock` or the end of this process.

        Raises DirectoryLocked, and OSError.
        """
        self._make(self.path)
        lock = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 20).decode(errors="replace").strip()
            os.close(lock)
            text = f"{self.path}: another CDR writer (process {owner or 'unknown'}) works on this directory"
            raise DirectoryLocked(f"{text}; stop it, or set another cdr.directory") from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def sizes(self) -> dict[str, int]:
        """Names and sizes, in octets, of all regular files."""
        with os.scandir(self.path) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}

    def read(self, name: str) -> bytes | None:
        """The content; None: there is no such file."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Makes the file its first `offset` octets followed by `data`, and has that on disk on return.

        With offset 0 the file may be new; its name is durable after `sync`.
        """
        create = os.O_CREAT if offset == 0 else 0
        file = os.open(self.path / name, os.O_WRONLY | create, _FILE_MODE)
        try:
            size = os.fstat(file).st_size
            if size < offset:
                raise OSError(errno.ESPIPE, f"{name} has {size} octets where {offset} were written")
            if size > offset:
                os.ftruncate(file, offset)
            rest = memoryview(data)
            while rest:
                written = os.pwrite(file, rest, offset)
                rest, offset = rest[written:], offset + written
            os.fsync(file)
        finally:
            os.close(file)

    def truncate(self, name: str, size: int) -> None:
        """Makes the file its first `size` octets, and has that on disk on return."""
        self.write(name, size, b"")

    def rename(self, old: str, new: str) -> None:
        (self.path / old).rename(self.path / new)

    def remove(self, name: str) -> None:
        (self.path / name).unlink()

    def sync(self) -> None:
        """Has all names as they are now on disk on return."""
        self._sync(self.path)

    def _make(self, path: Path) -> None:
        if not path.is_dir():
            self._make(path.parent)
            path.mkdir(exist_ok=True)
            self._sync(path.parent)

    @staticmethod
    def _sync(path: Path) -> None:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
