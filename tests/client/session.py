#!/usr/bin/python3
"""gyro-sim session, request and raw against real nodes: what people type, and what they see.

session.py BUILD_DIR. Two nodes at one database with the fixture of the cases."""
import json
import pathlib
import subprocess
import sys
import time

from node_pair import NodePair, ROOT
from tap import Tap

S1, S2, S3 = "460001000000001", "460001000000002", "460001000000003"


class Simulator:
    def __init__(self, build_dir, nodes):
        self.program, self.nodes = build_dir / "bin/gyro-sim", nodes

    def words(self, command, *words, node=0):
        connect = ["--connect", f"127.0.0.1:{self.nodes.ports[node]}"] if "--connect" not in words else []
        return [str(self.program), command, *connect, *words]

    def __call__(self, command, *words, given=None, node=0):
        return subprocess.run(self.words(command, *words, node=node), capture_output=True, text=True, timeout=90,
                              input=given)


def money(nodes, account):
    balance, reserved = nodes.postgres.query(
        f"SELECT balance, reserved FROM gyro.account WHERE account_id = {account}")[0]
    return int(balance), int(reserved)


def sessions(tap, sim, nodes):
    run = sim("session", "--imsi", S1, "--rating-group", "10", "--use", "30M")
    tap.ok(run.returncode == 0 and "used 30 MiB, reported 30 MiB" in run.stdout, "30 MiB in one session",
           run.stdout + run.stderr)
    tap.equal(run.stdout.count("threshold"), 3, "reported at each threshold")
    tap.equal(money(nodes, 1), (97000000, 0), "and paid: 3.00")

    run = sim("session", "--imsi", S1, "--rating-group", "10,11", "--use", "10M", "--updates", "4", "--json")
    told = json.loads(run.stdout)
    kinds = [entry["request"] for entry in told["requests"]]
    tap.equal(kinds, ["initial"] + ["update"] * 4 + ["termination"], "--updates 4: six requests")
    tap.ok(all(entry["answer"]["code"] == 2001 and entry["answer"]["latency_us"] > 0 for entry in told["requests"]),
           "each with its answer in --json", run.stdout)
    tap.equal(money(nodes, 1), (95000000, 0), "two Rating-Groups: 2.00")

    run = sim("session", "--e164", "+8613800000001", "--rating-group", "80", "--use", "600s")
    tap.ok(run.returncode == 0 and "600 s" in run.stdout, "seconds", run.stdout + run.stderr)
    tap.equal(money(nodes, 1), (89000000, 0), "ten minutes: 6.00")

    run = sim("session", "--user-name", "subscriber-1", "--rating-group", "90", "--use", "3u", "--service-identifier",
              "7")
    tap.ok(run.returncode == 0 and "90/7" in run.stdout, "service-specific units, with Service-Identifier",
           run.stdout + run.stderr)
    tap.equal(money(nodes, 1), (86000000, 0), "three messages: 3.00")


def limits(tap, sim, nodes):
    run = sim("session", "--imsi", S2, "--rating-group", "60", "--use", "5M")
    tap.ok("redirected to http://topup.spec.test/" in run.stdout and "2 MiB more were wanted" in run.stdout,
           "final units: used to the end, then redirected", run.stdout + run.stderr)
    tap.equal(money(nodes, 2), (0, 0), "nothing is left, nothing held")
    run = sim("session", "--imsi", S3, "--rating-group", "10", "--use", "5M")
    tap.ok(run.returncode == 1 and "4012 DIAMETER_CREDIT_LIMIT_REACHED" in run.stdout, "no credit: status 1, 4012",
           run.stdout + run.stderr)
    run = sim("session", "--imsi", "999990000000000", "--rating-group", "10")
    tap.ok(run.returncode == 1 and "5030 DIAMETER_USER_UNKNOWN" in run.stdout, "unknown: status 1, 5030",
           run.stdout + run.stderr)


def requests(tap, sim, nodes):
    name = f"pgw1.spec.test;1;{time.time_ns() % 1000000000}"
    run = sim("session", "--imsi", S1, "--rating-group", "10", "--use", "1M", "--keep-open", "--session-id", name)
    tap.equal(money(nodes, 1)[1], 1000000, "--keep-open leaves the session, and what it holds")
    run = sim("request", "--imsi", S1, "--session-id", name, "U1 {10:USU=2MiB RSU} -> 2001 {10: 2001 GSU=10MiB}",
              "U1 repeat T -> 2001 same", "T2 {10:USU=1MiB reason=FINAL} -> 2001 {10: 2001 -GSU}")
    tap.ok(run.returncode == 0, "requests in the words of .case files, as expected", run.stdout + run.stderr)
    tap.equal(money(nodes, 1), (85700000, 0), "the copy was not charged")
    run = sim("request", "--imsi", S1, "--session-id", name, "U3 {10:USU=1MiB RSU} -> 2001")
    tap.ok(run.returncode == 1 and "not as expected" in run.stdout, "a difference: status 1", run.stdout)
    run = sim("request", "--imsi", S1, "--dump", "I0 ctx=none {10:RSU}")
    tap.ok(run.returncode == 1 and "Failed-AVP (279)" in run.stdout and "Service-Context-Id (461)" in run.stdout,
           "--dump shows every AVP", run.stdout)


def raw(tap, sim):
    answered = sim("raw", "-", given="01000014 c0000110 00000004 00000001 00000001 # a CCR without any AVP\n")
    tap.ok(answered.returncode == 0 and "Result-Code (268)" in answered.stdout, "raw octets and their answer",
           answered.stdout + answered.stderr)
    # REOPEN: after a reset the stack answers only when its watchdogs were answered.
    dropped = sim("raw", "--reset", "-", given="01000014 c0000110 00000004 00000001 00000001")
    after = sim("request", "--imsi", S1, "I0 -> 2001", "T1 -> 2001")
    tap.ok(dropped.returncode == 0 and after.returncode == 0, "answers come again after a reset", after.stderr)


def several_nodes(tap, sim, nodes, build_dir):
    log = nodes.home / "session.log"
    before = money(nodes, 1)[0]
    run = sim("session", *nodes.connects, "--failover", "--imsi", S1, "--rating-group", "10", "--use", "40M",
              "--duplicates", "100%", "--log", str(log), "--seed", "1")
    tap.ok(run.returncode == 0 and " 0 answered otherwise" in run.stdout, "every request several times, at two nodes",
           run.stdout + run.stderr)
    tap.equal(before - money(nodes, 1)[0], 4000000, "paid once")
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    tap.ok(any(entry["event"] == "sent" and entry["copy"] for entry in lines), "the log tells of the copies")
    tap.equal(len({e["request"] for e in lines if e["event"] == "sent"}),
              len([e for e in lines if e["event"] == "outcome"]), "and of one outcome for each request")

    words = sim.words("session", *nodes.connects, "--failover", "--imsi", S1, "--rating-group", "10", "--use", "20M",
                      "--step", "1M", "--interval", "150ms", "--json")
    before = money(nodes, 1)[0]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as session:
        try:
            time.sleep(1)
            nodes.kill(0)
            time.sleep(0.7)
            nodes.start(0)
            nodes.kill(1)
            said = session.communicate(timeout=60)[0]
        finally:
            session.kill()
    nodes.start(1)
    tap.equal(session.returncode, 0, "a session outlives the nodes it began at")
    tap.ok(len(json.loads(said)["requests"]) == 21, "with every report", said)
    tap.equal(before - money(nodes, 1)[0], 2000000, "paid once")


def asked_by_the_node(tap, sim, nodes):
    """RAR and ASR: a top-up reaches a subscriber at the portal, a bar ends the session."""
    nodes.postgres.query("SELECT gyro.topup(2, 300000, 'before')")
    with subprocess.Popen(sim.words("session", "--imsi", S2, "--rating-group", "60", "--use", "5M", "--hold", "20s"),
                          stdout=subprocess.PIPE, text=True) as session:
        try:
            time.sleep(1)
            nodes.postgres.query("SELECT gyro.topup(2, 1000000, 'portal')")
            time.sleep(2)
            nodes.postgres.query("UPDATE gyro.subscriber SET state = 2 WHERE subscriber_id = 2")
            said = session.communicate(timeout=40)[0]
        finally:
            session.kill()
    nodes.postgres.query("UPDATE gyro.subscriber SET state = 1 WHERE subscriber_id = 2")
    tap.ok("the node sent RAR" in said and "used 5 MiB, reported 5 MiB" in said,
           "a top-up while at the portal: RAR, an update, the rest flows", said)
    tap.ok(session.returncode == 0 and said.find("the node sent ASR") > said.find("RAR"), "a bar: ASR, termination", said)
    tap.equal(money(nodes, 2), (800000, 0), "paid: 0.50")


def main():
    build_dir, tap = pathlib.Path(sys.argv[1]).absolute(), Tap()
    with NodePair(build_dir, ROOT / "tests/cases/fixture.yaml") as nodes:
        sim = Simulator(build_dir, nodes)
        sessions(tap, sim, nodes)
        limits(tap, sim, nodes)
        requests(tap, sim, nodes)
        raw(tap, sim)
        asked_by_the_node(tap, sim, nodes)
        several_nodes(tap, sim, nodes, build_dir)
        tap.equal(nodes.audit(), [], "gyro.audit() finds nothing")
    tap.done()


if __name__ == "__main__":
    main()
