"""Request and response types of notifications: channels, messages, a test."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta


class NotificationsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of the list of messages."""

    channel: Annotated[str, Meta(max_length=32)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel. Empty lists mean all of them; `to` has no secret in it."""

    name: str
    kind: Literal["email", "webhook"]
    to: str
    severities: list[str]
    sites: list[str]
    queue: int
    last_ok_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChannelList:
    """All channels, as configured."""

    items: list[ChannelView]


@dataclass(frozen=True, slots=True)
class TestResult:
    """Result of a test."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A message. `alarm` is null of a digest and of a test; `error` is what its newest try came to."""

    id: UUID
    at: datetime
    channel: str
    alarm: UUID | None
    transition: Literal["raised", "cleared", "acked", "digest", "test"]
    state: Literal["waiting", "sent", "failed", "dropped"]
    tries: int
    error: str | None


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """Messages, newest first, and where to go on."""

    items: list[NotificationView]
    next_cursor: str | None
