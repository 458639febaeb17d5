"""What a message class is: a `msgspec.Struct` with one attribute an AVP, in the order of the RFC's ABNF.

    class ReAuthAnswer(Answer):
        command_code: ClassVar[int] = 258
        session_id: str                          # <Session-Id>: required, once
        result_code: int
        origin_state_id: int | None = None       # [Origin-State-Id]: at most once
        failed_avp: list[FailedAvp] = []         # *[Failed-AVP]: any number
        pdp_type: int | None = avp("3GPP-PDP-Type")

An attribute's AVP is the one of its name with `-` for `_`; `avp()` names another. The dictionary gives code, vendor,
format and M flag. AVPs that the class does not declare are kept in `other`. The codec is compiled from this
declaration; nothing here reads or writes octets.
"""

from typing import Any, ClassVar, NoReturn

import msgspec

from .avp import Avp
from .dictionary import facts_of
from .header import FLAG_ERROR, FLAG_PROXIABLE, FLAG_REQUEST, Header
from .result_codes import ResultCode


def avp(name: str, default: Any = None) -> Any:
    """An optional attribute whose AVP bears `name` (for names that are no Python identifiers or were renamed)."""
    return msgspec.field(default=default, name=name)


_OWN_ATTRIBUTES = {"header", "other"}


def _avp_name(attribute: str) -> str | None:
    return None if attribute in _OWN_ATTRIBUTES else facts_of(attribute).name


class Grouped(msgspec.Struct, kw_only=True, omit_defaults=True, rename=_avp_name):
    """A Grouped AVP (RFC 6733 §4.4), or the AVPs of a message."""

    shared: ClassVar[bool] = False
    """Whether messages that hold this group in the same octets share one decoded object: for groups that say who and
    where, which a client repeats in each request. Such a group has to be a FrozenGroup, as all groups in it."""
    keeps_other: ClassVar[bool] = True
    """Whether AVPs that are not declared are kept in `other`."""
    quotes: ClassVar[bool] = False
    """Whether what is in it is quoted, not said: whatever is wrong there is no fault of the message."""

    other: list[Avp] = []


class FrozenGroup(Grouped, kw_only=True, rename=_avp_name):
    """A group whose attributes cannot be assigned to: what one message did to it might be seen in the next one. For the
    same reason its lists must not be changed.
    """

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")


class Message(Grouped, kw_only=True, rename=_avp_name):
    """A Diameter command. `header` is filled by whoever sends or decodes it."""

    command_code: ClassVar[int]
    application_id: ClassVar[int] = 0
    name: ClassVar[str] = ""
    proxiable: ClassVar[bool] = True
    is_request: ClassVar[bool]

    header: Header = msgspec.field(default_factory=lambda: Header(0))


class Answer(Message, kw_only=True, rename=_avp_name):
    """Root of all answers."""

    is_request: ClassVar[bool] = False


class Request(Message, kw_only=True, rename=_avp_name):
    """Root of all requests. `answer_class` is the answer's declaration."""

    is_request: ClassVar[bool] = True
    answer_class: ClassVar[type[Answer]]

    @classmethod
    def new_header(cls) -> Header:
        """A request header with the class's command, application and P flag; identifiers are the sender's."""
        return Header(cls.command_code, cls.application_id, FLAG_REQUEST | (FLAG_PROXIABLE if cls.proxiable else 0))

    def __post_init__(self) -> None:
        if self.header.command_code == 0:
            self.header = self.new_header()

    def answer(self, result_code: int | None, *, origin_host: str, origin_realm: str, **avps: Any) -> Answer:
        """The answer to this request (RFC 6733 §6.2): same command, application, identifiers and P flag, T clear.

        Session-Id, Proxy-Info and every AVP that the answer requires and the request has are copied; `avps` are the
        rest, by attribute. A 3xxx code sets the E bit, and only the answer-message grammar of §7.2 applies.
        """
        fields: dict[str, Any] = {name: getattr(self, name) for name in _copied(type(self), self.answer_class)}
        if not fields.get("session_id", True):
            fields["session_id"] = None  # the request had none, or one that no text can hold: there is none to repeat
        fields.update(avps, origin_host=origin_host, origin_realm=origin_realm)
        if result_code is not None:
            fields["result_code"] = result_code
        flags = self.header.flags & FLAG_PROXIABLE
        if result_code is not None and 3000 <= result_code < 4000:
            flags |= FLAG_ERROR
        fields["header"] = answer_header(self.header, flags)
        return self.answer_class(**fields)


def answer_header(request: Header, flags: int) -> Header:
    """The header of an answer to `request` with those flags."""
    return Header(request.command_code, request.application_id, flags, request.hop_by_hop, request.end_to_end)


_COPIED: dict[type, tuple[str, ...]] = {}


def _copied(request: type[Request], answer: type[Answer]) -> tuple[str, ...]:
    names = _COPIED.get(request)
    if names is None:
        required = {field.name for field in msgspec.structs.fields(answer) if field.required}
        wanted = (required | {"session_id", "proxy_info"}) & set(answer.__struct_fields__)
        not_echoed = {"origin_host", "origin_realm", "header", "other", "result_code"}
        names = tuple(name for name in request.__struct_fields__ if name in wanted - not_echoed)
        _COPIED[request] = names
    return names


class ProxyInfo(Grouped, kw_only=True, rename=_avp_name):
    """Proxy-Info (RFC 6733 §6.7.2): copied into the answer as it came."""

    proxy_host: str
    proxy_state: bytes


class FailedAvp(Grouped, kw_only=True, rename=_avp_name):
    """Failed-AVP (RFC 6733 §7.5). What failed is in `other`."""

    quotes: ClassVar[bool] = True


class ErrorAnswer(Answer, kw_only=True, rename=_avp_name):
    """The answer-message of RFC 6733 §7.2, for any command: what an answer with the E bit holds."""

    command_code: ClassVar[int] = 0
    name: ClassVar[str] = "answer-message"

    session_id: str | None = None
    origin_host: str
    origin_realm: str
    result_code: int
    origin_state_id: int | None = None
    error_message: str | None = None
    error_reporting_host: str | None = None
    failed_avp: list[FailedAvp] = []
    proxy_info: list[ProxyInfo] = []


class UnknownRequest(Request, kw_only=True, rename=_avp_name):
    """What the answer needs of a request that cannot be read (RFC 6733 §6.2, §7.2)."""

    keeps_other: ClassVar[bool] = False
    command_code: ClassVar[int] = 0
    name: ClassVar[str] = "unknown request"
    answer_class: ClassVar[type[Answer]] = ErrorAnswer

    session_id: str | None = None
    proxy_info: list[ProxyInfo] = []

    def __post_init__(self) -> None:
        """Its header is always the received one, whatever it says."""


def error_answer(
    header: Header,
    message: Message | None,
    result_code: ResultCode,
    *,
    origin_host: str,
    origin_realm: str,
    **avps: Any,
) -> Answer:
    """The answer to a request that cannot be processed: the E bit's grammar for a protocol error or where the request
    is of no known class, the command's own answer otherwise. `avps`: e.g. `failed_avp`, `error_message`.
    """
    if isinstance(message, Request) and not result_code.is_protocol_error:
        return message.answer(result_code, origin_host=origin_host, origin_realm=origin_realm, **avps)
    session_id = getattr(message, "session_id", None) or None
    flags = (header.flags & FLAG_PROXIABLE) | (FLAG_ERROR if result_code.is_protocol_error else 0)
    return ErrorAnswer(
        header=answer_header(header, flags),
        session_id=session_id,
        origin_host=origin_host,
        origin_realm=origin_realm,
        result_code=result_code,
        proxy_info=getattr(message, "proxy_info", []),
        **avps,
    )


__all__ = [
    "Answer", "Avp", "ErrorAnswer", "FailedAvp", "FrozenGroup", "Grouped", "Message", "ProxyInfo", "Request",
    "UnknownRequest", "answer_header", "avp", "error_answer",
]  # fmt: skip
