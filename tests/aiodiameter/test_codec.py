"""Decoders and encoders compiled from declarations: round trips, every fault and its exact answer, and any octets."""

import enum
import gc
import json
import random
import time
import tracemalloc
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiodiameter import codec
from aiodiameter.avp import FLAG_MANDATORY, FLAG_VENDOR, Avp
from aiodiameter.codec import MAX_FAULTS, MAX_MESSAGE_LENGTH, Registry, compile_class, encode
from aiodiameter.dictionary import facts_of
from aiodiameter.errors import AvpError, DeclarationError, EncodeError
from aiodiameter.header import Header
from aiodiameter.message import (
    Answer,
    ErrorAnswer,
    FailedAvp,
    FrozenGroup,
    Grouped,
    Message,
    ProxyInfo,
    Request,
    UnknownRequest,
    avp,
    error_answer,
)
from aiodiameter.messages.base import BASE_MESSAGES, CapabilitiesExchangeRequest, DisconnectCause, DisconnectPeerRequest
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
    RequestedServiceUnit,
    SubscriptionId,
    UsedServiceUnit,
)
from aiodiameter.result_codes import ResultCode
from tests.aiodiameter.declared import (
    CLASSES,
    EDGES,
    GROUPS,
    MESSAGES,
    OUTSIDE,
    format_of,
    instances,
    is_text,
    least,
)
from tests.aiodiameter.octets import CCR, RawAvp, ccr, frame, octets, split

CAPTURE = Path(__file__).parents[3] / "shared" / "captures" / "gx-gy-four-rating-groups.jsonl"
REGISTRY = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)
US: dict[str, Any] = {"origin_host": "ocs.example", "origin_realm": "example"}
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def by_name(cls: type) -> str:
    return cls.__name__


def read_group(cls: type[Grouped], data: bytes) -> tuple[Grouped, list[AvpError]]:
    errors: list[AvpError] = []
    return compile_class(cls).read(data, 0, len(data), errors), errors


def write_group(group: Grouped) -> bytes:
    return compile_class(type(group)).write(group)


def decode_ccr(data: bytes) -> tuple[CreditControlRequest, list[AvpError]]:
    decoded = REGISTRY.decode(data)
    assert isinstance(decoded.message, CreditControlRequest)
    return decoded.message, decoded.errors


# Round trips.


@pytest.mark.parametrize("cls", MESSAGES, ids=by_name)
@given(data=st.data())
@SLOW
def test_every_message_survives(cls: type[Message], data: st.DataObject) -> None:
    sent = data.draw(instances(cls))
    frame_ = encode(sent)
    assert int.from_bytes(frame_[1:4], "big") == len(frame_)
    assert len(frame_) % 4 == 0
    decoded = REGISTRY.decode(frame_)
    assert decoded.errors == []
    assert decoded.header == sent.header
    assert decoded.message == sent
    assert type(decoded.message) is cls


@pytest.mark.parametrize("cls", GROUPS, ids=by_name)
@given(data=st.data())
@SLOW
def test_every_group_survives(cls: type[Grouped], data: st.DataObject) -> None:
    sent = data.draw(instances(cls))
    assert read_group(cls, write_group(sent)) == (sent, [])


@given(data=st.data())
@SLOW
def test_a_message_survives_in_the_octets_around_it(data: st.DataObject) -> None:
    """A group is read from where it stands in the message, not from the message's beginning."""
    cls = data.draw(st.sampled_from(GROUPS))
    group = write_group(data.draw(instances(cls)))
    errors: list[AvpError] = []
    before = b"\xff" * 4 * data.draw(st.integers(0, 5))
    read = compile_class(cls).read(before + group + b"\xff" * 7, len(before), len(before) + len(group), errors)
    assert errors == []
    assert write_group(read) == group


FIELDS = [(cls, field) for cls in CLASSES for field in compile_class(cls).fields]
PLAIN_FIELDS = [(cls, field) for cls, field in FIELDS if field.group is None]


def field_name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else str(value.attribute)


def edges_of(field: Any) -> list[Any]:
    return list(field.enumeration) if field.enumeration else EDGES[format_of(field.facts, is_text(field))]


def outside_of(field: Any) -> list[Any]:
    return OUTSIDE[format_of(field.facts, is_text(field))]


def holding(cls: type[Any], field: Any, value: Any) -> Any:
    return cls(**least(cls) | {field.attribute: [value] if field.repeats else value})


@pytest.mark.parametrize(("cls", "field"), PLAIN_FIELDS, ids=field_name)
def test_edge_values_of_every_attribute_survive(cls: type[Grouped], field: Any) -> None:
    for value in edges_of(field):
        sent = holding(cls, field, value)
        read, errors = read_group(cls, write_group(sent))
        assert errors == []
        assert getattr(read, field.attribute) == getattr(sent, field.attribute)


@pytest.mark.parametrize(("cls", "field"), PLAIN_FIELDS, ids=field_name)
def test_values_outside_of_every_attribute_are_refused_by_name(cls: type[Grouped], field: Any) -> None:
    for value in outside_of(field):
        with pytest.raises(EncodeError, match=f"^{field.facts.name}: "):
            write_group(holding(cls, field, value))


@pytest.mark.parametrize(("cls", "field"), [(c, f) for c, f in FIELDS if f.group is not None], ids=field_name)
def test_a_group_of_another_class_is_refused_by_name(cls: type[Grouped], field: Any) -> None:
    values: list[Any] = ["text", 5, {}, Avp(1, b""), Header(272)]
    for value in values:
        with pytest.raises(EncodeError, match=f"^{field.facts.name}: .* is no {field.group.__name__}"):
            write_group(holding(cls, field, value))


@pytest.mark.parametrize(("cls", "field"), [(c, f) for c, f in FIELDS if f.repeats], ids=field_name)
def test_what_repeats_has_to_be_a_list(cls: type[Grouped], field: Any) -> None:
    for value in ("abc", b"abc", 5, ("a",), {1: 2}):
        with pytest.raises(EncodeError, match=f"^{field.facts.name}: "):
            write_group(cls(**least(cls) | {field.attribute: value}))


def test_an_error_names_the_whole_path() -> None:
    block = MultipleServicesCreditControl(granted_service_unit=GrantedServiceUnit(cc_total_octets=-1))
    answer = CreditControlAnswer(**least(CreditControlAnswer) | {"multiple_services_credit_control": [block]})
    path = "^Multiple-Services-Credit-Control: Granted-Service-Unit: CC-Total-Octets: -1 does not fit"
    with pytest.raises(EncodeError, match=path):
        encode(answer)


@pytest.mark.parametrize(
    "other",
    [[Avp(2**32, b"")], [Avp(1, "text")], [Avp(1, b"", flags=256)], ["text"], [None], 5],  # type: ignore[arg-type]
)
@pytest.mark.parametrize("cls", [FailedAvp, CcRequestType, RequestedServiceUnit], ids=by_name)
def test_other_avps_that_cannot_be_sent_are_refused(cls: Any, other: Any) -> None:
    sent = FailedAvp(other=other) if cls is CcRequestType else cls(other=other)
    with pytest.raises(EncodeError, match=r"^other: "):
        write_group(sent)


@pytest.mark.parametrize(
    "header", [Header(272, 2**32), Header(272, hop_by_hop=-1), Header(272, end_to_end=2**32), Header(272, flags=256)]
)
def test_a_header_that_cannot_be_sent_is_refused(header: Header) -> None:
    with pytest.raises(EncodeError, match="Header"):
        encode(DisconnectPeerRequest(header=header, **US, disconnect_cause=DisconnectCause.BUSY))


def test_a_message_that_is_too_long_is_refused() -> None:
    """Its length would run over into the version."""
    empty = encode(ErrorAnswer(header=Header(272), **US, result_code=1, error_message=""))
    room = MAX_MESSAGE_LENGTH - len(empty)
    longest = encode(ErrorAnswer(header=Header(272), **US, result_code=1, error_message="x" * room))
    assert longest[:4] == b"\x01\xff\xff\xfc"
    with pytest.raises(EncodeError, match="16777216 octets"):
        encode(ErrorAnswer(header=Header(272), **US, result_code=1, error_message="x" * (room + 1)))


def test_avps_stand_in_the_order_of_their_declaration() -> None:
    for cls in CLASSES:
        values: dict[str, Any] = {}
        for field in compile_class(cls).fields:
            one = field.group(**least(field.group)) if field.group else edges_of(field)[0]
            values[field.attribute] = [one, one] if field.repeats else one
        sent = split(write_group(cls(**values, other=[Avp(999_999, b"last")])))
        declared = [field.facts for field in compile_class(cls).fields for _ in range(1 + field.repeats)]
        assert [(raw.code, raw.vendor) for raw in sent] == [(f.code, f.vendor) for f in declared] + [(999_999, 0)]
        assert [raw.flags for raw in sent] == [facts.flags for facts in declared] + [0]
        names = [facts.name for facts in declared]
        assert "Session-Id" not in names[1:], "Session-Id comes first (RFC 6733 §8.8)"


def test_what_is_not_declared_is_kept() -> None:
    unknown = octets(999_999, b"abc"), octets(263, b"x", vendor=4_000_000), octets(999_998, b"", flags=0x20)
    known = octets("Event-Type", b"", flags=0xC0), octets("Class", b"\x00\xff")
    message, errors = decode_ccr(ccr(*unknown, *known))
    assert errors == []
    assert message.other == [
        Avp(999_999, b"abc", 0, 0),
        Avp(263, b"x", 4_000_000, FLAG_VENDOR),
        Avp(999_998, b"", 0, 0x20),
        Avp(823, b"", 10415, 0xC0),
        Avp(25, b"\x00\xff", 0, FLAG_MANDATORY),
    ]
    assert message.session_id == "gw.example;1;2"
    assert encode(message).endswith(b"".join(unknown + known))


@pytest.mark.parametrize("order", range(4))
def test_the_order_of_received_avps_does_not_matter(order: int) -> None:
    """RFC 6733 §3.2: only AVPs in angle brackets have a place, and a receiver has no use for it."""
    avps = list(CCR.values())
    random.Random(order).shuffle(avps)
    assert decode_ccr(frame(*avps)) == decode_ccr(ccr())


def test_padding_is_not_data_and_may_be_anything() -> None:
    """§4.1. The padding after the last AVP of a group may be missing from the group's length, too."""
    plain = octets("Session-Id", "abcde")
    message, errors = decode_ccr(ccr(instead=plain[:-3] + b"\xff\xff\xff"))
    assert (message.session_id, errors) == ("abcde", [])
    inside = octets("Subscription-Id-Type", 0) + octets("Subscription-Id-Data", "12345")
    message, errors = decode_ccr(ccr(octets("Subscription-Id", inside, length=8 + len(inside) - 3)))
    assert errors == []
    assert [one.subscription_id_data for one in message.subscription_id] == ["12345"]


def test_flags_that_differ_from_the_dictionarys_are_accepted() -> None:
    """M, P and reserved bits of a known AVP tell a server nothing."""
    for flags in (0x00, 0x20, 0x60, 0x7F, 0x1F):
        message, errors = decode_ccr(ccr(instead=octets("CC-Request-Number", 7, flags=flags)))
        assert (message.cc_request_number, errors) == (7, [])


class TestVendors:
    """RFC 6733 §4.1: the Vendor-Id is part of an AVP's name."""

    @pytest.mark.parametrize(
        ("name", "data", "attribute", "value"),
        [
            ("CC-Request-Number", 7, "cc_request_number", 7),
            ("Session-Id", "s", "session_id", "s"),
            ("CC-Request-Type", 3, "cc_request_type", CcRequestType.TERMINATION_REQUEST),
        ],
    )
    def test_vendor_0_is_the_ietf(self, name: str, data: Any, attribute: str, value: Any) -> None:
        """§4.1.1. The data begin four octets later, and must not be taken from the Vendor-Id's place."""
        message, errors = decode_ccr(ccr(instead=octets(name, data, flags=FLAG_VENDOR | FLAG_MANDATORY)))
        assert errors == []
        assert getattr(message, attribute) == value

    def test_vendor_0_with_data_of_the_wrong_length(self) -> None:
        wrong = octets("CC-Request-Number", b"abc", flags=FLAG_VENDOR)
        _, errors = decode_ccr(ccr(instead=wrong))
        assert errors[0].result_code is ResultCode.INVALID_AVP_LENGTH

    def test_an_ietf_code_of_another_vendor_is_another_avp(self) -> None:
        foreign = octets("CC-Request-Number", 99, vendor=10415, flags=0)
        message, errors = decode_ccr(ccr(foreign))
        assert (message.cc_request_number, errors) == (7, [])
        assert message.other == [Avp(415, b"\x00\x00\x00\x63", 10415, FLAG_VENDOR)]
        _, errors = decode_ccr(ccr(foreign, without="CC-Request-Number"))
        assert [error.result_code for error in errors] == [ResultCode.MISSING_AVP]

    def test_a_3gpp_code_without_vendor_is_another_avp(self) -> None:
        message, errors = decode_ccr(ccr(octets(873, octets(874, b""))))
        assert (message.service_information, errors) == (None, [])


class TestEachFault:
    """One fault, the Result-Code and the Failed-AVP that the clause asks for. RFC 6733 §7.1.5, §7.5."""

    @staticmethod
    def check(data: bytes, code: ResultCode, failed: bytes, text: str) -> None:
        decoded = REGISTRY.decode(data)
        assert decoded.errors
        error = decoded.errors[0]
        assert error.result_code is code
        assert error.failed_avp is not None
        assert error.failed_avp.to_bytes() == failed
        assert text in error.text
        answer = error_answer(
            decoded.header, decoded.message, code, **US, failed_avp=[FailedAvp(other=[error.failed_avp])]
        )
        sent = encode(answer)
        assert octets("Failed-AVP", failed) in sent
        # The answer itself is right, whatever it quotes; only a Session-Id that was not there cannot be repeated.
        without_session = getattr(decoded.message, "session_id", None) == ""
        texts = [fault.text for fault in REGISTRY.decode(sent).errors]
        assert texts == ["Session-Id is missing"] * without_session

    @pytest.mark.parametrize("name", list(CCR))
    def test_missing(self, name: str) -> None:
        """The Failed-AVP is an example with the AVP's code, vendor and flags, filled with zeros."""
        empty = name in ("Session-Id", "Origin-Host", "Origin-Realm", "Destination-Realm", "Service-Context-Id")
        self.check(ccr(without=name), ResultCode.MISSING_AVP, octets(name, b"" if empty else 0), f"{name} is missing")

    @pytest.mark.parametrize("name", [name for name in CCR if name != "CC-Request-Type"])
    def test_twice(self, name: str) -> None:
        """The first of those that are too many, not the one that was read."""
        second = octets(name, 999) if len(CCR[name]) == 12 else octets(name, "second")
        self.check(ccr(second, octets(name, 5)), ResultCode.AVP_OCCURS_TOO_MANY_TIMES, second, "more than once")

    def test_twice_the_same_enumerated(self) -> None:
        second = octets("CC-Request-Type", 1)
        self.check(ccr(second), ResultCode.AVP_OCCURS_TOO_MANY_TIMES, second, "CC-Request-Type: occurs more than once")

    def test_twice_a_group(self) -> None:
        group = octets("Requested-Service-Unit", octets("CC-Time", 5))
        message, errors = decode_ccr(ccr(octets("Requested-Service-Unit"), group, group))
        assert [error.result_code for error in errors] == [ResultCode.AVP_OCCURS_TOO_MANY_TIMES] * 2
        assert message.requested_service_unit == RequestedServiceUnit()
        self.check(ccr(octets("Requested-Service-Unit"), group), ResultCode.AVP_OCCURS_TOO_MANY_TIMES, group, "once")

    @pytest.mark.parametrize("value", [0, 5, 9, -1, 2**31 - 1, -(2**31)])
    def test_enumerated_out_of_range(self, value: int) -> None:
        wrong = octets("CC-Request-Type", value)
        text = f"CC-Request-Type: {value} is none of 1 INITIAL_REQUEST, 2 UPDATE"
        self.check(ccr(instead=wrong), ResultCode.INVALID_AVP_VALUE, wrong, text)

    @pytest.mark.parametrize("text", [b"\xff", b"abc\xc0\xaf", b"\xed\xa0\x80"])
    @pytest.mark.parametrize(
        "name", ["Session-Id", "Service-Context-Id", "Origin-Host", "Destination-Realm", "User-Name", "Route-Record"]
    )
    def test_text_that_is_not_utf8(self, name: str, text: bytes) -> None:
        wrong = octets(name, text)
        data = ccr(instead=wrong) if name in CCR else ccr(wrong)
        self.check(data, ResultCode.INVALID_AVP_VALUE, wrong, f"{name}: not UTF-8")

    @pytest.mark.parametrize("length", [0, 1, 3, 5, 8])
    @pytest.mark.parametrize("name", ["CC-Request-Number", "CC-Request-Type", "Event-Timestamp", "Service-Identifier"])
    def test_a_number_of_the_wrong_length(self, name: str, length: int) -> None:
        wrong = octets(name, b"\x01" * length)
        data = ccr(instead=wrong) if name in CCR else ccr(wrong)
        self.check(data, ResultCode.INVALID_AVP_LENGTH, wrong, f"{name}: {length} octets of data where 4 are due")

    def test_a_64_bit_number_of_32_bits(self) -> None:
        group, wrong = facts_of("Requested-Service-Unit").name, octets("CC-Total-Octets", 5)
        self.check(ccr(octets(group, wrong)), ResultCode.INVALID_AVP_LENGTH, octets(group, wrong), "where 8 are due")

    @pytest.mark.parametrize("data", ["", "01", "0001", "000101020304ff", "00020102030405060708"])
    def test_an_address_of_the_wrong_length(self, data: str) -> None:
        wrong = octets("PDP-Address", bytes.fromhex(data))
        groups = octets("Service-Information", octets("PS-Information", wrong))
        self.check(ccr(groups), ResultCode.INVALID_AVP_LENGTH, groups, "PDP-Address: ")

    @pytest.mark.parametrize("length", range(8))
    def test_an_avp_shorter_than_its_header(self, length: int) -> None:
        """The header, and the least payload of its format, in zeros."""
        wrong = octets("CC-Request-Number", 7, length=length)
        failed, text = octets("CC-Request-Number", 0), f"CC-Request-Number: AVP Length {length} is shorter"
        self.check(ccr(instead=wrong), ResultCode.INVALID_AVP_LENGTH, failed, text)

    @pytest.mark.parametrize("length", range(12))
    def test_an_avp_with_vendor_shorter_than_its_header(self, length: int) -> None:
        wrong = octets("Service-Information", b"", length=length)
        failed, text = octets("Service-Information"), f"Service-Information: AVP Length {length} is shorter"
        self.check(ccr(wrong), ResultCode.INVALID_AVP_LENGTH, failed, text)

    @pytest.mark.parametrize(
        ("name", "payload"),
        [
            ("CC-Request-Number", 4), ("CC-Total-Octets", 8), ("Event-Timestamp", 4), ("Host-IP-Address", 6),
            ("Session-Id", 0), ("Service-Information", 0), ("Proxy-State", 0), ("Token-Rate", 4),
        ],
    )  # fmt: skip
    def test_an_avp_past_the_end_of_the_message(self, name: str, payload: int) -> None:
        for length in (100, 0xFFFFFF):
            wrong = octets(name, b"\x07" * 4, length=length)
            data = ccr(wrong)
            failed, text = (
                octets(name, bytes(payload)),
                f"{name}: AVP Length {length} goes {length - len(wrong)} octets",
            )
            self.check(data, ResultCode.INVALID_AVP_LENGTH, failed, text)

    def test_an_unknown_avp_past_the_end_of_the_message(self) -> None:
        wrong = octets(999_999, 7, flags=0x40, length=99)
        self.check(ccr(wrong), ResultCode.INVALID_AVP_LENGTH, octets(999_999, flags=0x40), "AVP 999999: AVP Length 99")

    def test_an_avp_past_the_end_of_its_group(self) -> None:
        """It does not reach into what follows the group."""
        wrong = octets("Requested-Service-Unit", octets("CC-Time", 5, length=16))
        failed = octets("Requested-Service-Unit", octets("CC-Time", 0))
        data = ccr(wrong, octets("User-Name", "alice"))
        self.check(data, ResultCode.INVALID_AVP_LENGTH, failed, "Requested-Service-Unit: CC-Time: AVP Length 16 goes 4")
        assert decode_ccr(data)[0].user_name == "alice"

    @pytest.mark.parametrize(
        ("rest", "failed"),
        [
            ("00000107", "00000107 00000008"),
            ("ffff", "ffff0000 00000008"),
            ("000001074000", "00000107 40000008"),
            ("00000107400000", "00000107 40000008"),
            ("00000107c0", "00000107 40000008"),
            ("00", "00000000 00000008"),
        ],
    )
    def test_a_rest_that_is_no_avp(self, rest: str, failed: str) -> None:
        """What there is of a header is completed with zeros; V needs a Vendor-Id to be said."""
        data = frame(*CCR.values(), bytes.fromhex(rest))
        text = f"{len(bytes.fromhex(rest))} octets left where an AVP header of 8 is due"
        self.check(data, ResultCode.INVALID_AVP_LENGTH, bytes.fromhex(failed), text)
        inside = octets("Requested-Service-Unit", bytes.fromhex(rest))
        nested = octets("Requested-Service-Unit", bytes.fromhex(failed))
        self.check(ccr(inside), ResultCode.INVALID_AVP_LENGTH, nested, f"Requested-Service-Unit: {text}")

    def test_a_vendor_header_without_its_vendor(self) -> None:
        self.check(
            ccr(octets(999_999, b"", flags=0xC0, length=12)[:8]),
            ResultCode.INVALID_AVP_LENGTH,
            octets(999_999, flags=0x40),
            "AVP 999999: AVP Length 12 goes 4 octets past the end",
        )

    @pytest.mark.parametrize(
        "unknown",
        [
            octets(999_999, b"abc", flags=FLAG_MANDATORY),
            octets(999_999, b"", flags=FLAG_MANDATORY),
            octets(999_999, b"abcde", flags=FLAG_MANDATORY | 0x3F),
            octets(999_999, b"abc", flags=FLAG_MANDATORY, vendor=10415),
            octets("Session-Id", b"abc", flags=FLAG_MANDATORY, vendor=10415),
            octets(999_999, b"abc", flags=FLAG_MANDATORY, vendor=0xFFFFFFFF),
        ],
    )
    def test_an_unknown_mandatory_avp(self, unknown: bytes) -> None:
        """The Failed-AVP holds that AVP whole, within the groups that held it."""
        text = "is not known and its M flag is set"
        self.check(ccr(unknown), ResultCode.AVP_UNSUPPORTED, unknown, text)
        groups = octets("Service-Information", octets("PS-Information", unknown))
        self.check(ccr(groups), ResultCode.AVP_UNSUPPORTED, groups, "Service-Information: PS-Information: AVP ")

    def test_a_faulty_avp_stands_alone_in_the_groups_of_the_failed_avp(self) -> None:
        """§7.5: of the group that held it, the Failed-AVP shows nothing else."""
        unknown = octets(999_999, b"abc", flags=FLAG_MANDATORY)
        unit = octets("Used-Service-Unit", octets("CC-Time", 5) + unknown + octets("CC-Total-Octets", bytes(8)))
        block = octets("Rating-Group", 1) + unit + octets("Validity-Time", 3)
        failed = octets("Multiple-Services-Credit-Control", octets("Used-Service-Unit", unknown))
        self.check(
            ccr(octets("Multiple-Services-Credit-Control", block)), ResultCode.AVP_UNSUPPORTED, failed, "not known"
        )

    def test_a_fault_within_a_failed_avp_is_somebody_elses(self) -> None:
        """§7.5: it quotes what was wrong with a request, and an answer that quotes it is right."""
        header = frame(octets("Origin-Host", "a"), octets("Origin-Realm", "b"), octets("Result-Code", 5014), flags=0x20)
        for quoted in (octets(999_999, flags=0x40), bytes(8), b"\xff", octets("CC-Time", b"abc"), bytes(8) * 100):
            answer = REGISTRY.decode(header + octets("Failed-AVP", quoted))
            assert answer.errors == []
            assert len(answer.message.failed_avp) == 1
        _, message, _ = REGISTRY.decode(header + octets("Failed-AVP", octets(999_999, b"x", flags=0x40)))
        assert message.failed_avp == [FailedAvp(other=[Avp(999_999, b"x", 0, FLAG_MANDATORY)])]

    def test_missing_in_a_group(self) -> None:
        group = octets("Subscription-Id", octets("Subscription-Id-Type", 1))
        failed = octets("Subscription-Id", octets("Subscription-Id-Data"))
        self.check(ccr(group), ResultCode.MISSING_AVP, failed, "Subscription-Id: Subscription-Id-Data is missing")
        money = octets("Requested-Service-Unit", octets("CC-Money", b""))
        failed = octets("Requested-Service-Unit", octets("CC-Money", octets("Unit-Value")))
        self.check(ccr(money), ResultCode.MISSING_AVP, failed, "CC-Money: Unit-Value is missing")

    def test_enumerated_out_of_range_in_a_group(self) -> None:
        wrong = octets("Subscription-Id-Type", 9)
        group = octets("Subscription-Id", wrong + octets("Subscription-Id-Data", "1"))
        failed = octets("Subscription-Id", wrong)
        self.check(ccr(group), ResultCode.INVALID_AVP_VALUE, failed, "9 is none of 0 END_USER_E164")

    def test_the_failed_avp_keeps_the_flags_of_its_groups(self) -> None:
        unknown = octets(999_999, b"", flags=FLAG_MANDATORY)
        group = octets("Requested-Service-Unit", unknown, flags=0x20)
        self.check(ccr(group), ResultCode.AVP_UNSUPPORTED, group, "Requested-Service-Unit: AVP 999999")

    def test_missing_address_in_a_cer(self) -> None:
        avps = [
            octets("Origin-Host", "a"),
            octets("Origin-Realm", "b"),
            octets("Vendor-Id", 0),
            octets("Product-Name", "p"),
        ]
        data = frame(*avps, command=257, application=0, flags=0x80)
        failed = octets("Host-IP-Address", bytes.fromhex("000100000000"))
        self.check(data, ResultCode.MISSING_AVP, failed, "Host-IP-Address is missing")


class TestHeader:
    """What the header alone decides. RFC 6733 §3, §7.1.3, §7.2."""

    def test_a_request_with_the_e_flag(self) -> None:
        """It is read nevertheless, for what its answer has to repeat."""
        header, message, errors = REGISTRY.decode(ccr()[:4] + b"\xe0" + ccr()[5:])
        assert [(error.result_code, error.failed_avp) for error in errors] == [(ResultCode.INVALID_HDR_BITS, None)]
        assert isinstance(message, CreditControlRequest)
        answer = error_answer(header, message, errors[0].result_code, **US)
        assert (answer.header.flags, cast(Any, answer).session_id) == (0x60, "gw.example;1;2")

    @pytest.mark.parametrize("bits", [0x01, 0x02, 0x04, 0x08, 0x0F])
    def test_reserved_bits_are_ignored(self, bits: int) -> None:
        """§3: a receiver ignores them, although §7.1.5 has a code for them."""
        header, message, errors = REGISTRY.decode(ccr()[:4] + bytes([0xC0 | bits]) + ccr()[5:])
        assert errors == []
        assert error_answer(header, message, ResultCode.SUCCESS, **US).header.flags == 0x40

    def test_a_ccr_without_the_p_flag_is_read(self) -> None:
        """Clients in the field send it."""
        header, message, errors = REGISTRY.decode(ccr()[:4] + b"\x80" + ccr()[5:])
        assert errors == []
        assert error_answer(header, message, ResultCode.SUCCESS, **US).header.flags == 0

    @pytest.mark.parametrize(
        ("application", "command", "code"),
        [
            (4, 999, ResultCode.COMMAND_UNSUPPORTED),
            (4, 0, ResultCode.COMMAND_UNSUPPORTED),
            (4, 0xFFFFFF, ResultCode.COMMAND_UNSUPPORTED),
            (4, 257, ResultCode.COMMAND_UNSUPPORTED),
            (0, 272, ResultCode.COMMAND_UNSUPPORTED),
            (0, 258, ResultCode.COMMAND_UNSUPPORTED),
            (16777238, 272, ResultCode.APPLICATION_UNSUPPORTED),
            (3, 271, ResultCode.APPLICATION_UNSUPPORTED),
            (0xFFFFFFFF, 272, ResultCode.APPLICATION_UNSUPPORTED),
            (1, 0, ResultCode.APPLICATION_UNSUPPORTED),
        ],
    )
    @pytest.mark.parametrize("flags", [0x80, 0xC0, 0xD0])
    def test_an_unknown_command_or_application(
        self, application: int, command: int, code: ResultCode, flags: int
    ) -> None:
        """E bit, and the answer has the request's Session-Id and Proxy-Info."""
        proxy = octets("Proxy-Info", octets("Proxy-Host", "dra") + octets("Proxy-State", b"\xff"))
        unknown = octets(999_999, b"x", flags=FLAG_MANDATORY)
        data = frame(
            octets("Session-Id", "s;1"), unknown, proxy, unknown, application=application, command=command, flags=flags
        )
        header, message, errors = REGISTRY.decode(data)
        assert [(error.result_code, error.failed_avp) for error in errors] == [(code, None)]
        assert str(application if code is ResultCode.APPLICATION_UNSUPPORTED else command) in errors[0].text
        assert message == UnknownRequest(
            header=header, session_id="s;1", proxy_info=[ProxyInfo(proxy_host="dra", proxy_state=b"\xff")]
        )
        sent = encode(error_answer(header, message, code, **US))
        assert sent[4] == flags & 0x40 | 0x20
        assert sent[5:20] == data[5:20]
        assert split(sent[20:])[0] == RawAvp(263, 0, 0x40, b"s;1")
        assert sent.endswith(proxy)

    def test_an_unknown_command_that_is_broken_as_well(self) -> None:
        for rest in (b"", b"\xff", bytes(8), octets("Session-Id", b"\xff"), octets("Proxy-Info") * 1000):
            header, message, errors = REGISTRY.decode(frame(rest, command=999))
            assert [error.result_code for error in errors] == [ResultCode.COMMAND_UNSUPPORTED]
            encode(error_answer(header, message, errors[0].result_code, **US))

    def test_an_unknown_command_with_the_e_flag(self) -> None:
        _, _, errors = REGISTRY.decode(frame(command=999, flags=0xA0))
        assert [error.result_code for error in errors] == [3008, 3001]

    def test_an_answer_of_an_unknown_command_is_nothing(self) -> None:
        _, message, errors = REGISTRY.decode(frame(command=999, flags=0))
        assert message is None
        assert [error.result_code for error in errors] == [ResultCode.COMMAND_UNSUPPORTED]

    @pytest.mark.parametrize("command", [272, 257, 999, 0])
    @pytest.mark.parametrize("application", [4, 0, 99])
    def test_any_answer_with_the_e_flag_has_the_grammar_of_errors(self, command: int, application: int) -> None:
        avps = octets("Origin-Host", "a"), octets("Origin-Realm", "b"), octets("Result-Code", 3002)
        data = frame(*avps, command=command, application=application, flags=0x60)
        header, message, errors = REGISTRY.decode(data)
        assert errors == []
        assert message == ErrorAnswer(header=header, origin_host="a", origin_realm="b", result_code=3002)

    def test_an_error_answer_keeps_what_else_the_command_has(self) -> None:
        avps = octets("Session-Id", "s"), octets("Origin-Host", "a"), octets("Origin-Realm", "b")
        data = frame(*avps, octets("Result-Code", 3004), octets("CC-Request-Type", 1), flags=0x20)
        _, message, errors = REGISTRY.decode(data)
        assert errors == []
        assert message.other == [Avp(416, b"\0\0\0\x01", 0, FLAG_MANDATORY)]

    @pytest.mark.parametrize("cls", MESSAGES, ids=by_name)
    def test_request_and_answer_of_one_command_are_different_messages(self, cls: type[Message]) -> None:
        if cls is ErrorAnswer:
            return
        other = next(
            c
            for c in MESSAGES
            if (c.application_id, c.command_code) == (cls.application_id, cls.command_code) and c is not cls
        )
        assert {cls.is_request, other.is_request} == {True, False}
        empty = frame(application=cls.application_id, command=cls.command_code, flags=0x80 if cls.is_request else 0)
        assert type(REGISTRY.decode(empty).message) is cls

    def test_a_registry_knows_what_was_added(self) -> None:
        registry = Registry()
        assert registry.decode(ccr()).errors[0].result_code is ResultCode.APPLICATION_UNSUPPORTED
        registry.add(CreditControlAnswer)
        assert registry.decode(ccr()).errors[0].result_code is ResultCode.COMMAND_UNSUPPORTED
        registry.add(CreditControlRequest)
        assert registry.decode(ccr()).errors == []


class TestSeveralFaults:
    """The first is answered, so their order is the order in which a reader meets them."""

    def test_in_the_order_of_the_avps_and_what_is_missing_last(self) -> None:
        unknown = octets(999_999, flags=FLAG_MANDATORY)
        data = ccr(
            octets("CC-Sub-Session-Id", 5),
            unknown,
            octets("CC-Request-Number", 8),
            instead=octets("CC-Request-Type", 9),
            without="Origin-Host",
        )
        message, errors = decode_ccr(data)
        assert [(error.result_code, error.text.split()[0].strip(":")) for error in errors] == [
            (ResultCode.INVALID_AVP_VALUE, "CC-Request-Type"),
            (ResultCode.INVALID_AVP_LENGTH, "CC-Sub-Session-Id"),
            (ResultCode.AVP_UNSUPPORTED, "AVP"),
            (ResultCode.AVP_OCCURS_TOO_MANY_TIMES, "CC-Request-Number"),
            (ResultCode.MISSING_AVP, "Origin-Host"),
            (ResultCode.MISSING_AVP, "CC-Request-Type"),
        ]
        assert message.cc_request_number == 7

    def test_a_message_with_faults_is_still_a_message(self) -> None:
        for name in CCR:
            message, errors = decode_ccr(ccr(without=name))
            assert len(errors) == 1
            present = {n: getattr(message, n.lower().replace("-", "_")) for n in CCR if n != name}
            whole, _ = decode_ccr(ccr())
            assert present == {n: getattr(whole, n.lower().replace("-", "_")) for n in CCR if n != name}
            assert decode_ccr(encode(message))[1] == []

    def test_nothing_at_all(self) -> None:
        message, errors = decode_ccr(frame())
        assert [error.text for error in errors] == [f"{name} is missing" for name in CCR]
        assert message == CreditControlRequest(
            header=message.header,
            session_id="",
            origin_host="",
            origin_realm="",
            destination_realm="",
            auth_application_id=0,
            service_context_id="",
            cc_request_type=CcRequestType.INITIAL_REQUEST,
            cc_request_number=0,
        )

    def test_a_missing_group_is_filled_with_what_it_requires(self) -> None:
        class Wants(Answer, kw_only=True):
            command_code: ClassVar[int] = 1
            failed_avp: list[FailedAvp]
            subscription_id: SubscriptionId

        read, errors = read_group(Wants, b"")
        assert [error.text for error in errors] == ["Failed-AVP is missing", "Subscription-Id is missing"]
        assert isinstance(read, Wants)
        assert read.failed_avp == [FailedAvp()]
        assert read.subscription_id.subscription_id_data == ""

    def test_a_message_of_nothing_but_faults_is_given_up(self) -> None:
        fault = octets(999_999, flags=FLAG_MANDATORY)
        few = decode_ccr(ccr(fault * MAX_FAULTS))
        assert len(few[1]) == MAX_FAULTS
        assert few[0].session_id == "gw.example;1;2"
        proxy = octets("Proxy-Info", octets("Proxy-Host", "dra") + octets("Proxy-State", b"s"))
        header, message, errors = REGISTRY.decode(ccr(fault * (MAX_FAULTS + 1), proxy))
        assert errors == few[1]
        assert isinstance(message, UnknownRequest)
        assert message.session_id == "gw.example;1;2"
        assert [info.proxy_host for info in message.proxy_info] == ["dra"]
        answer = error_answer(header, message, errors[0].result_code, **US)
        assert (answer.header.flags, cast(Any, answer).result_code) == (0x40, 5001)
        encode(answer)

    @pytest.mark.parametrize(
        "flood",
        [
            octets(999_999, flags=FLAG_MANDATORY),
            octets("Session-Id", "x"),
            octets("CC-Request-Number", 1),
            octets("Subscription-Id"),
            octets("Route-Record", b"\xff"),
            octets("Event-Timestamp", b""),
            octets("Proxy-Info"),
            octets("Multiple-Services-Credit-Control", octets("Used-Service-Unit", octets(999_999, flags=0x40))),
        ],
        ids=["unknown", "text", "number", "missing", "value", "length", "proxies", "groups"],
    )
    def test_every_kind_of_fault_comes_to_an_end(self, flood: bytes) -> None:
        for flags in (0xC0, 0x40, 0x60):
            header, message, errors = REGISTRY.decode(frame(*CCR.values(), flood * 5000, flags=flags))
            assert len(errors) <= MAX_FAULTS
            if flags == 0xC0:
                assert len(errors) == MAX_FAULTS
                assert isinstance(message, UnknownRequest)
                encode(error_answer(header, message, errors[0].result_code, **US))


class TestAnyOctets:
    """Whatever a peer sends, decoding returns, and there is an answer to it."""

    @staticmethod
    def check(data: bytes) -> None:
        header, message, errors = REGISTRY.decode(data)
        assert len(errors) <= MAX_FAULTS + 1
        for error in errors:
            assert isinstance(error.result_code, ResultCode)
            assert not error.result_code.is_success
            assert error.text
            assert error.failed_avp is None or split(error.failed_avp.to_bytes())
        if message is not None:
            assert message.header is header
            if not isinstance(message, UnknownRequest):
                again = encode(message)  # it is a message, with whatever was wrong left out or filled in
                assert encode(REGISTRY.decode(again).message) == again
        if header.is_request:
            for error in errors[:1]:
                failed = [FailedAvp(other=[error.failed_avp])] if error.failed_avp else []
                answer = error_answer(header, message, error.result_code, **US, failed_avp=failed)
                sent = encode(answer)
                reread = REGISTRY.decode(sent)
                assert reread.errors == [] or isinstance(reread.message, Answer) or reread.message is None

    @given(
        st.binary(max_size=400), st.sampled_from([0x80, 0xC0, 0x40, 0x60, 0xE0]), st.sampled_from([257, 272, 258, 999])
    )
    def test_random(self, body: bytes, flags: int, command: int) -> None:
        self.check(frame(body, flags=flags, command=command, application=0 if command == 257 else 4))

    @given(st.data())
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_mutated(self, data: st.DataObject) -> None:
        cls = data.draw(st.sampled_from([CreditControlRequest, CreditControlAnswer, CapabilitiesExchangeRequest]))
        octets_ = bytearray(encode(data.draw(instances(cls))))
        for _ in range(data.draw(st.integers(1, 4))):
            position = data.draw(st.integers(4, len(octets_) - 1))
            octets_[position] = data.draw(st.integers(0, 255))
        self.check(bytes(octets_))

    @given(st.data())
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_truncated_and_extended(self, data: st.DataObject) -> None:
        whole = encode(data.draw(instances(CreditControlRequest)))
        self.check(whole[: data.draw(st.integers(20, len(whole)))])
        self.check(whole + data.draw(st.binary(max_size=12)))

    def test_every_length_field_of_a_message_changed(self) -> None:
        """Also into the middle of AVPs, groups and padding."""
        whole = ccr(
            octets("Multiple-Services-Credit-Control", octets("Used-Service-Unit", octets("CC-Time", 5))), SUBSCRIPTION
        )
        for position in range(20, len(whole), 4):
            for length in (0, 1, 7, 8, 9, 11, 12, 13, 16, 20, 255, 256, 0xFFFFFF):
                self.check(whole[: position + 5] + length.to_bytes(3, "big") + whole[position + 8 :])

    def test_every_octet_of_a_message_changed(self) -> None:
        whole = ccr(SUBSCRIPTION, octets("Event-Timestamp", 5), octets("Service-Information", octets("PS-Information")))
        for position in range(4, len(whole)):
            for octet in (0, 1, 0x40, 0x7F, 0x80, 0xC0, 0xFF):
                self.check(whole[:position] + bytes([octet]) + whole[position + 1 :])

    def test_a_message_cut_at_every_octet(self) -> None:
        whole = ccr(SUBSCRIPTION)
        for length in range(20, len(whole)):
            self.check(whole[:length])

    def test_groups_in_groups_in_groups(self) -> None:
        """Only declared groups are looked into, so that no nesting exhausts the stack."""
        deep = b""
        for name in (
            "Failed-AVP",
            "Proxy-Info",
            "Multiple-Services-Credit-Control",
            "Requested-Service-Unit",
            "CC-Money",
        ):
            deep = b""
            while len(deep) < 500_000:
                deep = octets(name, deep)
                if len(deep) == 8 * 5000:
                    break
            self.check(ccr(deep))
            self.check(frame(deep, flags=0x40))


SUBSCRIPTION = octets("Subscription-Id", octets("Subscription-Id-Type", 0) + octets("Subscription-Id-Data", "4917"))
MEGABYTE = (1 << 20) - 20


class TestBounds:
    """A megabyte of anything costs bounded time and memory."""

    @pytest.mark.parametrize(
        "unit",
        [
            octets(999_999),
            octets(999_999, flags=FLAG_MANDATORY),
            octets("Session-Id"),
            octets("CC-Request-Number", 5),
            octets("Multiple-Services-Credit-Control"),
            octets("Subscription-Id"),
            octets("Route-Record", b"\xff"),
            SUBSCRIPTION,
            octets("Multiple-Services-Credit-Control", octets("Requested-Service-Unit", octets(999_999, flags=0x40))),
            octets("Multiple-Services-Credit-Control", octets("Granted-Service-Unit", octets("CC-Money"))),
            bytes(8),
            b"\xff" * 8,
        ],
    )
    def test_a_megabyte_of_small_avps(self, unit: bytes) -> None:
        data = frame(unit * (MEGABYTE // len(unit)))
        start = time.process_time()
        header, message, errors = REGISTRY.decode(data)
        encode(error_answer(header, message, errors[0].result_code, **US))
        assert time.process_time() - start < 4.0, "some tenths of a second are usual"
        assert len(errors) <= MAX_FAULTS
        del header, message, errors
        gc.collect()
        tracemalloc.start()
        REGISTRY.decode(data[: len(data) >> 2 & ~3])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 60_000_000 >> 2

    def test_a_megabyte_of_faults_within_groups(self) -> None:
        inner = octets(999_999, flags=FLAG_MANDATORY) * (MEGABYTE // 8 - 20)
        for name in ("CC-Money", "Granted-Service-Unit", "Multiple-Services-Credit-Control"):
            inner = octets(name, inner)
        start = time.process_time()
        errors = REGISTRY.decode(frame(inner)).errors
        assert time.process_time() - start < 2.0
        assert len(errors) == MAX_FAULTS
        failed = errors[0].failed_avp
        assert failed is not None
        unit = octets("Granted-Service-Unit", octets("CC-Money", octets(999_999, flags=FLAG_MANDATORY)))
        assert failed.to_bytes() == octets("Multiple-Services-Credit-Control", unit)

    def test_a_megabyte_in_one_avp(self) -> None:
        big = octets("Proxy-Info", octets("Proxy-Host", "h") + octets("Proxy-State", b"x" * (MEGABYTE - 200)))
        header, message, errors = REGISTRY.decode(ccr(big))
        assert errors == []
        assert big in encode(error_answer(header, message, ResultCode.TOO_BUSY, **US))


def with_identity(number: int, *more: bytes) -> bytes:
    data = octets("Subscription-Id-Type", 0) + octets("Subscription-Id-Data", f"{number:015}") + b"".join(more)
    return ccr(octets("Subscription-Id", data))


class TestShared:
    """Groups that requests of one session repeat are decoded once."""

    def test_the_same_octets_are_the_same_object(self) -> None:
        one, two = (decode_ccr(with_identity(1))[0] for _ in range(2))
        assert one.subscription_id[0] is two.subscription_id[0]
        assert one.subscription_id is not two.subscription_id
        assert decode_ccr(with_identity(2))[0].subscription_id[0] is not one.subscription_id[0]

    def test_also_where_the_group_stands_in_another_group(self) -> None:
        top, _ = decode_ccr(ccr(SUBSCRIPTION))
        nested, _ = decode_ccr(ccr(octets("Service-Information", SUBSCRIPTION)))
        assert nested.service_information is not None
        assert nested.service_information.subscription_id[0] is top.subscription_id[0]

    @pytest.mark.parametrize(
        "wrong",
        [
            octets("Subscription-Id", octets("Subscription-Id-Type", 0)),
            octets("Subscription-Id", octets("Subscription-Id-Type", 9) + octets("Subscription-Id-Data", "1")),
            octets("Subscription-Id", octets("Subscription-Id-Type", 0) + octets("Subscription-Id-Data", b"\xff")),
            octets("Subscription-Id", b"\xff"),
            octets("Subscription-Id", octets(999_999, flags=0x40) + split(SUBSCRIPTION)[0].data),
        ],
    )
    def test_what_has_a_fault_is_faulty_every_time(self, wrong: bytes) -> None:
        faults = [decode_ccr(ccr(wrong))[1] for _ in range(3)]
        assert faults[0] == faults[1] == faults[2] != []
        assert decode_ccr(ccr(octets("Service-Information", wrong)))[1] != []
        assert decode_ccr(ccr(SUBSCRIPTION))[1] == []

    def test_faults_elsewhere_do_not_count(self) -> None:
        """A group that is right is shared, whatever was wrong before it."""
        number = octets("CC-Request-Number", 1)
        first, _ = decode_ccr(ccr(number, SUBSCRIPTION))
        second, errors = decode_ccr(ccr(number, SUBSCRIPTION))
        assert first.subscription_id[0] is second.subscription_id[0]
        assert [error.result_code for error in errors] == [ResultCode.AVP_OCCURS_TOO_MANY_TIMES]

    def test_what_is_shared_is_frozen_all_through(self) -> None:
        message, _ = decode_ccr(ccr(octets("Service-Information", octets("PS-Information")), SUBSCRIPTION))
        assert message.service_information is not None
        for group in (
            message.service_information,
            message.service_information.ps_information,
            *message.subscription_id,
        ):
            with pytest.raises(AttributeError, match="is immutable"):
                group.other = []  # type: ignore[union-attr]

        class Thawed(Grouped, kw_only=True):
            proxy_host: str | None = None

        class Holder(FrozenGroup, kw_only=True):
            shared: ClassVar[bool] = True
            proxy_info: Thawed | None = None

        class Plain(Grouped, kw_only=True):
            failed_avp: Holder | None = None

        with pytest.raises(DeclarationError, match="Thawed is shared, or within a shared group"):
            compile_class(Plain)

    def test_long_groups_are_not_kept(self) -> None:
        long = octets(999_999, b"x" * codec._SHARED_LENGTH)
        one, two = (decode_ccr(with_identity(1, long))[0] for _ in range(2))
        assert one.subscription_id == two.subscription_id
        assert one.subscription_id[0] is not two.subscription_id[0]

    @pytest.mark.parametrize(
        ("limit", "value"), [("_SHARED_ENTRIES", 10), ("_SHARED_OCTETS", 400)], ids=["entries", "octets"]
    )
    def test_the_store_of_shared_objects_is_bounded(
        self, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
    ) -> None:
        monkeypatch.setattr(codec, limit, value)
        first, _ = decode_ccr(with_identity(0))
        for number in range(1, 50):
            decode_ccr(with_identity(number))
        again, _ = decode_ccr(with_identity(0))
        assert again.subscription_id == first.subscription_id
        assert again.subscription_id[0] is not first.subscription_id[0]

    def test_memory_stays_bounded_whatever_a_peer_repeats(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codec, "_SHARED_OCTETS", codec._SHARED_OCTETS >> 4)
        filling = octets(900_000) * ((codec._SHARED_LENGTH - 60) // 8)
        tracemalloc.start()
        sizes = []
        for number in range(1000):
            decode_ccr(with_identity(number, filling))
            sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert max(sizes) < 60_000_000 >> 4
        assert sizes[-1] < max(sizes), "it was emptied when it was full"


class TestDeclarations:
    """Declarations that cannot be compiled say why, with class, attribute and AVP."""

    def test_a_type_that_does_not_fit_the_format(self) -> None:
        class Wrong(Grouped, kw_only=True):
            rating_group: str

        with pytest.raises(DeclarationError, match=r"Wrong\.rating_group: Rating-Group is Unsigned32; declare int"):
            compile_class(Wrong)

    def test_a_plain_type_for_a_group(self) -> None:
        class Wrong(Grouped, kw_only=True):
            proxy_info: bytes

        with pytest.raises(DeclarationError, match="Proxy-Info is Grouped; declare a Grouped class"):
            compile_class(Wrong)

    def test_a_group_for_a_plain_avp(self) -> None:
        class Wrong(Grouped, kw_only=True):
            rating_group: list[ProxyInfo]

        with pytest.raises(DeclarationError, match="Rating-Group is Unsigned32, not Grouped"):
            compile_class(Wrong)

    def test_two_attributes_for_one_avp(self) -> None:
        class Wrong(Grouped, kw_only=True):
            rating_group: int
            group: int | None = avp("RATING-GROUP")

        with pytest.raises(DeclarationError, match="Wrong: rating_group and group are both Rating-Group"):
            compile_class(Wrong)

    def test_all_formats_and_arities(self) -> None:
        """What no message of ours has yet: floats, Unsigned32 with vendor, enumerations that repeat."""

        class Colour(enum.IntEnum):
            RED = 1
            GREEN = 2

        class All(Grouped, kw_only=True):
            token_rate: float
            exponent: list[Colour] = []
            value_digits: int | None = None
            qos_class_identifier: int | None = None
            max_requested_bandwidth_ul: int | None = avp("Max-Requested-Bandwidth-UL")
            framed_ip_address: bytes | None = avp("Framed-IP-Address")
            rating_group: list[Colour] = []

        sent = All(
            token_rate=1.5,
            exponent=[Colour.RED, Colour.GREEN],
            value_digits=-(2**63),
            max_requested_bandwidth_ul=2**32 - 1,
            framed_ip_address=b"\x0a\0\0\x01",
            rating_group=[Colour.GREEN],
        )
        assert read_group(All, write_group(sent)) == (sent, [])
        _, errors = read_group(
            All, write_group(sent) + octets("Max-Requested-Bandwidth-UL", 1) + octets("Rating-Group", 3)
        )
        assert [error.result_code for error in errors] == [5009, 5004]
        with pytest.raises(EncodeError, match="Token-Rate: "):
            write_group(All(token_rate=1e39))

    def test_a_class_is_compiled_once(self) -> None:
        assert compile_class(UsedServiceUnit) is compile_class(UsedServiceUnit)


# Traffic of a real network.


def captured() -> list[Any]:
    if not CAPTURE.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"the capture {CAPTURE} is not here"))]
    rows = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
    return [pytest.param(row, id=f"{row['frame']}-{row['name']}") for row in rows if row["app"] in (0, 4)]


def canonical(cls: type[Grouped], avps: list[RawAvp]) -> bytes:
    """The same AVPs as our encoder writes them: declared ones in the order of the declaration and with the dictionary's
    flags, at every depth; then the others as they came; padded with zeros.
    """
    fields = {field.facts.key: (place, field) for place, field in enumerate(compile_class(cls).fields)}
    placed: list[tuple[int, bytes]] = []
    for raw in avps:
        place, field = fields.get(raw.vendor << 32 | raw.code, (len(fields), None))
        data, flags = raw.data, raw.flags
        if field is not None:
            flags = field.facts.flags
            data = data if field.group is None else canonical(field.group, split(data))
        placed.append((place, octets(raw.code, data, flags=flags, vendor=raw.vendor)))
    return b"".join(one for _, one in sorted(placed, key=lambda item: item[0]))


@pytest.mark.parametrize("row", captured())
def test_captured_traffic(row: dict[str, Any]) -> None:
    """Decodes without a fault and is encoded again to the same octets, but for the order of AVPs and the flags of
    declared AVPs, which are ours: nothing is lost or changed.
    """
    data = bytes.fromhex(row["hex"])
    header, message, errors = REGISTRY.decode(data)
    assert errors == []
    assert (header.command_code, header.application_id, header.flags) == (row["cmd"], row["app"], row["flags"])
    assert f"{header.hop_by_hop:08x}" == row["hbh"]
    assert isinstance(message, Request) == (row["flags"] >= 0x80)
    sent = encode(message)
    assert sent == data[:20] + canonical(type(message), split(data[20:]))
    if row["app"] == 0:
        assert sent == data, "DWR and DWA have the order and the flags of their declaration"
