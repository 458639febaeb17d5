"""docs/cdr.md says what the code does: every column, the example, and in which records a column has a value."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ocs.cdr.formats import FORMATS
from ocs.cdr.record import COLUMNS, Record, RecordType, records_of
from ocs.charging.command import BuyOffer, CreditMoney, CreditUnits, ExpireSession, RequestType, SetStatus
from ocs.charging.command import ServiceRequest as Service
from ocs.charging.receipt import BucketChange, Reason, Receipt, Verdict
from ocs.charging.state import AccountStatus
from ocs.config import CdrConfig
from ocs.rating.catalogue import Unit
from ocs.store.events import Event
from ocs.yaml_file import validate
from ocs.yaml_tree import parse

from .traffic import NOW, SMS, Life, request

DOCS = (Path(__file__).parents[3] / "docs" / "cdr.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| ([a-z/]+) \| ([urcte]+) \| (.+) \|$", DOCS, re.MULTILINE)
LETTERS = {"u": "usage", "r": "refusal", "c": "close", "t": "credit", "e": "expiry"}


def example() -> list[Record]:
    life = Life().begin(10_000_000, "m", "p")
    session = "pgw1.host.example;1;7"
    life.do(request(RequestType.INITIAL, session, 0, Service(10, None, {"octets": 60_000})))
    life.now += 90_000
    life.do(request(RequestType.TERMINATION, session, 1, Service(10, None, None, {"octets": 53_000}), cause=1))
    return [life.records()[0], *life.last()]


def everything() -> list[Record]:
    """Records of every kind."""
    life = Life().begin(40_000, "m")
    life.do(request(RequestType.INITIAL, "s", 0, Service(10, None, {}), Service(30, 3, {}), Service(66, 6, {})))
    life.do(request(RequestType.UPDATE, "s", 1, Service(10, None, {}, {"octets": 30_000}), Service(66, 6, {})))
    life.do(request(RequestType.UPDATE, "s", 2, Service(10, None, None, {"seconds": 5})))
    life.do(request(RequestType.TERMINATION, "s", 3, cause=9))
    life.do(request(RequestType.EVENT, "e", 0, Service(1, 2, {"events": 4}), context=SMS))
    life.do(request(RequestType.EVENT, "f", 0, Service(1, 2, {"events": 1}), context=SMS))
    life.do(request(RequestType.INITIAL, "t", 0, Service(10, None, {})))
    life.do(request(RequestType.UPDATE, "t", 1, Service(10, None, {}, {"octets": 90_000})))
    life.do(request(RequestType.UPDATE, "t", 2, Service(10, None, {})))
    life.do(CreditUnits("u", Unit.OCTETS, 5, ["video"], 60))
    life.do(CreditMoney("c", 5))
    life.do(BuyOffer("b", "p"))
    life.now += 10**9
    life.do(ExpireSession("t"))
    life.do(SetStatus(AccountStatus.BLOCKED))
    life.do(request(RequestType.UPDATE, "none", 0))
    promotion = BucketChange("promo", Unit.MONEY, 70_000, 0, expired=70_000)
    status = Receipt("a1", 99, NOW, "status", "2026-11@3f9a1c2b", changes=[promotion], text="active")
    return [*life.records(), *records_of(Event(0, "1-0", status), "EUR")]


def test_every_column_is_described_in_its_place() -> None:
    assert tuple(name for name, *_ in ROWS) == COLUMNS


@pytest.mark.parametrize("record_type", list(RecordType))
def test_a_column_has_a_value_where_the_table_says(record_type: RecordType) -> None:
    said = {name for name, _, letters, _ in ROWS if record_type in {LETTERS[letter] for letter in letters}}
    records = [record for record in everything() if record.record_type is record_type]
    found = {name for record in records for name in COLUMNS if getattr(record, name) is not None}
    assert found == said


def test_the_kinds_of_values_are_as_described() -> None:
    kinds: dict[str, Any] = {"integer": int, "list": (list, dict), "yes/no": bool}
    for line in FORMATS["jsonl"].encode(everything()).splitlines():
        for name, kind, *_ in ROWS:
            value = json.loads(line)[name]
            assert value is None or isinstance(value, kinds.get(kind, str)), name
            if kind == "decimal" and value is not None:
                assert re.fullmatch(r"[0-9]+(\.[0-9]{4,6})?", value)


@pytest.mark.parametrize("words", [RecordType, Reason, Verdict])
def test_every_word_is_named(words: Any) -> None:
    assert [word for word in words if f"`{word}`" not in DOCS] == []


def test_the_example_in_json() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    shown = json.loads(block)
    assert tuple(shown) == COLUMNS
    assert shown == json.loads(FORMATS["jsonl"].encode(example()[1:]))


def test_the_example_in_csv() -> None:
    (block,) = re.findall(r"```csv\n(.*?)```", DOCS, re.DOTALL)
    assert block.encode() == FORMATS["csv"].header + FORMATS["csv"].encode(example())
    assert [row["record_type"] for row in csv.DictReader(io.StringIO(block))] == ["credit", "usage"]


def test_the_configuration_shown_is_one() -> None:
    (block,) = re.findall(r"```yaml\ncdr:\n(.*?)```", DOCS, re.DOTALL)
    cdr = validate(parse(block, "cdr"), CdrConfig)
    assert (cdr.rotate_size_octets, cdr.rotate_age_s, cdr.formats) == (64 * 2**20, 900, ("jsonl", "csv"))
