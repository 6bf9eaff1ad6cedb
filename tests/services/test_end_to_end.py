"""The main job, end to end, in processes of their own: what a newcomer and what an operator would start."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright, expect

from tests.dashboards.conftest import FLAGS
from tests.services.conftest import MosquittoBroker, ended, free_port, missing, mosquitto, wait_for

pytestmark = pytest.mark.services
BIN = Path(sys.executable).parent
LOCKERS = [f"locker-{number:03d}" for number in range(1, 6)]


@pytest.fixture(scope="module", name="mosquitto_broker")
def one_of_its_own() -> Iterator[MosquittoBroker]:
    """A broker to which this fleet's lockers may leave their last word."""
    with mosquitto() as running:
        yield running


@contextmanager
def child(arguments: list[str], folder: Path, name: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one of our programs; its output goes to files in `folder`."""
    with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.err").open("wb") as err:
        process = subprocess.Popen(
            [str(BIN / arguments[0]), *arguments[1:]], stdout=out, stderr=err, env={**os.environ, **environment}
        )
        with ended(process):
            yield process


def get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as response:
        found: dict[str, Any] = json.load(response)
        return found


def wait_until_online(url: str, lockers: int, process: "subprocess.Popen[bytes]", errors: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            online = get(f"{url}/api/v1/lockers?state=online&limit=500")["items"]
        except OSError:
            online = []
        if len(online) == lockers:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{len(online)} of {lockers} lockers are online:\n{errors.read_text()[-4000:]}")
        time.sleep(0.1)


def agent_starts(url: str) -> list[str]:
    """Return the epoch of every start of the agent that is stored."""
    return [event["epoch"] for event in get(f"{url}/events?kind=agent.started")["items"]]


def all_starts_are_stored(url: str, starts: int) -> bool:
    return len(agent_starts(url)) == starts


def last_object(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes().strip().splitlines()[-1])
    return found


async def test_the_demo_opens_a_door_from_the_page_and_loses_nothing(open_dir: Path) -> None:
    chromium = os.environ.get("PLAYWRIGHT_CHROMIUM") or shutil.which("chromium") or missing("chromium")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # Slow enough that nobody else is likely to want the same door in the same second.
    arguments = ["hub", "demo", "--lockers", "25", "--speed", "6", "--json", "--port", str(port)]
    arguments += ["--data", str(open_dir / "demo")]
    complaints: list[str] = []
    with child(arguments, open_dir, "demo") as demo:
        wait_until_online(url, 25, demo, open_dir / "demo.err")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await browser.new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"{url}/lockers")
            await expect(page.locator('[data-locker="locker-007"]')).to_be_visible()
            await page.goto(f"{url}/lockers/locker-007")
            await page.locator('[data-door="6"]').click()
            await page.get_by_role("button", name="Open door 6…").click()
            await page.get_by_label("Reason").fill("hand-over")
            await page.get_by_role("dialog").get_by_role("button", name="Open door 6").click()
            await expect(page.get_by_role("dialog")).to_contain_text("Door 6 opened")
            await expect(page.get_by_role("dialog")).to_contain_text("Door seen open")
            await browser.close()
        command = get(f"{url}/api/v1/lockers/locker-007")["commands"][0]
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 0
    assert (command["state"], command["reason"], command["outcome"]) == ("succeeded", "hand-over", "opened")
    assert list(command["stages_ms"].values()) == sorted(command["stages_ms"].values())
    account = last_object(open_dir / "demo.out")
    assert account["events"]["lost"] == account["events"]["duplicate"] == 0
    assert account["events"]["produced"] == account["events"]["stored"] > 0
    assert account["telemetry"]["stored"] == account["telemetry"]["produced"]
    assert account["commands"]["succeeded"] == account["commands"]["sent"]
    assert complaints == []


def test_a_second_start_of_the_demo_finds_its_data_again(open_dir: Path) -> None:
    arguments = ["hub", "demo", "--lockers", "2", "--json", "--data", str(open_dir / "demo")]
    sessions = []
    for starts in (1, 2):
        port = free_port()
        url = f"http://127.0.0.1:{port}/api/v1/lockers/locker-001"
        with child([*arguments, "--port", str(port)], open_dir, "demo") as demo:
            wait_until_online(f"http://127.0.0.1:{port}", 2, demo, open_dir / "demo.err")
            stored = partial(all_starts_are_stored, url, starts)
            wait_for(stored, "Its starts were not stored", demo, open_dir / "demo.err")
            assert len(set(agent_starts(url))) == 1, "one ledger, one epoch"
            sessions.append(get(url)["session"])
            demo.send_signal(signal.SIGINT)
            assert demo.wait(60) == 0
        account = last_object(open_dir / "demo.out")
        assert account["events"]["lost"] == account["events"]["duplicate"] == 0
    assert sessions[0] == 1
    assert sessions[1] > 1, "a later session has a higher number"


def test_a_fleet_on_mosquitto_and_postgresql_loses_nothing(
    mosquitto_broker: MosquittoBroker, postgres_dsn: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    key = tmp_path / "command_key.pem"
    passwords = tmp_path / "passwords"
    passwords.write_text("".join(f"{one}:{mosquitto_broker.locker_password(one)}\n" for one in LOCKERS))
    passwords.chmod(0o600)
    (tmp_path / "hub.toml").write_text(
        f'[mqtt]\nport = {mosquitto_broker.port}\npassword_file = "{mosquitto_broker.hub_password_file}"\n'
        f'[database]\ndsn = "{postgres_dsn}"\n[http]\nport = {port}\n[commands]\nkey_file = "{key}"\n'
        f'[retention]\ndirectory = "{tmp_path}/retention"\nkey_file = "{tmp_path}/retention_key.pem"\n'
    )
    config = ["--config", str(tmp_path / "hub.toml")]
    for arguments in (["key", "make", str(key)], ["migrate", *config], ["check-config", *config]):
        subprocess.run([BIN / "hub", *arguments], check=True, capture_output=True)
    subprocess.run([BIN / "hub", "locker", "add", *LOCKERS, *config], check=True, capture_output=True)
    simulate = [
        *("edge-agent", "simulate", "--lockers", "5", "--broker", f"127.0.0.1:{mosquitto_broker.port}"),
        *("--hub-url", url, "--hub-key", str(tmp_path / "command_key.pub.pem"), "--password-file", str(passwords)),
        *("--data", str(tmp_path / "fleet"), "--speed", "300", "--json"),
    ]
    with child(["hub", "run", *config], tmp_path, "hub") as hub:
        with child(simulate, tmp_path, "fleet") as fleet:
            wait_until_online(url, 5, fleet, tmp_path / "fleet.err")
            ready = {"ready": True, "checks": {"database": "ok", "broker": "ok", "tasks": "ok"}}
            assert get(f"{url}/readyz") == ready
            done = lambda: len(get(f"{url}/api/v1/commands?state=succeeded")["items"]) >= 3  # noqa: E731
            wait_for(done, "Three doors were not opened on command", fleet, tmp_path / "fleet.err")
            fleet.send_signal(signal.SIGTERM)
            assert fleet.wait(60) == 0
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(10) == 0
    truth = last_object(tmp_path / "fleet.out")
    assert truth["drained"]
    assert truth["commands"]["succeeded"] == truth["commands"]["sent"] > 0
    reconciled = subprocess.run(
        [BIN / "hub", "reconcile", "--truth", tmp_path / "fleet.out", *config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert reconciled.returncode == 0, reconciled.stderr
    account = json.loads(reconciled.stdout)
    assert account["produced"] == account["stored"] > 0
