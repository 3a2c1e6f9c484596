"""A private PostgreSQL for a test: own directory, own socket, gone afterwards.

    with Postgres() as pg:                        # initdb and start, about two seconds
        pg.create('shop')                         # one more database
        pg.query('SELECT 1')                      # [['1']]
        subprocess.run(['gyroctl', '--database', pg.conninfo(), 'migrate'])

It is durable like a real one (fsync, full_page_writes, synchronous_commit on), so that crash tests
mean something. It listens on a Unix socket in its own directory only, or also on 127.0.0.1 with a
port of its own when tcp is asked for; any number run at once. As root the server runs as the user
postgres. When the test ends, however it ends, a guardian process stops the server by its pid and
removes the directory. It refuses to touch a server that it did not start.

See README.md beside it for the list of methods.
"""
import atexit
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROLE = 'gyro'
DATABASE = 'gyro'
START_S = 60

SETTINGS = {
    'fsync': 'on',
    'full_page_writes': 'on',
    'synchronous_commit': 'on',
    'shared_buffers': '64MB',
    'max_connections': '60',
    'max_wal_size': '256MB',
    'jit': 'off',
    'timezone': 'UTC',
    'lc_messages': 'C',
    'log_line_prefix': '%m [%p] ',
    'log_min_duration_statement': '-1',
}


def binary(name):
    """Path of a server program; Debian keeps them outside of PATH."""
    for folder in sorted(glob.glob('/usr/lib/postgresql/*/bin'), key=lambda p: int(p.split('/')[-2]), reverse=True):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    path = shutil.which(name)
    if not path:
        raise RuntimeError(f'{name} not found: apt-get install postgresql')
    return path


def server_user():
    """The account that runs the server: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam('postgres')
    except KeyError:
        raise RuntimeError('root needs the user postgres: apt-get install postgresql') from None


def as_server(command):
    """The command as the user that owns the server."""
    user = server_user()
    if user is None:
        return command
    return ['setpriv', f'--reuid={user.pw_uid}', f'--regid={user.pw_gid}', '--clear-groups', '--', *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def alive(pid):
    """Whether a process runs; a zombie doesn't."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(')')[2].split()[0] not in 'ZX'


def children(pid):
    """Processes whose parent is pid."""
    found = []
    for path in glob.glob('/proc/[0-9]*/stat'):
        try:
            fields = pathlib.Path(path).read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(path.split('/')[2]))
    return found


def wait_gone(pids, seconds=30):
    end = time.monotonic() + seconds
    while any(alive(p) for p in pids):
        if time.monotonic() > end:
            raise TimeoutError(f'processes {[p for p in pids if alive(p)]} still run after {seconds} s')
        time.sleep(0.02)


class Postgres:
    """One cluster. Starts on entering the context, or by start()."""

    def __init__(self, settings=None, tcp=False, directory=None, environment=None, inside=()):
        """settings: postgresql.conf values by name. directory: keep the data there instead of a temporary place.
        environment: more of it for the server. inside: words before its command, e.g. nsenter and what belongs to it."""
        # A socket's path has room for some 100 bytes only, hence not TMPDIR.
        self.temporary = directory is None
        self.home = directory or tempfile.mkdtemp(prefix='gyro-pg-', dir='/tmp')
        os.makedirs(self.home, exist_ok=True)
        self.data = os.path.join(self.home, 'data')
        self.log = os.path.join(self.home, 'log')
        self.tcp = tcp
        self.port = free_port() if tcp else 5432
        self.settings = {**SETTINGS, **(settings or {})}
        self.environment, self.inside = environment or {}, list(inside)
        self.server = self.guardian = None
        user = server_user()
        if user:
            os.chown(self.home, user.pw_uid, user.pw_gid)
        os.chmod(self.home, 0o700)
        atexit.register(self.close)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def conninfo(self, database=DATABASE, host=None):
        """For libpq. host: e.g. 127.0.0.1 with tcp; else the socket's directory."""
        return f'host={host or self.home} port={self.port} user={ROLE} dbname={database}'

    def start(self):
        """Starts the server, making the cluster if there is none; returns when it takes connections."""
        if not os.path.exists(os.path.join(self.data, 'PG_VERSION')):
            self._initdb()
        if self.guardian is None:
            self._guard()
        # A child of ours, not of pg_ctl: a killed one must be reaped before PostgreSQL believes that it is gone.
        with open(self.log, 'ab') as log:
            words = ['env', *(f'{name}={value}' for name, value in self.environment.items()), binary('postgres')]
            self.server = subprocess.Popen([*self.inside, *as_server([*words, '-D', self.data])], cwd='/', stdout=log,
                                           stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self._wait_ready()
        if self.query("SELECT 1 FROM pg_database WHERE datname = '%s'" % DATABASE, 'postgres') == []:
            self.create(DATABASE)
        return self

    def follow(self, primary):
        """Becomes a standby of another of these, from a fresh copy of it; what it held is gone. start() is left to the
        caller. On its own it waits for no standby."""
        self.stop('immediate')
        shutil.rmtree(self.data, ignore_errors=True)
        self._run('pg_basebackup', '-D', self.data, '-d', primary.conninfo('postgres'), '-R', '-X', 'stream', '-c', 'fast',
                  '--no-sync')
        with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='utf-8') as file:
            file.write(f"unix_socket_directories = '{self.home}'\nport = {self.port}\n")
        with open(os.path.join(self.data, 'postgresql.auto.conf'), 'a', encoding='utf-8') as file:
            file.write("synchronous_standby_names = ''\n")

    def promote(self):
        """From a standby to a primary; returns when it takes writes."""
        self._run('pg_ctl', '-D', self.data, '-w', '-t', str(START_S), '-s', 'promote')

    def stop(self, mode='fast'):
        """Stops it: fast (clean), or immediate (like a crash: recovery at the next start)."""
        pids = self.pids()
        if pids:
            self._run('pg_ctl', '-D', self.data, '-w', '-t', str(START_S), '-s', '-m', mode, 'stop')
            self._reap(pids)

    def kill(self):
        """kill -9 of the postmaster; its children end by themselves, and are waited for."""
        pids = self.pids()
        os.kill(pids[0], signal.SIGKILL)
        self._reap(pids)

    def restart(self, mode='fast'):
        self.stop(mode)
        self.start()

    def pid(self):
        """Of the postmaster, None if it does not run."""
        try:
            pid = int(pathlib.Path(self.data, 'postmaster.pid').read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None
        return pid if alive(pid) else None

    def pids(self):
        """The postmaster first, then its children."""
        pid = self.pid()
        return [pid, *children(pid)] if pid else []

    def create(self, database, template=None):
        """Makes a database, empty or a copy of another to which nobody is connected."""
        source = f' TEMPLATE "{template}"' if template else ''
        self.query(f'CREATE DATABASE "{database}"{source}', 'postgres')

    def drop(self, database):
        self.query(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)', 'postgres')

    def query(self, sql, database=DATABASE):
        """The rows as lists of strings; '' is NULL or empty. Raises RuntimeError with the server's words."""
        run = self.psql(sql, database)
        if run.returncode:
            raise RuntimeError(run.stderr.strip() or f'psql ended with {run.returncode}')
        return [line.split('\t') for line in run.stdout.splitlines()]

    def value(self, sql, database=DATABASE):
        """The only column of the only row."""
        rows = self.query(sql, database)
        if len(rows) != 1 or len(rows[0]) != 1:
            raise RuntimeError(f'one value expected, got {rows}: {sql}')
        return rows[0][0]

    def psql(self, sql, database=DATABASE):
        """The finished psql process, whatever its outcome."""
        return subprocess.run([binary('psql'), '-X', '-q', '-A', '-t', '-F', '\t', '-v', 'ON_ERROR_STOP=1',
                               '-d', self.conninfo(database), '-f', '-'], input=sql, capture_output=True, text=True)

    def close(self):
        """Stops the server and removes what was made. Harmless to repeat."""
        atexit.unregister(self.close)
        self.stop('immediate' if self.temporary else 'fast')
        if self.temporary:
            shutil.rmtree(self.home, ignore_errors=True)
        if self.guardian:
            self.guardian.stdin.close()
            self.guardian.wait()
            self.guardian = None

    def _initdb(self):
        self._run('initdb', '-D', self.data, '-U', ROLE, '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync',
                  '--no-instructions')
        settings = {**self.settings, 'port': self.port, 'unix_socket_directories': self.home,
                    'listen_addresses': '127.0.0.1' if self.tcp else ''}
        with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='utf-8') as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")

    def _wait_ready(self):
        """The last line of postmaster.pid is the state that the server writes itself."""
        end = time.monotonic() + START_S
        while True:
            try:
                lines = pathlib.Path(self.data, 'postmaster.pid').read_text().splitlines()
            except FileNotFoundError:
                lines = []
            if len(lines) > 7 and lines[0] == str(self.server.pid) and lines[7].strip() in ('ready', 'standby'):
                return
            if self.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f'PostgreSQL does not start:\n{self.tail()}')
            time.sleep(0.02)

    def _reap(self, pids):
        wait_gone(pids)
        if self.server:
            self.server.wait()
            self.server = None

    def _run(self, program, *arguments):
        run = subprocess.run(as_server([binary(program), *arguments]), cwd='/', stdin=subprocess.DEVNULL,
                             capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f'{program} failed: {run.stdout}{run.stderr}\n{self.tail()}')

    def tail(self, lines=20):
        """The last lines of the server's log."""
        try:
            return '\n'.join(pathlib.Path(self.log).read_text(errors='replace').splitlines()[-lines:])
        except FileNotFoundError:
            return ''

    def _guard(self):
        """A process that cleans up when this one is gone, even by kill -9: its standard input ends."""
        self.guardian = subprocess.Popen([sys.executable, os.path.abspath(__file__), self.home,
                                          'remove' if self.temporary else 'keep'], stdin=subprocess.PIPE,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def guard(home, temporary):
    """Waits for the end of the test, then stops what it left behind."""
    sys.stdin.buffer.read()
    left = Postgres.__new__(Postgres)
    left.server = None
    left.home, left.data, left.log = home, os.path.join(home, 'data'), os.path.join(home, 'log')
    try:
        left.stop('immediate' if temporary else 'fast')
    finally:
        if temporary:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == '__main__':
    guard(sys.argv[1], sys.argv[2] == 'remove')
