#!/usr/bin/python3
"""Credit pools (RFC 8506 §5.1.2, G-72): Rating-Groups of a session that draw from one sum.

pools.py. A gateway is played that counts as it is told: S is the sum of Qi * Mi, and each unit of a Rating-Group takes
its multiplier from S, whoever's grant it was. Whatever it uses within S is held, and paid once; two nodes answer in turn.
Rating-Groups 201 (octets), 202 (seconds) and 203 (octets, dearer) are in pool 7, 204 alone in pool 8.
"""
import fractions
import random
import sys
import tempfile

from family import INITIAL, P, ROOT, TERMINATION, UPDATE, Site, T, Tap, arguments, conform, fixture_with, service

sys.path.insert(0, str(ROOT / 'tests/audit'))
from audit import audit  # noqa: E402

MIB = 1 << 20
POOL = 7
TIME, TOTAL_OCTETS, INPUT_OCTETS, OUTPUT_OCTETS = 0, 2, 3, 4
FINAL, EXHAUSTED = 2, 8
OCTETS, SECONDS = 'CC-Total-Octets', 'CC-Time'
COUNTED = {10: OCTETS, 201: OCTETS, 202: SECONDS, 203: OCTETS, 204: OCTETS}
PRICES = {201: fractions.Fraction(100_000, MIB), 202: fractions.Fraction(50_000, 60), 203: fractions.Fraction(70_001, 3 * MIB)}
GROUPS = ''.join(f'  - {{ rating_group: {group}, name: pooled {group}, default_grant: {grant}, max_grant: 50MiB, validity: 3600, pool: {pool} }}\n'
                 for group, grant, pool in ((201, '10MiB', 7), (202, 600, 7), (203, '6MiB', 7), (204, '10MiB', 8)))
RULES = '''      - { rating_group: 201, unit: octets, price: "0.10", per: 1MiB }
      - { rating_group: 202, unit: seconds, price: "0.05", per: 60 }
      - { rating_group: 203, unit: octets, price: "0.070001", per: 3MiB }
      - { rating_group: 204, unit: octets, price: "0.10", per: 1MiB }
'''
PEERS = 'peers:\n  - { peer: apart.spec.test, credit_pools: false }\n'


def report(group, units=None, more=True, reason=None):
    return service(group, rsu=more, used=None if units is None else [(COUNTED[group], units)], reason=reason)


class Gateway:
    """One session. left: what it counts as left of the pool, micro-units."""

    def __init__(self, tap, site, imsi, host='pgw1'):
        self.tap, self.site, self.imsi = tap, site, imsi
        self.clients = [node.client(host) for node in site.nodes]
        self.session, self.number, self.left, self.last = self.clients[0].session(), 0, 0, None
        self.multipliers = {}

    def ask(self, name, kind, *services, flags=P, number=None):
        turn = self.number % len(self.clients)
        client, node = self.clients[turn], self.site.nodes[turn]
        raw = client.ccr(self.session, kind, self.number if number is None else number, list(services), who=self.imsi, flags=flags)
        answer = client.ask(raw)
        self.number += number is None
        wrong = conform(raw, answer, node)
        if answer.result != 2001:
            wrong.append(f'{answer.result}')
        self.tap.ok(not wrong, name, '\n'.join(wrong) + f'\n{answer}')
        return answer.services

    def take(self, services):
        """New grants come into the pool."""
        for s in services:
            group, pool = s['Rating-Group'], reference(s)
            if pool is not None:
                self.multipliers[group] = worth(pool)
                self.left += s[f'Granted-Service-Unit/{COUNTED[group]}'] * worth(pool)

    def close(self):
        for client in self.clients:
            client.close()


def reference(s):
    """Pool, CC-Unit-Type, Value-Digits, Exponent; None: it has none."""
    if s['G-S-U-Pool-Reference'] is None:
        return None
    return tuple(s[f'G-S-U-Pool-Reference/{name}'] for name in
                 ('G-S-U-Pool-Identifier', 'CC-Unit-Type', 'Unit-Value/Value-Digits', 'Unit-Value/Exponent'))


def worth(pool):
    return pool[2] * fractions.Fraction(10) ** (pool[3] or 0)


def told(tap, site, imsi):
    """What stands in the answer."""
    g = Gateway(tap, site, imsi)
    services = g.ask('a session asks for four Rating-Groups', INITIAL, *[report(n) for n in (201, 202, 203, 204, 10)])
    for s, unit in zip(services, (TOTAL_OCTETS, TIME, TOTAL_OCTETS)):
        group = s['Rating-Group']
        pool = reference(s) or (None, None, 0, 0)
        tap.ok(pool[:2] == (POOL, unit) and abs(worth(pool) / PRICES[group] - 1) < fractions.Fraction(1, 10 ** 16) and
               s[f'Granted-Service-Unit/{COUNTED[group]}'],
               f'G-72 Rating-Group {group}: its pool, the unit that is granted, and what one is worth', s)
    tap.equal([reference(s) for s in services[3:]], [None, None], 'G-72 a pool of one is none, and other groups have none')
    copy = g.ask('the request comes again', INITIAL, *[report(n) for n in (201, 202, 203, 204, 10)], flags=P | T, number=0)
    tap.equal([reference(s) for s in copy], [reference(s) for s in services], 'G-85 a copy is told of the same pools')
    g.ask('the end', TERMINATION, *[report(n, 0, False, FINAL) for n in (201, 202, 203, 204, 10)])
    g.close()
    g = Gateway(tap, site, imsi)
    s = g.ask('octets by direction', INITIAL, service(201, rsu=[('CC-Input-Octets', MIB), ('CC-Output-Octets', 3 * MIB)]), report(202))[0]
    tap.equal(([a['CC-Unit-Type'] for a in s.all('G-S-U-Pool-Reference')], [a.name for a in s.all('Granted-Service-Unit')[0].value],
               {a['G-S-U-Pool-Identifier'] for a in s.all('G-S-U-Pool-Reference')}),
              ([INPUT_OCTETS, OUTPUT_OCTETS], ['CC-Input-Octets', 'CC-Output-Octets'], {POOL}),
              'G-72, G-39 each direction has its reference to the pool')
    g.ask('and ends', TERMINATION, report(201, 0, False), report(202, 0, False))
    g.close()
    g = Gateway(tap, site, imsi, 'apart')
    services = g.ask('a gateway that knows no pools', INITIAL, report(201), report(202))
    tap.equal([reference(s) for s in services], [None, None], 'G-72 is not told of any')
    g.ask('and ends', TERMINATION, report(201, 0, False), report(202, 0, False))
    g.close()


def shared(tap, site, account, imsi):
    """One Rating-Group uses what the other was granted; the record and explain say so."""
    g = Gateway(tap, site, imsi)
    g.ask('a session with money for its pool only', INITIAL, report(201), report(202))
    tap.equal(site.money(account), (1_500_000, 1_500_000), 'all of it is held')
    s = g.ask('four MiB beyond a grant', UPDATE, report(201, 14 * MIB, False))
    tap.equal((site.money(account), s[0]['Result-Code']), ((100_000, 100_000), 2001), 'G-72 paid from what the other was granted')
    s = g.ask('and no more is left than that', UPDATE, report(201))
    tap.equal(s[0]['Result-Code'], 4012, 'G-48 refused')
    rows = site.pg.query(f"SELECT rating_group, granted, flags & 256, pool FROM gyro.charge WHERE account_id = {account} "
                         "AND request_type = 2 AND request_number = 1 ORDER BY position")
    tap.equal(rows, [['201', '0', '0', ''], ['202', '120', '256', '7']], 'the record says what is left of it')
    text = site.gyroctl('explain', g.session, 1)
    tap.ok('What is left of the grant for Rating-Group 202, after others of pool 7' in text, 'and so does explain', text)
    text = site.gyroctl('explain', g.session, 0)
    tap.ok(all(f'Rating-Group {n}' in text for n in (201, 202)), 'which tells of each service of a request', text)
    g.ask('the other uses the rest', TERMINATION, report(202, 120, False, FINAL))
    tap.equal(site.money(account), (0, 0), 'every micro-unit is paid, once')
    g.close()


def ended(tap, site, imsi):
    """A session ends with a report of one Rating-Group that took of the other's grant; that one is not mentioned."""
    g = Gateway(tap, site, imsi)
    g.ask('two are granted', INITIAL, report(201), report(202))
    g.ask('one is reported at the end, beyond its grant', TERMINATION, report(201, 14 * MIB, False, FINAL))
    tap.equal(site.records(g.session), (2, 1_400_000), 'paid once, in full')
    g.close()


def played(tap, site, account, imsi, dice):
    """Sessions of a gateway that counts: it uses at random until the pool is empty, reports, asks again."""
    g = Gateway(tap, site, imsi)
    used, cost = {n: 0 for n in PRICES}, fractions.Fraction(0)
    g.take(g.ask('a gateway counts as it is told', INITIAL, *[report(n) for n in PRICES]))
    for turn in range(12):
        unreported, lacking = {n: 0 for n in PRICES}, None
        while lacking is None:
            group = dice.choice(list(PRICES))
            units = dice.randrange(1, 3 * MIB if COUNTED[group] == OCTETS else 200)
            most = int(g.left / g.multipliers[group])
            if units > most:
                units, lacking = most, group
            g.left -= units * g.multipliers[group]
            unreported[group] += units
        for group, units in unreported.items():
            used[group] += units
            cost += units * PRICES[group]
        g.left = fractions.Fraction(0)
        g.take(g.ask(f'turn {turn}: the pool is empty, all of it is reported', UPDATE,
                     *[report(n, unreported[n], reason=EXHAUSTED) for n in dice.sample(list(PRICES), 3)]))
        balance, held = site.money(account)
        tap.ok(held <= balance and 0 <= cost - (10_000_000_000 - balance) < 3, 'P13 paid to the micro-unit, and held no more than there is',
               f'balance {balance}, held {held}, used {used}')
    g.ask('the end', TERMINATION, *[report(n, 0, False, FINAL) for n in PRICES])
    g.close()


def main():
    options = arguments(__doc__)
    tap = Tap()
    print(f'# seed {options.seed}', flush=True)
    with tempfile.TemporaryDirectory(prefix='gyro-pools-') as home, Site(nodes=2, catalogue=fixture_with(home, GROUPS + '\n' + PEERS, RULES)) as site:
        people = site.people(3, micros=10_000_000_000)
        site.pg.query("SELECT gyro.account_open(2000, 156::smallint, 1500000)")
        site.pg.query("UPDATE gyro.subscriber SET account_id = 2000, group_id = 2000 WHERE subscriber_id = 1001")
        told(tap, site, people[0])
        shared(tap, site, 2000, people[1])
        ended(tap, site, people[0])
        played(tap, site, 1002, people[2], random.Random(options.seed))
        found, _ = audit(site.pg.conninfo())
        tap.equal(found.lines, [], 'the independent auditor finds nothing')
        site.check(tap)
    print(f'# seed {options.seed}')
    tap.done()


if __name__ == '__main__':
    main()
