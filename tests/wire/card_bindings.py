#!/usr/bin/python3
"""Bindings and statistics over Diameter on two nodes: user types, directed info, priorities, RARs, windows (spec/cards.md Z-7 to
Z-12), and all of it in tshark.

card_bindings.py [--seed N]
"""
import pathlib
import tempfile
import time

from family import INITIAL, TERMINATION, UPDATE, Site, Tap, arguments, service
from card_shop import MILLION, Shop, avp, beneficiary, bound, directed, failed, held, imsi, looked_at, wares
from tshark import Tshark

SAID = ('Card-Operation: PURCHASE (0)', 'Card-Operation: BIND (1)', 'Card-Operation: UNBIND (2)', 'Card-Operation: STATISTICS (3)',
        'Card-Operation: SET_PRIORITY (4)', 'Card-Operation: CANCEL (5)', 'Product-Id: general', 'Purchase-Id: p-1', 'User-Class: SPECIFIED (0)',
        'User-Class: NON_SPECIFIED (1)', 'Directed-App-Id: video', 'Directed-URL: cdn.spec.test/video/1', 'Use-Priority: 4294967295',
        'Directed-Flow: permit in ip from any to 192.0.2.3 80-90', 'Window-Id: ', 'Binding-Id: ', 'Card-Id: c1', 'vnd=Gyro')


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

    claimed = shop.card('general', 1010)
    answer = bind(claimed, 1010, more=[('User-Class', 1)])
    tap.equal(bound(answer)[:3], (2001, 0, []), 'Z-7 User-Class of the client is a hint: who is named is SPECIFIED, whatever it says')
    shop.ask('UNBIND', who=1010, more=[('Card-Id', claimed)])
    claimed = shop.card('required', 1010)
    answer = bind(claimed, 1010, more=[('User-Class', 0)])
    tap.equal((answer.result, failed(answer)), (5005, [avp('Directed-Traffic-Info', b'')]), 'Z-7 and who is not named needs directed info')

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
        used = s['CC-Total-Octets'] if s['CC-Time'] is None else f'{s["CC-Time"]} s'
        found.append((s['Card-Id'], s['Rating-Group'], used, amount, s['Window-Id']))
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
    talk = shop.card('talk', owner)
    shop.ask('BIND', who=owner, more=[('Card-Id', talk)])
    session, spoken = gateway.session(), [('CC-Time', 45)]
    gateway.charge(session, INITIAL, 0, [service(80)], who=imsi(owner))
    gateway.charge(session, TERMINATION, 1, [service(80, rsu=None, used=spoken)], who=imsi(owner))
    got = windows(shop.ask('STATISTICS', who=owner, more=[('Card-Id', talk)]))
    tap.equal([line[:4] for line in got], [(talk, 80, '45 s', 450_000)], 'Z-11 a card of seconds counts seconds')
    tap.equal(shop.ask('STATISTICS', who=1017, more=[('Card-Id', card)]).result, 4010, 'somebody else\'s card: 4010')
    answer = shop.ask('STATISTICS', who=1018)
    tap.equal((answer.result, windows(answer)), (2001, []), 'somebody without cards: nothing')


def sold(tap, shop):
    """What else tshark is to see: a purchase of each kind, held, paid, cancelled."""
    p, _ = held(shop, 'general', 1)
    answers = [shop.ask('CANCEL', more=[('Purchase-Id', p)]), shop.buy('general'),
               shop.ask('PURCHASE', action=2, more=[('Product-Id', 'general')]), shop.ask('PURCHASE', action=3, more=[('Product-Id', 'general')])]
    tap.equal([a.result for a in answers], [2001] * 4, 'purchases for tshark to see')


def decoded(tap, shop, folder):
    (folder / 'tshark').mkdir()
    folder.chmod(0o755)
    text, suspect = shop.decoded(Tshark(folder / 'tshark'), folder)
    tap.equal([words for words in SAID if words not in text], [], 'tshark shows the own AVPs by name')
    tap.equal(suspect, '', 'and finds no answer with anything unknown or malformed')


def main():
    args, tap = arguments(__doc__), Tap()
    print(f'# seed {args.seed}', flush=True)
    with Site(nodes=2, settings={'queue_age_ms': 3000}) as site, tempfile.TemporaryDirectory(prefix='gyro-cards-') as folder:
        site.people(20)
        shop = Shop(site)
        wares(shop)
        bindings(tap, shop)
        unbind_and_priority(tap, shop)
        reauthorised(tap, shop)
        statistics(tap, shop)
        sold(tap, shop)
        decoded(tap, shop, pathlib.Path(folder))
        looked_at(tap, shop)
    print(f'# seed {args.seed}')
    tap.done()


if __name__ == '__main__':
    main()
