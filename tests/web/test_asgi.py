"""Webhooks under ASGI, where a body may come in pieces and without saying how long it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.asgi import get_asgi_application
from django.db import connections

from tests.web.site import SECRET, TIMED

pytestmark = pytest.mark.django_db(transaction=True)
EVENT = json.dumps({"id": "evt-1"}).encode()


async def post(pieces: Sequence[bytes]) -> tuple[int, bytes]:
    """Post a body in pieces; what is signed is all of them."""
    signature = TIMED.sign(b"".join(pieces), SECRET)
    scope = {
        "type": "http", "method": "POST", "path": "/carrier/", "query_string": b"", "http_version": "1.1", "scheme": "http",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json"), (b"carrier-signature", signature.encode())],
        "asgi": {"version": "3.0"}, "server": ("testserver", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    coming.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.Event().wait()  # the client stays
        return coming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await get_asgi_application()(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@async_to_sync
async def posted(*pieces: bytes) -> tuple[int, bytes]:
    return await post(pieces)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    connections.close_all()


def test_a_body_in_pieces(run_ids: Callable[[], list[str]]) -> None:
    for _ in range(2):
        assert posted(*(EVENT[place : place + 3] for place in range(0, len(EVENT), 3))) == (202, b'{"accepted": "evt-1"}')
    assert run_ids() == ["carrier-evt-1"]


def test_a_body_in_pieces_that_is_too_long(run_ids: Callable[[], list[str]]) -> None:
    status, _ = posted(*[b"x" * 1000] * 11)
    assert status == 413
    assert run_ids() == []
