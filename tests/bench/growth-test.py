#!/usr/bin/python3
"""The bounds of the soak (growth.py) on series made up: what must be found, what must not."""
import math
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from growth import ENOUGH, Bound, judge  # noqa: E402
from tap import Tap  # noqa: E402

KIB_OF_RSS = Bound(4096, 0.02)
FILES = Bound(4, 0.05)
SETTLE = 0.35
SAMPLES = 60
SECONDS = 75


def series(size):
    """size(seconds) at regular times, in hours."""
    times = [SECONDS * n / (SAMPLES - 1) for n in range(SAMPLES)]
    return [(t / 3600, size(t)) for t in times]


def main():
    tap = Tap()
    seed = int(os.environ.get('GYRO_SEED') or random.SystemRandom().randrange(1 << 31))
    print(f'# seed {seed}')
    chance = random.Random(seed)

    def noisy(size, width):
        return lambda t: size(t) + chance.uniform(-width, width)

    def finds(name, bound, size, grows=True):
        verdict = judge(series(size), bound, SETTLE)
        tap.equal(verdict.grows, grows, f'{name}: {"found" if grows else "no growth"}')
        return verdict

    finds('nothing changes', KIB_OF_RSS, lambda t: 100000, False)
    finds('noise of 2 %', KIB_OF_RSS, noisy(lambda t: 100000, 2000), False)
    finds('caches that fill in the first third', KIB_OF_RSS, lambda t: 100000 - 80000 * math.exp(-t / 6), False)
    finds('it shrinks', KIB_OF_RSS, lambda t: 100000 - 500 * t, False)
    finds('one step near an end', KIB_OF_RSS, lambda t: 100000 + (8000 if t > 63 else 0), False)
    finds('an outlier', KIB_OF_RSS, lambda t: 100000 + (90000 if 60 < t < 64 else 0), False)
    finds('a saw', FILES, lambda t: 40 + t % 7, False)
    finds('descriptors that come and go', FILES, noisy(lambda t: 40, 10), False)
    finds('1 KiB a request, 500 requests a second', KIB_OF_RSS, noisy(lambda t: 100000 + 500 * t, 2000))
    finds('64 KiB a connection, ten a second, never a page less', KIB_OF_RSS, lambda t: 100000 + t * 640 // 256 * 256)
    finds('one descriptor a second', FILES, noisy(lambda t: 40 + t, 5))
    finds('one descriptor in five seconds', FILES, lambda t: 40 + t // 5)
    finds('growth by rare steps', KIB_OF_RSS, lambda t: 100000 + t // 9 * 4096)
    finds('growth after a fall', FILES, lambda t: 100 - 3 * t if t < 20 else 40 + t)

    verdict = finds('500 KiB a second', KIB_OF_RSS, lambda t: 100000 + 500 * t)
    tap.ok(abs(verdict.per_hour - 500 * 3600) < 1, 'its slope is told by the hour', verdict)
    tap.ok(abs(verdict.rise - 500 * 3600 * verdict.hours) < 1 and 45 < verdict.hours * 3600 < 50, 'and by the time looked at', verdict)
    slow = series(lambda t: 100000 + 20 * t)
    tap.ok(not judge(slow, KIB_OF_RSS, SETTLE).grows, 'within the tolerance')
    tap.ok(judge(slow, KIB_OF_RSS, SETTLE, 0.1).grows, 'a tenth of the tolerance: found')
    for count, few in ((ENOUGH, False), (ENOUGH - 1, True)):
        try:
            judge([(n, 1) for n in range(count)], FILES, 0)
            said = False
        except ValueError:
            said = True
        tap.equal(said, few, f'{count} samples are {"too few to say" if few else "enough"}')
    print(f'# seed {seed}')
    tap.done()


if __name__ == '__main__':
    main()
