"""
What nobody reads on a page, in a terminal or over HTTP: values under keys such as "password", as the setting ``REDACT``
names them.

The JSON text is gone through token by token, and no value is built of it: so text that is clipped, damaged or nested a
thousand times is redacted as far as it goes, and all the rest of it stays as it is, digit by digit.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache

from durable_workflows import registry
from durable_workflows.conf import config
from durable_workflows.exceptions import WorkflowNotRegistered

LONGEST_KEY = 500  # characters of a key that are compared
REDACTED = '"[redacted]"'
# A string, closed or not; a bracket; whatever else stands between them. Possessive: a payload of megabytes is one string.
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)
# The keys among the strings, which begin and end where those of TOKEN do. For a payload of many small values it is far quicker.
KEYS = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+"?+)\s*+:|"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
OPENING, CLOSING = ("{", "["), ("}", "]")


def redacted(text: str, positions: Collection[int] = ()) -> str:
    """
    JSON text with ``"[redacted]"`` in place of what is secret; other text as it is.

    :param positions: the positional arguments of a call that are secret, too; see ``secret_positions``.
    """
    patterns = _compiled(tuple(config().redact))
    if patterns is None or '"' not in text or not (positions or _has_secret_key(text, patterns)):
        return text
    return "".join(_Scan(text, patterns, positions).pieces())


def _has_secret_key(text: str, patterns: re.Pattern[str]) -> bool:
    return any(key and _is_secret_token(key[:LONGEST_KEY], patterns) for key in set(KEYS.findall(text)))


def is_secret(key: str) -> bool:
    """Whether what stands under a key of this name is secret."""
    patterns = _compiled(tuple(config().redact))
    return patterns is not None and patterns.fullmatch(_plain(key[:LONGEST_KEY])) is not None


def secret_positions(name: str) -> frozenset[int]:
    """Which positional arguments of a workflow are secret by their names; none if this process does not know its code."""
    try:
        parameters = inspect.signature(registry.find(name).func).parameters.values()
    except (WorkflowNotRegistered, TypeError, ValueError):
        return frozenset()
    by_position = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return frozenset(number for number, each in enumerate(by_position) if is_secret(each))


def _plain(key: str) -> str:
    """``Api-Key``, ``api_key`` and ``apiKey`` are one."""
    return re.sub(r"[-_\s]", "", key).casefold()


@cache
def _compiled(globs: Sequence[str]) -> re.Pattern[str] | None:
    parts = (re.escape(_plain(glob)).replace(r"\*", ".*").replace(r"\?", ".") for glob in globs)
    return re.compile("|".join(parts), re.DOTALL) if globs else None


@lru_cache(1000)
def _is_secret_token(token: str, patterns: re.Pattern[str]) -> bool:
    """The same for a key as it stands in JSON, with its escapes."""
    key = token.strip('"')
    if "\\" in token:
        with suppress(ValueError):
            key = str(_LENIENT.decode(token))
    return patterns.fullmatch(_plain(key)) is not None


_LENIENT = json.JSONDecoder(strict=False)


class _Scan:
    """One walk through a text: the pieces of it that stay, and what stands for those that do not."""

    def __init__(self, text: str, patterns: re.Pattern[str], positions: Collection[int]) -> None:
        self.text, self.patterns, self.positions = text, patterns, positions
        self.depth = 0
        self.before = self.key = ""  # the last token, and the last key
        self.secret = False  # the next value is
        self.argument: int | None = None  # which one of a call's positional arguments comes next

    def pieces(self) -> Iterator[str]:
        kept, tokens = 0, TOKEN.finditer(self.text)
        for found in tokens:
            if self._hides(found[0]):
                yield self.text[kept : found.start()] + REDACTED
                kept = self._end_of(found, tokens)
            else:
                self._pass(found[0])
        yield self.text[kept:]

    def _hides(self, token: str) -> bool:
        """Whether the token is, or begins, a value that is secret."""
        if token in (",", ":", *CLOSING):
            return False
        return self.secret or (self.depth == 2 and self.argument in self.positions and self.before in ("[", ","))

    def _end_of(self, found: re.Match[str], tokens: Iterator[re.Match[str]]) -> int:
        """Where a hidden value ends: with its token, with its closing bracket, or with the text."""
        self.secret, self.before = False, ""
        depth = 1 if found[0] in OPENING else 0
        while depth and (following := next(tokens, None)):
            found, depth = following, depth + (following[0] in OPENING) - (following[0] in CLOSING)
        return len(self.text) if depth else found.end()

    def _pass(self, token: str) -> None:
        self.secret = False
        if token == ":" and self.before.startswith('"'):
            self.key, self.secret = self.before, _is_secret_token(self.before[:LONGEST_KEY], self.patterns)
        elif token in OPENING:
            if self.depth == 1:
                self.argument = 0 if (self.key, self.before, token) == ('"args"', ":", "[") else None
            self.depth += 1
        elif token in CLOSING:
            self.depth -= 1
        elif token == "," and self.depth == 2 and self.argument is not None:
            self.argument += 1
        self.before = token
