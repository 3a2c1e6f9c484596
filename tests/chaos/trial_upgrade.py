"""P18: nodes restart in turn under load, first as they are, then into the next release, whose schema is newer. No request
that a gateway sends again stays without its answer.

The order of an upgrade: migrate (what a migration changes must not disturb the release before it), then the nodes, one
after the other. A node never charges on a schema that isn't its own: it says so and refuses. The next release is this
one with a number more: its program is a copy in which the version it needs is changed, its migration adds columns to
the tables that are in work."""
import os
import re
import shutil
import subprocess
import time

from proof import audited, figures, story, totals
from stack import Gateway, Stack

MIGRATION = '''
SET lock_timeout = '10s';
BEGIN;
ALTER TABLE gyro.account ADD COLUMN next_release integer;
ALTER TABLE gyro.session_index ADD COLUMN next_release integer NOT NULL DEFAULT 1;
ALTER TABLE gyro.record ADD COLUMN next_release text;
INSERT INTO gyro.schema_version (version, name) VALUES ({}, 'next_release');
COMMIT;
'''


def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def place_of(path, symbol):
    """Where in the file a constant of a library is."""
    line = next(w for w in map(str.split, output('readelf', '-sW', path).splitlines()) if w[-1:] == [symbol])
    address = int(line[1], 16)
    for text in output('readelf', '-lW', path).splitlines():
        words = text.split()
        if words[:1] == ['LOAD']:
            offset, begin, _, size = (int(w, 16) for w in words[1:5])
            if begin <= address < begin + size:
                return address - begin + offset
    raise RuntimeError(f'{symbol} is nowhere in {path}')


def next_release(stack):
    """The directory of its extensions, and the version of its schema."""
    lib = stack.home / 'next'
    shutil.copytree(stack.build / 'lib', lib)
    path = str(lib / 'app_gyro.fdx')
    version = int(stack.pg.value('SELECT max(version) FROM gyro.schema_version'))
    with open(path, 'r+b') as file:
        file.seek(place_of(path, 'gy_schema_newest'))
        was = file.read(4)
        if int.from_bytes(was, 'little') != version:
            raise RuntimeError(f'schema version {version} expected in {path}, found {was.hex()}')
        file.seek(-4, os.SEEK_CUR)
        file.write((version + 1).to_bytes(4, 'little'))
    return lib, version + 1


def turn(node, lib, rng):
    """Stops it as systemd does, and starts it, perhaps as another release."""
    node.stop()
    time.sleep(rng.uniform(0, 0.2))
    node.lib = lib
    node.configure()
    node.start()


def refused_at_start(node, lib):
    """What a node says that ends at once instead of charging; None if it stays."""
    old, begin = node.lib, len(node.said())
    node.stop()
    node.lib = lib
    node.configure()
    try:
        node.start()
        return None
    except RuntimeError:
        node.stopped_by_us = True
        said = re.findall(r'.*schema version.*', node.said(begin).decode(errors='replace'))
        return said[0] if said and node.process.wait(10) else None
    finally:
        if node.running():
            node.kill()
        node.lib = old
        node.configure()


def connections(stack):
    return {row[0] for row in stack.pg.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                            "AND pid <> pg_backend_pid()")}


def connections_without(stack, node):
    """The connections that are there while a node is down: those of the others. Then it is back."""
    node.stop()
    time.sleep(0.3)
    out = connections(stack)
    node.start()
    return out


def drop(stack, pids):
    stack.pg.query(f"SELECT pg_terminate_backend(p) FROM unnest(ARRAY[{','.join(sorted(pids))}]) p")


def answers(sent, node, begin, end):
    return [s.code for s in sent if s.node == node and s.answered_at and begin < s.answered_at < end]


def run(tap, build, rng, rounds, keep, short):
    name = 'P18 restarts in turn'
    with Stack(build, keep=keep) as stack:
        first, second = stack.nodes
        this = first.lib
        lib, version = next_release(stack)
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=40,
                          copies_percent=10, parallel_percent=25, timeout_s=1.5)
        time.sleep(1)
        turns = 2 if short else max(4, rounds // 4)
        for n in range(turns):
            turn(stack.nodes[n % 2], this, rng)
            time.sleep(rng.uniform(0.3, 1))
        said = refused_at_start(first, lib)
        tap.ok(said and f'needs {version}' in said and 'gyroctl migrate' in said,
               f'{name}: the next release does not start on this schema, and says why', said or first.tail())
        second_only = connections_without(stack, first)
        migrated = time.time()
        stack.pg.query(MIGRATION.format(version))
        time.sleep(1.5)
        lost = time.time()
        drop(stack, connections(stack) - second_only)
        time.sleep(1.5)
        begin = time.time()
        turn(first, lib, rng)
        time.sleep(1)
        mixed = time.time()
        turn(second, lib, rng)
        time.sleep(1)
        end = time.time()
        text = first.log.read_text(errors='replace')
        tap.ok(f'schema version is {version}, this node needs {version - 1}' in text,
               f'{name}: a node that comes back to a newer schema refuses, and says why', first.tail())
        tap.ok(gateway.running(), f'{name}: the client runs through all of it')
        count = gateway.finish()
        totals(tap, count, name, 100)
        tap.ok(count['failed'] == 0, f'{name}: and no answer was a failure', count)
        said = refused_at_start(first, this)
        tap.ok(said and f'is {version}, this node needs {version - 1}: use a newer one' in said,
               f'{name}: the release before does not start on the newer schema, and says why', said or first.tail())
        sent = story([log])
        after = {n.name: answers(sent, n.name, migrated + 0.3, lost) for n in stack.nodes}
        tap.ok(all(codes.count(2001) > 10 for codes in after.values()), f'{name}: both nodes serve on after the migration',
               {n: len(c) for n, c in after.items()})
        alone = answers(sent, first.name, lost + 0.3, begin)
        tap.ok(set(alone) <= {3004, 5012} and answers(sent, second.name, lost + 0.3, begin).count(2001) > 10,
               f'{name}: the one without its schema refuses, the other one serves', alone[:20])
        both = [answers(sent, n.name, begin, mixed).count(2001) for n in stack.nodes]
        tap.ok(min(both) > 10, f'{name}: old and new serve side by side', both)
        figures(name, restarts=turns + 4, seconds_of_the_upgrade=round(end - migrated, 1), served_side_by_side=both,
                refusals=sum(s.code in (3004, 5012) for s in sent))
        audited(tap, stack, [log], name)
