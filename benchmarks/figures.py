"""From results to numbers: ratios, percentiles, bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.case import Bar
from benchmarks.conductor import Outcome, Result


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and what it is the median of."""

    middle: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratios(ours: Outcome, other: Outcome) -> Spread:
    """Ours to the other's rate: of the medians, and the extremes of the pairs of repetitions."""
    pairs = [mine / its for mine, its in zip(ours.rates, other.rates, strict=True)]
    return Spread(median(ours.rates) / median(other.rates), min(pairs), max(pairs))


def percentile(values: Sequence[float], percent: int) -> float:
    """Of sorted values, the one that so many percent do not pass (nearest rank)."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar, and whether it is reached."""

    text: str
    met: bool


def verdicts(result: Result) -> list[Verdict]:
    """Each of a case's bars, as far as what it speaks of took part."""
    ours = result.outcomes[0]
    if not ours.repetitions:
        return []
    found = [_verdict(bar, ours, result) for bar in result.case.bars]
    return [verdict for verdict in found if verdict is not None]


def _verdict(bar: Bar, ours: Outcome, result: Result) -> Verdict | None:
    if bar.below:
        name, percent, limit = bar.below
        value = percentile(ours.latencies(name), percent) * 1000
        return Verdict(f"{name} p{percent} {value:.1f} ms, bar {limit:g} ms", value <= limit)
    if bar.rate:
        rate = spread(ours.rates).middle
        return Verdict(f"{rate:,.0f}/s, bar {bar.rate:g}/s", rate >= bar.rate)
    other = result.of(bar.against)
    if other is None:
        return None
    ratio = ratios(ours, other).middle
    return Verdict(f"{ratio:.2f}x {bar.against}, bar {bar.times:g}x", ratio >= bar.times)


def raw(result: Result) -> dict[str, Any]:
    """All of a result, for the JSON file."""
    return {
        "case": result.case.key,
        "title": result.case.title,
        "database": result.kind,
        "unit": result.case.unit,
        "entries": [_raw_outcome(outcome) for outcome in result.outcomes],
        "bars": [{"text": verdict.text, "met": verdict.met} for verdict in verdicts(result)],
    }


def _raw_outcome(outcome: Outcome) -> dict[str, Any]:
    costs = outcome.costs
    return {
        "title": outcome.entry.title,
        "contender": outcome.entry.contender,
        "operation": outcome.entry.operation,
        "semantics": outcome.hello.semantics.get(outcome.entry.operation, ""),
        "absent": outcome.absent,
        "versions": dict(outcome.hello.versions),
        "repetitions": [measured.to_json() for measured in outcome.repetitions],
        "costs": {"trips": costs.trips, "commits": costs.commits, "wal_bytes": costs.wal_bytes} if costs else None,
    }
