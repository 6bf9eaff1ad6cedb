"""What a hub may configure: three settings by name, over those of the file, with the same limits."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from edge_agent.config import Config, DoorSettings, TelemetrySettings

log = logging.getLogger(__name__)

_SECTIONS: Final[dict[str, type[DoorSettings] | type[TelemetrySettings]]] = {
    "doors": DoorSettings,
    "telemetry": TelemetrySettings,
}
NAMES: Final = ("doors.left_open_s", "doors.open_detect_ms", "telemetry.period_s")


def read(args: Mapping[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return (settings by name, the names that are unknown or whose value is out of its limits).

    A number may come as text, as a command's `args` have no fractions: `"telemetry.period_s": "0.5"`.
    """
    settings: dict[str, float] = {}
    wrong: list[str] = []
    for name, value in args.items():
        if name not in NAMES:
            wrong.append(name)
            continue
        try:
            settings[name] = msgspec.convert(value, _TYPES[name], strict=not isinstance(value, str))
        except msgspec.ValidationError:
            wrong.append(name)
    return settings, tuple(wrong)


def kept_over(config: Config, kept: dict[str, str]) -> Config:
    """Return the configuration with the settings that `agent.db` has, as JSON, laid over it.

    One that this version does not know or allow is left out, and logged.
    """
    settings, wrong = read({name: msgspec.json.decode(value) for name, value in kept.items()})
    if wrong:
        log.warning("kept settings left out: unknown, or out of their limits", extra={"names": list(wrong)})
    return over(config, settings)


def over(config: Config, settings: dict[str, float]) -> Config:
    """Return the configuration with these settings laid over it."""
    doors, telemetry = config.doors, config.telemetry
    for name, value in settings.items():
        section, key = name.split(".")
        if section == "doors":
            doors = structs.replace(doors, **{key: value})
        else:
            telemetry = structs.replace(telemetry, **{key: value})
    return structs.replace(config, doors=doors, telemetry=telemetry)


def _type_of(name: str) -> object:
    section, key = name.split(".")
    return next(field.type for field in structs.fields(_SECTIONS[section]) if field.name == key)


_TYPES: Final = {name: _type_of(name) for name in NAMES}
