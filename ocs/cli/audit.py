"""`ocs audit`: the proof that the money is right."""

import typer
from rich.markup import escape
from rich.table import Table

from ocs.audit import Audit, CdrSums, audit, compare
from ocs.explain.words import quantity
from ocs.rating.catalogue import Unit

from .common import ConfigOption, DataOption, StoreOption, opened_store, out, read_config, run


def audit_command(config: ConfigOption = None, data: DataOption = None, store: StoreOption = None) -> None:
    """Prove over all accounts that credited = left + held + spent, and that what is held belongs to open sessions."""
    settings = read_config(config, data, store)

    async def work() -> Audit:
        async with opened_store(settings) as opened:
            return await audit(opened)

    result = run(work())
    print_proof(result)
    raise typer.Exit(0 if result.holds else 1)


def print_proof(result: Audit) -> None:
    """The proof as a table, and what is wrong, if anything."""
    out.print(f"{result.accounts} accounts, {result.open_sessions} open sessions")
    currency = next(iter(result.currencies - {""}), "")
    table = Table("", "credited", "", "left", "held", "spent", "expired", box=None, pad_edge=False)
    for unit, proof in sorted(result.proofs.items()):
        money = currency if unit is Unit.MONEY else ""
        # To the last unit: a proof that is rounded proves nothing to whoever adds it up.
        whole, *parts = [
            f"{n:,}" if unit is not Unit.MONEY else quantity(n, unit, money)
            for n in (proof.credited, proof.left, proof.held, proof.spent, proof.expired)
        ]
        table.add_row(unit, whole, "=" if proof.holds else "[red]is not[/red]", *parts)
    out.print(table)
    for problem in result.problems:
        out.print(f"[red]{escape(problem)}[/red]")


def check_cdrs(result: Audit, sums: CdrSums) -> list[str]:
    """Compares with the CDRs, prints one line, and returns what does not agree."""
    problems = compare(result, sums)
    if problems:
        for problem in problems:
            out.print(f"[red]{escape(problem)}[/red]")
    else:
        out.print(f"{sums.records} CDRs in {sums.files} files add up to the same, each once")
    return problems
