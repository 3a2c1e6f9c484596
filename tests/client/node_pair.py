"""Two nodes at one private database, for tests that drive gyro-sim against them.

    with NodePair(build_dir, catalogue) as nodes:
        nodes.ports, nodes.database
        nodes.stop(0); nodes.start(0)      # the same port again
        nodes.kill(0)                      # kill -9 of gyrod

Everything lives in a temporary directory and ends with the context, by pid."""
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/lib"))
from postgres import Postgres  # noqa: E402

READY_S = 90
STOP_S = 40
SETTINGS = "alternate_node: true\nsweep_ms: 200\n"


class NodePair:
    def __init__(self, build_dir, catalogue, count=2):
        self.build_dir, self.catalogue, self.count = pathlib.Path(build_dir), catalogue, count
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gyro-pair-"))
        self.ports, self.nodes, self.postgres = [0] * count, [None] * count, None
        (self.home / "settings.yaml").write_text(SETTINGS, encoding="ascii")

    @property
    def database(self):
        return self.postgres.conninfo()

    @property
    def connects(self):
        """Options for gyro-sim."""
        return [word for port in self.ports for word in ("--connect", f"127.0.0.1:{port}")]

    def __enter__(self):
        try:
            self.postgres = Postgres().start()
            for i in range(self.count):
                self.start(i)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for i in range(self.count):
            self.stop(i)
        if self.postgres:
            self.postgres.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self, i):
        """Returns when requests are answered; on the port of last time."""
        data = self.home / f"node{i}"
        command = [ROOT / "deploy/node", "--data", data, "--port", str(self.ports[i]), "--identity",
                   f"ocs{i + 1}.spec.test", "--peer", "*.spec.test", "--database", self.database, "--config",
                   self.home / "settings.yaml", "--build-dir", self.build_dir]
        if i == 0 and not data.exists():
            command += ["--catalogue", self.catalogue]
        # A group of its own: Ctrl-C is for the test, which then stops the nodes in order.
        node = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, start_new_session=True)
        self.nodes[i] = node
        said, limit = "", time.monotonic() + READY_S
        while time.monotonic() < limit:
            if not select.select([node.stdout], [], [], 0.5)[0]:
                continue
            line = node.stdout.readline()
            said += line
            ready = re.match(r"gyro: ready on 127\.0\.0\.1:(\d+)", line)
            if ready:
                self.ports[i] = int(ready[1])
                return
            if not line:
                break
        raise RuntimeError(f"node {i} does not start:\n{said}")

    def pid(self, i):
        """Of gyrod itself."""
        return int((self.home / f"node{i}" / "gyrod.pid").read_text())

    def _reap(self, i):
        node = self.nodes[i]
        try:
            node.wait(STOP_S)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
        node.stdout.close()
        self.nodes[i] = None

    def stop(self, i):
        if self.nodes[i] is not None:
            self.nodes[i].terminate()
            self._reap(i)

    def kill(self, i):
        """As a crash would; start(i) brings it back."""
        if self.nodes[i] is not None:
            os.kill(self.pid(i), signal.SIGKILL)
            self._reap(i)

    def audit(self):
        """Rows of gyro.audit(): there should be none."""
        return self.postgres.query("SELECT * FROM gyro.audit('1 hour')")


class RestartOnRequest:
    """A command that another process can run to have a node restarted here: for gyro-sim case --restart."""

    def __init__(self, nodes, i):
        self.nodes, self.i = nodes, i
        self.ask, self.done = nodes.home / "restart.ask", nodes.home / "restart.done"
        os.mkfifo(self.ask)
        os.mkfifo(self.done)
        # Read and write: opening does not wait, and there is no end of file between two askers.
        self.ask_fd = os.open(self.ask, os.O_RDWR | os.O_NONBLOCK)
        self.command = f"echo > '{self.ask}'; read -r status < '{self.done}'; test \"$status\" = good"

    def serve(self, process):
        """Until the process ends."""
        while process.poll() is None:
            if not select.select([self.ask_fd], [], [], 0.2)[0]:
                continue
            os.read(self.ask_fd, 64)
            try:
                self.nodes.stop(self.i)
                self.nodes.start(self.i)
                answer = "good\n"
            except RuntimeError as error:
                print(f"# {json.dumps(str(error))}", flush=True)
                answer = "bad\n"
            with open(self.done, "w", encoding="ascii") as done:
                done.write(answer)
