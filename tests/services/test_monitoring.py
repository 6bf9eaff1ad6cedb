"""Prometheus and Grafana: the files as they are shipped, and each query against a hub that works."""

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from hub.metrics import Metrics
from tests.services.conftest import ROOT, ended, free_port, program

CONFIG = ROOT / "dashboards/prometheus/prometheus.yml"
ALERTS = ROOT / "dashboards/prometheus/alerts.yml"
ALERTS_TEST = Path(__file__).with_name("alerts.test.yml")
GRAFANA = ROOT / "dashboards/grafana"
DATA_S_MAX = 60.0


def load(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = spec_from_file_location("grafana_build", GRAFANA / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GRAFANA / "json/overview.json").read_text())
    return loaded


def queries(dashboard: dict[str, Any]) -> dict[str, str]:
    """Each query under its panel's title, with Grafana's variable filled in."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "15s")
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }


def test_the_dashboard_in_the_repository_is_the_generated_one(build: ModuleType) -> None:
    assert (GRAFANA / "json/overview.json").read_text() == build.text()


def test_panels_do_not_overlap_and_fit(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_grafana_finds_the_datasource_and_the_dashboards(dashboard: dict[str, Any]) -> None:
    [datasource] = load(GRAFANA / "provisioning/datasources/prometheus.yaml")["datasources"]
    used = {target["datasource"]["uid"] for panel in dashboard["panels"] for target in panel.get("targets", [])}
    assert used == {datasource["uid"]}
    services = load(ROOT / "docker-compose.yml")["services"]
    assert urllib.parse.urlsplit(datasource["url"]).hostname in services
    [provider] = load(GRAFANA / "provisioning/dashboards/lockerhub.yaml")["providers"]
    assert f"./dashboards/grafana/json:{provider['options']['path']}:ro" in services["grafana"]["volumes"]


@pytest.mark.services
def test_promtool_accepts_the_configuration() -> None:
    subprocess.run(
        [program("promtool"), "check", "config", "--syntax-only", CONFIG], check=True, capture_output=True
    )


def alerts() -> list[dict[str, Any]]:
    return [rule for group in load(ALERTS)["groups"] for rule in group["rules"] if "alert" in rule]


def test_prometheus_finds_the_alerts_beside_its_configuration() -> None:
    assert [CONFIG.parent / name for name in load(CONFIG)["rule_files"]] == [ALERTS]
    services = load(ROOT / "docker-compose.yml")["services"]
    assert "./dashboards/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]


def test_alerts_speak_of_metrics_that_the_hub_has() -> None:
    metrics = Metrics("0")
    known = {name for one in metrics.registry.collect() for name in (one.name, f"{one.name}_total")}
    used = set(re.findall(r"\blockerhub_\w+", " ".join(rule["expr"] for rule in alerts())))
    assert used
    assert used - known == set()


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    operations = (ROOT / "docs/operations.md").read_text()
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert f"`{rule['alert']}`" in operations


def test_every_alert_is_tested() -> None:
    text = ALERTS_TEST.read_text()
    assert [rule["alert"] for rule in alerts() if rule["alert"] not in text] == []


@pytest.mark.services
@pytest.mark.parametrize(("command", "path"), [(["check"], ALERTS), (["test"], ALERTS_TEST)])
def test_promtool_accepts_the_alerts(command: list[str], path: Path) -> None:
    done = subprocess.run(
        [program("promtool"), *command, "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.services
def test_promtool_accepts_every_query(dashboard: dict[str, Any], tmp_path: Path) -> None:
    rules = [
        {"record": "q" + re.sub(r"\W", "_", title), "expr": expr} for title, expr in queries(dashboard).items()
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    subprocess.run([program("promtool"), "check", "rules", tmp_path / "rules.yml"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def without_data(dashboard: dict[str, Any]) -> Iterator[tuple[dict[str, str], str]]:
    """Return the queries that have no data a minute after a demo began, if there are any, and what was logged.

    It takes long until every part of a hub has had work, and Prometheus has seen it twice.
    """
    prometheus = program("prometheus")
    page, port = free_port(), free_port()
    config = load(CONFIG)
    config["global"] = {"scrape_interval": "1s"}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "lockerhub"]
    # The demo serves this machine only and needs no token.
    del config["scrape_configs"][0]["authorization"]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{page}"]}]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        # Root's demo runs its PostgreSQL as `nobody`.
        place.chmod(0o755)
        (place / "prometheus.yml").write_text(yaml.safe_dump(config))
        (place / "alerts.yml").write_text(ALERTS.read_text())
        hub = [str(Path(sys.executable).with_name("hub")), "demo", "--lockers", "10", "--speed", "600"]
        hub += ["--port", str(page), "--data", str(place / "demo")]
        watch = [prometheus, f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/metrics"]
        watch += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        with (place / "log").open("wb") as said:
            demo = subprocess.Popen(hub, stdout=said, stderr=said, cwd=place)
            with ended(demo), ended(subprocess.Popen(watch, stdout=said, stderr=said)):
                empty = queries(dashboard)
                deadline = time.monotonic() + DATA_S_MAX
                while empty and demo.poll() is None and time.monotonic() < deadline:
                    ask(f"http://127.0.0.1:{page}/api/v1/lockers")
                    empty = {title: expr for title, expr in empty.items() if not has_data(port, expr)}
                    time.sleep(0.5)
                yield empty, (place / "log").read_text()


@pytest.mark.services
def test_every_query_has_data_when_prometheus_watches_a_working_hub(
    without_data: tuple[dict[str, str], str],
) -> None:
    empty, log = without_data
    assert empty == {}, log[-4000:]


def has_data(port: int, expr: str) -> bool:
    """Say whether a query returns at least one number that is one."""
    answer = ask(f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
    return answer is not None and any(series["value"][1] != "NaN" for series in answer["data"]["result"])


def ask(url: str) -> Any:  # noqa: ANN401 - JSON
    """Return the answer as JSON, or None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return None
    except OSError:
        return None
