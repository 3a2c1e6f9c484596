"""Where dict/avps.csv and Wireshark's dictionary differ on purpose, and why.

One entry per fact: (vendor, code): (what Wireshark says, reason). The test fails on a difference
that isn't here, and on an entry here that is no difference any more."""

VSA_M = "TS 29.061 calls M inconsistent for its VSAs; TS 32.299 clears it; we take both, send V only"
OPEN = "open-ended list that nothing here reads: any value is accepted"
RADIUS4 = "TS 29.061 has 4 bare octets (RADIUS), not Diameter's Address; passed over unread"

NAMES = {
    (0, 50): ("Accounting-Multi-Session-Id", "RFC 6733's and freeDiameter's short name"),
    (10415, 17): ("3GPP-IPv6-DNS-Server", "TS 29.061 has the plural"),
    (10415, 824): ("3GPP-SIP-Method", "TS 32.299 name; Wireshark's keeps apart from RFC 4740's"),
    (10415, 830): ("User-Session-ID", "TS 32.299 spelling"),
    (10415, 851): ("Trunk-Group-ID", "TS 32.299 spelling"),
    (10415, 852): ("Incoming-Trunk-Group-ID", "TS 32.299 spelling"),
    (10415, 853): ("Outgoing-Trunk-Group-ID", "TS 32.299 spelling"),
    (10415, 872): ("3GPP-Reporting-Reason", "TS 32.299 name, also freeDiameter's"),
    (10415, 2019): ("Number-of-Messages-Sent", "TS 32.299 spelling"),
    (10415, 2031): ("MMTel-Service-Type", "TS 32.299 does say SService"),
    (10415, 2101): ("Application-Server-ID", "freeDiameter's spelling"),
    (10415, 2103): ("Application-Session-ID", "freeDiameter's spelling"),
    (10415, 2603): ("IP-Realm-Default-Indicator", "TS 32.299 says Indication"),
    (10415, 2604): ("Local-GW-Inserted-Indicator", "TS 32.299 says Indication"),
    (10415, 2605): ("Transcoder-Inserted-Indicator", "TS 32.299 says Indication"),
}

TYPES = {
    (0, 8): ("IPAddress", "RFC 7155: OctetString of 4, not Diameter's Address"),
    (0, 268): ("Enumerated", "RFC 6733 7.1: Unsigned32"),
    (0, 270): ("Enumerated", "RFC 6733 8.17: Unsigned32, a mask"),
    (0, 291): ("Integer32", "RFC 6733 8.9: Unsigned32"),
    (0, 298): ("Enumerated", "RFC 6733 7.7: Unsigned32"),
    (0, 299): ("Enumerated", "RFC 6733 6.10: Unsigned32"),
    (10415, 4): ("IPAddress", RADIUS4),
    (10415, 6): ("IPAddress", RADIUS4),
    (10415, 7): ("IPAddress", RADIUS4),
    (10415, 10): ("UTF8String", "gateways send one raw octet (Open5GS)"),
    (10415, 11): ("UTF8String", "one raw octet (0xff) is legal in TS 29.061, and no UTF-8"),
    (10415, 861): ("Enumerated", OPEN),
    (10415, 1263): ("UTF8String", "TS 32.299: OctetString"),
    (10415, 2031): ("Enumerated", "TS 32.299: Unsigned32"),
    (10415, 2032): ("Enumerated", "TS 32.299: Unsigned32"),
    (10415, 2037): ("Enumerated", OPEN),
    (10415, 2039): ("Enumerated", OPEN),
    (10415, 2101): ("Unsigned32", "freeDiameter: UTF8String; the wider one is accepted"),
    (10415, 2102): ("Enumerated", "freeDiameter: UTF8String; the wider one is accepted"),
    (10415, 2103): ("Unsigned32", "freeDiameter: UTF8String; the wider one is accepted"),
    (10415, 2708): ("IPAddress", "TS 32.299: the SIP From header, UTF8String"),
    (10415, 2823): ("Enumerated", "TS 29.212: Unsigned32"),
    (10415, 2855): ("Enumerated", "TS 29.212: Unsigned32"),
}

M_FLAGS = {(10415, c): ("must", VSA_M) for c in [*range(1, 28), 29]}
M_FLAGS |= {(8164, c): ("must", "StarOS sends these without M") for c in (513, 514, 525, 527)}
M_FLAGS |= {(10415, c): ("must", "TS 29.214: V only; M would be our choice") for c in (530, 531, 532)}
M_FLAGS |= {(10415, c): ("must", "TS 29.229 lets the sender choose") for c in (628, 629, 630)}

VENDOR_BIT = {(10415, 823): ("mustnot", "a slip in Wireshark's file: every 3GPP AVP has V")}

# Values that only we list, and values that only Wireshark lists.
ENUMS = {
    (0, 295): (set(), set(range(9, 33)), "RADIUS causes of RFC 7155: no gateway sends them on Gy"),
    (0, 483): (set(), {0}, "0 is reserved"),
    (10415, 3): ({4}, set(), "Non-IP of newer releases"),
    (10415, 520): ({-1}, {4294967295}, "the same 32 bits"),
    (10415, 870): (set(), {*range(6, 10), *range(25, 30), *range(37, 40), *range(41, 50), *range(53, 60),
                   *range(63, 70)}, "called Undefined there"),
    (10415, 872): ({9}, set(), "UNUSED_QUOTA_TIMER of newer releases"),
    (10415, 899): ({7}, set(), "IMSI of newer releases"),
    (10415, 2047): ({6}, set(), "TWAN of newer releases"),
}

LACKING = {(0, c) for c in range(659, 670)} | {(10415, c) for c in (28, 2322, 2701, 3926)}
