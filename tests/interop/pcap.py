"""Writes Diameter messages as a capture file: Ethernet, IPv4, TCP port 3868, one connection a message."""

import struct
from collections.abc import Iterable

DIAMETER_PORT = 3868
_FILE_HEADER = struct.pack("!IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 1)
"""Magic number, version 2.4, zone, accuracy, longest packet, link type Ethernet."""
_ETHERNET = bytes.fromhex("0200000000020200000000010800")
_CLIENT, _SERVER = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
_PSH_ACK = 0x18


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _packet(message: bytes, source_port: int) -> bytes:
    tcp = struct.pack("!HHIIBBHHH", source_port, DIAMETER_PORT, 1, 1, 5 << 4, _PSH_ACK, 0xFFFF, 0, 0)
    pseudo_header = _CLIENT + _SERVER + struct.pack("!BBH", 0, 6, len(tcp) + len(message))
    checksum = _checksum(pseudo_header + tcp + message)
    tcp = tcp[:16] + struct.pack("!H", checksum) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(message), 0, 0, 64, 6, 0) + _CLIENT + _SERVER
    ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    return _ETHERNET + ip + tcp + message


def capture(messages: Iterable[bytes]) -> bytes:
    """The file's octets: the messages in order, each whole in one packet of a connection of its own."""
    parts = [_FILE_HEADER]
    for number, message in enumerate(messages):
        packet = _packet(message, 20_000 + number)
        parts += [struct.pack("!IIII", number, 0, len(packet), len(packet)), packet]
    return b"".join(parts)
