"""Who may connect: the peer table of the configuration. Knows identities and addresses, nothing of what peers say."""

import ipaddress
from collections.abc import Sequence
from typing import Literal

from ocs.config import PeerConfig


class PeerTable:
    """Decides on a CER's identity and the address it came from."""

    def __init__(self, peers: Sequence[PeerConfig], unknown: Literal["refuse", "loopback", "accept"]) -> None:
        self._peers = {peer.host.lower(): peer for peer in peers}
        self._unknown = unknown

    def admits(self, origin_host: str, origin_realm: str, address: str) -> bool:
        """Whether that peer may connect from that address (TCP's; a CER's Host-IP-Address proves nothing)."""
        source = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped is not None:
            source = source.ipv4_mapped
        peer = self._peers.get(origin_host.lower())
        if peer is None:
            return self._unknown == "accept" or (self._unknown == "loopback" and source.is_loopback)
        if peer.realm is not None and peer.realm.lower() != origin_realm.lower():
            return False
        return not peer.addresses or any(source in network for network in peer.addresses)
