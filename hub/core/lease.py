"""The lease: which one of several hubs with the same broker accounts is active.

Only one connection may have a client id at the broker, so two active hubs would throw each other out for ever. The
lease is a row of the database: the active hub renews it, and the others wait as standbys. A standby takes it

- at once where it was released,
- once the database session of its holder has been gone for `GONE_S`: the holder's process died,
- once it has expired by the database's clock: the holder is cut off from the database, frozen, or its machine died.

A database that was restarted took all sessions with it, so there only the expiry counts. A holder that loses the
database stays active; what it cannot renew, nobody can take without that database either.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

GONE_S: Final = 1.0
"""How long a holder whose database connection broke has to come back with another one."""
RENEWALS_PER_LEASE: Final = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """The row at one moment, seen by the database's clock."""

    holder: UUID | None
    expires_in_s: float
    """Until the lease runs out; negative: it has."""
    renewed_ago_s: float
    """Since the last renewal; negative: the database's clock was put back since."""
    session_gone: bool
    """The session in which the holder renewed it has ended, and not because the database was restarted."""
    renewals: int
    """Counts every change of the row."""


class LeaseVerdict(StrEnum):
    """What a hub does about the lease now."""

    HOLD = "hold"
    TAKE = "take"
    WAIT = "wait"


class Loss(StrEnum):
    """How the broker ended a connection that was up."""

    TAKEN_OVER = "taken over"
    """It said that another client has the session (MQTT 5, 0x8E; Mosquitto before 2.0.15 does not say it)."""
    SOON = "soon"
    """Without that reason, and soon after it came up: as two hubs do that throw each other out."""
    LATER = "later"
    """Without that reason: most often a broker that was restarted."""


def may_be_another_hub(loss: Loss, unrenewed_s: float, lease_s: float) -> bool:
    """Say whether a hub that cannot ask the database has to take a loss for the work of another hub.

    `unrenewed_s` is the time since its last renewal: within `lease_s` the lease cannot have expired.
    """
    return loss is Loss.TAKEN_OVER or (loss is Loss.SOON and unrenewed_s >= lease_s)


class LeaseWatch:
    """One hub's view of the lease over time."""

    def __init__(self, hub: UUID, lease_s: float) -> None:
        self._hub = hub
        self._lease_ms = lease_s * 1000
        self._renewals: int | None = None
        self._unchanged_since_ms = 0.0
        self._gone_since_ms: float | None = None

    def judge(self, standing: Standing, now_ms: float) -> LeaseVerdict:
        """Decide, with the row as it stands. `now_ms` is this hub's monotonic time."""
        if standing.renewals != self._renewals:
            self._renewals = standing.renewals
            self._unchanged_since_ms = now_ms
            self._gone_since_ms = None
        if not standing.session_gone:
            self._gone_since_ms = None
        elif self._gone_since_ms is None:
            self._gone_since_ms = now_ms
        if standing.holder == self._hub:
            return LeaseVerdict.HOLD
        return LeaseVerdict.TAKE if self._is_free(standing, now_ms) else LeaseVerdict.WAIT

    def _is_free(self, standing: Standing, now_ms: float) -> bool:
        if standing.holder is None:
            return True
        if self._gone_since_ms is not None and now_ms - self._gone_since_ms >= GONE_S * 1000:
            return True
        if standing.renewed_ago_s < 0:
            # By a clock that was put back the lease could last for years: what is not renewed runs out by ours.
            return now_ms - self._unchanged_since_ms >= self._lease_ms
        return standing.expires_in_s <= 0


def lease_name(host: str, port: int, accounts: tuple[str, ...], machine: str) -> str:
    """Name the lease of all hubs that share their accounts at one broker.

    Args:
        host: the broker, as the hub is configured.
        port: its port.
        accounts: the usernames, which are the client ids too.
        machine: this machine's name. A broker on the loopback interface is another one on each machine.
    """
    where = f"{machine}/{host}" if host in {"localhost", "::1"} or host.startswith("127.") else host
    return f"{where}:{port} {' '.join(accounts)}"
