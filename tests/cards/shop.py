"""A shop in a private PostgreSQL: products, buyers, apps; card operations and usage as a node would write them.

Everything goes through gyro.card_request, the one entry that nodes and gyroctl use, by real connections. Usage is
decided by core/charging, which isn't here: Shop.draw and Shop.grant write what a node writes, so that the audits have
something to compare.
"""
import collections
import pathlib
import sys
import uuid

import psycopg2
import psycopg2.errors

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests/lib'), str(ROOT / 'tests/audit'), str(ROOT / 'tests/chaos')]
import audit # noqa: E402
import tables # noqa: E402
from postgres import Postgres # noqa: E402
from stack import schema # noqa: E402

INITIAL, UPDATE, TERMINATE, EVENT = 1, 2, 3, 4
PURCHASE, BIND, UNBIND, STATISTICS, PRIORITY, CANCEL = range(6)
DIRECT_DEBITING, REFUND, CHECK_BALANCE, PRICE_ENQUIRY = range(4)
IMSI = 1
FOREVER = 9223372036854775807

# Subscriber n is charged to account n, but the last: a second user of account 1.
ALICE, BOB, CAROL, SPONSOR, POOR, DOLLAR, BARRED, AMY = 1, 2, 3, 4, 5, 6, 7, 8
PEOPLE = {ALICE: 'alice', BOB: 'bob', CAROL: 'carol', SPONSOR: 'sponsor', POOR: 'poor', DOLLAR: 'dollar', BARRED: 'barred',
          AMY: 'amy'}

CATALOGUE = '''
INSERT INTO gyro.service_context (suffix, default_rating_group) VALUES ('32251@3gpp.org', 10);
INSERT INTO gyro.rating_group (rating_group, name, default_grant, max_grant, validity_s)
    SELECT n, 'group ' || n, 1000, 100000, 3600 FROM unnest(ARRAY[0, 10, 20, 21, 30, 99]) n;
INSERT INTO gyro.specific_tariff (tariff_id, code) VALUES (1, 'standard');
INSERT INTO gyro.specific_rule (tariff_id, rating_group, unit, price_micros, block)
    SELECT 1, n, 1, 1, 1 FROM unnest(ARRAY[0, 10, 20, 21, 30, 99]) n;
SELECT count(gyro.account_open(n, 978::smallint, 100000000)) FROM generate_series(1, 4) n;
SELECT gyro.account_open(5, 978::smallint, 29990000), gyro.account_open(6, 840::smallint, 100000000),
       gyro.account_open(7, 978::smallint, 100000000);
INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id) SELECT n, n, n, 1 FROM generate_series(1, 7) n;
INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id) VALUES (8, 1, 1, 1);
INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id) SELECT 1, 'imsi' || n, n FROM generate_series(1, 8) n;
INSERT INTO gyro.gateway (origin_host, origin_realm) VALUES ('pgw1.gyro.test', 'gyro.test');
INSERT INTO gyro.attribute_type (name, source, value_type) VALUES ('tier', 1, 3);
INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1), ('friends', 2);
INSERT INTO gyro.audience (name, kind, attribute_id, value) SELECT 'gold', 3, attribute_id, 'gold' FROM gyro.attribute_type;
INSERT INTO gyro.audience_member SELECT audience_id, n FROM gyro.audience, unnest(ARRAY[1, 2]) n WHERE name = 'friends';
INSERT INTO gyro.app (name) VALUES ('video'), ('music'), ('maps'), ('bare'), ('twin');
INSERT INTO gyro.app_target SELECT app_id, 20, -1 FROM gyro.app WHERE name = 'video';
INSERT INTO gyro.app_target SELECT app_id, 21, 5 FROM gyro.app WHERE name = 'music';
INSERT INTO gyro.app_target SELECT app_id, 30, -1 FROM gyro.app WHERE name IN ('maps', 'twin');
'''

Reply = collections.namedtuple('Reply', 'result message failed_code failed_index purchase card binding user_class priority '
                                        'targets granted cost currency validity_s check_balance statistics cards')


class Shop:
    """One database of a cluster."""

    def __init__(self, pg, name):
        self.pg, self.name = pg, name
        pg.create(name)
        pg.query(schema() + CATALOGUE, name)
        self.connection = self.connect()
        self.numbers = 0

    def connect(self, autocommit=True):
        connection = psycopg2.connect(self.pg.conninfo(self.name))
        connection.autocommit = autocommit
        return connection

    def rows(self, sql, *params, on=None):
        with (on or self.connection).cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql, *params, on=None):
        (row,) = self.rows(sql, *params, on=on)
        return row[0]

    def product(self, code, **columns):
        """A product by the columns that differ; audience and app by name."""
        columns = {'code': code, 'currency': 978, 'quota': 1000, **columns}
        for name, table in (('audience', 'audience'), ('app', 'app')):
            if name in columns:
                columns[f'{name}_id'] = self.value(f'SELECT {table}_id FROM gyro.{table} WHERE name = %s', columns.pop(name))
        self.rows(f'INSERT INTO gyro.product ({", ".join(columns)}) VALUES ({", ".join(["%s"] * len(columns))})',
                  *columns.values())

    def unique(self, prefix='p'):
        self.numbers += 1
        return f'{prefix}{self.numbers}'

    # --- card operations

    def request(self, operation, who, kind=EVENT, number=0, action=DIRECT_DEBITING, session=None, product='', purchase='', card='',
                to=None, priority=-1, units=-1, apps=(), urls=(), flows=(), content=1, again=False, on=None):
        """apps, urls, flows: of each Directed-Traffic-Info; a single text is one of them."""
        info = [list(x) if not isinstance(x, str) else [x] for x in (apps, urls, flows)]
        longest = max(len(x) for x in info)
        info = [x + [''] * (longest - len(x)) for x in info]
        beneficiary = (0, '') if to is None else (IMSI, to if isinstance(to, str) else f'imsi{to}')
        return Reply(*self.rows('''
            SELECT result, message, failed_code, failed_index, purchase, card, binding, user_class, priority, targets, granted, cost,
                   currency, validity_s, check_balance, statistics, cards
              FROM gyro.card_request(%s::uuid, %s::smallint, %s, %s::smallint, %s::smallint, %s, %s, %s, %s, %s::smallint, %s, %s,
                                     %s, %s::text[], %s::text[], %s::text[], 1, 7, %s, %s)''',
                                session or str(uuid.uuid4()), kind, number, action, operation, who, product, purchase, card,
                                *beneficiary, priority, units, *info, content, again, on=on)[0])

    def buy(self, product, who=ALICE, to=None, **more):
        """One CCR-E; the card's code."""
        reply = self.request(PURCHASE, who, product=product, purchase=self.unique(), to=to, **more)
        if reply.result != 2001:
            raise AssertionError(f'{product} was not sold: {reply}')
        return reply.card

    def bind(self, card, who=ALICE, **more):
        return self.request(BIND, who, card=card, **more)

    # --- what a node writes for usage

    def number_of(self, card):
        return self.value('SELECT card_id FROM gyro.card WHERE code = %s', card)

    def row(self, card):
        """The twelve numbers of a card in its account's row; None: it isn't there."""
        found = self.rows('''SELECT ARRAY[k.card_id, c.state, c.unit, c.quota, c.used, c.reserved, c.valid_from_us, c.valid_until_us, c.lasts_us,
                                        c.held, c.usage_price, c.usage_block]
                               FROM gyro.card k JOIN gyro.card_row c USING (account_id, card_id)
                              WHERE k.code = %s AND c.live''', card)
        return found[0][0] if found else None

    def draw(self, card, who, group, units, on=None, over=0):
        """Usage that drains a card: the rows of owner and user, the record. over: of it, beyond any card."""
        self.rows('''DO $do$
            DECLARE
                k    gyro.card;
                home bigint;
                own  bigint;
                n    integer;
            BEGIN
                SELECT * INTO k FROM gyro.card WHERE code = %(card)s;
                SELECT account_id INTO own FROM gyro.subscriber WHERE subscriber_id = %(who)s;
                PERFORM FROM gyro.account WHERE account_id IN (own, k.account_id) ORDER BY account_id FOR NO KEY UPDATE;
                SELECT gyro.card_row_no(cards, k.card_id) INTO n FROM gyro.account WHERE account_id = k.account_id;
                UPDATE gyro.account SET version = version + 1, card_use[n][1] = card_use[n][1] + %(units)s,
                       card_use[n][3] = CASE WHEN card_use[n][4] > 0 THEN gyro.us(clock_timestamp()) + card_use[n][4] ELSE card_use[n][3] END,
                       card_use[n][4] = 0
                 WHERE account_id = k.account_id;
                PERFORM pg_temp.drawn(k.account_id, k.card_id, 0, %(group)s, %(units)s);
                IF k.cap IS NOT NULL THEN
                    PERFORM pg_temp.drawn(own, k.card_id, %(who)s, -1, %(units)s);
                END IF;
                INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number,
                                         end_to_end, content_hash, debit, balance, reserved, result, request_type, flags, catalogue,
                                         charges)
                SELECT t, account_id, group_id, %(who)s, 1, gen_random_uuid(), t, 0, 1, 1, 0, balance, reserved, 2001, 4, 0, 1,
                       ARRAY[[%(group)s, 0, (2001::bigint << 16) | (1::bigint << 32), %(units)s, 0, 0, 0, 0, 1, 0, 0, 0, 64, 0, 1, 2,
                              k.card_id, 0]]
                  FROM gyro.account, clock_timestamp() t WHERE account_id = own;
            END $do$''' % {'card': f"'{card}'", 'who': who, 'group': group, 'units': units}, on=self.drawing(on))

    def drawing(self, on):
        """The connection, with a helper that adds to a row of draws."""
        on = on or self.connection
        self.rows('''CREATE OR REPLACE FUNCTION pg_temp.drawn(home bigint, card bigint, subscriber bigint, rating_group bigint, units bigint)
            RETURNS void LANGUAGE plpgsql AS $f$
            DECLARE
                d bigint[];
                n integer;
            BEGIN
                SELECT draws INTO d FROM gyro.account WHERE account_id = home;
                SELECT i INTO n FROM generate_series(1, gyro.matrix_rows(d)) i
                 WHERE d[i][1] = card AND d[i][2] = subscriber AND d[i][3] = rating_group;
                IF n IS NULL THEN
                    d := d || ARRAY[[card, subscriber, rating_group, units, 0]];
                ELSE
                    d[n][4] := d[n][4] + units;
                END IF;
                UPDATE gyro.account SET version = version + 1, draws = d WHERE account_id = home;
            END $f$''', on=on)
        return on

    def session(self, who, group=10, granted=0, card=None, refused=None):
        """An open session: a CCR-I with units of one Rating-Group, free of charge or out of a card; or refused with that
        Result-Code, and nothing reserved. Returns its key."""
        session_id = f'pgw1.gyro.test;{self.unique("s")}'
        key = tables.session_key(session_id)
        hi, lo = (int(key.replace('-', '')[i:i + 16], 16) for i in (0, 16))
        hi, lo = (n - (1 << 64) if n >> 63 else n for n in (hi, lo))
        (account, sessions, reservations), = self.rows('''
            SELECT account_id, gyro.matrix_rows(sessions), gyro.matrix_rows(reservations) FROM gyro.account
              JOIN gyro.subscriber USING (account_id) WHERE subscriber_id = %s''', who)
        now = self.value('SELECT gyro.us(clock_timestamp())')
        number = self.number_of(card) if card else 0
        shape = ((refused or 2001) << 16) | (1 << 32)
        charge = [[group, 0, shape, 0, 0, granted, 0, 0, 1, 0, 0, 3600 << 32, 32 if card else 0, 0, 1, 0, 0, 0]]
        self.rows('''
            INSERT INTO gyro.session_index (session, session_id, account_id, group_id, subscriber_id, gateway_id, opened, check_at)
            VALUES (%s, %s, %s, %s, %s, 1, to_timestamp(%s / 1000000.0), now() + interval '1 day')''',
                  key, session_id, account, account, who, now)
        self.rows('''UPDATE gyro.account SET version = version + 1, sessions = sessions || %s::bigint[],
                            answers = answers || %s::bigint[] WHERE account_id = %s''',
                  [[hi, lo, who, 1, 1, now, now + 86400000000, -1, 0, 0, 1, 0]],
                  [[sessions + 1 | 1 << 32, 1 << 32, 1, 2001 | shape, group, 0, granted, 3600 << 32, 0]], account)
        if not refused:
            self.rows('UPDATE gyro.account SET reservations = reservations || %s::bigint[] WHERE account_id = %s',
                      [[sessions + 1, group, 0, 1, granted, 0, 0, 1, 0, 0, 3600, 0]], account)
        if card:
            home = self.value('SELECT account_id FROM gyro.card WHERE code = %s', card)
            self.rows('UPDATE gyro.account SET slices = slices || %s::bigint[] WHERE account_id = %s',
                      [[2 << 40 | reservations + 1, number, granted, 0, 1, home]], account)
            self.rows('''UPDATE gyro.account SET version = version + 1, card_use[gyro.card_row_no(cards, %s)][2] =
                                card_use[gyro.card_row_no(cards, %s)][2] + %s WHERE account_id = %s''', number, number, granted, home)
        self.rows('''
            INSERT INTO gyro.record (at, account_id, group_id, subscriber_id, gateway_id, session, opened, request_number, end_to_end,
                                     content_hash, debit, balance, reserved, result, request_type, flags, catalogue, charges)
            SELECT to_timestamp(%s / 1000000.0), account_id, group_id, %s, 1, %s, to_timestamp(%s / 1000000.0), 0, 1, 1, 0, balance,
                   reserved, 2001, 1, 0, 1, %s::bigint[] FROM gyro.account WHERE account_id = %s''',
                  now, who, key, now, charge, account)
        return key

    def asked(self):
        """What the outbox would send: (session, Rating-Group or None, reason); forgotten afterwards."""
        return self.rows('DELETE FROM gyro.outbox RETURNING session::text, rating_group, reason')

    # --- what must hold

    def money(self, account):
        return self.rows('SELECT balance, reserved FROM gyro.account WHERE account_id = %s', account)[0]

    def findings(self):
        return self.rows("SELECT * FROM gyro.audit()")

    def clean(self, tap, name):
        """Both audits find nothing."""
        own = self.findings()
        tap.ok(not own, f'{name}: gyro.audit() finds nothing', '\n'.join(map(str, own[:10])))
        found, _ = audit.audit(self.pg.conninfo(self.name))
        tap.ok(not found.lines, f'{name}: the auditor finds nothing', '\n'.join(map(str, found.lines[:10])))


__all__ = ['Postgres', 'Shop']
