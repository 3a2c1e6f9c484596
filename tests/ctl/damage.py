#!/usr/bin/python3
"""Damaged catalogue files: each is refused with file and line, or is still a catalogue; nothing crashes.

damage.py GYROCTL ROOT    GYRO_SEED=n repeats a run
"""
import os
import random
import re
import tempfile
import time

from ctl import FIXTURE, Ctl
from tap import Tap

ROUNDS = 200
# No database: a file that passes every check ends with status 3, when gyroctl looks for one.
CTL = Ctl('host=/nonexistent')
PIECES = [b'\n', b'  ', b'\t', b'- ', b'{', b'}', b'[', b']', b':', b'"', b"'", b'#', b'&a ', b'*a', b'!!x ', b'|', b'>', b'%', b'\xff', b'\x00',
          b'-1', b'99999999999999999999', b'null', b'~', b'""', b'rating_group: 10', b'price: "x"', b'---\n', b'...\n']


def damage(random_, data):
    data = bytearray(data)
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(data))
        kind = random_.randrange(4)
        if kind == 0:
            data[at] = random_.randrange(256)
        elif kind == 1:
            del data[at:at + random_.randint(1, 40)]
        elif kind == 2:
            data[at:at] = random_.choice(PIECES)
        else:
            start = random_.randrange(len(data))
            data[at:at] = data[start:start + random_.randint(1, 200)]
    return bytes(data)


def main():
    seed = int(os.environ.get('GYRO_SEED', time.time_ns() % 1000000007))
    print(f'# seed {seed}')
    random_ = random.Random(seed)
    with open(FIXTURE, 'rb') as file:
        fixture = file.read()
    tap = Tap()
    counts = {1: 0, 3: 0}
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, 'catalogue.yaml')
        for i in range(ROUNDS):
            data = fixture if i == 0 else damage(random_, fixture)
            with open(path, 'wb') as file:
                file.write(data)
            done = CTL.run('apply', '-f', path)
            lines = done.stderr.splitlines()
            good = done.returncode in counts and lines and all(
                re.search(r'catalogue\.yaml:[1-9][0-9]*: .|catalogue\.yaml: \d+ more errors' if done.returncode == 1 else '/nonexistent', line)
                for line in lines)
            counts[done.returncode] = counts.get(done.returncode, 0) + 1
            if not good:
                tap.ok(False, f'round {i}', f'status {done.returncode}\n{done.stderr}')
    tap.ok(set(counts) == {1, 3}, f'{counts[1]} files refused with a line, {counts[3]} still good, nothing else', counts)
    tap.ok(counts[1] > ROUNDS / 4 and counts[3] > 0, 'both kinds were there', counts)
    print(f'# seed {seed}')
    tap.done()


main()
