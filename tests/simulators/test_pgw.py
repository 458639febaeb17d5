"""One session of a simulated PGW in virtual time: what it sends when, and what it lets through."""

from typing import Any

import pytest

from aiodiameter.codec import encode
from aiodiameter.header import FLAG_RETRANSMITTED
from aiodiameter.messages.credit_control import FailureHandling, FinalUnitAction, ReportingReason
from simulators.behaviour import End, Ended, State
from simulators.books import Unit, Usage
from simulators.service import Phase
from tests.simulators.gy import (
    INITIAL,
    T0,
    TERMINATION,
    UPDATE,
    answer_to,
    granted,
    line,
    refused,
    used,
    without_repetition_marks,
)

TERMINATE, REDIRECT, RESTRICT = FinalUnitAction
UNITS = [("octets", "octets_down"), ("seconds", "seconds"), ("events", "events")]


# Opening.


def test_a_session_opens_before_its_services_are_named() -> None:
    gy = line()
    (request,) = gy.start()
    assert (request.cc_request_type, request.cc_request_number) == (INITIAL, 0)
    assert request.multiple_services_indicator == 1
    assert request.multiple_services_credit_control == []
    assert request.destination_host is None
    assert gy.state() is State.OPENING
    assert gy.answer() == []
    assert gy.state() is State.OPEN


def test_a_rating_group_is_asked_for_at_its_first_traffic() -> None:
    gy = line()
    gy.start()
    gy.answer()
    (request,) = gy.use(10, 500)
    assert (request.cc_request_type, request.cc_request_number) == (UPDATE, 1)
    assert request.destination_host == "ocs.example.org"
    assert request.multiple_services_indicator is None
    assert gy.block.rating_group == 10
    assert gy.block.requested_service_unit is not None
    assert gy.block.used_service_unit == []
    assert gy.block.reporting_reason is None
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 0


def test_services_known_beforehand_are_asked_for_at_once() -> None:
    gy = line(at_start=(10, 30))
    gy.start()
    assert [block.rating_group for block in gy.blocks] == [10, 30]
    gy.answer(granted(30, 300), granted(10, 100))
    assert gy.use(10, 99) == []
    assert gy.use(30, 299) == []
    assert gy.session.books.total("passed") == 398


def test_traffic_before_the_session_is_open_waits_for_it() -> None:
    gy = line()
    gy.start()
    assert gy.use(10, 700) == []
    (request,) = gy.answer()
    assert request.cc_request_number == 1
    gy.answer(granted(10, 1000))
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 700


# Quota.


@pytest.mark.parametrize(("unit", "name"), UNITS)
def test_traffic_passes_within_the_quota_only(unit: str, name: str) -> None:
    gy = line()
    gy.start()
    gy.answer()
    gy.use(10, **{name: 250})
    (request,) = gy.answer(granted(10, 100, unit))
    books = gy.session.books.of(10)
    assert books.passed[Unit(unit)] == 100
    assert request.cc_request_type is UPDATE
    assert gy.block.used_service_unit[0].reporting_reason == ReportingReason.QUOTA_EXHAUSTED
    assert gy.block.requested_service_unit is not None
    gy.answer(granted(10, 500, unit))
    assert books.passed[Unit(unit)] == 250
    assert books.granted[Unit(unit)] == 600
    assert books.reported[Unit(unit)] == books.confirmed[Unit(unit)] == 100


@pytest.mark.parametrize(("unit", "name"), UNITS)
@pytest.mark.parametrize(
    ("threshold", "amount", "reason"),
    [
        (None, 99, None),
        (None, 100, ReportingReason.QUOTA_EXHAUSTED),
        (20, 79, None),
        (20, 80, ReportingReason.THRESHOLD),
        (20, 99, ReportingReason.THRESHOLD),
        (20, 100, ReportingReason.QUOTA_EXHAUSTED),
        (20, 150, ReportingReason.QUOTA_EXHAUSTED),
        (100, 1, ReportingReason.THRESHOLD),
        (5000, 1, ReportingReason.THRESHOLD),
        (0, 99, None),
    ],
)
def test_when_quota_is_asked_for_again(
    unit: str, name: str, threshold: int | None, amount: int, reason: ReportingReason | None
) -> None:
    gy = line(at_start=(10,))
    gy.start()
    assert gy.answer(granted(10, 100, unit, threshold=threshold)) == []
    requests = gy.use(10, **{name: amount})
    assert len(requests) == (reason is not None)
    if reason is not None:
        (report,) = gy.block.used_service_unit
        assert report.reporting_reason == reason
        assert gy.block.reporting_reason is None


def test_what_is_reported_has_its_directions() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 1000))
    gy.use(10, octets_up=200, octets_down=800)
    assert used(gy.block) == [
        {
            "reporting_reason": ReportingReason.QUOTA_EXHAUSTED,
            "cc_total_octets": 1000,
            "cc_input_octets": 200,
            "cc_output_octets": 800,
        }
    ]


def test_after_a_threshold_the_rest_stays_usable_and_counts_with_the_next_report() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, threshold=20))
    assert len(gy.use(10, 80)) == 1
    assert gy.use(10, 15) == []
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 95
    assert gy.use(10, 50) == []  # 5 pass, 45 wait for the answer
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 100
    gy.answer(granted(10, 200, threshold=40))
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 145
    (request,) = gy.use(10, 100)
    assert request.multiple_services_credit_control[0].used_service_unit[0].cc_total_octets == 20 + 145 - 100 + 100


def test_a_threshold_over_the_whole_quota_does_not_ask_without_end() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, threshold=100))
    gy.use(10, 10)
    assert gy.answer(granted(10, 100, threshold=100)) == []


@pytest.mark.parametrize("block", [granted(10, 0), granted(10), None])
def test_success_without_units_grants_nothing_and_is_not_repeated_at_once(block: Any) -> None:
    gy = line()
    gy.start()
    gy.answer()
    gy.use(10, 5)
    assert gy.answer(*([] if block is None else [block])) == []
    assert gy.use(10, 5) == []
    assert gy.session.books.of(10).dropped[Unit.OCTETS] == 10
    gy.now += 60
    assert len(gy.use(10, 5)) == 1


def test_quotas_of_two_kinds_are_reported_together() -> None:
    gy = line(at_start=(10,))
    gy.start()
    both = granted(10, 1000)
    assert both.granted_service_unit is not None
    both.granted_service_unit.cc_time = 60
    gy.answer(both)
    assert gy.use(10, octets_down=400, seconds=30) == []
    gy.use(10, seconds=30)
    assert used(gy.block) == [
        {
            "reporting_reason": ReportingReason.OTHER_QUOTA_TYPE,
            "cc_total_octets": 400,
            "cc_input_octets": 0,
            "cc_output_octets": 400,
        },
        {"reporting_reason": ReportingReason.QUOTA_EXHAUSTED, "cc_time": 60},
    ]
    assert gy.use(10, 1) == []
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 400, "a service stops with the first of its quotas"


# Validity time.


def test_quota_whose_time_is_over_is_reported_and_asked_for_again() -> None:
    gy = line().opened(10, granted(10, 1000, validity=600))
    assert gy.session.deadline == T0 + 600
    assert gy.pass_time(599) == []
    (request,) = gy.pass_time(1)
    assert request.cc_request_type is UPDATE
    assert gy.block.reporting_reason == ReportingReason.VALIDITY_TIME
    assert gy.block.requested_service_unit is not None
    assert used(gy.block) == [{"cc_total_octets": 1, "cc_input_octets": 0, "cc_output_octets": 1}]
    assert gy.use(10, 10) == []
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 1, "its rest is not valid any more"
    gy.answer(granted(10, 1000, validity=600))
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 11
    assert gy.session.deadline == T0 + 1200


def test_unused_quota_is_reported_with_nothing_used() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 1000, validity=600))
    gy.pass_time(600)
    assert used(gy.block) == [{"cc_total_octets": 0, "cc_input_octets": 0, "cc_output_octets": 0}]


def test_traffic_at_the_end_of_the_validity_time_is_first_reported_on() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 1000, validity=600))
    gy.now += 600
    (request,) = gy.use(10, 5)
    assert request.multiple_services_credit_control[0].reporting_reason == ReportingReason.VALIDITY_TIME
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 0


def test_no_validity_time_sets_no_timer() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 1000, validity=None))
    assert gy.session.deadline is None


# Several services.


def test_what_becomes_due_while_an_answer_is_awaited_shares_the_next_request() -> None:
    gy = line()
    gy.start()
    gy.answer()
    assert len(gy.use(10, 1)) == 1
    assert gy.use(20, 1) == []
    assert gy.use(30, 1) == []
    (request,) = gy.answer(granted(10, 1000))
    assert request.cc_request_number == 2
    assert [block.rating_group for block in gy.blocks] == [20, 30]


def test_traffic_of_one_moment_shares_a_request() -> None:
    gy = line(at_start=(10, 30))
    gy.start()
    gy.answer(granted(10, 100), granted(30, 100))
    gy.take(gy.session.use_many({10: Usage(octets_down=100), 30: Usage(octets_up=100)}, gy.now))
    assert [block.rating_group for block in gy.blocks] == [10, 30]
    assert len(gy.sent) == 2


def test_validity_times_that_end_together_share_a_request() -> None:
    gy = line(at_start=(10, 20, 30))
    gy.start()
    gy.answer(granted(10, 100, validity=60), granted(20, 100, validity=300), granted(30, 100, validity=60))
    gy.pass_time(60)
    assert [block.rating_group for block in gy.blocks] == [10, 30]


# Final units.


def test_final_units_are_used_and_then_the_service_ends() -> None:
    gy = line(at_start=(10, 30))
    gy.start()
    gy.answer(granted(10, 100, final=TERMINATE, threshold=50), granted(30, 1000))
    assert gy.use(10, 60) == [], "there is no use in asking for more before the final units are used"
    (request,) = gy.use(10, 60)
    assert request.cc_request_type is UPDATE
    assert gy.block.reporting_reason == ReportingReason.FINAL
    assert gy.block.requested_service_unit is None
    assert gy.block.used_service_unit[0].cc_total_octets == 100
    assert gy.block.used_service_unit[0].reporting_reason is None
    gy.answer(granted(10, validity=None))
    assert gy.use(10, 500) == []
    assert gy.pass_time(7200)[0].multiple_services_credit_control[0].rating_group == 30
    books = gy.session.books.of(10)
    assert (books.passed[Unit.OCTETS], books.reported[Unit.OCTETS], books.dropped[Unit.OCTETS]) == (100, 100, 520)
    gy.answer(granted(30, 1000))
    assert gy.use(30, 10) == []
    assert gy.session.books.of(30).passed[Unit.OCTETS] == 10


def test_a_terminated_service_comes_back_with_a_new_grant() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, final=TERMINATE))
    gy.use(10, 100)
    gy.answer(granted(10, validity=None))
    (request,) = gy.take(gy.session.reauthorise(gy.now, 10))
    assert request.multiple_services_credit_control[0].reporting_reason == ReportingReason.FORCED_REAUTHORISATION
    assert request.multiple_services_credit_control[0].used_service_unit == []
    gy.answer(granted(10, 200))
    gy.use(10, 50)
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 150


def test_a_final_indication_without_units_ends_the_service_without_a_report() -> None:
    gy = line()
    gy.start()
    gy.answer()
    gy.use(10, 5)
    assert gy.answer(granted(10, 0, final=TERMINATE)) == []
    assert gy.use(10, 5) == []
    gy.now += 3600
    assert gy.use(10, 5) == []
    assert gy.session.services[10].phase is Phase.ENDED


@pytest.mark.parametrize("action", [REDIRECT, RESTRICT])
def test_a_restricted_service_reports_asks_for_nothing_and_asks_when_its_time_is_over(action: FinalUnitAction) -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, final=action))
    gy.use(10, 150)
    assert gy.block.requested_service_unit is None
    assert gy.block.used_service_unit[0].reporting_reason == ReportingReason.QUOTA_EXHAUSTED
    gy.answer(granted(10, validity=300))
    assert gy.use(10, 10) == []
    (request,) = gy.pass_time(300)
    block = request.multiple_services_credit_control[0]
    assert (block.reporting_reason, block.used_service_unit) == (ReportingReason.VALIDITY_TIME, [])
    assert block.requested_service_unit is not None
    gy.answer(granted(10, 100))
    gy.use(10, 7)
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 107
    assert gy.session.books.of(10).dropped[Unit.OCTETS] == 60


@pytest.mark.parametrize("action", [REDIRECT, RESTRICT])
def test_restriction_from_the_beginning(action: FinalUnitAction) -> None:
    gy = line(at_start=(10,))
    gy.start()
    assert gy.answer(granted(10, final=action, validity=30)) == []
    assert gy.use(10, 10) == []
    assert len(gy.pass_time(30)) == 1


# Refusals of a service.


@pytest.mark.parametrize("code", [4012, 4010, 5031, 5030])
def test_a_refused_service_is_blocked_while_the_others_go_on(code: int) -> None:
    gy = line(at_start=(10, 30))
    gy.start()
    gy.answer(refused(10, code), granted(30, 1000))
    assert gy.use(10, 500) == []
    gy.use(30, 100)
    assert gy.session.books.of(10).dropped[Unit.OCTETS] == 500
    assert gy.session.books.of(30).passed[Unit.OCTETS] == 100
    gy.now += 59
    assert gy.use(10, 500) == []
    gy.now += 1
    (request,) = gy.use(10, 500)
    assert [block.rating_group for block in request.multiple_services_credit_control] == [10]
    gy.answer(granted(10, 1000))
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 500


def test_what_passed_before_a_refusal_is_reported_when_the_service_is_asked_for_again() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, threshold=20))
    gy.use(10, 80)
    gy.use(10, 20)  # on the rest of the quota, while the answer is under way
    gy.answer(refused(10, 4012))
    gy.now += 60
    gy.use(10, 1)
    assert gy.block.used_service_unit[0].cc_total_octets == 20


def test_what_passed_before_a_refusal_is_reported_at_the_end_at_the_latest() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, threshold=20))
    gy.use(10, 80)
    gy.use(10, 20)
    gy.answer(refused(10, 4012))
    gy.stop()
    assert (gy.block.reporting_reason, gy.block.used_service_unit[0].cc_total_octets) == (ReportingReason.FINAL, 20)


def test_a_service_to_which_credit_control_does_not_apply_is_free() -> None:
    gy = line(at_start=(10, 30))
    gy.start()
    gy.answer(refused(10, 4011), granted(30, 1000))
    assert gy.use(10, 10**9) == []
    books = gy.session.books.of(10)
    assert (books.free[Unit.OCTETS], books.passed[Unit.OCTETS]) == (10**9, 0)
    gy.stop()
    assert [block.rating_group for block in gy.blocks] == [30]


# Refusals of the session.


@pytest.mark.parametrize("code", [4010, 4012, 5002, 5003, 5012, 5030, 5031, 3002, 3004])
def test_a_refused_first_request_ends_the_session_without_another(code: int) -> None:
    gy = line()
    gy.start()
    gy.use(10, 100)
    assert gy.answer(code=code) == []
    assert gy.ended == Ended(End.REFUSED, code)
    assert gy.use(10, 100) == []
    assert gy.stop() == []
    assert gy.session.books.of(10).dropped[Unit.OCTETS] == 200
    assert gy.session.deadline is None


@pytest.mark.parametrize(("code", "told"), [(4010, True), (4012, True), (5012, True), (5002, False), (5030, False)])
def test_a_refused_update_ends_the_session_and_what_is_untold_is_told(code: int, told: bool) -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100, threshold=20))
    gy.use(10, 80)
    gy.use(10, 15)
    requests = gy.answer(code=code)
    if told:
        assert requests[0].cc_request_type is TERMINATION
        assert gy.block.used_service_unit[0].cc_total_octets == 15
        gy.answer()
    assert gy.ended == Ended(End.REFUSED, code)
    assert gy.session.books.unreported(10) == (0 if told else 15)


def test_a_refused_update_with_nothing_untold_needs_no_termination() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100))
    gy.use(10, 100)
    assert gy.answer(code=4012) == []
    assert gy.ended == Ended(End.REFUSED, 4012)


def test_credit_control_that_does_not_apply_lets_everything_pass() -> None:
    gy = line()
    gy.start()
    gy.use(10, 100)
    assert gy.answer(code=4011) == []
    assert gy.use(10, 200) == []
    assert gy.state() is State.UNCONTROLLED
    assert gy.session.books.of(10).offered[Unit.OCTETS] == gy.session.books.of(10).free[Unit.OCTETS] == 300
    assert gy.stop() == []
    assert gy.ended == Ended(End.RELEASED)


# Answers that do not come.


def test_a_request_without_answer_is_repeated_as_it_was() -> None:
    gy = line(tx_s=10, tries=3)
    gy.start()
    assert gy.session.deadline == T0 + 10
    assert gy.pass_time(9) == []
    repetitions = [*gy.pass_time(1), *gy.pass_time(10)]
    assert [sent.repeated for sent in gy.sent] == [False, True, True]
    original = gy.sent[0].request
    for request in repetitions:
        assert request.header.flags == original.header.flags | FLAG_RETRANSMITTED
        assert request.header.end_to_end == original.header.end_to_end
        assert encode(without_repetition_marks(request)) == encode(original)
    assert gy.session.retransmissions == 2
    assert gy.pass_time(10) == []
    assert gy.ended == Ended(End.NO_ANSWER)


def test_an_answer_to_a_repetition_is_an_answer() -> None:
    gy = line(at_start=(10,))
    gy.start()
    gy.pass_time(10)
    gy.answer(granted(10, 100))
    assert gy.state() is State.OPEN
    assert len(gy.use(10, 100)) == 1
    assert gy.request.cc_request_number == 1
    assert not gy.request.header.is_retransmitted


def test_a_lost_connection_repeats_at_once() -> None:
    gy = line()
    gy.start()
    (request,) = gy.take(gy.session.timeout(gy.request, gy.now))
    assert request.header.is_retransmitted
    assert gy.session.deadline == T0 + 10


def test_answers_that_nothing_waits_for_change_nothing() -> None:
    gy = line(at_start=(10,))
    gy.start()
    first = gy.request
    gy.answer(granted(10, 100))
    assert gy.session.answer(answer_to(first, 2001, granted(10, 5000)), gy.now) == []
    assert gy.session.timeout(first, gy.now) == []
    assert gy.session.books.of(10).granted[Unit.OCTETS] == 100
    gy.use(10, 100)
    wrong = answer_to(gy.request, 2001, granted(10, 5000))
    wrong.cc_request_number = 77  # type: ignore[attr-defined]
    assert gy.session.answer(wrong, gy.now) == []
    assert gy.session.books.of(10).granted[Unit.OCTETS] == 100


def test_a_termination_without_answer_ends_too() -> None:
    gy = line(tries=2).opened(10, granted(10, 100))
    gy.stop()
    assert len(gy.pass_time(10)) == 1
    assert gy.pass_time(10) == []
    assert gy.ended == Ended(End.NO_ANSWER)


def test_nobody_waits_any_longer() -> None:
    gy = line()
    gy.start()
    gy.take(gy.session.abandon())
    assert gy.ended == Ended(End.NO_ANSWER)
    assert gy.session.abandon() == []


# Credit-Control-Failure-Handling.


def test_continue_lets_the_service_go_on_without_credit_control() -> None:
    gy = line(tries=2, failure_handling=FailureHandling.CONTINUE).opened(10, granted(10, 101))
    gy.use(10, 100)
    gy.pass_time(10)
    assert gy.use(10, 30) == []
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 131, "after Tx the service is granted, and still counted"
    assert gy.pass_time(10) == []
    assert gy.state() is State.UNCONTROLLED
    assert gy.use(10, 1000) == []
    assert gy.session.books.of(10).free[Unit.OCTETS] == 1000
    assert gy.pass_time(3600) == []
    assert gy.stop() == []
    assert gy.ended == Ended(End.RELEASED)


def test_retry_and_terminate_grants_while_it_retries() -> None:
    gy = line(tries=2, failure_handling=FailureHandling.RETRY_AND_TERMINATE).opened(10, granted(10, 101))
    gy.use(10, 150)
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 101
    gy.pass_time(10)
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 151
    gy.pass_time(10)
    assert gy.ended == Ended(End.NO_ANSWER)


def test_the_server_decides_on_failure_handling() -> None:
    gy = line(tries=1)
    gy.start()
    gy.answer(credit_control_failure_handling=1)
    gy.use(10, 1)
    gy.pass_time(10)
    assert gy.state() is State.UNCONTROLLED
    odd = line(tries=1)
    odd.start()
    odd.answer(credit_control_failure_handling=9)
    odd.use(10, 1)
    odd.pass_time(10)
    assert odd.ended == Ended(End.NO_ANSWER)


@pytest.mark.parametrize("code", [3002, 3004, 3005])
def test_a_temporary_error_is_tried_again_where_the_handling_says_so(code: int) -> None:
    gy = line(tries=2, failure_handling=FailureHandling.RETRY_AND_TERMINATE)
    gy.start()
    (request,) = gy.answer(code=code)
    assert request.header.is_retransmitted
    assert gy.answer(code=code) == []
    assert gy.ended == Ended(End.NO_ANSWER)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (3002, State.UNCONTROLLED),
        (5012, State.UNCONTROLLED),
        (4010, State.ENDED),
        (4012, State.ENDED),
        (5030, State.ENDED),
    ],
)
def test_continue_does_not_overrule_a_refusal(code: int, state: State) -> None:
    gy = line(failure_handling=FailureHandling.CONTINUE)
    gy.start()
    gy.answer(code=code)
    assert gy.state() is state


# The end.


def test_the_last_request_reports_everything() -> None:
    gy = line(at_start=(10, 20, 30))
    gy.start()
    gy.answer(granted(10, 100), granted(20, 100), refused(30, 4012))
    gy.use(10, 40)
    (request,) = gy.stop()
    assert (request.cc_request_type, request.cc_request_number) == (TERMINATION, 1)
    assert request.termination_cause == 1
    assert [
        (block.rating_group, block.reporting_reason, block.requested_service_unit, used(block)[0]["cc_total_octets"])
        for block in gy.blocks
    ] == [(10, ReportingReason.FINAL, None, 40), (20, ReportingReason.FINAL, None, 0)]
    assert gy.use(10, 5) == []
    assert gy.stop() == []
    gy.answer()
    assert gy.ended == Ended(End.RELEASED)
    assert gy.session.books.of(10).confirmed[Unit.OCTETS] == 40


@pytest.mark.parametrize("code", [5002, 3002, 5012])
def test_a_refused_termination_is_the_end_all_the_same(code: int) -> None:
    gy = line().opened(10, granted(10, 100))
    gy.stop()
    assert gy.answer(code=code) == []
    assert gy.ended == Ended(End.RELEASED, code)


def test_who_stops_while_an_answer_is_awaited_waits_for_it() -> None:
    gy = line()
    gy.start()
    gy.use(10, 100)
    assert gy.stop() == []
    assert gy.use(10, 100) == []
    assert gy.session.books.of(10).dropped[Unit.OCTETS] == 200
    (request,) = gy.answer()
    assert request.cc_request_type is TERMINATION
    assert request.multiple_services_credit_control == []


def test_a_session_that_was_never_started_has_nothing_to_stop() -> None:
    gy = line()
    assert gy.stop() == []
    assert gy.session.is_over
    assert gy.session.tick(T0) == []


# Options.


def test_a_leaking_gateway_lets_traffic_pass_beyond_the_quota_and_reports_it() -> None:
    gy = line(leak=True, at_start=(10,))
    gy.start()
    gy.answer(granted(10, 100))
    gy.use(10, 350)
    assert gy.block.used_service_unit[0].cc_total_octets == 350
    gy.use(10, 40)
    gy.answer(granted(10, 100))
    gy.stop()
    books = gy.session.books.of(10)
    assert (books.passed[Unit.OCTETS], books.reported[Unit.OCTETS], books.dropped[Unit.OCTETS]) == (390, 390, 0)


def test_a_leaking_gateway_still_blocks_what_is_refused() -> None:
    gy = line(leak=True, at_start=(10,))
    gy.start()
    gy.answer(refused(10, 4012))
    gy.use(10, 350)
    assert gy.session.books.of(10).passed[Unit.OCTETS] == 0


# Re-authorisation.


def test_a_server_may_ask_for_a_report_of_one_service_or_of_all() -> None:
    gy = line(at_start=(10, 30))
    gy.start()
    gy.answer(granted(10, 100), granted(30, 100))
    gy.use(30, 10)
    gy.take(gy.session.reauthorise(gy.now, 30))
    assert gy.block.rating_group == 30
    assert gy.block.reporting_reason == ReportingReason.FORCED_REAUTHORISATION
    assert gy.block.used_service_unit[0].cc_total_octets == 10
    assert gy.session.reauthorise(gy.now) == [], "10 has to wait for the answer; 30 is being asked for"
    (request,) = gy.answer(granted(30, 100))
    assert [block.rating_group for block in request.multiple_services_credit_control] == [10]
    assert gy.answer(granted(10, 100)) == []


def test_a_service_that_has_no_quota_yet_is_not_re_authorised() -> None:
    gy = line()
    gy.start()
    gy.answer()
    assert gy.session.reauthorise(gy.now) == []
    assert gy.session.reauthorise(gy.now, 99) == []


# Mistakes of the caller.


def test_a_session_starts_once_and_before_it_is_used() -> None:
    gy = line()
    with pytest.raises(AssertionError, match="starts before"):
        gy.use(10, 1)
    gy.start()
    with pytest.raises(AssertionError, match="starts once"):
        gy.start()


@pytest.mark.parametrize(("failover", "server"), [(None, "ocs.example.org"), (0, "ocs.example.org"), (1, None)])
def test_requests_name_their_server_unless_any_may_take_them(failover: int | None, server: str | None) -> None:
    gy = line()
    gy.start()
    gy.answer(cc_session_failover=failover)
    (request,) = gy.use(10, 1)
    assert request.destination_host == server
    assert gy.session.may_move is (failover == 1)
