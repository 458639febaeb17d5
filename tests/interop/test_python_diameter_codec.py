"""The PyPI library python-diameter reads what we write as we meant it, and we read what it writes.

`diameter` is that library. Its generic AVPs are compared with our declared attributes at every depth, for any values;
then its typed message classes, which another program would use, in both directions.
"""

import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from diameter.message import Message as TheirMessage
from diameter.message import commands
from diameter.message.avp import Avp as TheirAvp
from diameter.message.avp import AvpGrouped, AvpInteger32, grouped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodiameter.codec import Registry, compile_class, encode
from aiodiameter.header import Header
from aiodiameter.message import Grouped, Message
from aiodiameter.messages.base import BASE_MESSAGES, CapabilitiesExchangeAnswer, DisconnectCause
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlAnswer,
    FinalUnitAction,
    FinalUnitIndication,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
    RedirectServer,
    SubscriptionIdType,
)
from tests.aiodiameter.declared import MESSAGES, instances

CAPTURE = Path(__file__).parents[3] / "shared" / "captures" / "gx-gy-four-rating-groups.jsonl"
REGISTRY = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)


def their_value(avp: TheirAvp, our_format: str) -> Any:
    """What the library reads, in the form in which we hold it."""
    value = avp.value
    if our_format == "Time":  # it shows local time
        assert isinstance(value, dt.datetime)
        seconds = int(value.timestamp())
        # Its second era begins an hour early: at 05:28:16, not 06:28:16 on 2036-02-07 (RFC 6733 §4.3.1).
        return seconds if avp.payload[0] >= 0x80 else seconds + 3600
    if our_format == "Address":
        family, address = value
        return str(ipaddress.ip_address(address)) if family in (1, 2) else f"{family}:{avp.payload[2:].hex()}"
    if our_format == "Unsigned32" and isinstance(avp, AvpInteger32):  # Result-Code is signed in its dictionary
        return value & 0xFFFFFFFF
    return value


def compare(ours: Grouped, theirs: Sequence[TheirAvp], *, in_our_order: bool = True) -> None:
    """Attribute by attribute in the order of the declaration and with the dictionary's flags, then what is in `other`.
    Messages of others have an order and flags of their own.
    """
    rest = list(theirs)
    for field in compile_class(type(ours)).fields:
        value = getattr(ours, field.attribute)
        for expected in value if field.repeats else [value] if value is not None else []:
            facts = field.facts
            found = [avp for avp in rest if (avp.code, avp.vendor_id) == (facts.code, facts.vendor)]
            avp = rest[0] if in_our_order else found[0]
            rest.remove(avp)
            assert (avp.code, avp.vendor_id) == (facts.code, facts.vendor)
            assert avp.flags == facts.flags or not in_our_order
            if field.group is not None:
                assert isinstance(avp, AvpGrouped)
                compare(expected, avp.value, in_our_order=in_our_order)
            elif isinstance(expected, str) and facts.data_type != "Address":  # some of its texts are octets
                assert avp.payload.decode() == expected
            else:
                assert their_value(avp, facts.data_type) == expected
    assert [(avp.code, avp.vendor_id, avp.flags, avp.payload) for avp in rest] == [
        (avp.code, avp.vendor, avp.flags, avp.data) for avp in ours.other
    ]


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_we_write_is_read_as_we_meant_it(cls: type[Message], data: st.DataObject) -> None:
    ours = data.draw(instances(cls))
    if not cls.command_code:  # the answer-message may belong to any command: here to one that the library knows
        ours.header.command_code = 272
    octets = encode(ours)
    theirs: Any = TheirMessage.from_bytes(octets, plain_msg=True)
    header, their_header = ours.header, theirs.header
    assert (their_header.version, their_header.length) == (1, len(octets))
    assert their_header.command_flags == header.flags
    assert (their_header.command_code, their_header.application_id) == (header.command_code, header.application_id)
    assert their_header.hop_by_hop_identifier == header.hop_by_hop
    assert their_header.end_to_end_identifier == header.end_to_end
    compare(ours, theirs.avps)
    # And back: what it writes of that is read as the message that it was.
    again = theirs.as_bytes()
    assert again == octets
    assert REGISTRY.decode(again)[1:] == (ours, [])


def captured() -> list[Any]:
    if not CAPTURE.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"the capture {CAPTURE} is not here"))]
    rows = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
    return [pytest.param(row, id=f"{row['frame']}-{row['name']}") for row in rows if row["app"] in (0, 4)]


@pytest.mark.parametrize("row", captured())
def test_both_see_the_same_in_captured_traffic(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["hex"])
    decoded = REGISTRY.decode(octets)
    assert decoded.errors == []
    compare(decoded.message, TheirMessage.from_bytes(octets, plain_msg=True).avps, in_our_order=False)


WHEN = dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


def test_their_credit_control_request() -> None:
    theirs: Any = commands.CreditControlRequest()
    theirs.header.application_id = 4
    theirs.header.hop_by_hop_identifier, theirs.header.end_to_end_identifier = 0xAABBCCDD, 0x11223344
    theirs.session_id = "gw.example;7;8"
    theirs.origin_host = b"gw.example"
    theirs.origin_realm = b"example"
    theirs.destination_realm = b"ocs.example"
    theirs.auth_application_id = 4
    theirs.service_context_id = "32251@3gpp.org"
    theirs.cc_request_type = 2
    theirs.cc_request_number = 0
    theirs.event_timestamp = WHEN.astimezone().replace(tzinfo=None)
    theirs.subscription_id = [
        grouped.SubscriptionId(subscription_id_type=0, subscription_id_data="491701234567"),
        grouped.SubscriptionId(subscription_id_type=1, subscription_id_data="262011234567890"),
    ]
    theirs.multiple_services_indicator = 1
    theirs.multiple_services_credit_control = [
        grouped.MultipleServicesCreditControl(
            requested_service_unit=grouped.RequestedServiceUnit(),
            used_service_unit=[grouped.UsedServiceUnit(cc_total_octets=2**40, cc_time=0)],
            rating_group=2**32 - 1,
        )
    ]
    theirs.route_record = [b"dra.example"]
    header, ours, errors = REGISTRY.decode(theirs.as_bytes())
    assert errors == []
    assert header == Header(272, 4, 0xC0, 0xAABBCCDD, 0x11223344)
    assert (ours.session_id, ours.origin_host, ours.destination_realm) == (
        "gw.example;7;8",
        "gw.example",
        "ocs.example",
    )
    assert (ours.cc_request_type, ours.cc_request_number) == (CcRequestType.UPDATE_REQUEST, 0)
    assert ours.event_timestamp == WHEN.timestamp()
    assert [(i.subscription_id_type, i.subscription_id_data) for i in ours.subscription_id] == [
        (SubscriptionIdType.END_USER_E164, "491701234567"),
        (SubscriptionIdType.END_USER_IMSI, "262011234567890"),
    ]
    [block] = ours.multiple_services_credit_control
    assert block.requested_service_unit is not None
    assert (block.used_service_unit[0].cc_total_octets, block.used_service_unit[0].cc_time) == (2**40, 0)
    assert block.rating_group == 2**32 - 1
    assert ours.route_record == ["dra.example"]


def test_their_base_messages() -> None:
    cer: Any = commands.CapabilitiesExchangeRequest()
    cer.origin_host, cer.origin_realm = b"gw.example", b"example"
    cer.host_ip_address = ["192.0.2.1", "2001:db8::1"]
    cer.vendor_id, cer.product_name, cer.origin_state_id = 10415, "gw", 5
    cer.auth_application_id = [4]
    cer.vendor_specific_application_id = [
        grouped.VendorSpecificApplicationId(vendor_id=10415, auth_application_id=16777238)
    ]
    header, ours, errors = REGISTRY.decode(cer.as_bytes())
    assert errors == []
    assert (header.command_code, header.application_id, header.is_request) == (257, 0, True)
    assert ours.host_ip_address == ["192.0.2.1", "2001:db8::1"]
    assert (ours.vendor_id, ours.product_name, ours.origin_state_id, ours.auth_application_id) == (10415, "gw", 5, [4])
    assert ours.vendor_specific_application_id[0].auth_application_id == 16777238

    dpr: Any = commands.DisconnectPeerRequest()
    dpr.origin_host, dpr.origin_realm, dpr.disconnect_cause = b"gw.example", b"example", 2
    _, ours, errors = REGISTRY.decode(dpr.as_bytes())
    assert (errors, ours.disconnect_cause) == ([], DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU)


def test_our_credit_control_answer_in_their_hands() -> None:
    ours = CreditControlAnswer(
        header=Header(272, 4, 0x40, 1, 2),
        session_id="gw.example;7;8",
        result_code=2001,
        origin_host="ocs.example",
        origin_realm="example",
        auth_application_id=4,
        cc_request_type=1,
        cc_request_number=0,
        cc_session_failover=1,
        credit_control_failure_handling=2,
        multiple_services_credit_control=[
            MultipleServicesCreditControl(
                granted_service_unit=GrantedServiceUnit(cc_total_octets=5 << 30),
                service_identifier=[3],
                rating_group=7,
                validity_time=3600,
                result_code=2001,
                final_unit_indication=FinalUnitIndication(
                    final_unit_action=FinalUnitAction.REDIRECT,
                    redirect_server=RedirectServer(redirect_address_type=2, redirect_server_address="http://top.up"),
                ),
                volume_quota_threshold=1 << 20,
                quota_holding_time=60,
            ),
            MultipleServicesCreditControl(rating_group=8, result_code=4012),
        ],
    )
    theirs: Any = TheirMessage.from_bytes(encode(ours))
    assert isinstance(theirs, commands.CreditControlAnswer)
    assert (theirs.session_id, theirs.result_code, theirs.cc_request_type) == ("gw.example;7;8", 2001, 1)
    assert (theirs.origin_host, theirs.cc_request_number) == (b"ocs.example", 0)
    assert (theirs.cc_session_failover, theirs.credit_control_failure_handling) == (1, 2)
    first, second = theirs.multiple_services_credit_control
    assert first.granted_service_unit.cc_total_octets == 5 << 30
    assert (first.service_identifier, first.rating_group, first.validity_time) == ([3], 7, 3600)
    assert first.final_unit_indication.final_unit_action == 1
    assert first.final_unit_indication.redirect_server.redirect_server_address == "http://top.up"
    assert (first.volume_quota_threshold, first.quota_holding_time) == (1 << 20, 60)
    assert (second.rating_group, second.result_code) == (8, 4012)


def test_our_capabilities_in_their_hands() -> None:
    ours = CapabilitiesExchangeAnswer(
        header=Header(257, 0, 0, 1, 2),
        result_code=2001,
        origin_host="ocs.example",
        origin_realm="example",
        host_ip_address=["2001:db8::1", "192.0.2.1"],
        vendor_id=0,
        product_name="Octroi",
        auth_application_id=[4],
        firmware_revision=1,
    )
    theirs: Any = TheirMessage.from_bytes(encode(ours))
    assert isinstance(theirs, commands.CapabilitiesExchangeAnswer)
    assert list[Any](theirs.host_ip_address) == [(2, "2001:db8::1"), (1, "192.0.2.1")]
    assert (theirs.result_code, theirs.vendor_id, theirs.product_name) == (2001, 0, "Octroi")
    assert (theirs.auth_application_id, theirs.firmware_revision) == ([4], 1)
