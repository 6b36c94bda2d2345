"""Django settings of the measured project: the product's defaults, on the database that ``BENCH_DATABASE_URL`` names."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

SECRET_KEY = "nothing is signed with this"
USE_TZ = True
INSTALLED_APPS = ["durable_workflows", "benchmarks.app"]
MIGRATION_MODULES = {"app": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def database(url: str) -> dict[str, Any]:
    """
    A connection's settings.

    SQLite commits as safely as its default, a rollback journal with synchronous=FULL, does: in WAL, each one synced.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path.removeprefix("/"), "OPTIONS": options}
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts.path.removeprefix("/"), "HOST": parts.hostname or "",
        "PORT": parts.port or "", "USER": parts.username or "", "PASSWORD": parts.password or "",
    }  # fmt: skip


DATABASES = {"default": database(os.environ.get("BENCH_DATABASE_URL", "sqlite:///:memory:"))}
