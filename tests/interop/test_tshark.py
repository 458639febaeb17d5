"""tshark dissects every kind of message that we send, finds nothing to complain of, and sees what we meant.

What is expected stands in `dissected.txt`, in tshark's own words: codes, names, flags and values, one line an AVP.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiodiameter.capabilities import Verdict, make_cea, make_cer
from aiodiameter.codec import Registry, compile_class, encode
from aiodiameter.dictionary import AvpFacts
from aiodiameter.header import FLAG_RETRANSMITTED, Header
from aiodiameter.identity import Application, Identity
from aiodiameter.message import FailedAvp, Message, ProxyInfo, UnknownRequest, error_answer
from aiodiameter.messages.base import (
    BASE_MESSAGES,
    CapabilitiesExchangeRequest,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerRequest,
)
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcMoney,
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    FinalUnitAction,
    FinalUnitIndication,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
    PsInformation,
    ReAuthRequest,
    RedirectServer,
    ReportingReason,
    RequestedAction,
    RequestedServiceUnit,
    ServiceInformation,
    SubscriptionId,
    SubscriptionIdType,
    UnitValue,
    UsedServiceUnit,
    UserEquipmentInfo,
)
from aiodiameter.result_codes import ResultCode
from ocs.charging.state import Answer, ServiceAnswer
from ocs.gateway.answer import to_answer
from ocs.rating.catalogue import Unit
from tests.aiodiameter.declared import CLASSES
from tests.aiodiameter.octets import CCR, ccr, frame, octets
from tests.interop.tshark import Dissected, Entry, dictionary, dissect

pytestmark = pytest.mark.needs("tshark")

REGISTRY = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)
OCS = Identity(
    host="ocs.example",
    realm="example",
    product_name="Octroi",
    host_ip_addresses=("192.0.2.2", "2001:db8::2"),
    origin_state_id=1_700_000_000,
    firmware_revision=1,
)
APPLICATIONS = (
    Application(id=4, messages=CREDIT_CONTROL_MESSAGES),
    Application(id=16777238, vendor_id=10415, messages=()),
)
US: dict[str, Any] = {"origin_host": "ocs.example", "origin_realm": "example"}
GATEWAY: dict[str, Any] = {"origin_host": "gw.example", "origin_realm": "example"}
SESSION = "gw.example;1876543210;523"
IDS = {"hop_by_hop": 0x11223344, "end_to_end": 0x55667788}

CER = make_cer(OCS, APPLICATIONS, "192.0.2.2")
FROM_GATEWAY = CapabilitiesExchangeRequest(
    header=Header(257, 0, 0x80, **IDS), **GATEWAY, host_ip_address=["192.0.2.1"], vendor_id=10415, product_name="gw"
)


def cea(code: ResultCode, text: str = "", **faults: Any) -> Message:
    return make_cea(FROM_GATEWAY, Verdict(code, text=text, **faults), OCS, APPLICATIONS, "192.0.2.2")


def refused(data: bytes) -> Message:
    """The answer to the first fault in a request."""
    header, message, errors = REGISTRY.decode(data)
    failed = [FailedAvp(other=[errors[0].failed_avp])] if errors[0].failed_avp else []
    return error_answer(header, message, errors[0].result_code, **US, failed_avp=failed, error_message=errors[0].text)


def request(request_type: CcRequestType, number: int, **avps: Any) -> CreditControlRequest:
    message = CreditControlRequest(
        session_id=SESSION,
        **GATEWAY,
        destination_realm="example",
        auth_application_id=4,
        service_context_id="32251@3gpp.org",
        cc_request_type=request_type,
        cc_request_number=number,
        **avps,
    )
    message.header.hop_by_hop, message.header.end_to_end = IDS["hop_by_hop"], IDS["end_to_end"]
    return message


INITIAL = request(
    CcRequestType.INITIAL_REQUEST,
    0,
    destination_host="ocs.example",
    user_name="alice@example",
    origin_state_id=7,
    event_timestamp=1_700_000_000,
    subscription_id=[
        SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data="491701234567"),
        SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_IMSI, subscription_id_data="262011234567890"),
        SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_SIP_URI, subscription_id_data="sip:a@example"),
        SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_NAI, subscription_id_data="a@example"),
        SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_PRIVATE, subscription_id_data="a"),
    ],
    multiple_services_indicator=1,
    multiple_services_credit_control=[
        MultipleServicesCreditControl(requested_service_unit=RequestedServiceUnit(), rating_group=7),
        MultipleServicesCreditControl(
            requested_service_unit=RequestedServiceUnit(cc_time=60, cc_total_octets=2**63, cc_service_specific_units=1),
            service_identifier=[9],
        ),
    ],
    user_equipment_info=UserEquipmentInfo(user_equipment_info_type=0, user_equipment_info_value=b"3534900698733190"),
    proxy_info=[ProxyInfo(proxy_host="dra.example", proxy_state=b"\x00\xff")],
    route_record=["gw.example", "dra.example"],
    service_information=ServiceInformation(
        ps_information=PsInformation(
            charging_id=b"\x00\x00\x30\x39",
            pdp_type=0,
            pdp_address=["10.45.0.2", "2001:db8::45"],
            sgsn_address=["192.0.2.7"],
            ggsn_address=["192.0.2.8"],
            called_station_id="internet",
            selection_mode="0",
            charging_characteristics="0800",
            sgsn_mcc_mnc="26201",
            nsapi=b"\x05",
            ms_time_zone=b"\x40\x01",
            user_location_info=bytes.fromhex("8262f210000162f21000000101"),
            rat_type=b"\x06",
        )
    ),
)
UPDATE = request(
    CcRequestType.UPDATE_REQUEST,
    1,
    multiple_services_credit_control=[
        MultipleServicesCreditControl(
            requested_service_unit=RequestedServiceUnit(),
            used_service_unit=[
                UsedServiceUnit(
                    reporting_reason=ReportingReason.QUOTA_EXHAUSTED,
                    tariff_change_usage=0,
                    cc_time=61,
                    cc_total_octets=2**64 - 1,
                    cc_input_octets=0,
                    cc_output_octets=1,
                    cc_service_specific_units=2,
                    event_charging_timestamp=[1_700_000_000, 0],
                )
            ],
            service_identifier=[9, 10],
            rating_group=7,
            reporting_reason=ReportingReason.RATING_CONDITION_CHANGE,
        )
    ],
)
UPDATE.header.flags |= FLAG_RETRANSMITTED
TERMINATION = request(
    CcRequestType.TERMINATION_REQUEST,
    2,
    termination_cause=1,
    multiple_services_credit_control=[
        MultipleServicesCreditControl(
            used_service_unit=[UsedServiceUnit(reporting_reason=ReportingReason.FINAL, cc_total_octets=0)],
            rating_group=7,
        )
    ],
)
EVENT = request(
    CcRequestType.EVENT_REQUEST,
    0,
    cc_sub_session_id=2**40,
    service_identifier=3,
    requested_action=RequestedAction.DIRECT_DEBITING,
    requested_service_unit=RequestedServiceUnit(
        cc_money=CcMoney(unit_value=UnitValue(value_digits=-(2**63), exponent=-2), currency_code=978)
    ),
    used_service_unit=[UsedServiceUnit(cc_service_specific_units=1)],
)

GRANT = to_answer(
    INITIAL,
    Answer(
        services=[
            ServiceAnswer(
                rating_group=7, unit=Unit.OCTETS, granted=5 << 30, validity_s=3600, threshold=1 << 20, final=True
            ),
            ServiceAnswer(service_identifier=9, unit=Unit.SECONDS, granted=60, threshold=10),
            ServiceAnswer(rating_group=8, unit=Unit.EVENTS, granted=1, threshold=0),
            ServiceAnswer(rating_group=9, result_code=4012),
        ]
    ),
    **US,
    failure_handling=2,
    session_failover=1,
)
SINGLE = to_answer(
    EVENT,
    Answer(
        services=[ServiceAnswer(unit=Unit.EVENTS, granted=1, validity_s=60, final=True)], multiple=False, text="spent"
    ),
    **US,
)
UNRATED = to_answer(UPDATE, Answer(result_code=5031, failed="Rating-Group", text="no price"), **US)
UNKNOWN_SERVICE = to_answer(UPDATE, Answer(result_code=5031, failed="Service-Context-Id"), **US)
REDIRECTED = CreditControlAnswer(
    header=Header(272, 4, 0x40, **IDS),
    session_id=SESSION,
    result_code=ResultCode.SUCCESS,
    **US,
    auth_application_id=4,
    cc_request_type=CcRequestType.INITIAL_REQUEST,
    cc_request_number=0,
    user_name="alice@example",
    cc_sub_session_id=1,
    origin_state_id=7,
    event_timestamp=1_700_000_000,
    granted_service_unit=GrantedServiceUnit(
        tariff_time_change=1_700_003_600,
        cc_money=CcMoney(unit_value=UnitValue(value_digits=5), currency_code=978),
        cc_input_octets=1,
        cc_output_octets=2,
    ),
    multiple_services_credit_control=[
        MultipleServicesCreditControl(
            tariff_change_usage=1,
            rating_group=7,
            final_unit_indication=FinalUnitIndication(
                final_unit_action=FinalUnitAction.REDIRECT,
                redirect_server=RedirectServer(
                    redirect_address_type=2, redirect_server_address="https://top.up.example"
                ),
            ),
            quota_holding_time=300,
            quota_consumption_time=30,
        )
    ],
    final_unit_indication=FinalUnitIndication(
        final_unit_action=FinalUnitAction.RESTRICT_ACCESS,
        restriction_filter_rule=["permit in ip from any to 192.0.2.9"],
        filter_id=["portal"],
    ),
    check_balance_result=0,
    credit_control_failure_handling=1,
    direct_debiting_failure_handling=1,
    validity_time=60,
)
RAR = ReAuthRequest(
    session_id=SESSION,
    **US,
    destination_realm="example",
    destination_host="gw.example",
    auth_application_id=4,
    re_auth_request_type=0,
    rating_group=7,
)

PROXY_INFO = octets("Proxy-Info", octets("Proxy-Host", "dra.example") + octets("Proxy-State", b"\xff"))
CER_START = octets("Origin-Host", "gw.example"), octets("Origin-Realm", "example"), octets("Vendor-Id", 0)
CER_END = octets("Product-Name", "gw")

MESSAGES: dict[str, Message] = {
    "CER": CER,
    "CEA": cea(ResultCode.SUCCESS),
    "CEA, no common application": cea(ResultCode.NO_COMMON_APPLICATION, "no application in common"),
    "CEA, no common security": cea(ResultCode.NO_COMMON_SECURITY, "TLS after the CER is not offered"),
    "CEA, unknown peer": cea(ResultCode.UNKNOWN_PEER, "gw.example is not a known peer"),
    "CEA, connected already": cea(ResultCode.ELECTION_LOST, "gw.example is connected already"),
    "CEA, missing AVP": refused(frame(*CER_START, CER_END, command=257, application=0, flags=0x80)),
    "DWR": DeviceWatchdogRequest(**US, origin_state_id=7),
    "DWA": DeviceWatchdogRequest(**GATEWAY).answer(ResultCode.SUCCESS, **US, origin_state_id=7),
    "DPR": DisconnectPeerRequest(**US, disconnect_cause=DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU),
    "DPA": DisconnectPeerRequest(**GATEWAY, disconnect_cause=DisconnectCause.BUSY).answer(ResultCode.SUCCESS, **US),
    "CCR, initial": INITIAL,
    "CCR, update": UPDATE,
    "CCR, termination": TERMINATION,
    "CCR, event": EVENT,
    "CCA, several services": GRANT,
    "CCA, one service": SINGLE,
    "CCA, all else": REDIRECTED,
    "CCA, rating failed": UNRATED,
    "CCA, unknown service": UNKNOWN_SERVICE,
    "CCA, missing AVP": refused(ccr(PROXY_INFO, without="CC-Request-Number")),
    "CCA, missing Session-Id": refused(ccr(without="Session-Id")),
    "CCA, AVP twice": refused(ccr(octets("Session-Id", "again"))),
    "CCA, AVP too short": refused(ccr(octets("CC-Sub-Session-Id", bytes(8), length=7))),
    "CCA, missing in a group": refused(ccr(octets("Subscription-Id", octets("Subscription-Id-Type", 1)))),
    "answer-message, unknown command": refused(frame(octets("Session-Id", SESSION), PROXY_INFO, command=274)),
    "answer-message, unknown application": refused(frame(octets("Session-Id", SESSION), application=16777302)),
    "answer-message, E in a request": refused(frame(*CCR.values(), flags=0xE0)),
    "answer-message, busy": error_answer(INITIAL.header, INITIAL, ResultCode.TOO_BUSY, **US, error_message="later"),
    "RAR": RAR,
    "RAA": RAR.answer(ResultCode.LIMITED_SUCCESS, **GATEWAY),
}
EMPTY = "Expert Info (Warning/Undecoded): Data is empty"
ACCEPTED_COMPLAINTS = {
    # RFC 8506 §8.18: an empty Requested-Service-Unit leaves the amount to the server. TS 32.299 §6.4 asks for it.
    "CCR, initial": [EMPTY],
    "CCR, update": [EMPTY],
    # RFC 6733 §7.5: the example of a missing AVP has the least payload of its format; for text that is none.
    "CCA, missing Session-Id": [EMPTY],
    "CCA, missing in a group": [EMPTY],
}


def expected() -> dict[str, str]:
    text = (Path(__file__).parent / "dissected.txt").read_text()
    sections = (section.partition("\n") for section in text.split("\n== ")[1:])
    return {name: body.rstrip("\n") + "\n" for name, _, body in sections}


@pytest.fixture(scope="module")
def dissected() -> dict[str, Dissected]:
    return dict(zip(MESSAGES, dissect([encode(message) for message in MESSAGES.values()]), strict=True))


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_is_seen_as_we_meant_it(dissected: dict[str, Dissected], name: str) -> None:
    assert dissected[name].text == expected()[name]
    assert dissected[name].complaints == ACCEPTED_COMPLAINTS.get(name, [])


def test_every_class_of_message_that_we_have_is_among_them() -> None:
    sent = {type(message) for message in MESSAGES.values()}
    assert sent == {cls for cls in CLASSES if issubclass(cls, Message) and cls is not UnknownRequest}
    assert set(expected()) == set(MESSAGES)


def test_every_avp_that_an_answer_may_bear_is_among_them(dissected: dict[str, Dissected]) -> None:
    """So that no AVP of ours stays unseen by another dissector."""
    shown = "".join(one.text for one in dissected.values())
    facts = {field.facts for cls in CLASSES for field in compile_class(cls).fields}
    unseen = {
        fact.name for fact in facts if not re.search(rf"^ +{fact.code} (3GPP-)?{fact.name} ", shown, re.MULTILINE)
    }
    # Ours to receive only: CER and CEA of others name these, and agents report errors in the third.
    assert unseen == {"Acct-Application-Id", "Inband-Security-Id", "Error-Reporting-Host"}


@pytest.mark.parametrize(
    ("request_", "complaints"),
    [
        (ccr(octets(999_999, b"abc", flags=0x40)), ["Unknown"]),
        (ccr(instead=octets("CC-Request-Number", b"abc")), ["Bad Unsigned32 Length (3)", "Malformed"]),
        (ccr(instead=octets("CC-Request-Type", 9)), ["Unknown (9)"]),
    ],
    ids=["unknown AVP", "wrong length", "wrong value"],
)
def test_complaints_about_an_error_answer_are_about_what_it_quotes(request_: bytes, complaints: list[str]) -> None:
    """And the checks above would see them."""
    answer = refused(request_)
    assert isinstance(answer, CreditControlAnswer)
    whole, without = dissect([encode(answer), encode(msgspec.structs.replace(answer, failed_avp=[]))])
    assert all(any(words in complaint for complaint in whole.complaints) for words in complaints)
    assert without.complaints == []


SAME_TYPE = {
    "Integer32": {"Integer32", "Enumerated"},  # RFC 6733 §4.3.1: Enumerated is derived from Integer32
    "Unsigned32": {"Unsigned32", "AppId", "VendorId"},
    "Address": {"Address", "IPAddress"},
    "OctetString": {"OctetString", "OctetStringOrUTF8", "IPFilterRule"},
}
DISAGREEMENTS = {
    # Result-Code is Unsigned32 (RFC 6733 §7.1); tshark shows names for its values.
    ("Result-Code", "Enumerated"),
    # The AVP's name in TS 32.299 §7.2.175 has no "3GPP-".
    ("Reporting-Reason", "3GPP-Reporting-Reason"),
    # TS 29.061 §16.4.7: one octet; gateways send a digit or a number, and both are read as octets.
    ("3GPP-NSAPI", "UTF8String"),
    # TS 32.299 §7.2, table of AVPs: V and M; tshark says nothing of M and so has "may". Gateways do send M.
    ("Unit-Quota-Threshold", "M may be set"),
    ("PDP-Address", "M may be set"),
    ("SGSN-Address", "M may be set"),
    ("Event-Charging-TimeStamp", "M may be set"),
}


def disagreements(facts: AvpFacts, entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.name.lower() != facts.name.lower():
        yield facts.name, entry.name
    if entry.data_type not in SAME_TYPE.get(facts.data_type, {facts.data_type}):
        yield facts.name, entry.data_type
    if (entry.mandatory == "must") != facts.mandatory and not (entry.mandatory == "may" and not facts.mandatory):
        yield facts.name, f"M {entry.mandatory} be set"


def test_our_dictionary_agrees_with_tsharks() -> None:
    """Code, vendor, name, type and M flag of every AVP that any declaration names."""
    theirs = dictionary()
    found: set[tuple[str, str]] = set()
    for facts in {field.facts for cls in CLASSES for field in compile_class(cls).fields}:
        found.update(disagreements(facts, theirs[facts.vendor, facts.code]))
    assert found <= DISAGREEMENTS
