"""Real services for field cases: those of tests/services."""

from tests.services.conftest import mosquitto_broker, plain_postgres

__all__ = ["mosquitto_broker", "plain_postgres"]
