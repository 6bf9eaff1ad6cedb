"""A locker that a row speaks for: its ledger is kept here, and may say what no agent would."""

import json
import time
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import uuid4

from faults.client import Client, client
from faults.database import normal
from faults.history import Content, Entry
from faults.rig import Rig
from faults.tap import boot_ms
from faults.waiting import until
from wire.messages import Receipt, decode_receipt
from wire.topics import Channel, topic_of

_SYNCED: Final = "synced"


class Ghost:
    """One connection of one ghost. Events that can be stored are entered into the rig's account of the truth."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.name = name
        self.epoch = uuid4()
        self.boot = uuid4()
        self.next_seq = 1
        self.client: Client
        self._rig = rig
        self._session = 0

    async def open(self, stack: AsyncExitStack) -> "Ghost":
        """Connect with the locker's own account, listen for receipts, and say that it is online."""
        broker = self._rig.broker
        self.client = await stack.enter_async_context(client(broker.port, self.name, broker.locker_password))
        await self.client.subscribe(topic_of(self.name, Channel.RECEIPTS))
        self._session += 1
        presence = {
            **self.up(), "session": boot_ms() + self._session, "online": True, "agent": "ghost", "doors": 16,
            "boards": 1, "boards_online": 1,
        }  # fmt: skip
        await self.say(Channel.PRESENCE, presence, retain=True)
        return self

    def up(self) -> dict[str, Any]:
        """Return what every message carries."""
        return {"v": 1, "boot": str(self.boot), "t": boot_ms(), "at": wall_ms(), "clock": _SYNCED}

    def event(self, kind: str = "tamper.on", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - the wire's own
        """Return an event that happens now."""
        return {"t": boot_ms(), "at": wall_ms(), "kind": kind, **more}

    def batch(self, events: list[Any], *, spoiled: frozenset[int] = frozenset()) -> dict[str, Any]:
        """Give events the next numbers; `spoiled` places are no events, and are not entered as true."""
        first = self.next_seq
        self.next_seq += len(events)
        for place, event in enumerate(events):
            if place not in spoiled:
                content = Content(
                    event["kind"], event["at"], event.get("door"), event.get("command"), normal(event.get("data"))
                )
                self._rig.ghost_entries.append(Entry(self.name, self.name, self.epoch, first + place, content))
        return {**self.up(), "epoch": str(self.epoch), "first": first, "events": events}

    async def say(self, channel: Channel, message: dict[str, Any] | bytes, *, retain: bool = False) -> None:
        """Publish on one of its topics."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        await self.client.publish(topic_of(self.name, channel), payload, retain=retain)

    def receipts(self) -> list[Receipt]:
        """Return all receipts of its epoch up to now."""
        wanted = topic_of(self.name, Channel.RECEIPTS)
        found = [decode_receipt(payload) for topic, payload in self.client.received if topic == wanted]
        return [receipt for receipt in found if receipt.epoch == self.epoch]

    def confirmed(self) -> int:
        """Return the last number that the hub says is committed."""
        return max((receipt.upto or 0 for receipt in self.receipts()), default=0)

    async def receipted(self, seconds: float = 20.0) -> float:
        """Wait until all of its ledger is confirmed."""
        last = self.next_seq - 1
        return await until(lambda: self.confirmed() >= last, seconds, f"{self.name} has its receipt for {last}")


def wall_ms() -> int:
    """Return the wall clock in ms since 1970."""
    return time.time_ns() // 1_000_000
