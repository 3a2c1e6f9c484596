#!/usr/bin/python3
"""deploy/wireshark in a real tshark: own AVPs by name, filters that match, the profile's columns.

The capture is made here; tshark gets a copy of its data directory with our Custom.xml in it (it
ignores that as root, so root becomes nobody for it)."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "lib"))
from diameter import E, NTP, P, R, T, Capture, Table
from tap import Tap

SYSTEM = pathlib.Path("/usr/share/wireshark")
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent.parent
OURS = REPOSITORY / "deploy" / "wireshark"
MIB = 1 << 20
NOW = NTP + 1700000000


def session(name, kind, number, *more):
    """The head of a CCR."""
    return [("Session-Id", f"pgw1.spec.test;1;{name}"), ("Origin-Host", "pgw1.spec.test"),
            ("Origin-Realm", "spec.test"), ("Destination-Realm", "spec.test"),
            ("Auth-Application-Id", 4), ("Service-Context-Id", "32251@3gpp.org"),
            ("CC-Request-Type", kind), ("CC-Request-Number", number), *more]


def answer(name, kind, number, result, *more):
    """The head of a CCA."""
    return [("Session-Id", f"pgw1.spec.test;1;{name}"), ("Result-Code", result),
            ("Origin-Host", "ocs1.spec.test"), ("Origin-Realm", "spec.test"),
            ("Auth-Application-Id", 4), ("CC-Request-Type", kind), ("CC-Request-Number", number), *more]


def mscc(rating_group, *more):
    return "Multiple-Services-Credit-Control", [("Rating-Group", rating_group), *more]


IMSI = ("Subscription-Id", [("Subscription-Id-Type", 1), ("Subscription-Id-Data", "460001000000001")])
E164 = ("Subscription-Id", [("Subscription-Id-Type", 0), ("Subscription-Id-Data", "8613800000001")])
PS = ("Service-Information", [("PS-Information", [
    ("3GPP-Charging-Id", b"\0\0\0\7"), ("3GPP-PDP-Type", 0), ("PDP-Address", "10.1.2.3"),
    ("Called-Station-Id", "internet"), ("3GPP-RAT-Type", b"\6"), ("3GPP-SGSN-MCC-MNC", "46000"),
    ("3GPP-MS-TimeZone", b"\x23\0"), ("Charging-Rule-Base-Name", "default"),
    ("3GPP-PS-Data-Off-Status", 1), ("Unused-Quota-Timer", 30)])])
GRANT = [("Granted-Service-Unit", [("Tariff-Time-Change", NOW + 1800), ("CC-Total-Octets", 10 * MIB)]),
         ("Validity-Time", 3600), ("Result-Code", 2001), ("Volume-Quota-Threshold", 2 * MIB),
         ("Quota-Holding-Time", 600)]
TRACE = [("Tariff-Trace", [("Trace-Text", "standard: 0.10 per 1 MiB")]),
         ("Bucket-Trace", [("Card-Id", "c-1"), ("CC-Total-Octets", 10 * MIB)])]
REDIRECT = ("Final-Unit-Indication", [("Final-Unit-Action", 1), ("Redirect-Server", [
    ("Redirect-Address-Type", 2), ("Redirect-Server-Address", "http://topup.spec.test/")])])
QOS_FINAL = ("QoS-Final-Unit-Indication", [("Final-Unit-Action", 1), ("Redirect-Server-Extension", [
    ("Redirect-Address-URL", "http://topup.spec.test/")])])


def used(octets, reason):
    return ("Used-Service-Unit", [("CC-Input-Octets", octets // 2), ("CC-Total-Octets", octets),
                                  ("Reporting-Reason", reason)])


def capture(table, path):
    """A little of everything that a filter of the page asks for."""
    c = Capture()

    def ask(number, avps, flags=R | P, command="CCR", from_client=True, **more):
        c.add(table.message(command, flags, number, avps, **more), from_client)

    def reply(number, avps, flags=P, command="CCR", from_client=False, after=0.01, **more):
        c.add(table.message(command, flags, number, avps, **more), from_client, after)

    ask(1, session("a", 1, 0, ("Event-Timestamp", NOW), IMSI, E164, ("Multiple-Services-Indicator", 1),
                   mscc(10, ("Requested-Service-Unit", [("CC-Total-Octets", MIB)])), PS))
    reply(1, answer("a", 1, 0, 2001, mscc(10, *GRANT, *TRACE)))
    ask(2, session("a", 2, 1, IMSI, mscc(10, used(8 * MIB, 0), ("Related-Trigger", [("Trigger-Type", 4)]))))
    reply(2, answer("a", 2, 1, 2001, mscc(10, *GRANT, REDIRECT, QOS_FINAL)))
    ask(3, session("a", 2, 2, IMSI, mscc(10, used(3 * MIB, 3))), R | P | T)
    reply(3, answer("a", 2, 2, 2001, mscc(10, ("Result-Code", 4012), ("Trigger", [("Trigger-Type", 4)]))))
    ask(4, session("b", 1, 0, ("User-Name", "nobody@spec.test"), ("Subscription-Id-Extension", [
        ("Subscription-Id-IMSI", "460009999999999")])))
    reply(4, answer("b", 1, 0, 5030, ("Error-Message", "E5030 no such subscriber"),
                    ("Failed-AVP", [("User-Name", "nobody@spec.test")])))
    ask(5, session("c", 1, 0, IMSI, ("Service-Information", [("IMS-Information", [
        ("IMS-Emergency-Indicator", 1), ("Transit-IOI-List", "spec.test")])])))
    reply(5, answer("c", 1, 0, 3004)[:4], P | E)
    ask(6, [*session("a", 1, 0)[:5], ("Destination-Host", "pgw1.spec.test"), ("Re-Auth-Request-Type", 0),
            ("Rating-Group", 10)], command="RAR", from_client=False)
    reply(6, answer("a", 1, 0, 2002)[:4], command="RAR", from_client=True)
    ask(7, session("a", 1, 0)[:5], command="ASR", from_client=False)
    reply(7, answer("a", 1, 0, 2001)[:4], command="ASR", from_client=True)
    ask(8, session("card", 4, 0, IMSI, ("Requested-Action", 0), ("Card-Operation", 1), ("Product-Id", "video-30"),
                   ("Purchase-Id", "p-1"), ("Use-Priority", 7),
                   ("Beneficiary", [E164]), ("Directed-Traffic-Info", [
                       ("Directed-App-Id", "video"), ("Directed-URL", "http://video.spec.test/"),
                       ("Directed-Flow", "permit out ip from 192.0.2.7 to any")])))
    reply(8, answer("card", 4, 0, 2001, ("Card-Id", "c-1"), ("Binding-Id", 77), ("User-Class", 1),
                    ("Card-Statistics", [("Card-Id", "c-1"), ("Rating-Group", 20), ("CC-Total-Octets", MIB),
                                         ("Start-Time", NOW), ("Stop-Time", NOW + 60), ("Window-Id", 5)])))
    ask(9, [("Origin-Host", "pgw1.spec.test"), ("Origin-Realm", "spec.test")], R, "DWR", application=0)
    reply(9, answer("", 1, 0, 2001)[1:4], 0, "DWR", application=0)
    ask(10, session("a", 3, 3, IMSI, ("Termination-Cause", 1), mscc(10, used(MIB, 2))))
    reply(10, answer("a", 3, 3, 2001), after=2.5)
    ask(11, session("d", 1, 0, IMSI, mscc(10, ("Requested-Service-Unit", []))))
    reply(99, answer("e", 2, 4, 2001))
    c.write(path)


class Tshark:
    def __init__(self, scratch):
        """A data directory that is the system's but for Custom.xml, a home with our profile."""
        self.data, self.home = scratch / "data", scratch / "home"
        (self.data / "diameter").mkdir(parents=True)
        for f in SYSTEM.iterdir():
            if f.name != "diameter":
                (self.data / f.name).symlink_to(f)
        for f in (SYSTEM / "diameter").iterdir():
            if f.name != "Custom.xml":
                (self.data / "diameter" / f.name).symlink_to(f)
        (self.data / "diameter" / "Custom.xml").write_bytes((OURS / "Custom.xml").read_bytes())
        profile = self.home / ".config" / "wireshark" / "profiles" / "Gyro"
        profile.mkdir(parents=True)
        for f in (OURS / "profile").iterdir():
            (profile / f.name).write_bytes(f.read_bytes())
        for f in [scratch, *scratch.rglob("*")]:
            if not f.is_symlink():
                f.chmod(0o755 if f.is_dir() else 0o644)

    def run(self, *arguments, stock=False):
        command = ["tshark", *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
        environment = dict(os.environ, HOME=str(self.home), LC_ALL="C.UTF-8")
        environment.pop("XDG_CONFIG_HOME", None)
        if not stock:
            environment["WIRESHARK_DATA_DIR"] = str(self.data)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def filters_of_page():
    """{filter: True if it needs two passes}, from the first column of the page's tables."""
    found = {}
    for line in (OURS / "README.md").read_text(encoding="utf-8").splitlines():
        m = re.match(r"\| `(.+?)` \|(.*)", line)
        if m and re.search(r"\b(diameter|e212|e164)\b", m[1]):
            found[m[1].replace("\\|", "|")] = "two passes" in m[2]
    return found


def count_matches(tshark, pcap, filters):
    """How many frames each filter matches, all in one run: [int], or the error text."""
    r = tshark.run("-2", "-q", "-r", pcap, "-z", "io,stat,0," + ",".join(filters))
    row = re.search(r"^\|[^|]*<>[^|]*\|(.*)\|$", r.stdout, re.M)
    if r.returncode or not row:
        return r.stderr + r.stdout
    return [int(cell) for cell in row[1].split("|")[::2]]


def check_dictionary(tap, tshark, pcap):
    fields = tshark.run("-G", "fields")
    stock = tshark.run("-G", "fields", stock=True)
    names = {line.split("\t")[2] for line in fields.stdout.splitlines() if line.startswith("F\t")}
    before = {line.split("\t")[2] for line in stock.stdout.splitlines() if line.startswith("F\t")}
    tap.ok(len(before) > 100000 and not before - names, "Custom.xml takes nothing away from Wireshark's fields",
           sorted(before - names)[:20])
    tap.equal(fields.stderr, stock.stderr, "and tshark has no more to say at start than before")
    own = re.findall(r'<avp name="([^"]+)"', (OURS / "Custom.xml").read_text(encoding="utf-8"))
    tap.ok(len(own) >= 29 and {f"diameter.{n}" for n in own} <= names, "every AVP of Custom.xml can be filtered",
           sorted(n for n in own if f"diameter.{n}" not in names))

    r = tshark.run("-2", "-r", pcap, "-V", "-O", "diameter", "-Y", "diameter")
    tap.equal((r.returncode, r.stderr), (0, ""), "tshark reads the capture")
    decoded = set(re.findall(r"AVP: ([A-Za-z0-9-]+)\(", r.stdout))
    tap.ok(set(own) - decoded <= {"Redirect-Address-IPAddress", "Redirect-Address-SIP-URI", "Subscription-Id-E164",
                                  "Subscription-Id-SIP-URI", "Subscription-Id-NAI", "Subscription-Id-Private"},
           "every AVP of Custom.xml in the capture is decoded by its name", sorted(set(own) - decoded))
    for text in ("Card-Operation: BIND (1)", "User-Class: NON_SPECIFIED (1)", "Binding-Id: 77", "Window-Id: 5",
                 "Directed-URL: http://video.spec.test/", "Trace-Text: standard: 0.10 per 1 MiB",
                 "Directed-Flow: permit out ip from 192.0.2.7 to any", "Trigger-Type: CHANGE_IN_RAT (4)",
                 "Redirect-Address-URL: http://topup.spec.test/", "Subscription-Id-IMSI: 460009999999999",
                 "3GPP-Reporting-Reason: THRESHOLD (0)", "vnd=TGPP", "vnd=Gyro"):
        tap.ok(text in r.stdout, f"decoded: {text}")
    clean = ("_ws.malformed || diameter.avp.code.unknown || diameter.avp.invalid-len || "
             "diameter.avp.invalid-data || diameter.avp.unknown || diameter.cmd.code.unknown || "
             "diameter.applicationId.unknown || diameter.avp.pad.missing || diameter.avp.pad.non_zero")
    tap.equal(tshark.run("-2", "-r", pcap, "-Y", clean).stdout, "", "with it, nothing is unknown or malformed")
    tap.ok(tshark.run("-2", "-r", pcap, "-Y", "diameter.avp.code.unknown", stock=True).stdout != "",
           "without it, something is: this test can fail")


def check_filters(tap, tshark, pcap):
    filters = filters_of_page()
    total = len(tshark.run("-r", pcap).stdout.splitlines())
    tap.ok(len(filters) >= 30, f"the page has {len(filters)} filters")
    counts = count_matches(tshark, pcap, filters)
    if not tap.ok(isinstance(counts, list) and len(counts) == len(filters), "all filters compile", counts):
        for f in filters:
            r = tshark.run("-r", pcap, "-Y", f)
            tap.ok(r.returncode == 0, f, r.stderr)
        return
    for f, n in zip(filters, counts):
        tap.ok(0 < n < total, f"matches some: {f}", f"{n} of {total} frames")
    one_pass = tshark.run("-r", pcap, "-Y", "diameter.flags.request == 1 && !diameter.answer_in").stdout
    two_pass = tshark.run("-2", "-r", pcap, "-Y", "diameter.flags.request == 1 && !diameter.answer_in").stdout
    tap.equal((len(one_pass.splitlines()), len(two_pass.splitlines())), (11, 1),
              "unanswered requests need two passes, as the page says")


def check_profile(tap, tshark, pcap):
    r = tshark.run("-C", "Gyro", "-2", "-r", pcap, "-Y", "diameter")
    tap.equal((r.returncode, r.stderr), (0, ""), "the profile loads without complaint")
    lines = r.stdout.splitlines()
    tap.ok(lines and re.search(r"\bINITIAL_REQUEST|\b1\b.*\b10\b.*pgw1\.spec\.test;1;a", lines[0]),
           "its columns show type, number, Rating-Group and session of a request", r.stdout)
    tap.ok(any("5030" in line and "no such subscriber" in line for line in lines),
           "and result and reason of an answer", r.stdout)
    for name in ("dfilters", "colorfilters"):
        text = (OURS / "profile" / name).read_text(encoding="utf-8")
        pattern = r'^"[^"]+" (.+)$' if name == "dfilters" else r"^@[^@]+@([^@]+)@\["
        found = re.findall(pattern, text, re.M)
        counts = count_matches(tshark, pcap, found)
        tap.ok(len(found) >= 5 and isinstance(counts, list) and len(counts) == len(found) and all(counts),
               f"each of the {len(found)} filters in {name} matches something", list(zip(found, counts))
               if isinstance(counts, list) else counts)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        pcap = scratch / "gy.pcap"
        capture(Table(REPOSITORY / "dict" / "avps.csv"), pcap)
        tshark = Tshark(scratch)
        check_dictionary(tap, tshark, pcap)
        check_filters(tap, tshark, pcap)
        check_profile(tap, tshark, pcap)
    tap.done()


if __name__ == "__main__":
    main()
