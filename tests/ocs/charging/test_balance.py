"""The moves of a bucket: each keeps the sum, none goes below zero."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.charging import balance
from ocs.charging.state import MAX_QUANTITY, Account, Bucket, Totals
from ocs.rating.catalogue import Unit
from tests.ocs.charging.books import NOW

Move = Callable[[Bucket, int], None]
MOVES: dict[str, Move] = {
    "credit": balance.credit,
    "reserve": balance.reserve,
    "release": lambda bucket, amount: balance.release(bucket, amount, NOW),
    "release too late": lambda bucket, amount: balance.release(bucket, amount, NOW + 10),
    "spend": balance.spend,
    "spend reserved": balance.spend_reserved,
    "expire": lambda bucket, amount: _expire(bucket, NOW + amount % 20),
}


def _expire(bucket: Bucket, now: int) -> None:
    balance.expire(bucket, now)


def parts(bucket: Bucket) -> tuple[int, int, int, int]:
    return bucket.remaining, bucket.reserved, bucket.spent, bucket.expired


@given(st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.integers(-3, 40))))
def test_no_series_of_moves_breaks_a_bucket(moves: list[tuple[str, int]]) -> None:
    bucket = Bucket("b", Unit.OCTETS, expires_at=NOW + 10)
    for name, amount in moves:
        before = parts(bucket)
        try:
            MOVES[name](bucket, amount)
        except AssertionError:
            assert parts(bucket) == before, "half a move"
        assert min(parts(bucket)) >= 0
        assert bucket.credited == sum(parts(bucket))


@pytest.mark.parametrize(
    ("move", "amount"),
    [
        ("credit", -1),
        ("credit", MAX_QUANTITY),
        ("reserve", 6),
        ("reserve", -1),
        ("release", 4),
        ("release", -1),
        ("spend", 6),
        ("spend", -1),
        ("spend reserved", 4),
        ("spend reserved", -1),
    ],
)
def test_more_than_there_is_cannot_be_moved(move: str, amount: int) -> None:
    bucket = Bucket("b", Unit.OCTETS, remaining=5, reserved=3, credited=8)
    with pytest.raises(AssertionError):
        MOVES[move](bucket, amount)


def test_a_bucket_ends_at_the_millisecond() -> None:
    bucket = Bucket("b", Unit.OCTETS, remaining=5, reserved=3, credited=8, expires_at=NOW)
    assert not balance.is_expired(bucket, NOW - 1)
    assert balance.expire(bucket, NOW - 1) == 0
    assert balance.expire(bucket, NOW) == 5
    assert balance.expire(bucket, NOW) == 0
    assert parts(bucket) == (0, 3, 0, 5), "what is held stays held"
    balance.release(bucket, 2, NOW)
    assert parts(bucket) == (0, 1, 0, 7), "and has expired when it comes back"
    assert not balance.is_expired(Bucket("b", Unit.OCTETS), NOW)


def test_what_is_used_up_leaves_the_list_and_its_sums_stay() -> None:
    used = Bucket("a#1", Unit.OCTETS, credited=8, spent=5, expired=3, offer="plan")
    held = Bucket("a#2", Unit.OCTETS, reserved=1, credited=1, offer="plan")
    main = Bucket("main", Unit.MONEY, credited=7, spent=7)
    account = Account(1, "a", "EUR", buckets=[used, held, main], gone={"octets": Totals(1, 1, 0)})
    assert [balance.is_gone(bucket) for bucket in account.buckets] == [True, False, False]
    balance.forget(account, [used])
    assert account.buckets == [held, main]
    assert account.gone == {"octets": Totals(9, 6, 3)}
    with pytest.raises(AssertionError):
        balance.forget(account, [held])


def test_the_proof_is_by_unit_and_over_all_accounts() -> None:
    one = Account(1, "a", "EUR", buckets=[Bucket("x", Unit.OCTETS, 1, 2, 10, 3, 4)], gone={"octets": Totals(9, 6, 3)})
    two = Account(1, "b", "EUR", buckets=[Bucket("main", Unit.MONEY, 5, credited=5)])
    proofs = balance.prove([one, two])
    octets = proofs[Unit.OCTETS]
    assert (octets.credited, octets.left, octets.held, octets.spent, octets.expired) == (19, 1, 2, 9, 7)
    assert all(proof.holds for proof in proofs.values())
    two.buckets[0].remaining += 1
    assert not balance.prove([one, two])[Unit.MONEY].holds
    two.buckets[0].remaining, two.buckets[0].spent = 6, -1
    assert not balance.prove([two])[Unit.MONEY].holds, "a negative part is no proof, whatever the sum"
