"""Runs tshark, an independent dissector, and tells what it sees; and reads its dictionary."""

import os
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .pcap import DIAMETER_PORT, capture

DICTIONARY = Path("/usr/share/wireshark/diameter")


class Dissected(NamedTuple):
    """One message as tshark shows it: `text` has a line for the header and one for each AVP, indented by depth."""

    text: str
    complaints: list[str]
    """Expert information of any severity, malformed parts, AVPs without a name."""


def dissect(messages: Sequence[bytes]) -> list[Dissected]:
    """Each message, in order."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "messages.pcap"
        file.write_bytes(capture(messages))
        command = ["tshark", "-r", str(file), "-d", f"tcp.port=={DIAMETER_PORT},diameter", "-T", "pdml"]
        environment = os.environ | {"TZ": "UTC", "HOME": directory, "XDG_CONFIG_HOME": directory}
        result = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=60)
    packets = list(ET.fromstring(result.stdout).iter("packet"))
    assert len(packets) == len(messages)
    return [_read(packet) for packet in packets]


def _read(packet: ET.Element) -> Dissected:
    lines: list[str] = []
    protocols = [proto for proto in packet.iter("proto") if proto.get("name") == "diameter"]
    complaints = [] if len(protocols) == 1 else [f"{len(protocols)} Diameter messages in the packet"]
    for element in packet.iter():
        name, shown = element.get("name", ""), element.get("showname", "")
        nameless = name.startswith("diameter.") and name != "diameter.avp" and "Unknown" in shown
        if nameless or name in ("_ws.expert", "_ws.malformed", "diameter.avp.unknown"):
            complaints.append(shown)
    for proto in protocols:
        fields = {field.get("name"): field for field in proto}
        flags = "".join(
            letter
            for letter, name in zip("RPET", ("request", "proxyable", "error", "T"), strict=True)
            for field in fields["diameter.flags"]
            if field.get("name") == f"diameter.flags.{name}" and field.get("show") == "1"
        )
        words = [
            _shown(fields[f"diameter.{name}"]) for name in ("cmd.code", "applicationId", "hopbyhopid", "endtoendid")
        ]
        lines.append(f"{words[0]} of {words[1]}, flags {flags or 'none'}, ids {words[2]} {words[3]}")
        lines += _avps(proto, 1)
    return Dissected("\n".join(lines) + "\n", complaints)


def _shown(field: ET.Element) -> str:
    return field.get("show", "")


def _avps(parent: ET.Element, depth: int) -> Iterator[str]:
    for avp in parent:
        if avp.get("name") != "diameter.avp":
            continue
        fields = {field.get("name", ""): field for field in avp}
        name = fields["diameter.avp.code"].get("showname", "").split(" ", 3)[3]
        bits = int(fields["diameter.avp.flags"].get("value", ""), 16)
        flags = "".join(letter for letter, bit in (("V", 0x80), ("M", 0x40), ("P", 0x20)) if bits & bit)
        if bits & 0x1F:
            flags += f"+{bits & 0x1F:x}"
        vendor = f" {_shown(fields['diameter.avp.vendorId'])}" if "diameter.avp.vendorId" in fields else ""
        value = fields.get(f"diameter.{name}")
        indent = "  " * depth
        head = f"{indent}{_shown(fields['diameter.avp.code'])} {name} {flags or '-'}{vendor}"
        if value is None:
            yield f"{head} (nothing)"
            continue
        inner = list(_avps(value, depth + 1))
        if inner:
            yield head
            yield from inner
        else:
            address = [_shown(field) for field in value if field.get("name", "").endswith((".IPv4", ".IPv6"))]
            yield f"{head} {address[0] if address else _shown(value)}".rstrip()


class Entry(NamedTuple):
    """An AVP of tshark's dictionary; `mandatory` is must, may, mustnot or shouldnot."""

    name: str
    data_type: str
    mandatory: str


def dictionary() -> dict[tuple[int, int], Entry]:
    """By (vendor, code)."""
    text = (DICTIONARY / "dictionary.xml").read_text()
    files = dict(re.findall(r'<!ENTITY\s+(\S+)\s+SYSTEM\s+"([^"]+)">', text))
    text = re.sub(r"<\?.*?\?>|<!DOCTYPE.*?\]>", "", text, flags=re.DOTALL)
    for entity, file in files.items():  # the parser does not follow them
        part = re.sub(r"<\?xml.*?\?>", "", (DICTIONARY / file).read_text(), flags=re.DOTALL)
        text = text.replace(f"&{entity};", part)
    root = ET.fromstring(text)
    vendors = {vendor.get("vendor-id"): int(vendor.get("code", "0")) for vendor in root.iter("vendor")}
    entries = {}
    for avp in root.iter("avp"):
        vendor = vendors.get(avp.get("vendor-id"), 0)
        plain = avp.find("type")
        data_type = "Grouped" if plain is None else plain.get("type-name", "")
        entry = Entry(avp.get("name", ""), data_type, avp.get("mandatory", "may"))
        entries[vendor, int(avp.get("code", "0"))] = entry
    return entries
