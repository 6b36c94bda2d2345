"""
The checkout: order, inventory, payment, then fulfil. Until it is paid, a saga undoes it if it fails or is called off.

Each step is a transaction of its own: its rows and the record that it is done are committed together. The one effect
outside the database, charging the card, carries the step's idempotency key, so a charge that is tried again after a
crash is the same charge.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import F

from durable_workflows import StepRetriesExceeded, current, saga, sleep, step, workflow
from example_project.shop import gateway
from example_project.shop.crash import crash_point
from example_project.shop.models import LedgerEntry, Order, OrderLine, Product, Shipment, StockMovement


class OutOfStock(Exception):
    """There is less on the shelf than was ordered."""


@workflow
def checkout_workflow(items: dict[str, int], customer: str, card: str, pace: float = 0.0) -> str:
    """
    Sell ``items`` to ``customer``.

    :param items: how many of which product, by its sku.
    :param card: the last four digits of a card; see ``gateway``.
    :param pace: seconds to rest between the steps, so that somebody can watch; the rests are durable too.
    :return: the order's final status.
    """
    order = create_order(items, customer)
    rest(pace)
    try:
        with saga() as sale:
            total = reserve_inventory(order)
            sale.undo(undo_reserve_inventory, order)
            rest(pace)
            sale.undo(refund_card)  # before the charge, which may be made and never recorded
            reference = charge_card(total, card)
            record_payment(order, total, reference)
    except (OutOfStock, gateway.CardDeclined) as error:
        return cancel_order(order, str(error))
    except StepRetriesExceeded:
        return cancel_order(order, "The payment provider could not be reached.")
    rest(pace)
    return fulfill_order(order)


def here() -> tuple[str, str]:
    """The id of this run, which ties order and charge to it, and the key of this step, the same at each attempt."""
    run = current()
    if run is None:
        raise RuntimeError("A checkout's steps need its workflow: call checkout_workflow().")
    return run.workflow_id, run.idempotency_key


def rest(pace: float) -> None:
    """Sleep durably, unless nobody watches."""
    if pace:
        sleep(pace)


@step
def create_order(items: Mapping[str, int], customer: str) -> int:
    """Write the order and its lines; returns its number."""
    run_id, _ = here()
    order = Order.objects.create(run_id=run_id, customer=customer)
    products = Product.objects.in_bulk(list(items), field_name="sku")
    OrderLine.objects.bulk_create(
        OrderLine(order=order, product=products[sku], quantity=quantity, price_cents=products[sku].price_cents)
        for sku, quantity in items.items()
    )
    crash_point()
    return order.pk


@step
def reserve_inventory(order: int) -> int:
    """Take the order's goods off the shelves; returns what they cost, in cents."""
    reserved = Order.objects.get(pk=order)
    # In the order of the products, so that two checkouts of the same goods wait for each other and never in a circle.
    for line in reserved.lines.select_related("product").order_by("product"):
        take_from_shelf(line)
    reserved.status = Order.Status.RESERVED
    reserved.save(update_fields=["status"])
    crash_point()
    return reserved.total_cents


def take_from_shelf(line: OrderLine) -> None:
    """One line's goods; the condition is in the UPDATE, so that two buyers cannot both get the last one."""
    left = Product.objects.filter(pk=line.product_id, stock__gte=line.quantity)
    if not left.update(stock=F("stock") - line.quantity):
        raise OutOfStock(f"Not enough of {line.product} in stock.")
    StockMovement.objects.create(order_id=line.order_id, product_id=line.product_id, quantity=-line.quantity, reason="reserved")


def may_help(error: BaseException) -> bool:
    """Whether to ask the payment provider again."""
    return isinstance(error, gateway.GatewayUnavailable)


@step(max_attempts=4, interval_seconds=1.0, should_retry=may_help)
def charge_card(total: int, card: str) -> str:
    """Ask the payment provider, which is outside the database; returns its reference."""
    run_id, key = here()
    reference = gateway.charge(total, card, idempotency_key=key, purpose=run_id)
    crash_point()
    return reference


@step(max_attempts=10, interval_seconds=1.0)
def refund_card() -> None:
    """Give back whatever this checkout has charged; if that is nothing, nothing happens."""
    run_id, _ = here()
    gateway.refund(run_id)
    crash_point()


@step
def record_payment(order: int, total: int, reference: str) -> None:
    """Enter the payment in the shop's own books."""
    LedgerEntry.objects.create(order_id=order, amount_cents=total, reference=reference)
    Order.objects.filter(pk=order).update(status=Order.Status.PAID)
    crash_point()


@step
def fulfill_order(order: int) -> str:
    """Send the parcel."""
    Shipment.objects.create(order_id=order)
    Order.objects.filter(pk=order).update(status=Order.Status.FULFILLED)
    crash_point()
    return Order.Status.FULFILLED.value


@step
def undo_reserve_inventory(order: int) -> None:
    """Put the goods back, and close the order; if it failed for a reason, that is written over this one."""
    for line in OrderLine.objects.filter(order=order).order_by("product"):
        Product.objects.filter(pk=line.product_id).update(stock=F("stock") + line.quantity)
        StockMovement.objects.create(order_id=order, product_id=line.product_id, quantity=line.quantity, reason="put back")
    Order.objects.filter(pk=order).update(status=Order.Status.CANCELLED, reason="The checkout was called off.")
    crash_point()


@step
def cancel_order(order: int, reason: str) -> str:
    """Close the order unsold, with the reason."""
    Order.objects.filter(pk=order).update(status=Order.Status.CANCELLED, reason=reason)
    crash_point()
    return Order.Status.CANCELLED.value
