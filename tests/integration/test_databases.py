"""The test suite runs where it says it runs."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.app.models import Ledger
from tests.processes import Processes


@pytest.mark.django_db
def test_the_connection_is_to_the_database_that_was_asked_for(database: str) -> None:
    asked = {"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mysql"}[database]
    assert connection.vendor == asked
    assert "test" in str(connection.settings_dict["NAME"])


@pytest.mark.django_db(transaction=True)
def test_sqlite_is_a_file_with_a_write_ahead_log(database: str) -> None:
    if database != "sqlite":
        pytest.skip("about SQLite")
    assert "memory" not in str(connection.settings_dict["NAME"])
    assert pragma("journal_mode") == "wal"
    assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def pragma(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return str(cursor.fetchone()[0])


WRITE = """
import django
django.setup()
from tests.app.models import Ledger
Ledger.objects.create(run_id="run", step="step", note="from another process")
print("written")
"""


def test_a_process_started_by_a_test_works_on_the_same_database(processes: Processes) -> None:
    process = processes.start("-c", WRITE)
    assert process.wait(60) == 0, processes.output(process)
    assert processes.output(process) == "written\n"
    assert Ledger.objects.get().note == "from another process"


def test_the_address_of_the_test_database_opens_it(
    processes: Processes, database_url: str, subprocess_env: dict[str, str], database: str
) -> None:
    Ledger.objects.create(run_id="run", step="step", note="here")
    read = (
        "import environ, django; from django.conf import settings;"
        f"settings.configure(DATABASES={{'default': environ.Env.db_url_config({database_url!r})}}, INSTALLED_APPS=[]);"
        "django.setup(); from django.db import connection; c = connection.cursor();"
        "c.execute('SELECT note FROM tests_app_ledger'); print(c.fetchall()[0][0])"
    )
    process = processes.start("-c", read)
    assert process.wait(60) == 0, processes.output(process)
    assert processes.output(process) == "here\n"


def test_a_process_that_a_test_leaves_behind_is_killed(
    subprocess_env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    processes = Processes(subprocess_env)
    process = processes.start("-c", "import time; print('up', flush=True); time.sleep(600)")
    processes.expect(process, "up\n")
    processes.close()
    assert process.returncode == -9
    assert "up" in capsys.readouterr().out
