"""P7: a full disk is no reason to lie. PostgreSQL's directory lies on a small file system, which fills up under load:
once so that rows find no room, and once so that the WAL finds none and the server goes down. While there is no room
gateways are refused, early; nothing that was answered is lost; when there is room again all goes on by itself."""
import ctypes
import errno
import os
import pathlib
import shutil
import subprocess
import time

from postgres import Postgres
from proof import audited, figures, psql, story, totals
from stack import SETTINGS, Gateway, Stack

SIZE, WAL_MB = '192m', 192
CLONE_NEWNS = 0x20000
DEADLINE_MS, AGE_MS = 2000, 500
# A refusal is early: half of the deadline, and what the client's own turn may add.
EARLY_S = DEADLINE_MS / 2000 + 0.7
BACK_S = 5


def own_mounts():
    """From here on mounts are this process's and its children's, and end with them. An error as text, or None."""
    if os.getuid() != 0:
        return 'only root can mount a small file system'
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        return f'no mounts of our own: {os.strerror(ctypes.get_errno())}'
    run = subprocess.run(['mount', '--make-rprivate', '/'], capture_output=True, text=True)
    return run.stderr.strip() or None


class SmallPostgres(Postgres):
    """Its data directory, WAL and all, is a file system of SIZE. The log is elsewhere."""

    def __init__(self):
        super().__init__(settings=SETTINGS)
        os.mkdir(self.data)
        self.mount()

    def mount(self):
        run = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SIZE},mode=0700', 'gyro-small', self.data],
                             capture_output=True, text=True)
        if run.returncode:
            self.close()
            raise OSError(run.stderr.strip())
        home = os.stat(self.home)
        os.chown(self.data, home.st_uid, home.st_gid)

    def close(self):
        self.stop('immediate')
        subprocess.run(['umount', self.data], capture_output=True)
        super().close()

    def fill(self):
        """Not an octet is left."""
        with open(os.path.join(self.data, 'ballast'), 'ab', buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise

    def free(self):
        os.unlink(os.path.join(self.data, 'ballast'))

    def room(self):
        return shutil.disk_usage(self.data).free


def no_room_for_rows(stack, seconds):
    """Tables can't grow any more; the WAL still has its segment. Returns (full, free again)."""
    begin = time.time()
    end = begin + seconds
    while time.time() < end:
        stack.pg.fill() # what the server itself gives back is taken, too
        time.sleep(0.05)
    room = time.time()
    stack.pg.free()
    return begin, room, room


def no_room_for_wal(stack, seconds):
    """The WAL's next segment finds no place: the server panics, and can't come up again. Who looks after it (systemd)
    starts it until it stays up. Returns (full, free again, up)."""
    pg = stack.pg
    # Opened while there is room: a new connection may find none for the files that it begins with.
    operator = psql(stack.conninfo())
    operator.stdin.write('SELECT 1;\n')
    operator.stdin.flush()
    operator.stdout.readline()
    begin = time.time()
    pg.fill()
    # More than segments that are kept for later have room for; the connection ends before.
    operator.communicate(f"SELECT pg_logical_emit_message(false, '', repeat('x', {1 << 20}));\n" * WAL_MB, timeout=60)
    pg.server.wait(30)
    stays = time.time() + seconds
    tries = 0
    while time.time() < stays:
        tries += not started(pg)
        time.sleep(0.2)
    room = time.time()
    pg.free()
    while not started(pg):
        time.sleep(0.2)
    return begin, room, time.time(), tries


def started(pg):
    try:
        pg.start()
        return True
    except RuntimeError:
        return False


def during(sent, begin, end):
    return [s for s in sent if begin < s.at < end]


def judge(tap, name, sent, begin, room, up, silence):
    """silence: whether a server that goes down may leave the outcome of some open."""
    part = during(sent, begin, room)
    answered = [s for s in part if s.code]
    refused = sorted(s.latency for s in answered if s.code in (3004, 5012))
    good = sum(s.code == 2001 and s.answered_at < room for s in answered)
    back = next((s.answered_at for s in sorted((s for s in sent if s.code == 2001 and s.at > up),
                                               key=lambda s: s.answered_at)), None)
    figures(name, seconds=round(room - begin, 1), sent=len(part), refused=len(refused), served=good,
            silence=len(part) - len(answered), refused_after_ms=round(1000 * refused[len(refused) // 2], 1) if refused else 'none',
            at_most_ms=round(1000 * refused[-1], 1) if refused else 'none',
            room_to_first_success_ms=round(1000 * (back - up)) if back else 'none')
    codes = {s.code for s in answered} - {2001, 3004, 5012}
    tap.ok(not codes, f'{name}: nothing is said but the truth: served, or 3004 and 5012', codes)
    tap.ok(refused and refused[-1] < EARLY_S, f'{name}: refusals are early', refused[-10:])
    tap.ok(silence or len(answered) == len(part), f'{name}: nobody is left without an answer', len(part) - len(answered))
    tap.ok(back is not None and back - up < BACK_S, f'{name}: served again once there is room, by itself', back and back - up)


def run(tap, build, rng, rounds, keep, short):
    name = 'P7 a full disk'
    seconds = 3 if short else 15
    why = own_mounts()
    if why is None:
        try:
            pg = SmallPostgres()
        except OSError as e:
            why = str(e)
    if why:
        tap.skip(name, why)
        return
    with Stack(build, keep=keep, pg=pg, node_settings={'deadline_ms': DEADLINE_MS, 'queue_age_ms': AGE_MS}) as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=40,
                          copies_percent=10, parallel_percent=25, timeout_s=2.5, give_up_s=120)
        time.sleep(1)
        rows, wal, tries = [], [], 0
        for _ in range(1 if short else 3):
            rows.append(no_room_for_rows(stack, seconds))
            time.sleep(2)
            *window, n = no_room_for_wal(stack, seconds)
            wal.append(window)
            tries += n
            time.sleep(2)
        tap.ok(gateway.running(), f'{name}: the client runs through all of it')
        totals(tap, gateway.finish(), name, 100)
        sent = story([log])
        said = pathlib.Path(pg.log).read_text(errors='replace')
        figures(name, no_space_left_said=said.count('No space left'), panics=said.count('PANIC'), starts_in_vain=tries)
        tap.ok('PANIC' in said and tries > 0, f'{name}: the server went down for it, and did not come up without room', pg.tail())
        for window in rows:
            judge(tap, f'{name}, no room for rows', sent, *window, silence=False)
        for window in wal:
            judge(tap, f'{name}, no room for the WAL', sent, *window, silence=True)
        audited(tap, stack, [log], name)
