#!/usr/bin/python3
"""deploy/packages: its list covers what the build looks for, and it behaves when something is missing.

packages.py ROOT. Nothing is installed: dpkg-query and apt-get are replaced by scripts that pretend.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / 'tests/lib'))
from tap import Tap

PACKAGES = ROOT / 'deploy/packages'


def listed(name):
    return subprocess.run([PACKAGES, '--list', name], capture_output=True, text=True, check=True).stdout.split()


def owners(path):
    """The packages that a file of this system belongs to."""
    said = subprocess.run(['dpkg', '-S', path], capture_output=True, text=True, check=False).stdout
    return {name.split(':')[0].strip() for line in said.splitlines() for name in line.rpartition(': ')[0].split(',')}


def looked_for():
    """(what, files of which one must be there) for each thing that CMakeLists.txt requires."""
    source = (ROOT / 'CMakeLists.txt').read_text(encoding='utf-8')
    for module in re.findall(r'^pkg_check_modules\(\w+ REQUIRED IMPORTED_TARGET (\S+)\)', source, re.M):
        said = subprocess.run(['pkg-config', '--variable=pcfiledir', module], capture_output=True, text=True, check=False)
        yield module, f'{said.stdout.strip()}/{module}.pc'
    for header in re.findall(r'^find_path\(\w+ (\S+) REQUIRED\)', source, re.M):
        yield header, f'/usr/include/{header}'


class Pretend:
    """A system with these packages; apt-get installs if it may, and writes down that it was called."""

    def __init__(self, folder, installed, works=True):
        self.folder = pathlib.Path(folder)
        self.have, self.calls = self.folder / 'have', self.folder / 'calls'
        self.have.write_text(''.join(f'installed {name}\n' for name in installed))
        self.calls.write_text('')
        for path in (self.folder, self.have, self.calls):
            path.chmod(0o777)
        self.script('dpkg-query', f'cat {self.have}')
        install = f'for word; do case $word in -*|install|update) ;; *) echo "installed $word" >>{self.have};; esac; done'
        self.script('apt-get', f'echo "$@" >>{self.calls}\n' + (install if works else 'echo E: no network >&2; exit 100'))

    def script(self, name, body):
        (self.folder / name).write_text(f'#!/bin/sh\n{body}\n')
        (self.folder / name).chmod(0o755)

    def run(self, *words, user=None):
        command = [PACKAGES, *words]
        if user:
            command = ['setpriv', '--reuid', user, '--regid', 'nogroup', '--clear-groups', *command]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd='/', stdin=subprocess.DEVNULL,
                              env={**os.environ, 'PATH': f'{self.folder}:{os.environ["PATH"]}'})


def main():
    tap = Tap()
    run, test = listed('run'), listed('test')
    tap.ok(set(run) < set(test) and len(test) == len(set(test)), 'the set test holds the set run, and no name twice', test)
    for what, path in looked_for():
        tap.ok(owners(path) & set(run), f'{what} comes from a package on the list', f'{path}: {owners(path)}')

    root = os.geteuid() == 0
    user = 'nobody' if root and os.access(PACKAGES, os.X_OK) else None
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        system = Pretend(folder, test)
        done = system.run('test')
        tap.equal((done.returncode, done.stdout, done.stderr, system.calls.read_text()), (0, '', '', ''),
                  'everything is there: not a word, and no apt-get')

        system = Pretend(folder, [name for name in test if name not in ('cmake', 'tshark')])
        if root and subprocess.run(['setpriv', '--reuid', 'nobody', 'test', '-x', PACKAGES], check=False).returncode:
            print('# the tree is closed to nobody: the ordinary user is not played')
            user = None
        if user or not root:
            done = system.run('test', user=user)
            tap.ok(done.returncode == 1 and 'apt-get install cmake tshark' in done.stderr,
                   'an ordinary user is told what is missing', done.stderr)
            tap.equal(system.calls.read_text(), '', 'and apt-get is not called')
        if root:
            done = system.run('run')
            calls = system.calls.read_text().splitlines()
            tap.ok(done.returncode == 0 and len(calls) in (1, 2) and calls[-1].endswith('install --no-install-recommends cmake'),
                   'root gets what the set run lacks, and only that', f'{done}\n{calls}')
            system = Pretend(folder, [name for name in test if name != 'cmake'], works=False)
            done = system.run('run')
            tap.ok(done.returncode == 1 and 'E: no network' in done.stderr, 'apt-get fails: its last lines are shown', done.stderr)
    tap.done()


if __name__ == '__main__':
    main()
