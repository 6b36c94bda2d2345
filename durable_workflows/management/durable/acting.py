"""What an operator does to runs: to some by their ids, or to all that fit filters, in chunks, once it is confirmed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from durable_workflows import keeping, steering
from durable_workflows.exceptions import WorkflowNotFound
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.selecting import add_filters, is_filtered, matching, run_id
from durable_workflows.management.durable.subcommand import DONE, Refused, Subcommand, WrongUsage
from durable_workflows.management.durable.text import runs_in_words
from durable_workflows.models.runs import WorkflowRunQuerySet
from durable_workflows.models.steering import RESUMABLE
from durable_workflows.states import TERMINAL, UNFINISHED, RunState

CHUNK = 500  # runs a transaction
S = RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """
    Something to be done to runs.

    :param done: what has been done to them then, as a participle.
    :param applies_to: the states in which it does something; of those that fit filters only these are taken.
    :param missed: the states of which it is told how many that fit are left alone.
    :param act: does it to some runs, all or none of them.
    :param arguments: adds options of its own.
    """

    name: str
    done: str
    help: str
    applies_to: frozenset[RunState]
    missed: frozenset[RunState] = frozenset()
    act: Callable[[Sequence[str], Namespace], Any]
    arguments: Callable[[ArgumentParser], None] = lambda parser: None

    def subcommand(self) -> Subcommand:
        """It, as a word of the command line."""
        return Subcommand(name=self.name, help=self.help, arguments=self._arguments, run=partial(_run, self))

    def _arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("runs", nargs="*", metavar="RUN", help="Ids of runs, or the beginnings of them.")
        parser.add_argument("--all", action="store_true", help="All runs that fit the filters, and to which it applies.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")
        parser.add_argument("--dry-run", action="store_true", help="Only tell how many there are.")
        self.arguments(parser)
        add_filters(parser)


def _run(verb: Verb, output: Output, given: Namespace) -> int:
    if bool(given.runs) == given.all or (given.runs and is_filtered(given)):
        raise WrongUsage(f"Name the runs to {verb.name}, or give --all, with filters or without any.")
    if given.runs:
        ids = list(dict.fromkeys(run_id(each) for each in given.runs))
        if not given.dry_run:
            verb.act(ids, given)
        return _told(verb, output, given, ids)
    runs = matching(given).filter(status__in=verb.applies_to)
    if given.dry_run:
        return _told(verb, output, given, list(runs.order_by("pk").values_list("pk", flat=True)))
    _confirm(verb, given, runs.count())
    return _told(verb, output, given, [each for chunk in _chunks(runs) for each in _act(verb, chunk, given)])


def _confirm(verb: Verb, given: Namespace, number: int) -> None:
    """Ask, unless there is nothing to ask about. Raises ``Refused`` if the answer is no, or nobody can give one."""
    if given.yes or not number:
        return
    if not sys.stdin.isatty():
        raise Refused(
            f"{runs_in_words(number)} would be {verb.done}. Nobody can be asked here: add --yes.", "NotConfirmed", count=number
        )
    sys.stderr.write(f"{verb.name.capitalize()} {runs_in_words(number)}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("Nothing was done.", "NotConfirmed", count=number)


def _chunks(runs: WorkflowRunQuerySet) -> Iterator[list[str]]:
    """Their ids in ascending order; each is met once, whatever becomes of the others meanwhile."""
    last = ""
    while chunk := list(runs.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        yield chunk
        last = chunk[-1]


def _act(verb: Verb, ids: list[str], given: Namespace) -> list[str]:
    """Do it to those that are still there; somebody may have deleted one since it was found."""
    while ids:
        try:
            verb.act(ids, given)
        except WorkflowNotFound as gone:
            ids = [each for each in ids if each != gone.workflow_id]
        else:
            break
    return ids


def _told(verb: Verb, output: Output, given: Namespace, ids: list[str]) -> int:
    left = matching(given).filter(status__in=verb.missed).count() if verb.missed and given.all else 0
    if output.json:
        told = {"verb": verb.name, "count": len(ids), "workflow_ids": ids, "dry_run": given.dry_run}
        output.document({**told, **({"left_alone": left} if verb.missed else {})})
    would = "would be" if given.dry_run else "was" if len(ids) == 1 else "were"
    output.say(f"{runs_in_words(len(ids))} {would} {verb.done}.")
    if left:
        output.say(f"{runs_in_words(left)} that fit have not ended, and are left alone.", "bad")
    return DONE


def _children(parser: ArgumentParser) -> None:
    parser.add_argument("--children", action="store_true", help="Also the runs that they started, and theirs.")


def _queue(parser: ArgumentParser) -> None:
    parser.add_argument("--to-queue", metavar="QUEUE", help="Move them to this queue.")


VERBS = (
    Verb(
        name="cancel", done="cancelled", applies_to=UNFINISHED, arguments=_children,
        help="Stop runs at their next durable call; what finished is left as it is.",
        act=lambda ids, given: steering.cancel_workflows(ids, cancel_children=given.children),
    ),
    Verb(
        name="resume", done="resumed", applies_to=frozenset(RESUMABLE), arguments=_queue,
        help="Let unfinished, cancelled or dead runs go on now, ahead of their queue.",
        act=lambda ids, given: steering.resume_workflows(ids, given.to_queue),
    ),
    Verb(
        name="retry", done="retried", applies_to=frozenset({S.ERROR, S.CANCELLED, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED}),
        help="Let failed runs go on from the step that failed.",
        act=lambda ids, given: steering.retry_workflows(ids),
    ),
    Verb(
        name="pause", done="paused", applies_to=UNFINISHED - {S.PAUSED, S.CANCELLING},
        help="Let runs go no further, until they are unpaused.",
        act=lambda ids, given: keeping.pause_workflows(ids),
    ),
    Verb(
        name="unpause", done="unpaused", applies_to=frozenset({S.PAUSED}),
        help="Let paused runs go on.",
        act=lambda ids, given: keeping.unpause_workflows(ids),
    ),
    Verb(
        name="delete", done="deleted", applies_to=TERMINAL, arguments=_children,
        help="Delete finished runs with all that was recorded for them.",
        act=lambda ids, given: keeping.delete_workflows(ids, delete_children=given.children),
    ),
    Verb(
        name="erase", done="erased", applies_to=TERMINAL, missed=UNFINISHED,
        help="Erase for good what finished runs, their children and their forks hold of a person; that they were stays.",
        act=lambda ids, given: keeping.erase_payloads(ids),
    ),
)  # fmt: skip
ACTING = tuple(verb.subcommand() for verb in VERBS)
