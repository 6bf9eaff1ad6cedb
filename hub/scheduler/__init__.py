"""Periodic tasks: each on one hub at a time, recorded in the database, with an alert when late."""
