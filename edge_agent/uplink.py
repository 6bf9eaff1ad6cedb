"""The agent's side of the link: presence, snapshot, ledger, telemetry and replies, session after session."""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from edge_agent import __version__, mqtt
from edge_agent.cabinet import Cabinet
from edge_agent.clock import BootClock
from edge_agent.config import Config
from edge_agent.core.doors import Note, snapshot_data
from edge_agent.outbox import Outbox
from edge_agent.sender import LedgerSender
from edge_agent.telemetry import SampleRing, send_forever
from wire.errors import WireError
from wire.messages import (
    PROTOCOL,
    EventKind,
    HubState,
    Presence,
    Reply,
    decode_hub_state,
    decode_receipt,
    encode,
)
from wire.topics import HUB_STATE, Channel, topic_of

log = logging.getLogger(__name__)

OWED_REPLIES_MAX: Final = 64
SNAPSHOT_DOORS_MAX: Final = 128
"""Doors in one snapshot event, so that its data stays under the wire's 4 KiB."""
_SNAPSHOT_SPREADS: Final = 10
_SNAPSHOT_SPREAD_S_MAX: Final = 5.0
_BACKOFF_FIRST_S: Final = 0.5
_STEADY_S: Final = 5.0
_DRAIN_CHECK_S: Final = 0.02


@dataclass(slots=True)
class UplinkCounters:
    """Counted since start."""

    malformed: int = 0
    replies_dropped: int = 0


class Uplink:
    """Keeps the locker linked to its hub until it is told to finish."""

    def __init__(
        self,
        config: Config,
        clock: BootClock,
        cabinet: Cabinet,
        outbox: Outbox,
        ring: SampleRing,
    ) -> None:
        self.counters = UplinkCounters()
        self.on_command: Callable[[bytes, bool], None] | None = None
        self._config = config
        self._clock = clock
        self._cabinet = cabinet
        self._outbox = outbox
        self._ring = ring
        self._sender = LedgerSender(
            outbox,
            clock,
            batch_events_max=config.outbox.batch_events_max,
            ack_timeout_ms=config.outbox.ack_timeout_ms,
        )
        self._topics = {channel: topic_of(config.locker, channel) for channel in Channel}
        # What could not be told because the link was down; the oldest goes first, as the ledger has it too.
        self._owed: deque[Reply] = deque(maxlen=OWED_REPLIES_MAX)
        self._link: mqtt.Connection | None = None
        self._session = 0
        self._hub: UUID | None = None
        self._closing = asyncio.Event()
        self._presence_due = asyncio.Event()

    async def run(self) -> None:
        """Connect, again and again, until `close`."""
        failures = 0
        while not self._closing.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self._connected()
            except* (mqtt.LinkDownError, OSError) as group:
                log.warning("link down", extra={"why": "; ".join(str(e) for e in group.exceptions)})
            finally:
                self._link = None
            steady = asyncio.get_running_loop().time() - began >= _STEADY_S + self._config.mqtt.keepalive_s / 10
            failures = 0 if steady else failures + 1
            ceiling = min(self._config.mqtt.reconnect_cap_s, _BACKOFF_FIRST_S * 2 ** min(failures, 16))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0, ceiling)):  # noqa: S311 - full jitter
                    await self._closing.wait()

    async def send_reply(self, reply: Reply) -> None:
        """Tell the hub at once; without a link the reply is kept for the next one."""
        link = self._link
        if link is not None:
            try:
                await link.publish(self._topics[Channel.REPLIES], encode(reply))
            except mqtt.LinkDownError:
                log.info("reply kept for the next session", extra={"command": str(reply.id)})
            else:
                return
        self.owe(reply)

    def owe(self, reply: Reply) -> None:
        """Keep a reply for the next session."""
        if len(self._owed) == OWED_REPLIES_MAX:
            self.counters.replies_dropped += 1
        self._owed.append(reply)

    def boards_changed(self) -> None:
        """Tell the hub that a board came or went."""
        self._presence_due.set()

    def troubles(self) -> dict[str, int]:
        """Return what has gone wrong since the start, by name; what never did is left out."""
        counted = {
            "batches_resent": self._sender.resent,
            "disk_refusals": self._outbox.disk_refusals,
            "events_deleted": self._outbox.deleted_unacked,
            "events_given_up": self._outbox.given_up,
            "forks": self._outbox.forks,
            "forks_put_off": self._sender.forks_put_off,
            "messages_malformed": self.counters.malformed,
            "replies_dropped": self.counters.replies_dropped,
        }
        return {name: count for name, count in counted.items() if count}

    async def drain(self, patience_s: float) -> bool:
        """Wait until the hub has everything, `patience_s` at the most. Returns whether it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self._outbox.unacked or len(self._ring):  # noqa: ASYNC110 - two sources, once, at the end
                    await asyncio.sleep(_DRAIN_CHECK_S)
        return not self._outbox.unacked

    def close(self) -> None:
        """End the session with a word, and do not begin another."""
        self._closing.set()

    async def _connected(self) -> None:
        self._session = await self._outbox.next_session()
        presence_topic = self._topics[Channel.PRESENCE]
        will = encode(self._presence(online=False, reason="lost"))
        async with mqtt.connect(self._config.mqtt, self._config.locker, presence_topic, will) as link:
            await link.subscribe(self._topics[Channel.COMMANDS], self._topics[Channel.RECEIPTS], HUB_STATE)
            self._presence_due.clear()
            await link.publish(presence_topic, encode(self._presence(online=True)), retain=True)
            log.info("link up", extra={"session": self._session})
            self.snapshot()
            self._link = link
            await self._work(link)

    async def _work(self, link: mqtt.Connection) -> None:
        locker = self._config.locker
        async with asyncio.TaskGroup() as group:
            works: dict[str, Any] = {
                "receive": self._receive(link),
                "send": self._sender.run(lambda payload: link.publish(self._topics[Channel.EVENTS], payload)),
                "telemetry": send_forever(
                    self._ring,
                    self._clock,
                    lambda payload: link.publish(self._topics[Channel.TELEMETRY], payload),
                    self._config.telemetry.drain_samples_per_s,
                ),
                "presence": self._repeat_presence(link),
                "snapshot": self._repeat_snapshot(),
                "replies": self._pay_replies(link),
            }
            tasks = [group.create_task(work, name=f"{locker} {name}") for name, work in works.items()]
            await self._closing.wait()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # The last word of the session: whatever came after it would say that the locker is there.
            farewell = encode(self._presence(online=False, reason="stopping"))
            await link.publish(self._topics[Channel.PRESENCE], farewell, retain=True)

    async def _receive(self, link: mqtt.Connection) -> None:
        commands, receipts = self._topics[Channel.COMMANDS], self._topics[Channel.RECEIPTS]
        async for message in link.messages():
            if not message.payload:
                continue  # how a retained message is deleted
            if message.topic == commands:
                if self.on_command is not None:
                    self.on_command(message.payload, message.retained)
                continue
            try:
                if message.topic == receipts:
                    self._sender.receipt(decode_receipt(message.payload))
                elif message.topic == HUB_STATE:
                    self._hub_state(decode_hub_state(message.payload), retained=message.retained)
            except WireError as error:
                self.counters.malformed += 1
                log.warning("message not understood", extra={"topic": message.topic, "why": error.detail[:200]})

    def _hub_state(self, state: HubState, *, retained: bool) -> None:
        if not state.online or state.id == self._hub:
            return
        self._hub = state.id
        if retained:
            # Kept by the broker from before this session, which has just told everything anyway.
            return
        log.info("a hub came on duty", extra={"hub": str(state.id), "version": state.version})
        self._presence_due.set()
        self._sender.hurry(state.spread_s)
        # Nobody waits for it as for what has no receipt, and each costs its locker a write to its disk.
        within_s = max(state.spread_s, min(_SNAPSHOT_SPREADS * state.spread_s, _SNAPSHOT_SPREAD_S_MAX))
        delay = random.uniform(0, within_s)  # noqa: S311 - spreads load, guards nothing
        asyncio.get_running_loop().call_later(delay, self.snapshot)

    def snapshot(self) -> None:
        """Enter all doors as they are known now into the ledger."""
        views = self._cabinet.views()
        t = self._clock.t()
        self._outbox.post(
            [
                Note(t, EventKind.SNAPSHOT, data=snapshot_data(views[start : start + SNAPSHOT_DOORS_MAX]))
                for start in range(0, len(views), SNAPSHOT_DOORS_MAX)
            ]
        )

    async def _repeat_presence(self, link: mqtt.Connection) -> None:
        while True:
            await self._presence_due.wait()
            self._presence_due.clear()
            await link.publish(self._topics[Channel.PRESENCE], encode(self._presence(online=True)), retain=True)

    async def _repeat_snapshot(self) -> None:
        while True:
            await asyncio.sleep(self._config.outbox.snapshot_s)
            self.snapshot()

    async def _pay_replies(self, link: mqtt.Connection) -> None:
        while self._owed:
            reply = self._owed.popleft()
            try:
                await link.publish(self._topics[Channel.REPLIES], encode(reply))
            except mqtt.LinkDownError:
                self._owed.appendleft(reply)
                raise

    def _presence(self, *, online: bool, reason: str | None = None) -> Presence:
        stamp = self._clock.stamp()
        return Presence(
            v=PROTOCOL,
            boot=self._clock.boot,
            t=stamp.t,
            at=stamp.at,
            clock=stamp.clock,
            session=self._session,
            online=online,
            agent=__version__,
            doors=self._config.door_count,
            boards=len(self._config.boards),
            boards_online=self._cabinet.boards_online,
            reason=reason,
        )
