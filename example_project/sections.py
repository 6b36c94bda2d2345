"""The six parts of the example, as the menu and the home page show them."""

from __future__ import annotations

from dataclasses import dataclass

from django.apps import apps


@dataclass(frozen=True, slots=True)
class Section:
    """
    One app of the example.

    :param app: its label, which is also its URL namespace.
    :param title: its name in the menu.
    :param promise: what it shows, in one sentence.
    :param model: the model whose rows the home page counts.
    :param counted: what one such row is called.
    """

    app: str
    title: str
    promise: str
    model: str
    counted: str

    @property
    def url_name(self) -> str:
        """The name of its first page."""
        return f"{self.app}:index"

    def count(self) -> int:
        """How many rows of its model there are now."""
        return int(apps.get_model(self.app, self.model)._default_manager.count())


SECTIONS = (
    Section(
        "shop",
        "Shop",
        "A checkout of several steps that survives a killed worker: every step's rows exist once, whatever happens.",
        "Order",
        "order",
    ),
    Section(
        "reminders",
        "Reminders",
        "A reminder that waits for seconds or for months without a thread, a process or a byte of memory.",
        "Reminder",
        "reminder",
    ),
    Section(
        "reports",
        "Reports",
        "A job that runs once an hour, exactly once, however many workers are up.",
        "HourlyReport",
        "report",
    ),
    Section(
        "library",
        "Library",
        "A pipeline that fans out over a folder of texts, counts their words on a queue with limits and collects every result.",
        "Document",
        "indexed text",
    ),
    Section(
        "hooks",
        "Webhooks",
        "A signed webhook that answers at once and handles each event once, however often it is delivered.",
        "HandledEvent",
        "handled event",
    ),
    Section(
        "approvals",
        "Approvals",
        "An expense that waits until somebody follows the signed link in an email and answers the form.",
        "Expense",
        "expense",
    ),
)
