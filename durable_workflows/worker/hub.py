"""Who waits for what in this process, and how they hear of it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence


class Hub:
    """
    Waiters by run id, and the bell that claimers listen to.

    All it tells is a hint: whoever is woken looks at the rows, and looks at them from time to time without.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._bells: set[threading.Event] = set()

    def park(self, keys: Sequence[str], seconds: float) -> None:
        """Block until one of the keys is rung, or the time is over."""
        if seconds <= 0:
            return
        event = threading.Event()
        with self._lock:
            for key in keys:
                self._waiters[key].add(event)
        try:
            event.wait(seconds)
        finally:
            self._leave(keys, event)

    def _leave(self, keys: Sequence[str], event: threading.Event) -> None:
        with self._lock:
            for key in keys:
                self._waiters[key].discard(event)
                if not self._waiters[key]:
                    del self._waiters[key]

    def ring(self, key: str) -> None:
        """Wake who waits for this key."""
        if key in self._waiters:
            with self._lock:
                for event in self._waiters.get(key, ()):
                    event.set()

    def add_bell(self, bell: threading.Event) -> None:
        """Have this event set whenever something became claimable."""
        with self._lock:
            self._bells.add(bell)

    def remove_bell(self, bell: threading.Event) -> None:
        """No longer."""
        with self._lock:
            self._bells.discard(bell)

    def chime(self) -> None:
        """Something became claimable: have the claimers of this process look."""
        with self._lock:
            bells = list(self._bells)
        for bell in bells:
            bell.set()
