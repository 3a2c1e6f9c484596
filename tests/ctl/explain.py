#!/usr/bin/python3
"""gyroctl explain and rate on records that the real engine wrote.

explain.py GYROCTL ROOT DRIVE    DRIVE is the engine without Diameter, see drive.c
"""
import subprocess
import sys
import time
from fractions import Fraction

from ctl import FIXTURE, Ctl, refused
from postgres import Postgres
from tap import Tap

DRIVE = sys.argv[3]
IMSI, MIB = '460001000000001', 1 << 20
A, B, C = (f'pgw1.gyro.test;7;{n}' for n in (1, 2, 3))

RULES = f"""
    INSERT INTO gyro.attribute_type (attribute_id, name, source, derivation, value_type, on_change) VALUES
        (1, 'credit_level', 1, 0, 1, 1), (2, 'roaming', 2, 1, 4, 2), (3, 'units_month', 4, 41, 1, 2), (4, 'crowd', 5, 60, 1, 2);
    INSERT INTO gyro.dynamic_code (code_id, code, attribute_id) VALUES (1, 'CREDIT', 1), (2, 'ROAM', 2), (3, 'MONTH', 3), (4, 'CROWD', 4);
    INSERT INTO gyro.home_network VALUES ('46000');
    INSERT INTO gyro.dynamic_rule (rule_id, code_id, rating_group, unit, match, low, effect, amount, block, valid_until) VALUES
        (901, 1, 10, 1, 2, '1', 2, 50000, {MIB}, 'infinity'), (905, 1, 10, 1, 2, '5', 2, 20000, {MIB}, 'infinity'),
        (906, 1, 11, 1, 2, '5', 2, 30000, {MIB}, 'infinity'), (907, 1, 10, 1, 2, '7', 2, 1, {MIB}, '2026-01-01'),
        (910, 2, 10, NULL, 2, 'true', 3, 3000000, 0, 'infinity'), (911, 4, 10, 1, 2, '9', 4, 5, {MIB}, 'infinity');
    INSERT INTO gyro.dynamic_rule (rule_id, code_id, rating_group, match, low, effect, amount)
    VALUES (920, 3, 12, 4, '{20 * MIB}', 3, 250000);
    INSERT INTO gyro.dynamic_rule (rule_id, rating_group, unit, match, effect, amount) VALUES (930, 60, 1, 1, 5, {5 * MIB});
    INSERT INTO gyro.dynamic_rule (rule_id, code_id, rating_group, match, low, effect) VALUES (940, 1, 61, 2, '1', 1);
    INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id) SELECT 1, n FROM generate_series(1, 4) n;
    SELECT gyro.attribute_set(1, 'credit_level', '1')"""


def run(conninfo, lines):
    """A node that answers these lines and ends."""
    done = subprocess.run([DRIVE, conninfo], input=''.join(line + '\n' for line in lines), capture_output=True, text=True,
                          timeout=60, check=False)
    return done.stdout.splitlines()[1:]


def rating(tap, pg, ctl):
    def price(*words):
        return ctl.json('rate', '--imsi', IMSI, *words)

    def ask(name, want, *words):
        tap.equal(Fraction(price(*words)['price']), Fraction(want), name)
    ask('rate: credit level 1', '15', '--rating-group', 10, '--used', '300M')
    ask('--set another level', '6', '--rating-group', 10, '--used', '300M', '--set', 'credit_level=5')
    ask('a level without a rule: the specific rule alone', '30', '--rating-group', 10, '--used', '300M', '--set', 'credit_level=3')
    ask('--roaming abroad', '45', '--rating-group', 10, '--used', '300M', '--roaming', '26201')
    ask('--roaming at home', '15', '--rating-group', 10, '--used', '300M', '--roaming', '46000')
    ask('two at once', '18', '--rating-group', 10, '--used', '300M', '--set', 'credit_level=5,roaming=true')
    ask('--set twice', '18', '--rating-group', 10, '--used', '300M', '--set', 'credit_level=5', '--set', 'roaming=true')
    ask('over the edge of a counter: 20 MiB and 10 MiB', '2.25', '--rating-group', 12, '--used', '30M')
    ask('free units first', '0.5', '--rating-group', 60, '--used', '10MiB')
    ask('--unit', '0.60', '--rating-group', 80, '--used', 60, '--unit', 'seconds')
    ask('rounded down once', '0.047683', '--rating-group', 10, '--used', 1000000)
    ask('--at a time when another rule was in force', '0.000003', '--rating-group', 10, '--used', '3MiB',
        '--set', 'credit_level=7', '--at', '2025-06-01')
    tap.equal(price('--rating-group', 61, '--used', 1)['kind'], 'forbidden', 'DENY')
    stages = {s['rule_id']: s['verdict'] for s in price('--rating-group', 10, '--used', 1)['stages'] if s['rule_id']}
    tap.equal((stages[901], stages[905], stages[907], stages[910]),
              ('applied', "the value doesn't match", 'no longer valid', 'the attribute has no value'), 'each rule with its reason')
    pg.query("INSERT INTO gyro.pushed_value (attribute_id, value) VALUES (4, '9')")
    ask('a pushed value', '0.050005', '--rating-group', 10, '--used', '1MiB')
    pg.query('DELETE FROM gyro.pushed_value')
    tap.ok('Price: 15.00' in ctl.out('rate', '--subscriber', 1, '--rating-group', 10, '--used', '300M'), 'for people')
    tap.equal(pg.value('SELECT count(*) FROM gyro.catalogue_archive'), '0', 'nothing is left behind')
    for words, status, said in (
            ([], 2, ['--rating-group']), (['--rating-group', 10], 2, ['--used']), (['--rating-group', 999, '--used', 1], 1, ['5031']),
            (['--rating-group', 10, '--used', 1, '--set', 'x=1'], 1, ['no attribute x']),
            (['--rating-group', 10, '--used', 1, '--set', 'credit_level=gold'], 1, ['integer']),
            (['--rating-group', 10, '--used', 1, '--at', 'noon'], 2, ['--at noon'])):
        refused(tap, ctl.run('rate', '--imsi', IMSI, *words), status, said, f'refused: {" ".join(map(str, words))}')


def explaining(tap, pg, ctl):
    run(pg.conninfo(), [f'I 0 {A} {IMSI} 10', f'U 1 {A} {IMSI} 10 {3 * MIB}'])
    pg.query("SELECT gyro.attribute_set(1, 'credit_level', '5')")
    run(pg.conninfo(), [f'U 2 {A} {IMSI} 10 {MIB}', f'T 3 {A} {IMSI} 10 {MIB}', f'I 0 {B} {IMSI} 101'])
    told = {r['request_number']: r['services'][0] for r in ctl.json('explain', A)['requests']}
    tap.equal([[s['rule_id'] for s in told[n]['stages'] if s['verdict'] == 'applied'][1:] for n in (0, 1, 2)],
              [[901], [901], [905]], 'explain: the rule of each request')
    tap.equal([told[n].get('as_recorded') for n in (0, 1, 2)], [True] * 3, 'its price is the recorded one')
    tap.equal([told[n]['sources'][0]['debit'] for n in range(4)], ['0.00', '0.15', '0.05', '0.02'], 'what was paid')
    tap.equal([a['value'] for a in told[2]['attributes_read'] if a['attribute'] == 'credit_level'], ['5'], 'attributes read')
    tap.equal([r['request_number'] for r in ctl.json('explain', A, 1)['requests']], [1], 'one request')
    plain = ctl.json('explain', B)['requests'][0]
    tap.ok(IMSI in plain['identity'] and plain['services'][0]['as_recorded'], 'the specific rule alone', plain)
    text = ctl.out('explain', A, 2)
    tap.ok(all(w in text for w in ('905', 'CREDIT', 'replace', "the value doesn't match", 'That is the price')), 'for people', text)
    refused(tap, ctl.run('explain', 'x'), 1, ['session x is not known'], 'an unknown session')
    refused(tap, ctl.run('explain', A, 77), 1, ['no record', '77'], 'an unknown number')
    refused(tap, ctl.run('explain', A, 'last'), 2, ['CC-Request-Number'], 'no number')
    free_units(tap, pg, ctl)
    later(tap, pg, ctl)
    # A tampered archive: explain must not agree with it.
    pg.query("""UPDATE gyro.catalogue_archive SET content = replace(content::text, '"amount": 20000,', '"amount": 20001,')::jsonb""")
    done = ctl.run('explain', A, 2)
    tap.ok(done.returncode == 1 and 'NOT THE RECORDED PRICE' in done.stdout, 'a price that is not the recorded one is told',
           done.stdout + done.stderr)


def free_units(tap, pg, ctl):
    run(pg.conninfo(), [f'I 0 {C} {IMSI} 60', f'U 1 {C} {IMSI} 60 {3 * MIB}', f'U 2 {C} {IMSI} 60 {4 * MIB}', f'T 3 {C} {IMSI} 60 0'])
    told = [r['services'][0] for r in ctl.json('explain', C)['requests']]
    tap.equal([t['free_units_given'] for t in told[:3]], [[], [{'rule_id': 930, 'units': 3 * MIB}], [{'rule_id': 930, 'units': 5 * MIB}]],
              'explain: what a FREE rule had given before each request')
    tap.equal([t.get('granted_free') for t in told[:3]], [5 * MIB, 2 * MIB, None], 'how much of a grant was free')
    tap.equal([[s['verdict'] for s in t['stages'] if s['rule_id'] == 930] for t in told[:3]],
              [['applied'], ['applied'], ['used up today']], 'and what that made of it')
    tap.equal([(s['debit_source'], s['used']) for s in told[2]['sources']], [('free', 2 * MIB), ('money', 2 * MIB)], 'as it was paid')


def later(tap, pg, ctl):
    """Whatever becomes of the subscriber: the past stays what it was."""
    before = [ctl.json('explain', s) for s in (A, B, C)]
    tap.equal((before[0]['requests'][0]['identity'], before[0]['requests'][0]['tariff']), (f'IMSI {IMSI}', 'standard'),
              'explain: by which identity the subscriber was found, and the specific code')
    pg.query("""INSERT INTO gyro.specific_tariff (code) VALUES ('other');
                INSERT INTO gyro.time_zone (name) VALUES ('Asia/Shanghai');
                UPDATE gyro.subscriber SET tariff_id = (SELECT tariff_id FROM gyro.specific_tariff WHERE code = 'other'),
                       zone_id = (SELECT zone_id FROM gyro.time_zone WHERE name LIKE 'Asia%') WHERE subscriber_id = 1;
                DELETE FROM gyro.subscriber_dynamic_code WHERE subscriber_id = 1;
                DELETE FROM gyro.subscriber_attribute WHERE subscriber_id = 1;
                UPDATE gyro.specific_tariff SET code = 'renamed' WHERE code = 'standard';
                UPDATE gyro.dynamic_rule SET amount = amount + 1 WHERE effect = 2""")
    for n in range(2):
        pg.query(f"UPDATE gyro.subscriber_identity SET value = value || '{n}' WHERE kind = 1 AND subscriber_id = 1")
    pg.query(f"INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id) VALUES (1, '{IMSI}', 2)")
    tap.equal([ctl.json('explain', s) for s in (A, B, C)], before, 'with another tariff, zone, identity, codes, rules: the same story')
    pg.query("UPDATE gyro.specific_tariff SET code = 'standard' WHERE code = 'renamed'")
    pg.query('UPDATE gyro.dynamic_rule SET amount = amount - 1 WHERE effect = 2')


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        ctl.out('apply', '-f', FIXTURE)
        pg.query(RULES)
        time.sleep(0.01)
        rating(tap, pg, ctl)
        explaining(tap, pg, ctl)
        tap.equal(ctl.json('audit'), [], 'the audit finds nothing')
    tap.done()


main()
