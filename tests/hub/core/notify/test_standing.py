"""What a receiver has to be told of an alarm as it stands."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.alarms.alarm import Alarm, AlarmState, Shelf
from hub.core.notify.notices import Known
from hub.core.notify.standing import news
from tests.hub.core.notify.alarms import AT, alarm

SHELF = Shelf("anna", "known", AT, AT + timedelta(hours=1))
KNOWN: list[Known | None] = [None, "raised", "acked", "cleared"]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (None, [None, "cleared", "cleared", None]),
        (alarm(state=AlarmState.ACTIVE_UNACKED), ["raised", None, None, "raised"]),
        (alarm(state=AlarmState.ACTIVE_ACKED), [None, "acked", None, None]),
        (alarm(state=AlarmState.CLEARED_UNACKED), [None, "cleared", "cleared", None]),
        (alarm(state=AlarmState.CLEARED_UNACKED, shelved=SHELF), [None, "cleared", "cleared", None]),
        (alarm(state=AlarmState.ACTIVE_UNACKED, shelved=SHELF), [None, None, None, None]),
        (alarm(state=AlarmState.NORMAL), [None, "cleared", "cleared", None]),
    ],
)
def test_what_is_news(one: Alarm | None, said: list[Known | None]) -> None:
    assert [news(one, known) for known in KNOWN] == said


@given(st.sampled_from(AlarmState), st.sampled_from(KNOWN), st.booleans())
def test_whoever_was_told_the_news_needs_no_more(state: AlarmState, known: Known | None, shelved: bool) -> None:  # noqa: FBT001
    one = alarm(state=state, shelved=SHELF if shelved else None)
    said = news(one, known)
    assert said is None or news(one, said) is None
