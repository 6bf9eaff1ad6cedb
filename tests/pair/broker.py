"""The broker and the network to it: messages take time, get lost, come twice or out of order; connections break.

A connection is a TCP connection with MQTT on it: in order, unless the noise says otherwise; what a partition holds
back arrives after it, if both ends still believe in the connection then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from tests.pair.process import Process
from tests.pair.world import MS, SECOND, World
from wire.topics import HUB_STATE, Channel

_KEEPALIVE_SHARE: Final = 1.5
"""After so many keepalives without a word a peer is given up (MQTT 3.1.1, 3.1.2.10)."""
_LATE_MS: Final = 3000.0
_CAPTURED_MAX: Final = 64


@dataclass(slots=True)
class Noise:
    """How bad the network is now. Shares are of messages on their way to a subscriber."""

    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    """These overtake nothing and are overtaken by everything."""
    delay_ms: tuple[float, float] = (0.2, 3.0)


Deliver = Callable[[str, bytes, bool], None]
"""Called in the subscriber's process with topic, payload, retained."""


@dataclass(eq=False, slots=True)
class Connection:
    """One client's connection. `up` is the client's view of it, `known` the broker's."""

    client: str
    process: Process
    filters: tuple[str, ...]
    deliver: Deliver
    lost: Callable[[str], None]
    will: tuple[str, bytes] | None
    keepalive_s: float
    up: bool = True
    known: bool = True
    last_up_ns: int = 0
    last_down_ns: int = 0


@dataclass(slots=True)
class Broker:
    """All connections, the retained messages, and the faults of the network."""

    world: World
    noise: Noise = field(default_factory=Noise)
    will_delay_s: float = 0.0
    retain_next: int = 0
    """So many of the next commands reach their locker as if they had been retained."""
    keep_back: dict[str, Callable[[bytes], bool]] = field(default_factory=dict)
    """By topic: called with each command, until it says that it keeps this one. That one is not delivered."""
    on_command: Callable[[bytes, bool], None] = lambda _, __: None
    """Called with each command on its way, and whether it goes as a retained message."""
    connections: dict[str, Connection] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    captured: list[tuple[str, bytes]] = field(default_factory=list)
    """Commands that someone on the wire has recorded."""
    on_publish: list[Callable[[Connection, str, bytes], None]] = field(default_factory=list)
    _away_until: dict[str, int] = field(default_factory=dict)
    _down_until_ns: int = 0

    # What clients do.

    def reachable(self, process: Process) -> bool:
        """Say whether a client can connect now."""
        now = self.world.now_ns
        return now >= self._down_until_ns and now >= self._away_until.get(process.name, 0)

    def connect(self, connection: Connection) -> None:
        """Take a client in; an older connection of the same name ends, and its will is published first."""
        older = self.connections.get(connection.client)
        if older is not None:
            self._end(older, "taken over")
        self.connections[connection.client] = connection
        connection.process.on_death.append(lambda: self._client_gone(connection))
        self.world.note(connection.process.name, "connected", connection.client)
        for topic, payload in self.retained.items():
            if _wants(connection, topic):
                self._down(connection, topic, payload, retained=True)

    def publish(
        self, connection: Connection, topic: str, payload: bytes, *, retain: bool, acked: Callable[[], None] | None
    ) -> None:
        """Send a message to the broker. `acked` is called in the client's process, if the PUBACK comes."""
        if not connection.up or not connection.process.alive:
            return
        for look in self.on_publish:
            look(connection, topic, payload)
        arrives = max(
            connection.last_up_ns + 1, self._start_ns(connection) + self.world.latency(*self.noise.delay_ms)
        )
        connection.last_up_ns = arrives
        self.world.at(arrives, self._arrived, connection, topic, payload, retain, acked)

    def disconnect(self, connection: Connection) -> None:
        """Say goodbye (DISCONNECT): no will."""
        if not connection.up:
            return
        connection.up = False
        if not connection.process.alive:
            return
        arrives = max(
            connection.last_up_ns + 1, self._start_ns(connection) + self.world.latency(*self.noise.delay_ms)
        )
        if self._partitioned(connection):
            self.world.at(self._gives_up_ns(connection), self._end, connection, "keepalive")
        else:
            self.world.at(arrives, self._goodbye, connection)

    # What happens to the network.

    def partition(self, process: Process, seconds: float) -> None:
        """Let nothing through to or from a process for a while; nobody is told."""
        until = self.world.now_ns + int(seconds * SECOND)
        self._away_until[process.name] = until
        for connection in list(self.connections.values()):
            if connection.process is process:
                gives_up = self._gives_up_ns(connection)
                if gives_up < until:
                    self.world.at(gives_up, self._end, connection, "keepalive")
                    self.world.at(gives_up, self._lost, connection, "keepalive")

    def frozen(self, process: Process, seconds: float) -> None:
        """Give a frozen client up once its keepalive is over; what was sent to it waits in its buffers."""
        for connection in list(self.connections.values()):
            if connection.process is process and connection.keepalive_s * _KEEPALIVE_SHARE < seconds:
                self.world.at(self._gives_up_ns(connection), self._end, connection, "keepalive")

    def cut(self, process: Process) -> None:
        """Reset a process's connections: both ends are told."""
        for connection in list(self.connections.values()):
            if connection.process is process:
                self._end(connection, "reset")

    def crash(self, seconds: float, *, forgets: bool) -> None:
        """End every connection and what was on its way; come back later, with or without what was retained."""
        self.world.note("broker", "crash", f"{seconds:.1f} s", "forgets" if forgets else "remembers")
        self._down_until_ns = self.world.now_ns + int(seconds * SECOND)
        for connection in list(self.connections.values()):
            connection.known = False
            self._lost(connection, "the broker went away")
        self.connections.clear()
        if forgets:
            self.retained.clear()

    def heal(self) -> None:
        """End every partition and outage, and whatever an intruder does."""
        self.retain_next = 0
        self.keep_back.clear()
        self._away_until.clear()
        self._down_until_ns = 0

    def inject(self, client: str, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Let someone on the wire give a client a message."""
        connection = self.connections.get(client)
        if connection is not None:
            self.world.note("intruder", "injects", topic.rsplit("/", 1)[1], "retained" if retained else "")
            self._down(connection, topic, payload, retained=retained)

    # Inside.

    def _arrived(
        self,
        connection: Connection,
        topic: str,
        payload: bytes,
        retain: bool,  # noqa: FBT001
        acked: Callable[[], None] | None,
    ) -> None:
        if not connection.known:
            return
        if acked is not None:
            back = max(
                connection.last_down_ns + 1, self._start_ns(connection) + self.world.latency(*self.noise.delay_ms)
            )
            connection.last_down_ns = back
            self.world.at(back, self._acked, connection, acked)
        self._route(topic, payload, retain=retain)

    def _acked(self, connection: Connection, acked: Callable[[], None]) -> None:
        if connection.up:
            connection.process.hand_in(acked)

    def _route(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain:
            self.retained[topic] = payload
        kept = False
        if topic.endswith(Channel.COMMANDS.value):
            keeps = self.keep_back.get(topic)
            if keeps is not None and keeps(payload):
                del self.keep_back[topic]
                self.world.note("intruder", "keeps back", topic)
                return
            kept = self.retain_next > 0
            self.on_command(payload, kept)
            if kept:
                self.retain_next -= 1
                self.world.note("intruder", "retains", topic)
            elif len(self.captured) < _CAPTURED_MAX:
                self.captured.append((topic, payload))
        for connection in list(self.connections.values()):
            if _wants(connection, topic):
                self._down(connection, topic, payload, retained=kept)

    def _down(self, connection: Connection, topic: str, payload: bytes, *, retained: bool) -> None:
        world, noise = self.world, self.noise
        chance = world.random.random
        # Presence is said once a session, so a broker that loses it in the middle of one would be another matter.
        steady = retained or topic == HUB_STATE or topic.endswith(Channel.PRESENCE.value)
        if noise.lost and not steady and chance() < noise.lost:
            world.note("broker", "loses", topic.rsplit("/", 1)[1], "for", connection.process.name)
            return
        arrives = self._start_ns(connection) + world.latency(*noise.delay_ms)
        if noise.late and chance() < noise.late:
            arrives += int(chance() * _LATE_MS * MS)
        else:
            arrives = connection.last_down_ns = max(connection.last_down_ns + 1, arrives)
        world.at(arrives, self._delivered, connection, topic, payload, retained)
        if noise.twice and chance() < noise.twice:
            again = arrives + int(chance() * _LATE_MS * MS)
            world.at(again, self._delivered, connection, topic, payload, retained)

    def _delivered(self, connection: Connection, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
        if connection.up and connection.process.alive:
            connection.process.hand_in(_take, connection, topic, payload, retained)

    def _goodbye(self, connection: Connection) -> None:
        if connection.known:
            connection.will = None
            self._end(connection, "disconnected")

    def _client_gone(self, connection: Connection) -> None:
        connection.up = False
        if connection.known:
            notices = self._gives_up_ns(connection) if self._partitioned(connection) else self.world.now_ns + 5 * MS
            self.world.at(notices, self._end, connection, "the client is gone")

    def _end(self, connection: Connection, why: str) -> None:
        """End a connection at the broker's side; the client hears of it if the network lets it."""
        if not connection.known:
            return
        connection.known = False
        if self.connections.get(connection.client) is connection:
            del self.connections[connection.client]
        self.world.note("broker", "ends", connection.process.name, connection.client, why)
        if connection.will is not None:
            topic, payload = connection.will
            self.world.after(self.will_delay_s, lambda: self._route(topic, payload, retain=True))
        hears = self._start_ns(connection) + self.world.latency(*self.noise.delay_ms)
        self.world.at(max(hears, connection.last_down_ns + 1), self._lost, connection, why)

    def _lost(self, connection: Connection, why: str) -> None:
        if connection.up:
            connection.process.hand_in(_hear_of_loss, connection, why)

    def _partitioned(self, connection: Connection) -> bool:
        return self.world.now_ns < self._away_until.get(connection.process.name, 0)

    def _gives_up_ns(self, connection: Connection) -> int:
        return self.world.now_ns + int(connection.keepalive_s * _KEEPALIVE_SHARE * SECOND)

    def _start_ns(self, connection: Connection) -> int:
        return max(self.world.now_ns, self._away_until.get(connection.process.name, 0))


def _take(connection: Connection, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001
    if connection.up:
        connection.deliver(topic, payload, retained)


def _hear_of_loss(connection: Connection, why: str) -> None:
    if connection.up:
        connection.up = False
        connection.lost(why)


def _wants(connection: Connection, topic: str) -> bool:
    return _matches(connection.filters, topic)


@lru_cache(maxsize=4096)
def _matches(filters: tuple[str, ...], topic: str) -> bool:
    levels = topic.split("/")
    for topic_filter in filters:
        if topic_filter == topic:
            return True
        if "+" in topic_filter:
            wanted = topic_filter.split("/")
            if len(wanted) == len(levels) and all(
                w in {"+", level} for w, level in zip(wanted, levels, strict=True)
            ):
                return True
    return False
