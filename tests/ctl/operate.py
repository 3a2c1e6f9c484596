#!/usr/bin/python3
"""gyroctl from day to day: subscribers, accounts, top-ups, and the tables of all of it.

operate.py GYROCTL ROOT
"""
import threading

from ctl import FIXTURE, Ctl, refused
from postgres import Postgres
from tap import Tap


def titles(text):
    return text.splitlines()[0].split()


def money(tap, pg, ctl):
    paid = ctl.json('topup', '5.5', '--imsi', '460001000000001', '--reference', 'v-1')
    tap.equal({k: paid[k] for k in ('account_id', 'amount', 'applied', 'balance', 'available')},
              {'account_id': 1, 'amount': '5.50', 'applied': True, 'balance': '105.50', 'available': '105.50'}, 'a top-up')
    again = ctl.json('topup', '5.50', '--subscriber', 1, '--reference', 'v-1')
    tap.equal((again['applied'], again['balance'], again['at']), (False, '105.50', paid['at']), 'the same reference pays once')
    refused(tap, ctl.run('topup', '5.51', '--account', 1, '--reference', 'v-1'), 1, ['v-1', 'another amount'],
            'the same reference with another amount')
    tap.equal(ctl.json('topup', '0.000001', '--account', 2, '--reference', 'v-1')['balance'], '0.300001',
              'the same reference on another account, a micro-unit')
    text = ctl.out('topup', '1', '--account', 1, '--reference', 'v-2')
    tap.ok('balance      106.50' in text and 'applied now  yes' in text, 'the table for people', text)
    results = []
    threads = [threading.Thread(target=lambda: results.append(ctl.json('topup', '3', '--account', 3, '--reference', 'once')['applied']))
               for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.equal(sorted(results), [False] * 7 + [True], 'eight at once: one pays')
    tap.equal(pg.value('SELECT balance FROM gyro.account WHERE account_id = 3'), '3000000', 'once')
    for words, status, wanted in [
            (['topup', '-1', '--account', 1, '--reference', 'x'], 2, ['unknown option']),
            (['topup', '0', '--account', 1, '--reference', 'x'], 1, ['must be positive']),
            (['topup', '1.0000001', '--account', 1, '--reference', 'x'], 2, ['1.0000001', 'six decimals']),
            (['topup', '1', '--account', 1], 2, ['--reference']),
            (['topup', '1', '--account', 1, '--reference', ''], 2, ['--reference']),
            (['topup', '1', '--reference', 'x'], 2, ['which account']),
            (['topup', '1', '--account', 99, '--reference', 'x'], 1, ['account 99 does not exist', 'account list']),
            (['topup', '1', '--account', 1, '--subscriber', 1, '--reference', 'x'], 2, ['not both']),
            (['topup', '1', '--imsi', '4', '--reference', 'x'], 1, ['no subscriber has imsi 4']),
            (['topup', '1', '--imsi', '4', '--nai', 'a', '--reference', 'x'], 2, ['once']),
            (['account', 'adjust', 1, '--amount', '1'], 2, ['--reference']),
            (['account', 'credit', 1, 'x'], 2, ['LIMIT x']),
            (['account', 'credit', 1, '-1'], 2, ['unknown option']),
            (['account', 'open', 1, '--currency', 156], 1, ['account', 'exists']),
            (['account', 'open', 50], 2, ['--currency']),
            (['account', 'open', 50, '--currency', 156, '--credit-limit', '1', '--balance=-1.01'], 1, ['account 50', 'below its credit limit']),
            (['account', 'open', 50, '--currency', 1000], 1, ['currency']),
            (['account', 'show', 99], 1, ['account 99 does not exist']),
            (['account', 'show', 'x'], 2, ['x is not the number of an account'])]:
        refused(tap, ctl.run(*words), status, wanted, f'{status}: gyroctl {" ".join(map(str, words))}')
    tap.equal(ctl.json('account', 'adjust', 1, '--amount', '-6.50', '--reference', 'case-1')['balance'], '100.00',
              'an adjustment takes away')
    tap.equal(pg.query("SELECT kind, amount, balance FROM gyro.payment WHERE reference = 'case-1'"), [['3', '-6500000', '100000000']],
              'and is booked as such')


def accounts(tap, ctl):
    opened = ctl.json('account', 'open', 50, '--currency', 978, '--balance', '20', '--credit-limit', '1.5')
    tap.equal((opened['balance'], opened['available'], opened['currency'], opened['state']), ('20.00', '21.50', 978, 'active'),
              'an account is opened')
    tap.equal(ctl.json('account', 'bar', 50)['state'], 'barred', 'barred')
    tap.equal(ctl.json('account', 'unbar', 50)['state'], 'active', 'and active again')
    tap.equal(ctl.json('account', 'credit', 50, '0.25')['available'], '20.25', 'its credit limit changes')
    refused(tap, ctl.run('account', 'bar', 51), 1, ['account 51 does not exist'], 'an account that is not there')
    listed = ctl.json('account', 'list')
    tap.equal([a['account_id'] for a in listed], [1, 2, 3, 4, 5, 6, 7, 8, 50], 'account list')
    tap.equal(listed[7]['subscribers'], 2, 'with the number of its subscribers')
    few = ctl.run('account', 'list', '--limit', 2)
    tap.ok(len(few.stdout.splitlines()) == 3 and '2 are shown' in few.stderr, 'a list that was cut says so', few.stderr)
    tap.equal(len(ctl.json('account', 'list', '--limit', 0)), 9, '--limit 0 is all')
    shown = ctl.json('account', 'show', 1)
    tap.equal([p['kind'] for p in shown['payments']], ['opening', 'top-up', 'top-up', 'adjustment'], 'account show: payments')
    tap.equal([s['subscriber_id'] for s in shown['subscriber_list']], [1], 'and subscribers')
    text = ctl.out('account', 'show', 1)
    tap.ok(all(w in text for w in ('Payments\n', 'Subscribers\n', 'Sessions\nnone', 'Records\nnone', 'case-1')), 'its table', text)


def subscribers(tap, pg, ctl):
    ctl.out('subscriber', 'add', 60, '--account', 50, '--tariff', 'standard', '--imsi', '999', '--e164', '49123', '--user-name', 'carol')
    shown = ctl.json('subscriber', 'show', '--user-name', 'carol')
    tap.equal((shown['subscriber_id'], shown['account_id'], shown['tariff'], shown['state'], shown['available']),
              (60, 50, 'standard', 'active', '20.25'), 'a subscriber is added')
    tap.equal([(i['kind'], i['value']) for i in shown['identities']], [('imsi', '999'), ('e164', '49123'), ('user_name', 'carol')],
              'with its identities')
    before = pg.value('SELECT profile_version FROM gyro.account WHERE account_id = 50')
    tap.equal(ctl.json('subscriber', 'bar', 60), {'subscriber_id': 60, 'state': 'barred'}, 'barred')
    tap.ok(int(pg.value('SELECT profile_version FROM gyro.account WHERE account_id = 50')) > int(before), 'nodes will reload it')
    tap.equal([s['subscriber_id'] for s in ctl.json('subscriber', 'list', '--state', 'barred')], [4, 60], 'listed by state')
    tap.equal(ctl.out('subscriber', 'unbar', '--imsi', '999'), 'subscriber 60 is active\n', 'and active again')
    tap.equal(len(ctl.json('identity', 'add', 60, '--nai', 'carol@x', '--sip-uri', 'sip:carol@x')['identities']), 5, 'identity add')
    tap.equal([i['kind'] for i in ctl.json('identity', 'remove', '--e164', '49123')['identities']],
              ['imsi', 'nai', 'sip_uri', 'user_name'], 'identity remove')
    ctl.out('subscriber', 'add', 61, '--account', 50, '--tariff', 'standard', '--barred')
    tap.equal([(s['subscriber_id'], s['state'], s['imsi']) for s in ctl.json('subscriber', 'list', '--account', 50)],
              [(60, 'active', '999'), (61, 'barred', None)], 'listed by account')
    for words, status, wanted in [
            (['subscriber', 'add', 60, '--account', 50, '--tariff', 'standard'], 1, ['subscriber 60 exists']),
            (['subscriber', 'add', 62, '--account', 51, '--tariff', 'standard'], 1, ['account 51 does not exist']),
            (['subscriber', 'add', 62, '--account', 50, '--tariff', 'gold'], 1, ['tariff gold does not exist']),
            (['subscriber', 'add', 62, '--account', 50], 2, ['--tariff']),
            (['subscriber', 'add', 62, '--account', 50, '--tariff', 'standard', '--imsi', '999'], 1, ['999', 'already exists']),
            (['subscriber', 'add', 62, '--account', 50, '--tariff', 'standard', '--e164', '+49'], 2, ['without plus']),
            (['subscriber', 'add', 0, '--account', 50, '--tariff', 'standard'], 2, ['0 is not the number of a subscriber']),
            (['subscriber', 'show'], 2, ['which subscriber']),
            (['subscriber', 'show', 62], 1, ['subscriber 62 does not exist', 'subscriber list']),
            (['subscriber', 'show', 1, '--imsi', '999'], 2, ['once']),
            (['subscriber', 'change', 60], 2, ['--account or --tariff']),
            (['subscriber', 'change', 60, '--tariff', 'gold'], 1, ['tariff gold does not exist']),
            (['subscriber', 'change', 60, '--account', 51], 1, ['account 51 does not exist']),
            (['subscriber', 'change', 62, '--account', 50], 1, ['subscriber 62 does not exist']),
            (['subscriber', 'list', '--state', 'x'], 2, ['--state x']),
            (['subscriber', 'list', '--limit', 'x'], 2, ['--limit x']),
            (['identity', 'add', 60], 2, ['which identity']),
            (['identity', 'add', 62, '--nai', 'x'], 1, ['subscriber_id']),
            (['identity', 'remove', '--nai', 'nobody'], 1, ['no subscriber has nai nobody'])]:
        refused(tap, ctl.run(*words), status, wanted, f'{status}: gyroctl {" ".join(map(str, words))}')
    pg.query("INSERT INTO gyro.specific_tariff (code) VALUES ('gold')")
    changed = ctl.json('subscriber', 'change', '--imsi', '999', '--tariff', 'gold')
    tap.equal((changed['tariff'], changed['account_id']), ('gold', 50), 'another tariff')
    changed = ctl.json('subscriber', 'change', 60, '--account', 8)
    tap.equal((changed['tariff'], changed['account_id'], changed['state']), ('gold', 8, 'active'), 'another account')
    tap.ok('deleted' in ctl.out('subscriber', 'delete', 60), 'deleted')
    tap.equal(pg.query('SELECT count(*) FROM gyro.subscriber_identity WHERE subscriber_id = 60'), [['0']], 'with its identities')
    tap.equal(ctl.json('account', 'show', 50)['balance'], '20.00', 'the account stays')
    refused(tap, ctl.run('subscriber', 'delete', 60), 1, ['does not exist'], 'a second time there is nothing to delete')
    text = ctl.out('subscriber', 'list')
    tap.equal(titles(text), ['subscriber', 'account', 'tariff', 'state', 'IMSI', 'E.164', 'balance', 'available', 'sessions'],
              'the table for people')
    tap.ok('8613800000009' in text, 'with its rows', text)
    tap.ok('Identities\n' in ctl.out('subscriber', 'show', 1), 'subscriber show has sections')


def catalogue(tap, ctl):
    tap.equal(ctl.json('tariff', 'list')[1:], [{'code': 'standard', 'name': '', 'rules': 19, 'subscribers': 10}], 'tariff list')
    shown = ctl.json('tariff', 'show', 'standard')
    rules = {r['rating_group']: r for r in shown['rules']}
    tap.equal({k: rules[10][k] for k in ('unit', 'kind', 'price', 'per', 'valid_from', 'valid_now')},
              {'unit': 'octets', 'kind': 'priced', 'price': '0.10', 'per': 1048576, 'valid_from': None, 'valid_now': True}, 'tariff show')
    tap.equal((rules[30]['kind'], rules[30]['price'], rules[50]['kind']), ('free', None, 'forbidden'), 'free and forbidden have no price')
    text = ctl.out('tariff', 'show', 'standard')
    tap.ok(all(w in text for w in ('1MiB', '60s', 'forbidden', 'Rules\n')), 'its table', text)
    refused(tap, ctl.run('tariff', 'show', 'silver'), 1, ['tariff silver does not exist', 'tariff list'], 'a tariff that is not there')
    groups = {g['rating_group']: g for g in ctl.json('rating-group', 'list')}
    tap.equal((groups[10]['default_grant'], groups[10]['validity_s'], groups[10]['final_unit'], groups[61]['filter_ids'],
               groups[60]['redirect_address'], groups[60]['redirect_type']),
              (10485760, 3600, 'terminate', ['topup-only'], 'http://topup.spec.test/', 'url'), 'rating-group list')
    tap.ok('10MiB' in ctl.out('rating-group', 'list') and '1h' in ctl.out('rating-group', 'list'), 'its table')
    contexts = ctl.json('context', 'list')
    tap.equal([contexts[0], contexts[-1]], [{'suffix': '32251@3gpp.org', 'default_rating_group': 10, 'cards': False},
                                            {'suffix': 'cards@gyro', 'default_rating_group': None, 'cards': True}], 'context list')


def main():
    tap = Tap()
    with Postgres() as pg:
        ctl = Ctl(pg.conninfo())
        ctl.out('migrate')
        ctl.out('apply', '-f', FIXTURE)
        money(tap, pg, ctl)
        accounts(tap, ctl)
        subscribers(tap, pg, ctl)
        catalogue(tap, ctl)
        tap.equal(ctl.json('audit'), [], 'the audit finds nothing')
    tap.done()


main()
