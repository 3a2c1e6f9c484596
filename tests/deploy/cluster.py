#!/usr/bin/python3
"""deploy/postgres/cluster: private, durable, several at once, gone when stopped; as root and as an ordinary user.

cluster.py CLUSTER
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLUSTER = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(CLUSTER.parents[2] / 'tests/lib'))
from tap import Tap

ROOT = os.geteuid() == 0


def run(*words, user=None):
    command = [str(w) for w in words]
    if user:
        command = ['setpriv', '--reuid', user, '--regid', 'nogroup', '--clear-groups', *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd='/', timeout=90)


def cluster(action, folder, *words, user=None):
    done = run(CLUSTER, action, folder, *words, user=user)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def ask(conninfo, sql, user=None):
    done = run('psql', '-XAtwc', sql, conninfo, user=user)
    return done.stdout.strip() or done.stderr.strip()


def postmaster(folder):
    return int((folder / 'data/postmaster.pid').read_text().split()[0])


def alive(pid):
    """A zombie that its parent hasn't fetched is dead."""
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def gone(pid):
    limit = time.monotonic() + 10
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    return not alive(pid)


def half_made(tap, place):
    """Killed right before the new data directory gets its name, and right after: the next start makes the cluster."""
    for when, script in (('before', 'kill -9 $PPID'), ('after', '/bin/mv "$@"; kill -9 $PPID')):
        tools, folder = place / f'tools-{when}', place / f'half-{when}'
        tools.mkdir()
        (tools / 'mv').write_text(f'#!/bin/sh\n{script}\n')
        (tools / 'mv').chmod(0o755)
        done = subprocess.run([CLUSTER, 'start', folder], env={**os.environ, 'PATH': f'{tools}:{os.environ["PATH"]}'}, capture_output=True,
                              check=False, timeout=90, stdin=subprocess.DEVNULL)
        tap.equal((done.returncode, (folder / 'data').exists()), (-signal.SIGKILL, when == 'after'), f'killed {when} the data get their name')
        status, conninfo, said = cluster('start', folder)
        tap.equal((status, ask(conninfo, 'SELECT current_database()')), (0, 'gyro'), f'the next start makes the rest {said}')
        cluster('stop', folder)


def life(tap, place):
    a, b = place / 'a', place / 'b'
    starts = [subprocess.Popen([CLUSTER, 'start', f], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for f in (a, b, a)]
    first, second, again = [(*(s.strip() for s in p.communicate(timeout=90)), p.returncode) for p in starts]
    tap.ok(first[2] == second[2] == again[2] == 0 and first[0] == again[0] != second[0],
           'two at once, one of them started twice at once', (first, second, again))
    conninfo = first[0]
    tap.equal(ask(conninfo, 'SELECT current_user, current_database()'), 'gyro|gyro', 'the conninfo leads to the database gyro')
    tap.equal(ask(conninfo, 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'), 'f', 'whose owner is no superuser')
    for name, value in (('fsync', 'on'), ('synchronous_commit', 'on'), ('full_page_writes', 'on'), ('data_checksums', 'on'),
                        ('listen_addresses', ''), ('wal_compression', 'lz4'), ('jit', 'off')):
        tap.equal(ask(conninfo, f'SHOW {name}'), value, f'{name} = {value or "nothing"}')
    mode = os.stat(conninfo.split()[0].partition('=')[2]).st_mode & 0o777
    tap.equal(oct(mode), '0o700', 'the directory of the socket is closed to others')

    ask(conninfo, 'CREATE TABLE kept AS SELECT 1 AS x')
    pid = postmaster(a)
    tap.equal(cluster('stop', a)[0], 0, 'stop')
    tap.ok(gone(pid) and cluster('status', a)[0] != 0, 'and no process is left')
    tap.equal(cluster('status', b)[0], 0, 'the other one still runs')
    tap.equal(cluster('stop', a)[0], 0, 'a second stop does no harm')
    tap.equal(cluster('start', a, 'work_mem=8MB', 'work_mem=9MB')[:2], (0, conninfo), 'started again, at the same place')
    tap.equal((ask(conninfo, 'SELECT x FROM kept'), ask(conninfo, 'SHOW work_mem')), ('1', '9MB'), 'with its data, and the new setting')

    os.kill(postmaster(a), signal.SIGKILL)
    tap.ok(gone(postmaster(a)), 'killed')
    time.sleep(0.3) # its children notice
    tap.equal(cluster('start', a)[:2], (0, conninfo), 'starts after kill -9')
    tap.equal(cluster('stop', a, 'immediate')[0], 0, 'stops at once')
    tap.equal(cluster('start', a)[:2], (0, conninfo), 'and starts after that, at the same place')
    tap.equal(ask(conninfo, 'SELECT x FROM kept'), '1', 'with its data')
    tap.ok(cluster('start', a, 'rm -rf')[0] == 1, 'what is no NAME=VALUE is refused')


def far_away(tap, place):
    """Unix sockets have short names; directories don't."""
    deep = place / ('deep' * 20) / 'with blanks and ü' / 'c'
    rc, conninfo, said = cluster('start', deep)
    tap.equal(rc, 0, 'a path too long for a socket, with blanks')
    tap.equal(ask(conninfo, 'SELECT 1'), '1', 'answers')
    socket_dir = pathlib.Path(conninfo.split()[0].partition('=')[2])
    tap.ok(len(str(socket_dir)) < 60, 'its socket is elsewhere', f'{conninfo}\n{said}')
    cluster('stop', deep)
    tap.ok(not socket_dir.exists(), 'and gone with it')
    tap.equal(cluster('start', deep)[:2], (0, conninfo), 'until the next start')
    cluster('stop', deep)


def other_user(tap, place):
    if not ROOT or run('test', '-x', CLUSTER, user='nobody').returncode:
        print('# not root, or the tree is closed to nobody: other users are not played')
        return
    own, closed = place / 'nobody', place / 'closed'
    own.mkdir()
    shutil.chown(own, 'nobody')
    rc, conninfo, said = cluster('start', own / 'c', user='nobody')
    tap.equal((rc, ask(conninfo, 'SELECT current_user', user='nobody')), (0, 'gyro'), f'an ordinary user has one, too {said}')
    tap.ok('authentication failed' in ask(conninfo, 'SELECT 1') or 'denied' in ask(conninfo, 'SELECT 1'),
           'which is that user\'s alone')
    cluster('stop', own / 'c', user='nobody')
    closed.mkdir(mode=0o700)
    shutil.chown(closed, 'nobody')
    rc, _, said = cluster('start', closed / 'c')
    tap.ok(rc == 1 and 'closed to others' in said, 'a place that postgres cannot reach is refused, with the reason', said)


def main():
    tap = Tap()
    place = pathlib.Path(tempfile.mkdtemp(prefix='gyro-cluster.'))
    try:
        half_made(tap, place)
        life(tap, place)
        far_away(tap, place)
        os.chmod(place, 0o755)
        other_user(tap, place)
    finally:
        for data in place.glob('**/data'):
            cluster('stop', data.parent, 'immediate')
        shutil.rmtree(place)
    tap.done()


if __name__ == '__main__':
    main()
