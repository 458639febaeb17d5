"""One AVP as octets (RFC 6733 §4.1): header, data, padding. Knows no AVP's meaning."""

import struct

import msgspec

FLAG_VENDOR = 0x80
FLAG_MANDATORY = 0x40

_CODE_LENGTH = struct.Struct("!II")
_CODE_LENGTH_VENDOR = struct.Struct("!III")
PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
"""By data length modulo 4: an AVP starts on a 32-bit boundary; its Length does not count the padding."""


def avp_header(code: int, vendor: int, flags: int, data_length: int) -> bytes:
    """An AVP's header before `data_length` octets of data; 12 octets with a vendor, else 8."""
    if vendor:
        return _CODE_LENGTH_VENDOR.pack(code, (flags | FLAG_VENDOR) << 24 | data_length + 12, vendor)
    return _CODE_LENGTH.pack(code, (flags & ~FLAG_VENDOR) << 24 | data_length + 8)


class Avp(msgspec.Struct, frozen=True):
    """An AVP whose data is not interpreted: `data` without header and padding."""

    code: int
    data: bytes
    vendor: int = 0
    flags: int = 0

    @property
    def is_mandatory(self) -> bool:
        return self.flags & FLAG_MANDATORY != 0

    def to_bytes(self) -> bytes:
        """Header, data and padding."""
        return avp_header(self.code, self.vendor, self.flags, len(self.data)) + self.data + PADDING[len(self.data) & 3]
