"""One connection to a peer: runs the peer machine and the peer's watchdog on a wire.

Owns what happens when a connection opens, hears the base protocol's messages, and ends; and its one timer, which serves
every deadline. Refuses to know what requests mean (`exchange`), who is let in (`context`) and when to connect
(`dialer`).
"""

import asyncio
from typing import cast

from .alarm import Alarm
from .base_sender import BaseSender
from .capabilities import Verdict, judge_cea
from .codec import Decoded
from .context import Context
from .endings import ending
from .errors import FramingError, PeerGone, PeerRefused
from .exchange import Exchange
from .log_budget import LogBudget
from .message import ErrorAnswer, Message
from .messages.base import (
    CapabilitiesExchangeAnswer,
    CapabilitiesExchangeRequest,
    DeviceWatchdogRequest,
    DisconnectCause,
    DisconnectPeerRequest,
)
from .peer import Peer
from .peer_machine import Action, Event, PeerMachine, State
from .result_codes import ResultCode
from .watch import Watch
from .watchdog import Event as WatchdogEvent
from .watchdog import State as WatchdogState
from .wire import Wire

_BASE_EVENTS = {
    (257, True): Event.RCV_CER,
    (257, False): Event.RCV_CEA,
    (280, True): Event.RCV_DWR,
    (280, False): Event.RCV_DWA,
    (282, True): Event.RCV_DPR,
    (282, False): Event.RCV_DPA,
}
_ANSWERS = frozenset((Event.RCV_CEA, Event.RCV_DWA, Event.RCV_DPA))
_AWAITED = frozenset((Event.RCV_DWA, Event.RCV_DPA))
"""Answers that say something once the connection is open."""

LOGGED_OCTETS = 64
"""Of a message that could not be processed: its header and its first AVPs."""


class Connection(Wire):
    """A connection that a peer made to us, or that we make (`dials`) to a peer, who has to be `expected_host` if given.

    A dialled connection is in WAIT_CONN_ACK from its construction on.
    """

    def __init__(self, context: Context, *, dials: bool = False, expected_host: str | None = None) -> None:
        super().__init__(context.settings)
        self._context = context
        self._dials = dials
        self._expected_host = expected_host
        self._decode = context.registry.decode
        self._base = BaseSender(context, self.write, self._new_id)
        self._budget = context.log_budget
        self._alarm = Alarm(self.loop, self._on_alarm)
        self._sweep_at: float | None = None
        self._watch: Watch | None = None
        self._received: Message | None = None
        """The base protocol's message at hand."""
        self._dpr: DisconnectPeerRequest | None = None
        self._verdict = Verdict(ResultCode.SUCCESS)
        self._cause = DisconnectCause.REBOOTING
        self.machine = PeerMachine(context.settings.timers)
        self.peer: Peer | None = None
        self.exchange: Exchange | None = None
        """As `peer`: None until capabilities have been exchanged."""
        self.closed = False
        """The machine has come back to CLOSED; the transport may still be delivering the last answers."""
        self.departure: DisconnectCause | None = None
        """The cause in the DPR that the peer sent."""
        self.opened: asyncio.Future[Peer] = self.loop.create_future()
        """Of a dialled connection: its peer, or PeerRefused or PeerGone."""
        if dials:
            self._drive(Event.START)

    # What others may ask for.

    def disconnect(self, cause: DisconnectCause) -> None:
        """Say goodbye with a DPR (§5.4), or just close what is not open yet. `gone` tells when it is over."""
        if not self.closed:
            self._cause = cause
            self._drive(Event.STOP)

    def abandon(self, why: str) -> None:
        """Close without a goodbye. `why` is a word for counters and logs."""
        if not self.closed:
            self._drive(Event.ABANDON, why)

    def not_reached(self) -> None:
        """The dialled transport connection did not come about."""
        if self.machine.state is State.WAIT_CONN_ACK:
            self._drive(Event.RCV_CONN_NACK)
        else:
            self.abandon("unreachable")  # it came about, and too late

    def report(self, reason: str, text: str, frame: bytes) -> None:
        """Count a message that could not be processed, and log it unless the peer has filled the log already."""
        counters = self._context.counters if self.peer is None else self.peer.counters
        counters.malformed[reason] += 1
        head = frame[:LOGGED_OCTETS].hex()
        self._warn("malformed message", reason=reason, text=text, head=head)

    def expect_answers(self) -> None:
        """A request of ours is on its way: look after a while which have waited too long."""
        if self._sweep_at is None:
            self._sweep_at = self.loop.time() + self._context.settings.sweep_s
            self._set_alarm()

    def all_answered(self) -> None:
        """No received request waits for its answer any more."""
        if self.machine.state in (State.LEAVING, State.SETTLING):
            self._drive(Event.SETTLED)
        self._context.answered()

    def tell_watchdog(self, event: WatchdogEvent) -> None:
        """Something has happened that concerns the peer's watchdog; it does not while the connection is departing."""
        if self._watch is not None and self.machine.state.is_open:
            self._watch.tell(event, self.loop.time())
            self._set_alarm()

    # What the wire tells.

    def on_connected(self) -> None:
        if self._dials:
            self._drive(Event.RCV_CONN_ACK)
            return
        refusal = self._context.count_in()
        self._drive(Event.ACCEPTED)
        if refusal is not None:
            self.abandon(refusal)

    def on_frames(self, frames: list[bytes]) -> None:
        if self._watch is not None:
            self._watch.heard(self.loop.time())
        decode = self._decode
        exchange = self.exchange
        for frame in frames:
            decoded = decode(frame)
            if exchange is not None and decoded[0].application_id:
                exchange.receive(decoded, frame)
            else:
                self._receive_base(decoded, frame)
                exchange = self.exchange
            if self.closed:
                return

    def on_fault(self, fault: FramingError) -> None:
        self.report(fault.result_code.name, fault.reason, fault.head)
        self.abandon("framing")

    def on_stalled(self) -> None:
        self._set_alarm()

    def on_lost(self, exc: Exception | None, unfinished_octets: int) -> None:
        if not self.closed:
            if unfinished_octets:
                self.report("truncated", f"the connection ended {unfinished_octets} octets into a message", b"")
            failed = exc is not None and not self.machine.state.is_departing
            self._drive(Event.PEER_DISC, "connection-lost" if failed else "")
        if not self._dials:
            self._context.count_out()

    # Messages of the base protocol.

    def _receive_base(self, decoded: Decoded, frame: bytes) -> None:
        header, message, faults = decoded
        event = Event.RCV_MESSAGE
        if header.application_id == 0:
            event = _BASE_EVENTS.get((header.command_code, header.is_request), Event.RCV_MESSAGE)
        self._received = message
        if self.exchange is None:
            self._drive(self._judged(event, decoded, frame))
        elif event is Event.RCV_MESSAGE:
            self.exchange.receive(decoded, frame)
        elif event in _AWAITED and not self._base.is_answer(header):
            self._drop()
        elif event not in _ANSWERS and faults:
            self.exchange.refuse(decoded, frame)
        else:
            self._drive(event)

    def _judged(self, event: Event, decoded: Decoded, frame: bytes) -> Event:
        """The event of a message before the connection is open; with the verdict on it, if it was waited for."""
        context, state, message = self._context, self.machine.state, decoded.message
        if state is State.WAIT_CER and isinstance(message, CapabilitiesExchangeRequest):
            self._verdict = context.judge(message, decoded.errors, self.remote_address)
            refused = Event.RCV_BAD_CER
        elif (
            state is State.WAIT_I_CEA
            and isinstance(message, CapabilitiesExchangeAnswer | ErrorAnswer)
            and self._base.is_answer(decoded.header)
        ):
            self._verdict = judge_cea(message, decoded.errors, context.applications, self._expected_host)
            if self._verdict.is_success and context.is_connected(message.origin_host):
                self._verdict = context.already_connected(message.origin_host)
            refused = Event.RCV_BAD_CEA
        else:
            return Event.RCV_MESSAGE
        if self._verdict.is_success:
            return event
        if self._verdict.fault is not None:
            self.report(self._verdict.result_code.name, self._verdict.text, frame)
        return refused

    def _answer_cer(self) -> None:
        cer = cast(CapabilitiesExchangeRequest, self._received)
        verdict = self._verdict
        if self.peer is not None and self._context.peers.find(cer.origin_host) is not self.peer:
            text = f"this connection belongs to {self.peer.origin_host}"
            verdict = Verdict(ResultCode.UNABLE_TO_COMPLY, "other-identity", text)
        self._base.answer_cer(cer, verdict, self.local_address)

    def _drop(self) -> None:
        if self.peer is not None:
            self.peer.counters.stray_answers += 1

    def _new_id(self) -> int:
        return self._context.random_32_bits() if self.exchange is None else self.exchange.pending.new_id()

    # The two machines.

    def _drive(self, event: Event, why: str = "") -> None:
        before = self.machine.state
        if event is Event.RCV_DPR:
            self._dpr = cast(DisconnectPeerRequest, self._received)
            self.departure = self._dpr.disconnect_cause
        for action in self.machine.handle(event, self.loop.time()):
            self._do(action)
        state = self.machine.state
        if state is before:
            return
        if state is State.CLOSED:
            self._finish(before, why or self._verdict.reason or ending(before, event))
        elif state.is_open:
            self._up()
        if self.peer is not None:
            self._context.changed(self.peer)
        if self.machine.state in (State.LEAVING, State.SETTLING) and self.exchange and not self.exchange.in_flight:
            self._drive(Event.SETTLED)
        self._set_alarm()

    def _do(self, action: Action) -> None:
        match action:
            case Action.SND_CONN_REQ | Action.PROCESS:
                pass  # the dialer's part; the exchange's part
            case Action.SND_CER:
                self._base.send_cer(self.local_address)
            case Action.SND_CEA:
                self._answer_cer()
            case Action.PROCESS_CER | Action.PROCESS_CEA:
                self._meet(cast(CapabilitiesExchangeRequest | CapabilitiesExchangeAnswer, self._received))
            case Action.REJECT:
                self._answer_cer()
                self.close_transport()
            case Action.SND_DWA:
                self._base.answer_dwr(cast(DeviceWatchdogRequest, self._received))
            case Action.PROCESS_DWA:
                self.tell_watchdog(WatchdogEvent.DWA)
            case Action.SND_DPR:
                self._base.send_dpr(self._cause)
            case Action.SND_DPA:
                self._base.answer_dpr(cast(DisconnectPeerRequest, self._dpr))
            case Action.DROP:
                self._drop()
            case Action.DISC | Action.ERROR:
                self.close_transport()

    def _meet(self, capabilities: CapabilitiesExchangeRequest | CapabilitiesExchangeAnswer) -> None:
        """From here on the connection is the peer's."""
        peer = self._context.peers.meet(capabilities.origin_host)
        peer.connection = self
        peer.origin_realm = capabilities.origin_realm
        peer.product_name = capabilities.product_name or ""
        peer.vendor_id = capabilities.vendor_id or 0
        peer.origin_state_id = capabilities.origin_state_id
        peer.applications = self._verdict.applications
        peer.remote_address = self.remote_address
        peer.counters.connections += 1
        self.peer = peer
        self.exchange = Exchange(self._context, self, peer)
        self._watch = Watch(
            peer.watchdog,
            send_dwr=self._base.send_dwr,
            close=lambda: self.abandon("watchdog"),
            changed=self._watchdog_changed,
        )
        self._budget = LogBudget()
        self.allow_long_messages()

    def _up(self) -> None:
        peer = cast(Peer, self.peer)
        self._context.log.info("peer connected", **self._who(), applications=sorted(peer.applications))
        self.tell_watchdog(WatchdogEvent.CONNECTION_UP)
        if not self.opened.done():
            self.opened.set_result(peer)

    def _watchdog_changed(self) -> None:
        peer = cast(Peer, self.peer)
        if peer.watchdog.state is WatchdogState.SUSPECT:
            self._context.log.warning("peer suspect", **self._who())
        self._context.changed(peer)

    def _finish(self, before: State, why: str) -> None:
        """The connection has come to its end, in good order or not."""
        self.closed = True
        self._alarm.cancel()
        self.close_transport()
        if self.peer is not None:
            self._part(self.peer, before.is_departing, why)
        elif not self._dials:
            self._context.counters.refused[why] += 1
            self._warn("connection refused", reason=why, text=self._verdict.text)
        if self._dials and not self.opened.done():
            refused = not self._verdict.is_success
            self.opened.set_exception(PeerRefused(self._verdict.text) if refused else PeerGone(f"not connected: {why}"))
        if self._transport is None:
            self.end()

    def _part(self, peer: Peer, departed: bool, why: str) -> None:
        peer.connection = None
        peer.counters.disconnections[why] += 1
        if self.exchange is not None:
            self.exchange.give_up(why)
        if self._watch is not None and peer.watchdog.state is not WatchdogState.DOWN:
            # It is DOWN already when it was the watchdog that closed the connection.
            self._watch.tell(
                WatchdogEvent.DISCONNECTED if departed else WatchdogEvent.CONNECTION_DOWN, self.loop.time()
            )
        log = self._context.log.info if departed else self._context.log.warning
        log("peer disconnected" if departed else "peer lost", **self._who(), reason=why)
        self._context.peers.forget_surplus()
        self._context.answered()

    def _warn(self, event: str, **facts: object) -> None:
        """Log what a peer did wrong, within its budget."""
        unsaid = self._budget.take(self.loop.time())
        if unsaid is not None:
            self._context.log.warning(event, **self._who(), **facts, unsaid=unsaid)

    def _who(self) -> dict[str, object]:
        host, port = self.remote_address
        return {"peer": None if self.peer is None else self.peer.origin_host, "address": f"{host}:{port}"}

    # The deadlines.

    def _set_alarm(self) -> None:
        if not self.closed:
            self._alarm.set((self.machine.deadline, self._watchdog_deadline(), self._stall_deadline(), self._sweep_at))

    def _watchdog_deadline(self) -> float | None:
        return self._watch.deadline if self._watch is not None and self.machine.state.is_open else None

    def _stall_deadline(self) -> float | None:
        return None if self.stalled_since is None else self.stalled_since + self._context.settings.write_stall_s

    def _on_alarm(self) -> None:
        now = self.loop.time()
        if self._is_due(self.machine.deadline, now):
            self._drive(Event.TIMEOUT)
        if self._is_due(self._stall_deadline(), now):
            self.abandon("not-reading")
        if self._is_due(self._watchdog_deadline(), now) and self._watch is not None:
            self._watch.check(now)
        if self._is_due(self._sweep_at, now) and self.exchange is not None:
            self.exchange.expire(now)
            self._sweep_at = now + self._context.settings.sweep_s if len(self.exchange.pending) else None
        self._set_alarm()

    def _is_due(self, deadline: float | None, now: float) -> bool:
        return not self.closed and deadline is not None and deadline <= now
