#!/usr/bin/python3
"""Partitions of gyro.record: made while usage is recorded and while an audit reads; and days that have none.

partitions.py GYROCTL ROOT DRIVE    DRIVE is the engine without Diameter, see drive.c
"""
import os
import subprocess
import sys
import time

import psycopg2
from ctl import ROOT, Ctl
from postgres import Postgres
from tap import Tap

DAY = "to_char(timezone('UTC', now())::date + %d, 'YYYYMMDD')"
INSERT = '''INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number, end_to_end,
            content_hash, debit, balance, reserved, result, request_type, flags, catalogue, charges)
            SELECT %s, 1, 1, 1, 1, gen_random_uuid(), now(), 1, 1, 1, 0, 0, 0, 2001, 2, 0, 1, '{}' FROM generate_series(1, %d)'''


def there(pg, days):
    return pg.value(f"SELECT to_regclass('gyro.record_' || {DAY % days}) IS NOT NULL") == 't'


def drop(pg, days):
    pg.query(f"DO $$ BEGIN EXECUTE 'DROP TABLE gyro.record_' || {DAY % days}; END $$")


def while_others_work(tap, pg):
    tap.ok(there(pg, 7) and not there(pg, 8), 'a week ahead is made')
    other = psycopg2.connect(pg.conninfo())
    with other.cursor() as cursor:
        cursor.execute('LOCK TABLE ONLY gyro.record IN ACCESS SHARE MODE')
        cursor.execute(INSERT % ('now()', 1))
    tap.equal(pg.value('SELECT gyro.record_partition(8)'), '1', 'one more while usage is being recorded')
    other.rollback()
    with other.cursor() as cursor:
        cursor.execute('SELECT count(*) FROM gyro.record')
    began = time.monotonic()
    run = pg.psql('SELECT gyro.record_partition(9)')
    tap.ok('lock timeout' in run.stderr and time.monotonic() - began < 2, 'it waits for no audit', run.stderr)
    tap.equal(pg.value('SELECT gyro.record_partition(8)'), '0', 'there being nothing to make, it needs no lock')
    other.rollback()
    tap.equal(pg.value('SELECT gyro.record_partition(9)'), '1', 'and then it is made')
    other.close()
    same = pg.query('''SELECT DISTINCT (SELECT count(*) FROM pg_index WHERE indrelid = inhrelid AND indisvalid),
                              (SELECT attstattarget FROM pg_attribute WHERE attrelid = inhrelid AND attname = 'charges')
                         FROM pg_inherits WHERE inhparent = 'gyro.record'::regclass''')
    tap.equal(same, [['2', '0']], 'all have the same indexes and statistics')


def by_a_node(tap, pg, drive):
    """An audit that runs when a node looks for work doesn't put it off for an hour."""
    for days in (9, 8, 7):
        drop(pg, days)
    audit = psycopg2.connect(pg.conninfo())
    with audit.cursor() as cursor:
        cursor.execute('SELECT count(*) FROM gyro.record')
    node = subprocess.Popen([drive, pg.conninfo()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tap.equal(node.stdout.readline(), 'ready\n', 'a node starts while an audit runs')
    time.sleep(2)
    tap.ok(not there(pg, 7), 'it makes no partition meanwhile')
    audit.rollback()
    audit.close()
    pg.query(INSERT % ("'2001-02-03 04:05'", 1))
    end = time.monotonic() + 30
    while not there(pg, 7) and time.monotonic() < end:
        time.sleep(0.2)
    tap.ok(there(pg, 7), 'but soon afterwards')
    said = node.communicate('')[0:2]
    tap.ok(any('record_default' in (text or '') for text in said), 'and tells of records that have none', said)


def astray(tap, pg):
    for days in (7, 6):
        drop(pg, days)
    pg.query(INSERT % ("now() + interval '6 days'", 60000))
    tap.equal(pg.value('SELECT gyro.record_partition(6)'), '0', 'a day with records in the default partition is left alone')
    pg.query(INSERT % ("now() + interval '6 days'", 60000))
    tap.equal(pg.value('SELECT gyro.record_partition()'), '0', 'nothing is made that would have to read very many of them')
    run = pg.psql('SELECT gyro.record_default_keep()')
    tap.ok('overlap' in run.stderr, 'nor kept as one with the days of others between them', run.stderr)
    pg.query("DELETE FROM gyro.record_default WHERE at < now() - interval '1 year'")
    tap.equal(pg.value('SELECT gyro.record_default_keep()'), pg.value(f"SELECT 'record_' || {DAY % 6}"), 'they are kept as a partition')
    tap.equal(pg.query('SELECT (SELECT count(*) FROM gyro.record_default), (SELECT count(*) FROM gyro.record)'), [['0', '120000']],
              'none is lost')
    tap.equal(pg.value('SELECT gyro.record_partition()'), '1', 'and the days after it are made again')
    tap.equal(pg.value('SELECT gyro.record_default_keep()'), '', 'there is nothing more to keep')


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        ctl.out('apply', '-f', os.path.join(ROOT, 'tests/cases/fixture.yaml'))
        while_others_work(tap, pg)
        by_a_node(tap, pg, sys.argv[3])
        astray(tap, pg)
        found = pg.query('SELECT * FROM gyro.audit()')
        tap.equal(found, [], 'the audit finds nothing')
    tap.done()


main()
