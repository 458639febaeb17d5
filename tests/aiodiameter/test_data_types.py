"""AVP payloads: octets to values and back. RFC 6733 §4.2, §4.3."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodiameter.data_types import FORMATS, PayloadFault, read_time, write_address, write_time
from aiodiameter.errors import EncodeError
from aiodiameter.result_codes import ResultCode
from tests.aiodiameter.declared import EDGES, FIRST_TIME, LAST_TIME, OUTSIDE, any_of

BY_FORMAT = {name if python_type is not str else name.replace("OctetString", "Text"): functions
             for (name, python_type), functions in FORMATS.items()}  # fmt: skip
EDGES_OF = EDGES | {"Enumerated": EDGES["Integer32"], "Text": EDGES["UTF8String"]}
OUTSIDE_OF = OUTSIDE | {"Enumerated": OUTSIDE["Integer32"], "Text": OUTSIDE["UTF8String"]}


def read(name: str, octets: bytes) -> Any:
    return BY_FORMAT[name][0](b"before" + octets + b"after", 6, 6 + len(octets))


def write(name: str, value: Any) -> bytes:
    return BY_FORMAT[name][1](value)


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BY_FORMAT for value in EDGES_OF[name]])
def test_edge_values_survive(name: str, value: Any) -> None:
    assert same(read(name, write(name, value)), value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BY_FORMAT for value in OUTSIDE_OF[name]])
def test_values_just_outside_are_refused(name: str, value: Any) -> None:
    with pytest.raises(EncodeError):
        write(name, value)


@given(st.data())
def test_any_value_survives(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EDGES)))
    value = data.draw(any_of(name))
    assert same(read(name, write(name, value)), value)


@given(st.sampled_from(sorted(BY_FORMAT)), st.binary(max_size=20))
def test_any_octets_are_a_value_or_a_fault(name: str, octets: bytes) -> None:
    try:
        value = read(name, octets)
    except PayloadFault as fault:
        result = fault
    else:
        assert write(name, value) == octets or value != value  # noqa: PLR0124 - of what is no number, some bits are lost
        return
    assert result.result_code in (ResultCode.INVALID_AVP_LENGTH, ResultCode.INVALID_AVP_VALUE)
    assert result.text


WIDTHS = {
    "Unsigned32": 4, "Integer32": 4, "Enumerated": 4, "Float32": 4, "Time": 4,
    "Unsigned64": 8, "Integer64": 8, "Float64": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "length"), [(name, length) for name, due in WIDTHS.items() for length in range(12) if length != due]
)
def test_a_number_of_another_width_is_5014(name: str, length: int) -> None:
    with pytest.raises(PayloadFault, match=f"{length} octets of data where {WIDTHS[name]} are due") as caught:
        read(name, bytes(length))
    assert caught.value.result_code is ResultCode.INVALID_AVP_LENGTH


@pytest.mark.parametrize(
    "octets",
    ["", "00", "0001", "0001 0a0000", "0001 0a000001 00", "0002 0a000001", "0002" + "00" * 15, "0002" + "00" * 17],
)
def test_an_address_of_the_wrong_length_is_5014(octets: str) -> None:
    with pytest.raises(PayloadFault) as caught:
        read("Address", bytes.fromhex(octets))
    assert caught.value.result_code is ResultCode.INVALID_AVP_LENGTH


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("0001 c0000201", "192.0.2.1"),
        ("0002 20010db8000000000000000000000001", "2001:db8::1"),
        ("0008 34313738", "8:34313738"),
        ("0000", "0:"),
        ("ffff 00", "65535:00"),
    ],
)
def test_addresses(octets: str, value: str) -> None:
    assert read("Address", bytes.fromhex(octets)) == value
    assert write_address(value) == bytes.fromhex(octets)


@pytest.mark.parametrize("octets", [b"\xff", b"a\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xc3"])
@pytest.mark.parametrize("name", ["UTF8String", "DiameterIdentity", "Text"])
def test_text_that_is_not_utf8_is_5004(name: str, octets: bytes) -> None:
    with pytest.raises(PayloadFault, match="not UTF-8") as caught:
        read(name, octets)
    assert caught.value.result_code is ResultCode.INVALID_AVP_VALUE


def seconds(*when: int) -> int:
    return int(dt.datetime(*when, tzinfo=dt.UTC).timestamp())  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("80000000", seconds(1968, 1, 20, 3, 14, 8)),
        ("83aa7e80", 0),
        ("e43d7ed0", seconds(2021, 5, 5, 20, 30, 8)),
        ("ffffffff", seconds(2036, 2, 7, 6, 28, 15)),
        ("00000000", seconds(2036, 2, 7, 6, 28, 16)),
        ("7fffffff", seconds(2104, 2, 26, 9, 42, 23)),
    ],
)
def test_time_counts_from_1900_and_again_from_2036(octets: str, value: int) -> None:
    assert read_time(bytes.fromhex(octets), 0, 4) == value
    assert write_time(value) == bytes.fromhex(octets)


def test_the_times_that_can_be_sent() -> None:
    assert seconds(1968, 1, 20, 3, 14, 8) == FIRST_TIME
    assert seconds(2104, 2, 26, 9, 42, 23) == LAST_TIME
    for beyond in (FIRST_TIME - 1, LAST_TIME + 1):
        with pytest.raises(EncodeError, match="outside what Time can carry"):
            write_time(beyond)


def test_the_zero_values_are_values() -> None:
    """RFC 6733 §7.5: the example of a missing AVP has the least length of its format."""
    zeros = {name: zero for name, (_, _, zero) in BY_FORMAT.items()}
    assert {name: len(zero) for name, zero in zeros.items()} == WIDTHS | {
        "OctetString": 0, "Text": 0, "UTF8String": 0, "DiameterIdentity": 0, "Address": 6,
    }  # fmt: skip
    for name, zero in zeros.items():
        read(name, zero)
