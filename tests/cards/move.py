#!/usr/bin/python3
"""A subscriber who is moved to another account takes along what he drew under caps and what was counted for him.

move.py
"""
import psycopg2

from races import Runners
from shop import AMY, BOB, CAROL, SPONSOR, Postgres, Shop
from tap import Tap


def move(shop, who, account, on=None):
    """None, or why not."""
    try:
        shop.rows("SELECT gyro.subscriber_put(%s, %s, 'standard', NULL)", who, account, on=on)
    except psycopg2.Error as e:
        return str(e)
    return None


def drawn(shop, who):
    return shop.rows('SELECT account_id, used FROM gyro.card_draw WHERE subscriber_id = %s ORDER BY 1, 2', who)


def counted(shop, who):
    return shop.rows('SELECT account_id, counted, units_day FROM gyro.counter WHERE subscriber_id = %s ORDER BY 1, 3', who)


def pool(tap, shop):
    shop.product('pool', audience='everyone', quota=10000, max_bindings=5, cap=1000, settle=2, usage_price=1)
    card = shop.buy('pool', SPONSOR)
    for who in (BOB, AMY):
        tap.equal(shop.bind(card, who).result, 2001, f'{who} is bound to the pool')
        shop.draw(card, who, 10, 600)
    shop.rows('UPDATE gyro.account SET counters = ARRAY[[2, 3, 7, 1, 20000, 0, 50, 0, 0, 0], [9, 3, 7, 1, 20000, 0, 60, 0, 0, 0]] WHERE account_id = 2')
    shop.clean(tap, 'before')
    versions = shop.rows('SELECT version FROM gyro.account WHERE account_id IN (2, 3)')
    tap.equal(move(shop, BOB, 3), None, 'a user moves to another account')
    tap.equal(drawn(shop, BOB), [(3, 600)], 'with what he drew: his cap does not begin anew')
    tap.equal(counted(shop, BOB), [(3, 'free', 50)], 'and what was counted: nor do his free units')
    tap.equal((drawn(shop, AMY), counted(shop, 9)), ([(1, 600)], [(2, 'free', 60)]), 'those of others stay')
    tap.ok(all(a < b for a, b in zip(versions, shop.rows('SELECT version FROM gyro.account WHERE account_id IN (2, 3)'))), 'both rows are new')
    shop.draw(card, BOB, 10, 400)
    shop.clean(tap, 'all of the cap')
    tap.equal((move(shop, BOB, 2), drawn(shop, BOB), counted(shop, BOB)), (None, [(2, 1000)], [(2, 'free', 50)]), 'back again')
    tap.equal((move(shop, BOB, 2), drawn(shop, BOB), counted(shop, BOB)), (None, [(2, 1000)], [(2, 'free', 50)]), 'to where he is')
    shop.clean(tap, 'moved back')
    return card


def leftovers(tap, shop, card):
    """A subscriber of the same number was removed from the account that he comes to."""
    shop.rows('UPDATE gyro.account SET draws = ARRAY[[(SELECT card_id FROM gyro.card WHERE code = %s), 2, -1, 300, 0]]'
              ' WHERE account_id = 3', card)
    shop.rows('UPDATE gyro.account SET draws[n][4] = 700 FROM (SELECT n FROM gyro.account, generate_series(1, gyro.matrix_rows(draws)) n'
              ' WHERE account_id = 2 AND draws[n][2] = 2) x WHERE account_id = 2')
    shop.rows('UPDATE gyro.account SET counters = ARRAY[[2, 3, 7, 1, 20000, 0, 8, 0, 0, 0]] WHERE account_id = 3')
    tap.equal((move(shop, BOB, 3), drawn(shop, BOB), counted(shop, BOB)), (None, [(3, 1000)], [(3, 'free', 50)]),
              'draws that were left there are added up, counters give way')
    shop.clean(tap, 'with leftovers')


def refused(tap, shop):
    shop.session(CAROL)
    before = shop.rows('SELECT * FROM gyro.account ORDER BY 1')
    tap.ok('has open sessions' in (move(shop, CAROL, 2) or ''), 'with open sessions nobody is moved')
    tap.equal(shop.rows('SELECT * FROM gyro.account ORDER BY 1'), before, 'and nothing with him')


def crosswise(tap, shop, rounds=30):
    """Accounts are locked in the order of their numbers: no deadlock."""
    run, wrong = Runners(shop, 2), []
    for n in range(rounds):
        there, back = ((1, 2), (2, 1))[n % 2]
        wrong += [r for r in run.go(lambda on, to=there: move(shop, AMY, to, on), lambda on, to=back: move(shop, BOB, to, on)) if r]
    tap.equal(wrong, [], f'two who change places, {rounds} times')
    tap.equal((sum(n for _, n in drawn(shop, AMY)), sum(n for _, n in drawn(shop, BOB))), (600, 1000), 'nothing got lost')
    shop.clean(tap, 'afterwards')


def main():
    tap = Tap()
    with Postgres() as pg:
        shop = Shop(pg, 'shop')
        card = pool(tap, shop)
        leftovers(tap, shop, card)
        crosswise(tap, shop)
        refused(tap, shop)
    tap.done()


main()
