#!/usr/bin/python3
"""gyroctl migrate: empty, again, many at once, step by step, and the databases that it refuses.

migrate.py GYROCTL ROOT
"""
import glob
import os
import re
import subprocess

from ctl import ROOT, Ctl, refused
from postgres import Postgres, binary
from tap import Tap

FILES = sorted(os.path.basename(p) for p in glob.glob(os.path.join(ROOT, 'core/store/schema/[0-9]*.sql')))
NEWEST = len(FILES)


def dump(pg, database):
    """The schema as pg_dump sees it, without what differs between any two dumps. Partitions are named by
    day: made by both databases within this test, but perhaps not on the same day."""
    text = subprocess.run([binary('pg_dump'), '--schema-only', '--no-owner', pg.conninfo(database)], check=True,
                          capture_output=True, text=True).stdout
    text = re.sub(r'^\\(un)?restrict .*$', '', text, flags=re.M)
    return re.sub(r'record_\d{8}', 'record_DAY', re.sub(r"'[-0-9]{10} [0-9:+]+'", "'DAY'", text))


def names(pg, database):
    return pg.query('SELECT version, name FROM gyro.schema_version ORDER BY 1', database)


def fresh(tap, pg):
    ctl = Ctl(pg.conninfo())
    refused(tap, ctl.run('account', 'list'), 1, ['no Gyro schema', 'gyroctl migrate'], 'a command before: refused')
    before = ctl.json('migrate', '--dry-run')
    tap.equal([m['state'] for m in before['migrations']], ['to apply'] * NEWEST, 'a dry run names all')
    tap.equal(pg.value("SELECT to_regnamespace('gyro') IS NULL"), 't', 'and changes nothing')
    done = ctl.json('migrate')
    tap.equal([m['state'] for m in done['migrations']], ['applied'] * NEWEST, 'all are applied')
    tap.equal(done['record_partitions_made'], 8, 'daily partitions are made, a week ahead')
    tap.equal(done['schema_version'], NEWEST, 'the version is that of the newest file')
    tap.equal([f'{int(v):03d}_{n}.sql' for v, n in names(pg, 'gyro')], FILES, 'the database says which')
    again = ctl.json('migrate')
    tap.equal([m['state'] for m in again['migrations']], ['there'] * NEWEST, 'a second run finds all there')
    tap.equal(again['record_partitions_made'], 0, 'and makes no partition')
    tap.ok(f'schema version {NEWEST}' in ctl.out('migrate'), 'the table for people')


def at_once(tap, pg):
    pg.create('together')
    ctl = Ctl(pg.conninfo('together'))
    runs = [ctl.start('migrate') for _ in range(4)]
    ends = [(run.communicate(timeout=120)[1], run.returncode) for run in runs]
    tap.ok(all(status == 0 for _, status in ends), 'four at once all succeed', ends)
    tap.equal(len(names(pg, 'together')), NEWEST, 'each migration is there once')
    tap.equal(dump(pg, 'together'), dump(pg, 'gyro'), 'the schema is the same')


def step_by_step(tap, pg):
    pg.create('steps')
    ctl = Ctl(pg.conninfo('steps'))
    for n in range(1, NEWEST + 1):
        tap.equal(ctl.json('migrate', '--to', n)['schema_version'], n, f'migrate --to {n}')
    tap.equal(dump(pg, 'steps'), dump(pg, 'gyro'), 'one by one equals all at once')
    tap.equal(ctl.json('migrate', '--to', 1)['schema_version'], NEWEST, '--to an older one does nothing')
    refused(tap, ctl.run('migrate', '--to', NEWEST + 1), 2, [f'1 to {NEWEST}'], '--to one that there is not: 2')
    refused(tap, ctl.run('migrate', '--to', 'x'), 2, ['--to x'], '--to a word: 2')
    pg.create('older')
    older = Ctl(pg.conninfo('older'))
    older.out('migrate', '--to', NEWEST - 1)
    refused(tap, older.run('account', 'list'), 1, [f'version {NEWEST - 1}', 'gyroctl migrate'], 'an older schema is refused')
    done = older.run('status')
    tap.ok(done.returncode == 1 and 'gyroctl migrate' in done.stderr and 'PostgreSQL' in done.stdout,
           'status shows the server nevertheless', done.stderr)


def refusals(tap, pg):
    pg.create('newer', 'gyro')
    newer = Ctl(pg.conninfo('newer'))
    pg.query(f"INSERT INTO gyro.schema_version VALUES ({NEWEST + 1}, 'future')", 'newer')
    for words in (['migrate'], ['migrate', '--dry-run'], ['account', 'list']):
        refused(tap, newer.run(*words), 1, [f'version {NEWEST + 1}', 'newer'], f'a newer database: {" ".join(words)}')
    pg.create('foreign', 'gyro')
    pg.query("UPDATE gyro.schema_version SET name = 'other' WHERE version = 2", 'foreign')
    refused(tap, Ctl(pg.conninfo('foreign')).run('migrate'), 1, ['migration 2', 'other'], 'another history')
    pg.create('broken')
    pg.query('CREATE SCHEMA gyro; CREATE TABLE gyro.account (x int)', 'broken')
    broken = Ctl(pg.conninfo('broken'))
    refused(tap, broken.run('migrate'), 1, ['002_account.sql:', 'account', 'already exists'],
            'a migration that fails names its file and line')
    tap.equal(names(pg, 'broken'), [['1', 'catalogue']], 'it leaves nothing behind, the one before stays')
    pg.create('standby', 'gyro')
    pg.query('ALTER DATABASE standby SET default_transaction_read_only = on', 'postgres')
    refused(tap, Ctl(pg.conninfo('standby')).run('account', 'open', 1, '--currency', 156), 1,
            ['read-only', 'primary'], 'a read-only server says what to do')


def main():
    tap = Tap()
    with Postgres() as pg:
        fresh(tap, pg)
        at_once(tap, pg)
        step_by_step(tap, pg)
        refusals(tap, pg)
    tap.done()


main()
