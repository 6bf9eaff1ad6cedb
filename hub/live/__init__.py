"""Websocket viewers: a snapshot of each view, then coalesced and numbered changes (docs/api.md, Live)."""

from hub.live.broadcaster import Live
from hub.live.frames import Frame, error_frame, hello_frame, pong_frame
from hub.live.subscribers import Outlet, Viewer
from hub.live.views import Kind, Subject, Turn, View

__all__ = [
    "Frame",
    "Kind",
    "Live",
    "Outlet",
    "Subject",
    "Turn",
    "View",
    "Viewer",
    "error_frame",
    "hello_frame",
    "pong_frame",
]
