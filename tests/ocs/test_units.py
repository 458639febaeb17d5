"""Spellings of quantities: what each means exactly, what is refused and why, and that what is shown reads back."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.units import (
    FORMATTERS,
    MAX_QUANTITY,
    PARSERS,
    Amount,
    UnitError,
    format_amount,
    format_duration,
    format_events,
    format_money,
    format_octets,
    measure_of,
    parse_amount,
    parse_count,
    parse_duration_s,
    parse_events,
    parse_money_micro,
    parse_octets,
    parse_percent,
)

Parse = Callable[[str], int]
quantities = st.integers(min_value=0, max_value=MAX_QUANTITY)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_octets, "0", 0),
        (parse_octets, "1000000", 1_000_000),
        (parse_octets, "1 B", 1),
        (parse_octets, "7 octets", 7),
        (parse_octets, "64 KiB", 65_536),
        (parse_octets, "500 MB", 500_000_000),
        (parse_octets, "500MB", 500_000_000),
        (parse_octets, "500 kB", 500_000),
        (parse_octets, "500 KB", 500_000),
        (parse_octets, "5 GiB", 5_368_709_120),
        (parse_octets, "5 GB", 5_000_000_000),
        (parse_octets, "1 TiB", 1_099_511_627_776),
        (parse_octets, "1.5 GiB", 1_610_612_736),
        (parse_octets, "0.1 MB", 100_000),
        (parse_octets, "  5   GiB ", 5_368_709_120),
        (parse_octets, "9007199254740991", MAX_QUANTITY),
        (parse_duration_s, "0 s", 0),
        (parse_duration_s, "90 s", 90),
        (parse_duration_s, "90s", 90),
        (parse_duration_s, "15 min", 900),
        (parse_duration_s, "1h", 3600),
        (parse_duration_s, "30d", 2_592_000),
        (parse_duration_s, "2 weeks", 1_209_600),
        (parse_duration_s, "1.5 h", 5400),
        (parse_duration_s, "1 h 30 min", 5400),
        (parse_duration_s, "1d2h3min4s", 93_784),
        (parse_events, "50", 50),
        (parse_events, "1 event", 1),
        (parse_events, "50 events", 50),
        (parse_count, "4096", 4096),
        (parse_percent, "20 %", 20),
        (parse_percent, "20%", 20),
        (parse_percent, "0", 0),
        (parse_percent, "100 %", 100),
        (parse_money_micro, "0.02", 20_000),
        (parse_money_micro, "0.1", 100_000),
        (parse_money_micro, "0", 0),
        (parse_money_micro, "9.99", 9_990_000),
        (parse_money_micro, "0.000001", 1),
        (parse_money_micro, "0.0000010", 1),
        (parse_money_micro, "9007199254.740991", MAX_QUANTITY),
    ],
)
def test_reads(parse: Parse, text: str, value: int) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_octets, "", "'' is not a size; write for example 5 GiB, 500 MB or 64 KiB"),
        (parse_octets, "much", "'much' is not a size; write for example 5 GiB, 500 MB or 64 KiB"),
        (
            parse_octets,
            "-3 MB",
            "'-3 MB' is not a size; it must not be negative: write for example 5 GiB, 500 MB or 64 KiB",
        ),
        (parse_octets, "1,5 GB", "'1,5 GB' is not a size; write a point for decimals, and nothing between thousands"),
        (parse_octets, "5 gib", "'5 gib' is not a size; write GiB, not gib"),
        (
            parse_octets,
            "5 h",
            "'5 h' is not a size; h measures seconds: write for example 5 GiB, 500 MB or 64 KiB",
        ),
        (
            parse_octets,
            "5 PB",
            "'5 PB' is not a size; there is no unit 'PB' here: write for example 5 GiB, 500 MB or 64 KiB",
        ),
        (
            parse_octets,
            "0.3 KiB",
            "'0.3 KiB' is not a whole number of octets; write for example 5 GiB, 500 MB or 64 KiB",
        ),
        (
            parse_octets,
            "1 GiB 2 MiB",
            "'1 GiB 2 MiB' is not a size; write one number, such as 5 GiB, 500 MB or 64 KiB",
        ),
        (parse_octets, "1e3", "'1e3' is not a size; write one number, such as 5 GiB, 500 MB or 64 KiB"),
        (
            parse_octets,
            "9007199254740992",
            "9007199254740992 is too much; at most 9007199254740991 can be counted exactly",
        ),
        (parse_octets, "8192 TiB", "8192 TiB is too much; at most 9007199254740991 can be counted exactly"),
        (parse_octets, "٣ MB", "'٣ MB' is not a size; write for example 5 GiB, 500 MB or 64 KiB"),
        (parse_octets, "9" * 61, "a text of 61 characters is no quantity; write at most 60"),
        (parse_duration_s, "90", "'90' does not say its unit; write for example 30 d, 1 h, 15 min or 90 s"),
        (
            parse_duration_s,
            "5 m",
            "'5 m' is not a duration; m could be minutes or months: write min, or days",
        ),
        (
            parse_duration_s,
            "30 min 1 h",
            "'30 min 1 h' is not a duration; write each unit once, the larger first: 1 h 30 min",
        ),
        (
            parse_duration_s,
            "1 h 1 h",
            "'1 h 1 h' is not a duration; write each unit once, the larger first: 1 h 30 min",
        ),
        (
            parse_duration_s,
            "5 MB",
            "'5 MB' is not a duration; MB measures octets: write for example 30 d, 1 h, 15 min or 90 s",
        ),
        (
            parse_duration_s,
            "0.5 s",
            "'0.5 s' is not a whole number of seconds; write for example 30 d, 1 h, 15 min or 90 s",
        ),
        (parse_events, "0.5", "'0.5' is not a whole number of events; write for example 50"),
        (parse_events, "5 s", "'5 s' is not a number of events; s measures seconds: write for example 50"),
        (parse_count, "5 x", "'5 x' is not a whole number; there is no unit 'x' here: write for example 20"),
        (parse_count, "-1", "'-1' is not a whole number; it must not be negative: write for example 20"),
        (parse_percent, "101", "'101' is not a percentage; write a whole number from 0 to 100, such as 20 %"),
        (parse_percent, "0.5", "'0.5' is not a percentage; write a whole number from 0 to 100, such as 20 %"),
        (
            parse_money_micro,
            "0.0000001",
            "0.0000001 is finer than a millionth, the smallest amount that is counted; write at most 6 decimals",
        ),
        (
            parse_money_micro,
            "1,50",
            "'1,50' is not an amount of money; write a point for decimals, and nothing between thousands",
        ),
        (
            parse_money_micro,
            "3 EUR",
            "'3 EUR' is not an amount of money; write only the number, such as 0.02: "
            "the currency is that of the catalogue",
        ),
        (
            parse_money_micro,
            "-1",
            "'-1' is not an amount of money; it must not be negative: write for example 0.02",
        ),
        (parse_money_micro, ".5", "'.5' is not an amount of money; write for example 0.02"),
        (
            parse_money_micro,
            "9007199254.740992",
            "9007199254.740992 is too much; at most 9007199254.740991 can be counted exactly",
        ),
    ],
)
def test_refuses(parse: Parse, text: str, message: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["nan", "inf", "1e-3", "0x10", "1_000", "٣", "1\n2", "--1", "+1", "1..2", "1."])
@pytest.mark.parametrize("parse", [parse_octets, parse_duration_s, parse_events, parse_count, parse_money_micro])
def test_a_number_is_digits_and_a_point(parse: Parse, text: str) -> None:
    with pytest.raises(UnitError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("5 GiB", Amount(5_368_709_120, "octets")),
        ("100 min", Amount(6000, "seconds")),
        ("1 h 30 min", Amount(5400, "seconds")),
        ("50 events", Amount(50, "events")),
        ("50", Amount(50, None)),
    ],
)
def test_an_amount_says_what_it_measures(text: str, amount: Amount) -> None:
    assert parse_amount(text) == amount


def test_an_amount_of_nothing_known_is_refused() -> None:
    with pytest.raises(UnitError, match="'5 parsecs' has no unit that is known here; write for example 5 GiB, 100 min"):
        parse_amount("5 parsecs")
    with pytest.raises(UnitError, match="a text of 70 characters is no quantity"):
        parse_amount("5" * 70)
    assert measure_of("5 parsecs") is None
    assert measure_of("5 gib") == "octets", "the parser of octets says how it is spelt"


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (format_octets(0), "0 B"),
        (format_octets(1), "1 B"),
        (format_octets(1_234_567), "1234567 B"),
        (format_octets(5 * 2**30), "5 GiB"),
        (format_octets(5 * 10**9), "5 GB"),
        (format_octets(64_000), "64 kB"),
        (format_octets(1000 * 1024), "1000 KiB"),
        (format_octets(-(2**20)), "-1 MiB"),
        (format_duration(0), "0 s"),
        (format_duration(90), "1 min 30 s"),
        (format_duration(5400), "1 h 30 min"),
        (format_duration(30 * 86400), "30 d"),
        (format_duration(-60), "-1 min"),
        (format_events(1), "1 event"),
        (format_events(50), "50 events"),
        (format_money(20_000), "0.02"),
        (format_money(1), "0.000001"),
        (format_money(9_990_000), "9.99"),
        (format_money(5_000_000), "5.00"),
        (format_money(5_000_000, 0), "5"),
        (format_money(5_500_000, 0), "5.5"),
        (format_money(5_000_000, 3), "5.000"),
        (format_money(-20_000), "-0.02"),
        (format_amount(6000, "seconds"), "1 h 40 min"),
    ],
)
def test_shows(shown: str, text: str) -> None:
    assert shown == text


@given(quantities, st.sampled_from(sorted(PARSERS)))
def test_what_is_shown_reads_back(units: int, measure: str) -> None:
    assert PARSERS[measure](FORMATTERS[measure](units)) == units
    assert parse_amount(format_amount(units, measure)) == Amount(units, measure)  # type: ignore[arg-type]


@given(quantities, st.integers(0, 6))
def test_money_that_is_shown_reads_back(micro: int, decimals: int) -> None:
    assert parse_money_micro(format_money(micro, decimals)) == micro


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_money_is_read_exactly(amount: Decimal) -> None:
    assert parse_money_micro(f"{amount:f}") == int(amount.scaleb(6))


@given(st.text(max_size=80))
def test_any_text_is_a_quantity_or_an_error(text: str) -> None:
    def parse_amount_units(text: str) -> int:
        return parse_amount(text).units

    for parse in (*PARSERS.values(), parse_count, parse_money_micro, parse_percent, parse_amount_units):
        try:
            assert 0 <= parse(text) <= MAX_QUANTITY
        except UnitError:
            continue
