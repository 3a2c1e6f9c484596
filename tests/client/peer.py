#!/usr/bin/python3
"""gyro-sim against a Diameter stack of somebody else's making: stock freeDiameterd, without any application.

peer.py BUILD_DIR. Capabilities, a request for an application that nobody offers, watchdogs, disconnect; an unknown
peer; a port where nobody listens. The guard is loaded, because freeDiameter alone does not listen on loopback."""
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))
from postgres import free_port  # noqa: E402
from tap import Tap  # noqa: E402

DAEMON = shutil.which("freeDiameterd") or "/usr/bin/freeDiameterd"
LIMIT_S = 30


def start(folder, build_dir, port):
    yaml = folder / "gyro.yaml"
    yaml.write_text(f'database: "unused"\nlisten: [ "127.0.0.1:{port}" ]\npeers:\n  - identity: pgw1.spec.test\n',
                    encoding="ascii")
    config = folder / "node.conf"
    config.write_text(f"""Identity = "ocs1.spec.test"; Realm = "spec.test"; Port = {port};
SecPort = 0; No_SCTP; No_IPv6; NoRelay; AppServThreads = 1; TwTimer = 6;
LoadExtension = "{build_dir}/lib/dict_gyro.fdx";
LoadExtension = "{build_dir}/lib/acl_gyro.fdx" : "{yaml}";
""", encoding="ascii")
    out = open(folder / "log", "w", encoding="utf-8")
    daemon = subprocess.Popen([DAEMON, "-c", config], stdout=out, stderr=subprocess.STDOUT)
    limit = time.monotonic() + LIMIT_S
    while time.monotonic() < limit and daemon.poll() is None:
        if "daemon initialized" in (folder / "log").read_text(encoding="utf-8", errors="replace"):
            return daemon
        time.sleep(0.05)
    daemon.kill()
    daemon.wait()
    raise RuntimeError((folder / "log").read_text(encoding="utf-8", errors="replace"))


def main():
    build_dir, tap = pathlib.Path(sys.argv[1]).absolute(), Tap()

    def sim(*words, given=None):
        return subprocess.run([build_dir / "bin/gyro-sim", *words], capture_output=True, text=True, timeout=60,
                              input=given)

    with tempfile.TemporaryDirectory() as place:
        port = free_port()
        node = ["--connect", f"127.0.0.1:{port}"]
        nobody = sim("session", *node, "--imsi", "1", "--timeout", "300ms")
        tap.ok(nobody.returncode == 3 and "refused" in nobody.stderr, "nobody listens: status 3, and why",
               nobody.stderr)
        daemon = start(pathlib.Path(place), build_dir, port)
        try:
            # CER in gyro-sim's words says application 4; a stack without it has none in common.
            alone = sim("request", *node, "--imsi", "1", "I0 {10:RSU}")
            tap.ok(alone.returncode == 3 and "CEA 5010" in alone.stderr, "no common application: CEA 5010",
                   alone.stderr)
            stranger = sim("request", *node, "--origin-host", "pgw9.spec.test", "--imsi", "1", "I0 {10:RSU}")
            tap.ok(stranger.returncode == 3 and "CEA 3010" in stranger.stderr, "an unknown peer: CEA 3010",
                   stranger.stderr)
            raw = sim("raw", *node, "-", given="01")
            tap.ok(raw.returncode == 3, "raw needs a CEA, too", raw.stdout + raw.stderr)
            tap.ok(daemon.poll() is None, "the daemon still runs")
        finally:
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
    for words, what in ((["session"], "no --connect"), (["request", "--connect", "x:1"], "no request"),
                        (["session", "--connect", "x:1", "--use", "3X"], "not a size"),
                        (["churn", "--connect", "x:1"], "no subscribers"), (["nonsense"], "no such command")):
        tap.equal(sim(*words).returncode, 2, f"status 2: {what}")
    for command in ("session", "request", "case", "churn", "raw"):
        told = sim(command, "--help")
        tap.ok(told.returncode == 0 and "example" in told.stdout, f"{command} --help has examples", told.stdout)
    tap.done()


if __name__ == "__main__":
    main()
