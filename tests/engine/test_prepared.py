"""The frequent statements are prepared on PostgreSQL: parsed and planned once for each session, and not at each step."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DataError, IntegrityError, NotSupportedError, OperationalError, connection, connections, transaction
from pytest_django import Settings

from durable_workflows import step, workflow
from durable_workflows.engine.services import PlainServices, persistently
from durable_workflows.models import dialects, prepared
from durable_workflows.models.transactions import is_lost_connection
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


# -- by libpq's own call

INSERT = "INSERT INTO few (id, name) VALUES (%s, %s)"


@pytest.fixture
def few(own_session: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE few (id int PRIMARY KEY, name text)")


def names_of_few() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM few ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.usefixtures("few")
def test_texts_come_back_as_they_went() -> None:
    for number, text in enumerate(("", "Grüße, 世界 %s %%", "'; DROP TABLE few; --", "\\x00", "$1")):
        assert dialects.send(connection, INSERT, [number, text]).rowcount == 1
        sent = dialects.send(connection, "SELECT id::text, name, NULL FROM few WHERE id = %s AND '%%' = '%%'", [number])
        assert sent.fetchall() == [(str(number), text, None)]


def test_a_list_of_texts_goes_as_an_array() -> None:
    texts = ["", "plain", 'a "quoted" one', "back\\slash", "{curly}", "with, comma", "NULL", "世界"]
    sent = dialects.send(connection, "SELECT unnest(%s::text[])", [texts])
    assert [text for (text,) in sent.fetchall()] == texts
    assert dialects.send(connection, "SELECT 1 WHERE 'x' = ANY(%s)", [[]]).fetchall() == []


@pytest.mark.usefixtures("few")
def test_what_a_text_must_not_hold_is_refused_and_not_cut_off() -> None:
    with pytest.raises(DataError, match="NUL"):
        dialects.send(connection, INSERT, [1, "half\0of it"])
    assert names_of_few() == []


@pytest.mark.usefixtures("few")
def test_an_error_is_djangos_and_leaves_the_session_usable() -> None:
    dialects.send(connection, INSERT, [1, "first"])
    with pytest.raises(IntegrityError):
        dialects.send(connection, INSERT, [1, "second"])
    dialects.send(connection, INSERT, [2, "third"])
    assert names_of_few() == ["first", "third"]


@pytest.mark.usefixtures("few")
def test_the_first_statement_of_a_transaction_is_part_of_it() -> None:
    dialects.send(connection, INSERT, [1, "prepared before"])
    with transaction.atomic():
        dialects.send(connection, INSERT, [2, "rolled back"])
        dialects.send(connection, INSERT, [3, "rolled back"])
        transaction.set_rollback(True)
    assert names_of_few() == ["prepared before"]


@pytest.mark.usefixtures("few")
def test_inside_a_pipeline_it_waits_its_turn() -> None:
    dialects.send(connection, INSERT, [1, "before"])
    with connection.connection.pipeline():
        dialects.send(connection, INSERT, [2, "inside"])
    assert names_of_few() == ["before", "inside"]


@pytest.mark.usefixtures("few")
def test_a_rollback_after_which_psycopg_discards_what_is_prepared_does_not_show() -> None:
    dialects.send(connection, INSERT, [1, "before"])
    dialects.run(connection, "SELECT name FROM few")  # prepared by psycopg
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("ROLLBACK")
    dialects.send(connection, INSERT, [2, "after"])
    with transaction.atomic():
        dialects.send(connection, INSERT, [3, "in a transaction"])
    assert names_of_few() == ["before", "after", "in a transaction"]


@pytest.mark.usefixtures("few")
def test_a_session_whose_statements_were_discarded_prepares_them_anew() -> None:
    dialects.send(connection, INSERT, [1, "before"])
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    dialects.send(connection, INSERT, [2, "after"])
    assert names_of_few() == ["before", "after"]


def test_other_threads_go_on_while_one_waits_for_its_statement() -> None:
    def sleep() -> None:
        dialects.send(connections["default"], "SELECT pg_sleep(2)::text")
        connections.close_all()

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    looks, until = 0, time.monotonic() + 1
    while time.monotonic() < until:
        looks += 1
        time.sleep(0.01)
    assert sleeper.is_alive()
    assert looks > 10
    sleeper.join()


def test_what_libpq_itself_says_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the server is killed while a statement is sent: libpq has not noticed yet, and its error has no SQLSTATE."""
    from psycopg.pq import ExecStatus  # which is only there where PostgreSQL is

    unheard, send = [True], prepared.exec_prepared

    def once_unheard(pgconn: Any, *args: Any) -> Any:
        return pgconn.make_empty_result(ExecStatus.FATAL_ERROR) if unheard.pop() else send(pgconn, *args)

    monkeypatch.setattr(prepared, "exec_prepared", once_unheard)
    with pytest.raises(OperationalError) as raised:
        dialects.send(connection, "SELECT 1")
    assert is_lost_connection(raised.value)
    unheard[:] = [False, True]
    assert persistently(lambda: dialects.send(connection, "SELECT 1").fetchall(), PlainServices()) == [("1",)]


def test_a_session_prepares_no_more_once_a_migration_changed_what_a_hot_statement_returns() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changing (value int); INSERT INTO changing VALUES (1)")
    sql = "UPDATE changing SET value = value WHERE value = %s RETURNING value"
    try:
        assert prepared.send(connection, sql, [1]).fetchall() == [("1",)]
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE changing ALTER value TYPE bigint")
        with pytest.raises(NotSupportedError):
            prepared.send(connection, sql, [1])
        assert prepared.send(connection, sql, [1]).fetchall() == [(1,)], "as a cursor sends it"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE changing")


def test_statements_that_are_sent_together_are_undone_together() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE pairs (value text PRIMARY KEY)")
    insert = "INSERT INTO pairs VALUES (%s) RETURNING value"
    hostile = "it's; DROP TABLE pairs; -- \\' \"%s\""
    try:
        answers = prepared.send_together(connection, [(insert, ["one"]), (insert, [hostile])])
        assert [answer.fetchall() for answer in answers] == [[("one",)], [(hostile,)]]
        with pytest.raises(IntegrityError):
            prepared.send_together(connection, [(insert, ["two"]), (insert, ["one"])])
        with pytest.raises(DataError):
            prepared.send_together(connection, [(insert, ["nul\0"])])
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")  # as psycopg does after a ROLLBACK
        prepared.send_together(connection, [(insert, ["three"]), (insert, ["four"])])
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM pairs ORDER BY value")
            assert [row[0] for row in cursor.fetchall()] == sorted([hostile, "one", "three", "four"])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE pairs")
