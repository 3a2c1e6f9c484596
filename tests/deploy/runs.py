#!/usr/bin/python3
"""tests/run as people start it: twice at once in one tree, one of them an ordinary user; stopped half-way; all families.

runs.py ROOT BUILD-DIR. In a copy of the tree that registers few of its tests, with the programs of BUILD-DIR. It and /tmp, the
processes and the shared memory are a namespace of their own where that is allowed: what is left behind there was left by tests/run.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(ROOT / 'tests/lib'))
from tap import Tap

TREE = pathlib.Path('/tmp/tree')
RUN_S, STOP_S = 240, 30
PRIVATE = ['unshare', '--mount', '--ipc', '--pid', '--fork', '--mount-proc']
ORDINARY = ['setpriv', '--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups']
# Real programs that start PostgreSQL and nodes, and take ports.
TINY = '''cmake_minimum_required(VERSION 3.25)
project(tiny NONE)
enable_testing()
add_test(NAME deploy-packages COMMAND ${CMAKE_SOURCE_DIR}/tests/deploy/packages.py ${CMAKE_SOURCE_DIR})
set_tests_properties(deploy-packages PROPERTIES LABELS fast)
foreach(name pools ims)
  add_test(NAME wire-${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/wire/${name}.py)
  set_tests_properties(wire-${name} PROPERTIES LABELS wire TIMEOUT 180 ENVIRONMENT GYRO_BUILD_DIR=${CMAKE_SOURCE_DIR}/built)
endforeach()
foreach(label pg chaos threads)
  add_test(NAME ${label} COMMAND sh -c "echo 1..1; echo ok 1 - ${label}")
  set_tests_properties(${label} PROPERTIES LABELS ${label})
endforeach()
'''
LAST = re.compile(r'^(\d+) passed, (\d+) failed(?:, \d+ skipped)?$')


def copy_tree(place):
    """The files of git, or all but what was built; BUILD-DIR's programs as built/."""
    tree = place / 'tree'
    shutil.copytree(ROOT, tree, symlinks=True, ignore=lambda folder, names: [n for n in names if n in ('.git', '__pycache__') or
                                                                             (n == 'build' and pathlib.Path(folder) == ROOT)])
    for name in ('bin', 'lib'):
        shutil.copytree(BUILD / name, tree / 'built' / name, symlinks=True)
    (tree / 'CMakeLists.txt').write_text(TINY)


def start(*families, ordinary=False, **more):
    """tests/run in the copy; output to a file beside it."""
    log = tempfile.TemporaryFile()
    words = [*(ORDINARY if ordinary else []), TREE / 'tests/run', *families]
    home = {'HOME': '/nonexistent', **more}
    process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd='/',
                               env={**os.environ, **home}, start_new_session=True)
    return process, log


def said(log):
    log.seek(0)
    return log.read().decode(errors='replace')


def ended(run):
    """(exit status, (passed, failed), output)"""
    process, log = run
    try:
        status = process.wait(RUN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        status = None
    text = said(log)
    last = LAST.match(text.rstrip().rpartition('\n')[2])
    return status, last and (int(last[1]), int(last[2])), text


def left():
    """What is in this namespace beside the tree and this program: processes, files, shared memory."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) not in (1, os.getpid()) and (words := (entry / 'cmdline').read_bytes()):
                found.append(f'process {entry.name} {words.replace(bytes(1), b" ").decode(errors="replace")[:120]}')
    found += [str(p) for folder in ('/tmp', '/dev/shm') for p in pathlib.Path(folder).iterdir() if p != TREE]
    found += [f'shared memory {line}' for line in pathlib.Path('/proc/sysvipc/shm').read_text().splitlines()[1:]]
    return found


def nothing_left(tap, name):
    end = time.monotonic() + STOP_S
    while (found := left()) and time.monotonic() < end:
        time.sleep(0.1)
    tap.equal(found, [], f'{name}: no process, no file and no shared memory is left')


def inside(tap, private):
    """Within the namespace, or without one."""
    clean = nothing_left if private else lambda tap, name: tap.skip(f'{name}: nothing is left', 'no namespaces here')
    if private:
        subprocess.run(['chown', '-R', 'nobody:nogroup', TREE], check=True)
    # The owner of the tree builds first: what another user builds is that user's.
    built = subprocess.run([*(ORDINARY if private else []), TREE / 'deploy/build'], capture_output=True, text=True, cwd='/')
    tap.equal(built.returncode, 0, f'the copy is built {built.stdout}{built.stderr}')

    runs = [ended(run) for run in (start('fast', 'wire', ordinary=private), start('fast', 'wire'))]
    for name, (status, counts, text) in zip(('an ordinary user' if private else 'one', 'the other'), runs):
        tap.ok(status == 0 and counts and counts[0] > 100 and counts[1] == 0, f'twice at once in one tree: {name} passes', f'{status}\n{text}')
    tap.ok(all('conformance' not in r[2] for r in runs), 'some families: the report is not compared')
    clean(tap, 'twice at once')

    for number in (signal.SIGTERM, signal.SIGINT):
        run = start('wire', ordinary=private)
        end = time.monotonic() + RUN_S
        while 'wire: 2 programs' not in said(run[1]) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(2)
        run[0].send_signal(number)
        status, _, text = ended(run)
        tap.equal(status, 128 + number, f'stopped half-way by {number.name}')
        clean(tap, f'stopped by {number.name}')


def all_families(tap):
    """Of these tests no report could be made: one more failed, and only then."""
    (TREE / 'CMakeLists.txt').write_text(TINY.replace('pools ims', ''))
    shutil.rmtree(TREE / 'build', ignore_errors=True)
    status, counts, text = ended(start())
    tap.ok(status == 1 and counts and counts[1] == 1 and '--- conformance' in text and 'not ok 1 - tests/conformance/REPORT.md' in text,
           'all families: the report is compared, and counts as one', f'{status}\n{text}')
    tap.ok((TREE / 'build/release/REPORT.md').exists(), 'the new one lies in the build directory')
    # Without rules the report says what is proved: nothing, and nothing is missing.
    for table, head in (('rules.csv', 'rule,title,tests,gap'), ('clauses.csv', 'rule,clause,tests')):
        (TREE / 'tests/conformance' / table).write_text(head + '\n')
    for path in (TREE / 'tests/cases').glob('*.case'):
        path.unlink()
    subprocess.run([TREE / 'tests/conformance/run', '--junit', '/dev/null'], check=False, capture_output=True)
    before = counts[0] if counts else 0
    status, counts, text = ended(start())
    tap.equal((status, counts), (0, (before + 1, 0)), f'one that is right is one passed {text if status else ""}')


def main():
    tap = Tap()
    if '--inside' in sys.argv:
        subprocess.run(['mount', '--bind', sys.argv[-1], '/tmp'], check=True)
        subprocess.run(['mount', '-t', 'tmpfs', 'none', '/dev/shm'], check=True)
        inside(tap, True)
        all_families(tap)
        tap.done()
    place = pathlib.Path(tempfile.mkdtemp(prefix='gyro-runs.', dir='/var/tmp'))
    try:
        place.chmod(0o1777)
        copy_tree(place)
        if subprocess.run([*PRIVATE, 'mount', '--bind', place, '/tmp'], capture_output=True).returncode == 0:
            done = subprocess.run([*PRIVATE, '--kill-child', sys.executable, __file__, ROOT, BUILD, '--inside', place])
            sys.exit(done.returncode)
        global TREE
        TREE = place / 'tree'
        inside(tap, False)
        all_families(tap)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    tap.done()


if __name__ == '__main__':
    main()
