"""A session in the hand of a test: what it sent, and answers to it. Helpers of the tests of this folder."""

import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from aiodiameter.message import Answer, error_answer
from aiodiameter.messages.credit_control import (
    CcRequestType,
    CreditControlAnswer,
    CreditControlRequest,
    FinalUnitAction,
    FinalUnitIndication,
    GrantedServiceUnit,
    MultipleServicesCreditControl,
)
from aiodiameter.result_codes import ResultCode
from simulators.behaviour import Action, Behaviour, Ended, Send, State
from simulators.ccr import Bearer, CcrWriter, Endpoint
from simulators.open5gs import Open5gsSession, Open5gsWriter
from simulators.pgw import GySession

T0 = 1_700_000_000.0
INITIAL, UPDATE, TERMINATION = (
    CcRequestType.INITIAL_REQUEST,
    CcRequestType.UPDATE_REQUEST,
    CcRequestType.TERMINATION_REQUEST,
)
ENDPOINT = Endpoint(
    origin_host="pgw.example.org", origin_realm="example.org", destination_realm="example.org", origin_state_id=7
)
BEARER = Bearer(msisdn="491700000001", imsi="001010000000001")
_UNITS = {"octets": "cc_total_octets", "seconds": "cc_time", "events": "cc_service_specific_units"}
_THRESHOLDS = {"octets": "volume_quota_threshold", "seconds": "time_quota_threshold", "events": "unit_quota_threshold"}

Block = MultipleServicesCreditControl


def granted(
    rating_group: int | None,
    amount: int | None = None,
    unit: str = "octets",
    *,
    threshold: int | None = None,
    validity: int | None = 3600,
    final: FinalUnitAction | None = None,
    code: int | None = 2001,
) -> Block:
    """What an answer says of one service; without `amount`, nothing is granted."""
    block = Block(rating_group=rating_group, result_code=code, validity_time=validity)
    if amount is not None:
        block.granted_service_unit = GrantedServiceUnit()
        setattr(block.granted_service_unit, _UNITS[unit], amount)
    if threshold is not None:
        setattr(block, _THRESHOLDS[unit], threshold)
    if final is not None:
        block.final_unit_indication = FinalUnitIndication(final_unit_action=final)
    return block


def refused(rating_group: int | None, code: int) -> Block:
    return granted(rating_group, code=code, validity=None)


def answer_to(request: CreditControlRequest, code: int = 2001, *blocks: Block, **avps: Any) -> Answer:
    """The server's answer; a protocol error has the E bit's grammar."""
    if 3000 <= code < 4000:
        return error_answer(
            request.header, request, ResultCode(code), origin_host="ocs.example.org", origin_realm="example.org"
        )
    answer = request.answer(
        code,
        origin_host="ocs.example.org",
        origin_realm="example.org",
        multiple_services_credit_control=list(blocks),
        **avps,
    )
    assert isinstance(answer, CreditControlAnswer)
    return answer


class Line:
    """A session, the time, and everything that was sent."""

    def __init__(self, session: GySession) -> None:
        self.session = session
        self.now = T0
        self.sent: list[Send] = []
        self.ended: Ended | None = None

    def state(self) -> State:
        return self.session.state

    @property
    def request(self) -> CreditControlRequest:
        """The last one."""
        return self.sent[-1].request

    @property
    def blocks(self) -> list[Block]:
        """The services of the last request."""
        return self.request.multiple_services_credit_control

    @property
    def block(self) -> Block:
        """The only service of the last request."""
        (block,) = self.blocks
        return block

    def take(self, actions: list[Action]) -> list[CreditControlRequest]:
        """Notes what a session wants done; returns what it sends."""
        assert self.ended is None or not actions, "nothing happens after the end"
        for action in actions:
            if isinstance(action, Ended):
                assert self.ended is None
                self.ended = action
            else:
                self.sent.append(action)
        return [action.request for action in actions if isinstance(action, Send)]

    def start(self) -> list[CreditControlRequest]:
        return self.take(self.session.start(self.now))

    def use(self, rating_group: int | None, octets_down: int = 0, **usage: int) -> list[CreditControlRequest]:
        return self.take(self.session.use(rating_group, self.now, octets_down=octets_down, **usage))

    def answer(self, *blocks: Block, code: int = 2001, **avps: Any) -> list[CreditControlRequest]:
        """The last request is answered."""
        return self.take(self.session.answer(answer_to(self.request, code, *blocks, **avps), self.now))

    def pass_time(self, seconds: float) -> list[CreditControlRequest]:
        self.now += seconds
        return self.take(self.session.tick(self.now))

    def stop(self) -> list[CreditControlRequest]:
        return self.take(self.session.stop(self.now))

    def opened(self, rating_group: int = 10, *blocks: Block) -> "Line":
        """Started, with traffic of one octet waiting, then answered with `blocks`."""
        self.start()
        self.answer()
        self.use(rating_group, 1)
        self.answer(*blocks)
        return self


def line(**behaviour: Any) -> Line:
    """A session of a gateway that keeps to the standards."""
    return Line(GySession(writer(), _ids(), Behaviour(**behaviour)))


def writer(requested: int | None = None) -> CcrWriter:
    return CcrWriter(ENDPOINT, BEARER, "pgw.example.org;1700000000;1;gy", requested=requested)


def open5gs_line(**behaviour: Any) -> Line:
    session = Open5gsSession(
        Open5gsWriter(ENDPOINT, BEARER, "smf.example.org;1700000000;1;app_gy"), _ids(), Behaviour(**behaviour)
    )
    return Line(session)


def _ids() -> Callable[[], int]:
    return itertools.count(1000).__next__


def used(block: Block) -> list[dict[str, Any]]:
    """The reports of a service, by attribute, without what is absent."""
    return [
        {
            name: value
            for name in report.__struct_fields__
            if (value := getattr(report, name)) is not None and value != []
        }
        for report in block.used_service_unit
    ]


def without_repetition_marks(request: CreditControlRequest) -> CreditControlRequest:
    """The request with the T flag clear and no Hop-by-Hop Identifier."""
    header = msgspec.structs.replace(request.header, flags=request.header.flags & ~0x10, hop_by_hop=0)
    return msgspec.structs.replace(request, header=header)
