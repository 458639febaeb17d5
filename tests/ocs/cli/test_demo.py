"""`ocs demo`: the whole product in one command, which fails when the money is not right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocs.audit import Audit
from ocs.cli import demo as demo_module
from ocs.store.connection import Store
from ocs.store.embedded import EmbeddedValkey

from .conftest import Command


def test_it_ends_well_and_proves_it(tmp_path: Path) -> None:
    words = ["demo", "--data", "here", "--seconds", "1", "--pause", "0", "--subscribers", "20"]
    result = subprocess.run(
        [sys.executable, "-m", "ocs", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "COLUMNS": "160"},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    out = result.stdout
    assert "credited = left + held + spent: it holds" in out
    assert "4012 credit limit reached" in out
    assert "the same answer, charged once" in out
    assert "CDRs in 1 files add up to the same, each once" in out
    assert (tmp_path / "here" / "octroi-demo").exists()
    assert list((tmp_path / "here" / "cdr").glob("*.jsonl"))
    assert not (tmp_path / "here" / "valkey.sock").exists(), "nothing is left running"
    explained = subprocess.run(
        [sys.executable, "-m", "ocs", "explain", "491701234567", "--data", "here"], cwd=tmp_path, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "Topped up" in explained.stdout


def test_what_it_did_not_make_is_not_emptied(ocs: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = ocs("demo", "--data", "mine")
    assert result.code == 1
    assert result.err.startswith("ocs: mine is not empty and not of an earlier demo")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    (tmp_path / "file").write_text("")
    result = ocs("demo", "--data", "file")
    assert result.code == 1
    assert result.err.startswith("ocs: ")


def test_of_another_demo_that_still_runs_nothing_is_taken(ocs: Command, tmp_path: Path) -> None:
    """Two at once would empty each other's store."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "octroi-demo").touch()
    running = EmbeddedValkey(tmp_path / "demo", "no")
    running.start()
    try:
        result = ocs("demo", "--data", "demo", "--seconds", "1")
        assert result.code == 1
        assert "is in use" in result.err
        assert (tmp_path / "demo" / "appendonlydir").exists()
    finally:
        running.stop()


def test_the_store_of_a_demo_that_was_killed_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "octroi-demo").touch()
    killed = EmbeddedValkey(tmp_path / "demo", "no")
    killed.start()
    process = killed._process
    assert process is not None
    killed._let_go()
    demo_module._prepare(tmp_path / "demo")
    assert process.wait(10) == 0
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["octroi-demo"]


def test_money_that_is_not_right_ends_with_1(ocs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def audit(store: Store) -> Audit:
        result = Audit()
        result.problems.append("somebody took a coin")
        return result

    monkeypatch.setattr(demo_module, "audit", audit)
    result = ocs("demo", "--data", "demo", "--seconds", "1", "--pause", "0", "--subscribers", "2")
    assert result.code == 1
    assert "somebody took a coin" in result.out
    assert "THE MONEY IS NOT RIGHT" in result.out
