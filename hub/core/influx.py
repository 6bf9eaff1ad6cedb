"""Decisions of the InfluxDB sink: what an answer means, how long to wait, how much of the past to read at once."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import Any, Final

from hub.core.line_protocol import Precision, Value, line, timestamp
from hub.core.retry_after import asked_s

READING: Final = "lockerhub_reading"
"""The measurement of telemetry: tag `locker`, a field for each value that was measured."""
DOOR_HOUR: Final = "lockerhub_door_hour"
"""The measurement of door statistics: tags `locker` and `door`, counts of the hour that begins at the timestamp."""

_BAD_REQUEST: Final = 400
_TOO_LARGE: Final = 413
_UNPROCESSABLE: Final = 422
_LATER: Final = frozenset({0, 408, 425, 429})
_SERVER_ERROR: Final = 500
_TEXT_CHARS_MAX: Final = 300
_DROPPED: Final = re.compile(r"\bdropped=(\d+)")


class WriteVerdict(StrEnum):
    """What to do with a part of a batch after the server has answered."""

    TAKEN = "taken"
    """It is written, but for the lines that the answer itself counts."""
    SPLIT = "split"
    """Some line of it is bad: halve it to find out which."""
    HALVE = "halve"
    """It is too large: halve it."""
    LATER = "later"
    """Not now: the same again after a pause."""
    REFUSED = "refused"
    """Not like this: token, bucket or address are wrong, and somebody has to do something about it."""


@dataclass(frozen=True, slots=True)
class WriteResponse:
    """What became of a request. `status` 0: no answer came. `text` is the beginning of what the server said."""

    status: int
    text: str = ""
    retry_after: str | None = None

    @property
    def good(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success, as HTTP has it

    def sentence(self) -> str:
        """Return it for a log or a screen, not longer than a few lines."""
        text = " ".join(self.text.split())[:_TEXT_CHARS_MAX]
        return f"{self.status}: {text}" if self.status else text


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as the server has it. `retention_s` 0: it keeps everything for ever."""

    id: str
    retention_s: int


def judge(answer: WriteResponse) -> tuple[WriteVerdict, int]:
    """Return the verdict, and how many lines the server says that it left out of what it took.

    InfluxDB 2 answers 400 when it took nothing, and 422 ("partial write … dropped=3") when it took the rest;
    InfluxDB 3 answers 400 to both, and lists in `data` what it left out. Where the number is not told, halving
    finds it, since what was taken may be sent again.
    """
    if answer.good:
        return WriteVerdict.TAKEN, 0
    if answer.status in {_BAD_REQUEST, _UNPROCESSABLE}:
        left_out = _left_out(answer.text)
        return (WriteVerdict.SPLIT, 0) if left_out is None else (WriteVerdict.TAKEN, left_out)
    if answer.status == _TOO_LARGE:
        return WriteVerdict.HALVE, 0
    if answer.status in _LATER or answer.status >= _SERVER_ERROR:
        return WriteVerdict.LATER, 0
    return WriteVerdict.REFUSED, 0


def pause_s(attempt: int, retry_after: str | None, now: datetime, jitter: float, pause_s_max: float) -> float:
    """Return how long to wait before the next attempt.

    Args:
        attempt: how many have failed in a row, from 1: the pause doubles from half a second, times 0.5 to 1.
        retry_after: the header, seconds or a date of HTTP; what cannot be read counts as absent. It is obeyed
            where it asks for more than the pause would be.
        now: the wall clock.
        jitter: 0 to 1.
        pause_s_max: the longest, whatever the server asks for.
    """
    own_s = min(pause_s_max, 0.25 * 2.0 ** min(attempt, 30)) * (0.5 + jitter / 2)
    return min(pause_s_max, max(own_s, asked_s(retry_after, now)))


class Slice:
    """How much time to read at once: less where it is dense, more where it is empty."""

    def __init__(self, begin_s: float = 60.0, *, least_s: float = 0.01, most_s: float = 86_400.0) -> None:
        self._seconds, self._least_s, self._most_s = begin_s, least_s, most_s

    def end(self, begin: datetime, horizon: datetime) -> datetime:
        """Return where a slice that begins at `begin` ends: after it, and not after `horizon`."""
        return min(horizon, begin + timedelta(seconds=self._seconds))

    def narrow(self) -> None:
        """Take half as much from now on."""
        self._seconds = max(self._least_s, self._seconds / 2)

    def widen(self) -> None:
        """Take twice as much from now on."""
        self._seconds = min(self._most_s, self._seconds * 2)


_MEASURED: Final = (
    "temperature_c", "humidity_pct", "supply_v", "battery_pct", "rssi_dbm", "cpu_temp_c", "cpu_pct", "memory_pct",
    "disk_free_mb", "outbox_events", "board_errors", "dropped",
)  # fmt: skip
_measured: Final = itemgetter(*_MEASURED)
_DOOR_HOUR_KEYS: Final = frozenset({"locker", "door", "at", "upto"})


def reading_line(row: Mapping[str, Any], extra: Sequence[str], precision: Precision) -> bytes | None:
    """Return the line of a row of `reading`; None if nothing was measured.

    `extra` names what else is sent of the row's further numbers, always as floats: a field has one type for ever.
    """
    fields: dict[str, Value] = dict(zip(_MEASURED, _measured(row), strict=True))
    further = row["extra"]
    if extra and isinstance(further, dict):
        for name in extra:
            value = further.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                fields[f"extra_{name}"] = _float(value)
    return line(READING, {"locker": row["locker"]}, fields, timestamp(row["at"], precision))


def door_hour_line(row: Mapping[str, Any], precision: Precision) -> bytes | None:
    """Return the line of a row of `door_hour`: whatever it counts."""
    fields: dict[str, Value] = {name: value for name, value in row.items() if name not in _DOOR_HOUR_KEYS}
    tags = {"locker": row["locker"], "door": str(row["door"])}
    return line(DOOR_HOUR, tags, fields, timestamp(row["at"], precision))


def _left_out(text: str) -> int | None:
    if "partial write" not in text:
        return None
    found = _DROPPED.search(text)
    if found:
        return int(found[1])
    try:
        listed = json.loads(text)["data"]
    except (ValueError, KeyError, TypeError):
        return None
    return len(listed) if isinstance(listed, list) else None


def _float(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
