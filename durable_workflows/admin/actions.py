"""
A verb of ``verbs`` in the admin: the chosen runs, a question, the deed, the report.

Chosen are those that were ticked, or all that match the list's filters and search. Of the latter no ids are kept: the
filters are in the address of the question as they were in the list's, and are asked again when it is answered, for runs
created before the question was. So it is done to what matches then, and to no run that nobody could have meant.

Any number of runs is taken. A request ends after some seconds, before a proxy loses its patience; a page then says how far
it got, and asks to go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from durable_workflows.admin import display
from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.carrying import Doing, Progress
from durable_workflows.admin.looking import Count, Look, Place
from durable_workflows.admin.runlist import kept
from durable_workflows.admin.verb import Verb
from durable_workflows.conf import uses_time_zones
from durable_workflows.models import dialects
from durable_workflows.models.reading import database_now

LISTED = 20
TO_THE_RUN = "run"  # where the run's own page wants to come back to


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """
    One request to do something to some runs.

    :param look: the chosen runs.
    :param asked: of all that match: the moment of the question, written as a place in the list; None: they were ticked.
    """

    admin: ModelAdmin
    request: HttpRequest
    verb: Verb
    look: Look
    asked: Place | None

    @classmethod
    def of(cls, admin: ModelAdmin, request: HttpRequest, verb: Verb, look: Look) -> Deed:
        """What the list, or the page that asks, has posted; ``look`` is of the list."""
        matching = look.matching.only("pk", "name", "status", "created_at")
        if request.POST.get("select_across") == "1":
            asked = _place(request, "asked") or Place(_present(), "")
            meant = replace(look, matching=matching.filter(created_at__lte=asked.created_at))
            return cls(admin=admin, request=request, verb=verb, look=meant, asked=asked)
        ticked = matching.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        few = replace(look, matching=ticked, along=ticked, few=True)
        return cls(admin=admin, request=request, verb=verb, look=few, asked=None)

    def respond(self) -> HttpResponse:
        """The question, or, once it is answered, the deed and the way back."""
        doable = replace(self.look, matching=self.verb.applying(self.look.matching))
        if "confirmed" in self.request.POST and (self.asked is None or _place(self.request, "asked")):
            progress = self._doing.carry_out(doable, self._so_far())
            return self._ask_to_go_on(progress) if progress.after else self._report(progress)
        count, left = doable.count(), self._left()
        if count.number or count.more:
            return self._ask(doable, count, left)
        return self._report(Progress(left=left.number, left_more=left.more))

    @property
    def _doing(self) -> Doing:
        with_option = bool(self.verb.option) and "option" in self.request.POST
        return Doing(verb=self.verb, user_id=self.request.user.pk, with_option=with_option)

    def _so_far(self) -> Progress:
        if after := _place(self.request, "after"):
            done, left, more, refused = (_number(self.request, name) for name in ("done", "left", "left_more", "refused"))
            return Progress(done=done, left=left, left_more=bool(more), refused=refused, after=after)
        there = self._left()
        return Progress(left=there.number, left_more=there.more)

    def _left(self) -> Count:
        return replace(self.look, matching=self.verb.not_applying(self.look.matching)).count()

    # The question, and the report.

    def _ask(self, doable: Look, count: Count, left: Count) -> HttpResponse:
        runs = doable.page(LISTED).runs
        beyond = count.number - len(runs)
        return self._page(
            title=self._counted(self.verb.question, count.number, count.more),
            listed=[{"run": run, "pill": display.pill(run.status)} for run in runs],
            unlisted=display.number(beyond, count.more) if beyond or count.more else "",
            left_alone_note=self._counted(self.verb.left_alone, left.number, left.more) if left.number else "",
            until=display.timestamp(count.until),
            hidden=self._hidden(),
        )

    def _ask_to_go_on(self, progress: Progress) -> HttpResponse:
        got = {
            "done": progress.done, "left": progress.left, "left_more": int(progress.left_more), "refused": progress.refused,
            "after": progress.after,
        }  # fmt: skip
        option = {"option": "yes"} if self._doing.with_option else {}
        title = self._counted(self.verb.done, progress.done)
        return self._page(title=title, going_on=True, hidden={**self._hidden(), **got, **option})

    def _hidden(self) -> dict[str, Any]:
        of_all = {"select_across": "1", "asked": self.asked} if self.asked else {}
        return {"action": self.verb.action, "index": "0", "back": self._back(), "confirmed": "yes", **of_all}

    def _page(self, **context: Any) -> HttpResponse:
        filters = f"?{urlencode(kept(self.request))}" if self.asked else ""
        shared = {
            **self.admin.admin_site.each_context(self.request), "opts": self.admin.opts, "media": self.admin.media,
            "verb": self.verb, "of_all": bool(self.asked), "checkbox": ACTION_CHECKBOX_NAME,
            # Of all, one id that is none: Django does nothing where nothing is ticked.
            "ids": ["all"] if self.asked else self.request.POST.getlist(ACTION_CHECKBOX_NAME),
            "address": self._list() + filters, "way_back": self._way_back(),
        }  # fmt: skip
        self.request.current_app = self.admin.admin_site.name
        return TemplateResponse(self.request, "admin/durable_workflows/workflowrun/confirm.html", {**shared, **context})

    def _report(self, progress: Progress) -> HttpResponse:
        if progress.done:
            self._say(self._counted(self.verb.done, progress.done), messages.SUCCESS)
        if progress.refused:
            self._say(_refused(progress), messages.ERROR)
        if progress.error:
            self._say(progress.error, messages.ERROR)
        elif progress.left:
            self._say(self._counted(self.verb.left_alone, progress.left, progress.left_more), messages.WARNING)
        elif not (progress.done or progress.refused):
            self._say(gettext("The selected runs are gone."), messages.WARNING)
        return HttpResponseRedirect(self._way_back(gone=bool(progress.done) and self.verb.removes))

    def _say(self, text: str, level: int) -> None:
        self.admin.message_user(self.request, text, level)

    def _counted(self, words: Any, number: int, more: bool = False) -> str:
        return str(words % {"count": 2 if more else number, "number": display.number(number, more)})

    # Where to go.

    def _back(self) -> str:
        return self.request.POST.get("back") or f"?{self.request.GET.urlencode()}"

    def _way_back(self, gone: bool = False) -> str:
        """To the run's page, or to the list as it was filtered; never to an address that the form could choose."""
        ids = self.request.POST.getlist(ACTION_CHECKBOX_NAME)
        if self._back() == TO_THE_RUN and len(ids) == 1 and not gone:
            site = self.admin.admin_site.name
            return reverse("admin:durable_workflows_workflowrun_change", args=[quote(ids[0])], current_app=site)
        return self._list() + (self._back() if self._back().startswith("?") else "").rstrip("?")

    def _list(self) -> str:
        return reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin.admin_site.name)


def _refused(progress: Progress) -> str:
    words = ngettext("It could not be done to %(count)d run.", "It could not be done to %(count)d runs.", progress.refused)
    return f"{words % {'count': progress.refused}} {progress.reason}".strip()


def _present() -> Any:
    """By the clock that runs are created by."""
    now = database_now(dialects.connection())
    return now if uses_time_zones() else timezone.make_naive(now)


def _place(request: HttpRequest, name: str) -> Place | None:
    try:
        return Place.read(request.POST.get(name, ""))
    except ValueError:
        return None


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")[:18]
    return int(text) if text.isdecimal() else 0
