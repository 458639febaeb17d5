"""Subscribers and the usage model: the seed determines everything."""

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.subscribers import (
    SessionPlan,
    Subscriber,
    UsageModel,
    make_subscribers,
    plan_sessions,
    provisioning_lines,
)

FIRST = Subscriber(0, "491700000001", "001010000000001")


def plans(index: int = 0, seed: int = 1, count: int = 20, **model: object) -> list[SessionPlan]:
    subscriber = Subscriber(index, "491700000001", "001010000000001")
    return list(itertools.islice(plan_sessions(subscriber, UsageModel(**model), seed), count))  # type: ignore[arg-type]


def test_numbers_are_consecutive_and_keep_their_length() -> None:
    people = make_subscribers(3, "491700000099", "001010000000009")
    assert [person.msisdn for person in people] == ["491700000099", "491700000100", "491700000101"]
    assert [person.imsi for person in people] == ["001010000000009", "001010000000010", "001010000000011"]


@pytest.mark.parametrize(
    ("first", "text"),
    [("998", "do not suffice"), ("+49170", "without [+]"), ("49 170", "spaces"), ("", "digits"), ("1" * 16, "at most")],
)
def test_numbers_that_do_not_suffice_are_refused(first: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make_subscribers(5, first, "001010000000001")


def test_the_list_to_provision() -> None:
    assert list(provisioning_lines(make_subscribers(2, "100", "200"))) == ["msisdn,imsi", "100,200", "101,201"]


def test_bearers_of_many_subscribers_differ() -> None:
    bearers = [person.bearer(0) for person in make_subscribers(70_000, "491700000000", "001010000000000")[::97]]
    assert len({bearer.address for bearer in bearers}) == len(bearers)
    assert all(ipaddress.ip_address(bearer.address).is_private for bearer in bearers)
    assert {len(bearer.imeisv) for bearer in bearers} == {16}
    assert FIRST.bearer(0).charging_id != FIRST.bearer(1).charging_id


def test_the_same_seed_gives_the_same_sessions() -> None:
    assert plans() == plans()
    assert plans() != plans(seed=2)
    assert plans() != plans(index=1)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_every_plan_is_one_that_can_be_carried_out(index: int, seed: int) -> None:
    model = UsageModel(rating_groups=(10, 20, 30))
    end = 0.0
    for number, plan in enumerate(plans(index, seed, 5, rating_groups=(10, 20, 30))):
        assert plan.number == number
        assert end <= plan.start_s < plan.stop_s
        end = plan.stop_s
        times = [burst.at_s for burst in plan.bursts]
        assert times == sorted(times)
        assert all(plan.start_s <= at_s <= plan.stop_s for at_s in times)
        assert 0 < len(plan.bursts) <= model.max_bursts
        assert all(burst.octets_up + burst.octets_down > 0 for burst in plan.bursts)
        assert sum(burst.octets_up + burst.octets_down for burst in plan.bursts) <= model.max_volume_octets
        assert {burst.rating_group for burst in plan.bursts} <= {10, 20, 30}


def test_the_first_rating_groups_have_the_most_traffic() -> None:
    octets = {10: 0, 20: 0, 30: 0}
    for plan in plans(count=200, rating_groups=(10, 20, 30), volume_sigma=0.1):
        for burst in plan.bursts:
            octets[burst.rating_group] += burst.octets_up + burst.octets_down
    assert octets[10] > octets[20] > octets[30]


def test_shares_may_be_given() -> None:
    used = {burst.rating_group for plan in plans(rating_groups=(10, 20), shares=(0.0, 1.0)) for burst in plan.bursts}
    assert used == {20}


def test_a_model_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        UsageModel(rating_groups=())
    with pytest.raises(ValueError, match="1 shares for 2"):
        UsageModel(shares=(1.0,))
