"""Many senders at once, each a thread with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


def at_once(posts: Sequence[Callable[[], T]], threads: int = 40) -> list[T]:
    """
    Do all of these, beginning together, so many at a time.

    :returns: what they returned, in their order.
    """
    together = min(threads, len(posts))
    ready = threading.Barrier(together)
    with ThreadPoolExecutor(together) as pool:
        shares = [pool.submit(_share, posts[number::together], ready) for number in range(together)]
        results: list[Any] = [None] * len(posts)
        for number, share in enumerate(shares):
            results[number::together] = share.result()
    return results


def _share(posts: Sequence[Callable[[], T]], ready: threading.Barrier) -> list[T]:
    try:
        ready.wait(30)
        return [post() for post in posts]
    finally:
        connections.close_all()
