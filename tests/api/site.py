"""A site with the API on it, workflows to be started by it, and tokens that it knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest
from django.urls import include, path
from django.utils.crypto import constant_time_compare

import durable_workflows as durable

API = "/durable/api/"
MOMENT = datetime(2030, 1, 31, 9, tzinfo=UTC)
TYPED = {"total": Decimal("1.10"), "at": MOMENT, "pair": (1, 2), "took": timedelta(seconds=90), "raw": b"hi", "$": "dollar"}

urlpatterns = [path("durable/api/", include("durable_workflows.api.urls"))]


@durable.step
def look(order: Any) -> Any:
    return {"order": order}


@durable.step
def refuse(order: Any) -> Any:
    raise ValueError(f"order {order} is refused")


@durable.workflow
def shop(order: Any = None, *, note: Any = None) -> Any:
    """Succeeds at once, and publishes what it saw."""
    seen = look(order)
    durable.set_event("seen", seen)
    return [seen, note]


@durable.workflow
def fails(order: Any = None) -> Any:
    look(order)
    return refuse(order)


@durable.workflow
def waits(topic: str = "paid") -> Any:
    durable.set_progress(1, 2, "half") if hasattr(durable, "set_progress") else None
    return durable.recv(topic)


@durable.workflow
def typed() -> Any:
    look(1)
    return TYPED


def by_token(request: HttpRequest) -> Any:
    """The user whose name is in the token; what a project would look up in a table of hashes."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not token.startswith("token-of-"):
        return None
    name = token.removeprefix("token-of-")
    return next((user for user in User.objects.filter(username=name) if constant_time_compare(user.username, name)), None)


ROOT = User(username="cached", is_superuser=True, is_staff=True)


def always_root(request: HttpRequest) -> Any:
    """Somebody who may do all, without a query."""
    return ROOT


def breaking(request: HttpRequest) -> Any:
    """Somebody who may do all, and takes the database along."""
    ends = {
        "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
        "mysql": "KILL CONNECTION_ID()",
        "sqlite": "PRAGMA query_only = 1",
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(ends[connection.vendor])
    except Exception:  # noqa: BLE001  # it says so of itself, on some
        pass
    return ROOT


def nonsense(request: HttpRequest) -> Any:
    """No user at all."""
    return True


def pack(order: Any, *, gift: bool = False) -> Any:
    """The workflow of docs/api.md."""
    durable.set_event("state", "packed")
    return {"order": order, "gift": gift}


def deliver(order: Any) -> Any:
    """The other one."""
    return durable.recv("paid")
