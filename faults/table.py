"""`python -m faults.table FILE [DOCUMENT]`: what `scripts/faults --json` printed as a table, into a document."""

import json
import sys
from pathlib import Path
from typing import Any, Final

_HEAD: Final = "| # | fault | holds | injections | events | commands | lost | twice | phantom | late | double | |"
_LINE: Final = "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"


_BEGIN: Final = "<!-- results -->"
_END: Final = "<!-- end of results -->"


def table(report: dict[str, Any]) -> str:
    """Return a report as a Markdown table with its sum."""
    rows = sorted(report["rows"], key=lambda row: int(row["id"]))
    lines = [_HEAD, _LINE, *(_line(row) for row in rows)]
    total = [sum(row[name] for row in rows) for name in ("injections", "events", "commands")]
    verdict = "All is well" if report["ok"] else "Not all is well"
    lines.append("")
    lines.append(
        f"{verdict}: {total[0]:,} faults, {total[1]:,} events and {total[2]:,} commands in "
        f"{report['seconds'] / 60:.0f} minutes ({report['mode']}, seed {report['seed']})."
    )
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    counts = [
        row[name] for name in ("injections", "events", "commands", "lost", "duplicate", "phantom", "late", "double")
    ]
    cells = [str(row["id"]), row["fault"], row["must"], *(f"{count:,}" for count in counts), _remark(row)]
    return f"| {' | '.join(cells)} |"


def _remark(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"skipped: {row['skipped']}"
    remarks = [] if row["ok"] else ["**not ok**"]
    if "p99_ms" in row:
        remarks.append(f"openings p99 {row['p99_ms']:g} ms")
    return ", ".join(remarks)


def write_into(document: Path, text: str) -> None:
    """Put a table between the two marks of a document. Raises ValueError where they are missing."""
    before, begin, rest = document.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{document} lacks the lines {_BEGIN} and {_END}")
    document.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")


if __name__ == "__main__":
    made = table(json.loads(Path(sys.argv[1]).read_text().splitlines()[-1]))
    if len(sys.argv) > 2:  # noqa: PLR2004 - a document is given
        write_into(Path(sys.argv[2]), made)
    else:
        print(made)
