"""`ocs explain`: what was decided for a session or a subscriber, and why, as a timeline."""

from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from ocs.charging.receipt import Receipt
from ocs.explain.timeline import find
from ocs.explain.words import sentence
from ocs.store.directory import read_account

from .common import (
    ConfigOption,
    DataOption,
    Failure,
    StoreOption,
    opened_store,
    out,
    printable,
    read_config,
    run,
    when,
)


def explain(
    what: Annotated[str, typer.Argument(help="MSISDN, IMSI, account id or Session-Id.")],
    last: Annotated[int, typer.Option(help="Only the last so many decisions; 0 for all.", min=0)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="The receipts themselves, one JSON object a line.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    store: StoreOption = None,
) -> None:
    """Every decision about a session or subscriber: what was asked, what was answered, and why."""
    if not what.strip():
        raise Failure("say about whom: an MSISDN, an IMSI, an account id or a Session-Id")
    settings = read_config(config, data, store)

    async def work() -> tuple[str, str, list[Receipt]]:
        async with opened_store(settings) as opened:
            name, receipts = await find(opened, what)
            account = await read_account(opened, receipts[-1].account) if receipts and receipts[-1].account else None
            return name, account.currency if account is not None else "", receipts

    name, currency, receipts = run(work())
    if not receipts:
        raise Failure(f"{what}: nothing is known of an account, subscriber or session of this name")
    earlier = max(0, len(receipts) - last) if last else 0
    receipts = receipts[earlier:]
    if as_json:
        for receipt in receipts:
            out.out(msgspec.json.encode(receipt).decode(), highlight=False)
        return
    print_timeline(name, receipts, currency)
    if earlier:
        out.print(f"and {earlier} earlier ones: --last 0 shows all")


def print_timeline(name: str, receipts: list[Receipt], currency: str) -> None:
    """The receipts as a table, a new session with a heading."""
    # Identities and Session-Ids are a client's words.
    out.print(f"[bold]{escape(printable(name))}[/bold], {len(receipts)} decisions (times in UTC)")
    table = Table("time", "request", "answer", "what happened", box=None, pad_edge=False)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    table.columns[3].overflow = "fold"  # a Session-Id is never cut off
    session = ""
    for receipt in receipts:
        if receipt.session != session and receipt.session:
            table.add_row("", "", "", f"[dim]session {escape(printable(receipt.session))}[/dim]")
        session = receipt.session or session
        number = "" if receipt.number is None else f" {receipt.number}"
        code = str(int(receipt.result_code)) if receipt.result_code else ""
        colour = "" if receipt.result_code in (0, 2001) else "[red]"
        text = escape(sentence(receipt, currency))
        table.add_row(when(receipt.at), f"{receipt.kind}{number}", f"{colour}{code}", text)
    out.print(table)
