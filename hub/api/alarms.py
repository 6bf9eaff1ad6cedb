"""Alarms over HTTP: what is open, what was, and what operators do about it."""

import difflib
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.alarms.engine import AlarmEngine
from hub.api.auth import operator_of
from hub.api.cursors import Cursor
from hub.api.maintenance import MaintenanceRoutes
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body, read_query
from hub.api.spans import Time
from hub.core.alarms.alarm import (
    NOTE_CHARACTERS_MAX,
    Alarm,
    AlarmState,
    Severity,
    Shelf,
    Suppression,
    acknowledged,
    put_away,
    taken_back,
    unacknowledged,
)
from hub.core.alarms.texts import TYPES
from hub.core.alarms.transitions import What
from hub.core.fleet import Fleet
from hub.schemas.alarms import (
    ActedView,
    AlarmDetail,
    AlarmPage,
    HealthView,
    RulesView,
    SkippedView,
    alarm_detail,
    alarm_view,
    rule_view,
)
from hub.store.alarms import Act, AlarmFilter

_CURSOR: Final = Cursor("alarms", tuple[Time, UUID])
Note = Annotated[str, Meta(min_length=1, max_length=NOTE_CHARACTERS_MAX)]
Listed = Annotated[str, Meta(max_length=400)]

_IDS_MAX: Final = 10_000
_ANY: Final = "any"
_NONE: Final = "none"
_AWAY: Final = ("database_unavailable",)
_ACT_CODES: Final = ("not_json", "too_large", "database_unavailable")


class AlarmFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which open alarms. `state`, `severity` and `type` may be lists with commas.

    `suppressed`: `none` (those that people are to see), `any`, or why. `q` is looked for in places and types;
    `since` and `until` are of when they were raised.
    """

    state: Listed | None = None
    severity: Listed | None = None
    type: Listed | None = None
    site: Annotated[str, Meta(max_length=120)] | None = None
    locker: Annotated[str, Meta(max_length=32)] | None = None
    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    suppressed: Annotated[str, Meta(max_length=20)] | None = None
    q: Annotated[str, Meta(max_length=100)] | None = None
    since: Time | None = None
    until: Time | None = None


class AlarmsParameters(AlarmFields, frozen=True, forbid_unknown_fields=True):
    """Which alarms: open ones; `open=false` those that are closed; `at` those that were open then."""

    open: bool = True
    at: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class ChosenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alarms to act on: `ids`, or a `filter` over the open ones."""

    ids: Annotated[list[UUID], Meta(min_length=1, max_length=_IDS_MAX)] | None = None
    filter: AlarmFields | None = None


class AcknowledgeBody(ChosenBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, with a note for those who come later."""

    note: Note | None = None


class ShelveBody(ChosenBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, with how long and why."""

    minutes: Annotated[int, Meta(ge=1, le=1440)]
    why: Note


def alarm_routes(alarms: AlarmEngine, fleet: Fleet) -> list[Route]:
    """Return the routes of alarms and of maintenance."""
    return [*AlarmRoutes(alarms).routes(), *MaintenanceRoutes(alarms, fleet).routes()]


class AlarmRoutes:
    """The routes of alarms."""

    def __init__(self, alarms: AlarmEngine) -> None:
        self._alarms = alarms

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/v1/alarms"
        return [
            Route(
                "GET", path, "Alarms, newest raised first", self._list,
                query=AlarmsParameters, answers={200: AlarmPage}, codes=_AWAY,
            ),
            Route(
                "GET", f"{path}/health", "How the alarms themselves are", self._health, answers={200: HealthView}
            ),
            Route(
                "GET", f"{path}/rules", "What raises and clears alarms", self._rules, answers={200: RulesView}
            ),
            Route(
                "POST", f"{path}/acknowledge", "Say that somebody has seen alarms", self._acknowledge,
                body=AcknowledgeBody, answers={200: ActedView}, codes=_ACT_CODES,
            ),
            Route(
                "POST", f"{path}/unacknowledge", "Take that back", self._unacknowledge,
                body=ChosenBody, answers={200: ActedView}, codes=_ACT_CODES,
            ),
            Route(
                "POST", f"{path}/shelve", "Put alarms away for a time, with a reason", self._shelve,
                body=ShelveBody, answers={200: ActedView}, codes=_ACT_CODES,
            ),
            Route(
                "POST", f"{path}/unshelve", "Take alarms from the shelf", self._unshelve,
                body=ChosenBody, answers={200: ActedView}, codes=_ACT_CODES,
            ),
            Route(
                "GET", f"{path}/{{alarm}}", "One alarm with its journal", self._show,
                answers={200: AlarmDetail}, codes=("alarm_unknown", "database_unavailable"),
            ),
        ]  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, AlarmsParameters)
        asked = chosen(wanted, closed=not wanted.open and wanted.at is None, at=wanted.at)
        if wanted.at is not None:
            if not wanted.open:
                raise Problem("bad_request", "at: it shows what was open then; leave out `open=false`.")
            if wanted.at > clock.wall():
                raise Problem("bad_request", "at: it is in the future.")
        after = _CURSOR.read(wanted.cursor)
        if wanted.open and wanted.at is None:
            found = [one for one in self._alarms.open_alarms() if _behind(one, after) and fits(one, asked)]
        else:
            found = await self._alarms.store.page(asked, wanted.limit + 1, after)
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return answer(
            AlarmPage(
                [alarm_view(one) for one in page],
                _CURSOR.write((page[-1].raised_at, page[-1].id)) if more else None,
            )
        )

    async def _show(self, request: web.Request) -> web.Response:
        text = request.match_info["alarm"]
        try:
            alarm_id = UUID(text)
        except ValueError:
            raise Problem("alarm_unknown", f"{text[:40]!r} is no alarm's id.") from None
        book = self._alarms.watch.book
        alarm = book.alarms.get(alarm_id) or await self._alarms.store.one(alarm_id)
        if alarm is None:
            raise Problem("alarm_unknown", f"There is no alarm {alarm_id}.")
        steps = [dict(step) for step in await self._alarms.store.steps(alarm_id)]
        waiting = book.unwritten.get(alarm_id)
        steps += [
            {"at": step.at, "who": step.who, "what": step.what, "note": step.note}
            for step in ([] if waiting is None else waiting.steps)
        ]
        return answer(alarm_detail(alarm, steps))

    async def _health(self, _: web.Request) -> web.Response:
        return answer(self._alarms.health_view())

    async def _rules(self, _: web.Request) -> web.Response:
        rules = self._alarms.rules
        return answer(RulesView(rules.version, rules.sha256, [rule_view(rule) for rule in rules.every]))

    async def _acknowledge(self, request: web.Request) -> web.Response:
        body = await read_body(request, AcknowledgeBody)
        by, now = operator_of(request), clock.wall()
        act = partial(acknowledged, by=by, note=body.note, now=now)
        return await self._act(body, act, "acked", by, body.note, {})

    async def _unacknowledge(self, request: web.Request) -> web.Response:
        body = await read_body(request, ChosenBody)
        return await self._act(body, unacknowledged, "unacked", operator_of(request), None, {})

    async def _shelve(self, request: web.Request) -> web.Response:
        body = await read_body(request, ShelveBody)
        by, now = operator_of(request), clock.wall()
        shelf = Shelf(by, body.why, now, now + timedelta(minutes=body.minutes))
        act = partial(put_away, shelf=shelf)
        return await self._act(body, act, "shelved", by, body.why, {"minutes": body.minutes})

    async def _unshelve(self, request: web.Request) -> web.Response:
        body = await read_body(request, ChosenBody)
        return await self._act(body, taken_back, "unshelved", operator_of(request), None, {})

    async def _act(
        self, body: ChosenBody, act: Act, what: What, by: str, note: str | None, detail: dict[str, Any]
    ) -> web.Response:
        if (body.ids is None) == (body.filter is None):
            raise Problem("bad_request", "The body has one of `ids` and `filter`.")
        if body.filter is None:
            ids = body.ids or []
        else:
            asked = chosen(body.filter)
            ids = [one.id for one in self._alarms.open_alarms() if fits(one, asked)]
        acted = await self._alarms.records.act(ids, act, what=what, by=by, note=note, detail=detail)
        skipped = [SkippedView(alarm_id, why.value) for alarm_id, why in acted.skipped]
        return answer(ActedView(len(acted.done), skipped))


def chosen(fields: AlarmFields, *, closed: bool = False, at: datetime | None = None) -> AlarmFilter:
    """Return what a query means. Raises Problem bad_request, naming the parameter."""
    if fields.since is not None and fields.until is not None and fields.since >= fields.until:
        raise Problem("bad_request", "since: it has to be before `until`.")
    if fields.door is not None and fields.locker is None:
        raise Problem("bad_request", "door: it needs `locker`.")
    reasons = [*Suppression, _ANY, _NONE]
    return AlarmFilter(
        closed=closed, at=at, states=_several("state", fields.state, AlarmState),
        severities=_several("severity", fields.severity, Severity), types=_several("type", fields.type, TYPES),
        site=fields.site, locker=fields.locker, door=fields.door,
        suppressed=None if fields.suppressed is None else _one_of("suppressed", fields.suppressed, reasons),
        q=fields.q or None, since=fields.since, until=fields.until,
    )  # fmt: skip


def fits(alarm: Alarm, wanted: AlarmFilter) -> bool:
    """Say whether an open alarm is among those that are wanted, as the table's query does of its rows."""
    reason = _NONE if alarm.suppressed is None else alarm.suppressed.value
    text = None if wanted.q is None else wanted.q.casefold()
    return (
        (wanted.states is None or alarm.state in wanted.states)
        and (wanted.severities is None or alarm.severity in wanted.severities)
        and (wanted.types is None or alarm.type in wanted.types)
        and wanted.site in {None, alarm.site}
        and wanted.locker in {None, alarm.locker}
        and wanted.door in {None, alarm.door}
        and (wanted.suppressed in {None, reason} or (wanted.suppressed == _ANY and reason != _NONE))
        and (text is None or text in alarm.where.casefold() or text in alarm.type)
        and (wanted.since is None or alarm.raised_at >= wanted.since)
        and (wanted.until is None or alarm.raised_at < wanted.until)
    )


def _behind(alarm: Alarm, after: tuple[datetime, UUID] | None) -> bool:
    return after is None or (alarm.raised_at, alarm.id) < after


def _several(name: str, text: str | None, known: type[StrEnum] | Iterable[str]) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(_one_of(name, part.strip(), known) for part in text.split(","))


def _one_of(name: str, word: str, known: type[StrEnum] | Iterable[str]) -> str:
    words = sorted(map(str, known))
    if word in words:
        return word
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(words)}."
    raise Problem("bad_request", f"{name}: there is no {word[:40]!r}; {hint}")
