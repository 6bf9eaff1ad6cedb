"""Commands on the locker's disk: started, finished; so that none acts twice, whatever restarts in between."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from edge_agent.clock import LockerClock
from edge_agent.core.doors import Note
from edge_agent.core.orders import Repeat
from edge_agent.disk import Disk
from edge_agent.outbox import Outbox, insert
from wire.messages import Command, CommandState, EventKind, Reply, Stages, decode_reply, encode

KEEP_MS: Final = 86_400_000
_YOUNG_MS: Final = 60_000

_read_command = msgspec.json.Decoder(Command).decode


@dataclass(slots=True)
class _Entry:
    boot: str
    t: int
    at: int
    reply: Reply | None


class Journal:
    """The commands of the last day. `load` first: it settles what a crash left open."""

    def __init__(self, disk: Disk, outbox: Outbox, clock: LockerClock) -> None:
        self._disk = disk
        self._outbox = outbox
        self._clock = clock
        self._entries: dict[UUID, _Entry] = {}

    async def load(self) -> list[Reply]:
        """Read the journal, and settle as `unknown` what was started and not finished.

        Nobody can know whether such a command acted, and it never acts again. Returns the replies that the hub
        is owed for them.
        """
        rows = await self._disk.submit(
            lambda connection: connection.execute("SELECT id, boot, t, at, body, reply FROM command").fetchall()
        )
        owed: list[Reply] = []
        for key, boot, t, at, body, reply in rows:
            entry = _Entry(boot, t, at, decode_reply(reply) if reply is not None else None)
            self._entries[UUID(key)] = entry
            if entry.reply is None:
                owed.append(await self._settle_unknown(_read_command(body), t))
        return owed

    def find(self, command: UUID) -> Repeat | None:
        """Return what a known id was answered; None for a new one."""
        entry = self._entries.get(command)
        return None if entry is None else Repeat(entry.reply)

    def reserve(self, command: UUID, received_t: int) -> None:
        """Take a new id in memory, at once, so that its twin in the next message is a repeat."""
        self._entries[command] = _Entry(str(self._clock.boot), received_t, self._clock.stamp().at, None)

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
        entry = self._entries[command.id]
        rows = self._outbox.rows(notes)
        key = str(command.id)
        values = (key, entry.boot, entry.t, entry.at, encode(command), encode(reply))

        def write(connection: sqlite3.Connection) -> int:
            connection.execute(
                "INSERT INTO command VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET reply = excluded.reply",
                values,
            )
            return insert(connection, rows)

        await self._disk.submit(write, then=lambda first: self._outbox.committed(first, rows), patient=True)
        entry.reply = reply

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

    async def _settle_unknown(self, command: Command, received_t: int) -> Reply:
        stamp = self._clock.stamp()
        reply = Reply(
            v=1,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            id=command.id,
            state=CommandState.UNKNOWN,
            reason="restarted",
            stages=Stages(received_t=received_t),
        )
        await self.finish(command, reply, [finished(command, reply, stamp.t)])
        return reply


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
    """Return the data of `command.finished`, cut to what an entry may hold: over-long `args` are left out."""
    told = msgspec.to_builtins(command)
    told.pop("sig", None)
    if command.args is not None and len(msgspec.json.encode(command.args)) > _ARGS_BYTES_MAX:
        told["args"] = {"left_out": True}
    data: dict[str, object] = {"command": told, "state": reply.state.value}
    if reply.reason is not None:
        data["reason"] = reply.reason
    if reply.stages is not None:
        data["stages"] = msgspec.to_builtins(reply.stages)
    return data


_ARGS_BYTES_MAX: Final = 2048
