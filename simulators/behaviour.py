"""How a simulated gateway is set up, where its sessions can stand, what they want done, and which answers mean what to
them. Plain data.
"""

import enum

import msgspec

from aiodiameter.messages.credit_control import CreditControlRequest, FailureHandling
from aiodiameter.result_codes import ResultCode

from .books import RatingGroup

TEMPORARY = frozenset((ResultCode.UNABLE_TO_DELIVER, ResultCode.TOO_BUSY, ResultCode.LOOP_DETECTED))
"""RFC 8506 §7: the "temporary error" of the client's tables."""
ABOUT_THE_USER = frozenset(
    (
        ResultCode.END_USER_SERVICE_DENIED,
        ResultCode.CREDIT_LIMIT_REACHED,
        ResultCode.AUTHORIZATION_REJECTED,
        ResultCode.UNKNOWN_SESSION_ID,
        ResultCode.USER_UNKNOWN,
    )
)
"""The server did its work and says no: no failure handling makes a yes of it."""
NOBODY_TO_TELL = frozenset((ResultCode.UNKNOWN_SESSION_ID, ResultCode.USER_UNKNOWN))
"""A CCR-T would meet the same answer."""
FAILOVER_SUPPORTED = 1
"""CC-Session-Failover (RFC 8506 §8.4); absent means that it is not."""


class State(enum.Enum):
    """Where a session stands. RFC 8506 §7, Tables 3 and 4; the pending states are told by what waits for an answer."""

    IDLE = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    UNCONTROLLED = enum.auto()
    """The service goes on without credit control: 4011, or failure handling CONTINUE."""
    ENDED = enum.auto()


class End(enum.Enum):
    """Why a session ended."""

    RELEASED = "released"
    """By the subscriber."""
    REFUSED = "refused"
    """By an answer."""
    NO_ANSWER = "no answer"


class Send(msgspec.Struct, frozen=True):
    """Send the request now. Its End-to-End Identifier is set, its Hop-by-Hop Identifier is the sender's business."""

    request: CreditControlRequest
    repeated: bool = False


class Ended(msgspec.Struct, frozen=True):
    """The session is over."""

    end: End
    result_code: int | None = None
    """The answer that refused it."""


Action = Send | Ended


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway is configured. Times are in seconds."""

    tx_s: float = 10.0
    """How long an answer is waited for. RFC 8506 §13 recommends 10 s."""
    tries: int = 3
    """How often a request is sent at the most."""
    retry_s: float = 60.0
    """How long a refused service stays refused before its traffic asks again: RFC 8506 leaves it to the gateway."""
    failure_handling: FailureHandling = FailureHandling.TERMINATE
    """Until the server says otherwise. RFC 8506 §5.7, §8.14."""
    leak: bool = False
    """Traffic flows on when the quota is used up, as it does at gateways that only measure."""
    at_start: tuple[RatingGroup, ...] = ()
    """Rating groups that the first request asks for; the others are asked for at their first traffic."""
