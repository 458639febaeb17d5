"""Which records a receipt gives, what they say, and that their sums are the accounts' sums."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.cdr.record import COLUMNS, Record, RecordType, amount_text, records_of, timestamp
from ocs.charging.balance import prove
from ocs.charging.command import (
    BuyOffer,
    CreditMoney,
    CreditUnits,
    ExpireSession,
    RequestType,
    SetStatus,
)
from ocs.charging.command import ServiceRequest as Service
from ocs.charging.receipt import BucketChange, Receipt
from ocs.charging.state import AccountStatus
from ocs.rating.catalogue import Unit
from ocs.store.events import Event

from .traffic import ABOUT, DATA, SMS, Life, request

INITIAL, UPDATE = RequestType.INITIAL, RequestType.UPDATE
TERMINATION, EVENT = RequestType.TERMINATION, RequestType.EVENT


def types_of(records: list[Record]) -> list[str]:
    return [record.record_type.value for record in records]


# --- what gives no record


def test_an_account_made_a_first_grant_and_a_status_give_none() -> None:
    life = Life().begin(0)
    assert life.records() == []
    life.do(BuyOffer("b", "m"))
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    assert life.last() == []
    life.do(SetStatus(AccountStatus.BLOCKED))
    assert life.last() == []


# --- usage


def test_usage_says_who_where_what_and_which_bucket_paid() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.now += 90_000
    life.do(request(UPDATE, "s", 1, Service(10, None, {}, {"octets": 4000})))
    (record,) = life.last()
    assert record.record_id == f"a1/{life.events[-1].receipt.version}/1"
    assert record.record_type == "usage"
    assert (record.time, record.opened_at) == ("2026-11-20T10:16:30.250Z", "2026-11-20T10:15:00.250Z")
    assert (record.account, record.subscriber, record.identity) == ("a1", "s1", "msisdn:4915112345678")
    assert {name: getattr(record, name) for name in ABOUT} == ABOUT
    assert (record.session, record.request_number, record.request_type) == ("s", 1, "update")
    assert (record.context, record.service, record.rating_group, record.unit) == (DATA, "internet", 10, "octets")
    assert (record.used, record.used_in_session, record.uncharged, record.beyond_grant) == (4000, 4000, 0, 0)
    assert [(d.bucket, d.unit, d.amount) for d in record.debited or []] == [("m/data#3", "octets", "4000")]
    assert (record.cost, record.currency, record.price) == ("0.0000", "EUR", None)
    assert (record.result_code, record.reason, record.verdict) == (2001, "granted", "ok")
    assert (record.closes, record.cause_for_closing) == (False, None)
    assert (record.peer, record.catalogue) == ("pgw1.host.example", "2026-11@3f9a1c2b")


def test_money_is_decimal_text() -> None:
    life = Life().begin(50_000, "p")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.do(request(UPDATE, "s", 1, Service(10, None, {}, {"octets": 4001})))
    (record,) = life.last()
    assert (record.cost, record.currency, record.price, record.rated) == ("0.0500", "EUR", "m/internet", 4001)
    assert [(d.bucket, d.unit, d.amount) for d in record.debited or []] == [("main", "money", "0.0500")]
    assert (record.result_code, record.reason) == (2001, "last-units"), "the rest of the block is paid"


def test_usage_that_nothing_pays_for() -> None:
    life = Life().begin(10_000, "p")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.do(request(UPDATE, "s", 1, Service(10, None, {}, {"octets": 2500})))
    (record,) = life.last()
    assert (record.record_type, record.used, record.uncharged, record.beyond_grant) == ("usage", 2500, 1500, 1500)
    assert (record.result_code, record.reason) == (4012, "credit-limit")


def test_a_report_in_another_unit_is_shown_and_not_counted() -> None:
    life = Life().begin(10_000, "p")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.do(request(UPDATE, "s", 1, Service(10, None, {}, {"seconds": 77})))
    (record,) = life.last()
    assert (record.record_type, record.used, record.not_counted) == ("usage", 0, {"seconds": 77})


def test_each_service_of_a_request_has_its_record() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {}), Service(30, None, {})))
    life.do(request(UPDATE, "s", 1, Service(10, None, {}, {"octets": 1}), Service(30, None, {}, {"octets": 2})))
    assert [(r.record_id[-2:], r.service, r.used) for r in life.last()] == [("/1", "internet", 1), ("/2", "video", 2)]


def test_an_event_is_usage_that_closes() -> None:
    life = Life().begin(0, "m")
    life.do(request(EVENT, "e", 0, Service(1, None, {"events": 2}), context=SMS))
    (record,) = life.last()
    assert (record.record_type, record.used, record.unit) == ("usage", 2, "events")
    assert [(d.bucket, d.amount) for d in record.debited or []] == [("m/texts#2", "2")]
    assert (record.closes, record.cause_for_closing) == (True, "event")


def test_usage_reported_after_the_session_was_closed() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.now += 10**9
    life.do(ExpireSession("s"))
    life.do(request(TERMINATION, "s", 1, Service(10, None, None, {"octets": 5})))
    usage = [record for record in life.last() if record.record_type == "usage"]
    assert [(record.used, record.verdict, record.closes) for record in usage] == [(5, "session-was-closed", False)]


# --- refusals


@pytest.mark.parametrize(
    ("rating_group", "code", "reason"),
    [(66, 4010, "barred"), (99, 4010, "not-in-plan"), (12345, 5031, "unknown-service"), (30, 4012, "credit-limit")],
)
def test_a_refused_service(rating_group: int, code: int, reason: str) -> None:
    life = Life().begin(1_000_000, "m")
    life.now += 3600_000  # the allowance is over
    life.do(request(INITIAL, "s", 0, Service(rating_group, None, {})))
    refused = [record for record in life.last() if record.record_type == "refusal"]
    assert [(r.result_code, r.reason, r.verdict) for r in refused] == [(code, reason, "all-refused")]
    assert [(r.used, r.debited, r.cost, r.currency) for r in refused] == [(None, None, None, None)]
    assert [(r.closes, r.cause_for_closing) for r in refused] == [(True, "refused")]


def test_a_request_of_nobody_is_known_by_its_place_in_the_store() -> None:
    life = Life("")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    (record,) = life.last()
    assert record.record_id == f"7/{life.events[-1].id}/1"
    assert (record.record_type, record.account, record.msisdn) == ("refusal", None, "4915112345678")
    assert (record.result_code, record.verdict, record.service) == (5030, "unknown-subscriber", None)


def test_what_nobody_reports_is_usage_without_a_payer() -> None:
    life = Life("")
    life.do(request(UPDATE, "s", 3, Service(10, None, {}, {"octets": 9})))
    (record,) = life.last()
    assert (record.record_type, record.used, record.uncharged, record.result_code) == ("usage", 9, 9, 5030)


def test_a_number_that_is_used_twice_is_refused_as_a_whole() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.do(request(UPDATE, "s", 1, Service(10, None, {}, {"octets": 5})))
    other = request(UPDATE, "s", 1, Service(10, None, {}, {"octets": 6}))
    other.fingerprint = 99
    life.do(other)
    (record,) = life.last()
    assert (record.record_type, record.service, record.result_code) == ("refusal", None, 5004)
    assert (record.verdict, record.msisdn) == ("number-reused", "4915112345678")


# --- the end of a session


def test_quota_given_back_at_the_end() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {}), Service(30, None, {})))
    life.do(request(TERMINATION, "s", 1, Service(10, None, None, {"octets": 100}), cause=1))
    usage, close = life.last()
    assert (usage.record_type, usage.used, usage.released, usage.closes) == ("usage", 100, 9900, True)
    assert (close.record_type, close.service, close.released) == ("close", "video", 10_000)
    assert (close.cause_for_closing, close.used, close.cost) == ("logout", None, None)


@pytest.mark.parametrize(("cause", "shown"), [(None, "termination"), (5, "link-broken"), (77, "cause-77")])
def test_a_session_without_services_has_one_record_when_it_closes(cause: int | None, shown: str) -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0))
    life.do(request(TERMINATION, "s", 1, cause=cause))
    (record,) = life.last()
    assert (record.record_type, record.service, record.cause_for_closing) == ("close", None, shown)
    assert (record.result_code, record.reason) == (2001, None)


def test_supervision_closes() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.now += 10**9
    life.do(ExpireSession("s"))
    close, *expiries = life.last()
    assert (close.record_type, close.request_type, close.cause_for_closing) == ("close", "expiry", "supervision")
    assert (close.released, close.request_number, close.result_code) == (10_000, None, 2001)
    assert [(e.record_type, e.bucket, e.amount) for e in expiries] == [("expiry", "m/data#3", "50000")]


def test_a_session_opened_anew_closes_the_old_one_of_its_id() -> None:
    life = Life().begin(1_000_000, "m")
    life.do(request(INITIAL, "s", 0, Service(10, None, {})))
    life.do(request(INITIAL, "s", 9, Service(10, None, {})))
    (record,) = life.last()
    assert (record.record_type, record.released, record.closes) == ("close", 10_000, True)
    assert (record.cause_for_closing, record.opened_at) == ("reopened", None)


# --- credits and expiries


def test_credits() -> None:
    life = Life().begin(12_345_678, "m", "p")
    life.do(CreditUnits("gift-1", Unit.OCTETS, 500, ["video"], 60))
    shown = [(r.record_type, r.request_type, r.bucket, r.unit, r.amount, r.currency) for r in life.records()]
    assert shown == [
        ("credit", "credit", "main", "money", "12.345678", "EUR"),
        ("credit", "offer", "m/data#3", "octets", "50000", None),
        ("credit", "offer", "m/texts#3", "events", "3", None),
        ("credit", "offer", None, None, None, None),
        ("credit", "units", "units#5", "octets", "500", None),
    ]
    assert [record.reference for record in life.records()] == ["top-up-1", "m", "m", "p", "gift-1"]
    assert {record.verdict for record in life.records()} == {None}


def test_what_expires_is_recorded_whatever_brought_it_to_light() -> None:
    life = Life().begin(0, "m")
    life.now += 3600_000
    life.do(SetStatus(AccountStatus.BLOCKED))
    (record,) = life.last()
    assert (record.record_type, record.request_type, record.session) == ("expiry", "status", None)
    assert (record.bucket, record.unit, record.amount) == ("m/data#2", "octets", "50000")


def test_money_that_expires_has_its_currency() -> None:
    change = BucketChange("promo", Unit.MONEY, 70_000, 0, expired=70_000)
    receipt = Receipt("a1", 4, 0, "status", changes=[change])
    (record,) = records_of(Event(0, "5-0", receipt), "EUR")
    assert (record.amount, record.currency, record.time) == ("0.0700", "EUR", "1970-01-01T00:00:00.000Z")


# --- forms of values


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.0000"), (1, "0.000001"), (50_000, "0.0500"), (2**53 - 1, "9007199254.740991"), (10**6, "1.0000")],
)
def test_amounts_of_money_are_exact(amount: int, text: str) -> None:
    assert amount_text(Unit.MONEY, amount) == text
    assert Decimal(text) * 1_000_000 == amount


def test_other_amounts_are_whole_numbers() -> None:
    assert amount_text(Unit.OCTETS, 2**53 - 1) == "9007199254740991"


@given(st.integers(0, 4_102_444_800_000))
def test_times_sort_and_keep_their_milliseconds(at: int) -> None:
    assert timestamp(at) < timestamp(at + 1)
    assert timestamp(at)[-5:-1] == f".{at % 1000:03}"[:4]


def test_nothing_that_may_be_money_is_a_number() -> None:
    annotations = Record.__annotations__
    assert {annotations[name] for name in ("cost", "amount")} == {str | None}
    assert float not in {type(value) for value in annotations.values()}
    assert len(set(COLUMNS)) == len(COLUMNS)


# --- the sums


def _service(draw: Any) -> Service:
    requested = draw(st.sampled_from([None, {}, {"octets": 5000}]))
    used = draw(st.none() | st.dictionaries(st.sampled_from(["octets", "seconds"]), st.integers(0, 30_000), max_size=2))
    return Service(draw(st.sampled_from([10, 30, 66, 99, 7, None])), None, requested, used, draw(st.booleans()))


def _command(draw: Any, index: int) -> Any:
    kind = draw(st.sampled_from(["ccr", "ccr", "ccr", "sms", "expire", "money", "units", "offer", "status"]))
    session = draw(st.sampled_from(["s1", "s2"]))
    if kind == "ccr":
        type_ = draw(st.sampled_from([INITIAL, UPDATE, UPDATE, UPDATE, TERMINATION]))
        services = [_service(draw) for _ in range(draw(st.integers(0, 3)))]
        return request(type_, session, draw(st.integers(max(0, index - 1), index)), *services)
    if kind == "sms":
        return request(EVENT, f"e{index}", 0, Service(1, None, {"events": draw(st.integers(0, 4))}), context=SMS)
    if kind == "expire":
        return ExpireSession(session)
    if kind == "money":
        return CreditMoney(f"c{index}", draw(st.integers(1, 300_000)))
    if kind == "units":
        return CreditUnits(
            f"c{index}", Unit.OCTETS, draw(st.integers(1, 20_000)), ["video"], draw(st.sampled_from([None, 50]))
        )
    if kind == "offer":
        return BuyOffer(f"c{index}", draw(st.sampled_from(["m", "p"])))
    return SetStatus(draw(st.sampled_from(list(AccountStatus))))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_records_sum_up_to_what_the_account_was_given_spent_and_lost(data: st.DataObject) -> None:
    life = Life().begin(data.draw(st.integers(0, 200_000)), "m")
    for index in range(data.draw(st.integers(1, 25))):
        life.now += data.draw(st.sampled_from([0, 1, 60_000, 3_600_000, 10_000_000]))
        life.do(_command(data.draw, index))
    records = life.records()
    assert life.account is not None
    sums = sums_of(records)
    for unit, proof in prove([life.account]).items():
        assert proof.holds
        assert sums["debited", unit] == proof.spent
        assert sums["credited", unit] == proof.credited
        assert sums["expired", unit] == proof.expired
    assert sums["cost", "money"] == sums["debited", "money"]
    assert max(Counter(record.record_id for record in records).values(), default=1) == 1
    assert [records_of(event, "EUR") for event in life.events] == [records_of(event, "EUR") for event in life.events]
    reported = sum(line.reported for event in life.events for line in event.receipt.services)
    assert sum(record.record_type is RecordType.USAGE for record in records) >= reported


def sums_of(records: list[Record]) -> Counter[tuple[str, str]]:
    """What finance would add up from the files, by unit; money in millionths."""
    sums: Counter[tuple[str, str]] = Counter()

    def add(what: str, unit: str | None, amount: str | None) -> None:
        if unit is not None and amount is not None:
            exact = Decimal(amount) * (1_000_000 if unit == "money" else 1)
            assert exact == int(exact)
            sums[what, unit] += int(exact)

    for record in records:
        for debit in record.debited or []:
            add("debited", debit.unit, debit.amount)
        add("cost", "money", record.cost)
        if record.record_type is RecordType.CREDIT:
            add("credited", record.unit, record.amount)
        elif record.record_type is RecordType.EXPIRY:
            add("expired", record.unit, record.amount)
    return sums
