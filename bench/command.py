"""How long a command takes: from the HTTP request to the answer that the pulse is sent. Idle, then under load."""

import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from bench.board import LOCKS
from bench.copy_floor import Found, find_commands, find_readings
from bench.echo_floor import echo_ms
from bench.figures import percentile
from bench.http_connection import HttpConnection
from bench.processes import HOST, BenchError, Child, child
from bench.rig import ROOT, Rig, rig, settled

LOCKER: Final = "bench-door"
BOARDS: Final = 2
LOADING_LOCKERS: Final = 100
FLOODING: Final = 2
SAME_DOOR_AFTER_S: Final = 0.95
"""A door pops within 0.25 s and can be shut after its pulse of 0.55 s."""
_LIMITS: Final = {
    "HUB_COMMANDS_PER_LOCKER_PER_MINUTE": "60000",
    "HUB_COMMANDS_FLEET_PER_MINUTE": "60000",
    "HUB_COMMANDS_OPENINGS_FLEET_PER_MINUTE": "60000",
    "HUB_INTAKE_SILENT_AFTER_S": "3600",
}
_LIMITED: Final = re.compile(
    r'^lockerhub_intake_limited_total\{channel="(\w+)",reason="(\w+)"\} (\S+)$', re.MULTILINE
)
_LOADING_S: Final = 3.0
_SETTLE_S_MAX: Final = 30.0
_FLOOR_ROUNDS: Final = 2000
_OK: Final = 200


def measure(*, idle: int, loaded: int, rate_per_s: float, mode: str = "load") -> dict[str, Any]:
    """Command so often, idle and under what `mode` says, and return the report; see docs/benchmarks.md.

    `load`: telemetry of a hundred lockers at a rate. `frozen_database`: the same, and every process of the database
    is stopped meanwhile. `flood`: one locker sends events at the rate, another one telemetry, each alone.

    Raises:
        BenchError: a service or the agent is missing or ended.
    """
    loading = [f"bench-{number:04d}" for number in range(1, (FLOODING if mode == "flood" else LOADING_LOCKERS) + 1)]
    with rig([LOCKER, *loading], doors=BOARDS * LOCKS) as running:
        floor = _floor(running)
        with running.hub(_LIMITS), _edge(running), ExitStack() as connections:
            connection = connections.enter_context(closing(HttpConnection(running.http_port)))
            _wait_online(connection)
            surroundings = running.surroundings()
            doors = _Doors(connection)
            doors.command(BOARDS * LOCKS)
            http_floor = _http_floor(connection)
            quiet = doors.command(idle)
            with ExitStack() as loads:
                load = loads.enter_context(
                    _background(running, loading[-1:] if mode == "flood" else loading, rate_per_s)
                )
                flood = loads.enter_context(_flood(running, loading[0], rate_per_s)) if mode == "flood" else None
                time.sleep(_LOADING_S)
                before, cpu_before = settled(connection, "sample")["stored"], running.cpu()
                with running.frozen_database() if mode == "frozen_database" else nullcontext():
                    busy = doors.command(loaded)
                    stored = settled(connection, "sample")["stored"] - before
                    cpu = running.cpu().since(cpu_before)
            sent, flooded = int(load.said()), 0 if flood is None else int(flood.said())
            books = _settle(connection, sent)
            limited = _limited(connection)
            commands = _find_all(running, quiet.succeeded + busy.succeeded)
        counts = {name: len(range(place, sent, len(loading))) for place, name in enumerate(loading)}
        found = Found(0, 0, 0) if mode == "flood" else find_readings(running.dsn, counts)
        broker_dropped = running.broker_dropped()
    report = {
        "benchmark": "command",
        "mode": mode,
        "n": len(quiet.took_ms),
        "p50_ms": _p(quiet.took_ms, 50),
        "p99_ms": _p(quiet.took_ms, 99),
        "max_ms": _p(quiet.took_ms, 100),
        "floor_p50_ms": _p(floor, 50),
        "floor_p99_ms": _p(floor, 99),
        "http_floor_p50_ms": _p(http_floor, 50),
        "loaded_n": len(busy.took_ms),
        "loaded_p50_ms": _p(busy.took_ms, 50),
        "loaded_p99_ms": _p(busy.took_ms, 99),
        "loaded_max_ms": _p(busy.took_ms, 100),
        "loaded_rate_per_s": round(stored / cpu.at_s),
        "loaded_rate_wanted_per_s": rate_per_s,
        "loaded_hub_cpu_share": round(cpu.hub_s / cpu.at_s, 2),
        "loaded_s": round(cpu.at_s, 1),
        "states": dict(quiet.states + busy.states),
        "stages": quiet.stages(),
        "loaded_stages": busy.stages(),
        "loaded_sent": sent,
        "loaded_stored": found.stored,
        "flood_sent": flooded,
        "limited": limited,
        "samples_dropped": books["dropped"],
        "broker_dropped": broker_dropped,
        "commands_stored": commands.stored,
        "lost": found.lost + commands.lost,
        "duplicate": found.duplicate + commands.duplicate,
    }
    return report | surroundings


def _floor(running: Rig) -> list[float]:
    return echo_ms(
        running.mqtt_port,
        hub=("hub-command", running.hub_password),
        locker=(LOCKER, running.locker_password_file.read_text().strip()),
        rounds=_FLOOR_ROUNDS,
    )


class _Taken:
    """What a row of commands came to."""

    def __init__(self) -> None:
        self.took_ms: list[float] = []
        self.states: Counter[str] = Counter()
        self.succeeded: list[str] = []
        self._stages: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, took_ms: float, status: int, answer: dict[str, Any]) -> None:
        """Count one. Only commands that succeeded are figures; the rest is counted by state or code."""
        state = answer.get("state") or answer.get("code") or str(status)
        self.states[state] += 1
        if status == _OK and state == "succeeded":
            self.took_ms.append(took_ms)
            self.succeeded.append(answer["id"])
            for stage, ms in answer["stages_ms"].items():
                self._stages[stage].append(ms)

    def stages(self) -> dict[str, dict[str, float]]:
        """Return p50 and p99 of each stage, from the command's acceptance on."""
        return {stage: {"p50_ms": _p(ms, 50), "p99_ms": _p(ms, 99)} for stage, ms in self._stages.items()}


class _Doors:
    """The doors of one locker, opened in turn, no faster than they can be shut again."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        path = f"/api/v1/lockers/{LOCKER}/commands?wait=pulse"
        self._requests = [
            connection.prepared("POST", path, json.dumps({"kind": "open", "door": door}).encode())
            for door in range(1, LOCKS * BOARDS + 1)
        ]
        self._opened_s = [0.0] * len(self._requests)
        self._next = 0

    def command(self, times: int) -> _Taken:
        """Open doors so often, evenly in time."""
        taken = _Taken()
        pause_s = SAME_DOOR_AFTER_S / len(self._requests)
        for _ in range(times):
            door = self._next % len(self._requests)
            self._next += 1
            free_s = max(self._opened_s[door] + SAME_DOOR_AFTER_S, max(self._opened_s) + pause_s)
            time.sleep(max(0.0, free_s - time.monotonic()))
            self._opened_s[door] = time.monotonic()
            began = time.perf_counter()
            status, body = self._connection.ask(self._requests[door])
            taken.add((time.perf_counter() - began) * 1000, status, json.loads(body))
        print(f"{len(taken.took_ms)} commands, p50 {_p(taken.took_ms, 50)} ms", file=sys.stderr)
        return taken


@contextmanager
def _edge(running: Rig) -> Iterator[None]:
    """Run the agent as it is, with its journal on disk, and boards on a pseudo-terminal."""
    home = running.directory / "edge"
    home.mkdir()
    board = child("the board", [sys.executable, "-m", "bench.board", str(BOARDS)], home / "board.log", cwd=ROOT)
    with board as boards:
        boards.wait_for(lambda: boards.said().endswith("\n"))
        config = home / "edge.toml"
        config.write_text(_edge_config(running, home, boards.said().strip()))
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
        with child("the agent", command, home / "agent.log", cwd=ROOT):
            yield


def _edge_config(running: Rig, home: Path, port: str) -> str:
    boards = "\n".join(
        f"[[boards]]\nport = '{port}'\naddress = {address}\nfirst_door = {address * LOCKS + 1}"
        for address in range(BOARDS)
    )
    return (
        f"locker = '{LOCKER}'\ndata_dir = '{home / 'data'}'\n"
        f"[mqtt]\nhost = '{HOST}'\nport = {running.mqtt_port}\npassword_file = '{running.locker_password_file}'\n"
        f"[hub]\npublic_key_file = '{running.public_key_file}'\n[log]\nlevel = 'warning'\n{boards}\n"
    )


@contextmanager
def _background(running: Rig, lockers: list[str], rate_per_s: float) -> Iterator[Child]:
    command = [sys.executable, "-m", "bench.background", str(running.mqtt_port)]
    command += [str(running.locker_password_file), str(rate_per_s), *lockers]
    with child("the background load", command, running.directory / "background.log", cwd=ROOT) as load:
        yield load


@contextmanager
def _flood(running: Rig, locker: str, rate_per_s: float) -> Iterator[Child]:
    command = [sys.executable, "-m", "bench.flood", str(running.mqtt_port)]
    command += [str(running.locker_password_file), str(rate_per_s), locker]
    with child("the flood", command, running.directory / "flood.log", cwd=ROOT) as load:
        yield load


def _wait_online(connection: HttpConnection) -> None:
    deadline = time.monotonic() + _SETTLE_S_MAX
    while json.loads(connection.get(f"/api/v1/lockers/{LOCKER}")[1]).get("state") != "online":
        if time.monotonic() > deadline:
            raise BenchError(f"the agent of {LOCKER} is not online after {_SETTLE_S_MAX:g} s")
        time.sleep(0.1)
    # The first reading of every board makes the doors known.
    time.sleep(1.0)


def _settle(connection: HttpConnection, sent: int) -> dict[str, int]:
    """Wait until the background's samples are settled, or the time is over; the database has the last word."""
    deadline = time.monotonic() + _SETTLE_S_MAX
    while sum((books := settled(connection, "sample")).values()) < sent and time.monotonic() < deadline:
        time.sleep(0.1)
    return books


def _find_all(running: Rig, commands: list[str]) -> Found:
    """Look for the commands' events until all are there, or the time is over."""
    deadline = time.monotonic() + _SETTLE_S_MAX
    while (found := find_commands(running.dsn, commands)).lost and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _limited(connection: HttpConnection) -> dict[str, int]:
    """Return how many messages the hub did not take because their locker sent more than its share."""
    _, body = connection.get("/metrics")
    found = _LIMITED.findall(body.decode())
    return {f"{channel} {reason}": round(float(count)) for channel, reason, count in found}


def _http_floor(connection: HttpConnection) -> list[float]:
    request = connection.prepared("GET", "/healthz")
    taken = []
    for _ in range(_FLOOR_ROUNDS // 4):
        began = time.perf_counter()
        connection.ask(request)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def _p(values: list[float], percent: float) -> float:
    return round(percentile(values, percent), 3) if values else 0.0
