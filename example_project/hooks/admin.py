"""Events in the admin."""

# mypy: disable-error-code="type-arg"
# Django's admin classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django.contrib import admin

from example_project.hooks.models import Delivery, HandledEvent, Parcel


@admin.register(HandledEvent)
class HandledEventAdmin(admin.ModelAdmin):
    list_display = ["event_id", "kind", "parcel", "handled_at"]
    search_fields = ["event_id", "parcel"]


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):
    list_display = ["event_id", "received_at"]


@admin.register(Parcel)
class ParcelAdmin(admin.ModelAdmin):
    list_display = ["number", "status", "sent_at", "settled_at"]
