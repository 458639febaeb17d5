"""`ocs serve` as a process: stopped and killed under load, two at once, and what keeps it from starting."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ocs.audit import audit, compare, read_cdrs
from ocs.charging.command import BuyOffer
from ocs.cli.child import ServerProcess
from ocs.cli.common import Failure, read_config
from ocs.config import Config
from ocs.samples import sample
from ocs.store.directory import add_subscriber, read_account
from ocs.store.ledger import Ledger
from tests.gateway import INITIAL, TERMINATION, Gateway, Session
from tests.ocs.serving import opened_ledger

from .conftest import Command


class World:
    """A data directory with subscribers, a gateway and their sessions."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self.config, self.ledger = config, ledger
        self.gateway = Gateway()
        self.sessions: list[Session] = []
        self._servers = 0

    async def serve(self, *options: str) -> ServerProcess:
        self._servers += 1
        server = ServerProcess(self.config, self.config.store.data / f"server-{self._servers}.log")
        await server.start(*options)
        return server

    async def add(self, count: int) -> None:
        names = [f"4917000{number:04}" for number in range(count)]

        async def one(name: str) -> None:
            await add_subscriber(self.ledger, name, [f"msisdn:{name}"])
            await self.ledger.execute(name, BuyOffer(f"{name}-offer", "data-20gb"))

        await asyncio.gather(*(one(name) for name in names))
        self.sessions = [Session(name, f"pgw.example.org;1;{name}", 1000 + n) for n, name in enumerate(names)]

    def all_use(self, stop: asyncio.Event) -> "asyncio.Future[list[None]]":
        return asyncio.gather(*(session.use(self.gateway, stop) for session in self.sessions))

    async def settle(self) -> None:
        """Every request that has no answer is repeated until it has one."""
        for session in self.sessions:
            while session.pending is not None:
                assert await session.settle(self.gateway)

    async def finish(self) -> None:
        for session in self.sessions:
            assert await session.settle(self.gateway, TERMINATION)

    async def check(self) -> None:
        """What was reported, each request once, is what was spent; in the accounts and in the CDRs."""
        for session in self.sessions:
            account = await read_account(self.ledger.store, session.msisdn)
            assert account is not None
            assert sum(bucket.spent for bucket in account.buckets) == session.used
        result = await audit(self.ledger.store)
        assert result.holds, result.problems
        assert compare(result, read_cdrs(self.config.cdr.directory)) == []


@asynccontextmanager
async def world(directory: Path, subscribers: int = 24) -> AsyncIterator[World]:
    config = read_config(sample("ocs.yaml"), directory, None)
    async with opened_ledger(config) as ledger:
        made = World(config, ledger)
        await made.add(subscribers)
        try:
            yield made
        finally:
            await made.gateway.close()


def events(log: Path) -> list[dict[str, Any]]:
    """The lines of a server's log."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def heard(log: Path, event: str) -> None:
    """Returns when a server has said so."""
    async with asyncio.timeout(10):
        while not any(line["event"] == event for line in events(log)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_sigterm_while_requests_are_under_way(tmp_path: Path) -> None:
    """The store is frozen, so that they wait; all are answered before the server says goodbye."""

    async def act() -> None:
        async with world(tmp_path) as here:
            server = await here.serve()
            await here.gateway.connect(server.port)
            for session in here.sessions:
                assert await session.settle(here.gateway, INITIAL)
            pid = (await here.ledger.store.client.info("server"))["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                waiting = [asyncio.create_task(session.settle(here.gateway)) for session in here.sessions]
                await asyncio.sleep(0.1)  # until they are there
                os.kill(server.pid, signal.SIGTERM)
                await heard(server.log, "stopping")
            finally:
                os.kill(pid, signal.SIGCONT)
            assert all(await asyncio.gather(*waiting))
            assert {code for session in here.sessions for code in session.codes} == {2001}
            await server.stop()
            said = {line["event"]: line for line in events(server.log)}
            assert said["peer disconnected"]["reason"] == "goodbye"
            assert list(said)[-1] == "stopped"
            await here.check()

    asyncio.run(act())


def test_stopped_and_killed_under_load(tmp_path: Path) -> None:
    """Three servers, one after the other, while the gateway goes on: SIGTERM, SIGKILL, and one that ends well. A
    request without an answer is repeated, and gets the stored one or the first.
    """

    async def act() -> None:
        async with world(tmp_path) as here:
            for number in (signal.SIGTERM, signal.SIGKILL, None):
                server = await here.serve()
                await here.gateway.connect(server.port)
                await here.settle()
                stop = asyncio.Event()
                using = here.all_use(stop)
                await asyncio.sleep(0.3)
                if number is not None:
                    os.kill(server.pid, number)
                    await using  # until the connection is lost
                else:
                    stop.set()
                    await using
                if number is signal.SIGKILL:
                    with pytest.raises(Failure, match="ended with exit code"):
                        await server.stop()
                elif number is signal.SIGTERM:
                    await server.stop()
            assert min(session.number for session in here.sessions) > 10
            await here.finish()
            await server.stop()
            await here.check()

    asyncio.run(act())


def test_two_servers_on_one_store(tmp_path: Path) -> None:
    """A gateway that goes over to the other one in the middle of its sessions, and back."""

    async def act() -> None:
        async with world(tmp_path, 8) as here:
            first = await here.serve()
            second = await here.serve("--no-cdr", "--host", "ocs2.example.org")
            for turn in range(6):
                await here.gateway.connect((first, second)[turn % 2].port)
                stop = asyncio.Event()
                using = here.all_use(stop)
                await asyncio.sleep(0.05)
                stop.set()
                await using
            await here.finish()
            await second.stop()
            await first.stop()
            await here.check()

    asyncio.run(act())


class TestRefused:
    """What keeps it from starting is said in one line each, and it ends with 1."""

    def test_the_port_is_taken(self, ocs: Command) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            for option, purpose in (("--port", "Diameter"), ("--metrics-port", "metrics")):
                words = {"--port": "0", "--metrics-port": "0", option: port}
                result = ocs("serve", "--dev", "--data", str(ocs.data), *(w for pair in words.items() for w in pair))
                assert result.code == 1
                *log, last = result.err.splitlines()
                assert last.startswith(f"ocs: cannot listen on 127.0.0.1:{port} for {purpose}: ")
                assert all('"event": "store is open"' in line for line in log)

    def test_options_that_do_not_go_together(self, ocs: Command) -> None:
        assert ocs.refused("serve", "--dev", "--config", "x.yaml").startswith("--dev brings its own configuration")
        assert ocs.refused("serve", "--port", "3868").startswith("--port goes with --dev")

    def test_a_wrong_configuration(self, ocs: Command, tmp_path: Path) -> None:
        (tmp_path / "ocs.yaml").write_text("diameter: {watchdog: 5 s}\nstore: {fsync: never}\n")
        result = ocs("serve", "--config", "ocs.yaml")
        assert result.code == 1
        assert [line.split(": ")[1] for line in result.err.splitlines()] == ["ocs.yaml:1", "ocs.yaml:2"]

    def test_a_wrong_catalogue(self, ocs: Command, tmp_path: Path) -> None:
        (tmp_path / "wrong.yaml").write_text(sample("catalogue.yaml").read_text().replace("EUR", "euros"))
        result = ocs("serve", "--dev", "--catalogue", "wrong.yaml", "--data", str(ocs.data))
        assert result.code == 1
        assert result.err.startswith("ocs: wrong.yaml:")
        assert "currency" in result.err

    def test_a_store_that_is_not_there(self, ocs: Command, tmp_path: Path) -> None:
        text = ocs.refused("serve", "--dev", "--store", f"unix://{tmp_path}/none.sock")
        assert "none.sock" in text


def test_a_store_that_is_not_durable_is_a_warning(ocs: Command) -> None:
    """This module's is not synced. The port is taken, so that the command ends."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = ocs("serve", "--dev", "--data", str(ocs.data), "--port", port, "--metrics-port", "0")
    opened = json.loads(result.err.splitlines()[0])
    assert (opened["event"], opened["level"]) == ("store is open", "warning")
    assert opened["durability"].startswith("a power cut may take away what the system has not written yet")
    assert opened["where"] == f"embedded in {ocs.data}"
