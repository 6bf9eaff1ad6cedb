"""How long a command takes: from the HTTP request to the answer that the pulse is sent. Idle, then under load."""

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.board import LOCKS
from bench.copy_floor import find_readings
from bench.echo_floor import echo_ms
from bench.figures import percentile
from bench.http_connection import HttpConnection
from bench.processes import HOST, BenchError, Child, child
from bench.rig import ROOT, Rig, rig, settled

LOCKER: Final = "bench-door"
BOARDS: Final = 2
LOADING_LOCKERS: Final = 100
SAME_DOOR_AFTER_S: Final = 0.95
"""A door pops within 0.25 s and can be shut after its pulse of 0.55 s."""
_LIMITS: Final = {
    "HUB_COMMANDS_PER_LOCKER_PER_MINUTE": "60000",
    "HUB_COMMANDS_FLEET_PER_MINUTE": "60000",
    "HUB_INTAKE_SILENT_AFTER_S": "3600",
}
_LOADING_S: Final = 3.0
_SETTLE_S_MAX: Final = 30.0
_FLOOR_ROUNDS: Final = 2000
_OK: Final = 200


def measure(*, idle: int, loaded: int, rate_per_s: float) -> dict[str, Any]:
    """Command so often, idle and under telemetry at a rate, and return the report; see docs/benchmarks.md.

    Raises:
        BenchError: a service or the agent is missing or ended.
    """
    loading = [f"bench-{number:04d}" for number in range(1, LOADING_LOCKERS + 1)]
    with rig([LOCKER, *loading], doors=BOARDS * LOCKS) as running:
        password = running.locker_password_file.read_text().strip()
        floor = echo_ms(
            running.mqtt_port,
            hub=("hub-command", running.hub_password),
            locker=(LOCKER, password),
            rounds=_FLOOR_ROUNDS,
        )
        with running.hub(_LIMITS), _edge(running):
            connection = HttpConnection(running.http_port)
            _wait_online(connection)
            surroundings = running.surroundings()
            doors = _Doors(connection)
            doors.command(BOARDS * LOCKS)
            http_floor = _http_floor(connection)
            quiet = doors.command(idle)
            with _background(running, loading, rate_per_s) as load:
                time.sleep(_LOADING_S)
                before, began = settled(connection, "sample")["stored"], time.monotonic()
                busy = doors.command(loaded)
                stored = settled(connection, "sample")["stored"] - before
                seconds = time.monotonic() - began
            sent = int(load.said())
            _settle(connection, sent)
            connection.close()
        counts = {name: len(range(place, sent, len(loading))) for place, name in enumerate(loading)}
        found = find_readings(running.dsn, counts)
    report = {
        "benchmark": "command",
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
        "loaded_rate_per_s": round(stored / seconds),
        "loaded_rate_wanted_per_s": rate_per_s,
        "states": dict(quiet.states + busy.states),
        "stages": quiet.stages(),
        "loaded_stages": busy.stages(),
        "loaded_sent": sent,
        "loaded_stored": found.stored,
        "lost": found.lost,
        "duplicate": found.duplicate,
    }
    return report | surroundings


class _Taken:
    """What a row of commands came to."""

    def __init__(self) -> None:
        self.took_ms: list[float] = []
        self.states: Counter[str] = Counter()
        self._stages: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, took_ms: float, status: int, answer: dict[str, Any]) -> None:
        """Count one. Only commands that succeeded are figures; the rest is counted by state or code."""
        state = answer.get("state") or answer.get("code") or str(status)
        self.states[state] += 1
        if status == _OK and state == "succeeded":
            self.took_ms.append(took_ms)
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


def _wait_online(connection: HttpConnection) -> None:
    deadline = time.monotonic() + _SETTLE_S_MAX
    while json.loads(connection.get(f"/api/v1/lockers/{LOCKER}")[1]).get("state") != "online":
        if time.monotonic() > deadline:
            raise BenchError(f"the agent of {LOCKER} is not online after {_SETTLE_S_MAX:g} s")
        time.sleep(0.1)
    # The first reading of every board makes the doors known.
    time.sleep(1.0)


def _settle(connection: HttpConnection, sent: int) -> None:
    """Wait until the background's samples are stored, or the time is over; the database has the last word."""
    deadline = time.monotonic() + _SETTLE_S_MAX
    while settled(connection, "sample")["stored"] < sent and time.monotonic() < deadline:
        time.sleep(0.1)


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
