"""Commands on the locker's disk: started, finished; so that none acts twice, whatever restarts in between."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec

from edge_agent import command_rows
from edge_agent.clock import BootClock
from edge_agent.core.doors import Note
from edge_agent.core.orders import Earlier, fingerprint
from edge_agent.disk import Disk
from edge_agent.entries import Entries
from edge_agent.outbox import Outbox
from wire.messages import Command, CommandKind, CommandState, EventKind, Reply, Stages, decode_reply, encode
from wire.refusals import AgentRefusal

KEEP_MS: Final = 86_400_000
ENTRIES_MAX: Final = 10_000
"""Commands that are remembered; beyond it the oldest whose deadline has passed are forgotten before the day is."""
_CONFIRMED_S: Final = 30.0
_TOMBSTONE_MS: Final = 3_600_000
_YOUNG_MS: Final = 60_000
_LOOK_AT_MAX: Final = 64

_read_command = msgspec.json.Decoder(Command).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Entry:
    boot: str
    t: int
    at: int
    not_after: int
    """By the clock of `boot`."""
    order: bytes | None
    reply: Reply | None = None
    cancelled: bool = False


class Journal:
    """The commands of the last day, `ENTRIES_MAX` at the most. `load` first: it settles what a crash left open."""

    def __init__(self, disk: Disk, outbox: Outbox, clock: BootClock) -> None:
        self._disk = disk
        self._outbox = outbox
        self._clock = clock
        # In the order of their arrival.
        self._entries: dict[UUID, _Entry] = {}
        self._forgotten: list[str] = []

    async def load(self) -> list[Reply]:
        """Read the journal, and settle what was started and not finished. Returns the replies that the hub is owed.

        A restart has succeeded: here we are. Of any other command nobody can know whether it acted: it is
        `unknown`, and never acts again.
        """
        rows = await self._disk.read(
            lambda connection: connection.execute(
                "SELECT id, boot, t, at, body, reply FROM command ORDER BY at"
            ).fetchall()
        )
        owed: list[Reply] = []
        for key, boot, t, at, body, reply in rows:
            command = _read_command(body) if body is not None else None
            entry = _entry(command, boot, t, at)
            entry.reply = decode_reply(reply) if reply is not None else None
            self._entries[UUID(key)] = entry
            if entry.reply is None and command is not None:
                owed.append(await self._settle(command, t))
        self._forget_beyond_limit()
        return owed

    def find(self, command: UUID) -> Earlier | None:
        """Return what is remembered of an id; None for a new one."""
        entry = self._entries.get(command)
        return None if entry is None else Earlier(entry.order, entry.reply)

    def reserve(self, command: Command, received_t: int) -> None:
        """Take a new command in memory, at once, so that its twin in the next message is a repeat."""
        self._enter(command.id, _entry(command, str(self._clock.boot), received_t, self._clock.stamp().at))

    def release(self, command: UUID, *, started: bool) -> None:
        """Forget a command that did not act and shall be able to come again, under the same id."""
        del self._entries[command]
        if not started:
            return
        self._disk.submit(
            lambda connection: connection.execute("DELETE FROM command WHERE id = ?", (str(command),)).rowcount,
            patient=True,
        )

    async def start(self, command: Command) -> None:
        """Write that a reserved command is about to act. From here on it can act once at most, ever.

        Raises:
            DiskError: it is not on disk, and must not act.
        """
        entry = self._entries[command.id]
        row = (str(command.id), entry.boot, entry.t, entry.at, encode(command))
        await self._disk.submit(
            lambda connection: connection.execute("INSERT INTO command VALUES (?, ?, ?, ?, ?, NULL)", row).rowcount
        )

    async def finish(self, command: Command, reply: Reply, notes: Sequence[Note]) -> None:
        """Write how a reserved command ended and its ledger entries, in one transaction, then return.

        It waits for a disk that refuses: what acted is not told before it is written.
        """
        await self._finish(command.id, _body(command), reply, notes)

    async def configure(
        self,
        command: Command,
        settings: dict[str, float],
        reply: Reply,
        gate: Callable[[], bool],
        then: Callable[[], None],
    ) -> bool:
        """Write settings, the end of the reserved command that orders them, and its ledger entry, or nothing of it.

        `gate` is asked right before (on the disk thread), and False means that nothing is done; `then` runs on the
        event loop after the commit, in the order of the commits. Returns what the gate said.

        Raises:
            DiskError: nothing was written.
        """
        entries = self._outbox.entries([finished(command, reply, self._clock.t())])
        write = self._end_of(command.id, encode(command), reply, entries)

        def work(connection: sqlite3.Connection) -> bool:
            if not gate():
                return False
            connection.executemany(
                "INSERT OR REPLACE INTO setting VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in settings.items()],
            )
            write(connection)
            return True

        def committed(done: bool) -> None:  # noqa: FBT001 - the work's result
            if done:
                self._outbox.committed(entries)
                self._entries[command.id].reply = reply
                then()

        return await self._disk.submit(work, then=committed)

    async def forget(self, actor: UUID) -> None:
        """Take an actor out of the ledger so far, and of commands that are over, on the disk itself.

        It waits until the hub has confirmed the ledger so far: the hub may have had it, and erased it, long ago,
        and its receipt was lost. What is known of a command's id stays, so that it never acts again. Done again, it
        changes nothing.

        Raises:
            DiskError: not all of it is done.
            TimeoutError: nothing of it is done, as the hub has not confirmed the ledger in time.
        """
        # What was written just before is known here only once the disk's answers to it were taken: behind this one.
        await self._disk.submit(lambda _: None)
        async with asyncio.timeout(_CONFIRMED_S):
            await self._outbox.all_confirmed()
        await self._outbox.erase(actor)

        def then(erased: list[str]) -> None:
            for key in erased:
                if (entry := self._entries.get(UUID(key))) is not None:
                    entry.order = None

        await self._disk.submit(lambda connection: command_rows.erase(connection, str(actor)), then=then)
        if await self._disk.read(lambda connection: command_rows.names(connection, str(actor))):
            # What is under way or not confirmed names them still: the hub will ask once more.
            return
        await self._disk.leave_no_copies(str(actor).encode())

    def accept(self, command: UUID, reply: Reply) -> None:
        """Keep, in memory, what a command that goes on after this run was answered."""
        self._entries[command].reply = reply

    def cancel_in_hand(self, command: UUID) -> None:
        """Note that a command which is being worked on must not act any more."""
        self._entries[command].cancelled = True

    def is_cancelled(self, command: UUID) -> bool:
        """Say whether a command must not act any more. Safe from any thread."""
        entry = self._entries.get(command)
        return entry is not None and entry.cancelled

    def reserve_unknown(self, command: UUID, received_t: int) -> None:
        """Take the id of a command that has not come yet, at once; if it comes, it is a repeat."""
        self._enter(command, _entry(None, str(self._clock.boot), received_t, self._clock.stamp().at))

    async def finish_unknown(self, command: UUID, reply: Reply, note: Note) -> None:
        """Write the end of a command of which only the reserved id is known; see `finish`."""
        await self._finish(command, None, reply, [note])

    async def prune(self) -> int:
        """Forget finished commands older than a day. Returns how many.

        Age is counted by the boot clock within this boot; the wall clock, which may jump, only decides about
        earlier boots, and not within the first minute of this one.
        """
        now = self._clock.stamp()
        boot = str(self._clock.boot)
        old = [
            key
            for key, entry in self._entries.items()
            if entry.reply is not None
            and (
                now.t - entry.t > KEEP_MS
                if entry.boot == boot
                else now.at - entry.at > KEEP_MS and now.t > _YOUNG_MS
            )
        ]
        for key in old:
            del self._entries[key]
        if old:
            await self._disk.submit(
                lambda connection: (
                    connection.executemany(
                        "DELETE FROM command WHERE id = ?", [(str(key),) for key in old]
                    ).rowcount
                )
            )
        return len(old)

    def _enter(self, command: UUID, entry: _Entry) -> None:
        self._entries[command] = entry
        self._forget_beyond_limit()

    def _forget_beyond_limit(self) -> None:
        while len(self._entries) > ENTRIES_MAX:
            # Those in hand, or still within their deadline, are few, and the newest.
            oldest = islice(self._entries.items(), _LOOK_AT_MAX)
            key = next((key for key, entry in oldest if self._is_over(entry)), None)
            if key is None:
                return
            del self._entries[key]
            self._forgotten.append(str(key))

    def _is_over(self, entry: _Entry) -> bool:
        late = entry.boot != str(self._clock.boot) or self._clock.t() > entry.not_after
        return late and entry.reply is not None

    async def _finish(self, command: UUID, body: bytes | None, reply: Reply, notes: Sequence[Note]) -> None:
        entries = self._outbox.entries(notes)

        def then(_: int) -> None:
            self._outbox.committed(entries)
            self._entries[command].reply = reply

        await self._disk.submit(self._end_of(command, body, reply, entries), then=then, patient=True)

    def _end_of(
        self, command: UUID, body: bytes | None, reply: Reply, entries: Entries
    ) -> Callable[[sqlite3.Connection], int]:
        entry = self._entries[command]
        values = (str(command), entry.boot, entry.t, entry.at, body, encode(reply))
        forgotten, self._forgotten = self._forgotten, []

        def write(connection: sqlite3.Connection) -> int:
            connection.executemany("DELETE FROM command WHERE id = ?", [(key,) for key in forgotten])
            connection.execute(
                "INSERT INTO command VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET reply = excluded.reply",
                values,
            )
            return entries.write(connection)

        return write

    async def _settle(self, command: Command, received_t: int) -> Reply:
        stamp = self._clock.stamp()
        restarted = command.kind == CommandKind.RESTART
        reply = Reply(
            v=1,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            id=command.id,
            state=CommandState.SUCCEEDED if restarted else CommandState.UNKNOWN,
            reason=None if restarted else "restarted",
            stages=Stages(received_t=received_t),
        )
        await self.finish(command, reply, [finished(command, reply, stamp.t)])
        return reply


def _body(command: Command) -> bytes | None:
    # Who is to be forgotten is not kept by the order to do so.
    return None if command.kind == CommandKind.FORGET else encode(command)


def _entry(command: Command | None, boot: str, t: int, at: int) -> _Entry:
    if command is None:
        return _Entry(boot, t, at, t + _TOMBSTONE_MS, None)
    return _Entry(boot, t, at, command.not_after, fingerprint(command))


def never_begun(command: UUID, actor: UUID | None, t: int) -> Note:
    """Return the ledger entry of a command that was cancelled before it came; `actor` is who cancelled."""
    data = {
        "command": {"id": str(command)},
        "state": CommandState.REJECTED.value,
        "reason": AgentRefusal.CANCELLED.value,
    }
    return Note(t, EventKind.COMMAND_FINISHED, None, command, actor, data)


def finished(command: Command, reply: Reply, t: int) -> Note:
    """Return the ledger entry of a command's end: the whole command without its signature, and the reply's part."""
    return Note(
        t,
        EventKind.COMMAND_FINISHED,
        command.door,
        command.id,
        command.actor,
        finished_data(command, reply),
    )


def finished_data(command: Command, reply: Reply) -> dict[str, object]:
    """Return the data of `command.finished`, cut to what an entry may hold.

    Over-long `args` are left out, and those of a `forget`, which name whom nobody shall know any more.
    """
    told = msgspec.to_builtins(command)
    told.pop("sig", None)
    args = command.args
    if args is not None and (command.kind == CommandKind.FORGET or len(_encode(args)) > _ARGS_BYTES_MAX):
        told["args"] = {"left_out": True}
    data: dict[str, object] = {"command": told, "state": reply.state.value}
    if reply.reason is not None:
        data["reason"] = reply.reason
    if reply.stages is not None:
        data["stages"] = msgspec.to_builtins(reply.stages)
    return data


_ARGS_BYTES_MAX: Final = 2048
