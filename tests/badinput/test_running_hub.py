"""Everything bad at once, at a running hub behind a real broker: it lives, stays small, and disturbs nobody.

The client has the hub's own rights, so that the broker's access list stops nothing that it would stop for a locker.
"""

import asyncio
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.badinput.corpus import LOCKER, TOPICS, packets
from tests.badinput.raw import connect, publish, throw
from tests.hub.scene import Agent, Scene, eventually, fresh_database, online, scene
from tests.services.conftest import ROOT, Cluster, MosquittoBroker, mosquitto, plain_postgres
from tests.wire.payloads import BAD_EVENTS, BAD_PRESENCES, BAD_TELEMETRY, EPOCH, EVENTS, TELEMETRY, payload
from tests.wire.strategies import T_MS_MAX
from wire.errors import WireError
from wire.messages import Event, decode_events, decode_presence, decode_telemetry
from wire.salvage import Spoiled, salvage_events, salvage_samples
from wire.topics import Channel, topic_of

__all__ = ["plain_postgres"]
pytestmark = pytest.mark.services
ADMIN = "hub-admin"
RSS_BYTES_MAX = 24 * 1024 * 1024
"""What the process may grow by over all rounds but the first two, which fill caches."""
UNLIMITED: Final[dict[str, Any]] = {
    "intake_messages_per_s_max": 1_000_000,
    "intake_records_per_s_max": 10_000_000,
    "intake_quarantine_per_locker_per_minute": 1_000_000,
    "intake_quarantine_queue_rows_max": 100_000,
    "intake_presences_per_s_max": 1_000_000,
    "intake_epochs_per_day_max": 1_000_000,
    "intake_epochs_per_locker_max": 1_000_000,
    "intake_gaps_per_minute_max": 1_000_000,
    "intake_queue_share_max": 1.0,
}
_DECODE = {Channel.EVENTS: decode_events, Channel.TELEMETRY: decode_telemetry, Channel.PRESENCE: decode_presence}
_SALVAGE: Final[dict[Channel, Callable[[bytes], tuple[object, dict[int, Spoiled]]]]] = {
    Channel.EVENTS: salvage_events,
    Channel.TELEMETRY: salvage_samples,
}


@dataclass(frozen=True)
class Admin:
    """An account that may say anything below lh/v1."""

    broker: MosquittoBroker
    password: str

    def throw(self, data: bytes) -> bytes:
        # One that subscribes to everything hears the neighbour, and is never quiet.
        return throw(self.broker.host, self.broker.port, data, listen_s=1.0)

    def publish(self, topic: bytes, payloads: list[bytes]) -> None:
        """Publish one after another over one connection; all are taken by the broker, or the topic is refused."""
        sent = [publish(topic, one, number) for number, one in enumerate(payloads, 1)]
        self.throw(connect(ADMIN, self.password) + b"".join(sent) + b"\xe0\x00")


@pytest.fixture(scope="module")
def admin() -> Iterator[Admin]:
    with mosquitto() as running:
        access = running.directory / "config" / "acl"
        access.write_text(f"user {ADMIN}\ntopic readwrite lh/v1/#\n\n{access.read_text()}")
        secret = running.directory / "admin_password"
        accounts = running.directory / "config" / "passwords"
        subprocess.run([ROOT / "mosquitto" / "accounts", accounts, secret, ADMIN], check=True)
        running.process.send_signal(signal.SIGHUP)
        password = secret.read_text().strip()
        while not running.accepts(ADMIN, password):
            assert running.process.poll() is None
        yield Admin(running, password)


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


def bad_payloads() -> list[tuple[Channel, bytes]]:
    """Every bad payload; batches of events each in an epoch of their own, so that none is one seen before."""
    corpus = [
        (Channel.EVENTS, one.replace(EPOCH.encode(), str(uuid4()).encode())) for one, _ in BAD_EVENTS.values()
    ]
    corpus += [(Channel.TELEMETRY, one) for one, _ in BAD_TELEMETRY.values()]
    # A message of nothing is a wish to forget what was kept, and nothing bad.
    corpus += [(Channel.PRESENCE, one) for one, _ in BAD_PRESENCES.values()]
    return [(channel, one) for channel, one in corpus if 0 < len(one) < 262_000]


def expected(channel: Channel, one: bytes) -> Counter[str]:
    """Under which reasons a payload is kept: once, or once an event or sample where these can be told apart."""
    try:
        _DECODE[channel](one)
    except WireError as error:
        salvage = _SALVAGE.get(channel)
        if salvage is None:
            return Counter([error.reason.value])
        try:
            _, spoiled = salvage(one)
        except WireError as whole:
            return Counter([whole.reason.value])
        return Counter(part.error.reason.value for part in spoiled.values())
    return Counter()


async def kept(one: Scene) -> Counter[str]:
    prefix = "lockerhub_intake_quarantined_total{"
    found = {name.split('"')[1]: value for name, value in (await one.metrics()).items() if name.startswith(prefix)}
    return Counter({name: int(value) for name, value in found.items()})


async def behind_everything(one: Scene, admin: Admin) -> None:
    """Wait until both links have brought what the broker has taken up to now."""
    wanted = (await kept(one))["locker_unknown"] + 2
    for channel in (Channel.EVENTS, Channel.TELEMETRY):
        await asyncio.to_thread(admin.publish, topic_of("nowhere-03", channel).encode(), [b"{"])

    async def there() -> bool:
        return (await kept(one))["locker_unknown"] == wanted

    await eventually(there, "the last two messages")


@asynccontextmanager
async def undisturbed(neighbour: Agent) -> AsyncIterator[None]:
    """The neighbour sends events all the while, each on the receipt of the one before; none fails to come."""
    stop = asyncio.Event()

    async def go_on() -> int:
        seq = 0
        while not stop.is_set():
            seq += 1
            await neighbour.events(seq, [Event(t=neighbour.up()["t"], at=1, kind="door.opened", door=1)])
            while (await neighbour.receipt()).upto != seq:
                pass
        return seq

    task = asyncio.create_task(go_on(), name="neighbour")
    try:
        yield
    finally:
        stop.set()
        assert await task > 0


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_bad_topics_are_kept_with_their_reason_or_never_come_in(
    admin: Admin, dsn: str, tmp_path: Path
) -> None:
    async with (
        scene(admin.broker, dsn, tmp_path, **UNLIMITED) as hub,
        online(hub, "paris-02") as neighbour,
        undisturbed(neighbour),
    ):
        before = await kept(hub)
        for topic, _ in TOPICS.values():
            await asyncio.to_thread(admin.publish, topic, [payload(EVENTS)])
        wanted = before + Counter(str(getattr(why, "value", why)) for _, why in TOPICS.values() if why)

        async def all_kept() -> bool:
            return await kept(hub) == wanted

        await eventually(all_kept, f"{wanted} in quarantine")
        await hub.balanced("event")
        await hub.balanced("sample")


@pytest.mark.parametrize("rounds", [3, pytest.param(12, marks=pytest.mark.long)])
async def test_bad_payloads_and_packets_neither_stop_nor_swell_the_hub(
    admin: Admin, dsn: str, tmp_path: Path, rounds: int
) -> None:
    thrown = packets(ADMIN, admin.password)
    sizes: list[int] = []
    async with (
        scene(admin.broker, dsn, tmp_path, **UNLIMITED) as hub,
        online(hub) as locker,
        online(hub, "paris-02") as neighbour,
        undisturbed(neighbour),
    ):
        for number in range(rounds):
            before = await kept(hub)
            corpus = bad_payloads()
            for channel in _DECODE:
                ours = [one for where, one in corpus if where is channel]
                await asyncio.to_thread(admin.publish, topic_of(LOCKER, channel).encode(), ours)
            wanted = before + sum((expected(channel, one) for channel, one in corpus), Counter())

            async def all_kept(wanted: Counter[str] = wanted) -> bool:
                return await kept(hub) == wanted

            await eventually(all_kept, f"round {number}: {wanted} in quarantine")
            for data in thrown.values():
                await asyncio.to_thread(admin.throw, data)
            await behind_everything(hub, admin)
            await hub.balanced("event")
            await hub.balanced("sample")
            sizes.append(rss_bytes())
        assert max(sizes[2:]) - sizes[1] < RSS_BYTES_MAX
        # Its own broker connections were not among those that the broker cut.
        assert all(link.connected for link in hub.hub.links)
        connects = {name: value for name, value in (await hub.metrics()).items() if "mqtt_connects_total" in name}
        assert set(connects.values()) == {1}
        status, _ = await hub.get("/readyz")
        assert status == 200
        await locker.events(1, [Event(t=1, at=1, kind="door.opened", door=1)])
        assert (await locker.receipt()).upto == 1
    assert admin.broker.process.poll() is None


async def test_valid_but_senseless_ledgers_are_sorted_out(admin: Admin, dsn: str, tmp_path: Path) -> None:
    """Jumps, rewinds, the largest numbers, one epoch under two names, a new epoch with each message."""
    epoch = str(uuid4())
    odd = [
        payload(EVENTS, epoch=epoch, first=1),
        payload(EVENTS, epoch=epoch, first=2**62),
        payload(EVENTS, epoch=epoch, first=2**62, oldest=2**62),
        payload(EVENTS, epoch=epoch, first=1),
        payload(EVENTS, epoch=epoch, first=5, oldest=9),
        payload(EVENTS, epoch=epoch, first=1, chain="f" * 16, prev="e" * 16),
        payload(EVENTS, epoch=epoch, first=2**63 - 502),
        payload(EVENTS, epoch=epoch, first=2**63 - 1 - 500, oldest=2**63 - 1 - 500),
        *(payload(EVENTS, epoch=str(uuid4())) for _ in range(300)),
        *(payload(EVENTS, epoch=str(uuid4()), t=T_MS_MAX, at=253_402_300_799_999) for _ in range(3)),
        *(payload(EVENTS, epoch=str(uuid4()), t=0, at=0, clock=clock) for clock in ("unset", "holdover", "synced")),
        payload(EVENTS, epoch=str(uuid4()), events=[{"t": T_MS_MAX, "at": 0, "kind": "z" * 48, "door": 999}]),
    ]
    samples = [
        payload(TELEMETRY, t=T_MS_MAX, at=253_402_300_799_999),
        payload(TELEMETRY, t=0, at=0, clock="unset", samples=[{"t": T_MS_MAX}]),
        payload(TELEMETRY, samples=[{"t": 0, "boot": str(uuid4())}] * 500),
    ]
    async with (
        scene(admin.broker, dsn, tmp_path, **UNLIMITED) as hub,
        online(hub, "paris-02") as neighbour,
        undisturbed(neighbour),
    ):
        for _ in range(2):
            await asyncio.to_thread(admin.publish, topic_of(LOCKER, Channel.EVENTS).encode(), odd)
            await asyncio.to_thread(admin.publish, topic_of(LOCKER, Channel.TELEMETRY).encode(), samples)

            async def settled() -> bool:
                books = await hub.balanced("sample")
                return books["received"] >= 502 and books["in_flight"] == 0

            await eventually(settled, "all samples settled")
        shown = await hub.locker(LOCKER)
        assert shown["id"] == LOCKER


async def test_a_takeover_loop_costs_others_nothing(admin: Admin, dsn: str, tmp_path: Path) -> None:
    """Two clients of one name throw each other out, over and over; the hub's links are nobody's to take."""
    async with (
        scene(admin.broker, dsn, tmp_path) as hub,
        online(hub, "paris-02") as neighbour,
        undisturbed(neighbour),
    ):
        hello = connect(ADMIN, admin.password)
        for _ in range(50):
            await asyncio.gather(*(asyncio.to_thread(admin.throw, hello) for _ in range(4)))
        assert all(link.connected for link in hub.hub.links)
