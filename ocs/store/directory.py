"""Who is who: identities (`kind:value`) to accounts. An identity belongs to one account.

The index stands in other partitions than the accounts, so adding a subscriber is three steps: claim the identities,
make the account, and on failure give up what was claimed. A crash in between leaves identities that point to an
account that does not exist; adding the subscriber again repairs that.
"""

import re

import msgspec

from ocs.charging.command import CommandRefused, CreateAccount
from ocs.charging.state import Account, Subscriber

from .connection import Store, StoreError
from .keys import is_account_id
from .ledger import Ledger
from .work import decode_account

_VALUES = {
    "msisdn": (re.compile(r"[0-9]{5,15}"), "5 to 15 digits with country code, no + (E.164)"),
    "imsi": (re.compile(r"[0-9]{14,15}"), "14 or 15 digits (E.212)"),
    "sip": (re.compile(r"(sips?:|tel:)\S{1,250}"), "a SIP or tel URI"),
    "nai": (re.compile(r"\S{1,250}"), "a network access identifier (RFC 7542)"),
    "private": (re.compile(r"\S{1,250}"), "any text without spaces"),
}


def identity(kind: str, value: str) -> str:
    """`kind:value` after a check. Raises CommandRefused naming what would be right."""
    value = value.strip()
    if kind == "msisdn":
        value = value.removeprefix("+")
    pattern, meaning = _VALUES[kind]
    if pattern.fullmatch(value) is None:
        raise CommandRefused(f"{kind} {value!r} must be {meaning}")
    return f"{kind}:{value}"


async def find_account(store: Store, who: str) -> str | None:
    """The account that `who` means: an account id, an MSISDN (with or without +), an IMSI, or `kind:value`."""
    text = who.strip()
    names = [text] if ":" in text else [f"msisdn:{text.removeprefix('+')}", f"imsi:{text}"]
    for name in names:
        account = await store.client.get(store.keys.identity(name))
        if account is not None and await store.client.exists(store.keys.account(account.decode())):
            return str(account.decode())
    if is_account_id(text) and await store.client.exists(store.keys.account(text)):
        return text
    return None


async def read_account(store: Store, account_id: str) -> Account | None:
    """The account as stored now. Raises StoreError when it makes no sense."""
    value = await store.client.get(store.keys.account(account_id))
    try:
        return decode_account(value) if value else None
    except msgspec.MsgspecError as error:
        raise StoreError(f"what is stored of account {account_id} cannot be read: {error}") from error


async def add_subscriber(ledger: Ledger, account_id: str, identities: list[str]) -> None:
    """Makes an account with one subscriber of those identities. Raises CommandRefused, and has changed nothing then;
    or StoreUnavailable or RedisError, after which it may be repeated.
    """
    store = ledger.store
    if not is_account_id(account_id):
        raise CommandRefused(f"account id {account_id!r} must be 1 to 64 letters, digits and . _ : + @ -")
    if not identities:
        raise CommandRefused("a subscriber needs at least one identity")
    if await store.client.exists(store.keys.account(account_id)) and not await _has(store, account_id, identities):
        raise CommandRefused(f"account {account_id} exists already")
    claimed: list[str] = []
    try:
        for name in identities:
            if await store.client.set(store.keys.identity(name), account_id, nx=True):
                claimed.append(name)
                continue
            owner = (await store.client.get(store.keys.identity(name)) or b"").decode()
            if owner != account_id:
                there = await store.client.exists(store.keys.account(owner))
                hint = "" if there else ", which was never made: that addition was cut short, and has to be repeated"
                raise CommandRefused(f"{name} belongs to account {owner}{hint}")  # noqa: TRY301  (given up below)
        await ledger.execute(account_id, CreateAccount(account_id, [Subscriber(account_id, identities)]))
    except CommandRefused:
        if await _has(store, account_id, identities):
            # The account was made: just now by us, the answer being lost, or by somebody with the same idea. What it
            # is known by stays, or it could not be reached.
            if len(claimed) == len(identities):
                return
        else:
            for name in claimed:
                await store.client.delete(store.keys.identity(name))
        raise


async def _has(store: Store, account_id: str, identities: list[str]) -> bool:
    """Whether the account has a subscriber of just these identities."""
    account = await read_account(store, account_id)
    return account is not None and any(s.identities == identities for s in account.subscribers)
