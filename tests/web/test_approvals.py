"""The form behind a link: opening it decides nothing, posting it decides once, for one run, while that can use it."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from durable_workflows import NotSerializable, cancel_workflow, get_result, resume_workflow, send
from durable_workflows.models import Message, WorkflowRun, answers
from durable_workflows.testing import drain, durable_worker, travel
from durable_workflows.web.tokens import make_token
from tests.app.models import Ledger
from tests.web import site
from tests.web.crowd import at_once

db = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
YES, NO = {"decision": "approve", "note": "go on"}, {"decision": "reject"}


def asking(topic: str = "decision", seconds: float | None = None) -> str:
    """A run that waits for an answer."""
    handle = site.asks.start(topic, seconds)
    drain()
    return handle.workflow_id


def link(workflow_id: str, about: Any = None, topic: str = "decision", **more: Any) -> str:
    name = "decide" if topic == "decision" else "elsewhere"
    return reverse(name, args=[make_token(workflow_id, topic, about=about, **more)])


def text_of(response: Any) -> str:
    return str(response.content.decode())


def messages() -> int:
    return Message.objects.count()


@db
class TestOpening:
    @pytest.mark.parametrize("method", ["get", "head", "options"])
    def test_it_decides_nothing_however_often(self, client: Client, method: str) -> None:
        address = link(asking())
        for _ in range(3):
            assert getattr(client, method)(address).status_code == 200
        assert messages() == 0
        assert client.post(address, YES).status_code == 200

    def test_a_prefetcher_with_the_answer_in_the_query_decides_nothing(self, client: Client) -> None:
        address = link(asking())
        assert client.get(address, YES, headers={"Sec-Purpose": "prefetch", "Purpose": "prefetch"}).status_code == 200
        assert messages() == 0

    @pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
    def test_other_methods_are_refused(self, client: Client, method: str) -> None:
        assert getattr(client, method)(link(asking())).status_code == 405
        assert messages() == 0

    def test_the_link_is_told_to_nobody(self, client: Client) -> None:
        run_id = asking()
        for response in (
            client.get(link(run_id)),
            client.post(link(run_id), YES),
            client.get(link(run_id)),
            client.get("/decide/x/"),
        ):
            assert response.headers["Referrer-Policy"] == "strict-origin"
            assert "no-store" in response.headers["Cache-Control"]
            assert response.headers["X-Frame-Options"] == "DENY"
            assert "noindex" in response.headers["X-Robots-Tag"]

    def test_the_pages_are_escaped_and_have_nothing_inline(self, client: Client) -> None:
        run_id, asked = asking(), "<script>alert('x')</script>"
        pages = [client.get(link(run_id, asked)), client.post(link(run_id, asked), {"decision": "<b>"}),
                 client.post(link(run_id, asked), YES), client.get(link(run_id, asked)), client.get("/decide/<script>/")]  # fmt: skip
        assert [page.status_code for page in pages] == [200, 200, 200, 410, 404]
        assert "&lt;script&gt;alert(" in text_of(pages[0])
        for page in pages:
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|<b>|https?://", text_of(page))


@db
class TestAnswering:
    def test_the_run_goes_on_with_the_answer(self, client: Client) -> None:
        run_id = asking()
        response = client.post(link(run_id), YES)
        assert response.status_code == 200
        assert "Thank you" in text_of(response)
        drain()
        assert get_result(run_id, 1) == YES
        assert list(Ledger.objects.values_list("run_id", "step")) == [(run_id, "approve")]

    def test_a_second_answer_is_told_so_and_changes_nothing(self, client: Client) -> None:
        run_id = asking()
        address = link(run_id)
        client.post(address, YES)
        for method, data in (("post", NO), ("get", None), ("post", YES)):
            response = getattr(client, method)(address, data)
            assert response.status_code == 410
            assert "answered before" in text_of(response)
        drain()
        assert get_result(run_id, 1) == YES
        assert client.post(address, NO).status_code == 410
        assert messages() == 1
        assert Ledger.objects.count() == 1

    def test_every_link_to_the_question_is_used_up(self, client: Client) -> None:
        run_id = asking()
        first, second = link(run_id, "lunch"), link(run_id, "lunch", valid_seconds=100)
        assert first != second
        assert client.post(second, YES).status_code == 200
        assert client.post(first, NO).status_code == 410

    def test_another_question_takes_another_answer(self, client: Client) -> None:
        run_id = asking()
        assert [client.post(link(run_id, about), YES).status_code for about in (1, 2, 1)] == [200, 200, 410]

    def test_a_link_answers_its_own_run_only(self, client: Client) -> None:
        one, two = asking(), asking()
        client.post(link(one), YES)
        assert client.get(link(two)).status_code == 200
        assert list(Message.objects.values_list("run_id", flat=True)) == [one]

    def test_a_message_that_somebody_else_sends_does_not_use_it_up(self, client: Client) -> None:
        run_id = asking()
        send(run_id, "from elsewhere", "other topic")
        assert client.post(link(run_id), YES).status_code == 200

    def test_a_form_with_errors_asks_again(self, client: Client) -> None:
        address = link(asking())
        for data in (
            {},
            {"decision": "maybe"},
            {"decision": "approve", "note": "x" * 1001},
            {"decision": "approve", "note": "\0"},
        ):
            response = client.post(address, data)
            assert response.status_code == 200
            assert "<form" in text_of(response)
        assert messages() == 0

    def test_a_view_says_what_is_sent_and_where_to_go(self, client: Client) -> None:
        run_id = asking("other")
        response = client.post(link(run_id, {"expense": 7}, "other"), YES)
        assert (response.status_code, response.headers["Location"]) == (302, "/thanks/")
        drain()
        assert get_result(run_id, 1) == [{"expense": 7}, "approve"]

    def test_an_answer_that_cannot_be_stored_is_an_error_and_nothing_is_sent(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(site.Decide, "answer_of", lambda self, form: object())
        address = link(asking())
        with pytest.raises(NotSerializable):
            client.post(address, YES)
        assert messages() == 0

    def test_an_answer_needs_the_csrf_token(self) -> None:
        stranger, address = site.stranger(), link(asking())
        assert stranger.post(address, YES).status_code == 403
        assert messages() == 0
        stranger.get(address)
        token = stranger.cookies["csrftoken"].value
        assert stranger.post(address, YES | {"csrfmiddlewaretoken": "x" * len(token)}).status_code == 403
        assert stranger.post(address, YES | {"csrfmiddlewaretoken": token}).status_code == 200

    def test_the_csrf_token_is_needed_without_the_middleware_too(self, settings: Settings) -> None:
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
        assert site.stranger().post(link(asking()), YES).status_code == 403
        assert messages() == 0


@db
class TestLinksThatOpenNothing:
    def test_a_changed_one(self, client: Client) -> None:
        address = link(asking())
        for changed in (
            address[:-2] + "~/",
            address.replace("/decide/", "/decide/x"),
            address.replace("/decide/", "/elsewhere/"),
        ):
            for method in ("get", "post"):
                assert getattr(client, method)(changed, YES).status_code == 404
        assert messages() == 0

    def test_an_expired_one(self, client: Client) -> None:
        address = link(asking(), valid_seconds=60)
        with travel(seconds=61):
            for method in ("get", "post"):
                response = getattr(client, method)(address, YES)
                assert response.status_code == 410
                assert "no longer valid" in text_of(response)
        assert messages() == 0

    def test_one_to_a_run_that_does_not_exist(self, client: Client) -> None:
        for method in ("get", "post"):
            assert getattr(client, method)(link("nobody"), YES).status_code == 404
        assert messages() == 0

    def test_one_to_a_run_that_has_finished(self, client: Client) -> None:
        run_id = asking(seconds=60)
        with travel(seconds=61):
            drain()
        assert get_result(run_id, 1) == "nobody answered"
        for method in ("get", "post"):
            response = getattr(client, method)(link(run_id), YES)
            assert response.status_code == 410
            assert "come to its end" in text_of(response)
        assert messages() == 0

    def test_one_to_a_cancelled_run_until_that_is_resumed(self, client: Client) -> None:
        run_id = asking()
        address = link(run_id)
        cancel_workflow(run_id)
        assert client.post(address, YES).status_code == 410
        resume_workflow(run_id)
        assert client.post(address, YES).status_code == 200
        drain()
        assert get_result(run_id, 1) == YES

    def test_one_to_a_run_that_was_deleted_meanwhile(self) -> None:
        assert answers.accept(connection, "nobody", "decision", payload="1", key="k") is answers.Standing.ENDED

    def test_one_to_a_deleted_run(self, client: Client) -> None:
        run_id = asking()
        cancel_workflow(run_id)
        WorkflowRun.objects.filter(pk=run_id).delete()
        assert client.post(link(run_id), YES).status_code == 404

    def test_a_view_without_a_topic_is_an_error(self, client: Client) -> None:
        with pytest.raises(ImproperlyConfigured, match="Unfinished needs a topic"):
            client.get(f"/unfinished/{make_token('run-1', 'decision')}/")


@committing
class TestTransactions:
    def test_the_answer_and_the_views_own_rows_are_one(self, client: Client) -> None:
        address = link(asking())
        with pytest.raises(RuntimeError):
            client.post(address, {"decision": "approve", "note": "fail"})
        assert messages() == 0
        assert not Ledger.objects.exists()
        assert client.post(address, YES).status_code == 200

    def test_a_caller_that_rolls_back_leaves_the_question_open(self, client: Client) -> None:
        address = link(asking())
        with transaction.atomic():
            assert client.post(address, YES).status_code == 200
            transaction.set_rollback(True)
        assert client.get(address).status_code == 200
        assert client.post(address, NO).status_code == 200

    def test_of_fifty_at_once_one_counts(self) -> None:
        run_id = asking()
        address = link(run_id)
        answers = at_once([partial(post, address, number) for number in range(50)], threads=25)
        assert Counter(status for status, _ in answers) == {200: 1, 410: 49}
        drain()
        [winner] = [number for status, number in answers if status == 200]
        assert get_result(run_id, 1)["note"] == str(winner)
        assert Ledger.objects.count() == 1

    @pytest.mark.usefixtures("atomic_requests")
    def test_of_fifty_at_once_one_counts_under_atomic_requests(self) -> None:
        address = link(asking())
        answers = at_once([partial(post, address, number) for number in range(50)], threads=25)
        assert Counter(status for status, _ in answers) == {200: 1, 410: 49}
        assert messages() == Ledger.objects.count() == 1

    def test_a_run_that_is_being_cancelled_takes_no_answer(self) -> None:
        run_id = asking()
        address, posting = link(run_id), threading.Event()

        def answer() -> int:
            posting.set()
            return post(address, 1)[0]

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                cancel_workflow(run_id)
                answered = pool.submit(answer)
                posting.wait(10)
                time.sleep(0.3)  # it may stand at the row's lock by now; if not, it comes later, which is as well
            assert answered.result(30) == 410
            pool.submit(connections.close_all).result()
        assert messages() == 0

    def test_a_worker_that_waits_is_woken(self, client: Client) -> None:
        with durable_worker(threads=2):
            handle = site.asks.start("decision", None)
            assert client.post(link(handle.workflow_id), YES).status_code == 200
            assert handle.get_result(timeout=30) == YES


def post(address: str, number: int) -> tuple[int, int]:
    response = Client().post(address, {"decision": "approve", "note": str(number)})
    assert not connection.in_atomic_block
    return response.status_code, number
