"""The index: words counted right, searched, and built by the pipeline."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from example_project.library import texts
from example_project.library.models import Document, Posting
from example_project.library.search import search
from example_project.library.workflows import count_terms, index_document, store_counts


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
