"""
What the search box of the list understands: the beginning of an id, attributes, a user.

``order-10``, ``tenant=acme``, ``user:alice``, or several of the latter: ``tenant=acme plan=gold user:alice``. What has an
equals sign or a colon in it and is an id all the same is written ``id:order=10``.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from durable_workflows.admin.looking import LAST, Runs
from durable_workflows.models.containment import Contains
from durable_workflows.redaction import is_secret

SPACE_BEFORE_A_TERM = re.compile(r"\s+(?=[\w.-]+=|user:|id:)")
ATTRIBUTE = re.compile(r"([\w.-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Search:
    """What was typed, term by term."""

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    possible: bool = True

    @classmethod
    def read(cls, text: str) -> Search:
        """Anything is a search; no run matches what has a NUL in it, which no database would store."""
        ids, users, having = [], [], []
        for term in SPACE_BEFORE_A_TERM.split(text.strip()):
            if term.startswith("user:"):
                users.append(term.removeprefix("user:").strip())
            elif not term.startswith("id:") and (found := ATTRIBUTE.fullmatch(term)):
                having.append((found[1], found[2]))
            elif term:
                ids.append(term.removeprefix("id:"))
        return cls(tuple(ids), tuple(users), tuple(having), possible="\0" not in text)

    def filter(self, runs: Runs) -> Runs:
        """Those of ``runs`` that match each term."""
        if not self.possible:
            return runs.none()
        for user in self.users:
            runs = runs.filter(user=user)
        for key, text in self.attributes:
            runs = _having(runs, key, text)
        return self._by_id(runs)

    def refusal(self, payloads: bool) -> str:
        """
        Why nothing is looked for; "" if it may be. What somebody may compare, they can read.

        :param payloads: whether the visitor may see payloads, which attributes are.
        """
        if self.attributes and not payloads:
            return _("To search by attributes, one needs the permission to see payloads.")
        secret = next((key for key, _text in self.attributes if is_secret(key)), None)
        return (
            "" if secret is None else _("The attribute “%(key)s” is redacted, and nobody can search by it.") % {"key": secret}
        )

    def few(self, runs: Runs) -> Runs | None:
        """Those of ``runs`` that an index finds, if it finds any."""
        return self._by_id(runs).order_by("pk") if self.ids and self.possible else None

    def _by_id(self, runs: Runs) -> Runs:
        """By a range of the primary key: an index serves it, case matters, and ``%`` and ``_`` are themselves."""
        for beginning in self.ids:
            runs = runs.filter(pk__gte=beginning, pk__lt=beginning + LAST)
        return runs


def _having(runs: Runs, key: str, text: str) -> Runs:
    """What looks like a number or a boolean may have been stored as one, or as text."""
    typed = _typed(text)
    as_text = Q(Contains("attributes", {key: text}))
    return runs.filter(as_text if typed is None else as_text | Q(Contains("attributes", {key: typed})))


def _typed(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, bool | int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None
