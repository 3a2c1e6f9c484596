#!/usr/bin/python3
"""RAR for sessions with credit pools (G-72): who waits for money, and what makes a RAR superfluous (G-48, G-82).

Rating-Groups 10 and 11 are in pool 7. One node, one gateway that no Gyro code is in.
"""
from outbox import of_session, opened, request, settles, silent, topup, uuid_of
from diameter import MIB, TERMINATION, UPDATE, service
from node import Site
from tap import Tap

FINAL, EXHAUSTED = 2, 3
ACCEPTED = ('done', 'accepted', '2001')
BY_ITSELF = ('done', 'the gateway asked by itself', '')
tap = Tap()


def pools(answer):
    return [s['G-S-U-Pool-Reference/G-S-U-Pool-Identifier'] for s in answer.services]


def final(answer, n=0):
    return answer.services[n]['Final-Unit-Indication/Final-Unit-Action']


def later(site, sql):
    """Runs a cause, and keeps the node from sending for a while."""
    site.pg.query(f"BEGIN; {sql}; UPDATE gyro.outbox SET next_at = now() + interval '0.7 s' WHERE state = 1; COMMIT")


def close(gateway, session, number, who, groups=(10, 11)):
    gateway.charge(session, TERMINATION, number, [service(n, rsu=None, used=0, reason=FINAL) for n in groups], who=who)


def waiting_for_money(site, gateway):
    imsi, rich = site.people(2, micros=2_500_000)
    session, answer = opened(gateway, imsi, [service(10, rsu=10 * MIB), service(11, rsu=30 * MIB)])
    tap.equal((pools(answer), final(answer), final(answer, 1)), ([7, 7], None, 0),
              'a pool whose second grant has the last units, more of them than a default grant')
    topup(site, 1000)
    message = request(gateway)
    tap.equal(message and message['Session-Id'], session, 'G-80 a top-up asks a session with final units from a pool')
    gateway.reply(message, 2001)
    settles(site, session, ACCEPTED)
    answer = gateway.charge(session, UPDATE, 1, [service(11, rsu=40 * MIB, used=15 * MIB, reason=EXHAUSTED)], who=imsi)
    tap.equal((pools(answer), final(answer)), ([7], 0), 'it asks, and has the last units again')
    close(gateway, session, 2, imsi)

    session, answer = opened(gateway, rich, [service(10, rsu=MIB), service(11, rsu=MIB)])
    tap.equal((pools(answer), final(answer), final(answer, 1)), ([7, 7], None, None), 'a pool with all that was asked for')
    topup(site, 1001)
    tap.equal(of_session(site, session), [], 'a top-up is no news for it, though the grants are small')
    close(gateway, session, 1, rich)


def crossing(site, gateway):
    imsi, = site.people(1, first=1100)
    session, answer = opened(gateway, imsi, [service(10), service(11)])
    tap.equal(pools(answer), [7, 7], 'two of one pool')
    ask = f"SELECT gyro.reauthorize_session('{uuid_of(site, session)}', NULL, 'test')"
    later(site, ask)
    gateway.charge(session, UPDATE, 1, [service(10, used=MIB), service(11, used=MIB)], who=imsi)
    tap.equal(settles(site, session, BY_ITSELF), BY_ITSELF, 'G-82 a CCR-U after the cause counts, with pools, too')
    later(site, ask.replace('NULL', '11'))
    gateway.charge(session, UPDATE, 2, [service(11, used=MIB)], who=imsi)
    tap.equal(settles(site, session, BY_ITSELF), BY_ITSELF, 'G-82 and so it does for one Rating-Group of a pool')
    tap.ok(silent(gateway, 0.3), 'nothing is sent for either')
    later(site, ask)
    gateway.charge(session, UPDATE, 3, [service(11, used=MIB)], who=imsi)
    message = request(gateway)
    tap.ok(message is not None, 'G-82 one of two of a pool is not enough for the session')
    gateway.reply(message, 2001)
    tap.equal(settles(site, session, ACCEPTED), ACCEPTED, 'which is asked')
    close(gateway, session, 4, imsi)


def refused(site, gateway):
    """What a service of a pool was refused counts as one that has to be asked for."""
    imsi, = site.people(1, first=1200, micros=500_000)
    session, answer = opened(gateway, imsi, [service(10, rsu=5 * MIB), service(11)])
    tap.equal([s['Result-Code'] for s in answer.services], [2001, 4012], 'the pool has nothing left for the second')
    later(site, f"SELECT gyro.reauthorize_session('{uuid_of(site, session)}', NULL, 'test')")
    gateway.charge(session, UPDATE, 1, [service(10, rsu=MIB, used=MIB)], who=imsi)
    message = request(gateway)
    tap.ok(message is not None, 'G-82 a CCR-U for the first only: the RAR is sent')
    gateway.reply(message, 2001)
    tap.equal(settles(site, session, ACCEPTED), ACCEPTED, 'and answered')
    close(gateway, session, 2, imsi)


with Site(nodes=0) as site:
    site.pg.query('UPDATE gyro.rating_group SET pool = 7 WHERE rating_group IN (10, 11)')
    site.add('gyro1').start()
    with site.node.client('pgw1') as gateway:
        for part in (waiting_for_money, crossing, refused):
            part(site, gateway)
        gateway.disconnect()
    site.check(tap)
tap.done()
