"""Builds json/overview.json, the Grafana dashboard of a hub: `python dashboards/grafana/build.py`.

The metrics are those of hub/metrics/. Rows go from what is promised to people, over what comes in and goes out,
to what the process uses.
"""
# ruff: noqa: INP001 - a program beside what it makes, not a package

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).with_name("json") / "overview.json"
DATASOURCE: Final = {"type": "prometheus", "uid": "lockerhub-prometheus"}
RATE: Final = "$__rate_interval"
ZERO: Final = " or vector(0)"
"""For what has no line before it first happens."""
_COLUMNS: Final = 24
_HEIGHT: Final = 8


@dataclass(frozen=True)
class Query:
    """One PromQL expression and the name of its lines."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One picture. `unit` is Grafana's name of it; `red_from` is where a value is no longer fine."""

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    red_from: float | None = None
    red_below: float | None = None
    most: float | None = None


def rate(metric: str, by: str = "") -> str:
    """Return the summed rate of a counter."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[{RATE}]))"


def quantile(q: float, metric: str, by: str = "", where: str = "") -> str:
    """Return a quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}[{RATE}])))"


def share_within(metric: str, le: str, where: str) -> str:
    """Return the share of observations of the last hour that were at most `le`; 1 where there were none."""
    within = f'sum(increase({metric}_bucket{{le="{le}", {where}}}[1h]))'
    return f"({within} / (sum(increase({metric}_count{{{where}}}[1h])) > 0)) or vector(1)"


_STAGE: Final = "lockerhub_command_stage_seconds"

ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "What is promised",
        (
            Panel(
                "Pulses within 200 ms", "Share of the last hour's commands that kept their budget.",
                (Query(share_within(_STAGE, "0.2", 'stage="pulsed"'), "pulsed"),),
                unit="percentunit", kind="stat", width=4, red_below=0.999,
            ),
            Panel(
                "Doors seen open within 1.5 s", "Share of the last hour's openings that the sensor saw in time.",
                (Query(share_within(_STAGE, "1.5", 'stage="opened"'), "opened"),),
                unit="percentunit", kind="stat", width=4, red_below=0.99,
            ),
            Panel(
                "Books out by", "Records received, minus settled, minus in flight. Anything but 0 is a defect.",
                (
                    Query(
                        "sum by (record) (lockerhub_intake_records_received_total)"
                        " - sum by (record) (lockerhub_intake_records_settled_total)"
                        " - sum by (record) (lockerhub_intake_records_in_flight)",
                        "{{record}}",
                    ),
                ),
                kind="stat", width=4, red_from=1,
            ),
            Panel(
                "Oldest commit", "Time since events were last committed. Grows while no locker says anything, too.",
                (Query('time() - lockerhub_batch_last_commit_timestamp_seconds{table="event"}', "events"),),
                unit="s", kind="stat", width=4,
            ),
            Panel(
                "Lockers", "By state.", (Query("lockerhub_lockers", "{{state}}"),), kind="stat", width=4,
            ),
            Panel(
                "Links to the broker", "1 is up. Commands and ingest have one each.",
                (Query("lockerhub_mqtt_connected", "{{link}}"),), kind="stat", width=4, red_below=1,
            ),
        ),
    ),
    (
        "Every number accounted for",
        (
            Panel(
                "Stored, of all that lockers ever wrote", "The rest is declared missing, or in quarantine.",
                (
                    Query(
                        'sum(lockerhub_ledger_events{state=~"stored|gone"}) / (sum(lockerhub_ledger_events) > 0)',
                        "stored",
                    ),
                ),
                unit="percentunit", kind="stat", width=4, red_below=0.999999,
            ),
            Panel(
                "Two under one name", "Batches of another history than their ledger's, in the last day.",
                (Query("sum(increase(lockerhub_ledger_forks_total[1d]))", "forks"),),
                kind="stat", width=4, red_from=1,
            ),
            Panel(
                "Missing and quarantined", "Numbers of all ledgers. `hub ledger verify` names them.",
                (Query('lockerhub_ledger_events{state!~"stored|gone"}', "{{state}}"),),
            ),
            Panel(
                "Held back", "Telemetry that waits for its commit, and messages of lockers beyond their share.",
                (
                    Query("lockerhub_mqtt_unacknowledged", "{{link}} unacknowledged (count)"),
                    Query(rate("lockerhub_intake_limited_total") + ZERO, "limited"),
                    Query(rate("lockerhub_quarantine_limited_total"), "left out of quarantine"),
                ),
            ),
        ),
    ),
    (
        "Alarms",
        (
            Panel(
                "Nobody has acknowledged", "Open alarms that people are to see, by severity.",
                (Query('sum by (severity) (lockerhub_alarms_open{state=~".+_unacked"})', "{{severity}}"),),
                kind="stat", width=4,
            ),
            Panel(
                "Flood", "1 from more than ten alarms in ten minutes until there are fewer than five.",
                (Query("lockerhub_alarm_flood", "flood"),), kind="stat", width=4, red_from=1,
            ),
            Panel(
                "Raised in ten minutes", "Beyond ten an operator cannot keep up (ISA-18.2).",
                (Query("lockerhub_alarm_rate_10min", "alarms"),),
            ),
            Panel(
                "Open, and not announced", "By severity; then those shelved, folded, or where somebody works.",
                (
                    Query("sum by (severity) (lockerhub_alarms_open)", "{{severity}}"),
                    Query("sum by (reason) (lockerhub_alarms_suppressed)", "{{reason}} (not announced)"),
                ),
            ),
            Panel(
                "Raised, by type", "What comes most often is to be mended, or its rule is.",
                (Query(rate("lockerhub_alarms_raised_total", "type") + ZERO, "{{type}}"),),
            ),
            Panel(
                "Notifications", "What became of them; those that wait; channels that fail.",
                (
                    Query(rate("lockerhub_notifications_total", "result") + ZERO, "{{result}}"),
                    Query(f"lockerhub_notify_queue{ZERO}", "waiting (count), {{channel}}"),
                    Query(f"lockerhub_notify_failing{ZERO}", "failing, {{channel}}"),
                ),
            ),
            Panel(
                "Alarms unwritten and given up", "Both are 0 while the database is there and no limit is met.",
                (
                    Query("lockerhub_alarms_unwritten", "unwritten (count)"),
                    Query(rate("lockerhub_alarms_dropped_total", "what") + ZERO, "{{what}}"),
                ),
            ),
        ),
    ),
    (
        "Retention and people's rights",
        (
            Panel(
                "Retention last went through", "There is a run every day; an alert after two.",
                (Query("time() - max(lockerhub_retention_last_success_timestamp_seconds)", "ago"),),
                unit="s", kind="stat", width=4, red_from=2 * 86400,
            ),
            Panel(
                "Requests of people", "Without an answer; `overdue` is beyond the month that the law gives.",
                (Query("lockerhub_rights_requests", "{{state}}"),), kind="stat", width=4,
            ),
            Panel(
                "Erasures that are not over", "`unfinished` is tried again; `held` is kept in part by holds.",
                (Query("lockerhub_erasures", "{{state}}"),), kind="stat", width=4,
            ),
            Panel("Legal holds", "Active ones.", (Query("lockerhub_legal_holds", "active"),), kind="stat", width=4),
            Panel(
                "Rows that went", "By category.",
                (Query(rate("lockerhub_retention_removed_rows_total", "category") + ZERO, "{{category}}"),),
            ),
        ),
    ),
    (
        "Commands",
        (
            Panel(
                "Requests", "Accepted, repeated, or refused with which code.",
                (Query(rate("lockerhub_command_requests_total", "result"), "{{result}}"),), unit="reqps",
            ),
            Panel(
                "From acceptance to each stage, p99", "The budget for `pulsed` is 200 ms, for `opened` 1.5 s.",
                (Query(quantile(0.99, _STAGE, "stage"), "{{stage}}"),), unit="s",
            ),
            Panel(
                "States reached", "`unknown` and `timed_out` are worth a look.",
                (
                    Query(rate("lockerhub_command_states_total", "state"), "{{state}}"),
                    Query("lockerhub_commands_in_flight", "in flight (count)"),
                ),
            ),
            Panel(
                "Refused by lockers", "By why.",
                (Query(rate("lockerhub_command_rejections_total", "reason") + ZERO, "{{reason}}"),),
            ),
            Panel(
                "Kept for lockers", "Durable commands without an end, and how often they are sent.",
                (
                    Query("lockerhub_commands_durable", "kept (count)"),
                    Query(
                        rate("lockerhub_command_deliveries_total", "act, result") + ZERO,
                        "{{act}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "Jobs", "By state, and openings refused because the fleet had as many as it may.",
                (
                    Query("lockerhub_jobs", "{{state}}"),
                    Query(rate("lockerhub_command_openings_limited_total"), "openings refused"),
                ),
            ),
        ),
    ),
    (
        "Ingest",
        (
            Panel(
                "Messages", "By channel.",
                (Query(rate("lockerhub_intake_messages_total", "channel"), "{{channel}}"),),
                unit="cps",
            ),
            Panel(
                "What became of records", "Stored, duplicate, quarantined, deferred, dropped.",
                (Query(rate("lockerhub_intake_records_settled_total", "outcome"), "{{outcome}}"),),
                unit="cps",
            ),
            Panel(
                "From receipt to commit", "Of the oldest row of each batch.",
                (
                    Query(quantile(0.5, "lockerhub_intake_delay_seconds", "channel"), "{{channel}} p50"),
                    Query(quantile(0.99, "lockerhub_intake_delay_seconds", "channel"), "{{channel}} p99"),
                ),
                unit="s",
            ),
            Panel(
                "Receipts and gaps", "`expected` asks a locker to send again.",
                (
                    Query(rate("lockerhub_receipts_sent_total", "kind"), "{{kind}}"),
                    Query(rate("lockerhub_ledger_gaps_total"), "gaps"),
                ),
                unit="cps",
            ),
            Panel(
                "Quarantine", "Records that broke the protocol, by reason.",
                (Query(rate("lockerhub_intake_quarantined_total", "reason"), "{{reason}}"),), unit="cps",
            ),
            Panel("Doors", "By state.", (Query("lockerhub_doors", "{{state}}"),)),
        ),
    ),
    (
        "Database",
        (
            Panel(
                "Time to commit a batch, p99", "By table.",
                (Query(quantile(0.99, "lockerhub_batch_flush_seconds", "table"), "{{table}}"),), unit="s",
            ),
            Panel(
                "Queues", "Rows that wait, of the limit.",
                (Query("lockerhub_batch_queue_rows / lockerhub_batch_queue_rows_max", "{{table}}"),),
                unit="percentunit", most=1,
            ),
            Panel(
                "Failures and drops", "Batches that had to be tried again, and rows that found their queue full.",
                (
                    Query(rate("lockerhub_batch_failures_total", "table"), "{{table}} failed"),
                    Query(rate("lockerhub_batch_dropped_total", "table"), "{{table}} dropped"),
                ),
                unit="cps",
            ),
        ),
    ),
    (
        "People and machines that ask",
        (
            Panel(
                "HTTP requests", "By status.",
                (Query(rate("lockerhub_http_request_seconds_count", "status"), "{{status}}"),), unit="reqps",
            ),
            Panel(
                "HTTP, p99", "By route. A waiting command request takes as long as the door.",
                (Query(quantile(0.99, "lockerhub_http_request_seconds", "route"), "{{route}}"),), unit="s",
            ),
            Panel(
                "Live viewers", "Connected, and how often one fell behind and got a new snapshot.",
                (
                    Query("lockerhub_live_viewers", "viewers"),
                    Query(f"increase(lockerhub_live_resyncs_total[{RATE}])", "resyncs"),
                ),
            ),
        ),
    ),
    (
        "The process",
        (
            Panel(
                "CPU", "Of one core.",
                (Query(rate("process_cpu_seconds_total"), "hub"),), unit="percentunit", width=6,
            ),
            Panel(
                "Memory", "Resident.", (Query("process_resident_memory_bytes", "hub"),), unit="bytes", width=6,
            ),
            Panel(
                "Event loop lag", "How late the loop wakes a sleeper.",
                (
                    Query(quantile(0.5, "lockerhub_event_loop_lag_seconds"), "p50"),
                    Query(quantile(0.99, "lockerhub_event_loop_lag_seconds"), "p99"),
                ),
                unit="s", width=6,
            ),
            Panel(
                "Open files", "Of the limit.", (Query("process_open_fds / process_max_fds", "hub"),),
                unit="percentunit", width=6, most=1,
            ),
        ),
    ),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in row:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + _HEIGHT
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x += panel.width
        y += _HEIGHT
    return {
        "uid": "lockerhub-overview",
        "title": "Lockerhub",
        "description": "Generated by dashboards/grafana/build.py.",
        "tags": ["lockerhub"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "10s",
        "graphTooltip": 1,
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }


def text() -> str:
    """Return the file's text."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel)}
    if panel.kind == "stat" and panel.unit == "short":
        del defaults["min"]
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.kind == "timeseries":
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": _HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(panel.queries)
        ],
    }


def _thresholds(panel: Panel) -> dict[str, Any]:
    if panel.red_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.red_below}]
    elif panel.red_from is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.red_from}]
    else:
        steps = [{"color": "text", "value": None}]
    return {"mode": "absolute", "steps": steps}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
        }
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


if __name__ == "__main__":
    TARGET.write_text(text())
