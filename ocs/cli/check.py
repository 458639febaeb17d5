"""`ocs check`: is the configuration right, and what does it say?"""

from pathlib import Path
from typing import Annotated

import typer

from ocs.config import load_config
from ocs.rating.catalogue_file import load_catalogue
from ocs.units import format_duration

from .common import ConfigOption, out, read_config


def check(
    config: ConfigOption = None,
    catalogue: Annotated[Path | None, typer.Option(help="Check this catalogue instead of the configured one.")] = None,
) -> None:
    """Check configuration and catalogue. Every mistake is named with file, line, field and reason."""
    settings = load_config(config) if config is not None else read_config(None, None, None)
    path = catalogue or settings.charging.catalogue
    sold = load_catalogue(path)
    diameter = settings.diameter
    listen = ", ".join(str(address) for address in diameter.listen)
    out.print(f"configuration: {diameter.host}, realm {diameter.realm}, Diameter on {listen}")
    out.print(f"peers:         {len(diameter.peers)} listed; others: {diameter.unknown_peers}")
    url = settings.store.url
    out.print(f"store:         {'embedded, in ' + str(settings.store.data) if url is None else url}")
    out.print(f"catalogue:     {path}, version {sold.id}, in {sold.currency}")
    for service in sold.services.values():
        quota = service.quota
        out.print(
            f"  service {service.name}: context {service.context}, rating group {service.rating_group}, "
            f"counted in {service.unit}, quota {quota.default_units} to {quota.maximum_units} "
            f"for {format_duration(quota.validity_s)}"
        )
    for offer in sold.offers.values():
        out.print(f"  offer {offer.id}: {len(offer.allowances)} allowances, {len(offer.prices)} prices")
    out.print("ok")
