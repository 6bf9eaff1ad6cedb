"""The words: who is named and who is not, and that no text becomes anything but text."""

from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.alarms.alarm import AlarmState, Severity, Shelf
from hub.core.alarms.transitions import What
from hub.core.notify.notices import Digest, Message, Notice, notice_of
from hub.core.notify.templates import SUBJECT_CHARACTERS_MAX, one_line, render_email, render_webhook
from tests.hub.core.notify.alarms import AT, change, notice

URL = "https://hub.example.org"


def message(told: Notice | Digest | None = None) -> Message:
    if isinstance(told, Digest):
        return Message(id=UUID(int=7), at=AT, channel="duty", digest=told)
    return Message(id=UUID(int=7), at=AT, channel="duty", notice=told)


def test_a_raised_alarm_says_what_where_and_what_to_do() -> None:
    told = render_email(message(notice("raised", count=2)), URL)
    assert told.subject == "[critical] ALARM: Door 3 was opened by force: Berlin, lobby (berlin-01), door 3"
    assert told.text.splitlines() == [
        "Door 3 was opened by force.",
        "Where: Berlin, lobby (berlin-01), door 3",
        "Severity: critical",
        "Site: Berlin",
        "Locker: berlin-01, door 3",
        "Since: 2026-11-25 12:00:00 UTC",
        "Times: 2",
        "",
        "Consequence: What is behind it may be taken; the lock may be broken.",
        "What to do: Look at the door, or at its camera. Close it; if it does not lock, take it out of service.",
        "",
        f"{URL}/alarms/{UUID(int=1)}",
    ]


def test_an_acknowledgement_names_the_operator_and_not_the_note() -> None:
    told = notice(
        "acked",
        state=AlarmState.ACTIVE_ACKED,
        acked_at=AT,
        acked_by="anna",
        ack_note="Ms Miller of flat 4 broke it",
    )
    text = render_email(message(told), None).text
    assert "Acknowledged: 2026-11-25 12:00:00 UTC by anna" in text
    assert "Miller" not in text + orjson.dumps(render_webhook(message(told), None)).decode()


def test_others_who_acknowledged_before_are_not_named_when_it_is_over() -> None:
    told = notice("cleared", state=AlarmState.ACTIVE_ACKED, acked_by="anna")
    assert told.by is None
    assert "Over: 2026-11-25 12:00:00 UTC" in render_email(message(told), None).text


@pytest.mark.parametrize("what", ["unacked", "shelved", "unshelved", "closed"])
def test_some_changes_are_nobodys_news(what: What) -> None:
    assert notice_of(change(what)) is None


def test_nothing_is_told_of_what_is_suppressed() -> None:
    shelf = Shelf("anna", "known", AT, AT + timedelta(hours=1))
    assert notice_of(change("raised", shelved=shelf)) is None
    assert notice_of(change("cleared", parent=UUID(int=9))) is None


def test_a_webhook_has_these_fields_and_no_others() -> None:
    body = render_webhook(message(notice("raised")), URL)
    assert body.keys() == {"type", "timestamp", "id", "channel", "data"}
    assert (body["type"], body["id"]) == ("alarm.raised", UUID(int=7))
    assert body["data"].keys() == {
        "at", "transition", "alarm", "type", "severity", "site", "locker", "door", "what", "where", "consequence",
        "todo", "began_at", "count", "by", "acked", "url",
    }  # fmt: skip
    assert body["data"]["url"] == f"{URL}/alarms/{UUID(int=1)}"
    assert render_webhook(message(notice("raised")), None)["data"]["url"] is None


def digest(total: int = 9) -> Digest:
    counts = {"raised": {"critical": 1, "low": 7}, "cleared": {"low": 1}}
    notices = [notice("raised"), notice("cleared", 2, severity=Severity.LOW)]
    return Digest(since=AT, until=AT + timedelta(minutes=1), total=total, counts=counts, notices=notices)


def test_a_digest_counts_and_names_the_worst() -> None:
    told = render_email(message(digest()), URL)
    assert told.subject == "[digest] 9 changes of alarms: 8 raised (1 critical, 7 low), 1 cleared (1 low)"
    lines = told.text.splitlines()
    assert lines[3] == "[critical] ALARM: Door 3 was opened by force: Berlin, lobby (berlin-01), door 3"
    assert lines[5] == "and 7 more, none worse than these"
    body = render_webhook(message(digest()), URL)
    assert (body["type"], body["data"]["total"], len(body["data"]["alarms"])) == ("alarm.digest", 9, 2)


def test_a_test_says_that_it_is_one() -> None:
    assert render_email(message(), None).subject == "[test] Notifications over duty work"
    assert render_email(message(), None).text.startswith("This is a test. Nothing has happened.\n")
    assert render_webhook(message(), None)["type"] == "test"


hostile = st.text(max_size=400) | st.sampled_from(
    [
        "x\r\nBcc: a@b.example\r\n\r\nbody",
        "a\nb",
        "\u2028x",
        "\u202egnp.exe",
        "=?utf-8?q?=0ABcc:_x?=",
        "\ud800",
        "\x00",
    ]
)


@given(hostile, hostile)
def test_no_text_breaks_out_of_its_line(where: str, site: str) -> None:
    told = render_email(message(notice("raised", where=where, site=site)), None)
    assert len(told.subject.splitlines()) == 1
    assert len(told.subject) <= SUBJECT_CHARACTERS_MAX
    assert len(told.text.splitlines()) <= 12
    assert one_line(told.subject) == told.subject
    told.text.encode()
