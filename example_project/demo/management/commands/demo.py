"""``manage.py demo``: argv to ``demo.show``."""

from __future__ import annotations

import random
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from example_project.demo import stage
from example_project.demo.processes import CannotStart
from example_project.demo.script import STATEMENTS
from example_project.demo.show import Asked, Show, Wish


class Command(BaseCommand):
    help = "Watch workflows survive a killed worker: one SQLite file, real processes, effects counted by plain SQL."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="End when the effects are checked; non-zero if one is wrong.")
        parser.add_argument("--port", type=int, default=8000, help="Of the web server; the next free one if it is taken.")
        parser.add_argument("--seed", type=int, help="Of the statement at which the worker is killed; printed.")
        parser.add_argument("--statement", type=int, help=f"That statement itself, from 1 to {STATEMENTS}.")
        parser.add_argument("--directory", help="A new directory for its files, kept; default: a temporary one, removed.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["statement"] is not None and not 1 <= options["statement"] <= STATEMENTS:
            raise CommandError(f"--statement is a number from 1 to {STATEMENTS}.")
        place = stage.current()
        if place is None:
            try:
                place = stage.build(options["directory"])
            except stage.StageTaken as error:
                raise CommandError(str(error)) from error
            stage.enter(place)
        wish = Wish()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, wish.come)
        if not self._survives(place, options, wish):
            raise CommandError(f"A promise was broken. Database and logs are kept: {place.directory}")

    def _survives(self, place: stage.Stage, options: dict[str, Any], wish: Wish) -> bool:
        kept = True
        try:
            kept = self._play(place, options, wish)
        except KeyboardInterrupt:
            self.stdout.write("\nEnded; web server and worker are gone.")
        except CannotStart as error:
            raise CommandError(str(error)) from error
        finally:
            if kept:
                place.clear()
        return kept

    def _play(self, place: stage.Stage, options: dict[str, Any], wish: Wish) -> bool:
        seed = random.randrange(10**6) if options["seed"] is None else options["seed"]
        asked = Asked(port=options["port"], once=options["once"], seed=seed, statement=options["statement"])
        show = Show(place, asked, wish)
        show.screen.say(f"seed {seed}: a worker will be killed before statement {asked.chosen()} of a checkout's transactions")
        return show.run()
