#!/usr/bin/python3
"""tests/conformance/run with tables and results made up: what makes a rule pass, what the check of tests/run finds.

report.py ROOT
"""
import csv
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from xml.sax.saxutils import escape

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / 'tests/lib'))
from tap import Tap

RULES = 'rule,title,tests,gap\nG-01,One thing,TC-01,\nG-02,Two things,,\n'
CLAUSES = 'rule,clause,tests\nG-02,the first,G-02a\nG-02,the second,encode~a stone is (hard|heavy);G-02b\n'
CASES = 'case TC-01 one\n\ncase G-02a first\n\ncase G-02b second\n'
GOOD = {'cases': ['ok 1 - TC-01 one', 'ok 2 - G-02a first', 'ok 3 - G-02b second'], 'encode': ['ok 1 - a stone is hard'],
        'cases-wire': ['ok 1 - TC-01 one', 'ok 2 - G-02a first # SKIP pure-only'], 'wire-cards': ['ok 1 - R-77 and Z-4 are not of these rules']}


class Tree:
    """A tree with nothing but the tables; results as ctest leaves them."""

    def __init__(self, place):
        self.place, self.build = place, place / 'build'
        self.folder = place / 'tests/conformance'
        self.folder.mkdir(parents=True)
        (place / 'tests/cases').mkdir()
        self.build.mkdir()
        shutil.copy(ROOT / 'tests/conformance/run', self.folder)
        self.tables()

    def tables(self, rules=RULES, clauses=CLAUSES, cases=CASES):
        (self.folder / 'rules.csv').write_text(rules)
        (self.folder / 'clauses.csv').write_text(clauses)
        (self.place / 'tests/cases/a.case').write_text(cases)

    def run(self, *words, results=GOOD, ended=()):
        """(exit status, output) with results of programs, some of which did not end well."""
        junit = self.place / 'x.xml'
        tests = [f'<testcase name="{name}" status="{"fail" if name in ended else "run"}"><system-out>'
                 + escape('\n'.join([*lines, f'1..{len(lines)}'])) + '</system-out></testcase>' for name, lines in results.items()]
        junit.write_text(f'<testsuite>{"".join(tests)}</testsuite>')
        done = subprocess.run([self.folder / 'run', '--build-dir', self.build, '--junit', junit, *words], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def state(self, rule):
        found = re.search(rf'^\| {rule} \|[^|]*\| ([^|]*) \|', (self.folder / 'REPORT.md').read_text(), re.M)
        return found and found[1]


def states(tap, tree):
    def one(name, rule, want, results=GOOD, ended=(), says='', **tables):
        tree.tables(**tables)
        status, said = tree.run(results=results, ended=ended)
        report = (tree.folder / 'REPORT.md').read_text()
        tap.ok(tree.state(rule) == want and says in report, name, f'{tree.state(rule)}, {status}\n{said}\n{report}')
        tree.tables()

    def but(program, *lines):
        return {**GOOD, program: list(lines)}

    one('a rule whose test passed: pass', 'G-01', 'pass')
    one('each clause has a test that passed: pass', 'G-02', 'pass')
    one('one of them failed: fail', 'G-02', 'fail', but('encode', 'not ok 1 - a stone is hard'))
    one('one of them was not there: fail', 'G-02', 'fail', but('encode', 'ok 1 - a stone is soft'), says='the second: encode~a stone is')
    one('one of them was skipped: fail', 'G-02', 'fail', but('encode', 'ok 1 - a stone is hard # SKIP no stone'))
    one('a case that a clause names was not there: fail', 'G-02', 'fail', but('cases', 'ok 1 - TC-01 one', 'ok 2 - G-02a first'),
        says='the second: G-02b')
    one('a clause without test: partly', 'G-02', 'partly', clauses=CLAUSES + 'G-02,the third,\n', says='no test: the third')
    one('its program did not run: fail', 'G-02', 'fail', {k: v for k, v in GOOD.items() if k != 'encode'})
    one('all passed, but the program exited with an error: fail', 'G-02', 'fail', ended=['encode'], says='encode: did not end well')
    one('all of a program: the program is named, not each of its cases', 'G-02', 'pass', clauses='rule,clause,tests\nG-02,all of them,cases~.\n',
        says='| G-02a (core), G-02b (core) | cases |')
    one('a rule without any test: not proved', 'G-03', 'not proved', rules=RULES + 'G-03,Nothing,,\n')
    one('a gap that is known: partly', 'G-01', 'partly', rules=RULES.replace('TC-01,\n', 'TC-01,missing: a half\n'), says='a half')


def check(tap, tree):
    def one(name, good, *says, results=GOOD, **tables):
        tree.tables(**tables)
        before = (tree.folder / 'REPORT.md').read_text()
        status, said = tree.run('--check', results=results)
        results = re.findall(r'^(ok|not ok) ', said, re.M)
        tap.ok((status == 0) == good and results == ['ok' if good else 'not ok'] and all(s in said for s in says), f'--check: {name}', said)
        tap.equal((tree.folder / 'REPORT.md').read_text(), before, f'--check: {name}: leaves the report alone')
        tree.tables()

    tree.run()
    one('the report is what the results make', True)
    tap.equal((tree.build / 'REPORT.md').read_text(), (tree.folder / 'REPORT.md').read_text(), '--check: it has made its own')
    one('a test is lost', False, 'G-01 was pass and is not proved', results={**GOOD, 'cases': GOOD['cases'][1:], 'cases-wire': []})
    one('a test fails', False, 'G-01 was pass and is fail', results={**GOOD, 'cases-wire': ['not ok 1 - TC-01 one']})
    one('one more test proves a rule', False, 'wire-cards', results={**GOOD, 'wire-cards': ['ok 1 - G-01 more of it']})
    one('a rule has another title', False, 'Another thing', rules=RULES.replace('One', 'Another'))
    one('a case of a rule that is none', False, 'case G-99a is of no rule', cases=CASES + '\ncase G-99a nothing\n')
    one('a result that names a rule which is none', False, 'names G-98', results={**GOOD, 'wire-ims': ['ok 1 - G-98 what is that?']})
    one('nothing ran', False, results={})
    for name, tables in (('a clause of a rule that is none', {'clauses': CLAUSES + 'G-44,what,G-02a\n'}),
                         ('a clause with a program that is none', {'clauses': CLAUSES + 'G-02,what,nothing~.\n'}),
                         ('a gap of a kind that is none', {'rules': RULES.replace('TC-01,\n', 'TC-01,later\n')})):
        tree.tables(**tables)
        status, said = tree.run('--check')
        tap.ok(status and not re.search('^ok', said, re.M), f'--check: {name} is refused', said)
        tree.tables()
    (tree.folder / 'REPORT.md').write_text((tree.folder / 'REPORT.md').read_text() + 'by hand\n')
    one('somebody wrote into the report', False, 'by hand')


def tables_of_this_tree(tap):
    """What can be found without results: tests/run would say it twenty minutes later."""
    cases = {name for path in (ROOT / 'tests/cases').glob('*.case') for name in re.findall(r'^case (\S+)', path.read_text(), re.M)}
    named = []
    for path in ('rules.csv', 'clauses.csv'):
        with open(ROOT / 'tests/conformance' / path, newline='', encoding='utf-8') as f:
            named += [(row['rule'], test) for row in csv.DictReader(f) for test in row['tests'].split(';') if test and '~' not in test]
    tap.equal([(rule, test) for rule, test in named if re.match('G-', test) and test not in cases], [], 'each case that a rule names is there')
    with tempfile.TemporaryDirectory() as place:
        tree = Tree(pathlib.Path(place) / 'tree')
        for path in ('rules.csv', 'clauses.csv'):
            shutil.copy(ROOT / 'tests/conformance' / path, tree.folder)
        said = tree.run(results={})[1]
        tap.ok((tree.folder / 'REPORT.md').exists(), 'rules, clauses and programs fit together', said)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as place:
        tree = Tree(pathlib.Path(place) / 'tree')
        states(tap, tree)
        check(tap, tree)
    tables_of_this_tree(tap)
    tap.done()


if __name__ == '__main__':
    main()
