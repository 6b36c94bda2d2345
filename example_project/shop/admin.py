"""The shop's rows in the admin."""

# mypy: disable-error-code="type-arg"
# Django's admin classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django.contrib import admin

from example_project.shop.models import LedgerEntry, Order, OrderLine, Product, Shipment, StockMovement


class LineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "price", "stock"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["pk", "customer", "status", "reason", "created_at"]
    list_filter = ["status"]
    search_fields = ["customer", "run_id"]
    inlines = [LineInline]


@admin.register(StockMovement, LedgerEntry, Shipment)
class EffectAdmin(admin.ModelAdmin):
    list_display = ["__str__", "order", "created_at"]
