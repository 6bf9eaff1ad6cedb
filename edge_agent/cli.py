"""The `edge-agent` command: run one locker, check its configuration, or simulate a fleet."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_agent import __version__, logs
from edge_agent.config import Config, ConfigError, load

if TYPE_CHECKING:
    from edge_agent.simulate import Options

log = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_BAD_CONFIG: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0 done, 1 failed, 2 wrongly asked or configured."""
    parsed = _parser().parse_args(arguments)
    match parsed.command:
        case "run":
            return _with_config(parsed.config, _run)
        case "check-config":
            return _with_config(parsed.config, _check)
        case _:
            return _simulate(parsed)


def _with_config(path: Path, act: "type[object] | object") -> int:
    raise NotImplementedError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-agent", description="The agent on a smart locker.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in (
        ("run", "watch and drive one locker"),
        ("check-config", "read the configuration, say what is wrong with it, and do nothing"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, default=Path("edge.toml"), help="default: %(default)s")
    _add_simulate(commands.add_parser("simulate", help="run a fleet of simulated lockers against a real hub"))
    return parser


def _add_simulate(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--lockers", type=_whole(1, 99_999), default=25, help="how many (default: %(default)s)")
    add("--prefix", default="locker", help="their ids are PREFIX-001 and on (default: %(default)s)")
    add("--doors", type=_whole(1, 160), default=16, help="doors of each (default: %(default)s)")
    add("--broker", type=_address, default=("127.0.0.1", 1883), metavar="HOST:PORT")
    add("--hub-url", help="where people ask for doors; without it everybody has a key")
    add("--token-file", type=Path, help="a file with the hub's API token")
    add("--hub-key", type=Path, required=True, help="the hub's command key, public, PEM")
    add("--password-file", type=Path, help="lines of id:password for the broker")
    add("--data", type=Path, required=True, help="a directory for each locker's agent.db")
    add("--seed", type=int, default=1)
    add("--speed", type=_positive, default=60.0, help="how much faster people come (default: %(default)s)")
    add("--for", type=_positive, dest="seconds", metavar="SECONDS", help="stop after so long")
    add("--link", choices=("pty", "memory"), help="how boards are connected (default: pty up to 200 lockers)")
    add("--poll-ms", type=_whole(10, 60_000), default=50, help="default: %(default)s")
    add("--telemetry-period-s", type=_positive, default=5.0, help="default: %(default)s")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="warning")
    add("--json", action="store_true", help="print what truly happened as one JSON object, last on stdout")


def _simulate(parsed: argparse.Namespace) -> int:
    # Only here: a locker has no HTTP client.
    from edge_agent.disk import DiskError  # noqa: PLC0415
    from edge_agent.simulate import OptionsError, simulate  # noqa: PLC0415

    logs.set_up(parsed.log_level)
    try:
        account = asyncio.run(_until_signal(lambda stop: simulate(_options(parsed), stop)))
    except (OptionsError, DiskError, KeyError) as error:
        print(f"edge-agent simulate: {error}", file=sys.stderr)
        return _BAD_CONFIG
    if parsed.json:
        print(json.dumps(account, separators=(",", ":")))
    return _OK if account["drained"] else _FAILED
