#!/usr/bin/python3
"""The READMEs tell the truth, as far as a program can see: links lead somewhere, names of functions and commands exist.

readme.py ROOT
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / 'tests/unit/tidy'))
from tap import Tap, files, text

LINK = re.compile(r'\[[^]]*\]\(([^)#]+)(?:#[^)]*)?\)')
NAME = re.compile(r'`(?:struct )?([a-z]\w*_\w+)\b[^`]*`')


def broken_links(name, source):
    folder = (ROOT / name).parent
    for target in LINK.findall(source):
        if '://' not in target and not (folder / target).exists():
            yield f'{name}: {target}'


def unknown_names(section, code):
    """Names with an underscore in backticks: functions, in a text about functions."""
    for name in NAME.findall(section):
        if not re.search(rf'\b{name}\b', code):
            yield name


def missing_programs(source):
    """Lines of code blocks that begin with a program of ours."""
    for program in re.findall(r'^(?:\$ )?((?:deploy|tests)/[\w/-]+)', source, re.M):
        if not (ROOT / program).exists():
            yield program


def unknown_options(source):
    """Options of deploy/node that README shows, and --help doesn't know."""
    said = subprocess.run([ROOT / 'deploy/node', '--help'], capture_output=True, text=True, check=True).stdout
    for shown in re.findall(r'^deploy/node(?:.*\\\n)*.*', source, re.M):
        yield from (option for option in re.findall(r'--[a-z-]+', shown) if option not in said)


def main():
    tap = Tap()
    readmes = {n: text(ROOT, n) for n in files(ROOT) if n.endswith('README.md')}
    tap.none([] if len(readmes) > 5 else readmes, f'{len(readmes)} READMEs')
    tap.none([f for n, s in readmes.items() for f in broken_links(n, s)], 'their links lead to files')
    top = readmes['README.md']
    follow = top[top.index('## Follow one CCR'):top.index('## Point a real gateway')]
    code = '\n'.join(text(ROOT, n) for n in files(ROOT) if n.endswith(('.c', '.h')) and n.startswith(('core/', 'extensions/')))
    tap.none([] if len(NAME.findall(follow)) > 12 else NAME.findall(follow), 'the path of a CCR names functions')
    tap.none(unknown_names(follow, code), 'which exist')
    tap.none(missing_programs(top), 'the commands of README.md exist')
    tap.none(unknown_options(top), 'and their options')
    tap.some(broken_links('README.md', '[a](none/such.c)'), 'a broken link')
    tap.some(unknown_names('`gy_none_such()`', code), 'a function that is gone')
    tap.some(missing_programs('deploy/none --x'), 'a missing command')
    tap.some(unknown_options('deploy/node --data x \\\n   --none y'), 'an option that is gone')
    tap.done()


if __name__ == '__main__':
    main()
