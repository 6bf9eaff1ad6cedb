"""How much the hub takes in: messages and events a second that are in the database, and the CPU each costs."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bench.copy_floor import Found, copy_rows_per_s, find_events, find_readings
from bench.figures import per_message_us
from bench.http_connection import HttpConnection
from bench.loads import EventsLoad, Load, TelemetryLoad
from bench.lockers import Fleet
from bench.processes import BenchError
from bench.rig import Cpu, Rig, rig, settled

WARM_UP_S: Final = 2.0
DRAIN_S_MAX: Final = 30.0
IN_FLIGHT: Final = 20_000
"""Records on their way at the most, over all lockers: less than the hub's queue takes, so that it refuses none."""
_TURN_S: Final = 0.01
_LIMITS: Final = {"HUB_INTAKE_SILENT_AFTER_S": "3600"}


@dataclass(frozen=True)
class Phase:
    """One way to send, and what came of it: all figures are of the time after the warm-up."""

    records: int
    messages: int
    cpu: Cpu

    def figures(self) -> dict[str, Any]:
        """Return it for the report."""
        seconds = self.cpu.at_s
        return {
            "records_per_s": round(self.records / seconds),
            "messages_per_s": round(self.messages / seconds),
            "messages": self.messages,
            "seconds": round(seconds, 2),
            "hub_cpu_us_per_message": per_message_us(self.cpu.hub_s, self.messages),
            "broker_cpu_us_per_message": per_message_us(self.cpu.broker_s, self.messages),
            "database_cpu_us_per_message": per_message_us(self.cpu.database_s, self.messages),
            "load_cpu_us_per_message": per_message_us(self.cpu.load_s, self.messages),
            "hub_cpu_us_per_record": per_message_us(self.cpu.hub_s, self.records),
            "hub_cpu_share": round(self.cpu.hub_s / seconds, 2),
        }


def measure(*, seconds: float, lockers: int, only: str | None = None) -> dict[str, Any]:
    """Run every phase (or `only` one) and return the report; see docs/benchmarks.md for its keys.

    Raises:
        BenchError: a service is missing or ended, or not everything was stored within a minute.
    """
    names = [f"bench-{number:04d}" for number in range(1, lockers + 1)]
    with rig(names) as running, running.hub(_LIMITS):
        surroundings = running.surroundings()
        floors = _floors(running.dsn, names)
        fleet = Fleet(names, running.mqtt_port, running.locker_password_file.read_text().strip())
        telemetry = TelemetryLoad(fleet, in_flight=IN_FLIGHT, http_port=running.http_port)
        pipelined = EventsLoad(fleet, 1, max(1, IN_FLIGHT // lockers))
        single = EventsLoad(fleet, 1, 1)
        hundreds = EventsLoad(fleet, 100, 1, lockers_max=IN_FLIGHT // 100)
        loads: dict[str, tuple[Load, int]] = {
            "telemetry": (telemetry, 1),
            "events_pipelined": (pipelined, 1),
            "events_batch_1": (single, 1),
            "events_batch_100": (hundreds, 100),
        }
        phases = {
            name: _run(running, fleet, load, seconds, records_a_message, name)
            for name, (load, records_a_message) in loads.items()
            if only in {None, name}
        }
        telemetry.close()
        fleet.close()
        again = _floors(running.dsn, names)
        floors = {name: max(rate, again[name]) for name, rate in floors.items()}
        events = [pipelined, single, hundreds]
        last = {
            (name, ledger.epoch): ledger.sent_to
            for load in events
            for name, ledger in load.ledgers.items()
            if ledger.sent_to
        }
        found = (find_events(running.dsn, last), find_readings(running.dsn, telemetry.counts))
        report = _report(phases, floors, found)
        report["sent"] = sum(load.sent for load, _ in loads.values())
        report["sent_again"] = sum(load.sent_again for load in events)
        report["broker_dropped"] = running.broker_dropped()
        return report | surroundings | {"lockers": lockers}


def _run(running: Rig, fleet: Fleet, load: Load, seconds: float, records_a_message: int, name: str) -> Phase:
    load.start()
    _go_on(running, fleet, load, WARM_UP_S)
    before, stored_before = running.cpu(), load.stored
    _go_on(running, fleet, load, seconds)
    cpu, records = running.cpu().since(before), load.stored - stored_before
    load.stop()
    _until(running, fleet, load, lambda: load.stored >= load.sent)
    phase = Phase(records, records // records_a_message, cpu)
    print(f"{name}: {phase.figures()}", file=sys.stderr)
    return phase


def _go_on(running: Rig, fleet: Fleet, load: Load, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < end_s:
        try:
            fleet.turn(load.told, _TURN_S)
        except OSError as error:
            running.check_alive()
            raise BenchError(f"a locker's connection broke: {error}") from error
        load.tick(now_s)
    running.check_alive()


def _until(running: Rig, fleet: Fleet, load: Load, done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + DRAIN_S_MAX
    while not done():
        _go_on(running, fleet, load, 0.05)
        if time.monotonic() > end_s:
            connection = HttpConnection(running.http_port)
            books = {record: settled(connection, record) for record in ("event", "sample")}
            raise BenchError(
                f"{load.sent} records were sent, {load.stored} are stored after {DRAIN_S_MAX:g} s. "
                f"The hub's books: {books}; the broker dropped {running.broker_dropped()} times"
            )


def _floors(dsn: str, names: list[str]) -> dict[str, int]:
    return {
        "copy_rows_per_s": round(copy_rows_per_s(dsn, names, rows_in_a_row=1)),
        "copy_rows_per_s_batch_100": round(copy_rows_per_s(dsn, names, rows_in_a_row=100)),
    }


def _report(phases: dict[str, Phase], floors: dict[str, int], found: tuple[Found, Found]) -> dict[str, Any]:
    figures = {name: phase.figures() for name, phase in phases.items()}
    rates = {name: one["records_per_s"] for name, one in figures.items()}
    singles = [one for name, one in figures.items() if name in {"events_pipelined", "events_batch_1"}]
    best: dict[str, Any] = max(singles, key=lambda one: int(one["messages_per_s"]), default={})
    return {
        "benchmark": "ingest",
        **{key: value for key, value in best.items() if "record" not in key},
        "telemetry_per_s": rates.get("telemetry"),
        "events_per_s_pipelined": rates.get("events_pipelined"),
        "events_per_s_batch_1": rates.get("events_batch_1"),
        "events_per_s_batch_100": rates.get("events_batch_100"),
        **floors,
        "stored": sum(part.stored for part in found),
        "lost": sum(part.lost for part in found),
        "duplicate": sum(part.duplicate for part in found),
        "phases": figures,
    }
