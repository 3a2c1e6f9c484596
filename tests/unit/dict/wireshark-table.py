#!/usr/bin/python3
"""Every row of dict/avps.csv against Wireshark's own dictionary: name, code, vendor, type, M, enums.

usage: wireshark-table.py REPOSITORY. Differences must be listed, with a reason, in known.py."""

import csv
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

import known
from tap import Tap

XML = pathlib.Path("/usr/share/wireshark/diameter")
# Wireshark's type -> the table's types that it stands for
ALIKE = {
    "IPAddress": {"Address"},
    "AppId": {"Unsigned32"},
    "VendorId": {"Unsigned32"},
    "OctetStringOrUTF8": {"OctetString", "UTF8String"},
}


def merged(name="dictionary.xml"):
    """The dictionary with its entities put in by hand: ElementTree loads no external ones."""
    text = (XML / name).read_text(encoding="utf-8", errors="replace")
    entities = dict(re.findall(r'<!ENTITY\s+(\w+)\s+SYSTEM\s+"([^"]+)"', text))
    text = re.sub(r"<!DOCTYPE.*?\]>", "", text, flags=re.S)
    for entity, file in entities.items():
        if f"&{entity};" in text:
            body = (XML / file).read_text(encoding="utf-8", errors="replace")
            body = re.sub(r"<\?xml.*?\?>", "", body)
            text = text.replace(f"&{entity};", body)
    return ElementTree.fromstring(text)


def wireshark_avps():
    root = merged()
    vendors = {v.get("vendor-id"): int(v.get("code")) for v in root.iter("vendor")}
    vendors[None] = 0
    avps = {}
    for a in root.iter("avp"):
        if a.get("vendor-id") in vendors:
            avps[vendors[a.get("vendor-id")], int(a.get("code"))] = a
    return avps


def compare(tap, what, listed, found):
    """listed: {key: (what Wireshark says, reason)}; found: {key: (ours, Wireshark's)}."""
    unexplained = [f"{k}: ours {found[k][0]!r}, Wireshark {found[k][1]!r}" for k in sorted(found)
                   if listed.get(k, (None,))[0] != found[k][1]]
    tap.ok(not unexplained, f"{what}: as Wireshark has it, but for {len(found)} known differences",
           "\n".join(unexplained))
    tap.equal(set(listed) - set(found), set(), f"{what}: no known difference is out of date")


def main():
    tap = Tap()
    with open(pathlib.Path(sys.argv[1]) / "dict" / "avps.csv", newline="", encoding="utf-8") as f:
        rows = {(int(r["vendor"]), int(r["code"])): r for r in csv.DictReader(f)}
    standard = {k: r for k, r in rows.items() if r["clause"].split()[0] != "Gyro"}
    theirs = wireshark_avps()
    tap.ok(len(theirs) > 2000, f"Wireshark's dictionary is read: {len(theirs)} AVPs")
    tap.equal(set(standard) - set(theirs), known.LACKING, "what Wireshark lacks is what we say it lacks")

    names, types, flags, vendor_bits, enums = {}, {}, {}, {}, {}
    both = sorted(set(standard) & set(theirs))
    for key in both:
        row, avp = standard[key], theirs[key]
        name = avp.get("name").strip()
        if name != row["name"]:
            names[key] = row["name"], name
        kind = avp.find("type")
        kind = "Grouped" if kind is None else kind.get("type-name")
        if row["type"] not in ALIKE.get(kind, {kind}):
            types[key] = row["type"], kind
        if avp.get("mandatory") and avp.get("mandatory") != row["m"]:
            flags[key] = row["m"], avp.get("mandatory")
        bit = avp.get("vendor-bit")
        if bit in ("must", "mustnot") and (bit == "must") != (key[0] != 0):
            vendor_bits[key] = "must" if key[0] else "mustnot", bit
        if row["type"] == "Enumerated":
            ours = {int(e.split(" ", 1)[0]) for e in row["enums"].split(";")}
            those = {int(e.get("code")) for e in avp.findall("enum")}
            if ours != those:
                enums[key] = ours - those, those - ours
    tap.ok(len(both) > 500, f"{len(both)} AVPs are known to both")
    compare(tap, "name", known.NAMES, names)
    compare(tap, "type", known.TYPES, types)
    compare(tap, "M", known.M_FLAGS, flags)
    compare(tap, "V", known.VENDOR_BIT, vendor_bits)
    compare(tap, "enum values", {k: (v[:2], v[2]) for k, v in known.ENUMS.items()},
            {k: ("-", v) for k, v in enums.items()})
    tap.done()


if __name__ == "__main__":
    main()
