"""What every trial has in common: both audits at the end, the log read as a story, figures on lines of their own."""
import calendar
import collections
import json
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests/lib'), str(ROOT / 'tests/audit')]
import audit # noqa: E402

Sent = collections.namedtuple('Sent', 'request node at retransmitted copy answered_at code latency lost')


def seconds(stamp):
    """RFC 3339 as seconds since 1970."""
    whole, _, part = stamp.rstrip('Z').partition('.')
    return calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) + int(part or 0) / 10**len(part or '0')


def story(paths):
    """Every transmission of these logs, with what became of it; in the order of sending."""
    out = []
    for path in paths:
        sent, ends = {}, {}
        with open(path, encoding='utf-8') as file:
            for text in file:
                if not text.endswith('\n'):
                    break
                line = json.loads(text)
                if line['event'] == 'sent':
                    sent[line['request'], line['attempt']] = line
                elif line['event'] in ('answer', 'lost'):
                    ends[line['request'], line['attempt']] = line
        for key, line in sent.items():
            end = ends.get(key, {'event': None})
            answered = end['event'] == 'answer'
            out.append(Sent((line['session_id'], line['type'], line['number']), line['node'], seconds(line['time']),
                            line['retransmitted'], line['copy'], seconds(end['time']) if answered else None,
                            end['code'] if answered else 0, end['latency_us'] / 1e6 if answered else None,
                            seconds(end['time']) if end['event'] == 'lost' else None))
    return sorted(out, key=lambda s: s.at)


def figures(tap_name, **values):
    print(f'# {tap_name}: ' + ', '.join(f'{name.replace("_", " ")} {value}' for name, value in values.items()), flush=True)


def spread(values, unit='ms', scale=1000):
    """median (least to most) of some times."""
    if not values:
        return 'none'
    return (f'{statistics.median(values) * scale:.0f} ({min(values) * scale:.0f} to {max(values) * scale:.0f}) {unit}, '
            f'{len(values)} times')


def audited(tap, stack, logs, name, complete=True, overuse=0, grace_s=60, order=None):
    """The independent auditor and gyro.audit(), neither of which may find a thing."""
    tap.ok(stack.quiesce(), f'{name}: the nodes come to rest')
    found, checked = audit.audit(stack.conninfo(), logs, complete, grace_s, overuse, fixed_catalogue=True,
                                 order=order)
    figures(name, **{what: n for what, n in checked.items() if n})
    tap.ok(not found.lines, f'{name}: the auditor finds nothing',
           '\n'.join(f'{i} {where}: {text}' for i, where, text in found.lines[:20]))
    own = stack.own_audit(f'{grace_s} seconds')
    tap.ok(own == [], f'{name}: gyro.audit() finds nothing', '\n'.join(' '.join(row) for row in own[:20]))
    died = [node.name for node in stack.nodes if node.died()]
    tap.ok(not died, f'{name}: no node died by itself', '\n'.join(n.tail() for n in stack.nodes if n.died()))
    return checked


def totals(tap, count, name, least=1):
    """The client got what it wanted."""
    tap.ok(count['ok'] >= least, f'{name}: at least {least} requests were served', count)
    tap.ok(count['unknown'] == 0, f'{name}: every request was answered in the end', count)
    figures(name, **count)


def simulated(tap, simulator, name):
    """gyro-sim got an outcome for each request, every answer in form, every copy the same answer."""
    status, count, said = simulator.finish()
    figures(f'{name}, gyro-sim', **{what: n for what, n in count.items() if isinstance(n, int)})
    tap.ok(status == 0, f'{name}: gyro-sim is content', f'{count}\n{said}')


def psql(conninfo):
    """A session of an operator, fed by its standard input."""
    return subprocess.Popen(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', conninfo], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
