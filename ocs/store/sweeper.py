"""Closes sessions that were silent for too long: the supervision timer Tcc of RFC 8506, as one sorted set a partition.

Looks at deadlines that have passed and has the ledger decide; a session that was heard of meanwhile is left alone.
Several sweepers may run: what one has closed, the other finds closed.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from ocs.charging.command import ExpireSession

from .keys import deadline_member, split_member
from .ledger import Ledger, StoreUnavailable

log = structlog.get_logger("ocs.store")

_AT_ONCE = 200
"""Sessions closed in one go and partition, so that a crowd that ends at once does not hold up requests."""


async def sweep(ledger: Ledger, now: int) -> int:
    """Closes what is overdue at `now` (ms). Returns how many sessions were closed."""
    store, closed = ledger.store, 0
    for partition in range(store.keys.partitions):
        while True:
            key = store.keys.deadlines(partition)
            members = await store.client.zrangebyscore(key, "-inf", now, start=0, num=_AT_ONCE)
            commands = [split_member(member.decode()) for member in members]
            decisions = await asyncio.gather(
                *(ledger.execute(account, ExpireSession(session)) for account, session in commands)
            )
            progress = 0
            for (account, session), decision in zip(commands, decisions, strict=True):
                if decision.receipt is not None:
                    closed += 1
                    progress += 1
                elif decision.state.session is None or decision.state.session.deadline == 0:
                    # A deadline without an open session: left by hand or by a restored backup.
                    progress += await store.client.zrem(key, deadline_member(account, session))
            if len(members) < _AT_ONCE or not progress:
                break
    return closed


async def sweep_until(stop: asyncio.Event, ledger: Ledger, clock: Callable[[], int], every_s: float = 1.0) -> None:
    """Sweeps until `stop` is set. A store that is away is tried again.

    Stopped by an event and never cancelled: a cancellation in the middle of a command can be taken for a time-out.
    """
    while not stop.is_set():
        try:
            closed = await sweep(ledger, clock())
            if closed:
                log.info("closed silent sessions", sessions=closed)
        except (RedisError, OSError, StoreUnavailable) as error:
            log.warning("could not look for silent sessions", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
