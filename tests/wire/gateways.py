#!/usr/bin/python3
"""What a peer can make of its own name and of its Origin-State-Id: one row, few transactions, and nothing for others.

gateways.py [--seed N]. A DiameterIdentity is the same however it is written (RFC 6733 4.3.1). Beyond what a network of
gateways needs when it comes up, an agent's new gateways are refused, and restarts are noted later (G-92).
"""
import random
import threading
import time

from family import INITIAL, P, TERMINATION, UPDATE, Site, Tap, arguments, hop, results, sanitized, service, until

COUNT = 5000
# core/engine/internal.h
NEWS, NEWS_PER_S, RESTARTS, RESTARTS_PER_S = 1000, 100, 20, 1


def gateways(site, where='true'):
    return int(site.pg.value(f'SELECT count(*) FROM gyro.gateway WHERE {where}'))


def from_host(client, host, imsi, state=None):
    """A CCR-I of that host on this connection."""
    avps = client.ccr_avps(client.session(), INITIAL, 0, [], who=imsi, more=[('Origin-State-Id', state)] if state else [])
    avps[1] = ('Origin-Host', host)
    return client.message('CCR', P, avps)


def all_of(client, raws):
    """The Result-Codes of these, sent in portions; how long it took."""
    began, codes = time.monotonic(), []
    for first in range(0, len(raws), 100):
        part = raws[first:first + 100]
        client.send(b''.join(part))
        codes += results(client, {hop(raw) for raw in part}, 30).values()
    return codes, time.monotonic() - began


def spellings(tap, site, rng, imsis):
    """One peer, its name in ever new letters."""
    with site.node.client('pgw-with-a-long-name') as peer:
        before = gateways(site)
        hosts = [''.join(rng.choice((c.upper(), c)) for c in peer.host) for _ in range(COUNT)]
        raws = [from_host(peer, host, imsis[n % len(imsis)]) for n, host in enumerate(hosts)]
        codes = all_of(peer, raws[:1])[0] + all_of(peer, raws[1:])[0]
        tap.equal((len(codes), set(codes)), (COUNT, {2001}), f'{COUNT} CCR-I of one peer, each with its Origin-Host in other letters: served')
        tap.equal(gateways(site) - before, 1, 'they are one gateway')
        tap.equal(site.pg.value(f"SELECT count(DISTINCT gateway_id) FROM gyro.session WHERE gateway_id IN (SELECT gateway_id FROM gyro.gateway"
                                f" WHERE lower(origin_host) = '{peer.host}')"), '1', 'and its sessions are that one\'s')
        row = 'SELECT origin_host FROM gyro.gateway WHERE lower(origin_host) = \'' + peer.host + "'"
        tap.equal(site.pg.value(row), hosts[0], 'it is called as it first wrote itself')
        site.node.restart()
    with site.node.client('pgw-with-a-long-name') as peer:
        all_of(peer, [from_host(peer, peer.host, imsis[0])])
        tap.equal((site.pg.value(row), gateways(site) - before), (peer.host, 1), 'and when a node starts, as it writes itself then')


def states(tap, site, imsis):
    """One peer restarts with every request. Another restarts once, meanwhile, and both are known in the end."""
    mad, sane = site.node.client('mad'), site.node.client('sane')
    for client, state in ((mad, 1), (sane, 7)):
        all_of(client, [from_host(client, client.host, imsis[0], state)])
    old = sane.session()
    sane.charge(old, INITIAL, 0, [service(10)], who=imsis[1], more=[('Origin-State-Id', 7)])
    began = len(site.node.said())
    raws = [from_host(mad, mad.host, imsis[n % 50 + 2], n + 2) for n in range(COUNT)]
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(all_of(mad, raws)))
    thread.start()
    sane.charge(sane.session(), INITIAL, 0, [], who=imsis[0], more=[('Origin-State-Id', 8)])
    ended = until(lambda: site.pg.value(f"SELECT count(*) FROM gyro.session WHERE session_id = '{old}' AND state = 1") == '0', 10)
    tap.ok(ended, 'G-92 a gateway restarts while another does with every request: its sessions end')
    thread.join()
    codes, took = outcome[0]
    tap.equal((len(codes), set(codes)), (COUNT, {2001}), f'{COUNT} CCR-I of one peer, each with a greater Origin-State-Id: served')
    told = site.node.said(began).count('gateway mad.spec.test restarted')
    most = RESTARTS + RESTARTS_PER_S * (took + 2)
    # A lane that hears of one after a later one tells nothing new.
    tap.ok(RESTARTS // 4 <= told <= most, f'few of them are taken for restarts: {RESTARTS}, and one in a second', f'{told} in {took:.1f} s')
    mad_state = "SELECT origin_state FROM gyro.gateway WHERE origin_host = 'mad.spec.test'"

    def caught_up():
        all_of(mad, [from_host(mad, mad.host, imsis[0], COUNT + 1)])
        return site.pg.value(mad_state) == str(COUNT + 1)

    tap.ok(until(caught_up, 10, 0.2), 'the last of them is known soon', site.pg.value(mad_state))
    mad.close()
    sane.close()


def invented(tap, site, imsis):
    """An agent brings a new gateway with every request; its known ones, and other peers, are served on."""
    with site.node.client('dra1') as agent, site.node.client('other') as other:
        known = 'first.spec.test'
        all_of(agent, [from_host(agent, known, imsis[0])])
        before = gateways(site)
        raws = [from_host(agent, f'invented{n}.spec.test', imsis[n % 50]) for n in range(3 * NEWS)]
        codes, took = all_of(agent, raws)
        made = gateways(site) - before
        tap.ok(NEWS - 1 <= made <= NEWS + NEWS_PER_S * (took + 1), f'an agent brings {3 * NEWS} new gateways at once: {NEWS} are taken', f'{made} in {took:.1f} s')
        tap.ok(set(codes) == {2001, 5012} and codes.count(2001) == made, 'the others are refused, for now', {c: codes.count(c) for c in set(codes)})
        good, _ = all_of(agent, [from_host(agent, host, imsis[0]) for host in (known, 'FIRST.spec.test', 'invented0.spec.test')])
        tap.equal(good, [2001] * 3, 'those that are known are served')
        tap.equal(all_of(other, [from_host(other, other.host, imsis[1])])[0], [2001], 'and so is another peer, which is new')
        tap.ok(until(lambda: all_of(agent, [from_host(agent, 'later.spec.test', imsis[0])])[0] == [2001], 5), 'and one more of the agent\'s, later')


def main():
    options = arguments(__doc__)
    tap, rng = Tap(), random.Random(options.seed)
    print(f'# seed {options.seed}')
    with Site(agents=['dra1.spec.test'], settings={'queue_age_ms': 3000}) as site:
        imsis = site.people(60)
        spellings(tap, site, rng, imsis)
        states(tap, site, imsis)
        invented(tap, site, imsis)
        site.check(tap)
    print(f'# seed {options.seed}')
    tap.done()


if __name__ == '__main__':
    main()
