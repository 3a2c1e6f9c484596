"""Real nodes for a test: gyrod on a private PostgreSQL, one or several on one database.

    with Site(nodes=2) as site:                   # PostgreSQL, schema, catalogue, both nodes ready
        gateway = site.nodes[0].client()
        gateway.charge(gateway.session(), INITIAL, 0, [service(10)])
        site.nodes[0].kill()
        site.nodes[0].start()
        site.pg.stop('immediate')

gyrod is started as it is, without deploy/node: a test stops and kills it by itself. The programs are
those of GYRO_BUILD_DIR (default build/release), so that a sanitizer's build is one variable away. All
is gone when the test ends, however it ends: gyrod dies with the process that started it, the
database has its guardian. It refuses to touch a process that it did not start.

See README.md beside it for the list of methods.
"""
import atexit
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from diameter import Client, Closed
from postgres import Postgres

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FIXTURE = ROOT / 'tests/cases/fixture.yaml'
REALM = 'spec.test'
START_S, STOP_S = 30, 30
LOG_LINES = 25
# Below the range from which the kernel takes ports of outgoing connections.
PORTS = range(20000, 32000)
SETTINGS = {'queue_age_ms': 1000, 'deadline_ms': 4000, 'sweep_ms': 500}
# Reports of the sanitizers, of assertions (ours, and those of libfdcore and glibc), and of the C library's
# own checks, as they stand in the log (reports.py).
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|assertion failed|Assertion [`'].*' failed"
                    r'|double free or corruption|corrupted size|corrupted double-linked|\*\*\* [\w ]+ detected \*\*\*'
                    r'|\b(?:malloc|free|realloc|munmap_chunk|malloc_consolidate|calloc)\(\): ')

# Processes die with the thread that started them (setpriv --pdeathsig): this one lives to the end.
_launcher = concurrent.futures.ThreadPoolExecutor(1)


def build_dir():
    return pathlib.Path(os.environ.get('GYRO_BUILD_DIR') or ROOT / 'build/release').absolute()


def spawn(command, log):
    """A child whose output goes to the file log, and which can't outlive this process."""
    with open(log, 'ab') as out:
        words = ['setpriv', '--pdeathsig', 'KILL', *[str(w) for w in command]]
        return _launcher.submit(subprocess.Popen, words, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, cwd='/').result()


def pick_port():
    for _ in range(200):
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
            return port
    raise RuntimeError('no free port')


class Failed(RuntimeError):
    """A program didn't do what it was started for; the text holds the end of its log."""


class Node:
    """One gyrod. conninfo: its database. settings: keys of gyro.yaml; peers, agents: who may connect; the former may be
    whole entries of gyro.yaml: {'identity': ..., 'plain': True}.

    addresses: where it listens; port is TCP's, unless plain is False, and SCTP's with sctp. tls: its certificate, as
    certificates.Authority makes it; then it listens on tls_port, too."""
    PROGRAM, READY = None, r'^gyro: ready on \S+\d+'

    def __init__(self, conninfo, name='gyro1', realm=REALM, peers=None, agents=(), settings=None, tw_timer=30, inside='/tmp',
                 addresses=('127.0.0.1',), tls=None, plain=True, sctp=False):
        self.conninfo, self.identity, self.realm = conninfo, f'{name}.{realm}', realm
        self.peers = [f'*.{realm}'] if peers is None else list(peers)
        self.agents, self.settings, self.tw_timer = list(agents), {**SETTINGS, **(settings or {})}, tw_timer
        self.home = pathlib.Path(tempfile.mkdtemp(prefix='gyro-node-', dir=inside))
        self.log = self.home / 'log'
        self.addresses, self.tls, self.plain, self.sctp = list(addresses), tls, plain, sctp
        self.port = self.tls_port = self.process = None
        atexit.register(self.close)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def configure(self):
        quote = json.dumps
        # Agents first: the first entry that matches counts.
        peers = ''.join(f'  - identity: {quote(p)}\n    agent: true\n' for p in self.agents)
        entries = [p if isinstance(p, dict) else {'identity': p} for p in self.peers]
        peers += ''.join(f'  - {quote(entry)}\n' for entry in entries)
        keys = ''.join(f'{k}: {quote(v)}\n' for k, v in self.settings.items())
        (self.home / 'gyro.yaml').write_text(
            f'database: {quote(self.conninfo)}\n'
            + (f'listen: {quote(self.endpoints(self.port))}\n' if self.plain else '')
            + (f'listen_tls: {quote(self.endpoints(self.tls_port))}\n' if self.tls else '')
            + (f'peers:\n{peers}' if peers else '') + keys)
        words = {'IDENTITY': self.identity, 'REALM': self.realm, 'PORT': str(self.port if self.plain else 0),
                 'YAML': str(self.home / 'gyro.yaml'), 'LIB': str(build_dir() / 'lib')}
        template = (ROOT / 'deploy/conf/gyrod.conf.in').read_text()
        if self.tls:
            words |= {'TLSPORT': str(self.tls_port), 'CERT': str(self.tls.certificate), 'KEY': str(self.tls.key),
                      'CA': str(self.tls.authority)}
            template = template.replace('\nSecPort = 0;\n', '\n' + (ROOT / 'deploy/conf/tls.conf.in').read_text())
            if self.tls.revoked:
                template = re.sub(r'^# TLS_CRL = .*', f'TLS_CRL = "{self.tls.revoked}";', template, flags=re.M)
        if self.sctp:
            template = template.replace('\nNo_SCTP;\n', '\n' + (ROOT / 'deploy/conf/sctp.conf.in').read_text())
        template = re.sub(r'^TwTimer = \d+;', f'TwTimer = {self.tw_timer};', template, flags=re.M)
        (self.home / 'gyrod.conf').write_text(re.sub(r'@([A-Z]+)@', lambda m: words[m[1]], template))

    def endpoints(self, port):
        return [f'[{a}]:{port}' if ':' in a else f'{a}:{port}' for a in self.addresses]

    def launch(self):
        """Starts the process without waiting; for starts that are meant to fail."""
        self.port, self.tls_port = self.port or pick_port(), self.tls_port or (pick_port() if self.tls else None)
        self.configure()
        self.process = spawn([self.PROGRAM or build_dir() / 'bin/gyrod', '-c', self.home / 'gyrod.conf'], self.log)
        return self

    def start(self):
        """Returns when it is ready. The same port as before, if there was one."""
        fresh = self.port is None
        for attempt in range(3):
            begin = self.log.stat().st_size if self.log.exists() else 0
            self.launch()
            if self.wait_ready(begin):
                return self
            if not fresh or 'Address already in use' not in self.said(begin):
                break
            self.port = self.tls_port = None
        raise Failed(f'gyrod is not ready (status {self.process.poll()}):\n{self.tail()}')

    def wait_ready(self, begin=0):
        """True when it is; False if it ended instead, or the time is over."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if re.search(self.READY, self.said(begin), re.M):
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.02)
        return False

    def said(self, begin=0):
        """Its log from that byte on."""
        if not self.log.exists():
            return ''
        with open(self.log, 'rb') as log:
            log.seek(begin)
            return log.read().decode(errors='replace')

    def tail(self, lines=LOG_LINES):
        return '\n'.join(self.said().splitlines()[-lines:])

    def reports(self):
        """Lines by which a sanitizer or an assertion complains; none in a good run."""
        return [line for line in self.said().splitlines() if REPORT.search(line)]

    @property
    def pid(self):
        """Of the running process, None if it has ended."""
        return self.process.pid if self.process and self.process.poll() is None else None

    def wait(self, seconds=STOP_S):
        """Its exit status; None if it still runs after that time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self):
        """SIGTERM, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """SIGTERM and its end: the exit status."""
        if self.pid:
            self.terminate()
        return self.wait()

    def kill(self):
        """kill -9."""
        if self.pid:
            self.process.kill()
        return self.wait()

    def restart(self):
        self.stop()
        return self.start()

    def status(self, key):
        """A line of /proc/PID/status, in its own unit: status('VmRSS') in KiB, status('Threads')."""
        text = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        return int(re.search(rf'^{key}:\s+(\d+)', text, re.M)[1])

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def client(self, host='pgw1', patience=5, **how):
        """A gateway's connection to it (diameter.Client); host without the realm.

        A peer whose last connection the node still tidies up is refused (closed, or 5012): tried again for that
        many seconds. tls: an ssl.SSLContext, for the TLS port; address: one of the node's, the first one by default."""
        host, realm = host if '.' in host else f'{host}.{self.realm}', how.pop('realm', self.realm)
        how.setdefault('address', self.addresses[0])
        port = self.tls_port if how.get('tls') else self.port
        end = time.monotonic() + patience
        while True:
            try:
                client = Client(port, host=host, realm=realm, node=self.identity, **how)
                if client.cea is None or client.cea.result != 5012 or time.monotonic() > end:
                    return client
                client.close()
            except Closed:
                if time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def close(self):
        """Ends it, and removes its directory. Harmless to repeat."""
        atexit.unregister(self.close)
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class Site:
    """PostgreSQL with schema and catalogue, and nodes gyro1, gyro2... on it.

    settings: gyro.yaml of all nodes; postgres: settings of the database; more: words for Node."""

    def __init__(self, nodes=1, catalogue=FIXTURE, settings=None, postgres=None, **more):
        self.pg = Postgres(settings=postgres)
        self.catalogue, self.nodes = catalogue, []
        if nodes > 1:
            settings = {'alternate_node': True, **(settings or {})}
        self.count, self.settings, self.more = nodes, settings, more

    def __enter__(self):
        try:
            self.pg.start()
            self.gyroctl('migrate')
            if self.catalogue:
                self.gyroctl('apply', '-f', self.catalogue)
            for number in range(1, self.count + 1):
                self.add(f'gyro{number}').start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def node(self):
        return self.nodes[0]

    def add(self, name, **more):
        """One more node, not started yet."""
        # In the database's directory: its guardian removes both, also after kill -9 of the test.
        node = Node(self.pg.conninfo(), name, inside=self.pg.home, **{'settings': self.settings, **self.more, **more})
        self.nodes.append(node)
        return node

    def gyroctl(self, *words):
        """Its standard output; Failed with its words."""
        run = subprocess.run([str(w) for w in (build_dir() / 'bin/gyroctl', '--database', self.pg.conninfo(), *words)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode:
            raise Failed(f'gyroctl {words[0]}: {run.stderr.strip() or run.stdout.strip()}')
        return run.stdout

    def people(self, count, first=1000, micros=1_000_000_000):
        """Subscribers first, first+1... with as many accounts; their IMSIs. Prices as in the catalogue."""
        last = first + count - 1
        self.pg.query(f"""
            SELECT gyro.account_open(n, 156::smallint, {micros}) FROM generate_series({first}, {last}) n;
            INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id)
            SELECT n, n, n, (SELECT min(tariff_id) FROM gyro.specific_tariff) FROM generate_series({first}, {last}) n;
            INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id)
            SELECT 1, '46002' || lpad(n::text, 10, '0'), n FROM generate_series({first}, {last}) n""")
        return [f'46002{n:010d}' for n in range(first, last + 1)]

    def money(self, account):
        """(balance, reserved) in micro-units."""
        row = self.pg.query(f'SELECT balance, reserved FROM gyro.account WHERE account_id = {account}')[0]
        return int(row[0]), int(row[1])

    def records(self, session):
        """How many requests of this Session-Id were decided, and the sum of their debits."""
        row = self.pg.query('SELECT count(*), coalesce(sum(debit), 0) FROM gyro.record r JOIN gyro.session_index i '
                            f"USING (session) WHERE i.session_id = '{session}'")[0]
        return int(row[0]), int(row[1])

    def audit(self):
        """What gyro.audit() finds: [] if all is right."""
        return self.pg.query('SELECT * FROM gyro.audit()')

    def reports(self):
        return [line for node in self.nodes for line in node.reports()]

    def check(self, tap):
        """The two results every test ends with: the audit, and what sanitizers said."""
        tap.equal(self.audit(), [], 'the audit finds nothing')
        tap.equal(self.reports(), [], 'no assertion failed, no sanitizer complained')

    def close(self):
        for node in self.nodes:
            node.close()
        self.pg.close()
