#!/usr/bin/python3
"""gyro-sim load against two nodes, of which one dies, or falls silent, in the middle: every session finishes.

load.py BUILD_DIR. Two nodes at one database, half of the gateways prefer each. One node is killed (-9) and comes back,
then one is stopped for longer than an answer is waited for. The request log says what was sent where; the independent
auditor (tests/audit) joins it with the database."""
import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from node_pair import NodePair, ROOT
from tap import Tap

# In front: peer is the bench's, not the program beside this one.
sys.path[:0] = [str(ROOT / "tests/audit"), str(ROOT / "tests/bench")]
import audit  # noqa: E402
import claims  # noqa: E402
from peer import Peer  # noqa: E402

GATEWAYS, SESSIONS = 4, 200


def people(nodes):
    """Those of whom load speaks: it has IMSIs of its own."""
    nodes.postgres.query(f"""
        SELECT gyro.account_open(n, 156::smallint, 1000000000) FROM generate_series(1001, 1000 + {SESSIONS}) n;
        INSERT INTO gyro.subscriber (subscriber_id, account_id, group_id, tariff_id)
        SELECT n, n, n, (SELECT min(tariff_id) FROM gyro.specific_tariff) FROM generate_series(1001, 1000 + {SESSIONS}) n;
        INSERT INTO gyro.subscriber_identity (kind, value, subscriber_id)
        SELECT 1, '99970' || lpad((n - 1000)::text, 10, '0'), n FROM generate_series(1001, 1000 + {SESSIONS}) n""")


class Load:
    """A load that runs, and its log."""

    def __init__(self, build_dir, nodes, name, seconds, *more):
        self.log = nodes.home / f"{name}.log"
        words = [build_dir / "bin/gyro-sim", "load", *nodes.connects, "--failover", "--origin-host", "pgw#.spec.test",
                 "--realm", "spec.test", "--connections", GATEWAYS, "--sessions", SESSIONS, "--window", 8, "--mode", "full",
                 "--updates", 3, "--seconds", seconds, "--warmup", 0, "--duplicates", 10, "--json", "--log", self.log, *more]
        self.process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        """(exit status, result, what to show when it is not right)"""
        try:
            out, err = self.process.communicate(timeout=120)
        finally:
            self.process.kill()
        return self.process.returncode, json.loads(out or "{}"), f"{self.process.returncode}\n{out}{err}"

    def lines(self):
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


def under_way(load):
    """Some hundred requests are answered."""
    end = time.monotonic() + 30
    while time.monotonic() < end and (not load.log.exists() or load.log.stat().st_size < 1 << 20):
        time.sleep(0.05)


def sendings(lines):
    """Of each request that was resent: the lines about its sendings, copies on purpose left out."""
    sent = collections.defaultdict(list)
    for line in lines:
        if line["event"] == "sent" and not line["copy"]:
            sent[line["request"]].append(line)
    return [asked for asked in sent.values() if len(asked) > 1]


def form(tap, name, lines, away):
    """What the log says of one run, in which this node was away for a while."""
    first = {line["request"] for line in lines if line["event"] == "sent"}
    outcomes = collections.Counter(line["request"] for line in lines if line["event"] == "outcome")
    tap.ok(first == set(outcomes) and set(outcomes.values()) == {1}, f"{name}: each of {len(first)} requests has one outcome")
    tap.equal([line for line in lines if line["event"] == "outcome" and line["outcome"] != "ok"], [], f"{name}: a success")
    tap.equal((lines[0]["event"], lines[0]["command"], lines[-1]["event"]), ("start", "load", "end"), f"{name}: from start to end")
    again = sendings(lines)
    tap.ok(again and all([line["retransmitted"] for line in asked] == [False] + [True] * (len(asked) - 1)
                         and len({line["end_to_end"] for line in asked}) == 1
                         and len({line["hop_by_hop"] for line in asked}) == len(asked) for asked in again),
           f"{name}: {len(again)} were resent, with T, the same End-to-End and another Hop-by-Hop Identifier")
    turns = [(one["node"], two["node"]) for asked in again for one, two in zip(asked, asked[1:])]
    tap.ok(any(one == away for one, _ in turns) and not any(one == two == away for one, two in turns),
           f"{name}: what the node does not answer goes to the other", turns)


def finished(tap, nodes, name, lines):
    opened = {line["session_id"] for line in lines if line["event"] == "outcome" and line["type"] == 1}
    ended = {line["session_id"] for line in lines if line["event"] == "outcome" and line["type"] == 3}
    tap.ok(opened == ended and len(opened) > SESSIONS, f"{name}: all of {len(opened)} sessions are finished")
    tap.equal(nodes.postgres.query("SELECT sum(reserved) FROM gyro.account"), [["0"]], f"{name}: and nothing is held any more")


def moves(lines):
    """True for each sending, of a request or of its copy, to another node than the one before."""
    last = {}
    for line in lines:
        if line["event"] == "sent":
            key = line["request"], line["copy"]
            yield last.get(key, line["node"]) != line["node"]
            last[key] = line["node"]


def killed(tap, build_dir, nodes):
    load = Load(build_dir, nodes, "killed", 10)
    under_way(load)
    nodes.kill(0)
    time.sleep(0.5)
    nodes.start(0)
    status, told, said = load.end()
    tap.ok(status == 0 and told["wrong"] == 0, "killed: every answer is right", said)
    tap.ok(told["failovers"] == told["returns"] >= GATEWAYS // 2, "killed: half of the gateways go over, and come back", said)
    lines = load.lines()
    form(tap, "killed", lines, nodes.connects[1])
    tap.equal(told["moved"], sum(moves(lines)), "killed: as many are resent to the other node as the report says")
    finished(tap, nodes, "killed", lines)
    return load.log


def silent(tap, build_dir, nodes):
    load = Load(build_dir, nodes, "silent", 8, "--timeout", 1000)
    under_way(load)
    pid = nodes.pid(1)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)  # what was in flight has moved
    before = load.log.stat().st_size
    time.sleep(0.5)
    went_on = load.log.stat().st_size - before
    os.kill(pid, signal.SIGCONT)
    status, told, said = load.end()
    tap.ok(status == 0 and told["wrong"] == 0, "silent: every answer is right", said)
    tap.ok(told["failovers"] >= GATEWAYS // 2 and told["returns"] >= GATEWAYS // 2 and told["reconnects"] == 0,
           "silent: gateways go over, and back when the node speaks again", said)
    tap.ok(went_on > 1 << 16, "silent: meanwhile the other node serves them", went_on)
    form(tap, "silent", load.lines(), nodes.connects[3])
    finished(tap, nodes, "silent", load.lines())
    return load.log


def logged_first(tap, build_dir):
    """No request is seen by a node before its line is in the log: also when the client dies."""
    with tempfile.TemporaryDirectory(prefix="gyro-load-") as folder:
        log, early = pathlib.Path(folder) / "requests.log", []

        def look(answer, request, _):
            if f'"end_to_end":{int.from_bytes(request.end, "big")},' not in log.read_text(encoding="utf-8"):
                early.append(request.end)
            return [answer] if len(one.requests) + len(two.requests) <= 200 else []

        with Peer(look) as one, Peer(look) as two:
            load = subprocess.Popen([build_dir / "bin/gyro-sim", "load", "--connect", f"127.0.0.1:{one.port}", "--connect",
                                     f"127.0.0.1:{two.port}", "--failover", "--mode", "full", "--connections", "2", "--sessions",
                                     "40", "--window", "4", "--log", log], stdout=subprocess.DEVNULL)
            end = time.monotonic() + 30
            while len(one.requests) + len(two.requests) < 200 and time.monotonic() < end:
                time.sleep(0.02)
            load.kill()
            load.wait()
        seen = {int.from_bytes(r.end, "big") for peer in (one, two) for r in peer.requests}
        sent = set().union(*(asked.end_to_end for asked in claims.read([log]).values()))
        tap.ok(len(seen) >= 200 and not early, "a request is in the log before it is on the wire", (len(seen), early))
        tap.ok(seen <= sent, "after the client was killed, too, the log holds all that a node has seen", seen - sent)


def absent(tap, build_dir):
    """A node that is not there at the start is waited for, then the other serves all."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nobody = unused.getsockname()[1]
    with Peer() as peer:
        run = subprocess.run([build_dir / "bin/gyro-sim", "load", "--connect", f"127.0.0.1:{nobody}", "--connect",
                              f"127.0.0.1:{peer.port}", "--failover", "--sessions", "20", "--requests", "50", "--json"],
                             capture_output=True, text=True, timeout=60)
        told = json.loads(run.stdout or "{}")
        tap.ok(run.returncode == 0 and told["answered"] >= 50 and (told["failovers"], told["returns"]) == (1, 0),
               "a node that never comes: the other one serves all", run.stdout + run.stderr)


def main():
    tap, build_dir = Tap(), pathlib.Path(sys.argv[1]).absolute()
    logged_first(tap, build_dir)
    absent(tap, build_dir)
    with NodePair(build_dir, ROOT / "tests/cases/fixture.yaml") as nodes:
        people(nodes)
        logs = [killed(tap, build_dir, nodes), silent(tap, build_dir, nodes)]
        found, checked = audit.audit(nodes.database, [str(log) for log in logs], complete=True, fixed_catalogue=True)
        tap.equal(found.lines, [], "the auditor finds nothing")
        tap.ok(checked["successes"] > 1000 and checked["ended sessions"] > 2 * SESSIONS, f"in {dict(checked)}")
        tap.equal(nodes.audit(), [], "gyro.audit() finds nothing")
    tap.done()


if __name__ == "__main__":
    main()
