"""Ingest: what lockers send, from the MQTT message to the stored row and the receipt."""
