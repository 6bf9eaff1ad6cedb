"""The rules: those of a file, or those that come with the hub."""

from importlib.resources import files
from pathlib import Path

from hub.core.alarms.rules import AlarmRules, RulesError, parse_rules
from hub.errors import ConfigError


def read_rules(path: str | None) -> AlarmRules:
    """Read them. Raises ConfigError with what is wrong, where, and what would be right."""
    try:
        if path is None:
            data = files("hub.core.alarms").joinpath("rules.toml").read_bytes()
        else:
            data = Path(path).read_bytes()
        return parse_rules(data)
    except OSError as error:
        raise ConfigError(f"alarms.rules_file: cannot read {path}: {error.strerror}") from None
    except RulesError as error:
        raise ConfigError(f"alarms.rules_file: {path or 'the default rules'}: {error}") from None
