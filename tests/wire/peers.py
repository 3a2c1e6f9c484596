#!/usr/bin/python3
"""Peers and connections (TC-01 to TC-04, rules G-01 to G-04, F4, F10): who gets in, and who can't disturb whom.

peers.py [--long]. --long: 4,000 bad strangers instead of 1,000 (of 100 beside a sanitizer).
"""
import collections
import itertools
import resource
import socket
import threading
import time

from family import (INITIAL, P, R, UPDATE, Hold, Site, Tap, Witness, arguments, hop, results, sanitized, service, until)

GY, RELAY = ('Auth-Application-Id', 4), ('Auth-Application-Id', 0xffffffff)
VSAI = ('Vendor-Specific-Application-Id', [('Vendor-Id', 10415), ('Auth-Application-Id', 4)])
P99_S = 0.5  # of a good peer beside bad ones: some milliseconds, on a machine that has time for it
S6A = ('Vendor-Specific-Application-Id', [('Vendor-Id', 10415), ('Auth-Application-Id', 16777251)])


def capabilities(node, host, applications):
    """The CEA to a CER that says these applications, and whether the connection ended after it."""
    with node.client(host, cer=False) as gateway:
        cea = gateway.ask(gateway.cer(applications))
        closed = cea.result != 2001 and gateway.wait_closed(5)
        if cea.result == 2001:
            gateway.disconnect()
    return cea, closed


def capabilities_exchange(tap, node):
    cea, _ = capabilities(node, 'cer1', [GY])
    tap.equal((cea.result, cea['Auth-Application-Id'], 10415 in [a.value for a in cea.all('Supported-Vendor-Id')]),
              (2001, 4, True), 'TC-01 CER with application 4')
    tap.equal((cea['Origin-Host'], cea['Origin-Realm'], cea['Origin-State-Id'], cea.flags & R),
              (node.identity, node.realm, 1, 0), 'the CEA says who the node is')
    tap.equal((cea['Vendor-Specific-Application-Id/Auth-Application-Id'], cea['Vendor-Specific-Application-Id/Vendor-Id']),
              (4, 10415), 'the CEA offers application 4 of 3GPP, too')
    cea, _ = capabilities(node, 'cer2', [VSAI])
    tap.equal((cea.result, cea['Auth-Application-Id']), (2001, 4), 'TC-03 CER with application 4 of 3GPP')
    cea, _ = capabilities(node, 'cer3', [RELAY])
    tap.equal(cea.result, 2001, 'G-01 a relay')
    cea, _ = capabilities(node, 'cer4', [S6A, GY])
    tap.equal(cea.result, 2001, 'G-01 one common application among others is enough')
    cea, closed = capabilities(node, 'cer5', [S6A])
    tap.equal((cea.result, closed), (5010, True), 'G-02 no common application: CEA 5010, then closed')
    cea, closed = capabilities(node, 'cer6', [])
    tap.equal((cea.result, closed), (5010, True), 'G-02 no application at all: CEA 5010, then closed')
    cea, _ = capabilities(node, 'CER7.Spec.TEST', [GY])
    tap.equal(cea.result, 2001, 'a peer in other letters of either case')


def strangers(tap, node):
    with node.client('pgw1.elsewhere.test', realm='elsewhere.test', cer=False) as stranger:
        cea = stranger.ask(stranger.cer())
        tap.equal((cea.result, bool(cea.flags & 0x20), stranger.wait_closed(5)), (3010, True, True),
                  'G-02 an unknown peer: CEA 3010 with the E bit, then closed')
    with node.client(cer=False) as gateway:
        gateway.send(gateway.ccr(gateway.session(), INITIAL, 0, [service(10)]))
        tap.ok(gateway.wait_closed(10) and not gateway.buffer, 'a request before the CER: closed, unanswered')
    with node.client(cer=False) as gateway:
        gateway.send(gateway.dwr())
        tap.ok(gateway.wait_closed(10), 'a DWR before the CER: closed')
    with node.client('pgw1') as first:
        with node.client('pgw1', cer=False) as second:
            cea = second.ask(second.cer())
            tap.equal((cea.result, second.wait_closed(5)), (5012, True), 'G-02 a second connection: CEA 5012, then closed')
        answer = first.charge(first.session(), INITIAL, 0, [service(10)])
        tap.equal(answer.result, 2001, 'the first connection is served on')
        first.send(first.cer())
        cea = first.receive()
        tap.equal(cea.result, 5012, 'a second CER on a connection: 5012')


def spoofing(tap, site, node):
    """F10: a peer speaks for itself; an agent for others."""
    with node.client('pgw1') as gateway:
        before = site.money(1)
        for name in ('pgw2.spec.test', 'pgw1.spec.test.', 'gyro1.spec.test', 'pgw1.spec.tes', 'pgw1'):
            avps = gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)])
            avps[1] = ('Origin-Host', name)
            answer = gateway.ask(gateway.message('CCR', P, avps))
            failed = answer['Failed-AVP/Origin-Host']
            tap.equal((answer.result, failed), (5004, name), f'F10 Origin-Host {name} on a connection of pgw1: refused')
        tap.equal(site.money(1), before, 'F10 and nothing was reserved')
        avps = gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)])
        avps[1] = ('Origin-Host', 'PGW1.spec.TEST')
        tap.equal(gateway.ask(gateway.message('CCR', P, avps)).result, 2001, 'F10 its own name in other letters: served')
    with node.client('dra1') as agent:
        avps = agent.ccr_avps(agent.session(), INITIAL, 0, [service(10)], more=[('Route-Record', 'pgw9.spec.test')])
        avps[1] = ('Origin-Host', 'pgw9.spec.test')
        tap.equal(agent.ask(agent.message('CCR', P, avps)).result, 2001, 'F10 an agent brings requests of another host')
    tap.equal(site.pg.query("SELECT origin_host FROM gyro.gateway WHERE origin_host LIKE 'pgw_.%' ORDER BY 1"),
              [['pgw1.spec.test'], ['pgw9.spec.test']], 'F10 known are the hosts that were let in, under their own names')


def watchdog_under_load(tap, site, node):
    """TC-04: 500 requests of one account wait for its row, which an operator holds; a DWR doesn't."""
    with node.client('pgw1') as gateway, Hold(site, 1):
        session, requests = gateway.session(), 500
        batch = [gateway.ccr(session, INITIAL if n == 0 else UPDATE, n, [service(10)]) for n in range(requests)]
        gateway.send(b''.join(batch))
        begin = time.monotonic()
        dwa = gateway.ask(gateway.dwr())
        took = time.monotonic() - begin
        tap.ok(dwa.result == 2001 and dwa['Origin-State-Id'] == 1 and took <= 1,
               'TC-04 DWR while 500 requests are in flight: DWA 2001 within a second', f'{dwa} after {took:.3f} s')
        waiting = {hop(raw) for raw in batch}
        got = results(gateway, waiting, 8)
        tap.equal((len(got), set(got.values()) <= {2001, 5012, 5002}), (requests, True),
                  'TC-04 each of the 500 gets an answer, a success or an honest refusal')


def goodbye_under_load(tap, site, node, imsi, account):
    """G-04: a DPR behind 200 requests."""
    with node.client('pgw1') as gateway:
        session, requests = gateway.session(), 200
        batch = [gateway.ccr(session, INITIAL if n == 0 else UPDATE, n, [service(10, used=1 << 20 if n else None)], who=imsi)
                 for n in range(requests)]
        dpr = gateway.dpr()
        gateway.send(b''.join(batch) + dpr)
        ids = {hop(raw) for raw in [*batch, dpr]}
        got = results(gateway, ids, 8)
        tap.equal(got.pop(hop(dpr), None), 2001, 'G-04 DPR in the middle of traffic: DPA 2001')
        good = sum(code == 2001 for code in got.values())
        charged = until(lambda: site.records(session)[0] == requests, 5) and site.records(session)
        tap.equal(charged, (requests, (requests - 1) * 100000), 'G-04 what was received before it is charged')
        tap.ok(good == len(got) and good >= requests * 0.9, 'G-04 and answered while the connection lasts',
               f'{good} of {requests} answered with 2001, {len(got)} answers')
    tap.equal(site.money(account)[0], 1_000_000_000 - charged[1], 'G-04 each once')


def comes_back(tap, node, imsi):
    """A peer that vanishes without goodbye is served at once when it is back."""
    for how in ('reset', 'close'):
        gateway = node.client('pgw1')
        gateway.charge(gateway.session(), INITIAL, 0, [service(10)], who=imsi)
        getattr(gateway, how)()
        begin = time.monotonic()
        back = node.client('pgw1')
        tap.equal(back.cea.result, 2001, f'after a {how} the same peer gets in again')
        answer = back.charge(back.session(), INITIAL, 0, [service(10)], who=imsi)
        took = time.monotonic() - begin
        tap.ok(answer.result == 2001 and took < 2, f'and is answered within two seconds after a {how}', f'{took:.3f} s')
        back.disconnect()


class Restless(threading.Thread):
    """Keeps bad connections bad until stop(). Some are reset and come back at once, in turn: of three of them one has said
    nothing by then, one the beginning of a CER, and one a whole CER, in the name of a peer that is served. Slow ones say a CER
    octet by octet. The idle ones, and the slow ones, come back when the node has closed them."""
    PAUSE_S, SLOW = 0.002, 20

    def __init__(self, node, count, idle):
        super().__init__(daemon=True)
        self.node, self.idle, self.ended = node, idle, threading.Event()
        self.connections = collections.deque(self.connect(n) for n in range(count))
        self.cer = self.connections[0].cer()
        self.slow = [(stranger(node, 0), 0) for _ in range(self.SLOW)]
        self.resets = self.octets = self.returns = 0
        self.start()

    def connect(self, n):
        client = self.node.client(f'restless{n % 10}', cer=False)
        cer = client.cer()
        client.send((b'', cer[:len(cer) // 2], cer)[n % 3])
        return client

    def spell(self, n):
        s, at = self.slow[n]
        try:
            s.sendall(self.cer[at:at + 1])
            self.octets += 1
        except OSError:
            s, at = stranger(self.node, 0), -1
        self.slow[n] = s, at + 1

    def run(self):
        for turn in itertools.count():
            if self.ended.wait(self.PAUSE_S):
                return
            self.connections.popleft().reset()
            self.connections.append(self.connect(turn))
            self.resets += 1
            self.spell(turn % len(self.slow))
            n = turn % len(self.idle)
            if closed(self.idle[n]):
                self.idle[n].close()
                self.idle[n] = stranger(self.node, n)
                self.returns += 1

    def stop(self):
        """False if it came to grief."""
        well = self.is_alive()
        self.ended.set()
        self.join(20)
        for client in self.connections:
            client.reset()
        for s, _ in self.slow:
            s.close()
        return well


def stranger(node, n):
    """One that says nothing, the beginning of a CER, or something else."""
    s = socket.create_connection(('127.0.0.1', node.port), timeout=10)
    s.sendall((b'', b'\x01\x00\x00\x80\x80\x00\x01\x01', b'GET / HTTP/1.1\r\n\r\n')[n % 3])
    return s


def good_peers(node, witness):
    """How long the slowest of 40 CERs took, the last CEA, and, sorted, how long each answer to the witness took meanwhile."""
    begun, slowest = witness.count(), 0.0
    for n in range(40):
        begin = time.monotonic()
        with node.client(f'late{n % 10}') as gateway:
            slowest, cea = max(slowest, time.monotonic() - begin), gateway.cea
            if cea.result == 2001:
                gateway.disconnect()
        if cea.result != 2001:
            break
        time.sleep(0.1)
    until(lambda: witness.count() - begun >= 200, 10)
    return slowest, cea, sorted(witness.seconds[begun:]) or [float('inf')]


def bad_strangers(tap, node, imsi, count):
    """F4, P11: connections that say nothing, begin a message and stop, go on octet by octet, or are reset again and again.
    The peers that are served don't notice them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count + 200), hard), hard))
    witness = Witness(node, imsi)
    idle = [stranger(node, n) for n in range(count - count // 4 - Restless.SLOW)]
    restless = Restless(node, count // 4, idle)
    until(lambda: restless.resets > count // 2, 30)
    slowest, cea, answers = good_peers(node, witness)
    p99, well = answers[len(answers) * 99 // 100], restless.stop()
    print(f'# beside {count} bad connections, {restless.resets} times reset, {restless.returns} times idle and back: CER to CEA at most '
          f'{slowest * 1000:.1f} ms; {len(answers)} answers to a good peer, p50 {answers[len(answers) // 2] * 1000:.1f} '
          f'p99 {p99 * 1000:.1f} max {answers[-1] * 1000:.1f} ms', flush=True)
    tap.ok(well and restless.resets > count // 2 and restless.octets > 100,
           'P11 strangers reset their connections and come back, others go on octet by octet', vars(restless))
    tap.ok(cea.result == 2001 and slowest <= 1, f'F4 beside {count} of them a good CER takes less than a second',
           f'{cea} after {slowest:.3f} s')
    tap.ok(len(answers) >= 100 and p99 <= P99_S * (5 if sanitized() else 1),
           f'P11 and 99 of 100 answers to a connected peer less than {P99_S} s', f'{len(answers)} answers, p99 {p99:.3f} s')
    witness.check(tap, 'F4 and a peer that is connected doesn\'t notice them')
    gone = until(lambda: all(closed(s) for s in idle[:30]), 15, 0.2)
    tap.ok(gone, 'F4 strangers that say nothing are shown the door')
    for s in idle:
        s.close()


def closed(s):
    s.setblocking(False)
    try:
        return s.recv(4096) == b''
    except BlockingIOError:
        return False
    except OSError:
        return True


def deaf_peer(tap, site, node, imsis):
    """P11: a peer that sends and never reads; its answers fill the socket, the others don't wait for it."""
    witness = Witness(node, imsis[0])
    deaf = node.client('deaf', receive_buffer=4096, timeout=2)
    session = deaf.session()
    long_id = [('Proxy-Info', [('Proxy-Host', 'dra1.spec.test'), ('Proxy-State', bytes(8000))])]
    sent, end = 0, time.monotonic() + 6
    try:
        while time.monotonic() < end and sent < 4000:
            deaf.send(deaf.ccr(session, INITIAL if sent == 0 else UPDATE, sent, [service(10)], who=imsis[1], more=long_id))
            sent += 1
    except OSError:
        pass  # full: the node slows it down
    tap.ok(sent > 100, 'P11 a peer sends requests and reads no answer', f'{sent} sent')
    witness.check(tap, 'P11 another peer is served meanwhile', slowest=1.5)
    deaf.reset()
    tap.ok(bool(node.pid), 'P11 the node runs')


def main():
    args, tap = arguments(__doc__), Tap()
    with Site(agents=['dra1.spec.test']) as site:
        node, imsis = site.node, site.people(20)
        pid = node.pid
        capabilities_exchange(tap, node)
        strangers(tap, node)
        spoofing(tap, site, node)
        watchdog_under_load(tap, site, node)
        goodbye_under_load(tap, site, node, imsis[0], 1000)
        comes_back(tap, node, imsis[1])
        bad_strangers(tap, node, imsis[2], 4000 if args.long else 100 if sanitized() else 1000)
        deaf_peer(tap, site, node, imsis[3:5])
        tap.equal(node.pid, pid, 'the same process all the time')
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
