"""The compiled catalogue: which services exist, what they cost, and which offers contain them.

Owns the immutable form that the charging core reads on every request, and the look-up from what a gateway names
(context, rating group, service identifier) to a service. Refuses to know where a catalogue comes from (that is
`catalogue_file`), who bought which offer, and what time it is.

Every number is an integer: octets, seconds, events, and money in millionths ("micro") of the catalogue's currency.
Values are checked where they enter, in `catalogue_file`; an assertion here only states what must hold.
"""

import enum

from msgspec import Struct
from msgspec.structs import force_setattr


class Unit(enum.StrEnum):
    """What a service is counted in, and what a bucket holds."""

    OCTETS = "octets"
    SECONDS = "seconds"
    EVENTS = "events"
    MONEY = "money"


class Quota(Struct, frozen=True):
    """How much of a service one answer may grant, in the service's unit, and for how long."""

    default_units: int
    """Granted when the gateway asks without saying how much."""
    maximum_units: int
    """Never granted more than this, however much is asked for."""
    minimum_units: int
    """A smaller grant is not worth a round trip."""
    validity_s: int
    """The gateway must come back after this long, used up or not (Validity-Time, RFC 8506 §8.33)."""
    threshold_percent: int
    """The gateway reports when this percentage of the quota is left, before the traffic waits; 0 = no threshold."""

    def __post_init__(self) -> None:
        assert 0 <= self.minimum_units <= self.default_units <= self.maximum_units, "minimum <= default <= maximum"
        assert self.default_units > 0, "a quota grants something"
        assert self.validity_s > 0, "a quota is valid for some time"
        assert 0 <= self.threshold_percent < 100, "a threshold is a part of the quota"


class Service(Struct, frozen=True):
    """Something that is charged: what a gateway calls it, and in what portions it is granted."""

    name: str
    context: str
    """The 3GPP TS number of the Service-Context-Id, between the last dots before '@': 32251, 32260, 32274."""
    rating_group: int
    service_identifier: int | None
    """None: every service identifier of the rating group that has no service of its own."""
    unit: Unit
    quota: Quota


class Price(Struct, frozen=True):
    """`price_micro` for each begun block of `block_units` of one service."""

    id: str
    service: str
    unit: Unit
    block_units: int
    price_micro: int

    def __post_init__(self) -> None:
        assert self.block_units > 0, "a block holds something"
        assert self.price_micro >= 0, "a price never pays the subscriber"


class Allowance(Struct, frozen=True):
    """Units that an offer includes, for the services it names."""

    id: str
    unit: Unit
    amount: int
    services: frozenset[str]
    priority: int
    """The allowance with the smaller number pays first."""
    validity_s: int | None
    """How long it may be used once it has been given; None = without end."""

    def __post_init__(self) -> None:
        assert self.unit is not Unit.MONEY, "money is a balance, not an allowance"
        assert self.amount > 0, "an allowance holds something"


class Offer(Struct, frozen=True):
    """What a subscriber buys: allowances, prices beyond them, and services it forbids.

    A service that is neither paid by an allowance, nor priced, nor barred is simply not part of the offer.
    """

    id: str
    name: str
    price_micro: int
    """What buying the offer costs."""
    allowances: tuple[Allowance, ...]
    prices: dict[str, Price]
    """By the name of the service."""
    barred: frozenset[str]
    """Names of services that are refused with 4010 (DIAMETER_END_USER_SERVICE_DENIED), whatever the balance."""


class Catalogue(Struct, frozen=True):
    """Everything that may be sold, as of one version.

    The two look-up tables at the end are derived from `services` when the catalogue is made.
    """

    id: str
    """The version's label and the first digits of the hash of its content: `2026-11@3f9a1c2b`."""
    currency: str
    """ISO 4217 code, such as EUR."""
    currency_code: int
    """ISO 4217 number, such as 978: what Currency-Code bears next to CC-Money (RFC 8506 §8.11)."""
    currency_exponent: int
    """How many decimals amounts of this currency are customarily shown with: 2 for EUR, 0 for JPY, 3 for TND."""
    services: dict[str, Service]
    offers: dict[str, Offer]
    default_rating_groups: dict[tuple[str, str | None], int] = {}
    """(context, APN in lower case) to the rating group that a gateway which names none is taken to mean.

    The APN None holds for every access point of the context that has no entry of its own.
    """
    services_by_key: dict[tuple[str, int, int | None], Service] = {}

    def __post_init__(self) -> None:
        by_key = {(s.context, s.rating_group, s.service_identifier): s for s in self.services.values()}
        assert len(by_key) == len(self.services), "what a gateway names means one service"
        force_setattr(self, "services_by_key", by_key)

    def service_for(
        self, context: str, rating_group: int | None, service_identifier: int | None, apn: str | None
    ) -> Service | None:
        """The service that a gateway means, or None when this catalogue has none for it.

        A service made for the service identifier comes before the one for the whole rating group. Gateways that
        name no rating group at all (Open5GS does not) mean the default one of their access point, or else of the
        context. `apn` is compared without regard to case, as the DNS labels it consists of are.
        """
        if rating_group is None:
            defaults = self.default_rating_groups
            if apn is not None:
                rating_group = defaults.get((context, apn.lower()))
            if rating_group is None:
                rating_group = defaults.get((context, None))
            if rating_group is None:
                return None
        by_key = self.services_by_key
        if service_identifier is not None:
            service = by_key.get((context, rating_group, service_identifier))
            if service is not None:
                return service
        return by_key.get((context, rating_group, None))

    def has_context(self, context: str) -> bool:
        """Whether any service belongs to the context. Not for the hot path."""
        return any(key[0] == context for key in self.services_by_key)
