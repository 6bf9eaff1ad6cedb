"""Whether an order is obeyed: fresh, repeated, stale or forged. Pure; time is an argument.

The order of the questions matters: nothing is answered from memory, and nothing about doors is told, to
somebody who cannot sign; and a repeated id gets its first answer, whatever has changed since.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from wire.messages import Command, CommandKind, Reply


class Refusal(StrEnum):
    """Why a command is not obeyed; goes over the wire as the reply's `reason`, and never changes."""

    VERSION = "version"
    RETAINED = "retained"
    WRONG_LOCKER = "wrong_locker"
    BAD_SIGNATURE = "bad_signature"
    WRONG_BOOT = "wrong_boot"
    EXPIRED = "expired"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_DOOR = "unknown_door"
    NOT_EQUIPPED = "not_equipped"
    BEACON_FAILED = "beacon_failed"
    BOARD_OFFLINE = "board_offline"
    BUSY = "busy"
    STORAGE = "storage"


FORGED: Final = frozenset({Refusal.VERSION, Refusal.RETAINED, Refusal.WRONG_LOCKER, Refusal.BAD_SIGNATURE})
"""Refusals of something that the hub did not mean for this locker: they leave no trace in the journal."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Carry it out: pulse this door."""

    door: int


@dataclass(frozen=True, slots=True)
class Locate:
    """Carry it out: make the locker easy to find."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Do nothing, and say why."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class Repeat:
    """This id was here before: do nothing. `reply` is what was answered, None while it is being worked on."""

    reply: Reply | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a command is judged against."""

    locker: str
    boot: UUID
    now_ms: int
    """The boot clock."""
    has_door: Callable[[int], bool]
    door_answers: Callable[[int], bool]
    """Whether the door's board answers. Its sensors are not asked: a broken one must lock nobody out."""
    has_beacon: bool = False


def judge(
    command: Command,
    *,
    retained: bool,
    verify: Callable[[Command], bool],
    earlier: Callable[[UUID], Repeat | None],
    situation: Situation,
) -> Accept | Locate | Reject | Repeat:
    """Decide what to do with a command. `earlier` finds an id that was here before."""
    if retained:
        return Reject(Refusal.RETAINED)
    if command.locker != situation.locker:
        return Reject(Refusal.WRONG_LOCKER)
    if not verify(command):
        return Reject(Refusal.BAD_SIGNATURE)
    repeat = earlier(command.id)
    if repeat is not None:
        return repeat
    return _judge_new(command, situation)


def too_late(command: Command, now_ms: int) -> bool:
    """Say whether the command's deadline has passed; the millisecond of the deadline itself is in time."""
    return now_ms > command.not_after


def _judge_new(command: Command, situation: Situation) -> Accept | Locate | Reject:
    if command.boot != situation.boot:
        return Reject(Refusal.WRONG_BOOT)
    if too_late(command, situation.now_ms):
        return Reject(Refusal.EXPIRED)
    if command.kind == CommandKind.LOCATE:
        return _judge_locate(command, situation)
    if command.kind != CommandKind.OPEN:
        return Reject(Refusal.UNKNOWN_KIND)
    if command.door is None or not situation.has_door(command.door):
        return Reject(Refusal.UNKNOWN_DOOR)
    if not situation.door_answers(command.door):
        return Reject(Refusal.BOARD_OFFLINE)
    return Accept(command.door)


def _judge_locate(command: Command, situation: Situation) -> Locate | Reject:
    if command.door is not None and not situation.has_door(command.door):
        return Reject(Refusal.UNKNOWN_DOOR)
    # No board of today has a lamp at each door: the whole locker is what can be found.
    return Locate() if situation.has_beacon else Reject(Refusal.NOT_EQUIPPED)
