"""A directory in memory that forgets what a real one may forget: for tests of what is left after a crash."""

import random
from pathlib import Path

from ocs.cdr.disk import Directory


class Crash(BaseException):
    """The process, or the machine, is gone. Nothing catches it."""


class _File:
    def __init__(self) -> None:
        self.content = b""
        self.on_disk = b""


class MemoryDirectory(Directory):
    """Crashes at the `crash_at`-th point from now; every step has one or more points.

    After it, `killed` keeps what the process had done; `power_cut` keeps what was synced and, by chance, some of what
    was not: parts of writes, zeros in their place, any of the changes of names.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__(Path("/nowhere"))
        self.chance = chance
        self.crash_at = 0
        self.points = 0
        self._names: dict[str, _File] = {}
        self._names_on_disk: dict[str, _File] = {}
        self._changes: list[tuple[str, str, _File]] = []
        """Of names, since they were synced: (old name or "", new name or "", file)."""

    def lock(self) -> None:
        pass

    def unlock(self) -> None:
        pass

    def sizes(self) -> dict[str, int]:
        return {name: len(file.content) for name, file in self._names.items()}

    def read(self, name: str) -> bytes | None:
        return self._names[name].content if name in self._names else None

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._point()
        if name not in self._names:
            assert offset == 0
            self._names[name] = _File()
            self._changes.append(("", name, self._names[name]))
        file = self._names[name]
        assert len(file.content) >= offset
        before = file.content[:offset]
        file.content = before
        self._point()
        file.content = before + data[: self.chance.randint(0, len(data))]
        self._point()
        file.content = before + data
        self._point()
        file.on_disk = file.content
        self._point()

    def truncate(self, name: str, size: int) -> None:
        self._point()
        file = self._names[name]
        assert len(file.content) >= size
        file.content = file.content[:size]
        self._point()
        file.on_disk = file.content
        self._point()

    def rename(self, old: str, new: str) -> None:
        self._point()
        if old not in self._names:
            raise FileNotFoundError(old)
        assert new == "state.json" or new not in self._names, "no file is ever replaced"
        self._names[new] = self._names.pop(old)
        self._changes.append((old, new, self._names[new]))
        self._point()

    def remove(self, name: str) -> None:
        self._point()
        self._changes.append((name, "", self._names.pop(name)))
        self._point()

    def sync(self) -> None:
        self._point()
        self._names_on_disk, self._changes = dict(self._names), []
        self._point()

    # --- crashes ------------------------------------------------------------------------------------------------

    def killed(self) -> None:
        """kill -9: the system still has everything."""
        self.crash_at = 0

    def power_cut(self) -> None:
        names = self._names_on_disk
        lucky = self.chance.random()
        for old, new, file in self._changes:
            if self.chance.random() < lucky and (not old or names.get(old) is file):
                names.pop(old, None)
                if new:
                    names[new] = file
        self._names, self._names_on_disk, self._changes = names, dict(names), []
        for file in self._names.values():
            file.content = file.on_disk = self._remains_of(file)
        self.crash_at = 0

    def _remains_of(self, file: _File) -> bytes:
        old, new = file.on_disk, file.content
        kind = self.chance.choice(["old", "new", "part", "zeros"])
        if kind == "old" or old == new:
            return old
        if kind == "new":
            return new
        if not new.startswith(old):
            return old  # it was being cut: done or not done
        kept = self.chance.randint(len(old), len(new))
        return new[:kept] if kind == "part" else new[:kept] + bytes(len(new) - kept)

    def _point(self) -> None:
        self.points += 1
        if self.crash_at:
            self.crash_at -= 1
            if not self.crash_at:
                raise Crash
