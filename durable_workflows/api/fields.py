"""The parts of a request: declared once, by which they are described, and taken or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, QueryDict

from durable_workflows.api.kinds import Kind, Schema, not_too_deep
from durable_workflows.api.problems import BAD_REQUEST, MEDIA_TYPE, Problem
from durable_workflows.bodies import Refusal, announced, read_body, read_json
from durable_workflows.conf import config
from durable_workflows.exceptions import InvalidUse, NotSerializable

LEFT_OUT: Final = object()  # the default of what may be null, which says something else
ENVELOPE = 64 * 1024  # what a body may have beside the largest payload
MANY: Final = 100  # values of one filter: what every database can still put into one query


@dataclass(frozen=True, slots=True)
class Field:
    """
    A member of a body, or a parameter of a query.

    :param about: what it is, for the document.
    :param default: what stands for one that is left out; the engine's own default where it is None.
    :param several: whether a query may name it several times, to say that any of the values will do.
    """

    name: str
    kind: Kind
    about: str
    required: bool = False
    default: Any = None
    several: bool = False

    def checked(self, value: Any) -> Any:
        """
        A value out of JSON.

        :raises Problem: if it cannot be what it is.
        """
        return self._taken(lambda: self.kind.check(value, self.name))

    def read(self, texts: Sequence[str]) -> Any:
        """The same out of a query."""
        if len(texts) > (MANY if self.several else 1):
            most = f"at most {MANY} times" if self.several else "once"
            raise Problem(BAD_REQUEST, f"{self.name} stands in a query {most}.", parameter=self.name)
        return self._taken(lambda: self._values(texts) if self.several else self._values(texts)[0])

    def _values(self, texts: Sequence[str]) -> list[Any]:
        return [self.kind.check(self.kind.read(text, self.name), self.name) for text in texts]

    def _taken(self, check: Any) -> Any:
        try:
            return check()
        except (InvalidUse, NotSerializable) as error:
            raise Problem(BAD_REQUEST, str(error), parameter=self.name) from None
        except Refusal:
            detail = f"{self.name} is not JSON in which no object names a key twice."
            raise Problem(BAD_REQUEST, detail, parameter=self.name) from None

    def schema(self) -> Schema:
        """As JSON Schema has it."""
        one = self.kind.schema
        shown = {"type": "array", "items": one, "maxItems": MANY} if self.several else dict(one)
        return shown if self.default in (None, LEFT_OUT) else {**shown, "default": self.default}


def from_query(fields: Sequence[Field], query: QueryDict) -> dict[str, Any]:
    """
    The values of a query; those that are left out have their defaults.

    :raises Problem: for one that cannot be what it is, and for a name that means nothing here.
    """
    _refuse_unknown(fields, query)
    return {field.name: field.read(query.getlist(field.name)) if field.name in query else field.default for field in fields}


def from_body(fields: Sequence[Field], request: HttpRequest) -> dict[str, Any]:
    """
    The values of a body, a JSON object; likewise. No body at all is an empty object.

    :raises Refusal: if the body is too long, or no JSON.
    """
    body = _body(request)
    given = not_too_deep(read_json(body), "The body") if body else {}
    if not isinstance(given, dict):
        raise Problem(BAD_REQUEST, "The body is a JSON object.")
    _refuse_unknown(fields, given)
    left_out = [field.name for field in fields if field.required and field.name not in given]
    if left_out:
        raise Problem(BAD_REQUEST, f"The body lacks {', '.join(left_out)}.", parameter=left_out[0])
    return {field.name: field.checked(given[field.name]) if field.name in given else field.default for field in fields}


def _body(request: HttpRequest) -> bytes:
    if not _sends_something(request) and not _says_json(request):
        return b""
    body = read_body(request, config().payload_max_bytes + ENVELOPE)
    if not body and TRANSFER in request.META:  # under WSGI, Django reads as much as the header says
        raise Problem(BAD_REQUEST, "Send the body in one piece, with the header `Content-Length`.")
    return body


def refuse_other_media(request: HttpRequest) -> None:
    """
    Refuse a body that does not say that it is JSON, before anything looks into it.

    :raises Problem: if it does not.
    """
    if (_sends_something(request) or request.content_type == "multipart/form-data") and not _says_json(request):
        raise Problem(MEDIA_TYPE, "Send JSON, with the header `Content-Type: application/json`.")


TRANSFER = "HTTP_TRANSFER_ENCODING"


def _sends_something(request: HttpRequest) -> bool:
    return announced(request) > 0 or TRANSFER in request.META


def _says_json(request: HttpRequest) -> bool:
    return (request.content_type or "").lower() == "application/json"


def _refuse_unknown(fields: Sequence[Field], given: Mapping[str, Any] | QueryDict) -> None:
    known = {field.name for field in fields}
    if unknown := sorted(name for name in given if name not in known):
        there = f"There are {', '.join(sorted(known))}." if known else "There are none."
        raise Problem(BAD_REQUEST, f"There is no parameter {unknown[0]!r:.80} here. {there}", parameter=unknown[0][:255])
