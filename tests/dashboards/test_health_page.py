import pytest
from playwright.async_api import expect

from tests.dashboards.conftest import Open
from tests.dashboards.fake_hub import FakeHub, Json, fleet, stamp

pytestmark = pytest.mark.services


def health(**more: object) -> Json:
    made: Json = {
        "version": "0.1.0",
        "hub": "b7d1",
        "started_at": stamp(-7200),
        "ready": True,
        "checks": {"database": "ok", "broker": "ok"},
        "loop_lag_ms": {"now": 0.4, "max_1min": 3.1},
        "rss_mb": 143.2,
        "cpu_ratio": 0.12,
        "rates": {"messages_in_s": 512.0, "events_s": 498.5, "readings_s": 12.0, "commands_s": 0.5},
        "queues": [{"name": "event", "depth": 12, "capacity": 50_000, "dropped": 0}],
        "links": [{"name": "ingest", "connected": True, "reconnects": 1}],
        "viewers": {"count": 3, "max": 500, "behind": 0},
        "slow_viewers": [],
        "accounts": {
            "received": 1000,
            "stored": 990,
            "duplicate": 5,
            "quarantined": 1,
            "deferred": 0,
            "dropped": 0,
            "in_flight": 4,
        },
        "upkeep": [{"task": "retention", "succeeded_at": stamp(-600), "error": None}],
        "notify": [],
    }
    return {**made, **more}


def with_health(value: Json) -> FakeHub:
    hub = fleet(3)
    hub.views["health"] = value
    return hub


async def test_a_healthy_hub_is_quiet(window: Open) -> None:
    async with with_health(health()).serve() as hub:
        page = await (await window(hub)).go("/health")
        await expect(page.get_by_text("All parts are ready.")).to_be_visible()
        await expect(page.get_by_text("Everybody keeps up.")).to_be_visible()
        await expect(page.locator("[data-tone=serious]")).to_have_count(0)
        await expect(page.locator(".health-figures")).to_contain_text("512/s")


async def test_what_is_wrong_stands_out_in_words(window: Open) -> None:
    async with with_health(health()).serve() as hub:
        page = await (await window(hub)).go("/health")
        await expect(page.get_by_text("All parts are ready.")).to_be_visible()
        bad = health(
            ready=False,
            checks={"database": "connection refused", "broker": "ok"},
            queues=[{"name": "event", "depth": 49_000, "capacity": 50_000, "dropped": 7}],
            links=[{"name": "ingest", "connected": False, "reconnects": 3}],
            slow_viewers=[{"id": 9, "queued": 32, "views": ["fleet"], "resyncs": 4}],
            upkeep=[{"task": "retention", "succeeded_at": None, "error": "lock timeout"}],
        )
        await hub.diff("health", bad)
        await expect(page.get_by_text("Not ready: database.")).to_be_visible()
        for words in ("connection refused", "7 dropped", "down", "32 frames behind", "lock timeout"):
            await expect(page.get_by_text(words).first).to_be_visible()
