"""The ledger against a plain model: a set of the numbers that were taken, and a queue to a database."""

from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.core.ledger import Gap, Key, Ledger, Seen, Take, Verdict

EPOCH = UUID(int=1)
A: Key = ("berlin-01", EPOCH)
B: Key = ("paris-02", EPOCH)
KEYS = st.sampled_from([A, B, ("berlin-01", UUID(int=2))])


@dataclass
class Plain:
    """What is known of one ledger, as sets."""

    committed: set[int] = field(default_factory=set)
    on_the_way: list[set[int]] = field(default_factory=list)

    def taken(self) -> set[int]:
        return self.committed.union(*self.on_the_way)

    def expected(self) -> int:
        return max(self.taken(), default=0) + 1

    def receipt(self) -> int:
        return max(self.committed, default=0)


class LedgerMachine(RuleBasedStateMachine):
    """Batches come in any order and commits go through, fail, or turn out to be another hub's."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(cursors_max=100)
        self.plain: dict[Key, Plain] = {}

    def of(self, key: Key) -> Plain:
        return self.plain.setdefault(key, Plain())

    @rule(key=KEYS, first=st.integers(1, 14), count=st.integers(1, 4), from_oldest=st.booleans())
    def batch(self, key: Key, first: int, count: int, from_oldest: bool) -> None:  # noqa: FBT001 - hypothesis fills it
        plain = self.of(key)
        numbers = set(range(first, first + count))
        new = numbers - plain.taken()
        verdict = self.ledger.take(key, first, count, first if from_oldest else 1)
        if not new:
            assert verdict == Seen(plain.receipt())
        elif min(new) == plain.expected():
            assert verdict == Take(count - len(new))
            plain.on_the_way.append(new)
        elif from_oldest:
            missing = (plain.expected(), first - 1)
            assert verdict == Take(0, missing)
            plain.on_the_way.append(new | set(range(missing[0], missing[1] + 1)))
        else:
            assert verdict == Gap(plain.expected())

    @precondition(lambda self: any(plain.on_the_way for plain in self.plain.values()))
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key, plain in self.plain.items() if plain.on_the_way]))
        plain = self.plain[key]
        plain.committed |= plain.on_the_way.pop(0)
        assert self.ledger.committed(key, plain.receipt() + 1) == plain.receipt()

    @rule(key=KEYS)
    def a_commit_is_answered_twice(self, key: Key) -> None:
        assert self.ledger.committed(key, self.of(key).receipt() + 1) == self.of(key).receipt()

    @rule(key=KEYS)
    def an_old_commit_is_heard_of(self, key: Key) -> None:
        assert self.ledger.committed(key, 1) == self.of(key).receipt()

    @rule(key=KEYS)
    def what_is_on_the_way_is_lost(self, key: Key) -> None:
        plain = self.of(key)
        plain.on_the_way.clear()
        assert self.ledger.reset(key) == plain.expected()

    @rule(key=KEYS, stands=st.integers(1, 14))
    def the_database_stands_elsewhere(self, key: Key, stands: int) -> None:
        self.plain[key] = Plain(set(range(1, stands)))
        assert self.ledger.reset(key, stands) == stands

    @rule(key=KEYS, ahead=st.integers(1, 3))
    def another_hub_is_ahead(self, key: Key, ahead: int) -> None:
        plain = self.of(key)
        plain.committed = set(range(1, plain.expected() + ahead))
        plain.on_the_way.clear()
        assert self.ledger.committed(key, max(plain.committed) + 1) == max(plain.committed)

    @invariant()
    def a_receipt_never_speaks_of_what_is_on_the_way(self) -> None:
        for key, plain in self.plain.items():
            verdict = self.ledger.take(key, 1, plain.expected() - 1, None) if plain.expected() > 1 else None
            assert verdict in {None, Seen(plain.receipt())}


LedgerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestLedger = LedgerMachine.TestCase


def test_what_the_database_knows_is_taken_over() -> None:
    ledger = Ledger(cursors_max=10)
    ledger.load([(A, 5), (B, 1)])
    assert ledger.take(A, 1, 4, None) == Seen(4)
    assert ledger.take(A, 4, 2, None) == Take(1)
    assert ledger.take(B, 2, 1, None) == Gap(1)


def test_a_gap_is_declared_only_by_a_batch_that_begins_with_the_oldest() -> None:
    ledger = Ledger(cursors_max=10)
    ledger.load([(A, 5)])
    assert ledger.take(A, 8, 2, 7) == Gap(5)
    assert ledger.take(A, 8, 2, 8) == Take(0, (5, 7))
    # Nothing is missing where the oldest is the one that is expected.
    assert ledger.take(A, 10, 1, 10) == Take(0)


def key_of(number: int) -> Key:
    return (f"locker-{number}", EPOCH)


def fill(ledger: Ledger, number: int, *, commit: bool) -> None:
    verdict: Verdict = ledger.take(key_of(number), 1, 3, None)
    assert verdict == Take(0)
    if commit:
        ledger.committed(key_of(number), 4)


def test_the_least_recently_used_settled_cursor_is_forgotten() -> None:
    ledger = Ledger(cursors_max=2)
    fill(ledger, 1, commit=True)
    fill(ledger, 2, commit=True)
    assert ledger.take(key_of(1), 1, 3, None) == Seen(3)
    fill(ledger, 3, commit=True)
    assert ledger.take(key_of(1), 1, 3, None) == Seen(3)
    # Number 2 was forgotten: it begins at 1 again, and the database says that it does not.
    assert ledger.take(key_of(2), 4, 1, None) == Gap(1)


def test_a_cursor_ahead_of_its_commit_is_never_forgotten() -> None:
    ledger = Ledger(cursors_max=1)
    for number in (1, 2, 3):
        fill(ledger, number, commit=False)
    for number in (1, 2, 3):
        assert ledger.take(key_of(number), 4, 1, None) == Take(0)
        ledger.committed(key_of(number), 5)
    # Settled, they give way again.
    fill(ledger, 4, commit=True)
    assert ledger.take(key_of(1), 5, 1, None) == Gap(1)


def test_more_cursors_than_allowed_are_not_taken_over() -> None:
    ledger = Ledger(cursors_max=2)
    ledger.load([(key_of(number), 4) for number in (1, 2, 3)])
    assert ledger.take(key_of(2), 1, 3, None) == Seen(3)
    assert ledger.take(key_of(3), 1, 3, None) == Seen(3)
    assert ledger.take(key_of(1), 4, 1, None) == Gap(1)
