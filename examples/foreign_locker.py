"""A locker with other software, by the protocol alone (docs/protocol.md). Needs aiomqtt and cryptography.

python examples/foreign_locker.py 127.0.0.1:1883 locker-01 hub_public_key.pem [password file]

Its four doors are numbers in memory. A real locker writes each event and each command that it begins to its disk
before it says or does anything: that is what "at most once" and "nothing lost" rest on.
"""

import asyncio
import json
import sys
import time
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomqtt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

DOORS = 4
SIGNED = ("v", "id", "locker", "kind", "boot", "not_after", "door", "args", "actor", "reason")


class Locker:
    """One locker for as long as this process runs: a boot, a ledger, and the commands that it has begun."""

    def __init__(self, name: str, hub_key: Ed25519PublicKey) -> None:
        self.name, self.hub_key = name, hub_key
        self.boot, self.epoch = str(uuid4()), str(uuid4())
        self.began = time.monotonic()
        self.ledger: list[dict[str, Any]] = []
        self.confirmed = 0
        self.replies: dict[str, dict[str, Any]] = {}

    def now(self) -> dict[str, int]:
        """Return the time since boot, and the wall clock."""
        return {"t": round((time.monotonic() - self.began) * 1000), "at": time.time_ns() // 1_000_000}

    def up(self, **fields: Any) -> bytes:  # noqa: ANN401 - JSON
        """Encode a message to the hub; `clock` says how far the wall clock is to be believed."""
        return json.dumps({"v": 1, "boot": self.boot, **self.now(), "clock": "holdover", **fields}).encode()

    def batch(self) -> bytes:
        """Encode all events that the hub has not confirmed."""
        return self.up(epoch=self.epoch, first=self.confirmed + 1, oldest=1, events=self.ledger[self.confirmed :])

    def refusal(self, command: dict[str, Any], *, retained: bool) -> str | None:
        """Say why a command is not obeyed."""
        if retained:
            return "retained"
        if command["locker"] != self.name:
            return "wrong_locker"
        fields = [command.get(name) for name in SIGNED]
        signed = json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
        try:
            self.hub_key.verify(b64decode(command["sig"]), b"lockerhub command 1\n" + signed)
        except InvalidSignature:
            return "bad_signature"
        if command["boot"] != self.boot:
            return "wrong_boot"
        if self.now()["t"] > command["not_after"]:
            return "expired"
        if command["kind"] != "open":
            return "unknown_kind"
        return None if command.get("door") in range(1, DOORS + 1) else "unknown_door"

    def obey(self, command: dict[str, Any], *, retained: bool = False) -> dict[str, Any]:
        """Return the reply. A command that comes again gets its reply again, and is not acted upon again."""
        reason = self.refusal(command, retained=retained)
        if command["id"] in self.replies and reason not in {"retained", "wrong_locker", "bad_signature"}:
            return self.replies[command["id"]]
        if reason is not None:
            return {"id": command["id"], "state": "rejected", "reason": reason}
        stages = {"received_t": self.now()["t"], "started_us": 0, "pulsed_us": 0, "replied_us": 0}
        self.replies[command["id"]] = {"id": command["id"], "state": "succeeded", "stages": stages}
        # Here the lock would get its pulse; then the sensor tells what the door does.
        for kind in ("door.unlocked", "door.opened", "door.closed"):
            self.ledger.append({**self.now(), "kind": kind, "door": command["door"], "command": command["id"]})
        return self.replies[command["id"]]


async def run(host: str, port: int, locker: Locker, password: str | None = None) -> None:
    """Be that locker until the connection ends."""
    place = f"lh/v1/{zlib.crc32(locker.name.encode()) & 0xFF:02x}/{locker.name}"
    session = {"session": 1, "agent": "foreign-1", "doors": DOORS, "boards": 1, "boards_online": 1}
    will = aiomqtt.Will(f"{place}/presence", locker.up(online=False, **session), qos=1, retain=True)
    async with aiomqtt.Client(
        host, port, identifier=locker.name, username=locker.name, password=password, will=will
    ) as broker:
        await broker.subscribe(f"{place}/commands", qos=1)
        await broker.subscribe(f"{place}/receipts")
        await broker.publish(f"{place}/presence", locker.up(online=True, **session), qos=1, retain=True)
        async for message in broker.messages:
            said = json.loads(bytes(message.payload))
            if message.topic.matches(f"{place}/receipts"):
                # Cumulative; `expected` asks for what is still here, from that number on.
                locker.confirmed = said.get("upto", said.get("expected", 1) - 1)
            else:
                reply = locker.obey(said, retained=message.retain)
                await broker.publish(f"{place}/replies", locker.up(**reply), qos=1)
            if locker.confirmed < len(locker.ledger):
                await broker.publish(f"{place}/events", locker.batch(), qos=1)


if __name__ == "__main__":
    address, name, key_file, *password_files = sys.argv[1:]
    key = load_pem_public_key(Path(key_file).read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        sys.exit(f"{key_file} has no Ed25519 key")
    host, _, port = address.rpartition(":")
    passwords = [Path(file).read_text().strip() for file in password_files]
    asyncio.run(run(host, int(port), Locker(name, key), *passwords))
