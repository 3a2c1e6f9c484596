#!/usr/bin/python3
"""Pushed values with on_change reauth where many have sessions (S-7): what a push reads, and who waits for whom.

push.py GYROCTL ROOT SEED    SEED fills the database in bulk, see tests/bench/seed.c

No times are measured: the database counts which rows it read.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from postgres import Postgres, binary  # noqa: E402
from tap import Tap  # noqa: E402

GYROCTL, ROOT, SEED = sys.argv[1:4]
ACCOUNTS, SESSIONS, CELLS = 20_000, 400, 40
PLANNING = 12  # rows that the planner itself looks at, at the ends of indexes
PUSH = "gyro.attribute_push('crowd', '46001-1a2b-{:04x}', '{}')"
READ = """SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'gyro.{}'::regclass"""


def fill(pg):
    for words in ([GYROCTL, '--database', pg.conninfo(), 'migrate'],
                  [GYROCTL, '--database', pg.conninfo(), 'apply', '-f', f'{ROOT}/tests/bench/catalogue.yaml'],
                  [SEED, '--database', pg.conninfo(), '--accounts', ACCOUNTS, '--sessions', SESSIONS, '--subscriber-step', ACCOUNTS // SESSIONS]):
        subprocess.run([str(w) for w in words], check=True, stdout=subprocess.DEVNULL)
    pg.query(f"""
        INSERT INTO gyro.attribute_type (attribute_id, name, source, derivation, value_type, on_change)
        VALUES (1, 'crowd', 5, 61, 3, 1), (2, 'weather', 5, 60, 3, 2);
        INSERT INTO gyro.dynamic_code (code_id, code, attribute_id) VALUES (1, 'crowd', 1);
        SET session_replication_role = replica;
        INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id) SELECT subscriber_id, 1 FROM gyro.subscriber;
        CREATE TEMP TABLE online AS SELECT account_id, row_number() OVER (ORDER BY account_id) AS n FROM gyro.account WHERE sessions <> '{{}}';
        UPDATE gyro.account a SET sessions[1][12] = gyro.place_part('46001-1a2b-' || lpad(to_hex(o.n % {CELLS}), 4, '0'))
          FROM online o WHERE o.account_id = a.account_id;
        ANALYZE""")


def causes(pg):
    return int(pg.value('WITH gone AS (DELETE FROM gyro.outbox_cause RETURNING 1) SELECT count(*) FROM gone'))


def reads(pg, sql):
    """{table: (sequential scans, rows fetched by an index)} of these words."""
    rows = pg.query(f"BEGIN; {sql}; {READ.format('account')}; {READ.format('subscriber')}; {READ.format('subscriber_dynamic_code')}; COMMIT")
    return [(int(scans), int(rows)) for scans, rows in [r for r in rows if len(r) == 2]]


def what_it_reads(tap, pg):
    in_cell = SESSIONS // CELLS
    account, subscriber, codes = reads(pg, f'SELECT {PUSH.format(1, "high")}')
    tap.ok(account[0] == subscriber[0] == codes[0] == 0 and subscriber[1] <= PLANNING, 'a push reads no table of those who are not online',
           (account, subscriber, codes))
    tap.ok(account[1] <= SESSIONS + PLANNING and codes[1] <= in_cell + PLANNING, 'each session once, and codes of those in the cell', (account, codes))
    tap.equal(causes(pg), in_cell, 'who has a session there is noted')
    account, subscriber, _ = reads(pg, f'SELECT {PUSH.format(1, "low")}')
    tap.ok(account[0] == 0 and account[1] <= 2 * (SESSIONS + PLANNING), 'the same for a value in the place of another', account)
    tap.equal(causes(pg), in_cell, 'noted once')
    account, _, _ = reads(pg, "INSERT INTO gyro.pushed_value (attribute_id, scope, value) "
                              f"SELECT 1, '46001-1a2b-' || lpad(to_hex(n), 4, '0'), 'x' FROM generate_series(2, {CELLS - 1}) n")
    tap.ok(account[0] == 0 and account[1] <= SESSIONS + PLANNING, 'all other cells in one statement: each session once', account)
    tap.equal(causes(pg), SESSIONS - 2 * in_cell, 'and all in them noted')
    pg.query("UPDATE gyro.session_index SET ended = true")
    account, _, _ = reads(pg, f'SELECT {PUSH.format(1, "none")}')
    tap.ok(account[0] == 0 and account[1] <= PLANNING and causes(pg) == 0, 'nobody is online: no account is read', account)
    pg.query("UPDATE gyro.session_index SET ended = false")


def who_waits(tap, pg):
    def version():
        return int(pg.value('SELECT version FROM gyro.pushed_version'))

    def beside(sql, name):
        run = pg.psql(f"SET lock_timeout = '1s'; {sql}")
        tap.equal((run.returncode, run.stderr), (0, ''), name)
    before = version()
    pg.query("DELETE FROM gyro.pushed_value WHERE scope = 'nowhere'")
    tap.equal(version(), before, 'nothing pushed: nothing to read for nodes')
    pg.query(f'BEGIN; SELECT {PUSH.format(1, "one")}; SELECT {PUSH.format(2, "one")}; COMMIT')
    tap.equal(version(), before + 1, 'two in one transaction: one version')
    pg.query(f'BEGIN; SELECT {PUSH.format(1, "two")}; SAVEPOINT s; SELECT {PUSH.format(2, "two")}; SET CONSTRAINTS ALL IMMEDIATE; '
             'ROLLBACK TO s; COMMIT')
    tap.equal(version(), before + 2, 'also if one of them was undone')
    pg.query('TRUNCATE gyro.pushed_value')
    tap.equal(version(), before + 3, 'all values emptied')
    holder = subprocess.Popen([binary('psql'), '-XqAt', pg.conninfo()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write(f'BEGIN; SELECT {PUSH.format(1, "held")};\n\\echo held\n')
    holder.stdin.flush()
    while holder.stdout.readline() != 'held\n':
        pass
    beside('UPDATE gyro.rating_group SET default_grant = default_grant + 1', 'while somebody pushes, the catalogue can change')
    beside("SELECT gyro.attribute_push('weather', '', 'rain')", 'and another attribute be pushed')
    holder.communicate('COMMIT;\n', timeout=20)
    tap.equal(version(), before + 5, 'each counts')
    holder = subprocess.Popen([binary('psql'), '-XqAt', pg.conninfo()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write('BEGIN; UPDATE gyro.rating_group SET default_grant = default_grant + 1;\n\\echo held\n')
    holder.stdin.flush()
    while holder.stdout.readline() != 'held\n':
        pass
    beside(f'SELECT {PUSH.format(1, "then")}', 'while the catalogue changes, values can be pushed')
    holder.communicate('ROLLBACK;\n', timeout=20)


def spreading(tap, pg):
    causes(pg)
    pg.query("""INSERT INTO gyro.outbox_cause (account_id, subscriber_id, reason, due_at)
                SELECT account_id, subscriber_id, 'test', now() FROM gyro.session_index; ANALYZE gyro.outbox_cause""")
    # enable_seqscan as in a node (core/store/connection.c)
    told, (scans, rows) = pg.query(f"BEGIN; SET LOCAL enable_seqscan = off; SELECT * FROM gyro.outbox_spread(20); "
                                   f"{READ.format('outbox_cause')}; COMMIT")
    tap.equal(told, ['20', '50'], 'a part of those who are due, and the next at once')
    tap.ok(scans == '0' and int(rows) <= 100, f'of {SESSIONS} causes it reads that part only', (scans, rows))


def main():
    tap = Tap()
    with Postgres() as pg:
        fill(pg)
        what_it_reads(tap, pg)
        who_waits(tap, pg)
        spreading(tap, pg)
    tap.done()


if __name__ == '__main__':
    main()
