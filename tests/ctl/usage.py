#!/usr/bin/python3
"""gyroctl without a database: help of everything, wrong command lines, nobody there.

usage.py GYROCTL ROOT
"""
import re

from ctl import Ctl, refused
from tap import Tap

NOWHERE = Ctl('host=/nonexistent dbname=gyro')

WRONG = [
    ([], ['which command']),
    (['frobnicate'], ['frobnicate', 'no command']),
    (['subscriber'], ['subscriber what', 'gyroctl subscriber --help']),
    (['subscriber', 'frobnicate'], ['subscriber frobnicate']),
    (['--frobnicate', 'status'], ['--frobnicate']),
    (['status', '--frobnicate'], ['--frobnicate', 'gyroctl status --help']),
    (['status', 'extra'], ['usage: gyroctl status']),
    (['status', '-f', 'x'], ['unknown option']),
    (['topup'], ['usage: gyroctl topup AMOUNT']),
    (['topup', '1', '2'], ['usage: gyroctl topup AMOUNT']),
    (['topup', '1', '--reference'], ['--reference needs a value']),
    (['topup', '1', '--reference', 'a', '--reference', 'b'], ['--reference is given twice']),
    (['--database'], ['--database needs a value']),
    (['apply'], ['-f FILE']),
    (['apply', '-f'], ['needs a value']),
    (['help', 'frobnicate'], ['frobnicate']),
]


def commands():
    """Names of all commands, from the help."""
    names = []
    for line in NOWHERE.out('--help').split('Options of every command')[0].splitlines():
        match = re.match(r'  ([a-z-]+(?: [a-z]+)?)(?: [A-Z\[].*|  +.*|$)', line)
        if match:
            names.append(match.group(1))
    return names


def main():
    tap = Tap()
    found = commands()
    tap.ok(len(found) >= 28, f'{len(found)} commands in the help', found)
    for name in found:
        text = NOWHERE.run(*name.split(), '--help')
        tap.ok(text.returncode == 0 and text.stdout.startswith(f'Usage: gyroctl {name}')
               and f'  gyroctl {name}' in text.stdout.split('\nExamples\n')[-1].replace("--database 'host=/run/postgresql dbname=gyro' ", '')
               and not text.stderr, f'{name} --help has usage and an example', text.stdout + text.stderr)
        tap.equal(NOWHERE.out('help', *name.split()), text.stdout, f'help {name} is the same')
    tap.ok('session release' in NOWHERE.out('session', '--help'), 'the help of a family lists its commands')
    tap.ok(re.fullmatch(r'gyroctl \S+, schema version [1-9][0-9]*\n', NOWHERE.out('--version')) is not None, '--version')
    for words, wanted in WRONG:
        refused(tap, NOWHERE.run(*words), 2, ['gyroctl: ', *wanted], 'wrong: ' + (' '.join(words) or '(nothing)'))
    refused(tap, NOWHERE.run('status'), 3, ['/nonexistent', '--database'], 'a database that is not there: 3')
    refused(tap, NOWHERE.run('--database', 'host=/nowhere', 'status'), 3, ['/nowhere'], '--database before GYRO_DATABASE')
    refused(tap, NOWHERE.run('status', '--database', 'host=/nowhere'), 3, ['/nowhere'], '--database after the command')
    refused(tap, NOWHERE.run('--database', 'no conninfo', 'status'), 3, ['gyroctl: status: '], 'a conninfo that is none')
    tap.done()


main()
