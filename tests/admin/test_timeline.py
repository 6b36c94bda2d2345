"""The timeline: where the time went, what failed, what is waited for; as values, and as the page draws it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from durable_workflows.admin.timeline import Timeline, Where, reading, timeline
from durable_workflows.admin.timeline.scale import scale, ticks
from durable_workflows.models import Kind, WorkflowRun
from tests.admin import scenes
from tests.admin.conftest import page_of
from tests.admin.html import read
from tests.admin.rows import ago, make_attempt, make_run, make_step, make_wait

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def spans(*pairs: tuple[float, float]) -> list[tuple[datetime, datetime]]:
    return [(at(start), at(end)) for start, end in pairs]


def drawn(run: WorkflowRun, *opened: WorkflowRun) -> Timeline:
    return timeline(WorkflowRun.objects.get(pk=run.pk), opened, Where(page_of=page_of))


def lanes_of(run: WorkflowRun, *opened: WorkflowRun) -> list[tuple[str, list[str]]]:
    """Each lane's name, and the kinds of its bars."""
    return [(lane.lane.name or lane.lane.words, [box.kind for box in lane.boxes]) for lane in drawn(run, *opened).lanes]


# The axis.


def test_time_runs_evenly_where_code_ran_most_of_it() -> None:
    axis = scale((at(0), at(10)), spans((0, 4), (6, 10)))
    assert [axis.at(at(second)) for second in (0, 2.5, 5, 10)] == [0, 0.25, 0.5, 1]
    assert not any(stretch.shortened for stretch in axis.stretches)


def test_a_long_gap_is_drawn_short() -> None:
    axis = scale((at(0), at(3 * 86_400)), spans((0, 6), (3 * 86_400 - 6, 3 * 86_400)))
    assert [stretch.shortened for stretch in axis.stretches] == [False, True, False]
    assert axis.at(at(6)) == pytest.approx(0.44)
    assert axis.at(at(3 * 86_400 - 6)) == pytest.approx(0.56)


def test_a_run_that_only_waits_is_drawn_evenly() -> None:
    assert len(scale((at(0), at(86_400)), []).stretches) == 1


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)), max_size=30), st.floats(0, 2e6))
def test_the_axis_is_in_order_and_whole(busy: list[tuple[float, float]], end: float) -> None:
    spanned = spans(*((min(start, end), min(start + length, end)) for start, length in busy))
    whole = (at(0), max(at(end), at(0.001)))
    axis = scale(whole, spanned)
    assert axis.stretches[0].left == 0
    assert axis.stretches[-1].right == pytest.approx(1)
    assert all(a.right == pytest.approx(b.left) and a.end == b.start for a, b in pairwise(axis.stretches))
    places = [axis.at(moment) for moment in sorted(moment for span in spanned for moment in span)]
    assert places == sorted(places)
    for stretch in axis.stretches:
        marks = [tick.left for tick in ticks(stretch)]
        assert marks == sorted(marks)
        assert all(stretch.left <= mark <= stretch.right + 1e-9 for mark in marks)
        assert len(marks) <= 12


# The lanes.


@pytest.mark.django_db
def test_a_retried_step_shows_each_attempt_and_pause() -> None:
    lanes = drawn(scenes.checkout_with_retries())
    assert [(lane.lane.name.rpartition(".")[2], [box.kind for box in lane.boxes]) for lane in lanes.lanes] == [
        ("checkout", ["queued", "run dw-t-success"]),
        ("create_order", ["step"]),
        ("reserve_inventory", ["step"]),
        ("charge", ["failed", "backoff", "failed", "backoff", "step"]),
        ("set_event", ["call"]),
        ("recv", ["wait"]),
        ("dispatch", ["step"]),
    ]
    assert [gap.title for gap in lanes.gaps] == ["3 d 0 h"]
    assert not lanes.unfinished


@pytest.mark.django_db
def test_the_attempt_that_was_the_last_is_drawn_once_and_undo_steps_are_marked() -> None:
    lanes = drawn(scenes.failed_saga()).lanes
    assert [box.kind for box in lanes[3].boxes] == ["failed", "backoff", "failed", "backoff", "failed"]
    assert [lane.lane.kind for lane in lanes[4:]] == ["undo", "undo"]


@pytest.mark.django_db
def test_attempts_that_began_in_one_activation_follow_each_other() -> None:
    """Their rows say when the step began, not when the attempt did."""
    run = make_run(status="RUNNING", started_at=ago(minutes=5), claimed_at=ago(minutes=5))
    begun = ago(minutes=4)
    for attempt in (1, 2):
        end = begun + timedelta(seconds=10 * attempt)
        retry = end + timedelta(seconds=1)
        make_attempt(run, 1, attempt=attempt, started_at=begun, ended_at=end, retry_at=retry)
    (lane,) = [lane.lane for lane in drawn(run).lanes if lane.lane.kind == "retry"]
    assert [(bar.start - begun).total_seconds() for bar in lane.bars] == [0, 10, 11, 20]
    assert all(before.end == after.start for before, after in pairwise(lane.bars))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "last"),
    [
        ("RUNNING", ("a worker is at it", ["now dw-t-open"])),
        ("ENQUEUED", ("waits for a worker", ["queued dw-t-open"])),
        ("PAUSED", ("paused", ["paused dw-t-open"])),
    ],
)
def test_the_present_of_an_unfinished_run(status: str, last: tuple[str, list[str]]) -> None:
    run = make_run(status=status, started_at=ago(minutes=5))
    make_step(run, 1)
    assert lanes_of(run)[-1] == last
    assert drawn(run).unfinished


@pytest.mark.django_db
def test_what_is_waited_for_has_a_lane() -> None:
    run = make_run(status="WAITING", started_at=ago(minutes=5))
    make_wait(run, Kind.RECV, key="paid")
    make_wait(run, Kind.RETRY, position=9, due_at=ago(minutes=-5))
    waits = lanes_of(run)[1:]
    assert waits[0] == ("waits for message “paid”", ["wait dw-t-open"])
    assert waits[1][1] == ["sleep dw-t-open"]


@pytest.mark.django_db
def test_a_run_that_never_started_waits_until_now_or_its_end() -> None:
    assert lanes_of(make_run())[0][1] == ["queued dw-t-open"]
    assert lanes_of(make_run(status="CANCELLED", completed_at=ago(minutes=1)))[0][1] == ["queued"]


@pytest.mark.django_db
def test_children_are_opened_among_the_lanes_of_their_parent() -> None:
    run = scenes.waiting_with_children()
    child, grandchild = (WorkflowRun.objects.get(pk=pk) for pk in ("batch-7-3", "batch-7-3-9"))
    closed, opened = drawn(run).lanes, drawn(run, grandchild, child).lanes
    assert [lane.lane.depth for lane in closed] == [0] * 6
    assert [lane.lane.depth for lane in opened] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 1, 0, 0]
    assert closed[3].link.toggle == "?open=batch-7-3#timeline"
    assert opened[3].link.toggle == "?open=batch-7-3-9#timeline"
    assert opened[3].boxes[-1].kind == "opened dw-t-running dw-t-open"
    # One whose parent is not shown, and a stranger, are not.
    assert [lane.lane.depth for lane in drawn(run, grandchild, make_run()).lanes] == [0] * 6


@pytest.mark.django_db
def test_a_long_history_shows_its_ends_and_sums_up_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BUCKETS", 10)
    run = scenes.long_history(1500)
    shown = drawn(run).lanes
    assert [lane.at for lane in shown[1:] if lane.at] == [*map(str, range(1, 21)), *map(str, range(1481, 1501))]
    (between,) = [lane for lane in shown if lane.lane.kind == "between"]
    assert between.lane.words == "1460 steps between these"
    assert [box.kind for box in between.boxes].count("failed") == 2  # parts that have failed steps in them
    assert 10 <= len(between.boxes) <= 11
    assert between.boxes[0].url == "?step_after=%3A20#steps"
    assert between.boxes[0].title == "146 steps, 21 to 166"


@pytest.mark.django_db
def test_a_history_in_branches_is_not_summed_up() -> None:
    run = make_run(status="SUCCESS", started_at=ago(minutes=5), completed_at=ago(minutes=1))
    for branch in range(35):
        for position in (1, 2):
            make_step(run, position, branch=f"1.{branch}")
    (between,) = [lane for lane in drawn(run).lanes if lane.lane.kind == "between"]
    assert (between.lane.left_out, [box.kind for box in between.boxes]) == (30, ["hidden"])


# The page.


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["finished", "running", "failed", "waiting"])
def test_the_page_draws_it_by_attributes_and_classes_alone(admin_client: Client, name: str) -> None:
    response = admin_client.get(page_of(scenes.SCENES[name]().pk), {"open": "batch-7-3"})
    html = response.content.decode()
    assert read(response).blocked == []
    boxes = re.findall(r'<rect class="[\w -]+" x="([\d.]+)%" y="\d" width="([\d.]+)%" height="12">', html)
    assert boxes
    assert all(float(x) + float(width) <= 100.03 for x, width in boxes)
    assert html.count('role="img" aria-label="') == html.count('class="dw-t-bars"')


@pytest.mark.django_db
def test_lanes_lead_to_their_rows(admin_client: Client) -> None:
    run = make_run(status="SUCCESS", started_at=ago(minutes=5), completed_at=ago(minutes=1))
    first = make_step(run, 1)
    for position in range(2, 103):
        last = make_step(run, position)
    links = links_of(admin_client, page_of(run.pk))
    assert f"#step-{first.pk}" in links
    beyond = f"?step_after=%3A101#step-{last.pk}"
    assert beyond in links
    assert f'id="step-{last.pk}"' in admin_client.get(page_of(run.pk) + beyond).content.decode()


def links_of(client: Client, address: str) -> list[str]:
    found: Any = re.findall(r'href="([^"]*)"', client.get(address).content.decode())
    return [link.replace("&amp;", "&") for link in found]
