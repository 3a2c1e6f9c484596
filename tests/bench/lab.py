"""What `run` and `soak` share: a private PostgreSQL, the node, the echo daemon, the load generator.

Everything lives in one temporary directory and listens on free ports of loopback; leaving the Lab
stops all of it, by process id.
"""
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / 'tests/lib'))
from postgres import Postgres, children, free_port  # noqa: E402,F401

REALM = 'gyro.test'
FREEDIAMETER = '/usr/lib/freeDiameter'


class Failure(Exception):
    """Something that ends the bench; its text is for the reader."""


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text):
    print(f'{text} ... ', end='', file=sys.stderr, flush=True)
    begin = time.monotonic()
    yield
    print(f'{time.monotonic() - begin:.1f} s', file=sys.stderr, flush=True)


def run(command, **more):
    """Runs to its end; what it said is in the Failure if it fails."""
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, **more)
    if done.returncode != 0:
        raise Failure(f'{command[0]}: exit {done.returncode}\n{done.stderr.strip()[-2000:]}')
    return done.stdout


class Lab:
    def __init__(self, build, keep=False):
        self.build = pathlib.Path(build).resolve()
        self.keep = keep
        self.started = []  # (name, process), in order
        self.postgres = None

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='gyro-bench-'))
        self.dir.chmod(0o755)
        return self

    def __exit__(self, kind, *_):
        for name, process in reversed(self.started):
            self.stop(name, process)
        if self.postgres:
            self.postgres.close()
        if self.keep or (kind is Failure):
            say(f'left for you to look at: {self.dir}')
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def binary(self, name):
        path = self.build / 'bin' / name
        if not path.exists():
            raise Failure(f'{path} is missing: cmake --preset release && ninja -C {self.build}')
        return path

    # --- processes ---

    def start(self, name, command):
        log = open(self.dir / f'{name}.log', 'w')
        process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL)
        log.close()
        self.started.append((name, process))
        return process

    @staticmethod
    def stop(name, process):
        if process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            say(f'{name} does not stop: killed')
            process.kill()
            process.wait()

    def log_tail(self, name):
        return (self.dir / f'{name}.log').read_text(errors='replace')[-2000:]

    def wait_for_port(self, name, process, port, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    return
            time.sleep(0.1)
        raise Failure(f'{name} does not listen on {port}:\n{self.log_tail(name)}')

    # --- PostgreSQL ---

    def start_postgres(self, accounts):
        # The hot tables in shared_buffers, no checkpoint inside a round (deploy/postgres/gyro.conf).
        buffers_mb = min(max(256, accounts * 4 // 1024), self.memory_mb() // 3)
        self.postgres = Postgres(directory=str(self.dir / 'postgresql') if self.keep else None, settings={
            'shared_buffers': f'{buffers_mb}MB', 'wal_compression': 'lz4', 'wal_buffers': '64MB',
            'max_wal_size': '16GB', 'checkpoint_timeout': '15min', 'jit': 'off', 'huge_pages': 'try',
            'max_connections': '50', 'log_min_messages': 'warning'})
        try:
            self.postgres.start()
        except RuntimeError as error:
            raise Failure(str(error)) from error
        self.conninfo = self.postgres.conninfo()

    def postgres_errors(self):
        """How often which error stands in the server's log."""
        texts = re.findall(r'(?:ERROR|FATAL|PANIC):  (.*)', pathlib.Path(self.postgres.log).read_text(errors='replace'))
        return dict(collections.Counter(texts))

    @staticmethod
    def wait_for_quiet(seconds):
        """Until less than a tenth of a core is busy for a second, or so long."""
        def busy():
            fields = [int(f) for f in pathlib.Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:9]]
            return (sum(fields) - fields[3] - fields[4]) / os.sysconf('SC_CLK_TCK')
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = busy()
            time.sleep(1)
            if busy() - before < 0.1:
                return

    @staticmethod
    def memory_mb():
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 1048576

    def sql(self, text):
        """The result's rows, as lists of texts."""
        try:
            return self.postgres.query(text)
        except RuntimeError as error:
            raise Failure(f'{text[:200]}: {error}') from error

    def migrate(self):
        gyroctl = [self.binary('gyroctl'), '--database', self.conninfo]
        run([*gyroctl, 'migrate'])
        run([*gyroctl, 'apply', '-f', HERE / 'catalogue.yaml'])

    def seed(self, accounts, sessions):
        run([self.binary('gyro-bench-seed'), '--database', self.conninfo, '--accounts', accounts,
             '--sessions', sessions, '--subscriber-step', self.spread(accounts, sessions)])
        self.sql('SELECT gyro.record_partition()')

    def seed_cards(self, count):
        """So many traffic cards for every subscriber, all bound in general and far from used up; each with its purchase and
        the record of it, so that the audit has nothing to find."""
        self.sql(f"""
            SET session_replication_role = replica;
            INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1);
            INSERT INTO gyro.product (product_id, code, currency, quota, audience_id) SELECT 1, 'bench', 156, 1::bigint << 50, 1;
            CREATE TEMP TABLE sold AS
                SELECT row_number() OVER () AS card, s.subscriber_id, s.account_id, s.group_id, n, clock_timestamp() AS at
                  FROM gyro.subscriber s CROSS JOIN generate_series(1, {count}) n;
            INSERT INTO gyro.purchase (purchase_id, product_id, buyer, beneficiary, account_id, group_id, card_id, price, state, session,
                                       hold_until)
                SELECT 'bench' || card, 1, subscriber_id, subscriber_id, account_id, group_id, card, 0, 5,
                       ('00000000-0000-4000-8000-' || lpad(to_hex(card), 12, '0'))::uuid, at FROM sold;
            INSERT INTO gyro.card (card_id, code, product_id, purchase_id, owner, beneficiary, account_id, group_id, validity_s,
                                   validity_from, directed, audience_id, max_bindings, settle, usage_price, usage_block,
                                   priority_policy, priority)
                SELECT card, 'c' || card, 1, 'bench' || card, subscriber_id, subscriber_id, account_id, group_id, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0
                  FROM sold;
            INSERT INTO gyro.card_binding (card_id, subscriber_id, user_class, directed, priority)
                SELECT card, subscriber_id, 0, false, n FROM sold;
            UPDATE gyro.account a SET cards = c.cards, card_use = c.card_use FROM (
                SELECT account_id, array_agg(ARRAY[card, 2, 1, 1::bigint << 50, 0, 0, 0, 1]) AS cards,
                       array_agg(ARRAY[0, 0, 9223372036854775807, 0]) AS card_use
                  FROM sold GROUP BY 1) c WHERE c.account_id = a.account_id;
            INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number, end_to_end,
                                     content_hash, debit, balance, reserved, result, request_type, flags, catalogue, charges)
                SELECT at, a.account_id, a.group_id, subscriber_id, 0, ('00000000-0000-4000-8000-' || lpad(to_hex(card), 12, '0'))::uuid,
                       at, 0, 0, 0, 0, a.balance, a.reserved, 2001, 4, 0, 0, gyro.card_charge(card, 0, 4::smallint, 0, 0, 1, 1)
                  FROM sold JOIN gyro.account a USING (account_id);
            SELECT setval('gyro.card_number', max(card)) FROM sold""")

    # --- dynamic tariffs: the catalogue with them and without, in turn ---

    def seed_dynamic(self):
        """Two attributes and two dynamic codes for every subscriber.

        They stay where they are when the catalogue loses its codes and rules: for that, the reference goes."""
        self.sql("""
            ALTER TABLE gyro.subscriber_dynamic_code DROP CONSTRAINT subscriber_dynamic_code_code_id_fkey;
            INSERT INTO gyro.attribute_type (attribute_id, name, source, value_type, on_change)
            VALUES (1, 'credit_level', 1, 1, 1), (2, 'loyalty_tier', 1, 3, 2);
            SET session_replication_role = replica;
            INSERT INTO gyro.subscriber_attribute (subscriber_id, attribute_id, value)
            SELECT subscriber_id, 1, (subscriber_id % 10)::text FROM gyro.subscriber
            UNION ALL SELECT subscriber_id, 2, 'tier' || subscriber_id % 10 FROM gyro.subscriber;
            INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id)
            SELECT subscriber_id, c FROM gyro.subscriber, generate_series(1, 2) c""")

    def dynamic(self, on):
        """The node's catalogue from now on: with two codes and twenty rules, or without."""
        if on == bool(self.sql('SELECT 1 FROM gyro.dynamic_rule LIMIT 1')):
            return
        if on:
            self.sql("""
                BEGIN;
                INSERT INTO gyro.dynamic_code (code_id, code, attribute_id) VALUES (1, 'credit', 1), (2, 'loyalty', 2);
                INSERT INTO gyro.dynamic_rule (code_id, rating_group, unit, match, low, effect, amount, block)
                SELECT 1, 10, 1, 2, n::text, 3, 900000 + 10000 * n, 0 FROM generate_series(0, 9) n
                UNION ALL SELECT 2, 10, 1, 2, 'tier' || n, 4, 10 * n, 1048576 FROM generate_series(0, 9) n;
                COMMIT""")
        else:
            self.sql('BEGIN; DELETE FROM gyro.dynamic_rule; DELETE FROM gyro.dynamic_code; COMMIT')
        end = time.monotonic() + 30
        while not self.sql('SELECT 1 FROM gyro.catalogue_archive JOIN gyro.catalogue_version USING (version)'):
            if time.monotonic() > end:
                raise Failure('the node does not take the catalogue:\n' + self.log_tail('node'))
            time.sleep(0.1)
        time.sleep(0.5)  # archived, then swapped

    def rating(self):
        """Nanoseconds of a price, without a node."""
        return run([self.binary('rating-bench')])

    @staticmethod
    def spread(accounts, sessions):
        """Sessions reach over the whole table of accounts."""
        return max(1, accounts // sessions)

    # --- the two servers ---

    def start_node(self, name='node', **settings):
        port = free_port()
        lib = self.build / 'lib'
        words = {'@DATABASE@': self.conninfo, '@PORT@': str(port), '@REALM@': REALM, '@IDENTITY@': f'{name}.{REALM}',
                 '@LIB@': str(lib), '@YAML@': str(self.dir / f'{name}.yaml'), 'pgw1.@REALM@': f'"*.{REALM}"'}
        for source, target in (('gyro.yaml', f'{name}.yaml'), ('gyrod.conf.in', f'{name}.conf')):
            text = (ROOT / 'deploy/conf' / source).read_text()
            for word in sorted(words, key=len, reverse=True):
                text = text.replace(word, words[word])
            for key, value in settings.items():
                if target.endswith('.yaml'):
                    text = '\n'.join(f'{key}: {value}' if line.startswith(f'{key}:') else line
                                     for line in text.split('\n'))
            (self.dir / target).write_text(text)
        process = self.start(name, [self.binary('gyrod'), '-c', self.dir / f'{name}.conf'])
        self.wait_for_port(name, process, port)
        return process, port

    def start_echo(self):
        port = free_port()
        (self.dir / 'echo.acl').write_text(f'ALLOW_IPSEC *.{REALM}\n')
        extensions = ''.join(f'LoadExtension = "{FREEDIAMETER}/{name}.fdx"{more};\n' for name, more in (
            ('dict_nasreq', ''), ('dict_dcca', ''), ('dict_dcca_3gpp', ''),
            ('acl_wl', f' : "{self.dir}/echo.acl"')))
        # Settings are stock, but for what a container and loopback force.
        (self.dir / 'echo.conf').write_text(
            f'Identity = "echo.{REALM}";\nRealm = "{REALM}";\nPort = {port};\nSecPort = 0;\nNo_SCTP;\nNo_IPv6;\n'
            f'{extensions}LoadExtension = "{self.build}/lib/bench_echo.fdx";\n')
        daemon = shutil.which('freeDiameterd')
        if daemon is None:
            raise Failure('freeDiameterd is not installed (apt-get install freediameterd freediameter-extensions)')
        process = self.start('echo', [daemon, '-c', self.dir / 'echo.conf'])
        self.wait_for_port('echo', process, port)
        return process, port

    # --- load ---

    def load(self, port, *options, pids=(), allow_wrong=False, progress=False):
        command = [self.binary('gyro-sim'), 'load', '--connect', f'127.0.0.1:{port}', '--realm', REALM, '--json', *options]
        if pids:
            command += ['--pid', ','.join(f'{name}={pid}' for name, pid in pids)]
        if progress:
            command.append('--progress')
        done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE,
                              stderr=None if progress else subprocess.PIPE)
        if done.returncode == 2 or (done.returncode != 0 and not allow_wrong):
            raise Failure(f'gyro-sim load: exit {done.returncode}\n{done.stderr or ""}{done.stdout}')
        return json.loads(done.stdout)

    def audit(self):
        """Rows of gyro.audit(): there must be none."""
        return self.sql('SELECT * FROM gyro.audit()')
