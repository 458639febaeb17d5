"""The errors' family tree, and what they carry."""

import inspect

import pytest

from aiodiameter import errors, pending
from aiodiameter.avp import Avp
from aiodiameter.errors import AvpError, DiameterError, FramingError
from aiodiameter.result_codes import ResultCode


def test_every_error_is_a_diameter_error() -> None:
    for module in (errors, pending):
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.__name__:
                assert issubclass(value, DiameterError)


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (errors.DeclarationError, DiameterError),
        (errors.EncodeError, DiameterError),
        (FramingError, DiameterError),
        (errors.PeerError, DiameterError),
        (errors.PeerGone, errors.PeerError),
        (errors.PeerRefused, errors.PeerError),
        (errors.AnswerTimeout, errors.PeerError),
        (errors.NodeClosed, DiameterError),
    ],
)
def test_the_tree_is_as_drawn(error: type[Exception], parent: type[Exception]) -> None:
    assert error.__bases__ == (parent,)
    assert error.__name__ in (errors.__doc__ or "")


def test_a_framing_error_says_what_and_where() -> None:
    error = FramingError(ResultCode.INVALID_MESSAGE_LENGTH, "too short", b"\x01\x00")
    assert str(error) == error.reason == "too short"
    assert error.result_code is ResultCode.INVALID_MESSAGE_LENGTH
    assert error.head == b"\x01\x00"


def test_a_fault_in_a_message_is_no_exception() -> None:
    fault = AvpError(ResultCode.MISSING_AVP, "Session-Id is missing", Avp(263, b"", flags=0x40))
    assert not isinstance(fault, BaseException)
    assert AvpError(ResultCode.INVALID_HDR_BITS, "E in a request").failed_avp is None
