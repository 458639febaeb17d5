"""Puts a charging server together from its parts, starts them in order and stops them in the reverse order.

Owns that order and nothing else: store, ledger, node, sweeper, metrics.
"""

import asyncio
import contextlib
import gc
import time

import structlog

from aiodiameter.identity import Application, Identity
from aiodiameter.messages.base import CapabilitiesExchangeRequest
from aiodiameter.messages.credit_control import (
    APPLICATION_ID,
    CREDIT_CONTROL_MESSAGES,
    CreditControlRequest,
    FailureHandling,
)
from aiodiameter.node import Node
from aiodiameter.settings import NodeSettings
from ocs.charging.settings import Settings
from ocs.config import Config
from ocs.gateway.gy import CreditControlFront
from ocs.metrics import Collector, MetricsPage
from ocs.peers import PeerTable
from ocs.rating.catalogue import Catalogue
from ocs.store.connection import Store, open_store
from ocs.store.embedded import EmbeddedStoreError, EmbeddedValkey
from ocs.store.ledger import Ledger
from ocs.store.sweeper import sweep_until

log = structlog.get_logger("ocs")

_FIRST_LOOK_S = 0.5
"""How often to see whether the embedded store lives."""
_LATER_LOOK_S = 5.0
"""How long to wait after it could not be started."""


def clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class OpenStore:
    """The store a configuration names, the embedded one started if need be."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._embedded: EmbeddedValkey | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self.store: Store

    async def __aenter__(self) -> Store:
        settings = self._config.store
        if settings.url is None:
            self._embedded = EmbeddedValkey(settings.data, settings.fsync)
            await asyncio.to_thread(self._embedded.start)
            url = self._embedded.url
        else:
            url = settings.url.get_secret_value()
        try:
            self.store = await open_store(url, settings.partitions)
        except BaseException:
            await self._stop_embedded()
            raise
        if self._embedded is not None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep(self._embedded), name="store keeper")
        return self.store

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()
        await self._stop_embedded()

    async def _stop_embedded(self) -> None:
        self._leaving.set()
        if self._keeper is not None:
            await self._keeper
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    async def _keep(self, embedded: EmbeddedValkey) -> None:
        """Starts the embedded store again when it has died: killed for its memory, or ended by a full disk."""
        wait_s = _FIRST_LOOK_S
        while not self._leaving.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), wait_s)
                return
            wait_s = _FIRST_LOOK_S
            if not embedded.has_died():
                continue
            log.error("the embedded store has died; starting it again", log=str(embedded.directory / "valkey.log"))
            try:
                await asyncio.to_thread(embedded.start)
            except EmbeddedStoreError as error:
                wait_s = _LATER_LOOK_S
                log.error("the embedded store cannot be started", error=str(error), again_in_s=wait_s)  # noqa: TRY400


def make_ledger(config: Config, store: Store, catalogue: Catalogue) -> Ledger:
    """A ledger with the configuration's numbers; not started."""
    charging = config.charging
    settings = Settings(session_grace_s=charging.session_grace_s, answers_kept=charging.answers_kept)
    return Ledger(store, catalogue, settings, clock=clock, session_retention_s=charging.session_retention_s)


class Server:
    """A running charging server."""

    def __init__(self, config: Config, catalogue: Catalogue, store: Store) -> None:
        self.config = config
        self.store = store
        self.ledger = make_ledger(config, store, catalogue)
        diameter, charging = config.diameter, config.charging
        self.node = Node(
            Identity(host=diameter.host, realm=diameter.realm, product_name=diameter.product_name),
            applications=[Application(id=APPLICATION_ID, messages=CREDIT_CONTROL_MESSAGES)],
            settings=NodeSettings(
                watchdog_interval_s=diameter.watchdog_s,
                max_in_flight=diameter.max_in_flight_per_peer,
                max_message_octets=diameter.max_message_octets,
                any_destination_host=diameter.any_destination_host,
            ),
            admit=self._admit,
        )
        self.peers = PeerTable(diameter.peers, diameter.unknown_peers)
        self.front = CreditControlFront(
            self.ledger,
            diameter.host,
            diameter.realm,
            failure_handling=FailureHandling[charging.failure_handling.upper()],
            session_failover=int(charging.failover_supported),
        )
        self.node.on(CreditControlRequest, self.front.handle)
        self.addresses: list[tuple[str, int]] = []
        """Where the node listens."""
        self.metrics_port = 0
        self._metrics: MetricsPage | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def _admit(self, cer: CapabilitiesExchangeRequest, address: tuple[str, int]) -> bool:
        return self.peers.admits(cer.origin_host, cer.origin_realm, address[0])

    async def start(self) -> None:
        """Raises OSError, naming the address, when one cannot be listened on; nothing is left running then."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.ledger.start()
        for address in self.config.diameter.listen:
            try:
                self.addresses.append(await self.node.listen(address.host, address.port))
            except OSError as error:
                raise OSError(f"cannot listen on {address} for Diameter: {error.strerror}") from error
        listen = self.config.metrics.listen
        try:
            self._metrics = MetricsPage(Collector(self.node, self.front, self.ledger), listen.host, listen.port)
        except OSError as error:
            raise OSError(f"cannot listen on {listen} for metrics: {error.strerror}") from error
        self.metrics_port = self._metrics.port
        self._sweeper = asyncio.get_running_loop().create_task(
            sweep_until(self._stopping, self.ledger, clock), name="sweeper"
        )
        # What exists now lives until the end, and a request leaves no cycles behind: looking for garbage less often
        # takes a tenth off the cost of a request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    async def stop(self) -> None:
        """Answers what is in flight, says goodbye to the peers, and writes everything that was submitted."""
        await self.node.close()
        self._stopping.set()
        if self._sweeper is not None:
            await self._sweeper
        await self.ledger.close()
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
