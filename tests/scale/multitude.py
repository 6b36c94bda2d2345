"""Millions of runs such as a shop has after half a year, inserted by one statement; on PostgreSQL."""

from __future__ import annotations

from django.db import connection

from durable_workflows.models import StepAttempt, StepRun, Wait, Worker, WorkflowRun

RUNS, STEPS, ATTEMPTS, WAITS, WORKERS = (
    model._meta.db_table for model in (WorkflowRun, StepRun, StepAttempt, Wait, Worker)
)  # fmt: skip
LONG_RUN = "import-of-10000"  # a run with so many steps
STEPS_OF_IT = 10_000
DAYS = 180
WAITING, STRANDED = "r.i % 2500 = 700", "r.i % 100000 = 500"  # 2,000 and 50 of 5,000,000
LIVE = "r.i % 1000 = 0 AND r.i > n - 100000"  # up to 100: enqueued and running ones are young

COLUMNS = {
    # A UUIDv7, as `ids.new_run_id` makes: in the order of creation.
    "id": "substr(ms, 1, 8) || '-' || substr(ms, 9, 4) || '-7' || lpad(to_hex(r.i % 4096), 3, '0') || '-9'"
    " || substr(md5(r.i::text), 1, 3) || '-' || substr(md5(r.i::text), 4, 12)",
    "name": "CASE WHEN r.i % 1000000 = 7 THEN 'reports.workflows.yearly' WHEN r.i % 10 < 5 THEN 'shop.workflows.checkout'"
    " WHEN r.i % 10 < 8 THEN 'shop.workflows.send_mail' ELSE 'library.workflows.index_' || (r.i % 20) END",
    "status": f"CASE WHEN {WAITING} THEN 'WAITING' WHEN {STRANDED} THEN 'ENQUEUED' WHEN {LIVE} AND r.i % 3000 = 0 THEN 'RUNNING'"
    f" WHEN {LIVE} THEN 'ENQUEUED' WHEN r.i % 250000 = 9 THEN 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'"
    " WHEN r.i % 100 = 3 THEN 'ERROR' WHEN r.i % 200 = 11 THEN 'CANCELLED' ELSE 'SUCCESS' END",
    "stranded": f"CASE WHEN {STRANDED} THEN 'name' ELSE '' END",
    "queue": "CASE WHEN r.i % 10 = 1 THEN 'mail' WHEN r.i % 10 = 2 THEN 'reports' WHEN r.i % 100 = 7 THEN 'slow' ELSE 'default' END",
    "app_version": "'v' || (r.i * 12 / n)",
    "inputs": """'[["order-' || r.i || '", {"address": "' || repeat(md5(r.i::text), 4) || '"}], {}]'""",
    "output": """'{"tracking": "' || repeat(md5(r.i::text), 3) || '"}'""",
    "attributes": """CASE WHEN r.i % 2 = 0 THEN jsonb_build_object('order', r.i, 'tenant', 't' || r.i % 500) END""",
    '"user"': "CASE WHEN r.i % 3 = 0 THEN 'user-' || r.i % 10000 END",
    "worker_id": "CASE WHEN r.i % 6000 = 0 THEN 'gone' ELSE 'web-' || r.i % 4 END",
    "schedule_name": "CASE WHEN r.i % 50 = 13 THEN 'nightly' WHEN r.i % 100000 = 17 THEN 'yearly' END",
    "parent_id": "CASE WHEN r.i % 20 = 19 THEN 'parent-' || r.i / 20 END",
    "attempt": "1",
    "recovery_attempts": "1",
    "created_at": "at",
    "queued_at": "at",
    "updated_at": "at + interval '2 seconds'",
    "started_at": "at + interval '100 milliseconds'",
    "completed_at": f"CASE WHEN {WAITING} OR {STRANDED} OR {LIVE} THEN NULL ELSE at + interval '2 seconds' END",
}  # fmt: skip


def insert(number: int) -> None:
    """So many runs, nearly all of them finished, with what is around them, vacuumed and analysed."""
    moment = f"clock_timestamp() - (n - i) * interval '{DAYS} days' / n"
    source = (
        f"(SELECT i, n, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS ms"
        f" FROM (SELECT i, n, {moment} AS at FROM generate_series(1, {number}) AS i, (SELECT {number} AS n) AS m) AS t) AS r"
    )
    _execute(f"INSERT INTO {RUNS} ({', '.join(COLUMNS)}) SELECT {', '.join(COLUMNS.values())} FROM {source}")
    _insert_around()
    _insert_long_run()
    _execute("VACUUM ANALYZE")


def _insert_around() -> None:
    """The waits of those that wait, failed attempts of every hundredth run and of some that are not done, four workers."""
    _execute(
        f"INSERT INTO {WAITS} (run_id, position, kind, key, created_at)"
        f" SELECT id, 1, 'recv', 'paid', created_at FROM {RUNS} WHERE status = 'WAITING'"
    )
    _execute(
        f"INSERT INTO {ATTEMPTS} (run_id, position, name, attempt, error, started_at, ended_at)"
        f" SELECT id, 1, 'pay', 1, '{{}}', created_at, created_at FROM {RUNS}"
        " WHERE status IN ('ERROR', 'RUNNING') ORDER BY created_at"
    )
    _execute(
        f"INSERT INTO {WORKERS} (id, hostname, pid, lease_seconds, started_at, heartbeat_at, names, queues, app_version)"
        " SELECT 'web-' || i, 'web', i, 86400, clock_timestamp(), clock_timestamp(), '[]', '[]', 'v' || i"
        " FROM generate_series(0, 3) AS i"
    )


def _insert_long_run() -> None:
    _execute(
        f"INSERT INTO {RUNS} (id, name, status, inputs, created_at, queued_at, updated_at, started_at, completed_at)"
        f" SELECT '{LONG_RUN}', 'library.workflows.import', 'SUCCESS', '[[], {{}}]', at, at, at, at, at + interval '1 hour'"
        " FROM (SELECT clock_timestamp() - interval '2 hours' AS at) AS t"
    )
    _execute(
        f"INSERT INTO {STEPS} (run_id, position, name, output, started_at, completed_at)"
        f" SELECT '{LONG_RUN}', i, 'library.workflows.step', '{{\"line\": ' || i || '}}', at, at + interval '100 milliseconds'"
        f" FROM (SELECT i, clock_timestamp() - interval '2 hours' + i * interval '300 milliseconds' AS at"
        f" FROM generate_series(1, {STEPS_OF_IT}) AS i) AS t"
    )


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
