"""`ocs serve`: runs the server, and the process that writes its CDRs, until told to stop."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from ocs.cdr.writer import run_writer
from ocs.config import Address, Config
from ocs.rating.catalogue import Catalogue
from ocs.samples import sample
from ocs.server import OpenStore, Server
from ocs.store.connection import masked

from .common import (
    ConfigOption,
    DataOption,
    Failure,
    StoreOption,
    child_environment,
    config_path,
    own_command,
    read_catalogue,
    read_config,
    run,
    set_up_logging,
    wait_for_signal,
)

log = structlog.get_logger("ocs")

_CDR_RESTART_S = 2.0


def serve(
    config: ConfigOption = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="For the first hour: loopback, sample catalogue, any peer on this machine.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="Origin-Host, this server's identity.")] = None,
    realm: Annotated[str | None, typer.Option(help="Origin-Realm.")] = None,
    port: Annotated[int | None, typer.Option(help="Diameter port on 127.0.0.1 (with --dev).", min=0, max=65535)] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Metrics port on 127.0.0.1.", min=0, max=65535)] = None,
    catalogue: Annotated[Path | None, typer.Option(help="Catalogue file.")] = None,
    data: DataOption = None,
    store: StoreOption = None,
    cdr: Annotated[bool, typer.Option(help="Write CDRs.")] = True,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run the charging server. SIGTERM or Ctrl-C stops it: what is in flight is answered, nothing is lost."""
    if dev and config is not None:
        raise Failure("--dev brings its own configuration; use it without --config")
    if port is not None and not dev:
        raise Failure("--port goes with --dev; otherwise diameter.listen of the configuration says where to listen")
    path = sample("ocs.yaml") if dev else config_path(config)
    settings = read_config(path, data, store)
    settings = _with_options(settings, dev, host, realm, port, metrics_port, catalogue)
    sold = read_catalogue(settings)
    set_up_logging(settings.log)
    run(_serve(settings, path if cdr else None, sold, with_parent=with_parent))


def _with_options(
    config: Config,
    dev: bool,
    host: str | None,
    realm: str | None,
    port: int | None,
    metrics_port: int | None,
    catalogue: Path | None,
) -> Config:
    diameter: dict[str, object] = {}
    if dev:
        diameter |= {"peers": (), "unknown_peers": "loopback", "any_destination_host": True}
        diameter["listen"] = (Address("127.0.0.1", 3868 if port is None else port),)
    if host is not None:
        diameter["host"] = host
    if realm is not None:
        diameter["realm"] = realm
    changes: dict[str, object] = {"diameter": config.diameter.model_copy(update=diameter)}
    if metrics_port is not None:
        changes["metrics"] = config.metrics.model_copy(update={"listen": Address("127.0.0.1", metrics_port)})
    if catalogue is not None:
        changes["charging"] = config.charging.model_copy(update={"catalogue": catalogue})
    return config.model_copy(update=changes)


async def _serve(config: Config, cdr_path: Path | None, catalogue: Catalogue, *, with_parent: bool) -> None:
    """Runs the server; with CDRs unless `cdr_path`, the configuration file, is None."""
    async with OpenStore(config) as store:
        url = config.store.url
        where = f"embedded in {config.store.data}" if url is None else masked(url.get_secret_value())
        say = log.info if "every answer is on disk" in store.durability else log.warning
        say("store is open", server=store.server, where=where, durability=store.durability)
        server = Server(config, catalogue, store)
        await server.start()
        writer = asyncio.create_task(_keep_cdr_writer(config, cdr_path)) if cdr_path is not None else None
        for address, port in server.addresses:
            log.info("ready", diameter=f"{address}:{port}", host=config.diameter.host, realm=config.diameter.realm,
                     catalogue=catalogue.id, metrics=f"http://127.0.0.1:{server.metrics_port}/metrics")  # fmt: skip
        watch = asyncio.create_task(_stop_with_parent()) if with_parent else None
        await wait_for_signal(signal.SIGTERM, signal.SIGINT)
        if watch is not None:
            watch.cancel()
        log.info("stopping")
        await server.stop()
        if writer is not None:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        log.info("stopped")


async def _stop_with_parent() -> None:
    """Stops this process when the one that started it has gone, however that happened."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110  (nobody tells a process that its parent has gone)
        await asyncio.sleep(0.5)
    signal.raise_signal(signal.SIGTERM)


async def _keep_cdr_writer(config: Config, path: Path) -> None:
    """The CDR writer in a process of its own, so that it never keeps a request waiting; started again if it ends.

    Closing its standard input tells it to finish, however far it is with starting; a signal could come too early.
    """
    while True:
        process = await asyncio.create_subprocess_exec(
            *own_command("cdr-writer"),
            env=child_environment(config, path),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.stdin.close()
            await process.wait()
            raise
        log.error("the CDR writer ended; starting it again", exit_code=code, seconds=_CDR_RESTART_S)
        await asyncio.sleep(_CDR_RESTART_S)


def cdr_writer(config: ConfigOption = None) -> None:
    """Write CDRs from the event streams (`ocs serve` starts this)."""
    settings = read_config(config, None, None)
    set_up_logging(settings.log)
    run(_write_cdrs(settings))


async def _write_cdrs(config: Config) -> None:
    """Until standard input is closed, by the server that stops or by its death."""
    writer = asyncio.create_task(run_writer(config))
    await asyncio.sleep(0)  # its signal handlers are there now
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(_Closing, sys.stdin)
    try:
        await writer
    finally:
        transport.close()


class _Closing(asyncio.Protocol):
    """Tells this process to finish when nobody holds the other end."""

    def eof_received(self) -> None:
        signal.raise_signal(signal.SIGTERM)
