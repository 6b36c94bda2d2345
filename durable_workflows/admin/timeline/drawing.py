"""Lanes on their axis, as the template writes them: places and widths as attributes, colours by class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from durable_workflows.admin import display
from durable_workflows.admin.timeline.bars import Bar
from durable_workflows.admin.timeline.lanes import BUSY, Lane
from durable_workflows.admin.timeline.scale import NOTHING, Scale, Stretch, scale, ticks

NARROWEST = 0.0002  # of the axis: a rectangle without a width is not drawn, nor is its edge
TOLD = 5  # bars of a lane that its text tells of
LAST_MARK = 0.05  # of the axis before the end of a stretch: what is written at a later mark would not fit

Links = Callable[[Lane], "Link"]


@dataclass(frozen=True, slots=True)
class Link:
    """
    Where a lane leads; each may be nowhere.

    :param row: to its row in a table; :param run: to its run; :param toggle: to itself with that run's lanes, or without.
    :param steps_from: of a summary, to the table's page that begins with a step.
    """

    row: str = ""
    run: str = ""
    toggle: str = ""
    steps_from: Callable[[int], str] | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, which may be a link."""

    kind: str
    x: str
    width: str
    title: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLane:
    """A line of the timeline, drawn."""

    lane: Lane
    at: str
    label: SafeString | str
    boxes: Sequence[Box]
    took: str
    told: str
    link: Link
    indent: str
    pill: SafeString | str


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark on the axis, and what is written at it."""

    x: str
    text: str
    minor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All that the template draws."""

    lanes: Sequence[DrawnLane]
    marks: Sequence[Mark]
    gaps: Sequence[Box]
    start: str
    end: str
    unfinished: bool


def draw(lanes: Sequence[Lane], links: Links, *, unfinished: bool) -> Timeline:
    """
    The lanes, the first of which is the whole run, on one axis.

    :param unfinished: whether the axis ends at the present.
    """
    start, end = min(lane.start for lane in lanes), max(lane.end for lane in lanes)
    whole = (start, max(end, start + NOTHING))
    axis = scale(whole, _busy(lanes))
    return Timeline(
        lanes=[_drawn(lane, axis, links(lane)) for lane in lanes],
        marks=[mark for stretch in axis.stretches for mark in _marks(stretch)],
        gaps=[_box("gap", stretch, axis) for stretch in axis.stretches if stretch.shortened],
        start=display.moment(whole[0]), end=display.moment(whole[1]), unfinished=unfinished,
    )  # fmt: skip


def _busy(lanes: Iterable[Lane]) -> list[tuple[datetime, datetime]]:
    return [(bar.start, bar.end) for lane in lanes for bar in lane.bars if bar.kind.partition(" ")[0] in BUSY]


def _drawn(lane: Lane, axis: Scale, link: Link) -> DrawnLane:
    name = display.split_name(lane.name)[0] or lane.words
    return DrawnLane(
        lane=lane,
        at=str(lane.place[1]) if lane.pk and lane.place and not lane.place[0] else "",
        label=display.breakable(name) if lane.name else name,
        boxes=[_bar(bar, axis, link) for bar in lane.bars],
        took=display.duration(lane.end - lane.start),
        told=", ".join([name, *(bar.title for bar in lane.bars[:TOLD] if bar.title)]),
        link=link,
        indent=str(min(lane.depth, 4)),
        pill=display.pill(lane.child.status) if lane.child else "",
    )


def _bar(bar: Bar, axis: Scale, link: Link) -> Box:
    left = axis.at(bar.start)
    url = link.steps_from(bar.first) if link.steps_from and bar.first is not None else ""
    return Box(bar.kind, percent(left), percent(max(NARROWEST, axis.at(bar.end) - left)), bar.title, url)


def _box(kind: str, stretch: Stretch, axis: Scale) -> Box:
    text = display.duration(stretch.end - stretch.start)
    return Box(kind, percent(stretch.left), percent(stretch.right - stretch.left), text)


def _marks(stretch: Stretch) -> list[Mark]:
    return [
        Mark(percent(tick.left), f"+{_round(tick.after)}" if tick.left < stretch.right - LAST_MARK else "", bool(number % 2))
        for number, tick in enumerate(ticks(stretch), 1)
    ]


def _round(span: timedelta) -> str:
    """A span in the shortest words that are exact."""
    milliseconds = round(span / timedelta(milliseconds=1))
    for unit, words in ((86_400_000, _("%s d")), (3_600_000, _("%s h")), (60_000, _("%s min")), (1000, _("%s s"))):
        if milliseconds >= unit and milliseconds * 10 % unit == 0:
            return words % f"{milliseconds / unit:g}"
    if milliseconds >= 60_000:
        return display.duration(span)
    return _("%s ms") % milliseconds if milliseconds < 1000 else _("%s s") % f"{milliseconds / 1000:g}"


def percent(share: float) -> str:
    """A place on the axis, as an attribute has it."""
    return f"{100 * share:.3f}%"
