"""One rating group of a session at the gateway: its quota, its traffic, and when the server has to be asked again.

Owns what passes and what is due. Refuses to know messages, other services and who waits for which answer; `now` comes
in, in seconds.

    NEW         nothing granted yet: the first traffic asks
    OPEN        quota was granted; traffic passes within it
    RESTRICTED  the final units are used and the action is REDIRECT or RESTRICT_ACCESS: asks when its time is over
    REFUSED     the server refused the service (4012, 4010, 5031, or no quota): asks again after `retry_at`
    ENDED       the final units are used and the action is TERMINATE
    FREE        the server said that credit control is not applicable (4011)
"""

import enum
from typing import NamedTuple

import msgspec

from aiodiameter.messages.credit_control import (
    FinalUnitAction,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
    ReportingReason,
)

from .books import RatingGroup, ServiceBooks, Unit, Usage, enter


class Phase(enum.Enum):
    """Where a service stands; the module says what each means."""

    NEW = enum.auto()
    OPEN = enum.auto()
    RESTRICTED = enum.auto()
    REFUSED = enum.auto()
    ENDED = enum.auto()
    FREE = enum.auto()


class Due(NamedTuple):
    """Why a service has to be in the next request."""

    reason: ReportingReason | None
    """None: the service is asked for the first time."""
    unit: Unit | None = None
    """The unit whose quota is the reason, where it is one."""
    asks: bool = True
    """Whether new quota is asked for."""


class Report(msgspec.Struct, frozen=True):
    """What a request says of one service."""

    rating_group: RatingGroup
    due: Due
    usage: Usage | None
    """Since the last report; None: there is nothing to report on."""
    units: tuple[Unit, ...] = ()
    """The units of `usage` that are reported, also where they are 0."""
    counted_s: int = 0
    """Seconds since the counting began; only for gateways that always report CC-Time."""


def granted_units(granted: GrantedServiceUnit | None) -> dict[Unit, int]:
    """What a Granted-Service-Unit holds, octets of both directions together."""
    if granted is None:
        return {}
    units: dict[Unit, int] = {}
    octets = granted.cc_total_octets
    if octets is None and (granted.cc_input_octets is not None or granted.cc_output_octets is not None):
        octets = (granted.cc_input_octets or 0) + (granted.cc_output_octets or 0)
    if octets is not None:
        units[Unit.OCTETS] = octets
    if granted.cc_time is not None:
        units[Unit.SECONDS] = granted.cc_time
    if granted.cc_service_specific_units is not None:
        units[Unit.EVENTS] = granted.cc_service_specific_units
    return units


class Service:
    """A service of a gateway that does what the standards say."""

    def __init__(self, rating_group: RatingGroup, books: ServiceBooks) -> None:
        self.rating_group = rating_group
        self.books = books
        self.phase = Phase.NEW
        self.limit: dict[Unit, int] = {}
        """How much may pass, by unit, counted from the last report."""
        self.threshold: dict[Unit, int] = {}
        self.used = Usage()
        """What has passed since the last report."""
        self.waiting = Usage()
        """Traffic that was offered and may pass when new quota comes: its senders repeat it."""
        self.expires_at: float | None = None
        self.retry_at = 0.0
        self.final: FinalUnitAction | None = None
        self.asked = 0
        """Requests on their way that ask for quota for this service."""
        self.forced = False
        """The server wants a report now (Re-Auth-Request)."""

    def left(self, unit: Unit) -> int:
        """How much of a granted unit may still pass."""
        return self.limit[unit] - self.used.of(unit)

    def offer(self, usage: Usage, now: float) -> None:
        """Traffic wants to pass."""
        enter(self.books.offered, usage)
        self.waiting.add(usage)
        if self.phase is Phase.REFUSED and now >= self.retry_at:
            self.phase = Phase.NEW

    def flow(self, now: float, beyond: bool = False) -> None:
        """Lets waiting traffic pass as far as there is quota; `beyond`: also without, once quota was granted at all."""
        if not self.waiting:
            return
        if self.phase is Phase.FREE:
            enter(self.books.free, self.waiting.take_all())
        elif self.phase in (Phase.REFUSED, Phase.RESTRICTED, Phase.ENDED):
            self.drop()
        elif self.phase is Phase.OPEN:
            for unit in Unit:
                amount = self.waiting.of(unit)
                if not beyond:
                    amount = min(amount, self._room(unit, now))
                if amount:
                    part = self.waiting.take(unit, amount)
                    self.used.add(part)
                    enter(self.books.passed, part)

    def _room(self, unit: Unit, now: float) -> int:
        """How much of a unit may pass. A service stops as soon as one of its quotas is used up; a unit that was not
        granted is not limited while the others last.
        """
        if not self.limit or (self.expires_at is not None and self.expires_at <= now):
            return 0
        if any(self.left(granted) <= 0 for granted in self.limit):
            return 0
        return self.left(unit) if unit in self.limit else self.waiting.of(unit)

    def drop(self) -> None:
        """Waiting traffic will not pass."""
        enter(self.books.dropped, self.waiting.take_all())

    def due(self, now: float) -> Due | None:
        """Why the server has to be asked or told now; None if it has not."""
        if self.asked:
            return None
        if self.phase is Phase.NEW:
            return self._first() if self.waiting else None
        if self.forced:
            return Due(ReportingReason.FORCED_REAUTHORISATION)
        if self.expires_at is not None and self.expires_at <= now:
            return Due(ReportingReason.VALIDITY_TIME)
        return self._quota_due() if self.phase is Phase.OPEN else None

    def _first(self) -> Due:
        # What passed while an answer was under way that then refused the service is told with the next request.
        return Due(ReportingReason.QUOTA_EXHAUSTED if self.used else None)

    def _quota_due(self) -> Due | None:
        for unit in self.limit:
            if self.left(unit) <= 0:
                if self.final is None:
                    return Due(ReportingReason.QUOTA_EXHAUSTED, unit)
                final = self.final is FinalUnitAction.TERMINATE
                reason = ReportingReason.FINAL if final else ReportingReason.QUOTA_EXHAUSTED
                return Due(reason, unit, asks=False)  # RFC 8506 §5.6.2: nothing more is asked for
        if self.final is None:
            for unit, threshold in self.threshold.items():
                # TS 32.299 §7.2.229, §7.2.240, §7.2.243. A threshold that covers the whole quota acts at its first use.
                if self.left(unit) <= threshold and self.used.of(unit):
                    return Due(ReportingReason.THRESHOLD, unit)
        return None

    def force(self) -> None:
        """The server wants a report now; a request that is under way already counts as one (RFC 8506 §5.5)."""
        self.forced = self.phase is not Phase.NEW and not self.asked

    def report(self, due: Due, now: float) -> Report:
        """Takes out what the next request says of this service. The rest of the quota stays usable until the answer,
        but for one whose time is over.
        """
        units = tuple(unit for unit in Unit if unit in self.limit or self.used.of(unit))
        usage = self.used.take_all()
        for unit in self.limit:
            self.limit[unit] = max(0, self.limit[unit] - usage.of(unit))
        enter(self.books.reported, usage)
        self.forced = False
        self.asked += due.asks
        if due.reason is ReportingReason.VALIDITY_TIME:
            self._void()
        elif due.reason is ReportingReason.FINAL:
            self._stop(Phase.ENDED)
        elif not due.asks:
            self._stop(Phase.RESTRICTED)
        return Report(self.rating_group, due, usage if units else None, units)

    def _void(self) -> None:
        """Whatever was granted is not valid any more."""
        self.limit, self.threshold, self.expires_at = {}, {}, None

    def _stop(self, phase: Phase) -> None:
        """Nothing is granted, and waiting traffic will not pass."""
        self.phase = phase
        self._void()
        self.drop()

    def answered(self, block: MultipleServicesCreditControl | None, due: Due, now: float, retry_s: float) -> None:
        """The server's word on this service. None: the answer does not mention it."""
        self.asked -= due.asks
        code = 2001 if block is None or block.result_code is None else block.result_code
        if code == 4011:
            self.phase = Phase.FREE
            self._void()
        elif not 2000 <= code < 3000:
            self.refuse(now + retry_s)
        elif not due.asks:
            if self.phase is Phase.RESTRICTED:
                # §5.6.2: how long until the server is asked whether the account was refilled.
                validity_s = block.validity_time if block is not None else None
                self.expires_at = now + (validity_s or retry_s)
        elif block is None:
            self.refuse(now + retry_s)
        else:
            self._grant(block, now, retry_s)

    def refuse(self, retry_at: float) -> None:
        """No traffic passes until the server is asked again, by the first traffic from `retry_at` on."""
        self._stop(Phase.REFUSED)
        self.retry_at = retry_at

    def _grant(self, block: MultipleServicesCreditControl, now: float, retry_s: float) -> None:
        units = granted_units(block.granted_service_unit)
        indication = block.final_unit_indication
        action = indication.final_unit_action if indication is not None else None
        validity_s = block.validity_time
        if not units or not all(units.values()):
            # §8.34: a final unit indication without units is to be acted upon at once. Without either, nothing is
            # granted, and asking again at once would only repeat it.
            if action is FinalUnitAction.TERMINATE:
                self._stop(Phase.ENDED)
            elif action is not None:
                self._stop(Phase.RESTRICTED)
                self.expires_at = now + (validity_s or retry_s)
            else:
                self.refuse(now + retry_s)
            return
        self.phase, self.limit, self.final = Phase.OPEN, units, action
        for unit, amount in units.items():
            self.books.granted[unit] += amount
        thresholds = {
            Unit.OCTETS: block.volume_quota_threshold,
            Unit.SECONDS: block.time_quota_threshold,
            Unit.EVENTS: block.unit_quota_threshold,
        }
        self.threshold = {unit: thresholds[unit] or 0 for unit in units if thresholds[unit]}
        # §8.33 counts from the receipt of the answer. A time of 0 would ask without end.
        self.expires_at = None if validity_s is None else now + max(1, validity_s)

    @property
    def deadline(self) -> float | None:
        """When something is due even without traffic."""
        return None if self.asked else self.expires_at

    def close(self, now: float) -> Report | None:
        """The last report, at the end of the session; None when there is nothing to say."""
        self.drop()
        if not self.used and not self.limit:
            return None
        return self.report(Due(ReportingReason.FINAL, asks=False), now)
