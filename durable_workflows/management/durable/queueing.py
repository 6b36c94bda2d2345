"""``queues``: what holds for each and what is in it; pausing and resuming them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.limits import NO_LIMITS, Limits, Rate
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_act
from durable_workflows.management.durable.subcommand import DONE, Refused, Subcommand
from durable_workflows.management.durable.tables import Cell, Column, Table
from durable_workflows.models import QueueState, backlog, desk
from durable_workflows.models.backlog import EMPTY, Depth
from durable_workflows.models.dialects import connection
from durable_workflows.models.figures import Counted
from durable_workflows.models.reading import database_now
from durable_workflows.models.rules import FREE, Rules, read_rules
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.queues import Queue, valid_name
from durable_workflows.words import duration

COLUMNS = (
    Column(title="QUEUE"),
    Column(title="STATE"),
    Column(title="ENQUEUED", right=True),
    Column(title="RUNNING", right=True),
    Column(title="OLDEST", right=True),
    Column(title="LIMITS", least=90),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """
    A queue as it stands.

    :param enqueued: how many runs wait for a worker; of a long queue the first so many are counted.
    :param kept: places that runs keep while they wait.
    """

    name: str
    rules: Rules
    depth: Depth
    running: int
    kept: int

    @property
    def state(self) -> str:
        """In a word."""
        return "unreadable" if self.rules.problem else "paused" if self.rules.paused else "open"


def figures() -> list[QueueFigures]:
    """Those of all queues that have a row, are declared here, or have something in them."""
    known = read_rules(connection())
    names = sorted({"default", *known, *Queue.declared, *backlog.names_with_backlog(connection())})
    depths = backlog.depths(connection(), names)
    running, kept = backlog.occupied(connection(), names)
    return [
        QueueFigures(
            name=name, rules=known.get(name, FREE), depth=depths.get(name, EMPTY), running=running[name], kept=kept[name]
        )
        for name in names
    ]  # fmt: skip


def in_digits(counted: Counted) -> str:
    """A number, and whether there are more."""
    return f"{counted.number:,}{'+' if counted.capped else ''}"


def limits_in_words(limits: Limits) -> str:
    """What differs from no limits, as one would declare it."""
    shown = {field.name: getattr(limits, field.name) for field in fields(limits)}
    return " ".join(f"{name}={_limit(value)}" for name, value in shown.items() if value != getattr(NO_LIMITS, name))


def _limit(value: Any) -> str:
    return f"{value.limit:g}/{value.period:g}s" if isinstance(value, Rate) else str(value)


def _list(output: Output, given: Namespace) -> int:
    found, now = figures(), database_now(connection())
    if output.json:
        output.document([_document(queue) for queue in found])
        return DONE
    output.table(Table(columns=COLUMNS, rows=[_row(queue, now) for queue in found]))
    for queue in found:
        if queue.rules.problem:
            output.say(f"{queue.name}: {queue.rules.problem} Its runs wait until that is mended.", "bad")
    return DONE


def _document(queue: QueueFigures) -> dict[str, Any]:
    return {
        "name": queue.name, "state": queue.state, "problem": queue.rules.problem or None,
        "enqueued": queue.depth.waiting.number, "enqueued_capped": queue.depth.waiting.capped,
        "oldest_at": queue.depth.oldest, "running": queue.running, "kept": queue.kept,
        "limits": asdict(queue.rules.limits),
    }  # fmt: skip


def _row(queue: QueueFigures, now: datetime) -> list[Cell | str]:
    style = {"open": "good", "paused": "wait", "unreadable": "bad"}[queue.state]
    oldest = duration(now - queue.depth.oldest) if queue.depth.oldest else ""
    running = f"{queue.running}+{queue.kept}" if queue.kept else str(queue.running)
    limits = Cell(limits_in_words(queue.rules.limits), "quiet")
    return [queue.name, Cell(queue.state, style), in_digits(queue.depth.waiting), running, oldest, limits]


def _turn_over(output: Output, given: Namespace, *, paused: bool) -> int:
    names = [valid_name(name) for name in given.names]
    changed = in_write_transaction(_set_paused, names, paused)
    if output.json:
        output.document({"changed": changed, "paused": paused})
    for name in names:
        said = f"was {'paused' if paused else 'resumed'}" if name in changed else f"is {'paused' if paused else 'open'} already"
        output.say(f"Queue {name} {said}.")
    return DONE


def _set_paused(connection: BaseDatabaseWrapper, names: list[str], paused: bool) -> list[str]:
    known = set(QueueState.objects.using(connection.alias).filter(pk__in=names).values_list("pk", flat=True))
    for name in names:
        if name in known:
            continue
        if name not in Queue.declared and name != "default":
            raise Refused(f"There is no queue named {name!r}. `durable queues` tells which there are.", "QueueNotFound")
        desk.add(connection, name, paused=False, overrides=None)  # no worker has written its row yet
    return desk.turn_over(connection, names, paused=paused)


def _arguments(parser: ArgumentParser) -> None:
    words = parser.add_subparsers(dest="act", metavar="pause|resume")
    for name, told in (("pause", "Let nothing of these queues be started."), ("resume", "Let it be started again.")):
        its = add_act(words, name, told)
        its.add_argument("names", nargs="+", metavar="QUEUE")


def _run(output: Output, given: Namespace) -> int:
    return _list(output, given) if given.act is None else _turn_over(output, given, paused=given.act == "pause")


QUEUES = Subcommand(
    name="queues", help="Queues, with what is in them; queues pause|resume QUEUE ...", arguments=_arguments, run=_run
)
