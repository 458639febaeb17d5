"""The message header. RFC 6733 §3."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodiameter.header import (
    FLAG_ERROR,
    FLAG_PROXIABLE,
    FLAG_REQUEST,
    FLAG_RETRANSMITTED,
    HEADER_LENGTH,
    Header,
    read_header,
)

word = st.integers(0, 2**32 - 1)
three_octets = st.integers(0, 2**24 - 1)


@given(st.builds(Header, three_octets, word, st.integers(0, 255), word, word), three_octets)
def test_what_is_written_is_read(header: Header, length: int) -> None:
    octets = header.to_bytes(length)
    assert len(octets) == HEADER_LENGTH
    assert read_header(octets) == header
    assert read_header(octets + b"what follows") == header


def test_where_each_field_stands() -> None:
    header = Header(0x010203, 0x04050607, 0xC0, 0x08090A0B, 0x0C0D0E0F)
    assert header.to_bytes(0x112233) == bytes.fromhex("01112233 C0010203 04050607 08090A0B 0C0D0E0F")


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        (FLAG_REQUEST, "is_request"),
        (FLAG_PROXIABLE, "is_proxiable"),
        (FLAG_ERROR, "is_error"),
        (FLAG_RETRANSMITTED, "is_retransmitted"),
    ],
)
def test_each_flag_is_told_from_the_others(flag: int, name: str) -> None:
    assert getattr(Header(272, flags=flag), name)
    assert not getattr(Header(272, flags=0xFF & ~flag), name)


def test_version_and_length_are_not_the_headers_business() -> None:
    assert read_header(bytes.fromhex("02000001 40000110 00000004 00000001 00000002")) == Header(272, 4, 0x40, 1, 2)


def test_what_does_not_fit_is_not_sent() -> None:
    with pytest.raises(struct.error):
        Header(272, hop_by_hop=2**32).to_bytes(20)
