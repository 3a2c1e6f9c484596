#!/usr/bin/python3
"""gyroctl while a node charges: sessions, records, export, release, audit, status.

sessions.py GYROCTL ROOT DRIVE    DRIVE is the engine without Diameter, see drive.c
"""
import csv
import io
import json
import os
import subprocess
import sys
import time

from ctl import FIXTURE, ROOT, Ctl, refused
from postgres import Postgres, binary
from tap import Tap

DRIVE = sys.argv[3]
IMSI1, IMSI2 = '460001000000001', '460001000000002'
A, B, C = 'pgw1.gyro.test;1;1', 'pgw1.gyro.test;1;2', 'pgw1.gyro.test;1;3'


class Node:
    def __init__(self, conninfo):
        self.process = subprocess.Popen([DRIVE, conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if line != 'ready\n':
            self.stop()
            raise RuntimeError(f'no node: {line!r}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def charge(tap, node):
    """A: 8 MiB used, open. B: 1000 octets used, ended. C of the poor subscriber: all it has."""
    tap.equal([node.ask(line) for line in (
        f'I 0 {A} {IMSI1} 10', f'U 1 {A} {IMSI1} 10 8388608', f'I 0 {B} {IMSI1} 11', f'T 1 {B} {IMSI1} 11 1000',
        f'I 0 {C} {IMSI2} 10', f'U 3 never;seen;it {IMSI2} 10 5555')],
        ['2001 2001 10485760', '2001 2001 10485760', '2001 2001 10485760', '2001 2001 0', '2001 2001 3145728', '5002'],
        'a node charges')


def sessions(tap, ctl):
    rows = ctl.json('session', 'list')
    tap.equal([(s['account_id'], s['state'], s['reserved'], s['session_id']) for s in rows],
              [(1, 'open', '1.00', A), (1, 'terminated', '0.00', B), (2, 'open', '0.30', C)], 'session list')
    tap.equal([s['session_id'] for s in ctl.json('session', 'list', '--open')], [A, C], '--open')
    for words in (['--account', 1], ['--subscriber', 1], ['--imsi', IMSI1]):
        tap.equal([s['session_id'] for s in ctl.json('session', 'list', *words)], [A, B], f'{words[0]}')
    text = ctl.out('session', 'list')
    tap.ok(len(text.splitlines()) == 4 and A in text and 'pgw1.gyro.test' in text, 'its table', text)
    shown = ctl.json('session', 'show', A)
    tap.equal((shown['state'], shown['account_id'], shown['gateway'], shown['reserved'], shown['highest_number']),
              ('open', 1, 'pgw1.gyro.test', '1.00', 1), 'session show')
    tap.equal([(r['rating_group'], r['unit'], r['granted'], r['reserved'], r['price_micros'], r['block']) for r in shown['reservations']],
              [(10, 'octets', 10485760, '1.00', '0.10', 1048576)], 'its reservations')
    tap.equal([(a['request_type'], a['request_number'], a['granted']) for a in shown['answers_kept_for_duplicates']],
              [('initial', 0, 10485760), ('update', 1, 10485760)], 'the answers it keeps')
    tap.equal([r['used'] for r in shown['records']], [0, 8388608], 'its records')
    tap.equal(ctl.json('session', 'show', rows[0]['session'])['session_id'], A, 'by its key')
    text = ctl.out('session', 'show', A)
    tap.ok(all(w in text for w in ('Reservations\n', '10MiB', '8MiB', '0.80', 'Records\n')), 'its table', text)
    refused(tap, ctl.run('session', 'show', 'x'), 1, ['session x is not known', 'session list'], 'a session that is not known')


def records(tap, ctl):
    rows = ctl.json('records')
    tap.equal([(r['request_type'], r['request_number'], r['rating_group'], r['used'], r['debit'], r['balance']) for r in rows],
              [('initial', 0, 10, 0, '0.00', '100.00'), ('update', 1, 10, 8388608, '0.80', '99.20'), ('initial', 0, 11, 0, '0.00', '99.20'),
               ('terminate', 1, 11, 1000, '0.000095', '99.199905'), ('initial', 0, 10, 0, '0.00', '0.30')], 'records, oldest first')
    tap.equal(len(ctl.json('records', '--account', 1)), 4, '--account')
    tap.equal(len(ctl.json('records', '--imsi', IMSI2)), 1, '--imsi')
    tap.equal([r['rating_group'] for r in ctl.json('records', '--session', B)], [11, 11], '--session')
    tap.equal(len(ctl.json('records', '--since', '1h')), 5, '--since a time ago')
    tap.equal(len(ctl.json('records', '--until', '1h')), 0, '--until')
    tap.equal(len(ctl.json('records', '--since', rows[3]['at'], '--until', rows[4]['at'])), 1, 'from one instant to another')
    cut = ctl.run('records', '--limit', 2, '--json')
    tap.ok('newest 2' in cut.stderr and '"terminate"' in cut.stdout and '"update"' not in cut.stdout, 'the newest two', cut.stderr)
    text = ctl.out('records')
    tap.ok('8MiB' in text and '99.199905' in text and '(UTC)' in text, 'the table for people', text)
    table = list(csv.DictReader(io.StringIO(ctl.out('records', '--csv'))))
    tap.equal([(r['used'], r['debit'], r['session_id'], r['price'], r['per']) for r in table[1:2]],
              [('8388608', '0.80', A, '0.10', '1048576')], 'CSV')
    tap.equal([set(r) for r in table], [set(rows[0])] * 5, 'with the columns of JSON')
    tap.equal([r['at'] for r in table], [r['at'] for r in rows], 'and its times')
    refused(tap, ctl.run('records', '--since', 'yesterday'), 2, ['--since yesterday', '2h'], 'a time that is none')
    unmatched = ctl.json('unmatched', 'list')
    tap.equal([(u['origin_host'], u['request_number'], u['rating_group'], u['unit'], u['used'], u['session_id']) for u in unmatched],
              [('pgw1.gyro.test', 3, 10, 'octets', 5555, 'never;seen;it')], 'unmatched list')
    tap.ok('never;seen;it' in ctl.out('unmatched', 'list'), 'its table')
    refused(tap, ctl.run('unmatched', 'drop'), 2, ['--before'], 'unmatched drop must be told what is old')
    tap.equal([ctl.json('unmatched', 'drop', '--before', '1d'), len(ctl.json('unmatched', 'list'))], [[{'dropped': 0}], 1],
              'unmatched drop leaves what is new')


def people(tap, ctl):
    shown = ctl.json('subscriber', 'show', 1)
    tap.equal((shown['balance'], shown['reserved'], shown['available'], len(shown['sessions']), len(shown['records'])),
              ('99.199905', '1.00', '98.199905', 2, 4), 'subscriber show')
    tap.equal([s['open_sessions'] for s in ctl.json('subscriber', 'list', '--limit', 0)][:3], [1, 1, 0], 'subscriber list counts sessions')
    shown = ctl.json('account', 'show', 1)
    tap.equal((shown['open_sessions'], len(shown['sessions']), len(shown['records'])), (1, 2, 4), 'account show')
    refused(tap, ctl.run('subscriber', 'delete', 1), 1, ['open sessions', 'release them first'], 'not deleted while it has sessions')
    refused(tap, ctl.run('subscriber', 'change', 1, '--account', 3), 1, ['open sessions', 'release them first'], 'nor moved')


def charges(pg):
    """Whether a node starts on this database."""
    try:
        with Node(pg.conninfo()):
            return True
    except RuntimeError:
        return False


def status(tap, pg, ctl):
    found = ctl.json('status')
    tap.equal({k: found['gyro'][k] for k in ('accounts', 'subscribers', 'gateways', 'open_sessions', 'overdue_sessions', 'unmatched_usage')},
              {'accounts': 8, 'subscribers': 9, 'gateways': 1, 'open_sessions': 2, 'overdue_sessions': 0, 'unmatched_usage': 1}, 'status counts')
    tap.equal((found['gyro']['balance'], found['gyro']['reserved']), ('201.499905', '1.30'), 'sums of money')
    tap.equal({k: found['server'][k] for k in ('synchronous_commit', 'fsync', 'full_page_writes', 'durable', 'standby')},
              {'synchronous_commit': 'on', 'fsync': 'on', 'full_page_writes': 'on', 'durable': True, 'standby': False}, 'durability')
    tap.equal(len(found['record_partitions']), 9, 'record partitions')
    tap.equal([ctl.json('unmatched', 'drop', '--before', '2099-01-01'), ctl.json('unmatched', 'list')], [[{'dropped': 1}], []],
              'unmatched drop takes what is old')
    text = ctl.out('status')
    tap.ok('record_default' in text and 'open sessions' in text and 'NOT DURABLE' not in text, 'its table', text)
    for value, durable in (('local', False), ('remote_write', False), ('on', True), ('remote_apply', True), ('off', False)):
        pg.query(f'ALTER DATABASE gyro SET synchronous_commit = {value}', 'postgres')
        server = ctl.json('status')['server']
        tap.equal((server['synchronous_commit'], server['durable'], 'NOT DURABLE' not in ctl.out('status')), (value, durable, durable),
                  f'synchronous_commit = {value}: {"durable" if durable else "others may lose commits, which is told"}')
    tap.ok(charges(pg) and 'refuse to charge' not in ctl.out('status'), 'a node charges, it sets that itself')
    pg.query("""CREATE TABLE committed (how text); CREATE FUNCTION how() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO committed VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
                CREATE TRIGGER how AFTER INSERT ON gyro.payment FOR EACH ROW EXECUTE FUNCTION how()""")
    ctl.out('account', 'open', 90, '--currency', 156)
    tap.equal(pg.query('SELECT how FROM committed'), [['on']], 'and so does gyroctl')
    pg.query("DROP TRIGGER how ON gyro.payment; DROP FUNCTION how; DROP TABLE committed;"
             "DELETE FROM gyro.payment WHERE account_id = 90; DELETE FROM gyro.account WHERE account_id = 90")
    pg.query('ALTER DATABASE gyro RESET synchronous_commit', 'postgres')
    for value in ('off', 'on'):
        pg.query(f'ALTER SYSTEM SET full_page_writes = {value}', 'postgres')
        pg.query('SELECT pg_reload_conf()', 'postgres')
        while pg.value('SHOW full_page_writes') != value:
            time.sleep(0.05)
        tap.equal(('refuse to charge' not in ctl.out('status'), charges(pg)), (value == 'on', value == 'on'),
                  f'full_page_writes = {value}: nodes say the same')


def release(tap, node, ctl):
    done = ctl.json('session', 'release', A)
    tap.equal(done, {'session_id': A, 'state': 'released'}, 'a node ends a session that an operator releases')
    tap.equal((ctl.json('account', 'show', 1)['reserved'], ctl.json('session', 'list', '--open')[0]['session_id']), ('0.00', C),
              'what it held is given back')
    tap.equal(ctl.out('session', 'release', A), f'session {A}: had already ended\n', 'a second time it has ended')
    tap.equal(ctl.json('records', '--session', A)[-1]['request_type'], 'ended', 'a record says so')
    refused(tap, ctl.run('session', 'release', 'x'), 1, ['session x is not known'], 'a session that is not known')
    tap.ok(node.ask(f'U 2 {A} {IMSI1} 10 1048576').startswith('5002'), 'late usage finds it ended')
    late = ctl.json('records', '--session', A)[-1]
    tap.equal((late['flags'], late['debit']), ('late', '0.10'), 'and is charged, noted as late')


def found(pg, ctl):
    """The invariants that gyro.audit() names, and those that the independent auditor does."""
    own = {f['invariant'] for f in json.loads(ctl.run('audit', '--json').stdout)}
    done = subprocess.run([os.path.join(ROOT, 'tests/audit/audit.py'), '--database', pg.conninfo()], capture_output=True, text=True,
                          timeout=60, check=False)
    return own, {line.split()[0] for line in done.stdout.splitlines() if line.startswith('I')} | ({done.stderr} - {''})


def moved(tap, pg, node, ctl):
    """What comes late of sessions that ended before their subscriber was moved: copies get their answer, usage is paid once."""
    tap.equal(ctl.json('subscriber', 'change', 1, '--account', 3)['account_id'], 3, 'without open sessions a subscriber is moved')
    tap.equal([node.ask(line) for line in (f't 1 {B} {IMSI1} 11 1000', f'u 1 {A} {IMSI1} 10 8388608', f'i 0 {B} {IMSI1} 11')],
              ['2001 2001 0', '2001 2001 10485760', '2001 2001 10485760'], 'copies of requests of before get their answers')
    tap.equal(len(ctl.json('records', '--account', 3)), 0, 'and nothing else')
    tap.equal([node.ask(f'{letter} 7 {A} {IMSI1} 10 1048576')[:4] for letter in 'Uu'], ['5002', '5002'], 'late usage, and its copy')
    tap.equal([(r['account_id'], r['flags'], r['debit']) for r in ctl.json('records', '--session', A)[-2:]],
              [(1, 'late', '0.10'), (3, 'over-use, late', '0.10')], 'is paid once, by who pays for him now')
    tap.equal(node.ask(f'U 8 {A} {IMSI2} 10 1048576'), '5004', 'a session of somebody else is not paid for')
    tap.equal(found(pg, ctl), (set(), set()), 'the audits find nothing')


def nobody(tap, ctl):
    before = time.monotonic()
    refused(tap, ctl.run('session', 'release', C), 1, [C, 'within 5 s', 'is a node running'], 'no node: it says so')
    tap.ok(5 <= time.monotonic() - before < 15, 'after five seconds')
    tap.equal(ctl.json('session', 'show', C)['release_requested'], True, 'the request stands')
    tap.equal(ctl.out('session', 'release', '--no-wait', C), f'session {C}: a node was asked to end it\n', '--no-wait')


def unsupervised(tap, pg, ctl):
    """An open session that the index, and with it the sweeper, doesn't know."""
    for what, spoil, mend in (
            ('is not there', "session = '00000000-0000-0000-0000-000000000001'", "session = '{session}'"),
            ('says it has ended', 'ended = true', 'ended = false'),
            ('names another account', 'account_id = account_id + 1', 'account_id = account_id - 1'),
            ('knows an older one of that name', "opened = opened - interval '1 microsecond'", "opened = opened + interval '1 microsecond'")):
        session = pg.value(f"SELECT session FROM gyro.session_index WHERE session_id = '{C}'")
        pg.query(f"UPDATE gyro.session_index SET {spoil} WHERE session_id = '{C}'")
        found = json.loads(ctl.run('audit', '--json').stdout)
        tap.ok([f['invariant'] for f in found] == ['I6'] and session in found[0]['detail'], f'an open session whose index row {what}', found)
        pg.query(f"UPDATE gyro.session_index SET {mend.format(session=session)} WHERE session_id = '{C}'")
    tap.equal(ctl.run('audit').returncode, 0, 'mended: nothing found')


def overdrawn(tap, pg, ctl):
    """What is reserved or not there isn't taken, unless it is forced; then the audits know how far. Account 2 has 0.30, held
    by C; account 3 was left at -0.10 by over-use."""
    def refuses(*words, wanted, status=1):
        refused(tap, ctl.run(*words), status, wanted, f'refused: {" ".join(map(str, words))}')

    refuses('account', 'adjust', 2, '--amount', '-0.01', '--reference', 'a', wanted=['account 2 can spare 0, not 0.01', 'forced'])
    tap.equal(ctl.json('account', 'adjust', 2, '--amount', '0.20', '--reference', 'b')['available'], '0.20', 'money comes in')
    refuses('account', 'adjust', 2, '--amount', '-0.21', '--reference', 'c', wanted=['can spare 0.2, not 0.21'])
    ctl.out('account', 'credit', 2, '1')
    tap.equal(ctl.json('account', 'adjust', 2, '--amount', '-0.90', '--reference', 'd')['balance'], '-0.40', 'what is there is taken')
    refuses('account', 'credit', 2, '0.5', wanted=['can spare 0.3, not 0.5'])
    tap.equal(ctl.json('account', 'credit', 2, '0.7')['available'], '0.00', 'a limit goes down to what is in use')
    refuses('account', 'credit', 2, '0', '--force', status=2, wanted=['--reference'])
    refuses('account', 'credit', 99, '0', wanted=['account 99 does not exist', 'account list'])
    tap.equal(found(pg, ctl), (set(), set()), 'nothing is found')
    tap.equal(ctl.json('account', 'credit', 2, '0', '--force', '--reference', 'e')['available'], '-0.70', 'forced, it goes below')
    tap.equal(ctl.json('account', 'adjust', 2, '--amount', '-1', '--reference', 'f', '--force')['balance'], '-1.40', 'and so does the balance')
    tap.equal([(p['reference'], p['amount'], p['forced']) for p in ctl.json('account', 'show', 2)['payments']][1:],
              [('b', '0.20', False), ('d', '-0.90', False), ('e', '0.00', True), ('f', '-1.00', True)], 'the ledger says what was forced')
    tap.equal(ctl.json('account', 'adjust', 2, '--amount', '0.10', '--reference', 'g', '--force')['balance'], '-1.30', 'a way back')
    tap.equal(found(pg, ctl), (set(), set()), 'it is explained: nothing is found')
    for account, balance, why in ((2, -1400001, 'forced'), (3, -100001, 'over-use')):
        before = pg.value(f'SELECT balance FROM gyro.account WHERE account_id = {account}')
        pg.query(f"""INSERT INTO gyro.payment (account_id, group_id, kind, amount, balance, reference)
                     VALUES ({account}, {account}, 3, {balance} - {before}, {balance}, 'wrong');
                     UPDATE gyro.account SET balance = {balance} WHERE account_id = {account}""")
        tap.equal(found(pg, ctl), ({'I6'}, {'I6'}), f'a micro-unit less than the {why} explains, in ledger and balance, is found')
        pg.query(f"DELETE FROM gyro.payment WHERE reference = 'wrong'; UPDATE gyro.account SET balance = {before} WHERE account_id = {account}")
    ctl.out('topup', '1', '--account', 3, '--reference', 'later')
    pg.query("UPDATE gyro.payment SET at = now() + interval '4 hours' WHERE reference = 'later'")
    ctl.out('account', 'adjust', 3, '--amount', '-0.90', '--reference', 'all')
    pg.query("""UPDATE gyro.payment SET at = now() + interval '5 hours' WHERE reference = 'all';
                INSERT INTO gyro.payment (account_id, group_id, kind, amount, balance, reference, at)
                VALUES (3, 3, 3, -50000, -50000, 'wrong', now() + interval '6 hours');
                UPDATE gyro.account SET balance = -50000 WHERE account_id = 3""")
    tap.equal(found(pg, ctl), ({'I6'}, {'I6'}), 'so is what is less than that, once more had been paid')
    pg.query("DELETE FROM gyro.payment WHERE reference = 'wrong'; UPDATE gyro.account SET balance = 0 WHERE account_id = 3")
    tap.equal(found(pg, ctl), (set(), set()), 'mended: nothing is found')


def held_after(tap, pg, ctl):
    """An ended session that still holds units, of money or of a card; C is taken for ended."""
    row = pg.query('SELECT sessions::text, reservations::text, slices::text, reserved FROM gyro.account WHERE account_id = 2')[0]
    ended = 'sessions[1][5] = 2'
    for what, spoil in (('money', f'{ended}'), ('units of a card', f'{ended}, reservations[1][6] = 0, reserved = 0'),
                        ('a slice', f'{ended}, reservations[1][5] = 0, reservations[1][6] = 0, reserved = 0, '
                         'slices = ARRAY[[1 + (1::bigint << 40), 1, 0, 0, 1, 0]]')):
        pg.query(f'UPDATE gyro.account SET {spoil} WHERE account_id = 2')
        own = json.loads(ctl.run('audit', '--json').stdout)
        tap.ok(any(f['invariant'] == 'I6' and 'ended, holds' in f['detail'] for f in own), f'an ended session that holds {what} is found', own)
        pg.query(f"UPDATE gyro.account SET sessions = '{row[0]}', reservations = '{row[1]}', slices = '{row[2]}', reserved = {row[3]}"
                 ' WHERE account_id = 2')


def audit(tap, pg, ctl):
    tap.equal((ctl.json('audit'), ctl.out('audit')), ([], 'audit: nothing found\n'), 'the audit finds nothing')
    pg.query('UPDATE gyro.account SET balance = balance + 1 WHERE account_id = 2')
    found = ctl.run('audit')
    tap.ok(found.returncode == 4 and 'I1' in found.stdout and 'ledger' in found.stdout, 'a micro-unit too much: exit status 4', found.stdout)
    found = ctl.run('audit', '--json')
    tap.ok(found.returncode == 4 and '"account_id": 2' in found.stdout, 'the same in JSON', found.stdout)
    pg.query('UPDATE gyro.account SET balance = balance - 1, reserved = reserved + 1 WHERE account_id = 2')
    tap.ok(ctl.run('audit').returncode == 4 and 'I3' in ctl.run('audit').stdout, 'a micro-unit held by nothing')
    pg.query('UPDATE gyro.account SET reserved = reserved - 1 WHERE account_id = 2')
    tap.equal(ctl.run('audit').returncode, 0, 'mended: nothing found')
    unsupervised(tap, pg, ctl)
    refused(tap, ctl.run('audit', '--sweep-grace', 'x'), 2, ['--sweep-grace x'], 'a grace that is no time')


def lost(tap, pg, ctl):
    """The server goes down while a command waits in it."""
    blocker = subprocess.Popen([binary('psql'), '-qX', pg.conninfo(), '-c', 'BEGIN', '-c', 'LOCK gyro.account', '-c', 'SELECT pg_sleep(60)'],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while pg.value("SELECT count(*) FROM pg_locks WHERE relation = 'gyro.account'::regclass AND mode = 'AccessExclusiveLock'"
                       ' AND granted') == '0' and time.monotonic() < end:
            time.sleep(0.05)
        waiting = ctl.start('topup', '1', '--account', '1', '--reference', 'lost')
        time.sleep(0.5)
        pg.stop('immediate')
        _, said = waiting.communicate(timeout=60)
        tap.ok(waiting.returncode == 3 and len(said.splitlines()) == 1 and 'connection was lost' in said, 'a lost connection: 3', said)
    finally:
        blocker.kill()
        blocker.wait()
    pg.start()
    tap.equal(pg.value("SELECT count(*) FROM gyro.payment WHERE reference = 'lost'"), '0', 'nothing was paid')


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        ctl.out('apply', '-f', FIXTURE)
        with Node(pg.conninfo()) as node:
            charge(tap, node)
            sessions(tap, ctl)
            records(tap, ctl)
            people(tap, ctl)
            status(tap, pg, ctl)
            release(tap, node, ctl)
            moved(tap, pg, node, ctl)
        nobody(tap, ctl)
        audit(tap, pg, ctl)
        overdrawn(tap, pg, ctl)
        held_after(tap, pg, ctl)
        lost(tap, pg, ctl)
    tap.done()


main()
