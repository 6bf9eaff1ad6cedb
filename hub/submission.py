"""The answer to who asks for a command: taken, or why not."""

from dataclasses import dataclass

from hub.core.commands import Entry, Refusal


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a command was not taken: a stable code, a sentence, and when to come again."""

    code: Refusal
    detail: str
    retry_after_s: float | None = None

    @property
    def label(self) -> str:
        """The metric's label."""
        return self.code.value


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that was taken. `repeated`: it was known already, and nothing was sent again."""

    entry: Entry
    repeated: bool = False

    @property
    def label(self) -> str:
        """The metric's label."""
        return "repeated" if self.repeated else "accepted"


KEY_REUSED = Refused(
    Refusal.IDEMPOTENCY_KEY_REUSED,
    "This Idempotency-Key came with another body before; a new command needs a new key.",
)
DRAINING = Refused(Refusal.DRAINING, "This hub is stopping; ask again in a moment.", 5.0)
