"""Commands: ask for one, look at one, list them, cancel one."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.api.auth import operator_of
from hub.api.cursors import Cursor, Time
from hub.api.problems import Problem
from hub.api.routes import Route, answer, id_of_key, read_body, read_query
from hub.commands.result import KEY_REUSED, Refused
from hub.commands.service import CommandService
from hub.config.settings import CommandSettings
from hub.core.commands import CommandClass, CommandRecord, CommandStatus, Order
from hub.schemas.fleet import CommandPage, CommandView, command_of_row, command_view
from hub.store.commands import CommandsQuery
from wire.errors import WireError
from wire.messages import DURABLE_KINDS, Args, CommandKind, Text, data_bytes
from wire.refusals import AgentRefusal
from wire.topics import is_locker_id

_CURSOR: Final = Cursor("commands", tuple[Time, UUID])
_KEYS = UUID("5e0c8a3c-6c0e-5bb5-9a7f-0a4a52a1d3f7")
"""The namespace of ids made from an Idempotency-Key: the same operator's same key for the same locker is the same
command, also after a restart."""
_EXPIRES_S = 86_400.0
_EXPIRES_S_MAX = 30 * 86_400
_EVER = datetime.fromtimestamp(0).astimezone()


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a locker. `open` needs a door; `locate` may have one; `configure` needs `args`.

    `expires_s` is for what is kept for a locker that is away (`configure`, `restart`): a day if it is not given.
    """

    kind: Literal["open", "locate", "configure", "restart"]
    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    reason: Text | None = None
    actor: UUID | None = None
    args: Args | None = None
    expires_s: Annotated[float, Meta(ge=1, le=_EXPIRES_S_MAX)] | None = None


class CommandParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to wait for: the agent's last word (pulse), or the door's sensor (opened)."""

    wait: Literal["pulse", "opened"] | None = None


class CommandsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which commands: of a locker, in a state, of a class, accepted since a time (RFC 3339)."""

    locker: Annotated[str, Meta(max_length=32)] | None = None
    state: CommandStatus | None = None
    command_class: CommandClass | None = msgspec.field(default=None, name="class")
    since: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class CommandRoutes:
    """The routes of commands."""

    def __init__(self, command_service: CommandService, config: CommandSettings, wait_s_max: float) -> None:
        self._instant = command_service.instant
        self._durable = command_service.durable
        self._store = command_service.store
        self._config = config
        self._wait_s_max = wait_s_max

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "POST", "/api/v1/lockers/{locker}/commands", "Command a locker", self._post,
                query=CommandParameters, body=CommandBody,
                headers={"Idempotency-Key": "The same operator's same key with the same body is the same command."},
                answers={200: CommandView, 202: CommandView},
                codes=(
                    "locker_unknown", "door_unknown", "locker_disabled", "locker_offline", "locker_clock_unknown",
                    "locker_queue_full", "door_busy", "door_out_of_service", "too_late", "not_json", "too_large",
                    "bad_command",
                    "idempotency_key_reused", "rate_limited", "broker_unavailable", "database_unavailable",
                    "hub_busy", "draining",
                ),
            ),
            Route(
                "GET", "/api/v1/commands", "Commands, newest first", self._list,
                query=CommandsParameters, answers={200: CommandPage}, codes=("database_unavailable",),
            ),
            Route(
                "GET", "/api/v1/commands/{command}", "One command as it stands", self._show,
                answers={200: CommandView}, codes=("command_unknown", "database_unavailable"),
            ),
            Route(
                "POST", "/api/v1/commands/{command}/cancel", "Ask that a command is never begun", self._cancel,
                answers={200: CommandView, 202: CommandView},
                codes=(
                    "command_unknown", "already_settled", "not_cancellable", "too_late", "locker_clock_unknown",
                    "broker_unavailable", "database_unavailable",
                ),
            ),
        ]  # fmt: skip

    async def _post(self, request: web.Request) -> web.Response:
        asked_ms = clock.now_ms()
        locker = request.match_info["locker"]
        if not is_locker_id(locker):
            raise Problem("locker_unknown", f"{locker[:40]!r} is not a locker id: 1 to 32 of a-z, 0-9 and -.")
        wanted = read_query(request, CommandParameters)
        body = await read_body(request, CommandBody, "bad_command")
        _check(body)
        operator = operator_of(request)
        command = id_of_key(request, _KEYS, operator, locker)
        order = Order(locker, body.kind, body.door, body.actor, body.reason, body.args, operator)
        if body.kind in DURABLE_KINDS:
            result = await self._durable.submit(command, order, body.expires_s or _EXPIRES_S)
        else:
            result = self._instant.submit(command, order, asked_ms=asked_ms)
        if isinstance(result, Refused):
            raise Problem.of(result)
        entry = result.entry
        if wanted.wait is None:
            return answer(command_view(entry, self._config), 202)
        until = _pulsed if wanted.wait == "pulse" else _opened
        await self._instant.wait(entry, until, self._wait_s_max)
        if entry.state is CommandStatus.REJECTED and entry.detail == AgentRefusal.ID_REUSED:
            # This hub had lost the row of the first one; its locker has not.
            raise Problem.of(KEY_REUSED)
        return answer(command_view(entry, self._config), 200 if until(entry) else 202)

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, CommandsParameters)
        rows = await self._store.page(
            CommandsQuery(
                since=wanted.since or _EVER,
                limit=wanted.limit + 1,
                locker=wanted.locker,
                state=wanted.state,
                command_class=wanted.command_class,
                after=_CURSOR.read(wanted.cursor),
            )
        )
        page = rows[: wanted.limit]
        more = len(rows) > len(page)
        after = _CURSOR.write((page[-1]["accepted_at"], page[-1]["id"])) if more else None
        return answer(CommandPage([command_of_row(row, self._config) for row in page], after))

    async def _show(self, request: web.Request) -> web.Response:
        command = _read_id(request)
        entry = self._instant.find(command)
        if entry is not None:
            return answer(command_view(entry, self._config))
        row = await self._store.find(command)
        if row is None:
            raise _unknown(command)
        return answer(command_of_row(row, self._config))

    async def _cancel(self, request: web.Request) -> web.Response:
        command = _read_id(request)
        known = self._instant.find(command)
        if known is not None and known.command_class is CommandClass.INSTANT:
            result = self._instant.cancel(known)
        else:
            kept = await self._durable.cancel(command)
            if kept is None:
                raise _unknown(command)
            result = kept
        if isinstance(result, Refused):
            raise Problem.of(result)
        entry = result.entry
        return answer(command_view(entry, self._config), 200 if entry.settled else 202)


def _check(body: CommandBody) -> None:
    durable = body.kind in DURABLE_KINDS
    if body.kind == CommandKind.OPEN.value and body.door is None:
        raise Problem("bad_command", "`open` needs `door`, the number of one door.")
    if body.kind == CommandKind.CONFIGURE.value and not body.args:
        raise Problem("bad_command", "`configure` needs `args`, the settings by name.")
    if durable and body.door is not None:
        raise Problem("bad_command", f"`{body.kind}` is for the whole locker: leave `door` out.")
    if not durable and body.expires_s is not None:
        raise Problem("bad_command", f"`{body.kind}` is never kept for later: leave `expires_s` out.")
    if body.args is not None:
        try:
            data_bytes(body.args, where="$.args")
        except WireError as error:
            raise Problem("bad_command", f"The body: {error.detail}.") from None


def _read_id(request: web.Request) -> UUID:
    text = request.match_info["command"]
    try:
        return UUID(text)
    except ValueError:
        raise Problem("command_unknown", f"{text[:40]!r} is not a command's id, which is a UUID.") from None


def _unknown(command: UUID) -> Problem:
    return Problem("command_unknown", f"There is no command {command}.")


def _pulsed(entry: CommandRecord) -> bool:
    return entry.settled or entry.state is CommandStatus.TIMED_OUT


def _opened(entry: CommandRecord) -> bool:
    if entry.outcome is not None:
        return True
    # Without a pulse no door opens; what is no opening has no door to watch.
    return _pulsed(entry) and (entry.state is not CommandStatus.SUCCEEDED or entry.order.kind != CommandKind.OPEN)
