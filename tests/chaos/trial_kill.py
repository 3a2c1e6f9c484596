"""P1: an answered debit is never lost. kill -9 of a node at random moments, under load; the client resends with T."""
import random
import time

from proof import audited, figures, simulated, spread, story, totals
from stack import Gateway, Simulator, Stack


def operator(stack, rng, n):
    """Money arrives while everything falls over."""
    stack.pg.query(f"SELECT gyro.topup({1000 + rng.randrange(100)}, {rng.randint(1, 10**7)}, 'storm {n}')")


def kills(stack, rng, rounds):
    """(when killed, node, when started) of each; sometimes both nodes lie down together."""
    out = []
    for n in range(rounds):
        time.sleep(rng.uniform(0.15, 0.9))
        victims = rng.sample(stack.nodes, 2 if rng.random() < 0.15 else 1)
        fallen = []
        for node in victims:
            fallen.append((time.time(), node))
            node.kill()
        operator(stack, rng, n)
        time.sleep(rng.choice((0, 0, rng.uniform(0, 0.3))))
        for killed, node in fallen:
            begun = time.time()
            node.start()
            out.append((killed, node.name, begun))
    return out


def recovery(sent, events):
    """Seconds from each start to the first answer of that node."""
    answers = {}
    for s in sent:
        if s.answered_at is not None:
            answers.setdefault(s.node, []).append(s.answered_at)
    out = []
    for _, node, begun in events:
        after = [t for t in answers.get(node, []) if t > begun]
        if after:
            out.append(min(after) - begun)
    return out


def committed_unheard(stack, sent):
    """Requests that were decided although the client saw that very transmission fail: answers lost after the commit."""
    lost = {}
    for s in sent:
        if s.lost is not None:
            lost[s.request] = max(lost.get(s.request, 0), s.lost)
    at = {(row[0], int(row[1]), int(row[2])): float(row[3]) for row in stack.pg.query(
        'SELECT x.session_id, r.request_type, r.request_number, extract(epoch FROM r.at) FROM gyro.record r '
        'JOIN gyro.session_index x USING (session)')}
    return sum(1 for request, when in lost.items() if at.get(request, when) < when)


def run(tap, build, rng, rounds, keep, short):
    name = 'P1 kill -9 of nodes'
    with Stack(build, keep=keep) as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=40,
                          copies_percent=10, parallel_percent=25, overtake_percent=10, timeout_s=1.0)
        simulator = Simulator(stack, str(stack.home / 'sim.log'), rng.getrandbits(32), max(5, rounds // 2))
        time.sleep(0.5)
        events = kills(stack, random.Random(rng.getrandbits(32)), rounds)
        time.sleep(0.5)
        tap.ok(gateway.running(), f'{name}: the client runs through all of it')
        totals(tap, gateway.finish(), name, rounds * 10)
        simulated(tap, simulator, name)
        sent = story([log])
        figures(name, kills=len(events), rounds=rounds, start_to_first_answer=spread(recovery(sent, events)),
                lost_transmissions=sum(s.lost is not None for s in sent),
                answers_lost_after_the_commit=committed_unheard(stack, sent))
        tap.ok(len(events) >= rounds, f'{name}: {rounds} rounds')
        audited(tap, stack, [log, str(stack.home / 'sim.log')], name)
