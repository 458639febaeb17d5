"""Runs the watchdog of a peer on one open connection.

Owns when the peer was heard and when the watchdog is told of it: with every message only while the watchdog waits for
one, otherwise once when its time is over. So a message costs the noting of a time and no more.
"""

from collections.abc import Callable

from .watchdog import Action, Event, State, Watchdog


class Watch:
    """`send_dwr` asks the peer, `close` gives the connection up, `changed` learns of a new watchdog state."""

    def __init__(
        self,
        watchdog: Watchdog,
        *,
        send_dwr: Callable[[], None],
        close: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._watchdog = watchdog
        self._send_dwr = send_dwr
        self._close = close
        self._changed = changed
        self._heard_at = self._told_at = float("-inf")

    @property
    def deadline(self) -> float | None:
        """When `check` should be called; it may turn out that there is time left."""
        return self._watchdog.deadline

    def heard(self, now: float) -> None:
        """Messages have come, at `now` (seconds, monotonic)."""
        self._heard_at = now
        if self._watchdog.state is State.SUSPECT:
            self.tell(Event.OTHER_MESSAGE, now)

    def check(self, now: float) -> None:
        """The deadline has come, unless something was heard in between (RFC 3539 §3.4.1: any message moves it)."""
        if self._heard_at > self._told_at:
            self.tell(Event.OTHER_MESSAGE, self._heard_at)
        if self._watchdog.deadline is not None and self._watchdog.deadline <= now:
            self.tell(Event.TIMER, now)

    def tell(self, event: Event, at: float) -> None:
        """Pass an event to the watchdog and do what it asks for."""
        before = self._watchdog.state
        self._told_at = at
        for action in self._watchdog.handle(event, at):
            if action is Action.SEND_WATCHDOG:
                self._send_dwr()
            elif action is Action.CLOSE_CONNECTION and event is Event.TIMER:
                self._close()
            # Failover and Failback are what `Peer.is_usable` says; a connection that is down needs no closing.
        if self._watchdog.state is not before:
            self._changed()
