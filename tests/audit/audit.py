#!/usr/bin/python3
"""The independent auditor: are the promises I1 to I7 kept in this database, and in the hands of its clients?

    audit.py --database CONNINFO [--log FILE]... [--complete]

Recomputes everything from the tables, with integers only; shares no code with
gyro.audit() and doesn't call it. With request logs of gyro-sim or of tests/chaos it also checks what the client was
told. It reads, and never repairs. Run it when no request is in work: a request between its record and its answer is
no violation, but a log that is still being written may lack the answer that its record belongs to.

Exit status: 0 nothing found; 1 violations (on standard output, one a line); 2 it could not look.
"""
import argparse
import collections
import sys

import cards
import claims
import ledger
import tables


class Findings:
    def __init__(self):
        self.lines = []

    def __call__(self, invariant, where, text):
        self.lines.append((invariant, where, text))

    def count(self):
        return collections.Counter(invariant for invariant, _, _ in self.lines)


def audit(conninfo, logs=(), complete=False, grace_s=60, overuse=0, fixed_catalogue=False,
          order=None):
    """(findings, what was looked at): findings as [(invariant, where, text)]. order: of a record or payment, a key to sort
    by instead of its time, where the database's clock was set back."""
    found, checked = Findings(), collections.Counter()
    asked = claims.read(logs)
    t = tables.read(conninfo)
    shop = cards.Shop(t, found, grace_s)
    book = ledger.Ledger(t, found, shop, grace_s, fixed_catalogue, order)
    book.run()
    shop.run()
    for index in t.index.values():
        if tables.session_key(index.session_id, index.sub_session) != index.session:
            found('I6', f'session {index.session}', f'is not the key of {index.session_id}')
    checked.update(book.checked)
    checked.update(shop.checked)
    if logs:
        joined = claims.Claims(t, asked, book, found, complete, overuse)
        joined.run()
        checked.update(joined.checked)
    return found, checked


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--database', required=True, metavar='CONNINFO')
    p.add_argument('--log', action='append', default=[], metavar='FILE', help='request log of a client; repeatable')
    p.add_argument('--complete', action='store_true', help='the logs hold every request that the database has seen')
    p.add_argument('--grace', type=int, default=60, metavar='S', help='what the sweeper may be late (default 60)')
    p.add_argument('--overuse', type=int, default=0, metavar='UNITS', help='that a session may use beyond its grants')
    p.add_argument('--fixed-catalogue', action='store_true', help='prices were always those of the specific rules now')
    p.add_argument('--most', type=int, default=50, metavar='N', help='findings that are printed (default 50)')
    args = p.parse_args()
    try:
        found, checked = audit(args.database, args.log, args.complete, args.grace, args.overuse,
                               args.fixed_catalogue)
    except (OSError, ValueError, tables.psycopg2.Error) as e:
        print(f'audit: {e}', file=sys.stderr)
        sys.exit(2)
    for invariant, where, text in found.lines[:args.most]:
        print(f'{invariant} {where}: {text}')
    print('looked at ' + ', '.join(f'{n} {what}' for what, n in checked.items()))
    print(f'{len(found.lines)} violations' + (f': {dict(found.count())}' if found.lines else ''))
    sys.exit(1 if found.lines else 0)


if __name__ == '__main__':
    main()
