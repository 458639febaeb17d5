"""What a simulation shows: live on a terminal, plain lines elsewhere."""

import io
from collections import Counter

import pytest
from rich.console import Console

from simulators.books import Books
from simulators.figures import Figures, LoadResult, SimulationResult
from simulators.latency import LatencySummary
from simulators.progress import ProgressView, format_answers, format_octets, format_us, plain_line, result_table

LATENCY = LatencySummary(
    count=9, min_us=100, mean_us=500, p50_us=430, p95_us=900, p99_us=1200, p999_us=9000, max_us=1_500_000
)


def figures(elapsed_s: float = 1.0, requests: int = 100, **given: object) -> Figures:
    return Figures(
        phase="subscribers",
        elapsed_s=elapsed_s,
        duration_s=10.0,
        requests=requests,
        latency=LATENCY,
        sessions_open=12,
        answers=Counter({("initial", 2001): 90, ("update", 2001): 5, ("update", 4012): 5}),
        octets_granted=10_000_000,
        octets_used=5_000_000,
        **given,  # type: ignore[arg-type]
    )


def result(**given: object) -> SimulationResult:
    return SimulationResult(
        mode="subscribers",
        seconds=10.0,
        requests=100,
        per_second=10.0,
        latency=LATENCY,
        answers=Counter({("initial", 2001): 95, ("initial", 5030): 5}),
        sessions=100,
        endings=Counter({"released": 95, "refused 5030": 5}),
        answers_dropped=1,
        errors=Counter({"connection lost": 2}),
        octets_passed=5_000_000,
        octets_reported=5_000_000,
        octets_dropped=7,
        octets_free=0,
        books={"491700000001": Books()},
        **{"retransmissions": 3, "octets_granted": 10_000_000, **given},  # type: ignore[arg-type]
    )


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12_345_678, "12.3 MB"), (10**18, "1e+03 PB")]
)
def test_octets(octets: int, text: str) -> None:
    assert format_octets(octets) == text


@pytest.mark.parametrize(("microseconds", "text"), [(430, "0.43 ms"), (12_000, "12 ms"), (1_500_000, "1.5 s")])
def test_microseconds(microseconds: int, text: str) -> None:
    assert format_us(microseconds) == text


def test_answers_are_added_up_by_code() -> None:
    assert format_answers(figures().answers) == "2001: 95, 4012: 5"
    assert format_answers(Counter()) == "none"


def test_plain_lines_where_there_is_no_terminal() -> None:
    out = console(False)
    with ProgressView(out) as view:
        view.update(figures(1.0, 100))
        view.update(figures(1.5, 200))
        view.update(figures(3.0, 600, retransmissions=4, unanswered=2))
        view.update(figures(0.5, 10))
    lines = shown(out).splitlines()
    assert len(lines) == 3, "not every update is worth a line, but the first of a phase is"
    assert "100 answers (100/s)" in lines[0]
    assert "p50 0.43 ms" in lines[0]
    assert "12 sessions" in lines[0]
    assert "600 answers (267/s)" in lines[1]
    assert "4 repeated" in lines[1]
    assert "2 unanswered" in lines[1]
    assert "10 answers (20/s)" in lines[2]
    assert "\x1b" not in shown(out)


def test_a_live_view_on_a_terminal() -> None:
    out = console(True)
    with ProgressView(out, "a test") as view:
        view.update(figures())
        view.update(Figures(phase="opening sessions", elapsed_s=2.0))
    text = shown(out)
    for part in ("a test", "subscribers", "100  (100/s)", "2001: 95, 4012: 5", "10 MB", "5 MB", "opening sessions"):
        assert part in text
    assert "none yet" in text


def test_nothing_answered_yet() -> None:
    assert "latency none yet" in plain_line(Figures(), 0.0)


def test_the_result() -> None:
    out = console(False)
    out.print(result_table(result()))
    for part in ("100 in 10.0 s, 10/s", "initial, 5030", "refused 5030", "connection lost", "p99.9", "9 ms", "10 MB"):
        assert part in shown(out)


def test_the_result_of_load() -> None:
    load = LoadResult(
        requests=100, seconds=1.0, per_second=100.0, latency=LATENCY, lag=LATENCY, answers=Counter(), without_grant=4,
        unanswered=0, errors={}, sessions=6, octets_used=0, cpu_s=0.002, cpu_us_per_request=20.0,
    )  # fmt: skip
    out = console(False)
    out.print(result_table(result(load=load, octets_granted=None, retransmissions=0)))
    text = shown(out)
    assert "20.0 µs a request" in text
    assert "updates without all grants" in text
    assert "lag of the generator, p99" in text
