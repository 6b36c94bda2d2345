"""The index: words counted right, searched, and built by the pipeline."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from durable_workflows import SetWorkflowID
from durable_workflows.models import QueueState, WorkflowRun, rules
from durable_workflows.testing import drain, travel
from example_project.library import texts
from example_project.library.models import Document, Posting
from example_project.library.search import search
from example_project.library.workflows import (
    BULK,
    count_terms,
    index_document,
    index_one,
    indexing_workflow,
    queue,
    store_counts,
)


@pytest.mark.parametrize("path", texts.paths())
def test_a_bundled_text_is_real_prose(path: str) -> None:
    text = texts.load(path)
    assert text.title
    assert re.search(r"\b1[78]\d\d\b", text.author), "each was published before 1900, so it is in the public domain"
    counts = texts.terms(text.body)
    assert sum(counts.values()) >= 300
    assert counts["the"] > 5


def test_words_are_counted_without_case_accents_or_punctuation() -> None:
    counts = texts.terms("Don’t panic—don't! Café, CAFÉ; cafe. 42")
    assert counts == {"don't": 2, "panic": 1, "cafe": 3}


def test_an_excerpt_shows_the_first_hit_and_marks_it() -> None:
    body = " ".join(["filler"] * 200 + ["the", "Whale", "swims"] + ["filler"] * 200)
    pieces = texts.excerpt(body, {"whale"})
    assert ("Whale", True) in pieces
    assert 100 < sum(len(piece) for piece, _ in pieces) < 400
    assert texts.excerpt("", {"whale"}) == []


@pytest.mark.django_db
def test_storing_again_replaces(client: Client) -> None:
    for _ in range(2):
        store_counts("moby-dick.txt", count_terms("moby-dick.txt"))
    document = Document.objects.get()
    assert document.words == sum(texts.terms(texts.load("moby-dick.txt").body).values())
    assert document.postings.get(term="sea").count == 1  # "seaward" is another word
    assert document.postings.get(term="see").count == len(re.findall(r"\bsee\b", texts.load("moby-dick.txt").body))
    assert Posting.objects.filter(document=document).count() == len(count_terms("moby-dick.txt"))


@pytest.mark.django_db
def test_a_search_finds_the_right_text_first(client: Client) -> None:
    for path in ("moby-dick.txt", "alice.txt", "wealth-of-nations.txt"):
        store_counts(path, count_terms(path))
    assert search("the White RABBIT!")[0].document.path == "alice.txt"
    assert search("zymurgy") == search("") == search("?!") == []
    page = client.get("/library/", {"q": "rabbit"}).content.decode()
    assert "<mark>Rabbit</mark>" in page or "<mark>rabbit</mark>" in page


@pytest.mark.django_db
def test_the_button_starts_the_pipeline(client: Client, run_ids: Callable[[], list[str]]) -> None:
    assert client.get("/library/build/").status_code == 405
    assert client.post("/library/build/").status_code == 302
    assert len(run_ids()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_text_is_indexed_by_its_workflow() -> None:
    words = index_document("alice.txt")
    assert words == Document.objects.get(path="alice.txt").words == sum(count_terms("alice.txt").values())


@pytest.mark.django_db(transaction=True)
def test_two_builds_at_once_index_each_text_once() -> None:
    paths = texts.paths()[:3]
    for run_id in ("one", "other"):
        with SetWorkflowID(run_id):
            indexing_workflow.start(paths)
    drain(queues=["default"])
    assert WorkflowRun.objects.for_queue(queue.name).count() == 3
    drain()
    sums = [WorkflowRun.objects.get(pk=run_id).status for run_id in ("one", "other")]
    assert sums == ["SUCCESS", "SUCCESS"]
    assert sorted(document.path for document in Document.objects.all()) == paths


@pytest.mark.django_db(transaction=True)
def test_the_folder_is_indexed_no_faster_than_the_queue_allows() -> None:
    drain()  # writes the queue's row
    rules.change(connection, [queue.name], overrides={"limiter": {"limit": 5, "period": 3600}})
    with SetWorkflowID("build"):
        indexing_workflow.start(texts.paths())
    drain()
    assert Document.objects.count() == 5
    travel(seconds=3601)
    drain()
    assert Document.objects.count() == 10


@pytest.mark.django_db
def test_a_text_that_somebody_asks_for_goes_first_and_only_once(client: Client) -> None:
    for path in ("alice.txt", "walden.txt"):
        assert client.get(f"/library/texts/{path}/index/").status_code == 405
        assert "ahead of the others" in client.post(f"/library/texts/{path}/index/", follow=True).content.decode()
    again = client.post("/library/texts/alice.txt/index/", follow=True).content.decode()
    first = WorkflowRun.objects.get(deduplication_id="alice.txt")
    assert f"in the line already, as run {first.pk}" in again
    assert first.priority < BULK
    assert client.post("/library/texts/nothing.txt/index/").status_code == 404
    drain()
    assert index_one("alice.txt").workflow_id != first.pk


@pytest.mark.django_db
def test_the_page_shows_the_line_and_its_limits(client: Client) -> None:
    index_one("alice.txt")
    assert re.search(
        r"in the line</dt><dd>1<.*at once at most</dt><dd>4<.*any 1 s at most</dt><dd>5<", shown(client), re.DOTALL
    )
    now = WorkflowRun.objects.get().created_at
    overrides = {"concurrency": 2, "limiter": None}
    QueueState.objects.create(name=queue.name, overrides=overrides, paused=True, created_at=now, updated_at=now)
    page = shown(client)
    assert re.search(r"which is paused</dt><dd>1<.*at once at most</dt><dd>2<.*at a time</dt><dd>∞<", page, re.DOTALL)


def shown(client: Client) -> str:
    return client.get("/library/state/").content.decode()
