#!/usr/bin/python3
"""A new catalogue at two nodes (S-12): one archives it, neither is held up, both start with it and go by it (Z-13).

catalogue.py. Two nodes; what one of them has not committed yet is played by a transaction of this program.
"""
import itertools
import re
import time

from family import INITIAL, TERMINATION, UPDATE, Site, Tap, Transaction, arguments, service, until

ROUNDS, STARTS = 15, 5
HELD_S = 0.5
IMSI = '460001000000001'
MIB, PRICE = 1 << 20, 100_000  # micro-units per MiB in the fixture
ERROR = re.compile(r'.*(?:maintenance: |catalogue: ).*')
_grants = itertools.count(11 << 20)


def change(site):
    """The catalogue is another one; its version."""
    site.pg.query(f'UPDATE gyro.rating_group SET default_grant = {next(_grants)} WHERE rating_group = 10')
    return version(site)


def version(site):
    return int(site.pg.value('SELECT version FROM gyro.catalogue_version'))


def archived(site, wanted):
    return site.pg.query(f'SELECT 1 FROM gyro.catalogue_archive WHERE version = {wanted}') != []


def sizes(site):
    return [node.log.stat().st_size for node in site.nodes]


def complaints(site, begin):
    return [line for node, size in zip(site.nodes, begin) for line in ERROR.findall(node.said(size))]


def in_force(site, wanted, begin, seconds=5):
    """Do all nodes say so?"""
    said = f'catalogue version {wanted} is in force'
    return bool(until(lambda: all(said in node.said(size) for node, size in zip(site.nodes, begin)), seconds))


def being_archived(site, end='ROLLBACK'):
    """Another node is about to archive the next version."""
    return Transaction(site, f"INSERT INTO gyro.catalogue_archive (version, content) VALUES ({version(site) + 1}, '{{}}')", end)


def pushes(tap, site):
    """A pushed value is news to both nodes, but no new catalogue: whoever read the archive again would find no rules there."""
    site.pg.query("""
        INSERT INTO gyro.attribute_type (attribute_id, name, source, derivation, value_type, on_change) VALUES (1, 'crowd', 5, 60, 1, 1);
        INSERT INTO gyro.dynamic_rule (attribute_id, rating_group, unit, match, low, effect) VALUES (1, 90, 3, 2, '9', 1)""")
    in_force(site, version(site), [0, 0])
    site.pg.query("CREATE TABLE kept AS SELECT * FROM gyro.catalogue_archive; UPDATE gyro.catalogue_archive SET content = '{}'")
    begin, results = sizes(site), []
    gateways = [node.client(f'pgw{n}') for n, node in enumerate(site.nodes, 1)]
    for value, wanted in (('1', 2001), ('9', 4010), ('2', 2001), ('9', 4010)):
        site.pg.query(f"SELECT gyro.attribute_push('crowd', '', '{value}')")

        def answered():
            services = [service(90, rsu=[('CC-Service-Specific-Units', 1)])]
            got = [g.charge(g.session(), INITIAL, 0, services, who=IMSI).services[0]['Result-Code'] for g in gateways]
            return got == [wanted, wanted]
        results.append(until(answered, 5))
    tap.equal(results, [True] * 4, 'what is pushed counts at both nodes, for which neither reads the catalogue again')
    site.pg.query('UPDATE gyro.catalogue_archive a SET content = k.content FROM kept k WHERE k.version = a.version; DROP TABLE kept')
    tap.equal(complaints(site, begin), [], 'nobody complains')
    for gateway in gateways:
        gateway.disconnect()


def held_up(tap, site):
    """Somebody archives the same version, and takes his time."""
    def spread():
        return site.pg.query('SELECT 1 FROM gyro.outbox_cause') == []
    until(spread, 5)    # what was pushed before
    begin = sizes(site)
    with being_archived(site):
        wanted = change(site)
        site.pg.query("INSERT INTO gyro.outbox_cause (account_id, subscriber_id, reason) VALUES (1, 1, 'test')")
        spread_meanwhile = until(spread, HELD_S + 1)
        tap.ok(spread_meanwhile and not archived(site, wanted), 'a node that waits for its turn to archive goes on with everything else')
        tap.ok(not in_force(site, wanted, begin, HELD_S), 'and with the catalogue that it has')
    tap.ok(in_force(site, wanted, begin), 'then both have the new one', site.node.tail())
    tap.equal(complaints(site, begin), [], 'nobody complains')


def at_once(tap, site):
    """Both are woken by the same change."""
    begin, missing = sizes(site), []
    for _ in range(ROUNDS):
        wanted = change(site)
        if not in_force(site, wanted, begin):
            missing.append(wanted)
    tap.equal(missing, [], f'{ROUNDS} changes: each in force at both nodes')
    tap.equal(complaints(site, begin), [], 'and nobody complains')


def starts(tap, site):
    for node in site.nodes:
        node.stop()
    begin = sizes(site)
    with being_archived(site):
        wanted = change(site)
        site.node.launch()
        time.sleep(HELD_S)
        tap.ok(site.node.pid is not None, 'a node that starts waits for its turn, too')
    tap.ok(site.node.wait_ready(begin[0]) and archived(site, wanted), 'and is ready then', site.node.tail())
    site.node.stop()
    failed = []
    for number in range(STARTS):
        wanted, begin = change(site), sizes(site)
        for node in site.nodes:
            node.launch()
        if not all([node.wait_ready(size) for node, size in zip(site.nodes, begin)]) or not archived(site, wanted):
            failed += [f'{number}: {node.tail(3)}' for node in site.nodes]
        for node in site.nodes:
            node.stop()
    tap.equal(failed, [], f'{STARTS} times two nodes that start at once after a change: both are ready')


def hours_move(tap, site):
    """Another default time zone: cards with hours follow it at both nodes, also where profile and session are known (Z-13)."""
    code = site.pg.value("""
        INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1);
        INSERT INTO gyro.time_zone (name) VALUES ('Asia/Shanghai');
        INSERT INTO gyro.product (code, price, currency, quota, audience_id, window_from, window_until)
        SELECT 'hours', 0, 156, 104857600, 1, (m + 1200) % 1440, (m + 240) % 1440
          FROM (SELECT extract(epoch FROM now())::bigint / 60 % 1440 AS m) n;
        SELECT card FROM gyro.card_request(gen_random_uuid(), 4::smallint, 0, 0::smallint, 0::smallint, 1, 'hours', 'purchase', '', 0::smallint,
                                           '', -1, -1, '{}', '{}', '{}', 0, 0, 0, false)""")
    site.pg.query(f"""SELECT gyro.card_request(gen_random_uuid(), 4::smallint, 0, -1::smallint, 1::smallint, 1, '', '', '{code}', 0::smallint,
                                               '', -1, -1, '{{}}', '{{}}', '{{}}', 0, 0, 0, false)""")
    for node in site.nodes:
        node.restart()
    gateways = [node.client(f'pgw{n}') for n, node in enumerate(site.nodes, 1)]
    sessions = [gateway.session() for gateway in gateways]

    def held(number, kind):
        """Both nodes are asked: who pays for what the two sessions hold."""
        for gateway, session in zip(gateways, sessions):
            gateway.charge(session, kind, number, [service(10, rsu=MIB, used=0 if number else None)], who=IMSI)
        return [int(n) for n in site.pg.query(f"""SELECT (SELECT reserved FROM gyro.card_state WHERE code = '{code}'), reserved
                                                    FROM gyro.account WHERE account_id = 1""")[0]]
    tap.equal(held(0, INITIAL), [2 * MIB, 0], 'within their hours, at both nodes, cards give')
    begin = sizes(site)
    site.pg.query("BEGIN; UPDATE gyro.time_zone SET is_default = false WHERE is_default;"
                  "UPDATE gyro.time_zone SET is_default = true WHERE name = 'Asia/Shanghai'; COMMIT")
    in_force(site, version(site), begin)
    tap.equal(held(1, UPDATE), [0, 2 * PRICE], 'Z-13 in the new default zone these are over, at both nodes')
    site.pg.query("UPDATE gyro.subscriber SET zone_id = (SELECT zone_id FROM gyro.time_zone WHERE name = 'UTC') WHERE subscriber_id = 1")
    tap.equal(held(2, UPDATE), [2 * MIB, 0], 'Z-13 a zone of his own, and they are not')
    for gateway, session in zip(gateways, sessions):
        gateway.charge(session, TERMINATION, 3, [service(10, rsu=None, used=0)], who=IMSI)
        gateway.disconnect()


def main():
    arguments(__doc__)
    tap = Tap()
    with Site(nodes=2) as site:
        for part in (hours_move, pushes, held_up, at_once, starts):
            part(tap, site)
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
