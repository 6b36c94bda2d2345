"""``watch``: a run, live, until its end."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from durable_workflows import clock
from durable_workflows.management.durable import screen
from durable_workflows.management.durable.following import Following, News
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_run, span
from durable_workflows.management.durable.selecting import run_id
from durable_workflows.management.durable.subcommand import CANCELLED, DEAD, DONE, REFUSED, TOO_LATE, Refused, Subcommand
from durable_workflows.management.durable.tables import Cell, state
from durable_workflows.management.durable.text import readable, short
from durable_workflows.options import valid_id
from durable_workflows.states import RunState
from durable_workflows.words import duration, local, present, split_name

SOONEST, LATEST = 0.1, 1.0  # seconds between two looks: the sooner, the less time has passed since something happened
CODES = {
    RunState.SUCCESS: DONE,
    RunState.ERROR: REFUSED,
    RunState.CANCELLED: CANCELLED,
    RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED: DEAD,
}
BAR = 20  # cells


def add_watching(parser: ArgumentParser) -> None:
    """How long to watch."""
    parser.add_argument("--for", dest="at_most", type=span, metavar="SPAN", help="Watch no longer than so; the run goes on.")


def _arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--wait", action="store_true", help="If there is no such run yet, wait for it; RUN is the whole id.")
    add_watching(parser)


def _run(output: Output, given: Namespace) -> int:
    return watch(output, valid_id(given.run) if given.wait else run_id(given.run), given)


def watch(output: Output, workflow_id: str, given: Namespace) -> int:
    """Tell all that happens to a run; the exit status says how it ended."""
    following = Following(workflow_id)
    until = clock.monotonic() + given.at_most.total_seconds() if given.at_most is not None else float("inf")
    with _ticking(output) as show:
        pause = SOONEST
        while True:
            news = list(following.look())
            for each in news:
                _tell(output, each)
            if following.over and following.run is not None:
                return CODES[RunState(following.run.status)]
            if clock.monotonic() >= until:
                raise _gave_up(following)
            pause = SOONEST if news else min(pause * 1.3, LATEST)
            show(following)
            clock.pause(min(pause, until - clock.monotonic()))


def _gave_up(following: Following) -> Refused:
    how = "There is no run of this id yet" if following.run is None else "The run has not ended yet, and goes on"
    return Refused(f"{how}: {following.workflow_id}", "TimeoutError", TOO_LATE, workflow_id=following.workflow_id)


@contextmanager
def _ticking(output: Output) -> Iterator[Callable[[Following], None]]:
    """A line that says what the run is doing right now, where there is a screen for it."""
    if output.console is None:
        yield lambda following: None
        return
    ticker = screen.Ticker(output.console)
    ticker.start()
    try:
        yield lambda following: ticker.show(_now(following))
    finally:
        ticker.stop()


def _now(following: Following) -> list[Cell]:
    run = following.run
    if run is None:
        return [Cell("there is no such run yet", "quiet")]
    since = run.started_at or run.created_at
    text = following.situation.text
    return [
        state(run.status),
        Cell(f" · {duration(present() - since)} since it began" if run.started_at else ""),
        Cell(f"  {text}", "quiet"),
    ]


def _tell(output: Output, news: News) -> None:
    if output.json:
        output.record({"event": news.kind, **news.facts})
    elif told := TELLING[news.kind](news.facts):
        first, *others = told
        output.line(Cell(f"{local(clock.now()):%H:%M:%S}  ", "quiet"), *first)
        for other in others:
            output.line(" " * 10, *other)


Lines = list[list[Cell]]


def _missing(facts: dict[str, Any]) -> Lines:
    return [[Cell("There is no such run yet.", "quiet")]]


def _status(facts: dict[str, Any]) -> Lines:
    name = split_name(facts["name"])[0]
    style = "bad" if facts["alarming"] else "quiet"
    return [[Cell("· ", "quiet"), Cell(f"{name} "), state(facts["status"]), Cell(f"  {facts['situation']}", style)]]


def _progress(facts: dict[str, Any]) -> Lines:
    done, total = facts["done"], facts["total"]
    if not total or done is None:
        return [[Cell("· "), Cell(" ".join(str(part) for part in (done, facts["text"]) if part is not None))]]
    filled = round(BAR * max(0, min(done, total)) / total)
    bar = Cell("█" * filled, "good"), Cell("░" * (BAR - filled), "quiet")
    return [[Cell("· "), *bar, Cell(f" {done}/{total} {facts['text'] or ''}")]]


def _earlier(facts: dict[str, Any]) -> Lines:
    return [[Cell(f"… {facts['steps']:,} earlier steps", "quiet")]]


def _again(facts: dict[str, Any]) -> Lines:
    return [[Cell("↺ it begins anew", "wait")]]


def _step(facts: dict[str, Any]) -> Lines:
    failed = facts["error"]
    mark = Cell("✗ ", "bad") if failed else Cell("✓ ", "good")
    took = duration(facts["completed_at"] - facts["started_at"])
    again = f", attempt {facts['attempts']}" if facts["attempts"] > 1 else ""
    outcome = _error(failed) if failed else Cell(_output(facts["output"]), "quiet")
    return [[mark, Cell(_place(facts)), Cell(split_name(facts["name"])[0]), Cell(f"  {took}{again}  ", "quiet"), outcome]]


def _attempt(facts: dict[str, Any]) -> Lines:
    again = f"; tries again at {local(facts['retry_at']):%H:%M:%S}" if facts["retry_at"] else ""
    said = Cell(f"  attempt {facts['attempt']} failed{again}  ", "wait")
    return [[Cell("↻ ", "wait"), Cell(_place(facts)), Cell(split_name(facts["name"])[0]), said, _error(facts["error"])]]


def _end(facts: dict[str, Any]) -> Lines:
    status = RunState(facts["status"])
    mark = {DONE: Cell("✓ ", "good"), CANCELLED: Cell("■ ", "wait")}.get(CODES[status], Cell("✗ ", "bad"))
    took = f" after {duration(facts['completed_at'] - facts['created_at'])}" if facts["completed_at"] else ""
    lines = [[mark, Cell(split_name(facts["name"])[0] + " "), state(status), Cell(took, "quiet")]]
    if facts["error"]:
        lines.append([_error(facts["error"], 500)])
    elif facts["output"] is not None:
        lines += [[Cell(line)] for line in readable(facts["output"]).split("\n")]
    return lines


def _place(facts: dict[str, Any]) -> str:
    return f"{facts['branch']}/{facts['step_id']} " if facts["branch"] else f"{facts['step_id']:>3} "


def _output(value: Any) -> str:
    return "" if value is None else short(value, 60)


def _error(error: dict[str, str] | None, limit: int = 120) -> Cell:
    """The type and the beginning of the message of an exception."""
    if error is None:
        return Cell("")
    message = f"{split_name(error['type'])[0]}: {error['message']}"
    return Cell(message if len(message) <= limit else f"{message[: limit - 1]}…", "bad")


TELLING: dict[str, Callable[[dict[str, Any]], Lines]] = {
    "missing": _missing,
    "status": _status,
    "progress": _progress,
    "earlier": _earlier,
    "again": _again,
    "step": _step,
    "attempt": _attempt,
    "end": _end,
}

WATCH = Subcommand(name="watch", help="Follow a run live, until its end.", arguments=_arguments, run=_run)
