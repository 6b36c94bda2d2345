"""Words of a command line as values."""

from __future__ import annotations

import json
import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from durable_workflows import clock
from durable_workflows.management.durable.subcommand import WrongUsage
from durable_workflows.states import UNFINISHED, RunState

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
KEYWORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
STATES = {str(state.label): state for state in RunState} | {state.value.lower(): state for state in RunState}


def span(text: str) -> timedelta:
    """``90``, ``90s``, ``5m``, ``2h``, ``30d`` or ``1w``."""
    if found := SPAN.fullmatch(text.strip().lower()):
        try:
            return timedelta(**{UNITS[found[2] or "s"]: float(found[1])})
        except OverflowError:
            pass
    raise ArgumentTypeError(f"{text!r} is no span of time. Write it like 90s, 5m, 2h, 30d or 1w.")


def moment(text: str) -> datetime:
    """A span ago, or an ISO 8601 date or time; without a zone it is in the project's."""
    try:
        found = parse_datetime(text) or parse_datetime(f"{text}T00:00")
        if found is None:
            return clock.now() - span(text)
        return found if timezone.is_aware(found) else timezone.make_aware(found)
    except (ArgumentTypeError, ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is neither a span ago, like 2h, nor a time, like 2030-01-31T09:00.") from None


def states(text: str) -> list[RunState]:
    """One or more states, by their names or by what they are called; ``unfinished`` is all of those."""
    found: list[RunState] = []
    for word in filter(None, (part.strip().lower() for part in text.split(","))):
        if word == "unfinished":
            found += sorted(UNFINISHED)
        elif word in STATES:
            found.append(STATES[word])
        else:
            raise ArgumentTypeError(f"{word!r} is no status. There are unfinished, {', '.join(map(str, RunState.labels))}.")
    return found


def pair(text: str) -> tuple[str, Any]:
    """``key=value``, the value as JSON, or else as the text that it is."""
    key, found, value = text.partition("=")
    if not found or not key:
        raise ArgumentTypeError(f"{text!r} is no key=value.")
    return key, json_or_text(value)


def criterion(text: str) -> tuple[str, list[Any]]:
    """``key=value``, and all that the value may have been stored as: what looks like a number or a flag is also text."""
    key, value = pair(text)
    as_text = text.partition("=")[2]
    return key, [value, as_text] if isinstance(value, bool | int | float) else [value]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"\d{1,9}", text) or not int(text):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 on.")
    return int(text)


def json_or_text(text: str) -> Any:
    """JSON if it is some, else the text."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def json_of(text: str, what: str) -> Any:
    """
    JSON.

    :raises WrongUsage: if it is none.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{what} is not JSON ({error}): {text!r:.80}. Text needs double quotes: '\"text\"'.") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def call_of(words: Iterable[str], args: str | None, kwargs: str | None) -> tuple[list[Any], dict[str, Any]]:
    """
    The arguments of a call: words that are values or ``key=value``, or JSON, or both.

    :raises WrongUsage: for JSON of another shape, and if a key comes twice.
    """
    positional = json_of(args, "--args") if args is not None else []
    keywords = json_of(kwargs, "--kwargs") if kwargs is not None else {}
    if not isinstance(positional, list) or not isinstance(keywords, dict):
        raise WrongUsage("--args is a JSON list, such as '[1, \"x\"]', and --kwargs a JSON object, such as '{\"amount\": 5}'.")
    for word in words:
        named = KEYWORD.fullmatch(word)
        if not named:
            positional.append(json_or_text(word))
        elif named[1] in keywords:
            raise WrongUsage(f"The argument {named[1]!r} is given twice.")
        else:
            keywords[named[1]] = json_or_text(named[2])
    return positional, keywords


class MixedParser(CommandParser):
    """
    A parser to which options may come between, and before, what stands without one.

    argparse by itself takes all values of ``start NAME ARGUMENT ...`` at the first of them, so that in ``start NAME --queue
    mails order=7`` it finds none, and complains of the last word.
    """

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._mixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._mixing = True  # the method below comes back here
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False


# Django gives them to the command; typed after the subcommand they are meant alike.
FLAGS = ("--no-color", "--force-color", "--traceback")
VALUES = ("--settings", "--pythonpath", "--verbosity")


def add_common(parser: ArgumentParser, json_by_default: Any = False) -> None:
    """What every subcommand takes."""
    told = "Write JSON, and nothing else, to standard output."
    parser.add_argument("--json", action="store_true", default=json_by_default, help=told)
    for flag in FLAGS:
        parser.add_argument(flag, action="store_true", default=SUPPRESS, help=SUPPRESS)
    for option in VALUES:
        parser.add_argument(option, default=SUPPRESS, help=SUPPRESS)


def add_act(words: Any, name: str, told: str) -> ArgumentParser:
    """The parser of a word that a subcommand takes in its turn."""
    its: ArgumentParser = words.add_parser(name, help=told, description=told)
    add_common(its, SUPPRESS)  # what was said before holds
    return its


def add_run(parser: ArgumentParser, *, exactly: bool = False) -> None:
    """The argument that names a run; ``exactly``: something is done to it, and the beginning of an id will not do."""
    told = "Its whole id." if exactly else "Its id, or the beginning of its id, if no other id begins so."
    parser.add_argument("run", metavar="RUN", help=told)
