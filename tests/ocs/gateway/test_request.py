"""CCRs as commands: what is read from where, and what no command can be made of."""

from typing import Any

import pytest

from aiodiameter.avp import Avp
from aiodiameter.codec import compile_class
from aiodiameter.header import FLAG_RETRANSMITTED
from aiodiameter.messages.credit_control import (
    CcMoney,
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    PsInformation,
    RequestedAction,
    RequestedServiceUnit,
    ServiceInformation,
    SubscriptionId,
    SubscriptionIdType,
    UnitValue,
    UsedServiceUnit,
)
from aiodiameter.result_codes import ResultCode
from ocs.charging.command import RequestType, ServiceRequest
from ocs.charging.state import MAX_QUANTITY
from ocs.gateway.request import RequestRefused, context_of, identities_of, to_command
from tests.ocs.gateway.front import EVENT, INITIAL, TERMINATION, UPDATE, ccr, mscc, msisdn

LARGEST = 2**64 - 1
FIVE_EUROS = CcMoney(unit_value=UnitValue(value_digits=5, exponent=0), currency_code=978)


def service(**avps: Any) -> ServiceRequest:
    """What becomes of one MSCC of rating group 10."""
    block = MultipleServicesCreditControl(rating_group=10, **avps)
    (request,) = to_command(ccr(UPDATE, 1, multiple_services_credit_control=[block])).services
    return request


def copy_of(report: UsedServiceUnit) -> Avp:
    """A Used-Service-Unit as it stood in the request (RFC 6733 §7.5)."""
    return Avp(446, compile_class(UsedServiceUnit).write(report), 0, 0x40)


def refused(request: CreditControlRequest) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        to_command(request)
    return caught.value


# --- what, who, where -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service_context_id", "context"),
    [
        ("32251@3gpp.org", "32251"),
        ("15.32251@3gpp.org", "32251"),
        ("001.01.15.32260@3gpp.org", "32260"),
        ("my.ext.001.01.8.32274@3gpp.org", "32274"),
        ("32251", "32251"),
        ("voice@example.org", "voice"),
        ("@3gpp.org", ""),
        ("", ""),
        ("....", ""),
    ],
)
def test_the_specification_number_is_found_behind_any_prefix(service_context_id: str, context: str) -> None:
    """TS 32.299 §7.1.12."""
    assert context_of(service_context_id) == context
    assert to_command(ccr(service_context_id=service_context_id)).context == context


@pytest.mark.parametrize(
    ("kind", "data", "identity"),
    [
        (SubscriptionIdType.END_USER_E164, "4917012345", "msisdn:4917012345"),
        (SubscriptionIdType.END_USER_E164, "+4917012345", "msisdn:4917012345"),
        (SubscriptionIdType.END_USER_IMSI, "262011234567890", "imsi:262011234567890"),
        (SubscriptionIdType.END_USER_SIP_URI, "sip:+49@ims.example.org", "sip:sip:+49@ims.example.org"),
        (SubscriptionIdType.END_USER_NAI, "+user@example.org", "nai:+user@example.org"),
        (SubscriptionIdType.END_USER_PRIVATE, "card 7", "private:card 7"),
        (SubscriptionIdType.END_USER_E164, "", "msisdn:"),
    ],
)
def test_every_kind_of_identity_is_taken(kind: SubscriptionIdType, data: str, identity: str) -> None:
    given = SubscriptionId(subscription_id_type=kind, subscription_id_data=data)
    assert identities_of(ccr(subscription_id=[given])) == [identity]


def test_identities_keep_their_order_and_may_stand_in_service_information() -> None:
    imsi = SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_IMSI, subscription_id_data="1")
    inside = ServiceInformation(subscription_id=[imsi])
    assert identities_of(ccr(subscription_id=[imsi, msisdn()])) == ["imsi:1", "msisdn:49"]
    assert identities_of(ccr(subscription_id=[], service_information=inside)) == ["imsi:1"]
    assert identities_of(ccr(service_information=inside)) == ["msisdn:49"]
    assert identities_of(ccr(subscription_id=[])) == []


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (INITIAL, RequestType.INITIAL),
        (UPDATE, RequestType.UPDATE),
        (TERMINATION, RequestType.TERMINATION),
        (EVENT, RequestType.EVENT),
    ],
)
def test_a_request_says_its_type_number_session_and_sender(type_: CcRequestType, expected: RequestType) -> None:
    command = to_command(ccr(type_, 5, requested_action=RequestedAction.DIRECT_DEBITING, termination_cause=4))
    assert (command.type, command.number, command.session) == (expected, 5, "pgw.example.org;1;2")
    assert (command.peer, command.realm, command.cause) == ("pgw.example.org", "example.org", 4)
    assert command.identity == "", "which identity has an account only the ledger knows"


def bearer() -> ServiceInformation:
    return ServiceInformation(
        ps_information=PsInformation(
            called_station_id="Internet",
            pdp_address=["10.0.0.1", "2001:db8::1"],
            sgsn_mcc_mnc="26201",
            rat_type=b"\x06",
            charging_id=b"\0\0\0\x07",
        )
    )


def test_the_first_request_says_what_records_will_want_to_know() -> None:
    imsi = SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_IMSI, subscription_id_data="1")
    avps: dict[str, Any] = {"service_information": bearer(), "subscription_id": [msisdn(), imsi]}
    command = to_command(ccr(**avps))
    assert command.about == {
        "msisdn": "49",
        "imsi": "1",
        "apn": "Internet",
        "address": "10.0.0.1",
        "mcc_mnc": "26201",
        "rat": "06",
        "charging_id": "00000007",
    }
    assert command.apn == "Internet"
    later = to_command(ccr(UPDATE, 1, **avps))
    assert (later.about, later.apn) == ({}, "Internet")
    empty = to_command(ccr(service_information=ServiceInformation(ps_information=PsInformation())))
    assert (empty.about, empty.apn) == ({"msisdn": "49"}, None)


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("avps", "used"),
    [
        ({"cc_total_octets": 5}, {"octets": 5}),
        ({"cc_total_octets": 5, "cc_input_octets": 2, "cc_output_octets": 4}, {"octets": 5}),
        ({"cc_input_octets": 2, "cc_output_octets": 4}, {"octets": 6}),
        ({"cc_input_octets": 2}, {"octets": 2}),
        ({"cc_output_octets": 4}, {"octets": 4}),
        ({"cc_total_octets": 0, "cc_input_octets": 2}, {"octets": 2}),
        ({"cc_total_octets": 0, "cc_input_octets": 0}, {"octets": 0}),
        ({"cc_time": 9}, {"seconds": 9}),
        ({"cc_service_specific_units": 3}, {"events": 3}),
        (
            {"cc_time": 0, "cc_total_octets": 7, "cc_service_specific_units": 0},
            {"seconds": 0, "octets": 7, "events": 0},
        ),
        ({}, {}),
        ({"cc_total_octets": MAX_QUANTITY}, {"octets": MAX_QUANTITY}),
    ],
)
def test_usage_is_read_in_every_form(avps: dict[str, Any], used: dict[str, int]) -> None:
    assert service(used_service_unit=[UsedServiceUnit(**avps)]).used == used


def test_several_reports_are_one_sum() -> None:
    reports = [UsedServiceUnit(cc_total_octets=5), UsedServiceUnit(cc_input_octets=2), UsedServiceUnit(cc_time=1)]
    assert service(used_service_unit=reports).used == {"octets": 7, "seconds": 1}
    assert service().used is None


@pytest.mark.parametrize(
    "reports",
    [
        [UsedServiceUnit(cc_total_octets=MAX_QUANTITY + 1)],
        [UsedServiceUnit(cc_total_octets=LARGEST)],
        [UsedServiceUnit(cc_input_octets=LARGEST, cc_output_octets=LARGEST)],
        [UsedServiceUnit(cc_service_specific_units=LARGEST)],
        [UsedServiceUnit(cc_total_octets=MAX_QUANTITY), UsedServiceUnit(cc_total_octets=1)],
        [UsedServiceUnit(cc_time=2**32 - 1)] * 2**21 + [UsedServiceUnit(cc_time=2**32 - 1)],
    ],
    ids=["one more", "64 bits", "both ways", "events", "in two reports", "seconds"],
)
def test_more_than_can_be_counted_is_refused(reports: list[UsedServiceUnit]) -> None:
    block = MultipleServicesCreditControl(rating_group=10, used_service_unit=reports)
    refusal = refused(ccr(UPDATE, 1, multiple_services_credit_control=[block]))
    assert refusal.result_code is ResultCode.INVALID_AVP_VALUE
    assert refusal.failed_avp == copy_of(reports[-1])


@pytest.mark.parametrize(
    ("avps", "requested"),
    [
        ({}, {}),
        ({"cc_total_octets": 0}, {}),
        ({"cc_total_octets": 5, "cc_time": 7}, {"octets": 5, "seconds": 7}),
        ({"cc_input_octets": 2, "cc_output_octets": 4}, {"octets": 6}),
        ({"cc_service_specific_units": 3}, {"events": 3}),
        ({"cc_total_octets": LARGEST}, {"octets": MAX_QUANTITY}),
        ({"cc_input_octets": LARGEST, "cc_output_octets": LARGEST}, {"octets": MAX_QUANTITY}),
        ({"cc_service_specific_units": LARGEST}, {"events": MAX_QUANTITY}),
    ],
)
def test_a_wish_is_read_in_every_form_and_bounded(avps: dict[str, Any], requested: dict[str, int]) -> None:
    assert service(requested_service_unit=RequestedServiceUnit(**avps)).requested == requested


def test_no_wish_is_not_an_empty_wish() -> None:
    assert service().requested is None


@pytest.mark.parametrize(
    ("in_mscc", "in_reports", "reason", "final"),
    [
        (None, [], None, False),
        (2, [], 2, True),
        (None, [2], 2, True),
        (None, [0, 2], 0, True),
        (4, [3], 4, False),
        (None, [3, 0], 3, False),
        (99, [], 99, False),
    ],
)
def test_reporting_reasons_of_mscc_and_of_reports(
    in_mscc: int | None, in_reports: list[int], reason: int | None, final: bool
) -> None:
    """TS 32.299 §7.2.175: in the MSCC it holds for all reports, in a report for that one."""
    request = service(
        reporting_reason=in_mscc, used_service_unit=[UsedServiceUnit(reporting_reason=number) for number in in_reports]
    )
    assert (request.reporting_reason, request.final) == (reason, final)


def test_the_first_of_several_service_identifiers_counts() -> None:
    assert service(service_identifier=[7, 8]).service_identifier == 7
    assert service().service_identifier is None


# --- with and without MSCC --------------------------------------------------------------------------------------------

RSU, USU = RequestedServiceUnit(cc_time=60), [UsedServiceUnit(cc_time=9)]
WISH, REPORT = {"seconds": 60}, {"seconds": 9}


@pytest.mark.parametrize(
    ("type_", "avps", "multiple", "services"),
    [
        (INITIAL, {"multiple_services_indicator": 1}, True, []),
        (INITIAL, {}, False, [ServiceRequest(None, None, {})]),
        (INITIAL, {"multiple_services_indicator": 0}, False, [ServiceRequest(None, None, {})]),
        (INITIAL, {"requested_service_unit": RSU}, False, [ServiceRequest(None, None, WISH)]),
        (
            INITIAL,
            {"requested_service_unit": RSU, "multiple_services_indicator": 1},
            True,
            [ServiceRequest(None, None, WISH)],
        ),
        (INITIAL, {"service_identifier": 3}, False, [ServiceRequest(None, 3, {})]),
        (UPDATE, {}, False, []),
        (UPDATE, {"multiple_services_indicator": 1}, True, []),
        (UPDATE, {"used_service_unit": USU}, False, [ServiceRequest(None, None, None, REPORT)]),
        (
            UPDATE,
            {"used_service_unit": USU, "requested_service_unit": RSU},
            False,
            [ServiceRequest(None, None, WISH, REPORT)],
        ),
        (TERMINATION, {}, False, []),
        (TERMINATION, {"used_service_unit": USU}, False, [ServiceRequest(None, None, None, REPORT)]),
        (EVENT, {}, False, [ServiceRequest(None, None, {})]),
        (EVENT, {"multiple_services_indicator": 1}, False, [ServiceRequest(None, None, {})]),
        (EVENT, {"requested_service_unit": RSU}, False, [ServiceRequest(None, None, WISH)]),
        (EVENT, {"used_service_unit": USU}, False, [ServiceRequest(None, None, None, REPORT)]),
    ],
)
def test_units_at_command_level_are_a_request_for_one_service(
    type_: CcRequestType, avps: dict[str, Any], multiple: bool, services: list[ServiceRequest]
) -> None:
    """RFC 8506 §5.1.1, §5.1.2, §8.40. An update or a termination that says nothing of services is about none."""
    command = to_command(ccr(type_, 1, requested_action=RequestedAction.DIRECT_DEBITING, **avps))
    assert (command.multiple, command.services) == (multiple, services)


@pytest.mark.parametrize("indicator", [None, 0, 1])
def test_mscc_counts_whatever_the_indicator_says(indicator: int | None) -> None:
    """Open5GS says MULTIPLE_SERVICES_NOT_SUPPORTED and uses it nevertheless."""
    command = to_command(ccr(multiple_services_indicator=indicator, multiple_services_credit_control=[mscc()]))
    assert command.multiple
    assert command.services == [ServiceRequest(10, None, {})]


def test_a_wish_beside_mscc_is_superfluous_and_an_empty_report_too() -> None:
    avps = {"requested_service_unit": RSU, "used_service_unit": [UsedServiceUnit(cc_time=0), UsedServiceUnit()]}
    command = to_command(ccr(UPDATE, 1, multiple_services_credit_control=[mscc()], **avps))
    assert command.services == [ServiceRequest(10, None, {})]


def test_usage_both_inside_and_outside_of_mscc_is_a_contradiction() -> None:
    refusal = refused(ccr(UPDATE, 1, multiple_services_credit_control=[mscc()], used_service_unit=USU))
    assert refusal.result_code is ResultCode.CONTRADICTING_AVPS
    assert refusal.failed_avp == copy_of(USU[0])


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_an_event_has_to_say_what_it_wants_done() -> None:
    refusal = refused(ccr(EVENT))
    assert refusal.result_code is ResultCode.MISSING_AVP
    assert refusal.failed_avp == Avp(436, bytes(4), 0, 0x40)


@pytest.mark.parametrize(
    "action", [RequestedAction.REFUND_ACCOUNT, RequestedAction.CHECK_BALANCE, RequestedAction.PRICE_ENQUIRY]
)
def test_actions_that_are_not_served_are_refused(action: RequestedAction) -> None:
    assert refused(ccr(EVENT, requested_action=action)).result_code is ResultCode.UNABLE_TO_COMPLY


@pytest.mark.parametrize("type_", [INITIAL, UPDATE, TERMINATION])
@pytest.mark.parametrize("action", list(RequestedAction))
def test_in_a_session_the_requested_action_means_nothing(type_: CcRequestType, action: RequestedAction) -> None:
    """It belongs to events alone (RFC 8506 §8.41); Open5GS sends DIRECT_DEBITING in all requests."""
    assert to_command(ccr(type_, 1, requested_action=action)).type is not RequestType.EVENT


@pytest.mark.parametrize(
    "avps",
    [
        {"requested_service_unit": RequestedServiceUnit(cc_money=FIVE_EUROS)},
        {"requested_service_unit": RequestedServiceUnit(cc_money=FIVE_EUROS, cc_total_octets=1)},
        {"used_service_unit": [UsedServiceUnit(cc_total_octets=1), UsedServiceUnit(cc_money=FIVE_EUROS)]},
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_an_amount_of_money_is_not_taken_for_something_else(avps: dict[str, Any], inside: bool) -> None:
    """RFC 8506 §8.22. It must not become one message, the default quota, or nothing."""
    if inside:
        avps = {"multiple_services_credit_control": [MultipleServicesCreditControl(rating_group=10, **avps)]}
    refusal = refused(ccr(EVENT, requested_action=RequestedAction.DIRECT_DEBITING, **avps))
    assert refusal.result_code is ResultCode.RATING_FAILED
    assert refusal.failed_avp == Avp(413, compile_class(CcMoney).write(FIVE_EUROS), 0, 0x40)


def test_a_session_needs_a_name() -> None:
    refusal = refused(ccr(session_id=""))
    assert refusal.result_code is ResultCode.INVALID_AVP_VALUE
    assert refusal.failed_avp == Avp(263, b"", 0, 0x40)


def test_another_application_inside_than_outside_is_refused() -> None:
    refusal = refused(ccr(auth_application_id=16777238))
    assert refusal.result_code is ResultCode.INVALID_AVP_VALUE
    assert refusal.failed_avp == Avp(258, (16777238).to_bytes(4, "big"), 0, 0x40)


# --- repetitions ------------------------------------------------------------------------------------------------------


def test_a_repetition_is_known_by_what_is_charged_and_by_nothing_else() -> None:
    block = {"multiple_services_credit_control": [mscc(used=5)]}
    first = to_command(ccr(UPDATE, 1, **block)).fingerprint
    again = ccr(UPDATE, 1, event_timestamp=1_700_000_000, route_record=["dra.example.org"], **block)
    again.header.flags |= FLAG_RETRANSMITTED
    assert to_command(again).fingerprint == first
    assert to_command(ccr(UPDATE, 1, origin_host="pgw2.example.org", **block)).fingerprint == first
    others = [
        ccr(TERMINATION, 1, **block),
        ccr(UPDATE, 1, multiple_services_credit_control=[mscc(used=6)]),
        ccr(UPDATE, 1, multiple_services_credit_control=[mscc(30, used=5)]),
        ccr(UPDATE, 1, multiple_services_credit_control=[mscc(used=5, asks=None)]),
        ccr(UPDATE, 1, multiple_services_credit_control=[mscc(used=5), mscc(30)]),
        ccr(UPDATE, 1, multiple_services_credit_control=[mscc(used=5, reporting_reason=2)]),
        ccr(UPDATE, 1, cc_sub_session_id=2, **block),
    ]
    assert first not in {to_command(other).fingerprint for other in others}


def test_the_same_units_in_mscc_and_at_command_level_are_two_requests() -> None:
    inside = ccr(UPDATE, 1, multiple_services_credit_control=[mscc(None, asks=5)])
    outside = ccr(UPDATE, 1, requested_service_unit=RequestedServiceUnit(cc_total_octets=5))
    assert to_command(inside).fingerprint != to_command(outside).fingerprint
