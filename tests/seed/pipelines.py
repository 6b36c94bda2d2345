"""Data pipelines. The seed lost the indentation of the last lines; it is mended."""

from __future__ import annotations

import logging
from typing import List  # noqa: UP035 - as the program imports it

from pydantic import HttpUrl

import durable_workflows as DBOS  # noqa: N812 - the name that the program knows
from durable_workflows import Queue, WorkflowHandle
from tests.seed.effects import leave

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)


@DBOS.step()
def count_pages(url: str) -> int:
    leave("count_pages", url)
    return len(url)


@DBOS.workflow()
def index_document(url: HttpUrl) -> int:
    return count_pages(url)


# As it is written there.
# fmt: off

queue = Queue("indexing_queue")

@DBOS.workflow()
def indexing_workflow(urls: List[HttpUrl]):  # noqa: UP006 - as it is written there
  handles: List[WorkflowHandle] = []  # noqa: UP006 - as it is written there
  for url in urls:
     handle = queue.enqueue(index_document, url)
     handles.append(handle)
  indexed_pages = 0
  for handle in handles:
     indexed_pages += handle.get_result()
  logger.info(f"Indexed {len(urls)} documents totaling {indexed_pages} pages")  # noqa: G004 - as it is written there
