"""The page for Prometheus."""

import asyncio
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ocs.metrics import Collector, MetricsPage
from tests.gateway import INITIAL, TERMINATION, UPDATE, Gateway, Session, ccr
from tests.ocs.serving import configured, figures, page, running, subscriber, until

MSISDN = "491701234567"


def test_what_a_session_leaves(tmp_path: Path) -> None:
    async def act() -> None:
        gateway = Gateway()
        async with running(configured(tmp_path)) as (server, _):
            before = await figures(server)
            assert before["ocs_backlog"] == 0
            assert before["diameter_connections_accepted_total"] == 0
            assert not any("pgw.example.org" in name for name in before)
            await subscriber(server, MSISDN)
            await gateway.connect(server.addresses[0][1])
            session = Session(MSISDN, "pgw;1", 1000)
            for kind in (INITIAL, UPDATE, UPDATE):
                assert await session.settle(gateway, kind)
            await gateway.ask(ccr(UPDATE, "pgw;1", session.number, MSISDN, 1000))  # again
            await session.settle(gateway, TERMINATION)
            await gateway.ask(ccr(INITIAL, "pgw;2", 0, "49170"))
            after = await figures(server)
            expected = {
                'ocs_answers_total{request="initial",result_code="2001"}': 1,
                'ocs_answers_total{request="initial",result_code="5030"}': 1,
                'ocs_answers_total{request="update",result_code="2001"}': 3,
                'ocs_answers_total{request="termination",result_code="2001"}': 1,
                "ocs_repeated_requests_total": 1,
                "ocs_uncharged_answers_total": 0,
                "ocs_store_conflicts_total": 0,
                "ocs_store_failures_total": 0,
                "ocs_backlog": 0,
                'diameter_peer_open{peer="pgw.example.org"}': 1,
                'diameter_requests_received_total{application="4",command="272",peer="pgw.example.org"}': 6,
                'diameter_answers_sent_total{peer="pgw.example.org",result_code="5030"}': 1,
                'diameter_stray_answers_total{peer="pgw.example.org"}': 0,
                "diameter_connections_accepted_total": 1,
            }
            assert {name: after.get(name) for name in expected} == expected
            assert after["ocs_store_commits_total"] - before["ocs_store_commits_total"] == 7
            assert after["ocs_store_events_total"] - before["ocs_store_events_total"] == 7
            assert after["ocs_store_pipelines_total"] > before["ocs_store_pipelines_total"]
            assert after["ocs_store_pipeline_seconds_total"] > before["ocs_store_pipeline_seconds_total"]
            await gateway.close()
            await until(lambda: not server.node.peers[0].state.is_open)
            assert (await figures(server))['diameter_peer_open{peer="pgw.example.org"}'] == 0

    asyncio.run(act())


def test_the_page_is_as_prometheus_wants_it(tmp_path: Path) -> None:
    async def act() -> str:
        async with running(configured(tmp_path)) as (server, _):
            return await page(server)

    text = asyncio.run(act())
    names = re.findall(r"^# TYPE (\S+) (counter|gauge)$", text, re.MULTILINE)
    assert len(names) == len(set(names)) == text.count("# TYPE") == text.count("# HELP") > 10
    assert all(re.fullmatch(r"(ocs|diameter)_[a-z_]+", name) for name, _ in names)
    assert text.endswith("\n")


def test_what_is_not_even_a_message(tmp_path: Path) -> None:
    async def act() -> None:
        async with running(configured(tmp_path, unknown_peers="refuse")) as (server, _):
            for octets in (b"GET / HTTP/1.1\r\n\r\n" * 2, b"\x01\xff\xff\xff" + b"\0" * 16):
                reader, writer = await asyncio.open_connection(*server.addresses[0])
                writer.write(octets)
                assert await reader.read() is not None
                writer.close()
            gateway = Gateway()
            with pytest.raises(Exception, match="3010"):
                await gateway.connect(server.addresses[0][1])
            await gateway.close()
            found = await figures(server)
            assert found["diameter_connections_accepted_total"] == 3
            assert sum(n for name, n in found.items() if name.startswith("diameter_connections_refused_total")) == 3

    asyncio.run(act())


def test_asked_for_while_the_server_works(tmp_path: Path) -> None:
    """Another thread reads the figures while they change."""

    async def act() -> None:
        async with running(configured(tmp_path)) as (server, _):
            names = [f"4917000{number:04}" for number in range(64)]
            await asyncio.gather(*(subscriber(server, name) for name in names))
            gateway = Gateway()
            await gateway.connect(server.addresses[0][1])
            stop = asyncio.Event()
            using = [asyncio.create_task(Session(n, f"s;{n}", 1).use(gateway, stop)) for n in names]
            for _ in range(40):
                await figures(server)
            stop.set()
            await asyncio.gather(*using)
            await gateway.close()

    asyncio.run(act())


def test_the_address_is_taken(tmp_path: Path) -> None:
    nobody: Any = None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            MetricsPage(Collector(nobody, nobody, nobody), "127.0.0.1", taken.getsockname()[1])


def test_closed(tmp_path: Path) -> None:
    nobody: Any = None
    metrics = MetricsPage(Collector(nobody, nobody, nobody), "127.0.0.1", 0)
    assert metrics.port > 0
    metrics.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=5)
