"""``fork`` and ``rewind``: a run again from one of its steps."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import nullcontext

from durable_workflows import SetWorkflowID, fork_workflow, rewind_workflow
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_run, json_of, positive
from durable_workflows.management.durable.selecting import exact_run_id
from durable_workflows.management.durable.subcommand import DONE, Subcommand, WrongUsage


def _fork_arguments(parser: ArgumentParser) -> None:
    add_run(parser, exactly=True)
    parser.add_argument("step", type=positive, metavar="STEP", help="The first step that is not copied but done again, from 1.")
    parser.add_argument("--args", dest="positional", metavar="JSON", help="Other positional arguments, as a JSON list.")
    parser.add_argument("--kwargs", dest="keywords", metavar="JSON", help="Other keyword arguments, as a JSON object.")
    parser.add_argument("--id", help="The id of the new run.")
    parser.add_argument("--queue", help="Where it queues.")
    parser.add_argument("--app-version", metavar="VERSION", help="Only workers of this version run it.")


def _fork(output: Output, given: Namespace) -> int:
    args = None if given.positional is None else json_of(given.positional, "--args")
    kwargs = None if given.keywords is None else json_of(given.keywords, "--kwargs")
    if not isinstance(args, list | None) or not isinstance(kwargs, dict | None):
        raise WrongUsage("--args is a JSON list, such as '[1, \"x\"]', and --kwargs a JSON object, such as '{\"amount\": 5}'.")
    source = exact_run_id(given.run)
    with SetWorkflowID(given.id) if given.id is not None else nullcontext():
        fork = fork_workflow(
            source, given.step, args=args, kwargs=kwargs, queue=given.queue, app_version=given.app_version
        )  # fmt: skip
    if output.json:
        output.document({"workflow_id": fork.workflow_id, "forked_from": source, "start_step": given.step})
    elif output.is_screen:
        output.say(f"Forked from {source} at step {given.step} as {fork.workflow_id}.")
    else:
        output.say(fork.workflow_id)
    return DONE


FORK = Subcommand(
    name="fork", help="Make another run that does a step, and what follows, itself.", arguments=_fork_arguments, run=_fork
)


def _rewind_arguments(parser: ArgumentParser) -> None:
    add_run(parser, exactly=True)
    parser.add_argument("step", type=positive, nargs="?", default=1, metavar="STEP", help="The step to go back to (1).")


def _rewind(output: Output, given: Namespace) -> int:
    handle = rewind_workflow(exact_run_id(given.run), given.step)
    if output.json:
        output.document({"workflow_id": handle.workflow_id, "start_step": given.step})
    output.say(f"Rewound {handle.workflow_id} to step {given.step}.")
    return DONE


REWIND = Subcommand(name="rewind", help="Have a run go back to a step.", arguments=_rewind_arguments, run=_rewind)
