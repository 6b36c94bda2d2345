"""
The signed part of a link, by which somebody who was sent it may answer a question of one run.

It is signed with the project's ``SECRET_KEY`` (those of ``SECRET_KEY_FALLBACKS`` are still accepted), holds when it expires,
and hides nothing: who has the link can read what is in it. That it works once is the business of ``models.answers``.

Nothing here needs a model, so a module with workflows may import it while apps are loading.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from django.core import signing

from durable_workflows import clock
from durable_workflows.exceptions import BadLink, ExpiredLink, InvalidUse
from durable_workflows.options import valid_id, valid_timeout
from durable_workflows.texts import valid_json, valid_text

__all__ = ["BadLink", "ExpiredLink", "Question", "make_token", "read_token"]

SALT = "durable_workflows.web.approvals"
WEEK = 7 * 86400.0
LONGEST = 1500  # characters; mail programs and proxies cut addresses that are much longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What a link is about.

    :param workflow_id: the run that asks.
    :param topic: under which it receives the answer.
    :param about: what is asked, as ``make_token`` was told.
    :param expires_at: until when it can be answered.
    """

    workflow_id: str
    topic: str
    about: Any
    expires_at: datetime

    @property
    def key(self) -> str:
        """The idempotency key of its answer: the same for each link to the same question."""
        text = json.dumps([self.topic, self.about], sort_keys=True, separators=(",", ":"))
        return f"answer:{sha256(text.encode()).hexdigest()}"

    @property
    def text(self) -> str:
        """``about``, if it is a text to be shown; else ""."""
        return self.about if isinstance(self.about, str) else ""


def make_token(workflow_id: str, topic: str, *, about: Any = None, valid_seconds: float = WEEK) -> str:
    """
    The signed part of a link. It reads the clock, so in a workflow it belongs in a step.

    :param workflow_id: the run that asks, and waits in ``recv(topic)``.
    :param topic: under which it receives the answer; also what the view must be for.
    :param about: what is asked, as a JSON value. A run gets one answer for each topic and ``about``, however many links are
        made; to ask again, ask about something else.
    :param valid_seconds: for how long the link works.
    :raises InvalidUse: if one of these cannot be what it is for, or ``about`` is too long for a link.
    :raises NotSerializable: if ``about`` is not JSON.
    """
    if valid_timeout(valid_seconds) is None:
        raise InvalidUse("A link has to expire: give valid_seconds as a positive number of seconds.")
    asked = [valid_id(workflow_id), valid_topic(topic), valid_json(about, "What a link is about")]
    token = signing.dumps([*asked, int(clock.now().timestamp() + valid_seconds)], salt=SALT, compress=True)
    if len(token) > LONGEST:
        raise InvalidUse(
            f"A link of {len(token)} characters is too long to be mailed. Put a key into `about`, not the thing itself."
        )
    return token


def read_token(token: str, topic: str) -> Question:
    """
    What a link is about.

    :param topic: what it has to be for.
    :raises BadLink: if it was not made here, was changed, or is for another topic.
    :raises ExpiredLink: if its time is over.
    """
    try:
        workflow_id, made_for, about, expires = signing.loads(token, salt=SALT)
        question = Question(
            workflow_id=valid_id(workflow_id),
            topic=valid_topic(made_for),
            about=about,
            expires_at=datetime.fromtimestamp(expires, UTC),
        )
    except (signing.BadSignature, InvalidUse, ValueError, TypeError, OverflowError) as error:
        raise BadLink from error
    if question.topic != topic:
        raise BadLink
    if question.expires_at <= clock.now():
        raise ExpiredLink
    return question


def valid_topic(topic: str) -> str:
    """``topic`` itself, when links can be made for it. Raises ``InvalidUse``."""
    if not valid_text(topic, "A link's topic").strip():
        raise InvalidUse("A link's topic must not be blank: it says which of the run's questions is answered.")
    return topic
