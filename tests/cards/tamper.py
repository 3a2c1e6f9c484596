#!/usr/bin/python3
"""Each check of gyro.audit() on cards fires: data is spoilt in one way, and the invariant must be named.

tamper.py

A shop with purchases in every state, cards in use, settled and retired is clean. Then each row of the table spoils
it inside a transaction that is rolled back. The independent auditor is spoilt in the same ways, and must say it, too.
"""
import sys

import psycopg2

from shop import ALICE, BOB, CANCEL, CAROL, INITIAL, PURCHASE, REFUND, SPONSOR, STATISTICS, TERMINATE, UPDATE, Postgres, Shop, audit
from tap import Tap

CARD = "(SELECT card_id FROM gyro.card WHERE code = '{used}')"
ROW = f"gyro.card_row_no(cards, {CARD})"
POOL = "(SELECT card_id FROM gyro.card WHERE code = '{pool}')"
HELD = "(SELECT card_id FROM gyro.purchase WHERE purchase_id = 'held')"
GONE = "(SELECT card_id FROM gyro.card WHERE code = '{gone}')"


def at(column, change, card='{used}', account=ALICE):
    """Changes one number of a card's rows: ('cards', 4) is its quota."""
    n = f"gyro.card_row_no(cards, (SELECT card_id FROM gyro.card WHERE code = '{card}'))"
    name, number = column
    return f"UPDATE gyro.account SET {name}[{n}][{number}] = {name}[{n}][{number}] {change} WHERE account_id = {account}"


def drawn(column, change, account, n=1):
    return f"UPDATE gyro.account SET draws[{n}][{column}] = draws[{n}][{column}] {change} WHERE account_id = {account}"


def entry(column, change, where):
    """Changes one number of the first charge of one record."""
    return f"UPDATE gyro.record SET charges[1][{column}] = charges[1][{column}] {change} WHERE {where}"


USAGE = f"charges[1][16] = 2 AND charges[1][17] = {CARD}"
PAID = "charges[1][13] & 128 = 128 AND charges[1][3] >> 32 & 15 = 4 AND charges[1][17] = " + CARD
SETTLED = f"charges[1][13] & 128 = 128 AND charges[1][3] >> 32 & 15 = 1 AND charges[1][17] = {POOL}"

# Which audits must see it (S: gyro.audit(), A: the auditor), the invariant, what it is called, how it is done.
SPOILT = (
    ('SA', 'I2', 'a card used more than its ledger says', at(('card_use', 1), '+ 1') + '; ' + drawn(4, '+ 1', ALICE)),
    ('SA', 'I2', 'a card used more than its draws', at(('card_use', 1), '+ 1')),
    ('SA', 'I2', 'draws of a card that is not there', "UPDATE gyro.account SET draws = draws || ARRAY[[999, 0, 10, 5, 0]] WHERE account_id = 3"),
    ('SA', 'I2', 'a negative reserve', at(('card_use', 2), '- 1000000')),
    ('SA', 'I2', 'a card that gives more than its quota', at(('cards', 4), '- 900')),
    ('SA', 'I2', 'usage of a purchase that is only held', f"UPDATE gyro.account SET card_use[gyro.card_row_no(cards, {HELD})][1] = 1 WHERE account_id = 2"),
    ('SA', 'I2', 'a card twice', f"UPDATE gyro.account SET cards = cards || ARRAY[gyro.matrix_row(cards, {ROW})], "
     f"card_use = card_use || ARRAY[gyro.matrix_row(card_use, {ROW})] WHERE account_id = 1"),
    ('SA', 'I2', 'more closed than used', drawn(5, '+ 100000', ALICE)),
    ('SA', 'I2', 'usage in the ledger of another card', entry(17, '+ 1000', USAGE)),
    ('SA', 'I2', 'usage in the ledger under another Rating-Group', entry(1, '+ 89', USAGE)),
    ('SA', 'I2', 'usage that the ledger lacks', f"DELETE FROM gyro.record WHERE {USAGE}"),
    ('SA', 'I2', 'a retired card with more usage than its ledger', "UPDATE gyro.card SET retired[9] = retired[9] + 1 WHERE code = '{gone}'"),
    ('SA', 'I2', 'a cap with less drawn than the ledger says', "UPDATE gyro.account SET draws[n][4] = draws[n][4] - 1 FROM (SELECT n FROM "
     "gyro.account, generate_series(1, gyro.matrix_rows(draws)) n WHERE account_id = 2 AND draws[n][2] = 2) x WHERE account_id = 2"),
    ('SA', 'I2', 'more drawn than the cap', "UPDATE gyro.card SET cap = 10 WHERE code = '{pool}'"),
    ('SA', 'I3', 'a card that holds more than its grants', at(('card_use', 2), '+ 1')),
    ('SA', 'I3', 'a grant out of a card that does not hold it', "UPDATE gyro.account SET slices[1][3] = slices[1][3] + 1, "
     "reservations[1][5] = reservations[1][5] + 1 WHERE account_id = 1"),
    ('SA', 'I3', 'a grant out of a card of another account', "UPDATE gyro.account SET slices[1][6] = 2 WHERE account_id = 1"),
    ('SA', 'I3', 'a grant out of a card that is not there', "UPDATE gyro.account SET slices[1][2] = 999 WHERE account_id = 1"),
    ('SA', 'I3', 'money held by nobody', "UPDATE gyro.account SET reserved = reserved + 1 WHERE account_id = 2"),
    ('SA', 'I3', 'a held purchase without its row', "UPDATE gyro.account SET reserved = reserved - 1000000, "
     f"cards = gyro.matrix_without(cards, gyro.card_row_no(cards, {HELD})), "
     f"card_use = gyro.matrix_without(card_use, gyro.card_row_no(cards, {HELD})) WHERE account_id = 2"),
    ('SA', 'I3', 'a row of a purchase that was cancelled', "UPDATE gyro.purchase SET state = 7 WHERE purchase_id = 'held'"),
    ('SA', 'I3', 'less held than the price', f"UPDATE gyro.account SET reserved = reserved - 1, cards[gyro.card_row_no(cards, {HELD})][6] = "
     f"cards[gyro.card_row_no(cards, {HELD})][6] - 1 WHERE account_id = 2"),
    ('SA', 'I3', 'a confirmed purchase that holds nothing', "UPDATE gyro.account SET reserved = reserved - 1000000, cards[gyro.card_row_no(cards, "
     "(SELECT card_id FROM gyro.purchase WHERE purchase_id = 'confirmed'))][6] = 0 WHERE account_id = 2"),
    ('SA', 'I3', 'a paid purchase that still holds', at(('cards', 6), '+ 5') + "; UPDATE gyro.account SET reserved = reserved + 5 WHERE account_id = 1"),
    ('SA', 'I2', 'a card of a purchase that was never confirmed', "UPDATE gyro.purchase SET card_id = NULL, state = 6 WHERE card_id = " + CARD),
    ('SA', 'I2', 'a purchase that was paid, without card', "UPDATE gyro.purchase SET card_id = 998 WHERE card_id = " + GONE),
    ('SA', 'I2', 'a refunded card that is not revoked', "UPDATE gyro.card SET retired[2] = 2 WHERE code = '{refunded}'"),
    ('SA', 'I2', 'a card that has left its row and the table', f"UPDATE gyro.card SET retired = NULL WHERE card_id = {GONE}"),
    ('SA', 'I1', 'a purchase paid less', entry(5, '- 1', PAID) + f"; UPDATE gyro.record SET debit = debit - 1 WHERE {PAID}; "
     "UPDATE gyro.account SET balance = balance + 1 WHERE account_id = 1"),
    ('SA', 'I1', 'a purchase paid twice', f"INSERT INTO gyro.record SELECT * FROM gyro.record WHERE {PAID}"),
    ('SA', 'I1', 'a purchase not paid', f"DELETE FROM gyro.record WHERE {PAID}"),
    ('SA', 'I1', 'a payment for no purchase', entry(17, '+ 500', PAID)),
    ('SA', 'I1', 'a refund that was not given', "UPDATE gyro.purchase SET state = 5 WHERE state = 9"),
    ('SA', 'I1', 'a payment that a cancelled purchase got', "UPDATE gyro.purchase SET state = 7 WHERE state = 5 AND card_id = " + CARD),
    ('SA', 'I1', 'money for what came from a card', entry(5, '+ 1', USAGE)),
    ('SA', 'I1', 'more closed than its windows say', drawn(5, '- 1', SPONSOR)),
    ('SA', 'I1', 'a line of a window gone', "DELETE FROM gyro.usage_window_line WHERE window_id = (SELECT min(window_id) FROM gyro.usage_window "
     f"WHERE card_id = {POOL})"),
    ('SA', 'I1', 'a retired card whose windows lack something', f"DELETE FROM gyro.usage_window_line WHERE window_id IN (SELECT window_id FROM "
     f"gyro.usage_window WHERE card_id = {GONE})"),
    ('SA', 'I1', 'a window that is not the sum of its lines', f"UPDATE gyro.usage_window SET amount = amount + 1 WHERE card_id = {POOL}"),
    ('SA', 'I1', 'a gap between windows', "UPDATE gyro.usage_window SET opened = opened + interval '1 microsecond' WHERE window_id = (SELECT "
     f"max(window_id) FROM gyro.usage_window WHERE card_id = {POOL})"),
    ('SA', 'I1', 'a last window that ends elsewhere', "UPDATE gyro.card SET settled_until = settled_until + interval '1 microsecond' WHERE "
     "code = '{pool}'"),
    ('SA', 'I1', 'a window that ends before it begins', "UPDATE gyro.usage_window SET opened = closed WHERE window_id = (SELECT min(window_id) "
     f"FROM gyro.usage_window WHERE card_id = {POOL})"),
    ('SA', 'I1', 'a settlement paid less', entry(5, '- 1', SETTLED) + f"; UPDATE gyro.record SET debit = debit - 1 WHERE {SETTLED}; "
     f"UPDATE gyro.account SET balance = balance + (SELECT count(*) FROM gyro.record WHERE {SETTLED}) WHERE account_id = 4"),
    ('SA', 'I1', 'a settlement paid twice', f"INSERT INTO gyro.record SELECT * FROM gyro.record WHERE {SETTLED}"),
    ('SA', 'I1', 'a settlement of another Rating-Group', entry(1, '+ 1', SETTLED)),
    ('SA', 'I1', 'a line that costs too much, paid and all', "UPDATE gyro.usage_window_line SET amount = amount + 1 WHERE window_id = (SELECT "
     f"max(window_id) FROM gyro.usage_window WHERE card_id = {POOL}); UPDATE gyro.usage_window SET amount = amount + (SELECT count(*) FROM "
     "gyro.usage_window_line l WHERE l.window_id = usage_window.window_id) WHERE window_id = (SELECT max(window_id) FROM "
     f"gyro.usage_window WHERE card_id = {POOL})"),
    ('SA', 'I1', 'a remainder that got lost', "UPDATE gyro.card SET carry = 0 WHERE code = '{pool}'"),
    ('SA', 'I1', 'a price of the card that changed', "UPDATE gyro.card SET usage_price = usage_price + 1 WHERE code = '{pool}'"),
    ('SA', 'I2', 'more users than a card may have', "UPDATE gyro.card SET max_bindings = 1 WHERE code = '{pool}'"),
    ('SA', 'I2', 'a general binding of a user who is not named', "UPDATE gyro.card_binding SET user_class = 1 WHERE NOT directed"),
    ('SA', 'I2', 'a directed binding without targets', "DELETE FROM gyro.binding_target"),
    ('SA', 'I6', 'a purchase that nobody ends', "UPDATE gyro.purchase SET hold_until = now() - interval '1 hour' WHERE purchase_id = 'held'"),
    ('SA', 'I6', 'a confirmed purchase that nobody ends', "UPDATE gyro.purchase SET hold_until = now() - interval '1 hour' WHERE "
     "purchase_id = 'confirmed'"),
)


def story(shop):
    """Everything that the checks look at; the cards by name."""
    shop.product('base', price=1000000, audience='everyone')
    shop.product('small', price=1000000, audience='everyone', quota=50)
    shop.product('pool', audience='everyone', directed=1, quota=100000, max_bindings=5, cap=5000, settle=2, usage_price=7, usage_block=3)
    cards = {'used': shop.buy('base'), 'pool': shop.buy('pool', SPONSOR), 'gone': shop.buy('small', CAROL)}
    shop.bind(cards['used'])
    for who, info in ((ALICE, {}), (BOB, {'apps': ['video']})):
        shop.bind(cards['pool'], who, **info)
    shop.session(ALICE, 10, 200, cards['used'])
    shop.draw(cards['used'], ALICE, 10, 300)
    shop.draw(cards['gone'], CAROL, 99, 50)
    for group, units in ((10, 100), (20, 11), (10, 5)):
        shop.draw(cards['pool'], BOB, group, units)
        shop.request(STATISTICS, SPONSOR, card=cards['pool'])
    shop.draw(cards['pool'], ALICE, 10, 1)
    shop.rows('SELECT gyro.card_retire(3)')
    for name, kinds in (('held', (INITIAL,)), ('confirmed', (INITIAL, UPDATE)), ('cancelled', (INITIAL,))):
        session = None
        for n, kind in enumerate(kinds):
            session = session or shop.value('SELECT gen_random_uuid()::text')
            shop.request(PURCHASE, BOB, kind, n, session=session, product='base', purchase=name, units=1 if kind == UPDATE else -1)
    shop.request(CANCEL, BOB, purchase='cancelled')
    cards['refunded'] = shop.request(PURCHASE, BOB, product='base', purchase='refunded').card
    shop.request(PURCHASE, BOB, action=REFUND, purchase='refunded')
    return cards


def lacking(tap, shop, name, sql, cards, wanted, who):
    """Spoils a copy of the database, and asks the audits."""
    sql = sql.format(**cards)
    shop.pg.create('spoilt', template=shop.name)
    try:
        before = shop.pg.value(ALL, 'spoilt')
        shop.pg.query(sql, 'spoilt')
        tap.ok(shop.pg.value(ALL, 'spoilt') != before, f'spoilt: {name}', sql)
        own = [row[0] for row in shop.pg.query('SELECT * FROM gyro.audit()', 'spoilt')]
        tap.ok(wanted in own, f'gyro.audit() {wanted}: {name}', f'found only {own}')
        if 'A' in who:
            found, _ = audit.audit(shop.pg.conninfo('spoilt'))
            tap.ok(found.count()[wanted] > 0, f'the auditor {wanted}: {name}', f'found only {found.lines[:5]}')
    finally:
        shop.pg.drop('spoilt')


TABLES = 'account', 'record', 'purchase', 'card', 'card_binding', 'binding_target', 'usage_window', 'usage_window_line'
ALL = 'SELECT md5(concat(' + ', '.join(f"(SELECT string_agg(t::text, '' ORDER BY t::text) FROM gyro.{t} t)" for t in TABLES) + '))'


def main():
    tap = Tap()
    with Postgres() as pg:
        shop = Shop(pg, 'shop')
        cards = story(shop)
        shop.clean(tap, 'before')
        states = {s for (s,) in shop.rows('SELECT state FROM gyro.purchase_state')}
        tap.equal(states, {'HELD', 'CONFIRMED', 'DONE', 'CANCELLED', 'REFUNDED'}, 'there is a purchase of each kind')
        tap.ok(shop.value("SELECT carry FROM gyro.card WHERE code = %s", cards['pool']) > 0, 'and a remainder that is carried')
        shop.connection.close()
        for who, invariant, name, sql in SPOILT:
            lacking(tap, shop, name, sql, cards, invariant, who)
    tap.done()


if __name__ == '__main__':
    main()
