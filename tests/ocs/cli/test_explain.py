"""`ocs explain`: the decisions about a session or a person, and why."""

import asyncio
import json
import re

import pytest

from ocs.charging.command import CreditControl, RequestType, ServiceRequest
from ocs.charging.receipt import Receipt
from ocs.cli.common import opened_ledger, read_catalogue, read_config
from ocs.cli.explain import print_timeline
from ocs.samples import sample

from .conftest import Command

MSISDN, IMSI, SESSION = "491701234567", "262011234567890", "pgw.example.org;1;2;app_gy"
INITIAL, UPDATE, TERMINATION, EVENT = RequestType
MIB = 2**20


def ccr(
    kind: RequestType, number: int, used: int | None = None, who: str = f"msisdn:{MSISDN}", **more: object
) -> CreditControl:
    services = [
        ServiceRequest(10, None, None if kind is TERMINATION else {}, None if used is None else {"octets": used})
    ]
    session = str(more.pop("session", SESSION))
    return CreditControl(kind, session, number, "32251", services, who, fingerprint=number, peer="pgw.example.org")


@pytest.fixture
def story(ocs: Command) -> Command:
    """A subscriber with 0.05 EUR who uses it up; and a stranger."""
    ocs.on_store(
        "subscriber", "add", MSISDN, "--imsi", IMSI, "--offer", "pay-as-you-go", "--money", "0.05", "--account", "ada"
    )

    async def play() -> None:
        config = read_config(sample("ocs.yaml"), ocs.data, None)
        async with opened_ledger(config, read_catalogue(config)) as ledger:
            for command in (ccr(INITIAL, 0), ccr(UPDATE, 1, 5 * MIB), ccr(TERMINATION, 2, MIB)):
                await ledger.execute("ada", command)
            told = asyncio.Event()
            for who, session in (("msisdn:49170999", "x;1"), ("sip:sip:bob@example.org", "x;2")):
                ledger.submit_for([who], ccr(INITIAL, 0, None, who, session=session), lambda result: told.set())
                await told.wait()
                told.clear()

    asyncio.run(play())
    return ocs


@pytest.mark.parametrize("who", [MSISDN, f"+{MSISDN}", IMSI, "ada", f"imsi:{IMSI}"])
def test_a_person(story: Command, who: str) -> None:
    lines = story.on_store("explain", who).splitlines()
    assert lines[0] == "account ada, 6 decisions (times in UTC)"
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +account +Account ada was made for msisdn", lines[2])
    assert "Topped up: 0.05 EUR to the money balance, which now has 0.05 EUR." in lines[3]
    assert f"session {SESSION}" in lines[5]
    assert re.search(r" initial 0 +2001 +Initial request of 491701234567: internet granted 5 MiB", lines[6])
    assert "the last there is" in lines[6]
    text = "\n".join(lines[7:])
    assert "refused (4012)" in text
    assert "1 MiB nothing could pay for" in text


def test_a_session(story: Command) -> None:
    out = story.on_store("explain", SESSION)
    assert out.splitlines()[0] == f"session {SESSION}, 3 decisions (times in UTC)"
    assert "Account ada was made" not in out


@pytest.mark.parametrize(
    ("who", "session"),
    [("49170999", "x;1"), ("+49170999", "x;1"), ("msisdn:49170999", "x;1"), ("sip:bob@example.org", "x;2")],
)
def test_somebody_without_an_account(story: Command, who: str, session: str) -> None:
    out = story.on_store("explain", who)
    assert out.splitlines()[0] == f"{who}, who has no account, 1 decisions (times in UTC)"
    assert session in out
    assert "was refused (5030): no account has this identity; add the subscriber to change that." in out


def test_the_session_of_somebody_without_an_account(story: Command) -> None:
    assert "5030" in story.on_store("explain", "x;1")


def test_no_name_is_not_everybody(story: Command) -> None:
    assert story.refused("explain", "") == "say about whom: an MSISDN, an IMSI, an account id or a Session-Id"


@pytest.mark.parametrize("who", ["nobody", "4917", "a;b;c", "[/x]", "*"])
def test_nobody(story: Command, who: str) -> None:
    assert story.refused("explain", who) == f"{who}: nothing is known of an account, subscriber or session of this name"


def test_only_the_last(story: Command) -> None:
    assert "Account ada was made" in story.on_store("explain", "ada", "--last", "0")
    lines = story.on_store("explain", "ada", "--last", "1").splitlines()
    assert lines[0] == "account ada, 1 decisions (times in UTC)"
    assert "Termination request" in "\n".join(lines)
    assert "6 decisions" in story.on_store("explain", "ada", "--last", "99")


def test_as_json(story: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the width of the terminal, and without its colours."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    receipts = [json.loads(line) for line in story.on_store("explain", "ada", "--json").splitlines()]
    assert [receipt["version"] for receipt in receipts] == [1, 2, 3, 4, 5, 6]
    assert receipts[3]["session"] == SESSION
    assert receipts[3]["services"][0]["granted"] == 5 * MIB
    (last,) = story.on_store("explain", SESSION, "--json", "--last", "1").splitlines()
    assert json.loads(last)["kind"] == "termination"


def test_nothing_is_cut_off_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    name = "pgw.example.org;1795169700;4294967295;" + "x" * 60
    print_timeline("account a", [Receipt("a", 1, 0, "initial", session=name)], "EUR")
    out = capsys.readouterr().out
    assert "…" not in out
    assert name in re.sub(r"\s+", "", out)
