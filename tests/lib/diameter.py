"""Diameter by AVP name, from dict/avps.csv: encoder, decoder, a raw client, and capture files.

For tests that need bytes which no Gyro code made. It encodes and sends what it is told, also
nonsense; it checks nothing by itself. It keeps no threads: what the node sends meanwhile waits in
the socket. See README.md beside it.
"""
import collections
import csv
import ipaddress
import itertools
import pathlib
import select
import socket
import ssl
import struct
import time

CODES = {"CER": 257, "RAR": 258, "CCR": 272, "ASR": 274, "DWR": 280, "DPR": 282}
R, P, E, T = 0x80, 0x40, 0x20, 0x10
UNSIGNED = {"Unsigned32": ">I", "Unsigned64": ">Q", "Integer32": ">i", "Integer64": ">q",
            "Enumerated": ">i", "Time": ">I"}
NTP = 2208988800  # seconds from 1900 to 1970
BASE, CREDIT_CONTROL, RELAY = 0, 4, 0xffffffff
INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4
MIB = 1048576
CONTEXT, IMSI = "32251@3gpp.org", "460001000000001"
MSCC = "Multiple-Services-Credit-Control"
AVPS_CSV = pathlib.Path(__file__).resolve().parent.parent.parent / "dict/avps.csv"


class Table:
    """avp("Rating-Group", 10) -> bytes. A Grouped AVP takes a list of (name, value).

    Instead of a name: a tuple (code, vendor, flags), with bytes or a list as its value; instead of
    (name, value): bytes, which are taken as they are."""

    def __init__(self, path):
        with open(path, newline="", encoding="utf-8") as f:
            self.rows = {r["name"]: r for r in csv.DictReader(f)}
        self.names = {(int(r["code"]), int(r["vendor"])): name for name, r in self.rows.items()}

    def data(self, kind, value):
        if isinstance(value, (list, tuple)):
            return self.avps(value)
        if isinstance(value, bytes):
            return value
        if kind == "Address":
            ip = ipaddress.ip_address(value)
            return struct.pack(">H", 1 if ip.version == 4 else 2) + ip.packed
        if kind in UNSIGNED:
            return struct.pack(UNSIGNED[kind], value)
        return value.encode()

    def avps(self, items):
        return b"".join(item if isinstance(item, bytes) else self.avp(*item) for item in items)

    def avp(self, name, value):
        if isinstance(name, tuple):
            code, vendor, flags = name
            data = self.data("OctetString", value)
        else:
            row = self.rows[name]
            code, vendor = int(row["code"]), int(row["vendor"])
            flags = (0x80 if vendor else 0) | (0x40 if row["m"] == "must" else 0)
            data = self.data(row["type"], value)
        length = len(data) + (12 if flags & 0x80 else 8)
        return (struct.pack(">IB", code, flags) + length.to_bytes(3, "big")
                + (struct.pack(">I", vendor) if flags & 0x80 else b"") + data + bytes(-len(data) % 4))

    def message(self, command, flags, identifier, avps, application=4, end_to_end=None):
        """command: a name of CODES (for the request and its answer), or a number."""
        return header(CODES.get(command, command), flags, application, identifier,
                      0x10000 + identifier if end_to_end is None else end_to_end, self.avps(avps))


def header(code, flags, application, hop_by_hop, end_to_end, body, version=1):
    return (bytes([version]) + (20 + len(body)).to_bytes(3, "big") + bytes([flags]) + code.to_bytes(3, "big")
            + struct.pack(">III", application, hop_by_hop & 0xffffffff, end_to_end & 0xffffffff) + body)


TABLE = Table(AVPS_CSV)


# --- decoding

class Avp:
    """One AVP as it came: code, vendor, flags, data, and raw (all of its bytes, without the padding)."""

    def __init__(self, raw):
        self.raw, self.code, self.flags = raw, int.from_bytes(raw[:4], "big"), raw[4]
        head = 12 if self.flags & 0x80 else 8
        self.vendor = int.from_bytes(raw[8:12], "big") if self.flags & 0x80 else 0
        self.data = raw[head:]

    @property
    def name(self):
        return TABLE.names.get((self.code, self.vendor), f"{self.code}:{self.vendor}")

    @property
    def kind(self):
        row = TABLE.rows.get(self.name)
        return row["type"] if row else "OctetString"

    @property
    def avps(self):
        return split(self.data)

    @property
    def value(self):
        """A number, a text, bytes, or the list of AVPs within."""
        if self.kind == "Grouped":
            return self.avps
        if self.kind in UNSIGNED and len(self.data) == struct.calcsize(UNSIGNED[self.kind]):
            return struct.unpack(UNSIGNED[self.kind], self.data)[0]
        if self.kind in ("UTF8String", "DiameterIdentity", "DiameterURI"):
            return self.data.decode(errors="replace")
        return self.data

    def __getitem__(self, name):
        return pick(self.avps, name)

    def all(self, name):
        return [a for a in self.avps if a.name == name]

    def __repr__(self):
        return f"{self.name}={self.value!r}"


def pick(avps, name):
    """The first one's value; None if there is none. "A/B": B within A."""
    first, _, rest = name.partition("/")
    found = next((a for a in avps if a.name == first), None)
    if found is None:
        return None
    return pick(found.avps, rest) if rest else found.value


def split(data):
    """The AVPs in these bytes. ValueError if they don't add up."""
    found, at = [], 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError(f"{len(data) - at} bytes left over after the AVPs")
        length = int.from_bytes(data[at + 5:at + 8], "big")
        if length < (12 if data[at + 4] & 0x80 else 8) or at + length > len(data):
            raise ValueError(f"AVP {int.from_bytes(data[at:at + 4], 'big')} claims {length} bytes")
        if any(data[at + length:at + (length + 3 & ~3)]):
            raise ValueError(f"AVP {int.from_bytes(data[at:at + 4], 'big')} is padded with something else than zeros")
        found.append(Avp(data[at:at + length]))
        at += length + 3 & ~3
    if at != len(data):
        raise ValueError("the last AVP isn't padded")
    return found


class Message:
    """A received message. m["Result-Code"], m["Failed-AVP/Rating-Group"]: the first value, None if absent."""

    def __init__(self, raw):
        self.raw, self.version, self.flags = raw, raw[0], raw[4]
        self.code = int.from_bytes(raw[5:8], "big")
        self.application, self.hop_by_hop, self.end_to_end = struct.unpack(">III", raw[8:20])

    @property
    def avps(self):
        return split(self.raw[20:])

    @property
    def is_request(self):
        return bool(self.flags & R)

    @property
    def result(self):
        return self["Result-Code"]

    @property
    def services(self):
        return self.all(MSCC)

    def names(self):
        return [a.name for a in self.avps]

    def __getitem__(self, name):
        return pick(self.avps, name)

    def all(self, name):
        return [a for a in self.avps if a.name == name]

    def __repr__(self):
        flags = "".join(letter for bit, letter in ((R, "R"), (P, "P"), (E, "E"), (T, "T")) if self.flags & bit)
        return f"<{self.code} {flags} hop={self.hop_by_hop:#x} {self.avps}>"


# --- requests

def service(rating_group=10, rsu=True, used=None, reason=None, more=(), identifiers=()):
    """An MSCC. rsu: True (empty), octets, a list, or None; used: octets, a list of (name, value), or None."""
    units = []
    if rsu is not None and rsu is not False:
        units.append(("Requested-Service-Unit", [] if rsu is True else octets(rsu)))
    if used is not None:
        units.append(("Used-Service-Unit", octets(used)))
    units += [("Service-Identifier", i) for i in identifiers]
    if rating_group is not None:
        units.append(("Rating-Group", rating_group))
    if reason is not None:
        units.append(("Reporting-Reason", reason))
    return (MSCC, [*units, *more])


def octets(amount):
    return [("CC-Total-Octets", amount)] if isinstance(amount, int) else amount


def identity(value=IMSI, kind=1):
    return ("Subscription-Id", [("Subscription-Id-Type", kind), ("Subscription-Id-Data", value)])


class Closed(ConnectionError):
    """The node ended the connection."""


class Silent(Closed):
    """Nothing came in time."""


_sessions = itertools.count(1)


def readable(s, seconds):
    """Whether something comes in time, be it the end. With poll: select refuses descriptors beyond 1,023."""
    poll = select.poll()
    poll.register(s, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Client:
    """A gateway's connection. With cer=False only the transport. Answers DWR while it waits for something else.

    address: IPv4 or IPv6. tls: an ssl.SSLContext; the handshake comes first. protocol: socket.IPPROTO_SCTP instead of
    TCP; then each send must be one message."""

    def __init__(self, port, host="pgw1.spec.test", realm="spec.test", node="gyro1.spec.test", address="127.0.0.1",
                 cer=True, timeout=10, receive_buffer=None, tls=None, protocol=0):
        self.host, self.realm, self.node, self.timeout = host, realm, node, timeout
        self.numbers = itertools.count(int(time.time() * 1000) & 0xfffff)
        self.buffer, self.early, self.requests = b"", collections.deque(), []
        self.watchdogs = 0
        self.answer_watchdogs = True
        self.cea = None
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, protocol)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.local = address
        try:
            self.socket.connect((address, port))
            if not protocol:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname=node)
        except ssl.SSLError as e:
            self.close()
            raise Closed(str(e)) from e
        except BaseException:
            self.close()
            raise
        if cer:
            try:
                self.cea = self.ask(self.cer())
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # building

    def origin(self):
        return [("Origin-Host", self.host), ("Origin-Realm", self.realm)]

    def cer(self, applications=(("Auth-Application-Id", 4),), more=()):
        return self.message("CER", 0, [*self.origin(), ("Host-IP-Address", self.local), ("Vendor-Id", 10415),
                                       ("Product-Name", "test"), *applications, *more], BASE)

    def dwr(self, more=()):
        return self.message("DWR", 0, [*self.origin(), *more], BASE)

    def dpr(self, cause=0):
        return self.message("DPR", 0, [*self.origin(), ("Disconnect-Cause", cause)], BASE)

    def message(self, command, flags, avps, application=CREDIT_CONTROL, hop_by_hop=None, end_to_end=None):
        number = next(self.numbers) & 0xffffffff if hop_by_hop is None else hop_by_hop
        return TABLE.message(command, R | flags, number, avps, application, end_to_end)

    def session(self):
        return f"{self.host};{int(time.time())};{next(_sessions)};{id(self) & 0xffff}"

    def ccr_avps(self, session, kind, number, services=(), who=IMSI, context=CONTEXT, more=(), omit=()):
        """The AVPs as a list of (name, value), to be changed at will. who: an IMSI, a list of AVPs, or None."""
        avps = [("Session-Id", session), *self.origin(), ("Destination-Realm", self.node.partition(".")[2]),
                ("Auth-Application-Id", CREDIT_CONTROL), ("Service-Context-Id", context), ("CC-Request-Type", kind),
                ("CC-Request-Number", number)]
        if who is not None:
            avps += [identity(who)] if isinstance(who, str) else who
        if services:
            avps.append(("Multiple-Services-Indicator", 1))
        avps += [*services, *more]
        return [a for a in avps if isinstance(a, bytes) or a[0] not in omit]

    def ccr(self, session, kind, number, services=(), flags=P, application=CREDIT_CONTROL, end_to_end=None,
            hop_by_hop=None, **parts):
        return self.message("CCR", flags, self.ccr_avps(session, kind, number, services, **parts), application,
                            hop_by_hop, end_to_end)

    # talking

    def send(self, raw):
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(raw)
        except TimeoutError as e:
            raise Silent("the node doesn't read") from e
        except OSError as e:
            raise Closed(str(e)) from e

    def receive(self, timeout=None):
        """The next answer, or the next request of the node other than a DWR. Closed or Silent otherwise."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            message = self.early.popleft() if self.early else self._read(end)
            if message.is_request and message.code == CODES["DWR"] and self.answer_watchdogs:
                self.watchdogs += 1
                self.reply(message, 2001)
                continue
            if message.is_request:
                self.requests.append(message)
            return message

    def receive_answer(self, hop_by_hop, timeout=None):
        """The answer with this id; requests and other answers that come before it are kept for receive()."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        for kept in self.early:
            if not kept.is_request and kept.hop_by_hop == hop_by_hop:
                self.early.remove(kept)
                return kept
        waiting, self.early = self.early, collections.deque()
        try:
            while True:
                message = self.receive(end - time.monotonic())
                if not message.is_request and message.hop_by_hop == hop_by_hop:
                    return message
                waiting.append(message)
        finally:
            self.early = waiting

    def ask(self, raw, timeout=None):
        self.send(raw)
        return self.receive_answer(int.from_bytes(raw[12:16], "big"), timeout)

    def charge(self, session, kind, number, services=(), timeout=None, **parts):
        """Sends a CCR, returns its answer."""
        return self.ask(self.ccr(session, kind, number, services, **parts), timeout)

    def reply(self, request, result, more=()):
        """Answers a DWR, DPR, RAR or ASR."""
        session = [("Session-Id", request["Session-Id"])] if request["Session-Id"] is not None else []
        avps = [*session, ("Result-Code", result), *self.origin(), *more]
        self.send(header(request.code, request.flags & P, request.application, request.hop_by_hop,
                         request.end_to_end, TABLE.avps(avps)))

    def _read(self, end):
        while True:
            if len(self.buffer) >= 20:
                length = int.from_bytes(self.buffer[1:4], "big")
                if length < 20:
                    raise ValueError(f"a message of {length} bytes came")
                if len(self.buffer) >= length:
                    raw, self.buffer = self.buffer[:length], self.buffer[length:]
                    return Message(raw)
            # What TLS has decrypted already is no event of the socket any more.
            ready = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
            if not ready and not readable(self.socket, max(0, end - time.monotonic())):
                raise Silent("nothing came in time")
            try:
                more = self.socket.recv(1 << 16)
            except TimeoutError as e:
                raise Silent("nothing whole came in time") from e
            except (ConnectionError, ssl.SSLError) as e:
                raise Closed(str(e)) from e
            if not more:
                raise Closed("closed by the node")
            self.buffer += more

    # ending

    def wait_closed(self, timeout=10):
        """True if the node ends the connection in time; what else comes is thrown away."""
        end = time.monotonic() + timeout
        try:
            while True:
                self._read(end)
        except Silent:
            return False
        except (Closed, ValueError):
            return True

    def disconnect(self):
        """The proper goodbye; the DPA."""
        dpa = self.ask(self.dpr())
        self.close()
        return dpa

    def reset(self):
        """A TCP reset: what the node still sends meets nobody."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


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
