#!/usr/bin/python3
"""Gateways that restart (G-92), and gateways that go on with the sessions of others (G-80, P17).

restart.py [--long] [--seed N]. Two nodes on one database. A greater Origin-State-Id ends what the gateway had before: at once
where it is in the way, by the sweeper everywhere else; never what was opened after it, at whatever node, nor what another
gateway of its realm has taken over. --long: 100,000 sessions instead of 2,000.
"""
import pathlib
import sys
import tempfile
import time

from family import INITIAL, ROOT, TERMINATION, UPDATE, Hold, Site, Tap, arguments, hop, results, service, until

sys.path.insert(0, str(ROOT / 'tests/audit'))
from audit import audit  # noqa: E402

MIB = 1 << 20
GRANT = 1_000_000 # 10 MiB at 0.10
PEERS = 'peers:\n  - { peer: "steady.spec.test", restart_ends_sessions: false }\n'
BURST = 200


def catalogue(home):
    path = pathlib.Path(home) / 'catalogue.yaml'
    path.write_text(PEERS + (ROOT / 'tests/cases/fixture.yaml').read_text())
    return path


def told(state):
    return [('Origin-State-Id', state)]


def ask(gateway, session, kind, number, who, state, services=None):
    services = [service(10)] if services is None else services
    return gateway.charge(session, kind, number, services, who=who, more=told(state) if state is not None else [])


class Trial:
    def __init__(self, tap, site):
        self.tap, self.site, self.pg = tap, site, site.pg

    def is_open(self, session):
        return self.pg.value(f"SELECT count(*) FROM gyro.session WHERE session_id = '{session}' AND state = 1") == '1'

    def open_of(self, host):
        return int(self.pg.value("SELECT count(*) FROM gyro.session JOIN gyro.gateway USING (gateway_id)"
                                 f" WHERE origin_host = '{host}' AND state = 1"))

    def account(self, imsi):
        return int(self.pg.value(f"SELECT account_id FROM gyro.subscriber JOIN gyro.subscriber_identity USING (subscriber_id) WHERE value = '{imsi}'"))

    def index(self, session):
        return self.pg.query(f"SELECT ended, taken_over FROM gyro.session_index WHERE session_id = '{session}'")[0]


def fill(gateway, people, state):
    """A session for each, in bursts; how many were answered 2001."""
    good = 0
    for first in range(0, len(people), BURST):
        ids = []
        for imsi in people[first:first + BURST]:
            raw = gateway.ccr(gateway.session(), INITIAL, 0, [service(10)], who=imsi, more=told(state))
            ids.append(hop(raw))
            gateway.send(raw)
        good += list(results(gateway, ids, 30).values()).count(2001)
    return good


def many(t, people):
    """The lanes go on while the sweeper ends them all; a row that somebody holds comes later."""
    first, second = t.site.nodes
    old, new = first.client('crowd'), second.client('crowd')
    t.tap.equal(fill(old, people, 5), len(people), f'G-92 {len(people)} sessions of a gateway')
    t.pg.query('UPDATE gyro.outbox_policy SET on_expiry = true')
    held = t.account(people[7])
    broken = t.account(people[9])
    t.pg.query(f'UPDATE gyro.account SET reservations[1][9] = -1 WHERE account_id = {broken}')
    slowest, began = 0, time.monotonic()
    with Hold(t.site, held):
        young = [(people[n], new.session()) for n in range(0, len(people), max(1, len(people) // 50))]
        codes = set()
        for n, (imsi, session) in enumerate(young): # by both nodes in turn
            sent = time.monotonic()
            codes.add(ask((new, old)[n % 2], session, INITIAL, 0, imsi, 6).result)
            slowest = max(slowest, time.monotonic() - sent)
        t.tap.equal(codes, {2001}, 'G-92 it restarts: its new sessions are opened meanwhile, at both nodes')
        left = until(lambda: t.open_of('crowd.spec.test') == len(young) + 2, 120, 0.5)
        t.tap.ok(left, 'G-92 the old ones end, but for one whose account somebody holds, and one whose row can\'t be read', t.open_of('crowd.spec.test'))
        print(f'# {len(people)} sessions: {time.monotonic() - began:.1f} s until the last has ended, the slowest CCR-I meanwhile {slowest:.3f} s')
    t.tap.ok(until(lambda: t.open_of('crowd.spec.test') == len(young) + 1, 20), 'G-92 and the first when it is free')
    said = sum(node.said().count('its row makes no sense') for node in t.site.nodes)
    t.tap.ok(0 < said < 4, 'G-92 of the other the operator is told, and not every second', said)
    t.pg.query(f'UPDATE gyro.account SET reservations[1][9] = 0 WHERE account_id = {broken};'
               f' UPDATE gyro.session_index SET check_at = now() WHERE account_id = {broken}')
    t.tap.ok(until(lambda: t.open_of('crowd.spec.test') == len(young), 20), 'G-92 and when it is repaired it ends')
    t.tap.ok(all(t.is_open(session) for _, session in young), 'G-92 none of the new ones has')
    spent = [ask(old, session, UPDATE, 1, imsi, 6, [service(10, used=MIB)]).result for imsi, session in young[:5]]
    t.tap.equal(spent, [2001] * 5, 'G-92 they go on')
    reserved = int(t.pg.value('SELECT sum(reserved) FROM gyro.account'))
    t.tap.equal(reserved, GRANT * len(young), 'G-92 nothing else is held')
    differs = ("SELECT count(*) FROM gyro.session_index i JOIN gyro.gateway g USING (gateway_id)"
               " WHERE g.origin_host = 'crowd.spec.test' AND i.ended <> (i.opened < g.restarted_at)")
    t.tap.ok(until(lambda: t.pg.value(differs) == '0', 20), 'G-92 the index says the same', t.pg.value(differs))
    t.tap.equal(t.pg.value('SELECT count(*) FROM gyro.outbox WHERE kind = 2'), '0', 'G-92 the gateway is sent no ASR for what it lost')
    t.pg.query('UPDATE gyro.outbox_policy SET on_expiry = false')
    for imsi, session in young:
        ask(old, session, TERMINATION, 9, imsi, 6, [service(10, rsu=None)])
    old.close()
    new.close()


def in_the_way(t, who):
    """Money that an old session holds is there for the new one, before any sweeper came."""
    gateway = t.site.node.client('poor')
    t.pg.query(f"SELECT gyro.pay({t.account(who)}, -999700000, 'less', 3::smallint)")
    for state in range(5, 15):
        answer = ask(gateway, gateway.session(), INITIAL, 0, who, state)
        granted = [s['Granted-Service-Unit'] for s in answer.services]
        if [s['Result-Code'] for s in answer.services] != [2001] or not granted[0]:
            break
    t.tap.ok(state == 14 and granted[0], 'G-92 after each of nine restarts the last 0.30 are granted again', answer)
    ask(gateway, gateway.session(), INITIAL, 0, who, 15, [])
    gateway.close()


def taken_over(t, who):
    """A gateway of the same realm goes on; then neither restart ends the session, by request or by sweeper."""
    one, two, other = (t.site.node.client(host) for host in ('pool1', 'pool2', 'pool3'))
    session, lost = one.session(), one.session()
    for s in (session, lost):
        ask(one, s, INITIAL, 0, who[0], 5)
    own = two.session()
    ask(two, own, INITIAL, 0, who[1], 5)
    t.tap.equal(ask(two, session, UPDATE, 1, who[0], 5).result, 2001, 'G-80 another gateway of the realm goes on with a session')
    ask(one, one.session(), INITIAL, 0, who[2], 6)
    t.tap.ok(until(lambda: not t.is_open(lost), 20), 'G-92 the first gateway restarts: the session that it had to itself ends')
    t.tap.ok(t.is_open(session) and until(lambda: t.index(session) == ['f', 't'], 20), 'G-92 the other does not', t.index(session))
    ask(two, two.session(), INITIAL, 0, who[2], 6)
    t.tap.ok(until(lambda: not t.is_open(own), 20), 'G-92 the second restarts: its own ends')
    t.tap.ok(t.is_open(session), 'G-92 the one that it had taken over does not')
    t.tap.equal(ask(one, session, UPDATE, 2, who[0], 6, [service(10, used=MIB)]).result, 2001, 'G-92 and serves the first again')
    t.tap.equal(ask(one, session, TERMINATION, 3, who[0], 6, [service(10, rsu=None, used=MIB)]).result, 2001, 'G-92 to its end')
    for gateway in (one, two, other):
        gateway.close()


def strangers(t, who):
    """P17: another realm's gateway is refused whatever it asks of the session, and nothing changes."""
    gateway, stranger = t.site.node.client('home'), t.site.node.client('pgw1.visited.test', realm='visited.test')
    session = gateway.session()
    ask(gateway, session, INITIAL, 0, who, 5)
    account = t.account(who)
    before, records = t.site.money(account), t.site.records(session)
    asked = [(UPDATE, 1, [service(10, used=MIB)], 5002), (UPDATE, 0, [service(10)], 5002), (TERMINATION, 2, [service(10, rsu=None, used=MIB)], 5002),
             (TERMINATION, 9, [], 5002), (INITIAL, 0, [service(10)], 5012), (INITIAL, 7, [service(10)], 5012)]
    codes = []
    for kind, number, services, want in asked:
        for identity in (who, None):
            if identity is None and kind == INITIAL:
                continue
            answer = stranger.charge(session, kind, number, services, who=identity)
            codes.append(answer.result == want and not answer.services)
    t.tap.ok(all(codes), "P17 a gateway of another realm is refused every request of the session, with the subscriber's identity and without", codes)
    t.tap.equal((t.site.money(account), t.site.records(session)), (before, records), 'P17 nothing is charged, held or released')
    t.tap.equal(t.pg.value(f"SELECT count(*) FROM gyro.unmatched_usage WHERE session_id = '{session}' AND origin_host = 'pgw1.visited.test'"), '4',
                'P17 the usage that it told is kept for the operator')
    t.tap.equal(ask(gateway, session, UPDATE, 1, who, 5, [service(10, used=MIB)]).result, 2001, 'P17 the session is its own gateway\'s still')
    ask(gateway, session, TERMINATION, 2, who, 5, [service(10, rsu=None)])
    after = stranger.charge(session, TERMINATION, 2, [service(10, rsu=None, used=MIB)], who=who)
    t.tap.equal(after.result, 5002, 'P17 nor is it told of its end')
    for realm in ('spec.test', 'SPEC.test', 'test.'):
        stranger.realm = realm
        answer = stranger.charge(session, UPDATE, 1, [service(10, used=MIB)], who=who)
        t.tap.equal((answer.result, answer['Failed-AVP/Origin-Realm']), (5004, realm), f'P17 a gateway that says it is of {realm}: refused')
    gateway.close()
    stranger.close()


def steady(t, who):
    """A gateway whose number grows at every reconnect (peer profile): its sessions live."""
    gateway = t.site.node.client('steady')
    session = gateway.session()
    codes = [ask(gateway, session, INITIAL, 0, who, 5).result]
    for n in range(6, 10):
        codes.append(ask(gateway, gateway.session(), INITIAL, 0, who, n, []).result)
        codes.append(ask(gateway, session, UPDATE, n, who, n, [service(10, used=MIB)]).result)
    t.tap.equal(set(codes), {2001}, 'G-92 restart_ends_sessions: false: sessions outlive a growing Origin-State-Id')
    found = t.pg.query("SELECT origin_state, restarted_at IS NULL, restart_open FROM gyro.gateway WHERE origin_host = 'steady.spec.test'")
    t.tap.equal(found, [['9', 't', 'f']], 'G-92 the number is known all the same: nothing ends when the setting changes')
    ask(gateway, session, TERMINATION, 20, who, 9, [service(10, rsu=None)])
    gateway.close()


def main():
    options = arguments(__doc__)
    tap = Tap()
    count = 100000 if options.long else 2000
    more = {'peers': ['*.spec.test', '*.visited.test']}
    with tempfile.TemporaryDirectory(prefix='gyro-restart-') as home, Site(nodes=2, catalogue=catalogue(home), **more) as site:
        t = Trial(tap, site)
        people = site.people(count + 20)
        many(t, people[:count])
        rest = people[count:]
        in_the_way(t, rest[0])
        taken_over(t, rest[1:4])
        strangers(t, rest[4])
        steady(t, rest[5])
        found, _ = audit(site.pg.conninfo())
        tap.ok(not found.lines, 'the independent auditor finds nothing', found.lines)
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
