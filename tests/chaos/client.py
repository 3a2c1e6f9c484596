#!/usr/bin/python3
"""A gateway that is never satisfied: it resends what isn't answered, sends copies on purpose, and writes down all of it.

Sessions are Python generators: they yield the requests to send at once, and get them back settled. Client runs any
number of them over one connection to each node, in one thread. Before a byte of a request leaves, the line about it
is on disk (fdatasync); the format is that of gyro-sim's request log (tests/client/README.md), so that tests/audit
can join either with the database.

What it does about failures is what a gateway does: no answer in time, a connection lost, 3004 or 5012 - the same
request again with the T bit, to the same or another node, until it is answered or give_up_s have passed.

As a program: client.py JSON, with the keys of Settings; SIGTERM lets the open sessions finish. Prints JSON totals.
"""
import dataclasses
import heapq
import json
import os
import random
import selectors
import signal
import socket
import sys
import time

import wire

REALM = 'gyro.test'
INITIAL, UPDATE, TERMINATION = 1, 2, 3
# The answer says nothing about the request: it may come again.
TRANSIENT = (3004, 5012)
RECONNECT_S = 0.05


@dataclasses.dataclass
class Settings:
    nodes: dict                   # name: port, or (address, port)
    log: str
    seed: int = 1
    host: str = 'pgw1.gyro.test'
    subscribers: int = 100        # IMSIs from first_imsi on
    first_imsi: int = 460009000000000
    sessions: int = 32            # open at once
    seconds: float = 10           # then no new ones
    requests: int = 0             # or after so many; 0: by time alone
    timeout_s: float = 1.5        # without answer: again
    give_up_s: float = 60
    copies_percent: int = 0       # of requests that are sent 1 to 3 times more at once
    parallel_percent: int = 0     # of updates that go together with the next ones, to any node, in any order
    together: int = 3             # so many at most
    overtake_percent: int = 0     # of sessions whose CCR-T goes together with their last updates
    vanish_percent: int = 0       # of sessions that are never ended
    updates: tuple = (1, 6)
    pause_ms: int = 0             # at most, between two steps of a session
    rating_groups: tuple = ((10, wire.OCTETS), (11, wire.OCTETS), (80, wire.SECONDS))


@dataclasses.dataclass
class Service:
    rating_group: int
    unit: int
    used: int | None = None
    asks: bool = True


class Request:
    """One request, however often it is sent."""

    def __init__(self, session_id, imsi, kind, number, services, node=None):
        self.session_id, self.imsi, self.kind, self.number, self.services = session_id, imsi, kind, number, services
        self.node = node          # for the first transmission; None: any
        self.id = self.end_to_end = 0
        self.attempts = 0
        self.first_at = 0.0
        self.resend_at = 0.0
        self.body = b''
        self.code = 0             # of the first answer that says something; 0: none
        self.answer = []          # its services
        self.latency = 0.0
        self.outcome = None       # 'ok', 'failed', 'unknown'
        self.waits = None         # the step of a session that it belongs to

    def granted(self):
        """Units granted by (rating_group)."""
        return {s['rating_group']: sum(s['granted'].values()) for s in self.answer if s['granted']}


class Log:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.lines = []

    def put(self, event, **fields):
        now = time.time_ns()
        stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now // 10**9)) + f'.{now // 1000 % 10**6:06d}Z'
        self.lines.append(json.dumps({'event': event, 'time': stamp, **fields}, separators=(',', ':')))

    def sync(self):
        if not self.lines:
            return
        data = ('\n'.join(self.lines) + '\n').encode()
        self.lines.clear()
        while data:
            data = data[os.write(self.fd, data):]
        os.fdatasync(self.fd)


class Peer:
    """The connection to one node; connects again by itself."""

    def __init__(self, client, name, port):
        self.client, self.name = client, name
        self.address = ('127.0.0.1', port) if isinstance(port, int) else tuple(port)
        self.socket = None
        self.open = False
        self.again_at = 0.0
        self.received = self.to_send = b''
        self.pending = {}         # hop-by-hop: (request, attempt, sent at)

    def connect(self, now):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(self.address)
        self.again_at = now + 5   # for the CEA to come
        self.received = b''
        self.to_send = wire.message(wire.CER, wire.REQUEST, 0, 1, self.client.identifier(),
                                    wire.capabilities(self.client.set.host, REALM))
        self.client.selector.register(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def drop(self, why):
        if self.socket is not None:
            self.client.selector.unregister(self.socket)
            self.socket.close()
        self.socket, self.open = None, False
        self.again_at = time.monotonic() + RECONNECT_S
        pending, self.pending = self.pending, {}
        for request, attempt, _ in pending.values():
            self.client.lost(request, attempt, why)

    def flush(self):
        try:
            while self.to_send:
                self.to_send = self.to_send[self.socket.send(self.to_send):]
        except BlockingIOError:
            pass
        except OSError as e:
            self.drop(f'send: {e.strerror}')
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.to_send else 0)
        self.client.selector.modify(self.socket, events, self)

    def readable(self):
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as e:
            self.drop(f'receive: {e.strerror}')
            return
        if not data:
            self.drop('closed by the node')
            return
        self.received += data
        at = 0
        while self.socket is not None and len(self.received) - at >= 20:
            length = int.from_bytes(self.received[at + 1:at + 4], 'big')
            if len(self.received) - at < length:
                break
            self.take(self.received[at:at + length])
            at += length
        self.received = self.received[at:]

    def take(self, data):
        command = int.from_bytes(data[5:8], 'big')
        hop_by_hop, end_to_end = int.from_bytes(data[12:16], 'big'), int.from_bytes(data[16:20], 'big')
        if data[4] & wire.REQUEST:
            if command in (wire.DWR, wire.DPR):
                self.to_send += wire.message(command, 0, 0, hop_by_hop, end_to_end,
                                             wire.watchdog_answer(self.client.set.host, REALM))
        elif command == wire.CER:
            if wire.read_answer(data)[0] != 2001:
                self.drop('refused by the node')
            else:
                self.open = True
        elif command == wire.CCR and hop_by_hop in self.pending:
            request, attempt, sent_at = self.pending.pop(hop_by_hop)
            self.client.answered(self, request, attempt, sent_at, *wire.read_answer(data))


class Client:
    def __init__(self, settings):
        self.set = settings
        self.random = random.Random(settings.seed)
        self.selector = selectors.DefaultSelector()
        self.log = Log(settings.log)
        self.log.put('start', command='chaos', version=1, seed=settings.seed)
        self.peers = [Peer(self, name, port) for name, port in settings.nodes.items()]
        self.next_identifier = self.random.getrandbits(31)
        self.next_request = self.next_session = 0
        self.timers = []          # (when, number, what)
        self.next_timer = 0
        self.waiting = set()      # requests without outcome
        self.running = 0          # sessions
        self.boot = f'{int(time.time())};{os.getpid()}'
        self.count = {'sessions': 0, 'requests': 0, 'transmissions': 0, 'copies': 0, 'resent': 0, 'answers': 0,
                      'ok': 0, 'failed': 0, 'unknown': 0, 'transient': 0, 'lost': 0}
        self.latencies = []       # of every answer, seconds, with its code
        self.stopping = False

    def identifier(self):
        self.next_identifier = self.next_identifier + 1 & 0xffffffff
        return self.next_identifier

    def session_id(self):
        self.next_session += 1
        return f'{self.set.host};{self.boot};{self.next_session}'

    def imsi(self, n):
        return str(self.set.first_imsi + n)

    # --- sessions

    def start(self, session):
        """Runs a generator that yields lists of requests (or a pause in seconds)."""
        self.running += 1
        self.count['sessions'] += 1
        self.step(session, None)

    def step(self, session, back):
        try:
            asked = session.send(back)
        except StopIteration:
            self.running -= 1
            return
        if isinstance(asked, (int, float)):
            self.at(time.monotonic() + asked, lambda: self.step(session, None))
            return
        step = {'session': session, 'left': len(asked), 'requests': asked}
        for request in asked:
            self.submit(request, step)

    def at(self, when, what):
        self.next_timer += 1
        heapq.heappush(self.timers, (when, self.next_timer, what))

    # --- requests

    def submit(self, request, step):
        self.next_request += 1
        request.id, request.end_to_end, request.waits = self.next_request, self.identifier(), step
        request.first_at = time.monotonic()
        request.body = wire.credit_control(
            self.set.host, REALM, request.session_id, request.kind, request.number, request.imsi,
            [(s.rating_group, s.unit, s.used, s.asks) for s in request.services])
        self.count['requests'] += 1
        self.waiting.add(request)
        self.send(request, False, False, request.node)
        if self.random.randrange(100) < self.set.copies_percent:
            for _ in range(self.random.randint(1, 3)):
                self.send(request, True, self.random.random() < 0.5)

    def fields(self, request):
        return {'request': request.id, 'session_id': request.session_id, 'type': request.kind,
                'number': request.number, 'end_to_end': request.end_to_end}

    def send(self, request, copy, retransmitted, node=None):
        """Hands one transmission over to a node that is there; without one, it is left to the next resend."""
        now = time.monotonic()
        there = [p for p in self.peers if p.open and (node is None or p.name == node)] or \
                [p for p in self.peers if p.open]
        if not copy:
            request.resend_at = now + (self.set.timeout_s if there else 0.05)
            self.at(request.resend_at, lambda: self.due(request))
        if not there:
            return
        peer = self.random.choice(there)
        request.attempts += 1
        hop_by_hop = self.identifier()
        peer.pending[hop_by_hop] = (request, request.attempts, now)
        flags = wire.REQUEST | wire.PROXIABLE | (wire.RETRANSMITTED if retransmitted else 0)
        peer.to_send += wire.message(wire.CCR, flags, wire.CREDIT_CONTROL, hop_by_hop, request.end_to_end, request.body)
        self.count['transmissions'] += 1
        self.count['copies'] += copy
        self.count['resent'] += retransmitted and not copy
        self.log.put('sent', **self.fields(request), attempt=request.attempts, copy=copy, retransmitted=retransmitted,
                     hop_by_hop=hop_by_hop, node=peer.name, origin_host=self.set.host,
                     identities={'imsi': request.imsi},
                     services=[{'rating_group': s.rating_group, 'service_ids': [],
                                'requested': {} if s.asks else None,
                                'used': [] if s.used is None else [{wire.UNIT_NAME[s.unit]: s.used}]}
                               for s in request.services])

    def due(self, request):
        """Its time has come, unless it was sent again since, or is settled."""
        now = time.monotonic()
        if request.outcome is not None or now < request.resend_at:
            return
        if now - request.first_at > self.set.give_up_s:
            self.settle(request, 'unknown')
        else:
            self.send(request, False, request.attempts > 0)

    def again(self, request, seconds):
        request.resend_at = time.monotonic() + seconds
        self.at(request.resend_at, lambda: self.due(request))

    def lost(self, request, attempt, why):
        self.count['lost'] += 1
        self.log.put('lost', **self.fields(request), attempt=attempt, why=why)
        if request.outcome is None:
            self.again(request, self.random.uniform(0.01, 0.1))

    def answered(self, peer, request, attempt, sent_at, code, said, services):
        latency = time.monotonic() - sent_at
        self.count['answers'] += 1
        self.latencies.append((latency, code))
        more = {'error_message': said} if said else {}
        self.log.put('answer', **self.fields(request), attempt=attempt, latency_us=int(latency * 1e6), code=code, **more,
                     services=services, node=peer.name)
        if code in TRANSIENT:
            self.count['transient'] += 1
            if request.outcome is None:
                self.again(request, self.random.uniform(0.02, 0.2))
        elif request.outcome is None:
            request.code, request.answer, request.latency = code, services, latency
            self.settle(request, 'ok' if code == 2001 else 'failed')

    def settle(self, request, outcome):
        request.outcome = outcome
        self.count[outcome] += 1
        self.waiting.discard(request)
        self.log.put('outcome', **self.fields(request), attempts=request.attempts, outcome=outcome,
                     **({'code': request.code} if request.code else {}))
        step, request.waits = request.waits, None
        step['left'] -= 1
        if step['left'] == 0:
            self.step(step['session'], step['requests'])

    # --- the loop

    def turn(self, most=0.05):
        """Connects, reads, lets timers fire, makes the log durable, and only then sends."""
        now = time.monotonic()
        for peer in self.peers:
            if now >= peer.again_at and not peer.open:
                if peer.socket is not None:
                    peer.drop('no CEA')
                else:
                    peer.connect(now)
        wait = min(most, self.timers[0][0] - now) if self.timers else most
        for key, events in self.selector.select(max(0, wait)):
            if events & selectors.EVENT_READ and key.data.socket is not None:
                key.data.readable()
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()
        self.log.sync()
        for peer in self.peers:
            if peer.socket is not None and peer.to_send:
                peer.flush()

    def run(self, more, seconds):
        """more() starts a session or returns False; until there is none and all are done, or time is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while self.running < self.set.sessions and more():
                pass
            if self.running == 0 and not more():
                break
            self.turn()
        # Answers to copies still come; what doesn't in this time never will.
        quiet = time.monotonic() + self.set.timeout_s
        while time.monotonic() < quiet and any(p.pending for p in self.peers):
            self.turn()
        self.close()

    def close(self):
        for request in list(self.waiting):
            request.waits = {'session': (_ for _ in ()), 'left': 0, 'requests': []}
            self.settle(request, 'unknown')
        for peer in self.peers:
            if peer.socket is not None:
                peer.drop('end of the run')
        self.log.put('end', **self.count)
        self.log.sync()


def split(total, parts, rng):
    """total as so many numbers >= 0."""
    cuts = sorted(rng.randint(0, total) for _ in range(parts - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, total])]


def churn(client, rng):
    """A session as a gateway has it: some updates, some of them at once, and its end. Uses at most what was granted."""
    s = client.set
    session, imsi = client.session_id(), client.imsi(rng.randrange(s.subscribers))
    groups = rng.sample(s.rating_groups, rng.randint(1, len(s.rating_groups)))
    held = {}

    def services(parts, final=False):
        """For each of the requests that go together, its services; usage is divided among them."""
        out = [[] for _ in range(parts)]
        for group, unit in groups:
            use = split(rng.randint(0, held.pop(group, 0)), parts, rng)
            for one, used in zip(out, use):
                one.append(Service(group, unit, used, not final))
        return out

    def note(requests):
        """Only one of parallel grants is left, nobody here knows which: the smallest is safe to use."""
        for request in requests:
            if request.outcome != 'ok':
                return False
            got = request.granted()
            for group, _ in groups:
                held[group] = min(held.get(group, 1 << 62), got.get(group, 0))
        return True

    opening = Request(session, imsi, INITIAL, 0, [Service(g, u) for g, u in groups])
    yield [opening]
    if not note([opening]):
        return
    number = 1
    for _ in range(rng.randint(*s.updates)):
        if s.pause_ms:
            yield rng.uniform(0, s.pause_ms / 1000)
        together = rng.randint(2, s.together) if rng.randrange(100) < s.parallel_percent else 1
        requests = [Request(session, imsi, UPDATE, number + i, part) for i, part in enumerate(services(together))]
        number += together
        rng.shuffle(requests)
        yield requests
        if not note(requests):
            break
    if rng.randrange(100) < s.vanish_percent:
        return
    if rng.randrange(100) < s.overtake_percent:
        parts = services(2)
        for service in parts[1]:
            service.asks = False
        requests = [Request(session, imsi, UPDATE, number, parts[0]),
                    Request(session, imsi, TERMINATION, number + 1, parts[1])]
        rng.shuffle(requests)
        yield requests
    else:
        yield [Request(session, imsi, TERMINATION, number, services(1, True)[0])]


def main():
    settings = Settings(**json.loads(sys.argv[1]))
    client = Client(settings)
    begun = time.monotonic()

    def stop(*_):
        client.stopping = True

    def more():
        if client.stopping or time.monotonic() - begun > settings.seconds or \
           (settings.requests and client.count['requests'] >= settings.requests):
            return False
        client.start(churn(client, random.Random(client.random.getrandbits(64))))
        return True

    signal.signal(signal.SIGTERM, stop)
    client.run(more, settings.seconds + settings.give_up_s)
    latencies = sorted(client.latencies)
    at = {f'p{p}_ms': round(1000 * latencies[min(len(latencies) - 1, len(latencies) * p // 100)][0], 2)
          for p in (50, 99)} if latencies else {}
    print(json.dumps({**client.count, **at, 'max_ms': round(1000 * latencies[-1][0], 1) if latencies else 0,
                      'seconds': round(time.monotonic() - begun, 1), 'open': client.running}))


if __name__ == '__main__':
    main()
