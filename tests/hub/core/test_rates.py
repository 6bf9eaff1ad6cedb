"""The token bucket against a plain count."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.rates import TokenBucket


@given(
    st.sampled_from([30, 60, 600]),
    st.integers(1, 5),
    st.lists(st.sampled_from([0, 1, 99, 100, 500, 1000, 60_000]), max_size=40),
)
def test_tokens_are_those_of_an_exact_count(per_minute: int, burst: int, pauses: list[int]) -> None:
    bucket = TokenBucket(per_minute, burst)
    tokens, now = Fraction(burst), 0
    for pause in pauses:
        now += pause
        tokens = min(Fraction(burst), tokens + Fraction(pause * per_minute, 60_000))
        wait_ms = bucket.take(float(now))
        if tokens >= 1:
            # Sums of floats may stand a hair below a whole token; they are told to come back in no time.
            assert wait_ms == pytest.approx(0, abs=1e-6)
            tokens -= 1 if wait_ms == 0 else 0
        else:
            assert wait_ms == pytest.approx(float((1 - tokens) * 60_000 / per_minute))


def test_who_waits_as_told_gets_a_token() -> None:
    bucket = TokenBucket(per_minute=60, burst=2)
    assert bucket.take(0) == bucket.take(0) == 0
    assert bucket.take(0) == pytest.approx(1000)
    assert bucket.take(500) == pytest.approx(500)
    assert bucket.take(1000) == 0
    assert bucket.take(1000) == pytest.approx(1000)


def test_a_full_bucket_does_not_grow() -> None:
    bucket = TokenBucket(per_minute=60, burst=2)
    bucket.take(0)
    assert [bucket.take(1e9) for _ in range(3)] == [0, 0, pytest.approx(1000)]


def test_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(per_minute=60, burst=1)
    assert bucket.take(10_000) == 0
    assert bucket.take(5_000) == pytest.approx(1000)
