"""What a workflow says to the engine, and the world to a workflow; each is one call through the door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from durable_workflows import context, options, runtime
from durable_workflows.context import Current
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.queues import options_target
from durable_workflows.status import WorkflowStatus
from durable_workflows.texts import valid_text

R = TypeVar("R")


def start_workflow(target: Callable[..., R] | str, /, *args: Any, **kwargs: Any) -> WorkflowHandle[R]:
    """
    Insert a run in the caller's transaction and return its handle; a worker executes it.

    :param target: a function decorated with ``@workflow`` or ``@step``, or the name of one; an unknown name waits visibly.
    :raises NotSerializable: if an argument cannot be stored.
    :raises WorkflowConflict: if ``SetWorkflowID`` names a run of another workflow.
    """
    return WorkflowHandle(runtime.here().start(options_target(target), (args, kwargs), options.taken()))


def start_many(target: Callable[..., R] | str, arguments: Iterable[Any], /) -> list[WorkflowHandle[R]]:
    """
    Start a workflow many times, in one transaction and with few statements: all, or none; in a workflow one recorded step.

    ``queue.enqueue_many`` does the same on a queue of your choice.

    :param target: as ``start_workflow`` has it.
    :param arguments: for each run a tuple of its arguments, or its only argument if that is no tuple.
    :returns: the handles, in the same order.
    :raises NotSerializable: if an argument cannot be stored.
    :raises InvalidUse: inside ``SetWorkflowID`` and with a deduplication id, which are for one run.
    """
    calls = [options.call_of(each) for each in arguments]
    return [*map(WorkflowHandle, runtime.here().start_many(options_target(target), calls, options.taken()))]


def sleep(seconds: float) -> None:
    """
    Pause the workflow durably, for at least as long.

    A pause beyond the setting ``PARK_SECONDS`` holds no thread, and ends at the same moment whatever happens meanwhile. A
    shorter one may keep its thread, and begins anew if the process dies in it.

    :param seconds: how long, at least 0; days and months are fine.
    :raises NotInWorkflow: outside a workflow, or in a step.
    :raises InvalidUse: if negative or not a number.
    """
    runtime.here().sleep(seconds)


def sleep_until(moment: datetime) -> None:
    """
    Pause the workflow durably until a moment; at once if it has passed.

    :param moment: an aware datetime.
    :raises InvalidUse: if the datetime is naive.
    """
    runtime.here().sleep_until(moment)


def send(workflow_id: str, message: Any, topic: str | None = None, idempotency_key: str | None = None) -> None:
    """
    Leave a message for a run, in the caller's transaction, and wake it if it waits for one.

    :param workflow_id: the run to receive it.
    :param message: any value that can be stored.
    :param topic: which ``recv`` gets it; None is a topic of its own.
    :param idempotency_key: a second send to the run with the same key does nothing.
    :raises WorkflowNotFound: if there is no such run.
    :raises NotSerializable: if the message cannot be stored.
    :raises InvalidUse: if the id, the topic or the key is no text of at most 255 characters.
    """
    for what, text in (("A topic", topic), ("An idempotency key", idempotency_key)):
        if text is not None:
            valid_text(text, what)
    runtime.here().send(options.valid_id(workflow_id), message, topic, idempotency_key)


def recv(topic: str | None = None, timeout_seconds: float | None = None, default: Any = None) -> Any:
    """
    The oldest message sent to this run under the topic, waited for without a thread.

    :param timeout_seconds: None waits for ever, 0 only looks.
    :param default: what is returned when no message came in time.
    :raises NotInWorkflow: outside a workflow, or in a step.
    """
    if topic is not None:
        valid_text(topic, "A topic")
    return runtime.here().recv(topic, timeout_seconds, default)


def set_event(key: str, value: Any) -> None:
    """
    Publish a value of this run under a key; the latest wins.

    :raises NotInWorkflow: outside a workflow.
    :raises NotSerializable: if the value cannot be stored.
    """
    runtime.here().set_event(key, value)


def get_event(workflow_id: str, key: str, timeout_seconds: float | None = 60, default: Any = None) -> Any:
    """
    The latest value a run published under a key, waited for; the run need not exist yet.

    :param timeout_seconds: None waits for ever, 0 only looks.
    :param default: what is returned when none came in time.
    """
    return runtime.here().get_event(options.valid_id(workflow_id), key, timeout_seconds, default)


def get_result(workflow_id: str, timeout: float | None = None) -> Any:
    """What a run returned; see ``WorkflowHandle.get_result``."""
    return runtime.here().result(options.valid_id(workflow_id), timeout)


def wait_first(handles: Sequence[WorkflowHandle[R]], timeout: float | None = None) -> WorkflowHandle[R]:
    """
    The first of the handles whose run ended, well or not; in a workflow a recorded step.

    :param timeout: seconds to wait at most.
    :raises TimeoutError: if none ended in time.
    :raises WorkflowNotFound: if none has ended, and there is no run of one of the ids.
    :raises InvalidUse: for an empty list.
    """
    workflow_ids = [handle.workflow_id for handle in handles]
    if not workflow_ids:
        raise InvalidUse("wait_first() was given no handles, so nothing can be the first to end. Give it at least one.")
    return WorkflowHandle(runtime.here().wait_first(workflow_ids, timeout))


def wait_all(handles: Sequence[WorkflowHandle[R]]) -> list[R]:
    """
    The results of all handles in their order, each waited for; of no handles an empty list.

    :raises WorkflowNotFound: if there is no run of an id, once it is its turn.
    :raises Exception: the first failure in that order, as ``WorkflowHandle.get_result`` raises it.
    """
    return [handle.get_result() for handle in handles]


def retrieve_workflow(workflow_id: str, existing: bool = True) -> WorkflowHandle[Any]:
    """
    The handle of a run.

    :param existing: whether to check that there is one.
    :raises WorkflowNotFound: if there is none.
    """
    options.valid_id(workflow_id)
    if existing:
        runtime.engine().row(workflow_id)
    return WorkflowHandle(workflow_id)


def get_workflow_status(workflow_id: str) -> WorkflowStatus | None:
    """The run as it stands, None if no run has this id; in a workflow a recorded step."""
    return cast("WorkflowStatus | None", runtime.here().keep("status", {"run_id": options.valid_id(workflow_id)}))


def current() -> Current | None:
    """The running workflow and step, or None outside."""
    caller = context.caller()
    return caller.current() if caller else None
