"""The commands and their options."""

from importlib import metadata
from typing import Annotated

import typer

from . import account, audit, check, demo, explain, serve, simulate

app = typer.Typer(
    name="ocs",
    help="Octroi, an online charging server for mobile virtual operators.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False) -> None:
    """Octroi, an online charging server for mobile virtual operators."""
    if version:
        typer.echo(f"octroi-ocs {metadata.version('octroi-ocs')}")
        raise typer.Exit


app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("simulate")(simulate.simulate_command)
app.add_typer(account.subscriber, name="subscriber")
app.command("top-up")(account.top_up)
app.add_typer(account.show, name="show")
app.command("explain")(explain.explain)
app.command("audit")(audit.audit_command)
app.command("check")(check.check)
app.command("cdr-writer", hidden=True)(serve.cdr_writer)
