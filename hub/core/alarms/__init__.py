"""Alarms: rules, detection, the book of what is open, folding, health. See docs/alarms.md."""
