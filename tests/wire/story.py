#!/usr/bin/python3
"""One Gy session under a catalogue with everything in it: credit level, loyalty tier, roaming, night hours, the congestion
of a cell, a monthly counter. Prices are computed here with Python's fractions; money must agree to the micro-unit,
changes that are to act at once must bring a RAR within a second, and gyroctl explain must tell the whole story of each request.

story.py [--seed N]

The catalogue is a file for gyroctl apply. The subscriber's time zone is one in which it is noon: no day, month or hour
ends while the session lasts.
"""
import json
import math
import sys
import time
from fractions import Fraction

from family import INITIAL, P, ROOT, TERMINATION, UPDATE, Silent, Site, Tap, arguments, sanitized, service, until

sys.path.insert(0, str(ROOT / 'tests/audit'))

from audit import audit

MIB, RG = 1 << 20, 401
HOME, ABROAD = '46000', '26201'
BASE = Fraction(137_000)  # micro-units per MiB
LEVELS = {1: 500_000, 3: 300_000, 5: 99_999}
GOLD, ROAMING, NIGHT, CROWDED, MONTH = Fraction(9, 10), 3, Fraction(1, 2), 33_333, Fraction(1, 4)
MONTH_EDGE = 20 * MIB
# 3GPP-User-Location-Info of two cells, and how rules and operators write them.
CELL = {'a': (bytes.fromhex('0064f00000010007'), '46000-0001-0007'), 'b': (bytes.fromhex('0064f00000010008'), '46000-0001-0008')}
THRESHOLD, RATING_CONDITION_CHANGE, FORCED_REAUTHORISATION = 0, 6, 7


def catalogue():
    zone = f'Etc/GMT{time.gmtime().tm_hour - 12:+d}'
    levels = ''.join(f'  - {{ code: credit, rating_group: {RG}, unit: octets, equal: {n},'
                     f' replace: {{ price: "0.{p:06d}", per: 1MiB }} }}\n' for n, p in LEVELS.items())
    return f"""
rating_groups:
  - {{ rating_group: {RG}, name: everything, default_grant: 5MiB, max_grant: 50MiB, validity: 1h }}
tariffs:
  - {{ code: story, rules: [ {{ rating_group: {RG}, unit: octets, price: "0.137", per: 1MiB }} ] }}
  - {{ code: standard, rules: [ {{ rating_group: {RG}, unit: octets, price: "9.99", per: 1MiB }} ] }}
time_zones:
  - {{ name: {zone}, default: true }}
home_networks: [ "{HOME}" ]
attributes:
  - {{ name: credit_level, source: stored, type: integer, on_change: reauth }}
  - {{ name: loyalty_tier, source: stored, type: text, on_change: next }}
  - {{ name: roaming, source: request, derivation: roaming }}
  - {{ name: hour, source: clock, derivation: hour }}
  - {{ name: congestion, source: pushed, derivation: by_cell, type: integer, default: 0, on_change: reauth }}
  - {{ name: month_units, source: counter, derivation: units_month }}
dynamic_codes:
  - {{ code: credit, attribute: credit_level }}
  - {{ code: loyalty, attribute: loyalty_tier }}
  - {{ code: crowd, attribute: congestion }}
dynamic_rules:
{levels}  - {{ tariff: standard, code: credit, rating_group: {RG}, unit: octets, equal: 3, deny: true }}   # of another specific code
  - {{ code: credit, rating_group: {RG}, equal: 0, deny: true }}
  - {{ code: loyalty, rating_group: {RG}, equal: gold, multiply: 0.9 }}
  - {{ attribute: roaming, rating_group: {RG}, equal: true, multiply: 3 }}
  - {{ attribute: hour, rating_group: {RG}, from: 10, to: 15, multiply: 0.5 }}
  - {{ code: crowd, rating_group: {RG}, unit: octets, from: 50, add: {{ price: "0.033333", per: 1MiB }} }}
  - {{ attribute: month_units, rating_group: {RG}, from: {MONTH_EDGE}, multiply: 0.25 }}
"""


class Now:
    """What the subscriber is at the moment: the price and the story that follow from it."""

    def __init__(self):
        self.level, self.tier, self.abroad, self.cell, self.crowd, self.used = 3, 'gold', False, 'a', {'a': 0, 'b': 0}, 0

    def price(self):
        rate = Fraction(LEVELS[self.level]) if self.level else BASE
        rate *= (GOLD if self.tier == 'gold' else 1) * (ROAMING if self.abroad else 1) * NIGHT
        rate *= MONTH if self.used >= MONTH_EDGE else 1
        return rate + (CROWDED if self.crowd[self.cell] >= 50 else 0)

    def read(self):
        return {'credit_level': str(self.level), 'loyalty_tier': self.tier, 'roaming': 'true' if self.abroad else 'false',
                'congestion': str(self.crowd[self.cell]), 'month_units': str(self.used)}

    def applied(self):
        out = {('hour', 'multiply'), ('credit_level', 'replace')}
        out |= {('loyalty_tier', 'multiply')} if self.tier == 'gold' else set()
        out |= {('roaming', 'multiply')} if self.abroad else set()
        out |= {('congestion', 'add')} if self.crowd[self.cell] >= 50 else set()
        return out | ({('month_units', 'multiply')} if self.used >= MONTH_EDGE else set())


class Session:
    """Requests, each twice; what they must cost; the stories that explain must tell."""

    def __init__(self, tap, site, imsi, account, host):
        self.tap, self.site, self.imsi, self.account = tap, site, imsi, account
        self.client = site.node.client(host)
        self.session, self.number, self.now, self.told, self.unlike = self.client.session(), 0, Now(), [], 0
        self.exact, (self.balance, _), self.held_at = Fraction(0), site.money(account), None

    def ask(self, name, kind=UPDATE, used=None, reason=None, wanted=5 * MIB):
        """used is paid at the price of the grant, the next grant is held at the price of now."""
        place = [('3GPP-SGSN-MCC-MNC', ABROAD if self.now.abroad else HOME), ('3GPP-User-Location-Info', CELL[self.now.cell][0])]
        raw = self.client.ccr(self.session, kind, self.number, [service(RG, wanted if kind != TERMINATION else None, used, reason)],
                              who=self.imsi, more=[('Service-Information', [('PS-Information', place)])], flags=P)
        answer = self.client.ask(raw)
        self.unlike += self.client.ask(raw).raw != answer.raw
        before = math.floor(self.exact)
        if used:
            self.exact += self.held_at * used / MIB
            self.now.used += used
        debit = math.floor(self.exact) - before
        mscc, rate = answer.services[0], self.now.price()
        granted = mscc['Granted-Service-Unit/CC-Total-Octets'] or 0
        carry = self.exact - math.floor(self.exact)
        held = math.ceil(rate * granted / MIB + carry) if granted else 0
        self.tap.equal((answer.result, mscc['Result-Code'], self.site.money(self.account)),
                       (2001, 2001, (self.balance - math.floor(self.exact), held)), name)
        if kind != TERMINATION:
            self.told.append((self.number, rate, debit, self.held_at, used, self.now.read(), self.now.applied()))
        self.number, self.held_at = self.number + 1, rate
        return granted

    def reauthorized(self, name, cause, fast=1.0):
        begin = time.monotonic()
        cause()
        rar = self.client.receive(5)
        took = time.monotonic() - begin
        self.tap.ok(rar.is_request and rar.code == 258 and rar['Session-Id'] == self.session
                    and took < fast * (5 if sanitized() else 1), f'{name}: RAR within a second', f'{rar} after {took:.3f} s')
        self.client.reply(rar, 2002)

    def left_alone(self, name, seconds=0.8):
        try:
            message = self.client.receive(seconds)
            self.tap.ok(False, name, message)
        except Silent:
            self.tap.ok(True, name)


def money(micros):
    text = f'{micros // 1_000_000}.{micros % 1_000_000:06d}'.rstrip('0')
    return text + '0' * max(0, 2 - len(text.split('.')[1]))


def explained(tap, site, s):
    """The whole story of each request, from gyroctl explain."""
    requests = {r['request_number']: r for r in json.loads(site.gyroctl('explain', s.session, '--json'))['requests']}
    for number, rate, debit, paid_at, used, read, applied in s.told:
        r, name = requests[number], f'explain, request {number}'
        one = r['services'][0]
        stages = one['stages']
        values = {a['attribute']: a['value'] for a in one['attributes_read']}
        origins = {a['attribute']: a['source'] for a in one['attributes_read']}
        tap.equal((r['identity'], r['tariff'], r['result'], r['debit']), (f'IMSI {s.imsi}', 'story', 2001, money(debit)),
                  f'{name}: identity, specific code, result, debit')
        tap.equal({k: values.get(k) for k in read}, read, f'{name}: attributes read, with their values')
        tap.equal(origins, {'credit_level': 'stored', 'loyalty_tier': 'stored', 'roaming': 'request', 'hour': 'clock',
                            'congestion': 'pushed', 'month_units': 'counter'}, f'{name}: each from its source')
        got = {(x['attribute'], x['effect']) for x in stages if x['verdict'] == 'applied' and x['stage'] != 'base'}
        tap.equal(got, applied, f'{name}: rules that applied')
        rejected = [x for x in stages if x['stage'] == 'considered']
        tap.ok(len(rejected) == 9 - len(applied) and all(x['verdict'] == "the value doesn't match" for x in rejected),
               f'{name}: every other rule of its codes, and why not', rejected)
        tap.equal({x['when'] for x in stages if x['attribute'] == 'hour'}, {'from 10 to below 15'}, f'{name}: what a rule asks for')
        running = [Fraction(x['rate_micros'] * MIB, x['rate_block']) for x in stages if x['rate_block']]
        tap.equal((running[0], running[-1], one['as_recorded']), (BASE, rate, True),
                  f'{name}: the running rate from the base to the recorded price')
        source = one['sources'][0]
        if used:
            tap.equal((source['debit_source'], source['used'], source['debit'],
                       Fraction(micros(source['debit_price_micros']) * MIB, source['debit_block'])),
                      ('money', used, money(debit), paid_at), f'{name}: usage at the price of its grant')
    return requests


def micros(text):
    return int(Fraction(text) * 1_000_000)


def play(tap, site, s, other):
    """The session; other is one in the other cell."""
    now = s.now
    other.now.cell = 'b'
    other.ask('a session in cell b', INITIAL)
    s.ask('opened: level 3, gold, at home, at night', INITIAL)
    s.ask('a report', used=1234567, reason=THRESHOLD)

    def level(n):
        now.level = n
        site.gyroctl('attribute', 'set', 'credit_level', n, '--subscriber', s.account)
    s.reauthorized('credit level 3 to 5', lambda: level(5))
    s.ask('the old grant at the old price, the next at the new', used=3000001, reason=FORCED_REAUTHORISATION)
    now.abroad = True
    s.ask('abroad: RATING_CONDITION_CHANGE', used=777777, reason=RATING_CONDITION_CHANGE)
    now.abroad = False
    s.ask('and back', used=100001, reason=RATING_CONDITION_CHANGE)

    def push(cell, value):
        now.crowd[cell] = other.now.crowd[cell] = value
        site.gyroctl('attribute', 'push', 'congestion', value, '--scope', CELL[cell][1])
    other.reauthorized('congestion in cell b', lambda: push('b', 70))
    s.left_alone('which is not news in cell a')
    other.ask('cell b is dearer', used=5, reason=FORCED_REAUTHORISATION)
    s.reauthorized('congestion in cell a', lambda: push('a', 80))
    other.left_alone('which is not news in cell b')
    s.ask('cell a is dearer', used=222222, reason=FORCED_REAUTHORISATION)
    s.reauthorized('congestion is over', lambda: push('a', 10))
    s.ask('and as before', used=333, reason=FORCED_REAUTHORISATION)
    now.cell = 'b'
    s.ask('a move into the crowded cell', used=1, reason=RATING_CONDITION_CHANGE)
    s.reauthorized('congestion where it is now', lambda: push('b', 0))
    now.tier = 'silver'
    site.gyroctl('attribute', 'set', 'loyalty_tier', 'silver', '--subscriber', s.account)
    s.left_alone('a tier with on_change next sends nothing')
    granted = s.ask('but the next grant has the new price', used=1000, reason=THRESHOLD, wanted=50 * MIB)
    tap.equal(granted, MONTH_EDGE - now.used, 'a grant ends where the monthly counter changes the price')
    s.ask('beyond it', used=granted)
    s.ask('the end', TERMINATION, used=1000003)
    other.ask('the other end', TERMINATION, used=0)


def people(site):
    imsis = site.people(2)
    site.pg.query("UPDATE gyro.subscriber SET tariff_id = (SELECT tariff_id FROM gyro.specific_tariff WHERE code = 'story')"
                  ' WHERE subscriber_id >= 1000')
    for subscriber in (1000, 1001):
        for code in ('credit', 'loyalty', 'crowd'):
            site.gyroctl('dynamic-code', 'assign', code, '--subscriber', subscriber)
        site.gyroctl('attribute', 'set', 'credit_level', 3, '--subscriber', subscriber)
        site.gyroctl('attribute', 'set', 'loyalty_tier', 'gold', '--subscriber', subscriber)
    return imsis


def main():
    arguments(__doc__)
    tap = Tap()
    with Site() as site:
        path = site.pg.home + '/story.yaml'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(catalogue())
        site.gyroctl('apply', '-f', path)
        kept = 'SELECT 1 FROM gyro.catalogue_archive a JOIN gyro.catalogue_version v USING (version)'
        tap.ok(until(lambda: site.pg.query(kept), 10), 'the catalogue comes into force', site.node.tail())
        time.sleep(0.3)  # archived, then swapped
        imsis = people(site)
        s, other = (Session(tap, site, imsis[n], 1000 + n, f'pgw{n + 1}') for n in (0, 1))
        play(tap, site, s, other)
        tap.equal((s.unlike, other.unlike), (0, 0), 'a duplicate of each request gets the same bytes')
        before = explained(tap, site, s)
        explained(tap, site, other)
        site.gyroctl('dynamic-code', 'unassign', 'credit', '--subscriber', s.account)
        site.gyroctl('attribute', 'unset', 'loyalty_tier', '--subscriber', s.account)
        site.pg.query('UPDATE gyro.subscriber SET tariff_id = (SELECT min(tariff_id) FROM gyro.specific_tariff) WHERE subscriber_id >= 1000;'
                      " UPDATE gyro.subscriber_identity SET value = value || '9' WHERE subscriber_id >= 1000;"
                      ' DELETE FROM gyro.dynamic_rule; DELETE FROM gyro.pushed_value')
        after = {r['request_number']: r for r in json.loads(site.gyroctl('explain', s.session, '--json'))['requests']}
        tap.equal(after, before, 'without rules, codes, tier, and with another tariff and IMSI: the same story')
        text = site.gyroctl('explain', s.session, 2)
        tap.ok(all(w in text for w in (imsis[0], 'specific code story', 'credit_level', '0.099999', '= 5', 'That is the price of the recorded',
                                       'count in the next debit')),
               'explain for people', text)
        found, _ = audit(site.pg.conninfo())
        tap.equal(found.lines, [], 'the independent auditor finds nothing')
        site.check(tap)
        s.client.close()
        other.client.close()
    tap.done()


main()
