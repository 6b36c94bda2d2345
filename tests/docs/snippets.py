"""
The code blocks of README.md and docs/*.md, and what each of them is.

A reader's project is built from a document (``tests/docs/site`` is what they have before they read it), and its blocks are
put there and run as a reader would:

``python`` with a path in its first line, ``# shop/workflows.py``
    goes to the end of that file, before anything runs. Files named ``tests.py`` are run by pytest.
``python`` with ``# settings.py (PostgreSQL)`` as its first line
    is an alternative: Django is set up with these settings in a process of its own, and finds nothing wrong with them.
``python`` otherwise
    is run in order, in one namespace for the document, with a real worker at work in another process.
    ``value  # -> 'text'`` must have this repr; ``call()  # raises ValueError`` must raise it.
``console``, ``ini``, ``dockerfile``, ``yaml``
    Each ``manage.py command ...`` in it is parsed by that command, each extra in a ``pip install`` must exist.
``py``
    is a signature, and must be that of the code; see ``test_reference``.
``text``
    is no code: output, or a drawing.
``<!-- check`` ... ``-->``
    is run like ``python``, and not shown to readers: what the document claims in words.

Any other kind of block is an error, so that none is left out by a slip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from tests.processes import ROOT

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
COMMANDS = ("console", "ini", "dockerfile", "yaml")
KINDS = ("python", "py", *COMMANDS, "text")

_BLOCK = re.compile(r"^(?:```(?P<kind>\S*) *\n(?P<code>.*?)^```|<!-- check\n(?P<check>.*?)^-->) *$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"# (?P<path>[\w/]+\.py)(?: \((?P<variant>.+)\))?\n")


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """
    One block.

    :param line: the line of the document on which its code begins.
    :param path: the file of the project it belongs to; "" for none.
    :param variant: of which alternative it is.
    :param hidden: whether it stands in a comment.
    """

    document: str
    line: int
    kind: str
    code: str
    path: str = ""
    variant: str = ""
    hidden: bool = False

    @property
    def place(self) -> str:
        """Where it stands, as editors understand it."""
        return f"{self.document}:{self.line}"

    @property
    def is_session(self) -> bool:
        """Whether it is run in the document's namespace."""
        return self.kind == "python" and not self.path

    def as_json(self) -> dict[str, str | int]:
        return asdict(self)


@cache
def snippets(document: Path) -> Sequence[Snippet]:
    """The blocks of a document, in order."""
    return list(_found(document, document.read_text()))


def _found(document: Path, text: str) -> Iterator[Snippet]:
    name = str(document.relative_to(ROOT)) if document.is_relative_to(ROOT) else document.name
    for match in _BLOCK.finditer(text):
        hidden = match["check"] is not None
        code, kind = (match["check"], "python") if hidden else (match["code"], match["kind"])
        line = text.count("\n", 0, match.start("check" if hidden else "code")) + 1
        head = _PATH.match(code) if kind == "python" else None
        path, variant = (head["path"], head["variant"] or "") if head else ("", "")
        yield Snippet(document=name, line=line, kind=kind, code=code, path=path, variant=variant, hidden=hidden)


def sessions() -> list[Path]:
    """The documents whose blocks are run."""
    return [document for document in DOCUMENTS if any(snippet.is_session for snippet in snippets(document))]


def alternatives() -> list[Snippet]:
    """All settings that are one of several."""
    return [snippet for document in DOCUMENTS for snippet in snippets(document) if snippet.variant]


def with_tests() -> list[Path]:
    """The documents that show tests."""
    return [document for document in DOCUMENTS if files_with_tests(document)]


def files_with_tests(document: Path) -> list[str]:
    """The files of a document that pytest is to run."""
    return sorted({snippet.path for snippet in snippets(document) if Path(snippet.path).name == "tests.py"})
