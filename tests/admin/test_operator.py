"""What an operator does, in a real browser under a strict policy, while a worker works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import BrowserContext, Page

from durable_workflows import Queue, create_schedule, current, start_workflow, step, workflow
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import durable_worker
from tests import browser
from tests.admin import test_browser
from tests.admin.conftest import RUNS, page_of
from tests.admin.rows import make_runs
from tests.admin.test_run_in_browser import BEYOND

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    browser.needed,
]

visit = test_browser.visit  # the fixture
BASE = "/admin/durable_workflows/"
desk = Queue("desk-of-operators", concurrency=2)  # such a queue is asked whether it is paused at each claim
GATE, BEGUN = threading.Semaphore(0), list[str]()


@step
def reserved(parcel: str) -> str:
    return f"reserved {parcel}"


@step
def paid(parcel: str) -> str:
    return f"paid {parcel}"


@step
def dispatched(address: dict[str, str]) -> str:
    if address["city"] == "Gotenburg":
        raise ValueError(f"There is no street {address['street']} in {address['city']}")
    assert GATE.acquire(timeout=60)
    return f"sent to {address['city']}"


@workflow
def parcel(number: str, address: dict[str, str]) -> list[str]:
    """Sends a parcel."""
    return [reserved(number), paid(number), dispatched(address)]


@workflow
def gated() -> None:
    run = current()
    BEGUN.append(run.workflow_id if run else "")
    assert GATE.acquire(timeout=60)


@workflow
def reported(*args: Any) -> str:
    return "done"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    global GATE
    GATE = threading.Semaphore(0)
    BEGUN.clear()
    yield
    GATE.release(100)


def test_a_failed_run_is_found_forked_with_a_corrected_input_and_watched(visit: Callable[..., Any]) -> None:
    with durable_worker(threads=2):
        handle = start_workflow(parcel, "P-7", {"street": "Södra vägen 12", "city": "Gotenburg"})
        with pytest.raises(ValueError, match="no street"):
            handle.get_result(timeout=60)

        def look(page: Page, url: str) -> list[str]:
            page.goto(url + RUNS)
            page.click("#changelist-filter >> text=failed")
            page.click("#result_list .field-workflow a")
            said = [page.inner_text("#error .dw-failure p")]
            row = page.locator("#steps tr", has_text="dispatched")
            row.locator(".dw-menu summary").focus()
            page.keyboard.press("Enter")
            row.locator(".dw-menu a", has_text="Fork from here").click()
            said.append(page.input_value("[name=start_step]"))
            page.fill('[name="arg:1"]', '{"street": "Södra vägen 12", "city": "Göteborg"}')
            page.focus('[name="workflow_id"]')
            page.keyboard.type("P-7-again")
            page.keyboard.press("Enter")
            page.wait_for_url("**/P-7-again/change/")
            page.evaluate("window.untouched = true")
            page.wait_for_function("() => !document.querySelector('h1').innerText.includes('succeeded')")
            GATE.release()
            page.wait_for_selector("h1 >> text=succeeded", timeout=30_000)
            return [*said, page.inner_text("#output pre"), str(page.evaluate("window.untouched"))]

        why, at, output, untouched = visit(look)
    assert why == "ValueError: There is no street Södra vägen 12 in Gotenburg"
    assert (at, untouched) == ("3", "True")
    assert '"sent to Göteborg"' in output or "sent to G\\u00f6teborg" in output
    fork = WorkflowRun.objects.get(pk="P-7-again")
    assert (fork.status, fork.forked_from_id) == ("SUCCESS", handle.workflow_id)


def test_a_queue_under_load_is_paused_and_resumed(visit: Callable[..., Any]) -> None:
    with durable_worker(threads=4):
        handles = [desk.enqueue(gated) for _ in range(12)]

        def act(page: Page, url: str, action: str) -> str:
            page.goto(f"{url}{BASE}queuestate/")
            page.check(f'[value="{desk.name}"]')
            page.select_option("select[name=action]", action)
            page.click("button[name=index]")
            page.wait_for_selector(".messagelist")
            return page.inner_text(".messagelist")

        def wait_for(page: Page, ready: Callable[[], bool]) -> None:
            for _ in range(600):
                if ready():
                    return
                page.wait_for_timeout(50)
            raise AssertionError("that did not come about")

        def look(page: Page, url: str) -> list[Any]:
            wait_for(page, lambda: len(BEGUN) == 2)
            said: list[Any] = [act(page, url, "pause_queues")]
            GATE.release(12)
            page.goto(f"{url}{RUNS}?queue={desk.name}&status__exact=SUCCESS")
            while page.locator("#result_list tbody tr").count() < 2:
                page.reload()
            # The worker is alive and claims: a run of another queue comes and goes.
            page.goto(f"{url}{RUNS}start/?workflow={reported.durable.name}")
            page.click("text=Start >> nth=-1")
            page.wait_for_selector("h1 >> text=succeeded", timeout=30_000)
            said += [len(BEGUN), act(page, url, "resume_queues")]
            wait_for(page, lambda: len(BEGUN) == 12)
            return said

        assert visit(look) == ["1 queue was paused.", 2, "1 queue was resumed."]
        for handle in handles:
            handle.get_result(timeout=60)


def test_a_schedule_is_triggered_and_its_run_found(visit: Callable[..., Any]) -> None:
    create_schedule("nightly", reported, "0 3 * * *")
    with durable_worker(threads=2):

        def look(page: Page, url: str) -> list[str]:
            page.goto(f"{url}{BASE}schedule/")
            page.click("#result_list .field-name a")
            page.click(".dw-buttons >> text=Trigger now")
            page.click("text=Yes, trigger")
            page.wait_for_selector(".messagelist >> text=Triggered")
            page.goto(f"{url}{RUNS}?schedule_name__exact=nightly")
            page.click("#result_list .field-workflow a")
            page.wait_for_selector("h1 >> text=succeeded", timeout=30_000)
            return [page.inner_text("#output pre"), page.inner_text(".dw-facts >> text=nightly")]

        output, schedule = visit(look)
    assert (output, schedule.splitlines()[-1]) == ('"done"', "nightly")


def test_two_thousand_runs_are_cancelled_by_a_filter(visit: Callable[..., Any]) -> None:
    ids = make_runs(2000, name="shop.workflows.wrong", status="WAITING")
    others = make_runs(50, name="shop.workflows.right", status="WAITING")

    def look(page: Page, url: str) -> str:
        page.goto(f"{url}{RUNS}?workflow=shop.workflows.wrong")
        page.check("#action-toggle")
        page.click(".actions .question a")
        page.select_option("select[name=action]", "cancel_runs")
        page.click("button[name=index]")
        assert "2,000" in page.inner_text("#content h1")
        page.click("text=Yes, Cancel")
        page.wait_for_url("**/workflowrun/?workflow=**", timeout=60_000)
        return page.inner_text(".messagelist")

    assert "2,000 workflow runs were cancelled." in visit(look)
    assert WorkflowRun.objects.filter(pk__in=ids, status="CANCELLED").count() == 2000
    assert WorkflowRun.objects.filter(pk__in=others, status="WAITING").count() == 50


def test_a_viewer_sees_and_can_do_nothing(visit: Callable[..., Any]) -> None:
    run = WorkflowRun.objects.get(pk=start_workflow(gated).workflow_id)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_", content_type__app_label="durable_workflows")
    )
    client = Client()
    client.force_login(viewer)
    session = client.cookies["sessionid"].value

    def look(page: Page, url: str) -> list[Any]:
        context: BrowserContext = page.context
        context.clear_cookies()
        context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        seen: list[Any] = []
        for address in (RUNS, page_of(run.pk), f"{BASE}queuestate/", f"{BASE}schedule/", f"{BASE}worker/", f"{BASE}dashboard/"):
            page.goto(url + address)
            buttons = "#content form[method=post] [type=submit], select[name=action], .object-tools a, .dw-menu"
            seen += page.locator(buttons).all_inner_texts()
        return seen

    assert visit(look) == []


def test_no_question_is_wider_than_the_screen_or_against_the_policy(visit: Callable[..., Any]) -> None:
    run = WorkflowRun.objects.get(pk=start_workflow(parcel, "P-" + "7" * 150, {"street": "x" * 300, "city": "y"}).workflow_id)
    base = page_of(run.pk).removesuffix("change/")
    addresses = [f"{base}{view}/" for view in ("fork", "rewind", "send")]
    addresses += [f"{RUNS}start/", f"{RUNS}start/?workflow={parcel.durable.name}", page_of(run.pk), RUNS]

    def look(page: Page, url: str) -> list[int]:
        beyond = []
        for address in addresses:
            page.goto(url + address)
            for width in (390, 800, 1400):
                page.set_viewport_size({"width": width, "height": 800})
                beyond.append(page.evaluate(BEYOND))
        return beyond

    assert visit(look) == [0] * 3 * len(addresses)
