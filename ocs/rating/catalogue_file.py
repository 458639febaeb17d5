"""A catalogue file: read, checked, compiled, and given its id.

Owns the way from the checked file to the immutable `Catalogue`, and the hash that names its content. Refuses to know
what makes a file right (that is `catalogue_schema`), balances, and time. Reading the file is its only I/O.
"""

import hashlib
from pathlib import Path

import msgspec

from ocs.rating.catalogue import Allowance, Catalogue, Offer, Price, Quota, Service, Unit
from ocs.rating.catalogue_schema import CatalogueFile, OfferFile, declared_units, default_key, quota_of_unit
from ocs.rating.currency import Currency
from ocs.yaml_file import validate
from ocs.yaml_tree import Document, parse, read


def load_catalogue(path: Path) -> Catalogue:
    """The catalogue in a file; `FileError` names every problem in it."""
    return _compiled_from(read(path))


def parse_catalogue(text: str, name: str = "catalogue") -> Catalogue:
    """The catalogue in a text; `name` stands for the file in the problems of a `FileError`."""
    return _compiled_from(parse(text, name))


def _compiled_from(document: Document) -> Catalogue:
    return _compiled(validate(document, CatalogueFile, {"units": declared_units(document.data)}))


def _compiled(file: CatalogueFile) -> Catalogue:
    """What has been checked, in the form that is fast to use; nothing can be wrong any more."""
    services = {
        name: Service(
            name=name,
            context=service.context,
            rating_group=service.rating_group,
            service_identifier=service.service_identifier,
            unit=Unit(service.unit),
            quota=Quota(**service.quota.over(quota_of_unit(service.unit, file.quotas))),
        )
        for name, service in file.services.items()
    }
    offers = {name: _compiled_offer(name, offer, services) for name, offer in file.offers.items()}
    defaults = {default_key(default): default.rating_group for default in file.default_rating_groups}
    return Catalogue(
        id=f"{file.version}@{_digest(file.currency, services, offers, defaults)}",
        currency=file.currency.name,
        currency_code=file.currency.code,
        currency_exponent=file.currency.exponent,
        services=services,
        offers=offers,
        default_rating_groups=defaults,
    )


def _compiled_offer(id_: str, offer: OfferFile, services: dict[str, Service]) -> Offer:
    allowances = [
        Allowance(
            id=f"{id_}/{allowance.id}",
            unit=services[allowance.services[0]].unit,
            amount=allowance.amount.units,
            services=frozenset(allowance.services),
            priority=allowance.priority,
            validity_s=allowance.validity_s,
        )
        for allowance in offer.allowances
    ]
    return Offer(
        id=id_,
        name=offer.name,
        price_micro=offer.price_micro,
        allowances=tuple(sorted(allowances, key=lambda allowance: allowance.priority)),
        prices={
            name: Price(
                id=f"{id_}/{name}",
                service=name,
                unit=services[name].unit,
                block_units=price.block.units if price.block is not None else 1,
                price_micro=price.price_micro,
            )
            for name, price in offer.prices.items()
        },
        barred=frozenset(offer.barred),
    )


def _digest(
    currency: Currency,
    services: dict[str, Service],
    offers: dict[str, Offer],
    defaults: dict[tuple[str, str | None], int],
) -> str:
    """The first digits of a hash of everything that decides: comments, spelling and order change nothing."""
    groups = sorted((context, apn or "", group) for (context, apn), group in defaults.items())
    content = msgspec.json.encode([currency.name, services, offers, groups], order="deterministic")
    return hashlib.sha256(content).hexdigest()[:8]
