"""Group commit: takes commands, decides them on the accounts' states, writes, and only then says what was decided.

Commands that arrive while a write is under way leave together in the next one, a single pipeline with one call an
account; commands for one account within it are decided one after another in memory and written once. An account's
state is read when it is first needed and kept; if somebody else has changed it meanwhile, the write is refused, brings
the fresh state, and the commands are decided again.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.exceptions import NoScriptError, RedisError, ResponseError

from ocs.charging.command import Command, CommandRefused, CreditControl, ExpireSession
from ocs.charging.decide import Decision, decide
from ocs.charging.receipt import Receipt
from ocs.charging.settings import Settings
from ocs.charging.state import Account, Session, SessionState, State
from ocs.rating.catalogue import Catalogue

from .connection import Store, load_functions
from .keys import deadline_member
from .pipe import Pipe, Words

log = structlog.get_logger("ocs.store")

_encode = msgspec.json.Encoder().encode
decode_account = msgspec.json.Decoder(Account).decode
decode_session = msgspec.json.Decoder(Session).decode

OPEN_SESSION_INDEX_MS = 30 * 86_400_000
"""How long the index from Session-Id to account is kept for a session that was opened; a month outlives any session."""
_TRIES = 100
"""An account changed by others this often in a row is not contention any more but a fault."""

Done = Callable[["Decision | Exception"], None]


class StoreUnavailable(RuntimeError):
    """The store did not confirm the write. It may have been carried out: a repeated request will find out."""


class _Work:
    """The commands of one account that wait for the next write."""

    __slots__ = ("account_id", "commands", "tries")

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.commands: list[tuple[Command, Done]] = []
        self.tries = 0


class _Known:
    """What is known of an account: its state as of the last write or read."""

    __slots__ = ("account", "sessions")

    def __init__(self, account: Account | None) -> None:
        self.account = account
        self.sessions: dict[str, Session | None] = {}


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


class _Planned:
    """One account's part of a pipeline: what was decided and is to be written."""

    __slots__ = ("account", "base", "decisions", "receipts", "sessions", "work")

    def __init__(self, work: _Work, account: Account | None) -> None:
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
        pipeline_accounts: int = 128,
    ) -> None:
        self.store = store
        self.catalogue = catalogue
        self.settings = settings
        self.clock = clock
        """Milliseconds since 1970."""
        self.counters = Counters()
        self._retention_ms = session_retention_s * 1000
        self._accounts_kept = accounts_kept
        self._pipeline_accounts = pipeline_accounts
        self._known: dict[str, _Known] = {}
        self._accounts_of: dict[str, str] = {}
        """Identity (`kind:value`) to account id, as found in the store."""
        self._waiting: dict[str, _Work] = {}
        self._unresolved: list[tuple[list[str], Command, Done]] = []
        self._pipe = Pipe(store.client)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    # --- taking commands ----------------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ledger")

    async def close(self) -> None:
        """Carries out what was submitted, then stops."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._pipe.close()

    @property
    def backlog(self) -> int:
        """Commands that wait for the next write."""
        return sum(len(work.commands) for work in self._waiting.values()) + len(self._unresolved)

    def submit(self, account_id: str, command: Command, done: Done) -> None:
        """Carries `command` out on the account; "" means an account that does not exist. `done` is called with the
        decision once it is written, or with CommandRefused, StoreUnavailable, or whatever else went wrong.
        """
        work = self._waiting.get(account_id)
        if work is None:
            work = self._waiting[account_id] = _Work(account_id)
        work.commands.append((command, done))
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

    async def _run(self) -> None:
        while True:
            if not self._waiting and not self._unresolved:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._unresolved:
                await self._guarded(self._resolve, self._take_unresolved())
            works = self._take()
            if works:
                await self._guarded(self._carry_out, works)

    async def _guarded(self, step: Callable[[Any], Any], batch: list[Any]) -> None:
        """Runs a step for a batch. What the step did not finish fails with StoreUnavailable; the ledger goes on."""
        try:
            await step(batch)
        except (RedisError, OSError) as error:
            self._fail(batch, StoreUnavailable(str(error) or type(error).__name__))
            log.warning("store did not confirm", error=str(error), commands=len(batch))
        except Exception as error:
            self._fail(batch, error)
            log.exception("unexpected failure in the ledger")

    def _fail(self, batch: list[Any], error: Exception) -> None:
        self.counters.failures += 1
        for item in batch:
            if isinstance(item, _Work):
                self._known.pop(item.account_id, None)
                commands, item.commands = item.commands, []
                for _, done in commands:
                    _tell(done, error)
            else:
                _tell(item[2], error)

    def _take_unresolved(self) -> list[tuple[list[str], Command, Done]]:
        batch, self._unresolved = self._unresolved, []
        return batch

    def _take(self) -> list[_Work]:
        waiting = self._waiting
        if len(waiting) <= self._pipeline_accounts:
            self._waiting = {}
            return list(waiting.values())
        return [waiting.pop(account_id) for account_id in list(waiting)[: self._pipeline_accounts]]

    async def _resolve(self, batch: list[tuple[list[str], CreditControl, Done]]) -> None:
        """Finds the accounts of identities that are not known yet."""
        keys = self.store.keys
        names = []
        for identities, command, _ in batch:
            names += [keys.identity(identity) for identity in identities] or [keys.where(command.session)]
        found = iter(await self._get(names))
        if len(self._accounts_of) > self._accounts_kept:
            self._accounts_of.clear()
        for identities, command, done in batch:
            account_id = ""
            for identity in identities:
                value = next(found)
                if value is not None and not account_id:
                    account_id = self._accounts_of[identity] = value.decode()
                    command.identity = identity
            if not identities:
                value = next(found)
                account_id = value.decode() if value is not None else ""
            elif not account_id:
                command.identity = identities[0]
            self.submit(account_id, command, done)

    async def _carry_out(self, works: list[_Work]) -> None:
        await self._read(works)
        now = self.clock()
        planned = [self._plan(work, now) for work in works]
        to_write = [plan for plan in planned if plan.receipts]
        if to_write:
            await self._write(to_write)
        for plan in planned:
            if not plan.receipts:
                _tell_all(plan)

    async def _read(self, works: list[_Work]) -> None:
        """Gets the states that are not known yet. A work whose state cannot be read fails and leaves `works`."""
        keys, known = self.store.keys, self._known
        if len(known) > self._accounts_kept:
            for account_id in list(known)[: self._accounts_kept // 10]:
                del known[account_id]
        wanted: list[tuple[_Work, str | None]] = []
        for work in works:
            if not work.account_id:
                continue
            state = known.get(work.account_id)
            if state is None:
                wanted.append((work, None))
            for command, _ in work.commands:
                session = session_of(command)
                if session is not None and (state is None or session not in state.sessions):
                    wanted.append((work, session))
        if not wanted:
            return
        names = [
            keys.account(work.account_id) if session is None else keys.session(work.account_id, session)
            for work, session in wanted
        ]
        for (work, session), value in zip(wanted, await self._get(names), strict=True):
            try:
                if session is None:
                    known[work.account_id] = _Known(decode_account(value) if value else None)
                elif work.account_id in known:
                    known[work.account_id].sessions[session] = decode_session(value) if value else None
            except msgspec.MsgspecError as error:
                log.warning("stored state cannot be read", account=work.account_id, session=session, error=str(error))
                self._fail([work], StoreUnavailable(f"what is stored of account {work.account_id} cannot be read"))
                if work in works:
                    works.remove(work)

    async def _get(self, names: list[str]) -> list[bytes | None]:
        """The values of keys in any partition."""
        values = await self._pipe.execute([("GET", name) for name in names])
        for value in values:
            if isinstance(value, Exception):
                raise value
        return values

    def _plan(self, work: _Work, now: int) -> _Planned:
        """Decides the work's commands one after another. Changes nothing that is known."""
        state = self._known.get(work.account_id) or _Known(None)
        plan = _Planned(work, state.account)
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

    async def _write(self, plans: list[_Planned]) -> None:
        started = time.perf_counter()
        commands: list[Words] = []
        positions = []
        for plan in plans:
            self._add_index(commands, plan)
            positions.append(len(commands))
            self._add_commit(commands, plan)
        results = await self._pipe.execute(commands)
        self.counters.pipelines += 1
        self.counters.pipeline_s += time.perf_counter() - started
        for plan, position in zip(plans, positions, strict=True):
            result = results[position]
            if isinstance(result, list):
                self._conflict(plan, result)
            elif isinstance(result, Exception):
                await self._refused(plan, result)
            else:
                self._written(plan)

    def _add_index(self, commands: list[Words], plan: _Planned) -> None:
        """Keeps the index from Session-Id to account, for requests that name no subscriber. It stands in another
        partition, so it is written beside the commit: before it for a new session, and dangling does no harm.
        """
        known = self._known.get(plan.work.account_id)
        for session_id, session in plan.sessions.items():
            is_new = known is None or known.sessions.get(session_id) is None
            if session.state is SessionState.CLOSED:
                keep = self._retention_ms
            elif is_new:
                keep = OPEN_SESSION_INDEX_MS
            else:
                continue
            commands.append(("SET", self.store.keys.where(session_id), session.account, "PX", keep))

    def _add_commit(self, commands: list[Words], plan: _Planned) -> None:
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

    def _written(self, plan: _Planned) -> None:
        self.counters.commits += 1
        self.counters.events += len(plan.receipts)
        if plan.work.account_id:
            state = self._known.get(plan.work.account_id)
            if state is None:
                state = self._known[plan.work.account_id] = _Known(None)
            state.account = plan.account
            for session_id, session in plan.sessions.items():
                if session.state is SessionState.OPEN:
                    state.sessions[session_id] = session
                else:
                    state.sessions.pop(session_id, None)  # rarely needed again; the store has it
        _tell_all(plan)

    def _conflict(self, plan: _Planned, stored: list[bytes]) -> None:
        """Somebody else changed the account. What is stored now came with the refusal; decide again."""
        self.counters.conflicts += 1
        work = plan.work
        state = self._known[work.account_id] = _Known(decode_account(stored[0]) if stored[0] else None)
        for session_id, value in zip(plan.sessions, stored[1:], strict=True):
            state.sessions[session_id] = decode_session(value) if value else None
        work.tries += 1
        if work.tries >= _TRIES:
            self._fail(
                [work], StoreUnavailable(f"account {work.account_id} changed {_TRIES} times while being written")
            )
            return
        later = self._waiting.pop(work.account_id, None)
        if later is not None:
            work.commands += later.commands
        self._waiting = {work.account_id: work, **self._waiting}

    async def _refused(self, plan: _Planned, error: Exception) -> None:
        self._known.pop(plan.work.account_id, None)
        if isinstance(error, NoScriptError) or (isinstance(error, ResponseError) and "unction not found" in str(error)):
            # A store that was emptied or replaced: it has to learn the function again.
            await load_functions(self.store.client)
            plan.work.tries += 1
            if plan.work.tries < _TRIES:
                later = self._waiting.pop(plan.work.account_id, None)
                plan.work.commands += later.commands if later is not None else []
                self._waiting[plan.work.account_id] = plan.work
                return
        self._fail([plan.work], StoreUnavailable(str(error)))
        log.error("store refused a write", account=plan.work.account_id, error=str(error))


def _tell_all(plan: _Planned) -> None:
    plan.work.commands = []
    for done, result in plan.decisions:
        _tell(done, result)


def _tell(done: Done, result: Decision | Exception) -> None:
    try:
        done(result)
    except Exception:
        log.exception("whoever asked could not take the answer")
