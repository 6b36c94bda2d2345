"""
Schedules made and managed at run time; each function is one call through the door.

What they change joins the caller's transaction. In a workflow each call is one recorded step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, cast

from durable_workflows import runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.recurrence import ScheduleInput, schedule_input, valid_schedule_name
from durable_workflows.serializers import register_type
from durable_workflows.status import ScheduleStatus
from durable_workflows.texts import valid_text

STATES = ("ACTIVE", "PAUSED", "FINISHED")

register_type(ScheduleStatus, name="durable_workflows.ScheduleStatus")  # what a workflow is told is recorded


def create_schedule(  # noqa: PLR0913  # the public door's parameters
    name: str,
    workflow: Callable[..., Any] | str,
    cron: str | None = None,
    context: Any = None,
    timezone: str | None = None,
    catch_up: Literal["skip", "last", "all"] = "skip",
    queue: str | None = None,
    *,
    overlap: Literal["allow", "skip"] = "allow",
    interval_seconds: float | None = None,
    jitter_seconds: float = 0.0,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> None:
    """
    Start a workflow at each tick from now on, as ``f(scheduled_time, context)``, once per tick across all workers.

    :param name: 1 to 255 characters; the ids of its runs have it in them.
    :param workflow: a function decorated with ``@workflow``, or its name; runs of an unknown name wait visibly.
    :param cron: five fields, or six with seconds first; None with ``interval_seconds``.
    :param context: any value that can be stored; each run gets it.
    :param timezone: the IANA name of the zone in which the cron fields are read; None: UTC.
    :param catch_up: what becomes of ticks missed while no worker ran: none, the last, or all of them are started.
    :param queue: where the runs are put; None: the workflow's queue.
    :param overlap: "skip" passes a tick over, and counts it, while an earlier run of this schedule is unfinished.
    :param interval_seconds: at least 1: a tick every so often, counted from ``starts_at``, or from now.
    :param jitter_seconds: put each start off by up to so much, but not to the next tick; the tick stays what it is.
    :param starts_at: an aware datetime before which there is no tick; ``ends_at``: one after which there is none.
    :raises InvalidUse: for a field that cannot be what it is.
    :raises NotSerializable: if the context cannot be stored.
    :raises ScheduleConflict: if there is a schedule of this name.
    """
    plan = ScheduleInput(
        name, workflow, cron, context, timezone, catch_up, queue, overlap=overlap, interval_seconds=interval_seconds,
        jitter_seconds=jitter_seconds, starts_at=starts_at, ends_at=ends_at,
    )  # fmt: skip
    runtime.here().schedule("create", {"plan": plan})


def apply_schedules(schedules: Sequence[ScheduleInput | Mapping[str, Any]]) -> None:
    """
    Have these schedules exist as described: all of them, or none if one cannot be.

    Made for the start of a deploy, as often and on as many machines as you like. What is so already is left untouched;
    what is new is created; what differs is changed. Paused ones stay paused, and the last tick stays known. With another
    expression, interval, zone or date a schedule begins anew from now. Schedules that are not named are left alone.

    :param schedules: values, or dicts with the parameters of ``create_schedule``.
    :raises InvalidUse: for a field that cannot be what it is, and if a name comes twice.
    :raises NotSerializable: if a context cannot be stored.
    :raises ScheduleConflict: if a name is that of a schedule declared by ``@scheduled``.
    """
    if isinstance(schedules, (str, Mapping)) or not isinstance(schedules, Sequence):
        raise InvalidUse(f"apply_schedules() takes a list of schedules, not {type(schedules).__name__}.")
    plans = [schedule_input(given) for given in schedules]
    names = [plan.name for plan in plans]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidUse(f"Schedule {twice[0]!r} is described twice in one list, so it is open which holds. Keep one.")
    runtime.here().schedule("apply", {"plans": plans})


def list_schedules(
    status: str | Sequence[str] | None = None,
    workflow_name: str | Sequence[str] | None = None,
    schedule_name_prefix: str | Sequence[str] | None = None,
) -> list[ScheduleStatus]:
    """
    The schedules that fit, those declared by ``@scheduled`` too, in the order of their names.

    :param status: "ACTIVE", "PAUSED" or "FINISHED", or a list of them.
    :param workflow_name: the name of a workflow, or a list of names.
    :param schedule_name_prefix: with what the schedule's name begins, literally; or a list.
    :raises InvalidUse: for another status, and for what is no text.
    """
    states = _texts(status, "A status")
    if unknown := [state for state in states or () if state not in STATES]:
        raise InvalidUse(f"The status of a schedule is one of {', '.join(STATES)}, not {unknown[0]!r}.")
    filters = {
        "states": states,
        "workflows": _texts(workflow_name, "The name of a workflow"),
        "prefixes": _texts(schedule_name_prefix, "The beginning of a schedule's name"),
    }
    return cast("list[ScheduleStatus]", runtime.here().schedule("list", filters))


def get_schedule(name: str) -> ScheduleStatus | None:
    """The schedule as it stands; None if there is none of this name."""
    return cast("ScheduleStatus | None", runtime.here().schedule("get", {"name": valid_schedule_name(name)}))


def pause_schedule(name: str) -> None:
    """
    Fire no ticks until it is resumed; one that is paused stays so. Runs that were started go on.

    :raises ScheduleNotFound: if there is none of this name.
    """
    runtime.here().schedule("pause", {"name": valid_schedule_name(name)})


def resume_schedule(name: str) -> None:
    """
    Fire ticks again, from the next one on; ``backfill_schedule`` starts those of the pause. One not paused stays as it is.

    :raises ScheduleNotFound: if there is none of this name.
    :raises InvalidUse: if its row was edited to what no schedule can be.
    """
    runtime.here().schedule("resume", {"name": valid_schedule_name(name)})


def trigger_schedule(name: str) -> WorkflowHandle[Any]:
    """
    Start a run now, whatever the ticks, a pause or ``overlap`` say.

    :returns: its handle; the id is ``sched-{name}-trigger-{time}``.
    :raises ScheduleNotFound: if there is none of this name.
    """
    return WorkflowHandle(runtime.here().schedule("trigger", {"name": valid_schedule_name(name)}))


def backfill_schedule(name: str, start: datetime, end: datetime) -> list[WorkflowHandle[Any]]:
    """
    Start the runs of all ticks strictly between two moments, whatever a pause, ``catch_up`` or ``overlap`` say.

    A tick has the same run whoever starts it, so one that was fired is not run again. All are started, or none.

    :param start: naive: in UTC; ``end``: the same.
    :returns: the runs' handles, in the order of the ticks.
    :raises ScheduleNotFound: if there is none of this name.
    :raises InvalidUse: if ``end`` is before ``start``, or for more than 10,000 ticks.
    """
    begin, until = _moment(start, "start"), _moment(end, "end")
    if until < begin:
        raise InvalidUse(f"The time to backfill ends at {until.isoformat()}, before it starts at {begin.isoformat()}.")
    arguments = {"name": valid_schedule_name(name), "start": begin, "end": until}
    return [WorkflowHandle(run_id) for run_id in runtime.here().schedule("backfill", arguments)]


def delete_schedule(name: str) -> None:
    """
    Remove a schedule; its runs stay. One declared by ``@scheduled`` comes back with the next worker that declares it.

    :raises ScheduleNotFound: if there is none of this name.
    """
    runtime.here().schedule("delete", {"name": valid_schedule_name(name)})


def _texts(given: str | Sequence[str] | None, what: str) -> list[str] | None:
    if given is None:
        return None
    return [valid_text(text, what) for text in ([given] if isinstance(given, str) else list(given))]


def _moment(given: Any, name: str) -> datetime:
    if not isinstance(given, datetime):
        raise InvalidUse(f"{name} is a datetime, not {given!r:.80}.")
    try:
        return given.replace(tzinfo=UTC) if given.utcoffset() is None else given.astimezone(UTC)
    except OverflowError as error:
        raise InvalidUse(f"{name} is at the end of the calendar: {given!r:.80}.") from error
