"""The tables as plain Python: one snapshot, integers only. Reads columns, none of the product's views and functions.

What the columns of the matrices mean is said in core/store/schema/002_account.sql and core/store/row.c; it is read
again here, on purpose: a mistake in the product's reading must not repeat itself in its proof.
"""
import collections

import psycopg2
import xxhash

Charge = collections.namedtuple('Charge', 'group service code unit final_unit holding granted reserved price block carry '
                                          'rule validity threshold flags switch parts')
Part = collections.namedtuple('Part', 'used debit price block source rule unit')    # usage, and what it was drained from
Record = collections.namedtuple('Record', 'at place account subscriber gateway session opened kind number end_to_end '
                                          'content debit balance reserved result flags charges')
Payment = collections.namedtuple('Payment', 'at account amount balance reference forced')
Account = collections.namedtuple('Account', 'account balance reserved credit_limit sessions holds answers slices cards draws')
Session = collections.namedtuple('Session', 'key subscriber gateway state opened deadline highest seen '
                                            'initial_number initial_end_to_end place')
Hold = collections.namedtuple('Hold', 'session group service unit granted reserved price block carry rule validity switch')
Slice = collections.namedtuple('Slice', 'hold phase source rule units price block held home')
Answer = collections.namedtuple('Answer', 'session kind number content result code unit final_unit holding group service '
                                          'granted validity threshold end_to_end')
Index = collections.namedtuple('Index', 'session session_id sub_session account opened ended')
Unmatched = collections.namedtuple('Unmatched', 'session kind number usage')
CardRow = collections.namedtuple('CardRow', 'card state unit quota since held price block used reserved until lasts')
Draw = collections.namedtuple('Draw', 'card subscriber group used closed')
Card = collections.namedtuple('Card', 'card code purchase owner account cap settle price block max_bindings settled_until carry '
                                      'retired')
Purchase = collections.namedtuple('Purchase', 'purchase account card price state at hold_until changed_at')
Window = collections.namedtuple('Window', 'window card opened closed amount lines')     # lines: {Rating-Group: (used, amount)}
Binding = collections.namedtuple('Binding', 'binding card subscriber user_class directed open targets')
Sold = collections.namedtuple('Sold', 'cards purchases windows bindings answers')
Tables = collections.namedtuple('Tables', 'now accounts records payments index rules tariffs unmatched sold')

OPEN = 1
OVERRUN, UNRATED, LATE, NO_RATING_GROUP, PART, SLICED, EVENT, OPERATION, SHRUNK = 1, 2, 4, 8, 16, 32, 64, 128, 256
ENDED_BY_US, INITIAL, UPDATE, TERMINATION, ONE_TIME = range(5)    # types of a record
FREE_UNITS, CARD, MONEY = 1, 2, 3    # sources


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
    """Rows of a record's charges, one service each; a row that is part of the one before is put to that. A row without parts is
    what another grant of its credit pool left of one.

    The third number holds what is small: code, unit, final unit, holding time."""
    out = []
    for row in rows:
        (group, service, shape, used, debit, granted, reserved, price, block, carry, rule, times, flags, at, per, source,
         source_rule, rare) = row
        part = Part(used, debit, at, per, source, source_rule, shape >> 32 & 15)
        if flags & PART and not flags & SHRUNK and out:
            out[-1].parts.append(part)
            continue
        out.append(Charge(group, service, shape >> 16 & 0xffff, shape >> 32 & 15, (shape >> 36 & 15) - 1,
                          holding(shape), granted, reserved, price, block, carry, rule, times >> 32 & 0xffffffff,
                          times & 0xffffffff, flags, rare >> 32 & 0xffffffff,
                          [] if flags & SHRUNK else [part]))
    return out


def holding(shape):
    """Quota-Holding-Time, None if there is none."""
    return (shape >> 40 & 0xffff) % 0xffff if shape >> 40 & 0xffff else None


def used(c):
    return sum(p.used for p in c.parts)


def used_by_unit(c):
    """{unit: units}; the service's own unit, 0, if nothing was used."""
    out = collections.Counter()
    for p in c.parts:
        out[p.unit] += p.used
    return {unit: units for unit, units in out.items() if units} or {c.unit: 0}


def answer(row, sessions):
    n, request, content, shape, group, service, granted, times, _ = row
    n, end_to_end = n & 0xffff, n >> 32 & 0xffffffff
    return Answer(sessions[n - 1].key if 0 < n <= len(sessions) else None, request >> 32, request & 0xffffffff, content,
                  shape & 0xffff, shape >> 16 & 0xffff, shape >> 32 & 15, (shape >> 36 & 15) - 1, holding(shape),
                  group, service, granted, times >> 32 & 0xffffffff, times & 0xffffffff, end_to_end)


def slice_of(row):
    what, rule, units, price, block, last = row
    source = what >> 40
    return Slice(what & 0xffffffff, what >> 32 & 255, source, rule, units, price, block, 0 if source == CARD else last,
                 last if source == CARD else 0)


def account(row):
    number, balance, reserved, limit, sessions, holds, answers, slices, cards, card_use, draws = row
    sessions = [Session(uuid_of(s[0], s[1]), *s[2:]) for s in sessions]
    return Account(number, balance, reserved, limit, sessions, [Hold(*h[:3], h[3] & 255, *h[4:]) for h in holds],
                   [answer(a, sessions) for a in answers], [slice_of(s) for s in slices],
                   [CardRow(*c, *u) for c, u in zip(cards, card_use, strict=True)],
                   [Draw(*d) for d in draws])


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
        SELECT {micros("at")}, account_id, amount, balance, reference, forced FROM gyro.payment
         ORDER BY account_id, at, payment_id''')]
    accounts = {r[0]: account(r) for r in rows(connection, 'accounts', '''
        SELECT account_id, balance, reserved, credit_limit, sessions, reservations, answers, slices, cards, card_use, draws
          FROM gyro.account''')}
    index = {r[0]: Index(*r) for r in rows(connection, 'sessions', f'''
        SELECT session::text, session_id, sub_session::text, account_id, {micros("opened")}, ended
          FROM gyro.session_index''')}
    rules = {r[0]: r[1:] for r in rows(connection, 'rules', '''
        SELECT rule_id, tariff_id, rating_group, unit, price_micros, block FROM gyro.specific_rule''')}
    tariffs = dict(rows(connection, 'tariffs', 'SELECT subscriber_id, tariff_id FROM gyro.subscriber'))
    unmatched = [Unmatched(*r) for r in rows(connection, 'unmatched', '''
        SELECT session::text, request_type, request_number, usage FROM gyro.unmatched_usage''')]
    return Tables(now, accounts, records, payments, index, rules, tariffs, unmatched, sold(connection))


def sold(connection):
    """Cards, purchases, windows, bindings, and the answers kept of card operations: {(session, type, number): result}."""
    cards = {r[0]: Card(*r[:-1], CardRow(*r[-1]) if r[-1] else None) for r in rows(connection, 'cards', f'''
        SELECT card_id, code, purchase_id, owner, account_id, cap, settle, usage_price, usage_block, max_bindings,
               {micros("settled_until")}, carry, retired FROM gyro.card''')}
    purchases = {r[0]: Purchase(*r) for r in rows(connection, 'purchases', f'''
        SELECT purchase_id, account_id, card_id, price, state, {micros("at")}, {micros("hold_until")}, {micros("changed_at")}
          FROM gyro.purchase''')}
    windows = {r[0]: Window(*r, {}) for r in rows(connection, 'windows', f'''
        SELECT window_id, card_id, {micros("opened")}, {micros("closed")}, amount FROM gyro.usage_window ORDER BY window_id''')}
    for window, group, units, amount in rows(connection, 'lines', '''
            SELECT window_id, rating_group, used, amount FROM gyro.usage_window_line'''):
        windows[window].lines[group] = (units, amount)
    bindings = {r[0]: Binding(*r, []) for r in rows(connection, 'bindings', '''
        SELECT binding_id, card_id, subscriber_id, user_class, directed, unbound_at IS NULL FROM gyro.card_binding''')}
    for binding, group in rows(connection, 'targets', 'SELECT binding_id, rating_group FROM gyro.binding_target'):
        bindings[binding].targets.append(group)
    answers = {r[:3]: r[3] for r in rows(connection, 'card answers', '''
        SELECT session::text, request_type, request_number, (reply).result FROM gyro.card_answer''')}
    return Sold(cards, purchases, windows, bindings, answers)
