"""What the tests of card operations share: products on sale, requests by name, what the database says of it.

Starts nothing by itself. Every answer that comes through Shop.ask is held against conform(), and kept for tshark.
"""
import os
import sys

from family import P, ROOT, TABLE, Message, conform, hop

sys.path[:0] = [str(ROOT / 'tests/unit/dict'), str(ROOT / 'tests/lib')]
from diameter import EVENT, Capture, identity
from node import Failed

__all__ = ['CONTEXT', 'Failed', 'MILLION', 'OPERATION', 'Shop', 'SUSPECT', 'beneficiary', 'directed', 'imsi']

MILLION = 1_000_000
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
        """(tshark's text, what it finds wrong) of all that was said here."""
        path = folder / 'cards.pcap'
        self.capture.write(path)
        os.chmod(path, 0o644)
        return (tshark.run('-2', '-r', path, '-V', '-O', 'diameter', '-Y', 'diameter').stdout,
                tshark.run('-2', '-r', path, '-Y', SUSPECT).stdout)


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


__all__ += ['Message', 'avp', 'content', 'failed']
