"""The requests of a simulated PGW: complete, and understood by whoever reads them."""

import pytest

from aiodiameter.codec import Registry, encode
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlRequest,
    ReportingReason,
    SubscriptionIdType,
)
from simulators.books import Unit, Usage
from simulators.service import Due, Report
from tests.simulators.gy import BEARER, INITIAL, T0, TERMINATION, UPDATE, writer

REPORT = Report(10, Due(ReportingReason.THRESHOLD, Unit.OCTETS), Usage(octets_up=1, octets_down=2), (Unit.OCTETS,))


def decoded(request: CreditControlRequest) -> CreditControlRequest:
    _, message, faults = Registry(*CREDIT_CONTROL_MESSAGES).decode(encode(request))
    assert faults == []
    assert isinstance(message, CreditControlRequest)
    return message


def test_a_request_says_who_where_and_when() -> None:
    request = decoded(writer().write(UPDATE, 7, T0 + 0.9, [REPORT], "ocs.example.org"))
    assert request.session_id == "pgw.example.org;1700000000;1;gy"
    assert request.service_context_id == "32251@3gpp.org"
    assert (request.cc_request_number, request.event_timestamp) == (7, int(T0))
    assert (request.destination_realm, request.destination_host) == ("example.org", "ocs.example.org")
    assert [(i.subscription_id_type, i.subscription_id_data) for i in request.subscription_id] == [
        (SubscriptionIdType.END_USER_E164, BEARER.msisdn),
        (SubscriptionIdType.END_USER_IMSI, BEARER.imsi),
    ]
    assert request.user_equipment_info is not None
    assert request.user_equipment_info.user_equipment_info_value == BEARER.imeisv.encode()
    assert request.service_information is not None
    bearer = request.service_information.ps_information
    assert bearer is not None
    assert bearer.charging_id == b"\0\0\0\1"
    assert bearer.pdp_address == ["10.45.0.2"]
    assert (bearer.sgsn_address, bearer.ggsn_address) == (["192.0.2.10"], ["192.0.2.20"])
    assert (bearer.called_station_id, bearer.sgsn_mcc_mnc, bearer.rat_type) == ("internet", "00101", b"\x06")
    assert bearer.user_location_info == BEARER.location
    assert request.origin_state_id == 7


@pytest.mark.parametrize(
    ("kind", "indicator", "cause"), [(INITIAL, 1, None), (UPDATE, None, None), (TERMINATION, None, 1)]
)
def test_what_depends_on_the_kind_of_request(kind: CcRequestType, indicator: int | None, cause: int | None) -> None:
    request = decoded(writer().write(kind, 0, T0, []))
    assert (request.multiple_services_indicator, request.termination_cause) == (indicator, cause)


@pytest.mark.parametrize("requested", [None, 5000])
def test_how_much_is_asked_for(requested: int | None) -> None:
    (block,) = decoded(writer(requested).write(UPDATE, 1, T0, [REPORT])).multiple_services_credit_control
    assert block.requested_service_unit is not None
    assert block.requested_service_unit.cc_total_octets == requested


@pytest.mark.parametrize("reason", list(ReportingReason))
def test_where_the_reason_stands(reason: ReportingReason) -> None:
    report = Report(10, Due(reason, Unit.OCTETS, asks=False), Usage(octets_up=1), (Unit.OCTETS,))
    (block,) = decoded(writer().write(UPDATE, 1, T0, [report])).multiple_services_credit_control
    in_quota = reason in (ReportingReason.THRESHOLD, ReportingReason.QUOTA_EXHAUSTED)
    assert block.reporting_reason == (None if in_quota else reason)
    assert block.used_service_unit[0].reporting_reason == (reason if in_quota else None)
    assert block.requested_service_unit is None
