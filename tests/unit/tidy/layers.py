#!/usr/bin/python3
"""The layers of the core, proved on the archives and on the includes.

layers.py ROOT includes            who includes whom, folder by folder
layers.py ROOT symbols ARCHIVE...  what the pure archives need from outside, and what they export

base, rating and charging are pure: no I/O, clock, random, allocation, logging. Each layer may use
only itself and those below it.
"""
import re
import subprocess
import sys

from tap import Tap, files, text

LAYERS = ['core/base', 'core/rating', 'core/charging', 'core/store', 'core/engine']
PURE = LAYERS[:3]

# What a pure object may ask of the world outside. assert.c alone may stop the process.
ALLOWED = {'memcpy', 'memset', 'memcmp', 'memmove', 'memchr', 'strlen', 'strcmp', 'strncmp'}
ALLOWED_IN = {'assert.c.o': {'abort', 'write'}}
# What compilers add: 128-bit division, stack protector, position-independent code.
COMPILER = re.compile(r'__(u?(div|mod|divmod)ti[34]|stack_chk_fail|(mem(cpy|set|move))_chk)$|_GLOBAL_OFFSET_TABLE_$')

PURE_HEADERS = {'stdint.h', 'stdbool.h', 'stddef.h', 'string.h', 'limits.h', 'inttypes.h'}
PURE_HEADERS_IN = {'core/base/assert.c': {'stdlib.h', 'unistd.h', 'stdio.h'}}


def layer_of(name):
    for layer in LAYERS:
        if name.startswith(layer + '/'):
            return layer
    return None


def include_faults(name, source):
    """Includes that the layer of this file may not have."""
    layer = layer_of(name)
    for number, line in enumerate(source.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not found:
            continue
        quoted, header = found.group(1) == '"', found.group(2)
        where = f'{name}:{number}: {header}'
        if header.startswith('freeDiameter/') and layer:
            yield f'{where}: the core knows no freeDiameter'
        if layer and quoted:
            used = layer_of(header)
            if used is None and header != 'dict/gy_avp_table.h':
                yield f'{where}: outside of the core'
            elif used and LAYERS.index(used) > LAYERS.index(layer):
                yield f'{where}: a layer above {layer}'
        if layer in PURE and not quoted and header not in PURE_HEADERS | PURE_HEADERS_IN.get(name, set()):
            yield f'{where}: {layer} is pure'
        if layer and layer not in PURE and header == 'talloc.h' and layer == 'core/base':
            yield f'{where}: no allocation here'
        if header.startswith('libpq') and layer not in ('core/store', None) and layer != 'core/engine':
            yield f'{where}: only the store speaks to the database'
        if quoted and header.startswith('tests/') and not name.startswith('tests/'):
            yield f'{where}: tests are used by tests only'
        if quoted and '/' not in header and name.startswith('core/'):
            yield f'{where}: name it from the root of the tree'


def object_symbols(listing):
    """(member, type, symbol) of nm's output."""
    member = ''
    for line in listing.splitlines():
        if line.endswith('.o:'):
            member = line[:-1]
            continue
        found = re.match(r'[0-9a-f ]*\s([A-Za-z])\s(\S+)$', line)
        if found:
            yield member, found.group(1), found.group(2)


def undefined_faults(listing, below):
    """Symbols that a pure archive takes from outside. below: defined by it and by the layers below."""
    for member, kind, symbol in object_symbols(listing):
        if kind in 'Uw' and symbol not in below | ALLOWED | ALLOWED_IN.get(member, set()) \
                and not COMPILER.match(symbol):
            yield f'{member} needs {symbol}'


def defined(listing):
    return {symbol for _, kind, symbol in object_symbols(listing) if kind in 'TDBRVWC'}


def state_faults(listing):
    """Writable data: a pure function keeps nothing between calls. Wants nm --format=sysv, which names
    the section: tables of constants with pointers in them stand in .data.rel.ro."""
    member = ''
    for line in listing.splitlines():
        found = re.match(r'(?:Symbols|Undefined symbols) from .*\[(.*)\]:$', line)
        member = found.group(1) if found else member
        columns = [c.strip() for c in line.split('|')]
        if len(columns) == 7 and columns[3] == 'OBJECT' and member != 'assert.c.o' \
                and re.fullmatch(r'\.(data|bss|tdata|tbss)(?!\.rel\.ro).*|\*COM\*', columns[6]):
            yield f'{member} has the variable {columns[0]}'


def export_faults(listing):
    for member, kind, symbol in object_symbols(listing):
        if kind in 'TDBRVWC' and not symbol.startswith('gy_'):
            yield f'{member} exports {symbol}'


def nm(archive, *options):
    return subprocess.run(['nm', *options, archive], capture_output=True, text=True, check=True).stdout


def includes(root, tap):
    sources = [n for n in files(root) if n.endswith(('.c', '.h', '.def'))]
    for layer in LAYERS + ['the rest']:
        mine = [n for n in sources if (layer_of(n) or 'the rest') == layer]
        faults = [f for n in mine for f in include_faults(n, text(root, n) or '')]
        tap.none(faults, f'includes of {layer} ({len(mine)} files)')
    tap.none([] if any(layer_of(n) for n in sources) else ['no file of the core was seen'], 'the core was looked at')
    planted = [('core/base/x.h', '#include "core/rating/price.h"', 'a layer above'),
               ('core/charging/x.c', '#include <stdio.h>', 'a pure layer that prints'),
               ('core/charging/x.c', '#include <time.h>', 'a pure layer with a clock'),
               ('core/rating/x.c', '#include <stdlib.h>', 'a pure layer that allocates'),
               ('core/charging/x.c', '#include <libpq-fe.h>', 'a pure layer with a database'),
               ('core/store/x.c', '#include "core/engine/engine.h"', 'a store that knows the engine'),
               ('core/engine/x.c', '#include <freeDiameter/extension.h>', 'an engine that knows freeDiameter'),
               ('core/engine/x.c', '#include "extensions/app_gyro/wire.h"', 'an engine that knows its host'),
               ('extensions/app_gyro/x.c', '#include "tests/lib/case.h"', 'a product that needs tests')]
    for name, line, what in planted:
        tap.some(include_faults(name, line), what)


def symbols(archives, tap):
    below = set()
    for archive in archives:
        listing = nm(archive)
        short = archive.rsplit('/', 1)[-1]
        below |= defined(listing)
        tap.none(undefined_faults(listing, below), f'{short} needs nothing but the allowed')
        tap.none(state_faults(nm(archive, '--format=sysv')), f'{short} keeps no state')
        tap.none(export_faults(listing), f'{short} exports gy_ names only')
    tap.some(undefined_faults('x.c.o:\n                 U malloc\n', below), 'an allocation')
    tap.some(undefined_faults('x.c.o:\n                 U clock_gettime\n', below), 'a clock')
    tap.some(undefined_faults('x.c.o:\n                 U abort\n', below), 'an abort outside of assert.c')
    tap.some(state_faults('counter |0000000000000000|   b  |            OBJECT|0000000000000004|     |.bss'), 'a static variable')
    tap.some(export_faults('x.c.o:\n0000000000000000 T price\n'), 'a name without prefix')


def main():
    tap = Tap()
    if sys.argv[2] == 'includes':
        includes(sys.argv[1], tap)
    else:
        symbols(sys.argv[3:], tap)
    tap.done()


if __name__ == '__main__':
    main()
