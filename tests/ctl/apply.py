#!/usr/bin/python3
"""gyroctl apply: the fixture, again, differences, prune, and every kind of error with its line.

apply.py GYROCTL ROOT
"""
import os
import tempfile
import threading

from ctl import FIXTURE, Ctl, refused
from postgres import Postgres
from tap import Tap

BASE = """\
service_contexts:
  - { suffix: 32251@3gpp.org, default_rating_group: 10 }
rating_groups:
  - { rating_group: 10, name: internet, default_grant: 10MiB, max_grant: 50MiB, validity: 1h, threshold: 2MiB }
  - { rating_group: 80, name: voice, default_grant: 300, max_grant: 3600, validity: 3600 }
tariffs:
  - code: standard
    rules:
      - { rating_group: 10, unit: octets, price: "0.10", per: 1MiB }
      - { rating_group: 80, unit: seconds, price: "0.60", per: 60 }
accounts:
  - { account: 1, currency: 156, balance: "100.00" }
  - { account: 2, currency: 156 }
subscribers:
  - { subscriber: 1, account: 1, tariff: standard, imsi: "460001000000001", e164: "8613800000001" }
  - { subscriber: 2, account: 2, tariff: standard, imsi: "460001000000002" }
"""

GROUP = 'rating_group: 10, name: internet, default_grant: 10MiB, max_grant: 50MiB, validity: 1h, threshold: 2MiB'
RULE = '{ rating_group: 10, unit: octets, price: "0.10", per: 1MiB }'

# What replaces what in BASE, the line of the error, words of it.
ERRORS = [
    ('an unknown section', 'service_contexts:', 'service_context:', 1, ['service_context']),
    ('an unknown key', 'validity: 1h,', 'validity: 1h, colour: red,', 4, ['colour']),
    ('a missing key', 'name: voice, ', '', 5, ['name']),
    ('a key twice', 'name: voice,', 'name: voice, name: fax,', 5, ['name', 'already']),
    ('a list for a word', 'name: voice', 'name: [voice]', 5, ['SEQUENCE']),
    ('not YAML', 'name: voice', 'name: {voice', 6, ['expected']),
    ('no UTF-8', 'name: voice', 'name: v\udcffice', 5, ['UTF-8']),
    ('an empty file', BASE, '', 1, ['nothing']),
    ('a Rating-Group that is no number', 'rating_group: 80, name', 'rating_group: eighty, name', 5, ['rating_group eighty', '4294967295']),
    ('a Rating-Group too large', 'rating_group: 80, name', 'rating_group: 4294967296, name', 5, ['rating_group 4294967296']),
    ('a size with a wrong suffix', 'default_grant: 10MiB', 'default_grant: 10MB', 4, ['default_grant 10MB', '10MiB']),
    ('a default grant of nothing', 'default_grant: 300', 'default_grant: 0', 5, ['default_grant 0']),
    ('a maximum below the default', 'max_grant: 50MiB', 'max_grant: 9MiB', 4, ['max_grant 9MiB', 'default_grant 10MiB']),
    ('a threshold too large', 'threshold: 2MiB', 'threshold: 4GiB', 4, ['threshold 4GiB']),
    ('a validity of nothing', 'validity: 3600', 'validity: 0', 5, ['validity 0']),
    ('a quota holding time too long', 'validity: 3600', 'validity: 3600, quota_holding: 1d', 5, ['quota_holding 1d']),
    ('a final unit that there is not', 'validity: 3600', 'validity: 3600, final_unit: explode', 5,
     ['final_unit explode', 'terminate, redirect, restrict']),
    ('a redirect without address', 'validity: 3600', 'validity: 3600, final_unit: redirect', 5, ['redirect']),
    ('an address without redirect', 'validity: 3600', 'validity: 3600, redirect: { type: url, address: "http://a" }', 5, ['redirect']),
    ('a redirect type that there is not', 'validity: 3600',
     'validity: 3600, final_unit: redirect, redirect: { type: fax, address: "1" }', 5, ['fax', 'ipv4, ipv6, url, sip']),
    ('a restriction without filters', 'validity: 3600', 'validity: 3600, final_unit: restrict', 5, ['restrict needs filter_ids', 'provisioned']),
    ('a filter rule that is none', 'validity: 3600', 'validity: 3600, final_unit: restrict, filter_rules: ["allow all"]', 5,
     ['filter_rules: allow all', 'permit out']),
    ('a consumption time too long', 'validity: 3600', 'validity: 3600, quota_consumption: 1d', 5, ['quota_consumption 1d']),
    ('a trigger that there is not', 'validity: 3600', 'validity: 3600, triggers: [change_in_rat, weather]', 5, ['triggers weather', 'Trigger-Type']),
    ('a way to tell free traffic that there is not', 'tariffs:', 'peers:\n  - { peer: a.b, free: maybe }\ntariffs:', 7,
     ['free maybe', 'service, command, grant']),
    ('the same Rating-Group twice', 'rating_group: 80, name', 'rating_group: 10, name', 5, ['rating_group 10', 'line 4']),
    ('a unit that there is not', 'unit: seconds', 'unit: minutes', 10, ['unit minutes', 'octets, seconds, service']),
    ('a price of money', 'unit: seconds', 'unit: money', 10, ['unit money']),
    ('a price with seven decimals', '"0.60"', '"0.6000001"', 10, ['price 0.6000001', 'six decimals']),
    ('a negative price', '"0.60"', '"-0.60"', 10, ['price -0.60', 'small']),
    ('a price too large', '"0.60"', '"1000000001"', 10, ['price 1000000001', 'large']),
    ('a price per nothing', 'per: 60', 'per: 0', 10, ['per 0']),
    ('a rule without per', ', per: 60', '', 10, ['price and per']),
    ('a free rule with a price', 'unit: seconds,', 'unit: seconds, kind: free,', 10, ['kind free']),
    ('a kind that there is not', 'unit: seconds,', 'unit: seconds, kind: cheap,', 10, ['kind cheap', 'priced, free, forbidden']),
    ('the same rule twice', 'rating_group: 80, unit: seconds, price: "0.60", per: 60', RULE[2:-2], 10, ['rule standard 10 octets', 'line 9']),
    ('rules that overlap in time', RULE, RULE + '\n      - { rating_group: 10, unit: octets, price: "0.2", per: 1MiB, valid_from: 2030-01-01 }',
     10, ['overlaps', 'line 9']),
    ('an instant that there is not', 'per: 60', 'per: 60, valid_from: 2026-02-30', 10, ['valid_from 2026-02-30']),
    ('an end before the beginning', 'per: 60', 'per: 60, valid_from: 2026-02-02, valid_until: 2026-02-01T12:00:00Z', 10, ['valid_until', 'not after']),
    ('a rule for an unknown Rating-Group', '{ rating_group: 80, unit', '{ rating_group: 81, unit', 10, ['rule standard 81', 'rating_group']),
    ('a currency that is a name', 'account: 2, currency: 156', 'account: 2, currency: CNY', 13, ['currency CNY', '999']),
    ('a balance with a comma', '"100.00"', '"100,00"', 12, ['balance 100,00']),
    ('an opening balance below the credit limit', '"100.00"', '"-0.01"', 12, ['account 1', 'below its credit limit']),
    ('a negative credit limit', 'balance: "100.00"', 'credit_limit: "-1"', 12, ['credit_limit -1', 'small']),
    ('the same account twice', 'account: 2, currency', 'account: 1, currency', 13, ['account 1', 'line 12']),
    ('an account that is no number', 'account: 2, currency', 'account: zwei, currency', 13, ['account zwei']),
    ('a state that there is not', 'account: 1, tariff: standard', 'account: 1, tariff: standard, state: dead', 15, ['state dead', 'active, barred']),
    ('an unknown tariff', 'account: 2, tariff: standard', 'account: 2, tariff: gold', 16, ['tariff gold does not exist']),
    ('an unknown account', 'subscriber: 2, account: 2', 'subscriber: 2, account: 3', 16, ['account 3 does not exist']),
    ('the same subscriber twice', 'subscriber: 2, account', 'subscriber: 1, account', 16, ['subscriber 1', 'line 15']),
    ('the same IMSI twice', '"460001000000002"', '"460001000000001"', 16, ['identity imsi 460001000000001', 'line 15']),
    ('an IMSI with a letter', '"460001000000002"', '"46000100000000x"', 16, ['imsi 46000100000000x']),
    ('a number with plus', '"8613800000001"', '"+8613800000001"', 15, ['e164 +8613800000001', 'without plus']),
    ('an empty IMSI', '"460001000000002"', '""', 16, ['imsi is empty']),
]


def write(place, text):
    path = os.path.join(place, 'catalogue.yaml')
    with open(path, 'w', encoding='utf-8', errors='surrogateescape') as file:
        file.write(text)
    return path


class Catalogue:
    """BASE with replacements, in a file; what gyroctl says about it."""

    def __init__(self, ctl, place):
        self.ctl, self.place = ctl, place

    def file(self, *replacements):
        text = BASE
        for old, new in replacements:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return write(self.place, text)

    def apply(self, *replacements, flags=()):
        return self.ctl.json('apply', '-f', self.file(*replacements), *flags)

    def changes(self, *replacements, flags=()):
        """A dry run's (action, what, {field: [old, new]}), which the real run then repeats."""
        dry = self.apply(*replacements, flags=(*flags, '--dry-run'))
        real = self.apply(*replacements, flags=flags)
        assert dry['changes'] == real['changes'], (dry, real)
        return [(c['action'], c['what'], {f['field']: [f.get('old'), f['new']] for f in c['fields']}) for c in dry['changes']]


def version(pg, database='gyro'):
    return int(pg.value('SELECT version FROM gyro.catalogue_version', database))


def fixture(tap, pg, ctl):
    dry = ctl.json('apply', '-f', FIXTURE, '--dry-run')
    tap.ok(dry['dry_run'] and dry['added'] > 90, f'a dry run of the fixture would add {dry["added"]}')
    tap.equal(pg.value('SELECT count(*) FROM gyro.account'), '0', 'and adds nothing')
    real = ctl.json('apply', '-f', FIXTURE)
    tap.equal((real['added'], real['changes']), (dry['added'], dry['changes']), 'the real run adds the same')
    tap.equal(pg.query('SELECT account_id, balance, credit_limit, state FROM gyro.account ORDER BY 1')[5:7],
              [['6', '0', '1000000', '1'], ['7', '50000000', '0', '2']], 'accounts stand as in the file')
    tap.equal(pg.query('SELECT redirect_type, redirect_address FROM gyro.rating_group WHERE rating_group = 60'),
              [['2', 'http://topup.spec.test/']], 'a redirect')
    tap.equal(pg.query('SELECT filter_ids FROM gyro.rating_group WHERE rating_group = 61'), [['{topup-only}']], 'filters')
    tap.equal(pg.query("SELECT value FROM gyro.subscriber_identity WHERE subscriber_id = 1 ORDER BY kind"),
              [['460001000000001'], ['8613800000001'], ['s1@spec.test'], ['sip:s1@spec.test'], ['s1-private'], ['subscriber-1']],
              'identities of each kind')
    before = version(pg), pg.query('SELECT account_id, version, profile_version FROM gyro.account ORDER BY 1')
    again = ctl.json('apply', '-f', FIXTURE)
    tap.equal((again['added'], again['changed'], again['removed'], again['changes']), (0, 0, 0, []), 'a second run: no change')
    tap.equal((version(pg), pg.query('SELECT account_id, version, profile_version FROM gyro.account ORDER BY 1')), before,
              'neither catalogue nor accounts have a new version')
    tap.ok(ctl.out('apply', '-f', FIXTURE).startswith('no change'), 'it says so')
    tap.ok('8 accounts exist and keep the balance' in ctl.out('apply', '-f', FIXTURE, '--dry-run'),
           'a dry run says that balances stay')
    with open(FIXTURE, encoding='utf-8') as file:
        tap.equal(ctl.json('apply', '-f', '-', stdin=file.read())['changes'], [], 'from standard input')
    tap.equal(ctl.json('audit'), [], 'the audit finds nothing')


def differences(tap, pg, cat):
    tap.equal(len(cat.apply()['changes']), 13, 'the small catalogue is added')
    rule = pg.value('SELECT rule_id FROM gyro.specific_rule WHERE rating_group = 10', 'small')
    tap.equal(cat.changes(('max_grant: 50MiB', 'max_grant: 60MiB')),
              [('change', 'rating_group 10', {'max_grant': [52428800, 62914560]})], 'one value changes')
    base = version(pg, 'small')
    tap.equal(cat.changes(('"0.10"', '"0.12"'), ('max_grant: 50MiB', 'max_grant: 60MiB')),
              [('replace', 'rule standard 10 octets', {'price': ['0.10', '0.12']})], 'a price changes: the rule is replaced')
    tap.ok(version(pg, 'small') > base, 'the catalogue has a new version')
    now = pg.query('SELECT rule_id, price_micros FROM gyro.specific_rule WHERE rating_group = 10', 'small')
    tap.ok(len(now) == 1 and now[0][0] != rule and now[0][1] == '120000', 'by one row with a new number', now)
    tap.equal(cat.changes(('"0.10", per: 1MiB', '"0.12", per: 1MiB, valid_until: 2030-01-01')),
              [('change', 'rating_group 10', {'max_grant': [62914560, 52428800]}),
               ('change', 'rule standard 10 octets', {'valid_until': [None, '2030-01-01T00:00:00Z']})],
              'the end of its validity moves in place')
    tap.equal(pg.value('SELECT rule_id FROM gyro.specific_rule WHERE rating_group = 10', 'small'), now[0][0], 'with the same number')
    two = (('      - ' + RULE, '      - { rating_group: 10, unit: octets, price: "0.12", per: 1MiB, valid_until: 2030-01-01 }\n'
            '      - { rating_group: 10, unit: octets, price: "0.20", per: 1MiB, valid_from: "2030-01-01T00:00:00Z" }'),)
    tap.equal([c[:2] for c in cat.changes(*two)], [('add', 'rule standard 10 octets 2030-01-01 00:00:00')], 'the next price')
    refused(tap, cat.ctl.run('apply', '-f', cat.file()), 1, ['catalogue.yaml:9', 'overlaps'],
            'a rule that overlaps one which the file does not name')
    tap.equal([c[:2] for c in cat.changes(flags=['--prune'])],
              [('replace', 'rule standard 10 octets'), ('remove', 'rule standard 10 octets 2030-01-01 00:00:00')],
              'with --prune the rule goes that the file does not name')
    tap.equal(cat.changes(('account: 2, currency: 156', 'account: 2, currency: 156, credit_limit: "5", state: barred, valid_until: 2031-01-01')),
              [('change', 'account 2', {'credit_limit': ['0.00', '5.00'], 'state': ['active', 'barred'],
                                        'valid_until': [None, '2031-01-01T00:00:00Z']})], 'an account changes')
    tap.equal(cat.changes(), [], 'what the file leaves open stays as it is')
    tap.equal(cat.changes(('"100.00"', '"999.00"')), [], 'an opening balance is not booked again')
    tap.equal(pg.value('SELECT balance FROM gyro.account WHERE account_id = 1', 'small'), '100000000', 'the balance stays')
    refused(tap, cat.ctl.run('apply', '-f', cat.file(('account: 2, currency: 156', 'account: 2, currency: 840'))), 1,
            ['catalogue.yaml:13', 'currency 156'], 'a currency does not change')
    tap.equal(cat.changes(('subscriber: 2, account: 2', 'subscriber: 2, account: 1')),
              [('change', 'subscriber 2', {'account': [2, 1]})], 'a subscriber moves to another account')
    tap.equal(pg.query('SELECT account_id, group_id FROM gyro.subscriber WHERE subscriber_id = 2', 'small'), [['1', '1']], 'whole')
    cat.apply()
    tap.equal(cat.changes(('default_rating_group: 10 }', 'default_rating_group: 10, apns: [Internet, ims.mnc001.mcc460.gprs] }')),
              [('change', 'service_context 32251@3gpp.org', {'apns': [None, ['internet', 'ims']]})], 'APNs, as they are compared')
    tap.equal(cat.changes(('validity: 3600', 'validity: 3600, triggers: [change_in_rat, CHANGEINLOCATION_MCC], quota_consumption: 30')),
              [('change', 'service_context 32251@3gpp.org', {'apns': [['internet', 'ims'], None]}),
               ('change', 'rating_group 80', {'quota_consumption': [0, 30], 'triggers': [None, [4, 30]]})], 'triggers by name')
    tap.equal(cat.changes(('validity: 3600', 'validity: 3600, triggers: [none]')),
              [('change', 'rating_group 80', {'quota_consumption': [30, 0], 'triggers': [[4, 30], []]})], 'no trigger at all')
    tap.equal(cat.changes(('validity: 3600', 'validity: 3600, pool: 7')),
              [('change', 'rating_group 80', {'pool': [0, 7], 'triggers': [[], None]})], 'a credit pool')
    rules = ['permit out ip from 192.0.2.1 to any', 'deny in ip from any to any']
    tap.equal(cat.changes(('validity: 3600', f'validity: 3600, final_unit: restrict, filter_rules: ["{rules[0]}", "{rules[1]}"]')),
              [('change', 'rating_group 80', {'final_unit': ['terminate', 'restrict'], 'filter_rules': [[], rules], 'pool': [7, 0]})],
              'rules of a restriction')
    peers = ('tariffs:', 'peers:\n  - { peer: smf.example.net, free: grant, terminate_only: true, credit_pools: false, restart_ends_sessions: false }\n  - { peer: "*.example.net" }\ntariffs:')
    tap.equal([c[:2] for c in cat.changes(peers)], [('add', 'peer smf.example.net'), ('add', 'peer *.example.net'), ('change', 'rating_group 80')],
              'profiles of gateways')
    tap.equal(pg.query('SELECT peer, tariff_time_change, free_answer, terminate_only, credit_pools, restart_ends_sessions FROM gyro.peer_profile '
                       'ORDER BY peer',
                       'small'),
              [['*.example.net', 't', '0', 'f', 't', 't'], ['smf.example.net', 't', '2', 't', 'f', 'f']], 'with their defaults')
    tap.equal(cat.changes((peers[0], peers[1].replace('free: grant', 'free: command'))),
              [('change', 'peer smf.example.net', {'free': ['grant', 'command']})], 'one of them changes')
    for wrong in ("final_unit = 2, filter_ids = '{}'", "filter_rules = '{allow all}'", 'triggers = ARRAY[4, NULL]'):
        try:
            pg.query(f'UPDATE gyro.rating_group SET {wrong} WHERE rating_group = 80', 'small')
            tap.ok(False, f'the database takes no {wrong}')
        except RuntimeError as e:
            tap.ok('violates check constraint' in str(e), f'the database takes no {wrong}', e)
    cat.apply()


def pruning(tap, pg, cat):
    more = (('rating_groups:', '  - { suffix: 32260@3gpp.org }\nrating_groups:'),
            ('tariffs:', '  - { rating_group: 99, name: x, default_grant: 1, max_grant: 1, validity: 1 }\ntariffs:'),
            ('accounts:', '  - { code: gold, rules: [ { rating_group: 99, unit: service, kind: free } ] }\naccounts:'),
            ('account: 1, tariff: standard,', 'account: 1, tariff: standard, nai: a@b,'))
    cat.apply(*more)
    tap.equal(cat.changes(), [], 'without --prune what the file does not name stays')
    plan = cat.changes(flags=['--prune'])
    tap.equal(sorted(c[:2] for c in plan),
              sorted([('remove', 'service_context 32260@3gpp.org'), ('remove', 'rating_group 99'), ('remove', 'tariff gold'),
                      ('remove', 'identity nai a@b')]), 'with --prune it goes')
    cat.ctl.out('account', 'open', 9, '--currency', 156)
    tap.equal(cat.changes(flags=['--prune']), [], 'accounts are never removed')
    with open(cat.file(), encoding='utf-8') as file:
        text = file.read()
    only = write(cat.place, text[text.index('accounts:'):])
    tap.equal(cat.ctl.json('apply', '-f', only, '--prune')['changes'], [], 'sections that are not in the file are left alone')
    nobody = write(cat.place, 'tariffs:\n  - { code: gold, rules: [] }\n')
    refused(tap, cat.ctl.run('apply', '-f', nobody, '--prune'), 1, ['tariff standard', 'subscriber'], 'a tariff in use is not removed')
    tap.equal(pg.value("SELECT count(*) FROM gyro.specific_tariff WHERE code = 'gold'", 'small'), '0', 'and nothing else happened')
    # The IMSI of 1 goes to 2.
    swap = (('imsi: "460001000000001", e164', 'e164'), ('"460001000000002"', '"460001000000001"'))
    refused(tap, cat.ctl.run('apply', '-f', cat.file(*swap)), 1, ['catalogue.yaml:16', 'belongs to subscriber 1', '--prune'],
            'an identity does not change hands by itself')
    tap.equal(sorted(c[:2] for c in cat.changes(*swap, flags=['--prune'])),
              [('change', 'identity imsi 460001000000001'), ('remove', 'identity imsi 460001000000002')], 'with --prune it does')
    tap.equal(pg.value("SELECT subscriber_id FROM gyro.subscriber_identity WHERE kind = 1", 'small'), '2', 'to its new owner')


def errors(tap, pg):
    pg.create('errors', 'empty')
    ctl = Ctl(pg.conninfo('errors'))
    with tempfile.TemporaryDirectory() as place:
        for name, old, new, line, words in ERRORS:
            assert BASE.count(old) == 1, (name, BASE.count(old))
            refused(tap, ctl.run('apply', '-f', write(place, BASE.replace(old, new))), 1,
                    ['gyroctl: apply: ', f'catalogue.yaml:{line}: ', *words], f'line {line}: {name}')
        many = ctl.run('apply', '-f', write(place, BASE.replace('currency: 156', 'currency: 0').replace('0.60', '0.6.0')))
        tap.equal([w.split(':')[3] for w in many.stderr.splitlines()], ['10', '12', '13'], 'several errors are all told at once')
        refused(tap, ctl.run('apply', '-f', os.path.join(place, 'none')), 1, ['No such file'], 'a file that is not there')
    tap.equal(pg.query('SELECT (SELECT count(*) FROM gyro.rating_group), (SELECT count(*) FROM gyro.account)', 'errors'),
              [['0', '0']], 'none of them left anything behind')
    tap.equal(version(pg, 'errors'), 1, 'the catalogue has still its first version')


def at_once(tap, pg):
    """Several runs of one file: each sees all of another's work or none."""
    pg.create('together', 'empty')
    ctl = Ctl(pg.conninfo('together'))
    results = []
    threads = [threading.Thread(target=lambda: results.append(ctl.run('apply', '-f', FIXTURE))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    said = sorted(r.stdout.split(';')[0] for r in results)
    tap.ok(all(r.returncode == 0 for r in results) and said[1:] == ['no change'] * 3, 'four at once: one adds, three find no change',
           [r.stdout + r.stderr for r in results])


def trial(tap, pg):
    """What a dry run says to the schema: accounts stay unlocked, and it can't be committed."""
    begin, change = 'BEGIN; SELECT FROM gyro.begin_trial();', 'UPDATE gyro.subscriber SET group_id = group_id WHERE subscriber_id = 1;'
    row = 'SELECT ctid, xmax FROM gyro.account WHERE account_id = 1;'

    def untouched(start):
        before, after = pg.query(f'{start} {row} {change} {row} ROLLBACK')
        return before == after

    tap.equal([untouched(start) for start in (begin, 'BEGIN;')], [True, False], 'only a trial changes a subscriber and locks no account')
    done = pg.psql(f'{begin} {change} COMMIT')
    tap.ok(done.returncode and 'never committed' in done.stderr, 'a trial is not committed', done.stdout + done.stderr)
    tap.equal(pg.value('SELECT gyro.is_trial()'), 'f', 'and leaves nothing behind')


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        pg.create('empty', 'gyro')
        pg.create('small', 'empty')
        fixture(tap, pg, ctl)
        trial(tap, pg)
        with tempfile.TemporaryDirectory() as place:
            cat = Catalogue(Ctl(pg.conninfo('small')), place)
            differences(tap, pg, cat)
            pruning(tap, pg, cat)
            tap.equal(cat.ctl.json('audit'), [], 'the audit finds nothing')
        errors(tap, pg)
        at_once(tap, pg)
    tap.done()


main()
