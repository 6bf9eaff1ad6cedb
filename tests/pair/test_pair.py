"""Seeds of the simulation: as many as fit into a few seconds, and a thousand with `scripts/test --all`.

A failing seed is told, and how to see it again.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pair.__main__ import play
from tests.pair.mutations import MUTATIONS
from tests.pair.scene import run
from tests.pair.script import DOORS, FAULTS, ORDERS, PEOPLE, Act, Script, Setting, Step, fault

RUNS = int(os.environ.get("PAIR_RUNS", "300"))
CPU_S = float(os.environ.get("PAIR_CPU_S", "12"))
SHARES = 4
RUNS_OF_ALL = 1_000
SEEDS_MAX = 300
EXAMPLES = int(os.environ.get("PAIR_EXAMPLES", "30"))


@pytest.mark.timeout(900)  # it counts in seconds of the processor, of which a busy machine gives few
@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_is_lost_twice_or_late_whatever_fails(share: int) -> None:
    runs = _nothing_is_wrong(range(1 + share, RUNS + 1, SHARES), CPU_S / SHARES)
    # A machine that is too slow for a handful would have tested nothing.
    assert runs >= min(RUNS // SHARES, 5)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_nothing_is_lost_twice_or_late_in_a_thousand_histories() -> None:
    assert _nothing_is_wrong(range(1, RUNS_OF_ALL + 1), float("inf")) == RUNS_OF_ALL


def _nothing_is_wrong(seeds: range, cpu_s: float) -> int:
    """Play seeds until so much of the processor is spent; return how many."""
    happened: Counter[str] = Counter()
    deadline = time.process_time() + cpu_s
    runs = 0
    for seed in seeds:
        verdict = play(seed)
        assert not verdict.breaches, _told(seed, verdict.breaches, verdict.lines)
        happened.update(verdict.counts)
        runs += 1
        if time.process_time() > deadline:
            break
    assert happened["events"] > 30 * runs
    assert happened["pulses"] > runs
    assert happened["forks"] or runs < 20
    return runs


def test_one_seed_is_one_history() -> None:
    assert play(7, digest=True).digest == play(7, digest=True).digest
    assert play(7, digest=True).digest != play(8, digest=True).digest


def test_a_history_does_not_depend_on_the_process_it_is_made_in() -> None:
    script = "from tests.pair.__main__ import play; print(play(11, digest=True).digest)"
    found = f"import sys; sys.path[:0] = {sys.path!r}; import tests; tests.__path__ = {_tests_path()!r}; "
    digests = {
        subprocess.run(
            [sys.executable, "-c", found + script],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert digests == {play(11, digest=True).digest + "\n"}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_bug_made_by_hand_is_found(name: str) -> None:
    mutation = MUTATIONS[name]
    with mutation.applied():
        for seed in range(1, SEEDS_MAX + 1):
            if run(mutation.draw(Random(seed)), seed).breaches:
                return
    pytest.fail(f"{name}: not found by {SEEDS_MAX} seeds")


SPAN_MS = 15_000
_people = st.builds(Step, st.integers(0, SPAN_MS), st.sampled_from(PEOPLE), st.just(0), st.integers(1, DOORS))
_orders = st.builds(
    Step, st.integers(0, SPAN_MS), st.sampled_from(ORDERS), st.just(0), st.integers(1, DOORS), nth=st.integers(0, 5)
)
_faults = st.builds(
    lambda act, seed: fault(Random(seed), act, SPAN_MS, Setting()), st.sampled_from(FAULTS), st.integers(0, 1000)
)
_scripts = st.builds(
    lambda *steps: Script(
        Setting(), tuple(sorted((one for some in steps for one in some), key=lambda one: one.at_ms))
    ),
    st.lists(_people, max_size=15),
    st.lists(_orders, max_size=8),
    st.lists(_faults, max_size=5),
)


@given(_scripts, st.integers(0, 1000))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_script_breaks_a_promise(script: Script, seed: int) -> None:
    verdict = run(script, seed)
    assert not verdict.breaches, "\n".join((*map(str, script.steps), *verdict.breaches))


def _tests_path() -> list[str]:
    # Another library has a package of this name; pytest knows which one is ours.
    return [str(Path(__file__).parents[1])]


def _told(seed: int, breaches: tuple[str, ...], lines: tuple[str, ...]) -> str:
    again = f"again with: python -m tests.pair --seed {seed} --runs 1 --trace"
    return "\n".join((f"seed {seed}", *lines, *breaches, again))


def test_a_locker_whose_disk_was_put_back_comes_online() -> None:
    steps = [Step(at_ms, Act.KILL_AGENT, for_ms=200) for at_ms in range(12_000, 29_000, 3_500)]
    steps.append(Step(30_000, Act.DISK_PUT_BACK, for_ms=200))
    assert not run(Script(Setting(strict=True), tuple(steps)), 1).breaches


def test_a_refused_copy_does_not_settle_a_command() -> None:
    steps = (Step(1_000, Act.OPEN), Step(1_003, Act.REPLAY_RETAINED, nth=0))
    for seed in range(40):
        assert not run(Script(Setting(strict=True), steps), seed).breaches


def test_what_a_second_hub_took_is_delivered_by_the_first() -> None:
    steps = [Step(500, Act.SECOND_HUB, for_ms=9_000), Step(1_000, Act.PARTITION_AGENT, for_ms=11_000)]
    steps += [Step(at_ms, Act.CONFIGURE) for at_ms in range(2_000, 9_000, 1_000)]
    assert not run(Script(Setting(strict=True, hubs_apart=True), tuple(steps)), 3).breaches
