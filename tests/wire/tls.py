#!/usr/bin/python3
"""TLS over TCP: sessions are charged, only certified peers get in (P17), and nobody who stalls holds up another (F4, F15).

tls.py [--long]. --long: 1,000 strangers who stall, instead of 300.
"""
import pathlib
import resource
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import warnings

import transport
from certificates import Authority, Certificate
from family import (Closed, INITIAL, Node, Silent, Site, Tap, UPDATE, Witness, arguments, sanitized, service, until)

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
INBAND_TLS = ('Inband-Security-Id', 1)
NO_COMMON_SECURITY = 5017


class World:
    """Authorities and certificates of a test."""

    def __init__(self, folder):
        self.ours, self.other = Authority(folder / 'ours'), Authority(folder / 'other', 'Another authority')
        self.node = self.ours.issue('gyro1.spec.test')
        self.made = {}

    def tls(self, host='pgw1', **how):
        """The context of a gateway of that name."""
        name = host if '.' in host else f'{host}.spec.test'
        if name not in self.made:
            self.made[name] = self.ours.issue(name)
        return self.made[name].context(**how)

    def believing(self, certificate):
        """A certificate of somebody else, whose holder nevertheless trusts our node."""
        return Certificate(certificate.certificate, certificate.key, self.ours.certificate)


def outcome(node, host, tls, **how):
    """What comes of a CER over TLS: the Result-Code of the CEA and whether the connection is closed then; or 'closed'."""
    try:
        with node.client(host, patience=0, tls=tls, cer=False, timeout=5, **how) as gateway:
            cea = gateway.ask(gateway.cer())
            if cea.result != 2001:
                return cea.result, gateway.wait_closed(5)
            gateway.disconnect()
            return 2001, False
    except Silent:
        return 'silent'
    except Closed:
        return 'closed'


def charging(tap, site, world, people):
    node = site.node
    for at, (version, name) in enumerate(((TLS_1_3, 'TLS 1.3'), (TLS_1_2, 'TLS 1.2'))):
        gateway = node.client('pgw1', tls=world.tls('pgw1', version=version))
        tap.equal((gateway.cea.result, gateway.socket.version(), gateway.cea['Inband-Security-Id']),
                  (2001, name.replace(' ', 'v'), None), f'{name}: handshake with certificates on both sides, CER, CEA')
        transport.session(tap, site, node, gateway, people[at], 1000 + at, name)
        transport.reauthorisation(tap, site, gateway, people[at], name)
        tap.equal(gateway.ask(gateway.dwr()).result, 2001, f'{name}: DWR, DWA')
        tap.equal(gateway.disconnect().result, 2001, f'{name}: DPR, DPA')
    with node.client('pgw1', tls=world.tls('pgw1'), cer=False) as gateway:
        cea = gateway.ask(gateway.cer(more=[INBAND_TLS]))
        answer = gateway.charge(gateway.session(), INITIAL, 0, [service(10)], who=people[2])
        tap.equal((cea.result, answer.result), (2001, 2001), 'a CER that asks for TLS on a connection that has it: served')
        gateway.disconnect()


def told(node, reason, tls):
    """Whether the log gives it, by now or after one more try: many connections may have used up the lines of their second."""
    if reason not in node.said().lower():
        outcome(node, 'pgw1', tls)
    return reason in node.said().lower()


def revocation(tap, site, world):
    """P17 a second node, which has a list of revoked certificates."""
    good, lost = world.ours.issue('pgw1.spec.test'), world.ours.issue('pgw1.spec.test')
    own = world.ours.issue('gyro4.spec.test')
    own.revoked = world.ours.revoke(lost)
    node = site.add('gyro4', tls=own).start()
    tap.equal(outcome(node, 'pgw1', lost.context()), 'closed', 'P17 a certificate that has been revoked: refused')
    tap.equal(outcome(node, 'pgw1', good.context()), (2001, False), 'P17 the one that replaces it: served')
    tap.ok('revoked' in node.said(), 'the log says why: "revoked"', node.tail())
    tap.equal(node.stop(), 0, 'that node stops')


def busy(tap, site, world, people):
    gateways = [site.node.client(f'busy{n}', tls=world.tls(f'busy{n}', version=TLS_1_2 if n % 2 else TLS_1_3)) for n in range(4)]
    transport.in_flight(tap, site, gateways, people, 'TLS', 500)
    for gateway in gateways:
        gateway.disconnect()
    contexts = [world.tls(f'brief{n}', version=TLS_1_2 if n % 2 else TLS_1_3) for n in range(10)]
    transport.brief(tap, lambda n: site.node.client(f'brief{n % 10}', tls=contexts[n % 10], patience=20), people[0], 'TLS', 300)


def refusals(tap, site, world):
    """P17: each way to come without the right certificate."""
    node, issue = site.node, world.ours.issue
    before = site.pg.query('SELECT count(*), sum(requests) FROM (SELECT count(*) AS requests FROM gyro.record) r')
    own = world.tls('pgw1')
    for name, host, tls, want in (
            ('no certificate', 'pgw1', world.tls('pgw1', show=False), 'closed'),
            ('no certificate, TLS 1.2', 'pgw1', world.tls('pgw1', show=False, version=TLS_1_2), 'closed'),
            ('a certificate of an unknown authority', 'pgw1',
             world.believing(world.other.issue('pgw1.spec.test')).context(), 'closed'),
            ('an authority of the same name, but not the same', 'pgw1',
             world.believing(Authority(world.ours.folder / 'false').issue('pgw1.spec.test')).context(), 'closed'),
            ('a certificate that is signed by itself', 'pgw1', issue('pgw1.spec.test', alone=True).context(), 'closed'),
            ('a certificate that has expired', 'pgw1', issue('pgw1.spec.test', days=-1).context(), 'closed'),
            ('the certificate of another peer', 'pgw2', own, (3010, True)),
            ('a certificate with a wildcard', 'pgw1', issue('*.spec.test').context(), (3010, True)),
            ('the name in common name only, another in subjectAltName', 'pgw1',
             issue('pgw9.spec.test', common_name='pgw1.spec.test').context(), (3010, True)),
            ('the name is a prefix of the certificate\'s', 'pgw1', issue('pgw1.spec.test.example.org').context(), (3010, True)),
            ('the right certificate of a peer that is not in gyro.yaml', 'pgw1.elsewhere.test', world.tls('pgw1.elsewhere.test'),
             (3010, True)),
            ('the right certificate', 'pgw1', own, (2001, False)),
            ('the right name among others', 'pgw1', issue('a.spec.test', 'pgw1.spec.test').context(), (2001, False)),
            ('the right name in other letters', 'pgw1', issue('PGW1.Spec.TEST').context(), (2001, False))):
        got = outcome(node, host, tls)
        if got != want == (2001, False): # while the node still clears away this peer's last connection, it closes a new one
            got = until(lambda: outcome(node, host, tls) == want, 5) and want
        tap.equal(got, want, f'P17 {name}: {"refused" if want != (2001, False) else "served"}')
    old = world.tls('pgw1')
    old.set_ciphers('DEFAULT:@SECLEVEL=0')
    warnings.simplefilter('ignore', DeprecationWarning)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    tap.equal(outcome(node, 'pgw1', old), 'closed', 'TLS 1.1: refused')
    with node.client('pgw1', tls=own) as gateway:
        avps = gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)])
        avps[1] = ('Origin-Host', 'pgw2.spec.test')
        tap.equal(gateway.ask(gateway.message('CCR', 0x40, avps)).result, 5004, 'P17 a request in another peer\'s name: 5004')
        gateway.disconnect()
    tap.equal(site.pg.query('SELECT count(*), sum(requests) FROM (SELECT count(*) AS requests FROM gyro.record) r'), before,
              'P17 and nothing was charged')
    for text, tls in (('certificate', world.tls('pgw1', show=False)), ('expired', issue('pgw1.spec.test', days=-1).context()),
                      ('another name', issue('*.spec.test').context())):
        tap.ok(until(lambda: told(node, text, tls), 5, pause=1), f'the log says why: "{text}"', node.tail())
    errors = [line for line in node.said().splitlines() if ' error ' in line and 'Connection reset by peer' not in line]
    tap.equal(errors, [], 'and none of it is an error of the node')


def plain_text(tap, world, node):
    """Without TLS on the TLS port; with TLS on the other one; without TLS where TLS is."""
    with node.client('pgw1', cer=False) as gateway:
        cer = gateway.cer()
    for name, said in (('a CER', cer), ('HTTP', b'GET / HTTP/1.1\r\n\r\n'), ('noise', bytes(range(7, 207)))):
        with socket.create_connection(('127.0.0.1', node.tls_port), timeout=8) as s:
            s.sendall(said)
            tap.ok(ended(s), f'{name} without TLS on the TLS port: closed')
    tap.equal(outcome(node, 'pgw1', None), (NO_COMMON_SECURITY, True), 'P17 without TLS on the other port: CEA 5017, closed')
    with node.client('pgw1', cer=False) as gateway:
        cea = gateway.ask(gateway.cer(more=[INBAND_TLS]))
        tap.equal((cea.result, cea['Inband-Security-Id']), (NO_COMMON_SECURITY, None), 'TLS after the CER is not offered')
    tap.ok(until(lambda: outcome(node, 'pgw1', world.tls('pgw1')) == (2001, False), 5), 'the same peer with TLS: served')
    tap.equal(outcome(node, 'old1', None), (2001, False), 'a peer that may come without TLS: served')
    # While the node still clears away this peer's last connection, it closes a new one.
    tap.equal(until(lambda: wish_for_tls(node), 5), (2001, None), 'also if it would like TLS after the CER: it gets none')
    with socket.create_connection(('127.0.0.1', node.port), timeout=8) as s:
        s.sendall(hello(world))
        tap.ok(ended(s), 'TLS on the port without TLS: closed')


def wish_for_tls(node):
    """What the peer that may come without TLS hears if it asks for it in its CER; None if the connection is closed."""
    with node.client('old1', cer=False) as gateway:
        try:
            cea = gateway.ask(gateway.cer(more=[INBAND_TLS]))
            gateway.disconnect()
        except Closed:
            return None
        return cea.result, cea['Inband-Security-Id']


def ended(s):
    """True if the other side closes before the socket's timeout; what it says before, an alert, is thrown away."""
    try:
        while s.recv(4096):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


def hello(world):
    """The first octets of a handshake."""
    out = ssl.MemoryBIO()
    try:
        world.tls('pgw1').wrap_bio(ssl.MemoryBIO(), out, server_hostname='gyro1.spec.test').do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def renegotiation(tap, world, node):
    """In TLS 1.2 a client may ask for another handshake at any time: the connection ends, the node doesn't."""
    certificate = world.made['pgw1.spec.test']
    command = ['openssl', 's_client', '-connect', f'127.0.0.1:{node.tls_port}', '-tls1_2', '-quiet', '-no_ign_eof', '-cert',
               certificate.certificate, '-key', certificate.key, '-CAfile', certificate.authority]
    with node.client('pgw1', cer=False) as gateway:
        cer = gateway.cer()
    client = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    client.stdin.write(cer)
    client.stdin.flush()
    said = client.stdout.read(20)
    while len(said) >= 20 and said[0] != 1: # what openssl says of the certificates comes first
        said = said[1:] + client.stdout.read(1)
    tap.equal(said[0], 1, 'TLS 1.2 by another library: the CEA')
    client.stdin.write(b'R\n')
    client.stdin.flush()
    try:
        client.wait(10)
        over = True
    except subprocess.TimeoutExpired:
        client.kill()
        over = False
    tap.ok(over and node.pid, 'a second handshake on a connection ends it, and nothing else')
    client.stdout.close()
    client.stdin.close()


def stalled(world, node, count):
    """Connections that stop somewhere on their way in."""
    sockets, first = [], hello(world)
    certified = world.tls('stall')
    for n in range(count):
        s = socket.create_connection(('127.0.0.1', node.tls_port), timeout=10)
        how = n % 6
        if how == 1:
            s.sendall(first[:3])
        elif how == 2:
            s.sendall(first[:len(first) // 2])
        elif how in (3, 4): # the node has answered, and waits for the client's certificate
            s.sendall(first)
        elif how == 5 and n < 60: # a certified peer that never says who it is; half of them half a record
            s = certified.wrap_socket(s, server_hostname='gyro1.spec.test')
            if n % 12 == 5:
                s = s.detach()
                s = socket.socket(fileno=s)
                s.sendall(b'\x17\x03\x03\x01\x00' + bytes(50))
        sockets.append(s)
    return sockets


def stalls(tap, world, node, imsi, count):
    """F4, F15, P11."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count + 200), hard), hard))
    before, patience, memory = node.descriptors(), 3 if sanitized() else 1, node.status('VmRSS')
    contexts = {f'late{n}': world.tls(f'late{n}') for n in range(10)}
    witness = TlsWitness(node, imsi, world)
    quiet = stalled(world, node, count)
    memory, slowest, good = node.status('VmRSS') - memory, 0.0, True
    for host, tls in contexts.items():
        begin = time.monotonic()
        with node.client(host, tls=tls) as gateway:
            slowest = max(slowest, time.monotonic() - begin)
            good = good and gateway.cea.result == 2001
            gateway.disconnect()
    tap.ok(good and slowest <= patience,
           f'F15 beside {count} stalled handshakes a good peer\'s handshake and CER take less than {patience} s', f'{slowest:.3f} s')
    print(f'# {count} stalled handshakes: the slowest good handshake and CER {slowest:.3f} s, the node has grown by {memory} KiB')
    witness.check(tap, 'F15 and a peer that is connected doesn\'t notice them')
    for s in quiet:
        s.settimeout(10)
    tap.ok(all(ended(s) for s in quiet), 'F15 who stalls is shown the door, wherever it was')
    for s in quiet:
        s.close()
    left = until(lambda: node.descriptors() <= before + 2, 10)
    tap.ok(left, 'and nothing is left of them', f'{before} descriptors before, {node.descriptors()} after')


def floods(tap, world, node, imsi, seconds=1):
    """What a handshake may hold without getting on: without end, as fast as it goes."""
    first, late = hello(world), world.tls('late0')
    for name, begin, record in (('warnings', b'', b'\x15\x03\x01\x00\x02\x01\x5a'), ('warnings after a ClientHello', first, b'\x15\x03\x03\x00\x02\x01\x5a'),
                                ('ChangeCipherSpec', first, b'\x14\x03\x03\x00\x01\x01'), ('empty records', first, b'\x16\x03\x03\x00\x00'),
                                ('a handshake message in single octets', b'\x16\x03\x01\x00\x04\x01\x00\xff\xff', b'\x16\x03\x01\x00\x01\x00')):
        witness, stop, cut = TlsWitness(node, imsi, world), threading.Event(), []

        def flood():
            while not stop.is_set():
                with socket.create_connection(('127.0.0.1', node.tls_port), timeout=10) as s:
                    try:
                        s.sendall(begin)
                        while not stop.is_set():
                            s.sendall(record * 1000)
                    except OSError:
                        cut.append(1)

        threads = [threading.Thread(target=flood, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        slowest, good, end = 0.0, True, time.monotonic() + seconds
        while time.monotonic() < end:
            at = time.monotonic()
            with node.client('late0', tls=late, patience=10) as gateway:
                slowest, good = max(slowest, time.monotonic() - at), good and gateway.cea.result == 2001
                gateway.disconnect()
        stop.set()
        for thread in threads:
            thread.join()
        tap.ok(good and slowest <= (6 if sanitized() else 2) and cut,
               f'F15 {name} without end: cut off, and a good peer gets in meanwhile', f'{slowest:.3f} s, cut {len(cut)} times')
        witness.check(tap, 'F15 and a peer that is connected doesn\'t notice')


class TlsWitness(Witness):
    """The good client of the family, over TLS."""

    def __init__(self, node, imsi, world):
        self.world = world
        super().__init__(Over(node, world.tls('witness')), imsi)


class Over:
    """A node whose clients come over TLS."""

    def __init__(self, node, tls):
        self.node, self.tls = node, tls

    def client(self, host, **how):
        return self.node.client(host, tls=self.tls, **how)

    def tail(self):
        return self.node.tail()


def resets(tap, site, world, people, rounds):
    """F2 and F6 over TLS: connections break while answers are on their way, and in the middle of records."""
    node, lost = site.node, 0
    for n in range(rounds):
        host = f'reset{n % 10}'
        gateway = node.client(host, tls=world.tls(host), patience=20)
        session = gateway.session()
        for number in range(10):
            gateway.send(gateway.ccr(session, UPDATE if number else INITIAL, number, [service(10)], who=people[n % len(people)]))
        if n % 3 == 1: # half a record, then gone
            raw = socket.socket(fileno=gateway.socket.detach())
            raw.sendall(b'\x17\x03\x03\x04\x00' + bytes(100))
            raw.close()
        elif n % 3 == 2: # octets that no key explains
            raw = socket.socket(fileno=gateway.socket.detach())
            raw.sendall(b'\x17\x03\x03\x00\x40' + bytes(64))
            raw.settimeout(5)
            lost += not ended(raw)
            raw.close()
        else:
            gateway.reset()
    tap.equal((lost, node.pid is not None), (0, True), f'F2, F6 {rounds} connections that broke in the middle: the node runs')


def deaf_and_loud(tap, site, world, people):
    """A peer that sends without end and reads nothing: it is dropped, others don't wait for that."""
    node = site.node
    witness = TlsWitness(node, people[0], world)
    deaf = node.client('deaf', tls=world.tls('deaf'), receive_buffer=4096, timeout=2)
    session = deaf.session()
    filler = [('Proxy-Info', [('Proxy-Host', 'dra1.spec.test'), ('Proxy-State', bytes(8000))])]
    sent, end = 0, time.monotonic() + 3
    try:
        while time.monotonic() < end and sent < 4000:
            deaf.send(deaf.ccr(session, UPDATE if sent else INITIAL, sent, [service(10)], who=people[1], more=filler))
            sent += 1
    except OSError:
        pass
    tap.ok(sent > 100, 'P11 a peer sends requests over TLS and reads no answer', f'{sent} sent')
    witness.check(tap, 'P11 another peer is served meanwhile', slowest=1.5)
    deaf.close()
    loud = node.client('loud', tls=world.tls('loud'), timeout=2)
    witness = TlsWitness(node, people[0], world)
    loud.send(loud.dpr())
    end, sent = time.monotonic() + 8, 0
    try:
        while time.monotonic() < end: # goodbye, and on and on
            loud.send(loud.dwr())
            sent += 1
    except OSError:
        pass
    tap.ok(time.monotonic() < end, 'a peer that says goodbye and goes on sending is cut off', f'{sent} messages after the DPR')
    loud.close()
    until(lambda: witness.count() > 10, 5)
    witness.check(tap, 'and another peer doesn\'t notice')


class Connecting(Node):
    """A node that is told to connect to a peer itself."""

    def configure(self):
        super().configure()
        with open(self.home / 'gyrod.conf', 'a', encoding='utf-8') as conf:
            conf.write('ConnectPeer = "pgw1.spec.test" { No_TLS; ConnectTo = "127.0.0.1"; Port = 1; };\n')


def misconfigured(tap, site, world):
    """What must not start, with the reason in the last lines."""
    for name, node, reason in (
            ('a certificate in another name', site.add('gyro7', tls=world.ours.issue('gyro8.spec.test')), 'does not match'),
            ('a certificate of another authority', site.add('gyro6', tls=world.believing(world.other.issue('gyro6.spec.test'))),
             'issuer')):
        node.launch()
        status = node.wait(30)
        tap.ok(status == 1 and reason in node.said() and 'the lines above say why' in node.said(), f'{name}: no start, and why',
               f'status {status}\n{node.tail()}')
    node = site.add('gyro5', tls=None)
    node.settings = {**node.settings, 'listen_tls': ['127.0.0.1:1']}
    node.launch()
    tap.ok(node.wait(30) == 1 and 'listen_tls needs TLS_Cred and TLS_CA' in node.said(), 'listen_tls without certificate: no start',
           node.tail())
    node = Connecting(site.pg.conninfo(), 'gyro3', inside=site.pg.home, tls=world.ours.issue('gyro3.spec.test'))
    site.nodes.append(node)
    node.launch()
    tap.ok(node.wait(30) == 1 and 'ConnectPeer and listen_tls' in node.said(),
           'P17 ConnectPeer, whose peers the validator never sees, with TLS: no start', node.tail())


def quiet_log(tap, node):
    lines = node.said().splitlines()
    ready = [n for n, line in enumerate(lines) if line.startswith('gyro: ready on')]
    tap.ok(len(ready) == 2 and ready[-1] <= 5, 'the log of a start is its ready lines, and little else', '\n'.join(lines[:30]))
    tap.equal(lines[ready[0]:ready[-1] + 1], [f'gyro: ready on 127.0.0.1:{node.port}', f'gyro: ready on 127.0.0.1:{node.tls_port}, TLS'],
              'which say where TLS is')


def thread_names(tap, node):
    names = {(path / 'comm').read_text().strip() for path in pathlib.Path(f'/proc/{node.pid}/task').iterdir()}
    tap.ok({'gyrod', 'lane 0', 'lane 1', 'maintenance', 'Dispatch', 'gyro stop'} <= names and len(names) > 12,
           'threads have names', sorted(names))


def main():
    args, tap = arguments(__doc__), Tap()
    with tempfile.TemporaryDirectory(prefix='gyro-tls-') as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        world = World(folder)
        peers = [{'identity': 'old1.spec.test', 'plain': True}, '*.spec.test']
        with Site(tls=world.node, peers=peers) as site:
            node, people = site.node, site.people(20)
            pid = node.pid
            quiet_log(tap, node)
            thread_names(tap, node)
            charging(tap, site, world, people)
            busy(tap, site, world, people[10:14])
            refusals(tap, site, world)
            revocation(tap, site, world)
            plain_text(tap, world, node)
            renegotiation(tap, world, node)
            stalls(tap, world, node, people[3], 1000 if args.long else 300)
            floods(tap, world, node, people[14])
            resets(tap, site, world, people[4:8], 300 if args.long else 60)
            deaf_and_loud(tap, site, world, people[8:10])
            tap.equal(node.pid, pid, 'the same process all the time')
            misconfigured(tap, site, world)
            last = node.client('last', tls=world.tls('last'))
            transport.stop(tap, node, last, 'TLS')
            site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
