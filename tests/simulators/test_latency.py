"""The histogram."""

import pytest

from simulators.latency import FOLD_AT, HIGHEST_US, Latencies, LatencySummary


def test_nothing_recorded() -> None:
    assert Latencies().summary() == LatencySummary()


def test_percentiles_are_exact_to_three_digits() -> None:
    latencies = Latencies()
    for microseconds in range(1, 10_001):
        latencies.record_ns(microseconds * 1000)
    summary = latencies.summary()
    assert (summary.count, summary.min_us) == (10_000, 1)
    for value, exact in [
        (summary.p50_us, 5000), (summary.p95_us, 9500), (summary.p99_us, 9900), (summary.p999_us, 9990),
        (summary.max_us, 10_000), (summary.mean_us, 5000.5),
    ]:  # fmt: skip
        assert value == pytest.approx(exact, rel=0.002)


def test_values_out_of_range_count_as_the_nearest_in_it() -> None:
    latencies = Latencies()
    latencies.record_ns(0)
    latencies.record_ns(10**15)
    summary = latencies.summary()
    assert summary.count == 2
    assert summary.min_us == 1
    assert summary.max_us == pytest.approx(HIGHEST_US, rel=0.002)


def test_many_values_are_all_counted() -> None:
    latencies = Latencies()
    for _ in range(FOLD_AT + 5):
        latencies.record_ns(2_000_000)
    assert latencies.summary().count == FOLD_AT + 5


def test_two_histograms_add_up_and_one_can_be_cleared() -> None:
    one, other = Latencies(), Latencies()
    one.record_ns(1_000_000)
    other.record_ns(3_000_000)
    one.add(other)
    assert one.summary().count == 2
    assert one.summary().max_us == pytest.approx(3000, rel=0.002)
    assert other.summary().count == 1
    one.clear()
    assert one.summary() == LatencySummary()
