"""Which snapshots must be refused, and why: the oracle's half of gy_dynamic_compile.

A refusal that several rules deserve may name any of them, so `faults` gives all reasons of the first
kind of check that finds any: objects (the lowest rule id is named), then overlaps, then stacking.
"""
import itertools
import re
from fractions import Fraction
from math import lcm

from model import ALWAYS, AMOUNT_MAX, FOREVER, TYPES

PRICE_MAX = 10 ** 15
SLOT_RULES_MAX = 32
DERIVED = {'stored': {'none': None},
           'request': {'roaming': 'boolean', 'network': 'text', 'country': 'text', 'rat': 'integer', 'cell': 'text',
                       'area': 'text', 'apn': 'text', 'characteristics': 'text', 'rule-base': 'text'},
           'clock': dict.fromkeys(('hour', 'minute', 'weekday', 'day', 'month'), 'integer') | {'holiday': 'boolean'},
           'counter': {'units-day': 'integer', 'units-month': 'integer', 'money-day': 'decimal', 'money-month': 'decimal'},
           'pushed': dict.fromkeys(('of-all', 'of-cell', 'of-area', 'of-network', 'of-apn'))}
DOMAIN = {'rat': (0, 255), 'hour': (0, 23), 'minute': (0, 1439), 'weekday': (1, 7), 'day': (1, 31), 'month': (1, 12),
          'units-day': (0, FOREVER), 'units-month': (0, FOREVER), 'money-day': (0, FOREVER), 'money-month': (0, FOREVER)}


# ---- objects ----

def domain(attribute):
    if attribute.type == 'boolean':
        return 0, 1
    return DOMAIN.get(attribute.of, (ALWAYS, FOREVER))


def always(attribute):
    return attribute.default is not None or attribute.source == 'clock'


def well_formed(value):
    if value[0] == 'text':
        return len(value[1].encode()) <= 255
    return value[0] == 'boolean' or abs(value[1]) <= AMOUNT_MAX


def possible(attribute, value):
    pattern = {'network': '[0-9]{5,6}', 'country': '[^A-Z]{3}', 'apn': '[^A-Z]+', 'characteristics': '[0-9a-f]{4}', 'rule-base': '.+',
               'cell': '[0-9]{5,6}-[-0-9a-f]*', 'area': '[0-9]{5,6}-[-0-9a-f]*'}.get(attribute.of)
    if pattern:
        return re.fullmatch(pattern, value[1]) is not None and (attribute.of not in ('cell', 'area') or len(value[1]) <= 24)
    if attribute.type == 'text':
        return True
    low, high = domain(attribute)
    return low <= value[1] <= high


def attribute_faults(snapshot):
    for a in snapshot.attributes.values():
        kinds = DERIVED[a.source]
        ok = a.of in kinds and kinds[a.of] in (None, a.type) and a.id > 0
        if ok and a.default is not None:
            ok = a.default[0] == a.type and well_formed(a.default) and a.source != 'clock'
        if ok and a.of == 'holiday':
            ok = a.calendar in snapshot.calendars
        if ok and a.of == 'roaming':
            ok = bool(snapshot.homes)
        if not ok:
            yield f'attribute-type object={a.id}'
        elif a.source in ('clock', 'counter') and not snapshot.zones:
            yield f'zone object={a.id}'
    if any(not re.fullmatch('[0-9]{5,6}', home) for home in snapshot.homes):
        yield 'attribute-type'


def predicate_fault(rule, attribute):
    if attribute is None:
        return None if rule.match == 'any' else 'predicate'
    if rule.match == 'any':
        return None
    if rule.match == 'missing':
        return 'never-value' if always(attribute) else None
    if rule.match == 'set':
        if any(v[0] != attribute.type or not well_formed(v) for v in rule.values):
            return 'value-type'
        if any(a[1] >= b[1] for a, b in itertools.pairwise(rule.values)):
            return 'order'
        return None if any(possible(attribute, v) for v in rule.values) else 'never-value'
    if attribute.type in ('text', 'boolean'):
        return 'predicate'
    ends = [v for v in (rule.low, rule.high) if v]
    if any(v[0] != attribute.type or not well_formed(v) for v in ends):
        return 'value-type'
    first, last = domain(attribute)
    low = rule.low[1] if rule.low else ALWAYS
    high = rule.high[1] if rule.high else FOREVER
    if rule.low and rule.high and low >= high:
        if low == high or attribute.of not in ('hour', 'minute', 'weekday', 'day', 'month'):
            return 'never-value'
        return None if low <= last or high > first else 'never-value'
    return 'never-value' if low > last or high <= first and rule.high else None


def effect_fault(rule):
    k, a, b = rule.kind, rule.amount, rule.block
    rated = rule.unit != 0 and 0 < b <= AMOUNT_MAX
    counted = rule.unit != 0 and b == 0 and 0 < a <= AMOUNT_MAX
    ok = {'deny': a == 0 and b == 0 and rule.group == 0, 'replace': rated and 0 <= a <= PRICE_MAX,
          'floor': rated and 0 <= a <= PRICE_MAX, 'cap': rated and 0 <= a <= PRICE_MAX,
          'add': rated and abs(a) <= PRICE_MAX, 'multiply': b == 0 and 0 <= a <= 10 ** 9,
          'free': counted, 'quota': counted, 'validity': b == 0 and 0 < a < 2 ** 32,
          'redirect': rule.address != ''}[k]
    return None if ok and rule.id > 0 and rule.group >= 0 else 'effect'


def rule_fault(snapshot, rule):
    if rule.tariff and not any(s.tariff == rule.tariff for s in snapshot.specifics):
        return 'unknown-tariff'
    if rule.code and rule.code not in snapshot.codes:
        return 'unknown-code'
    if rule.code and rule.attribute:
        return 'predicate'
    if rule.attribute and rule.attribute not in snapshot.attributes:
        return 'unknown-attribute'
    if rule.rg != -1 and not 0 <= rule.rg < 2 ** 32:
        return 'never-group'
    if effect_fault(rule):
        return 'effect'
    if rule.start >= rule.end:
        return 'never-time'
    if rule.kind == 'free' and not snapshot.zones:
        return 'zone'
    fault = predicate_fault(rule, snapshot.looked_at(rule))
    if fault:
        return fault
    fits = any(rule.tariff in (0, s.tariff) and rule.rg in (-1, s.rg) and rule.unit in (0, s.unit)
               and rule.start < s.end and s.start < rule.end for s in snapshot.specifics)
    return None if fits else 'never-group'


def object_faults(snapshot):
    for zone, changes in snapshot.zones.items():
        if any(not -86400 < o < 86400 for _, o in changes) or any(a[0] >= b[0] for a, b in itertools.pairwise(changes)) \
                or any(abs(at) > AMOUNT_MAX for at, _ in changes[1:]):
            yield f'zone object={zone}'
    for identity in snapshot.order_faults:
        yield f'order object={identity}'
    yield from attribute_faults(snapshot)
    for code in snapshot.codes.values():
        if code.attribute not in snapshot.attributes:
            yield f'unknown-attribute object={code.id}'
    for rule in sorted(snapshot.rules, key=lambda r: r.id):
        fault = rule_fault(snapshot, rule)
        if fault:
            yield f'{fault} rule={rule.id}'
            return
    if len({r.attribute for r in snapshot.rules if not r.code and r.attribute}) > 16:
        yield 'too-many'


# ---- overlaps ----

def share_value(a, b, attribute):
    """Is there a value that satisfies both?"""
    candidates = [None]
    for rule in (a, b):
        candidates += rule.values + [v for v in (rule.low, rule.high) if v]
        candidates += [(v[0], v[1] - 1) for v in (rule.low, rule.high) if v]
    candidates += [(attribute.type, n) for n in (ALWAYS, FOREVER)] if attribute.type != 'text' else [('text', '\0other')]
    return any(a.satisfied(v) and b.satisfied(v) for v in candidates)


def overlap_faults(snapshot):
    for a, b in itertools.combinations(sorted(snapshot.rules, key=lambda r: r.id), 2):
        if a.id == b.id:
            yield f'duplicate-id rule={b.id} other={a.id}'
            continue
        if not (a.start < b.end and b.start < a.end):
            continue
        key_a, key_b = ((r.tariff, r.code, r.attribute, r.rg, r.unit, r.kind, r.precedence, r.group, r.match, r.low,
                         r.high, r.values) for r in (a, b))
        # One value and a set of one value are written differently and are different keys.
        if key_a == key_b and (a.word[0] == '{') == (b.word[0] == '{'):
            yield f'key-overlap rule={b.id} other={a.id}'
        if a.kind == b.kind == 'replace' and a.precedence == b.precedence and a.specificity() == b.specificity() \
                and a.tariff == b.tariff and a.unit == b.unit and (a.rg == b.rg or -1 in (a.rg, b.rg)):
            attribute = snapshot.looked_at(a)
            if attribute is None or attribute is not snapshot.looked_at(b) or share_value(a, b, attribute):
                yield f'replace-overlap rule={b.id} other={a.id}'


# ---- stacking ----

def points(rules, attribute):
    """Values at which different rules match: every end of a range, something else, nothing."""
    if attribute is None:
        return [('nothing', None)]
    found = [] if always(attribute) else [None]
    if attribute.type == 'text':
        return found + [('text', '\0other')] + [v for r in rules for v in r.values]
    low, high = domain(attribute)
    numbers = {low}
    for rule in rules:
        for value in rule.values:
            numbers |= {int(value[1]), int(value[1]) + 1}
        numbers |= {v[1] for v in (rule.low, rule.high) if v}
    return found + [(attribute.type, n) for n in numbers if low <= n <= high]


class Brought:
    """What rules that count together bring: a factor, a term, and how far they go on the way."""

    def __init__(self, rules):
        self.factor, self.term, self.peak, self.up, self.down, self.divisor = Fraction(1), Fraction(0), 1, 0, 0, 1
        for rule in rules:
            if rule.kind == 'multiply':
                by = Fraction(rule.amount, 10 ** 6)
                self.factor *= by
                self.peak *= max(by, 1)
                self.divisor *= by.denominator
            else:
                term = Fraction(rule.amount, rule.block)
                self.term += term
                self.up += max(term, 0)
                self.down += min(term, 0)


def choices(snapshot, rules):
    """For each code (or attribute of rules without one) and each stack group: what it can bring."""
    slots = {}
    for rule in rules:
        if not rule.group:
            slots.setdefault((rule.code, rule.attribute), []).append(rule)
    for (code, _), members in slots.items():
        attribute = snapshot.looked_at(members[0])
        options = [Brought([r for r in members if r.satisfied(v)]) for v in points(members, attribute)]
        yield options + ([Brought([])] if code else [])
    for group in {r.group for r in rules} - {0}:
        yield [Brought([])] + [Brought([r]) for r in rules if r.group == group]


def exact(base, block, options, terms):
    """Does one block within bounds serve all rates that can come out, and all on the way to them?"""
    factors = 1
    for choice in options:
        divisor = lcm(*(b.divisor for b in choice))
        factors *= divisor
        if divisor > AMOUNT_MAX or factors > AMOUNT_MAX:
            return False
    if terms > AMOUNT_MAX or base.denominator * factors > AMOUNT_MAX:
        return False
    whole = lcm(base.denominator * factors, terms, block)
    if whole > AMOUNT_MAX:
        return False
    high = base
    for choice in options:
        high *= max([Fraction(1)] + [b.peak for b in choice])
    up = sum(max([Fraction(0)] + [b.up for b in choice]) for choice in options)
    down = sum(min([Fraction(0)] + [b.down for b in choice]) for choice in options)
    return (high + up) * whole <= FOREVER and -down * whole <= FOREVER


def could_be_negative(base, options):
    pairs = {(Fraction(1), Fraction(0))}
    for choice in options:
        brought = {(b.factor, b.term) for b in choice}
        pairs = {(f * g, t + u) for f, t in pairs for g, u in brought}
        # Nobody who is worse off in both is the worst case.
        pairs = {p for p in pairs if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in pairs)}
    return any(base * f + t < 0 for f, t in pairs)


def instant_faults(snapshot, specific, rules, at):
    valid = [r for r in rules if r.start <= at < r.end]
    stacking = [r for r in valid if r.kind in ('multiply', 'add')]
    if not stacking:
        return
    options = list(choices(snapshot, stacking))
    terms = lcm(*(Fraction(r.amount, r.block).denominator for r in stacking if r.kind == 'add'))
    bases = [(Fraction(specific.price, specific.block), specific.block) if specific.kind == 'priced' else (Fraction(0), 1)]
    bases += [(Fraction(r.amount, r.block), r.block) for r in valid if r.kind == 'replace']
    for base, block in bases:
        if not exact(base, block, options, terms):
            yield f'not-exact base={specific.id}'
        elif could_be_negative(base, options):
            yield f'negative base={specific.id}'


def most_matches(snapshot, rules, code):
    """The largest number of rules of one slot that one value matches, by key; keys are summed up."""
    total = 0
    for key in {(r.tariff, r.rg, r.unit) for r in rules}:
        members = [r for r in rules if (r.tariff, r.rg, r.unit) == key]
        attribute = snapshot.looked_at(members[0])
        low = -(2 ** 63) if attribute and attribute.type != 'text' else None
        values = points(members, attribute) + ([(attribute.type, low)] if low is not None else [])
        total += max([sum(r.satisfied(v) for r in members) for v in values] + [sum(r.satisfied(None) for r in members)])
    return total


def stacking_faults(snapshot):
    for specific in snapshot.specifics:
        fitting = [r for r in snapshot.rules if r.applies(specific.tariff, specific.rg, specific.unit)]
        for slot in {(r.code, r.attribute) for r in fitting}:
            members = [r for r in fitting if (r.code, r.attribute) == slot]
            if len(members) > SLOT_RULES_MAX and most_matches(snapshot, members, slot[0]) > SLOT_RULES_MAX:
                yield f'too-many base={specific.id}'
        rules = [r for r in fitting if r.kind in ('replace', 'multiply', 'add')
                 and r.start < specific.end and specific.start < r.end]
        if specific.kind == 'forbidden' or not rules:
            continue
        edges = {t for r in rules for t in (r.start, r.end) if specific.start < t < specific.end}
        for at in sorted(edges | {specific.start}):
            yield from instant_faults(snapshot, specific, rules, at)


def faults(snapshot):
    """All refusals of the first kind of check that finds any; empty: must be accepted."""
    for check in (object_faults, overlap_faults, stacking_faults):
        found = list(check(snapshot))
        if found:
            return found
    return []


def verdict(snapshot):
    found = faults(snapshot)
    return found[0] if found else 'ok'


def agrees(snapshot, text):
    """Is `text`, the core's verdict, one that this snapshot deserves? A stacking names a culprit more."""
    found = faults(snapshot)
    if not found:
        return text == 'ok'
    bare = re.sub(r' (rule|other)=\d+(?=.* base=)', '', text)
    return text in found or bare in found
