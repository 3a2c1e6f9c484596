#!/usr/bin/python3
"""The database goes, hangs, refuses, or lies (G-35, TC-46, P3, P8): honest refusals in time, nothing lost, nothing twice.

database.py. REFUSAL_S is how soon a request must be refused when the database can't serve it; an answer later than
the deadline would be worse than none, so there must be none.
"""
import contextlib
import os
import signal
import subprocess
import threading
import time

from family import (E, INITIAL, P, T, TERMINATION, UPDATE, Hold, Site, Tap, Witness, arguments, binary, collect, hop, results,
                    sanitized, service, until)
from postgres import Postgres

MIB = 1 << 20
REFUSAL_S, DEADLINE_S, BACK_S = 2.0, 4.0, 5.0
START_S = 20


def timed(gateway, raw, seconds=6):
    """(answer, seconds it took)."""
    begin = time.monotonic()
    answer = gateway.ask(raw, seconds)
    return answer, time.monotonic() - begin


def served_again(gateway, build, seconds=BACK_S + 5):
    """Asks until it is 2001: (how long that took, the codes before)."""
    begin, codes = time.monotonic(), []
    while time.monotonic() - begin < seconds:
        codes.append(gateway.ask(build()).result)
        if codes[-1] == 2001:
            return time.monotonic() - begin, codes
        time.sleep(0.05)
    return None, codes


def gone(tap, site, imsi, account):
    """TC-46: stopped as in a crash, and back."""
    with site.node.client('pgw1') as gateway:
        session = gateway.session()
        gateway.charge(session, INITIAL, 0, [service(10)], who=imsi)
        site.pg.stop('immediate')
        number, slow, codes = 1, 0.0, []
        for _ in range(8):
            answer, took = timed(gateway, gateway.ccr(session, UPDATE, number, [service(10, used=MIB)], who=imsi))
            slow, number = max(slow, took), number + 1
            codes.append((answer.result, bool(answer.flags & E), len(answer.services)))
        tap.equal(set(codes), {(5012, False, 0)}, 'TC-46 database stopped: 5012, without services')
        tap.ok(slow <= REFUSAL_S, f'TC-46 within {REFUSAL_S} s', f'{slow:.3f} s')
        codes = [timed(gateway, gateway.ccr(gateway.session(), kind, 0, [service(10)], who=imsi))[0].result
                 for kind in (INITIAL, UPDATE, TERMINATION)]
        tap.equal(codes, [5012] * 3, 'TC-46 also what opens, updates or ends another session')
        tap.equal(gateway.ask(gateway.dwr()).result, 2001, 'the peer itself is fine: DWA 2001')
        fault = gateway.charge(session, 9, number, [service(10)], who=imsi)
        tap.equal(fault.result, 5004, 'and what is wrong by itself is still told so')
        site.pg.start()
        took, codes = served_again(gateway, lambda: gateway.ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsi, flags=P | T))
        tap.ok(took is not None and took < BACK_S and set(codes[:-1]) <= {5012},
               'TC-46 database back: the same request with T is processed, 2001 and not a stored 5012', f'{took}, {codes[-5:]}')
        tap.equal(site.records(session), (2, 100_000), 'TC-46 it is charged once; what was refused left no trace')
        gateway.charge(session, TERMINATION, 20, [service(10, rsu=None, used=MIB)], who=imsi)
        tap.equal(site.money(account), (1_000_000_000 - 200_000, 0), 'the session ends, nothing is held')


def gone_with_alternative(tap, site, imsi):
    """G-35: with another node, "too busy, try another" unless the request is for this very node."""
    with site.add('gyro2', settings={'alternate_node': True}) as node, node.client('pgw2') as gateway:
        site.pg.stop('immediate')
        answer, took = timed(gateway, gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi))
        tap.equal((answer.result, bool(answer.flags & E)), (3004, True), 'G-35 with an alternate node: 3004 with the E bit')
        tap.ok(took <= REFUSAL_S, f'within {REFUSAL_S} s', f'{took:.3f} s')
        answer, _ = timed(gateway, gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi,
                                               more=[('Destination-Host', node.identity)]))
        tap.equal((answer.result, bool(answer.flags & E)), (5012, False), 'G-35 but 5012 for a request to this very node')
        site.pg.start()


def crash_under_load(tap, site, imsis):
    """P3: kill -9 of the postmaster in the middle of batches; what was answered is there afterwards."""
    with site.node.client('pgw1') as gateway:
        sessions = {imsi: gateway.session() for imsi in imsis}
        for imsi, session in sessions.items():
            gateway.charge(session, INITIAL, 0, [service(10)], who=imsi)
        asked, got, number = {}, {}, 0
        for crash in range(4):
            # Beside the sending, which goes on meanwhile.
            end = threading.Thread(target=site.pg.kill if crash % 2 else lambda: site.pg.stop('immediate'))
            for n in range(40):
                number += 1
                for imsi, session in sessions.items():
                    raw = gateway.ccr(session, UPDATE, number, [service(10, used=MIB)], who=imsi)
                    asked[hop(raw)] = (imsi, number)
                    gateway.send(raw)
                if n == 20:
                    end.start()
                if n > 20:
                    got.update(results(gateway, set(asked) - set(got), 0.005))
            end.join()
            got.update(results(gateway, set(asked) - set(got), 0.3))
            site.pg.start()
        got.update(results(gateway, set(asked) - set(got), DEADLINE_S + 1))
        tap.ok(set(got.values()) <= {2001, 5012} and 2001 in got.values(), 'P3 crashes under load: successes and honest refusals',
               set(got.values()))
        took, _ = served_again(gateway, lambda: gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsis[0]))
        tap.ok(took is not None, 'P3 and it serves again')
        # What had no answer, or was refused, goes out again until it succeeds, as a gateway does it: same number, T.
        left = [asked[h] for h in asked if got.get(h) != 2001]
        again, end = len(left), time.monotonic() + 30
        while left and time.monotonic() < end:
            batch = {}
            for imsi, n in left[:200]:
                raw = gateway.ccr(sessions[imsi], UPDATE, n, [service(10, used=MIB)], who=imsi, flags=P | T)
                batch[hop(raw)] = (imsi, n)
                gateway.send(raw)
            good = {batch[h] for h, code in results(gateway, set(batch), 10).items() if code == 2001}
            left = [one for one in left if one not in good]
        tap.equal(left, [], 'P3 all that is sent again succeeds in the end')
        wrong = [(imsi, site.records(s)) for imsi, s in sessions.items() if site.records(s) != (number + 1, number * 100_000)]
        tap.equal(wrong, [], f'P3 each of {len(asked)} requests is charged, once')
        tap.ok(again > 5, 'P3 the crashes did hit requests', f'{again} sent again')
        print(f'# {list(got.values()).count(2001)} at once, {again} again')


def frozen(tap, site, imsis):
    """P8: PostgreSQL stands still, its connections stay open. No answer is late; what was answered is true."""
    with site.node.client('pgw1') as gateway:
        session = gateway.session()
        gateway.charge(session, INITIAL, 0, [service(10)], who=imsis[0])
        pids = site.pg.pids()
        sent, got, refused_after, answered_after = {}, {}, [], []
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            number, end = 0, time.monotonic() + 5
            while time.monotonic() < end + DEADLINE_S + 1 and (time.monotonic() < end or len(got) < len(sent)):
                if time.monotonic() < end:
                    number += 1
                    raw = gateway.ccr(session, UPDATE, number, [service(10, used=MIB)], who=imsis[0])
                    sent[hop(raw)] = (time.monotonic(), number)
                    gateway.send(raw)
                for h, answer in collect(gateway, set(sent), 0.1).items():
                    got[h] = answer.result
                    answered_after.append(time.monotonic() - sent[h][0])
        finally:
            # A child that was ending when all stood still is gone as soon as the postmaster goes on.
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        late = max(answered_after, default=0)
        tap.equal(set(got.values()), {5012}, 'P8 database frozen: 5012')
        tap.equal(len(got), len(sent), 'P8 for every request')
        tap.ok(late <= REFUSAL_S + 0.1, f'P8 none later than {REFUSAL_S} s', f'{late:.3f} s')
        took, codes = served_again(gateway, lambda: gateway.ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsis[0], flags=P | T))
        tap.ok(took is not None and took < BACK_S, 'P8 it goes on: served again', f'{took}, {codes[-3:]}')
        tap.equal(site.records(session), (2, 100_000), 'P8 refused requests left nothing, not even late')


def row_held(tap, site, imsis):
    """P8: an operator's open transaction holds one account: its requests wait or are refused, others don't notice."""
    witnesses = [Witness(site.node, imsi, f'other{n}', pause=0.005) for n, imsi in enumerate(imsis[1:5])]
    with site.node.client('pgw1') as gateway:
        session = gateway.session()
        gateway.charge(session, INITIAL, 0, [service(10)], who=imsis[0])
        with Hold(site, 1000):
            answer, took = timed(gateway, gateway.ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsis[0]))
            tap.ok(answer.result == 5012 and took <= DEADLINE_S, 'P8 an account held for long: 5012, before the deadline',
                   f'{answer.result} after {took:.3f} s')
            raw = gateway.ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsis[0], flags=P | T)
            begin = time.monotonic()
            gateway.send(raw)
            time.sleep(0.3)
        answer = gateway.receive_answer(hop(raw))
        took = time.monotonic() - begin
        tap.ok(answer.result == 2001 and took < 1.5, 'P8 held for 0.3 s: served when it is free', f'{answer.result} after {took:.3f} s')
        tap.equal(site.records(session), (2, 100_000), 'P8 charged once')
    for n, witness in enumerate(witnesses):
        witness.check(tap, f'P8 another account doesn\'t notice ({n + 1})', slowest=0.8, least=20)


CROWD = "application_name = 'crowd'"


class Crowd:
    """Idle connections of others, as many as there are; the node's own are ended while they come."""

    def __init__(self, site):
        self.site, self.members = site, []

    def __enter__(self):
        self.join()  # the first of them ends the node's connections
        for _ in range(60):
            self.members[0].stdin.write("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = "
                                        f"'client backend' AND NOT {CROWD};\n")
            self.members[0].stdin.flush()
            self.join()
            if self.site.pg.psql('SELECT 1').returncode:
                break
        return self

    def join(self):
        command = [binary('psql'), '-XqAt', self.site.pg.conninfo() + ' application_name=crowd']
        self.members.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL, text=True))
        time.sleep(0.03)

    def __exit__(self, *_):
        for member in self.members:
            member.kill()
            member.wait()
            member.stdin.close()


def without_connections(tap, site, imsi):
    """max_connections: others have taken them all."""
    with site.node.client('pgw1') as gateway:
        with Crowd(site):
            answer, took = timed(gateway, gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi))
            tap.ok(answer.result == 5012 and took <= REFUSAL_S, 'too many connections: 5012 in time', f'{answer.result} {took:.3f} s')
            tap.ok(until(lambda: 'too many clients' in site.node.said(), 3), 'the log says why', site.node.tail())
        took, codes = served_again(gateway, lambda: gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi))
        tap.ok(took is not None and took < BACK_S, 'connections are free: served again', f'{took}, {codes[-3:]}')


def read_only(tap, site, imsi, account):
    """A standby that isn't promoted, or an operator's switch."""
    before = site.money(account)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gyro' AND pid <> pg_backend_pid()"
    with site.node.client('pgw1') as gateway:
        site.pg.query("ALTER DATABASE gyro SET default_transaction_read_only = on", 'postgres')
        site.pg.query(cut, 'postgres')
        time.sleep(0.3)
        codes, slow = [], 0.0
        for _ in range(5):
            answer, took = timed(gateway, gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi))
            codes.append(answer.result)
            slow = max(slow, took)
        tap.ok(set(codes) == {5012} and slow <= REFUSAL_S, 'a read-only database: 5012 in time', f'{codes} {slow:.3f} s')
        site.pg.query("ALTER DATABASE gyro RESET default_transaction_read_only", 'postgres')
        site.pg.query(cut, 'postgres')
        session = gateway.session()
        took, codes = served_again(gateway, lambda: gateway.ccr(session, INITIAL, 0, [service(10)], who=imsi))
        tap.ok(took is not None and took < BACK_S, 'writable again: served again', f'{took}, {codes[-3:]}')
        gateway.charge(session, TERMINATION, 1, [], who=imsi)
        tap.equal(site.money(account), before, 'and nothing was left behind')


def refuses_to_start(tap, site, name, words, prepare, restore):
    """A node that must not start: exit status 1, and one line that says why."""
    prepare()
    node = site.add('gyro9')
    try:
        node.launch()
        status = node.wait(START_S)
        said = node.said()
        tap.ok(status == 1 and all(w in said for w in words) and 'ready on' not in said, f'{name}: refuses to start, and says why',
               f'status {status}\n{node.tail()}')
    finally:
        node.close()
        site.nodes.remove(node)
        restore()


def starts(tap, site):
    pg = site.pg
    version = int(pg.value('SELECT max(version) FROM gyro.schema_version'))
    refuses_to_start(tap, site, 'a schema that is too new', ['schema version', str(version + 1), 'use a newer one'],
                     lambda: pg.query(f"INSERT INTO gyro.schema_version (version, name) VALUES ({version + 1}, 'x')"),
                     lambda: pg.query(f'DELETE FROM gyro.schema_version WHERE version = {version + 1}'))
    rows = pg.query(f'SELECT name FROM gyro.schema_version WHERE version = {version}')
    refuses_to_start(tap, site, 'a schema that is too old', ['schema version', str(version - 1), 'gyroctl migrate'],
                     lambda: pg.query(f'DELETE FROM gyro.schema_version WHERE version = {version}'),
                     lambda: pg.query(f"INSERT INTO gyro.schema_version (version, name) VALUES ({version}, '{rows[0][0]}')"))
    refuses_to_start(tap, site, 'no schema at all', ['schema version is none', 'gyroctl migrate'],
                     lambda: pg.query('ALTER SCHEMA gyro RENAME TO hidden'), lambda: pg.query('ALTER SCHEMA hidden RENAME TO gyro'))
    refuses_to_start(tap, site, 'no database server', ['the engine cannot start', 'gyro-pg-'], lambda: pg.stop('immediate'), pg.start)
    for setting in ('fsync', 'full_page_writes'):
        refuses_to_start(tap, site, f'{setting} off', [setting, "'off'", 'not be durable'],
                         lambda: change(pg, setting, 'off'), lambda: change(pg, setting, 'on'))


def change(pg, setting, value):
    pg.query(f'ALTER SYSTEM SET {setting} = {value}', 'postgres')
    pg.query('SELECT pg_reload_conf()', 'postgres')
    until(lambda: pg.value(f'SHOW {setting}', 'postgres') == value, 5)


def commits_are_synchronous(tap, site, imsi):
    """synchronous_commit = off as the database's default: the node asks for its own, and keeps its promise in a crash."""
    site.pg.query('ALTER DATABASE gyro SET synchronous_commit = off', 'postgres')
    with site.add('gyro3') as node:
        missing = 0
        for _ in range(3):
            with node.client('pgw3') as gateway:
                session = gateway.session()
                took, _ = served_again(gateway, lambda: gateway.ccr(session, INITIAL, 0, [service(10)], who=imsi))
                last = 0
                for number in range(1, 6):
                    last = gateway.charge(session, UPDATE, number, [service(10, used=MIB)], who=imsi).result
                site.pg.kill()
                site.pg.start()
                missing += site.records(session) != (6, 500_000) or last != 2001
        tap.equal(missing, 0, 'synchronous_commit off in the database: a node\'s answers survive kill -9 of the server all the same')
    site.nodes.remove(node)
    site.pg.query('ALTER DATABASE gyro RESET synchronous_commit', 'postgres')


def main():
    arguments(__doc__)
    tap = Tap()
    with Site(postgres={'max_connections': '20', 'superuser_reserved_connections': '2'}) as site:
        imsis = site.people(12)
        pid = site.node.pid
        gone(tap, site, imsis[0], 1000)
        gone_with_alternative(tap, site, imsis[1])
        site.nodes = site.nodes[:1]
        crash_under_load(tap, site, imsis[2:8])
        frozen(tap, site, imsis)
        row_held(tap, site, imsis)
        without_connections(tap, site, imsis[8])
        read_only(tap, site, imsis[9], 1009)
        commits_are_synchronous(tap, site, imsis[10])
        tap.equal(site.node.pid, pid, 'the same process all the time')
        site.check(tap)
        starts(tap, site)
        tap.equal(site.audit(), [], 'the audit finds nothing at the end, either')
    tap.done()


if __name__ == '__main__':
    main()
