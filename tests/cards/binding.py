#!/usr/bin/python3
"""Bindings in SQL: the server decides the user's class; directed info becomes Rating-Groups; limits, order, validity
(spec/cards.md Z-7 to Z-12).

binding.py
"""
import time

from shop import ALICE, AMY, BIND, BOB, CAROL, FOREVER, PRIORITY, SPONSOR, STATISTICS, UNBIND, Postgres, Shop
from tap import Tap

GENERAL, DIRECTED = 'general', 'directed'
SPECIFIED, OTHER = 0, 1

URLS = (
    ('video', 'video.example'), ('video', 'cdn.example/video'), ('music', 'music.video.example'), ('music', 'cdn.example/video/songs'),
    ('maps', 'maps.example'), ('twin', 'twin.example'), ('maps', 'twin.example'), ('bare', 'bare.example'), ('maps', 'x-n--p_1.example'),
    ('maps', 'xn--mnchen-3ya.example'),
)

# URL, the app or words of the refusal.
RESOLVED = (
    ('video.example', 'video'),
    ('https://video.example', 'video'),
    ('https://video.example/', 'video'),
    ('HTTPS://WWW.Video.EXAMPLE/Any/Path?q=1#f', 'video'),
    ('a.b.c.video.example', 'video'),
    ('music.video.example', 'music'),
    ('live.music.video.example/x', 'music'),
    ('video.example.', 'video'),
    ('video.example:8443/x', 'video'),
    ('http://video.example:80/', 'video'),
    ('http://user:secret@video.example/x', 'video'),
    ('http://video.example?x', 'video'),
    ('http://video.example#x', 'video'),
    ('http://maps.example/?u=http://video.example', 'maps'),
    ('http://video.example@maps.example/', 'maps'),
    ('http://maps.example/video.example', 'maps'),
    ('cdn.example/video', 'video'),
    ('cdn.example/video/x', 'video'),
    ('cdn.example/videos', 'video'),
    ('cdn.example/video/songs/1', 'music'),
    ('x-n--p_1.example', 'maps'),
    ('xn--mnchen-3ya.example', 'maps'),
    ('cdn.example', None, ['no app']),
    ('cdn.example/vide', None, ['no app']),
    ('evilvideo.example', None, ['no app']),
    ('video.example.evil', None, ['no app']),
    ('video.exampl', None, ['no app']),
    ('twin.example', None, ['more than one']),
    ('http://maps.example@video.example@evil/', None, ['not a URL']),
    ('http://evil\\@video.example/', None, ['not a URL']),
    ('http://evil/\\@video.example/', None, ['not a URL']),
    ('http://evil?@video.example/', None, ['no app']),
    ('http://evil#@video.example/', None, ['no app']),
    ('cdn.example/free/../video', None, ['not a URL']),
    ('cdn.example/./video', None, ['not a URL']),
    ('cdn.example/%2E%2e/video', None, ['not a URL']),
    ('video.example evil', None, ['not a URL']),
    ('video.example\u00e9', None, ['not a URL']),
    ('m\u00fcnchen.example', None, ['not a URL']),
    ('\u0432ideo.example', None, ['not a URL']),
    ('http://[2001:db8::1]/', None, ['not a URL']),
    ('http:///video.example', None, ['not a URL']),
    ('.video.example', None, ['not a URL']),
    ('video..example', None, ['not a URL']),
    ('video.example:port', None, ['not a URL']),
    ('video.example:', None, ['not a URL']),
    ('video.example:123456', None, ['not a URL']),
    ('/', None, ['not a URL']),
    (' ', None, ['not a URL']),
)

FLOWS = (
    ('video', -1, '198.51.100.0/24', 0, 65535), ('music', 6, '198.51.100.0/24', 443, 443), ('maps', 6, '198.51.100.128/25', 0, 65535),
    ('maps', 17, '2001:db8::/32', 8000, 8999), ('video', 6, '203.0.113.7', 80, 80), ('music', 6, '203.0.113.7', 80, 80),
)
RULES = (
    ('permit out ip from 198.51.100.9 to any', 'video'),
    ('permit out ip from 198.51.100.0/25 to 10.0.0.1', 'video'),
    ('permit in ip from any to 198.51.100.9', 'video'),
    ('permit out 17 from 198.51.100.9 53 to any', 'video'),
    ('permit out 6 from 198.51.100.9 443 to any', 'music'),
    ('permit out 6 from 198.51.100.9 443-443 to any 1024-65535', 'music'),
    ('permit in 6 from 10.0.0.1 5000 to 198.51.100.9 443', 'music'),
    ('permit out 006 from 198.51.100.9 443 to any frag', 'music'),
    ('permit out 6 from 198.51.100.200 443 to any', 'maps'),
    ('permit out 17 from 2001:db8::5 8500-8600 to any', 'maps'),
    ('permit out 6 from 198.51.100.9 440-450 to any', 'video'),
    ('permit out 17 from 2001:db8::5 8500-9100 to any', None, ['no app']),
    ('permit out ip from 2001:db8::5 8500 to any', None, ['no app']),
    ('permit out 6 from 198.51.0.0/16 to any', None, ['no app']),
    ('permit out 6 from 192.0.2.1 to any', None, ['no app']),
    ('permit out 300 from 192.0.2.1 to any', None, ['no app']),
    ('permit out 17 from 2001:db8::5 8600-8500 to any', None, ['no app']),
    ('permit out 6 from 203.0.113.7 80 to any', None, ['more than one']),
    ('permit out ip from any to any', None, ['no address']),
    ('permit out ip from !198.51.100.9 to any', None, ['no address']),
    ('permit out 6 from 198.51.100.9 99999999999 to any', None, ['no address']),
    ('deny out ip from 198.51.100.9 to any', None, ['not a permit rule']),
    ('permit out 6 from 198.51.100.9 80,443 to any', None, ['not a permit rule']),
    ('permit up ip from 198.51.100.9 to any', None, ['not a permit rule']),
    ('198.51.100.9', None, ['not a permit rule']),
)


def refused(tap, reply, code, words, name, avp=None, index=0):
    got = reply.result, reply.failed_code, all(w in (reply.message or '') for w in words), reply.failed_index
    tap.ok(got == (code, avp, True, index), name, f'wanted {code}, AVP {avp}, {words}; got {reply}')


def registry(shop):
    for app, pattern in URLS:
        shop.rows('INSERT INTO gyro.app_url SELECT app_id, %s FROM gyro.app WHERE name = %s', pattern, app)
    for app, protocol, network, low, high in FLOWS:
        shop.rows('INSERT INTO gyro.app_flow SELECT app_id, %s, %s, %s, %s FROM gyro.app WHERE name = %s', protocol, network, low, high, app)
    shop.rows("DELETE FROM gyro.app_target USING gyro.app a WHERE a.app_id = app_target.app_id AND name = 'bare'")


def products(shop):
    shop.product('open', audience='everyone', quota=100000)
    shop.product('friends', audience='friends')
    shop.product('gold', audience='gold')
    shop.product('either', audience='friends', directed=1)
    shop.product('tied', directed=2)
    shop.product('tied-named', directed=2, audience='everyone')
    shop.product('video-only', directed=2, app='video')
    shop.product('video-either', directed=1, app='video', audience='everyone')
    shop.product('pool', audience='everyone', directed=1, max_bindings=2, settle=2, usage_price=1, cap=500)
    shop.product('friends-pool', audience='friends', max_bindings=9)
    shop.product('by-expiry', audience='everyone', priority_policy=2)
    shop.product('fixed', audience='everyone', priority_policy=3, priority=4000000000)
    shop.product('from-bind', audience='everyone', validity_s=3600, validity_from=2)
    shop.product('from-use', audience='everyone', validity_s=3600, validity_from=3)
    shop.product('from-purchase', audience='everyone', validity_s=3600)
    shop.product('second', audience='everyone', validity_s=1)


def resolve(tap, shop):
    for url, app, *words in RESOLVED:
        found, why = shop.rows('SELECT (SELECT name FROM gyro.app WHERE app_id = u.app), u.why FROM gyro.app_of_url(%s) u', url)[0]
        tap.ok(found == app and all(w in (why or '') for w in (words[0] if words else [])), f'URL {url}: {app or why}', (found, why))
    for rule, app, *words in RULES:
        found, why = shop.rows('SELECT (SELECT name FROM gyro.app WHERE app_id = f.app), f.why FROM gyro.app_of_flow(%s) f', rule)[0]
        tap.ok(found == app and all(w in (why or '') for w in (words[0] if words else [])), f'flow {rule}: {app or why}', (found, why))
    for pattern in ('Video.example', '.example', 'a..example', 'a.example.', 'a.example/Path', 'a example', ''):
        try:
            shop.rows('INSERT INTO gyro.app_url SELECT app_id, %s FROM gyro.app LIMIT 1', pattern)
            tap.ok(False, f'a pattern {pattern} is refused by the registry')
        except Exception as e:
            tap.ok('check constraint' in str(e), f'a pattern {pattern!r} is refused by the registry', e)


def classes(tap, shop):
    def bound(card, who=ALICE, by=None, **info):
        return shop.request(BIND, by or who, card=card, to=who, **info)

    def kind(reply):
        return reply.result, reply.user_class, reply.targets
    tap.equal(kind(bound(shop.buy('open'))), (2001, SPECIFIED, []), 'named by everyone: specified, general')
    tap.equal(kind(bound(shop.buy('friends', to=BOB), BOB)), (2001, SPECIFIED, []), 'named by a list')
    card = shop.buy('friends')
    refused(tap, bound(card, CAROL, ALICE), 4010, ['not for this subscriber'], 'not on the list, and the card takes no directed info')
    refused(tap, bound(card, ALICE, apps='video'), 4010, ['no directed info'], 'on the list, but with directed info')
    shop.rows("SELECT gyro.attribute_set(3, 'tier', 'gold')")
    gold = shop.buy('gold', CAROL)
    tap.equal(kind(bound(gold, CAROL)), (2001, SPECIFIED, []), 'named by a segment')
    shop.rows("SELECT gyro.attribute_set(3, 'tier', 'silver')")
    refused(tap, shop.request(0, CAROL, product='gold', purchase=shop.unique()), 4010, ['not for this'], 'no more of the segment')
    tap.equal(kind(bound(gold, CAROL)), (2001, SPECIFIED, []), 'what was bound stays as it is')
    either = shop.buy('either')
    refused(tap, bound(either, CAROL, ALICE), 5005, ['directed info'], 'not named, no directed info', 6)
    tap.equal(kind(bound(either, CAROL, ALICE, apps='video')), (2001, OTHER, [20]), 'not named, with an app: directed')
    tap.equal(kind(bound(shop.buy('either'))), (2001, SPECIFIED, []), 'named, without: general')
    tap.equal(kind(bound(shop.buy('either'), apps='video')), (2001, SPECIFIED, [20]), 'named, with an app: directed')
    refused(tap, bound(shop.buy('tied-named')), 5005, ['directed info'], 'directed info is required of named ones, too', 6)
    tap.equal(kind(bound(shop.buy('tied'), apps='video')), (2001, OTHER, [20]), 'tied to what the user says')
    tap.equal(kind(bound(shop.buy('tied'), apps=['video', 'music', 'video'])), (2001, OTHER, [20, 21]), 'several apps')
    tap.equal(kind(bound(shop.buy('tied'), apps=['video', ''], urls=['', 'maps.example'])), (2001, OTHER, [20, 30]), 'an app and a URL')
    tap.equal(kind(bound(shop.buy('tied'), flows='permit out 6 from 198.51.100.9 443 to any')), (2001, OTHER, [21]), 'a flow')
    tap.equal(shop.rows('SELECT service_id FROM gyro.binding_target WHERE rating_group = 21'), [(5,), (5,)], 'with the service of the app')
    tied = shop.buy('tied')
    refused(tap, bound(tied, apps='nothing'), 5004, ['no such app'], 'an app that there is not', 7)
    refused(tap, bound(tied, apps=['video', 'nothing']), 5004, ['no such app'], 'the second of two', 7, 1)
    refused(tap, bound(tied, urls='nothing.example'), 5004, ['no app'], 'a URL of no app', 8)
    refused(tap, bound(tied, urls=['video.example', 'twin.example']), 5004, ['more than one'], 'an ambiguous URL', 8, 1)
    refused(tap, bound(tied, flows='permit out ip from any to any'), 5004, ['no address'], 'a flow of everything', 9)
    refused(tap, bound(tied, apps=['']), 5005, ['empty'], 'directed info without anything in it', 6)
    refused(tap, bound(tied, apps='bare'), 5004, ['no Rating-Group'], 'an app that gateways don\'t report', 6)
    tap.equal(kind(bound(shop.buy('video-only'), urls='www.video.example')), (2001, OTHER, [20]), 'exclusive, with a URL of its app')
    only = shop.buy('video-only')
    refused(tap, bound(only, apps='music'), 4010, ['another app'], 'exclusive, with another app')
    refused(tap, bound(only, apps=['video', 'music']), 4010, ['another app'], 'with both')
    refused(tap, bound(shop.buy('video-either')), 5005, ['directed info'], 'an exclusive card is never general', 6)
    tap.equal(shop.value('SELECT count(*) FROM gyro.card_binding b WHERE user_class = 1 AND NOT directed'), 0, 'nobody unnamed has a general one')


def ownership(tap, shop):
    card = shop.buy('open', BOB)
    refused(tap, shop.bind(card, CAROL), 4010, ['not the owner'], "somebody else's card")
    refused(tap, shop.bind('nothing', BOB), 5004, ['no such card'], 'a card that there is not', 4)
    refused(tap, shop.bind('', BOB), 5005, ['Card-Id'], 'no card', 4)
    refused(tap, shop.request(BIND, BOB, kind=1, card=card), 5004, ['CCR-E'], 'by a CCR-I', 416)
    refused(tap, shop.request(9, BOB, card=card), 5004, ['no such Card-Operation'], 'an operation that there is not', 1)
    refused(tap, shop.bind(card, BOB, to='nobody'), 5030, ['beneficiary'], 'for nobody known', 13)
    first = shop.bind(card, BOB)
    tap.equal(shop.bind(card, BOB)._replace(validity_s=None), first, 'again: the same binding')
    refused(tap, shop.bind(card, BOB, to=CAROL), 4010, ['bound already'], 'to a second user')
    refused(tap, shop.request(UNBIND, CAROL, card=card, to=BOB), 4010, ['not the owner'], 'unbound by somebody else')
    refused(tap, shop.request(UNBIND, BOB, card=card, to=CAROL), 4010, ['not bound'], 'from whom it is not bound to')
    gone = shop.request(UNBIND, BOB, card=card)
    tap.equal((gone.result, gone.binding), (2001, first.binding), 'unbound')
    tap.equal(shop.request(UNBIND, BOB, card=card).binding, first.binding, 'again: the same answer')
    again = shop.bind(card, BOB, to=CAROL)
    tap.ok(again.result == 2001 and again.binding != first.binding, 'then to another', again)
    tap.equal(shop.request(UNBIND, CAROL, card=card).result, 2001, 'who may unbind it, too')
    gift = shop.buy('open', BOB, to=CAROL)
    tap.equal(shop.bind(gift, CAROL).result, 2001, 'a gift is bound by whom it is for')
    tap.equal(shop.request(UNBIND, BOB, card=gift, to=CAROL).result, 2001, 'or unbound by the giver')


def pools(tap, shop):
    pool = shop.buy('pool', SPONSOR)
    refused(tap, shop.bind(pool, BOB, to=CAROL), 4010, ['not the owner'], 'nobody brings others into a pool')
    one = shop.bind(pool, ALICE)
    tap.equal((one.result, one.targets), (2001, []), 'a named user joins by himself')
    tap.equal(shop.bind(pool, BOB, apps='video').targets, [20], 'another one for an app')
    refused(tap, shop.bind(pool, CAROL), 4010, ['bound already'], 'a third is too many')
    tap.equal(shop.request(UNBIND, BOB, card=pool).result, 2001, 'one leaves')
    tap.equal(shop.bind(pool, SPONSOR, to=CAROL).result, 2001, 'the sponsor brings another one')
    tap.equal(shop.rows('SELECT DISTINCT b.cap FROM gyro.card_binding b JOIN gyro.card USING (card_id) WHERE code = %s', pool), [(500,)],
              'each with the cap')
    friends = shop.buy('friends-pool', SPONSOR, to=BOB)
    refused(tap, shop.bind(friends, CAROL), 4010, ['not the owner'], 'a pool for some does not take others')
    tap.equal([shop.bind(friends, who).result for who in (ALICE, BOB)], [2001, 2001], 'but those')


def priorities(tap, shop):
    def priority(product, who=AMY, **info):
        return shop.bind(shop.buy(product, who), who, **info).priority
    tap.equal([priority('open') for _ in range(3)], [1, 2, 3], 'top: each new one above the others')
    tap.equal([priority('tied', apps='video') for _ in range(2)], [1, 2], 'directed ones among themselves')
    tap.equal((priority('by-expiry'), priority('fixed'), priority('fixed')), (0, 4000000000, 4000000000), 'by expiry, fixed')
    tap.equal(priority('open'), 4000000001, 'above the fixed ones')
    card = shop.buy('open', AMY)
    refused(tap, shop.request(PRIORITY, AMY, card=card, priority=5), 4010, ['not bound'], 'a priority without binding')
    shop.bind(card, AMY)
    refused(tap, shop.request(PRIORITY, AMY, card=card), 5005, ['Use-Priority'], 'no priority', 11)
    refused(tap, shop.request(PRIORITY, BOB, card=card, priority=5, to=AMY), 4010, ['not the owner'], "of somebody else's card")
    changed = shop.request(PRIORITY, AMY, card=card, priority=4294967295)
    tap.equal((changed.result, changed.priority), (2001, 4294967295), 'the highest')
    tap.equal(priority('open'), 4294967295, 'top above the highest is the highest')
    shop.asked()
    session = shop.session(AMY, 10, 1000)
    shop.request(PRIORITY, AMY, card=card, priority=4294967295)
    tap.equal(shop.asked(), [], 'the same priority disturbs nobody')
    shop.request(PRIORITY, AMY, card=card, priority=0)
    tap.equal(shop.asked(), [(session, None, 'card priority')], 'another one asks the session to come back')


def reauthorized(tap, shop):
    """Open sessions that a binding touches, and no others."""
    on_10, on_20, on_30 = (shop.session(BOB, group, 1000) for group in (10, 20, 30))
    refused_20 = shop.session(BOB, 20, refused=4012)
    shop.session(CAROL, 20, 1000)
    shop.asked()
    tied = shop.buy('tied', BOB)
    before = shop.value('SELECT profile_version FROM gyro.account WHERE account_id = 2')
    shop.bind(tied, BOB, apps='video')
    tap.equal(sorted(shop.asked()), sorted([(on_20, 20, 'card bound'), (refused_20, 20, 'card bound')]),
              'directed: the sessions with its Rating-Group, also one that had no money')
    tap.ok(shop.value('SELECT profile_version FROM gyro.account WHERE account_id = 2') > before, 'nodes read the bindings anew')
    shop.request(UNBIND, BOB, card=tied)
    tap.equal(sorted(shop.asked()), sorted([(on_20, 20, 'card unbound'), (refused_20, 20, 'card unbound')]), 'unbound: the same')
    shop.bind(shop.buy('tied', BOB), BOB, apps=['video', 'maps'])
    tap.equal(sorted(shop.asked()), sorted([(s, None, 'card bound') for s in (on_20, refused_20, on_30)]), 'two Rating-Groups: as a whole')
    general = shop.buy('open', BOB)
    shop.bind(general, BOB)
    tap.equal(sorted(shop.asked()), sorted([(s, None, 'card bound') for s in (on_10, on_20, on_30, refused_20)]), 'general: all of the user')
    forget_answers(shop, on_10)
    shop.bind(shop.buy('tied', BOB), BOB, apps='music')
    tap.equal(shop.asked(), [(on_10, 21, 'card bound')], 'directed: also a session whose first answers are not kept any more')
    for state, why in ((3, 'card frozen'), (2, 'card unfrozen'), (4, 'card revoked')):
        shop.rows('SELECT gyro.card_set_state(%s, %s::smallint)', general, state)
        tap.equal(sorted(shop.asked()), sorted([(s, None, why) for s in (on_10, on_20, on_30, refused_20)]), why)


def forget_answers(shop, session):
    """As after many more requests; the sessions of a row keep their order."""
    shop.rows('''UPDATE gyro.account SET answers = coalesce((SELECT array_agg(gyro.matrix_row(answers, n) ORDER BY n)
                                                           FROM generate_series(1, gyro.matrix_rows(answers)) n
                                                          WHERE answers[n][1] & 4294967295 <> %s), '{}') WHERE account_id = 2''',
              shop.value('SELECT session_no FROM gyro.session WHERE session::text = %s', session))


def moot(tap, shop):
    """A RAR is dropped when the gateway has asked by itself: for what the RAR is about."""
    def put(group, why):
        shop.rows('SELECT gyro.outbox_put(1::smallint, 3, NULL, %s, %s, false, %s)', session, group, why)

    def dropped():
        found = shop.rows('SELECT gyro.outbox_moot(o) FROM gyro.outbox o WHERE session::text = %s', session)
        shop.asked()
        return [row[0] for row in found]

    def asks(number, group, result=2001):
        row = [no | 1 << 32, 2 << 32 | number, 1, 2001 | result << 16 | 1 << 32, group, 0, 0, 3600 << 32, 0]
        shop.rows('''UPDATE gyro.account SET version = version + 1, answers = answers || %s::bigint[], sessions[%s][8] = %s
                      WHERE account_id = 3''', [row], no, number)
    session = shop.session(CAROL, 20, refused=4012)
    no = shop.value('SELECT session_no FROM gyro.session WHERE session::text = %s', session)
    done = 'the gateway asked by itself'
    for number, (about, asked, wanted) in enumerate(((20, 10, None), (20, 20, done), (10, 10, done), (21, 10, None)), 1):
        put(about, 'test')
        asks(number, asked, 4012 if asked == 20 else 2001)
        tap.equal(dropped(), [wanted], f'a RAR for {about}, and a CCR-U about {asked}: {wanted or "it is sent"}')
    put(None, 'test')
    asks(5, 10)
    tap.equal(dropped(), [None], 'a RAR for the session: what was refused has to be asked for, too')
    put(None, 'test')
    asks(6, 10)
    asks(7, 20)
    tap.equal(dropped(), [done], 'then it is dropped')
    shop.rows('DELETE FROM gyro.outbox')
    shop.rows("UPDATE gyro.account SET answers = '{}', sessions[%s][8] = -1 WHERE account_id = 3", no)


def states(tap, shop):
    def state(card):
        return shop.value('SELECT state FROM gyro.card_state WHERE code = %s', card)

    def set_state(card, new):
        shop.rows('SELECT gyro.card_set_state(%s, %s::smallint)', card, new)
    card = shop.buy('open', CAROL)
    tap.equal(state(card), 'ISSUED', 'ISSUED')
    shop.bind(card, CAROL)
    tap.equal(state(card), 'BOUND', 'BOUND')
    set_state(card, 3)
    tap.equal(state(card), 'FROZEN', 'FROZEN')
    tap.equal(shop.bind(card, CAROL).result, 2001, 'who has it bound is told so')
    frozen = shop.buy('open', CAROL)
    set_state(frozen, 3)
    refused(tap, shop.bind(frozen, CAROL), 4010, ['frozen'], 'a frozen card is not bound')
    set_state(card, 2)
    tap.equal(state(card), 'BOUND', 'and back')
    shop.draw(card, CAROL, 10, 100000)
    tap.equal(state(card), 'EXHAUSTED', 'EXHAUSTED')
    empty = shop.buy('second', CAROL)
    shop.draw(empty, CAROL, 10, 1000)
    refused(tap, shop.bind(empty, CAROL), 4010, ['exhausted'], 'an exhausted card is not bound')
    short = shop.buy('second', CAROL)
    time.sleep(1.1)
    tap.equal(state(short), 'EXPIRED', 'EXPIRED')
    refused(tap, shop.bind(short, CAROL), 4010, ['expired'], 'an expired card is not bound')
    revoked = shop.buy('open', CAROL)
    set_state(revoked, 4)
    tap.equal(state(revoked), 'REVOKED', 'REVOKED')
    refused(tap, shop.bind(revoked, CAROL), 4010, ['revoked'], 'a revoked card is not bound')
    for new, name, words in ((2, 'nothing', 'does not exist'), (3, revoked, 'revoked'), (1, card, 'state 1'), (9, card, 'state 9')):
        try:
            set_state(name, new)
            tap.ok(False, f'state {new} of {name} is refused')
        except Exception as e:
            tap.ok(words in str(e), f'state {new} of {"it" if name == card else name} is refused', e)
    shop.value('SELECT gyro.card_retire(3)')
    tap.equal([shop.row(c) for c in (card, empty, short, revoked)], [None] * 4, 'what is over leaves the row')
    for name, words in ((card, 'exhausted'), (short, 'expired'), (revoked, 'revoked')):
        refused(tap, shop.bind(name, CAROL, to=BOB), 4010, [words], f'then it is {words} all the same')
    try:
        set_state(short, 3)
        tap.ok(False, 'a card that has left can not be frozen')
    except Exception as e:
        tap.ok('used up' in str(e), 'a card that has left can not be frozen', e)
    tap.equal(state(frozen), 'FROZEN', 'a frozen card stays')


def validity(tap, shop):
    def until(card):
        return shop.row(card)[7]
    now = shop.value('SELECT gyro.us(now())')
    tap.ok(0 <= until(shop.buy('from-purchase')) - now - 3600000000 < 10000000, 'from the purchase')
    card = shop.buy('from-bind', AMY)
    tap.equal(until(card), FOREVER, 'from the binding: not yet')
    shop.bind(card, AMY)
    first = until(card)
    tap.ok(0 <= first - now - 3600000000 < 20000000, 'from the first binding')
    shop.request(UNBIND, AMY, card=card)
    shop.bind(card, AMY)
    tap.equal(until(card), first, 'and not from the second')
    card = shop.buy('from-use', AMY)
    shop.bind(card, AMY)
    tap.equal((until(card), shop.row(card)[8]), (FOREVER, 3600000000), 'from the first use: not yet')
    shop.draw(card, AMY, 10, 1)
    first = until(card)
    tap.ok(0 <= first - now - 3600000000 < 30000000 and shop.row(card)[8] == 0, 'from the first use')
    shop.draw(card, AMY, 10, 1)
    tap.equal(until(card), first, 'and not from the second')


def frozen_info(tap, shop):
    """What was resolved stays, whatever becomes of the registry."""
    card = shop.buy('tied')
    shop.bind(card, apps='video')
    shop.rows("UPDATE gyro.app_target SET rating_group = 99 WHERE rating_group = 20")
    tap.equal(shop.bind(card).targets, [20], 'targets are fixed when the card is bound')
    shop.rows("UPDATE gyro.app_target SET rating_group = 20 WHERE rating_group = 99")
    shop.rows("UPDATE gyro.product SET max_bindings = 9, directed = 0, audience_id = 1 WHERE code = 'tied'")
    refused(tap, shop.bind(card, to=BOB), 4010, ['bound already'], 'a card keeps what it was sold as')
    shop.rows("UPDATE gyro.product SET max_bindings = 1, directed = 2, audience_id = NULL WHERE code = 'tied'")


def main():
    tap = Tap()
    with Postgres() as pg:
        shop = Shop(pg, 'shop')
        registry(shop)
        products(shop)
        resolve(tap, shop)
        for part in (classes, ownership, pools, priorities, reauthorized, moot, states, validity, frozen_info):
            part(tap, shop)
            shop.clean(tap, part.__name__)
    tap.done()


if __name__ == '__main__':
    main()
