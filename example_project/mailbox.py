"""Reads back the mails that Django's file backend wrote, so that the example needs no mail server."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings

# Django ends each mail in the file with a line of 79 dashes.
SEPARATOR = b"-" * 79


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as the outbox shows it."""

    to: str
    subject: str
    date: str
    text: str


def newest(limit: int = 20) -> list[Mail]:
    """The latest mails, newest first; empty when another backend is in use."""
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    if not folder or not Path(folder).is_dir():
        return []
    files = sorted(Path(folder).glob("*.log"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    mails = [mail for file in files[:limit] for mail in reversed(read(file))]
    return mails[:limit]


def read(file: Path) -> list[Mail]:
    """The mails of one file, in the order in which they were sent."""
    parts = [part.strip() for part in file.read_bytes().split(SEPARATOR)]
    return [parse(part) for part in parts if part]


def parse(raw: bytes) -> Mail:
    """One mail out of its text on the wire."""
    message = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    body = message.get_body(("plain",))
    return Mail(
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        date=str(message["Date"] or ""),
        text=body.get_content() if body else "",
    )
