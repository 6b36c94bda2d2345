"""The timeline of a run: where the time went, what failed, what it waits for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from durable_workflows.admin import display
from durable_workflows.admin.timeline.drawing import Link, Timeline, draw
from durable_workflows.admin.timeline.lanes import Drawer, Lane, whole_run
from durable_workflows.admin.timeline.reading import NESTED, read
from durable_workflows.models import WorkflowRun
from durable_workflows.states import TERMINAL

MOST_OPEN = 5  # runs whose lanes are shown among those of the page's
DEEPEST = 3  # levels of them

__all__ = ["MOST_OPEN", "Timeline", "timeline"]

PARTS = {"wait": "#waits", "retry": "#attempts", "child": "#children"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """
    What a timeline's links need to know of its page.

    :param page_of: the address of a run's page.
    :param after: the parameter that says which page of steps it has; :param steps: the keys of the steps on it.
    """

    page_of: Callable[[str], str]
    after: str = ""
    steps: Collection[int] = ()

    def page(self, opened: Sequence[str], after: str) -> str:
        """The same page with other lanes, or another part of the table."""
        parameters = [("open", pk) for pk in opened] + ([("step_after", after)] if after else [])
        return f"?{urlencode(parameters)}"


def timeline(run: WorkflowRun, opened: Sequence[WorkflowRun], where: Where) -> Timeline:
    """
    The timeline of a run.

    :param opened: which of the runs that it started, or those in turn, are to be shown with their lanes.
    """
    inside = _inside(run, opened)
    drawer = Drawer(read(run), display.present(), {child.pk: read(child, NESTED) for child in inside})
    links = _Links([child.pk for child in inside], where)
    lanes = [whole_run(run, drawer.now), *drawer.lanes()]
    return draw(lanes, links, unfinished=run.status not in TERMINAL)


def _inside(run: WorkflowRun, opened: Sequence[WorkflowRun]) -> list[WorkflowRun]:
    """Those that descend from the run by others that are opened, too."""
    found: list[WorkflowRun] = []
    level = {run.pk}
    for _level in range(DEEPEST):
        born = [child for child in opened if child.parent_id in level and child not in found and child.pk != run.pk]
        found += born
        level = {child.pk for child in born}
    return found[:MOST_OPEN]


@dataclass(frozen=True, slots=True)
class _Links:
    opened: Sequence[str]
    where: Where

    def __call__(self, lane: Lane) -> Link:
        run, toggle = "", ""
        if lane.child is not None:
            run = self.where.page_of(lane.child.pk)
            others = [pk for pk in self.opened if pk != lane.child.pk]
            if lane.is_open or (lane.may_open and lane.depth < DEEPEST and len(others) < MOST_OPEN):
                toggle = self.where.page(others if lane.is_open else [*others, lane.child.pk], self.where.after) + "#timeline"
        return Link(self._row(lane), run, toggle, self._steps_from if lane.kind == "between" and not lane.depth else None)

    def _row(self, lane: Lane) -> str:
        """Only of the page's own run there is a table."""
        if lane.depth or lane.kind == "run":
            return ""
        if lane.pk in self.where.steps:
            return f"#step-{lane.pk}"
        if lane.place is None or lane.kind in PARTS:
            return PARTS.get(lane.kind, "")
        branch, position = lane.place
        return self.where.page(self.opened, f"{branch}:{max(0, position - 1)}") + (f"#step-{lane.pk}" if lane.pk else "#steps")

    def _steps_from(self, position: int) -> str:
        return self.where.page(self.opened, f":{position - 1}") + "#steps"
