"""
Webhooks: a signed event of another program becomes one run, however often it is delivered.

::

    @webhook(handle_event, sender="carrier", secret="CARRIER_WEBHOOK_SECRET", signature=TimedSignature("Carrier-Signature"))
    def receive(request, event):
        Delivery.objects.create(event_id=event.id)

The event's id, after the sender's name, is the run's id, so a repetition finds the run that is there. The start and what the
function writes are one transaction: the answer 202 says that it was committed, and whoever got no answer may repeat safely.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils.log import log_response
from django.views.decorators.csrf import csrf_exempt

from durable_workflows.bodies import Refusal, read_body, read_json
from durable_workflows.exceptions import InvalidUse, NotSerializable, WorkflowConflict
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.options import SetWorkflowID
from durable_workflows.primitives import start_workflow
from durable_workflows.queues import options_target
from durable_workflows.web.events import WebhookEvent, from_header, valid_event_id
from durable_workflows.web.secrets import Source, secrets_of, valid_source
from durable_workflows.web.signatures import BodySignature, TimedSignature, Verify

__all__ = ["BodySignature", "TimedSignature", "WebhookEvent", "from_header", "webhook"]

EventId = str | Callable[[HttpRequest, Any], Any]
Record = Callable[[HttpRequest, WebhookEvent], Any]
View = Callable[[HttpRequest], HttpResponse]

MEGABYTE = 1024 * 1024
RETRY_SECONDS = 10

# No hyphen, which stands between the name and the id: so no two senders can come to the same run's id.
_SENDER = re.compile(r"[A-Za-z0-9_.]{1,50}")


def webhook(
    workflow: Callable[..., Any] | str,
    *,
    sender: str,
    secret: Source,
    signature: Verify,
    event_id: EventId = "id",
    max_bytes: int = MEGABYTE,
) -> Callable[[Record], View]:
    """
    Decorator: makes a function the view that takes a sender's events and starts a workflow for each, once.

    The function is called as ``function(request, event)``, for repetitions too, in the transaction in which the workflow is
    started: what it writes and the run exist both, or neither does. What it returns is the workflow's argument; None stands for
    ``event.data``. It may raise ``django.core.exceptions.BadRequest``, which is answered with 400 and its text. Since a
    transaction is repeated after a deadlock, it should do nothing but write to the database.

    :param workflow: as for ``start_workflow``.
    :param sender: the first part of the runs' ids, of its own for each sender: letters, digits, ``_`` and ``.``.
    :param secret: the name of a setting, or a callable without parameters. Both give a str, bytes or a list of such, all of
        which are accepted; they are asked at each request.
    :param signature: how requests are signed: ``TimedSignature``, ``BodySignature``, or a callable that takes the request, the
        body and the list of secrets as bytes, and returns whether it is right, as a bool.
    :param event_id: the field of the JSON object that has the id, or a callable that takes the request and the parsed body,
        such as ``from_header`` makes; a ``LookupError`` or ``TypeError`` of it means that there is no id.
    :param max_bytes: what is longer is refused unread.
    :raises InvalidUse: if one of these cannot be what it is for.
    """
    made = _Webhook(workflow, sender, secret, signature, event_id, max_bytes)
    return lambda record: _view(made, record)


def _view(made: _Webhook, record: Record) -> View:
    if iscoroutinefunction(record):
        raise InvalidUse(f"{record.__qualname__} is an async def. A webhook's function runs in a transaction: make it a def.")

    @csrf_exempt  # a program has no cookie; its signature stands for it
    @transaction.non_atomic_requests  # the answer is given after the commit, which is ours
    @wraps(record)
    def view(request: HttpRequest) -> HttpResponse:
        return made.answer(request, record)

    return view


@dataclass(frozen=True, slots=True)
class _Webhook:
    workflow: Callable[..., Any] | str
    sender: str
    secret: Source
    signature: Verify
    event_id: EventId
    max_bytes: int

    def __post_init__(self) -> None:
        options_target(self.workflow)
        valid_source(self.secret)
        if not isinstance(self.sender, str) or not _SENDER.fullmatch(self.sender):
            raise InvalidUse(f"A webhook's sender is 1 to 50 letters, digits, '_' or '.', not {self.sender!r}.")
        if not callable(self.signature):
            raise InvalidUse(f"A webhook's signature is a callable such as TimedSignature(), not {self.signature!r}.")
        if not callable(self.event_id) and not (isinstance(self.event_id, str) and self.event_id):
            raise InvalidUse(f"A webhook's event_id is the name of a field, or a callable, not {self.event_id!r}.")
        if isinstance(self.max_bytes, bool) or not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise InvalidUse(f"A webhook's max_bytes is a whole number of at least 1, not {self.max_bytes!r}.")

    def answer(self, request: HttpRequest, record: Record) -> HttpResponse:
        """Take the event, or say why not."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            event = self._event(request, f"{record.__module__}.{record.__qualname__}")
            in_write_transaction(self._accept, request, event, record)
        except Refusal as refusal:
            return _refused(refusal.status_code, str(refusal))
        except BadRequest as error:
            return _refused(400, str(error))
        except (OperationalError, InterfaceError) as error:
            return _unavailable(request, error)
        return JsonResponse({"accepted": event.id}, status=202)

    def _event(self, request: HttpRequest, whose: str) -> WebhookEvent:
        body = read_body(request, self.max_bytes)
        self._check_signature(request, body, whose)
        data = read_json(body)
        found = valid_event_id(self._found_id(request, data), self.sender)
        return WebhookEvent(id=found, workflow_id=f"{self.sender}-{found}", data=data, body=body)

    def _check_signature(self, request: HttpRequest, body: bytes, whose: str) -> None:
        right = self.signature(request, body, secrets_of(self.secret, whose))
        if not isinstance(right, bool):  # a coroutine is true, and a library's None may mean that nothing was wrong
            raise InvalidUse(f"The signature of the webhook {whose} is to return True or False, not a {type(right).__name__}.")
        if not right:
            raise Refusal(401, "The signature is missing, wrong, or not of this time.")

    def _found_id(self, request: HttpRequest, data: Any) -> Any:
        if not isinstance(self.event_id, str):
            try:
                return self.event_id(request, data)
            except (LookupError, TypeError):  # data["event"]["id"] of a body that has another shape
                return None
        return data.get(self.event_id) if isinstance(data, dict) else None

    def _accept(self, connection: BaseDatabaseWrapper, request: HttpRequest, event: WebhookEvent, record: Record) -> None:
        argument = record(request, event)
        with SetWorkflowID(event.workflow_id):
            try:
                start_workflow(self.workflow, event.data if argument is None else argument)
            except WorkflowConflict as error:
                # Not 202: this event starts nothing, and nobody would ever know.
                raise Refusal(409, "Another workflow has the run of this event's id.") from error
            except NotSerializable as error:
                if argument is not None:
                    raise  # the function's fault, not the sender's
                raise Refusal(400, "The body cannot be stored.") from error


def _refused(status: int, reason: str) -> JsonResponse:
    response = JsonResponse({"error": reason}, status=status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Signature"
    return response


def _unavailable(request: HttpRequest, error: Exception) -> JsonResponse:
    """The database is away, or too busy: the sender is to come again."""
    response = _refused(503, "The event could not be stored. Send it again.")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    log_response("Service Unavailable: %s", request.path, response=response, request=request, exception=error)
    return response
