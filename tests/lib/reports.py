#!/usr/bin/python3
"""The lines of a node's log that end a test: what sanitizers, assertions and the C library say before they stop a process.

Lines are as the programs write them; two are written by a real process here.
"""
import pathlib
import subprocess
import tempfile

from node import REPORT
from tap import Tap

COMPLAINTS = (
    '==1234==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x4 bp 0x7 sp 0x7',
    '==1234==ERROR: LeakSanitizer: detected memory leaks',
    'WARNING: ThreadSanitizer: data race (pid=1234)',
    'core/charging/usage.c:31:9: runtime error: signed integer overflow: 9223372036854775807 + 1 cannot be represented in type \'long\'',
    'gyro: assertion failed: plan->room > 0 (core/charging/decide.c:12)',
    "gyrod: /build/freediameter-1.2.1/libfdcore/p_psm.c:88: fd_psm_begin: Assertion `peer != NULL' failed.",
    "freeDiameterd: tpp.c:84: __pthread_tpp_change_priority: Assertion `new_prio == -1 || (new_prio >= 1)' failed.",
    'double free or corruption (fasttop)', 'free(): invalid pointer', 'free(): double free detected in tcache 2',
    'malloc(): unaligned tcache chunk detected', 'munmap_chunk(): invalid pointer', 'corrupted size vs. prev_size',
    '*** stack smashing detected ***: terminated', '*** buffer overflow detected ***: terminated',
    'Fatal glibc error: pthread_mutex_lock.c:94 (___pthread_mutex_lock): assertion failed: mutex->__data.__owner == 0',
)
HARMLESS = (
    'gyro: ready on 127.0.0.1:3868', 'gyro: stopping (Terminated)', 'gateway pgw1.spec.test restarted (Origin-State-Id 6): its sessions of before end',
    'ERROR  a CER of unknown.peer is refused: not in the list of peers', '12:00:00  ERROR  Error: no memory freed by this',
    "ERROR  CEA: DIAMETER_UNABLE_TO_COMPLY 'assertion of identity' refused", 'peer assert.spec.test: connected',
)


def said(program):
    """What a C program says when it stops itself."""
    with tempfile.TemporaryDirectory(prefix='gyro-reports-') as home:
        source, binary = pathlib.Path(home) / 'trial.c', pathlib.Path(home) / 'trial'
        source.write_text(program)
        subprocess.run(['cc', '-w', '-o', binary, source], check=True)
        return subprocess.run([binary], capture_output=True).stderr.decode().splitlines()


def main():
    tap = Tap()
    for line in COMPLAINTS:
        tap.ok(REPORT.search(line), f'found: {line[:60]}')
    for line in HARMLESS:
        tap.ok(not REPORT.search(line), f'passed over: {line[:60]}')
    asserts = said('#include <assert.h>\nint main(int n, char **v) { (void)v; assert(n == 0); return 0; }')
    tap.ok(any(REPORT.search(line) for line in asserts), 'found: a real assertion', asserts)
    frees = said('#include <stdlib.h>\nint main(void) { char *volatile p = malloc(2000); malloc(16); free(p); free(p); return 0; }')
    tap.ok(any(REPORT.search(line) for line in frees), 'found: a real double free', frees)
    tap.done()


if __name__ == '__main__':
    main()
