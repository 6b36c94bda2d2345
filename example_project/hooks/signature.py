"""
The signature of a webhook, in the form that Stripe and others use.

The header is ``t=<unix time>,v1=<hex>``, where the hex is the HMAC-SHA256 of ``<unix time>.<body>`` under the shared
secret. The time is signed too, so that a recorded request cannot be sent again after the window; within the window a
repeated delivery is harmless, because the event's id is the workflow's id.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

WINDOW_SECONDS = 300
HEADER = "Webhook-Signature"


class BadSignature(Exception):
    """The request is not from the sender, or it is too old."""


def sign(body: bytes, secret: str, *, at: int) -> str:
    """
    The header for a body.

    :param at: the time of sending, in seconds since 1970.
    """
    return f"t={at},v1={_digest(body, secret, at)}"


def verify(body: bytes, header: str, secret: str, *, now: float) -> None:
    """
    Check that the sender signed exactly this body, not long ago.

    :param header: the signature as it came.
    :param now: the present, in seconds since 1970.
    :raises BadSignature: if the header is not one, the signature is wrong, or its time is outside of the window.
    """
    at, given = _parse(header)
    # In constant time: how many characters are right must not show in how long the answer takes.
    if not hmac.compare_digest(_digest(body, secret, at).encode(), given.encode()):
        raise BadSignature("The signature does not fit the body.")
    if abs(now - at) > WINDOW_SECONDS:
        raise BadSignature(f"The signature is more than {WINDOW_SECONDS} seconds away from the present.")


def _digest(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()


def _parse(header: str) -> tuple[int, str]:
    parts = dict(part.strip().partition("=")[::2] for part in header.split(","))
    at = parts.get("t", "")
    if not (at.isascii() and at.isdigit() and len(at) <= 12) or not parts.get("v1"):
        raise BadSignature(f"The header {HEADER} must read t=<unix time>,v1=<hex>.")
    return int(at), parts["v1"]
