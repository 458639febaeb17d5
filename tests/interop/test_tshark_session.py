"""Every octet the server sends in a session with every outcome, dissected by tshark without a complaint."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aiodiameter.identity import Application, Identity
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    RequestedAction,
    RequestedServiceUnit,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
)
from aiodiameter.node import Node
from aiodiameter.settings import NodeSettings
from ocs.charging.command import BuyOffer, CreditMoney, SetStatus
from ocs.charging.state import AccountStatus
from ocs.store.directory import add_subscriber
from tests.recorder import Recorder
from tests.serving import Running, serving

from .tshark import dissect

pytestmark = pytest.mark.needs("tshark")
MSISDN = "491701234567"
INITIAL, UPDATE, TERMINATION, EVENT = CcRequestType
VOICE = {"service_context_id": "ims.001.01.8.32260@3gpp.org"}
SMS = {"service_context_id": "32274@3gpp.org"}


def ccr(kind: CcRequestType, number: int, session: str, *blocks: Any, **more: Any) -> CreditControlRequest:
    fields: dict[str, Any] = {
        "session_id": f"pgw.example.org;1;{session}",
        "origin_host": "pgw.example.org",
        "origin_realm": "example.org",
        "destination_realm": "example.org",
        "auth_application_id": 4,
        "service_context_id": "32251@3gpp.org",
        "cc_request_type": kind,
        "cc_request_number": number,
        "subscription_id": [
            SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data=MSISDN)
        ],
        "multiple_services_indicator": 1,
        "multiple_services_credit_control": list(blocks),
    }
    return CreditControlRequest(**(fields | more))


def block(group: int | None, used: int | None = None, **more: Any) -> MultipleServicesCreditControl:
    reports = [] if used is None else [UsedServiceUnit(cc_total_octets=used)]
    fields: dict[str, Any] = {"requested_service_unit": RequestedServiceUnit(), "used_service_unit": reports} | more
    return MultipleServicesCreditControl(rating_group=group, **fields)


def requests() -> list[tuple[CreditControlRequest, int]]:
    """Requests and the Result-Code each must get."""
    stranger = [SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data="99999")]
    minute = block(100, requested_service_unit=None, used_service_unit=[UsedServiceUnit(cc_time=61)])
    return [
        (ccr(INITIAL, 0, "a", block(10), block(30), block(20), block(77)), 2001),
        (ccr(UPDATE, 1, "a", block(10, 10**7), block(30, 10**7), block(None)), 2001),
        (ccr(UPDATE, 1, "a", block(10, 1)), 5004),
        (ccr(UPDATE, 3, "nobody", block(10, 5)), 5002),
        (ccr(INITIAL, 0, "b", block(77)), 5031),
        (ccr(INITIAL, 0, "c", block(10), service_context_id="nonsense@example.org"), 5031),
        (ccr(INITIAL, 0, "d", block(10), subscription_id=stranger), 5030),
        (ccr(INITIAL, 0, "e", multiple_services_indicator=None, multiple_services_credit_control=[]), 2001),
        (ccr(INITIAL, 0, "v", block(100), **VOICE), 2001),
        (ccr(UPDATE, 1, "v", minute, **VOICE), 2001),
        (ccr(EVENT, 0, "s", block(200), requested_action=RequestedAction.DIRECT_DEBITING, **SMS), 2001),
        (ccr(EVENT, 0, "t", block(200), **SMS), 5005),
        (ccr(EVENT, 0, "u", block(200), requested_action=RequestedAction.REFUND_ACCOUNT, **SMS), 5012),
        (ccr(INITIAL, 0, "f", block(10), destination_realm="elsewhere.example"), 3003),
        (ccr(INITIAL, 0, "g", block(10), auth_application_id=16777238), 3007),
        (ccr(UPDATE, 2, "a", block(10, 10**9)), 2001),
        (ccr(UPDATE, 3, "a", block(10)), 2001),
        (ccr(TERMINATION, 4, "a", block(10, 0), block(30, 5), termination_cause=1), 2001),
    ]  # fmt: skip


async def _record(directory: Path) -> list[bytes]:
    async with serving(directory) as running:
        await add_subscriber(running.ledger, MSISDN, [f"msisdn:{MSISDN}"])
        await running.ledger.execute(MSISDN, BuyOffer("o", "all-in-one"))
        await running.ledger.execute(MSISDN, CreditMoney("m", 5_000_000))
        recorder = Recorder(running.server.port)
        await recorder.start()
        try:
            await _talk(running, recorder.port)
        finally:
            await recorder.close()
        return [message for from_server, message in recorder.messages if from_server]


async def _talk(running: Running, port: int) -> None:
    node = Node(
        Identity(host="pgw.example.org", realm="example.org"),
        applications=[Application(id=4, messages=CREDIT_CONTROL_MESSAGES)],
        settings=NodeSettings(watchdog_interval_s=0.2, watchdog_jitter_s=0.01, allow_short_watchdog=True),
    )
    peer = await node.connect("127.0.0.1", port)
    for request, code in requests():
        answer: Any = await node.send(request, peer)
        assert answer.result_code == code, (request.session_id, request.cc_request_number, answer)
    await running.ledger.execute(MSISDN, SetStatus(AccountStatus.BLOCKED))
    refused: Any = await node.send(ccr(INITIAL, 0, "z", block(10)), peer)
    assert refused.result_code == 4010
    await asyncio.sleep(0.5)  # a watchdog or two
    await node.close()
    stranger = Node(
        Identity(host="other.example.org", realm="example.org"),
        applications=[Application(id=16777238, vendor_id=10415, messages=())],
    )
    with pytest.raises(Exception, match="5010"):
        await stranger.connect("127.0.0.1", port)
    await stranger.close()


def test_every_octet_we_send_is_understood(tmp_path: Path) -> None:
    messages = asyncio.run(_record(tmp_path))
    assert len(messages) >= len(requests()) + 5, "CEA twice, DWA, DPA, and an answer to each request"
    quotes_a_request = {5004, 5005, 5031, 3007}
    for message, seen in zip(messages, dissect(messages), strict=True):
        assert not seen.complaints or any(f"{code}" in seen.text for code in quotes_a_request), (
            message.hex(), seen.text, seen.complaints,
        )  # fmt: skip
    commands = {int.from_bytes(message[5:8], "big") for message in messages}
    assert commands == {257, 272, 280, 282}
