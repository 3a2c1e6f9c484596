#!/usr/bin/python3
"""SCTP, IPv4 and IPv6: sessions are charged, strangers who stall hold up nobody, TLS ports are closed to it.

sctp.py. Skipped where the kernel has no SCTP.
"""
import pathlib
import socket
import struct
import tempfile
import time

import transport
from certificates import Authority
from family import Closed, INITIAL, Site, Tap, UPDATE, Witness, arguments, sanitized, service, until

SCTP = socket.IPPROTO_SCTP


def available(family=socket.AF_INET, address='127.0.0.1'):
    try:
        with socket.socket(family, socket.SOCK_STREAM, SCTP) as probe:
            probe.bind((address, 0))
            probe.listen()
        return True
    except OSError as e:
        return e.strerror or str(e)


def connect(port, address='127.0.0.1', timeout=8):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP)
    s.settimeout(timeout)
    s.connect((address, port))
    return s


def ended(s):
    try:
        while s.recv(65536):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


class Over:
    """A node whose clients come over SCTP."""

    def __init__(self, node):
        self.node = node

    def client(self, host, **how):
        return self.node.client(host, protocol=SCTP, **how)

    def tail(self):
        return self.node.tail()


def charging(tap, site, people, addresses):
    node = site.node
    for at, address in enumerate(addresses):
        name = f'SCTP, {address}'
        gateway = node.client('pgw1', protocol=SCTP, address=address)
        tap.equal(gateway.cea.result, 2001, f'{name}: CER, CEA')
        transport.session(tap, site, node, gateway, people[at], 1000 + at, name)
        transport.reauthorisation(tap, site, gateway, people[at], name)
        tap.equal(gateway.ask(gateway.dwr()).result, 2001, f'{name}: DWR, DWA')
        tap.equal(gateway.disconnect().result, 2001, f'{name}: DPR, DPA')
    gateway = node.client('pgw1')
    transport.session(tap, site, node, gateway, people[2], 1002, 'TCP beside SCTP')
    gateway.disconnect()


def bad_messages(tap, node):
    """What only SCTP can bring: a message whose length isn't what its header says."""
    for name, spoil in (('shorter than it says', lambda raw: raw[:-8]), ('longer than it says', lambda raw: raw + bytes(8)),
                        ('of 4 octets', lambda raw: raw[:4]), ('of one octet', lambda raw: raw[:1]),
                        ('of 70,000 octets', lambda raw: b'\1' + (70000).to_bytes(3, 'big') + raw[4:] + bytes(70000 - len(raw))),
                        ('of two messages', lambda raw: raw + raw)):
        with node.client('pgw2', protocol=SCTP) as gateway:
            raw = gateway.ccr(gateway.session(), INITIAL, 0, [service(10)])
            try:
                gateway.send(spoil(raw))
                over = gateway.wait_closed(10)
            except Closed:
                over = True
            tap.ok(over and node.pid, f'a message {name}: the association ends')
        with connect(node.port) as s:
            s.sendall(spoil(raw))
            tap.ok(ended(s) and node.pid, f'and the same instead of a CER')


def stalls(tap, node, imsi, count=100):
    witness, patience = Witness(Over(node), imsi), 3 if sanitized() else 1
    before, quiet = node.descriptors(), []
    for n in range(count):
        s = connect(node.port)
        if n % 2:
            s.sendall(b'\x01\x00\x00')
        quiet.append(s)
    slowest, good = 0.0, True
    for n in range(10):
        begin = time.monotonic()
        with node.client(f'late{n}', protocol=SCTP) as gateway:
            slowest, good = max(slowest, time.monotonic() - begin), good and gateway.cea.result == 2001
            gateway.disconnect()
    tap.ok(good and slowest <= patience, f'F4 beside {count} silent associations a good CER takes less than {patience} s', f'{slowest:.3f} s')
    witness.check(tap, 'F4 and a peer that is connected doesn\'t notice them')
    tap.ok(all(ended(s) for s in quiet), 'F4 they are shown the door')
    for s in quiet:
        s.close()
    tap.ok(until(lambda: node.descriptors() <= before + 2, 10), 'and nothing is left of them')


def aborts(tap, node, people):
    for n in range(60):
        gateway = node.client(f'abort{n % 10}', protocol=SCTP, patience=20)
        session = gateway.session()
        for number in range(10):
            gateway.send(gateway.ccr(session, UPDATE if number else INITIAL, number, [service(10)], who=people[4 + n % 4]))
        gateway.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        gateway.close()
    tap.ok(node.pid, 'F2, F6 60 associations that were aborted in the middle: the node runs')


def tls_port_closed(tap, node):
    try:
        connect(node.tls_port).close()
        open_to_it = True
    except OSError:
        open_to_it = False
    tap.ok(not open_to_it, 'the TLS port is TCP\'s: no association there')


def main():
    arguments(__doc__)
    have = available()
    if have is not True:
        print(f'1..0 # SKIP no SCTP in this kernel: {have}')
        return
    tap = Tap()
    addresses = ['127.0.0.1'] + (['::1'] if available(socket.AF_INET6, '::1') is True else [])
    with tempfile.TemporaryDirectory(prefix='gyro-sctp-') as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        # Kernels with SCTP are often virtual machines on a machine without: slow ones.
        settings = {'queue_age_ms': 10000, 'deadline_ms': 20000}
        with Site(sctp=True, settings=settings, addresses=addresses, tls=Authority(folder).issue('gyro1.spec.test'),
                  peers=[{'identity': '*.spec.test', 'plain': True}]) as site:
            node, people = site.node, site.people(10)
            pid = node.pid
            tap.ok(f'gyro: ready on 127.0.0.1:{node.port}, TCP and SCTP' in node.said(), 'it says that SCTP is there', node.tail())
            charging(tap, site, people, addresses)
            gateways = [node.client(f'busy{n}', protocol=SCTP) for n in range(3)]
            transport.in_flight(tap, site, gateways, people[3:6], 'SCTP', 100)
            for gateway in gateways:
                gateway.disconnect()
            bad_messages(tap, node)
            stalls(tap, node, people[9])
            aborts(tap, node, people)
            tls_port_closed(tap, node)
            tap.equal(node.pid, pid, 'the same process all the time')
            transport.stop(tap, node, node.client('last', protocol=SCTP), 'SCTP')
            site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
