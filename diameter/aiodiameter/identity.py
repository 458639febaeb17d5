"""Who a node is and which applications it speaks. Plain data; nothing here sends or checks anything."""

import msgspec

from .message import Message


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself in CER, CEA, DWR and every answer. RFC 6733 §5.3."""

    host: str
    """Origin-Host: the node's DiameterIdentity."""
    realm: str
    """Origin-Realm."""
    product_name: str = "aiodiameter"
    vendor_id: int = 0
    """IANA enterprise number of the maker; 0 is the IETF's, and what those send who have none."""
    host_ip_addresses: tuple[str, ...] = ()
    """Host-IP-Address. Empty: the local address of the connection concerned."""
    origin_state_id: int | None = None
    """Grows at each restart that loses session state (§8.16); None if unused."""
    firmware_revision: int | None = None


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """One Diameter application: its id, and the requests that this node understands in it (§2.4).

    `vendor_id` is 0 for an application of the IETF, advertised as Auth-Application-Id; any other is advertised as
    Vendor-Specific-Application-Id of that vendor, which is added to Supported-Vendor-Id.
    """

    id: int
    messages: tuple[type[Message], ...]
    vendor_id: int = 0

    def __post_init__(self) -> None:
        for message in self.messages:
            if message.application_id != self.id:
                raise ValueError(f"{message.__name__} belongs to application {message.application_id}, not {self.id}")


def identity_key(diameter_identity: str) -> str:
    """What two spellings of the same DiameterIdentity have in common: it is a domain name (§4.3.1)."""
    return diameter_identity.lower()
