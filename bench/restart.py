"""Bench of restarts: for how long no command succeeds, and how late events are, with 100 agents and callers.

`takeover` starts the next hub beside the running one (`hub run --takeover`), `term` stops it with SIGTERM and
starts the next one at once, `kill` does the same with SIGKILL.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import psycopg

from bench.figures import percentile
from bench.processes import HOST, BenchError
from bench.rig import ROOT, Rig, rig

WAYS: Final = ("takeover", "term", "kill")
_LOCKS: Final = 16
_SETTLE_S: Final = 4.0
"""Between two restarts, so that each has quiet before and after it."""
_WAIT_S_MAX: Final = 60.0
_SETTINGS: Final = {
    "HUB_COMMANDS_PER_LOCKER_PER_MINUTE": "60000",
    "HUB_COMMANDS_FLEET_PER_MINUTE": "60000",
    "HUB_COMMANDS_OPENINGS_FLEET_PER_MINUTE": "60000",
}


def measure(*, lockers: int, rate_per_s: float, rounds: int, ways: list[str]) -> dict[str, Any]:
    """Restart so often each way under load, and return the report; see docs/benchmarks.md. Raises BenchError."""
    names = [f"bench-{number:03d}" for number in range(1, lockers + 1)]
    with rig(names, doors=_LOCKS) as running:
        hubs = _Hubs(running)
        try:
            return asyncio.run(_measure(running, hubs, names, rate_per_s, rounds, ways)) | running.surroundings()
        finally:
            hubs.end()


async def _measure(
    running: Rig, hubs: "_Hubs", names: list[str], rate_per_s: float, rounds: int, ways: list[str]
) -> dict[str, Any]:
    await hubs.start()
    fleet = _Fleet(running, len(names))
    report: dict[str, Any] = {
        "benchmark": "restart",
        "lockers": len(names),
        "rate_per_s": rate_per_s,
        "rounds": rounds,
    }
    try:
        await fleet.up(running.http_port)
        async with _Callers(running.http_port, names, rate_per_s) as callers:
            await asyncio.sleep(_SETTLE_S)
            for way in ways:
                taken = _Taken()
                for number in range(rounds):
                    await _round(running, hubs, callers, way, taken)
                    print(f"{way} {number + 1}: {taken.outages_s[-1]:.2f} s without a command", file=sys.stderr)
                report |= taken.figures(way)
    finally:
        account = await fleet.end()
    return report | _books(running, account)


async def _round(running: Rig, hubs: "_Hubs", callers: "_Callers", way: str, taken: "_Taken") -> None:
    began, began_at = time.monotonic(), datetime.now(UTC)
    start_s = await hubs.replace(way)
    await asyncio.sleep(_SETTLE_S)
    outage_s, codes = callers.since(began - 1.0)
    taken.outages_s.append(outage_s)
    taken.start_s.append(start_s)
    taken.codes += codes
    taken.delays_s += await asyncio.to_thread(_delays_s, running.dsn, began_at - timedelta(seconds=2))


@dataclass
class _Taken:
    outages_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    delays_s: list[float] = field(default_factory=list)

    def figures(self, way: str) -> dict[str, Any]:
        delays = self.delays_s or [0.0]
        return {
            f"{way}_outage_s": round(percentile(self.outages_s, 50), 2),
            f"{way}_outage_max_s": round(max(self.outages_s), 2),
            f"{way}_start_s": round(percentile(self.start_s, 50), 2),
            f"{way}_not_done": dict(self.codes),
            f"{way}_event_delay_p99_s": round(percentile(delays, 99), 2),
            f"{way}_event_delay_max_s": round(max(delays), 2),
        }


class _Hubs:
    """One hub after another on the same sockets."""

    def __init__(self, running: Rig) -> None:
        self._running = running
        self._number = 0
        self._hub: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ, **running.environment, **_SETTINGS,
            "HUB_SERVICE_HANDOVER_SOCKET": str(running.directory / "handover.sock"), "HUB_LOG_LEVEL": "info",
        }  # fmt: skip

    async def start(self, *more: str) -> None:
        """Start a hub beside what is there."""
        self._number += 1
        self._spawn(more)
        await self._until(lambda: b"The hub is up" in self._log().read_bytes(), "a hub that is up")

    async def replace(self, way: str) -> float:
        """Put the next hub in the place of this one; return after how many seconds it was up."""
        old = self._hub
        assert old is not None, "start() comes first"
        began = time.monotonic()
        if way == "takeover":
            await self.start("--takeover")
        else:
            old.send_signal(signal.SIGTERM if way == "term" else signal.SIGKILL)
            await self._until(lambda: old.poll() is not None, "the end of the hub")
            await self.start()
        took_s = time.monotonic() - began
        await self._until(lambda: old.poll() is not None, "the end of the hub before")
        if way != "kill" and old.returncode != 0:
            raise BenchError(f"the hub before ended with {old.returncode}; see {self._log(-1).read_text()[-2000:]}")
        return took_s

    def _spawn(self, more: tuple[str, ...]) -> None:
        with self._log().open("wb") as log:
            self._hub = subprocess.Popen(
                [sys.executable, "-m", "hub", "run", *more], env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )

    def end(self) -> None:
        """Stop the last one."""
        if self._hub is not None and self._hub.poll() is None:
            self._hub.terminate()
            self._hub.wait(_WAIT_S_MAX)

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _WAIT_S_MAX
        while not condition():
            if time.monotonic() > deadline:
                raise BenchError(f"there is not {what} in time. It said:\n{self._log().read_text()[-4000:]}")
            await asyncio.sleep(0.01)

    def _log(self, back: int = 0) -> Path:
        return self._running.directory / f"hub-{self._number + back}.log"


class _Fleet:
    """The simulated lockers, in a process of their own, with real agents in it."""

    def __init__(self, running: Rig, lockers: int) -> None:
        self._running = running
        self._account = running.directory / "account.json"
        password = running.locker_password_file.read_text().strip()
        passwords = running.directory / "passwords"
        passwords.write_text("".join(f"bench-{n:03d}:{password}\n" for n in range(1, lockers + 1)))
        passwords.chmod(0o600)
        command = [
            sys.executable, "-m", "edge_agent", "simulate", "--lockers", str(lockers), "--prefix", "bench",
            "--doors", str(_LOCKS), "--broker", f"{HOST}:{running.mqtt_port}", "--password-file", str(passwords),
            "--hub-key", str(running.public_key_file), "--data", str(running.directory / "fleet"),
            "--link", "memory", "--poll-ms", "100", "--speed", "20", "--drain-s", "30", "--json",
        ]  # fmt: skip
        with self._account.open("wb") as out, (running.directory / "fleet.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=log)
        self._lockers = lockers

    async def up(self, port: int) -> None:
        """Return once the hub shows all of them online."""
        deadline = time.monotonic() + _WAIT_S_MAX
        async with aiohttp.ClientSession(f"http://{HOST}:{port}") as http:
            while True:
                async with http.get("/api/v1/lockers", params={"limit": 1000}) as response:
                    found = (await response.json())["items"]
                if sum(one["state"] == "online" for one in found) == self._lockers:
                    return
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise BenchError(f"not all of {self._lockers} lockers are online")
                await asyncio.sleep(0.2)

    async def end(self) -> Path:
        """Stop the fleet and return the file with its account."""
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, _WAIT_S_MAX)
        return self._account


class _Callers:
    """Commands at an even rate, each for itself: one that does not come through holds no other one up."""

    def __init__(self, port: int, names: list[str], rate_per_s: float) -> None:
        self._port, self._names, self._pause_s = port, names, 1 / rate_per_s
        self._done: list[tuple[float, str]] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(f"http://{HOST}:{self._port}", timeout=aiohttp.ClientTimeout(total=10))
        self._task = asyncio.create_task(self._call())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task, *self._asking])
        await self._http.close()

    def since(self, moment: float) -> tuple[float, Counter[str]]:
        """Return the longest time without a success since a moment, and what else became of commands."""
        done = [one for one in sorted(self._done) if one[0] >= moment]
        good = [at for at, code in done if code == "succeeded"]
        edges = [moment, *good, time.monotonic()]
        gap = max(after - before for before, after in pairwise(edges))
        return gap, Counter(code for _, code in done if code != "succeeded")

    async def _call(self) -> None:
        turn = 0
        due = time.monotonic()
        while True:
            name, door = self._names[turn % len(self._names)], 1 + turn // len(self._names) % _LOCKS
            task = asyncio.create_task(self._ask(name, door))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            turn += 1
            due += self._pause_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, name: str, door: int) -> None:
        path, body = f"/api/v1/lockers/{name}/commands?wait=pulse", {"kind": "open", "door": door}
        try:
            async with self._http.post(path, json=body) as response:
                said = await response.json(content_type=None)
                code = str(said.get("code") or said.get("state"))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            code = type(error).__name__
        self._done.append((time.monotonic(), code))


def _delays_s(dsn: str, since: datetime) -> list[float]:
    query = "SELECT extract(epoch FROM received_at - occurred_at)::float8 FROM event WHERE received_at >= %s"
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(query, [since]).fetchall()]


def _books(running: Rig, account: Path) -> dict[str, Any]:
    events = json.loads(running.run_hub_command("reconcile", "--truth", str(account)))
    verified = running.run_hub_command("ledger", "verify")
    return {"events": events["produced"], "lost": events["lost"], "duplicate": events["duplicate"],
            "ledger_verify": verified.strip().splitlines()[-1]}  # fmt: skip
