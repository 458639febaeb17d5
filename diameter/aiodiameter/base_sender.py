"""Sends the base protocol's messages of one connection: CER, DWR, DPR and the answers to the peer's (RFC 6733 §5).

Owns their contents, and the Hop-by-Hop Identifiers of our own requests until they are answered. When to send what is
the peer machine's and the watchdog's decision.
"""

from collections.abc import Callable

from .capabilities import Verdict, make_cea, make_cer
from .codec import encode
from .context import Context
from .header import Header
from .message import Request
from .messages.base import (
    CapabilitiesExchangeRequest,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerRequest,
)
from .result_codes import ResultCode


class BaseSender:
    """`write` takes octets for the peer, `new_id` gives a Hop-by-Hop Identifier that is free on the connection."""

    def __init__(self, context: Context, write: Callable[[bytes], None], new_id: Callable[[], int]) -> None:
        self._context = context
        self._write = write
        self._new_id = new_id
        self._waiting: dict[int, int] = {}
        """Of our latest CER, DWR and DPR that have no answer yet: command code to Hop-by-Hop Identifier."""

    def send_cer(self, local_address: str) -> None:
        """§5.3.1."""
        self._send(make_cer(self._context.identity, self._context.applications, local_address))

    def send_dwr(self) -> None:
        """§5.5.1."""
        us = self._context.identity
        self._send(
            DeviceWatchdogRequest(origin_host=us.host, origin_realm=us.realm, origin_state_id=us.origin_state_id)
        )

    def send_dpr(self, cause: DisconnectCause) -> None:
        """§5.4.1."""
        us = self._context.identity
        self._send(DisconnectPeerRequest(origin_host=us.host, origin_realm=us.realm, disconnect_cause=cause))

    def is_answer(self, header: Header) -> bool:
        """Whether this answers our latest request of its command; True only once for each."""
        if self._waiting.get(header.command_code) != header.hop_by_hop:
            return False
        del self._waiting[header.command_code]
        return True

    def answer_cer(self, cer: CapabilitiesExchangeRequest, verdict: Verdict, local_address: str) -> None:
        """§5.3.2."""
        self._write(encode(make_cea(cer, verdict, self._context.identity, self._context.applications, local_address)))

    def answer_dwr(self, dwr: DeviceWatchdogRequest) -> None:
        """§5.5.2."""
        us = self._context.identity
        answer = dwr.answer(
            ResultCode.SUCCESS, origin_host=us.host, origin_realm=us.realm, origin_state_id=us.origin_state_id
        )
        self._write(encode(answer))

    def answer_dpr(self, dpr: DisconnectPeerRequest) -> None:
        """§5.4.2."""
        us = self._context.identity
        self._write(encode(dpr.answer(ResultCode.SUCCESS, origin_host=us.host, origin_realm=us.realm)))

    def _send(self, request: Request) -> None:
        header = request.header
        header.hop_by_hop = self._new_id()
        header.end_to_end = self._context.next_end_to_end()
        self._waiting[header.command_code] = header.hop_by_hop
        self._write(encode(request))
