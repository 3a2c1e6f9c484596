#!/usr/bin/python3
"""Which node sends: the one that reaches the gateway, and just once; agents; nodes that die or stop meanwhile.

Two nodes on one database. Gateways are raw clients. Less than a minute.
"""
import time

from outbox import call, eventually, last, of_session, opened, request, settles, silent, uuid_of
from diameter import CODES, MIB, Client, Silent, TERMINATION, UPDATE, service
from node import Site
from tap import Tap

S1 = '460001000000001'
CLAIM_S = 1 + 2  # rar_timeout_ms and CLAIM_LONGER_MS
DONE = ('done', 'accepted', '2001')
tap = Tap()


def ask(site, session):
    return call(site, f"gyro.reauthorize_session('{uuid_of(site, session)}', NULL, 'test')")


def close(gateway, session, number=9):
    gateway.charge(session, TERMINATION, number, [service(10, rsu=None, used=0)], who=S1)


def node_of(site, session):
    return of_session(site, session)[-1]['node']


def only_one_reaches(site):
    one, two = site.nodes
    gateway = two.client('pgw2')
    session, _ = opened(gateway, S1)
    begin = time.monotonic()
    ask(site, session)
    message = request(gateway)
    tap.ok(message is not None and time.monotonic() - begin < 1, 'the node with the connection sends, within a second')
    gateway.reply(message, 2001)
    settles(site, session, DONE)
    tap.equal(node_of(site, session), 'gyro2.spec.test', 'and it was that one')
    tap.ok(silent(gateway, 1.2), 'once')

    # Now both have one, and the second hears the gateway.
    idle = one.client('pgw2')
    ask(site, session)
    message = request(gateway)
    tap.ok(message is not None, 'with two connections: over that of the last request')
    gateway.reply(message, 2001)
    settles(site, session, DONE)
    tap.ok(silent(idle, 0.6), 'and not over the idle one')
    gateway.disconnect()
    begin = time.monotonic()
    ask(site, session)
    message = request(idle)
    tap.ok(message is not None and time.monotonic() - begin < 2, 'the idle one serves when the other is gone')
    tap.equal(node_of(site, session), 'gyro1.spec.test', 'from the node that never heard the gateway')
    idle.reply(message, 2001)
    settles(site, session, DONE)
    close(idle, session)
    idle.disconnect()


def exactly_once(site):
    """A hundred sessions, each request over another node, all asked at once, both nodes eager."""
    connections = [node.client('pgw3') for node in site.nodes]
    imsis = site.people(100, first=2000)
    sessions = {}
    for n, imsi in enumerate(imsis):
        session, _ = opened(connections[n % 2], imsi)
        sessions[session] = 0
    site.pg.query("SELECT gyro.reauthorize_account(n, 'test') FROM generate_series(2000, 2099) n")
    end = time.monotonic() + 10
    while sum(sessions.values()) < len(sessions) and time.monotonic() < end:
        for connection in connections:
            message = request(connection, 0.02)
            while message is not None:
                sessions[message['Session-Id']] += 1
                connection.reply(message, 2002)
                message = request(connection, 0.02)
    tap.equal(sorted(set(sessions.values())), [1], 'a hundred sessions, two eager nodes: one RAR each')
    tap.ok(all(silent(c, 0.7) for c in connections), 'and none more')
    rows = site.pg.query("SELECT state_name, attempts, count(*) FROM gyro.server_request "
                         "WHERE account_id BETWEEN 2000 AND 2099 GROUP BY 1, 2")
    tap.equal(rows, [['done', '1', '100']], 'as the outbox says')
    for connection in connections:
        connection.disconnect()


class Agent(Client):
    """A connection of an agent, over which a gateway's requests come: other name in CER than in requests."""

    def __init__(self, node, name, gateway):
        super().__init__(node.port, host=f'{name}.spec.test', node=node.identity)
        self.host = f'{gateway}.spec.test'


def behind_agents(site):
    one = site.nodes[0]
    first, second = Agent(one, 'dra1', 'pgw4'), Agent(one, 'dra2', 'pgw4')
    bystander = one.client('pgw5')
    opened(bystander, S1)
    session, _ = opened(first, S1)
    ask(site, session)
    message = request(first)
    tap.equal(message and (message['Destination-Host'], message['Session-Id']), ('pgw4.spec.test', session),
              'through the agent that brought the request, to the gateway behind it')
    first.reply(message, 2001)
    settles(site, session, DONE)
    second.charge(session, UPDATE, 1, [service(10, used=MIB)], who=S1)
    ask(site, session)
    message = request(second)
    tap.ok(message is not None, 'through the other agent, when that one brought the last')
    second.reply(message, 3002)
    message = request(second)
    tap.ok(message is not None, "an agent's 3002 is tried again")
    second.reply(message, 2001)
    settles(site, session, DONE)
    second.reset()
    time.sleep(0.2)
    ask(site, session)
    tap.ok(silent(first, 1.5) and silent(bystander, 0.1), 'the agent is gone: through nobody else')
    tap.equal(last(site, session)[0], 'waiting', 'it waits')
    first.charge(session, UPDATE, 2, [service(10, used=MIB)], who=S1)
    want = ('done', 'the gateway asked by itself', '')
    tap.equal(settles(site, session, want), want, 'until the gateway comes through the other, by itself')
    close(first, session)
    first.disconnect()
    bystander.disconnect()


def killed_with_a_claim(site):
    one, two = site.nodes
    primary, secondary = one.client('pgw6'), two.client('pgw6')
    session, _ = opened(primary, S1)
    ask(site, session)
    message = request(primary)
    tap.ok(message is not None, 'the first node has sent')
    one.kill()
    tap.equal(last(site, session)[0], 'on its way', 'killed, with its claim')
    begin = time.monotonic()
    message = request(secondary, CLAIM_S + 4)
    took = time.monotonic() - begin
    tap.ok(message is not None and took > 1, 'the other node sends, when the claim has ended', f'{took:.1f} s')
    secondary.reply(message, 2001)
    settles(site, session, DONE)
    tap.equal((node_of(site, session), of_session(site, session)[-1]['attempts']), ('gyro2.spec.test', '2'),
              'as its second try')
    one.start()
    secondary.charge(session, UPDATE, 1, [service(10, used=MIB)], who=S1)
    secondary.disconnect()
    primary.close()


def lost_connection(site):
    """The gateway's connection breaks while its RAR is on its way."""
    one = site.nodes[0]
    gateway = one.client('pgw7')
    session, _ = opened(gateway, S1)
    ask(site, session)
    tap.ok(request(gateway) is not None, 'a RAR is on its way')
    gateway.reset()
    tap.equal(settles(site, session, ('waiting', '', '')), ('waiting', '', ''), 'the connection breaks: it waits again')
    tap.equal(of_session(site, session)[-1]['attempts'], '0', 'which was no try')
    gateway = one.client('pgw7')
    message = request(gateway, 5)
    tap.ok(message is not None, 'and is sent over the new one')
    gateway.reply(message, 2001)
    tap.equal(settles(site, session, DONE), DONE, 'and answered')
    close(gateway, session)
    gateway.disconnect()


def database_away(site):
    """The RAA comes while there is no database: it isn't forgotten."""
    two = site.nodes[1]
    gateway = two.client('pgw8')
    session, _ = opened(gateway, S1)
    ask(site, session)
    message = request(gateway)
    site.pg.kill()
    gateway.reply(message, 2001)
    time.sleep(0.5)
    site.pg.start()
    tap.equal(settles(site, session, DONE, 8), DONE, 'an answer that came while there was no database is written later')
    ask(site, session)
    message = request(gateway, 5)
    tap.ok(message is not None, 'and news come through again')
    gateway.reply(message, 2001)
    settles(site, session, DONE)
    eventually(lambda: gateway.charge(session, TERMINATION, 9, [service(10, rsu=None, used=0)], who=S1).result == 2001, 5)
    gateway.disconnect()


def stopping(site):
    one = site.nodes[0]
    gateway = one.client('pgw9')
    session, _ = opened(gateway, S1)
    one.terminate()
    eventually(lambda: 'gyro: stopping' in one.said())
    ask(site, session)
    seen = []
    try:
        while (message := gateway.receive(3)) is not None:
            seen.append(message.code)
            if message.code == CODES['DPR']:
                gateway.reply(message, 2001)
                break
    except (Silent, ConnectionError):
        pass
    tap.equal(seen, [CODES['DPR']], 'a node that stops sends its goodbye, and no RAR')
    tap.equal(one.wait(), 0, 'and ends')
    tap.equal(last(site, session)[0], 'waiting', 'what was asked for waits')
    gateway = site.nodes[1].client('pgw9')
    message = request(gateway, 5)
    tap.ok(message is not None, 'for the other node')
    gateway.reply(message, 2001)
    tap.equal(settles(site, session, DONE), DONE, 'which sends it')
    close(gateway, session)
    gateway.disconnect()


with Site(nodes=2, settings={'rar_timeout_ms': 1000}, agents=['dra1.spec.test', 'dra2.spec.test']) as site:
    for part in (only_one_reaches, exactly_once, behind_agents, killed_with_a_claim, lost_connection, database_away, stopping):
        part(site)
    site.check(tap)
tap.done()
