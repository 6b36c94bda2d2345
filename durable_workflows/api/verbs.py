"""
What is done to runs: each verb for one run, whose id is in the address, and for several, whose ids are in the body.

Both call the functions of ``steering`` and ``keeping`` for several runs, which are all or nothing; each has its log entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows import keeping, primitives, steering
from durable_workflows.api import audit, auth
from durable_workflows.api.endpoints import Answer, Call, Endpoint
from durable_workflows.api.fields import Field
from durable_workflows.api.handles import handle_of, handles
from durable_workflows.api.kinds import ANY, FLAG, ID, IDS, LIST, MOMENT, OBJECT, PAIRS_OF_IDS, QUEUE, filled, text, whole
from durable_workflows.api.problems import CONFLICT, NOT_FOUND, Problem
from durable_workflows.api.run_shapes import HANDLE, HANDLES
from durable_workflows.api.sight import PERMISSION
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.models import Message, WorkflowRun, dialects
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.models.waking import lock
from durable_workflows.options import VERSION_MAX_LENGTH, SetWorkflowID

Ids = list[str]
VIEW = "view_workflowrun"  # what answers with a run's name and status needs it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """
    :param call: does it to runs, given their ids and the values of the body; returns the ids of runs that it made, if any.
    :param permission: of this app.
    :param logged: what the log says of each run; in English, as it is stored.
    :param key: the member of the body of one run's endpoint by which a repetition is known; several have none.
    :param makes: whether it makes new runs.
    :param removes: whether it leaves none.
    """

    name: str
    call: Callable[[Ids, Mapping[str, Any]], Any]
    permission: str
    about: str
    logged: str
    body: Sequence[Field] = ()
    key: str = ""
    makes: bool = False
    removes: bool = False

    def act(self, call: Call) -> Answer:
        """Do it to the runs that the request names."""
        values = {name: value for name, value in call.values.items() if name != "workflow_ids"}
        if values.get("args") is not None or values.get("kwargs") is not None:
            auth.require(call.user, PERMISSION)  # as in the admin: who changes values is to see them
        ids: Ids = [call.subject] if call.subject else list(dict.fromkeys(call.values["workflow_ids"]))

        def deed(connection: BaseDatabaseWrapper) -> Answer:
            runs = WorkflowRun.objects.using(connection.alias)
            if self.removes:  # there is nothing left to name afterwards
                audit.log(call.user, self.logged, runs.filter(pk__in=ids), audit.DELETION)
            is_there = values.get("workflow_id") is not None and runs.filter(pk=values["workflow_id"]).exists()
            made = self.call(ids, values)
            if not self.removes and not is_there:
                audit.log(call.user, self.logged, runs.filter(pk__in=ids))
            return self._answer(call, [handle.workflow_id for handle in made] if self.makes else ids, is_new=not is_there)

        return _as_things_stand(partial(in_write_transaction, deed))

    def _answer(self, call: Call, ids: Ids, *, is_new: bool) -> Answer:
        if self.removes:
            return Answer(status=204)
        status = 201 if self.makes and is_new else 200
        if not call.subject:
            return Answer({"runs": handles(ids)}, status)
        return Answer(handle_of(ids[0]), status, run=ids[0] if status == 201 else None)

    def endpoints(self) -> Iterator[Endpoint]:
        """The one for a run, and the one for several."""
        statuses = (204,) if self.removes else (200, 201) if self.makes else (200,)
        common: dict[str, Any] = {
            "permission": self.permission, "also": () if self.removes else (VIEW,), "act": self.act, "statuses": statuses,
            "problems": (NOT_FOUND, CONFLICT),
        }  # fmt: skip
        one, several = (None, None) if self.removes else (HANDLE, HANDLES)
        path = "runs/{workflow_id}"
        where: dict[str, Any] = {"method": "POST", "path": f"{path}/{self.name}", "body": self.body}
        if self.removes:
            where = {"method": "DELETE", "path": path, "query": self.body}
        yield Endpoint(name=f"{self.name}_run", about=self.about, shape=one, key=self.key, **where, **common)
        ids = Field("workflow_ids", IDS, "The runs: all of them, or none if it cannot be done to one.", required=True)
        body = [ids, *(field for field in self.body if field.name != self.key)]
        about = f"For several runs, all or none: {self.about[0].lower()}{self.about[1:]}"
        yield Endpoint(
            method="POST", path=f"bulk/{self.name}", name=f"{self.name}_runs", about=about, shape=several, body=body, **common
        )


def _as_things_stand(do: Callable[[], Answer]) -> Answer:
    """What a verb refuses though each value was checked, it refuses because of the state of a run."""
    try:
        return do()
    except InvalidUse as error:
        raise Problem(CONFLICT, str(error)) from error


def _fork(ids: Ids, values: Mapping[str, Any]) -> list[WorkflowHandle[Any]]:
    how = {name: value for name, value in values.items() if name != "workflow_id"}
    if values.get("workflow_id") is None:
        return steering.fork_workflows(ids, **how)
    with SetWorkflowID(values["workflow_id"]):
        return steering.fork_workflows(ids, **how)


def _rewind(ids: Ids, values: Mapping[str, Any]) -> list[WorkflowHandle[Any]]:
    """Each rewinding begins a generation, so one that is repeated by mistake expects the one before."""
    if (expected := values.get("expected_generation")) is not None:
        lock(dialects.connection(), ids)
        runs = WorkflowRun.objects.using(dialects.alias()).filter(pk__in=ids)
        for found in runs.exclude(generation=expected).values_list("generation", flat=True):
            raise Problem(CONFLICT, f"The run's generation is {found}, not {expected}: it was begun anew. Look at it again.")
    return steering.rewind_workflows(ids, values["start_step"])


NEEDS_PAYLOADS = f"Needs `durable_workflows.{PERMISSION}`."
VERBS = (
    Verb(
        name="cancel", permission="cancel_workflowrun", logged="Cancelled by the API.",
        call=lambda ids, values: steering.cancel_workflows(ids, values["cancel_children"]),
        body=[Field("cancel_children", FLAG, "Also its children, and theirs.", default=False)],
        about="Stop a run at its next durable call.\n\nA finished run is left as it is.",
    ),
    Verb(
        name="resume", permission="resume_workflowrun", logged="Resumed by the API.",
        call=lambda ids, values: steering.resume_workflows(ids, values["queue"], values["deadline"]),
        body=[
            Field("queue", QUEUE, "Move it to this queue."),
            Field("deadline", MOMENT, "Cancel it then; left out: never."),
        ],
        about="Let an unfinished, cancelled or dead run go on now.\n\nOne that is running, or has finished, is left as it is.",
    ),
    Verb(
        name="retry", permission="retry_workflowrun", logged="Retried by the API.",
        call=lambda ids, values: steering.retry_workflows(ids),
        about="Let a failed run go on from the step that failed.\n\nWhat succeeded before is kept. Others are left alone.",
    ),
    Verb(
        name="fork", permission="fork_workflowrun", logged="Forked by the API.", call=_fork, makes=True, key="workflow_id",
        body=[
            Field("start_step", whole(1), "The first step that is not copied.", required=True),
            Field("args", LIST, f"Other positional arguments, plain JSON. {NEEDS_PAYLOADS}"),
            Field("kwargs", OBJECT, f"Other keyword arguments, plain JSON. {NEEDS_PAYLOADS}"),
            Field("queue", QUEUE, "Where it queues."),
            Field("app_version", text(VERSION_MAX_LENGTH), "Only workers of this version execute it."),
            Field("replacement_children", PAIRS_OF_IDS, "Ids of children, and of those that are to stand there instead."),
            Field("workflow_id", ID, "The new run's id, by which a repetition is known."),
        ],
        about="Make another run that has done what this one did before a step.\n\n201: there is a new run. 200: there was one.",
    ),
    Verb(
        name="rewind", permission="fork_workflowrun", logged="Rewound by the API.", call=_rewind, key="expected_generation",
        body=[
            Field("start_step", whole(1), "The first step that is done again.", default=1),
            Field("expected_generation", whole(0), "Refuse it with 409 if the run's `generation` is another one by now."),
        ],
        about="Have a run go back to a step, and do it again with all that followed.",
    ),
    Verb(
        name="pause", permission="pause_workflowrun", logged="Paused by the API.",
        call=lambda ids, values: keeping.pause_workflows(ids),
        about="Let a run go no further.\n\nA finished run is left as it is.",
    ),
    Verb(
        name="unpause", permission="pause_workflowrun", logged="Unpaused by the API.",
        call=lambda ids, values: keeping.unpause_workflows(ids),
        about="Let a paused run go on.\n\nOne that is not paused is left as it is.",
    ),
    Verb(
        name="delete", permission="delete_workflowrun", logged="Deleted by the API.", removes=True,
        call=lambda ids, values: keeping.delete_workflows(ids, values["delete_children"]),
        body=[Field("delete_children", FLAG, "Also its children, and theirs.", default=False)],
        about="Delete a finished run with all that was recorded for it.",
    ),
)  # fmt: skip


def send_message(call: Call) -> Answer:
    """Leave a message for a run; one that was sent before is not logged again."""
    values, key = call.values, call.values["idempotency_key"]

    def deed(connection: BaseDatabaseWrapper) -> Answer:
        lock(connection, [call.subject])  # else two of one key at once were both new
        sent = Message.objects.using(connection.alias).filter(run_id=call.subject, idempotency_key=key)
        is_new = key is None or not sent.exists()
        primitives.send(call.subject, values["message"], values["topic"], key)
        if is_new:
            rows = WorkflowRun.objects.using(connection.alias).filter(pk=call.subject)
            audit.log(call.user, "Sent a message by the API.", rows)
        return Answer(handle_of(call.subject))

    return in_write_transaction(deed)


SEND = Endpoint(
    method="POST", path="runs/{workflow_id}/send", name="send_message", permission="send_workflowrun", act=send_message,
    also=(VIEW,), shape=HANDLE, key="idempotency_key", problems=(NOT_FOUND,),
    body=(
        Field("message", ANY, "Any plain JSON.", required=True),
        Field("topic", text(), "Which `recv` gets it; left out: the one without a topic."),
        Field("idempotency_key", filled(), "A second message with the same key does nothing."),
    ),
    about="Leave a message for a run, and wake it if it waits for one.",
)  # fmt: skip

ENDPOINTS = (*(endpoint for verb in VERBS for endpoint in verb.endpoints()), SEND)
