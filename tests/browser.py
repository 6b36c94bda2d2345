"""
A real browser for the tests of pages. It starts once a process; each visit is a context of its own in it, without cookies.

It lives in a thread of its own: Playwright's event loop would keep Django's ORM from working in that of a test.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Response, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium in the PATH")

T = TypeVar("T")


class _Home:
    """The thread, and the browser in it once it was asked for."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="browser")
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    def browser(self) -> Browser:
        """The browser; one that has crashed is replaced."""
        self._playwright = self._playwright or sync_playwright().start()
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        return self._browser

    def close(self) -> None:
        if self._browser:
            self._browser.close()
        if self._playwright:
            self._playwright.stop()
        self._browser = self._playwright = None


_home = _Home()


def visit(
    look: Callable[[Page], T], *, prepare: Callable[[BrowserContext], None] = lambda context: None, **options: Any
) -> tuple[T, list[str]]:
    """
    Have ``look`` use a page of the browser.

    :param prepare: what is done to the context before there is a page, such as giving it cookies.
    :param options: of Playwright's ``new_context``, such as ``viewport`` or ``color_scheme``.
    :returns: what ``look`` returns, and what the page complained about: whatever its policy blocks, its scripts throw, or has no policy.
    """
    return _home.thread.submit(_visit, look, prepare, options).result()


def _visit(
    look: Callable[[Page], T], prepare: Callable[[BrowserContext], None], options: dict[str, Any]
) -> tuple[T, list[str]]:
    complaints: list[str] = []
    with closing(_home.browser().new_context(**options)) as context:
        prepare(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if _is_bad(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda response: complaints.append(response.url) if _is_lax(response) else None)
        seen = look(page)
    return seen, complaints


def _is_bad(message: ConsoleMessage) -> bool:
    return message.type in ("error", "warning")


def _is_lax(response: Response) -> bool:
    return response.request.resource_type == "document" and "content-security-policy" not in response.headers


def close() -> None:
    """End the browser, if there is one: no process is left behind."""
    _home.thread.submit(_home.close).result()
