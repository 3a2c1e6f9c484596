#!/usr/bin/python3
"""Purchases over Diameter on two nodes: every step, state and refusal of spec/cards.md (Z-2 to Z-6).

cards.py [--seed N]
"""
import tempfile

from family import INITIAL, TERMINATION, UPDATE, Site, Tap, arguments, service, until
from card_shop import MILLION, PRICE, Shop, avp, beneficiary, cost, failed, held, looked_at, money, order, wares
from diameter import Capture

# What every CCA of a session begins with.
HEAD = ('Session-Id', 'Result-Code', 'Origin-Host', 'Origin-Realm', 'Auth-Application-Id', 'CC-Request-Type', 'CC-Request-Number',
        'Origin-State-Id', 'CC-Session-Failover', 'Credit-Control-Failure-Handling')


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

    p, session = shop.purchase_id(), shop.links[0].session()
    raws = [shop.ccr('PURCHASE', kind=INITIAL, session=session, more=order('free', p)),
            shop.ccr('PURCHASE', kind=UPDATE, number=1, session=session, units=1),
            shop.ccr('PURCHASE', kind=TERMINATION, number=2, session=session, units=1)]
    shop.send(b''.join(raws))
    tap.equal([shop.answer(raw).result for raw in raws], [2001] * 3, 'three requests at once keep their order')
    tap.equal((shop.purchase_state(p), shop.cards_of(p)), ('DONE', 1), 'and buy one card')

    answer = shop.buy('general')
    tap.equal((answer.result, cost(answer), money(answer), shop.card_state(answer['Card-Id'])), (2001, PRICE, None, 'ISSUED'), 'Z-2 one CCR-E does all four')
    tap.equal((site.money(1), shop.debits(1)), ((39 * MILLION, 0), (4, 2 * PRICE + MILLION)), 'and the ledger has each debit once')


def refusals_of_form(tap, shop):
    """What is wrong with a request before anybody looks at its purchase."""
    site, p = shop.site, shop.purchase_id()
    kept, shop.capture = shop.capture, Capture() # tshark is to look at good bytes only
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
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
        file.write('service_contexts: [{ suffix: shop.spec.test, cards: true }, { suffix: 32251@3gpp.org, default_rating_group: 10 }]\n')
        file.flush()
        site.gyroctl('apply', '--prune', '-f', file.name)
    tap.ok(until(lambda: ask('STATISTICS', context='shop.spec.test').result == 2001, 5, 0.2), 'unless the catalogue says that it is for cards')
    tap.equal(ask('STATISTICS').result, 2001, 'and the first name is still good')
    shop.capture = kept


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


def many(tap, shop):
    """An account that holds many cards is served like any other: what an operation costs may grow with them, but not with their square."""
    site, held_already = shop.site, 400
    site.pg.query(f"""DO $$ BEGIN FOR i IN 1..{held_already} LOOP PERFORM gyro.card_request(gen_random_uuid(), 4::smallint, 0, 0::smallint,
                      0::smallint, 1018, 'free', 'many-' || i, '', 0::smallint, '', -1, -1, '{{}}', '{{}}', '{{}}', 0, 0, i, false);
                      END LOOP; END $$""")
    answer = shop.buy('cheap', 1018)
    card = [('Card-Id', answer['Card-Id'])]
    answers = [answer, shop.ask('BIND', who=1018, more=card), shop.ask('UNBIND', who=1018, more=card), shop.ask('STATISTICS', who=1018)]
    tap.equal([a.result for a in answers], [2001] * 4, f'a buyer of {held_already} cards buys, binds, unbinds and asks')


def main():
    args, tap = arguments(__doc__), Tap()
    print(f'# seed {args.seed}', flush=True)
    with Site(nodes=2, settings={'queue_age_ms': 3000}) as site:
        site.people(20)
        shop = Shop(site)
        wares(shop)
        by_session(tap, shop)
        refusals_of_form(tap, shop)
        refusals_of_purchase(tap, shop)
        questions(tap, shop)
        ends(tap, shop)
        somebody_else(tap, shop)
        expiry(tap, shop)
        many(tap, shop)
        looked_at(tap, shop)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
