"""The session of an Open5GS SMF: its requests as they were seen on the wire, and what it does with answers."""

import pytest

from aiodiameter.codec import Registry, encode
from aiodiameter.dictionary import facts_of
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    FinalUnitAction,
    ReportingReason,
    RequestedAction,
)
from simulators.behaviour import End, Ended, State
from simulators.books import Unit
from tests.simulators.gy import T0, TERMINATION, UPDATE, Line, answer_to, granted, open5gs_line, refused, used


def opened(amount: int = 1000, **grant: object) -> Line:
    gy = open5gs_line()
    gy.start()
    gy.answer(granted(None, amount, **grant))  # type: ignore[arg-type]
    return gy


def test_the_first_request() -> None:
    gy = open5gs_line()
    (request,) = gy.start()
    assert request.multiple_services_indicator == 0
    assert request.requested_action is RequestedAction.DIRECT_DEBITING
    assert request.user_equipment_info is None
    assert request.origin_state_id is None
    assert gy.block.rating_group is None
    assert gy.block.requested_service_unit is not None
    assert gy.block.requested_service_unit.cc_total_octets == 1_000_000
    assert gy.block.used_service_unit == []
    information = request.service_information
    assert information is not None
    bearer = information.ps_information
    assert bearer is not None
    assert (bearer.pdp_type, bearer.nsapi, bearer.rat_type) == (0, b"\x05", b"\x06")
    assert bearer.user_equipment_info is not None


@pytest.mark.parametrize("part", ["initial", "update", "termination"])
def test_its_requests_are_understood(part: str) -> None:
    gy = opened()
    if part == "update":
        gy.use(None, 1000)
    elif part == "termination":
        gy.stop()
    header, message, faults = Registry(*CREDIT_CONTROL_MESSAGES).decode(encode(gy.request))
    assert faults == []
    assert header.is_proxiable
    (block,) = message.multiple_services_credit_control
    assert [avp.code for avp in block.other] == [facts_of("QoS-Information").code]
    assert [avp.code for avp in message.other] == [facts_of("AoC-Request-Type").code]


def test_an_update_reports_directions_and_time_and_no_total() -> None:
    gy = opened(1000)
    gy.now += 90
    (request,) = gy.use(None, octets_up=100, octets_down=900)
    assert (request.cc_request_type, request.cc_request_number) == (UPDATE, 1)
    assert request.destination_host == "ocs.example.org"
    assert request.multiple_services_indicator is None
    assert used(gy.block) == [
        {
            "reporting_reason": ReportingReason.QUOTA_EXHAUSTED,
            "cc_time": 90,
            "cc_input_octets": 100,
            "cc_output_octets": 900,
        }
    ]
    assert gy.block.reporting_reason is None
    assert request.service_information is not None
    assert request.service_information.ps_information is not None
    assert request.service_information.ps_information.pdp_type is None


def test_quota_is_not_enforced_and_counting_restarts_at_the_report() -> None:
    gy = opened(1000, threshold=200)
    assert len(gy.use(None, 800)) == 1
    assert gy.block.used_service_unit[0].reporting_reason == ReportingReason.THRESHOLD
    # No answer yet: after as many octets again there is another report, and another.
    assert gy.use(None, 799) == []
    assert len(gy.use(None, 1)) == 1
    assert len(gy.use(None, 5000)) == 1
    assert gy.session.books.of(None).passed[Unit.OCTETS] == 6600
    assert gy.session.books.of(None).reported[Unit.OCTETS] == 6600
    assert [sent.request.cc_request_number for sent in gy.sent] == [0, 1, 2, 3]


def test_time_is_counted_from_1970_when_the_first_answer_grants_none() -> None:
    gy = opened(1000, validity=None)
    gy.use(None, 1000)
    assert gy.block.used_service_unit[0].cc_time == int(T0)
    gy.answer(granted(None, 1000, validity=None))
    gy.now += 5
    gy.use(None, 1000)
    assert gy.block.used_service_unit[0].cc_time == 5


def test_the_validity_time_of_an_update_acts_one_period_late() -> None:
    gy = opened(1000, validity=600)
    (request,) = gy.pass_time(600)
    assert request.multiple_services_credit_control[0].reporting_reason == ReportingReason.VALIDITY_TIME
    gy.answer(granted(None, 1000, validity=60))
    assert gy.session.deadline == T0 + 1200
    assert len(gy.pass_time(600)) == 1
    assert gy.session.deadline == T0 + 1260


def test_an_answer_without_units_switches_reporting_off() -> None:
    gy = opened(1000)
    gy.use(None, 1000)
    assert gy.answer() == []
    assert gy.use(None, 10**9) == []
    assert gy.session.deadline is None
    gy.stop()
    assert gy.block.used_service_unit[0].cc_output_octets == 10**9


@pytest.mark.parametrize("action", list(FinalUnitAction))
def test_any_final_units_lead_straight_to_the_termination(action: FinalUnitAction) -> None:
    gy = opened(1000, final=action)
    assert gy.use(None, 999) == []
    (request,) = gy.use(None, 1)
    assert request.cc_request_type is TERMINATION
    assert request.termination_cause == 1
    assert gy.block.reporting_reason == ReportingReason.FINAL
    assert gy.block.used_service_unit[0].cc_output_octets == 1000
    assert gy.use(None, 1) == []
    gy.answer()
    assert gy.ended == Ended(End.RELEASED)


@pytest.mark.parametrize("code", [2002, 4010, 4012, 5002, 5012])
def test_a_refused_update_leads_to_the_termination(code: int) -> None:
    gy = opened(1000)
    gy.use(None, 1000)
    (request,) = gy.answer(code=code)
    assert request.cc_request_type is TERMINATION
    gy.answer()
    assert gy.ended == Ended(End.REFUSED, code)


def test_a_refusal_in_the_last_service_counts_as_one_of_the_request() -> None:
    gy = opened(1000)
    gy.use(None, 1000)
    (request,) = gy.answer(granted(None, 1000), refused(None, 4012))
    assert request.cc_request_type is TERMINATION


@pytest.mark.parametrize(("code", "told"), [(4012, False), (5030, False), (5002, True)])
def test_a_refused_first_request(code: int, told: bool) -> None:
    gy = open5gs_line()
    gy.start()
    requests = gy.answer(code=code)
    assert len(requests) == told
    if told:
        assert gy.block.reporting_reason is None
        assert used(gy.block) == [{"cc_time": 0, "cc_input_octets": 0, "cc_output_octets": 0}]
        gy.answer()
    assert gy.ended == Ended(End.REFUSED, code)


def test_no_answer_is_waited_for_without_end_and_nothing_is_repeated() -> None:
    gy = open5gs_line()
    gy.start()
    assert gy.session.deadline is None
    assert gy.pass_time(3600) == []
    assert gy.state() is State.OPENING
    gy.stop()
    assert gy.ended == Ended(End.NO_ANSWER)


def test_answers_that_come_after_the_termination_change_nothing() -> None:
    gy = opened(1000)
    gy.use(None, 1000)
    update = gy.request
    gy.stop()
    assert gy.session.answer(answer_to(update, 2001, granted(None, 1000)), gy.now) == []
    assert gy.session.answer(answer_to(update, 4012), gy.now) == []
    gy.answer()
    assert gy.ended == Ended(End.RELEASED)


def test_a_re_authorisation_has_no_effect() -> None:
    assert opened().session.reauthorise(T0) == []
