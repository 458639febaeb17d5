"""What a receipt becomes in the CDR files: records, flat, one for each service that matters and each credit or expiry.

Owns the columns and the choice of what gives a record. Refuses to know files, formats and the store. The records of a
receipt follow from the receipt and the currency alone, so that making them again makes the same ones.

Whatever may be an amount of money is decimal text, exact; what cannot be money is an integer. None: does not apply, or
was not said.
"""

import enum
import functools
from datetime import UTC, datetime

from msgspec import Struct

from ocs.charging.receipt import BucketChange, Reason, Receipt, ServiceReceipt
from ocs.rating.catalogue import Unit
from ocs.store.events import Event
from ocs.units import format_money

_MONEY_DECIMALS = 4
"""At least; prices of an octet or a second need more than a currency's customary decimals."""
_REFUSALS_FROM = 3000
"""Result-Codes 1xxx and 2xxx are no refusals (RFC 6733 §7.1); 0 is a receipt that answers nobody."""
_OPENING = ("initial", "event")
_CREDITING = ("credit", "units", "offer")
_TERMINATION_CAUSES = {
    1: "logout",
    2: "service-not-provided",
    3: "bad-answer",
    4: "administrative",
    5: "link-broken",
    6: "auth-expired",
    7: "user-moved",
    8: "session-timeout",
}
"""Termination-Cause (RFC 6733 §8.15)."""


class RecordType(enum.StrEnum):
    """What a record is about."""

    USAGE = "usage"
    """A service was reported on or debited; refused or not, for what comes next."""
    REFUSAL = "refusal"
    """A service, or a request as a whole, was refused and nothing had been used."""
    CLOSE = "close"
    """A service gave back what it held when its session ended, or a session ended that held nothing."""
    CREDIT = "credit"
    """Money or units were put into a bucket."""
    EXPIRY = "expiry"
    """A bucket's time ended with something left in it."""


class Debited(Struct, frozen=True, gc=False):
    """What one bucket paid, in its unit."""

    bucket: str
    unit: str
    amount: str


class Record(Struct, kw_only=True, gc=False):
    """A charging data record. The fields are the columns of both formats, in this order; docs/cdr.md explains them."""

    record_id: str
    record_type: RecordType
    time: str
    account: str | None
    subscriber: str | None = None
    identity: str | None = None
    msisdn: str | None = None
    imsi: str | None = None
    apn: str | None = None
    mcc_mnc: str | None = None
    rat: str | None = None
    address: str | None = None
    charging_id: str | None = None
    session: str | None = None
    request_number: int | None = None
    request_type: str
    context: str | None = None
    service: str | None = None
    rating_group: int | None = None
    service_identifier: int | None = None
    unit: str | None = None
    used: int | None = None
    debited: list[Debited] | None = None
    cost: str | None = None
    currency: str | None = None
    price: str | None = None
    rated: int | None = None
    uncharged: int | None = None
    beyond_grant: int | None = None
    not_counted: dict[str, int] | None = None
    used_in_session: int | None = None
    released: int | None = None
    bucket: str | None = None
    amount: str | None = None
    reference: str | None = None
    result_code: int | None = None
    reason: str | None = None
    verdict: str | None = None
    closes: bool | None = None
    cause_for_closing: str | None = None
    opened_at: str | None = None
    peer: str | None = None
    catalogue: str | None = None


COLUMNS = Record.__struct_fields__


def records_of(event: Event, currency: str | None) -> list[Record]:
    """The records of a receipt, in a fixed order: services, credits, expiries. `currency` is the account's.

    Many receipts have none: a first request that was granted, an account made, a status set.
    """
    receipt = event.receipt
    records = []
    for line in receipt.services:
        record_type = _type_of(line)
        if record_type is not None:
            records.append(_of_service(receipt, line, record_type, currency))
    if not records and receipt.result_code >= _REFUSALS_FROM:
        records.append(_of_request(receipt, RecordType.REFUSAL))
    elif not records and receipt.closes:
        records.append(_of_request(receipt, RecordType.CLOSE))
    credited = [_of_change(receipt, c, RecordType.CREDIT, c.credited, currency) for c in receipt.changes if c.credited]
    if not credited and receipt.kind in _CREDITING:
        credited.append(_of_account(receipt, RecordType.CREDIT))  # an offer of prices alone puts nothing in
    records += credited
    records += [_of_change(receipt, c, RecordType.EXPIRY, c.expired, currency) for c in receipt.changes if c.expired]
    # A receipt of no account has no version; its place in the store is as unique. Neither changes when read again.
    base = receipt.id if receipt.account else f"{event.partition}/{event.id}"
    for number, record in enumerate(records, 1):
        record.record_id = f"{base}/{number}"
    return records


def timestamp(milliseconds: int) -> str:
    """Milliseconds since 1970 in ISO 8601, UTC: `2026-11-20T10:15:00.250Z`."""
    return f"{_to_the_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


def amount_text(unit: Unit, amount: int) -> str:
    """An amount of a bucket as decimal text: money in its currency, anything else as it is counted."""
    return format_money(amount, _MONEY_DECIMALS) if unit is Unit.MONEY else str(amount)


@functools.lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _type_of(line: ServiceReceipt) -> RecordType | None:
    if line.reported or line.debits or line.used or line.uncharged:
        return RecordType.USAGE
    if line.result_code >= _REFUSALS_FROM:
        return RecordType.REFUSAL
    if line.released and line.reason is Reason.CLOSED:
        return RecordType.CLOSE
    return None


def _of_account(receipt: Receipt, record_type: RecordType) -> Record:
    """What every record says."""
    return Record(
        record_id="",
        record_type=record_type,
        time=timestamp(receipt.at),
        account=receipt.account or None,
        request_type=receipt.kind,
        reference=receipt.text or None,
        catalogue=receipt.catalogue or None,
    )


def _of_change(
    receipt: Receipt, change: BucketChange, record_type: RecordType, amount: int, currency: str | None
) -> Record:
    record = _of_account(receipt, record_type)
    record.bucket, record.unit, record.amount = change.bucket, change.unit, amount_text(change.unit, amount)
    if change.unit is Unit.MONEY:
        record.currency = currency
    return record


def _of_request(receipt: Receipt, record_type: RecordType) -> Record:
    """What every record of a credit-control request, or of the end of a session, says."""
    record, about = _of_account(receipt, record_type), receipt.about
    kind, _, identity = receipt.identity.partition(":")
    record.subscriber = receipt.subscriber or None
    record.identity = receipt.identity or None
    record.msisdn = _text(about.get("msisdn")) or (identity if kind == "msisdn" else None)
    record.imsi = _text(about.get("imsi")) or (identity if kind == "imsi" else None)
    record.apn, record.mcc_mnc = _text(about.get("apn")), _text(about.get("mcc_mnc"))
    record.rat, record.address = _text(about.get("rat")), _text(about.get("address"))
    record.charging_id = _text(about.get("charging_id"))
    record.session, record.request_number = receipt.session or None, receipt.number
    record.context, record.peer = receipt.context or None, receipt.peer or None
    record.result_code, record.verdict = receipt.result_code or None, receipt.verdict
    record.closes, record.cause_for_closing = receipt.closes, _cause_for_closing(receipt)
    record.opened_at = None if receipt.opened_at is None else timestamp(receipt.opened_at)
    return record


def _of_service(receipt: Receipt, line: ServiceReceipt, record_type: RecordType, currency: str | None) -> Record:
    record = _of_request(receipt, record_type)
    record.service, record.unit = line.service, line.unit
    record.rating_group, record.service_identifier = line.rating_group, line.service_identifier
    record.result_code, record.reason = line.result_code, line.reason
    record.used_in_session, record.released = line.used_in_session, line.released
    record.price = line.price or None
    if record_type is RecordType.USAGE:
        record.used, record.rated, record.uncharged = line.used, line.rated, line.uncharged
        record.beyond_grant, record.not_counted = line.beyond_grant, line.not_counted or None
        record.debited = [Debited(d.bucket, d.unit, amount_text(d.unit, d.amount)) for d in line.debits]
        record.cost, record.currency = format_money(line.cost_micro, _MONEY_DECIMALS), currency
    elif record_type is RecordType.CLOSE and receipt.kind in _OPENING:
        # A session was open under the id that this request opens anew: the line is the old one's. When that was opened
        # the receipt does not say.
        record.closes, record.cause_for_closing, record.opened_at = True, "reopened", None
    return record


def _cause_for_closing(receipt: Receipt) -> str | None:
    if not receipt.closes:
        return None
    if receipt.kind == "expiry":
        return "supervision"
    if receipt.result_code >= _REFUSALS_FROM:
        return "refused"
    if receipt.cause is not None:
        return _TERMINATION_CAUSES.get(receipt.cause, f"cause-{receipt.cause}")
    return receipt.kind


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)
