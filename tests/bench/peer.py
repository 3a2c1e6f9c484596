"""A Diameter server that misbehaves to order, for loadgen-test.py: small, slow, and strict about what it is sent.

It reads and writes AVPs by hand, on purpose: nothing of what it checks is shared with the program under test.
"""
import collections
import selectors
import socket
import struct
import threading
import time

GROUPS = (443, 456, 437, 446, 431, 458)  # those that are looked into
CER, CCR, DWR, DPR = 257, 272, 280, 282


def avp(code, data, flags=0x40):
    if isinstance(data, int):
        data = struct.pack('>I', data)
    if isinstance(data, str):
        data = data.encode()
    return struct.pack('>IBBH', code, flags, 0, 8 + len(data)) + data + bytes(-len(data) % 4)


def parse(data):
    """[(code, value)], groups parsed too; vendor AVPs by their code alone."""
    found = []
    while data:
        code, flags = struct.unpack('>IB', data[:5])
        length = int.from_bytes(data[5:8], 'big')
        value = data[12 if flags & 0x80 else 8:length]
        found.append((code, parse(value) if code in GROUPS else value))
        data = data[(length + 3) & ~3:]
    return found


def first(avps, *path):
    for code in path:
        avps = next((value for c, value in avps if c == code), None)
        if avps is None:
            return None
    return avps


def number(avps, *path):
    value = first(avps, *path)
    return None if value is None else int.from_bytes(value, 'big')


class Request:
    def __init__(self, raw):
        self.raw = raw
        self.flags, self.hop, self.end = raw[4], raw[12:16], raw[16:20]
        self.avps = parse(raw[20:])
        self.session = first(self.avps, 263)
        self.type, self.number = number(self.avps, 416), number(self.avps, 415)
        self.marked = bool(self.flags & 0x10)


class Answer:
    """A right one; a test bends it before it is sent."""

    def __init__(self, request):
        self.flags, self.hop, self.end = request.flags & 0x40, request.hop, request.end
        self.session, self.type, self.number = request.session, request.type, request.number
        self.result = self.service_result = 2001
        self.group = number(request.avps, 456, 432)
        self.granted = 1000000 + self.number * 1000 if request.type != 3 else None
        self.tail = b''

    def encode(self):
        service = b''
        if self.granted is not None:
            service = avp(431, avp(421, struct.pack('>Q', self.granted)))
        service += avp(432, self.group) + avp(448, 3600) + avp(268, self.service_result)
        body = avp(263, self.session) + avp(268, self.result) + avp(264, 'node.gyro.test') + avp(296, 'gyro.test')
        body += avp(258, 4) + avp(416, self.type) + avp(415, self.number)
        if self.result == 2001:
            body += avp(456, service)
        return header(self.flags, CCR, 4, self.hop, self.end, body + self.tail)


def header(flags, command, application, hop, end, body):
    return (b'\1' + (20 + len(body)).to_bytes(3, 'big') + bytes([flags]) + command.to_bytes(3, 'big')
            + application.to_bytes(4, 'big') + hop + end + body)


class Peer:
    """bend(answer, request, n): changes the n-th answer, and returns None (silence), or messages to send.

    The default sends the answer. In the thread: reset(n) as truth drops the connection instead of answering.
    """

    def __init__(self, bend=None, cea=2001, reset=lambda n: False, dwr=False, stall=None):
        self.bend = bend or (lambda answer, request, n: [answer])
        self.cea, self.reset, self.dwr, self.stall = cea, reset, dwr, stall
        self.requests = []   # in order of arrival
        self.faults = []     # what the program under test did wrong
        self.hosts = set()
        self.dwas = self.dprs = 0
        self.next_number = collections.Counter()
        self.granted = {}
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.stopping = False
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join(10)
        self.listener.close()

    def serve(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while not self.stopping:
                for key, _ in selector.select(0.05):
                    if key.fileobj is self.listener:
                        connection, _ = self.listener.accept()
                        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        selector.register(connection, selectors.EVENT_READ, bytearray())
                    elif not self.receive(key.fileobj, key.data):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
            for key in list(selector.get_map().values()):
                if key.fileobj is not self.listener:
                    key.fileobj.close()

    def receive(self, connection, buffer):
        try:
            data = connection.recv(65536)
        except ConnectionError:
            return False
        buffer += data
        while len(buffer) >= 20 and len(buffer) >= (size := int.from_bytes(buffer[1:4], 'big')):
            raw = bytes(buffer[:size])
            del buffer[:size]
            if not self.handle(connection, raw):
                return False
        return bool(data)

    def handle(self, connection, raw):
        command, request = int.from_bytes(raw[5:8], 'big'), raw[4] & 0x80
        if command == CCR:
            return self.charge(connection, Request(raw))
        if command == CER:
            self.hosts.add(first(parse(raw[20:]), 264))
            body = avp(268, self.cea) + avp(264, 'node.gyro.test') + avp(296, 'gyro.test')
            connection.sendall(header(0, CER, 0, raw[12:16], raw[16:20], body))
            if self.dwr:
                connection.sendall(header(0x80, DWR, 0, b'\0\0\0\7', b'\0\0\0\7', avp(264, 'node.gyro.test') + avp(296, 'gyro.test')))
        elif command == DWR and not request:
            self.dwas += raw[12:20] == b'\0\0\0\7' * 2 and number(parse(raw[20:]), 268) == 2001
        elif command == DPR and request:
            self.dprs += 1
            connection.sendall(header(0, DPR, 0, raw[12:16], raw[16:20], avp(268, 2001)))
            return False
        return True

    def charge(self, connection, request):
        n = len(self.requests)
        self.requests.append(request)
        if self.stall and n == self.stall[0]:
            time.sleep(self.stall[1])
        self.look_at(request)
        if self.reset(n):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            return False
        answer = Answer(request)
        self.granted[request.session] = answer.granted
        for message in self.bend(answer, request, n) or []:
            connection.sendall(message if isinstance(message, bytes) else message.encode())
        return True

    def look_at(self, request):
        """A session's numbers rise by one, and it reports no more than it was granted."""
        earlier = [r for r in self.requests[:-1] if r.end == request.end]
        if earlier:
            same = request.raw[16:] == earlier[0].raw[16:] and request.hop != earlier[0].hop
            if not same:
                self.faults.append('a copy is not a copy')
            return
        if request.number != self.next_number[request.session]:
            self.faults.append(f'{request.session}: number {request.number}')
        if (request.type == 1) != (request.number == 0):
            self.faults.append(f'{request.session}: type {request.type} number {request.number}')
        self.next_number[request.session] += 1
        used = number(request.avps, 456, 446, 421)
        if request.type != 1 and not used <= self.granted[request.session]:
            self.faults.append(f'{request.session}: used {used} of {self.granted[request.session]}')
        if request.type != 1 and used != number(request.avps, 456, 446, 412) + number(request.avps, 456, 446, 414):
            self.faults.append(f'{request.session}: input and output are not the total')
