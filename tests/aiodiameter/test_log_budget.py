"""A peer can fill a log only slowly."""

from aiodiameter.log_budget import LINES, PERIOD_S, LogBudget


def test_lines_within_the_budget_are_written_and_the_rest_counted() -> None:
    budget = LogBudget()
    assert [budget.take(1.0) for _ in range(LINES)] == [0] * LINES
    assert [budget.take(1.0 + PERIOD_S / 2) for _ in range(5)] == [None] * 5
    assert budget.take(1.0 + PERIOD_S) == 5
    assert budget.take(1.0 + PERIOD_S) == 0
