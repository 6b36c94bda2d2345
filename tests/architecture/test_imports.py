"""Who may import whom: the contracts of setup.cfg, and what no contract can say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

from tests.architecture.source import Module, modules, outside
from tests.processes import ROOT

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
LOADERS = {"importlib.import_module", "django.utils.module_loading.import_string", "pydoc.locate", "pkgutil.resolve_name"}

ROOT_ALONE = """
import sys
import durable_workflows
from django.conf import settings
assert not settings.configured, "importing the package read the settings"
loaded = [name for name in sys.modules if name.startswith(("durable_workflows.models", "durable_workflows.engine", "django.contrib"))]
assert not loaded, f"importing the package loaded {loaded}"
print(durable_workflows.__version__)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


def test_the_contracts_of_setup_cfg_hold() -> None:
    ran = python("import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))")
    assert ran.returncode == 0, (ran.stdout + ran.stderr).partition("Broken contracts")[2].strip(
        "- \n"
    ) or ran.stdout + ran.stderr
    assert "0 broken" in ran.stdout


def test_the_package_can_be_imported_before_any_model_may_load() -> None:
    ran = python(ROOT_ALONE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_functions_import_only_at_the_door_and_in_the_wiring() -> None:
    late = [
        module.at(node)
        for module in outside("runtime", "apps")
        for function in module.functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not late, f"Import at the top of the file, or go through durable_workflows.runtime: {late}"


def test_modules_are_loaded_by_name_only_at_the_door_in_the_wiring_and_for_settings() -> None:
    loads = [
        module.at(node)
        for module in outside("runtime", "apps", "conf")  # what a project's settings name is code
        for node in ast.walk(module.tree)
        if module.meaning(node) in LOADERS
    ]
    assert not loads, f"Nothing is imported by a name found in a row: {loads}"


def test_nothing_can_turn_data_into_code() -> None:
    found = [place for module in modules() for place in code_from_data(module)]
    assert not found, f"Payloads are JSON, never code: {found}"


def code_from_data(module: Module) -> list[str]:
    named = {name.split(".")[0] for name in module.imported.values()} & FORBIDDEN_MODULES
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [f"{module.name}: {name}" for name in named] + [
        f"{module.at(call)}: {call.func.id}"
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in FORBIDDEN_CALLS
    ]
