#!/usr/bin/python3
"""dict_gyro in the real, stock freeDiameterd: it loads alone, beside harmless dictionaries, and
refuses with a clear message where another one already brought the Gy grammar.

usage: freediameterd.py DICT_GYRO.FDX. Starts daemons on free ports, in a directory of its own."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from tap import Tap

DAEMON = shutil.which("freeDiameterd") or "/usr/bin/freeDiameterd"
READY, LIMIT_S = "freeDiameterd daemon initialized", 20


def own_network():
    """The words before a command that give it a network namespace, or none where that's forbidden."""
    words = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-n", "sh", "-c",
             'ip link set lo up && ip addr add 192.0.2.1/32 dev lo && exec "$@"', "sh"]
    try:
        return words if subprocess.run([*words, "true"], capture_output=True).returncode == 0 else []
    except FileNotFoundError:
        return []


OWN_NETWORK = own_network()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(folder, extensions):
    """Starts the daemon, stops it as soon as it is ready: (ready, everything it said)."""
    config = pathlib.Path(folder) / "node.conf"
    lines = ['Identity = "node.spec.test";', 'Realm = "spec.test";', f"Port = {free_port()};",
             "SecPort = 0; No_SCTP; No_IPv6; NoRelay; AppServThreads = 1;"]
    lines += [f'LoadExtension = "{e}";' for e in extensions]
    # freeDiameter listens on no loopback interface of its own accord (notes, fact 10), so where
    # we may, it gets a network of its own; that keeps its port private, too.
    command = [DAEMON, "-c", str(config)]
    if OWN_NETWORK:
        lines.append('ListenOn = "192.0.2.1";')
        command = [*OWN_NETWORK, *command]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as daemon:
        signal.signal(signal.SIGALRM, lambda *_: daemon.kill())
        signal.alarm(LIMIT_S)
        said, ready = [], False
        try:
            for line in daemon.stdout:
                said.append(line)
                if READY in line and not ready:
                    ready = True
                    daemon.send_signal(signal.SIGTERM)
        finally:
            signal.alarm(0)
            if daemon.poll() is None:
                daemon.kill()
    return ready, "".join(said)


def main():
    ours, tap = os.path.abspath(sys.argv[1]), Tap()
    with tempfile.TemporaryDirectory() as folder:
        ready, said = run(folder, [ours])
        tap.ok(ready, "stock freeDiameterd starts with dict_gyro alone", said)
        counts = re.search(r"dict_gyro: (\d+) AVPs declared, (\d+) already known", said)
        tap.ok(counts and int(counts[1]) > 450 and int(counts[2]) > 40,
               "it declares its AVPs and skips those of the base protocol", said)
        tap.ok(not re.search(r"\b(ERROR|FATAL)\b.*(dict|fdx|onflict)", said), "without any complaint", said)

        ready, said = run(folder, ["dict_nasreq.fdx", ours])
        tap.ok(ready, "it starts beside dict_nasreq, which shares some AVPs", said)

        for other in (["dict_nasreq.fdx", "dict_dcca.fdx"],
                      ["dict_nasreq.fdx", "dict_dcca.fdx", "dict_dcca_3gpp.fdx"]):
            ready, said = run(folder, [*other, ours])
            tap.ok(not ready and "dict_gyro replaces dict_nasreq, dict_dcca and dict_dcca_3gpp" in said,
                   f"after {other[-1]} it refuses, and says what to remove", said)
        ready, said = run(folder, [ours, ours])
        tap.ok(not ready, "loading it twice is refused", said)
    tap.done()


if __name__ == "__main__":
    main()
