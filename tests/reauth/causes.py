#!/usr/bin/python3
"""RAR and ASR: which causes ask for them, their very bytes, what follows from the answer (G-80 to G-83, TC-91, TC-93).

One node, one gateway that no Gyro code is in. About half a minute.
"""
import time

from outbox import call, eventually, expected, last, of_session, opened, outbox, request, settles, silent, topup, uuid_of
from diameter import MIB, TERMINATION, UPDATE, service
from node import Site
from tap import Tap

S1, S2, S3, S6, S8, S9 = (f'46000100000000{n}' for n in (1, 2, 3, 6, 8, 9))
FORCED_REAUTHORISATION, FINAL = 7, 2
TIMEOUT_MS = 600
tap = Tap()


def granted(answer, n=0):
    return answer.services[n]['Granted-Service-Unit/CC-Total-Octets']


def final(answer, n=0):
    return answer.services[n]['Final-Unit-Indication/Final-Unit-Action']


def head(session):
    return [('Session-Id', session), ('Origin-Host', 'gyro1.spec.test'), ('Origin-Realm', 'spec.test'),
            ('Destination-Realm', 'spec.test'), ('Destination-Host', 'pgw1.spec.test'), ('Auth-Application-Id', 4)]


def rar(session, more=()):
    return [*head(session), ('Re-Auth-Request-Type', 0), *more]


def close(gateway, session, number, who):
    return gateway.charge(session, TERMINATION, number, [service(10, rsu=None, used=0, reason=FINAL)], who=who)


def tc_91(site, gateway):
    session, answer = opened(gateway, S2)
    tap.equal((granted(answer), final(answer)), (3 * MIB, 0), 'TC-91 the money is enough for final units only')
    begin = time.monotonic()
    topup(site, 2, 50_000_000)
    message = request(gateway)
    took = time.monotonic() - begin
    tap.ok(message is not None and took < 1, 'TC-91 a top-up: the RAR comes within a second', f'{took:.3f} s')
    tap.equal(message.raw.hex(), expected(message, 'RAR', rar(session)).hex(), 'TC-91 its bytes are those of G-80')
    tap.equal(last(site, session), ('on its way', '', ''), 'TC-91 on its way until the answer')
    gateway.reply(message, 2002)
    tap.equal(settles(site, session, ('done', 'accepted', '2002')), ('done', 'accepted', '2002'), 'RAA 2002: done')
    answer = gateway.charge(session, UPDATE, 1, [service(10, used=MIB, reason=FORCED_REAUTHORISATION)], who=S2)
    tap.equal((granted(answer), final(answer)), (10 * MIB, None), 'TC-62 the CCR-U that follows gets a full grant')
    topup(site, 2)
    tap.equal(len(of_session(site, session)), 1, 'a session with a full grant gets no hint of a top-up')
    site.pg.query(f"SELECT gyro.reauthorize_session('{uuid_of(site, session)}', NULL, 'operator')")
    gateway.reply(request(gateway), 5002)
    tap.equal(settles(site, session, ('done', 'the gateway has no such session', '5002')),
              ('done', 'the gateway has no such session', '5002'), 'TC-91 RAA 5002: done')
    tap.equal(eventually(lambda: site.money(2)[1] == 0), True, 'TC-91 and what it held is released')
    state = site.pg.value(f"SELECT state_name FROM gyro.session WHERE session_id = '{session}'")
    tap.equal(state, 'released', 'TC-91 and the session is closed')
    tap.equal(site.money(2)[0], 300_000 + 51_000_000 - 100_000, 'and nothing but the usage was debited')


def waiting_for_money(site, gateway):
    session, answer = opened(gateway, S3)
    tap.equal(answer.services[0]['Result-Code'], 4012, 'refused with 4012')
    topup(site, 3)
    message = request(gateway)
    tap.equal(message and message['Session-Id'], session, 'a top-up asks a session that was refused with 4012')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))
    close(gateway, session, 1, S3)

    imsi, other = site.people(2, first=1000, micros=300_000)
    session, answer = opened(gateway, imsi, [service(60)])
    tap.equal(final(answer), 1, 'final units, with redirection')
    gateway.charge(session, UPDATE, 1, [service(60, rsu=None, used=3 * MIB, reason=FINAL)], who=imsi)
    topup(site, 1000)
    message = request(gateway)
    tap.equal(message and message['Session-Id'], session, 'and one that has used its final units')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))

    session, answer = opened(gateway, other, [service(10), service(30)])
    for number in range(1, 7):
        gateway.charge(session, UPDATE, number, [service(30, used=0)], who=other)
    kept = site.pg.value('SELECT count(*) FROM gyro.kept_answer WHERE account_id = 1001 AND rating_group = 10')
    tap.equal(kept, '0', 'the answer with the final units is kept no longer')
    topup(site, 1001)
    message = request(gateway)
    tap.equal(message and message['Session-Id'], session, 'but the reservation tells that the session waits')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))


def profile_causes(site, gateway):
    site.pg.query("INSERT INTO gyro.specific_tariff (code) VALUES ('other')")
    eight, _ = opened(gateway, S8, [service(10, rsu=MIB)])
    nine, _ = opened(gateway, S9, [service(10, rsu=MIB)])
    site.pg.query("UPDATE gyro.subscriber SET tariff_id = (SELECT tariff_id FROM gyro.specific_tariff WHERE code = 'other')"
                  " WHERE subscriber_id = 8")
    message = request(gateway)
    tap.equal(message and message['Session-Id'], eight, "another tariff code asks the subscriber's sessions")
    gateway.reply(message, 2001)
    tap.equal(of_session(site, nine), [], 'and no other of the account')
    settles(site, eight, ('done', 'accepted', '2001'))
    site.pg.query('UPDATE gyro.subscriber SET state = state, tariff_id = tariff_id, created = created;'
                  'UPDATE gyro.account SET state = state, credit_limit = credit_limit')
    tap.equal(len(outbox(site, "state_name IN ('waiting', 'on its way')")), 0, 'no change, no RAR')
    site.pg.query('UPDATE gyro.account SET credit_limit = 5000000 WHERE account_id = 8')
    tap.equal(len(of_session(site, nine)), 0, 'more credit is no news for a full grant')
    site.pg.query('UPDATE gyro.account SET credit_limit = 0 WHERE account_id = 8')
    for _ in range(2):
        gateway.reply(request(gateway), 2001)
    reasons = (of_session(site, eight)[-1]['reason'], of_session(site, nine)[-1]['reason'])
    tap.equal(reasons, ('credit limit', 'credit limit'), 'less credit is')
    settles(site, eight, ('done', 'accepted', '2001'))
    settles(site, nine, ('done', 'accepted', '2001'))
    site.pg.query("UPDATE gyro.account SET valid_until = now() + interval '1 day' WHERE account_id = 8")
    for _ in range(2):
        gateway.reply(request(gateway), 2001)
    tap.equal(of_session(site, nine)[-1]['reason'], 'validity', 'and so is the end of validity')
    settles(site, nine, ('done', 'accepted', '2001'))
    close(gateway, eight, 1, S8)
    close(gateway, nine, 1, S9)
    site.pg.query("BEGIN; UPDATE gyro.subscriber SET state = 2 WHERE subscriber_id = 6; ROLLBACK")
    tap.equal(call(site, f"gyro.reauthorize_session('{uuid_of(site, nine)}', NULL, 'x')"), 0, 'nothing for an ended session')


def tc_93(site, gateway):
    session, _ = opened(gateway, S1)
    site.gyroctl('subscriber', 'bar', '1')
    message = request(gateway)
    tap.equal(message.raw.hex(), expected(message, 'ASR', head(session)).hex(), 'TC-93 barring: an ASR of just these bytes')
    gateway.reply(message, 2001)
    tap.equal(settles(site, session, ('done', 'accepted', '2001')), ('done', 'accepted', '2001'), 'TC-93 ASA 2001: done')
    answer = gateway.charge(session, TERMINATION, 1, [service(10, rsu=None, used=MIB, reason=FINAL)], who=S1)
    tap.equal((answer.result, site.money(1)), (2001, (99_900_000, 0)), 'TC-93 the CCR-T closes it as any other')
    site.gyroctl('subscriber', 'unbar', '1')
    tap.equal(len(of_session(site, session)), 1, 'unbarring has no session to ask')

    session, _ = opened(gateway, S1)
    site.pg.query('UPDATE gyro.outbox_policy SET on_barring = 1')
    site.pg.query('UPDATE gyro.account SET state = 2 WHERE account_id = 1')
    message = request(gateway)
    tap.equal(message.raw.hex(), expected(message, 'RAR', rar(session)).hex(), 'barring with the other setting: a RAR')
    gateway.reply(message, 2002)
    answer = gateway.charge(session, UPDATE, 1, [service(10, used=MIB, reason=FORCED_REAUTHORISATION)], who=S1)
    tap.equal((answer.services[0]['Result-Code'], granted(answer)), (4010, None), 'the CCR-U is paid and denied')
    settles(site, session, ('done', 'accepted', '2002'))
    site.pg.query('UPDATE gyro.account SET state = 1 WHERE account_id = 1; UPDATE gyro.outbox_policy SET on_barring = 2')
    message = request(gateway)
    tap.equal((message['Session-Id'], of_session(site, session)[-1]['reason']), (session, 'account unbarred'),
              'unbarring asks again')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))

    uuid = uuid_of(site, session)
    call(site, f"gyro.abort_session('{uuid}', 'operator')")
    message = request(gateway)
    gateway.reply(message, 5002)
    tap.equal(settles(site, session, ('done', 'the gateway has no such session', '5002'))[0], 'done', 'ASA 5002: done')
    tap.equal(eventually(lambda: site.money(1)[1] == 0), True, 'and released')


def shapes(site, gateway):
    session = gateway.session()
    gateway.charge(session, 1, 0, [service(10)], who=S1, more=[('CC-Sub-Session-Id', 77)])
    call(site, f"gyro.reauthorize_session('{uuid_of(site, session)}', 10, 'operator')")
    message = request(gateway)
    want = rar(session, [('CC-Sub-Session-Id', 77), ('Rating-Group', 10)])
    tap.equal(message.raw.hex(), expected(message, 'RAR', want).hex(), 'CC-Sub-Session-Id and Rating-Group in a RAR')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))
    call(site, f"gyro.abort_session('{uuid_of(site, session)}', 'operator')")
    message = request(gateway)
    tap.equal(message.raw.hex(), expected(message, 'ASR', head(session)).hex(), 'neither in an ASR: it ends the whole session')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))
    gateway.charge(session, TERMINATION, 1, [service(10, rsu=None, used=0)], who=S1, more=[('CC-Sub-Session-Id', 77)])


def another_gateway(site, gateway):
    """The session goes on over another gateway: that one is asked (G-80: the client's last Origin-Host)."""
    session, _ = opened(gateway, S1)
    with site.node.client('pgw10') as other:
        other.charge(session, UPDATE, 1, [service(10, used=MIB)], who=S1)
        call(site, f"gyro.reauthorize_session('{uuid_of(site, session)}', NULL, 'operator')")
        message = request(other)
        tap.equal(message and (message['Session-Id'], message['Destination-Host']), (session, 'pgw10.spec.test'),
                  'a session that another gateway took over: that one is asked')
        other.reply(message, 2001)
        settles(site, session, ('done', 'accepted', '2001'))
        close(other, session, 2, S1)
        other.disconnect()


def later(site, sql, seconds=0.7):
    """Runs a cause, and keeps the nodes from sending for a while."""
    site.pg.query(f"BEGIN; {sql}; UPDATE gyro.outbox SET next_at = now() + interval '{seconds} s' WHERE state = 1; COMMIT")


def crossing(site, gateway):
    """G-82."""
    session, _ = opened(gateway, S1)
    uuid = uuid_of(site, session)
    later(site, f"SELECT gyro.reauthorize_session('{uuid}', NULL, 'test')")
    gateway.charge(session, UPDATE, 1, [service(10, used=MIB)], who=S1)
    want = ('done', 'the gateway asked by itself', '')
    tap.equal(settles(site, session, want), want, 'G-82 a CCR-U after the cause counts')
    later(site, f"SELECT gyro.reauthorize_session('{uuid}', NULL, 'test')")
    gateway.charge(session, UPDATE, 1, [service(10, used=MIB)], who=S1)
    message = request(gateway)
    tap.ok(message is not None, 'G-82 a copy of one from before does not')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))

    gateway.charge(session, UPDATE, 2, [service(11)], who=S1)
    later(site, f"SELECT gyro.reauthorize_session('{uuid}', NULL, 'test')")
    gateway.charge(session, UPDATE, 3, [service(11, used=MIB)], who=S1)
    message = request(gateway)
    tap.ok(message is not None, 'G-82 a CCR-U for one of two Rating-Groups is not enough for the session')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))
    later(site, f"SELECT gyro.reauthorize_session('{uuid}', NULL, 'test')")
    gateway.charge(session, UPDATE, 4, [service(11, used=MIB)], who=S1)
    gateway.charge(session, UPDATE, 5, [service(10, used=MIB)], who=S1)
    tap.equal(settles(site, session, want), want, 'G-82 one for each is')
    later(site, f"SELECT gyro.reauthorize_session('{uuid}', 11, 'test')")
    gateway.charge(session, UPDATE, 6, [service(11, used=MIB)], who=S1)
    tap.equal(settles(site, session, want), want, 'G-82 and for one Rating-Group its own')

    later(site, f"SELECT gyro.reauthorize_session('{uuid}', NULL, 'test')")
    close(gateway, session, 7, S1)
    want = ('done', 'the session has ended', '')
    tap.equal(settles(site, session, want), want, 'a CCR-T makes it superfluous')
    tap.ok(silent(gateway, 0.3), 'and nothing is sent for any of these')


def one_at_a_time(site, gateway):
    """G-83."""
    session, _ = opened(gateway, S1)
    uuid = uuid_of(site, session)
    later(site, f"SELECT gyro.reauthorize_session('{uuid}', 10, 'one'), gyro.reauthorize_session('{uuid}', 10, 'two')", 0.1)
    rows = of_session(site, session)
    tap.equal([(r['reason'], r['rating_group']) for r in rows], [('one, two', '10')], 'causes that wait become one')
    first = request(gateway)
    call(site, f"gyro.reauthorize_session('{uuid}', NULL, 'three')")
    call(site, f"gyro.abort_session('{uuid}', 'four')")
    states = sorted((r['kind_name'], r['state_name']) for r in of_session(site, session))
    tap.equal(states, [('ASR', 'waiting'), ('RAR', 'on its way'), ('RAR', 'waiting')], 'while one is on its way, others wait')
    tap.ok(silent(gateway, TIMEOUT_MS / 2000), 'G-83 and are not sent')
    gateway.reply(first, 2002)
    second = request(gateway)
    tap.equal(second and second.code, 274, 'then the ASR goes first')
    gateway.reply(second, 2001)
    close(gateway, session, 1, S1)
    tap.ok(silent(gateway, 1.5), 'and the RAR not at all, because the session has ended')
    outcomes = sorted(r['outcome'] for r in of_session(site, session))
    tap.equal(outcomes, ['accepted', 'accepted', 'the session has ended'], 'as the outbox says')


def answers(site, gateway):
    """What is tried again, and what isn't (G-81)."""
    session, _ = opened(gateway, S1)
    uuid = uuid_of(site, session)
    ask = f"gyro.reauthorize_session('{uuid}', NULL, 'test')"
    for code in (3002, 3004, 5012, 4002):
        call(site, ask)
        gateway.reply(request(gateway), code)
        message = request(gateway)
        tap.ok(message is not None, f'RAA {code}: tried again')
        gateway.reply(message, 2001)
        settles(site, session, ('done', 'accepted', '2001'))
    for code in (3001, 3007, 5005, 5030, 1001):
        call(site, ask)
        gateway.reply(request(gateway), code)
        want = ('failed', 'refused', str(code))
        tap.equal(settles(site, session, want), want, f'RAA {code}: given up')
    call(site, ask)
    begin = time.monotonic()
    messages = [request(gateway, 6) for _ in range(3)]
    tap.ok(None not in messages, 'no RAA: sent three times')
    tap.ok(silent(gateway, 2.5), 'and no more')
    tap.equal(last(site, session), ('failed', 'no answer', ''), 'then given up')
    tap.equal(len({m.end_to_end for m in messages}), 3, 'each try is a request of its own')
    gateway.reply(messages[2], 2001)
    tap.ok(time.monotonic() - begin < 12, 'in bounded time')
    answer = gateway.charge(session, UPDATE, 1, [service(10, used=MIB)], who=S1)
    tap.equal(answer.result, 2001, 'an answer that comes too late is nothing, and the session goes on')

    call(site, ask)
    request(gateway)
    gateway.charge(session, UPDATE, 2, [service(10, used=MIB)], who=S1)
    want = ('done', 'the gateway asked by itself', '')
    tap.equal(settles(site, session, want), want, 'a lost RAA, but the CCR-U came: not sent again')
    close(gateway, session, 3, S1)


def gateway_away(site):
    """Rows wait for their gateway; nobody else in its realm gets them."""
    gateway, other, gone = (site.node.client(f'pgw{n}') for n in (1, 2, 3))
    session, _ = opened(gateway, S1)
    brief, _ = opened(gone, S6, [service(12, rsu=MIB)])
    gateway.disconnect()
    gone.disconnect()
    time.sleep(0.2)
    site.pg.query('UPDATE gyro.subscriber SET state = 2 WHERE subscriber_id IN (1, 6)')
    tap.ok(silent(other, 1.5), 'another gateway of the realm gets nothing')
    tap.equal(last(site, session), ('waiting', '', ''), 'it waits')
    site.pg.query('UPDATE gyro.subscriber SET state = 1 WHERE subscriber_id = 1')
    kinds = sorted((r['kind_name'], r['outcome']) for r in of_session(site, session))
    tap.equal(kinds, [('ASR', 'withdrawn'), ('RAR', '')], 'unbarring takes the ASR back')
    gateway = site.node.client('pgw1')
    message = request(gateway)
    tap.equal(message and (message.code, message['Session-Id']), (258, session), 'the gateway is back: it is sent')
    gateway.reply(message, 2001)
    settles(site, session, ('done', 'accepted', '2001'))
    close(gateway, session, 1, S1)
    want = ('failed', 'gateway not reached', '')
    tap.equal(settles(site, brief, want, 15), want, 'nobody reached it before the supervision of its session ended')
    wrong = site.pg.value('SELECT count(*) FROM gyro.outbox o JOIN gyro.session_index i USING (session) '
                          'WHERE o.opened <> i.opened')
    tap.equal(wrong, '0', 'rows know their sessions by the exact time of opening')
    site.pg.query("UPDATE gyro.outbox_policy SET keep = '0'")
    tap.ok(eventually(lambda: outbox(site) == [], 15), 'finished rows go in time')
    gateway.close()
    other.close()


with Site(settings={'rar_timeout_ms': TIMEOUT_MS}) as site:
    with site.node.client('pgw1') as gateway:
        for part in (tc_91, waiting_for_money, profile_causes, tc_93, shapes, another_gateway, crossing, one_at_a_time, answers):
            part(site, gateway)
        gateway.disconnect()
    gateway_away(site)
    site.check(tap)
tap.done()
