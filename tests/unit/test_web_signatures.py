"""Signatures: against digests that others computed, and to the second."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.http import HttpRequest

from durable_workflows.web.webhooks import BodySignature, TimedSignature

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())


def request(header: str, value: str) -> HttpRequest:
    made = HttpRequest()
    made.META[f"HTTP_{header.upper().replace('-', '_')}"] = value
    return made


def test_the_example_of_githubs_documentation() -> None:
    value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert BodySignature().sign(b"Hello, World!", "It's a Secret to Everybody") == value
    assert BodySignature()(request("X-Hub-Signature-256", value), b"Hello, World!", [b"It's a Secret to Everybody"])
    assert not BodySignature()(request("X-Hub-Signature-256", value), b"Hello, World?", [b"It's a Secret to Everybody"])


@pytest.mark.parametrize(("away", "right"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_the_window_is_exact_in_both_directions(away: int, right: bool) -> None:
    timed = TimedSignature()
    with time_machine.travel(NOW, tick=False):
        assert timed(request("Stripe-Signature", timed.sign(b"body", "secret", AT + away)), b"body", [b"secret"]) is right


def test_the_window_can_be_another() -> None:
    narrow = TimedSignature("My-Signature", 5)
    with time_machine.travel(NOW, tick=False):
        assert narrow(request("My-Signature", narrow.sign(b"body", "secret")), b"body", [b"secret"])
        assert not narrow(request("My-Signature", narrow.sign(b"body", "secret", AT - 6)), b"body", [b"secret"])


@pytest.mark.parametrize(
    "change", [("t=", "t=0"), ("t=", "t= "), ("t=", "t=+"), (f"t={AT}", f"t={AT + 1}"), ("v1=", "v0="), ("v1", "V1")]
)
def test_the_time_is_signed_and_read_as_it_stands(change: tuple[str, str]) -> None:
    timed = TimedSignature()
    header = timed.sign(b"body", "secret", AT)
    with time_machine.travel(NOW, tick=False):
        assert not timed(request("Stripe-Signature", header.replace(*change)), b"body", [b"secret"])


def test_no_secrets_fit_nothing() -> None:
    timed = TimedSignature()
    assert not timed(request("Stripe-Signature", timed.sign(b"body", "")), b"body", [])
