#!/usr/bin/python3
"""Traffic cards in use (spec/cards.md): what real sessions at two nodes draw from them, and in which order.

card_usage.py [--seed N] [--long]

Cards are bought and bound by the SQL function that nodes and gyroctl call, too (cards.py does it over Diameter).
--long: more sessions in the races. In the end both auditors look.
"""
import json
import sys
import tempfile
import threading
import time
import uuid

import family
from diameter import NTP
from family import INITIAL, ROOT, TERMINATION, UPDATE, Silent, Site, Tap, arguments, until

sys.path.insert(0, str(ROOT / 'tests/audit'))
from audit import audit  # noqa: E402

MIB = 1 << 20
PRICE = 100_000  # micro-units per MiB in the fixture
BIND, UNBIND, STATISTICS, PRIORITY = 1, 2, 3, 4
FIELDS = ('result', 'message', 'card', 'binding', 'user_class', 'priority', 'targets', 'cost', 'statistics')

CATALOGUE = """
INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1);
INSERT INTO gyro.app (name) VALUES ('video');
INSERT INTO gyro.app_target (app_id, rating_group) SELECT app_id, 101 FROM gyro.app;
INSERT INTO gyro.product (code, price, currency, quota, audience_id, directed) VALUES
    ('small', 1000000, 156, 3145728, 1, 0), ('large', 5000000, 156, 104857600, 1, 0), ('directed', 5000000, 156, 104857600, NULL, 2);
INSERT INTO gyro.product (code, price, currency, quota, audience_id, max_bindings, settle, usage_price, usage_block, cap)
VALUES ('pool', 0, 156, 52428800, 1, 100, 2, 50000, 1048576, NULL);
"""


def service(group, units=None, **more):
    """An MSCC; units: octets that are asked for."""
    return family.service(group, rsu=units, **more)


def operate(site, operation, subscriber, action=-1, product='', purchase='', card='', to=None, priority=-1, apps=()):
    """One CCR-E's worth of gyro.card_request: a dict of the reply."""
    names = "ARRAY[%s]::text[]" % ', '.join(f"'{a}'" for a in apps)
    blank = "ARRAY[%s]::text[]" % ', '.join("''" for _ in apps)
    row = site.pg.query(
        f"SELECT {', '.join(FIELDS)} FROM gyro.card_request('{uuid.uuid4()}', 4::smallint, 0, {action}::smallint, {operation}::smallint, "
        f"{subscriber}, '{product}', '{purchase}', '{card}', {1 if to else 0}::smallint, '{to or ''}', {priority}, -1, "
        f"{names}, {blank}, {blank}, 0, 0, 0, false)")[0]
    return dict(zip(FIELDS, row))


def buy(site, subscriber, product):
    return operate(site, 0, subscriber, action=0, product=product, purchase=str(uuid.uuid4()))['card']


def bind(site, subscriber, card, **more):
    return operate(site, BIND, subscriber, card=card, **more)


def card(site, code):
    """(used, reserved, state)"""
    used, reserved, state = site.pg.query(f"SELECT used, reserved, state FROM gyro.card_state WHERE code = '{code}'")[0]
    return int(used), int(reserved), state


class User:
    """A subscriber with an account of his own and a gateway's session."""
    number = 1000

    def __init__(self, site, micros=100_000_000):
        User.number += 1
        self.site, self.id = site, User.number
        self.imsi = site.people(1, first=self.id, micros=micros)[0]

    def open(self, gateway, group=10, units=10 * MIB):
        return Session(self, gateway).say(INITIAL, service(group, units=units))

    def money(self):
        return self.site.money(self.id)


class Session:
    def __init__(self, user, gateway):
        self.user, self.gateway, self.id, self.number = user, gateway, gateway.session(), -1

    def say(self, kind, *services):
        self.number += 1
        self.answer = self.gateway.charge(self.id, kind, self.number, list(services), who=self.user.imsi)
        return self

    @property
    def granted(self):
        return int(self.answer.services[0]['Granted-Service-Unit/CC-Total-Octets'] or 0)


def general(tap, site, gateway):
    user = User(site)
    code = buy(site, user.id, 'large')
    tap.equal(user.money(), (95_000_000, 0), 'bought: the price is debited')
    reply = bind(site, user.id, code)
    tap.equal((reply['result'], reply['user_class'], reply['targets']), ('2001', '0', '{}'), 'a specified user is bound in general')
    session = user.open(gateway)
    tap.equal((session.granted, card(site, code)[:2], user.money()), (10 * MIB, (0, 10 * MIB), (95_000_000, 0)),
              'a grant is of the card, not of money')
    session.say(UPDATE, service(10, used=6 * MIB, units=10 * MIB), service(102, units=10 * MIB))
    tap.equal(card(site, code)[:2], (6 * MIB, 20 * MIB), 'on every Rating-Group')
    session.say(TERMINATION, service(10, used=2 * MIB), service(102, used=1 * MIB))
    tap.equal((card(site, code), user.money()), ((9 * MIB, 0, 'BOUND'), (95_000_000, 0)), 'the card is drained on both')


def directed(tap, site, gateway):
    user = User(site)
    code = buy(site, user.id, 'directed')
    tap.equal(bind(site, user.id, code)['result'], '5005', 'a non-specified user without directed info: 5005')
    reply = bind(site, user.id, code, apps=['video'])
    tap.equal((reply['result'], reply['user_class'], reply['targets']), ('2001', '1', '{101}'), 'with an app: directed')
    session = user.open(gateway, 10)
    tap.equal((card(site, code)[:2], user.money()[1]), ((0, 0), PRICE * 10), 'another Rating-Group leaves the card alone')
    session.say(UPDATE, service(101, units=10 * MIB))
    tap.equal(card(site, code)[:2], (0, 10 * MIB), 'its own draws from it')
    session.say(TERMINATION, service(10, used=MIB), service(101, used=4 * MIB))
    tap.equal((card(site, code)[:2], user.money()), ((4 * MIB, 0), (95_000_000 - PRICE, 0)), 'each pays its own')


def sources_and_validity(tap, site, gateway):
    """TC-96, TC-73: a user without money, a general card and one for Rating-Group 20; a card that ends soon."""
    site.pg.query("""
        INSERT INTO gyro.app (name) VALUES ('tv');
        INSERT INTO gyro.app_target (app_id, rating_group) SELECT app_id, 20 FROM gyro.app WHERE name = 'tv';
        INSERT INTO gyro.product (code, price, currency, quota, audience_id, directed, validity_s) VALUES
            ('general', 0, 156, 1073741824, 1, 0, 0), ('tv', 0, 156, 524288000, NULL, 2, 86400), ('soon', 0, 156, 1073741824, 1, 0, 100)""")
    user = User(site, 0)
    a, b = buy(site, user.id, 'general'), buy(site, user.id, 'tv')
    bind(site, user.id, a)
    bind(site, user.id, b, apps=['tv'])
    session = Session(user, gateway).say(INITIAL, service(20, units=10 * MIB), service(10, units=10 * MIB))
    tap.equal([s['Granted-Service-Unit/CC-Total-Octets'] for s in session.answer.services], [10 * MIB, 10 * MIB], 'TC-96 both Rating-Groups have a grant')
    tap.equal((card(site, b)[:2], card(site, a)[:2]), ((0, 10 * MIB), (0, 10 * MIB)), 'TC-96 20 from the directed card, 10 from the general one')
    session.say(UPDATE, service(20, used=510 * MIB))
    tap.equal((card(site, b)[0], card(site, a)[0]), (500 * MIB, 10 * MIB), 'TC-96 what goes beyond the directed card is the general one\'s')
    session.say(TERMINATION, service(10, used=0))
    tap.equal((card(site, b), card(site, a), user.money()), ((500 * MIB, 0, 'EXHAUSTED'), (10 * MIB, 0, 'BOUND'), (0, 0)), 'TC-96 and no money')

    user = User(site, 0)
    bind(site, user.id, buy(site, user.id, 'soon'))
    session = user.open(gateway)
    valid = session.answer.services[0]['Validity-Time']
    tap.ok(session.granted == 10 * MIB and 90 <= valid <= 100, 'TC-73 a grant is not valid beyond the end of its card', session.answer)
    session.say(TERMINATION, service(10, used=0))


def split(tap, site, gateway):
    user = User(site)
    code = buy(site, user.id, 'small')
    bind(site, user.id, code)
    session = user.open(gateway)
    tap.equal((session.granted, card(site, code)[1], user.money()[1]), (10 * MIB, 3 * MIB, 7 * PRICE), '3 MiB of a card and 7 of money are one grant')
    rows = site.pg.query(f"SELECT source, units FROM gyro.slice WHERE account_id = {user.id} ORDER BY source")
    tap.equal(rows, [['card', str(3 * MIB)], ['money', str(7 * MIB)]], 'in two slices')
    session.say(UPDATE, service(10, used=5 * MIB, units=2 * MIB))
    tap.equal((card(site, code), user.money()), ((3 * MIB, 0, 'EXHAUSTED'), (99_000_000 - 2 * PRICE, 2 * PRICE)), 'drained in their order')
    session.say(TERMINATION, service(10, used=0))


def traces(tap, site, quiet):
    """A node with traces on tells which rule made the price and which source gave how much; others don't."""
    user = User(site)
    code = buy(site, user.id, 'small')
    bind(site, user.id, code)
    node = site.add('gyro9')
    node.settings['trace'] = True
    node.start()
    gateway = node.client('pgw9')
    session = user.open(gateway)
    mscc = session.answer.services[0]
    bucket, tariff = mscc['Bucket-Trace/Trace-Text'], mscc['Tariff-Trace/Trace-Text']
    tap.ok(bucket and bucket.startswith(f'granted: card {code} {3 * MIB}; money (rule ') and bucket.endswith(f' {7 * MIB}'),
           'Bucket-Trace: which source gives how much', bucket)
    tap.ok(tariff and tariff.startswith('base by rule ') and tariff.endswith(f': {PRICE} micro-units per {MIB}'),
           'Tariff-Trace: which rule makes the price', tariff)
    session.say(UPDATE, service(10, used=4 * MIB, units=MIB))
    bucket = session.answer.services[0]['Bucket-Trace/Trace-Text']
    tap.ok(bucket and bucket.startswith(f'used: card {code} {3 * MIB}; money (rule ') and f' {MIB}. granted: money (rule ' in bucket,
           'and which it took', bucket)
    session.gateway = quiet
    session.say(TERMINATION, service(10, used=0))
    other = user.open(quiet)
    tap.ok(b'used:' not in other.answer.raw and other.answer.services[0]['Bucket-Trace/Trace-Text'] is None, 'off by default')
    other.say(TERMINATION, service(10, used=0))
    gateway.close()
    node.stop()


def switch(tap, site, gateway, other):
    """A bind in mid-session, at another node's gateway: RAR, and the next grant is the card's."""
    user = User(site)
    code = buy(site, user.id, 'large')
    session = user.open(gateway)
    time.sleep(0.4)  # a session that has just been opened is left alone for a moment
    began = time.monotonic()
    bind(site, user.id, code)
    rar = until(lambda: request(gateway, 0.5), 3)
    tap.ok(rar is not None and rar['Session-Id'] == session.id, 'bound in mid-session: a RAR')
    tap.ok(time.monotonic() - began < 1, 'within 1 s', f'{time.monotonic() - began:.2f} s')
    if rar:
        gateway.reply(rar, 2002)
    session.say(UPDATE, service(10, used=4 * MIB, units=10 * MIB, reason=7))
    tap.equal((card(site, code)[:2], user.money()), ((0, 10 * MIB), (95_000_000 - 4 * PRICE, 0)),
              'the usage is the old source\'s, the next grant the card\'s')
    operate(site, UNBIND, user.id, card=code)
    rar = until(lambda: request(gateway, 0.5), 3)
    tap.ok(rar is not None, 'unbound: a RAR')
    session.say(TERMINATION, service(10, used=10 * MIB))
    tap.equal((card(site, code)[0], user.money()[0]), (10 * MIB, 95_000_000 - 4 * PRICE), 'what was held stays the session\'s')


def request(gateway, seconds):
    try:
        return gateway.receive(seconds)
    except Silent:
        return None


def crossing(tap, site, gateway):
    """The RAR of a bind meets a CCR-U that is on its way: both may ask, the card is granted once."""
    user = User(site)
    code = buy(site, user.id, 'large')
    session = user.open(gateway)
    time.sleep(0.4)
    bind(site, user.id, code)
    session.say(UPDATE, service(10, used=MIB, units=10 * MIB))
    rar = request(gateway, 1)
    if rar:
        gateway.reply(rar, 2002)
    tap.equal((session.granted, card(site, code)[1]), (10 * MIB, 10 * MIB), 'a CCR-U that crosses the RAR is granted from the card')
    session.say(UPDATE, service(10, used=0, units=10 * MIB, reason=7))
    tap.equal((session.granted, card(site, code)[1], user.money()[1]), (10 * MIB, 10 * MIB, 0), 'what the RAR asks for is no second grant')
    session.say(TERMINATION, service(10, used=0))


def idle_time(tap, site, gateway):
    """A card with hours that end within the grant's validity: Tariff-Time-Change, and usage on both sides of it."""
    user = User(site)
    ends = (int(time.time()) // 60 + 3) * 60  # the database's zone is UTC, and so is the subscriber's
    minute = ends // 60 % 1440
    site.pg.query(f"""INSERT INTO gyro.product (code, price, currency, quota, audience_id, window_from, window_until)
                      VALUES ('night', 1000000, 156, 104857600, 1, {(minute - 120) % 1440}, {minute})""")
    code = buy(site, user.id, 'night')
    bind(site, user.id, code)
    session = user.open(gateway)
    change = session.answer.services[0]['Granted-Service-Unit/Tariff-Time-Change']
    tap.equal((session.granted, change - NTP if change else None), (10 * MIB, ends), 'an idle-time card: Tariff-Time-Change where its hours end')
    tap.equal((card(site, code)[1], user.money()[1]), (10 * MIB, 10 * PRICE), 'both sides of it are held, the card and money')
    parts = [('Used-Service-Unit', [('Tariff-Change-Usage', side), ('CC-Total-Octets', octets)])
             for side, octets in ((0, 4 * MIB), (1, 3 * MIB))]
    session.say(UPDATE, service(10, units=MIB, more=parts))
    tap.equal((card(site, code)[0], user.money()[0]), (4 * MIB, 99_000_000 - 3 * PRICE), 'usage before it drains the card, after it money')
    session.say(TERMINATION, service(10, used=0))


def idle_time_alone(tap, site, gateway):
    """The hours end within the validity, in a zone of its own, and there is no money for after it: the grant ends with them."""
    user = User(site, 0)
    ends = (int(time.time()) // 60 + 3) * 60
    minute = (ends // 60 + 330) % 1440  # of Kolkata, half an hour beside everybody else
    site.pg.query(f"""INSERT INTO gyro.time_zone (name) VALUES ('Asia/Kolkata');
        UPDATE gyro.subscriber SET zone_id = (SELECT zone_id FROM gyro.time_zone WHERE name = 'Asia/Kolkata') WHERE subscriber_id = {user.id};
        INSERT INTO gyro.product (code, price, currency, quota, audience_id, window_from, window_until)
        VALUES ('night there', 0, 156, 104857600, 1, {(minute - 10) % 1440}, {minute})""")
    until(lambda: site.pg.query('SELECT 1 FROM gyro.catalogue_archive JOIN gyro.catalogue_version USING (version)'), 10)
    time.sleep(0.3)  # archived by one node, then in force at both
    code = buy(site, user.id, 'night there')
    bind(site, user.id, code)
    session, now = user.open(gateway), time.time()
    got = session.answer.services[0]
    tap.equal((session.granted, got['Granted-Service-Unit/Tariff-Time-Change'], got['Final-Unit-Indication']), (10 * MIB, None, None),
              'hours that end, and no money: all that is asked for, and not as final units')
    tap.ok(abs(got['Validity-Time'] - (ends - now)) < 5, 'until they end', f'{got["Validity-Time"]}, {ends - now:.1f} left')
    session.say(TERMINATION, service(10, used=MIB))
    tap.equal((card(site, code)[0], user.money()), (MIB, (0, 0)), 'the card is drained')


def capped(tap, site, gateway):
    """A cap counts what was held when the user was unbound: bound again, he gets no more than it."""
    sponsor, user = User(site), User(site, 0)
    site.pg.query("""INSERT INTO gyro.product (code, price, currency, quota, audience_id, max_bindings, cap)
                     VALUES ('capped', 0, 156, 104857600, 1, 9, 5242880)""")
    code = buy(site, sponsor.id, 'capped')
    bind(site, user.id, code)
    session = user.open(gateway, units=4 * MIB)
    operate(site, UNBIND, user.id, card=code)
    session.say(UPDATE, service(10, used=4 * MIB))
    bind(site, user.id, code)
    session.say(UPDATE, service(10, units=10 * MIB))
    tap.equal((session.granted, card(site, code)[:2]), (MIB, (4 * MIB, MIB)), 'unbound while he held 4 of the 5 MiB of his cap: 1 is left')
    session.say(TERMINATION, service(10, used=MIB))
    draws = site.pg.query(f"SELECT used FROM gyro.card_draw WHERE account_id = {user.id} AND subscriber_id = {user.id}")
    tap.equal(draws, [[str(5 * MIB)]], 'which he drew')


def refused_before(tap, site, gateway):
    """A Rating-Group was refused, and other requests have come since: bound to a directed card, the session is asked for it."""
    site.pg.query("""INSERT INTO gyro.app (name) VALUES ('film');
                     INSERT INTO gyro.app_target (app_id, rating_group, service_id) SELECT app_id, 20, 7 FROM gyro.app WHERE name = 'film'""")
    user = User(site)
    session = Session(user, gateway).say(INITIAL, service(10, units=MIB), service(20, units=MIB, more=[('Service-Identifier', 7)]))
    tap.equal(session.answer.services[1]['Result-Code'], 5031, 'no card, no price: 5031')
    for _ in range(6):
        session.say(UPDATE, service(10, used=0, units=MIB))
    code = buy(site, user.id, 'directed')
    bind(site, user.id, code, apps=['film'])
    rar = until(lambda: request(gateway, 0.5), 3)
    tap.equal((rar and rar['Session-Id'], rar and rar['Rating-Group']), (session.id, 20), 'a directed card: a RAR for its Rating-Group')
    if rar:
        gateway.reply(rar, 2002)
    session.say(UPDATE, *(service(20, units=MIB, more=[('Service-Identifier', n) for n in ids]) for ids in ((7,), (), (7, 8))))
    tap.equal([s['Result-Code'] for s in session.answer.services], [2001, 5031, 5031],
              'it serves its Service-Identifier, and neither the Rating-Group as a whole nor more than that one')
    session.say(TERMINATION, service(20, used=MIB, more=[('Service-Identifier', 7)]))
    tap.equal(card(site, code)[0], MIB, 'which drains it')


def events(tap, site, gateway):
    """The order of consumption holds for events."""
    user = User(site, 1_000_000)
    code = buy(site, user.id, 'small')  # takes all the money
    bind(site, user.id, code)
    site.pg.query(f"SELECT gyro.topup({user.id}, {PRICE}, 'events')")

    def event(action, group, units, more=(), number=0, session=None, **how):
        parts = [('Requested-Service-Unit', [('CC-Total-Octets', units)])] if units else []
        return gateway.charge(session or gateway.session(), 4, number, [family.service(group, rsu=None, more=[*parts, *more])],
                              who=user.imsi, more=[('Requested-Action', action)], **how)

    def told(answer):
        value = answer['Cost-Information/Unit-Value/Value-Digits']
        return answer['Check-Balance-Result'] if value is None else value * 10 ** ((answer['Cost-Information/Unit-Value/Exponent'] or 0) + 6)
    tap.equal([told(event(3, 10, n * MIB)) for n in (2, 3, 4)], [0, 0, PRICE], 'PRICE_ENQUIRY: what money would pay')
    tap.equal([told(event(2, 10, n * MIB)) for n in (3, 4, 5)], [0, 0, 1], 'CHECK_BALANCE: whether card and money would do')
    tap.equal([told(event(2, 20, n * MIB)) for n in (3, 4)], [0, 1], 'cards only: whether they would')
    tap.equal([event(0, g, n * MIB).services[0]['Result-Code'] for g, n in ((10, 5), (20, 4))], [4012, 4012], 'too much: 4012')
    tap.equal((card(site, code)[:2], user.money()), ((0, 0), (PRICE, 0)), 'and nothing happens')
    session = gateway.session()
    first = event(0, 10, 4 * MIB, session=session, end_to_end=4711)
    tap.equal((card(site, code)[:2], user.money()), ((3 * MIB, 0), (0, 0)), 'DIRECT_DEBITING takes the card first, then money')
    again = event(0, 10, 4 * MIB, session=session, end_to_end=4711, flags=family.P | family.T)
    tap.equal((again.services[0].raw, card(site, code)[0], user.money()), (first.services[0].raw, 3 * MIB, (0, 0)), 'once')
    refund = event(1, 10, None, more=[('Refund-Information', first.services[0]['Refund-Information'])])
    tap.equal((refund.result, 'traffic card' in refund['Error-Message'], user.money()), (5012, True, (0, 0)), 'it is not refunded')
    tap.equal(event(0, 30, MIB).services[0]['Result-Code'], 4011, 'a free Rating-Group stays free')


def product_in_mid_session(tap, site, gateway):
    """Z-1: a product is applied while a session is open, then bought, bound and used; nothing else is disturbed."""
    user = User(site)
    session = user.open(gateway, units=MIB)
    before = site.pg.value(f'SELECT version FROM gyro.account WHERE account_id = {user.id}')
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write('audiences:\n  - { name: everyone, everyone: true }\nproducts:\n'
                   '  - { code: fresh, price: "2.00", currency: 156, quota: 50MiB, audience: everyone }\n')
        file.flush()
        site.gyroctl('apply', '-f', file.name)
    tap.equal(site.pg.value(f'SELECT version FROM gyro.account WHERE account_id = {user.id}'), before, 'a new product leaves open sessions alone')
    code = buy(site, user.id, 'fresh')
    bind(site, user.id, code)
    session.say(UPDATE, service(10, used=MIB, units=5 * MIB))
    tap.equal((session.granted, card(site, code)[:2], user.money()), (5 * MIB, (0, 5 * MIB), (98_000_000 - PRICE, 0)), 'and is used by the next grant')
    session.say(TERMINATION, service(10, used=5 * MIB))
    tap.equal(card(site, code)[0], 5 * MIB, 'drained')


def lost_raa(tap, site, gateway):
    """Nobody answers the RAR: the switch comes with the next report, at Validity-Time at the latest."""
    user = User(site)
    code = buy(site, user.id, 'large')
    session = user.open(gateway, 12)
    tap.equal(int(session.answer.services[0]['Validity-Time']), 1, 'a grant has a Validity-Time')
    time.sleep(0.4)
    bind(site, user.id, code)
    request(gateway, 1)
    session.say(UPDATE, service(12, used=MIB, units=10 * MIB, reason=4))
    tap.equal((card(site, code)[:2], user.money()[0]), ((0, 10 * MIB), 95_000_000 - PRICE), 'the RAA is lost: the switch happens at Validity-Time')
    session.say(TERMINATION, service(12, used=0))


def two_sessions(tap, site, gateways):
    user = User(site)
    code = buy(site, user.id, 'small')
    bind(site, user.id, code)
    sessions = [user.open(g, units=2 * MIB) for g in gateways]
    tap.equal(([s.granted for s in sessions], card(site, code)[1], user.money()[1]), ([2 * MIB, 2 * MIB], 3 * MIB, PRICE),
              'two sessions of one user at two nodes: what they hold of the card is its quota, the rest is money')
    for s in sessions:
        s.say(TERMINATION, service(10, used=2 * MIB))
    tap.equal((card(site, code), user.money()), ((3 * MIB, 0, 'EXHAUSTED'), (99_000_000 - PRICE, 0)), 'and so is what they use')


def race(tap, site, gateways, sessions):
    """P14: many sessions of many users race for a pool with one unit left, at two nodes."""
    sponsor = User(site)
    code = buy(site, sponsor.id, 'pool')
    number = site.pg.value(f"SELECT card_id FROM gyro.card WHERE code = '{code}'")
    users = [User(site, micros=0) for _ in range(sessions)]
    for user in users:
        bind(site, user.id, code)
    site.pg.query(f"""UPDATE gyro.account SET version = version + 1, cards[1][4] = 1 WHERE account_id = {sponsor.id} AND cards[1][1] = {number}""")
    clients = [site.nodes[i % 2].client(f'race{i}') for i in range(16)]
    opened, lock = [], threading.Lock()

    def run(gateway, mine):
        for user in mine:
            s = user.open(gateway)
            with lock:
                opened.append(s)
    threads = [threading.Thread(target=run, args=(g, users[i::16])) for i, g in enumerate(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    got = [s for s in opened if s.granted]
    tap.equal((len(got), sum(s.granted for s in got), card(site, code)[:2]), (1, 1, (0, 1)),
              f'{sessions} sessions race for one unit of a pool at two nodes: one gets it')
    tap.ok(all(s.granted or s.answer.services[0]['Result-Code'] == 4012 for s in opened), 'the others are told 4012')
    for s in opened:
        s.say(TERMINATION, service(10, used=s.granted))
    tap.equal(card(site, code)[:2], (1, 0), 'and uses it')
    for c in clients:
        c.close()


def settle(tap, site, gateways):
    """A sponsor's pool: users draw at both nodes, statistics close windows, each paid once."""
    sponsor = User(site)
    users = [User(site, micros=0) for _ in range(4)]
    code = buy(site, sponsor.id, 'pool')
    for user in users:
        bind(site, user.id, code)
    used = 0
    sessions = [u.open(gateways[i % 2], group=(10, 102)[i % 2]) for i, u in enumerate(users)]
    for n, s in enumerate(sessions):
        units = (n + 1) * 333_333
        used += units
        s.say(UPDATE, service((10, 102)[n % 2], used=units, units=MIB))
    first = operate(site, STATISTICS, sponsor.id, card=code)
    again = operate(site, STATISTICS, sponsor.id, card=code)
    lines = json.loads(first['statistics'].replace('{', '[').replace('}', ']'))
    tap.equal(sorted((r[1], r[2]) for r in lines), [(10, 4 * 333_333), (102, 6 * 333_333)], 'statistics tell what was used, to the byte')
    tap.equal(first['statistics'], again['statistics'], 'asked twice: the same window')
    tap.equal(site.money(sponsor.id)[0], 100_000_000 - used * 50_000 // MIB, 'paid once')
    for n, s in enumerate(sessions):
        s.say(TERMINATION, service((10, 102)[n % 2], used=1001))
    used += 4 * 1001
    second = operate(site, STATISTICS, sponsor.id, card=code)
    tap.ok(second['statistics'] != first['statistics'], 'what is used after the close falls in the next window')
    tap.equal(site.money(sponsor.id)[0], 100_000_000 - used * 50_000 // MIB, 'windows add up, remainders and all')
    # Out of credit: the pool stops, the users' own money goes on.
    site.pg.query(f"SELECT gyro.pay({sponsor.id}, {-site.money(sponsor.id)[0]}, 'takes all', 3::smallint)")
    site.pg.query(f"SELECT gyro.topup({users[0].id}, 1000000, 'own money')")
    session = users[0].open(gateways[0], units=MIB)
    tap.equal((session.granted, users[0].money()[1]), (MIB, PRICE), 'a sponsor without credit: the user\'s own money')
    session.say(TERMINATION, service(10, used=MIB))
    session = users[1].open(gateways[1], units=MIB)
    tap.equal(session.answer.services[0]['Result-Code'], 4012, 'or none')
    session.say(TERMINATION)


def crash(tap, site, gateway):
    """A node dies while sessions hold cards; the other one goes on, supervision gives back what is lost."""
    user = User(site)
    code = buy(site, user.id, 'large')
    bind(site, user.id, code)
    other = site.nodes[1].client('pgw8')
    session = user.open(other, 12)
    site.nodes[1].kill()
    session.gateway = gateway
    session.say(UPDATE, service(12, used=3 * MIB, units=5 * MIB))
    tap.equal(card(site, code)[:2], (3 * MIB, 5 * MIB), 'a node dies: the other one charges its sessions\' cards')
    tap.ok(until(lambda: card(site, code)[1] == 0, 10), 'a vanished session gives back what it holds of a card')
    tap.equal(card(site, code)[0], 3 * MIB, 'and pays no more')
    site.nodes[1].start()


def main():
    options = arguments(__doc__)
    tap = Tap()
    print(f'# seed {options.seed}')
    with Site(nodes=2) as site:
        site.pg.query(CATALOGUE)
        gateways = [node.client(f'pgw{i + 1}') for i, node in enumerate(site.nodes)]
        general(tap, site, gateways[0])
        directed(tap, site, gateways[0])
        sources_and_validity(tap, site, gateways[0])
        split(tap, site, gateways[1])
        traces(tap, site, gateways[1])
        switch(tap, site, gateways[0], gateways[1])
        crossing(tap, site, gateways[1])
        idle_time(tap, site, gateways[0])
        idle_time_alone(tap, site, gateways[0])
        capped(tap, site, gateways[1])
        refused_before(tap, site, gateways[0])
        events(tap, site, gateways[1])
        product_in_mid_session(tap, site, gateways[0])
        lost_raa(tap, site, gateways[0])
        two_sessions(tap, site, gateways)
        race(tap, site, gateways, 640 if options.long else 64)
        settle(tap, site, gateways)
        crash(tap, site, gateways[0])
        found, _ = audit(site.pg.conninfo())
        tap.equal(found.lines, [], 'the independent auditor finds nothing')
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    sys.exit(main())
