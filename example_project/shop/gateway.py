"""
A payment provider that is not in our database.

It stands for Stripe and its like: its books are files in a folder of its own, so no transaction of ours reaches them,
and a charge stays charged when our process dies a moment later. Like the real ones it takes an idempotency key, and
answers a repeated key with the first charge.

Cards: ``4242`` works, ``0002`` is declined, ``0119`` works at the third call, as when the network is poor.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from django.conf import settings

DECLINED, FLAKY = "0002", "0119"


class CardDeclined(Exception):
    """The bank said no; asking again is of no use."""


class GatewayUnavailable(Exception):
    """No answer; asking again may help."""


def charge(amount_cents: int, card: str, *, idempotency_key: str, purpose: str) -> str:
    """
    Take money from a card, once per idempotency key.

    :param amount_cents: how much, in cents.
    :param card: the last four digits of the card.
    :param idempotency_key: the name of this charge; a repeated one charges nothing more.
    :param purpose: what it is for, as it is written in the provider's books.
    :return: the provider's reference of the charge.
    :raises CardDeclined: if the bank refuses.
    :raises GatewayUnavailable: if there was no answer.
    """
    reference = "ch_" + digest(idempotency_key)
    calls = _note_call(folder(purpose) / f"{reference}.calls")
    if card == DECLINED:
        raise CardDeclined("The card was declined.")
    if card == FLAKY and calls < 3:
        raise GatewayUnavailable(f"No answer from the payment provider (call {calls}).")
    _book(folder(purpose) / f"{reference}.json", {"reference": reference, "amount_cents": amount_cents, "card": card})
    return reference


def charges(purpose: str) -> list[dict[str, object]]:
    """The charges in the provider's books that are for this purpose."""
    return [json.loads(file.read_text()) for file in sorted(folder(purpose).glob("ch_*.json"))]


def refund(purpose: str) -> None:
    """Give back what was charged for this purpose; what was given back before, or never charged, is left alone."""
    for charged in folder(purpose).glob("ch_*.json"):
        charged.with_suffix(".refunded").touch()


def refunds(purpose: str) -> list[str]:
    """The references of the charges for this purpose whose money was given back."""
    return sorted(file.stem for file in folder(purpose).glob("ch_*.refunded"))


def calls(purpose: str) -> int:
    """How often the provider was called for this purpose, answered or not."""
    return sum(file.stat().st_size for file in folder(purpose).glob("ch_*.calls"))


def folder(purpose: str) -> Path:
    """Where the provider keeps what belongs to this purpose."""
    return Path(settings.EXAMPLE["VAR_DIR"]) / "gateway" / digest(purpose)


def digest(text: str) -> str:
    """A name for a file, whatever the text holds."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _note_call(file: Path) -> int:
    """One byte for each call: appending one is never torn apart by other processes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as log:
        log.write(b".")
    return file.stat().st_size


def _book(file: Path, entry: dict[str, object]) -> None:
    """Write the charge if there is none yet: whole or not at all, also when the process is killed here."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".tmp", delete=False) as draft:
        json.dump(entry, draft)
    try:
        os.link(draft.name, file)
    except FileExistsError:
        pass  # charged before: the key's first charge stands
    finally:
        os.unlink(draft.name)
