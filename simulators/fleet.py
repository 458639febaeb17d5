"""Several gateways that run side by side, and their counts added up."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from .books import Books
from .figures import Answers, Figures, OnFigures, SimulationResult
from .gateway import Pgw
from .latency import Latencies


class Fleet:
    """Gateways of different identities, each with subscribers of its own."""

    def __init__(self, pgws: Sequence[Pgw]) -> None:
        self.pgws = pgws

    async def connect(self, host: str, port: int) -> None:
        """Connects all of them. Raises PeerGone and PeerRefused."""
        for pgw in self.pgws:
            await pgw.connect(host, port)

    async def run(
        self, duration_s: float, on_figures: OnFigures | None = None, interval_s: float = 0.5
    ) -> SimulationResult:
        """Runs them for `duration_s` real seconds, ends all sessions, and says what happened."""
        began = time.perf_counter()
        watcher: asyncio.Task[None] | None = None
        if on_figures is not None:
            watcher = asyncio.get_running_loop().create_task(self._watch(duration_s, on_figures, interval_s))
        try:
            await asyncio.gather(*(pgw.run(duration_s) for pgw in self.pgws))
        finally:
            if watcher is not None:
                watcher.cancel()
                await asyncio.wait([watcher])
        if watcher is not None and not watcher.cancelled():
            watcher.result()
        return self.result(time.perf_counter() - began)

    def stop(self) -> None:
        """Ends the run before its time; all sessions end in order."""
        for pgw in self.pgws:
            pgw.stop()

    async def close(self) -> None:
        """Disconnects all of them."""
        for pgw in self.pgws:
            await pgw.close()

    async def _watch(self, duration_s: float, on_figures: OnFigures, interval_s: float) -> None:
        began = time.perf_counter()
        while True:
            await asyncio.sleep(interval_s)
            on_figures(self.figures(time.perf_counter() - began, duration_s))

    def figures(self, elapsed_s: float, duration_s: float) -> Figures:
        """How things stand."""
        answers = self._answers()
        return Figures(
            phase="subscribers" if elapsed_s < duration_s else "closing sessions",
            elapsed_s=elapsed_s,
            duration_s=duration_s,
            requests=sum(answers.values()),
            latency=self._latencies().summary(),
            sessions_open=sum(pgw.sessions_open for pgw in self.pgws),
            answers=answers,
            retransmissions=sum(pgw.retransmissions for pgw in self.pgws),
            unanswered=sum(sum(pgw.errors.values()) for pgw in self.pgws),
            octets_granted=sum(pgw.total("granted") for pgw in self.pgws),
            octets_used=sum(pgw.total("passed") + pgw.total("free") for pgw in self.pgws),
        )

    def result(self, seconds: float) -> SimulationResult:
        """What happened, after a run of that many seconds."""
        answers = self._answers()
        endings: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        books: dict[str, Books] = {}
        total = Books()
        for pgw in self.pgws:
            endings.update(pgw.endings)
            errors.update(pgw.errors)
            books.update(pgw.books)  # no subscriber has two gateways
            total.add(pgw.closed)
        requests = sum(answers.values())
        return SimulationResult(
            mode="subscribers",
            seconds=seconds,
            requests=requests,
            per_second=requests / seconds if seconds else 0.0,
            latency=self._latencies().summary(),
            answers=answers,
            sessions=sum(pgw.sessions for pgw in self.pgws),
            endings=endings,
            retransmissions=sum(pgw.retransmissions for pgw in self.pgws),
            answers_dropped=sum(pgw.answers_dropped for pgw in self.pgws),
            errors=errors,
            octets_granted=total.total("granted"),
            octets_passed=total.total("passed"),
            octets_reported=total.total("reported"),
            octets_dropped=total.total("dropped"),
            octets_free=total.total("free"),
            books=books,
        )

    def _answers(self) -> Answers:
        answers: Answers = Counter()
        for pgw in self.pgws:
            answers.update(pgw.answers)
        return answers

    def _latencies(self) -> Latencies:
        latencies = Latencies()
        for pgw in self.pgws:
            latencies.add(pgw.latencies)
        return latencies
