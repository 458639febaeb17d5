"""The lines of both formats: whole, quoted, harmless in a spreadsheet, and the same facts in each."""

import csv
import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.cdr.formats import FORMATS
from ocs.cdr.record import COLUMNS, Record, RecordType
from ocs.charging.command import BuyOffer, CreditMoney, RequestType
from ocs.charging.command import ServiceRequest as Service

from .traffic import Life, request


def rows_of(*records: Record) -> list[dict[str, str]]:
    content = FORMATS["csv"].header + FORMATS["csv"].encode(records)
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def record_with(**values: str) -> Record:
    return msgspec.structs.replace(
        Record(record_id="a/1/1", record_type=RecordType.CLOSE, time="t", account="a", request_type="update"), **values
    )


def usage() -> Record:
    """Paid by an allowance and by money."""
    life = Life().begin(1_000_000, "m", "p")
    life.do(request(RequestType.INITIAL, "s", 0, Service(10, None, {"octets": 60_000})))
    life.do(request(RequestType.UPDATE, "s", 1, Service(10, None, None, {"octets": 53_000})))
    (record,) = life.last()
    return record


def test_both_formats_have_every_column_in_the_same_order() -> None:
    record = usage()
    header, line = (FORMATS["csv"].header + FORMATS["csv"].encode([record])).decode().splitlines()
    assert tuple(header.split(",")) == COLUMNS
    assert tuple(json.loads(FORMATS["jsonl"].encode([record]))) == COLUMNS
    assert FORMATS["jsonl"].header == b""
    assert line.count("m/data#3=50000;main=0.0300") == 1


def test_both_formats_say_the_same() -> None:
    life = Life().begin(100_000, "m")
    life.do(request(RequestType.INITIAL, "s", 0, Service(10, None, {}), Service(66, None, {})))
    life.do(request(RequestType.TERMINATION, "s", 1, Service(10, None, None, {"octets": 7, "seconds": 3})))
    life.do(BuyOffer("b", "p"))
    life.do(CreditMoney("c", 1))
    records = [*life.records(), usage()]
    objects = [json.loads(line) for line in FORMATS["jsonl"].encode(records).splitlines()]
    for row, item in zip(rows_of(*records), objects, strict=True):
        assert row == {name: _as_cell(value) for name, value in item.items()}


def _as_cell(value: object) -> str:
    if isinstance(value, list):
        return ";".join(f"{share['bucket']}={share['amount']}" for share in value)
    if isinstance(value, dict):
        return ";".join(f"{unit}={amount}" for unit, amount in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def test_json_lines_can_be_read_into_records_again() -> None:
    record = usage()
    assert msgspec.json.decode(FORMATS["jsonl"].encode([record]), type=Record) == record


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula(sign: str) -> None:
    text = f'{sign}HYPERLINK("http://x","y")'
    (row,) = rows_of(record_with(apn=text))
    assert row["apn"] == f"'{text}"
    assert json.loads(FORMATS["jsonl"].encode([record_with(apn=text)]))["apn"] == text, "JSON keeps it as it came"


@pytest.mark.parametrize("text", ['a"b', "a,b", "a;b=c", "é✓", "pgw.host;1;2", "'", " x "])
def test_other_text_comes_through_csv_unchanged(text: str) -> None:
    (row,) = rows_of(record_with(session=text))
    assert row["session"] == text


def test_a_record_is_one_line_whatever_is_in_it() -> None:
    lines = FORMATS["csv"].encode([record_with(apn="a\r\n\x00\x7f\x85\u2028b\tc")]).decode()
    assert lines.splitlines() == [lines[:-1]]
    assert "a\\x0d\\x0a\\x00\\x7f\\x85\\u2028b\\x09c" in lines


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_any_text_makes_one_harmless_line_of_all_columns(texts: list[str]) -> None:
    records = [record_with(session=text, apn=text, peer=text) for text in texts]
    content = FORMATS["csv"].encode(records).decode()
    assert len(content.splitlines()) == len(records) == len(FORMATS["jsonl"].encode(records).splitlines())
    for row in csv.reader(io.StringIO(content, newline=""), strict=True):
        assert len(row) == len(COLUMNS)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    for line, text in zip(FORMATS["jsonl"].encode(records).splitlines(), texts, strict=True):
        assert json.loads(line)["session"] == text
