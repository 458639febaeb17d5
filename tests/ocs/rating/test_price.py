"""Prices against brute force, and against sums done by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.rating.catalogue import Price, Unit
from ocs.rating.price import affordable_units, cost_between, cost_micro
from ocs.units import MAX_QUANTITY

MIB = 2**20


def price(block_units: int, price_micro: int) -> Price:
    return Price("offer/internet", "internet", Unit.OCTETS, block_units, price_micro)


prices = st.builds(price, st.integers(1, 50), st.integers(0, 9))
large_prices = st.builds(price, st.integers(1, MAX_QUANTITY), st.integers(0, MAX_QUANTITY))


@pytest.mark.parametrize(
    ("units", "micro"),
    [
        (0, 0),
        (1, 20_000),
        (MIB - 1, 20_000),
        (MIB, 20_000),
        (MIB + 1, 40_000),
        (30_000 * 1024, 600_000),
        (1024 * MIB, 20_480_000),
    ],
)
def test_every_begun_block_is_paid_whole(units: int, micro: int) -> None:
    assert cost_micro(price(MIB, 20_000), units) == micro


def test_small_reports_cost_what_one_large_report_costs() -> None:
    per_mib = price(MIB, 20_000)
    reports = [cost_between(per_mib, n * 100 * 1024, 100 * 1024) for n in range(300)]
    assert sum(reports) == cost_micro(per_mib, 30_000 * 1024) == 600_000
    assert set(reports) == {0, 20_000}


@pytest.mark.parametrize(
    ("already", "budget_micro", "wanted", "affordable"),
    [
        (0, 1_000_000, 10**12, 50 * MIB),
        (0, 990_000, 10**12, 49 * MIB),
        (0, 19_999, 10**12, 0),
        (0, 20_000, 10**12, MIB),
        (0, 20_000, 5, 5),
        (1, 0, 10**12, MIB - 1),  # the rest of a block that has been paid
        (MIB, 0, 10**12, 0),
        (1, -1, 10**12, 0),
        (0, 0, 0, 0),
    ],
)
def test_what_a_budget_buys(already: int, budget_micro: int, wanted: int, affordable: int) -> None:
    assert affordable_units(price(MIB, 20_000), already, budget_micro, wanted) == affordable


@pytest.mark.parametrize("budget_micro", [-5, 0, 5])
def test_what_costs_nothing_is_affordable(budget_micro: int) -> None:
    assert affordable_units(price(MIB, 0), 17, budget_micro, 10**12) == 10**12


@given(prices, st.integers(0, 300))
def test_cost_is_that_of_counting_blocks(tariff: Price, units: int) -> None:
    begun = len({unit // tariff.block_units for unit in range(units)})
    assert cost_micro(tariff, units) == begun * tariff.price_micro


@given(large_prices, st.integers(0, MAX_QUANTITY), st.integers(0, MAX_QUANTITY), st.integers(0, MAX_QUANTITY))
def test_cost_is_the_same_however_it_is_cut(tariff: Price, already: int, first: int, second: int) -> None:
    whole = cost_between(tariff, already, first + second)
    assert whole == cost_between(tariff, already, first) + cost_between(tariff, already + first, second)
    assert cost_between(tariff, 0, first) == cost_micro(tariff, first)


@given(prices, st.integers(0, 200), st.integers(-5, 60), st.integers(0, 300))
def test_affordable_is_what_brute_force_finds(tariff: Price, already: int, budget_micro: int, wanted: int) -> None:
    fitting = [n for n in range(wanted + 1) if cost_between(tariff, already, n) <= budget_micro]
    expected = wanted if tariff.price_micro == 0 else max(fitting, default=0)
    assert affordable_units(tariff, already, budget_micro, wanted) == expected


@given(large_prices, st.integers(0, MAX_QUANTITY), st.integers(0, MAX_QUANTITY), st.integers(0, MAX_QUANTITY))
def test_affordable_fits_and_one_more_would_not(tariff: Price, already: int, budget_micro: int, wanted: int) -> None:
    n = affordable_units(tariff, already, budget_micro, wanted)
    assert 0 <= n <= wanted
    assert cost_between(tariff, already, n) <= budget_micro
    assert n == wanted or cost_between(tariff, already, n + 1) > budget_micro
