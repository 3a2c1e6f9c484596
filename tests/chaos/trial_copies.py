"""P2: a debit is never applied twice, and never skipped. Copies at once, with and without T, at the same and the other
node; and different numbers of one session at the same time, in any order, at two nodes.

The second part is the trial that a prototype failed (shared notes on the store): it took every number not above the
last one for a copy, and answered a late original without ever charging it."""
from proof import audited, figures, simulated, story, totals
from stack import Gateway, Simulator, Stack


def orders(sent):
    """Pairs of updates of one session that were under way together, and those of them sent in reverse order."""
    first, done = {}, {}
    for s in sent:
        if s.request[1] != 1:
            first.setdefault(s.request, s)
            if s.answered_at is not None:
                done[s.request] = min(done.get(s.request, s.answered_at), s.answered_at)
    pairs = reverse = split = 0
    for (session, kind, number), s in first.items():
        other = first.get((session, 2, number - 1))
        if other is None or (session, 2, number - 1) not in done:
            continue
        if s.at < done[session, 2, number - 1]:
            pairs += 1
            reverse += s.at < other.at
            split += s.node != other.node
    return pairs, reverse, split


def run(tap, build, rng, rounds, keep, short):
    name = 'P2 copies and disorder'
    requests = 8000 if short else 120000
    with Stack(build, keep=keep, subscribers=60) as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=1200, requests=requests,
                          subscribers=60, sessions=48, copies_percent=20, parallel_percent=60, together=9, overtake_percent=25)
        simulator = Simulator(stack, str(stack.home / 'sim.log'), rng.getrandbits(32), 4 if short else 60, subscribers=60)
        gateway.process.wait(1200)
        totals(tap, gateway.finish(), name, requests * 9 // 10)
        simulated(tap, simulator, name)
        sent = story([log])
        pairs, reverse, split = orders(sent)
        figures(name, pairs_under_way_together=pairs, of_them_in_reverse_order=reverse, of_them_at_two_nodes=split)
        tap.ok(reverse > requests // 100 and split > requests // 100, f'{name}: there was disorder to survive')
        checked = audited(tap, stack, [log, str(stack.home / 'sim.log')], name)
        missing = stack.pg.value('SELECT count(*) FROM gyro.record WHERE request_type <> 0')
        figures(name, records=missing, missing=0 if int(missing) == checked['requests'] else 'see above')
        tap.equal(int(missing), checked['requests'], f'{name}: one record for each request')
        tap.ok(checked['copies answered alike'] > requests // 20, f'{name}: copies were answered alike')
