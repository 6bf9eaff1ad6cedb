"""The audit's chain: what is right passes, and nothing else does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.people.chain import ORIGIN, AuditRow, Verification, chained, digest_of_subject

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)
SALT = bytes(range(16))


def rows_of(subjects: list[str | None]) -> list[AuditRow]:
    before, rows = ORIGIN, []
    for number, subject in enumerate(subjects, 1):
        salt, digest = (None, None) if subject is None else (SALT, digest_of_subject(SALT, subject))
        row = AuditRow(number, AT + timedelta(number), "anna", "account.create", subject, salt, digest, "{}", b"")
        row = replace(row, hash=chained(before, row))
        before = row.hash
        rows.append(row)
    return rows


def faults(rows: list[AuditRow], head: AuditRow | None = None) -> list[str]:
    walk = Verification(0, ORIGIN)
    told = [walk.take(row) for row in rows]
    last = head or rows[-1]
    return [fault for fault in [*told, walk.end(last.id, last.hash)] if fault is not None]


SUBJECTS = st.lists(st.none() | st.text(max_size=20), min_size=1, max_size=6)


@given(SUBJECTS, st.data())
def test_rows_as_written_verify_also_after_any_of_their_subjects_were_emptied(
    subjects: list[str | None], data: st.DataObject
) -> None:
    rows = rows_of(subjects)
    emptied = [replace(row, subject=None, salt=None) if data.draw(st.booleans()) else row for row in rows]
    assert faults(emptied) == []


@given(SUBJECTS, st.data())
def test_any_other_change_shows(subjects: list[str | None], data: st.DataObject) -> None:
    rows = rows_of(subjects)
    place = data.draw(st.integers(0, len(rows) - 1))
    changed = data.draw(
        st.sampled_from(
            [
                {"at": AT - timedelta(seconds=1)}, {"who": "berta"}, {"action": "account.erase"},
                {"subject": "somebody else", "salt": SALT}, {"subject_digest": bytes(32)}, {"detail": "{ }"},
                {"hash": bytes(32)},
            ]
        )
    )  # fmt: skip
    row = rows[place]
    changed_row = replace(row, **changed)  # type: ignore[arg-type]  # each value is of its field
    assert faults([*rows[:place], changed_row, *rows[place + 1 :]], head=rows[-1])


@given(st.lists(st.none(), min_size=2, max_size=6), st.data())
def test_a_row_that_is_left_out_shows_also_the_last_one(subjects: list[None], data: st.DataObject) -> None:
    rows = rows_of([*subjects])
    place = data.draw(st.integers(0, len(rows) - 1))
    assert len(faults([*rows[:place], *rows[place + 1 :]], head=rows[-1])) >= 1


def test_a_chain_whose_beginning_has_gone_verifies_from_its_anchor() -> None:
    rows = rows_of([None, "account:1", None])
    walk = Verification(1, rows[0].hash)
    assert [walk.take(row) for row in rows[1:]] == [None, None]
    assert walk.end(3, rows[2].hash) is None
    assert (walk.rows, walk.emptied) == (2, 0)
    assert Verification(0, ORIGIN).end(0, ORIGIN) is None


@pytest.mark.parametrize("head", [(2, b"another"), (5, b"")])
def test_the_sentences_say_where(head: tuple[int, bytes]) -> None:
    rows = rows_of(["account:1", "account:2", None])
    walk = Verification(0, ORIGIN)
    assert walk.take(rows[1]) == "rows 1 to 1 are missing"
    assert "row 3 is not what was written" in (walk.take(replace(rows[2], who="x")) or "")
    end = walk.end(*head)
    assert end is not None
    assert ("rows 4 to 5 are missing" in end) == (head[0] == 5)


def test_a_row_whose_time_is_written_in_another_zone_has_the_same_hash() -> None:
    (row,) = rows_of(["account:1"])
    elsewhere = replace(row, at=row.at.astimezone())
    assert chained(ORIGIN, elsewhere) == row.hash
