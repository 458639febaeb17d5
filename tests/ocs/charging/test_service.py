"""Paying and reserving for one service, against an oracle that goes unit by unit and knows nothing of divisions."""

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from ocs.charging.command import BuyOffer, CreditMoney, CreditUnits, ServiceRequest
from ocs.charging.receipt import Reason, ServiceReceipt
from ocs.charging.service import debit_whole, grant, is_barred, is_in_plan, price_of, settle
from ocs.charging.state import Account, Bucket, ServiceUse
from ocs.rating.catalogue import Price, Quota, Service, Unit
from ocs.rating.price import cost_micro
from tests.ocs.charging.books import NOW, Books, credit_control
from tests.ocs.charging.samples import CATALOGUE

INTERNET = Service("internet", "32251", 10, None, Unit.OCTETS, Quota(10, 100, 1, 600, 20))


def account_with(*buckets: Bucket) -> Account:
    for bucket in buckets:
        bucket.credited = bucket.remaining + bucket.reserved + bucket.spent + bucket.expired
    return Account(1, "a", "EUR", buckets=list(buckets))


def octets(name: str, remaining: int, *services: str, expires_at: int | None = None) -> Bucket:
    return Bucket(name, Unit.OCTETS, remaining, services=list(services or ("internet",)), expires_at=expires_at)


def money(remaining: int, name: str = "main") -> Bucket:
    return Bucket(name, Unit.MONEY, remaining)


def price_of_block(units: int, micro: int) -> Price:
    return Price("p", "internet", Unit.OCTETS, units, micro)


accounts = st.builds(
    lambda units, cash: account_with(
        *(octets(f"u{i}", n, name) for i, (n, name) in enumerate(units)),
        *(money(n, f"m{i}") for i, n in enumerate(cash)),
    ),
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(("internet", "internet", "video"))), max_size=4),
    st.lists(st.integers(0, 30), max_size=2),
)
prices = st.none() | st.builds(price_of_block, st.integers(1, 7), st.integers(0, 5))


class Oracle:
    """Pays one unit after the other, each from the first bucket that can."""

    def __init__(self, account: Account, rated: int, price: Price | None) -> None:
        self.left = {bucket.id: bucket.remaining for bucket in account.buckets}
        self.buckets = account.buckets
        self.rated = rated
        self.price = price
        self.taken: dict[str, int] = {}
        self.priced = 0

    def take_one(self) -> bool:
        for bucket in self.buckets:
            if bucket.unit is Unit.OCTETS and "internet" in bucket.services and self.left[bucket.id]:
                self._take(bucket.id, 1)
                return True
        if self.price is None:
            return False
        cost = cost_micro(self.price, self.rated + 1) - cost_micro(self.price, self.rated)
        purses = [bucket.id for bucket in self.buckets if bucket.unit is Unit.MONEY]
        if cost > sum(self.left[purse] for purse in purses):
            return False
        for purse in purses:
            part = min(cost, self.left[purse])
            self._take(purse, part)
            cost -= part
        self.rated += 1
        self.priced += 1
        return True

    def _take(self, bucket: str, amount: int) -> None:
        self.left[bucket] -= amount
        if amount:
            self.taken[bucket] = self.taken.get(bucket, 0) + amount


@examples(max_examples=400, deadline=None)
@given(accounts, prices, st.integers(0, 20), st.integers(1, 40))
def test_a_grant_is_what_paying_unit_by_unit_would_give(
    account: Account, price: Price | None, rated: int, wanted: int
) -> None:
    rated = rated if price is not None else 0
    oracle = Oracle(account, rated, price)
    covered = 0
    while covered < wanted and oracle.take_one():
        covered += 1
    before = {bucket.id: bucket.remaining for bucket in account.buckets}
    use = ServiceUse("internet", Unit.OCTETS, 10, rated=rated)
    line = ServiceReceipt("internet", unit=Unit.OCTETS)

    assert grant(account, use, INTERNET, wanted, price, NOW, line) == covered == use.granted
    assert use.priced == oracle.priced
    assert {hold.bucket: hold.amount for hold in use.holds} == oracle.taken
    assert {bucket.id: before[bucket.id] - bucket.remaining for bucket in account.buckets if bucket.reserved} == (
        oracle.taken
    )
    if covered == wanted:
        assert bool(line.available) == oracle.take_one(), "whether these are the last units"
    else:
        assert not line.available
    if not covered and price is not None:
        assert line.short_micro > 0


@examples(max_examples=300, deadline=None)
@given(accounts, prices, st.integers(0, 20), st.integers(1, 40))
def test_an_event_is_paid_whole_or_not_at_all(account: Account, price: Price | None, rated: int, wanted: int) -> None:
    rated = rated if price is not None else 0
    oracle = Oracle(account, rated, price)
    enough = all(oracle.take_one() for _ in range(wanted))
    use = ServiceUse("internet", Unit.OCTETS, 10, rated=rated)
    line = ServiceReceipt("internet", unit=Unit.OCTETS)

    assert debit_whole(account, use, wanted, price, line) == enough
    spent = {bucket.id: bucket.spent for bucket in account.buckets if bucket.spent}
    assert spent == (oracle.taken if enough else {})
    assert (line.short_micro > 0) == (not enough and price is not None)


@examples(max_examples=300, deadline=None)
@given(accounts, prices, st.integers(1, 30), st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_however_usage_is_cut_into_reports_it_costs_the_same(
    account: Account, price: Price | None, quota: int, reports: list[int]
) -> None:
    whole, cut = _copy(account), _copy(account)
    _session(whole, price, quota, [sum(reports)])
    _session(cut, price, quota, reports)
    assert [b.spent for b in whole.buckets] == [b.spent for b in cut.buckets]
    assert [b.reserved for b in cut.buckets] == [0] * len(cut.buckets)


def _copy(account: Account) -> Account:
    return replace(account, buckets=[replace(bucket) for bucket in account.buckets])


def _session(account: Account, price: Price | None, quota: int, reports: list[int]) -> None:
    use = ServiceUse("internet", Unit.OCTETS, 10)
    for used in reports:
        line = ServiceReceipt("internet", unit=Unit.OCTETS)
        grant(account, use, INTERNET, quota, price, NOW, line)
        settle(account, use, used, price, NOW, line)
        assert line.used == used
        assert line.uncharged + line.rated + sum(d.amount for d in line.debits if d.unit is Unit.OCTETS) == used


def test_what_was_held_pays_first_even_if_something_better_came_meanwhile() -> None:
    account = account_with(octets("old", 10))
    use, line = ServiceUse("internet", Unit.OCTETS, 10), ServiceReceipt("internet", unit=Unit.OCTETS)
    grant(account, use, INTERNET, 10, None, NOW, line)
    account.buckets.insert(0, octets("new", 10))
    settle(account, use, 12, None, NOW, line)
    assert [(debit.bucket, debit.amount) for debit in line.debits] == [("old", 10), ("new", 2)]
    assert line.beyond_grant == 2


def test_above_the_grant_units_pay_before_the_rest_of_a_begun_block() -> None:
    account = account_with(money(100))
    use, line = ServiceUse("internet", Unit.OCTETS, 10), ServiceReceipt("internet", unit=Unit.OCTETS)
    price = price_of_block(10, 7)
    grant(account, use, INTERNET, 5, price, NOW, line)
    account.buckets.insert(0, octets("new", 100))
    settle(account, use, 8, price, NOW, line)
    assert [(debit.bucket, debit.amount) for debit in line.debits] == [("main", 7), ("new", 3)]


def test_money_held_that_is_not_needed_comes_back() -> None:
    account = account_with(money(100))
    use, line = ServiceUse("internet", Unit.OCTETS, 10), ServiceReceipt("internet", unit=Unit.OCTETS)
    price = price_of_block(10, 7)
    grant(account, use, INTERNET, 95, price, NOW, line)
    assert account.buckets[0].reserved == 70
    settle(account, use, 21, price, NOW, line)
    main = account.buckets[0]
    assert (main.remaining, main.reserved, main.spent) == (79, 0, 21)
    assert line.released == 74


def test_what_the_first_offer_that_has_a_price_says_is_the_price() -> None:
    account = Account(1, "a", "EUR", offers=["gone-from-the-catalogue", "data", "basic"])
    assert price_of(account, CATALOGUE, "internet") is CATALOGUE.offers["basic"].prices["internet"]
    assert price_of(account, CATALOGUE, "roaming") is None
    assert price_of(Account(1, "a", "EUR"), CATALOGUE, "internet") is None


def test_what_any_offer_bars_is_barred_whatever_another_one_contains() -> None:
    account = Account(1, "a", "EUR", offers=["basic", "gone-from-the-catalogue", "kids"])
    assert is_barred(account, CATALOGUE, "streaming")
    assert is_in_plan(account, CATALOGUE, "streaming")
    assert not is_barred(account, CATALOGUE, "internet")


def test_what_is_given_for_a_service_puts_it_in_the_plan() -> None:
    account = account_with(octets("gift", 5, "roaming"))
    assert is_in_plan(account, CATALOGUE, "roaming")
    assert not is_in_plan(account, CATALOGUE, "internet")
    account.offers = ["gone-from-the-catalogue", "data"]
    assert is_in_plan(account, CATALOGUE, "internet")


@pytest.mark.parametrize(
    ("expires_in_ms", "validity_s"),
    [(None, 600), (600_000, 600), (599_999, 599), (60_000, 60), (1_999, 1), (1_000, 1), (999, 1), (1, 1)],
)
def test_a_quota_is_not_valid_longer_than_what_is_held_for_it(expires_in_ms: int | None, validity_s: int) -> None:
    expires_at = None if expires_in_ms is None else NOW + expires_in_ms
    account = account_with(octets("a", 5, expires_at=expires_at), octets("not-held", 5, expires_at=NOW + 1))
    use, line = ServiceUse("internet", Unit.OCTETS, 10), ServiceReceipt("internet", unit=Unit.OCTETS)
    grant(account, use, INTERNET, 5, None, NOW, line)
    assert line.validity_s == validity_s


@pytest.mark.parametrize(
    ("wanted", "budget", "short"),
    [(1, 0, 90_000), (1, 89_999, 1), (10, 500_000, 400_000), (10, 899_999, 1)],
)
def test_how_much_money_is_missing_for_an_event(wanted: int, budget: int, short: int) -> None:
    """Ten messages at 0.09 cost 0.90: with 0.50, 0.40 are missing, not the price of one."""
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    if budget:
        books.carry_out(CreditMoney("t", budget))
    books.carry_out(credit_control("event", 0, ServiceRequest(200, None, {"events": wanted}), context="32274"))
    line = books.receipts[-1].services[0]
    assert (line.reason, line.short_micro) == (Reason.CREDIT_LIMIT, short)


def test_units_that_are_there_need_no_money_for_the_rest_of_an_event() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditUnits("g", Unit.EVENTS, 8, ["sms"]))
    books.carry_out(credit_control("event", 0, ServiceRequest(200, None, {"events": 10}), context="32274"))
    assert books.receipts[-1].services[0].short_micro == 180_000
