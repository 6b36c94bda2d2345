"""What the checks learn from a real server."""

from __future__ import annotations

import pytest
from django.db import connection

from durable_workflows.checks.servers import check_servers

pytestmark = pytest.mark.django_db


def test_the_database_under_test_can_keep_runs() -> None:
    assert [message.id for message in check_servers(databases=["default"]) if message.is_serious()] == []


def test_commits_that_a_power_cut_may_take_back_are_told(database: str) -> None:
    if database == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
    elif database == "mariadb":
        pytest.skip("the setting is the server's, not the session's")
    assert "durable_workflows.I012" in [message.id for message in check_servers(databases=["default"])]


def test_a_server_that_cannot_skip_locked_rows_is_too_old(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.features, "has_select_for_update_skip_locked", False)
    found = [message.id for message in check_servers(databases=["default"])]
    assert ("durable_workflows.E016" in found) is (database != "sqlite")


def test_tables_without_transactions_cannot_keep_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.features, "supports_transactions", False)
    assert "durable_workflows.E017" in [message.id for message in check_servers(databases=["default"])]
