#!/usr/bin/python3
"""Card operations over Diameter on two nodes: every step, state and refusal of spec/cards.md (Z-2 to Z-12).

cards.py [--seed N] [--long]. --long: 10^4 rounds of a late confirmation against the sweeper.
"""
import pathlib
import random
import signal
import tempfile
import threading
import time

from family import INITIAL, P, T, TERMINATION, UPDATE, Hold, Silent, Site, Tap, arguments, hop, service, until
from card_shop import MILLION, Shop, avp, beneficiary, content, directed, failed, imsi
from tshark import Tshark

PRICE = 30 * MILLION
# What every CCA of a session begins with.
HEAD = ('Session-Id', 'Result-Code', 'Origin-Host', 'Origin-Realm', 'Auth-Application-Id', 'CC-Request-Type', 'CC-Request-Number',
        'Origin-State-Id', 'CC-Session-Failover', 'Credit-Control-Failure-Handling')


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
    shop.product('sponsor', '0', settle=2, usage_price=100_000, usage_block=1 << 20)


def order(product, purchase, *more):
    return [('Product-Id', product), ('Purchase-Id', purchase), *more]


def by_session(tap, shop):
    """Z-2 to Z-6: ECUR, the card with the CCR-U or with the CCR-T; then all in one CCR-E."""
    site = shop.site
    p, session = shop.purchase_id(), shop.links[0].session()
    answer = shop.ask('PURCHASE', kind=INITIAL, session=session, more=order('general', p))
    tap.equal((answer.result, money(answer), answer['Purchase-Id'], answer['Card-Id']), (2001, (PRICE, 156), p, None),
              'Z-4 CCR-I: the price is granted as money, no card yet')
    tap.ok(0 < answer['Validity-Time'] <= 300, 'Z-4 for the hold time', answer['Validity-Time'])
    tap.equal(set(answer.names()) - set(HEAD), {'Granted-Service-Unit', 'Validity-Time', 'Purchase-Id'}, 'Z-4 and nothing else is said')
    tap.equal((site.money(1), shop.purchase_state(p)), ((100 * MILLION, PRICE), 'HELD'), 'Z-4 and reserved')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=1, session=session, units=1, who=None)
    card = answer['Card-Id']
    tap.equal((answer.result, cost(answer), answer['Purchase-Id'], money(answer)), (2001, PRICE, p, None), 'Z-6 CCR-T: the price is debited')
    tap.equal((site.money(1), shop.purchase_state(p), shop.cards_of(p), shop.card_state(card), shop.debits(1)),
              ((70 * MILLION, 0), 'DONE', 1, 'ISSUED', (1, PRICE)), 'Z-6 one card ISSUED, one debit')

    p, session = shop.purchase_id(), shop.links[0].session()
    shop.ask('PURCHASE', kind=INITIAL, session=session, more=order('cheap', p))
    answer = shop.ask('PURCHASE', kind=UPDATE, number=1, session=session, units=0, link=1)
    tap.equal((answer.result, answer['Card-Id'], shop.purchase_state(p)), (2001, None, 'HELD'), 'a CCR-U with nothing used confirms nothing')
    answer = shop.ask('PURCHASE', kind=UPDATE, number=2, session=session, units=1, link=1)
    card = answer['Card-Id']
    tap.equal((answer.result, money(answer), shop.purchase_state(p), shop.card_state(card)), (2001, (MILLION, 156), 'CONFIRMED', 'ISSUED'),
              'Z-5 CCR-U at the other node: the card is there')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=3, session=session, units=0, who=None)
    tap.equal((answer.result, answer['Card-Id'], cost(answer), shop.purchase_state(p)), (2001, card, MILLION, 'DONE'), 'Z-6 and CCR-T debits it')

    answer = shop.buy('general')
    tap.equal((answer.result, cost(answer), money(answer), shop.card_state(answer['Card-Id'])), (2001, PRICE, None, 'ISSUED'), 'Z-2 one CCR-E does all four')
    tap.equal((site.money(1), shop.debits(1)), ((39 * MILLION, 0), (3, 2 * PRICE + MILLION)), 'and the ledger has each debit once')


def refusals_of_form(tap, shop):
    """What is wrong with a request before anybody looks at its purchase."""
    site, p = shop.site, shop.purchase_id()
    before = site.money(1)
    good = order('general', p)
    ask = shop.ask
    cases = [
        ('no Card-Operation', ask(None, more=good), 5005, avp('Card-Operation', b'\0\0\0\0')),
        ('no own AVP at all', ask(None), 5005, avp('Card-Operation', b'\0\0\0\0')),
        ('Card-Operation 6', ask(6, more=good), 5004, avp('Card-Operation', 6)),
        ('Card-Operation twice', ask('PURCHASE', more=[*good, ('Card-Operation', 1)]), 5009, avp('Card-Operation', 1)),
        ('Card-Operation of two octets', ask(None, more=[*good, ('Card-Operation', b'\0\0')]), 5014, avp('Card-Operation', b'\0\0')),
        ('Use-Priority of eight octets', ask('PURCHASE', more=[*good, ('Use-Priority', bytes(8))]), 5014, avp('Use-Priority', bytes(8))),
        ('User-Class 2', ask('PURCHASE', more=[*good, ('User-Class', 2)]), 5004, avp('User-Class', 2)),
        ('an empty Product-Id', ask('PURCHASE', more=order('', p)), 5004, avp('Product-Id', '')),
        ('a NUL in Purchase-Id', ask('PURCHASE', more=order('general', 'a\0b')), 5004, avp('Purchase-Id', 'a\0b')),
        ('Purchase-Id that is no UTF-8', ask('PURCHASE', more=order('general', b'\xff')), 5004, avp('Purchase-Id', b'\xff')),
        ('Purchase-Id of 256 octets', ask('PURCHASE', more=order('general', 'p' * 256)), 5004, avp('Purchase-Id', 'p' * 256)),
        ('a Beneficiary that names nobody', ask('PURCHASE', more=[*good, ('Beneficiary', [])]), 5005,
         avp('Subscription-Id', b'')),
        ('a Beneficiary of an unknown type', ask('PURCHASE', more=[*good, beneficiary(value='1', kind=9)]), 5004,
         avp(*beneficiary(value='1', kind=9))),
        ('no Product-Id', ask('PURCHASE', more=[('Purchase-Id', p)]), 5005, avp('Product-Id', b'')),
        ('no Purchase-Id', ask('PURCHASE', more=[('Product-Id', 'general')]), 5005, avp('Purchase-Id', b'')),
        ('no Requested-Action', ask('PURCHASE', more=good, action=None), 5005, avp('Requested-Action', 0)),
        ('an unknown product', ask('PURCHASE', more=order('nothing', p)), 5004, avp('Product-Id', 'nothing')),
        ('BIND by a CCR-I', ask('BIND', kind=INITIAL), 5004, avp('CC-Request-Type', 1)),
        ('BIND that only asks', ask('BIND', action=2, more=[('Card-Id', 'c1')]), 5004, avp('Requested-Action', 2)),
        ('STATISTICS that only asks', ask('STATISTICS', action=3), 5004, avp('Requested-Action', 3)),
        ('no Card-Id', ask('BIND'), 5005, avp('Card-Id', b'')),
        ('an unknown card', ask('BIND', more=[('Card-Id', 'c0')]), 5004, avp('Card-Id', 'c0')),
    ]
    for name, answer, code, whole in cases:
        tap.equal((answer.result, failed(answer)), (code, [whole]), f'{name}: {code}, and Failed-AVP shows it')
    tap.equal((site.money(1), shop.purchase_state(p)), (before, None), 'none of these left anything')

    gateway = shop.links[0]
    own = [('Card-Operation', b'\0\0'), ('Card-Operation', 77), ('Card-Id', b'\xff\0'), beneficiary(value='', kind=9)]
    session = gateway.session()
    answer = gateway.charge(session, INITIAL, 0, [service(10)], more=own)
    tap.equal((answer.result, answer.services[0]['Result-Code']), (2001, 2001), 'own AVPs, even broken ones, are ignored in a session of usage')
    gateway.charge(session, TERMINATION, 1, [])
    answer = ask('STATISTICS', context='gy.cards@gyro')
    tap.equal(answer.result, 2001, 'a Service-Context-Id that ends in a dot and the name is the cards\', too')
    answer = gateway.charge(gateway.session(), 4, 0, (), context='xcards@gyro', more=[('Requested-Action', 0), ('Card-Operation', 3)])
    tap.equal(answer.result, 5031, 'any other is not charged')


def refusals_of_purchase(tap, shop):
    """Z-3: pre-authentication, each by CCR-I and by CCR-E; nothing is reserved, stock stays."""
    site = shop.site
    site.pg.query("SELECT gyro.topup(2, 29000000, 'to 29.30')")
    assert shop.buy('once', 1001).result == 2001
    cases = [
        ('an unknown buyer', 'cheap', '460009999999999', (), 5030, []),
        ('an unknown beneficiary', 'cheap', 1000, [beneficiary(value='460009999999999')], 5030, [avp(*beneficiary(value='460009999999999'))]),
        ('a barred buyer', 'cheap', 4, (), 4010, []),
        ('a barred account', 'cheap', 7, (), 4010, []),
        ('not on sale', 'shut', 1000, (), 4010, []),
        ('not on sale yet', 'late', 1000, (), 4010, []),
        ('not on sale any more', 'past', 1000, (), 4010, []),
        ('another currency', 'foreign', 1000, (), 4010, []),
        ('more than one may buy', 'once', 1001, (), 4010, []),
        ('sold out', 'gone', 1000, (), 4010, []),
        ('not for this buyer', 'listed', 1000, (), 4010, []),
        ('not for this beneficiary', 'listed', 1, [beneficiary(1000)], 4010, []),
        ('29.30 for 29.99', 'dear', 2, (), 4012, []),
        ('nothing for 1.00 of a stock of 5', 'rare', 3, (), 4012, []),
    ]
    for name, product, who, more, code, whole in cases:
        account = who if isinstance(who, int) else 1000
        before, ledger = site.money(account), shop.debits(account)
        p, q = shop.purchase_id(), shop.purchase_id()
        by_session = shop.ask('PURCHASE', kind=INITIAL, who=who, more=order(product, p, *more))
        by_event = shop.ask('PURCHASE', who=who, more=order(product, q, *more), link=1)
        tap.equal([(a.result, failed(a), a['Error-Message'] is not None) for a in (by_session, by_event)], [(code, whole, True)] * 2,
                  f'Z-3 {name}: {code}')
        tap.equal((site.money(account), shop.debits(account), shop.cards_of(p) + shop.cards_of(q)), (before, ledger, 0),
                  f'Z-3 {name}: nothing is reserved or debited')
        state = 'REFUSED' if code in (4010, 4012) else None
        tap.equal((shop.purchase_state(p), shop.purchase_state(q)), (state, state), f'Z-3 {name}: {state}')
    tap.equal(shop.stock('rare'), 5, 'Z-3 refused for want of money: the stock is what it was')
    p = shop.purchase_id()
    tap.equal(shop.buy('dear', 2, p).result, 4012, '0.69 short')
    site.pg.query("SELECT gyro.topup(2, 690000, 'the rest')")
    tap.equal((shop.buy('dear', 2, p).result, site.money(2), shop.purchase_state(p)), (2001, (0, 0), 'DONE'),
              'a refused Purchase-Id may be tried again, and spends the last cent')
    answer = shop.buy('cheap', 1002, more=[beneficiary(value='+8613800000001', kind=0)])
    owner = site.pg.query(f"SELECT owner, beneficiary FROM gyro.card WHERE code = '{answer['Card-Id']}'")
    tap.equal((answer.result, owner), (2001, [['1002', '1']]), 'a card for somebody else, named by number with a +')


def questions(tap, shop):
    """Dry run and price (Z-3)."""
    site = shop.site
    purchases = site.pg.value('SELECT count(*) FROM gyro.purchase')
    balance = site.money(1000)
    asked = [shop.ask('PURCHASE', who=who, action=2, more=[('Product-Id', product)])
             for who, product in ((1000, 'general'), (3, 'general'), (1000, 'shut'))]
    tap.equal([(a.result, a['Check-Balance-Result']) for a in asked], [(2001, 0), (2001, 1), (4010, None)],
              'CHECK_BALANCE: enough, not enough, not on sale')
    answer = shop.ask('PURCHASE', who=3, action=3, more=[('Product-Id', 'general')])
    tap.equal((answer.result, cost(answer), answer['Cost-Information/Currency-Code']), (2001, PRICE, 156), 'PRICE_ENQUIRY: the price')
    tap.equal((site.pg.value('SELECT count(*) FROM gyro.purchase'), site.money(1000)), (purchases, balance), 'neither leaves a trace')


def held(shop, product, who=1, **how):
    """(Purchase-Id, Session-Id) of a purchase that waits for its confirmation."""
    p, session = shop.purchase_id(), shop.links[0].session()
    answer = shop.ask('PURCHASE', kind=INITIAL, session=session, who=who, more=order(product, p), **how)
    if answer.result != 2001:
        raise AssertionError(f'{product} is not held: {answer!r}')
    return p, session


def ends(tap, shop):
    """CANCELLED, REFUNDED, and what can't be."""
    site = shop.site
    balance, reserved = site.money(1000)
    stock = shop.stock('rare')
    p, session = held(shop, 'rare', 1000)
    tap.equal((shop.stock('rare'), site.money(1000)), (stock - 1, (balance, reserved + MILLION)), 'held: one less in stock')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=1, session=session, who=1000, units=0)
    tap.equal((answer.result, shop.purchase_state(p), shop.stock('rare'), site.money(1000)), (2001, 'CANCELLED', stock, (balance, reserved)),
              'CCR-T with nothing used: CANCELLED, all given back')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=2, session=session, who=1000, units=1)
    tap.equal((answer.result, site.money(1000)), (5002, (balance, reserved)), 'a confirmation after that: 5002, not charged')
    tap.equal(shop.buy('rare', 1000, p).result, 4010, 'and its Purchase-Id is over')

    p, session = held(shop, 'rare', 1000)
    cancel = [('Purchase-Id', p)]
    tap.equal((shop.ask('CANCEL', who=1000, more=cancel, link=1).result, shop.purchase_state(p), shop.stock('rare'), site.money(1000)),
              (2001, 'CANCELLED', stock, (balance, reserved)), 'CANCEL: the same')
    tap.equal(shop.ask('CANCEL', who=1000, more=cancel).result, 2001, 'CANCEL again: the same answer')
    answer = shop.ask('CANCEL', who=1001, more=cancel)
    tap.equal(answer.result, 5012, 'CANCEL by somebody else: 5012')
    answer = shop.ask('CANCEL', who=1000, more=[('Purchase-Id', 'none')])
    tap.equal((answer.result, failed(answer)), (5004, [avp('Purchase-Id', 'none')]), 'CANCEL of nothing: 5004')
    tap.equal(shop.ask('CANCEL', who=1000).result, 5005, 'CANCEL without Purchase-Id: 5005')

    p = shop.purchase_id()
    card = shop.buy('rare', 1000, p)['Card-Id']
    again = shop.buy('rare', 1000, p)
    tap.equal((again.result, again['Card-Id'], site.money(1000)[0]), (2001, card, balance - MILLION), 'the same Purchase-Id buys once')
    tap.equal(shop.ask('CANCEL', who=1000, more=[('Purchase-Id', p)]).result, 4010, 'CANCEL of what is paid: 4010')
    q, _ = held(shop, 'rare', 1000)
    tap.equal(shop.ask('PURCHASE', who=1000, action=1, more=[('Purchase-Id', q)]).result, 4010, 'a refund of what is not paid: 4010')
    shop.ask('CANCEL', who=1000, more=[('Purchase-Id', q)])
    tap.equal(shop.ask('PURCHASE', who=1001, action=1, more=[('Purchase-Id', p)]).result, 5012, "a refund of somebody else's: 5012")
    records = shop.debits(1000)
    first = shop.ask('PURCHASE', who=1000, action=1, more=[('Purchase-Id', p)])
    tap.equal((first.result, cost(first), shop.purchase_state(p), shop.stock('rare'), site.money(1000)),
              (2001, MILLION, 'REFUNDED', stock, (balance, reserved)), 'a refund: the money is back, and the stock')
    tap.equal((shop.debits(1000), shop.card_state(card)), ((records[0] + 1, records[1] - MILLION), 'REVOKED'), 'by a new, opposite entry')
    second = shop.ask('PURCHASE', who=1000, action=1, more=[('Purchase-Id', p)], link=1)
    tap.equal((second.result, cost(second), site.money(1000)), (2001, MILLION, (balance, reserved)), 'asked twice: refunded once')
    tap.equal(shop.ask('BIND', who=1000, more=[('Card-Id', card)]).result, 4010, 'and the card binds nobody')


def somebody_else(tap, shop):
    """5012: a purchase of somebody else, or with other content; and requests of no session."""
    site = shop.site
    p, session = held(shop, 'cheap', 1000)
    before = site.money(1000)
    requests = [
        ('confirmed by somebody else', dict(who=1001, units=1)),
        ('with another product', dict(who=1000, units=1, more=[('Product-Id', 'free')])),
        ('with another Purchase-Id', dict(who=1000, units=1, more=[('Purchase-Id', 'another')])),
    ]
    for number, (name, how) in enumerate(requests, 1):
        answer = shop.ask('PURCHASE', kind=TERMINATION, number=number, session=session, link=1, **how)
        tap.equal((answer.result, shop.purchase_state(p), site.money(1000)), (5012, 'HELD', before), f'{name}: 5012, nothing changes')
    tap.equal(shop.buy('cheap', 1001, p).result, 5012, 'a Purchase-Id of somebody else: 5012')
    tap.equal(shop.buy('free', 1000, p).result, 5012, 'or of another product')
    tap.equal(shop.ask('PURCHASE', who=1000, more=order('cheap', p, beneficiary(1001))).result, 5012, 'or for somebody else')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=4, session=session, who=1000, units=2)
    tap.equal((answer.result, failed(answer)), (5004, [avp('Used-Service-Unit', [('CC-Service-Specific-Units', 2)])]), 'two units confirmed: 5004')
    answer = shop.ask('PURCHASE', kind=UPDATE, number=0, session=session, who=1000, units=1)
    tap.equal(answer.result, 2001, 'CCR-U with the number of the CCR-I: another request')
    answer = shop.ask('PURCHASE', kind=UPDATE, number=0, session=session, who=1000, units=0)
    tap.equal((answer.result, failed(answer)), (5004, [avp('CC-Request-Number', 0)]), 'a used number with other content: 5004')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=5, session=session, who=1000, units=1)
    tap.equal((answer.result, shop.purchase_state(p)), (2001, 'DONE'), 'and the buyer himself confirms it')
    for kind, who in ((UPDATE, 1000), (TERMINATION, 1000), (UPDATE, None), (TERMINATION, None)):
        answer = shop.ask('PURCHASE', kind=kind, number=1, who=who, units=1)
        tap.equal(answer.result, 5002, f'type {kind} of a session never seen, {"with" if who else "without"} identity: 5002')


def again(raw, gateway, flags):
    """The same request with another Hop-by-Hop id."""
    return bytes([*raw[:4], 0x80 | flags, *raw[5:12]]) + (next(gateway.numbers) & 0xffffffff).to_bytes(4, 'big') + raw[16:]


def copies(tap, shop):
    """CCR-T and CCR-E lost and resent, with and without T, to the same node and to the other."""
    site = shop.site
    for name, product in (('CCR-T', 'cheap'), ('CCR-E', 'rare')):
        for link in (0, 1):
            for flags in (P, P | T):
                balance, _ = site.money(1000)
                if name == 'CCR-T':
                    p, session = held(shop, product, 1000)
                    raw = shop.ccr('PURCHASE', kind=TERMINATION, number=1, session=session, who=1000, units=1)
                else:
                    p = shop.purchase_id()
                    raw = shop.ccr('PURCHASE', who=1000, more=order(product, p))
                first = shop.ask_raw(raw)
                second = shop.ask_raw(again(raw, shop.links[link], flags), link)
                where = f'{name} resent to {"the other" if link else "the same"} node{" with T" if flags & T else ""}'
                tap.ok(first.result == 2001 and content(first) == content(second), f'{where}: the same answer', (first, second))
                tap.equal((site.money(1000), shop.cards_of(p)), ((balance - MILLION, 0), 1), f'{where}: one card, one debit')
    # Both at once, at both nodes.
    wrong, balance, rounds = [], site.money(1000)[0], 30
    for _ in range(rounds):
        p = shop.purchase_id()
        raw = [shop.ccr('PURCHASE', who=1000, more=order('cheap', p))]
        raw.append(again(raw[0], shop.links[1], P | T))
        for link in (0, 1):
            shop.send(raw[link], link)
        answers = [shop.answer(raw[link], link) for link in (0, 1)]
        if answers[0].result != 2001 or content(answers[0]) != content(answers[1]) or shop.cards_of(p) != 1:
            wrong.append(answers)
    tap.equal((wrong, site.money(1000)), ([], (balance - rounds * MILLION, 0)), f'{rounds} times both at once: equal answers, one debit each')


def insist(shop, raw):
    """The answer to what was sent before; a gateway resends what is not answered in time."""
    for _ in range(5):
        try:
            return shop.answer(raw, timeout=5)
        except Silent:
            raw = again(raw, shop.links[0], P | T)
            shop.send(raw)
    return shop.answer(raw)


def killed(tap, shop):
    """kill -9 between commit and answer: the node stands still while the database commits."""
    site, node = shop.site, shop.site.nodes[0]
    for name in ('CCR-T', 'CCR-E'):
        hit = None
        for _ in range(40):
            balance, reserved = site.money(1000)
            p, session = shop.purchase_id(), shop.links[0].session()
            if name == 'CCR-T':
                p, session = held(shop, 'cheap', 1000)
                raw = shop.ccr('PURCHASE', kind=TERMINATION, number=1, session=session, who=1000, units=1)
            else:
                raw = shop.ccr('PURCHASE', session=session, who=1000, more=order('cheap', p))
            with Hold(site, 1000):
                shop.send(raw)
                time.sleep(0.05)
                node.process.send_signal(signal.SIGSTOP)
            # Its backend was waiting for the row, or it was just about to try again: then this was no hit.
            if until(lambda: shop.purchase_state(p) == 'DONE', 0.5):
                hit = p
                break
            node.process.send_signal(signal.SIGCONT)
            insist(shop, raw)
        tap.ok(hit, f'{name}: committed, and not answered')
        node.kill()
        shop.links[0].close()
        tap.equal((site.money(1000), shop.cards_of(p)), ((balance - MILLION, reserved), 1), f'{name}: killed; the debit is there')
        other = shop.ask_raw(again(raw, shop.links[1], P | T), 1)
        node.start()
        shop.links[0] = node.client('pgw1', timeout=20)
        same = shop.ask_raw(again(raw, shop.links[0], P))
        tap.ok(other.result == 2001 and content(other) == content(same), f'{name}: resent to the other node, and to the same: the kept answer',
               (other, same))
        tap.equal((site.money(1000), shop.cards_of(p)), ((balance - MILLION, reserved), 1), f'{name}: one card, one debit')


def last_one(tap, shop, rounds):
    """Stock 1, two buyers at the same instant on two nodes."""
    site, wrong = shop.site, []
    for n in range(rounds):
        product = shop.product(f'last-{n}', '1.00', stock=1)
        kind = INITIAL if n % 2 else 4
        p = [shop.purchase_id(), shop.purchase_id()]
        raw = [shop.ccr('PURCHASE', kind=kind, who=1010 + link, more=order(product, p[link]), link=link) for link in (0, 1)]
        for link in (0, 1):
            shop.send(raw[link], link)
        codes = sorted(shop.answer(raw[link], link).result for link in (0, 1))
        states = sorted(shop.purchase_state(one) for one in p)
        if codes != [2001, 4010] or states != [['DONE', 'HELD'][n % 2], 'REFUSED'] or shop.stock(product) != 0:
            wrong.append((codes, states, shop.stock(product)))
        for link in (0, 1):
            if n % 2:
                shop.ask('CANCEL', who=1010 + link, more=[('Purchase-Id', p[link])])
    tap.equal(wrong, [], f'{rounds} times a stock of one and two buyers at two nodes: one gets it')
    total = [site.money(1010)[0] + site.money(1011)[0], site.money(1010)[1] + site.money(1011)[1]]
    tap.equal(total, [(2000 - (rounds + 1) // 2) * MILLION, 0], 'and only they paid')


def expiry(tap, shop):
    """No confirmation within the hold time."""
    site = shop.site
    shop.product('brief', '1.00', hold_s=1, stock=3)
    before = site.money(1000)
    p, session = held(shop, 'brief', 1000)
    q, other = held(shop, 'brief', 1000)
    shop.ask('PURCHASE', kind=UPDATE, number=1, session=other, who=1000, units=1)
    tap.ok(until(lambda: shop.purchase_state(p) == 'EXPIRED', 6), 'EXPIRED by the sweeper of a node', shop.purchase_state(p))
    tap.ok(until(lambda: shop.purchase_state(q) == 'DONE', 6), 'what was confirmed is paid instead', shop.purchase_state(q))
    tap.equal((site.money(1000), shop.stock('brief')), ((before[0] - MILLION, before[1]), 2), 'released, and in stock again')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=1, session=session, who=1000, units=1)
    tap.equal((answer.result, site.money(1000)[0], shop.cards_of(p)), (5002, before[0] - MILLION, 0), 'the late CCR-T: 5002, not charged')
    answer = shop.ask('PURCHASE', kind=TERMINATION, number=2, session=other, who=1000, units=1)
    tap.equal((answer.result, cost(answer), site.money(1000)[0]), (2001, MILLION, before[0] - MILLION), 'the late CCR-T of the confirmed one: paid once')


class Sweeper(threading.Thread):
    """A third sweeper, which never rests."""

    def __init__(self, site):
        super().__init__(daemon=True)
        self.site, self.ended = site, threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            self.site.pg.psql("DO $$ BEGIN FOR n IN 1..200 LOOP PERFORM gyro.purchase_sweep(7); COMMIT; PERFORM pg_sleep(0.001);"
                              " END LOOP; END $$")

    def stop(self):
        self.ended.set()
        self.join()


def late(tap, shop, rng, rounds):
    """The sweeper and CCR-T race: exactly one wins, each time."""
    site, at_once, done = shop.site, 100, 0
    site.people(at_once, first=5000)
    shop.product('race', '1.00', stock=1_000_000)
    outcomes, wrong = {'DONE': 0, 'EXPIRED': 0}, []
    while done < rounds:
        sessions = [(5000 + n, shop.purchase_id(), shop.links[0].session()) for n in range(at_once)]
        raws = [shop.ccr('PURCHASE', kind=INITIAL, session=s, who=who, more=order('race', p)) for who, p, s in sessions]
        for raw in raws:
            shop.links[0].send(raw)
        got = [shop.links[0].receive_answer(hop(raw)).result for raw in raws]
        confirm = [(n % 2, shop.ccr('PURCHASE', kind=TERMINATION, number=1, session=s, who=who, units=1, link=n % 2))
                   for n, (who, p, s) in enumerate(sessions)]
        rng.shuffle(confirm)
        due = float(site.pg.value("WITH due AS (UPDATE gyro.purchase SET hold_until = clock_timestamp() + interval '150 ms' WHERE state = 3"
                                  " RETURNING hold_until) SELECT extract(epoch FROM max(hold_until)) - extract(epoch FROM clock_timestamp())"
                                  " FROM due"))
        begin, sweeper = time.monotonic(), Sweeper(site)
        time.sleep(max(0, due - 0.04))
        for link, raw in confirm:
            shop.links[link].send(raw)
            time.sleep(0.001)
        codes = {raw: shop.links[link].receive_answer(hop(raw)).result for link, raw in confirm}
        sweeper.stop()
        late_by = time.monotonic() - begin
        rows = {p: state for p, state in site.pg.query("SELECT purchase_id, state FROM gyro.purchase_state WHERE purchase_id IN ("
                                                       + ', '.join(f"'{p}'" for _, p, _ in sessions) + ')')}
        if set(got) != {2001} or late_by > 30:
            wrong.append((set(got), late_by))
        for n, (who, p, s) in enumerate(sessions):
            raw = next(r for _, r in confirm if s.encode() in r)
            state, code = rows[p], codes[raw]
            outcomes[state] = outcomes.get(state, 0) + 1
            if (state, code) not in (('DONE', 2001), ('EXPIRED', 5002)):
                wrong.append((state, code))
        done += at_once
    tap.equal(wrong[:5], [], f'{done} confirmations race against three sweepers: 2001 and DONE, or 5002 and EXPIRED')
    tap.ok(outcomes['DONE'] > 0 and outcomes['EXPIRED'] > 0 and sum(outcomes.values()) == done, 'both win some', outcomes)
    row = site.pg.query('SELECT sum(balance), sum(reserved), count(*) FILTER (WHERE gyro.matrix_rows(cards) > 0) FROM gyro.account '
                        'WHERE account_id BETWEEN 5000 AND 5099')[0]
    cards = int(site.pg.value("SELECT count(*) FROM gyro.card JOIN gyro.product USING (product_id) WHERE product.code = 'race'"))
    tap.equal((int(row[0]), int(row[1]), cards, shop.stock('race')),
              ((at_once * 1000 - outcomes['DONE']) * MILLION, 0, outcomes['DONE'], 1_000_000 - outcomes['DONE']),
              'money, cards and stock are conserved')


def bound(answer):
    return answer.result, answer['User-Class'], [a.value for a in answer.all('Rating-Group')], answer['Use-Priority']


def bindings(tap, shop):
    """Z-7 to Z-9, Z-12: user type, targets, priority, and each refusal."""
    site = shop.site
    site.pg.query("SELECT gyro.topup(1, 1000000000, 'for bindings')")
    card = shop.card('general')
    bind = lambda card, who=1, link=0, **how: shop.ask('BIND', who=who, more=[('Card-Id', card), *how.pop('more', ())], link=link, **how)
    answer = bind(card)
    first = answer['Binding-Id']
    tap.equal((bound(answer), answer['Card-Id'], shop.card_state(card)), ((2001, 0, [], 1), card, 'BOUND'),
              'Z-8 named, no directed info: SPECIFIED, general, top priority')
    tap.equal(bind(card, link=1)['Binding-Id'], first, 'the same user again: the same Binding-Id')
    tap.equal(bind(card, more=[beneficiary(2)]).result, 4010, 'another user: 4010')
    tap.equal(bind(card, 1005).result, 4010, 'by somebody who has no right to it: 4010')
    second = bind(shop.card('general'))
    tap.equal(bound(second), (2001, 0, [], 2), 'Z-10 the next one gets the higher priority')
    tap.equal(bind(shop.card('free'), more=[directed('video')]).result, 4010, 'directed info for a product that takes none: 4010')

    one = shop.card('optional')
    tap.equal(bound(bind(one)), (2001, 0, [], 3), 'Z-8 named by the list, no info: general')
    two = shop.card('optional')
    tap.equal(bound(bind(two, more=[directed('video')])), (2001, 0, [20], 1), 'Z-12 named, app given: SPECIFIED, directed, first of its class')
    three = shop.card('required', 1005)
    answer = bind(three, 1005)
    tap.equal((answer.result, failed(answer)), (5005, [avp('Directed-Traffic-Info', b'')]), 'Z-12 directed info required: 5005')
    four = shop.card('optional', 1)
    site.pg.query(f"UPDATE gyro.card SET beneficiary = 1005 WHERE code = '{four}'")
    answer = bind(four, 1005)
    tap.equal((answer.result, failed(answer)), (5005, [avp('Directed-Traffic-Info', b'')]), 'Z-12 not named, no directed info: 5005')

    flow = 'permit out 6 from 192.0.2.200 443 to any'
    wrong = [
        ('an unknown app', [directed('nothing')], 5004, avp('Directed-App-Id', 'nothing')),
        ('the second one unknown', [directed('video'), directed('nothing')], 5004, avp('Directed-App-Id', 'nothing')),
        ('a URL of no app', [directed(url='http://nobody.spec.test/')], 5004, avp('Directed-URL', 'http://nobody.spec.test/')),
        ('a URL of two apps', [directed(url='both.spec.test')], 5004, avp('Directed-URL', 'both.spec.test')),
        ('no URL', [directed(url='::')], 5004, avp('Directed-URL', '::')),
        ('a flow of no app', [directed(flow='permit out ip from 198.51.100.1 to any')], 5004,
         avp('Directed-Flow', 'permit out ip from 198.51.100.1 to any')),
        ('no flow', [directed(flow='deny out ip from any to any')], 5004, avp('Directed-Flow', 'deny out ip from any to any')),
        ('a flow with a Latin-1 letter', [directed(flow=b'permit out ip from 192.0.2.1 to any \xe4')], 5004,
         avp('Directed-Flow', b'permit out ip from 192.0.2.1 to any \xe4')),
        ('an empty Directed-Traffic-Info', [directed('video'), directed()], 5005, avp(*directed())),
        ('an app twice in one', [('Directed-Traffic-Info', [('Directed-App-Id', 'video'), ('Directed-App-Id', 'live')])], 5009,
         avp('Directed-App-Id', 'live')),
        ('seventeen of them', [directed('video')] * 17, 5009, avp(*directed('video'))),
        ('an app without Rating-Group', [directed('bare')], 5004, avp(*directed('bare'))),
    ]
    for name, more, code, whole in wrong:
        answer = bind(four, 1005, more=more)
        tap.equal((answer.result, failed(answer)), (code, [whole]), f'Z-12 {name}: {code}, and Failed-AVP shows it')
    right = [
        ('by App-Id', [directed('video')], [20]),
        ('by a URL below a domain', [directed(url='https://www.video.spec.test/x?y')], [20]),
        ('by the longest domain', [directed(url='http://live.video.spec.test')], [101, 102]),
        ('by the longest path', [directed(url='http://user@CDN.spec.test:8080/video/live/1')], [101, 102]),
        ('by a shorter path', [directed(url='cdn.spec.test/video/1')], [20]),
        ('by the narrowest network', [directed(flow=flow)], [101, 102]),
        ('by a flow towards the server', [directed(flow='permit in ip from any to 192.0.2.3 80-90')], [20]),
        ('by several', [directed('video', 'http://live.video.spec.test'), directed(flow=flow)], [20, 101, 102]),
    ]
    for name, more, groups in right:
        answer = bind(four, 1005, more=more)
        tap.equal(bound(answer)[:3], (2001, 1, groups), f'Z-12 not named, {name}: NON_SPECIFIED, Rating-Groups {groups}')
        shop.ask('UNBIND', who=1005, more=[('Card-Id', four)])

    five = shop.card('exclusive', 1005)
    tap.equal(bind(five, 1005, more=[directed('video')]).result, 4010, 'Z-13 exclusive to another app: 4010')
    tap.equal(bound(bind(five, 1005, more=[directed('live')]))[:3], (2001, 1, [101, 102]), 'Z-13 its own app')

    answer = bind(card, more=[beneficiary(value='460009999999999')])
    tap.equal((answer.result, failed(answer)), (5030, [avp(*beneficiary(value='460009999999999'))]), 'a beneficiary nobody knows: 5030')
    six = shop.card('general', 1006)
    answer = bind(six, 1006, more=[beneficiary(value='+8613800000001', kind=0)])
    tap.equal(bound(answer)[:2], (2001, 0), "the owner binds it to somebody else, by number")
    for state, name in ((3, 'frozen'), (4, 'revoked')):
        bad = shop.card('free', 1006)
        site.pg.query(f"SELECT gyro.card_set_state('{bad}', {state}::smallint)")
        tap.equal(bind(bad, 1006).result, 4010, f'a {name} card: 4010')
    shop.product('moment', '0', validity_s=1)
    bad = shop.card('moment', 1006)
    time.sleep(1.1)
    tap.equal(bind(bad, 1006).result, 4010, 'an expired card: 4010')

    pool = shop.card('pool', 1007)
    codes = [bind(pool, 1007).result, bind(pool, 1008, link=1).result, bind(pool, 1009).result]
    tap.equal(codes, [2001, 2001, 4010], 'a pool of two: each binds himself, the third is refused')


def unbind_and_priority(tap, shop):
    site = shop.site
    card = shop.card('general', 1012)
    of = [('Card-Id', card)]
    tap.equal(shop.ask('UNBIND', who=1012, more=of).result, 4010, 'UNBIND of what was never bound: 4010')
    tap.equal(shop.ask('SET_PRIORITY', who=1012, more=[*of, ('Use-Priority', 5)]).result, 4010, 'SET_PRIORITY of what is not bound: 4010')
    first = shop.ask('BIND', who=1012, more=of)
    answer = shop.ask('SET_PRIORITY', who=1012, more=of)
    tap.equal((answer.result, failed(answer)), (5005, [avp('Use-Priority', 0)]), 'SET_PRIORITY without Use-Priority: 5005')
    tap.equal(shop.ask('SET_PRIORITY', who=1013, more=[*of, ('Use-Priority', 5)]).result, 4010, 'by somebody else: 4010')
    answer = shop.ask('SET_PRIORITY', who=1012, more=[*of, ('Use-Priority', 4294967295)], link=1)
    tap.equal((bound(answer), answer['Binding-Id']), ((2001, 0, [], 4294967295), first['Binding-Id']), 'the highest priority there is')
    tap.equal(bound(shop.ask('SET_PRIORITY', who=1012, more=[*of, ('Use-Priority', 0)]))[3], 0, 'and the lowest')
    tap.equal(shop.ask('UNBIND', who=1013, more=of).result, 4010, 'UNBIND by somebody else: 4010')
    answer = shop.ask('UNBIND', who=1012, more=of)
    tap.equal((answer.result, answer['Binding-Id'], shop.card_state(card)), (2001, first['Binding-Id'], 'ISSUED'), 'UNBIND')
    tap.equal(shop.ask('UNBIND', who=1012, more=of, link=1)['Binding-Id'], first['Binding-Id'], 'again: the same answer')
    answer = shop.ask('BIND', who=1012, more=of)
    tap.ok(answer.result == 2001 and answer['Binding-Id'] != first['Binding-Id'], 'bound again: a new binding', answer)
    rounds, wrong = 15, []
    for _ in range(rounds):
        card = shop.card('free', 1012)
        raw = [shop.ccr('BIND', who=1012, more=[('Card-Id', card), beneficiary(1013 + link)], link=link) for link in (0, 1)]
        for link in (0, 1):
            shop.send(raw[link], link)
        codes = sorted(shop.answer(raw[link], link).result for link in (0, 1))
        rows = site.pg.value(f"SELECT count(*) FROM gyro.card_binding JOIN gyro.card USING (card_id) WHERE code = '{card}'")
        if (codes, rows) != ([2001, 4010], '1'):
            wrong.append((codes, rows))
    tap.equal(wrong, [], f'{rounds} times two binds of one card at once: one wins')


def reauthorised(tap, shop):
    """Z-10: RARs to the sessions that a binding touches, within a second."""
    site = shop.site
    gateway = site.nodes[0].client('pgw2', timeout=20)
    who = 1015
    sessions = {group: gateway.session() for group in (10, 101)}
    for group, session in sessions.items():
        gateway.charge(session, INITIAL, 0, [service(group)], who=imsi(who))
    card, aimed = shop.card('general', who), shop.card('required', who)

    def heard(name, operation, more, wanted):
        begin = time.monotonic()
        answer = shop.ask(operation, who=who, more=more, link=1)
        told = {}
        while len(told) < len(wanted) and time.monotonic() - begin < 3:
            try:
                message = gateway.receive(3)
            except ConnectionError:
                break
            told[message['Session-Id']] = message['Rating-Group']
            gateway.reply(message, 2001)
        took = time.monotonic() - begin
        tap.ok(answer.result == 2001 and told == wanted and took < 1, name, f'{answer.result} {told} instead of {wanted} after {took:.2f} s')
        # A gateway asks anew; until then there would be no second RAR.
        for group, session in sessions.items():
            if session in told:
                gateway.charge(session, UPDATE, next(shop.numbers), [service(group, used=0, reason=7)], who=imsi(who))

    every, only = {s: None for s in sessions.values()}, {sessions[101]: None}
    heard('Z-10 BIND, general: a RAR to each session within a second', 'BIND', [('Card-Id', card)], every)
    heard('Z-10 BIND, directed: a RAR to the session with its Rating-Groups', 'BIND', [('Card-Id', aimed), directed('live')], only)
    heard('Z-10 SET_PRIORITY', 'SET_PRIORITY', [('Card-Id', card), ('Use-Priority', 9)], every)
    heard('Z-10 UNBIND', 'UNBIND', [('Card-Id', card)], every)
    heard('the same UNBIND again: none', 'UNBIND', [('Card-Id', card)], {})
    for group, session in sessions.items():
        gateway.charge(session, TERMINATION, next(shop.numbers), [service(group, rsu=None, used=0)], who=imsi(who))
    gateway.close()


def windows(answer):
    """Of STATISTICS: (card, Rating-Group, octets, micro-units, window), and that the times are in order."""
    found = []
    for s in answer.all('Card-Statistics'):
        amount = s['CC-Money/Unit-Value/Value-Digits'] * 10 ** ((s['CC-Money/Unit-Value/Exponent'] or 0) + 6)
        if s['Start-Time'] > s['Stop-Time']:
            return f'window from {s["Start-Time"]} to {s["Stop-Time"]}'
        found.append((s['Card-Id'], s['Rating-Group'], s['CC-Total-Octets'], amount, s['Window-Id']))
    return found


def statistics(tap, shop):
    """Z-11: windows, each debited once."""
    site, owner = shop.site, 1016
    gateway, mib = shop.links[0], 1 << 20
    card = shop.card('sponsor', owner)
    shop.ask('BIND', who=owner, more=[('Card-Id', card)])
    answer = shop.ask('STATISTICS', who=owner, more=[('Card-Id', card)])
    tap.equal((answer.result, windows(answer)), (2001, []), 'Z-11 no usage: no window')
    session = gateway.session()
    codes = [gateway.charge(session, INITIAL, 0, [service(10), service(101)], who=imsi(owner)).result,
             gateway.charge(session, UPDATE, 1, [service(10, used=3 * mib), service(101, used=2 * mib + 5)], who=imsi(owner)).result]
    tap.equal((codes, site.money(owner)[0]), ([2001, 2001], 1000 * MILLION), 'usage from a card that is settled by windows costs nothing yet')
    begin = site.money(owner)[0]
    first = shop.ask('STATISTICS', who=owner, more=[('Card-Id', card)], link=1)
    got = windows(first)
    amounts = [300_000, (2 * mib + 5) * 100_000 // mib]
    tap.equal([line[:4] for line in got], [(card, 10, 3 * mib, amounts[0]), (card, 101, 2 * mib + 5, amounts[1])],
              'Z-11 usage by Rating-Group, to the octet')
    tap.equal((len({line[4] for line in got}), begin - site.money(owner)[0]), (1, sum(amounts)), 'Z-11 one window, and its sum is debited')
    second = shop.ask('STATISTICS', who=owner, more=[('Card-Id', card)])
    tap.equal((windows(second), begin - site.money(owner)[0]), (got, sum(amounts)), 'Z-11 asked twice: the same Window-Id, debited once')
    gateway.charge(session, TERMINATION, 2, [service(10, rsu=None, used=mib), service(101, rsu=None, used=0)], who=imsi(owner))
    third = windows(shop.ask('STATISTICS', who=owner))
    tap.equal([line[:4] for line in third], [(card, 10, mib, 100_000)], 'Z-11 usage after the close is in the next window; without Card-Id all cards')
    tap.ok(third and third[0][4] != got[0][4], 'Z-11 which has a number of its own', third)
    tap.equal(begin - site.money(owner)[0], sum(amounts) + 100_000, 'Z-11 and is debited, too')
    tap.equal(shop.ask('STATISTICS', who=1017, more=[('Card-Id', card)]).result, 4010, 'somebody else\'s card: 4010')
    answer = shop.ask('STATISTICS', who=1018)
    tap.equal((answer.result, windows(answer)), (2001, []), 'somebody without cards: nothing')


SAID = ('Card-Operation: PURCHASE (0)', 'Card-Operation: BIND (1)', 'Card-Operation: UNBIND (2)', 'Card-Operation: STATISTICS (3)',
        'Card-Operation: SET_PRIORITY (4)', 'Card-Operation: CANCEL (5)', 'Product-Id: general', 'Purchase-Id: p-1', 'User-Class: SPECIFIED (0)',
        'User-Class: NON_SPECIFIED (1)', 'Directed-App-Id: video', 'Directed-URL: cdn.spec.test/video/1', 'Use-Priority: 4294967295',
        'Directed-Flow: permit in ip from any to 192.0.2.3 80-90', 'Window-Id: ', 'Binding-Id: ', 'Card-Id: c1', 'vnd=Gyro')


def decoded(tap, shop, folder):
    (folder / 'tshark').mkdir()
    folder.chmod(0o755)
    text, suspect = shop.decoded(Tshark(folder / 'tshark'), folder)
    tap.equal([words for words in SAID if words not in text], [], 'tshark shows the own AVPs by name')
    return suspect


def main():
    args, tap = arguments(__doc__), Tap()
    print(f'# seed {args.seed}', flush=True)
    with Site(nodes=2, settings={'queue_age_ms': 3000}) as site, tempfile.TemporaryDirectory(prefix='gyro-cards-') as folder:
        folder = pathlib.Path(folder)
        site.people(20)
        shop = Shop(site)
        wares(shop)
        rounds = 10_000 if args.long else 200
        by_session(tap, shop)
        refusals_of_form(tap, shop)
        refusals_of_purchase(tap, shop)
        questions(tap, shop)
        ends(tap, shop)
        somebody_else(tap, shop)
        copies(tap, shop)
        last_one(tap, shop, 100 if args.long else 20)
        expiry(tap, shop)
        bindings(tap, shop)
        unbind_and_priority(tap, shop)
        reauthorised(tap, shop)
        statistics(tap, shop)
        decoded(tap, shop, folder)
        killed(tap, shop)
        late(tap, shop, random.Random(args.seed), rounds)
        tap.equal(shop.wrong[:5], [], 'every answer is what an answer must be')
        site.check(tap)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
