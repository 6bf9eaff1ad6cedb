"""Names of time zones: looked for once, and not by the thread that opens doors."""

import threading
from zoneinfo import available_timezones

import pytest

from hub.api.zones import TimeZones


async def test_zones_are_looked_for_once_and_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[threading.Thread] = []

    def watched() -> set[str]:
        looked.append(threading.current_thread())
        return available_timezones()

    monkeypatch.setattr("hub.api.zones.available_timezones", watched)
    zones = TimeZones()
    assert [await zones.has(name) for name in ("UTC", "Europe/Berlin", "Berlin", "", "../x")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert len(looked) == 1
    assert looked[0] is not threading.main_thread()
