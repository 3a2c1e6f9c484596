#!/usr/bin/python3
"""Overload as a gateway that speaks DOIC is told of it (RFC 7683, G-95), and as any gateway feels it (G-94).

overload.py. The node's queue is short and its database stands still for a moment, so that more comes than may wait.
How much may be offered for how long is tests/bench/overload's business.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from family import INITIAL, TERMINATION, UPDATE, Message, Site, Standstill, Tap, arguments, collect, conform, hop, service
from diameter import Capture

QUEUE, MIB = 16, 1 << 20
SETTINGS = {'lanes': 1, 'batch_max': 8, 'queue_max': QUEUE}
LOSS, VALIDITY_S, MOST = 1, 30, 90
DOIC = ('OC-Supported-Features', [('OC-Feature-Vector', LOSS)])
NAMES = ('OC-Supported-Features', 'OC-OLR')


class Gateway:
    """One session; each request with or without OC-Supported-Features. Keeps what was said, for tshark."""

    def __init__(self, site, imsi, host):
        self.node, self.imsi = site.node, imsi
        self.client = site.node.client(host)
        self.session, self.number, self.said = self.client.session(), 0, []

    def build(self, kind, more=(), **parts):
        services = [service(10, rsu=None if kind == TERMINATION else 1024, used=None if kind == INITIAL else 1024)]
        raw = self.client.ccr(self.session, kind, self.number, services, who=self.imsi, more=more, **parts)
        self.number += 1
        return raw

    def ask(self, kind, more=(), **parts):
        raw = self.build(kind, more, **parts)
        answer = self.client.ask(raw)
        self.said += [(raw, True), (answer.raw, False)]
        return raw, answer


def features(answer):
    """OC-Feature-Vector of an answer, None if it has no OC-Supported-Features."""
    return answer['OC-Supported-Features/OC-Feature-Vector']


def olr(answer):
    """(sequence, type, reduction, validity), None without a report."""
    if answer['OC-OLR'] is None:
        return None
    return tuple(answer[f'OC-OLR/OC-{name}'] for name in ('Sequence-Number', 'Report-Type', 'Reduction-Percentage',
                                                          'Validity-Duration'))


def silent(answer):
    return not set(NAMES) & set(answer.names())


def calm(tap, site, gateway, plain):
    """Without overload: the announcement is answered, and nothing reported."""
    for kind, name in ((INITIAL, 'CCR-I'), (UPDATE, 'CCR-U')):
        raw, answer = gateway.ask(kind, [DOIC])
        tap.ok((answer.result, features(answer), olr(answer)) == (2001, LOSS, None), f'G-95 {name} with OC-Supported-Features', answer)
        tap.equal(conform(raw, answer, site.node), [], 'its answer is as any CCA must be')
        raw, answer = plain.ask(kind)
        tap.ok(answer.result == 2001 and silent(answer), f'G-95 {name} without: nothing of it in the answer', answer)
    _, answer = gateway.ask(UPDATE, [('OC-Supported-Features', [])])
    tap.equal(features(answer), LOSS, 'G-95 OC-Supported-Features without a vector means the loss algorithm')
    _, answer = gateway.ask(UPDATE, [('OC-Supported-Features', [('OC-Feature-Vector', 6)])])
    tap.ok(answer.result == 2001 and silent(answer), 'G-95 who knows other algorithms only is told nothing', answer)
    _, answer = gateway.ask(UPDATE, [('OC-Supported-Features', [('OC-Feature-Vector', 7)])])
    tap.equal(features(answer), LOSS, 'G-95 of several algorithms the loss algorithm is chosen')
    _, answer = gateway.ask(UPDATE, [DOIC, ('Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', '460001000000002')])])
    tap.ok(answer.result != 2001 and features(answer) == LOSS, 'G-95 a refusal answers the announcement, too', answer)
    _, answer = gateway.ask(UPDATE, [DOIC], omit=['Service-Context-Id'])
    tap.ok(answer.result == 5005 and features(answer) == LOSS, 'G-95 and so does the answer to a request with a fault', answer)


def excess(tap, site, gateway, terminations):
    """More updates than may wait, at once; then terminations, which may still wait."""
    with Standstill(site):
        first = gateway.build(UPDATE, [DOIC])
        gateway.client.send(first)
        time.sleep(0.1) # it is the batch under way now
        updates = [gateway.build(UPDATE, [DOIC] if n % 2 else []) for n in range(QUEUE + 4)]
        gateway.client.send(b''.join(updates))
        early = collect(gateway.client, {hop(raw) for raw in updates}, 0.3)
        endings = [g.build(TERMINATION) for g in terminations]
        initial = terminations[0].client.ccr(terminations[0].client.session(), INITIAL, 0, [service(10)], who=gateway.imsi)
        for g, raw in zip(terminations, endings):
            g.client.send(raw)
        refused = terminations[0].client.ask(initial)
    tap.ok(len(early) == len(updates) - QUEUE * 3 // 4 and all(a.result == 5012 for a in early.values()),
           f'G-94 {len(early)} of {len(updates)} updates are refused at once: three quarters of the queue are full',
           [a.result for a in early.values()])
    tap.ok(refused.result == 5012 and 'waiting' in refused['Error-Message'], 'G-94 an initial is refused, too', refused)
    asked = {hop(raw): n % 2 for n, raw in enumerate(updates)}
    tap.ok(all(features(a) == LOSS if asked[number] else silent(a) for number, a in early.items()),
           'G-95 refusals tell what was asked for', early)
    late = collect(gateway.client, {hop(raw) for raw in updates} - set(early) | {hop(first)}, 5)
    tap.ok(len(late) == QUEUE * 3 // 4 + 1 and all(a.result == 2001 for a in late.values()), 'G-94 the others are served', late)
    ended = [g.client.receive_answer(hop(raw)).result for g, raw in zip(terminations, endings)]
    tap.equal(ended, [2001] * len(terminations), 'G-94 and all terminations: the last quarter is theirs')


def told(tap, site, gateway, plain):
    """What is reported from now until it is over."""
    reports, end = [], time.monotonic() + 60
    while time.monotonic() < end and not (reports and reports[-1][2:] == (0, 0)):
        raw, answer = gateway.ask(UPDATE, [DOIC])
        found = olr(answer)
        if found and len(reports) == 0:
            tap.equal(conform(raw, answer, site.node), [], 'an answer with a report is as any CCA must be')
            _, other = plain.ask(UPDATE)
            tap.ok(other.result == 2001 and silent(other), 'G-95 who did not ask is told nothing, in overload either', other)
        if found and (not reports or reports[-1] != found):
            reports.append(found)
        time.sleep(0.1)
    print(f'# reports (sequence, type, reduction, validity): {reports}', flush=True)
    if not tap.ok(len(reports) > 1, 'G-95 overload is reported', 'no report within a minute'):
        return
    tap.ok(all(kind == 0 for _, kind, _, _ in reports), 'G-95 about this host')
    tap.ok(0 < reports[0][2] <= MOST and all(validity == VALIDITY_S for _, _, reduction, validity in reports if reduction),
           'G-95 with a reduction and its validity', reports)
    sequence = [r[0] for r in reports]
    tap.ok(sequence == sorted(set(sequence)) and abs(sequence[0] / 1000 - time.time()) < 120,
           'G-95 every change has a higher sequence number, from the clock', sequence)
    reduction = [r[2] for r in reports]
    tap.ok(reduction[1:] == sorted(reduction[1:], reverse=True), 'G-95 it fades when nothing is refused any more', reduction)
    tap.equal(reports[-1][2:], (0, 0), 'G-95 and its end is told')


def decoded(tap, gateway):
    """tshark knows what it is."""
    if not shutil.which('tshark'):
        tap.ok(True, 'decoded # SKIP tshark is not installed')
        return
    capture = Capture()
    for raw, from_client in gateway.said:
        capture.add(raw, from_client)
    with tempfile.TemporaryDirectory() as home:
        path = pathlib.Path(home) / 'doic.pcap'
        capture.write(path)

        def read(*words):
            return subprocess.run(['tshark', '-2', '-r', path, *words], capture_output=True, text=True, check=True,
                                  env={**os.environ, 'LC_ALL': 'C.UTF-8'}).stdout
        rows = [line.split('\t') for line in read(
            '-T', 'fields', '-Y', 'diameter.flags.request == 0 && diameter.OC-OLR', *[w for name in (
                'OC-Feature-Vector', 'OC-Sequence-Number', 'OC-Report-Type', 'OC-Reduction-Percentage', 'OC-Validity-Duration')
                for w in ('-e', f'diameter.{name}')]).splitlines()]
        unclean = read('-Y', 'diameter.flags.request == 0 && (_ws.malformed || diameter.avp.code.unknown || '
                       'diameter.avp.invalid-len || diameter.avp.invalid-data || diameter.avp.unknown) && !diameter.Failed-AVP')
    want = [[str(features(a)), *map(str, olr(a))] for a in (Message(raw) for raw, mine in gateway.said if not mine) if olr(a)]
    tap.ok(rows and rows == want, f'G-95 tshark reads {len(rows)} reports by name', f'{rows[:3]}\n{want[:3]}')
    tap.equal(unclean, '', 'and finds nothing malformed or unknown')


def main():
    arguments(__doc__)
    tap = Tap()
    with Site(settings=SETTINGS) as site:
        imsis = site.people(5)
        gateway, plain = Gateway(site, imsis[0], 'pgw1'), Gateway(site, imsis[1], 'pgw2')
        terminations = [Gateway(site, imsi, f'pgw{n}') for n, imsi in enumerate(imsis[2:], 3)]
        calm(tap, site, gateway, plain)
        for g in terminations:
            g.ask(INITIAL)
        excess(tap, site, gateway, terminations)
        told(tap, site, gateway, plain)
        decoded(tap, gateway)
        site.check(tap)
    tap.done()


main()
