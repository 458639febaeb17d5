"""The audit: three looks at the same money, each of which finds what another cannot."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocs.audit import Audit, CdrSums, audit, check_account, compare, read_cdrs
from ocs.charging.balance import Proof
from ocs.charging.command import SetStatus
from ocs.charging.state import Account, AccountStatus, Bucket, Hold, ServiceUse, Session, SessionState, Totals
from ocs.rating.catalogue import Unit
from ocs.store.embedded import EmbeddedValkey
from tests.ocs.store.scene import INITIAL, TERMINATION, UPDATE, Act, Scene, ccr, player


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"), "no")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def play(valkey: EmbeddedValkey) -> Callable[[Act], None]:
    return player(valkey)


def account(*buckets: Bucket) -> Account:
    return Account(1, "a", "EUR", buckets=list(buckets))


def session(name: str, *holds: Hold) -> Session:
    use = ServiceUse("internet", Unit.OCTETS, holds=list(holds))
    return Session(name, "a", "", "32251", SessionState.OPEN, 0, deadline=1, services={"10": use})


class TestOneAccount:
    """`check_account`: the books of a bucket, and what sessions hold of it."""

    DATA = Bucket("data", Unit.OCTETS, remaining=5, reserved=10, credited=20, spent=4, expired=1)

    def test_right(self) -> None:
        assert check_account(account(), []) == []
        holding = [session("s", Hold("data", 3)), session("t", Hold("data", 7))]
        assert check_account(account(self.DATA), holding) == []

    @pytest.mark.parametrize("name", ["remaining", "reserved", "credited", "spent", "expired"])
    @pytest.mark.parametrize("difference", [-1, 1])
    def test_a_part_that_is_off_by_one(self, name: str, difference: int) -> None:
        values = {n: getattr(self.DATA, n) for n in ("remaining", "reserved", "credited", "spent", "expired")}
        values[name] += difference
        bucket = Bucket("data", Unit.OCTETS, **values)
        (problem,) = check_account(account(bucket), [session("s", Hold("data", values["reserved"]))])
        assert problem.startswith("account a, bucket data: credited ")

    def test_below_zero_although_the_sum_is_right(self) -> None:
        bucket = Bucket("data", Unit.OCTETS, remaining=-5, credited=0, spent=5)
        (problem,) = check_account(account(bucket), [])
        assert problem == "account a, bucket data: credited 0 is not left -5 + held 0 + spent 5 + expired 0"

    @pytest.mark.parametrize("held", [0, 9, 11])
    def test_sessions_that_hold_another_amount(self, held: int) -> None:
        (problem,) = check_account(account(self.DATA), [session("s", Hold("data", held))])
        assert problem == "account a, bucket data: 10 is held, but the open sessions hold another amount"

    def test_sessions_that_hold_of_a_bucket_that_is_not_there(self) -> None:
        (problem,) = check_account(account(), [session("s", Hold("gone", 1))])
        assert problem == "account a: sessions hold of bucket gone, which does not exist"


class TestWholeStore:
    """`audit`: every account and session, beside a working server."""

    def test_sums(self, play: Callable[[Act], None]) -> None:
        async def act(scene: Scene) -> None:
            for name in ("a", "b", "c"):
                await scene.add(name)
                await scene.top_up(name, 100)
                await scene.ledger.execute(name, ccr(INITIAL, 0, session=f"s{name}"))
            await scene.ledger.execute("a", ccr(UPDATE, 1, 300, session="sa"))
            await scene.ledger.execute("b", ccr(TERMINATION, 1, 200, session="sb"))
            result = await audit(scene.store)
            assert result.holds
            assert (result.accounts, result.open_sessions, result.currencies) == (3, 2, {"EUR"})
            octets, money = result.proofs[Unit.OCTETS], result.proofs[Unit.MONEY]
            assert (octets.credited, octets.left, octets.held, octets.spent) == (3_000_000, 2_997_500, 2000, 500)
            assert (money.credited, money.left) == (300, 300)

        play(act)

    def test_buckets_that_are_used_up_and_gone(self, play: Callable[[Act], None]) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            key = scene.store.keys.account("a")
            stored = await scene.account()
            stored.gone = {Unit.OCTETS: Totals(credited=50, spent=30, expired=20)}
            await scene.store.client.set(key, json.dumps(_plain(stored)))
            proof = (await audit(scene.store)).proofs[Unit.OCTETS]
            assert (proof.credited, proof.spent, proof.expired) == (1_000_050, 30, 20)

        play(act)

    def test_more_accounts_than_a_page_each_counted_once(self, play: Callable[[Act], None]) -> None:
        async def act(scene: Scene) -> None:
            await asyncio.gather(*(scene.add(f"a{number}") for number in range(2500)))
            # Keys that look like accounts and are none.
            for name in ("{p00}:account:", "{p99}:account:x", "{p0}:session:{p00}:account:y", "{p}:account:\xff"):
                await scene.store.client.set(name, "?")
            result = await audit(scene.store)
            assert result.holds, result.problems
            assert result.accounts == 2500

        play(act)

    def test_while_a_server_works(self, play: Callable[[Act], None]) -> None:
        async def act(scene: Scene) -> None:
            names = [f"a{n}" for n in range(20)]
            for name in names:
                await scene.add(name)
            stop = asyncio.Event()

            async def use(name: str) -> None:
                for turn in range(1000):
                    for number, kind in enumerate((INITIAL, UPDATE, TERMINATION)):
                        command = ccr(kind, number, 3 * number or None, session=f"{name};{turn}")
                        await scene.ledger.execute(name, command)
                    if stop.is_set():
                        return

            using = [asyncio.create_task(use(name)) for name in names]
            for _ in range(5):
                result = await audit(scene.store)
                assert result.holds, result.problems
            stop.set()
            await asyncio.gather(*using)

        play(act)

    @pytest.mark.parametrize("stored", [b"", b"{", b"[]", b'{"version":1,"id":"a"}'])
    def test_an_account_that_cannot_be_read(self, play: Callable[[Act], None], stored: bytes) -> None:
        async def act(scene: Scene) -> None:
            for name in ("a", "b"):
                await scene.add(name)
            await scene.store.client.set(scene.store.keys.account("a"), stored)
            result = await audit(scene.store)
            if stored:
                (problem,) = result.problems
                assert problem.startswith("account a: it, or a session of it, cannot be read: ")
            assert result.accounts == 1
            await scene.store.client.delete(scene.store.keys.account("a"))
            await scene.store.client.hset(scene.store.keys.account("a"), "what", "?")
            assert "WRONGTYPE" in (await audit(scene.store)).problems[0]

        play(act)

    def test_a_session_nobody_supervises(self, play: Callable[[Act], None]) -> None:
        """It would hold what it holds for ever."""

        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", ccr(INITIAL, 0))
            await scene.store.client.delete(scene.store.keys.deadlines(scene.store.keys.partition_of("a")))
            result = await audit(scene.store)
            (problem,) = result.problems
            assert problem == "account a, bucket data/data#2: 1000 is held, but the open sessions hold another amount"

        play(act)

    def test_deadlines_of_nobody(self, play: Callable[[Act], None]) -> None:
        async def act(scene: Scene) -> None:
            await scene.store.client.zadd(scene.store.keys.deadlines(0), {"ghost s": 1})
            assert (await audit(scene.store)).problems == ["sessions of account ghost, which does not exist"]

        play(act)

    def test_blocked_accounts_count_too(self, play: Callable[[Act], None]) -> None:
        async def act(scene: Scene) -> None:
            await scene.add()
            await scene.ledger.execute("a", SetStatus(AccountStatus.BLOCKED))
            assert (await audit(scene.store)).proofs[Unit.OCTETS].credited == 1_000_000

        play(act)


def _plain(account: Account) -> Any:
    import msgspec

    return msgspec.to_builtins(account)


def record(number: int, **fields: Any) -> str:
    blank = {"record_type": "usage", "debited": None, "amount": None, "unit": None}
    return json.dumps({"record_id": f"a/{number}", **blank, **fields})


class TestCdrs:
    """`read_cdrs` and `compare`."""

    def test_sums_over_the_closed_files(self, tmp_path: Path) -> None:
        used = [{"bucket": "data", "unit": "octets", "amount": "500"}, {"unit": "money", "amount": "0.25"}]
        lines = [
            record(1, record_type="credit", unit="money", amount="10.00"),
            record(2, record_type="credit", unit="octets", amount="1000"),
            record(3, debited=used),
        ]
        (tmp_path / "cdr-1.jsonl").write_text("\n".join(lines) + "\n")
        (tmp_path / "cdr-2.jsonl").write_text(record(4, record_type="expiry", unit="octets", amount="7") + "\n")
        (tmp_path / "cdr-2.csv").write_text("not read\n")
        (tmp_path / ".cdr-3.jsonl.open").write_text("not closed")
        sums = read_cdrs(tmp_path)
        assert (sums.records, sums.files, sums.twice) == (4, 2, [])
        assert sums.spent == {"octets": 500, "money": 250_000}
        assert sums.credited == {"octets": 1000, "money": 10_000_000}
        assert sums.expired == {"octets": 7}

    def test_a_record_that_is_there_twice(self, tmp_path: Path) -> None:
        (tmp_path / "cdr-1.jsonl").write_text(record(1) + "\n")
        (tmp_path / "cdr-2.jsonl").write_text(record(1) + "\n" + record(2) + "\n")
        assert read_cdrs(tmp_path).twice == ["a/1"]

    def test_no_directory(self, tmp_path: Path) -> None:
        assert read_cdrs(tmp_path / "none").records == 0

    def proof(self, **parts: int) -> Audit:
        result, proof = Audit(), Proof()
        for name, amount in parts.items():
            setattr(proof, name, amount)
        result.proofs[Unit.OCTETS] = proof
        return result

    def test_agreement(self) -> None:
        sums = CdrSums()
        sums.spent["octets"], sums.credited["octets"] = 5, 10
        assert compare(self.proof(credited=10, left=5, spent=5), sums) == []

    @pytest.mark.parametrize("name", ["spent", "credited", "expired"])
    @pytest.mark.parametrize("mine", [4, 6])
    def test_disagreement(self, name: str, mine: int) -> None:
        sums = CdrSums()
        getattr(sums, name)["octets"] = 5
        assert compare(self.proof(**{name: mine}), sums) == [f"octets: the accounts say {mine} {name}, the CDRs 5"]

    def test_money_in_the_cdrs_that_no_account_knows(self) -> None:
        sums = CdrSums()
        sums.spent["money"] = 5
        assert compare(Audit(), sums) == ["money: the accounts say 0 spent, the CDRs 5"]
