#!/usr/bin/python3
"""The load generator against a server that does one thing wrong at a time: each must be noticed, and nothing else.

loadgen-test.py GYRO-SIM
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from peer import Peer  # noqa: E402
from tap import Tap  # noqa: E402

SIM = sys.argv[1]
tap = Tap()


def load(peer, *options, seconds=60):
    """(exit status, result or None, standard error)"""
    command = [SIM, 'load', '--connect', f'127.0.0.1:{peer.port}', '--json', '--warmup', '0', '--sessions', '40', '--window', '8',
               '--mode', 'full', *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith('{') else None, done.stderr


def faults(result):
    return {name: count for name, count in result['faults'].items() if count} if result else None


def nth(which, change):
    """Bends one answer."""
    def bend(answer, request, n):
        return (change(answer, request) or [answer]) if n == which else [answer]
    return bend


def set_to(**values):
    def change(answer, _):
        for name, value in values.items():
            setattr(answer, name, value)
    return change


def test_right():
    with Peer(dwr=True) as peer:
        status, result, err = load(peer, '--requests', '500', '--updates', '3', '--connections', '3')
    tap.ok(status == 0 and result['wrong'] == 0 and not faults(result), 'right answers: exit 0', f'{status} {result} {err}')
    tap.equal(peer.faults, [], 'numbers rise by one, usage stays within the grant, input + output = total')
    types = [sum(r.type == t for r in peer.requests) for t in (1, 2, 3)]
    tap.ok(types[0] == types[2] and 0 < types[1] <= 3 * types[0], 'every session that was opened was closed', types)
    tap.equal(result['all_answered'], len(peer.requests), 'answers counted = requests seen')
    tap.equal(sorted(peer.hosts), [b'load0.gyro.test', b'load1.gyro.test', b'load2.gyro.test'], 'a name for each connection')
    tap.equal((peer.dwas, peer.dprs), (3, 3), 'watchdogs answered, left with DPR')
    tap.ok(600 < len(peer.requests[-1].raw) < 800, 'requests are as large as real ones', len(peer.requests[-1].raw))


def test_faults():
    cases = [
        ('End-to-End id', set_to(end=b'\1\2\3\4'), 'wrong header'),
        ('P bit', set_to(flags=0), 'wrong header'),
        ('E bit', set_to(flags=0x60), 'wrong header'),
        ('T bit', set_to(flags=0x50), 'wrong header'),
        ('Session-Id', set_to(session=b'load.gyro.test;0;0;0'), 'other session'),
        ('CC-Request-Number', set_to(number=77), 'other request'),
        ('CC-Request-Type', set_to(type=4), 'other request'),
        ('Rating-Group', set_to(group=11), 'other service'),
        ('no Granted-Service-Unit', set_to(granted=None), 'nothing granted'),
        ('Granted-Service-Unit of nothing', set_to(granted=0), 'nothing granted'),
        ('an AVP longer than the message', set_to(tail=b'\0\0\1\0\x40\0\1\0'), 'malformed'),
        ('an answer twice', lambda answer, _: [answer, answer], 'not asked for'),
    ]
    for name, change, fault in cases:
        # The first answers belong to CCR-Is: all kinds of requests for a grant.
        with Peer(nth(20, change)) as peer:
            status, result, err = load(peer, '--requests', '100', '--timeout', '200')
        tap.ok(status == 1 and faults(result) == {fault: 1}, f'noticed: {name}', f'{status} {faults(result)} {err}')


def test_codes():
    with Peer(nth(20, set_to(result=5012))) as peer:
        status, result, _ = load(peer, '--requests', '100')
    tap.ok(status == 1 and result['refused'] == 1 and result['command_results']['5012'] == 1, 'a refused command', result)
    with Peer(nth(20, set_to(service_result=4012, granted=None))) as peer:
        status, result, _ = load(peer, '--requests', '100')
    tap.ok(status == 1 and result['refused'] == 1 and result['service_results']['4012'] == 1, 'a refused service', result)
    with Peer(nth(20, set_to(result=3004, flags=0x60))) as peer:
        status, result, _ = load(peer, '--requests', '100', '--allow', '3004,5012')
    tap.ok(status == 0 and result['command_results']['3004'] == 1, 'a code that is allowed is no failure', result)


def test_silence():
    with Peer(nth(30, lambda *_: [b''])) as peer:
        status, result, _ = load(peer, '--requests', '200', '--timeout', '300')
    unanswered = peer.requests[30]
    again = [r for r in peer.requests if r.end == unanswered.end]
    tap.ok(status == 0 and result['resent'] == 1, 'no answer: sent again', f'{status} {result}')
    tap.equal([r.marked for r in again], [False, True], 'the second time with the T bit')
    tap.equal(peer.faults, [], 'otherwise unchanged, with a new Hop-by-Hop id')
    silent = set()

    def never(answer, request, n):
        if n == 30:
            silent.add(request.end)
        return [] if request.end in silent else [answer]
    with Peer(never) as peer:
        status, result, _ = load(peer, '--requests', '200', '--timeout', '200')
    tap.ok(status == 1 and faults(result) == {'never answered': 1}, 'never an answer: given up, exit 1', faults(result))
    tap.equal(len([r for r in peer.requests if r.end in silent]), 4, 'after three resends')


def test_reset():
    with Peer(reset=lambda n: n == 100) as peer:
        status, result, err = load(peer, '--requests', '300')
    tap.ok(status == 0 and result['reconnects'] == 1 and result['resent'] > 0, 'connection reset: back again, nothing lost', f'{status} {result} {err}')
    tap.ok(any(r.marked for r in peer.requests) and not peer.faults, 'what was in flight came with the T bit', peer.faults)


def test_duplicates():
    with Peer() as peer:
        status, result, _ = load(peer, '--requests', '400', '--duplicates', '30')
    seen = {}
    for request in peer.requests:
        seen.setdefault(request.end, []).append(request.marked)
    doubled = [marks for marks in seen.values() if len(marks) == 2]
    tap.ok(status == 0 and 60 < result['copies'] == result['copies_equal'], 'copies answered alike: exit 0', f'{status} {result}')
    tap.ok(all(not m[0] for m in doubled) and {m[1] for m in doubled} == {False, True}, 'copies with and without T, originals without')
    tap.equal(peer.faults, [], 'copies are equal but for the Hop-by-Hop id')
    tap.equal(len({r.hop for r in peer.requests}), len(peer.requests), 'no Hop-by-Hop id is used again')
    ends = set()

    def other_grant(answer, request, _):
        if request.end in ends and answer.granted:
            answer.granted += 1
        ends.add(request.end)
        return [answer]
    with Peer(other_grant) as peer:
        status, result, _ = load(peer, '--requests', '400', '--duplicates', '30')
    tap.ok(status == 1 and result['faults']['unlike its copy'] > 50 and list(faults(result)) == ['unlike its copy'],
           'copies answered differently: exit 1', faults(result))


def test_refused_copies():
    # Every third request is refused the first time it comes: its copy is decided anew, and that is no contradiction.
    seen, granted = set(), set()

    def refuse_first(answer, request, _):
        first = request.end not in seen
        seen.add(request.end)
        if first and request.end[3] % 3 == 0:
            answer.result = 5012
        else:
            granted.add(request.end)
        return [answer]
    with Peer(refuse_first) as peer:
        status, result, _ = load(peer, '--requests', '400', '--duplicates', '50', '--allow', '5012', '--mode', 'update')
    tap.ok(status == 0 and 0 < result['copies_equal'] < result['copies'], 'a refused original and a granted copy: no fault',
           f'{status} {result}')
    tap.equal(result['all_succeeded'], len(granted), 'what either copy was granted counts once')


def test_open_loop():
    # For half a second nothing is read: some hundred requests should have left meanwhile, and count as late.
    with Peer(stall=(100, 0.5)) as peer:
        status, result, _ = load(peer, '--rate', '200', '--seconds', '2')
    late = result['latency_us']
    tap.ok(status == 0 and 390 <= result['answered'] <= 410, 'open loop: 200 a second for 2 s', result['answered'])
    tap.ok(late['p90'] > 100000 and late['max'] > 400000, 'a stall counts against every request it delayed', late)
    # Every session waits: what is due waits too, and the rest is admitted to.
    with Peer(stall=(100, 5)) as peer:
        status, result, _ = load(peer, '--rate', '200', '--seconds', '2', '--timeout', '9000')
    tap.ok(status == 0 and 200 < result['starved'] < 280, 'what could not be sent is counted', result['starved'])
    with Peer() as peer:
        status, result, _ = load(peer, '--rate', '500', '--seconds', '2', '--poisson', '--seed', '1', '--tick', '200')
    tap.ok(status == 0 and 850 <= result['answered'] <= 1150, 'random gaps give the same rate', result['answered'])


def test_in_turn():
    with Peer() as peer:
        status, result, _ = load(peer, '--mode', 'update', '--in-turn', '--requests', '40', '--leave-open')
    counts = {}
    for request in peer.requests:
        counts[request.session] = counts.get(request.session, 0) + 1
    tap.ok(status == 0 and set(counts.values()) == {2} and len(counts) == 40, 'in turn: each session opened, and used once', counts)


def test_refusals():
    with Peer(cea=3010) as peer:
        status, _, err = load(peer)
    tap.ok(status == 2 and '3010' in err, 'CEA 3010: exit 2, and says so', f'{status} {err}')
    for name, options in (('two connections with one name', ['--connections', '2', '--origin-host', 'me.gyro.test']),
                          ('fewer sessions than requests in flight', ['--sessions', '7']),
                          ('preloaded sessions in mode full', ['--preloaded']), ('an unknown option', ['--nonsense']),
                          ('a number that is none', ['--rate', 'fast']), ('a mode that is none', ['--mode', 'some'])):
        with Peer() as peer:
            status, _, err = load(peer, *options)
        tap.ok(status == 2 and err.startswith(('load: ', SIM)), f'refused: {name}', f'{status} {err}')


for test in (test_right, test_faults, test_codes, test_silence, test_reset, test_duplicates, test_refused_copies, test_open_loop,
             test_in_turn, test_refusals):
    test()
tap.done()
