"""What the charging function remembers: accounts, their buckets, and sessions. Plain data, stored as JSON.

Integers only: octets, seconds, events, and money in millionths of the account's currency; times in milliseconds since
1970. Nothing here decides anything or moves a balance (that is `balance`).
None of it refers to itself, so the garbage collector need not look at it (`gc=False`).
"""

import enum
import operator
from typing import Any

from msgspec import Raw, Struct

from ocs.rating.catalogue import Unit

MAX_QUANTITY = 2**53 - 1
"""The largest quantity anywhere: what JSON readers and Lua represent exactly."""

MAIN_BUCKET = "main"
"""The money bucket that top-ups go to."""


duplicate = operator.methodcaller("__copy__")
"""A shallow copy of any of these: `copy.copy` without its search for how to copy, several of which a request needs."""


class AccountStatus(enum.StrEnum):
    """Whether an account may use services."""

    ACTIVE = "active"
    BLOCKED = "blocked"


class Bucket(Struct, omit_defaults=True, gc=False):
    """A balance of one unit. credited = remaining + reserved + spent + expired, always."""

    id: str
    unit: Unit
    remaining: int = 0
    """Free to be granted."""
    reserved: int = 0
    """Held by open sessions."""
    credited: int = 0
    """All that was ever put in."""
    spent: int = 0
    expired: int = 0
    """What was left when the bucket's time ended."""
    priority: int = 100
    """Smaller pays first."""
    expires_at: int | None = None
    services: list[str] = []
    """Names of the services it pays for; empty for money, which pays for whatever has a price."""
    offer: str = ""
    """The offer that gave it; empty for money that was topped up."""


class Totals(Struct, omit_defaults=True, gc=False):
    """Sums over buckets that are used up and gone from the account."""

    credited: int = 0
    spent: int = 0
    expired: int = 0


class Subscriber(Struct, omit_defaults=True, gc=False):
    """Who uses: one contract with its identities, each `kind:value` (msisdn, imsi, sip, nai, private)."""

    id: str
    identities: list[str] = []


class Account(Struct, omit_defaults=True, gc=False):
    """Who pays. `version` counts the changes; it stands first so that the store finds it without parsing."""

    version: int
    id: str
    currency: str
    status: AccountStatus = AccountStatus.ACTIVE
    subscribers: list[Subscriber] = []
    offers: list[str] = []
    """Ids of the offers held; a price is taken from the first that has one for the service."""
    buckets: list[Bucket] = []
    gone: dict[str, Totals] = {}
    """By unit: what buckets that are no longer listed had."""
    applied: dict[str, str] = {}
    """The last credits and purchases, id to content, so that a repeated one is applied once."""


class Hold(Struct, gc=False):
    """What an open session holds of one bucket, in the bucket's unit."""

    bucket: str
    amount: int


class ServiceUse(Struct, omit_defaults=True, gc=False):
    """One service (rating group) within a session."""

    service: str
    unit: Unit
    rating_group: int | None = None
    """As the client names it; None where it names none and the catalogue's default applies."""
    service_identifier: int | None = None
    granted: int = 0
    """Units granted and not yet reported on."""
    priced: int = 0
    """How many of `granted` are to be paid in money."""
    holds: list[Hold] = []
    used: int = 0
    """Units reported in all."""
    rated: int = 0
    """Units of `used` that were paid in money; begun blocks are counted on this sum."""
    charged_micro: int = 0
    uncharged: int = 0
    """Units of `used` that nothing could pay for."""
    supervised_until: int = 0
    """When what is granted counts as lost: twice its validity time and a grace after the grant."""


class ServiceAnswer(Struct, omit_defaults=True, gc=False):
    """What is answered for one service of a request."""

    result_code: int = 2001
    rating_group: int | None = None
    service_identifier: int | None = None
    unit: Unit | None = None
    granted: int | None = None
    """Units granted (or debited, for an event); None: no Granted-Service-Unit."""
    validity_s: int | None = None
    threshold: int | None = None
    final: bool = False
    """The last units: Final-Unit-Indication with TERMINATE."""


class Answer(Struct, omit_defaults=True, gc=False):
    """What is answered to a credit-control request; everything in it that depends on state or catalogue."""

    result_code: int = 2001
    services: list[ServiceAnswer] = []
    multiple: bool = True
    """Answered in Multiple-Services-Credit-Control; else at command level with the first service's figures."""
    failed: str = ""
    """Name of the AVP that Failed-AVP must show (5004, 5031); empty for none."""
    text: str = ""
    """Error-Message, for people."""


class StoredAnswer(Struct, omit_defaults=True, gc=False):
    """The answer to one CC-Request-Number, kept for repetitions of the request."""

    number: int
    fingerprint: int
    """Tells a repetition from another request that bears the same number."""
    answer: Answer


class SessionState(enum.StrEnum):
    """RFC 8506 §7 has Idle and Open; a closed session is remembered for a while to recognise repetitions."""

    OPEN = "open"
    CLOSED = "closed"


class Session(Struct, omit_defaults=True, gc=False):
    """A credit-control session."""

    id: str
    account: str
    subscriber: str
    context: str
    state: SessionState
    opened_at: int
    peer: str = ""
    """Origin-Host of the client: where a request to this session has to go."""
    realm: str = ""
    deadline: int = 0
    """When the session is closed if nothing is heard of it (Tcc, RFC 8506 §13)."""
    closed_at: int | None = None
    services: dict[str, ServiceUse] = {}
    answers: list[Raw] = []
    """`StoredAnswer`s, newest last, kept as the JSON they are stored as: they are written with every request and hardly
    ever read.
    """
    seen: list[list[int]] = []
    """All CC-Request-Numbers that were processed, as [first, last] ranges in ascending order."""
    about: dict[str, Any] = {}
    """What the first request said of the session (APN, network, address…), for CDRs."""


class State(Struct, gc=False):
    """What one decision is taken on. None: it does not exist."""

    account: Account | None
    session: Session | None
