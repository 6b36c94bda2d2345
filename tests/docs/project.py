"""A reader's project: what they have before they read a document, and what the document adds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.docs.snippets import Snippet
from tests.processes import ROOT

SITE = Path(__file__).resolve().parent / "site"


def build(directory: Path, blocks: Sequence[Snippet]) -> dict[str, str]:
    """
    Put the project of a document into ``directory``.

    :returns: the environment for its processes.
    """
    shutil.copytree(SITE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    files = [snippet for snippet in blocks if snippet.path and not snippet.variant]
    if "settings.py" not in {snippet.path for snippet in files}:
        append(directory / "settings.py", DEFAULTS)
    for snippet in files:
        append(directory / snippet.path, snippet.code)
    return environment(directory)


# For documents that say nothing about settings.
DEFAULTS = """
INSTALLED_APPS += ["durable_workflows"]
DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}
"""


def append(path: Path, code: str) -> None:
    """Add a block to a file of the project; a file that is not there is begun."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"\n{code}")


def environment(directory: Path) -> dict[str, str]:
    """What a process needs to find the project, and the packages under test."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DURABLE_TEST", "DATABASE_URL", "PYTEST"))
    }
    path = os.pathsep.join([str(directory), str(ROOT)])
    return kept | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": path, "PYTHON": sys.executable}
