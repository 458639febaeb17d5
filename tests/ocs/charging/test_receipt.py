"""Receipts as data: what identifies them, and what they weigh."""

import msgspec

from ocs.charging.command import BuyOffer, CreditMoney, ServiceRequest
from ocs.charging.receipt import Receipt, ServiceReceipt
from tests.ocs.charging.books import NOW, Books, credit_control
from tests.ocs.charging.samples import CATALOGUE


def test_account_and_version_identify_a_receipt() -> None:
    assert Receipt("a", 7, NOW, "update").id == "a/7"


def test_what_says_nothing_takes_no_room() -> None:
    assert (
        msgspec.json.encode(Receipt("a", 1, NOW, "update"))
        == b'{"account":"a","version":1,"at":%d,"kind":"update"}' % NOW
    )
    assert msgspec.json.encode(ServiceReceipt("internet")) == b'{"service":"internet"}'


def test_a_receipt_says_what_was_known_what_was_chosen_and_why() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    books.carry_out(CreditMoney("t", 2_000))
    books.carry_out(credit_control("initial", 0, ServiceRequest(10, None, {"octets": 500})))
    used = ServiceRequest(10, None, {"octets": 1500}, {"octets": 620}, reporting_reason=3)
    books.carry_out(credit_control("update", 1, used), NOW + 1)
    content = msgspec.to_builtins(books.receipts[-1])
    assert content == {
        "account": "a",
        "version": 5,
        "at": NOW + 1,
        "kind": "update",
        "catalogue": CATALOGUE.id,
        "result_code": 2001,
        "session": "s1",
        "number": 1,
        "context": "32251",
        "subscriber": "s",
        "identity": "msisdn:49",
        "peer": "pgw.example.org",
        "opened_at": NOW,
        "services": [
            {
                "service": "internet",
                "result_code": 2001,
                "reason": "last-units",
                "rating_group": 10,
                "unit": "octets",
                "reporting_reason": 3,
                "reported": True,
                "used": 620,
                "used_in_session": 620,
                "debits": [{"bucket": "main", "unit": "money", "amount": 700}],
                "price": "basic/internet",
                "rated": 620,
                "cost_micro": 700,
                "beyond_grant": 120,
                "wanted": 1500,
                "granted": 1380,
                "priced": 1380,
                "held": [{"bucket": "main", "unit": "money", "amount": 1300}],
                "validity_s": 600,
            }
        ],
        "changes": [
            {
                "bucket": "main",
                "unit": "money",
                "remaining_before": 1500,
                "remaining": 0,
                "reserved_before": 500,
                "reserved": 1300,
                "spent": 700,
            }
        ],
    }


def test_receipts_of_an_account_have_no_gaps() -> None:
    books = Books(CATALOGUE)
    books.open_account()
    books.carry_out(BuyOffer("b", "basic"))
    for number in (0, 1, 1, 2):
        books.carry_out(credit_control("update" if number else "initial", number, ServiceRequest(20, None, {})))
    assert [receipt.version for receipt in books.receipts] == [1, 2, 3, 4, 5]
