"""P4: the primary dies, its synchronous standby is promoted, and nothing that was answered is lost.

Who notices the death, promotes, and keeps the old primary away is a tool's work (Patroni, pg_auto_failover); this trial
does what such a tool does, in its order, and looks at the nodes: by a conninfo of both servers and target_session_attrs
they find the new primary by themselves, also when the old one is not dead but silent."""
import os
import signal
import time

from postgres import Postgres
from proof import audited, figures, spread, story, totals
from stack import SETTINGS, Gateway, Stack

SILENT = 'silent'
# The first meets the server that the conninfo names first: the silent one is in the way of every attempt to connect.
DEATHS = (SILENT, 'kill -9', 'planned', 'immediate')
SERVED_S = 15


class Pair:
    """Two servers, of which one is the primary; for Stack one Postgres whose conninfo names both."""

    def __init__(self, primary=None, standby=None):
        self.primary = primary or Postgres(settings=SETTINGS)
        self.standby = standby or Postgres(settings=SETTINGS)
        self.servers = (self.primary, self.standby)

    def __getattr__(self, name):
        return getattr(self.primary, name)

    def conninfo(self, *_):
        return (f'host={",".join(s.home for s in self.servers)} port={",".join(str(s.port) for s in self.servers)} '
                'user=gyro dbname=gyro target_session_attrs=read-write')

    def start(self):
        self.primary.start()

    def close(self):
        for server in self.servers:
            self.let_go(server)
            server.close()

    def accompany(self):
        """A new standby for the primary, and no commit without it from here on."""
        self.standby.follow(self.primary)
        self.standby.start()
        self.primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.query('SELECT pg_reload_conf()')
        end = time.monotonic() + 30
        while self.primary.query('SELECT sync_state FROM pg_stat_replication') != [['sync']]:
            if time.monotonic() > end:
                raise RuntimeError(f'the standby does not follow:\n{self.standby.tail()}')
            time.sleep(0.05)
        time.sleep(0.3) # backends take it over between two commands

    @staticmethod
    def let_go(server):
        """What stands still dies."""
        for pid in server.pids():
            if open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] == 'T':
                os.kill(pid, signal.SIGKILL)

    def die(self, how):
        if how == SILENT:
            for pid in self.primary.pids():
                os.kill(pid, signal.SIGSTOP)
        elif how == 'kill -9':
            self.primary.kill()
        else:
            self.primary.stop('fast' if how == 'planned' else how)

    def fail_over(self):
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def bury(self):
        """The old primary, silent until now, never speaks again."""
        pids = self.standby.pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if pids:
            self.standby._reap(pids)


def writes(server):
    return int(server.value('SELECT count(*) FROM gyro.record'))


def served_again(pair, seconds):
    """Whether requests are recorded by the new primary within that time."""
    before, end = writes(pair.primary), time.monotonic() + seconds
    while time.monotonic() < end:
        if writes(pair.primary) > before:
            return True
        time.sleep(0.05)
    return False


def failovers(tap, stack, rng, rounds, name):
    """(how, died, promoted) of each."""
    pair, out = stack.pg, []
    for n in range(rounds):
        how = DEATHS[n % len(DEATHS)]
        pair.accompany()
        time.sleep(rng.uniform(0.5, 1.5))
        died = time.time()
        pair.die(how)
        time.sleep(rng.uniform(0.1, 0.6)) # until somebody has noticed
        pair.fail_over()
        out.append((how, died, time.time()))
        tap.ok(served_again(pair, SERVED_S), f'{name}: {how}: the nodes find the new primary by themselves',
               '\n'.join(node.tail(5) for node in stack.nodes))
        time.sleep(0.5)
        pair.bury()
    return out


def run(tap, build, rng, rounds, keep, short):
    name = 'P4 failover to a synchronous standby'
    with Stack(build, keep=keep, pg=Pair(), node_settings={'deadline_ms': 2000, 'queue_age_ms': 500}) as stack:
        log = str(stack.home / 'client.log')
        gateway = Gateway(nodes=stack.ports(), log=log, seed=rng.getrandbits(32), seconds=3600, sessions=24, pause_ms=40,
                          copies_percent=10, parallel_percent=25, timeout_s=2.5, give_up_s=120)
        events = failovers(tap, stack, rng, 3 if short else max(len(DEATHS), rounds // 10), name)
        time.sleep(1)
        tap.ok(gateway.running(), f'{name}: the client runs through all of it')
        totals(tap, gateway.finish(), name, 100)
        sent = story([log])
        good = sorted(s.answered_at for s in sent if s.code == 2001)
        gaps = [s for _, died, up in events for s in sent if died < s.at and s.answered_at and s.answered_at < up]
        # Decided and durable by then, or not: but what the primary said before its death must be there.
        back = {how: [] for how in DEATHS}
        for how, _, up in events:
            back[how].append(next((t for t in good if t > up), up + 999) - up)
        figures(name, failovers=len(events), answers_between=len(gaps), codes_there=sorted({s.code for s in gaps}),
                **{f'promoted_to_first_success_{how}': spread(times) for how, times in back.items() if times})
        tap.ok({s.code for s in gaps} <= {2001, 3004, 5012}, f'{name}: in between nothing but 3004 and 5012', len(gaps))
        audited(tap, stack, [log], name)
