"""The `ocs` command in this process, on one embedded store for each module."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

from ocs.cli import main
from ocs.config import StoreConfig
from ocs.store.connection import open_store
from ocs.store.embedded import EmbeddedValkey


class Result(NamedTuple):
    """What a command ended with and said."""

    code: int
    out: str
    err: str


class Command:
    """Runs `ocs` with words, in an empty directory, as somebody at a wide terminal would."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, data: Path) -> None:
        self.data = data
        """Directory of the embedded store."""
        self._capsys = capsys
        self._patch = patch

    def __call__(self, *words: str) -> Result:
        self._patch.setattr(sys, "argv", ["ocs", *words])
        self._capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            structlog.reset_defaults()
        assert isinstance(code, int)
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    def on_store(self, *words: str) -> str:
        """The same with `--data`, and it has to end well. Returns what it said."""
        result = self(*words, "--data", str(self.data))
        assert (result.code, result.err) == (0, ""), result
        return result.out

    def refused(self, *words: str) -> str:
        """The same; it has to end with one line on standard error, and is given that without its head."""
        result = self(*words, "--data", str(self.data))
        assert result.code == 1, result
        assert result.err.startswith("ocs: "), result
        assert result.err.count("\n") == 1, result
        return result.err.removeprefix("ocs: ").rstrip("\n")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """It stays as long as the module, so that a command need not start one."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("data"), "no")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ocs(
    valkey: EmbeddedValkey, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """With an empty store."""

    async def empty() -> None:
        store = await open_store(valkey.url, StoreConfig().partitions)
        await store.client.flushall()
        await store.close()

    asyncio.run(empty())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return Command(capsys, monkeypatch, valkey.directory)
