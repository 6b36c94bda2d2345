"""What the README and the docs tell readers to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from durable_workflows.management.commands.durable import SUBCOMMANDS
from tests.docs.snippets import COMMANDS, DOCUMENTS, snippets
from tests.processes import ROOT

DEMO = 'python3 -m venv .venv && .venv/bin/pip install -e ".[demo]" && .venv/bin/python manage.py demo'
TEST = 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest'
# Commands of the example project itself, whose settings have more apps than the tests'.
EXAMPLE = {"demo": "example_project.demo"}


def lines() -> Iterator[tuple[str, str]]:
    """Each line of each block of commands, with its place; a line that ends in a backslash goes on in the next."""
    for document in DOCUMENTS:
        for snippet in snippets(document):
            if snippet.kind in COMMANDS:
                for number, line in enumerate(snippet.code.replace("\\\n", "  ").splitlines()):
                    yield f"{snippet.document}:{snippet.line + number}", line.strip()


def words(line: str) -> list[str]:
    """A line as a shell splits it; lists as Docker and Compose write them, too."""
    plain = re.sub(r"[\[\]]|(?<=\"),|^(CMD|command:|ExecStart=)", " ", line)
    return shlex.split(plain, comments=True)


def managed() -> list[tuple[str, list[str]]]:
    """The words after each ``manage.py``, up to the end of the command."""
    found = []
    for place, line in lines():
        for part in re.split(r"&&|;|\|", line):
            said = words(part) if "manage.py" in part else []
            if position := next((index for index, word in enumerate(said) if word.endswith("manage.py")), None):
                found.append((place, said[position + 1 :]))
    return found


@pytest.mark.parametrize(("place", "argv"), managed(), ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_manage_py_takes_what_is_typed(place: str, argv: list[str]) -> None:
    name, *rest = argv
    app = EXAMPLE.get(name) or get_commands().get(name)
    assert app, f"{place}: there is no command {name!r}"
    command = load_command_class(app, name) if isinstance(app, str) else app
    try:
        command.create_parser("manage.py", name).parse_args(rest)
    except CommandError as error:
        pytest.fail(f"{place}: {error}")


def test_some_commands_were_found() -> None:
    assert {"migrate", "durable_worker", "check", "demo"} <= {argv[0] for _, argv in managed()}


def test_the_two_commands_of_the_readme_stand_there_to_be_copied() -> None:
    readme = [line.removeprefix("$ ") for place, line in lines() if place.startswith("README.md")]
    assert DEMO in readme
    assert TEST in readme


def test_extras_that_are_installed_exist() -> None:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    offered = set(parser["options.extras_require"])
    asked = {
        (place, extra.strip())
        for place, line in lines()
        if "pip install" in line
        for extras in re.findall(r"[\w.]\[([\w, ]+)\]", line)
        for extra in extras.split(",")
    }
    assert asked
    assert not [(place, extra) for place, extra in asked if extra not in offered]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the usual renderers make them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (document.parent / path).resolve() if path else document
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


def test_every_subcommand_has_a_heading() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    told = set(re.findall(r"`durable (\w+)`", "".join(re.findall(r"^#+ .*", text, re.MULTILINE))))
    assert told == {each.name for each in SUBCOMMANDS}


def test_every_finding_of_the_doctor_is_told() -> None:
    sources = (ROOT / "durable_workflows" / "management" / "durable" / "doctor").glob("*.py")
    code = "".join(path.read_text() for path in sources)
    ids = set(re.findall(r'(?:\bid=|^        )"([a-z]+(?:-[a-z]+)*)",', code, re.MULTILINE))
    section = (ROOT / "docs" / "commands.md").read_text().partition("## The doctor")[2].partition("\n## ")[0]
    assert ids == set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))
