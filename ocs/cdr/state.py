"""What counts as written: the content of state.json, which is replaced as a whole or not at all.

Owns its form. Refuses to know when it is replaced, and disks: that is `files`.
"""

import msgspec
from msgspec import Struct

from .disk import DirectoryInconsistent

STATE_NAME = "state.json"
NEW_STATE_NAME = "state.json.new"
_FORMAT = 1


class Position(Struct, frozen=True):
    """How far a partition's events have been read."""

    id: str
    """Stream id of the last event that was read."""
    count: int | None
    """How many events the stream had been given up to that one; None: not known (yet)."""


class CdrFile(Struct, frozen=True):
    """A file of each format, with the same records."""

    name: str
    """Without endings."""
    opened_at: int
    """Milliseconds since 1970."""
    records: int
    sizes: dict[str, int]
    """By format, in octets: what counts as written."""


class FilesState(Struct, frozen=True):
    """The content of state.json."""

    format: int = _FORMAT
    sequence: int = 0
    """Number of the last file that was begun. A number that is missing among the files is a file that is missing."""
    last_name_second: int = 0
    """Seconds since 1970 in the last name, so that names sort by number though the clock be set back."""
    open: CdrFile | None = None
    closing: CdrFile | None = None
    """To be given its final names, unless it has them already."""
    positions: dict[int, Position] = {}


encode_state = msgspec.json.Encoder().encode


def decode_state(content: bytes, directory: object) -> FilesState:
    """Raises DirectoryInconsistent for what this program did not write."""
    try:
        state = msgspec.json.decode(content, type=FilesState)
    except msgspec.MsgspecError as error:
        text = f"{directory}/{STATE_NAME} cannot be read ({error}); put back a good one"
        raise DirectoryInconsistent(text) from error
    if state.format != _FORMAT:
        text = f"{directory}/{STATE_NAME} has format {state.format}; this program knows format {_FORMAT}"
        raise DirectoryInconsistent(text)
    return state
