"""What docs/api.md tells to type is typed, and it tells of each endpoint."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from django.urls import Resolver404, resolve

from durable_workflows import workflow
from durable_workflows.api.problems import TYPES
from durable_workflows.api.table import ENDPOINTS
from durable_workflows.testing import drain
from tests.admin.rows import make_queue
from tests.api import site
from tests.api.conftest import Asker
from tests.api.requests import make_rows
from tests.processes import ROOT

TEXT = (ROOT / "docs" / "api.md").read_text()
LINES = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("$ curl")
]


def typed(line: str) -> tuple[str, str, bytes | None]:
    """Method, address and body of a curl command."""
    words = shlex.split(line.replace("$API", "/durable/api"))
    body = words[words.index("--json") + 1].encode() if "--json" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else "GET" if body is None else "POST"
    [address] = [word for word in words if word.startswith("/durable/api")]
    return method, address, body


@pytest.mark.django_db
def test_the_commands_do_what_they_are_for(root: Asker) -> None:
    workflow(name="shop.pack")(site.pack)
    workflow(name="shop.deliver")(site.deliver)
    make_rows()
    make_queue("slow")
    asked = set()
    for line in LINES:
        method, address, body = typed(line)
        response = root(method, address, body)
        assert response.status_code < 400, (line, response.content)
        asked.add((method, resolve(address.partition("?")[0]).url_name))
        drain()
    untold = {each.name for each in ENDPOINTS if (each.method, first_of(each.path)) not in asked} - BULK
    assert not untold, f"no curl command shows {untold}"


BULK = {each.name for each in ENDPOINTS if each.path.startswith("bulk/")}


def first_of(path: str) -> str:
    """Under which name a path is registered."""
    return next(each.name for each in ENDPOINTS if each.path == path)


def test_each_endpoint_and_each_problem_is_told() -> None:
    for endpoint in ENDPOINTS:
        told = endpoint.path if endpoint.path.startswith("bulk/") else f"{endpoint.method} {endpoint.path}"
        row = re.search(rf"^\| .*`(?:POST )?{re.escape(told)}`.* \|$", TEXT, re.MULTILINE)
        assert row, told
        if endpoint.permission and not endpoint.path.startswith("bulk/"):
            assert f"`{endpoint.permission}`" in row[0]
            fields = [*endpoint.body, *(endpoint.query if not endpoint.reads else ())]
            missing = [field.name for field in fields if f"`{field.name}`" not in row[0] and endpoint.name != "start_run"]
            assert not missing, (endpoint.name, missing)
    for kind in TYPES:
        assert f"| `{kind.name}` | {kind.status} |" in TEXT, kind.name


def test_the_example_has_it(settings: object) -> None:
    from example_project import urls

    assert json.dumps([str(pattern.pattern) for pattern in urls.urlpatterns]).count("durable/api/") == 1
    with pytest.raises(Resolver404):
        resolve("/durable/nothing")
