#!/usr/bin/python3
"""Dynamic tariffs over the wire (spec/tariffs.md): a real Gy session on a real node is priced as the specification says.

tariffs.py [--seed N]

Expected prices are computed here with Python's fractions, from the rules as they stand in RULES. Every request is sent
twice, byte for byte: the second answer must be the first. In the end both auditors look, and gyroctl explain must tell
the rules of each request.
"""
import json
import math
import sys
import threading
import time
from fractions import Fraction

from family import INITIAL, P, ROOT, TERMINATION, UPDATE, Failed, Site, Tap, arguments, service, until
from diameter import NTP, Silent

sys.path.insert(0, str(ROOT / 'tests/audit'))

from audit import audit

MIB = 1 << 20
HOME, ABROAD = '46000', '26201'
BASE = 137_000  # micro-units per MiB, Rating-Groups 201 to 204
LEVELS = {1: 500_000, 2: 400_000, 3: 300_000, 4: 200_001, 5: 99_999}
GOLD, ROAMING, NIGHT, DAY, CROWDED = Fraction(9, 10), 3, Fraction(1, 2), Fraction(7, 10), 33_333
FREE_A_DAY, MONTH_EDGE, MONTH_RATE = 5 * MIB, 20 * MIB, Fraction(1, 4)


def catalogue(hour):
    """The rules, with the night around this hour. Effects: 1 DENY 2 REPLACE 3 MULTIPLY 4 ADD 5 FREE 10 REDIRECT."""
    levels = ''.join(f", ({9000 + n}, 1, 201, 1, 2, '{n}', NULL, 2, {price}, {MIB})" for n, price in LEVELS.items())
    groups = ', '.join(f"({g}, 'dynamic {g}', {10 * MIB}, {50 * MIB}, 3600)" for g in (70, 201, 202, 203, 204, 205))
    rules = ', '.join(f'({8000 + g}, (SELECT min(tariff_id) FROM gyro.specific_tariff), {g}, {BASE}, {MIB})'
                      for g in (201, 202, 203, 204, 205))
    return f"""
        INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, validity_s) VALUES {groups};
        INSERT INTO gyro.specific_rule (rule_id, tariff_id, rating_group, price_micros, block) VALUES {rules};
        INSERT INTO gyro.home_network VALUES ('{HOME}');
        INSERT INTO gyro.attribute_type (attribute_id, name, source, derivation, value_type, on_change, default_value) VALUES
            (1, 'credit_level', 1, 0, 1, 1, NULL), (2, 'tier', 1, 0, 3, 2, NULL), (3, 'roaming', 2, 1, 4, 2, NULL),
            (4, 'hour', 3, 20, 1, 2, NULL), (5, 'congestion', 5, 60, 1, 2, '0'), (6, 'units_month', 4, 41, 1, 2, NULL);
        INSERT INTO gyro.dynamic_code (code_id, code, attribute_id) VALUES
            (1, 'CREDIT', 1), (2, 'LOYAL', 2), (3, 'ROAM', 3), (4, 'NIGHT', 4), (5, 'CROWD', 5), (6, 'MONTH', 6);
        INSERT INTO gyro.dynamic_rule (rule_id, code_id, rating_group, unit, match, low, high, effect, amount, block) VALUES
            (9000, 1, 201, NULL, 2, '0', NULL, 1, 0, 0){levels},
            (9010, 2, 201, NULL, 2, 'gold', NULL, 3, 900000, 0), (9020, 3, 201, NULL, 2, 'true', NULL, 3, 3000000, 0),
            (9030, 4, 201, NULL, 4, '{(hour - 1) % 24}', '{(hour + 3) % 24}', 3, 500000, 0),
            (9031, 4, 201, NULL, 4, '{(hour + 6) % 24}', '{(hour + 9) % 24}', 3, 700000, 0),
            (9040, 5, 201, 1, 4, '50', NULL, 4, {CROWDED}, {MIB}),
            (9050, 6, 203, NULL, 4, '{MONTH_EDGE}', NULL, 3, 250000, 0),
            (9080, NULL, 202, 1, 1, NULL, NULL, 5, {FREE_A_DAY}, 0),
            (9090, NULL, 205, 1, 1, NULL, NULL, 4, 1000, {MIB});
        INSERT INTO gyro.dynamic_rule (rule_id, rating_group, match, effect, redirect_type, redirect_address)
        VALUES (9061, 204, 1, 10, 2, 'http://topup.spec.test/dynamic');
        INSERT INTO gyro.peer_profile (peer, tariff_time_change) VALUES ('pgw9.spec.test', false)"""


def hourly(level=None, tier=None, roaming=False, crowded=False):
    """The price of Rating-Group 201 per MiB, at night, and the rules that make it."""
    rate, rules = Fraction(BASE), {8201}
    if level:
        rate, rules = Fraction(LEVELS[level]), rules | {9000 + level}
    for applies, factor, rule in ((tier == 'gold', GOLD, 9010), (roaming, ROAMING, 9020), (True, NIGHT, 9030)):
        if applies:
            rate, rules = rate * factor, rules | {rule}
    return (rate + CROWDED, rules | {9040}) if crowded else (rate, rules)


def cost(rate, units):
    return rate * units / MIB


class Gateway:
    """One session; each request twice. told: the rules that explain must name, by request number."""

    def __init__(self, tap, site, imsi, account, host='pgw1'):
        self.tap, self.site, self.imsi, self.account = tap, site, imsi, account
        self.client = site.node.client(host)
        self.session, self.number, self.told, self.unlike = self.client.session(), 0, {}, 0
        self.exact, (self.balance, _) = Fraction(0), site.money(account)

    def ask(self, kind, services, network=HOME, rules=None):
        """The first MSCC of the answer."""
        more = [('Service-Information', [('PS-Information', [('3GPP-SGSN-MCC-MNC', network)])])]
        raw = self.client.ccr(self.session, kind, self.number, services, who=self.imsi, more=more, flags=P)
        answer = self.client.ask(raw)
        self.unlike += self.client.ask(raw).raw != answer.raw
        if rules is not None:
            self.told[self.number] = rules
        self.number += 1
        return answer.services[0]

    def paid(self, rate, units):
        self.exact += cost(rate, units)

    def check(self, name, rate=None, granted=0):
        """Balance and reservation to the micro-unit."""
        carry = self.exact - math.floor(self.exact)
        held = math.ceil(cost(rate, granted) + (carry if granted else 0)) if rate is not None else 0
        self.tap.equal(self.site.money(self.account), (self.balance - math.floor(self.exact), held), name)

    def done(self, name):
        self.tap.equal(self.unlike, 0, f'{name}: a duplicate of each request gets the same bytes')
        self.client.close()


def granted(mscc):
    return mscc['Granted-Service-Unit/CC-Total-Octets'] or 0


def explained(tap, site, gateway, name):
    """Rules that applied, by request number, and that the price is the recorded one."""
    found, unlike = {}, []
    for request in json.loads(site.gyroctl('explain', gateway.session, '--json'))['requests']:
        one = request['services'][0]
        applied = {s['rule_id'] for s in one.get('stages', []) if s['verdict'] == 'applied'}
        found[request['request_number']] = applied
        if one.get('as_recorded') is False:
            unlike.append(request['request_number'])
    wanted = {n: found.get(n) for n in gateway.told}
    tap.equal((wanted, unlike), (gateway.told, []), f'{name}: explain tells the rules of each request')


# --- the session of the specification -----------------------------------------------------------

def set_attribute(site, subscriber, name, value):
    site.pg.query(f"SELECT gyro.attribute_set({subscriber}, '{name}', '{value}')")


def reauthorized(tap, g):
    begin = time.monotonic()
    set_attribute(g.site, g.account, 'credit_level', 5)
    rar = g.client.receive(5)
    tap.ok(rar.is_request and rar.code == 258 and rar['Session-Id'] == g.session and time.monotonic() - begin < 1,
           'an attribute with on_change reauth: RAR within 1 s', f'{rar} after {time.monotonic() - begin:.3f} s')
    g.client.reply(rar, 2002)


def pushes(g, value):
    """Congestion comes to the node by notification; the grants tell when it is there."""
    g.site.pg.query(f"INSERT INTO gyro.pushed_value (attribute_id, value) VALUES (5, '{value}')")


def story(tap, site, imsi, account):
    site.pg.query(f"""INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id)
                      SELECT {account}, n FROM generate_series(1, 5) n""")
    set_attribute(site, account, 'credit_level', 3)
    set_attribute(site, account, 'tier', 'gold')
    g = Gateway(tap, site, imsi, account)
    rate, rules = hourly(3, 'gold')
    first = g.ask(INITIAL, [service(201, 5 * MIB)], rules=rules)
    tap.equal((first['Result-Code'], granted(first)), (2001, 5 * MIB), 'level 3, gold, at night, at home')
    g.check('is held at that price', rate, 5 * MIB)
    g.ask(UPDATE, [service(201, 5 * MIB, 1234567)], rules=rules)
    g.paid(rate, 1234567)
    g.check('usage is debited at that price', rate, 5 * MIB)
    reauthorized(tap, g)
    dearer, (rate, rules) = rate, hourly(5, 'gold')
    g.ask(UPDATE, [service(201, 5 * MIB, 3000001, reason=7)], rules=rules)
    g.paid(dearer, 3000001)
    g.check('usage of the old grant at the old price, the next grant at the new one', rate, 5 * MIB)
    abroad, rules = hourly(5, 'gold', roaming=True)
    g.ask(UPDATE, [service(201, 5 * MIB, 777777, reason=6)], ABROAD, rules)
    g.paid(rate, 777777)
    g.check('TC-61 RATING_CONDITION_CHANGE: used at home at the price of home, granted abroad', abroad, 5 * MIB)
    set_attribute(site, account, 'tier', 'silver')
    try:
        g.client.receive(1)
        tap.ok(False, 'an attribute with on_change next sends nothing')
    except Silent:
        tap.ok(True, 'an attribute with on_change next sends nothing')
    rate, rules = hourly(5, None, roaming=True)
    g.ask(UPDATE, [service(201, 5 * MIB, 111111)], ABROAD, rules)
    g.paid(abroad, 111111)
    g.check('but the next grant has the new price', rate, 5 * MIB)
    pushes(g, 80)
    crowded, rules = hourly(5, None, roaming=True, crowded=True)

    def arrived():
        g.ask(UPDATE, [service(201, 5 * MIB)], ABROAD)
        return site.money(account)[1] > math.ceil(cost(rate, 5 * MIB)) + 1
    tap.ok(until(arrived, 5, 0.1), 'a pushed value reaches the node')
    g.check('and the grants', crowded, 5 * MIB)
    g.ask(UPDATE, [service(201, 5 * MIB, 5 * MIB)], ABROAD, rules)
    g.paid(crowded, 5 * MIB)
    g.ask(TERMINATION, [service(201, None, 17)], ABROAD)
    g.paid(crowded, 17)
    g.check('all of it to the micro-unit')
    g.done('the session')
    explained(tap, site, g, 'the session')
    text = site.gyroctl('explain', g.session, 2)
    tap.ok(all(w in text for w in ('9005', '9010', 'credit_level', 'CREDIT', 'That is the price of the recorded grant')),
           'explain for people', text)
    set_attribute(site, account, 'credit_level', 0)
    site.pg.query('DELETE FROM gyro.pushed_value')
    g = Gateway(tap, site, imsi, account)
    tap.equal(g.ask(INITIAL, [service(201, MIB)])['Result-Code'], 4010, 'DENY by a rule: 4010')
    g.done('DENY')


def free_units(tap, site, imsi, account):
    a, b = Gateway(tap, site, imsi, account), Gateway(tap, site, imsi, account, 'pgw2')
    tap.equal(granted(a.ask(INITIAL, [service(202, 3 * MIB)])), 3 * MIB, 'FREE: granted')
    a.check('and nothing held')
    tap.equal(granted(b.ask(INITIAL, [service(202, 3 * MIB)])), 3 * MIB, 'a session at the same time')
    b.check('is promised what is left of the day, and pays for the rest', Fraction(BASE), MIB)
    a.ask(TERMINATION, [service(202, None, 3 * MIB)])
    b.ask(TERMINATION, [service(202, None, 3 * MIB)])
    b.paid(Fraction(BASE), MIB)
    b.check('free units are drained before money')
    sources = json.loads(site.gyroctl('explain', b.session, 1, '--json'))['requests'][0]['services'][0]['sources']
    tap.equal([(s['debit_source'], s['debit_source_id'], s['used'], s['debit']) for s in sources],
              [('free', 9080, 2 * MIB, '0.00'), ('money', 8202, MIB, '0.137')], 'explain tells the sources')
    a.done('FREE, one')
    b.done('FREE, the other')


def month(tap, site, imsi, account):
    site.pg.query(f'INSERT INTO gyro.subscriber_dynamic_code (subscriber_id, code_id) VALUES ({account}, 6)')
    g, rate = Gateway(tap, site, imsi, account), Fraction(BASE)
    g.ask(INITIAL, [service(203, 15 * MIB)], rules={8203})
    tap.equal(granted(g.ask(UPDATE, [service(203, 15 * MIB, 15 * MIB)], rules={8203})), 5 * MIB,
              'a grant ends at the edge of a monthly counter')
    g.paid(rate, 15 * MIB)
    g.check('and is held at the price before it', rate, 5 * MIB)
    tap.equal(granted(g.ask(UPDATE, [service(203, 15 * MIB, 5 * MIB)], rules={8203, 9050})), 15 * MIB, 'beyond the edge')
    g.paid(rate, 5 * MIB)
    g.check('the other price', rate * MONTH_RATE, 15 * MIB)
    g.ask(TERMINATION, [service(203, None, 1000003)])
    g.paid(rate * MONTH_RATE, 1000003)
    g.check('and its usage')
    g.done('the monthly counter')
    explained(tap, site, g, 'the monthly counter')


# --- change of tariff in time -------------------------------------------------------------------

def used(units, change):
    return ('Used-Service-Unit', [('Tariff-Change-Usage', change), ('CC-Total-Octets', units)])


def tariff_change(tap, site, imsi, other, third):
    switch = int(time.time()) + 8
    site.pg.query(f"""INSERT INTO gyro.specific_rule (rule_id, tariff_id, rating_group, price_micros, block, valid_from, valid_until)
        SELECT n, (SELECT min(tariff_id) FROM gyro.specific_tariff), 70, p, {MIB}, f, u FROM (VALUES
        (8070, 100000, '-infinity'::timestamptz, to_timestamp({switch})),
        (8071, 200000, to_timestamp({switch}), 'infinity'::timestamptz)) r (n, p, f, u)""")
    in_force(site)
    g, plain = Gateway(tap, site, imsi, 1003), Gateway(tap, site, other, 1004, 'pgw9')
    first = g.ask(INITIAL, [service(70, 10 * MIB)])
    tap.equal((granted(first), first['Granted-Service-Unit/Tariff-Time-Change']), (10 * MIB, switch + NTP),
              'G-70 a price that changes: Tariff-Time-Change')
    g.check('held at the dearer side', Fraction(200_000), 10 * MIB)
    vague = Gateway(tap, site, third, 1007, 'pgw3')
    vague.ask(INITIAL, [service(70, 10 * MIB)])
    before = time.time()
    mscc = plain.ask(INITIAL, [service(70, 10 * MIB)])
    tap.ok(mscc['Granted-Service-Unit/Tariff-Time-Change'] is None and 0 < mscc['Validity-Time'] <= switch - before + 1,
           'a gateway without it: Validity-Time ends there', f'{mscc} {switch - before}')
    plain.check('held at the price until then', Fraction(100_000), 10 * MIB)
    plain.ask(TERMINATION, [service(70, None, 0)])
    time.sleep(max(0, switch + 0.2 - time.time()))
    g.ask(UPDATE, [service(70, 10 * MIB, None, more=[used(2 * MIB, 0), used(3 * MIB, 1)])])
    g.paid(Fraction(100_000), 2 * MIB)
    g.paid(Fraction(200_000), 3 * MIB)
    g.check('TC-75 2 MiB before and 3 MiB after: 0.20 + 0.60', Fraction(200_000), 10 * MIB)
    g.ask(TERMINATION, [service(70, None, 0)])
    vague.ask(TERMINATION, [service(70, None, None, more=[used(MIB, 2)])])
    vague.paid(Fraction(100_000), MIB)
    vague.check('TC-75 1 MiB that nobody can tell apart: 0.10')
    vague.done('indeterminate usage')
    g.done('Tariff-Time-Change')
    plain.done('without Tariff-Time-Change')
    told = json.loads(site.gyroctl('explain', g.session, 0, '--json'))['requests'][0]['services'][0]
    tap.equal((told['price'], told['price_after_change']), ('0.10 per 1MiB', '0.20 per 1MiB'), 'explain tells the price before and after')
    told = json.loads(site.gyroctl('explain', g.session, 1, '--json'))['requests'][0]['services'][0]
    tap.equal([(s['debit_source_id'], s['used'], s['debit']) for s in told['sources']],
              [(8070, 2 * MIB, '0.20'), (8071, 3 * MIB, '0.60')], 'explain tells both sides')


def redirect(tap, site, imsi):
    g = Gateway(tap, site, imsi, 1500)
    mscc = g.ask(INITIAL, [service(204, 10 * MIB)])
    tap.equal((mscc['Final-Unit-Indication/Final-Unit-Action'],
               mscc['Final-Unit-Indication/Redirect-Server/Redirect-Server-Address']),
              (1, 'http://topup.spec.test/dynamic'), 'REDIRECT by a rule')
    g.ask(TERMINATION, [service(204, None, 0)])
    g.done('REDIRECT')


# --- reloads ------------------------------------------------------------------------------------

def in_force(site):
    """Waits until the node has the catalogue of now: it has archived it."""
    def kept():
        return site.pg.query('SELECT 1 FROM gyro.catalogue_archive a JOIN gyro.catalogue_version v USING (version)')
    if not until(kept, 10):
        raise Failed('the catalogue does not come into force')
    time.sleep(0.3)  # archived, then swapped


def refused(tap, site, imsi, account):
    begin = site.node.log.stat().st_size
    site.pg.query(f"""INSERT INTO gyro.dynamic_rule (rule_id, code_id, rating_group, unit, match, low, effect, amount, block)
                      VALUES (9999, 2, 203, 1, 2, 'gold', 4, {-BASE - 1}, {MIB})""")
    tap.ok(until(lambda: 'is refused' in site.node.said(begin) and 'rule 9999' in site.node.said(begin), 5),
           'a catalogue that could go below zero is refused, with the rule', site.node.tail())
    g = Gateway(tap, site, imsi, account)
    g.ask(INITIAL, [service(203, MIB)])
    g.check('the one before stays in force', Fraction(BASE), MIB)
    g.ask(TERMINATION, [service(203, None, 0)])
    g.done('a refused catalogue')
    site.pg.query('DELETE FROM gyro.dynamic_rule WHERE rule_id = 9999')
    in_force(site)


def reloads(tap, site, imsi, account):
    """Base and surcharge change together; a mixture of versions would show a sum that never was."""
    ended = threading.Event()

    def change():
        for n in range(1, 13):
            site.pg.query(f"""BEGIN; UPDATE gyro.specific_rule SET price_micros = {BASE + 1000 * n} WHERE rule_id = 8205;
                              UPDATE gyro.dynamic_rule SET amount = {1000 + 100_000 * n} WHERE rule_id = 9090; COMMIT""")
            if ended.wait(0.25):
                return
        ended.set()
    changer = threading.Thread(target=change)
    g = Gateway(tap, site, imsi, account)
    g.ask(INITIAL, [service(205, MIB)])
    changer.start()
    while not ended.is_set() and g.number < 5000:
        g.ask(UPDATE, [service(205, MIB, 1024)])
    ended.set()
    changer.join(10)
    g.ask(TERMINATION, [service(205, None, 1024)])
    rows = site.pg.query(f"""SELECT c.price_micros::numeric * {MIB} / c.block,
               (SELECT (r->>'price_micros')::bigint FROM jsonb_array_elements(a.content->'specific_rule') r
                 WHERE r->>'rule_id' = '8205')
             + (SELECT (d->>'amount')::bigint FROM jsonb_array_elements(a.content->'dynamic_rule') d
                 WHERE d->>'rule_id' = '9090'), count(*)
        FROM gyro.charge c JOIN gyro.session_index i USING (session) JOIN gyro.record r USING (session, request_type, request_number, at)
        JOIN gyro.catalogue_archive a ON a.version = r.catalogue
       WHERE i.session_id = '{g.session}' AND c.granted > 0 GROUP BY 1, 2""")
    tap.ok(len(rows) > 4 and all(Fraction(got) == int(want) for got, want, _ in rows),
           f'reload under load: each of {g.number} answers uses one version, {len(rows)} of them', rows)
    g.done('reload under load')
    explained(tap, site, g, 'reload under load')


def main():
    arguments(__doc__)
    tap = Tap()
    with Site() as site:
        hour = time.gmtime().tm_hour
        imsis = site.people(10)
        poor = site.people(1, 1500, 3 * BASE)[0]
        site.pg.query(catalogue(hour))
        in_force(site)
        story(tap, site, imsis[0], 1000)
        free_units(tap, site, imsis[1], 1001)
        month(tap, site, imsis[2], 1002)
        tariff_change(tap, site, imsis[3], imsis[4], imsis[7])
        redirect(tap, site, poor)
        refused(tap, site, imsis[5], 1005)
        reloads(tap, site, imsis[6], 1006)
        found, _ = audit(site.pg.conninfo())
        tap.equal(found.lines, [], 'the independent auditor finds nothing')
        site.check(tap)
    tap.done()


main()
