"""What the tests of server-initiated requests share: the outbox as dicts, waiting with a bound, the next RAR.

Belongs to the tests beside it only.
"""
import itertools
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'lib'))
from diameter import CODES, INITIAL, P, R, Silent, TABLE, header, service  # noqa: E402

COLUMNS = ('outbox_id', 'session_id', 'kind_name', 'reason', 'state_name', 'attempts', 'node', 'answer_code',
           'outcome', 'rating_group')
_references = itertools.count(1)


def outbox(site, where='true'):
    """Rows of gyro.server_request, oldest first."""
    return [dict(zip(COLUMNS, row)) for row in
            site.pg.query(f"SELECT {', '.join(COLUMNS)} FROM gyro.server_request WHERE {where} ORDER BY outbox_id")]


def of_session(site, session):
    return outbox(site, f"session_id = '{session}'")


def last(site, session):
    """(state, outcome, answer code) of the newest row of a session."""
    rows = of_session(site, session)
    return (rows[-1]['state_name'], rows[-1]['outcome'], rows[-1]['answer_code']) if rows else None


def eventually(condition, seconds=5):
    """The first true value of condition(), or its last."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


def settles(site, session, want, seconds=5):
    """What last() says, as soon as it is what the test wants."""
    eventually(lambda: last(site, session) == want, seconds)
    return last(site, session)


def request(client, seconds=3):
    """The next request of the node, None if none comes in time."""
    try:
        message = client.receive(seconds)
    except Silent:
        return None
    return message if message.is_request else None


def silent(client, seconds):
    """True if no request comes in that time."""
    return request(client, seconds) is None


def topup(site, account, micros=1_000_000):
    return site.pg.query(f"SELECT gyro.topup({account}, {micros}, 'test-{next(_references)}')")


def call(site, expression):
    """The integer that one of the outbox's functions returns."""
    return int(site.pg.value(f'SELECT {expression}'))


def uuid_of(site, session):
    return site.pg.value(f"SELECT session FROM gyro.session_index WHERE session_id = '{session}'")


def opened(client, who, services=None):
    """A new session of that subscriber; its Session-Id and the answer."""
    session = client.session()
    return session, client.charge(session, INITIAL, 0, services or [service(10)], who=who)


def expected(received, command, avps):
    """The bytes that a request of the node must have, but for its two identifiers, which any may be."""
    return header(CODES[command], R | P, 4, received.hop_by_hop, received.end_to_end, TABLE.avps(avps))
