"""What a subcommand is, how it refuses, and what its exit status says."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durable_workflows.management.durable.output import Output

DONE = 0
REFUSED = 1  # not done, not found, or a run that failed
USAGE = 2  # what argparse says too
CANCELLED = 3
DEAD = 4
TOO_LATE = 124  # as timeout(1) has it
INTERRUPTED = 130
NO_READER = 141  # what the shell makes of SIGPIPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Subcommand:
    """
    One word after ``manage.py durable``.

    :param arguments: adds its own to its parser.
    :param run: does it; returns the exit status.
    """

    name: str
    help: str
    arguments: Callable[[ArgumentParser], None] = lambda parser: None
    run: Callable[[Output, Namespace], int]


class Refused(Exception):
    """
    Why a subcommand did not do what it was asked for.

    :param message: what happened, why, and what to do.
    :param type: what it is called in JSON; errors of the package have the name of their class.
    :param details: what else a script may want to know.
    """

    def __init__(self, message: str, type: str = "Refused", code: int = REFUSED, **details: Any) -> None:  # noqa: A002  # what JSON calls it
        super().__init__(message)
        self.type = type
        self.code = code
        self.details = details


class WrongUsage(Refused):
    """An argument that cannot be what it is meant for, which argparse could not tell."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "WrongUsage", USAGE)
