"""What all pages share: rows are never counted beyond a cap, and most are looked at, never edited."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest

if TYPE_CHECKING:
    # Both are generic for type checkers only.
    ModelAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Any]
else:
    ModelAdmin = admin.ModelAdmin
    AnyPaginator = Paginator


LIVE = Script("durable_workflows/live.js", defer=True)  # keeps a page up to date


class CappedPaginator(AnyPaginator):
    """Counts no more rows than one would ever page through: ``COUNT(*)`` over a big table is a scan of it."""

    cap = 10_000

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most ``cap``."""
        rows = cast("QuerySet[Any]", self.object_list)  # the admin hands in nothing else
        return rows.order_by().values("pk")[: self.cap].count()


class BaseAdmin(ModelAdmin):
    """What all pages have."""

    paginator = CappedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css = {"all": ["durable_workflows/admin.css"]}

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """
        Only what a filter of the list asks for.

        Django would let every column be asked, also those that the visitor is not shown: what somebody may compare, they
        can read.
        """
        return lookup in {name for spec in self.list_filter for name in _parameters(spec)}

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # PostgreSQL's driver refuses to send the character, so no row can have it.
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; whoever posts an action that is not theirs is refused, where Django would only do nothing."""
        chosen = {action for action in request.POST.getlist("action") if action}
        if chosen and not chosen <= self.get_actions(request).keys():
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *place: Any, **named: Any) -> Any:
        if any("\0" in chosen for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("A chosen row's key has a character in it that no key can have.")
        return super().response_action(request, queryset, *place, **named)  # since Django 6.1 an action has a place


def _parameters(spec: Any) -> Sequence[str]:
    """What a filter takes of an address: one of ours says it, one that is the name of a column is of a boolean."""
    if isinstance(spec, str):
        return [f"{spec}__exact", f"{spec}__isnull"]
    several: Sequence[str] | None = getattr(spec, "parameter_names", None)
    return [spec.parameter_name] if several is None else several


class ReadOnlyAdmin(BaseAdmin):
    """Rows to look at, for those with the permission to view them. What changes a run is an action of its own."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
