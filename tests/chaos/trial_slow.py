"""P8: a slow database degrades, it doesn't collapse: rows that an operator holds, statements that take long, a server
that stands still. No answer is late, what can't be served is refused early, and afterwards all is as before."""
import os
import signal
import statistics
import time

from proof import audited, figures, psql, story, totals
from stack import Gateway, Stack

DEADLINE_MS, AGE_MS, QUEUE = 1500, 500, 20
# What the machine, the client's own clock and its turn in the loop may add. A stall is longer than both together.
MARGIN_S = 0.7
STALL_S = 3.5

DELAY = '''
CREATE FUNCTION public.delay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$;
CREATE TRIGGER delay AFTER UPDATE ON gyro.account FOR EACH STATEMENT EXECUTE FUNCTION public.delay();
'''
UNDELAY = 'DROP TRIGGER delay ON gyro.account; DROP FUNCTION public.delay();'


def hold(stack, seconds):
    """An operator's transaction on the accounts of the first 20 subscribers."""
    holder = psql(stack.conninfo())
    holder.stdin.write('BEGIN; SELECT count(*) FROM (SELECT FROM gyro.account WHERE account_id < 1020 '
                       'ORDER BY account_id FOR UPDATE) held;\n')
    holder.stdin.flush()
    holder.stdout.readline()
    begin = time.time()
    time.sleep(seconds)
    end = time.time()
    holder.communicate('ROLLBACK;\n', timeout=20)
    return begin, end


def delayed(stack, seconds, pause):
    stack.pg.query(DELAY.format(pause))
    begin = time.time()
    time.sleep(seconds)
    end = time.time()
    stack.pg.query(UNDELAY)
    return begin, end


def stalled(stack, seconds, _):
    """The server's processes for the nodes stand still, in whatever they were doing."""
    pids = [int(row[0]) for row in stack.pg.query(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")]
    begin = time.time()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    return begin, time.time()


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, len(values) * p // 100)] if values else 0.0


def during(sent, window):
    return [s for s in sent if window[0] <= s.at <= window[1]]


def judge(tap, name, what, sent, window, served=True, refused=True):
    """Figures of one hardship, and that nothing in it was late."""
    part = during(sent, window)
    good = [s.latency for s in part if s.code == 2001]
    no = [s.latency for s in part if s.code in (3004, 5012)]
    silent = sum(s.code == 0 for s in part)
    late = [s.latency for s in part if s.latency is not None and s.latency > DEADLINE_MS / 1000 + MARGIN_S]
    figures(f'{name}, {what}', seconds=round(window[1] - window[0], 1), sent=len(part), served=len(good), refused=len(no),
            silence=silent, p50_ms=round(1000 * percentile(good, 50), 1), p99_ms=round(1000 * percentile(good, 99), 1),
            refused_after_ms=round(1000 * statistics.median(no), 1) if no else 'none',
            latest_ms=round(1000 * max((s.latency for s in part if s.latency is not None), default=0)))
    tap.ok(part and not late, f'{name}: {what}: no answer after the deadline', f'{len(part)} sent, late {late[:20]}')
    tap.ok(len(good) > 0 or not served, f'{name}: {what}: what can be served is served', part[:3])
    tap.ok(len(no) > 0 or not refused, f'{name}: {what}: the rest is refused early', part[:3])


def run(tap, build, rng, rounds, keep, short):
    name = 'P8 a slow database'
    times = 1 if short else 4
    settings = {'deadline_ms': DEADLINE_MS, 'queue_age_ms': AGE_MS, 'queue_max': QUEUE, 'batch_max': 8}
    with Stack(build, keep=keep, node_settings=settings) as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=110, pause_ms=200,
                          copies_percent=10, parallel_percent=20, timeout_s=5.0, give_up_s=120)
        time.sleep(1)
        held, slow, still, calm = [], [], [], []
        for _ in range(times):
            held.append(hold(stack, 3))
            time.sleep(2)
            slow.append(delayed(stack, 3, 0.15))
            time.sleep(2)
            still.append(stalled(stack, STALL_S, rng))
            time.sleep(2)
            calm.append((time.time(), time.time() + 1))
            time.sleep(1)
        totals(tap, gateway.finish(), name, 500)
        sent = story([log])
        rows = dict(stack.pg.query('SELECT session_id, account_id FROM gyro.session_index'))
        for n in range(times):
            of_held = [s for s in sent if int(rows.get(s.request[0], 9999)) < 1020]
            judge(tap, name, 'rows held by others', of_held, held[n], served=False)
            others = [s for s in sent if int(rows.get(s.request[0], 0)) >= 1020]
            judge(tap, name, 'and the rows beside them', others, held[n], refused=False)
            judge(tap, name, 'statements delayed by 150 ms', sent, slow[n])
            judge(tap, name, f'a server that stands still for {STALL_S} s', sent, still[n], served=False)
            judge(tap, name, 'afterwards', sent, calm[n], refused=False)
            after = during(sent, calm[n])
            tap.ok(sum(s.code not in (2001, 5002) for s in after) * 20 <= len(after),
                   f'{name}: afterwards: (nearly) nothing is refused any more')
        audited(tap, stack, [log], name)
