#!/usr/bin/python3
"""The dynamic tariff, a second time: big integers, fractions, no index, no cleverness.

oracle.py answer FILE            prints the table with the answers that this program gives
oracle.py check FILE             TAP: are the answers in the table this program's?
oracle.py random PROGRAM ...     random snapshots and questions to PROGRAM (run-table -), see random_sets.py

It shares no code with the core and takes another way: every rule is looked at, every minute (or every
instant at which anything could change) is tried.
"""
import datetime
import re
import sys
from fractions import Fraction
from math import lcm

import refusal
from model import ALWAYS, AMOUNT_MAX, DAY, EPOCH, FOREVER, UNIT_NAMES, US, Question, Snapshot, split_line

CLOCK = ('hour', 'minute', 'weekday', 'day', 'month', 'holiday')
CHANGES_RATE = ('deny', 'replace', 'add', 'floor')


# ---- the clock ----

def offset_at(zone, at):
    """Seconds east of UTC."""
    passed = [offset for start, offset in zone if start <= at]
    return passed[-1] if passed else zone[0][1]


def local(zone, at):
    return EPOCH + datetime.timedelta(microseconds=at + offset_at(zone, at) * US)


def clock(snapshot, attribute, zone, at):
    now = local(zone, at)
    if attribute.of == 'holiday':
        return ('boolean', now.date() in snapshot.calendars.get(attribute.calendar, ()))
    return ('integer', {'hour': now.hour, 'minute': now.hour * 60 + now.minute, 'weekday': now.isoweekday(),
                        'day': now.day, 'month': now.month}[attribute.of])


# ---- the request ----

def plmn(octets):
    digits = ''.join(f'{o & 15:x}{o >> 4:x}' for o in octets)       # c1 c2 c3 n3 n1 n2
    text = digits[:3] + digits[4:] + ('' if digits[3] == 'f' else digits[3])
    return text if re.fullmatch('[0-9]{5,6}', text) else None


def tail(octets, digits):
    return '-' + octets.hex()[-digits:]


def cell(uli):
    if not uli:
        return None
    kind, body = uli[0], uli[1:]
    if kind in (0, 1) and len(body) >= 7:
        network = plmn(body[:3])
        return network and network + tail(body[3:5], 4) + tail(body[5:7], 4)
    skip = {129: 0, 130: 5, 135: 0, 137: 6}.get(kind)
    if skip is None:
        return None
    body, octets, digits = body[skip:], 4 if kind < 135 else 5, 7 if kind < 135 else 9
    if len(body) < 3 + octets:
        return None
    network = plmn(body[:3])
    return network and network + tail(body[3:3 + octets], digits)


def area(uli):
    if not uli or uli[0] not in (0, 1, 2, 128, 130, 136, 137):
        return None
    octets = 3 if uli[0] in (136, 137) else 2
    if len(uli) < 4 + octets:
        return None
    network = plmn(uli[1:4])
    return network and network + tail(uli[4:4 + octets], 2 * octets)


def apn(text):
    text = re.sub(r'(?<=.)\.mnc[0-9]{3}\.mcc[0-9]{3}\.gprs$', '', text.lower())
    return text if text and len(text) <= 255 else None


def characteristics(text):
    return text.lower() if re.fullmatch('[0-9a-fA-F]{4}', text) else None


def request(snapshot, question, of):
    network = question.network if re.fullmatch('[0-9]{5,6}', question.network) else None
    if of == 'roaming':
        return None if network is None else ('boolean', network not in snapshot.homes)
    if of == 'rat':
        return None if question.rat is None else ('integer', question.rat)
    text = {'network': lambda: network, 'country': lambda: network and network[:3], 'cell': lambda: cell(question.location),
            'area': lambda: area(question.location), 'apn': lambda: apn(question.apn),
            'characteristics': lambda: characteristics(question.characteristics), 'rule-base': lambda: question.rule_base or None}[of]()
    return None if text is None else ('text', text)


# ---- values ----

def counter(snapshot, question, attribute, zone, at):
    if question.counters is None:
        return None
    amount = question.counters[attribute.all][attribute.of]
    then, now = local(zone, question.counted_at), local(zone, at)
    if at > question.counted_at:
        if attribute.of.endswith('day') and now.date() > then.date():
            amount = 0
        if attribute.of.endswith('month') and (now.year, now.month) > (then.year, then.month):
            amount = 0
    return (attribute.type, amount)


def in_force(rows, at):
    """Of (..., value, start, end) the last begun."""
    found = [row for row in rows if row[-2] <= at < row[-1]]
    return max(found, key=lambda row: row[-2])[-3] if found else None


def own_value(snapshot, question, attribute, zone, at):
    if attribute.source == 'stored':
        return in_force([v for v in question.values if v[0] == attribute.id], at)
    if attribute.source == 'request':
        return request(snapshot, question, attribute.of)
    if attribute.source == 'clock':
        return clock(snapshot, attribute, zone, at)
    if attribute.source == 'counter':
        return counter(snapshot, question, attribute, zone, at)
    scope = ''
    if attribute.of != 'of-all':
        found = request(snapshot, question, attribute.of[3:])
        if found is None:
            return None
        scope = found[1]
    return in_force([p for p in snapshot.pushed if p[0] == attribute.id and p[1] == scope], at)


# ---- the result ----

class Result:
    def __init__(self, specific):
        self.specific = specific
        self.kind = specific.kind
        self.rate = Fraction(specific.price, specific.block) if specific.kind == 'priced' else Fraction(0)
        self.block = specific.block
        self.denied = ''
        self.replace = self.floor = self.cap = self.quota = self.validity = self.redirect = self.free = None
        self.multiplied = self.added = 0
        self.free_left, self.free_more = 0, False
        self.counters = {'units': FOREVER, 'money': FOREVER}
        self.dynamic = False

    def price(self):
        """What matters to a grant: equal prices need no Tariff-Time-Change."""
        return (self.kind, self.specific.unit, self.rate if self.kind == 'priced' else None,
                self.free and self.free.id, self.free_left, self.free_more)

    def billed(self):
        block = lcm(self.rate.denominator, self.block)
        return int(self.rate * block), block

    def text(self):
        if self.kind == 'forbidden':
            words = [self.denied or 'forbidden']
        elif self.kind == 'free':
            words = ['free']
        else:
            words = ['{}/{}'.format(*self.billed())]
        words.append(f'base={self.specific.id} {UNIT_NAMES[self.specific.unit]}')
        words += [f'replace={self.replace.id}'] if self.replace else []
        words += [f'multiplied={self.multiplied}'] if self.multiplied else []
        words += [f'added={self.added}'] if self.added else []
        words += [f'floor={self.floor.id}'] if self.floor else []
        words += [f'cap={self.cap.id}'] if self.cap else []
        words += [f'free={self.free.id}:{self.free_left}{"+" if self.free_more else ""}'] if self.free else []
        words += [f'quota={self.quota.id}:{self.quota.amount}'] if self.quota else []
        words += [f'validity={self.validity.id}:{self.validity.amount}'] if self.validity else []
        words += [f'redirect={self.redirect.id}:{self.redirect.address}'] if self.redirect else []
        for kind in ('units', 'money'):
            if self.dynamic and self.counters[kind] != FOREVER:
                words.append(f'{kind}<{self.counters[kind]}')
        return ' '.join(words)


def specific_rule(snapshot, question, unit, at):
    fitting = [s for s in snapshot.specifics if s.tariff == question.tariff and s.rg == question.rg
               and unit in (0, s.unit) and s.start <= at < s.end]
    return min(fitting, key=lambda s: (s.unit, s.start)) if fitting else None


def boundaries(rules):
    """Where ranges of numbers begin and end."""
    for rule in rules:
        if rule.match == 'set':
            for kind, number in rule.values:
                if kind != 'text':
                    yield number
                    yield number + 1
        elif rule.match == 'range':
            if rule.low:
                yield rule.low[1]
            if rule.high:
                yield rule.high[1]


class Rating:
    """One question at one instant."""

    def __init__(self, snapshot, question, at, unit):
        self.snapshot, self.question, self.at = snapshot, question, at
        specific = specific_rule(snapshot, question, unit, at)
        self.result = Result(specific) if specific else None
        if specific and (snapshot.rules or snapshot.codes):
            self.zone = snapshot.zones.get(question.zone) or snapshot.zones.get(snapshot.default_zone)
            self.matched = []
            self.denied_code = None
            self.acquire()
            self.generate()

    def value(self, attribute):
        """The value and whether it is the source's own."""
        value = own_value(self.snapshot, self.question, attribute, self.zone, self.at)
        return (value, True) if value is not None else (attribute.default, False)

    def acquire(self):
        """Codes in force, then rules of no code; their values; the rules that match."""
        by_slot = {}
        for rule in self.snapshot.rules:
            if rule.applies(self.question.tariff, self.question.rg, self.result.specific.unit):
                by_slot.setdefault((rule.code, rule.attribute), []).append(rule)
        codes = {c for c, start, end in self.question.codes if start <= self.at < end and c in self.snapshot.codes}
        for code in sorted(codes):
            attribute = self.snapshot.attributes[self.snapshot.codes[code].attribute]
            value = self.determine(by_slot.get((code, 0), []), attribute)
            if self.snapshot.codes[code].deny:
                self.result.dynamic = True
                missing = [r for r in self.matched if r.code == code]
                if value is None and not missing and self.denied_code is None:
                    self.denied_code = code
        for (code, attribute), rules in by_slot.items():
            if code == 0:
                self.determine(rules, self.snapshot.attributes.get(attribute))

    def determine(self, rules, attribute):
        value, own = self.value(attribute) if attribute else (('nothing', None), False)
        valid = [r for r in rules if r.start <= self.at < r.end]
        self.matched += [r for r in valid if r.satisfied(value)]
        if any(r.kind in CHANGES_RATE or self.result.kind != 'free' for r in rules):
            self.result.dynamic = True
        if attribute and attribute.source == 'counter' and own:
            above = [edge for edge in boundaries(rules) if edge > value[1]]
            kind = attribute.of.split('-')[0]
            if above:
                self.result.counters[kind] = min(self.result.counters[kind], min(above) - value[1])
        return value

    def free_used(self, rule):
        used = self.question.free_used.get(rule.id, 0)
        later = local(self.zone, self.at).date() > local(self.zone, self.question.counted_at).date()
        return 0 if used and self.at > self.question.counted_at and later else used

    def generate(self):
        result = self.result
        best = {}
        for rule in self.matched:
            if rule.group and (rule.group not in best or rule.rank() < best[rule.group].rank()):
                best[rule.group] = rule
        counting = sorted((r for r in self.matched if not r.group or best[r.group] is r), key=lambda r: r.rank())
        stage = {kind: [r for r in counting if r.kind == kind] for kind in
                 ('deny', 'replace', 'multiply', 'add', 'floor', 'cap', 'free', 'quota', 'validity', 'redirect')}
        if stage['deny']:
            result.kind, result.denied = 'forbidden', f'denied by={stage["deny"][0].id}'
        elif self.denied_code is not None:
            result.kind, result.denied = 'forbidden', f'denied code={self.denied_code}'
        if result.kind == 'forbidden':
            return
        self.price(stage)
        self.shape(stage)
        if result.rate < 0:
            raise ValueError(f'negative rate at {self.at}')

    def price(self, stage):
        result = self.result
        for rule in stage['replace'][:1]:
            result.replace, result.rate, result.block = rule, Fraction(rule.amount, rule.block), rule.block
        for rule in stage['multiply']:
            result.multiplied += 1
            result.rate *= Fraction(rule.amount, 10 ** 6)
        for rule in stage['add']:
            result.added += 1
            result.rate += Fraction(rule.amount, rule.block)
        for rule in stage['floor']:
            if Fraction(rule.amount, rule.block) > result.rate:
                result.floor, result.rate, result.block = rule, Fraction(rule.amount, rule.block), rule.block
        for rule in stage['cap']:
            if Fraction(rule.amount, rule.block) < result.rate:
                result.cap, result.rate, result.block = rule, Fraction(rule.amount, rule.block), rule.block
        if result.kind == 'free' and result.rate:
            result.kind = 'priced'

    def shape(self, stage):
        result = self.result
        for rule in stage['free'] if result.rate else []:
            left = rule.amount - self.free_used(rule)
            if left > 0 and result.free:
                result.free_more = True
            elif left > 0:
                result.free, result.free_left = rule, left
        for kind in ('quota', 'validity'):
            for rule in stage[kind]:
                if getattr(result, kind) is None or rule.amount < getattr(result, kind).amount:
                    setattr(result, kind, rule)
        result.redirect = stage['redirect'][0] if stage['redirect'] else None


# ---- when it changes ----

def instants(snapshot, question, until, every_minute):
    """Every instant in (now, until) at which the price could change."""
    zone = snapshot.zones.get(question.zone) or snapshot.zones.get(snapshot.default_zone) or [(ALWAYS, 0)]
    now = question.now
    edges = {t for s in snapshot.specifics for t in (s.start, s.end)}
    edges |= {t for r in snapshot.rules for t in (r.start, r.end)}
    edges |= {t for row in question.codes + question.values + snapshot.pushed for t in row[-2:]}
    edges |= {at for at, _ in zone}
    minutes = {0}
    for rule in snapshot.rules:
        looked_at = snapshot.looked_at(rule)
        if looked_at is not None and looked_at.of in ('hour', 'minute'):
            scale = 60 if looked_at.of == 'hour' else 1
            minutes |= {b * scale for b in boundaries([rule]) if 0 <= b * scale < 1440}
    if every_minute and any(a.source == 'clock' for a in snapshot.attributes.values()):
        edges |= set(range(now - now % (60 * US), until, 60 * US))
    for offset in {offset for _, offset in zone}:
        day = (now + offset * US) // DAY - 1
        while day * DAY - offset * US < until:
            edges |= {day * DAY + minute * 60 * US - offset * US for minute in minutes}
            day += 1
    return sorted(t for t in edges if now < t < until)


def cost(result, used):
    price, block = result.billed()
    micros, carry = divmod(max(used - result.free_left, 0) * price, block)
    return ' cost=refused' if micros > AMOUNT_MAX else f' cost={micros}+{carry}/{block}'


def answer(snapshot, question, every_minute=False):
    result = Rating(snapshot, question, question.now, question.unit).result
    if result is None:
        return 'failed'
    text = result.text()
    if question.used is not None and result.kind == 'priced':
        text += cost(result, question.used)
    for at in instants(snapshot, question, question.now + question.horizon, every_minute):
        then = Rating(snapshot, question, at, result.specific.unit).result
        if then is None:
            return f'{text} | +{at - question.now} failed'
        if then.price() != result.price():
            return f'{text} | +{at - question.now} {then.text()}'
    return text


# ---- tables ----

def walk(lines):
    """(line, its expected answer or None, this program's answer or None)"""
    snapshot = Snapshot()
    for line in lines:
        line = line.rstrip('\n')
        given, _, expected = line.partition('->')
        given, expected = given.rstrip(), expected.strip()
        if not given.strip() or given.startswith('#'):
            yield line, None, None
            continue
        kind, name, pairs = split_line(given)
        if kind == 'snapshot':
            snapshot = Snapshot()
            yield given, None, None
        elif kind == 'compile':
            # A stacking names a culprit that only the core chooses: any deserved verdict is right.
            yield given, expected, expected if refusal.agrees(snapshot, expected) else refusal.verdict(snapshot)
        elif kind == 'rate':
            question = Question(pairs, snapshot)
            # The wording of a trace is the core's; its story is checked where it is told.
            yield given, expected, expected if question.trace else answer(snapshot, question, every_minute=True)
        else:
            snapshot.line(kind, name, dict(pairs))
            yield given, None, None


def main():
    if sys.argv[1] == 'random':
        import random_sets
        return random_sets.main(sys.argv[2:])
    with open(sys.argv[2], encoding='utf-8') as table:
        lines = table.readlines()
    if sys.argv[1] == 'answer':
        for line, _, mine in walk(lines):
            print(f'{line} -> {mine}' if mine is not None else line)
        return 0
    count = failed = 0
    for line, expected, mine in walk(lines):
        if mine is None:
            continue
        count += 1
        failed += expected != mine
        print(f'{"ok" if expected == mine else "not ok"} {count} - {line[:150]}')
        if expected != mine:
            print(f'# table  {expected}\n# oracle {mine}')
    print(f'1..{count}')
    return 1 if failed or not count else 0


if __name__ == '__main__':
    sys.exit(main())
