"""Figures from measurements. Pure."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of all values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or `percent` is not above 0 and up to 100.
    """
    if not values or not 0 < percent <= 100:  # noqa: PLR2004 - percent
        raise ValueError(f"no {percent}th percentile of {len(values)} values")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def per_message_us(cpu_s: float, messages: int) -> float:
    """Return CPU microseconds a message, to a tenth; 0 without messages."""
    return round(cpu_s / messages * 1e6, 1) if messages else 0.0
