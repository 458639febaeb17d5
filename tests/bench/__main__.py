"""`make bench`: load generator, server and store as processes of their own on one machine, over loopback.

CCR-U with two rating groups, 10,000 subscribers with a session each. Nothing is asserted about time.
"""

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from aiodiameter.errors import PeerGone
from aiodiameter.identity import Identity
from ocs.cli.child import ServerProcess
from ocs.cli.common import read_catalogue, read_config
from ocs.cli.simulate import provision
from ocs.config import Config
from ocs.rating.catalogue import Catalogue
from ocs.samples import sample
from ocs.server import OpenStore, make_ledger
from simulators.load import (
    LoadConnection,
    LoadResult,
    open_connection,
    open_sessions,
    run_closed_loop,
    run_open_loop,
    sessions_for,
)
from simulators.simulate import SimulateOptions
from simulators.subscribers import make_subscribers

from .ceiling import measure
from .processes import cpu_s, machine

_RATING_GROUPS = (10, 30)
_CONNECTIONS = 4
_OFFER = "data-20gb"

out = Console(highlight=False, width=140)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each measurement")
    parser.add_argument("--fsync", nargs="+", default=["always", "everysec"], choices=["always", "everysec", "no"])
    parser.add_argument("--data", type=Path, help="directory for the store; default: a temporary one")
    arguments = parser.parse_args()
    out.print(f"{time.strftime('%Y-%m-%d')}, {machine()}, Python {sys.version.split()[0]}, server: one worker")
    for fsync in arguments.fsync:
        directory = Path(tempfile.mkdtemp(prefix="octroi-bench-", dir=arguments.data))
        try:
            uvloop.run(_bench(fsync, arguments.subscribers, arguments.seconds, directory))
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    uvloop.run(_canned(arguments.seconds))


def _config(fsync: str, directory: Path) -> Config:
    config = read_config(sample("ocs.yaml"), directory, None)
    return config.model_copy(update={"store": config.store.model_copy(update={"fsync": fsync})})


async def _bench(fsync: str, count: int, seconds: float, directory: Path) -> None:
    config = _config(fsync, directory)
    catalogue = read_catalogue(config)
    options = SimulateOptions(subscribers=count, rating_groups=_RATING_GROUPS, connections=_CONNECTIONS)
    async with OpenStore(config) as store:
        await _provision(config, catalogue, store, options)
        server = ServerProcess(config, directory / "server.log")
        # CDRs are written by a process of their own, which would take its share of the two cores from the measurement.
        await server.start("--no-cdr")
        pids = {"server": server.pid, "store": int((await store.client.info("server"))["process_id"])}
        connections = await _connect(server.port, options)
        table = Table(title=f"CCR-U, two rating groups, {count} subscribers, appendfsync {fsync}", box=None)
        for name in ("", "requests/s", "p50 ms", "p95 ms", "p99 ms", "p99.9 ms"):
            table.add_column(name, justify="right")
        for name in ("server us/req", "store us/req", "load us/req", "not 2001"):
            table.add_column(name, justify="right")
        peak = 0.0
        for in_flight in (1, 16, 64, 256):
            result, cpu = await _measured(pids, run_closed_loop(connections, in_flight=in_flight, seconds=seconds))
            peak = max(peak, result.per_second)
            _row(table, f"closed, {in_flight} in flight", result, cpu)
        result, cpu = await _measured(pids, run_open_loop(connections, rate=peak / 2, seconds=seconds))
        _row(table, f"open, {peak / 2:.0f}/s", result, cpu)
        out.print(table)
        for connection in connections:
            await connection.close()
        await server.stop()

        samples = await _samples(store, options)
        for depth in (1, 16, 64, 128):
            found = await measure(_url(store), config.store.partitions, pids["store"], samples, depth, seconds / 2)
            out.print(
                f"  the store alone, {depth:>3} writes in a pipeline: {found.per_second:>8.0f}/s, "
                f"store {found.store_us:.0f} us, bare client {found.client_us:.0f} us a write"
            )


async def _provision(config: Config, catalogue: Catalogue, store: Any, options: SimulateOptions) -> None:
    ledger = make_ledger(config, store, catalogue)
    ledger.start()
    await provision(ledger, options, _OFFER, 100_000_000)
    await ledger.close()


async def _connect(port: int, options: SimulateOptions) -> list[LoadConnection]:
    hosts = ["pgw.example.org", *(f"pgw-{n}.example.org" for n in range(2, options.connections + 1))]
    connections = [await open_connection("127.0.0.1", port, Identity(host=host, realm="example.org")) for host in hosts]
    subscribers = make_subscribers(options.subscribers, options.first_msisdn, options.first_imsi)
    factory = sessions_for(subscribers, connections, "example.org", _RATING_GROUPS, run=int(time.time()))
    opened = await open_sessions(connections, factory)
    assert opened.sessions == options.subscribers, (
        f"{opened.sessions} of {options.subscribers} sessions could be opened"
    )
    return connections


async def _measured(pids: dict[str, int], run: Any) -> tuple[LoadResult, dict[str, float]]:
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    result: LoadResult = await run
    cpu = {name: (cpu_s(pid) - before[name]) / max(1, result.requests) * 1e6 for name, pid in pids.items()}
    return result, cpu


def _row(table: Table, name: str, result: LoadResult, cpu: dict[str, float]) -> None:
    latency = result.latency
    wrong = sum(count for (_, code), count in result.answers.items() if code != 2001) + result.without_grant
    table.add_row(
        name,
        f"{result.per_second:,.0f}",
        *(f"{us / 1000:.2f}" for us in (latency.p50_us, latency.p95_us, latency.p99_us, latency.p999_us)),
        f"{cpu['server']:.0f}",
        f"{cpu['store']:.0f}",
        f"{result.cpu_us_per_request:.0f}",
        str(wrong + result.unanswered),
    )


def _url(store: Any) -> str:
    return "unix://" + str(store.client.connection_pool.connection_kwargs["path"])


async def _samples(store: Any, options: SimulateOptions) -> tuple[bytes, bytes, bytes]:
    """An account, a session and a receipt as the server wrote them."""
    account = make_subscribers(1, options.first_msisdn, options.first_imsi)[0].msisdn
    keys = store.keys
    events = await store.client.xrevrange(keys.events(keys.partition_of(account)), count=1)
    async for key in store.client.scan_iter(match=f"*session:*;{0};load", count=1000):
        session = await store.client.get(key)
        break
    return await store.client.get(keys.account(account)), session, events[0][1][b"e"]


async def _canned(seconds: float) -> None:
    """python-diameter's own node, one request at a time: more at once make it hang."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "tests.bench.canned", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        connection = await _patiently("127.0.0.1", port)
        subscribers = make_subscribers(16, "491700000001", "001010000000001")
        factory = sessions_for(subscribers, [connection], "example.org", _RATING_GROUPS)
        await open_sessions_one_by_one(connection, factory)
        before = cpu_s(process.pid)
        result = await run_closed_loop([connection], in_flight=1, seconds=seconds)
        cost = (cpu_s(process.pid) - before) / max(1, result.requests) * 1e6
        out.print(
            f"python-diameter's node, canned answer, 1 in flight: {result.per_second:.0f}/s, "
            f"p50 {result.latency.p50_us / 1000:.2f} ms, {cost:.0f} us CPU a request (no balance, no store)"
        )
        await connection.close()
    finally:
        process.kill()
        process.wait()


async def open_sessions_one_by_one(connection: LoadConnection, factory: Any) -> None:
    """Opens sessions with a single request under way at any time."""
    sessions = factory(connection)
    connection.sessions = sessions[:1]
    await open_sessions([connection], lambda _: connection.sessions)


async def _patiently(host: str, port: int) -> LoadConnection:
    for _ in range(100):
        try:
            return await open_connection(host, port, Identity(host="pgw.example.org", realm="example.org"))
        except PeerGone:
            await asyncio.sleep(0.05)
    raise PeerGone(f"nothing answers at {host}:{port}")


if __name__ == "__main__":
    main()
