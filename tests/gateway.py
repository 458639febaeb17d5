"""A gateway in the hand of a test: requests for one rating group over a real connection, and who has used how much."""

import asyncio
from typing import Any

from aiodiameter.errors import DiameterError
from aiodiameter.header import FLAG_RETRANSMITTED
from aiodiameter.identity import Application, Identity
from aiodiameter.message import Answer
from aiodiameter.messages.credit_control import (
    APPLICATION_ID,
    CREDIT_CONTROL_MESSAGES,
    CcRequestType,
    CreditControlRequest,
    MultipleServicesCreditControl,
    RequestedServiceUnit,
    SubscriptionId,
    SubscriptionIdType,
    UsedServiceUnit,
)
from aiodiameter.node import Node
from aiodiameter.peer import Peer
from aiodiameter.settings import NodeSettings

HOST, REALM = "pgw.example.org", "example.org"
RATING_GROUP = 10
INITIAL, UPDATE, TERMINATION = (
    CcRequestType.INITIAL_REQUEST,
    CcRequestType.UPDATE_REQUEST,
    CcRequestType.TERMINATION_REQUEST,
)


def ccr(kind: CcRequestType, session: str, number: int, msisdn: str, used: int | None = None) -> CreditControlRequest:
    """Reports `used` octets; asks for more unless it is the last."""
    block = MultipleServicesCreditControl(rating_group=RATING_GROUP)
    if kind is not TERMINATION:
        block.requested_service_unit = RequestedServiceUnit()
    if used is not None:
        block.used_service_unit = [UsedServiceUnit(cc_total_octets=used)]
    return CreditControlRequest(
        session_id=session,
        origin_host=HOST,
        origin_realm=REALM,
        destination_realm=REALM,
        auth_application_id=APPLICATION_ID,
        service_context_id="32251@3gpp.org",
        cc_request_type=kind,
        cc_request_number=number,
        subscription_id=[
            SubscriptionId(subscription_id_type=SubscriptionIdType.END_USER_E164, subscription_id_data=msisdn)
        ],
        multiple_services_indicator=1,
        multiple_services_credit_control=[block],
    )


class Gateway:
    """One connection at a time, to a server on this machine."""

    def __init__(self, host: str = HOST) -> None:
        self.host = host
        self._node: Node | None = None
        self._peer: Peer | None = None

    async def connect(self, port: int) -> None:
        """Raises DiameterError when there is no server. A node for each connection: nothing is remembered of earlier
        ones, such as a watchdog that was not answered.
        """
        await self.close()
        self._node = Node(
            Identity(host=self.host, realm=REALM, product_name="test"),
            applications=[Application(id=APPLICATION_ID, messages=CREDIT_CONTROL_MESSAGES)],
            settings=NodeSettings(sweep_s=0.02, drain_s=0.1, close_linger_s=0.2, reconnect_s=3600),
        )
        self._peer = await self._node.connect("127.0.0.1", port)

    async def close(self) -> None:
        if self._node is not None:
            await self._node.close()
        self._node = self._peer = None

    def start(self, request: CreditControlRequest, timeout_s: float = 15) -> "asyncio.Future[Answer]":
        """Sends it now. Raises DiameterError, as does the future."""
        assert self._node is not None
        assert self._peer is not None
        return self._node.start(request, self._peer, timeout_s=timeout_s)

    async def ask(self, request: CreditControlRequest, timeout_s: float = 15) -> Any:
        return await self.start(request, timeout_s)


class Session:
    """A subscriber who uses the network without a pause, and repeats each request until it is answered for good."""

    def __init__(self, msisdn: str, session: str, used: int) -> None:
        self.msisdn, self.session = msisdn, session
        self.per_request = used
        self.used = 0
        """Octets in reports that were answered."""
        self.number = -1
        self.pending: CreditControlRequest | None = None
        self.codes: list[int] = []

    def next(self, kind: CcRequestType) -> CreditControlRequest:
        """The request that is due: the one that was not answered, or else a new one."""
        if self.pending is None:
            self.number += 1
            used = None if kind is INITIAL else self.per_request
            self.pending = ccr(kind, self.session, self.number, self.msisdn, used)
        else:
            self.pending.header.flags |= FLAG_RETRANSMITTED
        return self.pending

    def take(self, answer: Any) -> bool:
        """Whether the pending request is answered now; 3002 and its like ask for a repetition."""
        self.codes.append(answer.result_code)
        if 3000 <= answer.result_code < 4000:
            return False
        assert self.pending is not None
        assert answer.result_code == 2001, answer
        assert answer.cc_request_number == self.number
        reports = self.pending.multiple_services_credit_control[0].used_service_unit
        self.used += sum(report.cc_total_octets or 0 for report in reports)
        self.pending = None
        return True

    async def settle(self, gateway: Gateway, kind: CcRequestType = UPDATE, timeout_s: float = 15) -> bool:
        """Sends what is due. Whether it was answered; False also when the connection was lost."""
        try:
            return self.take(await gateway.ask(self.next(kind), timeout_s))
        except DiameterError:
            return False

    async def use(self, gateway: Gateway, stop: asyncio.Event, pause_s: float = 0) -> None:
        """Goes on until told to stop, or until the connection is lost."""
        while not stop.is_set():
            try:
                answered = self.take(await gateway.ask(self.next(INITIAL if self.number < 0 else UPDATE)))
            except DiameterError:
                return
            await asyncio.sleep(pause_s if answered else 0.02)
