"""Money under any interleaving: requests, repetitions, top-ups, expiries, and restarts of server and store, against the
real store with two servers that do not know of each other.

The model knows nothing of buckets and holds. It remembers what clients reported, once each, and what was put in; every
octet reported must be found as spent octets, spent money (a millionth an octet), or on record as uncharged.
"""

import asyncio
import itertools
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from ocs.audit import audit
from ocs.charging.command import (
    BuyOffer,
    CreateAccount,
    CreditControl,
    CreditMoney,
    RequestType,
    ServiceRequest,
)
from ocs.charging.receipt import Receipt, Verdict
from ocs.charging.settings import Settings
from ocs.charging.state import Answer, Subscriber
from ocs.rating.catalogue import Unit
from ocs.rating.catalogue_file import parse_catalogue
from ocs.store.connection import open_store
from ocs.store.embedded import EmbeddedValkey
from ocs.store.events import history
from ocs.store.ledger import Ledger
from ocs.store.sweeper import sweep

PARTITIONS = 2
CATALOGUE = parse_catalogue(
    """
version: model
currency: EUR
quotas:
  octets: {default: 500, maximum: 1000, minimum: 1, validity: 1 h, threshold: 20 %}
services:
  one: {context: 32251, rating_group: 1, unit: octets}
  two: {context: 32251, rating_group: 2, unit: octets}
offers:
  small:
    name: Small
    allowances:
      - {id: data, amount: 700, services: [one, two], validity: 30 d}
  priced:
    name: Priced
    prices: {one: 0.000001 per B}
"""
)
ACCOUNTS = ("a", "b")
OPTIONS = settings(
    max_examples=int(os.environ.get("OCS_MONEY_EXAMPLES", "60")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def is_forgotten(answer: Answer) -> bool:
    """A repetition that came when its answer was no longer kept."""
    return answer.result_code == 5012


def is_unknown_session(answer: Answer) -> bool:
    """As opposed to a session that was closed, to which late usage is charged."""
    return answer.result_code == 5002 and answer.text == "no session has this Session-Id"


class Money(RuleBasedStateMachine):
    """See the module. `now` is virtual; the store is real."""

    sent = Bundle("sent")

    directory: tempfile.TemporaryDirectory[str]
    valkey: EmbeddedValkey
    runner: asyncio.Runner

    @classmethod
    def open(cls) -> None:
        cls.directory = tempfile.TemporaryDirectory()
        cls.valkey = EmbeddedValkey(Path(cls.directory.name))
        cls.valkey.start()
        cls.runner = asyncio.Runner()

    @classmethod
    def shut(cls) -> None:
        cls.runner.close()
        cls.valkey.stop()
        cls.directory.cleanup()

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_700_000_000_000
        self.ids = itertools.count()
        self.numbers: dict[tuple[str, str], int] = {}
        self.answers: dict[tuple[str, str, int], Answer] = {}
        """The answer to each request, by account, session and number."""
        self.reported = dict.fromkeys(ACCOUNTS, 0)
        """Octets in requests that were answered, each request once."""
        self.money = dict.fromkeys(ACCOUNTS, 0)
        self.octets = dict.fromkeys(ACCOUNTS, 0)
        self.credits: dict[str, str] = {}
        self.amounts: dict[str, int] = {}

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    # --- the world ------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        async def work() -> None:
            store = await open_store(self.valkey.url, PARTITIONS)
            await store.client.flushall()
            await store.close()

        self.run(work())
        self.run(self.connect())
        for name in ACCOUNTS:
            self.run(self.servers[0].execute(name, CreateAccount(name, [Subscriber(name, [f"msisdn:{name}"])])))

    async def connect(self) -> None:
        self.stores = [await open_store(self.valkey.url, PARTITIONS) for _ in range(2)]
        self.servers = [
            Ledger(store, CATALOGUE, Settings(answers_kept=3), clock=lambda: self.now) for store in self.stores
        ]
        for server in self.servers:
            server.start()

    async def disconnect(self) -> None:
        for server in self.servers:
            await server.close()
        for store in self.stores:
            await store.close()

    def teardown(self) -> None:
        if hasattr(self, "servers"):
            self.run(self.disconnect())

    @rule()
    def restart_servers(self) -> None:
        self.run(self.disconnect())
        self.run(self.connect())

    @rule(gently=st.booleans())
    def restart_store(self, gently: bool) -> None:
        self.run(self.disconnect())
        if gently:
            self.valkey.stop()
        else:
            assert self.valkey._process is not None
            os.kill(self.valkey._process.pid, signal.SIGKILL)
            self.valkey._process.wait()
            self.valkey.stop()
        self.valkey.start()
        self.run(self.connect())

    @rule(seconds=st.sampled_from([1, 600, 3600, 9000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @rule(server=st.integers(0, 1))
    def supervise(self, server: int) -> None:
        self.run(sweep(self.servers[server], self.now))

    # --- what people and clients do -------------------------------------------------------------------------------

    @rule(account=st.sampled_from(ACCOUNTS), amount=st.integers(1, 900), server=st.integers(0, 1))
    def top_up(self, account: str, amount: int, server: int) -> None:
        name = f"t{next(self.ids)}"
        self.run(self.servers[server].execute(account, CreditMoney(name, amount)))
        self.credits[name] = account
        self.amounts[name] = amount
        self.money[account] += amount

    @precondition(lambda self: self.credits)
    @rule(data=st.data(), server=st.integers(0, 1))
    def top_up_again(self, data: st.DataObject, server: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.credits)[-20:]))
        decision = self.run(self.servers[server].execute(self.credits[name], CreditMoney(name, self.amounts[name])))
        assert decision.repeated

    @rule(account=st.sampled_from(ACCOUNTS), offer=st.sampled_from(["small", "priced"]), server=st.integers(0, 1))
    def buy(self, account: str, offer: str, server: int) -> None:
        self.run(self.servers[server].execute(account, BuyOffer(f"o{next(self.ids)}", offer)))
        self.octets[account] += 700 if offer == "small" else 0

    def request(self, kind: RequestType, account: str, session: str, services: list[ServiceRequest]) -> CreditControl:
        number = self.numbers[account, session] = self.numbers.get((account, session), -1) + 1
        return CreditControl(
            kind, f"{account}-{session}", number, "32251", services, f"msisdn:{account}", fingerprint=number
        )

    @rule(
        target=sent,
        kind=st.sampled_from([RequestType.INITIAL, RequestType.UPDATE, RequestType.UPDATE, RequestType.TERMINATION]),
        account=st.sampled_from(ACCOUNTS),
        session=st.sampled_from(["s", "t"]),
        groups=st.lists(st.sampled_from([1, 2, 3]), max_size=2, unique=True),
        asks=st.sampled_from([None, 0, 50, 5000]),
        used=st.none() | st.integers(0, 1500),
        server=st.integers(0, 1),
    )
    def send(
        self,
        kind: RequestType,
        account: str,
        session: str,
        groups: list[int],
        asks: int | None,
        used: int | None,
        server: int,
    ) -> tuple[str, CreditControl]:
        requested: dict[str, int] | None = None if asks is None else ({} if asks == 0 else {Unit.OCTETS: asks})
        reports: dict[str, int] | None = None
        if used is not None and kind is not RequestType.INITIAL:
            reports = {Unit.OCTETS: used}
        services = [ServiceRequest(group, None, requested, reports) for group in groups]
        command = self.request(kind, account, session, services)
        self.answer(account, command, self.run(self.servers[server].execute(account, command)).answer)
        return account, command

    @rule(target=sent, account=st.sampled_from(ACCOUNTS), amount=st.integers(1, 300), server=st.integers(0, 1))
    def event(self, account: str, amount: int, server: int) -> tuple[str, CreditControl]:
        wish = ServiceRequest(1, None, {Unit.OCTETS: amount})
        command = self.request(RequestType.EVENT, account, f"e{next(self.ids)}", [wish])
        answer = self.run(self.servers[server].execute(account, command)).answer
        self.answer(account, command, answer)
        if answer.result_code == 2001:
            self.reported[account] += amount
        return account, command

    @rule(request=sent, server=st.integers(0, 1))
    def repeat(self, request: tuple[str, CreditControl], server: int) -> None:
        account, command = request
        self.answer(account, command, self.run(self.servers[server].execute(account, command)).answer, again=True)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        used=st.lists(st.integers(0, 400), min_size=2, max_size=4),
        server=st.integers(0, 1),
    )
    def burst(self, account: str, used: list[int], server: int) -> None:
        """Several updates at once, each sent to both servers, one of them out of order."""
        commands = [
            self.request(RequestType.UPDATE, account, "s", [ServiceRequest(1, None, {}, {Unit.OCTETS: amount})])
            for amount in used
        ]

        async def work() -> list[Any]:
            twice = [self.servers[(server + n) % 2].execute(account, c) for c in reversed(commands) for n in (0, 1)]
            return await asyncio.gather(*twice)

        decisions = self.run(work())
        for command, first, second in zip(reversed(commands), decisions[::2], decisions[1::2], strict=True):
            self.answer(account, command, first.answer)
            self.answer(account, command, second.answer, again=True)

    def answer(self, account: str, command: CreditControl, answer: Answer, again: bool = False) -> None:
        """Takes an answer down, and holds a repetition's against the first."""
        key = (account, command.session, command.number)
        known = self.answers.get(key)
        if is_unknown_session(answer) or (known is not None and is_forgotten(answer)):
            return  # nothing was charged, and the report is on record as lost
        if known is not None and again and not is_forgotten(known):
            assert answer == known
            return
        self.answers[key] = answer
        if known is None:
            self.reported[account] += sum((s.used or {}).get(Unit.OCTETS, 0) for s in command.services)

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def money_is_right(self) -> None:
        if not hasattr(self, "servers"):
            return
        result = self.run(audit(self.stores[0]))
        assert result.holds, result.problems
        receipts = self.run(self.receipts())
        for account in ACCOUNTS:
            mine = [receipt for receipt in receipts if receipt.account == account]
            assert [receipt.version for receipt in mine] == list(range(1, len(mine) + 1)), "versions have gaps"
            uncharged = sum(
                service.uncharged
                for receipt in mine
                if receipt.verdict is not Verdict.UNKNOWN_SESSION
                for service in receipt.services
            )
            spent = sum(change.spent for receipt in mine for change in receipt.changes)
            credited = dict.fromkeys(Unit, 0)
            for receipt in mine:
                for change in receipt.changes:
                    credited[change.unit] += change.credited
            assert spent + uncharged == self.reported[account]
            assert credited[Unit.MONEY] == self.money[account]
            assert credited[Unit.OCTETS] == self.octets[account]

    async def receipts(self) -> list[Receipt]:
        found = [event.receipt for partition in range(PARTITIONS) async for event in history(self.stores[0], partition)]
        return sorted(found, key=lambda receipt: receipt.version)


def test_money_is_never_wrong() -> None:
    """Runs the machine."""
    from hypothesis.stateful import run_state_machine_as_test

    Money.open()
    try:
        run_state_machine_as_test(Money, settings=OPTIONS)
    finally:
        Money.shut()
