"""Changes of alarms for the tests of notifications."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hub.core.alarms.alarm import Alarm, AlarmState, Severity
from hub.core.alarms.transitions import Transition, What
from hub.core.notify.notices import Notice, notice_of

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def alarm(number: int = 1, **changes: Any) -> Alarm:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {
        "id": UUID(int=number), "type": "door.forced", "severity": Severity.CRITICAL, "tenant": "default",
        "site": "Berlin", "locker": "berlin-01", "door": 3, "rule": "door.forced",
        "where": "Berlin, lobby (berlin-01), door 3", "state": AlarmState.ACTIVE_UNACKED, "opened_at": AT,
        "began_at": AT, "raised_at": AT, "last_at": AT,
    }  # fmt: skip
    return Alarm(**{**fields, **changes})


def change(what: What, number: int = 1, at: datetime = AT, **changes: Any) -> Transition:  # noqa: ANN401
    return Transition(at, what, alarm(number, **changes))


def notice(what: What, number: int = 1, at: datetime = AT, **changes: Any) -> Notice:  # noqa: ANN401
    told = notice_of(change(what, number, at, **changes))
    assert told is not None
    return told
