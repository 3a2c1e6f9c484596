"""The tables as plain Python: one snapshot, integers only. Reads columns, none of the product's views and functions.

What the columns of the matrices mean is said in core/store/schema/002_account.sql and core/store/row.c; it is read
again here, on purpose: a mistake in the product's reading must not repeat itself in its proof.
"""
import collections

import psycopg2
import xxhash

Charge = collections.namedtuple('Charge', 'group service code unit final_unit holding granted reserved price block carry '
                                          'rule validity threshold flags switch parts')
Part = collections.namedtuple('Part', 'used debit price block source rule')     # usage, and what it was drained from
Record = collections.namedtuple('Record', 'at place account subscriber gateway session opened kind number end_to_end '
                                          'content debit balance reserved result flags charges')
Payment = collections.namedtuple('Payment', 'at account amount balance reference')
Account = collections.namedtuple('Account', 'account balance reserved credit_limit sessions holds answers slices')
Session = collections.namedtuple('Session', 'key subscriber gateway state opened deadline highest seen '
                                            'initial_number initial_end_to_end place')
Hold = collections.namedtuple('Hold', 'session group service unit granted reserved price block carry rule validity switch')
Slice = collections.namedtuple('Slice', 'hold phase source rule units price block held')
Answer = collections.namedtuple('Answer', 'session kind number content result code unit final_unit holding group service '
                                          'granted validity threshold')
Index = collections.namedtuple('Index', 'session session_id sub_session account opened ended')
Unmatched = collections.namedtuple('Unmatched', 'session kind number usage')
Tables = collections.namedtuple('Tables', 'now accounts records payments index rules tariffs unmatched')

OPEN = 1
OVERRUN, UNRATED, LATE, NO_RATING_GROUP, PART, SLICED, EVENT = 1, 2, 4, 8, 16, 32, 64
ENDED_BY_US, INITIAL, UPDATE, TERMINATION, ONE_TIME = range(5)    # types of a record
FREE_UNITS, MONEY = 1, 3    # sources


def micros(column):
    return f'(extract(epoch FROM {column}) * 1000000)::bigint'


def uuid_of(high, low):
    """Two signed halves as the text of a uuid."""
    digits = f'{(high & 0xffffffffffffffff) << 64 | low & 0xffffffffffffffff:032x}'
    return f'{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}'


def session_key(session_id, sub_session=None):
    """The uuid under which a session is stored: XXH3-128 of Session-Id and, if there is one, CC-Sub-Session-Id."""
    data = session_id if isinstance(session_id, bytes) else session_id.encode()
    if sub_session is not None:
        data += int(sub_session).to_bytes(8, 'big')
    digest = xxhash.xxh3_128_intdigest(data)
    return uuid_of(digest >> 64, digest)


def charges(rows):
    """Rows of a record's charges, one service each; a row that is part of the one before is put to that.

    The third number holds what is small: code, unit, final unit, holding time."""
    out = []
    for row in rows:
        (group, service, shape, used, debit, granted, reserved, price, block, carry, rule, times, flags, at, per, source,
         source_rule, rare) = row
        part = Part(used, debit, at, per, source, source_rule)
        if flags & PART and out:
            out[-1].parts.append(part)
            continue
        out.append(Charge(group, service, shape >> 16 & 0xffff, shape >> 32 & 15, (shape >> 36 & 15) - 1,
                          shape >> 40 & 0xffff, granted, reserved, price, block, carry, rule, times >> 32 & 0xffffffff,
                          times & 0xffffffff, flags, rare >> 32 & 0xffffffff, [part]))
    return out


def used(c):
    return sum(p.used for p in c.parts)


def answer(row, sessions):
    n, request, content, shape, group, service, granted, times, _ = row
    return Answer(sessions[n - 1].key if 0 < n <= len(sessions) else None, request >> 32, request & 0xffffffff, content,
                  shape & 0xffff, shape >> 16 & 0xffff, shape >> 32 & 15, (shape >> 36 & 15) - 1, shape >> 40 & 0xffff,
                  group, service, granted, times >> 32 & 0xffffffff, times & 0xffffffff)


def account(row):
    number, balance, reserved, limit, sessions, holds, answers, slices = row
    sessions = [Session(uuid_of(s[0], s[1]), *s[2:]) for s in sessions]
    return Account(number, balance, reserved, limit, sessions, [Hold(*h) for h in holds],
                   [answer(a, sessions) for a in answers], [Slice(*s) for s in slices])


def rows(connection, name, sql):
    """A cursor of the server's: the table need not fit into memory twice."""
    with connection.cursor(name) as cursor:
        cursor.itersize = 5000
        cursor.execute(sql)
        yield from cursor


def read(conninfo):
    """All of it, as of one moment."""
    connection = psycopg2.connect(conninfo)
    try:
        connection.set_session(isolation_level='REPEATABLE READ', readonly=True)
        return read_all(connection)
    finally:
        connection.close()


def read_all(connection):
    with connection.cursor() as cursor:
        cursor.execute('SET TimeZone = UTC')
        cursor.execute(f'SELECT {micros("clock_timestamp()")}')
        now = cursor.fetchone()[0]
    records = [Record(*r[:-1], charges(r[-1])) for r in rows(connection, 'records', f'''
        SELECT {micros("at")}, (tableoid, ctid)::text, account_id, subscriber_id, gateway_id, session::text,
               {micros("opened")}, request_type, request_number, end_to_end, content_hash, debit, balance, reserved,
               result, flags, charges
          FROM gyro.record ORDER BY account_id, at, tableoid, ctid''')]
    payments = [Payment(*r) for r in rows(connection, 'payments', f'''
        SELECT {micros("at")}, account_id, amount, balance, reference FROM gyro.payment
         ORDER BY account_id, at, payment_id''')]
    accounts = {r[0]: account(r) for r in rows(connection, 'accounts', '''
        SELECT account_id, balance, reserved, credit_limit, sessions, reservations, answers, slices
          FROM gyro.account''')}
    index = {r[0]: Index(*r) for r in rows(connection, 'sessions', f'''
        SELECT session::text, session_id, sub_session::text, account_id, {micros("opened")}, ended
          FROM gyro.session_index''')}
    rules = {r[0]: r[1:] for r in rows(connection, 'rules', '''
        SELECT rule_id, tariff_id, rating_group, unit, price_micros, block FROM gyro.specific_rule''')}
    tariffs = dict(rows(connection, 'tariffs', 'SELECT subscriber_id, tariff_id FROM gyro.subscriber'))
    unmatched = [Unmatched(*r) for r in rows(connection, 'unmatched', '''
        SELECT session::text, request_type, request_number, usage FROM gyro.unmatched_usage''')]
    return Tables(now, accounts, records, payments, index, rules, tariffs, unmatched)
