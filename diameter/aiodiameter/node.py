"""A Diameter node: listens, connects, hands requests to handlers, sends requests, says goodbye (RFC 6733).

    node = Node(Identity(host="ocs.example.org", realm="example.org"),
                applications=[Application(id=4, messages=CREDIT_CONTROL_MESSAGES)], admit=lambda cer, address: True)
    node.on(CreditControlRequest, answer_ccr)
    await node.listen("0.0.0.0", 3868)
    ...
    await node.close()

Owns the listening sockets, the dialers and the order of closing. Everything about one connection is in `connection`.
A node belongs to the event loop in which it is used; none of it is thread-safe.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from .connection import Connection
from .context import Admit, Context, Observer
from .counters import NodeCounters
from .dialer import Dialer
from .errors import NodeClosed, PeerGone
from .identity import Application, Identity
from .message import Answer, Request
from .messages.base import DisconnectCause
from .peer import Peer
from .routes import Outcome
from .settings import NodeSettings

R = TypeVar("R", bound=Request)

DIAMETER_PORT = 3868
"""IANA's port for Diameter over TCP (RFC 6733 §2.1)."""
_BACKLOG = 1024
"""After a restart all peers come back in one moment."""


class Node:
    """One Diameter identity with its connections.

    `admit(cer, (host, port))` decides who may connect: True, False (answered 3010 UNKNOWN_PEER) or another ResultCode.
    Without it every connection is refused; peers that `connect` reaches are not asked about.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        applications: Iterable[Application],
        settings: NodeSettings | None = None,
        admit: Admit | None = None,
    ) -> None:
        self._context = Context(identity, tuple(applications), settings or NodeSettings(), admit)
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._dialers: dict[asyncio.Task[None], Dialer] = {}
        self._closing: asyncio.Task[None] | None = None

    @property
    def identity(self) -> Identity:
        return self._context.identity

    @property
    def settings(self) -> NodeSettings:
        return self._context.settings

    @property
    def peers(self) -> list[Peer]:
        """Every peer that is connected, or was, as far as it is remembered (`NodeSettings.max_known_peers`)."""
        return list(self._context.peers)

    @property
    def counters(self) -> NodeCounters:
        """Of connections as such; what concerns a peer is in `Peer.counters`."""
        return self._context.counters

    @property
    def in_flight(self) -> int:
        """Requests received that have no answer yet."""
        return self._context.in_flight

    def peer(self, origin_host: str) -> Peer | None:
        """The peer of that DiameterIdentity, if it was met."""
        return self._context.peers.find(origin_host)

    def on(
        self,
        request_class: type[R],
        handler: Callable[[R, Peer], Outcome],
    ) -> None:
        """Have requests of a class answered by `handler(request, peer)`.

        The handler returns the answer, a future of it, or a coroutine. The first two cost no task. A coroutine becomes
        a task; it is not cancelled when the peer goes, since what it does may have to be finished, but when the node
        has closed. A handler that raises is logged, and its request is answered 5012 UNABLE_TO_COMPLY; so is one whose
        answer cannot be encoded. The answer's identifiers, P and T flags are always set from the request.

        Raises ValueError when no application of this node has that class.
        """
        self._context.add_route(request_class, handler)

    def observe(self, observer: Observer) -> None:
        """Have `observer(peer)` called whenever a peer's state or watchdog state has changed."""
        self._context.observers.append(observer)

    async def listen(self, host: str | None = None, port: int = DIAMETER_PORT) -> tuple[str, int]:
        """Accept connections at an address (None: all of IPv4 and IPv6; port 0: any free one) and return the real one.

        May be called several times. Raises OSError when the address cannot be used, NodeClosed after `close`.
        """
        self._refuse_when_closed()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, host, port, backlog=_BACKLOG)
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    def _accept(self) -> Connection:
        return self._keep(Connection(self._context))

    def _keep(self, connection: Connection) -> Connection:
        self._connections.add(connection)
        connection.gone.add_done_callback(lambda _: self._connections.discard(connection))
        return connection

    async def connect(
        self,
        host: str,
        port: int = DIAMETER_PORT,
        *,
        origin_host: str | None = None,
        local_host: str | None = None,
    ) -> Peer:
        """Connect to a peer and keep it connected: after a loss it is dialled again every `reconnect_s` (Tc, §2.1).

        `origin_host` is the identity that has to answer, if it matters; `local_host` the own address to use. Raises
        PeerGone when the first attempt does not reach the peer, PeerRefused when its CEA refuses us (the text says
        with which code) or cannot be accepted, NodeClosed after `close`. Later attempts are only logged.
        """
        self._refuse_when_closed()
        dialer = Dialer(self._context, host, port, origin_host, local_host, self._keep)
        peer = await dialer.dial()
        if self._context.closing:  # while the peer was answering
            raise NodeClosed("this node is closing")
        task = asyncio.get_running_loop().create_task(dialer.keep())
        self._dialers[task] = dialer
        task.add_done_callback(lambda done: self._dialers.pop(done, None))
        return peer

    def start(self, request: Request, peer: Peer, *, timeout_s: float | None = None) -> asyncio.Future[Answer]:
        """Send a request now and return a future of its answer: `send` without a coroutine, for many at once.

        The header's Hop-by-Hop and End-to-End Identifiers are set; an `end_to_end` other than 0 is kept, for a
        repetition with the T flag (§5.5.4). `timeout_s` is `answer_timeout_s` of the settings unless given; it is
        looked at every `sweep_s`. Raises PeerGone when the peer is not usable (see `Peer.is_usable`), PeerBusy when it
        owes too many answers, EncodeError, NodeClosed. The future raises PeerGone, AnswerTimeout (the request may have
        been carried out) or BadAnswer. An answer with the E bit is an ErrorAnswer and raises nothing.
        """
        self._refuse_when_closed()
        return peer.start(request, self.settings.answer_timeout_s if timeout_s is None else timeout_s)

    async def send(self, request: Request, peer: Peer, *, timeout_s: float | None = None) -> Answer:
        """Send a request and wait for its answer. Parameters and errors as `start`."""
        return await self.start(request, peer, timeout_s=timeout_s)

    async def disconnect(self, peer: Peer, cause: DisconnectCause = DisconnectCause.DO_NOT_WANT_TO_TALK_TO_YOU) -> None:
        """Say goodbye to one peer (§5.4) and return when its connection has ended; it is not dialled again.

        Raises PeerGone if it is neither connected nor dialled.
        """
        connection = peer.connection
        dialled = [task for task, dialer in self._dialers.items() if dialer.peer is peer]
        for task in dialled:
            task.cancel()
        await asyncio.gather(*dialled, return_exceptions=True)
        if connection is not None:
            connection.disconnect(cause)
            await asyncio.shield(connection.gone)
        elif not dialled:
            raise PeerGone(f"{peer.origin_host} is not connected")

    async def close(self, cause: DisconnectCause = DisconnectCause.REBOOTING) -> None:
        """Stop: accept nothing more, answer what is in flight (at most `drain_s`), then DPR, DPA and close (§5.4).

        Returns when no socket and no task is left. Calling it again waits for the same end.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(cause))
        await asyncio.shield(self._closing)

    async def _close(self, cause: DisconnectCause) -> None:
        context = self._context
        context.closing = True
        for server in self._servers:
            server.close()
        dialers = list(self._dialers)
        for task in dialers:
            task.cancel()
        await asyncio.gather(*dialers, return_exceptions=True)
        await context.drain()
        for connection in list(self._connections):
            connection.disconnect(cause)
        if self._connections:
            # The peer machine and the linger time bound this wait.
            await asyncio.wait([connection.gone for connection in self._connections])
        handlers = list(context.tasks)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()

    def _refuse_when_closed(self) -> None:
        if self._context.closing:
            raise NodeClosed("this node is closing")
