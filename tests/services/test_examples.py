"""The examples do what they say, against a real hub and a real broker."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from examples.foreign_locker import Locker, run
from examples.open_door import open_door
from examples.receive_webhook import is_genuine, secret_bytes
from examples.watch_events import events
from hub.keys import CommandKey, make_key, public_path
from hub.notify.webhook import signature, signing_key
from hub.tasks import end
from tests.hub.scene import Scene, eventually, fresh_database, scene
from tests.services.conftest import Cluster, MosquittoBroker
from wire.messages import Command, encode

NAME = "berlin-01"


@pytest.fixture
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        yield name


@pytest.fixture
async def hub(mosquitto_broker: MosquittoBroker, dsn: str, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(mosquitto_broker, dsn, tmp_path) as running:
        yield running


def locker_of(pem: bytes) -> Locker:
    key = load_pem_public_key(pem)
    assert isinstance(key, Ed25519PublicKey)
    return Locker(NAME, key)


@pytest.fixture
async def locker(hub: Scene) -> AsyncIterator[Locker]:
    one = locker_of(public_path(hub.key_file).read_bytes())
    password = await asyncio.to_thread(hub.broker.locker_password, NAME)
    task = asyncio.create_task(run(hub.broker.host, hub.broker.port, one, password))

    async def is_online() -> bool:
        return bool((await hub.locker(NAME))["state"] == "online")

    await eventually(is_online, "the foreign locker online")
    yield one
    await end([task])


@pytest.mark.services
async def test_a_foreign_locker_opens_for_an_api_client_while_a_viewer_watches(hub: Scene, locker: Locker) -> None:
    base = f"http://127.0.0.1:{hub.config.http.port}"
    seen: list[tuple[str, int | None]] = []

    async def watch() -> None:
        async with aclosing(events(base)) as happening:
            async for event in happening:
                seen.append((event["kind"], event["door"]))  # noqa: PERF401 - each as it comes

    viewer = asyncio.create_task(watch())
    first = await asyncio.to_thread(open_door, base, NAME, 3, "Hand-over")
    # Its doors are shut again at once.
    assert (first["state"], first["outcome"]) in {("succeeded", "opened"), ("succeeded", "closed")}

    async def is_told() -> bool:
        # A viewer is told of what happens while it watches.
        await asyncio.to_thread(open_door, base, NAME, 2, "Again")
        return {("door.unlocked", 2), ("door.opened", 2), ("door.closed", 2)} <= set(seen)

    await eventually(is_told, "the viewer was told")
    await end([viewer])
    refused = await asyncio.to_thread(open_door, base, NAME, 99, "No such door")
    assert refused["code"] == "door_unknown"

    async def is_confirmed() -> bool:
        return locker.confirmed == len(locker.ledger) >= 6

    await eventually(is_confirmed, "the whole ledger confirmed")


def order(key: CommandKey, boot: str, **changed: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a command
    fields: dict[str, Any] = {
        "v": 1, "id": uuid4(), "locker": NAME, "kind": "open", "door": 3, "boot": UUID(boot), "not_after": 60_000,
        "reason": "Hand-over, Größe M", "args": {"b": 1, "a": True},
    }  # fmt: skip
    said: dict[str, Any] = json.loads(encode(key.sign(Command(**fields | changed))))
    return said


def test_a_foreign_locker_refuses_what_a_locker_has_to_and_acts_once(tmp_path: Path) -> None:
    ours, theirs = make_key(tmp_path / "ours.pem"), make_key(tmp_path / "theirs.pem")
    one = locker_of(ours.public_pem().encode())
    for reason, command in {
        "wrong_locker": order(ours, one.boot, locker="paris-02"),
        "bad_signature": order(theirs, one.boot),
        "wrong_boot": order(ours, str(uuid4())),
        "expired": order(ours, one.boot, not_after=0),
        "unknown_kind": order(ours, one.boot, kind="restart", door=None),
        "unknown_door": order(ours, one.boot, door=9),
    }.items():
        one.began -= 0.01
        assert one.obey(command)["reason"] == reason
    good = order(ours, one.boot)
    assert one.obey(good, retained=True)["reason"] == "retained"
    assert one.ledger == []
    assert one.obey(good)["state"] == "succeeded"
    assert one.obey(good)["state"] == "succeeded"
    assert one.obey({**good, "sig": order(theirs, one.boot)["sig"]})["reason"] == "bad_signature"
    assert len(one.ledger) == 3


def test_a_webhook_is_believed_if_the_hub_signed_it_lately() -> None:
    text, body = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", b'{"type": "alarm.raised"}'
    headers = {"webhook-id": "1", "webhook-timestamp": "1000"}
    headers["webhook-signature"] = "v1," + signature(signing_key(text, "here"), "1", "1000", body)
    secret = secret_bytes(text)
    assert is_genuine(headers, body, secret, 1200.0)
    assert not is_genuine(headers, body + b" ", secret, 1200.0)
    assert not is_genuine(headers, body, secret + b"x", 1200.0)
    assert not is_genuine(headers, body, secret, 1301.0)
    assert not is_genuine({**headers, "webhook-timestamp": "soon"}, body, secret, 1200.0)


@pytest.mark.parametrize("name", ["open_door", "watch_events", "receive_webhook", "foreign_locker"])
async def test_each_is_a_program(name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, Path(__file__).parents[2] / "examples" / f"{name}.py",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    # It asks for its arguments, and nothing is missing to import.
    assert process.returncode == 1
    assert b"ModuleNotFound" not in said
