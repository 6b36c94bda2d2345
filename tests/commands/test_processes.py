"""The command as a process of its own: live, interrupted, and with nobody who reads on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from durable_workflows import send
from tests.admin.rows import make_runs
from tests.commands import workflows
from tests.commands.speaking import ask
from tests.processes import ROOT, Processes

# Signals and pipes are the same on every database.
pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def processes(subprocess_env: dict[str, str]) -> Iterator[Processes]:
    """A worker knows the workflows of this directory by the app of it."""
    started = Processes(subprocess_env | {"DJANGO_SETTINGS_MODULE": "tests.commands.settings"})
    yield started
    started.close()


def test_a_run_is_watched_live(processes: Processes) -> None:
    watcher = processes.manage("durable", "watch", "order-1", "--wait", "--json")
    interrupted = processes.manage("durable", "watch", "order-1", "--wait")
    processes.expect(watcher, '"missing"')
    processes.expect(interrupted, "no such run yet")
    processes.worker("--no-reload")
    ask("start", workflows.question.durable.name, "--id", "order-1")
    processes.expect(watcher, "waits for message")
    processes.expect(interrupted, "waits for message")
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(30) == 130
    assert "Traceback" not in processes.output(interrupted)
    send("order-1", {"paid": 5}, "answer")
    assert watcher.wait(60) == 0
    told = [json.loads(line) for line in processes.output(watcher).splitlines()]
    assert [line["name"].rpartition(".")[2] for line in told if line["event"] == "step"] == ["reserve", "set_event", "recv"]
    assert told[-1]["event"] == "end"
    assert told[-1]["output"] == {"paid": 5}


def test_a_reader_may_leave(subprocess_env: Mapping[str, str]) -> None:
    make_runs(3000)
    command = f"{sys.executable} manage.py durable list --limit 3000 | head -n 1; echo ${{PIPESTATUS[0]}}"
    buffered = {name: value for name, value in subprocess_env.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=buffered, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.startswith("STATUS")
    assert ran.stdout.split()[-1] == "141"
    assert not ran.stderr


def test_errors_have_a_status_and_a_place(subprocess_env: Mapping[str, str]) -> None:
    def run(*argv: str) -> tuple[int, str, str]:
        ran = subprocess.run(
            [sys.executable, "manage.py", "durable", *argv], cwd=ROOT, env=dict(subprocess_env) | {"PYTHONIOENCODING": "ascii"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout, ran.stderr

    code, out, err = run("show", "nobody", "--json")
    assert (code, json.loads(out)["error"]["type"], err) == (1, "WorkflowNotFound", "")
    code, out, err = run("show", "nobody“")
    assert (code, out) == (1, "")
    assert err.startswith("CommandError: There is no run")
    code, out, err = run("list", "--limit", "none")
    assert (code, out) == (2, "")
    assert "usage:" in err
