"""What several commands share: where configuration and store are, logging, output."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer
import uvloop
from rich.console import Console

from ocs.charging.state import Account
from ocs.config import Config, LogConfig, StoreUrl, load_config
from ocs.rating.catalogue import Catalogue
from ocs.rating.catalogue_file import load_catalogue
from ocs.samples import sample
from ocs.server import OpenStore, make_ledger
from ocs.store.connection import Store
from ocs.store.directory import find_account, read_account
from ocs.store.ledger import Ledger

T = TypeVar("T")

DEFAULT_CONFIG = Path("config/ocs.yaml")

out = Console(highlight=False, soft_wrap=True)


class Failure(Exception):
    """Ends the command with one line on standard error."""


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="OCS_CONFIG", help=f"Configuration file. [default: {DEFAULT_CONFIG}]"),
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Directory of the embedded store.")]
StoreOption = Annotated[
    str | None, typer.Option("--store", help="redis://, rediss:// or unix:// URL instead of the embedded store.")
]


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"ocs: {text}", file=sys.stderr)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end under uvloop."""
    return uvloop.run(coroutine)


def config_path(path: Path | None) -> Path:
    """The configuration file that is meant: the one named, else ./config/ocs.yaml, else the sample."""
    if path is not None:
        return path
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else sample("ocs.yaml")


def read_config(path: Path | None, data: Path | None, store: str | None) -> Config:
    """The configuration with the options applied."""
    config = load_config(config_path(path))
    changes: dict[str, Any] = {}
    if store is not None:
        changes["url"] = StoreUrl(store)
    if data is not None:
        changes["data"] = data
        # The CDRs stay beside the data, unless the file has put them elsewhere.
        moved = _moved(config.cdr.directory, config.store.data, data)
        config = config.model_copy(update={"cdr": config.cdr.model_copy(update={"directory": moved})})
    return config.model_copy(update={"store": config.store.model_copy(update=changes)}) if changes else config


def _moved(directory: Path, old: Path, new: Path) -> Path:
    """`directory`, below `new` if it was below `old`."""
    return new / directory.relative_to(old) if directory.is_relative_to(old) else directory


def read_catalogue(config: Config) -> Catalogue:
    return load_catalogue(config.charging.catalogue)


def set_up_logging(config: LogConfig) -> None:
    """Log lines on standard error, for people on a terminal and as JSON elsewhere unless the configuration says."""
    as_json = config.format == "json" or (config.format == "auto" and not sys.stderr.isatty())
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else structlog.processors.StackInfoRenderer(),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, config.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


@asynccontextmanager
async def opened_store(config: Config, *, create: bool = False) -> AsyncIterator[Store]:
    """The store, for a short command: log lines below warnings are left out. An embedded store that is not there is
    made only if asked for; mostly it is another directory that was meant.
    """
    set_up_logging(LogConfig(level="warning"))
    if config.store.url is None and not create and not (config.store.data / "appendonlydir").exists():
        where = f"there is no store in {config.store.data.absolute()}"
        raise Failure(f"{where}; name the server's with --data, --store, --config or OCS_CONFIG, or start `ocs serve`")
    async with OpenStore(config) as store:
        yield store


@asynccontextmanager
async def opened_ledger(config: Config, catalogue: Catalogue, *, create: bool = False) -> AsyncIterator[Ledger]:
    """A running ledger, for a short command."""
    async with opened_store(config, create=create) as store:
        ledger = make_ledger(config, store, catalogue)
        ledger.start()
        try:
            yield ledger
        finally:
            await ledger.close()


async def account_of(store: Store, who: str) -> Account:
    """The account that `who` means. Raises Failure."""
    account_id = await find_account(store, who)
    account = await read_account(store, account_id) if account_id is not None else None
    if account is None:
        raise Failure(f"{who}: no account, MSISDN or IMSI of this name; `ocs subscriber add` makes one")
    return account


def printable(text: str) -> str:
    """`text` without control characters, which could do something to a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def when(milliseconds: int) -> str:
    """A time for people: UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03}"


def own_command(*arguments: str) -> list[str]:
    """The words that start this program again."""
    return [sys.executable, "-m", "ocs", *arguments]


def child_environment(config: Config, path: Path) -> dict[str, str]:
    """The environment in which `own_command` finds the same configuration, from the file at `path` with the options
    applied. No secret goes on a command line.
    """
    environment = dict(os.environ)
    environment["OCS_CONFIG"] = str(path.absolute())
    environment["OCS_STORE__DATA"] = str(config.store.data.absolute())
    environment["OCS_CDR__DIRECTORY"] = str(config.cdr.directory.absolute())
    if config.store.url is not None:
        environment["OCS_STORE__URL"] = config.store.url.get_secret_value()
    return environment


async def wait_for_signal(*numbers: int) -> None:
    """Returns at the first of those signals."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    for number in numbers:
        loop.add_signal_handler(number, arrived.set)
    try:
        await arrived.wait()
    finally:
        for number in numbers:
            if number != signal.SIGTERM:  # asked twice, it still ends in order; Ctrl-C again ends it at once
                loop.remove_signal_handler(number)
