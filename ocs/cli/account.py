"""Subscribers and accounts from the command line: add, block, top up, show."""

import uuid
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ocs.charging.balance import prove
from ocs.charging.command import BuyOffer, Command, CommandRefused, CreditMoney, CreditUnits, SetStatus
from ocs.charging.state import Account, AccountStatus, Session
from ocs.explain.words import bucket_name, quantity
from ocs.rating.catalogue import Unit
from ocs.store.connection import Store
from ocs.store.directory import add_subscriber, identity, read_account
from ocs.store.sessions import find_session, open_sessions
from ocs.units import UnitError, parse_amount, parse_duration_s, parse_money_micro

from .common import (
    ConfigOption,
    DataOption,
    Failure,
    StoreOption,
    account_of,
    opened_ledger,
    opened_store,
    out,
    printable,
    read_catalogue,
    read_config,
    run,
    when,
)

subscriber = typer.Typer(help="Add, block and unblock subscribers.", no_args_is_help=True)
show = typer.Typer(help="Show what the system thinks of an account or a session right now.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(help="MSISDN, IMSI or account id.")]
Money = Annotated[str | None, typer.Option("--money", help="Credit this much, such as 10.00.")]
Offer = Annotated[list[str] | None, typer.Option("--offer", help="An offer of the catalogue; may be repeated.")]


@subscriber.command("add")
def add(
    msisdn: Annotated[str, typer.Argument(help="Phone number with country code.")],
    imsi: Annotated[str | None, typer.Option(help="14 or 15 digits.")] = None,
    offer: Offer = None,
    money: Money = None,
    account: Annotated[str | None, typer.Option(help="Account id. [default: the MSISDN]")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    store: StoreOption = None,
) -> None:
    """Add a subscriber with an account of his own."""
    settings = read_config(config, data, store)
    catalogue = read_catalogue(settings)
    identities = [identity("msisdn", msisdn)] + ([identity("imsi", imsi)] if imsi else [])
    commands = _purchases(offer, money)
    for command in commands:
        if isinstance(command, BuyOffer) and command.offer not in catalogue.offers:
            raise CommandRefused(f"no offer {command.offer!r}; known: {', '.join(sorted(catalogue.offers))}")

    async def work() -> None:
        async with opened_ledger(settings, catalogue, create=True) as ledger:
            name = account or identities[0].partition(":")[2]
            await add_subscriber(ledger, name, identities)
            for command in commands:
                await ledger.execute(name, command)
            await _print_account(ledger.store, name)

    run(work())


def _purchases(offers: list[str] | None, money: str | None, name: str | None = None) -> list[Command]:
    commands: list[Command] = []
    key = name or uuid.uuid4().hex
    if money is not None:
        micro = parse_money(money)
        if micro <= 0:
            raise Failure(f"{money}: write an amount above 0")
        commands.append(CreditMoney(key, micro))
    commands += [BuyOffer(f"{key}-{number}", offer) for number, offer in enumerate(offers or [])]
    return commands


def parse_money(text: str) -> int:
    """An amount of money from the command line, in millionths. Raises Failure."""
    try:
        return parse_money_micro(text)
    except UnitError as error:
        raise Failure(str(error)) from None


@subscriber.command("block")
def block(who: Who, config: ConfigOption = None, data: DataOption = None, store: StoreOption = None) -> None:
    """Refuse everything until unblocked (4010). What a session reports is still charged."""
    _set_status(who, AccountStatus.BLOCKED, config, data, store)


@subscriber.command("unblock")
def unblock(who: Who, config: ConfigOption = None, data: DataOption = None, store: StoreOption = None) -> None:
    """Let a blocked account go on."""
    _set_status(who, AccountStatus.ACTIVE, config, data, store)


def _set_status(who: str, status: AccountStatus, config: ConfigOption, data: DataOption, store: StoreOption) -> None:
    settings = read_config(config, data, store)

    async def work() -> None:
        async with opened_ledger(settings, read_catalogue(settings)) as ledger:
            account = await account_of(ledger.store, who)
            await ledger.execute(account.id, SetStatus(status))
            out.print(f"account {account.id} is {status}")

    run(work())


def top_up(
    who: Who,
    money: Annotated[str | None, typer.Argument(help="Amount, such as 10.00.")] = None,
    offer: Offer = None,
    units: Annotated[str | None, typer.Option(help="Units instead of money, such as '1 GiB'.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="With --units: the services they are for.")] = None,
    validity: Annotated[str | None, typer.Option(help="With --units: how long, such as '30 d'.")] = None,
    name: Annotated[
        str | None, typer.Option("--id", help="Your id for this top-up: given again, it changes nothing.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    store: StoreOption = None,
) -> None:
    """Credit money, an offer, or units."""
    commands = _purchases(offer, money, name)
    if units is not None:
        commands.append(_units(units, service, validity, name or uuid.uuid4().hex))
    if not commands:
        raise Failure("say what to credit: an amount of money, --offer or --units")
    settings = read_config(config, data, store)

    async def work() -> None:
        async with opened_ledger(settings, read_catalogue(settings)) as ledger:
            account = await account_of(ledger.store, who)
            for command in commands:
                decision = await ledger.execute(account.id, command)
                if decision.repeated:
                    out.print(f"{getattr(command, 'id', '')}: was credited before; nothing was changed")
            await _print_account(ledger.store, account.id)

    run(work())


def _units(units: str, services: list[str] | None, validity: str | None, name: str) -> CreditUnits:
    try:
        amount, measure = parse_amount(units)
        validity_s = None if validity is None else parse_duration_s(validity)
    except UnitError as error:
        raise Failure(str(error)) from None
    if measure is None:
        raise Failure(f"{units}: of what? Write a unit, such as '1 GiB', '100 min' or '50 events'")
    return CreditUnits(f"{name}-units", Unit(measure), amount, services or [], validity_s)


@show.command("account")
def show_account(who: Who, config: ConfigOption = None, data: DataOption = None, store: StoreOption = None) -> None:
    """Balances, what is held, and the sessions that hold it."""
    settings = read_config(config, data, store)

    async def work() -> None:
        async with opened_store(settings) as opened:
            account = await account_of(opened, who)
            print_account(account, [session async for session in open_sessions(opened, account.id)])

    run(work())


@show.command("session")
def show_session(
    session_id: Annotated[str, typer.Argument(help="The Session-Id.")],
    config: ConfigOption = None,
    data: DataOption = None,
    store: StoreOption = None,
) -> None:
    """What a session has used and holds."""
    settings = read_config(config, data, store)

    async def work() -> None:
        async with opened_store(settings) as opened:
            session = await find_session(opened, session_id)
            if session is None:
                raise Failure(f"no session {session_id} (closed sessions are kept for a while only; see `ocs explain`)")
            account = await read_account(opened, session.account)
            print_session(session, account.currency if account is not None else "")

    run(work())


async def _print_account(store: Store, account_id: str) -> None:
    account = await read_account(store, account_id)
    assert account is not None
    print_account(account, [session async for session in open_sessions(store, account_id)])


def print_account(account: Account, sessions: list[Session]) -> None:
    """An account as a table, and what its sessions hold."""
    names = ", ".join(name.replace(":", " ", 1) for s in account.subscribers for name in s.identities)
    out.print(f"[bold]account {escape(account.id)}[/bold] ({account.status}), {escape(names)}")
    if account.offers:
        out.print(f"offers: {escape(', '.join(account.offers))}")
    table = Table("bucket", "left", "held", "spent", "credited", "pays for", "until", box=None, pad_edge=False)
    table.columns[0].overflow = "fold"  # never cut off
    for bucket in account.buckets:
        money = account.currency if bucket.unit is Unit.MONEY else ""
        amounts = (bucket.remaining, bucket.reserved, bucket.spent, bucket.credited)
        table.add_row(
            bucket_name(bucket.id),
            *(quantity(amount, bucket.unit, money) for amount in amounts),
            ", ".join(bucket.services) or "anything with a price",
            when(bucket.expires_at)[:16] if bucket.expires_at is not None else "",
        )
    out.print(table)
    for unit, proof in prove([account]).items():
        money = account.currency if unit is Unit.MONEY else ""
        parts = [("left", proof.left), ("held", proof.held), ("spent", proof.spent)]
        parts += [("expired", proof.expired)] if proof.expired else []
        text = " + ".join(f"{name} {quantity(amount, unit, money)}" for name, amount in parts)
        relation = "=" if proof.holds else "[bold red]IS NOT[/bold red]"
        out.print(f"credited {quantity(proof.credited, unit, money)} {relation} {text}")
    for session in sessions:
        print_session(session, account.currency)


def print_session(session: Session, currency: str) -> None:
    """A session's services with what they used and hold."""
    last = f", supervised until {when(session.deadline)}" if session.deadline else ""
    # Clients may put anything into these.
    name, peer = escape(printable(session.id)), escape(printable(session.peer))
    out.print(f"session {name} ({session.state}) of {peer}, since {when(session.opened_at)}{last}")
    for use in session.services.values():
        held = ", ".join(
            f"{quantity(hold.amount, Unit.MONEY if hold.bucket == 'main' else use.unit, currency)} of "
            f"{bucket_name(hold.bucket)}"
            for hold in use.holds
        )
        charged = f", {quantity(use.charged_micro, Unit.MONEY, currency)} charged" if use.charged_micro else ""
        out.print(
            f"  {use.service}: used {quantity(use.used, use.unit)}{charged}, "
            f"granted {quantity(use.granted, use.unit)}{f' (holds {held})' if held else ''}"
        )
