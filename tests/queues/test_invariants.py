"""The checks find what they are to find."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.queues.invariants import exceeded, interleaved
from tests.queues.ledger import Line

pytestmark = pytest.mark.once


class Story:
    """Lines as they might be written."""

    def __init__(self, **limits: Any) -> None:
        self.lines: list[Line] = []
        self.now = 0.0
        self.rule(**limits)

    def rule(self, paused: int = 0, **limits: Any) -> None:
        self._add(what="queue", name="q", queue="q", paused=paused, declared=json.dumps(limits))

    def claim(self, run: str, worker: str = "w", part: str = "", turn: int = 1) -> None:
        self._add(
            what="run", name=run, queue="q", part=part, old_status="ENQUEUED", status="RUNNING", worker=worker,
            old_turn=turn, turn=0,
        )  # fmt: skip

    def become(self, run: str, status: str, turn: int = 0) -> None:
        self._add(what="run", name=run, queue="q", old_status="RUNNING", status=status, turn=turn)

    def _add(self, **values: Any) -> None:
        self.now += 0.01
        self.lines.append(Line(number=len(self.lines), at=self.now, **values))

    def found(self) -> list[str]:
        return exceeded(self.lines, threads=4, read_within=1.0)


def test_concurrency() -> None:
    story = Story(concurrency=2)
    story.claim("a")
    story.claim("b")
    story.become("a", "WAITING")
    story.claim("c")
    story.claim("ahead", turn=-1)
    assert story.found() == []
    story.claim("d")
    assert len(story.found()) == 1


def test_a_lowered_limit_holds_from_its_line_on() -> None:
    story = Story(concurrency=3)
    story.claim("a")
    story.rule(concurrency=1)
    assert story.found() == []
    story.claim("b")
    assert len(story.found()) == 1


def test_kept_places() -> None:
    story = Story(concurrency=1, waiting="hold")
    story.claim("a")
    story.become("a", "WAITING")
    story.become("a", "ENQUEUED")
    story.claim("a", turn=0)
    story.become("a", "ENQUEUED")
    assert story.found() == []
    assert [*interleaved(story.lines, "q")] == []
    story.claim("b")
    assert len(story.found()) == 1
    assert len([*interleaved(story.lines, "q")]) == 1


@pytest.mark.parametrize("limit", ["worker_concurrency", "partition_worker_concurrency", "partition_concurrency"])
def test_places_of_a_worker_and_of_a_partition(limit: str) -> None:
    story = Story(**{limit: 1}, partition_queue=True)
    story.claim("a", part="1")
    story.claim("b", worker="v", part="2")
    assert story.found() == []
    story.claim("c", part="1")
    assert len(story.found()) == 1


def test_threads() -> None:
    story = Story(concurrency=100)
    for run in "abcd":
        story.claim(run)
    assert story.found() == []
    story.claim("e")
    assert len(story.found()) == 1


@pytest.mark.parametrize("limit", ["limiter", "partition_limiter"])
def test_rates(limit: str) -> None:
    story = Story(**{limit: {"limit": 2, "period": 1.0}}, partition_queue=True)
    for run, turn in (("a", 1), ("b", 1), ("woken", 0), ("ahead", -1)):
        story.claim(run, turn=turn)
    story.become("woken", "SUCCESS")
    assert story.found() == []
    story.now = 1.0
    story.claim("c")
    assert len(story.found()) == 1


@pytest.mark.parametrize(("limits", "at_once"), [({"concurrency": 5}, True), ({}, False)], ids=["shared", "own"])
def test_pauses(limits: dict[str, Any], at_once: bool) -> None:
    story = Story(**limits)
    story.claim("a")
    story.rule(paused=1, **limits)
    story.claim("ahead", turn=-1)
    assert story.found() == []
    story.claim("b")
    assert bool(story.found()) is at_once
    story.now = 2.0
    story.claim("c")
    assert "c" in story.found()[-1]
