#!/usr/bin/python3
"""The three extensions in Debian's freeDiameterd, without gyrod: they load, charge, and answer bad requests as they should.

stock.py. What only an executable can cure (F2, F6, F14) is not asked of it: extensions/README.md.
"""
import shutil

from family import (E, INITIAL, P, TABLE, TERMINATION, UPDATE, Closed, Node, Site, Tap, arguments, conform, service)

MIB = 1 << 20


class Stock(Node):
    """freeDiameterd with the same configuration."""
    PROGRAM, READY = shutil.which('freeDiameterd') or '/usr/bin/freeDiameterd', r'freeDiameterd daemon initialized'


def charging(tap, site, node, imsi):
    with node.client('pgw1') as gateway:
        tap.equal((gateway.cea.result, gateway.cea['Auth-Application-Id'], gateway.cea['Origin-State-Id']), (2001, 4, 1), 'CEA')
        session = gateway.session()
        steps = [(INITIAL, 0, service(10)), (UPDATE, 1, service(10, used=8 * MIB, reason=3)),
                 (TERMINATION, 2, service(10, rsu=None, used=4 * MIB, reason=2))]
        for kind, number, what in steps:
            raw = gateway.ccr(session, kind, number, [what], who=imsi)
            answer = gateway.ask(raw)
            problems = conform(raw, answer, node)
            grant = answer.services[0]['Granted-Service-Unit/CC-Total-Octets'] if answer.services else 'none'
            tap.ok(not problems and (answer.result, grant) == (2001, None if kind == TERMINATION else 10 * MIB),
                   f'CCR {kind}: 2001, and an answer in every respect', f'{problems}\n{answer}')
        tap.equal((site.records(session), site.money(1000)), ((3, 1_200_000), (1_000_000_000 - 1_200_000, 0)), 'it is charged')
        bad = TABLE.avp((3999, 0, 0x40), b'abcd')
        raw = gateway.message('CCR', P, [*gateway.ccr_avps(gateway.session(), INITIAL, 0, [service(10)], who=imsi), bad])
        answer = gateway.ask(raw)
        tap.ok(answer.result == 5001 and answer.all('Failed-AVP')[0].data == bad and not conform(raw, answer, node),
               'an unknown AVP: 5001, with its bytes', answer)
        answer = gateway.ask(gateway.message('CCR', P, gateway.ccr_avps('a\0b', INITIAL, 0, [service(10)], who=imsi)))
        tap.equal(answer.result, 5004, 'F3 a NUL octet in Session-Id: 5004')
        answer = gateway.ask(gateway.message('CCR', P, gateway.ccr_avps(gateway.session(), INITIAL, 0), application=99))
        tap.equal((answer.result, bool(answer.flags & E)), (3007, True), 'another application: 3007')
        tap.equal(gateway.ask(gateway.dwr()).result, 2001, 'DWA')
        tap.equal(gateway.disconnect().result, 2001, 'DPA')


def guard(tap, node):
    """What the extensions cure by themselves holds here, too."""
    with node.client('pgw1.elsewhere.test', realm='elsewhere.test', cer=False) as stranger:
        tap.equal(stranger.ask(stranger.cer()).result, 3010, 'an unknown peer: 3010')
    with node.client('pgw2', cer=False) as stranger:
        group = ('Vendor-Specific-Application-Id', [('Vendor-Id', 10415), TABLE.avp((3999, 0, 0), b'abcd')])
        try:
            got = stranger.ask(stranger.cer([group]), 5).result
        except Closed:
            got = 'closed'
        tap.equal(got, 'closed', 'F12 a CER that would end it: closed')
    with node.client('pgw3') as gateway:
        tap.equal(gateway.ask(gateway.dwr()).result, 2001, 'and it lives on')
        gateway.disconnect()


def main():
    arguments(__doc__)
    if not shutil.which('freeDiameterd'):
        print('1..0 # SKIP freeDiameterd is not installed')
        return
    tap = Tap()
    with Site(nodes=0) as site:
        imsi = site.people(1)[0]
        node = Stock(site.pg.conninfo(), inside=site.pg.home)
        site.nodes.append(node)
        node.start()
        tap.ok(node.pid, 'stock freeDiameterd starts with dict_gyro, acl_gyro and app_gyro')
        charging(tap, site, node, imsi)
        guard(tap, node)
        tap.equal(node.stop() is not None, True, 'SIGTERM ends it')
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
