"""What a session is, beside the money: its deadline, its numbers, its answers, where it runs, what its receipts say.

Who pays what is in the scenarios.
"""

import pytest

from ocs.charging.command import BuyOffer, CreditMoney, ExpireSession, ServiceRequest, SetStatus
from ocs.charging.decide import Decision
from ocs.charging.receipt import Reason, Verdict
from ocs.charging.session import Code, is_overdue
from ocs.charging.settings import Settings
from ocs.charging.state import AccountStatus, Answer, Session, SessionState
from tests.ocs.charging.books import NOW, Books, answers_of, credit_control
from tests.ocs.charging.samples import CATALOGUE

VALIDITY_MS = 600_000
GRACE_MS = 60_000
IDLE_MS = 86_400_000


@pytest.fixture
def books() -> Books:
    return with_money()


def with_money(settings: Settings | None = None) -> Books:
    books = Books(CATALOGUE, settings)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditMoney("t", 1_000_000))
    return books


def session(books: Books) -> Session:
    return books.sessions["a", "s1"]


def answer(decision: Decision) -> Answer:
    assert decision.answer is not None
    return decision.answer


def ask(used: int | None = None, group: int | None = 10) -> ServiceRequest:
    return ServiceRequest(group, None, {}, None if used is None else {"octets": used})


# --- supervision (Tcc, RFC 8506 §13) ----------------------------------------------------------------------------------


def test_a_session_with_a_quota_may_be_silent_for_twice_its_validity_and_the_grace(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    assert session(books).deadline == NOW + 2 * VALIDITY_MS + GRACE_MS
    books.carry_out(credit_control("update", 1, ask(10)), NOW + 1000)
    assert session(books).deadline == NOW + 1000 + 2 * VALIDITY_MS + GRACE_MS


def test_a_session_without_a_quota_may_be_silent_for_a_day(books: Books) -> None:
    books.carry_out(credit_control("initial", 0))
    assert session(books).deadline == NOW + IDLE_MS


def test_an_answer_that_grants_nothing_takes_no_time_from_a_running_quota(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    promised = session(books).deadline
    books.carry_out(credit_control("update", 1), NOW + 1000)
    assert session(books).deadline == promised
    books.carry_out(credit_control("update", 2), promised + 1)
    assert session(books).deadline == promised + 1 + GRACE_MS, "late, but heard of"


def test_after_the_last_report_on_its_quota_a_session_is_one_without_a_quota(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    books.carry_out(credit_control("update", 1, ServiceRequest(10, None, None, {"octets": 10}, final=True)), NOW + 5)
    assert session(books).deadline == NOW + 5 + IDLE_MS


def test_the_timer_closes_at_the_millisecond_and_once(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    deadline = session(books).deadline
    assert not is_overdue(session(books), deadline - 1)
    assert books.carry_out(ExpireSession("s1"), deadline - 1).receipt is None
    receipt = books.carry_out(ExpireSession("s1"), deadline).receipt
    assert receipt is not None
    assert (receipt.kind, receipt.verdict, receipt.closes) == ("expiry", Verdict.OVERDUE, True)
    assert [(line.service, line.released) for line in receipt.services] == [("internet", 1000)]
    assert (session(books).state, session(books).closed_at, session(books).deadline) == ("closed", deadline, 0)
    assert books.carry_out(ExpireSession("s1"), deadline + 1).receipt is None
    assert not is_overdue(None, deadline)


def test_a_request_that_comes_before_the_timer_but_after_the_deadline_keeps_the_session(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    late = session(books).deadline + 5
    assert answer(books.carry_out(credit_control("update", 1, ask(10)), late)).result_code == Code.SUCCESS
    assert books.carry_out(ExpireSession("s1"), late).receipt is None


# --- numbers and answers ----------------------------------------------------------------------------------------------


def test_so_many_answers_are_kept() -> None:
    books = with_money(Settings(answers_kept=2))
    for number in range(4):
        books.carry_out(credit_control("initial" if number == 0 else "update", number, ask(number)))
    assert [stored.number for stored in answers_of(session(books))] == [2, 3]
    assert session(books).seen == [[0, 3]]
    codes = [answer(books.carry_out(credit_control("update", n, ask(n)))).result_code for n in (1, 2, 3)]
    assert codes == [Code.UNABLE_TO_COMPLY, Code.SUCCESS, Code.SUCCESS]


def test_numbers_out_of_order_are_remembered_as_ranges(books: Books) -> None:
    for number in (0, 5, 3, 4, 9, 1):
        books.carry_out(credit_control("update" if number else "initial", number, ask()))
    assert session(books).seen == [[0, 1], [3, 5], [9, 9]]


def test_numbers_with_gaps_do_not_fill_the_session(books: Books) -> None:
    """Every other number left out: the oldest gaps close, and what would come for them is not charged."""
    books.carry_out(credit_control("initial", 0, ask()))
    for number in range(2, 402, 2):
        assert answer(books.carry_out(credit_control("update", number, ask(1)))).result_code == Code.SUCCESS
    assert len(session(books).seen) == 32
    assert answer(books.carry_out(credit_control("update", 1, ask(1)))).result_code == Code.UNABLE_TO_COMPLY
    assert answer(books.carry_out(credit_control("update", 399, ask(1)))).result_code == Code.SUCCESS
    assert session(books).services["10"].used == 201


def test_the_largest_number_is_a_number(books: Books) -> None:
    books.carry_out(credit_control("initial", 2**32 - 1, ask()))
    books.carry_out(credit_control("update", 0, ask(5)))
    assert session(books).seen == [[0, 0], [2**32 - 1, 2**32 - 1]]


@pytest.mark.parametrize(("type_", "kind"), [("update", "termination"), ("termination", "update")])
def test_a_request_of_another_type_is_no_repetition(books: Books, type_: str, kind: str) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    books.carry_out(credit_control(type_, 1, ask(5)))
    refused = answer(books.carry_out(credit_control(kind, 1, ask(5))))
    assert (refused.result_code, refused.failed) == (Code.INVALID_AVP_VALUE, "CC-Request-Number")
    assert books.receipts[-1].verdict is Verdict.NUMBER_REUSED


def test_a_refusal_is_repeated_like_any_answer(books: Books) -> None:
    books.carry_out(SetStatus(AccountStatus.BLOCKED))
    first = books.carry_out(credit_control("initial", 0, ask()))
    books.carry_out(SetStatus(AccountStatus.ACTIVE))
    again = books.carry_out(credit_control("initial", 0, ask()))
    assert again.repeated
    assert again.answer == first.answer


# --- where a session runs ---------------------------------------------------------------------------------------------


def test_what_opened_a_session_says_in_which_context_it_runs(books: Books) -> None:
    """Rating group 10 of another context is another service, or none: the session's context holds."""
    books.carry_out(credit_control("initial", 0, ask()))
    granted = answer(books.carry_out(credit_control("update", 1, ask(10), ask(None, 100), context="32260")))
    assert [service.result_code for service in granted.services] == [Code.SUCCESS, Code.RATING_FAILED]
    assert session(books).context == "32251"


def test_the_subscriber_is_the_one_who_has_the_identity(books: Books) -> None:
    account = books.accounts["a"]
    account.subscribers = [*account.subscribers, type(account.subscribers[0])("second", ["imsi:1"])]
    books.carry_out(credit_control("initial", 0, ask(), identity="imsi:1"))
    assert session(books).subscriber == "second"
    books.carry_out(credit_control("initial", 0, ask(), session="s2", identity=""))
    assert books.sessions["a", "s2"].subscriber == "", "one of two, nobody can tell which"


# --- receipts ---------------------------------------------------------------------------------------------------------


def test_a_session_carries_what_its_first_request_said(books: Books) -> None:
    first = credit_control("initial", 0, ask())
    first.about = {"apn": "internet", "imsi": "00101"}
    books.carry_out(first)
    books.carry_out(credit_control("update", 1, ask(10)), NOW + 5)
    last = credit_control("termination", 2, ask(10))
    last.cause = 1
    books.carry_out(last, NOW + 9)
    opened, updated, closed = books.receipts[-3:]
    assert [receipt.about for receipt in (opened, updated, closed)] == [first.about] * 3
    assert [receipt.opened_at for receipt in (opened, updated, closed)] == [NOW] * 3
    assert [receipt.closes for receipt in (opened, updated, closed)] == [False, False, True]
    assert closed.cause == 1
    assert (session(books).peer, session(books).realm) == ("pgw.example.org", "example.org")


def test_what_was_not_mentioned_at_the_end_is_given_back_on_the_receipt(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask(), ask(None, 30), ask(None, 20)))
    books.carry_out(credit_control("termination", 1, ask(10)))
    lines = [(line.service, line.used, line.released) for line in books.receipts[-1].services]
    assert lines == [("internet", 10, 990), ("streaming", 0, 1000), ("portal", 0, 1000)]


def test_the_lines_of_a_session_that_is_replaced_are_on_the_receipt_of_the_new_one(books: Books) -> None:
    books.carry_out(credit_control("initial", 0, ask()))
    books.carry_out(credit_control("initial", 1, ask(None, 30)), NOW + 5)
    receipt = books.receipts[-1]
    assert [(line.service, line.reason, line.released) for line in receipt.services] == [
        ("streaming", Reason.GRANTED, 0),
        ("internet", Reason.CLOSED, 1000),
    ]
    assert (receipt.opened_at, receipt.closes) == (NOW + 5, False)


def test_usage_of_a_session_nobody_knows_is_on_record() -> None:
    books = with_money()
    refused = books.carry_out(credit_control("update", 7, ask(50), ask(60, 99)))
    assert answer(refused).result_code == Code.UNKNOWN_SESSION_ID
    assert refused.state.session is None
    assert [(line.service, line.uncharged) for line in books.receipts[-1].services] == [
        ("internet", 50),
        ("rating group 99", 60),
    ]


@pytest.mark.parametrize(
    ("type_", "identity", "code"),
    [
        ("initial", "msisdn:1", Code.USER_UNKNOWN),
        ("update", "msisdn:1", Code.USER_UNKNOWN),
        ("initial", "", Code.USER_UNKNOWN),
        ("event", "", Code.USER_UNKNOWN),
        ("update", "", Code.UNKNOWN_SESSION_ID),
        ("termination", "", Code.UNKNOWN_SESSION_ID),
    ],
)
def test_who_names_nobody_in_a_later_request_has_an_unknown_session(type_: str, identity: str, code: Code) -> None:
    """Only the first request has to say who it is about (RFC 8506 §8.46); the session tells for the others."""
    books = with_money()
    refused = books.carry_out(credit_control(type_, 1, ask(5), identity=identity), account="")
    assert answer(refused).result_code == code
    assert refused.state.session is None
    assert books.receipts[-1].services[0].uncharged == 5


def test_a_service_of_no_plan_is_a_gap_of_the_plan_and_not_of_the_money(books: Books) -> None:
    refused = answer(books.carry_out(credit_control("initial", 0, ask(None, 40))))
    assert refused.result_code == Code.END_USER_SERVICE_DENIED
    assert books.receipts[-1].services[0].reason is Reason.NOT_IN_PLAN
    assert session(books).state is SessionState.CLOSED
