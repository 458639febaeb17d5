"""The peer state machine of one transport connection: RFC 6733 §5.6 as a table.

Owns: in which state a connection is, which base-protocol message may follow, and how long each wait may last.

Refuses to know: sockets, octets, clocks, what a CER must contain. Its owner judges the CER or CEA and reports the
verdict as an event; `now` comes in with each event, and what has to be done goes out as actions.

RFC 6733 draws one machine per peer with two transports, I (ours) and R (theirs), that an election tells apart. Here
each connection has a machine of its own: I- and R- rows are taken by the connection's role, and the rows of the
election (Wait-Conn-Ack/Elect, Wait-Returns) do not occur. The owner knows all connections of an identity and lets the
one that opened first stay; a later one is a refused CER or a refused CEA here.

States that the RFC does not name:

* WAIT_CER: a connection was accepted and nothing has been received. The RFC starts at R-Conn-CER, with the CER there.
* LEAVING: a DPR was received, and requests received before it still wait for their answers (§5.4). The DPA follows
  them, since whoever receives the DPA closes.
* SETTLING: our DPR was answered, and requests that crossed it still wait for their answers.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec


class State(Enum):
    """Where a connection stands. RFC 6733 §5.6."""

    CLOSED = auto()
    WAIT_CONN_ACK = auto()
    WAIT_I_CEA = auto()
    WAIT_CER = auto()
    I_OPEN = auto()
    R_OPEN = auto()
    LEAVING = auto()
    CLOSING = auto()
    SETTLING = auto()

    @property
    def is_open(self) -> bool:
        """Whether requests of our own may be sent."""
        return self in (State.I_OPEN, State.R_OPEN)

    @property
    def is_departing(self) -> bool:
        """Whether a DPR was exchanged: the connection's end is no failure."""
        return self in (State.LEAVING, State.CLOSING, State.SETTLING)


class Event(Enum):
    """What can happen to a connection. RFC 6733 §5.6.1; the comments name what is not there."""

    START = auto()
    RCV_CONN_ACK = auto()
    RCV_CONN_NACK = auto()
    ACCEPTED = auto()
    """The peer opened a transport connection (not in the RFC)."""
    RCV_CER = auto()
    """A CER that may open the connection (or any CER once it is open)."""
    RCV_BAD_CER = auto()
    """A CER that has to be refused (§5.3)."""
    RCV_CEA = auto()
    """A CEA that opens the connection (or any CEA once it is open)."""
    RCV_BAD_CEA = auto()
    """A CEA that refuses us, or that we cannot accept."""
    RCV_DWR = auto()
    RCV_DWA = auto()
    RCV_DPR = auto()
    RCV_DPA = auto()
    RCV_MESSAGE = auto()
    """Any other message."""
    STOP = auto()
    """The owner wants to disconnect."""
    SETTLED = auto()
    """No received request waits for its answer (not in the RFC)."""
    ABANDON = auto()
    """The owner gives the connection up: stream lost, watchdog silent, peer not reading (not in the RFC)."""
    PEER_DISC = auto()
    TIMEOUT = auto()
    """`PeerMachine.deadline` has passed."""


class Action(Enum):
    """What the owner has to do. RFC 6733 §5.6.2."""

    SND_CONN_REQ = auto()
    SND_CER = auto()
    SND_CEA = auto()
    PROCESS_CER = auto()
    """Note the peer's capabilities: the connection is open."""
    PROCESS_CEA = auto()
    """Note the peer's capabilities: the connection is open."""
    REJECT = auto()
    """Send the CEA that says why, then close (R-Reject, §5.3)."""
    SND_DWA = auto()
    PROCESS_DWA = auto()
    SND_DPR = auto()
    SND_DPA = auto()
    PROCESS = auto()
    """The message is not the base protocol's business."""
    DROP = auto()
    """An answer nobody asked for (§6.2.1)."""
    DISC = auto()
    """Close the transport connection."""
    ERROR = auto()
    """Close the transport connection because something went wrong."""


class Row(NamedTuple):
    """One line of RFC 6733's table."""

    actions: tuple[Action, ...]
    next: State


_MESSAGES = (
    Event.RCV_CER, Event.RCV_BAD_CER, Event.RCV_CEA, Event.RCV_BAD_CEA, Event.RCV_DWR, Event.RCV_DWA, Event.RCV_DPR,
    Event.RCV_DPA, Event.RCV_MESSAGE,
)  # fmt: skip


def _connected(state: State) -> dict[tuple[State, Event], Row]:
    """Rows of every state in which capabilities have been exchanged."""
    return {
        # R-Open   R-Rcv-Message     Process                   R-Open
        (state, Event.RCV_MESSAGE): Row((Action.PROCESS,), state),
        # R-Open   R-Rcv-DWR         Process-DWR, R-Snd-DWA    R-Open
        (state, Event.RCV_DWR): Row((Action.SND_DWA,), state),
        # R-Open   R-Rcv-DWA         Process-DWA               R-Open
        (state, Event.RCV_DWA): Row((Action.PROCESS_DWA,), state),
        # R-Open   R-Conn-CER        R-Reject                  R-Open
        # That row is about a second connection, whose own machine refuses it. A CER on this one is answered again, and
        # changes nothing: changing capabilities takes RFC 6737, which is not claimed.
        (state, Event.RCV_CER): Row((Action.SND_CEA,), state),
        # Not in the RFC: answers that nobody asked for.
        (state, Event.RCV_CEA): Row((Action.DROP,), state),
        # R-Open   R-Peer-Disc       R-Disc                    Closed
        (state, Event.PEER_DISC): Row((Action.DISC,), State.CLOSED),
        # Not in the RFC.
        (state, Event.ABANDON): Row((Action.ERROR,), State.CLOSED),
    }


def _open(state: State) -> dict[tuple[State, Event], Row]:
    return {
        # R-Open   Stop              R-Snd-DPR                 Closing
        (state, Event.STOP): Row((Action.SND_DPR,), State.CLOSING),
        # R-Open   R-Rcv-DPR         R-Snd-DPA                 Closing
        # Taken in two steps: LEAVING answers first what was received before the DPR.
        (state, Event.RCV_DPR): Row((), State.LEAVING),
        (state, Event.RCV_DPA): Row((Action.DROP,), state),
    }


def _before_open(state: State, expected: set[Event], on_other: Action) -> dict[tuple[State, Event], Row]:
    """Rows of a state that waits for one message: any other one ends the connection."""
    rows = {(state, event): Row((on_other,), State.CLOSED) for event in _MESSAGES if event not in expected}
    rows[state, Event.PEER_DISC] = Row((Action.DISC,), State.CLOSED)
    rows[state, Event.TIMEOUT] = Row((Action.ERROR,), State.CLOSED)
    rows[state, Event.STOP] = Row((Action.DISC,), State.CLOSED)
    rows[state, Event.ABANDON] = Row((Action.ERROR,), State.CLOSED)
    return rows


TRANSITIONS: Final[dict[tuple[State, Event], Row]] = {
    # Closed           Start              I-Snd-Conn-Req       Wait-Conn-Ack
    (State.CLOSED, Event.START): Row((Action.SND_CONN_REQ,), State.WAIT_CONN_ACK),
    # Closed           R-Conn-CER         R-Accept, ...        R-Open
    # Taken in two steps: the connection first, its CER when it arrives.
    (State.CLOSED, Event.ACCEPTED): Row((), State.WAIT_CER),
    # Wait-Conn-Ack    I-Rcv-Conn-Ack     I-Snd-CER            Wait-I-CEA
    (State.WAIT_CONN_ACK, Event.RCV_CONN_ACK): Row((Action.SND_CER,), State.WAIT_I_CEA),
    # Wait-Conn-Ack    I-Rcv-Conn-Nack    Cleanup              Closed
    (State.WAIT_CONN_ACK, Event.RCV_CONN_NACK): Row((), State.CLOSED),
    # Wait-Conn-Ack    Timeout            Error                Closed
    (State.WAIT_CONN_ACK, Event.TIMEOUT): Row((Action.ERROR,), State.CLOSED),
    # Not in the RFC: an attempt can be given up.
    (State.WAIT_CONN_ACK, Event.STOP): Row((Action.DISC,), State.CLOSED),
    (State.WAIT_CONN_ACK, Event.ABANDON): Row((Action.ERROR,), State.CLOSED),
    # Wait-I-CEA       I-Rcv-CEA          Process-CEA          I-Open
    (State.WAIT_I_CEA, Event.RCV_CEA): Row((Action.PROCESS_CEA,), State.I_OPEN),
    # Wait-I-CEA       I-Peer-Disc        I-Disc               Closed
    # Wait-I-CEA       I-Rcv-Non-CEA      Error                Closed
    # Wait-I-CEA       Timeout            Error                Closed
    **_before_open(State.WAIT_I_CEA, {Event.RCV_CEA}, Action.ERROR),
    # Closed           R-Conn-CER         R-Accept, Process-CER, R-Snd-CEA    R-Open
    (State.WAIT_CER, Event.RCV_CER): Row((Action.PROCESS_CER, Action.SND_CEA), State.R_OPEN),
    # §5.3: the CEA says why, then the connection is closed.
    (State.WAIT_CER, Event.RCV_BAD_CER): Row((Action.REJECT,), State.CLOSED),
    # §5.6: anything but a CER before the CER ends the connection without an answer.
    **_before_open(State.WAIT_CER, {Event.RCV_CER, Event.RCV_BAD_CER}, Action.DISC),
    **_connected(State.I_OPEN),
    **_open(State.I_OPEN),
    **_connected(State.R_OPEN),
    **_open(State.R_OPEN),
    **_connected(State.LEAVING),
    (State.LEAVING, Event.SETTLED): Row((Action.SND_DPA,), State.CLOSING),
    (State.LEAVING, Event.TIMEOUT): Row((Action.SND_DPA,), State.CLOSING),
    (State.LEAVING, Event.RCV_DPR): Row((), State.LEAVING),
    (State.LEAVING, Event.RCV_DPA): Row((Action.DROP,), State.LEAVING),
    (State.LEAVING, Event.STOP): Row((), State.LEAVING),
    # The rows of messages are ours: a peer may have sent them before it saw the DPR.
    **_connected(State.CLOSING),
    # Closing          I-Rcv-DPA          I-Disc               Closed
    # Taken in two steps: SETTLING answers first what crossed the DPR.
    (State.CLOSING, Event.RCV_DPA): Row((), State.SETTLING),
    # Closing          Timeout            Error                Closed
    (State.CLOSING, Event.TIMEOUT): Row((Action.ERROR,), State.CLOSED),
    # Not in the RFC: two DPRs that crossed are both answered.
    (State.CLOSING, Event.RCV_DPR): Row((Action.SND_DPA,), State.CLOSING),
    (State.CLOSING, Event.STOP): Row((), State.CLOSING),
    **_connected(State.SETTLING),
    (State.SETTLING, Event.SETTLED): Row((Action.DISC,), State.CLOSED),
    (State.SETTLING, Event.TIMEOUT): Row((Action.DISC,), State.CLOSED),
    (State.SETTLING, Event.RCV_DPR): Row((Action.SND_DPA,), State.SETTLING),
    (State.SETTLING, Event.RCV_DPA): Row((Action.DROP,), State.SETTLING),
    (State.SETTLING, Event.STOP): Row((), State.SETTLING),
}


class Timers(msgspec.Struct, frozen=True, kw_only=True):
    """How long a state may last, in seconds. RFC 6733 §5.6.1 (Timeout) leaves the values to the implementation."""

    connect_s: float = 10.0
    """Wait-Conn-Ack: a TCP handshake."""
    cer_s: float = 10.0
    """Without a CER a connection costs us and gives nothing."""
    cea_s: float = 10.0
    """As long as freeDiameter waits."""
    settle_s: float = 5.0
    """Answers that are owed when a DPR or DPA arrives; below the time for which common peers wait for a DPA."""
    dpa_s: float = 10.0
    """Closing: for the DPA, or for the peer to close after ours."""


class UnexpectedEventError(Exception):
    """The owner of a machine reported what cannot happen in this state: a mistake of ours, never of the peer."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a connection in state {state.name} cannot meet {event.name}")
        self.state = state
        self.event = event


class PeerMachine:
    """The state of one connection. RFC 6733 §5.6."""

    __slots__ = ("_limits", "deadline", "state")

    def __init__(self, timers: Timers) -> None:
        self._limits = {
            State.WAIT_CONN_ACK: timers.connect_s,
            State.WAIT_CER: timers.cer_s,
            State.WAIT_I_CEA: timers.cea_s,
            State.LEAVING: timers.settle_s,
            State.CLOSING: timers.dpa_s,
            State.SETTLING: timers.settle_s,
        }
        self.state = State.CLOSED
        self.deadline: float | None = None
        """When TIMEOUT is due, on the clock that `now` is read from; None while the state may last."""

    def handle(self, event: Event, now: float) -> tuple[Action, ...]:
        """Take one event at `now` (seconds, monotonic) and return what the owner has to do, in this order.

        Raises UnexpectedEventError for an event that cannot happen in this state.
        """
        row = TRANSITIONS.get((self.state, event))
        if row is None:
            raise UnexpectedEventError(self.state, event)
        if row.next is not self.state:
            self.state = row.next
            limit = self._limits.get(row.next)
            self.deadline = None if limit is None else now + limit
        return row.actions
