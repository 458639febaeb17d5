"""The peer machine against RFC 6733 §5.6: row by row, for every state and event, and on random walks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodiameter.peer_machine import TRANSITIONS, Action, Event, PeerMachine, State, Timers, UnexpectedEventError

TIMERS = Timers(connect_s=1, cer_s=2, cea_s=3, settle_s=4, dpa_s=5)
LIMITS = {
    State.WAIT_CONN_ACK: 1,
    State.WAIT_CER: 2,
    State.WAIT_I_CEA: 3,
    State.LEAVING: 4,
    State.SETTLING: 4,
    State.CLOSING: 5,
}
MESSAGES = {event for event in Event if event.name.startswith("RCV_")} - {Event.RCV_CONN_ACK, Event.RCV_CONN_NACK}
VERDICTS = {Event.RCV_BAD_CER, Event.RCV_BAD_CEA}
CAPABLE = (State.I_OPEN, State.R_OPEN, State.LEAVING, State.CLOSING, State.SETTLING)
CLOSERS = {Action.DISC, Action.ERROR, Action.REJECT}

# The RFC's table, as far as one connection sees it.
RFC_ROWS = [
    (State.CLOSED, Event.START, [Action.SND_CONN_REQ], State.WAIT_CONN_ACK),
    (State.WAIT_CONN_ACK, Event.RCV_CONN_ACK, [Action.SND_CER], State.WAIT_I_CEA),
    (State.WAIT_CONN_ACK, Event.RCV_CONN_NACK, [], State.CLOSED),
    (State.WAIT_CONN_ACK, Event.TIMEOUT, [Action.ERROR], State.CLOSED),
    (State.WAIT_I_CEA, Event.RCV_CEA, [Action.PROCESS_CEA], State.I_OPEN),
    (State.WAIT_I_CEA, Event.PEER_DISC, [Action.DISC], State.CLOSED),
    (State.WAIT_I_CEA, Event.TIMEOUT, [Action.ERROR], State.CLOSED),
    *((State.WAIT_I_CEA, event, [Action.ERROR], State.CLOSED) for event in sorted(MESSAGES - {Event.RCV_CEA}, key=str)),
    (State.WAIT_CER, Event.RCV_CER, [Action.PROCESS_CER, Action.SND_CEA], State.R_OPEN),
    *(
        row
        for state in (State.I_OPEN, State.R_OPEN)
        for row in (
            (state, Event.RCV_MESSAGE, [Action.PROCESS], state),
            (state, Event.RCV_DWR, [Action.SND_DWA], state),
            (state, Event.RCV_DWA, [Action.PROCESS_DWA], state),
            (state, Event.STOP, [Action.SND_DPR], State.CLOSING),
            (state, Event.PEER_DISC, [Action.DISC], State.CLOSED),
        )
    ),
    (State.CLOSING, Event.TIMEOUT, [Action.ERROR], State.CLOSED),
    (State.CLOSING, Event.PEER_DISC, [Action.DISC], State.CLOSED),
]


def machine_in(state: State, now: float = 0.0) -> PeerMachine:
    """A machine brought there by events."""
    paths = {
        State.CLOSED: (),
        State.WAIT_CONN_ACK: (Event.START,),
        State.WAIT_I_CEA: (Event.START, Event.RCV_CONN_ACK),
        State.WAIT_CER: (Event.ACCEPTED,),
        State.I_OPEN: (Event.START, Event.RCV_CONN_ACK, Event.RCV_CEA),
        State.R_OPEN: (Event.ACCEPTED, Event.RCV_CER),
        State.LEAVING: (Event.ACCEPTED, Event.RCV_CER, Event.RCV_DPR),
        State.CLOSING: (Event.ACCEPTED, Event.RCV_CER, Event.STOP),
        State.SETTLING: (Event.ACCEPTED, Event.RCV_CER, Event.STOP, Event.RCV_DPA),
    }
    machine = PeerMachine(TIMERS)
    for event in paths[state]:
        machine.handle(event, now)
    assert machine.state is state
    return machine


@pytest.mark.parametrize(("state", "event", "actions", "following"), RFC_ROWS)
def test_row_of_the_rfc(state: State, event: Event, actions: list[Action], following: State) -> None:
    machine = machine_in(state)
    assert list(machine.handle(event, 10)) == actions
    assert machine.state is following


def test_a_dpr_is_answered_when_all_requests_are() -> None:
    machine = machine_in(State.I_OPEN)
    assert machine.handle(Event.RCV_DPR, 1) == ()
    assert machine.handle(Event.RCV_MESSAGE, 2) == (Action.PROCESS,)
    assert machine.handle(Event.SETTLED, 3) == (Action.SND_DPA,)
    assert machine.state is State.CLOSING
    assert machine.handle(Event.PEER_DISC, 4) == (Action.DISC,)


def test_a_dpr_is_answered_late_rather_than_never() -> None:
    machine = machine_in(State.LEAVING)
    assert machine.handle(Event.TIMEOUT, 5) == (Action.SND_DPA,)
    assert (machine.state, machine.deadline) == (State.CLOSING, 10)


def test_our_dpr_is_followed_by_the_answers_that_crossed_it() -> None:
    machine = machine_in(State.R_OPEN)
    assert machine.handle(Event.STOP, 1) == (Action.SND_DPR,)
    assert machine.handle(Event.RCV_DPA, 2) == ()
    assert machine.handle(Event.SETTLED, 3) == (Action.DISC,)
    assert machine.state is State.CLOSED


def test_the_wait_for_those_answers_is_bounded() -> None:
    machine = machine_in(State.SETTLING)
    assert machine.handle(Event.TIMEOUT, 9) == (Action.DISC,)


def test_crossing_dprs_are_both_answered() -> None:
    machine = machine_in(State.CLOSING)
    assert machine.handle(Event.RCV_DPR, 1) == (Action.SND_DPA,)
    assert machine.state is State.CLOSING
    machine.handle(Event.RCV_DPA, 2)
    assert machine.handle(Event.RCV_DPR, 3) == (Action.SND_DPA,)


def test_a_refused_cer_is_answered_and_the_connection_closed() -> None:
    assert machine_in(State.WAIT_CER).handle(Event.RCV_BAD_CER, 1) == (Action.REJECT,)


@pytest.mark.parametrize("event", sorted(MESSAGES - {Event.RCV_CER, Event.RCV_BAD_CER}, key=str))
def test_anything_before_the_cer_closes_without_an_answer(event: Event) -> None:
    machine = machine_in(State.WAIT_CER)
    assert machine.handle(event, 1) == (Action.DISC,)
    assert machine.state is State.CLOSED


def test_a_second_cer_is_answered_again() -> None:
    machine = machine_in(State.R_OPEN)
    assert machine.handle(Event.RCV_CER, 1) == (Action.SND_CEA,)
    assert machine.state is State.R_OPEN


@pytest.mark.parametrize("state", CAPABLE)
def test_answers_nobody_asked_for_are_dropped(state: State) -> None:
    assert machine_in(state).handle(Event.RCV_CEA, 1) == (Action.DROP,)
    if state is not State.CLOSING:
        assert machine_in(state).handle(Event.RCV_DPA, 1) == (Action.DROP,)


def possible(state: State) -> set[Event]:
    """What can happen to a connection in that state, by reason instead of by table."""
    if state is State.CLOSED:
        return {Event.START, Event.ACCEPTED}
    always = {Event.STOP, Event.ABANDON}
    if state in LIMITS:
        always.add(Event.TIMEOUT)
    if state is State.WAIT_CONN_ACK:
        return always | {Event.RCV_CONN_ACK, Event.RCV_CONN_NACK}
    if state in (State.WAIT_CER, State.WAIT_I_CEA):
        return always | MESSAGES | {Event.PEER_DISC}
    waiting = {Event.SETTLED} if state in (State.LEAVING, State.SETTLING) else set()
    return always | (MESSAGES - VERDICTS) | {Event.PEER_DISC} | waiting


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_of_state_and_event_is_decided(state: State, event: Event) -> None:
    machine = machine_in(state)
    assert ((state, event) in TRANSITIONS) == (event in possible(state))
    if event in possible(state):
        machine.handle(event, 1)
        assert machine.state is TRANSITIONS[state, event].next
    else:
        with pytest.raises(UnexpectedEventError) as caught:
            machine.handle(event, 1)
        assert (caught.value.state, caught.value.event, machine.state) == (state, event, state)


@pytest.mark.parametrize("state", list(State))
def test_a_state_lasts_as_long_as_its_timer(state: State) -> None:
    limit = LIMITS.get(state)
    assert machine_in(state, now=100).deadline == (None if limit is None else 100 + limit)


def test_staying_in_a_state_does_not_prolong_it() -> None:
    machine = machine_in(State.LEAVING, now=100)
    machine.handle(Event.RCV_MESSAGE, 102)
    machine.handle(Event.STOP, 103)
    assert machine.deadline == 104


def test_states_that_matter_to_others() -> None:
    assert {state for state in State if state.is_open} == {State.I_OPEN, State.R_OPEN}
    assert {state for state in State if state.is_departing} == {State.LEAVING, State.CLOSING, State.SETTLING}


@given(st.sampled_from([Event.START, Event.ACCEPTED]), st.lists(st.sampled_from(Event), max_size=60))
def test_random_walks(first: Event, events: list[Event]) -> None:
    machine = PeerMachine(TIMERS)
    machine.handle(first, 0)
    has_transport, exchanged, closed = first is Event.ACCEPTED, False, 0
    for now, event in enumerate(events, 1):
        before, deadline = machine.state, machine.deadline
        try:
            actions = machine.handle(event, now)
        except UnexpectedEventError:
            assert (machine.state, machine.deadline) == (before, deadline)
            assert event not in possible(before)
            continue
        has_transport |= event is Event.RCV_CONN_ACK
        exchanged |= bool({Action.PROCESS_CER, Action.PROCESS_CEA} & set(actions))
        closed += len(CLOSERS & set(actions))
        assert (machine.deadline is not None) == (machine.state in LIMITS)
        assert exchanged or machine.state not in CAPABLE
        if machine.state is State.CLOSED:
            assert closed == (0 if event is Event.RCV_CONN_NACK else 1)
            break
        assert closed == 0
