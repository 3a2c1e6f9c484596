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

from family import INITIAL, P, T, TERMINATION, UPDATE, Hold, Site, Tap, arguments, hop, until
from shop import MILLION, Shop, avp, beneficiary, content, directed, failed, imsi
from tshark import Tshark

PRICE = 30 * MILLION


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
    shop.audience('everyone')
    shop.audience('two', 2, (1, 2))
    shop.product('general')
    shop.product('cheap', '1.00')
    shop.product('gift', '0', directed=1)


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


def main():
    args, tap = arguments(__doc__), Tap()
    print(f'# seed {args.seed}', flush=True)
    with Site(nodes=2, settings={'queue_age_ms': 3000}) as site, tempfile.TemporaryDirectory(prefix='gyro-cards-') as folder:
        folder = pathlib.Path(folder)
        site.people(20)
        shop = Shop(site)
        wares(shop)
        by_session(tap, shop)
        tap.equal(shop.wrong[:5], [], 'every answer is what an answer must be')
        site.check(tap)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
