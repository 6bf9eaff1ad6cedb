"""Websocket viewers: a snapshot of each view, then coalesced and numbered changes (docs/api.md, Live)."""

from hub.live.broadcaster import Broadcaster
from hub.live.frames import LiveFrame, error_frame, hello_frame, pong_frame
from hub.live.subscribers import Outlet, Viewer
from hub.live.views import Changes, Topic, TopicScope, View

__all__ = [
    "Broadcaster",
    "Changes",
    "LiveFrame",
    "Outlet",
    "Topic",
    "TopicScope",
    "View",
    "Viewer",
    "error_frame",
    "hello_frame",
    "pong_frame",
]
