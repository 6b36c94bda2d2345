"""The server under all contenders, a fresh database for each, and what the server counts."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg

DEMANDED = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
STATED = (*DEMANDED, "server_version", "shared_buffers", "wal_sync_method", "max_wal_size", "commit_delay")


class UnfairServer(Exception):
    """The server's settings would flatter everybody: numbers without durability say nothing here."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a database has done so far."""

    commits: int = 0
    wal_bytes: int = 0

    def __sub__(self, earlier: Counters) -> Counters:
        return Counters(self.commits - earlier.commits, self.wal_bytes - earlier.wal_bytes)


class Server(Protocol):
    """Where databases are made."""

    kind: str

    def stated(self) -> dict[str, str]:
        """Its settings, to be printed; refuses unfair ones."""

    def create(self, name: str) -> str:
        """Make a fresh database and return its URL."""

    def drop(self, name: str) -> None: ...

    def settle(self) -> None:
        """Have done with what earlier work left to do."""


class Postgres:
    """
    A PostgreSQL server.

    :param url: any database of it, with the right to create others.
    """

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self.url = url

    def stated(self) -> dict[str, str]:
        found = {name: str(self._ask("SELECT current_setting(%s)", name)) for name in STATED}
        wrong = {name: found[name] for name, value in DEMANDED.items() if found[name] != value}
        if wrong:
            raise UnfairServer(f"The server has {wrong}. Switch them on: a commit must mean that the data is on the disk.")
        return found

    def create(self, name: str) -> str:
        self.drop(name)
        self._do(f'CREATE DATABASE "{name}"')
        parts = urlsplit(self.url)
        return parts._replace(path=f"/{name}").geturl()

    def drop(self, name: str) -> None:
        self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def settle(self) -> None:
        self._do("CHECKPOINT")

    def counters(self, name: str) -> Counters:
        """
        The commits of a database, once all its sessions have ended and so told their counts, and the WAL of the whole server.
        """
        while self._ask("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", name):
            time.sleep(0.02)
        commits = self._ask("SELECT xact_commit FROM pg_stat_database WHERE datname = %s", name)
        return Counters(int(commits), int(self._ask("SELECT wal_bytes FROM pg_stat_wal")))

    def _do(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql)

    def _ask(self, sql: str, *params: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(sql, params).fetchone()
            assert row is not None
            return row[0]


class Sqlite:
    """
    A directory of SQLite files.

    :param parent: on the disk that is to be measured.
    """

    kind = "sqlite"

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(prefix="sqlite-", dir=parent))

    def stated(self) -> dict[str, str]:
        import sqlite3

        return {"sqlite": sqlite3.sqlite_version, "durable_workflows": "WAL, synchronous=FULL", "dbos": "its defaults"}

    def create(self, name: str) -> str:
        self.drop(name)
        return f"sqlite:///{self.directory / name}.sqlite3"

    def drop(self, name: str) -> None:
        for path in self.directory.glob(f"{name}.sqlite3*"):
            path.unlink()

    def settle(self) -> None:
        pass

    def close(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)
