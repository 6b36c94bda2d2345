"""
Charts as numbers: what is drawn where. Templates make SVG of them, with geometry in attributes and colours by class.

All is text already, since a project's own format of numbers has no place in a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

WIDTH, HEIGHT = 1000, 160
GAP = 0.2  # of a bar's width
THINNEST = 1.5  # of the height: what there is little of is seen all the same


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar; ``kind`` is its colour's name."""

    kind: str
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Bar:
    """
    One bar.

    :param label: where it stands on the axis.
    :param text: what a tooltip says.
    :param numbers: how much of each kind, in the order of the chart's.
    :param whole: whether all of it was counted.
    """

    label: str
    text: str
    numbers: Sequence[int]
    whole: bool
    x: str
    width: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Bars:
    """
    Stacked bars.

    :param kinds: the names of the colours from the bottom up, with what each stands for.
    :param top: what the whole height stands for.
    """

    kinds: Sequence[tuple[str, Any]]
    bars: Sequence[Bar]
    top: str
    width: str = str(WIDTH)
    height: str = str(HEIGHT)


def stacked(kinds: Mapping[str, Any], columns: Sequence[tuple[str, str, Sequence[int], bool]]) -> Bars:
    """
    A chart of stacked bars.

    :param columns: of each bar the label, the tooltip, the numbers, and whether these are all.
    """
    top = round_up(max((sum(numbers) for _, _, numbers, _ in columns), default=0))
    step = WIDTH / max(1, len(columns))
    bars = [
        Bar(label, text, numbers, whole, _text(place * step), _text(step * (1 - GAP)), list(_parts([*kinds], numbers, top)))
        for place, (label, text, numbers, whole) in enumerate(columns)
    ]
    return Bars(list(kinds.items()), bars, f"{top:,}")


def _parts(kinds: Sequence[str], numbers: Sequence[int], top: int) -> Iterator[Part]:
    base = float(HEIGHT)
    for kind, number in zip(kinds, numbers, strict=True):
        if number:
            height = max(THINNEST, number / top * HEIGHT)
            base = max(0.0, base - height)
            yield Part(kind, _text(base), _text(height))


def round_up(number: int) -> int:
    """The next number that an axis may well end with: 1, 2 or 5 and noughts."""
    if number < 1:
        return 1
    power: int = 10 ** int(log10(number))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= number)


def share(number: float, whole: float) -> str:
    """How long a bar is that lies, of 100."""
    return _text(min(100.0, 100 * number / whole)) if whole > 0 else "0"


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest of the values that is not exceeded by so many of a hundred; 0 if there are none."""
    return ascending[max(0, ceil(len(ascending) * percent / 100) - 1)] if ascending else 0.0


def _text(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
