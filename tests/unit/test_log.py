"""Every signal has its line: at a fitting level, on one line, whatever the names and messages hold."""

from __future__ import annotations

import logging
import threading

import pytest
from django.db import OperationalError
from django.dispatch import Signal

from durable_workflows import log, signals
from durable_workflows.states import TERMINAL, RunState
from durable_workflows.worker.loops import Loop

SIGNALS = {name: value for name, value in vars(signals).items() if isinstance(value, Signal)}


class PaymentDeclined(Exception):
    """What a user's code raises."""


LINES = [
    ("run_started", {"run_id": "r1", "name": "shop.pay", "attempt": 2}, "DEBUG", "Run r1 of shop.pay started (attempt 2)"),
    ("run_suspended", {"run_id": "r1", "name": "shop.pay"}, "DEBUG", "Run r1 of shop.pay waits, without a thread"),
    ("run_finished", {"run_id": "r1", "name": "shop.pay", "status": "SUCCESS"}, "INFO", "Run r1 of shop.pay succeeded"),
    ("run_finished", {"run_id": "r1", "name": "shop.pay", "status": "CANCELLED"}, "INFO", "Run r1 of shop.pay was cancelled"),
    (
        "run_finished",
        {"run_id": "r1", "name": "shop.pay", "status": "ERROR", "error": PaymentDeclined("no funds")},
        "ERROR",
        "Run r1 of shop.pay failed: PaymentDeclined: no funds",
    ),
    ("run_finished", {"run_id": "r1", "name": "shop.pay", "status": "ERROR"}, "ERROR", "Run r1 of shop.pay failed"),
    (
        "run_finished",
        {"run_id": "r1", "name": "shop.pay", "status": "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "note": "It kills its workers."},
        "ERROR",
        "Run r1 of shop.pay was given up: It kills its workers.",
    ),
    (
        "run_finished",
        {"run_id": "r1", "name": "shop.pay", "status": "CANCELLED", "error": None, "note": "Its deadline passed."},
        "INFO",
        "Run r1 of shop.pay was cancelled: Its deadline passed.",
    ),
    (
        "run_stranded",
        {"run_id": "r1", "name": "shop.pay", "reason": "step 3 was charge, now it is refund"},
        "WARNING",
        "Run r1 of shop.pay waits until somebody acts: step 3 was charge, now it is refund. Nothing is lost: deploy code"
        " that fits it, then resume it",
    ),
    (
        "step_failed",
        {"run_id": "r1", "step": "charge", "attempt": 1, "error": PaymentDeclined("busy"), "retry_in": 2.04},
        "WARNING",
        "Step charge of run r1 failed in attempt 1 and is tried again in 2.0 s: PaymentDeclined: busy",
    ),
    (
        "step_failed",
        {"run_id": "r1", "step": "charge", "attempt": 3, "error": "busy", "retry_in": None},
        "WARNING",
        "Step charge of run r1 failed in attempt 3 and is not tried again: busy",
    ),
    (
        "should_retry_failed",
        {"run_id": "r1", "step": "charge", "error": AttributeError("no code")},
        "ERROR",
        "should_retry of step charge of run r1 failed, so the step is not tried again: AttributeError: no code",
    ),
    (
        "error_lost",
        {"run_id": "r1", "step": "charge", "error": PaymentDeclined("x"), "lost": ["PaymentDeclined.response", "Cause._info"]},
        "WARNING",
        "Step charge of run r1 raised PaymentDeclined, of which PaymentDeclined.response cannot be stored, so the workflow meets"
        " it without. Catch it in the step, and return or raise what the workflow needs",
    ),
    (
        "error_lost",
        {"run_id": "r1", "step": "charge", "error": PaymentDeclined("x"), "lost": None},
        "WARNING",
        "Step charge of run r1 raised PaymentDeclined, which cannot be rebuilt from its record: a replay of the run would wait"
        " there. Declare the class at the top of a module, and let its message say no more than what can be stored",
    ),
    (
        "step_held_transaction",
        {"run_id": "r1", "step": "charge", "seconds": 7.25},
        "WARNING",
        "Step charge of run r1 kept its transaction open for 7.2 s, and with it every row it had touched (on SQLite, the whole"
        " database). Split it into steps that read, call what is slow, and write",
    ),
    (
        "hook_failed",
        {"run_id": "r1", "step": "charge", "error": KeyError("mail")},
        "ERROR",
        "An on_commit() hook of step charge of run r1 failed. The step is done, and the hook is not called again:"
        " KeyError: 'mail'",
    ),
    (
        "body_wrote",
        {"run_id": "r1", "name": "shop.pay", "sql": 'INSERT INTO "order"'},
        "WARNING",
        "The body of run r1 of shop.pay wrote to the database outside any step, so a replay writes again. Move this into a"
        ' @step: INSERT INTO "order"',
    ),
    (
        "worker_started",
        {"worker_id": "w1", "queues": ["mail", "default"], "threads": 4},
        "INFO",
        "Worker w1 started with 4 threads and serves mail, default",
    ),
    (
        "worker_started",
        {"worker_id": "w1", "queues": None, "threads": 4},
        "INFO",
        "Worker w1 started with 4 threads and serves all queues",
    ),
    (
        "worker_draining",
        {"worker_id": "w1"},
        "INFO",
        "Worker w1 is drained: it claims no more, and ends once nothing is executed",
    ),
    ("worker_stopped", {"worker_id": "w1", "handed_back": 3}, "INFO", "Worker w1 stopped; runs handed back: 3"),
    (
        "process_ended",
        {"pid": 7, "status": 1, "replaced_in": 0.5},
        "ERROR",
        "Worker process 7 ended with status 1 and is replaced in 0.5 s",
    ),
    (
        "process_ended",
        {"pid": 7, "status": -9, "replaced_in": None},
        "ERROR",
        "Worker process 7 was ended by signal 9 and is not replaced",
    ),
    (
        "process_ended",
        {"pid": 7, "status": 0, "replaced_in": 0.0},
        "WARNING",
        "Worker process 7 ended with status 0 and is replaced in 0.0 s",
    ),
    (
        "worker_lost",
        {"worker_id": "w1", "runs": ["r1", "r2"]},
        "WARNING",
        "Worker w1 is lost: its lease ran out. Runs taken back: 2",
    ),
    (
        "worker_lost",
        {"worker_id": "w1", "runs": 2, "stopped": True},
        "WARNING",
        "Worker w1 stopped, and could not give back all that it held. Runs taken back: 2",
    ),
    ("housekeeping", {"what": "pruned runs", "count": 12}, "DEBUG", "Housekeeping, pruned runs: 12"),
    (
        "loop_failed",
        {"loop": "claim", "error": OperationalError("gone"), "retry_in": 4.0},
        "ERROR",
        "The worker's loop claim failed and tries again in 4.0 s: OperationalError: gone",
    ),
    (
        "loop_failed",
        {"loop": "run r1", "error": OperationalError("gone"), "retry_in": None},
        "ERROR",
        "The worker's loop run r1 failed: OperationalError: gone",
    ),
    (
        "queue_unreadable",
        {"queue": "mail", "problem": "There is no limit speed."},
        "ERROR",
        "The runs of queue mail wait, since its row says no limits that can be kept: There is no limit speed. Mend the row's"
        " declared or overrides",
    ),
    (
        "schedule_paused",
        {"schedule": "nightly", "error": ValueError("no such zone")},
        "ERROR",
        "Schedule nightly is paused, since its row cannot be fired: ValueError: no such zone. Mend the row, and set its paused"
        " to false",
    ),
]


@pytest.mark.parametrize(("signal", "facts", "level", "line"), LINES)
def test_a_fact_is_worded(
    caplog: pytest.LogCaptureFixture, signal: str, facts: dict[str, object], level: str, line: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="durable_workflows")
    signals.send(SIGNALS[signal], **facts)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, line)]


def test_every_signal_and_every_end_has_its_words() -> None:
    told_to_machines = {"claimable", "attended"}  # a hint for workers, a wish of a command: nothing to read
    assert {signal for signal, *_ in LINES} == set(SIGNALS) - told_to_machines
    assert set(log.ENDS) == TERMINAL


def test_a_signal_may_gain_facts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="durable_workflows")
    for signal, facts, *_ in LINES:
        signals.send(SIGNALS[signal], **facts, a_later_fact=1)
    assert len(caplog.records) == len(LINES)
    assert {record.name for record in caplog.records} == {"durable_workflows"}


def test_connecting_again_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="durable_workflows")
    log.connect()
    signals.send(signals.run_suspended, run_id="r1", name="shop.pay")
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("r1\n2026-01-01 ERROR all is lost", "r1\\n2026-01-01 ERROR all is lost"),
        ("r1\r", "r1\\r"),
        ("\x1b[2Jr1", "\\x1b[2Jr1"),
        ("r1\u2028", "r1\\u2028"),
        ("\u202er1", "\\u202er1"),
        ("Bestellung-größer-注文", "Bestellung-größer-注文"),
        ("100 %s %(name)s", "100 %s %(name)s"),
        ("x" * 501, "x" * 500 + "... (501 characters)"),
    ],
)
def test_no_text_can_forge_a_line(caplog: pytest.LogCaptureFixture, text: str, shown: str) -> None:
    signals.send(signals.run_stranded, run_id=text, name="shop.pay", reason="it is late")
    [record] = caplog.records
    assert record.getMessage().startswith(f"Run {shown} of shop.pay waits")


def test_an_error_of_the_database_is_one_line_and_a_mistake_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    for error in (OperationalError("gone"), KeyError("threads")):
        signals.send(signals.loop_failed, loop="claim", error=error, retry_in=1.0)
    assert [record.exc_info is not None for record in caplog.records] == [False, True]


def test_a_loop_that_fails_again_and_again_shows_its_traceback_once(caplog: pytest.LogCaptureFixture) -> None:
    enough = threading.Event()
    loop = Loop("test", tick=lambda: {}["missing"], finish=enough.set)

    def after_three(**facts: object) -> None:
        if len(caplog.records) == 3:
            loop.stop()
        loop.wake()

    signals.loop_failed.connect(after_three)
    try:
        loop.start()
        assert enough.wait(30)
    finally:
        signals.loop_failed.disconnect(after_three)
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False]


def test_the_record_carries_the_id_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    signals.send(signals.run_finished, run_id="r1", name="shop.pay", status=RunState.ERROR)
    assert vars(caplog.records[0])["workflow_id"] == "r1"
