"""Accounts and what they do, for the tests of this folder: a catalogue, and events made by deciding in memory."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from ocs.cdr.record import Record, records_of
from ocs.charging.command import BuyOffer, Command, CreateAccount, CreditControl, CreditMoney, RequestType
from ocs.charging.command import ServiceRequest as Service
from ocs.charging.decide import Decision, decide
from ocs.charging.settings import Settings
from ocs.charging.state import Account, State, Subscriber
from ocs.rating import catalogue as rating
from ocs.rating.catalogue import Unit
from ocs.store.events import Event

SETTINGS = Settings()
NOW = 1_795_169_700_250  # 2026-11-20T10:15:00.250Z
DATA, SMS = "32251", "32274"


def catalogue() -> rating.Catalogue:
    """Data at an allowance and then 0.01 for each begun 1000 octets, SMS at 0.09, a service nobody has, one barred."""
    quota = rating.Quota(10_000, 100_000, 10, 3600, 20)
    one = rating.Quota(1, 10, 1, 3600, 0)
    services = [
        rating.Service("internet", DATA, 10, None, Unit.OCTETS, quota),
        rating.Service("video", DATA, 30, None, Unit.OCTETS, quota),
        rating.Service("gambling", DATA, 66, None, Unit.OCTETS, quota),
        rating.Service("roaming", DATA, 99, None, Unit.OCTETS, quota),
        rating.Service("sms", SMS, 1, None, Unit.EVENTS, one),
    ]
    month = rating.Allowance("m/data", Unit.OCTETS, 50_000, frozenset(["internet", "video"]), 10, 3600)
    texts = rating.Allowance("m/texts", Unit.EVENTS, 3, frozenset(["sms"]), 10, None)
    prices = {
        "internet": rating.Price("m/internet", "internet", Unit.OCTETS, 1000, 10_000),
        "sms": rating.Price("m/sms", "sms", Unit.EVENTS, 1, 90_000),
    }
    offers = {
        "m": rating.Offer("m", "Month", 0, (month, texts), prices, frozenset(["gambling"])),
        "p": rating.Offer("p", "Prices", 0, (), prices, frozenset()),
    }
    return rating.Catalogue("2026-11@3f9a1c2b", "EUR", 978, 2, {s.name: s for s in services}, offers)


CATALOGUE = catalogue()
ABOUT = {
    "msisdn": "4915112345678",
    "imsi": "262019876543210",
    "apn": "internet.mvno.example",
    "address": "10.45.0.7",
    "mcc_mnc": "26201",
    "rat": "06",
    "charging_id": "0000a1b2",
}


def request(type_: RequestType, session: str, number: int, *services: Service, context: str = DATA, **more: Any) -> Any:
    """A credit-control request."""
    about = ABOUT if type_ in (RequestType.INITIAL, RequestType.EVENT) else {}
    return CreditControl(
        type_, session, number, context, list(services), identity=f"msisdn:{ABOUT['msisdn']}", fingerprint=number,
        peer="pgw1.host.example", about=about, **more,
    )  # fmt: skip


class Life:
    """One account and its sessions, decided in memory. `events` are its receipts."""

    def __init__(self, account: str = "a1", partition: int = 7) -> None:
        self.id = account
        self.account: Account | None = None
        self.sessions: dict[str, Any] = {}
        self.partition = partition
        self.now = NOW
        self.events: list[Event] = []

    def do(self, command: Command) -> Decision:
        session = getattr(command, "session", None)
        state = State(self.account, self.sessions.get(session or ""))
        decision = decide(state, command, CATALOGUE, self.now, SETTINGS)
        if decision.receipt is not None:
            self.account = decision.state.account
            if session is not None:
                self.sessions[session] = decision.state.session
            self.events.append(Event(self.partition, f"{self.now}-{len(self.events)}", decision.receipt))
        return decision

    def begin(self, money_micro: int = 1_000_000, *offers: str) -> "Life":
        self.do(CreateAccount(self.id, [Subscriber("s1", [f"msisdn:{ABOUT['msisdn']}"])]))
        if money_micro:
            self.do(CreditMoney("top-up-1", money_micro))
        for offer in offers:
            self.do(BuyOffer(f"buy-{offer}", offer))
        return self

    def records(self) -> list[Record]:
        """Of all events."""
        return [record for event in self.events for record in records_of(event, "EUR")]

    def last(self) -> list[Record]:
        """Of the last event."""
        return records_of(self.events[-1], "EUR")


def json_ids(content: bytes) -> list[str]:
    """The record ids in a file of JSON lines."""
    return [json.loads(line)["record_id"] for line in content.decode().splitlines()]


def csv_ids(content: bytes) -> list[str]:
    """The record ids in a CSV file."""
    return [row["record_id"] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]


IDS = {"jsonl": json_ids, "csv": csv_ids}


def closed_files(directory: Path, form: str) -> list[Path]:
    """What downstream would take, in the order of names."""
    return sorted(directory.glob(f"cdr-*.{form}"))


def ids_in(directory: Path, form: str) -> list[str]:
    """The record ids of all closed files of a format."""
    return [record_id for file in closed_files(directory, form) for record_id in IDS[form](file.read_bytes())]
