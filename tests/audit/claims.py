"""I5 and I7: what a client holds in its hands, joined with the database.

The client's log says what it sent (before it did) and what it was answered; this says whether the records agree.
Every success is there exactly once, with the same grants; copies were answered alike; what was refused as busy
(3002, 3004, 5012) and never sent otherwise has left no trace; and what the gateway let through is what was paid.
"""
import collections
import json

from cards import is_operation
from tables import LATE, NO_RATING_GROUP, ONE_TIME, session_key, used as charged, used_by_unit

TRANSIENT = (3002, 3004, 5012)
UNIT = {1: 'octets', 2: 'seconds', 3: 'service_units', 4: 'money_micros'}
THRESHOLD = {1: 'volume_threshold', 2: 'time_threshold', 3: 'unit_threshold'}


class Asked:
    """One request, as its (Session-Id, type, number) names it, in all its transmissions."""

    def __init__(self, key):
        self.key = key
        self.contents = {}        # what was sent, of whom, as text: services
        self.content_of = {}      # transmission: that text
        self.end_to_end = set()
        self.answers = {}         # transmission: (code, services)
        self.sent = set()         # transmissions: (log, request, attempt)
        self.lost = set()

    def said(self):
        """Answers that say something about the request."""
        return [a for a in self.answers.values() if a[0] not in TRANSIENT]

    def unsettled(self):
        """A transmission of which nobody here knows what became."""
        return bool(self.sent - self.answers.keys())


def read(paths):
    """{(session uuid, type, number): Asked} of these logs. The last line of one that was cut short is left out."""
    asked = {}
    for log, path in enumerate(paths):
        run = 0
        with open(path, encoding='utf-8') as file:
            for number, text in enumerate(file, 1):
                if not text.endswith('\n'):
                    break
                try:
                    line = json.loads(text)
                except ValueError:
                    raise ValueError(f'{path}, line {number}: no JSON') from None
                if line['event'] == 'start':
                    run += 1
                elif line['event'] in ('sent', 'answer', 'lost'):
                    take(asked, (log, run), line)
    return asked


def take(asked, log, line):
    key = (session_key(line['session_id'], line.get('sub_session')), line['type'], line['number'])
    request = asked.get(key)
    if request is None:
        request = asked[key] = Asked(key)
    transmission = (*log, line['request'], line['attempt'])
    if line['event'] == 'sent':
        request.sent.add(transmission)
        request.end_to_end.add(line['end_to_end'])
        content = repr((line['services'], line['identities']))
        request.contents[content] = line['services']
        request.content_of[transmission] = content
    elif line['event'] == 'answer':
        request.answers[transmission] = (line['code'], line['services'])
    else:
        request.lost.add(transmission)


def of_unit(units, unit):
    """How much of that unit a Granted- or Used-Service-Unit holds; octets may stand in two halves (G-41)."""
    if unit == 1 and 'octets' not in units:
        return units.get('input_octets', 0) + units.get('output_octets', 0)
    return units.get(UNIT.get(unit, ''), 0)


def amount(units):
    """The amount of the first unit that is there, and its unit."""
    for unit in UNIT:
        if units and of_unit(units, unit):
            return of_unit(units, unit), unit
    return 0, 0


class Claims:
    def __init__(self, tables, asked, ledger, found, complete=False, overuse=0):
        self.t, self.asked, self.ledger, self.found = tables, asked, ledger, found
        self.complete, self.overuse = complete, overuse
        self.records = collections.defaultdict(list)
        for r in tables.records:
            if not is_operation(r):
                self.records[r.session, r.kind, r.number].append(r)
        self.sessions = {key[0] for key in self.records}
        self.unmatched = {(u.session, u.kind, u.number): u for u in tables.unmatched}
        self.checked = collections.Counter()

    def run(self):
        for key, request in self.asked.items():
            if key in self.t.sold.answers:
                self.operation(key, request)
            else:
                self.request(key, request, self.records.get(key, []))
        if self.complete:
            for key, records in self.records.items():
                if key[1] != 0 and key not in self.asked:
                    self.say('I5', key, f'{len(records)} records of a request that nobody sent')
        self.let_through()

    def say(self, invariant, key, text):
        self.found(invariant, f'session {key[0]} {key[1]}/{key[2]}', text)

    # --- I5

    def operation(self, key, request):
        """A card operation: what came of it is in tables of its own, its answer is kept as it was given."""
        self.checked['card operations'] += 1
        for code, _ in request.said():
            if code != self.t.sold.answers[key] and len(request.contents) == 1:
                self.say('I5', key, f'answered {code}, kept {self.t.sold.answers[key]}')

    def request(self, key, request, records):
        said = request.said()
        self.checked['requests'] += 1
        self.checked['answers'] += len(request.answers)
        self.checked['copies answered alike'] += max(0, len(said) - 1)
        if len(request.contents) > 1:
            self.reused(key, request, records)
            return
        services = next(iter(request.contents.values()), [])
        if any(answer != said[0] for answer in said[1:]):
            self.say('I5', key, 'copies were answered differently: ' +
                     ' / '.join(sorted({json.dumps(a) for a in said})))
        if len(records) > 1:
            self.say('I5', key, f'{len(records)} records, debits {[r.debit for r in records]}')
        for record in records:
            self.usage(key, services, record)
            if record.end_to_end not in request.end_to_end:
                self.say('I5', key, f'End-to-End-Id {record.end_to_end} was never sent')
        if said:
            self.answered(key, services, *said[0], records)
        elif records and not request.unsettled():
            self.say('I5', key, 'refused each time, and yet there is a record')

    def reused(self, key, request, records):
        """One number, used for different requests or by different subscribers: each success has its own record."""
        self.checked['reused numbers'] += 1
        served = {request.content_of.get(t) for t, (code, _) in request.answers.items() if code == 2001}
        stored = sum(r.result == 2001 for r in records)
        if stored != len(served) and not (stored > len(served) and request.unsettled()):
            self.say('I5', key, f'{len(served)} different requests were answered 2001, {stored} are recorded')

    def answered(self, key, services, code, answer, records):
        if code == 2001:
            self.checked['successes'] += 1
            if not records:
                self.say('I5', key, 'answered 2001, and there is no record: LOST')
            for record in records:
                if record.result != 2001:
                    self.say('I5', key, f'answered 2001, the record says {record.result}')
                self.same(key, answer, record)
        elif code == 5002 and key[1] in (2, 3):
            self.late(key, services, records)
        elif any(r.result != code for r in records):
            self.say('I5', key, f'answered {code}, the record says {records[0].result}')

    def same(self, key, answer, record):
        """The services of the answer are those of the record, in order."""
        if len(answer) != len(record.charges):
            self.say('I5', key, f'{len(answer)} services answered, {len(record.charges)} recorded')
        for a, c in zip(answer, record.charges):
            granted, unit = amount(a['granted'])
            self.checked['grants'] += granted > 0
            group = None if c.flags & NO_RATING_GROUP else c.group
            held = (group, c.code, c.granted, c.validity, c.threshold, c.holding, c.final_unit)
            got = (a['rating_group'], a['code'], granted, a.get('validity_s', 0),
                   a.get(THRESHOLD.get(unit, ''), 0) or 0, a.get('quota_holding_s'),
                   -1 if a.get('final_unit') is None else a['final_unit'])
            if got != held or (granted and unit != c.unit):
                self.say('I5', key, f'answered (group, code, granted, validity, threshold, holding, final) {got}, '
                                    f'recorded {held}')

    def late(self, key, services, records):
        """5002: usage of a session that has ended is paid all the same; of one that never was, kept aside."""
        used = sum(amount(u)[0] for s in services for u in s['used'])
        for record in records:
            if record.result != 5002 or not record.flags & LATE:
                self.say('I5', key, f'answered 5002, the record says {record.result}, flags {record.flags}')
        if records:
            self.checked['late usage'] += 1
        elif used and key[0] in self.sessions:
            self.say('I5', key, f'{used} units reported late, answered 5002, not recorded')
        elif used and key not in self.unmatched:
            self.say('I5', key, f'{used} units of an unknown session are not kept')

    def usage(self, key, services, record):
        """What was reported is what was charged."""
        if key[1] == ONE_TIME:
            return
        stored = [(None if c.flags & NO_RATING_GROUP else c.group, used_by_unit(c)) for c in record.charges]
        sent = [(s['rating_group'], {unit: sum(of_unit(u, unit) for u in s['used']) for unit in units})
                for s, (_, units) in zip(services, stored)]
        if sent != stored or len(services) != len(record.charges):
            self.say('I5', key, f'reported {sent}, recorded {stored}')

    # --- I7

    def let_through(self):
        """Of sessions that have ended: what the gateway reported, what was paid, what was granted."""
        reported = collections.defaultdict(collections.Counter)
        doubtful = set()
        for key, request in self.asked.items():
            if not request.said() or len(request.contents) > 1:
                doubtful.add(key[0])
                continue
            for s in next(iter(request.contents.values())):
                reported[key[0]][s['rating_group']] += sum(amount(u)[0] for u in s['used'])
        for session, life in self.ledger.ended():
            if session not in reported or session in doubtful or life.record.kind == ONE_TIME:
                continue
            self.checked['ended sessions'] += 1
            paid, granted = collections.Counter(), collections.Counter()
            for record in life.numbers.values():
                for c in record.charges:
                    group = None if c.flags & NO_RATING_GROUP else c.group
                    paid[group] += charged(c)
                    granted[group] += c.granted
            for group in paid.keys() | reported[session].keys():
                self.session(session, group, reported[session][group], paid[group], granted[group])

    def session(self, session, group, reported, paid, granted):
        where = f'session {session} Rating-Group {group}'
        if reported != paid:
            self.found('I7', where, f'{reported} let through and reported, {paid} recorded')
        if paid > granted + self.overuse:
            self.found('I7', where, f'{paid} let through, {granted} granted')
