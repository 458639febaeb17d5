"""A server in this process, on free ports, for the tests of its parts."""

import asyncio
import gc
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ocs.charging.command import BuyOffer
from ocs.config import Address, Config, DiameterConfig, MetricsConfig, StoreConfig
from ocs.rating.catalogue_file import load_catalogue
from ocs.samples import sample
from ocs.server import OpenStore, Server, make_ledger
from ocs.store.connection import Store
from ocs.store.directory import add_subscriber
from ocs.store.ledger import Ledger

THRESHOLDS = gc.get_threshold()
ANY = Address("127.0.0.1", 0)
CATALOGUE = load_catalogue(sample("catalogue.yaml"))


def configured(directory: Path, **diameter: Any) -> Config:
    return Config(
        store=StoreConfig(data=directory, fsync="no"),
        diameter=DiameterConfig(**{"listen": (ANY,), **diameter}),
        metrics=MetricsConfig(listen=ANY),
    )


@asynccontextmanager
async def opened_ledger(config: Config) -> AsyncIterator[Ledger]:
    """A ledger as another process would have it, on the store of the configuration."""
    async with OpenStore(config) as store:
        ledger = make_ledger(config, store, load_catalogue(config.charging.catalogue))
        ledger.start()
        try:
            yield ledger
        finally:
            await ledger.close()


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[tuple[Server, Store]]:
    """A started server and its store."""
    async with OpenStore(config) as store:
        server = Server(config, CATALOGUE, store)
        await server.start()
        try:
            yield server, store
        finally:
            await server.stop()
            gc.unfreeze()  # a server's process is its own
            gc.set_threshold(*THRESHOLDS)


async def subscriber(server: Server, msisdn: str, offer: str = "data-20gb") -> None:
    await add_subscriber(server.ledger, msisdn, [f"msisdn:{msisdn}"])
    await server.ledger.execute(msisdn, BuyOffer(f"{msisdn}-offer", offer))


async def until(true: Callable[[], bool]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.005)


async def page(server: Server) -> str:
    """What Prometheus would get."""

    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=10) as reply:
            text: str = reply.read().decode()
            return text

    return await asyncio.to_thread(get)


async def figures(server: Server) -> dict[str, float]:
    """The same, by name and labels."""
    lines = (line.rpartition(" ") for line in (await page(server)).splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
