"""A transaction's life: open, then ended once, in one of four ways, each of them for good."""

from enum import StrEnum


class TransactionState(StrEnum):
    """Where a transaction is."""

    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its time was over; the hub says so."""
    ABANDONED = "abandoned"
    """Nobody came, or somebody went away in the middle of it."""

    @property
    def ended(self) -> bool:
        """Whether nothing changes it any more."""
        return self is not TransactionState.OPEN


def may_become(state: TransactionState, wanted: TransactionState) -> bool:
    """Say whether a transaction in `state` may become `wanted`: an open one any end, an ended one nothing else."""
    return wanted.ended and (state is TransactionState.OPEN or state is wanted)


def why_no_code(state: TransactionState) -> str | None:
    """Return why a transaction in this state gets no code, None if it does."""
    if state.ended:
        return f"The transaction is {state}; codes are for open ones."
    return None


def why_no_rating(state: TransactionState) -> str | None:
    """Return why a transaction in this state is not rated, None if it may be."""
    if not state.ended:
        return "The transaction is open; people are asked at its end."
    return None
