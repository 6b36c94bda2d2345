"""What the dashboard shows, gathered by as many queries however many rows there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_workflows.admin import charts, display, throughput
from durable_workflows.admin.addresses import Addresses
from durable_workflows.admin.throughput import Range
from durable_workflows.models import QueueState, backlog, dialects, figures
from durable_workflows.models.backlog import EMPTY, Depth
from durable_workflows.models.figures import Counted
from durable_workflows.models.reading import database_now
from durable_workflows.models.rules import Rules, rules_for
from durable_workflows.states import RunState
from durable_workflows.words import minute

QUEUES, WORKERS, TICKS, NAMES = 12, 100, 5, 8
COUNTED = 2_000  # runs of a queue
S = RunState


@dataclass(frozen=True, slots=True)
class Tile:
    """A number of now, and whether somebody should look."""

    label: str
    value: str
    detail: str = ""
    address: str = ""
    alarming: bool = False
    of_time: bool = False  # the detail says how old something is


@dataclass(frozen=True, slots=True)
class Line:
    """A queue in which something is going on."""

    name: str
    state: tuple[str, str]
    waiting: str
    oldest: str
    running: int
    address: str
    page: str
    bar: str


def of(addresses: Addresses, chosen: Range) -> dict[str, Any]:
    """Everything on the page."""
    connection = dialects.connection()
    now = database_now(connection)
    since = chosen.begin(now)
    counted = throughput.count(connection, chosen, now)
    chart, totals = throughput.chart(counted, chosen, now), throughput.totals(counted)
    by_name, looked_at = figures.failures(connection, since, NAMES)
    lines, depths, running = _queues(connection, addresses, now)
    return {
        "now": display.moment(now), "minute": minute(now),
        "chart": chart, "note": throughput.note(chart, chosen),
        "totals": [(kind, label, f"{totals[kind]:,}") for kind, label in throughput.KINDS.items()],
        "failing": _failing(addresses, by_name), "failures_looked_at": looked_at,
        "latencies": throughput.latencies(times := figures.times(connection, since)), "timed": len(times.runs),
        "queues": lines[:QUEUES], "more_queues": len(lines) - QUEUES, "all_queues": addresses.listed("queuestate"),
        "tiles": list(_tiles(connection, addresses, now, depths, running)),
        "ticks": _ticks(connection, addresses, now),
    }  # fmt: skip


def timeless(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What of it the clock alone changes, as it is for a whole minute."""
    return {
        "now": shown["minute"],
        "queues": [replace(line, oldest="") for line in shown["queues"]],
        "tiles": [replace(tile, detail="") if tile.of_time else tile for tile in shown["tiles"]],
        "ticks": [{**tick, "in": ""} for tick in shown["ticks"]],
    }


def number(counted: Counted) -> str:
    """With a plus if there are more."""
    return f"{counted.number:,}{'+' if counted.capped else ''}"


def age(since: datetime | None, now: datetime) -> str:
    """How long ago."""
    return display.duration(now - since) if since else ""


def _tiles(
    connection: BaseDatabaseWrapper, to: Addresses, now: datetime, depths: Mapping[str, Depth], running: int
) -> Iterator[Tile]:
    waiting = Counted(sum(d.waiting.number for d in depths.values()), any(d.waiting.capped for d in depths.values()))
    oldest = min((d.oldest for d in depths.values() if d.oldest), default=None)
    detail = _("the oldest for %(time)s") % {"time": age(oldest, now)} if oldest else ""
    yield Tile(_("Running"), f"{running:,}", address=to.runs(status__exact=S.RUNNING.value))
    yield Tile(_("Waiting for a worker"), number(waiting), detail, to.runs(status__exact=S.ENQUEUED.value), of_time=True)
    yield Tile(_("Suspended"), number(figures.waiting(connection)), address=to.runs(status__exact=S.WAITING.value))
    stuck, dead = figures.stuck(connection), figures.dead(connection)
    yield Tile(_("Stuck"), number(stuck), address=to.runs(stuck="any"), alarming=stuck.number > 0)
    given_up = to.runs(status__exact=S.MAX_RECOVERY_ATTEMPTS_EXCEEDED.value)
    yield Tile(_("Dead letters"), number(dead), _("given up"), given_up, alarming=dead.number > 0)
    yield _workers(connection, to)


def _workers(connection: BaseDatabaseWrapper, to: Addresses) -> Tile:
    present = [worker for worker in figures.present_workers(connection, WORKERS) if not worker.direct]
    beating = [worker for worker in present if worker.now - worker.heartbeat_at <= timedelta(seconds=worker.lease_seconds)]
    able = [worker for worker in beating if worker.drain_requested_at is None]  # the others take no more runs
    silent, draining = len(present) - len(beating), len(beating) - len(able)
    threads = sum(worker.threads for worker in present)
    parts = [ngettext("%(count)d thread", "%(count)d threads", threads) % {"count": threads}]
    parts += [_("%(count)d draining") % {"count": draining}] if draining else []
    parts += [_("%(count)d silent") % {"count": silent}] if silent else []
    alarming = not able or silent > 0
    return Tile(_("Workers alive"), str(len(able)), ", ".join(parts), to.listed("worker"), alarming=alarming)


def _queues(connection: BaseDatabaseWrapper, to: Addresses, now: datetime) -> tuple[list[Line], Mapping[str, Depth], int]:
    """Those in which something waits or runs, and those that are paused, the fullest first."""
    working = Counter(dict(figures.working(connection)))
    rows = {row.pk: rules_for(row) for row in QueueState.objects.order_by("-paused", "name")[: backlog.QUEUES]}
    stopped = [name for name, its in rows.items() if its.paused]
    names = sorted({*backlog.names_with_backlog(connection), *working, *stopped})
    depths = backlog.depths(connection, names, COUNTED)
    longest = max((depth.waiting.number for depth in depths.values()), default=0)
    names.sort(key=lambda name: (-depths.get(name, EMPTY).waiting.number, -working[name], name))
    lines = [_line(name, depths.get(name, EMPTY), working[name], rows.get(name), (to, now, longest)) for name in names]
    return lines, depths, working.total()


def _line(name: str, depth: Depth, running: int, its: Rules | None, around: tuple[Addresses, datetime, int]) -> Line:
    to, now, longest = around
    return Line(
        name, state(its), number(depth.waiting), age(depth.oldest, now), running,
        to.runs(queue=name, status__exact=S.ENQUEUED.value), to.one("queuestate", name) if its is not None else "",
        charts.share(depth.waiting.number, longest),
    )  # fmt: skip


def state(its: Rules | None) -> tuple[str, str]:
    """A queue's, as a label's colour and text."""
    if its is None:
        return "waiting", _("declared by nobody")
    if its.problem:
        return "error", _("unreadable")
    return ("paused", _("paused")) if its.paused else ("success", _("open"))


def _failing(to: Addresses, by_name: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    most = max((number for _, number in by_name), default=0)
    return [
        {
            "label": display.name_label(name), "number": number, "bar": charts.share(number, most),
            "address": to.runs(workflow=name, status__exact=S.ERROR.value),
        }
        for name, number in by_name
    ]  # fmt: skip


def _ticks(connection: BaseDatabaseWrapper, to: Addresses, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "name": row.pk, "address": to.one("schedule", row.pk), "label": display.name_label(row.workflow_name),
            "at": display.timestamp(row.next_fire_at),
            "in": display.duration(row.next_fire_at - now) if row.next_fire_at and row.next_fire_at > now else _("due"),
        }
        for row in figures.next_ticks(connection, TICKS)
    ]  # fmt: skip
