"""Requests that are patched, and answers that are skimmed: the same as if they were written and read in full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiodiameter.codec import Registry, encode
from aiodiameter.messages.credit_control import CREDIT_CONTROL_MESSAGES, CreditControlRequest, ReportingReason
from simulators.load_session import LoadSession, count_grants, find_avp, read_result_code
from tests.simulators.gy import Block, answer_to, granted, refused, writer

REGISTRY = Registry(*CREDIT_CONTROL_MESSAGES)


def session(*rating_groups: int) -> LoadSession:
    return LoadSession(writer(requested=65_536), rating_groups or (10, 30), 65_536)


def read(frame: bytes) -> CreditControlRequest:
    _, message, faults = REGISTRY.decode(frame)
    assert faults == []
    assert isinstance(message, CreditControlRequest)
    return message


def test_the_life_of_a_session() -> None:
    load = session(10, 30)
    first = read(load.initial(5, 6))
    assert (first.cc_request_type, first.cc_request_number) == (1, 0)
    assert (first.header.hop_by_hop, first.header.end_to_end) == (5, 6)
    assert [block.rating_group for block in first.multiple_services_credit_control] == [10, 30]
    load.opened("ocs.example.org")
    for number in (1, 2, 3):
        update = read(load.update(number * 10, number * 100))
        assert (update.cc_request_type, update.cc_request_number) == (2, number)
        assert (update.header.hop_by_hop, update.header.end_to_end) == (number * 10, number * 100)
        assert update.destination_host == "ocs.example.org"
        for block in update.multiple_services_credit_control:
            (report,) = block.used_service_unit
            assert report.cc_total_octets == 65_536
            assert (report.cc_input_octets or 0) + (report.cc_output_octets or 0) == 65_536
            assert report.reporting_reason == ReportingReason.QUOTA_EXHAUSTED
            assert block.requested_service_unit is not None
            assert block.requested_service_unit.cc_total_octets == 65_536
    last = read(load.termination(7, 8))
    assert (last.cc_request_type, last.cc_request_number) == (3, 4)
    assert [block.used_service_unit[0].cc_total_octets for block in last.multiple_services_credit_control] == [0, 0]


def test_what_was_sent_does_not_change_with_the_next_request() -> None:
    load = session()
    load.opened(None)
    first = load.update(1, 1)
    load.update(2, 2)
    assert read(first).cc_request_number == 1


@pytest.mark.parametrize("code", [2001, 2002, 4012, 5030, 3002])
def test_the_result_code_of_an_answer(code: int) -> None:
    request = read(session().initial(1, 1))
    answer = encode(answer_to(request, code, *([] if code // 1000 == 3 else [refused(10, 4010)])))
    assert read_result_code(answer) == code


def test_an_answer_without_result_code() -> None:
    assert read_result_code(encode(answer_to(read(session().initial(1, 1))))[:20]) == 0


def _odd_grant() -> Block:
    block = granted(10, 500)
    assert block.granted_service_unit is not None
    block.granted_service_unit.cc_time = 60
    return block


SERVICES = st.sampled_from(
    [granted(10, 500, threshold=100), granted(30, 1, validity=None), granted(None, 7), granted(10, 60, "seconds"),
     refused(10, 4012), granted(30), _odd_grant()]
)  # fmt: skip


@given(st.lists(SERVICES, max_size=5), st.integers(0, 2))
def test_grants_are_counted_however_they_are_written(services: list[Block], missing: int) -> None:
    answer = encode(answer_to(read(session().initial(1, 1)), 2001, *services))
    grants = sum(service.granted_service_unit is not None for service in services)
    assert count_grants(answer, len(services) + missing) == grants


@given(st.binary(max_size=200))
def test_garbage_is_skimmed_without_harm(octets: bytes) -> None:
    frame = bytes(20) + octets
    assert read_result_code(frame) >= 0
    assert count_grants(frame, 2) >= 0
    assert -1 <= find_avp(frame, 268) <= len(frame)


def test_a_session_is_open_between_its_first_answer_and_its_last_request() -> None:
    load = session()
    stages = [load.is_open]
    load.initial(1, 1)
    stages.append(load.is_open)
    load.opened(None)
    stages.append(load.is_open)
    load.termination(2, 2)
    stages.append(load.is_open)
    assert stages == [False, False, True, False]
