"""What a declaration says, and the answer to a request. RFC 6733 §6.2, §7.2."""

from typing import Any, ClassVar

import pytest

from aiodiameter.avp import Avp
from aiodiameter.codec import Registry, encode
from aiodiameter.errors import DeclarationError
from aiodiameter.header import FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, FLAG_RETRANSMITTED, Header
from aiodiameter.message import (
    Answer,
    ErrorAnswer,
    FailedAvp,
    Grouped,
    ProxyInfo,
    Request,
    UnknownRequest,
    answer_header,
    avp,
    error_answer,
)
from aiodiameter.messages.base import BASE_MESSAGES, DeviceWatchdogAnswer, DeviceWatchdogRequest
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    SubscriptionId,
    SubscriptionIdType,
)
from aiodiameter.result_codes import ResultCode
from tests.aiodiameter.octets import ccr, frame, octets, split

US: dict[str, Any] = {"origin_host": "ocs.example", "origin_realm": "example"}
REGISTRY = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)
PROXIES = [ProxyInfo(proxy_host="dra1", proxy_state=b"\x00\xff"), ProxyInfo(proxy_host="dra2", proxy_state=b"")]


def request(flags: int = FLAG_REQUEST | FLAG_PROXIABLE, **avps: Any) -> CreditControlRequest:
    return CreditControlRequest(
        header=Header(272, 4, flags, 0xAAAAAAAA, 0xBBBBBBBB),
        session_id="gw;1;2",
        origin_host="gw.example",
        origin_realm="example",
        destination_realm="example",
        auth_application_id=4,
        service_context_id="32251@3gpp.org",
        cc_request_type=CcRequestType.UPDATE_REQUEST,
        cc_request_number=7,
        **avps,
    )


class TestRequest:
    """Requests of our own."""

    def test_a_new_request_has_its_commands_header(self) -> None:
        for cls in (*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES):
            header = cls.new_header()
            assert (header.command_code, header.application_id) == (cls.command_code, cls.application_id)
            assert header.is_request
            assert header.is_proxiable == cls.proxiable
            assert not header.is_error
            assert not header.is_retransmitted

    def test_each_request_has_a_header_of_its_own(self) -> None:
        one, two = (DeviceWatchdogRequest(**US) for _ in range(2))
        assert one.header == DeviceWatchdogRequest.new_header()
        assert one.header is not two.header

    def test_a_header_that_was_given_stays(self) -> None:
        assert request(flags=FLAG_REQUEST).header.flags == FLAG_REQUEST

    def test_lists_are_not_shared(self) -> None:
        one, two = request(), request()
        one.route_record.append("dra")
        one.other.append(Avp(1, b""))
        assert (two.route_record, two.other) == ([], [])


class TestAnswer:
    """§6.2: what an answer takes from its request."""

    def test_what_is_echoed(self) -> None:
        answer = request(proxy_info=PROXIES).answer(2001, **US)
        assert isinstance(answer, CreditControlAnswer)
        assert answer.header == Header(272, 4, FLAG_PROXIABLE, 0xAAAAAAAA, 0xBBBBBBBB)
        assert (answer.session_id, answer.cc_request_type, answer.cc_request_number) == ("gw;1;2", 2, 7)
        assert answer.auth_application_id == 4
        assert answer.proxy_info == PROXIES
        assert (answer.origin_host, answer.origin_realm) == ("ocs.example", "example")
        assert answer.result_code == 2001

    def test_what_is_not_echoed(self) -> None:
        answer = request(route_record=["dra"], other=[Avp(999, b"")], user_name="alice").answer(2001, **US)
        assert isinstance(answer, CreditControlAnswer)
        assert answer.other == []
        assert answer.user_name is None

    def test_avps_of_the_caller(self) -> None:
        answer = request().answer(2001, **US, validity_time=60, cc_request_number=8)
        assert isinstance(answer, CreditControlAnswer)
        assert (answer.validity_time, answer.cc_request_number) == (60, 8)

    @pytest.mark.parametrize(
        ("request_flags", "code", "answer_flags"),
        [
            (FLAG_REQUEST, 2001, 0),
            (FLAG_REQUEST | FLAG_PROXIABLE, 2001, FLAG_PROXIABLE),
            (FLAG_REQUEST | FLAG_PROXIABLE | FLAG_RETRANSMITTED, 2001, FLAG_PROXIABLE),
            (FLAG_REQUEST | FLAG_RETRANSMITTED | 0x0F, 5012, 0),
            (FLAG_REQUEST | FLAG_PROXIABLE, 3004, FLAG_PROXIABLE | FLAG_ERROR),
            (FLAG_REQUEST, 3004, FLAG_ERROR),
            (FLAG_REQUEST, 3999, FLAG_ERROR),
            (FLAG_REQUEST, 2999, 0),
            (FLAG_REQUEST, 4000, 0),
        ],
    )
    def test_flags(self, request_flags: int, code: int, answer_flags: int) -> None:
        assert request(flags=request_flags).answer(code, **US).header.flags == answer_flags

    def test_a_request_without_session_is_answered_without(self) -> None:
        answer = DeviceWatchdogRequest(origin_host="gw", origin_realm="example").answer(2001, **US, origin_state_id=3)
        assert answer == DeviceWatchdogAnswer(header=Header(280, 0, 0, 0, 0), result_code=2001, **US, origin_state_id=3)

    @pytest.mark.parametrize("code", [ResultCode.MISSING_AVP, ResultCode.TOO_BUSY])
    @pytest.mark.parametrize(
        "received",
        [
            ccr(without="Session-Id"),
            ccr(instead=octets("Session-Id", b"\xff")),
            ccr(instead=octets("Session-Id")),
        ],
        ids=["missing", "not UTF-8", "empty"],
    )
    def test_where_there_is_no_session_id_to_echo_none_is_sent(self, received: bytes, code: ResultCode) -> None:
        decoded = REGISTRY.decode(received)
        sent = encode(error_answer(decoded.header, decoded.message, code, **US))
        assert 263 not in [avp.code for avp in split(sent[20:])]


class TestErrorAnswer:
    """§7.2: the answer-message, and when it is due."""

    @pytest.mark.parametrize("code", [code for code in ResultCode if code.is_protocol_error])
    def test_a_protocol_error_has_the_e_bit_and_its_grammar(self, code: ResultCode) -> None:
        received = request(proxy_info=PROXIES)
        answer = error_answer(received.header, received, code, **US, error_message="why")
        assert answer == ErrorAnswer(
            header=Header(272, 4, FLAG_PROXIABLE | FLAG_ERROR, 0xAAAAAAAA, 0xBBBBBBBB),
            session_id="gw;1;2",
            **US,
            result_code=code,
            error_message="why",
            proxy_info=PROXIES,
        )

    @pytest.mark.parametrize("code", [code for code in ResultCode if not code.is_protocol_error])
    def test_any_other_error_is_the_commands_own_answer(self, code: ResultCode) -> None:
        received = request(proxy_info=PROXIES)
        failed = [FailedAvp(other=[Avp(999, b"x", flags=0x40)])]
        answer = error_answer(received.header, received, code, **US, failed_avp=failed)
        assert isinstance(answer, CreditControlAnswer)
        assert not answer.header.is_error
        assert (answer.result_code, answer.failed_avp, answer.proxy_info) == (code, failed, PROXIES)

    def test_a_request_that_nobody_could_read(self) -> None:
        header = Header(999, 4, FLAG_REQUEST | FLAG_RETRANSMITTED, 1, 2)
        answer = error_answer(header, None, ResultCode.COMMAND_UNSUPPORTED, **US)
        assert answer == ErrorAnswer(header=Header(999, 4, FLAG_ERROR, 1, 2), **US, result_code=3001)

    def test_a_request_of_an_unknown_command_has_its_session_and_its_proxies(self) -> None:
        message = UnknownRequest(header=Header(999, 4, 0xC0, 1, 2), session_id="s", proxy_info=PROXIES)
        answer = error_answer(message.header, message, ResultCode.COMMAND_UNSUPPORTED, **US)
        assert isinstance(answer, ErrorAnswer)
        assert (answer.session_id, answer.proxy_info) == ("s", PROXIES)
        assert answer.header == Header(999, 4, FLAG_PROXIABLE | FLAG_ERROR, 1, 2)
        permanent = error_answer(message.header, message, ResultCode.MISSING_AVP, **US)
        assert isinstance(permanent, ErrorAnswer)
        assert permanent.header.flags == FLAG_PROXIABLE
        assert (permanent.session_id, permanent.proxy_info) == ("s", PROXIES)

    def test_the_header_of_an_unknown_request_is_the_received_one_whatever_it_says(self) -> None:
        header = Header(0, 0, 0xFF, 1, 2)
        assert UnknownRequest(header=header).header is header

    def test_proxy_info_is_copied_octet_by_octet(self) -> None:
        """§6.2: in their order, Proxy-State as it came, also in an error answer."""
        proxies = [
            octets("Proxy-Info", octets("Proxy-Host", host) + octets("Proxy-State", state))
            for host, state in (("b", b"\x00\xff\x80"), ("a", b"")) * 2
        ]
        for code in (ResultCode.SUCCESS, ResultCode.TOO_BUSY, ResultCode.MISSING_AVP):
            decoded = REGISTRY.decode(ccr(*proxies))
            answer = error_answer(decoded.header, decoded.message, code, **US)
            assert b"".join(proxies) in encode(answer)
        decoded = REGISTRY.decode(frame(octets("Session-Id", "s"), *proxies, command=999))
        answer = error_answer(decoded.header, decoded.message, decoded.errors[0].result_code, **US)
        sent = encode(answer)
        assert sent[20:].startswith(octets("Session-Id", "s"))
        assert b"".join(proxies) in sent


def test_answer_header() -> None:
    assert answer_header(Header(272, 4, 0xFF, 5, 6), 0x40) == Header(272, 4, 0x40, 5, 6)


class TestDeclaration:
    """What a class may declare."""

    def test_an_attribute_that_names_no_avp(self) -> None:
        with pytest.raises(DeclarationError, match="nearest: Session-Id"):

            class _Wrong(Grouped, kw_only=True):
                sesion_id: str

    def test_an_avp_of_another_name(self) -> None:
        class Renamed(Answer, kw_only=True):
            command_code: ClassVar[int] = 272
            kind: int | None = avp("CC-Request-Type")
            many: list[int] = avp("Rating-Group", [])

        sent = encode(Renamed(header=Header(272), kind=1, many=[5, 6]))
        assert sent[20:] == octets("CC-Request-Type", 1) + octets("Rating-Group", 5) + octets("Rating-Group", 6)

    def test_a_request_names_its_answer(self) -> None:
        for cls in (*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES):
            answer = cls.answer_class
            assert (answer.command_code, answer.application_id) == (cls.command_code, cls.application_id)
            assert answer.proxiable == cls.proxiable
            assert cls.is_request
            assert not answer.is_request
            assert cls.name.removesuffix("-Request") == answer.name.removesuffix("-Answer")

    def test_what_is_shared_between_messages_cannot_be_assigned_to(self) -> None:
        subscription = SubscriptionId(
            subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data="4917"
        )
        with pytest.raises(AttributeError, match="immutable"):
            subscription.subscription_id_data = "4918"

    def test_requests_and_answers_are_told_apart(self) -> None:
        assert issubclass(UnknownRequest, Request)
        assert not issubclass(ErrorAnswer, Request)
