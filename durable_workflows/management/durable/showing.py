"""``show``: all that is known of one run."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import datetime
from typing import Any

from durable_workflows.closely import situation
from durable_workflows.management.durable import selecting
from durable_workflows.management.durable.facts import document_of
from durable_workflows.management.durable.history import SECTIONS, History, Section
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_run, positive
from durable_workflows.management.durable.subcommand import DONE, Subcommand
from durable_workflows.management.durable.tables import Cell, Column, Table, state
from durable_workflows.management.durable.text import CLIP, clip_front, plain, readable, short
from durable_workflows.models import WorkflowRun
from durable_workflows.situation import Situation
from durable_workflows.words import duration, elapsed, moment, split_name

ROWS = 50


def _arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--rows", type=positive, default=ROWS, help=f"The last so many rows of each table ({ROWS}).")
    parser.add_argument("--full", action="store_true", help="Clip no values, and show all rows.")


def _run(output: Output, given: Namespace) -> int:
    run = selecting.run(given.run)
    run.note_head = run.note  # type: ignore[attr-defined]  # where lists have the beginning of it
    about = situation(run)
    if output.json:
        output.document(_document(run, about))
        return DONE
    limit = None if given.full else CLIP
    _show_facts(output, run, about)
    _show_payloads(output, run, limit)
    history = History(run=run, most=None if given.full else given.rows)
    for name, table in TABLES.items():
        section = SECTIONS[name](history)
        _show_section(output, name, section, table([*section.documents]))
    return DONE


def _document(run: WorkflowRun, about: Situation) -> dict[str, Any]:
    history = History(run=run)
    progress = {"done": run.progress_done, "total": run.progress_total, "text": run.progress_text}
    made = {**document_of(run, about), "note": run.note, "progress": progress, "generation": run.generation}
    return {**made, **{name: read(history).documents for name, read in SECTIONS.items()}}


def _show_facts(output: Output, run: WorkflowRun, about: Situation) -> None:
    status = state(run.status)
    output.line(Cell(f"{split_name(run.name)[0]} ", "title"), status)
    output.line(Cell(run.pk, "quiet"))
    output.say("")
    output.facts([
        ("now", Cell(about.text, "bad" if about.alarming else "")),
        ("note", "" if about.alarming else run.note or ""),
        ("workflow", run.name),
        ("queue", f"{run.queue} / {run.partition_key}" if run.partition_key else run.queue),
        ("created", moment(run.created_at)),
        ("started", moment(run.started_at)),
        ("ended", moment(run.completed_at)),
        ("took", elapsed(run.started_at, run.completed_at)),
        ("starts at", moment(run.due_at) if status.text == "delayed" else ""),
        ("deadline", moment(run.deadline)),
        ("worker", run.worker_id or ""),
        ("lost workers", str(run.recovery_attempts - 1) if run.recovery_attempts > 1 else ""),
        ("tried again", str(run.tries) if run.tries else ""),
        ("version", run.app_version),
        ("priority", str(run.priority) if run.priority else ""),
        ("deduplication id", run.deduplication_id or ""),
        ("user", run.user or ""),
        ("schedule", run.schedule_name or ""),
        ("parent", run.parent_id or ""),
        ("forked from", run.forked_from_id or ""),
        ("attributes", readable(plain(json.dumps(run.attributes))) if run.attributes else ""),
    ])  # fmt: skip


def _show_payloads(output: Output, run: WorkflowRun, limit: int | None) -> None:
    made = document_of(run)
    for name in ("input", "output"):
        if made[name] is not None:
            output.heading(name.capitalize())
            output.say(readable(made[name], limit))
    if error := made["error"]:
        output.heading("Error")
        output.say(f"{error['type']}: {error['message']}", "bad")
        output.say(clip_front(error["traceback"].rstrip(), limit), "quiet")


def _show_section(output: Output, name: str, section: Section, table: Table) -> None:
    if not section.documents:
        return
    output.table(table)
    if section.left_out:
        output.say(f"… and {section.left_out:,} before; --full shows them all.", "quiet")


def _steps(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Steps",
        columns=[Column(title="#", right=True), Column(title="STEP"), Column(title="TOOK", right=True),
                 Column(title="TRIES", right=True, least=100), Column(title="AT", least=100), Column(title="OUTPUT")],
        rows=[[_place(row), _step_name(row), duration(row["completed_at"] - row["started_at"]), str(row["attempts"]),
               Cell(_time(row["completed_at"]), "quiet"), _outcome(row)] for row in rows],
    )  # fmt: skip


def _attempts(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Failed attempts",
        columns=[Column(title="#", right=True), Column(title="STEP"), Column(title="ATTEMPT", right=True),
                 Column(title="AT", least=100), Column(title="ERROR")],
        rows=[[_place(row), split_name(row["name"])[0], str(row["attempt"]), Cell(_time(row["ended_at"]), "quiet"),
               _outcome(row)] for row in rows],
    )  # fmt: skip


def _waits(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Waits",
        columns=[Column(title="#", right=True), Column(title="FOR"), Column(title="SINCE")],
        rows=[[_place(row), Cell(row["text"], "wait"), _time(row["since"])] for row in rows],
    )


def _messages(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Messages",
        columns=[Column(title="TOPIC"), Column(title="MESSAGE"), Column(title="SENT", least=100), Column(title="RECEIVED")],
        rows=[[row["topic"] or "", short(row["message"]), Cell(_time(row["sent_at"]), "quiet"),
               _time(row["received_at"]) or Cell("not yet", "wait")] for row in rows],
    )  # fmt: skip


def _events(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Events",
        columns=[Column(title="KEY"), Column(title="VALUE"), Column(title="AT")],
        rows=[[row["key"], short(row["value"]), Cell(_time(row["created_at"]), "quiet")] for row in rows],
    )


def _streams(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="Streams",
        columns=[Column(title="KEY"), Column(title="#", right=True), Column(title="VALUE"), Column(title="AT")],
        rows=[[row["key"], str(row["offset"]), Cell("closed", "quiet") if row["closes"] else short(row["value"]),
               Cell(_time(row["created_at"]), "quiet")] for row in rows],
    )  # fmt: skip


def _relatives(title: str, rows: list[dict[str, Any]]) -> Table:
    return Table(
        title=title,
        columns=[Column(title="STATUS"), Column(title="RUN", whole=True), Column(title="WORKFLOW")],
        rows=[[state(row["status"]), row["workflow_id"], split_name(row["name"])[0]] for row in rows],
    )


TABLES: dict[str, Callable[[list[dict[str, Any]]], Table]] = {
    "steps": _steps,
    "attempts": _attempts,
    "waits": _waits,
    "messages": _messages,
    "events": _events,
    "streams": _streams,
    "children": lambda rows: _relatives("Started runs", rows),
    "forks": lambda rows: _relatives("Forks", rows),
}


def _place(row: dict[str, Any]) -> str:
    return f"{row['branch']}/{row['step_id']}" if row["branch"] else str(row["step_id"])


def _step_name(row: dict[str, Any]) -> str:
    name = split_name(row["name"])[0]
    return f"{name} → {row['child_workflow_id']}" if row["child_workflow_id"] else name


def _outcome(row: dict[str, Any]) -> Cell:
    if error := row["error"]:
        return Cell(f"{split_name(error['type'])[0]}: {error['message']}"[:500], "bad")
    return Cell("" if row["output"] is None else short(row["output"]), "quiet")


def _time(value: datetime | None) -> str:
    return moment(value)


SHOW = Subcommand(name="show", help="All that is known of a run.", arguments=_arguments, run=_run)
