#!/usr/bin/python3
"""What stops freeDiameter 1.2.1, and must not stop a node (spec reliability F1 to F11, extensions/README.md F12 to F14): each one by itself, then a fuzzer.

faults.py [--seed N] [--messages N] [--long]. A death is a process that is gone, or one that serves no more: a good client
charges before, during and after each fault. --messages: of the fuzzer, 20,000 if not said, a million with --long.
"""
import collections
import itertools
import random
import resource
import socket
import struct
import threading
import time

from family import (CODES, E, INITIAL, P, R, T, TABLE, UPDATE, Closed, Site, Tap, Witness, arguments, sanitized, service,
                    until)
from diameter import header
from mutation import Mutator

AVP = TABLE.avp
VSAI = 'Vendor-Specific-Application-Id'


class Watch:
    """One node, one good client that never stops, and after each fault the question whether both are still there."""

    def __init__(self, tap, site, imsi):
        self.tap, self.site, self.node, self.pid = tap, site, site.node, site.node.pid
        self.witness, self.imsi = Witness(site.node, imsi), imsi
        self.hosts = itertools.count()

    def peer(self, **how):
        """A connection under a name of its own, so that no fault waits for the tidying up after another."""
        return self.node.client(f'bad{next(self.hosts)}', **how)

    def reopened(self):
        """A peer that came back after a reset: the node watches it closely, its DWR is the request to be answered."""
        first = self.peer()
        first.reset()
        second = self.node.client(first.host, timeout=5)
        second.answer_watchdogs = False
        while True:
            message = second.receive()
            if message.is_request and message.code == CODES['DWR']:
                return second, message

    def after(self, name):
        """The same process, the good client was answered meanwhile, and a new one is."""
        seen = self.witness.count()
        served = until(lambda: self.witness.count() > seen + 1 or self.witness.failure, 15)
        problem = self.witness.failure if served else 'the good client waits'
        if not problem and self.node.pid == self.pid:
            try:
                with self.node.client(f'good{next(self.hosts)}') as fresh:
                    result = fresh.charge(fresh.session(), INITIAL, 0, [service(10, rsu=1024)], who=self.imsi).result
                    problem = None if result == 2001 else f'a new client is answered {result}'
                    fresh.disconnect()
            except OSError as e:
                problem = f'a new client: {e}'
        if self.node.pid != self.pid:
            problem = f'gyrod has ended, status {self.node.process.poll()}'
        return self.tap.ok(not problem, name, f'{problem}\n{self.node.tail()}')


def quietly(action, *arguments):
    """Connections may end under a fault: that is no death."""
    try:
        return action(*arguments)
    except (Closed, OSError):
        return None


def answer_bytes(request, avps, code=None, flags=0, application=None):
    return header(request.code if code is None else code, flags, request.application if application is None else application,
                  request.hop_by_hop, request.end_to_end, TABLE.avps(avps))


def bad_answers(w):
    """F1, F13: answers to the node's own DWR."""
    origin = [('Origin-Host', 'bad.spec.test'), ('Origin-Realm', 'spec.test')]
    good, unknown = ('Result-Code', 2001), AVP((3999, 0, 0x40), b'abcd')
    variants = [
        ('F1 an unknown M AVP before Result-Code', dict(avps=[unknown, good, *origin])),
        ('F1 Result-Code of three octets', dict(avps=[AVP((268, 0, 0x40), b'abc'), *origin])),
        ('F1 Result-Code of no octets', dict(avps=[AVP((268, 0, 0x40), b''), *origin])),
        ('F1 two Result-Codes, the first a bad one', dict(avps=[AVP((268, 0, 0x40), b'ab'), good, *origin])),
        ('F1 an answer of an unknown command', dict(avps=[good, *origin], code=999)),
        ('F1 no AVPs at all', dict(avps=[])),
        ('F1 the E bit, and an unknown M AVP', dict(avps=[unknown, ('Result-Code', 3004), *origin], flags=E)),
        ('F1 a bad group before Result-Code', dict(avps=[AVP((284, 0, 0x40), b'\x00\x00\x01\x18\x40\x00\x00\x03'), good, *origin])),
        ('F1 Session-Id with a NUL octet', dict(avps=[AVP((263, 0, 0x40), b'a\0b'), good, *origin])),
        ('F13 another, unknown command, an error code', dict(avps=[('Result-Code', 3001), *origin], code=999, flags=E)),
        ('F13 another command, an error code', dict(avps=[('Result-Code', 5012), *origin], code=272, application=4)),
        ('F13 another command, the E bit, no AVPs', dict(avps=[], code=271, flags=E)),
        ('F13 a CEA where a DWA is due', dict(avps=[('Result-Code', 3010), *origin], code=257, flags=E)),
    ]
    for name, how in variants:
        peer, dwr = w.reopened()
        quietly(peer.send, answer_bytes(dwr, **how))
        quietly(peer.receive, 0.2)
        peer.close()
        w.after(name)
    peer, dwr = w.reopened()
    for _ in range(5):
        quietly(peer.send, answer_bytes(dwr, [good, *origin]))
    quietly(peer.send, header(272, P, 4, 0x7777, 0x7777, TABLE.avps([good, *origin])))
    quietly(peer.receive, 0.2)
    peer.reset()
    w.after('F1 the same answer five times, and one that nobody asked for')


def refused(peer, kind):
    """A request that stock freeDiameter answers by itself."""
    avps = peer.ccr_avps(peer.session(), INITIAL, 0, [service(10)])
    if kind == 'application':
        return peer.message('CCR', P, avps, application=99)
    if kind == 'command':
        return peer.message(999, P, avps)
    if kind == 'flags':
        return peer.message('CCR', P | E, avps)
    if kind == 'no realm':
        return peer.message('CCR', P, [a for a in avps if a[0] != 'Destination-Realm'])
    return peer.message('CCR', P, [('Destination-Realm', 'other.test') if a[0] == 'Destination-Realm' else a for a in avps])


def resets(w, rounds):
    """F2, F6: requests, and a reset before their answers."""
    for kind in ('application', 'command', 'flags', 'no realm', 'realm'):
        for _ in range(rounds):
            peer = w.peer()
            quietly(peer.send, b''.join(refused(peer, kind) for _ in range(20)))
            peer.reset()
        w.after(f'F2 {rounds} times twenty requests with a wrong {kind}, then a reset')
    for _ in range(rounds):
        peer = w.peer()
        session = peer.session()
        quietly(peer.send, b''.join(peer.ccr(session, INITIAL if n == 0 else UPDATE, n, [service(10, rsu=1024)], who=w.imsi)
                                    for n in range(30)))
        peer.reset()
    w.after(f'F6 {rounds} times thirty good requests, then a reset while the answers are on their way')
    name = f'bad{next(w.hosts)}'
    for _ in range(rounds):
        peer = w.node.client(name)
        quietly(peer.send, b''.join(peer.ccr(peer.session(), INITIAL, 0, [service(30)], who=w.imsi) for _ in range(5)))
        peer.reset()
    w.after(f'F6 {rounds} times the same peer, back at once')


def nul_in_session(w):
    peer = w.peer()
    for session in ('\0', 'a;1;2\0', 'a\0;1', '\0' * 200):
        answer = peer.ask(peer.ccr(session, INITIAL, 0, [service(10)]))
        w.tap.equal((answer.result, answer['Failed-AVP/Session-Id']), (5004, session), f'F3 Session-Id {session[:8]!r}: refused, and told')
    answer = peer.ask(peer.message('CCR', P, peer.ccr_avps('', INITIAL, 0, [service(10)])))
    w.tap.equal(answer.result, 5004, 'F3 an empty Session-Id: refused')
    for command in ('DWR', 'DPR'):
        other = w.peer()
        quietly(other.send, other.message(command, 0, [AVP('Session-Id', 'a\0b'), *other.origin(), ('Disconnect-Cause', 0)], 0))
        quietly(other.receive, 0.3)
        other.close()
    peer.close()
    w.after('F3 a NUL octet in Session-Id')


def idle_connections(w):
    quiet = [w.node.client(cer=False) for _ in range(20)]
    begin = time.monotonic()
    with w.peer() as peer:
        took = time.monotonic() - begin
        w.tap.ok(peer.cea.result == 2001 and took < 1, 'F4 a CER beside twenty idle connections is answered at once', f'{took:.3f} s')
        peer.disconnect()
    for q in quiet:
        q.close()
    w.after('F4 idle connections')


def sessions_expire(w):
    """F5: the session thread looks at the first one that expires, also when that has long been freed."""
    peer = w.peer()
    for n in range(300):
        peer.charge(f'{peer.host};f5;{n}', INITIAL, 0, [service(30)], who=w.imsi)
    for n in range(20):
        again, dwr = w.reopened()
        quietly(again.send, answer_bytes(dwr, [('Session-Id', f'f5;{n}'), ('Result-Code', 2001), *again.origin()]))
        again.close()
    time.sleep(1)
    peer.close()
    w.after('F5 sessions come and go, also in answers, and light traffic follows')


def nameless_peer(w):
    for what in ('Origin-Realm', 'Origin-Host'):
        peer = w.peer(cer=False)
        cer = peer.message('CER', 0, [(n, '' if n == what else v) for n, v in peer.origin()] + [
            ('Host-IP-Address', '127.0.0.1'), ('Vendor-Id', 0), ('Product-Name', 'x'), ('Auth-Application-Id', 4)], 0)
        cea = quietly(peer.ask, cer, 5)
        w.tap.ok(cea is None or cea.result != 2001, f'F9 a CER with an empty {what} is not accepted', cea)
        peer.close()
    w.after('F9 empty names')


def errors_about_errors(w):
    """F11: what stock can't even build an error answer for."""
    broken = [('a Proxy-Info with an AVP too long in it', AVP((284, 0, 0x40), struct.pack('>II', 280, 0x400000ff) + b'abcd')),
              ('a Proxy-Info with an AVP too short in it', AVP((284, 0, 0x40), struct.pack('>II', 280, 0x40000002))),
              ('an empty Proxy-Info', AVP((284, 0, 0x40), b'')),
              ('three octets as Proxy-Info', AVP((284, 0, 0x40), b'abc'))]
    for name, proxy in broken:
        for application, command in ((99, 'CCR'), (4, 999), (4, 'CCR')):
            peer = w.peer()
            answer = quietly(peer.ask, peer.message(command, P, [*peer.ccr_avps(peer.session(), INITIAL, 0, [service(10)]),
                                                                 proxy], application), 5)
            w.tap.ok(answer is not None and answer.result != 2001 or (application, command) == (4, 'CCR') and answer is not None,
                     f'F11 {name}, application {application}, command {command}: answered', answer)
            peer.reset()
    w.after('F11 malformed Proxy-Info')


def strange_applications(w):
    """F12: one CER of a stranger is enough for stock."""
    inside = [('an unknown AVP', AVP((3999, 0, 0), b'abcd')), ('an unknown AVP with M', AVP((3999, 0, 0x40), b'abcd')),
              ('a group', AVP(VSAI, [('Vendor-Id', 10415)])), ('a Failed-AVP', AVP('Failed-AVP', [('Vendor-Id', 1)])),
              ('Vendor-Id of three octets', AVP((266, 0, 0x40), b'abc')), ('an application id of eight octets', AVP((258, 0, 0x40), bytes(8))),
              ('an AVP of 3GPP', AVP('Reporting-Reason', 1)), ('nothing', b''), ('an AVP that doesn\'t fit', struct.pack('>II', 266, 0x40000100))]
    for name, avp in inside:
        for host in ('stranger.elsewhere.test', None):
            peer = w.node.client(host or f'bad{next(w.hosts)}', cer=False)
            rest = [('Vendor-Id', 10415), ('Auth-Application-Id', 4)] if name != 'nothing' else []
            quietly(peer.ask, peer.cer([(VSAI, [avp, *rest])]), 0.5)
            peer.close()
        w.after(f'F12 a CER with {name} in {VSAI}')


def no_descriptors(w):
    """F14: more connections than the process may have descriptors; stock ends when accept fails."""
    limit = w.node.descriptors() + 12
    before = resource.prlimit(w.node.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(w.node.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    crowd = [quietly(socket.create_connection, ('127.0.0.1', w.node.port), 2) for _ in range(100)]
    seen = w.witness.count()
    served = until(lambda: w.witness.count() > seen + 10, 5)
    w.tap.ok(served and w.node.pid == w.pid, 'F14 a hundred connections, descriptors for ten: the good client is served', w.node.tail())
    for c in crowd:
        if c:
            c.close()
    resource.prlimit(w.node.pid, resource.RLIMIT_NOFILE, before)
    w.after('F14 no descriptor left')


def good_messages(peer, imsis):
    """What the mutator starts from: one of each kind that a node receives, rich in AVPs."""
    session = peer.session()
    information = ('Service-Information', [('PS-Information', [
        ('3GPP-Charging-Id', bytes(4)), ('3GPP-RAT-Type', b'\x06'), ('3GPP-SGSN-MCC-MNC', '46000'), ('Called-Station-Id', 'internet'),
        ('3GPP-User-Location-Info', bytes(13)), ('PDP-Address', '10.0.0.1')])])
    proxies = [('Proxy-Info', [('Proxy-Host', 'dra.spec.test'), ('Proxy-State', bytes(20))]), ('Route-Record', 'dra.spec.test')]
    used = [('CC-Total-Octets', 1 << 20), ('CC-Input-Octets', 1 << 19), ('Tariff-Change-Usage', 0)]
    for imsi in imsis:
        yield peer.ccr(session, INITIAL, 0, [service(10), service(11, identifiers=[1, 2])], who=imsi, more=[information, *proxies])
        yield peer.ccr(session, UPDATE, 1, [service(10, used=used, reason=3), service(30)], who=imsi, more=[information])
        yield peer.ccr(session, 3, 2, [service(10, rsu=None, used=used, reason=2)], who=imsi, more=[('Termination-Cause', 1)])
        yield peer.ccr(peer.session(), 4, 0, [], who=imsi, more=[('Requested-Action', 0), ('Requested-Service-Unit', [
            ('CC-Money', [('Unit-Value', [('Value-Digits', 250), ('Exponent', -2)]), ('Currency-Code', 156)])])])
    yield peer.dwr([('Origin-State-Id', 5)])
    yield peer.cer([('Auth-Application-Id', 4), (VSAI, [('Vendor-Id', 10415), ('Auth-Application-Id', 4)])],
                   [('Supported-Vendor-Id', 10415), ('Origin-State-Id', 1), ('Inband-Security-Id', 0)])
    origin = peer.origin()
    yield header(280, 0, 0, 1, 1, TABLE.avps([('Result-Code', 2001), *origin]))
    yield header(258, P, 4, 1, 1, TABLE.avps([('Session-Id', session), ('Result-Code', 2002), *origin]))
    yield header(272, P | E, 4, 1, 1, TABLE.avps([('Session-Id', session), ('Result-Code', 3004), *origin, (
        'Failed-AVP', [('Rating-Group', 1)])]))
    yield peer.message('RAR', P, [('Session-Id', session), *origin, ('Destination-Realm', 'spec.test'), ('Auth-Application-Id', 4),
                                  ('Re-Auth-Request-Type', 0)])


class Fuzzer(threading.Thread):
    """Connects, sends mutated messages, reads a little, leaves in one way or another; and again."""

    def __init__(self, w, number, seed, messages, imsis):
        super().__init__(daemon=True)
        self.w, self.number, self.messages, self.imsis = w, number, messages, imsis
        self.random = random.Random(f'{seed}/{number}')
        self.sent, self.answered, self.connections, self.problem = 0, 0, 0, None
        self.last = collections.deque(maxlen=12)

    def run(self):
        try:
            while self.sent < self.messages and self.w.node.pid == self.w.pid:
                self.connection()
        except Exception as e: # a fault of this program must not pass for a survived node
            self.problem = f'{type(e).__name__}: {e}'

    def connection(self):
        self.connections += 1
        strange = self.random.random() < 0.15
        peer = quietly(lambda: self.w.node.client(f'fuzz{self.number}-{self.random.randrange(20)}', cer=not strange, timeout=3))
        if peer is None:
            return
        mutator = Mutator(self.random, list(good_messages(peer, self.imsis)))
        for _ in range(self.random.randrange(1, 30)):
            batch = [mutator.message() for _ in range(self.random.randrange(1, 6))]
            self.last.extend(batch)
            self.sent += len(batch)
            if quietly(lambda: peer.send(b''.join(batch)) or True) is None:
                break
            if not self.read(peer):
                break
        self.leave(peer)

    def read(self, peer):
        """Whatever is there. False if the connection has ended."""
        try:
            while True:
                self.answered += not peer.receive(self.random.choice((0, 0, 0, 0.002, 0.02))).is_request
        except Closed as e:
            return type(e) is not Closed

    def leave(self, peer):
        how = self.random.randrange(4)
        if how == 0:
            quietly(peer.send, peer.dpr())
            quietly(peer.receive, 0.05)
        if how < 2:
            peer.close()
        else:
            peer.reset()


def fuzz(w, seed, messages, people):
    """F7: many mutated messages over several connections at once."""
    threads = [Fuzzer(w, n, seed, messages // 4, people[n * 3:n * 3 + 3]) for n in range(4)]
    begin, before, samples = time.monotonic(), w.node.said().__len__(), []
    for thread in threads:
        thread.start()
    while any(t.is_alive() for t in threads):
        if w.node.pid == w.pid:
            samples.append((sum(t.sent for t in threads), w.node.status('VmRSS')))
        time.sleep(0.25)
    seconds, sent = time.monotonic() - begin, sum(t.sent for t in threads)
    answered, connections = sum(t.answered for t in threads), sum(t.connections for t in threads)
    print(f'# {sent} messages over {connections} connections in {seconds:.1f} s, {answered} answers, '
          f'resident {samples[0][1]} to {samples[-1][1]} KiB')
    print(f'# the good client: {w.witness.count()} answers, the slowest after {w.witness.slowest():.2f} s, '
          f'{w.witness.refused} refusals or silences')
    w.tap.equal([t.problem for t in threads], [None] * 4, 'the fuzzer itself ran to its end')
    w.after(f'F7 {messages} mutated messages')
    if w.node.pid != w.pid:
        for thread in threads:
            print('\n'.join(f'# last of {thread.number}: {m.hex()[:3000]}' for m in thread.last))
    w.tap.ok(answered > sent / 20 and connections > 20, 'F7 they got past the first check: many were answered', f'{answered}')
    # The first half is for pools and caches to fill; the caches of profiles alone take 64 MB in the end.
    early = max((rss for n, rss in samples if n <= sent / 2), default=samples[0][1])
    grown = samples[-1][1] - early
    bound = 400_000 if sanitized() else 24_000
    w.tap.ok(grown < bound, f'F7 memory stays: less than {bound // 1000} MB more in the second half', f'{early} KiB, then {grown} KiB more')
    log = len(w.node.said()) - before
    w.tap.ok(log < 65536 + seconds * 40_000, 'F8 the log stays small', f'{log} bytes in {seconds:.0f} s')


def main():
    args = arguments(__doc__, ('--messages', {'type': int, 'default': 0}))
    messages = args.messages or (1_000_000 if args.long else 20_000)
    print(f'# seed {args.seed}', flush=True)
    tap = Tap()
    with Site() as site:
        people = site.people(20)
        w = Watch(tap, site, people[19])
        threads, descriptors = site.node.status('Threads'), site.node.descriptors()
        bad_answers(w)
        resets(w, 60 if args.long else 20)
        for part in (nul_in_session, idle_connections, sessions_expire, nameless_peer, errors_about_errors, strange_applications,
                     no_descriptors):
            part(w)
        fuzz(w, args.seed, messages, people)
        w.witness.check(tap, 'the good client was charged all the time', slowest=20)
        tap.ok(until(lambda: site.node.descriptors() <= descriptors + 5, 20), 'no descriptor is left over',
               f'{descriptors} before, {site.node.descriptors()} after')
        print(f'# threads {threads} before, {site.node.status("Threads")} after')
        tap.equal(site.node.pid, w.pid, 'the same process all the time')
        site.check(tap)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
