"""The operator's commands: making accounts, putting money and units in, adding offers, blocking.

Each returns the receipt of what it did. A command with an id that was carried out before changes nothing.
"""

import copy
import math

from ocs.rating.catalogue import Catalogue, Offer, Unit

from . import balance
from .command import BuyOffer, Command, CommandRefused, CreateAccount, CreditMoney, CreditUnits, SetStatus
from .receipt import Receipt
from .state import MAIN_BUCKET, MAX_QUANTITY, Account, AccountStatus, Bucket

APPLIED_KEPT = 32
"""Ids of credits and purchases an account keeps, so that a client that repeats one after a lost answer is safe."""


def create(command: Command, now: int) -> tuple[Account, Receipt]:
    """A new account with an empty money bucket. Raises CommandRefused for any other command."""
    if not isinstance(command, CreateAccount):
        raise CommandRefused("there is no such account; make it first with `ocs subscriber add`")
    account = Account(1, command.account, "", subscribers=command.subscribers)
    account.buckets = [Bucket(MAIN_BUCKET, Unit.MONEY)]
    identities = ", ".join(identity for subscriber in command.subscribers for identity in subscriber.identities)
    return account, Receipt(account.id, 1, now, "account", text=identities)


def was_applied(account: Account, command: Command) -> bool:
    """Whether the command, known by its id, has been carried out before. Raises CommandRefused when another command
    was, under the same id.
    """
    if not isinstance(command, CreditMoney | CreditUnits | BuyOffer) or command.id not in account.applied:
        return False
    if account.applied[command.id] != _content(command):
        raise CommandRefused(
            f"id {command.id} was used for another credit ({account.applied[command.id]}); take a new id"
        )
    return True


def _content(command: CreditMoney | CreditUnits | BuyOffer) -> str:
    """What the command is about, to tell a repetition from another command that bears the same id."""
    if isinstance(command, CreditMoney):
        whole, millionths = divmod(command.amount_micro, 1_000_000)
        return f"money {whole}.{millionths:06}"
    if isinstance(command, BuyOffer):
        return f"offer {command.offer}"
    return f"{command.amount} {command.unit} for {', '.join(command.services)}"


def apply(account: Account, command: Command, catalogue: Catalogue, now: int) -> Receipt:
    """Carries `command` out on `account` (a working copy). Raises CommandRefused, naming what would do."""
    if account.currency and account.currency != catalogue.currency:
        raise CommandRefused(f"the account is in {account.currency}, the catalogue in {catalogue.currency}")
    account.currency = catalogue.currency
    if isinstance(command, CreditMoney):
        receipt = _credit_money(account, command, now)
    elif isinstance(command, CreditUnits):
        receipt = _credit_units(account, command, catalogue, now)
    elif isinstance(command, BuyOffer):
        receipt = _buy_offer(account, command, catalogue, now)
    elif isinstance(command, SetStatus):
        account.status = AccountStatus(command.status)
        return Receipt(account.id, 0, now, "status", catalogue.id, text=account.status)
    else:
        raise CommandRefused(f"account {account.id} exists already")
    applied = {**account.applied, command.id: _content(command)}
    account.applied = dict(list(applied.items())[-APPLIED_KEPT:])
    return receipt


def _credit_money(account: Account, command: CreditMoney, now: int) -> Receipt:
    main = next(bucket for bucket in account.buckets if bucket.id == MAIN_BUCKET)
    _check_amount(command.amount_micro, main.credited, "the amount, in millionths")
    balance.credit(main, command.amount_micro)
    return Receipt(account.id, 0, now, "credit", text=command.id)


def _credit_units(account: Account, command: CreditUnits, catalogue: Catalogue, now: int) -> Receipt:
    if command.unit is Unit.MONEY:
        raise CommandRefused("money is credited with an amount, not with units")
    unknown = [name for name in command.services if name not in catalogue.services]
    if unknown or not command.services:
        known = ", ".join(sorted(catalogue.services))
        raise CommandRefused(f"no service {unknown[0]!r}; known: {known}" if unknown else f"name a service of {known}")
    wrong = [name for name in command.services if catalogue.services[name].unit is not command.unit]
    if wrong:
        raise CommandRefused(f"{wrong[0]} is counted in {catalogue.services[wrong[0]].unit}, not {command.unit}")
    _check_amount(command.amount, 0, "the amount")
    expires_at = None if command.validity_s is None else now + command.validity_s * 1000
    _add_bucket(account, f"units#{account.version + 1}", command.unit, command.amount, expires_at, command.services, 10)
    return Receipt(account.id, 0, now, "units", catalogue.id, text=command.id)


def _buy_offer(account: Account, command: BuyOffer, catalogue: Catalogue, now: int) -> Receipt:
    offer: Offer | None = catalogue.offers.get(command.offer)
    if offer is None:
        raise CommandRefused(f"no offer {command.offer!r}; known: {', '.join(sorted(catalogue.offers))}")
    for allowance in offer.allowances:
        expires_at = None if allowance.validity_s is None else now + allowance.validity_s * 1000
        name = f"{allowance.id}#{account.version + 1}"
        services = sorted(allowance.services)
        _add_bucket(account, name, allowance.unit, allowance.amount, expires_at, services, allowance.priority, offer.id)
    if offer.id not in account.offers:
        account.offers = [*account.offers, offer.id]
    return Receipt(account.id, 0, now, "offer", catalogue.id, text=offer.id)


def _add_bucket(
    account: Account,
    name: str,
    unit: Unit,
    amount: int,
    expires_at: int | None,
    services: list[str],
    priority: int,
    offer: str = "units",
) -> None:
    account.gone = {unit: copy.copy(totals) for unit, totals in account.gone.items()}
    balance.forget(account, [bucket for bucket in account.buckets if balance.is_gone(bucket)])
    bucket = Bucket(name, unit, priority=priority, expires_at=expires_at, services=services, offer=offer)
    balance.credit(bucket, amount)
    account.buckets.append(bucket)
    account.buckets.sort(key=_paying_order)


def _paying_order(bucket: Bucket) -> tuple[bool, int, float]:
    """Units before money; then by priority; then what ends soonest. The list is kept in this order."""
    return bucket.unit is Unit.MONEY, bucket.priority, math.inf if bucket.expires_at is None else bucket.expires_at


def _check_amount(amount: int, already: int, what: str) -> None:
    if amount <= 0:
        raise CommandRefused(f"{what} is {amount}; it must be above 0")
    if already + amount > MAX_QUANTITY:
        raise CommandRefused(f"{what} {amount} would bring what was ever credited above {MAX_QUANTITY}")
