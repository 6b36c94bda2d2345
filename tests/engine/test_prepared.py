"""The frequent statements are prepared on PostgreSQL: parsed and planned once for each session, and not at each step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import NotSupportedError, connection
from pytest_django import Settings

from durable_workflows import step, workflow
from durable_workflows.models import dialects
from tests.engine.isolation import DATABASE
from tests.engine.test_step_traffic import round_trips

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("committing", "unparked", "own_session"),
    pytest.mark.skipif(DATABASE != "postgresql", reason="the other drivers prepare nothing"),
]


@pytest.fixture
def own_session(transactional_db: None) -> Iterator[None]:
    """A session in which nothing is prepared as yet, and none is left behind in which something is."""
    connection.close()
    yield
    connection.close()


@step
def number(value: int) -> int:
    return value


@workflow
def numbers() -> list[str]:
    number(0)
    with round_trips() as sent:
        number(1)
    return sent


def test_the_second_checkpoint_is_not_parsed_again() -> None:
    [sent] = numbers()
    assert sent.startswith("Bind"), sent
    assert "Parse" not in sent


def test_not_where_the_setting_says_so(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {"PREPARED_STATEMENTS": False}
    [sent] = numbers()
    assert "_pg3_" not in sent


def test_djangos_own_cursors_prepare_no_more_than_before() -> None:
    numbers()
    raw = connection.connection
    assert raw.prepare_threshold is None
    with connection.cursor() as cursor:
        for _ in range(10):
            cursor.execute("SELECT 'not prepared', %s", [1])
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["%not prepared%"])
        assert cursor.fetchone() == (0,)


def test_a_session_whose_statements_a_migration_outdated_goes_on_without() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE changing (id int)")
    query = "SELECT * FROM changing"
    assert dialects.run(connection, query).fetchall() == []
    with connection.cursor() as cursor:
        # In another session psycopg would not see it, and would not forget what it has prepared.
        cursor.execute("DO $$ BEGIN ALTER TABLE changing ADD COLUMN name text; END $$")
    with pytest.raises(NotSupportedError):
        dialects.run(connection, query)
    assert dialects.run(connection, query).fetchall() == []
