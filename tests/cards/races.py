#!/usr/bin/python3
"""Card operations by real connections at the same time: each race has one winner, and nothing is lost or paid twice.

races.py [--rounds N] [--only RACE] [--seed S]

Rounds of each race; --only sweep --rounds 10000 is the long run. Two (or more) connections are let go together; afterwards both
audits must find nothing, and nobody may have been left in a deadlock.
"""
import argparse
import collections
import os
import random
import threading
import time
import uuid

import psycopg2

from shop import (ALICE, BIND, BOB, CANCEL, CAROL, INITIAL, PURCHASE, REFUND, SPONSOR, STATISTICS, TERMINATE, Postgres, Shop)
from tap import Tap


class Runners:
    """Connections that each do something at the same moment."""

    def __init__(self, shop, count):
        self.shop = shop
        self.connections = [shop.connect() for _ in range(count)]

    def go(self, *works):
        """The results of the works, one each; an error is a result."""
        barrier, results = threading.Barrier(len(works)), [None] * len(works)

        def run(n, work):
            barrier.wait()
            try:
                results[n] = work(self.connections[n])
            except psycopg2.Error as e:
                results[n] = e
        threads = [threading.Thread(target=run, args=(n, work)) for n, work in enumerate(works)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return results


class Races:
    def __init__(self, tap, shop, rounds, random_):
        self.tap, self.shop, self.rounds, self.random = tap, shop, rounds, random_
        self.run, self.newest = Runners(shop, 6), 0

    def race(self, name, prepare, judge):
        """So many rounds: prepare returns the works; judge says what is wrong with their results, or nothing."""
        wrong, won = [], collections.Counter()
        for n in range(self.rounds):
            works, more = prepare()
            results = self.run.go(*works)
            errors = [r for r in results if isinstance(r, psycopg2.Error)]
            fault = f'{errors[0].pgcode}: {errors[0]}' if errors else judge(results, more)
            # What was won is given up: rows that grow with every round would race more and more slowly.
            self.shop.rows('''SELECT gyro.card_set_state(code, 4::smallint) FROM gyro.card_state
                               WHERE state <> 'REVOKED' AND product <> 'pool' AND card_id > %s''', self.newest)
            self.newest = self.shop.value('SELECT coalesce(max(card_id), 0) FROM gyro.card')
            if fault:
                wrong.append(f'round {n}: {fault}: {[getattr(r, "result", r) for r in results]}')
            else:
                won[' '.join(str(getattr(r, 'result', r)) for r in results)] += 1
        print(f'# {name}: {dict(won)}')
        self.tap.ok(not wrong, f'{name}: {self.rounds} rounds', '\n'.join(wrong[:5]))
        self.shop.clean(self.tap, name)
        return won

    def state(self, purchase):
        return self.shop.value('SELECT state FROM gyro.purchase_state WHERE purchase_id = %s', purchase)

    # --- the races

    def stock(self):
        """One left, three want it."""
        shop = self.shop

        def prepare():
            shop.rows("UPDATE gyro.product SET stock = 1 WHERE code = 'last'")
            return [lambda on, who=who, p=shop.unique('st'): shop.request(PURCHASE, who, product='last', purchase=p, on=on)
                    for who in (ALICE, BOB, CAROL)], None

        def judge(results, _):
            if sorted(r.result for r in results) != [2001, 4010, 4010]:
                return 'not exactly one got it'
            return shop.value("SELECT stock FROM gyro.product WHERE code = 'last'") != 0 and 'stock is not 0'
        self.race('the last one in stock', prepare, judge)

    def limit(self):
        """One per buyer, asked for twice with different Purchase-Ids."""
        shop = self.shop
        shop.product('one-each', audience='everyone', per_buyer=1)

        def prepare():
            ids = shop.unique('li'), shop.unique('li')
            return [lambda on, p=p: shop.request(PURCHASE, ALICE, product='one-each', purchase=p, on=on) for p in ids], ids

        def judge(results, ids):
            got = sorted(r.result for r in results)
            for p in ids:
                if self.state(p) == 'DONE':
                    shop.request(PURCHASE, ALICE, action=REFUND, purchase=p)
            return got != [2001, 4010] and 'not exactly one'
        self.race('one per buyer', prepare, judge)

    def copies(self):
        """Three copies of one request: the same answer, one card, one debit."""
        shop = self.shop

        def prepare():
            session, purchase = str(uuid.uuid4()), shop.unique('co')
            return [lambda on: shop.request(PURCHASE, BOB, session=session, product='cheap', purchase=purchase, on=on)] * 3, session

        def judge(results, session):
            count = shop.value('SELECT count(*) FROM gyro.record WHERE session::text = %s', session)
            return (len(set(map(str, results))) != 1 or results[0].result != 2001 or count != 1) and f'{count} records'
        self.race('copies of one request', prepare, judge)

    def names(self):
        """One Purchase-Id, in two sessions of one buyer, and by another one: the others are told the card, or refused."""
        shop = self.shop

        def prepare():
            purchase = shop.unique('na')
            return [lambda on, who=who: shop.request(PURCHASE, who, product='cheap', purchase=purchase, on=on)
                    for who in (BOB, BOB, CAROL)], purchase

        def judge(results, purchase):
            cards = {r.card for r in results if r.result == 2001}
            owner = shop.value('SELECT buyer FROM gyro.purchase WHERE purchase_id = %s', purchase)
            wanted = [2001, 2001, 5012] if owner == BOB else [5012, 5012, 2001]
            return (len(cards) != 1 or [r.result for r in results] != wanted) and f'bought by {owner}'
        self.race('one Purchase-Id', prepare, judge)

    def sweep(self):
        """The hold time ends while the purchase is confirmed, and cancelled: exactly one of them wins."""
        shop = self.shop

        def prepare():
            session, purchase = str(uuid.uuid4()), shop.unique('sw')
            shop.request(PURCHASE, ALICE, INITIAL, session=session, product='cheap', purchase=purchase)
            # Over a moment from now: sometimes the confirmation is in time.
            shop.rows('UPDATE gyro.purchase SET hold_until = clock_timestamp() + %s * interval \'1 microsecond\' WHERE purchase_id = %s',
                      self.random.choice((0, 1000, 10000, 60000)), purchase)

            def confirm(on):
                time.sleep(self.random.random() / 400)
                return shop.request(PURCHASE, 0, TERMINATE, 1, session=session, units=1, on=on)

            def sweep(on):
                time.sleep(self.random.random() / 400)
                return shop.value('SELECT gyro.purchase_sweep()', on=on)
            return [confirm, sweep, sweep, lambda on: self.random.random() < 0.3 and
                    shop.request(CANCEL, ALICE, purchase=purchase, on=on)], (session, purchase, shop.money(1))

        def judge(results, more):
            session, purchase, (balance, _) = more
            shop.value('SELECT gyro.purchase_sweep()')
            state, (after, reserved) = self.state(purchase), shop.money(1)
            debits = shop.rows('SELECT debit FROM gyro.record WHERE session::text = %s', session)
            if results[0].result == 2001:
                good = state == 'DONE' and debits == [(1000,)] and balance - after == 1000
            else:
                good = results[0].result == 5002 and state in ('EXPIRED', 'CANCELLED') and debits == [] and balance == after
            return (not good or reserved != 0) and f'{state}, debits {debits}, {balance} -> {after}, reserved {reserved}'
        won = self.race('sweeper against confirmation', prepare, judge)
        self.tap.ok({w.split()[0] for w in won} == {'2001', '5002'}, 'each of them won at times', dict(won))

    def bind(self):
        """One card, three users at once: one of them."""
        shop = self.shop

        def prepare():
            card = shop.buy('cheap', ALICE)
            return [lambda on, to=to: shop.request(BIND, ALICE, card=card, to=to, on=on) for to in (ALICE, BOB, CAROL)], card

        def judge(results, card):
            bound = shop.value('SELECT count(*) FROM gyro.card_binding JOIN gyro.card USING (card_id) WHERE code = %s AND unbound_at IS NULL', card)
            fault = (sorted(r.result for r in results) != [2001, 4010, 4010] or bound != 1) and f'{bound} bindings'
            shop.rows('SELECT gyro.card_set_state(%s, 4::smallint)', card)
            return fault
        self.race('one card, three users', prepare, judge)

    def crosswise(self):
        """Cards of three owners bound to each other, frozen and refunded meanwhile: nobody waits for ever."""
        shop = self.shop
        people = (ALICE, BOB, CAROL)

        def prepare():
            ids = [shop.unique('cr') for _ in people]
            cards = [shop.request(PURCHASE, who, product='cheap', purchase=p).card for who, p in zip(people, ids)]
            works = [lambda on, n=n: shop.request(BIND, people[n], card=cards[n], to=people[(n + 1) % 3], on=on) for n in range(3)]
            works += [lambda on, n=n: shop.request(PURCHASE, people[n], action=REFUND, purchase=ids[n], on=on) for n in range(2)]
            works += [lambda on: shop.rows('SELECT gyro.card_set_state(%s, 3::smallint)', cards[2], on=on)]
            return works, cards

        def judge(results, cards):
            shop.rows('SELECT gyro.card_set_state(%s, 4::smallint)', cards[2])
            bad = [r.result for r in results[:3] if r.result not in (2001, 4010)] + [r.result for r in results[3:5] if r.result != 2001]
            return bad and f'{bad}'
        self.race('crosswise bindings, refunds, a freeze', prepare, judge)

    def windows(self):
        """A pool drawn from by two users while its windows are closed by two: nothing is lost or paid twice."""
        shop = self.shop
        card = shop.buy('pool', SPONSOR)
        for who in (ALICE, BOB):
            shop.bind(card, who)
        before, drawn = shop.money(SPONSOR)[0], [0]

        def prepare():
            units = [self.random.randrange(1, 100) for _ in range(2)]
            drawn[0] += sum(units)
            return [lambda on: shop.draw(card, ALICE, 10, units[0], on=on), lambda on: shop.draw(card, BOB, 20, units[1], on=on),
                    *[lambda on: shop.request(STATISTICS, SPONSOR, card=card, on=on)] * 2], None

        def judge(results, _):
            return [r.result for r in results[2:]] != [2001, 2001] and 'refused'
        self.race('windows against usage', prepare, judge)
        shop.request(STATISTICS, SPONSOR, card=card)
        self.tap.equal((before - shop.money(SPONSOR)[0], shop.value('SELECT carry FROM gyro.card WHERE code = %s', card)), divmod(drawn[0] * 7, 3),
                       'all of it was paid, to the carried fraction')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--rounds', type=int, default=25)
    p.add_argument('--only', metavar='RACE', help='stock, limit, copies, names, sweep, bind, crosswise or windows')
    p.add_argument('--seed', type=int, default=int(os.environ.get('GYRO_SEED') or time.time_ns() % 10**9))
    args = p.parse_args()
    tap = Tap()
    print(f'# seed {args.seed}')
    with Postgres() as pg:
        shop = Shop(pg, 'shop')
        shop.rows("SELECT gyro.topup(n, 1000000000000, 'races') FROM generate_series(1, 4) n")
        shop.product('last', price=1000, audience='everyone', stock=0)
        shop.product('cheap', price=1000, audience='everyone')
        shop.product('pool', audience='everyone', directed=1, quota=1 << 50, max_bindings=9, settle=2, usage_price=7, usage_block=3)
        races = Races(tap, shop, args.rounds, random.Random(args.seed))
        for race in (races.stock, races.limit, races.copies, races.names, races.sweep, races.bind, races.crosswise, races.windows):
            if args.only in (None, race.__name__):
                race()
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
