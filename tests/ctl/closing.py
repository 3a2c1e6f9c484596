#!/usr/bin/python3
"""Days of records that are closed and dropped: the audit stays clean and as sharp, copies and late usage right.

closing.py GYROCTL ROOT DRIVE    DRIVE is the engine without Diameter, see drive.c
"""
import os
import subprocess
import sys

import psycopg2
from ctl import ROOT, Ctl, refused
from postgres import Postgres
from tap import Tap

CARDS, MONEY = '001010000000001', '001010000000002'
MIB = 1048576
NAME = "to_char(timezone('UTC', now())::date - %d, 'YYYYMMDD')"


def charge(pg, lines):
    """What a node answers."""
    run = subprocess.run([sys.argv[3], pg.conninfo()], input='\n'.join(lines) + '\n', capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[1:]


def day(pg, days):
    return 'record_' + pg.value('SELECT ' + NAME % days)


def past(pg, days):
    """What was recorded just now was recorded at noon so many days ago; nobody asks for it any more, unless its session is
    open."""
    pg.query(f'''
        DO $$
        DECLARE
            d     date := timezone('UTC', now())::date - {days};
            shift interval := now() - timezone('UTC', d + time '12:00');
            us    bigint := extract(epoch FROM shift) * 1000000;
            s     record;
        BEGIN
            EXECUTE format('CREATE TABLE gyro.record_%s PARTITION OF gyro.record FOR VALUES FROM (%L) TO (%L)',
                           to_char(d, 'YYYYMMDD'), d::text || ' 00:00+00', (d + 1)::text || ' 00:00+00');
            FOR s IN SELECT * FROM gyro.session WHERE opened > now() - interval '1 hour' LOOP
                UPDATE gyro.account
                   SET version = version + 1, sessions[s.session_no][6] = sessions[s.session_no][6] - us,
                       sessions[s.session_no][7] = sessions[s.session_no][7] - CASE s.state WHEN 1 THEN 0 ELSE us END
                 WHERE account_id = s.account_id;
            END LOOP;
            UPDATE gyro.payment SET at = at - shift WHERE at > now() - interval '1 hour';
            UPDATE gyro.record SET at = at - shift, opened = opened - shift WHERE at > now() - interval '1 hour';
            DELETE FROM gyro.session_index i USING gyro.session k WHERE k.session = i.session AND k.state <> 1;
            UPDATE gyro.session_index SET opened = opened - shift;
        END $$''')


def audit(pg):
    return pg.query('SELECT invariant, detail FROM gyro.audit()')


def spoilt(tap, pg, name, statement, back):
    pg.query(statement)
    found = audit(pg)
    tap.ok(found and all(row[0] in ('I1', 'I2') for row in found), f'the audit finds {name}', found)
    pg.query(back)
    tap.equal(audit(pg), [], '... and nothing when it is undone')


def first_day(tap, pg, ctl):
    """Money, a purchase, and usage of its card, three days ago."""
    ctl.out('purchase', 'buy', 'base-1g', '--buyer', f'imsi:{CARDS}', '--id', 'order-1')
    ctl.out('bind', '--card', 'c1')
    answers = charge(pg, [f'I 0 a;1 {CARDS} 10', f'T 1 a;1 {CARDS} 10 {3 * MIB}', f'I 0 a;2 {MONEY} 10', f'T 1 a;2 {MONEY} 10 {5 * MIB}'])
    tap.equal([a.split()[0] for a in answers], ['2001'] * 4, 'a day of usage and of a purchase')
    past(pg, 3)
    tap.equal(audit(pg), [], 'the audit finds nothing')


def kept_session(tap, pg):
    """Two days ago a session was opened that is open still."""
    answers = charge(pg, [f'I 0 b;1 {MONEY} 10', *(f'U {n} b;1 {MONEY} 10 {MIB}' for n in range(1, 8))])
    tap.equal([a.split()[0] for a in answers], ['2001'] * 8, 'the next day a session is opened')
    past(pg, 2)
    tap.equal(audit(pg), [], 'the audit finds nothing')


def close(tap, pg, ctl):
    before = pg.value('SELECT count(*) FROM gyro.record')
    done = ctl.run('records', 'close', '--before', '1h')
    tap.ok(done.returncode == 1 and 'b;1' in done.stderr and day(pg, 2) in done.stderr and day(pg, 3) in done.stdout,
           'the first day is closed, the one that an open session may ask for is not', done.stdout + done.stderr)
    refused(tap, ctl.run('records', 'close'), 2, ['--before'], 'days must be told')
    tap.equal(int(before) - int(pg.value('SELECT count(*) FROM gyro.record')),
              int(pg.value(f'SELECT count(*) FROM gyro.{day(pg, 3)}')), 'its records are a table of their own')
    tap.equal(pg.query('SELECT partition, records FROM gyro.record_closed'),
              [[day(pg, 3), pg.value(f'SELECT count(*) FROM gyro.{day(pg, 3)}')]], 'which is noted')
    pg.query(f'DROP TABLE gyro.{day(pg, 3)}')
    tap.equal(audit(pg), [], 'it is dropped, and the audit finds nothing')
    tap.equal(ctl.run('audit').returncode, 0, 'nor does gyroctl')
    tap.ok('24 hours' in pg.psql(f"SELECT gyro.record_close('{day(pg, 0)}')").stderr, 'today is not closed')


def still_sharp(tap, pg):
    spoilt(tap, pg, 'a balance', 'UPDATE gyro.account SET balance = balance + 1 WHERE account_id = 2',
           'UPDATE gyro.account SET balance = balance - 1 WHERE account_id = 2')
    spoilt(tap, pg, 'a sum carried forward', 'UPDATE gyro.record_closed_account SET debit = debit - 1 WHERE account_id = 2',
           'UPDATE gyro.record_closed_account SET debit = debit + 1 WHERE account_id = 2')
    spoilt(tap, pg, 'units of a card', 'UPDATE gyro.record_closed_card SET used = used + 1 WHERE usage',
           'UPDATE gyro.record_closed_card SET used = used - 1 WHERE usage')
    spoilt(tap, pg, 'a purchase', 'UPDATE gyro.record_closed_card SET debit = debit + 1 WHERE purchase AND NOT usage',
           'UPDATE gyro.record_closed_card SET debit = debit - 1 WHERE purchase AND NOT usage')
    spoilt(tap, pg, 'an account that there is not', "INSERT INTO gyro.record_closed_account VALUES (99, 0, false)",
           'DELETE FROM gyro.record_closed_account WHERE account_id = 99')


def still_charged(tap, pg):
    """Copies of what is in open days, and usage that comes late."""
    balance = 'SELECT balance FROM gyro.account WHERE account_id = 2'
    before = int(pg.value(balance))
    tap.equal(charge(pg, [f'U 1 b;1 {MONEY} 10 {MIB}']), ['5004'], 'a number that the row has forgotten is found among the records')
    tap.equal(int(pg.value(balance)), before, 'and not paid again')
    answers = charge(pg, [f'T 8 b;1 {MONEY} 10 {MIB}', f'U 9 b;1 {MONEY} 10 {MIB}', f'U 1 a;2 {MONEY} 10 {MIB}'])
    tap.equal([a.split()[0] for a in answers], ['2001', '5002', '5002'], 'its end, late usage of it, and of a session of the closed day')
    tap.equal(before - int(pg.value(balance)), 2 * int(pg.value('''SELECT max(debit) FROM gyro.record WHERE request_type = 3 AND account_id = 2''')),
              'both are paid, what is too late is not')
    tap.equal(audit(pg), [], 'the audit finds nothing')


def while_read(tap, pg, ctl):
    pg.query("DELETE FROM gyro.session_index")
    reader = psycopg2.connect(pg.conninfo())
    with reader.cursor() as cursor:
        cursor.execute('SELECT count(*) FROM gyro.record')
    run = pg.psql(f"SELECT gyro.record_close('{day(pg, 2)}')")
    tap.ok('stays there' in run.stderr, 'nothing is closed while somebody reads records', run.stderr)
    tap.equal(pg.query('SELECT count(*) FROM gyro.record_closed'), [['1']], 'and nothing carried forward')
    reader.close()
    pg.query('UPDATE gyro.account SET balance = balance + 1 WHERE account_id = 2')
    refused(tap, ctl.run('records', 'close', '--before', '1h'), 4, ['audit', 'nothing is closed'], 'nor while anything is wrong')
    pg.query('UPDATE gyro.account SET balance = balance - 1 WHERE account_id = 2')
    tap.equal([r['partition'] for r in ctl.json('records', 'close', '--before', '1h')], [day(pg, 2)], 'then the next day is closed')
    tap.equal(audit(pg), [], 'the audit finds nothing')
    tap.equal(ctl.json('records', 'close', '--before', '1h'), [], 'there is no other')


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        for name in ('demo', 'demo-cards'):
            ctl.out('apply', '-f', os.path.join(ROOT, f'deploy/{name}.yaml'))
        first_day(tap, pg, ctl)
        kept_session(tap, pg)
        close(tap, pg, ctl)
        still_sharp(tap, pg)
        still_charged(tap, pg)
        while_read(tap, pg, ctl)
    tap.done()


main()
