"""A session of the load generator: requests that are encoded once, answers of which only three things are read.

Owns the octets that change from request to request. Refuses to know quotas: every update reports the same usage and
asks for the same again, whatever was granted. What a gateway really does is `pgw`.
"""

import struct
import time

from aiodiameter.codec import encode
from aiodiameter.header import HEADER_LENGTH
from aiodiameter.messages.credit_control import CcRequestType, ReportingReason

from .books import Unit, Usage
from .ccr import CcrWriter
from .service import Due, Report

_CC_REQUEST_NUMBER, _RESULT_CODE, _MSCC, _GRANTED = 415, 268, 456, 431
_IDENTIFIERS = struct.Struct("!II")
"""Hop-by-Hop and End-to-End Identifier, the header's last two words."""
_IDENTIFIERS_AT = 12
_NUMBER = struct.Struct("!I")
_CODE_LENGTH = struct.Struct("!II").unpack_from

_ONE_GRANT = struct.pack("!IIII", _GRANTED, 0x40000018, 421, 0x40000010)
"""A Granted-Service-Unit that holds nothing but a CC-Total-Octets, as it begins: what an answer to these requests holds
for each rating group. Counting it is cheaper than walking through the groups, and its 16 octets occur nowhere else.
"""


def find_avp(message: bytes | bytearray, code: int, start: int = HEADER_LENGTH) -> int:
    """Where the data of the first AVP of that code (of no vendor) begins, not looking into groups; -1: nowhere."""
    position, end = start, len(message)
    while position + 8 <= end:
        found, length = _CODE_LENGTH(message, position)
        if found == code and not length & 0x80000000:
            return position + 8
        position += max(8, (length & 0xFFFFFF) + 3 & ~3)
    return -1


def read_result_code(answer: bytes) -> int:
    """The Result-Code of an answer's command level; 0 if it has none."""
    at = find_avp(answer, _RESULT_CODE)
    return int.from_bytes(answer[at : at + 4], "big") if at >= 0 else 0


def count_grants(answer: bytes, expected: int) -> int:
    """How many Multiple-Services-Credit-Control AVPs hold a Granted-Service-Unit: at most `expected`, and
    usually as many.
    """
    if answer.count(_ONE_GRANT) == expected:
        return expected
    grants, at = 0, find_avp(answer, _MSCC)
    while at >= 0:
        end = at - 8 + (_CODE_LENGTH(answer, at - 8)[1] & 0xFFFFFF)
        grants += find_avp(answer[:end], _GRANTED, at) >= 0
        at = find_avp(answer, _MSCC, end + 3 & ~3)
    return grants


class LoadSession:
    """One session. Each update reports `used_octets` of each rating group as used up, and asks for as many."""

    __slots__ = ("_number", "_number_at", "_update", "is_open", "rating_groups", "sent_ns", "used_octets", "writer")

    def __init__(self, writer: CcrWriter, rating_groups: tuple[int, ...], used_octets: int) -> None:
        self.writer = writer
        self.rating_groups = rating_groups
        self.used_octets = used_octets
        self.is_open = False
        self.sent_ns = 0
        """When the request under way was sent, or was to be sent."""
        self._number = 0
        self._update = bytearray()
        self._number_at = 0

    def initial(self, hop_by_hop: int, end_to_end: int) -> bytes:
        """The CCR-I, which asks for every rating group."""
        self._number = 0
        due = Due(None)
        reports = [Report(rating_group, due, None) for rating_group in self.rating_groups]
        return self._encode(CcRequestType.INITIAL_REQUEST, reports, hop_by_hop, end_to_end)

    def opened(self, server: str | None) -> None:
        """The CCR-I was answered with success: makes the update that all later ones are."""
        self.is_open = True
        due = Due(ReportingReason.QUOTA_EXHAUSTED, Unit.OCTETS)
        up = self.used_octets // 8
        usage = Usage(octets_up=up, octets_down=self.used_octets - up)
        reports = [Report(rating_group, due, usage, (Unit.OCTETS,)) for rating_group in self.rating_groups]
        request = self.writer.write(CcRequestType.UPDATE_REQUEST, 0, time.time(), reports, server)
        self._update = bytearray(encode(request))
        self._number_at = find_avp(self._update, _CC_REQUEST_NUMBER)

    def update(self, hop_by_hop: int, end_to_end: int) -> bytes:
        """The next CCR-U."""
        self._number += 1
        octets = self._update
        _IDENTIFIERS.pack_into(octets, _IDENTIFIERS_AT, hop_by_hop, end_to_end)
        _NUMBER.pack_into(octets, self._number_at, self._number)
        return bytes(octets)

    def termination(self, hop_by_hop: int, end_to_end: int) -> bytes:
        """The CCR-T, with nothing left to report."""
        self._number += 1
        self.is_open = False
        due = Due(ReportingReason.FINAL, asks=False)
        reports = [Report(rating_group, due, Usage(), (Unit.OCTETS,)) for rating_group in self.rating_groups]
        return self._encode(CcRequestType.TERMINATION_REQUEST, reports, hop_by_hop, end_to_end)

    def _encode(self, kind: CcRequestType, reports: list[Report], hop_by_hop: int, end_to_end: int) -> bytes:
        request = self.writer.write(kind, self._number, time.time(), reports)
        request.header.hop_by_hop, request.header.end_to_end = hop_by_hop, end_to_end
        return encode(request)
