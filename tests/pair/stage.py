"""What a run consists of: the world, its hubs and lockers, and what people order from them."""

from typing import Any, Final
from uuid import UUID

from hub import clock
from hub.commands.result import Accepted, Refused
from hub.core.commands import CommandClass, CommandRecord, CommandStatus, Order
from hub.core.people.erasing import LOCKER_AWAY_MAX
from hub.errors import StoreError
from hub.store.commands import add_forgets
from tests.pair.broker import Broker
from tests.pair.checker import Ordered, Truth
from tests.pair.database import Database
from tests.pair.drive import Drive
from tests.pair.hosts import Host, HubHost, LockerHost
from tests.pair.script import DOORS, Script
from tests.pair.tables import Tables
from tests.pair.world import SECOND, World
from wire.messages import DURABLE_KINDS, CommandKind, decode_command

NAMES: Final = ("berlin-01", "paris-02")
PEOPLE: Final = (UUID(int=0xA11CE << 100, version=4), UUID(int=0xB0B << 100, version=4))
_HEALED_S: Final = 180
_LOOK_NS: Final = SECOND // 2
_PROBES_S: Final = 20
_PROBES: Final = 3
"""A locker may be restarting, as it was told to, when it is asked first."""
_EXPIRES_S: Final = 86_400.0
_WAIT_S: Final = 6.0
_DURABLE_S: Final = 90
_SETTLED: Final = frozenset({"rejected", "succeeded", "failed", "unknown", "expired", "cancelled"})

_UNSAID: Final[dict[str, Any]] = {"address": "", "serial": "", "tags": [], "disabled": None}
"""What the registry has of a locker of which nothing more was said."""


class Stage:
    """The world of one run."""

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script
        setting = script.setting
        self.names = NAMES[: setting.lockers]
        self.database = world.database = Database(world, _registered(self.names, setting.poison_every))
        self.broker = world.broker = Broker(world)
        self.truth = Truth(world, self.database, setting.strict)
        self.broker.on_publish.append(
            lambda connection, topic, payload: self.truth.published(connection.process.name, topic, payload)
        )
        self.broker.on_command = self._command_passes
        self.hubs = [
            HubHost(world, self.truth, "hub", setting, account="hub"),
            HubHost(world, self.truth, "hub-2", setting, account="hub-2" if setting.hubs_apart else "hub"),
        ]
        self.hubs[1].wanted = False
        self.lockers = [
            LockerHost(world, self.truth, name, setting, locker=name, drive=Drive(f"{name}.disk"))
            for name in self.names
        ]
        self.clones: list[LockerHost] = []
        self.images: dict[str, bytes | None] = {}
        self.asked: list[tuple[UUID, Order]] = []
        self._saved: Tables | None = None
        self._older_disks = 0

    # Orders, as people give them.

    def _order(self, order: Order) -> None:
        command = self.world.uuid()
        self.asked.append((command, order))
        self._ask(command, order)

    def _ask(self, command: UUID, order: Order) -> None:
        hub = self._hub()
        if hub is None or hub.build is None:
            self.world.note("people", "no hub", command)
            return
        self.truth.orders.setdefault(command, Ordered(order.locker, order.kind))
        self.world.note("people", "ask", hub.name, command, order.kind, order.locker, order.door)
        hub.ask(self._call(hub, command, order))

    async def _call(self, hub: HubHost, command: UUID, order: Order) -> None:
        build, known = hub.build, self.truth.orders[command]
        # What is promised counts from here: the hub's own clock begins no earlier.
        asked_ns = self.world.now_ns
        durable = order.kind in DURABLE_KINDS
        if not durable:
            known.accepted_ns.append(asked_ns)
            known.hubs.add(hub.name)
            known.deadline_ms = 2000.0
        result = (
            await build.command_service.durable.submit(command, order, _EXPIRES_S)
            if durable
            else build.instant.submit(command, order)
        )
        if isinstance(result, Refused):
            self.world.note("people", "refused", command, result.code.value)
            if not durable:
                known.accepted_ns.remove(asked_ns)
            return
        assert isinstance(result, Accepted)
        if durable:
            known.accepted_ns.append(asked_ns)
        elif result.repeated:
            known.accepted_ns.remove(asked_ns)
        self.world.note("people", "accepted", command, "again" if result.repeated else "")
        await build.instant.wait(result.entry, _ended, _WAIT_S)
        self.truth.told(command, result.entry.state.value, result.entry.detail)

    async def _call_cancel(self, hub: HubHost, command: UUID) -> None:
        build = hub.build
        self.world.note("people", "cancel", command)
        known = build.instant.find(command)
        if known is not None and known.command_class is CommandClass.INSTANT:
            result = build.instant.cancel(known)
        else:
            result = await build.command_service.durable.cancel(command)
        if isinstance(result, Accepted):
            self.truth.told(command, result.entry.state.value, result.entry.detail)

    async def _call_forget(self, hub: HubHost, actor: UUID) -> None:
        build = hub.build
        self.truth.to_forget.add(actor)
        self.world.note("people", "forget", actor)
        try:
            now = clock.wall()
            async with build.store.transaction() as conn:
                new = await add_forgets(
                    conn, self.names, actor, now=now, expires_at=now + LOCKER_AWAY_MAX, deadline_ms=10_000
                )
        except StoreError as error:
            self.world.note("people", "not taken", str(error)[:100])
        else:
            self.world.note("people", "to forget", actor, new)

    def _command_passes(self, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - the broker's signature
        message = decode_command(payload)
        command = message.id
        if message.kind == CommandKind.FORGET:
            for host in (*self.lockers, *self.clones):
                if host.locker == message.locker:
                    self.truth.forget_sent(host.drive, command, str((message.args or {})["actor"]))
        if retained:
            self.truth.only_retained.add(command)
        else:
            self.truth.only_retained.discard(command)

    def _hub(self) -> HubHost | None:
        up = [hub for hub in self.hubs if hub.up]
        return self.world.random.choice(up) if up else None

    def _hosts(self) -> list[Host]:
        return [*self.hubs, *self.lockers, *self.clones]


def _ended(entry: CommandRecord) -> bool:
    return entry.state.settled or entry.state is CommandStatus.TIMED_OUT


def _registered(names: tuple[str, ...], poison_every: int) -> Tables:
    doors = [(str(door), str(door), "M", "1", str(door), "t", None) for door in range(1, DOORS + 1)]
    return Tables(
        lockers=tuple(
            {"id": name, "tenant_id": "default", "name": name, "site": "Testville", "doors": doors, **_UNSAID}
            for name in names
        ),
        poison_every=poison_every,
    )
