"""Is the money right? Sums over every account and session in the store, and over the CDRs.

Three independent looks: the buckets' own books (credited = left + held + spent + expired), what the open sessions say
they hold against what the buckets say is held, and what the CDRs say was spent and credited against the buckets.
Reads only. May run beside a working server: an account that looks wrong is read again before it is called wrong.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
from redis.exceptions import ResponseError

from ocs.charging.balance import Proof
from ocs.charging.state import Account, Session
from ocs.rating.catalogue import Unit
from ocs.store.connection import Store
from ocs.store.keys import ANY_ACCOUNT, is_account_id, split_member
from ocs.store.work import decode_account, decode_session
from ocs.units import parse_money_micro

_LOOKS = 5


class Audit:
    """The result: `problems` is empty when everything is right."""

    def __init__(self) -> None:
        self.accounts = 0
        self.open_sessions = 0
        self.proofs: dict[Unit, Proof] = {}
        self.problems: list[str] = []
        self.currencies: set[str] = set()

    @property
    def holds(self) -> bool:
        return not self.problems


async def audit(store: Store) -> Audit:
    """Looks at the whole store: one pass over its keys."""
    result = Audit()
    sessions = defaultdict(list)
    for partition in range(store.keys.partitions):
        for member in await store.client.zrange(store.keys.deadlines(partition), 0, -1):
            account_id, session_id = split_member(member.decode())
            sessions[account_id].append(session_id)
    seen = set()
    async for key in store.client.scan_iter(match=ANY_ACCOUNT, count=1000):
        name = key.decode(errors="replace")
        account_id = name.partition(":account:")[2]
        if account_id in seen or not is_account_id(account_id) or name != store.keys.account(account_id):
            continue  # SCAN may give a key more than once; a key of another kind may look like an account's
        seen.add(account_id)
        await _look(store, account_id, sessions.pop(account_id, []), result)
    result.problems += [f"sessions of account {account_id}, which does not exist" for account_id in sessions]
    return result


async def _look(store: Store, account_id: str, session_ids: list[str], result: Audit) -> None:
    """Checks one account; what looks wrong is read again, since a running server may have been between two steps."""
    looks = 0
    while True:
        looks += 1
        try:
            account, sessions = await _read(store, account_id, session_ids)
        except (msgspec.MsgspecError, ResponseError) as error:
            result.problems.append(f"account {account_id}: it, or a session of it, cannot be read: {error}")
            return
        if account is None:
            return  # gone since it was listed
        problems = check_account(account, sessions)
        if not problems or looks == _LOOKS:
            break
        members = await store.client.zrange(store.keys.deadlines(store.keys.partition_of(account_id)), 0, -1)
        pairs = [split_member(member.decode()) for member in members]
        session_ids = [session_id for owner, session_id in pairs if owner == account_id]
    result.problems += problems
    result.accounts += 1
    result.open_sessions += len(sessions)
    result.currencies.add(account.currency)
    for bucket in account.buckets:
        result.proofs.setdefault(bucket.unit, Proof()).add(bucket)
    for unit, totals in account.gone.items():
        result.proofs.setdefault(Unit(unit), Proof()).add_gone(totals)


async def _read(store: Store, account_id: str, session_ids: list[str]) -> tuple[Account | None, list[Session]]:
    """The account and those of its sessions that are open, as of one moment. Raises MsgspecError or ResponseError."""
    transaction = store.client.pipeline(transaction=True)
    transaction.get(store.keys.account(account_id))
    for session_id in session_ids:
        transaction.get(store.keys.session(account_id, session_id))
    values = await transaction.execute()
    sessions = [decode_session(value) for value in values[1:] if value]
    account = decode_account(values[0]) if values[0] else None
    return account, [session for session in sessions if session.deadline]


def check_account(account: Account, sessions: Iterable[Session]) -> list[str]:
    """What is wrong with an account and its open sessions, in words."""
    problems = []
    held: Counter[str] = Counter()
    for session in sessions:
        for use in session.services.values():
            for hold in use.holds:
                held[hold.bucket] += hold.amount
    for bucket in account.buckets:
        proof = Proof()
        proof.add(bucket)
        name = f"account {account.id}, bucket {bucket.id}"
        if not proof.holds:
            parts = f"left {proof.left} + held {proof.held} + spent {proof.spent} + expired {proof.expired}"
            problems.append(f"{name}: credited {proof.credited} is not {parts}")
        if held.pop(bucket.id, 0) != bucket.reserved:
            problems.append(f"{name}: {bucket.reserved} is held, but the open sessions hold another amount")
    problems += [f"account {account.id}: sessions hold of bucket {bucket}, which does not exist" for bucket in held]
    return problems


class CdrSums:
    """What the CDR files of a directory add up to, by unit: spent, credited, expired; and records seen twice."""

    def __init__(self) -> None:
        self.records = 0
        self.files = 0
        self.twice: list[str] = []
        self.spent: Counter[str] = Counter()
        self.credited: Counter[str] = Counter()
        self.expired: Counter[str] = Counter()


def read_cdrs(directory: Path) -> CdrSums:
    """The sums over the closed JSON lines files of a directory."""
    sums = CdrSums()
    seen: set[str] = set()
    for path in sorted(directory.glob("*.jsonl")):
        sums.files += 1
        with path.open() as lines:
            for line in lines:
                record = json.loads(line)
                sums.records += 1
                if record["record_id"] in seen:
                    sums.twice.append(record["record_id"])
                seen.add(record["record_id"])
                for debit in record["debited"] or ():
                    sums.spent[debit["unit"]] += _whole(debit["unit"], debit["amount"])
                if record["amount"] is not None:
                    counter = sums.credited if record["record_type"] == "credit" else sums.expired
                    counter[record["unit"]] += _whole(record["unit"], record["amount"])
    return sums


def _whole(unit: str, amount: str) -> int:
    """An amount as a CDR has it, in units or millionths."""
    return parse_money_micro(amount) if unit == Unit.MONEY else int(amount)


def compare(result: Audit, sums: CdrSums) -> list[str]:
    """Where the CDRs and the buckets disagree; only meaningful when the CDRs are complete and the server rests."""
    problems = [f"CDR {record_id} is there twice" for record_id in sums.twice]
    for unit in sorted({*result.proofs, *sums.spent, *sums.credited, *sums.expired}):
        proof = result.proofs.get(Unit(unit), Proof())
        for name, mine, theirs in (
            ("spent", proof.spent, sums.spent[unit]),
            ("credited", proof.credited, sums.credited[unit]),
            ("expired", proof.expired, sums.expired[unit]),
        ):
            if mine != theirs:
                problems.append(f"{unit}: the accounts say {mine} {name}, the CDRs {theirs}")
    return problems
