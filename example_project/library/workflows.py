"""
The indexing pipeline: one run fans out over a queue, one child per text, and collects every result.

A worker that dies loses nothing but the texts it was counting, and only those are counted again. The queue takes care that
the folder is not read by too many at once, however many workers there are, and that no text is indexed twice at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from durable_workflows import Queue, SetEnqueueOptions, WorkflowHandle, current, step, workflow
from example_project.library import texts
from example_project.library.models import Build, Document, Posting

queue = Queue("indexing_queue", concurrency=4, limiter={"limit": 5, "period": 1})
BULK = 10  # the priority of a whole folder; a text that somebody asks for has none, and goes first


@workflow
def indexing_workflow(paths: list[str]) -> int:
    """
    Index the texts, all at once, and note the sum.

    :param paths: names of bundled files.
    :return: how many words there are in all of them.
    """
    handles: list[WorkflowHandle[int]] = []
    for path in paths:
        # A text that another build is about to index is not indexed twice: both await the one run.
        with SetEnqueueOptions(priority=BULK, deduplication_id=path, duplication_policy="return-existing"):
            handles.append(queue.enqueue(index_document, path))
    indexed_words = 0
    for handle in handles:
        indexed_words += handle.get_result()
    record_build(len(paths), indexed_words)
    return indexed_words


def index_one(path: str) -> WorkflowHandle[int]:
    """
    Index one text, ahead of those that are indexed with their folder.

    :raises Deduplicated: if it is about to be indexed anyway.
    """
    with SetEnqueueOptions(deduplication_id=path):
        return queue.enqueue(index_document, path)


@workflow
def index_document(path: str) -> int:
    """Count one text's words and store them; returns how many there are."""
    return store_counts(path, count_terms(path))


@step
def count_terms(path: str) -> dict[str, int]:
    """Read the file and count. No table is touched, so no transaction is open."""
    return dict(texts.terms(texts.load(path).body))


@step
def store_counts(path: str, counts: Mapping[str, int]) -> int:
    """Replace the text's part of the index in one transaction: a reader sees the old one or the new one."""
    text = texts.load(path)
    words = sum(counts.values())
    document, _ = Document.objects.update_or_create(
        path=path, defaults={"title": text.title, "author": text.author, "words": words}
    )
    document.postings.all().delete()
    Posting.objects.bulk_create(Posting(document=document, term=term, count=n) for term, n in counts.items())
    return words


@step
def record_build(documents: int, words: int) -> None:
    """Note that everything is indexed."""
    run = current()
    Build.objects.create(run_id=run.workflow_id if run else "", documents=documents, words=words)
