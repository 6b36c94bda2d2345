"""Cron jobs."""

from __future__ import annotations

from datetime import datetime

import durable_workflows as DBOS  # noqa: N812 - the name that the program knows
from tests.seed.effects import leave

FOUND = [("first", "https://example.org/1"), ("second", "https://example.org/2"), ("third", "https://example.org/3")]


@DBOS.step()
def search_hackernews(query: str) -> list[tuple[str, str]]:
    leave("search_hackernews", query)
    return FOUND


@DBOS.step()
def post_to_slack(comment: str, url: str) -> None:
    leave("post_to_slack", comment)


# As it is written there.
# fmt: off

@DBOS.scheduled("0 * * * *") # Run once an hour
@DBOS.workflow()
def run_hourly(scheduled_time: datetime, actual_time: datetime):
   results = search_hackernews("serverless")
   for comment, url in results:
      post_to_slack(comment, url)
