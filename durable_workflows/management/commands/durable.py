"""``manage.py durable``: argv to the subcommands of ``management.durable``."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter
from django.db import DatabaseError, InterfaceError

from durable_workflows.exceptions import DurableError
from durable_workflows.management.durable.acting import ACTING
from durable_workflows.management.durable.counting import STATS
from durable_workflows.management.durable.doctor import DOCTOR
from durable_workflows.management.durable.forking import FORK, REWIND
from durable_workflows.management.durable.keeping import EXPORT, IMPORT, PRUNE
from durable_workflows.management.durable.listing import LIST
from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import MixedParser, add_common
from durable_workflows.management.durable.queueing import QUEUES
from durable_workflows.management.durable.scheduling import SCHEDULES
from durable_workflows.management.durable.showing import SHOW
from durable_workflows.management.durable.starting import SEND, START
from durable_workflows.management.durable.subcommand import INTERRUPTED, NO_READER, Refused
from durable_workflows.management.durable.watching import WATCH
from durable_workflows.management.durable.working import WORKERS

SUBCOMMANDS = (
    LIST, SHOW, WATCH, START, SEND, *ACTING, FORK, REWIND, QUEUES, SCHEDULES, WORKERS, STATS, PRUNE, EXPORT, IMPORT, DOCTOR,
)  # fmt: skip
BY_NAME = {each.name: each for each in SUBCOMMANDS}


class Command(BaseCommand):
    help = "See and steer durable workflows."
    requires_system_checks = []  # an operator is in a hurry, and `doctor` runs them

    def add_arguments(self, parser: ArgumentParser) -> None:
        words = parser.add_subparsers(dest="deed", metavar="SUBCOMMAND", required=True, parser_class=MixedParser)
        for each in SUBCOMMANDS:
            its = words.add_parser(each.name, help=each.help, description=each.help, formatter_class=DjangoHelpFormatter)
            add_common(its)
            each.arguments(its)

    def handle(self, *args: Any, **options: Any) -> None:
        given = Namespace(**options)
        self.stdout.ending = ""
        output = Output(self.stdout, given)
        try:
            code = _carry_out(output, given)
            output.stream.flush()
        except BrokenPipeError:
            _close_quietly()
            code = NO_READER
        except KeyboardInterrupt:
            code = INTERRUPTED
        if code:
            sys.exit(code)


def _carry_out(output: Output, given: Namespace) -> int:
    """Do it; what is refused is told as JSON where that was asked for, and else as Django tells of errors."""
    try:
        return BY_NAME[given.deed].run(output, given)
    except Refused as refused:
        said = refused
    except DurableError as error:
        said = Refused(str(error), type(error).__name__)
    except (DatabaseError, InterfaceError) as error:
        if given.traceback:
            raise
        said = Refused(f"The database says: {error} `manage.py durable doctor` tells more.", "DatabaseError")
    if not output.json:
        raise CommandError(str(said), returncode=said.code)
    output.record({"error": {"type": said.type, "message": str(said), **said.details}})
    return said.code


def _close_quietly() -> None:
    """Nobody reads any more; without this Python would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
