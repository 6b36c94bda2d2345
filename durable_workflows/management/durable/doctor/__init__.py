"""
``doctor``: what is wrong with an installation, why that matters, and how it is mended.

One file per subject. Each gives findings out of a few cheap questions, asked of this process and of the database; none
changes anything. What later ones ask depends on the tables being there, so the migrations come first.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict

from durable_workflows.management.durable.doctor import backlogs, databases, installation, ticks, troubles, workforce
from durable_workflows.management.durable.doctor.finding import ERROR, LEVELS, WARNING, Finding
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.subcommand import DONE, REFUSED, Subcommand
from durable_workflows.management.durable.tables import Cell

EXAMINATIONS: tuple[Callable[[], Iterable[Finding]], ...] = (
    installation.examine,
    databases.examine,
    workforce.examine,
    backlogs.examine,
    troubles.examine,
    ticks.examine,
)
STYLES = {"error": "bad", "warning": "wait", "info": "quiet"}
MARKS = {"error": "✗", "warning": "!", "info": "·"}


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--fail-level", choices=LEVELS, default=ERROR, help="From which level on the exit status is 1 (error).")


def _run(output: Output, given: Namespace) -> int:
    found = findings()
    fails = any(LEVELS.index(finding.level) <= LEVELS.index(given.fail_level) for finding in found)
    if output.json:
        output.document({"healthy": not fails, "findings": [asdict(finding) for finding in found]})
    else:
        _show(output, found)
    return REFUSED if fails else DONE


def findings() -> list[Finding]:
    """All of them, the worst first."""
    if unreachable := list(databases.examine_tables()):
        return unreachable
    found = [finding for examine in EXAMINATIONS for finding in examine()]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def _show(output: Output, found: list[Finding]) -> None:
    for finding in found:
        style = STYLES[finding.level]
        output.line(Cell(f"{MARKS[finding.level]} ", style), Cell(finding.what, style), Cell(f"  {finding.id}", "quiet"))
        output.facts([("  why", finding.why), ("  cure", finding.cure)])
        output.say("")
    if not found:
        output.say("✓ Nothing is wrong.", "good")
        return
    counted = Counter(finding.level for finding in found)
    output.say(", ".join(f"{counted[level]} {_plural(level, counted[level])}" for level in LEVELS if counted[level]) + ".")


def _plural(level: str, number: int) -> str:
    return {ERROR: "error", WARNING: "warning"}.get(level, "remark") + ("" if number == 1 else "s")


DOCTOR = Subcommand(
    name="doctor", help="What is wrong with this installation, and how to mend it.", arguments=_arguments, run=_run
)
