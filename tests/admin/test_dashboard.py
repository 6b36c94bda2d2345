"""The dashboard: what it counts, what it says it did not count, who may see it, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from durable_workflows.admin import charts, throughput
from durable_workflows.models import Kind, Tally, WorkflowRun, figures, tallies
from durable_workflows.models.reading import database_now
from tests.admin.html import read
from tests.admin.rows import ago, make_queue, make_run, make_runs, make_schedule, make_wait, make_worker

pytestmark = pytest.mark.django_db

PAGE = "/admin/durable_workflows/dashboard/"
LIVE = f"{PAGE}live/"
HOSTILE = "<script>alert(1)</script>\"'&{{ 7|add:7 }}"


def fill() -> None:
    """A little of everything."""
    for seconds in (1, 2, 3, 4):
        make_run(
            status="SUCCESS",
            created_at=ago(minutes=9),
            started_at=ago(minutes=9, seconds=-seconds),
            completed_at=ago(minutes=5),
        )
    make_run(status="CANCELLED", completed_at=ago(minutes=5))
    make_runs(2, status="ERROR", name="shop.workflows.refund", completed_at=ago(minutes=5))
    make_run(status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", name="shop.workflows.refund", completed_at=ago(minutes=5))
    make_run(status="ERROR", completed_at=ago(hours=7))
    make_runs(3, queue="mail", queued_at=ago(minutes=12), created_at=ago(minutes=12))
    make_run(queue="undeclared")
    make_run(stranded="name")
    worker = make_worker("w1", threads=4)
    make_run(status="RUNNING", queue="mail", worker_id=worker.pk, claimed_at=ago(seconds=9))
    make_wait(make_run(status="WAITING"), Kind.RECV, key="paid")
    make_queue("mail", declared={"concurrency": 10})
    make_queue("slow", paused=True)
    make_schedule("hourly", next_fire_at=ago(minutes=-30))
    make_schedule("later", paused=True, next_fire_at=ago(minutes=-20))


def tiles(text: str) -> dict[str, str]:
    """The numbers in the tiles, by label."""
    names = ("Running", "Waiting for a worker", "Suspended", "Stuck", "Dead letters", "Workers alive")
    return {name: text.split(f" {name} ", 1)[1].split(" ", 1)[0] for name in names}


def test_what_it_shows(admin_client: Client) -> None:
    fill()
    text = read(admin_client.get(PAGE)).text
    assert tiles(text) == {
        "Running": "1", "Waiting for a worker": "4", "Suspended": "1", "Stuck": "1", "Dead letters": "1", "Workers alive": "1",
    }  # fmt: skip
    assert "the oldest for 12 min" in text
    assert "4 succeeded 1 cancelled 3 failed or given up" in text, "the one of seven hours ago is not among them"
    assert "refund shop 3" in text
    assert "Of the newest 4 runs that succeeded" in text
    assert "mail open 3 12 min" in text
    assert "undeclared declared by nobody 1" in text
    assert "slow paused 0" in text
    assert "hourly hourly reports" in text
    assert "later" not in text


def test_longer_ranges_are_what_workers_tallied_and_what_they_have_not_yet(admin_client: Client) -> None:
    fill()
    text = read(admin_client.get(PAGE, {"range": "day"})).text
    assert "Shaded: not counted" in text, "nobody has counted the hours that are over"
    while tallies.count_hours(connection):
        pass
    WorkflowRun.objects.filter(completed_at__lt=ago(hours=6)).delete()
    for chosen in ("day", "week"):
        text = read(admin_client.get(PAGE, {"range": chosen})).text
        assert "4 succeeded 1 cancelled 4 failed or given up" in text, "a tally outlives its runs"
        assert "Shaded" not in text
    assert "4 succeeded 1 cancelled 3 failed or given up" in read(admin_client.get(PAGE, {"range": "nonsense"})).text


def test_an_hour_is_tallied_once_and_only_when_it_is_over() -> None:
    now = database_now(connection)
    hour = tallies.hour_of(now - tallies.SETTLED)
    make_runs(3, status="SUCCESS", completed_at=hour - timedelta(minutes=1))
    make_run(status="SUCCESS", completed_at=now)
    make_run(status="ERROR", completed_at=hour - timedelta(hours=1))
    Tally.objects.create(hour=now - timedelta(days=500), status="SUCCESS", number=1)
    assert tallies.count_hours(connection) == tallies.BATCH
    assert dict(Tally.objects.filter(hour=hour - tallies.HOUR).values_list("status", "number")) == {
        "CANCELLED": 0, "ERROR": 1, "MAX_RECOVERY_ATTEMPTS_EXCEEDED": 0, "SUCCESS": 3,
    }  # fmt: skip
    while tallies.count_hours(connection):
        pass
    assert Tally.objects.count() // 4 in (24 * tallies.BACK.days - 1, 24 * tallies.BACK.days)
    assert not Tally.objects.filter(hour__gte=hour).exists()


def test_it_says_what_was_not_counted(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAMPLE", "MOST_ENDED"):
        monkeypatch.setattr(figures, name, 2)
    monkeypatch.setattr("durable_workflows.admin.overview.COUNTED", 2)
    fill()
    make_runs(3, stranded="history")
    make_runs(3, status="SUCCESS", completed_at=ago(minutes=30))
    text = read(admin_client.get(PAGE)).text
    assert tiles(text)["Waiting for a worker"] == "3+"
    assert tiles(text)["Stuck"] == "2+"
    assert "2 succeeded 1 cancelled 3 failed" in text
    assert "Shaded: not all of it." in text
    assert "mail open 2+" in text


def test_nothing_at_all(admin_client: Client) -> None:
    text = read(admin_client.get(PAGE)).text
    for said in (
        "Nothing failed.",
        "Nothing succeeded.",
        "Nothing ended.",
        "Nothing waits for a worker",
        "No schedule is active.",
    ):
        assert said in text


def test_it_costs_the_same_for_few_and_for_many(admin_client: Client, django_assert_num_queries: Callable[[int], Any]) -> None:
    fill()
    for number in range(60):
        make_queue(f"queue-{number}", paused=True)
        make_runs(2, queue=f"queue-{number}")
        make_schedule(f"schedule-{number}", next_fire_at=ago(minutes=-number))
        make_worker(f"worker-{number}")
        make_run(status="ERROR", name=f"workflow-{number}", completed_at=ago(minutes=2))
    with django_assert_num_queries(15):  # session, user, and thirteen of its own
        page = read(admin_client.get(PAGE))
    assert "more queues have something in them" in page.text
    with django_assert_num_queries(16):
        admin_client.get(LIVE, {"range": "week"})


def test_hostile_strings_are_text(admin_client: Client) -> None:
    make_run(status="ERROR", name=HOSTILE, completed_at=ago(minutes=1))
    make_run(queue=HOSTILE)
    make_schedule(HOSTILE, workflow_name=HOSTILE, next_fire_at=ago(minutes=-1))
    page = read(admin_client.get(PAGE))
    assert page.blocked == []
    assert "<script>alert" not in admin_client.get(LIVE).content.decode()
    assert page.text.count("alert(1)") >= 4


def test_who_may_see_it(client_with: Callable[..., Client]) -> None:
    fill()
    of_runs, viewer = client_with("view"), client_with("view", on="dashboard")
    for address in (PAGE, LIVE):
        assert of_runs.get(address).status_code == 403, "to see runs is not enough"
        assert viewer.get(address).status_code == 200
        assert viewer.post(address).status_code == 403
    assert Client().get(LIVE).status_code == 302


def test_a_number_leads_only_where_one_may_go(admin_client: Client, client_with: Callable[..., Client]) -> None:
    fill()
    html = client_with("view", on="dashboard").get(LIVE).content.decode()
    assert "/workflowrun/" not in html
    assert "/queuestate/" not in html
    html = admin_client.get(LIVE).content.decode()
    for address in (
        "workflowrun/?stuck=any", "workflowrun/?status__exact=MAX_RECOVERY_ATTEMPTS_EXCEEDED",
        "workflowrun/?queue=mail&amp;status__exact=ENQUEUED", "queuestate/mail/change/", "schedule/hourly/change/",
        "workflowrun/?workflow=shop.workflows.refund&amp;status__exact=ERROR", "/worker/",
    ):  # fmt: skip
        assert address in html, address


def test_it_stands_in_the_index_of_the_app(admin_client: Client, client_with: Callable[..., Client]) -> None:
    assert PAGE in admin_client.get("/admin/durable_workflows/").content.decode()
    assert PAGE not in client_with("view").get("/admin/durable_workflows/").content.decode()


def test_the_part_that_changes_is_sent_only_if_it_has(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = database_now(connection)
    monkeypatch.setattr("durable_workflows.admin.overview.database_now", lambda connection: now)
    fill()
    page = admin_client.get(PAGE, {"range": "day"}).content.decode()
    assert f'data-url="{LIVE}?range=day"' in page
    first = admin_client.get(LIVE, {"range": "day"})
    again = admin_client.get(LIVE, {"range": "day"}, headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert "the oldest for" in first.content.decode()
    monkeypatch.setattr("durable_workflows.admin.overview.database_now", lambda connection: now + timedelta(seconds=1))
    monkeypatch.setattr("durable_workflows.admin.overview.minute", lambda now: "the same minute")
    later = admin_client.get(LIVE, {"range": "day"})
    assert later.content != first.content  # by the clock alone
    monkeypatch.setattr("durable_workflows.admin.overview.database_now", lambda connection: now)
    same = admin_client.get(LIVE, {"range": "day"}, headers={"If-None-Match": later["ETag"]})
    assert same.status_code == 304
    first = same
    make_run(queue="mail")
    changed = admin_client.get(LIVE, {"range": "day"}, headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]
    assert "no-cache" in changed["Cache-Control"]


@pytest.mark.parametrize(
    ("number", "top"), [(0, 1), (1, 1), (2, 2), (3, 5), (9, 10), (10, 10), (11, 20), (4_999, 5_000), (5_001, 10_000)]
)
def test_an_axis_ends_with_a_round_number(number: int, top: int) -> None:
    assert charts.round_up(number) == top


def test_bars_are_stacked_within_the_picture() -> None:
    chart = charts.stacked(
        {"a": "A", "b": "B"}, [("1", "", [6, 2], True), ("2", "", [0, 0], False), ("3", "", [9_999, 1], True)]
    )
    assert chart.top == "10,000"
    assert [len(bar.parts) for bar in chart.bars] == [2, 0, 2]
    for bar in chart.bars:
        assert float(bar.x) + float(bar.width) <= charts.WIDTH
        for part in bar.parts:
            assert float(part.y) >= 0
            assert float(part.y) + float(part.height) <= charts.HEIGHT + charts.THINNEST
    assert charts.stacked({}, []).bars == []


def test_percentiles_are_values_that_were_there() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [charts.percentile(values, percent) for percent in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert charts.percentile([7.0], 99) == 7.0
    assert charts.percentile([], 50) == 0.0


def moments() -> Iterator[datetime]:
    """Around full hours, and changes of a clock."""
    for text in ("2026-03-29T00:59:59.9", "2026-03-29T01:00:00", "2026-10-25T01:30:00", "2026-12-31T23:59:59"):
        yield datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("key", throughput.RANGES)
def test_the_bars_reach_from_the_begin_to_the_present(key: str) -> None:
    chosen = throughput.RANGES[key]
    for now in moments():
        first = chosen.begin(now)
        chart = throughput.chart(throughput.Count({(first, "SUCCESS"): 1, (now, "ERROR"): 1}, set()), chosen, now)
        assert now - chosen.span - chosen.step < first <= now - chosen.span
        assert [sum(bar.numbers) for bar in (chart.bars[0], chart.bars[-1])] == [1, 1]
