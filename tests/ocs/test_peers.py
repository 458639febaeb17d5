"""Who may connect."""

from typing import Literal

import pytest
from pydantic import TypeAdapter

from ocs.config import PeerConfig
from ocs.peers import PeerTable

PEERS = TypeAdapter(tuple[PeerConfig, ...]).validate_python(
    (
        {"host": "pgw.example.org"},
        {"host": "PGW2.example.org", "realm": "Example.org", "addresses": ["192.0.2.0/24", "2001:db8::1"]},
    )
)


def admits(host: str, address: str, realm: str = "example.org", unknown: str = "refuse") -> bool:
    policy: dict[str, Literal["refuse", "loopback", "accept"]] = {
        "refuse": "refuse",
        "loopback": "loopback",
        "accept": "accept",
    }
    return PeerTable(PEERS, policy[unknown]).admits(host, realm, address)


@pytest.mark.parametrize("host", ["pgw.example.org", "PGW.Example.ORG"])
@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1", "2001:db8::7", "fe80::1%eth0"])
def test_a_listed_peer_without_addresses_may_come_from_anywhere(host: str, address: str) -> None:
    assert admits(host, address, realm="whatever.example")


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("192.0.2.77", True),
        ("::ffff:192.0.2.77", True),
        ("192.0.3.1", False),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("127.0.0.1", False),
        ("::1", False),
    ],
)
def test_a_peer_with_addresses_comes_from_one_of_them(address: str, admitted: bool) -> None:
    """A socket that serves IPv6 and IPv4 shows an IPv4 peer as ::ffff:192.0.2.77."""
    assert admits("pgw2.example.org", address) is admitted
    assert admits("pgw2.example.org", address, unknown="accept") is admitted, "listed is listed, whoever else may come"


@pytest.mark.parametrize(("realm", "admitted"), [("example.org", True), ("EXAMPLE.org", True), ("other.org", False)])
def test_a_peer_with_a_realm_announces_it(realm: str, admitted: bool) -> None:
    assert admits("pgw2.example.org", "192.0.2.1", realm) is admitted


@pytest.mark.parametrize(
    ("unknown", "address", "admitted"),
    [
        ("refuse", "127.0.0.1", False),
        ("loopback", "127.0.0.1", True),
        ("loopback", "127.9.9.9", True),
        ("loopback", "::1", True),
        ("loopback", "::ffff:127.0.0.1", True),
        ("loopback", "192.0.2.1", False),
        ("loopback", "::ffff:192.0.2.1", False),
        ("accept", "192.0.2.1", True),
    ],
)
@pytest.mark.parametrize("host", ["stranger.example.org", "", "pgw.example.org.", "ж"])
def test_what_happens_to_a_stranger_is_the_operator_s_choice(
    unknown: str, address: str, admitted: bool, host: str
) -> None:
    assert admits(host, address, unknown=unknown) is admitted
