"""Which changes a channel is told of: by example, and by what holds whatever happens."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.alarms.alarm import Severity
from hub.core.alarms.transitions import What
from hub.core.notify.notices import SEVERITIES, TOLD, Digest, Notice
from hub.core.notify.plan import ChannelRules, NotificationPlan
from tests.hub.core.notify.alarms import AT, notice

DEDUP_MS, FLOOD_MAX, FLOOD_MS = 300.0, 3, 60.0


def plan(**changes: object) -> NotificationPlan:
    fields = {
        "severities": frozenset(SEVERITIES), "transitions": frozenset(TOLD), "sites": frozenset(),
        "dedup_ms": DEDUP_MS, "flood_max": FLOOD_MAX, "flood_ms": FLOOD_MS, **changes,
    }  # fmt: skip
    return NotificationPlan(ChannelRules(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({}, True),
        ({"severities": frozenset({"critical"})}, True),
        ({"severities": frozenset({"high", "low"})}, False),
        ({"transitions": frozenset({"cleared"})}, False),
        ({"sites": frozenset({"Berlin"})}, True),
        ({"sites": frozenset({"Bonn"})}, False),
    ],
)
def test_a_channel_hears_what_it_is_for(rules: dict[str, object], told: bool) -> None:  # noqa: FBT001
    assert (plan(**rules).hear(notice("raised"), 0) is not None) is told


def test_what_is_of_the_whole_fleet_is_of_every_site() -> None:
    fleet = notice("raised", site=None, locker=None, door=None, type="mass_opening", value=9)
    assert plan(sites=frozenset({"Bonn"})).hear(fleet, 0) == fleet


def test_the_same_is_told_once_in_the_window_and_again_after_it() -> None:
    one = plan()
    assert one.hear(notice("raised"), 0)
    assert one.hear(notice("raised"), DEDUP_MS - 1) is None
    assert one.due(DEDUP_MS) == []
    assert one.deduplicated == 1
    assert one.hear(notice("raised"), DEDUP_MS)
    assert one.hear(notice("raised", 2), DEDUP_MS)


def test_the_last_word_is_told_at_the_windows_end_if_it_is_another_one() -> None:
    one = plan()
    again = notice("raised", at=AT + timedelta(seconds=2))
    assert one.hear(notice("raised"), 0)
    assert one.hear(notice("cleared"), 10)
    assert one.hear(again, 20) is None
    assert one.due(DEDUP_MS - 1) == []
    assert one.due(DEDUP_MS) == [again]
    assert one.deduplicated == 0


def test_a_held_word_that_is_not_true_any_more_is_not_told() -> None:
    one = plan()
    for what, at_ms in (("raised", 0), ("cleared", 10), ("raised", 20), ("cleared", 30)):
        one.hear(notice(what), at_ms)  # type: ignore[arg-type]
    assert one.due(1e9) == []
    assert one.deduplicated == 2


def test_a_flood_becomes_one_digest_with_the_worst_in_it() -> None:
    one = plan(digest_notices_max=2)
    severities = ["low"] * 4 + ["critical", "low", "medium"]
    told = [
        one.hear(
            notice("raised", number, AT + timedelta(seconds=number), severity=Severity(severity)), float(number)
        )
        for number, severity in enumerate(severities, 1)
    ]
    assert [one is not None for one in told] == [True] * 3 + [False] * 4
    assert one.due(4 + FLOOD_MS - 1) == []
    (digest,) = one.due(4 + FLOOD_MS)
    assert isinstance(digest, Digest)
    assert (digest.total, digest.counts) == (4, {"raised": {"low": 2, "critical": 1, "medium": 1}})
    assert (digest.since, digest.until) == (AT + timedelta(seconds=4), AT + timedelta(seconds=7))
    assert {(notice.severity, notice.alarm.int) for notice in digest.notices} == {("critical", 5), ("medium", 7)}
    assert one.digested == 4


def test_a_flood_that_goes_on_is_one_digest_after_another_and_then_over() -> None:
    one = plan()
    now_ms, numbers = 0.0, iter(range(1, 1000))
    sent: list[str] = []

    def tick() -> None:
        sent.extend("digest" if isinstance(told, Digest) else "single" for told in one.due(now_ms))

    for _ in range(40):
        now_ms += 10
        tick()
        sent += ["single"] * (one.hear(notice("raised", next(numbers)), now_ms) is not None)
    assert sent == ["single"] * 3 + ["digest"] * 6
    now_ms += 2 * FLOOD_MS
    tick()
    now_ms += 2 * FLOOD_MS
    assert one.hear(notice("raised", next(numbers)), now_ms)


def test_all_that_waits_is_told_when_the_hub_stops() -> None:
    one = plan()
    one.hear(notice("raised"), 0)
    one.hear(notice("cleared"), 1)
    held = notice("raised", at=AT + timedelta(seconds=9))
    one.hear(held, 2)
    one.hear(notice("raised", 2), 3)
    one.hear(notice("raised", 3), 4)
    (digest,) = one.close(5)
    assert isinstance(digest, Digest)
    assert digest.notices == [notice("raised", 3), held]
    assert one.close(6) == []


def test_what_is_remembered_is_bounded() -> None:
    one = plan(remembered_max=2, flood_max=1000)
    assert all(one.hear(notice("raised", number), number) for number in (1, 2, 3))
    assert one.hear(notice("raised", 3), 4) is None
    assert one.hear(notice("raised", 1), 5)


happenings_of = st.lists(
    st.tuples(
        st.sampled_from(TOLD), st.integers(1, 4), st.sampled_from([0.0, 1.0, 10.0, 59.0, 61.0, 150.0, 301.0])
    ),
    max_size=60,
)


@given(happenings_of)
def test_whatever_happens(happenings: list[tuple[What, int, float]]) -> None:
    one = plan()
    now_ms = 0.0
    singles: list[tuple[float, Notice]] = []
    digests: list[Digest] = []
    last_heard: dict[UUID, str] = {}

    def take(found: "list[Notice | Digest]") -> None:
        singles.extend((now_ms, told) for told in found if isinstance(told, Notice))
        digests.extend(told for told in found if isinstance(told, Digest))

    for what, number, pause_ms in happenings:
        now_ms += pause_ms
        take(one.due(now_ms))
        heard = notice(what, number, AT + timedelta(milliseconds=now_ms))
        last_heard[heard.alarm] = what
        now = one.hear(heard, now_ms)
        take([] if now is None else [now])
    while waiting := one.due(now_ms := now_ms + 1000):
        take(waiting)

    # Everything heard is accounted for, once.
    assert len(happenings) == len(singles) + one.digested + one.deduplicated
    assert sum(digest.total for digest in digests) == one.digested
    # Nobody is told more than the flood's limit in its time.
    for at_ms, _ in singles:
        assert sum(at_ms <= other < at_ms + FLOOD_MS for other, _ in singles) <= FLOOD_MAX
    # The same is not told alone twice within the window.
    for place, (at_ms, told) in enumerate(singles):
        for later_ms, later in singles[place + 1 :]:
            if (later.alarm, later.transition) == (told.alarm, told.transition):
                assert later_ms - at_ms >= DEDUP_MS
    # And what is told last of each alarm is what is true.
    everything = [told for _, told in singles] + [told for digest in digests for told in digest.notices]
    last_told = {told.alarm: told.transition for told in sorted(everything, key=lambda told: told.at)}
    assert last_told == last_heard
