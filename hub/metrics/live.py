"""Viewers of the live page, and what they are sent."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class LiveMetrics:
    """Viewers of the live page, and what they are sent."""

    def _of_live(self, r: CollectorRegistry) -> None:
        self.live_viewers = Gauge("lockerhub_live_viewers", "Websocket viewers connected.", registry=r)
        self.live_frames = Counter("lockerhub_live_frames_total", "Frames handed to viewers.", ["type"], registry=r)
        self.live_resyncs = Counter(
            "lockerhub_live_resyncs_total", "Times a viewer fell behind and got a new snapshot.", registry=r
        )
        self.live_closed = Counter("lockerhub_live_closed_total", "Viewers the hub let go.", ["reason"], registry=r)
        self.live_bytes = Counter(
            "lockerhub_live_bytes_total", "Bytes of frames written to viewers' connections.", registry=r
        )
        self.live_behind = Gauge("lockerhub_live_behind", "Viewers that have to start a view again.", registry=r)
        self.live_messages = Counter(
            "lockerhub_live_messages_total",
            "What viewers said, by what became of it: taken, refused (answered with an error), held (too much at "
            "once, so it had to wait).",
            ["result"], registry=r,
        )  # fmt: skip
        self.live_tail_lockers = Gauge(
            "lockerhub_live_tail_lockers", "Lockers whose messages somebody watches.", registry=r
        )
        self.live_tail_messages = Counter(
            "lockerhub_live_tail_messages_total", "Messages of watched lockers: shown, skipped (too many at once).",
            ["result"], registry=r,
        )  # fmt: skip
