"""What runs say to one another and to the world, beyond a single message or event: batches, streams, and a choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from durable_workflows import options, runtime
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.talk import Alternatives, Selected, SendMessage, Topics, as_event, as_messages, as_topics
from durable_workflows.texts import valid_text

LARGEST_OFFSET = 2**63 - 1


def send_many(messages: Sequence[SendMessage | tuple[Any, ...]]) -> None:
    """
    Leave several messages in one transaction, the caller's if there is one; all or none.

    Those to one run and topic are received in the order given. In a workflow this is one recorded step; of an empty list
    nothing at all.

    :param messages: ``SendMessage`` values, or tuples ``(workflow_id, message[, topic[, idempotency_key]])``.
    :raises WorkflowNotFound: if one of the runs does not exist.
    :raises NotSerializable: if one of the messages cannot be stored.
    :raises InvalidUse: if one cannot be sent, or an idempotency key occurs twice.
    """
    if sent := as_messages(messages):
        runtime.here().send_many(sent)


def get_all_events(workflow_id: str) -> dict[str, Any]:
    """
    The latest value of each event that a run has published by now; nothing is waited for.

    :returns: values by their keys; empty, too, for a run that does not exist yet.
    """
    return runtime.here().get_all_events(options.valid_id(workflow_id))


def write_stream(key: str, value: Any) -> None:
    """
    Append a value to a stream of this run.

    In a workflow's body a recorded step, so the value is written once. In a step's body it can be read at once, before the
    step is done; what an attempt has written that failed stays, and the next one writes its own after it. (On SQLite, and
    in a ``TestCase``, it is part of the step's transaction.)

    :param key: the name of the stream, at most 255 characters.
    :raises NotInWorkflow: outside a workflow.
    :raises NotSerializable: if the value cannot be stored.
    :raises InvalidUse: if the stream is closed.
    """
    runtime.here().write_stream(valid_text(key, "A key"), value)


def close_stream(key: str) -> None:
    """
    End a stream of this run: whoever reads it comes to its end. One that is closed already stays as it is.

    In a step it is closed if, and when, the step is done.

    :raises NotInWorkflow: outside a workflow.
    """
    runtime.here().close_stream(valid_text(key, "A key"))


def read_stream(workflow_id: str, key: str, offset: int = 0, timeout_seconds: float | None = None) -> Iterator[Any]:
    """
    The values of a run's stream in their order, waited for, until it is closed or the run has ended.

    Nothing is read before the iterator is asked. In a workflow each value is a recorded step, and waiting for one holds no
    thread; in a step only what is there can be read, with ``timeout_seconds=0``.

    :param offset: how many values to leave out; they are numbered from 0 without gaps.
    :param timeout_seconds: how long to wait for each value; None waits for ever, 0 only looks.
    :raises StreamTimeout: from the iterator, if a value did not come in time.
    :raises WorkflowNotFound: from the iterator, if there is no such run.
    :raises InvalidUse: for a negative offset or timeout.
    """
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset < LARGEST_OFFSET:
        raise InvalidUse(f"An offset is a number of values, 0 or more, not {options.shown(offset)}.")
    return runtime.here().read_stream(options.valid_id(workflow_id), valid_text(key, "A key"), offset, timeout_seconds)


def select(
    *,
    recv: Topics = (),
    events: Sequence[tuple[str, str]] = (),
    handles: Sequence[WorkflowHandle[Any]] = (),
    timeout_seconds: float | None = None,
) -> Selected | None:
    """
    Wait for the first of several: a message, an event or the end of a run. In a workflow one recorded step.

    If several are there, a message goes before an event, and that before a run; among its kind the one that was named first.
    A message is taken, as by ``recv``; the others are still there afterwards.

    :param recv: a topic, or a list of them; None is the topic of messages without one.
    :param events: pairs of a run's id and a key; the run need not exist yet.
    :param handles: runs, whose results are not taken.
    :param timeout_seconds: None waits for ever, 0 only looks.
    :returns: what came, or None when nothing did in time.
    :raises WorkflowNotFound: if nothing else has come, and there is no run of one of the handles.
    :raises NotInWorkflow: in a step; and for messages outside a workflow.
    :raises InvalidUse: if there is nothing to wait for.
    """
    wanted = Alternatives(
        as_topics(recv), tuple(as_event(event) for event in events), tuple(handle.workflow_id for handle in handles)
    )
    return runtime.here().select(wanted, timeout_seconds)
