#!/usr/bin/python3
"""The habits of real gateways, replayed against two real nodes.

clients.py. Each scenario builds its requests as that client does (which AVPs, in which order, with what in them) and wants the answers
which that client needs: Result-Code in each service, the grant in the unit that was asked for, identifiers echoed only if sent. Each
answer must also be one in every respect (family.conform). Recorded requests beside the tree (../shared/data/captures) are
sent again with other identities; without them these results are skipped. Every scenario has a subscriber of its own.
"""
import pathlib
import tempfile

from family import INITIAL, MSCC, P, ROOT, T, TERMINATION, UPDATE, Message, Site, Tap, arguments, collect, conform, hop, service

MIB = 1048576
CAPTURES = ROOT.parent / 'shared/data/captures'
VOICE = 'ext.01.001.8.32260@3gpp.org'
BALANCE = 1_000_000_000
# Contexts of this test, whose default Rating-Groups are free, and have a portal at the end of the money.
FREE, PORTAL = '7.32251@3gpp.org', '9.32251@3gpp.org'
POOR = '460001000000003'
# Who is who in the sample of profiles, and here.
PROFILES = {'smf.localdomain': 'open5gs.spec.test', 'ergw.example.net': 'ergw.spec.test', 'asr.example.net': 'cisco.spec.test'}


class Gateway:
    """One client at one node: sends lists of AVPs, judges each answer as an answer."""

    def __init__(self, tap, site, account, imsi, host, node=0, session=None):
        self.tap, self.site, self.account, self.imsi = tap, site, account, imsi
        self.node = site.nodes[node]
        self.client = self.node.client(host)
        self.session = session or self.client.session()

    def request(self, kind, number, more=(), flags=P, end_to_end=None, **parts):
        parts.setdefault('who', self.imsi)
        return self.client.ccr(self.session, kind, number, flags=flags, end_to_end=end_to_end, more=more, **parts)

    def judge(self, name, request, answer, want, services=()):
        """want: the command's code; services: the code of each service in order. The answer."""
        wrong = conform(request, answer, self.node)
        got = answer.result, [s['Result-Code'] for s in answer.services]
        if got != (want, list(services)):
            wrong.append(f'{got}, not {(want, list(services))}')
        self.tap.ok(not wrong, name, '\n'.join(wrong) + f'\n{answer}')
        return answer

    def ask(self, name, kind, number, more, want=2001, services=(), **how):
        request = self.request(kind, number, more, **how)
        return self.judge(name, request, self.client.ask(request), want, services)

    def spent(self, micros, held, name):
        self.tap.equal(self.site.money(self.account), (BALANCE - micros, held), name)

    def close(self):
        self.client.close()


def unit(answer, kind='CC-Total-Octets', place=0):
    """The grant of one service; None if there is none of that kind."""
    granted = answer.services[place]['Granted-Service-Unit'] if len(answer.services) > place else None
    return next((a.value for a in granted or () if a.name == kind), None)


def open5gs(g):
    """No Rating-Group, a fixed request, no total in reports, and AVPs that mean nothing."""
    noise = [('Requested-Action', 0), ('AoC-Request-Type', 1), ('Multiple-Services-Indicator', 0)]
    where = ('Service-Information', [('PS-Information', [('3GPP-NSAPI', b'\x05'), ('Called-Station-Id', 'internet')])])
    asked = ('Requested-Service-Unit', [('CC-Total-Octets', 1000000)])

    def used(up, down, *reason):
        return ('Used-Service-Unit', [*reason, ('CC-Time', 60), ('CC-Input-Octets', up), ('CC-Output-Octets', down)])

    def good(name, kind, number, inside, *more):
        answer = g.ask(f'Open5GS: {name}', kind, number, [*noise, (MSCC, inside), where, *more], services=[2001])
        names = [a.name for a in answer.services[0].avps]
        g.tap.ok(not {'Rating-Group', 'Service-Identifier'} & set(names), f'Open5GS: {name}: nothing is echoed that it did not send', names)
        return answer

    def granted(answer, name):
        g.tap.ok(unit(answer) == 1000000 and answer.services[0]['Validity-Time'] > 0, f'Open5GS: {name}: what it asked for, in octets, valid '
                 'for some time', answer)

    granted(good('CCR-I', INITIAL, 0, [asked]), 'CCR-I')
    granted(good('THRESHOLD in the usage report', UPDATE, 1, [asked, used(MIB, MIB, ('Reporting-Reason', 0))]), 'THRESHOLD')
    granted(good('QUOTA_EXHAUSTED in the usage report', UPDATE, 2, [asked, used(MIB, 0, ('Reporting-Reason', 3))]), 'QUOTA_EXHAUSTED')
    granted(good('VALIDITY_TIME in the service', UPDATE, 3, [asked, used(0, MIB), ('Reporting-Reason', 4)]), 'VALIDITY_TIME')
    # It does not wait for an answer before it sends the next one.
    pair = [g.request(UPDATE, n, [*noise, (MSCC, [asked, used(MIB, 0)]), where]) for n in (4, 5)]
    g.client.send(b''.join(pair))
    got = collect(g.client, [hop(p) for p in pair], 10)
    g.tap.equal([got[hop(p)].result if hop(p) in got else None for p in pair], [2001, 2001], 'Open5GS: two updates at once, each answered')
    answer = good('FINAL', TERMINATION, 6, [used(MIB, MIB), ('Reporting-Reason', 2)], ('Termination-Cause', 1))
    g.tap.equal(unit(answer), None, 'Open5GS: nothing is granted at the end')
    g.spent(800_000, 0, 'Open5GS: eight MiB in all, time is not charged')
    open5gs_profile(g, noise, [asked], used)


def open5gs_profile(g, noise, asked, used):
    """Its profile: 2001 without units would be unlimited traffic, 4011 would end the session."""
    def ask(name, kind, number, inside, *more, context, who=g.imsi, services):
        return g.ask(f'Open5GS: {name}', kind, number, [*noise, (MSCC, inside), *more], services=services, context=context, who=who)

    g.session = g.client.session()
    answer = ask('free traffic: CCR-I', INITIAL, 0, asked, context=FREE, services=[2001])
    g.tap.equal(unit(answer), 1000000, 'Open5GS: free traffic is granted, not told by 4011')
    g.spent(800_000, 0, 'Open5GS: and nothing is held for it')
    answer = ask('free traffic: CCR-U', UPDATE, 1, [*asked, used(MIB, MIB)], context=FREE, services=[2001])
    g.tap.equal(unit(answer), 1000000, 'Open5GS: again')
    ask('free traffic: CCR-T', TERMINATION, 2, [used(MIB, 0)], ('Termination-Cause', 1), context=FREE, services=[2001])
    g.spent(800_000, 0, 'Open5GS: three free MiB cost nothing')
    used_free = g.site.pg.query(f"SELECT sum(used) FROM gyro.record_line WHERE account_id = {g.account} AND rating_group = 30")
    g.tap.equal(used_free, [[str(3 * MIB)]], 'Open5GS: but are in the records')

    # Its Rating-Group redirects when money ends, which this gateway does not know.
    g.session, poor = g.client.session(), '460001000000002'
    answers = [ask('the last money: CCR-I', INITIAL, 0, asked, context=PORTAL, who=poor, services=[2001])]
    for number in (1, 2, 3):
        answers.append(ask(f'the last money: CCR-U {number}', UPDATE, number, [*asked, used(500000, 500000)], context=PORTAL, who=poor,
                           services=[2001]))
    g.tap.ok(all(unit(a) for a in answers), 'Open5GS: 2001 never comes without units', answers)
    last = answers[-1].services[0]
    g.tap.ok(unit(answers[-1]) < 1000000 and last['Final-Unit-Indication/Final-Unit-Action'] == 0
             and last['Final-Unit-Indication/Redirect-Server'] is None, 'Open5GS: the last ones end the service', last)
    answer = ask('the last money is used up', UPDATE, 4, [*asked, used(unit(answers[-1]), 0)], context=PORTAL, who=poor, services=[4012])
    g.tap.equal(answer.services[0]['Final-Unit-Indication'], None, 'Open5GS: no portal')
    ask('which makes it end the session', TERMINATION, 5, [used(0, 0)], ('Termination-Cause', 1), context=PORTAL, who=poor, services=[2001])
    g.tap.equal(g.site.money(2)[1], 0, 'Open5GS: nothing is held')


def kamailio(g):
    """Voice: its Origin twice, no Auth-Application-Id of its own, a SIP URI twice, seconds, and a termination after a refusal."""
    application = ('Vendor-Specific-Application-Id', [('Vendor-Id', 10415), ('Auth-Application-Id', 4)])
    equipment = ((458, 0, 0x40), [('User-Equipment-Info-Type', 1), ('User-Equipment-Info-Value', b'not-a-mac')])

    def ask(name, kind, number, uri, inside, *more, want=2001, services=()):
        payer = ('Subscription-Id', [('Subscription-Id-Type', 2), ('Subscription-Id-Data', uri)])
        origin = g.client.origin()
        # In the order of the requests recorded from Kamailio 5.6.3.
        request = g.client.message('CCR', P, [
            ('Session-Id', g.session), *origin, *origin, ('Destination-Host', g.node.identity), ('Destination-Realm', g.node.realm),
            ('Accounting-Record-Type', kind), ('Accounting-Record-Number', number), ('User-Name', uri), ('Service-Context-Id', VOICE),
            ('Service-Information', [payer]), application, ('CC-Request-Type', kind), ('CC-Request-Number', number),
            ('Event-Timestamp', 3_900_000_000), equipment, payer, ('Multiple-Services-Indicator', 1), (MSCC, inside), *more])
        return g.judge(f'Kamailio: {name}', request, g.client.ask(request), want, services)

    def used(seconds):
        return ('Used-Service-Unit', [('CC-Time', seconds)])

    asked = ('Requested-Service-Unit', [('CC-Time', 30)])
    uri, end = f'sip:{g.imsi}@spec.test', ('Termination-Cause', 4)
    answer = ask('CCR-I', INITIAL, 0, uri, [asked], services=[2001])
    g.tap.ok(unit(answer, 'CC-Time') == 30 and unit(answer) is None, 'Kamailio: seconds, as it asked', answer)
    answer = ask('CCR-U', UPDATE, 1, uri, [asked, used(30)], services=[2001])
    g.tap.equal(unit(answer, 'CC-Time'), 30, 'Kamailio: seconds again')
    ask('CCR-T', TERMINATION, 2, uri, [used(12)], end, services=[2001])
    g.spent(420_000, 0, 'Kamailio: 42 seconds')
    g.session = g.client.session()
    nobody = 'sip:nobody@spec.test'
    ask('a caller whom nobody knows', INITIAL, 0, nobody, [asked], want=5030)
    ask('its CCR-T number 1 after that, with no time used', TERMINATION, 1, nobody, [used(0)], end, want=5002)
    g.spent(420_000, 0, 'Kamailio: which cost nothing')


def ergw(g):
    """One service per Rating-Group, and the same request again to the other node."""
    groups = [10, 11, 101]
    answer = g.ask('ergw: CCR-I', INITIAL, 0, [service(r) for r in groups], services=[2001] * 3)
    g.tap.equal([(s['Rating-Group'], unit(answer, place=i)) for i, s in enumerate(answer.services)], [(r, 10 * MIB) for r in groups],
                'ergw: each Rating-Group is there, with a grant')
    services = [service(r, used=MIB) for r in groups]
    first = g.ask('ergw: CCR-U', UPDATE, 1, services, services=[2001] * 3, end_to_end=0x1234567)
    other = Gateway(g.tap, g.site, g.account, g.imsi, g.client.host, 1, g.session)
    copy = other.ask('ergw: the same to another node, same End-to-End-Id, with T', UPDATE, 1, services, services=[2001] * 3,
                     end_to_end=0x1234567, flags=P | T)
    g.tap.equal([s.raw for s in copy.services], [s.raw for s in first.services], 'ergw: and the same services come back')
    g.spent(300_000, 3_000_000, 'ergw: charged once')
    other.ask('ergw: CCR-T there', TERMINATION, 2, [service(r, rsu=None, used=0) for r in groups], services=[2001] * 3)
    other.close()
    g.spent(300_000, 0, 'ergw: nothing is held')
    # Only 2001 with units keeps a Rating-Group there.
    g.session = g.client.session()
    answer = g.ask('ergw: a free Rating-Group beside a paid one', INITIAL, 0, [service(30), service(10)], services=[2001, 2001])
    g.tap.equal([unit(answer, place=i) for i in (0, 1)], [10 * MIB, 10 * MIB], 'ergw: both have units')
    g.ask('ergw: and report them', TERMINATION, 1, [service(30, rsu=None, used=5 * MIB), service(10, rsu=None, used=0)], services=[2001] * 2)
    g.spent(300_000, 0, 'ergw: the free ones cost nothing')


def magma(g):
    """After a RAR one CCR-U per service, all at once."""
    groups = list(range(101, 111))
    who = [('Subscription-Id', [('Subscription-Id-Type', 0), ('Subscription-Id-Data', '0' + g.imsi)]),
           ('Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', g.imsi)])]
    g.ask('Magma: CCR-I, number first, then IMSI', INITIAL, 0, [service(r) for r in groups], services=[2001] * 10, who=who)
    requests = [g.request(UPDATE, n, [service(r, used=MIB, reason=7)], who=who) for n, r in enumerate(groups, 1)]
    g.client.send(b''.join(reversed(requests)))
    got = collect(g.client, [hop(r) for r in requests], 15)
    for rating_group, request in zip(groups, requests):
        if g.tap.ok(hop(request) in got, f'Magma: parallel CCR-U of {rating_group}: answered'):
            answer = g.judge(f'Magma: parallel CCR-U of {rating_group}', request, got[hop(request)], 2001, [2001])
            g.tap.equal((answer.services[0]['Rating-Group'], unit(answer)), (rating_group, 10 * MIB), f'Magma: its own grant of {rating_group}')
    g.spent(1_000_000, 10_000_000, 'Magma: each charged once')
    g.ask('Magma: CCR-T', TERMINATION, 11, [service(r, rsu=None, used=0) for r in groups], services=[2001] * 10, who=who)
    g.spent(1_000_000, 0, 'Magma: nothing is held')


def sigscale(g):
    """The last CCR-U and the CCR-T carry the same number."""
    g.ask('SigScale: CCR-I', INITIAL, 0, [service(10)], services=[2001])
    for number in (1, 2):
        g.ask(f'SigScale: CCR-U {number}', UPDATE, number, [service(10, used=MIB)], services=[2001])
    answer = g.ask('SigScale: CCR-T with the number of the CCR-U', TERMINATION, 2, [service(10, rsu=None, used=MIB)], services=[2001])
    g.tap.equal((answer['CC-Request-Type'], unit(answer)), (TERMINATION, None), 'SigScale: an answer of its own')
    g.spent(300_000, 0, 'SigScale: three reports are paid')


def nokia(g):
    """Usage that comes after the end, and a Session-Id used again."""
    g.ask('Nokia: CCR-I', INITIAL, 0, [service(10)], services=[2001])
    g.ask('Nokia: CCR-T', TERMINATION, 2, [service(10, rsu=None, used=MIB)], services=[2001])
    late = g.request(UPDATE, 1, [service(10, used=4 * MIB)])
    for name in ('usage after the end', 'and again'):
        g.judge(f'Nokia: {name}', late, g.client.ask(late), 5002)
    g.spent(500_000, 0, 'Nokia: it is charged, once')
    answer = g.ask('Nokia: the same Session-Id opened again', INITIAL, 0, [service(10)], services=[2001])
    g.tap.equal(unit(answer), 10 * MIB, 'Nokia: with a grant')
    g.ask('Nokia: what its interim credit used', UPDATE, 1, [service(10, used=20 * MIB)], services=[2001])
    g.ask('Nokia: CCR-T of the second', TERMINATION, 2, [service(10, rsu=None, used=0)], services=[2001])
    g.spent(2_500_000, 0, 'Nokia: all of it is paid')


def cisco(g):
    """A default quota is used before the CCA-I, and reports go above the grant."""
    g.ask('Cisco: CCR-I', INITIAL, 0, [service(10)], services=[2001])
    answer = g.ask('Cisco: more than was granted, with what flowed before', UPDATE, 1, [service(10, used=13 * MIB)], services=[2001])
    g.tap.equal(unit(answer), 10 * MIB, 'Cisco: and it goes on')
    g.ask('Cisco: usage of a Rating-Group that was never granted', UPDATE, 2, [service(11, used=2 * MIB)], services=[2001])
    g.spent(1_500_000, 2_000_000, 'Cisco: all is booked')
    for name in ('Credit-Control-Failure-Handling', 'CC-Session-Failover'):
        g.tap.ok(answer[name] is not None, f'Cisco: {name} is told', answer)
    g.ask('Cisco: CCR-T', TERMINATION, 3, [service(10, rsu=None, used=12 * MIB), service(11, rsu=None, used=0)], services=[2001] * 2)
    g.spent(2_700_000, 0, 'Cisco: the end')
    g.session = g.client.session()
    g.ask('Cisco: nothing but free traffic: told for the command, without services', INITIAL, 0, [service(30)], want=4011)
    g.ask('Cisco: credit control is over there, and so is the session here', UPDATE, 1, [service(30, used=MIB)], want=5002)
    g.session = g.client.session()
    answer = g.ask('Cisco: free traffic beside paid traffic: the session goes on', INITIAL, 0, [service(30), service(10)], services=[4011, 2001])
    g.tap.equal([unit(answer, place=i) for i in (0, 1)], [None, 10 * MIB], 'Cisco: only the paid one has units')
    g.ask('Cisco: CCR-T of that', TERMINATION, 1, [service(10, rsu=None, used=0)], services=[2001])
    # After a redirection it reports without asking.
    g.session = g.client.session()
    answer = g.ask('Cisco: the last money of a Rating-Group with a portal', INITIAL, 0, [service(60, rsu=1 << 30)], services=[2001], who=POOR)
    fui = answer.services[0]['Final-Unit-Indication']
    g.tap.ok(fui is not None and unit(answer) == 3 * MIB, 'Cisco: redirected after three MiB', answer)
    answer = g.ask('Cisco: it reports, and asks for nothing', UPDATE, 1, [service(60, rsu=None, used=3 * MIB)], services=[2001], who=POOR)
    g.tap.ok(unit(answer) is None and answer.services[0]['Validity-Time'] > 0, 'Cisco: no units, but when to ask again (G-63)', answer)
    g.ask('Cisco: CCR-T of the redirected one', TERMINATION, 2, [service(60, rsu=None, used=0)], services=[2001], who=POOR)
    g.spent(2_700_000, 0, 'Cisco: nothing is held')


def recorded(path):
    """The Gy CCRs in a capture file that lie in one frame, in order, each once."""
    data, at, seen = path.read_bytes(), 0, []
    while (at := data.find(b'\x00\x01\x10\x00\x00\x00\x04', at + 1)) >= 0: # command 272, application 4
        begin = at - 5
        length = int.from_bytes(data[begin + 1:begin + 4], 'big')
        raw = data[begin:begin + length]
        if data[begin] != 1 or not raw[4] & 0x80 or not 60 < length < 65536 or len(raw) != length:
            continue
        message = Message(raw)
        try:
            message.avps
        except ValueError:
            continue
        if raw not in seen:
            seen.append(raw)
    return seen


def replay(g, raw, prefix):
    """The request's AVPs in their order, for this node and this gateway, paid by this subscriber."""
    avps, paid = [], False
    for avp in Message(raw).avps:
        if avp.name == 'Subscription-Id':
            avps += [] if paid else [('Subscription-Id', [('Subscription-Id-Type', 1), ('Subscription-Id-Data', g.imsi)])]
            paid = True
        elif avp.name in ('Destination-Host', 'Route-Record', 'Origin-State-Id'):
            continue
        elif avp.name in ('Origin-Host', 'Origin-Realm', 'Destination-Realm'):
            avps.append((avp.name, {'Origin-Host': g.client.host}.get(avp.name, g.node.realm)))
        elif avp.name == 'Session-Id':
            avps.append(('Session-Id', f'{prefix};{avp.value}'))
        else:
            avps.append(avp.raw + bytes(-len(avp.raw) % 4))
    return g.client.message('CCR', P, avps)


def captures(tap, site, people, folder):
    files = sorted(folder.glob('*.pcap*'))
    if not files:
        tap.ok(True, 'recorded requests # SKIP no captures beside the tree')
    for number, path in enumerate(files):
        account, imsi = people[number]
        g = Gateway(tap, site, account, imsi, f'recorded{number}')
        requests, wrong, codes = recorded(path), [], {}
        for raw in requests:
            request = replay(g, raw, g.session)
            answer = g.client.ask(request)
            wrong += improper(g, request, answer)
            codes[answer.result] = codes.get(answer.result, 0) + 1
        name = f'recorded: {path.name}'
        tap.ok(requests and not wrong, f'{name}: each request gets a proper answer', '\n'.join(wrong[:8]))
        print(f'# {name}: {len(requests)} requests, Result-Codes {codes}')
        tap.ok(codes.get(2001) == len(requests), f'{name}: and is served', codes)
        g.close()


def improper(g, request, answer):
    """What is wrong with the answer to a recorded request, as texts."""
    wrong, asked = conform(request, answer, g.node), Message(request)
    if answer.result == 2001 and len(answer.services) != len(asked.services):
        wrong.append(f'{len(answer.services)} services for {len(asked.services)}')
    if any(s['Result-Code'] is None for s in answer.services):
        wrong.append('a service without Result-Code')
    return [f'{w}: {asked["CC-Request-Type"]} {answer}' for w in wrong]


def catalogue_text():
    """The fixture's catalogue with more contexts, and the sample of profiles with the hosts of this test."""
    text = (ROOT / 'tests/cases/fixture.yaml').read_text().replace('service_contexts:\n', f'''service_contexts:
  - {{ suffix: 32260@3gpp.org, default_rating_group: 80 }}
  - {{ suffix: {FREE}, default_rating_group: 30 }}
  - {{ suffix: {PORTAL}, default_rating_group: 60 }}
''', 1)
    profiles = (ROOT / 'deploy/gateways.yaml').read_text()
    for sample, host in PROFILES.items():
        assert sample in profiles, f'deploy/gateways.yaml has no {sample} any more'
        profiles = profiles.replace(sample, host)
    return text + profiles


def main():
    options = arguments(__doc__, ('--captures', {'type': pathlib.Path, 'default': CAPTURES}))
    tap = Tap()
    scenarios = [open5gs, kamailio, ergw, magma, sigscale, nokia, cisco]
    with tempfile.TemporaryDirectory(prefix='gyro-clients-') as home:
        catalogue = pathlib.Path(home) / 'catalogue.yaml'
        catalogue.write_text(catalogue_text())
        with Site(nodes=2, catalogue=catalogue) as site:
            people = list(enumerate(site.people(len(scenarios) + 8), 1000))
            site.gyroctl('topup', '0.30', '--imsi', POOR, '--reference', 'clients')
            site.pg.query("INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id) SELECT 4, 'sip:' || value || '@spec.test', "
                          "subscriber_id FROM gyro.subscriber_identity WHERE kind = 1 AND subscriber_id >= 1000")
            for (account, imsi), scenario in zip(people, scenarios):
                gateway = Gateway(tap, site, account, imsi, scenario.__name__)
                scenario(gateway)
                gateway.close()
            captures(tap, site, people[len(scenarios):], options.captures)
            site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
