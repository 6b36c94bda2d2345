"""``start`` and ``send``: what the world tells to workflows."""

from __future__ import annotations

import inspect
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import ExitStack
from difflib import get_close_matches
from typing import Any

from durable_workflows import (
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    SetWorkflowUser,
    WorkflowHandle,
    registry,
    send,
    start_workflow,
)
from durable_workflows.definitions import Workflow
from durable_workflows.exceptions import WorkflowNotRegistered
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_run, call_of, json_of, pair, span
from durable_workflows.management.durable.selecting import exact_run_id, name_of
from durable_workflows.management.durable.subcommand import DONE, Refused, Subcommand, WrongUsage
from durable_workflows.management.durable.watching import add_watching, watch
from durable_workflows.queues import Queue
from durable_workflows.words import split_name

# What only a queue can keep to, and the parameter of SetEnqueueOptions that it is.
OF_QUEUES = {
    "priority": "priority", "deduplication_id": "deduplication_id", "partition": "queue_partition_key", "delay": "delay",
}  # fmt: skip


def _start_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="The workflow's (or step's) name; its last part will do.")
    parser.add_argument("values", nargs="*", metavar="ARGUMENT", help="A value or key=value; JSON, or else text.")
    parser.add_argument("--args", dest="positional", metavar="JSON", help="All positional arguments as a JSON list.")
    parser.add_argument("--kwargs", dest="keywords", metavar="JSON", help="Keyword arguments as a JSON object.")
    parser.add_argument("--id", help="The run's id. If there is a run of this id, it is not started again.")
    parser.add_argument("--queue", help="Enqueue it here (the workflow's own queue).")
    parser.add_argument("--delay", type=span, metavar="SPAN", help="Not before so long, such as 10m.")
    parser.add_argument("--priority", type=int, help="From 1; lower goes first.")
    parser.add_argument("--deduplication-id", metavar="ID", help="Refuse it while an unfinished run of the queue has this one.")
    parser.add_argument("--partition", metavar="KEY", help="The partition of the queue.")
    parser.add_argument("--timeout", type=span, metavar="SPAN", help="Cancel it if it takes longer, such as 1h.")
    parser.add_argument("--app-version", metavar="VERSION", help="Only workers of this version run it.")
    parser.add_argument("--user", help="On whose behalf it runs.")
    parser.add_argument("--attribute", type=pair, action="append", metavar="KEY=VALUE", help="An attribute to find it by.")
    parser.add_argument("--unknown", action="store_true", help="Start it although this process knows no such name.")
    parser.add_argument("--wait", action="store_true", help="Watch it to its end; the exit status is that of `watch`.")
    add_watching(parser)


def _start(output: Output, given: Namespace) -> int:
    name = name_of(given.name)
    args, kwargs = call_of(given.values, given.positional, given.keywords)
    _check(name, args, kwargs, unknown=given.unknown)
    with ExitStack() as blocks:
        for block in _blocks(given):
            blocks.enter_context(block)
        handle = _started(name, args, kwargs, given)
    if given.wait:
        return watch(output, handle.workflow_id, given)
    if output.json:
        output.document({"workflow_id": handle.workflow_id, "name": name})
    elif output.is_screen:
        output.say(f"Started {name} as {handle.workflow_id}.")
    else:
        output.say(handle.workflow_id)
    return DONE


def _check(name: str, args: list[Any], kwargs: dict[str, Any], *, unknown: bool) -> None:
    """A slip of the keyboard would wait for ever, or fail later; whoever means it says --unknown."""
    try:
        function = registry.find(name).func
    except WorkflowNotRegistered as error:
        if unknown:
            return
        lasts = {split_name(known)[0]: known for known in registry.names()}
        near = get_close_matches(split_name(name)[0], lasts, n=1)
        hint = f" Did you mean {lasts[near[0]]}?" if near else " With --unknown it waits for a worker that knows it."
        raise Refused(f"This process knows no workflow or step named {name!r}.{hint}", "WorkflowNotRegistered") from error
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise WrongUsage(f"{name}{_parameters(function)} cannot be called like this: {error}.") from None
    except ValueError:  # it hides its signature
        return


def _parameters(function: Callable[..., Any]) -> str:
    """Their names and defaults, as they stand between the brackets."""
    signature, none = inspect.signature(function), inspect.Parameter.empty
    bare = [parameter.replace(annotation=none) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=none))


def _blocks(given: Namespace) -> list[Any]:
    """The ``with`` blocks that say how it is to be started."""
    queued = {parameter: getattr(given, option) for option, parameter in OF_QUEUES.items()}
    queued["delay"] = given.delay and given.delay.total_seconds()
    asked = {name: value for name, value in {**queued, "app_version": given.app_version}.items() if value is not None}
    return [
        *([SetWorkflowID(given.id)] if given.id is not None else []),
        *([SetWorkflowTimeout(given.timeout.total_seconds())] if given.timeout is not None else []),
        *([SetWorkflowUser(given.user)] if given.user is not None else []),
        *([SetWorkflowAttributes(dict(given.attribute))] if given.attribute else []),
        *([SetEnqueueOptions(**asked)] if asked else []),
    ]


def _started(name: str, args: list[Any], kwargs: dict[str, Any], given: Namespace) -> WorkflowHandle[Any]:
    needs_queue = any(getattr(given, option) is not None for option in OF_QUEUES)
    if given.queue is None and not needs_queue:
        return start_workflow(name, *args, **kwargs)
    return _queue(given.queue or _own_queue(name)).enqueue(name, *args, **kwargs)


def _own_queue(name: str) -> str:
    try:
        definition = registry.find(name)
    except WorkflowNotRegistered:
        return "default"
    return definition.queue if isinstance(definition, Workflow) else "default"


def _queue(name: str) -> Queue:
    return Queue.declared.get(name) or Queue(name)


START = Subcommand(name="start", help="Start a workflow.", arguments=_start_arguments, run=_start)


def _send_arguments(parser: ArgumentParser) -> None:
    add_run(parser, exactly=True)
    parser.add_argument("message", metavar="MESSAGE", help="JSON; - reads it from standard input.")
    parser.add_argument("--topic", help="Under which the run receives it.")
    parser.add_argument("--text", action="store_true", help="The message is text as it stands, not JSON.")
    parser.add_argument("--idempotency-key", metavar="KEY", help="A second one with the same key is not sent.")


def _send(output: Output, given: Namespace) -> int:
    said = sys.stdin.read() if given.message == "-" else given.message
    message = said if given.text else json_of(said, "The message")
    receiver = exact_run_id(given.run)
    send(receiver, message, given.topic, given.idempotency_key)
    if output.json:
        output.document({"workflow_id": receiver, "topic": given.topic})
    output.say(f"Sent to {receiver}.")
    return DONE


SEND = Subcommand(name="send", help="Send a message to a run.", arguments=_send_arguments, run=_send)
