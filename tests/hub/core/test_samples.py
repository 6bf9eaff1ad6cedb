"""When a sample was taken, and which samples are new, against a plain set of everything that was taken."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.samples import RECENT_MAX, Identity, RecentSamples, is_late, is_stamped_now, sampled_at, sent_at
from hub.core.timing import EARLIEST_MS, TimeSource
from tests.wire.strategies import AT_MS_MAX, telemetries
from wire.messages import Clock, Sample, TelemetryBatch

BOOT, OTHER = UUID(int=1), UUID(int=2)
AT = 1_790_000_000_000
RECEIVED = AT + 90_000
DAY_MS = 86_400_000
WALL, BY_BOOT, RECEIPT = TimeSource.WALL, TimeSource.BOOT, TimeSource.RECEIPT


def message(clock: Clock = Clock.SYNCED, at: int = AT, t: int = 500_000, samples: int = 1) -> TelemetryBatch:
    return TelemetryBatch(v=1, boot=BOOT, t=t, at=at, clock=clock, samples=[Sample(t=t)] * samples)


def test_a_synced_clock_is_believed_however_late_its_message_comes() -> None:
    assert sent_at(message(), RECEIVED, None) == (AT, WALL)
    assert sent_at(message(), AT + 3 * DAY_MS, None) == (AT, WALL)
    assert sent_at(message(), RECEIVED, (BOOT, 590_000)) == (AT, WALL)
    # Its own boot clock says the same, however old it is.
    assert sent_at(message(), AT + 30 * DAY_MS, (BOOT, 500_000 + 30 * DAY_MS)) == (AT, WALL)


IMPOSSIBLE = {
    "in the future": RECEIVED + 60_001,
    "seconds in place of milliseconds": AT // 1000,
    "1970": 0,
    "fifteen months behind": RECEIVED - 456 * DAY_MS,
    "year 9999": AT_MS_MAX,
}


@pytest.mark.parametrize("at", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_a_synced_clock_is_not_believed_where_it_is_impossible(at: int) -> None:
    assert sent_at(message(at=at), RECEIVED, None) == (RECEIVED, RECEIPT)
    assert sent_at(message(at=at), RECEIVED, (BOOT, 590_000)) == (RECEIVED - 90_000, BY_BOOT)


def test_where_the_boot_clock_is_known_a_synced_clock_is_believed_within_two_minutes_of_it() -> None:
    for behind_ms, believed in ((120_000, True), (120_001, False), (-60_000, True), (-60_001, False)):
        at = RECEIVED - 300_000 - behind_ms
        found = sent_at(message(at=at), RECEIVED, (BOOT, 800_000))
        assert found == ((at, WALL) if believed else (RECEIVED - 300_000, BY_BOOT))


def test_a_synced_clock_that_is_a_little_ahead_says_the_receipt() -> None:
    assert sent_at(message(at=RECEIVED + 900), RECEIVED, None) == (RECEIVED, WALL)


def test_without_a_synced_clock_the_boot_clock_says_how_late_a_message_is() -> None:
    for clock in (Clock.HOLDOVER, Clock.UNSET):
        assert sent_at(message(clock), RECEIVED, (BOOT, 590_000)) == (RECEIVED - 90_000, BY_BOOT)
        # The hub's estimate is early: a message is never sent after it came.
        assert sent_at(message(clock), RECEIVED, (BOOT, 400_000)) == (RECEIVED, BY_BOOT)
        assert sent_at(message(clock), RECEIVED, (OTHER, 590_000)) == (RECEIVED, RECEIPT)
        assert sent_at(message(clock), RECEIVED, None) == (RECEIVED, RECEIPT)


def test_a_message_is_late_unless_a_clock_that_is_known_says_otherwise() -> None:
    for reachable in (False, True):
        assert is_late(message(), (BOOT, 505_001), 5000, reachable=reachable)
        assert not is_late(message(), (BOOT, 505_000), 5000, reachable=reachable)
        assert is_late(message(), (OTHER, 500_000), 5000, reachable=reachable)


def test_without_a_clock_only_a_locker_that_is_there_is_believed() -> None:
    assert is_late(message(), None, 5000, reachable=False)
    assert not is_late(message(), None, 5000, reachable=True)


@pytest.mark.parametrize(
    ("off_ms", "is_now"), [(0, True), (5000, True), (-5000, True), (5001, False), (-5001, False)]
)
def test_a_synced_clock_says_that_a_message_is_of_now(off_ms: int, is_now: bool) -> None:  # noqa: FBT001 - a parameter
    one = message()
    assert is_stamped_now(one, one.at + off_ms, 5000) is is_now
    assert not is_stamped_now(message(Clock.HOLDOVER), one.at, 5000)


def test_a_samples_age_is_what_the_boot_clock_says() -> None:
    one, sent = message(), (AT, WALL)
    assert sampled_at(one, Sample(t=440_000), sent) == (AT - 60_000, WALL)
    assert sampled_at(one, Sample(t=440_000, boot=BOOT), sent) == (AT - 60_000, WALL)
    assert sampled_at(one, Sample(t=500_001), sent) == (AT, WALL)
    assert sampled_at(one, Sample(t=440_000, boot=OTHER), sent) == (AT, TimeSource.ORDER)
    assert sampled_at(message(t=10**11), Sample(t=0), sent) == (AT - 400 * DAY_MS, WALL)


@given(
    telemetries,
    st.integers(EARLIEST_MS + 500 * DAY_MS, AT_MS_MAX),
    st.none() | st.tuples(st.sampled_from([BOOT, OTHER]), st.integers(0, 10**12)),
)
def test_it_is_never_after_the_receipt_and_never_older_than_what_is_possible(
    one: TelemetryBatch, received_ms: int, boot_clock: tuple[UUID, int] | None
) -> None:
    sent = sent_at(one, received_ms, boot_clock)
    assert received_ms - 400 * DAY_MS - 120_000 <= sent[0] <= received_ms
    if one.clock is not Clock.SYNCED:
        assert sent[1] is not WALL
    for sample in one.samples:
        assert sent[0] - 400 * DAY_MS <= sampled_at(one, sample, sent)[0] <= sent[0]


def taken(*times: int, boot: UUID = BOOT, says: int = 0) -> list[Identity]:
    return [(boot.int, t, hash((boot.int, t, says))) for t in times]


def verdicts(seen: RecentSamples, samples: list[Identity], locker: str = "a") -> list[bool]:
    return seen.take(locker, samples)[0]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_whatever_is_sent_again_is_taken_once(sizes: list[int], data: st.DataObject) -> None:
    """After any message, in any order of clocks, any earlier part of it all may come again."""
    seen, kept, sent, number = RecentSamples(10), [], [], 0
    for size in sizes:
        batch = []
        for _ in range(size):
            number += 1
            # The clock may stand still, leap ahead or go back: what a sample says makes it another one.
            batch += taken(data.draw(st.sampled_from([1, number, 2**40])), says=number)
        sent.append(batch)
        for again in [*data.draw(st.lists(st.sampled_from(sent), max_size=3)), batch, batch]:
            kept += [one for one, is_new in zip(again, verdicts(seen, again), strict=True) if is_new]
        for again in sent[data.draw(st.integers(0, len(sent))) :]:
            assert not any(verdicts(seen, again))
    assert kept == [one for batch in sent for one in batch]


def test_a_clock_that_once_leapt_ahead_makes_no_later_sample_a_repetition() -> None:
    seen = RecentSamples(10)
    assert verdicts(seen, taken(2**40)) == [True]
    assert verdicts(seen, taken(5, 6, 7)) == [True] * 3
    assert verdicts(seen, taken(6, 7, 8)) == [False, False, True]


def test_the_same_t_is_no_repetition_where_it_says_something_else() -> None:
    seen = RecentSamples(10)
    assert verdicts(seen, [*taken(5), *taken(5, says=1), *taken(5)]) == [True, True, False]
    assert verdicts(seen, taken(5, says=1)) == [False]


def test_the_order_within_a_message_does_not_matter() -> None:
    seen = RecentSamples(10)
    assert verdicts(seen, taken(3, 1, 2)) == [True, True, True]
    assert verdicts(seen, taken(4, 3, 5)) == [True, False, True]


def test_a_boot_begins_anew_and_the_one_before_is_not_forgotten() -> None:
    seen = RecentSamples(10)
    assert verdicts(seen, taken(5)) == [True]
    assert verdicts(seen, [*taken(6), *taken(1, boot=OTHER)]) == [True, True]
    assert verdicts(seen, [*taken(6), *taken(1, boot=OTHER)]) == [False, False]


def test_what_is_remembered_is_bounded() -> None:
    seen = RecentSamples(2)
    for number in range(10):
        assert all(verdicts(seen, taken(*range(400), boot=UUID(int=number))))
    (known,) = seen._lockers.values()  # noqa: SLF001 - what it costs is promised
    assert len(known.recent) == RECENT_MAX
    assert len(known.newest) == 3
    assert not any(verdicts(seen, taken(*range(400), boot=UUID(int=9))))


def test_only_a_lockers_first_samples_may_be_those_of_an_earlier_hub() -> None:
    seen = RecentSamples(2)
    assert seen.take("a", []) == ([], False)
    assert seen.take("a", taken(1)) == ([True], True)
    assert seen.take("a", taken(2)) == ([True], False)
    # A forgotten locker is met anew.
    for locker in ("b", "c"):
        seen.take(locker, taken(1))
    assert seen.take("a", taken(1)) == ([True], True)


def test_what_was_not_stored_may_come_again() -> None:
    seen = RecentSamples(2)
    seen.forget("a", taken(1))
    verdicts(seen, taken(1, 2))
    seen.forget("a", taken(2))
    assert verdicts(seen, taken(1, 2)) == [False, True]
