"""The journal of erasures: what was written is read, and nothing else."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.people.erasing import Cause, Erased, HoldOver
from hub.core.people.journal import ORIGIN, JournalBroken, JournalEntry, digest_of, line_of, read_lines
from hub.core.people.spans import multirange, spans

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def sign(data: bytes) -> bytes:
    return hmac.digest(b"key", data, hashlib.sha256)


def verify(data: bytes, signature: bytes) -> bool:
    return signature == sign(data)


def lines_of(count: int) -> tuple[list[JournalEntry], list[bytes]]:
    entries, lines, previous = [], list[bytes](), ORIGIN
    for number in range(1, count + 1):
        ids = [UUID(int=10 * number + one) for one in range(3)]
        request = UUID(int=number) if number % 2 else None
        entry = JournalEntry(
            number, ids[0], "default", ids[1], ids[2], Cause.REQUEST, "anna", AT, request, number, "ab"
        )
        entries.append(entry)
        lines.append(line_of(entry, previous, sign))
        previous = digest_of(lines[-1])
    return entries, lines


@given(st.integers(0, 5))
def test_what_was_written_is_read(count: int) -> None:
    entries, lines = lines_of(count)
    assert read_lines(lines, verify) == entries


@given(st.data())
def test_every_change_of_a_byte_and_every_line_left_out_shows(data: st.DataObject) -> None:
    _, lines = lines_of(4)
    place = data.draw(st.integers(0, 3))
    line = lines[place]
    # A last line that is left out cannot show here: nothing is behind it. The audit and the database have it.
    if place < 3 and data.draw(st.booleans()):
        changed = [*lines[:place], *lines[place + 1 :]]
    else:
        at = data.draw(st.integers(0, len(line) - 1))
        other = data.draw(st.integers(1, 255))
        changed = [*lines[:place], line[:at] + bytes([line[at] ^ other]) + line[at + 1 :], *lines[place + 1 :]]
    try:
        read = read_lines(changed, verify)
    except JournalBroken:
        return
    # The case of a hexadecimal digit says nothing else; in the last line no digest notices it.
    assert read == lines_of(4)[0]
    assert place == 3


def test_every_truncation_is_refused() -> None:
    (line,) = lines_of(1)[1]
    for cut in range(len(line)):
        with pytest.raises(JournalBroken, match="line 1 cannot be read"):
            read_lines([line[:cut]], verify)


def test_the_answer_says_what_stays_and_until_when() -> None:
    hold = UUID(int=1)
    whole = Erased(UUID(int=2), UUID(int=3), {"event": 5, "account": 1})
    assert (whole.partly, whole.sentence()) == (False, "Erased: 6 rows. Nothing is left.")
    for holds, end in (
        ((HoldOver(hold, None),), f"Hold {hold} lasts until it is released."),
        ((HoldOver(hold, AT),), f"Hold {hold} lasts until 2026-11-21 08:00 UTC."),
        ((), "a hold that has ended meanwhile."),
    ):
        partly = Erased(UUID(int=2), UUID(int=3), {"event": 5}, {"event": 2}, holds)
        assert partly.sentence() == f"Erased in part: 5 rows are gone; kept on order are 2 of event. {end}"


@given(st.sets(st.integers(1, 60)))
def test_numbers_as_a_multirange_are_exactly_those(numbers: set[int]) -> None:
    text = multirange(list(numbers))
    parts = [part.split(",") for part in text.strip("{}[)").split("),[")] if numbers else []
    assert {n for start, end in parts for n in range(int(start), int(end))} == numbers
    # The fewest parts that there can be.
    assert len(parts) == sum(number - 1 not in numbers for number in numbers)


@given(st.lists(st.integers(0, 1000)), st.integers(0, 50))
def test_spans_cover_the_times_and_no_gap(minutes: list[int], near: int) -> None:
    times = [AT + timedelta(minutes=one) for one in sorted(minutes)]
    found = spans(times, timedelta(minutes=near))
    assert all(any(since <= one <= until for since, until in found) for one in times)
    assert all(since in times and until in times for since, until in found)
    for (_, until), (since, _) in pairwise(found):
        assert since - until > timedelta(minutes=near)
    for since, until in found:
        inside = [one for one in times if since <= one <= until]
        steps = [two - one for one, two in pairwise(inside)]
        assert all(step <= timedelta(minutes=near) for step in steps)
