"""Opening a store: what is refused and in which words, what is said of its durability; and no password is shown."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocs.store import connection as connection_module
from ocs.store.connection import StoreError, load_functions, masked, open_store
from ocs.store.embedded import EmbeddedValkey
from ocs.store.keys import INSTALLATION

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://:hunter2@host:6379/0", "redis://***@host:6379/0"),
        ("rediss://ada:hunter2@host", "rediss://***@host"),
        ("redis://hunter2@host", "redis://***@host"),
        ("redis://ada:p@ss://hunter2@host/0", "redis://***@host/0"),
        ("redis://:hun\nter2@host", "redis://***@host"),
        ("redis:hunter2@host", "***@host"),
        ("hunter2@host", "***@host"),
        ("unix:///run/redis.sock?password=hunter2&db=1", "unix:///run/redis.sock?password=***&db=1"),
        ("redis://host?db=1&ssl_password=hunter2", "redis://host?db=1&ssl_password=***"),
        ("", ""),
    ],
)
def test_urls_are_shown_without_credentials(url: str, shown: str) -> None:
    assert masked(url) == shown


async def refusal(url: str, partitions: int = 4) -> str:
    """The text with which opening it is refused."""
    with pytest.raises(StoreError) as caught:
        await open_store(url, partitions)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://:hunter2@localhost",
        "redis:hunter2@localhost",
        "redis://:hunter2@localhost:port",
        "redis://:hun/ter2@localhost:6379",
        "redis://:hunter2@localhost:6379/0?timeout=3",
        "redis://:hunter2@localhost:6379/0?no_such_option=3",
        "redis://:hunter2@[::1",
        "rediss://:hunter2@localhost?ssl_cert_reqs=perhaps",
    ],
)
def test_what_is_no_url(url: str) -> None:
    text = asyncio.run(refusal(url))
    assert "is not the URL of a store; write redis://" in text
    assert SECRET not in text
    assert "ter2" not in text


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = asyncio.run(refusal(f"redis://:{SECRET}@127.0.0.1:{port}/0"))
    assert text.startswith(f"redis://***@127.0.0.1:{port}/0: Error ")
    assert SECRET not in text
    assert str(tmp_path) in asyncio.run(refusal(f"unix://{tmp_path}/no.sock"))


def test_no_such_host() -> None:
    text = asyncio.run(refusal(f"redis://:{SECRET}@no-such-host.invalid"))
    assert text.startswith("redis://***@no-such-host.invalid: ")


class TestPassword:
    """A server that asks for one."""

    @pytest.fixture
    def locked(self, tmp_path: Path) -> Iterator[EmbeddedValkey]:
        server = EmbeddedValkey(tmp_path / "store", "no")
        server.start()
        process = server._process
        assert process is not None
        asyncio.run(set_config(server.url, requirepass=SECRET))
        yield server
        process.terminate()  # `stop` has no password to say it with
        process.wait()
        server.stop()

    @pytest.mark.parametrize("credentials", ["", ":wrong@", "ada:hunter2@"])
    def test_a_wrong_one(self, locked: EmbeddedValkey, credentials: str) -> None:
        text = asyncio.run(refusal(f"unix://{credentials}{locked.socket}"))
        shown = masked(f"unix://{credentials}{locked.socket}")
        assert text.startswith(f"{shown}: the server asks for a password, or refuses the one in the URL")

    @pytest.mark.parametrize("form", ["unix://:hunter2@{}", "unix://{}?password=hunter2"])
    def test_the_right_one(self, locked: EmbeddedValkey, form: str) -> None:
        async def act() -> None:
            store = await open_store(form.format(locked.socket), 4)
            await store.close()

        asyncio.run(act())


async def set_config(url: str, **settings: str) -> None:
    client = connection_module.make_client(url)
    for name, value in settings.items():
        await client.config_set(name.replace("_", "-"), value)
    await client.aclose()


class Pretender:
    """Something that speaks like a Redis of another kind. `answers` by the first words of a command."""

    def __init__(self, path: Path, answers: dict[str, bytes]) -> None:
        self.path, self.answers = path, answers
        self.heard: list[str] = []

    async def refusal(self) -> str:
        async with await asyncio.start_unix_server(self._serve, self.path):
            return await refusal(f"unix://{self.path}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()).startswith(b"*"):
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            command = " ".join(words).upper()
            self.heard.append(command)
            known = (answer for name, answer in self.answers.items() if command.startswith(name))
            writer.write(next(known, HELLO if command.startswith("HELLO") else b"+OK\r\n"))
        writer.close()


HELLO = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n"


def bulk(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ("redis_version:6.2.14\r\n", "Redis 6.2.14 is too old: Redis >= 7.0 or any Valkey is needed (FUNCTION)"),
        ("redis_version:2.8.0\r\n", "Redis 2.8.0 is too old"),
        ("something:else\r\n", "Redis 0 is too old"),
    ],
)
def test_too_old(tmp_path: Path, info: str, text: str) -> None:
    old = Pretender(tmp_path / "old.sock", {"INFO": bulk(info)})
    assert text in asyncio.run(old.refusal())
    assert not any(command.startswith(("SET", "FUNCTION")) for command in old.heard), "nothing was written to it"


@pytest.mark.parametrize("version", ["redis_version:7.0.0", "redis_version:7.2.4\r\nserver_name:valkey"])
def test_new_enough_but_it_may_not_be_written(tmp_path: Path, version: str) -> None:
    """A replica, for example."""
    answers = {
        "INFO": bulk(f"{version}\r\n"),
        "FUNCTION": b"-READONLY You can't write against a read only replica.\r\n",
    }
    replica = Pretender(tmp_path / "replica.sock", answers)
    assert "read only replica" in asyncio.run(replica.refusal())


def test_something_that_is_no_redis(tmp_path: Path) -> None:
    other = Pretender(tmp_path / "http.sock", {"": b"HTTP/1.1 400 Bad Request\r\n\r\n"})
    assert asyncio.run(other.refusal()).startswith(f"unix://{tmp_path}/http.sock: ")


class TestLayout:
    """How keys are laid out is chosen once."""

    @pytest.fixture
    def url(self, valkey: EmbeddedValkey) -> str:
        async def empty() -> None:
            client = connection_module.make_client(valkey.url)
            await client.flushall()
            await client.aclose()

        asyncio.run(empty())
        return valkey.url

    def test_it_is_noted_and_stays(self, url: str) -> None:
        async def act() -> None:
            for _ in range(2):
                store = await open_store(url, 16)
                assert store.keys.partitions == 16
                assert await store.client.get(INSTALLATION) == b'{"partitions":16,"format":1}'
                await store.close()

        asyncio.run(act())

    def test_another_number_of_partitions_is_refused(self, url: str) -> None:
        async def act() -> None:
            await (await open_store(url, 16)).close()
            text = "this store was made with store.partitions: 16; the configuration says 17"
            assert text in await refusal(url, 17)
            await (await open_store(url, 16)).close()

        asyncio.run(act())

    @pytest.mark.parametrize(
        ("stored", "text"),
        [
            (b'{"partitions":4,"format":2}', "this store has format 2; this program reads format 1"),
            (b"something", "a key 'octroi' that is not of this program"),
            (b"", "a key 'octroi' that is not of this program"),
            (b"[]", "a key 'octroi' that is not of this program"),
            (b'{"partitions":"four"}', "a key 'octroi' that is not of this program"),
        ],
    )
    def test_a_store_of_another_program(self, url: str, stored: bytes, text: str) -> None:
        async def act() -> None:
            client = connection_module.make_client(url)
            await client.set(INSTALLATION, stored)
            assert text in await refusal(url)
            await client.delete(INSTALLATION)
            await client.lpush(INSTALLATION, "x")
            assert "WRONGTYPE" in await refusal(url)
            await client.delete(INSTALLATION)
            await client.aclose()

        asyncio.run(act())


class TestDurability:
    """One sentence, which says what a power cut may take away."""

    @pytest.mark.parametrize(
        ("settings", "text"),
        [
            ({"appendfsync": "always"}, "every answer is on disk before it is given (appendfsync always)"),
            ({"appendfsync": "everysec"}, "may take away the last second or two of answered requests"),
            ({"appendfsync": "no"}, "what the system has not written yet, some 30 s"),
            ({"appendonly": "no"}, "NONE: no append-only file"),
            ({"maxmemory-policy": "allkeys-lru"}, "UNSAFE: maxmemory-policy allkeys-lru"),
            (
                {"appendfsync": "always", "no-appendfsync-on-rewrite": "yes"},
                "while the store rewrites its append-only file, a power cut may take away some 30 s",
            ),
            ({"appendfsync": "no", "no-appendfsync-on-rewrite": "yes"}, "what the system has not written yet"),
        ],
        ids=str,
    )
    def test_what_the_server_says_of_itself(self, valkey: EmbeddedValkey, settings: dict[str, str], text: str) -> None:
        async def act() -> None:
            client = connection_module.make_client(valkey.url)
            before = {name: (await client.config_get(name)) for name in settings}
            try:
                for name, value in settings.items():
                    await client.config_set(name, value)
                store = await open_store(valkey.url, 4)
                assert text in store.durability
                assert ("every answer is on disk" in store.durability) == (settings == {"appendfsync": "always"})
                await store.close()
            finally:
                for config in before.values():
                    for name, value in config.items():
                        await client.config_set(name, value)
                await client.aclose()

        asyncio.run(act())

    def test_a_server_that_does_not_say(self, valkey: EmbeddedValkey) -> None:
        """As in many clouds."""

        async def act() -> None:
            client = connection_module.make_client(valkey.url)
            await client.acl_setuser(
                "clerk", enabled=True, nopass=True, keys="*", categories=["+@all"], commands=["-config"]
            )
            try:
                store = await open_store(f"unix://clerk:x@{valkey.socket}", 4)
                assert store.durability.startswith("unknown: the server does not let us read its configuration")
                await store.close()
            finally:
                await client.acl_deluser("clerk")
                await client.aclose()

        asyncio.run(act())


def test_name_and_version(valkey: EmbeddedValkey) -> None:
    async def act() -> None:
        store = await open_store(valkey.url, 4)
        assert store.server.startswith("Valkey 9.")
        await store.close()

    asyncio.run(act())


def test_the_function_is_found_in_any_directory(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """It is part of the package."""
    words = f"import asyncio; from ocs.store.connection import open_store; asyncio.run(open_store({valkey.url!r}, 4))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", words], cwd=tmp_path, check=True, timeout=60)


def test_an_older_function_is_replaced(valkey: EmbeddedValkey) -> None:
    async def act() -> None:
        client = connection_module.make_client(valkey.url)
        old = "#!lua name=octroi\nredis.register_function('octroi_commit', function() return 'old' end)"
        await client.function_load(old, replace=True)
        assert await client.fcall("octroi_commit", 0) == b"old"
        await load_functions(client)
        (library,) = await client.function_list(library="octroi", withcode=True)
        assert b"old" not in msgspec.msgpack.encode(library)
        await client.aclose()

    asyncio.run(act())


def test_closing_and_the_loop_have_nothing_left(valkey: EmbeddedValkey) -> None:
    """A refused store leaves no connection behind."""

    async def act() -> Any:
        client = connection_module.make_client(valkey.url)
        before = len(await client.client_list())
        await client.set(INSTALLATION, '{"partitions":99,"format":1}')
        for _ in range(3):
            await refusal(valkey.url, 98)
        await client.delete(INSTALLATION)
        after = len(await client.client_list())
        await client.aclose()
        return before, after

    before, after = asyncio.run(act())
    assert after <= before
