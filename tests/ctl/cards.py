#!/usr/bin/python3
"""gyroctl for cards: the catalogue's sections with every kind of error, purchases, bindings, statistics, settlement.

cards.py GYROCTL ROOT
"""
import os
import tempfile

from ctl import ROOT, Ctl, refused
from postgres import Postgres
from tap import Tap

BASE = """\
rating_groups:
  - { rating_group: 10, name: internet, default_grant: 10MiB, max_grant: 50MiB, validity: 1h }
  - { rating_group: 20, name: video, default_grant: 10MiB, max_grant: 50MiB, validity: 1h }
tariffs:
  - { code: standard, rules: [ { rating_group: 10, unit: octets, price: "0.10", per: 1MiB } ] }
attributes:
  - { name: plan, source: stored, type: text }
  - { name: hour, source: clock, derivation: hour }
accounts:
  - { account: 1, currency: 978, balance: "100.00" }
  - { account: 2, currency: 978, balance: "1.00" }
  - { account: 3, currency: 978, balance: "50.00" }
subscribers:
  - { subscriber: 1, account: 1, tariff: standard, imsi: "001010000000001", e164: "491700000001" }
  - { subscriber: 2, account: 2, tariff: standard, imsi: "001010000000002", attributes: { plan: family } }
  - { subscriber: 3, account: 3, tariff: standard, nai: sponsor@video.example }
audiences:
  - { name: everyone, everyone: true }
  - { name: friends, subscribers: [ "2", "imsi:001010000000001" ] }
  - { name: families, attribute: plan, equal: family }
apps:
  - name: video
    targets: [ 20 ]
    urls: [ video.example, cdn.example/video ]
    flows: [ "udp 2001:db8::/32 8000-8999", "tcp 198.51.100.0/24 443" ]
products:
  - { code: base, name: Base, price: "8.00", currency: 978, quota: 1GiB, validity: 30d, audience: everyone }
  - { code: exclusive, price: "2.00", currency: 978, quota: 500MiB, app: video, per_buyer: 3, stock: 5 }
  - { code: night, price: "3.00", currency: 978, quota: 2GiB, audience: families, hours: "22:00-06:00", priority: 9 }
  - { code: pool, currency: 978, quota: 10GiB, app: video, max_bindings: 100, cap: 50MiB, settle: usage, usage_price: { price: "0.02", per: 1MiB } }
"""
PRODUCT = '  - { code: base, '

# What replaces what in BASE, the line of the error, words of it.
ERRORS = [
    ('an audience of nobody in particular', '{ name: everyone, everyone: true }', '{ name: everyone }', 18, ['everyone, a list of subscribers, or an attribute']),
    ('an audience of two kinds', 'everyone: true }', 'everyone: true, attribute: plan, equal: x }', 18, ['everyone, a list']),
    ('an audience that is not everyone', 'everyone: true', 'everyone: false', 18, ['true, or left out']),
    ('a segment without value', ', equal: family }\napps', ' }\napps', 20, ['attribute and equal']),
    ('a segment of no attribute', 'attribute: plan, equal', 'attribute: tier, equal', 20, ['audience families', 'no stored one']),
    ('a segment of a clock', 'attribute: plan, equal', 'attribute: hour, equal', 20, ['audience families', 'no stored one']),
    ('a member that there is not', '[ "2", ', '[ "2", "77", ', 19, ['audience friends', 'no subscriber is 77']),
    ('the same audience twice', '{ name: friends,', '{ name: everyone,', 19, ['audience everyone', 'line 18']),
    ('an app without targets', '    targets: [ 20 ]\n', '', 22, ['no targets']),
    ('a target that is no number', '[ 20 ]', '[ video ]', 23, ['video is not a Rating-Group']),
    ('a service that is no number', '[ 20 ]', '[ 20/x ]', 23, ['20/x']),
    ('a target twice', '[ 20 ]', '[ 20, 20 ]', 23, ['20 is there twice']),
    ('a target of no Rating-Group', '[ 20 ]', '[ 21 ]', 22, ['app video', 'rating_group', '21']),
    ('a URL with a scheme', '[ video.example,', '[ "https://video.example",', 24, ['https://video.example', 'without scheme']),
    ('a URL in capitals', '[ video.example,', '[ Video.example,', 24, ['Video.example', 'small letters']),
    ('a URL with an empty label', '[ video.example,', '[ video..example,', 24, ['video..example']),
    ('a URL twice', '[ video.example,', '[ cdn.example/video,', 24, ['cdn.example/video is there twice']),
    ('a URL of two apps', 'products:', '  - { name: other, targets: [ 10 ], urls: [ video.example ] }\nproducts:', 26, ['video.example is also of app video']),
    ('a flow without network', '"tcp 198.51.100.0/24 443"', '"tcp 443"', 25, ['tcp 443 is not a flow']),
    ('a flow of no protocol', '"tcp 198.51.100.0/24 443"', '"icmp 198.51.100.0/24"', 25, ['icmp']),
    ('a network with bits beyond its mask', '198.51.100.0/24', '198.51.100.1/24', 25, ['198.51.100.1/24']),
    ('ports in the wrong order', '8000-8999', '8999-8000', 25, ['8999-8000']),
    ('a port too large', '/24 443', '/24 65536', 25, ['65536']),
    ('a product without quota', 'quota: 1GiB, ', '', 27, ['quota']),
    ('a quota of nothing', 'quota: 1GiB', 'quota: 0', 27, ['quota 0']),
    ('a quota with a wrong suffix', 'quota: 1GiB', 'quota: 1Gi', 27, ['quota 1Gi', '10MiB']),
    ('a unit of money', 'quota: 1GiB', 'unit: money, quota: 1', 27, ['not money']),
    ('a negative price', '"8.00"', '"-8.00"', 27, ['price -8.00', 'small']),
    ('a price with seven decimals', '"8.00"', '"8.0000001"', 27, ['six decimals']),
    ('a validity of nothing', 'validity: 30d', 'validity: 0d', 27, ['validity 0d']),
    ('a beginning without validity', 'validity: 30d', 'validity_from: use', 27, ['needs a validity']),
    ('a beginning that there is not', 'validity: 30d', 'validity: 30d, validity_from: birth', 27, ['birth', 'purchase, binding, use']),
    ('a product that nobody could use', ', audience: everyone', '', 27, ['nobody could use it']),
    ('a product for an app, general', 'app: video, per_buyer', 'app: video, directed: none, audience: everyone, per_buyer', 28, ['directed: required']),
    ('a product of no audience', 'audience: everyone }\n  - { code: exclusive', 'audience: all }\n  - { code: exclusive', 27, ['product base', 'app or its audience']),
    ('a product of no app', 'app: video, per_buyer', 'app: music, per_buyer', 28, ['product exclusive', 'app or its audience']),
    ('hours that are none', '"22:00-06:00"', '"22-6"', 29, ['hours 22-6']),
    ('hours beyond the day', '"22:00-06:00"', '"22:00-24:01"', 29, ['hours 22:00-24:01']),
    ('hours of no length', '"22:00-06:00"', '"06:00-06:00"', 29, ['hours 06:00-06:00']),
    ('a priority that is none', 'priority: 9', 'priority: first', 29, ['priority first', 'top, by_expiry']),
    ('a priority too high', 'priority: 9', 'priority: 4294967296', 29, ['priority 4294967296']),
    ('a cap above the quota', 'cap: 50MiB', 'cap: 11GiB', 30, ['cap 11GiB', 'quota 10GiB']),
    ('a pool for nobody', 'max_bindings: 100', 'max_bindings: 0', 30, ['max_bindings 0']),
    ('usage without a price', ', usage_price: { price: "0.02", per: 1MiB }', '', 30, ['go together']),
    ('a price of usage, paid with the purchase', 'settle: usage, ', '', 30, ['go together']),
    ('more money than can be counted', '"0.02", per: 1MiB', '"1000000000", per: 1', 30, ['more money than can be counted']),
    ('an end of sale before its beginning', 'audience: everyone }\n  - { code: exclusive', 'audience: everyone, sale_from: 2030-01-01, sale_until: 2029-01-01 }\n  - { code: exclusive', 27,
     ['sale_until 2029-01-01', 'not after']),
    ('the same product twice', '{ code: exclusive,', '{ code: base,', 28, ['product base', 'line 27']),
]


class Shop:
    """BASE in a database, with replacements."""

    def __init__(self, ctl, place):
        self.ctl, self.place = ctl, place

    def file(self, *replacements):
        text = BASE
        for old, new in replacements:
            assert text.count(old) == 1, (old, text.count(old))
            text = text.replace(old, new)
        path = os.path.join(self.place, 'catalogue.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def changes(self, *replacements, flags=()):
        """A dry run's (action, what, {field: [old, new]}), which the real run then repeats."""
        dry = self.ctl.json('apply', '-f', self.file(*replacements), *flags, '--dry-run')
        real = self.ctl.json('apply', '-f', self.file(*replacements), *flags)
        assert dry['changes'] == real['changes'], (dry, real)
        return [(c['action'], c['what'], {f['field']: [f.get('old'), f['new']] for f in c['fields']}) for c in real['changes']]


def errors(tap, pg, place):
    pg.create('errors', 'empty')
    shop = Shop(Ctl(pg.conninfo('errors')), place)
    for name, old, new, line, words in ERRORS:
        refused(tap, shop.ctl.run('apply', '-f', shop.file((old, new))), 1, ['gyroctl: apply: ', f'catalogue.yaml:{line}: ', *words],
                f'line {line}: {name}')
    tap.equal(pg.query('SELECT (SELECT count(*) FROM gyro.product), (SELECT count(*) FROM gyro.app), (SELECT count(*) FROM gyro.account)',
                       'errors'), [['0', '0', '0']], 'none of them left anything behind')


def applied(tap, pg, shop):
    added = shop.changes()
    tap.equal([c[1] for c in added if c[1].split()[0] in ('audience', 'app', 'product')],
              ['audience everyone', 'audience friends', 'audience families', 'app video', 'product base', 'product exclusive', 'product night',
               'product pool'], 'audiences, apps and products are added')
    tap.equal(pg.query('''SELECT code, price, quota, validity_s, directed, max_bindings, cap, settle, usage_price, usage_block, priority_policy,
                                 priority, window_from, window_until, stock, per_buyer FROM gyro.product ORDER BY product_id''', 'shop'),
              [['base', '8000000', '1073741824', '2592000', '0', '1', '', '1', '0', '1', '1', '0', '', '', '', ''],
               ['exclusive', '2000000', '524288000', '0', '2', '1', '', '1', '0', '1', '1', '0', '', '', '5', '3'],
               ['night', '3000000', '2147483648', '0', '0', '1', '', '1', '0', '1', '3', '9', '1320', '360', '', ''],
               ['pool', '0', '10737418240', '0', '2', '100', '52428800', '2', '20000', '1048576', '1', '0', '', '', '', '']], 'as the file says')
    tap.equal(pg.query('SELECT protocol, network, port_low, port_high FROM gyro.app_flow ORDER BY 1', 'shop'),
              [['6', '198.51.100.0/24', '443', '443'], ['17', '2001:db8::/32', '8000', '8999']], 'flows')
    tap.equal(pg.query('SELECT subscriber_id FROM gyro.audience_member ORDER BY 1', 'shop'), [['1'], ['2']], 'members by number and by identity')
    before = pg.query('SELECT c.version, p.version FROM gyro.catalogue_version c, gyro.pushed_version p', 'shop'), \
        pg.query('SELECT version, profile_version FROM gyro.account ORDER BY account_id', 'shop')
    tap.equal(shop.changes(), [], 'a second run: no change')
    tap.equal(shop.changes(('[ video.example, cdn.example/video ]', '[ cdn.example/video, video.example ]'), ('[ "2", "imsi:001010000000001" ]', '[ "1", "2" ]')), [],
              'another order, another name of the same: no change')
    tap.equal(shop.changes(('products:', 'products:\n  - { code: new, price: "1", currency: 978, quota: 1MiB, audience: everyone }')),
              [('add', 'product new', {'price': [None, '1.00'], 'currency': [None, 978], 'unit': [None, 'octets'], 'quota': [None, 1048576],
                                       'validity': [None, 0], 'validity_from': [None, 'purchase'], 'directed': [None, 'none'],
                                       'audience': [None, 'everyone'], 'on_sale': [None, True], 'sale_from': [None, None], 'sale_until': [None, None],
                                       'hold': [None, 300], 'max_bindings': [None, 1], 'settle': [None, 'purchase'], 'usage_price': [None, '0.00'],
                                       'usage_per': [None, 1], 'priority_policy': [None, 'top'], 'priority': [None, 0]})], 'a product more')
    tap.equal((pg.query('SELECT c.version, p.version FROM gyro.catalogue_version c, gyro.pushed_version p', 'shop'),
               pg.query('SELECT version, profile_version FROM gyro.account ORDER BY account_id', 'shop')), before,
              'no node has anything to read anew for it')
    tap.equal(shop.changes(('"8.00"', '"7.50"'), ('stock: 5', 'stock: 9'), ('equal: family }\napps', 'equal: big }\napps'), ('[ 20 ]', '[ 20, 10/7 ]'),
                           ('[ "2", ', '[ "3", ')),
              [('change', 'audience friends', {'subscribers': [['1', '2'], ['3', 'imsi:001010000000001']]}),
               ('change', 'audience families', {'equal': ['family', 'big']}), ('change', 'app video', {'targets': [['20'], ['10/7', '20']]}),
               ('change', 'product base', {'price': ['8.00', '7.50']})], 'what differs changes; stock only when a product is new')
    tap.equal(pg.query('SELECT rating_group, service_id FROM gyro.app_target ORDER BY 1', 'shop'), [['10', '7'], ['20', '-1']], 'targets changed')
    tap.equal(pg.value("SELECT stock FROM gyro.product WHERE code = 'exclusive'", 'shop'), '5', 'stock stays')
    tap.equal(len(shop.changes()), 4, 'and back')
    tap.equal(shop.ctl.json('product', 'stock', 'exclusive', 7)['stock'], 7, 'product stock sets it')
    tap.equal(shop.ctl.json('product', 'stock', 'exclusive', 'unlimited')['stock'], None, 'or lifts it')
    tap.equal(shop.changes(), [], 'and apply leaves it so')
    shop.ctl.json('product', 'stock', 'exclusive', 5)


def pruned(tap, pg, shop):
    """What was sold is not deleted."""
    shop.ctl.out('purchase', 'buy', 'base', '--buyer', 1, '--id', 'prune-1')
    shop.ctl.out('bind', '--card', card_of(shop, 'prune-1'))
    less = ((PRODUCT + 'name: Base, price: "8.00", currency: 978, quota: 1GiB, validity: 30d, audience: everyone }\n', ''),
            ('  - { name: everyone, everyone: true }\n', ''))
    tap.equal(shop.changes(*less), [], 'without --prune what the file does not name stays')
    tap.equal(sorted(c[:2] for c in shop.changes(*less, flags=['--prune'])), [('remove', 'product base'), ('remove', 'product new')],
              'with --prune products go, but not the audience of a card')
    tap.equal(pg.query('SELECT code, on_sale FROM gyro.product ORDER BY product_id', 'shop'),
              [['base', 'f'], ['exclusive', 't'], ['night', 't'], ['pool', 't']], 'what was bought is taken off sale, the other deleted')
    tap.equal(shop.changes(*less, flags=['--prune']), [], 'once')
    refused(tap, shop.ctl.run('purchase', 'buy', 'base', '--buyer', 1, '--id', 'prune-2'), 1, ['4010', 'not on sale'], 'nobody can buy it')
    tap.equal(shop.ctl.json('card', 'show', card_of(shop, 'prune-1'))['state'], 'BOUND', 'its cards go on')
    tap.equal([c[:2] for c in shop.changes()], [('change', 'product base')], 'in the file again: on sale again')
    less = [(BASE[BASE.index('  - { code: exclusive'):BASE.index('  - { code: night')], ''), (BASE[BASE.index('  - { code: pool'):], ''),
            (BASE[BASE.index('  - name: video'):BASE.index('products:')], '  - { name: music, targets: [ 10 ] }\n')]
    tap.equal(sorted(c[:2] for c in shop.changes(*less, flags=['--prune'])),
              [('add', 'app music'), ('remove', 'app video'), ('remove', 'product exclusive'), ('remove', 'product pool')],
              'an app goes with its products')
    shop.changes(flags=['--prune'])
    tap.equal(shop.changes(), [], 'all of it is back')
    shop.ctl.out('purchase', 'refund', 'prune-1')


def card_of(shop, purchase):
    return shop.ctl.json('purchase', 'show', purchase)['card']


def purchases(tap, pg, shop):
    ctl = shop.ctl
    dry = ctl.json('purchase', 'buy', 'base', '--buyer', 'imsi:001010000000001', '--dry-run')
    tap.equal(dry, {'product': 'base', 'price': '8.00', 'currency': 978, 'enough_money': True}, 'a dry run: the price, and that there is enough')
    poor = ctl.run('purchase', 'buy', 'base', '--buyer', 2, '--dry-run')
    tap.ok(poor.returncode == 1 and 'not enough money' in poor.stderr and 'no' in poor.stdout, 'or not', poor.stdout + poor.stderr)
    tap.equal(pg.value("SELECT count(*) FROM gyro.purchase WHERE state NOT IN (6, 9)", 'shop'), '0', 'nothing was bought')
    bought = ctl.json('purchase', 'buy', 'base', '--buyer', 'imsi:001010000000001', '--id', 'order-1')
    tap.equal({k: bought[k] for k in ('state', 'price', 'buyer', 'beneficiary', 'account_id', 'balance', 'hold_until', 'why')},
              {'state': 'DONE', 'price': '8.00', 'buyer': 1, 'beneficiary': 1, 'account_id': 1, 'balance': '92.00', 'hold_until': None, 'why': None},
              'a purchase')
    again = ctl.json('purchase', 'buy', 'base', '--buyer', 1, '--id', 'order-1')
    tap.equal(again, bought, 'the same again: the same')
    refused(tap, ctl.run('purchase', 'buy', 'base', '--buyer', 3, '--id', 'order-1'), 1, ['5012', 'another purchase'], 'the number of another buyer')
    gift = ctl.json('purchase', 'buy', 'base', '--buyer', 'e164:+491700000001', '--for', '001010000000002', '--id', 'gift')
    tap.equal((gift['buyer'], gift['beneficiary']), (1, 2), 'a gift; identities with plus, and without kind')
    held = ctl.json('purchase', 'buy', 'exclusive', '--buyer', 1, '--id', 'order-2', '--hold')
    tap.equal((held['state'], held['card'], held['balance'], held['available']), ('HELD', None, '84.00', '82.00'), '--hold: the price is reserved')
    tap.equal(ctl.json('product', 'show', 'exclusive')['held'], 1, 'the product shows it')
    done = ctl.json('purchase', 'confirm', 'order-2')
    tap.equal((done['state'], done['balance'], done['available']), ('DONE', '82.00', '82.00'), 'confirm: paid')
    tap.equal(ctl.json('purchase', 'confirm', 'order-2'), done, 'once')
    ctl.json('purchase', 'buy', 'exclusive', '--buyer', 1, '--id', 'order-3', '--hold')
    tap.equal(ctl.json('purchase', 'cancel', 'order-3')['state'], 'CANCELLED', 'cancel')
    refused(tap, ctl.run('purchase', 'confirm', 'order-3'), 1, ['5002', 'over'], 'then there is nothing to confirm')
    refused(tap, ctl.run('purchase', 'cancel', 'order-1'), 1, ['4010', 'refunded'], 'what is paid is not cancelled')
    back = ctl.json('purchase', 'refund', 'order-2')
    tap.equal((back['state'], back['balance']), ('REFUNDED', '84.00'), 'but refunded')
    shown = ctl.json('purchase', 'show', 'order-2')
    tap.equal([(e['debit'], e['balance']) for e in shown['entries']], [('2.00', '82.00'), ('-2.00', '84.00')], 'with both entries')
    refused(tap, ctl.run('purchase', 'buy', 'base', '--buyer', 2, '--id', 'poor'), 1, ['4012', 'money'], 'not enough money')
    tap.equal([(p['purchase_id'], p['state']) for p in ctl.json('purchase', 'list', '--buyer', 2)], [('poor', 'REFUSED')], 'is listed as refused')
    tap.equal([p['purchase_id'] for p in ctl.json('purchase', 'list', '--state', 'cancelled')], ['order-3'], 'purchase list --state')
    tap.equal({p['product'] for p in ctl.json('purchase', 'list', '--product', 'exclusive')}, {'exclusive'}, 'purchase list --product')
    few = ctl.run('purchase', 'list', '--limit', 1)
    tap.ok(len(few.stdout.splitlines()) == 2 and '1 are shown' in few.stderr, 'purchase list --limit', few.stderr)
    for words, status, wanted in [
            (['purchase', 'buy', 'base', '--id', 'x'], 2, ['--buyer']),
            (['purchase', 'buy', 'base', '--buyer', 1], 2, ['--id']),
            (['purchase', 'buy', 'base', '--buyer', 1, '--id', ''], 2, ['--id']),
            (['purchase', 'buy', '--buyer', 1], 2, ['usage: gyroctl purchase buy PRODUCT']),
            (['purchase', 'buy', 'base', '--buyer', 99, '--id', 'x'], 1, ['--buyer 99', 'imsi:']),
            (['purchase', 'buy', 'base', '--buyer', 'imsi:99', '--id', 'x'], 1, ['--buyer imsi:99']),
            (['purchase', 'buy', 'base', '--buyer', 1, '--for', 'nobody', '--id', 'x'], 1, ['--for nobody']),
            (['purchase', 'buy', 'none', '--buyer', 1, '--id', 'x'], 1, ['5004', 'no such product']),
            (['purchase', 'buy', 'night', '--buyer', 1, '--id', 'x'], 1, ['4010', 'not for this beneficiary']),
            (['purchase', 'show', 'none'], 1, ['purchase none does not exist']),
            (['purchase', 'confirm', 'none'], 1, ['purchase none does not exist']),
            (['purchase', 'cancel', 'none'], 1, ['purchase none does not exist']),
            (['product', 'show', 'none'], 1, ['product none does not exist']),
            (['product', 'stock', 'none', 1], 1, ['product none does not exist']),
            (['product', 'stock', 'base', '-1'], 2, ['unknown option']),
            (['product', 'stock', 'base', 'x'], 2, ['neither a number nor unlimited'])]:
        refused(tap, ctl.run(*words), status, wanted, f'{status}: gyroctl {" ".join(map(str, words))}')
    listed = {p['product']: p for p in ctl.json('product', 'list')}
    tap.equal((listed['base']['sold'], listed['exclusive']['stock'], listed['night']['hours'], listed['pool']['price']),
              (2, 5, '22:00-06:00', '0.00'), 'product list')
    tap.equal([p['product'] for p in ctl.json('product', 'list', '--on-sale')], ['base', 'exclusive', 'night', 'pool'], 'product list --on-sale')
    text = ctl.out('product', 'show', 'pool')
    tap.ok('usage price             0.02' in text and 'per                     1MiB' in text and 'cap of a user           50MiB' in text,
           'product show for people', text)


def bindings(tap, shop):
    ctl = shop.ctl
    card = card_of(shop, 'order-1')
    bound = ctl.json('bind', '--card', card)
    tap.equal({k: bound[k] for k in ('card', 'subscriber', 'user_class', 'binding_kind', 'targets', 'priority', 'bound')},
              {'card': card, 'subscriber': 1, 'user_class': 'specified', 'binding_kind': 'general', 'targets': ['all'], 'priority': 1, 'bound': True},
              'bind: to whom it was bought for')
    tap.equal(ctl.json('bind', '--card', card), bound, 'again: the same')
    tap.equal(ctl.json('bind', '--card', card_of(shop, 'gift'))['subscriber'], 2, 'a gift: likewise')
    exclusive = card_of_new(shop, 'exclusive')
    refused(tap, ctl.run('bind', '--card', exclusive), 1, ['5005', 'directed info'], 'a directed one needs directed info')
    refused(tap, ctl.run('bind', '--card', exclusive, '--app', 'none'), 1, ['5004', 'no such app'], 'an app that there is not')
    refused(tap, ctl.run('bind', '--card', exclusive, '--url', 'none.example'), 1, ['5004', 'no app'], 'a URL of no app')
    directed = ctl.json('bind', '--card', exclusive, '--to', 'nai:sponsor@video.example', '--app', 'video', '--url', 'www.video.example', '--url',
                        'https://cdn.example/video/1', '--flow', 'permit out 6 from 198.51.100.7 443 to any')
    tap.equal((directed['subscriber'], directed['user_class'], directed['binding_kind'], directed['targets']),
              (3, 'non-specified', 'directed', ['20']), 'by app, two URLs and a flow')
    tap.equal(ctl.json('priority', 7, '--card', card)['priority'], 7, 'priority')
    tap.equal(ctl.json('priority', 8, '--card', card, '--of', '1')['priority'], 8, 'priority --of')
    tap.equal(ctl.json('unbind', '--card', exclusive)['bound'], False, 'unbind: the only user')
    refused(tap, ctl.run('unbind', '--card', exclusive), 1, ['nobody', '--from'], 'then there is none')
    tap.equal(ctl.json('unbind', '--card', exclusive, '--from', 3)['binding'], directed['binding'], 'unbind --from: the same answer')
    pool = ctl.json('purchase', 'buy', 'pool', '--buyer', 3, '--id', 'pool')['card']
    for who in (1, 2):
        ctl.out('bind', '--card', pool, '--to', who, '--app', 'video')
    refused(tap, ctl.run('priority', 1, '--card', pool), 1, ['several', '--of'], 'a pool: which user?')
    for words, status, wanted in [
            (['bind'], 2, ['--card']),
            (['bind', '--card', 'none'], 1, ['card none does not exist']),
            (['bind', '--card', card, '--to', 99], 1, ['--to 99']),
            (['bind', '--card', card, '--to', 2], 1, ['4010', 'bound already']),
            (['unbind', '--card', 'none'], 1, ['card none does not exist']),
            (['priority', '--card', card], 2, ['usage: gyroctl priority N']),
            (['priority', 'x', '--card', card], 2, ['x is not a priority']),
            (['priority', 4294967296, '--card', card], 2, ['4294967296 is not a priority']),
            (['stats'], 2, ['--card', '--owner']),
            (['stats', '--card', card, '--owner', 1], 2, ['--card', '--owner']),
            (['settle', '--card', 'none'], 1, ['card none does not exist']),
            (['card', 'show', 'none'], 1, ['card none does not exist']),
            (['card', 'freeze', 'none'], 1, ['card none does not exist'])]:
        refused(tap, ctl.run(*words), status, wanted, f'{status}: gyroctl {" ".join(map(str, words))}')


def card_of_new(shop, product):
    shop.n = getattr(shop, 'n', 0) + 1
    return shop.ctl.json('purchase', 'buy', product, '--buyer', 1, '--id', f'new-{shop.n}')['card']


def draw(pg, card, subscriber, group, units):
    """What a node writes: rows of owner and user, the record."""
    pg.query(f'''DO $$
        DECLARE k gyro.card; n integer; own bigint;
        BEGIN
            SELECT * INTO k FROM gyro.card WHERE code = '{card}';
            SELECT account_id INTO own FROM gyro.subscriber WHERE subscriber_id = {subscriber};
            SELECT gyro.card_row_no(cards, k.card_id) INTO n FROM gyro.account WHERE account_id = k.account_id;
            UPDATE gyro.account SET card_use[n][1] = card_use[n][1] + {units}, draws = draws || ARRAY[[k.card_id, 0, {group}, {units}, 0]]
             WHERE account_id = k.account_id;
            IF k.cap IS NOT NULL THEN
                UPDATE gyro.account SET draws = draws || ARRAY[[k.card_id, {subscriber}, -1, {units}, 0]] WHERE account_id = own;
            END IF;
            INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number, end_to_end,
                                     content_hash, debit, balance, reserved, result, request_type, flags, catalogue, charges)
            SELECT t, account_id, group_id, {subscriber}, 1, gen_random_uuid(), t, 0, 1, 1, 0, balance, reserved, 2001, 4, 0, 1,
                   ARRAY[[{group}, 0, (2001::bigint << 16) | (1::bigint << 32), {units}, 0, 0, 0, 0, 1, 0, 0, 0, 64, 0, 1, 2, k.card_id, 0]]
              FROM gyro.account, clock_timestamp() t WHERE account_id = own;
        END $$''', 'shop')


def statistics(tap, pg, shop):
    ctl = shop.ctl
    pool = ctl.json('purchase', 'show', 'pool')['card']
    tap.equal(ctl.json('stats', '--card', pool)['windows'], [], 'nothing drawn: no window')
    draw(pg, pool, 1, 20, 10 << 20)
    draw(pg, pool, 2, 10, (1 << 20) // 2)
    told = ctl.json('settle', '--card', pool)
    tap.equal([(w['card'], w['rating_group'], w['used'], w['amount'], w['closed_now']) for w in told['windows']],
              [(pool, 10, 524288, '0.01', True), (pool, 20, 10485760, '0.20', True)], 'settle: the window')
    tap.equal(told['debits'], [{'account_id': 3, 'currency': 978, 'debited': '0.21', 'balance': '49.79', 'available': '49.79'}], 'and its debit')
    again = ctl.json('settle', '--owner', 3)
    tap.equal(([w['closed_now'] for w in again['windows']], [w['window_id'] for w in again['windows']], again['debits'][0]['debited']),
              ([False, False], [w['window_id'] for w in told['windows']], '0.00'), 'again: the same window, nothing debited')
    stats = ctl.json('stats', '--card', pool)
    tap.equal((stats['windows'], 'debits' in stats), (again['windows'], False), 'stats: the windows alone')
    draw(pg, pool, 2, 30, 1)
    tap.ok('closed now' in ctl.out('stats', '--owner', 'nai:sponsor@video.example'), 'a table for people')
    shown = ctl.json('card', 'show', pool)
    tap.equal((shown['state'], shown['used'], shown['left'], shown['owner'], shown['cap'], shown['usage_price'], shown['usage_per']),
              ('BOUND', 11010049, 10737418240 - 11010049, 3, 52428800, '0.02', 1048576), 'card show')
    tap.equal([(b['subscriber_id'], b['identity'], b['targets'], b['drawn']) for b in shown['bindings']],
              [(1, '001010000000001', ['20'], 10485760), (2, '001010000000002', ['20'], 524289)], 'its users, and what they drew')
    tap.equal([(d['rating_group'], d['name'], d['used'], d['closed'], d['open']) for d in shown['draws']],
              [(10, 'internet', 524288, 524288, 0), (20, 'video', 10485760, 10485760, 0), (30, None, 1, 1, 0)], 'what each Rating-Group drew')
    tap.equal([(w['rating_group'], w['used'], w['amount']) for w in shown['windows']], [(10, 524288, '0.01'), (20, 10485760, '0.20'), (30, 1, '0.00')],
              'and its windows')


def records(tap, shop):
    told = [(r['card'], r['operation'], r['source'], r['rating_group'], r['used'], r['debit'], r['flags']) for r in shop.ctl.json('records', '--account', 3)]
    pool = card_of(shop, 'pool')
    tap.equal(told, [(pool, 'purchase', 'money', 0, '0.00', '0.00', f'purchase of {pool}'), (pool, 'settlement', 'money', 20, 0, '0.20', f'settlement of {pool}'),
                     (pool, 'settlement', 'money', 10, 0, '0.01', f'settlement of {pool}')], 'records: what was bought, what was settled')
    told = [(r['card'], r['operation'], r['source'], r['used'], r['flags']) for r in shop.ctl.json('records', '--subscriber', 2)]
    tap.equal(told, [(pool, None, 'card', 524288, pool), (pool, None, 'card', 1, pool)], 'and what came from which card')


def states(tap, shop):
    ctl = shop.ctl
    card = card_of(shop, 'order-1')
    tap.equal(ctl.json('card', 'freeze', card), {'card': card, 'state': 'FROZEN'}, 'card freeze')
    tap.equal(ctl.json('card', 'unfreeze', card)['state'], 'BOUND', 'card unfreeze')
    tap.equal(ctl.json('card', 'revoke', card)['state'], 'REVOKED', 'card revoke')
    refused(tap, ctl.run('card', 'unfreeze', card), 1, ['revoked'], 'for good')
    cards = ctl.json('card', 'list')
    tap.equal({c['state'] for c in cards}, {'REVOKED', 'BOUND', 'ISSUED'}, 'card list')
    tap.equal([c['card'] for c in ctl.json('card', 'list', '--state', 'revoked', '--product', 'base', '--user', 1)], [card], 'card list by state, product, user')
    tap.equal({c['owner'] for c in ctl.json('card', 'list', '--owner', 'imsi:001010000000001')}, {1}, 'by owner')
    text = ctl.out('card', 'list', '--user', 2)
    tap.equal(text.splitlines()[0].split()[:6], ['card', 'product', 'state', 'quota', 'used', 'reserved'], 'a table for people')
    tap.equal(ctl.json('audit'), [], 'the audit finds nothing')


def demo(tap, pg):
    """The demo's catalogues fit together, and each product can be bought and bound."""
    pg.create('demo', 'empty')
    ctl = Ctl(pg.conninfo('demo'))
    for name in ('demo.yaml', 'demo-cards.yaml'):
        ctl.out('apply', '-f', os.path.join(ROOT, 'deploy', name))
    tap.equal([ctl.json('apply', '-f', os.path.join(ROOT, 'deploy', name))['changes'] for name in ('demo.yaml', 'demo-cards.yaml')], [[], []],
              'the demo: each file again changes nothing')
    ctl.out('topup', '100', '--account', 1, '--reference', 'demo')
    for n, (product, who, info) in enumerate([('base-1g', 1, ()), ('topup-100m', 1, ()), ('video-500m', 1, ('--url', 'https://www.video.example/live')),
                                             ('night-2g', 1, ()), ('family-5g', 3, ()), ('video-pool', 'nai:sponsor@video.example', ('--app', 'video'))]):
        card = ctl.json('purchase', 'buy', product, '--buyer', who, '--id', f'demo-{n}')['card']
        bound = ctl.json('bind', '--card', card, *info)
        tap.ok(bound['bound'] and bound['targets'] == (['20'] if info else ['all']), f'{product} is bought and bound', bound)
    tap.equal(ctl.json('audit'), [], 'the audit finds nothing')


def main():
    tap = Tap()
    with Postgres() as pg, tempfile.TemporaryDirectory() as place:
        Ctl(pg.conninfo()).out('migrate')
        pg.create('empty', 'gyro')
        pg.create('shop', 'empty')
        errors(tap, pg, place)
        shop = Shop(Ctl(pg.conninfo('shop')), place)
        applied(tap, pg, shop)
        pruned(tap, pg, shop)
        purchases(tap, pg, shop)
        bindings(tap, shop)
        statistics(tap, pg, shop)
        records(tap, shop)
        states(tap, shop)
        demo(tap, pg)
    tap.done()


main()
