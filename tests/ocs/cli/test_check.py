"""`ocs check`: what the configuration says, or every mistake in it."""

from pathlib import Path

import pytest

from ocs.samples import sample

from .conftest import Command


def test_the_sample_is_right(ocs: Command) -> None:
    result = ocs("check")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "configuration: ocs.example.org, realm example.org, Diameter on 127.0.0.1:3868"
    assert lines[1] == "peers:         1 listed; others: loopback"
    assert lines[2] == "store:         embedded, in ocs-data"
    assert lines[3].startswith("catalogue:     ")
    assert lines[-1] == "ok"
    assert any(line.startswith("  service internet: context 32251, rating group 10") for line in lines)
    assert any(line.startswith("  offer data-1gb: 1 allowances, ") for line in lines)


def test_an_external_store_is_shown_without_its_password(ocs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_STORE__URL", "redis://ada:hunter2@store.example.org/1")
    out = ocs("check").out
    assert "store:         redis://***@store.example.org/1" in out
    assert "hunter2" not in out


def test_another_catalogue(ocs: Command, tmp_path: Path) -> None:
    text = sample("catalogue.yaml").read_text()
    (tmp_path / "right.yaml").write_text(text.replace("currency: EUR", "currency: CHF"))
    (tmp_path / "wrong.yaml").write_text(text.replace("rating_group: 10", "rating_group: ten", 1))
    assert "in CHF" in ocs("check", "--catalogue", "right.yaml").out
    result = ocs("check", "--catalogue", "wrong.yaml")
    assert result.code == 1
    assert result.err.startswith("ocs: wrong.yaml:")
    assert "rating_group" in result.err
    assert "ok" not in result.out


def test_every_mistake_is_named(ocs: Command, tmp_path: Path) -> None:
    (tmp_path / "ocs.yaml").write_text("diameter: {watchdog: 5 s}\nstore: {fsync: allways}\nlogg: {}\n")
    result = ocs("check", "--config", "ocs.yaml")
    assert result.code == 1
    assert [line.split(": ")[1] for line in result.err.splitlines()] == ["ocs.yaml:1", "ocs.yaml:2", "ocs.yaml:3"]


def test_a_catalogue_that_is_not_there(ocs: Command, tmp_path: Path) -> None:
    (tmp_path / "ocs.yaml").write_text("charging: {catalogue: none.yaml}")
    result = ocs("check", "--config", "ocs.yaml")
    assert (result.code, result.err) == (1, "ocs: none.yaml: no such file\n")


@pytest.mark.parametrize("name", ["OCS_STORE__FSYNC", "OCS_STOER__URL"])
def test_a_mistake_in_the_environment(ocs: Command, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    result = ocs("check")
    assert result.code == 1
    assert name in result.err
