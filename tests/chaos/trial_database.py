"""P3: a crash of the database loses nothing and says yes to nothing. P5: a cut short wait for a standby is no answer."""
import os
import random
import signal
import time

from proof import audited, figures, spread, story, totals
from stack import Gateway, Stack

CRASHES = ('immediate', 'kill -9', 'kill -9 of a backend')


def backends(stack):
    return [int(row[0]) for row in stack.pg.query(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")]


def crash(stack, rng, how):
    """Lets it crash and come back. Returns (down, up begins, up, how); a backend's death has no gap to look at."""
    begun = time.time()
    if how == 'immediate':
        stack.pg.stop('immediate')
    elif how == 'kill -9':
        stack.pg.kill()
    else:
        os.kill(rng.choice(backends(stack)), signal.SIGKILL)
        time.sleep(0.2)
        return begun, begun, time.time(), how
    down = time.time()
    time.sleep(rng.uniform(0.1, 0.8))
    up = time.time()
    stack.pg.start()
    return down, up, time.time(), how


def answers_between(sent, begin, end):
    """Of transmissions that began and ended in there."""
    return [s for s in sent if s.at > begin and s.answered_at is not None and s.answered_at < end]


def crashes(tap, build, rng, rounds, keep):
    name = 'P3 crashes of the database'
    with Stack(build, keep=keep and f'{keep}/P3') as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=40,
                          copies_percent=10, parallel_percent=25, timeout_s=1.0)
        events = []
        for n in range(rounds):
            time.sleep(rng.uniform(0.4, 1.2))
            events.append(crash(stack, rng, CRASHES[n % len(CRASHES)]))
        time.sleep(1)
        tap.ok(gateway.running(), f'{name}: the client runs through all of it')
        totals(tap, gateway.finish(), name, rounds * 5)
        sent = story([log])
        gaps = [answers_between(sent, down, begin) for down, begin, _, _ in events]
        codes = sorted({s.code for gap in gaps for s in gap})
        good = sorted(s.answered_at for s in sent if s.code == 2001)
        back = [next((t for t in good if t > up), up) - up for _, _, up, how in events if how in CRASHES[:2]]
        figures(name, crashes=len(events), refusals_in_the_gaps=sum(map(len, gaps)), codes_there=codes,
                database_up_to_first_success=spread(back))
        tap.ok(not set(codes) - {3004, 5012}, f'{name}: without a database nothing but 3004 and 5012', codes)
        tap.ok(sum(map(len, gaps)) > 0, f'{name}: and these were said, so gateways can turn elsewhere')
        audited(tap, stack, [log], name)


def cancel_waiting(stack, seconds, rng):
    """Cuts short every wait for the standby that isn't there; by pg_cancel_backend, sometimes by ending the backend."""
    count = 0
    end = time.time() + seconds
    while time.time() < end:
        cut = 'pg_terminate_backend' if rng.random() < 0.2 else 'pg_cancel_backend'
        count += int(stack.pg.value(f"SELECT count({cut}(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
        time.sleep(rng.uniform(0.02, 0.15))
    return count


def standby(stack, name):
    stack.pg.query(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    stack.pg.query('SELECT pg_reload_conf()')
    end = time.time() + 10
    while stack.pg.value('SHOW synchronous_standby_names') != name and time.time() < end:
        time.sleep(0.02)
    # The others take it over between two commands; and what waits by the old name is let go.
    time.sleep(0.3)


def cut_waits(tap, build, rng, seconds, keep):
    name = 'P5 cut waits for a standby'
    with Stack(build, keep=keep and f'{keep}/P5') as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=20,
                          copies_percent=20, timeout_s=1.0, give_up_s=90)
        time.sleep(1)
        standby(stack, 'nobody')
        begin = time.time()
        cut = cancel_waiting(stack, seconds, rng)
        end = time.time()
        unheard = int(stack.pg.value(f'SELECT count(*) FROM gyro.record WHERE at > to_timestamp({begin})'))
        standby(stack, '')
        time.sleep(1)
        totals(tap, gateway.finish(), name, 100)
        said = answers_between(story([log]), begin, end)
        codes = sorted({s.code for s in said})
        figures(name, seconds_without_standby=round(end - begin, 1), waits_cut=cut, answers_meanwhile=len(said),
                codes=codes, records_committed_here_only=unheard)
        tap.ok(cut > 0 and unheard > 0, f'{name}: waits were cut, after commits that no standby has', (cut, unheard))
        tap.ok(not set(codes) - {3004, 5012}, f'{name}: none was answered as a success', codes)
        audited(tap, stack, [log], name)


def run(tap, build, rng, rounds, keep, short):
    crashes(tap, build, random.Random(rng.getrandbits(32)), max(3, rounds // 4), keep)
    cut_waits(tap, build, random.Random(rng.getrandbits(32)), 4 if short else 20, keep)
