"""What a load connection says and hears, without a socket."""

import asyncio
from typing import Any

import pytest

from aiodiameter.codec import Registry, encode
from aiodiameter.errors import PeerGone, PeerRefused
from aiodiameter.framing import Framer
from aiodiameter.identity import Identity
from aiodiameter.message import Message
from aiodiameter.messages.base import (
    BASE_MESSAGES,
    CapabilitiesExchangeRequest,
    DeviceWatchdogAnswer,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerAnswer,
    DisconnectPeerRequest,
)
from aiodiameter.messages.credit_control import CREDIT_CONTROL_MESSAGES
from simulators.load_connection import LoadConnection
from simulators.load_session import LoadSession
from tests.aiodiameter.loopback import Run, both_loops
from tests.simulators.gy import answer_to, writer

REGISTRY = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)
IDENTITY = Identity(host="pgw.example.org", realm="example.org")


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("192.0.2.1", 1024)})
        self.framer = Framer()
        self.frames: list[bytes] = []
        self.ended = ""

    def write(self, data: Any) -> None:
        self.frames += self.framer.feed(bytes(data))

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def take(self) -> list[Any]:
        """The messages written since the last call."""
        messages = []
        for frame in self.frames:
            _, message, faults = REGISTRY.decode(frame)
            assert not faults
            messages.append(message)
        self.frames.clear()
        return messages


class Notes:
    """A driver that only notes."""

    def __init__(self) -> None:
        self.answers: list[LoadSession] = []
        self.lost_sessions: list[LoadSession] | None = None

    def answered(self, connection: LoadConnection, session: LoadSession, answer: bytes, now_ns: int) -> None:
        self.answers.append(session)

    def lost(self, connection: LoadConnection, sessions: list[LoadSession]) -> None:
        self.lost_sessions = sessions


def opened() -> tuple[LoadConnection, Transport]:
    connection, transport = LoadConnection(IDENTITY), Transport()
    connection.connection_made(transport)
    (cer,) = transport.take()
    assert isinstance(cer, CapabilitiesExchangeRequest)
    assert (cer.origin_host, cer.host_ip_address, cer.auth_application_id) == ("pgw.example.org", ["192.0.2.1"], [4])
    connection.data_received(encode(cea(cer)))
    assert connection.is_open
    return connection, transport


def cea(cer: CapabilitiesExchangeRequest, code: int = 2001, **avps: Any) -> Message:
    return cer.answer(code, origin_host="ocs.example.org", origin_realm="example.org", auth_application_id=[4], **avps)


def request(cls: type[Any], **avps: Any) -> bytes:
    message = cls(origin_host="ocs.example.org", origin_realm="example.org", **avps)
    message.header.hop_by_hop, message.header.end_to_end = 77, 88
    return encode(message)


@both_loops
def test_the_other_side_is_answered(run: Run[None]) -> None:
    async def main() -> None:
        connection, transport = opened()
        connection.data_received(request(DeviceWatchdogRequest))
        (dwa,) = transport.take()
        assert isinstance(dwa, DeviceWatchdogAnswer)
        assert (dwa.result_code, dwa.header.hop_by_hop, dwa.header.end_to_end) == (2001, 77, 88)
        connection.data_received(request(DisconnectPeerRequest, disconnect_cause=DisconnectCause.REBOOTING))
        (dpa,) = transport.take()
        assert isinstance(dpa, DisconnectPeerAnswer)
        assert not connection.is_open
        assert not transport.ended, "whoever receives the DPA closes"

    run(main)


@both_loops
@pytest.mark.parametrize(
    ("code", "text"), [(5010, "5010"), (3010, "3010"), (5012, "not now")], ids=["no common", "unknown", "other"]
)
def test_a_refusing_cea(run: Run[None], code: int, text: str) -> None:
    async def main() -> None:
        connection, transport = LoadConnection(IDENTITY), Transport()
        connection.connection_made(transport)
        (cer,) = transport.take()
        avps = {"error_message": "not now"} if code == 5012 else {}
        connection.data_received(encode(cea(cer, code, **avps)))
        with pytest.raises(PeerRefused, match=text):
            connection.opened.result()
        assert transport.ended == "aborted"

    run(main)


@both_loops
def test_a_connection_that_ends_before_it_is_open(run: Run[None]) -> None:
    async def main() -> None:
        connection = LoadConnection(IDENTITY)
        connection.connection_made(Transport())
        connection.connection_lost(None)
        with pytest.raises(PeerGone):
            connection.opened.result()
        await connection.close()

    run(main)


@both_loops
def test_answers_find_their_sessions_and_others_are_stray(run: Run[None]) -> None:
    async def main() -> None:
        connection, transport = opened()
        driver = Notes()
        connection.driver = driver
        sessions = [LoadSession(writer(), (10,), 1000) for _ in range(3)]
        for session in sessions:
            connection.send(session, LoadSession.initial, 0)
        await asyncio.sleep(0)
        requests = transport.take()
        assert len({message.header.hop_by_hop for message in requests}) == 3
        assert len({message.header.end_to_end for message in requests}) == 3
        answers = [encode(answer_to(message)) for message in requests]
        connection.data_received(answers[2] + answers[0])
        assert driver.answers == [sessions[2], sessions[0]]
        connection.data_received(answers[0])
        assert (connection.stray_answers, connection.under_way) == (1, 1)
        assert connection.forget() == 1
        connection.data_received(answers[1])
        assert connection.stray_answers == 2
        connection.send(sessions[0], LoadSession.initial, 0)
        connection.connection_lost(None)
        assert driver.lost_sessions == [sessions[0]]

    run(main)


@both_loops
def test_octets_that_are_no_diameter_end_the_connection(run: Run[None]) -> None:
    async def main() -> None:
        connection, transport = opened()
        connection.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert transport.ended == "aborted"

    run(main)


@both_loops
def test_other_messages_are_ignored(run: Run[None]) -> None:
    async def main() -> None:
        connection, transport = opened()
        first = REGISTRY.decode(LoadSession(writer(), (10,), 1).initial(1, 1)).message
        connection.data_received(encode(answer_to(first)))
        cer = CapabilitiesExchangeRequest(
            origin_host="a", origin_realm="b", host_ip_address=[], vendor_id=0, product_name=""
        )
        connection.data_received(encode(cea(cer)))
        assert transport.take() == []
        assert connection.is_open

    run(main)
