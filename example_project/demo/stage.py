"""
Where a demo plays: a directory with its own database, mails and logs, so that nothing of the project's is touched.

Django's settings are read once, so the command starts itself anew in the stage's environment, under the same process id.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

VARIABLE = "EXAMPLE_DEMO_STAGE"
TEMPORARY = "EXAMPLE_DEMO_STAGE_TEMPORARY"
# Short, so that the recovery can be watched: a killed worker's runs are taken over about two seconds later.
LEASE_SECONDS, HEARTBEAT_SECONDS = 2.0, 0.4


class StageTaken(Exception):
    """The directory has something in it already."""


@dataclass(frozen=True, slots=True)
class Stage:
    """
    A directory for one demo.

    :param temporary: whether it is removed at the end.
    """

    directory: Path
    temporary: bool = True

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.directory / "demo.sqlite3"

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.directory / f"{name}.log"

    def clear(self) -> None:
        """Remove what need not be kept."""
        if self.temporary:
            shutil.rmtree(self.directory, ignore_errors=True)


def build(directory: str | None) -> Stage:
    """
    Make the directory of a new stage; a temporary one by default.

    :raises StageTaken: if it is not empty.
    """
    if directory is None:
        return Stage(Path(tempfile.mkdtemp(prefix="durable-demo-")))
    path = Path(directory).resolve()
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise StageTaken(f"{path} is not empty. Name a new directory: a demo begins with an empty database.")
    return Stage(path, temporary=False)


def current() -> Stage | None:
    """The stage that this process was started on, if any."""
    directory = os.environ.get(VARIABLE)
    return Stage(Path(directory), os.environ.get(TEMPORARY) == "1") if directory else None


def enter(stage: Stage) -> NoReturn:
    """Start this command anew in the environment of the stage."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | environment(stage))


def environment(stage: Stage) -> dict[str, str]:
    """What the example's settings read; all that a ``.env`` file could say otherwise is said here."""
    return {
        VARIABLE: str(stage.directory),
        TEMPORARY: str(int(stage.temporary)),
        "DJANGO_SETTINGS_MODULE": "example_project.settings",
        "DEBUG": "on",
        "SECRET_KEY": "for a demo on one machine",
        "EXAMPLE_WEBHOOK_SECRET": "for a demo on one machine",
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "DATABASE_URL": f"sqlite:///{stage.database}",
        "EXAMPLE_VAR_DIR": str(stage.directory),
        "EMAIL_URL": f"filemail:///{stage.directory / 'mail'}",
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
        "WORKER_THREADS": "4",
    }
