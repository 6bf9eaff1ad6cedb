"""A simulated fleet against a real broker: what the ledger says is what truly happened, over two runs."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_agent.simulator import fleet
from edge_agent.simulator.fleet import Options, OptionsError, simulate
from wire.messages import Event, Receipt, decode_events, decode_telemetry, encode
from wire.topics import Channel, parse, subscription, topic_of

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Broker

KINDS = {"opened": "door.opened", "closed": "door.closed", "occupancy": "occupancy.changed"}


class Archive:
    """Receipts and keeps every ledger."""

    def __init__(self) -> None:
        self.events: dict[str, dict[int, Event]] = defaultdict(dict)
        self.epochs: dict[str, UUID] = {}
        self.samples = 0

    @asynccontextmanager
    async def on_duty(self, port: int) -> AsyncIterator[None]:
        async with aiomqtt.Client("127.0.0.1", port, identifier="hub") as client:
            await client.subscribe(subscription(Channel.EVENTS), 1)
            await client.subscribe(subscription(Channel.TELEMETRY), 1)
            listening = asyncio.create_task(self._listen(client))
            yield
            listening.cancel()
            await asyncio.wait([listening])

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            locker, channel = parse(message.topic.value)
            if channel is Channel.TELEMETRY:
                self.samples += len(decode_telemetry(bytes(message.payload)).samples)
                continue
            batch = decode_events(bytes(message.payload))
            self.epochs[locker] = batch.epoch
            for place, event in enumerate(batch.events):
                self.events[locker].setdefault(batch.first + place, event)
            upto = batch.first + len(batch.events) - 1
            # Without a PUBACK to wait for, so that nothing here can swallow the cancellation.
            receipt = encode(Receipt(v=1, epoch=batch.epoch, upto=upto))
            await client.publish(topic_of(locker, Channel.RECEIPTS), receipt, 0)

    def edges(self, locker: str, what: str, first: int, last: int) -> dict[str, int]:
        return dict(
            Counter(
                str(event.door)
                for seq, event in self.events[locker].items()
                if event.kind == KINDS[what] and first <= seq <= last
            )
        )


def options(directory: Path, port: int, **changes: Any) -> Options:  # noqa: ANN401
    values: dict[str, Any] = {
        "lockers": 3,
        "prefix": "test",
        "doors": 18,
        "broker_host": "127.0.0.1",
        "broker_port": port,
        "hub_url": None,
        "token_file": None,
        "hub_key": directory / "key.pem",
        "password_file": None,
        "data": directory / "fleet",
        "seed": 1,
        "speed": 2000.0,
        "seconds": 6.0,
        "link": None,
        "poll_ms": 50,
        "telemetry_period_s": 0.5,
        "drain_s": 20.0,
    }
    key = Ed25519PrivateKey.generate().public_key()
    (directory / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Options(**{**values, **changes})


@pytest.mark.services
@pytest.mark.parametrize("link", ["pty", "memory"])
async def test_the_ledger_is_the_truth_over_two_runs(broker: "Broker", tmp_path: Path, link: str) -> None:
    archive = Archive()
    epochs: list[dict[str, str]] = []
    async with archive.on_duty(broker.port):
        for seed in (1, 2):
            archive.samples = 0
            wish = options(tmp_path, broker.port, seed=seed, link=link)
            account = await simulate(wish, asyncio.Event())
            assert account["drained"] is True
            assert account["unread"] == []
            assert account["telemetry"]["dropped"] == 0
            assert account["telemetry"]["produced"] == archive.samples > 0
            for locker, truth in account["truth"].items():
                run = (truth["first_seq"], truth["last_seq"])
                for what in KINDS:
                    assert archive.edges(locker, what, *run) == truth[what]
                assert sorted(archive.events[locker]) == list(range(1, truth["last_seq"] + 1))
                assert truth["epoch"] == str(archive.epochs[locker])
            assert sum(sum(truth["opened"].values()) for truth in account["truth"].values()) >= 3
            epochs.append({locker: truth["epoch"] for locker, truth in account["truth"].items()})
    assert epochs[0] == epochs[1]
    assert list(epochs[0]) == ["test-001", "test-002", "test-003"]


class Slow:
    """A locker whose agent knows its doors after so many looks."""

    def __init__(self, name: str, looks: int) -> None:
        self.name = name
        self.looks = looks

    def is_known(self) -> bool:
        self.looks -= 1
        return self.looks <= 0


async def test_agents_stop_once_they_have_read_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_LOOK_AGAIN_S", 0)
    quick, slow = Slow("test-001", 1), Slow("test-002", 200)
    assert await fleet._all_known([quick, slow]) == []  # type: ignore[list-item]  # noqa: SLF001
    assert (quick.looks, slow.looks) == (0, 0)


async def test_an_agent_that_never_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_LAST_LOOKS_MAX", 3)
    lockers = [Slow("test-001", 1), Slow("test-002", 10**9)]
    assert await fleet._all_known(lockers) == ["test-002"]  # type: ignore[arg-type]  # noqa: SLF001


async def test_a_stop_ends_a_fleet_that_has_not_begun(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    began = time.monotonic()
    account = await simulate(options(tmp_path, 1, drain_s=0.1, seconds=None), stop)
    assert time.monotonic() - began < 60
    assert account["lockers"] == 3


async def test_passwords_are_handed_out_one_file_each(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("test-001:one\n\ntest-002:two:three\n")
    stop = asyncio.Event()
    stop.set()
    await simulate(options(tmp_path, 1, drain_s=0.1, password_file=tmp_path / "passwords"), stop)
    file = tmp_path / "fleet" / "test-002" / "password"
    assert file.read_text() == "two:three"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password_file": "passwords"}, "line 1: not of the form id:password"),
        ({"password_file": "nowhere"}, "cannot be read"),
        ({"hub_url": "http://127.0.0.1:1", "token_file": "nowhere"}, "cannot be read"),
    ],
)
async def test_a_file_that_cannot_be_used_is_explained(
    tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    (tmp_path / "passwords").write_text("no colon")
    paths = {name: tmp_path / value if name.endswith("file") else value for name, value in changes.items()}
    with pytest.raises(OptionsError, match=sentence):
        await simulate(options(tmp_path, 1, **paths), asyncio.Event())
