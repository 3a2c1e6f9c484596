#!/usr/bin/python3
"""Whatever a gateway answers to a RAR, the node lives, its memory is bounded, and the outbox goes on.

First answers that are wrong in one way each, with what must come of them; then random damage. Many messages, one
node, less than a minute. GYRO_SEED=n repeats a run, GYRO_ROUNDS=n makes it longer.
"""
import os
import random
import time

from outbox import call, eventually, last, opened, outbox, request, settles, uuid_of
from diameter import CODES, E, INITIAL, P, R, TABLE, TERMINATION, UPDATE, Closed, Silent, header, service
from node import Site
from tap import Tap

SEED = int(os.environ.get('GYRO_SEED') or random.SystemRandom().randrange(1 << 32))
S1 = '460001000000001'
TIMEOUT_MS = 300
SESSIONS, ROUNDS = 120, int(os.environ.get('GYRO_ROUNDS') or 8)
DONE, UNHEARD, REFUSED = ('done', 'accepted', '2001'), ('failed', 'no answer', ''), ('failed', 'refused', '0')
# An AddressSanitizer build keeps what is freed; not so much that it looks like growth.
os.environ.setdefault('ASAN_OPTIONS', 'quarantine_size_mb=4')
tap = Tap()
print(f'# seed {SEED}')


def answer(request_, avps, code=258, flags=P, application=4, hop=None, end=None):
    return header(code, flags, application, request_.hop_by_hop if hop is None else hop,
                  request_.end_to_end if end is None else end, avps if isinstance(avps, bytes) else TABLE.avps(avps))


def parts(request_, result=2001):
    return [('Session-Id', request_['Session-Id']), ('Result-Code', result), ('Origin-Host', 'pgw1.spec.test'),
            ('Origin-Realm', 'spec.test')]


def nested(depth):
    data = b''
    for _ in range(depth):
        data = TABLE.avp('Failed-AVP', data)
    return data


def wrong_answers(m):
    """name, bytes, what must come of it (None: whatever)."""
    good = parts(m)
    unknown = ((99999, 0, 0x40), b'abcd')
    yield 'the AVPs of other applications too', answer(m, good + [('Rating-Group', 10), ('CC-Sub-Session-Id', 5)]), DONE
    yield 'an unknown AVP', answer(m, good + [((99999, 10415, 0x80), b'abcd')]), DONE
    yield 'an unknown mandatory AVP', answer(m, good + [unknown]), DONE
    yield 'an unknown mandatory AVP first (F1)', answer(m, [unknown] + good), DONE
    yield 'an unknown mandatory AVP before an error', answer(m, [unknown] + parts(m, 5003)), ('failed', 'refused', '5003')
    yield 'no Session-Id', answer(m, good[1:]), DONE
    yield "another session's Session-Id", answer(m, [('Session-Id', 'x;1;2')] + good[1:]), DONE
    yield 'no Origin-Realm', answer(m, good[:3]), DONE
    yield 'two Result-Codes', answer(m, good + [('Result-Code', 5002)]), DONE
    yield 'Result-Code last', answer(m, good[:1] + good[2:] + good[1:2]), DONE
    yield 'the E bit with 2001', answer(m, good, flags=P | E), DONE
    yield 'no P bit', answer(m, good, flags=0), None
    yield 'another End-to-End id', answer(m, good, end=1), None
    yield 'no AVP at all', answer(m, b''), REFUSED
    yield 'no Result-Code', answer(m, good[:1] + good[2:]), REFUSED
    yield 'Experimental-Result instead', answer(m, good[:1] + good[2:] + [
        ('Experimental-Result', [('Vendor-Id', 10415), ('Experimental-Result-Code', 5002)])]), REFUSED
    yield 'Result-Code 0', answer(m, parts(m, 0)), REFUSED
    yield 'Result-Code 4294967295', answer(m, parts(m, 4294967295)), ('failed', 'refused', '4294967295')
    yield 'Result-Code of three octets', answer(m, good[:1] + [((268, 0, 0x40), b'\0\7\xd1')] + good[2:]), REFUSED
    yield 'Result-Code of eight octets', answer(m, good[:1] + [((268, 0, 0x40), bytes(6) + b'\7\xd1')] + good[2:]), REFUSED
    yield 'Result-Code of a vendor', answer(m, good[:1] + [((268, 10415, 0xc0), b'\0\0\7\xd1')] + good[2:]), REFUSED
    yield 'a Proxy-Info with nothing in it', answer(m, good + [('Proxy-Info', [])]), None
    yield 'a Route-Record that names us', answer(m, good + [('Route-Record', 'gyro1.spec.test')]), DONE
    yield 'Failed-AVP in Failed-AVP, ten deep', answer(m, parts(m, 5004) + [nested(10)]), ('failed', 'refused', '5004')
    yield 'sixty thousand octets', answer(m, good + [('Error-Message', 'x' * 60000)]), DONE
    for code in (257, 258 + 1, 272, 274, 280, 282, 999, 16777215):
        yield f'command {code}', answer(m, good, code=code), None
        yield f'command {code} with an error', answer(m, parts(m, 5012), code=code, flags=P | E), None
        yield f'command {code} without P', answer(m, parts(m), code=code, flags=0, application=0), None
    yield 'application 0', answer(m, good, application=0), None
    yield 'application 16777238', answer(m, good, application=16777238), None
    yield 'a request instead: our own RAR', answer(m, good, flags=R | P), None
    # From here on the connection may be closed (extensions/acl_gyro/judge.c).
    yield 'a NUL in Session-Id', answer(m, [((263, 0, 0x40), b'a\0b')] + good[1:]), None
    yield 'an empty Session-Id', answer(m, [((263, 0, 0x40), b'')] + good[1:]), None
    yield 'an AVP shorter than its header', answer(m, TABLE.avps(good) + bytes.fromhex('0000010c40000004')), None
    yield 'an AVP longer than the message', answer(m, TABLE.avps(good) + bytes.fromhex('0000010c40ffffff00000000')), None
    yield 'AVPs that end in the middle', answer(m, TABLE.avps(good) + bytes(4)), None
    yield 'Failed-AVP in Failed-AVP, two thousand deep', answer(m, good + [nested(2000)]), None


class Gateway:
    """pgw1, which comes back whenever its connection has gone."""

    def __init__(self, node):
        self.node, self.client, self.lost = node, node.client('pgw1'), -1
        self.connect()

    def connect(self):
        end = time.monotonic() + 10
        self.lost += 1
        while True:
            try:
                self.client.close()
                self.client = self.node.client('pgw1', timeout=5)
                if self.client.cea.result == 2001:
                    return
            except (ConnectionError, OSError):
                pass
            if time.monotonic() > end:
                raise RuntimeError('the node takes no connection any more')
            time.sleep(0.05)

    def request(self, seconds=3):
        """The next request; None if there is none in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = self.client.receive(max(0.01, end - time.monotonic()))
            except Silent:
                return None
            except (Closed, ConnectionError):
                self.connect()
                continue
            if message.is_request and message.code == CODES['DPR']:
                self.client.reply(message, 2001)
            elif message.is_request:
                return message
        return None

    def send(self, raw):
        try:
            self.client.send(raw)
        except (ConnectionError, OSError):
            self.connect()

    def charge(self, *what, **how):
        for _ in range(5):
            try:
                return self.client.charge(*what, **how)
            except (Closed, ConnectionError):
                self.connect()
        raise RuntimeError('no answer to a CCR')


def one_by_one(site, gateway):
    session = gateway.client.session()
    gateway.charge(session, INITIAL, 0, [service(10)], who=S1)
    uuid = uuid_of(site, session)
    begin = site.node.descriptors()
    count = len(list(wrong_answers(type('M', (), {'hop_by_hop': 1, 'end_to_end': 1, '__getitem__': lambda *_: 'x'})())))
    for n in range(count):
        call(site, f"gyro.reauthorize_session('{uuid}', NULL, 'test {n}')")
        message = gateway.request()
        if message is None:
            tap.ok(False, f'RAR {n} came')
            continue
        name, raw, want = list(wrong_answers(message))[n]
        gateway.send(raw)
        if want:
            tap.equal(settles(site, session, want), want, name)
        while not eventually(lambda: last(site, session)[0] in ('done', 'failed'), 0.05):
            again = gateway.request(0.2)
            if again is not None:
                gateway.client.reply(again, 2001)
        if not want:
            tap.ok(site.node.pid, name, site.node.tail())
    tap.ok(site.node.descriptors() <= begin + 3, 'no connection is left over', site.node.descriptors())
    state = gateway.charge(session, UPDATE, 1, [service(10, used=0)], who=S1)
    tap.equal(state.result, 2001, 'the session lives: 5002 was in none that counts')
    gateway.charge(session, TERMINATION, 2, [service(10, rsu=None, used=0)], who=S1)


def damaged(rng, raw):
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        kind, at = rng.randrange(5), rng.randrange(20, len(data))
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice((0, 1, 0x7f, 0x80, 0xff))
        elif kind == 2 and len(data) > 60:
            del data[at:at + 4 * rng.randrange(1, 4)]
        elif kind == 3:
            data[at:at] = rng.randbytes(4 * rng.randrange(1, 4))
        else:  # a header octet, but version, length and Hop-by-Hop
            data[rng.choice((4, 5, 6, 7, 8, 9, 10, 11, 16))] ^= 1 << rng.randrange(8)
    data[1:4] = len(data).to_bytes(3, 'big')
    return bytes(data)


def random_damage(site, gateway):
    rng = random.Random(SEED)
    imsis = site.people(SESSIONS, first=3000)
    for imsi in imsis:
        gateway.charge(gateway.client.session(), INITIAL, 0, [service(10)], who=imsi)
    memory, sent = [], 0
    for round_ in range(ROUNDS):
        site.pg.query(f"SELECT gyro.reauthorize_account(n, 'round {round_}') FROM generate_series(3000, {2999 + SESSIONS}) n")
        quiet = 0
        while quiet < 2:
            message = gateway.request(0.3)
            if message is None:
                quiet += 1
                continue
            quiet = 0
            good = answer(message, parts(message, rng.choice((2001, 2002, 3002, 5003, 5012))) + [('Origin-State-Id', 1)])
            if rng.randrange(8):
                gateway.send(damaged(rng, good))
                sent += 1
        memory.append(site.node.status('VmRSS'))
        if not site.node.pid:
            break
    tap.ok(site.node.pid, f'{sent} damaged answers, {gateway.lost} connections lost: the node lives', site.node.tail())
    tap.ok(sent > SESSIONS * ROUNDS / 5, 'there were many', f'{sent}')
    tap.ok(memory[-1] < memory[2] + 8192, 'memory is bounded', f'{memory} KiB')
    stuck = eventually(lambda: outbox(site, "state_name NOT IN ('done', 'failed')") == [], 20)
    tap.ok(stuck, 'no row is stuck', outbox(site, "state_name NOT IN ('done', 'failed')")[:3])


with Site(settings={'rar_timeout_ms': TIMEOUT_MS}) as site:
    gateway = Gateway(site.node)
    one_by_one(site, gateway)
    random_damage(site, gateway)
    session, _ = opened(gateway.client, S1)
    call(site, f"gyro.reauthorize_session('{uuid_of(site, session)}', NULL, 'test')")
    while (message := gateway.request()) is not None:  # leftovers of before first
        gateway.client.reply(message, 2001)
        if message['Session-Id'] == session:
            break
    tap.equal(settles(site, session, DONE), DONE, 'and after all that a RAR is sent and answered as ever')
    gateway.client.close()
    site.check(tap)
print(f'# seed {SEED}')
tap.done()
