"""Each kind of views, with real parts behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from hub.config.settings import CommandSettings
from hub.core.alarms.health import AlarmFlood
from hub.core.commands import CommandRecord, CommandStatus, Order
from hub.ingest.registry_sync import grid
from hub.live.feeds import COMMANDS_SHOWN
from hub.schemas.alarms import AlarmView, HealthView, health_view
from hub.schemas.fleet import CommandView, command_view
from tests.hub.api.serving import Served, locker, served
from tests.hub.live.watching import AT, FLEET, QUICK, Watch, come_online, until
from wire.messages import Event


@asynccontextmanager
async def watching(hub: Served, *views: str) -> AsyncIterator[tuple[Watch, list[Any]]]:
    """Somebody who has these views, and their snapshots' data."""
    async with hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        data = []
        for view in views:
            await watch.say("subscribe", view)
            data.append((await watch.until("snapshot", view))["data"])
        yield watch, data


async def test_the_summary_counts_and_is_told_only_when_a_figure_changes(tmp_path: Path) -> None:
    async with (
        served(tmp_path, lockers=FLEET, live=QUICK) as hub,
        watching(hub, "summary", "fleet") as (watch, (before, _)),
    ):
        assert before["lockers"] == {"online": 0, "offline": 0, "never_seen": 2, "maintenance": 0}
        assert before["doors"] == {"open": 0, "closed": 0, "unknown": 6, "out_of_service": 0}
        come_online(hub, "berlin-01")
        hub.fleet.event("berlin-01", Event(t=1, at=1, kind="door.opened", door=2), at=AT)
        data = (await watch.until("diff", "summary"))["data"]
        assert data["lockers"] == {"online": 1, "offline": 0, "never_seen": 1, "maintenance": 0}
        assert data["doors"] == {"open": 1, "closed": 0, "unknown": 5, "out_of_service": 0}
        # A locker that says the same again changes its row, and no figure.
        hub.fleet.heard("berlin-01", now_ms=2e7, at=AT + timedelta(seconds=30))
        hub.live.wake()
        while (frame := await watch.next())["view"] != "fleet" or "last_seen_at" not in dict(
            frame["data"]["lockers"]
        )["berlin-01"]:
            assert frame["view"] == "fleet"
        doors = grid(3)
        hub.fleet.load([locker("berlin-01", doors=(replace(doors[0], in_service=False), *doors[1:]))])
        hub.fleet.mark("berlin-01", alarms=(1, 0, 2, 0), maintenance=True)
        hub.live.wake()
        data = (await watch.until("diff", "summary"))["data"]
        assert data["lockers"] == {"online": 1, "offline": 0, "never_seen": 0, "maintenance": 1}
        assert data["doors"] == {"open": 1, "closed": 0, "unknown": 2, "out_of_service": 1}
        assert data["alarms"] == {"critical": 1, "high": 0, "medium": 2, "low": 0, "unacked": 0}


async def test_a_site_shows_its_lockers_and_who_moves(tmp_path: Path) -> None:
    sites = [locker("a-1", "Aachen"), locker("b-1", "Bonn: Mitte")]
    async with (
        served(tmp_path, lockers=sites, live=QUICK) as hub,
        watching(hub, "site:Aachen", "site:Bonn: Mitte") as (watch, (aachen, bonn)),
    ):
        assert [[one["id"] for one in data["lockers"]] for data in (aachen, bonn)] == [["a-1"], ["b-1"]]
        come_online(hub, "b-1")
        frame = await watch.next()
        assert (frame["view"], [name for name, _ in frame["data"]["lockers"]]) == ("site:Bonn: Mitte", ["b-1"])
        hub.fleet.load([locker("a-1", "Bonn: Mitte"), sites[1]])
        hub.live.wake()
        told = {frame["view"]: frame["data"] for frame in [await watch.next(), await watch.next()]}
        assert told["site:Aachen"] == {"lockers": [], "removed": ["a-1"]}
        ((name, fields),) = told["site:Bonn: Mitte"]["lockers"]
        assert (name, fields["name"], fields["id"]) == ("a-1", "A-1", "a-1"), "it is new here, so it comes whole"


async def test_the_newest_commands_of_all_are_those_of_before_and_of_now(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub:
        entries = [entry(number) for number in range(1, 4)]
        stored: list[CommandView] = [command_view(entry(number), CommandSettings()) for number in (2, 1, 0)]

        async def load(limit: int) -> list[CommandView]:
            assert limit == COMMANDS_SHOWN
            return stored

        hub.live.load_commands_with(load)
        entries[1].state = CommandStatus.SUCCEEDED
        for one in entries[1:]:
            hub.live.command(one)
        async with watching(hub, "commands") as (watch, (data,)):
            shown = [(UUID(one["id"]).int, one["state"]) for one in data["commands"]]
            assert shown == [(3, "sent"), (2, "succeeded"), (1, "sent"), (0, "sent")]
            entries[2].state = CommandStatus.FAILED
            hub.live.command(entries[2])
            changed = (await watch.until("diff"))["data"]["commands"]
            assert [(UUID(one["id"]).int, one["state"]) for one in changed] == [(3, "failed")]


def entry(number: int) -> CommandRecord:
    return CommandRecord(
        UUID(int=number), Order("berlin-01", "open", 2), AT + timedelta(seconds=number), 0.0, 2000.0
    )


class Alarms:
    """Open alarms, as the real ones are shown."""

    def __init__(self) -> None:
        self.open: dict[UUID, AlarmView] = {}
        self.changed: set[UUID] = set()
        self.closed: set[UUID] = set()

    def put(self, number: int, name: str | None, **fields: object) -> AlarmView:
        alarm = AlarmView(
            id=UUID(int=number), type="door.forced", severity="critical", tenant="default", site="Testville",
            locker=name, door=None if name is None else 3, state="active_unacked", began_at=AT, raised_at=AT,
            cleared_at=None, last_at=AT, count=1, value=None, limit=None, unit=None, acked_at=None, acked_by=None,
            ack_note=None, shelved=None, suppressed=None, parent=None, children=0, chattering=False, stale=False,
            rule="door.forced", what="<b>Door 3</b> was forced open", where="", consequence="", todo="",
        )  # fmt: skip
        self.open[alarm.id] = alarm = replace(alarm, **fields)  # type: ignore[arg-type]
        self.changed.add(alarm.id)
        return alarm

    def close(self, number: int) -> None:
        del self.open[UUID(int=number)]
        self.closed.add(UUID(int=number))

    def open_views(self, locker: str | None = None) -> list[AlarmView]:
        return [alarm for alarm in self.open.values() if locker in {None, alarm.locker}]

    def view(self, alarm_id: UUID) -> AlarmView | None:
        return self.open.get(alarm_id)

    def take_changes(self) -> tuple[set[UUID], set[UUID]]:
        taken = self.changed, self.closed
        self.changed, self.closed = set(), set()
        return taken

    def health_view(self) -> HealthView:
        empty = health_view(AlarmFlood(), [], datetime.now(UTC))
        unacked = sum(alarm.state == "active_unacked" for alarm in self.open.values())
        return replace(
            empty, by_severity={**empty.by_severity, "critical": len(self.open)}, unacked=unacked, history=[]
        )


async def test_alarms_of_all_and_of_one(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub:
        alarms = Alarms()
        alarms.put(1, "berlin-01")
        hub.live.show_alarms(alarms)
        async with watching(hub, "summary", "alarms", "alarms:paris-02") as (watch, (summary, fleet, paris)):
            assert summary["alarms"] == {"critical": 1, "high": 0, "medium": 0, "low": 0, "unacked": 1}
            assert (fleet["total"], paris["total"], paris["alarms"]) == (1, 0, [])
            assert "history" not in fleet["health"]
            alarms.put(2, "paris-02")
            alarms.put(1, "berlin-01", state="active_acked", acked_by="anna")
            hub.live.wake()
            data = (await watch.until("diff", "alarms"))["data"]
            assert {(one["id"], one["state"]) for one in data["alarms"]} == {
                (str(UUID(int=1)), "active_acked"), (str(UUID(int=2)), "active_unacked"),
            }  # fmt: skip
            assert (data["total"], data["closed"], data["health"]["unacked"]) == (2, [], 1)
            data = (await watch.until("diff", "alarms:paris-02"))["data"]
            assert ([one["locker"] for one in data["alarms"]], data["total"]) == (["paris-02"], 1)
            alarms.close(1)
            hub.live.wake()
            assert (await watch.until("diff", "summary"))["data"]["alarms"]["critical"] == 1
            data = (await watch.until("diff", "alarms"))["data"]
            assert (data["alarms"], data["closed"], data["total"]) == ([], [str(UUID(int=1))], 1)
            # What concerns another locker is not told of this one.
            alarms.close(2)
            hub.live.wake()
            data = (await watch.until("diff", "alarms:paris-02"))["data"]
            assert data["closed"] == [str(UUID(int=2))]


async def test_the_hubs_health_comes_once_a_second_and_by_http(tmp_path: Path) -> None:
    async with (
        served(tmp_path, lockers=FLEET, live=QUICK) as hub,
        watching(hub, "health", "fleet") as (watch, (first, _)),
    ):
        checks = first["checks"]
        assert isinstance(checks, dict)
        assert checks.keys() == {"database"}
        assert checks["database"] != "ok"
        assert first["ready"] is False
        assert first["viewers"] == {"count": 1, "max": 500, "behind": 0}
        assert first["rss_mb"] > 10
        assert {queue["name"] for queue in first["queues"]} >= {"command", "quarantine"}
        second = (await watch.until("diff", "health"))["data"]
        assert second["hub"] == first["hub"]
        assert second.keys() == first.keys()
        async with hub.http.get("/api/v1/health") as response:
            assert response.status == 200
            assert (await response.json()).keys() == first.keys()


async def test_it_is_only_looked_at_while_somebody_looks(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub:
        async with watching(hub, "health") as (watch, _):
            await watch.until("diff", "health")
        async with watching(hub, "fleet"):
            await until(lambda: len(hub.live.viewers) == 1)
            assert hub.live.open_views == {"fleet"}


async def test_jobs_are_told_when_they_change_and_stay_while_the_database_is_away(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub:
        jobs: list[dict[str, Any]] | None = [job(2), job(1)]
        asked = 0

        async def load(limit: int) -> list[dict[str, Any]] | None:
            nonlocal asked
            assert limit == 50
            asked += 1
            return jobs

        hub.live.show_jobs(load)
        async with watching(hub, "jobs") as (watch, (data,)):
            assert [UUID(one["id"]).int for one in data["jobs"]] == [2, 1]
            jobs, before = None, asked
            await until(lambda: asked > before)
            jobs = [job(3), job(2), {**job(1), "state": "done"}]
            changed = (await watch.until("diff"))["data"]["jobs"]
            assert {UUID(one["id"]).int for one in changed} == {3, 1}


def job(number: int) -> dict[str, Any]:
    return {
        "id": UUID(int=number), "kind": "restart", "args": None, "reason": "update", "filter": {},
        "state": "running", "why": None, "created_at": AT, "created_by": "anna", "approval": None,
        "expires_at": None, "ended_at": None, "rate_per_minute": 6, "canaries": 1, "abort_share": 0.2,
        "abort_min_count": 3, "targets": 1, "openings": 0, "counts": {"pending": 1},
    }  # fmt: skip
