"""The shop's pages: fill a cart, watch the checkout, crash it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from durable_workflows import SetWorkflowID, cancel_workflow, fork_workflow
from example_project import runs
from example_project.shop import crash, gateway
from example_project.shop.forms import CheckoutForm, OtherCardForm
from example_project.shop.models import LedgerEntry, Order, Shipment, StockMovement
from example_project.shop.workflows import checkout_workflow


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step does, and how often it was done."""

    what: str
    times: int


def index(request: HttpRequest) -> HttpResponse:
    """The shelves and the latest orders; a POST starts a checkout."""
    form = CheckoutForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return redirect("shop:watch", start_checkout(form))
    return render(request, "shop/index.html", {"form": form, "orders": Order.objects.all()[:10]})


def start_checkout(form: CheckoutForm) -> str:
    """Start the workflow and return its id; the same form sent again gives the same checkout."""
    data = form.cleaned_data
    with SetWorkflowID(f"checkout-{data['token']}"), transaction.atomic():
        handle = checkout_workflow.start(form.items, data["customer"], data["card"], float(data["pace"]))
    return handle.workflow_id


@require_safe
def watch(request: HttpRequest, run_id: str) -> HttpResponse:
    """One checkout, live."""
    return render(request, "shop/watch.html", facts(run_id))


@require_safe
def progress(request: HttpRequest, run_id: str) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "shop/_progress.html", facts(run_id))


@require_POST
def call_off(request: HttpRequest, run_id: str) -> HttpResponse:
    """Cancel a checkout; its saga puts back what it has done. One that has ended stays as it is."""
    checkout_of(run_id)
    cancel_workflow(run_id)
    return redirect("shop:watch", run_id)


@require_POST
def again(request: HttpRequest, run_id: str) -> HttpResponse:
    """
    Sell the same goods with another card: a fork of the checkout from its first step, with other arguments.

    It is a run of its own with an order of its own, and its page in the admin names the one that it comes from.
    """
    order, form = checkout_of(run_id), OtherCardForm(request.POST)
    if not form.is_valid() or order.status != Order.Status.CANCELLED:
        return redirect("shop:watch", run_id)
    items = {line.product.sku: line.quantity for line in order.lines.select_related("product")}
    with SetWorkflowID(f"checkout-{form.cleaned_data['token']}"):
        fork = fork_workflow(run_id, 1, args=[items, order.customer, form.cleaned_data["card"]])
    return redirect("shop:watch", fork.workflow_id)


def checkout_of(run_id: str) -> Order:
    """The order of a checkout; what is no checkout is not touched from here."""
    return get_object_or_404(Order, run_id=run_id)


@require_POST
def crash_worker(request: HttpRequest, run_id: str) -> HttpResponse:
    """Let the next step of this checkout kill its worker; in DEBUG only."""
    if not settings.DEBUG or not runs.find(run_id):
        raise Http404
    crash.arm(run_id)
    return redirect("shop:watch", run_id)


def facts(run_id: str) -> dict[str, Any]:
    """What is known of a checkout: its run, its order, and the effects in both books."""
    run = runs.find(run_id)
    if run is None:
        raise Http404("There is no such checkout.")
    order = Order.objects.filter(run_id=run_id).first()
    return {
        "other_card": OtherCardForm() if order and order.status == Order.Status.CANCELLED else None,
        "run": run,
        "order": order,
        "armed": crash.armed(run_id),
        "effects": effects(run_id),
        "calls": gateway.calls(run_id),
    }


def effects(run_id: str) -> list[Effect]:
    """How often each step of this checkout has left its effect: never more than once, or the engine is broken."""
    orders = Order.objects.filter(run_id=run_id)
    lines = max(1, orders.aggregate(lines=Count("lines"))["lines"])
    moved = StockMovement.objects.filter(order__in=orders)
    return [
        Effect("Order written", orders.count()),
        Effect("Goods taken from the shelf", ceil(moved.filter(quantity__lt=0).count() / lines)),
        Effect("Card charged, in the provider's books", len(gateway.charges(run_id))),
        Effect("Payment booked, in the shop's books", LedgerEntry.objects.filter(order__in=orders).count()),
        Effect("Parcel sent", Shipment.objects.filter(order__in=orders).count()),
        Effect("Goods put back", ceil(moved.filter(quantity__gt=0).count() / lines)),
    ]
