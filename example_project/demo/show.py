"""
The demo itself, from the empty database to the counted effects.

A worker is killed with SIGKILL while a step's transaction is open, at a random statement. Another takes its runs over,
and in the end every effect must be there as often as promised.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.urls import reverse
from rich.console import Console

from example_project.demo import books, script
from example_project.demo.books import Act
from example_project.demo.fuse import Fuse, LastWords, last_words
from example_project.demo.processes import CannotStart, Cast, Child
from example_project.demo.screen import Screen
from example_project.demo.stage import Stage
from example_project.hooks import sender

LOGIN = "demo"
LONGEST_SECONDS = 90.0
TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    What the command was asked for.

    :param port: the first port to try.
    :param once: whether to end after the effects were checked.
    :param seed: of the random statement.
    :param statement: the statement itself, instead.
    """

    port: int
    once: bool
    seed: int
    statement: int | None = None

    def chosen(self) -> int:
        """The number of the statement before which the worker dies."""
        return self.statement or random.Random(self.seed).randint(1, script.STATEMENTS)


class Wish:
    """
    Somebody's wish that the demo ends.

    It is told by an exception, wherever the signal comes. Python swallows one that comes amid a destructor, say, so the
    wish is kept, to be raised again at the next look.
    """

    def __init__(self) -> None:
        self.told: BaseException | None = None

    def come(self, number: int, frame: object) -> NoReturn:
        """As a signal's handler."""
        self.told = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + signal.SIGTERM)
        raise self.told

    def look(self) -> None:
        if self.told is not None:
            raise self.told


class Show:
    """One demo on one stage, until somebody wishes its end."""

    def __init__(self, stage: Stage, asked: Asked, wish: Wish) -> None:
        self.stage = stage
        self.asked = asked
        self.wish = wish
        self.cast = Cast(stage)
        self.screen = Screen(_console())
        self.acts: list[Act] = []
        self.web: Child | None = None
        self.workers: list[Child] = []
        self.kept = True
        self.fuse = Fuse(script.CHECKOUTS[0].run_id, asked.chosen(), str(stage.directory / "last-words.json"))

    def run(self) -> bool:
        """Play it, and stay until Ctrl-C unless asked otherwise; returns whether all promises were kept."""
        try:
            with self.screen:
                self._play()
                while not self.asked.once:
                    self._tend()
        finally:
            self.cast.close()
        return self.kept

    def _play(self) -> None:
        self._prepare()
        self.web, url = self.cast.start_web(self.asked.port, self._tend)
        self.screen.say(
            f"web server {self.web.pid} answers at {url}, the admin at {url}admin/ (login {LOGIN}, password {LOGIN})"
        )
        self._start_worker(self.fuse.environment())
        self.acts = script.start()
        connections.close_all()
        self.screen.say(f"{len(script.CHECKOUTS)} checkouts, a pipeline, a reminder and an approval were started")
        self._post(url, script.SENT)
        self._until(self._taken_over)
        self._post(url, script.DELIVERED)
        self._until(self._at_rest)
        if not self.asked.once:
            self.screen.links = self._links(url)
        self._judge()

    def _prepare(self) -> None:
        call_command("migrate", verbosity=0)
        get_user_model()._default_manager.create_superuser(LOGIN, "demo@example.org", LOGIN)
        connections.close_all()
        self.screen.say(f"an empty SQLite database was migrated: {self.stage.database}")

    def _links(self, url: str) -> dict[str, str]:
        return {
            "Shop": f"{url}   press the crash button there, and watch",
            "Admin": f"{url}admin/   login {LOGIN}, password {LOGIN}",
            "Database": str(self.stage.database),
            "Ctrl-C": "ends web server and worker",
        }

    def _post(self, url: str, event: script.Event) -> None:
        """The carrier's server delivers an event, more often than it should."""
        address, secret = url.rstrip("/") + reverse("hooks:receive"), settings.EXAMPLE["WEBHOOK_SECRET"]
        answers = {sender.post(address, event.content(), secret)[:3] for _ in range(event.times)}
        self.screen.say(f"event “{event.kind}” was posted {event.times} times to the webhook: {', '.join(sorted(answers))}")

    # -- the workers

    def _start_worker(self, env: dict[str, str] | None = None) -> None:
        worker = self.cast.start_worker(env)
        self.workers.append(worker)
        self.screen.say(f"worker {worker.pid} was started")

    def _replace_the_dead(self) -> None:
        """Somebody has to: on a server it is systemd or its like. Their runs need nobody."""
        if self.workers and not self.workers[-1].alive:
            dead = self.workers[-1]
            if not dead.killed:
                raise CannotStart(f"The worker ended {dead.death()}:\n{dead.said()}")
            words = last_words(self.fuse) if len(self.workers) == 1 else None
            self.screen.say(f"worker {dead.pid} died {dead.death()}{self._how(words)}", "bold red")
            self._start_worker()

    def _how(self, words: LastWords | None) -> str:
        if words is None:
            return ""
        return (
            f" in step {words.step} of the checkout of {script.CHECKOUTS[0].customer}: its transaction was open, with"
            f" {words.uncommitted} statements executed, before {words.sql[:60]}"
        )

    # -- watching

    def _tend(self) -> None:
        """One look at everything."""
        self.wish.look()
        if self.web and not self.web.alive:
            raise CannotStart(f"The web server ended {self.web.death()}:\n{self.web.said()}")
        self._replace_the_dead()
        if self.acts:
            with books.opened(self.stage.database) as open_books:
                self.screen.standings = books.standings(open_books, self.acts)
                self.screen.beside = books.runs_beside(open_books, self.acts)
        time.sleep(TICK_SECONDS)

    def _until(self, reached: Callable[[], bool]) -> None:
        limit = time.monotonic() + LONGEST_SECONDS
        while not reached() and time.monotonic() < limit:
            self._tend()

    def _taken_over(self) -> bool:
        target = next((standing for standing in self.screen.standings if standing.act.run_id == self.fuse.run_id), None)
        return target is not None and target.recoveries > 0

    def _at_rest(self) -> bool:
        return all(standing.at_rest for standing in self.screen.standings)

    # -- the verdict

    def _judge(self) -> None:
        self._tend()
        problems = self._problems()
        self.kept = not problems
        effects = sum(len(standing.counts) for standing in self.screen.standings)
        good = f"✓ {effects} counts by plain SQL: every effect is there exactly as often as promised."
        self.acts = [act for act in self.acts if act.run_id is not None]  # the shelves are open to everybody now
        self.screen.judge(good if self.kept else "\n".join(f"✗ {problem}" for problem in problems), good=self.kept)

    def _problems(self) -> Sequence[str]:
        found = [problem for standing in self.screen.standings for problem in standing.problems()]
        if last_words(self.fuse) is None:
            found.append(f"no worker was killed: {self.fuse.run_id} never came to statement {self.fuse.statement}")
        elif not self._taken_over():
            found.append(f"{self.fuse.run_id} was not taken over from the killed worker")
        return found


def _console() -> Console:
    """The terminal; what is read later, in a file or a pipe, is given room for whole sentences."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
