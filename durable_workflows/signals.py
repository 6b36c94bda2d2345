"""
One signal per fact. They observe: a receiver that raises is reported and never changes a run.

Each is sent after the fact is committed (``step_*`` excepted, which are sent from the attempt). ``sender`` is the
string ``"durable_workflows"``; the keyword arguments stand beside each signal.
"""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

SENDER = "durable_workflows"

attended = Signal()  # verbosity: a command runs whose user reads the log on the console
claimable = Signal()  # nothing: a run came to be claimable, so that workers look; sent at commit
run_started = Signal()  # run_id, name, attempt
run_suspended = Signal()  # run_id, name
run_finished = Signal()  # run_id, name, status, error (the exception, or None), note (why, when it has no outcome)
run_stranded = Signal()  # run_id, name, reason: waits visibly, for an operator or a deploy
step_failed = Signal()  # run_id, step, attempt, error, retry_in (seconds or None)
should_retry_failed = Signal()  # run_id, step, error: what should_retry raised, which counts as no
error_lost = Signal()  # run_id, step, error, lost (names of what the record lacks; None: it cannot be rebuilt at all)
step_held_transaction = Signal()  # run_id, step, seconds
hook_failed = Signal()  # run_id, step, error: an on_commit hook raised after the step was committed
body_wrote = Signal()  # run_id, name, sql
worker_started = Signal()  # worker_id, queues, threads
worker_draining = Signal()  # worker_id: an operator asked it to end, and it claims no more
worker_stopped = Signal()  # worker_id, handed_back
process_ended = Signal()  # pid, status (negative: by that signal), replaced_in (seconds or None): one of several
worker_lost = Signal()  # worker_id, runs, stopped (in order, and could not give them back): another's runs were taken back
housekeeping = Signal()  # what, count
queue_unreadable = Signal()  # queue, problem: its row says nothing that can be kept, so its runs wait
schedule_paused = Signal()  # schedule, error: its row cannot work until somebody mends it
loop_failed = Signal()  # loop, error, retry_in, failures (in a row)


def at_commit(signal: Signal, alias: str, **facts: object) -> None:
    """Tell the receivers once the transaction that is open on this database commits; at once if there is none."""
    transaction.on_commit(partial(send, signal, **facts), using=alias, robust=True)


def send(signal: Signal, **facts: object) -> None:
    """Tell the receivers; their errors stay theirs (Django logs them)."""
    if signal.receivers:
        signal.send_robust(SENDER, **facts)
