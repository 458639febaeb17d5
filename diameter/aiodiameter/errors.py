"""What can go wrong, and the code it is answered with.

    DiameterError
    ├── DeclarationError      a message class names an AVP that no dictionary knows, or a type that does not fit it
    ├── EncodeError           a local mistake: a value that does not fit its AVP
    ├── FramingError          a remote mistake after which the stream cannot be cut into messages
    ├── PeerError             a peer cannot be reached or does not answer
    │   ├── PeerGone          the connection was lost, or never was
    │   ├── PeerRefused       the capabilities exchange failed
    │   └── AnswerTimeout     no answer within the time given
    └── NodeClosed            this node is closing

What is wrong inside one received message is no exception but an `AvpError` in a list: the message is answered,
the connection lives on.
"""

import msgspec

from .avp import Avp
from .result_codes import ResultCode


class DiameterError(Exception):
    """Root of everything raised here."""


class DeclarationError(DiameterError):
    """A message class cannot be compiled: its declaration and the AVP dictionary disagree."""


class EncodeError(DiameterError):
    """A value does not fit the AVP it was given for. The message names both."""


class FramingError(DiameterError):
    """The stream is lost. `head` holds the first octets of what could not be framed."""

    def __init__(self, result_code: ResultCode, reason: str, head: bytes) -> None:
        super().__init__(reason)
        self.result_code = result_code
        self.reason = reason
        self.head = head


class PeerError(DiameterError):
    """A peer cannot be talked to."""


class PeerGone(PeerError):
    """The connection was lost before the answer came, or does not exist."""


class PeerRefused(PeerError):
    """The capabilities exchange ended without an open connection."""


class AnswerTimeout(PeerError):
    """The peer did not answer in time. The request may have been carried out."""


class NodeClosed(DiameterError):
    """The node is closing and takes no new requests."""


class AvpError(msgspec.Struct):
    """One fault found in a received message.

    `failed_avp` is the offending AVP, inside the groups that held it, ready to go into a Failed-AVP
    (RFC 6733 §7.5); None where the clause asks for none.
    """

    result_code: ResultCode
    text: str
    failed_avp: Avp | None = None
