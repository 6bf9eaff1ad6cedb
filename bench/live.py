"""What viewers cost the hub, and what one that never reads does to the others.

The page's own figures (paint, main thread, first view) come from `bench.live_page`, where a browser is installed.
"""

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Self
from uuid import UUID, uuid4

from bench.lockers import Fleet, LockerConnection
from bench.messages import events_around_first
from bench.mqtt_packets import Publishes
from bench.processes import HOST, BenchError, Child, cpu_s
from bench.rig import ROOT, Rig, rig
from bench.viewers import connect, subscribe
from wire.messages import Receipt
from wire.topics import Channel, topic_of

FEW: Final = 20
MANY: Final = 200
VIEW: Final = "fleet"
_SETTLE_S: Final = 3.0
_CUT_S_MAX: Final = 60.0
_STUCK_BUFFER_BYTES: Final = 4096
_T: Final = 1000
_SO_ERROR: Final = (socket.SOL_SOCKET, socket.SO_ERROR)
_DOORS: Final = 16
_FILES: Final = 16_384
_SETTINGS: Final = {"HUB_INTAKE_SILENT_AFTER_S": "3600"}


@dataclass(slots=True)
class _Doors:
    epoch: UUID
    opens: Publishes
    shuts: Publishes
    next_seq: int = 1


class Updates:
    """Door events at a steady rate, each of the next locker: one opens, and the next time round it shuts."""

    def __init__(self, names: list[str], running: Rig, rate_per_s: float) -> None:
        self.sent = 0
        self._rate_per_s = rate_per_s
        self._fleet = Fleet(names, running.mqtt_port, running.locker_password_file.read_text().strip())
        self._doors = {locker.name: _doors(locker, place) for place, locker in enumerate(self._fleet.lockers)}
        self._stop = Event()
        self._failed: BaseException | None = None
        self._thread = Thread(target=self._run, name="updates", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()
        self._fleet.close()

    def check(self) -> None:
        """Raise BenchError if it has ended."""
        if self._failed is not None:
            raise BenchError(f"the lockers stopped: {self._failed}")

    def _run(self) -> None:
        try:
            began_s = time.monotonic()
            while not self._stop.is_set():
                due = int((time.monotonic() - began_s) * self._rate_per_s)
                while self.sent < due:
                    self._send(self._fleet.lockers[self.sent % len(self._fleet.lockers)])
                    self.sent += 1
                self._fleet.turn(_unheard, 0.01)
        except (BenchError, OSError) as error:
            self._failed = error

    def _send(self, locker: LockerConnection) -> None:
        doors = self._doors[locker.name]
        around = doors.opens if doors.next_seq % 2 else doors.shuts
        locker.unacknowledged += 1
        self._fleet.send(locker, around.packet(locker.next_packet_id(), doors.next_seq))
        doors.next_seq += 1


def measure(*, seconds: float, lockers: int, rate_per_s: float) -> dict[str, Any]:
    """Return the report; see docs/benchmarks.md for its keys.

    Raises:
        BenchError: a service is missing or ended.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, max(_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    names = [f"bench-{number:04d}" for number in range(1, lockers + 1)]
    with rig(names) as running, running.hub(_SETTINGS) as hub:
        report: dict[str, Any] = {"benchmark": "live", "lockers": lockers, "updates_per_s": rate_per_s}
        with Updates(names, running, rate_per_s) as updates:
            report |= _viewers(running, hub, updates, seconds)
            report |= _stuck(running, hub, updates, seconds)
        # The page's own load has the same lockers, so the one of the viewers has ended by now.
        report |= _page(running, seconds, rate_per_s)
        return report | running.surroundings()


def _viewers(running: Rig, hub: Child, updates: Updates, seconds: float) -> dict[str, Any]:
    """Few and many in turn, twice: a machine that becomes slower or faster meanwhile does so for both."""
    shares: dict[int, list[float]] = {FEW: [], MANY: []}
    figures: dict[int, dict[str, Any]] = {}
    for count in (FEW, MANY, MANY, FEW):
        share, figures[count] = _watched(running, hub, updates, count, seconds)
        shares[count].append(share)
        print(f"{count} viewers: {share:.3f} of a CPU, {figures[count]}", file=sys.stderr)
    few, many = (sum(shares[count]) / len(shares[count]) for count in (FEW, MANY))
    return {
        "hub_cpu_ratio_200_to_20_viewers": round(many / few, 3),
        "hub_cpu_share_20_viewers": round(few, 3),
        "hub_cpu_share_200_viewers": round(many, 3),
        "bytes_per_viewer_s": figures[MANY]["bytes_per_viewer_s"],
        "frames_per_viewer_s": round(figures[MANY]["frames_per_viewer"] / seconds, 2),
        "viewer_delay_p50_ms": figures[MANY]["delay_p50_ms"],
        "viewer_delay_p99_ms": figures[MANY]["delay_p99_ms"],
    }


def _stuck(running: Rig, hub: Child, updates: Updates, seconds: float) -> dict[str, Any]:
    """One viewer that never reads: how much later the others are told, and how much more memory the hub needs."""
    _, without = _watched(running, hub, updates, FEW, seconds)
    before_bytes = _rss_bytes(hub)
    stuck = connect(running.http_port, receive_buffer_bytes=_STUCK_BUFFER_BYTES)
    subscribe(stuck, VIEW)
    began_s = time.monotonic()
    gone = Event()
    ended_s = began_s

    def wait_for_its_end() -> None:
        nonlocal ended_s
        with suppress(OSError):
            # Readable without reading: the hub's reset ends the wait.
            while not gone.is_set() and not stuck.getsockopt(*_SO_ERROR):
                time.sleep(0.05)
        ended_s = time.monotonic()
        gone.set()

    waiting = Thread(target=wait_for_its_end, name="stuck", daemon=True)
    waiting.start()
    most_bytes = 0

    def remember() -> None:
        nonlocal most_bytes
        most_bytes = max(most_bytes, _rss_bytes(hub))

    _, beside = _watched(running, hub, updates, FEW, seconds, meanwhile=remember)
    while not gone.is_set() and time.monotonic() - began_s < _CUT_S_MAX:
        time.sleep(0.1)
        remember()
    cut_s = round(ended_s - began_s, 1) if gone.is_set() else None
    gone.set()
    waiting.join()
    stuck.close()
    return {
        "stuck_viewer_extra_ms": round(beside["delay_p99_ms"] - without["delay_p99_ms"], 1),
        "stuck_viewer_extra_mb": round((most_bytes - before_bytes) / 1e6, 1),
        "stuck_viewer_cut_s": cut_s,
    }


def _page(running: Rig, seconds: float, rate_per_s: float) -> dict[str, float]:
    """Return the page's own figures, where there is a browser to measure them with."""
    try:
        from bench import live_page  # noqa: PLC0415 - its browser need not be installed
    except ImportError:
        return {}
    measured: dict[str, float] = asyncio.run(
        live_page.measure(f"http://{HOST}:{running.http_port}", running, seconds, rate_per_s=rate_per_s)
    )
    return measured


def _watched(
    running: Rig,
    hub: Child,
    updates: Updates,
    count: int,
    seconds: float,
    *,
    meanwhile: Any = None,  # noqa: ANN401
) -> tuple[float, dict[str, Any]]:
    """Return the hub's share of a CPU while so many look, and what they saw."""
    with _process(running.http_port, count, seconds) as process:
        assert process.stdin is not None, "asked for"
        assert process.stdout is not None, "asked for"
        if process.stdout.readline() != "connected\n":
            raise BenchError("the viewers could not connect")
        # Their snapshots are not what is measured.
        time.sleep(_SETTLE_S)
        began_s, began_cpu_s = time.monotonic(), cpu_s(hub.process.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        while time.monotonic() - began_s < seconds:
            time.sleep(0.1)
            if meanwhile is not None:
                meanwhile()
        share = (cpu_s(hub.process.pid) - began_cpu_s) / (time.monotonic() - began_s)
        said = process.stdout.readline()
        updates.check()
        running.check_alive()
        if not said:
            raise BenchError("the viewers ended early")
        return share, json.loads(said)


@contextmanager
def _process(port: int, count: int, seconds: float) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "bench.viewers", str(port), str(count), VIEW, str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def _doors(locker: LockerConnection, place: int) -> _Doors:
    epoch, at_ms = uuid4(), time.time_ns() // 1_000_000
    opens, shuts = (
        Publishes(
            topic_of(locker.name, Channel.EVENTS),
            *events_around_first(
                epoch=epoch, boot=locker.boot, t=_T, at_ms=at_ms, events=1, door=place % _DOORS + 1, shuts=shuts
            ),
        )
        for shuts in (False, True)
    )
    return _Doors(epoch, opens, shuts)


def _unheard(locker: LockerConnection, receipts: list[Receipt]) -> None:
    del locker, receipts


def _rss_bytes(hub: Child) -> int:
    statm = Path(f"/proc/{hub.process.pid}/statm").read_text(encoding="ascii")
    return int(statm.split()[1]) * resource.getpagesize()
