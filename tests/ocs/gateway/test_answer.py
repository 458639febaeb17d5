"""Decisions as CCAs: the AVPs of each outcome, and none that does not belong there."""

from typing import Any

import pytest

from aiodiameter.avp import Avp
from aiodiameter.codec import encode
from aiodiameter.header import FLAG_PROXIABLE, FLAG_REQUEST, FLAG_RETRANSMITTED, Header
from aiodiameter.message import ProxyInfo
from aiodiameter.messages.credit_control import (
    CreditControlAnswer,
    CreditControlRequest,
    FailureHandling,
    FinalUnitAction,
    FinalUnitIndication,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
)
from ocs.charging.state import Answer, ServiceAnswer
from ocs.gateway.answer import to_answer
from ocs.rating.catalogue import Unit
from tests.ocs.gateway.front import EVENT, OCS, REALM, REGISTRY, TERMINATION, UPDATE, ccr, mscc

GRANTED = ServiceAnswer(2001, 10, None, Unit.OCTETS, 1000, 600, 200)
LAST = ServiceAnswer(2001, 10, None, Unit.OCTETS, 70, 600, None, True)
REFUSED = ServiceAnswer(4012, 30)


def answered(answer: Answer, request: CreditControlRequest | None = None, **options: Any) -> CreditControlAnswer:
    """The answer as a gateway decodes it."""
    decoded = REGISTRY.decode(encode(to_answer(request or ccr(), answer, OCS, REALM, **options)))
    assert not decoded.errors
    assert isinstance(decoded.message, CreditControlAnswer)
    return decoded.message


def blocks(
    *services: ServiceAnswer, request: CreditControlRequest | None = None
) -> list[MultipleServicesCreditControl]:
    return answered(Answer(2001, list(services)), request).multiple_services_credit_control


def avp_codes(octets: bytes) -> list[int]:
    """The codes of a message's AVPs, in their order."""
    codes, position = [], 20
    while position < len(octets):
        codes.append(int.from_bytes(octets[position : position + 4], "big"))
        position += -(-int.from_bytes(octets[position + 5 : position + 8], "big") // 4) * 4
    return codes


@pytest.mark.parametrize(
    "answer",
    [
        Answer(2001, [GRANTED]),
        Answer(2001, [LAST, REFUSED]),
        Answer(2001, [GRANTED], multiple=False),
        Answer(2001, []),
        Answer(4012, [REFUSED], text="nothing is left"),
        Answer(4010, text="blocked"),
        Answer(5002, text="no session"),
        Answer(5004, failed="CC-Request-Number", text="used"),
        Answer(5030, text="nobody"),
        Answer(5031, [ServiceAnswer(5031, 99)], failed="Rating-Group", text="unknown"),
    ],
)
def test_every_answer_has_what_the_grammar_requires(answer: Answer) -> None:
    """RFC 8506 §3.2, in that order; Session-Id comes first (RFC 6733 §8.8), Result-Code once."""
    request = ccr(UPDATE, 7)
    codes = avp_codes(encode(to_answer(request, answer, OCS, REALM)))
    required = [263, 268, 264, 296, 258, 416, 415]
    assert codes[: len(required)] == required
    assert all(codes.count(code) == 1 for code in required)
    assert not set(codes) & {283, 293}, "Destination-Realm, Destination-Host"
    message = answered(answer, request)
    assert (message.session_id, message.result_code) == (request.session_id, answer.result_code)
    assert (message.origin_host, message.origin_realm, message.auth_application_id) == (OCS, REALM, 4)
    assert (message.cc_request_type, message.cc_request_number) == (UPDATE, 7)
    assert message.error_message == (answer.text or None)
    assert bool(message.failed_avp) == (answer.result_code in (5004, 5031))


@pytest.mark.parametrize("flags", [FLAG_REQUEST, FLAG_REQUEST | FLAG_PROXIABLE, FLAG_REQUEST | FLAG_RETRANSMITTED])
def test_the_header_is_the_request_s_without_r_and_t(flags: int) -> None:
    """RFC 6733 §6.2, §3."""
    request = ccr(header=Header(272, 4, flags, 11, 22))
    header = to_answer(request, Answer(4012), OCS, REALM).header
    assert header == Header(272, 4, flags & FLAG_PROXIABLE, 11, 22)


def test_proxies_find_their_way_back() -> None:
    proxies = [ProxyInfo(proxy_host=f"dra{n}.example.org", proxy_state=bytes((n, 0, 255))) for n in (2, 1)]
    assert answered(Answer(), ccr(proxy_info=proxies)).proxy_info == proxies


def test_what_the_operator_set_for_failures_is_in_every_answer() -> None:
    message = answered(Answer(4012), failure_handling=FailureHandling.CONTINUE, session_failover=1)
    assert (message.credit_control_failure_handling, message.cc_session_failover) == (1, 1)
    message = answered(Answer())
    assert (message.credit_control_failure_handling, message.cc_session_failover) == (None, None)


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_grant_has_one_unit_its_validity_and_its_threshold() -> None:
    (block,) = blocks(GRANTED)
    assert block == MultipleServicesCreditControl(
        granted_service_unit=GrantedServiceUnit(cc_total_octets=1000),
        rating_group=10,
        validity_time=600,
        result_code=2001,
        volume_quota_threshold=200,
    )


@pytest.mark.parametrize(
    ("unit", "granted", "threshold"),
    [
        (Unit.OCTETS, "cc_total_octets", "volume_quota_threshold"),
        (Unit.SECONDS, "cc_time", "time_quota_threshold"),
        (Unit.EVENTS, "cc_service_specific_units", "unit_quota_threshold"),
    ],
)
@pytest.mark.parametrize("multiple", [True, False])
def test_every_unit_has_avps_of_its_own(unit: Unit, granted: str, threshold: str, multiple: bool) -> None:
    message = answered(Answer(2001, [ServiceAnswer(2001, 10, None, unit, 50, 600, 5)], multiple))
    units = GrantedServiceUnit(**{granted: 50})  # type: ignore[arg-type]
    if multiple:
        (block,) = message.multiple_services_credit_control
        assert block.granted_service_unit == units
        thresholds = ("volume_quota_threshold", "time_quota_threshold", "unit_quota_threshold")
        assert {name: getattr(block, name) for name in thresholds if getattr(block, name) is not None} == {threshold: 5}
    else:
        assert message.granted_service_unit == units
        assert message.multiple_services_credit_control == []


@pytest.mark.parametrize("unit", [Unit.OCTETS, Unit.EVENTS])
def test_a_threshold_has_32_bits_however_large_the_grant(unit: Unit) -> None:
    (block,) = blocks(ServiceAnswer(2001, 10, None, unit, 2**53 - 1, 600, 2**52))
    assert (block.volume_quota_threshold or block.unit_quota_threshold) == 2**32 - 1


def test_the_last_units_say_terminate_and_nothing_else() -> None:
    """RFC 8506 §8.34: neither filters nor a redirect server; no threshold, since there is nothing to ask for."""
    (block,) = blocks(LAST)
    assert block.final_unit_indication == FinalUnitIndication(final_unit_action=FinalUnitAction.TERMINATE)
    assert block.volume_quota_threshold is None
    octets = encode(to_answer(ccr(), Answer(2001, [LAST]), OCS, REALM))
    assert bytes.fromhex("000001ae40000014000001c14000000c00000000") in octets
    single = answered(Answer(2001, [LAST], multiple=False))
    assert single.final_unit_indication == block.final_unit_indication
    assert single.validity_time == 600


def test_a_refused_service_has_its_code_and_no_units() -> None:
    assert blocks(REFUSED) == [MultipleServicesCreditControl(rating_group=30, result_code=4012)]


def test_what_the_gateway_called_a_service_comes_back() -> None:
    """By rating group and all service identifiers (RFC 8506 §5.1.2), in the request's order."""
    asked = [mscc(30, service_identifier=[7, 8]), mscc(None), mscc(10)]
    request = ccr(multiple_services_credit_control=asked)
    given = blocks(ServiceAnswer(2001, 30, 7), ServiceAnswer(2001), GRANTED, request=request)
    assert [(block.rating_group, block.service_identifier) for block in given] == [(30, [7, 8]), (None, []), (10, [])]


def test_an_answer_at_command_level_gives_no_units_when_it_refuses() -> None:
    message = answered(Answer(4012, [ServiceAnswer(4012)], multiple=False, text="no"))
    assert (message.granted_service_unit, message.validity_time, message.multiple_services_credit_control) == (
        None,
        None,
        [],
    )


def test_an_event_is_answered_with_what_was_debited() -> None:
    (block,) = blocks(ServiceAnswer(2001, 200, None, Unit.EVENTS, 3), request=ccr(EVENT))
    assert block.granted_service_unit == GrantedServiceUnit(cc_service_specific_units=3)
    assert (block.validity_time, block.final_unit_indication) == (None, None)


def test_the_answer_to_a_termination_grants_nothing() -> None:
    assert blocks(ServiceAnswer(2001, 10), request=ccr(TERMINATION, 3)) == [
        MultipleServicesCreditControl(rating_group=10, result_code=2001)
    ]


# --- Failed-AVP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "groups", "avp"),
    [
        ("CC-Request-Number", [], Avp(415, (7).to_bytes(4, "big"), 0, 0x40)),
        ("Service-Context-Id", [99], Avp(461, b"32251@3gpp.org", 0, 0x40)),
        ("Rating-Group", [99, 10], Avp(432, (99).to_bytes(4, "big"), 0, 0x40)),
        ("Rating-Group", [None, 99], Avp(432, bytes(4), 0, 0x40)),
        ("Rating-Group", [], Avp(432, bytes(4), 0, 0x40)),
    ],
)
def test_failed_avp_shows_what_was_at_fault_or_what_is_missing(failed: str, groups: list[int | None], avp: Avp) -> None:
    """RFC 6733 §7.5; RFC 8506 §9.2 for 5031: a copy, or an example of the missing AVP filled with zeros."""
    request = ccr(UPDATE, 7, multiple_services_credit_control=[mscc(group) for group in groups])
    message = answered(Answer(5031, failed=failed, text="x"), request)
    assert [group.other for group in message.failed_avp] == [[avp]]
