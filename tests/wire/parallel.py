#!/usr/bin/python3
"""One account, several connections, two nodes (TC-35, TC-57, TC-85, TC-90, P2, P14, G-24 to G-28, G-84 to G-91).

parallel.py [--seed N] [--long]. Every acknowledged request has its own debit, every duplicate has none and gets the same
answer, and no two grants meet the same money.
"""
import random
import time

from family import (INITIAL, MSCC, P, T, TERMINATION, UPDATE, Hold, Site, Tap, arguments, collect, hop, service, until)

MIB, MILLION = 1 << 20, 1_000_000


def grants(answer):
    return [s['Granted-Service-Unit/CC-Total-Octets'] for s in answer.services]


def content(answer):
    """What of an answer must be the same in a duplicate's: all but header, Proxy-Info and who said it."""
    return [a.raw for a in answer.avps if a.name not in ('Proxy-Info', 'Origin-Host')]


def again(raw, gateway, flags=None):
    """The same request with another Hop-by-Hop id, the same End-to-End id."""
    changed = bytearray(raw)
    changed[12:16] = (next(gateway.numbers) & 0xffffffff).to_bytes(4, 'big')
    if flags is not None:
        changed[4] = 0x80 | flags
    return bytes(changed)


def many_services(tap, site, links):
    """TC-35: ten updates of one session at once, on two connections; TC-57: fifty services in one request."""
    session = links[0].session()
    links[0].charge(session, INITIAL, 0, [])
    sent, balance = {}, site.money(1)[0]
    for n in range(1, 11):
        raw = links[n % 2].ccr(session, UPDATE, n, [service(100 + n)])
        sent[hop(raw)] = n
        links[n % 2].send(raw)
    got = {**collect(links[0], {h for h, n in sent.items() if n % 2 == 0}, 5),
           **collect(links[1], {h for h, n in sent.items() if n % 2 == 1}, 5)}
    tap.equal(sorted(got), sorted(sent), 'TC-35 ten parallel updates on two connections: ten answers')
    right = [(a.result, a['CC-Request-Number'], [s['Rating-Group'] for s in a.services], grants(a)) for a in got.values()]
    tap.equal(sorted(right), [(2001, n, [100 + n], [10 * MIB]) for n in range(1, 11)], 'TC-35 each with its own number and grant')
    tap.equal(site.money(1), (balance, 10 * MILLION), 'TC-35 the reservations add up')
    links[1].charge(session, TERMINATION, 11, [])
    tap.equal(site.money(1), (balance, 0), 'TC-35 the end releases all of them')

    site.pg.query("INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, validity_s) "
                  f"SELECT n, 'many ' || n, {MIB}, {MIB}, 3600 FROM generate_series(201, 250) n")
    site.pg.query('INSERT INTO gyro.specific_rule (tariff_id, rating_group, price_micros, block) '
                  f'SELECT (SELECT min(tariff_id) FROM gyro.specific_tariff), n, 100000, {MIB} FROM generate_series(201, 250) n')
    session, number = links[0].session(), 0
    # Nodes look for a changed catalogue once a second.
    answer = until(lambda: fifty(links[0], links[0].session()), 5, 0.3)
    tap.ok(answer is not None, 'TC-57 a node learns of fifty new Rating-Groups')
    answer = links[0].charge(session, INITIAL, number, [service(n) for n in range(201, 251)])
    tap.equal([(s['Rating-Group'], s['Result-Code']) for s in answer.services], [(n, 2001) for n in range(201, 251)],
              'TC-57 fifty Rating-Groups in one request: fifty services, in order')
    tap.ok(len(answer.raw) <= 65536, 'TC-57 in no more than 64 KiB', len(answer.raw))
    answer = links[0].charge(session, UPDATE, 1, [service(n, used=MIB) for n in range(201, 251)])
    tap.equal((len(answer.services), site.records(session)), (50, (2, 50 * 100_000)), 'TC-57 one record, fifty debits')
    links[0].charge(session, TERMINATION, 2, [])
    tap.equal(site.money(1)[1], 0, 'TC-57 nothing is held after the end')


def fifty(gateway, session):
    answer = gateway.charge(session, INITIAL, 0, [service(250)])
    gateway.charge(session, TERMINATION, 1, [])
    return answer if answer.services[0]['Result-Code'] == 2001 else None


def copies(tap, site, links, rng, rounds):
    """TC-85, G-87: a copy with T to the other node, before, after, or together with the original."""
    session, balance = links[0].session(), site.money(1000)[0]
    imsi = '460020000001000'
    links[0].charge(session, INITIAL, 0, [service(10)], who=imsi)
    original = links[0].ccr(session, UPDATE, 1, [service(10, used=MIB)], who=imsi)
    first = links[1].ask(again(original, links[1], P | T))
    time.sleep(0.1)
    second = links[0].ask(original)
    tap.equal((first.result, second.result), (2001, 2001), 'TC-85 the T-copy first, the original 100 ms later, at two nodes')
    tap.equal(content(first), content(second), 'TC-85 equal answers')
    tap.equal(site.records(session), (2, 100_000), 'TC-85 one debit')
    different = lost = 0
    for number in range(2, rounds + 2):
        original = links[0].ccr(session, UPDATE, number, [service(10, used=MIB)], who=imsi)
        pair = [(links[0], original), (links[1], again(original, links[1], P | rng.choice((0, T))))]
        rng.shuffle(pair)
        for gateway, raw in pair:
            gateway.send(raw)
            if rng.random() < 0.3:
                time.sleep(rng.random() / 100)
        got = [collect(gateway, {hop(raw)}, 5) for gateway, raw in pair]
        if any(not g for g in got):
            lost += 1
            continue
        one, two = (next(iter(g.values())) for g in got)
        different += one.result != 2001 or content(one) != content(two)
    tap.equal((lost, different), (0, 0), f'G-87 {rounds} times both at once: two equal answers')
    tap.equal(site.records(session), (rounds + 2, (rounds + 1) * 100_000), 'G-87 one debit each')
    links[0].charge(session, TERMINATION, rounds + 2, [], who=imsi)
    tap.equal(site.money(1000), (balance - (rounds + 1) * 100_000, 0), 'G-87 and no other')


def blocked(tap, site, links):
    """TC-90, G-88: a duplicate comes while the first is blocked on a row lock."""
    imsi, session = '460020000001001', links[0].session()
    links[0].charge(session, INITIAL, 0, [service(10)], who=imsi)
    for number, other, flags in ((1, 0, P), (2, 0, P | T), (3, 1, P), (4, 1, P | T)):
        original = links[0].ccr(session, UPDATE, number, [service(10, used=MIB)], who=imsi)
        copy = again(original, links[other], flags)
        with Hold(site, 1001):
            links[0].send(original)
            time.sleep(0.1)
            links[other].send(copy)
            time.sleep(0.2)
        got = [collect(links[0], {hop(original)}, 5), collect(links[other], {hop(copy)}, 5 if other else 1)]
        answers = [next(iter(g.values())) for g in got if g]
        where = 'the other node' if other else 'the same node'
        name = f'TC-90 a duplicate to {where}{" with T" if flags & T else ""} while the first is blocked'
        tap.ok(got[0] and all(a.result == 2001 and content(a) == content(answers[0]) for a in answers),
               f'{name}: both answered alike, or the second dropped', answers)
        tap.equal(site.records(session), (number + 1, number * 100_000), f'{name}: one debit')
    links[0].charge(session, TERMINATION, 5, [], who=imsi)


def any_order(tap, site, links, rng, count):
    """P2, G-25, G-26: different numbers of one session at the same time at two nodes, in any order, some of them repeated."""
    imsi, session = '460020000001002', links[0].session()
    links[0].charge(session, INITIAL, 0, [service(10, rsu=MIB)], who=imsi)
    wanted, sent = {}, [{}, {}]
    requests = []
    for number in range(1, count + 1):
        raw = links[0].ccr(session, UPDATE, number, [service(10, rsu=MIB, used=1024 * number)], who=imsi,
                           end_to_end=0x5000000 + number)
        wanted[number] = 1024 * number
        copies = 1 + (rng.random() < 0.2) * rng.randrange(1, 4)
        for _ in range(copies):
            requests.append((number, raw))
    # Near each other in time, not in order.
    requests = [r for _, r in sorted(enumerate(requests), key=lambda p: p[0] + rng.randrange(24))]
    window = 32
    answers = {}
    for at in range(0, len(requests), window):
        part = [{}, {}]
        for number, raw in requests[at:at + window]:
            k = rng.randrange(2)
            copy = again(raw, links[k], P | (T if rng.random() < 0.3 else 0))
            part[k][hop(copy)] = number
            links[k].send(copy)
        for k in range(2):
            for h, answer in collect(links[k], set(part[k]), 5).items():
                answers.setdefault(part[k][h], []).append(answer)
    silent = [n for n in wanted if n not in answers]
    refused = [(n, a.result) for n, every in answers.items() for a in every if a.result != 2001]
    unequal = [n for n, every in answers.items() if any(content(a) != content(every[0]) for a in every)]
    tap.equal((silent, refused), ([], []), f'P2 {len(requests)} requests with {count} numbers to two nodes, in any order: all succeed')
    tap.equal(unequal, [], 'P2 copies get equal answers')
    numbers = site.pg.query("SELECT request_number, count(*) FROM gyro.record r JOIN gyro.session_index i USING (session) "
                            f"WHERE i.session_id = '{session}' AND request_type = 2 GROUP BY 1 ORDER BY 1")
    tap.equal([(int(n), int(c)) for n, c in numbers], [(n, 1) for n in range(1, count + 1)], 'P2 each number has one record, none is missing')
    end = links[1].charge(session, TERMINATION, count + 1, [], who=imsi)
    total = sum(wanted.values())
    debit = site.records(session)[1]
    # A block is a MiB: the remainder that has not come to a micro-unit is carried.
    tap.ok(end.result == 2001 and 0 <= total * 100_000 - debit * MIB < MIB, 'P2 the debits are exact to the micro-unit',
           f'{total} octets, {debit} micro-units')


def race(tap, site, links, rng):
    """P14: 64 sessions at two nodes race for three MiB."""
    sent = [{}, {}]
    batch = [(k, links[k].ccr(links[k].session(), INITIAL, 0, [service(10, rsu=MIB)], who='460001000000002'))
             for k in (0, 1) for _ in range(32)]
    rng.shuffle(batch)
    for k, raw in batch:
        sent[k][hop(raw)] = raw
        links[k].send(raw)
    got = [a for k in (0, 1) for a in collect(links[k], set(sent[k]), 8).values()]
    total = sum(g or 0 for a in got for g in grants(a))
    codes = {a.services[0]['Result-Code'] if a.services else a.result for a in got}
    tap.ok(len(got) == 64 and total == 3 * MIB and codes <= {2001, 4012, 5012},
           'P14 64 sessions race for three MiB: exactly three are granted', f'{len(got)} answers, {total} octets, {codes}')
    balance, reserved = site.money(2)
    tap.ok(0 <= balance - reserved, 'P14 no more is held than there is', f'{balance} {reserved}')


def across(tap, site, links):
    """G-90: a session opened at one node goes on at the other, with and without identity, and ends there."""
    imsi, session = '460020000001003', links[0].session()
    codes = [links[0].charge(session, INITIAL, 0, [service(10)], who=imsi).result,
             links[1].charge(session, UPDATE, 1, [service(10, used=MIB)], who=None).result,
             links[0].charge(session, UPDATE, 2, [service(10, used=MIB)], who=imsi).result,
             links[1].charge(session, TERMINATION, 3, [service(10, rsu=None, used=MIB)], who=None).result,
             links[0].charge(session, UPDATE, 4, [service(10, used=MIB)], who=imsi).result]
    tap.equal(codes, [2001, 2001, 2001, 2001, 5002], 'G-90 a session at two nodes in turn')
    tap.equal(site.records(session), (5, 400_000), 'G-28 and what comes late is charged once, and answered 5002')
    bar = links[0].session()
    links[1].charge(bar, INITIAL, 0, [service(10)], who=imsi)
    site.gyroctl('subscriber', 'bar', '--imsi', imsi)
    answer = links[0].charge(bar, UPDATE, 1, [service(10, used=MIB)], who=imsi)
    code = answer.services[0]['Result-Code'] if answer.services else answer.result
    tap.equal((code, site.records(bar)[1]), (4010, 100_000), 'TC-44 a barring is in force at every node at once; usage is debited')


def unmatched(tap, site, links, count):
    """G-24: usage of sessions never seen is kept, each report once, and answered soon."""
    batch = [links[0].ccr(f'never;seen;{n}', UPDATE, 1, [service(10, used=n + 1)], who='460020000001004') for n in range(count)]
    begin = time.monotonic()
    for k in (0, 1):
        links[k].send(b''.join(again(raw, links[k]) if k else raw for raw in batch))
    first = collect(links[0], {hop(raw) for raw in batch}, 10)
    took = time.monotonic() - begin
    until(lambda: kept(site) == count, 10)
    tap.equal({a.result for a in first.values()}, {5002}, f'G-24 {count} reports of sessions never seen, to both nodes: 5002')
    tap.ok(len(first) == count, 'G-24 all answered', f'{len(first)} after {took:.1f} s')
    tap.equal((kept(site), int(site.pg.value('SELECT sum(usage[1][3]) FROM gyro.unmatched_usage'))),
              (count, count * (count + 1) // 2), 'G-24 each is kept once')
    tap.equal(site.money(1004), (1000 * MILLION, 0), 'G-24 and charged to nobody')
    collect(links[1], set(), 0)


def kept(site):
    return int(site.pg.value('SELECT count(*) FROM gyro.unmatched_usage'))


def main():
    args, tap = arguments(__doc__), Tap()
    rng = random.Random(args.seed)
    print(f'# seed {args.seed}', flush=True)
    # Patience for a machine that does other things as well: nothing here is about time.
    with Site(nodes=2, settings={'queue_age_ms': 3000}) as site:
        site.people(10)
        links = [node.client('pgw1', timeout=20) for node in site.nodes]
        many_services(tap, site, links)
        copies(tap, site, links, rng, 400 if args.long else 60)
        blocked(tap, site, links)
        any_order(tap, site, links, rng, 3000 if args.long else 400)
        race(tap, site, links, rng)
        across(tap, site, links)
        unmatched(tap, site, links, 300)
        site.check(tap)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
