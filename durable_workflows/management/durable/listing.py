"""``list``: runs by filters, newest first."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from django.db.models.functions import Left

from durable_workflows.management.durable.facts import document_of
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import positive
from durable_workflows.management.durable.selecting import add_filters, is_filtered, matching
from durable_workflows.management.durable.subcommand import DONE, Subcommand
from durable_workflows.management.durable.tables import Cell, Column, Table, state
from durable_workflows.management.durable.text import age
from durable_workflows.models import WorkflowRun
from durable_workflows.situation import Situation, situations
from durable_workflows.words import elapsed, present, split_name

PAYLOADS = ("inputs", "output", "error")
COLUMNS = (
    Column(title="STATUS"),
    Column(title="RUN", whole=True),
    Column(title="WORKFLOW"),
    Column(title="QUEUE", least=100),
    Column(title="AGE", right=True, least=70),
    Column(title="TOOK", right=True, least=110),
    Column(title="NOW", least=120),
)


def _arguments(parser: ArgumentParser) -> None:
    add_filters(parser)
    parser.add_argument("--limit", type=positive, default=50, help="How many at most (50).")
    parser.add_argument("--oldest-first", action="store_true", help="Begin with the oldest.")
    parser.add_argument("--no-payloads", action="store_true", help="With --json: leave out inputs, outputs and errors.")


def _run(output: Output, given: Namespace) -> int:
    order = ("created_at", "pk") if given.oldest_first else ("-created_at", "-pk")
    payloads = output.json and not given.no_payloads
    left_out = ("note",) if payloads else ("note", *PAYLOADS)
    rows = matching(given).order_by(*order).defer(*left_out).annotate(note_head=Left("note", 200))
    found = list(rows[: given.limit + 1])
    runs, more = found[: given.limit], len(found) > given.limit
    about = situations(runs)
    if output.json:
        output.document([document_of(run, about[run.pk], payloads=payloads) for run in runs])
        return DONE
    empty = "No runs fit these filters." if is_filtered(given) else "There are no runs yet."
    output.table(Table(columns=COLUMNS, rows=[_row(run, about[run.pk]) for run in runs], empty=empty))
    if more:
        output.say(f"The first {given.limit}; there are more. Show them with --limit, or fewer with filters.", "quiet")
    return DONE


def _row(run: WorkflowRun, about: Situation) -> list[Cell | str]:
    return [
        state(run.status),
        run.pk,
        split_name(run.name)[0],
        Cell(run.queue, "quiet"),
        age(present() - run.created_at),
        elapsed(run.started_at, run.completed_at) if run.completed_at else "",
        Cell(about.text, "bad" if about.alarming else "quiet"),
    ]


LIST = Subcommand(name="list", help="Runs by filters, newest first.", arguments=_arguments, run=_run)
