#!/usr/bin/python3
"""All .case files over the wire: gyro-sim case against real nodes on a private database.

cases.py BUILD_DIR two|one [gyro-sim options]

two: two nodes at one database, a gateway that is connected to both, restarts between requests.
one: one node, and several gateways; only the cases that use more than one connection."""
import pathlib
import re
import subprocess
import sys

from node_pair import NodePair, ROOT, RestartOnRequest

CASES = ROOT / "tests/cases"


def with_several_connections():
    """IDs of cases that name a connection."""
    found = []
    for path in sorted(CASES.glob("*.case")):
        for case in re.split(r"^case ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if re.search(r"\bconn=[2-9]", case):
                found.append(case.split()[0])
    return found


def main():
    build_dir, how, more = pathlib.Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3:]
    with NodePair(build_dir, CASES / "fixture.yaml", count=2 if how == "two" else 1) as nodes:
        restart = RestartOnRequest(nodes, 0)
        command = [build_dir / "bin/gyro-sim", "case", *nodes.connects, "--database", nodes.database, *more]
        if how == "two":
            command += ["--restart", restart.command]
        elif not more:
            command += ["--only", ",".join(with_several_connections())]
        command += sorted(CASES.glob("*.case"))
        with subprocess.Popen([str(c) for c in command]) as simulator:
            try:
                restart.serve(simulator)
            finally:
                simulator.kill()
        status = simulator.returncode
    sys.exit(status)


if __name__ == "__main__":
    main()
