"""Schedules made and managed at run time: outside, in a workflow, in a step, and in the caller's transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

import durable_workflows as durable
from durable_workflows import (
    DurableError,
    InvalidUse,
    ScheduleConflict,
    ScheduleInput,
    ScheduleNotFound,
    ScheduleStatus,
    WorkflowHandle,
    apply_schedules,
    backfill_schedule,
    create_schedule,
    delete_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    registry,
    resume_schedule,
    trigger_schedule,
)
from durable_workflows.engine import client
from durable_workflows.models import Schedule, StepRun, WorkflowRun, planning
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.testing import drain, lose
from durable_workflows.worker import scheduling
from tests.engine.elsewhere import in_threads
from tests.engine.isolation import DATABASE, at_each_level
from tests.engine.test_lost_sessions import end_session
from tests.engine.ticking import LONG_AGO, now, put_tick, run_ids, ticked, ticks_and_waits

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("committing", "unparked")]

NAME = "feed"
HOURLY, YEARLY = "0 * * * *", "0 0 1 1 *"


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of this process declares no schedules."""
    monkeypatch.setattr(registry, "_schedules", {})


def existing(name: str = NAME) -> ScheduleStatus:
    found = get_schedule(name)
    assert found is not None
    return found


# -- create, get, list, delete


def test_a_schedule_is_created_and_told_of() -> None:
    begin, end = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    create_schedule(
        NAME, ticked, "0 9 * * MON-FRI", {"url": "https://example.org"}, "Europe/Berlin", "last", "mail",
        overlap="skip", jitter_seconds=30, starts_at=begin, ends_at=end,
    )  # fmt: skip
    status = existing()
    assert (status.name, status.workflow_name, status.status) == (NAME, "tests.ticked", "ACTIVE")
    assert (status.cron, status.interval_seconds, status.timezone) == ("0 9 * * MON-FRI", None, "Europe/Berlin")
    assert (status.context, status.catch_up, status.overlap) == ({"url": "https://example.org"}, "last", "skip")
    assert (status.jitter_seconds, status.starts_at, status.ends_at, status.queue) == (30.0, begin, end, "mail")
    assert (status.in_code, status.last_fire_at, status.skipped, status.note) == (False, None, 0, None)
    tick = datetime(2030, 1, 1, 8, tzinfo=UTC)  # a Tuesday
    assert status.next_fire_at is not None
    assert tick <= status.next_fire_at < tick + timedelta(seconds=30)
    assert status.created_at <= status.updated_at


def test_an_unknown_schedule() -> None:
    assert get_schedule("nobody") is None
    span = datetime(2025, 1, 1), datetime(2025, 1, 2)
    for verb in (
        pause_schedule,
        resume_schedule,
        trigger_schedule,
        delete_schedule,
        lambda name: backfill_schedule(name, *span),
    ):
        with pytest.raises(ScheduleNotFound, match=r"no schedule named 'nobody'\. list_schedules\(\)") as raised:
            verb("nobody")
        assert raised.value.schedule_name == "nobody"
    assert not WorkflowRun.objects.exists()


def test_a_name_that_is_taken_is_an_error_and_changes_nothing() -> None:
    create_schedule(NAME, ticked, HOURLY)
    with pytest.raises(ScheduleConflict, match=r"already a schedule named 'feed'.*apply_schedules") as raised:
        create_schedule(NAME, ticks_and_waits, "* * * * *")
    assert raised.value.schedule_name == NAME
    assert (existing().cron, existing().workflow_name) == (HOURLY, "tests.ticked")


def test_two_that_create_a_schedule_at_once_get_one_and_an_error() -> None:
    def create(cron: str) -> str:
        try:
            create_schedule(NAME, ticked, cron)
        except ScheduleConflict:
            return "refused"
        return cron

    came = in_threads([partial(create, f"{minute} * * * *") for minute in range(6)])
    assert came.count("refused") == 5
    assert existing().cron in came


def test_names_differ_by_case_and_by_a_space_at_the_end() -> None:
    for name in ("feed", "Feed", "feed "):
        create_schedule(name, ticked, HOURLY)
    delete_schedule("Feed")
    assert [schedule.name for schedule in list_schedules()] == ["feed", "feed "]


def test_schedules_are_listed_by_what_they_are() -> None:
    for name, workflow in (("a_b", ticked), ("a-b", ticked), ("B", ticks_and_waits), ("b%", ticks_and_waits)):
        create_schedule(name, workflow, HOURLY)
    create_schedule("over", ticked, HOURLY, ends_at=LONG_AGO)
    pause_schedule("B")

    def names(**filters: Any) -> list[str]:
        return [schedule.name for schedule in list_schedules(**filters)]

    assert names() == ["B", "a-b", "a_b", "b%", "over"]
    assert names(status="PAUSED") == ["B"]
    assert names(status="ACTIVE") == ["a-b", "a_b", "b%"]
    assert names(status=["PAUSED", "FINISHED"]) == ["B", "over"]
    assert names(workflow_name="tests.ticks_and_waits") == ["B", "b%"]
    assert names(workflow_name=["tests.ticked"], status="ACTIVE") == ["a-b", "a_b"]
    assert names(schedule_name_prefix="a_") == ["a_b"]
    assert names(schedule_name_prefix=["b", "o"]) == ["b%", "over"]
    assert names(schedule_name_prefix="") == names()
    assert names(status=[]) == []
    with pytest.raises(InvalidUse, match="one of ACTIVE, PAUSED, FINISHED, not 'active'"):
        list_schedules(status="active")


def test_a_deleted_schedule_fires_no_more_and_its_runs_stay() -> None:
    create_schedule(NAME, ticked, HOURLY)
    handle = trigger_schedule(NAME)
    put_tick(NAME, timedelta(seconds=5))
    delete_schedule(NAME)
    assert scheduling.fire_due() == 0
    assert get_schedule(NAME) is None
    assert run_ids(NAME) == [handle.workflow_id]


def test_a_context_that_cannot_be_read_does_not_keep_a_schedule_from_being_told_of() -> None:
    create_schedule(NAME, ticked, HOURLY, context="fine")
    Schedule.objects.update(context='{"$":"type","name":"gone","v":1}')
    (status,) = list_schedules()
    assert status.context is None
    assert "gone" in str(status.note)


# -- who calls


@durable.workflow(name="tests.plans")
def plans() -> list[Any]:
    create_schedule(NAME, ticked, HOURLY, context=("of", "a workflow"))
    apply_schedules([{"name": "other", "workflow": ticked, "interval_seconds": 60}])
    found = [get_schedule(NAME), get_schedule("nobody")]
    told = [schedule.name for schedule in list_schedules()]
    pause_schedule(NAME)
    resume_schedule(NAME)
    triggered = trigger_schedule(NAME)
    handles = backfill_schedule(NAME, datetime(2025, 5, 1), datetime(2025, 5, 1, 3))
    delete_schedule("other")
    try:
        delete_schedule("other")
    except ScheduleNotFound as error:
        refused = error.schedule_name
    return [found[0].context, found[1], told, triggered.workflow_id, [handle.workflow_id for handle in handles], refused]


def test_in_a_workflow_each_call_is_one_recorded_step() -> None:
    handle = plans.start()
    drain()
    came = handle.get_result(timeout=1)
    context, nobody, told, triggered, backfilled, refused = came
    assert (context, nobody, told, refused) == (("of", "a workflow"), None, [NAME, "other"], "other")
    assert triggered.startswith(f"sched-{NAME}-trigger-")
    assert backfilled == [f"sched-{NAME}-2025-05-01T0{hour}:00:00+00:00" for hour in (1, 2)]
    steps = list(StepRun.objects.filter(run_id=handle.workflow_id).order_by("position").values_list("name", flat=True))
    assert steps == [
        f"durable.{name}"
        for name in ("create_schedule", "apply_schedules", "get_schedule", "get_schedule", "list_schedules", "pause_schedule",
                     "resume_schedule", "trigger_schedule", "backfill_schedule", "delete_schedule", "delete_schedule")
    ]  # fmt: skip
    before = run_ids(NAME)
    Schedule.objects.all().delete()
    lose(handle.workflow_id)
    drain()
    assert handle.get_result(timeout=1) == came, "a replay is told what was recorded"
    assert run_ids(NAME) == before
    assert not Schedule.objects.exists(), "and does nothing again"


@durable.step(name="tests.plans_in_a_step")
def plans_in_a_step(fails: bool) -> str:
    create_schedule(NAME, ticked, HOURLY)
    triggered = trigger_schedule(NAME).workflow_id
    assert existing().name == NAME
    if fails:
        raise LookupError("after all")
    return triggered


@durable.workflow(name="tests.plans_by_a_step")
def plans_by_a_step(fails: bool) -> str:
    return plans_in_a_step(fails)


def test_in_a_step_it_is_part_of_the_step() -> None:
    failed, done = plans_by_a_step.start(True), None
    drain()
    with pytest.raises(LookupError):
        failed.get_result(timeout=1)
    assert (get_schedule(NAME), run_ids(NAME)) == (None, [])
    done = plans_by_a_step.start(False)
    drain()
    assert run_ids(NAME) == [done.get_result(timeout=1)]


def test_in_a_transaction_it_exists_if_that_commits() -> None:
    with transaction.atomic():
        create_schedule(NAME, ticked, HOURLY)
        trigger_schedule(NAME)
        transaction.set_rollback(True)
    assert (get_schedule(NAME), run_ids(NAME)) == (None, [])
    with transaction.atomic():
        create_schedule(NAME, ticked, HOURLY)
        with pytest.raises(ScheduleConflict):
            create_schedule(NAME, ticked, HOURLY)
        pause_schedule(NAME)
    assert existing().status == "PAUSED"


# -- lost replies


@pytest.mark.skipif(DATABASE == "sqlite", reason="it has no session that could be lost")
@pytest.mark.parametrize("verb", ["create", "apply", "trigger", "backfill", "delete"])
def test_a_call_whose_reply_was_lost_is_made_again_and_happens_once(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The COMMIT is done, and the client hears that the session broke."""
    if verb not in ("create", "apply"):
        create_schedule(NAME, ticked, HOURLY, context=[1])
    calls: list[object] = []

    def lose_first_reply(work: Any, *args: Any) -> Any:
        came = in_write_transaction(work, *args)
        calls.append(came)
        if len(calls) == 1:
            end_session()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        return came

    monkeypatch.setattr(client, "in_write_transaction", lose_first_reply)
    deeds = {
        "create": partial(create_schedule, NAME, ticked, HOURLY, [1]),
        "apply": partial(apply_schedules, [{"name": NAME, "workflow": ticked, "cron": HOURLY}]),
        "trigger": partial(trigger_schedule, NAME),
        "backfill": partial(backfill_schedule, NAME, datetime(2025, 5, 1), datetime(2025, 5, 1, 3)),
        "delete": partial(delete_schedule, NAME),
    }
    came: Any = deeds[verb]()
    assert len(calls) == 2
    assert calls[0] == calls[1]
    assert Schedule.objects.count() == (0 if verb == "delete" else 1)
    handles = [came] if verb == "trigger" else came or []
    assert run_ids(NAME) == sorted(handle.workflow_id for handle in handles)


def test_a_repeated_create_does_not_take_anothers_schedule_for_its_own() -> None:
    create_schedule(NAME, ticked, HOURLY)
    mine = ScheduleInput(NAME, ticked, "* * * * *")
    row = Schedule.objects.get()
    assert not planning.holds(connection, mine, row.created_at)
    assert planning.holds(connection, ScheduleInput(NAME, ticked, HOURLY), row.created_at)


# -- apply


def test_apply_creates_changes_and_leaves_alone() -> None:
    create_schedule("left alone", ticked, HOURLY)
    create_schedule("changed", ticked, HOURLY, context=1)
    plans = [
        {"name": "changed", "workflow": "tests.ticked", "cron": HOURLY, "context": 2, "queue": "mail"},
        ScheduleInput("new", ticked, interval_seconds=90),
    ]
    apply_schedules(plans)
    assert [(s.name, s.context, s.queue) for s in list_schedules()] == [
        ("changed", 2, "mail"), ("left alone", None, None), ("new", None, None),
    ]  # fmt: skip
    rows = list(Schedule.objects.order_by("name").values())
    apply_schedules(plans)
    assert list(Schedule.objects.order_by("name").values()) == rows, "what is so already is left untouched"
    apply_schedules([])


def test_apply_keeps_a_pause_the_last_tick_and_the_time_of_creation() -> None:
    create_schedule(NAME, ticked, HOURLY)
    put_tick(NAME, timedelta(seconds=5))
    assert scheduling.fire_due() == 1
    pause_schedule(NAME)
    before = existing()
    apply_schedules([{"name": NAME, "workflow": ticked, "cron": "30 4 * * *"}])
    after = existing()
    assert (after.status, after.last_fire_at, after.created_at) == ("PAUSED", before.last_fire_at, before.created_at)
    assert after.next_fire_at is not None
    assert f"{after.next_fire_at:%H:%M}" == "04:30"


def test_another_expression_begins_anew_and_the_same_one_goes_on() -> None:
    create_schedule(NAME, ticked, HOURLY, catch_up="all")
    put_tick(NAME, timedelta(hours=3))
    apply_schedules([{"name": NAME, "workflow": ticked, "cron": HOURLY, "catch_up": "all", "context": "new"}])
    behind = existing().next_fire_at
    assert behind is not None
    assert behind < now(), "what it missed is still to come"
    apply_schedules([{"name": NAME, "workflow": ticked, "cron": "5 * * * *", "catch_up": "all"}])
    ahead = existing().next_fire_at
    assert ahead is not None
    assert ahead > now()


def test_apply_is_all_or_nothing() -> None:
    Schedule.objects.create(name="of code", workflow_name="x", cron=HOURLY, in_code=True, created_at=now(), updated_at=now())
    good = {"name": NAME, "workflow": ticked, "cron": HOURLY}
    for bad, error in (
        ({"name": "bad", "workflow": ticked, "cron": "nonsense"}, InvalidUse),
        ({"name": "of code", "workflow": ticked, "cron": HOURLY}, ScheduleConflict),
        ({"name": NAME, "workflow": ticked, "cron": HOURLY}, InvalidUse),
        ({"name": "bad", "workflow": ticked, "schedule": HOURLY}, InvalidUse),
        ("bad", InvalidUse),
    ):
        with pytest.raises(error):
            apply_schedules([good, bad])  # type: ignore[list-item]
    with pytest.raises(InvalidUse, match="takes a list"):
        apply_schedules(good)  # type: ignore[arg-type]
    assert [schedule.name for schedule in list_schedules()] == ["of code"]


@at_each_level
def test_deploys_that_apply_at_once_agree(level: str) -> None:
    """Each with its list in another order, some of it there already."""
    create_schedule("s3", ticked, "59 * * * *")
    wanted = [ScheduleInput(f"s{number}", ticked, f"{number} * * * *", context=number) for number in range(6)]
    in_threads([partial(apply_schedules, wanted[shift:] + wanted[:shift]) for shift in range(6)])
    assert [(s.name, s.cron, s.context) for s in list_schedules()] == [(p.name, p.cron, p.context) for p in wanted]


# -- pause, resume, trigger, backfill


def test_what_is_paused_fires_when_it_is_resumed_and_not_before() -> None:
    create_schedule(NAME, ticked, YEARLY, catch_up="all")
    put_tick(NAME, timedelta(hours=3))
    pause_schedule(NAME)
    pause_schedule(NAME)
    assert (scheduling.fire_due(), existing().status) == (0, "PAUSED")
    resume_schedule(NAME)
    status = existing()
    assert (status.status, scheduling.fire_due(), run_ids(NAME)) == ("ACTIVE", 0, []), "ticks of the pause are not made up"
    assert status.next_fire_at is not None
    assert now() < status.next_fire_at <= now() + timedelta(days=366)


def test_resuming_what_is_not_paused_loses_no_tick() -> None:
    create_schedule(NAME, ticked, YEARLY, catch_up="last")
    put_tick(NAME, timedelta(hours=2))
    resume_schedule(NAME)
    assert scheduling.fire_due() == 1


def test_a_trigger_runs_now_though_it_is_paused_or_over() -> None:
    create_schedule(NAME, ticked, HOURLY, context={"a": 1}, queue="mail", ends_at=LONG_AGO)
    pause_schedule(NAME)
    begin = now()
    handle = trigger_schedule(NAME)
    assert isinstance(handle, WorkflowHandle)
    run = handle.run
    assert (run.name, run.queue, run.schedule_name) == ("tests.ticked", "mail", NAME)
    moment = datetime.fromisoformat(handle.workflow_id.removeprefix(f"sched-{NAME}-trigger-"))
    assert begin <= moment <= now()
    drain(queues=["mail"])
    assert handle.get_result(timeout=1) == [moment.isoformat(), {"a": 1}]
    assert trigger_schedule(NAME) != handle


def test_a_workflow_by_name_that_nobody_knows_waits_visibly() -> None:
    create_schedule(NAME, "somewhere.else", HOURLY)
    handle = trigger_schedule(NAME)
    assert (handle.run.name, handle.run.status) == ("somewhere.else", "ENQUEUED")


def test_a_backfill_runs_each_tick_strictly_between_and_none_twice() -> None:
    create_schedule(NAME, ticked, HOURLY, context="c")
    begin = datetime(2025, 5, 1, 0)
    handles = backfill_schedule(NAME, begin, datetime(2025, 5, 1, 4))
    ids = [f"sched-{NAME}-2025-05-01T0{hour}:00:00+00:00" for hour in (1, 2, 3)]
    assert [handle.workflow_id for handle in handles] == ids
    drain()
    assert handles[0].get_result(timeout=1) == ["2025-05-01T01:00:00+00:00", "c"]
    berlin = timedelta(hours=2)
    again = backfill_schedule(NAME, begin.replace(tzinfo=UTC), (begin + 2 * berlin + timedelta(minutes=61)).replace(tzinfo=UTC))
    assert [handle.workflow_id for handle in again] == [*ids, f"sched-{NAME}-2025-05-01T04:00:00+00:00",
                                                        f"sched-{NAME}-2025-05-01T05:00:00+00:00"]  # fmt: skip
    assert drain() == 2, "those that ran before do not run again"
    assert backfill_schedule(NAME, begin, begin) == []


def test_a_tick_that_was_fired_is_not_backfilled_again() -> None:
    create_schedule(NAME, ticked, HOURLY, catch_up="last")
    put_tick(NAME, timedelta(hours=1))
    assert scheduling.fire_due() == 1
    (fired,) = run_ids(NAME)
    tick = existing().last_fire_at
    assert tick is not None
    handles = backfill_schedule(NAME, tick - timedelta(seconds=1), tick + timedelta(seconds=1))
    assert [handle.workflow_id for handle in handles] == [fired]
    assert run_ids(NAME) == [fired]


def test_a_backfill_keeps_to_the_dates() -> None:
    create_schedule(NAME, ticked, interval_seconds=3600, starts_at=datetime(2025, 5, 1, 2, 30, tzinfo=UTC),
                    ends_at=datetime(2025, 5, 1, 5, tzinfo=UTC))  # fmt: skip
    handles = backfill_schedule(NAME, datetime(2025, 5, 1), datetime(2025, 5, 2))
    assert [handle.workflow_id[-14:] for handle in handles] == [f"0{hour}:30:00+00:00" for hour in (2, 3, 4)]


def test_ticks_of_a_name_that_another_workflow_had_are_not_run_again() -> None:
    create_schedule(NAME, ticked, HOURLY)
    span = datetime(2025, 5, 1), datetime(2025, 5, 1, 2)
    (old,) = backfill_schedule(NAME, *span)
    delete_schedule(NAME)
    create_schedule(NAME, ticks_and_waits, HOURLY)
    assert backfill_schedule(NAME, *span) == [old]
    assert old.run.name == "tests.ticked"


def test_long_names_have_ids_that_fit() -> None:
    name = "ü" * 255
    create_schedule(name, ticked, HOURLY)
    handles = [trigger_schedule(name), *backfill_schedule(name, datetime(2025, 5, 1), datetime(2025, 5, 1, 2))]
    assert all(len(handle.workflow_id) <= 255 for handle in handles)
    assert run_ids(name) == sorted(handle.workflow_id for handle in handles)


@pytest.mark.parametrize("verb", [pause_schedule, resume_schedule, trigger_schedule, delete_schedule, get_schedule])
@pytest.mark.parametrize("name", ["", "  ", "x" * 256, None, 7, "a\0b", "\ud800"])
def test_what_cannot_be_a_name_is_refused(verb: Any, name: Any) -> None:
    with pytest.raises(DurableError, match="name of a schedule"):
        verb(name)


@pytest.mark.skipif(DATABASE == "sqlite", reason="its writers wait for each other")
def test_a_deploy_does_not_wait_for_a_row_on_which_it_has_nothing_to_do() -> None:
    """Somebody holds it, in a transaction that may take an hour; and one that is deleted there comes back afterwards."""
    plan = {"name": NAME, "workflow": ticked, "cron": HOURLY}
    apply_schedules([plan])
    with transaction.atomic():
        delete_schedule(NAME)
        in_threads([partial(apply_schedules, [plan])])
    assert get_schedule(NAME) is None
    apply_schedules([plan])
    assert existing().status == "ACTIVE"
