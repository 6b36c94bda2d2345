"""Finding texts by their words, the rare ones counting more (tf-idf)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import log

from example_project.library import texts
from example_project.library.models import Document, Posting


@dataclass(frozen=True, slots=True)
class Hit:
    """A text that was found, how often it holds the words, and a piece of it."""

    document: Document
    times: int
    excerpt: list[tuple[str, bool]]


def search(query: str, limit: int = 10) -> list[Hit]:
    """
    The texts that hold any of the words, the best first.

    :param query: words; case and punctuation do not count.
    """
    wanted = list(texts.terms(query))[:20]
    postings = Posting.objects.filter(term__in=wanted).select_related("document")
    found: dict[int, list[Posting]] = defaultdict(list)
    for posting in postings:
        found[posting.document_id].append(posting)
    weights = rarity(postings)
    ranked = sorted(found.values(), key=lambda held: -sum(score(posting, weights) for posting in held))
    return [hit(held, set(wanted)) for held in ranked[:limit]]


def rarity(postings: Iterable[Posting]) -> dict[str, float]:
    """How much each word says: the fewer texts hold it, the more."""
    total = Document.objects.count()
    holders: dict[str, int] = defaultdict(int)
    for posting in postings:
        holders[posting.term] += 1
    return {term: log(1 + total / count) for term, count in holders.items()}


def score(posting: Posting, weights: dict[str, float]) -> float:
    """What one word adds to its text's rank."""
    return posting.count / posting.document.words * weights[posting.term]


def hit(held: list[Posting], wanted: set[str]) -> Hit:
    """One text, ready to be shown."""
    document = held[0].document
    body = texts.load(document.path).body
    return Hit(document, sum(posting.count for posting in held), texts.excerpt(body, wanted))
