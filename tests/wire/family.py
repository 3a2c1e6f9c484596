"""What the programs of this family share: arguments, a good client that watches the node, and what every answer must be.

The programs print TAP, seeds first and last, and end within their own bounds. This module starts nothing by itself.
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'tests/lib'))

from diameter import CODES, E, INITIAL, MSCC, P, R, T, TABLE, TERMINATION, UPDATE, Closed, Message, Silent, service
from node import Failed, Node, Site, build_dir
from postgres import binary
from tap import Tap

__all__ = ['CODES', 'Closed', 'E', 'Failed', 'Hold', 'INITIAL', 'MSCC', 'Message', 'Node', 'P', 'R', 'ROOT', 'Silent', 'Site', 'Standstill',
           'T', 'TABLE', 'TERMINATION', 'Tap', 'UPDATE', 'Witness', 'arguments', 'binary', 'build_dir', 'collect', 'conform', 'fixture_with', 'hop',
           'results', 'sanitized', 'service', 'until']


def arguments(text, *more):
    """--seed and --long for every program; more: (name, keywords) of its own. The seed is printed."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=int(os.environ.get('GYRO_SEED') or random.SystemRandom().randrange(1 << 31)))
    parser.add_argument('--long', action='store_true', help='larger numbers: minutes instead of seconds')
    for name, keywords in more:
        parser.add_argument(name, **keywords)
    return parser.parse_args()


def sanitized():
    """A sanitizer's build needs more time and far more memory."""
    program = (build_dir() / 'bin/gyrod').read_bytes()
    return b'__asan_init' in program or b'__tsan_init' in program


def until(condition, seconds, pause=0.02):
    """Waits for it; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(pause)


def fixture_with(home, sections, rules):
    """The fixture with more before its tariffs, and more rules of its tariff; a file in this directory."""
    text = (ROOT / 'tests/cases/fixture.yaml').read_text()
    text = text.replace('\ntariffs:\n', f'{sections}\ntariffs:\n', 1)
    text = text.replace('      - { rating_group: 101,', f'{rules}      - {{ rating_group: 101,', 1)
    path = pathlib.Path(home) / 'catalogue.yaml'
    path.write_text(text)
    return path


def hop(raw):
    """The Hop-by-Hop id of a message's bytes: finds its answer."""
    return int.from_bytes(raw[12:16], 'big')


def collect(gateway, ids, seconds):
    """{Hop-by-Hop id: answer} of what comes for these requests in that time, or until the connection ends."""
    got, end = {}, time.monotonic() + seconds
    while len(got) < len(ids) and time.monotonic() < end:
        try:
            message = gateway.receive(end - time.monotonic())
        except Closed:
            break
        if not message.is_request and message.hop_by_hop in ids:
            got[message.hop_by_hop] = message
    return got


def results(gateway, ids, seconds):
    """The same with Result-Codes instead of answers."""
    return {number: answer.result for number, answer in collect(gateway, ids, seconds).items()}


class Transaction:
    """A transaction that has run this SQL, and stays open for as long as the context lasts; then it comes to that end."""

    def __init__(self, site, sql, end='ROLLBACK'):
        self.site, self.sql, self.end = site, sql, end

    def __enter__(self):
        self.psql = subprocess.Popen([binary('psql'), '-XqAt', self.site.pg.conninfo()], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write(f'BEGIN; {self.sql};\n\\echo held\n')
        self.psql.stdin.flush()
        while self.psql.stdout.readline() != 'held\n':
            pass
        return self

    def __exit__(self, *_):
        self.psql.communicate(f'{self.end};\n', timeout=20)


class Hold(Transaction):
    """An operator's transaction that holds rows of accounts."""

    def __init__(self, site, *accounts):
        super().__init__(site, f"SELECT FROM gyro.account WHERE account_id IN ({', '.join(map(str, accounts))}) FOR UPDATE")


class Standstill:
    """The server's processes for the node stand still while the context lasts: a database that says nothing."""

    def __init__(self, site):
        self.pids = [int(row[0]) for row in site.pg.query(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")]

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)


class Witness(threading.Thread):
    """A good client: charges a KiB now and then, and notes how long each answer took.

    Like a gateway it sends a request again, with the T bit, when it is refused for now (5012, 3004) or TX_S went by
    without an answer. Any other answer but 2001, no success within PATIENCE_S, and the end of the connection are
    failures, and it stops. It begins with a CCR-I."""
    TX_S, PATIENCE_S = 5, 20

    def __init__(self, node, imsi, host='witness', pause=0.02):
        super().__init__(daemon=True)
        self.node, self.pause, self.ended = node, pause, threading.Event()
        self.seconds, self.failure, self.imsi, self.refused = [], None, imsi, 0
        self.gateway = node.client(host, timeout=self.TX_S)
        self.session, self.number = self.gateway.session(), 0
        self.charge(INITIAL, [service(10, rsu=1 << 20)])
        self.start()

    def charge(self, kind, services):
        begin, flags, said = time.monotonic(), P, 'nothing'
        while True:
            try:
                answer = self.gateway.charge(self.session, kind, self.number, services, who=self.imsi, flags=flags)
                said = f'{answer.result} {answer["Error-Message"]}'
                if answer.result not in (3004, 5012):
                    break
            except Silent:
                pass
            self.refused, flags = self.refused + 1, P | T
            if time.monotonic() - begin > self.PATIENCE_S:
                break
        took = time.monotonic() - begin
        if not said.startswith('2001'):
            raise Closed(f'{said} after {took:.3f} s')
        self.seconds.append(took)
        self.number += 1

    def run(self):
        try:
            while not self.ended.wait(self.pause):
                self.charge(UPDATE, [service(10, rsu=1 << 20, used=1024)])
            self.charge(TERMINATION, [service(10, rsu=None, used=1024)])
        except (OSError, ValueError) as e:
            self.failure = f'{type(e).__name__}: {e} (request {self.number}, after {len(self.seconds)} answers)'

    def stop(self):
        self.ended.set()
        self.join(2 * self.PATIENCE_S)
        self.gateway.close()

    def count(self):
        return len(self.seconds)

    def slowest(self):
        return max(self.seconds)

    def check(self, tap, name, slowest=2.0, least=3):
        """Stops it. Each of its requests was charged, none of them later than that."""
        self.stop()
        limit = slowest * (5 if sanitized() else 1)
        good = self.failure is None and self.count() >= least and self.slowest() <= limit
        return tap.ok(good, name, f'failure: {self.failure}; {self.count()} answers, {self.refused} refusals or silences, the slowest '
                      f'after {self.slowest():.3f} s (bound {limit} s)\n{self.node.tail() if self.failure else ""}')


# --- what every answer must be (spec/gy.md G-06, G-07, G-13, G-14, 4.5)

# AVPs of a CCA in the order of 4.5; those in one place may mix.
ORDER = [['Session-Id'], ['Result-Code'], ['Origin-Host'], ['Origin-Realm'], ['Auth-Application-Id'], ['CC-Request-Type'],
         ['CC-Request-Number'], ['CC-Sub-Session-Id', 'Acct-Multi-Session-Id', 'Origin-State-Id', 'CC-Session-Failover',
                                 'Credit-Control-Failure-Handling', 'Error-Message', 'Failed-AVP', 'Granted-Service-Unit',
                                 'Final-Unit-Indication', 'Validity-Time', MSCC, 'Check-Balance-Result', 'Cost-Information',
                                 'Purchase-Id', 'Card-Id', 'Binding-Id', 'User-Class', 'Use-Priority', 'Rating-Group',
                                 'Card-Statistics', 'OC-Supported-Features', 'OC-OLR', 'Proxy-Info']]
REPEATED = (MSCC, 'Proxy-Info', 'Rating-Group', 'Card-Statistics')
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}


def flags_right(avp):
    """M and V as the table says; inside Failed-AVP stands what the peer sent, whatever it is."""
    row = TABLE.rows.get(avp.name)
    if row is None:
        return f'{avp.name} is not in the table'
    want = (0x80 if avp.vendor else 0) | (0x40 if row['m'] == 'must' else 0)
    if row['m'] != 'may' and avp.flags != want:
        return f'{avp.name} has flags {avp.flags:#x}, not {want:#x}'
    if row['type'] == 'Grouped' and avp.name not in ('Failed-AVP', 'Proxy-Info'):
        return next((problem for problem in map(flags_right, avp.avps) if problem), None)
    return None


def conform(request, answer, node):
    """What is wrong with the answer to this CCR as an answer: a list of texts, [] if nothing. request: its bytes."""
    asked, wrong = Message(request), []

    def must(good, text):
        if not good:
            wrong.append(text)

    try:
        names = answer.names()
    except ValueError as e:
        return [str(e)]
    must((answer.hop_by_hop, answer.end_to_end) == (asked.hop_by_hop, asked.end_to_end), 'other ids than the request')
    must((answer.code, answer.application) == (asked.code, asked.application), 'another command or application')
    must(answer.flags & (R | P | T) == asked.flags & P, f'flags {answer.flags:#x} to a request with {asked.flags:#x}')
    must(bool(answer.flags & E) == (3000 <= answer.result < 4000), f'E bit with {answer.result}')
    must(answer.flags & 0x0f == 0, 'reserved flags')
    must(answer['Origin-Host'] == node.identity and answer['Origin-Realm'] == node.realm, 'Origin is not the node')
    must(not {'Destination-Host', 'Destination-Realm', 'Route-Record'} & set(names), 'Destination-* or Route-Record')
    places = [PLACE.get(name) for name in names]
    must(None not in places and places == sorted(places), f'order {names}')
    must((answer.result == 2001) == (answer['Error-Message'] is None), 'Error-Message where none belongs, or none')
    must(answer.result == 2001 or MSCC not in names, 'services in a failed answer')
    wrong.extend(problem for problem in map(flags_right, answer.avps) if problem)
    single = [n for n in set(names) if names.count(n) > 1 and n not in REPEATED]
    must(not single, f'{single} more than once')
    try:
        given = asked.avps
    except ValueError:
        return wrong # the request has no list of AVPs to compare with
    first = next((a.value for a in given if a.name == 'Session-Id'), None)
    must(answer['Session-Id'] == first and (first is None or names[0] == 'Session-Id'), 'Session-Id is not the request\'s')
    must([a.raw for a in answer.all('Proxy-Info')] == [a.raw for a in given if a.name == 'Proxy-Info'], 'Proxy-Info')
    if (asked.code, asked.application) == (CODES['CCR'], 4):
        must(answer['Auth-Application-Id'] == 4, 'no Auth-Application-Id')
        for name in ('CC-Request-Type', 'CC-Request-Number'):
            sent = [a.value for a in given if a.name == name and len(a.data) == 4]
            must(answer[name] == (sent[0] if sent else None), f'{name} is not the request\'s')
    return wrong
