"""Opens the store: connects, loads the function, checks the installation, and says how durable it is."""

import re
from importlib.resources import files
from typing import Any

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from .keys import INSTALLATION, Keys

SOCKET_TIMEOUT_S = 5.0
"""Less than the 10 s that a client waits for an answer (Tx, RFC 8506 §13), so that it hears a refusal instead."""
_LEAST_VERSION = (7, 0)
"""FUNCTION came with Redis 7.0; every Valkey has it."""


Client = Any
"""A `redis.asyncio.Redis`. Its annotations cover every option of every command at once (text or octets, RESP2 or 3), so
that they would have to be cast away at each call.
"""


class StoreError(RuntimeError):
    """The store cannot be used. The text names the store (without its password) and what would help."""


class Layout(msgspec.Struct):
    """How an installation's keys are laid out; written once."""

    partitions: int
    format: int = 1


class Store:
    """An open store: the client, the keys, and what was found out about it."""

    def __init__(self, client: Client, keys: Keys, server: str, durability: str) -> None:
        self.client = client
        self.keys = keys
        self.server = server
        """Name and version, for people."""
        self.durability = durability
        """One sentence: what a power cut may take away."""

    async def close(self) -> None:
        await self.client.aclose()


def masked(url: str) -> str:
    """The URL without user and password, which may hold any character: everything up to the last @ goes."""
    url = re.sub(r"^([a-z]+://)?.*@", r"\1***@", url, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"([?&][^=&]*password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


def make_client(url: str) -> Client:
    """A client for any redis://, rediss:// or unix:// URL. Raises StoreError when the URL is none."""
    # Repeating a commit is safe: if it had been carried out, the version no longer matches and we are told so.
    retry = Retry(NoBackoff(), 1)
    try:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError  # noqa: TRY301  (redis-py takes redis:HOST for this machine)
        client = redis.asyncio.Redis.from_url(
            url, decode_responses=False, socket_timeout=SOCKET_TIMEOUT_S, retry=retry, health_check_interval=0
        )
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # opens nothing, but refuses options that do not exist
    except (ValueError, TypeError, RedisError):
        # What redis-py has to say about it may quote a part of the password.
        right = "redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER], rediss:// or unix://PATH"
        text = f"is not the URL of a store; write {right}, with special characters of a password as %XX"
        raise StoreError(f"{masked(url)} {text}") from None
    return client


async def open_store(url: str, partitions: int) -> Store:
    """Connects and makes the store ready. Raises StoreError."""
    client = make_client(url)
    try:
        try:
            info: dict[str, Any] = await client.info("server")
            server = _check_version(info)
            await load_functions(client)
            layout = await _layout(client, partitions)
            durability = await _durability(client)
        except (RedisError, OSError) as error:
            text = str(error)
            if isinstance(error, AuthenticationError) or isinstance(error.__cause__, AuthenticationError):
                text = "the server asks for a password, or refuses the one in the URL (redis://USER:PASSWORD@HOST)"
            raise StoreError(f"{masked(url)}: {text}") from error
    except StoreError as error:
        await client.aclose()
        raise StoreError(str(error).replace(url, masked(url))) from error.__cause__
    return Store(client, Keys(layout.partitions), server, durability)


def _check_version(info: dict[str, Any]) -> str:
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name == "Redis" and numbers < _LEAST_VERSION:
        raise StoreError(f"{name} {version} is too old: Redis >= 7.0 or any Valkey is needed (FUNCTION)")
    return f"{name} {version}"


async def load_functions(client: Client) -> None:
    """Puts our function into the server, in place of an older one."""
    code = files("ocs.store").joinpath("functions.lua").read_text()
    await client.function_load(code, replace=True)


async def _layout(client: Client, partitions: int) -> Layout:
    wanted = Layout(partitions)
    await client.set(INSTALLATION, msgspec.json.encode(wanted), nx=True)
    stored = await client.get(INSTALLATION)
    try:
        found = msgspec.json.decode(stored, type=Layout)
    except msgspec.MsgspecError:
        text = f"this store has a key {INSTALLATION!r} that is not of this program; is another program using it?"
        raise StoreError(text) from None
    if found.format != wanted.format:
        raise StoreError(f"this store has format {found.format}; this program reads format {wanted.format}")
    if found.partitions != partitions:
        text = f"this store was made with store.partitions: {found.partitions}; the configuration says {partitions}"
        raise StoreError(f"{text}. The number cannot be changed later; set it back")
    return found


async def _durability(client: Client) -> str:
    try:
        config: dict[str, str] = {}
        for name in ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"):
            for key, value in (await client.config_get(name)).items():
                config[_text(key)] = _text(value)
    except ResponseError:
        return "unknown: the server does not let us read its configuration; ask whoever runs it about appendfsync"
    if config.get("maxmemory-policy", "noeviction") != "noeviction":
        policy = config["maxmemory-policy"]
        return f"UNSAFE: maxmemory-policy {policy} lets the server drop balances when memory runs out; set noeviction"
    if config.get("appendonly") != "yes":
        return "NONE: no append-only file; a restart of the store loses every balance change since its last snapshot"
    fsync = config.get("appendfsync")
    if fsync != "no" and config.get("no-appendfsync-on-rewrite", "no") != "no":
        return (
            f"while the store rewrites its append-only file, a power cut may take away some 30 s of answered requests "
            f"(no-appendfsync-on-rewrite yes, with appendfsync {fsync}); set it to no"
        )
    if fsync == "always":
        return "every answer is on disk before it is given (appendfsync always)"
    if fsync == "everysec":
        return "a power cut may take away the last second or two of answered requests (appendfsync everysec)"
    return "a power cut may take away what the system has not written yet, some 30 s (appendfsync no)"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
