"""The migrations make the tables that the models describe, on this database and this Django."""

from __future__ import annotations

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("makemigrations", "durable_workflows", check=True, dry_run=True)
    assert "No changes detected" in capsys.readouterr().out
