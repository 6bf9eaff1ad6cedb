"""Every Prometheus metric of the hub: name, labels, help. The only room that imports the client library."""

from hub.metrics.registry import Metrics

__all__ = ["Metrics"]
