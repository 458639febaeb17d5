"""The CDR files of a directory: written, rotated, and each record in them exactly once, whatever ends the writer when.

    cdr-20261120T101500Z-000042.jsonl.open    being written
    cdr-20261120T101500Z-000042.jsonl         closed: complete, never changed again; this is what downstream takes
    state.json                                what counts as written: sizes of the open files, positions in the events

Owns the order of steps. Records are put on disk beyond the sizes in the state; then the state is replaced, atomically,
by one that has the new sizes and the new positions: from then on, and not before, they count. A file that is to be
closed is noted as such in the same replacement, and renamed after it. So whatever a crash leaves can be told apart
(`_recover`): octets beyond a size are cut off, a closing that was begun is completed, and reading goes on from the
positions. After a step that failed the same is done, since what is on disk is then not known.

Refuses to know where events come from and what a record says.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import structlog
from msgspec.structs import replace

from .disk import CdrError, Directory, DirectoryInconsistent, DiskFailed
from .formats import FORMATS
from .record import Record
from .state import NEW_STATE_NAME, STATE_NAME, CdrFile, FilesState, Position, decode_state, encode_state

log = structlog.get_logger("ocs.cdr")

_OPEN_SUFFIX = ".open"
_FILE_NAME = re.compile(r"cdr-\d{8}T\d{6}Z-(\d{6,})\.(?:jsonl|csv)(\.open)?")


class FileSet:
    """The files of one directory, locked until `release`.

    All methods raise CdrError. After one that did, `settle` must succeed before anything else; what was not recorded is
    forgotten then, and `positions` says from where to read again.
    """

    def __init__(
        self,
        directory: Directory,
        formats: Sequence[str],
        rotate_size: int,
        rotate_age_ms: int,
        clock: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._formats = [FORMATS[name] for name in formats]
        self._rotate_size = rotate_size
        self._rotate_age_ms = rotate_age_ms
        self._clock = clock
        self._state = FilesState()
        self._buffers = {name: bytearray() for name in formats}
        self._buffered = 0
        self._intact = False
        """Whether `_state` is what is on disk."""
        self.recorded = 0
        """Records written by this set."""
        self.closed = 0
        """Files closed by this set, formats counted as one."""
        try:
            directory.lock()
            self.settle()
        except OSError as error:
            directory.unlock()
            raise _failed(directory, error) from error
        except BaseException:
            directory.unlock()
            raise

    @property
    def positions(self) -> dict[int, Position]:
        """By partition, up to where events are recorded. Empty: nothing was ever recorded here."""
        return self._state.positions

    @property
    def is_full(self) -> bool:
        """Whether the open file, with what was added to it, has reached the size at which it is closed."""
        sizes = self._state.open.sizes if self._state.open is not None else {}
        return any(sizes.get(name, 0) + len(buffer) >= self._rotate_size for name, buffer in self._buffers.items())

    def settle(self) -> None:
        """After a failure, brings files and memory back to what is recorded. Otherwise does nothing."""
        if not self._intact:
            with self._step():
                self._recover()

    def add(self, records: Sequence[Record]) -> None:
        """Records for the next checkpoint."""
        if records:
            for form in self._formats:
                self._buffers[form.name] += form.encode(records)
            self._buffered += len(records)

    def discard(self) -> None:
        """Forgets what was added since the last checkpoint."""
        for buffer in self._buffers.values():
            buffer.clear()
        self._buffered = 0

    def checkpoint(self, positions: dict[int, Position]) -> None:
        """Records what was added, and that events up to `positions` are done with; closes the file if it is time to."""
        assert self._intact
        with self._step():
            state, records = replace(self._state, positions=positions), self._buffered
            if records:
                state = self._append(state)
            if state.open is not None and self._is_due(state.open):
                state = replace(state, closing=state.open, open=None)
            if state != self._state:
                self._save(state)
                self.recorded += records
                self._publish()

    def rotate_if_due(self) -> None:
        """Closes the file if its time has come though nothing is to be written."""
        if self._state.open is not None and self._is_due(self._state.open):
            self.checkpoint(self._state.positions)

    def close_file(self) -> None:
        """Closes the open file, if there is one, whatever its size and age."""
        assert self._intact
        with self._step():
            if self._state.open is not None:
                self._save(replace(self._state, closing=self._state.open, open=None))
                self._publish()

    def release(self) -> None:
        """Lets another writer have the directory."""
        self._directory.unlock()

    # --- writing ------------------------------------------------------------------------------------------------

    @contextmanager
    def _step(self) -> Iterator[None]:
        """One change of state and disk. Unless it comes to its end, nothing is known of the disk afterwards."""
        self._intact = False
        try:
            yield
            self._intact = True
        except OSError as error:
            raise _failed(self._directory, error) from error
        finally:
            if not self._intact:
                self.discard()

    def _append(self, state: FilesState) -> FilesState:
        """Puts what was added on disk. The state that is returned makes it count."""
        begins = state.open is None
        file = state.open
        if file is None:
            now = self._clock()
            second = max(now // 1000, state.last_name_second)
            stamp = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
            state = replace(state, sequence=state.sequence + 1, last_name_second=second)
            file = CdrFile(f"cdr-{stamp}-{state.sequence:06}", now, 0, {})
        sizes = {}
        for form in self._formats:
            data = bytes(self._buffers[form.name]) if not begins else form.header + self._buffers[form.name]
            offset = file.sizes.get(form.name, 0)
            self._directory.write(_open_name(file, form.name), offset, data)
            sizes[form.name] = offset + len(data)
        if begins:
            self._directory.sync()
        file = replace(file, sizes=sizes, records=file.records + self._buffered)
        self.discard()
        return replace(state, open=file)

    def _is_due(self, file: CdrFile) -> bool:
        # A clock that was set back makes a file of unknown age; one closed early is better than one that never is.
        age_ms = self._clock() - file.opened_at
        return max(file.sizes.values()) >= self._rotate_size or not 0 <= age_ms < self._rotate_age_ms

    def _save(self, state: FilesState) -> None:
        """Replaces the state on disk. After a crash there is the old one or the new one."""
        self._directory.write(NEW_STATE_NAME, 0, encode_state(state))
        self._directory.rename(NEW_STATE_NAME, STATE_NAME)
        self._directory.sync()
        self._state = state

    def _publish(self) -> None:
        """Gives the closing file its final names. On disk it remains noted until the next state: doing it again, to a
        file that has its names or was taken away since, does nothing.
        """
        file = self._state.closing
        if file is None:
            return
        renamed = False
        for name in file.sizes:
            with suppress(FileNotFoundError):
                self._directory.rename(_open_name(file, name), f"{file.name}.{name}")
                renamed = True
        self._directory.sync()
        self._state = replace(self._state, closing=None)
        if renamed:
            self.closed += 1
            log.info("closed CDR file", file=file.name, records=file.records, octets=file.sizes)

    # --- after a start or a failure -----------------------------------------------------------------------------

    def _recover(self) -> None:
        """Makes the directory what its state says. Raises DirectoryInconsistent where that cannot be."""
        self._directory.sync()  # a state that was renamed into place but perhaps not put on disk shall count
        present = self._directory.sizes()
        own = {name: match for name in present if (match := _FILE_NAME.fullmatch(name))}
        state = self._load(own)
        if state.open is not None:
            self._cut(state.open, present)
        for name, match in own.items():
            if match[2] and int(match[1]) > state.sequence:
                self._directory.remove(name)  # begun, and nothing in it counts
        newest = max((int(match[1]) for match in own.values() if not match[2]), default=0)
        if newest > state.sequence:
            log.warning("state.json is older than the CDR files beside it: records may be written a second time",
                        directory=str(self._directory), sequence=state.sequence, newest_file=newest)  # fmt: skip
            state = replace(state, sequence=newest)
        self._state = state
        self._publish()
        if state.open is not None and set(state.open.sizes) != set(self._buffers):
            self._save(replace(self._state, closing=state.open, open=None))
            self._publish()

    def _load(self, own: dict[str, re.Match[str]]) -> FilesState:
        content = self._directory.read(STATE_NAME)
        if content is None:
            unfinished = sorted(name for name, match in own.items() if match[2])
            if unfinished:
                raise DirectoryInconsistent(
                    f"{self._directory}: {STATE_NAME} is missing, so that nobody knows how much of {unfinished[0]} "
                    f"counts; put it back, or move the {_OPEN_SUFFIX} files away and compare them with what follows"
                )
            # Before any file is begun, so that open files without a state are never ours.
            self._save(FilesState(sequence=max((int(match[1]) for match in own.values()), default=0)))
            return self._state
        return decode_state(content, self._directory)

    def _cut(self, file: CdrFile, present: dict[str, int]) -> None:
        """Takes off what was written and never recorded."""
        for name, size in file.sizes.items():
            found = present.get(_open_name(file, name))
            if found is None or found < size:
                is_so = "is missing" if found is None else f"has {found} octets"
                raise DirectoryInconsistent(
                    f"{self._directory}/{_open_name(file, name)} {is_so}, and {size} octets of it are recorded as "
                    f'written; put it back, or set "open" to null in {STATE_NAME} to do without it'
                )
            if found > size:
                self._directory.truncate(_open_name(file, name), size)


def _open_name(file: CdrFile, form: str) -> str:
    return f"{file.name}.{form}{_OPEN_SUFFIX}"


def _failed(directory: Directory, error: OSError) -> CdrError:
    return DiskFailed(f"{directory}: {error.strerror or error}")
