"""Usage and the books."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.books import Books, Unit, Usage, enter

AMOUNT = st.integers(0, 10**12)


@given(AMOUNT, AMOUNT, st.data())
def test_taking_octets_keeps_directions_within_what_there_is(up: int, down: int, data: st.DataObject) -> None:
    usage = Usage(octets_up=up, octets_down=down)
    amount = data.draw(st.integers(0, up + down))
    taken = usage.take(Unit.OCTETS, amount)
    assert taken.of(Unit.OCTETS) == amount
    assert (taken.octets_up + usage.octets_up, taken.octets_down + usage.octets_down) == (up, down)
    assert min(taken.octets_up, taken.octets_down, usage.octets_up, usage.octets_down) >= 0


@pytest.mark.parametrize("unit", list(Unit))
def test_taking_one_unit_leaves_the_others(unit: Unit) -> None:
    usage = Usage(octets_up=5, octets_down=5, seconds=10, events=10)
    taken = usage.take(unit, 4)
    assert {u: taken.of(u) for u in Unit} == {u: 4 if u is unit else 0 for u in Unit}
    assert {u: usage.of(u) for u in Unit} == {u: 6 if u is unit else 10 for u in Unit}


def test_taking_all_leaves_nothing() -> None:
    usage = Usage(1, 2, 3, 4)
    assert usage.take_all() == Usage(1, 2, 3, 4)
    assert not usage


def test_books_add_up() -> None:
    one, other, total = Books(), Books(), Books()
    enter(one.of(10).passed, Usage(octets_up=1, octets_down=2, seconds=5))
    enter(one.of(30).passed, Usage(octets_down=4))
    enter(other.of(10).passed, Usage(octets_down=8))
    enter(other.of(10).reported, Usage(octets_down=6))
    total.add(one)
    total.add(other)
    assert total.total("passed") == 15
    assert total.total("passed", Unit.SECONDS) == 5
    assert total.unreported(10) == 5
    assert total.unreported(99) == 0
