"""What a simulated gateway counted for itself: the other side of the server's balance.

Owns the columns and their sums. Refuses to know messages and quotas; whoever passes, asks or reports writes here.

    offered = passed + free + dropped + what still waits
    passed  = reported + what no request has carried yet
"""

import enum
from collections import Counter

import msgspec

RatingGroup = int | None
"""None: a gateway that names no rating group."""


class Unit(enum.StrEnum):
    """What a service is counted in."""

    OCTETS = "octets"
    SECONDS = "seconds"
    EVENTS = "events"


class Usage(msgspec.Struct):
    """Traffic, by what it is counted in. Octets keep their direction: up is from the subscriber to the network."""

    octets_up: int = 0
    octets_down: int = 0
    seconds: int = 0
    events: int = 0

    def __bool__(self) -> bool:
        return bool(self.octets_up or self.octets_down or self.seconds or self.events)

    def of(self, unit: Unit) -> int:
        """The amount of one unit, both directions together."""
        if unit is Unit.OCTETS:
            return self.octets_up + self.octets_down
        return self.seconds if unit is Unit.SECONDS else self.events

    def add(self, other: "Usage") -> None:
        self.octets_up += other.octets_up
        self.octets_down += other.octets_down
        self.seconds += other.seconds
        self.events += other.events

    def take(self, unit: Unit, amount: int) -> "Usage":
        """Moves `amount` (at most `of(unit)`) out, directions in proportion, and returns it."""
        if unit is Unit.OCTETS:
            up = self.octets_up * amount // max(1, self.octets_up + self.octets_down)
            # Rounding down may leave more for the other direction than there is.
            up = max(up, amount - self.octets_down)
            taken = Usage(octets_up=up, octets_down=amount - up)
        elif unit is Unit.SECONDS:
            taken = Usage(seconds=amount)
        else:
            taken = Usage(events=amount)
        self.octets_up -= taken.octets_up
        self.octets_down -= taken.octets_down
        self.seconds -= taken.seconds
        self.events -= taken.events
        return taken

    def take_all(self) -> "Usage":
        """Moves everything out and returns it."""
        taken = Usage(self.octets_up, self.octets_down, self.seconds, self.events)
        self.octets_up = self.octets_down = self.seconds = self.events = 0
        return taken


Column = Counter[Unit]


class ServiceBooks(msgspec.Struct):
    """The books of one rating group."""

    offered: Column = msgspec.field(default_factory=Counter)
    """What the subscriber's traffic asked for."""
    passed: Column = msgspec.field(default_factory=Counter)
    """What was let through under credit control, and so has to be reported."""
    free: Column = msgspec.field(default_factory=Counter)
    """What was let through outside credit control: the server, or its absence, said that nothing is charged."""
    dropped: Column = msgspec.field(default_factory=Counter)
    """What was refused, or was still waiting when the session ended."""
    granted: Column = msgspec.field(default_factory=Counter)
    reported: Column = msgspec.field(default_factory=Counter)
    """What Used-Service-Units have said, each request counted once however often it was sent."""
    confirmed: Column = msgspec.field(default_factory=Counter)
    """The part of `reported` whose request was answered with success."""

    def add(self, other: "ServiceBooks") -> None:
        for name in self.__struct_fields__:
            getattr(self, name).update(getattr(other, name))


def enter(column: Column, usage: Usage) -> None:
    """Adds traffic to a column."""
    for unit in Unit:
        amount = usage.of(unit)
        if amount:
            column[unit] += amount


class Books:
    """The books of one session, or of many added up, by rating group."""

    def __init__(self) -> None:
        self.services: dict[RatingGroup, ServiceBooks] = {}

    def of(self, rating_group: RatingGroup) -> ServiceBooks:
        """The books of a rating group; empty ones at its first mention."""
        service = self.services.get(rating_group)
        if service is None:
            service = self.services[rating_group] = ServiceBooks()
        return service

    def add(self, other: "Books") -> None:
        for rating_group, service in other.services.items():
            self.of(rating_group).add(service)

    def total(self, column: str, unit: Unit = Unit.OCTETS) -> int:
        """The sum of a column, such as `passed`, over all rating groups."""
        return sum(getattr(service, column)[unit] for service in self.services.values())

    def unreported(self, rating_group: RatingGroup, unit: Unit = Unit.OCTETS) -> int:
        """What passed and stands in no request."""
        service = self.of(rating_group)
        return service.passed[unit] - service.reported[unit]
