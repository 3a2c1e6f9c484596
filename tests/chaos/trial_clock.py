"""P9: clocks may jump. The clock of the database's host, of the nodes' host, or of both is set forward and back under
load. Deadlines go by a clock that nobody sets; sessions expire by the database's alone; the money is right whatever the
clock says.

The clock is libfaketime's (Debian's package faketime), which stands between the programs and the kernel's: the machine's
own is left alone."""
import glob
import os
import time

from postgres import Postgres
from proof import audited, figures, story, totals
from stack import SETTINGS, Gateway, Stack

LIBRARY = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')
HOUR = 3600
DATABASE, NODES, BOTH = ('database',), ('nodes',), ('database', 'nodes')
# Three hours are longer than any session is left without a sign of life: open sessions expire.
STEPS = ((DATABASE, HOUR), (DATABASE, 0), (DATABASE, -HOUR), (NODES, HOUR), (NODES, -HOUR), (BOTH, 0),
         (DATABASE, 3 * HOUR), (BOTH, HOUR), (BOTH, 0))
CALM_S = 4
# Times don't tell the order of what was recorded; this does. A record is made while its account's row is locked.
ORDER = '''
CREATE TABLE public.recorded (place bigserial, session uuid, opened timestamptz, type smallint, number bigint);
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.recorded (session, opened, type, number)
        VALUES (NEW.session, NEW.opened, NEW.request_type, NEW.request_number);
    RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON gyro.record FOR EACH ROW EXECUTE FUNCTION public.note();
'''


class Clock:
    """What a host's clock says beside the machine's own; for the programs that are started with its environment."""

    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, offset):
        new = self.path + '.new'
        with open(new, 'w', encoding='ascii') as file:
            file.write(f'{offset:+d}\n')
        os.chmod(new, 0o644)
        os.rename(new, self.path)

    def environment(self):
        return {'LD_PRELOAD': LIBRARY[0], 'FAKETIME_TIMESTAMP_FILE': self.path, 'FAKETIME_NO_CACHE': '1',
                'FAKETIME_DONT_FAKE_MONOTONIC': '1'}


def sweep_traces():
    """What the library leaves behind for each process that was killed."""
    for path in glob.glob('/dev/shm/*faketime_s*_*'):
        if not os.path.exists(f'/proc/{path.rpartition("_")[2]}'):
            os.unlink(path)


def order(stack):
    """For the auditor: a key of records and payments, which were all before them."""
    places = {(session, int(opened), int(kind), int(number)): int(place) for session, opened, kind, number, place in stack.pg.query(
        "SELECT session, (extract(epoch FROM opened) * 1000000)::bigint, type, number, min(place) FROM public.recorded "
        "GROUP BY 1, 2, 3, 4")}
    return lambda e: places[e.session, e.opened, e.kind, e.number] if hasattr(e, 'session') else 0


def steps(clocks, rng, times):
    """(who, offset, when) of each step."""
    out = []
    for _ in range(times):
        for hosts, offset in STEPS:
            time.sleep(rng.uniform(1.2, 2))
            for host in hosts:
                clocks[host].set(offset)
            out.append((' and '.join(hosts), offset, time.time()))
    time.sleep(2)
    return out


def longest_pause(good, begin, end):
    times = [begin, *(t for t in good if begin < t < end), end]
    return max(b - a for a, b in zip(times, times[1:]))


def run(tap, build, rng, rounds, keep, short):
    name = 'P9 clocks that jump'
    if not LIBRARY:
        tap.skip(name, 'no libfaketime: apt-get install faketime')
        return
    pg = Postgres(settings=SETTINGS)
    clocks = {'database': Clock(os.path.join(pg.home, 'clock'))}
    pg.environment = clocks['database'].environment()
    # Beside the database's, whose directory goes with it.
    clocks['nodes'] = Clock(os.path.join(pg.home, 'clock-of-nodes'))
    with Stack(build, keep=keep, pg=pg, more_sql=ORDER, environment=clocks['nodes'].environment()) as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=40,
                          copies_percent=10, parallel_percent=25, overtake_percent=10, timeout_s=2.0)
        begin = time.time()
        made = steps(clocks, rng, 1 if short else 10)
        end = time.time()
        tap.ok(gateway.running(), f'{name}: the client runs through all of it')
        totals(tap, gateway.finish(), name, 100)
        sent = story([log])
        good = sorted(s.answered_at for s in sent if s.code == 2001)
        pauses = {f'{who} {offset / HOUR:+.0f} h': round(longest_pause(good, at, at + 1.2), 2) for who, offset, at in made}
        codes = {code: sum(s.code == code for s in sent) for code in sorted({s.code for s in sent})}
        figures(name, steps=len(made), codes=codes, longest_pauses=pauses)
        tap.ok(longest_pause(good, begin + 1, end) < CALM_S, f'{name}: no step stops the service', pauses)
        audited(tap, stack, [log], name, order=order(stack))
    sweep_traces()
