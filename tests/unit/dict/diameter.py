"""Diameter messages by AVP name, from dict/avps.csv, and a capture file to put them in.

For tests that need bytes which no Gyro code made. It encodes what it is told, also nonsense."""

import csv
import ipaddress
import struct

CODES = {"CER": 257, "RAR": 258, "CCR": 272, "ASR": 274, "DWR": 280}
R, P, E, T = 0x80, 0x40, 0x20, 0x10
UNSIGNED = {"Unsigned32": ">I", "Unsigned64": ">Q", "Integer32": ">i", "Integer64": ">q",
            "Enumerated": ">i", "Time": ">I"}
NTP = 2208988800  # seconds from 1900 to 1970


class Table:
    """avp("Rating-Group", 10) -> bytes. A Grouped AVP takes a list of (name, value)."""

    def __init__(self, path):
        with open(path, newline="", encoding="utf-8") as f:
            self.rows = {r["name"]: r for r in csv.DictReader(f)}

    def data(self, kind, value):
        if kind == "Grouped":
            return b"".join(self.avp(n, v) for n, v in value)
        if isinstance(value, bytes):
            return value
        if kind == "Address":
            ip = ipaddress.ip_address(value)
            return struct.pack(">H", 1 if ip.version == 4 else 2) + ip.packed
        if kind in UNSIGNED:
            return struct.pack(UNSIGNED[kind], value)
        return value.encode()

    def avp(self, name, value):
        row = self.rows[name]
        data, vendor = self.data(row["type"], value), int(row["vendor"])
        flags = (0x80 if vendor else 0) | (0x40 if row["m"] == "must" else 0)
        head = struct.pack(">IB", int(row["code"]), flags)
        length = len(data) + (12 if vendor else 8)
        return (head + length.to_bytes(3, "big") + (struct.pack(">I", vendor) if vendor else b"")
                + data + bytes(-len(data) % 4))

    def message(self, command, flags, identifier, avps, application=4):
        body = b"".join(self.avp(n, v) for n, v in avps)
        return (b"\x01" + (20 + len(body)).to_bytes(3, "big") + bytes([flags])
                + CODES[command].to_bytes(3, "big")
                + struct.pack(">III", application, identifier, 0x10000 + identifier) + body)


class Capture:
    """A pcap file of one TCP connection: the client's messages go to port 3868."""

    def __init__(self):
        self.packets, self.sequence, self.clock = [], {True: 1, False: 1}, 0.0

    def add(self, message, from_client, after=0.01):
        self.clock += after
        ports = (40000, 3868) if from_client else (3868, 40000)
        hosts = (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")
        hosts = hosts if from_client else hosts[::-1]
        tcp = struct.pack(">HHIIBBHHH", *ports, self.sequence[from_client],
                          self.sequence[not from_client], 0x50, 0x18, 65535, 0, 0)
        self.sequence[from_client] += len(message)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + len(message), 0, 0x4000, 64, 6, 0, *hosts)
        packet = ip + tcp + message
        s, us = divmod(round(self.clock * 1e6), 1000000)
        self.packets.append(struct.pack("<IIII", 1700000000 + s, us, len(packet), len(packet)) + packet)

    def write(self, path):
        head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        path.write_bytes(head + b"".join(self.packets))
