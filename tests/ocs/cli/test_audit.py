"""`ocs audit`: exit code 0 and the proof, or 1 and where the money is wrong."""

import asyncio
from typing import Any

import pytest

from ocs.audit import Audit, CdrSums
from ocs.cli.audit import check_cdrs
from ocs.store.connection import open_store

from .conftest import Command
from .test_account import attach, with_ledger

ADA, BOB = "491701234567", "491701234568"


@pytest.fixture
def two(ocs: Command) -> Command:
    """Two accounts, and a session that holds 10 MiB."""
    ocs.on_store("subscriber", "add", ADA, "--offer", "data-1gb", "--money", "10.00")
    ocs.on_store("subscriber", "add", BOB, "--money", "5.50")
    with_ledger(ocs, lambda ledger: ledger.execute(ADA, attach("pgw;1;1")))
    return ocs


def spoil(ocs: Command, kind: str, name: str, old: bytes, new: bytes) -> None:
    """As with redis-cli."""

    async def edit() -> None:
        store = await open_store(f"unix://{ocs.data}/valkey.sock", 64)
        key = store.keys.account(ADA) if kind == "account" else store.keys.session(ADA, name)
        stored = await store.client.get(key)
        assert old in stored
        await store.client.set(key, stored.replace(old, new))
        await store.close()

    asyncio.run(edit())


def test_the_proof(two: Command) -> None:
    out = two.on_store("audit")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["2", "accounts,", "1", "open", "sessions"]
    assert ["money", "15.50", "EUR", "=", "15.50", "EUR", "0.00", "EUR", "0.00", "EUR", "0.00", "EUR"] in lines
    assert ["octets", "1,073,741,824", "=", "1,063,256,064", "10,485,760", "0", "0"] in lines


def test_nothing_at_all(ocs: Command) -> None:
    assert ocs.on_store("audit").startswith("0 accounts, 0 open sessions")


@pytest.mark.parametrize(
    ("kind", "old", "new", "text"),
    [
        (
            "account",
            b'"remaining":10000000',
            b'"remaining":10000001',
            f"account {ADA}, bucket main: credited 10000000 is not left 10000001 + held 0 + spent 0 + expired 0",
        ),
        ("account", b'"credited":10000000', b'"credited":20000000', f"account {ADA}, bucket main: credited 20000000"),
        (
            "account",
            b'"reserved":10485760',
            b'"reserved":10485761',
            "10485761 is held, but the open sessions hold another amount",
        ),
        ("session", b'"amount":10485760', b'"amount":1', "is held, but the open sessions hold another amount"),
        ("session", b'"bucket":"data-1gb/data#3"', b'"bucket":"gone"', "which does not exist"),
        ("account", b'"version"', b'"Version"', f"account {ADA}: it, or a session of it, cannot be read"),
        ("session", b"{", b"[", f"account {ADA}: it, or a session of it, cannot be read"),
    ],
)
def test_money_that_somebody_changed(two: Command, kind: str, old: bytes, new: bytes, text: str) -> None:
    spoil(two, kind, "pgw;1;1", old, new)
    result = two("audit", "--data", str(two.data))
    assert result.code == 1
    assert result.err == ""
    assert text in result.out
    assert BOB not in result.out


def test_a_session_of_an_account_that_is_gone(two: Command) -> None:
    async def remove(ledger: Any) -> None:
        await ledger.store.client.delete(ledger.store.keys.account(ADA))

    with_ledger(two, remove)
    result = two("audit", "--data", str(two.data))
    assert result.code == 1
    assert f"sessions of account {ADA}, which does not exist" in result.out


def test_comparing_with_cdrs(capsys: pytest.CaptureFixture[str]) -> None:
    sums = CdrSums()
    sums.records, sums.files = 7, 2
    assert check_cdrs(Audit(), sums) == []
    assert capsys.readouterr().out == "7 CDRs in 2 files add up to the same, each once\n"
    sums.twice.append("[a]/1")
    assert check_cdrs(Audit(), sums) == ["CDR [a]/1 is there twice"]
    assert capsys.readouterr().out == "CDR [a]/1 is there twice\n"
