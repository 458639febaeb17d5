"""The connection that commits go through: many commands out in one piece, their replies back in order.

redis-py connects, authenticates and encrypts; packing and waiting are done here for the whole batch at once, because
its pipeline spends more on each command (a timer for each reply, packing in Python) than deciding it costs.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .connection import SOCKET_TIMEOUT_S, Client

Words = tuple[Any, ...]
"""A command's words: str, bytes or int."""


class Pipe:
    """One connection, used by one caller at a time. A lost connection is made again; what was under way is repeated
    once, so commands must bear that (a commit does: its version no longer fits).
    """

    def __init__(self, client: Client) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    async def execute(self, commands: Sequence[Words]) -> list[Any]:
        """The reply to each command; an error reply is a ResponseError in the list.

        Raises redis.exceptions.ConnectionError or TimeoutError when the store cannot be reached in SOCKET_TIMEOUT_S.
        """
        packed = b"".join([pack_command(words) for words in commands])
        try:
            try:
                return await self._exchange(packed, len(commands))
            except RedisConnectionError:
                await self.close()
                return await self._exchange(packed, len(commands))
        except TimeoutError:
            await self.close()
            raise RedisTimeoutError(f"no reply within {SOCKET_TIMEOUT_S:g} s") from None
        except BaseException:
            await self.close()  # replies still under way belong to nobody
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _exchange(self, packed: bytes, replies: int) -> list[Any]:
        async with asyncio.timeout(SOCKET_TIMEOUT_S):
            if self._connection is None:
                self._connection = await self._pool.get_connection()
            connection = self._connection
            await connection.send_packed_command(packed)
            return [await self._read(connection) for _ in range(replies)]

    @staticmethod
    async def _read(connection: Any) -> Any:
        try:
            return await connection.read_response(disable_decoding=True, timeout=math.inf)
        except ResponseError as error:
            return error
