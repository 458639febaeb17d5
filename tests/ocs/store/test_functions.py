"""The store's function, called directly: it writes all or nothing, and nothing when it is called wrongly."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import ResponseError

from ocs.store.connection import load_functions
from ocs.store.embedded import EmbeddedValkey

from .scene import opened_scene

ACCOUNT, DEADLINES, EVENTS, SESSION, OTHER = (f"{{p00}}:{name}" for name in ("a", "deadlines", "events", "s", "t"))
NEW = '{"version":1,"id":"a"}'


@pytest.fixture
def call(valkey: EmbeddedValkey) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    """Runs an async test with a client of an empty store."""

    async def run(act: Callable[[Any], Awaitable[None]]) -> None:
        async with opened_scene(valkey.url) as scene:
            await scene.store.client.flushall()
            await act(scene.store.client)

    return lambda act: asyncio.run(run(act))


Call = Callable[[Callable[[Any], Awaitable[None]]], None]


async def commit(client: Any, keys: list[str], *arguments: Any) -> Any:
    return await client.fcall("octroi_commit", len(keys), *keys, *arguments)


async def content(client: Any) -> dict[str, Any]:
    """Everything that is stored, by key."""
    found: dict[str, Any] = {}
    for key in sorted(await client.keys()):
        match await client.type(key):
            case b"string":
                found[key.decode()] = (await client.get(key)).decode()
            case b"zset":
                found[key.decode()] = dict(await client.zrange(key, 0, -1, withscores=True))
            case b"stream":
                found[key.decode()] = [fields[b"e"].decode() for _, fields in await client.xrange(key)]
            case other:
                found[key.decode()] = other
    return found


def test_account_sessions_deadlines_and_events_go_in_together(call: Call) -> None:
    async def act(client: Any) -> None:
        keys = [ACCOUNT, DEADLINES, EVENTS, SESSION, OTHER]
        sessions = ['{"s":1}', 0, 5000, "a s", '{"t":1}', 60_000, 0, "a t"]
        assert await commit(client, keys, 0, NEW, 2, *sessions, '{"e":1}', '{"e":2}') == 1
        assert await content(client) == {
            ACCOUNT: NEW,
            DEADLINES: {b"a s": 5000.0},
            EVENTS: ['{"e":1}', '{"e":2}'],
            SESSION: '{"s":1}',
            OTHER: '{"t":1}',
        }
        assert await client.pttl(SESSION) == -1
        assert 0 < await client.pttl(OTHER) <= 60_000
        # The next version: one session is closed, the other is not touched.
        keys = [ACCOUNT, DEADLINES, EVENTS, SESSION]
        assert await commit(client, keys, 1, '{"version":2}', 1, '{"s":2}', 1, 0, "a s", '{"e":3}') == 1
        found = await content(client)
        assert DEADLINES not in found
        assert found[ACCOUNT] == '{"version":2}'
        assert found[OTHER] == '{"t":1}'

    call(act)


def test_a_session_that_goes_on_is_kept_without_end(call: Call) -> None:
    """A closed session has an end; opened again, it has none."""

    async def act(client: Any) -> None:
        keys = [ACCOUNT, DEADLINES, EVENTS, SESSION]
        assert await commit(client, keys, 0, NEW, 1, "{}", 1000, 0, "a s", "{}") == 1
        assert await commit(client, keys, 1, '{"version":2}', 1, "{}", 0, 5000, "a s", "{}") == 1
        assert await client.pttl(SESSION) == -1

    call(act)


@pytest.mark.parametrize("expected", [0, 6, 8, 99])
def test_another_version_changes_nothing_and_tells_what_is_stored(call: Call, expected: int) -> None:
    async def act(client: Any) -> None:
        await client.set(ACCOUNT, '{"version":7,"id":"a"}')
        await client.set(SESSION, '{"s":1}')
        before = await content(client)
        arguments = [expected, NEW, 2, "{}", 0, 1, "a s", "{}", 0, 1, "a t", '{"e":1}']
        reply = await commit(client, [ACCOUNT, DEADLINES, EVENTS, SESSION, OTHER], *arguments)
        assert reply == [b'{"version":7,"id":"a"}', b'{"s":1}', b""]
        assert await content(client) == before

    call(act)


def test_an_account_that_is_not_there_has_version_0(call: Call) -> None:
    async def act(client: Any) -> None:
        assert await commit(client, [ACCOUNT, DEADLINES, EVENTS], 3, NEW, 0, "{}") == [b""]
        assert await content(client) == {}
        assert await commit(client, [ACCOUNT, DEADLINES, EVENTS], 0, NEW, 0) == 1
        assert await content(client) == {ACCOUNT: NEW}

    call(act)


FOUR = [ACCOUNT, DEADLINES, EVENTS, SESSION]
SESSION_ARGUMENTS = ("{}", 0, 5000, "a s")


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ([], (0, NEW, 0)),
        ([ACCOUNT], (0, NEW, 0)),
        ([ACCOUNT, DEADLINES], (0, NEW, -1)),
        ([ACCOUNT, DEADLINES], (0, NEW, 0)),
        (FOUR, (0, NEW, 0)),
        (FOUR, ()),
        (FOUR, (0,)),
        (FOUR, (0, NEW)),
        (FOUR, (0, NEW, 1)),
        (FOUR, (0, NEW, 1, "{}", 0, 5000)),
        (FOUR, (0, NEW, 2, *SESSION_ARGUMENTS, *SESSION_ARGUMENTS)),
        (FOUR, (0, NEW, 0.5, *SESSION_ARGUMENTS)),
        (FOUR, (0, NEW, "one", *SESSION_ARGUMENTS)),
        (FOUR, (0, NEW, "nan", *SESSION_ARGUMENTS)),
        (FOUR, (0, NEW, "inf", *SESSION_ARGUMENTS)),
        (FOUR, ("", NEW, 1, *SESSION_ARGUMENTS)),
        (FOUR, ("v1", NEW, 1, *SESSION_ARGUMENTS)),
        (FOUR, (NEW, NEW, 1, *SESSION_ARGUMENTS)),
        (FOUR, (0, NEW, 1, "{}", "soon", 5000, "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", -1, 5000, "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", 1.5, 5000, "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", "nan", 5000, "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", "inf", 5000, "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", 10**18, 5000, "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", 0, "later", "a s", "{}")),
        (FOUR, (0, NEW, 1, "{}", 0, "nan", "a s", "{}")),
        ([*FOUR, OTHER], (0, NEW, 2, *SESSION_ARGUMENTS, "{}", "x", 5000, "a t", "{}")),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_written(
    call: Call, keys: list[str], arguments: tuple[Any, ...]
) -> None:
    async def act(client: Any) -> None:
        with pytest.raises(ResponseError):
            await commit(client, keys, *arguments)
        assert await content(client) == {}

    call(act)


@pytest.mark.parametrize("keep", ["0", "00", "0.0", "-0"])
def test_every_way_to_write_0_keeps_a_session_without_end(call: Call, keep: str) -> None:
    async def act(client: Any) -> None:
        assert await commit(client, FOUR, "0", NEW, "1", "{}", keep, "5000", "a s", "{}") == 1
        assert await client.pttl(SESSION) == -1

    call(act)


@pytest.mark.parametrize(
    "stored", ["", "{}", "nonsense", '{"id":"a","version":1}', '{ "version":1}', '{"version":-1}', '{"version":"1"}']
)
def test_an_account_that_does_not_begin_with_its_version_is_left_alone(call: Call, stored: str) -> None:
    async def act(client: Any) -> None:
        await client.set(ACCOUNT, stored)
        with pytest.raises(ResponseError, match="does not begin with its version"):
            await commit(client, FOUR, 0, NEW, 1, *SESSION_ARGUMENTS, "{}")
        assert await content(client) == {ACCOUNT: stored}

    call(act)


@pytest.mark.parametrize("key", [ACCOUNT, DEADLINES, EVENTS])
def test_a_key_of_another_type_leaves_account_and_session_as_they_were(call: Call, key: str) -> None:
    async def act(client: Any) -> None:
        await client.set(ACCOUNT, NEW)
        await client.set(SESSION, "before")
        await client.delete(key)
        await client.hset(key, "some", "thing")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await commit(client, FOUR, 1, '{"version":2}', 1, *SESSION_ARGUMENTS, "{}")
        found = await content(client)
        assert found[SESSION] == "before"
        assert found[ACCOUNT] == (NEW if key != ACCOUNT else b"hash")
        assert EVENTS not in found or found[EVENTS] == b"hash"

    call(act)


def test_loading_it_again_replaces_it(call: Call) -> None:
    async def act(client: Any) -> None:
        await load_functions(client)
        await load_functions(client)
        (library,) = await client.function_list(library="octroi", withcode=False)
        assert b"octroi" in library

    call(act)


def test_the_largest_version_is_exact(call: Call) -> None:
    """2^53 - 1 is where Lua's numbers end."""

    async def act(client: Any) -> None:
        await client.set(ACCOUNT, '{"version":9007199254740990,"id":"a"}')
        stored = [b'{"version":9007199254740990,"id":"a"}']
        assert await commit(client, [ACCOUNT, DEADLINES, EVENTS], 9007199254740989, NEW, 0) == stored
        assert await commit(client, [ACCOUNT, DEADLINES, EVENTS], 9007199254740990, NEW, 0) == 1

    call(act)
