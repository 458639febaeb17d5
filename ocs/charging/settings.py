"""The numbers an operator may set that `decide` depends on. Each default says why it is what it is."""

from msgspec import Struct


class Settings(Struct, frozen=True):
    """Part of what `decide` is given: recorded traffic is replayed with the settings it was decided with."""

    session_grace_s: int = 60
    """Added to twice the validity time before a silent session is closed (Tcc, RFC 8506 §13)."""
    idle_session_s: int = 86_400
    """Supervision of a session that holds no quota, and so has no validity time: nothing is lost while it waits, and
    a bearer that is closed for being idle has to be set up again.
    """
    answers_kept: int = 4
    """Answers to the last CC-Request-Numbers a session keeps; a client has few requests pending at a time."""
