"""
Settings of the example project, read from the environment (and from a ``.env`` file beside ``manage.py``).

With nothing set it is a development project on one SQLite file. ``DATABASE_URL`` moves it to PostgreSQL, MySQL or
MariaDB; ``DEBUG=off`` demands a ``SECRET_KEY``, an ``EXAMPLE_WEBHOOK_SECRET`` and ``ALLOWED_HOSTS``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ  # type: ignore[import-untyped]  # it ships no types

PROJECT_DIR = Path(__file__).resolve().parent
BASE_DIR = PROJECT_DIR.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")  # a missing file is fine, and a variable that is set already wins

# Whatever the project writes outside the database: the SQLite file, mails, the payment gateway's own books.
VAR_DIR = Path(env.str("EXAMPLE_VAR_DIR", default=str(PROJECT_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=True)
DEVELOPMENT_SECRET = "for development only: nothing real is signed with this"
SECRET_KEY = env.str("SECRET_KEY", default=DEVELOPMENT_SECRET) if DEBUG else env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])

EXAMPLE_APPS = [
    "example_project.shop",
    "example_project.reminders",
    "example_project.reports",
    "example_project.library",
    "example_project.hooks",
    "example_project.approvals",
]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "durable_workflows",
    *EXAMPLE_APPS,
    "example_project.demo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",  # ETags, so that watching a page costs a 304
    "example_project.middleware.content_security_policy",
]
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
ASGI_APPLICATION = "example_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PROJECT_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.debug",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "example_project.context.site",
            ],
        },
    }
]


def database(url: str) -> dict[str, Any]:
    """
    The connection for ``url`` (an SQLite file when it is empty), with the options that durable work needs.

    SQLite: WAL lets pages read while the worker writes; IMMEDIATE takes the write lock when a transaction begins, so
    that two writers wait for each other instead of failing; synchronous=FULL, because NORMAL may lose the last commits
    in a power cut, and a commit is what a durable step promises.
    """
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")}
    config: dict[str, Any] = dict(env.db_url_config(url)) if url else sqlite
    engine = str(config["ENGINE"])
    options = config.setdefault("OPTIONS", {})
    if engine.endswith("sqlite3"):
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000"
        options.update(transaction_mode="IMMEDIATE", timeout=20, init_command=pragmas)
    else:
        config.update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    if engine.endswith("mysql"):
        options.setdefault("isolation_level", "read committed")
    return config


DATABASES = {"default": database(env.str("DATABASE_URL", default=""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [PROJECT_DIR / "static"]

# Mails are written to files, one each, which the outbox page shows in development; consolemail:// prints them instead.
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = str(VAR_DIR / "mail")
if "EMAIL_URL" in env:
    vars().update(env.email_url("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="example project <noreply@localhost>")

# A killed worker's runs are taken over after the lease. Six seconds suit somebody who watches; the default is 30.
DURABLE_WORKFLOWS = {
    "LEASE_SECONDS": env.float("LEASE_SECONDS", default=6.0),
    "HEARTBEAT_SECONDS": env.float("HEARTBEAT_SECONDS", default=2.0),
    "THREADS": env.int("WORKER_THREADS", default=8),
}

# What the example's own apps read.
EXAMPLE = {
    "VAR_DIR": VAR_DIR,
    "SITE_URL": env.str("SITE_URL", default="http://127.0.0.1:8000"),
    "WEBHOOK_SECRET": (
        env.str("EXAMPLE_WEBHOOK_SECRET", default=DEVELOPMENT_SECRET) if DEBUG else env.str("EXAMPLE_WEBHOOK_SECRET")
    ),
}

if not DEBUG:
    SECURE_CONTENT_TYPE_NOSNIFF = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=True)
