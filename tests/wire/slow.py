#!/usr/bin/python3
"""Peers that don't read and strangers in crowds (P8, P11, G-02 to G-04): nobody waits for them but themselves.

slow.py [--long] [--only NAME]. --long: more rounds, 20,000 strangers instead of 8,000 (of 500 beside a sanitizer).
"""
import pathlib
import select
import socket
import ssl
import struct
import tempfile
import threading
import time

from family import INITIAL, P, UPDATE, Closed, Silent, Site, Tap, Witness, arguments, hop, results, sanitized, service, until

from certificates import Authority

STATE = [('Proxy-Info', [('Proxy-Host', 'dra1.spec.test'), ('Proxy-State', bytes(8000))])]
# More than socket buffers hold of it.
ASKED = 600


def say(text):
    """What was measured, in good runs as in bad ones."""
    print(f'# {text}', flush=True)


def refused(gateway, count=ASKED):
    """The bytes of as many requests that lack an AVP, and whose answers are long: they are refused in dispatch."""
    one = gateway.message('CCR', P, gateway.ccr_avps('refused', INITIAL, 0, [service(10)], more=STATE, omit=['CC-Request-Type']))
    return one * count


def push(raw, clients, seconds):
    """Sends it to all of them as far as they take it; nothing is read."""
    left, end = {c.socket: memoryview(raw) for c in clients}, time.monotonic() + seconds
    for s in left:
        s.setblocking(False)
    while left and time.monotonic() < end:
        for s in select.select([], list(left), [], 0.1)[1]:
            try:
                left[s] = left[s][s.send(left[s]):]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                continue
            except OSError:
                left[s] = b''
            if not left[s]:
                del left[s]


def newcomer(node, name):
    """How long a peer that nobody has seen yet waits for its CEA, connection and goodbye included."""
    begin = time.monotonic()
    with node.client(name, patience=0) as gateway:
        good = gateway.cea.result == 2001
        gateway.disconnect()
    return time.monotonic() - begin if good else 99


class Newcomers(threading.Thread):
    """New peers one after another, and the longest time that one took."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.ended, self.times = node, threading.Event(), []

    def run(self):
        while not self.ended.wait(0.05):
            try:
                self.times.append(newcomer(self.node, f'new{id(self)}x{len(self.times)}'))
            except OSError:
                self.times.append(99)

    def check(self, tap, name, slowest=0.8):
        self.ended.set()
        self.join(30)
        worst, limit = max(self.times, default=99), slowest * (5 if sanitized() else 1)
        tap.ok(worst <= limit, name)
        say(f'{len(self.times)} new peers, the slowest after {worst:.3f} s (bound {limit} s)')


def deaf_return(node, goodbye, tls=None):
    """A peer breaks off, is back, asks a lot and reads nothing, not even the DWR; goodbye: and says DPR behind it."""
    node.client('deaf', tls=tls).reset()
    deaf = node.client('deaf', receive_buffer=4096, tls=tls)
    push(refused(deaf) + (deaf.dpr() if goodbye else b''), [deaf], 3)
    time.sleep(1.2)
    deaf.reset()


def deaf_goodbye(node):
    """An open peer asks a lot, says goodbye and reads nothing."""
    deaf = node.client('leaving', receive_buffer=4096)
    push(refused(deaf) + deaf.dpr(), [deaf], 3)
    time.sleep(1.2)
    deaf.reset()


def deaf_peers_beside_the_queue(tap, node, imsi, rounds, tls):
    """P11, G-03, G-04: answers that go out without a queue, after a return (REOPEN) and after a DPR (CLOSING_GRACE)."""
    for name, play in (('back after a break', lambda: deaf_return(node, False)),
                       ('back over TLS', lambda: deaf_return(node, False, tls)),
                       ('back, and says goodbye', lambda: deaf_return(node, True)),
                       ('that says goodbye', lambda: deaf_goodbye(node))):
        witness, newcomers = Witness(node, imsi), Newcomers(node)
        newcomers.start()
        for _ in range(rounds):
            play()
        newcomers.check(tap, f'P11 beside a deaf peer {name} a new one gets in')
        witness.check(tap, f'P11 beside a deaf peer {name} another one is served', slowest=1 if sanitized() else 0.6,
                      least=3 if sanitized() else 20)
        say(f'{witness.count()} answers, the slowest after {witness.slowest():.3f} s')


def good_return(tap, node, imsi):
    """What goes out without a queue isn't lost on a peer that reads: it is back after a break, and asks at once."""
    node.client('back').reset()
    with node.client('back') as gateway:
        gateway.answer_watchdogs = False
        session = gateway.session()
        batch = [gateway.ccr(session, UPDATE if n else INITIAL, n, [service(10, used=1024 if n else None)], who=imsi)
                 for n in range(300)]
        gateway.send(b''.join(batch))
        got = results(gateway, {hop(raw) for raw in batch}, 10)
        watchdogs = len(gateway.requests)
        gateway.answer_watchdogs = True
        tap.equal((len(got), set(got.values()) <= {2001, 3004, 5012}, watchdogs), (300, True, 1),
                  'a peer that is back gets an answer to each of 300 requests, its first watchdog still open')
        gateway.disconnect()


class Watched(threading.Thread):
    """A good peer that sends a DWR each 100 ms; how long the DWAs took."""

    def __init__(self, node, name):
        super().__init__(daemon=True)
        self.gateway, self.ended, self.times, self.failure = node.client(name), threading.Event(), [], None

    def run(self):
        try:
            while not self.ended.wait(0.1):
                begin = time.monotonic()
                self.gateway.ask(self.gateway.dwr())
                self.times.append(time.monotonic() - begin)
        except (Closed, Silent) as e:
            self.failure = e

    def stop(self):
        self.ended.set()
        self.join(20)
        self.gateway.close()


def crowd_of_deaf_peers(tap, node, imsi, deaf_count, rounds):
    """P11: dozens of peers whose senders are stuck; those of the others are not."""
    good = [Watched(node, f'good{n}') for n in range(8)]
    witness = Witness(node, imsi)
    for peer in good:
        peer.start()
    for turn in range(rounds):
        deaf = [node.client(f'deaf{turn}x{n}', receive_buffer=4096) for n in range(deaf_count)]
        push(refused(deaf[0], 400), deaf, 20)
        time.sleep(1.5)
        for peer in deaf:
            peer.reset()
    for peer in good:
        peer.stop()
    times = sorted(t for peer in good for t in peer.times)
    limit = 0.5 * (5 if sanitized() else 1)
    tap.ok(not any(peer.failure for peer in good) and len(times) > 100 and times[-1] <= limit,
           f'P11 beside {deaf_count} deaf peers every DWR of the others is answered at once')
    say(f'{[str(peer.failure) for peer in good if peer.failure]} {len(times)} DWAs, the slowest after {times[-1]:.3f} s, '
        f'p99 {percentile(times, 0.99):.3f} s (bound {limit} s)')
    witness.check(tap, 'P11 and every CCR', slowest=1, least=3 if sanitized() else 20)


def knock(node, cers, ended):
    """One stranger after another: a CER each, and whatever comes back."""
    for cer in cers:
        if ended.is_set():
            return
        with socket.create_connection(('127.0.0.1', node.port), timeout=20) as s:
            s.sendall(cer)
            try:
                while s.recv(4096):
                    pass
            except OSError:
                pass
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def percentile(times, share):
    return sorted(times)[int(len(times) * share)]


def measured(node, imsi, seconds=3):
    """The answers' times of a witness, for so long."""
    witness = Witness(node, imsi, pause=0.005)
    time.sleep(seconds)
    witness.stop()
    return witness


def is_unknown(node, name):
    """Does this stranger get its CEA 3010?"""
    with node.client(f'{name}.elsewhere.test', realm='elsewhere.test', cer=False) as stranger:
        try:
            return stranger.ask(stranger.cer()).result == 3010 and stranger.wait_closed(5)
        except Closed:
            return False


def crowd_of_strangers(tap, node, imsi, count):
    """P11: CERs under ever new names that gyro.yaml doesn't list."""
    tap.ok(is_unknown(node, 'first'), 'G-02 an unknown peer: CEA 3010, then closed')
    before, memory = measured(node, imsi), node.status('VmRSS')
    with node.client('pgw1') as gateway:
        letters = [gateway.message('CER', 0, [('Origin-Host', f'{n:x}'), ('Origin-Realm', 'x'), ('Host-IP-Address', '127.0.0.1'),
                                              ('Vendor-Id', 1), ('Product-Name', ''), ('Auth-Application-Id', 4)], 0)
                   for n in range(count)]
    ended, begin = threading.Event(), time.monotonic()
    crowd = [threading.Thread(target=knock, args=(node, letters[n::8], ended), daemon=True) for n in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    took = time.monotonic() - begin
    after, grown = measured(node, imsi), node.status('VmRSS') - memory
    p99 = [percentile(w.seconds, 0.99) * 1000 for w in (before, after)]
    say(f'{count} strangers in {took:.1f} s; p99 {p99[0]:.1f} ms before, {p99[1]:.1f} ms after; '
          f'p50 {percentile(before.seconds, .5) * 1e3:.2f}, {percentile(after.seconds, .5) * 1e3:.2f} ms; '
          f'{grown} KiB more, {node.status("Threads")} threads')
    tap.ok(not before.failure and not after.failure, 'a good peer is served before and after', f'{before.failure} {after.failure}')
    tap.ok(grown < (200000 if sanitized() else 8192), f'P11 {count} strangers leave nothing behind', f'{grown} KiB')
    tap.ok(until(lambda: is_unknown(node, 'last'), 10, 1), 'G-02 afterwards an unknown peer gets its CEA 3010 again')


def main():
    args, tap = arguments(__doc__, ('--only', {'help': 'beside, crowd or strangers'})), Tap()
    with tempfile.TemporaryDirectory(prefix='gyro-slow-') as folder:
        pathlib.Path(folder).chmod(0o755)
        authority = Authority(pathlib.Path(folder) / 'ours')
        run(args, tap, authority)
    tap.done()


def run(args, tap, authority):
    tls = authority.issue('deaf.spec.test').context()
    with Site(tls=authority.issue('gyro1.spec.test'), peers=[{'identity': '*.spec.test', 'plain': True}]) as site:
        node, imsis = site.node, site.people(10)
        pid = node.pid
        rounds = 6 if args.long else 2
        # First, while the node is small.
        if args.only in (None, 'strangers'):
            crowd_of_strangers(tap, node, imsis[2], 20000 if args.long else 500 if sanitized() else 8000)
        if args.only in (None, 'beside'):
            deaf_peers_beside_the_queue(tap, node, imsis[0], rounds, tls)
            good_return(tap, node, imsis[3])
        if args.only in (None, 'crowd'):
            crowd_of_deaf_peers(tap, node, imsis[1], 8 if sanitized() else 48, rounds)
        tap.equal(node.pid, pid, 'the same process all the time')
        site.check(tap)


if __name__ == '__main__':
    main()
