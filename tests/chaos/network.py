"""Hosts of their own on one machine: a network namespace each, all on one bridge; their ways to each other can be cut.

    with Network('node1', 'db1') as net:
        subprocess.Popen([*net.inside('node1'), 'gyrod', ...])      # at net.address('node1')
        net.cut('node1', 'db1')                                     # what node1 sends db1 gets lost, without a word
        net.heal()

Cut is what a broken path is for the hosts: packets get lost and nobody is told. The sender has a wrong link-layer address
for the other one, so this needs nothing of the kernel but the bridge. Needs root; ends with the process that made it.
"""
import subprocess

NOWHERE = '02:00:00:00:00:0f'


class Network:
    def __init__(self, *hosts):
        self.hosts = {name: number for number, name in enumerate(hosts, 1)}
        self.holders = {}         # a process that keeps the namespace
        self.lost = set()

    def __enter__(self):
        try:
            for name in ('hub', *self.hosts):
                self.holders[name] = self.hold()
            self.ip('hub', 'link', 'add', 'bridge0', 'type', 'bridge')
            self.ip('hub', 'link', 'set', 'bridge0', 'up')
            for name, number in self.hosts.items():
                self.ip('hub', 'link', 'add', f'port{number}', 'type', 'veth', 'peer', 'name', 'eth0', 'netns',
                        str(self.holders[name].pid))
                self.ip('hub', 'link', 'set', f'port{number}', 'master', 'bridge0', 'up')
                self.ip(name, 'address', 'add', f'{self.address(name)}/24', 'dev', 'eth0')
                for device in ('lo', 'eth0'):
                    self.ip(name, 'link', 'set', device, 'up')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for holder in self.holders.values():
            holder.kill()
            holder.wait()

    @staticmethod
    def hold():
        holder = subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', 'unshare', '--net', 'sh', '-c', 'echo; exec sleep infinity'],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if holder.stdout.readline() != '\n':
            raise OSError(f'no network namespace: {holder.stderr.read().strip()}')
        return holder

    def address(self, name):
        return f'10.77.0.{self.hosts[name]}'

    def inside(self, name):
        return ['nsenter', f'--net=/proc/{self.holders[name].pid}/ns/net', '--']

    def ip(self, name, *words):
        run = subprocess.run([*self.inside(name), 'ip', *words], capture_output=True, text=True)
        if run.returncode:
            raise OSError(f'ip {" ".join(words)}: {run.stderr.strip()}')

    def cut(self, sender, receiver):
        """One way only."""
        self.ip(sender, 'neighbour', 'replace', self.address(receiver), 'lladdr', NOWHERE, 'nud', 'permanent', 'dev', 'eth0')
        self.lost.add((sender, receiver))

    def part(self, one, other):
        """Both ways."""
        self.cut(one, other)
        self.cut(other, one)

    def heal(self):
        for sender, receiver in self.lost:
            self.ip(sender, 'neighbour', 'del', self.address(receiver), 'dev', 'eth0')
        self.lost.clear()
