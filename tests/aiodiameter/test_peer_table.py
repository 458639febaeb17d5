"""Peers by identity, and how many are remembered."""

from typing import cast

from aiodiameter.connection import Connection
from aiodiameter.peer_table import PeerTable
from aiodiameter.watchdog import Watchdog

SOME_CONNECTION = cast(Connection, object())


def table(max_known: int = 2) -> PeerTable:
    return PeerTable(lambda: Watchdog(jitter=lambda: 0), max_known)


def test_an_identity_ignores_case() -> None:
    peers = table()
    peer = peers.meet("pgw.example.org")
    assert peers.meet("PGW.example.ORG") is peer
    assert peers.find("pgw.EXAMPLE.org") is peer
    assert peers.find("other.example.org") is None
    assert list(peers) == [peer]


def test_who_is_away_longest_is_forgotten_first() -> None:
    peers = table(max_known=2)
    connected = peers.meet("connected")
    connected.connection = SOME_CONNECTION
    for name in ("a", "b", "c"):
        peers.meet(name)
    peers.meet("a")
    peers.forget_surplus()
    assert [peer.origin_host for peer in peers] == ["connected", "c", "a"]


def test_who_is_connected_is_never_forgotten() -> None:
    peers = table(max_known=0)
    for name in ("a", "b"):
        peers.meet(name).connection = SOME_CONNECTION
    peers.forget_surplus()
    assert len(list(peers)) == 2
