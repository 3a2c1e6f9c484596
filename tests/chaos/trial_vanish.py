"""P13: each reservation ends. Gateways vanish in the middle of their sessions, nodes are killed; the sweeper of
whatever node there is gives back what they held, once; and what they report afterwards is still paid, once."""
import time

import wire
from client import INITIAL, TERMINATION, UPDATE, Client, Request, Service, Settings
from proof import audited, figures, totals
from stack import FIRST_IMSI, Stack

SHORT = 12           # the Rating-Group whose sessions are supervised after 2 s
SUPERVISED_S = 2


def vanishing(client, imsi, updates, left):
    """Opens, perhaps uses something, is gone; what it held goes to left."""
    session = client.session_id()
    opening = Request(session, imsi, INITIAL, 0, [Service(SHORT, wire.OCTETS)])
    yield [opening]
    held = opening.granted().get(SHORT, 0)
    for number in range(1, updates + 1):
        update = Request(session, imsi, UPDATE, number, [Service(SHORT, wire.OCTETS, held // 3)])
        yield [update]
        held = update.granted().get(SHORT, 0)
    left.append((session, imsi, updates + 1, held))


def returning(client, session, imsi, number, held):
    """The gateway is back and reports what flowed meanwhile: not more than it was granted."""
    yield [Request(session, imsi, TERMINATION, number, [Service(SHORT, wire.OCTETS, held // 2, False)])]


def play(client, sessions, seconds):
    sessions = list(sessions)

    def more():
        if not sessions:
            return False
        client.start(sessions.pop())
        return True
    client.run(more, seconds)


def await_end(stack, seconds):
    """Until no session is open. Returns the seconds it took, None if there still is one."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if stack.pg.value("SELECT count(*) FROM gyro.session WHERE state = 1") == '0':
            return time.monotonic() - begun
        time.sleep(0.1)
    return None


def run(tap, build, rng, rounds, keep, short):
    name = 'P13 vanished gateways'
    count = 150 if short else 2000
    with Stack(build, keep=keep, subscribers=50) as stack:
        logs = [str(stack.home / f'{which}.log') for which in ('gone', 'back')]
        common = {'nodes': stack.ports(), 'sessions': 24, 'first_imsi': FIRST_IMSI}
        left = []
        client = Client(Settings(log=logs[0], seed=rng.getrandbits(32), copies_percent=20, **common))
        play(client, (vanishing(client, client.imsi(rng.randrange(50)), rng.randint(0, 2), left) for _ in range(count)), 60)
        totals(tap, client.count, f'{name}: gone', count)
        # One node dies with them, the other is killed and starts again: supervision lives in the database.
        stack.nodes[0].kill()
        stack.nodes[1].kill()
        held = stack.pg.value('SELECT sum(reserved) FROM gyro.account')
        time.sleep(rng.uniform(0, SUPERVISED_S))
        for node in rng.sample(stack.nodes, 2):
            node.start()
        took = await_end(stack, SUPERVISED_S + 15)
        tap.ok(took is not None, f'{name}: every session ends by itself')
        tap.equal(stack.pg.value('SELECT sum(reserved) FROM gyro.account'), '0', f'{name}: nothing is held any more')
        ends = stack.pg.value('SELECT count(*) FROM gyro.record WHERE request_type = 0')
        figures(name, sessions=len(left), held_by_them=held, nodes_up_to_all_ended=f'{took or 0:.1f} s', ended_by_sweeper=ends)
        tap.ok(0 < int(ends) <= len(left), f'{name}: each ended once, by one of two sweepers', ends)
        client = Client(Settings(log=logs[1], seed=rng.getrandbits(32), copies_percent=50, **common))
        play(client, [returning(client, *gone) for gone in rng.sample(left, len(left) // 2)], 60)
        late = stack.pg.value('SELECT count(*) FROM gyro.record WHERE request_type = 3 AND flags & 4 = 4')
        figures(name, returned=client.count['requests'], paid_late=late, **client.count)
        tap.equal((int(late), client.count['failed']), (len(left) // 2, len(left) // 2),
                  f'{name}: what is reported late is paid and answered 5002')
        audited(tap, stack, logs, name, grace_s=10)
