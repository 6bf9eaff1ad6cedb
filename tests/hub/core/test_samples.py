"""When a sample was taken, and which samples are new, against a plain set of everything that was stored."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hub.core.samples import Seen, Taken, is_late, sampled_ms, sent_ms
from wire.messages import Clock, Sample, Telemetry

BOOT, OTHER = UUID(int=1), UUID(int=2)
AT = 1_790_000_000_000
RECEIVED = AT + 90_000


def message(clock: Clock = Clock.SYNCED, at: int = AT, t: int = 500_000, samples: int = 1) -> Telemetry:
    return Telemetry(v=1, boot=BOOT, t=t, at=at, clock=clock, samples=[Sample(t=t)] * samples)


def test_a_synced_clock_is_believed_however_late_its_message_comes() -> None:
    assert sent_ms(message(), RECEIVED, None) == AT
    assert sent_ms(message(), RECEIVED + 10**9, (BOOT, 0)) == AT


def test_a_clock_is_not_believed_in_the_future_or_before_the_first_lockers() -> None:
    assert sent_ms(message(at=RECEIVED + 1), RECEIVED, None) == RECEIVED
    assert sent_ms(message(at=0), RECEIVED, None) == RECEIVED


def test_without_a_synced_clock_the_boot_clock_says_how_late_a_message_is() -> None:
    for clock in (Clock.HOLDOVER, Clock.UNSET):
        assert sent_ms(message(clock), RECEIVED, (BOOT, 590_000)) == RECEIVED - 90_000
        # The hub's estimate is early: a message is never sent after it came.
        assert sent_ms(message(clock), RECEIVED, (BOOT, 400_000)) == RECEIVED
        assert sent_ms(message(clock), RECEIVED, (OTHER, 590_000)) == RECEIVED
        assert sent_ms(message(clock), RECEIVED, None) == RECEIVED


def test_a_message_is_late_only_by_a_clock_that_is_known() -> None:
    assert is_late(message(), (BOOT, 505_001), 5000)
    assert not is_late(message(), (BOOT, 505_000), 5000)
    assert not is_late(message(), (OTHER, 505_001), 5000)
    assert not is_late(message(), None, 5000)


def test_a_samples_age_is_what_the_boot_clock_says() -> None:
    one = message()
    assert sampled_ms(one, Sample(t=440_000), AT) == AT - 60_000
    assert sampled_ms(one, Sample(t=440_000, boot=BOOT), AT) == AT - 60_000
    assert sampled_ms(one, Sample(t=500_001), AT) == AT
    assert sampled_ms(one, Sample(t=440_000, boot=OTHER), AT) == AT
    assert sampled_ms(message(t=2**53 - 1), Sample(t=0), AT) == AT - 400 * 86_400_000


def taken(*times: int, boot: UUID = BOOT) -> list[Taken]:
    return [Taken(boot, t, AT + t) for t in times]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_whatever_is_sent_again_is_taken_once(sizes: list[int], data: st.DataObject) -> None:
    """A locker's samples go out in order; after any message, any earlier part of it all may come again."""
    seen, stored, sent, t = Seen(10), [], [], 0
    for size in sizes:
        batch = taken(*range(t + 1, t + 1 + size))
        t += size
        sent.append(batch)
        for again in [*data.draw(st.lists(st.sampled_from(sent), max_size=3)), batch, batch]:
            verdicts = seen.take("a", again, repeated=data.draw(st.booleans()))
            stored += [one.t for one, is_new in zip(again, verdicts, strict=True) if is_new]
        # Everything since some message may come once more, behind its connection's end.
        for again in sent[data.draw(st.integers(0, len(sent))) :]:
            assert not any(seen.take("a", again, repeated=True))
    assert sorted(stored) == list(range(1, t + 1))


def test_the_order_within_a_message_does_not_matter() -> None:
    seen = Seen(10)
    assert seen.take("a", taken(3, 1, 2), repeated=False) == [True, True, True]
    assert seen.take("a", taken(4, 3, 5), repeated=False) == [True, False, True]
    assert seen.take("a", taken(5), repeated=False) == [False]


def test_a_boot_begins_anew_and_the_one_before_is_not_forgotten() -> None:
    seen = Seen(10)
    assert seen.take("a", taken(5), repeated=False) == [True]
    assert seen.take("a", [*taken(6), *taken(1, boot=OTHER)], repeated=False) == [True, True]
    assert seen.take("a", [*taken(6), *taken(1, boot=OTHER)], repeated=True) == [False, False]


def test_of_many_boots_the_oldest_is_forgotten() -> None:
    seen = Seen(10)
    for number in range(1, 5):
        assert seen.take("a", taken(9, boot=UUID(int=number)), repeated=False) == [True]
    assert seen.take("a", taken(9, boot=UUID(int=2)), repeated=False) == [False]
    assert seen.take("a", taken(9, boot=UUID(int=1)), repeated=False) == [True]


def test_what_another_hub_has_stored_is_known_by_its_time() -> None:
    seen = Seen(10)
    seen.load([("a", AT + 5)])
    assert seen.take("a", taken(4, 5, 6), repeated=True) == [False, False, True]
    # What the broker sends for the first time was taken by nobody, whatever clocks say.
    assert seen.take("b", taken(5), repeated=True) == [True]
    fresh = Seen(10)
    fresh.load([("a", AT + 5)])
    assert fresh.take("a", taken(4), repeated=False) == [True]


def test_of_too_many_lockers_the_one_not_heard_for_longest_is_forgotten() -> None:
    seen = Seen(2)
    for locker in ("a", "b", "a", "c"):
        seen.take(locker, taken(1), repeated=False)
    assert seen.take("a", taken(1), repeated=False) == [False]
    assert seen.take("b", taken(1), repeated=False) == [True]
