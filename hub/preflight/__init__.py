"""Checks of a configuration before the hub runs: files and keys, the database, the broker."""
