"""Moves amounts between the four states of a bucket: remaining, reserved, spent, expired. Nothing else writes them.

Each function keeps credited = remaining + reserved + spent + expired, and none lets a part go below zero.
"""

from collections.abc import Iterable

from ocs.rating.catalogue import Unit

from .state import MAX_QUANTITY, Account, Bucket, Totals


def is_expired(bucket: Bucket, now: int) -> bool:
    """Whether its time has ended at `now` (ms)."""
    return bucket.expires_at is not None and bucket.expires_at <= now


def credit(bucket: Bucket, amount: int) -> None:
    """Puts `amount` in."""
    assert 0 <= amount <= MAX_QUANTITY - bucket.credited
    bucket.credited += amount
    bucket.remaining += amount


def reserve(bucket: Bucket, amount: int) -> None:
    """Holds `amount` of what is free."""
    assert 0 <= amount <= bucket.remaining
    bucket.remaining -= amount
    bucket.reserved += amount


def release(bucket: Bucket, amount: int, now: int) -> None:
    """Gives back what was held; to a bucket whose time has ended it comes too late."""
    assert 0 <= amount <= bucket.reserved
    bucket.reserved -= amount
    if is_expired(bucket, now):
        bucket.expired += amount
    else:
        bucket.remaining += amount


def spend_reserved(bucket: Bucket, amount: int) -> None:
    """Spends what was held."""
    assert 0 <= amount <= bucket.reserved
    bucket.reserved -= amount
    bucket.spent += amount


def spend(bucket: Bucket, amount: int) -> None:
    """Spends what is free."""
    assert 0 <= amount <= bucket.remaining
    bucket.remaining -= amount
    bucket.spent += amount


def expire(bucket: Bucket, now: int) -> int:
    """Ends what is free of a bucket whose time has come; what is held stays held. Returns the amount."""
    if not bucket.remaining or not is_expired(bucket, now):
        return 0
    amount, bucket.remaining = bucket.remaining, 0
    bucket.expired += amount
    return amount


def is_gone(bucket: Bucket) -> bool:
    """Nothing is left or held, and nothing will be put in again."""
    return not bucket.remaining and not bucket.reserved and bucket.offer != ""


def forget(account: Account, buckets: Iterable[Bucket]) -> None:
    """Takes buckets that are gone off the list; their sums stay."""
    for bucket in buckets:
        assert is_gone(bucket)
        totals = account.gone.setdefault(bucket.unit, Totals())
        totals.credited += bucket.credited
        totals.spent += bucket.spent
        totals.expired += bucket.expired
        account.buckets.remove(bucket)


class Proof:
    """The sums of one unit over an account or many: credited = left + held + spent + expired."""

    __slots__ = ("credited", "expired", "held", "left", "spent")

    def __init__(self) -> None:
        self.credited = self.left = self.held = self.spent = self.expired = 0

    @property
    def holds(self) -> bool:
        parts = (self.left, self.held, self.spent, self.expired)
        return self.credited == sum(parts) and min(parts) >= 0

    def add(self, bucket: Bucket) -> None:
        self.credited += bucket.credited
        self.left += bucket.remaining
        self.held += bucket.reserved
        self.spent += bucket.spent
        self.expired += bucket.expired

    def add_gone(self, totals: Totals) -> None:
        self.credited += totals.credited
        self.spent += totals.spent
        self.expired += totals.expired


def prove(accounts: Iterable[Account]) -> dict[Unit, Proof]:
    """The proof for each unit over all those accounts."""
    proofs: dict[Unit, Proof] = {}
    for account in accounts:
        for bucket in account.buckets:
            proofs.setdefault(bucket.unit, Proof()).add(bucket)
        for unit, totals in account.gone.items():
            proofs.setdefault(Unit(unit), Proof()).add_gone(totals)
    return proofs
