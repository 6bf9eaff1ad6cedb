"""Links to the broker, lockers and doors, and whether this hub is the active one."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class FleetMetrics:
    """Links to the broker, lockers and doors, and whether this hub is the active one."""

    def _of_links(self, r: CollectorRegistry) -> None:
        self.active = Gauge("lockerhub_active", "1 while this hub holds the lease, 0 on a standby.", registry=r)
        self.mqtt_connected = Gauge("lockerhub_mqtt_connected", "1 while the link is up.", ["link"], registry=r)
        self.mqtt_connects = Counter(
            "lockerhub_mqtt_connects_total", "Connections made to the broker.", ["link"], registry=r
        )
        self.mqtt_refused = Counter(
            "lockerhub_mqtt_publish_refused_total", "What the broker did not take.", ["link", "reason"], registry=r
        )
        self.mqtt_unacknowledged = Gauge(
            "lockerhub_mqtt_unacknowledged", "Messages taken from the broker and not acknowledged yet.",
            ["link"], registry=r,
        )  # fmt: skip
        self.lockers = Gauge(
            "lockerhub_lockers", "Lockers by state: online, offline, never_seen.", ["state"], registry=r
        )
        for state in ("online", "offline", "never_seen"):
            self.lockers.labels(state)
        self.doors = Gauge("lockerhub_doors", "Doors by state: open, closed, unknown.", ["state"], registry=r)
