"""What the tests of card operations share: products on sale, requests by name, what the database says of it.

Starts nothing by itself. Every answer that comes through Shop.ask is held against conform(), and kept for tshark.
"""
import os
import sys

from family import INITIAL, P, ROOT, T, TABLE, Silent, conform, hop

sys.path[:0] = [str(ROOT / folder) for folder in ('tests/unit/dict', 'tests/audit', 'tests/lib')]
from audit import audit
from diameter import EVENT, Capture, identity
from node import Failed

MILLION = 1_000_000
PRICE = 30 * MILLION
CONTEXT = 'cards@gyro'
OPERATION = {'PURCHASE': 0, 'BIND': 1, 'UNBIND': 2, 'STATISTICS': 3, 'SET_PRIORITY': 4, 'CANCEL': 5}
SUSPECT = ('_ws.malformed || diameter.avp.code.unknown || diameter.avp.invalid-len || diameter.avp.invalid-data || '
           'diameter.avp.unknown || diameter.cmd.code.unknown || diameter.applicationId.unknown || diameter.avp.pad.missing || '
           'diameter.avp.pad.non_zero')


def imsi(n):
    """Of the fixture's subscriber n, or of site.people(); or the text itself."""
    if isinstance(n, str):
        return n
    return f'46000100000000{n}' if n < 10 else f'46002{n:010d}'


def beneficiary(n=None, kind=1, value=None):
    return ('Beneficiary', [identity(imsi(n) if value is None else value, kind)])


def directed(app=None, url=None, flow=None):
    names = (('Directed-App-Id', app), ('Directed-URL', url), ('Directed-Flow', flow))
    return ('Directed-Traffic-Info', [(name, value) for name, value in names if value is not None])


class Shop:
    """Products, requests, and what came of them. links: a connection of pgw1 to each node."""

    def __init__(self, site):
        self.site, self.capture, self.wrong = site, Capture(), []
        self.links = [node.client('pgw1', timeout=20) for node in site.nodes]
        self.numbers = iter(range(1, 1 << 30))

    # the catalogue

    def product(self, code, price='30.00', audience='everyone', **more):
        columns = {'code': f"'{code}'", 'price': str(int(float(price) * MILLION)), 'currency': '156', 'quota': '104857600',
                   'audience_id': f"(SELECT audience_id FROM gyro.audience WHERE name = '{audience}')" if audience else 'NULL',
                   **{name: str(value) for name, value in more.items()}}
        self.site.pg.query(f"INSERT INTO gyro.product ({', '.join(columns)}) VALUES ({', '.join(columns.values())})")
        return code

    def audience(self, name, kind=1, members=()):
        self.site.pg.query(f"INSERT INTO gyro.audience (name, kind) VALUES ('{name}', {kind})")
        for member in members:
            self.site.pg.query(f"INSERT INTO gyro.audience_member SELECT audience_id, {member} FROM gyro.audience "
                               f"WHERE name = '{name}'")

    def app(self, name, groups, urls=(), flows=()):
        app = self.site.pg.value(f"INSERT INTO gyro.app (name) VALUES ('{name}') RETURNING app_id")
        for group in groups:
            self.site.pg.query(f'INSERT INTO gyro.app_target (app_id, rating_group) VALUES ({app}, {group})')
        for url in urls:
            self.site.pg.query(f"INSERT INTO gyro.app_url VALUES ({app}, '{url}')")
        for network in flows:
            self.site.pg.query(f"INSERT INTO gyro.app_flow (app_id, network) VALUES ({app}, '{network}')")

    # requests

    def ccr(self, operation, kind=EVENT, number=0, session=None, who=1, action=0, units=None, more=(), flags=P, link=0, omit=(),
            context=CONTEXT, end_to_end=None):
        """Bytes of a request. who: number of the requester, None: no identity. operation None: no Card-Operation."""
        gateway = self.links[link]
        own = [('Card-Operation', OPERATION.get(operation, operation))] if operation is not None else []
        event = [('Requested-Action', action)] if kind == EVENT and action is not None else []
        used = [('Used-Service-Unit', [('CC-Service-Specific-Units', units)])] if units is not None else []
        return gateway.ccr(session or gateway.session(), kind, number, (), who=None if who is None else imsi(who),
                           context=context, more=[*event, *used, *own, *more], flags=flags, omit=omit, end_to_end=end_to_end)

    def send(self, raw, link=0):
        self.capture.add(raw, True)
        self.links[link].send(raw)

    def answer(self, raw, link=0, timeout=None):
        """The answer to these bytes, looked at."""
        answer = self.links[link].receive_answer(hop(raw), timeout)
        self.capture.add(answer.raw, False)
        self.wrong += [f'{answer!r}: {problem}' for problem in conform(raw, answer, self.site.nodes[link])]
        return answer

    def ask(self, operation, link=0, **how):
        raw = self.ccr(operation, link=link, **how)
        self.send(raw, link)
        return self.answer(raw, link)

    def ask_raw(self, raw, link=0):
        self.send(raw, link)
        return self.answer(raw, link)

    def purchase_id(self):
        return f'p-{next(self.numbers)}'

    def buy(self, product, who=1, purchase=None, **how):
        """By one CCR-E; the answer."""
        more = [('Product-Id', product), ('Purchase-Id', purchase or self.purchase_id()), *how.pop('more', ())]
        return self.ask('PURCHASE', who=who, more=more, **how)

    def card(self, product, who=1):
        """Card-Id of one just bought."""
        answer = self.buy(product, who)
        if answer.result != 2001:
            raise Failed(f'{product} cannot be bought: {answer!r}')
        return answer['Card-Id']

    # what the database says

    def purchase_state(self, purchase):
        rows = self.site.pg.query(f"SELECT state FROM gyro.purchase_state WHERE purchase_id = '{purchase}'")
        return rows[0][0] if rows else None

    def card_state(self, card):
        return self.site.pg.value(f"SELECT state FROM gyro.card_state WHERE code = '{card}'")

    def cards_of(self, purchase):
        return int(self.site.pg.value(f"SELECT count(*) FROM gyro.card WHERE purchase_id = '{purchase}'"))

    def stock(self, product):
        return int(self.site.pg.value(f"SELECT stock FROM gyro.product WHERE code = '{product}'"))

    def debits(self, account):
        """(records, sum of their debits) of card operations."""
        row = self.site.pg.query('SELECT count(*), coalesce(sum(debit), 0) FROM gyro.record '
                                 f'WHERE account_id = {account} AND charges[1][13] = 192')[0]
        return int(row[0]), int(row[1])

    # at the end

    def decoded(self, tshark, folder):
        """(tshark's text of all that was said here, what it finds wrong with answers)."""
        path = folder / 'cards.pcap'
        self.capture.write(path)
        os.chmod(path, 0o644)
        return (tshark.run('-2', '-r', path, '-V', '-O', 'diameter', '-Y', 'diameter').stdout,
                tshark.run('-2', '-r', path, '-Y', f'diameter.flags.request == 0 && ({SUSPECT})').stdout)


def content(answer):
    """What of an answer must be the same in a copy's: all but header, and who said it."""
    return [a.raw for a in answer.avps if a.name not in ('Proxy-Info', 'Origin-Host')]


def failed(answer):
    """Whole bytes of the AVPs in Failed-AVP."""
    group = next((a for a in answer.avps if a.name == 'Failed-AVP'), None)
    return [a.raw for a in group.avps] if group else []


def avp(name, value):
    """Bytes of an AVP without padding, as Failed-AVP tells them."""
    raw = TABLE.avp(name, value)
    return raw[:int.from_bytes(raw[5:8], 'big')]


def money(answer):
    """(micro-units granted, currency), None if nothing is."""
    value = answer['Granted-Service-Unit/CC-Money/Unit-Value/Value-Digits']
    exponent = answer['Granted-Service-Unit/CC-Money/Unit-Value/Exponent'] or 0
    if value is None:
        return None
    return value * 10 ** (exponent + 6), answer['Granted-Service-Unit/CC-Money/Currency-Code']


def cost(answer):
    value = answer['Cost-Information/Unit-Value/Value-Digits']
    return None if value is None else value * 10 ** ((answer['Cost-Information/Unit-Value/Exponent'] or 0) + 6)


def wares(shop):
    """What is on sale: accounts are in currency 156, subscribers 1 and 2 are named by the list."""
    shop.audience('everyone')
    shop.audience('two', 2, (1, 2))
    shop.app('video', (20,), ('video.spec.test', 'cdn.spec.test/video'), ('192.0.2.0/24',))
    shop.app('live', (101, 102), ('live.video.spec.test', 'cdn.spec.test/video/live', 'both.spec.test'), ('192.0.2.128/25',))
    shop.app('other', (103,), ('both.spec.test',))
    shop.app('bare', (), ('bare.spec.test',))
    shop.product('general')
    shop.product('cheap', '1.00')
    shop.product('free', '0')
    shop.product('rare', '1.00', stock=5)
    shop.product('late', '1.00', sale_from="now() + interval '1 day'")
    shop.product('past', '1.00', sale_until="now() - interval '1 day'")
    shop.product('shut', '1.00', on_sale='false')
    shop.product('foreign', '1.00', currency=978)
    shop.product('once', '1.00', per_buyer=1)
    shop.product('gone', '1.00', stock=0)
    shop.product('listed', '1.00', audience='two')
    shop.product('dear', '29.99')
    shop.product('optional', '0', audience='two', directed=1)
    shop.product('required', '0', directed=2)
    shop.product('exclusive', '0', audience=None, directed=2, app_id="(SELECT app_id FROM gyro.app WHERE name = 'live')")
    shop.product('pool', '0', max_bindings=2, directed=1)
    shop.product('talk', '0', unit=2, quota=3600, settle=2, usage_price=10_000)
    shop.product('sponsor', '0', settle=2, usage_price=100_000, usage_block=1 << 20)


def order(product, purchase, *more):
    return [('Product-Id', product), ('Purchase-Id', purchase), *more]


def held(shop, product, who=1, **how):
    """(Purchase-Id, Session-Id) of a purchase that waits for its confirmation."""
    p, session = shop.purchase_id(), shop.links[0].session()
    answer = shop.ask('PURCHASE', kind=INITIAL, session=session, who=who, more=order(product, p), **how)
    if answer.result != 2001:
        raise AssertionError(f'{product} is not held: {answer!r}')
    return p, session


def again(raw, gateway, flags):
    """The same request with another Hop-by-Hop id."""
    return bytes([*raw[:4], 0x80 | flags, *raw[5:12]]) + (next(gateway.numbers) & 0xffffffff).to_bytes(4, 'big') + raw[16:]


def bound(answer):
    return answer.result, answer['User-Class'], [a.value for a in answer.all('Rating-Group')], answer['Use-Priority']


def insist(shop, raw):
    """The answer to what was sent before; a gateway resends what is not answered in time."""
    for _ in range(5):
        try:
            return shop.answer(raw, timeout=5)
        except Silent:
            raw = again(raw, shop.links[0], P | T)
            shop.send(raw)
    return shop.answer(raw)


def looked_at(tap, shop):
    """What every program ends with: the form of all answers, both auditors, sanitizers."""
    tap.equal(shop.wrong[:5], [], 'every answer is what an answer must be')
    found, _ = audit(shop.site.pg.conninfo())
    tap.equal(found.lines[:5], [], 'the independent auditor finds nothing')
    shop.site.check(tap)
