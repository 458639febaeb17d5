"""The connection of commits: order, errors in the middle, connections that are cut, replies that never come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ocs.store import pipe as pipe_module
from ocs.store.connection import make_client
from ocs.store.embedded import EmbeddedValkey
from ocs.store.pipe import Pipe

from .proxy import Proxy, proxied


@asynccontextmanager
async def opened_pipe(url: str) -> AsyncIterator[Pipe]:
    client = make_client(url)
    pipe = Pipe(client)
    try:
        yield pipe
    finally:
        await pipe.close()
        await client.aclose()


Act = Callable[[Pipe, Proxy], Awaitable[None]]


@pytest.fixture
def pipe(valkey: EmbeddedValkey, tmp_path: Path) -> Callable[[Act], None]:
    """Runs an async test with a pipe that goes through a proxy, on an empty store."""

    async def run(act: Act) -> None:
        async with opened_pipe(valkey.url) as direct:
            await direct.execute([("FLUSHALL",)])
        async with proxied(valkey.url, tmp_path) as proxy, opened_pipe(proxy.url) as pipe:
            await act(pipe, proxy)

    return lambda act: asyncio.run(run(act))


Piped = Callable[[Act], None]


def test_replies_come_in_the_order_of_the_commands(pipe: Piped) -> None:
    async def act(pipe: Pipe, _: Proxy) -> None:
        sets = [("SET", f"key {number}", number) for number in range(500)]
        assert await pipe.execute(sets) == [b"OK"] * 500
        gets = [("GET", f"key {number}") for number in range(500)]
        assert await pipe.execute(gets) == [b"%d" % number for number in range(500)]
        assert await pipe.execute([]) == []

    pipe(act)


def test_an_error_is_the_reply_of_its_command_alone(pipe: Piped) -> None:
    async def act(pipe: Pipe, proxy: Proxy) -> None:
        first, error, last = await pipe.execute([("SET", "a", "text"), ("LPUSH", "a", 1), ("GET", "a")])
        assert (first, last) == (b"OK", b"text")
        assert isinstance(error, ResponseError)
        assert "WRONGTYPE" in str(error)
        assert proxy.connections == 1

    pipe(act)


def test_octets_and_text_go_through_as_they_are(pipe: Piped) -> None:
    async def act(pipe: Pipe, _: Proxy) -> None:
        octets = bytes(range(256)) * 4
        await pipe.execute([("SET", b"\r\n\0$", octets), ("SET", "schlüssel \u2028", "größe")])
        assert await pipe.execute([("GET", b"\r\n\0$"), ("GET", "schlüssel \u2028".encode())]) == [
            octets,
            "größe".encode(),
        ]

    pipe(act)


def test_a_large_batch(pipe: Piped) -> None:
    """More than the sockets hold, in both directions."""

    async def act(pipe: Pipe, _: Proxy) -> None:
        text = b"x" * 100_000
        assert await pipe.execute([("SET", f"k{n}", text) for n in range(100)]) == [b"OK"] * 100
        assert await pipe.execute([("GET", f"k{n}") for n in range(100)]) == [text] * 100

    pipe(act)


@pytest.mark.parametrize("octets", [0, 1, 40, 400])
def test_a_connection_cut_within_the_batch_is_made_again_and_the_batch_repeated(pipe: Piped, octets: int) -> None:
    async def act(pipe: Pipe, proxy: Proxy) -> None:
        await pipe.execute([("PING",)])
        proxy.cut_after = octets
        commands = [("SET", f"k{n}", n) for n in range(20)]
        assert await pipe.execute(commands) == [b"OK"] * 20
        assert (proxy.cuts, proxy.connections) == (1, 2)
        assert await pipe.execute([("GET", f"k{n}") for n in range(20)]) == [b"%d" % n for n in range(20)]

    pipe(act)


def test_replies_that_are_lost_mean_a_repetition(pipe: Piped) -> None:
    """Whoever uses the pipe must bear that: this counter does not."""

    async def act(pipe: Pipe, proxy: Proxy) -> None:
        await pipe.execute([("PING",)])
        proxy.swallow = 1
        assert await pipe.execute([("INCR", "n")]) == [2]
        assert proxy.connections == 2

    pipe(act)


def test_cut_twice_is_an_error_and_the_next_batch_is_right(pipe: Piped) -> None:
    async def act(pipe: Pipe, proxy: Proxy) -> None:
        await pipe.execute([("PING",)])
        proxy.swallow, proxy.marker = 2, b"$4\r\nmark"
        with pytest.raises(RedisConnectionError):
            await pipe.execute([("SET", "a", 1), ("SET", "b", 2), ("PING", "mark")])
        assert proxy.cuts == 2
        assert await pipe.execute([("GET", "a"), ("GET", "b"), ("GET", "c")]) == [b"1", b"2", None]

    pipe(act)


def test_nobody_listens(tmp_path: Path) -> None:
    async def act() -> None:
        async with opened_pipe(f"unix://{tmp_path}/nothing.sock") as pipe:
            with pytest.raises(RedisConnectionError):
                await pipe.execute([("PING",)])

    asyncio.run(act())


def test_no_reply_in_time_and_a_late_one_belongs_to_nobody(pipe: Piped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe_module, "SOCKET_TIMEOUT_S", 0.2)

    async def act(pipe: Pipe, proxy: Proxy) -> None:
        await pipe.execute([("PING",)])
        proxy.keep_from_answering = True
        with pytest.raises(RedisTimeoutError, match=r"no reply within 0\.2 s"):
            await pipe.execute([("SET", "a", "1"), ("GET", "a")])
        proxy.keep_from_answering = False
        assert await pipe.execute([("GET", "a")]) == [b"1"]
        assert proxy.connections == 2

    pipe(act)


def test_a_caller_that_is_cancelled_leaves_no_replies_behind(pipe: Piped) -> None:
    async def act(pipe: Pipe, proxy: Proxy) -> None:
        await pipe.execute([("PING",)])
        proxy.keep_from_answering = True
        task = asyncio.get_running_loop().create_task(pipe.execute([("ECHO", "old")]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        proxy.keep_from_answering = False
        assert await pipe.execute([("ECHO", "new")]) == [b"new"]

    pipe(act)


def test_what_cannot_be_sent_is_refused_and_nothing_is(pipe: Piped) -> None:
    async def act(pipe: Pipe, _: Proxy) -> None:
        with pytest.raises(UnicodeEncodeError):
            await pipe.execute([("SET", "a", 1), ("SET", "\udcff", 2)])
        assert await pipe.execute([("DBSIZE",)]) == [0]

    pipe(act)


def test_a_store_that_is_still_loading_is_as_good_as_away(tmp_path: Path) -> None:
    """-LOADING is an error reply that redis-py takes for a lost connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b"-LOADING the dataset is being read\r\n")
        writer.close()

    async def act() -> None:
        server = await asyncio.start_unix_server(answer, tmp_path / "s.sock")
        async with server, opened_pipe(f"unix://{tmp_path}/s.sock") as pipe:
            with pytest.raises(RedisConnectionError):
                await pipe.execute([("GET", "a")])

    asyncio.run(act())


def test_closing_twice_and_going_on_after(pipe: Piped) -> None:
    async def act(pipe: Pipe, proxy: Proxy) -> None:
        await pipe.close()
        assert await pipe.execute([("PING",)]) == [b"PONG"]
        await pipe.close()
        await pipe.close()
        assert await pipe.execute([("PING",)]) == [b"PONG"]
        assert proxy.connections == 2

    pipe(act)
