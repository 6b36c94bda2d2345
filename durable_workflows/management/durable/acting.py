"""What an operator does to runs: to some by their ids, or to all that fit filters, in chunks, once it is confirmed."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from durable_workflows import keeping, steering
from durable_workflows.exceptions import InvalidUse, WorkflowNotFound
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.selecting import add_filters, exact_run_id, is_filtered, matching
from durable_workflows.management.durable.subcommand import DONE, REFUSED, Refused, Subcommand, WrongUsage
from durable_workflows.management.durable.text import runs_in_words
from durable_workflows.models import WorkflowRun
from durable_workflows.models.dialects import alias, connection
from durable_workflows.models.reading import database_now
from durable_workflows.models.runs import WorkflowRunQuerySet
from durable_workflows.models.steering import RESUMABLE
from durable_workflows.states import TERMINAL, UNFINISHED, RunState

CHUNK = 500  # runs a transaction
S = RunState
FAILED = frozenset({S.ERROR, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED})  # somebody cancelled the others, and meant it


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """
    Something to be done to runs.

    :param done: what has been done to them then, as a participle.
    :param applies_to: the states in which it does something.
    :param sweeps: of the runs that fit filters only those in these states are taken; None: all to which it applies.
    :param missed: the states of which it is told how many that fit are left alone.
    :param act: does it to some runs, all or none of them.
    :param arguments: adds options of its own.
    """

    name: str
    done: str
    help: str
    applies_to: frozenset[RunState]
    sweeps: frozenset[RunState] | None = None
    missed: frozenset[RunState] = frozenset()
    act: Callable[[Sequence[str], Namespace], Any]
    arguments: Callable[[ArgumentParser], None] = lambda parser: None

    def subcommand(self) -> Subcommand:
        """It, as a word of the command line."""
        return Subcommand(name=self.name, help=self.help, arguments=self._arguments, run=partial(_run, self))

    def _arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("runs", nargs="*", metavar="RUN", help="Ids of runs, in full.")
        parser.add_argument("--all", action="store_true", help="All runs that fit the filters, and to which it applies.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")
        parser.add_argument("--dry-run", action="store_true", help="Only tell how many there are.")
        self.arguments(parser)
        add_filters(parser)


@dataclass(slots=True)
class Outcome:
    """
    What came of it.

    :param done: the ids of the runs to which it was done.
    :param alone: the named runs to which it does not apply, with the states in which they were.
    :param refused: why it was not done to runs that fit the filters.
    """

    done: list[str] = field(default_factory=list)
    alone: dict[str, RunState] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def _run(verb: Verb, output: Output, given: Namespace) -> int:
    if bool(given.runs) == given.all or (given.runs and is_filtered(given)):
        raise WrongUsage(f"Name the runs to {verb.name}, or give --all, with filters or without any.")
    return _told(verb, output, given, _to_all(verb, given) if given.all else _to_the_named(verb, given))


def _to_the_named(verb: Verb, given: Namespace) -> Outcome:
    """Do it to them, all or none. Where it does nothing is told by how they stood before."""
    ids = list(dict.fromkeys(exact_run_id(each) for each in given.runs))
    before = _states(ids)
    if not given.dry_run:
        verb.act(ids, given)
    alone = {each: before[each] for each in ids if before.get(each) not in (None, *verb.applies_to)}
    return Outcome([each for each in ids if each not in alone], alone)


def _to_all(verb: Verb, given: Namespace) -> Outcome:
    """Do it to the runs that fit and are there now; not to those that come while a person thinks about the question."""
    runs = matching(given).filter(status__in=verb.sweeps or verb.applies_to, created_at__lte=database_now(connection()))
    if given.dry_run:
        return Outcome(list(runs.order_by("pk").values_list("pk", flat=True)))
    _confirm(verb, given, runs.count())
    outcome = Outcome()
    for chunk in _chunks(runs):
        _act(verb, chunk, given, outcome)
    return outcome


def _states(ids: Sequence[str]) -> dict[str, RunState]:
    rows = WorkflowRun.objects.using(alias()).filter(pk__in=ids).values_list("pk", "status")
    return {pk: RunState(status) for pk, status in rows}


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


def _act(verb: Verb, ids: Sequence[str], given: Namespace, outcome: Outcome) -> None:
    """Do it to those that are still there; in ever smaller parts if one is refused, for it holds up no others."""
    try:
        verb.act(ids, given)
        outcome.done.extend(ids)
    except (WorkflowNotFound, InvalidUse) as error:
        if len(ids) > 1:
            half = len(ids) // 2
            _act(verb, ids[:half], given, outcome)
            _act(verb, ids[half:], given, outcome)
        elif isinstance(error, InvalidUse):  # else somebody deleted it since it was found
            outcome.refused[ids[0]] = str(error)


def _told(verb: Verb, output: Output, given: Namespace, outcome: Outcome) -> int:
    done, refused = outcome.done, outcome.refused
    unfinished = matching(given).filter(status__in=verb.missed).count() if verb.missed and given.all else 0
    if output.json:
        told = {"verb": verb.name, "count": len(done), "workflow_ids": done, "dry_run": given.dry_run}
        left = {"left_alone": len(outcome.alone) + unfinished, "refused": len(refused), "refusals": refused}
        output.document({**told, **left})
    would = "would be" if given.dry_run else "was" if len(done) == 1 else "were"
    output.say(f"{runs_in_words(len(done))} {would} {verb.done}.")
    for workflow_id, status in outcome.alone.items():
        output.say(f"{workflow_id} is left alone: it is {status.label}.", "bad")
    if unfinished:
        output.say(f"{runs_in_words(unfinished)} that fit have not ended, and are left alone.", "bad")
    for workflow_id, why in refused.items():
        output.say(f"{workflow_id} was not {verb.done}: {why}", "bad")
    return REFUSED if refused else DONE


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
        name="retry", done="retried", applies_to=FAILED | {S.CANCELLED}, sweeps=FAILED,
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
