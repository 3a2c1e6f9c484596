#!/usr/bin/python3
"""gyro-sim churn while nodes are killed: its log against the database.

churn.py BUILD_DIR [SECONDS [SEED]]. Two nodes at one database, kill -9 of one or the other, copies of requests,
updates in parallel. Afterwards every request has an outcome, every answered one exactly one record with the very
usage that was reported, and gyro.audit() finds nothing."""
import collections
import json
import pathlib
import random
import subprocess
import sys
import time

from node_pair import NodePair, ROOT
from tap import Tap


def read_log(path):
    """(outcomes, usage) by (Session-Id, type, number)."""
    outcomes, usage = {}, {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        key = (entry.get("session_id"), entry.get("type"), entry.get("number"))
        if entry["event"] == "sent":
            usage[key] = collections.Counter()
            for service in entry["services"]:
                for used in service["used"]:
                    usage[key][service["rating_group"]] += used["octets"]
        elif entry["event"] == "outcome":
            outcomes[key] = entry
    return outcomes, usage


def read_records(nodes):
    """Usage by Rating-Group of each request; a second record of a request would multiply it."""
    rows = nodes.postgres.query(
        "SELECT i.session_id, r.request_type, r.request_number, c.rating_group, c.used FROM gyro.record r "
        "LEFT JOIN gyro.charge c USING (session, opened, request_type, request_number) "
        "JOIN gyro.session_index i USING (session) WHERE r.request_type <> 0")
    records = {}
    for session, kind, number, group, used in rows:
        counter = records.setdefault((session, int(kind), int(number)), collections.Counter())
        if group:
            counter[int(group)] += int(used)
    return records


def kill_now_and_then(nodes, process, seconds, rng):
    """How many were killed. The last pause is long enough for everything to be answered again."""
    killed, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(rng.uniform(0.5, 1.5))
        victim = rng.randrange(nodes.count)
        nodes.kill(victim)
        nodes.start(victim)
        killed += 1
    return killed


def main():
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 31)
    print(f"# seed {seed}")
    tap, rng = Tap(), random.Random(seed)
    build_dir = pathlib.Path(sys.argv[1]).absolute()
    with NodePair(build_dir, ROOT / "tests/cases/fixture.yaml") as nodes:
        nodes.postgres.query("SELECT gyro.topup(account_id, 1000000000000, 'churn') FROM gyro.account")
        log = nodes.home / "requests.log"
        command = [build_dir / "bin/gyro-sim", "churn", *nodes.connects, "--subscribers", "1..9", "--sessions", "40",
                   "--seconds", str(seconds + 3), "--rating-group", "10,11,101,102", "--duplicates", "20%",
                   "--seed", str(seed), "--log", log]
        with subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as churn:
            try:
                killed = kill_now_and_then(nodes, churn, seconds, rng)
                said = churn.communicate(timeout=240)[0]
            finally:
                churn.kill()
        tap.ok(churn.returncode == 0, f"every request is answered although nodes were killed {killed} times", said)
        outcomes, usage = read_log(log)
        records = read_records(nodes)
        tap.ok(len(outcomes) > 200 and killed > 1, f"{len(outcomes)} requests were made", said)
        tap.equal(sorted(set(usage) - set(outcomes)), [], "no request is without an outcome")
        good = [key for key, entry in outcomes.items() if entry["outcome"] == "ok"]
        tap.equal([k for k in good if k not in records], [], "every answered request has its record")
        tap.equal([(k, dict(usage[k]), dict(records[k])) for k in good if k in records
                   and +usage[k] != +records[k]], [], "with the usage that was reported, once")
        tap.equal([k for k in records if k not in usage], [], "no record is without a request")
        tap.equal(nodes.audit(), [], "gyro.audit() finds nothing")
    print(f"# seed {seed}")
    tap.done()


if __name__ == "__main__":
    main()
