"""What an endpoint is: one declaration, by which requests are routed, checked, carried out and described."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from durable_workflows.api.auth import may
from durable_workflows.api.fields import Field
from durable_workflows.api.kinds import FLAG, ID, Kind
from durable_workflows.api.problems import Type
from durable_workflows.api.shapes import Shape
from durable_workflows.api.sight import PERMISSION, Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One request, of which all is checked.

    :param values: those of the query or of the body, by name.
    :param subject: the id or the name in the address; "" if there is none.
    """

    request: HttpRequest
    user: Any
    values: Mapping[str, Any]
    subject: str = ""

    def sight(self, limit: int | None = None) -> Sight:
        """What the user gets to see of payloads."""
        return Sight(payloads=may(self.user, PERMISSION), raw=bool(self.values.get("raw")), limit=limit)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What came of a request.

    :param data: what is sent as JSON; None: nothing.
    :param run: the id of a run that came to be, for the header ``Location``.
    """

    data: Any = None
    status: int = 200
    run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    :param path: below where the API is included; at most one ``{parameter}``, which is any text, slashes too.
    :param name: its ``operationId``, and the name of its address.
    :param about: what it does, for the document; the first line is the summary.
    :param permission: of this app, without which it is refused; "" if any member of the staff may.
    :param also: the permissions that it needs besides.
    :param key: the member of the body by which a repetition is known, so that it does nothing; "" if there is none.
    :param shape: what it answers with; None: nothing, or something of no shape.
    :param statuses: those of success.
    :param problems: what can go wrong here beside what can everywhere.
    """

    method: str
    path: str
    name: str
    about: str
    permission: str
    also: Sequence[str] = ()
    act: Callable[[Call], Answer]
    shape: Shape | None
    query: Sequence[Field] = ()
    body: Sequence[Field] = ()
    subject: Kind = ID
    statuses: Sequence[int] = (200,)
    problems: Sequence[Type] = ()
    key: str = ""

    @property
    def permissions(self) -> Sequence[str]:
        """All that it needs."""
        return (self.permission, *self.also) if self.permission else ()

    def is_safe_to_repeat(self, values: Mapping[str, Any]) -> bool:
        """Whether a request with these values, sent twice, does no more than sent once."""
        return self.reads or (bool(self.key) and values.get(self.key) is not None)

    @property
    def parameter(self) -> str:
        """The name of what is in the path; "" if there is nothing."""
        found = re.search(r"\{(\w+)\}", self.path)
        return found[1] if found else ""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


RAW = Field("raw", FLAG, "Payloads as they are stored, with the tags of typed values.", default=False)
