"""What a contender is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.protocol import Hello


class Contender(ABC):
    """
    One system under measure.

    Its operations are methods that take how many units to do and return ``Measured``; a scenario names them.

    :param url: ``postgresql://user@host:port/name`` or ``sqlite:////path``: a fresh database of its own.
    """

    semantics: ClassVar[Mapping[str, str]] = {}
    absent: ClassVar[Mapping[str, str]] = {}

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """What it is made of, by name."""

    @abstractmethod
    def prepare(self) -> None:
        """Make its tables; called once per database."""

    @abstractmethod
    def close(self) -> None:
        """End threads and connections."""

    def hello(self) -> Hello:
        return Hello(versions=self.versions(), semantics=self.semantics, absent=self.absent)
