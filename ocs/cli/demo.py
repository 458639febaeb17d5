"""`ocs demo`: the product in under a minute. A real server, a subscriber's story, a crowd, and the proof."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ocs.audit import audit, read_cdrs
from ocs.config import Config
from ocs.rating.catalogue import Catalogue
from ocs.samples import sample
from ocs.store.embedded import EmbeddedStoreError, EmbeddedValkey, is_in_use
from simulators.simulate import SimulateOptions

from .audit import check_cdrs, print_proof
from .child import ServerProcess
from .common import Failure, opened_ledger, out, read_catalogue, read_config, run
from .simulate import provision, show_simulation
from .story import MSISDN, Story

_MARKER = "octroi-demo"


def demo(
    data: Annotated[Path, typer.Option(help="Where it works; emptied first.")] = Path("ocs-data/demo"),
    subscribers: Annotated[int, typer.Option(help="In the crowd.", min=1, max=5000)] = 200,
    seconds: Annotated[float, typer.Option(help="How long the crowd is at it.", min=1, max=600)] = 10.0,
    pause: Annotated[float, typer.Option(help="Seconds between the steps of the story.", min=0, max=10)] = 0.6,
) -> None:
    """See it work: a subscriber attaches, runs out, tops up and goes on; then a crowd; then the proof of the money."""
    _prepare(data)
    config = read_config(sample("ocs.yaml"), data, None)
    if not run(_demo(config, read_catalogue(config), data, subscribers, seconds, pause)):
        raise typer.Exit(1)


def _prepare(data: Path) -> None:
    """Empties the directory of an earlier demonstration, and nothing else's."""
    if data.exists() and any(data.iterdir()):
        if not (data / _MARKER).exists():
            raise Failure(f"{data} is not empty and not of an earlier demo; name another directory with --data")
        if is_in_use(data):
            raise Failure(f"{data} is in use, by a demo that still runs; name another directory with --data")
        with suppress(EmbeddedStoreError):  # the store of a demo that was killed may still run
            left_behind = EmbeddedValkey(data)
            left_behind.start()
            left_behind.stop()
        shutil.rmtree(data)
    data.mkdir(parents=True, exist_ok=True)
    (data / _MARKER).touch()


async def _demo(
    config: Config, catalogue: Catalogue, data: Path, subscribers: int, seconds: float, pause_s: float
) -> bool:
    server = ServerProcess(config, data / "server.log")
    # The store stays ours to the end: it is looked at after the server has gone.
    async with opened_ledger(config, catalogue, create=True) as ledger:
        out.rule("[bold]1. The server")
        await server.start()
        try:
            out.print(f"  ocs serve --dev   Diameter on 127.0.0.1:{server.port}, metrics at {server.metrics}")
            out.print(f"  {ledger.store.server}, embedded: {ledger.store.durability}\n")

            out.rule("[bold]2. One subscriber's story, over Diameter Gy")
            await Story(ledger, pause_s).tell(server.port)

            out.print()
            out.rule(f"[bold]3. A crowd of {subscribers}, some answers lost on purpose")
            options = SimulateOptions(
                port=server.port, subscribers=subscribers, duration_s=seconds, time_factor=600, drop_answers=0.02
            )
            await provision(ledger, options, "data-5gb", 5_000_000)
            crowd_is_right = await show_simulation(options)
        finally:
            await server.stop()

        out.print()
        out.rule("[bold]4. The proof")
        result = await audit(ledger.store)
        print_proof(result)
        sums = read_cdrs(config.cdr.directory)
        problems = check_cdrs(result, sums)

    out.print()
    out.rule("[bold]5. Where things are")
    out.print(f"  CDRs     {config.cdr.directory}/*.csv and *.jsonl")
    out.print(f"  log      {server.log}")
    program = sys.argv[0] if sys.argv[0].endswith("ocs") else "ocs"
    out.print(f"  why?     {program} explain {MSISDN} --data {data}")
    out.print(f"  now?     {program} show account {MSISDN} --data {data}")
    proved = result.holds and not problems
    verdict = "[bold green]credited = left + held + spent: it holds" if proved else "[bold red]THE MONEY IS NOT RIGHT"
    out.print(f"\n{verdict}")
    return proved and crowd_is_right
