"""The ledger: group commit, two ledgers on one store, and everything a store or a connection can do to it."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from ocs.charging.command import Command, CommandRefused, CreateAccount, CreditMoney, ExpireSession, SetStatus
from ocs.charging.decide import Decision, decide
from ocs.charging.receipt import Verdict
from ocs.charging.settings import Settings
from ocs.charging.state import AccountStatus, SessionState, Subscriber
from ocs.store import ledger as ledger_module
from ocs.store import pipe as pipe_module
from ocs.store.embedded import EmbeddedValkey
from ocs.store.ledger import OPEN_SESSION_INDEX_MS, Ledger
from ocs.store.sweeper import sweep
from ocs.store.work import StoreUnavailable

from .proxy import Proxy, proxied
from .scene import EVENT, INITIAL, NOW, OVERDUE_MS, TERMINATION, UPDATE, Asked, Play, Scene, ccr, opened_scene

ProxiedAct = Callable[[Scene, Ledger, Proxy], Awaitable[None]]
PlayProxied = Callable[[ProxiedAct], None]


@pytest.fixture
def play_proxied(valkey: EmbeddedValkey, tmp_path: Path) -> PlayProxied:
    """Runs an async test on a scene with one more ledger, which reaches the store through a proxy."""

    async def run(act: ProxiedAct) -> None:
        async with opened_scene(valkey.url) as scene, proxied(valkey.url, tmp_path) as proxy:
            proxy.marker = b"FCALL"
            ledger = await scene.another_ledger(url=proxy.url)
            try:
                await act(scene, ledger, proxy)
            finally:
                await ledger.close()

    return lambda act: asyncio.run(run(act))


def granted(decision: Decision) -> int:
    """Octets granted for the only service of the answer."""
    assert decision.answer is not None
    (service,) = decision.answer.services
    return service.granted or 0


def is_success(result: Decision | Exception) -> bool:
    return isinstance(result, Decision) and result.answer is not None and result.answer.result_code == 2001


class TestGroupCommit:
    """Commands that arrive during a write leave together in the next."""

    def test_many_accounts_in_one_pipeline(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            names = [f"a{number}" for number in range(40)]
            for name in names:
                await scene.add(name)
            before = scene.ledger.counters.pipelines
            asked = [Asked(scene.ledger, ccr(INITIAL, 0, session=f"s-{name}"), name) for name in names]
            assert all([is_success(await a.result()) for a in asked])
            assert scene.ledger.counters.pipelines == before + 1
            assert scene.ledger.counters.commits >= 40
            await scene.check()

        play(act)

    def test_what_arrives_during_a_write_waits_for_its_end(self, play_proxied: PlayProxied) -> None:
        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            for name in ("a", "b", "c"):
                await scene.add(name)
            await ledger.execute("a", ccr(INITIAL, 0, session="first"))
            before = ledger.counters.pipelines
            asked = [Asked(ledger, ccr(UPDATE, 1, 10, session="first"), "a")]
            await asyncio.sleep(0)
            asked += [Asked(ledger, ccr(INITIAL, 0, session=f"s{name}"), name) for name in ("b", "c", "b")]
            for a in asked:
                await a.decision()
            assert ledger.counters.pipelines == before + 2
            await scene.check()

        play_proxied(act)

    def test_several_commands_of_an_account_are_one_write_with_an_event_each_in_their_order(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            commits, events = scene.ledger.counters.commits, scene.ledger.counters.events
            commands = [ccr(INITIAL, 0), ccr(UPDATE, 1, 100), ccr(UPDATE, 2, 200), ccr(TERMINATION, 3, 300)]
            asked = [Asked(scene.ledger, command, "a") for command in commands]
            decisions = [await a.decision() for a in asked]
            assert [granted(d) for d in decisions] == [1000, 1000, 1000, 0]
            assert scene.ledger.counters.commits == commits + 1
            assert scene.ledger.counters.events == events + 4
            receipts = await scene.receipts("a")
            assert [r.number for r in receipts[-4:]] == [0, 1, 2, 3]
            assert [r.version for r in receipts[-4:]] == [3, 4, 5, 6]
            assert (await scene.spent(), await scene.held()) == (600, 0)
            await scene.check()

        play(act)

    def test_a_repetition_in_the_same_write(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            asked = [Asked(scene.ledger, ccr(UPDATE, 1, 100), "a") for _ in range(3)]
            decisions = [await a.decision() for a in asked]
            assert [d.repeated for d in decisions] == [False, True, True]
            assert decisions[0].answer == decisions[1].answer == decisions[2].answer
            assert await scene.spent() == 100
            await scene.check()

        play(act)

    def test_more_accounts_than_a_pipeline_takes(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            ledger = await scene.another_ledger(pipeline_accounts=7)
            for number in range(20):
                await scene.add(f"a{number}")
            before = ledger.counters.pipelines
            asked = [Asked(ledger, ccr(INITIAL, 0, session=f"s{n % 20}"), f"a{n % 20}") for n in range(40)]
            assert ledger.backlog == 40
            assert all([is_success(await a.result()) for a in asked])
            assert ledger.backlog == 0
            assert ledger.counters.pipelines == before + 3
            await scene.check()

        play(act)

    def test_no_answer_before_the_store_has_confirmed(self, play_proxied: PlayProxied) -> None:
        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            await scene.add()
            await ledger.execute("a", ccr(INITIAL, 0))
            proxy.keep_from_answering = True
            asked = Asked(ledger, ccr(UPDATE, 1, 100), "a")
            await scene.until(scene.spent)
            await asyncio.sleep(0.02)
            assert asked.results == []
            proxy.keep_from_answering = False
            await scene.store.client.client_kill_filter(_type="normal", skipme=True)
            assert is_success(await asked.result())
            assert await scene.spent() == 100

        play_proxied(act)

    def test_nothing_to_write_is_answered_without_a_write(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            first = await scene.ledger.execute("a", ccr(INITIAL, 0))
            before = scene.ledger.counters.pipelines
            again = await scene.ledger.execute("a", ccr(INITIAL, 0))
            assert again.repeated
            assert again.answer == first.answer
            assert scene.ledger.counters.pipelines == before
            with pytest.raises(CommandRefused):
                await scene.ledger.execute("a", CreditMoney("t", -1))
            assert scene.ledger.counters.pipelines == before

        play(act)

    def test_refused_commands_among_others(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            commands: list[Command] = [CreditMoney("t1", 5), CreditMoney("t2", 0), CreditMoney("t3", 6)]
            commands.append(CreateAccount("a", []))
            asked = [Asked(scene.ledger, command, "a") for command in commands]
            kinds = [type(await a.result()) for a in asked]
            assert kinds == [Decision, CommandRefused, Decision, CommandRefused]
            account = await scene.account()
            assert sum(b.credited for b in account.buckets if b.id == "main") == 11
            await scene.check()

        play(act)


class TestTwoLedgers:
    """Two processes on one store need no agreement but the version."""

    def test_each_sees_what_the_other_did(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            other = await scene.another_ledger()
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            for number in range(1, 9):
                ledger = other if number % 2 else scene.ledger
                assert granted(await ledger.execute("a", ccr(UPDATE, number, 10))) == 1000
            assert await scene.spent() == 80
            assert scene.ledger.counters.conflicts == 4
            assert other.counters.conflicts == 3  # at first it knew nothing
            await scene.check()

        play(act)

    def test_at_the_same_moment(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            ledgers = [scene.ledger, await scene.another_ledger(), await scene.another_ledger()]
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            for number in range(1, 31):
                command = ccr(UPDATE, number, number)
                decisions = await asyncio.gather(*(ledger.execute("a", command) for ledger in ledgers))
                assert len([d for d in decisions if not d.repeated]) == 1
                assert decisions[0].answer == decisions[1].answer == decisions[2].answer
            assert await scene.spent() == sum(range(1, 31))
            assert sum(ledger.counters.conflicts for ledger in ledgers) > 0
            await scene.check()

        play(act)

    def test_a_top_up_in_the_command_line_while_the_server_serves(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            server = await scene.another_ledger()
            await scene.add(offer="priced")
            await scene.top_up("a", 500)
            assert granted(await server.execute("a", ccr(INITIAL, 0))) == 500
            refused = await server.execute("a", ccr(UPDATE, 1, 500))
            assert refused.answer is not None
            assert refused.answer.services[0].result_code == 4012
            await scene.top_up("a", 700, "t2")
            assert granted(await server.execute("a", ccr(UPDATE, 2))) == 700
            await scene.check()

        play(act)

    def test_order_is_kept_when_commands_are_decided_again(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            other = await scene.another_ledger()
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await other.execute("a", ccr(UPDATE, 1, 1))  # now what the first knows is old
            asked = [Asked(scene.ledger, ccr(UPDATE, 2, 2), "a")]
            await asyncio.sleep(0)
            asked += [Asked(scene.ledger, ccr(UPDATE, number, number), "a") for number in range(3, 8)]
            for a in asked:
                await a.decision()
            assert [r.number for r in await scene.receipts("a") if r.number is not None] == list(range(8))
            await scene.check()

        play(act)

    def test_who_always_loses_gives_up(self, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledger_module, "_TRIES", 5)

        async def act(scene: Scene) -> None:
            await scene.add()
            key = scene.store.keys.account("a")
            meddler = redis.Redis(unix_socket_path=scene.url.removeprefix("unix://"))

            def clock() -> int:  # is asked between reading and writing
                stored = json.loads(meddler.get(key) or b"")
                meddler.set(key, json.dumps(stored | {"version": stored["version"] + 1}, separators=(",", ":")))
                return NOW

            unlucky = await scene.another_ledger()
            unlucky.clock = clock
            with pytest.raises(StoreUnavailable, match="changed 5 times"):
                await unlucky.execute("a", ccr(INITIAL, 0))
            unlucky.clock = lambda: NOW
            assert granted(await unlucky.execute("a", ccr(INITIAL, 0))) == 1000
            meddler.close()

        play(act)

    def test_a_session_that_another_closed_meanwhile(self, play: Play) -> None:
        """What is known of it says open; the store says closed."""

        async def act(scene: Scene) -> None:
            other = await scene.another_ledger()
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await other.execute("a", ccr(TERMINATION, 1, 50))
            late = await scene.ledger.execute("a", ccr(UPDATE, 2, 7))
            assert late.receipt is not None
            assert late.receipt.verdict is Verdict.SESSION_WAS_CLOSED
            assert (await scene.spent(), await scene.held()) == (57, 0)
            await scene.check()

        play(act)


class TestWho:
    """Identities, accounts that do not exist, sessions that tell the account."""

    def test_an_identity_leads_to_its_account(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add("a", "imsi:26201", "msisdn:49170")
            for number, names in enumerate([("msisdn:49170",), ("imsi:26201", "msisdn:49170"), ("msisdn:49170",)]):
                command = ccr(INITIAL if number == 0 else UPDATE, number, None if number == 0 else 5)
                assert is_success(await Asked(scene.ledger, command, None, *names).result())
            receipts = [r for r in await scene.receipts("a") if r.number is not None]
            assert [r.identity for r in receipts] == ["msisdn:49170", "msisdn:49170", "msisdn:49170"]
            assert receipts[0].subscriber == "a"

        play(act)

    def test_the_first_identity_that_has_an_account_counts(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add("a", "imsi:1")
            await scene.add("b", "imsi:2")
            asked = Asked(scene.ledger, ccr(INITIAL, 0), None, "imsi:0", "imsi:2", "imsi:1")
            decision = await asked.decision()
            assert decision.receipt is not None
            assert (decision.receipt.account, decision.receipt.identity) == ("b", "imsi:2")

        play(act)

    def test_nobody_has_an_account(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            decision = await Asked(scene.ledger, ccr(INITIAL, 0, session="x"), None, "imsi:1", "msisdn:2").decision()
            assert decision.answer is not None
            assert decision.answer.result_code == 5030
            (receipt,) = await scene.receipts()
            assert (receipt.account, receipt.identity, receipt.verdict) == ("", "imsi:1", Verdict.UNKNOWN_SUBSCRIBER)
            partition = scene.store.keys.partition_of("x")
            assert await scene.store.client.xlen(scene.store.keys.events(partition)) == 1

        play(act)

    def test_strangers_leave_a_receipt_each_even_in_one_write(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            asked = [Asked(scene.ledger, ccr(INITIAL, 0, session=f"x{n}"), None, f"imsi:{n}") for n in range(30)]
            for a in asked:
                await a.decision()
            assert Counter(r.session for r in await scene.receipts()) == Counter(f"x{n}" for n in range(30))

        play(act)

    def test_an_account_that_is_made_after_it_was_asked_for(self, play: Play) -> None:
        """Another process makes it; nobody tells this one."""

        async def act(scene: Scene) -> None:
            server = await scene.another_ledger()
            await scene.store.client.set(scene.store.keys.identity("msisdn:49"), "a")
            first = await Asked(server, ccr(INITIAL, 0), None, "msisdn:49").decision()
            assert first.answer is not None
            assert first.answer.result_code == 5030
            await scene.add("a", "msisdn:49")
            second = await Asked(server, ccr(INITIAL, 1), None, "msisdn:49").decision()
            assert granted(second) == 1000
            await scene.check()

        play(act)

    def test_the_same_in_one_write(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.store.client.set(scene.store.keys.identity("msisdn:49"), "a")
            asked = [
                Asked(scene.ledger, ccr(INITIAL, 0), "a"),
                Asked(scene.ledger, CreateAccount("a", [Subscriber("a", ["msisdn:49"])]), "a"),
                Asked(scene.ledger, ccr(INITIAL, 1), "a"),
            ]
            codes = [d.answer.result_code if d.answer else 0 for d in [await a.decision() for a in asked]]
            assert codes == [5030, 0, 4010]
            account = await scene.account()
            assert account.version == 2

        play(act)

    def test_operators_commands_need_an_account(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            for command in (CreditMoney("t", 1), SetStatus(AccountStatus.BLOCKED)):
                with pytest.raises(CommandRefused, match="no such account"):
                    await scene.ledger.execute("nobody", command)
            decision = await scene.ledger.execute("nobody", ExpireSession("s"))
            assert decision.receipt is None
            assert await scene.receipts() == []

        play(act)

    def test_a_store_that_was_emptied_and_filled_again(self, play: Play) -> None:
        """The subscriber has another account now; what was known leads to the old one."""

        async def act(scene: Scene) -> None:
            server = await scene.another_ledger()
            await scene.add("old", "msisdn:49")
            await Asked(server, ccr(INITIAL, 0), None, "msisdn:49").decision()
            await scene.store.client.flushall()
            fresh = await scene.another_ledger()
            await scene.add("new", "msisdn:49", ledger=fresh)
            first = await Asked(server, ccr(UPDATE, 1, 5), None, "msisdn:49").decision()
            assert first.answer is not None
            assert first.answer.result_code == 5030
            second = await Asked(server, ccr(INITIAL, 2), None, "msisdn:49").decision()
            assert second.receipt is not None
            assert second.receipt.account == "new"
            await scene.check()

        play(act)

    def test_the_session_tells_the_account_where_no_identity_does(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add("a", "msisdn:49")
            await Asked(scene.ledger, ccr(INITIAL, 0), None, "msisdn:49").decision()
            other = await scene.another_ledger()
            for number, ledger in ((1, scene.ledger), (2, other)):
                decision = await Asked(ledger, ccr(UPDATE, number, 100, msisdn=""), None).decision()
                assert granted(decision) == 1000
            assert await scene.spent() == 200

        play(act)

    def test_no_identity_and_no_session(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            command = ccr(UPDATE, 1, 100, session="nowhere")
            command.identity = ""
            decision = await Asked(scene.ledger, command, None).decision()
            assert decision.answer is not None
            assert decision.answer.result_code == 5002

        play(act)


class TestSessionIndex:
    """`where:SESSION`: as long as the session, and a while longer."""

    async def ttl(self, scene: Scene, session: str = "s") -> int:
        return int(await scene.store.client.pttl(scene.store.keys.where(session)))

    def test_open_then_closed(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            ledger = await scene.another_ledger(session_retention_s=60)
            await scene.add()
            await ledger.execute("a", ccr(INITIAL, 0))
            assert await self.ttl(scene) > OPEN_SESSION_INDEX_MS - 60_000
            await ledger.execute("a", ccr(TERMINATION, 1))
            session = await scene.session()
            assert session is not None
            assert session.state is SessionState.CLOSED
            assert 0 < await scene.store.client.pttl(scene.store.keys.session("a", "s")) <= 60_000
            await ledger.close()  # at the latest
            assert 0 < await self.ttl(scene) <= 60_000

        play(act)

    def test_the_next_write_takes_it_along(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.ledger.execute("a", ccr(TERMINATION, 1))
            await scene.top_up("a", 1)
            assert 0 < await self.ttl(scene) <= 3_600_000

        play(act)

    def test_opened_and_closed_at_once(self, play: Play) -> None:
        """A one-time event; an attach that is refused."""

        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(EVENT, 0, 5, session="e"))
            assert 0 < await self.ttl(scene, "e") <= 3_600_000
            assert (await scene.session("e")) is not None

        play(act)

    def test_opened_again(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.ledger.execute("a", ccr(TERMINATION, 1))
            await scene.ledger.execute("a", ccr(INITIAL, 2))
            await scene.top_up("a", 1)
            assert await self.ttl(scene) > OPEN_SESSION_INDEX_MS - 60_000

        play(act)

    def test_a_closing_that_the_store_refused_does_not_shorten_it(self, play: Play) -> None:
        """This ledger thinks that the session is overdue; another one has heard of it since."""

        async def act(scene: Scene) -> None:
            other = await scene.another_ledger()
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            scene.now += OVERDUE_MS - 1
            await other.execute("a", ccr(UPDATE, 1, 5))
            scene.now += 1
            decision = await scene.ledger.execute("a", ExpireSession("s"))
            assert decision.receipt is None
            await scene.top_up("a", 1)
            await scene.ledger.close()
            session = await scene.session()
            assert session is not None
            assert session.state is SessionState.OPEN
            assert await self.ttl(scene) > OPEN_SESSION_INDEX_MS - 60_000

        play(act)

    def test_no_retention_is_not_for_ever(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            ledger = await scene.another_ledger(session_retention_s=0)
            await scene.add()
            await ledger.execute("a", ccr(INITIAL, 0))
            await ledger.execute("a", ccr(TERMINATION, 1))
            await ledger.close()
            key = scene.store.keys.session("a", "s")
            assert await scene.store.client.pttl(key) in (-2, 0, 1), "gone, or as good as"
            assert await self.ttl(scene) in (-2, 0, 1)

        play(act)


class TestMemory:
    """What is known is bounded, and what is forgotten is read again."""

    def test_few_accounts_kept(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            names = [f"a{n}" for n in range(12)]
            for name in names:
                await scene.add(name, f"msisdn:{name}")
            ledger = await scene.another_ledger(accounts_kept=3)
            for number in range(4):
                for name in names:
                    kind, used = (INITIAL, None) if number == 0 else (UPDATE, 10)
                    command = ccr(kind, number, used, session=f"s{name}")
                    assert is_success(await Asked(ledger, command, None, f"msisdn:{name}").result())
                    assert len(ledger._known) <= 4
                    assert len(ledger._accounts_of) <= 4
            assert [await scene.spent(name) for name in names] == [30] * 12
            asked = [Asked(ledger, ccr(TERMINATION, 4, 1, session=f"s{name}"), name) for name in names]
            for a in asked:  # more in one write than are kept
                await a.decision()
            assert [await scene.held(name) for name in names] == [0] * 12
            await scene.check()

        play(act)

    def test_sessions_that_are_closed_or_never_were_are_not_kept(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0, session="open"))
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.ledger.execute("a", ccr(TERMINATION, 1))
            for number in range(10):
                await scene.ledger.execute("a", ccr(UPDATE, 1, session=f"unknown{number}"))
                assert (await scene.ledger.execute("a", ccr(TERMINATION, 1))).repeated
                await scene.ledger.execute("a", ccr(EVENT, 0, session=f"event{number}"))
            await scene.ledger.execute("a", ccr(UPDATE, 2, 5))  # late, to the closed one
            await scene.ledger.execute("a", ccr(UPDATE, 1, session="open"))
            assert set(scene.ledger._known["a"].sessions) == {"open"}
            await scene.check()

        play(act)


class TestStoreForgets:
    """A store without our function, or without anything."""

    @pytest.mark.parametrize("accounts", [1, 60])
    def test_function_flush(self, play: Play, accounts: int) -> None:
        async def act(scene: Scene) -> None:
            names = [f"a{n}" for n in range(accounts)]
            for name in names:
                await scene.add(name)
            await scene.store.client.function_flush()
            asked = [Asked(scene.ledger, ccr(INITIAL, 0, session=f"s{name}"), name) for name in names for _ in (1, 2)]
            for a in asked:
                assert is_success(await a.result())
            await scene.check()

        play(act)

    def test_everything_is_gone(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.store.client.flushall()
            await scene.store.client.function_flush()
            decision = await scene.ledger.execute("a", ccr(UPDATE, 1, 10))
            assert decision.answer is not None
            assert decision.answer.result_code == 5030
            fresh = await scene.another_ledger()
            await scene.add(ledger=fresh)
            assert granted(await scene.ledger.execute("a", ccr(INITIAL, 2))) == 1000
            await scene.check()

        play(act)

    def test_an_older_copy_of_the_account(self, play: Play) -> None:
        """A store restored from a backup."""

        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            key, session_key = scene.store.keys.account("a"), scene.store.keys.session("a", "s")
            backup, session = await scene.store.client.mget(key, session_key)
            await scene.ledger.execute("a", ccr(UPDATE, 1, 10))
            await scene.store.client.mset({key: backup, session_key: session})
            assert granted(await scene.ledger.execute("a", ccr(UPDATE, 2, 5))) == 1000
            assert await scene.spent() == 5

        play(act)

    def test_memory_is_full(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.store.client.config_set("maxmemory", "1")
            try:
                with pytest.raises(StoreUnavailable, match="maxmemory"):
                    await scene.ledger.execute("a", ccr(UPDATE, 1, 10))
                with pytest.raises(StoreUnavailable):
                    await Asked(scene.ledger, ccr(INITIAL, 0, session="x"), "").decision()
            finally:
                await scene.store.client.config_set("maxmemory", "0")
            assert granted(await scene.ledger.execute("a", ccr(UPDATE, 1, 10))) == 1000
            assert await scene.spent() == 10
            await scene.check()

        play(act)


class TestUnreadable:
    """Somebody has put his hand in. Only that account suffers."""

    @pytest.mark.parametrize(
        "stored",
        [b"nonsense", b"", b'{"version":9', b'{"version":9,"id":"a"}', b"\xff\xfe", b'{"version":"2","id":"a"}'],
    )
    @pytest.mark.parametrize("known", [False, True])
    def test_an_account(self, play: Play, stored: bytes, known: bool) -> None:
        async def act(scene: Scene) -> None:
            await scene.add("a")
            await scene.add("b")
            ledger = scene.ledger if known else await scene.another_ledger()
            key = scene.store.keys.account("a")
            right = await scene.store.client.get(key)
            await scene.store.client.set(key, stored)
            asked = [Asked(ledger, ccr(INITIAL, 0, session=f"s{name}"), name) for name in ("a", "b", "a")]
            first, second, third = [await a.result() for a in asked]
            assert is_success(second)
            if stored != b"":  # nothing at all is no account
                assert isinstance(first, StoreUnavailable)
                assert isinstance(third, StoreUnavailable)
            await scene.store.client.set(key, right)
            assert granted(await ledger.execute("a", ccr(INITIAL, 1))) == 1000
            await scene.check()

        play(act)

    def test_an_account_that_is_found_so_in_a_conflict(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            for name in ("a", "b", "c"):
                await scene.add(name)
            key = scene.store.keys.account("b")
            right = await scene.store.client.get(key)
            await scene.store.client.set(key, b'{"version":77,"id":')
            asked = [Asked(scene.ledger, ccr(INITIAL, 0, session=f"s{name}"), name) for name in ("a", "b", "c")]
            results = [await a.result() for a in asked]
            assert [is_success(result) for result in results] == [True, False, True]
            assert isinstance(results[1], StoreUnavailable)
            await scene.store.client.set(key, right)
            await scene.check()

        play(act)

    def test_a_session(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add("a")
            await scene.add("b")
            for name in ("a", "b"):
                await scene.ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}"))
            fresh = await scene.another_ledger()
            key = scene.store.keys.session("a", "sa")
            right = await scene.store.client.get(key)
            await scene.store.client.set(key, b"{")
            commands = [("a", "sa"), ("b", "sb"), ("a", "new")]
            asked = [Asked(fresh, ccr(UPDATE, 1, 9, session=session), name) for name, session in commands]
            results = [await a.result() for a in asked]
            assert [is_success(result) for result in results] == [False, True, False]
            await scene.store.client.set(key, right)
            assert granted(await fresh.execute("a", ccr(UPDATE, 1, 9, session="sa"))) == 1000
            await scene.check()

        play(act)

    @pytest.mark.parametrize("what", ["account", "session", "identity"])
    def test_a_key_of_another_type(self, play: Play, what: str) -> None:
        async def act(scene: Scene) -> None:
            await scene.add("a", "msisdn:1")
            await scene.add("b", "msisdn:2")
            keys = scene.store.keys
            key = {
                "account": keys.account("a"),
                "session": keys.session("a", "s1"),
                "identity": keys.identity("msisdn:1"),
            }[what]
            fresh = await scene.another_ledger()
            await scene.store.client.delete(key)
            await scene.store.client.lpush(key, "what?")
            asked = [Asked(fresh, ccr(INITIAL, 0, session=f"s{n}"), None, f"msisdn:{n}") for n in (1, 2, 3)]
            results = [await a.result() for a in asked]
            assert isinstance(results[0], StoreUnavailable)
            assert is_success(results[1])
            assert isinstance(results[2], Decision)

        play(act)

    def test_an_identity_that_leads_nowhere(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.store.client.set(scene.store.keys.identity("msisdn:1"), b"\xff\xfe {x}")
            decision = await Asked(scene.ledger, ccr(INITIAL, 0), None, "msisdn:1").decision()
            assert decision.answer is not None
            assert decision.answer.result_code == 5030

        play(act)


class TestConnectionLost:
    """The store has it or not; the answer is right, and nothing is charged twice."""

    @pytest.mark.parametrize("octets", [1, 100, 3000, 6000, 9000])
    def test_in_the_middle_of_a_pipeline(self, play_proxied: PlayProxied, octets: int) -> None:
        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            names = [f"a{n}" for n in range(12)]
            for name in names:
                await scene.add(name)
                await ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}"))
            proxy.cut_after = octets
            asked = [Asked(ledger, ccr(UPDATE, 1, 100, session=f"s{name}"), name) for name in names]
            for a in asked:
                assert granted(await a.decision()) == 1000
            assert proxy.cuts == 1
            assert [await scene.spent(name) for name in names] == [100] * 12
            await scene.check()

        play_proxied(act)

    def test_after_the_store_has_done_it(self, play_proxied: PlayProxied) -> None:
        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            names = [f"a{n}" for n in range(12)]
            for name in names:
                await scene.add(name)
                await ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}"))
            proxy.swallow = 1
            asked = [Asked(ledger, ccr(UPDATE, 1, 100, session=f"s{name}"), name) for name in names]
            for a in asked:
                decision = await a.decision()
                assert granted(decision) == 1000
                assert decision.repeated
            assert proxy.cuts == 1
            assert ledger.counters.conflicts == 12
            assert [await scene.spent(name) for name in names] == [100] * 12
            await scene.check()

        play_proxied(act)

    def test_a_top_up_after_the_store_has_done_it(self, play_proxied: PlayProxied) -> None:
        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            await scene.add()
            proxy.swallow = 1
            decision = await scene.top_up("a", 500, "once", ledger)
            assert decision.repeated
            account = await scene.account()
            assert sum(b.credited for b in account.buckets if b.id == "main") == 500
            await scene.check()

        play_proxied(act)

    def test_again_and_again_is_an_error_and_the_repetition_hears_what_was_done(
        self, play_proxied: PlayProxied
    ) -> None:
        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            await scene.add()
            await ledger.execute("a", ccr(INITIAL, 0))
            proxy.swallow = 2
            with pytest.raises(StoreUnavailable):
                await ledger.execute("a", ccr(UPDATE, 1, 100))
            assert await scene.spent() == 100
            again = await ledger.execute("a", ccr(UPDATE, 1, 100))
            assert again.repeated
            assert granted(again) == 1000
            assert await scene.spent() == 100
            assert ledger.counters.failures == 1
            await scene.check()

        play_proxied(act)

    def test_a_client_that_somebody_kills(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            admin = await scene.another_ledger()
            for number in range(1, 6):
                asked = Asked(scene.ledger, ccr(UPDATE, number, 10), "a")
                await asyncio.sleep(0)
                await admin.store.client.client_kill_filter(_type="normal", skipme=True)
                assert granted(await asked.decision()) == 1000
            assert await scene.spent() == 50
            await scene.check()

        play(act)


class TestStoreAway:
    """A store of its own for each test: it is stopped, frozen, and started again."""

    @pytest.fixture
    def own(self, tmp_path: Path) -> Any:
        server = EmbeddedValkey(tmp_path / "store", "no")
        server.start()
        yield server
        server.stop()

    def test_stopped_and_started_again(self, own: EmbeddedValkey) -> None:
        async def act() -> None:
            async with opened_scene(own.url) as scene:
                await scene.add()
                await scene.ledger.execute("a", ccr(INITIAL, 0))
                await asyncio.to_thread(own.stop)
                with capture_logs() as logs:
                    for number in range(20):
                        with pytest.raises(StoreUnavailable):
                            await scene.ledger.execute("a", ccr(UPDATE, 1, 10))
                        unknown = Asked(scene.ledger, ccr(INITIAL, number, session="x"), None, "msisdn:0")
                        assert isinstance(await unknown.result(), StoreUnavailable)
                assert 1 <= len(logs) <= 3, "one line a second"
                await asyncio.to_thread(own.start)
                assert granted(await scene.ledger.execute("a", ccr(UPDATE, 1, 10))) == 1000
                assert await scene.spent() == 10
                await scene.check()

        asyncio.run(act())

    def test_frozen_for_longer_than_anybody_waits(self, own: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipe_module, "SOCKET_TIMEOUT_S", 0.3)

        async def act() -> None:
            async with opened_scene(own.url) as scene:
                await scene.add()
                await scene.ledger.execute("a", ccr(INITIAL, 0))
                pid = own._process.pid if own._process else 0
                os.kill(pid, signal.SIGSTOP)
                try:
                    for _ in range(2):  # the client repeats it
                        with pytest.raises(StoreUnavailable, match="no reply"):
                            await scene.ledger.execute("a", ccr(UPDATE, 1, 10))
                finally:
                    os.kill(pid, signal.SIGCONT)
                # Whatever had reached the store is carried out now, before or after the next repetition.
                decisions = [await scene.ledger.execute("a", ccr(UPDATE, 1, 10)) for _ in range(2)]
                assert [granted(d) for d in decisions] == [1000, 1000]
                assert decisions[1].repeated
                assert await scene.spent() == 10
                await scene.check()

        asyncio.run(act())

    def test_closing_without_a_store(self, own: EmbeddedValkey) -> None:
        async def act() -> None:
            async with opened_scene(own.url) as scene:
                await scene.add()
                await scene.ledger.execute("a", ccr(INITIAL, 0))
                await scene.ledger.execute("a", ccr(TERMINATION, 1))
                await asyncio.to_thread(own.stop)
                asked = [Asked(scene.ledger, ccr(INITIAL, n), f"a{n}") for n in range(5)]
                await scene.ledger.close()
                assert all([isinstance(await a.result(), StoreUnavailable) for a in asked])

        asyncio.run(act())


class TestEnd:
    """Closing, and callers that misbehave."""

    def test_close_carries_out_what_was_submitted(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            ledger = await scene.another_ledger(pipeline_accounts=4)
            for number in range(15):
                await scene.add(f"a{number}", f"msisdn:{number}")
            asked = [
                Asked(ledger, ccr(INITIAL, 0, session=f"s{n}"), *((f"a{n}",) if n % 2 else (None, f"msisdn:{n}")))
                for n in range(15)
            ]
            await ledger.close()
            assert all(a.results and is_success(a.results[0]) for a in asked)
            with pytest.raises(StoreUnavailable, match="closed"):
                await ledger.execute("a0", ccr(UPDATE, 1))
            await scene.check()

        play(act)

    def test_a_ledger_that_was_never_started(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            ledger = Ledger(scene.store, scene.ledger.catalogue, scene.ledger.settings, clock=lambda: NOW)
            await ledger.close()

        play(act)

    def test_who_asked_cannot_take_the_answer(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()

            def done(result: Decision | Exception) -> None:
                raise RuntimeError("the caller's fault")

            with capture_logs() as logs:
                scene.ledger.submit("a", ccr(INITIAL, 0), done)
                asked = Asked(scene.ledger, ccr(UPDATE, 1, 10), "a")
                assert is_success(await asked.result())
            assert [line["log_level"] for line in logs] == ["error"]
            await scene.check()

        play(act)

    def test_who_asked_has_gone(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            waiting = asyncio.create_task(scene.ledger.execute("a", ccr(INITIAL, 0)))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert (await scene.ledger.execute("a", ccr(INITIAL, 0))).repeated

        play(act)

    def test_a_command_that_cannot_be_decided(self, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(state: Any, command: Any, *more: Any) -> Decision:
            if getattr(command, "number", 0) == 13:
                raise ZeroDivisionError
            return decide(state, command, *more)

        monkeypatch.setattr(ledger_module, "decide", failing)

        async def act(scene: Scene) -> None:
            await scene.add("a")
            await scene.add("b")
            asked = [
                Asked(scene.ledger, command, name)
                for name in ("a", "b")
                for command in (ccr(INITIAL, 0, session=name), ccr(UPDATE, 13, session=name), ccr(UPDATE, 2, 5))
            ]
            results = [await a.result() for a in asked]
            assert [type(result) for result in results] == [Decision, ZeroDivisionError, Decision] * 2
            await scene.check()

        play(act)

    def test_something_unexpected_fails_what_was_under_way_and_no_more(
        self, play: Play, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            with monkeypatch.context() as patch:
                patch.setattr(scene.ledger, "_write", None)
                asked = Asked(scene.ledger, ccr(INITIAL, 0), "a")
                assert isinstance(await asked.result(), TypeError)
            assert granted(await scene.ledger.execute("a", ccr(INITIAL, 0))) == 1000

        play(act)

    def test_a_blocked_account_and_supervision_go_through_the_same_door(self, play: Play) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.ledger.execute("a", SetStatus(AccountStatus.BLOCKED))
            scene.now += OVERDUE_MS
            assert await sweep(scene.ledger, scene.now) == 1
            assert await scene.held() == 0
            await scene.check()

        play(act)


class TestCrowd:
    """Many accounts at once, more than one pipeline on its way, and a connection that is lost now and then."""

    @pytest.mark.parametrize("seed", range(2))
    def test_every_request_is_charged_once_and_in_its_order(self, play_proxied: PlayProxied, seed: int) -> None:
        chance = random.Random(seed)

        async def act(scene: Scene, ledger: Ledger, proxy: Proxy) -> None:
            ledger.settings = Settings(answers_kept=100)  # a lost reply may concern many requests of a session here
            names = [f"a{n}" for n in range(50)]
            await asyncio.gather(*(scene.add(name) for name in names))
            await asyncio.gather(*(ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}")) for name in names))
            numbers = dict.fromkeys(names, 0)
            used: Counter[str] = Counter()
            asked = []
            for turn in range(100):
                for name in chance.choices(names, k=chance.randint(1, 40)):
                    numbers[name] += 1
                    amount = chance.randint(0, 9)
                    used[name] += amount
                    command = ccr(UPDATE, numbers[name], amount, session=f"s{name}")
                    asked.append((name, command, Asked(ledger, command, name)))
                if turn % 20 == 10:
                    proxy.swallow = chance.randint(0, 1)
                    proxy.cut_after = chance.choice([None, 500, 20_000])
                await asyncio.sleep(chance.choice([0, 0, 0.0005]))
            results = [await a.result() for *_, a in asked]
            for (name, command, _), result in zip(asked, results, strict=True):
                if isinstance(result, Exception):  # both connections of a pipeline were lost: the client repeats it
                    assert isinstance(result, StoreUnavailable)
                    await ledger.execute(name, command)
            assert proxy.cuts > 0
            assert {name: await scene.spent(name) for name in names} == {name: used[name] for name in names}
            for name in names:
                order = [r.number for r in await scene.receipts(name) if r.number is not None]
                assert len(order) == len(set(order)) == numbers[name] + 1
                if not any(isinstance(r, Exception) for (n, *_), r in zip(asked, results, strict=True) if n == name):
                    assert order == sorted(order)
            await scene.check()

        play_proxied(act)
