"""
``python -m benchmarks [SCENARIO ...]``: measure, print, and keep the raw numbers in ``benchmarks/results/``.

Ends with 1 when ``--check`` is given and a bar is missed.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks.conductor import Conductor, Result
from benchmarks.databases import Postgres, Server, Sqlite, UnfairServer
from benchmarks.figures import raw, verdicts
from benchmarks.scenarios import chosen

RESULTS = Path(__file__).parent / "results"
URL = "postgresql://postgres@127.0.0.1:5432/postgres"


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m benchmarks", description="Measure durable_workflows beside its peers.")
    parser.add_argument("scenarios", nargs="*", help="B0, B1, B1a ...; all of them by default.")
    parser.add_argument("--repeat", type=int, help="Repetitions of each contender, in turn (5; 3 in a quick run).")
    parser.add_argument("--quick", action="store_true", help="Smaller sizes: to see that it works, not to be quoted.")
    parser.add_argument("--database", choices=["postgresql", "sqlite", "both"], default="both")
    parser.add_argument("--url", default=os.environ.get("BENCH_POSTGRESQL_URL", URL), help=f"The server ({URL}).")
    parser.add_argument("--no-costs", action="store_true", help="Leave out the counted passes.")
    parser.add_argument("--markdown", action="store_true", help="Print Markdown, and keep it beside the raw numbers.")
    parser.add_argument("--check", action="store_true", help="End with 1 if a bar is missed.")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    console, progress = Console(width=None if sys.stdout.isatty() else 170), Console(stderr=True)
    try:
        facts, results = _measure(asked, progress)
    except (UnfairServer, KeyError) as error:
        progress.print(f"[red]{error.args[0]}[/red]")
        return 2
    for result in results:
        report.show(console, result)
    _keep(asked, facts, results, console)
    return int(asked.check and not all(verdict.met for result in results for verdict in verdicts(result)))


def _measure(asked: Namespace, progress: Console) -> tuple[dict[str, str], list[Result]]:
    cases, facts, results = chosen(asked.scenarios), machine.described(), []
    for server in _servers(asked):
        facts |= {f"{server.kind} {name}": value for name, value in server.stated().items()}
        conductor = Conductor(
            server=server, repeat=asked.repeat or (3 if asked.quick else 5), quick=asked.quick, costs=not asked.no_costs,
            say=lambda text: progress.print(f"[dim]{text}[/dim]"),
        )  # fmt: skip
        results += [conductor.run(case) for case in cases if server.kind in case.databases]
        if isinstance(server, Sqlite):
            server.close()
    for result in results:
        facts |= {name: version for outcome in result.outcomes for name, version in outcome.hello.versions.items()}
    return facts, results


def _servers(asked: Namespace) -> list[Server]:
    servers: list[Server] = []
    if asked.database != "sqlite":
        servers.append(Postgres(asked.url))
    if asked.database != "postgresql":
        servers.append(Sqlite(RESULTS))
    return servers


def _keep(asked: Namespace, facts: dict[str, str], results: list[Result], console: Console) -> None:
    for name, value in facts.items():
        console.print(f"[dim]{name}: {value}[/dim]", soft_wrap=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "results": [raw(result) for result in results]}, indent=1))
    if asked.markdown:
        text = report.markdown(results, facts)
        path.with_suffix(".md").write_text(text)
        sys.stdout.write(text)
    console.print(f"Raw numbers: {path}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
