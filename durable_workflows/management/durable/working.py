"""``workers``: who is alive, what each does; draining them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from datetime import timedelta
from typing import Any

from django.db.models import Count

from durable_workflows.management.durable.output import Output
from durable_workflows.management.durable.parsing import add_act
from durable_workflows.management.durable.selecting import CANDIDATES
from durable_workflows.management.durable.subcommand import DONE, Refused, Subcommand
from durable_workflows.management.durable.tables import Cell, Column, Table
from durable_workflows.models import Worker, WorkflowRun, presence
from durable_workflows.models.dialects import DatabaseNow, alias
from durable_workflows.models.filtering import begins_with
from durable_workflows.models.runs import LEASED
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.options import valid_id
from durable_workflows.words import duration

MOST = 200
COLUMNS = (
    Column(title="STATE"),
    Column(title="WORKER", whole=True),
    Column(title="PROCESS", least=110),
    Column(title="RUNS", right=True),
    Column(title="THREADS", right=True, least=130),
    Column(title="SERVES", least=100),
    Column(title="VERSION", least=130),
    Column(title="HEARTBEAT", right=True),
)
STYLES = {"alive": "good", "draining": "wait", "silent": "bad", "lost": "bad", "stopped": "quiet"}


def state_of(worker: Any) -> str:
    """How it is, by the database's clock; its row was read with ``now``."""
    if worker.lost_at or worker.stopped_at:
        return "lost" if worker.lost_at else "stopped"
    if worker.now - worker.heartbeat_at > timedelta(seconds=worker.lease_seconds):
        return "silent"
    return "draining" if worker.drain_requested_at else "alive"


def _list(output: Output, given: Namespace) -> int:
    rows = Worker.objects.using(alias()).annotate(now=DatabaseNow()).order_by("-started_at")
    found: list[Any] = list(rows if given.ended else rows.filter(stopped_at=None, lost_at=None))[:MOST]
    runs = WorkflowRun.objects.using(alias()).filter(LEASED, worker_id__in=[worker.pk for worker in found])
    held = Counter(dict(runs.order_by().values_list("worker_id").annotate(number=Count("pk"))))
    if output.json:
        output.document([_document(worker, held[worker.pk]) for worker in found])
        return DONE
    rows_shown = [_row(worker, held[worker.pk]) for worker in found]
    output.table(Table(columns=COLUMNS, rows=rows_shown, empty="No worker is alive. Start one: manage.py durable_worker"))
    return DONE


def _document(worker: Any, held: int) -> dict[str, Any]:
    return {
        "worker_id": worker.pk, "state": state_of(worker), "hostname": worker.hostname, "pid": worker.pid,
        "direct": worker.direct, "queues": worker.queues, "threads": worker.threads, "runs": held,
        "app_version": worker.app_version, "lease_seconds": worker.lease_seconds, "started_at": worker.started_at,
        "heartbeat_at": worker.heartbeat_at, "drain_requested_at": worker.drain_requested_at,
        "stopped_at": worker.stopped_at, "lost_at": worker.lost_at,
    }  # fmt: skip


def _row(worker: Any, held: int) -> list[Cell | str]:
    state = state_of(worker)
    serves = "direct calls only" if worker.direct else ", ".join(map(str, worker.queues or ())) or "nothing yet"
    return [
        Cell(state, STYLES[state]),
        worker.pk,
        f"{worker.hostname}:{worker.pid}",
        str(held),
        str(worker.threads),
        Cell(serves, "quiet"),
        worker.app_version,
        f"{duration(worker.now - worker.heartbeat_at)} ago",
    ]


def _drain(output: Output, given: Namespace) -> int:
    ids = [_worker_id(each) for each in given.ids]
    asked = in_write_transaction(presence.ask_to_drain, ids)
    if output.json:
        output.document({"asked": asked})
    for worker_id in ids:
        said = "claims no more, and ends once its runs are done" if worker_id in asked else "is left as it is"
        output.say(f"Worker {worker_id} {said}.")
    return DONE


def _worker_id(given: str) -> str:
    """The id that begins so, if there is one. Raises ``Refused``."""
    rows = Worker.objects.using(alias()).filter(begins_with("pk", valid_id(given))).order_by("pk")
    found = list(rows.values_list("pk", flat=True)[: CANDIDATES + 1])
    if given in found or len(found) == 1:
        return given if given in found else found[0]
    if not found:
        raise Refused(f"There is no worker whose id is {given!r} or begins so.", "WorkerNotFound")
    raise Refused(f"Several workers have ids that begin with {given!r}: {', '.join(found)}.", "Ambiguous", candidates=found)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--ended", action="store_true", help="Also those that stopped or were lost of late.")
    words = parser.add_subparsers(dest="act", metavar="drain")
    told = "Have workers claim no more, and end once their runs are done."
    its = add_act(words, "drain", told)
    its.add_argument("ids", nargs="+", metavar="WORKER", help="Ids, or the beginnings of them.")


def _run(output: Output, given: Namespace) -> int:
    return _list(output, given) if given.act is None else _drain(output, given)


WORKERS = Subcommand(name="workers", help="Workers; workers drain WORKER ...", arguments=_arguments, run=_run)
