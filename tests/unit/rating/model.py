"""What a rule snapshot and a question are, read from the lines of a table (see golden.table).

Written from the specification, not from the core: nothing here is shared with it but the words of
the notation. Numbers are Python's big integers and fractions; times are microseconds since 1970.
"""
import datetime
from fractions import Fraction

FOREVER = 2 ** 63 - 1          # "+"
ALWAYS = -2 ** 63              # "-"
AMOUNT_MAX = 2 ** 60
US = 1_000_000
DAY = 86400 * US
EPOCH = datetime.datetime(1970, 1, 1)
UNITS = {'any': 0, 'octets': 1, 'seconds': 2, 'service': 3}
UNIT_NAMES = {number: word for word, number in UNITS.items()}
EFFECTS = ('replace', 'multiply', 'add', 'free', 'floor', 'cap', 'quota', 'validity', 'redirect')
TYPES = ('integer', 'decimal', 'text', 'boolean', 'time')


def time_of(word):
    if word == '-':
        return ALWAYS
    if word == '+':
        return FOREVER
    if 'T' in word:
        return (datetime.datetime.fromisoformat(word.rstrip('Z')) - EPOCH) // datetime.timedelta(microseconds=1)
    return int(word)


def value_of(kind, word):
    """A typed value: (type, Python value)."""
    if kind == 'integer':
        return (kind, int(word))
    if kind == 'decimal':
        return (kind, int(Fraction(word) * US))
    if kind == 'boolean':
        return (kind, word == 'true') if word in ('true', 'false') else ('text', word)
    if kind == 'time':
        return (kind, time_of(word))
    return (kind, word)


class Attribute:
    def __init__(self, name, words):
        self.id = int(name)
        self.source = words.get('source', 'stored')
        self.of = words.get('of', 'none')
        self.type = words.get('type', 'integer')
        self.default = value_of(self.type, words['default']) if 'default' in words else None
        self.calendar = int(words.get('calendar', 0))
        self.all = 'all' in words


class Code:
    def __init__(self, name, words):
        self.id = int(name)
        self.attribute = int(words.get('attribute', 0))
        self.deny = words.get('missing') == 'deny'


class Specific:
    def __init__(self, name, words):
        self.id = int(name)
        self.tariff = int(words.get('tariff', 1))
        self.rg = int(words.get('rg', 10))
        self.unit = UNITS[words.get('unit', 'octets')]
        self.kind = words.get('kind', 'priced')
        self.price, self.block = map(int, words.get('rate', '0/1').split('/'))
        self.start, self.end = time_of(words.get('from', '-')), time_of(words.get('until', '+'))


class Rule:
    """Predicate: match and its values; effect: kind, amount, block."""

    def __init__(self, name, words, snapshot):
        self.id = int(name)
        self.tariff = int(words.get('tariff', 0))
        self.code = int(words.get('code', 0))
        self.attribute = int(words.get('attribute', 0))
        self.rg = int(words.get('rg', -1))
        self.unit = UNITS[words.get('unit', 'octets')]
        self.precedence = int(words.get('prec', 0))
        self.group = int(words.get('group', 0))
        self.start, self.end = time_of(words.get('from', '-')), time_of(words.get('until', '+'))
        self.kind = next((e for e in EFFECTS if e in words), 'deny')
        operand = words.get(self.kind, '0')
        self.amount, self.block, self.address = 0, 0, ''
        if self.kind == 'redirect':
            self.address = operand
        elif '/' in operand:
            self.amount, self.block = map(int, operand.split('/'))
        else:
            self.amount = int(operand)
        looked_at = snapshot.looked_at(self)
        kind = words.get('as') or (looked_at.type if looked_at else 'integer')
        self.read_predicate(kind, words.get('when', 'any'))

    def read_predicate(self, kind, word):
        self.low = self.high = None
        self.values = []
        if word in ('any', 'missing'):
            self.match = word
        elif word[0] == '{':
            self.match = 'set'
            self.values = [value_of(kind, w) for w in word[1:-1].split(',') if w]
        elif word[0] == '[':
            self.match = 'range'
            low, high = word[1:-1].split(',')
            self.low = value_of(kind, low) if low else None
            self.high = value_of(kind, high) if high else None
        else:
            self.match = 'set'
            self.values = [value_of(kind, word)]
        self.word = word

    def specificity(self):
        return 2 * (self.code != 0) + (self.tariff != 0)

    def rank(self):
        """Smaller is better."""
        return (-self.precedence, -self.specificity(), -self.start, self.id)

    def applies(self, tariff, rg, unit):
        return self.tariff in (0, tariff) and self.rg in (-1, rg) and self.unit in (0, unit)

    def wraps(self):
        return self.match == 'range' and self.low and self.high and self.low[1] > self.high[1]

    def satisfied(self, value):
        """value: None if missing."""
        if self.match == 'missing':
            return value is None
        if value is None:
            return False
        if self.match == 'any':
            return True
        if self.match == 'set':
            return value in self.values
        above = self.low is None or value[1] >= self.low[1]
        below = self.high is None or value[1] < self.high[1]
        return above or below if self.wraps() else above and below


class Snapshot:
    def __init__(self):
        self.attributes, self.codes, self.zones, self.calendars = {}, {}, {}, {}
        self.specifics, self.rules, self.homes, self.pushed = [], [], [], []
        self.default_zone = 0
        self.order_faults = []   # objects that were not listed by ascending id

    def looked_at(self, rule):
        """The attribute that a rule looks at, None if it looks at nothing or at something unknown."""
        if rule.code:
            code = self.codes.get(rule.code)
            return self.attributes.get(code.attribute) if code else None
        return self.attributes.get(rule.attribute)

    def put(self, objects, thing, identity):
        if objects and identity <= max(objects):
            self.order_faults.append(identity)
        objects[identity] = thing

    def line(self, kind, name, words):
        if kind == 'specific':
            self.specifics.append(Specific(name, words))
        elif kind == 'attribute':
            self.put(self.attributes, Attribute(name, words), int(name))
        elif kind == 'code':
            self.put(self.codes, Code(name, words), int(name))
        elif kind == 'rule':
            self.rules.append(Rule(name, words, self))
        elif kind == 'zone':
            changes = [c.rsplit(':', 1) for c in words.get('changes', '-:0').split(',')]
            if 'default' in words or not self.zones:
                self.default_zone = int(name)
            self.put(self.zones, [(time_of(at), int(offset)) for at, offset in changes], int(name))
        elif kind == 'calendar':
            days = {datetime.date.fromisoformat(d) for d in words.get('days', '').split(',') if d}
            self.put(self.calendars, days, int(name))
        elif kind == 'home':
            self.homes.append(name)
        elif kind == 'pushed':
            attribute = self.attributes[int(name)]
            self.pushed.append((attribute.id, words.get('scope', ''), value_of(attribute.type, words['value']),
                                time_of(words.get('from', '-')), time_of(words.get('until', '+'))))
        else:
            raise ValueError(f'unknown line: {kind}')


def validity(word):
    head, _, span = word.partition('@')
    start, _, end = span.partition('..')
    return head, time_of(start or '-'), time_of(end or '+')


def counted(word):
    return dict(zip(('units-day', 'units-month', 'money-day', 'money-month'), map(int, word.split(','))))


class Question:
    def __init__(self, pairs, snapshot):
        words = dict(pairs)
        self.tariff = int(words.get('tariff', 1))
        self.rg = int(words.get('rg', 10))
        self.unit = UNITS[words.get('unit', 'any')]
        self.now = time_of(words.get('at', '0'))
        self.zone = int(words.get('zone', 0))
        self.codes = []
        for word in filter(None, words.get('codes', '').split(',')):
            head, start, end = validity(word)
            self.codes.append((int(head), start, end))
        self.values = []
        for key, word in pairs:
            if key == 'attr':
                head, start, end = validity(word)
                identity, _, text = head.partition(':')
                attribute = snapshot.attributes.get(int(identity))
                self.values.append((int(identity), value_of(attribute.type if attribute else 'integer', text), start, end))
        self.network = words.get('net', '')
        self.apn = words.get('apn', '')
        self.characteristics = words.get('characteristics', '')
        self.rule_base = words.get('rule-base', '')
        self.rat = int(words['rat']) if 'rat' in words else None
        self.location = bytes.fromhex(words.get('uli', ''))
        self.counters = None
        if 'counted' in words:
            self.counters = {False: counted(words['counted']), True: counted(words.get('counted-all', words['counted']))}
        self.counted_at = time_of(words['counted-at']) if 'counted-at' in words else self.now
        self.free_used = {int(k): int(v) for k, v in
                          (w.split(':') for w in filter(None, words.get('free-used', '').split(',')))}
        if self.counters is None:
            self.free_used = {}
        self.used = int(words['used']) if 'used' in words else None
        self.horizon = int(words.get('horizon', 86400)) * US
        self.trace = 'trace' in words


def split_line(line):
    """kind, name, [(key, value)] of a line."""
    words = line.split()
    kind, rest, name = words[0], words[1:], ''
    if rest and '=' not in rest[0]:
        name = rest.pop(0)
    return kind, name, [tuple(w.split('=', 1)) if '=' in w else (w, '') for w in rest]
