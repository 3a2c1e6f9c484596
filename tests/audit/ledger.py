"""I1, I3, I4 and I6 from the tables alone: every account's life is played again, record by record.

Each debit must be what the usage costs at the price of the grant it was used under, with the remainder that the
session had carried so far; each grant must be held for; what is held at the end must be what the row says. All of it
in Python's integers. (I2, cards, comes with cards.)
"""
import collections

from tables import LATE, OPEN, OVERRUN

AMOUNT_MAX = 1 << 60     # an amount beyond this is cut: such a debit isn't explained here
SECOND = 1000000


class Slice:
    """What a session holds for one Rating-Group and set of services. price None: not known (no row, or free)."""

    def __init__(self, c):
        self.granted, self.reserved = c.granted, c.reserved
        self.price, self.block, self.carry, self.unit = c.price, c.block, c.carry, c.unit

    def perhaps_none(self):
        """Price 0 per 1 and nothing held is also what a charge without a row shows."""
        return self.price == 0 and self.block == 1 and self.granted == 0


class Life:
    """One session: from its CCR-I on."""

    def __init__(self, record):
        self.record = record
        self.slices = {}
        self.ended_by = None
        self.numbers = {}        # (type, number): record

    def held(self):
        return sum(s.reserved for s in self.slices.values())


class Ledger:
    def __init__(self, tables, found, grace_s=60, fixed_catalogue=True):
        self.t, self.found, self.grace_s, self.fixed_catalogue = tables, found, grace_s, fixed_catalogue
        self.lives = collections.defaultdict(dict)      # account: {(session, opened): Life}
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
            self.play(account, sorted(events[number], key=lambda e: e.at))
            self.compare(account)
        self.checked['accounts'] = len(self.t.accounts)
        self.checked['records'] = len(self.t.records)

    # --- one account's history

    def play(self, account, events):
        """Events of one moment are of one batch: any order among them that fits is right."""
        balance = held = paid = debited = 0
        i = 0
        while i < len(events):
            same = [events[i]]
            while i + len(same) < len(events) and events[i + len(same)].at == events[i].at:
                same.append(events[i + len(same)])
            i += len(same)
            while same:
                event = next((e for e in same if self.fits(e, balance)), same[0])
                same.remove(event)
                if not self.fits(event, balance):
                    self.say('I1', account.account, f'{self.name(event)}: balance {event.balance} after {balance}')
                balance = event.balance
                if hasattr(event, 'amount'):
                    paid += event.amount
                else:
                    debited += event.debit
                    held = self.record(account, event, held)
        if account.balance != paid - debited:
            self.say('I1', account.account, f'balance {account.balance}, paid {paid}, debited {debited}')
        if account.balance != balance:
            self.say('I1', account.account, f'balance {account.balance}, last entry says {balance}')
        if account.reserved != held:
            self.say('I3', account.account, f'reserved {account.reserved}, the records leave {held}')
        if account.balance + account.credit_limit < 0 and not self.overrun(account.account):
            self.say('I6', account.account, f'balance {account.balance}, limit {account.credit_limit}, no flagged over-use')

    @staticmethod
    def fits(event, balance):
        change = event.amount if hasattr(event, 'amount') else -event.debit
        return balance + change == event.balance

    @staticmethod
    def name(event):
        if hasattr(event, 'amount'):
            return f'payment {event.reference}'
        return f'session {event.session} {event.kind}/{event.number}'

    def overrun(self, number):
        return any(r.flags & OVERRUN for life in self.lives[number].values() for r in life.numbers.values())

    def record(self, account, r, held):
        """One request: its place in its session, its money, what it leaves held. Returns the account's sum."""
        lives = self.lives[account.account]
        life = lives.get((r.session, r.opened))
        where = f'session {r.session} {r.kind}/{r.number}'
        if r.debit != sum(c.debit for c in r.charges):
            self.say('I1', account.account, f'{where}: debit {r.debit}, services {sum(c.debit for c in r.charges)}')
        if life is None:
            if r.kind != 1 or r.opened != r.at:
                self.say('I6', account.account, f'{where}: of a session that no CCR-I opened')
            life = lives[r.session, r.opened] = Life(r)
        elif (r.kind, r.number) in life.numbers:
            self.say('I6', account.account, f'{where}: decided twice')
        if life.ended_by and not r.flags & LATE:
            self.say('I6', account.account, f'{where}: after the end of its session, not as late usage')
        if not life.ended_by and r.flags & LATE:
            self.say('I6', account.account, f'{where}: late usage of an open session')
        life.numbers[r.kind, r.number] = r
        held -= life.held()
        for c in r.charges:
            self.charge(account.account, where, life, r, c)
        if r.kind in (0, 3) and not r.flags & LATE:
            life.ended_by = r
            for held_slice in life.slices.values():
                held_slice.granted = held_slice.reserved = 0
        held += life.held()
        if r.reserved != held:
            self.say('I3', account.account, f'{where}: says {r.reserved} reserved, the records so far {held}')
        return held

    # --- one service of a request

    def charge(self, account, where, life, r, c):
        where = f'{where} Rating-Group {c.group}'
        key = (c.group, c.service)
        before = life.slices.get(key)
        self.checked['charges'] += 1
        due = -(-(c.granted * c.price + c.carry) // c.block) if c.granted and c.block else 0
        if c.reserved != due:
            self.say('I4', account, f'{where}: {c.granted} granted at {c.price} per {c.block}, carry {c.carry}: '
                                    f'{c.reserved} reserved, not {due}')
        if c.granted and (c.flags & LATE or r.kind in (0, 3)):
            self.say('I4', account, f'{where}: {c.granted} granted by what ends a session or comes after its end')
        if c.debit_block:
            self.debit(account, where, r, c, before)
        elif c.debit:
            self.say('I1', account, f'{where}: {c.debit} debited without a price')
        elif before is not None and not before.perhaps_none() and c.carry != before.carry:
            self.say('I1', account, f'{where}: carry {c.carry} without usage, was {before.carry}')
        if r.flags & LATE and before is None:
            return
        life.slices[key] = Slice(c)

    def debit(self, account, where, r, c, before):
        """What was used costs what the grant said; the remainder goes on."""
        self.checked['debits'] += 1
        starts = [(before.price, before.block, before.carry)] if before is not None and not before.perhaps_none() else []
        if not starts or r.flags & LATE or before.perhaps_none():
            starts.append((c.debit_price, c.debit_block, 0))
            if self.fixed_catalogue and not self.sold(r, c) and (c.debit_price, c.debit_block) not in \
               [(s[0], s[1]) for s in starts[:-1]]:
                self.say('I1', account, f'{where}: {c.debit_price} per {c.debit_block} is no price of the tariff')
        for price, block, carry in starts:
            total = c.used * price + carry
            if (c.debit_price, c.debit_block, c.debit) == (price, block, total // block) and \
               c.carry in self.carries(total % block, price, block, c):
                return
            if total // block > AMOUNT_MAX >> 2:
                self.checked['debits cut'] += 1
                return
        price, block, carry = starts[0]
        self.say('I1', account, f'{where}: {c.used} used at {price} per {block}, carry {carry}: '
                                f'{(c.used * price + carry) // block} due, {(c.used * price + carry) % block} carried; '
                                f'debited {c.debit} at {c.debit_price} per {c.debit_block}, carried {c.carry}')

    @staticmethod
    def carries(rest, price, block, c):
        """The remainder as it may stand after the request: as it was, or in terms of the next price, or given up."""
        if (c.price, c.block) == (price, block):
            return {rest}
        return {rest, rest * c.block // block, 0}

    def sold(self, r, c):
        tariff = self.t.tariffs.get(r.subscriber)
        return any(rule[0] == tariff and rule[1] == c.group and rule[3:] == (c.debit_price, c.debit_block)
                   for rule in self.t.rules.values())

    # --- the row against its history

    def compare(self, account):
        lives = self.lives[account.account]
        total = sum(s.reserved for s in account.slices)
        if account.reserved != total:
            self.say('I3', account.account, f'reserved {account.reserved}, reservations {total}')
        in_row = {(s.key, s.opened) for s in account.sessions}
        for (session, opened), life in lives.items():
            if life.ended_by is None and (session, opened) not in in_row:
                self.say('I3', account.account, f'session {session} is open by its records, and not in the row')
        for n, s in enumerate(account.sessions, 1):
            life = lives.get((s.key, s.opened))
            if life is None:
                self.say('I6', account.account, f'session {s.key} in the row has no records')
                continue
            self.compare_session(account, s, life, [x for x in account.slices if x.session == n])
        for a in account.answers:
            self.compare_answer(account, a)

    def compare_session(self, account, s, life, slices):
        where = f'session {s.key}'
        self.checked['sessions in rows'] += 1
        if (s.state == OPEN) != (life.ended_by is None):
            self.say('I6', account.account, f'{where}: state {s.state}, by its records '
                                            f'{"open" if life.ended_by is None else "ended"}')
        if s.state == OPEN and s.deadline < self.t.now - self.grace_s * SECOND:
            self.say('I6', account.account, f'{where}: open {(self.t.now - s.deadline) // SECOND} s after its deadline')
        if s.state != OPEN and any(x.reserved or x.granted for x in slices):
            self.say('I6', account.account, f'{where}: ended, and holds {sum(x.reserved for x in slices)}')
        for x in slices:
            due = -(-(x.granted * x.price + x.carry) // x.block) if x.granted else 0
            if x.reserved != due:
                self.say('I4', account.account, f'{where} Rating-Group {x.group}: {x.granted} granted, '
                                                f'{x.reserved} reserved, not {due}')
            known = life.slices.get((x.group, x.service))
            if known is None:
                self.say('I3', account.account, f'{where} Rating-Group {x.group}: in the row, in no record')
            elif (known.granted, known.reserved, known.price, known.block, known.carry) != \
                    (x.granted, x.reserved, x.price, x.block, x.carry):
                self.say('I3', account.account, f'{where} Rating-Group {x.group}: holds {x.granted} = {x.reserved}, '
                                                f'carry {x.carry}; the last record says {known.granted} = '
                                                f'{known.reserved}, carry {known.carry}')
        self.compare_seen(account, s, life)
        index = self.t.index.get(s.key)
        if s.state == OPEN and (index is None or index.account != account.account or index.opened != s.opened or index.ended):
            self.say('I6', account.account, f'{where}: open, and not so in the session index: nobody would supervise it')

    def compare_seen(self, account, s, life):
        """The numbers that duplicates are told by: exactly those decided."""
        numbers = {number for kind, number in life.numbers if kind == 2}
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
        if record is None or (record.content, record.result) != (a.content, a.result):
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
