"""What a support agent reads. Every receipt of the other tests has its sentence made as well; here are the words."""

import pytest

from ocs.charging.command import (
    BuyOffer,
    CommandRefused,
    CreditMoney,
    CreditUnits,
    ExpireSession,
    ServiceRequest,
    SetStatus,
)
from ocs.charging.receipt import Reason, Receipt, ServiceReceipt, Verdict
from ocs.charging.state import AccountStatus
from ocs.explain.words import bucket_name, quantity, sentence
from ocs.rating.catalogue import Unit
from tests.ocs.charging.books import NOW, Books, credit_control
from tests.ocs.charging.samples import CATALOGUE

KIB, MIB, GIB = 2**10, 2**20, 2**30


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [
        (0, Unit.OCTETS, "0 octets"),
        (1, Unit.OCTETS, "1 octet"),
        (1023, Unit.OCTETS, "1023 octets"),
        (KIB, Unit.OCTETS, "1 KiB"),
        (1_000_000, Unit.OCTETS, "977 KiB"),
        (10_000_000, Unit.OCTETS, "9.54 MiB"),
        (5 * MIB + MIB // 2, Unit.OCTETS, "5.5 MiB"),
        (100 * MIB - 1, Unit.OCTETS, "100 MiB"),
        (199 * MIB + 900 * KIB, Unit.OCTETS, "200 MiB"),
        (5 * GIB, Unit.OCTETS, "5 GiB"),
        (2**53 - 1, Unit.OCTETS, "8,192 TiB"),
        (5, None, "5 octets"),
        (90, Unit.SECONDS, "1 min 30 s"),
        (0, Unit.SECONDS, "0 s"),
        (1, Unit.EVENTS, "1 event"),
        (3, Unit.EVENTS, "3 events"),
        (50_000, Unit.MONEY, "0.05 EUR"),
        (1, Unit.MONEY, "0.000001 EUR"),
    ],
)
def test_quantities_are_rounded_to_be_read(amount: int, unit: Unit | None, words: str) -> None:
    assert quantity(amount, unit, "EUR") == words


def test_money_without_a_currency_is_a_number() -> None:
    assert quantity(50_000, Unit.MONEY) == "0.05"


def test_buckets_are_called_by_what_was_bought() -> None:
    assert [bucket_name(name) for name in ("main", "data-5gb/data#12", "units#3")] == [
        "the money balance",
        "data-5gb/data",
        "units",
    ]


def said(books: Books) -> str:
    return sentence(books.receipts[-1], "EUR")


@pytest.fixture
def books() -> Books:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditMoney("t", 3_000))
    return books


def ask(
    books: Books,
    type_: str,
    number: int,
    *services: ServiceRequest,
    session: str = "s1",
    context: str = "32251",
    identity: str = "msisdn:49",
    account: str = "a",
) -> str:
    books.carry_out(
        credit_control(type_, number, *services, session=session, context=context, identity=identity), NOW, account
    )
    return said(books)


def data(asks: int | None = 0, used: int | None = None, group: int | None = 10) -> ServiceRequest:
    return ServiceRequest(
        group,
        None,
        None if asks is None else ({"octets": asks} if asks else {}),
        None if used is None else {"octets": used},
    )


def test_what_the_operator_did() -> None:
    books = Books(CATALOGUE)
    books.open_account("a", "msisdn:49", "imsi:1")
    assert said(books) == "Account a was made for msisdn:49, imsi:1."
    books.carry_out(CreditMoney("t", 5_000_000))
    assert said(books) == "Topped up: 5.00 EUR to the money balance, which now has 5.00 EUR."
    books.carry_out(BuyOffer("b", "data"))
    assert said(books) == "Offer data was added: 9.77 KiB to data/data, which now has 9.77 KiB."
    books.carry_out(BuyOffer("c", "basic"))
    assert said(books) == "Offer basic was added."
    books.carry_out(CreditUnits("g", Unit.EVENTS, 3, ["sms"]))
    assert said(books) == "Topped up: 3 events to units, which now has 3 events."
    books.carry_out(SetStatus(AccountStatus.BLOCKED))
    assert said(books) == "The account was set to blocked."


def test_a_session_in_sentences(books: Books) -> None:
    assert ask(books, "initial", 0, data()) == (
        "Initial request of 49: internet granted 1000 octets for 10 min, held from 0.001 EUR of the money balance."
    )
    assert ask(books, "update", 1, data(used=950)) == (
        "Update request of 49: internet used 950 octets, paid by 0.001 EUR from the money balance at price "
        "basic/internet; internet granted 1000 octets for 10 min, held from 0.001 EUR of the money balance."
    )
    assert ask(books, "update", 2, data(asks=50, used=1000)) == (
        "Update request of 49: internet used 1000 octets, paid by 0.001 EUR from the money balance at price "
        "basic/internet; internet granted 50 octets for 10 min, at no further cost."
    )
    assert ask(books, "update", 3, data(asks=5000, used=20)) == (
        "Update request of 49: internet used 20 octets, at no further cost; internet granted 1.01 KiB for 10 min, "
        "held from 0.001 EUR of the money balance, the last there is."
    )
    assert ask(books, "termination", 4, data(asks=None, used=2000)) == (
        "Termination request of 49, which closed the session: internet used 1.95 KiB, paid by 0.001 EUR from the money "
        "balance at price basic/internet, of which 970 octets nothing could pay for (970 octets more than had been "
        "granted)."
    )


def test_what_comes_back_is_said(books: Books) -> None:
    ask(books, "initial", 0, data(), data(group=20))
    assert ask(books, "termination", 1) == (
        "Termination request of 49, which closed the session: 1000 octets of internet given back; 1000 octets of "
        "portal given back."
    )
    ask(books, "initial", 0, data(), session="s2")
    books.carry_out(ExpireSession("s2"), NOW + 10**8)
    assert said(books) == (
        "Nothing was heard of the session in time, so it was closed; 1000 octets of internet given back."
    )


@pytest.mark.parametrize(
    ("service", "context", "words"),
    [
        (data(group=40), "32251", "(4010): roaming refused (4010): no offer of the account covers it."),
        (data(group=99), "32251", "(5031): rating group 99 refused (5031): the catalogue has no such service."),
        (data(group=None), "32299", "(5031): no rating group refused (5031): the catalogue has no such service."),
        (
            ServiceRequest(99, 7, {}),
            "32251",
            "(5031): rating group 99, service identifier 7 refused (5031): the catalogue has no such service.",
        ),
        (
            ServiceRequest(200, None, {"events": 2}),
            "32274",
            "(4012): sms refused (4012): nothing is left that pays for it; 0.177 EUR more would buy the next units.",
        ),
    ],
)
def test_refusals_say_what_would_help(books: Books, service: ServiceRequest, context: str, words: str) -> None:
    assert ask(books, "event", 0, service, context=context) == f"Event request of 49 was refused {words}"


def test_what_is_missing_where_money_does_not_help() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "data"))
    ask(books, "initial", 0, data(asks=5000), data(asks=5000, group=30))
    assert ask(books, "initial", 0, data(), session="s2") == (
        "Initial request of 49 was refused (4012): internet refused (4012): nothing is left that pays for it; an offer "
        "or units for internet would help."
    )


def test_barred_and_blocked(books: Books) -> None:
    books.carry_out(BuyOffer("k", "kids"))
    assert ask(books, "initial", 0, data(group=30)) == (
        "Initial request of 49 was refused (4010): streaming refused (4010): an offer of the account bars it."
    )
    books.carry_out(SetStatus(AccountStatus.BLOCKED))
    assert ask(books, "initial", 0, data(), session="s2") == (
        "Initial request of 49 was refused (4010): the account is blocked: internet refused (4010): the account is "
        "blocked."
    )


def test_requests_that_belong_to_nothing(books: Books) -> None:
    assert ask(books, "update", 3, data(used=5)) == (
        "Update request of 49 was refused (5002): there is no session of this id, so nothing could be charged: "
        "internet used 5 octets, of which 5 octets nothing could pay for."
    )
    assert ask(books, "initial", 0, data(), identity="msisdn:50", account="") == (
        "Initial request of 50 was refused (5030): no account has this identity; add the subscriber to change that."
    )
    assert ask(books, "initial", 0, data(), identity="", account="") == (
        "Initial request was refused (5030): it names no subscriber."
    )
    assert ask(books, "initial", 0, context="32299") == (
        "Initial request of 49 was refused (5031): the catalogue has no service of context 32299."
    )


def test_repetitions_that_are_none(books: Books) -> None:
    ask(books, "initial", 0, data())
    assert ask(books, "initial", 0, data(asks=77)) == (
        "Initial request of 49 was refused (5004): its number 0 was used for another request before."
    )
    for number in range(1, 8):
        ask(books, "update", number, data(used=1))
    assert ask(books, "initial", 0, data()) == (
        "Initial request of 49 repeats number 0, answered long ago; nothing was charged again (5012)."
    )


def test_usage_after_the_end(books: Books) -> None:
    ask(books, "initial", 0, data())
    ask(books, "termination", 1)
    assert ask(books, "update", 2, data(used=80)) == (
        "Update request of 49 came after the session had been closed (5002); what it reports was charged all the same: "
        "internet used 80 octets, paid by 0.0001 EUR from the money balance at price basic/internet (80 octets more "
        "than had been granted)."
    )


def test_usage_in_other_units_and_beyond_counting(books: Books) -> None:
    ask(books, "initial", 0, data(group=20))
    books.carry_out(credit_control("update", 1, ServiceRequest(20, None, {}, {"seconds": 9, "events": 2})))
    assert said(books).startswith(
        "Update request of 49: portal used 0 octets (reported as 9 seconds, which this service is not counted in) "
        "(reported as 2 events, which this service is not counted in); portal granted"
    )
    ask(books, "update", 2, data(used=2**53 - 1, group=20))
    assert "portal used 0 octets (and 5 octets beyond what a session can count)" in ask(
        books, "termination", 3, data(asks=None, used=5, group=20)
    )


def test_control_characters_of_a_client_do_not_reach_the_reader() -> None:
    books = Books(CATALOGUE)
    text = ask(books, "initial", 0, data(), identity="msisdn:4\n9\x1b[31m", account="")
    assert "of 4\N{REPLACEMENT CHARACTER}9\N{REPLACEMENT CHARACTER}[31m was refused" in text


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("verdict", list(Verdict))
def test_no_receipt_is_without_words(reason: Reason, verdict: Verdict) -> None:
    line = ServiceReceipt("internet", reason=reason, unit=Unit.OCTETS)
    text = sentence(Receipt("a", 1, NOW, "update", verdict=verdict, services=[line]))
    assert text.startswith("Update request")
    assert text.endswith(".")


def test_nothing_is_said_of_what_was_refused_to_the_operator(books: Books) -> None:
    receipts = len(books.receipts)
    with pytest.raises(CommandRefused):
        books.carry_out(BuyOffer("x", "moon"))
    assert len(books.receipts) == receipts
