"""What the README and the docs show is run."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import project
from tests.docs.snippets import DOCUMENTS, KINDS, Snippet, alternatives, files_with_tests, sessions, snippets, with_tests
from tests.processes import Processes

# What the blocks of a document take for granted.
PRELUDES = {
    "docs/checks.md": "import time\nfrom django.utils import timezone\nfrom durable_workflows import step\n",
    "docs/admin.md": "from django.contrib.admin import AdminSite\nmy_site = AdminSite(name='mine')\n",
}
SECONDS = 100


def name(document: Path) -> str:
    return document.name


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The directory of the reader's project."""
    return tmp_path / "site"


@pytest.fixture
def started() -> Iterator[list[Processes]]:
    running: list[Processes] = []
    yield running
    for processes in running:
        processes.close()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_block_is_of_a_kind_that_is_tested(document: Path) -> None:
    unknown = [f"{snippet.place}: {snippet.kind or 'no kind'}" for snippet in snippets(document) if snippet.kind not in KINDS]
    assert not unknown, f"The kinds are {', '.join(KINDS)}: {unknown}"
    fences = sum(line.startswith("```") for line in document.read_text().splitlines())
    assert fences == 2 * sum(not snippet.hidden for snippet in snippets(document)), (
        "a block is not closed, or not at the margin"
    )


@pytest.mark.parametrize("document", sessions(), ids=name)
def test_the_blocks_of_a_document_do_what_they_say(document: Path, site: Path, started: list[Processes]) -> None:
    shown = snippets(document)
    env = project.build(site, shown)
    blocks = [snippet.as_json() for snippet in shown if snippet.is_session]
    if prelude := PRELUDES.get(shown[0].document):
        blocks.insert(0, Snippet(document=__file__, line=1, kind="python", code=prelude).as_json())
    (site / "blocks.json").write_text(json.dumps(blocks))
    processes = Processes(env | {"PROJECT": str(site)})
    started.append(processes)
    ran = processes.start("-W", "error", "-m", "tests.docs.session", str(site / "blocks.json"))
    assert ran.wait(SECONDS) == 0, processes.output(ran)


@pytest.mark.parametrize("document", with_tests(), ids=name)
def test_the_tests_that_a_document_shows_pass(document: Path, site: Path) -> None:
    env = project.build(site, snippets(document))
    files = files_with_tests(document)
    # Django never closes a connection to a database in memory, which Python 3.13 remarks on.
    strict = ("-W", "error", "-W", "ignore::ResourceWarning")
    ran = run(site, env, *strict, "-m", "pytest", "--ds=settings", "-p", "no:randomly", "-p", "no:cacheprovider", *files)
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


@pytest.mark.parametrize("snippet", alternatives(), ids=lambda snippet: f"{snippet.variant}-{snippet.line}")
def test_alternative_settings_are_in_order(snippet: Snippet, site: Path) -> None:
    assert snippet.path == "settings.py"
    if "backends.mysql" in snippet.code and importlib.util.find_spec("MySQLdb") is None:
        pytest.skip("Django cannot load its MySQL backend: the extra `mysql`, built from source, is not installed")
    env = project.build(site, [])
    project.append(site / "settings.py", snippet.code)
    ran = run(site, env, "-W", "error", "manage.py", "check", "--fail-level", "INFO")
    assert ran.returncode == 0, ran.stdout


def run(site: Path, env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *args]
    return subprocess.run(
        command, cwd=site, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
    )
