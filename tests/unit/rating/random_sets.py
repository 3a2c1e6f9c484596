"""Random rule sets and questions: the core's answers against oracle.py's, line by line.

oracle.py random PROGRAM [--seed N] [--sets N] [--seconds N]

PROGRAM is run-table. Each set is a snapshot with its verdict (accepted, or refused and why), then
questions; some sets are asked again with their rules in another order. Stops after --sets sets or
--seconds seconds, whichever comes first. The seed is printed first and last.
"""
import argparse
import datetime
import os
import random
import subprocess
import time
import zoneinfo

import refusal
from model import EFFECTS, EPOCH, US, Question, Snapshot, split_line

BATCH = 200
SPAN = (datetime.datetime(2024, 1, 1), datetime.datetime(2025, 1, 1))
ZONES = ('Europe/Berlin', 'America/New_York', 'Asia/Shanghai', 'Australia/Lord_Howe', 'Africa/Casablanca')


def micros(when):
    return (when - EPOCH) // datetime.timedelta(microseconds=1)


def zone_changes(name):
    """Transitions of a real zone over three years, found by bisection."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(t):
        at = datetime.datetime.fromtimestamp(t // US, tz=zone)
        return int(at.utcoffset().total_seconds())

    start, end = micros(datetime.datetime(2023, 1, 1)), micros(datetime.datetime(2026, 1, 1))
    changes, at, step = [('-', offset(start))], start, 86400 * US
    while at < end:
        if offset(at) != offset(at + step):
            low, high = at, at + step
            while high - low > US:
                middle = (low + high) // 2 // US * US
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            changes.append((high, offset(high)))
        at += step
    return ','.join(f'{t}:{o}' for t, o in changes)


ZONE_LINES = {name: zone_changes(name) for name in ZONES}
HOLIDAYS = 'days=2024-01-01,2024-03-29,2024-03-31,2024-04-01,2024-10-27,2024-12-25,2024-12-26'
# A day on which clocks change somewhere, or any day.
SPECIAL = [micros(datetime.datetime(2024, m, d)) for m, d in ((3, 10), (3, 31), (4, 7), (10, 6), (10, 27), (11, 3), (2, 29))]
ULIS = ('', '0064f0101a2b3c4d', '8264f0101a2b64f0100012d687', '8964f010000a0b64f0100012345678', '02130014beef01', '8464f010', '8164f0100012d687')
CELLS = ('46001-1a2b-3c4d', '46001-0012d68', '310410-00000ff', '46001-012345678')
AREAS = ('46001-1a2b', '46001-000a0b', '310410-beef')
APNS = ('internet', 'ims', 'Internet.mnc001.mcc460.gprs', 'corp.example')
PRICES = ('100000/1048576', '600000/60', '1/3', '250000/1', '0/1', '99999/1000000', '123456789/1073741824')
BLOCKS = {'octets': (1048576, 1073741824, 1000000), 'seconds': (60, 1), 'service': (1,)}
FACTORS = (0, 500000, 800000, 900000, 1000000, 1100000, 1250000, 2000000, 3000000)

TEMPLATES = {
    # words of the attribute, values that a subscriber or a rule may have
    'level': ('', '1 2 3 4 5 6'),
    'tier': ('type=text', 'gold silver bronze none'),
    'flag': ('type=boolean', 'true false'),
    'ratio': ('type=decimal', '0.5 1.25 1.250001 -3 7.000000'),
    'since': ('type=time', '2024-01-01T00:00:00Z 2024-06-30T12:00:00Z 2025-01-01T00:00:00Z'),
    'roaming': ('source=request of=roaming type=boolean', 'true false'),
    'network': ('source=request of=network type=text', '46001 310410 26202'),
    'country': ('source=request of=country type=text', '460 310 262'),
    'rat': ('source=request of=rat', '1 2 6 10'),
    'cell': ('source=request of=cell type=text', ' '.join(CELLS)),
    'area': ('source=request of=area type=text', ' '.join(AREAS)),
    'apn': ('source=request of=apn type=text', 'internet ims corp.example'),
    'characteristics': ('source=request of=characteristics type=text', '0800 0a00 0400 0100'),
    'rule-base': ('source=request of=rule-base type=text', 'gold Gold throttled'),
    'hour': ('source=clock of=hour', '0 1 2 3 6 8 18 22 23'),
    'minute': ('source=clock of=minute', '0 30 90 120 150 180 480 1320 1439'),
    'weekday': ('source=clock of=weekday', '1 2 5 6 7'),
    'day': ('source=clock of=day', '1 2 15 28 29 30 31'),
    'month': ('source=clock of=month', '1 2 3 6 10 12'),
    'holiday': ('source=clock of=holiday type=boolean calendar=1', 'true false'),
    'units-day': ('source=counter of=units-day', '0 100 1000 100000'),
    'units-month': ('source=counter of=units-month all', '0 100 1000 100000'),
    'money-day': ('source=counter of=money-day type=decimal', '0 0.5 1 10'),
    'money-month': ('source=counter of=money-month type=decimal all', '0 0.5 1 10'),
    'load': ('source=pushed of=of-cell', '1 2 3 4 5'),
    'alarm': ('source=pushed of=of-all type=boolean', 'true false'),
    'zone-load': ('source=pushed of=of-area', '1 2 3 4 5'),
    'apn-load': ('source=pushed of=of-apn', '1 2 3'),
}
CYCLIC = ('hour', 'minute', 'weekday', 'day', 'month')


def order_of(word, kind):
    if kind == 'integer':
        return int(word)
    if kind == 'decimal':
        return float(word)
    return word.encode()


class Generator:
    def __init__(self, rng):
        self.rng = rng

    def some(self, chance):
        return self.rng.random() < chance

    def instant(self):
        if self.some(0.5):
            at = self.rng.choice(SPECIAL) + self.rng.randrange(-12 * 3600, 36 * 3600) * US
        else:
            at = self.rng.randrange(micros(SPAN[0]), micros(SPAN[1]))
        step = self.rng.choice((1, US, 60 * US, 3600 * US))
        return at // step * step

    def validity(self, around):
        """ from=.. until=.. whose edges often lie near `around`."""
        words = ''
        if self.some(0.3):
            words += f' from={around + self.rng.randrange(-48, 24) * 3600 * US}'
        if self.some(0.02):
            return words + f' until={around - 30 * 3600 * US}'
        if self.some(0.3):
            words += f' until={around + self.rng.randrange(24, 60) * 3600 * US + self.rng.choice((0, 1, 30 * 60 * US))}'
        return words

    def span(self, around):
        """@FROM..UNTIL likewise."""
        if self.some(0.6):
            return ''
        start = around + self.rng.randrange(-48, 24) * 3600 * US
        return f'@{start}..{start + self.rng.randrange(1, 60) * 3600 * US}'

    def attributes(self):
        self.kinds = {i + 1: self.rng.choice(list(TEMPLATES)) for i in range(self.rng.randint(1, 5))}
        for identity, kind in self.kinds.items():
            words, values = TEMPLATES[kind]
            default = ''
            if self.some(0.2) and 'source=clock' not in words:
                default = f' default={self.rng.choice(values.split())}'
            yield f'attribute {identity} {words}{default}'

    def codes(self):
        self.code_of = {}
        for code in range(11, 11 + self.rng.randint(0, 4)):
            self.code_of[code] = self.rng.choice(list(self.kinds))
            deny = ' missing=deny' if self.some(0.15) else ''
            yield f'code {code} attribute={self.code_of[code]}{deny}'

    def specifics(self):
        identity = 0
        self.keys = []
        for tariff in (1, 2):
            for rg in (10, 20):
                for unit in ('octets', 'seconds', 'service'):
                    if not self.some(0.75 if unit == 'octets' else 0.2):
                        continue
                    identity += 1
                    self.keys.append((tariff, rg, unit))
                    kind = self.rng.choice(('free', 'forbidden')) if self.some(0.12) else 'priced'
                    rate = self.rng.choice(PRICES) if kind == 'priced' else '0/1'
                    head = f'specific {identity} tariff={tariff} rg={rg} unit={unit}'
                    if self.some(0.1):
                        cut = self.around + self.rng.randrange(-3, 20) * 3600 * US
                        yield f'{head} rate={rate} kind={kind} until={cut}'
                        if self.some(0.7):
                            identity += 1
                            yield f'specific {identity} tariff={tariff} rg={rg} unit={unit} rate={self.rng.choice(PRICES)} from={cut}'
                    else:
                        yield f'{head} rate={rate} kind={kind}'

    def predicate(self, attribute):
        kind = self.kinds[attribute]
        words, values = TEMPLATES[kind]
        values = values.split()
        kind_of_value = words.partition('type=')[2].split(' ')[0] or 'integer'
        what = self.rng.random()
        if what < 0.1:
            return 'any'
        if what < 0.17 and 'source=clock' not in words:
            return 'missing'
        if what < 0.5:
            return self.rng.choice(values)
        if what < 0.7 or kind_of_value in ('text', 'boolean'):
            chosen = self.rng.sample(values, self.rng.randint(1, min(3, len(values))))
            if kind_of_value != 'boolean':
                chosen.sort(key=lambda w: order_of(w, kind_of_value))
            else:
                chosen.sort()
            return '{' + ','.join(chosen) + '}'
        low, high = self.rng.sample(values, 2)
        if order_of(low, kind_of_value) > order_of(high, kind_of_value) and not (kind in CYCLIC and self.some(0.6)):
            low, high = high, low
        if self.some(0.2):
            low = ''
        elif self.some(0.2):
            high = ''
        return f'[{low},{high})'

    def rate(self, unit, signed=False):
        amount = self.rng.choice((1, 5000, 10000, 20000, 50000, 100000, 250000))
        if signed and self.some(0.3):
            amount = -self.rng.choice((1, 1000, 5000, 10000, 20000))
        return f'{amount}/{self.rng.choice(BLOCKS[unit])}'

    def effect(self, unit):
        kind = self.rng.choice(('deny', 'replace', 'multiply', 'multiply', 'multiply', 'add', 'add', 'free', 'floor', 'cap',
                                'quota', 'validity', 'redirect'))
        if kind == 'deny':
            return '', False
        if kind in ('replace', 'add', 'floor', 'cap'):
            return f' {kind}={self.rate(unit, kind == "add")}', True
        if kind == 'multiply':
            factor = self.rng.choice(FACTORS) if self.some(0.95) else self.rng.randrange(1, 3000000)
            return f' multiply={factor}', True
        if kind == 'redirect':
            return f' redirect=http://{self.rng.choice("abc")}.test/', True
        return f' {kind}={self.rng.choice((1, 60, 1000, 100000))}', True

    def rule(self, identity):
        # Of the key of some specific rule, mostly.
        tariff, rg, unit = self.rng.choice(self.keys)
        words = f'rule {identity}'
        when = 'any'
        if self.code_of and self.some(0.7):
            code = self.rng.choice(list(self.code_of))
            words += f' code={code}'
            when = self.predicate(self.code_of[code])
        elif self.some(0.7):
            attribute = self.rng.choice(list(self.kinds))
            words += f' attribute={attribute}'
            when = self.predicate(attribute)
        if self.some(0.4):
            words += f' tariff={tariff}'
        if self.some(0.4):
            words += f' rg={rg}'
        effect, grouped = self.effect(unit)
        words += f' unit={unit} when={when}{effect}'
        if self.some(0.5):
            words += f' prec={self.rng.randint(-2, 3)}'
        if grouped and self.some(0.25):
            words += f' group={self.rng.randint(1, 2)}'
        return words + self.validity(self.around)

    def pushed(self):
        for identity, kind in self.kinds.items():
            words, values = TEMPLATES[kind]
            if 'source=pushed' not in words:
                continue
            scopes = {'load': CELLS, 'alarm': ('',), 'zone-load': AREAS, 'apn-load': ('internet', 'ims')}[kind]
            for scope in scopes:
                if self.some(0.6):
                    at = self.around + self.rng.randrange(-30, 3) * 3600 * US
                    until = at + self.rng.randrange(1, 50) * 3600 * US
                    yield f'pushed {identity} scope={scope} value={self.rng.choice(values.split())} from={at} until={until}'
                    if self.some(0.3):
                        yield f'pushed {identity} scope={scope} value={self.rng.choice(values.split())} from={until}'

    def question(self):
        at = self.around + self.rng.choice((0, 0, 1, -US, 3600 * US, self.rng.randrange(-24, 24) * 3600 * US))
        words = [f'rate tariff={self.rng.choice((1, 1, 2))} rg={self.rng.choice((10, 10, 20))} at={at}',
                 f'zone={self.rng.randint(0, len(ZONES))}', f'horizon={self.rng.choice((0, 0, 0, 3600, 86400))}']
        if self.some(0.3):
            words.append(f'unit={self.rng.choice(("octets", "seconds", "service"))}')
        codes = [f'{c}{self.span(self.around)}' for c in self.code_of if self.some(0.75)]
        if codes:
            words.append('codes=' + ','.join(codes))
        for identity, kind in self.kinds.items():
            template, values = TEMPLATES[kind]
            for _ in range(self.rng.choice((0, 1, 1, 1, 1, 2)) if 'source=' not in template else 0):
                words.append(f'attr={identity}:{self.rng.choice(values.split())}{self.span(self.around)}')
        if self.some(0.8):
            words += [f'net={self.rng.choice(("46001", "46001", "310410", "26202", "4600", ""))}',
                      f'apn={self.rng.choice(APNS)}', f'uli={self.rng.choice(ULIS)}']
        if self.some(0.8):
            words += [f'characteristics={self.rng.choice(("0800", "0A00", "0a00", "0400", "800", "08g0", ""))}',
                      f'rule-base={self.rng.choice(("gold", "Gold", "throttled", "none", ""))}']
        if self.some(0.6):
            words.append(f'rat={self.rng.choice((1, 6, 10))}')
        if self.some(0.7):
            counters = [str(self.rng.choice((0, 99, 100, 101, 999, 1000, 100000))) for _ in range(2)]
            counters += [str(self.rng.choice((0, 499999, 500000, 1000000, 9999999, 10000000))) for _ in range(2)]
            words.append('counted=' + ','.join(counters))
            if self.some(0.4):
                words.append('counted-all=1,1000,500000,10000000')
            if self.some(0.4):
                words.append(f'counted-at={at - self.rng.choice((0, US, 3600 * US, 86400 * US, 40 * 86400 * US))}')
            if self.some(0.5):
                words.append('free-used=' + ','.join(f'{101 + i}:{self.rng.choice((1, 59, 60, 1000))}' for i in range(6)))
        if self.some(0.5):
            words.append(f'used={self.rng.choice((0, 1, 1000, 10 ** 6, 3 * 10 ** 8, 2 ** 44 + 1))}')
        return ' '.join(words)

    def damage(self, lines):
        """Sometimes one thing is wrong."""
        rng = self.rng
        where = rng.choice([i for i, line in enumerate(lines) if line.startswith('rule')] or [0])
        bad = rng.choice((' code=99 when=1', ' tariff=99', ' rg=99', ' until=-', ' when={}', ' when=[3,3)', ' as=text when=x', ' as=integer when=77',
                          ' attribute=99 when=1', ' add=5/0', ' multiply=2000000000', ' rg=4294967296', ' when=[5,2)', ' as=decimal when=[1,2)'))
        if lines[where].startswith('rule'):
            gone = {b.split('=')[0] for b in bad.split()}
            gone |= set(EFFECTS) if gone & set(EFFECTS) else set()
            lines[where] = ' '.join(w for w in lines[where].split() if w.split('=')[0] not in gone) + bad

    def make_big(self):
        """One code, some hundred rules whose ranges lie over each other, questions all over them."""
        lines = ['snapshot big', 'zone 1', 'attribute 1 default=-1', 'code 11 attribute=1', 'specific 1 rate=100000/1048576']
        for identity in range(101, 101 + self.rng.randint(60, 250)):
            low = self.rng.randrange(-10, 300)
            when = self.rng.choice((f'{low}', f'[{low},{low + self.rng.randint(1, 9)})', f'{{{low},{low + 1},{low + 30}}}'))
            effect = self.rng.choice((f'multiply={self.rng.choice((800000, 900000, 1100000, 1500000))}',
                                      f'add={self.rng.randrange(1, 9)}000/1048576', f'quota={self.rng.randrange(1, 10 ** 6)}',
                                      f'validity={self.rng.randrange(1, 10 ** 6)}', f'floor={self.rng.randrange(10 ** 6)}/1048576'))
            lines.append(f'rule {identity} code=11 when={when} {effect} prec={self.rng.randint(0, 3)}')
        lines.append('rule 100 code=11 when=[,250) cap=300000/1048576')
        lines.append('rule 99 when=any quota=999999')
        return lines, [f'rate horizon=0 codes=11 attr=1:{self.rng.randrange(-12, 310)} used=1000000' for _ in range(12)]

    def make(self):
        """Lines of a snapshot, lines of questions."""
        if self.some(0.01):
            return self.make_big()
        self.around = self.instant()
        lines = ['snapshot random']
        for number, name in enumerate(ZONES, 1):
            default = ' default' if number == 1 else ''
            lines.append(f'zone {number} changes={ZONE_LINES[name]}{default}')
        lines.append(f'calendar 1 {HOLIDAYS}')
        lines.append('home 46001')
        lines += self.attributes()
        lines += self.codes()
        lines += self.specifics()
        if not self.keys:
            self.keys.append((1, 10, 'octets'))
            lines.append('specific 1 rate=100000/1048576')
        lines += self.pushed()
        lines += [self.rule(101 + i) for i in range(self.rng.choice((0, 1, 2, 3, 4, 5, 6, 8, 12)))]
        if self.some(0.05):
            self.damage(lines)
        return lines, [self.question() for _ in range(5)]


# ---- against the program ----

class Tally:
    def __init__(self):
        self.sets = self.accepted = self.refused = self.questions = self.changes = self.shuffled = self.wrong = 0
        self.reasons = {}
        self.shown = []

    def differ(self, lines, question, got, expected):
        self.wrong += 1
        if len(self.shown) < 5:
            self.shown.append('\n'.join(lines + ['compile', question, f'  core   {got}', f'  oracle {expected}']))


def read(lines):
    snapshot = Snapshot()
    for line in lines[1:]:
        kind, name, pairs = split_line(line)
        snapshot.line(kind, name, dict(pairs))
    return snapshot


def compare(made, answers, tally):
    import oracle
    lines, questions, shuffle = made
    verdict = next(answers)
    snapshot = read(lines)
    tally.sets += 1
    if not refusal.agrees(snapshot, verdict):
        tally.differ(lines, 'compile', verdict, refusal.faults(snapshot) or 'ok')
    elif verdict == 'ok':
        tally.accepted += 1
    else:
        tally.refused += 1
        reason = verdict.split()[0]
        tally.reasons[reason] = tally.reasons.get(reason, 0) + 1
    given = [next(answers) for _ in questions]
    for question, got in zip(questions if verdict == 'ok' else [], given):
        expected = oracle.answer(snapshot, Question(split_line(question)[2], snapshot))
        tally.questions += 1
        tally.changes += '|' in expected
        if got != expected:
            tally.differ(lines, question, got, expected)
    if shuffle:
        tally.shuffled += 1
        if (next(answers) == 'ok') != (verdict == 'ok'):
            tally.differ(lines, f'shuffle {shuffle}', 'another verdict', verdict)
        for question, got in zip(questions, given):
            again = next(answers)
            if again != got and verdict == 'ok':
                tally.differ(lines, f'shuffle {shuffle}; {question}', again, got)


def batch(program, generator, size, tally):
    text, made = [], []
    for _ in range(size):
        lines, questions = generator.make()
        shuffle = generator.rng.randint(1, 1000) if generator.some(0.25) else 0
        made.append((lines, questions, shuffle))
        text += lines + ['compile'] + questions
        if shuffle:
            text += [f'shuffle {shuffle}', 'compile'] + questions
    run = subprocess.run([program, '-'], input='\n'.join(text) + '\n', capture_output=True, text=True, timeout=120, check=False)
    if run.returncode:
        raise SystemExit(f'{program}: exit {run.returncode}: {run.stderr.strip()}')
    answers = iter(run.stdout.splitlines())
    for one in made:
        compare(one, answers, tally)


def main(arguments):
    parser = argparse.ArgumentParser(prog='oracle.py random')
    parser.add_argument('program')
    parser.add_argument('--seed', type=int, default=int(os.environ.get('GYRO_SEED', '0')) or random.SystemRandom().getrandbits(32))
    parser.add_argument('--sets', type=int, default=20000)
    parser.add_argument('--seconds', type=float, default=30)
    options = parser.parse_args(arguments)
    print(f'# seed {options.seed}', flush=True)
    tally, generator = Tally(), Generator(random.Random(options.seed))
    start = time.monotonic()
    while tally.sets < options.sets and time.monotonic() - start < options.seconds and tally.wrong < 20:
        batch(options.program, generator, min(BATCH, options.sets - tally.sets), tally)
        if options.seconds > 600 and tally.sets % (50 * BATCH) == 0:
            print(f'# {tally.sets} sets, {tally.questions} questions, {tally.wrong} wrong, {time.monotonic() - start:.0f} s', flush=True)
    for text in tally.shown:
        print('# ' + text.replace('\n', '\n# '))
    reached = tally.accepted and tally.refused and tally.changes and tally.shuffled
    print('1..2')
    print(f'{"not ok" if tally.wrong else "ok"} 1 - {tally.sets} rule sets ({tally.accepted} accepted), {tally.questions} '
          f'questions ({tally.changes} with a change of price): the core is the oracle; {tally.wrong} differ')
    print(f'{"ok" if reached else "not ok"} 2 - refusals, changes and shuffles were among them: {dict(sorted(tally.reasons.items()))}, '
          f'{tally.shuffled} shuffled')
    print(f'# seed {options.seed}')
    return 0 if reached and not tally.wrong else 1
