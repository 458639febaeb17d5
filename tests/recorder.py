"""A TCP proxy that keeps what went through it, message by message, for looking at every octet afterwards."""

import asyncio

from aiodiameter.framing import Framer


class Recorder:
    """Between clients and one server; `messages` holds (from the server, octets) in order."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.messages: list[tuple[bool, bytes]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        for source, target, from_server in ((reader, there_writer, False), (there_reader, writer, True)):
            task = asyncio.get_running_loop().create_task(self._pump(source, target, from_server))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, from_server: bool) -> None:
        framer = Framer()
        try:
            while data := await source.read(65536):
                self.messages += [(from_server, frame) for frame in framer.feed(data)]
                target.write(data)
        finally:
            target.close()
