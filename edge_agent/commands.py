"""Carrying out what the hub orders: judge, write it down, look at the clock once more, pulse, write, reply."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import structs

from edge_agent.beacon import Beacon, BeaconError
from edge_agent.boards.link import LinkError
from edge_agent.cabinet import Cabinet
from edge_agent.clock import LockerClock
from edge_agent.core.doors import Note
from edge_agent.core.orders import FORGED, Accept, Locate, Refusal, Reject, Repeat, Situation, judge, too_late
from edge_agent.disk import DiskError
from edge_agent.journal import Journal, finished
from wire.errors import Reason, WireError
from wire.messages import PROTOCOL, Command, CommandState, EventKind, Reply, Stages, decode_command

log = logging.getLogger(__name__)

IN_HAND_MAX: Final = 64
"""Commands that are worked on at a time; one beyond is rejected as busy."""

SendReply = Callable[[Reply], Coroutine[Any, Any, None]]


class _AnyVersion(msgspec.Struct):
    id: UUID


_read_any_version = msgspec.json.Decoder(_AnyVersion).decode


class Commands:
    """The orders of one locker."""

    def __init__(
        self,
        locker: str,
        clock: LockerClock,
        cabinet: Cabinet,
        journal: Journal,
        verify: Callable[[Command], bool],
        send_reply: SendReply,
        beacon: Beacon,
    ) -> None:
        self.malformed = 0
        """Messages on the command topic that were no command."""
        self._locker = locker
        self._clock = clock
        self._cabinet = cabinet
        self._journal = journal
        self._verify = verify
        self._send_reply = send_reply
        self._beacon = beacon
        self._in_hand: set[asyncio.Task[None]] = set()

    def receive(self, payload: bytes, *, retained: bool) -> None:
        """Take one message of the command topic. It judges at once, and works in a task of its own."""
        stages = _Stopwatch(self._clock)
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
            ),
        )
        if isinstance(verdict, Accept | Locate) and len(self._in_hand) >= IN_HAND_MAX:
            verdict = Reject(Refusal.BUSY)
        match verdict:
            case Repeat(reply):
                log.info("command repeated", extra={"command": str(command.id)})
                if reply is not None:
                    self._spawn(self._send_reply(reply), command.id)
            case Reject(reason) if reason in FORGED:
                log.warning("command refused", extra={"command": str(command.id), "reason": reason.value})
                reply = self._reply(command.id, CommandState.REJECTED, reason, stages)
                self._spawn(self._send_reply(reply), command.id)
            case Reject(reason):
                self._journal.reserve(command.id, stages.received_t)
                self._spawn(self._end(command, CommandState.REJECTED, reason, stages), command.id)
            case Accept(door):
                self._journal.reserve(command.id, stages.received_t)
                self._spawn(self._open(command, door, stages), command.id)
            case Locate():
                self._journal.reserve(command.id, stages.received_t)
                self._spawn(self._locate(command, stages), command.id)

    async def drain(self, patience_s: float) -> None:
        """Wait until nothing is in hand, `patience_s` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._in_hand:
                    await asyncio.wait(self._in_hand)

    async def _open(self, command: Command, door: int, stages: "_Stopwatch") -> None:
        if not await self._started(command, stages):
            return
        try:
            fired = await self._cabinet.unlock(
                door, lambda: not too_late(command, self._clock.t()), command.id, command.actor
            )
        except LinkError as error:
            log.warning("pulse not sent", extra={"command": str(command.id), "why": str(error)})
            await self._end(command, CommandState.FAILED, Refusal.BOARD_OFFLINE, stages)
            return
        if not fired:
            await self._end(command, CommandState.REJECTED, Refusal.EXPIRED, stages)
            return
        stages.pulsed()
        unlocked = Note(self._clock.t(), EventKind.DOOR_UNLOCKED, door, command.id, command.actor)
        await self._end(command, CommandState.SUCCEEDED, None, stages, unlocked)

    async def _locate(self, command: Command, stages: "_Stopwatch") -> None:
        if not await self._started(command, stages):
            return
        if too_late(command, self._clock.t()):
            await self._end(command, CommandState.REJECTED, Refusal.EXPIRED, stages)
            return
        try:
            await self._beacon.on()
        except BeaconError as error:
            log.warning("beacon not lit", extra={"command": str(command.id), "why": str(error)})
            await self._end(command, CommandState.FAILED, Refusal.BEACON_FAILED, stages)
            return
        await self._end(command, CommandState.SUCCEEDED, None, stages)

    async def _started(self, command: Command, stages: "_Stopwatch") -> bool:
        """Write down that it begins. What cannot be written down does not begin."""
        try:
            await self._journal.start(command)
        except DiskError as error:
            log.error("command not written down", extra={"command": str(command.id), "why": str(error)})  # noqa: TRY400
            await self._end(command, CommandState.FAILED, Refusal.STORAGE, stages)
            return False
        stages.started()
        return True

    async def _end(
        self,
        command: Command,
        state: CommandState,
        reason: Refusal | None,
        stages: "_Stopwatch",
        *before: Note,
    ) -> None:
        reply = self._reply(command.id, state, reason, stages)
        notes = [*before, finished(command, reply, self._clock.t())]
        await self._journal.finish(command, reply, notes)
        await self._send_reply(structs.replace(reply, stages=stages.replied()))

    def _reply(self, command: UUID, state: CommandState, reason: Refusal | None, stages: "_Stopwatch") -> Reply:
        stamp = self._clock.stamp()
        return Reply(
            v=PROTOCOL,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            id=command,
            state=state,
            reason=None if reason is None else reason.value,
            stages=stages.so_far,
        )

    def _not_a_command(self, payload: bytes, error: WireError, stages: "_Stopwatch") -> None:
        self.malformed += 1
        log.warning("not a command", extra={"reason": error.reason.value, "why": error.detail[:200]})
        if error.reason is not Reason.VERSION:
            return
        with contextlib.suppress(msgspec.MsgspecError):
            command = _read_any_version(payload).id
            reply = self._reply(command, CommandState.REJECTED, Refusal.VERSION, stages)
            self._spawn(self._send_reply(reply), command)

    def _spawn(self, work: Coroutine[Any, Any, None], command: UUID) -> None:
        task = asyncio.create_task(work, name=f"command {command}")
        self._in_hand.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_hand.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("command broke off", extra={"task": task.get_name()}, exc_info=error)


class _Stopwatch:
    """Notes when a command passed each stage."""

    def __init__(self, clock: LockerClock) -> None:
        self._clock = clock
        self._began_us = clock.us()
        self.so_far = Stages(received_t=self._began_us // 1000)

    @property
    def received_t(self) -> int:
        return self.so_far.received_t

    def started(self) -> None:
        self.so_far = structs.replace(self.so_far, started_us=self._passed_us())

    def pulsed(self) -> None:
        self.so_far = structs.replace(self.so_far, pulsed_us=self._passed_us())

    def replied(self) -> Stages:
        return structs.replace(self.so_far, replied_us=self._passed_us())

    def _passed_us(self) -> int:
        return self._clock.us() - self._began_us
