#!/usr/bin/python3
"""deploy/node: starts, serves whom it may, stops all it started, keeps its data, says what failed.

node.py ROOT BUILD-DIR
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(ROOT / 'tests/lib'))
from certificates import Authority
from diameter import P, R, Client, Closed, Table
from tap import Tap

NODE, FIXTURE = ROOT / 'deploy/node', ROOT / 'tests/cases/fixture.yaml'
START_S, STOP_S, AGAIN_S = 60, 40, 10
PEER, REALM = 'pgw1.spec.test', 'spec.test'
AVPS = Table(ROOT / 'dict/avps.csv')


class Peer:
    """A connection of a gateway: CER, then requests. Answers are {AVP code: first value} of the top level."""

    def __init__(self, port, host=PEER, realm=REALM):
        """While freeDiameter still clears away this peer's former connection, it closes a new one: then once more."""
        self.host, self.realm, self.number = host, realm, 0
        limit = time.monotonic() + AGAIN_S
        while True:
            self.socket = socket.create_connection(('127.0.0.1', port), timeout=20)
            try:
                self.cea = self.ask('CER', 0, 0, [('Host-IP-Address', '127.0.0.1'), ('Vendor-Id', 0), ('Product-Name', 'test'),
                                                  ('Auth-Application-Id', 4)])
                return
            except ConnectionError:
                self.socket.close()
                if time.monotonic() > limit:
                    raise
                time.sleep(0.1)

    def ask(self, command, flags, application, avps, head=()):
        self.number += 1
        origin = [('Origin-Host', self.host), ('Origin-Realm', self.realm)]
        self.socket.sendall(AVPS.message(command, R | flags, self.number, [*head, *origin, *avps], application))
        while True:
            message = self.read()
            if not message[4] & R:
                return self.avps(message)

    def read(self):
        data = b''
        while len(data) < 4 or len(data) < int.from_bytes(data[1:4], 'big'):
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError('closed by the node')
            data += more
        return data

    @staticmethod
    def avps(message):
        found, at = {}, 20
        while at < len(message):
            code, length = int.from_bytes(message[at:at + 4], 'big'), int.from_bytes(message[at + 5:at + 8], 'big')
            found.setdefault(code, message[at + (12 if message[at + 4] & 0x80 else 8):at + length])
            at += (length + 3) & ~3
        return found

    def ccr(self, session, kind, number, services):
        answer = self.ask('CCR', P, 4, [
            ('Destination-Realm', REALM), ('Auth-Application-Id', 4), ('Service-Context-Id', '32251@3gpp.org'),
            ('CC-Request-Type', kind), ('CC-Request-Number', number),
            ('Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', '460001000000001')]),
            ('Multiple-Services-Credit-Control', [('Rating-Group', 10), *services])], [('Session-Id', session)])
        return int.from_bytes(answer[268], 'big')

    def close(self):
        self.socket.close()


def cea(port, host):
    """The Result-Code of the CEA; 0 where the node closed the connection instead."""
    try:
        peer = Peer(port, host)
    except ConnectionError:
        return 0
    peer.close()
    return int.from_bytes(peer.cea[268], 'big')


class Started:
    """deploy/node as a person starts it; its words are collected."""

    def __init__(self, folder, *words, user=None, catalogue=FIXTURE, log=None):
        self.folder = folder
        command = [NODE, '--data', folder, '--port', '0', '--build-dir', BUILD]
        command += ['--catalogue', catalogue] if catalogue else []
        command += ['--log', log] if log else []
        command += words
        if user:
            command = ['setpriv', '--reuid', user, '--regid', 'nogroup', '--clear-groups', *command]
        self.words = []
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors='replace', cwd='/')
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()

    def listen(self):
        for line in self.process.stdout:
            self.words.append(line)

    def said(self):
        return ''.join(self.words)

    def ready(self):
        """The port, 0 if it ended without being ready."""
        limit = time.monotonic() + START_S
        while time.monotonic() < limit:
            found = re.search(r'^gyro: ready on (?:127\.0\.0\.1|\[::1\]):(\d+)(?:, TLS)?\n', self.said(), re.M)
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        return 0

    def wait(self):
        """Exit status, None if it doesn't end."""
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return None
        self.reader.join(5)
        return self.process.returncode

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()

    def conninfo(self):
        return re.search(r'^database: "(.*)"$', (self.folder / 'gyro.yaml').read_text(), re.M)[1]


def alive(pid):
    """A zombie that its parent hasn't fetched is dead."""
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def processes(folder):
    """All processes whose command line or working directory lies in folder: gyrod and PostgreSQL's."""
    found = set()
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                where = os.readlink(entry / 'cwd') + '\0' + (entry / 'cmdline').read_text(errors='replace')
                if f'{folder}/' in where or where.endswith(str(folder)):
                    found.add(int(entry.name))
    return {pid for pid in found if alive(pid)}


def none_left(folder):
    limit = time.monotonic() + 10
    while (left := processes(folder)) and time.monotonic() < limit:
        time.sleep(0.05)
    return not left


def balance(conninfo):
    done = subprocess.run(['psql', '-XAtwc', 'SELECT balance FROM gyro.account WHERE account_id = 1', conninfo],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def charge(port, session, octets):
    """A whole session that uses so many octets; the three Result-Codes."""
    peer = Peer(port)
    used = [('Used-Service-Unit', [('CC-Total-Octets', octets)])]
    codes = (peer.ccr(session, 1, 0, [('Requested-Service-Unit', [])]),
             peer.ccr(session, 2, 1, [('Requested-Service-Unit', []), *used]), peer.ccr(session, 3, 2, used))
    peer.close()
    return codes


def two_nodes(tap, place):
    first = Started(place / 'a', '--peer', PEER)
    second = Started(place / 'b', '--peer', '*.realm.test', '--identity', 'gyro2.other.test')
    a, b = first.ready(), second.ready()
    tap.ok(a and b and a != b, 'two nodes at once, each with its PostgreSQL, ready', first.said() + second.said())
    tap.equal((cea(a, PEER), cea(b, 'x.realm.test')), (2001, 2001), 'their peers are welcome')
    tap.equal((cea(a, 'x.realm.test'), cea(b, PEER)), (3010, 3010), 'the other one\'s are not: CEA 3010')
    peer = Peer(b, 'x.realm.test')
    tap.equal((peer.cea[264], peer.cea[296]), (b'gyro2.other.test', b'other.test'), '--identity, and its realm')
    peer.close()

    twice = Started(place / 'a', '--peer', PEER)
    tap.equal(twice.wait(), 1, 'a second node in one directory is refused')
    tap.ok('another node runs in' in twice.said() and str(first.process.pid) in twice.said(), 'with the reason', twice.said())

    tap.equal(charge(a, 'pgw1.spec.test;1;1', 5 << 20), (2001, 2001, 2001), 'a session is charged')
    before = balance(first.conninfo())
    tap.equal(before, '99000000', '10 MiB cost 1.00')
    started = processes(place / 'a')
    tap.ok(len(started) > 3, 'gyrod and PostgreSQL run', started)
    tap.equal(first.stop(), 0, 'SIGTERM: exit status 0')
    tap.ok(none_left(place / 'a'), 'and nothing it started is left', processes(place / 'a'))
    tap.equal(cea(b, 'x.realm.test'), 2001, 'the other node is untouched')
    tap.equal(second.stop(signal.SIGINT), 0, 'SIGINT: exit status 0')
    tap.ok(none_left(place / 'b'), 'and nothing is left')

    again = Started(place / 'a', '--peer', PEER, catalogue=None)
    port = again.ready()
    tap.equal(balance(again.conninfo()), before, 'started again: the balance is what it was')
    tap.equal(charge(port, 'pgw1.spec.test;1;2', 5 << 20), (2001, 2001, 2001), 'and it charges')
    tap.equal(balance(again.conninfo()), '98000000', 'from there')
    tap.equal(again.stop(), 0, 'and stops')


def kills(tap, place):
    node = Started(place / 'k', '--peer', PEER)
    node.ready()
    os.kill(int((place / 'k/gyrod.pid').read_text()), signal.SIGKILL)
    tap.equal(node.wait(), 1, 'gyrod is killed: exit status 1')
    tap.ok('gyrod was killed by SIGKILL' in node.said(), 'the reason is told', node.said())
    tap.ok(none_left(place / 'k'), 'PostgreSQL was stopped', processes(place / 'k'))

    node = Started(place / 'k', '--peer', PEER, catalogue=None)
    node.ready()
    gyrod = int((place / 'k/gyrod.pid').read_text())
    node.process.kill()
    node.wait()
    limit = time.monotonic() + 30
    while alive(gyrod) and time.monotonic() < limit:
        time.sleep(0.05)
    tap.ok(not alive(gyrod), 'the node is killed: gyrod stops with it')
    node = Started(place / 'k', '--peer', PEER, catalogue=None)
    tap.ok(node.ready(), 'a new start finds the PostgreSQL that was left', node.said())
    tap.equal(node.stop(), 0, 'and stops it')
    tap.ok(none_left(place / 'k'), 'nothing is left', processes(place / 'k'))


def shared_database(tap, place):
    first = Started(place / 's', '--peer', PEER)
    first.ready()
    config = place / 'keys.yaml'
    config.write_text('# more keys\nlanes: 1\npeers:\n  - identity: "pgw7.spec.test"\n')
    second = Started(place / 't', '--database', first.conninfo(), '--config', config, '--agent', 'dra1.spec.test',
                     '--identity', 'gyro2.spec.test', '--log', '-', catalogue=None)
    port = second.ready()
    tap.ok(port, 'a second node on the database of the first', second.said())
    tap.equal([cea(port, h) for h in ('pgw7.spec.test', 'dra1.spec.test', PEER)], [2001, 2001, 3010],
              'peers from the configuration file, and from the command line')
    tap.ok(not (place / 't/gyrod.log').exists() and re.search(r'^20\S+Z \w+ ', second.said(), re.M),
           '--log -: the log is on standard output', second.said())
    tap.equal(second.stop(), 0, 'it stops')
    tap.equal(cea(first.ready(), PEER), 2001, 'without touching the database of the other')
    first.stop()


def result(port, host, patience=0, **how):
    """The Result-Code of the CEA; 'closed' where the node closes the connection instead, for that many seconds."""
    limit = time.monotonic() + patience
    while True:
        try:
            with Client(port, host=host, timeout=20, **how) as client:
                return client.cea.result
        except (Closed, OSError):
            if time.monotonic() >= limit:
                return 'closed'
            time.sleep(0.1)


def transports(tap, place):
    authority = Authority(place / 'ca')
    own, tls = authority.issue('gyro1.spec.test'), authority.issue(PEER).context()
    os.chmod(own.key, 0o600)
    words = ['--tls-cert', own.certificate, '--tls-key', own.key, '--tls-ca', own.authority]
    v6 = socket.has_ipv6 and os.path.exists('/proc/net/if_inet6') and '00000000000000000000000000000001' in \
        pathlib.Path('/proc/net/if_inet6').read_text()
    node = Started(place / 'tls', '--peer', PEER, '--listen', '127.0.0.1', *(['--listen', '::1'] if v6 else []), *words)
    port = node.ready()
    tap.ok(f'gyro: ready on 127.0.0.1:{port}, TLS\n' in node.said(), '--tls-cert, --tls-key, --tls-ca: ready, with TLS', node.said())
    tap.equal(result(port, PEER, tls=tls), 2001, 'a peer with its certificate is welcome')
    tap.equal(result(port, 'pgw2.spec.test', tls=tls), 3010, 'another one with it is not')
    tap.equal(result(port, PEER), 'closed', 'nor is one without TLS')
    if v6:
        tap.ok(f'gyro: ready on [::1]:{port}, TLS\n' in node.said(), '--listen ::1: ready there, too', node.said())
        tap.equal(result(port, PEER, AGAIN_S, tls=tls, address='::1'), 2001, 'and the peer is welcome')
    tap.equal(node.stop(), 0, 'it stops')
    if v6:
        node = Started(place / 'six', '--peer', PEER, '--listen', '::1')
        port = node.ready()
        tap.equal((result(port, PEER, address='::1'), result(port, PEER)), (2001, 'closed'), '--listen ::1 alone: there, and nowhere else')
        tap.equal(node.stop(), 0, 'it stops')
    for words, reason in ((words[:4], 'belong together'), ([*words, '--sctp'], 'no TLS over SCTP')):
        done = subprocess.run([NODE, '--data', place / 'f', '--port', '0', *words], capture_output=True, text=True)
        tap.ok(done.returncode == 2 and reason in done.stderr, f'a usage error: {reason}', done.stderr)


def failures(tap, place):
    def fails(words, reason, **more):
        node = Started(place / 'f', *words, **more)
        status = node.wait()
        tap.ok(status == 1 and re.search(reason, node.said()), f'says: {reason}', f'status {status}\n{node.said()}')
        tap.ok(none_left(place / 'f'), 'and leaves nothing behind', processes(place / 'f'))

    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        fails(['--port', str(port)], rf"can't listen on 127\.0\.0\.1:{port}: Address already in use")
    racers = [Started(place / name, '--port', str(port), '--peer', PEER) for name in ('g', 'h')]
    ready = [racer.ready() for racer in racers]
    tap.equal(sorted(ready), [0, port], 'two started at once on one port: one of them is ready')
    for racer in racers:
        racer.stop()
    fails(['--listen', '192.0.2.1'], r"can't listen on 192\.0\.2\.1:\d+: Cannot assign requested address")
    fails(['--build-dir', place], r'gyrod is missing: run deploy/build')
    other = Authority(place / 'others').issue('gyro9.spec.test')
    fails(['--tls-cert', other.certificate, '--tls-key', other.key, '--tls-ca', other.authority],
          r"(?s)gyrod didn't start.*certificate owner does not match the hostname 'gyro1\.spec\.test'")
    try: # where the kernel has SCTP, tests/wire/sctp.py says more
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        fails(['--sctp'], r"--sctp: this kernel has no SCTP .*: Protocol not supported")
    bad = place / 'bad.yaml'
    bad.write_text('# a catalogue with a mistake\nrating_groups:\n  - { rating_group: ten }\n')
    fails([], r'gyroctl apply -f .*bad\.yaml failed:\n.*\b3\b', catalogue=bad)
    fails(['--database', f'host={place} dbname=gyro'], r'connecting to the database failed')
    keys = place / 'wrong.yaml'
    keys.write_text('# an unknown key\nlaness: 2\n')
    fails(['--config', keys], r"(?s)gyrod didn't start.*laness")
    keys.write_text('# a key of ours\ndatabase: "dbname=x"\n')
    fails(['--config', keys], r'database and listen are options of deploy/node')
    done = subprocess.run([NODE, '--data', place / 'f', '--port', '0', '--identity', 'host'], capture_output=True, text=True)
    tap.ok(done.returncode == 2 and 'fully qualified' in done.stderr, 'an identity without realm is a usage error', done.stderr)

    for delay in (0.05, 0.3, 0.8):
        folder = place / f'early{delay}'
        node = Started(folder, '--peer', PEER)
        time.sleep(delay)
        tap.ok(node.stop() in (0, -signal.SIGTERM), f'SIGTERM {delay} s after the start: it stops', node.said())
        tap.ok(none_left(folder), 'and leaves nothing behind', processes(folder))


def ordinary_user(tap, place):
    tree = ('setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups', 'test', '-x', BUILD / 'bin/gyrod')
    if os.geteuid() != 0 or subprocess.run(tree, check=False).returncode:
        print('# not root, or the tree is closed to nobody: the other user is not played')
        return
    os.chmod(place, 0o755)
    home = place / 'home'
    home.mkdir()
    shutil.chown(home, 'nobody')
    node = Started(home / 'n', '--peer', PEER, user='nobody')
    port = node.ready()
    tap.ok(port, 'an ordinary user runs a node, too', node.said())
    tap.equal(charge(port, 'pgw1.spec.test;2;1', 5 << 20), (2001, 2001, 2001), 'which charges')
    tap.equal(node.stop(), 0, 'and stops')
    tap.ok(none_left(home), 'with all it started')


def main():
    tap = Tap()
    place = pathlib.Path(tempfile.mkdtemp(prefix='gyro-node.'))
    try:
        for story in (two_nodes, kills, shared_database, transports, failures, ordinary_user):
            story(tap, place)
    finally:
        for pid in processes(place):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
        none_left(place)
        shutil.rmtree(place, ignore_errors=True)
    tap.done()


if __name__ == '__main__':
    main()
