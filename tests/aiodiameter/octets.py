"""Diameter messages octet by octet, right or wrong as a test wants them."""

from typing import NamedTuple

from aiodiameter.avp import FLAG_VENDOR
from aiodiameter.dictionary import facts_of
from aiodiameter.header import FLAG_PROXIABLE, FLAG_REQUEST

CCR_FLAGS = FLAG_REQUEST | FLAG_PROXIABLE


def octets(
    name: str | int,
    data: bytes | int | str = b"",
    *,
    flags: int | None = None,
    vendor: int = 0,
    length: int | None = None,
) -> bytes:
    """One AVP by its name (flags and vendor are the dictionary's, unless given) or by its code. Padded with zeros."""
    if isinstance(name, str):
        facts = facts_of(name)
        code, vendor = facts.code, vendor or facts.vendor
        flags = facts.flags if flags is None else flags
    else:
        code = name
    flags = flags or 0
    if isinstance(data, int):
        data = data.to_bytes(4, "big", signed=data < 0)
    elif isinstance(data, str):
        data = data.encode()
    if vendor:
        flags |= FLAG_VENDOR
    middle = vendor.to_bytes(4, "big") if flags & FLAG_VENDOR else b""
    if length is None:
        length = 8 + len(middle) + len(data)
    header = code.to_bytes(4, "big") + bytes([flags]) + length.to_bytes(3, "big") + middle
    return header + data + bytes(-len(data) % 4)


def frame(
    *avps: bytes,
    command: int = 272,
    application: int = 4,
    flags: int = CCR_FLAGS,
    hop_by_hop: int = 0x11223344,
    end_to_end: int = 0x55667788,
) -> bytes:
    """One message of those AVPs; by default a CCR."""
    body = b"".join(avps)
    return b"".join(
        (
            b"\x01" + (20 + len(body)).to_bytes(3, "big"),
            bytes([flags]) + command.to_bytes(3, "big"),
            application.to_bytes(4, "big"),
            hop_by_hop.to_bytes(4, "big"),
            end_to_end.to_bytes(4, "big"),
            body,
        )
    )


class RawAvp(NamedTuple):
    """One AVP as it stands in a message."""

    code: int
    vendor: int
    flags: int
    data: bytes


def split(avps: bytes) -> list[RawAvp]:
    """Right AVPs, one after another, taken apart without the codec."""
    found, position = [], 0
    while position < len(avps):
        code, flags = int.from_bytes(avps[position : position + 4], "big"), avps[position + 4]
        length = int.from_bytes(avps[position + 5 : position + 8], "big")
        start = position + (12 if flags & FLAG_VENDOR else 8)
        vendor = int.from_bytes(avps[position + 8 : start], "big")
        assert start <= position + length <= len(avps)
        found.append(RawAvp(code, vendor, flags, avps[start : position + length]))
        position += length + -length % 4
    return found


CCR: dict[str, bytes] = {
    "Session-Id": octets("Session-Id", "gw.example;1;2"),
    "Origin-Host": octets("Origin-Host", "gw.example"),
    "Origin-Realm": octets("Origin-Realm", "example"),
    "Destination-Realm": octets("Destination-Realm", "ocs.example"),
    "Auth-Application-Id": octets("Auth-Application-Id", 4),
    "Service-Context-Id": octets("Service-Context-Id", "32251@3gpp.org"),
    "CC-Request-Type": octets("CC-Request-Type", 2),
    "CC-Request-Number": octets("CC-Request-Number", 7),
}
"""The required AVPs of a CCR, in their order."""


def ccr(*more: bytes, without: str = "", instead: bytes = b"") -> bytes:
    """A CCR of its required AVPs, without one of them, with one of them replaced by another of its code, and more."""
    avps = [data for name, data in CCR.items() if name != without]
    return frame(*[instead if instead[:4] == data[:4] else data for data in avps], *more)
