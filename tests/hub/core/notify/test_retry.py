"""What an answer means, and when the next try is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.notify.retry import PAUSE_S_MAX, RETRIES_MAX, DeliveryVerdict, of_replies, of_status, pause_s

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, DeliveryVerdict.SENT),
        (204, DeliveryVerdict.SENT),
        (299, DeliveryVerdict.SENT),
        (301, DeliveryVerdict.FAILED),
        (308, DeliveryVerdict.FAILED),
        (400, DeliveryVerdict.FAILED),
        (401, DeliveryVerdict.FAILED),
        (404, DeliveryVerdict.FAILED),
        (410, DeliveryVerdict.FAILED),
        (413, DeliveryVerdict.FAILED),
        (408, DeliveryVerdict.LATER),
        (429, DeliveryVerdict.LATER),
        (500, DeliveryVerdict.LATER),
        (503, DeliveryVerdict.LATER),
        (599, DeliveryVerdict.LATER),
    ],
)
def test_answers_of_webhooks(status: int, verdict: DeliveryVerdict) -> None:
    assert of_status(status, "said", None).verdict is verdict


def test_a_detail_is_short_and_one_line() -> None:
    told = of_status(400, "a\n" * 500, None)
    assert told.detail.startswith("400: a a a")
    assert len(told.detail) <= 205
    assert of_status(302, "http://x", None).detail == "302: redirects are not followed; set the address itself"


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ([550], DeliveryVerdict.FAILED),
        ([451], DeliveryVerdict.LATER),
        ([550, 452], DeliveryVerdict.LATER),
        ([535], DeliveryVerdict.FAILED),
    ],
)
def test_refusals_of_mail_servers(codes: list[int], verdict: DeliveryVerdict) -> None:
    assert of_replies(codes, "no").verdict is verdict


@pytest.mark.parametrize(
    ("failed", "retry_after", "seconds"),
    [
        (1, None, 1.0),
        (2, None, 2.0),
        (7, None, 64.0),
        (1, "30", 30.0),
        (7, "30", 64.0),
        (1, "999999", PAUSE_S_MAX),
        (1, "Wed, 25 Nov 2026 12:01:00 GMT", 60.0),
        (1, "Wed, 25 Nov 2020 12:01:00 GMT", 1.0),
        (1, "soon", 1.0),
        (1, "-5", 1.0),
        (1, "", 1.0),
        (10_000, None, PAUSE_S_MAX),
    ],
)
def test_pauses(failed: int, retry_after: str | None, seconds: float) -> None:
    assert pause_s(failed, retry_after, NOW, 1.0) == seconds


@given(st.integers(1, 1000), st.none() | st.text(max_size=30), st.floats(0, 1))
def test_a_pause_is_bounded_whatever_is_asked(failed: int, retry_after: str | None, jitter: float) -> None:
    assert 0.5 <= pause_s(failed, retry_after, NOW, jitter) <= PAUSE_S_MAX


def test_seven_retries_take_about_two_minutes() -> None:
    assert sum(pause_s(failed, None, NOW, 1.0) for failed in range(1, RETRIES_MAX + 1)) == 127
