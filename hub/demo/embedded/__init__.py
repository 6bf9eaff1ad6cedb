"""A PostgreSQL and an MQTT broker that live inside `hub demo`; nothing here is for production."""

from hub.demo.embedded.broker import EmbeddedBroker
from hub.demo.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedBroker", "EmbeddedPostgres"]
