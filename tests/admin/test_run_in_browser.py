"""The page of a run in a real browser: it follows the run, keeps what the visitor did, and shows whatever is stored as text."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Page

from durable_workflows.models import StepRun, WorkflowRun
from tests import browser
from tests.admin import scenes, test_browser
from tests.admin.conftest import page_of
from tests.admin.hostile import HOSTILE
from tests.admin.rows import ago, dumps, error_text, make_event, make_run, make_step

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    browser.needed,
]

visit = test_browser.visit  # the fixture
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def at_once(page: Page) -> None:
    """Have the page ask now, as it does when its tab comes to be seen again."""
    with page.expect_response("**/live/**"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_an_open_page_follows_its_run_and_keeps_what_the_visitor_did(
    visit: Callable[..., Any],
    django_db_blocker: Any,
) -> None:
    run = scenes.running()
    make_step(run, 3, name="shop.workflows.refused", output=None, error=error_text(ValueError("no such tea")))
    for position in range(4, 40):
        make_step(run, position)

    def change(act: Callable[[], object]) -> None:
        """In a thread of its own: the event loop of Playwright keeps the ORM from working in this one."""

        def work() -> None:
            with django_db_blocker.unblock():
                act()
                connections.close_all()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(work).result()

    def end() -> None:
        WorkflowRun.objects.filter(pk=run.pk).update(status="SUCCESS", completed_at=ago(seconds=0), output=dumps("packed"))

    def look(page: Page, url: str) -> list[object]:
        page.goto(url + page_of(run.pk))
        page.click("#steps .dw-failure summary")
        page.evaluate("document.querySelector('#steps tr:nth-child(20)').scrollIntoView()")
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#steps tr:nth-child(20) .dw-label'))")
        page.focus("#timeline ol a")
        was = page.evaluate("[scrollY, getSelection().toString(), document.activeElement.getAttribute('href')]")
        change(lambda: make_step(run, 40, name="shop.workflows.handed_over"))
        at_once(page)
        page.wait_for_selector("#steps >> text=handed_")
        assert page.evaluate("[scrollY, getSelection().toString(), document.activeElement.getAttribute('href')]") == was
        assert page.locator("#steps details[open] .dw-trace").is_visible()
        unchanged = page.evaluate("document.querySelector('#steps').mark = 1")
        change(end)
        at_once(page)
        page.wait_for_selector("h1 >> text=succeeded")
        assert page.evaluate("document.querySelector('#steps').mark") == unchanged
        return [page.locator(".dw-live-button").is_visible(), page.inner_text(".dw-live-says"), page.inner_text("#output pre")]

    assert visit(look) == [False, "It has ended", '"packed"']


def test_the_visitor_may_pause_it_and_is_remembered(visit: Callable[..., Any]) -> None:
    run, ended = scenes.running(), make_run(status="SUCCESS")

    def look(page: Page, url: str) -> list[object]:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/live/" in request.url else None)
        page.goto(url + page_of(run.pk))
        button = page.locator(".dw-live-button")
        seen: list[object] = [button.inner_text(), button.get_attribute("aria-pressed")]
        page.focus(".dw-live-button")
        page.keyboard.press("Enter")
        seen += [button.inner_text(), button.get_attribute("aria-pressed")]
        page.reload()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        seen.append(button.inner_text())
        seen.append(len(asked))
        page.click(".dw-live-button")
        seen.append(button.inner_text())
        page.goto(url + page_of(ended.pk))
        seen.append(button.is_visible())
        return seen

    assert visit(look) == ["Live", "true", "Paused", "false", "Paused", 0, "Live", False]


def test_it_says_when_it_cannot_follow(visit: Callable[..., Any]) -> None:
    run = scenes.running()

    def look(page: Page, url: str) -> list[object]:
        page.goto(url + page_of(run.pk))
        page.route(
            "**/live/**", lambda route: route.fulfill(status=204 if page.evaluate("0") else 302, headers={"location": "/"})
        )
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_function("() => document.querySelector('.dw-live-says').textContent")
        return [page.inner_text(".dw-live-says"), page.locator(".dw-live-button").is_visible()]

    assert visit(look) == ["No longer there, or no longer to be seen: reload the page", False]


def test_without_scripts_the_page_is_whole(visit: Callable[..., Any]) -> None:
    run = scenes.waiting_with_children()

    def look(page: Page, url: str) -> list[object]:
        page.goto(url + page_of(run.pk))
        page.click(".dw-t-toggle >> nth=2")
        return [page.locator(".dw-live").is_visible(), page.locator(".dw-t-depth-1 .dw-t-name").all_inner_texts()]

    live, names = visit(look, java_script_enabled=False)
    assert not live
    assert sorted(names) == ["a worker is at it", "label", "part_1", "part_2", "part_3"]


def test_no_scene_is_wider_than_the_screen(visit: Callable[..., Any]) -> None:
    runs = [make().pk for make in (scenes.checkout_with_retries, scenes.running, scenes.failed_saga)]
    runs += [scenes.waiting_with_children().pk, scenes.long_history(300).pk]

    def look(page: Page, url: str) -> list[int]:
        beyond = []
        for run in runs:
            page.goto(f"{url}{page_of(run)}?open=batch-7-3&open=batch-7-3-9")
            page.evaluate("document.querySelectorAll('.dw-page details').forEach(part => part.open = true)")
            for width in (390, 800, 1400):
                page.set_viewport_size({"width": width, "height": 800})
                beyond.append(page.evaluate(BEYOND))
        return beyond

    assert visit(look) == [0] * 3 * len(runs)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_hostile_texts_show_as_text(visit: Callable[..., Any], number: int) -> None:
    run = make_run(
        status="ERROR", started_at=ago(minutes=9), completed_at=ago(minutes=1), error=error_text(ValueError(HOSTILE[0]))
    )
    texts = [HOSTILE[each % len(HOSTILE)] + str(each) for each in range(number)]
    StepRun.objects.bulk_create(
        (
            StepRun(run=run, position=position, name=text[:250], output=_stored(text, position), started_at=ago(minutes=8),
                    completed_at=ago(minutes=7), error=error_text(OSError(text)) if position % 3 == 0 else None)
            for position, text in enumerate(texts, 1)
        ),
        batch_size=500,
    )  # fmt: skip
    for text in texts[:25]:
        make_event(run, key=text[:250], value=_stored(text, 1))

    def look(page: Page, url: str) -> list[object]:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        address, pages, elements = f"{url}{page_of(run.pk)}", 0, set()
        while address:
            page.goto(address)
            pages += 1
            elements |= set(
                page.evaluate(
                    "[...document.querySelectorAll('#dw-live *')].filter(e => !e.closest('.dw-buttons')).map(e => e.localName)"
                )
            )
            following = page.locator(".dw-pages a", has_text="Next page")
            address = page.evaluate("a => a.href", following.element_handle()) if following.count() else ""
        return [pages, sorted(elements & {"script", "img", "iframe", "b", "style", "object", "base", "form", "math"})]

    assert visit(look) == [-(-number // 100), []]


def _stored(text: str, number: int) -> str:
    """As a step would store it, or, of each third, as it could only be damaged."""
    return text if number % 3 == 1 else dumps({text: [text]})
