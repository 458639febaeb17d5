"""Whatever the server answers, and whenever: what holds for every session of a simulated PGW, and for its books."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aiodiameter.codec import encode
from aiodiameter.messages.credit_control import CreditControlRequest, FinalUnitAction
from simulators.behaviour import End, State
from simulators.books import Unit
from tests.simulators.gy import Block, Line, granted, line, open5gs_line, refused, without_repetition_marks

GROUPS = (10, 20)
CODES = st.sampled_from([2001, 2002, 3002, 3004, 4010, 4011, 4012, 5002, 5012, 5030, 5031])
FINAL = st.sampled_from([None, None, *FinalUnitAction])


@st.composite
def blocks(draw: st.DrawFn, rating_group: int) -> Block:
    if draw(st.integers(0, 5)) == 0:
        return refused(rating_group, draw(CODES))
    return granted(
        rating_group,
        draw(st.integers(1, 300) | st.none() | st.integers(0, 5)),
        threshold=draw(st.none() | st.integers(0, 250)),
        validity=draw(st.none() | st.integers(0, 100)),
        final=draw(FINAL),
    )


# Mostly the server says something of every service; at times too little, of others, or the same twice.
SERVICES = st.tuples(*map(blocks, GROUPS)).map(list) | st.lists(
    st.sampled_from((*GROUPS, 99)).flatmap(blocks), max_size=4
)
USE = st.tuples(st.just("use"), st.sampled_from(GROUPS), st.integers(0, 120), st.integers(0, 120))
GOOD_ANSWER = st.tuples(st.just("answer"), st.just(2001), SERVICES)
ANSWER = st.tuples(st.just("answer"), CODES, SERVICES)
WAIT = st.tuples(st.just("wait"), st.integers(0, 70))
OTHERS = st.sampled_from([("lost",), ("stop",), ("force", None), ("force", 10)])
STEPS = st.lists(st.one_of(USE, USE, USE, GOOD_ANSWER, GOOD_ANSWER, GOOD_ANSWER, WAIT, ANSWER, OTHERS), max_size=60)


def play(gy: Line, step: tuple[Any, ...]) -> None:
    match step:
        case ("use", rating_group, up, down):
            gy.use(rating_group, octets_up=up, octets_down=down)
        case ("answer", code, services):
            gy.answer(*services, code=code)
        case ("wait", seconds):
            gy.pass_time(seconds)
        case ("lost",):
            gy.take(gy.session.timeout(gy.request, gy.now))
        case ("force", rating_group):
            gy.take(gy.session.reauthorise(gy.now, rating_group))
        case ("stop",):
            gy.stop()


def reported_in(request: CreditControlRequest) -> Counter[int | None]:
    octets: Counter[int | None] = Counter()
    for block in request.multiple_services_credit_control:
        for report in block.used_service_unit:
            octets[block.rating_group] += (report.cc_input_octets or 0) + (report.cc_output_octets or 0)
            assert report.cc_total_octets in (None, (report.cc_input_octets or 0) + (report.cc_output_octets or 0))
    return octets


def check_books(gy: Line, *, leak: bool = False) -> None:
    for rating_group, books in gy.session.books.services.items():
        service = gy.session.services.get(rating_group)
        waiting = service.waiting.of(Unit.OCTETS) if service is not None else 0
        octets = {name: getattr(books, name)[Unit.OCTETS] for name in books.__struct_fields__}
        assert octets["offered"] == octets["passed"] + octets["free"] + octets["dropped"] + waiting
        assert octets["confirmed"] <= octets["reported"] <= octets["passed"]
        assert all(amount >= 0 for amount in octets.values())
        if not leak:
            assert octets["passed"] <= octets["granted"]


def check_requests(gy: Line) -> None:
    originals: dict[int, CreditControlRequest] = {}
    reported: Counter[int | None] = Counter()
    for sent in gy.sent:
        request = sent.request
        if sent.repeated:
            original = originals[request.cc_request_number]
            assert request.header.is_retransmitted
            assert encode(without_repetition_marks(request)) == encode(original)
        else:
            assert request.cc_request_number == len(originals), "numbers ascend by one"
            assert not request.header.is_retransmitted
            originals[request.cc_request_number] = request
            reported += reported_in(request)
    assert len({request.header.end_to_end for request in originals.values()}) == len(originals)
    assert [n for n, request in originals.items() if request.cc_request_type == 1] == [0]
    terminations = [n for n, request in originals.items() if request.cc_request_type == 3]
    assert terminations in ([], [len(originals) - 1]), "one termination at the most, and nothing after it"
    for rating_group, books in gy.session.books.services.items():
        assert books.reported[Unit.OCTETS] == reported[rating_group]


def run_to_the_end(gy: Line) -> None:
    gy.stop()
    for _ in range(10):
        if gy.ended is not None:
            break
        gy.answer()
    assert gy.state() is State.ENDED
    assert gy.session.deadline is None


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_every_session_of_a_strict_gateway(steps: list[tuple[Any, ...]]) -> None:
    gy = line(tries=2)
    gy.start()
    for step in steps:
        play(gy, step)
        check_books(gy)
        check_requests(gy)
    run_to_the_end(gy)
    check_books(gy)
    check_requests(gy)
    assert gy.ended is not None
    if gy.ended.end is End.RELEASED and gy.request.cc_request_type == 3:
        for rating_group in GROUPS:
            assert gy.session.books.unreported(rating_group) == 0


@settings(max_examples=200, deadline=None)
@given(STEPS, st.booleans())
def test_every_session_of_a_gateway_that_does_not_enforce(steps: list[tuple[Any, ...]], retries: bool) -> None:
    gy = line(tries=3 if retries else 1, leak=True)
    gy.start()
    for step in steps:
        play(gy, step)
    run_to_the_end(gy)
    check_books(gy, leak=True)
    check_requests(gy)


def _unnamed(step: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same step for a gateway that names no rating group."""
    return (step[0], None, *step[2:]) if step[0] == "use" else step


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_every_session_of_open5gs(steps: list[tuple[Any, ...]]) -> None:
    gy = open5gs_line()
    gy.start()
    for step in steps:
        play(gy, _unnamed(step))
    run_to_the_end(gy)
    check_books(gy, leak=True)
    check_requests(gy)
    assert not any(sent.repeated for sent in gy.sent)
    if gy.request.cc_request_type == 3:
        assert gy.session.books.unreported(None) == 0
