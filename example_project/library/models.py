"""The index: which text holds which word how often."""

from __future__ import annotations

from django.db import models


class Document(models.Model):
    """One text of the bundled folder, as it was when it was last indexed."""

    path = models.CharField(max_length=120, unique=True, help_text="The file's name in the folder.")
    title = models.CharField(max_length=120)
    author = models.CharField(max_length=120)
    words = models.PositiveIntegerField()
    indexed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class Posting(models.Model):
    """How often a word is in a text."""

    document = models.ForeignKey(Document, models.CASCADE, related_name="postings")
    term = models.CharField(max_length=40, db_index=True)
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "term"], name="library_one_posting_per_term")]

    def __str__(self) -> str:
        return f"{self.term} ({self.count})"


class Build(models.Model):
    """A finished run of the pipeline and what it counted."""

    run_id = models.CharField(max_length=255)
    documents = models.PositiveIntegerField()
    words = models.PositiveIntegerField()
    finished_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.documents} texts, {self.words} words"
