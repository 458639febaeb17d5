"""Crashes at every point of writing, closing and starting again: each record is in the closed files once."""

import random
from collections import Counter

import pytest

from ocs.cdr.files import FileSet
from ocs.cdr.record import Record, RecordType
from ocs.cdr.state import Position

from .memory_directory import Crash, MemoryDirectory
from .traffic import IDS, NOW

BOTH = ("jsonl", "csv")
PARTITIONS = (0, 1)


class World:
    """A stream of events in two partitions, a disk, and downstream, which takes closed files when it pleases."""

    def __init__(self, seed: int, events: int, batch: int) -> None:
        self.chance = random.Random(seed)
        self.directory = MemoryDirectory(self.chance)
        self.now = NOW
        self.events, self.batch = events, batch
        self.taken: dict[str, bytes] = {}

    def expected(self) -> Counter[str]:
        return Counter(f"p{p}/{n}/1" for p in PARTITIONS for n in range(1, self.events + 1) if n % 3)

    def write_all(self) -> None:
        """What the writer does, from its start to the end of the events. Closes the last file."""
        files = FileSet(self.directory, BOTH, 2500, 900_000, lambda: self.now)
        positions = dict(files.positions) or {p: Position("0-0", 0) for p in PARTITIONS}
        while True:
            files.rotate_if_due()
            batch = [(p, n) for p in PARTITIONS for n in self._next(positions[p])]
            if not batch:
                break
            for partition, number in batch:
                if number % 3:  # one event in three has no record
                    files.add([_record(f"p{partition}/{number}/1")])
                positions[partition] = Position(f"{number}-0", number)
                if files.is_full:
                    files.checkpoint(dict(positions))
            files.checkpoint(dict(positions))
            self.now += self.chance.choice([1, 1, 1, 400_000])
        files.close_file()

    def _next(self, position: Position) -> range:
        count = position.count or 0
        return range(count + 1, min(count + self.batch, self.events) + 1)

    def take(self) -> None:
        """Downstream. A file it has had already may come again after a power cut, and must be the same then."""
        for name in self.directory.sizes():
            if name.startswith("cdr-") and not name.endswith(".open"):
                content = self.directory.read(name)
                assert content is not None
                assert self.taken.setdefault(name, content) == content, f"{name} was changed after it was closed"

    def crash(self, power: bool) -> None:
        if power:
            self.directory.power_cut()
        else:
            self.directory.killed()

    def run_until_crash(self, point: int) -> bool:
        """Whether it came to the end."""
        self.directory.crash_at = point
        try:
            self.write_all()
        except Crash:
            return False
        self.directory.crash_at = 0
        return True

    def check(self) -> None:
        self.take()
        for form in BOTH:
            names = sorted(name for name in self.taken if name.endswith(form))
            found = Counter(record for name in names for record in IDS[form](self.taken[name]))
            assert found == self.expected()
            assert [name.split("-")[2].split(".")[0] for name in names] == [f"{n + 1:06}" for n in range(len(names))]
        assert not [name for name in self.directory.sizes() if name.endswith(".open")]


def _record(record_id: str) -> Record:
    return Record(record_id=record_id, record_type=RecordType.USAGE, time="t", account="a", request_type="update")


def points_of(events: int, batch: int) -> int:
    world = World(0, events, batch)
    world.write_all()
    world.check()
    return world.directory.points


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_a_crash_at_every_point(power: bool) -> None:
    points = points_of(8, 3)
    assert points > 100
    for seed in range(10):
        for point in range(1, points + 1):
            world = World(seed, 8, 3)
            if not world.run_until_crash(point):
                world.take()
                world.crash(power)
                world.now += world.chance.choice([0, 900_000])
                world.write_all()
            world.check()


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_a_second_crash_at_every_point_of_the_start_after_one(power: bool) -> None:
    for point in range(1, points_of(4, 3) + 1):
        for second in range(1, 30):
            world = World(point, 4, 3)
            if not world.run_until_crash(point):
                world.crash(power)
                world.now += world.chance.choice([0, 900_000])
                if not world.run_until_crash(second):
                    world.take()
                    world.crash(not power)
                    world.write_all()
            world.check()


def test_many_crashes_of_both_kinds() -> None:
    for seed in range(600):
        world = World(seed, 20, 4)
        while not world.run_until_crash(world.chance.randint(1, 150)):
            if world.chance.random() < 0.3:
                world.take()
            world.crash(power=world.chance.random() < 0.5)
            world.now += world.chance.choice([0, 1000, -5000, 900_000])
        world.check()
