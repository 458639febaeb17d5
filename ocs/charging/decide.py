"""`decide`: the whole product in one pure function. State, a command, the catalogue and the time go in; the new state,
the answer and the receipt come out. Nothing else moves a balance.

    credit-control requests   session.py   (what a session is: duplicates, opening, closing, supervision)
                              service.py   (one service of a request: usage is paid, quota is reserved)
    operator's commands       account.py   (accounts, top-ups, offers, status)

A decision that changes nothing (a repeated request) has no receipt.
"""

from msgspec import Struct

from ocs.rating.catalogue import Catalogue

from . import account as operator
from . import session as credit_control
from .balance import expire
from .command import Command, CreditControl, ExpireSession
from .receipt import BucketChange, Receipt
from .settings import Settings
from .state import Account, Answer, Bucket, Session, State, duplicate


class Decision(Struct, gc=False):
    """The outcome of one command."""

    state: State
    """The new state; the given one where nothing changed."""
    receipt: Receipt | None
    """None: nothing changed and nothing needs to be written."""
    answer: Answer | None = None
    """To a credit-control request."""
    repeated: bool = False
    """The command had been carried out before."""


def decide(state: State, command: Command, catalogue: Catalogue, now: int, settings: Settings) -> Decision:
    """What `command` does to `state` at `now` (ms since 1970).

    Credit-control requests and the supervision timer always get a decision. An operator's command that cannot be
    carried out raises CommandRefused; so does anything that is asked of an account that does not exist.
    The given state is not changed.
    """
    account = state.account
    if account is None:
        if isinstance(command, CreditControl):
            return _decision(state, *credit_control.unknown_subscriber(state, command, catalogue, now))
        if isinstance(command, ExpireSession):
            return Decision(state, None)
        account_new, receipt = operator.create(command, now)
        return Decision(State(account_new, None), receipt)

    if isinstance(command, CreditControl) and state.session is not None:
        repeated = credit_control.repetition(state.session, command)
        if repeated is not None:
            return Decision(state, None, repeated, repeated=True)
    elif isinstance(command, ExpireSession) and not credit_control.is_overdue(state.session, now):
        return Decision(state, None)
    elif not isinstance(command, CreditControl | ExpireSession) and operator.was_applied(account, command):
        return Decision(state, None, repeated=True)

    before = account.buckets
    account = _working_copy(account)
    for bucket in account.buckets:
        expire(bucket, now)
    session: Session | None = state.session
    answer: Answer | None = None
    if isinstance(command, CreditControl):
        session, answer, receipt = credit_control.handle(account, session, command, catalogue, now, settings)
    elif isinstance(command, ExpireSession):
        assert session is not None
        session, receipt = credit_control.expire_session(account, session, catalogue, now)
    else:
        receipt = operator.apply(account, command, catalogue, now)
    account.version += 1
    receipt.account, receipt.version = account.id, account.version
    receipt.changes = _changes(before, account)
    return Decision(State(account, session), receipt, answer)


def _decision(state: State, answer: Answer, receipt: Receipt) -> Decision:
    return Decision(state, receipt, answer)


def _working_copy(account: Account) -> Account:
    account = duplicate(account)
    account.buckets = [duplicate(bucket) for bucket in account.buckets]
    return account


def _changes(before: list[Bucket], account: Account) -> list[BucketChange]:
    """The buckets that differ, new ones and ones that are gone included."""
    old = {bucket.id: bucket for bucket in before}
    changes = []
    for bucket in account.buckets:
        was = old.pop(bucket.id, None)
        if was is None:
            change = BucketChange(
                bucket.id, bucket.unit, 0, bucket.remaining, 0, bucket.reserved, credited=bucket.credited
            )
            changes.append(change)
        elif was != bucket:
            changes.append(
                BucketChange(
                    bucket.id,
                    bucket.unit,
                    was.remaining,
                    bucket.remaining,
                    was.reserved,
                    bucket.reserved,
                    bucket.spent - was.spent,
                    bucket.credited - was.credited,
                    bucket.expired - was.expired,
                )
            )
    changes.extend(
        BucketChange(was.id, was.unit, was.remaining, 0, expired=was.remaining) for was in old.values() if was.remaining
    )
    return changes
