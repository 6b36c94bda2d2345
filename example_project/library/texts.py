"""
The bundled texts: a title, an author, an empty line, then prose. All of them are in the public domain.

Words are runs of letters, with apostrophes inside them. Case and accents do not count, so that every database
compares them alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "documents"
APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"  # what printers set for the typewriter's '
WORD = re.compile(rf"[^\W\d_]+(?:['{APOSTROPHE}][^\W\d_]+)*")
TERM_MAX_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Text:
    """One file, read."""

    title: str
    author: str
    body: str


def paths() -> list[str]:
    """The names of all files in the folder."""
    return sorted(file.name for file in FOLDER.glob("*.txt"))


def load(path: str) -> Text:
    """
    Read one of the files.

    :raises FileNotFoundError: if the folder has no such file; a name that leads out of the folder is no such file.
    """
    if path not in paths():
        raise FileNotFoundError(f"There is no text {path!r} among the bundled documents.")
    title, author, body = (FOLDER / path).read_text(encoding="utf-8").split("\n", 2)
    return Text(title.strip(), author.strip(), body.strip())


def terms(text: str) -> Counter[str]:
    """How often each word occurs."""
    return Counter(fold(word) for word in WORD.findall(text))


def fold(word: str) -> str:
    """The form in which a word is indexed and looked up."""
    plain = unicodedata.normalize("NFKD", word.replace(APOSTROPHE, "'").casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))[:TERM_MAX_LENGTH]


def excerpt(body: str, wanted: set[str], around: int = 110) -> list[tuple[str, bool]]:
    """The neighbourhood of the first wanted word, in pieces, each with whether it is a wanted word."""
    flat = " ".join(body.split())
    hits = (match for match in WORD.finditer(flat) if fold(match[0]) in wanted)
    first = next(hits, None)
    start = flat.find(" ", max(0, first.start() - around)) + 1 if first and first.start() > around else 0
    end = flat.rfind(" ", start, start + 2 * around + 40)
    return _pieces(flat[start : end if end > start else None], wanted)


def _pieces(line: str, wanted: set[str]) -> list[tuple[str, bool]]:
    pieces, last = [], 0
    for match in WORD.finditer(line):
        if fold(match[0]) in wanted:
            pieces += [(line[last : match.start()], False), (match[0], True)]
            last = match.end()
    return [piece for piece in [*pieces, (line[last:], False)] if piece[0]]
