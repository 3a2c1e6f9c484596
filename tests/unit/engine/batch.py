#!/usr/bin/python3
"""Runs engine-batch or engine-outcome on a private PostgreSQL, and audits what it left.

batch.py GYROCTL ROOT PROGRAM
"""
import subprocess
import sys

sys.path.insert(0, sys.argv[2] + '/tests/lib')
from postgres import Postgres # noqa: E402


def main():
    gyroctl, root, program = sys.argv[1:]
    with Postgres() as pg:
        ctl = [gyroctl, '--database', pg.conninfo()]
        subprocess.run([*ctl, 'migrate'], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*ctl, 'apply', '-f', f'{root}/tests/cases/fixture.yaml'], check=True, stdout=subprocess.DEVNULL)
        # Its TAP, and one line more: the plan comes first.
        done = subprocess.run([program, pg.conninfo()], stdout=subprocess.PIPE, text=True)
        lines = done.stdout.splitlines()
        tests = sum(line.startswith(('ok ', 'not ok ')) for line in lines)
        print('\n'.join(line for line in lines if not line.startswith('1..')))
        found = pg.query('SELECT * FROM gyro.audit()')
        print(f'{"not " if found else ""}ok {tests + 1} - the audit finds nothing')
        for row in found:
            print('#', *row)
        print(f'1..{tests + 1}')
    sys.exit(1 if found or done.returncode or not tests else 0)


main()
