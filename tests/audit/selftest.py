#!/usr/bin/python3
"""The auditor audited: a database of a real load is clean; spoilt in each of these ways, it must be caught.

    selftest.py [--build-dir DIR] [--seed S]

Runs two nodes under load for a few seconds, then spoils a copy of the database, or of the client's log, once for each
row of the tables below, and expects the auditor to name the invariant that was broken. TAP.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests/lib'), str(ROOT / 'tests/audit'), str(ROOT / 'tests/chaos')]
import audit # noqa: E402
from stack import FIRST_IMSI, Gateway, Stack # noqa: E402
from tap import Tap # noqa: E402

# One record that debited something, an update of an ended session; by its place in the table.
SOME = "(SELECT (array_agg((tableoid, ctid)::text ORDER BY at))[2] FROM gyro.record WHERE debit > 0 AND request_type = 2 " \
       "AND flags & 255 = 0)"
ONE = f"(tableoid, ctid)::text = {SOME}"
BUSY = "account_id = (SELECT min(account_id) FROM gyro.account WHERE reservations[1][6] > 0)"
# A charge with a grant and a debit in that record, and one number of it.
AT = "(SELECT min(n) FROM generate_series(1, array_length(charges, 1)) n WHERE charges[n][6] > 0 AND charges[n][5] > 0)"


def number(column, change):
    """Changes one number of a service of one record, of a session that has ended: what clients hold is compared for these."""
    return (f"UPDATE gyro.record SET charges[{AT}][{column}] = charges[{AT}][{column}] {change} WHERE (tableoid, ctid)::text = "
            f"(SELECT min((r.tableoid, r.ctid)::text) FROM gyro.record r WHERE request_type = 2 AND flags & 255 = 0 AND {AT} IS NOT NULL "
            "AND EXISTS (SELECT FROM gyro.record t WHERE t.session = r.session AND t.opened = r.opened AND t.request_type = 3))")


# What is done to the tables; the invariant that breaks; what it is called.
SPOILT = (
    ('I1', 'a balance a micro-unit too high', f"UPDATE gyro.account SET balance = balance + 1 WHERE {BUSY}"),
    ('I1', 'a record gone', f"DELETE FROM gyro.record WHERE {ONE}"),
    ('I1', 'a record twice', f"INSERT INTO gyro.record SELECT * FROM gyro.record WHERE {ONE}"),
    ('I6', 'a record twice is a request decided twice',
     f"INSERT INTO gyro.record SELECT * FROM gyro.record WHERE {ONE}"),
    ('I1', "a debit and its account's balance changed alike",
     f"WITH r AS (UPDATE gyro.record SET debit = debit - 1 WHERE {ONE} RETURNING account_id) "
     "UPDATE gyro.account a SET balance = balance + 1 FROM r WHERE a.account_id = r.account_id"),
    ('I1', 'a balance after a request', f"UPDATE gyro.record SET balance = balance + 1 WHERE {ONE}"),
    ('I1', 'a payment missing', "DELETE FROM gyro.payment WHERE payment_id = (SELECT min(payment_id) FROM gyro.payment)"),
    ('I1', 'a payment of nobody',
     "ALTER TABLE gyro.payment DROP CONSTRAINT payment_account_id_group_id_fkey; INSERT INTO gyro.payment "
     "(account_id, group_id, kind, amount, balance, reference) VALUES (999999, 999999, 2, 5, 5, 'lost')"),
    ('I1', "a service's debit", number(5, '+ 1')),
    ('I1', "a service's remainder", number(10, '+ 1')),
    ('I1', 'used units that cost something', number(4, '+ 1048576')),
    ('I1', 'the price at which usage was paid', number(14, '+ 1')),
    ('I3', 'money held by nobody', f"UPDATE gyro.account SET reserved = reserved + 1 WHERE {BUSY}"),
    ('I3', 'a hold in the row too small, and its sum', f"UPDATE gyro.account SET reserved = reserved - reservations[1][6], "
     f"reservations[1][6] = 0, reservations[1][5] = 0 WHERE {BUSY}"),
    ('I3', 'what a record says is held', f"UPDATE gyro.record SET reserved = reserved + 1 WHERE {ONE}"),
    ('I3', 'an open session lost from its row', f"UPDATE gyro.account SET sessions = '{{}}', reservations = '{{}}', "
     f"answers = '{{}}', reserved = 0 WHERE {BUSY}"),
    ('I4', 'a grant larger than what is held for it', number(6, '+ 1048576')),
    ('I4', 'less held than granted', number(7, '- 1')),
    ('I4', 'the same in the row', f"UPDATE gyro.account SET reservations[1][5] = reservations[1][5] + 1048576 WHERE {BUSY}"),
    ('I4', 'a kept answer that promises more', "UPDATE gyro.account SET answers[1][7] = answers[1][7] + 1 WHERE account_id = "
     "(SELECT min(account_id) FROM gyro.account WHERE answers[1][7] > 0)"),
    ('I6', "a kept answer under somebody else's End-to-End-Id", "UPDATE gyro.account SET answers[1][1] = answers[1][1] + (1::bigint << 32) "
     "WHERE account_id = (SELECT min(account_id) FROM gyro.account WHERE answers[1][1] <> 0)"),
    ('I6', 'a kept answer that nobody gave', "UPDATE gyro.account SET answers[1][3] = answers[1][3] + 1 WHERE account_id = "
     "(SELECT min(account_id) FROM gyro.account WHERE answers[1][3] <> 0)"),
    ('I6', 'a number forgotten, that a copy could use again',
     "UPDATE gyro.account SET sessions[n][9] = sessions[n][9] - 1 FROM (SELECT account_id AS a, min(n) AS n FROM gyro.account, "
     "generate_series(1, array_length(sessions, 1)) n WHERE sessions[n][9] & 1 = 1 GROUP BY 1 LIMIT 1) x WHERE account_id = a"),
    ('I6', 'a session open beyond its deadline',
     "UPDATE gyro.account SET sessions[n][7] = 1 FROM (SELECT account_id AS a, n FROM gyro.account, "
     "generate_series(1, array_length(sessions, 1)) n WHERE sessions[n][5] = 1 LIMIT 1) x WHERE account_id = a"),
    ('I6', 'an ended session open again',
     "UPDATE gyro.account SET sessions[n][5] = 1 FROM (SELECT account_id AS a, n FROM gyro.account, "
     "generate_series(1, array_length(sessions, 1)) n WHERE sessions[n][5] = 2 LIMIT 1) x WHERE account_id = a"),
    ('I6', 'a session that nobody supervises',
     f"DELETE FROM gyro.session_index WHERE account_id = (SELECT account_id FROM gyro.account WHERE {BUSY})"),
    ('I6', 'a session under the key of another',
     "UPDATE gyro.session_index SET session_id = session_id || 'x' WHERE session = (SELECT min(session::text)::uuid "
     "FROM gyro.session_index)"),
    ('I6', 'a balance below the limit, without over-use',
     "UPDATE gyro.account SET balance = -1 WHERE account_id = (SELECT min(account_id) FROM gyro.account)"),
    ('I6', 'a record after the end of its session',
     "UPDATE gyro.record SET flags = 0 WHERE (tableoid, ctid)::text = (SELECT min((tableoid, ctid)::text) FROM gyro.record "
     "WHERE flags & 4 = 4)"),
    ('I6', 'a record of a session that nobody opened',
     "DELETE FROM gyro.record WHERE (tableoid, ctid)::text = (SELECT min((tableoid, ctid)::text) FROM gyro.record "
     "WHERE request_type = 1)"),
    ('I1', 'an event that was paid less', "UPDATE gyro.record SET charges[1][5] = charges[1][5] - 1, debit = debit - 1 "
     "WHERE request_type = 4 AND request_number = 0"),
    ('I5', 'an event that is not recorded', "DELETE FROM gyro.record WHERE request_type = 4 AND request_number = 1"),
    ('I5', 'a success without a record', f"DELETE FROM gyro.record WHERE {ONE}"),
    ('I5', 'a success with two records', f"INSERT INTO gyro.record SELECT * FROM gyro.record WHERE {ONE}"),
    ('I5', 'another grant than was answered', number(6, '- 1')),
    ('I5', 'another usage than was reported', number(4, '+ 1')),
    ('I5', 'another result than was answered', f"UPDATE gyro.record SET result = 5012 WHERE {ONE}"),
    ('I5', 'another validity than was answered', number(12, '+ (1::bigint << 32)')),
    ('I5', 'a request that nobody sent', f"UPDATE gyro.record SET request_number = 4000000000 WHERE {ONE}"),
    ('I5', "somebody else's End-to-End-Id", f"UPDATE gyro.record SET end_to_end = end_to_end + 1000000 WHERE {ONE}"),
    ('I5', 'late usage that was not paid', "DELETE FROM gyro.record WHERE (tableoid, ctid)::text = "
     "(SELECT min((tableoid, ctid)::text) FROM gyro.record WHERE flags & 4 = 4 AND debit > 0)"),
    ('I7', 'units let through and not recorded', number(4, '- 1')),
)


def first(lines, wanted):
    return next(i for i, line in enumerate(lines) if wanted(line))


def granted_more(lines):
    at = first(lines, lambda x: x['event'] == 'answer' and x['services'] and x['services'][0]['granted'])
    for unit in lines[at]['services'][0]['granted']:
        lines[at]['services'][0]['granted'][unit] += 1


def two_answers(lines):
    """A copy's answer with another code."""
    seen = {}
    for line in lines:
        if line['event'] == 'answer':
            if line['request'] in seen:
                line['code'] = 5030
                return
            seen[line['request']] = True


def other_code(lines):
    at = first(lines, lambda x: x['event'] == 'answer' and x['type'] == 2 and x['code'] == 5002)
    request = lines[at]['request']
    for line in lines:
        if line['event'] == 'answer' and line['request'] == request:
            line['code'] = 2001


def refused(lines):
    """Every answer to one request was a refusal, says the client; it is recorded all the same."""
    request = lines[first(lines, lambda x: x['event'] == 'answer' and x['code'] == 2001)]['request']
    for line in lines:
        if line['event'] == 'answer' and line['request'] == request:
            line['code'], line['services'] = 3004, []


def used_less(lines):
    at = first(lines, lambda x: x['event'] == 'sent' and x['type'] == 3 and
               any(u.get('octets', 0) > 0 for s in x['services'] for u in s['used']))
    request = lines[at]['request']
    for line in lines:
        if line['event'] == 'sent' and line['request'] == request:
            for service in line['services']:
                for units in service['used']:
                    units.update({unit: n - 1 for unit, n in units.items() if n})


def never_sent(lines):
    request = lines[first(lines, lambda x: x['event'] == 'answer' and x['type'] == 3)]['request']
    lines[:] = [line for line in lines if line.get('request') != request]


LIES = (
    ('I5', 'the client was granted more', granted_more),
    ('I5', 'copies were answered differently', two_answers),
    ('I5', 'a success that the record calls late', other_code),
    ('I5', 'what was refused is recorded', refused),
    ('I5', 'the gateway reported less', used_less),
    ('I7', 'the gateway let less through than is recorded', used_less),
    ('I5', 'a record of what was never sent', never_sent),
)


def load(stack, seed):
    """Sessions that end, copies, late usage, and some that stay open."""
    log = str(stack.home / 'client.log')
    gateway = Gateway(nodes=stack.ports(), log=log, seed=seed, seconds=60, requests=1500, subscribers=20, sessions=16,
                      copies_percent=30, parallel_percent=30, overtake_percent=50, vanish_percent=10)
    gateway.process.wait(60)
    count = gateway.finish()
    events = str(stack.home / 'events.log')
    for port, imsi in zip(stack.ports().values(), (FIRST_IMSI, FIRST_IMSI + 1)):
        subprocess.run([stack.build / 'bin/gyro-sim', 'request', '--connect', f'127.0.0.1:{port}', '--imsi', str(imsi),
                        '--origin-host', 'pgw2.gyro.test', '--origin-realm', 'gyro.test', '--destination-realm', 'gyro.test',
                        '--log', events, 'E0 action=0 {10:RSU=3MiB} -> 2001', 'E1 action=0 {cmd:RSU=money:1.25} -> 2001',
                        'E2 action=1 {cmd:RSU=money:0.25} -> 2001'], check=True, stdout=subprocess.DEVNULL)
    for node in stack.nodes:
        node.stop()
    return [log, events], count


def look(stack, database, logs):
    return audit.audit(stack.pg.conninfo(database), logs, complete=True, fixed_catalogue=True)


def caught(tap, invariant, name, found):
    tap.ok(found.count()[invariant] > 0, f'{invariant}: {name}', f'found only {dict(found.count())} {found.lines[:3]}')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--build-dir', default=ROOT / 'build/release')
    p.add_argument('--seed', type=int, default=int(os.environ.get('GYRO_SEED') or time.time_ns() % 10**9))
    args = p.parse_args()
    tap = Tap()
    print(f'# seed {args.seed}')
    with Stack(args.build_dir, subscribers=20) as stack:
        logs, count = load(stack, args.seed)
        found, checked = look(stack, 'gyro', logs)
        print(f'# {dict(checked)}')
        tap.ok(count['unknown'] == 0 and not found.lines, 'a real load is clean', found.lines[:10])
        for what in ('accounts', 'records', 'debits', 'sessions in rows', 'kept answers', 'successes', 'grants',
                     'copies answered alike', 'late usage', 'ended sessions'):
            tap.ok(checked[what] > 0, f'there was something to look at: {what}')
        for invariant, name, sql in SPOILT:
            stack.pg.create('spoilt', template='gyro')
            before = stack.pg.value(TABLES, 'spoilt')
            stack.pg.query(sql, 'spoilt')
            tap.ok(stack.pg.value(TABLES, 'spoilt') != before, f'spoilt: {name}', sql)
            caught(tap, invariant, name, look(stack, 'spoilt', logs)[0])
            stack.pg.drop('spoilt')
        text = pathlib.Path(logs[0]).read_text(encoding='utf-8').splitlines()
        for invariant, name, lie in LIES:
            lines = [json.loads(line) for line in text]
            lie(lines)
            lying = stack.home / 'lying.log'
            lying.write_text(''.join(json.dumps(line) + '\n' for line in lines), encoding='utf-8')
            caught(tap, invariant, name, look(stack, 'gyro', [str(lying), logs[1]])[0])
    print(f'# seed {args.seed}')
    tap.done()


# All that the auditor reads, as one number: a corruption that changes nothing would prove nothing.
TABLES = '''SELECT md5(concat((SELECT string_agg(a::text, '' ORDER BY account_id) FROM gyro.account a),
                              (SELECT string_agg(r::text, '' ORDER BY r::text) FROM gyro.record r),
                              (SELECT string_agg(p::text, '' ORDER BY payment_id) FROM gyro.payment p),
                              (SELECT string_agg(x::text, '' ORDER BY session) FROM gyro.session_index x)))'''

if __name__ == '__main__':
    main()
