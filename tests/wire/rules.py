#!/usr/bin/python3
"""Rules of spec/gy.md that need a setting, a catalogue or a look into the records of their own.

rules.py. One lone node, then a second one with other settings on the same database: G-03, G-09, G-14, G-21, G-31, G-51 to G-53, G-68,
G-69, G-90, G-93, G-98. Each is told by what the specification says, not by what the node did before.
"""
import json
import pathlib
import re
import tempfile

from family import INITIAL, MSCC, P, ROOT, TABLE, TERMINATION, UPDATE, Silent, Site, Tap, arguments, conform, service, until

MIB = 1 << 20
EVENT = 4
CATALOGUE = """
  - { rating_group: 170, name: triggers, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, final_unit: terminate, quota_holding: 0, quota_consumption: 30, triggers: [CHANGE_IN_RAT, ChangeInLocation_MCC] }
  - { rating_group: 171, name: no triggers, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, final_unit: terminate, triggers: [none] }
  - { rating_group: 172, name: minutes, default_grant: 60, max_grant: 600, validity: 3600, final_unit: terminate, quota_consumption: 30, triggers: [change_in_rat] }
  - { rating_group: 173, name: by characteristics, default_grant: 10MiB, max_grant: 50MiB, validity: 3600, final_unit: terminate }
"""
DYNAMIC = """
attributes:
  - { name: characteristics, source: request, derivation: charging_characteristics }
  - { name: rule_base, source: request, derivation: rule_base }
dynamic_rules:
  - { attribute: characteristics, rating_group: 173, unit: octets, equal: 0a00, replace: { price: "0.30", per: 1MiB } }
  - { attribute: rule_base, rating_group: 173, unit: octets, equal: gold, multiply: 0.5 }
"""
PRICES = """      - { rating_group: 170, unit: octets, price: "0.10", per: 1MiB }
      - { rating_group: 171, unit: octets, price: "0.10", per: 1MiB }
      - { rating_group: 172, unit: seconds, price: "0.60", per: 60 }
      - { rating_group: 173, unit: octets, price: "0.10", per: 1MiB }
"""
APNS = "  - { suffix: 9.32251@3gpp.org, default_rating_group: 10, apns: [Internet, ims.mnc001.mcc460.gprs] }\n"


def catalogue(home):
    text = (ROOT / 'tests/cases/fixture.yaml').read_text()
    text = text.replace('service_contexts:\n', f'service_contexts:\n{APNS}', 1).replace('\ntariffs:\n', f'{CATALOGUE}\ntariffs:\n', 1)
    path = pathlib.Path(home) / 'catalogue.yaml'
    path.write_text(text.replace('      - { rating_group: 101,', f'{PRICES}      - {{ rating_group: 101,', 1) + DYNAMIC)
    return path


class Bench:
    """A gateway of one subscriber at one node."""

    def __init__(self, tap, site, account, imsi, node=None):
        self.tap, self.site, self.account, self.imsi = tap, site, account, imsi
        self.node = node or site.node
        self.client = self.node.client(f'pgw{account}')
        self.session = self.client.session()

    def ask(self, name, kind, number, services=(), want=2001, codes=None, **parts):
        raw = self.client.ccr(self.session, kind, number, services, who=self.imsi, **parts)
        answer = self.client.ask(raw)
        wrong = conform(raw, answer, self.node)
        got = [s['Result-Code'] for s in answer.services]
        if answer.result != want or got != ([2001] * len(services) if want == 2001 and codes is None else codes or []):
            wrong.append(f'{answer.result} and {got}, not {want} and {codes}')
        self.tap.ok(not wrong, name, '\n'.join(wrong) + f'\n{answer}')
        return answer

    def count(self):
        return self.site.pg.value(f'SELECT count(*) FROM gyro.record WHERE account_id = {self.account}')


def ps(*inside):
    return ('Service-Information', [('PS-Information', list(inside))])


def watchdogs(b):
    """G-03, G-93: the node's Origin-State-Id, everywhere the same, also after a restart."""
    def told():
        client = b.node.client('pgw9')
        try:
            dwa = client.ask(client.dwr())
            cca = client.charge(client.session(), INITIAL, 0, [service(30)], who=b.imsi)
            error = client.charge(client.session(), INITIAL, 0, [service(30)], who='999990000000000')
            return [m['Origin-State-Id'] for m in (client.cea, dwa, cca, error)], dwa.result
        finally:
            client.close()

    before, code = told()
    b.tap.equal(code, 2001, 'G-03 a DWR is answered')
    b.tap.ok(before[0] and len(set(before)) == 1, 'G-03 the DWA has the Origin-State-Id that CEA and CCA have', before)
    b.node.restart()
    after, _ = told()
    b.tap.equal(after, before, 'G-93 it is the same after a restart: no state was lost')
    b.node.kill()
    b.node.start()
    after, _ = told()
    b.tap.equal(after, before, 'G-93 and after kill -9')
    b.client.close()
    b.client = b.node.client(f'pgw{b.account}')


def failover(b):
    answer = b.ask('G-90 a node without another one', INITIAL, 0, [service(10)])
    told = [answer[name] for name in ('CC-Session-Failover', 'Credit-Control-Failure-Handling')]
    b.tap.equal(told, [0, 0], 'G-90 tells gateways not to fail over')
    b.ask('G-90 the end', TERMINATION, 1, [service(10, rsu=None, used=0)])


def apns(b):
    def start(name, apn, want, kind=INITIAL, codes=None, more=()):
        b.session = b.client.session()
        info = [] if apn is None else [ps(('Called-Station-Id', apn))]
        return b.ask(f'G-21 {name}', kind, 0, [service(10)], want, codes, context='9.32251@3gpp.org', more=[*info, *more])

    records, money = b.count(), b.site.money(b.account)
    for apn in ('intranet', 'interne', 'internet2', 'ims.mnc001.mcc460.gprs.example', 'mnc001.mcc460.gprs'):
        answer = start(f'the APN {apn} is not allowed in this context', apn, 5003)
        b.tap.ok(answer['Error-Message'] and apn not in answer['Error-Message'], f'G-21 {apn}: why, in words', answer)
        b.ask(f'G-21 {apn}: there is no session', UPDATE, 1, [service(10, used=MIB)], 5002)
    start('nor for an event', 'intranet', 5003, EVENT, more=[('Requested-Action', 0)])
    b.tap.equal((b.count(), b.site.money(b.account)), (records, money), 'G-21 a refused session leaves nothing')
    for name, apn in (('an APN that is', 'internet'), ('in capitals', 'INTERNET'), ('with its operator', 'internet.mnc002.mcc460.gprs'),
                      ('another one', 'ims'), ('no APN at all', None)):
        start(name, apn, 2001)
        b.ask(f'G-21 {name}: the end', TERMINATION, 1, [service(10, rsu=None, used=0)])
    b.session = b.client.session()
    b.ask('G-21 other contexts allow every APN', INITIAL, 0, [service(10)], more=[ps(('Called-Station-Id', 'intranet'))])
    b.ask('G-21 the end of that', TERMINATION, 1, [service(10, rsu=None, used=0)])


def shapes(b):
    """What the policy of a Rating-Group adds to its grants."""
    b.session = b.client.session()
    raw = b.client.ccr(b.session, INITIAL, 0, [service(170), service(171), service(172, rsu=[('CC-Time', 60)]), service(10)], who=b.imsi)
    answer = b.client.ask(raw)
    b.tap.equal([s['Result-Code'] for s in answer.services], [2001] * 4, 'G-52 four grants')
    triggers = [None if s['Trigger'] is None else [t.value for t in s['Trigger']] for s in answer.services]
    b.tap.equal(triggers, [[4, 30], [], [4], None], 'G-52 Trigger as the catalogue says: two, none at all, one, the gateway decides')
    b.tap.equal([s['Quota-Consumption-Time'] for s in answer.services], [None, None, 30, None], 'G-51 Quota-Consumption-Time with time only')
    b.tap.equal([s['Quota-Holding-Time'] for s in answer.services], [0, None, None, 600], 'G-51 Quota-Holding-Time: 0, as the gateway likes, 600')
    told = b.site.pg.query(f"SELECT rating_group, quota_holding_s FROM gyro.kept_answer JOIN gyro.session USING (session) WHERE session_id = '{b.session}' ORDER BY 1")
    b.tap.equal(told, [['10', '600'], ['170', '0'], ['171', ''], ['172', '']], 'G-51 which is kept with the answer')
    again = b.client.ask(raw)
    b.tap.equal([s.raw for s in again.services], [s.raw for s in answer.services], 'G-85 a duplicate gets the same')
    answer = b.ask('G-52 usage without a request', UPDATE, 1, [service(170, rsu=None, used=MIB)])
    b.tap.equal(answer.services[0]['Trigger'], None, 'G-52 no grant, no Trigger')
    answer = b.ask('G-52 the next grant', UPDATE, 2, [service(170)])
    b.tap.equal([t.value for t in answer.services[0]['Trigger']], [4, 30], 'G-52 has it again')
    b.ask('G-52 the end', TERMINATION, 3, [service(g, rsu=None, used=0) for g in (170, 171, 172, 10)])


def misplaced_reason(b):
    """A Reporting-Reason at command level is ignored: FINAL there would close all Rating-Groups."""
    b.session = b.client.session()
    b.ask('G-53 a session', INITIAL, 0, [service(10)])
    answer = b.ask('G-53 FINAL at command level', UPDATE, 1, [service(10, used=MIB)], more=[('Reporting-Reason', 2)])
    b.tap.equal(answer.services[0]['Granted-Service-Unit/CC-Total-Octets'], 10 * MIB, 'G-53 is ignored there: granted as without it')
    answer = b.ask('G-53 FINAL in the service', UPDATE, 2, [service(10, used=MIB, reason=2)])
    b.tap.equal(answer.services[0]['Granted-Service-Unit'], None, 'G-53 there it closes the Rating-Group')
    b.ask('G-53 the end', TERMINATION, 3)


def correlation(b):
    """G-31: what a request says of the larger thing it is part of is in its record."""
    b.session = b.client.session()
    more = [('Acct-Multi-Session-Id', 'bearer;7'), ('CC-Correlation-Id', b'\x00\xff\n;')]
    answer = b.ask('G-31 a session with both', INITIAL, 0, [service(10)], more=more)
    b.tap.equal(answer['Acct-Multi-Session-Id'], 'bearer;7', 'G-31 Acct-Multi-Session-Id is echoed')
    b.ask('G-31 an update with neither', UPDATE, 1, [service(10, used=MIB)])
    awkward = TABLE.avp('Acct-Multi-Session-Id', b'a\nb\x01')
    b.ask('G-31 a termination with a cause, and text that would break a line', TERMINATION, 2, [service(10, rsu=None, used=0)],
          more=[('Termination-Cause', 4), awkward])
    wanted = [{'termination_cause': None, 'correlation_id': '00ff0a3b', 'multi_session_id': 'bearer;7'},
              {'termination_cause': None, 'correlation_id': None, 'multi_session_id': None},
              {'termination_cause': 4, 'correlation_id': None, 'multi_session_id': '0x610a6201'}]
    keys = list(wanted[0])
    for words in (('records', '--session', b.session), ('explain', b.session)):
        shown = json.loads(b.site.gyroctl(*words, '--json'))
        shown = shown['requests'] if isinstance(shown, dict) else shown
        b.tap.equal([{k: r[k] for k in keys} for r in shown], wanted, f'G-31 gyroctl {words[0]} shows them')
    text = b.site.gyroctl('explain', b.session, '2')
    b.tap.ok('Termination-Cause 4' in text, 'G-31 explain in words', text)
    text = b.site.gyroctl('records', '--session', b.session)
    b.tap.ok('cause 4' in text, 'G-31 records in words', text)
    kept = b.site.pg.query(f"SELECT correlation IS NULL FROM gyro.record JOIN gyro.session_index USING (session) "
                           f"WHERE session_id = '{b.session}' ORDER BY request_number")
    b.tap.equal(kept, [['f'], ['t'], ['f']], 'G-31 what says nothing costs nothing in the record')


def characteristics(b):
    """Charging-Characteristics and Charging-Rule-Base-Name may make a price (spec/gy.md 1.4); said twice, they are one too many."""
    start, _ = b.site.money(b.account)
    for name, inside, held in (('as it is', [], 100_000), ('by its characteristics', [('3GPP-Charging-Characteristics', '0A00')], 300_000),
                               ('others', [('3GPP-Charging-Characteristics', '0800')], 100_000),
                               ('by its rule base', [('Charging-Rule-Base-Name', 'gold')], 50_000),
                               ('by both', [('3GPP-Charging-Characteristics', '0a00'), ('Charging-Rule-Base-Name', 'gold')], 150_000)):
        b.session = b.client.session()
        b.ask(f'the price of a MiB, {name}', INITIAL, 0, [service(173, rsu=MIB)], more=[ps(*inside)])
        b.tap.equal(b.site.money(b.account), (start, held), f'is held, {name}')
        b.ask('the end', TERMINATION, 1, [service(173, rsu=None, used=0)])
    b.session = b.client.session()
    b.ask('G-12 two rule bases', INITIAL, 0, [service(173)], 5009, more=[ps(*2 * [('Charging-Rule-Base-Name', 'gold')])])


def price_change(b):
    """G-98: a price that changes while a grant is used counts from the next one on."""
    b.session = b.client.session()
    start, _ = b.site.money(b.account)

    def cost(number):
        """Of a MiB, by a question; what the node in question holds."""
        asked = b.client.charge(f'{b.session};{number}', EVENT, 0, [service(11, rsu=MIB)], who=b.imsi, more=[('Requested-Action', 3)])
        return asked['Cost-Information/Unit-Value/Value-Digits'] * 10 ** asked['Cost-Information/Unit-Value/Exponent']

    b.ask('G-98 granted at 0.10', INITIAL, 0, [service(11)])
    before = cost(0)
    b.site.pg.query('UPDATE gyro.specific_rule SET price_micros = 200000 WHERE rating_group = 11')
    numbers = iter(range(1, 1000))
    b.tap.ok(until(lambda: cost(next(numbers)) == 2 * before, 10), 'G-98 the new price is in force')
    b.tap.equal(b.site.money(b.account), (start, 1_000_000), 'G-98 what is held stays')
    b.ask('G-98 used after the change, in part, no more asked', UPDATE, 1, [service(11, rsu=MIB, used=4 * MIB)])
    b.tap.equal(b.site.money(b.account), (start - 400_000, 200_000), 'G-98 paid at the price of its grant, the next one is held at the new price')
    b.ask('G-98 the next grant is used', TERMINATION, 2, [service(11, rsu=None, used=MIB)])
    b.tap.equal(b.site.money(b.account), (start - 600_000, 0), 'G-98 and paid at the new price')


def expiry(b):
    """G-68: an ASR at the end of supervision, if that is wanted; nothing depends on it."""
    def silent(name, asr):
        b.session = b.client.session()
        b.ask(f'G-68 {name}: a session of two seconds', INITIAL, 0, [service(12)])
        try:
            message = b.client.receive(6 if asr else 4)
        except Silent:
            message = None
        b.tap.equal(b.site.money(b.account)[1], 0, f'G-68 {name}: nothing is held any more')
        return message

    b.tap.equal(silent('as it is', False), None, 'G-68 as it is: supervision ends it, and tells nobody')
    b.site.pg.query('UPDATE gyro.outbox_policy SET on_expiry = true')
    message = silent('with on_expiry', True)
    good = message is not None and message.is_request and (message.code, message['Session-Id']) == (274, b.session)
    if b.tap.ok(good, 'G-68 with on_expiry: the gateway gets an ASR', message):
        b.client.reply(message, 2001)
    start, _ = b.site.money(b.account)
    late = b.client.ccr(b.session, TERMINATION, 1, [service(12, rsu=None, used=MIB)], who=b.imsi)
    codes = [b.client.ask(late).result for _ in range(2)]
    b.tap.equal(codes, [5002, 5002], 'G-68 the CCR-T that follows meets an ended session')
    b.tap.equal(b.site.money(b.account), (start - 100_000, 0), 'G-68 and its usage is charged, once')
    b.tap.ok(until(lambda: b.site.pg.query(f"SELECT state_name, outcome FROM gyro.server_request WHERE session_id = '{b.session}'")
                   == [['done', 'accepted']], 5), 'G-68 the request is done')
    b.session = b.client.session()
    b.ask('G-68 a session that ends by itself', INITIAL, 0, [service(12)])
    b.ask('G-68 it ends', TERMINATION, 1, [service(12, rsu=None, used=0)])
    try:
        message = b.client.receive(4)
    except Silent:
        message = None
    b.tap.equal(message, None, 'G-68 gets no ASR')
    b.site.pg.query('UPDATE gyro.outbox_policy SET on_expiry = false')


def internal_failures(b):
    """G-69: what a session holds comes back when the node fails in its middle: the write is refused, or the row can't be read."""
    site, tap, pg = b.site, b.tap, b.site.pg
    people = site.people(4, first=1200)
    accounts = range(1200, 1204)
    sessions = [b.client.session() for _ in people]
    refused, broken, *others = accounts
    for session, imsi in zip(sessions, people):
        b.client.charge(session, INITIAL, 0, [service(12)], who=imsi)
    tap.equal([site.money(a)[1] for a in accounts], [1_000_000] * 4, 'G-69 four sessions hold 1.00 each')
    pg.query(f"""
        CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = 'check_violation'; END $$;
        CREATE TRIGGER fails BEFORE INSERT ON gyro.record FOR EACH ROW WHEN (NEW.account_id = {refused} AND NEW.request_type = 2) EXECUTE FUNCTION fails();
        UPDATE gyro.account SET reservations[1][9] = -1 WHERE account_id = {broken}""")
    codes = [b.client.charge(session, UPDATE, 1, [service(12, used=MIB)], who=imsi).result for session, imsi in zip(sessions[:2], people)]
    tap.equal(codes, [5012, 5012], 'G-69 the report of one can\'t be written, the row of another can\'t be read: 5012')
    tap.ok(until(lambda: all(site.money(a)[1] == 0 for a in (refused, *others)), 10),
           'G-69 supervision gives back what they hold, but for the broken row', [site.money(a) for a in accounts])
    tap.equal([site.money(a)[0] for a in accounts], [1_000_000_000] * 4, 'G-69 nothing was debited')
    said = len(re.findall(rf'account {broken}: its row makes no sense', b.node.said()))
    tap.ok(0 < said < 3, 'G-69 the operator is told, and not every second', said)
    pg.query(f"DROP TRIGGER fails ON gyro.record; DROP FUNCTION fails; UPDATE gyro.account SET reservations[1][9] = 0 WHERE account_id = {broken};"
             f" SELECT gyro.session_release(session) FROM gyro.session_index WHERE account_id = {broken}")
    tap.ok(until(lambda: site.money(broken)[1] == 0, 10), 'G-69 once it is repaired, that one, too', site.money(broken))
    again = [b.client.charge(session, UPDATE, 1, [service(12, used=MIB)], who=imsi).result for session, imsi in zip(sessions[:2], people)]
    tap.equal((again, [site.money(a) for a in (refused, broken)]), ([5002] * 2, [(999_900_000, 0)] * 2),
              'G-69 the reports, sent again, are charged once (late usage)')


def texts(b):
    """G-14: the same fault has the same words, whatever else is in the request."""
    faults = {
        'an unknown AVP': {'more': [TABLE.avp((3999, 0, 0x40), b'abcd')]}, 'no context': {'omit': ('Service-Context-Id',)},
        'another context': {'context': '99999@3gpp.org'}, 'an unknown subscriber': {'who': '999990000000000'},
        'a bad type': {'kind': 9}, 'a length': {'more': [TABLE.avp('Origin-State-Id', b'abc')]},
        'an AVP twice': {'more': [('CC-Request-Number', 7)]}, 'no identity': {'who': None}, 'a realm': {'realm': 'other.test'},
    }
    for name, parts in faults.items():
        said = set()
        for n in range(3):
            changed = {'kind': INITIAL, 'who': b.imsi, 'realm': b.node.realm, **parts}
            kind, realm = changed.pop('kind'), changed.pop('realm')
            avps = b.client.ccr_avps(b.client.session(), kind, n, [service(10 + n % 2)], **changed)
            avps = [('Destination-Realm', realm) if not isinstance(a, bytes) and a[0] == 'Destination-Realm' else a for a in avps]
            answer = b.client.ask(b.client.message('CCR', P, avps))
            said.add((answer.result, answer['Error-Message']))
        b.tap.ok(len(said) == 1 and all(code != 2001 and text for code, text in said), f'G-14 {name}: the same words each time', said)


def supervision(tap, site, other, imsi):
    """G-67: so many Validity-Times as the node's settings say; other nodes keep to what stands in the row."""
    for node, want in ((site.node, 2), (other, 5)):
        b = Bench(tap, site, 1008, imsi, node)
        b.ask(f'G-67 a session of {want} Validity-Times', INITIAL, 0, [service(10)])
        lasts = site.pg.value(f"SELECT extract(epoch FROM deadline - opened)::bigint FROM gyro.session WHERE session_id = '{b.session}'")
        tap.equal(int(lasts), want * 3600, f'G-67 it ends after {want} of them')
        b.ask('G-67 the end', TERMINATION, 1, [service(10, rsu=None)])
        b.client.close()


def lenient(strict, tolerant):
    """G-09: the setting that passes over unknown AVPs of 3GPP inside Service-Information, and nothing else."""
    tap = strict.tap
    unknown = TABLE.avp((9998, 10415, 0xc0), b'abcd')
    other = TABLE.avp((9998, 99999, 0xc0), b'abcd')
    inside = [('PS-Information', [('Called-Station-Id', 'internet'), unknown])]
    cases = [('in PS-Information', [('Service-Information', inside)], 2001), ('in Service-Information', [('Service-Information', [unknown])], 2001),
             ('at command level', [unknown], 5001), ('of another vendor', [('Service-Information', [('PS-Information', [other])])], 5001)]
    for name, more, want in cases:
        for b, code in ((strict, 5001), (tolerant, want)):
            b.session = b.client.session()
            word = 'lenient' if b is tolerant else 'strict'
            answer = b.ask(f'G-09 {word}: an unknown AVP of 3GPP with M {name}', INITIAL, 0, [service(10)], code, more=more)
            if code == 5001:
                failed = b''.join(a.data for a in answer.all('Failed-AVP'))
                tap.ok((other if 'vendor' in name else unknown) in failed, f'G-09 {word}: {name}: its bytes come back', answer)
            else:
                b.ask(f'G-09 {word}: {name}: the session lives', TERMINATION, 1, [service(10, rsu=None, used=0)])
    b = tolerant
    b.session = b.client.session()
    b.ask('G-09 lenient: in a service', INITIAL, 0, [(MSCC, [('Rating-Group', 10), ('Requested-Service-Unit', []), unknown])], 5001)


def main():
    arguments(__doc__)
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='gyro-rules-') as home, Site(catalogue=catalogue(home)) as site:
        people = site.people(12, first=1000)
        for n, play in enumerate((failover, apns, shapes, misplaced_reason, correlation, characteristics, price_change, texts, expiry, internal_failures)):
            b = Bench(tap, site, 1000 + n, people[n])
            play(b)
            b.client.close()
        other = site.add('gyro2', settings={'lenient_unknown_mandatory': True, 'supervision': 5}).start()
        supervision(tap, site, other, people[8])
        lenient(Bench(tap, site, 1009, people[9]), Bench(tap, site, 1010, people[10], other))
        watchdogs(Bench(tap, site, 1011, people[11]))
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
