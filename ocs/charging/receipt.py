"""The record of one decision: what was asked, what was known, what was chosen, and why, in fields and in one sentence.

A receipt is the event that the store appends with the new state; CDRs, explanations and audits are made from receipts
alone. Plain data; `sentence` turns it into words.
"""

import enum

from msgspec import Struct

from ocs.rating.catalogue import Unit


class Reason(enum.StrEnum):
    """Why a service got its answer."""

    GRANTED = "granted"
    LAST_UNITS = "last-units"
    """All that was left was granted; it is the final unit."""
    DEBITED = "debited"
    """An event was charged at once."""
    REPORT_ONLY = "report-only"
    """Nothing was asked for."""
    CLOSED = "closed"
    """The client reported for the last time."""
    CREDIT_LIMIT = "credit-limit"
    """Nothing is left that may pay for the service."""
    NOT_IN_PLAN = "not-in-plan"
    """No offer of the account has units or a price for it."""
    BARRED = "barred"
    """An offer forbids it."""
    UNKNOWN_SERVICE = "unknown-service"
    """The catalogue has no service for what the client named."""
    BLOCKED = "blocked"
    """The account is blocked."""


class Verdict(enum.StrEnum):
    """Why the request as a whole got its answer."""

    OK = "ok"
    ALL_REFUSED = "all-refused"
    """No service of the request could be granted."""
    UNKNOWN_SUBSCRIBER = "unknown-subscriber"
    UNKNOWN_SESSION = "unknown-session"
    SESSION_WAS_CLOSED = "session-was-closed"
    """The session was closed before (supervision, operator); what was used is charged all the same."""
    UNKNOWN_CONTEXT = "unknown-context"
    """The catalogue has no service of that Service-Context-Id."""
    NUMBER_REUSED = "number-reused"
    """The CC-Request-Number was used before, for another request."""
    ANSWER_FORGOTTEN = "answer-forgotten"
    """A repetition so late that its answer is no longer kept."""
    BLOCKED = "blocked"
    OVERDUE = "overdue"
    """Nothing was heard of the session for too long."""


class Debit(Struct, gc=False):
    """A part of a usage that one bucket paid, in the bucket's unit."""

    bucket: str
    unit: Unit
    amount: int


class ServiceReceipt(Struct, omit_defaults=True, gc=False):
    """What happened to one service of the request."""

    service: str
    """Name in the catalogue; what the client named if there is none."""
    result_code: int = 2001
    reason: Reason = Reason.GRANTED
    rating_group: int | None = None
    service_identifier: int | None = None
    unit: Unit | None = None
    reporting_reason: int | None = None
    reported: bool = False
    used: int = 0
    used_in_session: int = 0
    debits: list[Debit] = []
    price: str = ""
    """Id of the price by which `rated` units were charged."""
    rated: int = 0
    cost_micro: int = 0
    uncharged: int = 0
    """Used units that nothing could pay for."""
    beyond_grant: int = 0
    """Used units above what had been granted."""
    not_counted: dict[str, int] = {}
    """Reported in units that the service is not counted in, or above all that a session can count; by unit."""
    released: int = 0
    """Granted units given back."""
    wanted: int = 0
    granted: int = 0
    priced: int = 0
    """How many of `granted` will cost money."""
    held: list[Debit] = []
    """Where the grant was reserved."""
    validity_s: int = 0
    threshold: int = 0
    available: int = 0
    """Units that could still have been granted beyond the grant (0 with last-units and credit-limit)."""
    short_micro: int = 0
    """With credit-limit: money that is missing for the next block of units."""


class BucketChange(Struct, omit_defaults=True, gc=False):
    """A bucket that the decision touched, before and after."""

    bucket: str
    unit: Unit
    remaining_before: int
    remaining: int
    reserved_before: int = 0
    reserved: int = 0
    spent: int = 0
    """Spent by this decision."""
    credited: int = 0
    expired: int = 0


class Receipt(Struct, omit_defaults=True, gc=False):
    """One decision. `account`/`version` identify it; versions of an account have no gaps."""

    account: str
    version: int
    at: int
    """Milliseconds since 1970."""
    kind: str
    """initial, update, termination, event; expiry; account, credit, units, offer, status."""
    catalogue: str = ""
    result_code: int = 0
    verdict: Verdict = Verdict.OK
    session: str = ""
    number: int | None = None
    context: str = ""
    subscriber: str = ""
    identity: str = ""
    peer: str = ""
    cause: int | None = None
    opened_at: int | None = None
    """With a request that opens or closes the session: when it was opened."""
    closes: bool = False
    services: list[ServiceReceipt] = []
    changes: list[BucketChange] = []
    about: dict[str, object] = {}
    text: str = ""
    """For an operator's command: what it was about."""

    @property
    def id(self) -> str:
        """Unique over all receipts."""
        return f"{self.account}/{self.version}"
