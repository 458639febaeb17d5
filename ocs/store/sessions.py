"""Finding sessions for people: by Session-Id, and the open ones of an account."""

from collections.abc import AsyncIterator

import msgspec

from ocs.charging.state import Session

from .connection import Store, StoreError
from .keys import deadline_member, split_member
from .work import decode_session


async def find_session(store: Store, session_id: str) -> Session | None:
    """The session as stored now, or None if it is not known (any more). Raises StoreError when it makes no sense."""
    account = await store.client.get(store.keys.where(session_id))
    if account is None:
        return None
    value = await store.client.get(store.keys.session(account.decode(), session_id))
    return _decoded(session_id, value) if value else None


async def open_sessions(store: Store, account: str) -> AsyncIterator[Session]:
    """The open sessions of an account, in no order: those that are supervised. Raises StoreError."""
    key = store.keys.deadlines(store.keys.partition_of(account))
    pattern = _literal(deadline_member(account, "")) + "*"
    async for member, _ in store.client.zscan_iter(key, match=pattern):
        session_id = split_member(member.decode())[1]
        value = await store.client.get(store.keys.session(account, session_id))
        if value:
            yield _decoded(session_id, value)


def _decoded(session_id: str, value: bytes) -> Session:
    try:
        return decode_session(value)
    except msgspec.MsgspecError as error:
        raise StoreError(f"what is stored of session {session_id} cannot be read: {error}") from error


def _literal(text: str) -> str:
    """`text` in a glob pattern, meaning itself."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
