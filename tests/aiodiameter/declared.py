"""Values for every declared class, made from the declarations themselves: for tests and for the other codecs' tests."""

import functools
import importlib
import ipaddress
import pkgutil
from collections.abc import Iterator
from typing import Any, TypeVar

from hypothesis import strategies as st

import aiodiameter.messages
from aiodiameter import message
from aiodiameter.avp import FLAG_MANDATORY, FLAG_VENDOR, Avp
from aiodiameter.codec import compile_class
from aiodiameter.data_types import NTP_TO_UNIX_S
from aiodiameter.dictionary import BY_KEY, AvpFacts
from aiodiameter.header import FLAG_ERROR, FLAG_REQUEST, Header
from aiodiameter.message import Answer, ErrorAnswer, Grouped, Message, Request, UnknownRequest

G = TypeVar("G", bound=Grouped)

_ABSTRACT = {Grouped, Message, Answer, Request}


def _declared() -> Iterator[type[Grouped]]:
    package = aiodiameter.messages
    modules = [message] + [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    ]
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Grouped) and value.__module__ == module.__name__:
                yield value


CLASSES = [cls for cls in _declared() if cls not in _ABSTRACT]
"""Every declared message and group."""
MESSAGES = [cls for cls in CLASSES if issubclass(cls, Message) and cls is not UnknownRequest]
GROUPS = [cls for cls in CLASSES if not issubclass(cls, Message)]

FIRST_TIME = (1 << 31) - NTP_TO_UNIX_S
LAST_TIME = (1 << 31) + (1 << 32) - 1 - NTP_TO_UNIX_S
"""1968-01-20 03:14:08 and 2104-02-26 09:42:23, in seconds since 1970."""

_LONG = 255 - 8
"""Octets of data of the longest AVP whose length fits one octet."""
_TEXTS = ["", "a", "ab", "abc", "abcd", "é", "日本", "\U0001f600", "x\0y", "x" * _LONG, "x" * (_LONG + 1), "x" * 5000]

EDGES: dict[str, list[Any]] = {
    "Unsigned32": [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF],
    "Unsigned64": [0, 1, 2**53, 2**63, 2**64 - 1],
    "Integer32": [-(2**31), -1, 0, 1, 2**31 - 1],
    "Integer64": [-(2**63), -1, 0, 1, 2**63 - 1],
    "Float32": [0.0, -1.5, 2.0**127, float("inf")],
    "Float64": [0.0, -1.5, 1e308, float("-inf")],
    "Time": [FIRST_TIME, -1, 0, 1, 2**31 - 1, 2**31, LAST_TIME],
    "Address": ["0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "8:3431373830303039393939", "0:", "65535:00"],
    "UTF8String": _TEXTS,
    "DiameterIdentity": _TEXTS,
    "OctetString": [b"", b"\0", b"\xff\xfe", b"abc", b"x" * _LONG, b"x" * (_LONG + 1), b"x" * 5000],
}
"""By format: values that have to survive, the extremes first and last."""

OUTSIDE: dict[str, list[Any]] = {
    "Unsigned32": [-1, 2**32, 1.5, "1", b"1", [1]],
    "Unsigned64": [-1, 2**64, 1.5, "1"],
    "Integer32": [-(2**31) - 1, 2**31, 1.5, "1"],
    "Integer64": [-(2**63) - 1, 2**63, 1.5, "1"],
    "Float32": [2.0**128, "1"],
    "Float64": ["1", b"1"],
    "Time": [FIRST_TIME - 1, LAST_TIME + 1, 1.5, "now"],
    "Address": [
        "",
        "1.2.3",
        "256.0.0.1",
        "host.example",
        "-1:00",
        "65536:00",
        "8:0",
        "8:zz",
        "1:00",
        "2:00",
        5,
        b"1234",
    ],
    "UTF8String": ["\ud800", b"abc", 5, ["a"]],
    "DiameterIdentity": ["\udfff", b"abc", 5],
    "OctetString": ["abc", 5, bytearray(b"abc")],
}
"""By format: values that no AVP of the format can carry, and values of another type."""


def format_of(facts: AvpFacts, python_type_is_text: bool) -> str:
    """The key into EDGES and OUTSIDE. An OctetString that is declared as text takes what text takes."""
    if facts.data_type == "OctetString" and python_type_is_text:
        return "UTF8String"
    return "Integer32" if facts.data_type == "Enumerated" else facts.data_type


def is_text(field: Any) -> bool:
    """Whether an attribute of the class holds text."""
    if field.read is None or field.enumeration is not None:
        return False
    return isinstance(field.read(field.zero, 0, len(field.zero)), str)


@functools.cache
def any_of(format_name: str) -> st.SearchStrategy[Any]:
    """Any value of a format; the edges come often."""
    free: dict[str, st.SearchStrategy[Any]] = {
        "Unsigned32": st.integers(0, 2**32 - 1),
        "Unsigned64": st.integers(0, 2**64 - 1),
        "Integer32": st.integers(-(2**31), 2**31 - 1),
        "Integer64": st.integers(-(2**63), 2**63 - 1),
        "Float32": st.floats(width=32, allow_nan=False),
        "Float64": st.floats(allow_nan=False),
        "Time": st.integers(FIRST_TIME, LAST_TIME),
        "Address": st.binary(min_size=4, max_size=4).map(lambda octets: str(ipaddress.ip_address(octets))),
        "UTF8String": st.text(max_size=12),
        "DiameterIdentity": st.text(max_size=12),
        "OctetString": st.binary(max_size=12),
    }
    return st.sampled_from(EDGES[format_name]) | free[format_name]


def avps_not_in(cls: type[Grouped]) -> st.SearchStrategy[Avp]:
    """AVPs that a class does not declare and nevertheless accepts: known ones, and unknown ones without M flag."""
    declared = {field.facts.key for field in compile_class(cls).fields}
    known = sorted(BY_KEY.keys() - declared)[::7]
    unknown = [999_999, 10415 << 32 | 99_999, 4_000_000 << 32 | 263, 0xFFFFFFFF << 32 | 0xFFFFFFFF]

    def make(key: int, mandatory: bool, data: bytes) -> Avp:
        flags = (FLAG_VENDOR if key >> 32 else 0) | (FLAG_MANDATORY if mandatory else 0)
        return Avp(key & 0xFFFFFFFF, data, key >> 32, flags)

    data = st.binary(max_size=9)
    return st.builds(make, st.sampled_from(known), st.booleans(), data) | st.builds(
        make, st.sampled_from(unknown), st.just(False), data
    )


def _one(field: Any) -> st.SearchStrategy[Any]:
    if field.group is not None:
        return instances(field.group)
    if field.enumeration is not None:
        return st.sampled_from(list(field.enumeration))
    return any_of(format_of(field.facts, is_text(field)))


def headers(cls: type[Message]) -> st.SearchStrategy[Header]:
    """Headers that a message of the class may bear."""
    fixed = (FLAG_REQUEST if cls.is_request else 0) | (FLAG_ERROR if cls is ErrorAnswer else 0)
    word = st.integers(0, 2**32 - 1)
    free = st.integers(0, 0x5F).map(lambda bits: bits & ~FLAG_ERROR | fixed)
    code = st.integers(0, 2**24 - 1) if cls is ErrorAnswer else st.just(cls.command_code)
    application = word if cls is ErrorAnswer else st.just(cls.application_id)
    return st.builds(Header, code, application, free, word, word)


@functools.cache
def instances(cls: type[G]) -> st.SearchStrategy[G]:
    """Messages or groups of the class, with any of its optional AVPs and some that it does not declare."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {"other": st.lists(avps_not_in(cls), max_size=2)}
    if issubclass(cls, Message):
        required["header"] = headers(cls)
    for field in compile_class(cls).fields:
        values = st.lists(_one(field), min_size=int(field.required), max_size=2) if field.repeats else _one(field)
        (required if field.required else optional)[field.attribute] = values
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: cls(**values))


def least(cls: type[Any]) -> dict[str, Any]:
    """The required attributes of a class, with plain values."""
    values: dict[str, Any] = {}
    for field in compile_class(cls).fields:
        if not field.required:
            continue
        if field.group is not None:
            value: Any = field.group(**least(field.group))
        elif field.enumeration is not None:
            value = next(iter(field.enumeration))
        else:
            value = EDGES[format_of(field.facts, is_text(field))][1]
        values[field.attribute] = [value] if field.repeats else value
    return values
