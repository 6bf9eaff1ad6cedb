"""`hub run` as a process, and its API as a client sees it."""

import re
import sys
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.processes import HOST, free_port, run
from bench.rig import ROOT
from faults.broker import Broker
from faults.database import Database
from faults.process import Process
from faults.waiting import until
from hub.keys import public_path

_START_S: Final = 30.0
_ASK_S: Final = 4.0
_OK: Final = 200
SETTINGS: Final = {
    "HUB_LOG_LEVEL": "info",
    "HUB_LOG_FORMAT": "json",
    # Real settings, but a fault shall be over soon.
    "HUB_MQTT_RECONNECT_S_MAX": "1",
    "HUB_MQTT_KEEPALIVE_S": "3",
    "HUB_SERVICE_SPREAD_S": "0.3",
    "HUB_DATABASE_STATEMENT_TIMEOUT_MS": "3000",
    "HUB_DATABASE_CONNECT_TIMEOUT_S": "2",
    "HUB_COMMANDS_PER_LOCKER_PER_MINUTE": "6000",
    "HUB_COMMANDS_FLEET_PER_MINUTE": "60000",
    "HUB_INTAKE_SILENT_AFTER_S": "8",
}


class Hub:
    """One hub; start and kill it by `process`."""

    def __init__(self, name: str, directory: Path, broker: Broker, mqtt_port: int, database: Database) -> None:
        self.key_file = directory / "command_key.pem"
        self.public_key_file = public_path(self.key_file)
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.deadline_ms = 2000
        self.process = Process(
            name,
            [sys.executable, "-m", "hub", "run"],
            directory / f"{name}.log",
            environment={
                **SETTINGS,
                "HUB_MQTT_PORT": str(mqtt_port),
                "HUB_MQTT_PASSWORD_FILE": str(broker.hub_password_file),
                "HUB_DATABASE_DSN": database.dsn,
                "HUB_HTTP_PORT": str(self.port),
                "HUB_COMMANDS_KEY_FILE": str(self.key_file),
                "HUB_RETENTION_DIRECTORY": str(directory / "retention"),
                "HUB_RETENTION_KEY_FILE": str(directory / "retention_key.pem"),
            },
            cwd=ROOT,
        )
        self._client: aiohttp.ClientSession | None = None

    def command(self, *arguments: str) -> str:
        """Run `hub …` to its end."""
        return run([sys.executable, "-m", "hub", *arguments], environment=self.process.environment, cwd=ROOT)

    async def start(self, **environment: str) -> float:
        """Start it, and wait until it is ready; returns how long that took."""
        self.process.start(**environment)
        return await self.ready()

    async def ready(self) -> float:
        """Wait until `/readyz` says so."""
        return await until(self._is_ready, _START_S, f"{self.process.name} is ready")

    async def waiting(self) -> float:
        """Wait until it is a standby of another hub that is active."""
        return await until(self._is_waiting, _START_S, f"{self.process.name} is a standby")

    async def kill(self) -> None:
        """Kill -9."""
        await self.process.kill()

    @property
    def client(self) -> aiohttp.ClientSession:
        """The HTTP client of this hub."""
        if self._client is None or self._client.closed:
            self._client = aiohttp.ClientSession(
                self.url, timeout=aiohttp.ClientTimeout(total=_ASK_S), connector=aiohttp.TCPConnector(limit=0)
            )
        return self._client

    async def ask(self, method: str, path: str, **parameters: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 - aiohttp's
        """Return status and answer; status 0 where no answer came."""
        try:
            async with self.client.request(method, path, **parameters) as response:
                return response.status, await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return 0, {"code": type(error).__name__}

    async def metric(self, name: str, labels: str = "") -> float:
        """Return one metric, summed over its labels; `labels` must stand in the line. 0.0 where there is none."""
        try:
            async with self.client.get("/metrics") as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0.0
        lines = re.findall(rf"^{name}(\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for found, value in lines if labels in found)

    async def close(self) -> None:
        """Stop it."""
        self.process.thaw()
        if self._client is not None:
            await self._client.close()
        await self.process.stop()

    async def _is_waiting(self) -> bool:
        if not self.process.alive:
            return False
        _, said = await self.ask("GET", "/readyz")
        return "is active" in str(said.get("checks", {}).get("lease"))

    async def _is_ready(self) -> bool:
        if not self.process.alive:
            return False
        return (await self.ask("GET", "/readyz"))[0] == _OK
