"""What operators change of lockers and doors, and a locker's label."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hub import clock
from hub.api.auth import operator_of
from hub.api.label import label_svg
from hub.api.lockers import LockerRoutes, find_locker
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body, read_query
from hub.config.settings import HttpSettings
from hub.core.fleet import Fleet, Locker
from hub.core.printable import composed, unprintable
from hub.ingest.registry_sync import RegistrySync
from hub.operators import Role
from hub.schemas.fleet import DoorView, LockerDetail, door_view
from hub.store.database import Database
from hub.store.people import By
from hub.store.registry import (
    CHARACTERS_MAX,
    REASON_CHARACTERS_MAX,
    TAG_CHARACTERS_MAX,
    TAGS_MAX,
    LockerChange,
    change_locker,
    disable_locker,
    in_use,
    remove_locker,
    set_service,
)

_BODY: Final = ("not_json", "too_large", "database_unavailable")
_NUMBER: Final = re.compile(r"[0-9]{1,3}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


Tag = Annotated[str, Meta(min_length=1, max_length=TAG_CHARACTERS_MAX)]


class LockerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be another way of a locker; what is left out stays."""

    name: Annotated[str, Meta(min_length=1, max_length=CHARACTERS_MAX["name"])] | UnsetType = UNSET
    site: Annotated[str, Meta(max_length=CHARACTERS_MAX["site"])] | UnsetType = UNSET
    address: Annotated[str, Meta(max_length=CHARACTERS_MAX["address"])] | UnsetType = UNSET
    serial: Annotated[str, Meta(max_length=CHARACTERS_MAX["serial"])] | UnsetType = UNSET
    tags: Annotated[list[Tag], Meta(max_length=TAGS_MAX)] | UnsetType = UNSET


class ServiceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a door is in service; and if not, why."""

    service: Literal["in", "out"]
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] | None = None


class DisableBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why nothing is to be taken from a locker and sent to it."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]


class RemoveParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The locker's id once more, so that a wrong address removes nothing."""

    confirm: Annotated[str, Meta(max_length=32)]


@dataclass(frozen=True, slots=True)
class RemovedView:
    """A locker that left the registry, and how many durable commands ended with that."""

    id: str
    commands_ended: int


class RegistryRoutes:
    """The routes that change the registry, and the label."""

    def __init__(
        self, fleet: Fleet, store: Database, registry: RegistrySync, lockers: LockerRoutes, config: HttpSettings
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._registry = registry
        self._lockers = lockers
        self._public_url = config.public_url

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/v1/lockers/{locker}"
        return [
            Route(
                "PATCH", one, "Change what the registry says of a locker", self._change,
                body=LockerBody, answers={200: LockerDetail}, codes=("locker_unknown", *_BODY), role=Role.ADMIN,
            ),
            Route(
                "POST", f"{one}/disable", "Take nothing of a locker and send it nothing, until it is enabled",
                self._disable,
                body=DisableBody, answers={200: LockerDetail}, codes=("locker_unknown", *_BODY), role=Role.ADMIN,
            ),
            Route(
                "POST", f"{one}/enable", "Use a disabled locker again", self._enable,
                answers={200: LockerDetail}, codes=("locker_unknown", "database_unavailable"), role=Role.ADMIN,
            ),
            Route(
                "DELETE", one, "Take a locker out of the registry for good; its history stays", self._remove,
                query=RemoveParameters, answers={200: RemovedView},
                codes=("locker_unknown", "locker_in_use", "database_unavailable"), role=Role.ADMIN,
            ),
            Route(
                "PUT", f"{one}/doors/{{door}}/service", "Take a door out of service, or back into it",
                self._set_service,
                body=ServiceBody, answers={200: DoorView}, codes=("locker_unknown", "door_unknown", *_BODY),
            ),
            Route(
                "GET", f"{one}/label.svg", "A QR code of the locker's page, to print", self._label,
                answers={200: None}, codes=("locker_unknown",),
            ),
        ]  # fmt: skip

    async def _change(self, request: web.Request) -> web.Response:
        locker = find_locker(self._fleet, request)
        body = await read_body(request, LockerBody)
        given = {
            name: value for name in LockerBody.__struct_fields__ if (value := getattr(body, name)) is not UNSET
        }
        if not given:
            raise Problem("bad_request", f"The body names none of {', '.join(LockerBody.__struct_fields__)}.")
        change = LockerChange(**{name: _clean(name, value) for name, value in given.items()})
        if change.name == "":
            raise Problem("bad_request", "The body: name is empty - at `$.name`.")
        if not await change_locker(self._store, locker.spec.id, change, _by(request)):
            raise Problem("locker_unknown", f"{locker.spec.id} has just left the registry.")
        await self._registry.refresh()
        return answer(await self._lockers.detail(find_locker(self._fleet, request)))

    async def _disable(self, request: web.Request) -> web.Response:
        locker = find_locker(self._fleet, request)
        why = _clean("reason", (await read_body(request, DisableBody)).reason)
        if not why:
            raise Problem("bad_request", "The body: a locker is disabled for a `reason`; there is none.")
        return await self._set_disabled(request, locker, why)

    async def _enable(self, request: web.Request) -> web.Response:
        return await self._set_disabled(request, find_locker(self._fleet, request), None)

    async def _set_disabled(self, request: web.Request, locker: Locker, why: str | None) -> web.Response:
        if not await disable_locker(self._store, locker.spec.id, why, _by(request)):
            raise Problem("locker_unknown", f"{locker.spec.id} has just left the registry.")
        await self._registry.refresh()
        return answer(await self._lockers.detail(find_locker(self._fleet, request)))

    async def _remove(self, request: web.Request) -> web.Response:
        locker = find_locker(self._fleet, request).spec.id
        if read_query(request, RemoveParameters).confirm != locker:
            raise Problem("bad_request", f"Query parameter: confirm is not the locker's id, {locker!r}.")
        removed = await remove_locker(self._store, locker, _by(request))
        if removed is None:
            raise Problem("locker_unknown", f"{locker} has just left the registry.")
        if removed.transactions_open:
            raise Problem("locker_in_use", in_use(locker, removed.transactions_open))
        await self._registry.refresh()
        return answer(RemovedView(locker, removed.commands_ended))

    async def _set_service(self, request: web.Request) -> web.Response:
        locker = find_locker(self._fleet, request)
        number = self._door(locker, request.match_info["door"]).number
        body = await read_body(request, ServiceBody)
        reason = _clean("reason", body.reason or "") or None
        if body.service == "out" and reason is None:
            raise Problem("bad_request", "The body: a door goes out of service for a `reason`; there is none.")
        wanted = reason if body.service == "out" else None
        if not await set_service(self._store, locker.spec.id, number, wanted, _by(request)):
            raise Problem("door_unknown", f"Door {number} of {locker.spec.id} has just left the registry.")
        await self._registry.refresh()
        return answer(self._door(find_locker(self._fleet, request), str(number)))

    def _door(self, locker: Locker, text: str) -> DoorView:
        door = locker.doors.get(int(text)) if _NUMBER.fullmatch(text) else None
        if door is None:
            raise Problem("door_unknown", f"{locker.spec.id} has no door {text[:20]!r}.")
        return door_view(locker, door)

    async def _label(self, request: web.Request) -> web.Response:
        spec = find_locker(self._fleet, request).spec
        base = self._public_url
        if base is None:
            if not _HOST.fullmatch(request.host):
                raise Problem(
                    "bad_request", "The Host header is no name; http.public_url says what labels point to."
                )
            base = f"{request.scheme}://{request.host}"
        return web.Response(
            body=label_svg(f"{base.rstrip('/')}/lockers/{spec.id}", f"{spec.name} ({spec.id})"),
            content_type="image/svg+xml",
            headers={
                "Cache-Control": "no-cache",
                "Content-Security-Policy": "default-src 'none'",
                "X-Content-Type-Options": "nosniff",
            },
        )


def _by(request: web.Request) -> By:
    return By(operator_of(request), clock.wall())


def _clean(name: str, value: Any) -> Any:  # noqa: ANN401 - a text, or a list of texts
    if isinstance(value, list):
        return list(dict.fromkeys(text for text in (_clean(name, one) for one in value) if text))
    found = unprintable(value)
    if found is not None:
        raise Problem("bad_request", f"The body: {name} has {found}; anything that can be printed is fine.")
    return composed(value.strip())
