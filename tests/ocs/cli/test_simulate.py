"""`ocs simulate`: against a real server, and what it says when there is none."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocs.cli.common import read_config
from ocs.cli.simulate import provision
from ocs.samples import sample
from ocs.store.directory import read_account
from simulators.simulate import SimulateOptions
from tests.ocs.serving import opened_ledger
from tests.serving import Running, in_background, serving

from .conftest import Command


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server, for the whole module."""
    with in_background(lambda: serving(tmp_path_factory.mktemp("served"))) as (_, running):
        yield running


def simulate(ocs: Command, served: Running, *words: str) -> tuple[int, str, str]:
    return ocs("simulate", "--port", str(served.server.port), "--data", str(served.config.store.data), *words)


@pytest.mark.parametrize(
    "words",
    [
        ("--subscribers", "5", "--duration", "0.5", "--time-factor", "3600", "--drop-answers", "0.1"),
        ("--subscribers", "5", "--duration", "0.5", "--style", "open5gs", "--connections", "2"),
        ("--subscribers", "8", "--duration", "0.3", "--in-flight", "4"),
        ("--subscribers", "8", "--duration", "0.3", "--rate", "100", "--rating-group", "10"),
    ],
    ids=["people", "open5gs", "closed loop", "open loop"],
)
def test_people_and_load(ocs: Command, served: Running, words: tuple[str, ...]) -> None:
    code, out, err = simulate(ocs, served, *words, "--add", "data-20gb")
    assert (code, err) == (0, ""), out
    assert "p99" in out or "99" in out


def test_nobody_has_an_account(ocs: Command, served: Running) -> None:
    code, out, err = simulate(ocs, served, "--subscribers", "3", "--duration", "0.3", "--in-flight", "2", "--seed", "9",
                              "--origin-host", "pgw9.example.org")  # fmt: skip
    assert code in (0, 1)
    assert "Traceback" not in out + err


class TestRefused:
    """Nothing is sent."""

    def test_no_server(self, ocs: Command) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        result = ocs("simulate", "--port", str(port), "--duration", "0.3")
        assert result.code == 1
        assert result.err.startswith("ocs: ")
        assert str(port) in result.err

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("--rate", "5", "--in-flight", "5"), "rate"),
            (("--style", "4gpp"), "4gpp"),
            (("--drop-answers", "2"), ""),
            (("--add", "gold"), "no offer 'gold'; known: "),
            (("--add", "data-1gb", "--money", "much"), "'much' is not an amount of money"),
        ],
    )
    def test_options(self, ocs: Command, words: tuple[str, ...], why: str) -> None:
        assert why in ocs.refused("simulate", *words)


def test_subscribers_are_added_once_and_topped_up_once(tmp_path: Path) -> None:
    import asyncio

    async def act() -> None:
        config = read_config(sample("ocs.yaml"), tmp_path, None)
        async with opened_ledger(config) as ledger:
            options = SimulateOptions(subscribers=120)
            for _ in range(2):
                await provision(ledger, options, "data-5gb", 5_000_000)
            account = await read_account(ledger.store, options.first_msisdn)
            assert account is not None
            assert account.version == 3
            assert [bucket.credited for bucket in account.buckets] == [5 * 2**30, 5_000_000]
            await provision(ledger, SimulateOptions(subscribers=1, seed=2), "data-5gb", 0)
            account = await read_account(ledger.store, options.first_msisdn)
            assert account is not None
            assert account.version == 4

    asyncio.run(act())
