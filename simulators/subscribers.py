"""Who uses the simulated network, and how: a usage model that a seed determines.

Owns the subscribers' numbers and the statistics of their sessions. Refuses to know Diameter and the clock: times are
seconds from the start of the simulation.

The same seed gives the same sessions to the same subscriber, however many subscribers there are.
"""

import math
import random
from collections.abc import Iterable, Iterator

import msgspec

from .ccr import Bearer

E164_DIGITS = 15
"""The longest number there is (ITU-T E.164)."""
_HOUR_S = 3600.0


class Subscriber(msgspec.Struct, frozen=True):
    """One of them. `index` counts from 0."""

    index: int
    msisdn: str
    imsi: str

    def __str__(self) -> str:
        return f"{self.msisdn},{self.imsi}"

    def bearer(self, session: int, apn: str = "internet") -> Bearer:
        """The connection of the subscriber's session of that number."""
        low = self.index + 2  # .0 and .1 are the network's own
        return Bearer(
            msisdn=self.msisdn,
            imsi=self.imsi,
            imeisv=f"35693803{self.index % 10**6:06}01",
            address=f"10.{64 + (low >> 16) % 64}.{low >> 8 & 255}.{low & 255}",
            apn=apn,
            charging_id=(self.index << 12 | session & 0xFFF) & 0xFFFFFFFF,
        )


def make_subscribers(count: int, first_msisdn: str, first_imsi: str) -> list[Subscriber]:
    """`count` subscribers with consecutive numbers. Raises ValueError when the numbers do not suffice."""
    return [
        Subscriber(index, _number("MSISDN", first_msisdn, index), _number("IMSI", first_imsi, index))
        for index in range(count)
    ]


def _number(kind: str, first: str, index: int) -> str:
    if not (first.isascii() and first.isdigit()) or len(first) > E164_DIGITS:
        raise ValueError(f"{first!r} is no {kind}: write at most {E164_DIGITS} digits, without + or spaces")
    number = f"{int(first) + index:0{len(first)}}"
    if len(number) > len(first):
        raise ValueError(f"{kind}s from {first} on do not suffice: {number} has a digit more; begin with a smaller one")
    return number


def provisioning_lines(subscribers: Iterable[Subscriber]) -> Iterator[str]:
    """The subscribers as CSV with a head line, to create them in a server."""
    yield "msisdn,imsi"
    yield from map(str, subscribers)


class UsageModel(msgspec.Struct, frozen=True, kw_only=True):
    """How subscribers use the network. The defaults give some 40 MB an hour and subscriber: a few short sessions, most
    of them small, some very large, as in mobile data.
    """

    rating_groups: tuple[int, ...] = (10, 30)
    shares: tuple[float, ...] = ()
    """How much of the traffic each rating group has; none given: each the half of the one before."""
    sessions_per_hour: float = 2.0
    """While not connected: the gaps between sessions are exponential, so that their starts are random in time."""
    session_minutes: float = 8.0
    """Mean length; exponential."""
    volume_octets: int = 12_000_000
    """Median of a session's volume; log-normal."""
    volume_sigma: float = 1.2
    """Of the logarithm: 1.2 puts one session in twenty above seven times the median."""
    max_volume_octets: int = 2_000_000_000
    burst_octets: int = 1_500_000
    """Mean size of the pieces in which traffic comes; exponential."""
    max_bursts: int = 200
    """Pieces of a session, at the most; they get larger instead."""
    share_up: float = 0.12
    """How much of the traffic goes from the subscriber to the network."""

    def __post_init__(self) -> None:
        if not self.rating_groups:
            raise ValueError("a usage model needs at least one rating group")
        if self.shares and len(self.shares) != len(self.rating_groups):
            raise ValueError(f"{len(self.shares)} shares for {len(self.rating_groups)} rating groups")

    @property
    def weights(self) -> tuple[float, ...]:
        return self.shares or tuple(0.5**position for position in range(len(self.rating_groups)))


class Burst(msgspec.Struct, frozen=True):
    """A piece of traffic."""

    at_s: float
    rating_group: int
    octets_up: int
    octets_down: int


class SessionPlan(msgspec.Struct, frozen=True):
    """What a subscriber will do in one session, quota permitting."""

    number: int
    """Of the subscriber's sessions, from 0."""
    start_s: float
    stop_s: float
    bursts: tuple[Burst, ...]
    """In order of time."""


def plan_sessions(subscriber: Subscriber, model: UsageModel, seed: int) -> Iterator[SessionPlan]:
    """The subscriber's sessions, one after another, without end."""
    # A text as seed is hashed the same way in every process, and keeps subscribers independent of each other.
    dice = random.Random(f"{seed}/{subscriber.index}")
    at_s, number = 0.0, 0
    while True:
        at_s += dice.expovariate(model.sessions_per_hour / _HOUR_S)
        length_s = max(1.0, dice.expovariate(1 / (model.session_minutes * 60)))
        yield SessionPlan(number, at_s, at_s + length_s, tuple(_bursts(dice, model, at_s, length_s)))
        at_s += length_s
        number += 1


def _bursts(dice: random.Random, model: UsageModel, start_s: float, length_s: float) -> Iterator[Burst]:
    volume = min(round(dice.lognormvariate(math.log(model.volume_octets), model.volume_sigma)), model.max_volume_octets)
    mean = max(model.burst_octets, volume / model.max_bursts * 2)
    times: list[float] = []
    sizes: list[int] = []
    while volume > 0 and len(sizes) < model.max_bursts - 1:
        size = min(volume, 1 + int(dice.expovariate(1 / mean)))
        sizes.append(size)
        times.append(start_s + dice.random() * length_s)
        volume -= size
    if volume > 0:
        sizes.append(volume)
        times.append(start_s + dice.random() * length_s)
    for at_s, size in zip(sorted(times), sizes, strict=True):
        rating_group = dice.choices(model.rating_groups, model.weights)[0]
        up = round(size * model.share_up)
        yield Burst(at_s, rating_group, up, size - up)
