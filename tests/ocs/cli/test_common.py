"""What commands share: where configuration is, how children are started, how mistakes end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocs.cli.common import child_environment, own_command, printable, read_config, wait_for_signal, when
from ocs.config import CdrConfig, Config, StoreConfig, StoreUrl
from ocs.samples import sample

from .conftest import Command


def test_without_words_it_says_what_it_can(ocs: Command) -> None:
    result = ocs()
    assert result.code == 2
    for command in ("demo", "serve", "simulate", "subscriber", "top-up", "show", "explain", "audit", "check"):
        assert command in result.out
    assert "cdr-writer" not in result.out


@pytest.mark.parametrize(
    "words",
    [("nonsense",), ("serve", "--nonsense"), ("show",), ("show", "account"), ("top-up",), ("subscriber", "add"),
     ("simulate", "--port", "x"), ("serve", "--port", "-1"), ("explain", "a", "--last", "x")],
    ids=" ".join,
)  # fmt: skip
def test_words_it_does_not_know_end_with_2(ocs: Command, words: tuple[str, ...]) -> None:
    assert ocs(*words).code == 2


def test_as_a_module(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ocs", "check"]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.endswith("ok\n")
    assert result.stderr == ""


def test_the_configuration_beside_us_or_else_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config(None, None, None) == read_config(sample("ocs.yaml"), None, None)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ocs.yaml").write_text("diameter: {host: here.example.org}")
    assert read_config(None, None, None).diameter.host == "here.example.org"
    (tmp_path / "other.yaml").write_text("diameter: {host: there.example.org}")
    assert read_config(Path("other.yaml"), None, None).diameter.host == "there.example.org"


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("{}", "new/cdr"),
        ("store: {data: /old}", "ocs-data/cdr"),
        ("store: {data: /old}\ncdr: {directory: /old/deep/cdr}", "new/deep/cdr"),
        ("cdr: {directory: /elsewhere}", "/elsewhere"),
    ],
)
def test_another_data_directory_takes_the_cdrs_along(tmp_path: Path, text: str, directory: str) -> None:
    (tmp_path / "ocs.yaml").write_text(text)
    config = read_config(tmp_path / "ocs.yaml", Path("new"), None)
    assert config.store.data == Path("new")
    assert config.cdr.directory == Path(directory)


def test_a_store_instead_of_the_embedded_one(tmp_path: Path) -> None:
    config = read_config(sample("ocs.yaml"), None, "redis://:hunter2@host")
    assert config.store.url is not None
    assert config.store.url.get_secret_value() == "redis://:hunter2@host"
    assert "hunter2" not in repr(config)


def test_a_child_finds_the_same_and_no_secret_is_on_its_command_line(tmp_path: Path) -> None:
    config = Config(
        store=StoreConfig(url=StoreUrl("redis://:hunter2@host"), data=Path("data")), cdr=CdrConfig(directory=Path("c"))
    )
    environment = child_environment(config, tmp_path / "ocs.yaml")
    assert environment["OCS_STORE__URL"] == "redis://:hunter2@host"
    assert environment["OCS_STORE__DATA"] == str(Path.cwd() / "data")
    assert environment["OCS_CDR__DIRECTORY"] == str(Path.cwd() / "c")
    assert environment["PATH"] == os.environ["PATH"]
    assert own_command("a", "b") == [sys.executable, "-m", "ocs", "a", "b"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_waiting_for_a_signal(number: signal.Signals) -> None:
    async def act() -> None:
        asyncio.get_running_loop().call_later(0.01, signal.raise_signal, number)
        await wait_for_signal(signal.SIGTERM, signal.SIGINT)

    asyncio.run(act())


def test_times_and_texts_for_people() -> None:
    assert when(1_800_000_000_007) == "2027-01-15 08:00:00.007"
    assert printable("größe") == "größe"
    assert printable("a\x1b[31mb\n") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}"


class TestMistakes:
    """Exit code 1, and lines on standard error that say what would help; never a traceback."""

    def test_a_configuration_with_two(self, ocs: Command, tmp_path: Path) -> None:
        (tmp_path / "ocs.yaml").write_text("store: {fsync: sometimes}\ndiameter:\n  hosts: x\n")
        result = ocs("audit", "--config", "ocs.yaml")
        assert result.code == 1
        lines = result.err.splitlines()
        assert [line.startswith(f"ocs: ocs.yaml:{n}: ") for line, n in zip(lines, (1, 3), strict=True)] == [True, True]

    def test_a_configuration_that_is_not_there(self, ocs: Command) -> None:
        result = ocs("audit", "--config", "none.yaml")
        assert (result.code, result.err) == (1, "ocs: none.yaml: no such file\n")

    @pytest.mark.parametrize("url", ["redis://:hunter2@localhost:1", "nonsense", "redis://:hunter2@host:port"])
    def test_a_store_that_cannot_be_used(self, ocs: Command, url: str) -> None:
        result = ocs("audit", "--store", url)
        assert result.code == 1
        assert result.err.startswith("ocs: ")
        assert "hunter2" not in result.err

    def test_a_data_directory_that_cannot_be_made(self, ocs: Command, tmp_path: Path) -> None:
        add = ("subscriber", "add", "491701234567")
        result = ocs(*add, "--data", "/proc/ocs")
        assert result.code == 1
        assert result.err.startswith("ocs: /proc/ocs: ")
        (tmp_path / "file").write_text("")
        assert ocs(*add, "--data", "file").err == f"ocs: {tmp_path}/file: File exists\n"

    def test_a_store_that_is_not_there_is_not_made_by_looking(self, ocs: Command, tmp_path: Path) -> None:
        for words in (["audit"], ["show", "account", "a"], ["explain", "a"], ["top-up", "a", "1"]):
            result = ocs(*words, "--data", "elsewhere")
            assert result.code == 1
            assert result.err.startswith(f"ocs: there is no store in {tmp_path}/elsewhere; name the server's")
        assert not (tmp_path / "elsewhere").exists()

    def test_another_number_of_partitions(self, ocs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        ocs.on_store("audit")
        monkeypatch.setenv("OCS_STORE__PARTITIONS", "7")
        assert "made with store.partitions: 64; the configuration says 7" in ocs.refused("audit")

    def test_an_argument_that_is_no_text(self, ocs: Command) -> None:
        assert ocs.refused("explain", os.fsdecode(b"\xff\xfe")) == "an argument is no valid text"
