"""Who is who: identities, finding accounts, adding subscribers, and what a cut in the middle leaves behind."""

import asyncio
from pathlib import Path

import pytest

from ocs.charging.command import CommandRefused, CreditMoney
from ocs.store.directory import add_subscriber, find_account, identity, read_account
from ocs.store.embedded import EmbeddedValkey
from ocs.store.work import StoreUnavailable

from .proxy import proxied
from .scene import INITIAL, Asked, Play, Scene, ccr, opened_scene


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("msisdn", "491701234567", "msisdn:491701234567"),
        ("msisdn", " +491701234567 ", "msisdn:491701234567"),
        ("imsi", "262011234567890", "imsi:262011234567890"),
        ("imsi", "26201123456789", "imsi:26201123456789"),
        ("sip", "sip:ada@ims.example.org", "sip:sip:ada@ims.example.org"),
        ("sip", "tel:+4930123", "sip:tel:+4930123"),
        ("nai", "0262011234567890@nai.epc", "nai:0262011234567890@nai.epc"),
        ("private", "x", "private:x"),
    ],
)
def test_identities(kind: str, value: str, name: str) -> None:
    assert identity(kind, value) == name


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("msisdn", ""),
        ("msisdn", "4917"),
        ("msisdn", "0049 170 1234567"),
        ("msisdn", "++491701234567"),
        ("msisdn", "1" * 16),
        ("msisdn", "٤٩١٧٠١٢٣٤"),
        ("imsi", "+26201123456789"),
        ("imsi", "2620112345678"),
        ("imsi", "2620112345678901"),
        ("sip", "ada@ims.example.org"),
        ("nai", "a b"),
        ("private", ""),
        ("private", "x" * 251),
    ],
)
def test_what_is_no_identity_is_named_with_what_would_be(kind: str, value: str) -> None:
    with pytest.raises(CommandRefused, match=f"^{kind} .* must be "):
        identity(kind, value)


NAMES = ["msisdn:491701234567", "imsi:262011234567890"]


@pytest.mark.parametrize(
    "who",
    ["491701234567", "+491701234567", " 491701234567 ", "262011234567890", "msisdn:491701234567", "a:1", NAMES[1]],
)
def test_finding_an_account(play: Play, who: str) -> None:
    async def act(scene: Scene) -> None:
        await add_subscriber(scene.ledger, "a:1", NAMES)
        assert await find_account(scene.store, who) == "a:1"

    play(act)


@pytest.mark.parametrize("who", ["", "+", "4917", "a:2", "msisdn:", "no such {thing}", "a:1 ", "imsi:491701234567"])
def test_finding_nobody(play: Play, who: str) -> None:
    async def act(scene: Scene) -> None:
        await add_subscriber(scene.ledger, "a:1", NAMES)
        assert await find_account(scene.store, who) == ("a:1" if who.strip() == "a:1" else None)
        assert await read_account(scene.store, who.strip()) is None or who.strip() == "a:1"

    play(act)


def test_a_number_means_the_phone_before_the_account_of_that_name(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await add_subscriber(scene.ledger, "491700000002", ["msisdn:491700000001"])
        await add_subscriber(scene.ledger, "other", ["msisdn:491700000002"])
        assert await find_account(scene.store, "491700000002") == "other"

    play(act)


def test_adding(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await add_subscriber(scene.ledger, "a", NAMES)
        account = await scene.account()
        assert [(s.id, s.identities) for s in account.subscribers] == [("a", NAMES)]
        (receipt,) = await scene.receipts("a")
        assert (receipt.kind, receipt.text) == ("account", ", ".join(NAMES))
        await scene.check()

    play(act)


@pytest.mark.parametrize(
    ("account", "identities", "why"),
    [
        ("a b", NAMES, "account id 'a b' must be"),
        ("", NAMES, "account id '' must be"),
        ("b", [], "at least one identity"),
        ("b", [NAMES[0]], "msisdn:491701234567 belongs to account a"),
        ("b", ["msisdn:49170", NAMES[1]], "imsi:262011234567890 belongs to account a"),
        ("a", ["msisdn:49170"], "account a exists already"),
        ("a", [*NAMES, "msisdn:49170"], "account a exists already"),
        ("a", NAMES, "account a exists already"),
    ],
)
def test_a_refusal_changes_nothing(play: Play, account: str, identities: list[str], why: str) -> None:
    async def act(scene: Scene) -> None:
        await add_subscriber(scene.ledger, "a", NAMES)
        before = {key: await scene.store.client.dump(key) for key in await scene.store.client.keys()}
        with pytest.raises(CommandRefused, match=why):
            await add_subscriber(scene.ledger, account, identities)
        assert {key: await scene.store.client.dump(key) for key in await scene.store.client.keys()} == before

    play(act)


def test_an_addition_that_was_cut_short_is_repaired_by_repeating_it(play: Play) -> None:
    async def act(scene: Scene) -> None:
        for name in NAMES:  # claimed, and then the lights went out
            await scene.store.client.set(scene.store.keys.identity(name), "a")
        assert await find_account(scene.store, "491701234567") is None
        with pytest.raises(CommandRefused, match="belongs to account a, which was never made"):
            await add_subscriber(scene.ledger, "b", NAMES)
        await add_subscriber(scene.ledger, "a", NAMES)
        assert await find_account(scene.store, "491701234567") == "a"

    play(act)


def test_an_account_whose_identities_were_lost_is_repaired_by_adding_it_again(play: Play) -> None:
    async def act(scene: Scene) -> None:
        await add_subscriber(scene.ledger, "a", NAMES)
        await scene.ledger.execute("a", CreditMoney("t", 7))
        for name in NAMES:
            await scene.store.client.delete(scene.store.keys.identity(name))
        await add_subscriber(scene.ledger, "a", NAMES)
        assert await find_account(scene.store, "262011234567890") == "a"
        assert (await scene.account()).version == 2

    play(act)


def test_two_who_add_the_same_at_the_same_moment(play: Play) -> None:
    """However they interleave, there is one account in the end, and it can be reached."""

    async def act(scene: Scene) -> None:
        others = [await scene.another_ledger() for _ in range(3)]
        for round_ in range(20):
            name, identities = f"a{round_}", [f"msisdn:4917{round_:04}", f"imsi:2620100000{round_:05}"]
            results = await asyncio.gather(
                *(add_subscriber(ledger, name, identities) for ledger in [scene.ledger, *others]),
                return_exceptions=True,
            )
            assert all(result is None or isinstance(result, CommandRefused) for result in results)
            assert any(result is None for result in results)
            for known in identities:
                assert await find_account(scene.store, known) == name
        await scene.check()

    play(act)


def test_two_who_want_the_same_number(play: Play) -> None:
    async def act(scene: Scene) -> None:
        other = await scene.another_ledger()
        for round_ in range(20):
            number = f"msisdn:4917{round_:04}"
            results = await asyncio.gather(
                add_subscriber(scene.ledger, f"a{round_}", [number]),
                add_subscriber(other, f"b{round_}", [number]),
                return_exceptions=True,
            )
            assert [type(result) for result in results].count(CommandRefused) == 1
            owner = f"{'b' if results[0] is not None else 'a'}{round_}"
            assert await find_account(scene.store, number) == owner

    play(act)


def test_the_answer_of_the_store_is_lost(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    """Once: nobody notices. Twice: it is said that nobody knows, and repeating it is safe."""

    async def act() -> None:
        async with opened_scene(valkey.url) as scene, proxied(valkey.url, tmp_path) as proxy:
            proxy.marker = b"FCALL"
            ledger = await scene.another_ledger(url=proxy.url)
            proxy.swallow = 1
            await add_subscriber(ledger, "a", NAMES)
            assert proxy.cuts == 1
            assert await find_account(scene.store, "491701234567") == "a"
            proxy.swallow = 2
            with pytest.raises(StoreUnavailable):
                await add_subscriber(ledger, "b", ["msisdn:49170"])
            with pytest.raises(CommandRefused, match="account b exists already"):
                await add_subscriber(ledger, "b", ["msisdn:49170"])
            for who, account in (("491701234567", "a"), ("49170", "b")):
                asked = Asked(ledger, ccr(INITIAL, 0, session=f"s{account}"), None, f"msisdn:{who}")
                receipt = (await asked.decision()).receipt
                assert receipt is not None
                assert receipt.account == account
            await scene.check()
            await ledger.close()

    asyncio.run(act())
