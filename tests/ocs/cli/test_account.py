"""`ocs subscriber`, `ocs top-up`, `ocs show`: what an operator does by hand."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ocs.charging.command import CreditControl, RequestType, ServiceRequest
from ocs.cli.common import opened_ledger, read_catalogue, read_config
from ocs.samples import sample
from ocs.store.ledger import Ledger

from .conftest import Command

MSISDN, IMSI = "491701234567", "262011234567890"


def with_ledger(ocs: Command, act: Callable[[Ledger], Awaitable[Any]]) -> None:
    """Does something to the store that the commands look at."""

    async def run() -> None:
        config = read_config(sample("ocs.yaml"), ocs.data, None)
        async with opened_ledger(config, read_catalogue(config)) as ledger:
            await act(ledger)

    asyncio.run(run())


def attach(session: str, *, peer: str = "pgw.example.org", wants: int = 10) -> CreditControl:
    return CreditControl(
        RequestType.INITIAL, session, 0, "32251", [ServiceRequest(wants, None, {})], f"msisdn:{MSISDN}", peer=peer
    )


class TestAdd:
    """`ocs subscriber add`."""

    def test_with_everything(self, ocs: Command) -> None:
        out = ocs.on_store(
            "subscriber", "add", f"+{MSISDN}", "--imsi", IMSI, "--offer", "data-1gb", "--offer", "pay-as-you-go",
            "--money", "10.00",
        )  # fmt: skip
        lines = out.splitlines()
        assert lines[0] == f"account {MSISDN} (active), msisdn {MSISDN}, imsi {IMSI}"
        assert lines[1] == "offers: data-1gb, pay-as-you-go"
        assert re.search(
            r"^data-1gb/data +1 GiB +0 octets +0 octets +1 GiB +internet, streaming +20", out, re.MULTILINE
        )
        assert "credited 10.00 EUR = left 10.00 EUR + held 0.00 EUR + spent 0.00 EUR" in out
        assert "credited 1 GiB = left 1 GiB + held 0 octets + spent 0 octets" in out

    def test_with_nothing_but_the_number(self, ocs: Command) -> None:
        out = ocs.on_store("subscriber", "add", MSISDN, "--account", "ada")
        assert out.splitlines()[0] == f"account ada (active), msisdn {MSISDN}"
        assert "credited 0.00 = left 0.00 + held 0.00 + spent 0.00" in out

    def test_it_shows_its_own_account_and_not_another_of_that_number(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", "491700000002", "--account", "other")
        out = ocs.on_store("subscriber", "add", "491700000003", "--account", "491700000002")
        assert out.splitlines()[0] == "account 491700000002 (active), msisdn 491700000003"

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (("0170-1234567",), "msisdn '0170-1234567' must be 5 to 15 digits"),
            ((MSISDN, "--imsi", "1"), "imsi '1' must be 14 or 15 digits"),
            ((MSISDN, "--account", "a b"), "account id 'a b' must be"),
            ((MSISDN, "--offer", "gold"), "no offer 'gold'; known: all-in-one, data-1gb, "),
            ((MSISDN, "--money", "ten"), "'ten' is not an amount of money"),
            ((MSISDN, "--money", "0"), "0: write an amount above 0"),
            ((MSISDN, "--money=-1.00"), "is not an amount of money"),
            ((MSISDN, "--money", "0.0000001"), "is finer than a millionth"),
            ((MSISDN, "--money", "99999999999999"), "99999999999999"),
        ],
    )
    def test_mistakes_are_found_before_anything_is_made(self, ocs: Command, words: tuple[str, ...], why: str) -> None:
        assert why in ocs.refused("subscriber", "add", *words)
        assert "0 accounts" in ocs.on_store("audit")

    def test_twice(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", MSISDN, "--money", "1.00")
        assert ocs.refused("subscriber", "add", MSISDN, "--money", "1.00") == f"account {MSISDN} exists already"
        assert "belongs to account" in ocs.refused("subscriber", "add", MSISDN, "--account", "other")
        assert "left 1.00 EUR" in ocs.on_store("show", "account", MSISDN)


class TestBlock:
    """`ocs subscriber block` and `unblock`."""

    def test_back_and_forth(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", MSISDN, "--imsi", IMSI, "--account", "ada")
        assert ocs.on_store("subscriber", "block", IMSI) == "account ada is blocked\n"
        assert "account ada (blocked)" in ocs.on_store("show", "account", MSISDN)
        assert ocs.on_store("subscriber", "unblock", "ada") == "account ada is active\n"
        assert "account ada (active)" in ocs.on_store("show", "account", MSISDN)

    @pytest.mark.parametrize("command", ["block", "unblock"])
    def test_nobody(self, ocs: Command, command: str) -> None:
        assert "4917: no account, MSISDN or IMSI of this name" in ocs.refused("subscriber", command, "4917")


class TestTopUp:
    """`ocs top-up`."""

    @pytest.fixture(autouse=True)
    def ada(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", MSISDN, "--imsi", IMSI, "--account", "ada")

    def test_money(self, ocs: Command) -> None:
        for who, left in ((MSISDN, "5.00"), (f"+{MSISDN}", "10.00"), (IMSI, "15.00"), ("ada", "20.00")):
            assert f"left {left} EUR" in ocs.on_store("top-up", who, "5.00")

    def test_the_same_id_credits_once(self, ocs: Command) -> None:
        assert "credited before" not in ocs.on_store("top-up", MSISDN, "5.00", "--id", "n-1")
        out = ocs.on_store("top-up", MSISDN, "5.00", "--id", "n-1")
        assert out.splitlines()[0] == "n-1: was credited before; nothing was changed"
        assert "left 5.00 EUR" in out
        assert "left 10.00 EUR" in ocs.on_store("top-up", MSISDN, "5.00", "--id", "n-2")

    def test_offers_and_units_by_the_same_id(self, ocs: Command) -> None:
        words = ("top-up", MSISDN, "--offer", "data-1gb", "--units", "500 MiB", "--service", "internet", "--id", "x")
        first = ocs.on_store(*words)
        again = ocs.on_store(*words)
        assert again.count("was credited before; nothing was changed") == 2
        assert again.splitlines()[2:] == first.splitlines()

    @pytest.mark.parametrize(
        ("units", "service", "shown"),
        [("500 MiB", "internet", "500 MiB"), ("100 min", "voice", "1 h 40 min"), ("50 events", "sms", "50 events")],
    )
    def test_units(self, ocs: Command, units: str, service: str, shown: str) -> None:
        out = ocs.on_store("top-up", "ada", "--units", units, "--service", service, "--validity", "7 d")
        assert re.search(rf"^units +{shown} .*{service} +20\d\d-", out, re.MULTILINE), out

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            ((), "say what to credit: an amount of money, --offer or --units"),
            (("much",), "'much' is not an amount of money"),
            (("0",), "0: write an amount above 0"),
            (("--offer", "gold"), "no offer 'gold'; known: "),
            (("--units", "500", "--service", "internet"), "500: of what? Write a unit"),
            (("--units", "500 MiB"), "name a service of "),
            (("--units", "500 MiB", "--service", "telex"), "no service 'telex'; known: "),
            (("--units", "500 MiB", "--service", "voice"), "voice is counted in seconds, not octets"),
            (("--units", "500 furlongs", "--service", "voice"), "furlongs"),
            (("--units", "5 min", "--service", "voice", "--validity", "7"), "7"),
            (("--units", "5.00 EUR", "--service", "voice"), "5.00 EUR"),
        ],
    )
    def test_mistakes(self, ocs: Command, words: tuple[str, ...], why: str) -> None:
        before = ocs.on_store("show", "account", "ada")
        assert why in ocs.refused("top-up", "ada", *words)
        assert ocs.on_store("show", "account", "ada") == before

    def test_nobody(self, ocs: Command) -> None:
        assert "no account, MSISDN or IMSI" in ocs.refused("top-up", "4917", "5.00")

    def test_a_catalogue_in_another_currency(self, ocs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        ocs.on_store("top-up", "ada", "5.00")
        text = sample("catalogue.yaml").read_text().replace("currency: EUR", "currency: CHF")
        path = ocs.data.parent / "francs.yaml"
        path.write_text(text)
        monkeypatch.setenv("OCS_CHARGING__CATALOGUE", str(path))
        assert "the account is in EUR, the catalogue in CHF" in ocs.refused("top-up", "ada", "5.00")


class TestShow:
    """`ocs show account` and `ocs show session`."""

    def test_a_session_that_holds_something(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", MSISDN, "--offer", "data-1gb", "--account", "ada")
        with_ledger(ocs, lambda ledger: ledger.execute("ada", attach("pgw;1;1")))
        out = ocs.on_store("show", "account", MSISDN)
        assert "credited 1 GiB = left 1,014 MiB + held 10 MiB + spent 0 octets" in out
        assert "session pgw;1;1 (open) of pgw.example.org, since 20" in out
        assert ", supervised until 20" in out
        line = "  internet: used 0 octets, granted 10 MiB (holds 10 MiB of data-1gb/data)"
        assert line in out.splitlines()
        assert line in ocs.on_store("show", "session", "pgw;1;1").splitlines()

    def test_a_session_that_holds_money_then_closed(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", MSISDN, "--offer", "pay-as-you-go", "--money", "1.00", "--account", "ada")
        with_ledger(ocs, lambda ledger: ledger.execute("ada", attach("pgw;1;1")))
        assert "granted 10 MiB (holds 0.10 EUR of the money balance)" in ocs.on_store("show", "session", "pgw;1;1")
        used = ServiceRequest(10, None, None, {"octets": 3 * 2**20})
        end = CreditControl(RequestType.TERMINATION, "pgw;1;1", 1, "32251", [used], f"msisdn:{MSISDN}")
        with_ledger(ocs, lambda ledger: ledger.execute("ada", end))
        out = ocs.on_store("show", "session", "pgw;1;1")
        assert "session pgw;1;1 (closed) of pgw.example.org" in out
        assert "supervised" not in out
        assert "  internet: used 3 MiB, 0.03 EUR charged, granted 0 octets" in out
        assert "pgw;1;1" not in ocs.on_store("show", "account", "ada")

    def test_names_that_clients_make_up(self, ocs: Command) -> None:
        """They look like our markup, or would do something to the terminal."""
        ocs.on_store("subscriber", "add", MSISDN, "--offer", "data-1gb", "--account", "ada")
        session = "[red]pgw[/bold];[fe80::1];\x1b[2J"
        with_ledger(ocs, lambda ledger: ledger.execute("ada", attach(session, peer="[/x]")))
        for words in (("show", "account", "ada"), ("show", "session", session)):
            out = ocs.on_store(*words)
            assert "session [red]pgw[/bold];[fe80::1];\N{REPLACEMENT CHARACTER}[2J (open) of [/x]" in out
        assert "[fe80::1]" in ocs.on_store("explain", "ada")
        assert "[fe80::1]" in ocs.on_store("explain", session)

    @pytest.mark.parametrize("who", ["4917", "nobody", "", "msisdn:1"])
    def test_nobody(self, ocs: Command, who: str) -> None:
        assert "no account, MSISDN or IMSI of this name" in ocs.refused("show", "account", who)

    def test_no_session(self, ocs: Command) -> None:
        text = ocs.refused("show", "session", "x;y")
        assert text.startswith("no session x;y (closed sessions are kept for a while only")

    def test_an_account_that_cannot_be_read(self, ocs: Command) -> None:
        ocs.on_store("subscriber", "add", MSISDN)

        async def spoil(ledger: Ledger) -> None:
            await ledger.store.client.set(ledger.store.keys.account(MSISDN), b"{")

        with_ledger(ocs, spoil)
        for words in (("show", "account", MSISDN), ("top-up", MSISDN, "1.00")):
            assert f"what is stored of account {MSISDN} cannot be read: " in ocs.refused(*words)
