"""I1, I2, I3 and I6 of cards: what was sold, drawn and settled, from the tables alone.

A card's life is in four places: its row in its owner's account, the purchase, the records of usage and of operations,
the windows. Each must follow from the others, in Python's integers.
"""
import collections
import itertools

from tables import CARD, MONEY, OPERATION

HELD, CONFIRMED, DONE, REFUSED, CANCELLED, EXPIRED, REFUNDED = range(3, 10)     # states of a purchase
ON_HOLD, REVOKED = 1, 4                                                          # of a card's row
MONEY_UNIT = 4
SECOND = 1000000
# A record is dated before it waits for its account's row: purchases of that time may or may not be in what it says.
NEAR_US = 10 * SECOND
NEAR_MOST = 12


def is_operation(event):
    """A record of a card operation: it belongs to no session of usage."""
    return any(c.flags & OPERATION for c in getattr(event, 'charges', ()))


class Shop:
    def __init__(self, tables, found, grace_s=60):
        self.t, self.found, self.grace_s = tables, found, grace_s
        self.sold = tables.sold
        self.checked = collections.Counter()
        self.used = collections.Counter()           # card: units, by the ledger
        self.by_group = collections.defaultdict(collections.Counter)    # card: {Rating-Group: units}
        self.by_user = collections.Counter()        # (card, subscriber)
        self.paid = collections.defaultdict(list)   # (account, card): [(time, debit)] of purchases
        self.settled = collections.defaultdict(collections.Counter)     # (account, card): {Rating-Group: micro-units}
        self.read_ledger()
        self.holds = collections.defaultdict(list)  # account: [(price, from, until or None)]
        self.read_holds()

    def say(self, invariant, account, text):
        self.found(invariant, f'account {account}', text)

    def read_ledger(self):
        for r in self.t.records:
            for c in r.charges:
                for p in c.parts:
                    if c.flags & OPERATION:
                        self.entry(r, c, p)
                    elif p.source == CARD:
                        self.checked['draws in records'] += 1
                        self.used[p.rule] += p.used
                        self.by_group[p.rule][c.group] += p.used
                        self.by_user[p.rule, r.subscriber] += p.used

    def entry(self, r, c, p):
        if p.source != MONEY:
            self.say('I1', r.account, f'an operation on card {p.rule} debits from source {p.source}')
        if c.unit == MONEY_UNIT:
            self.paid[r.account, p.rule].append((r.at, p.debit))
        else:
            self.settled[r.account, p.rule][c.group] += p.debit

    # --- what purchases hold, for the ledger's play

    def read_holds(self):
        for q in self.sold.purchases.values():
            if q.card is None or q.state == REFUSED:
                continue
            until = q.changed_at if q.state in (CANCELLED, EXPIRED) else None
            if q.state in (DONE, REFUNDED):
                until = min((at for at, debit in self.paid[q.account, q.card] if debit >= 0), default=q.changed_at)
            self.holds[q.account].append((q.price, q.at, until))

    def holds_now(self, account):
        return sum(price for price, _, until in self.holds[account] if until is None)

    def fits(self, r, held):
        """Whether what a record says is reserved is what sessions hold and purchases held then."""
        rest, near = r.reserved - held, []
        for price, since, until in self.holds.get(r.account, ()):
            if since + NEAR_US < r.at and (until is None or r.at < until - NEAR_US):
                rest -= price
            elif since - NEAR_US <= r.at and (until is None or r.at <= until + NEAR_US):
                near.append(price)
        if rest == 0:
            return True
        near = [price for price in near if 0 < price <= rest][:NEAR_MOST]
        return any(sum(some) == rest for n in range(1, len(near) + 1) for some in itertools.combinations(near, n))

    # --- the whole

    def run(self):
        self.seen_twice()
        rows = self.read_rows()
        for card in rows.keys() | self.used.keys():
            self.card(card, rows.get(card))
        self.caps(rows)
        self.grants(rows)
        for q in self.sold.purchases.values():
            self.purchase(q, rows.get(q.card))
        self.strangers(rows)
        windows, bindings = collections.defaultdict(list), collections.defaultdict(list)
        for w in self.sold.windows.values():
            windows[w.card].append(w)
        for b in self.sold.bindings.values():
            bindings[b.card].append(b)
        for card in self.sold.cards.values():
            self.windows(card, windows[card.card])
            self.bindings(card, bindings[card.card])
        for account, card in self.settled:
            if card not in self.sold.cards:
                self.say('I1', account, f'a settlement of card {card}, which is not there')

    def seen_twice(self):
        count = collections.Counter((r.account, r.session, r.opened, r.kind, r.number) for r in self.t.records
                                    if is_operation(r) and r.kind)
        for (account, session, _, kind, number), n in count.items():
            if n > 1:
                self.say('I6', account, f'card operation {session} {kind}/{number}: decided {n} times')

    def read_rows(self):
        """{card: (account, row, live)}"""
        rows = {}
        for account in self.t.accounts.values():
            for row in account.cards:
                if row.card in rows:
                    self.say('I2', account.account, f'card {row.card} is there twice')
                rows[row.card] = (account, row, True)
        for card in self.sold.cards.values():
            if card.retired:
                if card.card in rows:
                    self.say('I2', card.account, f'card {card.code} has been retired, and is in a row')
                rows[card.card] = (self.t.accounts.get(card.account), card.retired, False)
            elif card.card not in rows or rows[card.card][0].account != card.account:
                self.say('I2', card.account, f'card {card.code} is neither in its row nor retired')
        self.checked['cards'] += len(rows)
        return rows

    # --- I2: one card

    def card(self, number, found):
        if found is None:
            self.say('I2', None, f'card {number}: {self.used[number]} drawn by the ledger, and there is no such card')
            return
        account, row, live = found
        where = f'card {number}'
        if min(row.used, row.reserved, row.held) < 0 or row.used + row.reserved > row.quota or \
                (row.state == ON_HOLD and row.used + row.reserved):
            self.say('I2', account.account, f'{where}: quota {row.quota}, used {row.used}, reserved {row.reserved}, state {row.state}')
        if row.used != self.used[number]:
            self.say('I2', account.account, f'{where}: used {row.used}, by the ledger {self.used[number]}')
        if live:
            mine = [d for d in account.draws if d.card == number and d.subscriber == 0]
            if row.used != sum(d.used for d in mine):
                self.say('I2', account.account, f'{where}: used {row.used}, its draws {sum(d.used for d in mine)}')
            for d in mine:
                if not 0 <= d.closed <= d.used or d.used != self.by_group[number][d.group]:
                    self.say('I2', account.account, f'{where}, Rating-Group {d.group}: drawn {d.used}, closed {d.closed}, by the '
                                                    f'ledger {self.by_group[number][d.group]}')

    def caps(self, rows):
        """What users drew of cards with a cap stands in their own rows, while the card is in use."""
        drawn = collections.Counter()
        for account in self.t.accounts.values():
            for d in account.draws:
                if d.subscriber:
                    drawn[d.card, d.subscriber] += d.used
        for (number, subscriber), units in drawn.items():
            card, ledger = self.sold.cards.get(number), self.by_user[number, subscriber]
            if number in rows and rows[number][2] and (units != ledger or (card and card.cap is not None and units > card.cap)):
                self.say('I2', rows[number][0].account, f'card {number}: subscriber {subscriber} drew {units}, by the ledger {ledger}, '
                                                        f'cap {card and card.cap}')

    def strangers(self, rows):
        """Draws and payments of what there is not."""
        for account in self.t.accounts.values():
            own = {row.card for row in account.cards}
            for d in account.draws:
                if d.subscriber == 0 and d.card not in own:
                    self.say('I2', account.account, f'{d.used} drawn from card {d.card}, which is not in this row')
        cards = {(q.account, q.card) for q in self.sold.purchases.values()}
        for account, card in self.paid.keys() - cards:
            self.say('I1', account, f'paid for card {card}, which no purchase is about: {self.paid[account, card]}')
        bought = {q.card for q in self.sold.purchases.values() if q.state in (CONFIRMED, DONE, REFUNDED)}
        for number, card in self.sold.cards.items():
            if number not in bought:
                self.say('I2', card.account, f'card {card.code} was issued, and its purchase says otherwise')
        known = {card for _, card in cards}
        for number, (account, _, live) in rows.items():
            if live and number not in known:
                self.say('I3', account.account, f'a row of card {number}, which no purchase is about')

    # --- I3: what grants hold

    def grants(self, rows):
        held = collections.Counter()
        for account in self.t.accounts.values():
            phases = collections.Counter()
            for s in account.slices:
                if s.source == CARD:
                    phases[s.hold, s.rule, s.home, s.phase] += s.units
            for hold, card, home in {key[:3] for key in phases}:
                held[card, home] += max(phases[hold, card, home, phase] for phase in (0, 1))
        self.checked['grants from cards'] += len(held)
        for number, (account, row, _) in rows.items():
            units = held.pop((number, account.account), 0)
            if row.reserved != units:
                self.say('I3', account.account, f'card {number}: reserved {row.reserved}, granted from it {units}')
        for (number, home), units in held.items():
            self.say('I3', home, f'{units} granted from card {number}, which is not in this account')

    # --- I1, I3: purchases

    def purchase(self, q, found):
        self.checked['purchases'] += 1
        live = found is not None and found[2] and found[0].account == q.account
        row = found[1] if live else None
        wanted = {HELD: row is not None and row.state == ON_HOLD and row.held == q.price,
                  CONFIRMED: row is not None and row.state != ON_HOLD and row.held == q.price,
                  DONE: row is None or (row.state != ON_HOLD and row.held == 0)}.get(q.state, row is None)
        where = f'purchase {q.purchase} in state {q.state}'
        if not wanted:
            self.say('I3', q.account, f'{where}, price {q.price}: its row is {row}')
        card = self.sold.cards.get(q.card)
        if (card is not None) != (q.state in (CONFIRMED, DONE, REFUNDED)) or (card and card.purchase != q.purchase):
            self.say('I2', q.account, f'{where}: its card is {card and card.code}')
        if q.state == REFUNDED and card and (card.retired is None or card.retired.state != REVOKED):
            self.say('I2', q.account, f'{where}: its card is not revoked')
        debits = sorted(debit for _, debit in self.paid.get((q.account, q.card), ()))
        due = {DONE: [q.price], REFUNDED: sorted([q.price, -q.price])}.get(q.state, [])
        if debits != due:
            self.say('I1', q.account, f'{where}: paid {debits}, due {due}')
        if q.state in (HELD, CONFIRMED) and q.hold_until < self.t.now - self.grace_s * SECOND:
            self.say('I6', q.account, f'{where}: {(self.t.now - q.hold_until) // SECOND} s after its hold time')

    # --- I1: windows

    def windows(self, card, windows):
        where = f'card {card.code}'
        self.checked['windows'] += len(windows)
        used, amounts, before = collections.Counter(), collections.Counter(), None
        for w in windows:
            if w.opened >= w.closed or (before is not None and w.opened != before):
                self.say('I1', card.account, f'{where}: window {w.window} from {w.opened} to {w.closed}, after {before}')
            if w.amount != sum(amount for _, amount in w.lines.values()):
                self.say('I1', card.account, f'{where}: window {w.window} of {w.amount} is not the sum of its lines')
            before = w.closed
            for group, (units, amount) in w.lines.items():
                used[group] += units
                amounts[group] += amount
        if windows and card.settled_until != before:
            self.say('I1', card.account, f'{where}: settled until {card.settled_until}, the last window ends at {before}')
        if card.retired:
            closed = self.by_group[card.card]
        else:
            closed = {d.group: d.closed for d in self.t.accounts[card.account].draws if d.card == card.card and d.subscriber == 0}
        for group in used.keys() | closed.keys():
            if used[group] != closed.get(group, 0):
                self.say('I1', card.account, f'{where}, Rating-Group {group}: closed {closed.get(group, 0)}, in windows {used[group]}')
        paid = self.settled.get((card.account, card.card), {})
        for group in amounts.keys() | paid.keys():
            if amounts[group] != paid.get(group, 0):
                self.say('I1', card.account, f'{where}, Rating-Group {group}: {amounts[group]} in windows, {paid.get(group, 0)} debited')
        due = sum(used.values()) * card.price
        if divmod(due, card.block) != (sum(amounts.values()), card.carry):
            self.say('I1', card.account, f'{where}: {sum(used.values())} units at {card.price} per {card.block} are '
                                         f'{divmod(due, card.block)}, in windows {sum(amounts.values())}, carried {card.carry}')

    def bindings(self, card, mine):
        self.checked['bindings'] += len(mine)
        if sum(b.open for b in mine) > card.max_bindings:
            self.say('I2', card.account, f'card {card.code}: bound {sum(b.open for b in mine)} times, {card.max_bindings} allowed')
        for b in mine:
            if b.directed != bool(b.targets) or (b.user_class == 1 and not b.directed):
                self.say('I2', card.account, f'binding {b.binding}: user class {b.user_class}, directed {b.directed}, targets {b.targets}')
