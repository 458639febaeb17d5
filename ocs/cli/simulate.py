"""`ocs simulate`: a PGW with many subscribers, or a load, against a server."""

import asyncio
from typing import Annotated

import typer

from ocs.charging.command import BuyOffer, CommandRefused, CreditMoney
from ocs.store.directory import add_subscriber
from ocs.store.ledger import Ledger
from simulators.progress import ProgressView, result_table
from simulators.simulate import SimulateOptions, SimulationFailed, simulate
from simulators.subscribers import make_subscribers

from .account import parse_money
from .common import (
    ConfigOption,
    DataOption,
    Failure,
    StoreOption,
    opened_ledger,
    out,
    read_catalogue,
    read_config,
    run,
)

_AT_ONCE = 50


def simulate_command(
    host: Annotated[str, typer.Option(help="Where the server listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3868,
    subscribers: Annotated[int, typer.Option(help="How many.", min=1, max=1_000_000)] = 20,
    duration: Annotated[float, typer.Option(help="Seconds.", min=0.1, max=3600)] = 30.0,
    rate: Annotated[float | None, typer.Option(help="Load: this many requests a second (open loop).")] = None,
    in_flight: Annotated[int | None, typer.Option(help="Load: this many requests at any time (closed loop).")] = None,
    msisdn: Annotated[str, typer.Option(help="Of the first subscriber; the others count on.")] = "491700000001",
    imsi: Annotated[str, typer.Option(help="Of the first subscriber; the others count on.")] = "001010000000001",
    seed: Annotated[int, typer.Option(help="The same seed gives the same traffic.")] = 1,
    time_factor: Annotated[float, typer.Option(help="Virtual seconds in a real one.")] = 60.0,
    drop_answers: Annotated[float, typer.Option(help="Share of answers lost, so that requests are repeated.")] = 0.0,
    style: Annotated[str, typer.Option(help="3gpp or open5gs.")] = "3gpp",
    rating_group: Annotated[list[int] | None, typer.Option(help="May be repeated. [default: 10 and 30]")] = None,
    connections: Annotated[int, typer.Option(help="Gateways, each with a connection.", min=1, max=100)] = 1,
    origin_host: Annotated[str, typer.Option(help="Identity of the (first) gateway.")] = "pgw.example.org",
    origin_realm: Annotated[str, typer.Option()] = "example.org",
    realm: Annotated[str, typer.Option(help="Destination-Realm: the server's.")] = "example.org",
    add: Annotated[str | None, typer.Option(help="First give the subscribers this offer; new ones are added.")] = None,
    money: Annotated[str, typer.Option(help="With --add: credit each has.")] = "100.00",
    config: ConfigOption = None,
    data: DataOption = None,
    store: StoreOption = None,
) -> None:
    """Play a PGW: subscribers that use the network as people do, or load with --rate or --in-flight."""
    try:
        options = SimulateOptions(
            host=host, port=port, subscribers=subscribers, duration_s=duration, rate=rate, in_flight=in_flight,
            seed=seed, time_factor=time_factor, drop_answers=drop_answers, style=style, connections=connections,
            first_msisdn=msisdn, first_imsi=imsi,
            origin_host=origin_host, origin_realm=origin_realm, destination_realm=realm,
            rating_groups=tuple(rating_group) if rating_group else (10, 30),
        )  # fmt: skip
    except ValueError as error:
        raise Failure(str(error)) from None

    async def work() -> bool:
        if add is not None:
            settings = read_config(config, data, store)
            async with opened_ledger(settings, read_catalogue(settings)) as ledger:
                await provision(ledger, options, add, parse_money(money))
        return await show_simulation(options)

    if not run(work()):
        raise typer.Exit(1)


async def provision(ledger: Ledger, options: SimulateOptions, offer: str, micro: int) -> None:
    """Adds the simulation's subscribers, with an offer and money; those that exist already are topped up."""
    if offer not in ledger.catalogue.offers:
        raise Failure(f"no offer {offer!r}; known: {', '.join(sorted(ledger.catalogue.offers))}")
    subscribers = make_subscribers(options.subscribers, options.first_msisdn, options.first_imsi)

    async def one(number: int) -> None:
        subscriber = subscribers[number]
        name = subscriber.msisdn
        try:
            await add_subscriber(ledger, name, [f"msisdn:{name}", f"imsi:{subscriber.imsi}"])
        except CommandRefused as refusal:
            if "exists already" not in str(refusal):
                raise
        # The same simulation again finds its subscribers as they are, and does not fill them up.
        run_id = f"simulate-{options.seed}"
        await ledger.execute(name, BuyOffer(f"{run_id}-{offer}", offer))
        if micro:
            await ledger.execute(name, CreditMoney(f"{run_id}-{micro}", micro))

    for first in range(0, len(subscribers), _AT_ONCE):
        await asyncio.gather(*(one(n) for n in range(first, min(first + _AT_ONCE, len(subscribers)))))


async def show_simulation(options: SimulateOptions) -> bool:
    """Runs it with live progress and prints the result. False when something was not as it should be."""
    try:
        with ProgressView(out) as view:
            result = await simulate(options, view.update)
    except (SimulationFailed, ValueError) as failure:
        raise Failure(str(failure)) from None
    out.print(result_table(result))
    last = make_subscribers(options.subscribers, options.first_msisdn, options.first_imsi)[-1]
    out.print(f"subscribers: MSISDN {options.first_msisdn} to {last.msisdn}; `ocs explain` tells the story of each")
    return not result.errors
