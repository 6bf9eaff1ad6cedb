"""Commands: ask for one, look at one."""

from typing import Annotated, Literal
from uuid import UUID, uuid4, uuid5

import msgspec
from aiohttp import web
from msgspec import Meta

from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body, read_query
from hub.api.views import CommandView, command_of_row, command_view
from hub.config import Commands as CommandsConfig
from hub.core.commands import Entry, Order, State
from hub.dispatch import Dispatch, Refused
from hub.store.timescale import Store
from wire.messages import Args, CommandKind, Text
from wire.topics import is_locker_id

_KEYS = UUID("5e0c8a3c-6c0e-5bb5-9a7f-0a4a52a1d3f7")
"""The namespace of ids made from an Idempotency-Key: the same key is the same command, also after a restart."""
_KEY_CHARACTERS_MAX = 200


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a locker. `open` needs a door; `locate` may have one."""

    kind: Literal["open", "locate"]
    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    reason: Text | None = None
    actor: UUID | None = None
    args: Args | None = None


class CommandParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to wait for: the agent's reply (pulse), or the door's sensor (opened)."""

    wait: Literal["pulse", "opened"] | None = None


class Commands:
    """The routes of commands."""

    def __init__(self, dispatch: Dispatch, store: Store, config: CommandsConfig, wait_s_max: float) -> None:
        self._dispatch = dispatch
        self._store = store
        self._config = config
        self._wait_s_max = wait_s_max

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "POST", "/api/v1/lockers/{locker}/commands", "Command a locker", self._post,
                query=CommandParameters, body=CommandBody,
                headers={"Idempotency-Key": "The same key with the same body is the same command."},
                answers={200: CommandView, 202: CommandView},
                codes=(
                    "locker_unknown", "door_unknown", "locker_offline", "locker_clock_unknown", "door_busy",
                    "door_out_of_service", "not_json", "too_large", "bad_command", "idempotency_key_reused",
                    "rate_limited", "broker_unavailable", "hub_busy", "draining",
                ),
            ),
            Route(
                "GET", "/api/v1/commands/{command}", "One command as it stands", self._show,
                answers={200: CommandView}, codes=("command_unknown", "database_unavailable"),
            ),
        ]  # fmt: skip

    async def _post(self, request: web.Request) -> web.Response:
        locker = request.match_info["locker"]
        if not is_locker_id(locker):
            raise Problem("locker_unknown", f"{locker[:40]!r} is not a locker id: 1 to 32 of a-z, 0-9 and -.")
        wanted = read_query(request, CommandParameters)
        body = await read_body(request, CommandBody, "bad_command")
        if body.kind == CommandKind.OPEN.value and body.door is None:
            raise Problem("bad_command", "`open` needs `door`, the number of one door.")
        order = Order(locker, body.kind, body.door, body.actor, body.reason, body.args)
        result = self._dispatch.submit(_command_id(request, locker), order)
        if isinstance(result, Refused):
            raise Problem.of(result)
        entry = result.entry
        if wanted.wait is None:
            return answer(command_view(entry, self._config), 202)
        until = _pulsed if wanted.wait == "pulse" else _opened
        await self._dispatch.wait(entry, until, self._wait_s_max)
        return answer(command_view(entry, self._config), 200 if until(entry) else 202)

    async def _show(self, request: web.Request) -> web.Response:
        text = request.match_info["command"]
        try:
            command = UUID(text)
        except ValueError:
            raise Problem("command_unknown", f"{text[:40]!r} is not a command's id, which is a UUID.") from None
        entry = self._dispatch.find(command)
        if entry is not None:
            return answer(command_view(entry, self._config))
        row = await self._store.command(command)
        if row is None:
            raise Problem("command_unknown", f"There is no command {command}.")
        return answer(command_of_row(row, self._config))


def _command_id(request: web.Request, locker: str) -> UUID:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return uuid4()
    if not 1 <= len(key) <= _KEY_CHARACTERS_MAX:
        raise Problem("bad_request", f"Idempotency-Key has 1 to {_KEY_CHARACTERS_MAX} characters.")
    try:
        return uuid5(_KEYS, f"{locker}\n{key}")
    except UnicodeEncodeError:
        raise Problem("bad_request", "Idempotency-Key is not UTF-8.") from None


def _pulsed(entry: Entry) -> bool:
    return entry.settled or entry.state is State.TIMED_OUT


def _opened(entry: Entry) -> bool:
    if entry.outcome is not None:
        return True
    # Without a pulse no door opens; locate has no door to watch.
    return _pulsed(entry) and (entry.state is not State.SUCCEEDED or entry.order.kind != CommandKind.OPEN)
