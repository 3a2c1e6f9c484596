"""Does something grow? A line through samples, and what it may rise by.

The line is Theil's: the median of the slopes between all pairs of samples. One that stands out, as when autovacuum has
just begun, doesn't turn it, nor does one step near an end; a slope that is hidden in noise does, as long as it is there all
the time.
"""
import statistics
import typing

ENOUGH = 12  # samples; with fewer, chance draws the line


class Bound(typing.NamedTuple):
    """A rise from the first sample looked at to the last: no more than floor, and share of what there is."""
    floor: float
    share: float
    unit: str = ''

    def allows(self, level, tolerance=1):
        return tolerance * (self.floor + self.share * level)


def slope(points):
    """What it rises by for one more of x: Theil's. None if there are too few points."""
    if len(points) < ENOUGH:
        return None
    return statistics.median((y - z) / (x - w) for i, (x, y) in enumerate(points) for w, z in points[:i] if x != w)


class Verdict(typing.NamedTuple):
    """What became of one series: its level (median), its rise over the time looked at, what it might have risen by."""
    level: float
    rise: float
    allowed: float
    hours: float

    @property
    def grows(self):
        return self.rise > self.allowed

    @property
    def per_hour(self):
        return self.rise / self.hours


def judge(points, bound, settle, tolerance=1):
    """The verdict on points (hours, size), without those of the first share settle of the time. Too few: a ValueError."""
    begin, end = points[0][0], points[-1][0]
    points = [(x, y) for x, y in points if x - begin >= (end - begin) * settle]
    rises = slope(points)
    if rises is None:
        raise ValueError(f'{len(points)} samples after the settling, fewer than {ENOUGH}')
    hours = points[-1][0] - points[0][0]
    level = statistics.median(y for _, y in points)
    return Verdict(level, rises * hours, bound.allows(level, tolerance), hours)
