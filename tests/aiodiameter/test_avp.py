"""One AVP as octets. RFC 6733 §4.1."""

import struct

import pytest

from aiodiameter.avp import FLAG_MANDATORY, FLAG_VENDOR, PADDING, Avp, avp_header


@pytest.mark.parametrize(
    ("avp", "expected"),
    [
        (Avp(1, b""), "00000001 00000008"),
        (Avp(1, b"a"), "00000001 00000009 61000000"),
        (Avp(1, b"ab"), "00000001 0000000a 61620000"),
        (Avp(1, b"abc"), "00000001 0000000b 61626300"),
        (Avp(1, b"abcd"), "00000001 0000000c 61626364"),
        (Avp(263, b"abcd", flags=FLAG_MANDATORY), "00000107 4000000c 61626364"),
        (Avp(0xFFFFFFFF, b"", flags=0x7F), "ffffffff 7f000008"),
        (Avp(2, b"a", 10415, FLAG_VENDOR), "00000002 8000000d 000028af 61000000"),
        (Avp(2, b"", 0xFFFFFFFF, FLAG_VENDOR | FLAG_MANDATORY), "00000002 c000000c ffffffff"),
    ],
)
def test_header_data_and_padding(avp: Avp, expected: str) -> None:
    assert avp.to_bytes() == bytes.fromhex(expected)


def test_the_v_flag_follows_the_vendor() -> None:
    assert Avp(2, b"", 10415, 0).to_bytes() == Avp(2, b"", 10415, FLAG_VENDOR).to_bytes()
    assert Avp(2, b"", 0, FLAG_VENDOR).to_bytes() == Avp(2, b"", 0, 0).to_bytes()


def test_the_length_counts_the_header_and_not_the_padding() -> None:
    for length in range(9):
        assert avp_header(1, 0, 0, length)[5:8] == (8 + length).to_bytes(3, "big")
        assert avp_header(1, 10415, 0, length)[5:8] == (12 + length).to_bytes(3, "big")
        assert (length + len(PADDING[length & 3])) % 4 == 0


def test_mandatory() -> None:
    assert Avp(1, b"", flags=0x40).is_mandatory
    assert not Avp(1, b"", flags=0xBF).is_mandatory


@pytest.mark.parametrize("avp", [Avp(2**32, b""), Avp(-1, b""), Avp(1, b"", 2**32), Avp(1, b"", flags=256)])
def test_numbers_that_do_not_fit_are_not_sent(avp: Avp) -> None:
    with pytest.raises(struct.error):
        avp.to_bytes()


def test_an_avp_is_a_value() -> None:
    assert Avp(1, b"x") == Avp(1, b"x")
    assert len({Avp(1, b"x"), Avp(1, b"x"), Avp(1, b"y"), Avp(1, b"x", 10415)}) == 3
