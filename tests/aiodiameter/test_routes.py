"""Whether a request was meant for this node. RFC 6733 §6.1.4."""

from typing import Any

import pytest

from aiodiameter.messages.base import DeviceWatchdogRequest
from aiodiameter.messages.credit_control import CreditControlRequest
from aiodiameter.result_codes import ResultCode
from aiodiameter.routes import Addressee, Route
from tests.aiodiameter.loopback import ccr, grant

HERE = Addressee("ocs.example.org", frozenset({"example.org", "Other.example"}))


@pytest.mark.parametrize(
    ("avps", "code"),
    [
        ({}, None),
        ({"destination_realm": "EXAMPLE.org"}, None),
        ({"destination_realm": "other.example"}, None),
        ({"destination_realm": "elsewhere.example"}, ResultCode.REALM_NOT_SERVED),
        ({"destination_host": "ocs.example.org"}, None),
        ({"destination_host": "OCS.Example.Org"}, None),
        ({"destination_host": "ocs.example.org", "destination_realm": "elsewhere.example"}, None),
        ({"destination_host": "ocs2.example.org"}, ResultCode.UNABLE_TO_DELIVER),
        ({"auth_application_id": 16777238}, ResultCode.APPLICATION_UNSUPPORTED),
        ({"route_record": ["dra.example.org"]}, None),
        ({"route_record": ["dra.example.org", "OCS.example.org"]}, ResultCode.LOOP_DETECTED),
    ],
)
def test_a_request_that_was_meant_for_another_is_refused(avps: dict[str, Any], code: ResultCode | None) -> None:
    assert Route(CreditControlRequest, grant, HERE).misdelivery(ccr(**avps)) is code


def test_any_realm_will_do_where_none_is_named() -> None:
    route = Route(CreditControlRequest, grant, Addressee("ocs.example.org", frozenset()))
    assert route.misdelivery(ccr(destination_realm="elsewhere.example")) is None


def test_any_host_will_do_where_the_settings_say_so() -> None:
    route = Route(CreditControlRequest, grant, Addressee("ocs.example.org", frozenset(("example.org",)), any_host=True))
    assert route.misdelivery(ccr(destination_host="ocs-before-last.example.org")) is None
    assert route.misdelivery(ccr(destination_realm="elsewhere.example")) is ResultCode.REALM_NOT_SERVED


def test_a_request_without_destination_is_for_whoever_gets_it() -> None:
    request = DeviceWatchdogRequest(origin_host="a", origin_realm="b")
    assert Route(DeviceWatchdogRequest, grant, HERE).misdelivery(request) is None
