"""`python -m tests.pair`: run many seeds, or look at one."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from random import Random

from tests.pair.scene import Verdict, run
from tests.pair.script import draw

_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was asked for."""

    runs: int
    seed: int
    jobs: int
    json: bool
    trace: bool
    digest: bool


def play(seed: int, *, trace: bool = False, digest: bool = False) -> Verdict:
    """Run the script of a seed, with that seed's chance."""
    return run(draw(Random(seed)), seed, trace=trace, digest=digest)


def main() -> int:
    """Run, and tell. Returns 1 if anything was broken."""
    wanted = _arguments()
    began = time.monotonic()
    counts: Counter[str] = Counter()
    broken: dict[int, Verdict] = {}
    history = sha256()
    for seed, verdict in _verdicts(wanted):
        counts.update(verdict.counts)
        history.update(verdict.digest.encode())
        if verdict.breaches:
            broken[seed] = verdict
            if len(broken) <= _SHOWN_MAX and not wanted.json:
                sys.stdout.write(f"seed {seed}: {verdict.breaches[0]}\n")
        if wanted.trace:
            sys.stdout.write("\n".join(verdict.lines) + "\n")
    seconds = time.monotonic() - began
    told = {
        "runs": wanted.runs, "first_seed": wanted.seed, "broken": len(broken),
        "broken_seeds": _examples(broken),
        "breaches": dict(Counter(verdict.breaches[0].split(":")[0] for verdict in broken.values())),
        "seconds": round(seconds, 1), "runs_a_minute": round(wanted.runs / seconds * 60),
        "history": history.hexdigest() if wanted.digest else None,
        "happened": dict(sorted(counts.items())),
    }  # fmt: skip
    if wanted.json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in told.items()))
        if broken and not wanted.trace:
            seed = min(broken)
            sys.stdout.write(f"\nThe first one again: python -m tests.pair --seed {seed} --runs 1 --trace\n")
    return int(bool(broken))


def _examples(broken: dict[int, Verdict]) -> dict[str, list[int]]:
    """Return the first seeds that broke each promise."""
    seeds: dict[str, list[int]] = {}
    for seed, verdict in sorted(broken.items()):
        seeds.setdefault(verdict.breaches[0].split(":")[0], []).append(seed)
    return {rule: found[:_SHOWN_MAX] for rule, found in seeds.items()}


def _verdicts(wanted: Arguments) -> Iterator[tuple[int, Verdict]]:
    seeds = range(wanted.seed, wanted.seed + wanted.runs)
    tasks = ((seed, wanted.trace, wanted.digest) for seed in seeds)
    if wanted.jobs == 1:
        yield from map(_play, tasks)
        return
    with get_context("fork").Pool(wanted.jobs) as pool:
        yield from pool.imap(_play, tasks, chunksize=16)


def _play(task: tuple[int, bool, bool]) -> tuple[int, Verdict]:
    seed, trace, digest = task
    return seed, play(seed, trace=trace, digest=digest)


def _arguments() -> Arguments:
    parser = argparse.ArgumentParser(
        prog="python -m tests.pair", description="Simulated hubs and lockers under faults."
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="one line for machines")
    parser.add_argument("--trace", action="store_true", help="what happened, a line for each thing")
    parser.add_argument("--digest", action="store_true", help="tell a hash of all histories")
    return Arguments(**vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
