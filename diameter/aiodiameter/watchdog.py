"""The watchdog of one peer: RFC 3539 §3.4.1 as a table.

Owns: what is known about a peer's health (INITIAL, OKAY, SUSPECT, DOWN, REOPEN), and when to ask with a
Device-Watchdog-Request. It belongs to the peer's identity and not to a connection, because REOPEN means "this peer
failed before": whoever holds it keeps it from one connection of the peer to the next.

Refuses to know: sockets, messages, clocks, random numbers. `now` comes in with each event, the jitter from a callable
given at construction, and what has to be done goes out as actions.

Where this differs from RFC 3539:

* AttemptOpen (INITIAL and DOWN, timer expires) is not here. RFC 6733 §2.1 gives reconnection its own timer, Tc, and a
  peer that connects to us is never dialled. So no timer runs without a connection.
* REOPEN throws nothing away. A request that arrives is answered, since its sender has decided to use the connection
  and waits; what REOPEN forbids is to *send* requests of our own.
* DISCONNECTED, after an orderly DPR and DPA, goes back to INITIAL: a peer that said goodbye has not failed.
* QUESTIONED, when a second connection claims the same identity, asks at once instead of at the end of Tw, so that a
  peer which restarted without closing its old connection does not have to wait for it to time out.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

TW_DEFAULT_S: Final = 30.0
"""Twinit as RFC 3539 §3.4.1 recommends it."""
TW_MINIMUM_S: Final = 6.0
"""Twinit must not be set lower than this. RFC 3539 §3.4.1."""
JITTER_S: Final = 2.0
"""Tw is Twinit plus a random value between minus and plus this much. RFC 3539 §3.4.1."""
REOPEN_ANSWERS: Final = 3
"""Watchdog answers needed before a connection that failed is used again. RFC 3539 §3.4.1."""


class State(Enum):
    """How a peer is doing. RFC 3539 §3.4.1."""

    INITIAL = auto()
    """Never connected, or disconnected in good order."""
    OKAY = auto()
    """Connected and answering."""
    SUSPECT = auto()
    """Connected, but a DWR has been waiting for its answer for a whole Tw: nothing new is sent."""
    DOWN = auto()
    """The connection failed."""
    REOPEN = auto()
    """Connected again after a failure: has to answer some DWRs before anything else is sent."""


class Event(Enum):
    """What can happen to a watchdog."""

    CONNECTION_UP = auto()
    CONNECTION_DOWN = auto()
    DWA = auto()
    OTHER_MESSAGE = auto()
    """Any received message but a DWA."""
    TIMER = auto()
    """`Watchdog.deadline` has passed."""
    DISCONNECTED = auto()
    """The connection ended after DPR and DPA."""
    QUESTIONED = auto()
    """Another connection says that it is this peer."""


class Action(Enum):
    """What a row of the table asks for: the first four concern the owner, the others are done here."""

    SEND_WATCHDOG = auto()
    FAILOVER = auto()
    """Requests waiting for an answer from this peer may be sent elsewhere; no new one is sent to it."""
    FAILBACK = auto()
    """The peer may be used (again)."""
    CLOSE_CONNECTION = auto()
    SET_WATCHDOG = auto()
    STOP_WATCHDOG = auto()
    PENDING = auto()
    NOT_PENDING = auto()
    ZERO_DWA = auto()
    COUNT_DWA = auto()
    LAST_CHANCE = auto()
    """NumDWA = -1: one more Tw of silence closes the connection."""


class Condition(Enum):
    """What a row asks of Pending and NumDWA."""

    ALWAYS = auto()
    PENDING = auto()
    NOT_PENDING = auto()
    FEW_DWA = auto()
    """NumDWA < 2 in the RFC: this answer is not yet the last one needed."""
    ENOUGH_DWA = auto()
    """NumDWA == 2 in the RFC: this answer is the last one needed."""
    PENDING_FIRST = auto()
    """Pending and NumDWA >= 0."""
    PENDING_AGAIN = auto()
    """Pending and NumDWA < 0."""
    TRUSTED = auto()
    """No answer is required after a failure (a setting, see `Watchdog`)."""
    MISTRUSTED = auto()


class Row(NamedTuple):
    """One line of RFC 3539's table."""

    when: Condition
    actions: tuple[Action, ...]
    next: State


_ALWAYS, _PENDING, _NOT_PENDING = Condition.ALWAYS, Condition.PENDING, Condition.NOT_PENDING
_SEND, _SET, _STOP = Action.SEND_WATCHDOG, Action.SET_WATCHDOG, Action.STOP_WATCHDOG
_ASK = (_SEND, _SET, Action.PENDING)

TRANSITIONS: Final[dict[tuple[State, Event], tuple[Row, ...]]] = {
    # INITIAL  Connection up                     SetWatchdog()                                       OKAY
    (State.INITIAL, Event.CONNECTION_UP): (Row(_ALWAYS, (Action.NOT_PENDING, Action.FAILBACK, _SET), State.OKAY),),
    # INITIAL  Receive DWA                       Pending = FALSE, Throwaway()                        INITIAL
    (State.INITIAL, Event.DWA): (Row(_ALWAYS, (Action.NOT_PENDING,), State.INITIAL),),
    # INITIAL  Receive non-DWA                   Throwaway()                                         INITIAL
    (State.INITIAL, Event.OTHER_MESSAGE): (Row(_ALWAYS, (), State.INITIAL),),
    # OKAY     Receive DWA                       Pending = FALSE, SetWatchdog()                      OKAY
    (State.OKAY, Event.DWA): (Row(_ALWAYS, (Action.NOT_PENDING, _SET), State.OKAY),),
    # OKAY     Receive non-DWA                   SetWatchdog()                                       OKAY
    (State.OKAY, Event.OTHER_MESSAGE): (Row(_ALWAYS, (_SET,), State.OKAY),),
    # OKAY     Timer expires & !Pending          SendWatchdog(), SetWatchdog(), Pending = TRUE       OKAY
    # OKAY     Timer expires & Pending           Failover(), SetWatchdog()                           SUSPECT
    (State.OKAY, Event.TIMER): (
        Row(_NOT_PENDING, _ASK, State.OKAY),
        Row(_PENDING, (Action.FAILOVER, _SET), State.SUSPECT),
    ),
    # OKAY     Connection down                   CloseConnection(), Failover(), SetWatchdog()        DOWN
    (State.OKAY, Event.CONNECTION_DOWN): (Row(_ALWAYS, (Action.CLOSE_CONNECTION, Action.FAILOVER, _STOP), State.DOWN),),
    # SUSPECT  Receive DWA                       Pending = FALSE, Failback(), SetWatchdog()          OKAY
    (State.SUSPECT, Event.DWA): (Row(_ALWAYS, (Action.NOT_PENDING, Action.FAILBACK, _SET), State.OKAY),),
    # SUSPECT  Receive non-DWA                   Failback(), SetWatchdog()                           OKAY
    (State.SUSPECT, Event.OTHER_MESSAGE): (Row(_ALWAYS, (Action.FAILBACK, _SET), State.OKAY),),
    # SUSPECT  Timer expires                     CloseConnection(), SetWatchdog()                    DOWN
    (State.SUSPECT, Event.TIMER): (Row(_ALWAYS, (Action.CLOSE_CONNECTION, _STOP), State.DOWN),),
    # SUSPECT  Connection down                   CloseConnection(), SetWatchdog()                    DOWN
    (State.SUSPECT, Event.CONNECTION_DOWN): (Row(_ALWAYS, (Action.CLOSE_CONNECTION, _STOP), State.DOWN),),
    # DOWN     Connection up                     NumDWA = 0, SendWatchdog(), SetWatchdog(),
    #                                            Pending = TRUE                                      REOPEN
    (State.DOWN, Event.CONNECTION_UP): (
        Row(Condition.MISTRUSTED, (Action.ZERO_DWA, *_ASK), State.REOPEN),
        Row(Condition.TRUSTED, (Action.NOT_PENDING, Action.FAILBACK, _SET), State.OKAY),
    ),
    # DOWN     Receive DWA                       Pending = FALSE, Throwaway()                        DOWN
    (State.DOWN, Event.DWA): (Row(_ALWAYS, (Action.NOT_PENDING,), State.DOWN),),
    # DOWN     Receive non-DWA                   Throwaway()                                         DOWN
    (State.DOWN, Event.OTHER_MESSAGE): (Row(_ALWAYS, (), State.DOWN),),
    # REOPEN   Receive DWA & NumDWA < 2          Pending = FALSE, NumDWA++                           REOPEN
    # REOPEN   Receive DWA & NumDWA == 2         Pending = FALSE, NumDWA++, Failback()               OKAY
    # The timer keeps running: it was set when the DWR went out.
    (State.REOPEN, Event.DWA): (
        Row(Condition.FEW_DWA, (Action.NOT_PENDING, Action.COUNT_DWA), State.REOPEN),
        Row(Condition.ENOUGH_DWA, (Action.NOT_PENDING, Action.COUNT_DWA, Action.FAILBACK), State.OKAY),
    ),
    # REOPEN   Receive non-DWA                   Throwaway()                                         REOPEN
    (State.REOPEN, Event.OTHER_MESSAGE): (Row(_ALWAYS, (), State.REOPEN),),
    # REOPEN   Timer expires & !Pending          SendWatchdog(), SetWatchdog(), Pending = TRUE       REOPEN
    # REOPEN   Timer expires & Pending
    #          & NumDWA >= 0                     NumDWA = -1, SetWatchdog()                          REOPEN
    # REOPEN   Timer expires & Pending
    #          & NumDWA < 0                      CloseConnection(), SetWatchdog()                    DOWN
    (State.REOPEN, Event.TIMER): (
        Row(_NOT_PENDING, _ASK, State.REOPEN),
        Row(Condition.PENDING_FIRST, (Action.LAST_CHANCE, _SET), State.REOPEN),
        Row(Condition.PENDING_AGAIN, (Action.CLOSE_CONNECTION, _STOP), State.DOWN),
    ),
    # REOPEN   Connection down                   CloseConnection(), SetWatchdog()                    DOWN
    (State.REOPEN, Event.CONNECTION_DOWN): (Row(_ALWAYS, (Action.CLOSE_CONNECTION, _STOP), State.DOWN),),
    # Not in RFC 3539: an orderly goodbye.
    (State.OKAY, Event.DISCONNECTED): (Row(_ALWAYS, (Action.FAILOVER, _STOP), State.INITIAL),),
    (State.SUSPECT, Event.DISCONNECTED): (Row(_ALWAYS, (_STOP,), State.INITIAL),),
    (State.REOPEN, Event.DISCONNECTED): (Row(_ALWAYS, (_STOP,), State.INITIAL),),
    # Not in RFC 3539: is the old connection still there?
    (State.OKAY, Event.QUESTIONED): (Row(_NOT_PENDING, _ASK, State.OKAY), Row(_PENDING, (), State.OKAY)),
    (State.SUSPECT, Event.QUESTIONED): (Row(_ALWAYS, (), State.SUSPECT),),
    (State.REOPEN, Event.QUESTIONED): (Row(_NOT_PENDING, _ASK, State.REOPEN), Row(_PENDING, (), State.REOPEN)),
}

_OWNERS_ACTIONS = frozenset({_SEND, Action.FAILOVER, Action.FAILBACK, Action.CLOSE_CONNECTION})


class UnexpectedEventError(Exception):
    """The owner of a watchdog reported what cannot happen in this state: a mistake of ours, never of the peer."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"watchdog in state {state.name} cannot meet {event.name}")
        self.state = state
        self.event = event


class Watchdog:
    """The health of one peer. RFC 3539 §3.4.1.

    `interval_s` is Twinit, in seconds; below `TW_MINIMUM_S` it is refused with ValueError unless `allow_short` says
    that this is a test or a developer's machine. `jitter` is called at each SetWatchdog and returns the seconds to
    add, by the RFC a fresh uniform value in [-2, 2]. `reopen_answers` is how many DWAs a peer that failed owes before
    it is used again; 0 trusts it at once.
    """

    __slots__ = ("_interval_s", "_jitter", "_num_dwa", "_pending", "_reopen_answers", "deadline", "state")

    def __init__(
        self,
        interval_s: float = TW_DEFAULT_S,
        *,
        jitter: Callable[[], float],
        reopen_answers: int = REOPEN_ANSWERS,
        allow_short: bool = False,
    ) -> None:
        if interval_s <= 0 or (interval_s < TW_MINIMUM_S and not allow_short):
            raise ValueError(f"a watchdog interval of {interval_s} s is below {TW_MINIMUM_S} s (RFC 3539 §3.4.1)")
        if reopen_answers < 0:
            raise ValueError("the number of watchdog answers after a failure cannot be negative")
        self._interval_s = interval_s
        self._jitter = jitter
        self._reopen_answers = reopen_answers
        self._pending = False
        self._num_dwa = 0
        self.state = State.INITIAL
        self.deadline: float | None = None
        """When TIMER is due, on the clock that `now` is read from; None while no timer runs."""

    @property
    def usable(self) -> bool:
        """Whether requests of our own may be sent to the peer."""
        return self.state is State.OKAY

    def handle(self, event: Event, now: float) -> tuple[Action, ...]:
        """Take one event at `now` (seconds, monotonic) and return what the owner has to do, in this order.

        Raises UnexpectedEventError for an event that cannot happen in this state.
        """
        for row in TRANSITIONS.get((self.state, event), ()):
            if self._holds(row.when):
                for action in row.actions:
                    self._apply(action, now)
                self.state = row.next
                return tuple(action for action in row.actions if action in _OWNERS_ACTIONS)
        raise UnexpectedEventError(self.state, event)

    def _holds(self, condition: Condition) -> bool:
        match condition:
            case Condition.ALWAYS:
                return True
            case Condition.PENDING:
                return self._pending
            case Condition.NOT_PENDING:
                return not self._pending
            case Condition.FEW_DWA:
                return self._num_dwa < self._reopen_answers - 1
            case Condition.ENOUGH_DWA:
                return self._num_dwa >= self._reopen_answers - 1
            case Condition.PENDING_FIRST:
                return self._pending and self._num_dwa >= 0
            case Condition.PENDING_AGAIN:
                return self._pending and self._num_dwa < 0
            case Condition.TRUSTED:
                return self._reopen_answers == 0
            case Condition.MISTRUSTED:
                return self._reopen_answers > 0

    def _apply(self, action: Action, now: float) -> None:
        match action:
            case Action.SET_WATCHDOG:
                self.deadline = now + self._interval_s + self._jitter()
            case Action.STOP_WATCHDOG:
                self.deadline = None
            case Action.PENDING:
                self._pending = True
            case Action.NOT_PENDING:
                self._pending = False
            case Action.ZERO_DWA:
                self._num_dwa = 0
            case Action.COUNT_DWA:
                self._num_dwa += 1
            case Action.LAST_CHANCE:
                self._num_dwa = -1
            case _:
                pass  # the owner's part
