"""What each AVP is. That it is right is tested against another dictionary, in `tests/interop/test_tshark.py`."""

import pytest

from aiodiameter.codec import compile_class
from aiodiameter.data_types import FORMATS
from aiodiameter.dictionary import BY_KEY, VENDOR_3GPP, facts_of
from aiodiameter.errors import DeclarationError
from tests.aiodiameter.declared import CLASSES


@pytest.mark.parametrize(
    ("name", "code", "vendor"),
    [
        ("Session-Id", 263, 0),
        ("session_id", 263, 0),
        ("CC-Request-Number", 415, 0),
        ("cc_request_number", 415, 0),
        ("3GPP-Charging-Id", 2, VENDOR_3GPP),
        ("Reporting-Reason", 872, VENDOR_3GPP),
        ("PS-Information", 874, VENDOR_3GPP),
        ("QoS-Final-Unit-Indication", 669, 0),
    ],
)
def test_an_avp_is_found_by_its_name(name: str, code: int, vendor: int) -> None:
    facts = facts_of(name)
    assert (facts.code, facts.vendor) == (code, vendor)
    assert BY_KEY[facts.key] is facts
    assert facts.key == vendor << 32 | code


def test_flags() -> None:
    assert facts_of("Session-Id").flags == 0x40
    assert facts_of("Product-Name").flags == 0
    assert facts_of("Service-Information").flags == 0xC0
    assert facts_of("User-Equipment-Info").flags == 0
    assert facts_of("GBA-UserSecSettings").flags == 0x80


@pytest.mark.parametrize(
    ("name", "hint"),
    [("sesion_id", "nearest: Session-Id"), ("CC-Requst-Number", "CC-Request-Number"), ("qqqqqqqq", "named 'qqqqqqqq'")],
)
def test_a_name_that_no_avp_bears(name: str, hint: str) -> None:
    with pytest.raises(DeclarationError, match=hint):
        facts_of(name)


def test_each_key_is_its_own_entrys() -> None:
    assert all(key == facts.key for key, facts in BY_KEY.items())
    assert all(0 <= facts.code < 2**32 and 0 <= facts.vendor < 2**32 for facts in BY_KEY.values())


def test_every_format_can_be_read_and_written() -> None:
    formats = {name for name, _ in FORMATS} | {"Grouped"}
    assert {facts.data_type for facts in BY_KEY.values()} <= formats


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_declared_name_means_the_avp_of_the_ietf_or_3gpp(cls: type) -> None:
    assert {field.facts.vendor for field in compile_class(cls).fields} <= {0, VENDOR_3GPP}
