#!/usr/bin/python3
"""Final units from the first to the last message (G-60 to G-65, G-80): the money ends, a top-up lifts what that did.

graceful.py. For each Final-Unit-Action a subscriber with money for three MiB: the last units and what they are told with,
the report after them, the question at the end of the Validity-Time, then a top-up, its RAR, and the CCR-U that
follows. Rating-Groups 10 and 60 are the fixture's; 161 to 163 stand in CATALOGUE.
"""
import tempfile
import time

from family import INITIAL, TERMINATION, UPDATE, Silent, Site, Tap, arguments, conform, fixture_with, service

MIB = 1 << 20
MONEY = 300_000  # three MiB
TERMINATE, REDIRECT, RESTRICT = 0, 1, 2
FINAL, FORCED = 2, 7
RULES = ['permit out ip from 192.0.2.1 to any', 'permit in ip from any to 192.0.2.1']
PORTAL = 'http://topup.spec.test/'
CATALOGUE = """
  - { rating_group: 161, name: rules, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, threshold: 2MiB, final_unit: restrict, filter_ids: [topup-only], filter_rules: ["%s", "%s"] }
  - { rating_group: 162, name: provisioned, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, threshold: 2MiB, final_unit: restrict, provisioned: true }
  - { rating_group: 163, name: portal by address, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, threshold: 2MiB, final_unit: redirect, redirect: { type: ipv6, address: "2001:db8::1" }, filter_rules: ["%s"] }
""" % (*RULES, RULES[0])
PRICES = ''.join(f'      - {{ rating_group: {g}, unit: octets, price: "0.10", per: 1MiB }}\n' for g in (161, 162, 163))


def content(group):
    """An AVP's children as (name, value), None without it."""
    return None if group is None else [(a.name, a.value if a.kind != 'Grouped' else content(a.value)) for a in group]


class Gateway:
    def __init__(self, tap, site, account, imsi, group):
        self.tap, self.site, self.account, self.imsi, self.group = tap, site, account, imsi, group
        self.client = site.node.client(f'pgw{account}')
        self.session, self.number = self.client.session(), 0

    def ask(self, name, kind, services, code=2001):
        raw = self.client.ccr(self.session, kind, self.number, services, who=self.imsi)
        answer, self.number = self.client.ask(raw), self.number + 1
        wrong = conform(raw, answer, self.site.node)
        got = answer.result, [s['Result-Code'] for s in answer.services]
        if got != (2001, [code]):
            wrong.append(f'{got}, not 2001 and {code}')
        if answer['Final-Unit-Indication'] is not None:
            wrong.append('G-62 Final-Unit-Indication at command level')
        self.tap.ok(not wrong, name, '\n'.join(wrong) + f'\n{answer}')
        return answer.services[0] if answer.services else answer

    def money(self, name, balance, held):
        self.tap.equal(self.site.money(self.account), (balance, held), name)

    def reauthorized(self, name, result):
        """Waits for a RAR and answers it."""
        begin = time.monotonic()
        try:
            message = self.client.receive(3)
        except Silent:
            message = None
        took = time.monotonic() - begin
        good = message is not None and message.is_request and message.code == 258 and message['Session-Id'] == self.session \
            and message['Re-Auth-Request-Type'] == 0 and took < 2
        if self.tap.ok(good, name, f'{message} after {took:.2f} s'):
            self.client.reply(message, result)

    def topup(self, amount):
        self.site.gyroctl('topup', amount, '--imsi', self.imsi, '--reference', f'{self.session}-{self.number}')


def granted(s):
    return s['Granted-Service-Unit/CC-Total-Octets']


def full(tap, s, name):
    tap.ok(granted(s) == 10 * MIB and s['Final-Unit-Indication'] is None and s['Volume-Quota-Threshold'] == 2 * MIB,
           f'{name}: a full grant, nothing final, and a threshold again', s)


def restricted(g, name, fui):
    """REDIRECT and RESTRICT_ACCESS: the session lives on without units until there is money."""
    tap = g.tap
    s = g.ask(f'{name}: asks', INITIAL, [service(g.group)])
    tap.equal((granted(s), s['Volume-Quota-Threshold']), (3 * MIB, None), f'G-61 {name}: the last three MiB, no threshold')
    tap.equal(content(s['Final-Unit-Indication']), fui, f'G-61 {name}: what the gateway is told')
    s = g.ask(f'{name}: they are used, nothing is asked', UPDATE, [service(g.group, rsu=None, used=3 * MIB, reason=FINAL)])
    tap.ok(granted(s) is None and s['Final-Unit-Indication'] is None and s['Validity-Time'] == 3600,
           f'G-63 {name}: no units, but when to ask again', s)
    g.money(f'G-63 {name}: nothing is left, nothing held', 0, 0)
    s = g.ask(f'{name}: it asks at that time, nothing was paid in', UPDATE, [service(g.group)])
    tap.ok(not granted(s) and s['Validity-Time'] == 3600 and content(s['Final-Unit-Indication']) == fui,
           f'G-64 {name}: restricted again, without units', s)
    g.topup('2.00')
    g.reauthorized(f'G-80 {name}: a top-up brings a RAR', 2002)
    s = g.ask(f'{name}: and that a CCR-U', UPDATE, [service(g.group, reason=FORCED)])
    full(tap, s, f'G-64 {name}: the restriction lifts')
    g.money(f'G-64 {name}: held from the new money', 2_000_000, 1_000_000)
    g.ask(f'{name}: the end', TERMINATION, [service(g.group, rsu=None, used=MIB, reason=FINAL)])
    g.money(f'{name}: paid', 1_900_000, 0)


def at_once(g, name, fui):
    """No money at all."""
    tap = g.tap
    s = g.ask(f'{name}: asks without any money', INITIAL, [service(g.group)])
    tap.ok(not granted(s) and s['Validity-Time'] == 3600 and content(s['Final-Unit-Indication']) == fui,
           f'G-65 {name}: the action at once, and when to ask again', s)
    g.topup('0.50')
    g.reauthorized(f'G-80 {name}: a small top-up brings a RAR', 2001)
    s = g.ask(f'{name}: and that a CCR-U', UPDATE, [service(g.group, reason=FORCED)])
    tap.ok(granted(s) == 5 * MIB and content(s['Final-Unit-Indication']) == fui, f'G-64 {name}: five MiB, the last ones', s)
    g.topup('5.00')
    g.reauthorized(f'G-80 {name}: a large one, while the last units are used', 2002)
    s = g.ask(f'{name}: reports and asks', UPDATE, [service(g.group, used=2 * MIB, reason=FORCED)])
    full(tap, s, f'G-64 {name}: the restriction never begins')
    g.ask(f'{name}: the end', TERMINATION, [service(g.group, rsu=None, used=0, reason=FINAL)])
    g.money(f'{name}: two MiB are paid', 5_300_000, 0)


def terminated(g):
    tap = g.tap
    s = g.ask('TERMINATE: asks', INITIAL, [service(10)])
    tap.equal((granted(s), content(s['Final-Unit-Indication']), s['Volume-Quota-Threshold']), (3 * MIB, [('Final-Unit-Action', TERMINATE)], None),
              'G-60 TERMINATE: the last three MiB, and nothing else in it')
    s = g.ask('TERMINATE: they are used', UPDATE, [service(10, rsu=None, used=3 * MIB, reason=FINAL)])
    tap.ok(granted(s) is None and s['Validity-Time'] is None, 'TERMINATE: the Rating-Group is closed', s)
    s = g.ask('TERMINATE: opened again without money', UPDATE, [service(10)], 4012)
    tap.equal((granted(s), s['Final-Unit-Indication']), (None, None), 'G-48 TERMINATE: refused')
    g.topup('2.00')
    g.reauthorized('G-80 TERMINATE: a top-up brings a RAR to the session that waits', 2002)
    full(tap, g.ask('TERMINATE: and that a CCR-U', UPDATE, [service(10, reason=FORCED)]), 'G-64 TERMINATE')
    g.ask('TERMINATE: the end', TERMINATION, [service(10, rsu=None, used=0, reason=FINAL)])
    g.money('TERMINATE: nothing more is paid', 2_000_000, 0)


def main():
    arguments(__doc__)
    tap = Tap()
    actions = {
        'REDIRECT': (60, [('Final-Unit-Action', REDIRECT), ('Redirect-Server', [('Redirect-Address-Type', 2),
                                                                                ('Redirect-Server-Address', PORTAL)])]),
        'RESTRICT': (61, [('Final-Unit-Action', RESTRICT), ('Filter-Id', 'topup-only')]),
        'RESTRICT with rules': (161, [('Final-Unit-Action', RESTRICT), ('Filter-Id', 'topup-only'),
                                      *[('Restriction-Filter-Rule', r.encode()) for r in RULES]]),
        'RESTRICT, provisioned': (162, [('Final-Unit-Action', RESTRICT)]),
        'REDIRECT with a rule': (163, [('Final-Unit-Action', REDIRECT), ('Restriction-Filter-Rule', RULES[0].encode()),
                                       ('Redirect-Server', [('Redirect-Address-Type', 1), ('Redirect-Server-Address', '2001:db8::1')])]),
    }
    with tempfile.TemporaryDirectory(prefix='gyro-graceful-') as home, Site(catalogue=fixture_with(home, CATALOGUE, PRICES)) as site:
        rich = site.people(len(actions) + 1, first=1000, micros=MONEY)
        poor = site.people(len(actions), first=2000, micros=0)
        for n, (name, (group, fui)) in enumerate(actions.items()):
            for play, account, imsi in ((restricted, 1000 + n, rich[n]), (at_once, 2000 + n, poor[n])):
                g = Gateway(tap, site, account, imsi, group)
                play(g, name, fui)
                g.client.close()
        terminated(Gateway(tap, site, 1000 + len(actions), rich[-1], 10))
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
