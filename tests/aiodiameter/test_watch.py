"""The watchdog on a connection: told late of what it may learn late, at once of what it waits for."""

from aiodiameter.watch import Watch
from aiodiameter.watchdog import Event, State, Watchdog


class Log:
    def __init__(self) -> None:
        self.dog = Watchdog(30, jitter=lambda: 0)
        self.done: list[str] = []
        self.watch = Watch(
            self.dog,
            send_dwr=lambda: self.done.append("dwr"),
            close=lambda: self.done.append("close"),
            changed=lambda: self.done.append(self.dog.state.name),
        )


def test_messages_are_told_when_the_deadline_comes() -> None:
    log = Log()
    log.watch.tell(Event.CONNECTION_UP, 0)
    log.watch.heard(10)
    log.watch.heard(20)
    assert log.watch.deadline == 30
    log.watch.check(30)
    assert log.watch.deadline == 50
    assert log.done == ["OKAY"]


def test_silence_asks_suspects_and_closes() -> None:
    log = Log()
    log.watch.tell(Event.CONNECTION_UP, 0)
    for now in (30, 60, 90):
        log.watch.check(now)
    assert log.done == ["OKAY", "dwr", "SUSPECT", "close", "DOWN"]


def test_a_suspect_is_cleared_by_the_next_message() -> None:
    log = Log()
    log.watch.tell(Event.CONNECTION_UP, 0)
    log.watch.check(30)
    log.watch.check(60)
    log.watch.heard(61)
    assert log.dog.state is State.OKAY
    assert log.watch.deadline == 91


def test_an_old_message_does_not_shorten_a_newer_deadline() -> None:
    log = Log()
    log.watch.tell(Event.CONNECTION_UP, 0)
    log.watch.heard(10)
    log.watch.tell(Event.QUESTIONED, 20)
    log.watch.check(50)
    assert log.dog.state is State.SUSPECT, "the DWR of second 20 had its full 30 s"


def test_a_lost_connection_is_not_closed_again() -> None:
    log = Log()
    log.watch.tell(Event.CONNECTION_UP, 0)
    log.watch.tell(Event.CONNECTION_DOWN, 1)
    assert log.done == ["OKAY", "DOWN"]
