"""`scripts/bench`: measure, report on standard error, and with --json print one object, last on standard output."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from bench import command, history, ingest, live, restart
from bench.processes import BenchError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark; 0 when it was measured and nothing was lost or stored twice."""
    parsed = _parser().parse_args(arguments)
    try:
        report: dict[str, Any] = parsed.measure(parsed)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for key, value in report.items():
        print(f"{key:<28} {json.dumps(value)}", file=sys.stderr)
    if parsed.json:
        print(json.dumps(report))
    return 1 if report.get("lost") or report.get("duplicate") else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    benchmarks = parser.add_subparsers(required=True, metavar="benchmark")
    one = benchmarks.add_parser("ingest", help="messages and events a second, and the CPU each costs")
    one.add_argument("--seconds", type=float, default=10.0, help="of each phase, after its warm-up (default: 10)")
    one.add_argument("--lockers", type=int, default=1000, help="connections (default: 1000)")
    one.add_argument("--only", choices=("telemetry", "events_pipelined", "events_batch_1", "events_batch_100"))
    one.set_defaults(
        measure=lambda given: ingest.measure(seconds=given.seconds, lockers=given.lockers, only=given.only)
    )
    other = benchmarks.add_parser("command", help="from HTTP request to 'pulse sent', idle and under load")
    other.add_argument("--commands", type=int, default=600, help="while nothing else goes on (default: 600)")
    other.add_argument("--loaded-commands", type=int, default=400, help="under telemetry (default: 400)")
    other.add_argument("--rate", type=float, default=10_000, help="telemetry messages a second (default: 10000)")
    modes = other.add_mutually_exclusive_group()
    for mode, what in (
        ("frozen_database", "the same load, and every process of the database stopped meanwhile"),
        ("flood", "instead, one locker sends events at the rate, and another one telemetry"),
    ):
        flag = f"--{mode.replace('_', '-')}"
        modes.add_argument(flag, action="store_const", const=mode, dest="mode", default="load", help=what)
    other.set_defaults(
        measure=lambda given: command.measure(
            idle=given.commands, loaded=given.loaded_commands, rate_per_s=given.rate, mode=given.mode
        )
    )
    third = benchmarks.add_parser("history", help="seven years of events: asked, dropped, and a person erased")
    third.add_argument("--events", type=int, default=20_000_000, help="how many, at least (default: 20000000)")
    third.add_argument("--store", choices=history.STORES, help="this one only (default: one after the other)")
    third.add_argument("--seed", type=int, default=1, help="another one makes another history (default: 1)")
    third.set_defaults(
        measure=lambda given: history.measure(
            events=given.events, stores=[given.store] if given.store else list(history.STORES), seed=given.seed
        )
    )
    fourth = benchmarks.add_parser("live", help="what viewers cost the hub, and how soon they see")
    fourth.add_argument("--seconds", type=float, default=15.0, help="of each phase (default: 15)")
    fourth.add_argument("--lockers", type=int, default=5000, help="connections (default: 5000)")
    fourth.add_argument("--rate", type=float, default=500, help="door events a second, of all (default: 500)")
    fourth.set_defaults(
        measure=lambda given: live.measure(seconds=given.seconds, lockers=given.lockers, rate_per_s=given.rate)
    )
    fifth = benchmarks.add_parser(
        "restart", help="how long no command succeeds when a hub takes another one's place"
    )
    fifth.add_argument("--lockers", type=int, default=100, help="simulated, with real agents (default: 100)")
    fifth.add_argument("--rate", type=float, default=20, help="commands a second (default: 20)")
    fifth.add_argument("--rounds", type=int, default=5, help="restarts each way (default: 5)")
    fifth.add_argument("--way", choices=restart.WAYS, help="this one only (default: one after the other)")
    fifth.set_defaults(
        measure=lambda given: restart.measure(
            lockers=given.lockers, rate_per_s=given.rate, rounds=given.rounds,
            ways=[given.way] if given.way else list(restart.WAYS),
        )
    )  # fmt: skip
    for benchmark in (one, other, third, fourth, fifth):
        benchmark.add_argument("--json", action="store_true", help="print one JSON object, last on standard output")
    return parser


if __name__ == "__main__":
    sys.exit(main())
