"""The peers a node has met, by identity (RFC 6733 §2.6). Bounded: whoever is not connected may be forgotten."""

from collections.abc import Callable, Iterator

from .identity import identity_key
from .peer import Peer
from .watchdog import Watchdog


class PeerTable:
    """`new_watchdog` makes the watchdog of a peer met for the first time; `max_known` limits those not connected."""

    def __init__(self, new_watchdog: Callable[[], Watchdog], max_known: int) -> None:
        self._new_watchdog = new_watchdog
        self._max_known = max_known
        self._peers: dict[str, Peer] = {}

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def find(self, origin_host: str) -> Peer | None:
        """The peer of that DiameterIdentity, in whatever spelling."""
        return self._peers.get(identity_key(origin_host))

    def meet(self, origin_host: str) -> Peer:
        """The peer of that identity, new if need be; it becomes the one met last."""
        key = identity_key(origin_host)
        peer = self._peers.pop(key, None) or Peer(origin_host, self._new_watchdog())
        self._peers[key] = peer
        return peer

    def forget_surplus(self) -> None:
        """Forget the peers that were met longest ago and are not connected, down to the limit."""
        away = [key for key, peer in self._peers.items() if peer.connection is None]
        for key in away[: max(0, len(away) - self._max_known)]:
            del self._peers[key]
