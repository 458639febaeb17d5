"""The watchdog against RFC 3539 §3.4.1: row by row, for every state and event, and along simulated time."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodiameter.watchdog import TRANSITIONS, Action, Event, State, UnexpectedEventError, Watchdog

TW = 30.0
OWNERS = {Action.SEND_WATCHDOG, Action.FAILOVER, Action.FAILBACK, Action.CLOSE_CONNECTION}

IMPOSSIBLE = {
    # Connected already, or not connected.
    *((state, Event.CONNECTION_UP) for state in (State.OKAY, State.SUSPECT, State.REOPEN)),
    *(
        (state, event)
        for state in (State.INITIAL, State.DOWN)
        for event in (Event.CONNECTION_DOWN, Event.TIMER, Event.DISCONNECTED, Event.QUESTIONED)
    ),
}


def watchdog(jitter: float = 0.0, reopen_answers: int = 3) -> Watchdog:
    return Watchdog(TW, jitter=lambda: jitter, reopen_answers=reopen_answers)


def okay(now: float = 0.0) -> Watchdog:
    dog = watchdog()
    dog.handle(Event.CONNECTION_UP, now)
    return dog


def suspect() -> Watchdog:
    dog = okay()
    dog.handle(Event.TIMER, 30)
    dog.handle(Event.TIMER, 60)
    assert dog.state is State.SUSPECT
    return dog


def reopened(now: float = 100.0) -> Watchdog:
    dog = okay()
    dog.handle(Event.CONNECTION_DOWN, 50)
    dog.handle(Event.CONNECTION_UP, now)
    assert dog.state is State.REOPEN
    return dog


def check(
    dog: Watchdog, event: Event, now: float, actions: tuple[Action, ...], state: State, deadline: float | None
) -> None:
    assert dog.handle(event, now) == actions
    assert dog.state is state
    assert dog.deadline == deadline
    assert dog.usable == (state is State.OKAY)


def test_a_new_peer_is_used_at_once() -> None:
    check(watchdog(), Event.CONNECTION_UP, 5, (Action.FAILBACK,), State.OKAY, 35)


def test_okay_dwa_and_other_messages_move_the_deadline() -> None:
    dog = okay()
    check(dog, Event.OTHER_MESSAGE, 10, (), State.OKAY, 40)
    check(dog, Event.DWA, 12, (), State.OKAY, 42)


def test_okay_silence_asks_then_suspects_then_closes() -> None:
    dog = okay()
    check(dog, Event.TIMER, 30, (Action.SEND_WATCHDOG,), State.OKAY, 60)
    check(dog, Event.TIMER, 60, (Action.FAILOVER,), State.SUSPECT, 90)
    check(dog, Event.TIMER, 90, (Action.CLOSE_CONNECTION,), State.DOWN, None)


def test_okay_an_answer_makes_the_next_silence_ask_again() -> None:
    dog = okay()
    dog.handle(Event.TIMER, 30)
    dog.handle(Event.DWA, 31)
    check(dog, Event.TIMER, 61, (Action.SEND_WATCHDOG,), State.OKAY, 91)


def test_okay_other_traffic_is_no_answer_to_the_dwr() -> None:
    dog = okay()
    dog.handle(Event.TIMER, 30)
    dog.handle(Event.OTHER_MESSAGE, 31)
    check(dog, Event.TIMER, 61, (Action.FAILOVER,), State.SUSPECT, 91)


@pytest.mark.parametrize("event", [Event.DWA, Event.OTHER_MESSAGE])
def test_suspect_any_message_brings_it_back(event: Event) -> None:
    check(suspect(), event, 61, (Action.FAILBACK,), State.OKAY, 91)


def test_suspect_connection_down() -> None:
    check(suspect(), Event.CONNECTION_DOWN, 61, (Action.CLOSE_CONNECTION,), State.DOWN, None)


def test_okay_connection_down() -> None:
    check(okay(), Event.CONNECTION_DOWN, 7, (Action.CLOSE_CONNECTION, Action.FAILOVER), State.DOWN, None)


def test_down_connection_up_asks_at_once() -> None:
    dog = okay()
    dog.handle(Event.CONNECTION_DOWN, 50)
    check(dog, Event.CONNECTION_UP, 100, (Action.SEND_WATCHDOG,), State.REOPEN, 130)


def test_reopen_takes_three_answers() -> None:
    dog = reopened(100)
    check(dog, Event.DWA, 101, (), State.REOPEN, 130)
    check(dog, Event.TIMER, 130, (Action.SEND_WATCHDOG,), State.REOPEN, 160)
    check(dog, Event.DWA, 131, (), State.REOPEN, 160)
    check(dog, Event.TIMER, 160, (Action.SEND_WATCHDOG,), State.REOPEN, 190)
    check(dog, Event.OTHER_MESSAGE, 161, (), State.REOPEN, 190)
    check(dog, Event.DWA, 162, (Action.FAILBACK,), State.OKAY, 190)


def test_reopen_without_answer_has_one_last_chance() -> None:
    dog = reopened(100)
    check(dog, Event.TIMER, 130, (), State.REOPEN, 160)
    check(dog, Event.TIMER, 160, (Action.CLOSE_CONNECTION,), State.DOWN, None)


def test_reopen_an_answer_in_the_last_chance_starts_the_count_again() -> None:
    dog = reopened(100)
    dog.handle(Event.DWA, 101)
    dog.handle(Event.TIMER, 130)
    dog.handle(Event.TIMER, 160)
    dog.handle(Event.DWA, 161)
    for at in (190, 220, 250):
        assert dog.state is State.REOPEN
        assert dog.handle(Event.TIMER, at) == (Action.SEND_WATCHDOG,)
        dog.handle(Event.DWA, at + 1)
    assert dog.state is State.OKAY


def test_reopen_connection_down() -> None:
    check(reopened(), Event.CONNECTION_DOWN, 101, (Action.CLOSE_CONNECTION,), State.DOWN, None)


def test_fewer_answers_can_be_asked_for_and_none() -> None:
    one = watchdog(reopen_answers=1)
    one.handle(Event.CONNECTION_UP, 0)
    one.handle(Event.CONNECTION_DOWN, 1)
    one.handle(Event.CONNECTION_UP, 2)
    check(one, Event.DWA, 3, (Action.FAILBACK,), State.OKAY, 32)
    none = watchdog(reopen_answers=0)
    none.handle(Event.CONNECTION_UP, 0)
    none.handle(Event.CONNECTION_DOWN, 1)
    check(none, Event.CONNECTION_UP, 2, (Action.FAILBACK,), State.OKAY, 32)


def test_a_goodbye_is_no_failure() -> None:
    for dog in (okay(), suspect(), reopened()):
        dog.handle(Event.DISCONNECTED, 200)
        assert (dog.state, dog.deadline) == (State.INITIAL, None)
        check(dog, Event.CONNECTION_UP, 201, (Action.FAILBACK,), State.OKAY, 231)


def test_a_pending_dwr_does_not_survive_its_connection() -> None:
    dog = okay()
    dog.handle(Event.TIMER, 30)
    dog.handle(Event.DISCONNECTED, 31)
    dog.handle(Event.CONNECTION_UP, 32)
    check(dog, Event.TIMER, 62, (Action.SEND_WATCHDOG,), State.OKAY, 92)


def test_a_second_connection_makes_it_ask_once() -> None:
    dog = okay()
    check(dog, Event.QUESTIONED, 10, (Action.SEND_WATCHDOG,), State.OKAY, 40)
    check(dog, Event.QUESTIONED, 11, (), State.OKAY, 40)
    check(suspect(), Event.QUESTIONED, 61, (), State.SUSPECT, 90)
    again = reopened(100)
    check(again, Event.QUESTIONED, 101, (), State.REOPEN, 130)
    again.handle(Event.DWA, 102)
    check(again, Event.QUESTIONED, 103, (Action.SEND_WATCHDOG,), State.REOPEN, 133)


@pytest.mark.parametrize("state", [State.INITIAL, State.DOWN])
@pytest.mark.parametrize("event", [Event.DWA, Event.OTHER_MESSAGE])
def test_messages_without_a_connection_are_thrown_away(state: State, event: Event) -> None:
    dog = watchdog()
    if state is State.DOWN:
        dog.handle(Event.CONNECTION_UP, 0)
        dog.handle(Event.CONNECTION_DOWN, 1)
    check(dog, event, 2, (), state, None)


def test_every_pair_of_state_and_event_is_decided() -> None:
    assert set(itertools.product(State, Event)) - set(TRANSITIONS) == IMPOSSIBLE


@pytest.mark.parametrize(("state", "event"), sorted(IMPOSSIBLE, key=str))
def test_what_cannot_happen_is_the_owners_mistake(state: State, event: Event) -> None:
    dog = watchdog()
    dog.state = state
    with pytest.raises(UnexpectedEventError) as caught:
        dog.handle(event, 1)
    assert (caught.value.state, caught.value.event, dog.state) == (state, event, state)


def test_the_interval_has_a_minimum() -> None:
    with pytest.raises(ValueError, match="RFC 3539"):
        Watchdog(5.9, jitter=lambda: 0)
    with pytest.raises(ValueError, match="0 s"):
        Watchdog(0, jitter=lambda: 0, allow_short=True)
    with pytest.raises(ValueError, match="negative"):
        Watchdog(jitter=lambda: 0, reopen_answers=-1)
    assert Watchdog(6, jitter=lambda: 0).state is State.INITIAL
    assert Watchdog(0.01, jitter=lambda: 0, allow_short=True).state is State.INITIAL


def test_each_deadline_has_its_own_jitter() -> None:
    values = iter((-2.0, 1.5))
    dog = Watchdog(TW, jitter=lambda: next(values))
    dog.handle(Event.CONNECTION_UP, 0)
    assert dog.deadline == 28
    dog.handle(Event.OTHER_MESSAGE, 1)
    assert dog.deadline == 32.5


@given(st.lists(st.tuples(st.sampled_from(Event), st.floats(0, 40)), max_size=200), st.integers(0, 4))
def test_random_walks(steps: list[tuple[Event, float]], reopen_answers: int) -> None:
    dog = watchdog(reopen_answers=reopen_answers)
    now = 0.0
    unanswered = 0
    for event, pause in steps:
        now += pause
        before = (dog.state, dog.deadline)
        try:
            actions = dog.handle(event, now)
        except UnexpectedEventError:
            assert (before[0], event) in IMPOSSIBLE
            assert (dog.state, dog.deadline) == before
            continue
        assert set(actions) <= OWNERS
        connected = dog.state in (State.OKAY, State.SUSPECT, State.REOPEN)
        assert (dog.deadline is not None) == connected
        assert dog.usable == (dog.state is State.OKAY)
        assert (Action.FAILBACK in actions) == (dog.state is State.OKAY and before[0] is not State.OKAY)
        if event in (Event.DWA, Event.CONNECTION_UP):
            unanswered = 0
        unanswered += actions.count(Action.SEND_WATCHDOG)
        assert unanswered <= 1, "a DWR is sent only when the last one was answered"


def simulate(dies_at: float, seed: int) -> list[tuple[float, str]]:
    """A peer that answers DWRs 0.1 s later, falls silent, and is connected again 20 s after the loss; virtual time."""
    chance = random.Random(seed)
    dog = Watchdog(TW, jitter=lambda: chance.uniform(-2, 2))
    log: list[tuple[float, str]] = []
    reconnected = False
    queue: list[tuple[float, Event]] = [(0.0, Event.CONNECTION_UP)]
    while (queue or dog.deadline is not None) and len(log) < 40:
        if not queue or (dog.deadline is not None and dog.deadline < queue[0][0]):
            assert dog.deadline is not None
            now, event = dog.deadline, Event.TIMER
        else:
            now, event = queue.pop(0)
        alive = now < dies_at or reconnected
        before = dog.state
        for action in dog.handle(event, now):
            if action is Action.SEND_WATCHDOG and alive:
                queue.append((now + 0.1, Event.DWA))
            if action is Action.CLOSE_CONNECTION:
                queue.append((now + 20, Event.CONNECTION_UP))
                reconnected = True
        if dog.state is not before:
            log.append((now, dog.state.name))
        queue.sort(key=lambda entry: entry[0])
        if dog.state is State.OKAY and now > dies_at + 400:
            break
    return log


@pytest.mark.parametrize("seed", range(20))
def test_a_life_in_virtual_time(seed: int) -> None:
    log = simulate(dies_at=100.0, seed=seed)
    assert [state for _, state in log][:6] == ["OKAY", "SUSPECT", "DOWN", "REOPEN", "OKAY"]
    times = {state: at for at, state in log[1:]}
    # Two Tw of silence from the last DWA to SUSPECT, one more to DOWN, 20 s to the reconnection, two to OKAY.
    assert 28 <= times["SUSPECT"] - 100 <= 64
    assert 28 <= times["DOWN"] - times["SUSPECT"] <= 32
    assert times["REOPEN"] - times["DOWN"] == 20
    assert 56 <= times["OKAY"] - times["REOPEN"] <= 65
