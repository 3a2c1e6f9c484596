#!/usr/bin/python3
"""Attributes that change in mid-session, by on_change: validity waits for the grants that run, however the value is
written; a pushed value notes whose sessions are to ask again. Sessions are the real engine's.

changes.py GYROCTL ROOT DRIVE    DRIVE is the engine without Diameter, see drive.c
"""
import subprocess
import sys
import time

from ctl import FIXTURE, Ctl, refused
from postgres import Postgres, binary
from tap import Tap

DRIVE, IMSI, MIB, VALIDITY = sys.argv[3], '460001000000001', 1 << 20, 8

RULES = f"""
    UPDATE gyro.rating_group SET validity_s = {VALIDITY} WHERE rating_group = 10;
    INSERT INTO gyro.attribute_type (attribute_id, name, source, derivation, value_type, on_change) VALUES
        (1, 'level', 1, 0, 1, 3), (2, 'tier', 1, 0, 1, 2), (3, 'jam', 5, 60, 1, 3), (4, 'crowd', 5, 60, 1, 1),
        (5, 'cell_crowd', 5, 61, 1, 1);
    INSERT INTO gyro.dynamic_code (code_id, code, attribute_id) VALUES (1, 'LEVEL', 1), (2, 'TIER', 2), (4, 'CROWD', 4), (5, 'CELL', 5);
    INSERT INTO gyro.dynamic_rule (rule_id, code_id, rating_group, unit, match, low, effect, amount, block) VALUES
        (901, 1, 10, 1, 2, '1', 2, 50000, {MIB}), (905, 1, 10, 1, 2, '5', 2, 20000, {MIB}), (910, 2, 10, 1, 2, '1', 4, 7, {MIB}),
        (920, 4, 10, 1, 2, '9', 4, 3, {MIB}), (921, 5, 10, 1, 2, '9', 4, 3, {MIB});
    INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id) SELECT 1, n FROM unnest('{{1, 2, 4, 5}}'::integer[]) n"""


class Node:
    """A node that is asked line by line."""

    def __init__(self, conninfo):
        self.process = subprocess.Popen([DRIVE, conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process.stdout.readline()
        self.number = 0

    def ask(self, letter, session, octets=None):
        words = [letter, self.number, f'pgw1.gyro.test;9;{session}', IMSI, 10] + ([] if octets is None else [octets])
        self.number += 1
        self.process.stdin.write(' '.join(map(str, words)) + '\n')
        return self.process.stdout.readline().split()

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


class Shop:
    def __init__(self, tap, pg, node):
        self.tap, self.pg, self.node = tap, pg, node

    def rows(self, attribute=1):
        """Values that hold now or later: value, where it begins and ends: past, then (when grants end), for ever."""
        return [(v, b, e) for v, b, e in self.pg.query(f"""
            SELECT value, CASE WHEN valid_from <= clock_timestamp() THEN 'past' WHEN valid_from = {self.ends()} THEN 'then' ELSE 'else' END,
                   CASE WHEN valid_until = 'infinity' THEN 'ever' WHEN valid_until = {self.ends()} THEN 'then' ELSE 'else' END
              FROM gyro.subscriber_attribute WHERE subscriber_id = 1 AND attribute_id = {attribute}
               AND valid_until > clock_timestamp() ORDER BY valid_from""")]

    @staticmethod
    def ends():
        """When the validity of the only open session's only grant ends, from its row."""
        return (f"(SELECT to_timestamp(a.sessions[n][7] / 1000000.0) - interval '{VALIDITY} s' FROM gyro.account a,"
                " generate_series(1, array_length(a.sessions, 1)) n WHERE a.account_id = 1 AND a.sessions[n][5] = 1)")

    def price(self):
        """Micro-units per MiB of the money that the grant is held at now, and whether it ends or changes where grants did."""
        price, switch = self.pg.query('SELECT price_micros, tariff_change FROM gyro.reservation WHERE account_id = 1'
                                      ' AND granted > 0')[0]
        return int(price), switch

    def set(self, value):
        self.pg.query(f"SELECT gyro.attribute_set(1, 'level', {value})")

    def begin(self):
        """Level 1 with nothing open, then a session."""
        self.pg.query('DELETE FROM gyro.subscriber_attribute')
        self.set("'1'")
        time.sleep(0.01)
        self.session = self.node.number
        self.node.ask('I', self.session)

    def end(self):
        self.node.ask('T', self.session, 0)


def waits(shop, ctl):
    tap, pg = shop.tap, shop.pg
    shop.begin()
    tap.equal(shop.rows(), [('1', 'past', 'ever')], 'nothing open: a value holds at once')
    tap.equal(shop.price(), (50000, ''), 'the grant has its price')
    shop.set("'5'")
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('5', 'then', 'ever')], 'validity: a change waits until the running grant has ended')
    edge = pg.value("SELECT valid_from FROM gyro.subscriber_attribute WHERE value = '5'")
    left = float(pg.value("SELECT extract(epoch FROM valid_from - clock_timestamp()) FROM gyro.subscriber_attribute WHERE value = '5'"))
    tap.ok(0 < left <= VALIDITY, 'which is within its Validity-Time', left)
    shop.node.ask('U', shop.session, MIB)
    tap.equal(shop.price(), (50000, edge), 'a report before that is granted at the old price, and told when it changes')
    told = ctl.json('explain', f'pgw1.gyro.test;9;{shop.session}', shop.session + 1)['requests'][0]['services'][0]
    tap.equal((told['price'], told['price_after_change']), ('0.05 per 1MiB', '0.02 per 1MiB'), 'explain tells both')
    tap.equal(pg.value('SELECT max(held) FROM gyro.slice WHERE account_id = 1'), '500000', 'held at the dearer of both')
    time.sleep(left + 0.1)
    shop.node.ask('U', shop.session, MIB)
    tap.equal(shop.price(), (20000, ''), 'afterwards the new price')
    debits = pg.query("SELECT debit FROM gyro.record WHERE request_type = 2 ORDER BY at")
    tap.equal(debits, [['50000'], ['50000']], 'never backwards: what was used under the old grant at its price')
    shop.end()
    shop.set("'1'")
    tap.equal(shop.rows()[-1][:2], ('1', 'past'), 'when the session has ended, at once again')


def by_sql(shop):
    tap, pg = shop.tap, shop.pg
    pg.query('DELETE FROM gyro.subscriber_attribute')
    shop.begin()
    pg.query("UPDATE gyro.subscriber_attribute SET value = '5'")
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('5', 'then', 'ever')], 'UPDATE of a value in place waits, too')
    pg.query("UPDATE gyro.subscriber_attribute SET value = '7' WHERE value = '5'")
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('7', 'then', 'ever')], 'and of the one that waits')
    pg.query("DELETE FROM gyro.subscriber_attribute WHERE value = '7'")
    pg.query("DELETE FROM gyro.subscriber_attribute WHERE value = '1'")
    tap.equal(shop.rows(), [('1', 'past', 'then')], 'DELETE: it holds until then')
    pg.query("INSERT INTO gyro.subscriber_attribute (subscriber_id, attribute_id, value) VALUES (1, 1, '3')")
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('3', 'then', 'ever')], 'INSERT: it begins then')
    pg.query("UPDATE gyro.subscriber_attribute SET valid_until = clock_timestamp() WHERE value = '1'")
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('3', 'then', 'ever')], 'an end that is brought forward waits')
    shop.set('NULL')
    tap.equal(shop.rows(), [('1', 'past', 'then')], 'unset')
    done = pg.psql("INSERT INTO gyro.subscriber_attribute (subscriber_id, attribute_id, value, valid_until)"
                   " VALUES (1, 1, '9', clock_timestamp() + interval '1 s')")
    tap.ok(done.returncode != 0 and 'would never hold' in done.stderr, 'one that would have ended by then is refused', done.stderr)
    pg.query("INSERT INTO gyro.subscriber_attribute (subscriber_id, attribute_id, value, valid_from, valid_until)"
             " VALUES (1, 1, '0', '2020-01-01', '2021-01-01')")
    tap.equal(len(shop.rows()), 1, 'the past may be written')
    pg.query("SELECT gyro.attribute_set(1, 'level', '6', clock_timestamp() + interval '1 hour')")
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('6', 'else', 'ever')], 'a later beginning is left as it is')
    pg.query("SELECT gyro.attribute_set(1, 'tier', '1')")
    tap.equal(shop.rows(2)[0][:2], ('1', 'past'), 'on_change next: at once, for the next report')
    shop.node.ask('U', shop.session, 0)
    tap.equal(shop.price()[0], 50007, 'which has it')
    pg.query('DELETE FROM gyro.subscriber_attribute WHERE attribute_id = 2')
    shop.end()


def applied(shop, ctl):
    """gyroctl apply says the same, and a second run finds nothing to do."""
    tap, account = shop.tap, '{ account: 1, currency: 156 }'
    shop.begin()
    catalogue = f'accounts:\n  - {account}\nsubscribers:\n  - {{ subscriber: 1, account: 1, tariff: standard, attributes: {{ level: 5 }} }}\n'
    shown = ctl.json('apply', '-f', '-', '--dry-run', stdin=catalogue)
    tap.equal([(p['rating_group'], p['before'], p['after']) for p in shown['prices']], [(10, '0.05 per 1MiB', '0.02 per 1MiB')],
              'a dry run shows the price that it will be')
    ctl.json('apply', '-f', '-', stdin=catalogue)
    tap.equal(shop.rows(), [('1', 'past', 'then'), ('5', 'then', 'ever')], 'apply waits')
    tap.equal(ctl.json('apply', '-f', '-', stdin=catalogue)['changes'], [], 'once')
    shop.end()


def pushed(shop, ctl):
    tap, pg = shop.tap, shop.pg

    def causes():
        return pg.query('SELECT account_id, subscriber_id, reason FROM gyro.outbox_cause')

    def heard_from(place):
        pg.query(f"""UPDATE gyro.account a SET sessions[n][12] = {place} FROM (
                         SELECT n FROM gyro.account b, generate_series(1, array_length(b.sessions, 1)) n
                          WHERE b.account_id = 1 AND b.sessions[n][5] = 1) o WHERE a.account_id = 1""")
    parts = [pg.value(f"SELECT gyro.place_part('{scope}')") for scope in ('', 'a', '46000', '46000-0001', '46000-0001-0007')]
    tap.equal(parts, ['1', '52514', '49036', '61583', '3307'], 'a scope in the bits that sessions keep of it')
    ctl.out('attribute', 'push', 'crowd', 8)
    tap.equal(causes(), [], 'a pushed value with reauth: nobody is online')
    shop.begin()
    ctl.out('attribute', 'push', 'cell_crowd', 9, '--scope', '46000-0001-0007')
    tap.equal(causes(), [], 'of a cell: not for a session whose requests name none')
    heard_from('0')
    ctl.out('attribute', 'push', 'cell_crowd', 8, '--scope', '46000-0001-0007')
    tap.equal(causes(), [['1', '1', 'attribute cell_crowd']], 'but for one of which it is not known')
    pg.query('DELETE FROM gyro.outbox_cause')
    heard_from("gyro.place_part('46000-0001-0008')")
    ctl.out('attribute', 'push', 'cell_crowd', 8, '--scope', '46000-0001-0007')
    tap.equal(causes(), [], 'not one that is elsewhere')
    ctl.out('attribute', 'push', 'cell_crowd', 8, '--scope', '46000-0001-0008')
    ctl.out('attribute', 'push', 'crowd', 9)
    tap.equal(len(causes()), 1, 'of its cell, and of everywhere: once')
    pg.query("UPDATE gyro.outbox_cause SET due_at = clock_timestamp() + interval '1 hour'")
    tap.equal(pg.value('SELECT spread FROM gyro.outbox_spread(10)'), '0', 'not before every node knows the value')
    pg.query('UPDATE gyro.outbox_cause SET due_at = clock_timestamp()')
    holder = subprocess.Popen([binary('psql'), '-XqAt', pg.conninfo()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write('BEGIN; SELECT account_id FROM gyro.account WHERE account_id = 1 FOR UPDATE;\n')
    holder.stdin.flush()
    holder.stdout.readline()
    tap.equal(pg.query('SELECT spread, due_in_ms FROM gyro.outbox_spread(10)'), [['0', '50']], 'an account that somebody holds is left for later')
    holder.communicate('ROLLBACK;\n', timeout=20)
    tap.equal(pg.query('SELECT spread, due_in_ms FROM gyro.outbox_spread(10)'), [['1', '-1']], 'then into the outbox')
    tap.equal(pg.query("SELECT kind, reason FROM gyro.outbox WHERE state = 1"), [['1', 'attribute cell_crowd']], 'as a RAR')
    pg.query("UPDATE gyro.subscriber_dynamic_code SET valid_until = clock_timestamp() WHERE code_id = 4")
    ctl.out('attribute', 'push', 'crowd', 7)
    tap.equal(causes(), [], 'without the code its value concerns nobody')
    ctl.out('attribute', 'push', 'jam', 1)
    wait = pg.value("SELECT extract(epoch FROM valid_from - clock_timestamp()) FROM gyro.pushed_value WHERE attribute_id = 3")
    tap.ok(3600 < float(wait) <= 3610, 'a pushed value with validity waits for the longest grant that may run', wait)
    shop.end()


def refusals(shop, ctl):
    tap, pg = shop.tap, shop.pg
    done = pg.psql("INSERT INTO gyro.attribute_type (name, source, derivation, value_type, on_change) VALUES ('hour', 3, 20, 1, 1)")
    tap.ok('attribute_type_on_change' in done.stderr, 'on_change of what follows from the clock is refused', done.stderr)
    refused(tap, ctl.run('apply', '-f', '-', stdin='attributes:\n  - { name: hour, source: clock, derivation: hour, on_change: reauth }\n'),
            1, [':2: ', 'on_change reauth', 'clock'], 'by apply, too, with its line')
    refused(tap, ctl.run('attribute', 'push', 'cell_crowd', 1, '--scope', '46000-1-7'), 1, ["'46000-1-7' is no scope"],
            'a cell written as none is told is refused')
    refused(tap, ctl.run('attribute', 'push', 'crowd', 1, '--scope', 'x'), 1, ["'x' is no scope"], 'and a scope of everywhere')
    pg.query("INSERT INTO gyro.pushed_value (attribute_id, scope, value) VALUES (5, '46000-0000001', '1')")
    done = pg.psql("INSERT INTO gyro.pushed_value (attribute_id, scope, value, valid_from) VALUES (5, '46000-0000001', '2', now())")
    tap.ok("another value for '46000-0000001'" in done.stderr, 'two pushed values at a time are refused', done.stderr)
    done = pg.psql('UPDATE gyro.attribute_type SET value_type = 4 WHERE attribute_id = 5')
    tap.ok('has values' in done.stderr, 'another type of an attribute with pushed values is refused', done.stderr)
    pg.query("INSERT INTO gyro.dynamic_code (code_id, code, attribute_id) SELECT n, 'C' || n, 2 FROM generate_series(100, 132) n")
    pg.query("INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id) SELECT 2, n FROM generate_series(100, 131) n")
    done = pg.psql('INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id) VALUES (2, 132)')
    tap.ok('more than 32 dynamic codes' in done.stderr, 'a 33rd dynamic code at a time is refused', done.stderr)


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        ctl.out('apply', '-f', FIXTURE)
        pg.query(RULES)
        node = Node(pg.conninfo())
        try:
            shop = Shop(tap, pg, node)
            waits(shop, ctl)
            by_sql(shop)
            applied(shop, ctl)
            pushed(shop, ctl)
            refusals(shop, ctl)
        finally:
            node.close()
        tap.equal(ctl.json('audit'), [], 'the audit finds nothing')
    tap.done()


main()
