"""Carrying out what the hub orders: judge, write it down, look at the clock once more, pulse, write, reply."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import structs

from edge_agent import settings
from edge_agent.beacon import Beacon, BeaconError
from edge_agent.boards.link import BoardLinkError
from edge_agent.cabinet import Cabinet
from edge_agent.clock import BootClock
from edge_agent.core.doors import Note
from edge_agent.core.orders import (
    AHEAD_MS_MAX,
    Accept,
    Cancel,
    Configure,
    Forget,
    Locate,
    Reject,
    Repeat,
    Restart,
    Situation,
    Work,
    judge,
    leaves_trace,
    too_late,
)
from edge_agent.disk import DiskError
from edge_agent.failpoint import crash_at
from edge_agent.journal import Journal, finished, never_begun
from edge_agent.stopwatch import Stopwatch
from wire.errors import Reason, WireError
from wire.messages import PROTOCOL, Command, CommandState, EventKind, Reply, decode_command
from wire.refusals import AgentRefusal

log = logging.getLogger(__name__)

IN_HAND_MAX: Final = 64
"""Commands that are worked on at a time; one beyond is rejected as busy."""
UNANSWERED_MAX: Final = 4 * IN_HAND_MAX
"""Commands, with those that are only answered, at a time; one beyond is dropped, and counted."""
_REASON_CHARACTERS_MAX: Final = 200

SendReply = Callable[[Reply], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What commands do beyond doors and beacon."""

    configured: Callable[[dict[str, float]], None]
    """Apply settings that are kept already."""
    restart: Callable[[], None]
    """End the agent in order; its supervisor starts it again."""


class _AnyVersion(msgspec.Struct):
    id: UUID


_read_any_version = msgspec.json.Decoder(_AnyVersion).decode


class CommandExecutor:
    """The orders of one locker."""

    def __init__(
        self,
        locker: str,
        clock: BootClock,
        cabinet: Cabinet,
        journal: Journal,
        verify: Callable[[Command], bool],
        send_reply: SendReply,
        beacon: Beacon,
        hooks: Hooks,
        *,
        ahead_ms_max: int = AHEAD_MS_MAX,
    ) -> None:
        self.malformed = 0
        """Messages on the command topic that were no command."""
        self.dropped = 0
        """Commands that came while `UNANSWERED_MAX` were worked on: nothing was done and nothing was said."""
        self._locker = locker
        self._clock = clock
        self._cabinet = cabinet
        self._journal = journal
        self._verify = verify
        self._send_reply = send_reply
        self._beacon = beacon
        self._hooks = hooks
        self._ahead_ms_max = ahead_ms_max
        self._in_hand: set[asyncio.Task[None]] = set()

    def receive(self, payload: bytes, *, retained: bool) -> None:
        """Take one message of the command topic. It judges at once, and works in a task of its own."""
        stages = Stopwatch(self._clock)
        if len(self._in_hand) >= UNANSWERED_MAX:
            self._drop()
            return
        try:
            command = decode_command(payload)
        except WireError as error:
            self._not_a_command(payload, error, stages)
            return
        verdict = judge(
            command,
            retained=retained,
            verify=self._verify,
            earlier=self._journal.find,
            situation=Situation(
                self._locker,
                self._clock.boot,
                stages.received_t,
                self._cabinet.has,
                self._cabinet.answers,
                self._beacon.equipped,
                self._ahead_ms_max,
                settings.read,
            ),
        )
        if isinstance(verdict, Work) and len(self._in_hand) >= IN_HAND_MAX:
            if isinstance(verdict, Forget):
                # A refusal would be its end; without a word it comes again.
                self._drop()
                return
            verdict = Reject(AgentRefusal.BUSY)
        match verdict:
            case Repeat(reply):
                log.info("command repeated", extra={"command": str(command.id)})
                if reply is not None:
                    self._spawn(self._send_reply(reply), command.id)
            case Cancel(target):
                self._cancel(command, target, stages)
            case Reject(reason, names) if not leaves_trace(command, reason):
                log.warning("command refused", extra={"command": str(command.id), "reason": reason.value})
                reply = self._reply(command.id, CommandState.REJECTED, reason, stages, names)
                self._spawn(self._send_reply(reply), command.id)
            case _:
                self._journal.reserve(command, stages.received_t)
                self._spawn(self._work(command, verdict, stages), command.id)

    def troubles(self) -> dict[str, int]:
        """Return what has gone wrong since the start, by name; what never did is left out."""
        counted = {"commands_dropped": self.dropped, "commands_malformed": self.malformed}
        return {name: count for name, count in counted.items() if count}

    async def drain(self, patience_s: float) -> None:
        """Wait until nothing is in hand, `patience_s` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._in_hand:
                    await asyncio.wait(self._in_hand)

    def _drop(self) -> None:
        self.dropped += 1
        log.error("command dropped: too many at a time", extra={"in_hand": len(self._in_hand)})

    async def _work(self, command: Command, verdict: Work | Reject, stages: Stopwatch) -> None:
        match verdict:
            case Accept(door):
                await self._open(command, door, stages)
            case Locate():
                await self._locate(command, stages)
            case Configure(wanted):
                await self._configure(command, wanted, stages)
            case Restart():
                await self._restart(command, stages)
            case Forget(actor):
                await self._forget(command, actor, stages)
            case Reject(reason, names):
                await self._end(command, CommandState.REJECTED, reason, stages, names=names)

    async def _open(self, command: Command, door: int, stages: Stopwatch) -> None:
        if not await self._started(command, stages):
            return
        try:
            fired = await self._cabinet.unlock(door, self._gate(command), command.id, command.actor)
        except BoardLinkError as error:
            log.warning("pulse not sent", extra={"command": str(command.id), "why": str(error)})
            await self._end(command, CommandState.FAILED, AgentRefusal.BOARD_OFFLINE, stages)
            return
        if not fired:
            await self._end(command, CommandState.REJECTED, self._why_not(command), stages)
            return
        crash_at("after_pulse")
        stages.pulsed()
        unlocked = Note(self._clock.t(), EventKind.DOOR_UNLOCKED, door, command.id, command.actor)
        await self._end(command, CommandState.SUCCEEDED, None, stages, unlocked)

    async def _locate(self, command: Command, stages: Stopwatch) -> None:
        if not await self._started(command, stages):
            return
        if not self._gate(command)():
            await self._end(command, CommandState.REJECTED, self._why_not(command), stages)
            return
        try:
            await self._beacon.on()
        except BeaconError as error:
            log.warning("beacon not lit", extra={"command": str(command.id), "why": str(error)})
            await self._end(command, CommandState.FAILED, AgentRefusal.BEACON_FAILED, stages)
            return
        await self._end(command, CommandState.SUCCEEDED, None, stages)

    async def _configure(self, command: Command, wanted: dict[str, float], stages: Stopwatch) -> None:
        reply = self._reply(command.id, CommandState.SUCCEEDED, None, stages)
        crash_at("before_started")
        try:
            done = await self._journal.configure(
                command, wanted, reply, self._gate(command), lambda: self._hooks.configured(wanted)
            )
        except DiskError as error:
            await self._not_written(command, error, stages)
            return
        if not done:
            await self._put_back(command, stages, started=False)
            return
        crash_at("after_done")
        await self._send_reply(structs.replace(reply, stages=stages.replied()))

    async def _restart(self, command: Command, stages: Stopwatch) -> None:
        if not await self._started(command, stages):
            return
        if not self._gate(command)():
            await self._put_back(command, stages, started=True)
            return
        reply = self._reply(command.id, CommandState.ACCEPTED, None, stages)
        self._journal.accept(command.id, reply)
        await self._send_reply(structs.replace(reply, stages=stages.replied()))
        self._hooks.restart()

    async def _forget(self, command: Command, actor: UUID, stages: Stopwatch) -> None:
        if not self._gate(command)():
            await self._put_back(command, stages, started=False)
            return
        crash_at("before_forgotten")
        try:
            await self._journal.forget(actor)
        except (DiskError, TimeoutError) as error:
            # Said to have failed it would be over; without a word it comes again, and is begun anew.
            log.error("not forgotten yet", extra={"command": str(command.id), "why": repr(error)})  # noqa: TRY400
            self._journal.release(command.id, started=False)
            return
        crash_at("after_forgotten")
        await self._end(command, CommandState.SUCCEEDED, None, stages)

    async def _put_back(self, command: Command, stages: Stopwatch, *, started: bool) -> None:
        """End a durable command that came too late, or was cancelled, before it did anything."""
        reason = self._why_not(command)
        if reason is AgentRefusal.CANCELLED:
            await self._end(command, CommandState.REJECTED, reason, stages)
            return
        # The hub sends it again, under the same id with a new deadline.
        self._journal.release(command.id, started=started)
        await self._send_reply(self._reply(command.id, CommandState.REJECTED, reason, stages))

    def _cancel(self, command: Command, target: UUID, stages: Stopwatch) -> None:
        known = self._journal.find(target)
        log.info("cancel", extra={"command": str(target), "by": str(command.id), "known": known is not None})
        if known is None:
            # At once: its copy may be the next message.
            self._journal.reserve_unknown(target, stages.received_t)
            self._spawn(self._never_begin(command, target, stages), target)
        elif known.reply is not None:
            self._spawn(self._send_reply(known.reply), target)
        else:
            self._journal.cancel_in_hand(target)

    async def _never_begin(self, command: Command, target: UUID, stages: Stopwatch) -> None:
        reply = self._reply(target, CommandState.REJECTED, AgentRefusal.CANCELLED, stages)
        note = never_begun(target, command.actor, self._clock.t())
        await self._journal.finish_unknown(target, reply, note)
        crash_at("after_done")
        await self._send_reply(reply)

    def _gate(self, command: Command) -> Callable[[], bool]:
        """Return what is asked in the moment of acting: whether the command may still act."""
        return lambda: not too_late(command, self._clock.t()) and not self._journal.is_cancelled(command.id)

    def _why_not(self, command: Command) -> AgentRefusal:
        return AgentRefusal.CANCELLED if self._journal.is_cancelled(command.id) else AgentRefusal.EXPIRED

    async def _started(self, command: Command, stages: Stopwatch) -> bool:
        """Write down that it begins. What cannot be written down does not begin."""
        crash_at("before_started")
        try:
            await self._journal.start(command)
        except DiskError as error:
            await self._not_written(command, error, stages)
            return False
        crash_at("after_started")
        stages.started()
        return True

    async def _not_written(self, command: Command, error: DiskError, stages: Stopwatch) -> None:
        log.error("command not written down", extra={"command": str(command.id), "why": str(error)})
        await self._end(command, CommandState.FAILED, AgentRefusal.STORAGE, stages)

    async def _end(
        self,
        command: Command,
        state: CommandState,
        reason: AgentRefusal | None,
        stages: Stopwatch,
        *before: Note,
        names: tuple[str, ...] = (),
    ) -> None:
        reply = self._reply(command.id, state, reason, stages, names)
        notes = [*before, finished(command, reply, self._clock.t())]
        await self._journal.finish(command, reply, notes)
        crash_at("after_done")
        await self._send_reply(structs.replace(reply, stages=stages.replied()))

    def _reply(
        self,
        command: UUID,
        state: CommandState,
        reason: AgentRefusal | None,
        stages: Stopwatch,
        names: tuple[str, ...] = (),
    ) -> Reply:
        stamp = self._clock.stamp()
        return Reply(
            v=PROTOCOL,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            id=command,
            state=state,
            reason=None if reason is None else _text(reason, names),
            stages=stages.so_far,
        )

    def _not_a_command(self, payload: bytes, error: WireError, stages: Stopwatch) -> None:
        self.malformed += 1
        log.warning("not a command", extra={"reason": error.reason.value, "why": error.detail[:200]})
        if error.reason is not Reason.VERSION:
            return
        with contextlib.suppress(msgspec.MsgspecError):
            command = _read_any_version(payload).id
            reply = self._reply(command, CommandState.REJECTED, AgentRefusal.VERSION, stages)
            self._spawn(self._send_reply(reply), command)

    def _spawn(self, work: Coroutine[Any, Any, None], command: UUID) -> None:
        task = asyncio.create_task(work, name=f"command {command}")
        self._in_hand.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_hand.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("command broke off", extra={"task": task.get_name()}, exc_info=error)


def _text(reason: AgentRefusal, names: tuple[str, ...]) -> str:
    if not names:
        return reason.value
    # Names are what the hub sent: the wire's reason holds 200 printable characters.
    printable = ", ".join("".join(c if c.isprintable() else "?" for c in name) for name in names)
    return f"{reason.value}: {printable}"[:_REASON_CHARACTERS_MAX]
