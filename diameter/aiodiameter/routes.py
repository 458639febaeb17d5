"""Which handler a request goes to, and whether it was meant for this node at all (RFC 6733 §6.1.4)."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .identity import identity_key
from .message import Answer, Request
from .result_codes import ResultCode

if TYPE_CHECKING:
    from .peer import Peer

Outcome = Answer | Awaitable[Answer]
"""What a handler returns. An answer or a future of one costs no task; a coroutine gets one."""
Handler = Callable[[Any, "Peer"], Outcome]


class Addressee:
    """Who we are, for the checks of §6.1.4. With no `realms` any Destination-Realm will do, and with `any_host` any
    Destination-Host: some gateways go on naming a node that was there long ago.
    """

    def __init__(self, host: str, realms: frozenset[str], any_host: bool = False) -> None:
        self.host = host
        self.any_host = any_host
        self.host_key = identity_key(host)
        self.realms = realms
        self.realm_keys = frozenset(identity_key(realm) for realm in realms)


class Route:
    """One kind of request: its handler, and what its class lets us check before."""

    __slots__ = ("_addressee", "_has_application", "_has_host", "_has_realm", "_has_records", "handler", "key")

    def __init__(self, request_class: type[Request], handler: Handler, addressee: Addressee) -> None:
        fields = frozenset(request_class.__struct_fields__)
        self.handler = handler
        self.key = (request_class.application_id, request_class.command_code)
        self._addressee = addressee
        self._has_host = "destination_host" in fields and not addressee.any_host
        self._has_realm = "destination_realm" in fields and bool(addressee.realms)
        self._has_records = "route_record" in fields
        self._has_application = "auth_application_id" in fields

    def misdelivery(self, request: Any) -> ResultCode | None:
        """Why a request is not for us, or None if it is. All of these are protocol errors (§7.1.3).

        The exact spelling is compared first: DiameterIdentity ignores case, but hardly any peer makes use of it.
        """
        addressee = self._addressee
        if self._has_application and request.auth_application_id != self.key[0]:
            # §3: header and AVP have to agree; which code says so is left open.
            return ResultCode.APPLICATION_UNSUPPORTED
        host = request.destination_host if self._has_host else None
        if host is not None:
            if host != addressee.host and identity_key(host) != addressee.host_key:
                return ResultCode.UNABLE_TO_DELIVER
        elif self._has_realm:
            realm = request.destination_realm
            if realm is not None and realm not in addressee.realms and identity_key(realm) not in addressee.realm_keys:
                return ResultCode.REALM_NOT_SERVED
        records = request.route_record if self._has_records else ()
        if records and any(identity_key(record) == addressee.host_key for record in records):
            return ResultCode.LOOP_DETECTED  # §6.1.3
        return None
