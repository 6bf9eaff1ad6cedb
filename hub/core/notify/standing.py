"""What a receiver has to be told of an alarm as it stands, given what it knows: its state, and no history."""

from hub.core.alarms.alarm import Alarm, AlarmState
from hub.core.notify.notices import Known


def news(alarm: Alarm | None, known: Known | None) -> Known | None:
    """Return the change that makes a receiver know how an alarm stands; None: it does, or need not.

    Args:
        alarm: as it stands; None if it is open no more.
        known: what the receiver was told of it last.
    """
    if alarm is None or not alarm.active:
        # Whoever was told that it began is told that it is over, whatever suppresses it by then.
        return "cleared" if known in {"raised", "acked"} else None
    if alarm.suppressed is not None:
        return None
    if alarm.state is AlarmState.ACTIVE_ACKED:
        return "acked" if known == "raised" else None
    return "raised" if known in {None, "cleared"} else None
