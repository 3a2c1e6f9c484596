#!/usr/bin/python3
"""Voice and messages (TS 32.260, TS 32.274) over the wire, on the catalogue of deploy/demo-ims.yaml.

ims.py. Calls in sessions by time, messages as events and as reserved events, questions about both; requests as a
CSCF and an IP-SM-GW build them. What each costs is computed here from the prices as they stand in that file.
"""
import json
import time

from family import INITIAL, MSCC, P, ROOT, T, TERMINATION, UPDATE, Site, Tap, arguments, conform, service, until

EVENT = 4
DEBIT, REFUND, CHECK, PRICE = 0, 1, 2, 3
VOICE, SMS, DATA = 'ext.01.001.8.32260@3gpp.org', '8.32274@3gpp.org', '8.32251@3gpp.org'
SECOND, VIDEO, MESSAGE, PREMIUM = 1500, 5000, 70_000, 1_990_000  # micro-units
ACCOUNT, BALANCE = 11, 10_000_000
POOR, LITTLE = 12, 200_000
MIB = 1 << 20


def payer(account):
    return [('Subscription-Id', [('Subscription-Id-Type', 2), ('Subscription-Id-Data', f'sip:+4917000000{account}@ims.example.net')])]


def call_information(account):
    """What a CSCF tells of a call."""
    return ('Service-Information', [*payer(account), ('IMS-Information', [
        ('Event-Type', [('SIP-Method', 'INVITE')]), ('Role-Of-Node', 0), ('Node-Functionality', 0),
        ('User-Session-Id', 'a84b4c76e66710@ims.example.net'), ('Calling-Party-Address', f'tel:+4917000000{account}'),
        ('Called-Party-Address', 'tel:+491700000099'), ('IMS-Charging-Identifier', 'icid-1'),
        ('SDP-Media-Component', [])])])


def message_information():
    """What an IP-SM-GW tells of a message."""
    party = ('Address-Type', 1), ('Address-Data', '491700000099')
    return ('Service-Information', [('SMS-Information', [
        ('SMS-Node', 1), ('SM-Message-Type', 0), ('Originator-Received-Address', [('Address-Type', 1), ('Address-Data', '491700000011')]),
        ('Recipient-Info', [('Recipient-Address', list(party))]), ('Number-Of-Messages-Sent', 1)])])


class Client:
    """A CSCF or an IP-SM-GW: requests in one context, and what the account holds after each."""

    def __init__(self, tap, site, host, context, account=ACCOUNT, information=None):
        self.tap, self.site, self.context, self.account = tap, site, context, account
        self.information = information or []
        self.client = site.node.client(host)
        self.new()

    def new(self):
        self.session = self.client.session()
        return self

    def request(self, kind, number, services, more=(), flags=P, end_to_end=None):
        return self.client.ccr(self.session, kind, number, services, who=payer(self.account), context=self.context, flags=flags,
                               end_to_end=end_to_end, more=[*self.information, *more])

    def ask(self, name, kind, number, services, want=2001, codes=(2001,), more=(), raw=None):
        raw = raw or self.request(kind, number, services, more)
        answer = self.client.ask(raw)
        wrong = conform(raw, answer, self.site.node)
        got = answer.result, [s['Result-Code'] for s in answer.services]
        if got != (want, list(codes)):
            wrong.append(f'{got}, not {(want, list(codes))}')
        self.tap.ok(not wrong, name, '\n'.join(wrong) + f'\n{answer}')
        return answer

    def event(self, name, action, services, **how):
        return self.ask(name, EVENT, 0, services, more=[('Requested-Action', action)], **how)

    def money(self, name, balance, held):
        self.tap.equal(self.site.money(self.account), (balance, held), name)


def seconds(asked=None, used=None, group=None, more=()):
    units = [] if asked is None else [('Requested-Service-Unit', [('CC-Time', asked)] if asked else [])]
    units += [] if used is None else [('Used-Service-Unit', [('CC-Time', used)])]
    return (MSCC, [*units, *([('Rating-Group', group)] if group else []), *more])


def messages(asked=None, used=None, group=None):
    units = [] if asked is None else [('Requested-Service-Unit', [('CC-Service-Specific-Units', asked)])]
    units += [] if used is None else [('Used-Service-Unit', [('CC-Service-Specific-Units', used)])]
    return (MSCC, [*units, *([('Rating-Group', group)] if group else [])])


def voice(tap, site):
    c = Client(tap, site, 'cscf1', VOICE, information=[call_information(ACCOUNT)])
    answer = c.ask('32260 a call begins: no Rating-Group, 30 seconds asked for', INITIAL, 0, [seconds(30)])
    s = answer.services[0]
    tap.equal((s['Granted-Service-Unit/CC-Time'], s['Granted-Service-Unit/CC-Total-Octets'], s['Rating-Group']), (30, None, None),
              '32260 granted in seconds, and no Rating-Group is echoed')
    tap.equal((s['Time-Quota-Threshold'], s['Volume-Quota-Threshold'], s['Validity-Time']), (10, None, 900), '32260 the threshold is one of time')
    tap.equal(s['Quota-Consumption-Time'], 5, '32260 G-51 Quota-Consumption-Time comes with a grant of time')
    tap.equal([t.value for t in s['Trigger']], [40], '32260 G-52 the trigger of the catalogue')
    c.money('32260 30 seconds are held', BALANCE, 30 * SECOND)
    answer = c.ask('32260 it goes on: used 20, no amount asked for', UPDATE, 1, [seconds(0, 20)])
    tap.equal(answer.services[0]['Granted-Service-Unit/CC-Time'], 60, '32260 the default grant')
    c.money('32260 20 seconds are paid', BALANCE - 20 * SECOND, 60 * SECOND)
    # The call becomes a video call: the change is reported, the other Rating-Group opened in the same request.
    c.ask('32260 video is added', UPDATE, 2, [
        seconds(None, 7, more=[('Reporting-Reason', 6), ('Trigger', [('Trigger-Type', 40)])]), seconds(60, group=81)], codes=[2001, 2001])
    c.money('32260 the voice part is closed, the video part is held', BALANCE - 27 * SECOND, 60 * VIDEO)
    c.ask('32260 the call ends', TERMINATION, 3, [seconds(None, 41, group=81)], more=[('Termination-Cause', 1)])
    spent = 27 * SECOND + 41 * VIDEO
    c.money('32260 all of it is paid', BALANCE - spent, 0)

    poor = Client(tap, site, 'cscf2', VOICE, POOR, [call_information(POOR)])
    answer = poor.ask('32260 a caller with 0.20', INITIAL, 0, [seconds(600)])
    left = LITTLE // SECOND
    tap.equal((answer.services[0]['Granted-Service-Unit/CC-Time'], answer.services[0]['Final-Unit-Indication/Final-Unit-Action']), (left, 0),
              f'32260 gets {left} seconds, the last ones')
    tap.equal(answer.services[0]['Time-Quota-Threshold'], None, '32260 without a threshold (G-50)')
    poor.ask('32260 and uses them', TERMINATION, 1, [seconds(None, left)], more=[('Termination-Cause', 1)])
    poor.money('32260 what is left buys no second', LITTLE - left * SECOND, 0)
    poor.new().ask('32260 the next call is refused', INITIAL, 0, [seconds(30)], codes=[4012])
    poor.ask('32260 and its CCR-T answered', TERMINATION, 1, [seconds(None, 0)])
    other = Client(tap, site, 'cscf3', '32261@3gpp.org')
    other.ask('G-30 a context that is not in the catalogue', INITIAL, 0, [seconds(30)], want=5031, codes=())
    return spent


def sms(tap, site, spent):
    c = Client(tap, site, 'ipsmgw1', SMS, information=[message_information()])
    raw = c.request(EVENT, 0, [messages(1)], more=[('Requested-Action', DEBIT)], end_to_end=77)
    answer = c.ask('32274 IEC: a message', EVENT, 0, (), raw=raw)
    tap.equal(answer.services[0]['Granted-Service-Unit/CC-Service-Specific-Units'], 1, '32274 one is paid')
    tap.equal((answer.services[0]['Validity-Time'], answer.services[0]['Trigger']), (None, None), '32274 and nothing said that sessions need')
    copy = c.request(EVENT, 0, [messages(1)], more=[('Requested-Action', DEBIT)], end_to_end=77, flags=P | T)
    again = c.ask('32274 its copy with the T bit', EVENT, 0, (), raw=copy)
    tap.equal([s.raw for s in again.services], [s.raw for s in answer.services], '32274 gets the same answer')
    spent += MESSAGE
    c.money('32274 and is paid once', BALANCE - spent, 0)
    c.new().event('32274 it was not delivered: a refund', REFUND, [messages(1)])
    spent -= MESSAGE
    c.money('32274 the money is back', BALANCE - spent, 0)

    c.new().ask('32274 ECUR: three parts are reserved', INITIAL, 0, [messages(3)])
    c.money('32274 and held', BALANCE - spent, 3 * MESSAGE)
    c.ask('32274 two were delivered', TERMINATION, 1, [messages(None, 2)])
    spent += 2 * MESSAGE
    c.money('32274 two are paid, nothing is held', BALANCE - spent, 0)
    c.new().ask('32274 ECUR again', INITIAL, 0, [messages(1)])
    c.ask('32274 the delivery fails', TERMINATION, 1, [messages(None, 0)])
    c.money('32274 nothing is paid', BALANCE - spent, 0)
    c.new().event('32274 G-33 a free message', DEBIT, [messages(1, group=92)], codes=[4011])

    answer = c.new().event('TC-80 what does a premium message cost?', PRICE, [messages(1, group=91)], codes=())
    digits, exponent = (answer[f'Cost-Information/Unit-Value/{part}'] for part in ('Value-Digits', 'Exponent'))
    tap.equal((digits * 10 ** (exponent + 6), answer['Cost-Information/Currency-Code']), (PREMIUM, 978), 'TC-80 1.99, in euro')
    answer = c.new().event('TC-80 is there money for four of them?', CHECK, [messages(4, group=91)], codes=())
    tap.equal(answer['Check-Balance-Result'], 0, 'TC-80 there is')
    answer = c.new().event('TC-80 and for six?', CHECK, [messages(6, group=91)], codes=())
    tap.equal(answer['Check-Balance-Result'], 1, 'TC-80 there is not')
    c.money('TC-80 questions cost nothing', BALANCE - spent, 0)

    poor = Client(tap, site, 'ipsmgw2', SMS, POOR, [message_information()])
    poor.event('TC-77 a message without the money for it', DEBIT, [messages(1, group=91)], codes=[4012])
    poor.money('TC-77 costs nothing', *site.money(POOR))
    return spent


def refunds(tap, site, spent):
    """G-75: a refund bound to its debit by Refund-Information: once, no more than it was, of this account."""
    c = Client(tap, site, 'ipsmgw4', SMS, information=[message_information()])

    def refund(name, information, units=(), **how):
        inside = [('Requested-Service-Unit', list(units)), ('Refund-Information', information)] if units is not None else \
            [('Refund-Information', information)]
        return c.new().event(f'G-75 {name}', REFUND, [(MSCC, inside)], **how)

    def debit(name, services):
        return [s['Refund-Information'] for s in c.new().event(f'G-75 {name}', DEBIT, services, codes=[2001] * len(services)).services]

    first, = debit('a premium message', [messages(1, group=91)])
    tap.ok(first and len(first) == 24, 'G-75 its answer tells how a refund may name it', first)
    c.money('G-75 it is paid', BALANCE - spent - PREMIUM, 0)
    answer = refund('all of it', first, None)
    tap.equal(answer.services[0]['Granted-Service-Unit/CC-Service-Specific-Units'], 1, 'G-75 the units come back')
    tap.equal(answer.services[0]['Refund-Information'], None, 'G-75 a refund can not be refunded')
    c.money('G-75 and their money', BALANCE - spent, 0)
    refund('again: it was refunded', first, None, want=5012, codes=())
    refund('and in part', first, [('CC-Service-Specific-Units', 1)], want=5012, codes=())
    c.money('G-75 which changes nothing', BALANCE - spent, 0)

    # Two services of one event; a price that has changed since; parts.
    two = debit('two kinds of messages at once', [messages(3), messages(1, group=91)])
    spent += 3 * MESSAGE + PREMIUM
    site.pg.query('UPDATE gyro.specific_rule SET price_micros = 1 WHERE rating_group = 90')
    tap.ok(until(lambda: price(c, 90) == 1, 10), 'another price is in force')
    c.new()
    raw = c.request(EVENT, 5, [(MSCC, [('Requested-Service-Unit', [('CC-Service-Specific-Units', 2)]), ('Refund-Information', two[0])])],
                    more=[('Requested-Action', REFUND)], end_to_end=99)
    answer = c.ask('G-75 two of three', EVENT, 5, (), raw=raw)
    spent -= 2 * MESSAGE
    c.money('G-75 at the price that was paid, not today\'s', BALANCE - spent, 0)
    again = c.ask('G-75 the same request again', EVENT, 5, (), raw=raw)
    tap.equal(again.raw, answer.raw, 'G-85 gets the same answer')
    c.money('G-75 and no money', BALANCE - spent, 0)
    refund('the third later: a debit is refunded once', two[0], [('CC-Service-Specific-Units', 1)], want=5012, codes=())
    money = [('CC-Money', [('Unit-Value', [('Value-Digits', 199), ('Exponent', -2)]), ('Currency-Code', 978)])]
    more = [('CC-Money', [('Unit-Value', [('Value-Digits', 2), ('Exponent', 0)]), ('Currency-Code', 978)])]
    refund('the other one, a cent too much', two[1], more, codes=[5031])
    refund('more messages than there were', two[1], [('CC-Service-Specific-Units', 2)], codes=[5031])
    c.money('G-75 too much is nothing', BALANCE - spent, 0)
    refund('the other one, as an amount', two[1], money)
    spent -= PREMIUM
    c.money('G-75 each service by itself', BALANCE - spent, 0)

    poor = Client(tap, site, 'ipsmgw5', SMS, POOR)
    theirs, = debit('one more', [messages(1, group=91)])
    spent += PREMIUM
    answer = poor.event('G-75 somebody else\'s debit', REFUND, [(MSCC, [('Refund-Information', theirs)])], want=5031, codes=())
    tap.ok(theirs in answer.all('Failed-AVP')[0].data, 'G-75 it is in Failed-AVP', answer)
    unknown = theirs[:8] + bytes(16)
    refund('a debit that never was', unknown, None, want=5031, codes=())
    refund('a service that the debit did not have', theirs[:1] + b'\x05' + theirs[2:], None, want=5031, codes=())
    refund('something that is not ours', b'refund-42', None, want=5004, codes=())
    c.money('G-75 none of them gives money', BALANCE - spent, 0)
    poor.money('G-75 to anybody', *site.money(POOR))

    # At the same time at two nodes, from two gateways.
    other = site.add('gyro2').start()
    one, two = c.client, other.client('ipsmgw6')
    for n in range(8):
        named, = debit(f'round {n}', [messages(1, group=91)])
        raws = [x.ccr(x.session(), EVENT, 0, [(MSCC, [('Refund-Information', named)])], who=payer(ACCOUNT), context=SMS,
                      more=[('Requested-Action', REFUND)]) for x in (one, two)]
        if n % 2:
            raws[1] = one.ccr(one.session(), EVENT, 0, [(MSCC, [('Refund-Information', named)])], who=payer(ACCOUNT), context=SMS,
                              more=[('Requested-Action', REFUND)])
            one.send(raws[0] + raws[1])
        else:
            one.send(raws[0])
            two.send(raws[1])
        clients = (one, one if n % 2 else two)
        codes = sorted(x.receive_answer(int.from_bytes(raw[12:16], 'big')).result for x, raw in zip(clients, raws))
        tap.equal(codes, [2001, 5012], f'G-75 round {n}: two refunds at {"one node" if n % 2 else "two nodes"}, one is paid')
    c.money('G-75 each once', BALANCE - spent, 0)
    site.pg.query(f'UPDATE gyro.specific_rule SET price_micros = {MESSAGE} WHERE rating_group = 90')
    tap.ok(until(lambda: price(c, 90) == MESSAGE, 10), 'the old price is back')
    return spent


def price(c, group):
    """Of one message, as the node sees it."""
    answer = c.client.charge(c.client.session(), EVENT, 0, [messages(1, group=group)], who=payer(ACCOUNT), context=SMS,
                             more=[('Requested-Action', PRICE)])
    value = [answer[f'Cost-Information/Unit-Value/{part}'] for part in ('Value-Digits', 'Exponent')]
    return round(value[0] * 10 ** (value[1] + 6)) if None not in value else None


def currency(tap, site, spent):
    """G-74: money in another currency than the account's is no amount."""
    c = Client(tap, site, 'as1', SMS)

    def money(digits, code):
        inside = [('Unit-Value', [('Value-Digits', digits), ('Exponent', -2)])] + ([('Currency-Code', code)] if code else [])
        return (MSCC, [('Requested-Service-Unit', [('CC-Money', inside)])])

    for action in (DEBIT, REFUND):
        answer = c.new().event(f'G-74 5 dollars of an account in euro, action {action}: 5004', action, [money(500, 840)], want=5004, codes=())
        failed = b''.join(a.data for a in answer.all('Failed-AVP'))
        tap.equal(failed.hex(), '000001a94000000c00000348', 'G-74 Failed-AVP holds the Currency-Code')
        c.new().event(f'G-74 a currency that nobody has, action {action}', action, [money(500, 4711)], want=5004, codes=())
    dollars = [('CC-Money', [('Unit-Value', [('Value-Digits', 5)]), ('Currency-Code', 840)])]
    c.new().ask('G-74 dollars, reserved: 5004', INITIAL, 0, [(MSCC, [('Requested-Service-Unit', dollars)])], want=5004, codes=())
    c.new().ask('a session', INITIAL, 0, [messages(1)])
    c.ask('G-74 that says dollars were used: 5004', TERMINATION, 1, [(MSCC, [('Used-Service-Unit', dollars)])], want=5004, codes=())
    c.ask('which leaves it open', TERMINATION, 1, [messages(None, 0)])
    c.money('G-74 which changes nothing', BALANCE - spent, 0)
    c.new().event('G-74 5 cents, in euro', DEBIT, [money(5, 978)])
    c.new().event('G-74 5 cents, in no currency: the account\'s', DEBIT, [money(5, None)])
    spent += 100_000
    c.money('G-74 are debited as they are', BALANCE - spent, 0)

    def euros(n):
        return [('CC-Money', [('Unit-Value', [('Value-Digits', n)]), ('Currency-Code', 978)])]

    granted = c.new().ask('G-78 3 euro, reserved', INITIAL, 0, [(MSCC, [('Requested-Service-Unit', euros(3))])])
    tap.equal([granted.services[0][f'Granted-Service-Unit/CC-Money/{part}'] for part in ('Unit-Value/Value-Digits', 'Currency-Code')], [3, 978],
              'G-78 are granted as money')
    c.money('G-78 and held', BALANCE - spent, 3_000_000)
    told = json.loads(site.gyroctl('explain', c.session, '--json'))['requests'][0]['services'][0]
    tap.equal(told['price'], 'amount', 'explain says that an amount needs no price')
    c.ask('G-78 2 are used', TERMINATION, 1, [(MSCC, [('Used-Service-Unit', euros(2))])])
    spent += 2_000_000
    c.money('G-78 and debited', BALANCE - spent, 0)
    return spent


def together(tap, site, spent):
    """One account: a call, a download and a message at the same time."""
    call = Client(tap, site, 'cscf4', VOICE, information=[call_information(ACCOUNT)])
    data = Client(tap, site, 'pgw1', DATA)
    sms_ = Client(tap, site, 'ipsmgw3', SMS, information=[message_information()])
    call.ask('a call', INITIAL, 0, [seconds(60)])
    data.ask('a download beside it', INITIAL, 0, [service(10)])
    sms_.ask('and a message, reserved', INITIAL, 0, [messages(1)])
    call.money('all three are held', BALANCE - spent, 60 * SECOND + 1_000_000 + MESSAGE)
    call.ask('the call ends', TERMINATION, 1, [seconds(None, 33)])
    data.ask('the download ends', TERMINATION, 1, [service(10, rsu=None, used=3 * MIB)])
    sms_.ask('the message is delivered', TERMINATION, 1, [messages(None, 1)])
    call.money('and paid from the same money', BALANCE - spent - 33 * SECOND - 300_000 - MESSAGE, 0)
    told = json.loads(site.gyroctl('explain', call.session, '--json'))['requests']
    tap.equal([(r['request_type'], r['debit']) for r in told], [('initial', '0.00'), ('terminate', '0.0495')], 'explain tells the call')


def main():
    arguments(__doc__)
    tap = Tap()
    with Site(catalogue=ROOT / 'deploy/demo-ims.yaml') as site:
        begin = time.monotonic()
        spent = voice(tap, site)
        spent = sms(tap, site, spent)
        spent = refunds(tap, site, spent)
        spent = currency(tap, site, spent)
        together(tap, site, spent)
        print(f'# {time.monotonic() - begin:.1f} s')
        site.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
