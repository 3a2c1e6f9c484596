#!/usr/bin/python3
"""The tree's manners: head comments, sizes, leftovers, machine paths, blanks, clang-format.

tree.py ROOT
"""
import re
import shutil
import subprocess
import sys

from tap import Tap, files, text

LINES_MAX = 800
# Spelt in pieces, so that this file does not find itself.
LEFTOVER = re.compile(r'\b(TO' r'DO|FIX' r'ME|HA' r'CK|X' r'XX)\b')
MACHINE = re.compile(r'(?<![\w.$}])/(?:wo' r'rk|ro' r'ot|ho' r'me/\w|Us' r'ers/\w|tmp/(?:build|fdsrc))(?![\w-])')
COMMENT = {'.c': '/*', '.h': '/*', '.def': '/*', '.sql': '--', '.py': ('"""', '#'), '.case': '#', '.yaml': '#',
           '.yml': '#', '.cmake': '#', '.conf': '#', '.spec': '#', '.service': '#', '.sh': '#'}
# Data, not prose: no head comment asked for, no limit of lines.
DATA = ('.csv', '.xml', '.json', '.pcap', '.pcapng', '.svg', '.png', '.hex', '.bin')


def suffix(name):
    base = name.rsplit('/', 1)[-1]
    return base[base.rfind('.'):] if '.' in base[1:] else ''


def head_fault(name, source):
    """A file that does not begin by saying what it is."""
    lines = [line for line in source.splitlines() if line.strip()]
    if not lines:
        return f'{name}: empty'
    script = lines[0].startswith('#!')
    first = lines[1] if script and len(lines) > 1 else lines[0]
    if name.endswith('CMakeLists.txt') or (script and suffix(name) not in COMMENT):
        wanted = ('#', '"""')
    else:
        wanted = COMMENT.get(suffix(name))
    if wanted and not first.lstrip().startswith(wanted):
        return f'{name}: no head comment'
    return None


def size_fault(name, source):
    lines = source.count('\n')
    if lines > LINES_MAX and suffix(name) not in DATA:
        return f'{name}: {lines} lines, more than {LINES_MAX}'
    return None


def line_faults(name, source):
    for number, line in enumerate(source.split('\n'), 1):
        if LEFTOVER.search(line):
            yield f'{name}:{number}: leftover: {line.strip()[:80]}'
        if MACHINE.search(line):
            yield f'{name}:{number}: path of one machine: {line.strip()[:80]}'
        if suffix(name) not in DATA and line != line.rstrip():
            yield f'{name}:{number}: blanks at the end of the line'
        if suffix(name) in ('.c', '.h') and re.match(r' {8}', line):
            yield f'{name}:{number}: indented by spaces'
    if source and not source.endswith('\n'):
        yield f'{name}: no newline at the end'


def format_faults(root, names):
    for start in range(0, len(names), 40):
        run = subprocess.run(['clang-format', '--dry-run', '-Werror', *names[start:start + 40]], cwd=root,
                             capture_output=True, text=True)
        bad = {line.split(':')[0] for line in run.stderr.splitlines() if 'clang-format-violations' in line}
        yield from sorted(bad)
        if run.returncode and not bad:
            yield run.stderr.strip()[:200]


def main():
    root = sys.argv[1]
    tap = Tap()
    sources = {name: source for name in files(root) if (source := text(root, name)) is not None}
    tap.none([] if len(sources) > 20 else ['hardly any file'], f'{len(sources)} files looked at')
    tap.none([f for n, s in sources.items() if (f := head_fault(n, s))], 'every file says what it is')
    tap.none([f for n, s in sources.items() if (f := size_fault(n, s))], f'no file over {LINES_MAX} lines')
    tap.none([f for n, s in sources.items() for f in line_faults(n, s)], 'no leftovers, machine paths, stray blanks')
    code = [n for n in sources if n.endswith(('.c', '.h'))]
    if shutil.which('clang-format'):
        tap.none(format_faults(root, code), f'clang-format has nothing to change in {len(code)} files')
    else:
        print('# clang-format is not installed: formatting not looked at')
    tap.some([f for f in [head_fault('a/x.c', 'int x;\n')] if f], 'a C file without head comment')
    tap.some([f for f in [head_fault('run', '#!/bin/sh\nset -e\n')] if f], 'a script without head comment')
    tap.some([f for f in [size_fault('x.c', '\n' * (LINES_MAX + 1))] if f], 'a file that is too long')
    tap.some(line_faults('x.c', '/* TO' 'DO */\n'), 'a leftover')
    tap.some(line_faults('x.c', 'open("/wo' 'rk/main")\n'), 'a machine path')
    tap.some(line_faults('x.c', 'int x; \n'), 'a blank at the end of a line')
    tap.some(line_faults('x.c', 'int x;'), 'a missing newline')
    tap.done()


if __name__ == '__main__':
    main()
