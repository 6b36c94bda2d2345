"""What has one place in the package: settings, time, statuses, log lines."""

from __future__ import annotations

import ast

from tests.architecture.source import Module, modules, outside

CLOCKS = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "django.utils.timezone.now",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.sleep",
    "time.time",
    "time.time_ns",
}
WRITES = {"update", "aupdate", "create", "acreate", "get_or_create", "update_or_create"}


def uses(module: Module, names: set[str]) -> list[str]:
    return [
        f"{module.at(node)}: {module.meaning(node)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and module.meaning(node) in names
    ]


def test_the_settings_are_read_only_in_conf() -> None:
    read = [use for module in outside("conf") for use in uses(module, {"django.conf.settings"})]
    assert not read, f"Ask durable_workflows.conf instead: {read}"


def test_the_time_is_read_only_in_clock() -> None:
    read = [use for module in outside("clock") for use in uses(module, CLOCKS)]
    assert not read, f"Ask durable_workflows.clock, which tests can move, instead: {read}"


def test_a_status_is_written_only_in_models() -> None:
    written = [place for module in outside("models") for place in status_writes(module)]
    assert not written, f"Use a transition of durable_workflows.models instead: {written}"


def status_writes(module: Module) -> list[str]:
    return [module.at(node) for node in ast.walk(module.tree) if assigns_status(node) or passes_status(node)]


def assigns_status(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store | ast.Del)


def passes_status(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if isinstance(node.func, ast.Name) and node.func.id == "setattr":
        return any(isinstance(arg, ast.Constant) and arg.value == "status" for arg in node.args)
    return method in WRITES and any(keyword.arg == "status" for keyword in node.keywords)


def test_only_log_words_log_lines() -> None:
    # context makes the logger that current() hands to users.
    logging = [
        f"{module.name}: imports logging" for module in outside("log", "context") if "logging" in module.imported.values()
    ]
    assert not logging, f"Send a signal; durable_workflows.log words the line: {logging}"


def test_the_rules_would_notice() -> None:
    """The readers above find what they look for, where it is allowed."""
    by_room = {room: [module for module in modules() if module.room == room] for room in ("conf", "clock", "models")}
    assert any(uses(module, {"django.conf.settings"}) for module in by_room["conf"])
    assert any(uses(module, CLOCKS) for module in by_room["clock"])
    assert any(status_writes(module) for module in by_room["models"])
