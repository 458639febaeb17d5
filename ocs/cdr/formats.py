"""The two forms of a record: a line of JSON, and a line of CSV that a spreadsheet may open without danger.

Owns spelling and quoting. Refuses to know what the columns mean, and files.
"""

import csv
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from .record import COLUMNS, Debited, Record


class Format(NamedTuple):
    """How records are written; `name` is also the ending of the file's name."""

    name: str
    header: bytes
    encode: Callable[[Sequence[Record]], bytes]
    """Whole lines, each ended by a line feed, in UTF-8."""


_values = msgspec.structs.astuple
_encode_lines = msgspec.json.Encoder().encode_lines

_FORMULA_SIGNS = "=+-@"
"""What a spreadsheet takes for the beginning of a formula; the text in a cell may come from a phone."""
_UNPRINTABLE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
"""Control characters and line separators, so that a record is one line for every tool."""


def _jsonl(records: Sequence[Record]) -> bytes:
    return _encode_lines(records)


def _csv(records: Sequence[Record]) -> bytes:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    for record in records:
        write([value if value is None or type(value) is int else _cell(value) for value in _values(record)])
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return _harmless(";".join(_share(item) for item in value))
    if isinstance(value, dict):
        return _harmless(";".join(f"{unit}={amount}" for unit, amount in value.items()))
    return value


def _share(item: Debited) -> str:
    return f"{item.bucket}={item.amount}"


def _harmless(text: str) -> str:
    """`text` as one line that is no formula."""
    if not text.isprintable():
        text = text.translate(_UNPRINTABLE)
    return f"'{text}" if text and text[0] in _FORMULA_SIGNS else text


FORMATS = {
    "jsonl": Format("jsonl", b"", _jsonl),
    "csv": Format("csv", ",".join(COLUMNS).encode() + b"\n", _csv),
}
