"""The CDR writer: reads events, writes their records, says how far it came; and the process around it.

Owns the loop, its patience with a store or disk that fails, and the end of the process. Refuses to know what a record
says (`record`), how it gets to disk once (`files`), and how events are read (`follow`).
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog
from redis.exceptions import RedisError

from ocs.config import Config, EventsKept
from ocs.store import events as streams
from ocs.store.connection import Store, StoreError, open_store
from ocs.store.embedded import EmbeddedStoreError, EmbeddedValkey
from ocs.store.events import Event

from .disk import CdrError, Directory
from .files import FileSet
from .follow import CONSUMER, Follower
from .record import records_of
from .state import Position

log = structlog.get_logger("ocs.cdr")

PAUSE_S = 0.5
"""Between batches that are not full: a batch costs four syncs of the disk, which the store may share."""
_BLOCK_MS = 300
"""How long the store is asked to wait for an event; also how soon a stop or the age of a file is noticed."""
_CHECK_EVERY_S = 60.0
_TRIM_EVERY_S = 15.0
_PARENT_LOOK_S = 0.5
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0

T = TypeVar("T")


class CdrWriter:
    """Writes the CDRs of a store into a directory. Open from its making to `close`; one at a time for a directory.

    `rotate_size` in octets, `formats` of "jsonl" and "csv", `clock` in milliseconds since 1970. Raises CdrError when
    the directory cannot be used; its kinds are described in `disk`.
    """

    def __init__(
        self,
        store: Store,
        directory: Path,
        rotate_size: int,
        rotate_age_s: int,
        formats: Sequence[str],
        clock: Callable[[], int],
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.files = FileSet(Directory(directory), formats, rotate_size, rotate_age_s * 1000, clock)
        self.follower = Follower(store)
        self._pause_s = pause_s
        self._check_at = -1.0

    async def run(self, stop: asyncio.Event) -> None:
        """Writes until `stop` is set, and then what is there. Raises nothing: what fails is logged and tried again."""
        retry_s = _FIRST_RETRY_S
        while not stop.is_set():
            try:
                read, more = await self._step(_BLOCK_MS)
            except Exception as error:
                _complain(error, retry_s)
                self._check_at = -1.0
                await _wait(stop, retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s = _FIRST_RETRY_S
                if read and not more:
                    await _wait(stop, self._pause_s)
        try:
            await self.drain()
        except Exception as error:
            log.warning("stopping before all CDRs are written; the next start goes on from there", error=repr(error))

    async def drain(self) -> int:
        """Writes and records everything that the streams hold now. Returns how many records that were.

        Raises CdrError, RedisError or OSError, and MsgspecError for an event that cannot be read; nothing is lost then.
        """
        before, more = self.files.recorded, True
        while more:
            _, more = await self._step(1)
        return self.files.recorded - before

    def close(self) -> None:
        """Closes the open file, and lets go of the directory. Raises CdrError; the next start closes the file then."""
        try:
            self.files.settle()
            self.files.close_file()
        finally:
            self.files.release()

    async def _step(self, block_ms: int) -> tuple[int, bool]:
        """One batch. Returns how many events were read, and whether there may be more."""
        self.files.settle()
        await self._check()
        events, more = await self.follower.read(self.files.positions, block_ms)
        currencies = await self.follower.currencies(event.receipt.account for event in events)
        self._write(events, currencies)
        self.files.rotate_if_due()
        await self.follower.report(self.files.positions)
        return len(events), more

    async def _check(self) -> None:
        """Finds where to begin, and from time to time whether events were missed."""
        if time.monotonic() < self._check_at:
            return
        positions = await self.follower.complete(self.files.positions)
        self.files.checkpoint(await self.follower.check(positions))
        self._check_at = time.monotonic() + _CHECK_EVERY_S

    def _write(self, events: Sequence[Event], currencies: dict[str, str]) -> None:
        files = self.files
        positions = dict(files.positions)
        try:
            for event in events:
                files.add(records_of(event, currencies.get(event.receipt.account)))
                count = positions[event.partition].count
                positions[event.partition] = Position(event.id, None if count is None else count + 1)
                if files.is_full:
                    files.checkpoint(dict(positions))
            files.checkpoint(positions)
        except BaseException:
            files.discard()
            raise


async def run_writer(config: Config, parent: int | None = None) -> None:
    """The CDR writer as a process of its own: until SIGTERM or SIGINT, or until the process that started it is gone
    (`parent`, its process id; without it, whoever is the parent now). Then writes what is there, closes the open file,
    and returns. What fails before is logged and tried again.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch = loop.create_task(_watch_parent(os.getppid() if parent is None else parent, stop), name="parent")
    embedded = None if config.store.url is not None else EmbeddedValkey(config.store.data, config.store.fsync)
    try:
        store = await _patiently(lambda: _open(config, embedded), stop)
        if store is not None:
            try:
                await _write_until(stop, config, store)
            finally:
                await store.close()
    finally:
        watch.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


async def _write_until(stop: asyncio.Event, config: Config, store: Store) -> None:
    async def make() -> CdrWriter:
        cdr = config.cdr
        return CdrWriter(store, cdr.directory, cdr.rotate_size_octets, cdr.rotate_age_s, cdr.formats, _clock)

    # The writer of a server that was killed may have the directory for a moment yet.
    writer = await _patiently(make, stop)
    if writer is None:
        return
    log.info("writing CDRs", directory=str(config.cdr.directory), formats=list(config.cdr.formats))
    # Told to end, not cancelled: before Python 3.12 redis-py may lose a cancellation (asyncio.wait_for, gh-86296).
    ended = asyncio.Event()
    trimming = asyncio.get_running_loop().create_task(_trim_until(ended, store, config.store.events_kept), name="trim")
    try:
        await writer.run(stop)
    finally:
        ended.set()
        await trimming
        try:
            writer.close()
        except CdrError as error:
            log.warning("could not close the CDR file; the next start goes on with it", error=str(error))
    log.info("stopped writing CDRs", records=writer.files.recorded, files=writer.files.closed)


async def _open(config: Config, embedded: EmbeddedValkey | None) -> Store:
    if embedded is None:
        assert config.store.url is not None
        return await open_store(config.store.url.get_secret_value(), config.store.partitions)
    await asyncio.to_thread(embedded.start)
    return await open_store(embedded.url, config.store.partitions)


async def _patiently(attempt: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
    """Its result, however often it must be tried; once even when told to stop already. None when told to stop before it
    succeeds.
    """
    retry_s = _FIRST_RETRY_S
    while True:
        try:
            return await attempt()
        except (CdrError, StoreError, EmbeddedStoreError) as error:
            _complain(error, retry_s)
        if stop.is_set():
            return None
        await _wait(stop, retry_s)
        retry_s = min(2 * retry_s, _LAST_RETRY_S)


async def _trim_until(ended: asyncio.Event, store: Store, kept: EventsKept) -> None:
    """Keeps the streams at the size the configuration says; never drops what is not recorded in our files."""
    while True:
        await _wait(ended, _TRIM_EVERY_S)
        if ended.is_set():
            return
        try:
            dropped = await streams.trim(store, [CONSUMER], _clock() - kept.age_s * 1000, kept.count_per_partition)
            if dropped:
                log.debug("trimmed the event streams", events=dropped)
        except Exception as error:
            log.warning("could not trim the event streams", error=repr(error))


async def _watch_parent(parent: int, stop: asyncio.Event) -> None:
    """Stops when whoever started this process has ended without a word."""
    while os.getppid() == parent:  # noqa: ASYNC110  the system tells nobody
        await asyncio.sleep(_PARENT_LOOK_S)
    log.warning("the server that started this CDR writer is gone")
    stop.set()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _complain(error: Exception, retry_s: float) -> None:
    if isinstance(error, CdrError):
        log.error("cannot write CDRs; nothing is lost, trying again", error=str(error), seconds=retry_s)
    elif isinstance(error, msgspec.MsgspecError):
        log.error("an event cannot be read; waiting for a program that can", error=str(error), seconds=retry_s)
    elif isinstance(error, StoreError | EmbeddedStoreError):
        log.warning("the store cannot be opened; trying again", error=str(error), seconds=retry_s)
    elif isinstance(error, RedisError | OSError):
        log.warning("the store is away; trying again", error=str(error), seconds=retry_s)
    else:
        log.exception("unexpected failure in the CDR writer; trying again", exc_info=error)


def _clock() -> int:
    return time.time_ns() // 1_000_000
