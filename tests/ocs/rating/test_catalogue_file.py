"""Catalogue files: what they compile to, every mistake that is refused, the sample, and the documentation."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.rating.catalogue import Allowance, Catalogue, Offer, Price, Quota, Service, Unit
from ocs.rating.catalogue_file import load_catalogue, parse_catalogue
from ocs.rating.catalogue_schema import (
    BUILT_IN_QUOTAS,
    AllowanceFile,
    CatalogueFile,
    DefaultRatingGroupFile,
    OfferFile,
    QuotaFile,
    ServiceFile,
    declared_units,
)
from ocs.rating.currency import CURRENCIES
from ocs.rating.price import affordable_units, cost_micro
from ocs.units import format_amount, parse_duration_s, parse_money_micro, parse_octets
from ocs.yaml_file import FileError, validate
from ocs.yaml_tree import parse

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "config" / "catalogue.yaml"
DOCS = (ROOT / "docs" / "catalogue.md").read_text()
MIB, GIB, MONTH_S = 2**20, 2**30, 30 * 86400

SMALL = """\
version: v1
currency: EUR
services:
  internet: {context: 32251, rating_group: 10, unit: octets}
  voice: {context: 32260, rating_group: 100, unit: seconds}
  sms: {context: 32274, rating_group: 200, unit: events}
offers:
  basic:
    name: Basic
    prices: {internet: 0.01 per MiB}
"""  # what a test adds to `offers` begins in line 11


def problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_catalogue(text, "c.yaml")
    return str(caught.value).split("\n")


def offer_of(text: str) -> Offer:
    """The offer `new`, whose fields are given, next to those of SMALL."""
    return parse_catalogue(f"{SMALL}  new:\n{text}").offers["new"]


def offer_problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_catalogue(f"{SMALL}  new:\n{text}", "c.yaml")
    return str(caught.value).split("\n")


# --- what a file compiles to


def test_a_small_file() -> None:
    catalogue = parse_catalogue(SMALL)
    octets, seconds, events = (BUILT_IN_QUOTAS[unit] for unit in ("octets", "seconds", "events"))
    assert catalogue == Catalogue(
        id=catalogue.id,
        currency="EUR",
        currency_code=978,
        currency_exponent=2,
        services={
            "internet": Service("internet", "32251", 10, None, Unit.OCTETS, octets),
            "voice": Service("voice", "32260", 100, None, Unit.SECONDS, seconds),
            "sms": Service("sms", "32274", 200, None, Unit.EVENTS, events),
        },
        offers={
            "basic": Offer(
                "basic",
                "Basic",
                0,
                (),
                {"internet": Price("basic/internet", "internet", Unit.OCTETS, MIB, 10_000)},
                frozenset(),
            )
        },
        default_rating_groups={},
    )
    assert re.fullmatch(r"v1@[0-9a-f]{8}", catalogue.id)


def test_every_unit_is_an_enum_and_every_number_an_integer() -> None:
    catalogue = load_catalogue(SAMPLE)
    units = [thing.unit for offer in catalogue.offers.values() for thing in offer.allowances]
    assert {type(unit) for unit in [*units, *(s.unit for s in catalogue.services.values())]} == {Unit}
    assert "." not in re.sub(r'"[^"]*"', "", msgspec.json.encode([catalogue.services, catalogue.offers]).decode())


def test_allowances_are_in_the_order_they_pay() -> None:
    offer = offer_of("""\
    name: New
    price: 9.99
    allowances:
      - {id: last, amount: 5 GB, services: [internet]}
      - {id: second, amount: 1 h 30 min, services: [voice], priority: 20, validity: 30 d}
      - {id: third, amount: 50, services: [sms], priority: 20}
      - {id: first, amount: 1000000, services: [internet], priority: 0, validity: 1 h}
""")
    assert offer.price_micro == 9_990_000
    assert offer.allowances == (
        Allowance("new/first", Unit.OCTETS, 1_000_000, frozenset(["internet"]), 0, 3600),
        Allowance("new/second", Unit.SECONDS, 5400, frozenset(["voice"]), 20, MONTH_S),
        Allowance("new/third", Unit.EVENTS, 50, frozenset(["sms"]), 20, None),
        Allowance("new/last", Unit.OCTETS, 5_000_000_000, frozenset(["internet"]), 100, None),
    )


@pytest.mark.parametrize(
    ("service", "text", "block_units", "price_micro"),
    [
        ("internet", "0.02 per MiB", MIB, 20_000),
        ("internet", "0.02 per 1 MiB", MIB, 20_000),
        ("internet", "0.1 per 100 KiB", 102_400, 100_000),
        ("internet", "0.000001 per 1000000", 1_000_000, 1),
        ("internet", "0 per MiB", MIB, 0),
        ("internet", "free", 1, 0),
        ("voice", "0.05 per min", 60, 50_000),
        ("voice", "0.05  per  30 s", 30, 50_000),
        ("sms", "0.09 per event", 1, 90_000),
        ("sms", "0.90 per 10 events", 10, 900_000),
        ("sms", "0.90 per 10", 10, 900_000),
    ],
)
def test_prices(service: str, text: str, block_units: int, price_micro: int) -> None:
    price = offer_of(f"    name: New\n    prices: {{{service}: {text}}}\n").prices[service]
    assert price == Price(f"new/{service}", service, price.unit, block_units, price_micro)


def test_a_quota_is_the_services_then_the_units_then_the_built_in() -> None:
    catalogue = parse_catalogue("""\
version: v1
currency: EUR
quotas:
  octets: {default: 20 MiB, threshold: 0 %}
services:
  a: {context: 32251, rating_group: 1, unit: octets}
  b: {context: 32251, rating_group: 2, unit: octets, quota: {default: 2000000, maximum: 30 MiB, validity: 90 s}}
  c: {context: 32260, rating_group: 3, unit: seconds, quota: {minimum: 10 s}}
offers: {o: {name: O, barred: [a]}}
""")
    assert {name: service.quota for name, service in catalogue.services.items()} == {
        "a": Quota(20 * MIB, 100 * MIB, 65_536, 3600, 0),
        "b": Quota(2_000_000, 30 * MIB, 65_536, 90, 0),
        "c": Quota(300, 1800, 10, 3600, 10),
    }


def test_default_rating_groups_and_service_identifiers() -> None:
    catalogue = parse_catalogue("""\
version: v1
currency: JPY
services:
  internet: {context: 32251, rating_group: 10, unit: octets}
  updates: {context: 32251, rating_group: 10, service_identifier: 7, unit: octets}
  mms: {context: 32251, rating_group: 60, unit: octets}
default_rating_groups:
  - {context: 32251, rating_group: 10}
  - {context: 32251, apn: MMS, rating_group: 60}
offers: {o: {name: O, barred: [mms]}}
""")
    assert catalogue.default_rating_groups == {("32251", None): 10, ("32251", "mms"): 60}
    assert catalogue.service_for("32251", None, None, "Mms") is catalogue.services["mms"]
    assert catalogue.service_for("32251", None, 7, "web") is catalogue.services["updates"]
    assert (catalogue.currency_code, catalogue.currency_exponent) == (392, 0)


def test_the_id_follows_what_decides_and_nothing_else() -> None:
    first = parse_catalogue(SMALL).id
    assert parse_catalogue("# a comment\n" + SMALL).id == first
    assert parse_catalogue(SMALL.replace("0.01 per MiB", "0.010 per 1024 KiB")).id == first
    swapped = SMALL.replace("  voice", "  swap").replace("  sms", "  voice").replace("  swap", "  sms")
    assert parse_catalogue(swapped).id != first
    for old, new in (
        ("0.01", "0.02"),
        ("EUR", "USD"),
        ("group: 10,", "group: 11,"),
        ("octets}", "octets, quota: {validity: 1 min}}"),
        ("name: Basic", "name: Basics"),
    ):
        assert parse_catalogue(SMALL.replace(old, new)).id != first, new
    assert parse_catalogue(SMALL.replace("v1", "v2")).id == first.replace("v1", "v2")


# --- mistakes, with their lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 5 GiB, services: [internt]}\n",
            ["c.yaml:14: offers.new.allowances[0].services[0]: unknown service 'internt' (did you mean 'internet'?)"],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 5 GiB, services: [x]}\n",
            ["c.yaml:14: offers.new.allowances[0].services[0]: unknown service 'x'; known: internet, sms, voice"],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 5 GiB, services: []}\n",
            ["c.yaml:14: offers.new.allowances[0].services: must name at least one service"],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 5 GiB, services: [internet, internet]}\n",
            ["c.yaml:14: offers.new.allowances[0].services[1]: 'internet' is named twice; name it once"],
        ),
        (
            "    name: New\n    allowances:\n      - id: a\n        services: [voice]\n        amount: 5 GiB\n",
            [
                "c.yaml:16: offers.new.allowances[0].amount: 5 GiB is an amount of octets, "
                "but 'voice' is counted in seconds; write for example 100 min"
            ],
        ),
        (
            "    name: New\n    allowances:\n      - id: a\n        services: [voice]\n        amount: 6000\n",
            [
                "c.yaml:16: offers.new.allowances[0].amount: 6000 does not say its unit, "
                "and 'voice' is counted in seconds; write for example 100 min"
            ],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 5 GiB, services: [internet, voice]}\n",
            [
                "c.yaml:14: offers.new.allowances[0].services[1]: 'voice' is counted in seconds, "
                "but 'internet' in octets; make one allowance each"
            ],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 0 GiB, services: [internet]}\n",
            ["c.yaml:14: offers.new.allowances[0].amount: must be more than 0"],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: -5 GiB, services: [internet]}\n",
            [
                "c.yaml:14: offers.new.allowances[0].amount: '-5 GiB' is not a size; "
                "it must not be negative: write for example 5 GiB, 500 MB or 64 KiB"
            ],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 9 PiB, services: [internet]}\n",
            [
                "c.yaml:14: offers.new.allowances[0].amount: '9 PiB' has no unit that is known here; "
                "write for example 5 GiB, 100 min or 50 events"
            ],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: 9000 TiB, services: [internet]}\n",
            [
                "c.yaml:14: offers.new.allowances[0].amount: 9000 TiB is too much; "
                "at most 9007199254740991 can be counted exactly"
            ],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, amount: [5], services: [internet]}\n",
            ["c.yaml:14: offers.new.allowances[0].amount: must be an amount such as 5 GiB, 100 min or 50, not a list"],
        ),
        (
            "    name: New\n    allowances:\n      - {id: a, services: [internet], validity: 30}\n",
            [
                "c.yaml:14: offers.new.allowances[0].amount: is missing; how much is included, "
                "such as 5 GiB, 100 min or 50",
                "c.yaml:14: offers.new.allowances[0].validity: '30' does not say its unit; "
                "write for example 30 d, 1 h, 15 min or 90 s",
            ],
        ),
        (
            "    name: New\n    allowances:\n      - &a {id: a, amount: 5 GiB, services: [internet]}\n      - *a\n",
            [
                "c.yaml:14: offers.new.allowances[0]: an anchor (&a) is not allowed; write the value out",
                "c.yaml:15: offers.new.allowances[1]: an alias (*a) is not allowed; write the value out",
            ],
        ),
        (
            "    name: New\n    allowances:\n"
            "      - {id: a, amount: 5 GiB, services: [internet]}\n"
            "      - {id: a, amount: 5 min, services: [voice]}\n",
            ["c.yaml:15: offers.new.allowances[1].id: 'a' is the id of allowances[0] already; give each its own"],
        ),
        (
            "    name: New\n    prices:\n      internt: free\n",
            ["c.yaml:14: offers.new.prices.internt: unknown service 'internt' (did you mean 'internet'?)"],
        ),
        (
            "    name: New\n    prices:\n      voice: 0.05 per MiB\n      sms: 0.1 per min\n",
            [
                "c.yaml:14: offers.new.prices.voice: is a price per octets, but 'voice' is counted in seconds; "
                "write for example 0.05 per min",
                "c.yaml:15: offers.new.prices.sms: is a price per seconds, but 'sms' is counted in events; "
                "write for example 0.10 per event",
            ],
        ),
        (
            "    name: New\n    prices:\n      voice: 0.05 per 60\n",
            [
                "c.yaml:14: offers.new.prices.voice: does not say its unit, but 'voice' is counted in seconds; "
                "write for example 0.05 per min"
            ],
        ),
        (
            "    name: New\n    prices:\n      internet: 0.02\n      voice: 0,02 per min\n      sms: [1]\n",
            [
                "c.yaml:14: offers.new.prices.internet: '0.02' is not a price; "
                "write for example 0.02 per MiB, 0.05 per 30 s, or free",
                "c.yaml:15: offers.new.prices.voice: '0,02' is not an amount of money; "
                "write a point for decimals, and nothing between thousands",
                "c.yaml:16: offers.new.prices.sms: a list is not a price; "
                "write for example 0.02 per MiB, 0.05 per 30 s, or free",
            ],
        ),
        (
            "    name: New\n    prices:\n      internet: 0.0000001 per MiB\n      voice: 1 per 0 s\n",
            [
                "c.yaml:14: offers.new.prices.internet: 0.0000001 is finer than a millionth, "
                "the smallest amount that is counted; write at most 6 decimals",
                "c.yaml:15: offers.new.prices.voice: must be more than 0",
            ],
        ),
        (
            "    name: New\n    prices:\n      sms: -0.1 per event\n      internet: 0.1 per -1 MiB\n",
            [
                "c.yaml:14: offers.new.prices.sms: '-0.1' is not an amount of money; "
                "it must not be negative: write for example 0.02",
                "c.yaml:15: offers.new.prices.internet: '-1 MiB' is not a size; "
                "it must not be negative: write for example 5 GiB, 500 MB or 64 KiB",
            ],
        ),
        (
            "    name: New\n    prices: {sms: free}\n    price: 9999999999\n",
            ["c.yaml:14: offers.new.price: 9999999999 is too much; at most 9007199254.740991 can be counted exactly"],
        ),
        (
            "    name: New\n    prices:\n      sms: free\n      sms: 0.1 per event\n",
            ["c.yaml:15: offers.new.prices.sms: duplicate key; line 14 has it already"],
        ),
        (
            "    name: New\n    prices: {sms: free}\n    barred: [sms, voce]\n",
            ["c.yaml:14: offers.new.barred[1]: unknown service 'voce' (did you mean 'voice'?)"],
        ),
        (
            "    name: New\n    prices: {sms: free}\n    barred: [voice, sms]\n",
            [
                "c.yaml:14: offers.new.barred[1]: 'sms' is barred, "
                "but an allowance or a price of this offer pays for it; leave one out"
            ],
        ),
        (
            "    name: New\n",
            ["c.yaml:11: offers.new: contains nothing; give it allowances, prices or barred services"],
        ),
        (
            "    name: ' '\n    prises: {}\n",
            [
                "c.yaml:12: offers.new.name: must not be empty",
                "c.yaml:13: offers.new.prises: unknown key (did you mean 'prices'?)",
            ],
        ),
    ],
)
def test_mistakes_in_an_offer(text: str, expected: list[str]) -> None:
    assert offer_problems(text) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "version: v1\n",
            "",
            ["c.yaml:1: version: is missing; a label for this state of the catalogue, such as 2026-11"],
        ),
        (
            "version: v1",
            "version: v@1",
            ["c.yaml:1: version: 'v@1' is not a name; write letters, digits, '-', '_' and '.', at most 63"],
        ),
        (
            "EUR",
            "eur",
            ["c.yaml:2: currency: 'eur' is not a currency of ISO 4217 (did you mean 'EUR'?)"],
        ),
        (
            "EUR",
            "Q",
            ["c.yaml:2: currency: 'Q' is not a currency of ISO 4217; write its three letters, such as EUR"],
        ),
        (
            "EUR",
            "[EUR]",
            ["c.yaml:2: currency: a list is not a currency of ISO 4217; write its three letters, such as EUR"],
        ),
        (
            "currency",
            "curency",
            [
                "c.yaml:1: currency: is missing; of every price here, such as EUR",
                "c.yaml:2: curency: unknown key (did you mean 'currency'?)",
            ],
        ),
        (
            "context: 32251",
            "context: 32251@3gpp.org",
            [
                "c.yaml:4: services.internet.context: '32251@3gpp.org' is not the number of a 3GPP specification; "
                "write its five digits, such as 32251 (data), 32260 (voice) or 32274 (SMS)"
            ],
        ),
        (
            "rating_group: 10,",
            "rating_group: 4294967296,",
            ["c.yaml:4: services.internet.rating_group: 4294967296 is too large; at most 4294967295 is possible"],
        ),
        (
            "rating_group: 10,",
            "rating_group: -1,",
            [
                "c.yaml:4: services.internet.rating_group: '-1' is not a whole number; "
                "it must not be negative: write for example 20"
            ],
        ),
        (
            "rating_group: 10,",
            "rating-group: 10,",
            [
                "c.yaml:4: services.internet.rating_group: is missing; the Rating-Group that the gateway names",
                "c.yaml:4: services.internet.rating-group: unknown key (did you mean 'rating_group'?)",
            ],
        ),
        (
            "unit: events",
            "unit: event",
            ["c.yaml:6: services.sms.unit: unknown value 'event' (did you mean 'events'?)"],
        ),
        (
            "unit: events",
            "unit: [events]",
            ["c.yaml:6: services.sms.unit: must be one of octets, seconds, events, not a list"],
        ),
        (
            "unit: events",
            "unit: money",
            ["c.yaml:6: services.sms.unit: unknown value 'money'; known: events, octets, seconds"],
        ),
        (
            "  voice: {context: 32260, rating_group: 100,",
            "  voice: {context: 32251, rating_group: 10,",
            [
                "c.yaml:5: services.voice.rating_group: context 32251, rating group 10 is 'internet' already; "
                "a gateway means one service"
            ],
        ),
        (
            "  internet:",
            "  inter net:",
            [
                "c.yaml:4: services.inter net: 'inter net' is not a name; "
                "write letters, digits, '-', '_' and '.', at most 63",
                "c.yaml:10: offers.basic.prices.internet: unknown service 'internet' (did you mean 'inter net'?)",
            ],
        ),
        (
            "  basic:",
            "  a/b:",
            ["c.yaml:8: offers.a/b: 'a/b' is not a name; write letters, digits, '-', '_' and '.', at most 63"],
        ),
        (
            "unit: octets}",
            "unit: octets, quota: {default: 5 min}}",
            [
                "c.yaml:4: services.internet.quota.default: 5 min is an amount of seconds, "
                "but the quota is of octets; write for example 5 GiB"
            ],
        ),
        (
            "unit: octets}",
            "unit: octets, quota: {maximum: 1 MiB}}",
            [
                "c.yaml:4: services.internet.quota: minimum <= default <= maximum does not hold: "
                "default 10 MiB, maximum 1 MiB, minimum 64 KiB; set those that are left out too"
            ],
        ),
        (
            "unit: octets}",
            "unit: octets, quota: {threshold: 100 %, validity: 0 s, default: 0}}",
            [
                "c.yaml:4: services.internet.quota.default: must be more than 0",
                "c.yaml:4: services.internet.quota.validity: 0 s is too small; at least 1 s is needed",
                "c.yaml:4: services.internet.quota.threshold: 100 % is too large; at most 99 % is possible",
            ],
        ),
        (
            "unit: seconds}",
            "unit: seconds, quota: {maximum: 50000 d}}",
            [
                "c.yaml:5: services.voice.quota.maximum: is more than 4294967295 s, the most that CC-Time can say",
            ],
        ),
        (
            "services:\n",
            "quotas:\n  seconds: {default: 300}\n  octets: {default: 1 GiB}\n  bits: {}\nservices:\n",
            [
                "c.yaml:6: quotas.bits: unknown value 'bits'; known: events, octets, seconds",
            ],
        ),
        (
            "services:\n",
            "quotas:\n  seconds: {default: 300}\n  octets: {default: 1 GiB}\nservices:\n",
            [
                "c.yaml:4: quotas.seconds.default: 300 does not say its unit, and the quota is of seconds; "
                "write for example 100 min",
                "c.yaml:5: quotas.octets: minimum <= default <= maximum does not hold: "
                "default 1 GiB, maximum 100 MiB, minimum 64 KiB; set those that are left out too",
            ],
        ),
        (
            "offers:\n",
            "default_rating_groups:\n"
            "  - {context: 32251, rating_group: 11}\n"
            "  - {context: 32270, rating_group: 10}\n"
            "  - {context: 32251, rating_group: 10}\n"
            "  - {context: 32251, apn: Web, rating_group: 10}\n"
            "  - {context: 32251, apn: web, rating_group: 10}\n"
            "offers:\n",
            [
                "c.yaml:8: default_rating_groups[0].rating_group: "
                "no service has context 32251 and rating group 11; known: 10",
                "c.yaml:9: default_rating_groups[1].rating_group: "
                "no service has context 32270 and rating group 10; known: none",
                "c.yaml:10: default_rating_groups[2]: context 32251, all access points is "
                "default_rating_groups[0] already; leave one out",
                "c.yaml:12: default_rating_groups[4]: context 32251, access point 'web' is "
                "default_rating_groups[3] already; leave one out",
            ],
        ),
    ],
)
def test_mistakes_elsewhere(old: str, new: str, expected: list[str]) -> None:
    assert old in SMALL
    assert problems(SMALL.replace(old, new, 1)) == expected


def test_services_with_their_own_service_identifiers_must_differ() -> None:
    text = SMALL.replace("unit: octets}", "unit: octets, service_identifier: 1}").replace(
        "context: 32260, rating_group: 100", "context: 32251, rating_group: 10, service_identifier: 1"
    )
    assert problems(text) == [
        "c.yaml:5: services.voice.rating_group: context 32251, rating group 10, service identifier 1 is 'internet' "
        "already; a gateway means one service"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["c.yaml:1: is empty; it must have at least one `key: value`"]),
        ("[]", ["c.yaml:1: must be a mapping (`key: value`) at the top, not a list"]),
        ("services: {\n", ["c.yaml:2: is not YAML: expected the node content, but found '<stream end>'"]),
        (
            "version: v1\ncurrency: EUR\nservices: {}\noffers: {}\n",
            ["c.yaml:3: services: must have at least one service", "c.yaml:4: offers: must have at least one offer"],
        ),
        (
            "version: v1\ncurrency: EUR\nservices: [internet]\noffers:\n  o: [x]\n  p: {name: P, barred: [a]}\n",
            [
                "c.yaml:3: services: must be a mapping (`key: value`), not a list",
                "c.yaml:5: offers.o: must be a mapping (`key: value`), not a list",
                "c.yaml:6: offers.p.barred[0]: unknown service 'a'; there is none",
            ],
        ),
    ],
)
def test_files_of_the_wrong_kind(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_mistakes_all_over_the_file_are_reported_together() -> None:
    text = """\
version: v1
currency: EURO
services:
  internet: {context: 32251, rating_group: ten, unit: octets}
  voice: {context: 32260, rating_group: 100, unit: minutes}
offers:
  a:
    name: A
    price: cheap
    allowances:
      - {id: a, amount: 5 min, services: [internet]}
      - {id: b, amount: 5 MiB, services: [voice]}
    prices: {internet: 1 per min, vice: free}
  a:
    name: Again
"""
    assert problems(text) == [
        "c.yaml:2: currency: 'EURO' is not a currency of ISO 4217 (did you mean 'EUR'?)",
        "c.yaml:4: services.internet.rating_group: 'ten' is not a whole number; write for example 20",
        "c.yaml:5: services.voice.unit: unknown value 'minutes'; known: events, octets, seconds",
        "c.yaml:9: offers.a.price: 'cheap' is not an amount of money; write only the number, such as 0.02: "
        "the currency is that of the catalogue",
        "c.yaml:11: offers.a.allowances[0].amount: 5 min is an amount of seconds, but 'internet' is counted in "
        "octets; write for example 5 GiB",
        "c.yaml:13: offers.a.prices.internet: is a price per seconds, but 'internet' is counted in octets; "
        "write for example 1.00 per MiB",
        "c.yaml:13: offers.a.prices.vice: unknown service 'vice' (did you mean 'voice'?)",
        "c.yaml:14: offers.a: duplicate key; line 7 has it already",
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no-such\.yaml: no such file$"):
        load_catalogue(tmp_path / "no-such.yaml")
    with pytest.raises(FileError, match="is a directory"):
        load_catalogue(tmp_path)


sample_lines = SAMPLE.read_text().splitlines(keepends=True)


@settings(deadline=None)  # a whole file is read each time
@given(
    st.integers(0, len(sample_lines) - 1),
    st.sampled_from(["", "x\n", "  - 5\n", "[]\n", "  internet: 5\n", "    prices: 5\n", "\t\n", "a: &a *a\n", "}"]),
)
def test_a_damaged_sample_is_a_catalogue_or_a_file_error(at: int, line: str) -> None:
    text = "".join([*sample_lines[:at], line, *sample_lines[at + 1 :]])
    try:
        catalogue = parse_catalogue(text)
    except FileError as error:
        lines = str(error).split("\n")
        assert all(re.match(r"catalogue:\d+: ", line) for line in lines), lines
    else:
        assert catalogue.services


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every location in a tree, from the top down."""
    if above:
        yield above
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, inner in items:
        yield from places(inner, (*above, key))


wrong_values = st.one_of(
    st.none(),
    st.sampled_from(["", "x", "-1", "0", "5 GiB", "5 min", "0.02 per MiB", "free", "internet", "9" * 30, "octets"]),
    st.lists(st.sampled_from(["internet", "x"]), max_size=2),
    st.dictionaries(st.sampled_from(["unit", "x"]), st.sampled_from(["octets", "x"]), max_size=2),
    st.just([[]]),
    st.just({"unit": ["octets"]}),
)


@settings(deadline=None)
@given(st.sampled_from(list(places(parse(SAMPLE.read_text(), "sample").data))), wrong_values)
def test_whatever_is_wrong_is_an_error_with_a_place(location: tuple[Any, ...], value: Any) -> None:
    document = parse(SAMPLE.read_text(), "sample")
    target: Any = document.data
    for key in location[:-1]:
        target = target[key]
    target[location[-1]] = value
    with contextlib.suppress(FileError):
        assert validate(document, CatalogueFile, {"units": declared_units(document.data)}).services


# --- currencies


@pytest.mark.parametrize(
    ("name", "code", "exponent"),
    [("EUR", 978, 2), ("USD", 840, 2), ("GBP", 826, 2), ("CHF", 756, 2), ("ALL", 8, 2), ("JPY", 392, 0),
     ("KRW", 410, 0), ("XOF", 952, 0), ("TND", 788, 3), ("KWD", 414, 3), ("INR", 356, 2), ("ZAR", 710, 2)],
)  # fmt: skip
def test_currencies(name: str, code: int, exponent: int) -> None:
    assert CURRENCIES[name] == (name, code, exponent)


def test_the_table_of_currencies_is_whole() -> None:
    assert all(re.fullmatch("[A-Z]{3}", name) and 0 < c.code < 1000 for name, c in CURRENCIES.items())
    assert len({currency.code for currency in CURRENCIES.values()}) == len(CURRENCIES)
    assert sum(currency.exponent == 0 for currency in CURRENCIES.values()) == 16
    assert sum(currency.exponent == 3 for currency in CURRENCIES.values()) == 7


# --- the sample


def test_the_sample() -> None:
    catalogue = load_catalogue(SAMPLE)
    assert (catalogue.currency, catalogue.currency_code) == ("EUR", 978)
    keys = {(s.context, s.rating_group): (name, s.unit) for name, s in catalogue.services.items()}
    assert keys == {
        ("32251", 10): ("internet", Unit.OCTETS),
        ("32251", 20): ("portal", Unit.OCTETS),
        ("32251", 30): ("streaming", Unit.OCTETS),
        ("32260", 100): ("voice", Unit.SECONDS),
        ("32274", 200): ("sms", Unit.EVENTS),
    }
    assert catalogue.service_for("32251", None, None, "internet") is catalogue.services["internet"]
    assert catalogue.services["internet"].quota == Quota(10 * MIB, 100 * MIB, 65_536, 3600, 20)
    assert list(catalogue.offers) == ["pay-as-you-go", "data-1gb", "data-5gb", "data-20gb", "all-in-one", "kids"]


@pytest.mark.parametrize(("offer", "amount"), [("data-1gb", GIB), ("data-5gb", 5 * GIB), ("all-in-one", 10 * GIB)])
def test_the_allowances_of_the_sample(offer: str, amount: int) -> None:
    data = load_catalogue(SAMPLE).offers[offer].allowances[0]
    assert data == Allowance(f"{offer}/data", Unit.OCTETS, amount, frozenset(["internet", "streaming"]), 100, MONTH_S)


def test_the_prices_of_the_sample() -> None:
    offers = load_catalogue(SAMPLE).offers
    assert {"internet", "streaming"}.isdisjoint(offers["data-1gb"].prices), "it ends with its allowance"
    assert offers["data-5gb"].prices["internet"] == Price("data-5gb/internet", "internet", Unit.OCTETS, MIB, 20_000)
    assert set(offers["pay-as-you-go"].prices) == {"internet", "streaming", "portal", "voice", "sms"}
    assert offers["pay-as-you-go"].allowances == ()
    assert all(offer.prices["portal"].price_micro == 0 for offer in offers.values())
    assert offers["kids"].barred == {"streaming"}


# --- the documentation


def blocks(info: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{info}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    return found


def table_after(heading: str) -> list[list[str]]:
    """The cells of the first table after a line."""
    lines = DOCS[DOCS.index(heading) :].split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("| ---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_every_example_is_a_catalogue() -> None:
    whole, *parts = blocks("yaml")
    assert parse_catalogue(whole, "docs").offers["data-5gb"].prices["voice"].price_micro == 90_000
    assert len(parts) == 4
    for part in parts:
        document = parse(whole, "docs")
        document.data.update(parse(part, "docs").data)
        if "offers" not in parse(part, "docs").data and "services" in parse(part, "docs").data:
            pytest.fail("an example with services needs offers for them")
        validate(document, CatalogueFile, {"units": declared_units(document.data)})


def test_the_example_of_mistakes() -> None:
    (wrong,) = blocks("yaml mistakes")
    (messages,) = blocks("text")
    with pytest.raises(FileError) as caught:
        parse_catalogue(wrong, "catalogue.yaml")
    assert f"{caught.value}\n" == messages


def test_the_costs_in_the_documentation() -> None:
    price = parse_catalogue(blocks("yaml")[0]).offers["data-5gb"].prices["internet"]
    rows = table_after("A price is paid for each **begun** block")
    assert len(rows) == 6
    for used, block_count, cost in rows:
        octets = parse_octets(used)
        assert -(-octets // price.block_units) == int(block_count)
        assert cost_micro(price, octets) == parse_money_micro(cost)
    assert affordable_units(price, 0, parse_money_micro("1.00"), 10**15) == parse_octets("50 MiB")
    assert affordable_units(price, 0, parse_money_micro("0.99"), 10**15) == parse_octets("49 MiB")


def test_the_calls_in_the_documentation() -> None:
    rows = table_after("The block is part of the price")
    assert len(rows) == 3
    for text, short, long in rows:
        price = offer_of(f"    name: New\n    prices: {{voice: {text}}}\n").prices["voice"]
        assert cost_micro(price, 61) == parse_money_micro(short)
        assert cost_micro(price, 3600) == parse_money_micro(long)


def test_the_quotas_in_the_documentation() -> None:
    rows = table_after("What is written nowhere is built in")
    assert len(rows) == 3
    for unit, default, maximum, minimum, validity, threshold in rows:
        quota = BUILT_IN_QUOTAS[unit]  # type: ignore[index]
        amounts = (quota.default_units, quota.maximum_units, quota.minimum_units)
        shown = tuple(format_amount(amount, unit).removesuffix(" events").removesuffix(" event") for amount in amounts)
        assert shown == (default, maximum, minimum)
        assert parse_duration_s(validity) == quota.validity_s
        assert threshold == f"{quota.threshold_percent} %"


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## All fields", CatalogueFile),
        ("Each of `services`:", ServiceFile),
        ("Each of `quotas`, and `quota` of a service:", QuotaFile),
        ("Each of `default_rating_groups`:", DefaultRatingGroupFile),
        ("Each of `offers`:", OfferFile),
        ("Each of `allowances`:", AllowanceFile),
    ],
)
def test_every_field_is_documented(heading: str, model: Any) -> None:
    written = {"()": "`[]`", "{}": "`{}`", "None": "left out", str(QuotaFile()): "`{}`"}
    expected = []
    for name, field in model.model_fields.items():
        default = written.get(str(field.default), f"`{field.default}`")
        expected.append(
            [f"`{field.alias or name}`", "must be given" if field.is_required() else default, field.description]
        )
    assert table_after(heading) == expected
