"""Build and parse topic names: `lh/v1/{shard}/{locker}/{channel}`.

A locker id is 1 to 32 characters of `a-z`, `0-9` and `-`: nothing in it can act as an MQTT wildcard, as a
level separator or as markup. The shard is the low byte of the id's CRC-32 in two hex digits, so that every
worker of a fleet can subscribe to its part without asking anyone.
"""

import re
from enum import StrEnum
from typing import Final
from zlib import crc32

from wire.errors import Reason, WireError

PREFIX: Final = "lh/v1"
HUB_STATE: Final = f"{PREFIX}/hub/state"

_LOCKER = re.compile(r"[a-z0-9-]{1,32}")


class Channel(StrEnum):
    """The last level of a locker's topic."""

    PRESENCE = "presence"
    EVENTS = "events"
    TELEMETRY = "telemetry"
    REPLIES = "replies"
    COMMANDS = "commands"
    RECEIPTS = "receipts"


_CHANNELS: Final = {channel.value: channel for channel in Channel}


def is_locker_id(text: str) -> bool:
    """Say whether `text` is a well-formed locker id."""
    return _LOCKER.fullmatch(text) is not None


def shard_of(locker: str) -> str:
    """Return the shard of a locker: two lower-case hex digits."""
    return f"{crc32(locker.encode()) & 0xFF:02x}"


def topic_of(locker: str, channel: Channel) -> str:
    """Return the topic of one channel of one locker. The id must be well formed."""
    return f"{PREFIX}/{shard_of(locker)}/{locker}/{channel.value}"


def subscription(channel: Channel, shard: str = "+") -> str:
    """Return the filter that matches `channel` of every locker, or of one shard's lockers."""
    return f"{PREFIX}/{shard}/+/{channel.value}"


def parse(topic: str) -> tuple[str, Channel]:
    """Take a topic apart into locker id and channel.

    Raises:
        WireError: the topic is not of this protocol; `reason` is `Reason.TOPIC`.
    """
    levels = topic.split("/")
    if len(levels) != 5 or levels[0] != "lh" or levels[1] != "v1":  # noqa: PLR2004 - the shape above
        raise WireError(Reason.TOPIC, f"{topic[:120]!r} is not {PREFIX}/{{shard}}/{{locker}}/{{channel}}")
    _, _, shard, locker, name = levels
    channel = _CHANNELS.get(name)
    if channel is None:
        raise WireError(Reason.TOPIC, f"{name[:40]!r} is not a channel; one of {', '.join(_CHANNELS)} is")
    if not is_locker_id(locker):
        raise WireError(Reason.TOPIC, f"{locker[:40]!r} is not a locker id: 1 to 32 of a-z, 0-9 and -")
    if shard != shard_of(locker):
        raise WireError(Reason.TOPIC, f"shard {shard[:8]!r} is not {shard_of(locker)!r}, the shard of {locker}")
    return locker, channel
