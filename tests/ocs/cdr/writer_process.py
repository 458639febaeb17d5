"""Processes for the tests of the writer: one as the server starts it, or many one after another that are killed.

python writer_process.py run CONFIG PARENT
python writer_process.py kill URL PARTITIONS DIRECTORY TIMES SEED
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import structlog

from ocs.cdr import follow
from ocs.cdr.writer import CdrWriter, run_writer
from ocs.config import load_config
from ocs.store.connection import open_store


async def write_for_ever(url: str, partitions: int, directory: Path, ready: int) -> None:
    """As many checkpoints and rotations as can be, for a kill to hit. Says so on `ready` when it begins."""
    store = await open_store(url, partitions)
    os.write(ready, b"!")
    writer = CdrWriter(store, directory, 4096, 1, ["jsonl", "csv"], lambda: time.time_ns() // 1_000_000, pause_s=0)
    await writer.run(asyncio.Event())


def kill_many(url: str, partitions: int, directory: Path, times: int, seed: int) -> None:
    """Starts a writer and kills it, `times` over. Forks, so that each is there soon."""
    chance = random.Random(seed)
    follow.AT_ONCE = 5
    began, ready = os.pipe()
    for _ in range(times):
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(write_for_ever(url, partitions, directory, ready))
            finally:
                os._exit(1)
        os.read(began, 1)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit("the writer ended by itself")


def main(words: list[str]) -> None:
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    if words[0] == "run":
        asyncio.run(run_writer(load_config(Path(words[1])), int(words[2]) or None))
    else:
        kill_many(words[1], int(words[2]), Path(words[3]), int(words[4]), int(words[5]))


if __name__ == "__main__":
    main(sys.argv[1:])
