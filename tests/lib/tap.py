"""TAP on stdout for scripts. A check is counted when it ran; the plan comes last, the exit status with it."""
import sys


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, name, detail=''):
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {name}', flush=True)
        for line in str(detail).splitlines() if not good else []:
            print(f'# {line}', flush=True)
        return good

    def skip(self, name, why):
        """What can't be tried here; counts as passed."""
        self.count += 1
        print(f'ok {self.count} - {name} # SKIP {why}', flush=True)

    def equal(self, got, want, name):
        return self.ok(got == want, name, f'got  {got!r}\nwant {want!r}')

    def done(self):
        print(f'1..{self.count}')
        sys.exit(1 if self.failed or not self.count else 0)
