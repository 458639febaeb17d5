"""The server's parts are started in order and stopped in the reverse order, whatever fails on the way."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from aiodiameter.errors import PeerRefused
from ocs.charging.state import SessionState
from ocs.config import Address, Config, MetricsConfig, StoreConfig, StoreUrl
from ocs.server import OpenStore, Server, clock, make_ledger
from ocs.store import ledger as ledger_module
from ocs.store.connection import StoreError
from ocs.store.directory import read_account
from ocs.store.embedded import EmbeddedStoreError, EmbeddedValkey
from ocs.store.sessions import find_session
from tests.gateway import INITIAL, UPDATE, Gateway, Session, ccr
from tests.ocs.serving import CATALOGUE, configured, figures, running, subscriber, until

MSISDN = "491701234567"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def is_stopped(directory: Path) -> bool:
    """Whether nobody uses the embedded store: another one can be had for oneself."""
    server = EmbeddedValkey(directory, "no")
    server.start()
    ours = server._process is not None
    server.stop()
    return ours


def test_the_clock() -> None:
    assert abs(clock() - time.time() * 1000) < 1000


class TestOpenStore:
    """The embedded store is started and stopped, another one is only used."""

    def test_embedded(self, tmp_path: Path) -> None:
        async def act() -> None:
            async with OpenStore(configured(tmp_path)) as store:
                await store.client.set("a", 1)
            assert is_stopped(tmp_path)

        asyncio.run(act())

    def test_external(self, tmp_path: Path) -> None:
        other = EmbeddedValkey(tmp_path / "other", "no")
        other.start()

        async def act() -> None:
            config = Config(store=StoreConfig(url=StoreUrl(other.url), data=tmp_path / "unused"))
            async with OpenStore(config) as store:
                await store.client.set("a", 1)
            async with OpenStore(config) as store:
                assert await store.client.get("a") == b"1"

        asyncio.run(act())
        assert not (tmp_path / "unused").exists()
        assert other._process is not None
        assert other._process.poll() is None
        other.stop()

    def test_a_store_that_is_refused_is_stopped_again(self, tmp_path: Path) -> None:
        async def act() -> None:
            async with OpenStore(configured(tmp_path)):
                pass
            config = Config(store=StoreConfig(data=tmp_path, fsync="no", partitions=7))
            with pytest.raises(StoreError, match=r"made with store\.partitions: 64"):
                async with OpenStore(config):
                    pass
            assert is_stopped(tmp_path)

        asyncio.run(act())

    def test_a_store_that_does_not_start(self) -> None:
        async def act() -> None:
            with pytest.raises(EmbeddedStoreError):
                async with OpenStore(configured(Path("/proc/x"))):
                    pass

        asyncio.run(act())

    def test_the_configuration_reaches_the_ledger(self, tmp_path: Path) -> None:
        async def act() -> None:
            config = configured(tmp_path)
            charging = config.charging.model_copy(
                update={"session_grace_s": 7, "answers_kept": 3, "session_retention_s": 11}
            )
            async with OpenStore(config) as store:
                ledger = make_ledger(config.model_copy(update={"charging": charging}), store, CATALOGUE)
                assert (ledger.settings.session_grace_s, ledger.settings.answers_kept) == (7, 3)
                assert ledger._retention_ms == 11_000

        asyncio.run(act())


async def nothing_runs(server: Server) -> None:
    """Its tasks have ended, and nobody listens any more."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith(("ledger", "sweeper")) for name in names)
    for _, port in server.addresses:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


class TestStart:
    """What cannot be listened on is named."""

    def test_the_diameter_port_is_taken(self, tmp_path: Path, taken: int) -> None:
        async def act() -> None:
            config = configured(tmp_path, listen=(Address("127.0.0.1", 0), Address("127.0.0.1", taken)))
            async with OpenStore(config) as store:
                server = Server(config, CATALOGUE, store)
                with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{taken} for Diameter: .*in use"):
                    await server.start()
                await nothing_runs(server)

        asyncio.run(act())

    def test_the_metrics_port_is_taken(self, tmp_path: Path, taken: int) -> None:
        async def act() -> None:
            metrics = MetricsConfig(listen=Address("127.0.0.1", taken))
            config = configured(tmp_path).model_copy(update={"metrics": metrics})
            async with OpenStore(config) as store:
                server = Server(config, CATALOGUE, store)
                with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{taken} for metrics: .*in use"):
                    await server.start()
                await nothing_runs(server)

        asyncio.run(act())

    def test_several_addresses(self, tmp_path: Path) -> None:
        async def act() -> None:
            async with running(configured(tmp_path, listen=(Address("127.0.0.1", 0), Address("::1", 0)))) as (
                server,
                _,
            ):
                assert [host for host, _ in server.addresses] == ["127.0.0.1", "::1"]
                gateway = Gateway()
                await gateway.connect(server.addresses[0][1])
                await gateway.close()

        asyncio.run(act())

    def test_peers_that_are_not_welcome(self, tmp_path: Path) -> None:
        async def act() -> None:
            async with running(configured(tmp_path, unknown_peers="refuse")) as (server, _):
                gateway = Gateway()
                with pytest.raises(PeerRefused, match="3010"):
                    await gateway.connect(server.addresses[0][1])
                await gateway.close()

        asyncio.run(act())


class TestWork:
    """Requests, supervision, and a store that goes away."""

    def test_a_session(self, tmp_path: Path) -> None:
        async def act() -> None:
            async with running(configured(tmp_path)) as (server, store):
                await subscriber(server, MSISDN)
                gateway = Gateway()
                await gateway.connect(server.addresses[0][1])
                session = Session(MSISDN, "pgw;1", 1000)
                for kind in (INITIAL, UPDATE, UPDATE):
                    assert await session.settle(gateway, kind)
                account = await read_account(store, MSISDN)
                assert account is not None
                assert sum(bucket.spent for bucket in account.buckets) == 2000
                await gateway.close()

        asyncio.run(act())

    def test_silent_sessions_are_closed_by_themselves(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        past = clock() - 3 * 3_600_000
        times = iter([past] * 3)

        async def act() -> None:
            async with running(configured(tmp_path)) as (server, store):
                server.ledger.clock = lambda: next(times, clock())
                await subscriber(server, MSISDN)
                gateway = Gateway()
                await gateway.connect(server.addresses[0][1])
                await gateway.ask(ccr(INITIAL, "pgw;1", 0, MSISDN))
                await until(lambda: server.ledger.counters.events == 4)
                session = await find_session(store, "pgw;1")
                assert session is not None
                assert session.state is SessionState.CLOSED
                await gateway.close()

        asyncio.run(act())

    def test_the_store_is_killed_under_load(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Requests are refused for a moment, and go on by themselves; what was answered counts, once."""
        monkeypatch.setattr("ocs.server._FIRST_LOOK_S", 0.05)

        async def act() -> None:
            async with running(configured(tmp_path)) as (server, store):
                names = [f"4917000{number:04}" for number in range(16)]
                await asyncio.gather(*(subscriber(server, name) for name in names))
                gateway, stop = Gateway(), asyncio.Event()
                await gateway.connect(server.addresses[0][1])
                sessions = [Session(name, f"s;{name}", 7) for name in names]
                using = [asyncio.create_task(session.use(gateway, stop)) for session in sessions]
                for _ in range(3):
                    await asyncio.sleep(0.1)
                    with capture_logs():
                        os.kill((await store.client.info("server"))["process_id"], signal.SIGKILL)
                        await asyncio.sleep(0.2)
                stop.set()
                await asyncio.gather(*using)
                for session in sessions:
                    if session.pending is not None:
                        assert await session.settle(gateway)
                assert any(3002 in session.codes for session in sessions)
                for session in sessions:
                    account = await read_account(store, session.msisdn)
                    assert account is not None
                    assert sum(bucket.spent for bucket in account.buckets) == session.used
                await gateway.close()

        asyncio.run(act())


class TestStop:
    """Everything that was received is answered and written; then the peers hear goodbye."""

    def test_what_waits_for_the_store_is_answered(self, tmp_path: Path) -> None:
        async def act() -> None:
            gateway = Gateway()
            async with OpenStore(configured(tmp_path)) as store:
                server = Server(configured(tmp_path), CATALOGUE, store)
                await server.start()
                names = [f"4917000{number:04}" for number in range(40)]
                await asyncio.gather(*(subscriber(server, name) for name in names))
                await gateway.connect(server.addresses[0][1])
                pid = (await store.client.info("server"))["process_id"]
                os.kill(pid, signal.SIGSTOP)
                try:
                    waiting = [gateway.start(ccr(INITIAL, f"s;{name}", 0, name)) for name in names]
                    await until(lambda: server.node.in_flight == len(names))
                    stopping = asyncio.create_task(server.stop())
                    await asyncio.sleep(0.05)
                finally:
                    os.kill(pid, signal.SIGCONT)  # what follows needs other tasks to run first
                with capture_logs() as logs:
                    answers: list[Any] = await asyncio.gather(*waiting)
                    await stopping
                assert [answer.result_code for answer in answers] == [2001] * 40
                ends = {line["peer"]: line["reason"] for line in logs if line["event"] == "peer disconnected"}
                assert ends == {"pgw.example.org": "goodbye", "ocs.example.org": "goodbye"}
                for name in names:
                    session = await find_session(store, f"s;{name}")
                    assert session is not None
                    assert session.state is SessionState.OPEN
            await gateway.close()

        asyncio.run(act())

    def test_although_the_sweeper_or_the_ledger_had_a_bad_day(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def act() -> None:
            async with running(configured(tmp_path)) as (server, _):
                await subscriber(server, MSISDN)
                gateway = Gateway()
                await gateway.connect(server.addresses[0][1])
                with monkeypatch.context() as patch, capture_logs() as logs:
                    patch.setattr(ledger_module, "decide", None)
                    answer = await gateway.ask(ccr(INITIAL, "pgw;1", 0, MSISDN))
                    assert answer.result_code == 3002
                assert any("could not be decided" in line["event"] for line in logs)
                assert (await gateway.ask(ccr(INITIAL, "pgw;1", 0, MSISDN))).result_code == 2001
                assert (await figures(server))["ocs_store_failures_total"] == 0
                await gateway.close()

        asyncio.run(act())

    def test_stopping_twice(self, tmp_path: Path) -> None:
        async def act() -> None:
            async with running(configured(tmp_path)) as (server, _):
                pass
            await server.node.close()

        asyncio.run(act())
