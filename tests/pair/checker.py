"""The checker and its own truth. It knows nothing of how hubs and agents work.

It sees what was safe on each disk, each pulse and its true time, the rows of the database, each receipt on its way,
and what people were told; and it says, in a sentence, which promise was broken.

    N  nothing lost           D  nothing twice            phantom  nothing made up
    A  no receipt too early   L  no pulse too late        X  no order acts twice
    U  honest answers         B  bounded and balanced     V  works again after every fault
    P  nothing is deleted from a disk before it is confirmed or declared
    F  who is to be forgotten is nowhere on the disk, as far as it had come when it was told so
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec

from hub.core.accounting import MessageAccounting
from tests.pair.database import Database
from tests.pair.drive import Content, Drive, Entry
from tests.pair.tables import EventRow
from tests.pair.world import MS, World
from wire.messages import EventKind, decode_receipt
from wire.topics import Channel, parse

_LATE_MS: Final = 3.0
"""Both clocks count whole milliseconds, and drift apart by 0.8 ms in the two seconds of a deadline."""
_NO_PULSE: Final = frozenset({"rejected", "failed", "cancelled", "expired"})

_ERASED: Final = b'"erased":true'
Number = tuple[str, UUID, int]


@dataclass(slots=True)
class Ordered:
    """One command: what people know of it."""

    locker: str
    kind: str
    accepted_ns: list[int] = field(default_factory=list)
    deadline_ms: float = 0.0
    pulses_ns: list[int] = field(default_factory=list)
    hubs: set[str] = field(default_factory=set)
    """Which were asked."""
    cabinets: list[str] = field(default_factory=list)
    """Where each pulse was."""
    told: list[tuple[int, str]] = field(default_factory=list)
    """When somebody was told which state."""


@dataclass(slots=True)
class Truth:
    """What really happened."""

    world: World
    database: Database
    strict: bool = False
    orders: dict[UUID, Ordered] = field(default_factory=dict)
    must: dict[Number, dict[Content, str]] = field(default_factory=dict)
    """What was ever safe on a disk, by the number and the disk."""
    gone: set[Number] = field(default_factory=set)
    """Numbers that are no longer on any disk."""
    lost_disks: set[tuple[Number, Content]] = field(default_factory=set)
    """What was on a disk that people threw away; nobody can ask for it."""
    forgotten: set[UUID] = field(default_factory=set)
    """Commands that the database lost, because people put back an older one."""
    forgotten_people: int = 0
    """How often a disk has forgotten somebody."""
    restored: bool = False
    """Whether the database was replaced by an older one."""
    cloned: set[str] = field(default_factory=set)
    """Lockers that were two, or that forgot: the one ledger tells nothing of the other's pulses."""
    only_retained: set[UUID] = field(default_factory=set)
    """Commands of which nothing but a retained copy reached their locker."""
    epochs: dict[str, list[UUID]] = field(default_factory=dict)
    """The epochs that each disk has had."""
    _numbers: dict[tuple[str, Content], list[Number]] = field(default_factory=lambda: defaultdict(list))
    """Every number that an event has had: another one in each epoch."""
    crashes_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    to_forget: set[UUID] = field(default_factory=set)
    """Whom the hub was told to let lockers forget."""
    _forgets: dict[tuple[str, UUID], tuple[str, UUID, int]] = field(default_factory=dict)
    """Each such command of each disk: whom, and the disk's newest event when it was first sent."""
    _locker_of: dict[str, str] = field(default_factory=dict)
    _contiguous: dict[tuple[str, UUID], int] = field(default_factory=dict)
    _indexed: int = 0
    _rows: dict[Number, list[Content]] = field(default_factory=dict)
    _stored_once: set[Number] = field(default_factory=set)
    """What was ever in the database, also in one that was replaced by its backup since."""
    _quarantined: set[Number] = field(default_factory=set)
    _declared: set[Number] = field(default_factory=set)
    _table: object = None

    # What is seen.

    def watch(self, drive: Drive, locker: str) -> None:
        """Look at a disk whenever something is committed to it."""
        self._locker_of[drive.name] = locker
        drive.look = self._disk_changed

    def disk_lost(self, drive: Drive) -> None:
        """A disk is thrown away, or loses what it had: what only it had cannot be asked for any more."""
        locker = self._locker_of[drive.name]
        for name, command in [key for key in self._forgets if key[0] == drive.name]:
            del self._forgets[name, command]
        for (epoch, seq), content in drive.entries.items():
            self.lost_disks.add(((locker, epoch, seq), content))
        there = set(drive.entries.values())
        for number, contents in self.must.items():
            for content, disk in contents.items():
                if disk == drive.name and content in there:
                    # A fork gave it another number: it is lost under that one, too.
                    self.lost_disks.add((number, content))

    def pulse(self, locker: str, cabinet: str, door: int, command: UUID | None) -> None:
        """A lock was pulsed, now, for this command. A cloned locker is two cabinets."""
        world = self.world
        world.note(locker, "PULSE", door, command)
        order = None if command is None else self.orders.get(command)
        if command in self.only_retained:
            world.breach("L", f"{command} has pulsed, and came as a retained message only")
        if order is None or not order.accepted_ns:
            world.breach("L", f"door {door} of {locker} was pulsed for {command}, which nobody has ordered")
            return
        order.pulses_ns.append(world.now_ns)
        order.cabinets.append(cabinet)
        forgotten_by_all = locker in self.cloned and (command in self.forgotten or len(order.hubs) > 1)
        pulses = order.cabinets.count(cabinet)
        if pulses > 1 and not forgotten_by_all:
            world.breach("X", f"{command} has pulsed {pulses} times")
        if order.locker != locker:
            world.breach("X", f"{command} is of {order.locker} and has pulsed at {locker}")
        late_ms = min((world.now_ns - accepted) / MS - order.deadline_ms for accepted in order.accepted_ns)
        if late_ms > _LATE_MS:
            world.breach("L", f"{command} has pulsed {late_ms:.1f} ms after its deadline")
        if locker not in self.cloned and any(state in _NO_PULSE for _, state in order.told):
            world.breach("U", f"{command} has pulsed after people were told {order.told[-1][1]}")

    def told(self, command: UUID, state: str, detail: str | None = None) -> None:
        """Somebody was told the state of a command."""
        order = self.orders[command]
        self.world.note("people", "told", command, state, detail or "")
        order.told.append((self.world.now_ns, state))
        if state == "succeeded" and order.kind == "open" and not order.pulses_ns:
            self.world.breach("U", f"{command} is said to have succeeded, and nothing was pulsed")
        if state in _NO_PULSE and order.pulses_ns and order.locker not in self.cloned:
            self.world.breach("U", f"{command} is said to be {state}, and the lock was pulsed")
        if state == "unknown" and not any(
            order.accepted_ns[0] <= crash <= self.world.now_ns for crash in self.crashes_ns[order.locker]
        ):
            self.world.breach("U", f"{command} is said to be unknown, and its locker has not crashed")

    def published(self, process: str, topic: str, payload: bytes) -> None:
        """A message is on its way: a receipt must be true already."""
        if not topic.endswith(Channel.RECEIPTS.value):
            return
        locker, _ = parse(topic)
        receipt = decode_receipt(payload)
        self.world.note(process, "receipt", locker, payload.decode()[20:])
        if receipt.upto is None:
            return
        self._index()
        key = (locker, receipt.epoch)
        reached = self._contiguous.get(key, 0)
        while reached < receipt.upto and self._accounted((*key, reached + 1)):
            reached += 1
        self._contiguous[key] = reached
        if reached < receipt.upto:
            self.world.breach("A", f"{process} confirms {locker} up to {receipt.upto}; {reached + 1} is not there")

    def balanced(self, who: str, accounts: MessageAccounting, in_flight: Callable[[], tuple[int, int]]) -> None:
        """A hub's books, at any moment."""
        events, samples = in_flight()
        if accounts.events.open() != events or accounts.samples.open() != samples:
            self.world.breach(
                "B", f"{who}: {accounts.events.open()} events are open, {events} in flight; "
                f"samples {accounts.samples.open()}, {samples}",
            )  # fmt: skip

    def database_restored(self) -> None:
        """The database is an older one now: what was ordered since is not known there."""
        rows = self.database.tables.commands
        self.restored = True
        self.forgotten |= {command for command in self.orders if command not in rows}
        self._contiguous.clear()
        self._rows.clear()
        self._indexed = 0
        self._table = None

    def forget_sent(self, drive: Drive, command: UUID, actor: str) -> None:
        """A locker is told to forget somebody: in all that happened so far."""
        self._forgets.setdefault((drive.name, command), (actor, *drive.newest()))

    # What is asked.

    def missing(self, drive: Drive | None = None) -> list[tuple[Number, Content]]:
        """Return what was safe on a disk (or on any) and is not accounted for in the database."""
        self._index()
        absent = []
        for number, contents in self.must.items():
            stored = self._rows.get(number, ())
            for content, disk in contents.items():
                if drive is not None and (disk != drive.name or number[1:] not in drive.entries):
                    continue
                if content in stored or (number, content) in self.lost_disks or self._explained(number):
                    continue
                moved_on = self.epochs[disk][-1] != number[1]
                forked = moved_on or number[0] in self.cloned
                if forked and self.restored and number in self._stored_once and not self.strict:
                    # Confirmed, then lost with its database, and another disk took its number: docs/simulation.md.
                    continue
                if not moved_on or not self._stored_elsewhere(number, content):
                    absent.append((number, content))
        return absent

    def finish(self) -> None:
        """Hold everything against everything, after all has healed."""
        world = self.world
        absent = self.missing()
        for (locker, epoch, seq), content in absent[:5]:
            world.breach("N", f"{locker}'s event {seq} of {epoch} ({content.kind}) is lost")
        for number, contents in self._rows.items():
            if len(contents) > 1:
                world.breach("D", f"{number[0]}'s event {number[2]} of {number[1]} is there {len(contents)} times")
            for content in contents:
                if content not in self.must.get(number, ()):
                    world.breach(
                        "phantom", f"{number[0]}'s event {number[2]} of {number[1]} was on no disk: {content}"
                    )
        for number in sorted(self._declared - self.gone):
            world.breach("N", f"{number[0]}'s event {number[2]} is declared missing, and is still on its disk")
        for row in self.database.tables.commands.values():
            if row["id"] in self.orders:
                self.told(row["id"], row["state"], row["detail"])
        self._check_ledger_of_commands()

    # Inside.

    def _disk_changed(self, drive: Drive, added: list[Entry], gone: list[Entry]) -> None:
        locker = self._locker_of[drive.name]
        note = self.world.note
        epochs = self.epochs.setdefault(drive.name, [])
        for entry in added:
            if not epochs or epochs[-1] != entry.epoch:
                epochs.append(entry.epoch)
                note(drive.name, "epoch", entry.epoch)
            number = (locker, entry.epoch, entry.seq)
            content = drive.entries[entry.epoch, entry.seq] = self._as_written(number, entry.content)
            self.must.setdefault(number, {})[content] = drive.name
            self._numbers[locker, content].append(number)
            self._check_forgotten(drive, content)
            note(drive.name, "disk", entry.seq, entry.content.kind, entry.content.door, entry.content.command or "")
        if not gone:
            return
        self._index()
        note(drive.name, "deleted", gone[0].seq, gone[-1].seq)
        for entry in gone:
            number = (locker, entry.epoch, entry.seq)
            self.gone.add(number)
            if entry.epoch == epochs[-1] and number not in self._stored_once and not _told_of(drive, entry):
                self.world.breach("P", f"{drive.name} has deleted event {entry.seq}, which nobody has confirmed")

    def _as_written(self, number: Number, content: Content) -> Content:
        """Return what an event said before somebody in it was forgotten."""
        if content.data is None or _ERASED not in content.data or content.actor or content.command:
            return content
        there = (content.kind, content.door, content.at_ms)
        for known in self.must.get(number, ()):
            if known.actor in self.to_forget and (known.kind, known.door, known.at_ms) == there:
                return known
        return content

    def _check_forgotten(self, drive: Drive, content: Content) -> None:
        """Look at a disk on which an order to forget has succeeded just now."""
        sent = None if content.command is None else self._forgets.get((drive.name, content.command))
        if (
            sent is None
            or content.kind != EventKind.COMMAND_FINISHED
            or b'"succeeded"' not in (content.data or b"")
        ):
            return
        actor, epoch, newest = sent
        named = drive.names(actor)
        if drive.newest()[0] == epoch and any(0 < seq <= newest for seq in named):
            self.world.breach("F", f"{drive.name} has forgotten {actor}, and event {min(named)} names them")
        if not named and actor.encode() in (drive.image() or b""):
            self.world.breach("F", f"{drive.name} has forgotten {actor}, and a copy of something names them")
        self.forgotten_people += 1

    def _explained(self, number: Number) -> bool:
        """Say whether the database has a reason for not having a number."""
        return number in self._quarantined or (number in self.gone and number in self._declared)

    def _stored_elsewhere(self, number: Number, content: Content) -> bool:
        """Say whether an event is accounted for under the number that it got in a later epoch of its disk."""
        return any(
            content in self._rows.get(other, ()) or self._explained(other)
            for other in self._numbers[number[0], content]
            if other != number
        )

    def _accounted(self, number: Number) -> bool:
        return number in self._rows or number in self._quarantined or number in self._declared

    def _index(self) -> None:
        """Read what the database has gained since the last look."""
        tables = self.database.tables
        if self._table is tables:
            return
        for row in tables.events[self._indexed :]:
            number = (row.locker, row.epoch, row.seq)
            self._rows.setdefault(number, []).append(self._as_written(number, _content(row)))
            self._stored_once.add(number)
        self._indexed = len(tables.events)
        self._quarantined = {(row["locker"], row["epoch"], row["seq"]) for row in tables.quarantine if row["seq"]}
        self._declared = {(*gap.key, seq) for gap in tables.gaps for seq in range(gap.from_seq, gap.to_seq + 1)}
        self._stored_once |= self._quarantined | self._declared
        self._table = tables

    def _check_ledger_of_commands(self) -> None:
        for row in self.database.tables.events:
            if row.kind != EventKind.COMMAND_FINISHED or row.command not in self.orders:
                continue
            state = msgspec.json.decode(row.data or b"{}")["state"]
            order = self.orders[row.command]
            if order.kind != "open":
                continue
            if (state == "succeeded" and not order.pulses_ns) or (
                state in _NO_PULSE and order.pulses_ns and row.locker not in self.cloned
            ):
                self.world.breach("U", f"{row.locker}'s ledger says {state} of {row.command}: {order.pulses_ns}")


def _told_of(drive: Drive, entry: Entry) -> bool:
    for content in drive.entries.values():
        if content.kind == EventKind.OUTBOX_GAP and content.data is not None:
            data = msgspec.json.decode(content.data)
            if data.get("from", 1) <= entry.seq <= data.get("to", 0):
                return True
    return False


def _content(row: EventRow) -> Content:
    return Content(row.kind, row.door, row.actor, row.command, row.at_ms, row.data)
