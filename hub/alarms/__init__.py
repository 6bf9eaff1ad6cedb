"""Alarms at work: fed by the hub, written to the database, acted on by people. What they are: hub/core/alarms."""
