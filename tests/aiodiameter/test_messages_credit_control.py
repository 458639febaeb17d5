"""Credit-control messages and groups. RFC 8506 §3, §8; RFC 6733 §8.3; TS 32.299 §6.4, §7.2."""

import enum
from typing import Any

import pytest

from aiodiameter.codec import Registry, encode
from aiodiameter.header import Header
from aiodiameter.message import FailedAvp, Grouped
from aiodiameter.messages import credit_control as cc
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CreditControlAnswer,
    CreditControlRequest,
    FinalUnitAction,
    FinalUnitIndication,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
    ReAuthAnswer,
    ReAuthRequest,
)
from aiodiameter.result_codes import ResultCode
from tests.aiodiameter.grammar import check
from tests.aiodiameter.octets import ccr, octets, split

REGISTRY = Registry(*CREDIT_CONTROL_MESSAGES)


def test_credit_control_request() -> None:
    check(
        CreditControlRequest,
        """< Session-Id > { Origin-Host } { Origin-Realm } { Destination-Realm } { Auth-Application-Id }
        { Service-Context-Id } { CC-Request-Type } { CC-Request-Number } [ Destination-Host ] [ User-Name ]
        [ CC-Sub-Session-Id ] [ Acct-Multi-Session-Id ] [ Origin-State-Id ] [ Event-Timestamp ] *[ Subscription-Id ]
        *[ Subscription-Id-Extension ] [ Service-Identifier ] [ Termination-Cause ] [ Requested-Service-Unit ]
        [ Requested-Action ] *[ Used-Service-Unit ] [ Multiple-Services-Indicator ]
        *[ Multiple-Services-Credit-Control ] *[ Service-Parameter-Info ] [ CC-Correlation-Id ] [ User-Equipment-Info ]
        [ User-Equipment-Info-Extension ] *[ Proxy-Info ] *[ Route-Record ] *[ AVP ]""",
        more=("Service-Information",),
        left_out=(
            "Acct-Multi-Session-Id",
            "Subscription-Id-Extension",
            "Service-Parameter-Info",
            "CC-Correlation-Id",
            "User-Equipment-Info-Extension",
        ),
    )


def test_credit_control_answer() -> None:
    check(
        CreditControlAnswer,
        """< Session-Id > { Result-Code } { Origin-Host } { Origin-Realm } { Auth-Application-Id } { CC-Request-Type }
        { CC-Request-Number } [ User-Name ] [ CC-Session-Failover ] [ CC-Sub-Session-Id ] [ Acct-Multi-Session-Id ]
        [ Origin-State-Id ] [ Event-Timestamp ] [ Granted-Service-Unit ] *[ Multiple-Services-Credit-Control ]
        [ Cost-Information ] [ Final-Unit-Indication ] [ QoS-Final-Unit-Indication ] [ Check-Balance-Result ]
        [ Credit-Control-Failure-Handling ] [ Direct-Debiting-Failure-Handling ] [ Validity-Time ] *[ Redirect-Host ]
        [ Redirect-Host-Usage ] [ Redirect-Max-Cache-Time ] *[ Proxy-Info ] *[ Route-Record ] *[ Failed-AVP ]
        *[ AVP ]""",
        more=("Error-Message",),
        left_out=(
            "Acct-Multi-Session-Id",
            "Cost-Information",
            "QoS-Final-Unit-Indication",
            "Redirect-Host",
            "Redirect-Host-Usage",
            "Redirect-Max-Cache-Time",
            "Route-Record",
        ),
    )


def test_re_auth_request() -> None:
    check(
        ReAuthRequest,
        """< Session-Id > { Origin-Host } { Origin-Realm } { Destination-Realm } { Destination-Host }
        { Auth-Application-Id } { Re-Auth-Request-Type } [ User-Name ] [ Origin-State-Id ] *[ Proxy-Info ]
        *[ Route-Record ] *[ AVP ]""",
        more=("Rating-Group",),  # RFC 8506 §5.5
        left_out=("User-Name", "Origin-State-Id"),
    )


def test_re_auth_answer() -> None:
    check(
        ReAuthAnswer,
        """< Session-Id > { Result-Code } { Origin-Host } { Origin-Realm } [ User-Name ] [ Origin-State-Id ]
        [ Error-Message ] [ Error-Reporting-Host ] [ Failed-AVP ] *[ Redirect-Host ] [ Redirect-Host-Usage ]
        [ Redirect-Max-Cache-Time ] *[ Proxy-Info ] *[ AVP ]""",
        left_out=(
            "User-Name",
            "Origin-State-Id",
            "Error-Reporting-Host",
            "Redirect-Host",
            "Redirect-Host-Usage",
            "Redirect-Max-Cache-Time",
        ),
        repeats_here=("Failed-AVP",),
    )


UNITS = """[ CC-Time ] [ CC-Money ] [ CC-Total-Octets ] [ CC-Input-Octets ] [ CC-Output-Octets ]
    [ CC-Service-Specific-Units ] *[ AVP ]"""


@pytest.mark.parametrize(
    ("cls", "abnf"),
    [
        (cc.UnitValue, "{ Value-Digits } [ Exponent ]"),
        (cc.CcMoney, "{ Unit-Value } [ Currency-Code ]"),
        (cc.RequestedServiceUnit, UNITS),
        (cc.GrantedServiceUnit, f"[ Tariff-Time-Change ] {UNITS}"),
        (cc.RedirectServer, "{ Redirect-Address-Type } { Redirect-Server-Address }"),
        (
            cc.FinalUnitIndication,
            "{ Final-Unit-Action } *[ Restriction-Filter-Rule ] *[ Filter-Id ] [ Redirect-Server ]",
        ),
        (cc.SubscriptionId, "{ Subscription-Id-Type } { Subscription-Id-Data }"),
        (cc.UserEquipmentInfo, "{ User-Equipment-Info-Type } { User-Equipment-Info-Value }"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_groups(cls: type[Grouped], abnf: str) -> None:
    check(cls, abnf)


def test_used_service_unit() -> None:
    more = ("Reporting-Reason", "Event-Charging-TimeStamp")  # TS 32.299 §7.2.231
    check(cc.UsedServiceUnit, f"[ Tariff-Change-Usage ] {UNITS}", more=more)


def test_multiple_services_credit_control() -> None:
    check(
        MultipleServicesCreditControl,
        """[ Granted-Service-Unit ] [ Requested-Service-Unit ] *[ Used-Service-Unit ] [ Tariff-Change-Usage ]
        *[ Service-Identifier ] [ Rating-Group ] *[ G-S-U-Pool-Reference ] [ Validity-Time ] [ Result-Code ]
        [ Final-Unit-Indication ] [ QoS-Final-Unit-Indication ] *[ AVP ]""",
        left_out=("G-S-U-Pool-Reference", "QoS-Final-Unit-Indication"),
        more=(  # TS 32.299 §7.2.101
            "Time-Quota-Threshold",
            "Volume-Quota-Threshold",
            "Unit-Quota-Threshold",
            "Quota-Holding-Time",
            "Quota-Consumption-Time",
            "Reporting-Reason",
        ),
    )


@pytest.mark.parametrize(
    ("enumeration", "values"),
    [
        (cc.CcRequestType, "INITIAL_REQUEST UPDATE_REQUEST TERMINATION_REQUEST EVENT_REQUEST"),
        (cc.RequestedAction, "DIRECT_DEBITING REFUND_ACCOUNT CHECK_BALANCE PRICE_ENQUIRY"),
        (cc.SubscriptionIdType, "END_USER_E164 END_USER_IMSI END_USER_SIP_URI END_USER_NAI END_USER_PRIVATE"),
        (cc.FinalUnitAction, "TERMINATE REDIRECT RESTRICT_ACCESS"),
        (cc.FailureHandling, "TERMINATE CONTINUE RETRY_AND_TERMINATE"),
        (
            cc.ReportingReason,
            """THRESHOLD QHT FINAL QUOTA_EXHAUSTED VALIDITY_TIME OTHER_QUOTA_TYPE RATING_CONDITION_CHANGE
            FORCED_REAUTHORISATION POOL_EXHAUSTED UNUSED_QUOTA_TIMER""",
        ),
    ],
)
def test_enumerations(enumeration: type[enum.IntEnum], values: str) -> None:
    first = 1 if enumeration is cc.CcRequestType else 0
    assert {member.name: int(member) for member in enumeration} == {
        name: number for number, name in enumerate(values.split(), first)
    }


@pytest.mark.parametrize(("cls", "code"), [(CreditControlRequest, 272), (ReAuthRequest, 258)])
def test_command_codes_and_flags(cls: Any, code: int) -> None:
    """RFC 8506 §3: both commands may be proxied."""
    assert (cls.command_code, cls.application_id, cls.proxiable) == (code, 4, True)
    assert cls.new_header() == Header(code, 4, 0xC0)
    assert cls in CREDIT_CONTROL_MESSAGES


@pytest.mark.parametrize("value", [4, 9, -1])
def test_a_requested_action_that_does_not_exist_is_5004(value: int) -> None:
    wrong = octets("Requested-Action", value)
    _, message, errors = REGISTRY.decode(ccr(wrong))
    assert [(error.result_code, error.failed_avp.to_bytes()) for error in errors if error.failed_avp] == [
        (ResultCode.INVALID_AVP_VALUE, wrong)
    ]
    assert message.requested_action is None


@pytest.mark.parametrize(
    "name", ["Multiple-Services-Indicator", "Termination-Cause", "Reporting-Reason", "Tariff-Change-Usage"]
)
def test_what_a_later_release_adds_to_a_report_is_no_fault(name: str) -> None:
    """Values that change nothing in what is charged are read as numbers."""
    block = (
        octets("Multiple-Services-Credit-Control", octets(name, 99)) if "-Services-" not in name else octets(name, 99)
    )
    data = ccr(octets(name, 99)) if name.startswith(("Term", "Multiple")) else ccr(block)
    assert REGISTRY.decode(data).errors == []


def test_usage_in_an_update() -> None:
    """What a gateway reports is read without loss up to 2^64-1 octets."""
    unit = (
        octets("CC-Input-Octets", b"\xff" * 8)
        + octets("CC-Output-Octets", bytes(7) + b"\x01")
        + octets("CC-Time", 2**31)
    )
    block = octets("Used-Service-Unit", octets("Reporting-Reason", 4) + unit) + octets("Rating-Group", 2**32 - 1)
    _, message, errors = REGISTRY.decode(ccr(octets("Multiple-Services-Credit-Control", block)))
    assert errors == []
    report = message.multiple_services_credit_control[0].used_service_unit[0]
    assert (report.cc_input_octets, report.cc_output_octets, report.cc_time) == (2**64 - 1, 1, 2**31)
    assert report.reporting_reason == cc.ReportingReason.VALIDITY_TIME
    assert report.cc_total_octets is None


def test_a_zero_is_not_an_absence() -> None:
    """0 used octets is a report; none is no report. RFC 8506 §8.19."""
    zero = octets("Used-Service-Unit", octets("CC-Total-Octets", bytes(8)))
    for unit, expected in ((zero, [0]), (octets("Used-Service-Unit"), [None]), (b"", [])):
        message = REGISTRY.decode(ccr(octets("Multiple-Services-Credit-Control", unit))).message
        reports = message.multiple_services_credit_control[0].used_service_unit
        assert [report.cc_total_octets for report in reports] == expected
    assert octets("CC-Total-Octets", bytes(8)) in encode(
        CreditControlAnswer(
            session_id="s",
            result_code=2001,
            origin_host="a",
            origin_realm="b",
            auth_application_id=4,
            cc_request_type=1,
            cc_request_number=0,
            granted_service_unit=GrantedServiceUnit(cc_total_octets=0),
        )
    )


def test_an_answer_octet_by_octet() -> None:
    answer = CreditControlAnswer(
        header=Header(272, 4, 0x40, 0xA, 0xB),
        session_id="s1",
        result_code=ResultCode.SUCCESS,
        origin_host="o",
        origin_realm="r",
        auth_application_id=4,
        cc_request_type=cc.CcRequestType.INITIAL_REQUEST,
        cc_request_number=0,
        multiple_services_credit_control=[
            MultipleServicesCreditControl(
                granted_service_unit=GrantedServiceUnit(cc_total_octets=1 << 32),
                service_identifier=[9],
                rating_group=7,
                validity_time=600,
                result_code=ResultCode.SUCCESS,
                final_unit_indication=FinalUnitIndication(final_unit_action=FinalUnitAction.TERMINATE),
                volume_quota_threshold=5,
            )
        ],
        failed_avp=[FailedAvp()],
    )
    block = (
        "000001af 40000018 000001a5 40000010 0000000100000000"
        "000001b7 4000000c 00000009"
        "000001b0 4000000c 00000007"
        "000001c0 4000000c 00000258"
        "0000010c 4000000c 000007d1"
        "000001ae 40000014 000001c1 4000000c 00000000"
        "00000365 c0000010 000028af 00000005"
    )
    sent = encode(answer)
    assert sent[4:20] == bytes.fromhex("40000110 00000004 0000000a 0000000b")
    assert sent[20:] == bytes.fromhex(
        "00000107 4000000a 73310000 0000010c 4000000c 000007d1 00000108 40000009 6f000000 00000128 40000009 72000000"
        "00000102 4000000c 00000004 000001a0 4000000c 00000001 0000019f 4000000c 00000000"
        f"000001c8 {0x40000000 + 8 + len(bytes.fromhex(block)):08x} {block}"
        "00000117 40000008"
    )
    assert len(split(sent[20:])) == 9
