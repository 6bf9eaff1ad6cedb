"""Why an agent does not do what it is told: the `reason` of a reply, and of `command.finished`.

The one home of these words, for both sides. Their values go over the wire and into the database, and never
change. A reason may have more behind a colon (`bad_settings: telemetry.period_s`); an agent of a later version may
say others.
"""

from enum import StrEnum
from typing import Final


class AgentRefusal(StrEnum):
    """Why a command was rejected, or why it failed."""

    VERSION = "version"
    """It speaks another version of the protocol."""
    RETAINED = "retained"
    """It came as a retained message, which a hub never sends."""
    WRONG_LOCKER = "wrong_locker"
    BAD_SIGNATURE = "bad_signature"
    """Not signed by the hub's key that this locker has, or changed on its way."""
    ID_REUSED = "id_reused"
    """Its id came with another order before."""
    WRONG_BOOT = "wrong_boot"
    EXPIRED = "expired"
    TOO_FAR_AHEAD = "too_far_ahead"
    """Its deadline is further ahead than the locker lets any be: what the hub knows of its clock is wrong."""
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_DOOR = "unknown_door"
    NOT_EQUIPPED = "not_equipped"
    BAD_SETTINGS = "bad_settings"
    BAD_ARGS = "bad_args"
    CANCELLED = "cancelled"
    """A `cancel` came before it had acted."""
    BEACON_FAILED = "beacon_failed"
    BOARD_OFFLINE = "board_offline"
    BUSY = "busy"
    STORAGE = "storage"
    """The disk did not take it, so it did not begin."""


DISOWNED: Final = frozenset(
    {AgentRefusal.VERSION, AgentRefusal.RETAINED, AgentRefusal.WRONG_LOCKER, AgentRefusal.BAD_SIGNATURE}
)
"""Refusals of a copy that is not what the hub sent. They end nothing: the proper one may still come, and act."""
UNDELIVERED: Final = frozenset({AgentRefusal.WRONG_BOOT, AgentRefusal.EXPIRED, AgentRefusal.TOO_FAR_AHEAD})
"""Refusals of a delivery and not of what is asked: they do not end a durable command, which is sent again."""
UNRECORDED: Final = DISOWNED | {AgentRefusal.ID_REUSED}
"""Refusals that an agent keeps no record of: the order was not meant for it, or not under this id."""


def refusal_of(reason: str | None) -> AgentRefusal | None:
    """Return which refusal a reply's `reason` tells, whatever stands behind its colon; None for any other."""
    try:
        return AgentRefusal((reason or "").partition(":")[0])
    except ValueError:
        return None
