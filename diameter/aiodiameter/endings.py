"""Why a connection ended, as one word for counters and logs: a closed set."""

from .peer_machine import Event, State

_BY_STATE = {
    (State.WAIT_CONN_ACK, Event.TIMEOUT): "unreachable",
    (State.WAIT_CONN_ACK, Event.RCV_CONN_NACK): "unreachable",
    (State.WAIT_CER, Event.TIMEOUT): "no-cer",
    (State.WAIT_CER, Event.RCV_MESSAGE): "not-a-cer",
    (State.WAIT_I_CEA, Event.TIMEOUT): "no-cea",
    (State.WAIT_I_CEA, Event.RCV_MESSAGE): "not-a-cea",
    (State.CLOSING, Event.TIMEOUT): "no-dpa",
    (State.LEAVING, Event.PEER_DISC): "goodbye",
    (State.CLOSING, Event.PEER_DISC): "goodbye",
    (State.SETTLING, Event.PEER_DISC): "goodbye",
    (State.SETTLING, Event.SETTLED): "goodbye",
    (State.SETTLING, Event.TIMEOUT): "goodbye",
}
_BY_EVENT = {Event.PEER_DISC: "closed-by-peer", Event.STOP: "stopped", Event.ABANDON: "abandoned"}


def ending(before: State, event: Event) -> str:
    """The word for a connection that `event` ended in state `before`."""
    return _BY_STATE.get((before, event)) or _BY_EVENT.get(event) or event.name.lower()
