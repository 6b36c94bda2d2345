"""
The signals as log lines of the logger ``durable_workflows``; nothing else in the product logs.

What goes well is INFO at the end of a run and DEBUG on the way, what somebody should look into is WARNING, what nobody
will mend by itself is ERROR. Names and messages come from rows and requests, so control characters in them are written
as escapes: a line of the log is one fact, and no text can forge another. Where a traceback says more than the row of the
run does, it follows its line, as Python prints it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence, Sized
from typing import Any

from django.db import Error as DatabaseError

from durable_workflows import signals
from durable_workflows.states import RunState

logger = logging.getLogger("durable_workflows")

LONGEST = 500  # characters of one value; a message may quote a whole document


def attended(*, verbosity: int, **kwargs: Any) -> None:
    """
    Have a command's log lines seen, unless the project has told where they go.

    :param verbosity: as ``manage.py`` has it: 0 for problems only, 1 for what matters, 2 and more for everything.
    """
    root = logging.getLogger("durable_workflows")
    if root.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("{asctime} {levelname:7} {message}", style="{"))
    root.addHandler(handler)
    root.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG))


def connect() -> None:
    """Start writing log lines; calling it again changes nothing."""
    for name, receiver in RECEIVERS.items():
        getattr(signals, name).connect(receiver, weak=False, dispatch_uid=f"durable_workflows.log.{name}")


def run_started(*, run_id: str, name: str, attempt: int, **kwargs: Any) -> None:
    _write(logging.DEBUG, "Run %s of %s started (attempt %s)", run_id, name, attempt, run=run_id)


def run_suspended(*, run_id: str, name: str, **kwargs: Any) -> None:
    _write(logging.DEBUG, "Run %s of %s waits, without a thread", run_id, name, run=run_id)


def run_finished(*, run_id: str, name: str, status: str, error: object = None, note: str | None = None, **kwargs: Any) -> None:
    level, text = ENDS[status]
    _write(level, text, run_id, name, _because(note if error is None else error), run=run_id)


def run_stranded(*, run_id: str, name: str, reason: object, **kwargs: Any) -> None:
    text = "Run %s of %s waits until somebody acts: %s. Nothing is lost: deploy code that fits it, then resume it"
    _write(logging.WARNING, text, run_id, name, reason, run=run_id)


def step_failed(*, run_id: str, step: str, attempt: int, error: object, retry_in: float | None = None, **kwargs: Any) -> None:
    then = "and is not tried again" if retry_in is None else f"and is tried again in {retry_in:.1f} s"
    text = "Step %s of run %s failed in attempt %s %s%s"
    _write(logging.WARNING, text, step, run_id, attempt, then, _because(error), run=run_id)


def should_retry_failed(*, run_id: str, step: str, error: object, **kwargs: Any) -> None:
    text = "should_retry of step %s of run %s failed, so the step is not tried again%s"
    _write(logging.ERROR, text, step, run_id, _because(error), run=run_id, trace=_traceback(error))


def error_lost(*, run_id: str, step: str, error: object, lost: Sequence[str] | None, **kwargs: Any) -> None:
    kind = type(error).__qualname__
    if lost is None:
        text = (
            "Step %s of run %s raised %s, which cannot be rebuilt from its record: a replay of the run would wait there."
            " Declare the class at the top of a module, and let its message say no more than what can be stored"
        )
        _write(logging.WARNING, text, step, run_id, kind, run=run_id)
        return
    named = [name for name in lost if not name.rpartition(".")[2].startswith("_") or name.endswith("__cause__")]
    text = (
        "Step %s of run %s raised %s, of which %s cannot be stored, so the workflow meets it without. Catch it in the step, and"
        " return or raise what the workflow needs"
    )
    if named:  # what is private is nothing that a workflow looks at
        _write(logging.WARNING, text, step, run_id, kind, ", ".join(named), run=run_id)


def step_held_transaction(*, run_id: str, step: str, seconds: float, **kwargs: Any) -> None:
    text = (
        "Step %s of run %s kept its transaction open for %s s, and with it every row it had touched (on SQLite, the whole"
        " database). Split it into steps that read, call what is slow, and write"
    )
    _write(logging.WARNING, text, step, run_id, f"{seconds:.1f}", run=run_id)


def hook_failed(*, run_id: str, step: str, error: object, **kwargs: Any) -> None:
    text = "An on_commit() hook of step %s of run %s failed. The step is done, and the hook is not called again%s"
    _write(logging.ERROR, text, step, run_id, _because(error), run=run_id, trace=_traceback(error))


def body_wrote(*, run_id: str, name: str, sql: str, **kwargs: Any) -> None:
    text = (
        "The body of run %s of %s wrote to the database outside any step, so a replay writes again. Move this into a @step: %s"
    )
    _write(logging.WARNING, text, run_id, name, sql, run=run_id)


def worker_started(*, worker_id: str, queues: object, threads: int, **kwargs: Any) -> None:
    served = ", ".join(map(str, queues)) if isinstance(queues, Iterable) and not isinstance(queues, str) else queues
    _write(logging.INFO, "Worker %s started with %s threads and serves %s", worker_id, threads, served or "all queues")


def worker_draining(*, worker_id: str, **kwargs: Any) -> None:
    _write(logging.INFO, "Worker %s is drained: it claims no more, and ends once nothing is executed", worker_id)


def worker_stopped(*, worker_id: str, handed_back: object, **kwargs: Any) -> None:
    _write(logging.INFO, "Worker %s stopped; runs handed back: %s", worker_id, _count(handed_back))


def process_ended(*, pid: int, status: int, replaced_in: float | None, **kwargs: Any) -> None:
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    then = "is not replaced" if replaced_in is None else f"is replaced in {replaced_in:.1f} s"
    _write(logging.WARNING if status == 0 else logging.ERROR, "Worker process %s %s and %s", pid, how, then)


def worker_lost(*, worker_id: str, runs: object, stopped: bool = False, **kwargs: Any) -> None:
    how = "stopped, and could not give back all that it held" if stopped else "is lost: its lease ran out"
    _write(logging.WARNING, "Worker %s %s. Runs taken back: %s", worker_id, how, _count(runs))


def housekeeping(*, what: str, count: object, **kwargs: Any) -> None:
    _write(logging.DEBUG, "Housekeeping, %s: %s", what, _count(count))


def queue_unreadable(*, queue: str, problem: object, **kwargs: Any) -> None:
    text = "The runs of queue %s wait, since its row says no limits that can be kept%s. Mend the row's declared or overrides"
    _write(logging.ERROR, text, queue, _because(str(problem).rstrip(".")))


def schedule_paused(*, schedule: str, error: object, **kwargs: Any) -> None:
    text = "Schedule %s is paused, since its row cannot be fired%s. Mend the row, and set its paused to false"
    _write(logging.ERROR, text, schedule, _because(error))


def loop_failed(*, loop: str, error: object, retry_in: float | None = None, failures: int = 1, **kwargs: Any) -> None:
    then = "" if retry_in is None else f" and tries again in {retry_in:.1f} s"
    # An absent database says enough in its message, and the same mistake says it once; another may be one of ours.
    trace = None if isinstance(error, DatabaseError) or failures > 1 else _traceback(error)
    _write(logging.ERROR, "The worker's loop %s failed%s%s", loop, then, _because(error), trace=trace)


ENDS: dict[str, tuple[int, str]] = {
    RunState.SUCCESS: (logging.INFO, "Run %s of %s succeeded%s"),
    RunState.ERROR: (logging.ERROR, "Run %s of %s failed%s"),
    RunState.CANCELLED: (logging.INFO, "Run %s of %s was cancelled%s"),
    RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED: (
        logging.ERROR,
        "Run %s of %s was given up%s",
    ),
}
RECEIVERS = {
    receiver.__name__: receiver
    for receiver in (
        attended, run_started, run_suspended, run_finished, run_stranded, step_failed, should_retry_failed, error_lost,
        step_held_transaction, hook_failed, body_wrote, worker_started, worker_draining, worker_stopped, process_ended,
        worker_lost, housekeeping, queue_unreadable, schedule_paused, loop_failed,
    )
}  # fmt: skip


def _write(level: int, text: str, *values: object, run: str | None = None, trace: BaseException | None = None) -> None:
    if logger.isEnabledFor(level):
        extra = {"workflow_id": run} if run is not None else None
        logger.log(level, text, *map(_shown, values), exc_info=trace, extra=extra, stacklevel=2)


def _shown(value: object) -> str:
    text = str(value)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... ({len(text)} characters)"
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _because(error: object) -> str:
    if error is None:
        return ""
    return f": {type(error).__name__}: {error}" if isinstance(error, BaseException) else f": {error}"


def _traceback(error: object) -> BaseException | None:
    return error if isinstance(error, BaseException) else None


def _count(things: object) -> object:
    return len(things) if isinstance(things, Sized) and not isinstance(things, str) else things
