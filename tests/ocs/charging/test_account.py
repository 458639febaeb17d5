"""What an operator can do to an account."""

import pytest

from ocs.charging.account import APPLIED_KEPT
from ocs.charging.command import (
    BuyOffer,
    Command,
    CommandRefused,
    CreateAccount,
    CreditMoney,
    CreditUnits,
    ServiceRequest,
    SetStatus,
)
from ocs.charging.decide import decide
from ocs.charging.state import MAX_QUANTITY, AccountStatus, Bucket, State, Subscriber
from ocs.rating.catalogue import Catalogue, Unit
from ocs.rating.catalogue_file import parse_catalogue
from tests.ocs.charging.books import NOW, Books, credit_control
from tests.ocs.charging.samples import CATALOGUE

DAY_MS = 86_400_000


@pytest.fixture
def books() -> Books:
    books = Books(CATALOGUE)
    books.open_account()
    return books


def buckets(books: Books) -> dict[str, Bucket]:
    return {bucket.id: bucket for bucket in books.accounts["a"].buckets}


def test_a_new_account_is_empty_and_active(books: Books) -> None:
    account = books.accounts["a"]
    assert (account.version, account.status, account.currency) == (1, AccountStatus.ACTIVE, "")
    assert account.buckets == [Bucket("main", Unit.MONEY)]
    assert books.receipts[0].text == "msisdn:49"


def test_a_top_up_goes_to_the_money(books: Books) -> None:
    books.carry_out(CreditMoney("t1", 5_000_000))
    assert buckets(books)["main"].remaining == 5_000_000
    assert books.accounts["a"].currency == "EUR"
    receipt = books.receipts[-1]
    assert (receipt.kind, receipt.text, receipt.changes[0].credited) == ("credit", "t1", 5_000_000)


def test_an_offer_gives_its_allowances_and_its_prices(books: Books) -> None:
    books.carry_out(BuyOffer("b1", "data"), NOW)
    bucket = buckets(books)["data/data#2"]
    assert (bucket.remaining, bucket.expires_at, bucket.services) == (10_000, NOW + DAY_MS, ["internet", "streaming"])
    assert bucket.offer == "data"
    assert books.accounts["a"].offers == ["data"]
    books.carry_out(BuyOffer("b2", "data"), NOW + 1)
    assert books.accounts["a"].offers == ["data"]
    assert [*buckets(books)] == ["data/data#2", "data/data#3", "main"], "what ends first pays first"


def test_an_offer_of_prices_alone_gives_no_bucket(books: Books) -> None:
    books.carry_out(BuyOffer("b1", "basic"))
    assert [*buckets(books)] == ["main"]
    assert not books.receipts[-1].changes


def test_a_gift_pays_before_offers(books: Books) -> None:
    books.carry_out(BuyOffer("b1", "data"))
    books.carry_out(CreditUnits("g1", Unit.OCTETS, 100, ["internet"], validity_s=60))
    assert [*buckets(books)] == ["units#3", "data/data#2", "main"]
    assert buckets(books)["units#3"].expires_at == NOW + 60_000


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (CreditMoney("x", 0), "must be above 0"),
        (CreditMoney("x", -1), "must be above 0"),
        (CreditMoney("x", MAX_QUANTITY), "above 9007199254740991"),
        (CreditUnits("x", Unit.OCTETS, 0, ["internet"]), "must be above 0"),
        (CreditUnits("x", Unit.OCTETS, MAX_QUANTITY + 1, ["internet"]), "above 9007199254740991"),
        (CreditUnits("x", Unit.MONEY, 5, ["internet"]), "money is credited with an amount"),
        (CreditUnits("x", Unit.OCTETS, 5, []), "name a service of internet, portal"),
        (CreditUnits("x", Unit.OCTETS, 5, ["internet", "teleport"]), "no service 'teleport'; known: internet"),
        (CreditUnits("x", Unit.SECONDS, 5, ["internet"]), "internet is counted in octets, not seconds"),
        (BuyOffer("x", "moon"), "no offer 'moon'; known: basic, data, kids"),
        (CreateAccount("a", [Subscriber("s", ["msisdn:50"])]), "account a exists already"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(books: Books, command: Command, why: str) -> None:
    books.carry_out(CreditMoney("t1", 1))
    before = books.accounts["a"]
    with pytest.raises(CommandRefused, match=why):
        books.carry_out(command)
    assert books.accounts["a"] == before
    if not isinstance(command, CreateAccount):
        assert command.id not in before.applied, "the id is still free for the right command"  # type: ignore[union-attr]


def test_the_largest_balance_can_be_reached(books: Books) -> None:
    books.carry_out(CreditMoney("t1", MAX_QUANTITY - 1))
    books.carry_out(CreditMoney("t2", 1))
    with pytest.raises(CommandRefused):
        books.carry_out(CreditMoney("t3", 1))


@pytest.mark.parametrize(
    "command",
    [CreditMoney("same", 5), CreditUnits("same", Unit.OCTETS, 5, ["internet"]), BuyOffer("same", "data")],
)
def test_a_command_with_an_id_is_carried_out_once(books: Books, command: Command) -> None:
    first = books.carry_out(command)
    again = books.carry_out(command, NOW + DAY_MS)
    assert not first.repeated
    assert again.repeated
    assert again.receipt is None


def test_ids_are_remembered_for_a_while(books: Books) -> None:
    for number in range(APPLIED_KEPT + 1):
        books.carry_out(CreditMoney(f"t{number}", 1))
    assert len(books.accounts["a"].applied) == APPLIED_KEPT
    assert books.carry_out(CreditMoney("t1", 1)).repeated
    assert not books.carry_out(CreditMoney("t0", 1)).repeated


def test_used_up_buckets_leave_the_list_when_another_one_comes(books: Books) -> None:
    books.carry_out(CreditUnits("g1", Unit.OCTETS, 100, ["internet"]))
    books.carry_out(credit_control("initial", 0, ServiceRequest(10, None, {})))
    books.carry_out(credit_control("termination", 1, ServiceRequest(10, None, None, {"octets": 100})))
    assert "units#2" in buckets(books)
    books.carry_out(CreditUnits("g2", Unit.OCTETS, 50, ["internet"]))
    assert [*buckets(books)] == ["units#5", "main"]
    gone = books.accounts["a"].gone["octets"]
    assert (gone.credited, gone.spent, gone.expired) == (100, 100, 0)


def test_a_bucket_that_ends_while_another_one_comes_is_on_the_receipt(books: Books) -> None:
    books.carry_out(BuyOffer("b1", "data"))
    books.carry_out(BuyOffer("b2", "data"), NOW + 2 * DAY_MS)
    changes = {change.bucket: change for change in books.receipts[-1].changes}
    assert changes["data/data#2"].expired == 10_000
    assert changes["data/data#3"].credited == 10_000
    assert books.accounts["a"].gone["octets"].expired == 10_000


def test_an_account_keeps_its_currency(books: Books) -> None:
    books.carry_out(CreditMoney("t1", 1))
    dollars = parse_catalogue(
        "version: v\ncurrency: USD\nservices: {i: {context: 32251, rating_group: 1, unit: octets}}\n"
        "offers: {o: {name: O, prices: {i: free}}}\n"
    )
    assert isinstance(dollars, Catalogue)
    with pytest.raises(CommandRefused, match="the account is in EUR, the catalogue in USD"):
        decide(State(books.accounts["a"], None), CreditMoney("t2", 1), dollars, NOW, books.settings)


def test_blocking_is_said_in_the_receipt(books: Books) -> None:
    for status in (AccountStatus.BLOCKED, AccountStatus.ACTIVE):
        books.carry_out(SetStatus(status))
        assert books.accounts["a"].status is status
        assert (books.receipts[-1].kind, books.receipts[-1].text) == ("status", status)


def test_an_id_that_was_used_for_another_credit_is_refused(books: Books) -> None:
    books.carry_out(CreditMoney("x", 5))
    for other in (CreditMoney("x", 6), BuyOffer("x", next(iter(CATALOGUE.offers)))):
        with pytest.raises(CommandRefused, match="id x was used for another credit"):
            books.carry_out(other)
    assert books.carry_out(CreditMoney("x", 5)).repeated
