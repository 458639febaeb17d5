"""Kinds of values in a catalogue file: names, rating groups, amounts, prices, currencies.

Owns how each is written and what is refused. Refuses to know which fields there are, and what must agree with what
(that is `catalogue_schema`).
"""

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, PlainValidator

from ocs.rating.currency import CURRENCIES, Currency
from ocs.units import (
    Amount,
    format_duration,
    format_money,
    parse_amount,
    parse_count,
    parse_duration_s,
    parse_money_micro,
    parse_percent,
)
from ocs.yaml_file import did_you_mean, quantity
from ocs.yaml_tree import described

MAX_UNSIGNED32 = 2**32 - 1  # Rating-Group, Service-Identifier, Validity-Time, CC-Time are Unsigned32 (RFC 8506 §8)


class PricePer(NamedTuple):
    """`0.02 per MiB`, or `free`, which has no block."""

    price_micro: int
    block: Amount | None


def _name(value: str) -> str:
    # These names end up in receipts, keys and labels; "/" and "@" are what we join them with.
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value) is None:
        raise ValueError(f"{described(value)} is not a name; write letters, digits, '-', '_' and '.', at most 63")
    return value


def _shown_name(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _context(value: str) -> str:
    if re.fullmatch(r"[0-9]{5}", value) is None:
        raise ValueError(
            f"{described(value)} is not the number of a 3GPP specification; write its five digits, such as 32251 "
            "(data), 32260 (voice) or 32274 (SMS)"
        )
    return value


def _currency(value: object) -> Currency:
    if not isinstance(value, str) or value not in CURRENCIES:
        near = did_you_mean(value, CURRENCIES) if isinstance(value, str) else ""
        hint = near if near.startswith(" (") else "; write its three letters, such as EUR"
        raise ValueError(f"{described(value)} is not a currency of ISO 4217{hint}")
    return CURRENCIES[value]


def _amount(value: object) -> Amount:
    if not isinstance(value, str):
        raise ValueError(f"must be an amount such as 5 GiB, 100 min or 50, not {described(value)}")  # noqa: TRY004
    amount = parse_amount(value)
    if amount.units == 0:
        raise ValueError("must be more than 0")
    return amount


def _price_per(value: object) -> PricePer:
    if value == "free":
        return PricePer(0, None)
    match = re.fullmatch(r"(\S+)\s+per\s+(.+)", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{described(value)} is not a price; write for example 0.02 per MiB, 0.05 per 30 s, or free")
    money, block = match.groups()
    return PricePer(parse_money_micro(money), _amount(block if block[0] in "-0123456789" else f"1 {block}"))


Name = Annotated[str, AfterValidator(_name)]
ShownName = Annotated[str, AfterValidator(_shown_name)]
Context = Annotated[str, AfterValidator(_context)]
Unsigned32 = Annotated[int, quantity(parse_count, str, 0, MAX_UNSIGNED32)]
Money = Annotated[int, quantity(parse_money_micro, format_money)]
AmountText = Annotated[Amount, PlainValidator(_amount)]
Percent = Annotated[int, quantity(parse_percent, lambda percent: f"{percent} %", 0, 99)]
QuotaValidity = Annotated[int, quantity(parse_duration_s, format_duration, 1, MAX_UNSIGNED32)]
Validity = Annotated[int, quantity(parse_duration_s, format_duration, 1)]
CurrencyName = Annotated[Currency, PlainValidator(_currency)]
PriceText = Annotated[PricePer, PlainValidator(_price_per)]
