"""The `edge-agent` command: run one locker, check its configuration, or simulate a fleet."""

import argparse
import asyncio
import json
import logging
import math
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edge_agent import __version__, logs
from edge_agent.app import Agent, disk_thread, parts_of_machine
from edge_agent.config import Config, ConfigError, check_files, load
from edge_agent.disk import DiskError
from edge_agent.signature import KeyFileError, verifier
from wire.topics import is_locker_id

if TYPE_CHECKING:
    from edge_agent.simulator.fleet import Options

log = logging.getLogger(__name__)

_OK: Final = 0
_FAILED: Final = 1
_BAD_CONFIG: Final = 2
_RESTART: Final = 75
_STATUSES: Final = (
    "Exit status: 0 done, 1 failed, 2 wrongly asked or configured, 75 ended because the hub ordered a restart."
)
_T = TypeVar("_T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: see `edge-agent --help`."""
    parsed = _parser().parse_args(arguments)
    match parsed.command:
        case "run":
            return _with_config(parsed.config, _run)
        case "check-config":
            return _with_config(parsed.config, _check)
        case _:
            return _simulate(parsed)


def _with_config(path: Path, act: Callable[[Config], int]) -> int:
    try:
        return act(load(path))
    except (ConfigError, KeyFileError) as error:
        sys.stderr.write(f"edge-agent: {error}\n")
        return _BAD_CONFIG


def _check(config: Config) -> int:
    verifier(Path(config.hub.public_key_file))
    check_files(config)
    doors, boards = config.door_count, len(config.boards)
    broker = f"{config.mqtt.host}:{config.mqtt.port}"
    sys.stdout.write(f"{config.locker}: {doors} doors on {boards} boards, broker {broker}; fine\n")
    return _OK


def _run(config: Config) -> int:
    logs.set_up(config.log.level)

    async def agent(stop: asyncio.Event) -> bool:
        with disk_thread() as thread:
            return (await Agent(config, parts_of_machine(config, thread)).run(stop)).restart

    status = _OK
    try:
        if asyncio.run(_until_signal(agent)):
            status = _RESTART
    except* OSError as group:
        for error in group.exceptions:
            log.error("the agent cannot go on", extra={"why": str(error)})  # noqa: TRY400 - the text says it all
        status = _FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agent", description="The agent on a smart locker.", epilog=_STATUSES
    )
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
    add("--prefix", type=_prefix, default="locker", help="their ids are PREFIX-001 and on (default: %(default)s)")
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
    add("--drain-s", type=_positive, default=20.0, help="how long the end waits for receipts")
    add("--troubles", type=_share, default=0.0, help="how much goes wrong, 0 to 1 (default: %(default)s)")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="warning")
    add("--json", action="store_true", help="print what truly happened as one JSON object, last on stdout")


def _simulate(parsed: argparse.Namespace) -> int:
    # Only here: a locker needs no HTTP client.
    try:
        from edge_agent.simulator.fleet import OptionsError, simulate  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] in {"edge_agent", "wire"}:
            raise
        sys.stderr.write(
            f"edge-agent simulate: {missing.name} is not installed: its people ask the hub over HTTP; "
            "pip install 'lockerhub[hub,edge]'.\n"
        )
        return _BAD_CONFIG

    logs.set_up(parsed.log_level)
    account: dict[str, Any] = {}
    try:
        account = asyncio.run(_until_signal(lambda stop: simulate(_options(parsed), stop)))
    except* (OptionsError, DiskError) as group:
        for error in group.exceptions:
            sys.stderr.write(f"edge-agent simulate: {error}\n")
    if not account:
        return _BAD_CONFIG
    if parsed.json:
        sys.stdout.write(json.dumps(account, separators=(",", ":")) + "\n")
    return _OK if account["drained"] else _FAILED


def _options(parsed: argparse.Namespace) -> "Options":
    from edge_agent.simulator.fleet import Options  # noqa: PLC0415

    host, port = parsed.broker
    return Options(
        lockers=parsed.lockers,
        prefix=parsed.prefix,
        doors=parsed.doors,
        broker_host=host,
        broker_port=port,
        hub_url=parsed.hub_url,
        token_file=parsed.token_file,
        hub_key=parsed.hub_key,
        password_file=parsed.password_file,
        data=parsed.data,
        seed=parsed.seed,
        speed=parsed.speed,
        seconds=parsed.seconds,
        link=parsed.link,
        poll_ms=parsed.poll_ms,
        telemetry_period_s=parsed.telemetry_period_s,
        drain_s=parsed.drain_s,
        troubles=parsed.troubles,
    )


async def _until_signal(work: Callable[[asyncio.Event], Awaitable[_T]]) -> _T:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await work(stop)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:  # noqa: PLR2004 - TCP's highest port
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _prefix(text: str) -> str:
    if not is_locker_id(f"{text}-00001"):
        raise argparse.ArgumentTypeError(f"{text!r} makes no locker ids: 1 to 26 of a-z, 0-9 and - are needed")
    return text
