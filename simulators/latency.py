"""Latencies in microseconds, in an HDR histogram: percentiles without keeping every value.

Owns the histogram's range and precision. Refuses to know what was measured, and reads no clock.
"""

from collections import Counter

import msgspec
from hdrh.histogram import HdrHistogram

HIGHEST_US = 60_000_000
"""A minute: longer than anybody waits for an answer. What took longer counts as that."""
SIGNIFICANT_FIGURES = 3
FOLD_AT = 65_536
"""Values noted before they are put into the histogram; the bound of the memory they take."""


class LatencySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles in microseconds; all 0 when nothing was recorded."""

    count: int = 0
    min_us: int = 0
    mean_us: float = 0.0
    p50_us: int = 0
    p95_us: int = 0
    p99_us: int = 0
    p999_us: int = 0
    max_us: int = 0


class Latencies:
    """Collects values. Noting one is a list's append; the histogram is filled many values at a time, since a load
    generator shares its processor with what it measures.
    """

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, HIGHEST_US, SIGNIFICANT_FIGURES)
        self._noted: list[int] = []

    def record_ns(self, nanoseconds: int) -> None:
        """Notes one value, given in nanoseconds."""
        noted = self._noted
        noted.append(nanoseconds)
        if len(noted) >= FOLD_AT:
            self._fold()

    def _fold(self) -> None:
        counts = Counter([nanoseconds // 1000 for nanoseconds in self._noted])
        for microseconds, count in counts.items():
            self._histogram.record_value(min(max(microseconds, 1), HIGHEST_US), count)
        self._noted.clear()

    def add(self, other: "Latencies") -> None:
        """Adds what the other has recorded."""
        self._fold()
        other._fold()
        self._histogram.add(other._histogram)

    def clear(self) -> None:
        """Forgets everything."""
        self._noted.clear()
        self._histogram.reset()

    def summary(self) -> LatencySummary:
        """The percentiles of what has been recorded up to now."""
        self._fold()
        histogram = self._histogram
        count = histogram.get_total_count()
        if not count:
            return LatencySummary()
        at = histogram.get_percentile_to_value_dict([50.0, 95.0, 99.0, 99.9])
        return LatencySummary(
            count=count,
            min_us=histogram.get_min_value(),
            mean_us=histogram.get_mean_value(),
            p50_us=at[50.0],
            p95_us=at[95.0],
            p99_us=at[99.0],
            p999_us=at[99.9],
            max_us=histogram.get_max_value(),
        )
