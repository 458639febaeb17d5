"""A TCP stream cut into messages. RFC 6733 §3, §7.1.5."""

import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiodiameter.errors import FramingError
from aiodiameter.framing import DEFAULT_MAX_LENGTH, Framer
from aiodiameter.result_codes import ResultCode


def message(length: int, filling: int = 0) -> bytes:
    return b"\x01" + length.to_bytes(3, "big") + bytes([filling]) * (length - 4)


def head(version: int, length: int) -> bytes:
    return bytes([version]) + length.to_bytes(3, "big")


messages = st.lists(
    st.builds(message, st.integers(5, 60).map(lambda words: words * 4), st.integers(0, 255)), min_size=1, max_size=6
)


@given(messages, st.data())
def test_messages_come_out_whole_however_the_stream_is_split(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer, received = Framer(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += framer.feed(stream[start:stop])
        assert framer.pending == stop - sum(map(len, received))
    assert received == sent
    assert framer.pending == 0
    assert framer.fault is None


def test_a_message_cut_at_every_octet() -> None:
    sent = message(32, 1) + message(20, 2)
    for cut in range(len(sent) + 1):
        framer = Framer()
        assert framer.feed(sent[:cut]) + framer.feed(sent[cut:]) == [message(32, 1), message(20, 2)]


def test_octets_one_by_one() -> None:
    framer = Framer()
    sent = [message(20), message(64), message(24)]
    assert [got for octet in b"".join(sent) for got in framer.feed(bytes([octet]))] == sent


def test_messages_are_immutable_octets() -> None:
    framer = Framer()
    framer.feed(message(40)[:30])
    assert [type(got) for got in framer.feed(message(40)[30:])] == [bytes]


FAULTS = [
    (head(2, 20), ResultCode.UNSUPPORTED_VERSION, "version 2"),
    (head(0, 20), ResultCode.UNSUPPORTED_VERSION, "version 0"),
    (head(255, 0), ResultCode.UNSUPPORTED_VERSION, "version 255"),
    (head(1, 0), ResultCode.INVALID_MESSAGE_LENGTH, "0 is shorter than the header"),
    (head(1, 16), ResultCode.INVALID_MESSAGE_LENGTH, "16 is shorter than the header"),
    (head(1, 19), ResultCode.INVALID_MESSAGE_LENGTH, "19 is shorter than the header"),
    (head(1, 21), ResultCode.INVALID_MESSAGE_LENGTH, "21 is not a multiple of 4"),
    (head(1, 22), ResultCode.INVALID_MESSAGE_LENGTH, "22 is not a multiple of 4"),
    (head(1, 23), ResultCode.INVALID_MESSAGE_LENGTH, "23 is not a multiple of 4"),
    (head(1, DEFAULT_MAX_LENGTH + 4), ResultCode.INVALID_MESSAGE_LENGTH, "1048580 is over the limit"),
    (head(1, 0xFFFFFC), ResultCode.INVALID_MESSAGE_LENGTH, "16777212 is over the limit of 1048576"),
]


@pytest.mark.parametrize(("octets", "code", "reason"), FAULTS)
def test_a_stream_that_cannot_be_cut_is_given_up(octets: bytes, code: ResultCode, reason: str) -> None:
    framer = Framer()
    with pytest.raises(FramingError) as caught:
        framer.feed(octets + b"more")
    assert caught.value.result_code is code
    assert reason in caught.value.reason
    assert caught.value.head == octets + b"more"
    assert framer.fault is caught.value
    assert framer.pending == 0
    with pytest.raises(FramingError):
        framer.feed(message(20))


@pytest.mark.parametrize(("octets", "code", "reason"), FAULTS)
def test_what_was_whole_before_the_fault_is_delivered(octets: bytes, code: ResultCode, reason: str) -> None:
    framer = Framer()
    assert framer.feed(message(20, 1)[:10]) == []
    assert framer.feed(message(20, 1)[10:] + message(24, 2) + octets) == [message(20, 1), message(24, 2)]
    assert framer.fault is not None
    assert framer.fault.result_code is code
    with pytest.raises(FramingError):
        framer.feed(b"")


def test_a_fault_is_seen_as_soon_as_four_octets_are_there() -> None:
    framer = Framer()
    assert framer.feed(b"\x01\xff\xff") == []
    with pytest.raises(FramingError):
        framer.feed(b"\xfc")


def test_the_limit_itself_is_allowed() -> None:
    framer = Framer(max_length=1000)
    assert framer.feed(message(1000)) == [message(1000)]
    with pytest.raises(FramingError):
        framer.feed(message(1004))


def test_the_limit_may_be_raised_between_messages() -> None:
    framer = Framer(max_length=100)
    assert framer.feed(message(100) + message(1000)[:2]) == [message(100)]
    framer.max_length = 1000
    assert framer.feed(message(1000)[2:]) == [message(1000)]


@given(st.binary(max_size=200), st.binary(max_size=200))
@example(b"\x01\x00\x00", b"\x14" + bytes(16))
def test_any_octets_give_messages_or_a_framing_error(first: bytes, second: bytes) -> None:
    framer = Framer(max_length=128)
    for data in (first, second):
        got: list[bytes] = []
        with suppress(FramingError):
            got = framer.feed(data)
        assert all(20 <= len(one) <= 128 for one in got)
        assert framer.pending < 128
        if framer.fault is not None:
            assert len(framer.fault.head) <= 64
            with pytest.raises(FramingError):
                framer.feed(b"")


def test_a_long_message_in_tiny_pieces_is_not_copied_for_each() -> None:
    sent = message(1 << 20)
    framer = Framer()
    start = time.process_time()
    got = [one for octet in sent for one in framer.feed(bytes([octet]))]
    assert got == [sent]
    # Linear work takes half a second; copying what is held for each octet would move half a terabyte.
    assert time.process_time() - start < 5.0
