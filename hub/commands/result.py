"""The answer to who asks for a command: taken, or why not."""

from dataclasses import dataclass

from hub.core.commands import CommandRecord, CommandRefusal, CommandStatus
from hub.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a command was not taken: a stable code, a sentence, and when to come again."""

    code: CommandRefusal
    detail: str
    retry_after_s: float | None = None

    @property
    def label(self) -> str:
        """The metric's label."""
        return self.code.value


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that was taken. `repeated`: it was known already, and nothing was sent again."""

    entry: CommandRecord
    repeated: bool = False

    @property
    def label(self) -> str:
        """The metric's label."""
        return "repeated" if self.repeated else "accepted"


KEY_REUSED = Refused(
    CommandRefusal.IDEMPOTENCY_KEY_REUSED,
    "This Idempotency-Key came with another body before; a new command needs a new key.",
)
DRAINING = Refused(CommandRefusal.DRAINING, "This hub is stopping; ask again in a moment.", 5.0)
ORDERED_BY_LAW = Refused(
    CommandRefusal.NOT_CANCELLABLE, "Somebody has a right to be forgotten; this ends when their data is gone."
)


def already_settled(entry: CommandRecord) -> Refused:
    """Refuse to cancel what has ended; `too_late` where the locker had begun before the wish reached it."""
    state = entry.state.value
    if entry.cancel_requested and entry.state in {
        CommandStatus.SUCCEEDED,
        CommandStatus.FAILED,
        CommandStatus.UNKNOWN,
    }:
        return Refused(
            CommandRefusal.TOO_LATE, f"The locker had begun before it could be cancelled; it is {state}."
        )
    return Refused(CommandRefusal.ALREADY_SETTLED, f"The command has ended: it is {state}.")


def away(error: StoreUnavailable) -> Refused:
    """Refuse because the database is away."""
    return Refused(
        CommandRefusal.DATABASE_UNAVAILABLE,
        f"Nothing was kept or sent, for the database does not answer: {error}.",
        2.0,
    )
