"""The ledger against a plain model: a set of the numbers that were taken, and a queue to a database."""

from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hub.core.ledger import AlreadyStored, Fork, Gap, Key, Ledger, Take, Unknown, Verdict, contradict
from wire.messages import CHAIN_START

EPOCH = UUID(int=1)
A: Key = ("berlin-01", EPOCH)
B: Key = ("paris-02", EPOCH)
C5, C7, OTHER = "00000000000000c5", "00000000000000c7", "00000000000000ff"
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
    """Agents without chains: batches come in any order, commits go through, fail, or are another hub's."""

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
            assert isinstance(verdict, AlreadyStored)
            assert verdict.upto == plain.receipt()
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
        assert self.ledger.committed(key, plain.receipt() + 1) == (plain.receipt(), None)

    @rule(key=KEYS)
    def a_commit_is_answered_twice(self, key: Key) -> None:
        assert self.ledger.committed(key, self.of(key).receipt() + 1)[0] == self.of(key).receipt()

    @rule(key=KEYS)
    def an_old_commit_is_heard_of(self, key: Key) -> None:
        assert self.ledger.committed(key, 1)[0] == self.of(key).receipt()

    @rule(key=KEYS)
    def what_is_on_the_way_is_lost(self, key: Key) -> None:
        plain = self.of(key)
        plain.on_the_way.clear()
        assert self.ledger.reset(key) == plain.expected()

    @rule(key=KEYS, stands=st.integers(1, 14))
    def the_database_stands_elsewhere(self, key: Key, stands: int) -> None:
        self.plain[key] = Plain(set(range(1, stands)))
        assert self.ledger.reset(key, (stands, None)) == stands

    @rule(key=KEYS, ahead=st.integers(1, 3))
    def another_hub_is_ahead(self, key: Key, ahead: int) -> None:
        plain = self.of(key)
        plain.committed = set(range(1, plain.expected() + ahead))
        plain.on_the_way.clear()
        assert self.ledger.committed(key, max(plain.committed) + 1) == (max(plain.committed), None)

    @invariant()
    def a_receipt_never_speaks_of_what_is_on_the_way(self) -> None:
        for key, plain in self.plain.items():
            if plain.expected() > 1:
                verdict = self.ledger.take(key, 1, plain.expected() - 1, None)
                assert isinstance(verdict, AlreadyStored)
                assert verdict.upto == plain.receipt()


LedgerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestLedger = LedgerMachine.TestCase


def test_what_the_database_knows_is_taken_over() -> None:
    ledger = Ledger(cursors_max=10)
    ledger.load([(A, (5, C5)), (B, (1, CHAIN_START))])
    assert ledger.take(A, 1, 4, None) == AlreadyStored(4, C5)
    assert ledger.take(A, 4, 2, None) == Take(1)
    assert ledger.take(B, 2, 1, None) == Gap(1)


def test_a_gap_is_declared_only_by_a_batch_that_begins_with_the_oldest() -> None:
    ledger = Ledger(cursors_max=10)
    ledger.load([(A, (5, None))])
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
    assert ledger.take(key_of(1), 1, 3, None) == AlreadyStored(3)
    fill(ledger, 3, commit=True)
    assert ledger.take(key_of(1), 1, 3, None) == AlreadyStored(3)
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
    ledger.load([(key_of(number), (4, None)) for number in (1, 2, 3)])
    assert ledger.take(key_of(2), 1, 3, None) == AlreadyStored(3)
    assert ledger.take(key_of(3), 1, 3, None) == AlreadyStored(3)
    assert ledger.take(key_of(1), 4, 1, None) == Gap(1)


def known(next_seq: int = 5, chain: str | None = C5) -> Ledger:
    ledger = Ledger(cursors_max=10)
    ledger.load([(A, (next_seq, chain))])
    return ledger


def test_what_follows_on_the_known_history_is_taken() -> None:
    ledger = known()
    assert ledger.take(A, 5, 2, None, C5, C7) == Take(0)
    assert ledger.take(A, 7, 1, None, C7, OTHER) == Take(0)
    # A receipt speaks of the history that is committed, and not of the one that is on its way.
    assert ledger.take(A, 6, 1, None, OTHER, C7) == AlreadyStored(4, C5)
    assert ledger.committed(A, 7, C7) == (6, C7)
    assert ledger.take(A, 6, 1, None, OTHER, C7) == AlreadyStored(6, C7)
    assert ledger.reset(A) == 7
    assert ledger.take(A, 7, 1, None, OTHER, C5) == Fork(6, C7, OTHER)


def test_a_batch_of_another_history_is_not_taken() -> None:
    ledger = known()
    assert ledger.take(A, 5, 2, None, OTHER, C7) == Fork(4, C5, OTHER)
    assert ledger.take(A, 3, 2, None, C7, OTHER) == Fork(4, C5, OTHER)
    # Nothing of it has changed what is known.
    assert ledger.take(A, 5, 1, None, C5, C7) == Take(0)


def test_all_that_was_seen_is_said_again_with_the_chain() -> None:
    ledger = known()
    assert ledger.take(A, 3, 2, None, OTHER, C5) == AlreadyStored(4, C5)
    # What ends earlier cannot be held against anything; the locker sees by the receipt whose history it is.
    assert ledger.take(A, 2, 2, None, OTHER, OTHER) == AlreadyStored(4, C5)


def test_a_batch_that_overlaps_is_asked_for_from_where_it_can_be_checked() -> None:
    ledger = known()
    assert ledger.take(A, 3, 4, None, OTHER, C7) == Gap(5)
    assert ledger.take(A, 5, 2, None, C5, C7) == Take(0)


def test_a_batch_that_overlaps_what_has_no_chain_is_cut() -> None:
    assert known(chain=None).take(A, 3, 4, None, OTHER, C7) == Take(2)
    assert known().take(A, 3, 4, None) == Take(2)


def test_an_epoch_begins_with_nothing_before_it() -> None:
    ledger = Ledger(cursors_max=10)
    assert ledger.take(A, 1, 1, None, OTHER, C5) == Fork(0, CHAIN_START, OTHER)
    assert ledger.take(A, 1, 1, None, CHAIN_START, C5) == Take(0)
    assert ledger.take(A, 2, 1, None, OTHER, C7) == Fork(1, C5, OTHER)


def test_behind_a_declared_gap_nothing_can_be_checked_and_the_chain_is_known_again() -> None:
    ledger = known()
    assert ledger.take(A, 8, 1, 8, OTHER, C7) == Take(0, (5, 7))
    assert ledger.take(A, 9, 1, None, OTHER, C5) == Fork(8, C7, OTHER)


@pytest.mark.parametrize("prev", [None, C5])
def test_a_batch_that_does_not_say_its_chain_makes_it_unknown(prev: str | None) -> None:
    ledger = known()
    assert ledger.take(A, 5, 1, None, prev) == Take(0)
    assert ledger.take(A, 5, 1, None, None, OTHER) == AlreadyStored(4, C5)
    assert ledger.take(A, 6, 1, None, OTHER, C7) == Take(0)
    assert ledger.committed(A, 7, C7) == (6, C7)


def test_what_the_database_says_is_the_truth() -> None:
    ledger = known()
    assert ledger.take(A, 5, 2, None, C5, C7) == Take(0)
    assert ledger.reset(A, (6, OTHER)) == 6
    assert ledger.take(A, 6, 1, None, OTHER, C7) == Take(0)
    assert ledger.committed(A, 5, C5) == (5, OTHER)
    assert ledger.committed(A, 9, C5) == (8, C5)
    assert ledger.take(A, 9, 1, None, C5, C7) == Take(0)


def test_an_unknown_chain_contradicts_nothing() -> None:
    assert contradict(C5, C7)
    assert not contradict(C5, C5)
    assert not contradict(None, C5)
    assert not contradict(C5, None)


@dataclass
class Writer:
    """A locker that keeps the protocol, and its disk. `history` is of tokens, each made once in the world."""

    name: str
    epoch: UUID
    history: list[str] = field(default_factory=list)
    confirmed: int = 0
    sent_from: int = 1
    archive: list[tuple[UUID, list[str], int]] = field(default_factory=list)
    """Epochs that it has left: the history and how much of it was confirmed."""

    def chain(self, seq: int) -> str:
        digest = CHAIN_START
        for token in self.history[:seq]:
            digest = sha256((digest + token).encode()).hexdigest()[:16]
        return digest

    def fork(self, epoch: UUID) -> None:
        """Begin a new epoch with all that is not confirmed."""
        self.archive.append((self.epoch, list(self.history), self.confirmed))
        self.history = self.history[self.confirmed :]
        self.epoch, self.confirmed, self.sent_from = epoch, 0, 1


class ForkMachine(RuleBasedStateMachine):
    """Two copies of one disk write under one name; hub, database and both lockers keep the protocol.

    The model of the database is the list of what each epoch's rows hold. Nothing that a locker takes for confirmed
    may be anything but what is stored, at its number.
    """

    LOCKER = "berlin-01"

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(cursors_max=100)
        self.stored: dict[Key, list[tuple[str, str]]] = {}
        """Committed (token, chain behind it)."""
        self.on_the_way: list[tuple[Key, int, list[tuple[str, str]]]] = []
        self.made = 0
        self.epochs = 1
        self.writers = [Writer("original", UUID(int=1))]

    def fresh_epoch(self) -> UUID:
        self.epochs += 1
        return UUID(int=self.epochs)

    @initialize(shared=st.integers(0, 3), copied=st.booleans())
    def begin(self, shared: int, copied: bool) -> None:  # noqa: FBT001 - hypothesis fills it
        self.write(self.writers[0], shared)
        self.send(0, 0, shared, from_start=True)
        if shared:
            self.commit(set())
        if copied:
            self.copy_the_disk(0)

    def write(self, writer: Writer, count: int) -> None:
        for _ in range(count):
            self.made += 1
            writer.history.append(f"{writer.name} {self.made}")

    @precondition(lambda self: len(self.writers) == 1)
    @rule(back=st.integers(0, 3))
    def copy_the_disk(self, back: int) -> None:
        """As it is now, or as a backup of a while ago has it."""
        one = self.writers[0]
        keep = max(0, len(one.history) - back)
        confirmed = min(one.confirmed, keep)
        self.writers.append(Writer("copy", one.epoch, one.history[:keep], confirmed, confirmed + 1))

    @rule(which=st.integers(0, 1), fresh=st.integers(0, 2), count=st.integers(1, 4), from_start=st.booleans())
    def send(self, which: int, fresh: int, count: int, from_start: bool) -> None:  # noqa: FBT001 - hypothesis fills it
        writer = self.writers[which % len(self.writers)]
        self.write(writer, fresh)
        first = 1 if from_start else writer.sent_from
        count = min(count, len(writer.history) - first + 1)
        if count < 1:
            return
        key = (self.LOCKER, writer.epoch)
        end = first + count
        verdict = self.ledger.take(key, first, count, 1, writer.chain(first - 1), writer.chain(end - 1))
        match verdict:
            case Take():
                rows = [(writer.history[seq - 1], writer.chain(seq)) for seq in range(first, end)]
                assert verdict == Take(0)
                self.on_the_way.append((key, first, rows))
            case AlreadyStored(upto, chain):
                if upto:
                    self.receipt(writer, upto, chain)
            case Gap(expected):
                if expected > len(writer.history) + 1:
                    writer.fork(self.fresh_epoch())
                else:
                    writer.sent_from = expected
            case Fork():
                writer.fork(self.fresh_epoch())

    @precondition(lambda self: self.on_the_way)
    @rule(lost=st.sets(st.integers(0, 1)))
    def commit(self, lost: set[int]) -> None:
        key, first, rows = self.on_the_way.pop(0)
        stored = self.stored.setdefault(key, [])
        assert first == len(stored) + 1
        stored += rows
        upto, chain = self.ledger.committed(key, len(stored) + 1, stored[-1][1])
        # Both may hear it: they share one name. Whoever does not has to find out by what it sends.
        for which, writer in enumerate(self.writers):
            if which not in lost and writer.epoch == key[1]:
                self.receipt(writer, upto, chain)

    @rule()
    def the_hub_is_restarted(self) -> None:
        self.on_the_way.clear()
        self.ledger = Ledger(cursors_max=100)
        self.ledger.load([(key, (len(rows) + 1, rows[-1][1])) for key, rows in self.stored.items()])

    def receipt(self, writer: Writer, upto: int, chain: str | None) -> None:
        if upto > len(writer.history) or chain != writer.chain(upto):
            writer.fork(self.fresh_epoch())
            return
        writer.confirmed = max(writer.confirmed, upto)
        writer.sent_from = writer.confirmed + 1

    @invariant()
    def what_is_confirmed_is_stored_in_that_history(self) -> None:
        for writer in self.writers:
            for epoch, history, confirmed in [*writer.archive, (writer.epoch, writer.history, writer.confirmed)]:
                stored = [token for token, _ in self.stored.get((self.LOCKER, epoch), [])]
                assert stored[:confirmed] == history[:confirmed]

    @invariant()
    def a_locker_that_is_alone_never_forks(self) -> None:
        assert len(self.writers) == 2 or not self.writers[0].archive

    @invariant()
    def nothing_that_was_written_is_given_up(self) -> None:
        for writer in self.writers:
            kept = [token for _, history, confirmed in writer.archive for token in history[:confirmed]]
            assert len(set(kept + writer.history)) == len(kept + writer.history)


ForkMachine.TestCase.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
TestForks = ForkMachine.TestCase


def test_a_gap_that_is_not_to_be_taken_yet_can_be_put_back() -> None:
    ledger = Ledger(cursors_max=10)
    assert ledger.take(A, 1, 2, None, CHAIN_START, "a" * 16) == Take(0)
    gap = ledger.take(A, 10, 1, 10, "b" * 16, "c" * 16)
    assert gap == Take(0, (3, 9))
    assert isinstance(gap, Take)
    ledger.put_back(A, gap)
    assert ledger.take(A, 3, 1, None, "b" * 16) == Fork(2, "a" * 16, "b" * 16)
    assert ledger.take(A, 12, 1, 12, "b" * 16, "c" * 16) == Take(0, (3, 11))


def test_a_ledger_without_a_cursor_is_unknown_until_it_begins() -> None:
    ledger = Ledger(cursors_max=2, begins_new=False)
    assert ledger.take(A, 1, 1, None) == Unknown()
    assert not ledger.knows(A)
    ledger.begin(A)
    assert ledger.take(A, 1, 1, None) == Take(0)
    ledger.begin(B, (5, C5))
    assert ledger.take(B, 1, 4, None) == AlreadyStored(4, C5)
    assert ledger.complete


def test_a_forgotten_ledger_is_unknown_and_the_ledger_knows_that_it_forgets() -> None:
    ledger = Ledger(cursors_max=2, begins_new=False)
    for number in (1, 2, 3):
        ledger.begin(key_of(number), (4, None))
    assert not ledger.complete
    assert ledger.take(key_of(1), 4, 1, None) == Unknown()
    assert ledger.take(key_of(3), 4, 1, None) == Take(0)
