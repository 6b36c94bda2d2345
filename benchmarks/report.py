"""Results as tables: for a terminal and in Markdown, of the same cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.conductor import Outcome, Result
from benchmarks.figures import percentile, ratios, spread, verdicts

Row = list[str]
COSTS = ["of fenced INSERTs", "round trips", "commits", "WAL B", "CPU ms"]


def rows(result: Result) -> tuple[Row, list[Row]]:
    """Headings and cells of a result's table."""
    names = sorted({name for outcome in result.outcomes for measured in outcome.repetitions for name in measured.latencies})
    if names:
        heads = [f"{name} {what}, ms" for name in names for what in ("p50", "p99")]
        return ["", *heads, "samples"], [_latency_row(outcome, names) for outcome in result.outcomes]
    unit = result.case.unit
    heads = ["", f"{unit}s/s (min to max)", "ours to it (min to max)", *COSTS]
    return heads, [_rate_row(outcome, result) for outcome in result.outcomes]


def _latency_row(outcome: Outcome, names: Sequence[str]) -> Row:
    lists = [outcome.latencies(name) for name in names]
    cells = [f"{percentile(values, percent) * 1000:,.1f}" for values in lists for percent in (50, 99)]
    return [outcome.entry.title, *cells, str(len(lists[0]))]


def _rate_row(outcome: Outcome, result: Result) -> Row:
    if not outcome.repetitions:
        return [outcome.entry.title, f"absent: {outcome.absent}", *[""] * 6]
    rate, ours = spread(outcome.rates), result.outcomes[0]
    return [
        outcome.entry.title,
        f"{rate.middle:,.0f} ({rate.least:,.0f} to {rate.most:,.0f})",
        _ratio(ours, outcome),
        _of_floor(outcome, result),
        *_costs(outcome),
        f"{outcome.cpu * 1000:.2f}",
    ]


def _ratio(ours: Outcome, other: Outcome) -> str:
    if other is ours or not ours.repetitions:
        return ""
    found = ratios(ours, other)
    return f"{found.middle:.2f}x ({found.least:.2f} to {found.most:.2f})"


def _of_floor(outcome: Outcome, result: Result) -> str:
    """Of the fenced INSERT loop in the same run, where it takes part."""
    floor = next((other for other in result.outcomes if other.entry.operation == "fenced_inserts"), None)
    floor = floor or (result.of("floor") if result.case.key == "B1" else None)
    return f"{spread(outcome.rates).middle / spread(floor.rates).middle:.0%}" if floor and floor.repetitions else ""


def _costs(outcome: Outcome) -> Row:
    costs = outcome.costs
    return [f"{costs.trips:.2f}", f"{costs.commits:.2f}", f"{costs.wal_bytes:,.0f}"] if costs else [""] * 3


def title(result: Result) -> str:
    return f"{result.case.key}: {result.case.title} ({result.kind})"


def meanings(result: Result) -> list[str]:
    """What a unit is in each contender."""
    said = [(o.entry.title, o.hello.semantics.get(o.entry.operation, "")) for o in result.outcomes if o.repetitions]
    return [f"{name}: {text}" for name, text in said if text]


def show(console: Console, result: Result) -> None:
    """Print one result."""
    heads, cells = rows(result)
    table = Table(title=title(result), title_justify="left", title_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for row in cells:
        table.add_row(*row)
    console.print(table)
    for line in meanings(result):
        console.print(f"  [dim]{line}[/dim]", soft_wrap=True)
    for verdict in verdicts(result):
        console.print(f"  {'[green]reached[/green]' if verdict.met else '[red]missed[/red]'}: {verdict.text}")
    console.print()


def markdown(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """All of a run in Markdown."""
    parts = ["\n".join(f"* {name}: {value}" for name, value in facts.items())]
    for result in results:
        heads, cells = rows(result)
        lines = [f"| {' | '.join(row)} |" for row in [heads, ["---", *["---:"] * (len(heads) - 1)], *cells]]
        notes = [*meanings(result), *(f"{'reached' if v.met else 'missed'}: {v.text}" for v in verdicts(result))]
        parts.append("\n".join([f"### {title(result)}", "", *lines, "", *(f"* {note}" for note in notes)]))
    return "\n\n".join(parts) + "\n"
