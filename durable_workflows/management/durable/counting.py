"""``stats``: how much there is, and how much is done, at a cost that does not grow with the tables."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from durable_workflows.management.durable import queueing
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import span
from durable_workflows.management.durable.subcommand import DONE, Subcommand
from durable_workflows.management.durable.tables import Cell, Column, Table, state
from durable_workflows.models import figures
from durable_workflows.models.dialects import connection
from durable_workflows.models.figures import Counted, Times
from durable_workflows.models.reading import database_now
from durable_workflows.words import duration

PERCENTS = (50, 95, 99)
MOST_HOURLY = timedelta(hours=6)  # longer spans are read by the hour


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--last", type=span, default=timedelta(hours=1), metavar="SPAN", help="What ended within it (1h).")


def _run(output: Output, given: Namespace) -> int:
    now = database_now(connection())
    since = now - min(given.last, timedelta(days=3650))
    made = _document(now, since)
    if output.json:
        output.document(made)
        return DONE
    output.facts(_now(made))
    output.table(_ended(made, given.last))
    output.table(_times(made))
    output.table(_failures(made))
    return DONE


def _document(now: datetime, since: datetime) -> dict[str, Any]:
    queues = queueing.figures()
    ended = figures.ended(connection(), since, hourly=now - since > MOST_HOURLY)
    numbers: Counter[str] = Counter()
    for (_, status), number in ended.buckets.items():
        numbers[status] += number
    failures, _ = figures.failures(connection(), since, 10)
    return {
        "now": now, "since": since,
        "enqueued": _counted(_sum(queue.depth.waiting for queue in queues)),
        "running": _counted(Counted(sum(queue.running for queue in queues))),
        "waiting": _counted(figures.waiting(connection())),
        "stuck": _counted(figures.stuck(connection())),
        "dead": _counted(figures.dead(connection())),
        "oldest_enqueued_at": min((q.depth.oldest for q in queues if q.depth.oldest), default=None),
        "workers": len([each for each in figures.present_workers(connection(), 1000) if not each.direct]),
        "ended": dict(numbers), "ended_counted_since": max(ended.reach, since),
        "failures": [{"name": name, "count": number} for name, number in failures],
        "seconds": _seconds(figures.times(connection(), since)),
    }  # fmt: skip


def _sum(counted: Any) -> Counted:
    parts = list(counted)
    return Counted(sum(part.number for part in parts), any(part.capped for part in parts))


def _counted(counted: Counted) -> dict[str, Any]:
    return {"count": counted.number, "capped": counted.capped}


def _seconds(times: Times) -> dict[str, dict[str, float] | None]:
    return {"until_begun": _percentiles(times.waits), "from_there_to_end": _percentiles(times.runs)}


def _percentiles(ascending: Any) -> dict[str, float] | None:
    if not ascending:
        return None
    return {f"p{percent}": ascending[min(len(ascending) - 1, len(ascending) * percent // 100)] for percent in PERCENTS}


def _now(made: dict[str, Any]) -> list[tuple[str, Cell | str]]:
    oldest = made["oldest_enqueued_at"]
    age = f", the oldest for {duration(made['now'] - oldest)}" if oldest else ""
    return [
        ("enqueued", _digits(made["enqueued"]) + age),
        ("running", _digits(made["running"])),
        ("waiting", _digits(made["waiting"])),
        ("stuck", _alarm(made["stuck"])),
        ("dead", _alarm(made["dead"])),
        ("workers", str(made["workers"]) if made["workers"] else Cell("none", "bad")),
    ]


def _digits(counted: dict[str, Any]) -> str:
    return queueing.in_digits(Counted(counted["count"], counted["capped"]))


def _alarm(counted: dict[str, Any]) -> Cell:
    return Cell(_digits(counted), "bad" if counted["count"] else "")


def _ended(made: dict[str, Any], last: timedelta) -> Table:
    since = made["ended_counted_since"]
    minutes = max((made["now"] - since).total_seconds() / 60, 1e-9)
    return Table(
        title=f"Ended in the last {duration(made['now'] - since)}",
        columns=[Column(title="STATUS"), Column(title="RUNS", right=True), Column(title="A MINUTE", right=True)],
        rows=[[state(status), f"{number:,}", f"{number / minutes:,.1f}"] for status, number in sorted(made["ended"].items())],
        empty="Nothing.",
    )


def _times(made: dict[str, Any]) -> Table:
    words = {"until_begun": "until they began", "from_there_to_end": "from there to the end"}
    found = [(words[name], values) for name, values in made["seconds"].items() if values]
    return Table(
        title="Times of the newest that succeeded" if found else "",
        columns=[Column(title=""), *(Column(title=f"P{percent}", right=True) for percent in PERCENTS)],
        rows=[[word, *(duration(timedelta(seconds=value)) for value in values.values())] for word, values in found],
    )


def _failures(made: dict[str, Any]) -> Table:
    return Table(
        title="Failed most",
        columns=[Column(title="WORKFLOW"), Column(title="RUNS", right=True)],
        rows=[[each["name"], Cell(f"{each['count']:,}", "bad")] for each in made["failures"]],
    )


STATS = Subcommand(name="stats", help="How much there is, and how much is done.", arguments=_arguments, run=_run)
