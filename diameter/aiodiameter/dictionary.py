"""What each AVP is: code, vendor, data type, M flag. Facts come from python-diameter's dictionary and a supplement.

The only module that may import `diameter` (the PyPI library). Names are the standards' own; where the library's name
or type differs from the clause, the supplement says so with the clause.
"""

import difflib
from typing import NamedTuple

from diameter.message.avp.dictionary import AVP_DICTIONARY, AVP_VENDOR_DICTIONARY

from .avp import FLAG_MANDATORY, FLAG_VENDOR
from .errors import DeclarationError

VENDOR_3GPP = 10415


class AvpFacts(NamedTuple):
    """An AVP's definition. `data_type` is an RFC 6733 §4.2/§4.3 format name; `key` is vendor << 32 | code."""

    name: str
    code: int
    vendor: int
    data_type: str
    mandatory: bool

    @property
    def key(self) -> int:
        return self.vendor << 32 | self.code

    @property
    def flags(self) -> int:
        return (FLAG_VENDOR if self.vendor else 0) | (FLAG_MANDATORY if self.mandatory else 0)


def _f(name: str, code: int, data_type: str, mandatory: bool, vendor: int = 0) -> AvpFacts:
    return AvpFacts(name, code, vendor, data_type, mandatory)


_SUPPLEMENT = (
    # RFC 6733 §6.4, §6.6…: identities are UTF-8/ASCII text; the library leaves them as octets.
    _f("Origin-Host", 264, "DiameterIdentity", True),
    _f("Origin-Realm", 296, "DiameterIdentity", True),
    _f("Destination-Host", 293, "DiameterIdentity", True),
    _f("Destination-Realm", 283, "DiameterIdentity", True),
    _f("Route-Record", 282, "DiameterIdentity", True),
    _f("Proxy-Host", 280, "DiameterIdentity", True),
    _f("Error-Reporting-Host", 294, "DiameterIdentity", False),
    # TS 32.299 §7.2.175: the AVP's name has no "3GPP-".
    _f("Reporting-Reason", 872, "Enumerated", True, VENDOR_3GPP),
    # TS 32.299 §7.2, table of AVPs: V and M must be set.
    _f("Unit-Quota-Threshold", 1226, "Unsigned32", True, VENDOR_3GPP),
    _f("PDP-Address", 1227, "Address", True, VENDOR_3GPP),
    _f("SGSN-Address", 1228, "Address", True, VENDOR_3GPP),
    _f("Event-Charging-TimeStamp", 1258, "Time", True, VENDOR_3GPP),
    # RFC 6733 §4.5: M must not be set on these; Result-Code is unsigned.
    _f("Product-Name", 269, "UTF8String", False),
    _f("Firmware-Revision", 267, "Unsigned32", False),
    _f("Error-Message", 281, "UTF8String", False),
    _f("Result-Code", 268, "Unsigned32", True),
    _f("Experimental-Result-Code", 298, "Unsigned32", True),
    # RFC 8506 §8, table: M may be set on these and need not be. Gateways leave it off, and who does not know them may
    # ignore them.
    _f("User-Equipment-Info", 458, "Grouped", False),
    _f("User-Equipment-Info-Type", 459, "Enumerated", False),
    _f("User-Equipment-Info-Value", 460, "OctetString", False),
    # RFC 8506 §8.52 to §8.68: the extended forms, which the library does not have.
    _f("User-Equipment-Info-Extension", 653, "Grouped", False),
    _f("User-Equipment-Info-IMEISV", 654, "OctetString", False),
    _f("User-Equipment-Info-MAC", 655, "OctetString", False),
    _f("User-Equipment-Info-EUI64", 656, "OctetString", False),
    _f("User-Equipment-Info-ModifiedEUI64", 657, "OctetString", False),
    _f("User-Equipment-Info-IMEI", 658, "OctetString", False),
    _f("Subscription-Id-Extension", 659, "Grouped", False),
    _f("Subscription-Id-E164", 660, "UTF8String", False),
    _f("Subscription-Id-IMSI", 661, "UTF8String", False),
    _f("Subscription-Id-SIP-URI", 662, "UTF8String", False),
    _f("Subscription-Id-NAI", 663, "UTF8String", False),
    _f("Subscription-Id-Private", 664, "UTF8String", False),
    _f("Redirect-Server-Extension", 665, "Grouped", False),
    _f("Redirect-Address-IPAddress", 666, "Address", False),
    _f("Redirect-Address-URL", 667, "UTF8String", False),
    _f("Redirect-Address-SIP-URI", 668, "UTF8String", False),
    _f("QoS-Final-Unit-Indication", 669, "Grouped", False),
)

# The library's Enumerated is its Integer32 by another name, and so appears here as Integer32: the same on the wire.
_LIBRARY_TYPES = {
    "AvpAddress": "Address",
    "AvpFloat32": "Float32",
    "AvpFloat64": "Float64",
    "AvpGrouped": "Grouped",
    "AvpInteger32": "Integer32",
    "AvpInteger64": "Integer64",
    "AvpUnsigned32": "Unsigned32",
    "AvpUnsigned64": "Unsigned64",
    "AvpOctetString": "OctetString",
    "AvpTime": "Time",
    "AvpUtf8String": "UTF8String",
}


def _read_library() -> dict[int, AvpFacts]:
    facts: dict[int, AvpFacts] = {}
    for vendor, entries in ((0, AVP_DICTIONARY), *AVP_VENDOR_DICTIONARY.items()):
        for code, entry in entries.items():
            data_type = _LIBRARY_TYPES.get(entry["type"].__name__, "OctetString")
            fact = AvpFacts(entry["name"], code, vendor, data_type, bool(entry.get("mandatory")))
            facts[fact.key] = fact
    return facts


BY_KEY: dict[int, AvpFacts] = _read_library() | {fact.key: fact for fact in _SUPPLEMENT}


def _index_names() -> dict[str, AvpFacts]:
    """By lower-case name. A name used by several vendors means the IETF's, then 3GPP's; others need their key."""
    names: dict[str, AvpFacts] = {}
    for fact in sorted(BY_KEY.values(), key=lambda f: (f.vendor != 0, f.vendor != VENDOR_3GPP, f.vendor, f.code)):
        names.setdefault(fact.name.lower(), fact)
    return names


_BY_NAME = _index_names()


def facts_of(name: str) -> AvpFacts:
    """The AVP of that name, in any case and with `_` for `-`. Raises DeclarationError, naming the nearest ones."""
    fact = _BY_NAME.get(name.lower().replace("_", "-"))
    if fact is None:
        nearest = difflib.get_close_matches(name.lower().replace("_", "-"), _BY_NAME, n=3)
        hint = f"; nearest: {', '.join(_BY_NAME[n].name for n in nearest)}" if nearest else ""
        raise DeclarationError(f"no AVP is named {name!r}{hint}")
    return fact
