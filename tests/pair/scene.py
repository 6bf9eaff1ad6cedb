"""One run: a script is played, everything is healed, and everything is held against everything."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from hub.core.commands import Order
from hub.core.fleet import LockerState
from tests.pair import composition, process
from tests.pair.broker import Noise
from tests.pair.hosts import LockerHost
from tests.pair.script import Script
from tests.pair.steps import Steps
from tests.pair.world import MS, SECOND, Over, World
from wire.messages import DURABLE_KINDS

NAMES: Final = ("berlin-01", "paris-02")
_HEALED_S: Final = 180
_LOOK_NS: Final = SECOND // 2
_PROBES_S: Final = 20
_PROBES: Final = 3
"""A locker may be restarting, as it was told to, when it is asked first."""
_EXPIRES_S: Final = 86_400.0
_WAIT_S: Final = 6.0
_DURABLE_S: Final = 90
_SETTLED: Final = frozenset({"rejected", "succeeded", "failed", "unknown", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    breaches: tuple[str, ...]
    digest: str
    lines: tuple[str, ...]
    """The trace, if it was asked for, or if something was broken."""
    counts: dict[str, int]


def run(script: Script, seed: int, *, trace: bool = False, digest: bool = False) -> Verdict:
    """Run a script. The seed is the chance in it: latencies, ids, what noise hits."""
    world = World(seed)
    with composition.simulated(world):
        scene = Scene(world, script)
        try:
            with contextlib.suppress(Over):
                scene.play()
        finally:
            scene.bury()
    broken = bool(world.breaches)
    return Verdict(
        tuple(world.breaches),
        world.digest() if digest or broken else "",
        tuple(world.lines()) if trace or broken else (),
        scene.counts(),
    )


class Scene(Steps):
    """A run from its beginning to its verdict."""

    def play(self) -> None:
        """Run the script, heal everything, wait, and hold everything against everything."""
        world = self.world
        self.hubs[0].start()
        for host in self.lockers:
            host.start()
        world.run(2 * SECOND)
        start_ns = world.now_ns
        for step in self.script.steps:
            world.at(start_ns + step.at_ms * MS, self._act, step)
        for host in self.lockers:
            world.at(start_ns + self.script.end_ms * MS // 3, self._take_image, host)
        world.run(start_ns + self.script.end_ms * MS + SECOND)
        self.heal()
        self._let_clones_drain()
        if not self._until(lambda: not self.truth.missing(), _HEALED_S):
            world.note("checker", "not healed")
        world.run(world.now_ns + 2 * SECOND)
        self._wait_for_lockers()
        self._check_durable()
        self._probe()
        self._until(lambda: not self.truth.missing(), _HEALED_S)
        world.run(world.now_ns + SECOND)
        self.truth.finish()

    def heal(self) -> None:
        """End every fault."""
        world, broker, database = self.world, self.broker, self.database
        world.note("people", "heal")
        world.traps.clear()
        broker.noise = Noise()
        broker.will_delay_s = 0.0
        broker.heal()
        database.away, database.silent_commits = False, 0
        database.statement_ms, database.commit_ms = (0.2, 2.0), (0.3, 3.0)
        self.hubs[1].wanted = False
        if self.hubs[1].up:
            self.hubs[1].kill(0)
        self.hubs[0].wanted = True
        for host in self._hosts():
            if isinstance(host, LockerHost):
                host.drive.full = False
            host.thaw()
            host.start()

    def bury(self) -> None:
        """End what is left of all processes."""
        self.world.over = True
        for host in self._hosts():
            for one in host.processes:
                one.bury()
        process.current = None

    def counts(self) -> dict[str, int]:
        """Return how much happened."""
        return {
            "events": len(self.database.tables.events),
            "commands": len(self.truth.orders),
            "pulses": sum(len(order.pulses_ns) for order in self.truth.orders.values()),
            "steps": len(self.script.steps),
            "forgotten": self.truth.forgotten_people,
            "seconds": self.world.now_ns // SECOND,
            "forks": sum(len(epochs) - 1 for epochs in self.truth.epochs.values()),
            "unknown": sum(
                any(state == "unknown" for _, state in order.told) for order in self.truth.orders.values()
            ),
        }

    # The end.

    def _let_clones_drain(self) -> None:
        """Pull each original for a while, so that the other history can be told whole; then pull the clone."""
        for clone in self.clones:
            original = next(host for host in self.lockers if host.locker == clone.locker)
            original.wanted = False
            original.kill(0)
            clone.thaw()
            clone.start()
            self._until(lambda clone=clone: not self.truth.missing(clone.drive), _HEALED_S)  # type: ignore[misc]
            clone.wanted = False
            clone.kill(0)
            self.world.run(self.world.now_ns + SECOND)
            original.wanted = True
            original.start()

    def _wait_for_lockers(self) -> None:
        """Wait until each locker is online."""
        for locker in self.lockers:
            if self._until(lambda locker=locker: self._online(locker), _PROBES_S):  # type: ignore[misc]
                continue
            self.world.breach("V", f"{locker.name} is not online, although nothing is broken any more")

    def _probe(self) -> None:
        """Open a door of each locker: after all that, it works."""
        for locker in self.lockers:
            if not any(self._probe_once(locker) for _ in range(_PROBES)):
                self.world.breach("V", f"{locker.name} does not open a door, although nothing is broken any more")

    def _probe_once(self, locker: LockerHost) -> bool:
        before = len(self.asked)
        self._order(Order(locker.locker, "open", 1))
        self.world.run(self.world.now_ns + 4 * SECOND)
        orders = [self.truth.orders.get(command) for command, _ in self.asked[before:]]
        return any(state == "succeeded" for order in orders if order is not None for _, state in order.told)

    def _check_durable(self) -> None:
        """Wait for every durable command that was taken: each has an end."""

        def open_ones() -> list[UUID]:
            rows = self.database.tables.commands
            return [
                command
                for command, order in self.truth.orders.items()
                if order.kind in DURABLE_KINDS and order.accepted_ns and command not in self.truth.forgotten
                and (command not in rows or rows[command]["state"] not in _SETTLED)
            ]  # fmt: skip

        def forgets() -> list[UUID]:
            rows = self.database.tables.commands.values()
            return [row["id"] for row in rows if row["kind"] == "forget" and row["state"] not in _SETTLED]

        if not self._until(lambda: not forgets(), _DURABLE_S):
            self.world.breach("V", f"{forgets()[0]} is not over: somebody is not forgotten, and nothing is broken")
        ended = self._until(lambda: not open_ones(), _DURABLE_S)
        if not ended:
            for command in open_ones()[:3]:
                row = self.database.tables.commands.get(command)
                state = "not in the database" if row is None else row["state"]
                self.world.breach("V", f"{command} was taken to be delivered, and is {state}")

    def _online(self, locker: LockerHost) -> bool:
        build = self.hubs[0].build
        return build is not None and build.fleet.lockers[locker.locker].state is LockerState.ONLINE

    def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        end_ns = self.world.now_ns + int(seconds * SECOND)
        while self.world.now_ns < end_ns:
            if done():
                return True
            self.world.run(self.world.now_ns + _LOOK_NS)
        return done()

    def _take_image(self, host: LockerHost) -> None:
        self.images[host.name] = host.drive.image()
        self._saved = self.database.tables
