"""Plays the other side: posts signed events over HTTP, as a carrier's server would."""

from __future__ import annotations

import json
import time
import uuid
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from durable_workflows.web.webhooks import TimedSignature

HEADER = "Webhook-Signature"
YESTERDAY = 86400


def post(url: str, event: dict[str, str], secret: str, *, alteration: str = "") -> str:
    """
    Deliver an event once.

    :param url: the webhook's address.
    :param event: what to send, as JSON.
    :param secret: the shared secret.
    :param alteration: "", or what is wrong with the request: "tampered" or "late".
    :return: the answer, as status and text.
    """
    body = json.dumps(event).encode()
    at = int(time.time()) - (YESTERDAY if alteration == "late" else 0)
    headers = {HEADER: TimedSignature(HEADER).sign(body, secret, at), "Content-Type": "application/json"}
    if alteration == "tampered":
        body = body.replace(b'"type"', b'"Type"')
    return _answer(Request(url, data=body, headers=headers, method="POST"))


def new_event(kind: str, parcel: str) -> dict[str, str]:
    """An event with an id of its own."""
    return {"id": f"evt-{uuid.uuid4().hex[:12]}", "type": kind, "parcel": parcel}


def _answer(request: Request) -> str:
    try:
        with urlopen(request, timeout=5) as response:
            return f"{response.status} {response.read(500).decode()}"
    except HTTPError as error:
        return f"{error.code} {error.read(500).decode(errors='replace')}"
    except (URLError, TimeoutError) as error:
        return f"no answer: {error}"
