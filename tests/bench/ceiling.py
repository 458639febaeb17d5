"""What the store itself can do: the server's own write (function, keys, sizes) from a client that decides nothing."""

import asyncio
import time

import msgspec

from ocs.store.connection import open_store
from ocs.store.keys import deadline_member
from ocs.store.pipe import Pipe, Words

from .processes import cpu_s

_ACCOUNTS = 10_000


class Ceiling(msgspec.Struct):
    """`depth` writes in a pipeline, one pipeline at a time."""

    depth: int
    per_second: float
    store_us: float
    client_us: float


async def measure(
    url: str, partitions: int, store_pid: int, sample: tuple[bytes, bytes, bytes], depth: int, seconds: float
) -> Ceiling:
    """`sample`: account, session and receipt as the server writes them; the account begins with its version."""
    store = await open_store(url, partitions)
    account, session, receipt = sample
    tail = account[account.index(b",") :]
    keys, pipe = store.keys, Pipe(store.client)
    versions = [0] * _ACCOUNTS
    names = [f"bare-{depth}-{number}" for number in range(_ACCOUNTS)]

    def write(number: int) -> Words:
        name, version = names[number], versions[number]
        versions[number] = version + 1
        partition = keys.partition_of(name)
        return (
            "FCALL", "octroi_commit", 4, keys.account(name), keys.deadlines(partition), keys.events(partition),
            keys.session(name, "s"), version, b'{"version":%d' % (version + 1) + tail, 1, session, 0,
            1_800_000_000_000, deadline_member(name, "s"), receipt,
        )  # fmt: skip

    try:
        at, done = 0, 0
        started, cpu, own = time.perf_counter(), cpu_s(store_pid), time.process_time()
        while time.perf_counter() - started < seconds:
            batch = [write((at + n) % _ACCOUNTS) for n in range(depth)]
            at += depth
            replies = await pipe.execute(batch)
            assert all(reply == 1 for reply in replies), replies[:3]
            done += depth
            await asyncio.sleep(0)
        elapsed = time.perf_counter() - started
        return Ceiling(
            depth, done / elapsed, (cpu_s(store_pid) - cpu) / done * 1e6, (time.process_time() - own) / done * 1e6
        )
    finally:
        await pipe.close()
        await store.close()
