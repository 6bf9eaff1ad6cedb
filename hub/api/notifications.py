"""Notifications: the channels, what became of messages, and a test."""

from typing import Final, Literal
from uuid import UUID

from aiohttp import web

from hub import clock
from hub.api.cursors import Cursor, Time
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_query
from hub.core.notify.retry import DeliveryVerdict
from hub.core.rates import TokenBucket
from hub.notify.channel import NotificationChannel
from hub.notify.notifier import Notifier
from hub.schemas.notifications import (
    ChannelList,
    ChannelView,
    NotificationPage,
    NotificationsParameters,
    NotificationView,
    TestResult,
)

_CURSOR: Final = Cursor("notifications", tuple[Time, UUID])
_TESTS_PER_MINUTE: Final = 6


def channel_views(notifier: Notifier) -> list[ChannelView]:
    """Show the channels."""
    return [_shown(notifier, channel) for channel in notifier.channels()]


class NotificationRoutes:
    """The routes of notifications."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._tests = TokenBucket(_TESTS_PER_MINUTE, _TESTS_PER_MINUTE)

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/v1/notifications"
        return [
            Route(
                "GET", path, "Messages, newest first", self._list,
                query=NotificationsParameters, answers={200: NotificationPage}, codes=("database_unavailable",),
            ),
            Route(
                "GET", f"{path}/channels", "Who is told of alarms", self._channels, answers={200: ChannelList},
            ),
            Route(
                "POST", f"{path}/channels/{{channel}}/test", "Send a test over a channel now", self._test,
                answers={200: TestResult}, codes=("channel_unknown", "too_many_tests"),
            ),
        ]  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, NotificationsParameters)
        rows = await self._notifier.page(
            channel=wanted.channel,
            before=_CURSOR.read(wanted.cursor),
            limit=wanted.limit + 1,
        )
        page = rows[: wanted.limit]
        following = _CURSOR.write((page[-1]["at"], page[-1]["id"])) if len(rows) > len(page) else None
        return answer(NotificationPage([NotificationView(**row) for row in page], following))

    async def _channels(self, _: web.Request) -> web.Response:
        return answer(ChannelList(channel_views(self._notifier)))

    async def _test(self, request: web.Request) -> web.Response:
        name = request.match_info["channel"]
        if name not in self._notifier.settings:
            known = ", ".join(self._notifier.settings) or "none is configured"
            raise Problem("channel_unknown", f"There is no channel {name[:40]!r}; known: {known}.")
        wait_ms = self._tests.take(clock.now_ms())
        if wait_ms:
            raise Problem(
                "too_many_tests", f"{_TESTS_PER_MINUTE} in a minute are the limit.", retry_after_s=wait_ms / 1000
            )
        outcome = await self._notifier.test(name)
        return answer(TestResult(outcome.verdict is DeliveryVerdict.SENT, outcome.detail))


def _shown(notifier: Notifier, channel: NotificationChannel) -> ChannelView:
    settings = notifier.settings[channel.name]
    kind: Literal["email", "webhook"] = "email" if settings.__struct_config__.tag == "email" else "webhook"
    return ChannelView(
        name=channel.name,
        kind=kind,
        to=channel.sender.to,
        severities=list(settings.severities),
        sites=list(settings.sites),
        queue=channel.queued,
        last_ok_at=channel.stand.ok_at,
        last_error=channel.stand.error,
        last_error_at=channel.stand.error_at,
    )
