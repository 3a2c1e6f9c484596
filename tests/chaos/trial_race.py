"""P14: grants never exceed the money. 64 sessions race on one account that holds the price of one grant, at two nodes.

And two subscribers race for one Session-Id, at two nodes (a broken gateway): one is served, the other is refused until
the first has ended, and no session is left that nobody supervises."""
import time

import wire
from client import INITIAL, TERMINATION, UPDATE, Client, Request, Service, Settings
from proof import audited, figures
from stack import FIRST_IMSI, Stack, subscribers

RACERS = 64
GROUP, PRICE, BLOCK, GRANT = 10, 100003, 1048576, 10485760
ONE_GRANT = -(-GRANT * PRICE // BLOCK)


def racer(client, imsi, rng, race):
    """Asks, uses all of it, asks again, until it gets nothing; what it holds is in the race's hands."""
    session, number, used = client.session_id(), 0, 0
    request = Request(session, imsi, INITIAL, 0, [Service(GROUP, wire.OCTETS)])
    yield [request]
    for number in range(1, 4):
        granted = request.granted().get(GROUP, 0)
        if number == 1:
            race['at once'] += granted
            race['opened'] += request.outcome == 'ok'
            race['left'] -= 1
            while race['left'] > 0:      # nobody gives back before all have asked
                yield 0.01
        if request.outcome != 'ok' or granted == 0:
            break
        used += granted
        request = Request(session, imsi, UPDATE, number, [Service(GROUP, wire.OCTETS, granted)])
        yield [request]
    race['due'] += used * PRICE // BLOCK
    yield [Request(session, imsi, TERMINATION, 5, [Service(GROUP, wire.OCTETS, 0, False)])]


def one_race(stack, client, rng, n, money):
    race = {'at once': 0, 'due': 0, 'opened': 0, 'left': RACERS}
    stack.pg.query(subscribers(1, money, first=n))
    for _ in range(RACERS):
        client.start(racer(client, client.imsi(n), rng, race))
    end = time.monotonic() + 60
    while client.running and time.monotonic() < end:
        client.turn()
    return race


def twin(client, session, imsi, node, pair):
    """Opens, under a Session-Id that another subscriber uses at the same moment; ends."""
    opening = Request(session, imsi, INITIAL, 0, [Service(GROUP, wire.OCTETS)], node)
    yield [opening]
    if opening.outcome == 'ok':
        pair['open'] += 1
        pair['most'] = max(pair['most'], pair['open'])
        yield 0.05
        pair['open'] -= 1
        yield [Request(session, imsi, TERMINATION, 1, [Service(GROUP, wire.OCTETS, 1000, False)])]


def twins(tap, stack, rng, pairs):
    name = 'P14 two subscribers, one Session-Id'
    stack.pg.query(subscribers(40, 10**9, first=1000))
    log = str(stack.home / 'twins.log')
    client = Client(Settings(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), sessions=24, first_imsi=FIRST_IMSI))
    todo, found = [], []
    for _ in range(pairs):
        session, both, pair = client.session_id(), rng.sample(range(1000, 1040), 2), {'open': 0, 'most': 0}
        found.append(pair)
        todo += [twin(client, session, client.imsi(n), node.name, pair) for n, node in zip(both, stack.nodes)]

    def more():
        if not todo:
            return False
        for _ in range(2):
            client.start(todo.pop())
        return True
    client.run(more, 120)
    waited = stack.pg.value("SELECT count(*) FROM (SELECT FROM gyro.record GROUP BY session HAVING count(DISTINCT account_id) = 2) x")
    figures(name, pairs=pairs, served_one_after_the_other=waited, **client.count)
    tap.ok(client.count['ok'] > pairs and client.count['transient'] > 0, f'{name}: one is served, the other refused',
           client.count)
    both = sum(pair['most'] > 1 for pair in found)
    tap.ok(both == 0, f'{name}: never both at once', f'{both} of {pairs}')
    return log


def run(tap, build, rng, rounds, keep, short):
    name = 'P14 a race for one grant'
    races = max(3, rounds // 4) if short else max(3, rounds)
    with Stack(build, keep=keep, subscribers=1) as stack:
        log = str(stack.home / 'client.log')
        client = Client(Settings(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), sessions=RACERS, copies_percent=20,
                                 first_imsi=FIRST_IMSI))
        over, opened, got, negative = [], 0, [], []
        for n in range(1, races + 1):
            # Exactly one grant, a little less, a little more, half of one, nothing at all.
            money = max(0, rng.choice((ONE_GRANT, ONE_GRANT - rng.randint(1, 9), ONE_GRANT + rng.randint(1, 9),
                                       ONE_GRANT // 2, 0, 1)))
            race = one_race(stack, client, rng, n, money)
            opened += race['opened']
            got.append(race['at once'])
            if -(-race['at once'] * PRICE // BLOCK) > money or race['due'] > money:
                over.append((money, race))
            balance = int(stack.pg.value(f'SELECT balance FROM gyro.account WHERE account_id = {1000 + n}'))
            if balance < 0 or balance != money - race['due']:
                negative.append((money, race, balance))
        client.run(lambda: False, 5)
        figures(name, races=races, racers=RACERS, opened=opened, races_in_which_somebody_got_something=sum(g > 0 for g in got),
                over_grants=len(over), **client.count)
        tap.ok(client.count['unknown'] == 0 and opened > 0, f'{name}: all were answered', client.count)
        tap.ok(not over, f'{name}: never granted more than the money pays for', over[:5])
        tap.ok(any(got), f'{name}: and somebody was granted it')
        tap.ok(not negative, f'{name}: the balance is what was not used, and not below zero', negative[:5])
        audited(tap, stack, [log, twins(tap, stack, rng, 60 if short else 1000)], name)
