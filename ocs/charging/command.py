"""What the charging function can be asked to do. Fronts translate into these; `decide` carries them out."""

import enum
from typing import Any

from msgspec import Struct

from ocs.rating.catalogue import Unit

from .state import AccountStatus, Subscriber


class RequestType(enum.StrEnum):
    """CC-Request-Type (RFC 8506 §8.3)."""

    INITIAL = "initial"
    UPDATE = "update"
    TERMINATION = "termination"
    EVENT = "event"


class ServiceRequest(Struct, omit_defaults=True, gc=False):
    """What a request says of one service: units used since the last report, and units asked for."""

    rating_group: int | None = None
    service_identifier: int | None = None
    requested: dict[str, int] | None = None
    """By unit; empty: the server chooses how much (RFC 8506 §8.18); None: nothing is asked for."""
    used: dict[str, int] | None = None
    """By unit, summed; None: no report."""
    final: bool = False
    """The client reports for the last time on this service (Reporting-Reason FINAL) and keeps no quota."""
    reporting_reason: int | None = None


class CreditControl(Struct, omit_defaults=True, gc=False):
    """A CCR of Gy or Ro."""

    type: RequestType
    session: str
    number: int
    context: str
    """3GPP TS number of the Service-Context-Id ("32251")."""
    services: list[ServiceRequest]
    identity: str = ""
    """The identity by which the account was found, `kind:value`."""
    multiple: bool = True
    """Whether to answer in Multiple-Services-Credit-Control."""
    fingerprint: int = 0
    peer: str = ""
    realm: str = ""
    apn: str | None = None
    about: dict[str, Any] = {}
    cause: int | None = None
    """Termination-Cause."""


class ExpireSession(Struct):
    """The supervision timer found a session overdue (Tcc, RFC 8506 §5.7)."""

    session: str


class CreateAccount(Struct):
    """Makes an account with its subscribers."""

    account: str
    subscribers: list[Subscriber]


class CreditMoney(Struct):
    """A top-up. `id` makes it idempotent: the same id again changes nothing."""

    id: str
    amount_micro: int


class CreditUnits(Struct):
    """A gift or correction in service units, for the services named."""

    id: str
    unit: Unit
    amount: int
    services: list[str]
    validity_s: int | None = None


class BuyOffer(Struct):
    """Adds an offer's allowances and prices. `id` makes it idempotent."""

    id: str
    offer: str


class SetStatus(Struct):
    """Blocks an account or lets it go on."""

    status: AccountStatus


Command = CreditControl | ExpireSession | CreateAccount | CreditMoney | CreditUnits | BuyOffer | SetStatus


class CommandRefused(ValueError):
    """A command of the operator that cannot be carried out. Nothing has changed; the text says what would do."""
