"""Reliable workflows."""

from __future__ import annotations

import durable_workflows as DBOS  # noqa: N812 - the name that the program knows
from tests.seed.effects import leave


@DBOS.step()
def create_order() -> int:
    leave("create_order")
    return 1


@DBOS.step()
def reserve_inventory(order: int, items: list[str]) -> None:
    leave("reserve_inventory")


@DBOS.step()
def process_payment(order: int, items: list[str]) -> str:
    leave("process_payment")
    return "declined" if "gold" in items else "paid"


@DBOS.step()
def fulfill_order(order: int) -> None:
    leave("fulfill_order")


@DBOS.step()
def undo_reserve_inventory(order: int, items: list[str]) -> None:
    leave("undo_reserve_inventory")


@DBOS.step()
def cancel_order(order: int) -> None:
    leave("cancel_order")


# As it is written there.
# fmt: off

@DBOS.workflow()
def checkout_workflow(items):
   order = create_order()
   reserve_inventory(order, items)
   payment_status = process_payment(order, items)
   if payment_status == 'paid':
       fulfill_order(order)
   else:
       undo_reserve_inventory(order, items)
       cancel_order(order)
