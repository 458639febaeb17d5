"""A real server for tests: `ocs serve --dev` as a process, on free ports, with a store in a temporary directory."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from ocs.cli.child import ServerProcess
from ocs.cli.common import read_config
from ocs.config import Config
from ocs.rating.catalogue import Catalogue
from ocs.rating.catalogue_file import load_catalogue
from ocs.samples import sample
from ocs.server import OpenStore, make_ledger
from ocs.store.connection import Store
from ocs.store.ledger import Ledger


class Running:
    """What a test may look at while the server runs."""

    def __init__(self, config: Config, store: Store, ledger: Ledger, server: ServerProcess) -> None:
        self.config = config
        self.store = store
        self.ledger = ledger
        """Of this process; the server has its own."""
        self.server = server


@contextlib.asynccontextmanager
async def serving(directory: Path, *options: str, catalogue: Path | None = None) -> AsyncIterator[Running]:
    """Starts a server, and stops it at the end with SIGTERM; that it ends well is part of every test."""
    config = read_config(sample("ocs.yaml"), directory, None)
    sold: Catalogue = load_catalogue(catalogue or sample("catalogue.yaml"))
    words = [*options, *(("--catalogue", str(catalogue)) if catalogue is not None else ())]
    async with OpenStore(config) as store:
        ledger = make_ledger(config, store, sold)
        ledger.start()
        server = ServerProcess(config, directory / "server.log")
        try:
            await server.start(*words)
            yield Running(config, store, ledger, server)
        finally:
            await server.stop()
            await ledger.close()


class Background:
    """Runs coroutines in a loop of a thread of its own, for tests whose other side blocks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Any, timeout_s: float = 60) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@contextlib.contextmanager
def in_background(make: Callable[[], Any]) -> Iterator[tuple[Background, Any]]:
    """Enters the asynchronous context that `make` makes, in a background loop."""
    background = Background()
    context = make()
    try:
        value = background.run(context.__aenter__())
        try:
            yield background, value
        finally:
            background.run(context.__aexit__(None, None, None))
    finally:
        background.close()
