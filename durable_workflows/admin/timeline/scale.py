"""
Where on the axis a moment is.

Time runs evenly, but for long gaps in which no code ran: beside a sleep of three days the steps of a second would be one
line. Such gaps are drawn short, with a mark that says how long they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]

ENOUGH = 0.2  # of the axis for the times in which code ran; until then gaps are shortened
SHORTEST_GAP = 0.1  # of what is left of the axis; a shorter one is worth no mark
MOST_GAPS = 8
GAP_WIDTH, GAPS_WIDTH = 0.12, 0.4  # of the axis: for one gap, and for all
NOTHING = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the axis: a span of time, and from where to where it goes, from 0 to 1."""

    start: datetime
    end: datetime
    left: float
    right: float
    shortened: bool

    def at(self, moment: datetime) -> float:
        """The moment's place; the nearest one of this stretch if it is not in it."""
        share = (moment - self.start) / max(self.end - self.start, NOTHING)
        return self.left + (self.right - self.left) * min(1.0, max(0.0, share))


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis: stretches, one after another."""

    stretches: Sequence[Stretch]

    def at(self, moment: datetime) -> float:
        """Where a moment is, from 0 to 1."""
        number = bisect_right([stretch.start for stretch in self.stretches], moment) - 1
        return self.stretches[max(0, number)].at(moment)


def scale(whole: Span, busy: Iterable[Span]) -> Scale:
    """
    The scale for a span of time.

    :param busy: when code ran; what is between may be shortened.
    """
    gaps, start = [], whole[0]
    for span in [*_merged(busy), (whole[1], whole[1])]:
        if span[0] > start:
            gaps.append((start, span[0]))
        start = max(start, span[1])
    return Scale(_laid_out(whole, sorted(_to_shorten(whole, gaps))))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for start, end in sorted(spans):
        if current is None or start > current[1]:
            if current is not None:
                yield current
            current = (start, end)
        else:
            current = (current[0], max(current[1], end))
    if current is not None:
        yield current


def _to_shorten(whole: Span, gaps: Sequence[Span]) -> list[Span]:
    """The longest gaps, until what ran has enough of the axis."""
    left = whole[1] - whole[0]
    ran = left - sum((end - start for start, end in gaps), timedelta())
    chosen: list[Span] = []
    for start, end in sorted(gaps, key=lambda gap: gap[0] - gap[1])[:MOST_GAPS]:
        if ran < NOTHING or ran >= ENOUGH * left or end - start < SHORTEST_GAP * left:
            break
        chosen.append((start, end))
        left -= end - start
    return chosen


def _laid_out(whole: Span, shortened: Sequence[Span]) -> list[Stretch]:
    gap = min(GAP_WIDTH, GAPS_WIDTH / len(shortened)) if shortened else 0.0
    time = whole[1] - whole[0] - sum((end - start for start, end in shortened), timedelta())
    room = 1.0 - gap * len(shortened)
    stretches: list[Stretch] = []
    start, left = whole[0], 0.0
    for gap_start, gap_end in [*shortened, (whole[1], whole[1])]:
        if gap_start > start or not (stretches or shortened):
            right = left + room * ((gap_start - start) / max(time, NOTHING))
            stretches.append(Stretch(start, gap_start, left, right, False))
            left = right
        if gap_end > gap_start:
            stretches.append(Stretch(gap_start, gap_end, left, left + gap, True))
            left += gap
        start = gap_end
    return stretches


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis: so long after the beginning of its stretch."""

    left: float
    after: timedelta


STEPS = [
    timedelta(seconds=seconds)
    for seconds in (
        *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
        *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
        *(86_400 * days for days in (1, 2, 5, 10, 30, 60, 180, 365, 730, 3650, 36_500)),
    )
]
TICKS = 10  # on a whole axis


def ticks(stretch: Stretch) -> list[Tick]:
    """The marks of a stretch, at round spans from its beginning; none if it is too narrow for one."""
    most = int(TICKS * (stretch.right - stretch.left) + 0.5)
    span = stretch.end - stretch.start
    step = next((step for step in STEPS if span / step <= most), None) if most else None
    if step is None or stretch.shortened:
        return []
    return [Tick(stretch.at(stretch.start + step * number), step * number) for number in range(1, int(span / step) + 1)]
