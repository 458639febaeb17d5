"""One embedded Valkey for each module of this folder."""

from collections.abc import Iterator

import pytest

from ocs.store.embedded import EmbeddedValkey

from .scene import Play, player


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"), "no")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def play(valkey: EmbeddedValkey) -> Play:
    return player(valkey)
