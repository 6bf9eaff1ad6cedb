"""The shares of lockers, as the settings have them."""

from hub.config.ingest import IngestSettings
from hub.core.epochs import EpochQuota
from hub.core.fairness import Shares


def message_shares(intake: IngestSettings, per_s: float, records_per_s: float | None = None) -> Shares:
    """Return shares of so many messages a second, and records where they are counted apart."""
    return Shares(
        messages_per_s=per_s, records_per_s=per_s if records_per_s is None else records_per_s,
        burst_s=intake.burst_s, lockers_max=intake.cursors_max,
    )  # fmt: skip


def record_shares(intake: IngestSettings) -> Shares:
    """Return shares of messages and of the events or samples in them."""
    return message_shares(intake, intake.messages_per_s_max, intake.records_per_s_max)


def epoch_shares(intake: IngestSettings) -> EpochQuota:
    """Return the shares of new epochs."""
    return EpochQuota(
        per_day_max=intake.epochs_per_day_max, per_locker_max=intake.epochs_per_locker_max,
        lockers_max=intake.cursors_max,
    )  # fmt: skip
