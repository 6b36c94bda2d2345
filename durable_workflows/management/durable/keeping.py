"""``prune``, ``export`` and ``import``: what becomes of runs in the long run."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from durable_workflows import export_workflow, import_workflow, prune_workflows
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_run, json_of, positive, span
from durable_workflows.management.durable.selecting import exact_run_id
from durable_workflows.management.durable.subcommand import DONE, Refused, Subcommand
from durable_workflows.management.durable.text import runs_in_words
from durable_workflows.retention import policy


def _prune_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--older-than", type=span, metavar="SPAN", help="Ended longer ago, such as 30d (what RETENTION says).")
    parser.add_argument("--limit", type=positive, help="No more than so many.")
    parser.add_argument("--dry-run", action="store_true", help="Only count them.")


def _prune(output: Output, given: Namespace) -> int:
    if given.older_than is None and not any((policy().general, policy().workflows)):
        raise Refused("RETENTION says to keep all runs for ever. Say --older-than, such as 30d, or set it.", "NoRetention")
    number = prune_workflows(given.older_than, given.limit, given.dry_run)
    if output.json:
        output.document({"count": number, "dry_run": given.dry_run})
    output.say(f"{runs_in_words(number)} {'would be' if given.dry_run else 'was' if number == 1 else 'were'} deleted.")
    return DONE


PRUNE = Subcommand(name="prune", help="Delete finished runs that are old enough.", arguments=_prune_arguments, run=_prune)


def _export_arguments(parser: ArgumentParser) -> None:
    add_run(parser, exactly=True)
    parser.add_argument("--no-children", action="store_true", help="Without the runs that it started.")
    parser.add_argument("--output", metavar="FILE", help="Write it there, not to standard output.")


def _export(output: Output, given: Namespace) -> int:
    document = export_workflow(exact_run_id(given.run), children=not given.no_children)
    if not given.output:
        output.document(document)
        return DONE
    try:
        Path(given.output).write_text(json.dumps(document, indent=2) + "\n", encoding="ascii")
    except OSError as error:
        raise Refused(f"The file cannot be written: {error}", "OSError") from error
    runs = len(document["runs"])
    if output.json:
        output.document({"workflow_id": document["workflow_id"], "runs": runs, "file": given.output})
    output.say(f"Exported {runs_in_words(runs)} to {given.output}.")
    return DONE


EXPORT = Subcommand(name="export", help="A run with its children as JSON.", arguments=_export_arguments, run=_export)


def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="What `export` wrote; - reads standard input.")
    parser.add_argument("--go-on", action="store_true", help="Let what has not finished go on here at once; else it is paused.")


def _import(output: Output, given: Namespace) -> int:
    handle = import_workflow(_document(given.file), paused=not given.go_on)
    if output.json:
        output.document({"workflow_id": handle.workflow_id})
    output.say(f"Imported {handle.workflow_id}.")
    return DONE


def _document(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refused(f"The file cannot be read: {error}", type(error).__name__) from error
    return json_of(text, "The file")


IMPORT = Subcommand(name="import", help="Write exported runs here.", arguments=_import_arguments, run=_import)
