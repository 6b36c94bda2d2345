"""``durable_worker --processes``: real processes that drain, are stopped from a terminal, and are killed."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable_workflows import WorkflowHandle
from durable_workflows.models import StepRun, Worker
from durable_workflows.states import RunState
from tests.behaviour.workflows import hold, holds
from tests.processes import Processes

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60
once = pytest.mark.once  # what signals and kills come to is the same on every database
# Become the owner of the terminal at the standard input, as a shell makes its foreground job one, then be Python.
ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
CTRL_C = b"\x03"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The keyboard's end, and the program's."""
    keyboard, program = pty.openpty()
    yield keyboard, program
    os.close(keyboard)
    os.close(program)


@pytest.fixture
def held(tmp_path: Path) -> tuple[WorkflowHandle[str], Path]:
    """A run in whose step a worker is until there is a file."""
    return holds.start(str(tmp_path / "let-go")), tmp_path / "let-go"


def until(there: Callable[[], object], what: str) -> None:
    last_look = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < last_look, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)


def alive() -> set[int]:
    return set(Worker.objects.filter(direct=False, stopped_at=None, lost_at=None).values_list("pid", flat=True))


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def on_terminal(processes: Processes, terminal: tuple[int, int]) -> subprocess.Popen[bytes]:
    return processes.start(
        "-c", ON_TERMINAL, "manage.py", "durable_worker", "--processes", "2", "--threads", "1", stdin=terminal[1]
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("by", [("manage.py",), ("-X", "utf8", "-m", "django")], ids=["manage.py", "python-m-django"])
def test_several_processes_drain_and_end(processes: Processes, tmp_path: Path, by: tuple[str, ...]) -> None:
    path = tmp_path / "let-go"
    path.touch()
    handles = [holds.start(str(path)) for _ in range(12)]
    fleet = processes.start(*by, "durable_worker", "--processes", "2", "--threads", "1", "--drain")
    assert fleet.wait(SECONDS) == 0
    assert {handle.run.status for handle in handles} == {RunState.SUCCESS}
    assert Worker.objects.count() == 2
    assert not alive()


@once
def test_ctrl_c_in_a_terminal_lets_steps_finish(
    processes: Processes, terminal: tuple[int, int], held: tuple[WorkflowHandle[str], Path]
) -> None:
    handle, path = held
    fleet = on_terminal(processes, terminal)
    until(Path(f"{path}.began").exists, "the step began")
    until(lambda: len(alive()) == 2, "both processes work")
    os.write(terminal[0], CTRL_C)
    until(lambda: len(alive()) == 1, "the idle process has ended")
    time.sleep(1)  # what would be taken from its thread is taken at once
    assert handle.run.status == RunState.RUNNING
    path.touch()
    assert fleet.wait(SECONDS) == 0
    assert processes.output(fleet).count("runs handed back: 0") == 2
    assert StepRun.objects.get(run_id=handle.workflow_id).name == hold.durable.name


@once
def test_ctrl_c_twice_hands_back_at_once(
    processes: Processes, terminal: tuple[int, int], held: tuple[WorkflowHandle[str], Path]
) -> None:
    handle, path = held
    fleet = on_terminal(processes, terminal)
    until(Path(f"{path}.began").exists, "the step began")
    until(lambda: len(alive()) == 2, "both processes work")
    os.write(terminal[0], CTRL_C)
    until(lambda: len(alive()) == 1, "the idle process has ended")
    os.write(terminal[0], CTRL_C)
    assert fleet.wait(SECONDS) == 0
    assert "runs handed back: 1" in processes.output(fleet)
    assert handle.run.status == RunState.ENQUEUED


@once
def test_a_signal_to_the_first_process_alone_stops_all(processes: Processes, held: tuple[WorkflowHandle[str], Path]) -> None:
    handle, path = held
    fleet = processes.worker("--processes", "2", "--threads", "1")
    until(Path(f"{path}.began").exists, "the step began")
    until(lambda: len(alive()) == 2, "both processes work")
    fleet.send_signal(signal.SIGTERM)
    until(lambda: len(alive()) == 1, "the idle process has ended")
    assert handle.run.status == RunState.RUNNING
    path.touch()
    assert fleet.wait(SECONDS) == 0
    assert not alive()


@once
def test_a_killed_process_is_replaced_and_all_end_with_the_first(processes: Processes) -> None:
    fleet = processes.worker("--processes", "2", "--threads", "1")
    until(lambda: len(alive()) == 2, "both processes work")
    before = alive()
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(alive() - {victim}) == 2, "another has taken its place")
    assert f"Worker process {victim} was ended by signal 9 and is replaced" in processes.output(fleet)
    left = alive() - {victim}
    os.kill(fleet.pid, signal.SIGKILL)
    fleet.wait()
    until(lambda: not alive() - {victim}, "the others have stopped")
    until(lambda: not any(map(exists, left)), "the others are gone")


@once
def test_processes_that_fail_at_once_do_not_spin(processes: Processes) -> None:
    broken = {"DURABLE_TEST_SETTINGS": '{"THREADS": 0}'}
    fleet = processes.worker("--processes", "2", "--drain", "--skip-checks", env=broken)
    assert fleet.wait(SECONDS) == 1
    said = processes.output(fleet)
    assert "2 of 2 worker processes failed each time they were started" in said
    for then in ("replaced in 0.5 s", "replaced in 1.0 s", "not replaced"):
        assert said.count(f"ended with status 1 and is {then}") == 2
    lasting = processes.worker("--processes", "1", "--skip-checks", env=broken | {"DURABLE_WORKFLOWS_MEMBER": "1"})
    assert lasting.wait(SECONDS) == 1
