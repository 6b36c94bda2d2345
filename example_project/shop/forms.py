"""The cart."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms

from example_project.shop.models import Product

CARDS = [
    ("4242", "•••• 4242, works"),
    ("0119", "•••• 0119, works at the third try"),
    ("0002", "•••• 0002, is declined"),
]
PREFIX = "of-"


class CheckoutForm(forms.Form):
    """
    What to buy, for whom and with which card.

    ``token`` names the checkout: a form that is sent twice, by a double click or a reload, is one checkout.
    """

    customer = forms.CharField(max_length=80, initial="Ada", label="Your name")
    card = forms.ChoiceField(choices=CARDS)
    pace = forms.ChoiceField(
        choices=[("2", "slowly, two seconds between the steps"), ("0", "at full speed")], label="Go through the steps"
    )
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for place, product in enumerate(Product.objects.all()):
            self.fields[PREFIX + product.sku] = QuantityField(product, initial=1 if place == 0 else 0)

    @property
    def shelves(self) -> list[tuple[Product, forms.BoundField]]:
        """Each product with its field."""
        bound = [self[name] for name in self.fields if name.startswith(PREFIX)]
        return [(field.field.product, field) for field in bound if isinstance(field.field, QuantityField)]

    @property
    def items(self) -> dict[str, int]:
        """How many of which sku; products that nobody asked for are left out."""
        asked = {name: value for name, value in self.cleaned_data.items() if name.startswith(PREFIX)}
        return {name.removeprefix(PREFIX): quantity for name, quantity in asked.items() if quantity}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors and not self.items:
            raise forms.ValidationError("Put something in the cart first.")
        return cleaned


class OtherCardForm(forms.Form):
    """With which card a checkout that came to nothing is tried again; ``token`` names the new one."""

    card = forms.ChoiceField(choices=CARDS)
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)


class QuantityField(forms.IntegerField):
    """How many of one product."""

    def __init__(self, product: Product, initial: int) -> None:
        super().__init__(min_value=0, max_value=99, required=False, initial=initial, label=f"How many of {product.name}")
        self.product = product
