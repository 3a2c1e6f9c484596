"""What every transport must carry: a session that is charged to the micro-unit, RAR, the goodbye. For tls.py, sctp.py, ipv6.py."""
from family import Closed, INITIAL, TERMINATION, UPDATE, collect, conform, hop, sanitized, service, until

MIB = 1 << 20
THRESHOLD, FINAL = 3, 2
STEPS = [(INITIAL, 0, service(10), 10 * MIB), (UPDATE, 1, service(10, used=8 * MIB, reason=THRESHOLD), 10 * MIB),
         (UPDATE, 2, service(10, used=7 * MIB, reason=THRESHOLD), 10 * MIB),
         (TERMINATION, 3, service(10, rsu=None, used=4 * MIB, reason=FINAL), None)]
COST = 1_900_000  # 19 MiB, 0.10 each


def session(tap, site, node, gateway, who, account, name):
    """I, U, U, T of a subscriber of site.people: each answer right in every respect, each debit once."""
    before, session_id, wrong = site.money(account)[0], gateway.session(), []
    for kind, number, what, granted in STEPS:
        raw = gateway.ccr(session_id, kind, number, [what], who=who)
        answer = gateway.ask(raw)
        got = answer.services[0]['Granted-Service-Unit/CC-Total-Octets'] if answer.services else 'no service'
        wrong += [(number, problem) for problem in conform(raw, answer, node)]
        if (answer.result, got) != (2001, granted):
            wrong.append((number, answer))
    tap.equal(wrong, [], f'{name}: four CCRs, their answers right in every respect')
    tap.equal((site.records(session_id), site.money(account)), ((4, COST), (before - COST, 0)),
              f'{name}: 19 MiB cost 1.90, once')


def reauthorisation(tap, site, gateway, who, name):
    """A RAR comes over this connection, its RAA goes back, and the session goes on."""
    session_id = gateway.session()
    gateway.charge(session_id, INITIAL, 0, [service(10)], who=who)
    uuid = site.pg.value(f"SELECT session FROM gyro.session_index WHERE session_id = '{session_id}'")
    site.pg.query(f"SELECT gyro.reauthorize_session('{uuid}', NULL, 'operator')")
    try:
        rar = gateway.receive(15)
    except Closed as e:
        tap.ok(False, f'{name}: a RAR comes', f'{e}\n{site.pg.query("SELECT * FROM gyro.server_request")}\n{site.node.tail()}')
        return
    tap.equal((rar.code, rar.is_request, rar['Session-Id']), (258, True, session_id), f'{name}: a RAR comes')
    gateway.reply(rar, 2002)
    state = until(lambda: site.pg.query('SELECT state_name, answer_code FROM gyro.server_request '
                                        f"WHERE session_id = '{session_id}' AND state_name = 'done'"), 15)
    tap.equal(state, [['done', '2002']], f'{name}: its RAA arrives')
    answer = gateway.charge(session_id, TERMINATION, 1, [service(10, rsu=None, used=0, reason=FINAL)], who=who)
    tap.equal(answer.result, 2001, f'{name}: the session goes on')


def in_flight(tap, site, gateways, people, name, number=200):
    """Many requests of several gateways at once; answers may come in any order, each exactly once."""
    number //= 4 if sanitized() else 1 # else some are rightly refused: too old when their turn comes
    sent = []
    for gateway, who in zip(gateways, people):
        session_id = gateway.session()
        sent.append((gateway, session_id, [gateway.ccr(session_id, UPDATE if n else INITIAL, n, [service(10, used=1024 if n else None)],
                                                       who=who) for n in range(number)]))
    for n in range(number):
        for gateway, _, batch in sent:
            gateway.send(batch[n])
    got = [collect(gateway, {hop(raw) for raw in batch}, 20) for gateway, _, batch in sent]
    tap.equal([(len(answers), {a.result for a in answers.values()}) for answers in got], [(number, {2001})] * len(sent),
              f'{name}: {number} requests at once from {len(sent)} gateways: each is answered')
    tap.equal([site.records(session_id)[0] for _, session_id, _ in sent], [number] * len(sent), f'{name}: and charged once')


def brief(tap, connect, who, name, rounds=100):
    """A request, its answer, and DPR at once: what ends the connection meets who has just sent the answer."""
    wrong = []
    for n in range(rounds):
        gateway = connect(n)
        try:
            answer = gateway.charge(gateway.session(), INITIAL, 0, [service(10)], who=who)
            dpa = gateway.disconnect()
            if (answer.result, dpa.result) != (2001, 2001):
                wrong.append((n, answer, dpa))
        except Closed as e:
            wrong.append((n, str(e)))
    tap.equal(wrong, [], f'{name}: {rounds} times a request, its answer, DPR, DPA')


def stop(tap, node, gateway, name):
    """SIGTERM: the connected gateway gets its DPR, the process ends in order."""
    node.terminate()
    dpr = gateway.receive(10)
    tap.equal((dpr.code, dpr.is_request), (282, True), f'{name}: at its stop the node says goodbye')
    gateway.reply(dpr, 2001)
    tap.ok(gateway.wait_closed(10), f'{name}: and closes the connection')
    tap.equal(node.wait(), 0, f'{name}: exit status 0')
