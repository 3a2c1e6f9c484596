"""A private PostgreSQL with Gyro's schema and a small catalogue, and nodes on it that can be killed and started again.

Nodes are gyrod itself, started from here: what is proved must not depend on what deploy/node repairs. Everything is
stopped by its pid, and dies with the test.
"""
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/lib'))
from postgres import Postgres, binary, free_port # noqa: E402

FIRST_IMSI = 460009000000000
READY_S = 20
SETTINGS = {'max_wal_size': '1GB', 'autovacuum_naptime': '5s'}

# Prices with remainders: most debits leave a carry. Rating-Group 12: supervised after 2 s.
CATALOGUE = '''
INSERT INTO gyro.service_context VALUES ('32251@3gpp.org', 10);
INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, threshold, validity_s, quota_holding_s) VALUES
    (10, 'internet', 10485760, 52428800, 2097152, 3600, 600), (11, 'twin', 1048576, 52428800, 0, 3600, 0),
    (12, 'short', 1048576, 52428800, 0, 1, 0), (80, 'voice', 300, 3600, 30, 3600, 0);
INSERT INTO gyro.specific_tariff (tariff_id, code, name) VALUES (1, 'standard', 'standard');
INSERT INTO gyro.specific_rule (tariff_id, rating_group, unit, price_micros, block) VALUES
    (1, 10, 1, 100003, 1048576), (1, 11, 1, 70001, 999983), (1, 12, 1, 100003, 1048576), (1, 80, 2, 599999, 60);
'''


def schema():
    """The migrations as one script; marks the newest as applied, as gyroctl migrate does."""
    files = sorted(glob.glob(str(ROOT / 'core/store/schema/*.sql')))
    newest = os.path.basename(files[-1]).removesuffix('.sql').split('_', 1)
    return ('\n'.join(pathlib.Path(f).read_text() for f in files) +
            f"\nINSERT INTO gyro.schema_version (version, name) VALUES ({int(newest[0])}, '{newest[1]}');\n")


def subscribers(count, balance, first=0, credit=0):
    """So many accounts with a subscriber each, known by an IMSI."""
    return f'''
SELECT count(gyro.account_open(1000 + n, 156::smallint, {balance}, {credit})) FROM generate_series({first}, {first + count - 1}) n;
INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id)
    SELECT 5000 + n, 1000 + n, 1000 + n, 1 FROM generate_series({first}, {first + count - 1}) n;
INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id)
    SELECT 1, ({FIRST_IMSI} + n)::text, 5000 + n FROM generate_series({first}, {first + count - 1}) n;
'''


class Node:
    def __init__(self, stack, name, settings):
        self.stack, self.name, self.settings = stack, name, settings
        self.inside, self.address = stack.places.get(name, ((), '127.0.0.1'))
        self.home = stack.home / name
        self.home.mkdir()
        self.port = free_port()
        self.lib = stack.build / 'lib'
        self.log = self.home / 'gyrod.log'
        self.process = None
        self.stopped_by_us = True
        self.configure()

    def configure(self):
        words = {'IDENTITY': f'{self.name}.gyro.test', 'REALM': 'gyro.test', 'PORT': str(self.port),
                 'YAML': str(self.home / 'gyro.yaml'), 'LIB': str(self.lib)}
        template = (ROOT / 'deploy/conf/gyrod.conf.in').read_text(encoding='utf-8')
        (self.home / 'gyrod.conf').write_text(re.sub(r'@([A-Z]+)@', lambda m: words[m[1]], template), encoding='utf-8')
        lines = [f'database: "{self.stack.nodes_conninfo}"', f'listen: [ "{self.address}:{self.port}" ]',
                 'peers:', '  - identity: "*.gyro.test"', 'alternate_node: true']
        lines += [f'{key}: {value}' for key, value in self.settings.items()]
        (self.home / 'gyro.yaml').write_text('\n'.join(lines) + '\n', encoding='utf-8')

    def start(self, wait=True):
        begin = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', *self.inside, str(self.stack.build / 'bin/gyrod'), '-c',
                 str(self.home / 'gyrod.conf')], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd='/',
                env={**os.environ, **self.stack.environment})
        self.stopped_by_us = False
        if not wait:
            return self
        end = time.monotonic() + READY_S
        while b'gyro: ready on' not in self.said(begin):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f'{self.name} does not start:\n{self.tail()}')
            time.sleep(0.01)
        return self

    def said(self, begin=0):
        with open(self.log, 'rb') as log:
            log.seek(begin)
            return log.read()

    def tail(self, lines=15):
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:])

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9, and gone."""
        self.stopped_by_us = True
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=25):
        if self.running():
            self.stopped_by_us = True
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError(f'{self.name} does not stop within {seconds} s:\n{self.tail()}') from None
        return self.process.returncode if self.process else 0

    def died(self):
        """Ended though nobody told it to."""
        return self.process is not None and not self.stopped_by_us and self.process.poll() is not None


class Stack:
    """with Stack(build) as stack: ..., two nodes unless told otherwise; keep: a directory for what is left behind."""

    def __init__(self, build, nodes=2, subscribers=100, balance=10**12, node_settings=None, postgres=None, more_sql='',
                 keep=None, pg=None, environment=None, places=None, nodes_conninfo=None):
        """pg: a Postgres that was made elsewhere, started or not; it is closed here. environment: more for the nodes.
        places: by a node's name, words before its command and its address. nodes_conninfo: if not ours."""
        self.build = pathlib.Path(build).absolute()
        self.keep = keep
        self.environment, self.places = environment or {}, places or {}
        self.home = pathlib.Path(tempfile.mkdtemp(prefix='gyro-chaos-', dir='/tmp'))
        self.pg = pg or Postgres(settings={**SETTINGS, **(postgres or {})})
        self.nodes_conninfo = nodes_conninfo or self.conninfo()
        self.nodes = []
        self.want = (nodes, subscribers, balance, node_settings or {}, more_sql)

    def conninfo(self):
        return self.pg.conninfo()

    def __enter__(self):
        nodes, count, balance, settings, more_sql = self.want
        try:
            if not self.pg.pid():
                self.pg.start()
            self.pg.query(schema() + CATALOGUE + subscribers(count, balance) + more_sql +
                          'SELECT gyro.record_partition();')
            self.nodes = [Node(self, f'gyro{n + 1}', settings) for n in range(nodes)]
            for node in self.nodes:
                node.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.running():
                node.kill()
        if self.keep:
            os.makedirs(self.keep, exist_ok=True)
            for node in self.nodes:
                shutil.copy(node.log, os.path.join(self.keep, f'{node.name}.log'))
            for log in self.home.glob('*.log'):
                shutil.copy(log, self.keep)
            shutil.copy(self.pg.log, os.path.join(self.keep, 'postgresql.log'))
            subprocess.run([binary('pg_dump'), '-d', self.conninfo(), '-f', os.path.join(self.keep, 'dump.sql')], check=False)
        self.pg.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def ports(self):
        """For Gateway; gyro-sim takes those of 127.0.0.1 only."""
        return {node.name: node.port if node.address == '127.0.0.1' else (node.address, node.port) for node in self.nodes}

    def own_audit(self, grace='1 minute'):
        """Rows of gyro.audit(): the product's own."""
        return self.pg.query(f"SELECT * FROM gyro.audit('{grace}')")

    def quiesce(self, seconds=10):
        """Until no transaction of a node is in work."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.pg.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                             "AND pid <> pg_backend_pid() AND state <> 'idle'") == '0':
                return True
            time.sleep(0.05)
        return False


class Simulator:
    """gyro-sim churn: a second gateway, of another making, on the same subscribers."""

    def __init__(self, stack, log, seed, seconds, *more, subscribers=100):
        self.process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', str(stack.build / 'bin/gyro-sim'), 'churn', '--imsi-base', str(FIRST_IMSI),
             '--subscribers', f'0..{subscribers - 1}', '--seconds', str(seconds), '--log', log, '--seed', str(seed), '--json',
             '--origin-host', 'pgw2.gyro.test', '--origin-realm', 'gyro.test', '--destination-realm', 'gyro.test',
             '--rating-group', '10,11', '--sessions', '16', '--timeout', '1s', '--duplicates', '20%', '--parallel', '40%',
             '--overtake', '15%', *more, *(word for port in stack.ports().values()
                                           for word in ('--connect', f'127.0.0.1:{port}'))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, seconds=180):
        """(exit status, totals, what else it said)."""
        try:
            out, said = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, said = self.process.communicate()
        return self.process.returncode, json.loads(out) if out else {}, said


class Gateway:
    """client.py as a process of its own."""

    def __init__(self, inside=(), **settings):
        self.log = settings['log']
        self.process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', *inside, sys.executable, str(pathlib.Path(__file__).with_name('client.py')),
             json.dumps({'first_imsi': FIRST_IMSI, **settings})],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        return self.process.poll() is None

    def finish(self, seconds=120):
        """Lets it end its sessions; its totals."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise RuntimeError(f'the client does not end within {seconds} s\n{err}') from None
        if self.process.returncode:
            raise RuntimeError(f'the client failed:\n{err}')
        return json.loads(out.splitlines()[-1])
