#!/usr/bin/python3
"""Start and stop (G-04, P18): a planned stop loses nothing, a restart forgets nothing, two nodes restart in turn.

stop.py. Every request of this program was answered or it is not charged: the books say which.
"""
import signal
import threading
import time

from family import (CODES, INITIAL, P, T, TERMINATION, UPDATE, Closed, Hold, Site, Tap, arguments, hop, results, sanitized,
                    service, until)

KIB, MICROS = 1024, 1_000_000_000  # a KiB of Rating-Group 10 costs 97.65625 micro-units; a MiB 100,000
MIB = 1 << 20


def in_flight(tap, site, imsis):
    """SIGTERM behind 200 requests of 20 accounts: half of them wait for rows that an operator holds beyond it."""
    node = site.node
    gateway = node.client('pgw1')
    sessions = {imsi: gateway.session() for imsi in imsis}
    for imsi, session in sessions.items():
        gateway.charge(session, INITIAL, 0, [service(10)], who=imsi)
    held = imsis[:10]
    requests = {}
    with Hold(site, *range(1000, 1010)):
        for number in range(1, 11):
            for imsi, session in sessions.items():
                raw = gateway.ccr(session, UPDATE, number, [service(10, used=MIB)], who=imsi)
                requests[hop(raw)] = (imsi, raw)
        gateway.send(b''.join(raw for _, raw in requests.values()))
        # When the others are answered, those in between have been taken up as well.
        got = results(gateway, {h for h, (imsi, _) in requests.items() if imsi not in held}, 10)
        waiting = len(requests) - len(got)
        begin = time.monotonic()
        node.terminate()
        time.sleep(0.2)
    dpr = None
    try:
        while True:
            message = gateway.receive(15)
            if message.is_request and message.code == CODES['DPR']:
                dpr = message
                gateway.reply(dpr, 2001)
            elif not message.is_request:
                got[message.hop_by_hop] = message.result
    except Closed:
        pass
    status = node.wait(20)
    took = time.monotonic() - begin
    tap.equal(status, 0, 'SIGTERM: exit status 0')
    bound = 15 * (2 if sanitized() else 1)
    tap.ok(took < bound, f'within {bound} seconds', f'{took:.1f} s')
    tap.ok(dpr is not None and dpr['Disconnect-Cause'] == 0, 'G-04 with a DPR, REBOOTING', dpr)
    tap.ok(waiting == 100 and sorted(got) == sorted(requests), 'G-04 each of 100 requests in flight is answered before the end',
           f'{waiting} waited; {len(requests) - len(got)} have no answer')
    tap.equal(set(got.values()), {2001}, 'G-04 and with a success')
    charged = [site.records(session) for session in sessions.values()]
    tap.equal(charged, [(11, 1_000_000)] * 20, 'and charged, each once')
    gateway.close()
    return sessions


def afterwards(tap, site, sessions):
    """The node comes back: sessions go on where they were, and the last request is still known."""
    begin = time.monotonic()
    site.node.start()
    took = time.monotonic() - begin
    tap.ok(took < (10 if sanitized() else 3), 'it is ready again soon', f'{took:.2f} s')
    gateway = site.node.client('pgw1')
    imsi, session = next(iter(sessions.items()))
    first = gateway.charge(session, UPDATE, 10, [service(10, used=MIB)], who=imsi, flags=P | T)
    tap.equal((first.result, site.records(session)), (2001, (11, 1_000_000)), 'a request of before, again: answered, not charged')
    codes = [gateway.charge(session, TERMINATION, 11, [service(10, rsu=None, used=MIB)], who=imsi).result
             for imsi, session in sessions.items()]
    tap.equal(codes, [2001] * len(sessions), 'sessions of before the restart end normally after it')
    money = [site.money(1000 + n) for n in range(len(sessions))]
    tap.equal(money, [(MICROS - 11 * 100_000, 0)] * len(sessions), 'each request is charged once, and nothing is held any more')
    gateway.disconnect()


def no_goodbye(tap, site, imsi):
    """Peers that don't answer the DPR, or don't read, can't keep the node; SIGINT is a stop as well."""
    mute = site.node.client('mute')
    witness = site.node.client('polite')
    begin = time.monotonic()
    site.node.process.send_signal(signal.SIGINT)
    dpr = witness.receive(10)
    witness.reply(dpr, 2001)
    status = site.node.wait(25)
    took = time.monotonic() - begin
    tap.ok(status == 0 and took < 20, 'a peer that doesn\'t answer the DPR delays the end, no more', f'status {status} after {took:.1f} s')
    for client in (mute, witness):
        client.close()
    site.node.start()
    begin = time.monotonic()
    tap.equal(site.node.stop(), 0, 'without peers it stops')
    tap.ok(time.monotonic() - begin < 5, 'at once', f'{time.monotonic() - begin:.1f} s')
    site.node.start()
    with site.node.client('pgw1') as gateway:
        gateway.charge(gateway.session(), INITIAL, 0, [service(10, rsu=KIB)], who=imsi)
        site.node.terminate()
        site.node.terminate()
        gateway.reply(gateway.receive(10), 2001)
        tap.equal(site.node.wait(20), 0, 'SIGTERM twice is one stop')
    site.node.start()


def while_stopping(tap, site):
    """A request that comes in the middle of a stop is refused, or meets silence; it is never charged without an answer."""
    gateway = site.node.client('pgw1')
    session = gateway.session()
    gateway.charge(session, INITIAL, 0, [service(10, rsu=KIB)], who='460020000001000')
    done, sent, got = threading.Event(), {}, {}

    def loop():
        number = 1
        while not done.is_set():
            try:
                raw = gateway.ccr(session, UPDATE, number, [service(10, rsu=KIB, used=MIB)], who='460020000001000')
                gateway.send(raw)
                sent[hop(raw)] = number
                number += 1
                drain()
            except Closed:
                return

    def drain():
        try:
            while True:
                message = gateway.receive(0.002)
                if not message.is_request:
                    got[message.hop_by_hop] = message.result
                elif message.code == CODES['DPR']:
                    gateway.reply(message, 2001)
        except Closed as e:
            if type(e) is Closed:
                raise

    thread = threading.Thread(target=loop)
    thread.start()
    time.sleep(0.5)
    status = site.node.stop()
    done.set()
    thread.join(10)
    good = sum(code == 2001 for code in got.values())
    count, debit = site.records(session)
    tap.ok(status == 0 and good > 10, 'a stop in the middle of traffic', f'status {status}, {len(sent)} sent, {good} answered with 2001')
    tap.equal((count - 1, debit), (good, good * 100_000), 'what was answered is charged, and nothing else')
    gateway.close()
    site.node.start()


def said_goodbye(link):
    """True if the node has sent a DPR on this idle connection: answered, and over."""
    try:
        while True:
            message = link.receive(0)
            if message.is_request and message.code == CODES['DPR']:
                link.reply(message, 2001)
                return True
    except Closed as e:
        return type(e) is Closed


def rolling(tap, site, imsis):
    """P18: two nodes restart in turn while a client uses both; whatever one refuses the other one takes."""
    other = site.add('gyro2', settings={'alternate_node': True}).start()
    nodes = [site.node, other]
    done, failures, numbers, waits = threading.Event(), [], [0], []
    imsi = imsis[5]

    def client():
        """Sends each request to one node after the other until one of them says 2001."""
        links, turn, session = [None, None], 0, f'rolling;{time.time()}'
        while not done.is_set():
            number = numbers[0]
            kind, services = (INITIAL, [service(10, rsu=KIB)]) if number == 0 else (UPDATE, [service(10, rsu=KIB, used=MIB)])
            begin, flags = time.monotonic(), P
            while True:
                if time.monotonic() - begin > 10:
                    failures.append(f'request {number}: no success in ten seconds')
                    return
                for n, link in enumerate(links):
                    if link and said_goodbye(link):
                        link.close()
                        links[n] = None
                try:
                    if links[turn] is None:
                        links[turn] = nodes[turn].client('rolling', patience=0, timeout=2)
                    answer = links[turn].charge(session, kind, number, services, who=imsi, flags=flags, end_to_end=7000 + number)
                    if answer.result == 2001:
                        break
                    if answer.result not in (3004, 5012):
                        failures.append(f'request {number}: {answer}')
                        return
                except OSError:
                    if links[turn]:
                        links[turn].close()
                    links[turn] = None
                flags, turn = P | T, 1 - turn
            waits.append(time.monotonic() - begin)
            numbers[0] += 1
            time.sleep(0.005)
        sessions.append(session)

    sessions = []
    thread = threading.Thread(target=client)
    thread.start()
    for node in (nodes[0], nodes[1], nodes[0]):
        seen = numbers[0]
        until(lambda: numbers[0] > seen + 20, 10)
        tap.equal(node.stop(), 0, f'{node.identity} stops under load')
        seen = numbers[0]
        tap.ok(until(lambda: numbers[0] > seen + 20 or failures, 10) and not failures, 'P18 the other one serves meanwhile', failures)
        node.start()
    done.set()
    thread.join(15)
    tap.equal(failures, [], 'P18 every request succeeded at the first or the second node')
    if sessions:
        count = site.pg.value(f"SELECT count(*) || ' ' || sum(debit) FROM gyro.record r JOIN gyro.session_index i USING (session) "
                              f"WHERE session_id = '{sessions[0]}'")
        tap.equal(count, f'{numbers[0]} {(numbers[0] - 1) * 100_000}', f'P18 each of {numbers[0]} requests is charged once')
        print(f'# slowest {max(waits):.3f} s')
    tap.equal(other.stop(), 0, 'the second node stops')


def main():
    arguments(__doc__)
    tap = Tap()
    with Site() as site:
        imsis = site.people(20)
        afterwards(tap, site, in_flight(tap, site, imsis))
        while_stopping(tap, site)
        no_goodbye(tap, site, imsis[3])
        rolling(tap, site, imsis)
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
