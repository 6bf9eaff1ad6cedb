"""The matrix as it is entered, how one row is judged, and the table that is made of the results."""

from pathlib import Path
from typing import Any

import pytest

from faults.__main__ import LANES, main
from faults.checker import Findings
from faults.row import ROWS, Row, Run
from faults.runner import COUNTS, judge
from faults.table import table, write_into

MATRIX = [*range(1, 13), *range(14, 25), *range(26, 36)]


async def nothing(run: Run) -> None:
    del run


ROW = Row(1, "nothing at all", "N", nothing)


def judged(
    found: dict[str, str] | None = None,
    *,
    injections: int = 1,
    wrong: tuple[str, ...] = (),
    notes: dict[str, Any] | None = None,
    row: Row = ROW,
) -> dict[str, Any]:
    findings = Findings(**{name: frozenset({sentence}) for name, sentence in (found or {}).items()})
    return judge(row, injections, list(wrong), notes or {}, findings)


def test_every_row_of_the_matrix_is_entered() -> None:
    assert sorted(ROWS) == MATRIX


def test_every_row_is_in_one_lane() -> None:
    assert sorted(number for lane in LANES for number in lane) == MATRIX


def test_every_row_says_what_it_does() -> None:
    assert all(row.act.__doc__ and row.fault and row.must for row in ROWS.values())


def test_a_row_without_findings_is_ok() -> None:
    assert judged()["ok"]


@pytest.mark.parametrize("name", COUNTS)
def test_one_finding_is_enough_to_fail_a_row(name: str) -> None:
    result = judged({name: "something"})
    assert not result["ok"]
    assert result[name] == 1
    assert result["findings"] == {name: ["something"]}


def test_a_row_that_injected_nothing_is_not_ok() -> None:
    result = judged(injections=0)
    assert not result["ok"]
    assert result["wrong"] == ["nothing was injected"]


def test_what_a_row_saw_itself_counts() -> None:
    assert not judged(wrong=("the hub did not end",))["ok"]


@pytest.mark.parametrize("name", ["declared", "quarantined"])
def test_an_event_that_went_another_way_is_wrong_where_it_is_not_part_of_the_row(name: str) -> None:
    assert not judged({name: "something"})["ok"]
    expected = Row(1, "", "", nothing, quarantines=True, declares=True)
    assert judged({name: "something"}, row=expected)["ok"]


def test_a_row_that_cannot_run_here_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert judged(injections=0, notes={"skipped": "it needs root"})["ok"]


def test_ci_may_only_skip_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert judged(injections=0, notes={"skipped": "libfaketime is not installed"})["ok"]
    assert not judged(injections=0, notes={"skipped": "a disk of its own needs root"})["ok"]


def test_an_unknown_row_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", "13"]) == 2
    assert "no row 13" in capsys.readouterr().err


def report(**changes: object) -> dict[str, Any]:
    row = {**judged(injections=3), "events": 1000, "commands": 20, **changes}
    return {"rows": [row], "ok": row["ok"], "seconds": 120.0, "mode": "full", "seed": 7}


def test_the_table_has_each_row_and_the_sum() -> None:
    text = table(report(p99_ms=12.5))
    assert "| 1 | nothing at all | N | 3 | 1,000 | 20 | 0 | 0 | 0 | 0 | 0 | openings p99 12.5 ms |" in text
    assert text.endswith("All is well: 3 faults, 1,000 events and 20 commands in 2 minutes (full, seed 7).")


def test_the_table_hides_nothing() -> None:
    text = table(report(ok=False, lost=2))
    assert "| 2 | 0 | 0 | 0 | 0 | **not ok** |" in text
    assert "Not all is well" in text
    assert "skipped: no root" in table(report(skipped="no root"))


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    write_into(document, "new")
    assert document.read_text() == "before\n<!-- results -->\nnew\n<!-- end of results -->\nafter\n"
    document.write_text("no marks")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_into(document, "new")
