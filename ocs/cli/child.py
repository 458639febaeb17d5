"""A server process of our own, for the demonstration: started, waited for, stopped."""

import asyncio
import json
import signal
from pathlib import Path

from ocs.config import Config
from ocs.samples import sample

from .common import Failure, child_environment, own_command

_READY_S = 30.0
_STOP_S = 30.0


class ServerProcess:
    """`ocs serve --dev` on free ports, with its log lines in a file."""

    def __init__(self, config: Config, log: Path) -> None:
        self.log = log
        self.port = 0
        self.metrics = ""
        self._environment = child_environment(config, sample("ocs.yaml"))
        del self._environment["OCS_CONFIG"]  # --dev brings its own
        self._environment |= {"OCS_LOG__FORMAT": "json", "OCS_LOG__LEVEL": "info"}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    async def start(self, *options: str) -> None:
        """Returns when the server takes connections. Raises Failure with its last words when it does not come up."""
        words = own_command("serve", "--dev", "--port", "0", "--metrics-port", "0", "--with-parent", *options)
        self._process = await asyncio.create_subprocess_exec(
            *words, env=self._environment, stderr=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait_for(self._ready, _READY_S)
        except TimeoutError:
            self._process.kill()
            raise Failure(f"the server was not ready within {_READY_S:.0f} s; its log: {self.log}") from None

    async def stop(self) -> None:
        """SIGTERM, as a service manager would. Raises Failure when the server does not end well."""
        if self._process is None or self._reader is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
            raise Failure(f"the server did not stop within {_STOP_S:.0f} s; its log: {self.log}") from None
        await self._reader
        self._process = None
        if code:
            raise Failure(f"the server ended with exit code {code}; its log: {self.log}")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        last = ""
        with self.log.open("wb") as log:
            async for line in self._process.stderr:
                log.write(line)
                log.flush()
                last = line.decode(errors="replace").strip()
                if not self._ready.done() and '"ready"' in last:
                    self._understand(last)
        if not self._ready.done():
            self._ready.set_exception(Failure(f"the server did not start: {last}"))

    def _understand(self, line: str) -> None:
        try:
            words = json.loads(line)
        except ValueError:
            return
        if words.get("event") == "ready":
            self.port = int(words["diameter"].rpartition(":")[2])
            self.metrics = words["metrics"]
            self._ready.set_result(None)
