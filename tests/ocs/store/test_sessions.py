"""Finding sessions for people."""

import pytest

from ocs.charging.state import SessionState

from .scene import INITIAL, TERMINATION, Play, Scene, ccr


@pytest.mark.parametrize("name", ["s", "pgw.example.org;1;2;gy", "with space", "[fe80::1]*?;\\^", "größe", "x:y"])
def test_a_session_is_found_while_it_is_open_and_a_while_after(play: Play, name: str) -> None:
    async def act(scene: Scene) -> None:
        await scene.add()
        assert await scene.session(name) is None
        await scene.ledger.execute("a", ccr(INITIAL, 0, session=name))
        session = await scene.session(name)
        assert session is not None
        assert (session.id, session.state, session.account) == (name, SessionState.OPEN, "a")
        await scene.ledger.execute("a", ccr(TERMINATION, 1, session=name))
        session = await scene.session(name)
        assert session is not None
        assert session.state is SessionState.CLOSED

    play(act)


def test_a_session_whose_time_has_passed(play: Play) -> None:
    """The index may outlive it."""

    async def act(scene: Scene) -> None:
        await scene.add()
        await scene.ledger.execute("a", ccr(INITIAL, 0))
        await scene.ledger.execute("a", ccr(TERMINATION, 1))
        await scene.store.client.delete(scene.store.keys.session("a", "s"))
        assert await scene.session() is None

    play(act)


def test_the_open_sessions_of_an_account(play: Play) -> None:
    from ocs.store.sessions import open_sessions

    async def act(scene: Scene) -> None:
        # `a` and `a+b` may share a partition; a pattern must not take one for the other, nor a star for anything.
        for name in ("a", "a+b", "aa"):
            await scene.add(name)
        names = ["plain", "with space", "[brackets]", "*", "?", "\\", "^", "a plain"]
        for name in names:
            await scene.ledger.execute("a", ccr(INITIAL, 0, session=name))
        await scene.ledger.execute("a+b", ccr(INITIAL, 0, session="of another"))
        await scene.ledger.execute("aa", ccr(INITIAL, 0, session="of a third"))
        await scene.ledger.execute("a", ccr(INITIAL, 0, session="closed"))
        await scene.ledger.execute("a", ccr(TERMINATION, 1, session="closed"))
        found = [session.id async for session in open_sessions(scene.store, "a")]
        assert sorted(found) == sorted(names)
        assert [session.id async for session in open_sessions(scene.store, "a+b")] == ["of another"]
        assert [session.id async for session in open_sessions(scene.store, "nobody")] == []

    play(act)
