"""What a workflow's body must leave to its steps, because a replay would do it again or see it otherwise."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from durable_workflows.checks.names import dotted

IN_A_STEP = "Do it in a function decorated with @step, whose result is recorded, and pass the result on."


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A mistake that can be seen in the code.

    :param id: the system check's, which stays as it is for good.
    :param problem: a sentence about ``{what}``, a workflow or a step, and the ``{call}`` in it.
    :param cure: what to do instead.
    """

    id: str
    problem: str
    cure: str


CLOCK = Rule(
    "durable_workflows.W040",
    "{what} reads the clock with {call}(). When its body is replayed it reads another time, and may take another path.",
    IN_A_STEP,
)
CHANCE = Rule(
    "durable_workflows.W041",
    "{what} leaves something to chance with {call}(). When its body is replayed the value is another one.",
    IN_A_STEP,
)
OUTSIDE = Rule(
    "durable_workflows.W042",
    "{what} reaches outside with {call}(). Each replay of its body does so again, and may get another answer.",
    IN_A_STEP,
)
THREADS = Rule(
    "durable_workflows.W043",
    "{what} leaves its thread with {call}(). Code that runs there does not know the workflow it belongs to, so the steps it"
    " calls are not recorded and are done again by each replay.",
    "Start child workflows instead, with start_workflow() or a Queue, and collect their results with wait_all().",
)
BLOCKING = Rule(
    "durable_workflows.W046",
    "{what} blocks its worker's thread with {call}(), from the beginning again in each replay.",
    "Use durable_workflows.sleep(): it wakes at the same moment whatever happens meanwhile, and holds no thread.",
)


def under(module: str, names: str) -> list[str]:
    """The dotted names of several members of a module."""
    return [f"{module}.{name}" for name in names.split()]


PATHS: Mapping[Rule, Iterable[str]] = {
    CLOCK: [
        *under("datetime.datetime", "now utcnow today"),
        *under("datetime.date", "today"),
        *under("time", "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns localtime gmtime ctime"),
        *under("django.utils.timezone", "now localtime localdate"),
    ],
    CHANCE: [
        *under("random", "random uniform triangular randint randrange choice choices sample shuffle getrandbits randbytes"),
        *under("random", "gauss normalvariate expovariate betavariate seed Random SystemRandom"),
        *under("secrets", "choice randbelow randbits token_bytes token_hex token_urlsafe SystemRandom"),
        *under("uuid", "uuid1 uuid4 uuid6 uuid7"),
        *under("os", "urandom getrandom"),
        *under("django.utils.crypto", "get_random_string"),
    ],
    OUTSIDE: [
        *under("requests", "get post put patch delete head options request Session session"),
        *under("httpx", "get post put patch delete head options request stream Client AsyncClient"),
        *under("urllib.request", "urlopen urlretrieve"),
        *under("urllib3", "request PoolManager"),
        *under("http.client", "HTTPConnection HTTPSConnection"),
        *under("socket", "socket create_connection getaddrinfo gethostbyname gethostname"),
        *under("smtplib", "SMTP SMTP_SSL LMTP"),
        *under("ftplib", "FTP FTP_TLS"),
        *under("subprocess", "run call check_call check_output getoutput getstatusoutput Popen"),
        *under("os", "system popen remove unlink rename replace mkdir makedirs rmdir"),
        *under("shutil", "copy copy2 copyfile copytree move rmtree"),
        *under("builtins", "open"),
        *under("django.core.mail", "send_mail send_mass_mail mail_admins mail_managers"),
    ],
    THREADS: [
        *under("threading", "Thread Timer"),
        *under("concurrent.futures", "ThreadPoolExecutor ProcessPoolExecutor"),
        *under("multiprocessing", "Process Pool"),
        *under("asyncio", "run create_task ensure_future"),
    ],
    BLOCKING: ["time.sleep"],
}
RULES = MappingProxyType({path: rule for rule, paths in PATHS.items() for path in paths})

# With an argument these compute something from it, the same each time.
ONLY_BARE = frozenset(
    ["random.Random", *under("time", "localtime gmtime ctime"), *under("django.utils.timezone", "localtime localdate")]
)


class Banned:
    """The rules, with the objects that their dotted names stand for; modules that nobody imported are not."""

    def __init__(self) -> None:
        self._paths = {id(member): path for path in RULES if (member := _loaded(path)) is not None}

    def rule(self, call: ast.Call, target: Any) -> Rule | None:
        """The rule that a call of ``target`` breaks."""
        path = dotted(target) or self._paths.get(id(target))
        return None if path is None or _harmless(path, call) else RULES.get(path)


def _loaded(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def _harmless(path: str, call: ast.Call) -> bool:
    if path == "builtins.open":
        return not _opens_for_writing(call)
    return path in ONLY_BARE and bool(call.args or call.keywords)


def _opens_for_writing(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and set(str(mode.value)) & set("wax+") for mode in modes)
