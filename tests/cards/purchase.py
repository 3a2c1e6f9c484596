#!/usr/bin/python3
"""Purchases in SQL: each refusal, each state and transition, copies, dry runs, refunds (spec/cards.md Z-2 to Z-6).

purchase.py
"""
import contextlib
import uuid

from shop import (ALICE, AMY, BARRED, BOB, CANCEL, CAROL, CHECK_BALANCE, DOLLAR, FOREVER, INITIAL, POOR, PRICE_ENQUIRY, PURCHASE,
                  REFUND, SPONSOR, STATISTICS, TERMINATE, UPDATE, Postgres, Shop)
from tap import Tap


def products(shop):
    shop.product('base', price=30000000, quota=5000, audience='everyone', validity_s=86400)
    shop.product('scarce', price=1000000, audience='everyone', stock=2)
    shop.product('once', price=1000000, audience='everyone', per_buyer=1, stock=9)
    shop.product('free', price=0, audience='everyone')
    shop.product('friends', price=1000000, audience='friends')
    shop.product('nobody', price=1000000)
    shop.product('directed', price=1000000, directed=2, app='video')
    shop.product('hidden', price=1000000, audience='everyone', on_sale=False)
    shop.product('early', price=1000000, audience='everyone', sale_from='2999-01-01')
    shop.product('late', price=1000000, audience='everyone', sale_until='2020-01-01')
    shop.product('short', price=2000000, audience='everyone', hold_s=1, stock=5)


def stock(shop, code):
    return shop.value('SELECT stock FROM gyro.product WHERE code = %s', code)


def state(shop, purchase):
    return shop.value('SELECT state FROM gyro.purchase_state WHERE purchase_id = %s', purchase)


def over(shop, purchase):
    """Its hold time has passed."""
    shop.rows("UPDATE gyro.purchase SET hold_until = now() - interval '1 second' WHERE purchase_id = %s", purchase)


def refused(tap, reply, code, words, name, avp=None):
    got = reply.result, reply.failed_code, all(w in (reply.message or '') for w in words)
    tap.ok(got == (code, avp, True), name, f'wanted {code}, AVP {avp}, {words}; got {reply}')


class Buyer:
    """A session that buys: CCR-I, -U, -T."""

    def __init__(self, shop, product, who=ALICE, purchase=None, to=None):
        self.shop, self.product, self.who, self.to = shop, product, who, to
        self.purchase = purchase or shop.unique()
        self.session, self.number = str(uuid.uuid4()), -1

    def begin(self):
        self.number += 1
        return self.shop.request(PURCHASE, self.who, INITIAL, self.number, session=self.session, product=self.product,
                                 purchase=self.purchase, to=self.to)

    def go_on(self, kind, units=-1, **more):
        self.number += 1
        return self.shop.request(PURCHASE, more.pop('who', 0), kind, self.number, session=self.session, units=units, **more)


def refusals(tap, shop):
    def buy(product='base', who=ALICE, **more):
        return shop.request(PURCHASE, who, product=product, purchase=more.pop('purchase', shop.unique()), **more)
    refused(tap, buy(''), 5005, ['Product-Id'], 'no Product-Id', 2)
    refused(tap, buy(purchase=''), 5005, ['Purchase-Id'], 'no Purchase-Id', 3)
    refused(tap, buy('nothing'), 5004, ['no such product'], 'a product that there is not', 2)
    refused(tap, buy(to='nobody'), 5030, ['beneficiary'], 'an unknown beneficiary', 13)
    refused(tap, buy('hidden'), 4010, ['not on sale'], 'off sale')
    refused(tap, buy('early'), 4010, ['not on sale'], 'before the sale')
    refused(tap, buy('late'), 4010, ['not on sale'], 'after the sale')
    refused(tap, buy(who=DOLLAR), 4010, ['currency'], "another currency than the account's")
    refused(tap, buy('friends', CAROL), 4010, ['not for this beneficiary'], 'a beneficiary whom the audience does not name')
    tap.equal(buy('friends', CAROL, to=BOB).result, 2001, 'for one whom it names')
    refused(tap, buy('nobody'), 4010, ['not for this beneficiary'], 'a product for nobody')
    tap.equal(buy('directed').result, 2001, 'directed: for anybody, it is decided when it is bound')
    refused(tap, buy(who=POOR), 4012, ['money'], '29.99 for 30.00')
    shop.rows('UPDATE gyro.subscriber SET state = 2 WHERE subscriber_id = %s', BARRED)
    refused(tap, buy(who=BARRED), 4010, ['barred'], 'a barred buyer')
    shop.rows('UPDATE gyro.subscriber SET state = 1 WHERE subscriber_id = 7; UPDATE gyro.account SET state = 2 WHERE account_id = 7')
    refused(tap, buy(who=BARRED), 4010, ['barred'], 'a barred account')
    shop.rows("UPDATE gyro.account SET state = 1, valid_until = '2020-01-01' WHERE account_id = 7")
    refused(tap, buy(who=BARRED), 4010, ['barred'], 'an account whose time is over')
    shop.rows("UPDATE gyro.account SET valid_until = 'infinity' WHERE account_id = 7")
    tap.equal(buy('once', BARRED).result, 2001, 'the first of one per buyer')
    refused(tap, buy('once', BARRED), 4010, ['as many'], 'the second')
    tap.equal([buy('scarce', BARRED).result for _ in range(2)], [2001, 2001], 'the last two in stock')
    refused(tap, buy('scarce', BARRED), 4010, ['sold out'], 'the third')
    tap.equal(stock(shop, 'scarce'), 0, 'stock 0')
    cards, use = shop.rows('SELECT cards, card_use FROM gyro.account WHERE account_id = %s', CAROL)[0]
    full = range(1000 - len(cards))
    fill = 'UPDATE gyro.account SET cards = %s::bigint[], card_use = %s::bigint[] WHERE account_id = %s'
    shop.rows(fill, cards + [[10**9 + n, 2, 1, 1, 0, 0, 0, 1] for n in full], use + [[0, 0, FOREVER, 0] for _ in full], CAROL)
    refused(tap, buy(who=CAROL), 4010, ['as many cards'], 'the thousand-and-first card of an account')
    shop.rows(fill, cards, use, CAROL)
    tap.equal(shop.money(POOR), (29990000, 0), 'a refusal leaves the money alone')
    shop.clean(tap, 'after refusals')


def poor(tap, shop):
    shop.product('thirty', price=30000000, audience='everyone', stock=1)
    buyer = Buyer(shop, 'thirty', POOR)
    refused(tap, buyer.begin(), 4012, ['money'], 'step 1 fails for one cent')
    tap.equal((stock(shop, 'thirty'), shop.money(POOR), state(shop, buyer.purchase)), (1, (29990000, 0), 'REFUSED'),
              'undone, stock and all; the purchase is REFUSED')
    refused(tap, buyer.go_on(TERMINATE, 1), 5002, ['over'], 'its CCR-T has nothing to confirm')
    tap.equal(shop.rows('SELECT card_id FROM gyro.purchase WHERE purchase_id = %s', buyer.purchase), [(None,)], 'no card')
    refused(tap, shop.request(CANCEL, BOB, purchase=buyer.purchase), 5012, ['another buyer'], 'and it is nobody else\'s')
    shop.value("SELECT gyro.topup(5, 10000, 'cent')")
    again = Buyer(shop, 'thirty', POOR, buyer.purchase)
    tap.equal((again.begin().result, shop.money(POOR), stock(shop, 'thirty'), state(shop, again.purchase)),
              (2001, (30000000, 30000000), 0, 'HELD'), 'with the money there: the same Purchase-Id is held')
    tap.equal((again.go_on(TERMINATE, 1).cost, shop.money(POOR), state(shop, again.purchase)), (30000000, (0, 0), 'DONE'), 'and paid')
    shop.clean(tap, 'after a refusal that became a purchase')


def four_steps(tap, shop):
    buyer = Buyer(shop, 'base', BOB)
    before = shop.money(BOB)[0]
    held = buyer.begin()
    tap.equal((held.result, held.granted, held.currency, held.purchase, held.card, held.cost),
              (2001, 30000000, 978, buyer.purchase, None, None), 'CCR-I: the price is granted')
    tap.ok(1 <= held.validity_s <= 300, 'for the hold time')
    tap.equal((shop.money(BOB), state(shop, buyer.purchase)), ((before, 30000000), 'HELD'), 'and reserved')
    tap.equal(shop.value('SELECT count(*) FROM gyro.card WHERE owner = %s AND purchase_id = %s', BOB, buyer.purchase), 0, 'no card yet')
    waiting = buyer.go_on(UPDATE)
    tap.equal((waiting.result, waiting.granted, waiting.card, state(shop, buyer.purchase)), (2001, 30000000, None, 'HELD'),
              'a CCR-U without units leaves it held')
    refused(tap, buyer.go_on(UPDATE, 2), 5004, ['one card'], 'two cards can\'t be confirmed', 446)
    refused(tap, buyer.go_on(UPDATE, 1, who=CAROL), 5012, ['something else'], 'not by somebody else')
    refused(tap, buyer.go_on(UPDATE, 1, purchase='other'), 5012, ['something else'], 'nor another purchase')
    refused(tap, buyer.go_on(UPDATE, 1, product='free'), 5012, ['something else'], 'nor another product')
    confirmed = buyer.go_on(UPDATE, 1, product='base', purchase=buyer.purchase)
    tap.equal((confirmed.result, confirmed.granted, confirmed.cost), (2001, 30000000, None), 'CCR-U with one unit')
    tap.equal((state(shop, buyer.purchase), shop.money(BOB)), ('CONFIRMED', (before, 30000000)), 'confirms; the price is still held')
    tap.ok(confirmed.card is not None and shop.row(confirmed.card)[:6] == [shop.number_of(confirmed.card), 2, 1, 5000, 0, 0],
           'the card is issued', shop.row(confirmed.card))
    shop.clean(tap, 'between confirmation and payment')
    done = buyer.go_on(TERMINATE, 1)
    tap.equal((done.result, done.cost, done.card, done.granted), (2001, 30000000, confirmed.card, None), 'CCR-T: paid, the same card')
    tap.equal((state(shop, buyer.purchase), shop.money(BOB)), ('DONE', (before - 30000000, 0)), 'debited')
    tap.equal(shop.rows('''SELECT request_type, request_number, debit, charges[1][5], charges[1][17] FROM gyro.record
                            WHERE session::text = %s''', buyer.session),
              [(3, buyer.number, 30000000, 30000000, shop.number_of(done.card))], 'by one record')
    late = buyer.go_on(TERMINATE, 1)
    tap.equal((late.result, late.cost, late.card), (2001, 30000000, done.card), 'another CCR-T: the same, not paid again')
    tap.equal(shop.money(BOB), (before - 30000000, 0), 'not twice')
    two = Buyer(shop, 'base')
    two.begin()
    done = two.go_on(TERMINATE, 1)
    tap.equal((done.result, done.cost, state(shop, two.purchase)), (2001, 30000000, 'DONE'), 'CCR-I and CCR-T: steps 3 and 4 at once')
    refused(tap, shop.request(PURCHASE, 0, UPDATE, 1), 5002, ['session'], 'a CCR-U of a session that there is not')
    refused(tap, shop.request(PURCHASE, ALICE, UPDATE, 1), 5002, ['session'], 'the same with a name')
    shop.clean(tap, 'after four steps')


def at_once(tap, shop):
    before = shop.money(CAROL)[0]
    purchase, session = shop.unique(), str(uuid.uuid4())
    first = shop.request(PURCHASE, CAROL, session=session, product='base', purchase=purchase)
    tap.equal((first.result, first.cost, shop.money(CAROL)), (2001, 30000000, (before - 30000000, 0)), 'one CCR-E does all four')
    row = shop.row(first.card)
    issued = shop.value('SELECT gyro.us(issued_at) FROM gyro.card WHERE code = %s', first.card)
    tap.ok(abs(row[6] - issued) < 10000000 and row[7] == row[6] + 86400 * 1000000 and row[8:] == [0, 0, 0, 1], 'valid for its day', row)
    tap.equal(shop.request(PURCHASE, CAROL, session=session, product='base', purchase=purchase), first, 'a copy: the same answer')
    # Without a transaction number of its own its COMMIT would not wait for the standby, and it may be the first to know.
    with contextlib.closing(shop.connect(autocommit=False)) as connection:
        again = shop.request(PURCHASE, CAROL, session=session, product='base', purchase=purchase, on=connection)
        number = shop.value('SELECT pg_current_xact_id_if_assigned() IS NOT NULL', on=connection)
        tap.equal((again, number), (first, True), 'a copy is answered by a COMMIT that waits for the standby, like the first')
    tap.equal(shop.request(PURCHASE, CAROL, session=session, product='base', purchase=purchase, content=2, again=True), first,
              'a copy with the T bit, whose bytes differ')
    refused(tap, shop.request(PURCHASE, CAROL, session=session, product='free', purchase=purchase, content=2), 5004, ['was used'],
            'another request under the same number', 415)
    other = shop.request(PURCHASE, CAROL, product='base', purchase=purchase)
    tap.equal((other.result, other.card, other.cost), (2001, first.card, 30000000), 'the same Purchase-Id in another session: the same card')
    ecur = Buyer(shop, 'base', CAROL, purchase)
    tap.equal([(r.result, r.card, r.cost) for r in (ecur.begin(), ecur.go_on(TERMINATE, 1))], [(2001, first.card, 30000000)] * 2,
              'also as four steps')
    tap.equal((shop.money(CAROL), shop.value('SELECT count(*) FROM gyro.card WHERE owner = %s AND product_id = 1', CAROL)),
              ((before - 30000000, 0), 1), 'one debit, one card')
    refused(tap, shop.request(PURCHASE, BOB, product='base', purchase=purchase), 5012, ['another purchase'], "somebody else's Purchase-Id")
    refused(tap, shop.request(PURCHASE, CAROL, product='free', purchase=purchase), 5012, ['another purchase'], 'with another product')
    refused(tap, shop.request(PURCHASE, CAROL, product='base', purchase=purchase, to=BOB), 5012, ['another purchase'], 'for another beneficiary')
    gift = shop.buy('base', CAROL, to=BOB)
    tap.equal(shop.rows('SELECT owner, beneficiary, account_id FROM gyro.card WHERE code = %s', gift), [(CAROL, BOB, CAROL)], 'a gift')
    nothing = shop.request(PURCHASE, CAROL, product='free', purchase=shop.unique())
    tap.equal((nothing.result, nothing.cost, nothing.card is not None), (2001, 0, True), 'a product that costs nothing')
    tap.equal(shop.row(nothing.card)[7], FOREVER, 'and is valid for ever')
    shop.clean(tap, 'after purchases at once')


def questions(tap, shop):
    """What must not be done by a request that only asks, or is no CCR-E."""
    buyer = Buyer(shop, 'base', BOB)
    buyer.begin()
    for action in (CHECK_BALANCE, PRICE_ENQUIRY):
        refused(tap, shop.request(CANCEL, BOB, action=action, purchase=buyer.purchase), 5004, ['Requested-Action'],
                f'CANCEL with Requested-Action {action}', 436)
    for kind in (INITIAL, UPDATE, TERMINATE):
        refused(tap, shop.request(CANCEL, BOB, kind, purchase=buyer.purchase), 5004, ['CCR-E'], f'CANCEL in a request of type {kind}', 416)
    tap.equal(state(shop, buyer.purchase), 'HELD', 'nothing was cancelled')
    buyer.go_on(TERMINATE, 0)


def beneficiaries(tap, shop):
    gift = Buyer(shop, 'base', ALICE, to=BOB)
    gift.begin()
    for name, kind, to in (('CCR-U', UPDATE, CAROL), ('CCR-T', TERMINATE, CAROL), ('CCR-T', TERMINATE, ALICE)):
        refused(tap, gift.go_on(kind, 1, to=to), 5012, ['something else'], f'a {name} for somebody else than the CCR-I: {to}')
    tap.equal(state(shop, gift.purchase), 'HELD', 'nothing is confirmed by it')
    tap.equal(gift.go_on(UPDATE, 1, to=BOB).result, 2001, 'the same beneficiary')
    tap.equal(gift.go_on(TERMINATE, 1).result, 2001, 'or none')


def owed(tap, shop):
    """What an owner owes for usage of his cards, he cannot spend."""
    shop.product('pool', audience='everyone', settle=2, usage_price=10000, max_bindings=9, quota=100000)
    card = shop.buy('pool', SPONSOR)
    shop.bind(card, SPONSOR)
    shop.draw(card, SPONSOR, 10, 7001)
    tap.equal(shop.money(SPONSOR), (100000000, 0), 'nothing is settled yet')
    refused(tap, shop.request(PURCHASE, SPONSOR, product='base', purchase=shop.unique()), 4012, ['not enough money'],
            '100 less the 70.01 that are owed: not enough for 30')
    shop.request(STATISTICS, SPONSOR, card=card)
    tap.equal(shop.money(SPONSOR)[0], 29990000, 'settled')
    shop.value("SELECT gyro.topup(4, 10000, 'cent')")
    tap.equal(shop.request(PURCHASE, SPONSOR, product='base', purchase=shop.unique()).result, 2001, 'what is settled is not owed twice')


def dry(tap, shop):
    def counts():
        return shop.rows('''SELECT (SELECT sum(version) FROM gyro.account), (SELECT count(*) FROM gyro.purchase),
                                   (SELECT count(*) FROM gyro.card_answer), (SELECT sum(stock) FROM gyro.product)''')
    before = counts()

    def ask(action, product='base', who=BARRED, purchase=''):
        return shop.request(PURCHASE, who, action=action, product=product, purchase=purchase)
    enquiry = ask(PRICE_ENQUIRY)
    tap.equal((enquiry.result, enquiry.cost, enquiry.currency), (2001, 30000000, 978), 'PRICE_ENQUIRY')
    tap.equal(ask(PRICE_ENQUIRY, 'hidden').result, 2001, 'also of what is not on sale')
    tap.equal([ask(CHECK_BALANCE, who=w).check_balance for w in (BARRED, POOR)], [1, 2], 'CHECK_BALANCE: enough, not enough')
    refused(tap, ask(CHECK_BALANCE, 'hidden'), 4010, ['not on sale'], 'CHECK_BALANCE of what can\'t be bought')
    refused(tap, ask(CHECK_BALANCE, 'nothing'), 5004, ['no such product'], 'of what there is not', 2)
    purchase = shop.value('SELECT min(purchase_id) FROM gyro.purchase WHERE state = 5')
    tap.equal(ask(CHECK_BALANCE, purchase=purchase).check_balance, 1, 'a Purchase-Id does not matter')
    tap.equal(counts(), before, 'nothing was changed')


def undone(tap, shop):
    before, left = shop.money(BOB), stock(shop, 'short')
    buyer = Buyer(shop, 'short', BOB)
    buyer.begin()
    tap.equal((shop.money(BOB)[1], stock(shop, 'short')), (2000000, left - 1), 'held: money and stock')
    ended = buyer.go_on(TERMINATE, 0)
    tap.equal((ended.result, ended.card, ended.cost, state(shop, buyer.purchase)), (2001, None, None, 'CANCELLED'),
              'a CCR-T with zero units cancels')
    tap.equal((shop.money(BOB), stock(shop, 'short')), (before, left), 'and gives both back')
    refused(tap, buyer.go_on(TERMINATE, 1), 5002, ['over'], 'then there is nothing to confirm')
    refused(tap, Buyer(shop, 'short', BOB, buyer.purchase).begin(), 4010, ['over', 'cancelled'], 'nor to buy with this Purchase-Id')
    silent = Buyer(shop, 'short', BOB)
    silent.begin()
    tap.equal((silent.go_on(TERMINATE).result, state(shop, silent.purchase)), (2001, 'CANCELLED'), 'a CCR-T without units, too')
    other = Buyer(shop, 'short', BOB)
    other.begin()
    refused(tap, shop.request(CANCEL, CAROL, purchase=other.purchase), 5012, ['another buyer'], 'CANCEL by somebody else')
    refused(tap, shop.request(CANCEL, BOB, purchase=''), 5005, ['Purchase-Id'], 'CANCEL of nothing', 3)
    refused(tap, shop.request(CANCEL, BOB, purchase='nothing'), 5004, ['no such purchase'], 'of what there is not', 3)
    for name in ('CANCEL', 'a second CANCEL'):
        tap.equal((shop.request(CANCEL, BOB, purchase=other.purchase).result, state(shop, other.purchase), shop.money(BOB)),
                  (2001, 'CANCELLED', before), name)
    confirmed = Buyer(shop, 'short', BOB)
    confirmed.begin()
    confirmed.go_on(UPDATE, 1)
    refused(tap, shop.request(CANCEL, BOB, purchase=confirmed.purchase), 4010, ['confirmed', 'refunded'], 'CANCEL after confirmation')
    confirmed.go_on(TERMINATE)
    tap.equal(state(shop, confirmed.purchase), 'DONE', 'a CCR-T without units pays what was confirmed')
    refused(tap, shop.request(CANCEL, BOB, purchase=confirmed.purchase), 4010, ['refunded'], 'CANCEL after payment')
    shop.clean(tap, 'after cancellations')


def expired(tap, shop):
    before, left = shop.money(CAROL), stock(shop, 'short')
    late = Buyer(shop, 'short', CAROL)
    late.begin()
    over(shop, late.purchase)
    refused(tap, late.go_on(TERMINATE, 1), 5002, ['over'], 'a CCR-T after the hold time')
    tap.equal((state(shop, late.purchase), shop.money(CAROL), stock(shop, 'short')), ('EXPIRED', before, left), 'finds it expired, and is not charged')
    again = Buyer(shop, 'short', CAROL)
    again.begin()
    over(shop, again.purchase)
    refused(tap, Buyer(shop, 'short', CAROL, again.purchase).begin(), 4010, ['over', 'in time'], 'a CCR-I for it, too')
    tap.equal((state(shop, again.purchase), shop.money(CAROL)), ('EXPIRED', before), 'expired')
    cancelled = Buyer(shop, 'short', CAROL)
    cancelled.begin()
    over(shop, cancelled.purchase)
    tap.equal((shop.request(CANCEL, CAROL, purchase=cancelled.purchase).result, state(shop, cancelled.purchase)), (2001, 'EXPIRED'),
              'a CANCEL for it, too')
    held, confirmed, fresh = (Buyer(shop, 'short', CAROL) for _ in range(3))
    for buyer in (held, confirmed, fresh):
        buyer.begin()
    card = confirmed.go_on(UPDATE, 1).card
    over(shop, held.purchase)
    over(shop, confirmed.purchase)
    tap.equal(shop.value('SELECT gyro.purchase_sweep()'), 2, 'the sweeper finds two')
    tap.equal([state(shop, b.purchase) for b in (held, confirmed, fresh)], ['EXPIRED', 'DONE', 'HELD'],
              'the one that is held expires, the confirmed one is paid, one whose time is not over stays')
    tap.equal((shop.money(CAROL), stock(shop, 'short')), ((before[0] - 2000000, 2000000), left - 2), 'each costs what it should')
    tap.equal(shop.rows('SELECT request_type, debit FROM gyro.record WHERE session::text = %s', confirmed.session), [(0, 2000000)], 'one record')
    tap.equal(shop.value('SELECT gyro.purchase_sweep()'), 0, 'and then none')
    done = confirmed.go_on(TERMINATE, 1)
    tap.equal((done.result, done.card, done.cost), (2001, card, 2000000), 'its late CCR-T is answered, not charged')
    tap.equal(shop.money(CAROL)[0], before[0] - 2000000, 'once')
    fresh.go_on(TERMINATE, 0)
    shop.rows("UPDATE gyro.card_answer SET at = now() - interval '2 days' WHERE session::text = %s", late.session)
    shop.value('SELECT gyro.purchase_sweep()')
    tap.equal(shop.value('SELECT count(*) FROM gyro.card_answer WHERE session::text = %s', late.session), 0, 'old answers are forgotten')
    tap.ok(shop.value('SELECT count(*) FROM gyro.card_answer') > 0, 'younger ones are kept')
    shop.clean(tap, 'after the sweeper')


def refunds(tap, shop):
    def refund(purchase, who=CAROL):
        return shop.request(PURCHASE, who, action=REFUND, purchase=purchase)
    before, left = shop.money(CAROL), stock(shop, 'once')
    buyer = Buyer(shop, 'once', CAROL)
    buyer.begin()
    refused(tap, refund(buyer.purchase), 4010, ['not paid'], 'a refund of what is held')
    buyer.go_on(UPDATE, 1)
    refused(tap, refund(buyer.purchase), 4010, ['not paid'], 'of what is confirmed')
    card = buyer.go_on(TERMINATE).card
    shop.bind(card, CAROL)
    session = shop.session(CAROL, 10, 1000)
    shop.asked()
    refused(tap, refund(buyer.purchase, BOB), 5012, ['another buyer'], "of somebody else's")
    refused(tap, refund(''), 5005, ['Purchase-Id'], 'of nothing', 3)
    back = refund(buyer.purchase)
    tap.equal((back.result, back.cost, state(shop, buyer.purchase)), (2001, 1000000, 'REFUNDED'), 'of what is paid and unused')
    tap.equal((shop.money(CAROL), stock(shop, 'once'), shop.row(card)), (before, left, None), 'money and stock are back, the card has left its row')
    tap.equal(shop.value('SELECT state FROM gyro.card_state WHERE code = %s', card), 'REVOKED', 'it is revoked')
    tap.equal(shop.value('SELECT count(*) FROM gyro.card_binding JOIN gyro.card USING (card_id) WHERE code = %s AND unbound_at IS NULL', card),
              0, 'and bound no more')
    tap.equal([a for a in shop.asked() if a[0] == session], [(session, None, 'card refunded')], 'its user\'s session is asked to come back')
    tap.equal(sorted(shop.rows('SELECT debit FROM gyro.record r WHERE charges[1][17] = %s', shop.number_of(card))), [(-1000000,), (1000000,)],
              'two opposite entries')
    again = refund(buyer.purchase)
    tap.equal((again.result, again.cost, shop.money(CAROL)), (2001, 1000000, before), 'a second refund gives nothing more')
    refused(tap, Buyer(shop, 'once', CAROL, buyer.purchase).begin(), 4010, ['over', 'refunded'], 'the Purchase-Id is used up')
    refused(tap, buyer.go_on(TERMINATE, 1), 5002, ['over'], 'and its session over')
    tap.equal(Buyer(shop, 'once', CAROL).begin().result, 2001, 'but one may buy one again')
    shop.value("SELECT gyro.topup(3, 100000000, 'more')")
    for name, spoil, word in (('used', lambda c: shop.draw(c, CAROL, 10, 1), 'used'),
                              ('held by a session', lambda c: shop.session(CAROL, 10, 100, c), 'used')):
        used = Buyer(shop, 'base', CAROL)
        used.begin()
        spoil(used.go_on(TERMINATE, 1).card)
        refused(tap, refund(used.purchase), 4010, [word], f'a card that is {name}')
    ended = Buyer(shop, 'base', AMY)
    ended.begin()
    card = ended.go_on(TERMINATE, 1).card
    shop.rows('''UPDATE gyro.account SET card_use[gyro.card_row_no(cards, %s)][3] = 1 WHERE account_id = 1''', shop.number_of(card))
    tap.equal(shop.value('SELECT gyro.card_retire(1)'), 1, 'a card whose time is over leaves the row')
    refused(tap, refund(ended.purchase, AMY), 4010, ['ended'], 'then there is nothing to refund')
    shop.clean(tap, 'after refunds')


def prices(tap, shop):
    """What is held keeps its price and quota; what is issued keeps all."""
    buyer = Buyer(shop, 'base', BOB)
    buyer.begin()
    columns = 'validity_s, validity_from, directed, max_bindings, cap, settle, usage_price, usage_block, priority_policy, window_from'
    (terms,) = shop.rows(f"SELECT {columns} FROM gyro.product WHERE code = 'base'")
    shop.rows('''UPDATE gyro.product SET price = 31000000, quota = 1, validity_s = 60, validity_from = 3, directed = 2, max_bindings = 7,
                        cap = 5, settle = 2, usage_price = 8, usage_block = 9, priority_policy = 2, window_from = 0, window_until = 60
                  WHERE code = 'base' ''')
    done = buyer.go_on(TERMINATE, 1)
    tap.equal((done.cost, shop.row(done.card)[3]), (30000000, 5000), 'a price that changes leaves what is held alone')
    tap.equal((shop.rows(f'SELECT {columns} FROM gyro.card WHERE code = %s', done.card)[0], shop.row(done.card)[8:]),
              (terms, [0, 0, 0, 1]), 'and so does anything else that changes')
    shop.rows(f'''UPDATE gyro.product SET price = 30000000, quota = 5000, on_sale = false, ({columns}, window_until) =
                         ({', '.join(['%s'] * len(terms))}, NULL) WHERE code = 'base' ''', *terms)
    tap.equal(shop.bind(done.card, BOB).result, 2001, 'a product taken off sale leaves its cards alone')
    shop.rows("UPDATE gyro.product SET on_sale = true WHERE code = 'base'")
    shop.clean(tap, 'after a change of prices')


def main():
    tap = Tap()
    with Postgres() as pg:
        shop = Shop(pg, 'shop')
        products(shop)
        for part in (refusals, poor, four_steps, at_once, questions, beneficiaries, owed, dry, undone, expired, refunds, prices):
            part(tap, shop)
    tap.done()


if __name__ == '__main__':
    main()
