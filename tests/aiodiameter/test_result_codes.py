"""Result-Code values. RFC 6733 §7.1, RFC 8506 §9."""

import pytest

from aiodiameter.result_codes import ResultCode

CLASSES = ("is_success", "is_protocol_error", "is_transient", "is_permanent")


@pytest.mark.parametrize("code", list(ResultCode), ids=lambda code: code.name)
def test_a_code_is_of_the_class_of_its_thousands_digit(code: ResultCode) -> None:
    assert [getattr(code, name) for name in CLASSES] == [code // 1000 == digit for digit in (2, 3, 4, 5)]


def test_values_are_the_standards() -> None:
    rfc_6733 = {
        "SUCCESS": 2001, "LIMITED_SUCCESS": 2002,
        "COMMAND_UNSUPPORTED": 3001, "UNABLE_TO_DELIVER": 3002, "REALM_NOT_SERVED": 3003, "TOO_BUSY": 3004,
        "LOOP_DETECTED": 3005, "REDIRECT_INDICATION": 3006, "APPLICATION_UNSUPPORTED": 3007, "INVALID_HDR_BITS": 3008,
        "INVALID_AVP_BITS": 3009, "UNKNOWN_PEER": 3010,
        "AUTHENTICATION_REJECTED": 4001, "OUT_OF_SPACE": 4002, "ELECTION_LOST": 4003,
        "AVP_UNSUPPORTED": 5001, "UNKNOWN_SESSION_ID": 5002, "AUTHORIZATION_REJECTED": 5003, "INVALID_AVP_VALUE": 5004,
        "MISSING_AVP": 5005, "RESOURCES_EXCEEDED": 5006, "CONTRADICTING_AVPS": 5007, "AVP_NOT_ALLOWED": 5008,
        "AVP_OCCURS_TOO_MANY_TIMES": 5009, "NO_COMMON_APPLICATION": 5010, "UNSUPPORTED_VERSION": 5011,
        "UNABLE_TO_COMPLY": 5012, "INVALID_BIT_IN_HEADER": 5013, "INVALID_AVP_LENGTH": 5014,
        "INVALID_MESSAGE_LENGTH": 5015, "INVALID_AVP_BIT_COMBO": 5016, "NO_COMMON_SECURITY": 5017,
    }  # fmt: skip
    rfc_8506 = {
        "END_USER_SERVICE_DENIED": 4010, "CREDIT_CONTROL_NOT_APPLICABLE": 4011, "CREDIT_LIMIT_REACHED": 4012,
        "USER_UNKNOWN": 5030, "RATING_FAILED": 5031,
    }  # fmt: skip
    assert {code.name: int(code) for code in ResultCode} == rfc_6733 | rfc_8506


def test_only_a_delivery_failure_may_be_tried_elsewhere() -> None:
    assert [code for code in ResultCode if code.may_retry_elsewhere] == [3002, 3004, 3005]
