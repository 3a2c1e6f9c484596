#!/usr/bin/python3
"""A node under ThreadSanitizer: many sessions at once, copies, overtaking, top-ups, a changing catalogue, a stop in between.

races.py ROOT BUILD-DIR, the latter built with the preset tsan. freeDiameter and libpq are not instrumented, but their
locks are seen; everything of ours is looked at.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(ROOT / 'tests/lib'))
from tap import Tap

SUBSCRIBERS = 12
SECONDS = 12
CATALOGUE = '''# For races.py: a price that changes, and some subscribers with enough money.
service_contexts:
  - {{ suffix: 32251@3gpp.org }}
rating_groups:
  - {{ rating_group: 10, name: internet, default_grant: 10MiB, max_grant: 50MiB, validity: 1, threshold: 2MiB, final_unit: terminate }}
tariffs:
  - code: standard
    rules:
      - {{ rating_group: 10, unit: octets, price: "{price}", per: 1MiB }}
'''
REPORT = re.compile(r'^(?:=+\n)?WARNING: ThreadSanitizer.*?^=+\n', re.M | re.S)


def subscribers():
    lines = ['accounts:']
    lines += [f'  - {{ account: {n}, currency: 978, balance: "1000.00", credit_limit: "0", state: active }}' for n in range(1, SUBSCRIBERS + 1)]
    lines.append('subscribers:')
    lines += [f'  - {{ subscriber: {n}, account: {n}, tariff: standard, state: active, imsi: "{460001000000000 + n}" }}'
              for n in range(1, SUBSCRIBERS + 1)]
    return '\n'.join(lines) + '\n'


class Node:
    def __init__(self, place, catalogue, suppressions='tsan.supp'):
        self.place = place
        place.mkdir(exist_ok=True)
        options = f'exitcode=66 second_deadlock_stack=1 suppressions={ROOT}/tests/deploy/{suppressions}'
        environment = {**os.environ, 'TSAN_OPTIONS': options if suppressions else 'exitcode=66'}
        keys = place / 'keys.yaml'
        keys.write_text('# the sweeper often\nsweep_ms: 100\nlanes: 3\n')
        self.process = subprocess.Popen([ROOT / 'deploy/node', '--data', place / 'node', '--port', '0', '--catalogue', catalogue,
                                         '--peer', '*.spec.test', '--config', keys, '--build-dir', BUILD], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith('gyro: ready'):
                break

    def port(self):
        found = re.search(r'ready on .*:(\d+)$', ''.join(self.said), re.M)
        return int(found[1]) if found else 0

    def gyroctl(self, *words):
        database = re.search(r'^database: "(.*)"$', (self.place / 'node/gyro.yaml').read_text(), re.M)[1]
        return subprocess.run([BUILD / 'bin/gyroctl', '--database', database, *words], capture_output=True, text=True, check=False)

    def stop(self):
        self.process.terminate()
        self.said.append(self.process.stdout.read())
        return self.process.wait()

    def reports(self):
        return REPORT.findall((self.place / 'node/gyrod.log').read_text(errors='replace') + '=\n')


def churn(port, *words):
    connect = [word for _ in range(2) for word in ('--connect', f'127.0.0.1:{port}')]
    return subprocess.Popen([BUILD / 'bin/gyro-sim', 'churn', *connect, '--subscribers', f'1..{SUBSCRIBERS}', '--sessions', '24',
                             '--duplicates', '20%', '--overtake', '20%', *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors='replace')


def main():
    tap = Tap()
    place = pathlib.Path(tempfile.mkdtemp(prefix='gyro-races.'))
    os.chmod(place, 0o755)
    node = None
    try:
        symbols = subprocess.run(['nm', '-D', BUILD / 'bin/gyrod'], capture_output=True, text=True, check=True).stdout
        tap.ok('__tsan_init' in symbols, 'gyrod is built for ThreadSanitizer')
        catalogue = place / 'catalogue.yaml'
        catalogue.write_text(CATALOGUE.format(price='0.10') + subscribers())
        node = Node(place / 'bare', catalogue, suppressions=None)
        churn(node.port(), '--seconds', '1').communicate()
        node.stop()
        tap.ok(node.reports(), 'without suppressions something is found, of freeDiameter: this test can fail')
        node = Node(place / 'quiet', catalogue)
        tap.ok(node.port(), 'a node', ''.join(node.said))

        client = churn(node.port(), '--seconds', str(SECONDS))
        done, change = [], place / 'change.yaml'
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and client.poll() is None:
            change.write_text(CATALOGUE.format(price=f'0.1{len(done) % 10}'))
            done.append(node.gyroctl('apply', '-f', str(change)))
            done.append(node.gyroctl('topup', '5.00', '--subscriber', str(len(done) % SUBSCRIBERS + 1), '--reference', f'r{len(done)}'))
            time.sleep(0.2)
        wrong = [d.stderr for d in done if d.returncode]
        tap.ok(len(done) > 10 and not wrong, f'{len(done)} changes of prices and balances meanwhile', wrong)
        said = client.communicate(timeout=120)[0]
        tap.equal(client.returncode, 0, 'every request has its outcome, every copy the same answer')
        print('#', said.strip().replace('\n', '\n# '))
        audit = node.gyroctl('audit')
        tap.equal(audit.returncode, 0, f'the audit is clean {audit.stdout}{audit.stderr}')

        client = churn(node.port(), '--seconds', '30', '--give-up', '1s')
        time.sleep(3)
        tap.equal(node.stop(), 0, 'it stops in the middle of requests')
        client.terminate()
        client.communicate()
        reports = node.reports()
        tap.ok(not reports, 'no data race, no inversion of locks, no misuse of a lock', '\n'.join(reports[:5]))
    finally:
        if node and node.process.poll() is None:
            node.stop()
        shutil.rmtree(place, ignore_errors=True)
    tap.done()


if __name__ == '__main__':
    main()
