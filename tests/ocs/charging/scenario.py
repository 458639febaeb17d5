"""Charging told as a table that can be checked by hand: when, what is asked, what is answered, what the balances are.

    What the scenario is about, in a line or more.

    catalogue
      services: ...                      YAML as in docs/catalogue.md; version and currency may be left out
    given
      buy prepaid
      top up 0.10
    steps
      | time     | request        | answer                                   | data                | main        |
      | -------- | -------------- | ---------------------------------------- | ------------------- | ----------- |
      | 10:00:00 | I#0 10 asks    | 2001; 10: 10 MiB for 1 h                 | 90 MiB / 10 MiB / 0 | 0.10 / 0 / 0|

Requests: `I#0 10 asks` is an initial request number 0 of rating group 10 that leaves the amount to the server;
`U#1 10 used 3 MiB asks 5 MiB; 30 asks` has two MSCCs; `10/7` names a service identifier, `none` no rating group, and
`single` stands for units at command level. `used 1 MiB + 2 MiB` are two reports. `final` is the Reporting-Reason FINAL.
In front of the rating groups may stand `on 32260` (another service context), `by 4900` (another subscriber) and
`apn ims`. `b: I#0 ...` is another session.

Operator: `top up 5.00`, `buy prepaid`, `give 10 MiB of internet for 1 h`, `block`, `unblock`; with `as t1` under an id
of its own. `timer` is the supervision timer of the session.

Answers: `2001; 10: 10 MiB for 1 h, threshold 2 MiB; 30: 4012`. `last` is a Final-Unit-Indication with TERMINATE. In the
end may stand `(repeated)`: nothing was decided anew, and `(closed)`: the session has ended. `5031 failed Rating-Group`
names what is in Failed-AVP. An operator's command gives `done`, `repeated` or `refused`, the timer `closed` or
`nothing`.

Balances: left / held / spent of a bucket, and what expired as a fourth where anything did; `-`: there is no such
bucket. An empty cell is what the cell above it was. Buckets are called by the name of their allowance, `main` is the
money, and `units` what was given; a second one of the same name is `data 2`.

`paid` (if there is such a column) says what each service's usage cost whom: `10: 3 MiB of data, 0.02 of main`, `1 MiB
uncharged`, `2 MiB above the grant`. The column `note` is for readers.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ocs.charging.command import (
    BuyOffer,
    Command,
    CommandRefused,
    CreditControl,
    CreditMoney,
    CreditUnits,
    ExpireSession,
    RequestType,
    ServiceRequest,
    SetStatus,
)
from ocs.charging.decide import Decision
from ocs.charging.receipt import ServiceReceipt
from ocs.charging.settings import Settings
from ocs.charging.state import MAIN_BUCKET, AccountStatus, Answer, Bucket, ServiceAnswer
from ocs.rating.catalogue import Unit
from ocs.rating.catalogue_file import parse_catalogue
from ocs.units import format_amount, format_duration, format_money, parse_amount, parse_duration_s, parse_money_micro
from tests.ocs.charging.books import NOW, Books, credit_control

_TYPES = {
    "I": RequestType.INITIAL,
    "U": RequestType.UPDATE,
    "T": RequestType.TERMINATION,
    "E": RequestType.EVENT,
}
_REQUEST = re.compile(
    r"(?:(?P<session>\w+): )?(?P<type>[IUTE])#(?P<number>\d+)"
    r"(?P<options>(?: (?:on|by|apn) \S+)*)(?P<services>.*)"
)
_SERVICE = re.compile(
    r"(?P<group>\d+|none|single)(?:/(?P<identifier>\d+))?"
    r"(?: used (?P<used>\d.*?))?(?P<asks> asks(?: (?P<asked>\d.*?))?)?(?P<final> final)?"
)
_OPERATOR = re.compile(r"(?P<what>top up|buy|give|block|unblock|timer)(?: (?P<rest>.+?))?(?: as (?P<id>\w+))?")
_GIVE = re.compile(r"(?P<amount>.+) of (?P<services>\S+)(?: for (?P<validity>.+))?")
_TIME = re.compile(r"(?:day (?P<day>\d+) )?(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<ms>\d{3}))?")
_MIDNIGHT = NOW - NOW % 86_400_000


class Row(NamedTuple):
    """A line of the table."""

    line: int
    cells: dict[str, str]


class Scenario(NamedTuple):
    """A scenario as it was written."""

    name: str
    title: str
    catalogue: str
    given: list[str]
    rows: list[Row]

    def __str__(self) -> str:
        return self.name


def read_scenario(text: str, name: str) -> Scenario:
    """Cuts a text into its parts."""
    title: list[str] = []
    catalogue: list[str] = []
    given: list[str] = []
    table: list[tuple[int, list[str]]] = []
    part = "title"
    for number, line in enumerate(text.splitlines(), 1):
        if line in ("catalogue", "given", "steps"):
            part = line
        elif part == "title":
            title.append(line.strip())
        elif part == "catalogue":
            catalogue.append(line)
        elif line.strip() and part == "given":
            given.append(line.strip())
        elif line.strip() and not set(line) <= set("| -"):
            table.append((number, [cell.strip() for cell in line.strip().strip("|").split("|")]))
    (_, names), *rows = table
    shapeless = [number for number, cells in rows if len(cells) != len(names)]
    assert not shapeless, f"{name}: lines {shapeless} have not as many cells as the table has columns"
    return Scenario(
        name,
        " ".join(title).strip(),
        "\n".join(catalogue),
        given,
        [Row(number, dict(zip(names, cells, strict=True))) for number, cells in rows],
    )


def scenarios_in(directory: Path) -> list[Scenario]:
    return [read_scenario(path.read_text(), path.stem) for path in sorted(directory.glob("*.txt"))]


def scenarios_of_page(page: Path) -> Iterator[Scenario]:
    """The scenarios that a Markdown page shows: fenced blocks marked `scenario`."""
    for block in re.finditer(r"^```text scenario\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        first = block[1].splitlines()[0]
        yield read_scenario(block[1], f"{page.name}: {first}")


class Runner:
    """Carries a scenario out, and holds every cell of its table against what came of it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        head = "" if "version:" in scenario.catalogue else "version: scenario\ncurrency: EUR\n"
        settings = Settings()
        for line in scenario.given:
            if line.startswith("answers kept "):
                settings = Settings(answers_kept=int(line.removeprefix("answers kept ")))
        self.books = Books(parse_catalogue(head + _dedented(scenario.catalogue)), settings)
        self._commands = 0
        self._buckets: dict[str, str] = {}
        """By the id of a bucket: its name in the table."""

    def run(self) -> None:
        rows = self.scenario.rows
        start = _time(rows[0].cells["time"])
        self.books.open_account(now=start)
        for line in self.scenario.given:
            if not line.startswith("answers kept "):
                self.books.carry_out(self._operator(line), start)
        above: dict[str, str] = {}
        for row in rows:
            where = f"{self.scenario.name}, line {row.line}"
            seen = self._step(row)
            for column, cell in row.cells.items():
                if column in ("time", "request", "note"):
                    continue
                if column in ("answer", "paid"):
                    assert seen[column] == cell, f"{where}, {column}: {seen[column]}"
                    continue
                cell = above[column] = cell or above.get(column, "")  # noqa: PLW2901
                shown = self._balance(column)
                assert _amounts(cell, column) == _amounts(shown, column), f"{where}, {column}: {shown}"

    def _step(self, row: Row) -> dict[str, str]:
        now = _time(row.cells["time"])
        command, account = self._command(row.cells["request"])
        try:
            decision = self.books.carry_out(command, now, account)
        except CommandRefused:
            return {"answer": "refused", "paid": ""}
        for bucket in self.books.accounts["a"].buckets:
            if bucket.id not in self._buckets:
                self._name(bucket)
        return {"answer": _answered(command, decision), "paid": _paid(decision, self._buckets)}

    def _name(self, bucket: Bucket) -> None:
        name = bucket.id.partition("#")[0].rpartition("/")[2]
        number = 1 + sum(other.partition(" ")[0] == name for other in self._buckets.values())
        self._buckets[bucket.id] = name if number == 1 else f"{name} {number}"

    def _balance(self, name: str) -> str:
        for bucket in self.books.accounts["a"].buckets:
            if self._buckets[bucket.id] == name:
                parts = [bucket.remaining, bucket.reserved, bucket.spent]
                if bucket.expired:
                    parts.append(bucket.expired)
                return " / ".join(_shown(part, bucket.unit) for part in parts)
        return "-"

    # --- what is written, as commands ---------------------------------------------------------------------------

    def _command(self, text: str) -> tuple[Command, str]:
        match = _REQUEST.fullmatch(text)
        if match is None:
            return self._operator(text), "a"
        options = dict(re.findall(r"(on|by|apn) (\S+)", match["options"]))
        services = [_service(part) for part in match["services"].split(";") if part.strip()]
        request = credit_control(
            _TYPES[match["type"]],
            int(match["number"]),
            *services,
            session=match["session"] or "a",
            context=options.get("on", "32251"),
            identity=f"msisdn:{options.get('by', '49')}",
            multiple="single" not in match["services"],
            apn=options.get("apn"),
        )
        request.about = {"apn": options["apn"]} if "apn" in options else {}
        return request, self.books.account_of(request.identity)

    def _operator(self, text: str) -> Command:
        match = _OPERATOR.fullmatch(text)
        assert match is not None, f"what is {text!r}?"
        self._commands += 1
        name, rest = match["id"] or f"c{self._commands}", match["rest"] or ""
        match match["what"]:
            case "top up":
                return CreditMoney(name, parse_money_micro(rest))
            case "buy":
                return BuyOffer(name, rest)
            case "give":
                gift = _GIVE.fullmatch(rest)
                assert gift is not None, f"what is {text!r}?"
                amount, services = parse_amount(gift["amount"]), gift["services"].split(",")
                validity_s = parse_duration_s(gift["validity"]) if gift["validity"] else None
                return CreditUnits(name, Unit(amount.measure or ""), amount.units, services, validity_s)
            case "timer":
                return ExpireSession(rest or "a")
            case what:
                return SetStatus(AccountStatus.BLOCKED if what == "block" else AccountStatus.ACTIVE)


def _service(text: str) -> ServiceRequest:
    match = _SERVICE.fullmatch(text.strip())
    assert match is not None, f"what is {text!r}?"
    return ServiceRequest(
        int(match["group"]) if match["group"].isdigit() else None,
        int(match["identifier"]) if match["identifier"] else None,
        _units(match["asked"]) if match["asks"] else None,
        _units(match["used"]) if match["used"] else None,
        bool(match["final"]),
    )


def _units(text: str | None) -> dict[str, int]:
    units: Counter[str] = Counter()
    for part in (text or "").split("+"):
        if part.strip():
            amount = parse_amount(part)
            units[amount.measure or "octets"] += amount.units
    return dict(units)


def _dedented(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[indent:] for line in lines) + "\n"


def _time(text: str) -> int:
    match = _TIME.fullmatch(text)
    assert match is not None, f"what time is {text!r}?"
    hours = int(match["day"] or 1) * 24 - 24 + int(match["hour"])
    seconds = (hours * 60 + int(match["minute"])) * 60 + int(match["second"])
    return _MIDNIGHT + seconds * 1000 + int(match["ms"] or 0)


# --- what came of it, as it is written ------------------------------------------------------------------------------


def _answered(command: Command, decision: Decision) -> str:
    if isinstance(command, CreditControl):
        assert decision.answer is not None
        parts = [_whole(decision.answer)] + [_part(decision.answer, service) for service in decision.answer.services]
        text = "; ".join(part for part in parts if part)
        closes = decision.receipt is not None and decision.receipt.closes
        return text + " (repeated)" * decision.repeated + " (closed)" * closes
    if isinstance(command, ExpireSession):
        return "nothing" if decision.receipt is None else "closed"
    return "repeated" if decision.repeated else "done"


def _whole(answer: Answer) -> str:
    return f"{answer.result_code} failed {answer.failed}" if answer.failed else str(answer.result_code)


def _part(answer: Answer, service: ServiceAnswer) -> str:
    unit = service.unit or ""
    what = [str(service.result_code) if service.granted is None else format_amount(service.granted, unit)]
    if service.validity_s is not None:
        what[0] += f" for {format_duration(service.validity_s)}"
    if service.threshold is not None:
        what.append(f"threshold {format_amount(service.threshold, unit)}")
    if service.final:
        what.append("last")
    if not answer.multiple:
        return "" if service.granted is None else ", ".join(what)
    return f"{_asked_for(service)}: {', '.join(what)}"


def _asked_for(service: ServiceAnswer | ServiceReceipt) -> str:
    group = "none" if service.rating_group is None else str(service.rating_group)
    return group if service.service_identifier is None else f"{group}/{service.service_identifier}"


def _paid(decision: Decision, names: dict[str, str]) -> str:
    if decision.receipt is None:
        return ""
    lines = []
    for line in decision.receipt.services:
        unit = line.unit or ""
        parts = [f"{_shown(debit.amount, debit.unit)} of {names[debit.bucket]}" for debit in line.debits]
        if line.uncharged:
            parts.append(f"{format_amount(line.uncharged, unit)} uncharged")
        if line.beyond_grant:
            parts.append(f"{format_amount(line.beyond_grant, unit)} above the grant")
        parts += [f"{format_amount(amount, unit)} not counted" for unit, amount in line.not_counted.items()]
        if parts:
            lines.append(f"{_asked_for(line)}: {', '.join(parts)}")
    return "; ".join(lines)


def _shown(amount: int, unit: Unit) -> str:
    if not amount:
        return "0"
    return format_money(amount) if unit is Unit.MONEY else format_amount(amount, unit)


def _amounts(cell: str, column: str) -> list[int] | str:
    """A balance however it is spelled: `1 GiB` is `1024 MiB`, `0.10` is `0.1`, `3` is `3 events`."""
    if cell in ("", "-"):
        return cell
    parts = [part.strip() for part in cell.split("/")]
    return [parse_money_micro(part) if column == MAIN_BUCKET else parse_amount(part).units for part in parts]
