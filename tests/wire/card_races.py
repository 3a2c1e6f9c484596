#!/usr/bin/python3
"""Copies and races of card operations: resends to both nodes, kill -9 between commit and answer, the last one in stock,
confirmations against the sweepers (spec/cards.md, acceptance).

card_races.py [--seed N] [--long]. --long: 10^4 rounds of a late confirmation against the sweepers.
"""
import random
import signal
import threading
import time

from family import INITIAL, P, T, TERMINATION, Hold, Silent, Site, Tap, arguments, hop, until
from card_shop import MILLION, Shop, again, content, held, insist, looked_at, order, wares



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


def crashed(tap, shop, rounds):
    """The database crashes while purchases and binds are on their way; the client resends until it is answered."""
    site, wrong, unanswered, bought = shop.site, [], 0, 0
    balance = site.money(1002)[0]
    for _ in range(rounds):
        names = [shop.purchase_id() for _ in range(12)]
        raws = [shop.ccr('PURCHASE', who=1002, more=order('cheap', p), link=n % 2) for n, p in enumerate(names)]
        for n, raw in enumerate(raws):
            shop.send(raw, n % 2)
        site.pg.kill()
        site.pg.start()
        for n, raw in enumerate(raws):
            answer = None
            for attempt in range(20):
                try:
                    answer = shop.answer(raw, n % 2, timeout=6)
                except Silent:
                    unanswered += 1
                if answer is not None and answer.result not in (3004, 5012):
                    break
                time.sleep(0.2)
                raw = again(raw, shop.links[n % 2], P | T)
                shop.send(raw, n % 2)
            bought += 1
            if answer is None or answer.result != 2001 or shop.cards_of(names[n]) != 1:
                wrong.append((names[n], answer))
    tap.equal(wrong[:3], [], f'{rounds} crashes of the database: each of {bought} purchases succeeds in the end, with one card')
    tap.equal(site.money(1002), (balance - bought * MILLION, 0), 'and one debit')
    print(f'# {unanswered} times no answer')


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


def main():
    args, tap = arguments(__doc__), Tap()
    print(f'# seed {args.seed}', flush=True)
    with Site(nodes=2, settings={'queue_age_ms': 3000}) as site:
        site.people(20)
        shop = Shop(site)
        wares(shop)
        copies(tap, shop)
        last_one(tap, shop, 100 if args.long else 20)
        crashed(tap, shop, 20 if args.long else 3)
        killed(tap, shop)
        late(tap, shop, random.Random(args.seed), 10_000 if args.long else 200)
        looked_at(tap, shop)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
