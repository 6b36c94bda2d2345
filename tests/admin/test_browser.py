"""The pages in a real browser: under a strict policy, in both colour schemes, on a narrow screen, and by clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from durable_workflows.models import Kind, QueueState, WorkflowRun
from durable_workflows.states import RunState
from tests import browser
from tests.admin.conftest import RUNS, page_of
from tests.admin.rows import (
    ago,
    dumps,
    error_text,
    make_attempt,
    make_message,
    make_queue,
    make_run,
    make_runs,
    make_schedule,
    make_step,
    make_wait,
    make_worker,
)

pytestmark = [
    pytest.mark.once,  # what a browser makes of a page is the same on every database
    pytest.mark.django_db(transaction=True),
    browser.needed,
]

QUEUES = "/admin/durable_workflows/queuestate/"
DASHBOARD = "/admin/durable_workflows/dashboard/"
DESK = [
    DASHBOARD,
    f"{DASHBOARD}?range=week",
    "/admin/durable_workflows/worker/",
    "/admin/durable_workflows/worker/web-1-of-a-long-name/change/",
    "/admin/durable_workflows/schedule/",
    "/admin/durable_workflows/schedule/every-hour-of-the-week/change/",
]
QUEUE_PAGES = [*DESK, QUEUES, f"{QUEUES}add/", f"{QUEUES}documents-of-tenants/change/", f"{QUEUES}broken/change/"]
T = TypeVar("T")

# The contrast of each label's text with its own background, by WCAG 2.1; an array of [text, ratio].
CONTRASTS = """
() => {
  const parts = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => { const c = getComputedStyle(e).backgroundColor; return /, 0\\)$/.test(c) ? behind(e.parentElement) : c; };
  return [...document.querySelectorAll('.dw-pill, .dw-alarm, .dw-module, .dw-now')].map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return [e.className + ' ' + e.textContent, (a + 0.05) / (b + 0.05)];
  });
}
"""


@pytest.fixture
def visit(live_server: LiveServer, db: None) -> Callable[..., Any]:
    """
    Runs ``look(page, base_url)`` with a page of a browser that is logged in, and returns what it returns.

    Whatever the page's policy blocks, or its scripts throw, fails the test.
    """
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    session = client.cookies["sessionid"].value

    def make(look: Callable[[Page, str], T], **options: Any) -> T:
        def prepare(context: BrowserContext) -> None:
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
            context.route("**/favicon.ico", lambda route: route.fulfill(status=204))

        options = {"viewport": {"width": 1440, "height": 900}, **options}
        seen, complaints = browser.visit(lambda page: look(page, live_server.url), prepare=prepare, **options)
        assert complaints == []
        return seen

    return make


def fill() -> WorkflowRun:
    """A run in every state, and one with everything."""
    for state in RunState:
        make_run(status=state, recovery_attempts=1)
    make_run(stranded="name")
    run = make_run(status="WAITING", id="order-1043-with-a-long-name", error=error_text(ValueError("no tea")))
    make_step(run, 1, output=dumps({"items": ["x" * 90] * 9}))
    make_step(run, 2, output=None, error=error_text(OSError("x" * 400)))
    make_attempt(run, 2)
    make_wait(run, Kind.RECV, key="paid")
    make_message(run, payload=dumps("x" * 600))
    fill_queues()
    fill_desk()
    return run


def fill_desk() -> None:
    """What ended, a worker with its hands full, and a schedule with runs."""
    make_worker("web-1-of-a-long-name", hostname="web-1.of-a-very-long-name.example.internal", queues=["mail", "x" * 60])
    make_worker("asked", drain_requested_at=ago(minutes=1))
    make_worker("lost", lost_at=ago(minutes=1))
    make_schedule("every-hour-of-the-week", timezone="America/Argentina/ComodRivadavia", next_fire_at=ago(minutes=-9))
    for minutes in range(0, 50, 5):
        times = {
            "created_at": ago(minutes=minutes + 2),
            "started_at": ago(minutes=minutes + 1),
            "completed_at": ago(minutes=minutes),
        }
        make_run(status="SUCCESS", schedule_name="every-hour-of-the-week", **times)
        make_run(status="ERROR", name="a." + "very_long_" * 12 + "name", **times)
    for number in range(5):
        make_run(status="RUNNING", worker_id="web-1-of-a-long-name", queue="y" * 100, claimed_at=ago(minutes=number))
        make_run(queue="y" * 100, partition_key="z" * 100)
        make_run(queue="documents-of-tenants", partition_key=f"{'z' * 90}{number}")


def fill_queues() -> None:
    """One with everything, and one that cannot be read."""
    parts = {"partition_concurrency": 2, "partition_limiter": {"limit": 5, "period": 1.5}}
    limits = {"concurrency": 8, "waiting": "hold", "partition_queue": True, **parts}
    make_queue("documents-of-tenants", declared=limits, overrides={"concurrency": 4, "worker_concurrency": None}, paused=True)
    make_queue("broken", declared=["x" * 200], overrides={"concurrency": "lots", "limiter": 5})


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_every_page_fits_and_every_label_can_be_read(visit: Callable[..., Any], width: int, scheme: str) -> None:
    run = fill()

    def look(page: Page, url: str) -> tuple[dict[str, int], list[tuple[str, float]]]:
        beyond, contrasts = {}, []
        for address in (RUNS, page_of(run.pk), *QUEUE_PAGES):
            page.goto(url + address)
            beyond[address] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            contrasts += page.evaluate(CONTRASTS)
        return beyond, contrasts

    beyond, contrasts = visit(look, color_scheme=scheme, viewport={"width": width, "height": 800})
    assert len(contrasts) > 2 * len(RunState)
    assert {address: pixels for address, pixels in beyond.items() if pixels} == {}
    assert [(what, ratio) for what, ratio in contrasts if ratio < 4.5] == []


def test_a_click_selects_the_whole_id(visit: Callable[..., Any]) -> None:
    run = fill()

    def look(page: Page, url: str) -> str:
        page.goto(f"{url}{RUNS}?q={run.pk}")
        page.click("#result_list .dw-id")
        return str(page.evaluate("getSelection().toString()"))

    assert visit(look).strip() == run.pk


def test_a_traceback_unfolds(visit: Callable[..., Any]) -> None:
    run = fill()

    def look(page: Page, url: str) -> tuple[bool, bool]:
        page.goto(url + page_of(run.pk))
        trace = page.locator("#error .dw-trace")
        before = trace.is_visible()
        page.click("#error summary")
        return before, trace.is_visible()

    assert visit(look) == (False, True)


def test_a_run_is_cancelled_by_clicks(visit: Callable[..., Any]) -> None:
    run = fill()

    def look(page: Page, url: str) -> str:
        page.goto(url + page_of(run.pk))
        page.click("text=Cancel…")
        page.click("text=Yes, Cancel")
        page.wait_for_url(url + page_of(run.pk))
        return page.inner_text("#content-start")

    text = visit(look)
    assert "1 workflow run was cancelled." in text
    assert WorkflowRun.objects.get(pk=run.pk).status == RunState.CANCELLED


def test_runs_of_the_list_are_resumed_by_clicks(visit: Callable[..., Any]) -> None:
    dead = make_run(status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", recovery_attempts=9)

    def look(page: Page, url: str) -> str:
        page.goto(f"{url}{RUNS}?status__exact=MAX_RECOVERY_ATTEMPTS_EXCEEDED")
        page.check(f'[value="{dead.pk}"]')
        page.select_option("select[name=action]", "resume_runs")
        page.click("button[name=index]")
        page.click("text=Yes, Resume")
        page.wait_for_url("**/workflowrun/?status__exact=MAX_RECOVERY_ATTEMPTS_EXCEEDED")
        return page.inner_text("#content-start")

    assert "1 workflow run was resumed." in visit(look)
    assert WorkflowRun.objects.get(pk=dead.pk).status == RunState.ENQUEUED


def test_two_thousand_runs_are_cancelled_by_a_filter(visit: Callable[..., Any]) -> None:
    make_queue("mail")
    make_runs(2000, status="WAITING", queue="mail")
    kept = make_run(status="WAITING").pk

    def look(page: Page, url: str) -> list[str]:
        page.goto(url + RUNS)
        page.click("#changelist-filter >> text=mail")
        page.wait_for_url("**?queue=mail")
        page.check("#action-toggle")
        page.click("text=Select all 2,000 runs")
        said = [page.inner_text("div.actions .all")]
        page.select_option("select[name=action]", "cancel_runs")
        page.click("button[name=index]")
        page.wait_for_selector("text=Yes, Cancel")  # the end of the page that asks
        said.append(page.inner_text("#content"))
        page.click("text=Yes, Cancel")
        page.wait_for_url("**/workflowrun/?queue=mail")
        return [*said, page.inner_text("#content-start")]

    selected, question, report = visit(look)
    assert selected == "All 2,000 runs are selected"
    assert "Cancel these 2,000 workflow runs?" in question
    assert "… and 1,980 more" in question
    assert "2,000 workflow runs were cancelled." in report
    assert WorkflowRun.objects.filter(status=RunState.CANCELLED).count() == 2000
    assert WorkflowRun.objects.get(pk=kept).status == RunState.WAITING


def test_the_list_is_paged_by_the_keyboard_alone(visit: Callable[..., Any]) -> None:
    make_runs(120)

    def look(page: Page, url: str) -> list[int]:
        page.goto(url + RUNS)
        numbers = [page.locator("#result_list tbody tr").count()]
        for label in ("Older", "Older", "Newer"):
            page.focus(f".dw-paging >> text={label}")
            with page.expect_navigation():
                page.keyboard.press("Enter")
            numbers.append(page.locator("#result_list tbody tr").count())
        return numbers

    assert visit(look) == [50, 50, 20, 50]


@pytest.mark.parametrize("width", [390, 1440])
def test_no_column_is_out_of_sight(visit: Callable[..., Any], width: int) -> None:
    """The table is as wide as what it lies in; on a phone each run is a card."""
    for state in RunState:
        make_run(
            status=state, recovery_attempts=1, started_at=ago(hours=30), progress_done=1, progress_total=3, worker_id="web-1-00"
        )

    def look(page: Page, url: str) -> int:
        page.goto(url + RUNS)
        return int(page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.results'))"))

    assert visit(look, viewport={"width": width, "height": 800}) <= 0


def test_no_column_of_the_workers_is_out_of_sight(visit: Callable[..., Any]) -> None:
    """Nor of what one of them executes, however long the names of hosts and queues are."""
    fill_desk()

    def look(page: Page, url: str) -> list[int]:
        beyond = []
        for address, table in (("worker/", ".results"), ("worker/web-1-of-a-long-name/change/", ".field-all_executed")):
            page.goto(f"{url}/admin/durable_workflows/{address}")
            beyond.append(page.evaluate(f"(e => e.scrollWidth - e.clientWidth)(document.querySelector('{table}'))"))
        return beyond

    assert visit(look) == [0, 0]


def test_a_part_of_a_name_filters_the_list(visit: Callable[..., Any]) -> None:
    make_run(name="shop.workflows.checkout")
    make_run(name="library.workflows.index")

    def look(page: Page, url: str) -> list[str]:
        page.goto(url + RUNS)
        page.fill("[name=workflow]", "library")
        page.press("[name=workflow]", "Enter")
        page.wait_for_url("**workflow=library")
        return page.locator("#result_list .dw-name").all_inner_texts()

    assert visit(look) == ["index"]


def test_a_schedule_is_added_paused_and_triggered_by_clicks(visit: Callable[..., Any]) -> None:
    def look(page: Page, url: str) -> list[str]:
        page.goto(f"{url}/admin/durable_workflows/schedule/add/")
        for name, value in (("name", "feed"), ("workflow_name", "feeds.poll"), ("cron", "nonsense"), ("context", '{"a": 1}')):
            page.fill(f"[name={name}]", value)
        page.click("[name=_save]")
        said = [page.inner_text(".errorlist")]
        page.fill("[name=cron]", "0 9 * * MON-FRI")
        page.click("[name=_save]")
        page.wait_for_url("**/schedule/")
        page.click("#result_list .field-name a")
        for button, done in (("Pause", "Paused"), ("Resume", "Resumed"), ("Trigger now", "Triggered")):
            page.click(f".dw-buttons >> text={button}")
            if done == "Triggered":
                page.click("text=Yes, trigger")
            said.append(page.inner_text(f".messagelist >> text={done}"))
        said.append(str(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")))
        return said

    error, *done, beyond = visit(look)
    assert "'nonsense' has 1 fields" in error
    assert done == ["1 schedule: Paused.", "1 schedule: Resumed.", "1 schedule: Triggered."]
    assert beyond == "0"
    assert WorkflowRun.objects.get().schedule_name == "feed"


def test_a_limit_is_overridden_by_the_keyboard_alone(visit: Callable[..., Any]) -> None:
    make_queue("mail", declared={"concurrency": 10})

    def look(page: Page, url: str) -> str:
        page.goto(f"{url}{QUEUES}mail/change/")
        page.focus("[name=paused]")
        page.keyboard.press("Space")
        page.focus("[name=concurrency_0]")
        page.keyboard.type("at most")
        page.keyboard.press("Tab")
        page.keyboard.type("4")
        page.keyboard.press("Enter")
        page.wait_for_url(url + QUEUES)
        return page.inner_text("#content-start")

    assert "was changed successfully" in visit(look)
    queue = QueueState.objects.get()
    assert (queue.paused, queue.overrides) == (True, {"concurrency": 4})


def test_a_worker_is_drained_by_clicks(visit: Callable[..., Any]) -> None:
    make_worker("w1")

    def look(page: Page, url: str) -> list[str]:
        page.goto(url + DASHBOARD)
        page.click("text=Workers alive")
        page.click("#result_list .dw-id")
        page.click("text=Drain…")
        said = [page.inner_text("#content h1")]
        page.click("text=Yes, drain")
        page.wait_for_url("**/worker/w1/change/")
        return [*said, page.inner_text("#content-start"), str(page.locator("text=Drain…").count())]

    question, done, buttons = visit(look)
    assert question == "Drain this worker?"
    assert "1 worker is asked to end" in done
    assert "draining" in done
    assert buttons == "0"


def test_a_dashboard_reads_as_a_table_too(visit: Callable[..., Any]) -> None:
    make_run(status="SUCCESS", created_at=ago(minutes=3), started_at=ago(minutes=2), completed_at=ago(minutes=1))

    def look(page: Page, url: str) -> tuple[bool, str]:
        page.goto(url + DASHBOARD)
        table = page.locator(".dw-chart table")
        hidden = table.is_hidden()
        page.focus(".dw-chart summary")
        page.keyboard.press("Enter")
        return hidden, table.inner_text()

    hidden, text = visit(look)
    assert hidden
    assert text.split("\n")[1].split()[1:] == ["1", "0", "0"]
