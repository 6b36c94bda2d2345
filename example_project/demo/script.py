"""What is played: real runs of the example's apps, started as their views start them, and what each promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from durable_workflows import SetWorkflowID
from durable_workflows.states import RunState
from example_project.approvals.models import Expense
from example_project.approvals.workflows import approve_expense
from example_project.demo.books import Act, Promise, counted
from example_project.hooks.workflows import tracking_id
from example_project.library import texts
from example_project.library.workflows import indexing_workflow
from example_project.reminders.models import Reminder
from example_project.reminders.workflows import schedule_reminder
from example_project.shop import gateway
from example_project.shop.models import Product
from example_project.shop.workflows import checkout_workflow

PACE = 0.25  # seconds between the steps of a checkout
REMINDER_SECONDS = 5
PARCEL = "DEMO-1"


@dataclass(frozen=True, slots=True)
class Checkout:
    """Somebody buys something."""

    customer: str
    card: str
    items: Mapping[str, int]

    @property
    def run_id(self) -> str:
        return f"checkout-{self.customer.lower()}"

    @property
    def sold(self) -> bool:
        return self.card != gateway.DECLINED


# The first is the one in which the worker is killed.
CHECKOUTS = (
    Checkout("Ada", "4242", {"lamp": 2, "pencils": 1}),
    Checkout("Grace", gateway.FLAKY, {"globe": 1, "notebook": 4}),
    Checkout("Emmy", gateway.DECLINED, {"lamp": 1, "telescope": 1}),
)
TITLES = {"4242": "{}'s checkout", gateway.FLAKY: "{}'s, poor network", gateway.DECLINED: "{}'s, card declined"}
# How many statements a checkout of two goods executes inside the open transactions of its steps.
STATEMENTS = 23


def start() -> list[Act]:
    """Start all runs; the parcel's events come over HTTP."""
    stock = dict(Product.objects.values_list("sku", "stock"))
    acts = [_start_checkout(checkout) for checkout in CHECKOUTS]
    acts += [_start_index(), _start_reminder(), *_webhooks(), _start_approval()]
    return [*acts, _shelves(stock)]


def _start_checkout(checkout: Checkout) -> Act:
    with SetWorkflowID(checkout.run_id):
        checkout_workflow.start(dict(checkout.items), checkout.customer, checkout.card, PACE)
    return Act(TITLES[checkout.card].format(checkout.customer), checkout.run_id, _promises(checkout))


def _promises(checkout: Checkout) -> tuple[Promise, ...]:
    run_id, lines, sold = checkout.run_id, len(checkout.items), int(checkout.sold)
    of_order = "order_id IN (SELECT id FROM shop_order WHERE run_id = ?)"
    moved = f"SELECT count(*) FROM shop_stockmovement WHERE {of_order}"
    status = "fulfilled" if sold else "cancelled"
    return (
        counted("order", 1, "SELECT count(*) FROM shop_order WHERE run_id = ?", run_id),
        counted("lines", lines, f"SELECT count(*) FROM shop_orderline WHERE {of_order}", run_id),
        counted("reserved", lines, f"{moved} AND quantity < 0", run_id),
        Promise("charged", sold, lambda books: len(gateway.charges(run_id))),
        counted("booked", sold, f"SELECT count(*) FROM shop_ledgerentry WHERE {of_order}", run_id),
        counted("sent", sold, f"SELECT count(*) FROM shop_shipment WHERE {of_order}", run_id),
        counted("put back", 0 if sold else lines, f"{moved} AND quantity > 0", run_id),
        counted(status, 1, "SELECT count(*) FROM shop_order WHERE run_id = ? AND status = ?", run_id, status),
    )


def _shelves(stock: Mapping[str, int]) -> Act:
    sold = {sku: 0 for checkout in CHECKOUTS for sku in checkout.items}
    for checkout in CHECKOUTS:
        for sku, quantity in checkout.items.items():
            sold[sku] += quantity * checkout.sold
    sql = "SELECT stock FROM shop_product WHERE sku = ?"
    return Act("left on the shelves", None, tuple(counted(sku, stock[sku] - n, sql, sku) for sku, n in sold.items()))


def _start_index() -> Act:
    with SetWorkflowID("index"):
        indexing_workflow.start(texts.paths())
    number = len(texts.paths())
    words = sum(count for path in texts.paths() for count in dict(texts.terms(texts.load(path).body)).values())
    done = "SELECT count(*) FROM durable_workflows_workflowrun WHERE parent_id = 'index' AND status = 'SUCCESS'"
    return Act(f"index of {number} texts", "index", (
        counted("children", number, done),
        counted("texts", number, "SELECT count(*) FROM library_document"),
        counted("words", words, "SELECT sum(count) FROM library_posting"),
        counted("sums noted", 1, "SELECT count(*) FROM library_build WHERE run_id = 'index' AND words = ?", words),
    ))  # fmt: skip


@transaction.atomic
def _start_reminder() -> Act:
    due_at = timezone.now() + timedelta(seconds=REMINDER_SECONDS)
    reminder = Reminder.objects.create(email="you@example.org", text="Water the plants", due_at=due_at)
    with SetWorkflowID(reminder.run_id):
        schedule_reminder.start(reminder.pk, due_at)
    sent = "SELECT count(*) FROM reminders_reminder WHERE id = ? AND sent_at >= due_at"
    return Act(f"reminder in {REMINDER_SECONDS} s", reminder.run_id, (counted("sent in time", 1, sent, reminder.pk),))


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook's event, and how often it is delivered."""

    kind: str
    times: int

    @property
    def id(self) -> str:
        return f"evt-{self.kind}"

    def content(self) -> dict[str, str]:
        """What is posted."""
        return {"id": self.id, "type": f"parcel.{self.kind}", "parcel": PARCEL}


SENT, DELIVERED = Event("sent", 3), Event("delivered", 2)


def _webhooks() -> list[Act]:
    settled = "SELECT count(*) FROM hooks_parcel WHERE number = ? AND status = 'delivered'"
    return [
        _webhook(SENT),
        Act("parcel, awaits an event", tracking_id(PARCEL), (
            counted("opened", 1, "SELECT count(*) FROM hooks_parcel WHERE number = ?", PARCEL),
            counted("delivered", 1, settled, PARCEL),
        )),
        _webhook(DELIVERED),
    ]  # fmt: skip


def _webhook(event: Event) -> Act:
    return Act(f"event “{event.kind}”", f"hook-{event.id}", (
        counted("posted", event.times, "SELECT count(*) FROM hooks_delivery WHERE event_id = ?", event.id),
        counted("handled", 1, "SELECT count(*) FROM hooks_handledevent WHERE event_id = ?", event.id),
    ))  # fmt: skip


@transaction.atomic
def _start_approval() -> Act:
    expense = Expense.objects.create(
        what="Train to the conference", amount=84, employee_email="you@example.org", approver_email="boss@example.org"
    )
    with SetWorkflowID(expense.run_id):
        approve_expense.start(expense.pk)
    return Act("expense approval", expense.run_id, ends=RunState.WAITING, hint="for your answer: follow the link in /outbox/")
