"""Reading the event streams: receipts by partition, for consumers that follow them and for people who look back.

A consumer remembers where it stands itself; `report_position` only tells the store, so that streams can be trimmed
behind the slowest of them.
"""

from collections.abc import AsyncIterator

import msgspec

from ocs.charging.receipt import Receipt

from .connection import Store

_decode_receipt = msgspec.json.Decoder(Receipt).decode

_TRIM_AT_ONCE = 2000
"""Events of a partition beyond the count to keep that one pass drops: about 2 MB to read."""

START = "0-0"
"""Before the first event of a stream."""


class Event(msgspec.Struct):
    """A receipt with its place: partition and stream id (`ms-n`, ascending within the partition)."""

    partition: int
    id: str
    receipt: Receipt


def id_order(event_id: str) -> tuple[int, int]:
    """A stream id in comparable form."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


async def read_new(store: Store, positions: dict[int, str], count: int, block_ms: int) -> list[Event]:
    """Events after `positions` (by partition), at most `count` a partition; waits up to `block_ms` for one."""
    streams = {store.keys.events(partition): position for partition, position in positions.items()}
    reply = await store.client.xread(streams, count=count, block=block_ms)
    partition_of = {store.keys.events(partition).encode(): partition for partition in positions}
    pairs = reply.items() if isinstance(reply, dict) else reply or []
    events = []
    for name, entries in pairs:
        for entry_id, fields in entries[0] if isinstance(reply, dict) else entries:
            events.append(Event(partition_of[name], entry_id.decode(), _decode_receipt(fields[b"e"])))
    return events


async def history(store: Store, partition: int, page: int = 500) -> AsyncIterator[Event]:
    """All events of a partition that the store still keeps, oldest first."""
    last = "-"
    while True:
        entries = await store.client.xrange(store.keys.events(partition), min=last, count=page)
        for entry_id, fields in entries:
            yield Event(partition, entry_id.decode(), _decode_receipt(fields[b"e"]))
        if len(entries) < page:
            return
        last = f"({entries[-1][0].decode()}"


async def report_position(store: Store, consumer: str, positions: dict[int, str]) -> None:
    """Tells the store that the consumer is done with everything up to `positions`."""
    pipeline = store.client.pipeline(transaction=False)
    for partition, position in positions.items():
        pipeline.set(store.keys.position(partition, consumer), position)
    await pipeline.execute()


async def trim(store: Store, consumers: list[str], keep_from_ms: int, keep_count: int) -> int:
    """Drops events that every consumer is done with and that are older than `keep_from_ms` or beyond the newest
    `keep_count` of their partition. Returns how many were dropped.
    """
    dropped = 0
    for partition in range(store.keys.partitions):
        stream = store.keys.events(partition)
        done = [START if (p := await store.client.get(store.keys.position(partition, c))) is None else p.decode()
                for c in consumers]  # fmt: skip
        oldest_wanted = f"{keep_from_ms}-0"
        length = await store.client.xlen(stream)
        if length > keep_count:
            # The boundary has to be looked for by reading; a large backlog is dropped in several passes.
            entries = await store.client.xrange(stream, count=min(length - keep_count, _TRIM_AT_ONCE))
            if entries:
                oldest_wanted = max(oldest_wanted, _after(entries[-1][0].decode()), key=id_order)
        limit = min([oldest_wanted, *[_after(position) for position in done]], key=id_order)
        if id_order(limit) > (0, 1):
            dropped += await store.client.xtrim(stream, minid=limit, approximate=False)
    return dropped


def _after(event_id: str) -> str:
    milliseconds, number = id_order(event_id)
    return f"{milliseconds}-{number + 1}"
