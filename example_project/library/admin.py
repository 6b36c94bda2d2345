"""The index in the admin."""

# mypy: disable-error-code="type-arg"
# Django's admin classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django.contrib import admin

from example_project.library.models import Build, Document


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    list_display = ["title", "author", "words", "indexed_at"]
    search_fields = ["title", "author"]


@admin.register(Build)
class BuildAdmin(admin.ModelAdmin):
    list_display = ["finished_at", "documents", "words"]
