"""The writer's view of the store: events after its positions, what it reports back, and whether events were missed.

Owns the reading side. Refuses to know files and records. Every method raises redis.exceptions.RedisError or OSError
when the store does not answer; it may simply be called again.
"""

from collections.abc import Iterable

import msgspec
import structlog
from redis.exceptions import ResponseError

from ocs.store.connection import Store
from ocs.store.events import START, Event, id_order, read_new, report_position

from .state import Position

log = structlog.get_logger("ocs.cdr")

CONSUMER = "cdr"
"""How the store knows us."""
AT_ONCE = 200
"""Events of one partition in a batch: some 10 MB for all 64 partitions, and enough that syncing costs little each."""
_CURRENCIES_KEPT = 200_000


class _Currency(msgspec.Struct):
    """Of a stored account, what matters here."""

    currency: str


class _Stream(msgspec.Struct):
    """What the store says of a partition's stream."""

    last: str
    added: int
    """Events it was ever given."""
    removed: int
    """Of these, how many are no longer there."""


_decode_currency = msgspec.json.Decoder(_Currency).decode


class Follower:
    """Reads the event streams for the writer."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.missed = 0
        """Events that were removed from the store before they were read."""
        self._reported: dict[int, str] = {}
        self._replaced: set[int] = set()
        self._currency_of: dict[str, str] = {}

    async def complete(self, positions: dict[int, Position]) -> dict[int, Position]:
        """Positions for all partitions of the store. Of those that `positions` does not have, what earlier files are
        known to have recorded, else their beginning.
        """
        partitions = range(self.store.keys.partitions)
        if positions.keys() == set(partitions):
            return positions
        new = [partition for partition in partitions if partition not in positions]
        values = await self._get([self.store.keys.position(partition, CONSUMER) for partition in new])
        if positions:
            log.error("the CDR files here were written from a store with another number of partitions: going on with "
                      "this one", files=len(positions), store=len(partitions))  # fmt: skip
        elif any(values):
            log.warning("no CDR files of ours are in the directory, and the store knows that CDRs were written: "
                        "going on from there, so that none is written twice")  # fmt: skip
        found = {
            partition: Position(START, 0) if value is None else Position(value.decode(), None)
            for partition, value in zip(new, values, strict=True)
        }
        return {partition: positions.get(partition) or found[partition] for partition in partitions}

    async def read(self, positions: dict[int, Position], block_ms: int) -> tuple[list[Event], bool]:
        """Events after `positions`, oldest first within each partition, and whether there may be more. Waits up to
        `block_ms` (at least 1) for the first.
        """
        ids = {partition: position.id for partition, position in positions.items()}
        events = await read_new(self.store, ids, AT_ONCE, block_ms)
        counts: dict[int, int] = {}
        for event in events:
            counts[event.partition] = counts.get(event.partition, 0) + 1
        return events, any(count >= AT_ONCE for count in counts.values())

    async def currencies(self, accounts: Iterable[str]) -> dict[str, str]:
        """The currency of each account that has one. An account keeps its currency for good."""
        known = self._currency_of
        if len(known) > _CURRENCIES_KEPT:
            known.clear()
        unknown = [account for account in set(accounts) if account and account not in known]
        values = await self._get([self.store.keys.account(account) for account in unknown])
        for account, value in zip(unknown, values, strict=True):
            try:
                if value is not None and (currency := _decode_currency(value).currency):
                    known[account] = currency
            except msgspec.MsgspecError as error:
                log.warning("stored account cannot be read: CDRs without currency", account=account, error=str(error))
        return known

    async def report(self, positions: dict[int, Position]) -> None:
        """Tells the store what is recorded, so that it need not be kept for us."""
        changed = {
            partition: position.id
            for partition, position in positions.items()
            if position.id not in (START, self._reported.get(partition))
        }
        if changed:
            await report_position(self.store, CONSUMER, changed)
            self._reported.update(changed)

    async def check(self, positions: dict[int, Position]) -> dict[int, Position]:
        """Compares how many events we have read with how many each stream was given. What was missed is logged as an
        error and counted once: the positions that are returned count it as read.
        """
        checked, missed, replaced = dict(positions), 0, []
        for partition, stream in (await self._streams(positions)).items():
            position = positions[partition]
            caught_up = stream.last == position.id
            if id_order(stream.last) < id_order(position.id):
                if partition not in self._replaced:
                    replaced.append(partition)
                checked[partition] = Position(position.id, None)
            elif position.count is None:
                if caught_up:
                    checked[partition] = Position(position.id, stream.added)
            else:
                gap = (stream.added if caught_up else stream.removed) - position.count
                if gap > 0:
                    missed += gap
                    checked[partition] = Position(position.id, position.count + gap)
        if missed:
            self.missed += missed
            log.error("events were removed from the store before their CDRs were written", events=missed)
        if replaced:
            self._replaced.update(replaced)
            log.error("the store ends before what was read of it: it was emptied, replaced, or restored from a backup; "
                      "its newer events are written, and what it held in between is not known",
                      partitions=len(replaced))  # fmt: skip
        return checked

    async def _streams(self, partitions: Iterable[int]) -> dict[int, _Stream]:
        pipeline = self.store.client.pipeline(transaction=False)
        for partition in partitions:
            pipeline.xinfo_stream(self.store.keys.events(partition))
        streams = {}
        for partition, info in zip(partitions, await pipeline.execute(raise_on_error=False), strict=True):
            if isinstance(info, ResponseError) and "no such key" in str(info).lower():
                streams[partition] = _Stream(START, 0, 0)
            elif isinstance(info, Exception):
                raise info
            else:
                added = int(info["entries-added"])
                last = info["last-generated-id"]
                last = last.decode() if isinstance(last, bytes) else str(last)
                streams[partition] = _Stream(last, added, added - int(info["length"]))
        return streams

    async def _get(self, keys: list[str]) -> list[bytes | None]:
        """The values of keys in any partition."""
        if not keys:
            return []
        pipeline = self.store.client.pipeline(transaction=False)
        for key in keys:
            pipeline.get(key)
        values: list[bytes | None] = await pipeline.execute()
        return values
