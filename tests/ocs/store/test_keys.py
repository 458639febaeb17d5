"""Names of keys: part of what is on disk, so they may not change."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.store.keys import ANY_ACCOUNT, Keys, deadline_member, is_account_id, split_member

KEYS = Keys(64)
account_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:+@-]{0,63}", fullmatch=True)


def test_names_as_they_are_on_disk() -> None:
    assert KEYS.partition_of("491701234567") == 12
    assert KEYS.account("491701234567") == "{p12}:account:491701234567"
    assert KEYS.session("491701234567", "pgw;1;2") == "{p12}:session:pgw;1;2"
    assert KEYS.deadlines(12) == "{p12}:deadlines"
    assert KEYS.events(12) == "{p12}:events"
    assert KEYS.position(12, "cdr") == "{p12}:position:cdr"
    assert KEYS.identity("msisdn:491701234567") == "{p61}:identity:msisdn:491701234567"
    assert KEYS.where("pgw;1;2") == "{p23}:where:pgw;1;2"
    assert Keys(1024).events(1000) == "{p1000}:events"


@given(account_ids, st.text(), st.integers(1, 1024))
def test_everything_of_an_account_is_in_its_partition(account: str, session: str, partitions: int) -> None:
    keys = Keys(partitions)
    partition = keys.partition_of(account)
    assert 0 <= partition < partitions
    tag = keys.account(account).partition(":")[0]
    assert tag == f"{{p{partition:02}}}"
    for key in (keys.session(account, session), keys.deadlines(partition), keys.events(partition)):
        assert key.startswith(f"{tag}:")


@given(account_ids, st.text())
def test_a_deadline_names_account_and_session(account: str, session: str) -> None:
    assert split_member(deadline_member(account, session)) == (account, session)


@given(account_ids)
def test_the_pattern_of_all_accounts_finds_each(account: str) -> None:
    assert is_account_id(account)
    key = KEYS.account(account)
    assert fnmatch.fnmatchcase(key, ANY_ACCOUNT.replace("[{]", "{").replace("[}]", "}"))
    assert key.partition(":account:")[2] == account


@pytest.mark.parametrize(
    "text", ["", " a", "a b", "a{b", "-a", ".a", "a\n", "a" * 65, "ä", "a/b", "a;b"], ids=lambda text: repr(text[:5])
)
def test_what_is_no_account_id(text: str) -> None:
    assert not is_account_id(text)


@pytest.mark.parametrize("text", ["a", "0", "A.b_c:d+e@f-g", "a" * 64])
def test_what_is_an_account_id(text: str) -> None:
    assert is_account_id(text)
