"""The base protocol's commands. RFC 6733 §5, §7.2."""

from typing import Any

import pytest

from aiodiameter.codec import Registry, encode
from aiodiameter.header import Header
from aiodiameter.message import ErrorAnswer, FailedAvp, ProxyInfo
from aiodiameter.messages.base import (
    BASE_MESSAGES,
    CapabilitiesExchangeAnswer,
    CapabilitiesExchangeRequest,
    DeviceWatchdogAnswer,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerAnswer,
    DisconnectPeerRequest,
    InbandSecurityId,
    VendorSpecificApplicationId,
)
from aiodiameter.result_codes import ResultCode
from tests.aiodiameter.grammar import check
from tests.aiodiameter.octets import frame, octets

REGISTRY = Registry(*BASE_MESSAGES)
ORIGIN = octets("Origin-Host", "gw.example") + octets("Origin-Realm", "example")


def test_capabilities_exchange_request() -> None:
    check(
        CapabilitiesExchangeRequest,
        """{ Origin-Host } { Origin-Realm } 1*{ Host-IP-Address } { Vendor-Id } { Product-Name } [ Origin-State-Id ]
        *[ Supported-Vendor-Id ] *[ Auth-Application-Id ] *[ Inband-Security-Id ] *[ Acct-Application-Id ]
        *[ Vendor-Specific-Application-Id ] [ Firmware-Revision ] *[ AVP ]""",
    )


def test_capabilities_exchange_answer() -> None:
    """A refusal that leaves out what the grammar wants is still the answer that was waited for."""
    check(
        CapabilitiesExchangeAnswer,
        """{ Result-Code } { Origin-Host } { Origin-Realm } 1*{ Host-IP-Address } { Vendor-Id } { Product-Name }
        [ Origin-State-Id ] [ Error-Message ] [ Failed-AVP ] *[ Supported-Vendor-Id ] *[ Auth-Application-Id ]
        *[ Inband-Security-Id ] *[ Acct-Application-Id ] *[ Vendor-Specific-Application-Id ] [ Firmware-Revision ]
        *[ AVP ]""",
        optional_here=("Host-IP-Address", "Vendor-Id", "Product-Name"),
        repeats_here=("Failed-AVP",),
    )


def test_disconnect_peer() -> None:
    check(DisconnectPeerRequest, "{ Origin-Host } { Origin-Realm } { Disconnect-Cause } *[ AVP ]")
    check(
        DisconnectPeerAnswer,
        "{ Result-Code } { Origin-Host } { Origin-Realm } [ Error-Message ] [ Failed-AVP ] *[ AVP ]",
        repeats_here=("Failed-AVP",),
    )


def test_device_watchdog() -> None:
    check(DeviceWatchdogRequest, "{ Origin-Host } { Origin-Realm } [ Origin-State-Id ] *[ AVP ]")
    check(
        DeviceWatchdogAnswer,
        """{ Result-Code } { Origin-Host } { Origin-Realm } [ Error-Message ] [ Failed-AVP ] [ Origin-State-Id ]
        *[ AVP ]""",
        repeats_here=("Failed-AVP",),
    )


def test_answer_message() -> None:
    check(
        ErrorAnswer,
        """0*1< Session-Id > { Origin-Host } { Origin-Realm } { Result-Code } [ Origin-State-Id ] [ Error-Message ]
        [ Error-Reporting-Host ] [ Failed-AVP ] [ Experimental-Result ] *[ Proxy-Info ] *[ AVP ]""",
        left_out=("Experimental-Result",),
        repeats_here=("Failed-AVP",),
    )


def test_groups() -> None:
    check(
        VendorSpecificApplicationId,
        "{ Vendor-Id } [ Auth-Application-Id ] [ Acct-Application-Id ]",
        optional_here=("Vendor-Id",),
        repeats_here=("Vendor-Id",),
    )
    check(ProxyInfo, "{ Proxy-Host } { Proxy-State } *[ AVP ]")
    check(FailedAvp, "1*{ AVP }")


@pytest.mark.parametrize(
    ("cls", "code"),
    [
        (CapabilitiesExchangeRequest, 257),
        (DeviceWatchdogRequest, 280),
        (DisconnectPeerRequest, 282),
    ],
)
def test_command_codes_and_flags(cls: Any, code: int) -> None:
    """§3.1, §5: base commands have application 0, and P is clear in both directions."""
    assert (cls.command_code, cls.application_id, cls.proxiable) == (code, 0, False)
    assert cls.new_header() == Header(code, 0, 0x80)
    assert cls in BASE_MESSAGES


def test_enumerations() -> None:
    assert {cause.name: int(cause) for cause in DisconnectCause} == {
        "REBOOTING": 0, "BUSY": 1, "DO_NOT_WANT_TO_TALK_TO_YOU": 2,
    }  # fmt: skip
    assert {security.name: int(security) for security in InbandSecurityId} == {"NO_INBAND_SECURITY": 0, "TLS": 1}


@pytest.mark.parametrize("cause", [3, -1, 2**31 - 1])
def test_a_disconnect_cause_that_does_not_exist_is_5004(cause: int) -> None:
    wrong = octets("Disconnect-Cause", cause)
    _, message, errors = REGISTRY.decode(frame(ORIGIN, wrong, command=282, application=0, flags=0x80))
    assert [(error.result_code, error.failed_avp.to_bytes()) for error in errors if error.failed_avp] == [
        (ResultCode.INVALID_AVP_VALUE, wrong),
        (ResultCode.MISSING_AVP, octets("Disconnect-Cause", 0)),
    ]
    assert message.origin_host == "gw.example"


def test_a_peer_that_offers_security_we_do_not_know_of() -> None:
    """What to make of it is decided with the peer's other offers, not here."""
    cer = frame(
        ORIGIN,
        octets("Host-IP-Address", bytes.fromhex("0001c0000201")),
        octets("Vendor-Id", 0),
        octets("Product-Name", "gw"),
        octets("Inband-Security-Id", 7),
        octets("Inband-Security-Id", 0),
        command=257,
        application=0,
        flags=0x80,
    )
    message, errors = REGISTRY.decode(cer)[1:]
    assert (message.inband_security_id, errors) == ([7, 0], [])


def test_a_peer_that_names_several_vendors_for_one_application() -> None:
    """RFC 3588 §6.11 allowed it; RFC 6733 §6.11 asks for one and lets others be ignored."""
    group = octets("Vendor-Id", 10415) + octets("Vendor-Id", 0) + octets("Auth-Application-Id", 16777238)
    answer = frame(
        octets("Result-Code", 2001),
        ORIGIN,
        octets("Vendor-Specific-Application-Id", group),
        command=257,
        application=0,
        flags=0,
    )
    message, errors = REGISTRY.decode(answer)[1:]
    assert errors == []
    assert message.vendor_specific_application_id == [
        VendorSpecificApplicationId(vendor_id=[10415, 0], auth_application_id=16777238)
    ]


@pytest.mark.parametrize(
    ("sent", "octets_"),
    [
        (
            DeviceWatchdogRequest(origin_host="a.b", origin_realm="b", origin_state_id=1),
            "01000038 80000118 00000000 00000000 00000000"
            "00000108 4000000b 612e6200 00000128 40000009 62000000 00000116 4000000c 00000001",
        ),
        (
            DisconnectPeerRequest(origin_host="a.b", origin_realm="b", disconnect_cause=DisconnectCause.BUSY),
            "01000038 8000011a 00000000 00000000 00000000"
            "00000108 4000000b 612e6200 00000128 40000009 62000000 00000111 4000000c 00000001",
        ),
        (
            CapabilitiesExchangeAnswer(
                header=Header(257, 0, 0, 1, 2), result_code=5010, origin_host="a.b", origin_realm="b", product_name="p"
            ),
            "01000044 00000101 00000000 00000001 00000002 0000010c 4000000c 00001392"
            "00000108 4000000b 612e6200 00000128 40000009 62000000 0000010d 00000009 70000000",
        ),
    ],
)
def test_octet_by_octet(sent: Any, octets_: str) -> None:
    expected = bytes.fromhex(octets_)
    got = encode(sent)
    assert got[4:] == expected[4:]
    assert got[:4] == b"\x01" + len(expected).to_bytes(3, "big")
