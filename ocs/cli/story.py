"""A subscriber's story, told to a server over Diameter as a PGW would: attach, use, run out, be refused, top up, go on.

Each step sends a real request, prints what was asked and answered, and shows the balance on disk afterwards.
"""

import asyncio
from typing import Any

from aiodiameter.header import FLAG_RETRANSMITTED
from aiodiameter.identity import Application, Identity
from aiodiameter.messages.credit_control import (
    APPLICATION_ID,
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    ReportingReason,
    RequestedServiceUnit,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
)
from aiodiameter.node import Node
from aiodiameter.peer import Peer
from ocs.charging.command import BuyOffer, CreditMoney
from ocs.charging.state import MAIN_BUCKET
from ocs.explain.words import quantity
from ocs.rating.catalogue import Unit
from ocs.store.directory import add_subscriber, read_account
from ocs.store.ledger import Ledger

from .common import Failure, out

MSISDN, IMSI = "491701234567", "262011234567890"
OFFER, RATING_GROUP = "pay-as-you-go", 10
_HOST, _REALM = "pgw.example.org", "example.org"
_MIB = 2**20
_INITIAL, _UPDATE, _TERMINATION = (
    CcRequestType.INITIAL_REQUEST,
    CcRequestType.UPDATE_REQUEST,
    CcRequestType.TERMINATION_REQUEST,
)


class Story:
    """One subscriber, one session, one connection."""

    def __init__(self, ledger: Ledger, pause_s: float) -> None:
        self._ledger = ledger
        self._pause_s = pause_s
        self._number = -1
        self.session_id = f"{_HOST};1;1;story"
        self._peer: Peer
        self._last: CreditControlRequest

    async def tell(self, port: int) -> None:
        """The whole story. Raises Failure when the server answers otherwise than it must."""
        node = Node(
            Identity(host=_HOST, realm=_REALM, product_name="Octroi story"),
            applications=[Application(id=APPLICATION_ID, messages=CREDIT_CONTROL_MESSAGES)],
        )
        self._node = node
        try:
            self._peer = await node.connect("127.0.0.1", port)
            await self._chapters()
        finally:
            await node.close()

    async def _chapters(self) -> None:
        await add_subscriber(self._ledger, MSISDN, [f"msisdn:{MSISDN}", f"imsi:{IMSI}"])
        await self._ledger.execute(MSISDN, BuyOffer("story-offer", OFFER))
        await self._ledger.execute(MSISDN, CreditMoney("story-start", 250_000))
        await self._line("Ada joins with 0.25 EUR", "pay as you go, 0.01 EUR for each begun MiB", "")

        first = await self._ask("Ada attaches", _INITIAL, None, wants=True)
        second = await self._ask("Ada watches a film", _UPDATE, 10 * _MIB, wants=True)
        await self._repeat("its answer gets lost: sent again", second)
        last = await self._ask("the film goes on", _UPDATE, 10 * _MIB, wants=True)
        self._expect(first.granted == 10 * _MIB and last.final and last.granted == 5 * _MIB, "the last 5 MiB")
        refused = await self._ask("the last units are used", _UPDATE, 5 * _MIB, wants=True)
        self._expect(refused.code == 4012, "4012, DIAMETER_CREDIT_LIMIT_REACHED")
        await self._ledger.execute(MSISDN, CreditMoney("story-top-up", 1_000_000))
        await self._line("Ada tops up 1.00 EUR", "ocs top-up", "")
        resumed = await self._ask("the PGW tries again", _UPDATE, None, wants=True)
        self._expect(resumed.code == 2001 and resumed.granted == 10 * _MIB, "10 MiB")
        done = await self._ask("Ada detaches", _TERMINATION, 7 * _MIB // 2, wants=False)
        self._expect(done.code == 2001, "2001")

    async def _ask(self, title: str, kind: CcRequestType, used: int | None, *, wants: bool) -> "_Reply":
        self._number += 1
        block = MultipleServicesCreditControl(rating_group=RATING_GROUP)
        if wants:
            block.requested_service_unit = RequestedServiceUnit()
        if used is not None:
            block.used_service_unit = [UsedServiceUnit(cc_total_octets=used)]
            block.reporting_reason = ReportingReason.QUOTA_EXHAUSTED if wants else ReportingReason.FINAL
        self._last = CreditControlRequest(
            session_id=self.session_id,
            origin_host=_HOST,
            origin_realm=_REALM,
            destination_realm=_REALM,
            auth_application_id=APPLICATION_ID,
            service_context_id="32251@3gpp.org",
            cc_request_type=kind,
            cc_request_number=self._number,
            subscription_id=[
                SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data=MSISDN)
            ],
            multiple_services_indicator=1,
            multiple_services_credit_control=[block],
        )
        reply = _Reply(await self._node.send(self._last, self._peer))
        asked = "" if used is None else f"reports {quantity(used, Unit.OCTETS)}"
        asked += (", asks for more" if asked else "asks for internet") if wants else ", closes"
        await self._line(title, f"PGW: CCR-{kind.name[0]}, {asked}", reply.words)
        return reply

    async def _repeat(self, title: str, before: "_Reply") -> None:
        """The same request with the T flag, as after a lost answer."""
        self._last.header.flags |= FLAG_RETRANSMITTED
        reply = _Reply(await self._node.send(self._last, self._peer))
        self._expect(reply.same_as(before), "the same answer as before")
        await self._line(title, "PGW: the same CCR-U, T flag set", "the same answer, charged once")

    async def _line(self, title: str, asked: str, answered: str) -> None:
        account = await read_account(self._ledger.store, MSISDN)
        assert account is not None
        main = next(bucket for bucket in account.buckets if bucket.id == MAIN_BUCKET)
        left, held, spent = (quantity(n, Unit.MONEY) for n in (main.remaining, main.reserved, main.spent))
        colour = "red" if answered.startswith("4012") else "green"
        out.print(f"[bold]{title:<36}[/bold] {asked}")
        out.print(f"  [{colour}]{answered:<38}[/{colour}] [dim]left {left}, held {held}, spent {spent} EUR[/dim]")
        await asyncio.sleep(self._pause_s)

    def _expect(self, right: bool, what: str) -> None:
        if not right:
            raise Failure(f"the server's answer was wrong: expected {what}")


class _Reply:
    """What an answer says about the one service of the story."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        blocks = getattr(answer, "multiple_services_credit_control", [])
        block = blocks[0] if blocks else None
        self.code = answer.result_code
        self.granted: int | None = None
        self.final = False
        if block is not None:
            self.code = block.result_code if answer.result_code == 2001 else answer.result_code
            unit = block.granted_service_unit
            self.granted = unit.cc_total_octets if unit is not None else None
            self.final = block.final_unit_indication is not None

    @property
    def words(self) -> str:
        if self.code != 2001:
            return f"{self.code} credit limit reached" if self.code == 4012 else str(self.code)
        if self.granted is None:
            return "2001 session closed"
        return f"2001 {quantity(self.granted, Unit.OCTETS)}{', the last (FUI TERMINATE)' if self.final else ''}"

    def same_as(self, other: "_Reply") -> bool:
        """Whether both hold the same AVPs; identifiers in the header differ by nature."""
        mine, theirs = self._answer, other._answer
        return all(getattr(mine, n) == getattr(theirs, n) for n in mine.__struct_fields__ if n != "header")
