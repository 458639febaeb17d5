"""Keeps one outbound peer connected: the first attempt for its caller, then again every Tc (RFC 6733 §2.1).

Owns when to connect. What happens on the connection is not its business.
"""

import asyncio
import random
from collections.abc import Callable

from .connection import Connection
from .context import Context
from .errors import PeerError, PeerGone
from .messages.base import DisconnectCause
from .peer import Peer

JITTER = 0.1
"""Tc is shortened or lengthened by up to this part of it: two nodes that dial each other must not refuse each other's
connection in step for ever, and a restarted server must not meet all its clients in one moment."""


class Dialer:
    """Dials one address. `expected_host`: the DiameterIdentity that has to answer, if known. `keep` is told of each
    connection, before anything happens on it.
    """

    def __init__(
        self,
        context: Context,
        host: str,
        port: int,
        expected_host: str | None,
        local_host: str | None,
        keep: Callable[[Connection], Connection],
    ) -> None:
        self._context = context
        self._host = host
        self._port = port
        self._expected_host = expected_host
        self._local_address = None if local_host is None else (local_host, 0)
        self._keep = keep
        self.connection: Connection | None = None
        self.peer: Peer | None = None
        """Who answered last."""

    async def dial(self) -> Peer:
        """One attempt. Raises PeerGone when the address cannot be reached, PeerRefused when the CEA says no."""
        loop = asyncio.get_running_loop()
        connection = self._keep(Connection(self._context, dials=True, expected_host=self._expected_host))
        self.connection = connection
        try:
            try:
                async with asyncio.timeout(self._context.settings.timers.connect_s):
                    await loop.create_connection(
                        lambda: connection, self._host, self._port, local_addr=self._local_address
                    )
            except Exception as error:  # besides OSError, what a strange host name or port number causes
                connection.not_reached()
                connection.opened.exception()  # seen: the error raised here says more
                raise PeerGone(f"{self._host}:{self._port} cannot be reached: {error or 'no answer'}") from error
            self.peer = await connection.opened
        except asyncio.CancelledError:
            connection.opened.cancel()
            connection.abandon("stopped")
            raise
        return self.peer

    async def keep(self) -> None:
        """Dial again whenever the connection has ended, until the peer says that it does not want to be dialled."""
        while self.connection is not None:
            await asyncio.shield(self.connection.gone)
            if self.connection.departure not in (None, DisconnectCause.REBOOTING):
                # §5.4: after BUSY and DO_NOT_WANT_TO_TALK_TO_YOU, periodic connection requests are not welcome.
                self._context.log.warning("not dialling again", **self._whom(), cause=self.connection.departure.name)
                return
            try:
                await asyncio.sleep(self._context.settings.reconnect_s * random.uniform(1 - JITTER, 1 + JITTER))
                await self.dial()
            except PeerError as error:
                self._context.log.warning("peer not reached", **self._whom(), reason=str(error))

    def _whom(self) -> dict[str, object]:
        return {"peer": self._expected_host, "address": f"{self._host}:{self._port}"}
