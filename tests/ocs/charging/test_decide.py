"""`decide` under random histories: whatever is asked, in whatever order, however often, the books balance.

What is checked after every single decision stands in `books`; here is what is seen only by comparing decisions.
"""

import copy
from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ocs.charging.command import (
    BuyOffer,
    CommandRefused,
    CreateAccount,
    CreditMoney,
    ExpireSession,
    RequestType,
    ServiceRequest,
    SetStatus,
)
from ocs.charging.decide import decide
from ocs.charging.receipt import Reason, Receipt
from ocs.charging.settings import Settings
from ocs.charging.state import Account, AccountStatus, Bucket, SessionState, State, Subscriber
from ocs.rating.catalogue import Catalogue
from tests.ocs.charging.books import NOW, Books, answers_of, check_account, check_changes, check_debits, credit_control
from tests.ocs.charging.generated import History, Step, catalogues, histories, settings_of_core
from tests.ocs.charging.samples import CATALOGUE

slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@examples(max_examples=150, deadline=None, suppress_health_check=slow)
@given(catalogues(), settings_of_core, histories)
def test_whatever_happens_the_books_balance(catalogue: Catalogue, settings: Settings, history: list[Step]) -> None:
    books = Books(catalogue, settings)
    story = History(books)
    for step in history:
        story.carry_out(step)
    assert balances_from(books.receipts) == balances_of(books.accounts["a"])


def balances_of(account: Account) -> dict[str, tuple[int, int]]:
    return {bucket.id: (bucket.remaining, bucket.reserved) for bucket in account.buckets if _holds_any(bucket)}


def _holds_any(bucket: Bucket) -> bool:
    return bool(bucket.remaining or bucket.reserved)


def balances_from(receipts: list[Receipt]) -> dict[str, tuple[int, int]]:
    """What an account has, from its receipts alone: each begins where the one before it ended."""
    balances: dict[str, tuple[int, int]] = {}
    version = 0
    for receipt in receipts:
        if not receipt.account:
            continue  # of a stranger
        assert receipt.version == version + 1, "a gap between versions"
        version = receipt.version
        for change in receipt.changes:
            was = balances.get(change.bucket, (0, 0))
            assert was == (change.remaining_before, change.reserved_before)
            balances[change.bucket] = (change.remaining, change.reserved)
            assert change.remaining + change.reserved == sum(was) + change.credited - change.spent - change.expired
    return {bucket: amounts for bucket, amounts in balances.items() if any(amounts)}


@examples(max_examples=60, deadline=None, suppress_health_check=slow)
@given(catalogues(), histories)
def test_a_repeated_request_moves_nothing(catalogue: Catalogue, history: list[Step]) -> None:
    books = Books(catalogue)
    story = History(books)
    for step in history:
        asked = len(story.asked)
        story.carry_out(step)
        if len(story.asked) == asked:
            continue
        command = story.asked[-1]
        state = books.state_for(command)
        assert state.account is not None
        first = None if state.session is None else [a for a in answers_of(state.session) if a.number == command.number]
        again = decide(state, copy.deepcopy(command), catalogue, story.now, books.settings)
        if first and first[0].fingerprint == command.fingerprint:
            assert again.repeated
            assert again.receipt is None
            assert again.state is state
            assert again.answer == first[0].answer
        else:
            assert again.state.account is not None
            assert again.state.account.buckets == state.account.buckets
            assert again.state.session == state.session


@examples(max_examples=60, deadline=None, suppress_health_check=slow)
@given(catalogues(), histories)
def test_sending_everything_twice_costs_what_sending_it_once_does(catalogue: Catalogue, history: list[Step]) -> None:
    once, twice = Books(catalogue), Books(catalogue)
    first, second = History(once), History(twice)
    for step in history:
        first.carry_out(step)
        asked = len(second.asked)
        second.carry_out(step)
        for command in second.asked[asked:]:
            twice.carry_out(copy.deepcopy(command), second.now)
    mine, yours = once.accounts["a"], twice.accounts["a"]
    # A bucket's name has the account's version in it, and a repetition that is refused is one more version.
    assert [_amounts(bucket) for bucket in mine.buckets] == [_amounts(bucket) for bucket in yours.buckets]
    assert mine.gone == yours.gone


def _amounts(bucket: Bucket) -> tuple[str, int, int, int, int]:
    return bucket.id.partition("#")[0], bucket.remaining, bucket.reserved, bucket.spent, bucket.expired


@examples(max_examples=100, deadline=None, suppress_health_check=slow)
@given(catalogues(), histories)
def test_after_the_last_units_nobody_gets_another_one(catalogue: Catalogue, history: list[Step]) -> None:
    books = Books(catalogue)
    story = History(books)
    for step in history:
        seen = len(books.receipts)
        story.carry_out(step)
        for receipt in books.receipts[seen:]:
            for line in receipt.services:
                if line.reason is Reason.LAST_UNITS:
                    context = catalogue.services[line.service].context
                    ask = ServiceRequest(line.rating_group, line.service_identifier, {})
                    probe = credit_control("initial", 0, ask, session="probe", context=context)
                    probe.apn = "ims" if line.service == "video" else None
                    decision = decide(State(books.accounts["a"], None), probe, catalogue, story.now, books.settings)
                    assert decision.receipt is not None
                    assert decision.receipt.services[0].reason is Reason.CREDIT_LIMIT


@examples(max_examples=60, deadline=None, suppress_health_check=slow)
@given(catalogues(), catalogues(), histories, histories)
def test_a_catalogue_that_changes_under_a_session_breaks_no_sum(
    before: Catalogue, after: Catalogue, first: list[Step], then: list[Step]
) -> None:
    books = Books(before)
    story = History(books)
    for step in first:
        story.carry_out(step)
    state, sessions = books.accounts["a"], {key[1]: session for key, session in books.sessions.items()}
    for step in then:
        story.now += step.elapsed_ms
        command = story.command_of(step)
        if command is None:
            continue
        session = sessions.get(getattr(command, "session", ""))
        try:
            decision = decide(State(state, session), command, after, story.now, books.settings)
        except CommandRefused:
            continue
        if decision.receipt is not None:
            check_changes(state, decision.state.account, decision.receipt)
            check_debits(decision.receipt)
        assert decision.state.account is not None
        state = decision.state.account
        if decision.state.session is not None:
            sessions[decision.state.session.id] = decision.state.session
        check_account(state, sessions.values())


# --- single decisions -----------------------------------------------------------------------------------------------


def test_an_account_that_does_not_exist_can_only_be_made() -> None:
    nothing = State(None, None)
    for command in (CreditMoney("t1", 1), BuyOffer("b1", "basic"), SetStatus(AccountStatus.BLOCKED)):
        with pytest.raises(CommandRefused, match="no such account"):
            decide(nothing, command, CATALOGUE, NOW, Settings())
    made = decide(nothing, CreateAccount("a", [Subscriber("s", ["msisdn:49"])]), CATALOGUE, NOW, Settings())
    assert made.state.account is not None
    assert made.state.account.version == 1


def test_an_account_that_exists_is_not_made_again() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    with pytest.raises(CommandRefused, match="exists already"):
        books.open_account()


def test_the_timer_of_a_session_that_is_nowhere_does_nothing() -> None:
    books = Books(CATALOGUE)
    assert books.carry_out(ExpireSession("s1"), account="nobody").receipt is None
    books.open_account()
    assert books.carry_out(ExpireSession("s1")).receipt is None


def test_a_decision_that_changes_nothing_gives_back_the_state_it_was_given() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    request = credit_control("initial", 0, ServiceRequest(20, None, {}))
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(request)
    state = books.state_for(request)
    decision = decide(state, request, CATALOGUE, NOW, Settings())
    assert decision.state is state
    assert decision.repeated


@example("49\n17")
@example("")
@example("49\x1b[31m")
@example("a" * 100_000)
@given(st.text())
def test_an_odd_identity_is_a_stranger(identity: str) -> None:
    books = Books(CATALOGUE)
    for type_ in RequestType:
        request = credit_control(type_, 0, ServiceRequest(10, None, {}, {"octets": 5}), identity=f"msisdn:{identity}")
        assert books.carry_out(request, account="").answer is not None


LARGE = (0, 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1)


@pytest.mark.parametrize("used", LARGE)
@pytest.mark.parametrize("asked", LARGE)
def test_the_largest_quantities_are_counted(used: int, asked: int) -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditMoney("t", 2**53 - 1))
    units = {"octets": asked}
    books.carry_out(credit_control("initial", 0, ServiceRequest(10, None, units), ServiceRequest(20, None, units)))
    for number in (1, 2, 3):
        lines = [ServiceRequest(group, None, units, {"octets": used}) for group in (10, 20)]
        books.carry_out(credit_control("update", number, *lines))
    books.carry_out(credit_control("termination", 4, ServiceRequest(10, None, None, {"octets": used})))
    books.carry_out(credit_control("event", 0, ServiceRequest(10, None, units), session="e"))


def test_a_session_that_counts_beyond_everything_stays_within_what_json_can_hold() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(credit_control("initial", 0, ServiceRequest(20, None, {})))
    for number in range(1, 5):
        report = ServiceRequest(20, None, {}, {"octets": 2**53 - 1})
        decision = books.carry_out(credit_control("update", number, report))
        assert decision.answer is not None
        assert decision.answer.services[0].granted
    session = books.sessions["a", "s1"]
    assert session.services["20"].used == 2**53 - 1
    assert books.receipts[-1].services[0].not_counted == {"octets": 2**53 - 1}


def test_hundreds_of_services_in_one_request() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditMoney("t", 1_000_000))
    many = [ServiceRequest(group, None, {"octets": 1}) for group in range(500)]
    decision = books.carry_out(credit_control("initial", 0, *many))
    assert decision.answer is not None
    codes = Counter(service.result_code for service in decision.answer.services)
    known = {service.rating_group for service in CATALOGUE.services.values() if service.context == "32251"}
    assert codes == {2001: len(known) - 1, 4010: 1, 5031: 500 - len(known)}
    reports = [ServiceRequest(10, identifier, None, {"octets": 1}) for identifier in range(500)]
    books.carry_out(credit_control("termination", 1, *reports))
    assert len(books.sessions["a", "s1"].services) > 500
    assert books.sessions["a", "s1"].state is SessionState.CLOSED
