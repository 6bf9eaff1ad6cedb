import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import per_message_us, percentile


def test_percentiles_of_a_hundred_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (1, 50, 99, 99.5, 100)] == [1, 50, 99, 100, 100]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_enough_values_do_not_exceed_a_percentile(values: list[float], percent: float) -> None:
    result = percentile(values, percent)
    assert result in values
    assert sum(value <= result for value in values) >= len(values) * percent / 100
    assert sum(value < result for value in values) < len(values) * percent / 100


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_there_is_no_percentile_of_nothing(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="th percentile of"):
        percentile(values, percent)


def test_cpu_of_a_message() -> None:
    assert per_message_us(0.5, 20_000) == 25.0
    assert per_message_us(0.5, 0) == 0.0
