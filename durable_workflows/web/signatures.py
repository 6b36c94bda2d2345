"""
How a sender proves that a request's body is its own: an HMAC-SHA256 of it under a secret that both sides know.

A way to prove it is any callable ``(request, body, secrets) -> bool``. The two here are the usual ones. Digests are compared in
constant time: how many characters are right must not show in how long the answer takes.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from django.http import HttpRequest

from durable_workflows import clock

Verify = Callable[[HttpRequest, bytes, Sequence[bytes]], bool]


@dataclass(frozen=True, slots=True)
class TimedSignature:
    """
    Stripe's form: ``t=<unix time>,v1=<hex>``, where the hex is of ``<unix time>.<body>``; there may be several ``v1``.

    The time is signed too, so a recorded request cannot be sent again after the window.

    :param header: where the signature stands.
    :param window_seconds: how far its time may lie from the present, in the past and in the future.
    """

    header: str = "Stripe-Signature"
    window_seconds: float = 300

    def __call__(self, request: HttpRequest, body: bytes, secrets: Sequence[bytes]) -> bool:
        at, given = self._parts(request.headers.get(self.header, ""))
        if at is None or abs(clock.now().timestamp() - at) > self.window_seconds:
            return False
        return _fits(given, (_digest(secret, self._signed(body, at)) for secret in secrets))

    def sign(self, body: bytes, secret: str | bytes, at: int | None = None) -> str:
        """
        The header's value, as the sender makes it; for tests, and for who sends webhooks himself.

        :param at: the time of sending, in seconds since 1970; None: now.
        """
        moment = int(clock.now().timestamp()) if at is None else at
        return f"t={moment},v1={_digest(as_bytes(secret), self._signed(body, moment))}"

    @staticmethod
    def _signed(body: bytes, at: int) -> bytes:
        return f"{at}.".encode() + body

    @staticmethod
    def _parts(header: str) -> tuple[int | None, list[str]]:
        """The time, None if there is not exactly one that can be read, and the signatures."""
        pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
        times = [value for name, value in pairs if name == "t"]
        readable = len(times) == 1 and times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12
        # As it is signed: "007" would be another text than the 7 that it is read as.
        at = int(times[0]) if readable and times[0] == str(int(times[0])) else None
        return at, [value for name, value in pairs if name == "v1"]


@dataclass(frozen=True, slots=True)
class BodySignature:
    """
    GitHub's form: ``sha256=<hex>``, where the hex is of the body alone.

    It has no time, so a recorded request stays good for ever; what makes a repetition harmless is the event's id alone.

    :param header: where the signature stands.
    :param prefix: what stands before the hex.
    """

    header: str = "X-Hub-Signature-256"
    prefix: str = "sha256="

    def __call__(self, request: HttpRequest, body: bytes, secrets: Sequence[bytes]) -> bool:
        given = request.headers.get(self.header, "")
        return _fits([given], (f"{self.prefix}{_digest(secret, body)}" for secret in secrets))

    def sign(self, body: bytes, secret: str | bytes) -> str:
        """The header's value, as the sender makes it; for tests, and for who sends webhooks himself."""
        return f"{self.prefix}{_digest(as_bytes(secret), body)}"


def as_bytes(secret: str | bytes) -> bytes:
    """A secret as the digest takes it."""
    return secret.encode() if isinstance(secret, str) else secret


def _digest(secret: bytes, message: bytes) -> str:
    return hmac.new(secret, message, sha256).hexdigest()


def _fits(given: Sequence[str], expected: Iterable[str]) -> bool:
    texts = [text.encode(errors="replace") for text in given]
    return any(hmac.compare_digest(right.encode(), text) for right in expected for text in texts)
