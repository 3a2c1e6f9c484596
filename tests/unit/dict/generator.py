#!/usr/bin/python3
"""dict/generate.py: what is checked in is up to date, its output is stable, bad tables are refused.

usage: generator.py REPOSITORY"""

import pathlib
import subprocess
import sys
import tempfile

from tap import Tap

REPOSITORY = pathlib.Path(sys.argv[1])
GENERATE = REPOSITORY / "dict" / "generate.py"
CSV = (REPOSITORY / "dict" / "avps.csv").read_text(encoding="utf-8")

# What is wrong, what to replace in the table, by what, and the words that must appear.
BROKEN = [
    ("a code twice", "User-Name,1,0,", "User-Name,33,0,", "code 33 of vendor 0 appears twice"),
    ("a name twice", "Session-Id,263,", "User-Name,263,", "the name appears twice"),
    ("an unknown type", "User-Name,1,0,UTF8String", "User-Name,1,0,Utf8", "unknown type Utf8"),
    ("an unknown vendor", "User-Name,1,0,", "User-Name,1,4711,", "unknown vendor 4711"),
    ("an unknown M rule", "UTF8String,must,,CCR;CCA;RAR", "UTF8String,always,,CCR;CCA;RAR", "M rule always"),
    ("an own AVP with M", "Card-Id,4,32473,UTF8String,mustnot", "Card-Id,4,32473,UTF8String,may", "never have the M bit"),
    ("enum texts on an integer", "Validity-Time,448,0,Unsigned32,must,,", "Validity-Time,448,0,Unsigned32,must,0 X,", "1 enum texts"),
    ("an Enumerated without texts", "0 ENOUGH_CREDIT;1 NO_CREDIT", "", "0 enum texts"),
    ("an enum value twice", "0 ENOUGH_CREDIT;1 NO", "0 ENOUGH_CREDIT;0 NO", "appears twice"),
    ("an enum value that is no number", "0 ENOUGH_CREDIT", "ENOUGH_CREDIT", "invalid literal"),
    ("an unknown parent", "Unit-Quota-Threshold,1226,10415,Unsigned32,must,,Multiple", "Unit-Quota-Threshold,1226,10415,Unsigned32,must,,Multple", "neither a command nor a Grouped"),
    ("a parent that is no group", "OctetString,must,,Proxy-Info", "OctetString,must,,Proxy-Host", "neither a command nor a Grouped"),
    ("an unknown class", "Proxy-Host,280,0,DiameterIdentity,must,,Proxy-Info,E", "Proxy-Host,280,0,DiameterIdentity,must,,Proxy-Info,Z", "class 'Z'"),
    ("a column too few", "name,code,vendor,type,m,", "name,code,vendor,type,", "columns must be"),
    ("a code that is no number", "User-Name,1,", "User-Name,one,", "invalid literal"),
]


def generate(*arguments):
    return subprocess.run(["/usr/bin/python3", GENERATE, *map(str, arguments)],
                          capture_output=True, text=True, check=False)


def main():
    tap = Tap()
    r = generate("--check")
    tap.ok(r.returncode == 0, "dict/README.md and deploy/wireshark/Custom.xml are up to date", r.stderr)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)

        def table(folder, *more):
            r = generate("--c", scratch / folder, *more)
            if r.returncode:
                return r.stderr
            return [(scratch / folder / f"gy_avp_table.{e}").read_text(encoding="utf-8") for e in "hc"]

        first = table("a")
        tap.ok(isinstance(first, list), "the C table is generated", first)
        tap.ok(first == table("b"), "two runs give the same bytes")
        before = (scratch / "a/gy_avp_table.h").stat().st_mtime_ns
        table("a")
        tap.equal((scratch / "a/gy_avp_table.h").stat().st_mtime_ns, before, "an unchanged file is not touched")
        lines = CSV.splitlines(keepends=True)
        shuffled = scratch / "shuffled.csv"
        shuffled.write_text("".join(lines[:1] + lines[:0:-1]), encoding="utf-8")
        tap.ok(first == table("c", "--csv", shuffled), "the order of the rows does not matter")
        other = table("d", "--vendor-id", 65000)
        tap.ok("32473" not in "".join(other) and "GY_VENDOR_GYRO = 65000u" in other[0],
               "--vendor-id moves every own AVP, and only needs saying once")
        tap.ok(generate("--c", scratch / "e", "--vendor-id", 10415).returncode != 0,
               "3GPP's number cannot be ours")
        for what, old, new, words in BROKEN:
            bad = scratch / "bad.csv"
            bad.write_text(CSV.replace(old, new, 1), encoding="utf-8")
            r = generate("--csv", bad, "--c", scratch / "bad")
            tap.ok(old in CSV and r.returncode != 0 and words in r.stderr
                   and not (scratch / "bad").exists(), f"refused: {what}", r.stderr or "accepted")
    tap.done()


if __name__ == "__main__":
    main()
