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

from .keys import split_member
from .ledger import Ledger
from .work import StoreUnavailable

log = structlog.get_logger("ocs.store")

_AT_ONCE = 200
"""Sessions closed in one go and partition, so that a crowd that ends at once does not hold up requests."""


async def sweep(ledger: Ledger, now: int) -> int:
    """Closes what is overdue at `now` (ms). Returns how many sessions were closed.

    A session that cannot be closed (its account cannot be read) is logged and does not keep others from it. Raises
    RedisError or OSError when the store is away.
    """
    store = ledger.store
    partitions = range(store.keys.partitions)
    pipeline = store.client.pipeline(transaction=False)
    for partition in partitions:
        pipeline.zcount(store.keys.deadlines(partition), "-inf", now)
    counts = await pipeline.execute()
    closed = 0
    for partition, overdue in zip(partitions, counts, strict=True):
        skip = 0
        while overdue and skip >= 0:
            done, skip = await _sweep_some(ledger, partition, now, skip)
            closed += done
    return closed


async def _sweep_some(ledger: Ledger, partition: int, now: int, skip: int) -> tuple[int, int]:
    """Looks at the next overdue sessions of a partition, but for the first `skip`. Returns how many were closed, and
    how many to skip next time, since they stay; -1: there are no more.
    """
    client, key = ledger.store.client, ledger.store.keys.deadlines(partition)
    members = await client.zrangebyscore(key, "-inf", now, start=skip, num=_AT_ONCE)
    sessions = [split_member(member.decode()) for member in members]
    decisions = await asyncio.gather(
        *(ledger.execute(account, ExpireSession(session)) for account, session in sessions), return_exceptions=True
    )
    closed = 0
    for member, (account, session), decision in zip(members, sessions, decisions, strict=True):
        if isinstance(decision, BaseException):
            if not isinstance(decision, StoreUnavailable):
                log.error("a silent session cannot be closed", account=account, session=session, error=repr(decision))
            skip += 1
        elif decision.receipt is not None:
            closed += 1
        elif decision.state.session is None or decision.state.session.deadline == 0:
            # A deadline without an open session: left by hand or by a restored backup.
            await client.zrem(key, member)
        else:
            skip += 1
    return closed, skip if len(members) == _AT_ONCE else -1


async def sweep_until(stop: asyncio.Event, ledger: Ledger, clock: Callable[[], int], every_s: float = 1.0) -> None:
    """Sweeps until `stop` is set. A store that is away is tried again.

    Stopped by an event and never cancelled: a cancellation in the middle of a command can be taken for a time-out.
    """
    while not stop.is_set():
        try:
            closed = await sweep(ledger, clock())
            if closed:
                log.info("closed silent sessions", sessions=closed)
        except (RedisError, OSError) as error:
            log.warning("could not look for silent sessions", error=str(error))
        except Exception:
            log.exception("unexpected failure while looking for silent sessions; trying again")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
