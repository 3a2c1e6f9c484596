"""P6: the network is cut, in one direction or both: between a node and the database, between a node and the gateway,
between the primary and its standby; and at last the primary is cut off from all, and the standby promoted. Nothing that
was answered is lost, nothing is paid twice, and what can be served is served."""
import os
import time

from network import Network
from postgres import Postgres
from proof import audited, figures, story, totals
from stack import SETTINGS, Gateway, Stack
from trial_failover import Pair

DEADLINE_MS, AGE_MS = 2000, 500
MARGIN_S = 0.7
BACK_S = 15
NODE, OTHER, PRIMARY, STANDBY, GATEWAY = 'gyro1', 'gyro2', 'db1', 'db2', 'pgw'
HOSTS = (NODE, OTHER, PRIMARY, STANDBY, GATEWAY)


class Server(Postgres):
    """Reached over the network by nodes and the other server, and over its socket by the trial."""

    def __init__(self, net, name):
        super().__init__(settings=SETTINGS, inside=net.inside(name))
        self.address = net.address(name)

    def _initdb(self):
        super()._initdb()
        with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='utf-8') as file:
            file.write("listen_addresses = '*'\n")
        with open(os.path.join(self.data, 'pg_hba.conf'), 'a', encoding='utf-8') as file:
            file.write('host all,replication all samenet trust\n')

    def follow(self, primary):
        super().follow(primary)
        with open(os.path.join(self.data, 'postgresql.auto.conf'), 'a', encoding='utf-8') as file:
            file.write(f"primary_conninfo = 'host={primary.address} port={primary.port} user=gyro'\n")


class Cut:
    """One trouble: its name, what is cut, who may still be served meanwhile, and whether answers may be held up."""

    def __init__(self, name, *ways, serves=True, delays=False):
        self.name, self.ways, self.serves, self.delays = name, ways, serves, delays
        self.begin = self.end = 0.0

    def last(self, net, seconds):
        self.begin = time.time()
        for way in self.ways:
            net.cut(*way)
        time.sleep(seconds)
        net.heal()
        self.end = time.time()


def both(one, other):
    return (one, other), (other, one)


def cuts(rng, short):
    """All of them; in short one of each kind."""
    kinds = [
        [Cut('node and database', *both(NODE, PRIMARY)),
         Cut('node to database', (NODE, PRIMARY)),
         Cut('database to node', (PRIMARY, NODE))],
        [Cut('node and gateway', *both(NODE, GATEWAY), delays=True),
         Cut('node to gateway', (NODE, GATEWAY), delays=True),
         Cut('gateway to node', (GATEWAY, NODE), delays=True)],
        [Cut('primary and standby', *both(PRIMARY, STANDBY), serves=False),
         Cut('primary to standby', (PRIMARY, STANDBY), serves=False),
         Cut('standby to primary', (STANDBY, PRIMARY), serves=False)],
    ]
    return [cut for kind in kinds for cut in ([rng.choice(kind)] if short else rng.sample(kind, len(kind)))]


def judge(tap, name, sent, cut):
    part = [s for s in sent if cut.begin + 0.3 < s.at < cut.end]
    answered = [s for s in part if s.answered_at and s.answered_at < cut.end]
    codes = {code: sum(s.code == code for s in answered) for code in sorted({s.code for s in answered})}
    good = codes.get(2001, 0)
    back = min((s.answered_at for s in sent if s.code == 2001 and s.node == NODE and s.at > cut.end), default=cut.end + 999)
    late = [s.latency for s in part if s.latency is not None and s.latency > DEADLINE_MS / 1000 + MARGIN_S]
    figures(f'{name}, {cut.name}', seconds=round(cut.end - cut.begin, 1), sent=len(part), codes=codes,
            healed_to_first_success=f'{back - cut.end:.2f} s')
    tap.ok(set(codes) <= {2001, 3004, 5012}, f'{name}: {cut.name}: served, or refused', codes)
    if cut.serves:
        tap.ok(good > 0, f'{name}: {cut.name}: the other way round requests are served', codes)
    else:
        tap.ok(good == 0, f'{name}: {cut.name}: no success without the standby', codes)
    tap.ok(cut.delays or not late, f'{name}: {cut.name}: no answer after the deadline', late[:10])
    tap.ok(back - cut.end < BACK_S, f'{name}: {cut.name}: healed, the node serves again', f'{back - cut.end:.1f} s')


def lonely_primary(net, stack, seconds):
    """It runs on, believes itself the primary, and nobody hears it. (begin, promoted, end)."""
    pair = stack.pg
    begin = time.time()
    for name in (NODE, OTHER, STANDBY):
        net.part(name, PRIMARY)
    time.sleep(0.5)
    pair.fail_over()
    promoted = time.time()
    time.sleep(seconds)
    # Before it may speak again, whoever promoted has to end it.
    pair.standby.stop('immediate')
    net.heal()
    return begin, promoted, time.time()


def run(tap, build, rng, rounds, keep, short):
    name = 'P6 a network that is cut'
    if os.getuid() != 0:
        tap.skip(name, 'only root can make networks')
        return
    net = Network(*HOSTS)
    try:
        net.__enter__()
    except OSError as e:
        tap.skip(name, str(e))
        return
    with net:
        pair = Pair(Server(net, PRIMARY), Server(net, STANDBY))
        conninfo = (f'host={net.address(PRIMARY)},{net.address(STANDBY)} port=5432 user=gyro dbname=gyro '
                    'target_session_attrs=read-write')
        with Stack(build, keep=keep, pg=pair, node_settings={'deadline_ms': DEADLINE_MS, 'queue_age_ms': AGE_MS},
                   places={n: (net.inside(n), net.address(n)) for n in (NODE, OTHER)}, nodes_conninfo=conninfo) as stack:
            log = str(stack.home / 'client.log')
            gateway = Gateway(net.inside(GATEWAY), nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600,
                              sessions=24, pause_ms=40, copies_percent=10, parallel_percent=25, timeout_s=0.7, give_up_s=120)
            pair.accompany()
            time.sleep(1)
            made = []
            for _ in range(1 if short else max(1, rounds // 20)):
                for cut in cuts(rng, short):
                    cut.last(net, 1.8 if short else rng.uniform(1, 6))
                    made.append(cut)
                    time.sleep(1.5 if short else 4)
            begin, promoted, end = lonely_primary(net, stack, 3)
            time.sleep(1)
            tap.ok(gateway.running(), f'{name}: the client runs through all of it')
            totals(tap, gateway.finish(), name, 100)
            sent = story([log])
            for cut in made:
                judge(tap, name, sent, cut)
            good = [s for s in sent if s.code == 2001 and promoted < s.answered_at < end]
            figures(f'{name}, a primary cut off from all', served_by_the_standby=len(good), promoted_to_first_success=
                    f'{min((s.answered_at for s in good), default=promoted + 999) - promoted:.2f} s')
            tap.ok(good, f'{name}: a primary cut off from all: the promoted standby serves')
            audited(tap, stack, [log], name)
