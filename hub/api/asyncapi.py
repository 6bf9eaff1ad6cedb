"""The AsyncAPI 3.0 document of the live protocol, generated from the types that viewers are sent."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec
import orjson

from hub.api.socket import ViewerMessage
from hub.live.frames import PROTOCOL
from hub.mqtt.tap import TappedMessage
from hub.operators import Role
from hub.schemas.alarms import AlarmView, HealthView
from hub.schemas.fleet import CommandView, DoorView, EventView, LockerDetail, LockerView
from hub.schemas.health import HubHealthView
from hub.schemas.jobs import JobView

_LOCKER: Final = "[a-z0-9-]{1,32}"
_REF: Final = "#/components/schemas/"


@dataclass(frozen=True)
class LockerFigures:
    """Lockers by state; `maintenance` counts some of them once more."""

    online: int
    offline: int
    never_seen: int
    maintenance: int


@dataclass(frozen=True)
class DoorFigures:
    """Doors by state; `out_of_service` counts some of them once more."""

    open: int
    closed: int
    unknown: int
    out_of_service: int


@dataclass(frozen=True)
class AlarmFigures:
    """Open alarms that people are to see."""

    critical: int
    high: int
    medium: int
    low: int
    unacked: int


@dataclass(frozen=True)
class SummaryFrame:
    """The fleet in figures."""

    lockers: LockerFigures
    doors: DoorFigures
    alarms: AlarmFigures
    as_of: datetime


@dataclass(frozen=True)
class LockerChangeFrame:
    """Fields of a locker that differ from what was sent last; all of them of one that is new."""


@dataclass(frozen=True)
class LockersNow:
    """Lockers, whole."""

    lockers: list[LockerView]


@dataclass(frozen=True)
class LockersChange:
    """Lockers that changed, by id, and those that are here no more."""

    lockers: list[tuple[str, LockerChangeFrame]]
    removed: list[str]


class LockerDetailChange(TypedDict, total=False):
    """What changed of a locker: fields of it; doors and commands whole."""

    locker: LockerChangeFrame
    doors: list[DoorView]
    commands: list[CommandView]


@dataclass(frozen=True)
class EventsNow:
    """Events, newest first."""

    events: list[EventView]


@dataclass(frozen=True)
class EventsChange:
    """New events, newest first; `skipped` were left out, as too many came at once."""

    events: list[EventView]
    skipped: int


@dataclass(frozen=True)
class AlarmHealthFrame:
    """How the alarms themselves are."""


@dataclass(frozen=True)
class AlarmsNow:
    """Open alarms, newest raised first, and how many there are."""

    alarms: list[AlarmView]
    total: int
    health: AlarmHealthFrame


class AlarmsChange(TypedDict):
    """Alarms that changed, whole, and those that closed; `health` only when it differs."""

    alarms: list[AlarmView]
    closed: list[UUID]
    total: int
    health: NotRequired[AlarmHealthFrame]


@dataclass(frozen=True)
class Orders:
    """Commands, newest first; in a diff those that changed, whole."""

    commands: list[CommandView]


@dataclass(frozen=True)
class JobNow(JobView):
    """A job and its targets by state."""

    counts: dict[str, int]


@dataclass(frozen=True)
class JobsNow:
    """Jobs, newest first; in a diff those that changed, whole."""

    jobs: list[JobNow]


@dataclass(frozen=True)
class TailNow:
    """The newest messages, oldest first."""

    messages: list[TappedMessage]


@dataclass(frozen=True)
class TailChange:
    """New messages, oldest first; `skipped` were left out, as too many came at once."""

    messages: list[TappedMessage]
    skipped: int


@dataclass(frozen=True)
class Hello:
    """The first frame of a connection."""

    type: Literal["hello"]
    protocol: Literal[2]
    version: str
    hub: str
    now: datetime
    role: Role


@dataclass(frozen=True)
class Pong:
    """The answer to a viewer's ping."""

    type: Literal["pong"]
    now: datetime


@dataclass(frozen=True)
class Resync:
    """The viewer fell behind in this view; a snapshot follows."""

    type: Literal["resync"]
    view: str


@dataclass(frozen=True)
class ErrorFrame:
    """What a viewer said was not done; the connection lives on. `view`: of the message, if it named one."""

    type: Literal["error"]
    code: Literal["view_unknown", "locker_unknown", "site_unknown", "too_many_views", "role_needed", "bad_message"]
    detail: str
    view: str | None


VIEWS: Final[dict[str, tuple[str, Any, Any]]] = {
    "summary": ("summary", SummaryFrame, SummaryFrame),
    "fleet": ("fleet", LockersNow, LockersChange),
    "site": ("site:.+", LockersNow, LockersChange),
    "locker": (f"locker:{_LOCKER}", LockerDetail, LockerDetailChange),
    "events": (f"events(:{_LOCKER})?", EventsNow, EventsChange),
    "alarms": (f"alarms(:{_LOCKER})?", AlarmsNow, AlarmsChange),
    "commands": ("commands", Orders, Orders),
    "jobs": ("jobs", JobsNow, JobsNow),
    "health": ("health", HubHealthView, HubHealthView),
    "tail": (f"tail:{_LOCKER}", TailNow, TailChange),
}
"""Each kind of views: what its names look like, its snapshot, its diff."""


def live_document(version: str) -> bytes:
    """Return the document as JSON."""
    others: dict[str, Any] = {"hello": Hello, "pong": Pong, "resync": Resync, "error": ErrorFrame}
    types = [one for _, snapshot, diff in VIEWS.values() for one in (snapshot, diff)]
    unique = list(dict.fromkeys([*types, *others.values(), ViewerMessage, HealthView]))
    refs, components = msgspec.json.schema_components(unique, ref_template=_REF + "{name}")
    ref_of = dict(zip(unique, refs, strict=True))
    whole = components["LockerView"]
    components["LockerChangeFrame"] |= {"properties": whole["properties"], "required": []}
    _leave_out(components, "HealthView", "history", as_name="AlarmHealthFrame")
    messages = {name: {"payload": ref_of[kind]} for name, kind in others.items()}
    for name, (pattern, snapshot, diff) in VIEWS.items():
        for kind, data in (("snapshot", snapshot), ("diff", diff)):
            messages[f"{name}_{kind}"] = {"payload": _data_frame(kind, pattern, ref_of[data])}
    said = {"viewer": {"payload": ref_of[ViewerMessage]}}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lockerhub, live",
            "version": version,
            "description": f"Protocol {PROTOCOL}: websocket text frames, each one JSON object. See docs/api.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "live": {
                "address": "/live",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (*messages, *said)},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "tell": _operation("send", messages, "What the hub tells a viewer."),
            "ask": _operation("receive", said, "What a viewer may say."),
        },
        "components": {"messages": messages | said, "schemas": components},
    }
    return orjson.dumps(_draft_7(document), option=orjson.OPT_INDENT_2)


def _operation(action: str, messages: dict[str, Any], summary: str) -> dict[str, Any]:
    channel = "#/channels/live"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
    }


def _data_frame(kind: str, pattern: str, data: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "type": {"const": kind},
        "view": {"type": "string", "pattern": f"^{pattern}$"},
        "seq": {"type": "integer", "minimum": 0},
        "at": {"type": "string", "format": "date-time"},
        "data": data,
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _leave_out(components: dict[str, Any], name: str, field: str, *, as_name: str) -> None:
    whole = components.pop(name)
    components[as_name] |= {
        "properties": {key: value for key, value in whole["properties"].items() if key != field},
        "required": [key for key in whole["required"] if key != field],
    }
    left = re.findall(re.escape(_REF) + r'(\w+)"', orjson.dumps(components).decode())
    for unused in components.keys() & _names(whole["properties"][field]) - set(left):
        del components[unused]


def _names(schema: Any) -> set[str]:  # noqa: ANN401 - any JSON
    return set(re.findall(re.escape(_REF) + r'(\w+)"', orjson.dumps(schema).decode()))


def _draft_7(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Write tuples as the JSON Schema of AsyncAPI has them, which is older than that of msgspec."""
    if isinstance(schema, list):
        return [_draft_7(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "prefixItems" in schema:
        schema = {**schema, "items": schema["prefixItems"], "additionalItems": False}
        del schema["prefixItems"]
    return {name: _draft_7(one) for name, one in schema.items()}
