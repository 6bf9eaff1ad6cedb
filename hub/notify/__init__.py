"""Telling people of alarms outside the page: channels, each with a queue and a task of its own."""
