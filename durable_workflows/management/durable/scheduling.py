"""``schedules``: when each fires next; pausing, resuming, triggering, backfilling and deleting them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from durable_workflows import (
    ScheduleStatus,
    backfill_schedule,
    delete_schedule,
    list_schedules,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
)
from durable_workflows.exceptions import DurableError
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_act
from durable_workflows.management.durable.parsing import moment as parse_moment
from durable_workflows.management.durable.subcommand import DONE, REFUSED, Refused, Subcommand
from durable_workflows.management.durable.tables import Cell, Column, Table
from durable_workflows.management.durable.text import plain
from durable_workflows.serializers import dumps
from durable_workflows.words import moment, split_name

COLUMNS = (
    Column(title="STATUS"),
    Column(title="SCHEDULE"),
    Column(title="WORKFLOW", least=110),
    Column(title="WHEN"),
    Column(title="NEXT"),
    Column(title="LAST", least=110),
    Column(title="NOTE", least=130),
)
STYLES = {"ACTIVE": "good", "PAUSED": "wait", "FINISHED": "quiet"}


def _list(output: Output, given: Namespace) -> int:
    found = list_schedules()
    if output.json:
        output.document([_document(schedule) for schedule in found])
        return DONE
    output.table(Table(columns=COLUMNS, rows=[_row(each) for each in found], empty="There are no schedules."))
    return DONE


def _document(schedule: ScheduleStatus) -> dict[str, Any]:
    return {**asdict(schedule), "context": plain(dumps(schedule.context, what="context"))}


def _row(schedule: ScheduleStatus) -> list[Cell | str]:
    zone = "" if schedule.timezone == "UTC" else f" {schedule.timezone}"
    when = f"every {schedule.interval_seconds:g} s" if schedule.interval_seconds else f"{schedule.cron}{zone}"
    return [
        Cell(schedule.status.lower(), STYLES[schedule.status]),
        schedule.name,
        split_name(schedule.workflow_name)[0],
        when,
        moment(schedule.next_fire_at),
        Cell(moment(schedule.last_fire_at), "quiet"),
        Cell(schedule.note or "", "bad"),
    ]


def _each(verb: Callable[[str], None], done: str) -> Callable[[Output, Namespace], int]:
    def run(output: Output, given: Namespace) -> int:
        came, refused = _by_name(given.names, verb)
        for name in came:
            output.say(f"Schedule {name} was {done}.")
        if output.json:
            output.document({done: [*came], "refused": refused})
        return _with_refusals(output, refused)

    return run


def _by_name(names: Sequence[str], do: Callable[[str], Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What came of it for each name, and for which it was refused, and why; there is a schedule of each, or nothing is done."""
    came: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name in _known(names):
        try:
            came[name] = do(name)
        except DurableError as error:
            refused[name] = str(error)
    return came, refused


def _with_refusals(output: Output, refused: dict[str, str]) -> int:
    for name, why in refused.items():
        output.say(f"{name}: {why}", "bad")
    return REFUSED if refused else DONE


def _known(given: Sequence[str]) -> list[str]:
    """
    Those names, each once.

    :raises Refused: if there is no schedule of one; nothing is done to the others then.
    """
    names = list(dict.fromkeys(given))
    there = {schedule.name for schedule in list_schedules()}
    if unknown := [name for name in names if name not in there]:
        raise Refused(f"There is no schedule {', '.join(map(repr, unknown))}. Nothing was done. `durable schedules` tells which"
                      " there are.", "ScheduleNotFound", schedules=unknown)  # fmt: skip
    return names


def _trigger(output: Output, given: Namespace) -> int:
    came, refused = _by_name(given.names, lambda name: trigger_schedule(name).workflow_id)
    _started(output, [*came.values()], runs=came, refused=refused)
    return _with_refusals(output, refused)


def _backfill(output: Output, given: Namespace) -> int:
    handles = backfill_schedule(given.name, given.since, given.until)
    return _started(output, [handle.workflow_id for handle in handles])


def _started(output: Output, ids: list[str], **more: Any) -> int:
    if output.json:
        output.document({"workflow_ids": ids, **more})
    for workflow_id in ids:
        output.say(f"Started {workflow_id}." if output.is_screen else workflow_id)
    return DONE


ACTS: dict[str, tuple[str, Callable[[Output, Namespace], int]]] = {
    "pause": ("Fire no ticks until they are resumed.", _each(pause_schedule, "paused")),
    "resume": ("Fire ticks again, from the next one on.", _each(resume_schedule, "resumed")),
    "trigger": ("Start a run now.", _trigger),
    "backfill": ("Start the runs of all ticks between two moments.", _backfill),
    "delete": ("Remove schedules; their runs stay.", _each(delete_schedule, "deleted")),
}


def _arguments(parser: ArgumentParser) -> None:
    words = parser.add_subparsers(dest="act", metavar="|".join(ACTS))
    for name, (told, _) in ACTS.items():
        its = add_act(words, name, told)
        if name == "backfill":
            its.add_argument("name", metavar="SCHEDULE")
            its.add_argument("--from", dest="since", type=parse_moment, required=True, metavar="WHEN", help="Or a span: 2d.")
            its.add_argument("--to", dest="until", type=parse_moment, required=True, metavar="WHEN", help="Likewise.")
        else:
            its.add_argument("names", nargs="+", metavar="SCHEDULE")


def _run(output: Output, given: Namespace) -> int:
    return _list(output, given) if given.act is None else ACTS[given.act][1](output, given)


SCHEDULES = Subcommand(
    name="schedules",
    help="Schedules, with their next ticks; schedules pause|resume|trigger|backfill|delete ...",
    arguments=_arguments,
    run=_run,
)
