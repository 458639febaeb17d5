"""A small credit-control server on a real socket: grants, counts, and recognises repetitions."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiodiameter.identity import Application, Identity
from aiodiameter.message import Answer
from aiodiameter.messages.credit_control import (
    CREDIT_CONTROL_MESSAGES,
    CreditControlAnswer,
    CreditControlRequest,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
)
from aiodiameter.node import Node
from aiodiameter.peer import Peer
from aiodiameter.peer_machine import Timers
from aiodiameter.settings import NodeSettings

CREDIT_CONTROL = Application(id=4, messages=CREDIT_CONTROL_MESSAGES)
QUICK = NodeSettings(
    timers=Timers(connect_s=2, cer_s=5, cea_s=5, settle_s=0.1, dpa_s=1), sweep_s=0.01, drain_s=0.1, close_linger_s=0.5
)
SERVER = Identity(host="ocs.example.org", realm="example.org", product_name="test")
Judge = Callable[[CreditControlRequest], int]


class GrantingServer:
    """Grants `octets` whenever units are asked for. `judge` gives the Result-Code of a request, `None` answers none."""

    def __init__(self, octets: int = 1_000_000, identity: Identity = SERVER) -> None:
        self.octets = octets
        self.identity = identity
        self.failover: int | None = None
        self.validity_s = 3600
        self.judge: Callable[[CreditControlRequest], int | None] = lambda request: 2001
        self.reported: Counter[tuple[str, int | None]] = Counter()
        """Octets by MSISDN and rating group, each request counted once."""
        self.requests: Counter[int] = Counter()
        """By CC-Request-Type, each counted once."""
        self.repetitions = 0
        self.open: set[str] = set()
        self.numbers: dict[str, list[int]] = {}
        self.node: Node
        self.address: tuple[str, int]
        self._answers: dict[tuple[str, int], CreditControlAnswer] = {}

    def handle(self, request: CreditControlRequest, _peer: Peer) -> "Answer | asyncio.Future[Answer]":
        code = self.judge(request)
        if code is None:
            return asyncio.get_running_loop().create_future()
        key = request.session_id, request.cc_request_number
        if key in self._answers:
            assert request.header.is_retransmitted
            self.repetitions += 1
            answer = self._answers[key]
            answer.header.hop_by_hop = 0  # the node sets it from the request
            return answer
        self.numbers.setdefault(request.session_id, []).append(request.cc_request_number)
        self.requests[request.cc_request_type] += 1
        answer = request.answer(code, origin_host=self.identity.host, origin_realm=self.identity.realm)  # type: ignore[assignment]
        if code == 2001:
            self._account(request)
            answer.cc_session_failover = self.failover
            answer.multiple_services_credit_control = [
                self._grant(block)
                for block in request.multiple_services_credit_control
                if block.requested_service_unit is not None
            ]
        self._answers[key] = answer
        return answer

    def _account(self, request: CreditControlRequest) -> None:
        if request.cc_request_type == 3:
            self.open.discard(request.session_id)
        else:
            self.open.add(request.session_id)
        msisdn = request.subscription_id[0].subscription_id_data
        for block in request.multiple_services_credit_control:
            for report in block.used_service_unit:
                octets = (report.cc_input_octets or 0) + (report.cc_output_octets or 0)
                self.reported[msisdn, block.rating_group] += octets

    def _grant(self, block: MultipleServicesCreditControl) -> MultipleServicesCreditControl:
        return MultipleServicesCreditControl(
            rating_group=block.rating_group,
            result_code=2001,
            granted_service_unit=GrantedServiceUnit(cc_total_octets=self.octets),
            volume_quota_threshold=self.octets // 5,
            validity_time=self.validity_s,
        )


@asynccontextmanager
async def granting(
    octets: int = 1_000_000, *, welcome: bool = True, identity: Identity = SERVER
) -> AsyncIterator[GrantingServer]:
    """Such a server on a free port of the loopback."""
    server = GrantingServer(octets, identity)
    node = Node(identity, applications=[CREDIT_CONTROL], settings=QUICK, admit=lambda cer, address: welcome)
    node.on(CreditControlRequest, server.handle)
    server.node = node
    try:
        server.address = await node.listen("127.0.0.1", 0)
        yield server
    finally:
        await node.close()
