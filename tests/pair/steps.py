"""What a step of a script does to the world."""

from typing import Final

from hub.core.commands import Order
from tests.pair import composition
from tests.pair.broker import Noise
from tests.pair.drive import Drive
from tests.pair.hosts import Host, LockerHost
from tests.pair.script import ANY_TIME, Act, Step
from tests.pair.stage import PEOPLE, Stage
from tests.pair.world import MS, SECOND
from wire.messages import PROTOCOL, Command, CommandKind, decode_command, encode
from wire.topics import Channel, topic_of

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
_FORGED_AHEAD_MS: Final = 5_000
"""What an agent takes: only the signature is wrong."""
_STARTED_MS: Final = 2_000
"""An agent that is started is connected by then."""
_LEFT_MS: Final = 1_000
"""How long before its deadline a recorded order is played: only the boot is wrong."""


class Steps(Stage):
    """A stage on which steps are carried out."""

    def _act(self, step: Step) -> None:
        host: Host = self.lockers[step.locker % len(self.lockers)]
        if step.act in {Act.KILL_HUB, Act.FREEZE_HUB}:
            host = self.hubs[0]
        if step.point != ANY_TIME:
            self.world.note("script", step.act, host.name, f"at {step.point} {step.nth}")
            self.world.trap(host.name, step.point, step.nth, lambda: self._do(step))
        else:
            self.world.note("script", step.act, step.locker, step.door, step.for_ms, step.nth)
            self._do(step)

    def _do(self, step: Step) -> None:
        getattr(self, f"_{step.act.value}")(step, self.lockers[step.locker % len(self.lockers)], step.for_ms / 1000)

    def _key(self, step: Step, locker: LockerHost, _: float) -> None:
        locker.board.turn_key(step.door)

    def _shut(self, step: Step, locker: LockerHost, _: float) -> None:
        locker.board.push_shut(step.door)

    def _item(self, step: Step, locker: LockerHost, _: float) -> None:
        locker.board.move_item(step.door)

    def _open(self, step: Step, locker: LockerHost, _: float) -> None:
        self._order(Order(locker.locker, "open", step.door, actor=PEOPLE[step.nth % len(PEOPLE)]))

    def _configure(self, step: Step, locker: LockerHost, _: float) -> None:
        self._order(Order(locker.locker, "configure", args={"doors.left_open_s": 30 + step.nth}))

    def _restart(self, _: Step, locker: LockerHost, __: float) -> None:
        self._order(Order(locker.locker, "restart"))

    def _repeat(self, step: Step, _: LockerHost, __: float) -> None:
        if self.asked:
            self._ask(*self.asked[-1 - step.nth % len(self.asked)])

    def _cancel(self, step: Step, _: LockerHost, __: float) -> None:
        hub = self._hub()
        if self.asked and hub is not None and hub.build is not None:
            asked = self.asked[-1 - step.nth % len(self.asked)]
            hub.ask(self._call_cancel(hub, asked[0]))

    def _forget(self, step: Step, _: LockerHost, __: float) -> None:
        hub = self._hub()
        if hub is not None and hub.build is not None:
            hub.ask(self._call_forget(hub, PEOPLE[step.nth % len(PEOPLE)]))

    def _kill_hub(self, _: Step, __: LockerHost, seconds: float) -> None:
        self.hubs[0].kill(seconds)

    def _stop_hub(self, _: Step, __: LockerHost, ___: float) -> None:
        self.hubs[0].stop()

    def _kill_agent(self, _: Step, locker: LockerHost, seconds: float) -> None:
        locker.kill(seconds)

    def _power_cut(self, _: Step, locker: LockerHost, seconds: float) -> None:
        locker.kill(seconds, power=True)

    def _freeze_hub(self, _: Step, __: LockerHost, seconds: float) -> None:
        self.hubs[0].freeze(seconds)

    def _freeze_agent(self, _: Step, locker: LockerHost, seconds: float) -> None:
        locker.freeze(seconds)

    def _second_hub(self, _: Step, __: LockerHost, seconds: float) -> None:
        second = self.hubs[1]
        second.wanted = True
        second.start()

        def leave() -> None:
            second.wanted = False
            second.stop()

        self.world.after(seconds, leave)

    def _cut_agent(self, _: Step, locker: LockerHost, __: float) -> None:
        if locker.process is not None:
            self.broker.cut(locker.process)

    def _cut_hub(self, _: Step, __: LockerHost, ___: float) -> None:
        if self.hubs[0].process is not None:
            self.broker.cut(self.hubs[0].process)

    def _partition_agent(self, _: Step, locker: LockerHost, seconds: float) -> None:
        if locker.process is not None:
            self.broker.partition(locker.process, seconds)

    def _partition_hub(self, _: Step, __: LockerHost, seconds: float) -> None:
        if self.hubs[0].process is not None:
            self.broker.partition(self.hubs[0].process, seconds)

    def _broker_crash(self, step: Step, _: LockerHost, seconds: float) -> None:
        self.broker.crash(seconds / 3, forgets=step.nth % 2 == 0)

    def _noise(self, step: Step, _: LockerHost, seconds: float) -> None:
        share = 0.05 * step.nth
        lost, twice, late = ((share, 0, 0), (0, share, 0), (0, 0, share), (share / 2, share / 2, share / 2))[
            step.nth % 4
        ]
        self.broker.noise = Noise(lost, twice, late, (0.2, 3.0 if step.nth % 3 else 400.0))
        self.world.after(seconds, lambda: setattr(self.broker, "noise", Noise()))

    def _late_wills(self, _: Step, __: LockerHost, seconds: float) -> None:
        self.broker.will_delay_s = seconds
        self.world.after(seconds * 2, lambda: setattr(self.broker, "will_delay_s", 0.0))

    def _database_away(self, _: Step, __: LockerHost, seconds: float) -> None:
        self.database.away = True
        self.world.after(seconds, lambda: setattr(self.database, "away", False))

    def _database_slow(self, _: Step, __: LockerHost, seconds: float) -> None:
        self.database.statement_ms = self.database.commit_ms = (50.0, 900.0)

        def recover() -> None:
            self.database.statement_ms, self.database.commit_ms = (0.2, 2.0), (0.3, 3.0)

        self.world.after(seconds, recover)

    def _database_silent(self, step: Step, __: LockerHost, ___: float) -> None:
        self.database.silent_commits = step.nth

    def _database_restored(self, _: Step, __: LockerHost, ___: float) -> None:
        if self._saved is None:
            return
        self.world.note("people", "restore", "the database of before")
        for hub in self.hubs:
            if hub.up:
                hub.kill(1.0)
        self.database.restore(self._saved)
        self.truth.database_restored()

    def _disk_full(self, _: Step, locker: LockerHost, seconds: float) -> None:
        locker.drive.full = True
        self.world.after(seconds, lambda: setattr(locker.drive, "full", False))

    def _disk_cloned(self, _: Step, locker: LockerHost, __: float) -> None:
        image = locker.drive.image()
        if self.clones or image is None:
            return
        drive = Drive(f"{locker.name}+.disk")
        clone = LockerHost(
            self.world, self.truth, f"{locker.name}+", self.script.setting, locker=locker.locker, drive=drive
        )
        self.world.note("people", "clone", locker.name)
        self.truth.cloned.add(locker.locker)
        self.truth.crashes_ns[locker.locker].append(self.world.now_ns)
        self._older_disks += 1
        drive.put_back(image)
        drive.committed()
        self.clones.append(clone)
        clone.start()

    def _disk_put_back(self, _: Step, locker: LockerHost, seconds: float) -> None:
        image = self.images.get(locker.name)
        if image is None:
            return
        self.world.note("people", "put back", locker.name)
        self.truth.cloned.add(locker.locker)
        self._older_disks += 1
        locker.kill(seconds + 0.1, power=True)
        self.truth.disk_lost(locker.drive)
        locker.drive.put_back(image)
        locker.drive.committed()

    def _wall_jump(self, step: Step, locker: LockerHost, _: float) -> None:
        locker.jump(step.for_ms)

    def _replay(self, step: Step, _: LockerHost, __: float) -> None:
        self._inject(step, retained=False)

    def _retain(self, step: Step, _: LockerHost, __: float) -> None:
        self.broker.retain_next = 1 + step.nth % 3

    def _replay_retained(self, step: Step, _: LockerHost, __: float) -> None:
        self._inject(step, retained=True)

    def _forge(self, step: Step, locker: LockerHost, _: float) -> None:
        machine = locker.machine
        forged = composition.FORGER.sign(
            Command(
                v=PROTOCOL, id=self.world.uuid(), locker=locker.locker, kind="open", door=step.door,
                boot=machine.boot, not_after=machine.boot_ns() // MS + _FORGED_AHEAD_MS,
            )
        )  # fmt: skip
        self.broker.inject(locker.locker, topic_of(locker.locker, Channel.COMMANDS), encode(forged))

    def _keep_for_next_boot(self, _: Step, locker: LockerHost, seconds: float) -> None:
        """Keep the next open back, cut the power, and play it when the new boot's clock reads as it did then."""
        topic = topic_of(locker.locker, Channel.COMMANDS)

        def keep(payload: bytes) -> bool:
            command = decode_command(payload)
            if command.kind != CommandKind.OPEN:
                return False
            play_ms = command.not_after - _LEFT_MS
            # The days in which nothing happens until the clock is so far again are left out.
            booted_ms = max(0, play_ms - _STARTED_MS - int(seconds * 1000))
            locker.kill(seconds, power=True, uptime_ms=booted_ms)
            plays_ns = locker.machine.true_ns(play_ms / 1000)
            self.world.at(plays_ns, lambda: self.broker.inject(locker.locker, topic, payload))
            return True

        self.broker.keep_back[topic] = keep

    def _inject(self, step: Step, *, retained: bool) -> None:
        captured = self.broker.captured
        if not captured:
            return
        topic, payload = captured[-1 - step.nth % len(captured)]
        self.broker.inject(decode_command(payload).locker, topic, payload, retained=retained)
        other = next((name for name in self.names if name not in topic), None)
        if other is not None:
            self.broker.inject(other, topic_of(other, Channel.COMMANDS), payload, retained=retained)
