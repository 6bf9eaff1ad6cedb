"""The words of refusals: one home, and nothing else says them in a way of its own."""

import re
from pathlib import Path

import pytest

from hub.store.statements import statement
from wire.refusals import DISOWNED, UNDELIVERED, UNRECORDED, AgentRefusal, refusal_of

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


@pytest.mark.parametrize("refusal", AgentRefusal)
def test_every_word_is_read_back_and_documented(refusal: AgentRefusal) -> None:
    assert refusal_of(refusal.value) is refusal_of(f"{refusal.value}: telemetry.period_s") is refusal
    assert re.search(rf"`{refusal.value}[`:]", PROTOCOL.read_text())


@pytest.mark.parametrize("reason", [None, "", "not in the mood", "EXPIRED", ": expired"])
def test_any_other_reason_is_none_of_them(reason: str | None) -> None:
    assert refusal_of(reason) is None


def test_what_ends_a_command_ends_it_for_the_database_too() -> None:
    assert not DISOWNED & UNDELIVERED
    assert {*DISOWNED, AgentRefusal.ID_REUSED} == UNRECORDED
    text = statement("commands_settle_from_ledger")
    assert {*re.findall(r"'reason' IN \(([^)]*)\)", text)} == {
        ", ".join(f"'{one.value}'" for one in sorted(UNDELIVERED))
    }
