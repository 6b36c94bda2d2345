"""The demo's processes: a web server and a worker, each in a session of its own, gone when the demo is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from django.conf import settings

from example_project.demo import web
from example_project.demo.stage import Stage

PORTS_TO_TRY = 100
GRACE_SECONDS = 5.0
START_SECONDS = 60.0


class CannotStart(Exception):
    """A process did not come up."""


class Child:
    """
    A ``manage.py`` process.

    :param env: what is added to our environment.
    :param log: where its output goes.
    :param pass_fds: the descriptors that it inherits.
    """

    def __init__(self, *args: str, env: Mapping[str, str], log: Path, pass_fds: tuple[int, ...] = ()) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "example_project.demo.child", *args],
                cwd=settings.BASE_DIR,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env),
                stdin=subprocess.PIPE,  # the leash: its end tells the child that we are gone
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,  # Ctrl-C is for us; we end the others
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, and not itself."""
        return (self.process.poll() or 0) < 0

    def death(self) -> str:
        """How it died."""
        code = self.process.returncode
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"

    def said(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def terminate(self) -> None:
        """Ask it to end."""
        if self.alive:
            self.process.terminate()

    def end(self) -> None:
        """Wait for its end, or bring it about."""
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


class Cast:
    """All processes of one demo."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.children: list[Child] = []
        self.env: dict[str, str] = {}

    def _start(self, name: str, *args: str, env: Mapping[str, str] | None = None, pass_fds: tuple[int, ...] = ()) -> Child:
        child = Child(*args, env={**self.env, **(env or {})}, log=self.stage.log(name), pass_fds=pass_fds)
        self.children.append(child)
        return child

    def start_worker(self, env: Mapping[str, str] | None = None) -> Child:
        """A ``durable_worker``."""
        return self._start("worker", "durable_worker", "--no-reload", env=env)

    def start_web(self, port: int, tend: Callable[[], None]) -> tuple[Child, str]:
        """
        A web server on the first free port from ``port`` on, answering.

        :param tend: is called while we wait.
        :returns: it and its address.
        :raises CannotStart: if there is none.
        """
        listening = web.listen(port, PORTS_TO_TRY)
        if listening is None:
            raise CannotStart(f"No free port between {port} and {port + PORTS_TO_TRY - 1}. Name another with --port.")
        with listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
            self.env["SITE_URL"] = url
            server = self._start("web", "web", str(listening.fileno()), pass_fds=(listening.fileno(),))
        _wait_for_answer(server, url, tend)
        return server, url

    def close(self) -> None:
        """End them all."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.end()


def _wait_for_answer(server: Child, url: str, tend: Callable[[], None]) -> None:
    until = time.monotonic() + START_SECONDS
    while not _answers(url):
        tend()
        if not server.alive or time.monotonic() > until:
            raise CannotStart(f"The web server did not start:\n{server.said()}")


def _answers(url: str) -> bool:
    try:
        urlopen(url, timeout=2).close()
    except HTTPError:
        return True
    except OSError:
        return False
    return True
