"""Kinds of values in the server's configuration: addresses, names of peers, networks, the store's URL, bounded numbers.

Owns how each is written and what is refused. Refuses to know which fields there are (that is `config`).
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, Secret

from ocs.units import format_duration, format_octets, parse_count, parse_duration_s, parse_octets
from ocs.yaml_file import quantity
from ocs.yaml_tree import described, masked


@dataclass(frozen=True)
class Address:
    """Where to listen: a host name or IP address, and a port; port 0 takes any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`host:port`, with an IPv6 address in brackets: `[::1]:3868`."""
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
        if match is None:
            raise ValueError(f"{described(text)} is not host:port; write for example 0.0.0.0:3868 or [::1]:3868")
        bracketed, plain, port = match.groups()
        if bracketed is not None:
            try:
                ipaddress.IPv6Address(bracketed)
            except ValueError:
                raise ValueError(f"{bracketed!r} is not an IPv6 address; write for example [::1]:{port}") from None
        if int(port) > 65535:
            raise ValueError(f"{port} is not a port; write 0 to 65535")
        return cls(bracketed or plain, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StoreUrl(Secret[str]):
    """A URL that may hold a password: `get_secret_value()` has it, every other way to show it does not."""

    def _display(self) -> str:
        return masked(self.get_secret_value())


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be host:port, not {described(value)}")  # noqa: TRY004 - see `quantity`
    return Address.parse(value)


def one_or_more(value: object) -> object:
    """A list; also a text with commas between the items, which is how a list stands in an environment variable."""
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value


def _identity(value: str) -> str:
    # DiameterIdentity (RFC 6733 §4.3.1): a fully qualified domain name, or a realm.
    label = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
    if len(value) > 255 or re.fullmatch(rf"{label}(?:\.{label})*", value) is None:
        raise ValueError(f"{described(value)} is not a Diameter identity; write a domain name such as ocs.example.org")
    return value


def _network(value: object) -> Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    try:
        return ipaddress.ip_network(str(value))
    except ValueError:
        raise ValueError(f"{described(value)} is no IP address or network; write 192.0.2.7 or 192.0.2.0/24") from None


def _store_url(value: object) -> object:
    """Checked without ever quoting it."""
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value)
        usable = bool(parts.path if parts.scheme == "unix" else parts.hostname) and (
            parts.port is None or parts.port > 0
        )
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("is not the URL of a store; write redis://host:6379/0, rediss:// for TLS, or unix:///socket")
    return value


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("must name at least one, and none twice")
    return values


def some(values: tuple[Address, ...]) -> tuple[Address, ...]:
    if not values:
        raise ValueError("must have at least one address; write for example 127.0.0.1:3868")
    return values


def _text(value: object) -> object:
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty")
    return value


Identity = Annotated[str, AfterValidator(_identity)]
Text = Annotated[str, BeforeValidator(_text)]
Place = Annotated[Path, BeforeValidator(_text)]
Listen = Annotated[Address, PlainValidator(_address), PlainSerializer(str)]
Networks = tuple[Annotated[Network, PlainValidator(_network), PlainSerializer(str)], ...]
MaybeStoreUrl = Annotated[StoreUrl | None, BeforeValidator(_store_url)]


def duration(minimum_s: int, maximum_s: int) -> BeforeValidator:
    return quantity(parse_duration_s, format_duration, minimum_s, maximum_s)


def size(minimum_octets: int, maximum_octets: int) -> BeforeValidator:
    return quantity(parse_octets, format_octets, minimum_octets, maximum_octets)


def count(minimum: int, maximum: int) -> BeforeValidator:
    return quantity(parse_count, str, minimum, maximum)
