"""Real traffic: a session over four rating groups that a commercial OCS answered, replayed against a running server.

The capture (BSD-3, from the Magma project) lies beside the checkout, in ../shared/captures; without it these tests are
skipped.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from aiodiameter.codec import Registry, encode
from aiodiameter.framing import Framer
from aiodiameter.messages.base import BASE_MESSAGES, CapabilitiesExchangeRequest
from aiodiameter.messages.credit_control import CREDIT_CONTROL_MESSAGES, CreditControlAnswer
from ocs.audit import audit, read_cdrs
from ocs.charging.command import BuyOffer, CreditMoney
from ocs.explain.timeline import of_session
from ocs.store.directory import add_subscriber, read_account
from tests.serving import serving

CAPTURE = Path(__file__).parents[2].parent / "shared" / "captures" / "gx-gy-four-rating-groups.jsonl"
pytestmark = pytest.mark.skipif(not CAPTURE.exists(), reason=f"the capture {CAPTURE} is not there")

SESSION = "string;490;022;IMSI999991234567810"
CATALOGUE = """
version: replay
currency: USD
quotas:
  octets: {default: 2000, maximum: 200000, minimum: 1, validity: 1 d, threshold: 0 %}
services:
  nine: {context: 32251, rating_group: 9, unit: octets}
  one: {context: 32251, rating_group: 1, unit: octets}
  two: {context: 32251, rating_group: 2, unit: octets}
  three: {context: 32251, rating_group: 3, unit: octets}
offers:
  octet-by-octet:
    name: One unit an octet
    prices: {nine: 1 per B, one: 1 per B, two: 1 per B, three: 1 per B}
"""
REGISTRY = Registry(*BASE_MESSAGES, *CREDIT_CONTROL_MESSAGES)


def gy_messages() -> list[tuple[bytes, bytes]]:
    """(request, captured answer) in order."""
    rows = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
    gy = [row for row in rows if row["app"] == 4]
    answers = {row["hbh"]: bytes.fromhex(row["hex"]) for row in gy if row["name"] == "CCA"}
    return [(bytes.fromhex(row["hex"]), answers[row["hbh"]]) for row in gy if row["name"] == "CCR"]


class RawPeer:
    """A connection that sends octets as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._framer = reader, writer, Framer()

    @classmethod
    async def connect(cls, port: int) -> "RawPeer":
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        cer = CapabilitiesExchangeRequest(
            origin_host="string",
            origin_realm="string",
            host_ip_address=["172.16.1.13"],
            vendor_id=10415,
            product_name="replay",
            auth_application_id=[4],
        )
        await peer.exchange(encode(cer))
        return peer

    async def exchange(self, request: bytes) -> bytes:
        self._writer.write(request)
        while True:
            frames = self._framer.feed(await self._reader.read(65536))
            if frames:
                return frames[0]

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def _replay(directory: Path, repeat: bool) -> dict[str, Any]:
    catalogue = directory / "catalogue.yaml"
    catalogue.write_text(CATALOGUE)
    found: dict[str, Any] = {"answers": []}
    options = ("--realm", "magma.com", "--host", "tvm-vocs.magma.com")
    async with serving(directory / "data", *options, catalogue=catalogue) as running:
        await add_subscriber(running.ledger, "magma", ["msisdn:1234567810", "imsi:999991234567810"])
        await running.ledger.execute("magma", BuyOffer("o", "octet-by-octet"))
        await running.ledger.execute("magma", CreditMoney("t", 100_000_000_000))
        peer = await RawPeer.connect(running.server.port)
        for request, _ in gy_messages():
            answer = await peer.exchange(request)
            found["answers"].append(answer)
            if repeat:
                with_t = request[:4] + bytes([request[4] | 0x10]) + request[5:]
                assert await peer.exchange(with_t) == answer
        await peer.close()
        found["account"] = await read_account(running.store, "magma")
        found["receipts"] = await of_session(running.store, SESSION)
        found["audit"] = await audit(running.store)
        await running.server.stop()
        found["cdrs"] = read_cdrs(running.config.cdr.directory)
        found["lines"] = [
            json.loads(line)
            for path in running.config.cdr.directory.glob("*.jsonl")
            for line in path.read_text().splitlines()
        ]
    return found


@pytest.mark.parametrize("repeat", [False, True], ids=["once", "each request twice"])
def test_replay(tmp_path: Path, repeat: bool) -> None:
    found = asyncio.run(_replay(tmp_path, repeat))

    for (_, captured), ours in zip(gy_messages(), found["answers"], strict=True):
        theirs, mine = REGISTRY.decode(captured).message, REGISTRY.decode(ours)
        assert not mine.errors
        assert isinstance(mine.message, CreditControlAnswer)
        assert mine.message.result_code == theirs.result_code == 2001
        assert mine.message.cc_request_number == theirs.cc_request_number
        groups = [block.rating_group for block in theirs.multiple_services_credit_control]
        assert [block.rating_group for block in mine.message.multiple_services_credit_control] == groups

    used = {receipt.rating_group: 0 for receipts in found["receipts"] for receipt in receipts.services}
    for receipt in found["receipts"]:
        for service in receipt.services:
            used[service.rating_group] += service.used
    assert used == {9: 5_000, 1: 7_500, 2: 7_500, 3: 7_500}

    money = found["account"].buckets[0]
    assert money.spent == 27_500_000_000, "27,500 units of a million millionths"
    assert money.remaining == 100_000_000_000 - 27_500_000_000
    assert money.reserved == 0
    assert found["audit"].holds
    assert found["cdrs"].spent["money"] == money.spent
    assert sum(line["used"] or 0 for line in found["lines"]) == 27_500
