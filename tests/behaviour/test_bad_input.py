"""Bad input: each a clear error that says what and where; nothing is lost, nothing spins, and the worker lives on."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

import durable_workflows as durable
from durable_workflows import InvalidUse, NotSerializable, SetWorkflowID, WorkflowNotFound
from durable_workflows.models import StepRun, WorkflowRun, sweeps
from durable_workflows.testing import drain, durable_worker
from tests.behaviour import programs
from tests.engine.isolation import DATABASE

pytestmark = pytest.mark.django_db(transaction=True)


def run_by_worker(*handles: durable.WorkflowHandle[Any]) -> None:
    """Let a real worker loop deal with bad runs, and prove that it then still works."""
    with durable_worker(threads=2):
        for handle in handles:
            with pytest.raises(durable.DurableError):
                handle.get_result(timeout=20)
        assert programs.greet.start("you").get_result(timeout=20) == "hello you"


class TestArguments:
    def test_an_argument_that_cannot_be_stored_starts_nothing(self) -> None:
        with pytest.raises(NotSerializable, match=r"arguments of 'tests\.behaviour\.programs\.greet'"):
            programs.greet.start(object())
        with pytest.raises(NotSerializable, match="greet"):
            programs.greet({1, math.inf})  # type: ignore[arg-type] - bad on purpose
        assert not WorkflowRun.objects.exists()

    def test_a_result_that_cannot_be_stored_fails_the_run_and_says_whose_it_is(self) -> None:
        handle = programs.returns_object.start()
        drain()
        with pytest.raises(NotSerializable, match="returns_object"):
            handle.get_result(timeout=1)
        assert programs.written("write") == 1

    @pytest.mark.parametrize("program", [programs.returns_unstorable_step, programs.returns_nan])
    def test_a_step_whose_result_cannot_be_stored_is_not_done(self, program: Any) -> None:
        handle = program.start()
        drain()
        with pytest.raises(NotSerializable, match="step"):
            handle.get_result(timeout=1)
        assert programs.written("unstorable") == 0
        assert StepRun.objects.get(run_id=handle.workflow_id).output is None

    def test_wrong_arguments_fail_the_run_as_python_would(self) -> None:
        handle = durable.start_workflow(programs.greet, "a", "b", "c")
        drain()
        with pytest.raises(TypeError, match="positional argument"):
            handle.get_result(timeout=1)

    def test_arguments_may_have_the_names_of_our_own_parameters(self) -> None:
        handles = [
            durable.start_workflow(programs.names, target="target", self="self"),
            durable.Queue("default").enqueue(programs.names, target="target", self="self"),
            programs.names.start(target="target", self="self"),
        ]
        drain()
        assert [handle.get_result(timeout=1) for handle in handles] == ["target self"] * 3


class TestRows:
    def test_an_unknown_name_waits_visibly_and_loses_nothing(self) -> None:
        handle = durable.start_workflow("nobody.knows", 1)
        with durable_worker(threads=2):
            assert programs.greet.start("you").get_result(timeout=20) == "hello you"
        assert handle.run.status == "ENQUEUED"
        assert handle.run.attempt == 0

    @pytest.mark.parametrize("payload", ["{", "[]", '{"args": 1}', '{"$": "unknown"}', "nonsense"])
    def test_corrupted_arguments_wait_visibly_until_they_are_mended(self, payload: str) -> None:
        handle = programs.greet.start("you")
        sound = handle.run.inputs
        WorkflowRun.objects.filter(pk=handle.workflow_id).update(inputs=payload)
        drain()
        run = handle.run
        assert (run.status, run.stranded, run.attempt) == ("ENQUEUED", "payload", 1)
        assert handle.workflow_id in str(run.note)

        WorkflowRun.objects.filter(pk=handle.workflow_id).update(inputs=sound)
        durable.resume_workflow(handle.workflow_id)
        drain()
        assert handle.get_result(timeout=1) == "hello you"

    def test_a_corrupted_checkpoint_waits_visibly_before_anything_new_happens(self) -> None:
        handle = programs.writes_then_listens.start()
        drain()
        sound = StepRun.objects.get(run_id=handle.workflow_id).output
        StepRun.objects.filter(run_id=handle.workflow_id).update(output="{")
        durable.send(handle.workflow_id, "second", "topic")
        drain()
        assert (handle.run.status, handle.run.stranded) == ("ENQUEUED", "payload")
        assert programs.written("write") == 1

        StepRun.objects.filter(run_id=handle.workflow_id).update(output=sound)
        durable.resume_workflow(handle.workflow_id)
        drain()
        assert handle.get_result(timeout=1) == "second"
        assert programs.written("write") == 2


class TestIds:
    @pytest.mark.parametrize("workflow_id", ["", "  ", "\t", "x" * 256, "a\0b", 5, None])
    def test_what_cannot_be_an_id_is_refused(self, workflow_id: Any) -> None:
        with pytest.raises(InvalidUse):
            SetWorkflowID(workflow_id)

    def test_case_and_trailing_spaces_tell_ids_apart(self) -> None:
        ids = ["Order", "order", "order ", " order", "ordér", "order\u00a0"]
        for workflow_id in ids:
            with SetWorkflowID(workflow_id):
                programs.greet.start(workflow_id)
        drain()
        assert {run_id: durable.get_result(run_id, 1) for run_id in ids} == {i: f"hello {i}" for i in ids}
        assert WorkflowRun.objects.count() == len(ids)

    def test_the_longest_id_works_and_its_children_have_shorter_names(self) -> None:
        with SetWorkflowID("x" * 255):
            handle = programs.greet.start("long")
        drain()
        assert handle.get_result(timeout=1) == "hello long"

    @pytest.mark.parametrize("length", range(249, 256))
    def test_a_step_of_a_run_with_a_long_id_starts_its_children(self, length: int) -> None:
        with SetWorkflowID("x" * length):
            handle = programs.starts_two_in_a_step.start()
        drain()
        children = set(handle.get_result(timeout=1))
        assert len(children) == 2
        assert {durable.get_result(child, 1) for child in children} == {"hello first", "hello second"}

    def test_the_same_id_is_the_same_run_and_another_workflow_an_error(self) -> None:
        for name in ("first", "second"):
            with SetWorkflowID("one"):
                programs.greet.start(name)
        drain()
        assert durable.get_result("one", 1) == "hello first"
        with pytest.raises(durable.WorkflowConflict, match="naps"), SetWorkflowID("one"):
            programs.naps.start(1)


LONG, NUL, HALF = "x" * 256, "a\0b", "a\ud800b"


class TestTexts:
    @pytest.mark.parametrize(
        "say",
        [
            lambda text: durable.send("nobody", 1, topic=text),
            lambda text: durable.send("nobody", 1, idempotency_key=text),
            lambda text: durable.send(text, 1),
            lambda text: durable.get_event("nobody", text, timeout_seconds=0),
            lambda text: durable.get_event(text, "key", timeout_seconds=0),
            lambda text: durable.get_result(text, 0),
            durable.get_workflow_status,
            durable.retrieve_workflow,
            durable.cancel_workflow,
            lambda text: durable.resume_workflows([text]),
            durable.start_workflow,
            durable.Queue("default").enqueue,
            lambda text: durable.workflow(name=text)(lambda: None),
            lambda text: durable.step(name=text)(lambda: None),
            lambda text: durable.workflow(version=text),
        ],
    )
    def test_what_no_database_can_store_is_refused_before_one_is_asked(self, say: Callable[[Any], Any]) -> None:
        with transaction.atomic():
            for text in (LONG, NUL, HALF, 5):
                with pytest.raises(InvalidUse):
                    say(text)
            assert not WorkflowRun.objects.exists(), "the transaction is still in order"

    @pytest.mark.parametrize("user", [LONG, NUL, HALF])
    def test_the_name_of_a_user(self, user: str) -> None:
        with pytest.raises(InvalidUse, match="name of a user"):
            durable.SetWorkflowUser(user)

    def test_nobody_is_no_user_of_that_name(self) -> None:
        with durable.SetWorkflowUser("anna"), durable.SetWorkflowUser(None):
            assert programs.greet.start("you").run.user is None

    @pytest.mark.parametrize(
        "value", [Decimal(1), math.nan, math.inf, NUL, HALF, {"deep": [{"er": NUL}]}, {NUL: 1}, {1, 2}, b""]
    )
    def test_attributes_that_are_not_json(self, value: Any) -> None:
        with pytest.raises(NotSerializable, match="attributes"):
            durable.SetWorkflowAttributes({"a": value})

    def test_attributes_are_those_of_the_moment(self) -> None:
        attributes = {"a": [1, "\\u0000", "größer", None, {"b": 1.5}]}
        with durable.SetWorkflowAttributes(attributes):
            attributes["a"].append("later")
            handle = programs.greet.start("you")
        assert handle.run.attributes == {"a": [1, "\\u0000", "größer", None, {"b": 1.5}]}

    @pytest.mark.parametrize("limit", ["3", -1, 1.5, True])
    def test_what_cannot_be_a_number_of_recoveries(self, limit: Any) -> None:
        with pytest.raises(InvalidUse, match="max_recovery_attempts"):
            durable.workflow(max_recovery_attempts=limit)

    def test_a_step_may_name_the_database_of_the_runs_and_no_other(self) -> None:
        assert durable.step(using="default", name="tests.using")(lambda: 5)() == 5
        with pytest.raises(InvalidUse, match="using"):
            durable.step(using="other")


class TestTime:
    @pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf, "5", None, True])
    def test_what_cannot_be_slept_fails_the_run(self, seconds: Any) -> None:
        if isinstance(seconds, float) and not math.isfinite(seconds):
            with pytest.raises(NotSerializable):
                programs.naps.start(seconds)
            return
        handle = programs.naps.start(seconds)
        drain()
        with pytest.raises(InvalidUse, match="seconds"):
            handle.get_result(timeout=1)

    @pytest.mark.parametrize("seconds", [3e11, 1e13, 10**400, 1e10, 10**10])
    @pytest.mark.parametrize("program", [programs.naps, programs.listens])
    def test_a_wait_that_no_database_can_tell_the_end_of_fails_the_run(self, program: Any, seconds: Any) -> None:
        handle = program.start(seconds)
        drain()
        with pytest.raises(InvalidUse, match=r"under 10,000,000,000"):
            handle.get_result(timeout=1)

    @pytest.mark.parametrize("program", [programs.naps, programs.listens])
    def test_a_wait_of_three_hundred_years_is_a_wait(self, program: Any) -> None:
        handle = program.start(9e9)
        drain()
        assert handle.run.status == "WAITING"
        assert sweeps.pulse(connection, ["default"]).next_due == handle.run.due_at

    def test_a_moment_in_the_last_of_all_years_fails_the_run(self) -> None:
        handle = programs.naps_until.start(datetime.max.replace(tzinfo=UTC))
        drain()
        with pytest.raises(InvalidUse, match="before the year 9999"):
            handle.get_result(timeout=1)

    @pytest.mark.skipif(DATABASE != "postgresql", reason="it alone stores what Python cannot read")
    def test_a_row_with_a_moment_that_cannot_be_read_hides_no_other(self) -> None:
        handles = [programs.naps.start(60), programs.naps.start(60)]
        drain()
        with connection.cursor() as cursor:
            for handle, due in zip(handles, ("infinity", "11533-01-01"), strict=True):
                cursor.execute(f"UPDATE {WorkflowRun._meta.db_table} SET due_at = %s WHERE id = %s", [due, handle.workflow_id])
        assert sweeps.pulse(connection, ["default"]).next_due is None
        with durable_worker(threads=2):
            assert programs.naps.start(1.2).get_result(timeout=20) is None

    def test_a_naive_datetime_fails_the_run(self) -> None:
        handle = programs.naps_until.start(datetime(2030, 1, 1))
        drain()
        with pytest.raises(InvalidUse, match="time zone"):
            handle.get_result(timeout=1)

    def test_a_moment_that_has_passed_is_no_wait(self) -> None:
        handle = programs.naps_until.start(datetime.now(UTC) - timedelta(days=1))
        drain()
        assert handle.get_result(timeout=1) is None

    @pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "every day", "0 0 1-100000000 * *"])
    def test_a_cron_expression_with_an_error_is_refused_at_decoration(self, cron: str) -> None:
        with pytest.raises(InvalidUse):
            durable.scheduled(cron)

    @pytest.mark.parametrize("timeout", [-1, "5", math.inf])
    def test_what_cannot_be_a_timeout_is_refused(self, timeout: Any) -> None:
        with pytest.raises(InvalidUse, match="timeout"):
            durable.get_event("x", "key", timeout_seconds=timeout)


class TestUnknownRuns:
    def test_a_message_to_a_run_that_does_not_exist(self) -> None:
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            durable.send("nobody", "hello")
        handle = programs.writes_to.start("nobody")
        drain()
        with pytest.raises(WorkflowNotFound, match="'nobody'"):
            handle.get_result(timeout=1)

    @pytest.mark.parametrize("ask", [durable.get_result, durable.retrieve_workflow, durable.cancel_workflow,
                                     durable.resume_workflow])  # fmt: skip
    def test_asking_for_a_run_that_does_not_exist(self, ask: Any) -> None:
        with pytest.raises(WorkflowNotFound) as raised:
            ask("nobody")
        assert raised.value.workflow_id == "nobody"
        assert durable.get_workflow_status("nobody") is None

    def test_all_or_none_when_one_of_several_does_not_exist(self) -> None:
        handle = programs.greet.start("you")
        with pytest.raises(WorkflowNotFound):
            durable.cancel_workflows([handle.workflow_id, "nobody"])
        assert handle.run.status == "ENQUEUED"

    def test_awaiting_it_in_a_workflow(self) -> None:
        handle = programs.awaits.start("nobody")
        run_by_worker(handle)


class TestWhatThisVersionCannotKeep:
    @pytest.mark.parametrize("parameters", [{"validate_args": True}, {"max_attempts": 2}])
    def test_parameters_of_a_workflow(self, parameters: dict[str, Any]) -> None:
        with pytest.raises(InvalidUse, match="cannot be kept"):
            durable.workflow(**parameters)

    def test_async_definitions(self) -> None:
        async def later() -> None:
            pass

        for decorate in (durable.workflow, durable.step, durable.transaction):
            with pytest.raises(InvalidUse, match="async def"):
                decorate(later)
