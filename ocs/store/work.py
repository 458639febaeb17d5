"""What passes through the ledger: commands that wait, what is known of accounts, what was decided. Plain data."""

from collections.abc import Callable

import msgspec
import structlog

from ocs.charging.command import Command, CreditControl, ExpireSession
from ocs.charging.decide import Decision
from ocs.charging.receipt import Receipt
from ocs.charging.state import Account, Session

log = structlog.get_logger("ocs.store")

decode_account = msgspec.json.Decoder(Account).decode
decode_session = msgspec.json.Decoder(Session).decode

Done = Callable[["Decision | Exception"], None]
Unresolved = tuple[list[str], CreditControl, Done]
"""Identities, the command, and whom to tell."""


class StoreUnavailable(RuntimeError):
    """The store did not confirm the write. It may have been carried out: a repeated request will find out."""


class Work:
    """The commands of one account that wait for the next write."""

    __slots__ = ("account_id", "commands", "tries")

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.commands: list[tuple[Command, Done]] = []
        self.tries = 0


class Known:
    """What is known of an account: its state as of the last write or read."""

    __slots__ = ("account", "sessions")

    def __init__(self, account: Account | None) -> None:
        self.account = account
        self.sessions: dict[str, Session] = {}
        """The open ones that were needed. Closed ones are read again each time: few are asked for."""


class Counters:
    """What the ledger has done since it started."""

    def __init__(self) -> None:
        self.commits = 0
        """Accounts written."""
        self.pipelines = 0
        self.conflicts = 0
        self.failures = 0
        self.events = 0
        self.pipeline_s = 0.0


class Planned:
    """One account's part of a pipeline: what was decided and is to be written."""

    __slots__ = ("account", "base", "decisions", "receipts", "sessions", "work")

    def __init__(self, work: Work, account: Account | None) -> None:
        self.work = work
        self.account = account
        self.base = 0 if account is None else account.version
        """The version that the write expects to find."""
        self.sessions: dict[str, Session] = {}
        self.receipts: list[Receipt] = []
        self.decisions: list[tuple[Done, Decision | Exception]] = []


def session_of(command: Command) -> str | None:
    """The session a command is about."""
    return command.session if isinstance(command, CreditControl | ExpireSession) else None


def tell_all(plan: Planned) -> None:
    """Says to everybody what was decided for them."""
    plan.work.commands = []
    for done, result in plan.decisions:
        tell(done, result)


def tell(done: Done, result: Decision | Exception) -> None:
    """Says what was decided. Whoever cannot take it harms nobody else."""
    try:
        done(result)
    except Exception:
        log.exception("whoever asked could not take the answer")
