#!/usr/bin/python3
"""What a node must not be left in by a bad moment: a lane that refuses for ever because it was slow once, one that spins
while the database is away, and what waited while the whole process stood still (G-35, G-94, G-95, P8).

lanes.py. The bad moments are made: triggers and locks that delay every round trip, a database that is stopped in the middle
of a COMMIT, SIGSTOP for the node itself.
"""
import os
import pathlib
import signal
import threading
import time

from family import INITIAL, P, T, TERMINATION, UPDATE, Site, Tap, arguments, collect, hop, sanitized, service, until

MIB = 1 << 20
DEADLINE_S, AGE_S = 4, 1
DOIC = ('OC-Supported-Features', [('OC-Feature-Vector', 1)])
LATE = 'waited too long here'


class Delay:
    """Every statement that updates one of these tables, or might, takes that much longer; until the context ends."""

    def __init__(self, site, **seconds):
        self.site, self.seconds = site, seconds

    def __enter__(self):
        self.site.pg.query("""CREATE FUNCTION public.delay() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(tg_argv[0]::float8); RETURN NULL; END $$;""" + ''.join(
                f'CREATE TRIGGER delay AFTER UPDATE ON gyro.{table} FOR EACH STATEMENT EXECUTE FUNCTION public.delay({seconds});'
                for table, seconds in self.seconds.items()))
        return self

    def __exit__(self, *_):
        """Returns when the last statement that it delays has ended."""
        self.site.pg.query('DROP FUNCTION public.delay() CASCADE')


def slow_once(tap, site, imsi):
    """The first batch of a node: its gateway is new, then tells its Origin-State-Id, both slowly but each in time; then the
    answer to the COMMIT does not come. All together longer than the deadline."""
    with site.node.client('pgw1') as gateway:
        raw = gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi, more=[('Origin-State-Id', 7)])
        with Delay(site, gateway=1.3, account=1.9):
            gateway.send(raw)
            served = [a.result for a in collect(gateway, {hop(raw)}, DEADLINE_S + 1).values()]
        tap.ok(2001 not in served, f'the first batch takes longer than {DEADLINE_S} s', f'{served}\n{site.node.tail()}')
        session = gateway.session()
        codes = [gateway.ask(gateway.ccr(session, INITIAL if n == 0 else UPDATE, n, [service(10, used=MIB if n else None)], who=imsi)).result
                 for n in range(3)]
        tap.equal(codes, [2001] * 3, 'when the database is as fast as ever, the next requests are served')
        gateway.charge(session, TERMINATION, 3, [service(10, rsu=None)], who=imsi)


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def unsettled(tap, site, imsi):
    """The database is gone after a COMMIT was sent: the lane owes an exact answer, and waits for the database with it."""
    with site.node.client('pgw1') as gateway:
        session = gateway.session()
        gateway.charge(session, INITIAL, 0, [service(10)], who=imsi)
        began = len(site.node.said())
        raw = gateway.ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsi)
        with Delay(site, account=1):
            gateway.send(raw)
            time.sleep(0.4)
            site.pg.kill()
            until(lambda: 'no database' in site.node.said(began), 2)
            before = cpu_seconds(site.node.pid)
            early = collect(gateway, {hop(raw)}, 1.5)
            used = cpu_seconds(site.node.pid) - before
            tap.ok(not early and 'outcome unknown' in site.node.said(began), 'a COMMIT whose outcome is unknown: nothing is said yet',
                   f'{early}\n{site.node.tail()}')
            tap.ok(used < 0.4, 'the node waits for the database without spinning', f'{used:.2f} s of CPU in 1.5 s')
            site.pg.start()
        served = until(lambda: gateway.ask(gateway.ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsi, flags=P | T)).result == 2001,
                       10, 0.1)
        tap.equal((served, site.records(session)), (True, (2, 100_000)), 'it is charged once when the database is back')


def flood(gateway, node, imsi, still_s):
    """More faulty requests at once than the node has read when it is stopped, for so long: no lane ever sees them. (how many
    there were, their answers)."""
    raws = [gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi, omit=['Service-Context-Id'])
            for _ in range(2000 if sanitized() else 6000)]
    sender = threading.Thread(target=gateway.send, args=[b''.join(raws)])
    sender.start()
    gateway.receive()  # it is at work
    os.kill(node.pid, signal.SIGSTOP)
    time.sleep(still_s)
    os.kill(node.pid, signal.SIGCONT)
    got = collect(gateway, {hop(raw) for raw in raws}, still_s + 3)
    sender.join()
    return len(raws) - 1, list(got.values())


def stood_still(tap, site, imsi, still_s, hit):
    """Again until some waited between being read and being looked at while the node stood still: hit(sent, answers)."""
    for n in range(8):
        with site.node.client(f'flood{n}', timeout=30) as gateway:
            sent, answers = flood(gateway, site.node, imsi, still_s)
        late = sum(LATE in (a['Error-Message'] or '') for a in answers)
        print(f'# {sent} sent, {len(answers)} answered, {late} refused for their age')
        if hit(sent, answers, late) or late:
            break
    return sent, answers, late


def shed(tap, site, imsi):
    """Refused before a lane saw them: overload all the same, and gateways that want to know it are told."""
    _, _, late = stood_still(tap, site, imsi, 1.5 * AGE_S, lambda *_: False)
    tap.ok(late > 0, f'P8 the node stands still for {1.5 * AGE_S} s: what waited is refused', late)
    with site.node.client('pgw1') as gateway:
        session = gateway.session()
        gateway.charge(session, INITIAL, 0, [service(10)], who=imsi)
        number, told = 0, None
        end = time.monotonic() + 4
        while told is None and time.monotonic() < end:
            number += 1
            told = gateway.charge(session, UPDATE, number, [service(10, used=1024)], who=imsi, more=[DOIC])['OC-OLR/OC-Reduction-Percentage']
            time.sleep(0.1)
        tap.ok(told, 'G-95 and reported as overload', told)


def too_late(tap, site, imsi):
    """Too late for any answer, also for a refusal that needs no lane."""
    sent, answers, late = stood_still(tap, site, imsi, DEADLINE_S + 0.5, lambda sent, answers, _: len(answers) < sent)
    tap.ok(len(answers) < sent, f'P8 the node stands still for {DEADLINE_S + 0.5} s: what waited gets no answer any more', (sent, len(answers)))
    tap.equal(late, 0, 'P8 not even a refusal')


def main():
    arguments(__doc__)
    tap = Tap()
    with Site(settings={'lanes': 1}) as site:
        imsis = site.people(3)
        pid = site.node.pid
        slow_once(tap, site, imsis[0])
        unsettled(tap, site, imsis[1])
        shed(tap, site, imsis[2])
        too_late(tap, site, imsis[2])
        tap.equal(site.node.pid, pid, 'the same process all the time')
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
