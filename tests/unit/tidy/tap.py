"""TAP on standard output for the scripts here, and the list of files they look at."""
import pathlib
import subprocess
import sys


class Tap:
    """One ok or not ok per check, the plan at the end, exit status 1 if any failed."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def none(self, faults, name):
        """Passes if there are no faults; else prints the first ones."""
        faults = list(faults)
        self.count += 1
        self.failed += bool(faults)
        print(f'{"not ok" if faults else "ok"} {self.count} - {name}')
        for fault in faults[:20]:
            print(f'#   {fault}')
        if len(faults) > 20:
            print(f'#   and {len(faults) - 20} more')

    def some(self, faults, name):
        """Passes if the planted fault was found: a check that cannot fail is no check."""
        self.none([] if list(faults) else ['the planted fault was not found'], f'finds {name}')

    def done(self):
        print(f'1..{self.count}')
        sys.exit(1 if self.failed or not self.count else 0)


def files(root):
    """Relative paths of the tree's files: what git knows, or all of an exported tree."""
    listed = subprocess.run(['git', '-C', root, 'ls-files', '-z'], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.split('\0')
    else:
        names = [str(p.relative_to(root)) for p in pathlib.Path(root).rglob('*') if '.git' not in p.parts]
    return sorted(n for n in names if n and (pathlib.Path(root) / n).is_file())


def text(root, name):
    """The file as text, None if it is none."""
    try:
        return (pathlib.Path(root) / name).read_text(encoding='utf-8')
    except UnicodeDecodeError:
        return None
