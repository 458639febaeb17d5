"""AVP payloads (RFC 6733 §4.2, §4.3): octets to Python values and back, one pair of functions a format.

Decoders take (message, start, stop) and raise `PayloadFault` with the Result-Code the clause asks for. Encoders take a
value and raise EncodeError. Nothing here knows AVP codes.
"""

import ipaddress
import struct
from collections.abc import Callable

from .errors import EncodeError
from .result_codes import ResultCode

_I32, _U32, _I64, _U64 = (struct.Struct(code) for code in ("!i", "!I", "!q", "!Q"))
_F32, _F64 = struct.Struct("!f"), struct.Struct("!d")

NTP_TO_UNIX_S = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01: Time counts from 1900 (RFC 6733 §4.3.1)."""
_ERA_S = 1 << 32
_ERA_1_FROM = 1 << 31
"""A Time with its top bit clear belongs to the era that began in 2036 (RFC 6733 §4.3.1, RFC 5905 §6)."""

_ADDRESS_IPV4, _ADDRESS_IPV6 = b"\x00\x01", b"\x00\x02"


class PayloadFault(Exception):
    """A payload that cannot be its format's."""

    def __init__(self, result_code: ResultCode, text: str) -> None:
        super().__init__(text)
        self.result_code = result_code
        self.text = text


def _wrong_length(expected: str, start: int, stop: int) -> PayloadFault:
    return PayloadFault(ResultCode.INVALID_AVP_LENGTH, f"{stop - start} octets of data where {expected} are due")


def read_integer32(message: bytes, start: int, stop: int) -> int:
    if stop - start != 4:
        raise _wrong_length("4", start, stop)
    return int(_I32.unpack_from(message, start)[0])


def read_unsigned32(message: bytes, start: int, stop: int) -> int:
    if stop - start != 4:
        raise _wrong_length("4", start, stop)
    return int.from_bytes(message[start:stop], "big")


def read_integer64(message: bytes, start: int, stop: int) -> int:
    if stop - start != 8:
        raise _wrong_length("8", start, stop)
    return int(_I64.unpack_from(message, start)[0])


def read_unsigned64(message: bytes, start: int, stop: int) -> int:
    if stop - start != 8:
        raise _wrong_length("8", start, stop)
    return int.from_bytes(message[start:stop], "big")


def read_float32(message: bytes, start: int, stop: int) -> float:
    if stop - start != 4:
        raise _wrong_length("4", start, stop)
    return float(_F32.unpack_from(message, start)[0])


def read_float64(message: bytes, start: int, stop: int) -> float:
    if stop - start != 8:
        raise _wrong_length("8", start, stop)
    return float(_F64.unpack_from(message, start)[0])


def read_octets(message: bytes, start: int, stop: int) -> bytes:
    return message[start:stop]


def read_text(message: bytes, start: int, stop: int) -> str:
    try:
        return message[start:stop].decode()
    except UnicodeDecodeError as error:
        raise PayloadFault(ResultCode.INVALID_AVP_VALUE, f"not UTF-8: {error.reason}") from None


def read_time(message: bytes, start: int, stop: int) -> int:
    """Seconds since 1970."""
    seconds = read_unsigned32(message, start, stop)
    if seconds < _ERA_1_FROM:
        seconds += _ERA_S
    return seconds - NTP_TO_UNIX_S


def read_address(message: bytes, start: int, stop: int) -> str:
    """An IPv4 or IPv6 address in its usual form; another family as `family:hex` (RFC 6733 §4.3.1)."""
    if stop - start < 2:
        raise _wrong_length("at least 2", start, stop)
    family, data = message[start : start + 2], message[start + 2 : stop]
    if family == _ADDRESS_IPV4:
        if len(data) != 4:
            raise _wrong_length("6 (IPv4)", start, stop)
        return f"{data[0]}.{data[1]}.{data[2]}.{data[3]}"
    if family == _ADDRESS_IPV6:
        if len(data) != 16:
            raise _wrong_length("18 (IPv6)", start, stop)
        return str(ipaddress.IPv6Address(data))
    return f"{int.from_bytes(family, 'big')}:{data.hex()}"


def _write_packed(packer: struct.Struct, kind: str) -> Callable[[int], bytes]:
    def write(value: int) -> bytes:
        try:
            return packer.pack(value)
        except (struct.error, OverflowError):
            raise EncodeError(f"{value!r} does not fit {kind}") from None

    return write


def write_octets(value: bytes) -> bytes:
    if not isinstance(value, bytes):
        raise EncodeError(f"{value!r} is not bytes")
    return value


def write_text(value: str) -> bytes:
    try:
        return value.encode()
    except (AttributeError, UnicodeEncodeError):
        raise EncodeError(f"{value!r} is not text that UTF-8 can carry") from None


def write_time(value: int) -> bytes:
    """`value`: seconds since 1970, between 1968-01-20 and 2104-02-26 (the two eras that 32 bits can tell apart)."""
    if not isinstance(value, int):
        raise EncodeError(f"{value!r} is no number of whole seconds")
    seconds = value + NTP_TO_UNIX_S
    if not _ERA_1_FROM <= seconds < _ERA_S + _ERA_1_FROM:
        raise EncodeError(f"{value!r} s since 1970 is outside what Time can carry")
    return _U32.pack(seconds % _ERA_S)


def write_address(value: str) -> bytes:
    if not isinstance(value, str):
        raise EncodeError(f"{value!r} is not an address's text")
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        family, _, data = value.partition(":")
        try:
            octets = int(family).to_bytes(2, "big") + bytes.fromhex(data)
            read_address(octets, 0, len(octets))
        except (ValueError, OverflowError, PayloadFault):
            raise EncodeError(f"{value!r} is neither an IP address nor family:hex") from None
        return octets
    return (_ADDRESS_IPV4 if address.version == 4 else _ADDRESS_IPV6) + address.packed


Reader = Callable[[bytes, int, int], object]
Writer = Callable[..., bytes]

FORMATS: dict[tuple[str, type], tuple[Reader, Writer, bytes]] = {
    ("Integer32", int): (read_integer32, _write_packed(_I32, "Integer32"), bytes(4)),
    ("Integer64", int): (read_integer64, _write_packed(_I64, "Integer64"), bytes(8)),
    ("Unsigned32", int): (read_unsigned32, _write_packed(_U32, "Unsigned32"), bytes(4)),
    ("Unsigned64", int): (read_unsigned64, _write_packed(_U64, "Unsigned64"), bytes(8)),
    ("Enumerated", int): (read_integer32, _write_packed(_I32, "Enumerated"), bytes(4)),
    ("Float32", float): (read_float32, _write_packed(_F32, "Float32"), bytes(4)),
    ("Float64", float): (read_float64, _write_packed(_F64, "Float64"), bytes(8)),
    ("OctetString", bytes): (read_octets, write_octets, b""),
    ("OctetString", str): (read_text, write_text, b""),
    ("UTF8String", str): (read_text, write_text, b""),
    ("DiameterIdentity", str): (read_text, write_text, b""),
    ("Address", str): (read_address, write_address, b"\x00\x01\x00\x00\x00\x00"),
    ("Time", int): (read_time, write_time, bytes(4)),
}
"""(format, Python type) -> reader, writer, the zero value of §7.5's example in a Failed-AVP."""
