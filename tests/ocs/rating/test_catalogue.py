"""The compiled catalogue: which service a gateway means, and that what must hold is asserted."""

import msgspec
import pytest

from ocs.rating.catalogue import Allowance, Catalogue, Price, Quota, Service, Unit

QUOTA = Quota(default_units=10, maximum_units=100, minimum_units=1, validity_s=3600, threshold_percent=20)


def service(name: str, context: str, rating_group: int, service_identifier: int | None = None) -> Service:
    return Service(name, context, rating_group, service_identifier, Unit.OCTETS, QUOTA)


def catalogue(*services: Service, defaults: dict[tuple[str, str | None], int] | None = None) -> Catalogue:
    return Catalogue(
        id="1@0",
        currency="EUR",
        currency_code=978,
        currency_exponent=2,
        services={s.name: s for s in services},
        offers={},
        default_rating_groups=defaults or {},
    )


INTERNET = service("internet", "32251", 10)
UPDATES = service("updates", "32251", 10, 7)
MMS = service("mms", "32251", 60)
NEWS = service("news", "32251", 70, 1)
ZERO = service("zero", "32251", 0)
VOICE = service("voice", "32260", 10)
CATALOGUE = catalogue(
    INTERNET, UPDATES, MMS, NEWS, ZERO, VOICE, defaults={("32251", None): 10, ("32251", "mms"): 60, ("32274", None): 9}
)


@pytest.mark.parametrize(
    ("context", "rating_group", "service_identifier", "apn", "expected"),
    [
        ("32251", 10, None, None, INTERNET),
        ("32251", 10, None, "mms", INTERNET),  # an access point says nothing where a rating group is named
        ("32251", 10, 7, None, UPDATES),
        ("32251", 10, 8, None, INTERNET),
        ("32251", 70, 1, None, NEWS),
        ("32251", 70, 2, None, None),
        ("32251", 70, None, None, None),
        ("32251", 0, None, None, ZERO),  # 0 is a rating group, not the lack of one
        ("32251", 11, None, "internet", None),
        ("32260", 10, None, None, VOICE),
        ("32260", None, None, None, None),
        ("32251", None, None, None, INTERNET),
        ("32251", None, 7, None, UPDATES),
        ("32251", None, None, "internet", INTERNET),
        ("32251", None, None, "mms", MMS),
        ("32251", None, None, "MMS", MMS),
        ("32274", None, None, None, None),  # the default names a rating group that has no service
        ("", None, None, "", None),
    ],
)
def test_the_service_that_is_meant(
    context: str, rating_group: int | None, service_identifier: int | None, apn: str | None, expected: Service | None
) -> None:
    assert CATALOGUE.service_for(context, rating_group, service_identifier, apn) is expected


def test_a_catalogue_does_not_change() -> None:
    for struct in (CATALOGUE, INTERNET, QUOTA):
        with pytest.raises(AttributeError):
            struct.name = "other"  # type: ignore[misc, union-attr]


def test_the_look_up_follows_the_services() -> None:
    other = msgspec.structs.replace(CATALOGUE, services={"voice": VOICE})
    assert other.service_for("32251", 10, None, None) is None
    assert other.service_for("32260", 10, None, None) is VOICE
    assert catalogue(*CATALOGUE.services.values(), defaults=CATALOGUE.default_rating_groups) == CATALOGUE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: catalogue(INTERNET, service("again", "32251", 10)), "means one service"),
        (lambda: Quota(10, 5, 1, 3600, 20), "minimum <= default <= maximum"),
        (lambda: Quota(10, 100, 11, 3600, 20), "minimum <= default <= maximum"),
        (lambda: Quota(0, 100, 0, 3600, 20), "grants something"),
        (lambda: Quota(10, 100, 1, 0, 20), "valid for some time"),
        (lambda: Quota(10, 100, 1, 3600, 100), "a part of the quota"),
        (lambda: Price("a/b", "b", Unit.OCTETS, 0, 1), "a block holds something"),
        (lambda: Price("a/b", "b", Unit.OCTETS, 1, -1), "never pays the subscriber"),
        (lambda: Allowance("a/b", Unit.MONEY, 1, frozenset(), 1, None), "money is a balance"),
        (lambda: Allowance("a/b", Unit.OCTETS, 0, frozenset(), 1, None), "holds something"),
    ],
)
def test_what_must_hold_is_asserted(make: type, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        make()
