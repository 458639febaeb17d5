"""Finds the receipts of a session, a subscriber or an account in the event streams, oldest first.

Reads the streams as long as the store keeps them; nothing is indexed for it, so a question costs one pass over one
partition.
"""

from ocs.charging.receipt import Receipt
from ocs.store.connection import Store
from ocs.store.directory import find_account
from ocs.store.events import history


async def of_account(store: Store, account: str) -> list[Receipt]:
    """All receipts of an account that the store still has."""
    events = history(store, store.keys.partition_of(account))
    return [event.receipt async for event in events if event.receipt.account == account]


async def of_session(store: Store, session: str) -> list[Receipt]:
    """All receipts of a session, those of requests that found no account included."""
    partitions = {store.keys.partition_of(session)}
    account = await store.client.get(store.keys.where(session))
    if account is not None:
        partitions.add(store.keys.partition_of(account.decode()))
    found = [
        event for partition in partitions async for event in history(store, partition)
        if event.receipt.session == session
    ]  # fmt: skip
    return [event.receipt for event in sorted(found, key=lambda event: (event.receipt.at, event.receipt.version))]


async def of_stranger(store: Store, identity: str) -> list[Receipt]:
    """Receipts of requests about an identity (with or without `kind:`) that has no account. They stand in the
    partitions of their sessions.
    """
    return [
        event.receipt
        for partition in range(store.keys.partitions)
        async for event in history(store, partition)
        if not event.receipt.account and identity in _names(event.receipt)
    ]


def _names(receipt: Receipt) -> set[object]:
    """What a request said of its subscriber: the identity looked for, and the others it bore."""
    return {
        receipt.identity,
        receipt.identity.partition(":")[2],
        receipt.about.get("msisdn"),
        receipt.about.get("imsi"),
    }


async def find(store: Store, what: str) -> tuple[str, list[Receipt]]:
    """What `what` means and its receipts: an account, a subscriber's identity, or a Session-Id."""
    account = await find_account(store, what)
    if account is not None:
        return f"account {account}", await of_account(store, account)
    receipts = await of_session(store, what)
    if receipts:
        return f"session {what}", receipts
    receipts = await of_stranger(store, what.removeprefix("+"))
    return (f"{what}, who has no account", receipts) if receipts else ("", [])
