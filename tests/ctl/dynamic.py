#!/usr/bin/python3
"""gyroctl and dynamic tariffs: the sections of a catalogue file, what is refused and on which line, prices of a
dry run, attributes, pushed values, dynamic codes.

dynamic.py GYROCTL ROOT
"""
import json
import os
import subprocess
import tempfile
import time

from ctl import ROOT, Ctl, refused
from postgres import Postgres, binary
from tap import Tap

BASE = """\
rating_groups:
  - { rating_group: 10, name: internet, default_grant: 10MiB, max_grant: 50MiB, validity: 1h }
  - { rating_group: 20, name: nothing, default_grant: 10MiB, max_grant: 50MiB, validity: 1h }
tariffs:
  - { code: basic, rules: [ { rating_group: 10, unit: octets, price: "0.10", per: 1MiB } ] }
  - { code: other, rules: [ { rating_group: 10, unit: octets, price: "0.30", per: 1MiB } ] }
peers:
  - { peer: "*.old.test", tariff_time_change: false }
time_zones:
  - { name: UTC }
  - { name: Asia/Shanghai, default: true }
calendars:
  - { name: cn, days: [ 2026-10-01, 2026-01-01 ] }
home_networks: [ "46000", "46001" ]
attributes:
  - { name: level, source: stored, type: integer, on_change: reauth }
  - { name: rebate, source: stored, type: decimal, default: "0.5" }
  - { name: holiday, source: clock, derivation: holiday, calendar: cn }
  - { name: used, source: counter, derivation: units_month, all_groups: true }
  - { name: congestion, source: pushed, derivation: by_cell, type: text, default: low }
dynamic_codes:
  - { code: credit, attribute: level, on_missing: ignore }
  - { code: vip, attribute: level, on_missing: deny }
dynamic_rules:
  - { code: credit, rating_group: 10, unit: octets, from: 4, to: 6, multiply: 0.8 }
  - { tariff: basic, code: vip, rating_group: 10, unit: octets, equal: 5, replace: { price: "0.05", per: 1MiB } }
  - { attribute: congestion, rating_group: 10, unit: octets, in: [ high, full ], add: { price: "0.02", per: 1MiB } }
  - { attribute: used, rating_group: 10, unit: octets, from: 1073741824, quota: 5MiB, valid_until: 2031-01-01 }
accounts:
  - { account: 1, currency: 156, balance: "100.00" }
subscribers:
  - { subscriber: 1, account: 1, tariff: basic, imsi: "460001000000001", zone: Asia/Shanghai, attributes: { level: 3 }, dynamic_codes: [ credit ] }
  - { subscriber: 2, account: 1, tariff: other }
"""

R25 = '{ code: credit, rating_group: 10, unit: octets, from: 4, to: 6, multiply: 0.8 }'
R26 = 'equal: 5, replace: { price: "0.05", per: 1MiB } }'
R27 = 'in: [ high, full ], add: { price: "0.02", per: 1MiB }'
SECOND = R26 + '\n  - { tariff: basic, code: vip, rating_group: 10, unit: octets, from: 5, to: 7, replace: { price: "0.06", per: 1MiB } }'

# What replaces what in BASE, the line of the error, words of it.
ERRORS = [
    ('an unknown key of a rule', 'multiply: 0.8', 'times: 0.8', 25, ['times']),
    ('two effects', 'multiply: 0.8', 'multiply: 0.8, deny: true', 25, ['one effect']),
    ('no effect', ', multiply: 0.8', '', 25, ['one effect']),
    ('two matches', 'from: 4, to: 6', 'from: 4, equal: 6', 25, ['one of any, equal']),
    ('a factor with seven decimals', 'multiply: 0.8', 'multiply: 0.8000001', 25, ['multiply 0.8000001']),
    ('a factor below zero', 'multiply: 0.8', 'multiply: -0.8', 25, ['multiply -0.8']),
    ('a unit of money', R25, R25.replace('octets', 'money'), 25, ['unit money']),
    ('an effect without its unit', 'unit: octets, ' + R27, R27, 27, ['dynamic rule', 'unit']),
    ('a code that there is not', 'code: credit, rating', 'code: gold, rating', 25, ['neither in the file']),
    ('an attribute that there is not', 'attribute: congestion, rating', 'attribute: jam, rating', 27, ['neither in the file']),
    ('a code and an attribute', 'code: credit, rating', 'code: credit, attribute: level, rating', 25, ['leave it out']),
    ('a value of the wrong type', 'from: 4', 'from: four', 25, ["'four' is no integer value"]),
    ('a value of the wrong type in a set', R26[:8], 'in: [ 5, x ]', 26, ["'x' is no integer value"]),
    ('a range that nothing is in', 'from: 4, to: 6', 'from: 6, to: 6', 25, ['dynamic rule', 'can never match: no value']),
    ('a rule for what nothing is priced', R25, R25.replace('10', '20'), 25, ['dynamic rule', 'can never match: no specific rule']),
    ('two REPLACE that overlap', R26, SECOND, 27, ['dynamic rule', 'overlaps another REPLACE', 'with rule', 'line 26']),
    ('the same key twice', R26, R26 + '\n  - { tariff: basic, code: vip, rating_group: 10, unit: octets, ' + R26, 27, ['line 26']),
    ('one key, overlapping in time', R26, R26 + '\n  - { tariff: basic, code: vip, rating_group: 10, unit: octets, valid_from: 2030-01-01, ' + R26,
     27, ['overlaps in time', 'line 26']),
    ('a rate that could go negative', R27, R27.replace('0.02', '-0.09'), 27, ['dynamic rule', 'negative']),
    ('an end before the beginning', 'valid_until: 2031-01-01', 'valid_until: 2031-01-01, valid_from: 2032-01-01', 28, ['not after']),
    ('a zone that there is not', '{ name: Asia/Shanghai', '{ name: Asia/Shangri-La', 11, ['Shangri-La']),
    ('two default zones', '{ name: UTC }', '{ name: UTC, default: true }', 11, ['second default']),
    ('a day that there is not', '2026-10-01', '2026-10-32', 13, ['2026-10-32']),
    ('a home network', '"46001"', '"4600x"', 14, ['home network 4600x']),
    ('an attribute without type', 'type: integer, on_change', 'on_change', 16, ['needs a type']),
    ('a derivation of another source', 'source: clock', 'source: counter', 18, ['source counter has no derivation holiday']),
    ('a holiday without calendar', ', calendar: cn', '', 18, ['calendar']),
    ('a calendar that there is not', 'calendar: cn', 'calendar: de', 18, ['calendar is neither']),
    ('a default of the wrong type', 'default: "0.5"', 'default: half', 17, ["'half' is no decimal value"]),
    ('a decimal with seven places', 'default: "0.5"', 'default: "0.1234567"', 17, ['6 decimal places']),
    ('a peer that may or may not', 'tariff_time_change: false', 'tariff_time_change: perhaps', 8, ['perhaps is neither true nor false']),
    ('a subscriber with an unknown zone', 'zone: Asia/Shanghai', 'zone: Asia/Tokyo', 32, ['zone is neither']),
    ('a subscriber with an unknown attribute', '{ level: 3 }', '{ height: 3 }', 32, ['no stored attribute height']),
    ('a subscriber with a value of the wrong type', '{ level: 3 }', '{ level: high }', 32, ["'high' is no integer value"]),
    ('a subscriber with an attribute list', '{ level: 3 }', '[ level ]', 32, ['pairs']),
    ('a subscriber with an unknown code', '[ credit ]', '[ gold ]', 32, ['no such code']),
]


class Catalogue:
    """BASE with replacements, in a file."""

    def __init__(self, ctl, place):
        self.ctl, self.path = ctl, os.path.join(place, 'catalogue.yaml')

    def file(self, *replacements):
        text = BASE
        for old, new in replacements:
            assert text.count(old) == 1, (old, text.count(old))
            text = text.replace(old, new)
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write(text)
        return self.path

    def apply(self, *replacements, flags=()):
        return self.ctl.json('apply', '-f', self.file(*replacements), *flags)


def errors(tap, cat, pg):
    for name, old, new, line, words in ERRORS:
        refused(tap, cat.ctl.run('apply', '-f', cat.file((old, new))), 1, ['gyroctl: apply: ', f'catalogue.yaml:{line}: ', *words],
                f'line {line}: {name}')
    tap.equal(pg.query('SELECT (SELECT count(*) FROM gyro.attribute_type), (SELECT count(*) FROM gyro.dynamic_rule),'
                       ' (SELECT count(*) FROM gyro.catalogue_archive)'), [['0', '0', '0']], 'none of them left anything behind')


def times(tap, cat, pg):
    """A time means one instant, wherever and whenever it is read: words and the session's time zone don't matter."""
    due = '{ name: due, source: stored, type: time, default: 2026-07-01 }'
    words = ('now', 'today', 'tomorrow', 'yesterday 10:00', 'epoch', 'infinity', '2026-07-01 08:00 Europe/Berlin', '2026-07-01 08:00 CET',
             '08:00', '20260701', 'July 1 2026', '2026-02-30')
    for word in words:
        done = pg.psql(f"SELECT gyro.value_number(5::smallint, '{word}')")
        tap.ok(done.returncode and f"'{word}' is no time value" in done.stderr, f'{word} is no time', done.stderr)
    attribute = ('{ name: rebate, source: stored, type: decimal, default: "0.5" }', due.replace('2026-07-01', 'now'))
    refused(tap, cat.ctl.run('apply', '-f', cat.file(attribute)), 1, ['catalogue.yaml:17', "'now' is no time value"], 'a default that is now')
    attribute = ('{ name: rebate, source: stored, type: decimal, default: "0.5" }', due)
    rule = R27.replace('in: [ high, full ]', 'from: "WORD"')
    for where, line, change in (('a bound', 27, ('attribute: congestion, rating_group: 10, unit: octets, ' + R27,
                                                 'attribute: due, rating_group: 10, unit: octets, ' + rule)),
                                ('a value of a set', 27, ('attribute: congestion, rating_group: 10, unit: octets, in: [ high, full ]',
                                                          'attribute: due, rating_group: 10, unit: octets, in: [ 2026-01-01, "WORD" ]')),
                                ('a value', 32, ('{ level: 3 }', '{ level: 3, due: "WORD" }'))):
        refused(tap, cat.ctl.run('apply', '-f', cat.file(attribute, (change[0], change[1].replace('WORD', 'tomorrow')))), 1,
                [f'catalogue.yaml:{line}', "'tomorrow' is no time value"], f'{where} that is tomorrow')
    ways = ('2026-07-01T00:00:00Z', '2026-07-01', '2026-07-01 00:00', '2026-07-01 08:00+08', '2026-06-30T20:30:00.000-03:30',
            '2026-07-01T02:00:00 +0200')
    tap.equal({pg.query(f"SET TimeZone = '{zone}'; SELECT gyro.value_number(5::smallint, '{at}')")[-1][0]
               for zone in ('UTC', 'Asia/Shanghai') for at in ways}, {'1782864000000000'}, f'ways to write an instant: {", ".join(ways)}')


def applying(tap, cat, pg):
    dry = cat.apply(flags=['--dry-run'])
    tap.equal(pg.value('SELECT count(*) FROM gyro.attribute_type'), '0', 'a dry run changes nothing')
    real = cat.apply()
    tap.equal(real['changes'], dry['changes'], 'the real run does what the dry run said')
    version = pg.value('SELECT version FROM gyro.catalogue_version')
    again = cat.apply()
    tap.equal((again['changes'], pg.value('SELECT version FROM gyro.catalogue_version')), ([], version), 'a second run: no change')
    tap.equal(pg.query("SELECT name FROM gyro.time_zone WHERE is_default"), [['Asia/Shanghai']], 'the default zone moved')
    tap.equal(pg.query('SELECT match, low, high, set_values, effect, amount, block FROM gyro.dynamic_rule ORDER BY rule_id'),
              [['4', '4', '6', '', '3', '800000', '0'], ['2', '5', '', '', '2', '50000', '1048576'],
               ['3', '', '', '{high,full}', '4', '20000', '1048576'], ['4', '1073741824', '', '', '8', '5242880', '0']],
              'rules as the file says')
    tap.equal(pg.value('SELECT count(*) FROM gyro.catalogue_archive'), '0', 'what no node has in force is not archived')
    tap.equal(pg.value("SELECT a.value FROM gyro.subscriber_attribute a WHERE subscriber_id = 1"), '3', 'an attribute of a subscriber')


def unlocked(tap, cat, pg):
    """A dry run that changes much of subscribers and accounts is held up by a lock on a table that comes last. Nodes get at every
    account, and so does a card's binding at every subscriber."""
    changes = [('{ account: 1, currency: 156, balance: "100.00" }', '{ account: 1, currency: 156, state: barred, credit_limit: "2" }\n'
                '  - { account: 2, currency: 156, valid_until: 2040-01-01 }\n  - { account: 3, currency: 156 }'),
               ('subscriber: 1, account: 1, tariff: basic, imsi: "460001000000001", zone: Asia/Shanghai, attributes: { level: 3 }, '
                'dynamic_codes: [ credit ]',
                'subscriber: 1, account: 2, tariff: other, imsi: "460001000000009", zone: UTC, attributes: { level: 4 }, dynamic_codes: [ vip ]'),
               ('subscriber: 2, account: 1, tariff: other }', 'subscriber: 2, account: 3, tariff: basic, attributes: { level: 5 } }\n'
                '  - { subscriber: 3, account: 2, tariff: basic }\napps:\n  - { name: video, targets: [ "10" ] }')]
    cat.ctl.out('account', 'open', 2, '--currency', 156)
    plan = cat.apply(*changes, flags=['--dry-run', '--prune'])['changes']
    before = pg.query('SELECT * FROM gyro.account ORDER BY 1')
    blocker = subprocess.Popen([binary('psql'), '-qXAt', pg.conninfo()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        blocker.stdin.write("BEGIN; LOCK gyro.app IN EXCLUSIVE MODE; SELECT 'locked';\n")
        blocker.stdin.flush()
        blocker.stdout.readline()
        run = cat.ctl.start('apply', '-f', cat.path, '--dry-run', '--prune', '--json')
        waiting, end = "SELECT count(*) FROM pg_locks WHERE relation = 'gyro.app'::regclass AND NOT granted", time.monotonic() + 9
        while pg.value(waiting) == '0' and run.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        held_up = pg.value(waiting)
        accounts = pg.query('SELECT account_id FROM gyro.account ORDER BY 1 FOR NO KEY UPDATE SKIP LOCKED')
        people = pg.query('SELECT subscriber_id FROM gyro.subscriber ORDER BY 1 FOR KEY SHARE SKIP LOCKED')
        asked = pg.value('SELECT count(*) FROM gyro.outbox')
    finally:
        blocker.communicate('ROLLBACK;\n')
    said, error = run.communicate(timeout=60)
    tap.equal((held_up, accounts, people, asked), ('1', [['1'], ['2']], [['1'], ['2']], '0'),
              'while a dry run has changed everything, no account is locked')
    tap.equal((run.returncode, json.loads(said or '{}').get('changes')), (0, plan), f'and it finds what it did alone {error}')
    tap.ok(len(plan) >= 12 and pg.query('SELECT * FROM gyro.account ORDER BY 1') == before, 'nothing was changed', plan)
    dry = cat.apply(*changes, flags=['--dry-run', '--prune'])
    tap.equal(cat.apply(*changes, flags=['--prune'])['changes'], dry['changes'], 'the real run does it')
    tap.equal(pg.query('SELECT account_id, profile_version > 1 FROM gyro.account ORDER BY 1'), [['1', 't'], ['2', 't'], ['3', 't']],
              'and nodes will reload whom it changed')
    cat.apply(flags=['--prune'])


def prices(tap, cat, pg):
    """A dry run tells whose price changes."""
    shown = cat.apply(('{ level: 3 }', '{ level: 5 }'), flags=['--dry-run'])
    tap.equal([(p['subscriber'], p['rating_group'], p['before'], p['after']) for p in shown['prices']],
              [(1, 10, '0.10 per 1MiB', '0.08 per 1MiB')], 'another attribute: the price before and after')
    shown = cat.apply(('{ level: 3 }', '{ level: 5 }'), ('[ credit ]', '[ credit, vip ]'), flags=['--dry-run'])
    tap.equal(shown['prices'][0]['after'], '0.04 per 1MiB', 'two codes: REPLACE, then MULTIPLY')
    shown = cat.apply(('attributes: { level: 3 }, ', ''), ('[ credit ]', '[ vip ]'), flags=['--dry-run'])
    tap.equal(shown['prices'], [], 'what the file does not name stays')
    shown = cat.apply(('price: "0.30"', 'price: "0.40"'), flags=['--dry-run'])
    tap.equal((shown['subscribers_with_other_prices'], shown['prices'][0]['before'], shown['prices'][0]['after']),
              (1, '0.30 per 1MiB', '0.40 per 1MiB'), 'a specific price')
    rules = pg.query('SELECT rule_id FROM gyro.dynamic_rule ORDER BY 1')
    done = cat.apply(('multiply: 0.8', 'multiply: 0.7'))
    tap.equal([(c['action'], c['line'], c['fields']) for c in done['changes']],
              [('replace', 25, [{'field': 'amount', 'old': 800000, 'new': 700000}])], 'another operand replaces the rule')
    tap.equal(pg.query('SELECT rule_id FROM gyro.dynamic_rule ORDER BY 1')[:3], rules[1:], 'by one with a new number')
    done = cat.apply(('multiply: 0.8', 'multiply: 0.7, valid_until: 2032-01-01'))
    tap.equal([c['action'] for c in done['changes']], ['change'], 'the end of its validity moves in place')
    one = ('  - { attribute: used, rating_group: 10, unit: octets, from: 1073741824, quota: 5MiB, valid_until: 2031-01-01 }\n', '')
    tap.equal([c['action'] for c in cat.apply(one, ('multiply: 0.8', 'multiply: 0.7'))['changes']], ['change'],
              'without --prune a rule stays')
    done = cat.apply(one, ('2026-10-01, ', ''), ('{ level: 3 }', '{ rebate: "0.1" }'), ('"46000", ', ''), flags=['--prune'])
    tap.equal(sorted(c['action'] + ' ' + c['what'].split(' ')[0] for c in done['changes']),
              sorted(['replace dynamic_rule', 'remove dynamic_rule', 'change calendar', 'remove home_network',
                      'add attribute', 'remove attribute']), 'with --prune it goes, and what else the file does not name')
    tap.equal(pg.query('SELECT day FROM gyro.calendar_day'), [['2026-01-01']], 'a day was taken from the calendar')
    cat.apply(flags=['--prune'])
    tap.equal(cat.apply(flags=['--prune'])['changes'], [], 'and all of it comes back')


def operate(tap, ctl, pg):
    shown = ctl.json('attribute', 'set', 'level', 5, '--imsi', '460001000000001', '--until', '2099-01-01')
    now = [v for v in shown if v['valid_now']]
    tap.equal([(v['name'], v['value'], v['valid_until']) for v in now], [('level', '5', '2099-01-01T00:00:00Z')], 'an attribute is set')
    for words, wanted in [
            (['attribute', 'set', 'level', 'high', '--subscriber', 1], ["'high' is no integer value"]),
            (['attribute', 'set', 'congestion', 'high', '--subscriber', 1], ['no stored attribute congestion']),
            (['attribute', 'set', 'level', 1, '--subscriber', 9], ['subscriber 9 does not exist']),
            (['attribute', 'push', 'level', 1], ['no pushed attribute level']),
            (['dynamic-code', 'assign', 'gold', '--subscriber', 1], ['no dynamic code gold']),
            (['dynamic-code', 'unassign', 'vip', '--subscriber', 1], ["doesn't have dynamic code vip"]),
            (['dynamic-code', 'assign', 'credit', '--subscriber', 1], ['already'])]:
        refused(tap, ctl.run(*words), 1, wanted, f'refused: gyroctl {" ".join(map(str, words))}')
    refused(tap, ctl.run('attribute', 'set', 'level', 1, '--subscriber', 1, '--from', 'now'), 2, ['--from now'], 'an instant that is none')
    for sql in ("UPDATE gyro.subscriber_attribute SET value = 'x' FROM gyro.attribute_type t"
                " WHERE t.attribute_id = subscriber_attribute.attribute_id AND t.name = 'level'",
                "UPDATE gyro.dynamic_rule SET low = 'x' WHERE match = 2"):
        done = pg.psql(sql)
        tap.ok(done.returncode != 0 and "'x' is no integer value" in done.stderr,
               'the database itself refuses a wrong type: ' + sql.split()[1], done.stderr)
    tap.equal([v['valid_now'] for v in ctl.json('attribute', 'unset', 'level', '--subscriber', 1)].count(True), 0, 'it is taken away')
    ctl.json('attribute', 'push', 'congestion', 'high', '--scope', '46000-0001-0007')
    pushed = ctl.json('attribute', 'push', 'congestion', 'low', '--scope', '46000-0001-0007')
    tap.equal([(v['scope'], v['value']) for v in pushed], [('46000-0001-0007', 'low')], 'a pushed value; the last one holds')
    tap.equal(ctl.json('attribute', 'push', 'congestion', '--scope', '46000-0001-0007'), [], 'and none after it ended')
    tap.equal([c['code'] for c in ctl.json('dynamic-code', 'assign', 'vip', '--subscriber', 1) if c['valid_now']], ['credit', 'vip'],
              'a code is assigned')
    tap.equal([c['code'] for c in ctl.json('dynamic-code', 'unassign', 'vip', '--subscriber', 1) if c['valid_now']], ['credit'], 'and ends')
    whole = ctl.json('subscriber', 'show', 1)
    tap.equal((whole['zone'], [c['code'] for c in whole['dynamic_codes'] if c['valid_now']]), ('Asia/Shanghai', ['credit']),
              'subscriber show')
    tap.equal([(r['code'], r['attribute'], r['when'], r['effect']) for r in ctl.json('tariff', 'show', 'other')['dynamic_rules']],
              [('credit', 'level', 'from 4 to below 6', 'multiply'), (None, 'congestion', 'in high, full', 'add'),
               (None, 'used', 'from 1073741824', 'quota')], 'tariff show: the rules of any tariff, not those of another one')
    tap.equal(len(ctl.json('attribute', 'list')), 5, 'attribute list')


def demo(tap, pg):
    """The example is sound, and its table is readable."""
    pg.create('demo', 'empty')
    ctl = Ctl(pg.conninfo('demo'))
    for name in ('demo.yaml', 'demo-dynamic.yaml'):
        ctl.out('apply', '-f', os.path.join(ROOT, 'deploy', name))
    tap.ok(ctl.out('apply', '-f', os.path.join(ROOT, 'deploy/demo-dynamic.yaml')).startswith('no change'), 'the example, twice')
    ctl.out('attribute', 'unset', 'loyalty_tier', '--subscriber', 2)
    said = ctl.out('apply', '-f', os.path.join(ROOT, 'deploy/demo-dynamic.yaml'), '--dry-run')
    tap.ok('\nadd     attribute of subscriber 2 loyalty_tier' in said and ', 100MiB free' in said,
           'a dry run for people: action, what, price', said)


def main():
    tap = Tap()
    with Postgres() as pg, tempfile.TemporaryDirectory() as place:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        pg.create('empty', 'gyro')
        cat = Catalogue(ctl, place)
        errors(tap, cat, pg)
        times(tap, cat, pg)
        applying(tap, cat, pg)
        unlocked(tap, cat, pg)
        prices(tap, cat, pg)
        operate(tap, ctl, pg)
        demo(tap, pg)
    tap.done()


main()
