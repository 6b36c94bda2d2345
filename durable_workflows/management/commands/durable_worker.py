"""``manage.py durable_worker``: argv to ``worker.Supervisor``."""

from __future__ import annotations

import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import autoreload

from durable_workflows import conf, signals
from durable_workflows.worker import Fleet, Options, Supervisor, fleet


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
        if fleet.is_member():
            self._serve_as_member(options)
        elif options["processes"] > 1:
            self._lead(options["processes"], finite)
        elif not finite and (conf.debug() if options["reload"] is None else options["reload"]):
            autoreload.run_with_reloader(self._serve, options)
        else:
            self._serve(options)

    def _lead(self, processes: int, finite: bool) -> None:
        several = Fleet(processes, autoreload.get_child_arguments(), finite=finite)
        _stop_on_signals(several.request_stop)
        if given_up := several.run():
            raise CommandError(f"{given_up} of {processes} worker processes failed each time they were started; see above.")

    def _serve_as_member(self, options: dict[str, Any]) -> None:
        if self._serve(options, fleet.obey).drained:
            sys.exit(fleet.DRAINED)

    def _serve(self, options: dict[str, Any], prepare: Callable[[Supervisor], None] = lambda _: None) -> Supervisor:
        supervisor = Supervisor(
            Options(threads=options["threads"], queues=_names(options["queues"]), exclude=_names(options["exclude_queues"]))
        )
        _stop_on_signals(supervisor.request_stop)
        prepare(supervisor)
        if options["drain"] or options["once"]:
            supervisor.drain()
        else:
            supervisor.run()
        return supervisor


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _stop_on_signals(stop: Any) -> None:
    """
    Handlers only set flags: what they interrupt may hold any lock.

    Under the autoreloader there are none: the main thread watches files and ends the process, and runs are recovered.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())
