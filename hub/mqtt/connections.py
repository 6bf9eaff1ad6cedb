"""The hub's three links to the broker, and what it says of itself over them.

Events and presence, telemetry, and commands each have a connection of their own: none waits for another.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID, uuid4

from hub.config.secrets import read_secret
from hub.config.settings import Config
from hub.core.broker_terms import faults, receive_maximum
from hub.core.lease import Loss
from hub.errors import StoreUnavailable
from hub.metrics import Metrics
from hub.mqtt.acks import IncomingMessage, ManualAck
from hub.mqtt.connection import MqttConnection
from hub.tasks import Make
from wire import __version__
from wire.messages import PROTOCOL, HubState, encode
from wire.topics import HUB_STATE, Channel, subscription

_log = logging.getLogger(__name__)

_NOBODY: Final = UUID(int=0)
_RETURNING_PER_S: Final = 1000
"""Lockers that a hub takes back in a second without anybody noticing: each sends one batch and its doors."""


class LeaseHolder(Protocol):
    """The lease of this hub (hub.lifecycle.lease)."""

    broker: str | None
    """What the broker said last of its version, to this hub or to the one before."""

    def know_broker(self, version: str) -> None:
        """Keep it for the next hub."""

    async def confirm(self, loss: Loss) -> None:
        """Raise StepDown if another hub has the lease."""


@dataclass(frozen=True, slots=True)
class MessageReceivers:
    """Callbacks for the messages of each link."""

    intake: Callable[[str, bytes, bool], None]
    telemetry: Callable[[IncomingMessage], None]
    replies: Callable[[str, bytes, bool], None]


class MqttConnections:
    """The links, and the hub's retained announcement, which agents answer with their presence."""

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        hub: UUID,
        receivers: MessageReceivers,
        lease: LeaseHolder,
        lockers: Callable[[], int],
    ) -> None:
        self._config = config
        self._lockers = lockers
        self._lease = lease
        ask_lease = lease.confirm
        self._announcement = hub
        mqtt, password = config.mqtt, _password(config)
        self.ingest = MqttConnection(
            "ingest", mqtt, metrics,
            username=mqtt.ingest_username, password=password,
            filters=[subscription(channel) for channel in (Channel.EVENTS, Channel.PRESENCE)],
            receive=receivers.intake, connected=self.announce, ask_lease=ask_lease,
        )  # fmt: skip
        self.telemetry = MqttConnection(
            "telemetry", mqtt, metrics,
            username=mqtt.telemetry_username, password=password, filters=[subscription(Channel.TELEMETRY)],
            receive=ManualAck(receivers.telemetry, mqtt.telemetry_receive_max, mqtt.telemetry_session_s),
            ask_lease=ask_lease,
        )  # fmt: skip
        self.telemetry.version_found = self.know_broker
        self.command = MqttConnection(
            "command", mqtt, metrics,
            username=mqtt.command_username, password=password, filters=[subscription(Channel.REPLIES)],
            receive=receivers.replies, connected=self.announce, will=(HUB_STATE, self._state(online=False)),
            ask_lease=ask_lease,
        )  # fmt: skip

    @property
    def all(self) -> tuple[MqttConnection, ...]:
        """All of them."""
        return (self.ingest, self.command, self.telemetry)

    @property
    def connected(self) -> bool:
        """Whether commands can be sent and their events can come."""
        return self.ingest.connected and self.command.connected

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that keep them up until they are cancelled."""
        return {f"link.{link.name}": link.run for link in (self.command, self.ingest, self.telemetry)}

    async def check(self) -> None:
        """Raise StoreUnavailable, naming it, if one of them is down."""
        for link in self.all:
            if not link.connected:
                why = f": {link.trouble}" if link.trouble else ""
                raise StoreUnavailable(f"the {link.name} link to the broker is down{why}")

    def know_broker(self, version: str | None) -> None:
        """Ask the broker for no more at once than it can count; None: its version is not known.

        A telemetry link that may ask for more, or any that has to ask for less, is made again.
        """
        for link in self.all:
            before, link.receive_max = link.receive_max, receive_maximum(version, link.receive_max_wanted)
            if (
                link.connected
                and (link.receive_max < before or link is self.telemetry)
                and link.receive_max != before
            ):
                link.renew()
        if version is not None and version != self._lease.broker:
            for fault in faults(version):
                _log.warning("The broker has a known fault", extra={"fault": fault})
            self._lease.know_broker(version)

    def announce(self) -> None:
        """Say that the hub is here; agents answer with their presence."""
        # That is the hub's clock, so both links have to be up to use it.
        if self.connected:
            self.command.publish(HUB_STATE, self._state(online=True), retain=True)

    def request_presence(self) -> None:
        """Have all agents say again what they have said."""
        self._announcement = uuid4()
        self.announce()

    def leave(self) -> None:
        """End all connections without a word about the hub, which goes on elsewhere, and make no new ones."""
        for link in self.all:
            link.leave()

    def publish_offline(self) -> None:
        """Say that the hub goes, and take no more."""
        if self.command.connected:
            self.command.publish(HUB_STATE, self._state(online=False), retain=True)
        self.ingest.stop_taking()
        self.telemetry.stop_taking()

    def _state(self, *, online: bool) -> bytes:
        return encode(
            HubState(
                v=PROTOCOL, id=self._announcement if online else _NOBODY, online=online, version=__version__,
                spread_s=min(self._config.service.spread_s, self._lockers() / _RETURNING_PER_S),
            )
        )  # fmt: skip


def _password(config: Config) -> str | None:
    path = config.mqtt.password_file
    return None if path is None else read_secret(path, "mqtt.password_file")
