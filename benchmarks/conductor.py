"""The course of a run: fresh databases, repetitions in turn, then one counted pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.arena import Arena
from benchmarks.case import Case, Entry
from benchmarks.databases import Postgres, Server
from benchmarks.protocol import Hello, Measured
from benchmarks.wire import CountingProxy

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one unit takes: measured between a small and a large pass, so that starting up is not part of it."""

    trips: float
    commits: float
    wal_bytes: float


@dataclass(slots=True)
class Outcome:
    """What became of one entry of a case."""

    entry: Entry
    hello: Hello
    repetitions: list[Measured] = field(default_factory=list)
    costs: Costs | None = None

    @property
    def absent(self) -> str:
        """Why there is nothing, or ""."""
        return self.hello.absent.get(self.entry.operation, "")

    @property
    def rates(self) -> list[float]:
        return [measured.rate for measured in self.repetitions]

    @property
    def cpu(self) -> float:
        """Seconds of the contender's processor time for a unit."""
        return median(measured.cpu / measured.count for measured in self.repetitions)

    def latencies(self, name: str) -> list[float]:
        """All repetitions' latencies of one name, sorted."""
        return sorted(value for measured in self.repetitions for value in measured.latencies.get(name, ()))


@dataclass(slots=True)
class Result:
    """What became of a case."""

    case: Case
    kind: str
    outcomes: list[Outcome]

    def of(self, title: str) -> Outcome | None:
        """The outcome of the entry with this title, if it took part."""
        return next((outcome for outcome in self.outcomes if outcome.entry.title == title and outcome.repetitions), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conductor:
    """
    Carries cases out.

    :param repeat: repetitions of each entry, in turn and back again: ABC CBA ABC.
    """

    server: Server
    repeat: int
    quick: bool
    costs: bool
    say: Say

    def run(self, case: Case) -> Result:
        """Measure a case."""
        entries = case.entries_on(self.server.kind)
        with self._arenas(case, entries) as arenas:
            outcomes = [Outcome(entry, self._prepare(arena)) for entry, arena in zip(entries, arenas, strict=True)]
            present = [pair for pair in zip(outcomes, arenas, strict=True) if not pair[0].absent]
            for number in range(self.repeat):
                for outcome, arena in present if number % 2 == 0 else reversed(present):
                    self.say(f"{case.key} on {self.server.kind}, {number + 1} of {self.repeat}: {outcome.entry.title}")
                    self.server.settle()
                    outcome.repetitions.append(self._once(case, arena, outcome.entry, self._size(case, outcome.entry)))
            if self.costs and case.counted and isinstance(self.server, Postgres):
                for outcome, arena in present:
                    self.say(f"{case.key}: counting what {outcome.entry.title} costs")
                    outcome.costs = self._count(self.server, case, arena, outcome.entry)
        return Result(case, self.server.kind, outcomes)

    def _size(self, case: Case, entry: Entry) -> int:
        return max(1, round((case.quick if self.quick else case.size) * entry.share))

    @contextmanager
    def _arenas(self, case: Case, entries: Sequence[Entry]) -> Iterator[list[Arena]]:
        names = [f"bench_{case.key.lower()}_{number}" for number in range(len(entries))]
        try:
            yield [
                Arena(contender=entry.contender, database=name, url=self.server.create(name))
                for entry, name in zip(entries, names, strict=True)
            ]
        finally:
            for name in names:
                self.server.drop(name)

    def _prepare(self, arena: Arena) -> Hello:
        with arena.process() as process:
            process.call("prepare")
            return process.hello

    def _once(self, case: Case, arena: Arena, entry: Entry, size: int) -> Measured:
        case.ready(arena, entry, size)
        return case.measure(arena, entry, size)

    def _count(self, server: Postgres, case: Case, arena: Arena, entry: Entry) -> Costs | None:
        if entry.contender == "pgbench":
            return None
        small, large = case.counted, case.counted * 3
        self._counted_pass(server, case, (arena, entry), small)  # pays for the full pages that a checkpoint asks for
        first = self._counted_pass(server, case, (arena, entry), small)
        second = self._counted_pass(server, case, (arena, entry), large)
        trips, commits, wal = ((after - before) / (large - small) for before, after in zip(first, second, strict=True))
        return Costs(trips=trips, commits=commits, wal_bytes=wal)

    def _counted_pass(self, server: Postgres, case: Case, who: tuple[Arena, Entry], size: int) -> tuple[int, int, int]:
        arena, entry = who
        case.ready(arena, entry, size)
        before = server.counters(arena.database)
        with CountingProxy(arena.url) as proxy:
            case.measure(arena.through(proxy.url), entry, size)
            done = server.counters(arena.database) - before
        return proxy.trips, done.commits, done.wal_bytes
