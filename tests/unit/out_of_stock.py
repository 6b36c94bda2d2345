"""An error whose module the tests load in one process and not in another."""

from __future__ import annotations


class OutOfStock(Exception):
    def __init__(self, sku: str, *, left: int) -> None:
        super().__init__(f"{sku}: {left} left")
        self.left = left
