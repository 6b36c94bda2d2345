"""A link says what it is about, and cannot be made, changed, or used for anything else by others."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.core import signing
from pytest_django import Settings

from durable_workflows import InvalidUse, NotSerializable
from durable_workflows.testing import travel
from durable_workflows.web.tokens import SALT, BadLink, ExpiredLink, make_token, read_token

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "about", [None, "a text", 7, 1.5, True, ["a", {"b": None}], {"name": "Zoë", "emoji": "🚚"}, "<script>"]
)
def test_it_says_what_it_was_made_for(about: Any) -> None:
    question = read_token(make_token("run ü/1", "decision", about=about), "decision")
    assert (question.workflow_id, question.topic, question.about) == ("run ü/1", "decision", about)
    assert question.text == (about if isinstance(about, str) else "")


def test_it_can_stand_in_a_path() -> None:
    assert set(make_token("run/ü", "a b?c#d", about={"x": "/" * 50})) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:."
    )


def test_each_changed_character_spoils_it() -> None:
    token = make_token("run-1", "decision", about=1)
    for place, character in enumerate(token):
        changed = token[:place] + ("A" if character != "A" else "B") + token[place + 1 :]
        with pytest.raises(BadLink):
            read_token(changed, "decision")


def test_parts_of_two_do_not_fit() -> None:
    first, second = make_token("run-1", "decision").rsplit(":", 1), make_token("run-2", "decision").rsplit(":", 1)
    with pytest.raises(BadLink):
        read_token(f"{first[0]}:{second[1]}", "decision")


@pytest.mark.parametrize(
    "token",
    ["", ":", "::", "a:b:c", "\0", "ü", "x" * 100_000, signing.dumps(["run", "decision", None, 2**40]),
     *(signing.dumps(value, salt=SALT) for value in (None, 1, "text", [], ["run", "decision", None], ["", "decision", None, 2**33],
       [1, "decision", None, 2**33], ["run", "decision", None, "soon"], ["run", "decision", None, 10**30], {"a": 1}))],
    ids=itertools.count(),  # signed ones differ by the second, and names of tests must not
)  # fmt: skip
def test_what_was_not_made_here_is_none(token: str) -> None:
    with pytest.raises(BadLink):
        read_token(token, "decision")


def test_it_is_for_one_topic() -> None:
    token = make_token("run-1", "decision")
    for topic in ("other", "", "Decision", "decision "):
        with pytest.raises(BadLink):
            read_token(token, topic)


@pytest.mark.django_db
def test_it_expires_when_it_says() -> None:
    token = make_token("run-1", "decision", valid_seconds=3600)
    with travel(minutes=59):
        assert read_token(token, "decision").workflow_id == "run-1"
    with travel(minutes=61), pytest.raises(ExpiredLink):
        read_token(token, "decision")


def test_another_secret_key_spoils_it_unless_it_is_still_a_fallback(settings: Settings) -> None:
    token, old = make_token("run-1", "decision"), settings.SECRET_KEY
    settings.SECRET_KEY = "a new one"
    with pytest.raises(BadLink):
        read_token(token, "decision")
    settings.SECRET_KEY_FALLBACKS = [old]
    assert read_token(token, "decision").workflow_id == "run-1"


def test_all_links_to_one_question_share_its_key() -> None:
    def key(workflow_id: str, topic: str, about: Any) -> str:
        return read_token(make_token(workflow_id, topic, about=about), topic).key

    assert key("run-1", "t", {"a": 1, "b": 2}) == key("run-1", "t", {"b": 2, "a": 1})
    keys = [
        key("run-1", *asked)
        for asked in [("t", None), ("t", "None"), ("u", None), ("t", [None]), ("t", 1), ("t", "1"), ("tu", "")]
    ]
    assert len(set(keys)) == len(keys)
    assert max(map(len, keys)) <= 255


@pytest.mark.parametrize(
    "wrong",
    [{"workflow_id": ""}, {"workflow_id": "x" * 256}, {"workflow_id": None}, {"topic": ""}, {"topic": " "}, {"topic": None},
     {"topic": "a\0"}, {"valid_seconds": 0}, {"valid_seconds": -1}, {"valid_seconds": None}, {"valid_seconds": float("nan")},
     {"valid_seconds": float("inf")}, {"about": "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))}],
)  # fmt: skip
def test_what_no_link_can_be_made_of(wrong: dict[str, Any]) -> None:
    given = {"workflow_id": "run-1", "topic": "decision"} | wrong
    with pytest.raises(InvalidUse):
        make_token(given.pop("workflow_id"), given.pop("topic"), **given)


@pytest.mark.parametrize("about", [object(), {1, 2}, float("nan"), b"x", "a\0"])
def test_what_cannot_be_in_a_link(about: Any) -> None:
    with pytest.raises(NotSerializable):
        make_token("run-1", "decision", about=about)
