"""What gyroctl's tests share: running it, and a database that is migrated and has the fixture.

Every script here is called with the path of gyroctl first and the root of the tree second; further
paths follow where a script needs them.
"""
import json
import os
import subprocess
import sys

GYROCTL, ROOT = sys.argv[1], sys.argv[2]
sys.path.insert(0, os.path.join(ROOT, 'tests/lib'))

FIXTURE = os.path.join(ROOT, 'tests/cases/fixture.yaml')


class Ctl:
    """gyroctl on one database."""

    def __init__(self, conninfo):
        self.conninfo = conninfo
        self.environment = {**os.environ, 'GYRO_DATABASE': conninfo, 'LC_ALL': 'C.UTF-8'}

    def command(self, *words):
        return [GYROCTL, *[str(w) for w in words]]

    def run(self, *words, stdin=''):
        """The finished process."""
        return subprocess.run(self.command(*words), env=self.environment, input=stdin, capture_output=True, text=True,
                              timeout=120, check=False)

    def start(self, *words):
        return subprocess.Popen(self.command(*words), env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def out(self, *words, stdin=''):
        """Standard output of a run that must succeed."""
        done = self.run(*words, stdin=stdin)
        if done.returncode:
            raise RuntimeError(f'gyroctl {" ".join(map(str, words))}: {done.returncode}: {done.stderr}')
        return done.stdout

    def json(self, *words, stdin=''):
        return json.loads(self.out(*words, '--json', stdin=stdin))


def refused(tap, done, status, words, name):
    """One line on standard error that holds all the words, nothing on standard output."""
    lines = done.stderr.splitlines()
    good = done.returncode == status and len(lines) == 1 and all(w in lines[0] for w in words) and not done.stdout
    tap.ok(good, name, f'status {done.returncode}, wanted {status}\nwanted {words}\n{done.stderr}{done.stdout}')
