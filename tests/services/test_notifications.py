"""Notifications on a real database: restarts, digests, the API and the command line of a running hub."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest
from typer.testing import CliRunner

from hub import clock
from hub.cli.main import app
from hub.config.notify import NotifySettings, WebhookChannel
from hub.config.settings import Config
from hub.core.alarms.transitions import What
from hub.core.notify.notices import Message
from hub.keys import make_key
from hub.masking import Secret
from hub.metrics import Metrics
from hub.notify.notifier import Notifier
from hub.store.database import Database
from hub.store.notifications import NotificationDelivery, NotificationStore
from hub.tasks import Supervisor
from tests.hub.api.serving import NOWHERE, served
from tests.hub.contract import Contract
from tests.hub.core.notify.alarms import AT, change, notice
from tests.hub.notify.receivers import SECRET, Hook, hook, secret, until
from tests.hub.scene import fresh_database, online, rows, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Event

pytestmark = pytest.mark.services

LIST = "/api/v1/notifications"
CHANNELS = "/api/v1/notifications/channels"
TEST = "/api/v1/notifications/channels/{channel}/test"


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def channel(folder: Path, receiver: Hook, name: str = "duty", **changes: Any) -> WebhookChannel:  # noqa: ANN401
    return WebhookChannel(name=name, url=Secret(receiver.url), secret_file=secret(folder), **changes)


@asynccontextmanager
async def notifier(dsn: str, *channels: WebhookChannel, **settings: Any) -> AsyncIterator[Notifier]:  # noqa: ANN401
    """A notifier as a hub runs it: loaded, at work, and at its end at rest with all of it written."""
    config = Config(notify=NotifySettings(channel=list(channels), **settings))
    async with Database(dsn, connections_max=4, statement_timeout_ms=2000, connect_timeout_s=1) as store:
        metrics = Metrics("0")
        one, supervisor = Notifier(config, store, metrics), Supervisor(metrics)
        if dsn != NOWHERE:
            await one.load()
        async with (
            supervisor.running({"write": one.rows.run}, endless=False) as writers,
            supervisor.running(one.tasks(), endless=True),
        ):
            yield one
            await one.rest()
            one.rows.close()
            if dsn != NOWHERE:
                await asyncio.wait(writers)
                await one.release()


def states(dsn: str) -> list[tuple[Any, ...]]:
    return rows(dsn, "SELECT channel, transition, state, tries, message IS NULL FROM notification ORDER BY at, id")


async def test_a_change_goes_out_and_is_written_down(dsn: str, tmp_path: Path) -> None:
    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver)) as one:
        one.hear(change("raised"))
        one.hear(change("shelved"))
        await receiver.came.wait()
    assert states(dsn) == [("duty", "raised", "sent", 1, True)]
    ((headers, body),) = receiver.seen
    assert json.loads(body)["data"]["locker"] == "berlin-01"
    assert rows(dsn, "SELECT id, alarm_id FROM notification") == [(UUID(headers["webhook-id"]), UUID(int=1))]


async def test_a_restart_goes_on_with_what_waits(dsn: str, tmp_path: Path) -> None:
    async with hook(503) as receiver, notifier(dsn, channel(tmp_path, receiver)) as one:
        for number in (1, 2, 3):
            one.hear(change("raised", number))
        await receiver.came.wait()
    told = states(dsn)
    assert {state for _, _, state, _, _ in told} == {"waiting"}
    assert sorted(tries for _, _, _, tries, _ in told) == [0, 0, 1]
    first = receiver.seen[0][0]["webhook-id"]

    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver)) as one:
        await until(lambda: len(receiver.seen) == 3)
        # They are told in their order, under the ids of before.
        assert [json.loads(body)["data"]["alarm"] for _, body in receiver.seen] == [
            str(UUID(int=number)) for number in (1, 2, 3)
        ]
        assert receiver.seen[0][0]["webhook-id"] == first
    assert sorted(states(dsn)) == [
        ("duty", "raised", "sent", 1, True),
        ("duty", "raised", "sent", 1, True),
        ("duty", "raised", "sent", 2, True),
    ]
    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver)):
        await asyncio.sleep(0)
    assert receiver.seen == []


_FIRST: Final[tuple[What, ...]] = ("raised", "cleared", "raised")


async def test_a_digest_that_is_open_and_a_word_that_is_held_outlive_a_stop(dsn: str, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"flood_max": 2, "flood_s": 3600.0, "dedup_s": 3600.0}
    async with (
        hook(200, 200, 503) as receiver,
        notifier(dsn, channel(tmp_path, receiver, **limits)) as one,
    ):
        for what in _FIRST:
            one.hear(change(what, 1))
        for number in range(2, 12):
            one.hear(change("raised", number))
        await until(lambda: len(receiver.seen) == 2)
    assert [row[1:3] for row in states(dsn)] == [("raised", "sent"), ("cleared", "sent"), ("digest", "waiting")]
    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver, **limits)):
        await receiver.came.wait()
    data = json.loads(receiver.seen[0][1])["data"]
    assert (data["total"], data["counts"]) == (11, {"raised": {"critical": 11}})


async def test_a_flood_is_a_few_messages_and_a_digest(dsn: str, tmp_path: Path) -> None:
    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver, flood_max=3, flood_s=1.0)) as one:
        for number in range(1, 501):
            one.hear(change("raised", number))
        await until(lambda: len(receiver.seen) == 4)
    types = [json.loads(body)["type"] for _, body in receiver.seen]
    assert types == ["alarm.raised"] * 3 + ["alarm.digest"]
    data = json.loads(receiver.seen[3][1])["data"]
    assert (data["total"], len(data["alarms"])) == (497, 20)


async def test_a_database_that_is_away_stops_no_message(tmp_path: Path) -> None:
    async with hook() as receiver, notifier(NOWHERE, channel(tmp_path, receiver)) as one:
        one.hear(change("raised"))
        await receiver.came.wait()


async def test_what_waits_for_a_channel_that_is_gone_is_dropped(dsn: str, tmp_path: Path) -> None:
    async with hook(503) as receiver, notifier(dsn, channel(tmp_path, receiver, "old")) as one:
        one.hear(change("raised"))
        await receiver.came.wait()
    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver)):
        pass
    assert states(dsn) == [("old", "raised", "dropped", 1, True)]
    assert "no such channel" in rows(dsn, "SELECT error FROM notification")[0][0]


async def test_how_a_channel_did_is_known_after_a_restart(dsn: str, tmp_path: Path) -> None:
    async with hook(200, (400, {}, "no")) as receiver, notifier(dsn, channel(tmp_path, receiver)) as one:
        one.hear(change("raised"))
        one.hear(change("cleared"))
        await until(lambda: one.channels()[0].stand.error is not None)
        before = one.channels()[0].stand
    async with hook() as receiver, notifier(dsn, channel(tmp_path, receiver)) as one:
        assert one.channels()[0].stand == before
        assert before.error == "400: no"
        assert before.ok_at is not None


async def test_what_is_old_or_too_much_goes_and_what_waits_stays(dsn: str) -> None:
    async with Database(dsn, connections_max=4, statement_timeout_ms=2000, connect_timeout_s=1) as store:
        table = NotificationStore(store)

        def row(days: int, state: Any) -> NotificationDelivery:  # noqa: ANN401 - a state
            told = Message(id=uuid4(), at=AT - timedelta(days=days), channel="duty", notice=notice("raised"))
            return NotificationDelivery(told, state, 1, None, AT)

        await table.write([row(days, "sent") for days in range(6)] + [row(100, "waiting"), row(99, "failed")])
        assert await table.prune(before=AT - timedelta(days=50), kept_max=4) == 3
        kept = rows(dsn, "SELECT state, at FROM notification ORDER BY at")
        assert [state for state, _ in kept] == ["waiting", *["sent"] * 4]
        assert await table.prune(before=AT - timedelta(days=50), kept_max=4) == 0


def config_file(folder: Path, *hooks: Hook) -> Path:
    tables = [
        f'[[notify.channel]]\nname = "hook-{place}"\nkind = "webhook"\nurl = "{one.url}"\n'
        f'secret_file = "{secret(folder)}"\n'
        for place, one in enumerate(hooks)
    ]
    (folder / "hub.toml").write_text("\n".join(tables))
    return folder / "hub.toml"


async def test_the_api_of_a_running_hub(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> None:
    async with hook() as good, hook((500, {}, "broken")) as bad:
        file = config_file(tmp_path, good, bad)
        async with scene(mosquitto_broker, dsn, tmp_path, file=file) as hub:
            contract = await Contract.of(hub.http)

            async def asked(method: str, path: str, url: str) -> tuple[int, Any]:
                async with hub.http.request(method, url) as response:
                    body = await response.json(content_type=None)
                    contract.check(method, path, response.status, response.content_type, body)
                    return response.status, body

            assert await asked("post", TEST, TEST.format(channel="hook-0")) == (200, {"ok": True, "detail": "200"})
            told = json.loads(good.seen[0][1])
            assert (told["type"], told["channel"]) == ("test", "hook-0")
            answer = await asked("post", TEST, TEST.format(channel="hook-1"))
            assert answer == (200, {"ok": False, "detail": "500: broken"})
            assert (await asked("post", TEST, TEST.format(channel="nobody")))[1]["code"] == "channel_unknown"

            _, listed = await asked("get", CHANNELS, CHANNELS)
            first, second = listed["items"]
            assert (first["name"], first["kind"], first["to"]) == (
                "hook-0",
                "webhook",
                good.url.rsplit("/hooks")[0],
            )
            assert (first["last_error"], second["last_error"]) == (None, "500: broken")
            assert first["last_ok_at"] is not None
            assert SECRET not in json.dumps(listed)
            assert "secret-path" not in json.dumps(listed)

            await until(lambda: len(states(dsn)) == 2)
            _, page = await asked("get", LIST, f"{LIST}?limit=1")
            _, rest = await asked("get", LIST, f"{LIST}?limit=1&cursor={page['next_cursor']}")
            found = [*page["items"], *rest["items"]]
            assert [(one["channel"], one["state"], one["alarm"]) for one in found] == [
                ("hook-1", "failed", None),
                ("hook-0", "sent", None),
            ]
            assert rest["next_cursor"] is None
            _, one_channel = await asked("get", LIST, f"{LIST}?channel=hook-0")
            assert [one["tries"] for one in one_channel["items"]] == [1]
            assert (await asked("get", LIST, f"{LIST}?cursor=bad"))[0] == 400

            last = [await asked("post", TEST, TEST.format(channel="hook-0")) for _ in range(5)][-1]
            assert (last[0], last[1]["code"]) == (429, "too_many_tests")


async def test_the_api_without_channels(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        async with hub.http.get(CHANNELS) as response:
            assert await response.json() == {"items": []}
        async with hub.http.post(TEST.format(channel="x")) as response:
            assert "none is configured" in (await response.json(content_type=None))["detail"]


async def test_the_command_line(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATABASE_DSN", dsn)

    async def run(*words: str) -> tuple[int, str]:
        # It runs a loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, app, ["notify", *words])
        return done.exit_code, done.output

    async with hook() as good, hook((403, {}, "go away")) as bad:
        file = str(config_file(tmp_path, good, bad))
        code, listed = await run("list", "--json", "--config", file)
        assert code == 0
        assert [(one["name"], one["kind"]) for one in json.loads(listed)] == [
            ("hook-0", "webhook"),
            ("hook-1", "webhook"),
        ]
        assert "secret-path" not in listed
        assert "all alarms" in (await run("list", "--config", file))[1]
        assert await run("test", "hook-0", "--config", file) == (0, "hook-0 took it: 200\n")
        assert await run("test", "hook-1", "--config", file) == (1, "hub: hook-1 did not take it: 403: go away\n")
        assert (await run("test", "nobody", "--config", file))[0] == 1


def test_what_waits_is_read_as_it_was_written() -> None:
    told = Message(id=UUID(int=1), at=clock.wall(), channel="duty", notice=notice("acked", acked_by="anna"))
    assert msgspec.json.decode(msgspec.json.encode(told), type=Message) == told


def test_the_check_of_the_configuration_reads_the_files_of_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_key(tmp_path / "key.pem")
    monkeypatch.setenv("HUB_COMMANDS_KEY_FILE", str(tmp_path / "key.pem"))
    monkeypatch.setenv("HUB_DATABASE_DSN", NOWHERE)
    file = config_file(tmp_path, Hook(url="https://hooks.example.org/x"))
    assert CliRunner().invoke(app, ["check-config", "--config", str(file)]).output == "the configuration is fine\n"
    secret(tmp_path, "short")
    refused = CliRunner().invoke(app, ["check-config", "--config", str(file)], catch_exceptions=False)
    assert refused.exit_code == 1
    assert "notify.channel hook-0: secret_file: 5 bytes are too few" in refused.output


async def test_a_forced_door_is_told_from_the_locker_to_the_receiver(
    mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path
) -> None:
    async with hook() as receiver:
        file = config_file(tmp_path, receiver)
        async with scene(mosquitto_broker, dsn, tmp_path, file=file) as hub, online(hub) as locker:
            await locker.events(1, [Event(t=locker.up()["t"], at=1, kind="door.forced", door=2)])
            await until(lambda: len(receiver.seen) == 1)
            raised = json.loads(receiver.seen[0][1])
            assert (raised["type"], raised["data"]["type"]) == ("alarm.raised", "door.forced")
            assert (raised["data"]["locker"], raised["data"]["door"]) == ("berlin-01", 2)
            body = {"ids": [raised["data"]["alarm"]], "note": "Ms Miller forgot her code"}
            async with hub.http.post("/api/v1/alarms/acknowledge", json=body) as response:
                assert (await response.json())["done"] == 1
            await until(lambda: len(receiver.seen) == 2)
        acked = json.loads(receiver.seen[1][1])
        assert (acked["type"], acked["data"]["alarm"]) == ("alarm.acked", raised["data"]["alarm"])
        assert acked["data"]["by"] == "local"
        assert "Miller" not in json.dumps(acked)
        assert [row[1:4] for row in states(dsn)] == [("raised", "sent", 1), ("acked", "sent", 1)]
