"""I1, I3, I4 and I6 from the tables alone: every account's life is played again, record by record.

Each debit must be what the usage costs at the price of the grant it was used under, with the remainder that the
session had carried so far; each grant must be held for; what is held at the end must be what the row says. All of it
in Python's integers. What purchases hold, and when, is cards.py's knowledge.
"""
import collections

from cards import is_operation
from tables import ENDED_BY_US, EVENT, INITIAL, LATE, MONEY, ONE_TIME, OPEN, OVERRUN, SHRUNK, SLICED, TERMINATION, UPDATE

AMOUNT_MAX = 1 << 60     # an amount beyond this is cut: such a debit isn't explained here
SECOND = 1000000
MONEY_UNIT = 4


def is_payment(event):
    return hasattr(event, 'amount')


def fits_balance(event, balance):
    return balance + (event.amount if is_payment(event) else -event.debit) == event.balance


def step(event, balance, held, state, lives, fits_held):
    """(held, state) after this event, None if it can't be the next one.

    state: {session: (holds, ended)} of the sessions that this batch has touched; the others are as lives has them."""
    if not fits_balance(event, balance):
        return None
    if is_payment(event) or is_operation(event):
        return held, state
    key = (event.session, event.opened)
    if key in state:
        holds, ended = state[key]
    elif key in lives:
        holds, ended = lives[key].holds, lives[key].ended_by is not None
    elif opens(event):
        holds, ended = {}, False
    else:
        return None
    if ended != bool(event.flags & LATE) and event.kind != ONE_TIME:
        return None
    after, seen = follow(holds, event), dict(holds)
    held += total(after) - total(holds)
    if not fits_held(event, held):
        return None
    for c in event.charges:
        if event.kind != ONE_TIME and not explained(c, seen.get((c.group, c.service)), event.flags & LATE):
            return None
        seen[c.group, c.service] = held_by(c)
    return held, {**state, key: (after, ended or ends(event))}


def cost_up(units, price, block, carry):
    """What must be held for them: rounded up."""
    return -(-(units * price + carry) // block)


Held = collections.namedtuple('Held', 'granted reserved price block carry unit sliced')


def held_by(c):
    """What a session holds for one Rating-Group and set of services after this service of a record."""
    return Held(c.granted, c.reserved, c.price, c.block, c.carry, c.unit, bool(c.flags & SLICED))


def perhaps_none(h):
    """Price 0 per 1 and nothing held is also what a charge shows that left no reservation."""
    return h.price == 0 and h.block == 1 and h.granted == 0


def total(holds):
    return sum(h.reserved for h in holds.values())


class Life:
    """One session: from its CCR-I on."""

    def __init__(self, record):
        self.record = record
        self.holds = {}          # (Rating-Group, service key): Held
        self.ended_by = None
        self.numbers = {}        # (type, number): record


def ends(r):
    """An event is a session that has ended."""
    return r.kind in (ENDED_BY_US, TERMINATION, ONE_TIME)


def opens(r):
    return r.kind in (INITIAL, ONE_TIME)


def follow(holds, r):
    """The session's holds after this record."""
    holds = dict(holds)
    for c in r.charges if r.kind != ONE_TIME else ():
        key = (c.group, c.service)
        if key in holds or not r.flags & LATE:
            holds[key] = held_by(c)
    if ends(r) and not r.flags & LATE:
        holds = {key: h._replace(granted=0, reserved=0) for key, h in holds.items()}
    return holds


def paid_parts(c):
    return [p for p in c.parts if p.source == MONEY]


def priced_parts(c):
    """Those that a price was applied to; an amount of money is none."""
    return [p for p in paid_parts(c) if p.unit != MONEY_UNIT]


def starts(c, before, late):
    """(price, block, remainder) with which the payment of a service may begin; more than one where the records leave
    it open whether there was a reservation."""
    known = before is not None and not perhaps_none(before)
    out = [(before.price, before.block, before.carry)] if known else []
    paid = priced_parts(c)
    if paid and (not known or late):
        out.append((paid[0].price, paid[0].block, 0))
    return out


def explains(start, c):
    """Whether the debits and the remainder after them follow from the remainder before."""
    _, block, carry = start
    for p in priced_parts(c):
        if p.price == 0:
            carry = 0
        elif p.block != block:
            carry = carry * p.block // block
        due, block = p.used * p.price + carry, p.block
        if p.debit != due // block:
            return False
        carry = due % block
    # As it was; in terms of the next price; or given up, where that is nothing or of another unit.
    return c.carry in ({carry} if c.block == block and c.price else {carry, carry * c.block // block, 0})


def explained(c, before, late):
    """Whether the money of a service is right. Nothing paid and nothing remembered: nothing to be right."""
    begins = starts(c, before, late)
    return not begins or any(explains(start, c) for start in begins) or \
        any(p.used * p.price // max(p.block, 1) > AMOUNT_MAX >> 2 for p in priced_parts(c))


class Ledger:
    def __init__(self, tables, found, shop, grace_s=60, fixed_catalogue=True, order=None):
        self.t, self.found, self.shop, self.grace_s, self.fixed_catalogue = tables, found, shop, grace_s, fixed_catalogue
        self.order = order or (lambda event: event.at)
        self.lives = collections.defaultdict(dict)      # account: {(session, opened): Life}
        # Late usage of a subscriber who was moved since is the new account's: where sessions began, who decided what.
        self.born = {(r.session, r.opened): r for r in tables.records if opens(r)}
        self.decided = {}                               # (session, opened, type, number): account
        self.checked = collections.Counter()

    def say(self, invariant, account, text):
        self.found(invariant, f'account {account}', text)

    # --- the whole

    def run(self):
        events = collections.defaultdict(list)
        for payment in self.t.payments:
            events[payment.account].append(payment)
        for record in self.t.records:
            events[record.account].append(record)
        for number in events.keys() - self.t.accounts.keys():
            self.say('I1', number, f'{len(events[number])} payments or records, but no such account')
        for number, account in self.t.accounts.items():
            self.play(account, sorted(events[number], key=self.order))
            self.compare(account)
        self.checked['accounts'] = len(self.t.accounts)
        self.checked['records'] = len(self.t.records)

    # --- one account's history

    def play(self, account, events):
        """Events of one moment are of one batch; the table does not keep their order, but they have one."""
        balance = held = paid = debited = 0
        left = None # by the last over-use that was flagged or forced, and what came in since
        i = 0
        while i < len(events):
            same = [events[i]]
            while i + len(same) < len(events) and events[i + len(same)].at == events[i].at:
                same.append(events[i + len(same)])
            i += len(same)
            for event in self.in_order(account, same, balance, held):
                if not fits_balance(event, balance):
                    self.say('I1', account.account, f'{self.name(event)}: balance {event.balance} after {balance}')
                if event.forced if is_payment(event) else event.flags & OVERRUN:
                    left = event.balance
                elif left is not None:
                    left += max(event.amount if is_payment(event) else -event.debit, 0)
                balance = event.balance
                if is_payment(event):
                    paid += event.amount
                elif is_operation(event):
                    debited += event.debit
                    self.operation(account, event, held)
                else:
                    debited += event.debit
                    held = self.record(account, event, held)
        if account.balance != paid - debited:
            self.say('I1', account.account, f'balance {account.balance}, paid {paid}, debited {debited}')
        if account.balance != balance:
            self.say('I1', account.account, f'balance {account.balance}, last entry says {balance}')
        purchases = self.shop.holds_now(account.account)
        if account.reserved != held + purchases:
            self.say('I3', account.account, f'reserved {account.reserved}, the records leave {held}, purchases {purchases}')
        if account.balance + account.credit_limit < 0 and (left is None or account.balance < left):
            self.say('I6', account.account, f'balance {account.balance}, limit {account.credit_limit}, flagged over-use left {left}')

    def in_order(self, account, same, balance, held):
        """The order in which balance, holds and remainders follow from each other; if there is none, as they stand."""
        if len(same) == 1:
            return same
        lives = self.lives[account.account]
        budget = [20000]

        def go(left, balance, held, state):
            if not left:
                return []
            for n, event in enumerate(left):
                budget[0] -= 1
                after = step(event, balance, held, state, lives, self.shop.fits) if budget[0] > 0 else None
                rest = go(left[:n] + left[n + 1:], event.balance, *after) if after else None
                if rest is not None:
                    return [event, *rest]
            return None
        found = go(same, balance, held, {})
        self.checked['batches put in order'] += found is not None
        return found or same

    @staticmethod
    def name(event):
        if is_payment(event):
            return f'payment {event.reference}'
        return f'session {event.session} {event.kind}/{event.number}'

    def operation(self, account, r, held):
        """A card operation: money for a purchase or a settlement, no session of usage."""
        where = f'card operation {r.session} {r.kind}/{r.number}'
        parts = [p.debit for c in r.charges for p in c.parts]
        self.checked['card operations'] += 1
        if r.debit != sum(parts):
            self.say('I1', account.account, f'{where}: debit {r.debit}, services {parts}')
        if not self.shop.fits(r, held):
            self.say('I3', account.account, f'{where}: says {r.reserved} reserved, the records so far {held}, and purchases')

    def record(self, account, r, held):
        """One request: its place in its session, its money, what it leaves held. Returns the account's sum."""
        lives = self.lives[account.account]
        life = lives.get((r.session, r.opened))
        where = f'session {r.session} {r.kind}/{r.number}'
        parts = [p.debit for c in r.charges for p in c.parts]
        if r.debit != sum(parts):
            self.say('I1', account.account, f'{where}: debit {r.debit}, services {parts}')
        if life is None:
            born = self.born.get((r.session, r.opened))
            moved = r.flags & LATE and born and born.account != r.account and born.subscriber == r.subscriber
            if not moved and (not opens(r) or r.opened != r.at):
                self.say('I6', account.account, f'{where}: of a session that no CCR-I opened')
            life = lives[r.session, r.opened] = Life(r)
            life.ended_by = born if moved else None
        elif (r.kind, r.number) in life.numbers:
            self.say('I6', account.account, f'{where}: decided twice')
        if self.decided.setdefault((r.session, r.opened, r.kind, r.number), r.account) != r.account:
            self.say('I6', account.account, f'{where}: decided for two accounts')
        if life.ended_by and not r.flags & LATE and r.kind != ONE_TIME:
            self.say('I6', account.account, f'{where}: after the end of its session, not as late usage')
        if not life.ended_by and r.flags & LATE:
            self.say('I6', account.account, f'{where}: late usage of an open session')
        life.numbers[r.kind, r.number] = r
        before, life.holds = life.holds, follow(life.holds, r)
        seen = dict(before)
        for c in r.charges:
            self.charge(account.account, where, r, c, seen.get((c.group, c.service)))
            seen[c.group, c.service] = held_by(c)
        if ends(r) and not r.flags & LATE:
            life.ended_by = r
        held += total(life.holds) - total(before)
        if not self.shop.fits(r, held):
            self.say('I3', account.account, f'{where}: says {r.reserved} reserved, the records so far {held}, and purchases')
        return held

    # --- one service of a request

    def charge(self, account, where, r, c, before):
        where = f'{where} Rating-Group {c.group}'
        self.checked['charges'] += 1
        due = cost_up(c.granted, c.price, c.block, c.carry) if c.granted else 0
        if c.reserved != (0 if c.flags & EVENT else due) and not c.flags & SLICED:
            self.say('I4', account, f'{where}: {c.granted} granted at {c.price} per {c.block}, carry {c.carry}: '
                                    f'{c.reserved} reserved, not {due}')
        if c.granted and (c.flags & LATE or ends(r)) and not c.flags & EVENT:
            self.say('I4', account, f'{where}: {c.granted} granted by what ends a session or comes after its end')
        for p in c.parts:
            if p.debit and p.source != MONEY:
                self.say('I1', account, f'{where}: {p.debit} debited, not for usage paid with money')
        if c.flags & SHRUNK:
            self.shrunk(account, where, c, before)
        elif r.kind == ONE_TIME:
            self.event(account, where, c)
        else:
            self.usage(account, where, r, c, before)

    def shrunk(self, account, where, c, before):
        """Another grant of its credit pool took of it, at the price at which it was granted."""
        self.checked['grants shrunk'] += 1
        if before is None or c.granted >= before.granted or c.reserved > before.reserved or \
           (c.price, c.block, c.carry) != (before.price, before.block, before.carry):
            self.say('I4', account, f'{where}: {c.granted} left of a grant of {before and before.granted}, at {c.price} per {c.block}')

    def event(self, account, where, c):
        """Paid at once, or given back: what its units cost, or the amount itself."""
        carry = 0
        for p in paid_parts(c):
            self.checked['debits'] += 1
            due = (p.used * p.price + carry) // p.block if p.block else p.used
            carry = (p.used * p.price + carry) % p.block if p.block else 0
            if p.debit < 0 and c.unit != MONEY_UNIT:
                self.checked['refunds by units, taken as they are'] += 1
            elif abs(p.debit) != due:
                self.say('I1', account, f'{where}: {p.used} at {p.price} per {p.block}: {due} due, {p.debit} debited')

    def usage(self, account, where, r, c, before):
        """What was used costs what the grant said; the remainder goes on."""
        paid, late = priced_parts(c), r.flags & LATE
        self.checked['debits'] += len(paid)
        for p in c.parts:
            if p.unit == MONEY_UNIT and (p.debit, p.price, p.block) != (p.used, 1, 1) and p.used < AMOUNT_MAX >> 2:
                self.say('I1', account, f'{where}: an amount of {p.used}, {p.debit} debited')
        begins = starts(c, before, late)
        if paid and (paid[0].price, paid[0].block) not in [s[:2] for s in begins[:-1]] and \
           (before is None or perhaps_none(before) or late) and self.fixed_catalogue and not self.sold(r, c, paid[0]):
            self.say('I1', account, f'{where}: {paid[0].price} per {paid[0].block} is no price of the tariff')
        if before is not None and not perhaps_none(before) and not before.sliced and not late and \
           any((p.price, p.block) != (before.price, before.block) for p in paid):
            self.say('I1', account, f'{where}: granted at {before.price} per {before.block}, paid at '
                                    f'{paid[0].price} per {paid[0].block}')
        if not explained(c, before, late):
            self.say('I1', account, f'{where}: carry {begins[0][2]} of {begins[0][1]}, then (used, price, block, debit) '
                                    f'{[(p.used, p.price, p.block, p.debit) for p in paid]}, then carry {c.carry} of '
                                    f'{c.block}: that is not what it costs')

    def sold(self, r, c, part):
        tariff = self.t.tariffs.get(r.subscriber)
        return any(rule[0] == tariff and rule[1] == c.group and rule[3:] == (part.price, part.block)
                   for rule in self.t.rules.values())

    # --- the row against its history

    def compare(self, account):
        lives = self.lives[account.account]
        total = sum(h.reserved for h in account.holds) + sum(c.held for c in account.cards)
        if account.reserved != total:
            self.say('I3', account.account, f'reserved {account.reserved}, reservations and purchases {total}')
        in_row = {(s.key, s.opened) for s in account.sessions}
        for (session, opened), life in lives.items():
            if life.ended_by is None and (session, opened) not in in_row:
                self.say('I3', account.account, f'session {session} is open by its records, and not in the row')
        for n, s in enumerate(account.sessions, 1):
            life = lives.get((s.key, s.opened))
            if life is None:
                self.say('I6', account.account, f'session {s.key} in the row has no records')
                continue
            self.compare_session(account, s, life, [(i, h) for i, h in enumerate(account.holds, 1) if h.session == n])
        for a in account.answers:
            self.compare_answer(account, a)

    def compare_session(self, account, s, life, holds):
        where = f'session {s.key}'
        self.checked['sessions in rows'] += 1
        if (s.state == OPEN) != (life.ended_by is None):
            self.say('I6', account.account, f'{where}: state {s.state}, by its records '
                                            f'{"open" if life.ended_by is None else "ended"}')
        if s.state == OPEN and s.deadline < self.t.now - self.grace_s * SECOND:
            self.say('I6', account.account, f'{where}: open {(self.t.now - s.deadline) // SECOND} s after its deadline')
        for n, h in holds:
            if s.state != OPEN and (h.reserved or h.granted):
                self.say('I6', account.account, f'{where}: ended, and holds {h.reserved}')
            self.compare_hold(account, f'{where} Rating-Group {h.group}', h, [x for x in account.slices if x.hold == n],
                              life.holds.get((h.group, h.service)))
        self.compare_seen(account, s, life)
        index = self.t.index.get(s.key)
        if s.state == OPEN and (index is None or index.account != account.account or index.opened != s.opened or index.ended):
            self.say('I6', account.account, f'{where}: open, and not so in the session index: nobody would supervise it')

    def compare_hold(self, account, where, h, slices, known):
        due = self.due(h, slices) if h.granted else 0
        if h.reserved != due:
            self.say('I4', account.account, f'{where}: {h.granted} granted, {h.reserved} reserved, not {due}')
        if known is None:
            self.say('I3', account.account, f'{where}: in the row, in no record')
        elif (known.granted, known.reserved, known.price, known.block, known.carry) != \
                (h.granted, h.reserved, h.price, h.block, h.carry):
            self.say('I3', account.account, f'{where}: holds {h.granted} = {h.reserved}, carry {h.carry}; the last record '
                                            f'says {known.granted} = {known.reserved}, carry {known.carry}')

    @staticmethod
    def due(h, slices):
        """What a grant must hold: its units at its price; with slices, the dearer of before and after the change."""
        if not slices:
            return cost_up(h.granted, h.price, h.block, h.carry)
        held = {0: 0}
        for phase in {x.phase for x in slices}:
            mine = [x for x in slices if x.phase == phase]
            if sum(x.units for x in mine) != h.granted or (phase and not h.switch):
                return None
            held[phase] = 0
            for x in mine:
                carry = h.carry if phase == 0 else h.carry * x.block // h.block if x.price else 0
                if x.held != (cost_up(x.units, x.price, x.block, carry) if x.units and x.source == MONEY else 0):
                    return None
                held[phase] += x.held
        return max(held.values())

    def compare_seen(self, account, s, life):
        """The numbers that duplicates are told by: exactly those decided."""
        numbers = {number for kind, number in life.numbers if kind == UPDATE}
        seen = {s.highest - i for i in range(64) if s.seen >> i & 1} if s.highest >= 0 else set()
        if seen != {n for n in numbers if n > s.highest - 64} or (max(numbers) if numbers else -1) != s.highest:
            self.say('I6', account.account, f'session {s.key}: knows updates {sorted(seen)}, decided {sorted(numbers)}')

    def compare_answer(self, account, a):
        """What would be replayed is what was decided."""
        self.checked['kept answers'] += 1
        where = f'session {a.session} {a.kind}/{a.number}'
        records = [life.numbers[a.kind, a.number] for (session, _), life in self.lives[account.account].items()
                   if session == a.session and (a.kind, a.number) in life.numbers]
        record = max(records, key=lambda r: r.opened, default=None)
        if record is None or (record.content, record.result, record.end_to_end) != (a.content, a.result, a.end_to_end):
            self.say('I6', account.account, f'{where}: an answer is kept that no record explains')
        elif a.code and a.result == 2001 and not any(
                (c.service, c.code, c.granted, c.validity, c.threshold, c.final_unit, c.holding) ==
                (a.service, a.code, a.granted, a.validity, a.threshold, a.final_unit, a.holding) for c in record.charges):
            self.say('I4', account.account, f'{where}: keeps {a.granted} granted, the record says otherwise')

    def ended(self):
        """(session, Life) of all that have ended."""
        for lives in self.lives.values():
            for (session, _), life in lives.items():
                if life.ended_by is not None:
                    yield session, life
