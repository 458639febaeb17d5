"""The capabilities exchange as values. RFC 6733 §5.3."""

from typing import Any

import pytest

from aiodiameter.capabilities import Verdict, common_applications, judge_cea, judge_cer, make_cea, make_cer
from aiodiameter.errors import AvpError
from aiodiameter.identity import Application, Identity
from aiodiameter.message import ErrorAnswer
from aiodiameter.messages.base import (
    CapabilitiesExchangeAnswer,
    InbandSecurityId,
    VendorSpecificApplicationId,
)
from aiodiameter.messages.credit_control import CREDIT_CONTROL_MESSAGES, CreditControlRequest
from aiodiameter.result_codes import ResultCode
from tests.aiodiameter.loopback import CREDIT_CONTROL, cer, identity

GX = Application(id=16777238, vendor_id=10415, messages=())
OWN = (CREDIT_CONTROL, GX)


def vsai(vendor_id: int = 10415, **ids: int) -> VendorSpecificApplicationId:
    return VendorSpecificApplicationId(vendor_id=[vendor_id], **ids)  # type: ignore[arg-type]


def cea(**avps: Any) -> CapabilitiesExchangeAnswer:
    return CapabilitiesExchangeAnswer(
        **{"result_code": 2001, "origin_host": "pcrf", "origin_realm": "r", "auth_application_id": [4], **avps}
    )


@pytest.mark.parametrize(
    ("avps", "common"),
    [
        ({"auth_application_id": [4]}, {4}),
        ({"auth_application_id": [], "acct_application_id": [4]}, {4}),
        ({"auth_application_id": [1, 2, 3]}, set()),
        ({"auth_application_id": []}, set()),
        ({"auth_application_id": [0xFFFFFFFF]}, {4, 16777238}),
        ({"auth_application_id": [16777238]}, {16777238}),
        (
            {"auth_application_id": [], "vendor_specific_application_id": [vsai(auth_application_id=16777238)]},
            {16777238},
        ),
        ({"auth_application_id": [], "vendor_specific_application_id": [vsai(1, auth_application_id=4)]}, {4}),
        ({"auth_application_id": [], "vendor_specific_application_id": [vsai(acct_application_id=4)]}, {4}),
        ({"vendor_specific_application_id": [vsai(), vsai(auth_application_id=16777238)]}, {4, 16777238}),
    ],
)
def test_an_application_is_common_wherever_it_is_named(avps: dict[str, Any], common: set[int]) -> None:
    assert common_applications(cer(**avps), OWN) == common


@pytest.mark.parametrize(
    ("avps", "code", "reason"),
    [
        ({}, ResultCode.SUCCESS, ""),
        ({"auth_application_id": [1]}, ResultCode.NO_COMMON_APPLICATION, "no-common-application"),
        ({"inband_security_id": [0]}, ResultCode.SUCCESS, ""),
        ({"inband_security_id": [InbandSecurityId.TLS, 0]}, ResultCode.SUCCESS, ""),
        ({"inband_security_id": [InbandSecurityId.TLS]}, ResultCode.NO_COMMON_SECURITY, "no-common-security"),
        ({"host": ""}, ResultCode.UNKNOWN_PEER, "unknown-peer"),
        ({"host": "OCS.example.org"}, ResultCode.UNKNOWN_PEER, "unknown-peer"),
    ],
)
def test_verdict_on_a_cer(avps: dict[str, Any], code: ResultCode, reason: str) -> None:
    verdict = judge_cer(cer(**avps), [], identity(), OWN)
    assert (verdict.result_code, verdict.reason) == (code, reason)
    assert verdict.applications == ({4} if code is ResultCode.SUCCESS else set())


def test_the_first_fault_of_a_cer_decides() -> None:
    faults = [AvpError(ResultCode.MISSING_AVP, "first"), AvpError(ResultCode.AVP_UNSUPPORTED, "second")]
    verdict = judge_cer(cer(), faults, identity(), OWN)
    assert (verdict.result_code, verdict.text) == (ResultCode.MISSING_AVP, "first")


@pytest.mark.parametrize(
    ("answer", "expected_host", "code", "text"),
    [
        (cea(), None, ResultCode.SUCCESS, ""),
        (cea(result_code=2002), "PCRF", ResultCode.SUCCESS, ""),
        (cea(), "other", ResultCode.UNKNOWN_PEER, "other was expected"),
        (cea(auth_application_id=[1]), None, ResultCode.NO_COMMON_APPLICATION, "no application"),
        (cea(result_code=5010, error_message="why"), None, ResultCode.UNABLE_TO_COMPLY, "5010 (why)"),
        (ErrorAnswer(origin_host="x", origin_realm="y", result_code=3010), None, ResultCode.UNABLE_TO_COMPLY, "3010"),
    ],
)
def test_verdict_on_a_cea(answer: Any, expected_host: str | None, code: ResultCode, text: str) -> None:
    verdict = judge_cea(answer, [], OWN, expected_host)
    assert verdict.result_code is code
    assert text in verdict.text


def test_a_faulty_cea_opens_nothing() -> None:
    verdict = judge_cea(cea(), [AvpError(ResultCode.AVP_UNSUPPORTED, "unknown AVP")], OWN, None)
    assert (verdict.result_code, verdict.reason) == (ResultCode.AVP_UNSUPPORTED, "bad-cea")


def test_what_we_say_of_ourselves() -> None:
    us = Identity(host="ocs", realm="r", product_name="Octroi", vendor_id=1, origin_state_id=9, firmware_revision=2)
    ours = make_cer(us, OWN, "192.0.2.7")
    assert (ours.origin_host, ours.origin_realm, ours.product_name) == ("ocs", "r", "Octroi")
    assert (ours.vendor_id, ours.origin_state_id, ours.firmware_revision) == (1, 9, 2)
    assert ours.host_ip_address == ["192.0.2.7"]
    assert ours.auth_application_id == [4]
    assert ours.vendor_specific_application_id == [vsai(auth_application_id=16777238)]
    assert ours.supported_vendor_id == [10415]
    configured = make_cer(Identity(host="ocs", realm="r", host_ip_addresses=("2001:db8::1",)), OWN, "192.0.2.7")
    assert configured.host_ip_address == ["2001:db8::1"]


def test_a_cea_says_the_same_and_the_verdict() -> None:
    request = cer()
    answer = make_cea(request, Verdict(ResultCode.SUCCESS), identity(), OWN, "192.0.2.7")
    assert isinstance(answer, CapabilitiesExchangeAnswer)
    assert (answer.result_code, answer.host_ip_address, answer.product_name) == (2001, ["192.0.2.7"], "test")
    assert (answer.auth_application_id, answer.error_message) == ([4], None)
    assert not answer.header.is_proxiable


def test_a_protocol_error_has_the_grammar_of_the_e_bit() -> None:
    answer = make_cea(cer(), Verdict(ResultCode.UNKNOWN_PEER, "", "who?"), identity(), OWN, "192.0.2.7")
    assert isinstance(answer, ErrorAnswer)
    assert answer.header.is_error
    assert (answer.result_code, answer.error_message) == (3010, "who?")


def test_an_application_holds_only_its_own_messages() -> None:
    with pytest.raises(ValueError, match=CreditControlRequest.__name__):
        Application(id=5, messages=CREDIT_CONTROL_MESSAGES)
