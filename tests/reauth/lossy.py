#!/usr/bin/python3
"""P19: a thousand open sessions, an attribute of all of them changes, then the priority of their cards, and of the RAAs 30 % are lost.

lossy.py [--long]. Of those half are lost on their way: the gateway has done what the RAR asks for (a CCR-U with usage and a request
for more; that counts as the re-authorisation). The other half never left, since the RAR got lost: nodes send it again. The sessions have
asked anew in the end, what they reported is charged once, and each holds what it was granted last: nothing was granted twice.
Two nodes. --long: ten rounds of both causes instead of one. GYRO_SEED=n repeats a run.
"""
import os
import pathlib
import random
import sys
import time
import uuid

from outbox import eventually
from diameter import CODES, INITIAL, MIB, TERMINATION, UPDATE, Silent, service
from node import Site, build_dir
from tap import Tap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'audit'))
from audit import audit  # noqa: E402

SEED = int(os.environ.get('GYRO_SEED') or random.SystemRandom().randrange(1 << 32))
LONG = '--long' in sys.argv[1:]
SANITIZED = b'__asan_init' in (build_dir() / 'bin/gyrod').read_bytes()
SESSIONS, BURST = 200 if SANITIZED else 1000, 100
FIRST, LOST, FORCED = 1000, 0.3, 7
TIMEOUT_MS = 500
CATALOGUE = """
INSERT INTO gyro.attribute_type (attribute_id, name, source, derivation, value_type, on_change, default_value) VALUES (1, 'level', 1, 0, 1, 1, NULL);
INSERT INTO gyro.audience (name, kind) VALUES ('everyone', 1);
INSERT INTO gyro.product (code, price, currency, quota, audience_id, max_bindings, settle, usage_price, usage_block)
VALUES ('wide', 0, 156, 1099511627776, 1, 5000, 2, 50000, 1048576);
"""
tap = Tap()
dice = random.Random(SEED)
print(f'# seed {SEED}')


class Session:
    def __init__(self, name, imsi):
        self.name, self.imsi, self.number, self.used, self.granted = name, imsi, 0, 0, 0
        self.asked = self.rars = 0


class Gateway:
    """One connection to each node; requests of a session go over either."""

    def __init__(self, site, imsis):
        self.connections = [node.client('pgw1') for node in site.nodes]
        self.sessions, self.waiting, self.wrong = {}, {}, []
        self.lost = self.answered = 0
        for imsi in imsis:
            name = self.connections[0].session()
            self.sessions[name] = Session(name, imsi)

    def charge(self, s, kind, services):
        connection = dice.choice(self.connections)
        raw = connection.ccr(s.name, kind, s.number, services, who=s.imsi)
        self.waiting[id(connection), int.from_bytes(raw[12:16], 'big')] = s
        s.number += 1
        connection.send(raw)

    def reauthorize(self, connection, rar):
        s = self.sessions[rar['Session-Id']]
        s.rars += 1
        if dice.random() < LOST:
            self.lost += 1
            if dice.random() < 0.5:
                return
        else:
            self.answered += 1
            connection.reply(rar, 2002)
        s.asked += 1
        s.used += MIB
        self.charge(s, UPDATE, [service(10, used=MIB, reason=FORCED)])

    def look(self, seconds):
        """Takes what comes, until nothing has for that long."""
        while True:
            came = False
            for connection in self.connections:
                try:
                    message = connection.receive(seconds / len(self.connections))
                except Silent:
                    continue
                came = True
                if message.is_request:
                    self.reauthorize(connection, message)
                    continue
                s = self.waiting.pop((id(connection), message.hop_by_hop))
                units = message.services[0]['Granted-Service-Unit'] if message.services else None
                if message.result != 2001 or message.code != CODES['CCR']:
                    self.wrong.append(str(message))
                s.granted = units[0].value if units else 0
            if not came:
                return


def open_all(gateway):
    for n, s in enumerate(gateway.sessions.values()):
        gateway.charge(s, INITIAL, [service(10)])
        if n % BURST == BURST - 1:
            gateway.look(0.05)
    gateway.look(0.5)


def operation(what, number, action=-1, product='', purchase='', card='', whom="''", priority=-1):
    """SQL: one card operation of the first subscriber."""
    kind = 0 if whom == "''" else 1
    return (f"SELECT {what} FROM gyro.card_request(gen_random_uuid(), 4::smallint, 0, {action}::smallint, {number}::smallint, {FIRST}, '{product}',"
            f" '{purchase}', '{card}', {kind}::smallint, {whom}, {priority}, -1, '{{}}'::text[], '{{}}'::text[], '{{}}'::text[],"
            " 0, 0, 0, false)")


def bind_all(site, imsis):
    """A card that is bound to all of them; what changes its priority for all."""
    card = site.pg.value(operation('card', 0, action=0, product='wide', purchase=uuid.uuid4()))

    def all_of(number, priority):
        one = operation('result', number, card=card, whom='value', priority=priority)
        return int(site.pg.value(f'SELECT count(*) FROM (SELECT ({one}) AS result FROM gyro.subscriber_identity'
                                 f' WHERE subscriber_id >= {FIRST}) x WHERE result = 2001'))
    tap.equal(all_of(1, -1), len(imsis), f'P19 a card bound to {len(imsis)} subscribers')
    return lambda priority: all_of(4, priority)


def settled(site):
    return site.pg.value("SELECT count(*) FROM gyro.server_request WHERE state_name IN ('waiting', 'on its way')") == '0'


def cause(site, gateway, name, change):
    """Everybody is asked; until nothing is on its way any more."""
    before = {s.name: s.asked for s in gateway.sessions.values()}
    rars = sum(s.rars for s in gateway.sessions.values())
    change()
    began = time.monotonic()
    while time.monotonic() - began < 60:
        gateway.look(0.2)
        if settled(site):
            break
    gateway.look(0.2)
    took, rars = time.monotonic() - began, sum(s.rars for s in gateway.sessions.values()) - rars
    asked = sum(s.asked > before[s.name] for s in gateway.sessions.values())
    states = dict(site.pg.query("SELECT state_name || ': ' || coalesce(outcome, ''), count(*) FROM gyro.server_request"
                                f" WHERE reason = '{name}' GROUP BY 1"))
    print(f'# {name}: {rars} RARs to {len(gateway.sessions)} sessions, {asked} asked anew, {took:.1f} s; {states}')
    tap.ok(settled(site), f'P19 {name}: nothing waits for ever', states)
    # Three tries: a few of the RARs get lost each time.
    tap.ok(asked >= len(gateway.sessions) * 0.97, f'P19 {name}: the sessions have asked anew', asked)
    tap.ok(len(gateway.sessions) < rars <= 3 * len(gateway.sessions), f'P19 {name}: what got lost is sent again, three times at most', rars)


def judge(site, gateway):
    tap.equal(gateway.wrong, [], 'P19 every CCR-U is granted')
    reported = {s.name: s.used for s in gateway.sessions.values()}
    charged = {name: int(used) for name, used in site.pg.query(
        "SELECT i.session_id, sum(c.used) FROM gyro.charge c JOIN gyro.session_index i USING (session)"
        f" WHERE c.account_id >= {FIRST} GROUP BY 1")}
    differ = [(name, charged.get(name), used) for name, used in reported.items() if charged.get(name) != used]
    tap.equal(differ[:5], [], 'P19 what was reported is charged once')
    held = {name: (int(rows), int(granted)) for name, rows, granted in site.pg.query(
        'SELECT session_id, count(*), sum(granted) FROM gyro.reservation JOIN gyro.session USING (account_id, session_no) GROUP BY 1')}
    differ = [(s.name, held.get(s.name), s.granted) for s in gateway.sessions.values() if held.get(s.name) != (1, s.granted)]
    tap.equal(differ[:5], [], 'P19 each session holds what it was granted last: nothing was granted twice')
    reserved = int(site.pg.value("SELECT sum(reserved) FROM gyro.card_state"))
    tap.equal(reserved, sum(s.granted for s in gateway.sessions.values()), 'P19 and so the card holds that of all')
    share = gateway.lost / max(1, gateway.lost + gateway.answered)
    tap.ok(0.2 < share < 0.4, 'P19 of the RAAs 30 % were lost', f'{gateway.lost} and {gateway.answered}')


def main():
    with Site(nodes=2, settings={'rar_timeout_ms': TIMEOUT_MS}) as site:
        site.pg.query(CATALOGUE)
        imsis = site.people(SESSIONS, first=FIRST)
        priority = bind_all(site, imsis)
        eventually(lambda: all('catalogue version' in node.said() for node in site.nodes), 5)
        gateway = Gateway(site, imsis)
        open_all(gateway)
        tap.equal([site.pg.value("SELECT count(*) FROM gyro.session WHERE state = 1"), gateway.wrong], [str(SESSIONS), []],
                  f'P19 {SESSIONS} open sessions')
        for n in range(10 if LONG else 1):
            cause(site, gateway, 'attribute level', lambda n=n: site.pg.query(
                f"SELECT gyro.attribute_set(subscriber_id, 'level', '{n + 1}') FROM gyro.subscriber WHERE subscriber_id >= {FIRST}"))
            cause(site, gateway, 'card priority', lambda n=n: priority(n + 100))
        judge(site, gateway)
        for s in gateway.sessions.values():
            gateway.charge(s, TERMINATION, [service(10, rsu=None, used=0)])
        gateway.look(0.5)
        tap.equal(site.pg.value(f'SELECT sum(reserved) FROM gyro.account WHERE account_id >= {FIRST}'), '0', 'P19 and in the end nothing is held')
        found, _ = audit(site.pg.conninfo())
        tap.ok(not found.lines, 'the independent auditor finds nothing', found.lines)
        site.check(tap)
    print(f'# seed {SEED}')
    tap.done()


main()
