#!/usr/bin/python3
"""The quickstart's sessions on the wire, decoded line by line by tshark: nothing malformed, nothing unknown, all as told.

trace.py ROOT BUILD-DIR. Between gyro-sim and a node stands a relay that writes down each message, so no rights to
capture are needed.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

ROOT, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path[:0] = [str(ROOT / 'tests/unit/dict'), str(ROOT / 'tests/lib')]
from diameter import Capture
from tap import Tap
from tshark import Tshark

MIB = 1 << 20
FIELDS = ('cmd.code', 'flags.request', 'CC-Request-Type', 'CC-Request-Number', 'Rating-Group', 'CC-Total-Octets', 'Result-Code',
          'Validity-Time', 'Volume-Quota-Threshold', 'Final-Unit-Action')
SUSPECT = ('_ws.malformed || diameter.avp.code.unknown || diameter.avp.invalid-len || diameter.avp.invalid-data || '
           'diameter.avp.unknown || diameter.cmd.code.unknown || diameter.applicationId.unknown || diameter.avp.pad.missing || '
           'diameter.avp.pad.non_zero')
# One line a message: command, request or not, type, number, Rating-Group, octets, results, validity, threshold, final action.
GRANTED = [10, 10 * MIB, '2001,2001', 3600, 2 * MIB, '']
ALICE = [
    [257, 1, '', '', '', '', '', '', '', ''], [257, 0, '', '', '', '', 2001, '', '', ''],
    [272, 1, 1, 0, 10, '', '', '', '', ''], [272, 0, 1, 0, *GRANTED],
    [272, 1, 2, 1, 10, 8 * MIB, '', '', '', ''], [272, 0, 2, 1, *GRANTED],
    [272, 1, 2, 2, 10, 8 * MIB, '', '', '', ''], [272, 0, 2, 2, *GRANTED],
    [272, 1, 2, 3, 10, 8 * MIB, '', '', '', ''], [272, 0, 2, 3, *GRANTED],
    [272, 1, 3, 4, 10, 6 * MIB, '', '', '', ''], [272, 0, 3, 4, 10, '', '2001,2001', '', '', ''],
    [282, 1, '', '', '', '', '', '', '', ''], [282, 0, '', '', '', '', 2001, '', '', ''],
]
BOB = [
    *ALICE[:3], [272, 0, 1, 0, 10, 3 * MIB, '2001,2001', 3600, '', 0],
    [272, 1, 3, 1, 10, 3 * MIB, '', '', '', ''], [272, 0, 3, 1, 10, '', '2001,2001', '', '', ''], *ALICE[-2:],
]


class Relay:
    """Listens for one client, passes everything on to the node, and keeps every message in order of its arrival."""

    def __init__(self, port):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(30)
        self.port, self.node_port = self.listener.getsockname()[1], port
        self.messages, self.lock = [], threading.Lock()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        client, _ = self.listener.accept()
        with client, socket.create_connection(('127.0.0.1', self.node_port), timeout=30) as node:
            client.settimeout(30)
            back = threading.Thread(target=self.pass_on, args=(node, client, False), daemon=True)
            back.start()
            self.pass_on(client, node, True)
            back.join(30)

    def pass_on(self, source, sink, from_client):
        data = b''
        while True:
            try:
                more = source.recv(65536)
            except OSError:
                more = b''
            if not more:
                break
            data += more
            while len(data) >= 4 and len(data) >= (length := int.from_bytes(data[1:4], 'big')):
                # Written down before it goes on: a request stands before its answer.
                with self.lock:
                    self.messages.append((data[:length], from_client))
                sink.sendall(data[:length])
                data = data[length:]
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def capture(self, path):
        self.thread.join(60)
        self.listener.close()
        capture = Capture()
        for message, from_client in self.messages:
            capture.add(message, from_client)
        capture.write(path)


def record(port, subscriber, path):
    """A session of the quickstart through a relay. Returns gyro-sim's exit status."""
    relay = Relay(port)
    done = subprocess.run([BUILD / 'bin/gyro-sim', 'session', '--connect', f'127.0.0.1:{relay.port}', '--imsi',
                           f'00101000000000{subscriber}', '--rating-group', '10', '--use', '30M'],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    relay.capture(path)
    return done.returncode


def decoded(tshark, path):
    arguments = [word for field in FIELDS for word in ('-e', f'diameter.{field}')]
    done = tshark.run('-2', '-r', path, '-T', 'fields', '-E', 'separator=|', *arguments)
    return [line.split('|') for line in done.stdout.splitlines()] or done.stderr


def look(tap, tshark, name, path, expected):
    lines = decoded(tshark, path)
    tap.equal(len(lines), len(expected), f'{name}: so many messages')
    for number, (got, want) in enumerate(zip(lines, expected), 1):
        tap.equal(got, [str(w) for w in want], f'{name}: message {number}, {"request" if want[1] else "answer"} of {want[0]}')
    tap.equal(tshark.run('-2', '-r', path, '-Y', SUSPECT).stdout, '', f'{name}: nothing unknown, nothing malformed')


def can_fail(tap, tshark, path):
    """The same capture with an AVP code that nobody knows, and one whose length is wrong."""
    good = path.read_bytes()
    for what, code in (('an unknown AVP', b'\x00\x0f\x42\x3f'), ('a wrong length', None)):
        at = good.rindex((268).to_bytes(4, 'big'))
        bad = good[:at] + code + good[at + 4:] if code else good[:at + 5] + b'\x00\x00\x03' + good[at + 8:]
        path.with_suffix('.bad').write_bytes(bad)
        path.with_suffix('.bad').chmod(0o644)
        tap.ok(tshark.run('-2', '-r', path.with_suffix('.bad'), '-Y', SUSPECT).stdout, f'finds {what}')


def main():
    tap = Tap()
    place = pathlib.Path(tempfile.mkdtemp(prefix='gyro-trace.'))
    os.chmod(place, 0o755)
    node = subprocess.Popen([ROOT / 'deploy/node', '--data', place / 'node', '--port', '0', '--catalogue', ROOT / 'deploy/demo.yaml',
                             '--peer', '*.spec.test', '--build-dir', BUILD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        ready = next((line for line in node.stdout if line.startswith('gyro: ready')), '')
        if tap.ok(ready, 'a node with the quickstart\'s catalogue'):
            (place / 'tshark').mkdir()
            tshark, port = Tshark(place / 'tshark'), int(re.search(r':(\d+)$', ready.strip())[1])
            for name, subscriber, expected in (('Alice', 1, ALICE), ('Bob', 2, BOB)):
                path = place / f'{name}.pcap'
                tap.equal(record(port, subscriber, path), 0, f'{name}: the session')
                path.chmod(0o644)
                look(tap, tshark, name, path, expected)
            can_fail(tap, tshark, place / 'Bob.pcap')
    finally:
        node.terminate()
        node.wait(60)
        shutil.rmtree(place, ignore_errors=True)
    tap.done()


if __name__ == '__main__':
    main()
