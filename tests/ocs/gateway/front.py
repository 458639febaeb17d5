"""The Gy front with books in memory behind it, spoken to in octets. Helpers of the tests of this folder."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from aiodiameter.codec import Registry, encode
from aiodiameter.header import FLAG_REQUEST, FLAG_RETRANSMITTED
from aiodiameter.message import ErrorAnswer
from aiodiameter.messages.credit_control import (
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    MultipleServicesCreditControl,
    RequestedServiceUnit,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
)
from ocs.charging.command import CreditControl
from ocs.gateway.gy import CreditControlFront
from ocs.store.ledger import Ledger
from ocs.store.work import Done
from tests.ocs.charging.books import NOW, Books

OCS, REALM = "ocs.example.org", "example.org"
REGISTRY = Registry(CreditControlRequest)
INITIAL, UPDATE = CcRequestType.INITIAL_REQUEST, CcRequestType.UPDATE_REQUEST
TERMINATION, EVENT = CcRequestType.TERMINATION_REQUEST, CcRequestType.EVENT_REQUEST


def msisdn(digits: str = "49") -> SubscriptionId:
    return SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data=digits)


def ccr(type_: CcRequestType = INITIAL, number: int = 0, **avps: Any) -> CreditControlRequest:
    """A request about 49 on data; `avps` replace or add attributes."""
    return CreditControlRequest(
        **{
            "session_id": "pgw.example.org;1;2",
            "origin_host": "pgw.example.org",
            "origin_realm": "example.org",
            "destination_realm": REALM,
            "auth_application_id": 4,
            "service_context_id": "32251@3gpp.org",
            "cc_request_type": type_,
            "cc_request_number": number,
            "subscription_id": [msisdn()],
            **avps,
        }
    )


def mscc(
    group: int | None = 10, *, asks: int | None = 0, used: int | None = None, **avps: Any
) -> MultipleServicesCreditControl:
    """`asks`: octets asked for, 0 leaves it to the server, None asks for nothing. `used`: octets used."""
    if asks is not None:
        avps["requested_service_unit"] = RequestedServiceUnit(cc_total_octets=asks or None)
    if used is not None:
        avps["used_service_unit"] = [UsedServiceUnit(cc_total_octets=used)]
    return MultipleServicesCreditControl(rating_group=group, **avps)


class Broken:
    """What the ledger says instead of a decision."""

    def __init__(self) -> None:
        self.error: Exception | None = None


class LedgerInMemory:
    """Decides at once. As the real one, takes the first identity that has an account, or else the session's account."""

    def __init__(self, books: Books, broken: Broken) -> None:
        self.books = books
        self.broken = broken
        self.now = NOW

    def submit_for(self, identities: list[str], command: CreditControl, done: Done) -> None:
        if self.broken.error is not None:
            done(self.broken.error)
            return
        account = next((name for name in map(self.books.account_of, identities) if name), "")
        if identities:
            known = [identity for identity in identities if self.books.account_of(identity)]
            command.identity = (known or identities)[0]
        else:
            account = next((name for name, session in self.books.sessions if session == command.session), "")
        done(self.books.carry_out(command, self.now, account))


class Gateway:
    """What a gateway sees of the server."""

    def __init__(self, books: Books, front: CreditControlFront, broken: Broken) -> None:
        self.books = books
        self.front = front
        self.broken = broken

    def octets(self, request: CreditControlRequest, *, again: bool = False) -> bytes:
        """The answer as octets. `again` sets the T flag."""
        request.header = CreditControlRequest.new_header()
        request.header.hop_by_hop, request.header.end_to_end = 7, 8
        if again:
            request.header.flags |= FLAG_RETRANSMITTED
        received = REGISTRY.decode(encode(request))
        assert not received.errors, received.errors
        answer = self.front.handle(received.message, None)
        if isinstance(answer, asyncio.Future):
            answer = answer.result()
        return encode(answer)

    def ask(self, request: CreditControlRequest) -> CreditControlAnswer:
        """The answer, decoded."""
        answer = self.any_answer(request)
        assert isinstance(answer, CreditControlAnswer)
        return answer

    def any_answer(self, request: CreditControlRequest) -> CreditControlAnswer | ErrorAnswer:
        answer = REGISTRY.decode(self.octets(request))
        assert not answer.errors, answer.errors
        assert answer.header.flags & FLAG_REQUEST == 0
        assert (answer.header.hop_by_hop, answer.header.end_to_end) == (7, 8)
        return cast(CreditControlAnswer | ErrorAnswer, answer.message)


@contextmanager
def gateway(books: Books, **options: Any) -> Iterator[Gateway]:
    broken = Broken()

    async def make() -> CreditControlFront:
        return CreditControlFront(cast(Ledger, LedgerInMemory(books, broken)), OCS, REALM, **options)

    with asyncio.Runner() as runner:
        yield Gateway(books, runner.run(make()), broken)
