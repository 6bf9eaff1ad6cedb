"""What happens in one run, apart from chance: the setting, and steps at their times. From a seed or by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final

DOORS: Final = 4
SPAN_MS: Final = (8_000, 30_000)
_SECOND_THOUGHTS: Final = 0.2
"""The share of orders that are cancelled a moment later."""
ANY_TIME: Final = ""
"""As a step's `point`: at its time, whatever is going on."""
HUB_POINTS: Final = (ANY_TIME, "commit.before", "commit.after", "callback")
AGENT_POINTS: Final = (ANY_TIME, "executor.before", "executor.after", "pulse", "callback")


class Act(StrEnum):
    """What a step does."""

    # People at a locker.
    KEY = "key"
    SHUT = "shut"
    ITEM = "item"
    # People at a screen. `nth` names an earlier order.
    OPEN = "open"
    REPEAT = "repeat"
    CONFIGURE = "configure"
    RESTART = "restart"
    CANCEL = "cancel"
    FORGET = "forget"
    """Of the `nth` person: the hub lets each locker forget them."""
    # Processes and machines.
    KILL_HUB = "kill_hub"
    KILL_AGENT = "kill_agent"
    POWER_CUT = "power_cut"
    FREEZE_HUB = "freeze_hub"
    FREEZE_AGENT = "freeze_agent"
    SECOND_HUB = "second_hub"
    STOP_HUB = "stop_hub"
    # The network.
    CUT_AGENT = "cut_agent"
    CUT_HUB = "cut_hub"
    PARTITION_AGENT = "partition_agent"
    PARTITION_HUB = "partition_hub"
    BROKER_CRASH = "broker_crash"
    NOISE = "noise"
    LATE_WILLS = "late_wills"
    # The database.
    DATABASE_AWAY = "database_away"
    DATABASE_SLOW = "database_slow"
    DATABASE_SILENT = "database_silent"
    DATABASE_RESTORED = "database_restored"
    # Disks and clocks.
    DISK_FULL = "disk_full"
    DISK_CLONED = "disk_cloned"
    DISK_PUT_BACK = "disk_put_back"
    WALL_JUMP = "wall_jump"
    # Somebody on the wire who has recorded commands.
    REPLAY = "replay"
    RETAIN = "retain"
    REPLAY_RETAINED = "replay_retained"
    KEEP_FOR_NEXT_BOOT = "keep_for_next_boot"
    """The next open does not arrive, and is played after a power cut at the same time of the boot clock."""
    FORGE = "forge"


PEOPLE: Final = (Act.KEY, Act.SHUT, Act.ITEM)
ORDERS: Final = (Act.OPEN, Act.REPEAT, Act.CONFIGURE, Act.RESTART, Act.CANCEL, Act.FORGET)
FAULTS: Final = tuple(act for act in Act if act not in {*PEOPLE, *ORDERS})
"""What is drawn. A retained copy of a command that is under way as well breaks a promise: docs/simulation.md."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done. What a step has no use for is left as it is."""

    at_ms: int
    act: Act
    locker: int = 0
    door: int = 1
    for_ms: int = 0
    """How long a fault lasts; for a wall clock, how far it jumps."""
    nth: int = 1
    point: str = ANY_TIME
    """Where it happens, the nth time that its process passes there from `at_ms` on."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What stays as it is during a run."""

    lockers: int = 1
    hubs_apart: bool = False
    """A second hub has accounts of its own at the broker, so that both get everything; otherwise it takes over."""
    batch_events_max: int = 8
    outbox_events_max: int = 10_000
    queue_rows_max: int = 60
    cursors_max: int = 100
    poison_every: int = 0
    jams: bool = False
    wall_error_ms: int = 0
    drift_ppm: int = 0
    """Of every locker against every hub."""
    strict: bool = False
    """Hold against the code what is known of it as well."""


@dataclass(frozen=True, slots=True)
class Script:
    """A run."""

    setting: Setting
    steps: tuple[Step, ...]

    @property
    def end_ms(self) -> int:
        """When the last step is done, its fault included."""
        return max(
            (step.at_ms + (0 if step.act is Act.WALL_JUMP else step.for_ms) for step in self.steps), default=0
        )


def draw(random: Random, faults: Sequence[Act] = FAULTS) -> Script:
    """Return a script: 20 to 60 movements of people, 5 to 15 orders, 3 to 8 faults of the given kinds."""
    setting = Setting(
        lockers=random.choice((1, 1, 1, 2)),
        hubs_apart=random.random() < 0.5,
        batch_events_max=random.choice((2, 5, 20)),
        outbox_events_max=random.choice((10_000, 10_000, 10_000, 25)),
        queue_rows_max=random.choice((8, 60, 1000)),
        cursors_max=random.choice((1, 100)),
        poison_every=random.choice((0, 0, 0, 7)),
        jams=random.random() < 0.1,
        wall_error_ms=random.choice((0, 0, -3_600_000, 86_400_000, -2_000_000_000_000)),
        drift_ppm=random.randint(-200, 200),
    )
    span_ms = random.randint(*SPAN_MS)
    steps = [
        Step(random.randrange(span_ms), random.choice(PEOPLE), random.randrange(setting.lockers), _door(random))
        for _ in range(random.randint(20, 60))
    ]
    steps += [_order(random, span_ms, setting) for _ in range(random.randint(5, 15))]
    steps += [
        Step(step.at_ms + random.randint(1, 900), Act.CANCEL, step.locker, nth=0)
        for step in steps
        if step.act is Act.OPEN and random.random() < _SECOND_THOUGHTS
    ]
    steps += [fault(random, random.choice(faults), span_ms, setting) for _ in range(random.randint(3, 8))]
    return Script(setting, tuple(sorted(steps, key=lambda step: step.at_ms)))


def fault(random: Random, act: Act, span_ms: int, setting: Setting) -> Step:
    """Return a fault somewhere within the span."""
    step = Step(
        random.randrange(span_ms),
        act,
        random.randrange(setting.lockers),
        for_ms=random.choice((200, 800, 2_500, 6_000, 11_000)),
        nth=random.randint(1, 12),
    )
    if act in {Act.KILL_HUB, Act.FREEZE_HUB}:
        step = replace(step, point=random.choice(HUB_POINTS))
    elif act in {Act.KILL_AGENT, Act.POWER_CUT, Act.FREEZE_AGENT}:
        step = replace(step, point=random.choice(AGENT_POINTS))
    elif act is Act.WALL_JUMP:
        step = replace(step, for_ms=random.choice((-86_400_000, -5_000, 7_000, 3_600_000)))
    if step.point == "callback":
        step = replace(step, nth=random.randint(1, 150))
    elif step.point == "pulse":
        step = replace(step, nth=random.randint(1, 3))
    return step


def _order(random: Random, span_ms: int, setting: Setting) -> Step:
    act = random.choices(ORDERS, weights=(12, 3, 2, 1, 2, 2))[0]
    return Step(
        random.randrange(span_ms), act, random.randrange(setting.lockers), _door(random), nth=random.randint(1, 8)
    )


def _door(random: Random) -> int:
    return random.randint(1, DOORS)
