"""A command's end as its locker's ledger tells it, read from the data of `command.finished`."""

from dataclasses import dataclass
from uuid import UUID

import msgspec

from hub.core.commands import CommandClass, CommandReply, Order
from wire.messages import DURABLE_KINDS, Args, CommandKind, CommandState, Door, Event, Kind, Stages, Text


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole command, and the locker's last word on it."""

    id: UUID
    order: Order
    command_class: CommandClass
    word: CommandReply

    @property
    def undelivered(self) -> bool:
        """Whether it is no end at all, but the refusal of one delivery of a durable command."""
        return self.word.undelivered and self.command_class is CommandClass.DURABLE


class _Command(msgspec.Struct, frozen=True):
    id: UUID
    locker: str
    kind: Kind
    door: Door | None = None
    actor: UUID | None = None
    reason: Text | None = None
    args: Args | None = None


class _Data(msgspec.Struct, frozen=True):
    command: _Command
    state: CommandState
    reason: Text | None = None
    stages: Stages | None = None


def read_finished(locker: str, event: Event) -> Finished | None:
    """Return what a `command.finished` of this locker says.

    None where it says nothing of a command of the hub's: a form that this version does not know, another locker's
    command (an agent refuses it, and may write that down), the end of a `cancel`, or no end at all.
    """
    try:
        data = msgspec.convert(event.data, _Data)
    except msgspec.ValidationError:
        return None
    told = data.command
    if told.locker != locker or told.kind == CommandKind.CANCEL or data.state is CommandState.ACCEPTED:
        return None
    kind_class = CommandClass.DURABLE if told.kind in DURABLE_KINDS else CommandClass.INSTANT
    return Finished(
        told.id,
        Order(locker, told.kind, told.door, told.actor, told.reason, told.args),
        kind_class,
        CommandReply.of(data.state, data.reason, data.stages),
    )
