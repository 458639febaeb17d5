"""How many log lines about bad messages one peer may cause. Pure: `now` comes in."""

LINES = 20
"""Enough to see what is wrong with a peer."""
PERIOD_S = 10.0
"""A peer that sends nothing else still fills less than 1 MB of log in an hour."""


class LogBudget:
    """At most `LINES` lines in `PERIOD_S` seconds; what is left unsaid is counted."""

    __slots__ = ("_lines", "_since", "_unsaid")

    def __init__(self) -> None:
        self._since = float("-inf")
        self._lines = 0
        self._unsaid = 0

    def take(self, now: float) -> int | None:
        """None: stay silent. A number: write the line, and how many were left unsaid before it."""
        if now - self._since >= PERIOD_S:
            self._since = now
            self._lines = 0
        if self._lines >= LINES:
            self._unsaid += 1
            return None
        self._lines += 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid
