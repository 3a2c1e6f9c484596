#!/usr/bin/python3
"""Statistics windows in SQL: the ledger's sum to the octet, settled once, fractions carried exactly (spec/cards.md Z-11).

statistics.py [--seed S] [--windows N]

Windows with random usage and prices are compared with Python's integers.
"""
import argparse
import os
import random
import time
import uuid

from shop import ALICE, AMY, BOB, CAROL, SPONSOR, STATISTICS, Postgres, Shop
from tap import Tap


class Told:
    """What a statistics request says: {(card, Rating-Group): (units, micro-units, window)}."""

    def __init__(self, reply):
        self.result, self.message, self.cards = reply.result, reply.message, reply.cards
        self.lines = {(reply.cards[at], group): (units, amount, window) for at, group, units, _, _, amount, window, _ in reply.statistics or ()}
        self.times = {(since, until) for _, _, _, since, until, *_ in reply.statistics or ()}

    def only(self):
        (line,) = self.lines.values()
        return line


def ask(shop, who, card='', **more):
    return Told(shop.request(STATISTICS, who, card=card, **more))


def plain(tap, shop):
    """A card that was paid when it was bought: windows, and nothing to pay."""
    card = shop.buy('base')
    tap.equal(ask(shop, ALICE, card).lines, {}, 'nothing drawn: no window')
    shop.draw(card, ALICE, 10, 100)
    shop.draw(card, ALICE, 20, 7)
    shop.draw(card, ALICE, 10, 1)
    before = shop.money(ALICE)
    first = ask(shop, ALICE, card)
    tap.equal({k: v[:2] for k, v in first.lines.items()}, {(card, 10): (101, 0), (card, 20): (7, 0)}, 'what each Rating-Group drew')
    tap.equal(len({v[2] for v in first.lines.values()}), 1, 'in one window')
    tap.equal(ask(shop, ALICE, card).lines, first.lines, 'asked again: the same window')
    tap.equal(shop.money(ALICE), before, 'nothing is debited')
    shop.draw(card, ALICE, 20, 3)
    second = ask(shop, ALICE, card)
    tap.equal({k: v[:2] for k, v in second.lines.items()}, {(card, 20): (3, 0)}, 'later usage falls into the next window')
    ((_, until),), ((since, _),) = first.times, second.times
    tap.equal(until, since, 'which begins where the first ended')
    reply = shop.request(STATISTICS, BOB, card=card)
    tap.equal((reply.result, reply.message), (4010, 'not the owner of the card'), "not for others")
    tap.equal(shop.request(STATISTICS, BOB, card='nothing').result, 5004, 'a card that there is not')


def pool(tap, shop):
    card = shop.buy('pool', SPONSOR)
    for who in (ALICE, BOB):
        shop.bind(card, who)
    before = shop.money(SPONSOR)[0]
    shop.draw(card, ALICE, 10, 10)
    shop.draw(card, BOB, 20, 11)
    session = str(uuid.uuid4())
    first = ask(shop, SPONSOR, card, session=session)
    tap.equal({k: v[:2] for k, v in first.lines.items()}, {(card, 10): (10, 23), (card, 20): (11, 26)},
              '10 and 11 units at 7 for 3: 23 and 26, and nothing left over')
    tap.equal(shop.money(SPONSOR)[0], before - 49, 'debited from the sponsor')
    tap.equal(ask(shop, SPONSOR, card, session=session).lines, first.lines, 'a copy of the request: the same answer')
    tap.equal(ask(shop, SPONSOR, card).lines, first.lines, 'asked anew: the same window')
    tap.equal(shop.money(SPONSOR)[0], before - 49, 'debited once')
    tap.equal(shop.rows('SELECT debit, charges FROM gyro.record WHERE session::text = %s', session),
              [(49, [[group, 0, (2001 << 16) | (1 << 32), 0, debit, 0, 0, 0, 1, 0, 0, 0, 192, 7, 3, 3, shop.number_of(card), 0]
                     for group, debit in ((10, 23), (20, 26))])], 'by one record, a charge for each Rating-Group')
    shop.draw(card, ALICE, 10, 1)
    tap.equal(ask(shop, SPONSOR, card).only()[:2], (1, 2), 'one unit costs 2 and a third')
    shop.draw(card, ALICE, 10, 1)
    tap.equal(ask(shop, SPONSOR, card).only()[:2], (1, 2), 'another one, too')
    shop.draw(card, ALICE, 10, 1)
    tap.equal(ask(shop, SPONSOR, card).only()[:2], (1, 3), 'and the third 3')
    tap.equal(shop.value('SELECT carry FROM gyro.card WHERE code = %s', card), 0, 'then nothing is carried')
    tap.equal(shop.value('SELECT sum(balance) + sum(0) FROM gyro.account WHERE account_id = 4'), before - 49 - 7, 'seven for three')


def overdrawn(tap, shop):
    """Settlement is owed, whatever the purse says: then the record is flagged."""
    card = shop.buy('dear', CAROL)
    shop.bind(card, CAROL)
    shop.draw(card, CAROL, 10, 1000)
    tap.equal(ask(shop, CAROL, card).only()[:2], (1000, 1000000000), 'more than the account has')
    tap.ok(shop.money(CAROL)[0] < 0, 'its balance goes below zero')
    tap.equal(shop.value('SELECT flags FROM gyro.record WHERE account_id = 3 ORDER BY at DESC LIMIT 1'), 1, 'flagged as over-use')
    shop.value("SELECT gyro.topup(3, 2000000000, 'sponsor')")


def many(tap, shop):
    """All cards of an owner at once; each has its own window."""
    cards = [shop.buy('pool', BOB) for _ in range(3)]
    for card in cards:
        shop.bind(card, BOB)
    shop.draw(cards[0], BOB, 10, 3)
    shop.draw(cards[2], BOB, 99, 6)
    before = shop.money(BOB)[0]
    told = ask(shop, BOB)
    tap.equal({k: v[:2] for k, v in told.lines.items() if k[0] in cards}, {(cards[0], 10): (3, 7), (cards[2], 99): (6, 14)}, 'all cards of an owner')
    tap.ok(set(cards) <= set(told.cards), 'also one that gave nothing is named')
    tap.equal(shop.money(BOB)[0], before - 21, 'debited together')
    tap.equal(ask(shop, AMY).lines, {}, 'who has none is told nothing')


def group_zero(tap, shop):
    """Rating-Group 0 is one like any other."""
    card = shop.buy('pool', SPONSOR)
    shop.bind(card, SPONSOR)
    shop.draw(card, SPONSOR, 0, 3)
    tap.equal(ask(shop, SPONSOR, card).only()[:2], (3, 7), 'Rating-Group 0')


def retired(tap, shop):
    """What leaves the row is settled first, and is still told."""
    card, held = shop.buy('small-pool', SPONSOR), shop.buy('small-pool', SPONSOR)
    shop.bind(card, SPONSOR)
    shop.bind(card, ALICE)
    shop.draw(card, SPONSOR, 10, 40)
    ask(shop, SPONSOR, card)
    shop.draw(card, ALICE, 20, 60)
    before = shop.money(SPONSOR)[0]
    shop.draw(held, SPONSOR, 10, 89)
    tap.equal(shop.value('SELECT gyro.card_retire(4)'), 1, 'a card that is used up leaves the row, another stays')
    tap.equal((shop.row(card), shop.row(held) is not None), (None, True), 'it and no other')
    tap.equal(shop.money(SPONSOR)[0], before - 140, 'its last window is settled')
    told = ask(shop, SPONSOR, card)
    tap.equal({k: v[:2] for k, v in told.lines.items()}, {(card, 20): (60, 140)}, 'and told when asked')
    tap.equal(shop.rows('SELECT used, quota, state FROM gyro.card_state WHERE code = %s', card), [(100, 100, 'EXHAUSTED')], 'it is shown as before')
    tap.equal(shop.value('SELECT gyro.card_retire(4)'), 0, 'nothing more leaves')
    drawn = shop.rows('SELECT count(*) FROM gyro.card_draw WHERE card_id = %s AND subscriber_id = 0', shop.number_of(card))
    tap.equal(drawn, [(0,)], 'its draws went with it')
    drew = 'SELECT account_id FROM gyro.card_draw WHERE card_id = %s ORDER BY 1'
    tap.equal(shop.rows(drew, shop.number_of(card)), [(ALICE,)], "also what its owner drew under the cap; what others drew stays in their rows")
    shop.bind(shop.buy('base'))
    tap.equal(shop.rows(drew, shop.number_of(card)), [], 'until they are bound to another card')
    tap.equal(shop.rows(drew, shop.number_of(held)), [(SPONSOR,)] * 2, 'of cards in use everything stays')
    busy = shop.buy('small-pool', SPONSOR)
    shop.session(SPONSOR, 10, 30, busy)
    shop.rows('UPDATE gyro.account SET card_use[gyro.card_row_no(cards, %s)][3] = 1 WHERE account_id = 4', shop.number_of(busy))
    tap.equal((shop.value('SELECT gyro.card_retire(4)'), shop.row(busy) is not None), (0, True), 'what a session holds stays until it is given back')
    old = shop.buy('base', SPONSOR)
    shop.rows('UPDATE gyro.account SET card_use[gyro.card_row_no(cards, %s)][3] = 1 WHERE account_id = 4', shop.number_of(old))
    shop.buy('base', SPONSOR)
    tap.equal(shop.row(old), None, 'a purchase makes room by itself')


def exact(tap, shop, random_, windows):
    """Many windows with remainders: what is debited in the end is what all units cost."""
    for price, block in ((7, 3), (1, 1048576), (999999999999989, 1152921504606846883), (random_.randrange(1, 10 ** 9), random_.randrange(1, 10 ** 6))):
        code = shop.unique('x')
        shop.product(code, audience='everyone', quota=1 << 40, settle=2, usage_price=price, usage_block=block)
        card = shop.buy(code, SPONSOR)
        shop.bind(card, SPONSOR)
        before, used, paid, carry = shop.money(SPONSOR)[0], 0, 0, 0
        wrong = []
        for n in range(windows):
            drawn = {}
            for group in random_.sample((0, 10, 20, 30, 99), random_.randrange(1, 4)):
                drawn[group] = random_.choice((1, 2, 3, 1000, random_.randrange(1, 10 ** 6)))
                shop.draw(card, SPONSOR, group, drawn[group])
            told = ask(shop, SPONSOR, card)
            due, carry_after = divmod(sum(drawn.values()) * price + carry, block)
            got = {group: line[0] for (_, group), line in told.lines.items()}
            if got != drawn or sum(line[1] for line in told.lines.values()) != due:
                wrong.append(f'window {n}: drew {drawn}, due {due}, told {told.lines}')
            carry, used, paid = carry_after, used + sum(drawn.values()), paid + due
        tap.ok(not wrong, f'{windows} windows at {price} per {block}', '\n'.join(wrong[:5]))
        tap.equal((before - shop.money(SPONSOR)[0], shop.value('SELECT carry FROM gyro.card WHERE code = %s', card)), divmod(used * price, block),
                  f'{used} units cost {paid}, the fraction is carried')
        shop.rows("SELECT gyro.pay(4, %s, %s, 3::smallint)", paid, f'back {code}')


def limits(tap, shop):
    """What a window may cost at most is bounded by the product."""
    for quota, price, block, good in ((1 << 60, 1, 1, True), (1 << 60, 2, 1, False), ((1 << 60) - 1, 10 ** 15, 10 ** 15, True),
                                      ((1 << 60), 10 ** 15, 10 ** 15 - 1, False)):
        try:
            shop.product(shop.unique('l'), audience='everyone', quota=quota, settle=2, usage_price=price, usage_block=block)
            made = True
        except Exception as e:
            made = 'check constraint' not in str(e)
        tap.equal(made, good, f'a quota of {quota} at {price} per {block} is {"sold" if good else "refused"}')
    code = shop.unique('l')
    shop.product(code, audience='everyone', quota=1 << 60, settle=2, usage_price=1, usage_block=1)
    card = shop.buy(code, SPONSOR)
    shop.bind(card, SPONSOR)
    shop.draw(card, SPONSOR, 10, 1 << 60)
    tap.equal(ask(shop, SPONSOR, card).only()[:2], (1 << 60, 1 << 60), 'the largest window')
    shop.rows("SELECT gyro.pay(4, %s, 'largest', 3::smallint)", 1 << 60)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--seed', type=int, default=int(os.environ.get('GYRO_SEED') or time.time_ns() % 10**9))
    p.add_argument('--windows', type=int, default=60)
    args = p.parse_args()
    tap = Tap()
    print(f'# seed {args.seed}')
    with Postgres() as pg:
        shop = Shop(pg, 'shop')
        shop.product('base', price=10, audience='everyone')
        shop.product('pool', audience='everyone', directed=1, quota=100000, max_bindings=5, settle=2, usage_price=7, usage_block=3)
        shop.product('small-pool', audience='everyone', quota=100, max_bindings=5, cap=90, settle=2, usage_price=7, usage_block=3)
        shop.product('dear', audience='everyone', settle=2, usage_price=1000000)
        for part in (plain, pool, overdrawn, many, group_zero, retired, limits):
            part(tap, shop)
            shop.clean(tap, part.__name__)
        exact(tap, shop, random.Random(args.seed), args.windows)
        shop.clean(tap, 'exact')
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
