#!/usr/bin/python3
"""The form of requests and answers (TC-06 to TC-23, rules G-05 to G-17), with bytes compared.

syntax.py. Each request is told by what differs from a good one; its answer must be the one named, must hold the offending
bytes in Failed-AVP, and must be an answer in every respect (family.conform). No fault may change an account or end the
connection, unless it is said. tests/cases/syntax.case has the same rules without the bytes.
"""
import struct

from family import (CODES, INITIAL, MSCC, P, R, T, TABLE, UPDATE, Closed, Message, Site, Tap, arguments, conform,
                    service, until)

AVP = TABLE.avp
ID_OF_NOBODY = ('Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', '999990000000000')])
PROXIES = [('Proxy-Info', [('Proxy-Host', 'dra1.spec.test'), ('Proxy-State', b'\x00\xffone')]),
           ('Proxy-Info', [('Proxy-Host', 'dra2.spec.test'), ('Proxy-State', bytes(range(256)))]),
           ('Proxy-Info', [('Proxy-State', b'unpadded!'), ('Proxy-Host', 'dra1.spec.test'), ((3999, 0, 0), b'more')])]


def raw(code, data, vendor=0, flags=None):
    return AVP((code, vendor, (0xc0 if vendor else 0x40) if flags is None else flags), data)


class Bench:
    """Sends requests to one node over one connection and judges the answers."""

    def __init__(self, tap, site):
        self.tap, self.site, self.node = tap, site, site.node
        self.gateway = site.node.client('pgw1')
        self.texts = {}

    def good(self, session=None, kind=INITIAL, number=0, services=(service(10),), **parts):
        return self.gateway.ccr_avps(session or self.gateway.session(), kind, number, services, **parts)

    def ask(self, name, avps, result, failed=None, flags=P, **header):
        """result: the one code that it must have; failed: the bytes of Failed-AVP's content, None if there is none. The answer."""
        request = self.gateway.message(header.pop('command', 'CCR'), flags, avps, **header)
        answer = self.gateway.ask(request)
        wrong = conform(request, answer, self.node)
        if answer.result != result:
            wrong.append(f'Result-Code {answer.result}, not {result}')
        if failed is not False:
            got = b''.join(a.data for a in answer.all('Failed-AVP'))
            want = b''.join(failed) if isinstance(failed, list) else failed or b''
            if got != want:
                wrong.append(f'Failed-AVP {got.hex()}, not {want.hex()}')
        self.tap.ok(not wrong, name, '\n'.join(wrong) + f'\n{answer}')
        if answer.result != 2001:
            self.texts.setdefault((answer.result, name), set()).add(answer['Error-Message'])
        return answer

    def without(self, name, **parts):
        return [a for a in self.good(**parts) if isinstance(a, bytes) or a[0] != name]

    def instead(self, name, value):
        """A good request with this AVP's value, or bytes in its place."""
        return [(value if isinstance(value, bytes) else (name, value)) if not isinstance(a, bytes) and a[0] == name else a
                for a in self.good()]


# --- header and routing

def routing(b):
    for name, avps, result in [
            ('TC-06 another realm', b.instead('Destination-Realm', 'other.test'), 3003),
            ('another realm, our host', [*b.instead('Destination-Realm', 'other.test'), ('Destination-Host', b.node.identity)],
             2001),
            ('our realm, another host', [*b.good(), ('Destination-Host', 'gyro9.spec.test')], 3002),
            ('our realm, our host', [*b.good(), ('Destination-Host', b.node.identity)], 2001),
            ('our host in capitals', [*b.good(), ('Destination-Host', b.node.identity.upper())], 2001),
            ('our realm in capitals', b.instead('Destination-Realm', 'SPEC.TEST'), 2001),
            ('our realm with something behind it', b.instead('Destination-Realm', 'spec.test.'), 3003),
            ('TC-07 a loop', [*b.good(), ('Route-Record', b.node.identity)], 3005),
            ('a loop behind others', [*b.good(), ('Route-Record', 'dra1.spec.test'), ('Route-Record', b.node.identity)], 3005),
            ('other hops', [*b.good(), ('Route-Record', 'dra1.spec.test')], 2001),
            ('a decorated User-Name', [*b.good(), ('User-Name', 'other.test!s1@spec.test')], 2001)]:
        b.ask(f'G-05 {name}', avps, result)
    b.ask('TC-07 application 99', b.good(), 3007, application=99)
    b.ask('TC-07 application 0', b.good(), 3007, application=0)
    b.ask('TC-07 command 999', b.good(), 3001, command=999)
    b.ask('TC-07 command 271 (ACR) of application 3', b.good(), 3007, command=271, application=3)
    b.ask('TC-07 command 258 (RAR), which clients don\'t send', b.good(), 3001, command='RAR')
    b.ask('TC-07 a CER with the P bit, which is none', b.good(), 3007, command='CER', application=0)
    b.ask('G-06 R and E', b.good(), 3008, flags=P | 0x20)
    b.ask('G-06 reserved bits', b.good(), 2001, flags=P | 0x0f)
    b.ask('G-06 the T bit', b.good(), 2001, flags=P | T)
    b.ask('G-07 no P bit', b.good(), 2001, flags=0)
    b.ask('G-07 no P bit, an error', b.without('Service-Context-Id'), 5005, AVP('Service-Context-Id', b''), flags=0)
    b.ask('G-07 no P bit, a protocol error', b.good(), 3007, flags=0, application=99)
    for hop, end in [(0, 0), (0xffffffff, 0xffffffff), (1, 0x80000000)]:
        b.ask(f'G-07 ids {hop:#x}, {end:#x}', b.good(), 2001, hop_by_hop=hop, end_to_end=end)
    for name, avps, result in [('a success', b.good(), 2001), ('TC-09 5030', b.good(who=[ID_OF_NOBODY]), 5030),
                               ('5005', b.without('CC-Request-Type'), 5005),
                               ('3003', b.instead('Destination-Realm', 'other.test'), 3003)]:
        b.ask(f'G-07 three Proxy-Info in {name}', [*avps, *PROXIES], result, False)
    b.ask('G-07 Proxy-Info between other AVPs', [PROXIES[0], *b.good()[1:4], PROXIES[1], *b.good(), PROXIES[2]], 5009, False)


# --- what is missing, unknown, or of the wrong length

def missing(b):
    for name, size in [('Service-Context-Id', 0), ('CC-Request-Type', 4), ('CC-Request-Number', 4), ('Origin-Host', 0),
                       ('Origin-Realm', 0), ('Destination-Realm', 0), ('Session-Id', 0)]:
        b.ask(f'G-08 no {name}', b.without(name), 5005, AVP(name, bytes(size)))
    b.ask('TC-23 an event without Requested-Action', b.good(kind=4), 5005, AVP('Requested-Action', bytes(4)))
    b.ask('G-17 a CCR-I without identity', b.good(who=None), 5005, AVP('Subscription-Id', b''))
    b.ask('G-08 a Subscription-Id without data', b.good(who=[('Subscription-Id', [('Subscription-Id-Type', 1)])]), 5005,
          AVP('Subscription-Id-Data', b''))
    b.ask('G-08 a Subscription-Id without type', b.good(who=[('Subscription-Id', [('Subscription-Id-Data', '46')])]), 5005,
          AVP('Subscription-Id-Type', bytes(4)))
    b.ask('G-08 nothing at all', [], 5005, False)


def unknown(b):
    three = raw(3999, b'abc')
    b.ask('TC-13 unknown with M', [*b.good(), raw(3999, b'abcd')], 5001, raw(3999, b'abcd'))
    b.ask('TC-13 and a padded one', [*b.good(), three], 5001, three)
    b.ask('TC-14 unknown without M', [*b.good(), raw(3999, b'abcd', flags=0)], 2001)
    b.ask('G-09 of an unknown vendor with M', [*b.good(), raw(1, b'x', 4711)], 5001, raw(1, b'x', 4711))
    b.ask('G-09 of an unknown vendor without M', [*b.good(), raw(1, b'x', 4711, 0x80)], 2001)
    b.ask('G-09 empty, with M', [*b.good(), raw(3999, b'')], 5001, raw(3999, b''))
    for group in ('Service-Information', MSCC, 'Subscription-Id'):
        inner = raw(3999, b'deep')
        avps = {'Service-Information': [*b.good(), (group, [('PS-Information', [inner])])],
                MSCC: b.good(services=[service(10, more=[inner])]),
                'Subscription-Id': b.good(who=[('Subscription-Id', [('Subscription-Id-Type', 1),
                                                                    ('Subscription-Id-Data', '460001000000001'), inner])])}
        answer = b.ask(f'G-09 unknown with M inside {group}', avps[group], 5001, False)
        b.tap.ok(inner in b''.join(a.raw + bytes(-len(a.raw) % 4) for a in answer.all('Failed-AVP')),
                 f'G-09 its bytes are in Failed-AVP, from {group}', answer)
    b.ask('G-09 M inside an unknown group without M', [*b.good(), raw(3998, raw(3999, b'in'), flags=0)], 2001)


def lengths(b):
    for name, sizes in [('CC-Request-Number', (0, 3, 5, 8)), ('CC-Request-Type', (0, 1, 8)), ('Auth-Application-Id', (2,))]:
        for size in sizes:
            bad = AVP(name, b'\x01' * size)
            b.ask(f'G-10 {name} of {size} octets', b.instead(name, bad), 5014, bad)
    for name, size in [('Event-Timestamp', 3), ('Event-Timestamp', 8), ('Origin-State-Id', 1), ('CC-Sub-Session-Id', 4),
                       ('Termination-Cause', 2), ('Requested-Action', 5), ('Multiple-Services-Indicator', 0)]:
        bad = AVP(name, b'\x02' * size)
        b.ask(f'G-10 {name} of {size} octets', [*b.good(), bad], 5014, bad)
    for name, inner in [('Rating-Group', bytes(8)), ('Service-Identifier', b'\x01'), ('Reporting-Reason', bytes(3))]:
        bad = AVP(name, inner)
        answer = b.ask(f'G-10 {name} of {len(inner)} octets in an MSCC', b.good(services=[(MSCC, [bad])]), 5014, False)
        b.tap.ok(bad.rstrip(b'\0')[:12] in answer.all('Failed-AVP')[0].raw, f'G-10 {name}: its bytes are in Failed-AVP', answer)
    for name, inner in [('CC-Total-Octets', bytes(4)), ('CC-Time', bytes(8))]:
        b.ask(f'G-10 {name} of {len(inner)} octets in an RSU',
              b.good(services=[(MSCC, [('Rating-Group', 10), ('Requested-Service-Unit', [(name, inner)])])]), 5014, False)
    overlong = struct.pack('>II', 432, 0x40000040) + bytes(4)  # claims 64 octets inside a group of 12
    b.ask('G-10 a group whose content does not fit', [*b.good(services=[]), (MSCC, overlong)], 5014, False)
    b.ask('G-10 a group with three octets in it', [*b.good(services=[]), (MSCC, b'abc')], 5014, False)
    short = struct.pack('>II', 432, 0x40000007)
    b.ask('G-10 a group with an AVP shorter than its header', [*b.good(services=[]), (MSCC, short)], 5014, False)


def frames(b):
    """What does not even add up as a message: an answer or the end of the connection, and no harm (TC-19)."""
    def broken(name, change, closes):
        gateway = b.node.client('pgw2')
        request = bytearray(gateway.message('CCR', P, gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)])))
        change(request)
        try:
            gateway.send(bytes(request))
            answer = gateway.receive(6)
            good = not closes and answer.result in (5014, 5011, 5015, 3009, 5004) and not conform(bytes(request), answer, b.node)
            got = answer
        except Closed as e:
            good, got = closes is not False and type(e) is Closed, e
        b.tap.ok(good, name, got)
        gateway.close()
        b.ask(f'{name}: the other connection is served on', b.good(), 2001)

    def put(offset, value):
        def change(request):
            request[offset:offset + len(value)] = value
        return change

    def last(change):
        """Works on the length field of the last AVP of the message."""
        def on(request):
            at = 20
            while True:
                length = int.from_bytes(request[at + 5:at + 8], 'big') + 3 & ~3
                if at + length >= len(request):
                    break
                at += length
            change(request, at)
        return on

    def extend(request, at):
        request[at + 5:at + 8] = (len(request) - at + 4).to_bytes(3, 'big')

    def shorten(request, at):
        request[at + 5:at + 8] = (3).to_bytes(3, 'big')

    def vast(request, at):
        request[at + 5:at + 8] = b'\xff\xff\xff'

    broken('TC-19 an AVP that reaches beyond the message', last(extend), None)
    broken('TC-19 an AVP of 16 million octets', last(vast), None)
    broken('G-10 an AVP shorter than its header', last(shorten), None)
    broken('G-10 the first AVP shorter than its header', put(20 + 5, b'\x00\x00\x00'), None)
    broken('G-10 version 2', put(0, b'\x02'), None)
    broken('G-10 version 0', put(0, b'\x00'), None)
    broken('G-10 a message of 19 octets', put(1, b'\x00\x00\x13'), True)
    broken('G-10 a message of 0 octets', put(1, b'\x00\x00\x00'), True)
    broken('G-10 a message of 16 million octets', put(1, b'\xff\xff\xff'), True)
    broken('G-10 a length that is no multiple of four', lambda m: (put(1, (len(m) + 2).to_bytes(3, 'big'))(m), m.extend(b'ab')), None)
    gateway = b.node.client('pgw2')
    request = gateway.message('CCR', P, gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)]))
    for part in (request[:1], request[1:4], request[4:21], request[21:200], request[200:]):
        gateway.send(part)
        until(lambda: False, 0.05)
    b.tap.equal(gateway.receive_answer(int.from_bytes(request[12:16], 'big')).result, 2001, 'a request that comes in five pieces')
    batch = [gateway.message('CCR', P, gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(30)])) for _ in range(50)]
    gateway.send(b''.join(batch))
    got = [gateway.receive().hop_by_hop for _ in batch]
    b.tap.equal(sorted(got), sorted(int.from_bytes(m[12:16], 'big') for m in batch), 'fifty requests in one piece')
    gateway.disconnect()


# --- values

def values(b):
    for value in (0, 5, 9, 255, 0xffffffff):
        bad = AVP('CC-Request-Type', struct.pack('>I', value))
        answer = b.ask(f'TC-17 CC-Request-Type {value}', b.instead('CC-Request-Type', bad), 5004, bad)
    for value in (0, 3, 5, 0x01000000):
        bad = AVP('Auth-Application-Id', value)
        b.ask(f'TC-22 Auth-Application-Id {value}', b.instead('Auth-Application-Id', bad), 5004, bad)
    bad = AVP('Requested-Action', 7)
    b.ask('TC-23 Requested-Action 7', [*b.good(kind=4), bad], 5004, bad)
    for name, data in [('Service-Context-Id', b'\xff\xfe32251@3gpp.org'), ('Session-Id', b'a;\xc3\x28;1'),
                       ('User-Name', b'\xf8\x88\x80\x80\x80')]:
        bad = AVP(name, data)
        avps = [*b.good(), bad] if name == 'User-Name' else b.instead(name, bad)
        b.ask(f'G-11 {name} that is not UTF-8', avps, 5004, bad)
    for data in (b'\xed\xa0\x80', b'\xc0\xaf', b'\xf4\x90\x80\x80', b'\x80', b'\xe2\x82'):
        b.ask(f'G-11 a Subscription-Id-Data of {data.hex()}', b.good(who=[(
            'Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', data)])]), 5004, False)
    for data in (b'spec\xff.test', b'spec test', b'spec.test\0', b'\xc3\xa4.test', b''):
        bad = AVP('Origin-Realm', data)
        b.ask(f'G-11 an Origin-Realm of {data!r}', b.instead('Origin-Realm', bad), 5004, bad)
    for who in ([('User-Name', 'a\0b')], [('Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', '4600\0')])],
                [('Subscription-Id-Extension', [('Subscription-Id-NAI', '\0')])]):
        b.ask(f'G-11 a NUL octet in {who[0][0]}', b.good(who=who), 5004, AVP(*who[0]))
    bad = AVP('Tariff-Change-Usage', 3)
    answer = b.ask('G-11 Tariff-Change-Usage 3', b.good(services=[service(10, used=[('CC-Total-Octets', 1), bad])]), 5004, False)
    b.tap.ok(bad in answer.all('Failed-AVP')[0].raw, 'G-11 its bytes are in Failed-AVP', answer)
    session = b.gateway.session()
    b.ask('G-11 a session for what follows', b.good(session), 2001)
    b.ask('G-11 an unknown Reporting-Reason is accepted', b.good(session, UPDATE, 1, [service(10, reason=77)]), 2001)
    b.ask('G-11 an unknown Trigger-Type is accepted',
          b.good(session, UPDATE, 2, [service(10, more=[('Trigger', [('Trigger-Type', 999)])])]), 2001)
    b.ask('G-11 an unknown Subscription-Id-Type is skipped', b.good(more=[('Subscription-Id', [
        ('Subscription-Id-Type', 9), ('Subscription-Id-Data', 'who')])]), 2001)


def surplus(b):
    for name, value in [('CC-Request-Number', 7), ('CC-Request-Type', 1), ('Service-Context-Id', '32251@3gpp.org'),
                        ('Auth-Application-Id', 4), ('Destination-Realm', 'spec.test'), ('Session-Id', 'pgw1.spec.test;1;2')]:
        b.ask(f'G-12 two {name}', [*b.good(), (name, value)], 5009, AVP(name, value))
    # Kamailio tells its Origin twice: the same octets again are no fault, other ones are.
    for name, value, other in [('Origin-Host', 'pgw1.spec.test', 'PGW1.spec.test'), ('Origin-Realm', 'spec.test', 'spec.Test')]:
        b.ask(f'G-12 {name} twice, in the same octets', [*b.good(), (name, value)], 2001)
        b.ask(f'G-12 {name} twice, not in the same octets', [*b.good(), (name, other)], 5009, AVP(name, other))
        b.ask(f'G-12 {name} three times, the last one differs', [*b.good(), (name, value), (name, other)], 5009, AVP(name, other))
    second = AVP('Rating-Group', 11)
    b.ask('TC-20 two Rating-Group', b.good(services=[service(10, more=[second])]), 5009, second)
    b.ask('TC-20 three Rating-Group: the second is the first that is too many',
          b.good(services=[service(10, more=[second, ('Rating-Group', 12)])]), 5009, second)
    empty = AVP('Requested-Service-Unit', [])
    b.ask('G-12 two Requested-Service-Unit', b.good(services=[service(10, more=[empty])]), 5009, empty)
    b.ask('G-12 a Granted-Service-Unit in a request is ignored',
          b.good(services=[service(10, more=[('Granted-Service-Unit', [('CC-Total-Octets', 1)])])]), 2001)


def first_error(b):
    """G-13: one error is reported; where it stands in the message and what else is wrong doesn't make two of it."""
    one, two = raw(3999, b'one!'), raw(3998, b'two!')
    b.ask('G-13 two unknown AVPs: the first', [*b.good(), one, two], 5001, one)
    b.ask('G-13 a realm not ours, and something missing', [a for a in b.instead('Destination-Realm', 'other.test')
                                                           if a[0] != 'CC-Request-Type'], 3003, False)
    b.ask('G-13 unknown, and something missing', [*b.without('Service-Context-Id'), one], 5001, False)
    b.ask('G-13 a value, and a service that is refused', [*b.instead('CC-Request-Type', 9), service(50)], 5004, False)


def order(b):
    reverse = b.good(services=[service(10), service(11)])
    answer = b.ask('TC-10 all AVPs after Session-Id in reverse', [reverse[0], *reverse[:0:-1]], 2001)
    b.tap.equal([s['Rating-Group'] for s in answer.services], [11, 10], 'TC-10 the services in the order they came')
    b.ask('G-15 Session-Id last', [*b.good()[1:], b.good()[0]], 2001, False)
    inside = service(10, used=[('CC-Total-Octets', 5)])
    b.ask('G-15 the AVPs of an MSCC in reverse', b.good(services=[(MSCC, inside[1][::-1])]), 2001)


def identities(b):
    def who(*pairs):
        return [('Subscription-Id', [('Subscription-Id-Type', k), ('Subscription-Id-Data', v)]) for k, v in pairs]

    imsi, e164, two = '460001000000001', '8613800000001', '8613800000002'
    for name, avps in [('IMSI', who((1, imsi))), ('E.164', who((0, e164))), ('E.164 with +', who((0, '+' + e164))),
                       ('NAI', who((3, 's1@spec.test'))), ('private', who((4, 's1-private'))), ('SIP URI', who((2, 'sip:s1@spec.test'))),
                       ('User-Name', [('User-Name', 'subscriber-1')]), ('User-Name with an IMSI', [('User-Name', imsi)]),
                       ('both of one account', who((0, e164), (1, imsi))),
                       ('one that nobody knows beside one of ours', who((0, '8613999999999'), (1, imsi))),
                       ('Subscription-Id-Extension', [('Subscription-Id-Extension', [('Subscription-Id-IMSI', imsi)])]),
                       ('Subscription-Id inside Service-Information', [('Service-Information', who((1, imsi)))])]:
        b.ask(f'TC-24 by {name}', b.good(who=avps), 2001)
    first, second = (AVP(*a) for a in who((1, imsi), (0, two)))
    answer = b.ask('TC-27 IMSI of one and E.164 of another account', b.good(who=[first, second]), 5007, False)
    content = b''.join(a.data for a in answer.all('Failed-AVP'))
    b.tap.ok(first in content and second in content and len(content) == len(first) + len(second),
             'TC-27 both are in Failed-AVP, byte for byte', answer)
    b.ask('TC-25 an IMSI that nobody has', b.good(who=[ID_OF_NOBODY]), 5030)
    b.ask('G-17 only a type that nobody knows', b.good(who=who((9, 'x'))), 5005, False)
    b.ask('G-16 an IMEI is no identity', b.good(who=[('User-Equipment-Info', [
        ('User-Equipment-Info-Type', 0), ('User-Equipment-Info-Value', b'1234567890123456')])]), 5005, False)
    session = b.gateway.session()
    b.ask('G-17 a session of S1', b.good(session), 2001)
    b.ask('G-17 its CCR-U without identity', b.good(session, UPDATE, 1, who=None), 2001)
    other = AVP(*who((1, '460001000000002'))[0])
    answer = b.ask('G-17 its CCR-U with the identity of S2', b.good(session, UPDATE, 2, who=[other]), 5004, False)
    b.tap.ok(other in b''.join(a.data for a in answer.all('Failed-AVP')), 'G-17 that identity is in Failed-AVP', answer)


def reused(b):
    """G-86: a number used again for something else."""
    session = b.gateway.session()
    b.ask('G-86 a session', b.good(session), 2001)
    b.ask('G-86 its CCR-U 1', b.good(session, UPDATE, 1, [service(10, used=1)]), 2001)
    b.ask('G-86 another CCR-U 1: the number is in Failed-AVP', b.good(session, UPDATE, 1, [service(10, used=2)]), 5004,
          AVP('CC-Request-Number', 1))
    b.ask('G-23 the Session-Id of an open session', b.good(session, number=7), 5012)


def echoes(b):
    sub = [('CC-Sub-Session-Id', 77), ('Acct-Multi-Session-Id', 'multi;1')]
    answer = b.ask('G-31 CC-Sub-Session-Id and Acct-Multi-Session-Id', [*b.good(), *sub], 2001)
    b.tap.equal((answer['CC-Sub-Session-Id'], answer['Acct-Multi-Session-Id']), (77, 'multi;1'), 'G-31 both are echoed')
    answer = b.ask('G-44 Rating-Group with Service-Identifiers', b.good(services=[
        service(10, identifiers=[1001]), service(10, identifiers=[1002]), service(10)]), 2001)
    b.tap.equal([(s['Rating-Group'], s['Service-Identifier']) for s in answer.services], [(10, 1001), (10, 1002), (10, None)],
                'TC-54 each service echoes what names it')
    longest = 'pgw1.spec.test;' + 'x' * 200
    b.tap.equal(b.ask('a long Session-Id', b.good(longest), 2001)['Session-Id'], longest, 'comes back whole')
    for context, result in [('8.32251@3gpp.org', 2001), ('ext.001.460.15.32251@3gpp.org', 2001), ('32260@3gpp.org', 5031),
                            ('x32251@3gpp.org', 5031), ('', 5031)]:
        bad = AVP('Service-Context-Id', context)
        b.ask(f'TC-37 Service-Context-Id "{context}"', b.instead('Service-Context-Id', bad),
              result, bad if result != 2001 else None)


def texts(b):
    """G-14: the same fault has the same text; no text names money or a subscriber."""
    for _ in range(2):
        b.ask('G-14 a fault', [*b.good(), raw(3999, b'abcd')], 5001, raw(3999, b'abcd'))
        b.ask('G-14 another fault', b.good(who=[ID_OF_NOBODY]), 5030)
    b.tap.ok(all(len(b.texts[key]) == 1 for key in b.texts if key[1].startswith('G-14')), 'G-14 twice the same text', b.texts)
    said = sorted({t for texts in b.texts.values() for t in texts})
    secret = [t for t in said if any(word in t for word in ('46000', '99999', '86138', 'postgres', 'gyro.', '/'))]
    b.tap.ok(said and not secret, 'G-14 no text holds an identity, a table or a path', secret)


def untouched(b, tables):
    """No fault left a trace: before and after are the same."""
    return b.site.pg.query('SELECT account_id, balance FROM gyro.account ORDER BY 1') == tables


def main():
    arguments(__doc__)
    tap = Tap()
    with Site(settings={'log_level': 'error'}) as site:
        b = Bench(tap, site)
        pid, balances = site.node.pid, site.pg.query('SELECT account_id, balance FROM gyro.account ORDER BY 1')
        for part in (routing, missing, unknown, lengths, frames, surplus, first_error, order, identities, reused, echoes, texts):
            part(b)
        tap.ok(untouched(b, balances), 'none of all that cost anybody anything')
        faults = site.pg.query("SELECT count(*) FROM gyro.record WHERE result BETWEEN 3000 AND 3999 OR result BETWEEN 5001 AND 5016"
                               ' AND result <> 5002')
        values(b)
        tap.equal(faults, [['0']], 'a fault of form leaves no record')
        tap.equal(site.node.pid, pid, 'the same process all the time')
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
