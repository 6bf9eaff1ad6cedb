"""A hub for the page's tests: the contract of docs/api.md over made-up lockers, with a test's hand on every frame.

It holds no state machine of its own: a test says what changes, and this says it to the viewers.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from aiohttp import WSMsgType, web

from hub.api.page import PageRoutes

OPERATOR: Final = Path(__file__).resolve().parents[2] / "dashboards" / "operator"
CITIES: Final = ("Berlin", "Hamburg", "Köln", "Leipzig", "München", "Dresden", "Bremen", "Essen")
PLACES: Final = ("lobby", "main station", "library", "campus gate", "town hall", "garage", "market hall")
COOKIE: Final = "session"
PAGE: Final = PageRoutes(OPERATOR)

Json = dict[str, Any]

_ports: dict[int, None] = {}
"""Ports that hubs of this process had before: a browser that finds the same origin again has its files already."""
_ports_in_use: set[int] = set()


async def _keep_files(request: web.Request, response: web.StreamResponse) -> None:
    """Let the browser keep the page's files, which do not change between tests, and not ask for each again."""
    if request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "max-age=3600"


@dataclass
class FakeHub:
    """The lockers, the viewers, and what a test wants to go wrong."""

    details: dict[str, Json]
    events: list[Json] = field(default_factory=list)
    token: str | None = None
    refusal: tuple[int, Json] | None = None
    lose_answers: bool = False
    closed_to_viewers: bool = False
    mute: bool = False
    base: str = ""
    closed: bool = False
    role: str = "admin"
    views: dict[str, Json] = field(default_factory=dict)
    """Snapshots by view, for those that lockers and events do not make: `alarms`, `summary`, `commands`, …"""
    answers: dict[str, object] = field(default_factory=dict)
    """What `METHOD /path` (without its query) answers, as JSON; a callable gets the request and its body."""
    asked: list[tuple[str, str, Json | None]] = field(default_factory=list)
    """Every request to the API that `answers` took: method, path with query, body."""
    posted: list[tuple[str, Json, str]] = field(default_factory=list)
    heard: list[Json] = field(default_factory=list)
    _sockets: dict[web.WebSocketResponse, set[str]] = field(default_factory=dict)
    _seqs: dict[str, int] = field(default_factory=dict)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, true: Callable[["FakeHub"], bool]) -> None:
        """Wait until a condition on what viewers said or posted holds."""
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: true(self))

    async def change_door(self, locker: str, number: int, **changes: object) -> None:
        """Change a door, and tell the fleet's and the locker's viewers."""
        detail = self.details[locker]
        door = next(one for one in detail["doors"] if one["number"] == number)
        door.update(changes, state_changed_at=stamp())
        detail["door_counts"] = counts(detail["doors"])
        await self.diff("fleet", {"lockers": [[locker, summary(detail)]], "removed": []})
        await self.diff(f"locker:{locker}", {"locker": summary(detail), "doors": [door]})

    async def change_locker(self, locker: str, **changes: object) -> None:
        """Change a locker's own fields, and tell its viewers."""
        self.details[locker].update(changes)
        told = summary(self.details[locker])
        await self.diff("fleet", {"lockers": [[locker, told]], "removed": []})
        await self.diff(f"locker:{locker}", {"locker": told})

    async def change_command(self, command: Json, **changes: object) -> None:
        """Change a command, and tell its locker's viewers."""
        command.update(changes)
        await self.diff(f"locker:{command['locker']}", {"commands": [command]})

    async def tell(self, event: Json) -> None:
        """Add an event to the feeds."""
        self.events.insert(0, event)
        for view in ("events", f"events:{event['locker']}"):
            await self.diff(view, {"events": [event], "skipped": 0})

    async def diff(self, view: str, data: Json) -> None:
        """Send the view's next diff to whoever subscribed to it."""
        seq = self.skip(view)
        frame = {"type": "diff", "view": view, "seq": seq, "at": stamp(), "data": data}
        for socket, views in list(self._sockets.items()):
            if view in views:
                await self.say(socket, frame)

    def skip(self, view: str) -> int:
        """Count a diff of a view without sending it; return its number."""
        self._seqs[view] = self._seqs.get(view, 0) + 1
        return self._seqs[view]

    async def cut(self) -> None:
        """Close every viewer's connection."""
        for socket in list(self._sockets):
            await socket.close(code=1012)

    async def say(self, socket: web.WebSocketResponse, frame: Json) -> None:
        """Send one frame, unless the hub is mute or the viewer has gone."""
        if not self.mute:
            with contextlib.suppress(ConnectionError):
                await socket.send_str(json.dumps(frame))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeHub"]:
        """Serve on a loopback port until left."""
        app = web.Application()
        app.router.add_get("/live", self._live)
        app.router.add_get("/api/v1/session", self._session)
        app.router.add_post("/api/v1/session", self._sign_in)
        app.router.add_delete("/api/v1/session", self._sign_out)
        app.router.add_post("/api/v1/lockers/{id}/commands", self._command)
        app.router.add_get("/api/v1/commands/{id}", self._one_command)
        app.router.add_get("/api/v1/lockers/{id}/events", self._events)
        app.router.add_route("*", "/api/v1/{path:.+}", self._answer)
        for route in PAGE.routes():
            app.router.add_route(route.method, route.path, route.serve)
        app.on_response_prepare.append(_keep_files)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        port = next((port for port in _ports if port not in _ports_in_use), 0)
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        _ports_in_use.add(port)
        self.base = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self.closed = True
            await self.cut()
            await runner.cleanup()
            _ports_in_use.discard(port)
            _ports[port] = None

    def _admits(self, request: web.Request) -> bool:
        return self.token is None or request.cookies.get(COOKIE) == self.token

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if self.closed_to_viewers or not self._admits(request):
            return problem(401, "sign_in_needed", "Sign in first", "The hub asks for its token.")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        views: set[str] = set()
        self._sockets[socket] = views
        hello = {"type": "hello", "protocol": 2, "version": "0.1.0", "hub": str(uuid4()), "now": stamp()}
        await self.say(socket, hello)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(socket, views, json.loads(message.data))
        finally:
            del self._sockets[socket]
        return socket

    async def _hear(self, socket: web.WebSocketResponse, views: set[str], said: Json) -> None:
        view = said.get("view", "")
        if said["type"] == "ping":
            await self.say(socket, {"type": "pong", "now": stamp()})
        elif said["type"] == "unsubscribe":
            views.discard(view)
        else:
            views.add(view)
            data = self._snapshot(view)
            if data is None:
                frame: Json = {"type": "error", "code": "locker_unknown", "detail": f"no {view}", "view": view}
            else:
                seq = self._seqs.setdefault(view, 0)
                frame = {"type": "snapshot", "view": view, "seq": seq, "at": stamp(), "data": data}
            await self.say(socket, frame)
        async with self._news:
            self.heard.append(said)
            self._news.notify_all()

    def _snapshot(self, view: str) -> Json | None:
        kind, _, locker = view.partition(":")
        if view in self.views:
            return self.views[view]
        if view == "summary":
            return summary_of(self.details.values())
        if kind in {"alarms", "commands", "jobs"}:
            return {kind: [], "total": 0}
        if kind == "site":
            return {"lockers": [summary(one) for one in self.details.values() if one["site"] == locker]}
        if kind == "fleet":
            return {"lockers": [summary(detail) for detail in self.details.values()]}
        if kind == "locker":
            return self.details.get(locker)
        if locker and locker not in self.details:
            return None
        if kind == "tail":
            return {"messages": []}
        return {"events": [event for event in self.events if not locker or event["locker"] == locker][:100]}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        async with self._news:
            self.asked.append((request.method, request.path_qs, body))
            self._news.notify_all()
        found = self.answers.get(f"{request.method} {request.path}", self._usual(request))
        if callable(found):
            found = found(request, body)
        if isinstance(found, web.StreamResponse):
            return found
        if found is None:
            return problem(404, "not_found", "Not found", f"There is no {request.path} here.")
        return web.json_response(found)

    def _usual(self, request: web.Request) -> Json | web.Response | None:
        """Return what a hub with nothing to tell answers to what each locker's page asks."""
        if request.method != "GET":
            return None
        _, _, locker = request.path.rpartition("/api/v1/lockers/")
        if locker in self.details:
            return self.details[locker]
        if locker and "/" not in locker:
            return problem(404, "locker_unknown", "There is no such locker", f"There is no {locker}.")
        if request.path.endswith("/telemetry/plot"):
            asked = {name: request.query[name] for name in ("since", "until")}
            return {"locker": "", **asked, "resolution": "raw", "width_s": 0, "at": [], "samples": [], "series": {}}
        if request.path.endswith("/ledger") or request.path == "/api/v1/maintenance":
            return {"items": [], "next_cursor": None}
        if request.path == "/api/v1/alarms/rules":
            return {"version": "1", "sha256": "0" * 64, "items": []}
        return None

    async def _session(self, request: web.Request) -> web.Response:
        needed = self.token is not None
        signed_in = needed and self._admits(request)
        return web.json_response(
            {
                "needed": needed,
                "signed_in": signed_in,
                "operator": "operator" if signed_in else None,
                "role": self.role if signed_in or not needed else None,
            }
        )

    async def _sign_in(self, request: web.Request) -> web.Response:
        given = (await request.json())["token"]
        if given != self.token:
            return problem(401, "sign_in_needed", "Sign in first", "That is another token.")
        answer = web.json_response({"needed": True, "signed_in": True, "operator": "operator", "role": self.role})
        answer.set_cookie(COOKIE, given, httponly=True, samesite="Strict")
        return answer

    async def _sign_out(self, _: web.Request) -> web.Response:
        answer = web.Response(status=204)
        answer.del_cookie(COOKIE)
        return answer

    async def _command(self, request: web.Request) -> web.Response:
        locker = request.match_info["id"]
        body = await request.json()
        async with self._news:
            self.posted.append((locker, body, request.headers.get("Idempotency-Key", "")))
            self._news.notify_all()
        if self.lose_answers and request.transport is not None:
            request.transport.abort()
        if self.refusal is not None:
            status, words = self.refusal
            return problem(status, **words)
        made = command(locker, body["kind"], body.get("door"), reason=body.get("reason"))
        if made["kind"] == "locate":
            made["outcome"] = None
        self.details[locker]["commands"].insert(0, made)
        await self.change_command(made)
        return web.json_response(made)

    async def _one_command(self, request: web.Request) -> web.Response:
        for detail in self.details.values():
            for one in detail["commands"]:
                if one["id"] == request.match_info["id"]:
                    return web.json_response(one)
        return problem(404, "command_unknown", "No such command", "")

    async def _events(self, request: web.Request) -> web.Response:
        mine = [event for event in self.events if event["locker"] == request.match_info["id"]]
        until = request.query.get("until")
        start = int(request.query.get("cursor", "0"))
        found = [event for event in mine if until is None or event["occurred_at"] <= until]
        limit = int(request.query["limit"])
        more = str(start + limit) if start + limit < len(found) else None
        return web.json_response({"items": found[start : start + limit], "next_cursor": more})


def fleet(lockers: int, *, doors: int = 16) -> FakeHub:
    """Return a hub with generated lockers; the same every time but for their stamps."""
    return FakeHub({one["id"]: one for one in (locker_detail(n, doors) for n in range(1, lockers + 1))})


def locker_detail(n: int, doors: int) -> Json:
    """Return one LockerDetail: every 12th is offline, every 9th never seen, every 5th has an open door."""
    city = CITIES[n % len(CITIES)]
    state = "never_seen" if n % 9 == 0 else "offline" if n % 12 == 0 else "online"
    rows = [door(number, state, is_open=n % 5 == 0 and number == 3) for number in range(1, doors + 1)]
    known = state != "never_seen"
    return {
        "id": f"{city.lower().replace('ö', 'oe').replace('ü', 'ue')}-{n:02}",
        "name": f"{city}, {PLACES[n % len(PLACES)]}",
        "site": city,
        "state": state,
        "state_changed_at": stamp(-n * 311) if known else None,
        "last_seen_at": stamp(-(n % 40) - (900 * n if state == "offline" else 0)) if known else None,
        "agent": "0.1.0" if known else None,
        "session": 10 + n if known else None,
        "boards": {"total": 1 + doors // 17, "online": (1 + doors // 17) if state == "online" else 0},
        "door_counts": counts(rows),
        "address": f"{city}, Hafenstraße {n}",
        "serial": f"LH-{n:05}",
        "tags": ["pilot"] if n % 7 == 0 else [],
        "alarms": {"critical": 0, "high": 0, "medium": 0, "low": 0},
        "maintenance": False,
        "disabled": None,
        "doors": rows,
        "commands": [],
    }


def door(number: int, locker_state: str, *, is_open: bool = False) -> Json:
    """Return a Door, four in a row, the lowest row large."""
    row = (number - 1) // 4 + 1
    state = "unknown" if locker_state != "online" else "open" if is_open else "closed"
    out = number == 11
    return {
        "number": number,
        "label": str(number),
        "size": "SSML"[min(row - 1, 3)],
        "row": row,
        "column": (number - 1) % 4 + 1,
        "state": state,
        "state_changed_at": stamp(-number * 97),
        "last_known": "unknown" if locker_state == "never_seen" else "closed",
        "occupied": None if locker_state == "never_seen" else number % 3 == 0,
        "service": "out" if out else "in",
        "service_reason": "hinge is bent" if out else None,
    }


def command(locker: str, kind: str, number: int | None, *, reason: str | None = None) -> Json:
    """Return a Command whose lock was pulsed, and whose door nobody saw yet."""
    return {
        "id": str(uuid4()),
        "locker": locker,
        "kind": kind,
        "door": number,
        "actor": None,
        "reason": reason,
        "state": "succeeded",
        "detail": None,
        "outcome": None,
        "late": False,
        "accepted_at": stamp(),
        "budget_ms": 200,
        "deadline_ms": 2000,
        "stages_ms": {"published": 0.3, "received": 0.9, "started": 1.1, "pulsed": 1.6, "replied": 2.2},
    }


def event(locker: str, seq: int, kind: str, number: int | None = None, *, ago_s: float = 0, **data: object) -> Json:
    """Return an Event."""
    return {
        "locker": locker,
        "epoch": "6f1c6f2e-30b1-4d4c-9f43-0a1d6b1b7f10",
        "seq": seq,
        "kind": kind,
        "door": number,
        "occurred_at": stamp(-ago_s),
        "received_at": stamp(-ago_s),
        "clock": "synced",
        "actor": None,
        "command": None,
        "transaction": None,
        "data": data or None,
    }


def summary(detail: Json) -> Json:
    """Return the Locker of a LockerDetail."""
    return {key: value for key, value in detail.items() if key not in {"doors", "commands"}}


def summary_of(details: Iterable[Json]) -> Json:
    """Return the Summary of a fleet."""
    every = list(details)
    states = [one["state"] for one in every]
    doors: Json = {"open": 0, "closed": 0, "unknown": 0, "out_of_service": 0}
    for one in every:
        for state in doors:
            doors[state] += one["door_counts"][state]
    return {
        "lockers": {
            **{state: states.count(state) for state in ("online", "offline", "never_seen")},
            "maintenance": sum(one["maintenance"] for one in every),
        },
        "doors": doors,
        "alarms": {
            **{
                grade: sum(one["alarms"][grade] for one in every) for grade in ("critical", "high", "medium", "low")
            },
            "unacked": 0,
        },
        "as_of": stamp(),
    }


def counts(doors: list[Json]) -> Json:
    """Return the door_counts of doors."""
    states = [one["state"] for one in doors]
    return {
        "total": len(doors),
        **{state: states.count(state) for state in ("open", "closed", "unknown")},
        "out_of_service": sum(one["service"] == "out" for one in doors),
    }


def stamp(seconds_from_now: float = 0) -> str:
    """Return a time as the hub writes it."""
    at = datetime.now(UTC) + timedelta(seconds=seconds_from_now)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def problem(status: int, code: str, title: str, detail: str) -> web.Response:
    """Return a refusal as RFC 9457 wants it."""
    body = {"type": "about:blank", "status": status, "code": code, "title": title, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")
