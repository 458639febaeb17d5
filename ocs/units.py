"""Sizes, durations, counts and money as people write them, to and from integers.

Owns the spellings (`5 GiB`, `1 h 30 min`, `0.02`), exact arithmetic, and the bound of every quantity. Refuses to
know where a text comes from, and never makes a binary float: a number is read digit by digit, and what does not
come out as a whole number of octets, seconds, events or millionths is an error.

Every parser raises `UnitError`, whose text says what is wrong and, after a semicolon, what would be right.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

MAX_QUANTITY = 2**53 - 1
"""The largest quantity there is: what the store's Lua numbers, and every reader of JSON, hold exactly."""

MICRO_PER_UNIT = 1_000_000
MICRO_DECIMALS = 6

Measure = Literal["octets", "seconds", "events"]

OCTETS_PER: dict[str, int] = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "octet": 1,
    "octets": 1,
}
SECONDS_PER: dict[str, int] = {
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "second": 1,
    "seconds": 1,
    "minute": 60,
    "minutes": 60,
    "hour": 3600,
    "hours": 3600,
    "day": 86400,
    "days": 86400,
    "week": 604800,
    "weeks": 604800,
}
EVENTS_PER: dict[str, int] = {"event": 1, "events": 1}

# Written from the largest down; where two fit equally well, the first is taken.
_OCTETS_SHOWN = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB")
_SECONDS_SHOWN = ("d", "h", "min", "s")

_AMOUNT_EXAMPLES = "write for example 5 GiB, 100 min or 50 events"
_LONGEST_TEXT = 60  # longer than any quantity within MAX_QUANTITY; keeps an absurd one from costing time
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_WITH_UNIT = re.compile(rf"({_NUMBER})[ ]*([A-Za-z]*)")


class UnitError(ValueError):
    """A text is no quantity of the kind that is wanted here."""


class Amount(NamedTuple):
    """A quantity whose kind is known from its own text, or is not (a bare number)."""

    units: int
    measure: Measure | None


def parse_octets(text: str) -> int:
    """`5 GiB`, `500 MB`, `64 KiB` or `1000000`, in octets."""
    return _parse(text, OCTETS_PER, "octets", bare=True, kind="a size", examples="5 GiB, 500 MB or 64 KiB")


def parse_duration_s(text: str) -> int:
    """`30d`, `90 s`, `15 min` or `1 h 30 min`, in seconds. A bare number is refused: it does not say what it counts."""
    return _parse(text, SECONDS_PER, "seconds", bare=False, kind="a duration", examples="30 d, 1 h, 15 min or 90 s")


def parse_events(text: str) -> int:
    """`50` or `50 events`."""
    return _parse(text, EVENTS_PER, "events", bare=True, kind="a number of events", examples="50")


def parse_count(text: str) -> int:
    """A plain whole number, `0` or more."""
    return _parse(text, {}, "units", bare=True, kind="a whole number", examples="20")


def parse_percent(text: str) -> int:
    """`20 %` or `20`, as the whole number 20; 0 to 100."""
    _check_length(text)
    match = re.fullmatch(r"([0-9]+)[ ]*%?", text.strip())
    if match is None or int(match[1]) > 100:
        raise UnitError(f"{text!r} is not a percentage; write a whole number from 0 to 100, such as 20 %")
    return int(match[1])


def parse_money_micro(text: str) -> int:
    """`0.02`, in millionths: 20000. The currency stands elsewhere."""
    _check_length(text)
    text = text.strip()
    if re.fullmatch(_NUMBER, text) is None:
        raise UnitError(f"{text!r} is not an amount of money; {_money_hint(text)}")
    micro = _times(text, MICRO_PER_UNIT)
    if micro is None:
        raise UnitError(
            f"{text} is finer than a millionth, the smallest amount that is counted; "
            f"write at most {MICRO_DECIMALS} decimals"
        )
    return _bounded(micro, text, f"at most {format_money(MAX_QUANTITY)}")


def parse_amount(text: str) -> Amount:
    """A size, a duration or a number of events, whichever its unit says; a bare number says nothing."""
    _check_length(text)
    measure = measure_of(text)
    if measure is not None:
        return Amount(PARSERS[measure](text), measure)
    if re.search("[A-Za-z]", text):
        raise UnitError(f"{text!r} has no unit that is known here; {_AMOUNT_EXAMPLES}")
    return Amount(parse_count(text), None)


def measure_of(text: str) -> Measure | None:
    """What the (last) unit written in a text measures; None for a bare number and for a unit nobody knows."""
    match = re.search(r"([A-Za-z]+)[ ]*$", text[:_LONGEST_TEXT])
    for measure, factors in _FACTORS.items():
        if match is not None and _known_spelling(match[1], factors) is not None:
            return measure
    return None


def format_octets(octets: int) -> str:
    """The shortest exact spelling: `5 GiB`, `500 MB`, `1234567 B`."""
    counts = [(abs(octets) // OCTETS_PER[u], u) for u in _OCTETS_SHOWN if octets and octets % OCTETS_PER[u] == 0]
    count, unit = min(counts, key=lambda pair: pair[0], default=(abs(octets), "B"))
    return f"{'-' * (octets < 0)}{count} {unit}"


def format_duration(seconds: int) -> str:
    """`1 h 30 min`, `30 d`, `0 s`: every unit that is not 0, the largest first."""
    parts = []
    rest = abs(seconds)
    for unit in _SECONDS_SHOWN:
        count, rest = divmod(rest, SECONDS_PER[unit])
        if count:
            parts.append(f"{count} {unit}")
    return "-" * (seconds < 0) + (" ".join(parts) or "0 s")


def format_events(events: int) -> str:
    """`1 event`, `50 events`."""
    return f"{events} event{'' if events == 1 else 's'}"


def format_money(micro: int, decimals: int = 2) -> str:
    """Millionths as a decimal number, exactly: at least `decimals` decimals, more where they are not 0."""
    whole, fraction = divmod(abs(micro), MICRO_PER_UNIT)
    digits = f"{fraction:0{MICRO_DECIMALS}}".rstrip("0").ljust(decimals, "0")
    return f"{'-' * (micro < 0)}{whole}{'.' * bool(digits)}{digits}"


def format_amount(units: int, measure: str) -> str:
    """`units` of `measure` (octets, seconds or events) as a person would write it."""
    return FORMATTERS[measure](units)


PARSERS: dict[str, Callable[[str], int]] = {
    "octets": parse_octets,
    "seconds": parse_duration_s,
    "events": parse_events,
}
FORMATTERS: dict[str, Callable[[int], str]] = {
    "octets": format_octets,
    "seconds": format_duration,
    "events": format_events,
}
_FACTORS: dict[Measure, dict[str, int]] = {"octets": OCTETS_PER, "seconds": SECONDS_PER, "events": EVENTS_PER}


def _parse(text: str, factors: dict[str, int], counted: str, *, bare: bool, kind: str, examples: str) -> int:
    """The sum of the `number unit` pairs in `text`, which must be a whole number of what is `counted`."""
    _check_length(text)
    text = text.strip()
    pairs = _WITH_UNIT.findall(text)
    if not pairs or _WITH_UNIT.sub("", text).strip():
        raise UnitError(f"{text!r} is not {kind}; {_number_hint(text, examples)}")
    if len(pairs) > 1 and any(unit not in SECONDS_PER or unit not in factors for _, unit in pairs):
        raise UnitError(f"{text!r} is not {kind}; write one number, such as {examples}")
    total, finer = 0, MAX_QUANTITY
    for number, unit in pairs:
        if not unit and not bare:
            raise UnitError(f"{text!r} does not say its unit; write for example {examples}")
        factor = 1 if not unit else factors.get(unit)
        if factor is None:
            raise UnitError(f"{text!r} is not {kind}; {_spelling_hint(unit, factors, examples)}")
        if factor >= finer:
            raise UnitError(f"{text!r} is not {kind}; write each unit once, the larger first: 1 h 30 min")
        finer = factor
        units = _times(number, factor)
        if units is None:
            raise UnitError(f"{text!r} is not a whole number of {counted}; write for example {examples}")
        total += units
    return _bounded(total, text, f"at most {MAX_QUANTITY}")


def _check_length(text: str) -> None:
    if len(text) > _LONGEST_TEXT:
        raise UnitError(f"a text of {len(text)} characters is no quantity; write at most {_LONGEST_TEXT}")


def _times(number: str, factor: int) -> int | None:
    """A decimal number times `factor`, exactly; None when that is not a whole number."""
    whole, _, fraction = number.partition(".")
    units, remainder = divmod(int(whole + fraction) * factor, 10 ** len(fraction))
    return None if remainder else units


def _bounded(value: int, text: str, limit: str) -> int:
    if value > MAX_QUANTITY:
        raise UnitError(f"{text} is too much; {limit} can be counted exactly")
    return value


def _number_hint(text: str, examples: str) -> str:
    if text.startswith("-"):
        return f"it must not be negative: write for example {examples}"
    if re.search("[0-9],[0-9]", text):
        return "write a point for decimals, and nothing between thousands"
    return f"write for example {examples}"


def _money_hint(text: str) -> str:
    if re.search("[^0-9.,+-]", text):
        return "write only the number, such as 0.02: the currency is that of the catalogue"
    return _number_hint(text, "0.02")


def _known_spelling(unit: str, factors: dict[str, int]) -> str | None:
    """The unit as it is, or else the only one that differs from it in nothing but case."""
    if unit in factors:
        return unit
    return next((known for known in factors if known.lower() == unit.lower()), None)


def _spelling_hint(unit: str, factors: dict[str, int], examples: str) -> str:
    if factors is SECONDS_PER and unit.lower() in {"m", "mo"}:
        return "m could be minutes or months: write min, or days"
    known = _known_spelling(unit, factors)
    if known is not None:
        return f"write {known}, not {unit}"
    other = measure_of(unit)
    if other is not None:
        return f"{unit} measures {other}: write for example {examples}"
    return f"there is no unit {unit!r} here: write for example {examples}"
