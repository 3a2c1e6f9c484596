#!/usr/bin/python3
"""IPv6: a node that listens on both kinds of addresses, with and without TLS, charges over each of them.

ipv6.py. Skipped where the machine has no ::1.
"""
import pathlib
import socket
import tempfile

import transport
from certificates import Authority
from family import INITIAL, Site, Tap, arguments, service


def available():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
        return True
    except OSError as e:
        return str(e) if e.strerror is None else e.strerror


def closed_to(address, port):
    with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET) as probe:
        return probe.connect_ex((address, port)) != 0


def both(tap, folder):
    authority = Authority(folder)
    with Site(addresses=('127.0.0.1', '::1'), tls=authority.issue('gyro1.spec.test'), plain=True,
              peers=[{'identity': '*.spec.test', 'plain': True}]) as site:
        node, people = site.node, site.people(5)
        ready = [line for line in node.said().splitlines() if line.startswith('gyro: ready on')]
        tap.equal(ready, [f'gyro: ready on 127.0.0.1:{node.port}', f'gyro: ready on 127.0.0.1:{node.tls_port}, TLS',
                          f'gyro: ready on [::1]:{node.port}', f'gyro: ready on [::1]:{node.tls_port}, TLS'],
                  'it says where it listens, IPv6 in brackets')
        tls = authority.issue('pgw1.spec.test').context()
        for at, (name, how) in enumerate((('IPv6', {}), ('TLS over IPv6', {'tls': tls}), ('IPv4 beside it', {'address': '127.0.0.1'}))):
            gateway = node.client('pgw1', **{'address': '::1', **how})
            tap.equal((gateway.cea.result, gateway.socket.family), (2001, socket.AF_INET if 'beside' in name else socket.AF_INET6),
                      f'{name}: CER, CEA')
            addresses = [a.data for a in gateway.cea.all('Host-IP-Address')]
            tap.ok(b'\0\2' + socket.inet_pton(socket.AF_INET6, '::1') in addresses or b'\0\1\x7f\0\0\1' in addresses,
                   f'{name}: the CEA says the node\'s addresses', addresses)
            transport.session(tap, site, node, gateway, people[at], 1000 + at, name)
            transport.reauthorisation(tap, site, gateway, people[at], name)
            tap.equal(gateway.disconnect().result, 2001, f'{name}: DPR, DPA')
        gateways = [node.client(f'busy{n}', address='::1', **({'tls': authority.issue(f'busy{n}.spec.test').context()} if n % 2 else {}))
                    for n in range(2)]
        transport.in_flight(tap, site, gateways, people[3:5], 'IPv6, with TLS and without')
        for gateway in gateways:
            gateway.disconnect()
        with node.client('pgw1', address='::1') as gateway:
            with node.client('pgw1', cer=False) as other:
                cea = other.ask(other.cer())
            tap.equal(cea.result, 5012, 'a peer is one peer, whatever its address: its second connection gets a CEA 5012')
            tap.equal(gateway.charge(gateway.session(), INITIAL, 0, [service(10)], who=people[3]).result, 2001, 'the first is served on')
            transport.stop(tap, node, gateway, 'IPv6')
        site.check(tap)


def alone(tap):
    """Only IPv6: nothing listens on IPv4."""
    with Site(addresses=('::1',)) as site:
        node, people = site.node, site.people(1)
        with node.client('pgw1') as gateway:
            transport.session(tap, site, node, gateway, people[0], 1000, 'IPv6 alone')
            tap.equal(gateway.disconnect().result, 2001, 'IPv6 alone: DPR, DPA')
        tap.ok(closed_to('127.0.0.1', node.port), 'nothing listens on IPv4')
        site.check(tap)


def main():
    arguments(__doc__)
    have = available()
    if have is not True:
        print(f'1..0 # SKIP no IPv6 on this machine: {have}')
        return
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='gyro-ipv6-') as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        both(tap, folder)
    alone(tap)
    tap.done()


if __name__ == '__main__':
    main()
