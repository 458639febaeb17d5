"""A proxy before a store that loses things: connections in the middle of a pipeline, replies to what was done."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path


class Proxy:
    """Between clients and one store, both on unix sockets. A connection that is cut, or loses its replies, uses that
    up. Only requests that have `marker` in them suffer: what a client says to introduce itself goes through.
    """

    def __init__(self, target: str, path: Path) -> None:
        self._target = target.removeprefix("unix://")
        self._path = path
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.marker = b""
        self.cut_after: int | None = None
        """Octets of requests that still go through before the connection is cut, at the next one after."""
        self.swallow = 0
        """How many times replies are waited for and thrown away, and the connection cut."""
        self.keep_from_answering = False
        """Replies are thrown away, and the connection stays: the store seems frozen, and is not."""
        self.refuse = False
        self.connections = 0
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self._path)

    async def close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.close()
            return
        self.connections += 1
        there_reader, there_writer = await asyncio.open_unix_connection(self._target)
        both = (writer, there_writer)
        self._writers.update(both)
        marked = asyncio.Event()
        pumps = [self._requests(reader, there_writer, marked), self._replies(there_reader, writer, marked)]
        tasks = [asyncio.get_running_loop().create_task(pump) for pump in pumps]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.difference_update(tasks)
        for side in both:
            side.close()
            self._writers.discard(side)

    async def _requests(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter, marked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self.marker in data:
                marked.set()
            else:
                marked.clear()
            if self.cut_after is not None and marked.is_set():
                data, rest = data[: self.cut_after], data[self.cut_after :]
                self.cut_after -= len(data)
                there.write(data)
                if rest:
                    self.cut_after = None
                    self.cuts += 1
                    await there.drain()
                    await asyncio.sleep(0.02)  # the store carries out what it has got
                    return
                continue
            there.write(data)

    async def _replies(self, reader: asyncio.StreamReader, here: asyncio.StreamWriter, marked: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if self.keep_from_answering and marked.is_set():
                continue
            if self.swallow and marked.is_set():
                self.swallow -= 1
                self.cuts += 1
                return
            here.write(data)


@contextlib.asynccontextmanager
async def proxied(target: str, directory: Path) -> AsyncIterator[Proxy]:
    """A proxy for that store, listening in `directory`."""
    proxy = Proxy(target, directory / "proxy.sock")
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
