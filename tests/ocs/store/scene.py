"""What the tests of this folder share: a catalogue, a ledger on an empty store, and requests to give it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from ocs.audit import audit
from ocs.charging.command import (
    BuyOffer,
    Command,
    CreateAccount,
    CreditControl,
    CreditMoney,
    RequestType,
    ServiceRequest,
)
from ocs.charging.decide import Decision
from ocs.charging.receipt import Receipt
from ocs.charging.settings import Settings
from ocs.charging.state import Account, Session, Subscriber
from ocs.rating.catalogue import Unit
from ocs.rating.catalogue_file import parse_catalogue
from ocs.store.connection import Store, open_store
from ocs.store.directory import read_account
from ocs.store.embedded import EmbeddedValkey
from ocs.store.events import history
from ocs.store.ledger import Ledger
from ocs.store.sessions import find_session

PARTITIONS = 4
NOW = 1_800_000_000_000
"""A moment in 2027, in milliseconds: the clock of the ledgers."""
CATALOGUE = parse_catalogue("""\
version: store
currency: EUR
quotas:
  octets: {default: 1000, maximum: 5000, minimum: 1, validity: 10 min, threshold: 0 %}
services:
  internet: {context: 32251, rating_group: 10, unit: octets}
offers:
  data:
    name: Data
    allowances:
      - {id: data, amount: 1000000, services: [internet]}
  priced:
    name: Priced
    prices: {internet: 0.000001 per B}
""")
INITIAL, UPDATE, TERMINATION, EVENT = RequestType
VALIDITY_MS = 600_000
OVERDUE_MS = 2 * VALIDITY_MS + 60_000
"""After so much silence a session that holds quota is closed."""


def ccr(kind: RequestType, number: int, used: int | None = None, *, session: str = "s", msisdn: str = "49") -> Any:
    """A request for rating group 10 that reports `used` octets."""
    wish: dict[str, int] | None = None if kind is TERMINATION else {}
    report: dict[str, int] | None = None if used is None else {Unit.OCTETS: used}
    if kind is EVENT:
        wish, report = {Unit.OCTETS: used or 1}, None
    services = [ServiceRequest(10, None, wish, report)]
    # What an identity is was settled before; the gateway's fingerprint is another's business.
    return CreditControl(
        kind, session, number, "32251", services, f"msisdn:{msisdn}", fingerprint=number * 1000 + (used or 0)
    )


class Scene:
    """An empty store with ledgers that share a clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = NOW
        self.store: Store
        self.ledger: Ledger
        self._stores: list[Store] = []
        self._ledgers: list[Ledger] = []

    async def open(self) -> None:
        self.store = await open_store(self.url, PARTITIONS)
        self._stores.append(self.store)
        self.ledger = await self.another_ledger(self.store)

    async def close(self) -> None:
        for ledger in self._ledgers:
            await ledger.close()
        for store in self._stores:
            await store.close()

    async def another_ledger(self, store: Store | None = None, url: str | None = None, **options: Any) -> Ledger:
        """A ledger as another process would have it, with a connection of its own; started."""
        if store is None:
            store = await open_store(url or self.url, PARTITIONS)
            self._stores.append(store)
        ledger = Ledger(store, CATALOGUE, Settings(answers_kept=3), clock=lambda: self.now, **options)
        self._ledgers.append(ledger)
        ledger.start()
        return ledger

    async def add(self, name: str = "a", *identities: str, offer: str = "data", ledger: Ledger | None = None) -> None:
        """An account with an offer; known by its name as an MSISDN, unless `identities` say otherwise."""
        ledger = ledger or self.ledger
        for identity in identities:
            await self.store.client.set(self.store.keys.identity(identity), name)
        await ledger.execute(name, CreateAccount(name, [Subscriber(name, list(identities) or [f"msisdn:{name}"])]))
        await ledger.execute(name, BuyOffer(f"{name}-offer", offer))

    async def top_up(self, name: str, micro: int, key: str = "t", ledger: Ledger | None = None) -> Decision:
        return await (ledger or self.ledger).execute(name, CreditMoney(key, micro))

    async def account(self, name: str = "a") -> Account:
        """As stored."""
        account = await read_account(self.store, name)
        assert account is not None
        return account

    async def session(self, name: str = "s") -> Session | None:
        """As stored."""
        return await find_session(self.store, name)

    async def spent(self, name: str = "a") -> int:
        return sum(bucket.spent for bucket in (await self.account(name)).buckets)

    async def held(self, name: str = "a") -> int:
        return sum(bucket.reserved for bucket in (await self.account(name)).buckets)

    async def until(self, look: Callable[[], Awaitable[int]], wanted: int | None = None) -> None:
        """Returns when `look` gives what is wanted, or, without that, anything but 0."""
        async with asyncio.timeout(10):
            while (found := await look()) != wanted and (wanted is not None or not found):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def receipts(self, name: str | None = None) -> list[Receipt]:
        """All, or those of an account, in the order of their partition's stream."""
        found = [event.receipt for p in range(PARTITIONS) async for event in history(self.store, p)]
        return [receipt for receipt in found if name in (None, receipt.account)]

    async def check(self) -> None:
        """Money is right, and no account's receipts have a gap."""
        result = await audit(self.store)
        assert result.holds, result.problems
        versions: dict[str, list[int]] = {}
        for receipt in await self.receipts():
            if receipt.account:
                versions.setdefault(receipt.account, []).append(receipt.version)
        for name, numbers in versions.items():
            assert numbers == list(range(1, len(numbers) + 1)), f"account {name}"
            assert (await self.account(name)).version == len(numbers)


Act = Callable[[Scene], Awaitable[None]]
Play = Callable[[Act], None]


@asynccontextmanager
async def opened_scene(url: str) -> AsyncIterator[Scene]:
    """On an emptied store, which has been told again how it is laid out."""
    store = await open_store(url, PARTITIONS)
    await store.client.flushall()
    await store.close()
    scene = Scene(url)
    await scene.open()
    try:
        yield scene
    finally:
        await scene.close()


def player(valkey: EmbeddedValkey) -> Play:
    """Runs an async test on an empty scene of that server."""

    async def run(act: Act) -> None:
        async with opened_scene(valkey.url) as scene:
            await act(scene)

    return lambda act: asyncio.run(run(act))


class Asked:
    """A command that was submitted, and what `done` was called with."""

    def __init__(self, ledger: Ledger, command: Command, account: str | None = None, *identities: str) -> None:
        self.results: list[Decision | Exception] = []
        self.told = asyncio.Event()
        if account is not None:
            ledger.submit(account, command, self._done)
        else:
            assert isinstance(command, CreditControl)
            ledger.submit_for(list(identities), command, self._done)

    def _done(self, result: Decision | Exception) -> None:
        self.results.append(result)
        self.told.set()

    async def result(self) -> Decision | Exception:
        async with asyncio.timeout(30):
            await self.told.wait()
        (result,) = self.results
        return result

    async def decision(self) -> Decision:
        result = await self.result()
        if isinstance(result, Exception):
            raise result
        return result
