"""Compiles message classes into decoders and encoders, and keeps the classes a node understands.

Decoding never raises: it returns the message and the list of what is wrong with it. What a declaration does not name is
kept in `other` when the dictionary knows the AVP or its M flag is clear (RFC 6733 §4.1), and is an error otherwise.
Work and memory are bounded by the octets of the message, not by what they say: groups are read as deep as they are
declared, and a message that is nothing but faults is given up.
"""

import enum
import functools
import operator
import struct
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from .avp import FLAG_MANDATORY, FLAG_VENDOR, PADDING, Avp, avp_header
from .data_types import FORMATS, PayloadFault, Reader, read_text
from .dictionary import BY_KEY, AvpFacts, facts_of
from .errors import AvpError, DeclarationError, EncodeError
from .header import FLAG_ERROR, FLAG_REQUEST, HEADER_LENGTH, Header, read_header
from .message import ErrorAnswer, FrozenGroup, Grouped, Message, Request, UnknownRequest
from .result_codes import ResultCode

_TWO_WORDS = struct.Struct("!II").unpack_from
_THREE_WORDS = struct.Struct("!III").unpack_from
_VENDOR_BIT = FLAG_VENDOR << 24

MAX_MESSAGE_LENGTH = 0xFFFFFC
"""Octets: the largest multiple of 4 that the header's Message Length can say."""
MAX_FAULTS = 32
"""Only the first fault of a message is answered (RFC 6733 §7); this many are listed, for people. A message with more is
given up, so that a megabyte of faults costs little more than a megabyte."""

Errors = list[AvpError]
GroupReader = Callable[..., Grouped]
"""(message, start, stop, errors, header=None)"""


class _Field(msgspec.Struct, frozen=True):
    """One attribute of a class, compiled."""

    attribute: str
    facts: AvpFacts
    required: bool
    repeats: bool
    read: Reader | None
    """For a plain format; None for a group."""
    group: "type[Grouped] | None"
    write: Callable[[Any], bytes]
    """Value (one, never a list) to a whole AVP."""
    zero: bytes
    """The data of §7.5's example when the AVP is missing."""
    enumeration: type[enum.IntEnum] | None


def _split(annotation: Any) -> tuple[Any, bool]:
    """The type inside `X`, `X | None` or `list[X]`, and whether it is a list."""
    if typing.get_origin(annotation) is list:
        return typing.get_args(annotation)[0], True
    inner = [a for a in typing.get_args(annotation) if a is not type(None)]
    return (inner[0] if inner else annotation), False


_INT_CODES = {
    "Unsigned32": "I", "Integer32": "i", "Enumerated": "i", "Unsigned64": "Q", "Integer64": "q",
}  # fmt: skip
_LEAST_LENGTH = {name: len(zero) for (name, _), (_, _, zero) in FORMATS.items()}


def _writer(facts: AvpFacts, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Value to whole AVP. What is the same for every value is made once."""
    code, vendor, flags, data_type = facts.code, facts.vendor, facts.flags, facts.data_type
    if data_type in _INT_CODES:
        # One C call for header and value together.
        whole = struct.Struct(("!III" if vendor else "!II") + _INT_CODES[data_type])
        words = (code, flags << 24 | whole.size, vendor) if vendor else (code, flags << 24 | whole.size)
        return functools.partial(whole.pack, *words)

    prefixes = [avp_header(code, vendor, flags, length) for length in range(256)]

    def write(value: Any) -> bytes:
        data = encode(value)
        length = len(data)
        if length < 256:
            return prefixes[length] + data + PADDING[length & 3]
        return avp_header(code, vendor, flags, length) + data + PADDING[length & 3]

    return write


def _compile_field(cls: type[Grouped], field: msgspec.structs.FieldInfo, annotation: Any) -> _Field:
    facts = facts_of(field.encode_name)
    python_type, repeats = _split(annotation)
    if isinstance(python_type, type) and issubclass(python_type, Grouped):
        if facts.data_type != "Grouped":
            raise DeclarationError(f"{cls.__name__}.{field.name}: {facts.name} is {facts.data_type}, not Grouped")
        compiled = compile_class(python_type)
        return _Field(
            field.name, facts, field.required, repeats, None, python_type, _writer(facts, compiled.write), b"", None
        )
    is_enum = isinstance(python_type, type) and issubclass(python_type, enum.IntEnum)
    formats = FORMATS.get((facts.data_type, int if is_enum else python_type))
    if formats is None:
        known = ", ".join(t.__name__ for name, t in FORMATS if name == facts.data_type) or "a Grouped class"
        raise DeclarationError(f"{cls.__name__}.{field.name}: {facts.name} is {facts.data_type}; declare {known}")
    read, encode, zero = formats
    enumeration = python_type if is_enum else None
    if enumeration is not None:
        read = _enumeration_reader(read, enumeration)
    return _Field(field.name, facts, field.required, repeats, read, None, _writer(facts, encode), zero, enumeration)


def _enumeration_reader(read: Reader, enumeration: type[enum.IntEnum]) -> Reader:
    members = {int(member): member for member in enumeration}

    def read_member(message: bytes, start: int, stop: int) -> object:
        value = typing.cast(int, read(message, start, stop))
        member = members.get(value)
        if member is None:
            allowed = ", ".join(f"{m.value} {m.name}" for m in enumeration)
            raise PayloadFault(ResultCode.INVALID_AVP_VALUE, f"{value} is none of {allowed}")
        return member

    return read_member


_Store = Callable[[bytes, int, int, int, Errors, dict[str, Any]], None]
"""Reads one AVP's data and puts it into `values`: (message, start, stop, flags, errors, values)."""


def _store(field: _Field) -> "str | _Store":
    """What to do with an AVP of that field. A bare attribute name stands for the commonest case, which the reading loop
    does itself: one Unsigned32 without vendor.
    """
    attribute, facts, repeats = field.attribute, field.facts, field.repeats
    if facts.data_type == "Unsigned32" and not facts.vendor and not repeats and field.enumeration is None:
        return attribute
    if field.group is not None:
        read_group = _group_reader(field.group)

        def store_group(
            message: bytes, start: int, stop: int, flags: int, errors: Errors, values: dict[str, Any]
        ) -> None:
            seen = len(errors)
            try:
                value = read_group(message, start, stop, errors)
            finally:
                if len(errors) > seen:
                    _put_into_group(errors, seen, facts, flags)
            if attribute not in values:
                values[attribute] = [value] if repeats else value
            elif repeats:
                values[attribute].append(value)
            else:
                raise PayloadFault(ResultCode.AVP_OCCURS_TOO_MANY_TIMES, "occurs more than once")

        return store_group

    # The formats that make up nearly all of a charging request are read in place: a call less for each AVP.
    if field.read is read_text and not repeats:

        def store_text(message: bytes, start: int, stop: int, _f: int, _e: Errors, values: dict[str, Any]) -> None:
            if attribute in values:
                raise PayloadFault(ResultCode.AVP_OCCURS_TOO_MANY_TIMES, "occurs more than once")
            try:
                values[attribute] = message[start:stop].decode()
            except UnicodeDecodeError as error:
                raise PayloadFault(ResultCode.INVALID_AVP_VALUE, f"not UTF-8: {error.reason}") from None

        return store_text

    read = field.read
    assert read is not None

    def store_value(message: bytes, start: int, stop: int, _f: int, _e: Errors, values: dict[str, Any]) -> None:
        if attribute not in values:
            values[attribute] = [read(message, start, stop)] if repeats else read(message, start, stop)
        elif repeats:
            values[attribute].append(read(message, start, stop))
        else:
            raise PayloadFault(ResultCode.AVP_OCCURS_TOO_MANY_TIMES, "occurs more than once")

    return store_value


def _group_reader(group: type[Grouped]) -> GroupReader:
    if group.shared:
        return _shared_reader(group)
    read = compile_class(group).read
    if not group.quotes:
        return read

    def read_quoted(message: bytes, start: int, stop: int, _: Errors) -> Grouped:
        try:
            return read(message, start, stop, [])
        except _TooManyFaults:
            return group()

    return read_quoted


_SHARED_ENTRIES = 20_000
_SHARED_LENGTH = 512
_SHARED_OCTETS = 1 << 22


@functools.cache
def _shared_reader(group: type[Grouped]) -> GroupReader:
    """A reader that gives the same object for the same octets.

    A gateway repeats who the subscriber is and where in every request of a session: a third of a CCR's decoding.
    Bounded in entries, in octets an entry and in octets of all entries; full, it starts anew. An object takes some 8
    times its octets as gateways fill it, and 14 times at the worst: 60 MB a class. What has a fault is not kept.
    """
    _check_frozen(group)
    read = compile_class(group).read
    known: dict[bytes, Grouped] = {}
    octets_held = 0

    def read_shared(message: bytes, start: int, stop: int, errors: Errors) -> Grouped:
        nonlocal octets_held
        octets = message[start:stop]
        value = known.get(octets)
        if value is None:
            seen = len(errors)
            value = read(message, start, stop, errors)
            if len(errors) == seen and stop - start <= _SHARED_LENGTH:
                if len(known) >= _SHARED_ENTRIES or octets_held >= _SHARED_OCTETS:
                    known.clear()
                    octets_held = 0
                known[octets] = value
                octets_held += stop - start
        return value

    return read_shared


def _check_frozen(group: type[Grouped]) -> None:
    """What one request did to a shared object would be seen in the next one."""
    if not issubclass(group, FrozenGroup):
        raise DeclarationError(f"{group.__name__} is shared, or within a shared group: make it a FrozenGroup")
    for field in compile_class(group).fields:
        if field.group is not None:
            _check_frozen(field.group)


def _note(errors: Errors, code: ResultCode, text: str, failed: Avp | None = None) -> None:
    if len(errors) >= MAX_FAULTS:
        raise _TooManyFaults
    errors.append(AvpError(code, text, failed))


class _TooManyFaults(Exception):
    """Reading on would tell nothing more."""


def _refuse_plain(
    message: bytes, key: int, flags: int, start: int, stop: int, errors: Errors, seen_before: bool
) -> None:
    name, data = BY_KEY[key].name, message[start:stop]
    failed = Avp(key & 0xFFFFFFFF, data, key >> 32, flags)
    if seen_before:
        _note(errors, ResultCode.AVP_OCCURS_TOO_MANY_TIMES, f"{name}: occurs more than once", failed)
    else:
        text = f"{name}: {len(data)} octets of data where 4 are due"
        _note(errors, ResultCode.INVALID_AVP_LENGTH, text, failed)


class CompiledClass:
    """A message or group class with its decoder and encoder."""

    def __init__(self, cls: type[Grouped]) -> None:
        self.cls = cls
        hints = typing.get_type_hints(cls)
        self.fields = [
            _compile_field(cls, field, hints[field.name])
            for field in msgspec.structs.fields(cls)
            if field.name not in ("header", "other")
        ]
        self._check_names()
        self.required = [field for field in self.fields if field.required]
        self.read = self._make_reader()
        """The class in those octets. What is wrong is appended to the errors; missing attributes are zero-filled."""
        self.write = self._make_writer()

    def _check_names(self) -> None:
        attributes: dict[int, str] = {}
        for field in self.fields:
            other = attributes.setdefault(field.facts.key, field.attribute)
            if other != field.attribute:
                text = f"{other} and {field.attribute} are both {field.facts.name}"
                raise DeclarationError(f"{self.cls.__name__}: {text}")

    def _make_reader(self) -> GroupReader:
        table: dict[int, str | _Store] = {field.facts.key: _store(field) for field in self.fields}
        find = table.get
        required_names = frozenset(field.attribute for field in self.required)
        fill_missing = self._fill_missing
        keep_other = _keep_other if self.cls.keeps_other else _drop_other
        cls = self.cls

        def read(message: bytes, position: int, end: int, errors: Errors, header: Header | None = None) -> Grouped:
            values: dict[str, Any] = {} if header is None else {"header": header}
            while position < end:
                if end - position >= 12:
                    # `word` is the Vendor-Id where there is one, else the first four octets of data.
                    key, flags_length, word = _THREE_WORDS(message, position)
                elif end - position >= 8:
                    key, flags_length = _TWO_WORDS(message, position)
                    word = 0
                else:
                    _short(message, position, end, errors)
                    break
                stop = position + (flags_length & 0xFFFFFF)
                if flags_length & _VENDOR_BIT:
                    start = position + 12
                    if word:
                        key |= word << 32
                    else:  # §4.1.1: Vendor-Id 0 says the same as no Vendor-Id
                        word = int.from_bytes(message[start : start + 4], "big")
                else:
                    start = position + 8
                if stop > end or start > stop:
                    _bad_length(message, position, end, errors)
                    break
                store = find(key)
                if type(store) is str and stop - start == 4 and store not in values:
                    values[store] = word
                elif store is None:
                    keep_other(message, key, flags_length >> 24, start, stop, errors, values)
                elif type(store) is str:
                    _refuse_plain(message, key, flags_length >> 24, start, stop, errors, store in values)
                else:
                    try:
                        store(message, start, stop, flags_length >> 24, errors, values)  # type: ignore[operator]
                    except PayloadFault as fault:
                        failed = Avp(key & 0xFFFFFFFF, message[start:stop], key >> 32, flags_length >> 24)
                        _note(errors, fault.result_code, f"{BY_KEY[key].name}: {fault.text}", failed)
                position = stop + (-stop & 3)
            if required_names and not required_names <= values.keys():
                fill_missing(errors, values)
            return cls(**values)

        return read

    def _fill_missing(self, errors: Errors, values: dict[str, Any]) -> None:
        for field in self.required:
            if field.attribute in values:
                continue
            facts = field.facts
            # An AVP that is there but faulty has been reported already; RFC 6733 §7: only the first fault counts.
            failed = Avp(facts.code, field.zero, facts.vendor, facts.flags)
            _note(errors, ResultCode.MISSING_AVP, f"{facts.name} is missing", failed)
            if field.group is not None:
                value: Any = compile_class(field.group).read(b"", 0, 0, [])
            elif field.enumeration is not None:
                value = next(iter(field.enumeration))
            else:
                assert field.read is not None
                value = field.read(field.zero, 0, len(field.zero))
            values[field.attribute] = [value] if field.repeats else value

    def _make_writer(self) -> Callable[[Any], bytes]:
        writers = [_many(field.write) if field.repeats else field.write for field in self.fields]
        get = operator.attrgetter(*[field.attribute for field in self.fields], "other")
        explain = functools.partial(_explain, self.cls, writers, [field.facts.name for field in self.fields])

        if not writers:

            def write_other(group: Any) -> bytes:
                try:
                    return b"".join([avp.to_bytes() for avp in group.other])
                except _MISTAKES:
                    raise explain(group) from None

            return write_other

        def write(group: Any) -> bytes:
            try:
                *values, other = get(group)
                parts = [encode(value) for value, encode in zip(values, writers, strict=True) if value is not None]
                if other:
                    parts += [avp.to_bytes() for avp in other]
                return b"".join(parts)
            except _MISTAKES:
                raise explain(group) from None

        return write


_MISTAKES = (EncodeError, struct.error, TypeError, ValueError, AttributeError, OverflowError)
"""What comes of a value that is not what its class declares."""


def _explain(cls: type[Grouped], writers: list[Callable[[Any], bytes]], names: list[str], group: Any) -> EncodeError:
    """The error of the first value that cannot be encoded, with the AVP's name."""
    if not isinstance(group, cls):
        return EncodeError(f"{group!r} is no {cls.__name__}")
    attributes = [field.name for field in msgspec.structs.fields(cls) if field.name not in ("header", "other")]
    for attribute, encode, name in zip(attributes, writers, names, strict=True):
        value = getattr(group, attribute)
        try:
            if value is not None:
                encode(value)
        except EncodeError as error:
            return EncodeError(f"{name}: {error}")
        except _MISTAKES as error:
            return EncodeError(f"{name}: {value!r} does not fit: {error}")
    return EncodeError(f"other: {group.other!r} cannot all be AVPs")


def _many(write: Callable[[Any], bytes]) -> Callable[[list[Any]], bytes]:
    def write_all(values: list[Any]) -> bytes:
        if not values:
            return b""
        if not isinstance(values, list):
            raise EncodeError(f"{values!r} is no list")
        return b"".join([write(value) for value in values])

    return write_all


def _keep_other(
    message: bytes, key: int, flags: int, start: int, stop: int, errors: Errors, values: dict[str, Any]
) -> None:
    avp = Avp(key & 0xFFFFFFFF, message[start:stop], key >> 32, flags)
    if flags & FLAG_MANDATORY and key not in BY_KEY:
        text = f"AVP {avp.code} of vendor {avp.vendor} is not known and its M flag is set"
        _note(errors, ResultCode.AVP_UNSUPPORTED, text, avp)
    others = values.get("other")
    if others is None:
        values["other"] = [avp]
    else:
        others.append(avp)


def _drop_other(*_: object) -> None:
    """For a class that does not keep what it does not declare."""


def _short(message: bytes, position: int, end: int, errors: Errors) -> None:
    """§7.1.5, 5014: what there is of the header, padded with zeros."""
    code, flags_length = _TWO_WORDS(message[position:end].ljust(8, b"\0"))
    text = f"{end - position} octets left where an AVP header of 8 is due"
    _note(errors, ResultCode.INVALID_AVP_LENGTH, text, Avp(code, b"", 0, flags_length >> 24))


def _bad_length(message: bytes, position: int, end: int, errors: Errors) -> None:
    """§7.1.5, 5014: the Failed-AVP holds the header and a zero-filled payload of the least length."""
    code, flags_length = _TWO_WORDS(message, position)
    flags, length = flags_length >> 24, flags_length & 0xFFFFFF
    vendor = 0
    if flags & FLAG_VENDOR and end - position >= 12:
        vendor = _THREE_WORDS(message, position)[2]
    facts = BY_KEY.get(vendor << 32 | code)
    name = facts.name if facts else f"AVP {code}"
    least = _LEAST_LENGTH.get(facts.data_type, 0) if facts else 0
    if position + length > end:
        text = f"{name}: AVP Length {length} goes {position + length - end} octets past the end"
    else:
        text = f"{name}: AVP Length {length} is shorter than its own header"
    _note(errors, ResultCode.INVALID_AVP_LENGTH, text, Avp(code, bytes(least), vendor, flags))


def _put_into_group(errors: Errors, first: int, facts: AvpFacts, flags: int) -> None:
    """§7.5: a fault inside a group is reported inside that group."""
    for error in errors[first:]:
        if error.failed_avp is not None:
            error.failed_avp = Avp(facts.code, error.failed_avp.to_bytes(), facts.vendor, flags)
        error.text = f"{facts.name}: {error.text}"


_COMPILED: dict[type[Grouped], CompiledClass] = {}


def compile_class(cls: type[Grouped]) -> CompiledClass:
    """The compiled form of a class, made at its first use. Raises DeclarationError."""
    compiled = _COMPILED.get(cls)
    if compiled is None:
        compiled = _COMPILED[cls] = CompiledClass(cls)
    return compiled


class Decoded(typing.NamedTuple):
    """A received message: a `Message`. Where it cannot be read as one (no class is known for it, or it has too many
    faults; `errors` says so), it is an UnknownRequest for a request and None for an answer.
    """

    header: Header
    message: Any
    errors: Errors


class Registry:
    """The message classes a node understands, by (application, command, request)."""

    def __init__(self, *classes: type[Message]) -> None:
        self._classes: dict[tuple[int, int, bool], GroupReader] = {}
        self._applications: set[int] = set()
        self._error_answer = compile_class(ErrorAnswer).read
        self._unknown_request = compile_class(UnknownRequest).read
        self.add(*classes)

    def add(self, *classes: type[Message]) -> None:
        """Adds request classes (each with its answer class) and answer classes. Raises DeclarationError."""
        for cls in classes:
            self._applications.add(cls.application_id)
            self._classes[cls.application_id, cls.command_code, cls.is_request] = compile_class(cls).read
            if issubclass(cls, Request):
                self.add(cls.answer_class)

    def decode(self, frame: bytes) -> Decoded:
        """The message in one complete frame (at least 20 octets), and what is wrong with it, first things first.

        Never raises on received octets.
        """
        header = read_header(frame)
        errors: Errors = []
        flags = header.flags
        is_request = flags & FLAG_REQUEST != 0
        read = self._classes.get((header.application_id, header.command_code, is_request))
        if flags & FLAG_ERROR:
            if is_request:
                errors.append(AvpError(ResultCode.INVALID_HDR_BITS, "a request with the E flag set"))
            else:
                read = self._error_answer
        if read is not None:
            try:
                return Decoded(header, read(frame, HEADER_LENGTH, len(frame), errors, header), errors)
            except _TooManyFaults:
                pass
        else:
            errors.append(self._unknown(header))
        return Decoded(header, self._read_unknown(frame, header) if is_request else None, errors)

    def _read_unknown(self, frame: bytes, header: Header) -> Grouped:
        try:
            return self._unknown_request(frame, HEADER_LENGTH, len(frame), [], header)
        except _TooManyFaults:
            return UnknownRequest(header=header)

    def _unknown(self, header: Header) -> AvpError:
        if header.application_id in self._applications:
            text = f"command {header.command_code} does not exist in application {header.application_id}"
            return AvpError(ResultCode.COMMAND_UNSUPPORTED, text)
        return AvpError(ResultCode.APPLICATION_UNSUPPORTED, f"application {header.application_id} is not served")


def encode(message: Message) -> bytes:
    """The message as octets, header included. Raises EncodeError naming the AVP whose value does not fit."""
    body = compile_class(type(message)).write(message)
    length = HEADER_LENGTH + len(body)
    if length > MAX_MESSAGE_LENGTH:
        raise EncodeError(f"{type(message).__name__} takes {length} octets; {MAX_MESSAGE_LENGTH} can be sent")
    try:
        return message.header.to_bytes(length) + body
    except struct.error as error:
        raise EncodeError(f"{message.header!r} does not fit: {error}") from None
