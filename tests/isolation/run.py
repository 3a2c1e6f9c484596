#!/usr/bin/python3
"""Interleavings of two nodes on one account, each by name: PostgreSQL's isolationtester with the product's statements.

    run.py [--update] [NAME...]

Expands the specs' words (README.md) with core/store/statement/*.sql and runs each in a database of its own; one
permutation is one test, compared with expected/NAME.out. After each permutation both audits must find nothing.
--update writes the expectations anew, to be read by a person before they are committed. TAP.
"""
import argparse
import difflib
import glob
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / 'tests/lib'), str(ROOT / 'tests/audit'), str(ROOT / 'tests/chaos')]
import audit # noqa: E402
import tables # noqa: E402
from postgres import Postgres # noqa: E402
from stack import CATALOGUE, schema # noqa: E402
from tap import Tap # noqa: E402

STATEMENTS = ROOT / 'core/store/statement'
SESSIONS = ('s1', 's2', 's3')


def statement(name):
    """A statement of the product, without its comments: isolationtester's blocks end at a brace."""
    text = (STATEMENTS / f'{name}.sql').read_text(encoding='utf-8')
    return '\n'.join(line for line in text.splitlines() if not line.lstrip().startswith('--'))


def prepare(names):
    names = ['session_known', *names.split()]
    return 'DEALLOCATE ALL; ' + '\n'.join(f'PREPARE {name} AS {statement(name)};' for name in names)


def hold(ids, form):
    """A node's first round trip; what it returns is the node's memory until the end of the transaction."""
    return ('CREATE TEMP TABLE decided (LIKE node.decision INCLUDING IDENTITY) ON COMMIT DROP; '
            f'CREATE TEMP TABLE held ON COMMIT DROP AS {form.format(ids=ids)}; '
            'ALTER TABLE held ADD changed boolean DEFAULT false; '
            'CREATE TEMP TABLE seen ON COMMIT DROP AS EXECUTE session_known(node.sessions()); SELECT * FROM node.sees();')


def decide(words):
    account, session, kind, *more = words.split()
    number = {'I': 1, 'U': 2, 'T': 3, 'end': 0}[kind.rstrip('0123456789') or kind]
    digits = kind.lstrip('IUT') if kind != 'end' else '0'
    return f"SELECT node.decide({account}, '{session}', {number}, {digits}, {more[1] if more else 0});"


def write():
    """EXECUTE of batch_apply with what the node remembers; its parameters by the names that the statement gives them."""
    text = statement('batch_apply')
    groups = re.findall(r'unnest\(((?:\s*\$\d+::\w+\[\],?)+)\)\s*AS (\w) \((.*?)\)', text, re.S)
    params = {}
    for casts, alias, names in groups:
        names = re.split(r',\s*', names.strip())
        of = 'accounts' if alias == 'i' and 'version' in names else 'opened' if 'session_id' in names else 'decided'
        for (n, kind), name in zip(re.findall(r'\$(\d+)::(\w+)\[\]', casts), names, strict=True):
            params[int(n)] = parameter(of, kind, name)
    for n, source in re.findall(r'(\w+) = \(\$(\d+)::bigint\[\]\)', text):
        params[int(source)] = f"node.rows('{n}')"
    charges = int(re.search(r'\(\$(\d+)::bigint\[\]\)\[r\.', text)[1])
    params[charges] = "node.rows('charges', 'decided', 'no')"
    for n in re.findall(r'= \$(\d+)::bigint\)', text):
        params[int(n)] = 'node.expected()'
    assert sorted(params) == list(range(1, len(params) + 1)), f'batch_apply has parameters that are not understood: {params}'
    return f"EXECUTE batch_apply({', '.join(params[n] for n in sorted(params))});"


READ = '''SELECT account_id, group_id, version, profile_version, state, currency, balance, reserved, credit_limit,
                 valid_until, sessions, reservations, answers, slices, counters, draws, card_use, cards
            FROM gyro.account WHERE account_id = ANY (ARRAY[{ids}])'''
SHARES = {'s': 'sessions', 'r': 'reservations', 'a': 'answers', 'l': 'slices', 'c': 'counters', 'k': 'card_use', 'd': 'draws'}
OWN = {'group_id': 'account_id', 'gateway_id': '1', 'end_to_end': '1', 'content_hash': '7', 'sub_session': "''::text",
       'check_at': "opened + interval '2 hours'", 'catalogue': '1', 'inputs': "''::text", 'correlation': "''::text"}


def parameter(of, kind, name):
    share = re.fullmatch(r'(\w)_(from|to)', name)
    if of == 'accounts':
        return f"node.share('{SHARES[share[1]]}', '{share[2]}')" if share else f"node.numbers('{name}')"
    if share:
        return f"node.share('charges', 'decided', 'no', '{share[2]}')"
    source = OWN.get(name, name).replace("'", "''")
    return f"node.decisions('{source}', NULL::{kind}[], {'true' if of == 'opened' else 'false'})"


def expand(text):
    """The spec for isolationtester, and {step: its words}."""
    words = {}

    def macro(m):
        name, rest = m[1], (m[2] or '').strip()
        return {
            'prepare': lambda: prepare(rest),
            'lock': lambda: 'BEGIN; ' + hold(rest, 'EXECUTE account_lock(ARRAY[{ids}])'),
            'lock-wait': lambda: 'BEGIN; ' + hold(rest, 'EXECUTE account_lock_wait(ARRAY[{ids}])'),
            'hold': lambda: hold(rest, 'EXECUTE account_lock(ARRAY[{ids}])'),
            'read': lambda: 'BEGIN; ' + hold(rest, READ),
            'decide': lambda: decide(rest),
            'write': write,
            'apply': lambda: write() + ' COMMIT;',
        }[name]()

    def step(m):
        plain = m[2].strip()
        words[m[1]] = (plain, re.sub(r'@([a-z-]+)(?: ([^@]*))?@', macro, plain))
        return f'step {m[1]} {{ {words[m[1]][1]} }}'
    text = re.sub(r'^step (\w+)\s*\{(.*?)\}', step, text, flags=re.M | re.S)
    return re.sub(r'@([a-z-]+)(?: ([^@]*))?@', macro, text), words


def shorten(output, words):
    """Steps as the spec writes them, not as they were expanded; no blanks at the ends of lines."""
    for name, (plain, expanded) in words.items():
        output = output.replace(f'step {name}: {expanded}', f'step {name}: {plain}')
    return '\n'.join(line.rstrip() for line in output.splitlines())


def permutations(output):
    """{title: text}; what stands before the first is not of interest."""
    parts = re.split(r'^(starting permutation: .*)$', output, flags=re.M)
    return {title.removeprefix('starting permutation: '): text.strip() for title, text in zip(parts[1::2], parts[2::2])}


def world(pg):
    pg.query(schema() + CATALOGUE.replace("(1, 10, 1, 100003, 1048576)", "(1, 10, 1, 1, 1)") +
             (HERE / 'world.sql').read_text(encoding='utf-8'))
    for name in SESSIONS:
        key = tables.session_key(name)
        hi, lo = (int(key.replace('-', '')[i:i + 16], 16) for i in (0, 16))
        hi, lo = (n - (1 << 64) if n >> 63 else n for n in (hi, lo))
        pg.query(f"INSERT INTO node.key VALUES ('{name}', '{key}', {hi}, {lo})")


def isolationtester(conninfo, spec):
    tester = glob.glob('/usr/lib/postgresql/*/lib/pgxs/src/test/isolation/isolationtester')
    if not tester:
        raise RuntimeError('isolationtester not found: apt-get install postgresql-client-15')
    environment = {**os.environ, 'LC_ALL': 'C', 'PGOPTIONS': '-c client_min_messages=warning'}
    run = subprocess.run([sorted(tester)[-1], conninfo], input=spec, capture_output=True, text=True, timeout=300,
                         env=environment)
    return run.stdout, run.stderr


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='*')
    p.add_argument('--update', action='store_true', help='write expected/NAME.out')
    args = p.parse_args()
    tap = Tap()
    names = args.names or sorted(path.stem for path in HERE.glob('specs/*.spec'))
    with Postgres(settings={'deadlock_timeout': '1s', 'default_transaction_isolation': 'read committed'}) as pg:
        world(pg)
        for name in names:
            one(tap, pg, name, args.update)
    tap.done()


def one(tap, pg, name, update):
    text = (HERE / f'specs/{name}.spec').read_text(encoding='utf-8')
    spec, words = expand(text)
    setup, orders = spec[:spec.index('\npermutation')], re.findall(r'^permutation .*$', spec, re.M)
    used = set(re.findall(r'\w+', ' '.join(orders)))
    tap.ok(words.keys() <= used, f'{name}: every step is used', sorted(words.keys() - used))
    expected = HERE / f'expected/{name}.out'
    wanted = permutations(expected.read_text(encoding='utf-8') if expected.exists() and not update else '')
    pg.create(name, template='gyro')
    written = []
    for order in orders:
        output, complaint = isolationtester(pg.conninfo(name), f'{setup}\n{order}\n')
        complaint = [line for line in complaint.splitlines() if not line.startswith('unused step name')]
        ran = permutations(shorten(output, words))
        if len(ran) != 1 or complaint:
            tap.ok(False, f'{name}: {order}: runs', '\n'.join(complaint) or output)
            continue
        (title, story), = ran.items()
        written.append(f'starting permutation: {title}\n{story}\n')
        if not update:
            diff = difflib.unified_diff(wanted.get(title, '').splitlines(), story.splitlines(), 'expected', 'got', lineterm='')
            tap.ok(wanted.pop(title, '') == story, f'{name}: {title}', '\n'.join(diff))
        found, _ = audit.audit(pg.conninfo(name))
        tap.ok(not found.lines and not pg.query('SELECT * FROM gyro.audit()', name),
               f'{name}: {title}: both audits find nothing', found.lines)
    if update:
        expected.write_text('\n'.join(written), encoding='utf-8')
    tap.ok(not wanted, f'{name}: nothing else is expected', list(wanted))
    pg.drop(name)


if __name__ == '__main__':
    main()
