#!/usr/bin/python3
"""gyro-sim over TLS against a real node: session, churn and load; who is not believed, on either side; plain text.

tls.py BUILD_DIR. The node has the fixture of the cases."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'tests/lib'))
from certificates import Authority  # noqa: E402
from tap import Tap  # noqa: E402

S1 = '460001000000001'
CONNECTIONS = 4


def shown(certificate, authority=None):
    """Options: whom to believe, and what is shown (None: nothing)."""
    ca = ['--tls-ca', str(authority or certificate.authority)]
    return ca + (['--tls-cert', str(certificate.certificate), '--tls-key', str(certificate.key)] if certificate else [])


class Simulator:
    def __init__(self, node):
        self.node = node

    def __call__(self, command, *words, port=None):
        program = pathlib.Path(os.environ['GYRO_BUILD_DIR']) / 'bin/gyro-sim'
        return subprocess.run([str(program), command, '--connect', f'127.0.0.1:{port or self.node.tls_port}', *words],
                              capture_output=True, text=True, timeout=90)


def works(tap, site, sim, ours):
    run = sim('session', '--imsi', S1, '--rating-group', '10', '--use', '30M', *shown(ours))
    tap.ok(run.returncode == 0 and 'used 30 MiB, reported 30 MiB' in run.stdout, 'a session over TLS', run.stdout + run.stderr)
    tap.equal(site.money(1), (97000000, 0), 'and it is paid: 3.00')
    run = sim('churn', '--imsi-base', '460020000000000', '--subscribers', '1000..1009', '--seconds', '2', '--rating-group',
              '10,11', '--sessions', '8', *shown(ours))
    tap.ok(run.returncode == 0, 'many at once, each answer in form (churn)', run.stdout + run.stderr)
    tap.equal('No TLS protection' in site.node.said(), False, 'the node has seen none of them without TLS')


def load(tap, sim, authority):
    all_of_them = authority.issue(*(f'load{n}.spec.test' for n in range(CONNECTIONS)))
    words = ['--origin-host', 'load#.spec.test', '--realm', 'spec.test', '--connections', str(CONNECTIONS), '--mode', 'full',
             '--sessions', '100', '--window', '8', '--seconds', '2', '--warmup', '0', '--json', '--duplicates', '10']
    run = sim('load', *words, *shown(all_of_them))
    told = json.loads(run.stdout or '{}')
    tap.ok(run.returncode == 0, f'load over {CONNECTIONS} connections with TLS: every answer is right', run.stdout + run.stderr)
    print(f'# {told.get("all_answered")} requests')
    run = sim('load', *words, '--tls-ca', str(all_of_them.authority))
    tap.ok(run.returncode == 2 and ('TLS: the node says' in run.stderr or 'no connection' in run.stderr),
           'load without a certificate: turned away, and told', run.stderr)


def turned_away(tap, sim, ours, stranger):
    words = ['session', '--imsi', S1, '--rating-group', '10', '--use', '1M', '--timeout', '2s']
    # The node resets what it does not believe: its reason may get lost on the way.
    away = ('TLS: the node says', 'reset by peer', 'the node closed')
    for who, tls, says in (
            ('without a certificate', shown(None, ours.authority), away),
            ('with one of another authority', shown(stranger, ours.authority), away),
            ('a node of an authority that we don\'t believe', shown(ours, stranger.authority), ("the node's certificate",)),
            ('in plain text', [], away[1:])):
        run = sim(*words, *tls)
        tap.ok(run.returncode == 3 and any(s in run.stderr for s in says), f'{who}: no connection (status 3), and told why',
               f'{run.returncode}: {run.stderr}')
    run = sim(*words, *shown(ours), port=sim.node.port)
    tap.ok(run.returncode == 3 and 'TLS' in run.stderr, 'TLS where the node expects none', f'{run.returncode}: {run.stderr}')


def misused(tap, sim, ours):
    words = ['session', '--imsi', S1, '--rating-group', '10']
    certificate, key, ca = ours.certificate, ours.key, ours.authority
    for tls, says in ((['--tls-cert', certificate, '--tls-key', key], '--tls-ca'),
                      (['--tls-ca', ca, '--tls-cert', certificate], 'belong together'),
                      (['--tls-ca', '/nowhere'], '/nowhere'),
                      (['--tls-ca', ca, '--tls-cert', key, '--tls-key', key], str(key))):
        for command in (words, ['load']):
            run = sim(*command, *map(str, tls))
            tap.ok(run.returncode == 2 and says in run.stderr, f'{command[0]} {" ".join(w for w in map(str, tls) if w[:2] == "--")}: '
                   'refused (status 2), and told', f'{run.returncode}: {run.stderr}')


def people(site):
    """Ten for churn, and those of load, which has names of its own for them."""
    site.people(110)
    site.pg.query("INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id) SELECT 1, '99970' || lpad(n::text, 10, '0'), "
                  "1010 + n - 1 FROM generate_series(1, 100) n")


def main():
    os.environ['GYRO_BUILD_DIR'] = sys.argv[1]
    from node import Site
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='gyro-tls-') as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        authority, other = Authority(folder / 'ours'), Authority(folder / 'other', 'Another authority')
        ours, stranger = authority.issue('pgw1.spec.test'), other.issue('pgw1.spec.test')
        with Site(tls=authority.issue('gyro1.spec.test'), peers=[{'identity': '*.spec.test'}]) as site:
            people(site)
            sim = Simulator(site.node)
            works(tap, site, sim, ours)
            load(tap, sim, authority)
            turned_away(tap, sim, ours, stranger)
            misused(tap, sim, ours)
            site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
