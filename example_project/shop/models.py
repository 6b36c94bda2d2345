"""
What the shop keeps.

No row here is unique per order and effect, on purpose: were a step's writes ever doubled, the tables would show it and
the counts on the pages would be wrong. The engine keeps them single, not a constraint.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Sum


def euros(cents: int) -> str:
    """An amount of cents as people write it."""
    return f"{'-' if cents < 0 else ''}€{abs(cents) // 100:,}.{abs(cents) % 100:02}"


class Product(models.Model):
    """Something on the shelves."""

    sku = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    price_cents = models.PositiveIntegerField()
    stock = models.PositiveIntegerField()

    class Meta:
        ordering = ["price_cents", "sku"]

    def __str__(self) -> str:
        return self.name

    @property
    def price(self) -> str:
        return euros(self.price_cents)


class Order(models.Model):
    """One checkout's order; ``run_id`` is the workflow run that looks after it."""

    class Status(models.TextChoices):
        CREATED = "created"
        RESERVED = "reserved"
        PAID = "paid"
        FULFILLED = "fulfilled"
        CANCELLED = "cancelled"

    run_id = models.CharField(max_length=255, db_index=True)
    customer = models.CharField(max_length=80)
    status = models.CharField(max_length=12, choices=Status, default=Status.CREATED)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"order {self.pk} of {self.customer}"

    @property
    def total_cents(self) -> int:
        total: int | None = self.lines.aggregate(total=Sum(F("quantity") * F("price_cents")))["total"]
        return total or 0

    @property
    def total(self) -> str:
        return euros(self.total_cents)


class OrderLine(models.Model):
    """So many of one product, at the price of that day."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField()
    price_cents = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"


class StockMovement(models.Model):
    """A change of a product's stock, and why: negative when goods are taken."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="movements")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.IntegerField()
    reason = models.CharField(max_length=20)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.quantity:+} x {self.product}, {self.reason}"


class LedgerEntry(models.Model):
    """Money received, in the shop's own books; ``reference`` is the payment in the gateway's."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="ledger")
    amount_cents = models.IntegerField()
    reference = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{euros(self.amount_cents)} for order {self.order_id}"


class Shipment(models.Model):
    """A parcel that left the house."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="shipments")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"shipment of order {self.order_id}"
