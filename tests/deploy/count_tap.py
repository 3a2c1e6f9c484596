#!/usr/bin/python3
"""tests/count-tap with real results of ctest: small programs that end in every way a test can.

count_tap.py COUNT-TAP
"""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../lib'))
from tap import Tap

# What a program does (sh), properties for ctest, (passed, failed, skipped), what the report must say.
PROGRAMS = [
    ('good', 'echo 1..2; echo ok 1 - a; echo ok 2', '', (2, 0, 0), None),
    ('plan_last', 'echo ok 1 - a; echo "# why"; echo 1..1', '', (1, 0, 0), None),
    ('skips_one', 'echo "ok 1 - a # SKIP no tshark"; echo ok 2 - b; echo 1..2', '', (1, 0, 1), None),
    ('skips_all', 'echo "1..0 # SKIP no database"', '', (0, 0, 1), None),
    ('skip_code', 'echo "1..0 # SKIP no database"; exit 77', 'SKIP_RETURN_CODE 77', (0, 0, 1), None),
    ('fails', 'echo 1..3; echo ok 1; echo not ok 2 - b; echo "# got 4"; echo not ok 3; exit 1', '', (1, 2, 0), '# got 4'),
    ('not_ok_exit_0', 'echo 1..1; echo not ok 1 - a', '', (0, 1, 0), 'not ok 1 - a'),
    ('exits', 'echo 1..2; echo ok 1; echo ok 2; exit 3', '', (2, 1, 0), 'exits: Failed'),
    ('dies', 'echo 1..1; echo ok 1; kill -SEGV $$', '', (1, 1, 0), 'dies: Exception: SegFault'),
    ('slow', 'echo 1..1; echo ok 1; sleep 30', 'TIMEOUT 1', (1, 1, 0), 'slow: Timeout'),
    ('fewer', 'echo 1..3; echo ok 1; echo ok 2', '', (2, 1, 0), 'planned 3, ran 2'),
    ('more', 'echo 1..1; echo ok 1; echo ok 2', '', (2, 1, 0), 'planned 1, ran 2'),
    ('no_plan', 'echo ok 1', '', (1, 1, 0), 'no plan (1..N)'),
    ('silent', 'true', '', (0, 1, 0), 'no plan (1..N)'),
    ('empty', 'echo 1..0', '', (0, 1, 0), 'nothing was tested'),
    ('two_plans', 'echo 1..1; echo ok 1; echo 1..1', '', (1, 1, 0), '2 plans'),
    ('bails', 'echo 1..1; echo ok 1; echo "Bail out! disk full"', '', (1, 1, 0), 'Bail out! disk full'),
    ('words', 'echo 1..1; echo "okay then"; echo "  ok 9"; echo "ok 1 - an escaped \\\\# SKIP stays"', '', (1, 0, 0), None),
    ('bytes', r'echo 1..1; printf "ok 1 - \\001\\377<&>\\n"', '', (1, 0, 0), None),
]


def run_ctest(folder, programs):
    lines = []
    for name, body, properties, _, _ in programs:
        script = folder / name
        script.write_text(f'#!/bin/sh\n{body}\n')
        script.chmod(0o755)
        lines.append(f'add_test({name} "{script}")')
        if properties:
            lines.append(f'set_tests_properties({name} PROPERTIES {properties})')
    (folder / 'CTestTestfile.cmake').write_text('\n'.join(lines) + '\n')
    with open(folder / 'x.log', 'w', encoding='utf-8') as log:
        subprocess.run(['ctest', '--test-dir', folder, '-j4', '--output-junit', folder / 'x.xml'], stdout=log,
                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    return folder / 'x.xml'


def main():
    counter, tap = sys.argv[1], Tap()

    def count(*words):
        done = subprocess.run([counter, *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        results = run_ctest(folder, PROGRAMS)
        rc, listed = count('--list', results)
        _, report = count(results)
        report = '\n'.join(report)
        for name, _, _, (passed, failed, skipped), said in PROGRAMS:
            want = f'x: {name}: {passed} passed, {failed} failed, {skipped} skipped'
            tap.ok(want in listed, f'{name}: {passed} passed, {failed} failed, {skipped} skipped',
                   '\n'.join(line for line in listed if f': {name}:' in line))
            if said:
                tap.ok(said in report, f'{name}: the report says "{said}"', report)
            else:
                tap.ok(f': {name}: ' not in report, f'{name}: not among the failures', report)
        sums = [sum(p[3][i] for p in PROGRAMS) for i in range(3)]
        tap.equal(listed[-1], f'{sums[0]} passed, {sums[1]} failed, {sums[2]} skipped', 'the last line is the sum')
        tap.equal(rc, 1, 'exit status 1 when something failed')

        good = folder / 'good-only'
        good.mkdir()
        rc, said = count(run_ctest(good, PROGRAMS[:2]))
        tap.equal((rc, said), (0, ['3 passed, 0 failed']), 'all passed: the one line, exit status 0')

        (folder / 'cut.xml').write_text('<testsuite><testcase name="a"')
        rc, said = count(good / 'x.xml', folder / 'cut.xml')
        tap.equal((rc, said[-1]), (1, '3 passed, 1 failed'), 'a result that was cut off counts as one failed')
        for text, want in (('ok 1 - a\n1..1\n', (0, '4 passed, 0 failed')), ('not ok 1 - a\n# why\n1..1\n', (1, '3 passed, 1 failed')),
                           ('Traceback\n', (1, '3 passed, 1 failed'))):
            (folder / 'one.tap').write_text(text)
            rc, said = count(good / 'x.xml', folder / 'one.tap')
            tap.equal((rc, said[-1]), want, f'a file of one program that says {text!r}')
        rc, said = count(folder / 'none.xml')
        tap.equal((rc, said[-1]), (1, '0 passed, 1 failed'), 'and one that is not there')
    tap.done()


if __name__ == '__main__':
    main()
