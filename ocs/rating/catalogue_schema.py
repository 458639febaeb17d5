"""The catalogue as people write it: the shape of the file, and every check that makes a compiled catalogue trustworthy.

Owns field names, spellings and bounds, and what must agree with what (`docs/catalogue.md` explains them by example).
Refuses to know files, and what becomes of a valid catalogue: that is `catalogue_file`.

A check runs when the values it needs are right themselves, so that one mistake is reported once, and mistakes that
have nothing to do with each other are all reported together.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

import msgspec
from pydantic import Field, ValidationInfo, field_validator, model_validator

from ocs.rating.catalogue import Quota
from ocs.rating.catalogue_fields import (
    MAX_UNSIGNED32,
    AmountText,
    Context,
    CurrencyName,
    Money,
    Name,
    Percent,
    PricePer,
    PriceText,
    QuotaValidity,
    ShownName,
    Unsigned32,
    Validity,
)
from ocs.units import Amount, Measure, format_amount, format_money
from ocs.yaml_file import Written, did_you_mean, located
from ocs.yaml_tree import Location

BUILT_IN_QUOTAS: dict[Measure, Quota] = {
    # 10 MiB is seconds of fast traffic, so that a balance is seen to shrink; 100 MiB keeps a fast session from asking
    # more often than about once a second.
    "octets": Quota(10 * 2**20, 100 * 2**20, 64 * 2**10, 3600, 20),
    "seconds": Quota(300, 1800, 1, 3600, 10),
    "events": Quota(1, 100, 1, 3600, 0),
}
_EXAMPLES: dict[Measure, str] = {"octets": "5 GiB", "seconds": "100 min", "events": "50"}
_BLOCKS: dict[Measure, str] = {"octets": "MiB", "seconds": "min", "events": "event"}


class QuotaFile(Written):
    """How much one answer grants; what is left out is taken from what stands above."""

    default: AmountText | None = Field(default=None, description="granted when the gateway does not say how much")
    maximum: AmountText | None = Field(default=None, description="the most that is granted at once")
    minimum: AmountText | None = Field(default=None, description="less than this is not worth a round trip")
    validity_s: QuotaValidity | None = Field(
        alias="validity", default=None, description="how long a quota may be used before the gateway asks again"
    )
    threshold: Percent | None = Field(
        default=None, description="the gateway asks for more when this part of the quota is left; 0 % is none"
    )

    def over(self, base: Quota) -> dict[str, int]:
        """The fields of a Quota: what is written here, and the rest of `base`."""
        amounts = {"default": self.default, "maximum": self.maximum, "minimum": self.minimum}
        written = {f"{name}_units": amount.units for name, amount in amounts.items() if amount is not None}
        if self.validity_s is not None:
            written["validity_s"] = self.validity_s
        if self.threshold is not None:
            written["threshold_percent"] = self.threshold
        return msgspec.structs.asdict(base) | written

    def problems(self, base: Quota, measure: Measure) -> Iterator[tuple[Location, str]]:
        """What is wrong with this quota for services counted in `measure`."""
        amounts = {"default": self.default, "maximum": self.maximum, "minimum": self.minimum}
        mismatches: list[tuple[Location, str]] = [
            ((name,), why)
            for name, amount in amounts.items()
            if amount is not None and (why := _mismatch(amount, measure, f"the quota is of {measure}")) is not None
        ]
        if mismatches:
            yield from mismatches
            return
        fields = self.over(base)
        least, usual, most = (fields[f"{name}_units"] for name in ("minimum", "default", "maximum"))
        if not least <= usual <= most:
            shown = [f"{name} {format_amount(fields[f'{name}_units'], measure)}" for name in amounts]
            what = f"minimum <= default <= maximum does not hold: {', '.join(shown)}; set those that are left out too"
            yield (), what
        if measure == "seconds" and most > MAX_UNSIGNED32:
            yield ("maximum",), f"is more than {MAX_UNSIGNED32} s, the most that CC-Time can say"


class ServiceFile(Written):
    """Something that is charged, and what a gateway calls it."""

    context: Context = Field(description="the 3GPP specification number in Service-Context-Id, such as 32251")
    rating_group: Unsigned32 = Field(description="the Rating-Group that the gateway names")
    service_identifier: Unsigned32 | None = Field(
        default=None, description="the Service-Identifier, where one rating group holds several services"
    )
    unit: Literal["octets", "seconds", "events"] = Field(description="what it is counted in: octets, seconds or events")
    quota: QuotaFile = Field(default=QuotaFile(), description="where it differs from the quota of its unit")


class AllowanceFile(Written):
    """Units that an offer includes."""

    id: Name = Field(description="what receipts call it; once in the offer")
    amount: AmountText = Field(description="how much is included, such as 5 GiB, 100 min or 50")
    services: tuple[str, ...] = Field(description="the services it pays for, all counted in the same unit")
    priority: Unsigned32 = Field(default=100, description="the smaller number pays first")
    validity_s: Validity | None = Field(
        alias="validity", default=None, description="how long it may be used; without end if left out"
    )

    @field_validator("services")
    @classmethod
    def _known_services(cls, services: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        _check_services(services, info)
        if not services:
            raise ValueError("must name at least one service")
        return services

    @model_validator(mode="after")
    def _one_unit(self, info: ValidationInfo) -> Self:
        units = {name: unit for name in self.services if (unit := _units(info)[name]) is not None}
        if not units:
            return self
        first = self.services[0]
        problems: list[tuple[Location, str]] = [
            (
                ("services", i),
                f"{name!r} is counted in {units[name]}, but {first!r} in {units[first]}; make one allowance each",
            )
            for i, name in enumerate(self.services)
            if name in units and first in units and units[name] != units[first]
        ]
        if not problems:
            name, measure = next(iter(units.items()))
            why = _mismatch(self.amount, measure, f"{name!r} is counted in {measure}")
            problems = [] if why is None else [(("amount",), why)]
        if problems:
            raise located(problems)
        return self


class OfferFile(Written):
    """What a subscriber buys."""

    name: ShownName = Field(description="what the subscriber knows it as")
    price_micro: Money = Field(alias="price", default=0, description="what buying it costs, such as 9.99")
    allowances: tuple[AllowanceFile, ...] = Field(default=(), description="what is included")
    prices: dict[str, PriceText] = Field(
        default={}, description="what a service costs once no allowance pays for it, such as 0.02 per MiB"
    )
    barred: tuple[str, ...] = Field(default=(), description="services that are refused, whatever the balance")

    @field_validator("allowances")
    @classmethod
    def _ids_once(cls, allowances: tuple[AllowanceFile, ...]) -> tuple[AllowanceFile, ...]:
        ids = [allowance.id for allowance in allowances]
        _raise_any(
            ((i, "id"), f"{name!r} is the id of allowances[{ids.index(name)}] already; give each its own")
            for i, name in enumerate(ids)
            if ids.index(name) < i
        )
        return allowances

    @field_validator("prices")
    @classmethod
    def _prices_fit(cls, prices: dict[str, PricePer], info: ValidationInfo) -> dict[str, PricePer]:
        _raise_any(_price_problems(prices, _units(info)))
        return prices

    @field_validator("barred")
    @classmethod
    def _known_barred(cls, barred: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        _check_services(barred, info)
        return barred

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not (self.allowances or self.prices or self.barred):
            raise ValueError("contains nothing; give it allowances, prices or barred services")
        paid = {name for allowance in self.allowances for name in allowance.services} | set(self.prices)
        _raise_any(
            (("barred", i), f"{name!r} is barred, but an allowance or a price of this offer pays for it; leave one out")
            for i, name in enumerate(self.barred)
            if name in paid
        )
        return self


class DefaultRatingGroupFile(Written):
    """The rating group of gateways that name none."""

    context: Context = Field(description="the 3GPP specification number in Service-Context-Id, such as 32251")
    apn: ShownName | None = Field(default=None, description="for this access point only; for all others if left out")
    rating_group: Unsigned32 = Field(description="the rating group that is meant")


class CatalogueFile(Written):
    """The whole file."""

    version: Name = Field(description="a label for this state of the catalogue, such as 2026-11")
    currency: CurrencyName = Field(description="of every price here, such as EUR")
    quotas: dict[Literal["octets", "seconds", "events"], QuotaFile] = Field(
        default={}, description="the quota of every service of a unit, unless the service has its own"
    )
    services: dict[Name, ServiceFile] = Field(description="what is charged, by name")
    default_rating_groups: tuple[DefaultRatingGroupFile, ...] = Field(
        default=(), description="which rating group a gateway means that names none"
    )
    offers: dict[Name, OfferFile] = Field(description="what is sold, by name")

    @field_validator("quotas")
    @classmethod
    def _quotas_fit(cls, quotas: dict[Measure, QuotaFile]) -> dict[Measure, QuotaFile]:
        _raise_any(
            ((measure, *where), what)
            for measure, quota in quotas.items()
            for where, what in quota.problems(BUILT_IN_QUOTAS[measure], measure)
        )
        return quotas

    @field_validator("services")
    @classmethod
    def _services_fit(cls, services: dict[str, ServiceFile], info: ValidationInfo) -> dict[str, ServiceFile]:
        if not services:
            raise ValueError("must have at least one service")
        _raise_any([*_named_twice(services), *_service_quota_problems(services, info.data.get("quotas"))])
        return services

    @field_validator("default_rating_groups")
    @classmethod
    def _defaults_exist(
        cls, defaults: tuple[DefaultRatingGroupFile, ...], info: ValidationInfo
    ) -> tuple[DefaultRatingGroupFile, ...]:
        _raise_any(_default_problems(defaults, info.data.get("services")))
        return defaults

    @field_validator("offers")
    @classmethod
    def _some_offers(cls, offers: dict[str, OfferFile]) -> dict[str, OfferFile]:
        if not offers:
            raise ValueError("must have at least one offer")
        return offers


def declared_units(data: dict[str, Any]) -> dict[str, Measure | None]:
    """The unit of every service that is declared, as far as it is one: needed before services are known to be right."""
    services = data.get("services")
    if not isinstance(services, dict):
        return {}
    units = {name: service.get("unit") if isinstance(service, dict) else None for name, service in services.items()}
    return {name: next((known for known in BUILT_IN_QUOTAS if known == unit), None) for name, unit in units.items()}


def _units(info: ValidationInfo) -> dict[str, Measure | None]:
    assert info.context is not None, "validated with the declared units as context"
    units: dict[str, Measure | None] = info.context["units"]
    return units


def _raise_any(problems: Iterable[tuple[Location, str]]) -> None:
    if found := list(problems):
        raise located(found)


def _unknown_service(name: str, units: dict[str, Measure | None]) -> str:
    return f"unknown service {name!r}{did_you_mean(name, units)}"


def _check_services(names: tuple[str, ...], info: ValidationInfo) -> None:
    """Every name is that of a service, and stands there once."""
    units = _units(info)
    _raise_any(
        ((i,), _unknown_service(name, units) if name not in units else f"{name!r} is named twice; name it once")
        for i, name in enumerate(names)
        if name not in units or names.index(name) < i
    )


def _mismatch(amount: Amount, measure: Measure, because: str) -> str | None:
    """Why an amount cannot be one of `measure`, or None if it can."""
    example = f"write for example {_EXAMPLES[measure]}"
    if amount.measure is None:
        # A bare number of octets or events can be nothing else; of time it could be minutes as well.
        return f"{amount.units} does not say its unit, and {because}; {example}" if measure == "seconds" else None
    if amount.measure == measure:
        return None
    return f"{format_amount(amount.units, amount.measure)} is an amount of {amount.measure}, but {because}; {example}"


def _price_problems(prices: dict[str, PricePer], units: dict[str, Measure | None]) -> Iterator[tuple[Location, str]]:
    for name, price in prices.items():
        if name not in units:
            yield (name,), _unknown_service(name, units)
            continue
        measure = units[name]
        if measure is None or price.block is None:
            continue
        if price.block.measure == measure or (price.block.measure is None and measure != "seconds"):
            continue
        example = f"write for example {format_money(price.price_micro)} per {_BLOCKS[measure]}"
        counted = f"is a price per {price.block.measure}" if price.block.measure else "does not say its unit"
        yield (name,), f"{counted}, but {name!r} is counted in {measure}; {example}"


def _named_twice(services: dict[str, ServiceFile]) -> Iterator[tuple[Location, str]]:
    first: dict[tuple[str, int, int | None], str] = {}
    for name, service in services.items():
        key = (service.context, service.rating_group, service.service_identifier)
        other = first.setdefault(key, name)
        if other != name:
            identifier = "" if key[2] is None else f", service identifier {key[2]}"
            what = (
                f"context {key[0]}, rating group {key[1]}{identifier} is {other!r} already; a gateway means one service"
            )
            yield (name, "rating_group"), what


def _service_quota_problems(
    services: dict[str, ServiceFile], quotas: dict[Measure, QuotaFile] | None
) -> Iterator[tuple[Location, str]]:
    if quotas is None:
        return
    for name, service in services.items():
        if service.quota != QuotaFile():
            for where, what in service.quota.problems(quota_of_unit(service.unit, quotas), service.unit):
                yield (name, "quota", *where), what


def _default_problems(
    defaults: tuple[DefaultRatingGroupFile, ...], services: dict[str, ServiceFile] | None
) -> Iterator[tuple[Location, str]]:
    seen: dict[tuple[str, str | None], int] = {}
    for i, default in enumerate(defaults):
        first = seen.setdefault(default_key(default), i)
        if first != i:
            whom = "all access points" if default.apn is None else f"access point {default.apn!r}"
            yield (i,), f"context {default.context}, {whom} is default_rating_groups[{first}] already; leave one out"
        if services is None:
            continue
        groups = {s.rating_group for s in services.values() if s.context == default.context}
        if default.rating_group not in groups:
            known = ", ".join(str(group) for group in sorted(groups)) or "none"
            what = f"no service has context {default.context} and rating group {default.rating_group}; known: {known}"
            yield (i, "rating_group"), what


def default_key(default: DefaultRatingGroupFile) -> tuple[str, str | None]:
    return default.context, None if default.apn is None else default.apn.lower()


def quota_of_unit(measure: Measure, quotas: dict[Measure, QuotaFile]) -> Quota:
    base = BUILT_IN_QUOTAS[measure]
    return Quota(**quotas[measure].over(base)) if measure in quotas else base
