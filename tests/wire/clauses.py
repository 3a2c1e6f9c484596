#!/usr/bin/python3
"""Clauses of the rules of spec/gy.md that take a node with settings of their own, and that no other program of this family proves.

clauses.py. One node that says it is one of several (alternate_node), with a short queue: G-01, G-50, G-51, G-70, G-79, G-90, G-94.
"""
import tempfile
import time

from family import E, INITIAL, TERMINATION, UPDATE, Site, Standstill, Tap, arguments, collect, fixture_with, hop, service, until
from diameter import NTP

EVENT, MIB, GIB = 4, 1 << 20, 1 << 30
QUEUE = 16
SETTINGS = {'alternate_node': True, 'lanes': 1, 'batch_max': 8, 'queue_max': QUEUE}
POLICIES = """
  - { rating_group: 180, name: plain, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, final_unit: terminate }
  - { rating_group: 181, name: minutes, default_grant: 60, max_grant: 600, validity: 3600, threshold: 6, final_unit: terminate }
  - { rating_group: 182, name: octets, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, threshold: 2MiB, final_unit: terminate }
  - { rating_group: 184, name: vast, default_grant: 10GiB, max_grant: 50GiB, validity: 3600, threshold: 3GiB, final_unit: terminate }
"""
PRICES = """      - { rating_group: 180, unit: octets, price: "0.10", per: 1MiB }
      - { rating_group: 184, unit: octets, price: "0.01", per: 1GiB }
"""


def capabilities(tap, site, _):
    for vendor in (0, 9999):
        application = [('Vendor-Specific-Application-Id', [('Vendor-Id', vendor), ('Auth-Application-Id', 4)])]
        with site.node.client(f'pgw{vendor}', cer=False) as client:
            cea = client.ask(client.cer(application))
        tap.equal((cea.result, cea['Auth-Application-Id']), (2001, 4), f'G-01 application 4 of vendor {vendor}: the vendor does not matter')


def failover(tap, site, imsi):
    """G-79, G-90: what sessions are told and events aren't."""
    client = site.node.client('pgw1')
    session = client.session()

    def told(answer):
        return [answer[n] for n in ('CC-Session-Failover', 'Credit-Control-Failure-Handling', 'Direct-Debiting-Failure-Handling')]
    for name, kind in (('CCA-I', INITIAL), ('CCA-U', UPDATE)):
        answer = client.charge(session, kind, kind, [service(10)], who=imsi)
        tap.equal((answer.result, told(answer)), (2001, [1, 2, None]), f'G-90 {name} of one of several nodes: fail over, retry and terminate')
    answer = client.charge(session, TERMINATION, TERMINATION, [service(10, rsu=None, used=0)], who=imsi)
    tap.equal(answer.result, 2001, 'the session ends')
    answer = client.charge(client.session(), EVENT, 0, [service(90, rsu=[('CC-Service-Specific-Units', 1)])], who=imsi,
                           more=[('Requested-Action', 0)])
    tap.equal((answer.result, told(answer)), (2001, [None] * 3), 'G-79 an event is told nothing of it')
    client.close()


def shapes(tap, site, imsi):
    """G-50, G-51: what a grant does without."""
    client = site.node.client('pgw1')
    answer = client.charge(client.session(), INITIAL, 0, [service(n) for n in (10, 180, 184)], who=imsi)
    tap.equal([s['Result-Code'] for s in answer.services], [2001] * 3, 'three grants')
    tap.equal([s['Quota-Holding-Time'] for s in answer.services], [600, None, None], 'G-51 Quota-Holding-Time only where the policy has one')
    tap.equal([s['Granted-Service-Unit/CC-Total-Octets'] for s in answer.services][2], 10 * GIB, 'one beyond 32 bits')
    tap.equal([s['Volume-Quota-Threshold'] for s in answer.services], [2 * MIB, None, 3 * GIB],
              'G-50 a threshold of 32 bits below a grant of more')
    client.close()


def time_is_one(tap, site, imsi):
    """G-70: seconds are never split; their grant ends where the price changes."""
    switch = int(time.time()) + 60
    site.pg.query(f"""INSERT INTO gyro.specific_rule (rule_id, tariff_id, rating_group, unit, price_micros, block, valid_from, valid_until)
        SELECT n, (SELECT min(tariff_id) FROM gyro.specific_tariff), g, u, p, b, f, t FROM (VALUES
        (8181, 181, 2, 10000, 1, '-infinity'::timestamptz, to_timestamp({switch})), (8182, 181, 2, 20000, 1, to_timestamp({switch}), 'infinity'),
        (8183, 182, 1, 100000, {MIB}, '-infinity', to_timestamp({switch})), (8184, 182, 1, 200000, {MIB}, to_timestamp({switch}), 'infinity'))
        r (n, g, u, p, b, f, t)""")
    in_force = 'SELECT 1 FROM gyro.catalogue_archive a JOIN gyro.catalogue_version v USING (version)'
    until(lambda: site.pg.query(in_force), 10)
    client = site.node.client('pgw1')

    def granted():
        answer = client.charge(client.session(), INITIAL, 0, [service(181), service(182)], who=imsi)
        return answer.services if [s['Result-Code'] for s in answer.services] == [2001, 2001] else None
    services = until(granted, 5, 0.2)
    if not tap.ok(services, 'grants of seconds and octets whose prices change'):
        return
    seconds, octets = services
    tap.equal(octets['Granted-Service-Unit/Tariff-Time-Change'], switch + NTP, 'G-70 octets are counted on both sides of the change')
    tap.ok(seconds['Granted-Service-Unit/CC-Time'] and seconds['Granted-Service-Unit/Tariff-Time-Change'] is None,
           'G-70 seconds are not', seconds)
    tap.ok(0 < seconds['Validity-Time'] <= 60 < octets['Validity-Time'], 'G-70 their grant is valid until then, the other one beyond',
           f"{seconds['Validity-Time']} {octets['Validity-Time']}")
    client.close()


def overload(tap, site, imsi):
    """G-94: another node can help, unless this one was named."""
    client = site.node.client('pgw1')
    session = client.session()
    tap.equal(client.charge(session, INITIAL, 0, [service(10)], who=imsi).result, 2001, 'a session')

    def update(number, more=()):
        return client.ccr(session, UPDATE, number, [service(10, used=1)], who=imsi, more=more)
    with Standstill(site):
        client.send(update(1))
        time.sleep(0.1)  # it is the batch under way now
        waiting = [update(n) for n in range(2, QUEUE + 6)]
        client.send(b''.join(waiting))
        early = collect(client, {hop(raw) for raw in waiting}, 0.5)
        raw = update(100, [('Destination-Host', site.node.identity)])
        client.send(raw)
        named = collect(client, {hop(raw)}, 2)
    late = collect(client, {hop(raw) for raw in waiting} - set(early), 5)
    refused = {number: a for number, a in {**early, **late}.items() if a.result != 2001}
    tap.ok(set(early) & set(refused) and all((a.result, bool(a.flags & E), a.services) == (3004, True, []) for a in refused.values()),
           'G-94 in overload one of several nodes says 3004, with the E bit', [a.result for a in refused.values()])
    tap.equal([(a.result, bool(a.flags & E)) for a in named.values()], [(5012, False)], 'G-94 but 5012 to a request for this very node')
    tap.equal(len(late) + len(early), len(waiting), 'G-94 and none goes without an answer')
    answers = [client.ask(raw).result for raw in waiting if hop(raw) in refused]
    tap.equal(answers, [2001] * len(refused), 'G-94 what was refused is served when it is sent again')
    tap.equal(site.pg.value(f"""SELECT count(*) FROM gyro.record JOIN gyro.session_index USING (session)
                                WHERE session_id = '{session}' AND request_type = 2"""), str(1 + len(waiting)), 'G-94 each once')
    client.close()


def main():
    arguments(__doc__)
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='gyro-clauses-') as home:
        with Site(catalogue=fixture_with(home, POLICIES, PRICES), settings=SETTINGS) as site:
            people = site.people(8, first=1000)
            for imsi, play in zip(people, (capabilities, failover, shapes, time_is_one, overload)):
                play(tap, site, imsi)
            site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
