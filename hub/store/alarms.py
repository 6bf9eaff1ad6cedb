"""Alarms in the database: written by the hubs, acted on by people, read by pages."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import psycopg
from psycopg.rows import DictRow

from hub.core.alarms.alarm import Alarm, AlarmState, Key, Severity, Shelf, Skip, Suppression
from hub.core.alarms.health import Past, Source
from hub.core.alarms.maintenance import Window
from hub.core.alarms.unwritten import AlarmStep, Unwritten
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.statements import statement

Connection = psycopg.AsyncConnection[DictRow]
Act = Callable[[Alarm], Alarm | Skip]

WINDOWS_MAX: Final = 10_000
STEPS_SHOWN: Final = 1000
_PAST_ROWS_MAX: Final = 50_000
_OTHERS_ROWS_MAX: Final = 5000
_DAYS_BACK: Final = timedelta(days=30)
_EVENTS_ROWS_MAX: Final = 20_000
"""Of one page."""


@dataclass(slots=True)
class Fate:
    """What became of a batch: versions of the rows that were written, and those that are another hub's by now."""

    written: dict[UUID, int] = field(default_factory=dict)
    lost: set[UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Acted:
    """What an act changed, and where it did not apply."""

    done: list[Alarm]
    skipped: list[tuple[UUID, Skip]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmFilter:
    """Which alarms: all that is given has to fit."""

    closed: bool = False
    at: datetime | None = None
    states: tuple[str, ...] | None = None
    severities: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    site: str | None = None
    locker: str | None = None
    door: int | None = None
    suppressed: str | None = None
    """`none` for those that are not."""
    q: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AlarmStore:
    """Every query about alarms and maintenance. `hub` names the process that writes; None: a command line."""

    def __init__(self, store: Database, hub: UUID | None = None) -> None:
        self._store = store
        self._hub = hub

    async def load(self, closed_since: datetime) -> list[Alarm]:
        """Return all open alarms, and those that were closed since a time."""
        rows = await self._store.fetch("alarms_just_closed", {"since": closed_since})
        rows += await self._store.fetch("alarms_open")
        return [alarm_of_row(row) for row in rows]

    async def write(self, batch: Sequence[Unwritten]) -> Fate:
        """Write alarms as they stand with the steps that led there, all in one transaction."""
        fate = Fate()
        async with self._store.transaction() as conn:
            new = [self._row(one.alarm) for one in batch if not one.alarm.version]
            known = [self._row(one.alarm) for one in batch if one.alarm.version]
            for name, rows in (("alarms_insert", new), ("alarms_update", known)):
                if rows:
                    done = await conn.execute(statement(name), {"rows": _json(rows)})
                    fate.written |= {row["id"]: row["version"] for row in await done.fetchall()}
            steps = [step for one in batch if one.alarm.id in fate.written for step in one.steps]
            await _add_steps(conn, steps)
        fate.lost = {one.alarm.id for one in batch} - fate.written.keys()
        return fate

    async def standing(self, alarm_id: UUID, key: Key) -> Alarm | None:
        """Return an alarm as its row has it; where there is none of that id, the open one of that key."""
        rows = await self._store.fetch("alarms_by_id", {"ids": [alarm_id]})
        if not rows:
            kind, spot = key
            rows = await self._store.fetch("alarm_open_at", {**spot._asdict(), "type": kind})
        return alarm_of_row(rows[0]) if rows else None

    async def now(self) -> datetime:
        """Return the database's time."""
        (row,) = await self._store.fetch("alarms_now")
        now: datetime = row["now"]
        return now

    async def by_others(self, since: datetime) -> tuple[list[Alarm], datetime]:
        """Return what others have written since a time, and the time to ask from next."""
        now = await self.now()
        rows = await self._store.fetch(
            "alarms_by_others", {"since": since, "hub": self._hub, "limit": _OTHERS_ROWS_MAX}
        )
        if len(rows) == _OTHERS_ROWS_MAX:
            now = rows[-1]["updated_at"]
        return [alarm_of_row(row) for row in rows], now

    async def take_up(self, alarms: Sequence[Alarm]) -> set[UUID]:
        """Return which of these were written by a command line and are this hub's to tell of: one hub gets each."""
        wanted = {"ids": [one.id for one in alarms], "versions": [one.version for one in alarms], "hub": self._hub}
        async with self._store.transaction() as conn:
            taken = await conn.execute(statement("alarms_take_up"), wanted)
            return {row["id"] for row in await taken.fetchall()}

    async def act(
        self, ids: Sequence[UUID], act: Act, *, what: str, by: str, at: datetime, note: str | None,
        detail: Mapping[str, Any],
    ) -> Acted:  # fmt: skip
        """Do something to alarms, each for itself; the journals and the audit say who did it.

        Args:
            ids: which; the same one counts once.
            act: returns the alarm as it is then, or why it does not apply.
            what: the word of the journal.
            by: the operator.
            at: when.
            note: goes into the journal.
            detail: goes into the audit, with how many alarms there were.
        """
        wanted = list(dict.fromkeys(ids))
        done: list[Alarm] = []
        skipped: list[tuple[UUID, Skip]] = []
        async with self._store.transaction() as conn:
            found = await (await conn.execute(statement("alarms_by_id_locked"), {"ids": wanted})).fetchall()
            known = {row["id"]: alarm_of_row(row) for row in found}
            for one in wanted:
                then = act(known[one]) if one in known else Skip.UNKNOWN
                if isinstance(then, Skip):
                    skipped.append((one, then))
                else:
                    done.append(then)
            if not done:
                return Acted([], skipped)
            rows = [self._row(alarm) for alarm in done]
            answer = await conn.execute(statement("alarms_update"), {"rows": _json(rows)})
            versions = {row["id"]: row["version"] for row in await answer.fetchall()}
            await _add_steps(conn, [step for alarm in done for step in _steps_of(alarm, what, by, at, note)])
            subject = f"alarm:{done[0].id}" if len(done) == 1 else None
            await audit(
                conn, at=at, who=by, action=f"alarm.{what}", subject=subject,
                detail={**detail, "alarms": len(done)},
            )  # fmt: skip
        return Acted([replace(alarm, version=versions[alarm.id]) for alarm in done], skipped)

    async def page(
        self, wanted: AlarmFilter, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[Alarm]:
        """Return a page of alarms from the table, newest raised first."""
        at, last = after or (None, None)
        rows = await self._store.fetch(
            "alarms_page" if wanted.at is None else "alarms_page_at",
            {
                "closed": wanted.closed, "at": wanted.at, "site": wanted.site, "locker": wanted.locker,
                "door": wanted.door, "suppressed": wanted.suppressed, "since": wanted.since, "until": wanted.until,
                "states": _listed(wanted.states), "severities": _listed(wanted.severities),
                "types": _listed(wanted.types), "pattern": None if wanted.q is None else _pattern(wanted.q),
                "after_at": at, "after_id": last, "limit": limit,
            },
        )  # fmt: skip
        return [_as_of(alarm_of_row(row), wanted.at) for row in rows]

    async def one(self, alarm_id: UUID) -> Alarm | None:
        """Return one alarm, open or closed."""
        rows = await self._store.fetch("alarms_by_id", {"ids": [alarm_id]})
        return alarm_of_row(rows[0]) if rows else None

    async def steps(self, alarm_id: UUID) -> list[DictRow]:
        """Return an alarm's journal, oldest first; of a long one the newest thousand."""
        rows = await self._store.fetch("alarm_steps", {"id": alarm_id, "limit": STEPS_SHOWN})
        return rows[::-1]

    async def past(self, now: datetime) -> list[Past]:
        """Return what was raised in the last thirty days, for the health of the alarms."""
        rows = await self._store.fetch(
            "alarms_raised_past",
            {"since": now - _DAYS_BACK, "day": now - timedelta(days=1), "limit": _PAST_ROWS_MAX},
        )
        return [
            Past(
                row["at"], Severity(row["severity"]), Source(row["type"], row["locker"], row["door"]), row["count"]
            )
            for row in rows
        ]

    async def events_since(
        self, since: datetime, kinds: Iterable[str], *, earlier_since: datetime, earlier_kinds: Iterable[str]
    ) -> AsyncIterator[DictRow]:
        """Return stored events as they were received, page by page, without those that came an hour late.

        Args:
            since: received after it.
            kinds: of these kinds.
            earlier_since: the same of further kinds.
            earlier_kinds: those.
        """
        wanted: dict[str, Any] = {
            "since": since, "kinds": sorted(kinds), "earliest": min(since, earlier_since),
            "timed": sorted(earlier_kinds), "limit": _EVENTS_ROWS_MAX,
            "after_at": None, "after_locker": None, "after_epoch": None, "after_seq": None,
        }  # fmt: skip
        while True:
            rows = await self._store.fetch("alarms_events_since", wanted)
            for row in rows:
                yield row
            if len(rows) < _EVENTS_ROWS_MAX:
                return
            last = rows[-1]
            wanted |= {
                "after_at": last["received_at"], "after_locker": last["locker"], "after_epoch": last["epoch"],
                "after_seq": last["seq"],
            }  # fmt: skip

    async def judged(self) -> datetime:
        """Return up to when all that was received has been judged."""
        (row,) = await self._store.fetch("alarms_judged")
        upto: datetime = row["upto"]
        return upto

    async def judge(self, upto: datetime) -> None:
        """Write down up to when."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("alarms_judge"), {"upto": upto})

    async def windows(self, now: datetime) -> list[Window]:
        """Return the maintenance windows that run or are to come."""
        rows = await self._store.fetch("maintenance_current", {"now": now, "limit": WINDOWS_MAX})
        return [Window(**row) for row in rows]

    async def windows_page(
        self, *, every: bool, now: datetime, limit: int, after: tuple[datetime, UUID] | None
    ) -> list[Window]:
        """Return a page of windows, the last to start first; `every`: also those that are over."""
        at, last = after or (None, None)
        rows = await self._store.fetch(
            "maintenance_page", {"every": every, "now": now, "limit": limit, "after_at": at, "after_id": last}
        )
        return [Window(**row) for row in rows]

    async def add_window(self, window: Window, now: datetime) -> bool:
        """Plan maintenance. False: there are as many windows as there may be."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("maintenance_creation_lock"))
            row = await (await conn.execute(statement("maintenance_count"), {"now": now})).fetchone()
            if row is None or row["count"] >= WINDOWS_MAX:
                return False
            await conn.execute(
                statement("maintenance_add"),
                {
                    "id": window.id, "site": window.site, "locker": window.locker, "door": window.door,
                    "starts_at": window.starts_at, "ends_at": window.ends_at, "why": window.why, "by": window.by,
                    "at": now,
                },
            )  # fmt: skip
            await audit(
                conn, at=now, who=window.by, action="maintenance.plan", subject=f"maintenance:{window.id}",
                detail={
                    "site": window.site, "locker": window.locker, "door": window.door, "ends_at": window.ends_at,
                },
            )  # fmt: skip
        return True

    async def end_window(self, window: UUID, by: str, now: datetime) -> Window | None:
        """End a window before its time; one that is over stays as it is. None: there is none of that id."""
        async with self._store.transaction() as conn:
            ended = await conn.execute(statement("maintenance_end"), {"id": window, "by": by, "at": now})
            if ended.rowcount:
                await audit(
                    conn, at=now, who=by, action="maintenance.end", subject=f"maintenance:{window}", detail={}
                )
            row = await (await conn.execute(statement("maintenance_one"), {"id": window})).fetchone()
        return None if row is None else Window(**row)

    def _row(self, alarm: Alarm) -> dict[str, Any]:
        shelf = alarm.shelved
        epoch, seq = alarm.mark or (None, None)
        return {
            "id": alarm.id, "type": alarm.type, "severity": alarm.severity, "tenant_id": alarm.tenant,
            "site": alarm.site, "locker_id": alarm.locker, "door": alarm.door, "sensor": alarm.sensor,
            "place": alarm.where, "rule": alarm.rule,
            "state": alarm.state, "opened_at": alarm.opened_at, "began_at": alarm.began_at,
            "raised_at": alarm.raised_at, "last_at": alarm.last_at, "cleared_at": alarm.cleared_at,
            "closed_at": alarm.closed_at, "count": alarm.count, "value": alarm.value, "limit_value": alarm.limit,
            "unit": alarm.unit, "acked_at": alarm.acked_at, "acked_by": alarm.acked_by,
            "ack_note": alarm.ack_note, "shelved_by": shelf and shelf.by, "shelved_why": shelf and shelf.why,
            "shelved_at": shelf and shelf.at, "shelved_until": shelf and shelf.until,
            "suppressed": alarm.suppressed, "parent_id": alarm.parent, "epoch": epoch, "seq": seq,
            "version": alarm.version or 1, "hub": self._hub, "updated_at": alarm.last_at,
        }  # fmt: skip


def alarm_of_row(row: Mapping[str, Any]) -> Alarm:
    """Return the alarm of a row."""
    shelf = None
    if row["shelved_until"] is not None:
        shelf = Shelf(row["shelved_by"], row["shelved_why"], row["shelved_at"], row["shelved_until"])
    suppressed = row["suppressed"]
    by_place = suppressed in {Suppression.MAINTENANCE, Suppression.OUT_OF_SERVICE}
    return Alarm(
        id=row["id"], type=row["type"], severity=Severity(row["severity"]), tenant=row["tenant_id"],
        site=row["site"], locker=row["locker_id"], door=row["door"], sensor=row["sensor"],
        rule=row["rule"], where=row["place"],
        state=AlarmState(row["state"]), opened_at=row["opened_at"], began_at=row["began_at"],
        raised_at=row["raised_at"], last_at=row["last_at"], cleared_at=row["cleared_at"],
        closed_at=row["closed_at"], count=row["count"], value=row["value"], limit=row["limit_value"],
        unit=row["unit"], acked_at=row["acked_at"], acked_by=row["acked_by"], ack_note=row["ack_note"],
        shelved=shelf, context=Suppression(suppressed) if by_place else None, parent=row["parent_id"],
        mark=None if row["epoch"] is None else (row["epoch"], row["seq"]), version=row["version"],
    )  # fmt: skip


def _as_of(alarm: Alarm, at: datetime | None) -> Alarm:
    """Return an alarm without what happened after a time. Its state is of that time already."""
    if at is None:
        return alarm
    acked = not alarm.unacked and alarm.open and alarm.acked_at is not None and alarm.acked_at <= at
    return replace(
        alarm, closed_at=None, cleared_at=None if alarm.active else alarm.cleared_at,
        last_at=min(alarm.last_at, at), acked_at=alarm.acked_at if acked else None,
        acked_by=alarm.acked_by if acked else None, ack_note=alarm.ack_note if acked else None,
        shelved=alarm.shelved if alarm.shelved is not None and alarm.shelved.at <= at else None,
        stale=alarm.active and at - alarm.raised_at > timedelta(hours=24),
    )  # fmt: skip


def _steps_of(alarm: Alarm, what: str, by: str, at: datetime, note: str | None) -> list[AlarmStep]:
    steps = [AlarmStep(uuid4(), alarm.id, at, by, what, note, alarm.state)]
    if not alarm.open:
        steps.append(AlarmStep(uuid4(), alarm.id, at, None, "closed", None, alarm.state))
    return steps


async def _add_steps(conn: Connection, steps: Sequence[AlarmStep]) -> None:
    if steps:
        rows = [
            {
                "id": one.id, "alarm_id": one.alarm, "at": one.at, "who": one.who, "what": one.what,
                "note": one.note, "state": one.state,
            }
            for one in steps
        ]  # fmt: skip
        await conn.execute(statement("alarm_steps_add"), {"rows": _json(rows)})


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _pattern(text: str) -> str:
    r"""Return a pattern of LIKE that finds the text itself, whatever is in it."""
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
