"""Whether an order is obeyed: fresh, repeated, stale or forged. Pure; time is an argument.

The order of the questions matters: nothing is answered from memory, and nothing about doors is told, to
somebody who cannot sign; and a repeated id gets its first answer, whatever has changed since.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from wire.messages import DURABLE_KINDS, Args, Command, CommandKind, Reply
from wire.refusals import UNDELIVERED, UNRECORDED, AgentRefusal

AHEAD_MS_MAX: Final = 15_000


@dataclass(frozen=True, slots=True)
class Accept:
    """Carry it out: pulse this door."""

    door: int


@dataclass(frozen=True, slots=True)
class Locate:
    """Carry it out: make the locker easy to find."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Carry it out: keep and apply these settings."""

    settings: dict[str, float]


@dataclass(frozen=True, slots=True)
class Restart:
    """Carry it out: end the agent in order."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Carry it out: take this actor out of what is kept."""

    actor: UUID


@dataclass(frozen=True, slots=True)
class Cancel:
    """Never begin this command, if it has not begun."""

    command: UUID


@dataclass(frozen=True, slots=True)
class Reject:
    """Do nothing, and say why. `names` are the settings that were meant, if that is what was wrong."""

    reason: AgentRefusal
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """This id was here before: do nothing. `reply` is what was answered, None while it is being worked on."""

    reply: Reply | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is remembered of an id: its order's `fingerprint` (None: only the id is known), and the answer."""

    order: bytes | None
    reply: Reply | None


Work = Accept | Locate | Configure | Restart | Forget
"""What takes time."""
Verdict = Work | Cancel | Reject | Repeat


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
    ahead_ms_max: int = AHEAD_MS_MAX
    """How far ahead of `now_ms` a deadline may be."""
    read_settings: Callable[[Args], tuple[dict[str, float], tuple[str, ...]]] = lambda args: ({}, tuple(args))
    """Returns (the settings by name, the names of what is unknown or out of its limits)."""


def judge(
    command: Command,
    *,
    retained: bool,
    verify: Callable[[Command], bool],
    earlier: Callable[[UUID], Earlier | None],
    situation: Situation,
) -> Verdict:
    """Decide what to do with a command. `earlier` finds an id that was here before."""
    if retained:
        return Reject(AgentRefusal.RETAINED)
    if command.locker != situation.locker:
        return Reject(AgentRefusal.WRONG_LOCKER)
    if not verify(command):
        return Reject(AgentRefusal.BAD_SIGNATURE)
    known = earlier(command.id)
    if known is not None:
        same = known.order is None or known.order == fingerprint(command)
        return Repeat(known.reply) if same else Reject(AgentRefusal.ID_REUSED)
    return _judge_new(command, situation)


def too_late(command: Command, now_ms: int) -> bool:
    """Say whether the command's deadline has passed; the millisecond of the deadline itself is in time."""
    return now_ms > command.not_after


def leaves_trace(command: Command, reason: AgentRefusal) -> bool:
    """Say whether a refusal is written down, and with it final.

    Not where the hub did not mean this; and not where only the delivery of a durable command failed, as the hub
    sends that again under the same id. A cancel has no answer of its own that anybody would ask for again.
    """
    if reason in UNRECORDED or command.kind == CommandKind.CANCEL:
        return False
    return not (command.kind in DURABLE_KINDS and reason in UNDELIVERED)


def fingerprint(command: Command) -> bytes:
    """Return 16 bytes that differ where two commands order different things, whenever they are sent."""
    order = (command.kind, command.door, command.args, command.actor, command.reason)
    return blake2b(msgspec.json.encode(order, order="deterministic"), digest_size=16).digest()


def _judge_new(command: Command, situation: Situation) -> Verdict:
    if command.boot != situation.boot:
        return Reject(AgentRefusal.WRONG_BOOT)
    if too_late(command, situation.now_ms):
        return Reject(AgentRefusal.EXPIRED)
    if command.not_after - situation.now_ms > situation.ahead_ms_max:
        # The hub reckons this clock from what it hears of it. Whoever changes that on its way, and keeps the order
        # back, would else open the door whenever he likes.
        return Reject(AgentRefusal.TOO_FAR_AHEAD)
    judge_kind = _OF_KIND.get(command.kind)
    return Reject(AgentRefusal.UNKNOWN_KIND) if judge_kind is None else judge_kind(command, situation)


def _judge_open(command: Command, situation: Situation) -> Verdict:
    if command.door is None or not situation.has_door(command.door):
        return Reject(AgentRefusal.UNKNOWN_DOOR)
    if not situation.door_answers(command.door):
        return Reject(AgentRefusal.BOARD_OFFLINE)
    return Accept(command.door)


def _judge_locate(command: Command, situation: Situation) -> Verdict:
    if command.door is not None and not situation.has_door(command.door):
        return Reject(AgentRefusal.UNKNOWN_DOOR)
    # No board of today has a lamp at each door: the whole locker is what can be found.
    return Locate() if situation.has_beacon else Reject(AgentRefusal.NOT_EQUIPPED)


def _judge_configure(command: Command, situation: Situation) -> Verdict:
    settings, wrong = situation.read_settings(command.args or {})
    if wrong or not settings:
        return Reject(AgentRefusal.BAD_SETTINGS, wrong)
    return Configure(settings)


def _judge_restart(_command: Command, _situation: Situation) -> Verdict:
    return Restart()


def _judge_forget(command: Command, _situation: Situation) -> Verdict:
    match command.args:
        case {"actor": str(text), **rest} if not rest:
            with suppress(ValueError):
                actor = UUID(text)
                # As it stands in events: what is looked for is this text.
                return Forget(actor) if str(actor) == text else Reject(AgentRefusal.BAD_ARGS)
    return Reject(AgentRefusal.BAD_ARGS)


def _judge_cancel(command: Command, _situation: Situation) -> Verdict:
    try:
        return Cancel(UUID(str((command.args or {}).get("command"))))
    except ValueError:
        return Reject(AgentRefusal.BAD_ARGS)


_OF_KIND: Final[dict[str, Callable[[Command, Situation], Verdict]]] = {
    CommandKind.OPEN: _judge_open,
    CommandKind.LOCATE: _judge_locate,
    CommandKind.CONFIGURE: _judge_configure,
    CommandKind.RESTART: _judge_restart,
    CommandKind.FORGET: _judge_forget,
    CommandKind.CANCEL: _judge_cancel,
}
