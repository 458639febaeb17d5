"""The server's configuration: one YAML file, every value of which an environment variable may replace.

Owns the fields, their defaults and bounds, and what they mean (`docs/configuration.md` is held against the
descriptions here). Refuses to know who uses them, and what is sold: that is the catalogue.

`OCS_` and the path of a field in capitals, joined by two underscores, is the environment variable that replaces it:
`OCS_STORE__URL`. Attributes bear their unit (`watchdog_s`); in the file the unit stands in the value (`30 s`).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from ocs.config_fields import (
    Address,
    Identity,
    Listen,
    MaybeStoreUrl,
    Networks,
    Place,
    StoreUrl,
    Text,
    count,
    distinct,
    duration,
    one_or_more,
    size,
    some,
)
from ocs.yaml_file import Written, did_you_mean, located, validate
from ocs.yaml_tree import Document, FileError, Location, Problem, read

__all__ = [
    "Address",
    "CdrConfig",
    "ChargingConfig",
    "Config",
    "DiameterConfig",
    "EventsKept",
    "FileError",
    "LogConfig",
    "MetricsConfig",
    "PeerConfig",
    "StoreConfig",
    "StoreUrl",
    "load_config",
]

DAY_S = 86400
ENVIRONMENT_PREFIX = "OCS_"
DELIMITER = "__"
MAX_MESSAGE_OCTETS = 2**24 - 1  # Message Length has 24 bits (RFC 6733 §3)


class Section(Written):
    """A part of the file; one whose every line has been commented out is a part with its defaults."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_defaults(cls, value: object) -> object:
        return {} if value is None else value


class PeerConfig(Section):
    """A gateway that may connect."""

    host: Identity = Field(description="Origin-Host of the peer, as it announces itself in its CER.")
    realm: Identity | None = Field(
        default=None, description="Origin-Realm the peer must announce; null accepts whatever it announces."
    )
    addresses: Networks = Field(
        default=(), description="IP addresses or networks the peer may connect from; an empty list is any address."
    )


def _hosts_once(peers: tuple["PeerConfig", ...]) -> tuple["PeerConfig", ...]:
    seen: dict[str, int] = {}
    problems: list[tuple[Location, str]] = []
    for i, peer in enumerate(peers):
        first = seen.setdefault(peer.host.lower(), i)
        if first != i:
            problems.append(((i, "host"), f"{peer.host!r} is peers[{first}] already; name each peer once"))
    if problems:
        raise located(problems)
    return peers


class DiameterConfig(Section):
    """Who this server is to its peers, and how it talks with them."""

    host: Identity = Field(
        default="ocs.example.org",
        description="Origin-Host: the name of this server, which its gateways are configured with.",
    )
    realm: Identity = Field(default="example.org", description="Origin-Realm: the realm of this server.")
    listen: Annotated[tuple[Listen, ...], BeforeValidator(one_or_more), AfterValidator(some)] = Field(
        default=(Address("127.0.0.1", 3868),),
        description="TCP addresses to accept connections on, as host:port or [IPv6]:port; port 0 takes a free one.",
    )
    product_name: Text = Field(default="Octroi", description="Product-Name, sent in the CEA.")
    watchdog_s: Annotated[int, duration(6, 3600)] = Field(
        alias="watchdog",
        default=30,  # Tw of RFC 3539 §3.4.1, which recommends 30 s and forbids less than 6 s
        description="How long a connection may be silent before a watchdog request is sent; at least 6 s.",
    )
    max_in_flight_per_peer: Annotated[int, count(1, 1_000_000)] = Field(
        default=4096,
        description="Requests of one peer that may be in work at once; the next one is answered 3004 (TOO_BUSY).",
    )
    max_message_octets: Annotated[int, size(1024, MAX_MESSAGE_OCTETS)] = Field(
        alias="max_message",
        default=1024 * 1024,
        description="The largest message that is read; a larger one closes the connection.",
    )
    any_destination_host: bool = Field(
        default=False,
        description="Whether requests are served that name another Destination-Host; some gateways keep an old one. "
        "Otherwise they are answered 3002 (UNABLE_TO_DELIVER).",
    )
    peers: Annotated[tuple[PeerConfig, ...], AfterValidator(_hosts_once)] = Field(
        default=(), description="The gateways that may connect."
    )
    unknown_peers: Literal["refuse", "loopback", "accept"] = Field(
        default="loopback",
        description="What happens to a peer that is not listed: `refuse` it, accept it from this machine only "
        "(`loopback`), or `accept` it from anywhere.",
    )


class EventsKept(Section):
    """How much of the event streams stays in the store for consumers to read."""

    age_s: Annotated[int, duration(60, 3650 * DAY_S)] = Field(
        alias="age", default=7 * DAY_S, description="Events older than this are removed from the store."
    )
    count_per_partition: Annotated[int, count(100, 1_000_000_000)] = Field(
        default=20_000, description="At most about this many events are kept in each partition, the newest."
    )


class StoreConfig(Section):
    """Where balances, sessions and events live."""

    url: MaybeStoreUrl = Field(
        default=None,
        description="The Valkey or Redis to use: redis://, rediss:// (TLS) or unix://; null starts one of its own.",
    )
    data: Place = Field(
        default=Path("ocs-data"),
        description="Directory of the server's own Valkey, relative to where the server is started; unused with a url.",
    )
    fsync: Literal["always", "everysec", "no"] = Field(
        default="always",
        description="When the server's own Valkey puts writes on disk: before each answer (`always`), every second, "
        "which loses up to a second of charges in a power cut (`everysec`), or when the system pleases (`no`).",
    )
    partitions: Annotated[int, count(1, 1024)] = Field(
        default=64,
        description="Into how many parts accounts are divided; chosen once, before the first account is created.",
    )
    events_kept: EventsKept = Field(default=EventsKept(), description="How much of the event streams is kept.")


class ChargingConfig(Section):
    """How sessions are charged."""

    catalogue: Place = Field(
        default=Path("catalogue.yaml"),
        description="The catalogue file, relative to this file; in an environment variable, to where the server is "
        "started.",
    )
    session_grace_s: Annotated[int, duration(0, DAY_S)] = Field(
        alias="session_grace",
        default=60,
        description="A session that has been silent for twice its validity time and this much more is closed.",
    )
    answers_kept: Annotated[int, count(1, 1000)] = Field(
        default=4, description="How many answers of a session are kept, to answer a repeated request with the same."
    )
    session_retention_s: Annotated[int, duration(0, 30 * DAY_S)] = Field(
        alias="session_retention",
        default=3600,
        description="How long a closed session is kept, so that a repeated last request gets the same answer.",
    )
    failure_handling: Literal["terminate", "continue", "retry_and_terminate"] = Field(
        default="terminate",
        description="Credit-Control-Failure-Handling: what the gateway does with a session when this server does not "
        "answer (RFC 8506 §8.14).",
    )
    failover_supported: bool = Field(
        default=False,
        description="CC-Session-Failover: whether the gateway may move a session to another server that uses the same "
        "store (RFC 8506 §8.4).",
    )


class CdrConfig(Section):
    """Where charging data records are written."""

    directory: Place = Field(
        default=Path("ocs-data/cdr"),
        description="Directory of the CDR files, relative to where the server is started.",
    )
    rotate_size_octets: Annotated[int, size(4096, 2**40)] = Field(
        alias="rotate_size", default=64 * 1024 * 1024, description="A file of this size is closed and a new one begun."
    )
    rotate_age_s: Annotated[int, duration(1, 7 * DAY_S)] = Field(
        alias="rotate_age", default=900, description="A file of this age is closed and a new one begun."
    )
    formats: Annotated[tuple[Literal["jsonl", "csv"], ...], BeforeValidator(one_or_more), AfterValidator(distinct)] = (
        Field(default=("jsonl", "csv"), description="The formats to write, each in files of its own.")
    )


class MetricsConfig(Section):
    """Figures for Prometheus."""

    listen: Listen = Field(
        default=Address("127.0.0.1", 9868), description="Address of the HTTP page /metrics; port 0 takes a free one."
    )


class LogConfig(Section):
    """What the server says about itself, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important messages that are still written."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`console` for people, `json` for machines; `auto` is console on a terminal."
    )


class Config(Section):
    """The whole configuration. `Config()` is the defaults: it reads no file and no environment variable."""

    diameter: DiameterConfig = Field(default=DiameterConfig(), description=DiameterConfig.__doc__)
    store: StoreConfig = Field(default=StoreConfig(), description=StoreConfig.__doc__)
    charging: ChargingConfig = Field(default=ChargingConfig(), description=ChargingConfig.__doc__)
    cdr: CdrConfig = Field(default=CdrConfig(), description=CdrConfig.__doc__)
    metrics: MetricsConfig = Field(default=MetricsConfig(), description=MetricsConfig.__doc__)
    log: LogConfig = Field(default=LogConfig(), description=LogConfig.__doc__)


class _Environment(Config, BaseSettings):
    """The same fields, as pydantic-settings looks for them. Only their names are used: values stay text."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter=DELIMITER,
        env_parse_none_str="null",
        enable_decoding=False,
    )


def load_config(path: Path | None) -> Config:
    """The configuration in the file, or the defaults without one, with what the environment replaces.

    `FileError` names every problem, with the line of the file or with the environment variable.
    """
    document = Document("(defaults)") if path is None else read(path)
    if path is not None:
        _resolve_catalogue(document, path.parent)
    for location, value in _leaves(EnvSettingsSource(_Environment)(), ()):
        document.override(location, value, _variable(location))
    document.problems.extend(_unknown_variables())
    return validate(document, Config)


def _resolve_catalogue(document: Document, directory: Path) -> None:
    """Name the catalogue from where the server runs. Wrong things are left for the validation to find."""
    if document.data.get("charging") is None:
        document.data["charging"] = {}
    charging = document.data["charging"]
    if isinstance(charging, dict):
        named = charging.setdefault("catalogue", str(ChargingConfig().catalogue))
        if isinstance(named, str) and named:
            charging["catalogue"] = str(directory / named)


def _leaves(tree: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _variable(location: tuple[str, ...]) -> str:
    return "environment variable " + ENVIRONMENT_PREFIX + DELIMITER.join(location).upper()


def _unknown_variables() -> Iterator[Problem]:
    """Variables that look like ours and name no section: pydantic-settings passes over them in silence."""
    sections = [name.upper() for name in Config.model_fields]
    for name in sorted(os.environ):
        section, delimiter, _ = name.upper().removeprefix(ENVIRONMENT_PREFIX).partition(DELIMITER)
        if name.upper().startswith(ENVIRONMENT_PREFIX) and delimiter and section not in sections:
            what = f"there is no section {section!r}{did_you_mean(section, sections)}"
            yield Problem(f"environment variable {name}", None, "", what)
