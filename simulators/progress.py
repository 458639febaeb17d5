"""How a simulation shows itself: live on a terminal, as plain lines anywhere else; and its result as a table.

Owns the wording of figures for people. Refuses to know how they come about.

    with ProgressView() as view:
        result = await simulate(options, view.update)
    Console().print(result_table(result))
"""

from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .figures import Answers, Figures, SimulationResult
from .latency import LatencySummary

LINE_EVERY_S = 2.0
"""Between plain lines: a log should not be filled by watching."""
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def format_octets(octets: int) -> str:
    """`1.2 GB`: three digits are enough to look at."""
    value = float(octets)
    for unit in _SIZES:
        if value < 1000 or unit == _SIZES[-1]:
            return f"{octets} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def format_us(microseconds: float) -> str:
    """`0.43 ms`, `12 ms`, `1.3 s`."""
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds / 1_000_000:.3g} s"


def format_answers(answers: Answers) -> str:
    """`2001: 812, 4012: 3`: by Result-Code, the most frequent first."""
    codes: dict[int, int] = {}
    for (_, code), count in answers.items():
        codes[code] = codes.get(code, 0) + count
    ordered = sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code}: {count:,}" for code, count in ordered) or "none"


def format_latency(latency: LatencySummary) -> str:
    """Its percentiles in one line."""
    if not latency.count:
        return "none yet"
    percentiles = (("p50", latency.p50_us), ("p95", latency.p95_us), ("p99", latency.p99_us))
    return "  ".join(f"{name} {format_us(value)}" for name, value in percentiles) + f"  max {format_us(latency.max_us)}"


def plain_line(figures: Figures, per_second: float) -> str:
    """The figures in one line."""
    parts = [
        f"{figures.elapsed_s:6.1f} s",
        figures.phase,
        f"{figures.requests:,} answers ({per_second:,.0f}/s)",
        f"latency {format_latency(figures.latency)}",
        f"{figures.sessions_open:,} session{'' if figures.sessions_open == 1 else 's'}",
        f"codes {format_answers(figures.answers)}",
    ]
    if figures.retransmissions:
        parts.append(f"{figures.retransmissions:,} repeated")
    if figures.unanswered:
        parts.append(f"{figures.unanswered:,} unanswered")
    return " | ".join(part for part in parts if part)


class ProgressView:
    """A context manager whose `update` takes figures as they come."""

    def __init__(self, console: Console | None = None, title: str = "simulation") -> None:
        self._console = console or Console()
        self._title = title
        self._live: Live | None = None
        self._before = Figures()
        self._per_second = 0.0
        self._said_at: float | None = None

    def __enter__(self) -> "ProgressView":
        if self._console.is_terminal:
            # No thread of its own refreshes it: figures come often enough.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def update(self, figures: Figures) -> None:
        """Shows them."""
        self._measure(figures)
        if self._live is not None:
            self._live.update(self._screen(figures), refresh=True)
        elif self._said_at is None or figures.elapsed_s - self._said_at >= LINE_EVERY_S:
            self._said_at = figures.elapsed_s
            self._console.print(plain_line(figures, self._per_second), highlight=False, markup=False, soft_wrap=True)

    def _measure(self, figures: Figures) -> None:
        if figures.elapsed_s < self._before.elapsed_s:  # another phase: its counts begin again
            self._before = Figures()
            self._said_at = None
        seconds = figures.elapsed_s - self._before.elapsed_s
        if seconds > 0:
            self._per_second = (figures.requests - self._before.requests) / seconds
        self._before = figures

    def _screen(self, figures: Figures) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        for name, value in self._rows(figures):
            table.add_row(name, value)
        head = Text.assemble((self._title, "bold cyan"), "  ", figures.phase, f"  {figures.elapsed_s:.0f} s")
        if figures.duration_s is None:
            return Group(head, table)
        done = min(figures.elapsed_s, figures.duration_s)
        return Group(head, ProgressBar(total=figures.duration_s, completed=done, width=60), table)

    def _rows(self, figures: Figures) -> list[tuple[str, str]]:
        return [
            ("answers", f"{figures.requests:,}  ({self._per_second:,.0f}/s)"),
            ("latency", format_latency(figures.latency)),
            ("sessions open", f"{figures.sessions_open:,}"),
            ("by Result-Code", format_answers(figures.answers)),
            ("repeated", f"{figures.retransmissions:,}"),
            ("unanswered", f"{figures.unanswered:,}"),
            ("granted", format_octets(figures.octets_granted)),
            ("used", format_octets(figures.octets_used)),
        ]


def result_table(result: SimulationResult) -> Table:
    """What a simulation did, to print at its end."""
    latency = result.latency
    table = Table(title=f"simulation: {result.mode}", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("answers", f"{result.requests:,} in {result.seconds:.1f} s, {result.per_second:,.0f}/s")
    for (kind, code), count in sorted(result.answers.items()):
        table.add_row(f"  {kind}, {code}", f"{count:,}")
    for name, value in (
        ("p50", latency.p50_us),
        ("p95", latency.p95_us),
        ("p99", latency.p99_us),
        ("p99.9", latency.p999_us),
        ("max", latency.max_us),
    ):
        table.add_row(f"latency {name}", format_us(value))
    table.add_row("sessions", f"{result.sessions:,}")
    for ending, count in sorted(result.endings.items()):
        table.add_row(f"  {ending}", f"{count:,}")
    if result.retransmissions or result.answers_dropped:
        table.add_row("requests repeated", f"{result.retransmissions:,}")
        table.add_row("answers dropped on purpose", f"{result.answers_dropped:,}")
    for kind, count in sorted(result.errors.items()):
        table.add_row(kind, f"{count:,}")
    if result.octets_granted is not None:
        table.add_row("granted", format_octets(result.octets_granted))
        table.add_row("refused to traffic", format_octets(result.octets_dropped))
    table.add_row("passed", format_octets(result.octets_passed + result.octets_free))
    table.add_row("reported", format_octets(result.octets_reported))
    if result.load is not None:
        table.add_row("updates without all grants", f"{result.load.without_grant:,}")
        table.add_row("CPU of the generator", f"{result.load.cpu_us_per_request:.1f} µs a request")
        if result.load.lag.count:
            table.add_row("lag of the generator, p99", format_us(result.load.lag.p99_us))
    return table
