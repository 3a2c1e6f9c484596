#!/usr/bin/python3
"""What the node sends, seen by somebody else: tshark finds nothing malformed or unknown in it (spec/gy.md 4.3), and a whole
session is decoded line by line.

answers.py. Captures on loopback, which takes root: skipped for others, and where tshark is missing.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from family import (INITIAL, MSCC, P, TABLE, TERMINATION, UPDATE, Silent, Site, Tap, arguments, conform, hop, sanitized, service,
                    until)

MIB = 1 << 20
UNCLEAN = ('_ws.malformed || diameter.avp.code.unknown || diameter.avp.invalid-len || diameter.avp.invalid-data || '
           'diameter.avp.unknown || diameter.cmd.code.unknown || diameter.applicationId.unknown || diameter.avp.pad.missing || '
           'diameter.avp.pad.non_zero')


class Capture:
    """tshark on loopback, for one port, while the context lasts."""

    def __init__(self, port, path):
        self.port, self.path = port, path

    def __enter__(self):
        self.tshark = subprocess.Popen(['tshark', '-q', '-i', 'lo', '-B', '16', '-f', f'tcp port {self.port}', '-w', str(self.path)],
                                       stderr=subprocess.PIPE, text=True, env={**os.environ, 'LC_ALL': 'C.UTF-8'})
        said = ''
        for line in self.tshark.stderr:
            said += line
            if 'Capture started' in line:
                return self
        raise RuntimeError(f'tshark doesn\'t capture:\n{said}')

    def __exit__(self, *_):
        time.sleep(0.5) # the kernel hands packets over in blocks
        self.tshark.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.said = self.tshark.communicate(timeout=20)[1]
        self.tshark.kill()
        self.tshark.wait()

    def read(self, *words):
        done = subprocess.run(['tshark', '-2', '-r', str(self.path), '-d', f'tcp.port=={self.port},diameter', *words],
                              capture_output=True, text=True, env={**os.environ, 'LC_ALL': 'C.UTF-8'})
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def from_node(self, more=''):
        """Hop-by-Hop ids of what the node sent, one element a message; more: a further condition on the frame."""
        out = self.read('-T', 'fields', '-E', 'occurrence=a', '-e', 'diameter.hopbyhopid', '-Y',
                        f'diameter && tcp.srcport == {self.port}' + (f' && ({more})' if more else ''))
        return [int(number, 16) for line in out.splitlines() for number in line.split(',')]

    def lines(self, condition):
        """The AVPs of the messages that match, one a line, indented by depth: name, flags, vendor, value."""
        found = []
        for line in self.read('-V', '-O', 'diameter', '-Y', condition).splitlines():
            m = re.fullmatch(r'( +)AVP: (\S+)\(\d+\) l=\d+ f=(\S+)(?: vnd=(\S+))?(?: val=(.*))?', line)
            if m:
                words = [m[2], m[3], m[4], m[5]]
                found.append('  ' * ((len(m[1]) - 4) // 8) + ' '.join(w for w in words if w))
        return found


def who(imsi):
    return f'4600010000000{imsi:02d}'


def mixed(gateway, site, imsis):
    """Requests of many kinds, as (name, bytes, whether tshark has a reason to frown at the exchange: a Failed-AVP that
    repeats a fault, a request that it can't read)."""
    def ccr(session, kind, number, services=(), **how):
        return gateway.ccr(session, kind, number, services, **how)

    def bad(avps, **how):
        return gateway.message('CCR', how.pop('flags', P), avps, **how)

    units = {80: [('CC-Time', 60)], 90: [('CC-Service-Specific-Units', 1)]}
    a, b, c, d = (gateway.session() for _ in range(4))
    yield 'many services', ccr(a, INITIAL, 0, [service(n) for n in (10, 11, 30, 40, 50, 60, 61, 80, 90)], who=who(1)), False
    yield 'usage of three units', ccr(a, UPDATE, 1, [service(10, used=MIB, reason=3), *(service(n, used=u) for n, u in units.items())],
                                      who=who(1)), False
    yield 'identifiers', ccr(a, UPDATE, 2, [service(10, identifiers=[7]), service(10, identifiers=[8, 9])], who=who(1)), False
    yield 'money, which is no unit of a session', ccr(a, UPDATE, 3, [(MSCC, [('Rating-Group', 10), ('Requested-Service-Unit', [
        ('CC-Money', [('Unit-Value', [('Value-Digits', 5)])])])])], who=who(1)), False
    yield 'final units: terminate', ccr(b, INITIAL, 0, [service(10)], who=who(2)), False
    yield 'nothing left', ccr(b, UPDATE, 1, [service(11), service(60), service(61)], who=who(2)), False
    yield 'final units: redirect', ccr(gateway.session(), INITIAL, 0, [service(60)], who=who(3)), False
    yield 'final units: restrict', ccr(gateway.session(), INITIAL, 0, [service(61)], who=who(3)), False
    yield 'sub-session, Acct-Multi-Session-Id', ccr(c, INITIAL, 0, [service(10)], who=who(1), more=[
        ('CC-Sub-Session-Id', 1 << 40), ('Acct-Multi-Session-Id', 'multi;1')]), False
    yield 'Proxy-Info', ccr(d, INITIAL, 0, [service(10)], who=who(1), more=[
        ('Proxy-Info', [('Proxy-Host', 'dra1.spec.test'), ('Proxy-State', b'one')]), ('Proxy-Info', [
            ('Proxy-Host', 'dra2.spec.test'), ('Proxy-State', bytes(5))])]), False
    yield 'fifty services', ccr(gateway.session(), INITIAL, 0, [service(n % 2 + 10, rsu=1024, identifiers=[n]) for n in range(50)],
                                who=imsis[0]), False
    yield 'units at command level', ccr(gateway.session(), INITIAL, 0, who=who(1), more=[
        ('Requested-Service-Unit', []), ('Service-Identifier', 5)]), False
    yield 'no service at all', ccr(gateway.session(), INITIAL, 0, who=who(1), more=[('Multiple-Services-Indicator', 1)]), False
    yield 'an event', ccr(gateway.session(), 4, 0, [service(90, rsu=[('CC-Service-Specific-Units', 1)])], who=who(1), more=[
        ('Requested-Action', 0)]), False
    for number in range(3):
        yield 'the end', ccr((a, b, d)[number], TERMINATION, 9, [service(10, rsu=None, used=MIB, reason=2)],
                             who=who((1, 2, 1)[number])), False
    yield 'the end, again', ccr(a, TERMINATION, 9, [service(10, rsu=None, used=MIB, reason=2)], who=who(1), flags=P | 0x10), False
    yield 'unknown subscriber', ccr(gateway.session(), INITIAL, 0, [service(10)], who='999990000000000'), False
    yield 'barred subscriber', ccr(gateway.session(), INITIAL, 0, [service(10)], who=who(4)), False
    yield 'barred account', ccr(gateway.session(), INITIAL, 0, [service(10)], who=who(7)), False
    yield 'unknown session', ccr(gateway.session(), UPDATE, 1, [service(10)], who=who(1)), False
    yield 'unknown context', ccr(gateway.session(), INITIAL, 0, [service(10)], context='32260@3gpp.org'), False
    good = gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)])
    for name in ('Service-Context-Id', 'CC-Request-Type', 'CC-Request-Number', 'Session-Id', 'Destination-Realm'):
        # A missing AVP is shown with zeros, which are no valid text or type.
        yield f'no {name}', bad([x for x in good if x[0] != name]), True
    for n, avp in enumerate([('CC-Request-Number', 3), ('Route-Record', site.node.identity), ('Origin-Host', 'x.spec.test')]):
        yield f'one too many, {n}', bad([*good, avp]), False
    yield 'a value', bad([('CC-Request-Type', 9) if x[0] == 'CC-Request-Type' else x for x in good]), True
    yield 'unknown M AVP', bad([*good, TABLE.avp((3999, 0, 0x40), b'abcd')]), True
    yield 'a wrong length', bad([*good, TABLE.avp((55, 0, 0x40), b'abc')]), True
    yield 'no UTF-8', bad([*good, TABLE.avp((1, 0, 0x40), b'\xff\xfe')]), True
    yield 'an AVP that doesn\'t fit', bad([*good, b'\x00\x00\x01\xa7\x40\x00\x00\xff' + bytes(4)]), True
    yield 'another realm', bad([('Destination-Realm', 'other.test') if x[0] == 'Destination-Realm' else x for x in good]), False
    yield 'another host', bad([*good, ('Destination-Host', 'other.spec.test')]), False
    yield 'E bit', bad(good, flags=P | 0x20), True # no request to tshark
    yield 'no P bit', bad(good, flags=0), False
    yield 'CER out of place', gateway.cer(), False
    yield 'DWR', gateway.dwr(), False
    # Not ours, and known to Wireshark: an answer repeats command and application.
    yield 'another application', gateway.message('CCR', P, good, 16777238), False
    yield 'another command', gateway.message(271, P, good, 4), False


def nothing_unclean(tap, site, folder, imsis):
    node, names, tolerated, expected, wrong = site.node, {}, set(), 0, []
    with Capture(node.port, folder / 'mixed.pcap') as capture:
        for host in ('pgw1.elsewhere.test', 'pgw8.spec.test'):
            with node.client(host, cer=False) as stranger: # 3010, 5010
                stranger.ask(stranger.cer([('Auth-Application-Id', 16777251)]))
                expected += 1
        gateway = node.client('pgw1')
        expected += 1
        for name, raw, odd in mixed(gateway, site, imsis):
            answer = gateway.ask(raw)
            expected += 1
            names[answer.hop_by_hop] = name
            if odd:
                tolerated.add(answer.hop_by_hop)
            if raw[5:8] == b'\x00\x01\x10':
                wrong += [f'{name}: {problem}' for problem in conform(raw, answer, node)]
        prompted(tap, site, gateway)
        gateway.disconnect()
        expected += 1 + 1 + len(gateway.requests) # CCA, DPA, RARs
    tap.equal(wrong, [], 'every answer to a CCR is one: ids, flags, order, M bits')
    sent = capture.from_node()
    tap.equal(len(sent), expected, 'the capture holds all that the node sent')
    unclean = [n for n in capture.from_node(UNCLEAN) if n not in tolerated]
    tap.equal([capture.read('-V', '-O', 'diameter', '-Y', f'diameter.hopbyhopid == {n}') for n in unclean], [],
              'tshark: nothing that the node sends is malformed or unknown (4.3)')
    tap.ok(set(capture.from_node(UNCLEAN)) & tolerated, 'but where Failed-AVP repeats a fault: this test can fail')
    # A request that tshark can't read to its end is none to it.
    unmatched = set(capture.from_node('diameter.flags.request == 0 && !diameter.answer_to')) - tolerated
    tap.equal([names.get(n) for n in unmatched], [], 'tshark finds the request of every answer')
    left = capture.read('-Y', f'diameter && tcp.dstport == {node.port} && diameter.flags.request == 1 && !diameter.answer_in')
    tap.equal(left, '', 'and the answer of every request')


def prompted(tap, site, gateway):
    """A session waits for money, and a top-up makes the node send a RAR."""
    session = gateway.session()
    gateway.charge(session, INITIAL, 0, [service(60)], who=who(3))
    site.gyroctl('topup', '1.00', '--account', 3, '--reference', 'answers-1')
    end, asked = time.monotonic() + 8, False
    while not asked and time.monotonic() < end:
        with contextlib.suppress(Silent):
            message = gateway.receive(0.2)
            gateway.reply(message, 2001)
            asked = message.code == 258 and message['Session-Id'] == session
    tap.ok(asked, 'a top-up prompts the gateway with a RAR', gateway.requests)


SESSION = '''
Session-Id -M- {session}
Result-Code -M- DIAMETER_SUCCESS (2001)
Origin-Host -M- gyro1.spec.test
Origin-Realm -M- spec.test
Auth-Application-Id -M- Diameter Credit Control Application (4)
CC-Request-Type -M- INITIAL_REQUEST (1)
CC-Request-Number -M- 0
Origin-State-Id -M- 1
CC-Session-Failover -M- FAILOVER_NOT_SUPPORTED (0)
Credit-Control-Failure-Handling -M- TERMINATE (0)
Multiple-Services-Credit-Control -M-
  Granted-Service-Unit -M-
    CC-Total-Octets -M- 10485760
  Rating-Group -M- 10
  Validity-Time -M- 3600
  Result-Code -M- DIAMETER_SUCCESS (2001)
  Volume-Quota-Threshold VM- TGPP 2097152
  Quota-Holding-Time VM- TGPP 600
--
Session-Id -M- {session}
Result-Code -M- DIAMETER_SUCCESS (2001)
Origin-Host -M- gyro1.spec.test
Origin-Realm -M- spec.test
Auth-Application-Id -M- Diameter Credit Control Application (4)
CC-Request-Type -M- UPDATE_REQUEST (2)
CC-Request-Number -M- 1
Origin-State-Id -M- 1
CC-Session-Failover -M- FAILOVER_NOT_SUPPORTED (0)
Credit-Control-Failure-Handling -M- TERMINATE (0)
Multiple-Services-Credit-Control -M-
  Granted-Service-Unit -M-
    CC-Total-Octets -M- 10485760
  Rating-Group -M- 10
  Validity-Time -M- 3600
  Result-Code -M- DIAMETER_SUCCESS (2001)
  Volume-Quota-Threshold VM- TGPP 2097152
  Quota-Holding-Time VM- TGPP 600
Multiple-Services-Credit-Control -M-
  Rating-Group -M- 30
  Result-Code -M- DIAMETER_CREDIT_CONTROL_NOT_APPLICABLE (4011)
--
Session-Id -M- {session}
Result-Code -M- DIAMETER_SUCCESS (2001)
Origin-Host -M- gyro1.spec.test
Origin-Realm -M- spec.test
Auth-Application-Id -M- Diameter Credit Control Application (4)
CC-Request-Type -M- TERMINATION_REQUEST (3)
CC-Request-Number -M- 2
Origin-State-Id -M- 1
Multiple-Services-Credit-Control -M-
  Rating-Group -M- 10
  Result-Code -M- DIAMETER_SUCCESS (2001)
--
Session-Id -M- {session}
Result-Code -M- DIAMETER_UNKNOWN_SESSION_ID (5002)
Origin-Host -M- gyro1.spec.test
Origin-Realm -M- spec.test
Auth-Application-Id -M- Diameter Credit Control Application (4)
CC-Request-Type -M- UPDATE_REQUEST (2)
CC-Request-Number -M- 3
Origin-State-Id -M- 1
Error-Message --- {message}
'''


def line_by_line(tap, site, folder):
    """TC-30 as Wireshark shows it: one I, one U, one T, and what comes after the end."""
    with Capture(site.node.port, folder / 'session.pcap') as capture:
        gateway = site.node.client('pgw1')
        session = gateway.session()
        talk = [gateway.ccr(session, INITIAL, 0, [service(10)], who=who(5)),
                gateway.ccr(session, UPDATE, 1, [service(10, used=[('Reporting-Reason', 0), ('CC-Total-Octets', 8 * MIB)]),
                                                 service(30)], who=who(5)),
                gateway.ccr(session, TERMINATION, 2, [service(10, rsu=None, used=4 * MIB, reason=2)], who=who(5)),
                gateway.ccr(session, UPDATE, 3, [service(10)], who=who(5))]
        answers = [gateway.ask(raw) for raw in talk]
        gateway.disconnect()
    want = SESSION.format(session=session, message=answers[3]['Error-Message']).strip('\n').split('\n--\n')
    for raw, text, name in zip(talk, want, ('CCA-I', 'CCA-U', 'CCA-T', 'CCA-U after the end')):
        got = capture.lines(f'diameter.hopbyhopid == {hop(raw)} && diameter.flags.request == 0')
        lines = text.splitlines()
        tap.equal(len(got), len(lines), f'{name} has {len(lines)} AVPs')
        for n, line in enumerate(lines):
            tap.equal(got[n] if n < len(got) else None, line, f'{name}: {line.strip()[:90]}')


def main():
    arguments(__doc__)
    if os.geteuid() != 0 or not shutil.which('tshark'):
        print('1..0 # SKIP capturing takes root, and tshark')
        return
    tap = Tap()
    with Site() as site, tempfile.TemporaryDirectory(prefix='gyro-wire-', dir='/tmp') as folder:
        imsis = site.people(3)
        site.gyroctl('topup', '50.00', '--account', 5, '--reference', 'answers-0')
        line_by_line(tap, site, pathlib.Path(folder))
        nothing_unclean(tap, site, pathlib.Path(folder), imsis)
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
