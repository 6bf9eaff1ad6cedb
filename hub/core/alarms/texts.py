"""What is told to people of each type of alarm: what, what it leads to, what to do. `{door}` is `door 3`."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Text:
    """Of one type."""

    what: str
    consequence: str
    todo: str
    bare: str | None = None
    """`what` where the value is not known, or is one of something else: a rule may raise any type by anything."""

    def said(self, door: int | None, value: float | None, unit: str | None, sensor: str | None = None) -> str:
        """Return what happened, as a sentence. A value is in it where it is known and is of the text's own sort."""
        fits = value is not None and ("{unit}" in self.what) == bool(unit)
        what = (self.what if self.bare is None or fits else self.bare).format(
            door="a door" if door is None else f"door {door}",
            value="" if value is None else f"{value:g}",
            unit=unit or "",
            sensor="sensor" if sensor is None else f"{sensor} sensor",
        )
        return what[0].upper() + what[1:]


TEXTS: Final[dict[str, Text]] = {
    "door.forced": Text(
        "{door} was opened by force",
        "What is behind it may be taken; the lock may be broken.",
        "Look at the door, or at its camera. Close it; if it does not lock, take it out of service.",
    ),
    "door.left_open": Text(
        "{door} was left open",
        "Anybody can reach in, and nobody else can use the door.",
        "Ask the last person to close it, or have it closed. If it is closed, its sensor is wrong.",
    ),
    "door.open_not_detected": Text(
        "{door} was told to open and was not seen open",
        "Somebody stands before a shut door.",
        "Have the door pressed in and open it once more. If it clicks and stays shut, it is jammed.",
    ),
    "door.jammed": Text(
        "{door} is jammed",
        "Nobody gets at what is inside, however often it is opened.",
        "Take the door out of service; open it with the key, look for what presses against the latch.",
    ),
    "sensor.fault": Text(
        "The {sensor} of {door} does not work",
        "Whether it is open (hook), or has something in it (item), is not known; a forced door may not be noticed.",
        "Check the cable and the switch of that sensor. Openings go on working meanwhile.",
    ),
    "occupancy.mismatch": Text(
        "Something was put into {door} or taken out of it while it was closed",
        "The item is not where it should be, or the sensor is wrong.",
        "Open the door and look; compare with the transaction. If all is well, clean the item sensor.",
    ),
    "tamper": Text(
        "The tamper contact was triggered",
        "Somebody works at the cabinet or at its electronics.",
        "Look at the site at once, or call whoever guards it. Do not open doors from here meanwhile.",
    ),
    "temperature.high": Text(
        "It is too hot in the locker: {value} {unit}",
        "Batteries age and may catch fire; electronics fail.",
        "Stop charging, open the ventilation, look for the cause. Clear the locker above 60 °C.",
        bare="It is too hot in the locker",
    ),
    "power.lost": Text(
        "The locker has no mains power",
        "It goes on by its battery, and then nobody gets in or out.",
        "Check the fuse and the plug; ask the site about an outage.",
    ),
    "battery.low": Text(
        "The locker's battery is low: {value} {unit}",
        "Without mains power the locker stops soon.",
        "Restore the mains power; replace the battery if it does not charge.",
        bare="The locker's battery is low",
    ),
    "board.offline": Text(
        "A lock board does not answer",
        "Its doors cannot be opened, and what they do is not known.",
        "Check the board's power and its bus cable (A and B, terminator). Restart the locker if both are fine.",
    ),
    "locker.offline": Text(
        "The locker cannot be reached",
        "It cannot be opened from here; codes that it knows still work.",
        "Check its power and network. It sends all that happened once it is back.",
    ),
    "site.offline": Text(
        "{value} lockers of the site cannot be reached",
        "None of them can be opened from here.",
        "Ask the site about power and network before you look at single lockers.",
        bare="Many lockers of the site cannot be reached",
    ),
    "broker.offline": Text(
        "The hub does not reach its broker",
        "No locker can be opened from here, and none is heard; codes that they know still work.",
        "Check that the broker runs, and the network between it and the hub. Lockers keep their events.",
    ),
    "access.lockout": Text(
        "Access was denied {value} times in a short time",
        "Somebody tries codes or badges, or somebody's own does not work.",
        "Look at the events; ask who stands there. Replace codes that may be known to others.",
        bare="Access was denied many times in a short time",
    ),
    "mass_opening": Text(
        "{value} doors were opened in a short time, and no job asked for it",
        "Much may be taken at once; an operator's token or a master key may be in wrong hands.",
        "Look at who opened them (audit, commands). If nobody did, guard the site and change the tokens.",
        bare="Many doors were opened in a short time, and no job asked for it",
    ),
    "outbox.age": Text(
        "The locker is behind with what it has to tell: {value} {unit}",
        "What is shown of it is old; its disk may fill up.",
        "Check its network. It catches up by itself; if it does not, restart its agent.",
        bare="The locker is behind with what it has to tell",
    ),
    "clock.unset": Text(
        "The locker does not know what time it is",
        "Times of its events are guessed by the hub; codes with a date may be refused.",
        "Check that it reaches its time server, and the battery of its clock.",
    ),
    "ledger.gap": Text(
        "The locker has lost events for good",
        "What happened in that time is not known, and will never be.",
        "`hub ledger show` names the numbers. Check the locker's disk and whether its outbox was full.",
    ),
    "ledger.cloned": Text(
        "Two machines write under the name of one locker",
        "Nobody can say which of them is the real one; nothing is lost.",
        "Find the second machine: a copied disk, or a file that was put back. Give one of them a new name.",
    ),
    "ledger.epochs": Text(
        "The locker begins its ledger anew again and again",
        "Its newest events stay on it, until there is room for one more epoch.",
        "Its disk loses what it writes, or somebody makes ledgers up: look at the disk, or change its password.",
    ),
}

TYPES: Final = frozenset(TEXTS)
DOOR_TYPES: Final = frozenset(
    {
        "door.forced", "door.left_open", "door.open_not_detected", "door.jammed", "sensor.fault",
        "occupancy.mismatch", "tamper", "access.lockout",
    }
)  # fmt: skip
"""Those that may be of one door; the others are of a locker, or of more."""
SENSOR_TYPES: Final = frozenset({"sensor.fault"})
"""Those of them that are of one sensor of the door: it has a hook and an item sensor, and each fails for itself."""
SENSORS: Final = ("hook", "item")
