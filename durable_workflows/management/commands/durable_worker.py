"""``manage.py durable_worker``: argv to ``worker.Supervisor``."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import autoreload

from durable_workflows import clock, conf, signals
from durable_workflows.worker import Options, Supervisor


class Command(BaseCommand):
    help = "Execute durable workflows: claims runs, recovers those of dead workers, wakes, schedules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--threads", type=int, help="Runs that one process executes at once (setting THREADS).")
        parser.add_argument("--processes", type=int, default=1, help="Worker processes; a dead one is replaced.")
        parser.add_argument("--queues", default="", help="Serve these queues only, separated by commas.")
        parser.add_argument("--exclude-queues", default="", help="Serve all declared queues but these.")
        parser.add_argument("--drain", action="store_true", help="Stop when nothing is left to execute now.")
        parser.add_argument("--once", action="store_true", help="The same as --drain.")
        parser.add_argument("--reload", action="store_true", default=None, help="Restart when code changes (in DEBUG).")
        parser.add_argument("--no-reload", action="store_false", dest="reload", help="Do not, even in DEBUG.")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("threads", "processes"):
            if options[name] is not None and options[name] < 1:
                raise CommandError(f"--{name} must be at least 1, not {options[name]}.")
        signals.send(signals.attended, verbosity=options["verbosity"])
        finite = options["drain"] or options["once"]
        if options["processes"] > 1:
            _Fleet(options["processes"]).run()
        elif not finite and (conf.debug() if options["reload"] is None else options["reload"]):
            autoreload.run_with_reloader(self._serve, options)
        else:
            self._serve(options)

    def _serve(self, options: dict[str, Any]) -> None:
        supervisor = Supervisor(
            Options(threads=options["threads"], queues=_names(options["queues"]), exclude=_names(options["exclude_queues"]))
        )
        _stop_on_signals(supervisor.request_stop)
        if options["drain"] or options["once"]:
            supervisor.drain()
        else:
            supervisor.run()


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _stop_on_signals(stop: Any) -> None:
    """Handlers only set flags: what they interrupt may hold any lock."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())
    else:  # under the autoreloader the main thread watches files and ends the process; runs are recovered
        autoreload.autoreload_started.connect(lambda **_: None)


class _Fleet:
    """Several worker processes, each started anew, so that no connection is inherited; a dead one is replaced."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stopping = False  # not an Event: a handler may interrupt who holds its lock
        self.children: list[subprocess.Popen[bytes]] = []

    def run(self) -> None:
        _stop_on_signals(self.stop)
        self.children = [self._spawn() for _ in range(self.size)]
        while not self.stopping:
            clock.pause(0.5)
            self.children = [child if child.poll() is None else self._spawn() for child in self.children]
        for child in self.children:
            child.wait()

    def stop(self) -> None:
        self.stopping = True
        for child in self.children:
            child.send_signal(signal.SIGTERM)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *_without_processes(sys.argv), "--processes", "1", "--no-reload"])


def _without_processes(argv: list[str]) -> list[str]:
    kept, skip = [], False
    for word in argv:
        if skip:
            skip = False
        elif word == "--processes":
            skip = True
        elif not word.startswith("--processes=") and word != "--reload":
            kept.append(word)
    return kept
