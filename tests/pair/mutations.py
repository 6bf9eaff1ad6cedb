# ruff: noqa: ANN401 - stand-ins take whatever the real ones take
"""Bugs made by hand: each breaks a promise of the real code, and the simulation finds it.

`MUTATIONS` maps a name to a way to break the code while a block runs, and the faults under which it shows.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import structs

import edge_agent.commands
import edge_agent.core.orders
import edge_agent.disk
import edge_agent.event_rows
import edge_agent.journal
import edge_agent.schema
import hub.store.ledgers
from edge_agent import signature
from edge_agent.commands import CommandExecutor
from edge_agent.disk import Disk
from edge_agent.journal import Journal
from edge_agent.sender import LedgerSender
from hub.commands.instant import InstantCommands
from hub.commands.publisher import CommandPublisher
from hub.core.accounting import Disposition, Tally
from hub.core.fleet import Fleet
from hub.core.ledger import Ledger, Take
from hub.errors import StoreUnavailable
from hub.ingest.event_writer import EventWriter
from hub.store.ledgers import Ledgers
from tests.pair import composition, stage, tables
from tests.pair.composition import replaced
from tests.pair.drive import Drive
from tests.pair.script import DOORS, FAULTS, Act, Script, Setting, Step, draw
from wire.messages import CommandState, Receipt, decode_events

Replaced = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """How the code is broken, and which faults are drawn."""

    replacements: Callable[[], Sequence[Replaced]]
    faults: tuple[Act, ...] = FAULTS
    script: Callable[[Random], Script] | None = None
    """Draws the script instead, where what is needed is too rare among all that can happen."""
    always: tuple[Step, ...] = ()
    """Happens in every script that is drawn."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What a drawn setting is changed to."""

    def draw(self, random: Random) -> Script:
        """Return a script in which it may show."""
        if self.script is not None:
            return self.script(random)
        drawn = draw(random, self.faults)
        steps = sorted((*drawn.steps, *self.always), key=lambda step: step.at_ms)
        return Script(replace(drawn.setting, **self.settings), tuple(steps))

    def applied(self) -> AbstractContextManager[Any]:
        """Break the code while the block runs."""
        stack = ExitStack()
        for place, name, value in self.replacements():
            stack.enter_context(replaced(place, name, value))
        return stack


_HUB_DIES: Final = (Act.KILL_HUB, Act.DATABASE_SILENT, Act.DATABASE_SLOW, Act.DATABASE_AWAY)
_AGENT_DIES: Final = (Act.KILL_AGENT, Act.REPLAY)
_ALL_TWICE: Final = (Step(0, Act.NOISE, for_ms=30_000, nth=9),)
_NOTHING_STORED: Final = (Step(0, Act.DATABASE_AWAY, for_ms=30_000),)
_REPLAYED: Final = (Act.REPLAY, Act.NOISE)


# The hub's ledger.


def _receipt_before_commit() -> Sequence[Replaced]:
    write = EventWriter.write

    async def early(sink: EventWriter, batch: Any) -> None:
        for unit in batch:
            sink._receipt(unit)  # noqa: SLF001 - a bug on purpose
        await write(sink, batch)

    return [(EventWriter, "write", early)]


def _failed_commit_believed() -> Sequence[Replaced]:
    write = EventWriter.write

    async def careless(sink: EventWriter, batch: Any) -> None:
        try:
            await write(sink, batch)
        except StoreUnavailable:
            return

    return [(EventWriter, "write", careless)]


def _cursor_outside_of_transaction() -> Sequence[Replaced]:
    advance, write = hub.store.ledgers._advance, Ledgers.write_events  # noqa: SLF001 - a bug on purpose

    async def nothing(*_: object) -> None:
        """The cursor has moved already."""

    async def torn(ledgers: Ledgers, units: Any) -> None:
        spans = hub.store.ledgers._spans(units)  # noqa: SLF001 - a bug on purpose
        async with ledgers._store.transaction() as connection:  # noqa: SLF001 - a bug on purpose
            await advance(connection, spans)
        with replaced(hub.store.ledgers, "_advance", nothing):
            await write(ledgers, units)

    return [(Ledgers, "write_events", torn)]


def _everything_taken(_: Ledger, key: object, first: int, count: int, *others: object) -> Take:
    del key, first, count, others
    return Take(0)


async def _cursor_not_asked(connection: Any, spans: Any) -> None:
    del connection, spans


def _dedupe_off() -> Sequence[Replaced]:
    return [(Ledger, "take", _everything_taken), (hub.store.ledgers, "_advance", _cursor_not_asked)]


def _two_hubs_both_store() -> Sequence[Replaced]:
    def advance(state: tables.Tables, given: tables.Row) -> tables.Result:
        for key, _, cursor, _ in tables._moves(given):  # noqa: SLF001 - a bug on purpose
            state.cursors[key] = cursor
        return tables.Result(count=len(tables._array(given["lockers"])))  # noqa: SLF001 - the same

    writes = {**tables.writes, "cursor_advance": advance, "cursor_add": advance}  # fmt: skip
    return [(tables, "writes", writes)]


def _gap_accepted_silently() -> Sequence[Replaced]:
    take = Ledger.take

    def trusting(ledger: Ledger, key: Any, first: int, count: int, oldest: int | None, *others: Any) -> Any:
        del oldest
        return take(ledger, key, first, count, first, *others)

    return [(Ledger, "take", trusting)]


def _fork_ignored() -> Sequence[Replaced]:
    take, receipt = Ledger.take, LedgerSender.receipt

    def blind(ledger: Ledger, key: Any, first: int, count: int, oldest: int | None, *_: Any) -> Any:
        return take(ledger, key, first, count, oldest)

    def deaf(sender: LedgerSender, said: Receipt) -> None:
        receipt(sender, structs.replace(said, chain=None, fork=False))

    return [(Ledger, "take", blind), (LedgerSender, "receipt", deaf)]


def _duplicates_not_counted() -> Sequence[Replaced]:
    settle = Tally.settle

    def forgetful(tally: Tally, outcome: Disposition, count: int = 1) -> None:
        if outcome is not Disposition.DUPLICATE:
            settle(tally, outcome, count)

    return [(Tally, "settle", forgetful)]


def _late_will_taken() -> Sequence[Replaced]:
    presence, heard = Fleet.presence, Fleet.heard

    def gullible(fleet: Fleet, locker: str, said: Any, **when: Any) -> bool:
        fleet.lockers[locker].boot = None
        return presence(fleet, locker, said, **when)

    def stubborn(fleet: Fleet, locker: str, **when: Any) -> None:
        # Who is heard afterwards is there: without this, too, or it would heal.
        if fleet.lockers[locker].online or fleet.lockers[locker].over_at is None:
            heard(fleet, locker, **when)

    return [(Fleet, "presence", gullible), (Fleet, "heard", stubborn)]


# The hub's commands.


def _id_not_kept() -> Sequence[Replaced]:
    submit = InstantCommands.submit

    def anew(instant: InstantCommands, command: UUID, order: Any, **others: Any) -> Any:
        return submit(instant, uuid4() if instant.find(command) else command, order, **others)

    return [(InstantCommands, "submit", anew)]


def _deadline_of_the_hub() -> Sequence[Replaced]:
    sealed = CommandPublisher.sign

    def generous(publisher: CommandPublisher, command: UUID, order: Any, stamp: Any, deadline_ms: float) -> bytes:
        return sealed(publisher, command, order, stamp, deadline_ms + 10_000)

    return [(CommandPublisher, "sign", generous)]


# The agent.


def _never_too_late(*_: object) -> bool:
    return False


def _deadline_not_checked() -> Sequence[Replaced]:
    return [
        (edge_agent.commands, "too_late", _never_too_late),
        (edge_agent.core.orders, "too_late", _never_too_late),
    ]


def _deadline_not_checked_before_the_pulse() -> Sequence[Replaced]:
    return [(CommandExecutor, "_gate", lambda *_: lambda: True)]


def _boot_not_checked() -> Sequence[Replaced]:
    judge = edge_agent.core.orders._judge_new  # noqa: SLF001 - a bug on purpose

    def any_boot(command: Any, situation: Any) -> Any:
        return judge(structs.replace(command, boot=situation.boot), situation)

    return [(edge_agent.core.orders, "_judge_new", any_boot)]


def _signature_not_checked() -> Sequence[Replaced]:
    def verify() -> signature.Verify:
        return lambda _: True

    return [(composition, "verify", verify)]


def _retained_accepted() -> Sequence[Replaced]:
    judge = edge_agent.core.orders.judge

    def careless(command: Any, *, retained: bool, **others: Any) -> Any:
        del retained
        return judge(command, retained=False, **others)

    return [(edge_agent.commands, "judge", careless)]


def _repeats_act_again() -> Sequence[Replaced]:
    return [(Journal, "find", lambda *_: None)]


def _journal_not_read() -> Sequence[Replaced]:
    async def empty(_: Journal) -> list[Any]:
        return []

    return [(Journal, "load", empty)]


def _start_not_written() -> Sequence[Replaced]:
    async def unwritten(*_: object) -> None:
        """Act at once."""

    return [(Journal, "start", unwritten)]


def _unknown_told_as_failed() -> Sequence[Replaced]:
    class Hopeful:
        ACCEPTED = CommandState.ACCEPTED
        REJECTED = CommandState.REJECTED
        SUCCEEDED = CommandState.SUCCEEDED
        FAILED = CommandState.FAILED
        UNKNOWN = CommandState.FAILED

    return [(edge_agent.journal, "CommandState", Hopeful)]


def _cancelled_still_acts() -> Sequence[Replaced]:
    async def forgotten(journal: Journal, command: UUID, *_: Any) -> None:
        # Not written down either: a second line of the same id would be refused by the disk.
        journal._entries.pop(command, None)  # noqa: SLF001 - a bug on purpose

    return [(Journal, "finish_unknown", forgotten), (Journal, "is_cancelled", lambda *_: False)]


def _pruned_at_the_brokers_word() -> Sequence[Replaced]:
    run = LedgerSender.run

    async def trusting(sender: LedgerSender, publish: Any) -> None:
        async def believed(payload: bytes) -> None:
            await publish(payload)
            batch = decode_events(payload)
            sender._outbox.ack(batch.first + len(batch.events) - 1)  # noqa: SLF001 - a bug on purpose

        await run(sender, believed)

    return [(LedgerSender, "run", trusting)]


def _person_stays_in_the_row() -> Sequence[Replaced]:
    return [(edge_agent.event_rows, "erase", lambda *_: {})]


def _copies_stay_on_the_disk() -> Sequence[Replaced]:
    bring_forward = edge_agent.schema.bring_forward

    def wiped_by_nobody(connection: Any) -> None:
        bring_forward(connection)
        connection.execute("PRAGMA secure_delete = OFF")

    async def unseen(_: Disk, __: bytes) -> None:
        """Nobody looks."""

    return [(edge_agent.disk, "bring_forward", wiped_by_nobody), (Disk, "leave_no_copies", unseen)]


def _disk_not_synced() -> Sequence[Replaced]:
    return [(stage, "Drive", partial(Drive, synced=False))]


def _cancelled_before_they_come(random: Random) -> Script:
    steps = [Step(0, Act.NOISE, for_ms=16_000, nth=10)]
    for at_ms in range(500, 15_000, 2_500):
        steps.append(Step(at_ms, Act.OPEN, door=random.randint(1, DOORS)))
        steps.append(Step(at_ms + random.randint(50, 500), Act.CANCEL, nth=0))
    return Script(Setting(), tuple(steps))


MUTATIONS: Final = {
    "receipt before commit": Mutation(_receipt_before_commit, _HUB_DIES),
    "failed commit believed": Mutation(_failed_commit_believed, _HUB_DIES),
    "cursor outside of the transaction": Mutation(_cursor_outside_of_transaction, _HUB_DIES),
    "dedupe off": Mutation(
        # With rows that the database refuses, the same batch comes for ever: found too, but after a long while.
        _dedupe_off, (Act.KILL_HUB,), always=_ALL_TWICE, settings={"poison_every": 0},
    ),
    "two hubs both store": Mutation(_two_hubs_both_store, (Act.SECOND_HUB, Act.DATABASE_SLOW)),
    "gap accepted silently": Mutation(_gap_accepted_silently, (*_HUB_DIES, Act.NOISE)),
    "fork ignored": Mutation(_fork_ignored, (Act.DISK_CLONED, Act.DISK_PUT_BACK)),
    "duplicates not counted": Mutation(_duplicates_not_counted),
    "late will taken": Mutation(_late_will_taken, (Act.LATE_WILLS, Act.CUT_AGENT, Act.PARTITION_AGENT)),
    "idempotency id not kept": Mutation(_id_not_kept),
    "deadline of the hub": Mutation(_deadline_of_the_hub, (Act.FREEZE_AGENT, Act.PARTITION_AGENT, Act.REPLAY)),
    "deadline not checked": Mutation(_deadline_not_checked, (Act.FREEZE_AGENT, Act.PARTITION_AGENT, Act.NOISE)),
    "deadline not checked before the pulse": Mutation(_deadline_not_checked_before_the_pulse, (Act.FREEZE_AGENT,)),
    "boot not checked": Mutation(_boot_not_checked, (Act.KEEP_FOR_NEXT_BOOT,)),
    "signature not checked": Mutation(_signature_not_checked, (Act.FORGE,)),
    "retained accepted": Mutation(_retained_accepted, (Act.RETAIN,)),
    "repeats act again": Mutation(_repeats_act_again, _REPLAYED),
    "journal not read at start": Mutation(_journal_not_read, _AGENT_DIES),
    "start not written": Mutation(_start_not_written, _AGENT_DIES),
    "unknown told as failed": Mutation(_unknown_told_as_failed, _AGENT_DIES),
    "cancelled still acts": Mutation(_cancelled_still_acts, script=_cancelled_before_they_come),
    "pruned at the broker's word": Mutation(
        _pruned_at_the_brokers_word, (Act.KILL_HUB,), always=_NOTHING_STORED, settings={"batch_events_max": 20},
    ),
    "the person stays in the row": Mutation(_person_stays_in_the_row, (Act.NOISE,)),
    "copies stay on the disk": Mutation(_copies_stay_on_the_disk, (Act.NOISE,)),
    "disk not synced": Mutation(_disk_not_synced, (Act.POWER_CUT, Act.PARTITION_AGENT)),
}  # fmt: skip
