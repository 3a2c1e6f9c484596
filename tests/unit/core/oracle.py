#!/usr/bin/python3
"""The price functions against Python's big integers: same questions, independent answers.

oracle.py PROGRAM [--seed N] [--count N] asks PROGRAM (price-calc) a few hundred thousand random
questions, with the edges of every range among them, and compares. It shares no code with the core.
"""
import argparse
import os
import random
import subprocess
import sys

LIMIT = 1 << 60          # GY_AMOUNT_MAX
PRICE_MAX = 10 ** 15     # CHECK of gyro.specific_rule


def wide(rng, low, high):
    """A number whose magnitude, not whose value, is evenly spread; often an edge."""
    if high <= low:
        return low
    kind = rng.random()
    if kind < 0.08:
        return low
    if kind < 0.14:
        return high
    value = rng.getrandbits(rng.randint(1, max(1, high.bit_length())))
    if kind < 0.2:
        value = 1 << rng.randint(0, high.bit_length() - 1)
    return min(max(value, low), high)


def rate(rng):
    if rng.random() < 0.3:
        return rng.choice([(100000, 1 << 20), (600000, 60), (1000000, 1), (1, 3), (1, 1 << 30), (0, 1)])
    return wide(rng, 0, PRICE_MAX), wide(rng, 1, LIMIT)


def debit(price, block, units, carry):
    micros, rest = divmod(units * price + carry, block)
    return 'refused' if micros > LIMIT else f'{micros} {rest}'


def reserve(price, block, units, carry):
    micros = -(-(units * price + carry) // block)
    return 'refused' if micros > LIMIT else f'{micros}'


def afford(price, block, micros, carry):
    """The largest number of units, at most LIMIT, whose reserve fits; by bisection, not by formula."""
    if micros < 0 or (micros == 0 and price > 0):
        return '0'
    low, high = 0, LIMIT
    while low < high:
        middle = (low + high + 1) // 2
        if -(-(middle * price + (carry if price else 0)) // block) <= micros:
            low = middle
        else:
            high = middle - 1
    return f'{low}'


def split(price, block, parts):
    micros, rest = divmod(sum(parts) * price, block)
    return f'{micros} {rest}'


def partition(rng, total, n):
    cuts = sorted(rng.randint(0, total) for _ in range(n - 1))
    return [b - a for a, b in zip([0] + cuts, cuts + [total])]


def questions(rng, count):
    """(kind, line, expected)"""
    for _ in range(count):
        price, block = rate(rng)
        carry = wide(rng, 0, block - 1)
        units = wide(rng, 0, LIMIT)
        yield 'debit', f'debit {price} {block} {units} {carry}', debit(price, block, units, carry)
        units = wide(rng, 0, LIMIT)
        yield 'reserve', f'reserve {price} {block} {units} {carry}', reserve(price, block, units, carry)
        micros = wide(rng, 0, LIMIT) - (wide(rng, 0, LIMIT) if rng.random() < 0.1 else 0)
        yield 'affordable', f'afford {price} {block} {micros} {carry}', afford(price, block, micros, carry)
        other = wide(rng, 1, LIMIT)
        yield 'rescale', f'rescale {carry} {block} {other} 0', f'{carry * other // block}'
    for _ in range(count // 10):
        price, block = rate(rng)
        total = wide(rng, 0, 1 << 44)
        if total * price // block > LIMIT:
            continue
        parts = partition(rng, total, rng.randint(1, 60))
        line = ' '.join(str(p) for p in parts)
        yield 'split', f'split {price} {block} {line}', split(price, block, parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--seed', type=int, default=int(os.environ.get('GYRO_SEED', '0')) or random.SystemRandom().getrandbits(32))
    parser.add_argument('--count', type=int, default=40000)
    options = parser.parse_args()
    print(f'# seed {options.seed}')
    asked = list(questions(random.Random(options.seed), options.count))
    run = subprocess.run([options.program], input=''.join(q[1] + '\n' for q in asked),
                         capture_output=True, text=True, timeout=300)
    answers = run.stdout.splitlines()
    kinds = ['debit', 'reserve', 'affordable', 'rescale', 'split']
    wrong = {kind: [] for kind in kinds}
    number = {kind: 0 for kind in kinds}
    for (kind, line, expected), answer in zip(asked, answers):
        number[kind] += 1
        if answer != expected:
            wrong[kind].append(f'{line}: {answer}, expected {expected}')
    print(f'1..{len(kinds) + 1}')
    complete = run.returncode == 0 and len(answers) == len(asked)
    print(f'{"ok" if complete else "not ok"} 1 - {len(asked)} questions, {len(answers)} answers, exit {run.returncode}')
    if run.stderr:
        print('# ' + run.stderr.strip().splitlines()[-1])
    for i, kind in enumerate(kinds):
        for text in wrong[kind][:5]:
            print(f'# {text}')
        good = not wrong[kind] and number[kind] > 0
        print(f'{"ok" if good else "not ok"} {i + 2} - {kind}: {number[kind]} cases equal the big integers')
    print(f'# seed {options.seed}')
    return 0 if complete and not any(wrong.values()) and all(number.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
