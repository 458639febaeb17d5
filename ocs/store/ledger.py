"""Group commit: takes commands, decides them on the accounts' states, writes, and only then says what was decided.

Commands that arrive while a write is under way leave together in the next one, a single pipeline with one call an
account; commands for one account within it are decided one after another in memory and written once. Where many wait,
another lane decides and writes them meanwhile, so that server and store both have work; an account is in one lane.

An account's state is read when it is first needed and kept; if somebody else has changed it meanwhile, the write is
refused, brings the fresh state, and the commands are decided again.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import structlog
from redis.exceptions import NoScriptError, RedisError, ResponseError

from ocs.charging.command import Command, CommandRefused, CreditControl
from ocs.charging.decide import Decision, decide
from ocs.charging.settings import Settings
from ocs.charging.state import SessionState, State
from ocs.rating.catalogue import Catalogue

from .connection import Store, load_functions
from .keys import deadline_member
from .pipe import Pipe, Words
from .work import (
    Counters,
    Done,
    Known,
    Planned,
    StoreUnavailable,
    Unresolved,
    Work,
    decode_account,
    decode_session,
    session_of,
    tell,
    tell_all,
)

log = structlog.get_logger("ocs.store")

_encode = msgspec.json.Encoder().encode

OPEN_SESSION_INDEX_MS = 400 * 86_400_000
"""How long the index from Session-Id to account is kept for a session that was opened: longer than any is open, meters
and trackers included. It is shortened when the session is closed.
"""
_TRIES = 100
"""An account changed by others this often in a row is not contention any more but a fault."""
_COMPLAIN_EVERY_S = 1.0
_LANES = 3
"""Measured: two overlap server and store, the third fills the gap while the disk is waited for."""
_NEXT_LANE_FROM = 24
"""Accounts that wait before another lane starts beside those at work: with fewer, one larger batch is cheaper."""


class Ledger:
    """The only writer of accounts and sessions. One for each process; several processes may share a store."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        settings: Settings,
        *,
        clock: Callable[[], int],
        session_retention_s: int = 3600,
        accounts_kept: int = 100_000,
        pipeline_accounts: int = 64,
    ) -> None:
        self.store = store
        self.catalogue = catalogue
        self.settings = settings
        self.clock = clock
        """Milliseconds since 1970."""
        self.counters = Counters()
        self._retention_ms = max(1, session_retention_s * 1000)
        """At least 1: to the store's function, 0 means for ever."""
        self._accounts_kept = accounts_kept
        self._pipeline_accounts = pipeline_accounts
        self._known: dict[str, Known] = {}
        self._accounts_of: dict[str, str] = {}
        """Identity (`kind:value`) to account id, as found in the store."""
        self._waiting: dict[str, Work] = {}
        self._unresolved: list[Unresolved] = []
        self._closed_indices: list[Words] = []
        """For the next write: how long the index of sessions that were closed is still kept."""
        self._complained_at = -math.inf
        self._unsaid = 0
        self._busy: set[str] = set()
        """Accounts that a lane is at work on."""
        self._lanes_at_work = 0
        self._wake = asyncio.Event()
        self._lanes: list[asyncio.Task[None]] = []
        self._closing = False

    # --- taking commands ----------------------------------------------------------------------------------------

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._lanes = [loop.create_task(self._run(Pipe(self.store.client)), name=f"ledger {n}") for n in range(_LANES)]

    async def close(self) -> None:
        """Carries out what was submitted, then stops."""
        self._closing = True
        self._wake.set()
        await asyncio.gather(*self._lanes)

    @property
    def backlog(self) -> int:
        """Commands that wait for the next write. Other threads may ask."""
        return sum(len(work.commands) for work in list(self._waiting.values())) + len(self._unresolved)

    def submit(self, account_id: str, command: Command, done: Done) -> None:
        """Carries `command` out on the account; "" means an account that does not exist. `done` is called with the
        decision once it is written, or with CommandRefused, StoreUnavailable, or whatever else went wrong.
        """
        work = self._waiting.get(account_id)
        if work is None:
            work = self._waiting[account_id] = Work(account_id)
        work.commands.append((command, done))
        if not self._lanes_at_work or len(self._waiting) >= _NEXT_LANE_FROM:
            self._wake.set()

    def submit_for(self, identities: list[str], command: CreditControl, done: Done) -> None:
        """The same for the account of the first of `identities` (`kind:value`) that has one; without any identity,
        for the account that the session belongs to. The identity found is noted in the command.
        """
        accounts_of = self._accounts_of
        for identity in identities:
            account_id = accounts_of.get(identity)
            if account_id is not None:
                command.identity = identity
                self.submit(account_id, command, done)
                return
        self._unresolved.append((identities, command, done))
        self._wake.set()

    async def execute(self, account_id: str, command: Command) -> Decision:
        """`submit`, awaited. Raises what `done` would be given."""
        if self._closing:
            raise StoreUnavailable("the ledger is closed")
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

        def done(result: Decision | Exception) -> None:
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(account_id, command, done)
        return await future

    # --- writing ------------------------------------------------------------------------------------------------

    async def _run(self, pipe: Pipe) -> None:
        """One lane: a pipeline at a time, until the ledger closes and nothing is left to do."""
        try:
            while True:
                unresolved, works = self._take()
                if unresolved or works:
                    self._lanes_at_work += 1
                    await self._guarded(partial(self._resolve, pipe), unresolved)
                    await self._guarded(partial(self._carry_out, pipe), works)
                    self._lanes_at_work -= 1
                    self._busy.difference_update(work.account_id for work in works)
                    self._wake.set()  # what waited for these accounts, or for a lane
                elif self._closing and not self._waiting and not self._unresolved:
                    return
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            if self._closed_indices:
                indices, self._closed_indices = self._closed_indices, []
                with contextlib.suppress(RedisError, OSError):
                    await pipe.execute(indices)
            await pipe.close()

    def _take(self) -> tuple[list[Unresolved], list[Work]]:
        """What a lane may do now: nothing if another is at work and little waits, since a larger batch is cheaper."""
        if self._lanes_at_work and len(self._waiting) < _NEXT_LANE_FROM and not self._closing:
            return [], []
        unresolved, self._unresolved = self._unresolved, []
        waiting, busy = self._waiting, self._busy
        if not busy and len(waiting) <= self._pipeline_accounts:
            self._waiting = {}
            works = list(waiting.values())
        else:
            free = (account_id for account_id in waiting if account_id not in busy)
            works = [waiting.pop(account_id) for account_id in list(islice(free, self._pipeline_accounts))]
        busy.update(work.account_id for work in works)
        return unresolved, works

    async def _guarded(self, step: Callable[[Any], Any], batch: list[Any]) -> None:
        """Runs a step for a batch. What the step did not finish fails with StoreUnavailable; the ledger goes on."""
        if not batch:
            return
        try:
            await step(batch)
        except (RedisError, OSError) as error:
            self._fail(batch, StoreUnavailable(str(error) or type(error).__name__))
            self._complain("store did not confirm", error, len(batch))
        except Exception as error:
            self._fail(batch, error)
            log.exception("unexpected failure in the ledger")

    def _complain(self, what: str, error: Exception, accounts: int) -> None:
        """A log line, at most one a second: while the store is away, every batch fails."""
        self._unsaid += accounts
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_EVERY_S:
            log.error(what, error=str(error) or type(error).__name__, accounts=self._unsaid)
            self._complained_at, self._unsaid = now, 0

    def _fail(self, batch: list[Any], error: Exception) -> None:
        self.counters.failures += 1
        for item in batch:
            if isinstance(item, Work):
                self._known.pop(item.account_id, None)
                commands, item.commands = item.commands, []
                for _, done in commands:
                    tell(done, error)
            else:
                tell(item[2], error)

    async def _resolve(self, pipe: Pipe, batch: list[Unresolved]) -> None:
        """Finds the accounts of identities that are not known yet."""
        keys = self.store.keys
        names = []
        for identities, command, _ in batch:
            names += [keys.identity(identity) for identity in identities] or [keys.where(command.session)]
        found = iter(await pipe.execute([("GET", name) for name in names]))
        if len(self._accounts_of) > self._accounts_kept:
            self._accounts_of.clear()
        for identities, command, done in batch:
            values = [next(found) for _ in range(len(identities) or 1)]
            wrong = next((value for value in values if isinstance(value, Exception)), None)
            if wrong is not None:
                self.counters.failures += 1
                self._complain("an identity or session cannot be looked up", wrong, 1)
                tell(done, StoreUnavailable(str(wrong)))
                continue
            place = next((place for place, value in enumerate(values) if value is not None), None)
            account_id = "" if place is None else values[place].decode(errors="replace")
            if identities:
                command.identity = identities[place or 0]
                if account_id:
                    self._accounts_of[command.identity] = account_id
            self.submit(account_id, command, done)

    async def _carry_out(self, pipe: Pipe, works: list[Work]) -> None:
        closed = await self._read(pipe, works)
        now = self.clock()
        planned = [self._plan(work, now) for work in works]
        to_write = [plan for plan in planned if plan.receipts]
        if to_write:
            await self._write(pipe, to_write)
        for account_id, session_id in closed:
            if account_id in self._known:
                self._known[account_id].sessions.pop(session_id, None)
        for plan in planned:
            if not plan.receipts:
                tell_all(plan)

    def _forget_some(self) -> None:
        """Keeps what is known within its bound. At least what is too much goes, at best a tenth, so that this is rare;
        what a lane is at work on stays.
        """
        known = self._known
        if len(known) > self._accounts_kept:
            surplus = max(len(known) - self._accounts_kept, self._accounts_kept // 10)
            for account_id in [name for name in islice(known, surplus + len(self._busy)) if name not in self._busy]:
                del known[account_id]

    async def _read(self, pipe: Pipe, works: list[Work]) -> list[tuple[str, str]]:
        """Gets the states that are not known yet. A work whose state cannot be read fails and leaves `works`. Returns
        account and id of closed sessions, which are known for this batch only.
        """
        self._forget_some()
        wanted = [(work, sessions) for work in works if (sessions := self._unknown_of(work)) is not None]
        if not wanted:
            return []
        keys = self.store.keys
        commands: list[Words] = []
        ends: list[int] = []
        for work, sessions in wanted:
            # An account and its sessions are read as of one moment: a session newer than its account, or older, would
            # not fit the account's books.
            commands += (("MULTI",), ("GET", keys.account(work.account_id)))
            commands += [("GET", keys.session(work.account_id, session_id)) for session_id in sessions]
            commands.append(("EXEC",))
            ends.append(len(commands) - 1)
        replies = await pipe.execute(commands)
        closed: list[tuple[str, str]] = []
        for (work, sessions), end in zip(wanted, ends, strict=True):
            try:
                closed += self._learn(work.account_id, sessions, replies[end])
            except (msgspec.MsgspecError, ResponseError) as error:
                self._unreadable(work, error)
                works.remove(work)
                self._busy.discard(work.account_id)
        return closed

    def _unknown_of(self, work: Work) -> list[str] | None:
        """None if all that the work needs is known; else the sessions that have to be read with the account."""
        if not work.account_id:
            return None
        state = self._known.get(work.account_id)
        sessions = {session for command, _ in work.commands if (session := session_of(command)) is not None}
        # An account that does not exist may be made by anybody.
        if state is not None and state.account is not None and sessions <= state.sessions.keys():
            return None
        return list(sessions)

    def _learn(self, account_id: str, sessions: list[str], values: Any) -> list[tuple[str, str]]:
        """Takes over what was read, and returns the closed sessions among it. Raises MsgspecError and ResponseError."""
        if isinstance(values, Exception):
            raise values
        wrong = next((value for value in values if isinstance(value, Exception)), None)
        if wrong is not None:
            raise wrong
        account = decode_account(values[0]) if values[0] else None
        found = {name: decode_session(value) for name, value in zip(sessions, values[1:], strict=True) if value}
        state = self._known.get(account_id)
        if state is None or state.account is None or account is None or state.account.version != account.version:
            state = self._known[account_id] = Known(account)
        state.sessions.update(found)
        return [(account_id, name) for name, session in found.items() if session.state is SessionState.CLOSED]

    def _unreadable(self, work: Work, error: Exception) -> None:
        """What is stored of one account, or of a session of it, makes no sense. The others go on."""
        self._fail([work], StoreUnavailable(f"what is stored of account {work.account_id} cannot be read"))
        log.error("stored state cannot be read", account=work.account_id, error=str(error))

    def _plan(self, work: Work, now: int) -> Planned:
        """Decides the work's commands one after another. Changes nothing that is known."""
        state = self._known.get(work.account_id) or Known(None)
        plan = Planned(work, state.account)
        for command, done in work.commands:
            session_id = session_of(command)
            session = None
            if session_id is not None:
                session = plan.sessions.get(session_id) or state.sessions.get(session_id)
            try:
                decision = decide(State(plan.account, session), command, self.catalogue, now, self.settings)
            except CommandRefused as refusal:
                plan.decisions.append((done, refusal))
                continue
            except Exception as error:
                log.exception("a command could not be decided", account=work.account_id, command=repr(command)[:500])
                plan.decisions.append((done, error))
                continue
            plan.decisions.append((done, decision))
            if decision.receipt is not None:
                plan.receipts.append(decision.receipt)
                plan.account = decision.state.account
                if session_id is not None and decision.state.session is not None:
                    plan.sessions[session_id] = decision.state.session
        return plan

    async def _write(self, pipe: Pipe, plans: list[Planned]) -> None:
        started = time.perf_counter()
        commands, self._closed_indices = self._closed_indices, []
        positions = []
        for plan in plans:
            self._add_index(commands, plan)
            positions.append(len(commands))
            self._add_commit(commands, plan)
        results = await pipe.execute(commands)
        self.counters.pipelines += 1
        self.counters.pipeline_s += time.perf_counter() - started
        refused: list[tuple[Planned, Exception]] = []
        for plan, position in zip(plans, positions, strict=True):
            result = results[position]
            if isinstance(result, list):
                self._conflict(plan, result)
            elif isinstance(result, Exception):
                refused.append((plan, result))
            else:
                self._written(plan)
        if refused:
            await self._refused(refused)

    def _add_index(self, commands: list[Words], plan: Planned) -> None:
        """Keeps the index from Session-Id to account, for requests that name no subscriber. It stands in another
        partition, so it is written beside the commit: before it for a new session, since dangling does no harm; after
        it (see `_written`) when an open session has been closed, since the commit may yet be refused.
        """
        known = self._known.get(plan.work.account_id)
        for session_id, session in plan.sessions.items():
            before = None if known is None else known.sessions.get(session_id)
            if before is None or before.state is SessionState.CLOSED:
                keep = OPEN_SESSION_INDEX_MS if session.state is SessionState.OPEN else self._retention_ms
                commands.append(("SET", self.store.keys.where(session_id), session.account, "PX", keep))

    def _add_commit(self, commands: list[Words], plan: Planned) -> None:
        keys, work = self.store.keys, plan.work
        if plan.account is None:
            commands += [
                ("XADD", keys.events(keys.partition_of(receipt.session)), "*", "e", _encode(receipt))
                for receipt in plan.receipts
            ]
            return
        partition = keys.partition_of(work.account_id)
        arguments: list[Any] = [plan.base, _encode(plan.account), len(plan.sessions)]
        names = [keys.account(work.account_id), keys.deadlines(partition), keys.events(partition)]
        for session_id, session in plan.sessions.items():
            names.append(keys.session(work.account_id, session_id))
            keep = self._retention_ms if session.state is SessionState.CLOSED else 0
            arguments += (_encode(session), keep, session.deadline, deadline_member(work.account_id, session_id))
        arguments += [_encode(receipt) for receipt in plan.receipts]
        commands.append(("FCALL", "octroi_commit", len(names), *names, *arguments))

    def _written(self, plan: Planned) -> None:
        self.counters.commits += 1
        self.counters.events += len(plan.receipts)
        if plan.account is None:
            for command, _ in plan.work.commands:
                # Where an identity leads is remembered as long as there is an account.
                self._accounts_of.pop(getattr(command, "identity", ""), None)
        else:
            state = self._known.get(plan.work.account_id)
            if state is None:
                state = self._known[plan.work.account_id] = Known(None)
            state.account = plan.account
            for session_id, session in plan.sessions.items():
                if session.state is SessionState.OPEN:
                    state.sessions[session_id] = session
                elif state.sessions.pop(session_id, None) is not None:
                    where = self.store.keys.where(session_id)
                    self._closed_indices.append(("SET", where, session.account, "PX", self._retention_ms))
        tell_all(plan)

    def _conflict(self, plan: Planned, stored: list[bytes]) -> None:
        """Somebody else changed the account. What is stored now came with the refusal; decide again."""
        self.counters.conflicts += 1
        work = plan.work
        try:
            state = Known(decode_account(stored[0]) if stored[0] else None)
            for session_id, value in zip(plan.sessions, stored[1:], strict=True):
                if value and (session := decode_session(value)).state is SessionState.OPEN:
                    state.sessions[session_id] = session
        except msgspec.MsgspecError as error:
            self._unreadable(work, error)
            return
        self._known[work.account_id] = state
        work.tries += 1
        if work.tries >= _TRIES:
            self._fail(
                [work], StoreUnavailable(f"account {work.account_id} changed {_TRIES} times while being written")
            )
            return
        self._put_back(work)

    async def _refused(self, refused: list[tuple[Planned, Exception]]) -> None:
        """The store answered with an error: nothing was written of these."""
        if any(_is_function_missing(error) for _, error in refused):
            await load_functions(self.store.client)  # a store that was emptied or replaced has to learn it again
        for plan, error in refused:
            work = plan.work
            self._known.pop(work.account_id, None)
            work.tries += 1
            if _is_function_missing(error) and work.tries < _TRIES:
                self._put_back(work)
            else:
                self._fail([work], StoreUnavailable(str(error)))
                self._complain("store refused a write", error, 1)

    def _put_back(self, work: Work) -> None:
        """The work is to be done again, before everything else."""
        later = self._waiting.pop(work.account_id, None)
        if later is not None:
            work.commands += later.commands
        self._waiting = {work.account_id: work, **self._waiting}


def _is_function_missing(error: Exception) -> bool:
    return isinstance(error, NoScriptError) or "unction not found" in str(error)
